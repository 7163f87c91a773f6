//! An exactly-once producer as screens and reports see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::{HardGateRow, ProducerCut, combine_hard_rows};
use super::runbook::worst_case_ms;
use super::seam::PartitionSeam;
use super::{FencedId, GreenOnly};
use crate::base::format_duration;
use crate::base::{At, Side, TopicPartition};
use crate::estate::exactly_once::Ends;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::stage::{MovePhase, NextStep, Stage};
use crate::migration::rules::gate::Gate;
use crate::migration::run::machine::Machine;
use crate::migration::run::runbook;

/// Where an exactly-once producer stands, with both gates of its next move row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EosView {
    /// Where it stands.
    pub stage: Stage,
    /// The side it rests on, or rested on before the run that is under way.
    pub on: Side,
    /// Where its next move, or the one under way, goes.
    pub to: Side,
    /// The gate before anything stops.
    pub live: Vec<HardGateRow>,
    /// All of those as one.
    pub gate: Gate,
    /// The gate after the stop; empty unless a run is past it.
    pub after: Vec<HardGateRow>,
    /// The seam that counts now, and when it was journalled: by it the writers went to `on`.
    pub seam: Option<(At, Vec<PartitionSeam>)>,
    /// Ids of the side that was left, as they were fenced.
    pub fenced: Vec<FencedId>,
    /// Whether a denial that was made from here keeps restarted instances out of the side that was left. Without one it
    /// is `FENCED (current instances only)`.
    pub denied: bool,
    /// Offsets (records and transaction markers) that only green holds; `None` while it can't be told.
    pub green_only: Option<u64>,
    /// Until when blue is kept as its way back.
    pub kept_until: Option<At>,
    /// Who agreed to its next cut.
    pub approved_by: Option<String>,
    /// What has to be typed about records on green for [`GreenOnly::Lose`]; `None` while it can't be told.
    pub lose: Option<u64>,
}

impl Machine {
    /// Where an exactly-once producer stands; `None` for any other.
    #[must_use]
    pub fn eos_view(&self, name: &str, now: At) -> Option<EosView> {
        let plan = self.settings.producers.get(name).filter(|p| p.is_exactly_once())?;
        let subject = Subject::Producer(name.to_owned());
        let state = self.state.producers.get(name);
        let on = self.state.producer_rests_on(name);
        let run = self.state.open_run(&subject);
        let to = run.map_or(on.other(), |r| r.to);
        let sight = self.rule_context(now);
        // From where it rests, also while it moves: a run has rows of its own, after the stop.
        let cut = ProducerCut { sight: &sight, name, plan, to: on.other() };
        let live = self.hard_rows(&cut);
        let left = on.other();
        let since = match state.map(|p| &p.rest) {
            Some(Stage::Soaking { since }) => Some(*since),
            _ => None,
        };
        Some(EosView {
            stage: self.producer_stage(name),
            on,
            to,
            gate: combine_hard_rows(&live, &std::collections::BTreeSet::new()),
            live,
            after: self.after_rows(name, now),
            seam: self.seam_of(name, on),
            fenced: state.and_then(|p| p.fenced.get(&left)).cloned().unwrap_or_default(),
            denied: state.and_then(|p| p.denied.get(&left)).is_some_and(|acls| !acls.is_empty()),
            green_only: self.green_only(name),
            kept_until: since.map(|since| since.plus(plan.keep_blue_ms)),
            approved_by: state.and_then(|p| p.approved.as_ref()).map(|a| a.by.to_string()),
            lose: self.most_lost(name, now),
        })
    }

    /// The rows of the gate before anything stops: a cut's, or those of a rollback.
    pub(super) fn hard_rows(&self, cut: &ProducerCut<'_>) -> Vec<HardGateRow> {
        match cut.to {
            Side::Green => cut.rows_before_stop(worst_case_ms(cut.plan)),
            Side::Blue => cut.rows_before_rollback(),
        }
    }

    /// What can be asked of an exactly-once producer.
    pub(in crate::migration) fn hard_commands(&self, name: &str) -> Vec<Command> {
        let subject = Subject::Producer(name.to_owned());
        let mut commands = vec![
            Command::hard_cut(name),
            Command::hard_back(name, GreenOnly::Carry),
            Command::hard_back(name, GreenOnly::Lose),
            Command::Continue { subject: subject.clone() },
            Command::complete(subject),
        ];
        if self.settings.producers.get(name).is_some_and(|p| p.needs_approval) {
            commands.push(Command::Approve { producer: name.to_owned() });
        }
        commands
    }

    /// The next step of an exactly-once producer that rests, in a few words.
    pub(in crate::migration) fn hard_next_step(&self, name: &str, now: At) -> NextStep {
        let Some(plan) = self.settings.producers.get(name) else { return "not in the plan".into() };
        match self.state.producers.get(name).map(|p| &p.rest) {
            Some(Stage::Complete { .. }) => "done".into(),
            Some(Stage::Soaking { since }) => match since.plus(plan.keep_blue_ms).since(now) {
                0 => "blue was kept long enough: complete it".into(),
                left => format!("way back kept {}", format_duration(left)).into(),
            },
            _ => match self.pass_hard_gate(name, Side::Green, &std::collections::BTreeSet::new(), now) {
                Ok(_) => NextStep::ready("ready for the hard cutover"),
                Err(refusal) => refusal.why.into(),
            },
        }
    }

    /// Where an exactly-once producer stands.
    #[must_use]
    pub fn producer_stage(&self, name: &str) -> Stage {
        match self.state.open_run(&Subject::Producer(name.to_owned())) {
            Some(run) if run.kind.moves_hard() || run.kind.gives_back() => {
                let steps = self.steps_of(run);
                let phase = steps.get(run.step).or(steps.last()).map_or(MovePhase::Preflight, runbook::Step::phase);
                Stage::Moving { run: run.id, kind: run.kind, phase }
            }
            _ => self.state.producers.get(name).map(|p| p.rest.clone()).unwrap_or_default(),
        }
    }

    /// The seam by which a producer's writers went to a side, if they did and have not gone back since.
    pub(super) fn seam_of(&self, name: &str, to: Side) -> Option<(At, Vec<PartitionSeam>)> {
        let plan = self.settings.producers.get(name)?;
        let found: Vec<(At, PartitionSeam)> = self
            .state
            .seams
            .all_to(to)
            .filter(|(_, s)| plan.topics.contains(&s.tp.topic))
            .map(|(at, s)| (at, s.clone()))
            .collect();
        let at = found.iter().map(|(at, _)| *at).max()?;
        Some((at, found.into_iter().map(|(_, s)| s).collect()))
    }

    /// Offsets that only green holds: its ends beyond the seam.
    #[must_use]
    pub fn green_only(&self, name: &str) -> Option<u64> {
        let (_, seams) = self.seam_of(name, Side::Green)?;
        let ends = &self.estate.eos.green.get(name)?.value()?.ends;
        count_beyond(&seams, ends)
    }

    /// The most that a rollback with [`GreenOnly::Lose`] may lose: what only green holds now, what it grows by until it
    /// is stopped, rounded up so that it can be typed in time.
    pub(super) fn most_lost(&self, name: &str, now: At) -> Option<u64> {
        let plan = self.settings.producers.get(name)?;
        let held = self.green_only(name)?;
        let sight = self.rule_context(now);
        // A rate that is not known adds nothing: what is lost beyond the number holds again when the step comes.
        let rate: f64 = plan.topics.iter().filter_map(|t| sight.lag.topic_rate(Side::Green, t)).sum();
        // Confirming takes up to 30 s since the last key, stopping some more.
        let growth = (rate.max(0.0) * 120.0).ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is finite and not negative")]
        // Far more than any log holds, and a whole number in f64.
        let growth = if growth.is_finite() { growth.min(1e15) as u64 } else { 0 };
        Some(crate::migration::facts::overrides::rounded_up(held.saturating_add(growth)))
    }
}

/// Offsets past the seams; a partition that came after the cut has no seam, and is all past it. `None` where an end is
/// not known, or lies before its seam: that is another log.
fn count_beyond(seams: &[PartitionSeam], ends: &BTreeMap<TopicPartition, Ends>) -> Option<u64> {
    let past = |end: i64, from: i64| u64::try_from(end.saturating_sub(from)).ok();
    let new = ends.iter().filter(|(tp, _)| !seams.iter().any(|s| s.tp == **tp));
    let new = new.map(|(_, e)| past(e.high_watermark, 0));
    seams.iter().map(|s| past(ends.get(&s.tp)?.high_watermark, s.target)).chain(new).sum()
}

/// The words for what becomes of records that only green holds.
#[must_use]
pub(crate) fn describe_green_only(choice: GreenOnly, held: Option<u64>) -> String {
    let held = held.map_or("what only green holds".to_owned(), |n| format!("{n} offsets that only green holds"));
    match choice {
        GreenOnly::Carry => format!("{held}: carried to blue, exactly once"),
        GreenOnly::Lose => format!("{held}: LOST to whoever reads blue"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_came_after_the_cut_counts_from_its_beginning() {
        let tp = |n| TopicPartition::new("t", n);
        let ends = |n, high_watermark| (tp(n), Ends { stable: high_watermark, high_watermark });
        let seams =
            [PartitionSeam { tp: tp(0), source: 9, target: 40 }, PartitionSeam { tp: tp(1), source: 9, target: 10 }];
        assert_eq!(count_beyond(&seams, &[ends(0, 43), ends(1, 10)].into()), Some(3));
        assert_eq!(count_beyond(&seams, &[ends(0, 43), ends(1, 10), ends(2, 7)].into()), Some(10));
        assert_eq!(count_beyond(&seams, &[ends(0, 43)].into()), None, "an end that is not known is not 0");
        assert_eq!(count_beyond(&seams, &[ends(0, 39), ends(1, 10)].into()), None, "a log that was cut back is not 0");
    }
}

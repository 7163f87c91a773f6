//! What only the side that is left holds is carried to the other, exactly once.

use super::runbook::REPEATS;
use super::seam::PartitionSeam;
use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition};
use crate::estate::exactly_once::Ends;
use crate::migration::facts::command::Refusal;
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunId};
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::facts::state::{JournalledEffect, Run};
use crate::migration::run::machine::{CONTROLLER, Machine};
use crate::migration::run::runbook::StepKind;
use crate::migration::run::steps::{StepProgress, fail_step};
use crate::replay::ranges::{Piece, Ranges};

impl Machine {
    /// What only the side that is left holds goes to the other, exactly once. From here the way is on: records that
    /// were carried can't be taken back.
    pub(super) fn carry_records(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        from: Side,
        now: At,
    ) -> StepProgress {
        let run = &self.state.runs[&id];
        if run.dry_run {
            return StepProgress::Done;
        }
        if let Some((Outcome::Failed { why }, _)) = run.current_effect().and_then(|e| e.outcome.clone()) {
            return StepProgress::Fail(why.what, why.advice);
        }
        let effect = match self.find_carry(id, name, plan, from, now) {
            Ok(effect) => effect,
            Err(next) => return next,
        };
        let again = effect.clone();
        match self.repeat_effect(id, now, |_| effect) {
            Err(next) => next,
            Ok(EffectResult::Carried { verified: None, records }) => self.repeat_unread(id, again, from, records, now),
            Ok(EffectResult::Carried { verified: Some(false), records }) => StepProgress::Help(
                format!(
                    "{records} records were carried to {}, and not each of them is there exactly once",
                    from.other()
                ),
                "look at them (cutover diff) before anything reads them; then continue".into(),
            ),
            Ok(_) => StepProgress::Done,
        }
    }

    /// The carry to go on with, or to begin; or what to do before it, or instead.
    fn find_carry(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        from: Side,
        now: At,
    ) -> Result<Effect, StepProgress> {
        let run = &self.state.runs[&id];
        // What may have been sent goes on as it is; what an earlier attempt carried stays carried, and only what came
        // after it goes by a carry of its own.
        if let Some(last) = last_carry(run).filter(|e| run.current_effect().is_some() || !is_carried(e)) {
            return Ok(last.issued.effect.clone());
        }
        let ranges = self.ranges_to_carry(id, name, plan, from, now)?;
        if !self.state.runs[&id].no_return {
            self.check_coupled_stand(id, from.other(), now)?;
            // Journalled before the first record is sent: none of them can be taken back.
            self.emit(CONTROLLER, Event::PointOfNoReturn { run: id }, now);
            return Err(StepProgress::Again);
        }
        if ranges.is_empty() {
            return Err(StepProgress::Done);
        }
        let replay = self.replay_id(id, name);
        Ok(Effect::Carry { producer: name.to_owned(), replay, from, ranges })
    }

    /// It is all there already, as far as is known: going on with it reads it back once more.
    fn repeat_unread(&mut self, id: RunId, carry: Effect, from: Side, records: u64, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let tries = run.effects[run.fresh_from.min(run.effects.len())..].len();
        if tries < REPEATS {
            self.issue(id, carry, now);
            return StepProgress::EffectUnderWay;
        }
        let to = from.other();
        StepProgress::Help(
            format!("{records} records were carried to {to}, and could not be read back there"),
            format!("see whether {to} can be read; then continue: they are read back again"),
        )
    }

    /// What only the left side holds: from the seam by which its writers came to its end now, but for what this run has
    /// carried already.
    fn ranges_to_carry(
        &self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        from: Side,
        now: At,
    ) -> Result<Ranges, StepProgress> {
        let both = self.look_at_both(id, name, from.other(), now)?;
        self.check_left_closed(id, name, plan, from, both.left, now)?;
        let begins = |tp: &TopicPartition| self.not_carried_from(&self.state.runs[&id], from, tp);
        // Not one has a seam: these are no partitions that came later, but a cut that this journal knows nothing of.
        if both.left.ends.keys().all(|tp| begins(tp).is_none()) {
            return Err(fail_step(
                format!(
                    "no seam of {name} to {from} is journalled: where its records begin there is not known",
                    name = visible_name(name)
                ),
                "carry them by hand (cutover replay), or say that they are lost: --lose",
            ));
        }
        let piece = |(tp, ends): (&TopicPartition, &Ends)| match begins(tp) {
            Some(start) if start < ends.high_watermark => Some(Ok(Piece::new(tp.clone(), start, ends.high_watermark))),
            Some(_) => None,
            None => Some(Err(fail_step(
                format!("{tp} has no seam: it was not there when {name} was cut over", name = visible_name(name)),
                "carry its records by hand (cutover replay), then roll back with --lose",
            ))),
        };
        Ok(Ranges::from_pieces(both.left.ends.iter().filter_map(piece).collect::<Result<Vec<_>, _>>()?))
    }

    /// Where that begins on a partition; `None`: it has no seam.
    fn not_carried_from(&self, run: &Run, from: Side, tp: &TopicPartition) -> Option<i64> {
        // A seam of its own was journalled when everything before it had been carried.
        let own = run.seam.as_ref().and_then(|(_, seams)| seams.iter().find(|s| s.tp == *tp)).map(|s| s.source);
        let begins = own.or_else(|| self.state.seams.last_to(from, tp).map(|s| s.target))?;
        let carried = run.effects.iter().filter(|e| is_carried(e)).filter_map(|e| match &e.issued.effect {
            Effect::Carry { ranges, .. } => ranges.pieces().filter(|p| p.tp == *tp).map(|p| p.to).max(),
            _ => None,
        });
        Some(carried.fold(begins, i64::max))
    }

    /// Whether what only green holds is still there to be carried, as far as is known: to be asked before anything
    /// stops.
    pub(super) fn check_carriable(&self, name: &str) -> Result<(), Refusal> {
        let green = Side::Green;
        // What can't be told is no obstacle here: the carry asks for the seam and the log once more.
        let (Some((_, seams)), Some(view)) = (self.seam_of(name, green), self.estate.side(green).value()) else {
            return Ok(());
        };
        let expired = |s: &PartitionSeam| {
            let partitions = &view.topics.get(&s.tp.topic)?.partitions;
            let start = partitions.get(usize::try_from(s.tp.partition).ok()?)?.log_start?;
            (start > s.target).then(|| (s.clone(), start))
        };
        match seams.iter().find_map(expired) {
            None => Ok(()),
            Some((s, start)) => Err(Refusal::refused(
                format!(
                    "{} begins at {start} on {green}, and what only {green} holds began at {}: it has expired in part, \
                     and can't be carried to blue",
                    s.tp, s.target
                ),
                "stay on green; or say that it is lost: --lose (what is left can be carried by hand: cutover replay)",
            )),
        }
    }

    /// Whether a rollback waits for a person because it can't carry.
    pub(super) fn carry_waits(&self, run: &Run) -> bool {
        let open = run.needs.is_some() && run.no_return && !run.dry_run && !self.is_switched(run);
        open && last_carry(run).is_some_and(|e| !is_carried(e))
    }

    /// The same in every attempt at a carry, and in no other run of any journal: it is a transactional id, too.
    fn replay_id(&self, id: RunId, name: &str) -> String {
        let run = &self.state.runs[&id];
        let word = |text: &str| -> String {
            text.chars()
                .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
                .take(60)
                .collect()
        };
        let before = run.effects.iter().filter(|e| is_carried(e)).count();
        let nth = if before == 0 { String::new() } else { format!("-{}", before + 1) };
        // The run's number is unique in its journal alone, and another journal may move the same producer.
        format!("eos-{}-{}-{id}-{}{nth}", word(&self.settings.name), word(name), run.started.0)
    }

    /// What came after a carry had been fixed is on neither the other side nor in any number that was shown.
    pub(super) fn check_all_carried(
        &self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        from: Side,
        now: At,
    ) -> Result<(), StepProgress> {
        let carries = self.steps_of(&self.state.runs[&id]).iter().any(|s| matches!(s.kind, StepKind::Carry { .. }));
        if !carries {
            return Ok(());
        }
        let rest = self.ranges_to_carry(id, name, plan, from, now)?;
        match rest.pieces().next() {
            None => Ok(()),
            Some(first) => Err(fail_step(
                format!(
                    "{} offsets were written on {from} after what only it holds had been carried: {} from {}",
                    rest.count_offsets(),
                    first.tp,
                    first.from
                ),
                "find who writes there and stop it: they are carried, too",
            )),
        }
    }
}

/// The newest carry of a run that may have sent something.
fn last_carry(run: &Run) -> Option<&JournalledEffect> {
    run.effects.iter().rev().find(|e| matches!(e.issued.effect, Effect::Carry { .. }) && !e.has_failed())
}

/// Whether an effect is a carry that brought everything, and was read back.
fn is_carried(effect: &JournalledEffect) -> bool {
    match &effect.outcome {
        // Also where the reading back found fault: a person was told, and nothing of it may be sent a second time.
        Some((Outcome::Done { result: EffectResult::Carried { verified, .. } }, _)) => verified.is_some(),
        _ => false,
    }
}

//! From the seam over the switch: the seam is journalled, and the other side writes.

use std::collections::BTreeMap;

use super::gate::{initialised_again, list_initialised_again, not_asked, not_told};
use super::rogue;
use super::seam::PartitionSeam;
use super::steps::fenced_by;
use super::watch::list_moved;
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{At, Observed, Side, TopicPartition};
use crate::estate::FlagState;
use crate::estate::exactly_once::{Ends, EosLook};
use crate::estate::transactions::{Answer as Told, TransactionState};
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::effect::Effect;
use crate::migration::facts::event::{Event, RunId};
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::facts::state::Run;
use crate::migration::run::machine::{CONTROLLER, Machine};
use crate::migration::run::runbook::{FRESH_MS, Step, StepKind};
use crate::migration::run::steps::{StepProgress, fail_step};

/// Fresh looks at both sides since a step began: the one that is left, and the one that is gone to.
pub(super) struct BothLooks<'a> {
    pub left: &'a EosLook,
    pub target: &'a EosLook,
}

impl Machine {
    pub(super) fn look_at_both(&self, id: RunId, name: &str, to: Side, now: At) -> Result<BothLooks<'_>, StepProgress> {
        let since = self.step_since(id);
        let looks = (self.look_since(name, to.other(), since), self.look_since(name, to, since));
        match looks {
            (Some((left, _)), Some((target, _))) => Ok(BothLooks { left, target }),
            _ => {
                let (until, words) =
                    (since.plus(FRESH_MS), format!("fresh looks at {name} on both sides", name = visible_name(name)));
                Err(match now < until {
                    true => StepProgress::Wait(format!("waiting for {words}"), Some(until)),
                    false => fail_step(
                        format!("no {words} for {}", format_duration(FRESH_MS)),
                        "see whether both clusters answer",
                    ),
                })
            }
        }
    }

    /// Nothing is open on the side that is left, and nobody came back past the fence.
    pub(super) fn check_left_closed(
        &self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        left: Side,
        look: &EosLook,
        now: At,
    ) -> Result<(), StepProgress> {
        let advice = "find who still writes there and stop it";
        let fenced = fenced_by(&self.state.runs[&id]);
        // First: who came back past the fence and has nothing open leaves a log that looks closed.
        if let Some(why) = initialised_again(look, &fenced, left) {
            return Err(fail_step(why, advice));
        }
        if let Some(why) = not_told(look, &fenced, self.is_denied(name, left)) {
            let until = self.step_since(id).plus(FRESH_MS);
            return Err(match now < until {
                true => StepProgress::Wait(why, Some(until)),
                false => fail_step(why, format!("see that its ids may be described on {left}")),
            });
        }
        match look.ends.iter().find(|(_, e)| !e.is_closed()) {
            // Of no ends none is open, and nothing is known.
            None if !look.ends.is_empty() => Ok(()),
            None => Err(fail_step(format!("the ends of its topics on {left} are not known"), "see whether they exist")),
            Some((tp, _)) => {
                let who = describe_writer(look, tp, plan.ids(left));
                Err(fail_step(format!("a transaction is open on {tp} on {left} again{who}"), advice))
            }
        }
    }

    /// Whether denials that were made from here keep restarted instances out of a side.
    fn is_denied(&self, name: &str, side: Side) -> bool {
        self.state.producers.get(name).and_then(|p| p.denied.get(&side)).is_some_and(|acls| !acls.is_empty())
    }

    pub(super) fn journal_seam(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        to: Side,
        now: At,
    ) -> StepProgress {
        let run = &self.state.runs[&id];
        if run.dry_run {
            return StepProgress::Done;
        }
        let lose = match &run.command {
            Command::HardBack { green_only: super::GreenOnly::Lose, .. } if to == Side::Blue => {
                // Without a number nothing was accepted as lost.
                Some(run.accepted.iter().find(|a| a.gate == GateName::Missing).and_then(|a| a.at_most).unwrap_or(0))
            }
            _ => None,
        };
        let seams: Vec<PartitionSeam> = {
            let both = match self.look_at_both(id, name, to, now) {
                Ok(both) => both,
                Err(next) => return next,
            };
            if let Err(next) = self.check_left_closed(id, name, plan, to.other(), both.left, now) {
                return next;
            }
            if let Err(next) = self.check_all_carried(id, name, plan, to.other(), now) {
                return next;
            }
            let (left, target) = (&both.left.ends, &both.target.ends);
            if let Some(tp) = left.keys().find(|tp| !target.contains_key(*tp)) {
                return fail_step(
                    format!("{tp} is not there on {to}"),
                    "create it, with as many partitions as on the other",
                );
            }
            let one = |(tp, e): (&TopicPartition, &Ends)| PartitionSeam {
                tp: tp.clone(),
                source: e.high_watermark,
                target: target[tp].high_watermark,
            };
            left.iter().map(one).collect()
        };
        if let Some(most) = lose {
            let lost = self.green_only(name);
            // What can't be told may be more than what was accepted.
            if lost.is_none_or(|n| n > most) {
                let lost = lost.map_or("how many can't be told".to_owned(), |n| n.to_string());
                return fail_step(
                    format!("offsets that only green holds: {lost}, and at most {most} were accepted as lost"),
                    "roll back with --carry-back, or accept more",
                );
            }
        }
        self.emit(CONTROLLER, Event::Seamed { run: id, producer: name.to_owned(), to, seams }, now);
        StepProgress::Done
    }

    pub(super) fn allow_writes(&mut self, id: RunId, name: &str, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        // Only before it is issued: what has to be repeated may be in force already, and somebody at work by it.
        if run.kind.moves_hard() && !run.dry_run && run.current_effect().is_none() {
            match self.ready_to_switch(id, name, side, now) {
                StepProgress::Done => {}
                other => return other,
            }
        }
        let denied = self.state.producers.get(name).and_then(|p| p.denied.get(&side));
        let acls = denied.filter(|acls| !acls.is_empty()).cloned();
        let Some(acls) = acls else { return StepProgress::Done };
        let effect = Effect::Allow { producer: name.to_owned(), side, acls };
        match self.repeat_effect(id, now, |_| effect) {
            Err(next) => next,
            Ok(_) => StepProgress::Done,
        }
    }

    /// Right before anything on the other side may write: both sides stand where the seam says, seen once more, and the
    /// journal says so before it happens.
    fn ready_to_switch(&mut self, id: RunId, name: &str, to: Side, now: At) -> StepProgress {
        let Some(plan) = self.settings.producers.get(name) else { return fail_step("not in the plan", "") };
        let run = &self.state.runs[&id];
        let passed = run.no_return;
        // Help, and no failure: that would give back, through a cluster which is another one.
        if let Some(t) = Side::BOTH.into_iter().find_map(|s| self.rule_context(now).identity_trouble(s)) {
            return StepProgress::Help(t.what, t.advice);
        }
        let Some((_, seams)) = &run.seam else { return fail_step("no seam is journalled", "") };
        let both = match self.look_at_both(id, name, to, now) {
            Ok(both) => both,
            Err(next) => return next,
        };
        let from = to.other();
        let stands = self.check_left_closed(id, name, plan, from, both.left, now).and_then(|()| {
            for (side, look, at) in [(from, both.left, true), (to, both.target, false)] {
                if let Some(why) = find_moved(look, seams, at, side, plan) {
                    return Err(fail_step(why, "find who writes there and stop it; the seam is read again after that"));
                }
            }
            Ok(())
        });
        if let Err(next) = stands {
            return next;
        }
        if let Err(next) = self.check_coupled_stand(id, to, now) {
            return next;
        }
        if !passed {
            self.emit(CONTROLLER, Event::PointOfNoReturn { run: id }, now);
        }
        StepProgress::Done
    }

    /// Right before the flag is set, once more: a hold, an interruption, or a slow effect may lie behind the look that
    /// the step before rests on. `None`: it may be set.
    pub(in crate::migration) fn not_to_switch(
        &mut self,
        id: RunId,
        name: &str,
        to: FlagState,
        now: At,
    ) -> Option<StepProgress> {
        let run = &self.state.runs[&id];
        let side = run.to;
        let switches = run.kind.moves_hard() && !run.dry_run && to == FlagState::only_on(side);
        // Once it may have been told to write, what moves on the other side is no objection any more.
        if !switches || run.current_effect().is_some() || self.is_switched(run) {
            return None;
        }
        match self.ready_to_switch(id, name, side, now) {
            StepProgress::Done => None,
            other => Some(other),
        }
    }

    /// Whether the other side may have been told to write by this run.
    pub(super) fn is_switched(&self, run: &Run) -> bool {
        let to = FlagState::only_on(run.to);
        let told = run
            .effects
            .iter()
            .any(|e| matches!(&e.issued.effect, Effect::SetFlag { to: t, .. } if *t == to) && !e.has_failed());
        let Subject::Producer(name) = &run.subject else { return told };
        // A person may have set it.
        told || self.estate.flags.get(name).and_then(Observed::value) == Some(&to)
    }

    /// Past the point of no silent return and before the switch nothing writes on either side. Whatever came between
    /// is mended by proving it all again: quiet, fenced, denied, still, what came since carried, and a seam anew.
    /// Returns the step to go back to.
    pub(in crate::migration) fn before_switch(&self, run: &Run) -> Option<usize> {
        if !(run.is_open() && run.no_return && run.kind.moves_hard()) || run.dry_run || self.is_switched(run) {
            return None;
        }
        let quiet = self.steps_of(run).iter().position(|s| matches!(s.kind, StepKind::Quiet { .. }))?;
        (run.step > quiet).then_some(quiet)
    }

    pub(super) fn wait_for_first_commit(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        step: &Step,
        side: Side,
        now: At,
    ) -> StepProgress {
        let run = &self.state.runs[&id];
        if run.dry_run {
            return StepProgress::Done;
        }
        let (since, home) = (self.step_since(id), run.kind.gives_back());
        let until = since.plus(step.timeout_ms.unwrap_or_default());
        let seamed = run.seam.as_ref().filter(|_| !home);
        let seamed: Option<BTreeMap<_, _>> =
            seamed.map(|(_, seams)| seams.iter().map(|s| (s.tp.clone(), s.target)).collect());
        let please = self.describe_hand_flag(id, name, FlagState::only_on(side));
        let look = self.look_since(name, side, since).map(|(look, _)| look.clone());
        let why = match look {
            None => format!("a fresh look at {name} on {side}", name = visible_name(name)),
            Some(look) => {
                let stable = || look.ends.iter().map(|(tp, e)| (tp.clone(), e.stable)).collect();
                let base = match seamed {
                    Some(base) => base,
                    // It came back to where it was: whatever moves from the first look on.
                    None => self.live.entry(id).or_default().base.get_or_insert_with(stable).clone(),
                };
                match (has_moved_beyond(&look, &base), is_committing(&look, plan.ids(side))) {
                    (true, true) => return StepProgress::Done,
                    (true, false) => {
                        format!("a commit by its own ids on {side}: {} moved", visible_names(&plan.topics))
                    }
                    (false, _) => format!("its first committed transaction on {side}"),
                }
            }
        };
        if now < until {
            return StepProgress::Wait(format!("{please}waiting for {why}"), Some(until));
        }
        // Back where it came from it may just have nothing to write; nobody is called for that.
        if home {
            let what = format!(
                "{name} is back on {side}; nothing was seen to be committed yet, so nothing proves it",
                name = visible_name(name)
            );
            self.emit(CONTROLLER, Event::Noticed { subject: Subject::Producer(name.to_owned()), what }, now);
            return StepProgress::Done;
        }
        let limit = format_duration(step.timeout_ms.unwrap_or_default());
        fail_step(
            format!("not seen within {limit}: {why}"),
            format!("see why {name} does not write on {side}", name = visible_name(name)),
        )
    }

    pub(super) fn wait_for_left_still(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        step: &Step,
        side: Side,
        now: At,
    ) -> StepProgress {
        if self.state.runs[&id].dry_run {
            return StepProgress::Done;
        }
        self.feed_still(id, name, plan, side);
        let until = self.step_since(id).plus(step.timeout_ms.unwrap_or_default());
        let run = &self.state.runs[&id];
        let seams = run.seam.as_ref().map(|(_, seams)| seams.clone()).unwrap_or_default();
        let fenced = fenced_by(run);
        let (mut blind, mut notices) = (None, Vec::new());
        if let Some((look, _)) = self.look_since(name, side, self.step_since(id)) {
            let mut all = list_moved(look, &seams, true, side, plan);
            all.extend(list_initialised_again(look, &fenced, side));
            // A log's end and an epoch never go back: what a person has seen is where it must stand from here.
            let (seen, new): (Vec<_>, Vec<_>) = all.into_iter().partition(|s| run.seen.contains(&s.rogue));
            if !new.is_empty() {
                let why = rogue::describe_rogues(&new);
                self.live.entry(id).or_default().rogues = new.into_iter().map(|s| s.rogue).collect();
                return StepProgress::Help(why, rogue_advice(side));
            }
            blind = not_told(look, &fenced, self.is_denied(name, side));
            notices
                .extend(seen.iter().map(|s| format!("{}: seen, and nobody carries what lies past the seam", s.words)));
            notices.extend(
                not_asked(look, &fenced).map(|why| format!("{name} on {side}: {why}", name = visible_name(name))),
            );
        }
        let still = &self.live.entry(id).or_default().still[0];
        let held = still.still_since().zip(still.last_look()).map_or(0, |(since, last)| last.since(since));
        match held {
            held if held >= plan.still_ms && blind.is_none() => {
                for what in notices {
                    self.emit(CONTROLLER, Event::Noticed { subject: Subject::Producer(name.to_owned()), what }, now);
                }
                StepProgress::Done
            }
            held if now < until => {
                let words =
                    format!("{side} stands still for {} of {}", format_duration(held), format_duration(plan.still_ms));
                StepProgress::Wait(blind.unwrap_or(words), Some(until))
            }
            _ => fail_step(
                blind.unwrap_or_else(|| {
                    format!("{side} was not seen to stand still for {}", format_duration(plan.still_ms))
                }),
                "see whether it answers",
            ),
        }
    }
}

/// What to do about somebody who writes on the side that was left.
pub(super) fn rogue_advice(side: Side) -> String {
    format!(
        "find that instance and stop it: what it writes on {side} nobody carries; then continue, or roll back. A \
         principal in the plan keeps it out by ACL"
    )
}

/// Whether a partition's last stable offset is beyond where it was. One that was added since began at 0.
fn has_moved_beyond(look: &EosLook, base: &BTreeMap<TopicPartition, i64>) -> bool {
    look.ends.iter().any(|(tp, e)| e.stable > base.get(tp).copied().unwrap_or(0))
}

/// Whether an id of a side has begun to commit, as far as its coordinator tells; `true` where nobody can be asked.
fn is_committing(look: &EosLook, ids: &[String]) -> bool {
    use TransactionState as S;
    let told: Vec<_> = ids.iter().filter_map(|id| look.ids.get(id)).collect();
    let alive = |a: &&Told<Option<_>>| match a {
        Told::Told(Some(view)) => {
            let view: &crate::estate::transactions::TransactionView = view;
            matches!(view.state, S::Ongoing | S::PrepareCommit | S::CompleteCommit)
        }
        Told::Told(None) => false,
        // Hidden, or not to be asked before 3.0 (KIP-664): then what has moved on the log has to do.
        _ => true,
    };
    told.is_empty() || told.iter().any(alive)
}

/// A partition that is not where the seam says (`source`: the side that was left), and who wrote there.
pub(super) fn find_moved(
    look: &EosLook,
    seams: &[PartitionSeam],
    source: bool,
    side: Side,
    plan: &ProducerSettings,
) -> Option<String> {
    list_moved(look, seams, source, side, plan).into_iter().next().map(|s| s.words)
}

/// `: written by ledger-1, pid 4711 epoch 3`, as far as the leader tells.
pub(super) fn describe_writer(look: &EosLook, tp: &TopicPartition, ids: &[String]) -> String {
    let Some(newest) = look.newest_writer(tp) else { return ": whose that is can't be told".to_owned() };
    let id = match look.id_of(newest.producer_id, ids) {
        Some(id) => format!("{id}, ", id = visible_name(id)),
        None => "none of its ids, ".to_owned(),
    };
    format!(": written by {id}pid {} epoch {}", newest.producer_id, newest.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_partition_is_no_commit() {
        let at = |partition, stable| (TopicPartition::new("t", partition), Ends { stable, high_watermark: stable + 3 });
        let look =
            |ends: &[(TopicPartition, Ends)]| EosLook { ends: ends.iter().cloned().collect(), ..EosLook::default() };
        let base = BTreeMap::from([(TopicPartition::new("t", 0), 7)]);
        assert!(!has_moved_beyond(&look(&[at(0, 7), at(1, 0)]), &base), "added, and only open so far");
        assert!(has_moved_beyond(&look(&[at(0, 7), at(1, 2)]), &base));
        assert!(has_moved_beyond(&look(&[at(0, 8)]), &base));
    }
}

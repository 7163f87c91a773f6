//! Groups whose offsets the producer commits in its transactions: they move together with it, and nothing may be read
//! again, because each record that is read again is a duplicate in the producer's own topics.

use std::collections::BTreeMap;

use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunId};
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::rules::cost;
use crate::migration::rules::drain::committed_offsets;
use crate::migration::rules::group;
use crate::migration::run::machine::{CONTROLLER, Machine};
use crate::migration::run::offset_steps::{committed_metadata, planned_metadata};
use crate::migration::run::runbook::{Step, TRANSLATE_ATTEMPTS};
use crate::migration::run::steps::{StepProgress, fail_step};
use crate::offsets::verdict::{GroupTranslation, Verdict};

impl Machine {
    /// Translates one group after the other.
    pub(super) fn translate_coupled(
        &mut self,
        id: RunId,
        plan: &ProducerSettings,
        step: &Step,
        to: Side,
        now: At,
    ) -> StepProgress {
        let until = self.step_since(id).plus(step.timeout_ms.unwrap_or_default());
        for name in plan.coupled_groups() {
            match self.translate_coupled_group(id, name, to, until, now) {
                StepProgress::Done => {}
                // What a rehearsal finds while the producer still runs says little: it is told, and that is all.
                StepProgress::Fail(why, _) | StepProgress::Help(why, _) if self.state.runs[&id].dry_run => {
                    let subject = self.state.runs[&id].subject.clone();
                    let what =
                        format!("dry run: {name}, which moves with it, as it is now: {why}", name = visible_name(name));
                    self.emit(CONTROLLER, Event::Noticed { subject, what }, now);
                }
                other => return other,
            }
        }
        StepProgress::Done
    }

    fn translate_coupled_group(&mut self, id: RunId, name: &str, to: Side, until: At, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let attempt = &run.effects[run.fresh_from.min(run.effects.len())..];
        let mine: Vec<_> = attempt
            .iter()
            .filter(|e| matches!(&e.issued.effect, Effect::Translate { group, .. } if group == name))
            .collect();
        let (tries, last) = (mine.len(), mine.last().and_then(|e| e.outcome.clone()));
        match last {
            Some((Outcome::Done { result: EffectResult::Plan { plan } }, _)) => {
                // All groups are walked at each look: what is journalled of one is behind it.
                if run.coupled.iter().any(|(g, p)| g == name && *p == plan) {
                    return StepProgress::Done;
                }
                match self.check_coupled_plan(id, name, to, &plan, now) {
                    Err((why, advice)) => fail_step(why, advice),
                    Ok(()) => {
                        self.emit(CONTROLLER, Event::Coupled { run: id, group: name.to_owned(), plan }, now);
                        StepProgress::Done
                    }
                }
            }
            Some((Outcome::Failed { why } | Outcome::Unknown { why }, _)) if tries >= TRANSLATE_ATTEMPTS => fail_step(
                format!("the translation of {name} failed {tries} times: {why}", name = visible_name(name)),
                why.advice,
            ),
            Some((Outcome::Done { .. }, _)) => {
                fail_step(format!("the translation of {name} brought no plan", name = visible_name(name)), "")
            }
            _ => {
                // Its members may still count until their session ends.
                // A rehearsal finds them at work.
                for side in if run.dry_run { &[][..] } else { &Side::BOTH[..] } {
                    let seen = self.rule_context(now).latest_look(name, *side).filter(|s| s.at > self.step_since(id));
                    match seen.map(|s| s.view) {
                        Some(view) if view.is_none_or(|v| group::is_empty(v) && v.trouble.is_none()) => {}
                        _ if now < until => {
                            return StepProgress::Wait(
                                format!("waiting until {name} is Empty on {side}", name = visible_name(name)),
                                Some(until),
                            );
                        }
                        _ => {
                            return fail_step(
                                format!("{name} is not Empty on {side}", name = visible_name(name)),
                                "stop what still runs there",
                            );
                        }
                    }
                }
                let topics = group::topics_read(&self.rule_context(now), name, to.other());
                self.issue(id, Effect::Translate { group: name.to_owned(), to, chosen: None, topics }, now);
                StepProgress::Wait("reading both logs".into(), Some(until))
            }
        }
    }

    /// Whether a group may be moved with its producer: proven, nothing lost, nothing read again but what was accepted.
    fn check_coupled_plan(
        &self,
        id: RunId,
        name: &str,
        to: Side,
        plan: &GroupTranslation,
        now: At,
    ) -> Result<(), (String, String)> {
        let run = &self.state.runs[&id];
        let sight = self.rule_context(now);
        let refuse =
            |why: String, advice: &str| Err((format!("{name}: {why}", name = visible_name(name)), advice.to_owned()));
        let planned = plan.target_partitions();
        let topics = group::topics_read(&sight, name, to.other());
        let there = self.estate.side(to).value().map(|v| group::list_partitions(v, &topics)).unwrap_or_default();
        if let Some(tp) = there.iter().find(|tp| !planned.contains(tp)) {
            return refuse(format!("the translation leaves {tp} out"), "measure it");
        }
        if let Some(why) = overrides::describe_impossible(plan, to) {
            return refuse(why, &self.advise_impossible(plan, false, now));
        }
        let accepted = run.accepted.iter().find(|a| a.gate == GateName::ReRead);
        let limit = match accepted {
            Some(_) => self.settings.groups.get(name).map_or(0, |g| g.max_re_read),
            None => 0,
        };
        if let Some(held) = overrides::list_held_gates(plan, to, Some(limit), true).first() {
            let advice = match held.gate {
                GateName::ReRead => {
                    "each would be a duplicate in its sink: wait for a quieter time, or pass over it: --override re-read"
                }
                GateName::Missing => "replay them to that side first (the ranges: cutover offsets plan)",
                _ => "see what its topics are written by, then try again",
            };
            return refuse(held.why.clone(), advice);
        }
        let weak = plan.partitions.iter().find(|p| p.verdict != Verdict::Proven && !p.is_source_only());
        match weak.filter(|p| p.verdict != Verdict::Bounded || accepted.is_none()) {
            None => Ok(()),
            Some(p) => refuse(
                format!("{} is {} on {to}: {}", p.tp, p.verdict, p.why.as_deref().unwrap_or("not proven")),
                "an exactly-once producer's own reading is moved PROVEN only, or by typing: --override re-read",
            ),
        }
    }

    /// Commits one group after the other.
    pub(super) fn commit_coupled(&mut self, id: RunId, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let dry = run.dry_run;
        // Nothing is committed behind a commit of which nobody knows whether it took.
        if run.current_effect().is_some_and(|e| !matches!(e.outcome, Some((Outcome::Done { .. }, _)))) {
            return match self.ensure_effect(id, now, |_, _| Err(fail_step("no commit is under way", ""))) {
                Err(next) => next,
                Ok(_) => StepProgress::Again,
            };
        }
        let coupled = run.coupled.clone();
        // One commit each, in the order of the groups: the number of answers says whose turn it is.
        let done: Vec<EffectResult> = run.effects[run.fresh_from.min(run.effects.len())..]
            .iter()
            .filter_map(|e| match &e.outcome {
                Some((Outcome::Done { result }, _)) if e.step == run.step => Some(result.clone()),
                _ => None,
            })
            .collect();
        for ((name, plan), answer) in coupled.iter().zip(&done) {
            if let Some(why) = not_as_asked(plan, answer).filter(|_| !dry) {
                return fail_step(
                    format!("{name}: {why} on {side}", name = visible_name(name)),
                    "find who else commits there",
                );
            }
        }
        match coupled.get(done.len()) {
            None => StepProgress::Done,
            Some((name, plan)) => self.commit_coupled_group(id, name, plan, side, now),
        }
    }

    fn commit_coupled_group(
        &mut self,
        id: RunId,
        name: &str,
        plan: &GroupTranslation,
        side: Side,
        now: At,
    ) -> StepProgress {
        if let Some(t) = Side::BOTH.into_iter().find_map(|s| self.rule_context(now).identity_trouble(s)) {
            return StepProgress::Help(t.what, t.advice);
        }
        let view = match self.look_for_empty(id, name, side, self.step_since(id), now) {
            Ok(view) => view,
            Err(next) => return next,
        };
        let has = committed_offsets(view);
        let offsets = wanted_offsets(plan);
        let before = offsets.iter().map(|(tp, _)| (tp.clone(), has.get(tp).copied())).collect();
        let own = group::owns_offsets(&self.rule_context(now), name, side);
        if let Some(held) = cost::find_commits_ahead(name, side, &has, offsets.iter().cloned()).filter(|_| !own) {
            return fail_step(held.why, "find out who did, or delete those offsets; they are never set back silently");
        }
        let had = committed_metadata(view, offsets.iter().map(|(tp, _)| tp));
        let metadata = plan.partitions.iter().filter_map(planned_metadata).collect();
        let group = self.rule_context(now).id_on(name, side).to_owned();
        self.issue(id, Effect::CommitOffsets { group, side, offsets, before, metadata, had }, now);
        StepProgress::EffectUnderWay
    }

    /// Right before the switch: what was committed for each coupled group stands, and nobody is in it.
    pub(super) fn check_coupled_stand(&self, id: RunId, side: Side, now: At) -> Result<(), StepProgress> {
        let run = &self.state.runs[&id];
        for (name, plan) in run.coupled.iter().filter(|_| !run.dry_run) {
            let view = self.look_for_empty(id, name, side, self.step_since(id), now)?;
            let has = committed_offsets(view);
            if let Some((tp, o)) = wanted_offsets(plan).iter().find(|(tp, o)| has.get(tp) != Some(o)) {
                let is = has.get(tp).map_or_else(|| "nothing".to_owned(), ToString::to_string);
                return Err(fail_step(
                    format!("{name} has {is} at {tp} on {side}, where {o} was committed", name = visible_name(name)),
                    "find out who changed that",
                ));
            }
        }
        Ok(())
    }

    /// The producer that a group moves with, if its offsets are committed in a producer's transactions.
    #[must_use]
    pub(crate) fn coupled_with(&self, group: &str) -> Option<&str> {
        let mut producers = self.settings.producers.iter();
        producers.find(|(_, p)| p.coupled_groups().iter().any(|g| g == group)).map(|(name, _)| name.as_str())
    }

    /// Groups that a producer's run must see often.
    pub(in crate::migration) fn coupled_groups<'a>(&'a self, subject: &'a Subject) -> &'a [String] {
        match subject {
            Subject::Producer(p) => self.settings.producers.get(p).map_or(&[], ProducerSettings::coupled_groups),
            _ => &[],
        }
    }
}

fn wanted_offsets(plan: &GroupTranslation) -> Vec<(TopicPartition, i64)> {
    plan.partitions.iter().filter_map(|p| Some((p.tp.clone(), p.target.offset?))).collect()
}

/// What reads otherwise than it was committed, in words.
fn not_as_asked(plan: &GroupTranslation, answer: &EffectResult) -> Option<String> {
    let EffectResult::Offsets { offsets } = answer else { return Some("the commit was not read back".to_owned()) };
    let read: BTreeMap<_, _> = offsets.iter().cloned().collect();
    let (tp, o) = wanted_offsets(plan).into_iter().find(|(tp, o)| read.get(tp).copied().flatten() != Some(*o))?;
    let was = read.get(&tp).copied().flatten().map_or("nothing".to_owned(), |o| o.to_string());
    Some(format!("{tp} reads {was} after {o} was committed"))
}

//! Groups whose offsets the producer commits in its transactions: they move together with it, and nothing may be read
//! again, because each record that is read again is a duplicate in the producer's own topics.

use std::collections::BTreeMap;

use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{Answer, Effect, Outcome};
use crate::migration::facts::event::{Event, RunId};
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::rules::cost;
use crate::migration::rules::drain::committed;
use crate::migration::rules::group;
use crate::migration::run::machine::{CONTROLLER, Machine};
use crate::migration::run::offset_steps::{carried, carried_on};
use crate::migration::run::runbook::{Step, TRANSLATE_ATTEMPTS};
use crate::migration::run::steps::{Next, fail};
use crate::offsets::verdict::{GroupPlan, Verdict};

impl Machine {
    /// Translates one group after the other.
    pub(super) fn couple(&mut self, id: RunId, plan: &ProducerSettings, step: &Step, to: Side, now: At) -> Next {
        let until = self.since(id).plus(step.timeout_ms.unwrap_or_default());
        for name in plan.coupled() {
            match self.couple_one(id, name, to, until, now) {
                Next::Done => {}
                // What a rehearsal finds while the producer still runs says little: it is told, and that is all.
                Next::Fail(why, _) | Next::Help(why, _) if self.state.runs[&id].dry_run => {
                    let subject = self.state.runs[&id].subject.clone();
                    let what =
                        format!("dry run: {name}, which moves with it, as it is now: {why}", name = visible_name(name));
                    self.emit(CONTROLLER, Event::Noticed { subject, what }, now);
                }
                other => return other,
            }
        }
        Next::Done
    }

    fn couple_one(&mut self, id: RunId, name: &str, to: Side, until: At, now: At) -> Next {
        let run = &self.state.runs[&id];
        let attempt = &run.effects[run.fresh_from.min(run.effects.len())..];
        let mine: Vec<_> = attempt
            .iter()
            .filter(|e| matches!(&e.issued.effect, Effect::Translate { group, .. } if group == name))
            .collect();
        let (tries, last) = (mine.len(), mine.last().and_then(|e| e.outcome.clone()));
        match last {
            Some((Outcome::Done { result: Answer::Plan { plan } }, _)) => {
                if run.coupled.iter().any(|(g, p)| g == name && *p == plan) {
                    return Next::Done;
                }
                match self.couples(id, name, to, &plan, now) {
                    Err((why, advice)) => fail(why, advice),
                    Ok(()) => {
                        self.emit(CONTROLLER, Event::Coupled { run: id, group: name.to_owned(), plan }, now);
                        Next::Done
                    }
                }
            }
            Some((Outcome::Failed { why } | Outcome::Unknown { why }, _)) if tries >= TRANSLATE_ATTEMPTS => fail(
                format!("the translation of {name} failed {tries} times: {why}", name = visible_name(name)),
                why.advice,
            ),
            Some((Outcome::Done { .. }, _)) => {
                fail(format!("the translation of {name} brought no plan", name = visible_name(name)), "")
            }
            _ => {
                // Its members may still count until their session ends.
                for side in if run.dry_run { &[][..] } else { &Side::BOTH[..] } {
                    let seen = self.sight(now).seen(name, *side).filter(|s| s.at > self.since(id));
                    match seen.map(|s| s.view) {
                        Some(view) if view.is_none_or(|v| group::is_empty(v) && v.trouble.is_none()) => {}
                        _ if now < until => {
                            return Next::Wait(
                                format!("waiting until {name} is Empty on {side}", name = visible_name(name)),
                                Some(until),
                            );
                        }
                        _ => {
                            return fail(
                                format!("{name} is not Empty on {side}", name = visible_name(name)),
                                "stop what still runs there",
                            );
                        }
                    }
                }
                let topics = group::topics(&self.sight(now), name, to.other());
                self.issue(id, Effect::Translate { group: name.to_owned(), to, chosen: None, topics }, now);
                Next::Wait("reading both logs".into(), Some(until))
            }
        }
    }

    /// Whether a group may be moved with its producer: proven, nothing lost, nothing read again but what was accepted.
    fn couples(&self, id: RunId, name: &str, to: Side, plan: &GroupPlan, now: At) -> Result<(), (String, String)> {
        let run = &self.state.runs[&id];
        let sight = self.sight(now);
        let refuse =
            |why: String, advice: &str| Err((format!("{name}: {why}", name = visible_name(name)), advice.to_owned()));
        let planned: BTreeMap<&TopicPartition, _> = plan.partitions.iter().map(|p| (&p.tp, p)).collect();
        let topics = group::topics(&sight, name, to.other());
        let there = self.estate.side(to).value().map(|v| group::partitions(v, &topics)).unwrap_or_default();
        if let Some(tp) = there.iter().find(|tp| !planned.contains_key(tp)) {
            return refuse(format!("the translation leaves {tp} out"), "measure it");
        }
        if let Some(why) = overrides::impossible(plan, to) {
            return refuse(why, "look at the group's partitions, or choose another strategy for its topics");
        }
        let accepted = run.accepted.iter().find(|a| a.gate == GateName::ReRead);
        let limit = match accepted {
            Some(_) => self.settings.groups.get(name).map_or(0, |g| g.max_re_read),
            None => 0,
        };
        if let Some(held) = overrides::held(plan, to, Some(limit), true).first() {
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
    pub(super) fn couple_commit(&mut self, id: RunId, side: Side, now: At) -> Next {
        let run = &self.state.runs[&id];
        let dry = run.dry_run;
        if run.effect().is_some_and(|e| !matches!(e.outcome, Some((Outcome::Done { .. }, _)))) {
            return match self.effect(id, now, |_, _| Err(fail("no commit is under way", ""))) {
                Err(next) => next,
                Ok(_) => Next::Again,
            };
        }
        let coupled = run.coupled.clone();
        let done: Vec<Answer> = run.effects[run.fresh_from.min(run.effects.len())..]
            .iter()
            .filter_map(|e| match &e.outcome {
                Some((Outcome::Done { result }, _)) if e.step == run.step => Some(result.clone()),
                _ => None,
            })
            .collect();
        for ((name, plan), answer) in coupled.iter().zip(&done) {
            if let Some(why) = not_as_asked(plan, answer).filter(|_| !dry) {
                return fail(
                    format!("{name}: {why} on {side}", name = visible_name(name)),
                    "find who else commits there",
                );
            }
        }
        match coupled.get(done.len()) {
            None => Next::Done,
            Some((name, plan)) => self.couple_commit_one(id, name, plan, side, now),
        }
    }

    fn couple_commit_one(&mut self, id: RunId, name: &str, plan: &GroupPlan, side: Side, now: At) -> Next {
        if let Some(t) = Side::BOTH.into_iter().find_map(|s| self.sight(now).identity_trouble(s)) {
            return Next::Help(t.what, t.advice);
        }
        let view = match self.empty_look(id, name, side, self.since(id), now) {
            Ok(view) => view,
            Err(next) => return next,
        };
        let has = committed(view);
        let offsets = wanted(plan);
        let before = offsets.iter().map(|(tp, _)| (tp.clone(), has.get(tp).copied())).collect();
        let own = group::owns(&self.sight(now), name, side);
        if let Some(held) = cost::ahead(name, side, &has, offsets.iter().cloned()).filter(|_| !own) {
            return fail(held.why, "find out who did, or delete those offsets; they are never set back silently");
        }
        let had = carried(view, offsets.iter().map(|(tp, _)| tp));
        let metadata = plan.partitions.iter().filter_map(carried_on).collect();
        let group = self.sight(now).id_on(name, side).to_owned();
        self.issue(id, Effect::CommitOffsets { group, side, offsets, before, metadata, had }, now);
        Next::Wait("under way".into(), None)
    }

    /// Right before the switch: what was committed for each coupled group stands, and nobody is in it.
    pub(super) fn coupled_stand(&self, id: RunId, side: Side, now: At) -> Result<(), Next> {
        let run = &self.state.runs[&id];
        for (name, plan) in run.coupled.iter().filter(|_| !run.dry_run) {
            let view = self.empty_look(id, name, side, self.since(id), now)?;
            let has = committed(view);
            if let Some((tp, o)) = wanted(plan).iter().find(|(tp, o)| has.get(tp) != Some(o)) {
                let is = has.get(tp).map_or_else(|| "nothing".to_owned(), ToString::to_string);
                return Err(fail(
                    format!("{name} has {is} at {tp} on {side}, where {o} was committed", name = visible_name(name)),
                    "find out who changed that",
                ));
            }
        }
        Ok(())
    }

    /// The producer that a group moves with, if its offsets are committed in a producer's transactions.
    #[must_use]
    pub fn coupled_with(&self, group: &str) -> Option<&str> {
        let mut producers = self.settings.producers.iter();
        producers.find(|(_, p)| p.coupled().iter().any(|g| g == group)).map(|(name, _)| name.as_str())
    }

    /// Groups that a producer's run must see often.
    pub(in crate::migration) fn coupled_groups<'a>(&'a self, subject: &'a Subject) -> &'a [String] {
        match subject {
            Subject::Producer(p) => self.settings.producers.get(p).map_or(&[], ProducerSettings::coupled),
            _ => &[],
        }
    }
}

fn wanted(plan: &GroupPlan) -> Vec<(TopicPartition, i64)> {
    plan.partitions.iter().filter_map(|p| Some((p.tp.clone(), p.target.offset?))).collect()
}

/// What reads otherwise than it was committed, in words.
fn not_as_asked(plan: &GroupPlan, answer: &Answer) -> Option<String> {
    let Answer::Offsets { offsets } = answer else { return Some("the commit was not read back".to_owned()) };
    let read: BTreeMap<_, _> = offsets.iter().cloned().collect();
    let (tp, o) = wanted(plan).into_iter().find(|(tp, o)| read.get(tp).copied().flatten() != Some(*o))?;
    let was = read.get(&tp).copied().flatten().map_or("nothing".to_owned(), |o| o.to_string());
    Some(format!("{tp} reads {was} after {o} was committed"))
}

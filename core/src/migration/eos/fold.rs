//! What a journal amounts to for exactly-once producers.

use crate::base::{At, Side};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, JournalEntry, RunId, RunKind};
use crate::migration::facts::stage::Stage;
use crate::migration::facts::state::{Approval, ProducerState, State};

impl ProducerState {
    /// The side on which an exactly-once producer rests.
    #[must_use]
    pub fn rests_on(&self) -> Side {
        match self.rest {
            Stage::Soaking { .. } | Stage::Complete { .. } => Side::Green,
            _ => Side::Blue,
        }
    }
}

impl State {
    /// The side on which an exactly-once producer rests, or rested before the run that is under way.
    #[must_use]
    pub fn producer_rests_on(&self, producer: &str) -> Side {
        self.producers.get(producer).map_or(Side::Blue, ProducerState::rests_on)
    }

    pub(in crate::migration) fn apply_producer_started(&mut self, name: &str, run: RunId, dry: bool) {
        let p = self.producers.entry(name.to_owned()).or_default();
        p.run = Some(run);
        // A rehearsal answers no alarm.
        if !dry {
            p.alarm = None;
        }
    }

    pub(in crate::migration) fn apply_approval(&mut self, producer: &str, facts: &str, entry: &JournalEntry) {
        let approval = Approval { by: entry.actor.clone(), at: entry.at, facts: facts.to_owned() };
        self.producers.entry(producer.to_owned()).or_default().approved = Some(approval);
    }

    pub(in crate::migration) fn apply_hard_run_event(&mut self, id: RunId, event: &Event, at: At) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Subject::Producer(name) = run.subject.clone() else { return };
        match event {
            Event::Coupled { group, plan, .. } => {
                run.coupled.retain(|(g, _)| g != group);
                run.coupled.push((group.clone(), plan.clone()));
            }
            Event::Seamed { to, seams, .. } => {
                run.seam = Some((at, seams.clone()));
                // Before that nobody was let in by this seam: it may still be read anew.
                if run.no_return && !run.dry_run {
                    self.seams.record(*to, seams, at);
                }
            }
            Event::PointOfNoReturn { .. } => {
                if let (Some((at, seams)), false) = (&run.seam, run.dry_run) {
                    self.seams.record(run.to, seams, *at);
                }
            }
            // It may take from here on; whether it did is known with its result.
            Event::Intent { issued, .. } if !run.dry_run => {
                let Effect::Deny { side, acls, .. } = &issued.effect else { return };
                let denied = self.producers.entry(name).or_default().denied.entry(*side).or_default();
                let new: Vec<_> = acls.iter().filter(|a| !denied.contains(a)).cloned().collect();
                denied.extend(new);
            }
            Event::Result { key, outcome, .. } if !run.dry_run => self.apply_hard_outcome(id, &name, key, outcome),
            // What was agreed to has begun, or was given up: the next cut is agreed to anew. (The gate asks for it once
            // more when the run begins.)
            Event::StepDone { .. } | Event::RunEnded { .. } if !run.dry_run && run.kind != RunKind::Route => {
                self.producers.entry(name).or_default().approved = None;
            }
            Event::Continued { .. } if run.is_open() && run.no_return => {
                run.seen.append(&mut run.rogues);
            }
            Event::Continued { .. } if !run.is_open() => {
                self.producers.entry(name).or_default().alarm = None;
            }
            _ => {}
        }
    }

    /// How an effect of a real run ended; `name`: the producer that it moves.
    fn apply_hard_outcome(&mut self, id: RunId, name: &str, key: &str, outcome: &Outcome) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(done) = run.effects.iter().rev().find(|e| e.issued.key == *key) else { return };
        let effect = done.issued.effect.clone();
        if matches!((&effect, outcome), (Effect::Carry { .. }, Outcome::Failed { .. })) {
            // It failed before anything was sent, and so did every one before it: nothing is past return.
            let mut others = run.effects.iter().filter(|e| e.issued.key != *key);
            let sent = others.any(|e| matches!(e.issued.effect, Effect::Carry { .. }) && !e.has_failed());
            run.no_return &= sent || run.seam.is_some();
        }
        let groups = run.coupled.iter().map(|(g, _)| g.clone());
        // The groups are committed in the order in which they were translated, one effect each.
        let commits = run.effects[run.fresh_from.min(run.effects.len())..].iter();
        let commits = commits.filter(|e| matches!(e.issued.effect, Effect::CommitOffsets { .. }));
        let of = commits.zip(groups).find(|(e, _)| e.issued.key == *key).map(|(_, group)| group);
        if let (Effect::CommitOffsets { side, .. }, Some(group), false) =
            (&effect, of, matches!(outcome, Outcome::Failed { .. }))
        {
            self.groups.entry(group).or_default().own.insert(*side);
        }
        self.apply_hard_result(name, &effect, outcome);
    }

    fn apply_hard_result(&mut self, name: &str, effect: &Effect, outcome: &Outcome) {
        let producer = self.producers.entry(name.to_owned()).or_default();
        match (effect, outcome) {
            (Effect::Fence { side, .. }, Outcome::Done { result: EffectResult::Fenced { ids } }) => {
                producer.fenced.insert(*side, ids.clone());
            }
            (Effect::Deny { side, acls, .. }, Outcome::Failed { .. })
            | (Effect::Deny { side, acls, .. }, Outcome::Done { result: EffectResult::NotDenied { .. } })
            | (Effect::Allow { side, acls, .. }, Outcome::Done { .. }) => {
                if let Some(denied) = producer.denied.get_mut(side) {
                    denied.retain(|a| !acls.contains(a));
                }
            }
            (Effect::SetFlag { to, .. }, Outcome::Done { .. }) => {
                // Off and dual are no side on which its ids are at work.
                let side = Side::BOTH.into_iter().find(|s| *to == crate::estate::FlagState::only_on(*s));
                producer.ran_on.extend(side);
            }
            _ => {}
        }
    }

    pub(in crate::migration) fn apply_hard_run_done(&mut self, id: RunId, at: At) {
        let Some(run) = self.runs.get(&id).filter(|r| !r.dry_run) else { return };
        let Subject::Producer(name) = run.subject.clone() else { return };
        let (kind, to) = (run.kind, run.to);
        let coupled: Vec<String> = run.coupled.iter().map(|(g, _)| g.clone()).collect();
        let producer = self.producers.entry(name).or_default();
        let rest = match (kind, to) {
            (RunKind::HardCut, _) => Stage::Soaking { since: at },
            (RunKind::HardBack, _) => Stage::RolledBack { at },
            // It never left for long: what was counted goes on.
            (RunKind::HardGiveBack, Side::Green) if producer.rests_on() == Side::Green => return,
            (RunKind::HardGiveBack, Side::Green) => Stage::Soaking { since: at },
            _ => return,
        };
        producer.rest = rest.clone();
        for group in coupled {
            let group = self.groups.entry(group).or_default();
            // They moved inside its transactions: there is no drain of their own that a soak could hold them to.
            (group.rest, group.alarm, group.drained) = (rest.clone(), None, None);
        }
    }
}

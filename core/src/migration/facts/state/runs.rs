//! What a journal amounts to for runs: how one starts, what happens in it, how it ends.

use std::collections::{BTreeMap, BTreeSet};

use super::{JournalledEffect, Run, State};
use crate::base::{At, Side};
use crate::estate::FlagState;
use crate::migration::eos::Rogue;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::effect::{Effect, IssuedEffect, Outcome};
use crate::migration::facts::event::{Event, JournalEntry, RunEnd, RunId, RunKind};
use crate::migration::facts::stage::Stage;

impl Run {
    /// The run that an entry starts, before its first step; `None`: it starts none.
    fn from_start(entry: &JournalEntry, to: Side, replaces: Option<RunId>, no_return: bool) -> Option<Run> {
        let Event::RunStarted { run, kind, subject, command, max_re_read, dry_run, accepted, .. } = &entry.event else {
            return None;
        };
        Some(Run {
            id: *run,
            kind: *kind,
            subject: subject.clone(),
            command: command.clone(),
            actor: entry.actor.clone(),
            started: entry.at,
            dry_run: *dry_run,
            to,
            replaces,
            max_re_read: *max_re_read,
            step: 0,
            begun: None,
            fresh_from: 0,
            done: BTreeMap::new(),
            claimed: None,
            effects: Vec::new(),
            reading: None,
            proof: None,
            predicted: None,
            topic_ids: BTreeMap::new(),
            coupled: Vec::new(),
            seam: None,
            accepted: accepted.clone(),
            passed_over: Vec::new(),
            no_return,
            needs: None,
            rogues: Vec::new(),
            went_on: 0,
            seen: Vec::new(),
            ended: None,
        })
    }
}

/// The side that a run goes to. `old`: the run that it takes over from.
fn find_destination(kind: RunKind, command: &Command, old: Option<&Run>) -> Side {
    match (kind, command) {
        (RunKind::ResetOffsets, Command::ResetOffsets { to, .. }) => *to,
        (RunKind::RollBack | RunKind::HardBack, _) => Side::Blue,
        // Back to where the run came from that it takes over; a give-back of a give-back goes the same way.
        (RunKind::GiveBack | RunKind::HardGiveBack, _) => match old {
            Some(r) if r.kind.gives_back() => r.to,
            Some(r) => r.to.other(),
            None => Side::Blue,
        },
        _ => Side::Green,
    }
}

impl State {
    pub(super) fn apply_run_started(&mut self, entry: &JournalEntry) {
        let Event::RunStarted { run, kind, subject, command, dry_run, .. } = &entry.event else { return };
        let replaces = self.open_run(subject).map(|r| r.id);
        let old = replaces.and_then(|id| self.runs.get(&id));
        let to = find_destination(*kind, command, old);
        // What another rollback may have carried can't be taken back by its heir either.
        let goes_on = old.is_some_and(|r| {
            *kind == RunKind::HardBack && r.kind == RunKind::HardBack && r.no_return && !(*dry_run || r.dry_run)
        });
        let Some(new) = Run::from_start(entry, to, replaces, goes_on) else { return };
        let alone = match command {
            Command::Route { producer, to: FlagState::Green, .. } | Command::HardCut { producer, .. } => Some(producer),
            _ => None,
        };
        if let Some(producer) = alone.filter(|_| !*dry_run) {
            self.producers.entry(producer.clone()).or_default().green_alone = Some(entry.at);
        }
        self.last_run = self.last_run.max(*run);
        self.drop_replaced_runs(subject, replaces, *dry_run);
        match subject {
            Subject::Group(g) => self.apply_group_started(g, &new),
            Subject::Producer(p) => self.apply_producer_started(p, *run, *dry_run),
            _ => {}
        }
        self.runs.insert(*run, new);
    }

    fn apply_group_started(&mut self, group: &str, run: &Run) {
        let g = self.groups.entry(group.to_owned()).or_default();
        g.run = Some(run.id);
        if !run.dry_run {
            g.moved = Some(run.id);
            g.alarm = None;
            g.fired.clear();
            match run.kind {
                RunKind::CutOver => {
                    g.baselines.clear();
                    g.rolled_back_by_trigger = false;
                }
                RunKind::RollBack => g.rolled_back_by_trigger |= run.actor.is_trigger(),
                _ => {}
            }
        }
        // A run that takes over keeps it: it says why the one before could not go on.
        if run.replaces.is_none() {
            g.remark = None;
        }
    }

    /// Drops the subject's runs that nothing refers to any more. A rehearsal (`dry`) makes none of them forgotten.
    fn drop_replaced_runs(&mut self, subject: &Subject, replaces: Option<RunId>, dry: bool) {
        let moved = match subject {
            Subject::Group(g) if dry => self.groups.get(g).and_then(|g| g.moved),
            _ => None,
        };
        let kept = replaces.into_iter().chain(moved);
        let keep: BTreeSet<RunId> = kept.flat_map(|id| self.run_chain(id).map(|r| r.id)).collect();
        self.runs.retain(|id, r| r.subject != *subject || keep.contains(id));
    }

    pub(super) fn apply_run_event(&mut self, id: RunId, event: &Event, at: At) {
        self.apply_hard_run_event(id, event, at);
        let Some(run) = self.runs.get_mut(&id) else { return };
        match event {
            Event::StepStarted { step, .. } => {
                (run.step, run.begun, run.fresh_from) = (*step, Some(at), run.effects.len());
                // What followed from a step is undone with it.
                run.done.retain(|s, _| s < step);
            }
            Event::StepDone { step, .. } => {
                run.done.insert(*step, at);
                (run.step, run.begun, run.fresh_from) = (step + 1, None, run.effects.len());
            }
            Event::Intent { issued, .. } => self.apply_intent(id, issued, at),
            Event::Result { key, outcome, .. } => self.apply_outcome(id, key, outcome, at),
            Event::Reading { reading, .. } => run.reading = Some(reading.clone()),
            Event::Drained { proof, .. } => run.proof = Some(proof.clone()),
            Event::Predicted { plan, topic_ids, .. } => {
                (run.predicted, run.topic_ids) = (Some(plan.clone()), topic_ids.clone());
            }
            Event::PassedOver { passed, .. } => {
                run.passed_over.retain(|p| p.gate != passed.gate);
                run.passed_over.push(passed.clone());
            }
            Event::PointOfNoReturn { .. } => run.no_return = true,
            Event::NeedsOperator { why, advice, rogues, .. } => {
                self.apply_need(id, (why.clone(), advice.clone()), rogues.clone());
            }
            Event::Continued { .. } => self.apply_continued(id),
            Event::RunEnded { end, .. } => self.apply_run_ended(id, end, at),
            _ => {}
        }
    }

    fn apply_intent(&mut self, id: RunId, issued: &IssuedEffect, at: At) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.effects.push(JournalledEffect { issued: issued.clone(), step: run.step, at, outcome: None });
        if let (Effect::CommitOffsets { side, .. }, false, Subject::Group(g)) =
            (&issued.effect, run.dry_run, &run.subject)
        {
            // It may take from here on; whether it did is known with its result.
            if self.groups.entry(g.clone()).or_default().own.insert(*side) {
                run.claimed = Some(*side);
            }
        }
    }

    fn apply_outcome(&mut self, id: RunId, key: &str, outcome: &Outcome, at: At) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(e) = run.effects.iter_mut().rev().find(|e| e.issued.key == *key) else { return };
        e.outcome = Some((outcome.clone(), at));
        let Effect::CommitOffsets { side, .. } = &e.issued.effect else { return };
        let (side, Subject::Group(g)) = (*side, &run.subject) else { return };
        match outcome {
            Outcome::Unknown { .. } => {}
            Outcome::Done { .. } => run.claimed = None,
            // Nothing was written: what is found there is still somebody else's.
            Outcome::Failed { .. } => {
                if run.claimed.take_if(|claimed| *claimed == side).is_some() {
                    self.groups.entry(g.clone()).or_default().own.remove(&side);
                }
            }
        }
    }

    /// A person is needed: by the run, or where that is over by what it moved.
    fn apply_need(&mut self, id: RunId, needs: (String, String), rogues: Vec<Rogue>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let needs = Some(needs);
        match (run.is_open(), run.subject.clone()) {
            (false, Subject::Group(g)) => self.groups.entry(g).or_default().alarm = needs,
            (false, Subject::Producer(p)) => {
                let p = self.producers.entry(p).or_default();
                (p.alarm, p.rogues) = (needs, rogues);
            }
            _ => (run.needs, run.rogues) = (needs, rogues),
        }
    }

    fn apply_continued(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.needs = None;
        if let (false, Subject::Group(g)) = (run.is_open(), run.subject.clone()) {
            let g = self.groups.entry(g).or_default();
            // The person has seen it: what stands now is what must stand from here.
            (g.alarm, g.drained) = (None, None);
            // ... and that it stays where it is: what has fired does not act any more.
            g.fired.values_mut().for_each(|fired| fired.acts_at = None);
        }
    }

    fn apply_run_ended(&mut self, id: RunId, end: &RunEnd, at: At) {
        if *end == RunEnd::Done {
            self.apply_hard_run_done(id, at);
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        (run.ended, run.needs) = (Some((end.clone(), at)), None);
        let (RunEnd::Done, Subject::Group(g), false) = (end, &run.subject, run.dry_run) else { return };
        let group = self.groups.entry(g.clone()).or_default();
        match (run.kind, run.to) {
            (RunKind::CutOver, _) => group.green_ids.clone_from(&run.topic_ids),
            // A give-back translates nothing anew where nothing was committed, and offsets may be set on a part.
            (RunKind::GiveBack | RunKind::ResetOffsets, Side::Green) => group.green_ids.extend(run.topic_ids.clone()),
            _ => {}
        }
        group.rest = match (run.kind, run.to) {
            (RunKind::CutOver, _) | (RunKind::GiveBack, Side::Green) => Stage::Soaking { since: at },
            (RunKind::RollBack, _) => Stage::RolledBack { at },
            _ => return,
        };
        group.drained = run.proof.clone();
        if let Some(reading) = &run.reading {
            group.took.clone_from(&reading.topics);
        }
    }
}

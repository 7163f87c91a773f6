//! State = fold(Entry). Nothing that outlives a restart is kept anywhere else, and nothing here is set but by an event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::{Command, Subject};
use super::effect::{Effect, IssuedEffect, Outcome};
use super::event::{DrainProof, Event, JournalEntry, RunEnd, RunId, RunKind};
use super::overrides::{Accepted, PassedOver};
use super::stage::Stage;
use crate::base::{Actor, At, Side, Sides};
use crate::estate::FlagState;
use crate::estate::acl::Acl;
use crate::migration::eos::{FencedId, PartitionSeam, Rogue, Seams};
use crate::migration::rules::reads::{RememberedReads, RunTopics};
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::firing::Fired;
use crate::offsets::verdict::GroupTranslation;

/// Remarks kept for screens.
const REMARKS: usize = 50;

/// What a journal amounts to.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Number of the last run.
    pub last_run: RunId,
    /// Cluster ids that were seen first and are pinned.
    pub pins: Sides<Option<String>>,
    /// Groups that anything was written about, by id on blue.
    pub groups: BTreeMap<String, GroupRecord>,
    /// Producers that anything was written about.
    pub producers: BTreeMap<String, ProducerState>,
    /// Where the writers of topics went from one cluster to the other.
    pub seams: Seams,
    /// Who holds the whole migration, and why.
    pub held: Option<(String, String)>,
    /// Runs that are open, and the last one of each subject with those it replaced; of a group also the last that is no
    /// rehearsal.
    pub runs: BTreeMap<RunId, Run>,
    /// The newest remarks: when, about what, what.
    pub remarks: VecDeque<(At, Subject, String)>,
}

/// A group in the journal.
#[derive(Debug, Clone, Default)]
pub struct GroupRecord {
    /// Where it rests, or rested before the run that is under way.
    pub rest: Stage,
    /// The run under way, or the last.
    pub run: Option<RunId>,
    /// The last that is no rehearsal: only what it did is evidence of where the group was left.
    pub moved: Option<RunId>,
    /// Who holds it, and why.
    pub held: Option<(String, String)>,
    /// Sides on which this journal committed offsets for it, or on which it ran: offsets found there are its own.
    pub own: BTreeSet<Side>,
    /// Why it waits for a person although no run is under way, and what can be done.
    pub alarm: Option<(String, String)>,
    /// Commits that stood still when the old side was drained: they must stand through the soak.
    pub drained: Option<DrainProof>,
    /// Topics that its last move took along.
    pub took: BTreeSet<String>,
    /// Ids of the topics that its offsets on green are of, by blue's names: as they were translated for since it came
    /// there. They outlast the run, which a later one replaces.
    pub green_ids: BTreeMap<String, String>,
    /// The last remark about it.
    pub remark: Option<(At, String)>,
    /// What its soak is compared with, as measured before it.
    pub baselines: BTreeMap<Metric, f64>,
    /// Rollback triggers that fired while it rests on green, by name.
    pub fired: BTreeMap<String, Fired>,
    /// A trigger has rolled it back since its last cutover: the next one asks a person.
    pub rolled_back_by_trigger: bool,
    /// What its members were seen to read besides what it has committed, by side.
    pub reads: BTreeMap<Side, RememberedReads>,
    /// When that was written down.
    pub reads_at: BTreeMap<Side, At>,
}

/// A producer in the journal.
#[derive(Debug, Clone, Default)]
pub struct ProducerState {
    /// The run under way, or the last.
    pub run: Option<RunId>,
    /// Who holds it, and why.
    pub held: Option<(String, String)>,
    /// Exactly-once: where it rests, or rested before the run that is under way.
    pub rest: Stage,
    /// Sides on which this journal started it with its transactional ids of that side.
    pub ran_on: BTreeSet<Side>,
    /// Who agreed to its hard cutover.
    pub approved: Option<Approval>,
    /// Its ids as they were fenced last, by side.
    pub fenced: BTreeMap<Side, Vec<FencedId>>,
    /// When it was last set to write to green alone.
    pub green_alone: Option<At>,
    /// Denials that were made from here and not removed since, by side.
    pub denied: BTreeMap<Side, Vec<Acl>>,
    /// Why it waits for a person although no run is under way, and what can be done.
    pub alarm: Option<(String, String)>,
    /// What that names of the side that was left.
    pub rogues: Vec<Rogue>,
}

/// Another person's agreement to a hard cutover, as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: At,
    /// The facts that were agreed to.
    pub facts: String,
}

/// An effect as journalled.
#[derive(Debug, Clone)]
pub struct JournalledEffect {
    /// Effect and key.
    pub issued: IssuedEffect,
    /// The step it belongs to.
    pub step: usize,
    /// When the intent was written.
    pub at: At,
    /// How it ended, and when that was written; `None`: nobody knows.
    pub outcome: Option<(Outcome, At)>,
}

impl JournalledEffect {
    /// Whether it is known to have been done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Some((Outcome::Done { .. }, _)))
    }

    /// Whether it is known that it was not done.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.outcome, Some((Outcome::Failed { .. }, _)))
    }

    /// Whether it changed something, or may have.
    #[must_use]
    pub(crate) fn may_have_changed(&self) -> bool {
        self.issued.effect.changes() && !self.has_failed()
    }
}

/// One execution of a runbook.
#[derive(Debug, Clone)]
pub struct Run {
    /// Number.
    pub id: RunId,
    /// What it does.
    pub kind: RunKind,
    /// What it is about.
    pub subject: Subject,
    /// As given.
    pub command: Command,
    /// Who started it.
    pub actor: Actor,
    /// When.
    pub started: At,
    /// Changes nothing.
    pub dry_run: bool,
    /// The side it goes to.
    pub to: Side,
    /// The run it took over from.
    pub replaces: Option<RunId>,
    /// The re-read limit that was shown.
    pub max_re_read: Option<u64>,
    /// The step under way, from 0.
    pub step: usize,
    /// When that step began; `None` before it does.
    pub begun: Option<At>,
    /// Effects before this one belong to earlier attempts at the step.
    pub fresh_from: usize,
    /// When each step was done; absent when it was not, or has to be done again.
    pub done: BTreeMap<usize, At>,
    /// The side whose offsets count as this journal's own only since this run's commit, whose end is not known yet.
    pub claimed: Option<Side>,
    /// Its effects, oldest first.
    pub effects: Vec<JournalledEffect>,
    /// Its topics, as decided before anything was stopped.
    pub reading: Option<RunTopics>,
    /// The drain as proven.
    pub proof: Option<DrainProof>,
    /// The prediction after the drain.
    pub predicted: Option<GroupTranslation>,
    /// Ids of the topics on the side that is committed to, as predicted for; by blue's names.
    pub topic_ids: BTreeMap<String, String>,
    /// Groups that are coupled with the producer it moves, as translated; the newest last.
    pub coupled: Vec<(String, GroupTranslation)>,
    /// The seam that it journalled, and when; before the point of no silent return it may be read again.
    pub seam: Option<(At, Vec<PartitionSeam>)>,
    /// Gates that were passed over with its confirmation.
    pub accepted: Vec<Accepted>,
    /// Gates that held, and were passed over.
    pub passed_over: Vec<PassedOver>,
    /// The point of no silent return was passed.
    pub no_return: bool,
    /// Why it waits for a person, and what can be done.
    pub needs: Option<(String, String)>,
    /// What that names of the side that was left.
    pub rogues: Vec<Rogue>,
    /// How often it went on by itself after a restart.
    pub went_on: u32,
    /// What stood there behind its point of no silent return, and a person has seen it and said go on.
    pub seen: Vec<Rogue>,
    /// How it ended, and when.
    pub ended: Option<(RunEnd, At)>,
}

impl Run {
    /// Whether it is under way.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// The group it moves.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.subject {
            Subject::Group(g) => Some(g),
            _ => None,
        }
    }

    /// The newest effect of the step under way, in this attempt at it.
    #[must_use]
    pub(crate) fn current_effect(&self) -> Option<&JournalledEffect> {
        self.effects.get(self.fresh_from..)?.iter().rev().find(|e| e.step == self.step)
    }

    /// The key for the next effect of the step under way: run, step, attempt.
    #[must_use]
    pub(crate) fn next_key(&self) -> String {
        let attempt = 1 + self.effects.iter().filter(|e| e.step == self.step).count();
        format!("{}/{}/{attempt}", self.id, self.step)
    }
}

impl State {
    /// The run under way for a subject.
    #[must_use]
    pub fn open_run(&self, subject: &Subject) -> Option<&Run> {
        self.last_run_of(subject).filter(|r| r.is_open())
    }

    /// The run under way for a subject, or the last one.
    #[must_use]
    pub fn last_run_of(&self, subject: &Subject) -> Option<&Run> {
        let id = match subject {
            Subject::Group(g) => self.groups.get(g)?.run?,
            Subject::Producer(p) => self.producers.get(p)?.run?,
            _ => return None,
        };
        self.runs.get(&id)
    }

    /// What alarmed about a subject while nothing of it was under way, and what can be done.
    #[must_use]
    pub(crate) fn alarm_of(&self, subject: &Subject) -> Option<&(String, String)> {
        match subject {
            Subject::Group(g) => self.groups.get(g)?.alarm.as_ref(),
            Subject::Producer(p) => self.producers.get(p)?.alarm.as_ref(),
            Subject::Migration | Subject::Cluster(_) => None,
        }
    }

    /// Who holds a subject itself, and why.
    #[must_use]
    pub(crate) fn own_hold(&self, subject: &Subject) -> Option<&(String, String)> {
        match subject {
            Subject::Group(g) => self.groups.get(g)?.held.as_ref(),
            Subject::Producer(p) => self.producers.get(p)?.held.as_ref(),
            Subject::Migration | Subject::Cluster(_) => self.held.as_ref(),
        }
    }

    /// Who holds a subject (itself or the whole migration), and why.
    #[must_use]
    pub fn holder(&self, subject: &Subject) -> Option<&(String, String)> {
        self.own_hold(subject).or(self.held.as_ref())
    }

    /// The run and those it replaced, newest first.
    pub(crate) fn run_chain(&self, id: RunId) -> impl Iterator<Item = &Run> {
        std::iter::successors(self.runs.get(&id), |r| r.replaces.and_then(|id| self.runs.get(&id)))
    }

    /// Takes an entry in.
    pub fn apply(&mut self, entry: &JournalEntry) {
        let at = entry.at;
        match &entry.event {
            Event::Opened { .. } | Event::Closed { .. } => {}
            Event::Pinned { side, cluster_id } => self.pins[*side] = Some(cluster_id.clone()),
            Event::RunStarted { .. } => self.apply_run_started(entry),
            Event::Baselined { group, metric, value, .. } => {
                self.groups.entry(group.clone()).or_default().baselines.insert(*metric, *value);
            }
            Event::TriggerFired { group, trigger, why, arm, countdown_ms, .. } => {
                let acts_at = countdown_ms.map(|ms| at.plus(ms));
                let fired = Fired { at, why: why.clone(), arm: *arm, acts_at };
                self.groups.entry(group.clone()).or_default().fired.insert(trigger.clone(), fired);
            }
            Event::TriggerCleared { group, trigger } => {
                self.groups.entry(group.clone()).or_default().fired.remove(trigger);
            }
            Event::Completed { subject } => self.apply_completed(subject, at),
            Event::Approved { producer, facts } => self.apply_approval(producer, facts, entry),
            Event::Held { subject, why } => self.set_held(subject, Some((entry.actor.to_string(), why.clone()))),
            Event::Resumed { subject } => self.set_held(subject, None),
            Event::Reads { group, side, reads } => {
                let g = self.groups.entry(group.clone()).or_default();
                g.reads.insert(*side, reads.clone());
                g.reads_at.insert(*side, at);
            }
            Event::Noticed { subject, what } => {
                if self.remarks.len() >= REMARKS {
                    self.remarks.pop_front();
                }
                self.remarks.push_back((at, subject.clone(), what.clone()));
                if let Subject::Group(g) = subject {
                    self.groups.entry(g.clone()).or_default().remark = Some((at, what.clone()));
                }
            }
            event => {
                let Some(id) = event.run() else { return };
                if let (Event::Continued { .. }, Some(run)) = (event, self.runs.get_mut(&id)) {
                    run.went_on += u32::from(entry.actor.is_trigger());
                }
                self.apply_run_event(id, event, at);
            }
        }
    }

    fn set_held(&mut self, subject: &Subject, by: Option<(String, String)>) {
        match subject {
            Subject::Group(g) => self.groups.entry(g.clone()).or_default().held = by,
            Subject::Producer(p) => self.producers.entry(p.clone()).or_default().held = by,
            Subject::Migration | Subject::Cluster(_) => self.held = by,
        }
    }

    fn apply_completed(&mut self, subject: &Subject, at: At) {
        match subject {
            Subject::Group(g) => {
                let g = self.groups.entry(g.clone()).or_default();
                g.fired.clear();
                (g.rest, g.alarm) = (Stage::Complete { at }, None);
            }
            Subject::Producer(p) => {
                let p = self.producers.entry(p.clone()).or_default();
                (p.rest, p.alarm) = (Stage::Complete { at }, None);
            }
            Subject::Migration | Subject::Cluster(_) => {}
        }
    }

    fn apply_run_started(&mut self, entry: &JournalEntry) {
        let Event::RunStarted { run, kind, subject, command, max_re_read, dry_run, accepted, .. } = &entry.event else {
            return;
        };
        let replaces = self.open_run(subject).map(|r| r.id);
        let to = match (kind, command) {
            (RunKind::ResetOffsets, Command::ResetOffsets { to, .. }) => *to,
            (RunKind::RollBack | RunKind::HardBack, _) => Side::Blue,
            // Back to where the run came from that it takes over; a give-back of a give-back goes the same way.
            (RunKind::GiveBack | RunKind::HardGiveBack, _) => match replaces.and_then(|id| self.runs.get(&id)) {
                Some(r) if r.kind.gives_back() => r.to,
                Some(r) => r.to.other(),
                None => Side::Blue,
            },
            _ => Side::Green,
        };
        // What another rollback may have carried can't be taken back by its heir either.
        let goes_on = replaces.and_then(|id| self.runs.get(&id)).is_some_and(|r| {
            *kind == RunKind::HardBack && r.kind == RunKind::HardBack && r.no_return && !(*dry_run || r.dry_run)
        });
        let alone = match command {
            Command::Route { producer, to: FlagState::Green, .. } | Command::HardCut { producer, .. } => Some(producer),
            _ => None,
        };
        if let Some(producer) = alone.filter(|_| !*dry_run) {
            self.producers.entry(producer.clone()).or_default().green_alone = Some(entry.at);
        }
        self.last_run = self.last_run.max(*run);
        self.drop_replaced_runs(subject, replaces, *dry_run);
        let new = Run {
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
            no_return: goes_on,
            needs: None,
            rogues: Vec::new(),
            went_on: 0,
            seen: Vec::new(),
            ended: None,
        };
        self.runs.insert(*run, new);
        match subject {
            Subject::Group(g) => {
                let g = self.groups.entry(g.clone()).or_default();
                g.run = Some(*run);
                if !dry_run {
                    g.moved = Some(*run);
                    g.alarm = None;
                    g.fired.clear();
                    match kind {
                        RunKind::CutOver => {
                            g.baselines.clear();
                            g.rolled_back_by_trigger = false;
                        }
                        RunKind::RollBack => g.rolled_back_by_trigger |= entry.actor.is_trigger(),
                        _ => {}
                    }
                }
                // A run that takes over keeps it: it says why the one before could not go on.
                if replaces.is_none() {
                    g.remark = None;
                }
            }
            Subject::Producer(p) => self.apply_producer_started(p, *run, *dry_run),
            _ => {}
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

    fn apply_run_event(&mut self, id: RunId, event: &Event, at: At) {
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
            Event::Intent { issued, .. } => {
                let (step, to, dry) = (run.step, issued.effect.clone(), run.dry_run);
                run.effects.push(JournalledEffect { issued: issued.clone(), step, at, outcome: None });
                if let (Effect::CommitOffsets { side, .. }, false, Subject::Group(g)) = (&to, dry, &run.subject) {
                    // It may take from here on; whether it did is known with its result.
                    if self.groups.entry(g.clone()).or_default().own.insert(*side) {
                        run.claimed = Some(*side);
                    }
                }
            }
            Event::Result { key, outcome, .. } => {
                if let Some(e) = run.effects.iter_mut().rev().find(|e| e.issued.key == *key) {
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
            }
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
                let (needs, rogues) = (Some((why.clone(), advice.clone())), rogues.clone());
                match (run.is_open(), run.subject.clone()) {
                    (false, Subject::Group(g)) => self.groups.entry(g).or_default().alarm = needs,
                    (false, Subject::Producer(p)) => {
                        let p = self.producers.entry(p).or_default();
                        (p.alarm, p.rogues) = (needs, rogues);
                    }
                    _ => (run.needs, run.rogues) = (needs, rogues),
                }
            }
            Event::Continued { .. } => {
                run.needs = None;
                if let (false, Subject::Group(g)) = (run.is_open(), run.subject.clone()) {
                    let g = self.groups.entry(g).or_default();
                    // The person has seen it: what stands now is what must stand from here.
                    (g.alarm, g.drained) = (None, None);
                    // ... and that it stays where it is: what has fired does not act any more.
                    g.fired.values_mut().for_each(|fired| fired.acts_at = None);
                }
            }
            Event::RunEnded { end, .. } => self.apply_run_ended(id, end, at),
            _ => {}
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

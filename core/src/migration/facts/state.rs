//! State = fold(Entry). Nothing that outlives a restart is kept anywhere else, and nothing here is set but by an event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::{Command, Subject};
use super::effect::{IssuedEffect, Outcome};
use super::event::{DrainProof, Event, JournalEntry, RunEnd, RunId, RunKind};
use super::overrides::{Accepted, PassedOver};
use super::stage::Stage;
use crate::base::{Actor, At, Side, Sides};
use crate::estate::acl::Acl;
use crate::migration::eos::{FencedId, PartitionSeam, Rogue, Seams};
use crate::migration::rules::reads::{RememberedReads, RunTopics};
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::firing::Fired;
use crate::offsets::verdict::GroupTranslation;

mod runs;

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
    /// The last that is no rehearsal: only what it did is evidence of where the group was left. What has to outlast it,
    /// because a later run replaces it, is [`green_ids`](Self::green_ids).
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
    /// there. They outlast the run that [`moved`](Self::moved) names, which a later one replaces.
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
}

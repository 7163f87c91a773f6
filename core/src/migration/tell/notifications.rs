//! What is worth telling people who look at no screen: news as a function of the journal's entries, one at a time. Each
//! names the entry that it comes from, so that who is told twice can see that it is the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Actor, At, Trouble};
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::{ComparedVerdict, Event, JournalEntry, RunEnd, RunId, RunKind};
use crate::migration::facts::notice::Severity;
use crate::migration::facts::stage::Stage;
use crate::migration::facts::state::State;
use crate::migration::rules::gate::Gate;
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::trigger::Arm;

/// A shadow trigger that fires again within this time of when it was told is no news, ms: one that flaps must not spam.
/// Its end is none either, so what was told last stays true.
const SHADOW_QUIET_MS: u64 = 300_000;

/// What kinds of news there are, as `on = [...]` of a plan names them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NotificationTopic {
    /// A run starts, is done, fails.
    Run,
    /// A group or producer stands somewhere else: past its point of no silent return, soaking, rolled back, complete.
    Stage,
    /// A phase of the migration is complete, or is not any more.
    Phase,
    /// A gate of a soak fails, can't be told for long, is good again; a soak passes.
    Gate,
    /// A rollback trigger fires, acts, is held, is not met any more.
    Trigger,
    /// A person is asked for: a run waits, a soak or a hard cutover raises an alarm.
    Alarm,
    /// Somebody holds something, or ends the hold.
    Hold,
    /// What an operator should know later; gates that were passed over.
    Note,
    /// A replay starts, goes on, ends.
    Replay,
    /// Both clusters were compared.
    Diff,
    /// A controller takes the journal or lets it go.
    Controller,
}

impl NotificationTopic {
    /// What is told where a plan does not say: what a person wants to be woken by, and what they ask for next.
    pub const DEFAULT: [NotificationTopic; 6] = [
        NotificationTopic::Run,
        NotificationTopic::Stage,
        NotificationTopic::Phase,
        NotificationTopic::Gate,
        NotificationTopic::Trigger,
        NotificationTopic::Alarm,
    ];
}

/// What happened, one word each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NotificationEvent {
    /// A run starts.
    RunStarted,
    /// A run is done.
    RunDone,
    /// A run was refused or failed before it changed anything.
    RunFailed,
    /// A run passed its point of no silent return.
    NoReturn,
    /// A run waits for a person.
    NeedsOperator,
    /// Something is wrong with what was moved: a person is asked for.
    Alarm,
    /// A person said go on.
    Continued,
    /// A soak, or an exactly-once producer, was declared complete.
    Completed,
    /// A phase is complete.
    PhaseComplete,
    /// A phase is not complete any more.
    PhaseIncomplete,
    /// A gate fails.
    GateFailed,
    /// A gate can't be told for a while.
    GateUnknown,
    /// A gate is good again.
    GateRecovered,
    /// Every criterion of a soak passes.
    SoakPassed,
    /// An armed trigger fired: it counts down.
    TriggerFired,
    /// A shadow trigger fired: it would have rolled back.
    TriggerShadow,
    /// A trigger that fired is not met any more.
    TriggerCleared,
    /// Somebody holds something.
    Held,
    /// A hold ended.
    Resumed,
    /// An operator should know.
    Noticed,
    /// A gate held, and was passed over.
    PassedOver,
    /// A replay starts.
    ReplayStarted,
    /// A replay goes on.
    ReplayResumed,
    /// A replay, or one go at it, ended.
    ReplayEnded,
    /// Both clusters were compared.
    Compared,
    /// A controller took the journal.
    ControllerOpened,
    /// A controller took the journal after one that did not end in order.
    ControllerRestarted,
    /// The controller ended in order.
    ControllerClosed,
    /// Several that could not be told in time, in one.
    Summary,
    /// A person tries the line.
    Test,
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Number of the journal's entry that it comes from; 0 for one that comes from none.
    pub seq: u64,
    /// When that was written.
    pub at: At,
    /// Who caused it.
    pub actor: String,
    /// What kinds it is of: who asked for any of them is told.
    pub topics: Vec<NotificationTopic>,
    /// What happened.
    pub event: NotificationEvent,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What happened, in words.
    pub what: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// Where the subject stands from here, in words.
    pub stage: Option<String>,
    /// The trigger it is about.
    pub trigger: Option<String>,
    /// The criterion it is about.
    pub metric: Option<Metric>,
    /// What it belongs together with: `gate/loan-audit/lag/1767225600000` (a soak by when it began: what another one left
    /// open ends with it, and hides nothing of this one). A later one with the same key and nothing bad ends it.
    pub key: String,
}

/// How far a target was told, kept beside the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryProgress {
    /// Its name in the plan.
    pub target: String,
    /// Up to and with this entry everything was delivered, given up, or not for it.
    pub seq: u64,
    /// Since when nothing reaches it, and why; `None` when the last one did.
    pub failing: Option<(At, Trouble)>,
}

impl Notification {
    /// Whether it ends what an earlier one with its key began.
    #[must_use]
    pub fn resolves(&self) -> bool {
        self.severity == Severity::Info
    }

    /// Many in one, for those that could not be told in time. `None` of none.
    #[must_use]
    pub fn summary(many: &[Notification]) -> Option<Notification> {
        let (first, last) = (many.first()?, many.last()?);
        let mut counts: BTreeMap<NotificationEvent, usize> = BTreeMap::new();
        many.iter().for_each(|n| *counts.entry(n.event).or_default() += 1);
        let counts: Vec<String> = counts.iter().map(|(event, n)| format!("{n} {event}")).collect();
        // Of several that are as bad the first speaks: what came later often follows from it.
        let worst = many.iter().rev().max_by_key(|n| n.severity)?;
        Some(Notification {
            seq: last.seq,
            at: last.at,
            actor: Actor::Controller.to_string(),
            topics: Vec::new(),
            event: NotificationEvent::Summary,
            severity: worst.severity,
            subject: Subject::Migration,
            what: format!(
                "{} could not be told in time (entries {} to {}): {}; the worst: {}",
                many.len(),
                first.seq,
                last.seq,
                counts.join(", "),
                worst.what
            ),
            advice: "`cutover journal show` has them all".into(),
            run: None,
            stage: None,
            trigger: None,
            metric: None,
            key: "summary".into(),
        })
    }

    /// What `cutover doctor` sends, or shows.
    #[must_use]
    pub fn test(at: At, actor: &str) -> Notification {
        Notification {
            seq: 0,
            at,
            actor: actor.to_owned(),
            topics: Vec::new(),
            event: NotificationEvent::Test,
            severity: Severity::Info,
            subject: Subject::Migration,
            what: "a test by cutover doctor: nothing happened".into(),
            advice: String::new(),
            run: None,
            stage: None,
            trigger: None,
            metric: None,
            key: "test".into(),
        }
    }
}

/// Makes news of entries. It remembers what they are about, so they go in by number, from the first.
#[derive(Debug, Default)]
pub struct Notifications {
    state: State,
    /// What each run is about, and whether it changes nothing.
    runs: BTreeMap<RunId, (RunKind, Subject, bool)>,
    /// When a shadow trigger was told last, by group and name.
    shadows: BTreeMap<(String, String), At>,
    /// A controller has the journal, as far as it says.
    open: bool,
}

/// What an entry comes to.
struct NotificationDraft {
    topics: &'static [NotificationTopic],
    event: NotificationEvent,
    severity: Severity,
    subject: Subject,
    key: String,
}

impl Notifications {
    /// Which soak of a group it is: when it began, ms since the epoch; 0 where it does not soak.
    fn soak_began(&self, group: &str) -> i64 {
        match self.state.groups.get(group).map(|g| &g.rest) {
            Some(Stage::Soaking { since }) => since.0,
            _ => 0,
        }
    }

    /// The news in an entry, if it is any. `words`: the entry as the journal tells it.
    pub fn take_entry(&mut self, entry: &JournalEntry, words: &str) -> Option<Notification> {
        if let Event::RunStarted { run, kind, subject, dry_run, .. } = &entry.event {
            self.runs.insert(*run, (*kind, subject.clone(), *dry_run));
        }
        // a trigger that is not met any more is forgotten by its own entry
        let fired = self.groups_with_fired();
        // Before it is folded: a run that waits is told apart by this from an alarm after its end.
        let open = self.is_run_open(&entry.event);
        self.state.apply(entry);
        let piece = self.draft_notification(entry, &fired, open);
        match entry.event {
            Event::Opened { .. } => self.open = true,
            Event::Closed { .. } => self.open = false,
            _ => {}
        }
        let piece = piece?;
        let (why, advice) = match &entry.event {
            Event::NeedsOperator { why, advice, .. } => (Some(why.clone()), advice.clone()),
            Event::TriggerFired { countdown_ms: Some(_), .. } => (None, "hold the group, or let it roll back".into()),
            _ => (None, String::new()),
        };
        Some(Notification {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor.to_string(),
            topics: piece.topics.to_vec(),
            event: piece.event,
            severity: piece.severity,
            what: why.unwrap_or_else(|| words.to_owned()),
            advice,
            run: entry.event.run(),
            stage: self.describe_stage(&piece.subject),
            trigger: match &entry.event {
                Event::TriggerFired { trigger, .. } | Event::TriggerCleared { trigger, .. } => Some(trigger.clone()),
                _ => None,
            },
            metric: match &entry.event {
                Event::GateTurned { metric, .. } => *metric,
                _ => None,
            },
            subject: piece.subject,
            key: piece.key,
        })
    }

    /// Groups with a trigger that fired.
    fn groups_with_fired(&self) -> Vec<String> {
        self.state.groups.iter().filter(|(_, g)| !g.fired.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    fn is_run_open(&self, event: &Event) -> bool {
        event.run().and_then(|run| self.state.runs.get(&run)).is_some_and(crate::migration::facts::state::Run::is_open)
    }

    fn describe_stage(&self, subject: &Subject) -> Option<String> {
        let rest = match subject {
            Subject::Group(g) => &self.state.groups.get(g)?.rest,
            Subject::Producer(p) => &self.state.producers.get(p)?.rest,
            Subject::Migration | Subject::Cluster(_) => return None,
        };
        let moving = self.state.open_run(subject).is_some_and(|r| !r.dry_run && r.kind.moves());
        Some(if moving { "moving" } else { rest.word() }.to_owned())
    }

    fn draft_notification(&mut self, entry: &JournalEntry, fired: &[String], open: bool) -> Option<NotificationDraft> {
        use {NotificationEvent as H, NotificationTopic as T, Severity as S};
        let piece = |topics, event, severity, subject: &Subject, key: String| {
            Some(NotificationDraft { topics, event, severity, subject: subject.clone(), key })
        };
        let about = |word: &str, subject: &Subject| format!("{word}/{}", subject_key(subject));
        match &entry.event {
            Event::GateTurned { group, metric, gate } => self.draft_of_gate(group, *metric, gate),
            Event::PhaseTurned { number, done, total, .. } => {
                let (event, severity) =
                    if done == total { (H::PhaseComplete, S::Info) } else { (H::PhaseIncomplete, S::Warn) };
                piece(&[T::Phase], event, severity, &Subject::Migration, format!("phase/{number}"))
            }
            Event::TriggerFired { .. } | Event::TriggerCleared { .. } => self.draft_of_trigger(entry),
            Event::Held { subject, .. } | Event::Resumed { subject } => {
                let stopped = match subject {
                    Subject::Group(g) => fired.contains(g),
                    Subject::Migration => !fired.is_empty(),
                    _ => false,
                };
                let topics: &[NotificationTopic] = if stopped { &[T::Hold, T::Trigger] } else { &[T::Hold] };
                let event = if matches!(entry.event, Event::Held { .. }) { H::Held } else { H::Resumed };
                piece(topics, event, S::Info, subject, about("hold", subject))
            }
            Event::Completed { subject } => piece(&[T::Stage], H::Completed, S::Info, subject, about("stage", subject)),
            Event::Noticed { subject, .. } => piece(&[T::Note], H::Noticed, S::Warn, subject, about("note", subject)),
            Event::Compared { subject, verdict, .. } => {
                let severity = if *verdict == ComparedVerdict::Clean { S::Info } else { S::Warn };
                piece(&[T::Diff], H::Compared, severity, subject, about("diff", subject))
            }
            Event::ReplayStarted { replay, .. } | Event::ReplayResumed { replay } => {
                let started = matches!(entry.event, Event::ReplayStarted { .. });
                let event = if started { H::ReplayStarted } else { H::ReplayResumed };
                piece(&[T::Replay], event, S::Info, &Subject::Migration, format!("replay/{replay}"))
            }
            Event::ReplayEnded { replay, end } => {
                let whole = matches!(end, crate::replay::ReplayEnd::Done { verified: Some(true), .. });
                let severity = if whole { S::Info } else { S::Warn };
                piece(&[T::Replay], H::ReplayEnded, severity, &Subject::Migration, format!("replay/{replay}"))
            }
            Event::Opened { .. } => {
                let (event, severity) =
                    if self.open { (H::ControllerRestarted, S::Warn) } else { (H::ControllerOpened, S::Info) };
                piece(&[T::Controller], event, severity, &Subject::Migration, "controller".into())
            }
            Event::Closed { .. } => {
                piece(&[T::Controller], H::ControllerClosed, S::Info, &Subject::Migration, "controller".into())
            }
            event => self.draft_of_run(event, &entry.actor, open),
        }
    }

    /// What a criterion of a soak that turned comes to; `None` as metric: all of them together.
    fn draft_of_gate(&self, group: &str, metric: Option<Metric>, gate: &Gate) -> Option<NotificationDraft> {
        use {NotificationEvent as H, NotificationTopic as T, Severity as S};
        let (event, severity) = match (metric, gate) {
            (None, _) => (H::SoakPassed, S::Info),
            (_, Gate::Fail { .. }) => (H::GateFailed, S::Fail),
            (_, Gate::Unknown { .. }) => (H::GateUnknown, S::Warn),
            (_, Gate::Pass | Gate::Hold { .. }) => (H::GateRecovered, S::Info),
        };
        let name = metric.map_or_else(|| "soak".to_owned(), |m| m.to_string());
        let key = format!("gate/{group}/{name}/{}", self.soak_began(group));
        Some(NotificationDraft { topics: &[T::Gate], event, severity, subject: Subject::Group(group.to_owned()), key })
    }

    /// What an entry of a run comes to; `open`: the run was under way before it.
    fn draft_of_run(&self, event: &Event, actor: &Actor, open: bool) -> Option<NotificationDraft> {
        use {NotificationEvent as H, NotificationTopic as T, Severity as S};
        let (kind, subject, dry_run) = self.runs.get(&event.run()?)?;
        // At rest it is about what was moved: a rehearsal that came after that only lends its number.
        let rests = matches!(
            event,
            Event::NeedsOperator { .. } | Event::Continued { .. } | Event::PassedOver { .. } if !open
        );
        if *dry_run && !rests {
            return None;
        }
        let (topics, event, severity): (&'static [NotificationTopic], _, _) = match event {
            Event::RunStarted { .. } if actor.is_trigger() => (&[T::Run, T::Trigger], H::RunStarted, S::Fail),
            // nobody asked for it: a move that can't go on is given back
            Event::RunStarted { .. } if *actor == Actor::Controller => (&[T::Run], H::RunStarted, S::Warn),
            Event::RunStarted { .. } => (&[T::Run], H::RunStarted, S::Info),
            Event::PointOfNoReturn { .. } => (&[T::Stage], H::NoReturn, S::Info),
            Event::NeedsOperator { .. } if open => (&[T::Alarm], H::NeedsOperator, S::Fail),
            // The run is over: what is wrong is what it moved.
            Event::NeedsOperator { .. } => (&[T::Alarm], H::Alarm, S::Fail),
            Event::Continued { .. } => (&[T::Alarm], H::Continued, S::Info),
            Event::PassedOver { .. } => (&[T::Note], H::PassedOver, S::Warn),
            Event::RunEnded { end: RunEnd::Done, .. } if kind.moves() || kind.gives_back() => {
                (&[T::Run, T::Stage], H::RunDone, S::Info)
            }
            Event::RunEnded { end: RunEnd::Done, .. } => (&[T::Run], H::RunDone, S::Info),
            Event::RunEnded { end: RunEnd::Failed(_), .. } => (&[T::Run], H::RunFailed, S::Fail),
            _ => return None,
        };
        // one thing for all that its runs do: what is done ends what was wrong
        let word = match event {
            H::NoReturn => "stage",
            H::PassedOver => "note",
            _ => "run",
        };
        Some(NotificationDraft {
            topics,
            event,
            severity,
            subject: subject.clone(),
            key: format!("{word}/{}", subject_key(subject)),
        })
    }

    fn draft_of_trigger(&mut self, entry: &JournalEntry) -> Option<NotificationDraft> {
        let (group, trigger, arm) = match &entry.event {
            Event::TriggerFired { group, trigger, arm, .. } => (group, trigger, Some(*arm)),
            Event::TriggerCleared { group, trigger } => (group, trigger, None),
            _ => return None,
        };
        let name = (group.clone(), trigger.clone());
        let (event, severity) = match arm {
            Some(Arm::Armed) => {
                // Armed since (the plan was changed): its end is news from here on.
                self.shadows.remove(&name);
                (NotificationEvent::TriggerFired, Severity::Fail)
            }
            Some(Arm::Shadow) if self.shadows.get(&name).is_some_and(|at| entry.at.since(*at) < SHADOW_QUIET_MS) => {
                return None;
            }
            Some(Arm::Shadow) => {
                self.shadows.insert(name, entry.at);
                (NotificationEvent::TriggerShadow, Severity::Warn)
            }
            None if self.shadows.contains_key(&name) => return None,
            None => (NotificationEvent::TriggerCleared, Severity::Info),
        };
        let subject = Subject::Group(group.clone());
        let key = format!("trigger/{group}/{trigger}/{}", self.soak_began(group));
        Some(NotificationDraft { topics: &[NotificationTopic::Trigger], event, severity, subject, key })
    }
}

/// A subject as a part of a key.
fn subject_key(subject: &Subject) -> String {
    match subject {
        Subject::Migration => "migration".into(),
        Subject::Cluster(side) => side.name().into(),
        Subject::Group(group) => format!("group/{group}"),
        Subject::Producer(producer) => format!("producer/{producer}"),
    }
}

#[cfg(test)]
mod tests;

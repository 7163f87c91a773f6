//! What screens and reports see, and how they ask: plain values that serialise, so that a socket
//! between controller and screens is no redesign.

mod parity;
mod place;
mod verify;

use serde::{Deserialize, Serialize};

pub mod journal_text;

pub use parity::*;
pub(crate) use place::GroupPlace;
pub use verify::*;

use crate::base::{At, Observed, Person, Side, TopicPartition, Trouble, TroubleClass};
use crate::estate::{FlagState, GroupKind, GroupState, MemberView, SwitchState};
use crate::migration::eos::{EosView, HardGateRow};
use crate::migration::facts::command::{Command, Offer, Prepared, Refusal, Subject};
pub use crate::migration::facts::notice::{Notice, Severity};
use crate::migration::facts::settings::Mode;
use crate::migration::facts::stage::{NextStep, RunView, SideState, Stage, WayBack};
pub use crate::migration::rules::phase::PhaseView;
pub use crate::migration::rules::producer::ObservedWriting;
pub use crate::migration::soak::criteria::GateRow;
pub use crate::migration::soak::firing::Countdown;
pub use crate::migration::soak::soaking::{Baseline, BaselineFrom};
pub use crate::migration::soak::trigger::TriggerRow;
use crate::offsets::verdict::GroupTranslation;
use crate::offsets::{Chosen, Cut};
pub use crate::plan::calendar;
use crate::plan::calendar::Calendar;

/// Number of samples a trend holds at most.
pub const TREND_LEN: usize = 120;

/// The one value everything on a screen is read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Layout version of this type.
    pub schema: u32,
    /// Grows by one with every snapshot.
    pub seq: u64,
    /// The controller's clock when it was made: ages are counted from here.
    pub now: At,
    /// The migration and who runs it.
    pub header: Header,
    /// The phase rail, in order.
    pub phases: Vec<PhaseView>,
    /// The cluster that is left.
    pub blue: SideView,
    /// The cluster that everything moves to.
    pub green: SideView,
    /// Groups: those of the plan and every other one found. What needs a person first, then by name.
    pub groups: Vec<GroupRow>,
    /// Producers of the plan.
    pub producers: Vec<ProducerRow>,
    /// What should be read now, newest last; at most 50.
    pub notices: Vec<Notice>,
    /// Rollback triggers that fired, by when they act.
    #[serde(default)]
    pub countdowns: Vec<Countdown>,
    /// The newest journal entries, newest last; at most 500.
    pub journal: Vec<JournalLine>,
    /// What the plan moves when.
    #[serde(default)]
    pub calendar: Calendar,
    /// The diff that is under way, or the last one of this session.
    #[serde(default)]
    pub diff: Option<DiffView>,
    /// How green is set up beside blue, when somebody has asked.
    #[serde(default)]
    pub parity: Option<ParityView>,
}

/// The migration and its controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the migration in the plan.
    pub migration: String,
    /// May this session change anything?
    pub arming: Arming,
    /// user@host of the controller.
    pub controller: String,
    /// Its process id.
    pub pid: u32,
    /// Where the journal is.
    pub journal: String,
    /// Where the plan is.
    pub plan: String,
    /// An observation older than this is stale, ms.
    pub stale_after_ms: u64,
    /// Why the journal is not the whole truth (damaged, cut off, unreadable): where anything stands is not known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_trouble: Option<Trouble>,
}

/// Whether a session may change anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "arming", rename_all = "snake_case")]
pub enum Arming {
    /// Commands are carried out.
    Armed,
    /// Commands walk the same path with an executor that changes nothing.
    DryRun,
    /// No command that changes anything is taken.
    ReadOnly {
        /// Why: asked for, or the journal is held by somebody (named).
        why: String,
    },
}

/// One cluster, as it was seen last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideView {
    /// Which of the two it is.
    pub side: Side,
    /// Display name from the plan, or the bootstrap address.
    pub name: String,
    /// Bootstrap list as configured.
    pub bootstrap: String,
    /// When a whole round last succeeded, and what stands in the way since.
    pub link: Observed<u64>,
    /// Its cluster id.
    pub cluster_id: Option<String>,
    /// The id is not the plan's, or both sides are one cluster: nothing may be done.
    pub identity_trouble: Option<Trouble>,
    /// Brokers that answered, and brokers that Metadata lists.
    pub brokers: (u32, u32),
    /// Brokers in trouble, by name.
    pub broker_troubles: Vec<Trouble>,
    /// Under-replicated partitions.
    pub under_replicated: u32,
    /// Partitions without a leader.
    pub leaderless: u32,
    /// Topics (internal ones left out).
    pub topics: u32,
    /// Records a second written (growth of the high watermarks), over the last few samples.
    pub in_rate: Option<f64>,
    /// Records a second consumed (growth of committed offsets), over the last few samples.
    pub out_rate: Option<f64>,
    /// Total lag of all groups, records.
    pub lag: Option<u64>,
    /// Total lag over time, oldest first; `None` is a hole.
    pub trend: Vec<Option<u64>>,
    /// The largest time lag of a group, ms: how long ago the end reached what is read now (estimated from samples).
    pub oldest_ms: Option<u64>,
    /// Groups that have something to read whose time lag is not known: the largest may be one of theirs.
    #[serde(default)]
    pub oldest_unknown: u32,
    /// Why groups that are not shown may exist all the same; `None`: the list is whole.
    #[serde(default)]
    pub groups_hidden: Option<Trouble>,
    /// Topics of the plan that this principal may not see, in a sentence.
    #[serde(default)]
    pub topics_hidden: Option<Trouble>,
    /// How the brokers slowed this client down during the last look, with figures; `None`: they did not.
    #[serde(default)]
    pub throttled: Option<Throttling>,
}

/// A quota of the cluster slows this client down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttling {
    /// Mean of the times that brokers asked to wait, ms.
    pub ms: u64,
    /// What happens, with figures.
    pub words: String,
    /// The same without figures, and what to do: it stays the same for as long as it goes on.
    pub trouble: Trouble,
}

/// One group on one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSide {
    /// State in Kafka's words; `None` when the side can't be seen or knows no such group.
    pub state: Option<GroupState>,
    /// Who is in it, as far as that was told: see [`GroupSide::members_known`].
    pub members: Vec<MemberView>,
    /// All that is written and not consumed: to the high watermarks, summed over partitions, records. `None`: nothing to
    /// measure, never 0.
    pub lag: Option<u64>,
    /// What of it can be read now: to the last stable offsets.
    #[serde(default)]
    pub lag_stable: Option<u64>,
    /// Why it can't read on, whatever it would do: whose open transaction holds what, in a sentence.
    #[serde(default)]
    pub waits: Option<String>,
    /// When the figures were seen.
    pub at: Option<At>,
    /// Time lag, ms (estimated from samples).
    pub time_lag_ms: Option<u64>,
    /// Lag over time, oldest first; `None` is a hole.
    pub trend: Vec<Option<u64>>,
    /// Records a second consumed.
    pub rate: Option<f64>,
    /// Lag does not shrink and commits do not move although there is something to read.
    pub stuck: bool,
    /// Why something is missing.
    pub trouble: Option<Trouble>,
}

/// A partition of a group, both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRow {
    /// Its topic, by the name on blue.
    pub topic: String,
    /// Its number, from 0.
    pub partition: i32,
    /// Its offsets on blue.
    pub blue: PartitionSide,
    /// Its offsets on green, under the name it has there.
    pub green: PartitionSide,
}

/// A partition of a group on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionSide {
    /// What the group has committed: the next offset it reads.
    pub committed: Option<i64>,
    /// Log start offset.
    pub log_start: Option<i64>,
    /// Last stable offset.
    pub end: Option<i64>,
    /// High watermark: one past the last record that all replicas in sync have.
    #[serde(default)]
    pub high_watermark: Option<i64>,
    /// `high_watermark - committed`. `None` also where the commit lies beyond the log.
    pub lag: Option<u64>,
    /// `end - committed`: what of it can be read now.
    #[serde(default)]
    pub lag_stable: Option<u64>,
}

/// One group on both sides, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Group id on blue.
    pub group: String,
    /// Group id on green.
    pub green_group: String,
    /// Owning team; empty when not in the plan.
    pub team: String,
    /// Whether the plan lists it: only listed groups can be acted on.
    pub listed: bool,
    /// Handover or overlap.
    pub mode: Mode,
    /// How its members get their partitions: by which protocol.
    pub kind: GroupKind,
    /// Where it stands.
    pub stage: Stage,
    /// What keeps it there.
    pub side_state: Option<SideState>,
    /// Its switch as configured.
    pub switch: Option<Observed<SwitchState>>,
    /// How it was seen last on blue.
    pub blue: GroupSide,
    /// How it was seen last on green, under its id there.
    pub green: GroupSide,
    /// Partitions, by topic and number.
    pub partitions: Vec<PartitionRow>,
    /// The run that is under way, or the last one.
    pub run: Option<RunView>,
    /// The newest translation: an estimate, or the prediction of a run.
    pub estimate: Option<Observed<GroupTranslation>>,
    /// Which way the estimate goes.
    pub estimate_to: Option<Side>,
    /// The strategy that the estimate is by, where one was chosen over the plan's.
    #[serde(default)]
    pub estimate_chosen: Option<Chosen>,
    /// A measurement is under way.
    pub measuring: bool,
    /// What a witness counted since the last cutover or rollback (the demo's consumers; tests): lost, re-read.
    pub witnessed: Option<Witnessed>,
    /// The rollback verdict.
    pub way_back: WayBack,
    /// The next step.
    pub next: NextStep,
    /// What can be asked of it now.
    pub offers: Vec<Offer>,
    /// The criteria of its soak; empty while it does not soak.
    #[serde(default)]
    pub gates: Vec<GateRow>,
    /// Rollback triggers that watch its soak.
    #[serde(default)]
    pub triggers: Vec<TriggerRow>,
    /// What its soak is compared with, or would be if it moved now.
    #[serde(default)]
    pub baselines: Vec<Baseline>,
}

/// What consumers that keep count say they saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// Records processed since the mark.
    pub processed: u64,
    /// Records owed and never processed.
    pub lost: u64,
    /// Records processed twice.
    pub re_read: u64,
    /// When it was counted.
    pub at: At,
}

/// One producer of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProducerRow {
    /// Its name in the plan, unique.
    pub name: String,
    /// The team that owns it.
    pub team: String,
    /// The topics it writes, by their names on blue.
    pub topics: Vec<String>,
    /// Critical ones pass through dual.
    pub critical: bool,
    /// Exactly-once: hard cutover only.
    pub transactional: bool,
    /// The flag as configured; `None` without a flag in the plan.
    pub flag: Option<Observed<FlagState>>,
    /// What the topics' ends show: records a second on each side, and whether others write them too.
    pub observed: ObservedWriting,
    /// Whether what it writes arrives on both clusters, sampled.
    #[serde(default)]
    pub fidelity: Fidelity,
    /// Flag and observation contradict each other, in words.
    pub disagreement: Option<String>,
    /// What keeps it there.
    pub side_state: Option<SideState>,
    /// The run that is under way, or the last one.
    pub run: Option<RunView>,
    /// The next step.
    pub next: NextStep,
    /// What can be asked of it now.
    pub offers: Vec<Offer>,
    /// Exactly-once: where it stands, and the rows of its gates.
    #[serde(default)]
    pub eos: Option<Box<EosView>>,
}

/// A journal entry in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Number of the entry, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: At,
    /// Who caused it: `user@host`, or the controller.
    pub actor: String,
    /// What it is about.
    pub subject: Option<Subject>,
    /// The entry in words.
    pub text: String,
    /// What a person or a trigger asked for, in a few words: `cut over loan-audit`. `None`: what came of it, and the
    /// controller's own notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
}

impl JournalLine {
    /// The name of what it is about; empty where it is about nothing in particular.
    pub(crate) fn about(&self) -> String {
        self.subject.as_ref().map_or_else(String::new, Subject::short_name)
    }

    /// The entry in words, behind the name of what it is about.
    pub(crate) fn sentence(&self) -> String {
        let about = self.subject.as_ref().map_or_else(String::new, |s| format!("{}: ", s.short_name()));
        about + &self.text
    }
}

/// What a screen sends to the controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What would this command do? Answered at once from what is known.
    Prepare {
        /// Number chosen by the screen; the reply carries it.
        id: u64,
        /// What would be done.
        command: Command,
    },
    /// Do what was prepared, or what needs no dialog.
    Execute {
        /// Number chosen by the screen.
        id: u64,
        /// What is to be done.
        command: Command,
        /// Who asks.
        actor: Person,
        /// What was typed; empty for a key.
        typed: String,
        /// `Prepared::facts` of the dialog that was confirmed; `None` for commands that need no dialog.
        facts: Option<String>,
        /// When it was asked: a command that comes late (a stopped process, a full queue) is refused.
        asked: At,
    },
    /// A person still reads a dialog of this group: keep its estimate fresh.
    Watch {
        /// Group id, `None` to stop.
        group: Option<String>,
    },
    /// The same for a dialog about one side and a chosen strategy. [`Ask::Watch`] with `None` ends it.
    WatchChoice {
        /// Group id on blue.
        group: String,
        /// The side whose offsets the dialog is about.
        to: Side,
        /// The strategy, `None` for the plan's own.
        chosen: Option<Chosen>,
    },
    /// Read the records at the cut of a measured partition again, with their values.
    Records {
        /// Number chosen by the screen; the reply carries it.
        id: u64,
        /// Group id on blue.
        group: String,
        /// The side it was measured to.
        to: Side,
        /// The strategy it was measured by, `None` for the plan's own.
        chosen: Option<Chosen>,
        /// The partition, by blue's topic name.
        tp: TopicPartition,
    },
    /// Write a measured translation beside the plan, as the file that `kafka-consumer-groups --reset-offsets` reads.
    Export {
        /// Number chosen by the screen; the reply carries it.
        id: u64,
        /// Group id on blue.
        group: String,
        /// The side whose offsets it would set.
        to: Side,
        /// The strategy it was measured by, `None` for the plan's own.
        chosen: Option<Chosen>,
    },
    /// Compare both clusters. One diff at a time; leaving the screen does not stop it.
    StartDiff {
        /// Number chosen by the screen; the reply carries it.
        id: u64,
        /// What is compared.
        what: DiffWhat,
        /// Which of its records.
        span: DiffSpan,
        /// Go on with the very same diff, which was stopped.
        resume: bool,
        /// Who asks.
        actor: Person,
    },
    /// Look at how both clusters are set up, and compare; what comes of it is seen in the snapshots. One look at a time.
    LookAtSetup,
    /// Stop the diff that is under way; what it has read is kept, so that it can go on.
    StopDiff {
        /// Number chosen by the screen; the reply carries it.
        id: u64,
    },
}

impl Ask {
    /// The number it was given; `None` of what is not answered.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        match self {
            Ask::Prepare { id, .. }
            | Ask::Execute { id, .. }
            | Ask::Records { id, .. }
            | Ask::Export { id, .. }
            | Ask::StartDiff { id, .. }
            | Ask::StopDiff { id } => Some(*id),
            Ask::Watch { .. } | Ask::WatchChoice { .. } | Ask::LookAtSetup => None,
        }
    }

    /// The same under another number.
    #[must_use]
    pub(crate) fn with_id(mut self, number: u64) -> Self {
        match &mut self {
            Ask::Prepare { id, .. }
            | Ask::Execute { id, .. }
            | Ask::Records { id, .. }
            | Ask::Export { id, .. }
            | Ask::StartDiff { id, .. }
            | Ask::StopDiff { id } => *id = number,
            Ask::Watch { .. } | Ask::WatchChoice { .. } | Ask::LookAtSetup => {}
        }
        self
    }

    /// The answer that refuses it; `None` of what is not answered.
    #[must_use]
    pub(crate) fn to_refusal(&self, refusal: Refusal) -> Option<Reply> {
        match self {
            Ask::Prepare { id, .. } => Some(Reply::Prepared { id: *id, result: Err(refusal) }),
            Ask::Execute { id, .. } => Some(Reply::Executed { id: *id, result: Err(refusal) }),
            Ask::Records { id, .. } => Some(Reply::Records { id: *id, result: Err(refusal) }),
            Ask::Export { id, .. } => Some(Reply::Exported { id: *id, result: Err(refusal) }),
            Ask::StartDiff { id, .. } | Ask::StopDiff { id } => Some(Reply::Diff { id: *id, result: Err(refusal) }),
            Ask::Watch { .. } | Ask::WatchChoice { .. } | Ask::LookAtSetup => None,
        }
    }
}

impl Reply {
    /// Number of the question.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Reply::Prepared { id, .. }
            | Reply::Executed { id, .. }
            | Reply::Records { id, .. }
            | Reply::Exported { id, .. }
            | Reply::Diff { id, .. } => *id,
        }
    }

    /// The same under another number.
    #[must_use]
    pub(crate) fn with_id(mut self, number: u64) -> Self {
        match &mut self {
            Reply::Prepared { id, .. }
            | Reply::Executed { id, .. }
            | Reply::Records { id, .. }
            | Reply::Exported { id, .. }
            | Reply::Diff { id, .. } => *id = number,
        }
        self
    }
}

/// What the controller answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Answer to `Prepare`.
    Prepared {
        /// Number of the question.
        id: u64,
        /// The dialog, or why not.
        result: Result<Box<Prepared>, Refusal>,
    },
    /// Answer to `Execute`: taken, or why not. Progress is seen in the snapshots.
    Executed {
        /// Number of the question.
        id: u64,
        /// The run that was started, if the command starts one.
        result: Result<Option<u64>, Refusal>,
    },
    /// Answer to `Records`.
    Records {
        /// Number of the question.
        id: u64,
        /// The records with their values, or why not.
        result: Result<Cut, Refusal>,
    },
    /// Answer to `Export`.
    Exported {
        /// Number of the question.
        id: u64,
        /// The file that was written, or why none.
        result: Result<String, Refusal>,
    },
    /// Answer to `StartDiff` and `StopDiff`: taken, or why not. Progress is seen in the snapshots.
    Diff {
        /// Number of the question.
        id: u64,
        /// Taken, or why not.
        result: Result<(), Refusal>,
    },
}

/// What came of a command.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// How it ended short of being done; `None`: done.
    pub class: Option<TroubleClass>,
    /// In a sentence.
    pub summary: String,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
    /// The dialog that was confirmed.
    pub prepared: Option<Prepared>,
    /// The run as last seen, if the command started one.
    pub run: Option<RunView>,
    /// The gate of a hard cutover that was refused, row by row.
    #[serde(default)]
    pub rows: Vec<HardGateRow>,
}

impl RunReport {
    /// It was done, without a run.
    pub(crate) fn done(summary: String, prepared: Option<Prepared>) -> Self {
        Self { class: None, summary, advice: String::new(), prepared, run: None, rows: Vec::new() }
    }

    /// It was refused, or could not be told.
    pub(crate) fn refused(refusal: Refusal, prepared: Option<Prepared>) -> Self {
        let Refusal { why: summary, advice, class, .. } = refusal;
        Self { class: Some(class), summary, advice, prepared, run: None, rows: Vec::new() }
    }
}

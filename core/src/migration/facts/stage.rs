//! Where a group or producer stands, in one value each, and what a run shows of itself.

use serde::{Deserialize, Serialize};

use super::event::{RunId, RunKind};
use super::overrides::PassedOver;
use crate::base::{At, Side, TopicPartition};
use crate::offsets::verdict::GroupTranslation;

/// Where a group stands: one value, never two half-switched ones (vitess#17326).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Runs on blue; nothing is under way.
    #[default]
    OnBlue,
    /// A run is under way; `step` is its runbook's step.
    Moving {
        /// The run.
        run: RunId,
        /// What it does.
        kind: RunKind,
        /// Which stage of the move the step belongs to.
        phase: MovePhase,
    },
    /// Runs on green, criteria are being watched.
    Soaking {
        /// Since when.
        since: At,
    },
    /// Declared done.
    Complete {
        /// When.
        at: At,
    },
    /// Back on blue after a rollback.
    RolledBack {
        /// When.
        at: At,
    },
}

/// The named states between rest and rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum MovePhase {
    /// Facts are checked once more.
    Preflight,
    /// The old side was told to stop; waiting for the drain proof.
    Draining,
    /// Exactly-once: every transactional id of the side that is left is being fenced, and kept out.
    Fenced,
    /// Drained; the exact prediction is being made or is journalled.
    Planned,
    /// Offsets are committed on the new side and read back.
    Committed,
    /// Exactly-once: the seam is being journalled; what only the left side holds is carried before.
    Seamed,
    /// The new side was told to start; waiting for Stable. Past the point of no silent return.
    Switched,
}

/// What keeps a subject where it is, besides its stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "side_state", rename_all = "snake_case")]
pub enum SideState {
    /// An operator holds it.
    Held {
        /// Who typed it.
        by: String,
        /// Why.
        why: String,
    },
    /// Something forbids the next step.
    Blocked {
        /// What.
        why: String,
    },
    /// It waits for a person.
    NeedsOperator {
        /// What happened.
        why: String,
        /// What can be done.
        advice: String,
    },
}

/// The rollback verdict, recomputed at every tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way_back", rename_all = "snake_case")]
pub enum WayBack {
    /// Nothing lost, nothing read twice beyond what pairing can't avoid.
    Exact,
    /// At most this many records read twice.
    Bounded {
        /// Records.
        re_read: u64,
    },
    /// There is none.
    Closed {
        /// Why.
        why: String,
    },
    /// It can't be told now.
    Unknown {
        /// What is missing.
        why: String,
    },
}

/// What comes next for a group or producer, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextStep {
    /// e.g. `ready  c`, `wait Empty 4s`.
    pub words: String,
    /// It says that a move may begin: nothing is ready while that can't be known.
    pub ready: bool,
}

impl NextStep {
    /// A move may begin, as far as is known.
    #[must_use]
    pub fn ready(words: impl Into<String>) -> Self {
        Self { words: words.into(), ready: true }
    }
}

impl From<String> for NextStep {
    /// What comes is something else than a move.
    fn from(words: String) -> Self {
        Self { words, ready: false }
    }
}

impl From<&str> for NextStep {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// How a step of a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepState {
    /// Not yet.
    Todo,
    /// Under way, with what it waits for.
    Doing {
        /// Since when.
        since: At,
        /// What is waited for, e.g. `Empty, commits still 9s of 15s`.
        waiting: String,
    },
    /// Done.
    Done {
        /// When.
        at: At,
    },
    /// It failed, or its outcome is unknown.
    Stuck {
        /// Why.
        why: String,
    },
}

/// A run as screens see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// Number.
    pub run: RunId,
    /// What it does.
    pub kind: RunKind,
    /// To which side.
    pub to: Side,
    /// Who started it.
    pub actor: String,
    /// When.
    pub started: At,
    /// Walked without changing anything.
    pub dry_run: bool,
    /// Each step in words and how it stands.
    pub steps: Vec<(String, StepState)>,
    /// The point of no silent return lies after this many steps.
    pub no_return_after: Option<usize>,
    /// Re-reads predicted after the drain, once known.
    pub predicted_re_read: Option<u64>,
    /// Re-read limit.
    pub max_re_read: Option<u64>,
    /// Earliest moment at which a timeout acts, if any.
    pub deadline: Option<At>,
    /// Why a run that nobody asked for was started (a move that could not go on is given back), and what to do.
    pub because: Option<String>,
    /// Its offsets, once it has translated them.
    #[serde(default)]
    pub offsets: Option<RunOffsets>,
    /// Gates that held, and were passed over as accepted.
    #[serde(default)]
    pub passed_over: Vec<PassedOver>,
}

/// What a run does to a group's offsets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOffsets {
    /// The side they are committed on.
    pub side: Side,
    /// The translation that it commits.
    pub plan: GroupTranslation,
    /// What was committed there before, by blue's topic names (`None`: nothing); empty before the commit.
    pub before: Vec<(TopicPartition, Option<i64>)>,
    /// What was read back after the commit; empty before it, and in a dry run what would be.
    pub after: Vec<(TopicPartition, Option<i64>)>,
}

impl Stage {
    /// One word for it, without times.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Stage::OnBlue => "on blue",
            Stage::Moving { .. } => "moving",
            Stage::Soaking { .. } => "soaking",
            Stage::Complete { .. } => "complete",
            Stage::RolledBack { .. } => "rolled back",
        }
    }
}

//! What screens see of a diff: how far it is, what it found, and what to do next.

use serde::{Deserialize, Serialize};

use crate::controller::diff::moment;
pub use crate::controller::diff::{Progress as DiffProgress, Span as DiffSpan, What as DiffWhat, document};
pub use crate::diff::{Found, Verdict as DiffVerdict};
use crate::migration::command::Subject;
use crate::migration::estate::{At, Side, Trouble};

/// Most rows of a result that a snapshot holds: topics, and their partitions with something to say.
pub const DIFF_ROWS: usize = 500;
/// Most ranges of one finding that a row writes out; the document beside the journal has them all.
pub const DIFF_RANGES: usize = 40;

/// The diff that is under way, or the last one of this session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffView {
    /// What is compared.
    pub what: DiffWhat,
    /// Which of its records.
    pub span: DiffSpan,
    /// The side that should hold everything; the other one is the target.
    pub source: Side,
    /// When it began.
    pub began: At,
    /// Who asked for it.
    pub actor: String,
    /// How far it is.
    pub state: DiffState,
}

/// How far a diff is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DiffState {
    /// It reads.
    Running {
        /// How far; `None` until the first second has passed.
        progress: Option<DiffProgress>,
        /// It was told to stop, and saves what it has.
        stopping: bool,
    },
    /// It was stopped; what was read is kept, and it can go on.
    Stopped {
        /// When.
        at: At,
    },
    /// It came to no end.
    Failed {
        /// When.
        at: At,
        /// Why, and what to do.
        trouble: Trouble,
    },
    /// It came to its end.
    Done {
        /// When it was finished.
        at: At,
        /// What it found.
        result: Box<DiffResult>,
    },
}

/// What a diff found, in a bounded form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffResult {
    /// The worst verdict.
    pub verdict: DiffVerdict,
    /// Whether everything could be compared: what differs hides nothing that is unknown beside it.
    pub known: bool,
    /// Both in words, e.g. `DIFFERS+UNKNOWN`.
    pub said: String,
    /// Sums.
    pub found: Found,
    /// Records and bytes read from both sides, and the time it took, ms.
    pub read: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Time it took, ms.
    pub ms: u64,
    /// Each topic, followed by its partitions with something to say; at most 500.
    pub rows: Vec<DiffRow>,
    /// Rows that were left out.
    pub left_out: usize,
    /// The whole document, with every range; `None` when it could not be written (the words beside it say why).
    pub file: Option<String>,
    /// What to do next, a line each; a command line begins with `cutover`.
    pub next: Vec<String>,
}

/// A topic, or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRow {
    /// Its name on blue.
    pub topic: String,
    /// The partition; `None` for the topic as a whole.
    pub partition: Option<i32>,
    /// What can be said of it, in words.
    pub said: String,
    /// Sums.
    pub found: Found,
    /// Everything it says: findings with their ranges, what is unknown and why, remarks.
    pub lines: Vec<String>,
}

impl DiffView {
    /// What the diff is about, for the journal and for notices.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match &self.what {
            DiffWhat::Group(group) => Subject::Group(group.clone()),
            DiffWhat::Producer(producer) => Subject::Producer(producer.clone()),
            DiffWhat::Topics(_) | DiffWhat::Plan => Subject::Migration,
        }
    }

    /// Whether it reads now.
    #[must_use]
    pub fn running(&self) -> bool {
        matches!(self.state, DiffState::Running { .. })
    }
}

impl DiffWhat {
    /// What is compared, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            DiffWhat::Group(group) => format!("group {group}"),
            DiffWhat::Producer(producer) => format!("producer {producer}"),
            DiffWhat::Topics(topics) => match topics.as_slice() {
                [one] => format!("topic {one}"),
                [first, ..] => format!("{first} and {} more topics", topics.len() - 1),
                [] => "no topic".to_owned(),
            },
            DiffWhat::Plan => "every topic of the plan".to_owned(),
        }
    }
}

impl DiffSpan {
    /// Which records, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match *self {
            DiffSpan::Comparable => "everything that both logs hold".to_owned(),
            DiffSpan::Times { from, to: None } => format!("from {} to the ends", moment(from)),
            DiffSpan::Times { from, to: Some(to) } => format!("from {} to {}", moment(from), moment(to)),
            DiffSpan::Offsets { partition, from, to } => {
                let to = to.map_or("the end".to_owned(), |to| to.to_string());
                format!("partition {partition}, offsets {from} to {to}")
            }
        }
    }
}

//! What may be asked of a comparison, and how far it is.

use serde::{Deserialize, Serialize};

use crate::base::sanitise::visible_name;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffScope {
    /// These topics, by their names on blue.
    Topics(Vec<String>),
    /// All topics that a producer of the plan writes.
    Producer(String),
    /// All topics that a group reads: those of the plan, or those it has committed on the source.
    Group(String),
    /// All topics that the plan's producers and groups list.
    Plan,
}

impl DiffScope {
    /// What is compared, in words for people: two that differ never look the same.
    #[must_use]
    pub fn describe(&self) -> String {
        self.describe_with(visible_name)
    }

    /// The same with names as they are: for a file's name, and for who makes names visible himself.
    #[must_use]
    pub fn describe_raw(&self) -> String {
        self.describe_with(str::to_owned)
    }

    fn describe_with(&self, name: fn(&str) -> String) -> String {
        match self {
            DiffScope::Group(group) => format!("group {}", name(group)),
            DiffScope::Producer(producer) => format!("producer {}", name(producer)),
            DiffScope::Topics(topics) => match topics.as_slice() {
                [one] => format!("topic {}", name(one)),
                [first, ..] => format!("{} and {} more topics", name(first), topics.len() - 1),
                [] => "no topic".to_owned(),
            },
            DiffScope::Plan => "every topic of the plan".to_owned(),
        }
    }
}

/// Which records are compared. Times in ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// From where both logs can be compared to their ends now.
    Comparable,
    /// Timestamps from `from` on, up to but without `to`.
    Times {
        /// First timestamp.
        from: i64,
        /// First timestamp that is left out; `None` for the ends now.
        to: Option<i64>,
    },
    /// Offsets of one partition of the source.
    Offsets {
        /// Its number.
        partition: i32,
        /// First offset.
        from: i64,
        /// First offset that is left out; `None` for the end now.
        to: Option<i64>,
    },
}

/// How far a diff is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffProgress {
    /// The topic it is at.
    pub topic: String,
    /// Topics done, and all.
    pub topics: (usize, usize),
    /// Share of the topic's offsets that is read, 0 to 1.
    pub share: f64,
    /// Records read in this topic, both sides together.
    pub records: u64,
    /// Bytes of keys and values read, both sides together, all topics.
    pub bytes: u64,
    /// Time so far, ms.
    pub ms: u64,
    /// Time left for this topic at this speed, ms; `None` while nothing can be said.
    pub left_ms: Option<u64>,
    /// Records that wait for their twin.
    pub waiting: u64,
    /// Why it reads slower than it could.
    pub held_back: Option<String>,
}

//! Stretches of a log that hold no record: transaction markers, what was aborted, what compaction took. A member that has
//! read all records stands before the last of them, and commits no further: it has nothing to read, whatever the offsets
//! say (librdkafka commits the offset behind its last record; the markers lie beyond it).

use std::collections::BTreeMap;

use super::ClusterView;
use crate::base::{Side, TopicPartition};

/// A stretch without a record: `from..to`. What is written stays as it is, so this holds for as long as the topic does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blank {
    /// First offset.
    pub from: i64,
    /// One past the last.
    pub to: i64,
    /// Id of the topic that it is of.
    pub topic_id: Option<String>,
}

/// What is known to hold no record, by partition.
pub(crate) type Blanks = BTreeMap<TopicPartition, Blank>;

/// Stretches of which it has to be known whether they hold a record.
pub(crate) type WantedBlanks = BTreeMap<(Side, TopicPartition), (i64, i64)>;

impl Blank {
    /// Where a position is in truth: behind the stretch, if it lies in it.
    #[must_use]
    pub(crate) fn move_past(&self, at: i64) -> i64 {
        if (self.from..self.to).contains(&at) { self.to } else { at }
    }

    /// Takes in another stretch of the same partition: both as one where they meet, else the newer one.
    #[must_use]
    pub(crate) fn merge_newer(self, newer: Blank) -> Blank {
        let same = self.topic_id == newer.topic_id;
        if same && newer.from <= self.to && self.from <= newer.to {
            return Blank { from: self.from.min(newer.from), to: self.to.max(newer.to), ..newer };
        }
        newer
    }

    /// Whether it is of the topic as it is there now.
    #[must_use]
    pub(crate) fn is_of(&self, view: &ClusterView, topic: &str) -> bool {
        // Before 2.8 topics have no id: two `None` are one topic as far as anybody can tell.
        view.topics.get(topic).is_some_and(|t| t.id == self.topic_id)
    }
}

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

/// Stretches of which it has to be known whether they hold a record, each of the topic as it was there when that was asked.
pub type WantedBlanks = BTreeMap<(Side, TopicPartition), Blank>;

impl Blank {
    /// Where a position is in truth: behind the stretch, if it lies in it.
    #[must_use]
    pub(crate) fn move_past(&self, at: i64) -> i64 {
        if (self.from..self.to).contains(&at) { self.to } else { at }
    }

    /// Takes in another stretch of the same partition: both as one where they meet, else the newer one.
    #[must_use]
    pub fn merge_newer(self, newer: Blank) -> Blank {
        let same = self.topic_id == newer.topic_id;
        if same && newer.from <= self.to && self.from <= newer.to {
            return Blank { from: self.from.min(newer.from), to: self.to.max(newer.to), ..newer };
        }
        newer
    }

    /// Whether it is of the topic as it is there now.
    #[must_use]
    pub(crate) fn is_of(&self, view: &ClusterView, topic: &str) -> bool {
        // Before 2.8 topics have no id: there `drop_untellable` sees to it that two `None` are one topic.
        view.topics.get(topic).is_some_and(|t| t.id == self.topic_id)
    }

    /// Whether a topic without an id may still be the one that was looked through: its log ends no earlier than what was
    /// read of it. One with an id is told by that.
    fn may_be_of(&self, view: Option<&ClusterView>, tp: &TopicPartition) -> bool {
        let log = || view?.topics.get(&tp.topic)?.partitions.get(usize::try_from(tp.partition).ok()?)?.high_watermark;
        self.topic_id.is_some() || log().is_some_and(|end| end >= self.to)
    }
}

/// Forgets what is known of topics without an id (before Kafka 2.8) whose log went back, or could not be seen in this look:
/// one that was made anew meanwhile would look the same later. It is read again where it is needed.
pub fn drop_untellable(blanks: &mut Blanks, view: Option<&ClusterView>) {
    blanks.retain(|tp, blank| blank.may_be_of(view, tp));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{PartitionView, TopicView};

    #[test]
    fn without_ids_what_is_known_of_a_log_ends_where_the_log_may_be_another() {
        let view = |end: Option<i64>| {
            let partitions = vec![PartitionView { high_watermark: end, ..PartitionView::default() }];
            let topic = TopicView { partitions, ..TopicView::default() };
            ClusterView { topics: [("t".to_owned(), topic)].into(), ..ClusterView::default() }
        };
        let left = |topic_id: Option<&str>, view: Option<&ClusterView>| {
            let blank = Blank { from: 100, to: 101, topic_id: topic_id.map(str::to_owned) };
            let mut blanks = Blanks::from([(TopicPartition::new("t", 0), blank)]);
            drop_untellable(&mut blanks, view);
            !blanks.is_empty()
        };
        assert!(left(None, Some(&view(Some(101)))), "it grew, or stayed");
        assert!(!left(None, Some(&view(Some(3)))), "it was made anew");
        assert!(!left(None, Some(&view(None))) && !left(None, Some(&ClusterView::default())), "it was not seen");
        assert!(!left(None, None), "nobody looked: it may have been made anew and have grown");
        assert!(left(Some("1"), None) && left(Some("1"), Some(&view(Some(3)))), "an id tells by itself");
    }
}

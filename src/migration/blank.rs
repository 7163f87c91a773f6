//! Stretches of a log that hold no record: transaction markers, what was aborted, what compaction took. A member that has
//! read all records stands before the last of them, and commits no further: it has nothing to read, whatever the offsets
//! say (librdkafka commits the offset behind its last record; the markers lie beyond it).

use std::collections::BTreeMap;

use super::estate::{At, ClusterView, Side, TopicPartition};
use super::machine::Machine;

/// Offsets of a stretch that is looked through, at most.
const MOST: u64 = 10_000;
/// Stretches that are asked for at once.
const ASKED_AT_ONCE: usize = 16;

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
pub type Blanks = BTreeMap<TopicPartition, Blank>;

/// Stretches of which it has to be known whether they hold a record.
pub type WantedBlanks = BTreeMap<(Side, TopicPartition), (i64, i64)>;

impl Blank {
    /// Where a position is in truth: behind the stretch, if it lies in it.
    #[must_use]
    pub fn past(&self, at: i64) -> i64 {
        if (self.from..self.to).contains(&at) { self.to } else { at }
    }

    /// Takes in another stretch of the same partition: both as one where they meet, else the newer one.
    #[must_use]
    pub fn and(self, newer: Blank) -> Blank {
        let same = self.topic_id == newer.topic_id;
        if same && newer.from <= self.to && self.from <= newer.to {
            return Blank { from: self.from.min(newer.from), to: self.to.max(newer.to), ..newer };
        }
        newer
    }

    /// Whether it is of the topic as it is there now.
    #[must_use]
    pub fn is_of(&self, view: &ClusterView, topic: &str) -> bool {
        view.topics.get(topic).is_some_and(|t| t.id == self.topic_id)
    }
}

impl Machine {
    /// Stretches between a commit that does not move and the end of what can be read, of groups of the plan.
    #[must_use]
    pub fn wanted_blanks(&self, now: At) -> WantedBlanks {
        let sight = self.sight(now);
        let mut wanted = WantedBlanks::new();
        for side in Side::BOTH {
            let Some(cluster) = self.estate.side(side).value() else { continue };
            for group in self.settings.groups.keys() {
                let id = sight.id_on(group, side);
                let Some(view) = sight.seen(group, side).and_then(|s| s.view) else { continue };
                if !self.lag.stands_still(side, id) {
                    continue;
                }
                for (topic, partitions) in &view.offsets {
                    let Some(log) = cluster.topics.get(topic) else { continue };
                    for (partition, at) in partitions {
                        let stable = usize::try_from(*partition).ok().and_then(|p| log.partitions.get(p)?.lso);
                        let tp = TopicPartition::new(topic, *partition);
                        let known = self.estate.blanks(side).get(&tp).filter(|b| b.is_of(cluster, topic));
                        let from = known.map_or(at.offset, |b| b.past(at.offset));
                        let Some(to) = stable.filter(|to| *to > from && to.abs_diff(from) <= MOST) else { continue };
                        if wanted.len() < ASKED_AT_ONCE {
                            let asked = wanted.entry((side, tp)).or_insert((from, to));
                            asked.0 = asked.0.min(from);
                        }
                    }
                }
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_meet_are_one() {
        let blank = |from, to| Blank { from, to, topic_id: None };
        assert_eq!([9, 10, 11, 12].map(|at| blank(10, 12).past(at)), [9, 12, 12, 12]);
        assert_eq!(blank(10, 12).and(blank(12, 13)), blank(10, 13));
        assert_eq!(blank(10, 12).and(blank(8, 12)), blank(8, 12));
        assert_eq!(blank(10, 12).and(blank(20, 21)), blank(20, 21));
        let other = Blank { topic_id: Some("2".into()), ..blank(12, 13) };
        assert_eq!(blank(10, 12).and(other.clone()), other);
    }
}

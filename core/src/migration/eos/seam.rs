//! Seams: where the writers of a topic went from one cluster to the other, as journalled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{At, Side, TopicPartition};

/// One partition's seam. The name is the topic's on blue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSeam {
    /// Topic and partition, by its name on blue.
    pub tp: TopicPartition,
    /// The end of the side that was left, after its last writer was fenced and its markers had landed.
    pub source: i64,
    /// The high watermark of the side that is gone to, before any writer was allowed to write there.
    pub target: i64,
}

/// Every seam of a journal, the newest of each partition and direction. Which of two is newer is told by their order in
/// the journal: a clock may step back, or be another host's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seams {
    found: BTreeMap<(Side, TopicPartition), (u64, At, PartitionSeam)>,
    recorded: u64,
}

impl Seams {
    /// Takes a journalled cut to `to` in.
    pub fn record(&mut self, to: Side, seams: &[PartitionSeam], at: At) {
        self.recorded += 1;
        for seam in seams {
            self.found.insert((to, seam.tp.clone()), (self.recorded, at, seam.clone()));
        }
    }

    /// The newest seam of a partition, if its writers went to `to` by it and have not gone back since.
    #[must_use]
    pub fn current_to(&self, to: Side, tp: &TopicPartition) -> Option<(At, &PartitionSeam)> {
        let (n, at, seam) = self.found.get(&(to, tp.clone()))?;
        let back = self.found.get(&(to.other(), tp.clone())).map(|(n, ..)| n);
        back.is_none_or(|back| back < n).then_some((*at, seam))
    }

    /// The newest seam by which a partition's writers went to `to`, also if they have gone back since.
    #[must_use]
    pub fn last_to(&self, to: Side, tp: &TopicPartition) -> Option<&PartitionSeam> {
        self.found.get(&(to, tp.clone())).map(|(.., seam)| seam)
    }

    /// Every partition whose writers went to `to` and have not gone back since, with when that was journalled.
    pub(crate) fn all_to(&self, to: Side) -> impl Iterator<Item = (At, &PartitionSeam)> {
        self.found.keys().filter(move |(side, _)| *side == to).filter_map(move |(_, tp)| self.current_to(to, tp))
    }

    /// Whether a topic (by its name on blue) was cut to `to` and is there still.
    #[must_use]
    pub(crate) fn topic_went(&self, to: Side, topic: &str) -> bool {
        self.found.keys().any(|(side, tp)| *side == to && tp.topic == topic && self.current_to(to, tp).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_direction_counts() {
        let tp = TopicPartition::new("t", 0);
        let seam = |source, target| PartitionSeam { tp: tp.clone(), source, target };
        let mut seams = Seams::default();
        assert_eq!(seams.current_to(Side::Green, &tp), None);
        seams.record(Side::Green, &[seam(10, 3)], At(1));
        assert_eq!(seams.current_to(Side::Green, &tp), Some((At(1), &seam(10, 3))));
        seams.record(Side::Blue, &[seam(8, 10)], At(2));
        assert_eq!(seams.current_to(Side::Green, &tp), None, "they went back");
        assert_eq!(seams.current_to(Side::Blue, &tp).unwrap().1.source, 8);
        seams.record(Side::Green, &[seam(12, 8)], At(3));
        assert_eq!(seams.current_to(Side::Green, &tp).unwrap().1.source, 12);
        assert!(seams.topic_went(Side::Green, "t") && !seams.topic_went(Side::Blue, "t"));
    }

    #[test]
    fn a_clock_that_steps_back_does_not_turn_them_round() {
        let tp = TopicPartition::new("t", 0);
        let seam = |source, target| PartitionSeam { tp: tp.clone(), source, target };
        for back_at in [At(9), At(10)] {
            let mut seams = Seams::default();
            seams.record(Side::Green, &[seam(10, 3)], At(10));
            seams.record(Side::Blue, &[seam(8, 10)], back_at);
            assert_eq!(seams.current_to(Side::Green, &tp), None, "{back_at:?}");
            assert_eq!(seams.current_to(Side::Blue, &tp), Some((back_at, &seam(8, 10))));
            assert_eq!(seams.last_to(Side::Green, &tp), Some(&seam(10, 3)));
        }
    }
}

//! A replay's own progress, as it is committed on the target with the records.
//!
//! Each source partition has a slot: a partition of the target topic, under which the replay's group commits. The
//! committed offset is the next source offset of the slot's first source partition; where several source partitions
//! share a slot (a side topic with fewer partitions), the others stand in the commit's metadata as `INDEX=NEXT`.
//! A broker takes offsets only for topics that it has, so the source's own names would not do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ranges::Ranges;
use super::route::Routes;
use crate::base::TopicPartition;

/// Source partitions that one slot can hold: Kafka takes 4,096 bytes of metadata (offset.metadata.max.bytes), an entry
/// is at most 26.
const MOST: usize = 150;

/// One committed offset with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressSlot {
    /// Topic on the target and partition, under which it is committed.
    pub at: TopicPartition,
    /// Next source offset of the first source partition.
    pub offset: i64,
    /// The others.
    pub metadata: String,
}

/// Progress that can't be kept or understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Too many source partitions for the target's partitions.
    #[error("{sources} source partitions share partition {at}: their progress does not fit into one commit")]
    TooMany {
        /// The slot.
        at: TopicPartition,
        /// How many there are.
        sources: usize,
    },
    /// What is committed is not of this replay.
    #[error("what is committed for {at} ({offset} {metadata:?}) is not this replay's progress")]
    NotOurs {
        /// The slot.
        at: TopicPartition,
        /// As committed.
        offset: i64,
        /// As committed.
        metadata: String,
    },
}

/// The slots of a replay. The same ranges and routes give the same slots, so they are never stored.
#[derive(Debug, Clone)]
pub struct ProgressSlots {
    /// Source partitions in order, with the hull of their ranges.
    sources: Vec<(TopicPartition, i64, i64)>,
    /// Indices into `sources`, by slot.
    by_slot: BTreeMap<TopicPartition, Vec<usize>>,
}

impl ProgressSlots {
    /// The slots of these ranges. Errors: too many source partitions for one slot.
    pub fn new(ranges: &Ranges, routes: &Routes) -> Result<Self, SlotError> {
        let sources: Vec<_> = ranges.hulls().map(|p| (p.tp, p.from, p.to)).collect();
        let mut by_slot: BTreeMap<TopicPartition, Vec<usize>> = BTreeMap::new();
        for (i, (tp, ..)) in sources.iter().enumerate() {
            let Some(route) = routes.get(&tp.topic) else { continue };
            let at = TopicPartition::new(&route.to, tp.partition % route.partitions.max(1));
            by_slot.entry(at).or_default().push(i);
        }
        if let Some((at, sources)) = by_slot.iter().find(|(_, sources)| sources.len() > MOST) {
            return Err(SlotError::TooMany { at: at.clone(), sources: sources.len() });
        }
        Ok(Self { sources, by_slot })
    }

    /// The source partitions in order.
    pub fn sources(&self) -> impl Iterator<Item = &TopicPartition> {
        self.sources.iter().map(|(tp, ..)| tp)
    }

    /// Where progress is committed.
    pub fn places(&self) -> impl Iterator<Item = &TopicPartition> {
        self.by_slot.keys()
    }

    /// Nothing carried yet: the first offset of each source partition's part.
    #[must_use]
    pub fn start_offsets(&self) -> Vec<i64> {
        self.sources.iter().map(|(_, from, _)| *from).collect()
    }

    /// Everything carried: the end of each source partition's part.
    #[must_use]
    pub fn end_offsets(&self) -> Vec<i64> {
        self.sources.iter().map(|(.., to)| *to).collect()
    }

    /// What to commit for the slots in which a source partition moved. `next` is by index of [`Self::sources`].
    #[must_use]
    pub fn slots_to_commit(&self, next: &[i64], moved: &[bool]) -> Vec<ProgressSlot> {
        let changed = self.by_slot.iter().filter(|(_, of)| of.iter().any(|i| moved[*i]));
        changed.map(|(at, of)| self.encode_slot(at, of, next)).collect()
    }

    fn encode_slot(&self, at: &TopicPartition, of: &[usize], next: &[i64]) -> ProgressSlot {
        let mut metadata = String::new();
        for i in of.iter().skip(1) {
            let _ = write!(metadata, "{i}={} ", next[*i]); // writing to a String can't fail
        }
        metadata.truncate(metadata.trim_end().len());
        ProgressSlot { at: at.clone(), offset: of.first().map_or(0, |i| next[*i]), metadata }
    }

    /// The positions that these commits stand for; a slot that was never committed stands at its start.
    pub fn read_positions(&self, committed: &[ProgressSlot]) -> Result<Vec<i64>, SlotError> {
        let mut next = self.start_offsets();
        for slot in committed {
            let wrong =
                || SlotError::NotOurs { at: slot.at.clone(), offset: slot.offset, metadata: slot.metadata.clone() };
            let of = self.by_slot.get(&slot.at).ok_or_else(wrong)?;
            let first = *of.first().ok_or_else(wrong)?;
            next[first] = self.keep_within(first, slot.offset).ok_or_else(wrong)?;
            let entries: Vec<&str> = slot.metadata.split(' ').filter(|e| !e.is_empty()).collect();
            // All partitions of the slot, or it is not ours: a position that is guessed skips records, or
            // carries them twice.
            if entries.len() + 1 != of.len() {
                return Err(wrong());
            }
            for (entry, expected) in entries.into_iter().zip(&of[1..]) {
                let (i, offset) = entry.split_once('=').ok_or_else(wrong)?;
                let i: usize = i.parse().map_err(|_| wrong())?;
                let offset: i64 = offset.parse().map_err(|_| wrong())?;
                if i != *expected {
                    return Err(wrong());
                }
                next[i] = self.keep_within(i, offset).ok_or_else(wrong)?;
            }
        }
        Ok(next)
    }

    /// The offset, if it is a position in this part.
    fn keep_within(&self, i: usize, offset: i64) -> Option<i64> {
        let (_, from, to) = &self.sources[i];
        // The end itself is a position too: all of the part was carried.
        (*from..=*to).contains(&offset).then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranges::Piece;
    use super::super::route::{By, Route};
    use super::*;
    use proptest::prelude::*;

    fn slots(sources: i32, partitions: i32) -> ProgressSlots {
        let ranges = Ranges::from_pieces((0..sources).map(|p| Piece::new(TopicPartition::new("t", p), 10, 100)));
        let route = Route { to: "u".into(), partitions, by: By::Key };
        ProgressSlots::new(&ranges, &[("t".to_owned(), route)].into()).unwrap()
    }

    #[test]
    fn usually_the_committed_offset_says_it_all() {
        let slots = slots(2, 2);
        let commits = slots.slots_to_commit(&[40, 10], &[true, false]);
        assert_eq!(commits, [ProgressSlot { at: TopicPartition::new("u", 0), offset: 40, metadata: String::new() }]);
        assert_eq!(slots.read_positions(&commits).unwrap(), [40, 10]);
        assert_eq!(slots.read_positions(&[]).unwrap(), slots.start_offsets());
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let slots = slots(3, 2);
        let at = TopicPartition::new("u", 0);
        let bad = |offset, metadata: &str| {
            slots.read_positions(&[ProgressSlot { at: at.clone(), offset, metadata: metadata.to_owned() }]).is_err()
        };
        assert!(!bad(10, "2=100"));
        for (offset, metadata) in [(9, "2=10"), (101, "2=10"), (10, ""), (10, "1=10"), (10, "2=10 2=10"), (10, "2=x")] {
            assert!(bad(offset, metadata), "{offset} {metadata}");
        }
        let other = ProgressSlot { at: TopicPartition::new("v", 0), offset: 10, metadata: String::new() };
        assert!(slots.read_positions(&[other]).is_err());
        let ranges = Ranges::from_pieces((0..200).map(|p| Piece::new(TopicPartition::new("t", p), 0, 1)));
        let route = Route { to: "u".into(), partitions: 1, by: By::Key };
        assert!(ProgressSlots::new(&ranges, &[("t".to_owned(), route)].into()).is_err());
    }

    proptest! {
        /// However commits and deaths interleave, what is read back is what the last commit of each slot said.
        #[test]
        fn progress_survives(
            sources in 1..20i32, partitions in 1..6i32,
            steps in proptest::collection::vec((0..20usize, 0..90i64), 0..60),
        ) {
            let slots = slots(sources, partitions);
            let mut next = slots.start_offsets();
            let mut broker: BTreeMap<TopicPartition, ProgressSlot> = BTreeMap::new();
            for (i, to) in steps {
                let i = i % next.len();
                next[i] = next[i].max(10 + to);
                let mut moved = vec![false; next.len()];
                moved[i] = true;
                for slot in slots.slots_to_commit(&next, &moved) {
                    prop_assert!(slot.metadata.len() <= 4096);
                    broker.insert(slot.at.clone(), slot);
                }
                let committed: Vec<ProgressSlot> = broker.values().cloned().collect();
                prop_assert_eq!(slots.read_positions(&committed).unwrap(), next.clone());
            }
        }
    }
}

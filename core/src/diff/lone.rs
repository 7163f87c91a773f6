//! Lone records of a bucket, and what the pairs say of them: copies too many, what compaction explains.

use super::entry::BucketEntry;
use super::{ByHash, DiffRules, Log, index_of_log, other_log};

/// Copies of one record: partition (0 where the topic is compared as a whole), identity, key.
type CopyGroup = (u32, u64, u64);
/// A key on one log: partition ([`ANYWHERE`]: in any), key, log.
type OnLog = (u32, u64, usize);

/// No partition has this number: there are 24 bits for one.
const ANYWHERE: u32 = u32::MAX;

/// Lone records, and what the pairs say of them.
pub(super) struct Left {
    /// Sorted by group and timestamp.
    pub(super) lone: Vec<BucketEntry>,
    /// Timestamp of the nearest pair of the same record at or below, and at or above it, where it is known already.
    below: Vec<i64>,
    above: Vec<i64>,
    /// A bit for each identity of theirs: of most pairs there is nothing alone.
    bits: Vec<u64>,
    /// The last offset of each key that lone records have, on each log where it is, by partition: offsets of two have no
    /// order. Under [`ANYWHERE`] it only says that the log has the key.
    last: ByHash<OnLog, i64>,
}

impl Left {
    /// Of these records, of which no pair has said anything yet.
    pub(super) fn new(mut lone: Vec<BucketEntry>, rules: &DiffRules) -> Self {
        lone.sort_unstable_by_key(|e| (group_of(e, rules), e.ts, e.offset));
        let (below, above) = (vec![i64::MIN; lone.len()], vec![i64::MAX; lone.len()]);
        let mut bits = vec![0; (lone.len() / 4).next_power_of_two()]; // 16 bits a record or more
        for e in &lone {
            let (word, bit) = bit_of(&bits, e);
            bits[word] |= bit;
        }
        let mut last = ByHash::default();
        if rules.compacted {
            for e in &lone {
                note_last(&mut last, (e.log(), e.partition, e.offset), e.key, rules);
            }
        }
        Self { lone, below, above, bits, last }
    }

    /// Takes in a pair.
    #[inline]
    pub(super) fn note_pair(&mut self, e: &BucketEntry, rules: &DiffRules) {
        let name = group_of(e, rules);
        let (word, bit) = bit_of(&self.bits, e);
        let from = match self.bits[word] & bit {
            0 => self.lone.len(),
            _ => self.lone.partition_point(|l| group_of(l, rules) < name),
        };
        if self.lone.get(from).is_some_and(|l| group_of(l, rules) == name) {
            let of = &self.lone[from..];
            let of = &of[..of.partition_point(|l| group_of(l, rules) == name)];
            let (at_or_above, above) = (of.partition_point(|l| l.ts < e.ts), of.partition_point(|l| l.ts <= e.ts));
            // Neighbours alone are told; the rest learn it from them at the end.
            if at_or_above < of.len() {
                let below = &mut self.below[from + at_or_above];
                *below = e.ts.max(*below);
            }
            if above > 0 {
                let above = &mut self.above[from + above - 1];
                *above = e.ts.min(*above);
            }
        }
        if rules.compacted {
            let ends = [(Log::Source, e.partition, e.offset), (Log::Target, e.twin_partition(), e.twin)];
            // Only of keys that matter: those with a lone record on either log.
            let matters = |(log, p, _): &(Log, u32, i64)| self.last.contains_key(&on_other_log(e.key, *p, *log, rules));
            if ends.iter().any(matters) {
                ends.into_iter().for_each(|end| note_last(&mut self.last, end, e.key, rules));
            }
        }
    }

    /// Whether each is a copy too many of a record that has a twin.
    pub(super) fn mark_copies(&self, rules: &DiffRules) -> Vec<bool> {
        let mut copies = vec![false; self.lone.len()];
        let mut from = 0;
        for of in self.lone.chunk_by(|a, b| group_of(a, rules) == group_of(b, rules)) {
            let all = from..from + of.len();
            let (mut below, mut any) = (i64::MIN, false);
            for i in all.clone() {
                any |= self.below[i] != i64::MIN || self.above[i] != i64::MAX;
                below = below.max(self.below[i]);
                copies[i] = below != i64::MIN && rules.is_near(below, self.lone[i].ts);
            }
            let mut above = i64::MAX;
            for i in all.clone().rev() {
                above = above.min(self.above[i]);
                copies[i] |= above != i64::MAX && rules.is_near(above, self.lone[i].ts);
                // One too many on the target loses nothing. On the source it may be a lost record, unless a
                // pair is near.
                copies[i] |= any && self.lone[i].log() == Log::Target;
            }
            from = all.end;
        }
        copies
    }

    /// Of several copies the first is the twin, the later ones are the copies too many: else a copy that happened to
    /// be read before the other log's would look like a record that has moved. Gives the pairs that changed.
    pub(super) fn prefer_first_twin(
        &mut self,
        copies: &[bool],
        pairs: &mut [BucketEntry],
        rules: &DiffRules,
    ) -> Vec<BucketEntry> {
        let mut changed = Vec::new();
        let mut of_group: ByHash<CopyGroup, Vec<usize>> = ByHash::default();
        for (e, _) in self.lone.iter().zip(copies).filter(|(e, copy)| **copy && e.is_judged()) {
            of_group.entry(group_of(e, rules)).or_default();
        }
        if of_group.is_empty() {
            return changed;
        }
        let alone = |e: &BucketEntry| {
            let (word, bit) = bit_of(&self.bits, e);
            self.bits[word] & bit != 0
        };
        for (i, e) in pairs.iter().enumerate().filter(|(_, e)| e.is_judged() && alone(e)) {
            if let Some(of) = of_group.get_mut(&group_of(e, rules)) {
                of.push(i);
            }
        }
        for (e, _) in self.lone.iter_mut().zip(copies).filter(|(e, copy)| **copy && e.is_judged()) {
            let Some(of) = of_group.get(&group_of(e, rules)) else { continue };
            let near = of.iter().copied().filter(|i| rules.is_near(pairs[*i].ts, e.ts));
            let place = |i: &usize| if e.log() == Log::Source { pairs[*i].offset } else { pairs[*i].twin };
            let there = |i: &usize| {
                let p = &pairs[*i];
                e.partition == if e.log() == Log::Source { p.partition } else { p.twin_partition() }
            };
            let Some(last) = near.filter(there).max_by_key(place).filter(|i| place(i) > e.offset) else { continue };
            let pair = &mut pairs[last];
            if e.log() == Log::Source {
                std::mem::swap(&mut pair.offset, &mut e.offset);
                std::mem::swap(&mut pair.ts, &mut e.ts);
            } else {
                std::mem::swap(&mut pair.twin, &mut e.offset);
            }
            changed.push(*pair);
        }
        changed
    }

    /// Whether compaction explains that the other log has not got it: its key has a later record on its own log, or it
    /// is a tombstone of a key that the other log has forgotten.
    pub(super) fn is_superseded(&self, e: &BucketEntry, rules: &DiffRules) -> bool {
        if !rules.compacted || e.key == 0 {
            return false;
        }
        let (own, other) = (index_of_log(e.log()), on_other_log(e.key, e.partition, other_log(e.log()), rules));
        self.last.get(&(e.partition, e.key, own)).is_some_and(|last| *last > e.offset)
            || e.is_tombstone() && !self.last.contains_key(&other)
    }
}

/// Copies of one record; within a partition unless the topic is compared as a whole.
#[inline]
pub(super) fn group_of(e: &BucketEntry, rules: &DiffRules) -> CopyGroup {
    (if rules.over_topic { 0 } else { e.partition }, e.id, e.key)
}

/// Where the bit of a record's identity is.
#[inline]
fn bit_of(bits: &[u64], e: &BucketEntry) -> (usize, u64) {
    ((e.id >> 6) as usize & (bits.len() - 1), 1 << (e.id & 63))
}

/// Where a key of this partition is to be looked for on the other log: in any partition where those don't match.
fn on_other_log(key: u64, partition: u32, log: Log, rules: &DiffRules) -> OnLog {
    (if rules.over_topic { ANYWHERE } else { partition }, key, index_of_log(log))
}

/// A record of a key lies at this offset of a log's partition.
fn note_last(last: &mut ByHash<OnLog, i64>, (log, partition, offset): (Log, u32, i64), key: u64, rules: &DiffRules) {
    for p in [partition, ANYWHERE].into_iter().take(1 + usize::from(rules.over_topic)) {
        let last = last.entry((p, key, index_of_log(log))).or_insert(offset);
        *last = offset.max(*last);
    }
}

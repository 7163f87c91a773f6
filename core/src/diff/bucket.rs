//! The deciding half: all records of a key lie in one bucket, so copies, order and compaction are decided there.

use std::collections::BTreeMap;

use super::entry::{self, BucketEntry};
use super::lines::{KeyLines, Late, has_order, key_line};
use super::lone::{Left, group_of};
use super::order;
use super::report::{Moved, PartitionDiff};
use super::spans::OffsetSet;
use super::{DiffRules, Join, Log, PartitionCounts, index_of_log, mix_bits, other_log};
use crate::offsets::arrival::Ahead;

/// Moved records that are listed one by one; their offsets are exact beyond that too.
const MOVED_LISTED: usize = 10_000;

/// What was found in one partition.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) alone: [OffsetSet; 2],
    pub(super) duplicated: [OffsetSet; 2],
    pub(super) unsettled: [OffsetSet; 2],
    pub(super) superseded: [OffsetSet; 2],
    pub(super) early: [OffsetSet; 2],
    pub(super) moved: [OffsetSet; 2],
    pub(super) furthest: u64,
    pub(super) list: Vec<Moved>,
    pub(super) unordered: u64,
    pub(super) undecided: u64,
    pub(super) veiled: u64,
    pub(super) ahead: u64,
}

/// Takes bucket after bucket, and then gives the report.
#[derive(Debug)]
pub struct Resolver {
    rules: DiffRules,
    counts: Vec<PartitionCounts>,
    settled_to: [i64; 2],
    /// Records of each log whose timestamps lie ahead.
    ahead: [Ahead; 2],
    /// By log and partition: whether an open transaction hides records of it.
    hidden: [Vec<bool>; 2],
    found: Vec<Findings>,
    in_memory: Vec<Vec<BucketEntry>>,
    /// Memory for the pairs of a bucket, used again and again.
    spare: Vec<BucketEntry>,
}

impl Resolver {
    /// Everything has been read. `settled_to`: a lone record of that log with this timestamp or a later one may still
    /// get its twin (the other log's end was read less than `arrival_skew` after it), ms.
    #[must_use]
    pub fn new(join: Join, settled_to: [i64; 2]) -> Self {
        let (rules, counts, in_memory) = join.finish();
        let found = counts.iter().map(|_| Findings::default()).collect();
        let hidden = [Vec::new(), Vec::new()];
        Self { rules, counts, settled_to, ahead: [Ahead::NONE; 2], hidden, found, in_memory, spare: Vec::new() }
    }

    /// `ahead`: what is known of records of each log whose timestamps lie ahead.
    #[must_use]
    pub fn with_ahead(self, ahead: [Ahead; 2]) -> Self {
        Self { ahead, ..self }
    }

    /// `hidden`: by log and partition, whether an open transaction hides records of it. They may be the twins of what
    /// is alone on the other log, which is then unsettled whatever its age.
    #[must_use]
    pub fn with_hidden(self, hidden: [Vec<bool>; 2]) -> Self {
        Self { hidden, ..self }
    }

    /// Whether the twin of a lone record may be in an open transaction.
    fn is_veiled(&self, e: &BucketEntry) -> bool {
        let hidden = &self.hidden[index_of_log(other_log(e.log()))];
        match self.rules.over_topic {
            true => hidden.contains(&true),
            false => hidden.get(e.partition as usize).is_some_and(|hidden| *hidden),
        }
    }

    /// Number of buckets: each is to be given to [`Resolver::decide_bucket`] once.
    #[must_use]
    pub fn bucket_count(&self) -> usize {
        self.in_memory.len()
    }

    /// Decides one bucket. `bytes` of it are on disk; `replay` gives them from the start, in pieces that are multiples
    /// of 48 bytes, and is called again for each look at them: more than one where the bucket is larger than memory.
    ///
    /// # Errors
    /// Those of `replay`.
    pub fn decide_bucket<E>(
        &mut self,
        bucket: usize,
        bytes: u64,
        replay: impl FnMut(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    ) -> Result<(), E> {
        let memory = std::mem::take(&mut self.in_memory[bucket]);
        let mut records = BucketRecords { bytes, memory, replay };
        let most = (self.rules.memory / entry::BYTES / 2).max(1);
        let looks = records.count_looks(most);
        let mut pairs = Pairs { most, all: std::mem::take(&mut self.spare), ..Pairs::default() };
        for nth in 0..looks {
            self.judge_look(&mut records, BucketLook { nth, looks }, &mut pairs)?;
        }
        if looks == 1 {
            self.note_moved_at_once(pairs);
            return Ok(());
        }
        self.note_moved_in_looks(&mut records, looks, pairs)
    }

    /// Names the lone records of one look. `pairs` takes in what is paired here, and where there is only this look all
    /// pairs of the bucket.
    fn judge_look<E, R>(&mut self, records: &mut BucketRecords<R>, look: BucketLook, pairs: &mut Pairs) -> Result<(), E>
    where
        R: FnMut(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    {
        let (most, once, compacted) = (pairs.most, look.looks == 1, self.rules.compacted);
        // Copies need those of one record together, order and compaction those of one key.
        let mine = |e: &BucketEntry| look.takes(if compacted { e.key } else { e.id });
        let mut lone = Vec::new();
        let mut undecided = BTreeMap::new();
        records.give_all(&mut |e| match e.is_pair() {
            true if once => pairs.add(e),
            true => {}
            false if !mine(&e) => {}
            false if lone.len() < most => lone.push(e),
            false => *undecided.entry(e.partition).or_insert(0) += 1,
        })?;
        let made = self.join_late(&mut lone);
        let mut left = Left::new(lone, &self.rules);
        made.iter().for_each(|e| pairs.add(*e));
        if !left.lone.is_empty() {
            if once {
                pairs.all.iter().for_each(|e| left.note_pair(e, &self.rules));
            } else {
                made.iter().for_each(|e| left.note_pair(e, &self.rules));
                records.give_all(&mut |e| {
                    if e.is_pair() && mine(&e) {
                        left.note_pair(&e, &self.rules);
                    }
                })?;
            }
            let copies = left.mark_copies(&self.rules);
            for e in left.prefer_first_twin(&copies, &mut pairs.all, &self.rules) {
                self.counts[e.partition as usize].note_first(&e);
                self.counts[e.twin_partition() as usize].note_twin(e.twin);
            }
            self.judge_lone(&left, &copies);
        }
        undecided.into_iter().for_each(|(p, n)| self.found[p as usize].undecided += n);
        Ok(())
    }

    /// Counts what has moved of a bucket whose pairs are all there.
    fn note_moved_at_once(&mut self, mut pairs: Pairs) {
        let mut lines = KeyLines::with_room(pairs.most / 4);
        pairs.all.iter().for_each(|e| lines.note_pair(e));
        pairs.all.retain(|e| lines.may_have_moved(e));
        drop(lines);
        self.note_moved(&mut pairs);
        pairs.all.clear();
        self.spare = pairs.all;
    }

    /// Counts what has moved of a bucket that is larger than memory. `made`: the pairs that were made only now.
    fn note_moved_in_looks<E, R>(
        &mut self,
        records: &mut BucketRecords<R>,
        looks: u64,
        mut made: Pairs,
    ) -> Result<(), E>
    where
        R: FnMut(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    {
        let most = made.most;
        // Each has its turn where its offset is.
        made.all.sort_unstable_by_key(|e| (key_line(e), e.offset));
        for nth in 0..looks {
            let look = BucketLook { nth, looks };
            let mine = |e: &BucketEntry| e.is_pair() && look.takes(e.key);
            let mut lines = KeyLines::with_room(most / 2);
            let mut late = Late::new(&made.all, mine);
            records.give_all(&mut |e| {
                if mine(&e) {
                    late.give_before(&e, |l| lines.note_pair(l));
                    lines.note_pair(&e);
                }
            })?;
            late.give_rest(|l| lines.note_pair(l));
            if lines.in_order() {
                continue;
            }
            let mut of_look = Pairs { most, ..Pairs::default() };
            let mut add = |e: &BucketEntry| {
                if mine(e) && lines.may_have_moved(e) {
                    of_look.add(*e);
                }
            };
            records.give_all(&mut |e| add(&e))?;
            made.all.iter().for_each(add);
            drop(lines);
            self.note_moved(&mut of_look);
        }
        self.note_moved(&mut Pairs { all: Vec::new(), ..made });
        Ok(())
    }

    /// Pairs what met its twin only here; what is left stays in `lone`.
    fn join_late(&mut self, lone: &mut Vec<BucketEntry>) -> Vec<BucketEntry> {
        let rules = &self.rules;
        lone.sort_unstable_by_key(|e| (group_of(e, rules), index_of_log(e.log()), e.ts, e.offset));
        let (mut made, mut left) = (Vec::new(), Vec::with_capacity(lone.len()));
        for copies in lone.chunk_by(|a, b| group_of(a, rules) == group_of(b, rules)) {
            let (source, target) = copies.split_at(copies.partition_point(|e| e.log() == Log::Source));
            if source.is_empty() || target.is_empty() {
                left.extend_from_slice(copies);
                continue;
            }
            let (mut i, mut j) = (0, 0);
            let (mut source_left, mut target_left) = (Vec::new(), Vec::new());
            while let (Some(s), Some(t)) = (source.get(i), target.get(j)) {
                if rules.is_near(s.ts, t.ts) {
                    made.push((*s, *t, false));
                    (i, j) = (i + 1, j + 1);
                } else if s.ts < t.ts {
                    source_left.push(*s);
                    i += 1;
                } else {
                    target_left.push(*t);
                    j += 1;
                }
            }
            source_left.extend_from_slice(&source[i..]);
            target_left.extend_from_slice(&target[j..]);
            pair_far(&mut source_left, &mut target_left, &mut made);
            left.append(&mut source_left);
            left.append(&mut target_left);
        }
        *lone = left;
        made.into_iter().map(|(s, t, far)| self.pair_late(&s, &t, far)).collect()
    }

    fn pair_late(&mut self, source: &BucketEntry, target: &BucketEntry, far: bool) -> BucketEntry {
        let pair = BucketEntry::join_lone(source, target);
        let counts = &mut self.counts[pair.partition as usize];
        counts.count_pair(pair.offset, pair.is_judged(), source.ts.abs_diff(target.ts));
        counts.far += u64::from(far);
        self.counts[pair.twin_partition() as usize].note_twin(pair.twin);
        pair
    }

    /// Names each lone record that is judged.
    fn judge_lone(&mut self, left: &Left, copies: &[bool]) {
        for (entry, copy_of_pair) in left.lone.iter().zip(copies).filter(|(e, _)| e.is_judged()) {
            let log = index_of_log(entry.log());
            let superseded = left.is_superseded(entry, &self.rules);
            let excused =
                self.rules.judged[log].get(entry.partition as usize).map_or(i64::MIN, |j| j.excused_before_ts);
            let veiled = self.is_veiled(entry);
            let old_to = self.counts[entry.partition as usize].old_to[log];
            let came = self.ahead[log].is_settled(entry.ts, entry.offset, old_to);
            let found = &mut self.found[entry.partition as usize];
            // In the order of what excuses most: what compaction removed is explained at any age, what may still come
            // or can't be seen is not judged, and only what remains is a copy too many, too early, or missing.
            let set = if superseded {
                &mut found.superseded
            } else if entry.ts >= self.settled_to[log] && !came {
                found.ahead += u64::from(self.ahead[log].is_ahead(entry.ts));
                &mut found.unsettled
            } else if veiled {
                found.veiled += 1;
                &mut found.unsettled
            } else if *copy_of_pair {
                &mut found.duplicated
            } else if entry.ts < excused {
                &mut found.early
            } else {
                &mut found.alone
            };
            set[log].insert(entry.offset);
        }
    }

    /// Counts the records that changed their order among those of their key.
    fn note_moved(&mut self, pairs: &mut Pairs) {
        let Pairs { all: pairs, unordered, .. } = pairs;
        // The pair that was left out may be the one that moved: nothing is claimed then of any order in this bucket.
        if !unordered.is_empty() {
            pairs.iter().filter(|e| has_order(e)).for_each(|e| *unordered.entry(e.partition).or_insert(0) += 1);
            unordered.iter().for_each(|(p, n)| self.found[*p as usize].unordered += n);
            return;
        }
        pairs.sort_unstable_by_key(|e| (key_line(e), e.offset));
        let mut places = Vec::new();
        for of_key in pairs.chunk_by(|a, b| key_line(a) == key_line(b)) {
            if of_key.is_sorted_by_key(|e| e.twin) {
                continue;
            }
            places.clear();
            places.extend(of_key.iter().map(|e| e.twin));
            let moved = order::find_moved(&places);
            let far = order::measure_displacements(&places, &moved);
            let found = &mut self.found[of_key[0].partition as usize];
            for (i, by) in moved.into_iter().zip(far) {
                let e = &of_key[i];
                found.moved[0].insert(e.offset);
                found.moved[1].insert(e.twin);
                found.furthest = found.furthest.max(by);
                if found.list.len() < MOVED_LISTED {
                    found.list.push(Moved { source: e.offset, target: e.twin, by });
                }
            }
        }
    }

    /// The report of every partition.
    #[must_use]
    pub fn finish(self) -> Vec<PartitionDiff> {
        let parts = (0..).zip(self.found.into_iter().zip(self.counts));
        parts.map(|(partition, (found, counts))| found.into_report(partition, &counts)).collect()
    }
}

/// What is in a bucket: `bytes` on disk, which `replay` gives from the start as often as it is called, and the rest.
struct BucketRecords<R> {
    bytes: u64,
    memory: Vec<BucketEntry>,
    replay: R,
}

impl<R> BucketRecords<R> {
    /// How often they are looked at. Larger than memory: records are spread over so many looks that each has room for
    /// its share, where it has room for `most`.
    fn count_looks(&self, most: usize) -> u64 {
        let total = self.bytes / entry::BYTES as u64 + self.memory.len() as u64;
        if total <= most as u64 { 1 } else { total * 4 / most as u64 + 1 }
    }

    /// Gives all of them, in the order in which they came.
    #[inline]
    fn give_all<E>(&mut self, take: &mut dyn FnMut(BucketEntry)) -> Result<(), E>
    where
        R: FnMut(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    {
        if self.bytes > 0 {
            (self.replay)(&mut |piece| BucketEntry::read_all(piece).for_each(&mut *take))?;
        }
        self.memory.iter().copied().for_each(take);
        Ok(())
    }
}

/// One of the looks at a bucket, from 0.
#[derive(Clone, Copy)]
struct BucketLook {
    nth: u64,
    looks: u64,
}

impl BucketLook {
    /// Whether what goes by this hash has its turn in it.
    #[inline]
    fn takes(self, hash: u64) -> bool {
        // Mixed with a number of its own: by the bits that chose the bucket its records would crowd into few looks.
        self.looks == 1 || mix_bits(hash ^ 0x5bd1) % self.looks == self.nth
    }
}

/// Copies too far apart in time to be one send are copies all the same: paired in the order of the logs.
fn pair_far(
    source: &mut Vec<BucketEntry>,
    target: &mut Vec<BucketEntry>,
    made: &mut Vec<(BucketEntry, BucketEntry, bool)>,
) {
    for all in [&mut *source, &mut *target] {
        all.sort_unstable_by_key(|e| (!e.is_judged(), e.partition, e.offset));
    }
    let judged = |all: &[BucketEntry]| all.partition_point(BucketEntry::is_judged);
    let pairs = judged(source).min(judged(target));
    made.extend(source.drain(..pairs).zip(target.drain(..pairs)).map(|(s, t)| (s, t, true)));
}

/// Pairs, as many as fit.
#[derive(Default)]
struct Pairs {
    most: usize,
    all: Vec<BucketEntry>,
    /// Those whose order can't be compared as they don't fit, by partition.
    unordered: BTreeMap<u32, u64>,
}

impl Pairs {
    fn add(&mut self, e: BucketEntry) {
        if self.all.len() < self.most {
            self.all.push(e);
        } else if has_order(&e) {
            *self.unordered.entry(e.partition).or_insert(0) += 1;
        }
    }
}

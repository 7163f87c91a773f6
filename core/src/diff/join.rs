//! The streaming half: records of both logs go in as they are read, pairs fall out, only what waits is kept.

use serde::{Deserialize, Serialize};

use super::entry::{self, BucketEntry};
use super::waiting::{ArrivedRecord, Waiting, WaitingRoom};
use super::{DiffRecord, DiffRules, Log, index_of_log};

/// Entries by which a bucket grows, at least and at most.
const GROW: (usize, usize) = (4, 1_024);
/// Entries that are turned into bytes at a time.
const PIECE: usize = 4_096;

/// What one partition's records added up to so far. Pairs of an offset on each log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionCounts {
    /// Records read, source and target.
    pub read: [u64; 2],
    /// Judged records among them.
    pub judged: [u64; 2],
    /// Pairs of which at least one record is judged.
    pub equal: u64,
    /// Lowest offsets of any pair, source and target; `i64::MAX` before there is one.
    pub first_pair: [i64; 2],
    /// Pairs whose timestamps are further apart than `pair_delta`.
    pub far: u64,
    /// Largest distance of the timestamps of a pair, ms.
    pub distance_ms: u64,
    /// One past the highest offset of a pair that is old by its own timestamps, source and target: what lies before it
    /// in its log is old too, whatever its timestamp.
    #[serde(default = "none_old")]
    pub old_to: [i64; 2],
}

fn none_old() -> [i64; 2] {
    [i64::MIN; 2]
}

impl PartitionCounts {
    fn new() -> Self {
        Self { first_pair: [i64::MAX; 2], old_to: none_old(), ..Self::default() }
    }

    pub(super) fn count_pair(&mut self, source: i64, judged: bool, distance: u64) {
        self.equal += u64::from(judged);
        self.first_pair[0] = self.first_pair[0].min(source);
        self.distance_ms = self.distance_ms.max(distance);
    }

    pub(super) fn note_first(&mut self, pair: &BucketEntry) {
        self.first_pair[0] = self.first_pair[0].min(pair.offset);
    }

    pub(super) fn note_twin(&mut self, target: i64) {
        self.first_pair[1] = self.first_pair[1].min(target);
    }
}

/// What is needed to go on later, besides the buckets: see [`Join::save_state`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    counts: Vec<PartitionCounts>,
}

/// Pairs the records of two logs as they come.
pub struct Join {
    rules: DiffRules,
    /// By partition: where counts are equal a record's twin is in the partition of the same number. One otherwise.
    rooms: Vec<WaitingRoom>,
    /// Bytes of all rooms.
    waiting: usize,
    seq: u64,
    counts: Vec<PartitionCounts>,
    buckets: Vec<Vec<BucketEntry>>,
    /// Bytes of all buckets, with what they keep free to grow.
    held: usize,
    stale: Vec<BucketEntry>,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("waiting", &self.count_waiting()).field("memory", &self.memory_used()).finish()
    }
}

impl Join {
    /// Nothing read yet.
    #[must_use]
    pub fn new(rules: DiffRules) -> Self {
        let partitions = rules.judged[0].len().max(rules.judged[1].len());
        let rooms = if rules.over_topic { 1 } else { partitions };
        let buckets = (0..rules.buckets).map(|_| Vec::new()).collect();
        Self {
            rules,
            rooms: (0..rooms).map(|_| WaitingRoom::default()).collect(),
            waiting: 0,
            seq: 0,
            counts: vec![PartitionCounts::new(); partitions],
            buckets,
            held: 0,
            stale: Vec::new(),
        }
    }

    /// Goes on from a state; `waiting` are the bytes that [`Join::save_state`] gave with it.
    #[must_use]
    pub fn resume(rules: DiffRules, state: JoinState, waiting: &[u8]) -> Self {
        let mut join = Self::new(rules);
        join.counts = state.counts;
        // Records that waited go to their buckets: a twin that is still to come finds them there at the end.
        for entry in BucketEntry::read_all(waiting) {
            join.put_entry(entry);
        }
        join
    }

    /// What is needed to go on later once all buckets have been taken ([`Join::spill`]): the counts, and the waiting
    /// records as bytes.
    #[must_use]
    pub fn save_state(&self) -> (JoinState, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.count_waiting() * entry::BYTES);
        self.rooms.iter().for_each(|room| room.for_each(|entry| entry.write_to(&mut bytes)));
        (JoinState { counts: self.counts.clone() }, bytes)
    }

    /// Takes in records of a log's partition, in offset order.
    pub fn push(&mut self, log: Log, partition: u32, records: &[DiffRecord]) {
        let room = if self.rules.over_topic { 0 } else { partition as usize };
        let Some(before) = self.rooms.get(room).map(WaitingRoom::memory_bytes) else { return }; // a partition that is not compared
        let mut judged_records = 0;
        for seen in records {
            let judged = self.rules.is_judged(log, partition, seen);
            judged_records += u64::from(judged);
            self.seq += 1;
            let come = ArrivedRecord { log, partition, seen, judged, seq: self.seq };
            let twin = self.rooms[room].meet_twin(&self.rules, come, &mut self.stale);
            if !self.stale.is_empty() {
                // Taken out for the while: `put_entry` needs all of `self`.
                let mut stale = std::mem::take(&mut self.stale);
                stale.drain(..).for_each(|entry| self.put_entry(entry));
                self.stale = stale;
            }
            if let Some(twin) = twin {
                self.make_pair(&twin, log, partition, seen, judged);
            }
        }
        self.waiting = self.waiting + self.rooms[room].memory_bytes() - before;
        if let Some(counts) = self.counts.get_mut(partition as usize) {
            counts.read[index_of_log(log)] += records.len() as u64;
            counts.judged[index_of_log(log)] += judged_records;
        }
    }

    fn make_pair(&mut self, waiting: &Waiting, log: Log, partition: u32, seen: &DiffRecord, judged: bool) {
        let (there, here) = ((waiting.partition, &waiting.seen), (partition, seen));
        let judged = judged || waiting.judged;
        let (source, target) = if log == Log::Source { (here, there) } else { (there, here) };
        let entry = BucketEntry::from_pair(source, target, judged);
        let distance = source.1.ts.abs_diff(target.1.ts);
        // By the later of the two times: a record that has just come may carry an event's own, old one.
        let old = source.1.ts.max(target.1.ts) < self.rules.old_before_ts;
        for (log, (partition, seen)) in [source, target].into_iter().enumerate().filter(|_| old) {
            if let Some(counts) = self.counts.get_mut(partition as usize) {
                counts.old_to[log] = counts.old_to[log].max(seen.offset + 1);
            }
        }
        if let Some(counts) = self.counts.get_mut(entry.partition as usize) {
            counts.count_pair(entry.offset, judged, distance);
        }
        if let Some(counts) = self.counts.get_mut(entry.twin_partition() as usize) {
            counts.note_twin(entry.twin);
        }
        self.put_entry(entry);
    }

    fn put_entry(&mut self, entry: BucketEntry) {
        let bucket = entry.bucket_index(&self.rules);
        let bucket = &mut self.buckets[bucket];
        let before = bucket.capacity();
        if bucket.len() == before {
            // In small steps: thousands of buckets that double would hold twice what they need.
            bucket.reserve_exact((before / 2).clamp(GROW.0, GROW.1));
            self.held += (bucket.capacity() - before) * size_of::<BucketEntry>();
        }
        bucket.push(entry);
    }

    /// Records that wait for a twin.
    #[must_use]
    pub fn count_waiting(&self) -> usize {
        self.rooms.iter().map(WaitingRoom::len).sum()
    }

    /// Judged records that wait for a twin, and have done so for less time than one may take: those of `since_ts` (ms) on.
    #[must_use]
    pub fn count_young(&self, since_ts: i64) -> usize {
        let mut count = 0;
        self.rooms.iter().for_each(|room| room.for_each(|e| count += usize::from(e.is_judged() && e.ts >= since_ts)));
        count
    }

    /// What was counted so far, by partition.
    #[must_use]
    pub fn counts(&self) -> &[PartitionCounts] {
        &self.counts
    }

    /// Bytes of memory in use, with what is kept free to grow.
    #[must_use]
    pub(crate) fn memory_used(&self) -> usize {
        self.waiting + self.held
    }

    /// Whether something must go to disk now: call [`Join::spill`].
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.memory_used() > self.rules.memory
    }

    /// Empties the buckets, one after the other: `write` appends the bytes to that bucket's file. Records that wait go
    /// along, the older half of them, when they alone take up half of the memory.
    ///
    /// # Errors
    /// Those of `write`; the diff can't go on then.
    pub fn spill<E>(&mut self, mut write: impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.write_buckets(&mut write)?;
        if self.waiting > self.rules.memory / 2 {
            self.release_older_half();
            self.write_buckets(&mut write)?;
        }
        // Buckets keep their memory, so that it need not be had anew each time; an eighth of all must be free again.
        let room = (self.rules.memory / 8 * 7).saturating_sub(self.waiting);
        for bucket in &mut self.buckets {
            if self.held <= room {
                break;
            }
            self.held -= std::mem::take(bucket).capacity() * size_of::<BucketEntry>();
        }
        Ok(())
    }

    fn write_buckets<E>(&mut self, write: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut bytes = Vec::new();
        for (i, bucket) in self.buckets.iter_mut().enumerate() {
            for piece in bucket.chunks(PIECE) {
                bytes.clear();
                piece.iter().for_each(|e| e.write_to(&mut bytes));
                write(i, &bytes)?;
            }
            // One that was much larger before takes up what others need now.
            if bucket.len() < bucket.capacity() / 4 {
                self.held -= bucket.capacity() * size_of::<BucketEntry>();
                *bucket = Vec::new();
            }
            bucket.clear();
        }
        Ok(())
    }

    /// Moves the older half of the waiting records to their buckets, which are empty.
    fn release_older_half(&mut self) {
        let mut ages = Vec::new();
        self.rooms.iter().for_each(|room| room.collect_ages(&mut ages));
        if ages.is_empty() {
            return;
        }
        let middle = ages.len() / 2;
        let limit = *ages.select_nth_unstable(middle).1;
        // A number for each that waits: it goes before the rooms are built anew.
        drop(ages);
        let mut rooms = std::mem::take(&mut self.rooms);
        for room in &mut rooms {
            self.waiting -= room.memory_bytes();
            room.release_up_to(limit, |entry| self.put_entry(entry));
            self.waiting += room.memory_bytes();
        }
        self.rooms = rooms;
    }

    /// Everything has been read: what still waits goes to its bucket. Gives the rules, the counts and what the buckets
    /// hold in memory (the rest is where [`Join::spill`] put it).
    #[must_use]
    pub fn finish(mut self) -> (DiffRules, Vec<PartitionCounts>, Vec<Vec<BucketEntry>>) {
        for room in std::mem::take(&mut self.rooms) {
            room.for_each(|entry| self.put_entry(entry));
        }
        (self.rules, self.counts, self.buckets)
    }
}

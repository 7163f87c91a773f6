//! The streaming half: records of both logs go in as they are read, pairs fall out, only what waits is kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use super::entry::{self, Entry};
use super::{Log, Rules, Seen, at, mix};
use crate::offsets::identity::Identity;

/// Bytes of a waiting record: its row, its place in the map, and what both keep free to grow.
const WAITING_BYTES: usize = 160;
/// Copies of one identity that are looked at for a twin. Beyond them a record is left to the end: nothing is lost by it.
const LOOK_AT: usize = 64;
const NONE: u32 = u32::MAX;

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
}

impl PartitionCounts {
    fn new() -> Self {
        Self { first_pair: [i64::MAX; 2], ..Self::default() }
    }

    pub(super) fn pair(&mut self, source: i64, judged: bool, distance: u64) {
        self.equal += u64::from(judged);
        self.first_pair[0] = self.first_pair[0].min(source);
        self.distance_ms = self.distance_ms.max(distance);
    }

    pub(super) fn first(&mut self, pair: &Entry) {
        self.first_pair[0] = self.first_pair[0].min(pair.offset);
    }

    pub(super) fn twin(&mut self, target: i64) {
        self.first_pair[1] = self.first_pair[1].min(target);
    }
}

/// What is needed to go on later, besides the buckets: see [`Join::state`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    counts: Vec<PartitionCounts>,
}

/// A waiting record. Chained by identity, oldest first.
struct Waiting {
    seen: Seen,
    seq: u64,
    partition: u32,
    next: u32,
    log: Log,
    judged: bool,
}

/// Heads and tails of the waiting copies of an identity, source and target.
struct Chains {
    head: [u32; 2],
    tail: [u32; 2],
}

impl Chains {
    const EMPTY: Chains = Chains { head: [NONE; 2], tail: [NONE; 2] };

    fn is_empty(&self) -> bool {
        self.head == [NONE; 2]
    }
}

/// Identities are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |h, b| h.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u128(&mut self, n: u128) {
        self.0 = (n >> 64) as u64;
    }
}

/// Pairs the records of two logs as they come.
pub struct Join {
    rules: Rules,
    map: HashMap<u128, Chains, BuildHasherDefault<AsIs>>,
    rows: Vec<Waiting>,
    free: Vec<u32>,
    seq: u64,
    counts: Vec<PartitionCounts>,
    buckets: Vec<Vec<Entry>>,
    in_buckets: usize,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("waiting", &self.waiting()).field("in_buckets", &self.in_buckets).finish()
    }
}

impl Join {
    /// Nothing read yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let partitions = rules.judged[0].len().max(rules.judged[1].len());
        let buckets = (0..rules.buckets).map(|_| Vec::new()).collect();
        Self {
            rules,
            map: HashMap::default(),
            rows: Vec::new(),
            free: Vec::new(),
            seq: 0,
            counts: vec![PartitionCounts::new(); partitions],
            buckets,
            in_buckets: 0,
        }
    }

    /// Goes on from a state; `waiting` are the bytes that [`Join::state`] gave with it.
    #[must_use]
    pub fn resume(rules: Rules, state: JoinState, waiting: &[u8]) -> Self {
        let mut join = Self::new(rules);
        join.counts = state.counts;
        // Records that waited go to their buckets: a twin that is still to come finds them there at the end.
        for entry in Entry::read(waiting) {
            join.put(entry);
        }
        join
    }

    /// What is needed to go on later once all buckets have been taken ([`Join::spill`]): the counts, and the waiting
    /// records as bytes.
    #[must_use]
    pub fn state(&self) -> (JoinState, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.waiting() * entry::BYTES);
        for chains in self.map.values() {
            for mut row in chains.head {
                while row != NONE {
                    let waiting = &self.rows[row as usize];
                    lone(waiting).write(&mut bytes);
                    row = waiting.next;
                }
            }
        }
        (JoinState { counts: self.counts.clone() }, bytes)
    }

    /// Takes in records of a log's partition, in offset order.
    pub fn push(&mut self, log: Log, partition: u32, records: &[Seen]) {
        for seen in records {
            let judged = self.rules.judges(log, partition, seen);
            if let Some(counts) = self.counts.get_mut(partition as usize) {
                counts.read[at(log)] += 1;
                counts.judged[at(log)] += u64::from(judged);
            }
            self.one(log, partition, seen, judged);
        }
    }

    fn one(&mut self, log: Log, partition: u32, seen: &Seen, judged: bool) {
        let name = self.name(partition, seen.id);
        let (mine, theirs) = (at(log), 1 - at(log));
        let delta = self.rules.delta();
        let mut stale = Vec::new();
        let mut twin = None;
        match self.map.entry(name) {
            Slot::Vacant(vacant) => {
                let row = store(&mut self.rows, &mut self.free, &mut self.seq, log, partition, seen, judged);
                let mut chains = Chains::EMPTY;
                (chains.head[mine], chains.tail[mine]) = (row, row);
                vacant.insert(chains);
            }
            Slot::Occupied(mut occupied) => {
                let chains = occupied.get_mut();
                // Copies too old for this one are too old for all that follow: they are left to the end.
                while let Some(head) = row_of(&self.rows, chains.head[theirs])
                    && head.seen.ts < seen.ts.saturating_sub(delta)
                {
                    stale.push(chains.head[theirs]);
                    chains.head[theirs] = head.next;
                }
                if chains.head[theirs] == NONE {
                    chains.tail[theirs] = NONE;
                }
                let (mut row, mut previous) = (chains.head[theirs], NONE);
                for _ in 0..LOOK_AT {
                    let Some(waiting) = row_of(&self.rows, row) else { break };
                    if self.rules.near(waiting.seen.ts, seen.ts) {
                        twin = Some(row);
                        unlink(&mut self.rows, chains, theirs, row, previous);
                        break;
                    }
                    (previous, row) = (row, waiting.next);
                }
                if twin.is_none() {
                    let row = store(&mut self.rows, &mut self.free, &mut self.seq, log, partition, seen, judged);
                    match chains.tail[mine] {
                        NONE => chains.head[mine] = row,
                        tail => self.rows[tail as usize].next = row,
                    }
                    chains.tail[mine] = row;
                } else if chains.is_empty() {
                    occupied.remove();
                }
            }
        }
        for row in stale {
            let entry = lone(&self.rows[row as usize]);
            self.free.push(row);
            self.put(entry);
        }
        if let Some(row) = twin {
            self.pair(row, log, partition, seen, judged);
        }
    }

    fn pair(&mut self, row: u32, log: Log, partition: u32, seen: &Seen, judged: bool) {
        let waiting = &self.rows[row as usize];
        let (there, here) = ((waiting.partition, &waiting.seen), (partition, seen));
        let judged = judged || waiting.judged;
        let (source, target) = if log == Log::Source { (here, there) } else { (there, here) };
        let entry = Entry::pair(source, target, judged);
        let distance = source.1.ts.abs_diff(target.1.ts);
        self.free.push(row);
        if let Some(counts) = self.counts.get_mut(entry.partition as usize) {
            counts.pair(entry.offset, judged, distance);
        }
        if let Some(counts) = self.counts.get_mut(entry.twin_partition() as usize) {
            counts.twin(entry.twin);
        }
        self.put(entry);
    }

    fn put(&mut self, entry: Entry) {
        let bucket = entry.bucket(&self.rules);
        self.buckets[bucket].push(entry);
        self.in_buckets += 1;
    }

    /// Where partition counts are equal a record's twin is in the partition of the same number.
    fn name(&self, partition: u32, id: Identity) -> u128 {
        if self.rules.over_topic {
            return id.0;
        }
        let salt = mix(u64::from(partition) + 1);
        id.0 ^ (u128::from(salt) << 64 | u128::from(salt))
    }

    /// Records that wait for a twin.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// What was counted so far, by partition.
    #[must_use]
    pub fn counts(&self) -> &[PartitionCounts] {
        &self.counts
    }

    /// Bytes of memory in use, at most: a bucket may have grown to twice what it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.waiting() * WAITING_BYTES + self.in_buckets * 2 * size_of::<Entry>()
    }

    /// Whether something must go to disk now: call [`Join::spill`].
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.memory() > self.rules.memory
    }

    /// Empties the buckets, one after the other: `write` appends the bytes to that bucket's file. Records that wait go
    /// along, the older half of them, when they alone take up half of the memory.
    ///
    /// # Errors
    /// Those of `write`; the diff can't go on then.
    pub fn spill<E>(&mut self, mut write: impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.waiting() * WAITING_BYTES > self.rules.memory / 2 {
            self.let_go();
        }
        self.in_buckets = 0;
        let mut bytes = Vec::new();
        for (i, bucket) in self.buckets.iter_mut().enumerate().filter(|(_, b)| !b.is_empty()) {
            bytes.clear();
            std::mem::take(bucket).iter().for_each(|e| e.write(&mut bytes));
            write(i, &bytes)?;
        }
        Ok(())
    }

    /// Moves the older half of the waiting records to their buckets.
    fn let_go(&mut self) {
        let heads = self.map.values().flat_map(|c| c.head);
        let mut ages: Vec<u64> = heads.filter_map(|r| row_of(&self.rows, r)).map(|w| w.seq).collect();
        if ages.is_empty() {
            return;
        }
        let middle = ages.len() / 2;
        let limit = *ages.select_nth_unstable(middle).1;
        let mut gone = Vec::new();
        let rows = &mut self.rows;
        self.map.retain(|_, chains| {
            for log in [0, 1] {
                while let Some(head) = row_of(rows, chains.head[log])
                    && head.seq <= limit
                {
                    gone.push(chains.head[log]);
                    chains.head[log] = head.next;
                }
                if chains.head[log] == NONE {
                    chains.tail[log] = NONE;
                }
            }
            !chains.is_empty()
        });
        for row in gone {
            let entry = lone(&self.rows[row as usize]);
            self.free.push(row);
            self.put(entry);
        }
    }

    /// Everything has been read: what still waits goes to its bucket. Gives the rules, the counts and what the buckets
    /// hold in memory (the rest is where [`Join::spill`] put it).
    #[must_use]
    pub fn finish(mut self) -> (Rules, Vec<PartitionCounts>, Vec<Vec<Entry>>) {
        let chains = std::mem::take(&mut self.map);
        for mut row in chains.into_values().flat_map(|c| c.head) {
            while row != NONE {
                let (entry, next) = (lone(&self.rows[row as usize]), self.rows[row as usize].next);
                self.put(entry);
                row = next;
            }
        }
        (self.rules, self.counts, self.buckets)
    }
}

fn row_of(rows: &[Waiting], row: u32) -> Option<&Waiting> {
    rows.get(row as usize)
}

fn lone(waiting: &Waiting) -> Entry {
    Entry::lone(waiting.log, waiting.partition, &waiting.seen, waiting.judged)
}

fn store(
    rows: &mut Vec<Waiting>,
    free: &mut Vec<u32>,
    seq: &mut u64,
    log: Log,
    partition: u32,
    seen: &Seen,
    judged: bool,
) -> u32 {
    *seq += 1;
    let waiting = Waiting { seen: *seen, seq: *seq, partition, next: NONE, log, judged };
    match free.pop() {
        Some(row) => {
            rows[row as usize] = waiting;
            row
        }
        None => {
            // Never reached: at 160 bytes each the limit of memory is met long before 2^32 of them.
            let row = u32::try_from(rows.len()).unwrap_or(NONE);
            rows.push(waiting);
            row
        }
    }
}

fn unlink(rows: &mut [Waiting], chains: &mut Chains, log: usize, row: u32, previous: u32) {
    let next = rows[row as usize].next;
    match previous {
        NONE => chains.head[log] = next,
        before => rows[before as usize].next = next,
    }
    if next == NONE {
        chains.tail[log] = previous;
    }
}

//! Records that wait for their twin: those of one partition (or of the whole topic), small enough to stay in the
//! processor's cache while a batch of that partition goes through.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasherDefault, Hasher};

use super::entry::BucketEntry;
use super::{DiffRecord, DiffRules, Log, index_of_log};

/// Copies of one identity that are looked at for a twin. Beyond them a record is left to the end: nothing is lost by it.
const LOOK_AT: usize = 64;
const NONE: u32 = u32::MAX;

/// A waiting record. Chained by identity, oldest first.
#[derive(Clone)]
pub(super) struct Waiting {
    pub seen: DiffRecord,
    pub partition: u32,
    pub log: Log,
    pub judged: bool,
    seq: u64,
    next: u32,
}

impl Waiting {
    fn to_lone_entry(&self) -> BucketEntry {
        BucketEntry::from_lone(self.log, self.partition, &self.seen, self.judged)
    }
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

/// A record that has just been read.
#[derive(Clone, Copy)]
pub(super) struct ArrivedRecord<'a> {
    pub log: Log,
    pub partition: u32,
    pub seen: &'a DiffRecord,
    pub judged: bool,
    /// Its number among all: who waits longest goes first.
    pub seq: u64,
}

/// The records that wait.
#[derive(Default)]
pub(super) struct WaitingRoom {
    map: HashMap<u128, Chains, BuildHasherDefault<AsIs>>,
    rows: Vec<Waiting>,
    free: Vec<u32>,
}

impl WaitingRoom {
    /// Gives the record's twin, which waits no longer, or has the record wait. Copies that no later record can be the
    /// twin of go to `stale`.
    pub(crate) fn meet_twin(
        &mut self,
        rules: &DiffRules,
        come: ArrivedRecord<'_>,
        stale: &mut Vec<BucketEntry>,
    ) -> Option<Waiting> {
        let (mine, theirs) = (index_of_log(come.log), 1 - index_of_log(come.log));
        let ts = come.seen.ts;
        match self.map.entry(come.seen.id.0) {
            Slot::Vacant(vacant) => {
                let row = store_row(&mut self.rows, &mut self.free, come);
                let mut chains = Chains::EMPTY;
                (chains.head[mine], chains.tail[mine]) = (row, row);
                vacant.insert(chains);
                None
            }
            Slot::Occupied(mut occupied) => {
                let chains = occupied.get_mut();
                // Copies too old for this one are too old for all that follow: they are left to the end.
                while let Some(head) = row_of(&self.rows, chains.head[theirs])
                    && head.seen.ts < ts.saturating_sub(rules.pair_delta())
                {
                    stale.push(head.to_lone_entry());
                    self.free.push(chains.head[theirs]);
                    chains.head[theirs] = head.next;
                }
                if chains.head[theirs] == NONE {
                    chains.tail[theirs] = NONE;
                }
                let (mut row, mut previous) = (chains.head[theirs], NONE);
                for _ in 0..LOOK_AT {
                    let Some(waiting) = row_of(&self.rows, row) else { break };
                    if rules.is_near(waiting.seen.ts, ts) {
                        unlink_row(&mut self.rows, chains, theirs, row, previous);
                        if chains.is_empty() {
                            occupied.remove();
                        }
                        self.free.push(row);
                        // A free row keeps what it holds until it is given out again.
                        return Some(self.rows[row as usize].clone());
                    }
                    (previous, row) = (row, waiting.next);
                }
                let row = store_row(&mut self.rows, &mut self.free, come);
                match chains.tail[mine] {
                    NONE => chains.head[mine] = row,
                    tail => self.rows[tail as usize].next = row,
                }
                chains.tail[mine] = row;
                None
            }
        }
    }

    /// Records that wait.
    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Bytes it takes, with what is kept free to grow.
    pub(crate) fn memory_bytes(&self) -> usize {
        // hashbrown keeps an eighth of its slots free, and has a byte more for each.
        let slots = self.map.capacity() / 7 * 8 * (size_of::<(u128, Chains)>() + 1);
        slots + self.rows.capacity() * size_of::<Waiting>() + self.free.capacity() * size_of::<u32>()
    }

    /// All that wait, the copies of one identity from the oldest.
    pub fn for_each(&self, mut take: impl FnMut(BucketEntry)) {
        for mut row in self.map.values().flat_map(|c| c.head) {
            while let Some(waiting) = row_of(&self.rows, row) {
                take(waiting.to_lone_entry());
                row = waiting.next;
            }
        }
    }

    /// Adds the numbers of all that wait.
    pub(crate) fn collect_ages(&self, ages: &mut Vec<u64>) {
        for mut row in self.map.values().flat_map(|c| c.head) {
            while let Some(waiting) = row_of(&self.rows, row) {
                ages.push(waiting.seq);
                row = waiting.next;
            }
        }
    }

    /// Lets those go that came up to `limit`, and gives back what memory is not needed any more.
    pub(crate) fn release_up_to(&mut self, limit: u64, mut take: impl FnMut(BucketEntry)) {
        let rows = &self.rows;
        self.map.retain(|_, chains| {
            for log in [0, 1] {
                while let Some(head) = row_of(rows, chains.head[log])
                    && head.seq <= limit
                {
                    take(head.to_lone_entry());
                    chains.head[log] = head.next;
                }
                if chains.head[log] == NONE {
                    chains.tail[log] = NONE;
                }
            }
            !chains.is_empty()
        });
        // Built anew: free rows between the others could not be given back.
        let mut rows: Vec<Waiting> = Vec::new();
        for chains in self.map.values_mut() {
            for log in [0, 1] {
                let (mut row, mut last) = (chains.head[log], NONE);
                while let Some(waiting) = row_of(&self.rows, row) {
                    let here = row_number(rows.len());
                    match last {
                        NONE => chains.head[log] = here,
                        before => rows[before as usize].next = here,
                    }
                    rows.push(Waiting { next: NONE, ..waiting.clone() });
                    (last, row) = (here, waiting.next);
                }
                chains.tail[log] = last;
            }
        }
        rows.shrink_to_fit();
        self.map.shrink_to_fit();
        (self.rows, self.free) = (rows, Vec::new());
    }
}

fn row_of(rows: &[Waiting], row: u32) -> Option<&Waiting> {
    rows.get(row as usize)
}

fn store_row(rows: &mut Vec<Waiting>, free: &mut Vec<u32>, come: ArrivedRecord<'_>) -> u32 {
    let ArrivedRecord { log, partition, seen, judged, seq } = come;
    let waiting = Waiting { seen: *seen, seq, partition, next: NONE, log, judged };
    match free.pop() {
        Some(row) => {
            rows[row as usize] = waiting;
            row
        }
        None => {
            rows.push(waiting);
            row_number(rows.len() - 1)
        }
    }
}

/// Never out of range: at 80 bytes each the limit of memory is met long before 2^32 of them.
fn row_number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(NONE)
}

fn unlink_row(rows: &mut [Waiting], chains: &mut Chains, log: usize, row: u32, previous: u32) {
    let next = rows[row as usize].next;
    match previous {
        NONE => chains.head[log] = next,
        before => rows[before as usize].next = next,
    }
    if next == NONE {
        chains.tail[log] = previous;
    }
}

//! The records of two windows, grouped by identity.

use crate::offsets::window::LogWindow;

/// Records of a bucket, on average: few enough to be sorted within a processor's first cache.
const BUCKET: usize = 256;

/// One identity's copies on one log, by slot: `members[starts[slot]..starts[slot + 1]]`, in offset order.
struct Groups {
    slot_of: Vec<u32>,
    starts: Vec<u32>,
    members: Vec<u32>,
}

/// Every identity of both windows has a slot; a slot knows its copies on either log.
pub(super) struct Index {
    source: Groups,
    target: Groups,
}

impl Index {
    /// Slots count identities in the order of their first record, the source's first: whoever goes through them goes
    /// through both windows in about their order. Takes 4 bytes a record while it sorts; what stays is 8 bytes a
    /// record and 8 an identity.
    pub(super) fn new(source: &LogWindow, target: &LogWindow) -> Self {
        let mut slots = first_records(source, target);
        let mut count = 0;
        for i in 0..slots.len() {
            // A first record is its own, and comes before all others of its identity.
            slots[i] = if slots[i] as usize == i {
                count += 1;
                count - 1
            } else {
                slots[slots[i] as usize]
            };
        }
        let target_slots = slots.split_off(source.len());
        Index { source: Groups::new(slots, count as usize), target: Groups::new(target_slots, count as usize) }
    }

    pub(super) fn slot_count(&self) -> usize {
        self.source.starts.len() - 1
    }

    /// Indices into the source window, in offset order.
    pub(super) fn source(&self, slot: usize) -> &[u32] {
        self.source.members(slot)
    }

    /// Indices into the target window, in offset order.
    pub(super) fn target(&self, slot: usize) -> &[u32] {
        self.target.members(slot)
    }

    pub(super) fn slot_of_source(&self, i: usize) -> usize {
        self.source.slot_of[i] as usize
    }

    pub(super) fn slot_of_target(&self, i: usize) -> usize {
        self.target.slot_of[i] as usize
    }
}

/// For each record, the source's first, the number of the first record of the same identity.
fn first_records(source: &LogWindow, target: &LogWindow) -> Vec<u32> {
    let total = source.len() + target.len();
    let bits = (total / BUCKET).next_power_of_two().trailing_zeros();
    // Identities are hashes, except in tests.
    let bucket = |id: u128| {
        let mixed = ((id >> 64) as u64 ^ id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // With a single bucket the shift is by all 64 bits, which `>>` does not take.
        mixed.checked_shr(64 - bits).unwrap_or(0) as usize
    };
    let ids = || source.iter().chain(target.iter()).map(|r| r.id.0);
    let mut starts = vec![0u32; (1 << bits) + 1];
    ids().for_each(|id| starts[bucket(id) + 1] += 1);
    for b in 0..1 << bits {
        starts[b + 1] += starts[b];
    }
    let mut sorted = vec![0u32; total];
    let mut fill = starts.clone();
    for (i, id) in ids().enumerate() {
        let place = &mut fill[bucket(id)];
        sorted[*place as usize] = i as u32;
        *place += 1;
    }
    let id_of = |i: u32| match (i as usize).checked_sub(source.len()) {
        None => source.get(i as usize).id.0,
        Some(t) => target.get(t).id.0,
    };
    let mut first = vec![0u32; total];
    let mut bucket: Vec<(u128, u32)> = Vec::new();
    for b in 0..1 << bits {
        bucket.clear();
        bucket.extend(sorted[starts[b] as usize..starts[b + 1] as usize].iter().map(|i| (id_of(*i), *i)));
        // By identity and then by number: the first of each run is the identity's first record, without a stable sort.
        bucket.sort_unstable();
        for same in bucket.chunk_by(|a, b| a.0 == b.0) {
            same.iter().for_each(|(_, i)| first[*i as usize] = same[0].1);
        }
    }
    first
}

impl Groups {
    /// A counting sort.
    fn new(slot_of: Vec<u32>, slots: usize) -> Self {
        let mut starts = vec![0u32; slots + 1];
        for slot in &slot_of {
            starts[*slot as usize] += 1;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        // Filled from the back: each slot's end becomes its start.
        let mut members = vec![0u32; slot_of.len()];
        for (i, slot) in slot_of.iter().enumerate().rev() {
            let place = &mut starts[*slot as usize];
            *place -= 1;
            members[*place as usize] = i as u32;
        }
        Groups { slot_of, starts, members }
    }

    fn members(&self, slot: usize) -> &[u32] {
        &self.members[self.starts[slot] as usize..self.starts[slot + 1] as usize]
    }
}

//! The records of two windows, grouped by identity.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::offsets::window::{LogWindow, Rec};

/// Identities are hashes already: one half is as good as any hash of them.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, half: u64) {
        self.0 ^= half;
    }
}

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
    pub(super) fn new(source: &LogWindow, target: &LogWindow) -> Self {
        // an array of two halves, not a u128: half the alignment, so a third less memory
        let mut slots: HashMap<[u64; 2], u32, BuildHasherDefault<AlreadyHashed>> = HashMap::default();
        let mut slot = |r: Rec| {
            let next = slots.len() as u32;
            *slots.entry([(r.id.0 >> 64) as u64, r.id.0 as u64]).or_insert(next)
        };
        let source_slots: Vec<u32> = source.iter().map(&mut slot).collect();
        let target_slots: Vec<u32> = target.iter().map(&mut slot).collect();
        let count = slots.len();
        Index { source: Groups::new(source_slots, count), target: Groups::new(target_slots, count) }
    }

    pub(super) fn slots(&self) -> usize {
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

impl Groups {
    /// A counting sort.
    fn new(slot_of: Vec<u32>, slots: usize) -> Self {
        let mut starts = vec![0u32; slots + 1];
        for slot in &slot_of {
            starts[*slot as usize + 1] += 1;
        }
        for i in 0..slots {
            starts[i + 1] += starts[i];
        }
        let mut fill = starts.clone();
        let mut members = vec![0u32; slot_of.len()];
        for (i, slot) in slot_of.iter().enumerate() {
            members[fill[*slot as usize] as usize] = i as u32;
            fill[*slot as usize] += 1;
        }
        Groups { slot_of, starts, members }
    }

    fn members(&self, slot: usize) -> &[u32] {
        &self.members[self.starts[slot] as usize..self.starts[slot + 1] as usize]
    }
}

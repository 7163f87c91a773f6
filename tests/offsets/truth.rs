//! What only the one who wrote the records knows: which copy is of which send. Shared by the random worlds and by
//! the logs of real clusters.

use std::collections::{BTreeMap, BTreeSet};

use cutover::offsets::{Identity, PartitionPlan, Rec};

/// One copy of a send on one log.
#[derive(Debug, Clone, Copy)]
pub struct Copy {
    pub offset: i64,
    pub ts: i64,
    pub arrival: i64,
    /// Identity: several sends may carry the same payload.
    pub payload: u64,
    /// The hidden id.
    pub send: usize,
}

impl Copy {
    pub fn rec(&self) -> Rec {
        // spread over both halves, as a hash is
        let id = u128::from(self.payload).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        Rec { offset: self.offset, ts: self.ts, id: Identity(id) }
    }
}

/// Two logs with the truth about them, as they stand at `now`.
pub struct Logs<'a> {
    pub source: &'a [Copy],
    pub target: &'a [Copy],
    /// The group's position on the source.
    pub committed: i64,
    /// Sends that were meant for the target alone.
    pub flipped: &'a BTreeSet<usize>,
    pub now: i64,
}

/// What the true pairing says of a plan.
pub struct Truth {
    /// Owed sends that are on the target, and that no copy at or beyond the offset can stand for.
    pub lost: u64,
    /// Unconsumed sends of a unique payload that never get to the target, and that the plan says nothing about.
    pub silent: u64,
    /// Target records at or beyond the offset whose send was consumed on the source.
    pub re_read: u64,
}

/// Holds a plan that starts the group at `offset` to the true pairing.
pub fn truth(logs: &Logs<'_>, plan: &PartitionPlan, offset: i64) -> Truth {
    Truth { lost: lost(logs, offset), silent: silent(logs, plan), re_read: re_read(logs, plan.target.end, offset) }
}

impl Logs<'_> {
    fn unconsumed(&self) -> impl Iterator<Item = &Copy> {
        self.source.iter().filter(|c| c.offset >= self.committed)
    }

    fn on_target(&self) -> BTreeSet<usize> {
        self.target.iter().map(|c| c.send).collect()
    }
}

fn lost(logs: &Logs<'_>, offset: i64) -> u64 {
    let on_target = logs.on_target();
    let mut need: BTreeMap<u64, i64> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for c in logs.unconsumed().filter(|c| on_target.contains(&c.send)) {
        if counted.insert(c.send) {
            *need.entry(c.payload).or_default() += 1;
        }
    }
    for c in logs.target.iter().filter(|c| logs.flipped.contains(&c.send)) {
        *need.entry(c.payload).or_default() += 1;
    }
    for c in logs.target.iter().filter(|c| c.offset >= offset) {
        *need.entry(c.payload).or_default() -= 1;
    }
    need.values().filter(|n| **n > 0).sum::<i64>() as u64
}

fn silent(logs: &Logs<'_>, plan: &PartitionPlan) -> u64 {
    let (ranges, pending) = (&plan.missing_ranges, plan.unsettled.unconsumed > 0);
    let mut sends: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    for c in logs.source.iter().chain(logs.target) {
        sends.entry(c.payload).or_default().insert(c.send);
    }
    let on_target = logs.on_target();
    let named = |o: i64| pending || ranges.iter().any(|(from, to)| (*from..*to).contains(&o));
    logs.unconsumed()
        .filter(|c| sends[&c.payload].len() == 1 && !on_target.contains(&c.send))
        .filter(|c| c.arrival <= logs.now && !named(c.offset))
        .count() as u64
}

fn re_read(logs: &Logs<'_>, end: i64, offset: i64) -> u64 {
    let mut first: BTreeMap<usize, i64> = BTreeMap::new();
    for c in logs.target {
        let at = first.entry(c.send).or_insert(c.offset);
        *at = c.offset.min(*at);
    }
    // a retry that arrives later still, of a send that is on the target already, can't be foreseen
    let doubled = |c: &Copy| c.offset >= end && first[&c.send] < c.offset;
    let mut ahead: BTreeMap<usize, u64> = BTreeMap::new();
    for c in logs.target.iter().filter(|c| c.offset >= offset && !doubled(c)) {
        *ahead.entry(c.send).or_default() += 1;
    }
    // a send that a retry doubled across the committed offset is owed as often as it is unconsumed
    for c in logs.unconsumed() {
        ahead.entry(c.send).and_modify(|n| *n = n.saturating_sub(1));
    }
    let consumed: BTreeSet<usize> = logs.source.iter().filter(|c| c.offset < logs.committed).map(|c| c.send).collect();
    ahead.iter().filter(|(send, _)| consumed.contains(send)).map(|(_, n)| n).sum()
}

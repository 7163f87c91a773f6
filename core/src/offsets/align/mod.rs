//! The largest offset on the target at which a group may start without losing a record, from record contents.
//!
//! # The definition
//! Two logs, source and target, and the group's committed offset `B` on the source. `C` (consumed) are the source's
//! records below `B`, `U` (unconsumed) those at or beyond it. Only identities and timestamps are known, never which
//! record is really the twin of which.
//!
//! **A1.** The two records of one send carry timestamps at most `pair_delta` apart.
//! **A2.** A young record that has a record of the same identity within reach on the other log, and no other record
//! claims that one, has its twin. (It is wrong only when identical payloads, a failed send and a send still
//! under way meet within the reach; nothing that looks at contents can see that.)
//!
//! For an identity `h`:
//! - `u` = its copies in `U`. `e` = its *expected* copies: on the target only, and either unsettled (the twin may
//!   still come to the source, into `U`), or written after the source went silent or was given up (see
//!   [`Axioms::target_only_since`]).
//! - `h` is **owed** when `u + e > 0`. `m` = the oldest timestamp among these copies.
//! - Its copies **in play**: those linked to `m` or later by steps of at most `pair_delta` over the timestamps of
//!   all its copies on both logs. No pair reaches over a longer gap (A1), so what is older can't serve or cost
//!   anything that is owed.
//!
//! A target offset `g` is **safe** when for every owed `h`:
//! - (a) target copies in play below `g` <= consumed copies in play: what is skipped has been processed;
//! - (b) target copies at `g` or later with `ts >= m - pair_delta` >= min(u + e, all target copies with such a
//!   timestamp): nothing owed that is on the target is skipped.
//!
//! (a) alone loses when the target's copy of a consumed record was never written or was compacted away; (b) alone
//! passes over an owed copy when identical payloads meet failed sends on the source. Both only get stricter as `g`
//! grows, so there is one largest safe `g`: the smallest of the bounds that single identities set. That is the
//! whole algorithm: group the records by identity, take each identity's bound, take the least. O(n), plus a sort of
//! the copies of identities that occur more than once. An identity that is not owed sets no bound: a retry's
//! duplicate on the target and a record whose source send failed long ago are passed.
//!
//! # What differs from one scan with a shared bound, and why
//! - Such a scan goes over the target from `F(Tc)` with one cut-off for all identities. Taking `m` and the play region
//!   per identity needs no scan start, and is strictly closer to the optimum: one old unconsumed record no longer
//!   widens the region of every other identity. A gap of one `pair_delta` between neighbours suffices, where the
//!   scan needs no copy within `pair_delta` on *both* sides of the cut.
//! - It passes a green record whose identity is somewhere in `C`. That loses when an identical payload is
//!   still on its way to the source. Here the copies are matched one to one, and what is left over and young is owed.
//! - It passes everything older than `Tc`. A send that is retried against the source for two minutes is
//!   older than that and still owed, so unsettled records bind wherever they are.

mod index;
mod judge;
pub mod pool;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use self::index::Index;
use self::judge::{AlignmentJudge, AlignmentTally};
use super::arrival::Ahead;
use super::window::LogWindow;

/// What is known besides the records themselves. Times in ms; offsets are of the log they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axioms {
    /// The group's committed offset on the source.
    pub committed: i64,
    /// A1: the two records of one send carry timestamps at most this far apart, ms.
    pub pair_delta: i64,
    /// A2: a young record counts as paired only with one at most this far away, ms; `pair_delta` or less. (Where
    /// `pair_delta` had to be widened, this was not: what looks like a wide pair may be two sends of one payload.)
    pub pair_reach: i64,
    /// Source records below this offset are settled: their twin is on the target by now, or never will be.
    pub settled_source: i64,
    /// Target records below this offset are settled.
    pub settled_target: i64,
    /// Both windows hold every record with this timestamp or a later one (`i64::MIN`: every record there is).
    pub complete_from: i64,
    /// The source's log start: what expired below it can't be compared.
    pub source_log_start: i64,
    /// The target's log start.
    pub target_log_start: i64,
    /// Whether the target is compacted: its copies of consumed records may be gone.
    pub target_compacted: bool,
    /// Since when a producer writes to the target alone (ms), from the journal. What it writes there is new to the group.
    pub target_only_since: Option<i64>,
    /// Whether records that only the target has are to be delivered, whatever re-reads that costs.
    pub deliver_target_only: bool,
    /// Source records whose timestamps lie ahead.
    pub ahead: Ahead,
}

/// Records whose twin may still arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unsettled {
    /// Consumed, not on the target yet: each may still arrive there and be read again.
    pub consumed: u64,
    /// Unconsumed, not on the target yet: each may still arrive there, else it is missing.
    pub unconsumed: u64,
    /// On the target only: the offset stays before them, as they may still come to the source.
    pub target_only: u64,
}

impl Unsettled {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Unsettled::default()
    }
}

/// The largest safe offset, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alignment {
    /// The target offset to start at.
    pub offset: i64,
    /// The largest safe one: the same, but for [`assess_offset`].
    pub best: i64,
    /// Target records at or beyond it that the group has processed on the source.
    pub re_read: u64,
    /// The oldest and the newest timestamp of those, ms.
    pub re_read_times: Option<(i64, i64)>,
    /// How many more it may become when unsettled records arrive.
    pub re_read_pending: u64,
    /// Unconsumed copies with none on the target at or beyond the offset, and settled: lost unless replayed.
    pub missing: u64,
    /// Their source offsets, `[from, to)`: every committed data record in a range is missing. (Between them lie at most
    /// transaction markers, aborted records, and holes that compaction left.)
    pub missing_ranges: Vec<(i64, i64)>,
    /// The oldest and the newest timestamp of those, ms.
    pub missing_times: Option<(i64, i64)>,
    /// Unconsumed copies that compaction removed from the target, superseded by a later record of the same key there.
    pub excused: u64,
    /// Target records below the offset that the source never had, as far as both windows reach.
    pub target_only: u64,
    /// Records whose twin may still arrive.
    pub unsettled: Unsettled,
    /// Their offsets on the source and on the target.
    pub waiting: [Vec<i64>; 2],
    /// Records that were found on both logs.
    pub compared: u64,
    /// The largest timestamp distance, ms, of two records that are the only ones of their identity: checks A1.
    pub pair_distance: i64,
    /// Whether the count of consumed copies had to be cut short for some owed identity (the window's bottom, expired
    /// or compacted target records), so that a larger offset might be safe.
    pub limited: bool,
}

/// Aligns two windows. The source's must reach from the committed offset (or below) to its end, the target's to its end.
#[must_use]
pub fn align_windows(source: &LogWindow, target: &LogWindow, axioms: &Axioms) -> Alignment {
    compute_alignment(source, target, axioms, None)
}

/// What starting at a given target offset costs, safe or not: beyond the largest safe one, what it skips counts as
/// missing. An offset below the target's window costs more than is counted here.
#[must_use]
pub(crate) fn assess_offset(source: &LogWindow, target: &LogWindow, axioms: &Axioms, at: i64) -> Alignment {
    compute_alignment(source, target, axioms, Some(at))
}

fn compute_alignment(source: &LogWindow, target: &LogWindow, axioms: &Axioms, at: Option<i64>) -> Alignment {
    let index = Index::new(source, target);
    let judge = AlignmentJudge::new(source, target, axioms, &index, None);
    let mut best = target.len();
    let mut limited = false;
    for slot in 0..index.slot_count() {
        let bound = judge.find_bound(slot);
        best = best.min(bound.at);
        limited |= bound.limited;
    }
    // Past the last record it is the end that was read to: markers and holes behind it need not be read again.
    let offset_of = |cut: usize| if cut < target.len() { target.get(cut).offset } else { target.to() };
    let cut = at.map_or(best, |at| target.index_of(at));
    let kept = |i: u32| i as usize >= cut;
    let mut tally = AlignmentTally::default();
    for slot in 0..index.slot_count() {
        judge.add_costs(slot, &kept, &mut tally);
    }
    let excused = excuse_superseded(source, target, &index, &kept, axioms, &|_| 0, &mut tally);
    Alignment {
        offset: at.unwrap_or_else(|| offset_of(best)),
        best: offset_of(best),
        re_read: tally.again.len() as u64,
        re_read_times: time_bounds(target, &tally.again),
        re_read_pending: tally.re_read_pending,
        missing: tally.missing.len() as u64,
        missing_times: time_bounds(source, &tally.missing),
        missing_ranges: list_ranges(source, &mut tally.missing),
        excused,
        target_only: tally.target_only.len() as u64,
        unsettled: tally.unsettled,
        waiting: [offsets_of(source, &tally.waiting[0]), offsets_of(target, &tally.waiting[1])],
        compared: tally.compared,
        pair_distance: judge.pair_distance(),
        limited,
    }
}

/// Takes out of `missing` what a later unconsumed record of the same key, present on the target, supersedes: a
/// reader of a compacted topic is owed the latest state of a key only. Needs the key hashes. Returns how many.
/// `partition_of`: which partition a source record lies in. Partitions have no order among each other, so "later" means
/// something within one alone, where a key that lies in several (another partitioner, a topic that grew) has a state in each.
fn excuse_superseded(
    source: &LogWindow,
    target: &LogWindow,
    index: &Index,
    kept: &impl Fn(u32) -> bool,
    axioms: &Axioms,
    partition_of: &impl Fn(usize) -> u32,
    tally: &mut AlignmentTally,
) -> u64 {
    // Keys are hashed only where they were asked for, and then for every record: one tells for all.
    if !axioms.target_compacted || tally.missing.is_empty() || source.key_hash(0).is_none() {
        return 0;
    }
    let mut present = vec![false; index.slot_count()];
    for i in (0..target.len()).filter(|i| kept(*i as u32)) {
        present[index.slot_of_target(i)] = true;
    }
    let missing: HashSet<u32> = tally.missing.iter().copied().collect();
    let mut superseding = HashSet::new();
    let mut excused = HashSet::new();
    // From the end: only what comes later supersedes.
    for i in (source.index_of(axioms.committed)..source.len()).rev() {
        // 0 stands for no key: nothing supersedes such a record.
        let Some(key) = source.key_hash(i).filter(|k| *k != 0) else { continue };
        let key = (partition_of(i), key);
        let number = i as u32;
        if missing.contains(&number) {
            if superseding.contains(&key) {
                excused.insert(number);
            }
        } else if present[index.slot_of_source(i)] {
            // Only what the target holds replaces something there: a later record that is missing too excuses nothing.
            superseding.insert(key);
        }
    }
    tally.missing.retain(|i| !excused.contains(i));
    excused.len() as u64
}

/// The offsets of the records at these indices.
fn offsets_of(window: &LogWindow, indices: &[u32]) -> Vec<i64> {
    indices.iter().map(|i| window.get(*i as usize).offset).collect()
}

/// The oldest and the newest timestamp of the records at these indices.
fn time_bounds(window: &LogWindow, indices: &[u32]) -> Option<(i64, i64)> {
    let ts = || indices.iter().map(|i| window.get(*i as usize).ts);
    ts().min().zip(ts().max())
}

/// Source offsets of the records at these indices; neighbours among the records make one range, whatever
/// transaction markers lie between them.
fn list_ranges(source: &LogWindow, indices: &mut [u32]) -> Vec<(i64, i64)> {
    indices.sort_unstable();
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    let mut last = None;
    for &mut i in indices {
        let offset = source.get(i as usize).offset;
        match (ranges.last_mut(), last) {
            (Some(range), Some(before)) if before + 1 == i => range.1 = offset + 1,
            _ => ranges.push((offset, offset + 1)),
        }
        last = Some(i);
    }
    ranges
}

//! Topics whose partition counts differ: the keys of one source partition are spread over several target partitions,
//! and those of several meet in one. So all source partitions are compared with all target partitions at once, and
//! each target partition gets an offset of its own.
//!
//! The definition is the parent module's, with one change. An identity's copies on the target lie in partitions that
//! have no order among each other; they are taken in the order of their timestamps (then by partition and offset).
//! Of these, the first may be skipped as long as (a) there is credit for them and (b) enough that serve what is owed
//! are left. Each of the others **binds**: it must not be skipped. A target partition's offset is its first record
//! that binds, or its end. (With one partition a side this is the parent's offset, or one before it where timestamps
//! go backwards.)

use super::index::Index;
use super::judge::{AlignmentJudge, AlignmentTally, Hints, expired_until};
use super::{Axioms, Unsettled, excuse_superseded, time_bounds};
use crate::offsets::arrival::Ahead;
use crate::offsets::window::{LogWindow, Rec};

/// One partition of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolPartition<'a> {
    /// What was loaded of it.
    pub window: &'a LogWindow,
    /// Records below this offset are settled.
    pub settled: i64,
    /// Its log start.
    pub log_start: i64,
}

/// The offsets of a topic's partitions on the target, and what they cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PoolAlignment {
    /// By target partition.
    pub targets: Vec<PoolTarget>,
    /// By source partition: the ranges `[from, to)` whose data records are all missing, and how many those are.
    pub sources: Vec<PoolSource>,
    /// How many more re-reads there may be when unsettled records arrive.
    pub re_read_pending: u64,
    /// The oldest and the newest timestamp of what is missing, and of what is read again, ms.
    pub missing_times: Option<(i64, i64)>,
    /// See `missing_times`.
    pub re_read_times: Option<(i64, i64)>,
    /// Unconsumed copies that compaction removed, superseded by a later record of the same key.
    pub excused: u64,
    /// Records whose twin may still arrive.
    pub unsettled: Unsettled,
    /// Their partitions and offsets on the source and on the target.
    pub waiting: [Vec<(usize, i64)>; 2],
    /// Records that were found on both sides.
    pub compared: u64,
    /// The largest timestamp distance, ms, of two records that are the only ones of their identity.
    pub pair_distance: i64,
    /// Whether some count of consumed copies had to be cut short.
    pub limited: bool,
}

/// One target partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PoolTarget {
    /// Where to start.
    pub offset: i64,
    /// Records at or beyond it that the group has processed.
    pub re_read: u64,
    /// Records below it that the source never had.
    pub target_only: u64,
}

/// One source partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PoolSource {
    /// Unconsumed and settled, and not among what the group will read.
    pub missing: u64,
    /// Their offsets.
    pub ranges: Vec<(i64, i64)>,
}

/// Where a record of a merged window came from.
#[derive(Clone, Copy)]
struct RecordOrigin {
    partition: u32,
    offset: i64,
}

/// Several partitions as one window: offsets are indices into `places`.
struct Merged {
    window: LogWindow,
    places: Vec<RecordOrigin>,
}

/// Aligns all partitions of a topic at once. `committed` holds the group's position on each source partition; in
/// `axioms`, what is said there of single logs (`committed`, `settled_*`, `*_log_start`) doesn't count.
#[must_use]
pub(crate) fn align_pool(
    source: &[PoolPartition<'_>],
    target: &[PoolPartition<'_>],
    committed: &[i64],
    axioms: &Axioms,
) -> PoolAlignment {
    let consumed = |p: usize, r: &Rec| committed.get(p).is_some_and(|at| r.offset < *at);
    // The consumed ones come first, whatever their partition: one index then parts C from U, as in a single log.
    let ours = merge_partitions(source, |p, r| (!consumed(p, r), 0, p, r.offset));
    let theirs = merge_partitions(target, |p, r| (true, r.ts, p, r.offset));
    let split = ours.places.iter().position(|at| committed.get(at.partition as usize).is_none_or(|c| at.offset >= *c));
    let axioms = Axioms { committed: split.unwrap_or(ours.places.len()) as i64, ..axioms.clone() };
    let (source_window, target_window) = (&ours.window, &theirs.window);

    let index = Index::new(source_window, target_window);
    let has_twin = |i: usize| !index.target(index.slot_of_source(i)).is_empty();
    let young =
        [mark_young(source, &ours, axioms.ahead, has_twin), mark_young(target, &theirs, Ahead::NONE, |_| false)];
    let hints = derive_hints(source, target, &axioms, young);
    let judge = AlignmentJudge::new(source_window, target_window, &axioms, &index, Some(&hints));
    let mut offsets: Vec<i64> = target.iter().map(|part| part.window.to()).collect();
    let mut limited = false;
    for slot in 0..index.slot_count() {
        let bound = judge.find_bound(slot);
        limited |= bound.limited;
        for binds in index.target(slot).iter().filter(|i| **i as usize >= bound.at) {
            let at = theirs.places[*binds as usize];
            let offset = &mut offsets[at.partition as usize];
            *offset = at.offset.min(*offset);
        }
    }

    let kept = |i: u32| {
        let at = theirs.places[i as usize];
        at.offset >= offsets[at.partition as usize]
    };
    let mut tally = AlignmentTally::default();
    for slot in 0..index.slot_count() {
        judge.add_costs(slot, &kept, &mut tally);
    }
    let partition_of = |i: usize| ours.places[i].partition;
    let excused = excuse_superseded(source_window, target_window, &index, &kept, &axioms, &partition_of, &mut tally);
    let mut targets: Vec<PoolTarget> =
        offsets.iter().map(|offset| PoolTarget { offset: *offset, ..PoolTarget::default() }).collect();
    let of = |i: &u32| theirs.places[*i as usize].partition as usize;
    tally.again.iter().for_each(|i| targets[of(i)].re_read += 1);
    tally.target_only.iter().for_each(|i| targets[of(i)].target_only += 1);
    PoolAlignment {
        targets,
        re_read_pending: tally.re_read_pending,
        missing_times: time_bounds(source_window, &tally.missing),
        re_read_times: time_bounds(target_window, &tally.again),
        sources: build_pool_sources(&ours.places, source.len(), &mut tally.missing),
        excused,
        unsettled: tally.unsettled,
        waiting: [places_of(&ours.places, &tally.waiting[0]), places_of(&theirs.places, &tally.waiting[1])],
        compared: tally.compared,
        pair_distance: judge.pair_distance(),
        limited,
    }
}

/// All records in one window, in the order of `key`.
fn merge_partitions<K: Ord>(parts: &[PoolPartition<'_>], key: impl Fn(usize, &Rec) -> K) -> Merged {
    let mut all: Vec<(usize, usize, Rec)> = Vec::with_capacity(parts.iter().map(|p| p.window.len()).sum());
    for (p, part) in parts.iter().enumerate() {
        all.extend(part.window.iter().enumerate().map(|(i, r)| (p, i, r)));
    }
    all.sort_by_cached_key(|(p, _, r)| key(*p, r));
    // An empty window has no hash to show, which does not mean that keys were not asked for.
    let keyed = parts.iter().all(|p| p.window.is_empty() || p.window.key_hash(0).is_some());
    let keys: Vec<u64> = all.iter().filter(|_| keyed).filter_map(|(p, i, _)| parts[*p].window.key_hash(*i)).collect();
    let rows: Vec<Rec> = (0..).zip(&all).map(|(offset, (_, _, r))| Rec { offset, ..*r }).collect();
    let mut window = LogWindow::new(0);
    let merged = window.append(rows.len() as i64, &rows, &keys);
    debug_assert!(merged.is_ok(), "offsets count up from 0");
    let place = |(p, _, r): &(usize, usize, Rec)| RecordOrigin { partition: *p as u32, offset: r.offset };
    Merged { window, places: all.iter().map(place).collect() }
}

/// For each record, whether its twin may still arrive. `has_twin`: whether the other side holds one of its identity.
fn mark_young(
    parts: &[PoolPartition<'_>],
    merged: &Merged,
    ahead: Ahead,
    has_twin: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let records = || merged.window.iter().zip(&merged.places).enumerate();
    let mut old_to = vec![i64::MIN; parts.len()];
    // An old time alone vouches for nothing: its producer may have set it, and sent the record a moment ago.
    for (_, (_, at)) in records().filter(|(i, (r, _))| r.ts < ahead.old_before && has_twin(*i)) {
        let to = &mut old_to[at.partition as usize];
        *to = at.offset.saturating_add(1).max(*to);
    }
    let young = |(_, (r, at)): (usize, (Rec, &RecordOrigin))| {
        let p = at.partition as usize;
        at.offset >= parts[p].settled && !ahead.is_settled(r.ts, at.offset, old_to[p])
    };
    records().map(young).collect()
}

/// What the partitions' bounds say, for all of them together.
fn derive_hints(
    source: &[PoolPartition<'_>],
    target: &[PoolPartition<'_>],
    axioms: &Axioms,
    young: [Vec<bool>; 2],
) -> Hints {
    let expired = |parts: &[PoolPartition<'_>]| -> Option<i64> {
        parts.iter().filter_map(|part| expired_until(part.window, part.log_start, axioms)).max()
    };
    let complete = axioms.complete_from;
    // after everything that any partition of the source has
    let plausible =
        |part: &PoolPartition<'_>| part.window.iter().map(|r| r.ts).filter(|ts| !axioms.ahead.is_ahead(*ts)).max();
    let newest = source.iter().filter_map(plausible).max();
    let none = newest.is_none() && source.iter().any(|part| !part.window.is_empty());
    let never = source.iter().all(|part| part.log_start == 0 && part.window.from() == 0);
    let silent = newest.map(|ts| ts.max(complete).saturating_add(axioms.pair_delta));
    Hints {
        young,
        silent_after: match silent {
            Some(after) => after,
            None if none => complete.saturating_add(axioms.pair_delta),
            None if never => i64::MIN,
            None => i64::MAX,
        },
        known_from: expired(source).map_or(complete, |oldest| oldest.max(complete)).saturating_add(axioms.pair_delta),
        target_expired: expired(target).is_some(),
    }
}

/// Partition and offset of the records at these indices.
fn places_of(places: &[RecordOrigin], indices: &[u32]) -> Vec<(usize, i64)> {
    let place = |i: &u32| places.get(*i as usize).map(|at| (at.partition as usize, at.offset));
    indices.iter().filter_map(place).collect()
}

/// The places of these source records, by partition; neighbours among the records of one make a range.
fn build_pool_sources(places: &[RecordOrigin], partitions: usize, indices: &mut [u32]) -> Vec<PoolSource> {
    indices.sort_unstable();
    let mut sources = vec![PoolSource::default(); partitions];
    let mut last = None;
    for &mut i in indices {
        let RecordOrigin { partition, offset } = places[i as usize];
        let source = &mut sources[partition as usize];
        source.missing += 1;
        match source.ranges.last_mut() {
            // Before index 0 there is none: it wraps to a number that no record has.
            Some(range) if last == Some((partition, i.wrapping_sub(1))) => range.1 = offset + 1,
            _ => source.ranges.push((offset, offset + 1)),
        }
        last = Some((partition, i));
    }
    sources
}

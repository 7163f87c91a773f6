//! One identity at a time: the bound it sets on the offset, and what an offset costs it.

use super::index::Index;
use super::{Axioms, Unsettled};
use crate::offsets::window::LogWindow;

/// Below this many pairs of unique records, how far pairs really lie apart is not known, and `pair_delta` is taken.
const ENOUGH_PAIRS: u64 = 8;
/// Added to twice the largest distance seen: two clocks ticking in ms, and a scheduler between the two sends.
const REACH_SLACK_MS: i64 = 20;

/// The least target index that an identity allows to start at (`len` when it sets no bound).
pub(super) struct Bound {
    pub(super) at: usize,
    pub(super) limited: bool,
}

/// Sums over identities.
#[derive(Default)]
pub(super) struct AlignmentTally {
    /// Target indices.
    pub(super) again: Vec<u32>,
    pub(super) re_read_pending: u64,
    /// Source indices.
    pub(super) missing: Vec<u32>,
    /// Target indices.
    pub(super) target_only: Vec<u32>,
    pub(super) unsettled: Unsettled,
    /// Source and target indices of what is unsettled.
    pub(super) waiting: [Vec<u32>; 2],
    pub(super) compared: u64,
}

/// What windows that were merged from several partitions can't tell by their offsets.
pub(super) struct Hints {
    /// Per record of the source and of the target: whether its twin may still arrive.
    pub(super) young: [Vec<bool>; 2],
    /// See [`AlignmentJudge::silent_after`].
    pub(super) silent_after: i64,
    /// See [`AlignmentJudge::known_from`].
    pub(super) known_from: i64,
    /// See [`AlignmentJudge::target_expired`].
    pub(super) target_expired: bool,
}

/// From which timestamp on a log holds all that it ever had, if some of that may have expired: a record older than the
/// region that matters is a witness that nothing of that region has. (`None`: all of the region is there.)
pub(super) fn expired_until(window: &LogWindow, log_start: i64, axioms: &Axioms) -> Option<i64> {
    let mut oldest = i64::MAX;
    for ts in window.iter().map(|r| r.ts) {
        if ts < axioms.complete_from {
            return None;
        }
        oldest = oldest.min(ts);
    }
    // A log that starts at 0 has lost nothing to retention, however young its oldest record is.
    (log_start > 0).then_some(oldest)
}

pub(super) struct AlignmentJudge<'a> {
    source: &'a LogWindow,
    target: &'a LogWindow,
    axioms: &'a Axioms,
    index: &'a Index,
    hints: Option<&'a Hints>,
    /// First index of `U` in the source window.
    unconsumed: u32,
    /// A target record with a later timestamp than this came after everything the source has.
    silent_after: i64,
    /// From this timestamp on, a target record without a twin is known never to have been on the source.
    known_from: i64,
    /// How far apart two of several identical records may be and count as twins.
    reach: i64,
    pair_distance: i64,
    /// Whether target records may have expired that could be twins of records in the source's window.
    target_expired: bool,
    /// One past the last source record that is old and has a copy on the target: what lies before it is old too.
    old_to: i64,
}

/// One copy: its timestamp, and its index in the window.
#[derive(Clone, Copy)]
struct RecordCopy {
    ts: i64,
    i: u32,
}

/// An identity's copies by timestamp, and which found no twin.
struct Matched {
    pairs: u64,
    /// Unmatched source copies (indices).
    source_left: Vec<u32>,
    /// Unmatched target copies.
    target_left: Vec<RecordCopy>,
}

/// What the group is owed of an identity.
struct Owed {
    /// Copies in `U`.
    u: usize,
    /// Expected copies: on the target, and to be delivered as if they were in `U`.
    expected: Vec<RecordCopy>,
    /// The oldest timestamp among both.
    oldest: i64,
}

impl Owed {
    fn count(&self) -> usize {
        self.u + self.expected.len()
    }
}

impl<'a> AlignmentJudge<'a> {
    pub(super) fn new(
        source: &'a LogWindow,
        target: &'a LogWindow,
        axioms: &'a Axioms,
        index: &'a Index,
        hints: Option<&'a Hints>,
    ) -> Self {
        let delta = axioms.pair_delta;
        // A time that lies ahead is no sign of life.
        let newest = source.iter().map(|r| r.ts).filter(|ts| !axioms.ahead.is_ahead(*ts)).max();
        // An empty source whose records expired tells nothing; one that never had any has been silent all along.
        let silent_after = match newest {
            Some(ts) => ts.max(axioms.complete_from).saturating_add(delta),
            // Every record's time lies ahead, so none says when the source last wrote: the windows' floor
            // stands in for it.
            None if !source.is_empty() => axioms.complete_from.saturating_add(delta),
            None if axioms.source_log_start == 0 && source.from() == 0 => i64::MIN,
            None => i64::MAX,
        };
        // A record just above the floor may have its twin just below it, outside of the window.
        let known_from = expired_until(source, axioms.source_log_start, axioms)
            .map_or(axioms.complete_from, |oldest| oldest.max(axioms.complete_from))
            .saturating_add(delta);
        let (silent_after, known_from, target_expired) = match hints {
            Some(h) => (h.silent_after, h.known_from, h.target_expired),
            None => {
                let target_expired = expired_until(target, axioms.target_log_start, axioms).is_some();
                (silent_after, known_from, target_expired)
            }
        };
        let mut judge = AlignmentJudge {
            source,
            target,
            axioms,
            index,
            hints,
            unconsumed: source.index_of(axioms.committed) as u32,
            silent_after,
            known_from,
            target_expired,
            reach: axioms.pair_reach,
            pair_distance: 0,
            old_to: i64::MIN,
        };
        let old = |i: &usize| {
            source.get(*i).ts < axioms.ahead.old_before && !index.target(index.slot_of_source(*i)).is_empty()
        };
        // From the end: one record vouches for all that came before it.
        judge.old_to = (0..source.len()).rev().find(old).map_or(i64::MIN, |i| source.get(i).offset + 1);
        judge.measure_reach();
        judge
    }

    pub(super) fn pair_distance(&self) -> i64 {
        self.pair_distance
    }

    /// How far apart the records of unique pairs are (two copies on a log may be a retry's: the nearest count).
    /// `reach` follows from it, so that among identical payloads (a heartbeat a second) a young record is not taken
    /// for the twin of its neighbour. Too small a reach only makes more of them owed.
    fn measure_reach(&mut self) {
        let (mut pairs, mut within) = (0, 0);
        for slot in 0..self.index.slot_count() {
            let (source, target) = (self.index.source(slot), self.index.target(slot));
            // Among many copies (a heartbeat's) the nearest is near by chance, and says nothing of how far
            // pairs lie apart.
            if source.len() > 2 || target.len() > 2 {
                continue;
            }
            let nearest = source.iter().flat_map(|s| target.iter().map(|t| self.measure_distance(*s, *t))).min();
            let Some(apart) = nearest else { continue };
            // This one checks A1, so wide pairs count too; the reach is learnt only from what lies within it.
            self.pair_distance = self.pair_distance.max(apart);
            if apart <= self.axioms.pair_reach {
                pairs += 1;
                within = within.max(apart);
            }
        }
        if pairs >= ENOUGH_PAIRS {
            self.reach = self.axioms.pair_reach.min(2 * within + REACH_SLACK_MS);
        }
    }

    /// The distance of two records' timestamps, ms.
    fn measure_distance(&self, source: u32, target: u32) -> i64 {
        // Producers set timestamps as they like: two may lie further apart than an i64 holds.
        let apart = self.source.get(source as usize).ts.abs_diff(self.target.get(target as usize).ts);
        i64::try_from(apart).unwrap_or(i64::MAX)
    }

    /// The bound this identity sets: see the definition in the parent module.
    pub(super) fn find_bound(&self, slot: usize) -> Bound {
        let none = Bound { at: self.target.len(), limited: false };
        let (source, target) = (self.index.source(slot), self.index.target(slot));
        match self.plain_pair(source, target) {
            // Nothing that an offset could skip: what is missing then is a cost, whatever the offset.
            _ if target.is_empty() => return none,
            Some((s, _)) if s < self.unconsumed => return none,
            Some((_, t)) => return Bound { at: t as usize, limited: false },
            None => {}
        }
        let matched = self.match_copies(slot);
        let owed = self.find_owed(source, &matched);
        if owed.count() == 0 {
            return none;
        }
        let copies: Vec<RecordCopy> = target.iter().map(|i| self.target_copy(*i)).collect();
        // (b): of the copies that can serve what is owed, the last `need` must not be skipped
        let serving: Vec<RecordCopy> = copies.iter().copied().filter(|c| self.serves_owed(&owed, c)).collect();
        let need = owed.count().min(serving.len());
        let keep = if need > 0 { serving[serving.len() - need].i as usize } else { self.target.len() };
        // (a): skip no more copies in play than were consumed
        let (from, credit, limited) = self.find_credit(source, &copies, owed.oldest);
        let spend = copies.iter().filter(|c| c.ts >= from).nth(credit).map_or(self.target.len(), |c| c.i as usize);
        // A credit that was cut short matters only where it sets the bound, and not (b).
        Bound { at: keep.min(spend), limited: limited && spend < keep }
    }

    /// The timestamp from which copies are in play, how many consumed ones are, and whether that count was cut short.
    fn find_credit(&self, source: &[u32], target: &[RecordCopy], oldest: i64) -> (i64, usize, bool) {
        let delta = self.axioms.pair_delta;
        let consumed: Vec<i64> =
            source.iter().filter(|i| **i < self.unconsumed).map(|i| self.source.get(*i as usize).ts).collect();
        let all = source.iter().map(|i| self.source.get(*i as usize).ts).chain(target.iter().map(|c| c.ts));
        let mut older: Vec<i64> = all.filter(|ts| *ts < oldest).collect();
        older.sort_unstable();
        let mut low = oldest;
        // Back from the oldest owed copy, over gaps that a pair can reach across (A1), and no further.
        for ts in older.into_iter().rev() {
            if low.saturating_sub(ts) > delta {
                break;
            }
            low = ts;
        }
        // Below the windows' bottom there may be more copies linked to these: then count only consumed copies
        // whose twins are in the window for sure, against all target copies that could be such twins.
        let open = low.saturating_sub(delta) < self.axioms.complete_from;
        let (from, count_from) = if open {
            (self.axioms.complete_from, self.axioms.complete_from.saturating_add(delta))
        } else {
            (low, low)
        };
        let in_play = consumed.iter().filter(|ts| **ts >= count_from).count();
        // Target copies of consumed records may be gone, and with them what they would have cost.
        let gone = self.axioms.target_compacted || self.target_expired;
        let credit = if gone { 0 } else { in_play };
        (from, credit, (open || gone) && !consumed.is_empty())
    }

    /// Adds what it costs this identity that the target records of which `kept` holds are read, and no others.
    pub(super) fn add_costs(&self, slot: usize, kept: &impl Fn(u32) -> bool, tally: &mut AlignmentTally) {
        let (source, target) = (self.index.source(slot), self.index.target(slot));
        if let Some((s, t)) = self.plain_pair(source, target) {
            tally.compared += 1;
            match (s < self.unconsumed, kept(t)) {
                (true, true) => tally.again.push(t),
                (false, false) => tally.missing.push(s), // behind a cut that is not safe
                _ => {}
            }
            return;
        }
        let matched = self.match_copies(slot);
        let owed = self.find_owed(source, &matched);
        // a pair wider than the reach vouches for nothing, but it is evidence that the logs carry the same records
        let wide = matches!((source, target), ([s], [t]) if self.measure_distance(*s, *t) <= self.axioms.pair_delta);
        tally.compared += matched.pairs.max(u64::from(wide));

        let young: Vec<&u32> = matched.source_left.iter().filter(|i| self.is_unsettled(**i)).collect();
        let late_unconsumed = young.iter().filter(|i| ***i >= self.unconsumed).count();
        let late_consumed = young.len() - late_unconsumed;
        let young_target: Vec<u32> = owed.expected.iter().filter(|c| self.is_young(c)).map(|c| c.i).collect();
        tally.waiting[0].extend(self.list_waiting(source, &young));
        tally.waiting[1].extend(&young_target);
        tally.unsettled.consumed += late_consumed as u64;
        tally.unsettled.unconsumed += late_unconsumed as u64;
        tally.unsettled.target_only += young_target.len() as u64;

        let ahead: Vec<RecordCopy> = target.iter().filter(|i| kept(**i)).map(|i| self.target_copy(*i)).collect();
        let serving = ahead.iter().filter(|c| self.serves_owed(&owed, c)).count();
        let short = owed.count().saturating_sub(serving);
        // What is young may still come: that is unsettled, and not missing.
        self.note_missing(source, &matched, short.saturating_sub(late_unconsumed), &mut tally.missing);

        let consumed = SortedTimes::from_records(self.source, source.iter().filter(|i| **i < self.unconsumed));
        let any = SortedTimes::from_records(self.source, source.iter());
        let delta = self.axioms.pair_delta;
        // So many of those ahead serve what is owed: only what is beyond them can be a second reading.
        let spare = ahead.len() - owed.count().min(ahead.len());
        let twins: Vec<u32> = ahead.iter().filter(|c| consumed.has_near(c.ts, delta)).map(|c| c.i).collect();
        let processed = twins.len();
        tally.again.extend(twins.into_iter().take(spare));
        // A late twin of a consumed record is read again; a late twin of an unconsumed one may free a copy that
        // then is; an expected copy may turn out to be a consumed record's; and what is older than the windows
        // reach may have been consumed.
        let known = |c: &&RecordCopy| {
            consumed.has_near(c.ts, delta) || (self.is_young(c) && (!consumed.0.is_empty() || c.ts < self.known_from))
        };
        let expected = owed.expected.iter().filter(known).count();
        let unknown = ahead.iter().filter(|c| c.ts < self.known_from && !any.has_near(c.ts, delta)).count();
        let doubtful = late_consumed + late_unconsumed.min(processed) + expected + unknown.min(spare);
        tally.re_read_pending += doubtful as u64;

        let behind = target.iter().filter(|i| !kept(**i)).map(|i| self.target_copy(*i));
        // An older one may have had its twin below the source's window, so nothing is claimed of it.
        let only = behind.filter(|c| c.ts >= self.known_from && !any.has_near(c.ts, delta));
        tally.target_only.extend(only.map(|c| c.i));
    }

    /// Which source copies wait for a twin. Among identical ones the matching leaves the youngest over, but it may be any
    /// that has none: so the oldest unconsumed ones stand for them, which no look was too early to see.
    fn list_waiting(&self, source: &[u32], young: &[&u32]) -> Vec<u32> {
        if source.len() < 2 {
            return young.iter().map(|i| **i).collect();
        }
        let (consumed, unconsumed): (Vec<&u32>, Vec<&u32>) = young.iter().partition(|i| ***i < self.unconsumed);
        let mut oldest: Vec<u32> = source.iter().copied().filter(|i| *i >= self.unconsumed).collect();
        oldest.sort_by_key(|i| self.source.get(*i as usize).ts);
        oldest.truncate(unconsumed.len());
        consumed.into_iter().copied().chain(oldest).collect()
    }

    /// Which of the unconsumed copies the `count` missing ones are: those without a twin first. (Among identical
    /// records it makes no difference which are replayed.)
    fn note_missing(&self, source: &[u32], matched: &Matched, count: usize, missing: &mut Vec<u32>) {
        if count == 0 {
            return;
        }
        let mut alone = matched.source_left.clone();
        alone.sort_unstable();
        let (mut left, mut rest): (Vec<u32>, Vec<u32>) =
            source.iter().filter(|i| **i >= self.unconsumed).partition(|i| alone.binary_search(i).is_ok());
        left.append(&mut rest);
        missing.extend(left.into_iter().take(count));
    }

    /// Whether a target copy can be one of those owed.
    fn serves_owed(&self, owed: &Owed, copy: &RecordCopy) -> bool {
        owed.count() > 0 && copy.ts >= owed.oldest.saturating_sub(self.axioms.pair_delta)
    }

    fn is_unsettled(&self, source: u32) -> bool {
        match self.hints {
            Some(hints) => hints.young[0][source as usize],
            None => {
                let r = self.source.get(source as usize);
                r.offset >= self.axioms.settled_source && !self.axioms.ahead.is_settled(r.ts, r.offset, self.old_to)
            }
        }
    }

    fn is_young(&self, copy: &RecordCopy) -> bool {
        if let Some(hints) = self.hints {
            return hints.young[1][copy.i as usize];
        }
        self.target.get(copy.i as usize).offset >= self.axioms.settled_target
    }

    fn target_copy(&self, i: u32) -> RecordCopy {
        RecordCopy { ts: self.target.get(i as usize).ts, i }
    }

    /// The common case, without any counting: an identity that occurs once on each log, within `pair_reach`.
    /// The two indices.
    fn plain_pair(&self, source: &[u32], target: &[u32]) -> Option<(u32, u32)> {
        let ([s], [t]) = (source, target) else { return None };
        let oldest = self.source.get(*s as usize).ts.min(self.target.get(*t as usize).ts);
        // Below `known_from` there may have been another copy outside of the windows: then it is counted, as any other.
        let pair = self.measure_distance(*s, *t) <= self.axioms.pair_reach && oldest >= self.known_from;
        pair.then_some((*s, *t))
    }

    fn find_owed(&self, source: &[u32], matched: &Matched) -> Owed {
        let unconsumed = source.iter().filter(|i| **i >= self.unconsumed);
        let expected: Vec<RecordCopy> = matched.target_left.iter().copied().filter(|c| self.is_expected(c)).collect();
        let oldest = unconsumed
            .clone()
            .map(|i| self.source.get(*i as usize).ts)
            .chain(expected.iter().map(|c| c.ts))
            .min()
            .unwrap_or(i64::MAX);
        Owed { u: unconsumed.count(), expected, oldest }
    }

    /// Whether a target record without a twin is to be delivered as if it were unconsumed.
    fn is_expected(&self, copy: &RecordCopy) -> bool {
        // The journal has this machine's clock, the records have their producers': as much room as A1 gives.
        let since = self.axioms.target_only_since.map(|at| at.saturating_sub(self.axioms.pair_delta));
        self.is_young(copy)
            || since.is_some_and(|at| copy.ts >= at)
            || copy.ts > self.silent_after
            || (self.axioms.deliver_target_only && copy.ts >= self.known_from)
    }

    /// Matches the copies on both logs, oldest first: with one reach for all pairs that finds a largest matching,
    /// and leaves the youngest over.
    fn match_copies(&self, slot: usize) -> Matched {
        let (source, target) = (self.index.source(slot), self.index.target(slot));
        let single = source.len() <= 1 && target.len() <= 1;
        // A lone copy has no neighbour that it could be mistaken for, so it gets the whole reach.
        let reach = if single { self.axioms.pair_reach } else { self.reach };
        let by_ts = |indices: &[u32], window: &LogWindow, from: i64| {
            let copies = indices.iter().map(|i| RecordCopy { ts: window.get(*i as usize).ts, i: *i });
            let mut copies: Vec<RecordCopy> = copies.filter(|c| c.ts >= from).collect();
            copies.sort_by_key(|c| c.ts);
            copies
        };
        let target = by_ts(target, self.target, i64::MIN);
        // A source copy at the windows' bottom may have its twin below, or its twin may have expired: it must not
        // vouch for a copy that is perhaps still on its way to the source. Otherwise it may count as evidence.
        let vouches_from = match target.iter().any(|c| self.is_expected(c)) {
            true if self.target_expired && !single => i64::MAX,
            true => self.axioms.complete_from.saturating_add(reach),
            false => i64::MIN,
        };
        let mut matched = Matched { pairs: 0, source_left: Vec::new(), target_left: Vec::new() };
        let early = source.iter().filter(|i| self.source.get(**i as usize).ts < vouches_from);
        matched.source_left.extend(early);
        let source = by_ts(source, self.source, vouches_from);
        let reach = reach.unsigned_abs();
        let (mut s, mut t) = (0, 0);
        while s < source.len() && t < target.len() {
            if source[s].ts.abs_diff(target[t].ts) <= reach {
                matched.pairs += 1;
                (s, t) = (s + 1, t + 1);
            } else if source[s].ts < target[t].ts {
                matched.source_left.push(source[s].i);
                s += 1;
            } else {
                matched.target_left.push(target[t]);
                t += 1;
            }
        }
        matched.source_left.extend(source[s..].iter().map(|c| c.i));
        matched.target_left.extend_from_slice(&target[t..]);
        matched
    }
}

/// Timestamps of some copies, sorted.
struct SortedTimes(Vec<i64>);

impl SortedTimes {
    fn from_records<'i>(window: &LogWindow, indices: impl Iterator<Item = &'i u32>) -> Self {
        let mut times: Vec<i64> = indices.map(|i| window.get(*i as usize).ts).collect();
        times.sort_unstable();
        SortedTimes(times)
    }

    /// Whether one lies within `delta` of `ts`.
    fn has_near(&self, ts: i64, delta: i64) -> bool {
        let first = self.0.partition_point(|t| *t < ts.saturating_sub(delta));
        self.0.get(first).is_some_and(|t| *t <= ts.saturating_add(delta))
    }
}

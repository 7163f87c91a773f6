//! The definition of `cutover::offsets::align`, computed the slow and obvious way over whole logs.

use std::collections::BTreeMap;

use cutover::offsets::{Axioms, Identity, Rec};

/// Up to this many target records every offset is tried; beyond (logs of real clusters), each identity's own.
const SMALL: usize = 1_000;

pub struct Brute {
    pub offset: i64,
    pub re_read: u64,
    pub missing: u64,
    pub target_only: u64,
}

struct Group {
    source: Vec<Rec>,
    target: Vec<(usize, Rec)>,
    /// Oldest timestamp owed, and how many copies are.
    oldest: i64,
    owed: usize,
    late_unconsumed: usize,
    play_from: i64,
    credit: usize,
}

/// `source` and `target` are the whole logs, as visible; `loaded` is from where on each was loaded, which matters
/// only for how far apart unique pairs were seen to be, and for what the source's silence means.
pub fn brute(source: &[Rec], target: &[Rec], end: i64, ax: &Axioms, loaded: (i64, i64)) -> Brute {
    let delta = ax.pair_delta;
    let mut groups: BTreeMap<Identity, Group> = BTreeMap::new();
    let blank = || Group {
        source: vec![],
        target: vec![],
        oldest: i64::MAX,
        owed: 0,
        late_unconsumed: 0,
        play_from: 0,
        credit: 0,
    };
    for r in source {
        groups.entry(r.id).or_insert_with(blank).source.push(*r);
    }
    for (i, r) in target.iter().enumerate() {
        groups.entry(r.id).or_insert_with(blank).target.push((i, *r));
    }
    let reach = reach(&groups, ax.pair_reach, loaded);
    let seen: Vec<&Rec> = source.iter().filter(|r| r.offset >= loaded.0).collect();
    let silent = match seen.iter().map(|r| r.ts).max() {
        Some(ts) => ts.max(ax.complete_from).saturating_add(delta),
        None if ax.source_log_start == 0 && loaded.0 == 0 => i64::MIN,
        None => i64::MAX,
    };
    let gone = ax.target_log_start > 0 && !target.iter().any(|r| r.offset >= loaded.1 && r.ts < ax.complete_from);
    for g in groups.values_mut() {
        owe(g, ax, reach, silent, loaded, gone);
        play(g, ax, gone);
    }
    let best = if target.len() <= SMALL {
        largest_safe(&groups, target.len(), delta)
    } else {
        // what an offset means to an identity only changes at its own copies
        let bound = |g: &Group| g.target.iter().map(|(i, _)| *i).find(|i| !safe(g, i + 1, delta));
        groups.values().filter_map(bound).min().unwrap_or(target.len())
    };
    let expired = ax.source_log_start > 0 && !seen.iter().any(|r| r.ts < ax.complete_from);
    let oldest = seen.iter().map(|r| r.ts).min().unwrap_or(i64::MAX);
    let known_from = if expired { oldest.max(ax.complete_from) } else { ax.complete_from }.saturating_add(delta);
    let (mut re_read, mut missing, mut target_only) = (0, 0, 0);
    for g in groups.values() {
        let ahead: Vec<&Rec> = g.target.iter().filter(|(i, _)| *i >= best).map(|(_, r)| r).collect();
        let serving = ahead.iter().filter(|r| r.ts >= g.oldest.saturating_sub(delta)).count();
        let near = |r: &Rec, consumed: bool| {
            g.source.iter().any(|s| (!consumed || s.offset < ax.committed) && (s.ts - r.ts).abs() <= delta)
        };
        let processed = ahead.iter().filter(|r| near(r, true)).count();
        re_read += processed.min(ahead.len() - g.owed.min(ahead.len())) as u64;
        missing += g.owed.saturating_sub(serving).saturating_sub(g.late_unconsumed) as u64;
        let only = g.target.iter().filter(|(i, r)| *i < best && r.ts >= known_from && !near(r, false));
        target_only += only.count() as u64;
    }
    Brute { offset: target.get(best).map_or(end, |r| r.offset), re_read, missing, target_only }
}

/// The largest safe offset, as an index: try them all.
fn largest_safe(groups: &BTreeMap<Identity, Group>, len: usize, delta: i64) -> usize {
    let (mut best, mut over) = (0, false);
    for at in 0..=len {
        if groups.values().all(|g| safe(g, at, delta)) {
            assert!(!over, "safety is monotone");
            best = at;
        } else {
            over = true;
        }
    }
    best
}

/// Twice the largest distance of 8 or more (nearly) unique pairs, and 20 ms.
fn reach(groups: &BTreeMap<Identity, Group>, delta: i64, loaded: (i64, i64)) -> i64 {
    let mut apart = vec![];
    for g in groups.values() {
        let s: Vec<&Rec> = g.source.iter().filter(|r| r.offset >= loaded.0).collect();
        let t: Vec<&Rec> = g.target.iter().map(|(_, r)| r).filter(|r| r.offset >= loaded.1).collect();
        if s.len() <= 2 && t.len() <= 2 {
            apart.extend(s.iter().flat_map(|s| t.iter().map(|t| (s.ts - t.ts).abs())).min());
        }
    }
    apart.retain(|d| *d <= delta);
    if apart.len() < 8 { delta } else { delta.min(2 * apart.iter().max().unwrap() + 20) }
}

fn owe(g: &mut Group, ax: &Axioms, reach: i64, silent: i64, loaded: (i64, i64), gone: bool) {
    let delta = ax.pair_delta;
    let expected = |r: &Rec| {
        r.offset >= ax.settled_target
            || ax.target_only_since.is_some_and(|at| r.ts >= at - delta)
            || r.ts > silent
            || (ax.deliver_target_only && r.ts >= ax.complete_from.saturating_add(delta))
    };
    let unsettled_source = |r: &Rec| r.offset >= ax.committed && r.offset >= ax.settled_source;
    let s = g.source.iter().filter(|r| r.offset >= loaded.0).count();
    let t = g.target.iter().filter(|(_, r)| r.offset >= loaded.1).count();
    let reach = if s <= 1 && t <= 1 { ax.pair_reach } else { reach };
    let vouch = match g.target.iter().any(|(_, r)| expected(r)) {
        true if gone && (s > 1 || t > 1) => i64::MAX,
        true => ax.complete_from.saturating_add(reach),
        false => i64::MIN,
    };
    // match one to one, oldest first: the k-th record that can still find a twin takes the oldest one it can reach
    let mut free: Vec<(i64, Rec)> =
        g.source.iter().filter(|r| r.ts >= vouch && r.offset >= loaded.0).map(|r| (r.ts, *r)).collect();
    free.sort_by_key(|(ts, _)| *ts);
    let mut by_time: Vec<Rec> = g.target.iter().map(|(_, r)| *r).filter(|r| r.offset >= loaded.1).collect();
    by_time.sort_by_key(|r| r.ts);
    let mut left = vec![];
    for t in by_time {
        match free.iter().position(|(ts, _)| (ts - t.ts).abs() <= reach) {
            Some(i) => drop(free.remove(i)),
            None => left.push(t),
        }
    }
    left.retain(expected);
    let alone = |r: &Rec| r.ts < vouch || free.iter().any(|(_, f)| f.offset == r.offset);
    g.late_unconsumed = g.source.iter().filter(|r| unsettled_source(r) && alone(r)).count();
    let unconsumed = g.source.iter().filter(|r| r.offset >= ax.committed);
    g.owed = unconsumed.clone().count() + left.len();
    g.oldest = unconsumed.map(|r| r.ts).chain(left.iter().map(|r| r.ts)).min().unwrap_or(i64::MAX);
}

/// The copies in play: linked to the oldest owed one by steps of at most `pair_delta`.
fn play(g: &mut Group, ax: &Axioms, gone: bool) {
    let mut low = g.oldest;
    let all: Vec<i64> = g.source.iter().map(|r| r.ts).chain(g.target.iter().map(|(_, r)| r.ts)).collect();
    while let Some(next) = all.iter().copied().filter(|ts| *ts < low && low - *ts <= ax.pair_delta).min() {
        low = next;
    }
    let open = low.saturating_sub(ax.pair_delta) < ax.complete_from;
    g.play_from = if open { ax.complete_from } else { low };
    let count_from = if open { ax.complete_from.saturating_add(ax.pair_delta) } else { low };
    g.credit = if gone || ax.target_compacted {
        0
    } else {
        g.source.iter().filter(|r| r.offset < ax.committed && r.ts >= count_from).count()
    };
}

fn safe(g: &Group, at: usize, delta: i64) -> bool {
    if g.owed == 0 {
        return true;
    }
    let skipped = g.target.iter().filter(|(i, r)| *i < at && r.ts >= g.play_from).count();
    let serving =
        |from: usize| g.target.iter().filter(|(i, r)| *i >= from && r.ts >= g.oldest.saturating_sub(delta)).count();
    skipped <= g.credit && serving(at) >= g.owed.min(serving(0))
}

//! A small window of one partition, all of it in memory: the same rules as a whole diff.

use std::convert::Infallible;

use super::{DiffRecord, DiffRules, Join, JudgedRange, PartitionDiff, Resolver};
use crate::offsets::translate::Log;

/// Compares what was read of both logs around a window. Records with a timestamp in `[from_ts, to_ts)` are judged, on
/// both logs; the others serve as their twins. Everything counts as settled: the caller picks a window whose records
/// are old enough for that.
#[must_use]
pub fn compare_window(
    (from_ts, to_ts): (i64, i64),
    pair_delta_ms: u64,
    [source, target]: [&[DiffRecord]; 2],
) -> PartitionDiff {
    let mut rules = DiffRules::judging_all(1, pair_delta_ms);
    rules.judged.iter_mut().flatten().for_each(|j| *j = JudgedRange { from_ts, to_ts, ..JudgedRange::default() });
    let mut join = Join::new(rules);
    join.push(Log::Source, 0, source);
    join.push(Log::Target, 0, target);
    let mut resolver = Resolver::new(join, [i64::MAX; 2]);
    for bucket in 0..resolver.bucket_count() {
        let decided: Result<(), Infallible> = resolver.decide_bucket(bucket, 0, |_| Ok(()));
        let Ok(()) = decided;
    }
    resolver.finish().pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::identity::Identity;

    fn seen(id: u128, ts: i64) -> DiffRecord {
        DiffRecord { offset: ts, ts, id: Identity(id << 64 | id), key: id as u64, tombstone: false }
    }

    #[test]
    fn records_of_the_window_are_judged_and_others_are_only_twins() {
        let blue: Vec<DiffRecord> = (0..100).map(|n| seen(n + 1, n as i64 * 10)).collect();
        let mut green: Vec<DiffRecord> = (0..100).map(|n| seen(n + 1, n as i64 * 10 + 3)).collect();
        let all = compare_window((200, 500), 5_000, [&blue, &green]);
        assert_eq!((all.missing.count, all.only_target.count), (0, 0));
        assert_eq!(all.counts.judged[0], 30);
        // One lost inside the window, one outside it, one that only green has.
        green.retain(|r| ![26, 71].contains(&(r.id.0 as u64)));
        green.push(seen(7_000, 333));
        let some = compare_window((200, 500), 5_000, [&blue, &green]);
        assert_eq!((some.missing.count, some.only_target.count), (1, 1));
        assert_eq!(some.missing.ranges, [(250, 251)]);
    }
}

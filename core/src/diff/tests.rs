//! Against brute force over whole logs: the definitions of `mod.rs`, written down a second time, slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// A record of a test: content is (key, value).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    key: u64,
    value: u64,
    ts: i64,
}

impl Record {
    fn seen(&self, offset: i64) -> DiffRecord {
        let low = mix_bits(self.value ^ self.key << 40);
        let id = u128::from(mix_bits(low.wrapping_add(99))) << 64 | u128::from(low);
        DiffRecord { offset, ts: self.ts, id: Identity(id), key: self.key, tombstone: false }
    }
}

/// Partitions of the source and of the target; offsets are indices, times two on the target (holes).
type Logs = [Vec<Vec<Record>>; 2];

fn offset(log: usize, index: usize) -> i64 {
    (index * (log + 1)) as i64
}

/// How a diff is run: order of reading, memory, and after how many batches it is broken off and resumed.
#[derive(Debug, Clone, Copy)]
struct How {
    seed: u64,
    memory: usize,
    resume_after: usize,
}

const PLAIN: How = How { seed: 1, memory: 64 << 20, resume_after: usize::MAX };

fn run(rules: &DiffRules, logs: &Logs, how: How, settled_to: [i64; 2]) -> Vec<PartitionDiff> {
    let mut rng = fastrand::Rng::with_seed(how.seed);
    let rules = DiffRules { memory: how.memory, ..rules.clone() };
    let mut disk: Vec<Vec<u8>> = vec![Vec::new(); rules.buckets];
    let mut join = Join::new(rules.clone());
    let mut next: Vec<(usize, usize, usize)> =
        (0..2).flat_map(|log| (0..logs[log].len()).map(move |p| (log, p, 0))).collect();
    let mut batches = 0;
    while !next.is_empty() {
        let i = rng.usize(..next.len());
        let (log, p, from) = next[i];
        let to = (from + rng.usize(1..8)).min(logs[log][p].len());
        let batch: Vec<DiffRecord> = (from..to).map(|n| logs[log][p][n].seen(offset(log, n))).collect();
        join.push([Log::Source, Log::Target][log], p as u32, &batch);
        if to == logs[log][p].len() {
            next.swap_remove(i);
        } else {
            next[i].2 = to;
        }
        batches += 1;
        if join.is_over() || batches == how.resume_after {
            spill(&mut join, &mut disk);
        }
        if batches == how.resume_after {
            let (state, waiting) = join.save_state();
            let state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            join = Join::resume(rules.clone(), state, &waiting);
        }
    }
    let mut resolver = Resolver::new(join, settled_to);
    for (bucket, bytes) in disk.iter().enumerate() {
        let pieces = |take: &mut dyn FnMut(&[u8])| {
            bytes.chunks(entry::BYTES * 3).for_each(take);
            Ok::<(), Infallible>(())
        };
        resolver.decide_bucket(bucket, bytes.len() as u64, pieces).unwrap();
    }
    resolver.finish()
}

fn spill(join: &mut Join, disk: &mut [Vec<u8>]) {
    let write = |bucket: usize, bytes: &[u8]| {
        disk[bucket].extend_from_slice(bytes);
        Ok::<(), Infallible>(())
    };
    join.spill(write).unwrap();
}

fn offsets(spans: &Spans) -> BTreeSet<i64> {
    let all: BTreeSet<i64> = spans.ranges.iter().flat_map(|(from, to)| *from..*to).collect();
    assert_eq!(all.len() as u64, spans.count, "ranges and count agree");
    all
}

/// Length of the longest increasing subsequence, the slow way.
fn longest(places: &[i64]) -> usize {
    let mut best = vec![1_usize; places.len()];
    for i in 0..places.len() {
        for j in 0..i {
            if places[j] < places[i] {
                best[i] = best[i].max(best[j] + 1);
            }
        }
    }
    best.into_iter().max().unwrap_or(0)
}

/// A log as several writers make it: each key's records in order, timestamps that go forward by and large.
fn written(rng: &mut fastrand::Rng, records: usize, keys: u64, same: bool) -> Vec<Record> {
    let mut ts = 1_000_000;
    let mut out = Vec::new();
    for n in 0..records {
        ts += rng.i64(0..40);
        let value = if same && rng.u8(..) < 60 { rng.u64(..3) } else { 1_000 + n as u64 };
        out.push(Record { key: rng.u64(1..=keys), value, ts });
    }
    out
}

/// The second copy of a log: timestamps a little later, and records of different keys change places.
fn interleaved(rng: &mut fastrand::Rng, log: &[Record]) -> Vec<Record> {
    let mut out: Vec<Record> = log.iter().map(|r| Record { ts: r.ts + rng.i64(-3..4), ..*r }).collect();
    for _ in 0..log.len() {
        let i = rng.usize(..out.len().max(2) - 1);
        if i + 1 < out.len() && out[i].key != out[i + 1].key {
            out.swap(i, i + 1);
        }
    }
    out
}

/// What was done to a log, by offsets.
#[derive(Debug, Default)]
struct Injected {
    missing: BTreeSet<i64>,
    only_target: BTreeSet<i64>,
    doubled: u64,
    swapped: u64,
}

/// Faults of every kind on the target of one partition; every record's content is unique.
fn inject(rng: &mut fastrand::Rng, source: &[Record], target: &mut Vec<Record>) -> Injected {
    let mut done = Injected::default();
    let mut touched = BTreeSet::new();
    for _ in 0..rng.usize(..5) {
        let i = rng.usize(..target.len().max(1));
        if target.is_empty() || !touched.insert(target[i].value) {
            continue;
        }
        match rng.u8(..4) {
            0 => {
                let gone = target.remove(i);
                let at = source.iter().position(|r| (r.key, r.value) == (gone.key, gone.value)).unwrap();
                done.missing.insert(offset(0, at));
            }
            1 => {
                let copy = target[i];
                target.insert(rng.usize(i..=target.len()), copy);
                done.doubled += 1;
            }
            2 => {
                let value = u64::MAX - touched.len() as u64;
                touched.insert(value);
                target.insert(i, Record { key: 1, value, ts: target[i].ts });
            }
            _ => {
                let Some(j) = (i + 1..target.len()).find(|j| target[*j].key == target[i].key) else { continue };
                if touched.insert(target[j].value) {
                    target.swap(i, j);
                    done.swapped += 1;
                }
            }
        }
    }
    let extra = |r: &Record| r.value > 1 << 40;
    done.only_target = (0..target.len()).filter(|i| extra(&target[*i])).map(|i| offset(1, i)).collect();
    done
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn injected_faults_are_found_exactly(seed: u64, partitions in 1_usize..4, records in 1_usize..80, keys in 1_u64..6,
                                         memory in prop_oneof![Just(3_000_usize), Just(40_000), Just(64 << 20)],
                                         resume_after in prop_oneof![Just(usize::MAX), 1_usize..20]) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let source: Vec<_> = (0..partitions).map(|_| written(&mut rng, records, keys, false)).collect();
        let mut target: Vec<_> = source.iter().map(|log| interleaved(&mut rng, log)).collect();
        let truth: Vec<_> = source.iter().zip(&mut target).map(|(s, t)| inject(&mut rng, s, t)).collect();
        let rules = DiffRules { buckets: 4, ..DiffRules::judging_all(partitions, 5_000) };
        let logs = [source, target];
        let how = How { seed, memory, resume_after };
        let report = run(&rules, &logs, how, [i64::MAX; 2]);
        for (p, truth) in report.iter().zip(&truth) {
            prop_assert_eq!(&offsets(&p.missing), &truth.missing);
            prop_assert_eq!(&offsets(&p.only_target), &truth.only_target);
            prop_assert_eq!(p.duplicated[1].count, truth.doubled);
            prop_assert_eq!(p.duplicated[0].count, 0);
            prop_assert_eq!(p.counts.equal, (records - truth.missing.len()) as u64);
            prop_assert_eq!(p.counts.far, 0);
            prop_assert_eq!(p.undecided, 0);
            if p.unordered > 0 {
                prop_assert!(memory < 40_000);
                continue; // more pairs of one key than fit: their order is unknown, and that is said
            }
            check_order(p, &logs[0][p.partition as usize], &logs[1][p.partition as usize])?;
            if truth.doubled == 0 {
                prop_assert_eq!(p.reordered[0].count > 0, truth.swapped > 0);
            }
        }
        // In whatever order the logs are read, and however often it is broken off: the same report. (A bucket larger
        // than memory may take another copy of a record for the twin.)
        if memory >= 40_000 {
            prop_assert_eq!(report, run(&rules, &logs, How { seed: seed ^ 77, ..PLAIN }, [i64::MAX; 2]));
        }
    }

    #[test]
    fn copies_are_counted_as_multisets(seed: u64, records in 1_usize..60, keys in 0_u64..3, over_topic: bool,
                                       memory in prop_oneof![Just(5_000_usize), Just(64 << 20)]) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let source: Vec<_> = (0..2).map(|_| written(&mut rng, records, keys + 1, true)).collect();
        let mut target: Vec<_> = source.iter().map(|log| interleaved(&mut rng, log)).collect();
        for _ in 0..rng.usize(..6) {
            let (p, other) = (rng.usize(..2), rng.usize(..2));
            if !target[p].is_empty() {
                let at = rng.usize(..target[p].len());
                let record = target[p].remove(at);
                match rng.u8(..3) {
                    0 => {}
                    1 => target[other].insert(0, record),
                    _ => target[p].extend([record; 2]),
                }
            }
        }
        let rules = DiffRules { buckets: 4, over_topic, ..DiffRules::judging_all(2, 200) };
        let logs = [source, target];
        let report = run(&rules, &logs, How { seed, memory, resume_after: 7 }, [i64::MAX; 2]);
        let mut copies: BTreeMap<(usize, u128), [u64; 2]> = BTreeMap::new();
        for (log, partitions) in logs.iter().enumerate() {
            for (p, records) in partitions.iter().enumerate() {
                for record in records {
                    let name = (if over_topic { 0 } else { p }, record.seen(0).id.0);
                    copies.entry(name).or_default()[log] += 1;
                }
            }
        }
        let sum = |of: fn(&PartitionDiff) -> u64| report.iter().map(of).sum::<u64>();
        let truth = |of: fn(&[u64; 2]) -> u64| copies.values().map(of).sum::<u64>();
        prop_assert_eq!(sum(|p| p.counts.equal), truth(|c| c[0].min(c[1])));
        prop_assert_eq!(sum(|p| p.missing.count + p.duplicated[0].count), truth(|c| c[0].saturating_sub(c[1])));
        prop_assert_eq!(sum(|p| p.duplicated[1].count), truth(|c| if c[0] > 0 { c[1].saturating_sub(c[0]) } else { 0 }));
        prop_assert_eq!(sum(|p| p.only_target.count), truth(|c| if c[0] == 0 { c[1] } else { 0 }));
        prop_assert_eq!(sum(|p| p.undecided), 0);
    }

    #[test]
    fn compaction_loses_nothing_that_matters(seed: u64, records in 1_usize..60, keys in 1_u64..8) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let source = written(&mut rng, records, keys, false).into_iter()
            .collect::<Vec<_>>();
        let is_last = |log: &[Record], i: usize| !log[i + 1..].iter().any(|r| r.key == log[i].key);
        let compacted: Vec<Record> =
            (0..records).filter(|i| is_last(&source, *i) || rng.bool()).map(|i| source[i]).collect();
        let rules = DiffRules { compacted: true, buckets: 4, ..DiffRules::judging_all(1, 5_000) };
        let report = run(&rules, &[vec![source.clone()], vec![compacted.clone()]], PLAIN, [i64::MAX; 2]);
        prop_assert_eq!(report[0].missing.count, 0);
        prop_assert_eq!(report[0].superseded[0].count, (records - compacted.len()) as u64);
        // The last one of a key lost: the one thing that compaction does not explain.
        let gone = rng.usize(..compacted.len());
        let last = is_last(&compacted, gone);
        let lost: Vec<Record> = compacted.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, r)| *r).collect();
        let report = run(&rules, &[vec![source.clone()], vec![lost]], PLAIN, [i64::MAX; 2]);
        let at = source.iter().position(|r| *r == compacted[gone]).unwrap();
        prop_assert_eq!(offsets(&report[0].missing), BTreeSet::from_iter(last.then_some(offset(0, at))));
    }
}

/// The records said to have moved, taken out, leave their key in order, and fewer would not do.
fn check_order(p: &PartitionDiff, source: &[Record], target: &[Record]) -> Result<(), TestCaseError> {
    let moved = offsets(&p.reordered[0]);
    let mut fewest = 0;
    for key in source.iter().map(|r| r.key).filter(|k| *k != 0).collect::<BTreeSet<_>>() {
        let mut places = Vec::new();
        for (i, record) in source.iter().enumerate().filter(|(_, r)| r.key == key) {
            let twins: Vec<i64> = (0..target.len())
                .filter(|j| (target[*j].key, target[*j].value) == (record.key, record.value))
                .map(|j| offset(1, j))
                .collect();
            match twins[..] {
                [] => {}
                [twin] => places.push((offset(0, i), twin)),
                // Which of two copies is the twin and which the duplicate is for the diff to say.
                _ => {
                    let twin = twins.iter().find(|t| !offsets(&p.duplicated[1]).contains(t));
                    places.push((offset(0, i), *twin.expect("one of them is the twin")));
                }
            }
        }
        let all: Vec<i64> = places.iter().map(|(_, twin)| *twin).collect();
        let stay: Vec<i64> = places.iter().filter(|(o, _)| !moved.contains(o)).map(|(_, twin)| *twin).collect();
        prop_assert!(stay.is_sorted(), "{stay:?}");
        fewest += all.len() - longest(&all);
    }
    prop_assert_eq!(moved.len(), fewest);
    Ok(())
}

fn record(key: u64, value: u64, ts: i64) -> Record {
    Record { key, value, ts }
}

#[test]
fn a_surplus_on_the_source_is_missing_unless_its_copy_is_near() {
    let source = vec![
        record(1, 1, 0),
        record(1, 1, 60_000),
        record(1, 1, 120_000),
        record(1, 2, 130_000),
        record(1, 2, 131_000),
    ];
    let target = vec![record(1, 1, 10), record(1, 1, 120_010), record(1, 2, 130_010)];
    let report = run(&DiffRules::judging_all(1, 5_000), &[vec![source], vec![target]], PLAIN, [i64::MAX; 2]);
    assert_eq!(report[0].missing.ranges, [(1, 2)], "the beat at one minute was lost, not one of its neighbours");
    assert_eq!(report[0].duplicated[0].ranges, [(4, 5)], "a send that was retried");
    assert_eq!((report[0].counts.equal, report[0].only_target.count), (3, 0));
}

#[test]
fn twins_that_are_far_apart_in_time_are_twins_all_the_same() {
    let source = vec![record(1, 1, 0), record(1, 2, 0)];
    let target = vec![record(1, 1, 9_000), record(1, 2, 9_000)];
    let report = run(&DiffRules::judging_all(1, 5_000), &[vec![source], vec![target]], PLAIN, [i64::MAX; 2]);
    let counts = report[0].counts;
    assert_eq!((counts.equal, counts.far, counts.distance_ms), (2, 2, 9_000));
    assert_eq!(report[0].missing.count + report[0].only_target.count, 0);
}

#[test]
fn what_may_still_arrive_is_not_missing() {
    let source = vec![record(1, 1, 100), record(1, 2, 200), record(1, 3, 300)];
    let target = vec![record(1, 1, 100), record(1, 9, 299)];
    let report = run(&DiffRules::judging_all(1, 50), &[vec![source], vec![target]], PLAIN, [250, 299]);
    assert_eq!(report[0].missing.ranges, [(1, 2)]);
    assert_eq!([&report[0].unsettled[0].ranges[..], &report[0].unsettled[1].ranges], [&[(2, 3)][..], &[(2, 3)]]);
}

#[test]
fn a_time_that_lies_ahead_is_judged_by_what_came_after_it() {
    use crate::offsets::arrival::Ahead;
    let seen = |value, offset, ts| record(1, value, ts).seen(offset);
    let found = |behind: bool, limit_ms: Option<u64>| {
        let rules = DiffRules { old_before_ts: 900, ..DiffRules::judging_all(1, 50) };
        let mut join = Join::new(rules);
        let both = |ours: i64, theirs: i64, ts| ([seen(1, ours, ts)], [seen(1, theirs, ts)]);
        let (a, b) = both(0, 0, 100);
        join.push(Log::Source, 0, &a);
        join.push(Log::Target, 0, &b);
        join.push(Log::Source, 0, &[seen(2, 1, 9_000), seen(3, 2, i64::MAX)]);
        if behind {
            let (a, b) = both(3, 1, 101);
            join.push(Log::Source, 0, &a);
            join.push(Log::Target, 0, &b);
        }
        let ahead = Ahead::as_of(1_000, limit_ms, 100, 50);
        let mut resolver = Resolver::new(join, [900; 2]).with_ahead([ahead; 2]);
        for bucket in 0..resolver.bucket_count() {
            resolver.decide_bucket(bucket, 0, |_| Ok::<(), Infallible>(())).unwrap();
        }
        let topic = TopicDiff::new(("t".into(), "t".into()), resolver.finish(), Vec::new(), Vec::new());
        (topic.found.missing, topic.found.unsettled, topic.verdict)
    };
    assert_eq!(found(false, None), (0, 2, DiffVerdict::Unknown), "nothing tells since when they are there");
    assert_eq!(found(true, None), (2, 0, DiffVerdict::Differs), "what came after them is old");
    assert_eq!(found(false, Some(100)), (2, 0, DiffVerdict::Differs), "the other log refuses them");
    assert_eq!(found(false, Some(50_000)), (1, 1, DiffVerdict::Differs), "one may come yet");
}

#[test]
fn what_an_open_transaction_hides_is_not_missing() {
    let seen = |value, offset| record(1, value, 100).seen(offset);
    let found = |over_topic: bool, hidden: [Vec<bool>; 2]| {
        let mut join = Join::new(DiffRules { over_topic, ..DiffRules::judging_all(2, 50) });
        join.push(Log::Source, 0, &[seen(1, 0), seen(2, 1)]);
        join.push(Log::Target, 0, &[seen(1, 0), seen(9, 1)]);
        join.push(Log::Source, 1, &[seen(3, 0)]);
        let mut resolver = Resolver::new(join, [i64::MAX; 2]).with_hidden(hidden);
        for bucket in 0..resolver.bucket_count() {
            resolver.decide_bucket(bucket, 0, |_| Ok::<(), Infallible>(())).unwrap();
        }
        let topic = TopicDiff::new(("t".into(), "t".into()), resolver.finish(), Vec::new(), Vec::new());
        (topic.found.missing, topic.found.only_target, topic.found.unsettled, topic.unknown.len(), topic.verdict)
    };
    let none = || vec![false; 2];
    assert_eq!(found(false, [none(), none()]), (2, 1, 0, 0, DiffVerdict::Differs));
    assert_eq!(found(false, [none(), vec![true, false]]), (1, 1, 1, 1, DiffVerdict::Differs));
    assert_eq!(found(false, [vec![true, false], vec![true, true]]), (0, 0, 3, 1, DiffVerdict::Unknown));
    assert_eq!(found(true, [none(), vec![true, false]]), (0, 1, 2, 1, DiffVerdict::Differs), "in any partition");
}

#[test]
fn records_near_an_edge_are_twins_and_nothing_else() {
    // The range is [100, 200): the first pair straddles its start, the last its end.
    let source = vec![record(1, 0, 90), record(1, 1, 99), record(1, 2, 150), record(1, 3, 199), record(1, 7, 201)];
    let target = vec![record(1, 1, 101), record(1, 2, 149), record(1, 3, 203), record(1, 8, 210)];
    let mut rules = DiffRules::judging_all(1, 20);
    for log in &mut rules.judged {
        log[0] = JudgedRange { from_ts: 100, to_ts: 200, ..JudgedRange::default() };
    }
    let report = run(&rules, &[vec![source], vec![target]], PLAIN, [i64::MAX; 2]);
    assert!(!DiffCounts::from(&report[0]).differs(), "{report:?}");
    assert_eq!((report[0].counts.equal, report[0].counts.judged), (3, [2, 2]));
}

#[test]
fn what_lies_before_the_first_pair_is_no_loss() {
    let source = vec![record(1, 0, 10), record(1, 1, 20), record(1, 2, 30), record(1, 3, 40)];
    let target = vec![record(1, 1, 20), record(1, 3, 40)];
    let mut rules = DiffRules::judging_all(1, 5);
    rules.judged[0][0].excused_before_ts = 35;
    let report = run(&rules, &[vec![source], vec![target]], PLAIN, [i64::MAX; 2]);
    assert_eq!((&report[0].before[0].ranges[..], &report[0].missing.ranges[..]), (&[(0, 1)][..], &[(2, 3)][..]));
    assert_eq!(report[0].counts.first_pair, [1, 0]);
}

#[test]
fn a_tombstone_of_a_forgotten_key_is_excused_and_one_of_a_living_key_is_not() {
    let seen = |key, value, offset, tombstone| DiffRecord { tombstone, key, ..record(key, value, 0).seen(offset) };
    let mut join = Join::new(DiffRules { compacted: true, ..DiffRules::judging_all(1, 5) });
    join.push(Log::Source, 0, &[seen(1, 0, 0, false), seen(1, 1, 1, true), seen(2, 2, 2, false), seen(2, 3, 3, true)]);
    join.push(Log::Target, 0, &[seen(2, 2, 0, false)]);
    let mut resolver = Resolver::new(join, [i64::MAX; 2]);
    for bucket in 0..resolver.bucket_count() {
        resolver.decide_bucket(bucket, 0, |_| Ok::<(), Infallible>(())).unwrap();
    }
    let report = resolver.finish();
    assert_eq!((&report[0].superseded[0].ranges[..], &report[0].missing.ranges[..]), (&[(0, 2)][..], &[(3, 4)][..]));
}

/// Named regression: where partition counts differ, offsets of two partitions were compared.
#[test]
fn only_a_later_record_of_the_same_partition_supersedes() {
    let at = |key, value, offset, tombstone| DiffRecord { tombstone, key, ..record(key, value, 0).seen(offset) };
    let mut join = Join::new(DiffRules { compacted: true, over_topic: true, ..DiffRules::judging_all(2, 5) });
    // Key 1 lies in both partitions: its last state in the first one is missing. Key 2: superseded there. Key 3: its
    // tombstone is missing, and the other log has it in a partition of another number. Key 4 is forgotten there.
    let first = [at(1, 1, 5, false), at(2, 2, 6, false), at(2, 3, 7, false), at(3, 4, 8, true), at(4, 5, 9, true)];
    join.push(Log::Source, 0, &first);
    join.push(Log::Source, 1, &[at(1, 6, 100, false)]);
    join.push(Log::Target, 0, &[at(2, 3, 0, false)]);
    join.push(Log::Target, 1, &[at(1, 6, 100, false), at(3, 7, 101, false)]);
    let mut resolver = Resolver::new(join, [i64::MAX; 2]);
    for bucket in 0..resolver.bucket_count() {
        resolver.decide_bucket(bucket, 0, |_| Ok::<(), Infallible>(())).unwrap();
    }
    let report = resolver.finish();
    let missing = &report[0].missing.ranges;
    assert_eq!((&missing[..], &report[0].superseded[0].ranges[..]), (&[(5, 6), (8, 9)][..], &[(6, 7), (9, 10)][..]));
}

#[test]
fn memory_stays_within_its_bound() {
    let rules = DiffRules { memory: 1 << 20, ..DiffRules::judging_all(1, 5_000) };
    let mut join = Join::new(rules);
    let mut bytes = 0;
    for n in 0..200 {
        let batch: Vec<DiffRecord> =
            (0..1_000).map(|i| record(7, n * 1_000 + i, n as i64).seen((n * 1_000 + i) as i64)).collect();
        join.push(Log::Source, 0, &batch);
        while join.is_over() {
            join.spill(|_, b| {
                bytes += b.len();
                Ok::<(), Infallible>(())
            })
            .unwrap();
        }
        assert!(join.memory_used() <= 1 << 20);
    }
    assert!(bytes > 150_000 * entry::BYTES, "{bytes}");
}

#[test]
fn the_order_of_a_key_that_is_larger_than_memory_is_known_where_nothing_moved() {
    let rules = DiffRules { buckets: 2, ..DiffRules::judging_all(1, 5_000) };
    let source: Vec<Record> = (0..3_000).map(|n| record(1 + u64::from(n % 1_000 == 0), n, n as i64)).collect();
    let how = How { memory: 48 * 2_000, ..PLAIN };
    let logs = |target: Vec<Record>| [vec![source.clone()], vec![target]];
    let report = run(&rules, &logs(source.clone()), how, [i64::MAX; 2]);
    assert_eq!((report[0].counts.equal, report[0].unordered, report[0].reordered[0].count), (3_000, 0, 0));
    // The small key's records have moved: it is told all the same, and the large one is none the worse.
    let mut target = source.clone();
    target.swap(1_000, 2_000);
    let report = run(&rules, &logs(target), how, [i64::MAX; 2]);
    assert_eq!((report[0].unordered, report[0].reordered[0].count, report[0].furthest), (0, 1, 1));
    let mut target = source.clone();
    target.swap(1_001, 1_002);
    assert_eq!(run(&rules, &logs(target), how, [i64::MAX; 2])[0].unordered, 2_997, "too large to be sorted");
}

#[test]
fn a_verdict_is_unknown_when_something_was_not_compared() {
    let clean = PartitionDiff::default();
    let of = |p: &PartitionDiff, why: Vec<String>| {
        TopicDiff::new(("t".into(), "t".into()), vec![p.clone()], why, Vec::new()).verdict
    };
    assert_eq!(of(&clean, Vec::new()), DiffVerdict::Clean);
    assert_eq!(of(&clean, vec!["a leader is gone".into()]), DiffVerdict::Unknown);
    assert_eq!(of(&PartitionDiff { unordered: 1, ..clean.clone() }, Vec::new()), DiffVerdict::Unknown);
    let missing = Spans { count: 1, ranges: vec![(3, 4)], truncated: false };
    assert_eq!(of(&PartitionDiff { missing, ..clean }, vec!["a leader is gone".into()]), DiffVerdict::Differs);
}

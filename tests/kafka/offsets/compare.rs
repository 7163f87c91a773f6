//! The real path beside the brute force over both whole logs, and beside the true pairing.
//!
//! `OFFSETS_SEED=N cargo test --test kafka offsets::compare -- --nocapture` draws other traffic; a failure prints the
//! seed and leaves both logs in `target/tmp`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use cutover::base::Side;
use cutover::offsets::{Axioms, PartitionPlan, Rec, Verdict};
use serde_json::Value;

use super::logs::{Contents, Log, read};
use super::oracle::{Brute, brute};
use super::truth::{Copy, Logs, truth};
use super::writers::{Case, write};
use super::{commit, group_text, load, of, on, plan_text, translate};
use crate::faults::Desk;
use crate::support::kafka::{Pair, create_topic, delete_records, pair};
use crate::support::unique;

/// The plan's default, ms.
const PAIR_DELTA: i64 = 5_000;

/// Twelve partitions with records and one without, 200,000 records on both clusters together.
const CASES: [Case; 13] = [
    Case::PLAIN,
    Case { name: "eight writers", writers: 8, ..Case::PLAIN },
    Case { name: "identical payloads", writers: 8, identical: 0.2, ..Case::PLAIN },
    Case { name: "prehistory", writers: 8, before: 1_500, sends: 7_000, ..Case::PLAIN },
    Case { name: "failed sends to green", writers: 8, green_fails: 0.02, ..Case::PLAIN },
    Case { name: "failed sends to blue", writers: 8, blue_fails: 0.02, ..Case::PLAIN },
    Case { name: "retries, and late copies", writers: 8, retries: 0.02, late: 0.02, ..Case::PLAIN },
    Case { name: "aborted transactions", transactions: true, ..Case::PLAIN },
    Case { name: "idle since yesterday", sends: 300, ago: 86_400_000, ..Case::PLAIN },
    Case { name: "expired on both", writers: 8, expire: (0.1, 0.25), ..Case::PLAIN },
    Case { name: "backward timestamps", writers: 8, backward: true, ..Case::PLAIN },
    Case { name: "never written to", sends: 0, ..Case::PLAIN },
    Case {
        name: "LogAppendTime on green",
        writers: 8,
        blue_fails: 0.01,
        green_fails: 0.01,
        late: 0.01,
        ago: 0,
        ..Case::PLAIN
    },
];
/// Everything at once, on a topic of its own that nobody calls PROVEN.
const ALL_AT_ONCE: Case = Case {
    name: "all at once",
    writers: 8,
    identical: 0.2,
    blue_fails: 0.02,
    green_fails: 0.02,
    retries: 0.02,
    late: 0.02,
    ..Case::PLAIN
};

/// Where a group stands on its source, as a share of each log, and where it is to go.
const GROUPS: [(f64, Side); 6] = [
    (0.0, Side::Green),
    (0.6, Side::Green),
    (0.99, Side::Green),
    (1.0, Side::Green),
    (0.5, Side::Blue),
    (0.995, Side::Blue),
];

/// A partition on both clusters.
struct Partition<'a> {
    case: &'a Case,
    topic: &'a str,
    number: i32,
    logs: [Log; 2],
    /// Both logs hold every record with this timestamp or a later one.
    complete_from: i64,
}

impl Partition<'_> {
    fn log(&self, side: Side) -> &Log {
        &self.logs[usize::from(side == Side::Green)]
    }
}

fn seed() -> u64 {
    std::env::var("OFFSETS_SEED").map_or(1, |n| n.parse().expect("a seed is a number"))
}

#[test]
fn the_real_path_agrees_with_both_oracles_in_both_directions() {
    let (pair, seed) = (pair(), seed());
    let began = std::time::Instant::now();
    println!("OFFSETS_SEED={seed}");
    let (main, append) = (unique("whole"), unique("append"));
    for side in Side::BOTH {
        create_topic(on(pair, side), &main, 13, &[]);
        let stamp = [("message.timestamp.type", "LogAppendTime")];
        create_topic(on(pair, side), &append, 1, if side == Side::Green { &stamp } else { &[] });
    }
    let cases: Vec<(&Case, &str, i32)> = (0..).zip(&CASES).map(|(n, case)| (case, main.as_str(), n)).collect();
    let (last, plain) = cases.split_last().unwrap();
    let cases: Vec<(&Case, &str, i32)> =
        plain.iter().copied().chain([(&ALL_AT_ONCE, main.as_str(), 12), (last.0, append.as_str(), 0)]).collect();
    let partitions = partitions(pair, &cases, seed);
    let records: usize = partitions.iter().flat_map(|p| &p.logs).map(|l| l.copies.len()).sum();
    println!("{records} records on both clusters, written and read back after {:?}", began.elapsed());

    let mut text = plan_text(&pair.blue, &pair.green, "");
    // What failed is settled soon. (Timestamps of hours ago don't settle it everywhere: transaction markers bear the
    // time at which they were written.)
    for topic in [&main, &append] {
        let _ = write!(text, "[[topics]]\nname = {topic:?}\narrival_skew = \"3s\"\n");
    }
    let groups = GROUPS.map(|(share, to)| (unique("share"), share, to));
    for (group, share, to) in &groups {
        let source = to.other();
        let at = |p: &Partition<'_>| p.log(source).at(*share);
        let offsets: Vec<(&str, i32, i64)> = partitions.iter().map(|p| (p.topic, p.number, at(p))).collect();
        commit(on(pair, source), group, &offsets);
        text += &group_text(group, &[&main, &append]);
    }
    let desk = Desk::new(&text);
    let plan = load(&desk);
    let plans: Vec<_> = groups.iter().map(|(group, _, to)| translate(&plan, group, *to)).collect();

    println!("translated after {:?}", began.elapsed());
    let mut tally: BTreeMap<&str, (BTreeSet<Verdict>, u64, u64)> = BTreeMap::new();
    for ((_, share, to), plan) in groups.iter().zip(&plans) {
        for p in &partitions {
            let found = of(plan, p.topic, p.number);
            let what = format!("OFFSETS_SEED={seed}: {}, {share} to {to}", p.case.name);
            hold(p, found, *to, &what);
            let of_case = tally.entry(p.case.name).or_default();
            of_case.0.insert(found.verdict);
            of_case.1 += found.re_read.unwrap_or_default();
            of_case.2 += found.missing.unwrap_or_default();
        }
    }
    for (case, (verdicts, re_read, missing)) in &tally {
        println!("{case}: {verdicts:?}, re-read {re_read}, missing {missing}");
        if !MAY_BE_BOUNDED.contains(case) {
            assert_eq!(verdicts.iter().copied().collect::<Vec<_>>(), [Verdict::Proven], "OFFSETS_SEED={seed}: {case}");
        }
    }
    println!("compared after {:?}", began.elapsed());
    for chosen in [1, 4] {
        let (group, _, to) = &groups[chosen];
        the_binary_says_the_same(&desk, group, *to, &plans[chosen].partitions);
    }
}

/// Where a count of consumed copies may be cut short by the window or by what expired, or a slow machine stretches
/// the distance of pairs; everywhere else every plan is PROVEN.
const MAY_BE_BOUNDED: [&str; 4] = ["identical payloads", "expired on both", "LogAppendTime on green", "all at once"];

/// Writes everything, lets what shall expire expire, and reads all of it back.
fn partitions<'a>(pair: &Pair, cases: &[(&'a Case, &'a str, i32)], seed: u64) -> Vec<Partition<'a>> {
    let began = std::time::Instant::now();
    let written = write(pair, cases, seed);
    println!("written after {:?}", began.elapsed());
    let mut contents = Contents::default();
    let topics: BTreeMap<&str, i32> = cases.iter().fold(BTreeMap::new(), |mut all, (_, topic, n)| {
        let count: &mut i32 = all.entry(topic).or_default();
        *count = (*count).max(n + 1);
        all
    });
    let mut whole: BTreeMap<(&str, i32), [Log; 2]> = BTreeMap::new();
    for (topic, count) in &topics {
        let [blue, green] = Side::BOTH.map(|side| read(on(pair, side), topic, *count, &mut contents));
        for (n, (blue, green)) in (0..).zip(blue.into_iter().zip(green)) {
            whole.insert((topic, n), [blue, green]);
        }
    }
    cases
        .iter()
        .zip(written)
        .map(|((case, topic, number), written)| {
            let mut logs = whole.remove(&(*topic, *number)).unwrap();
            assert_eq!((logs[0].copies.len(), logs[1].copies.len()), written, "{}: what was written", case.name);
            let mut complete_from = i64::MIN;
            for (side, share) in Side::BOTH.into_iter().zip([case.expire.0, case.expire.1]).filter(|(_, s)| *s > 0.0) {
                let log = &mut logs[usize::from(side == Side::Green)];
                let start = log.at(share);
                delete_records(on(pair, side), topic, *number, start);
                let gone = log.copies.iter().filter(|c| c.offset < start).map(|c| c.ts + 1).max();
                complete_from = complete_from.max(gone.unwrap_or(i64::MIN));
                log.copies.retain(|c| c.offset >= start);
                log.start = start;
            }
            Partition { case, topic, number: *number, logs, complete_from }
        })
        .collect()
}

fn recs(log: &Log) -> Vec<Rec> {
    log.copies.iter().map(Copy::rec).collect()
}

/// The definition over both whole logs, everything settled.
fn definition(p: &Partition<'_>, committed: i64, to: Side) -> Brute {
    let (source, target) = (p.log(to.other()), p.log(to));
    let axioms = Axioms {
        ahead: Default::default(),
        committed,
        pair_delta: PAIR_DELTA,
        pair_reach: PAIR_DELTA,
        settled_source: i64::MAX,
        settled_target: i64::MAX,
        complete_from: p.complete_from,
        // what expired is known here: `complete_from` says it all
        source_log_start: 0,
        target_log_start: 0,
        target_compacted: false,
        target_only_since: None,
        deliver_target_only: false,
    };
    brute(&recs(source), &recs(target), target.end, &axioms, (source.start, target.start))
}

/// Holds a plan to both oracles. On failure both logs are left in a file.
fn hold(p: &Partition<'_>, plan: &PartitionPlan, to: Side, what: &str) {
    let wrong = wrong(p, plan, to);
    if !wrong.is_empty() {
        let path = dump(p, plan, to, what);
        panic!("{what}: {wrong:#?}\n{plan:#?}\nboth logs are in {}", path.display());
    }
}

fn wrong(p: &Partition<'_>, plan: &PartitionPlan, to: Side) -> Vec<String> {
    let (source, target) = (p.log(to.other()), p.log(to));
    let (Some(offset), Some(committed), true) = (plan.target.offset, plan.source.committed, plan.verdict.is_safe())
    else {
        return vec![format!("{} is no answer to whole logs", plan.verdict)];
    };
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let slow = definition(p, committed, to);
    let never = BTreeSet::new();
    let logs = Logs { source: &source.copies, target: &target.copies, committed, flipped: &never, now: i64::MAX };
    let truth = truth(&logs, plan, offset);
    must(truth.lost == 0, &format!("{} owed records are skipped", truth.lost));
    must(truth.silent == 0, &format!("{} missing records are not named", truth.silent));
    must(
        plan.target_only <= slow.target_only,
        &format!("{} on the target only, brute force {}", plan.target_only, slow.target_only),
    );
    let (re_read, missing) = (plan.re_read.unwrap_or_default(), plan.missing.unwrap_or_default());
    if plan.verdict == Verdict::Proven {
        must(offset == slow.offset, &format!("offset {offset}, brute force {}", slow.offset));
        must(re_read == slow.re_read, &format!("re-read {re_read}, brute force {}", slow.re_read));
        must(missing == slow.missing, &format!("missing {missing}, brute force {}", slow.missing));
    } else {
        must(offset <= slow.offset, &format!("offset {offset}, brute force only {}", slow.offset));
        must(re_read >= slow.re_read, &format!("re-read at most {re_read}, brute force {}", slow.re_read));
        must(missing <= slow.missing, &format!("missing {missing}, brute force {}", slow.missing));
    }
    if p.case.identical == 0.0 {
        let as_told = if plan.verdict == Verdict::Proven { re_read == truth.re_read } else { re_read >= truth.re_read };
        must(as_told, &format!("re-read {re_read}, by the true pairing {}", truth.re_read));
        must(missing == slow.missing, &format!("missing {missing}, brute force {}", slow.missing));
    }
    wrong
}

fn dump(p: &Partition<'_>, plan: &PartitionPlan, to: Side, what: &str) -> PathBuf {
    let mut text = format!("{what}\n{plan:#?}\n");
    for side in [to.other(), to] {
        let log = p.log(side);
        let _ = writeln!(text, "{side} {}..{}: offset, send, payload, timestamp", log.start, log.end);
        for c in &log.copies {
            let _ = writeln!(text, "{} {} {} {}", c.offset, c.send, c.payload, c.ts);
        }
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.txt", unique("offsets")));
    std::fs::write(&path, text).expect("a file in target/tmp");
    path
}

/// `cutover offsets plan --json`, field by field.
fn the_binary_says_the_same(desk: &Desk, group: &str, to: Side, plans: &[PartitionPlan]) {
    let (code, said) = desk.json(&["offsets", "plan", "--group", group, "--to", &to.to_string()]);
    let missing: u64 = plans.iter().filter_map(|p| p.missing).sum();
    assert_eq!(code, Some(if missing > 0 { 3 } else { 0 }), "{said}");
    assert_eq!(said["totals"]["missing"], missing, "{}", said["totals"]);
    let by_tp = |p: &PartitionPlan| {
        let all = said["partitions"].as_array().expect("partitions");
        let is = |v: &&Value| v["topic"] == p.tp.topic && v["partition"] == p.tp.partition;
        all.iter().find(is).unwrap_or_else(|| panic!("{} is not in {said}", p.tp)).clone()
    };
    for p in plans {
        let said = by_tp(p);
        let target = &said[to.to_string()];
        let found = (target["offset"].as_i64(), said["re_read"].as_u64(), said["missing"].as_u64());
        assert_eq!(found, (p.target.offset, p.re_read, p.missing), "{said}");
        assert_eq!(said["verdict"], p.verdict.to_string().to_lowercase(), "{said}");
        assert_eq!(said["missing_ranges"], serde_json::to_value(&p.missing_ranges).unwrap(), "{said}");
    }
}

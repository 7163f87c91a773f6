//! Every strategy on two real clusters, both directions: what it says is held against what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cutover::base::{Side, TopicPartition};
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, ReadRange, RecordReader, RecordRef};
use cutover::offsets::{PartitionPlan, Verdict};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{commit, group_text, load, of, plan_text, translate};
use crate::faults::Desk;
use crate::support::kafka::{Broker, Pair, create_topic, delete_records, end_offsets, pair, producer};
use crate::support::unique;

const SECOND: i64 = 1_000;

/// An hour ago, ms: everything is settled.
fn an_hour_ago() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis() as i64 - 3_600 * SECOND
}

/// Writes records `(partition, timestamp, key, value)`; `-1`: wherever the key goes.
fn write(broker: &Broker, topic: &str, records: impl IntoIterator<Item = (i32, i64, Vec<u8>, Vec<u8>)>) {
    let producer: BaseProducer = producer(broker, &[("linger.ms", "5"), ("partitioner", "murmur2_random")]);
    for (partition, ts, key, value) in records {
        let record = BaseRecord::to(topic).key(&key).payload(&value).timestamp(ts);
        let record = if partition < 0 { record } else { record.partition(partition) };
        producer.send(record).unwrap_or_else(|(e, _)| panic!("sending: {e}"));
    }
    producer.flush(Duration::from_secs(240)).expect("all was written");
}

/// Record `n` of a stream that began at `start`, one a second.
fn nth(start: i64, n: i64) -> (i32, i64, Vec<u8>, Vec<u8>) {
    (0, start + n * SECOND, format!("key-{n}").into_bytes(), format!("value {n}").into_bytes())
}

/// Translates with a strategy that the plan has for the group.
fn with(pair: &Pair, (group, topic): (&str, &str), strategy: &str, to: Side) -> PartitionPlan {
    let mut text = group_text(group, &[topic]);
    let _ = writeln!(text, "{strategy}\nstrategy_reason = \"a test\"");
    let desk = Desk::new(&plan_text(&pair.blue, &pair.green, &text));
    let plan = of(&translate(&load(&desk), group, to), topic, 0).clone();
    println!(
        "{strategy} to {to}: {} {:?}, re-read {:?}, missing {:?} {:?}, {}, {:?}",
        plan.verdict, plan.target.offset, plan.re_read, plan.missing, plan.missing_ranges, plan.evidence, plan.why
    );
    plan
}

/// The values of a partition's records, by offset.
fn values(broker: &Broker, topic: &str, partition: i32, (from, to): (i64, i64)) -> Vec<Vec<u8>> {
    let patience = Duration::from_secs(240);
    let mut reader =
        RecordReader::open(&ClientProperties::default(), &broker.bootstrap, Isolation::Committed, patience).unwrap();
    let (mut found, range) = (Vec::new(), ReadRange { partition: TopicPartition::new(topic, partition), from, to });
    let keep = |r: RecordRef<'_>| {
        found.push(r.value.expect("a value").to_vec());
        ControlFlow::Continue(())
    };
    reader.read_range(&range, keep).unwrap();
    found
}

fn figures(plan: &PartitionPlan) -> (Verdict, Option<i64>, Option<u64>, Option<u64>) {
    (plan.verdict, plan.target.offset, plan.re_read, plan.missing)
}

#[test]
fn each_strategy_says_what_it_costs_in_both_directions() {
    let pair = pair();
    let (topic, group) = (unique("strategies"), unique("strategist"));
    let start = an_hour_ago();
    for (broker, older) in [(&pair.blue, 0), (&pair.green, 7)] {
        create_topic(broker, &topic, 1, &[]);
        // green has seven records of its own, from before
        let own = (0..older).map(|n| (0, start - 900 * SECOND + n, b"own".to_vec(), format!("own {n}").into_bytes()));
        write(broker, &topic, own.chain((0..300).map(|n| nth(start, n))));
    }
    commit(&pair.blue, &group, &[(&topic, 0, 200)]);
    commit(&pair.green, &group, &[(&topic, 0, 207)]);
    let names = (group.as_str(), topic.as_str());
    let at = |n: i64| {
        let moment = jiff::Timestamp::from_millisecond(start + n * SECOND).expect("a moment");
        format!("strategy = \"timestamp\"\nstrategy_at = \"{moment}\"")
    };

    for (to, here) in [(Side::Green, 207), (Side::Blue, 200)] {
        let (own, all) = (here - 200, here + 100);
        for strategy in ["auto", "align", "mm2"] {
            let plan = with(pair, names, &format!("strategy = {strategy:?}"), to);
            assert_eq!(figures(&plan), (Verdict::Proven, Some(here), Some(0), Some(0)), "{strategy} to {to}");
            let keys: Vec<_> = plan.cut.target.iter().map(|r| (r.key.clone(), r.size)).collect();
            let sized = |n: i64| (Some(format!("key-{n}")), Some(16));
            assert_eq!(keys, [sized(198), sized(199), sized(200), sized(201)]);
            assert!(plan.cut.source.iter().chain(&plan.cut.target).all(|r| r.value.is_none()));
        }
        let plan = with(pair, names, "strategy = \"latest\"", to);
        assert_eq!(figures(&plan), (Verdict::Guess, Some(all), Some(0), Some(100)));
        let from = if to == Side::Green { 200 } else { 207 };
        assert_eq!(plan.missing_ranges, [(from, from + 100)]);
        assert!(
            plan.why.as_deref().is_some_and(|w| w.contains("skips 100 unconsumed records, 99 s")),
            "{:?}",
            plan.why
        );
        let plan = with(pair, names, "strategy = \"earliest\"", to);
        assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Bounded, Some(0), Some(0)));
        assert_eq!(plan.re_read, Some(200));
        assert!(plan.why.as_deref().is_some_and(|w| w.contains("200 records again, 199 s")), "{:?}", plan.why);
        let plan = with(pair, names, &at(150), to);
        assert_eq!(figures(&plan), (Verdict::Bounded, Some(150 + own), Some(50), Some(0)));
        let plan = with(pair, names, &at(200), to);
        assert_eq!(figures(&plan), (Verdict::Proven, Some(here), Some(0), Some(0)));
        let plan = with(pair, names, &at(250), to);
        assert_eq!(figures(&plan), (Verdict::Guess, Some(250 + own), Some(0), Some(50)));
        let plan = with(pair, names, "strategy = \"timestamp\"", to);
        assert_eq!(figures(&plan), (Verdict::Bounded, Some(here - 5), Some(5), Some(0)), "five seconds before");
        for (strategy, why) in [("identity", "different records"), ("seam", "no seam is recorded")] {
            let plan = with(pair, names, &format!("strategy = {strategy:?}"), to);
            assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None), "{strategy}");
            assert!(plan.why.as_deref().is_some_and(|w| w.contains(why)), "{:?}", plan.why);
        }
    }

    // a group that never committed, and one whose records expired before it read them
    let never = with(pair, (&unique("never"), &topic), "strategy = \"earliest\"", Side::Green);
    assert_eq!((never.target.offset, never.missing), (Some(0), Some(0)));
    delete_records(&pair.blue, &topic, 0, 230);
    let late = with(pair, names, "strategy = \"align\"", Side::Green);
    assert_eq!((late.verdict, late.missing), (Verdict::Bounded, Some(30)));
    assert!(late.missing_ranges.is_empty() && late.blocks_cutover(), "{late:?}");
    assert!(late.target.offset <= Some(237), "{late:?}");
}

#[test]
fn a_mirror_and_a_seam_are_borne_out_by_the_records() {
    let pair = pair();
    let start = an_hour_ago();
    let (mirror, cut, group) = (unique("mirror"), unique("seam"), unique("follower"));
    for broker in [&pair.blue, &pair.green] {
        create_topic(broker, &mirror, 1, &[]);
        create_topic(broker, &cut, 1, &[]);
        write(broker, &mirror, (0..300).map(|n| nth(start, n)));
    }
    // all writers of the other topic went to green after record 99
    write(&pair.blue, &cut, (0..100).map(|n| nth(start, n)));
    write(&pair.green, &cut, (100..150).map(|n| nth(start, n)));
    commit(&pair.blue, &group, &[(&mirror, 0, 200), (&cut, 0, 100)]);

    let plan = with(pair, (&group, &mirror), "strategy = \"identity\"", Side::Green);
    assert_eq!(figures(&plan), (Verdict::Proven, Some(200), Some(0), Some(0)));
    let plan = with(pair, (&group, &mirror), "strategy = \"auto\"", Side::Green);
    assert_eq!(figures(&plan), (Verdict::Proven, Some(200), Some(0), Some(0)));
    assert!(plan.evidence.starts_with("same offsets, content"), "{}", plan.evidence);

    let seam = |blue: i64, committed: i64| {
        commit(&pair.blue, &group, &[(&cut, 0, committed)]);
        let mut text = group_text(&group, &[&cut]);
        let _ = writeln!(text, "[[topics]]\nname = {cut:?}\nseam = [{{ partition = 0, blue = {blue}, green = 0 }}]");
        let desk = Desk::new(&plan_text(&pair.blue, &pair.green, &text));
        let plan = of(&translate(&load(&desk), &group, Side::Green), &cut, 0).clone();
        println!("seam {blue}, committed {committed}: {} {:?} {:?}", plan.verdict, plan.target.offset, plan.why);
        plan
    };
    let plan = seam(100, 100);
    assert_eq!(
        (figures(&plan), plan.strategy.to_string().as_str()),
        ((Verdict::Proven, Some(0), Some(0), Some(0)), "seam")
    );
    let behind = seam(100, 90);
    assert_eq!((behind.verdict, behind.target.offset), (Verdict::Unmappable, None));
    let early = seam(95, 95);
    assert_eq!(
        (figures(&early), early.missing_ranges.clone()),
        ((Verdict::Bounded, Some(0), Some(0), Some(5)), vec![(95, 100)])
    );
}

/// Through the binary: what a script sees of a group that starts at the end, and nobody is told 0.
#[test]
fn the_shell_sees_what_a_strategy_costs() {
    let pair = pair();
    let (topic, group) = (unique("shell"), unique("sheller"));
    let start = an_hour_ago();
    for broker in [&pair.blue, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
        write(broker, &topic, (0..50).map(|n| nth(start, n)));
    }
    commit(&pair.blue, &group, &[(&topic, 0, 20)]);
    let mut text = group_text(&group, &[&topic]);
    let _ = writeln!(text, "strategy = \"latest\"\nstrategy_reason = \"the backlog is stale\"");
    let desk = Desk::new(&plan_text(&pair.blue, &pair.green, &text));
    let (code, json) = desk.json(&["offsets", "plan", "--group", &group]);
    println!("exit code {code:?}: {json}");
    let row = &json["partitions"][0];
    assert_eq!((&row["strategy"], &row["verdict"]), (&"latest".into(), &"guess".into()), "{json}");
    assert_eq!((&row["green"]["offset"], &row["missing"]), (&50.into(), &30.into()), "{json}");
    assert_eq!((&json["totals"]["missing"], &json["totals"]["re_read"]), (&30.into(), &0.into()), "{json}");
    assert_ne!(code, Some(0), "records would be skipped");
}

/// Six partitions to four: what the keys do is what Kafka's own partitioner makes of them.
#[test]
fn where_partition_counts_differ_each_target_partition_gets_its_offset() {
    let pair = pair();
    let start = an_hour_ago();
    let (topic, group) = (unique("uneven"), unique("spread"));
    let records =
        || (0..1_200).map(|n| (-1, start + n * 100, format!("k{}", n % 40).into_bytes(), format!("v{n}").into_bytes()));
    create_topic(&pair.blue, &topic, 6, &[]);
    create_topic(&pair.green, &topic, 4, &[]);
    write(&pair.blue, &topic, records());
    write(&pair.green, &topic, records());
    let read = |broker: &Broker| -> BTreeMap<i32, Vec<Vec<u8>>> {
        let mut logs = BTreeMap::new();
        for (p, (from, to)) in end_offsets(broker, &topic) {
            logs.insert(p, values(broker, &topic, p, (from, to)));
        }
        logs
    };
    let logs = [read(&pair.blue), read(&pair.green)];
    for (to, [source, target]) in [(Side::Green, [0, 1]), (Side::Blue, [1, 0])] {
        let broker = [&pair.blue, &pair.green][source];
        let standing: Vec<(i32, i64)> =
            logs[source].iter().map(|(p, log)| (*p, (log.len() as i64 * (3 + i64::from(*p))) / 10)).collect();
        let commits: Vec<(&str, i32, i64)> = standing.iter().map(|(p, at)| (topic.as_str(), *p, *at)).collect();
        commit(broker, &group, &commits);
        let owed: BTreeSet<&Vec<u8>> = standing.iter().flat_map(|(p, at)| &logs[source][p][*at as usize..]).collect();

        let desk = Desk::new(&plan_text(&pair.blue, &pair.green, &group_text(&group, &[&topic])));
        let plan = translate(&load(&desk), &group, to);
        assert_eq!(plan.partitions.len(), 6);
        for row in &plan.partitions {
            println!(
                "{} to {to}: {} {:?}, re-read {:?}, {}",
                row.tp, row.verdict, row.target.offset, row.re_read, row.evidence
            );
            let Some(log) = logs[target].get(&row.tp.partition) else {
                assert!(row.is_source_only(), "{row:?}");
                continue;
            };
            let first = log.iter().position(|v| owed.contains(v)).unwrap_or(log.len());
            let again = log[first..].iter().filter(|v| !owed.contains(v)).count() as u64;
            assert_eq!((row.verdict, row.target.offset), (Verdict::Proven, Some(first as i64)), "{row:?}");
            assert_eq!((row.re_read, row.missing), (Some(again), Some(0)), "{row:?}");
        }
    }
}

/// Checkpoints as MirrorMaker 2 writes them: its word is where the search begins, the contents end it.
#[test]
fn what_mirror_maker_says_is_moved_to_where_the_contents_are() {
    let pair = pair();
    let start = an_hour_ago();
    let (topic, group) = (unique("mirrored"), unique("mirrorer"));
    for (broker, from) in [(&pair.blue, 0), (&pair.green, 60)] {
        create_topic(broker, &topic, 1, &[]);
        write(broker, &topic, (from..300).map(|n| nth(start, n)));
    }
    commit(&pair.blue, &group, &[(&topic, 0, 200)]);
    let text = |out: &mut Vec<u8>, s: &str| {
        out.extend_from_slice(&(s.len() as u16).to_be_bytes());
        out.extend_from_slice(s.as_bytes());
    };
    let (mut key, mut value) = (Vec::new(), vec![0, 0]);
    text(&mut key, &group);
    text(&mut key, &topic);
    key.extend_from_slice(&0i32.to_be_bytes());
    value.extend_from_slice(&180i64.to_be_bytes());
    value.extend_from_slice(&101i64.to_be_bytes());
    text(&mut value, "");
    let checkpoints = format!("{}.checkpoints.internal", unique("blue"));
    create_topic(&pair.green, &checkpoints, 1, &[("cleanup.policy", "compact")]);
    write(&pair.green, &checkpoints, [(0, start, key, value)]);

    for strategy in ["mm2", "auto"] {
        let plan = with(pair, (&group, &topic), &format!("strategy = {strategy:?}"), Side::Green);
        assert_eq!(figures(&plan), (Verdict::Proven, Some(140), Some(0), Some(0)));
        assert!(plan.evidence.starts_with("mm2 checkpoint 101 +39, content"), "{}", plan.evidence);
    }
}

//! Translating whole groups beside a bare rdkafka consumer that reads exactly the same ranges of the same brokers.
//!
//! `cargo bench --bench translate_backlog` starts two Kafka 4.3.1 clusters of its own (needs `java` and `mvn`) and
//! measures 12 partitions x 100,000 records; `-- --records 1000000` is the full size (about 4 GB in the temporary
//! directory). Also: `--partitions 12`, `--bytes 100`, `--groups 3`, `--rounds 3`.
//!
//! Each measurement is a process of its own, so that its peak memory is its own too.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

mod common;
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Arguments, bare_consumer, child, resident, say};
use cutover::base::Side;
use cutover::jobs::translate::{History, Purpose, Translator, WantedGroup};
use cutover::offsets::{GroupTranslation, Verdict};
use cutover::plan::Plan;
use cutover::session::names::TopicNames;
use cutover::session::tools::Tools;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use support::kafka;

const WITHIN: Duration = Duration::from_secs(120);
const BACKLOG: &str = "backlog";
const QUIET: &str = "quiet";
/// The caught-up case: partitions, and records in each.
const QUIET_PARTITIONS: i32 = 100;
const QUIET_RECORDS: i64 = 2_000;

fn main() {
    let arguments = Arguments::take();
    match arguments.word("role") {
        "ours" => ours(&arguments),
        "bare" => bare(&arguments),
        _ => compare(&arguments),
    }
}

/// Seeds two clusters and measures on them.
fn compare(arguments: &Arguments) {
    let (partitions, records) = (arguments.number("partitions", 12) as i32, arguments.number("records", 100_000));
    let (bytes, groups) = (arguments.number("bytes", 100) as usize, arguments.number("groups", 3));
    let clusters = [kafka::throwaway("blue", &[]), kafka::throwaway("green", &[])];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for broker in &clusters {
            scope.spawn(move || {
                seed(broker, BACKLOG, partitions, records, bytes);
                seed(broker, QUIET, QUIET_PARTITIONS, QUIET_RECORDS, bytes);
            });
        }
    });
    for n in 0..groups {
        commit(&clusters[0], &format!("behind-{n}"), BACKLOG, partitions, n);
    }
    commit(&clusters[0], "caught-up", QUIET, QUIET_PARTITIONS, QUIET_RECORDS);
    println!(
        "seeded in {:.0} s: 2 x {partitions} x {records} records of {bytes} bytes",
        started.elapsed().as_secs_f64()
    );

    let run = |role: &str, more: &[(&str, &str)]| child(role, &clusters.each_ref().map(|c| c.bootstrap.as_str()), more);
    let shape = [("partitions", partitions.to_string()), ("records", records.to_string())];
    let shape: Vec<(&str, &str)> = shape.iter().map(|(n, v)| (*n, v.as_str())).collect();
    for _ in 0..arguments.number("rounds", 1) {
        run("bare", &shape);
        run("ours", &[("named", "behind-0")]);
    }
    let all: Vec<String> = (0..groups).map(|n| format!("behind-{n}")).collect();
    run("ours", &[("named", &all.join(","))]);
    run("ours", &[("named", "caught-up")]);
}

/// Partition `p` holds records `0..records`, the same on both clusters but for the timestamps, a few ms apart.
fn seed(broker: &kafka::Broker, topic: &str, partitions: i32, records: i64, bytes: usize) {
    kafka::create_topic(broker, topic, partitions, &[]);
    let fast =
        [("acks", "1"), ("linger.ms", "50"), ("batch.size", "1000000"), ("queue.buffering.max.messages", "500000")];
    let producer: BaseProducer = kafka::producer(broker, &fast);
    let mut value = vec![b'.'; bytes];
    // An hour long, ending ten minutes ago.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64 - 4_200_000;
    let late = i64::from(broker.name == "green") * 3;
    for n in 0..records {
        for p in 0..partitions {
            let key = format!("{p}-{n}");
            let digits = format!(
                "{:016x}",
                (n * i64::from(partitions) + i64::from(p)).wrapping_mul(0x9E37_79B9_7F4A_7C15u64 as i64)
            );
            value[..16.min(bytes)].copy_from_slice(&digits.as_bytes()[..16.min(bytes)]);
            let at = start + n * 3_600_000 / records + late;
            let mut record = BaseRecord::<_, _>::to(topic).partition(p).key(&key).payload(&value).timestamp(at);
            while let Err((_, back)) = producer.send(record) {
                producer.poll(Duration::from_millis(20));
                record = back;
            }
        }
        if n % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(WITHIN).expect("written");
}

fn commit(broker: &kafka::Broker, group: &str, topic: &str, partitions: i32, at: i64) {
    let mut list = TopicPartitionList::new();
    for p in 0..partitions {
        list.add_partition_offset(topic, p, Offset::Offset(at)).expect("an offset");
    }
    kafka::consumer(broker, group, &[]).commit(&list, CommitMode::Sync).expect("committed");
}

/// Translates groups through the real path, and prints how it went.
fn ours(arguments: &Arguments) {
    let plan = Plan::from_bootstraps(arguments.word("blue"), arguments.word("green")).expect("a plan").plan;
    let (plan, groups) = (Arc::new(plan), arguments.word("named").split(',').collect::<Vec<_>>());
    let names = Arc::new(TopicNames::new(&plan));
    let tools = Tools::new(&plan, Arc::clone(&names));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let history = Arc::new(Mutex::new(History::default()));
    let translator = Translator::new(plan, names, tools.clusters().clone(), history).expect("a translator");
    let (memory, started) = (resident(), Instant::now());
    let plans = runtime.block_on(async {
        let quiet = Arc::new(|_| ()) as cutover::jobs::translate::TranslationProgressSink;
        let planned = std::collections::BTreeSet::new();
        let wanted: Vec<_> = groups.iter().map(|group| WantedGroup { group, chosen: None, topics: &planned }).collect();
        translator.translate_many(&wanted, Side::Green, Purpose::Estimate, &quiet).await
    });
    let plans: Vec<GroupTranslation> = plans.into_iter().map(|p| p.expect("translated")).collect();
    let took = started.elapsed();
    let read = |plan: &GroupTranslation| plan.partitions.iter().map(|p| p.read.0 + p.read.1).sum::<u64>();
    let wire = translator.records_read();
    for plan in &plans {
        let worst = plan.partitions.iter().map(|p| p.read.0 + p.read.1).max().unwrap_or(0);
        let first = plan.partitions.first().expect("partitions");
        assert_eq!(plan.worst_verdict(), Some(Verdict::Proven), "{first:?}");
        println!(
            "  {} partitions, {} records compared, {:.0} a partition, {worst} at most; {} re-read, {} missing",
            plan.partitions.len(),
            read(plan),
            read(plan) as f64 / plan.partitions.len() as f64,
            plan.partitions.iter().filter_map(|p| p.re_read).sum::<u64>(),
            plan.partitions.iter().filter_map(|p| p.missing).sum::<u64>(),
        );
    }
    say(&format!("cutover, {}", groups.join(" ")), wire, took, memory);
    runtime.block_on(translator.close());
}

/// Reads the same ranges with an rdkafka consumer for each cluster, one after the other. It gets the reader's waits:
/// with its defaults it would be held up by them.
fn bare(arguments: &Arguments) {
    let (partitions, records) = (arguments.number("partitions", 0) as i32, arguments.number("records", 0));
    let (memory, started) = (resident(), Instant::now());
    let (mut seen, mut sum) = (0u64, 0);
    for side in ["blue", "green"] {
        let consumer = bare_consumer(arguments.word(side));
        let mut list = TopicPartitionList::new();
        for p in 0..partitions {
            list.add_partition_offset(BACKLOG, p, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("assigned");
        let wanted = seen + partitions as u64 * records as u64;
        while seen < wanted {
            if let Some(Ok(message)) = consumer.poll(WITHIN) {
                seen += 1;
                sum += message.payload_len();
            }
        }
    }
    assert!(sum > 0);
    say("bare consumer", seen, started.elapsed(), memory);
}

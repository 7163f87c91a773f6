//! The lag snapshot beside `kafka-consumer-groups --all-groups --describe`, on one broker, in one run.
//!
//! `cargo bench --bench lag_snapshot` starts a Kafka 4.3.1 broker of its own (needs `java` and `mvn`);
//! `cargo bench --bench lag_snapshot -- --broker HOST:PORT` uses one that runs.
//! Also: `--groups 1000 --partitions 20 --rounds 20`, and `--old` for a broker of Kafka 2.8.2, which can't be asked for
//! several groups at once.
//!
//! Both must be complete: a row for every group and partition, with the same committed offset, end and lag.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cutover::base::{Side, TopicPartition};
use cutover::estate::ClusterView;
use cutover::kafka::control::{ChangeOutcome, Cluster, NewTopic, SnapshotOptions};
use cutover::kafka::properties::ClientProperties;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use support::kafka::{Broker, old_blue, throwaway, tool_output};

const TOOL: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
/// The tool is timed this often; its fastest run counts.
const TOOL_RUNS: usize = 3;
/// Records in each partition: the ends that lags are counted to.
const RECORDS: i64 = 50;
/// Groups that are seeded at the same time.
const SEEDING: usize = 64;

/// Group, topic, partition: committed offset, end, lag.
type Rows = BTreeMap<(String, String, i32), (i64, i64, i64)>;

struct Options {
    broker: Option<String>,
    groups: usize,
    partitions: i32,
    rounds: usize,
    old: bool,
}

fn options() -> Options {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let number = |name: &str, default: usize| value(name).map_or(default, |v| v.parse().expect("a number"));
    Options {
        broker: value("--broker").or_else(|| std::env::var("CUTOVER_BENCH_BROKER").ok()),
        groups: number("--groups", 1000),
        partitions: i32::try_from(number("--partitions", 20)).expect("a number of partitions"),
        rounds: number("--rounds", 20).max(1),
        old: args.iter().any(|a| a == "--old"),
    }
}

fn main() -> ExitCode {
    let options = options();
    let own: Option<Broker> = (options.broker.is_none() && !options.old).then(|| throwaway("lag-snapshot", &[]));
    let bootstrap = match (&options.broker, &own) {
        (Some(address), _) => address.clone(),
        (None, Some(broker)) => broker.bootstrap.clone(),
        (None, None) => old_blue().bootstrap.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let prefix = support::unique("lag-bench");
    println!("broker {bootstrap}: {} groups x {} partitions", options.groups, options.partitions);
    let started = Instant::now();
    runtime.block_on(seed(&bootstrap, &prefix, &options));
    println!("seeded in {:.1} s", started.elapsed().as_secs_f64());

    let (cold, warm, view) = runtime.block_on(snapshots(&bootstrap, options.rounds));
    let ours = rows_of(&view, &prefix);
    let (tool, theirs) = run_tool(&bootstrap, &prefix);

    let expected = options.groups * usize::try_from(options.partitions).expect("positive");
    println!("rows wanted {expected}: snapshot {}, tool {}, equal {}", ours.len(), theirs.len(), ours == theirs);
    println!("kafka-consumer-groups --all-groups --describe   {:>9.1} ms (fastest of {TOOL_RUNS})", ms(tool));
    println!(
        "cutover snapshot, connecting first              {:>9.1} ms, {:.0} times faster",
        ms(cold),
        tool.as_secs_f64() / cold.as_secs_f64()
    );
    println!(
        "cutover snapshot, connected (median of {:>3})     {:>9.1} ms, {:.0} times faster",
        options.rounds,
        ms(warm),
        tool.as_secs_f64() / warm.as_secs_f64()
    );
    let complete = ours.len() == expected && ours == theirs;
    if !complete {
        println!("NOT COMPLETE");
        for (key, row) in ours.iter().filter(|(k, r)| theirs.get(*k) != Some(r)).take(5) {
            println!("  {key:?}: snapshot {row:?}, tool {:?}", theirs.get(key));
        }
    }
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn connect(bootstrap: &str) -> Cluster {
    Cluster::new(Side::Blue, bootstrap, &ClientProperties::default())
}

/// A topic with records, and groups that each committed on every partition.
async fn seed(bootstrap: &str, prefix: &str, options: &Options) {
    let cluster = connect(bootstrap);
    let made = cluster.create_topics(&[NewTopic::new(prefix, options.partitions, 1)], false).await;
    assert!(made.as_ref().is_ok_and(|m| m.values().all(ChangeOutcome::is_done)), "{made:?}");
    let (bootstrap, topic, partitions) = (bootstrap.to_owned(), prefix.to_owned(), options.partitions);
    let filled = tokio::task::spawn_blocking(move || fill(&bootstrap, &topic, partitions));
    filled.await.expect("records are written");
    let commit = |group: usize| {
        let (cluster, topic) = (cluster.clone(), prefix.to_owned());
        async move {
            let offset = |p: i32| (i64::from(p) * 7 + i64::try_from(group).unwrap_or(0)) % (RECORDS + 1);
            let offsets: Vec<_> = (0..partitions).map(|p| (TopicPartition::new(&topic, p), offset(p))).collect();
            let outcome = cluster.commit_offsets(&format!("{topic}-{group:05}"), &offsets).await;
            assert!(outcome.as_ref().is_ok_and(|o| o.values().all(ChangeOutcome::is_done)), "{outcome:?}");
        }
    };
    let mut rest = 0..options.groups;
    let mut running: FuturesUnordered<_> = rest.by_ref().take(SEEDING).map(commit).collect();
    while running.next().await.is_some() {
        running.extend(rest.next().map(commit));
    }
}

fn fill(bootstrap: &str, topic: &str, partitions: i32) {
    let mut config = rdkafka::ClientConfig::new();
    let producer: BaseProducer = config.set("bootstrap.servers", bootstrap).create().expect("a producer");
    for partition in 0..partitions {
        for n in 0..RECORDS {
            let payload = n.to_string();
            let record = BaseRecord::<str, str>::to(topic).partition(partition).payload(&payload);
            producer.send(record).map_err(|(e, _)| e).expect("a record is queued");
        }
    }
    producer.flush(Duration::from_secs(60)).expect("records are written");
}

/// Time of a first snapshot with its connecting, the median of more on the same connections, and the last view.
async fn snapshots(bootstrap: &str, rounds: usize) -> (Duration, Duration, ClusterView) {
    let started = Instant::now();
    let cluster = connect(bootstrap);
    let options = SnapshotOptions::default();
    let mut view = cluster.snapshot(&options).await.expect("a snapshot");
    let cold = started.elapsed();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        view = cluster.snapshot(&options).await.expect("a snapshot");
        times.push(started.elapsed());
    }
    times.sort_unstable();
    (cold, times[times.len() / 2], view)
}

fn rows_of(view: &ClusterView, prefix: &str) -> Rows {
    let mut rows = Rows::new();
    for (id, group) in view.groups.iter().filter(|(id, _)| id.starts_with(prefix)) {
        assert!(group.trouble.is_none(), "{id}: {:?}", group.trouble);
        for (topic, partitions) in &group.offsets {
            for (partition, committed) in partitions {
                let log = &view.topics[topic].partitions[usize::try_from(*partition).expect("positive")];
                let end = log.high_watermark.expect("an end");
                rows.insert((id.clone(), topic.clone(), *partition), (committed.offset, end, end - committed.offset));
            }
        }
    }
    rows
}

fn run_tool(bootstrap: &str, prefix: &str) -> (Duration, Rows) {
    let mut best: Option<(Duration, Rows)> = None;
    for _ in 0..TOOL_RUNS {
        let started = Instant::now();
        let output = tool_output(TOOL, &["--bootstrap-server", bootstrap, "--all-groups", "--describe"]);
        let took = started.elapsed();
        let text = String::from_utf8_lossy(&output.stdout);
        let row = |line: &str| {
            let f: Vec<&str> = line.split_whitespace().collect();
            let [group, topic, partition, committed, end, lag, ..] = f[..] else { return None };
            let key = (group.to_owned(), topic.to_owned(), partition.parse().ok()?);
            group.starts_with(prefix).then_some(())?;
            Some((key, (committed.parse().ok()?, end.parse().ok()?, lag.parse().ok()?)))
        };
        let rows: Rows = text.lines().filter_map(row).collect();
        if best.as_ref().is_none_or(|(b, _)| took < *b) {
            best = Some((took, rows));
        }
    }
    best.expect("it ran")
}

//! A diff of two clusters with injected faults, beside a bare rdkafka consumer that reads the same records of the same
//! brokers, both clusters at once.
//!
//! `cargo bench --bench diff` starts two Kafka 4.3.1 clusters of its own (needs `java` and `mvn`) and compares 500,000
//! records on 24 partitions with 1,000 faults of every kind; `-- --records 5000000` is the full size. Also:
//! `--partitions 24`, `--faults 1000`, `--keys 20000`, `--bytes 100`, `--rounds 3`.
//!
//! Every fault must be found, by its offsets. Each measurement is a process of its own, so that its peak memory is too.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

mod common;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Arguments, bare_consumer, child, resident, say};
use cutover::base::Side;
use cutover::diff::asked::{DiffScope, Span};
use cutover::diff::{DiffReport, PartitionDiff, Spans};
use cutover::jobs::compare::{DiffRequest, Ended, run_diff};
use cutover::plan::Plan;
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use support::faulty::{Faulty, Truth};
use support::kafka;

const WITHIN: Duration = Duration::from_secs(120);
const TOPIC: &str = "compared";

fn main() {
    let arguments = Arguments::take();
    match arguments.word("role") {
        "ours" => ours(&arguments),
        "bare" => bare(&arguments),
        _ => compare(&arguments),
    }
}

fn compare(arguments: &Arguments) {
    let faulty = Faulty {
        partitions: arguments.number("partitions", 24) as usize,
        records: arguments.number("records", 500_000) as usize,
        keys: arguments.number("keys", 20_000) as usize,
        faults: arguments.number("faults", 1_000) as usize,
        bytes: arguments.number("bytes", 100) as usize,
        seed: 1,
    };
    let clusters = [kafka::throwaway("blue", &[]), kafka::throwaway("green", &[])];
    let started = Instant::now();
    for broker in &clusters {
        kafka::create_topic(broker, TOPIC, faulty.partitions as i32, &[]);
    }
    let truth = faulty.write(TOPIC, &clusters[0], &clusters[1]);
    println!("{faulty:?}, written in {:.0} s", started.elapsed().as_secs_f64());
    let dir = tempfile::tempdir().expect("a directory");
    let found = dir.path().join("report.json");
    let more = [
        ("partitions", faulty.partitions.to_string()),
        ("found", found.display().to_string()),
        ("dir", dir.path().display().to_string()),
    ];
    let more = more.each_ref().map(|(name, value)| (*name, value.as_str()));
    if arguments.word("hold") == "yes" {
        hold(&clusters.each_ref().map(|c| c.bootstrap.as_str()), &more);
        return;
    }
    for _ in 0..arguments.number("rounds", 3) {
        for role in ["bare", "ours"] {
            child(role, &clusters.each_ref().map(|c| c.bootstrap.as_str()), &more);
        }
        let report = std::fs::read(&found).expect("a report");
        check(&serde_json::from_slice(&report).expect("a report"), &truth);
    }
    println!(
        "found exactly: {} missing, {} only on green, {} duplicated, {} reordered",
        truth.missing.len(),
        truth.only_green.len(),
        truth.doubled.len(),
        truth.swapped.len()
    );
}

/// Keeps the clusters until the standard input ends, and says how to run a measurement on them by hand (under a profiler).
fn hold(clusters: &[&str; 2], more: &[(&str, &str)]) {
    let program = std::env::current_exe().expect("this program");
    let more: String = more.iter().map(|(name, value)| format!(" --{name} {value}")).collect();
    for role in ["bare", "ours"] {
        println!("{} --role {role} --blue {} --green {}{more}", program.display(), clusters[0], clusters[1]);
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new()); // whatever ends it
}

/// Everything injected was found, by its offsets, and nothing else.
fn check(report: &DiffReport, truth: &Truth) {
    let [topic] = &report.topics[..] else { panic!("one topic") };
    let offsets = |of: fn(&PartitionDiff) -> &Spans| -> BTreeSet<(usize, i64)> {
        let all = topic.partitions.iter().map(|p| (p.partition as usize, of(p)));
        all.flat_map(|(p, spans)| spans.ranges.iter().flat_map(move |(a, b)| (*a..*b).map(move |o| (p, o)))).collect()
    };
    assert_eq!(offsets(|p| &p.missing), truth.missing, "missing");
    assert_eq!(offsets(|p| &p.only_target), truth.only_green, "only on green");
    assert_eq!(offsets(|p| &p.duplicated[1]), truth.doubled, "duplicated");
    let moved = |p: &PartitionDiff| {
        let number = p.partition as usize;
        p.moved.iter().map(|m| (number, m.source, m.target)).collect::<Vec<_>>()
    };
    assert_eq!(topic.partitions.iter().flat_map(moved).collect::<BTreeSet<_>>(), truth.swapped, "reordered");
    assert_eq!((topic.found.equal, topic.found.duplicated_source, topic.found.unsettled), (truth.equal, 0, 0));
}

/// The diff as `cutover diff` runs it.
fn ours(arguments: &Arguments) {
    let mut plan = Plan::from_bootstraps(arguments.word("blue"), arguments.word("green")).expect("a plan").plan;
    plan.diff.dir = Some(arguments.word("dir").into());
    let request = DiffRequest {
        replayed: false,
        carried: cutover::replay::Ranges::default(),
        what: DiffScope::Topics(vec![TOPIC.to_owned()]),
        span: Span::Comparable,
        source: Side::Blue,
        rate: None,
        memory: None,
        resume: false,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (memory, started) = (resident(), Instant::now());
    let waited = Arc::new(AtomicU64::new(0));
    let most = Arc::clone(&waited);
    let quiet = Arc::new(move |p: &cutover::diff::asked::DiffProgress| {
        most.fetch_max(p.waiting, Ordering::Relaxed);
        if let Some(why) = &p.held_back {
            println!("  held back: {why}");
        }
    });
    let ended = runtime.block_on(async {
        tokio::spawn(run_diff(Arc::new(plan), request, quiet, Arc::new(AtomicBool::new(false)))).await.expect("it runs")
    });
    let Ok(Ended::Done(report)) = ended else { panic!("{ended:?}") };
    say("cutover diff", report.read, started.elapsed(), memory);
    println!("  up to {} records waited for their twins", waited.load(Ordering::Relaxed));
    std::fs::write(arguments.word("found"), serde_json::to_vec(&report).expect("JSON")).expect("written");
}

/// Reads the same records with an rdkafka consumer for each cluster, both at once. They get the reader's waits: with
/// their defaults they would be held up by them.
fn bare(arguments: &Arguments) {
    let partitions = arguments.number("partitions", 0) as i32;
    let (memory, started) = (resident(), Instant::now());
    let seen: u64 = std::thread::scope(|scope| {
        let sides = ["blue", "green"].map(|side| scope.spawn(move || consume(arguments.word(side), partitions)));
        sides.into_iter().map(|side| side.join().expect("it reads")).sum()
    });
    say("bare consumer", seen, started.elapsed(), memory);
}

fn consume(bootstrap: &str, partitions: i32) -> u64 {
    let consumer = bare_consumer(bootstrap);
    let mut list = TopicPartitionList::new();
    let mut wanted = 0;
    for p in 0..partitions {
        list.add_partition_offset(TOPIC, p, Offset::Beginning).expect("an offset");
        wanted += consumer.fetch_watermarks(TOPIC, p, WITHIN).expect("watermarks").1.unsigned_abs();
    }
    consumer.assign(&list).expect("assigned");
    let (mut seen, mut sum) = (0, 0);
    while seen < wanted {
        if let Some(Ok(message)) = consumer.poll(WITHIN) {
            seen += 1;
            sum += message.payload_len();
        }
    }
    assert!(sum > 0);
    seen
}

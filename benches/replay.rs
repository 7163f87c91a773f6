//! A replay beside MirrorMaker 2, exactly-once on both: the same records, the same broker pair, in one run. What is
//! compared is bytes (keys and values) per second of the CPU time that each spends itself, brokers left out.
//!
//! `cargo bench --bench replay` starts two Kafka 4.3.1 brokers of its own and MirrorMaker 2 (needs `java` and `mvn`).
//! `-- RECORDS BYTES` sets the size: 600,000 records of 1,000 bytes otherwise.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cutover::base::{Side, TopicPartition};
use cutover::jobs::replay::{ReplayAnswer, ReplayRequest, ReplayWhat, Stop, Ui, run_replay};
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::writer::{Outgoing, RecordWriter};
use cutover::plan::Plan;
use cutover::replay::{Piece, Ranges};
use cutover::session::options::{Options, Want};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use support::kafka::{self, Broker, Mirror, create_topic, end_offsets, throwaway};

const WITHIN: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
/// The kernel's unit of CPU time in /proc/PID/stat (USER_HZ), on every platform that Linux runs on.
const TICKS_PER_S: f64 = 100.0;

fn main() {
    let numbers: Vec<i64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let (records, bytes) = match numbers.as_slice() {
        [records, bytes, ..] => (*records, *bytes),
        _ => (600_000, 1_000),
    };
    let (blue, green) = (throwaway("replay-blue", &[]), throwaway("replay-green", &[]));
    for topic in ["ours", "mirrored"] {
        create_topic(&blue, topic, PARTITIONS, &[]);
        fill(&blue, topic, records, bytes);
    }
    create_topic(&green, "ours", PARTITIONS, &[]);
    warm(&green);
    let ours = ours(&blue, &green, records);
    let theirs = theirs(&blue, &green, records, bytes);
    let mb = (records * bytes) as f64 / 1e6;
    println!("{records} records of {bytes} bytes, {PARTITIONS} partitions, exactly once on both:");
    println!(
        "cutover replay: carrying {:.2} s of CPU, {:.1} s of time: {:.0} MB/s per core; with counting, comparing keys and reading back {:.2} s of CPU: {:.0} MB/s per core",
        ours.carrying.cpu,
        ours.carrying.time,
        mb / ours.carrying.cpu,
        ours.whole.cpu,
        mb / ours.whole.cpu
    );
    println!(
        "MirrorMaker 2:  {:.2} s of CPU, {:.1} s of time for {:.0} MB after its start: {:.0} MB/s per core",
        theirs.0.cpu,
        theirs.0.time,
        theirs.1,
        theirs.1 / theirs.0.cpu
    );
    println!(
        "ratio: carrying {:.1}, the whole command {:.1}",
        mb / ours.carrying.cpu * theirs.0.cpu / theirs.1,
        mb / ours.whole.cpu * theirs.0.cpu / theirs.1
    );
}

/// Until the broker coordinates groups: it makes its own topic for that when it is first asked.
fn warm(broker: &Broker) {
    let asker = kafka::consumer(broker, "warm-up", &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition("ours", 0);
    for _ in 0..100 {
        if asker.committed_offsets(list.clone(), WITHIN).is_ok() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    panic!("{} coordinates no groups", broker.name);
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// CPU time, s.
    cpu: f64,
    /// Time, s.
    time: f64,
}

/// What it did, and the CPU time and the moment when it was first told of.
type Told = (&'static str, f64, Instant);

struct Ours {
    carrying: Cost,
    whole: Cost,
}

/// CPU time that a process has spent, s.
fn cpu(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let after = stat.rsplit_once(')').expect("the name ends").1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |i: usize| fields[i].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS_PER_S
}

fn fill(broker: &Broker, topic: &str, records: i64, bytes: i64) {
    let writer = RecordWriter::open(&ClientProperties::default(), &broker.bootstrap, WITHIN).expect("a writer");
    let value: Vec<u8> = (0..bytes - 12).map(|n| (n * 31 % 251) as u8).collect();
    for n in 0..records {
        let key = format!("key-{n:08}");
        let record = Outgoing { key: Some(key.as_bytes()), value: Some(&value), ..Outgoing::default() };
        writer.send(&TopicPartition::new(topic, (n % i64::from(PARTITIONS)) as i32), &record).expect("sent");
    }
    writer.flush().expect("written");
}

fn ours(blue: &Broker, green: &Broker, records: i64) -> Ours {
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "[migration]\nname = \"bench\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n",
        blue.bootstrap, green.bootstrap
    );
    let path = dir.path().join("cutover.toml");
    std::fs::write(&path, text).expect("a plan");
    let plan = Plan::load(&path).unwrap_or_else(|p| panic!("{p:?}")).plan;
    let ends = end_offsets(blue, "ours");
    let pieces = ends.iter().map(|(p, (start, end))| Piece::new(TopicPartition::new("ours", *p), *start, *end));
    let request = ReplayRequest {
        what: ReplayWhat::Ranges(Ranges::from_pieces(pieces)),
        asked: "a benchmark".into(),
        from: Side::Blue,
        into: None,
        by: None,
        mark: true,
        accept_reorder: true,
        again: false,
        rate: None,
        read_back: true,
    };
    let seen: Arc<Mutex<Vec<Told>>> = Arc::default();
    let begun = (cpu("self"), Instant::now());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(async {
        let marks = Arc::clone(&seen);
        let mut ui = Ui {
            say: &mut |line| println!("{line}"),
            tell: Arc::new(move |progress| {
                let mut marks = marks.lock().expect("no panic holds it");
                if marks.last().is_none_or(|(what, ..)| *what != progress.what) {
                    marks.push((progress.what, cpu("self"), Instant::now()));
                }
            }),
            confirm: &mut |question| ReplayAnswer::Yes(question.name.clone()),
        };
        run_replay(&plan, &Options::new(Want::Armed, "bench"), &request, &mut ui, Arc::new(Stop::default())).await
    });
    let ended = (cpu("self"), Instant::now());
    assert_eq!((report.class, report.carried, report.verified), (None, records as u64, Some(true)), "{report:?}");
    let seen = seen.lock().expect("no panic holds it");
    let at = |what: &str| seen.iter().find(|(w, ..)| *w == what).expect("it was told of");
    let (from, to) = (at("carrying"), at("reading back"));
    let cost =
        |from: (f64, Instant), to: (f64, Instant)| Cost { cpu: to.0 - from.0, time: (to.1 - from.1).as_secs_f64() };
    Ours { carrying: cost((from.1, from.2), (to.1, to.2)), whole: cost(begun, ended) }
}

/// From the first record on green, when it has started, to the last one. Returns how many MB that were.
fn theirs(blue: &Broker, green: &Broker, records: i64, bytes: i64) -> (Cost, f64) {
    let port = kafka::take_port();
    let listener = format!("listeners=http://127.0.0.1:{}", port.number);
    let exactly_once =
        ["green.exactly.once.source.support=enabled", "dedicated.mode.enable.internal.rest=true", &listener];
    let mirror = Mirror::start_with(blue, green, "mirrored", "none", &exactly_once);
    let pid = mirror.pid().to_string();
    let asker = kafka::consumer(green, "asker", &[]);
    // A topic that is being made has no leader yet: nothing is there then.
    let end = |partition| asker.fetch_watermarks("mirrored", partition, WITHIN).map_or(0, |(_, end)| end);
    let there = || -> i64 { (0..PARTITIONS).map(end).sum() };
    let wait = |until: &dyn Fn(i64) -> bool| {
        let patience = Instant::now();
        loop {
            let now = there();
            if until(now) {
                return now;
            }
            assert!(patience.elapsed() < Duration::from_secs(900), "MirrorMaker 2 is at {now} of {records}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    };
    let first = wait(&|now| now > 0);
    let begun = (cpu(&pid), Instant::now());
    // Its markers take up offsets too: a little less than all of its records are there then, in its favour.
    let last = wait(&|now| now >= records);
    let ended = (cpu(&pid), Instant::now());
    let cost = Cost { cpu: ended.0 - begun.0, time: (ended.1 - begun.1).as_secs_f64() };
    (cost, ((last.min(records) - first) * bytes) as f64 / 1e6)
}

//! `kill -9` every few seconds of a replay until it is done: each record is on the other cluster once.
//!
//! `cargo bench --bench replay_kill` starts two Kafka 4.3.1 clusters of its own (needs `java` and `mvn`), writes
//! 5,000,000 records on 24 partitions to blue, and carries them all to green with `cutover replay`, which is killed every
//! two to four seconds and started again with `--resume`, also while it reads back ([`READ_BACK_KILLS`] times: reading
//! back starts anew each time, and would never end where it takes longer than that). Then a diff must be clean, and a consumer must find each
//! record once. `-- RECORDS PARTITIONS BYTES` sets the size (5,000,000 on 24, values of 100 bytes).

// Real time against real brokers is what is tried here.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cutover::base::TopicPartition;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::writer::{Outgoing, RecordWriter};
use rdkafka::consumer::Consumer as _;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use support::kafka::{self, Broker, create_topic, end_offsets, throwaway};

const WITHIN: Duration = Duration::from_secs(120);
const TOPIC: &str = "carried";
/// How often it is killed while it reads back.
const READ_BACK_KILLS: u32 = 3;

struct Size {
    records: usize,
    partitions: usize,
    bytes: usize,
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let size = match numbers.as_slice() {
        [records, partitions, bytes, ..] => Size { records: *records, partitions: *partitions, bytes: *bytes },
        _ => Size { records: 5_000_000, partitions: 24, bytes: 100 },
    };
    let (blue, green) = (throwaway("kill-blue", &[]), throwaway("kill-green", &[]));
    for broker in [&blue, &green] {
        create_topic(broker, TOPIC, size.partitions as i32, &[]);
    }
    fill(&blue, &size);
    let dir = tempfile::tempdir().expect("a directory");
    let plan = format!(
        "[migration]\nname = \"kill\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n",
        blue.bootstrap, green.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).expect("a plan");
    let mut random = fastrand::Rng::with_seed(1);
    let started = Instant::now();
    let kills = carried(dir.path(), &blue, &mut random);
    println!("{} records carried in {:.0} s, killed {kills} times", size.records, started.elapsed().as_secs_f64());
    clean(dir.path(), &size);
    once(&green, &size);
}

fn fill(blue: &Broker, size: &Size) {
    let writer = RecordWriter::open(&ClientProperties::default(), &blue.bootstrap, WITHIN).expect("a writer");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let mut value = vec![b'.'; size.bytes.max(8)];
    for n in 0..size.records {
        value[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let key = format!("key-{}", n % 20_000);
        let record = Outgoing {
            key: Some(key.as_bytes()),
            value: Some(&value),
            timestamp: Some(now - 3_600_000 + n as i64 / 10),
            ..Outgoing::default()
        };
        writer.send(&TopicPartition::new(TOPIC, (n % size.partitions) as i32), &record).expect("sent");
    }
    writer.flush().expect("written");
}

fn cutover(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command
}

/// Replays everything, killed again and again; how often.
fn carried(dir: &Path, blue: &Broker, random: &mut fastrand::Rng) -> u32 {
    let ranges: Vec<String> =
        end_offsets(blue, TOPIC).iter().map(|(p, (from, to))| format!("{TOPIC}:{p}:{from}-{to}")).collect();
    let mut start = vec!["replay", "--accept-reorder", "--yes", TOPIC];
    ranges.iter().for_each(|range| start.extend(["--range", range]));
    let resume = ["replay", "--resume"];
    let mut reading_back = 0;
    for kills in 0.. {
        let args = if kills == 0 { &start[..] } else { &resume };
        let mut child =
            cutover(dir, args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        // The first one counts before it carries; before that there is nothing to go on with.
        if kills == 0 {
            lines.by_ref().find(|line| line.starts_with("carrying: ")).expect("it carries");
        }
        let told = std::thread::spawn(move || lines.filter(|line| !line.is_empty()).last().unwrap_or_default());
        let after = Duration::from_millis(random.u64(2_000..4_000));
        let killed = reading_back < READ_BACK_KILLS && kill_in(&mut child, after);
        let last = told.join().expect("it reads");
        println!("  {}: {last}", if killed { "killed" } else { "ended" });
        reading_back += u32::from(last.starts_with("reading back: "));
        if !killed {
            assert!(child.wait().expect("ended").success(), "{last}");
            return kills;
        }
    }
    unreachable!("an endless range ended")
}

/// Kills it after so long; false when it had ended by itself.
fn kill_in(child: &mut Child, after: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < after {
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    if child.try_wait().expect("a child").is_some() {
        return false;
    }
    child.kill().expect("killed");
    child.wait().expect("dead");
    true
}

fn clean(dir: &Path, size: &Size) {
    let output = cutover(dir, &["diff", "--topic", TOPIC, "--json"]).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stderr)));
    let found = &report["topics"][0]["found"];
    let (verdict, equal) = (report["verdict"].as_str(), found["equal"].as_u64());
    assert_eq!((verdict, equal), (Some("clean"), Some(size.records as u64)), "{report}");
    assert_eq!(found["unsettled"].as_u64(), Some(0), "{found}");
    println!("diff: clean, {found}");
}

/// Reads green as a consumer does, read_committed, and counts each record.
fn once(green: &Broker, size: &Size) {
    let consumer =
        kafka::consumer(green, "counting", &[("isolation.level", "read_committed"), ("enable.partition.eof", "true")]);
    let mut list = TopicPartitionList::new();
    (0..size.partitions as i32).for_each(|p| {
        list.add_partition_offset(TOPIC, p, Offset::Beginning).expect("an offset");
    });
    consumer.assign(&list).expect("assigned");
    let (mut seen, mut open, mut again) = (vec![false; size.records], size.partitions, 0_usize);
    while open > 0 {
        match consumer.poll(WITHIN).expect("something comes") {
            Ok(message) => {
                let number = message.payload().and_then(|v| v.first_chunk::<8>()).map(|n| u64::from_le_bytes(*n));
                let n = number.expect("a number") as usize;
                assert_eq!(n % size.partitions, message.partition() as usize);
                again += usize::from(std::mem::replace(&mut seen[n], true));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => open -= 1,
            Err(e) => panic!("{e}"),
        }
    }
    let missing = seen.iter().filter(|seen| !**seen).count();
    assert_eq!((missing, again), (0, 0), "missing, and there more than once");
    println!("read_committed: {} records on green, each once", size.records);
}

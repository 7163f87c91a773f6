//! Replays on two real clusters, by the real binary: each record once however often it dies, and nothing sent that
//! could not be.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::support::kafka::{
    self, Broker, commit, consumer, create_topic, delete_records, end_offsets, pair, producer, throwaway, tool,
};
use crate::support::unique;

const WAIT: Duration = Duration::from_secs(240);

/// A record with everything it has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rec {
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: Option<i64>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Rec {
    /// Without offset and mark: what has to be equal on both clusters.
    fn content(&self) -> Rec {
        let mut same = self.clone();
        same.offset = 0;
        same.headers.retain(|(name, _)| name != "cutover-replay");
        same
    }

    fn mark(&self) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "cutover-replay")?;
        Some(String::from_utf8(value.clone()?).expect("a mark is text"))
    }
}

/// A moment of today, the same throughout a run: older ones would be deleted again (retention.ms).
fn hour_ago() -> i64 {
    static AT: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *AT.get_or_init(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        i64::try_from(now.as_millis()).expect("before the end of time") - 3_600_000
    })
}

/// Every committed record of a topic, by partition, read by a client that shares no code with the replay.
fn read(broker: &Broker, topic: &str) -> BTreeMap<i32, Vec<Rec>> {
    let options = [("isolation.level", "read_committed"), ("enable.partition.eof", "true")];
    let reader = consumer(broker, &unique("audit"), &options);
    let mut assignment = TopicPartitionList::new();
    let mut all: BTreeMap<i32, Vec<Rec>> = end_offsets(broker, topic).keys().map(|p| (*p, Vec::new())).collect();
    for partition in all.keys() {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).expect("an offset");
    }
    reader.assign(&assignment).expect("assigned");
    let mut open = all.len();
    while open > 0 {
        match reader.poll(WAIT).expect("records or an end") {
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => open -= 1,
            Err(e) => panic!("{e}"),
            Ok(message) => {
                let headers = message.headers().into_iter().flat_map(|h| h.iter());
                let record = Rec {
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    timestamp: message.timestamp().to_millis(),
                    headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
                };
                all.get_mut(&message.partition()).expect("a known partition").push(record);
            }
        }
    }
    all
}

/// Writes a record with a content of its own: tombstones, null keys, repeated and null headers among them.
fn write(writer: &BaseProducer, topic: &str, partition: i32, n: u64) {
    let mut random = fastrand::Rng::with_seed(n);
    let (key, value) = (format!("key-{}", n % 700), format!("value {n} {}", "x".repeat(random.usize(0..60))));
    let mut headers = OwnedHeaders::new();
    for i in 0..random.u64(0..4) {
        let value = format!("{i}");
        headers = headers.insert(Header { key: "trace", value: (i != 2).then_some(value.as_bytes()) });
    }
    let mut record: BaseRecord<'_, str, str> =
        BaseRecord::to(topic).partition(partition).timestamp(hour_ago() + (n as i64 * 7) % 90_000).headers(headers);
    if !n.is_multiple_of(11) {
        record = record.key(&key);
    }
    if !n.is_multiple_of(13) {
        record = record.payload(&value);
    }
    loop {
        match writer.send(record) {
            Ok(()) => break,
            Err((_, back)) => record = back,
        }
        writer.poll(Duration::from_millis(50));
    }
}

/// A directory with a plan of two brokers.
struct Desk {
    dir: tempfile::TempDir,
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    fn new(blue: &Broker, green: &Broker) -> Desk {
        Desk::of(&blue.bootstrap, &green.bootstrap)
    }

    fn of(blue: &str, green: &str) -> Desk {
        let dir = tempfile::tempdir().expect("a directory");
        let plan = format!(
            "[migration]\nname = \"real\"\n[clusters.blue]\nbootstrap = \"{blue}\"
[clusters.green]
bootstrap = \"{green}\"
"
        );
        std::fs::write(dir.path().join("cutover.toml"), plan).expect("a plan");
        Desk { dir }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.arg("replay").args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self, args: &[&str]) -> (Option<i32>, Value, String) {
        let ran = self.run(&[args, &["--json"]].concat());
        let value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}{}", ran.out, ran.err));
        (ran.code, value, ran.err)
    }

    fn document(&self, ranges: &[(&str, i32, i64, i64)]) -> String {
        let parts: Vec<Value> = ranges
            .iter()
            .map(|(topic, p, from, to)| json!({"topic": topic, "partition": p, "missing_ranges": [[from, to]]}))
            .collect();
        let path = self.dir.path().join("missing.json");
        std::fs::write(&path, json!({"source": "blue", "partitions": parts}).to_string()).expect("a document");
        path.display().to_string()
    }
}

/// Starts it with its words piped, and gives the lines as they come.
fn spawn(desk: &Desk, args: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = desk.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    (child, lines)
}

fn nap(ms: u64) {
    std::thread::park_timeout(Duration::from_millis(ms));
}

/// Whether what is on green is what blue's ranges hold, in order, each once, marked with where it came from.
fn same(
    blue: &BTreeMap<i32, Vec<Rec>>,
    green: &BTreeMap<i32, Vec<Rec>>,
    topic: &str,
    carried: impl Fn(i32, i64) -> bool,
) -> usize {
    let mut count = 0;
    for (partition, records) in blue {
        let wanted: Vec<&Rec> = records.iter().filter(|r| carried(*partition, r.offset)).collect();
        let found = &green[partition];
        for (wanted, found) in wanted.iter().zip(found) {
            assert_eq!(wanted.content(), found.content(), "{topic}-{partition}");
            let mark = found.mark().expect("a mark");
            assert!(mark.ends_with(&format!("/{topic}-{partition}@{}", wanted.offset)), "{mark}");
        }
        assert_eq!(wanted.len(), found.len(), "{topic}-{partition}");
        count += wanted.len();
    }
    count
}

#[test]
fn killed_again_and_again_each_record_arrives_once() {
    let pair = pair();
    let topic = unique("replayed");
    create_topic(&pair.blue, &topic, 4, &[]);
    create_topic(&pair.green, &topic, 4, &[]);
    // Committed and aborted transactions, and records without one.
    let (plain, transactional) =
        (producer(&pair.blue, &[]), producer(&pair.blue, &[("transactional.id", &unique("writer"))]));
    transactional.init_transactions(WAIT).expect("a producer id");
    for chunk in 0..50 {
        let records = (chunk * 1_000..(chunk + 1) * 1_000).map(|n| ((n % 4) as i32, n));
        if chunk % 5 < 3 {
            records.for_each(|(p, n)| write(&plain, &topic, p, n));
            plain.flush(WAIT).expect("written");
            continue;
        }
        transactional.begin_transaction().expect("begun");
        records.for_each(|(p, n)| write(&transactional, &topic, p, n));
        transactional.flush(WAIT).expect("written");
        match chunk % 5 {
            3 => transactional.commit_transaction(WAIT).expect("committed"),
            _ => transactional.abort_transaction(WAIT).expect("aborted"),
        }
    }
    let ends = end_offsets(&pair.blue, &topic);
    let desk = Desk::new(&pair.blue, &pair.green);
    let mut ranges = Vec::new();
    for (p, (_, end)) in &ends {
        ranges.extend([(topic.as_str(), *p, 0, 3_000), (topic.as_str(), *p, 3_500, *end)]);
    }
    let document = desk.document(&ranges);
    let mut random = fastrand::Rng::with_seed(7);
    let mut kills = 0;
    let start = ["--from-diff", &document, "--rate", "300KB/s", "--accept-reorder", "--yes", &topic];
    let mut args: Vec<&str> = start.to_vec();
    let ended = loop {
        let (mut child, mut lines) = spawn(&desk, &args);
        let mut said = Vec::new();
        // The first one dies when it has carried something, later ones at any moment, also before they began.
        if kills > 0 && kills % 3 == 0 {
            nap(random.u64(0..1_500));
        } else if kills < 8 {
            said.extend(lines.by_ref().take_while(|line| !line.starts_with("carrying: ")));
            nap(random.u64(0..1_200));
        }
        if kills < 8 && child.try_wait().expect("a child").is_none() {
            child.kill().expect("killed");
            child.wait().expect("dead");
            kills += 1;
        } else {
            said.extend(lines);
            let code = child.wait().expect("ended").code();
            println!("{}", said.last().cloned().unwrap_or_default());
            assert_eq!(code, Some(0), "{}", said.join("\n"));
            break said;
        }
        args = vec!["--resume", "--rate", "300KB/s"];
    };
    println!("killed {kills} times; {} lines in the last go", ended.len());
    assert!(kills >= 3, "it ended before it could be killed often enough: {kills}");
    let (blue, green) = (read(&pair.blue, &topic), read(&pair.green, &topic));
    let inside = |p: i32, o: i64| o < 3_000 || (3_500..ends[&p].1).contains(&o);
    let count = same(&blue, &green, &topic, inside);
    assert!((36_000..40_000).contains(&count), "{count}");
    println!("{count} records, each once");
    let groups = tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--bootstrap-server", &pair.green.bootstrap, "--list"],
    );
    // Other tests replay at the same time: each mark begins with its run.
    let mark = green.values().flatten().find_map(Rec::mark).expect("a mark");
    let run = mark.split('/').next().expect("a run");
    assert!(!groups.contains(&format!("cutover-replay-{run}")), "its group is left behind: {groups}");
    // Told again, it carries nothing a second time.
    let again = desk.run(&start);
    assert_eq!(again.code, Some(1), "{}", again.err);
    assert!(again.err.contains("has carried some of these"), "{}", again.err);
    let resumed = desk.run(&["--resume"]);
    assert!(
        resumed.code == Some(1) && resumed.err.contains("no replay of this journal is unfinished"),
        "{}",
        resumed.err
    );
}

#[test]
fn what_cannot_be_carried_is_said_and_nothing_is_sent() {
    let pair = pair();
    let desk = Desk::new(&pair.blue, &pair.green);
    let refused = |topic: &str, range: &str, more: &[&str], words: &[&str]| {
        let before = end_offsets(&pair.green, topic);
        let range = format!("{topic}:{range}");
        let ran = desk.run(&[&["--range", &range, "--yes", topic], more].concat());
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
        for word in words {
            assert!(ran.err.contains(word), "{word:?} is not in: {}", ran.err);
        }
        assert_eq!(end_offsets(&pair.green, topic), before);
    };
    let topic = unique("refused");
    create_topic(&pair.blue, &topic, 2, &[]);
    create_topic(&pair.green, &topic, 2, &[("max.message.bytes", "2000")]);
    let writer = producer(&pair.blue, &[]);
    (0..100).for_each(|n| write(&writer, &topic, 0, n));
    let large = "l".repeat(3_000);
    writer.send(BaseRecord::<str, str>::to(&topic).partition(0).payload(&large)).map_err(|(e, _)| e).expect("sent");
    writer.flush(WAIT).expect("written");
    delete_records(&pair.blue, &topic, 0, 40);

    refused(&topic, "0:10-100", &[], &["expired on blue", &format!("{topic}:0:10-40")]);
    refused(&topic, "0:90-900", &[], &["not readable on blue yet", &format!("{topic}:0:101-900")]);
    refused(&topic, "7:1-2", &[], &["blue has no partition", "has 2 partitions"]);
    refused(&topic, "0:50-101", &[], &["at offset 100 takes 31", "at most 2000", "max.message.bytes"]);
    refused(&topic, "0:50-90", &["--into", "nowhere"], &["topic nowhere", "UNKNOWN_TOPIC_OR_PARTITION"]);

    // Small batches for a topic that takes only small ones: what fits is carried.
    let range = format!("{topic}:0:40-100");
    let unconfirmed = desk.run(&["--range", &range]);
    assert_eq!(unconfirmed.code, Some(1), "{}", unconfirmed.err);
    assert!(unconfirmed.err.contains(&format!("--yes={topic}")), "{}", unconfirmed.err);
    let (code, dry, err) = desk.json(&["--range", &range, "--dry-run"]);
    assert_eq!(
        (code, &dry["records"], &dry["dry_run"], &dry["run"]),
        (Some(0), &json!(60), &json!(true), &Value::Null),
        "{err}"
    );
    assert!(read(&pair.green, &topic)[&0].is_empty());
    let (code, done, err) = desk.json(&["--range", &range, "--yes", &topic, "--no-mark"]);
    assert_eq!((code, &done["carried"], &done["verified"]), (Some(0), &json!(60), &Value::Null), "{err}");
    let found = read(&pair.green, &topic);
    assert!(found[&0].len() == 60 && found[&0].iter().all(|r| r.mark().is_none()));

    let compacted = unique("compacted");
    create_topic(&pair.blue, &compacted, 1, &[]);
    create_topic(&pair.green, &compacted, 1, &[("cleanup.policy", "compact")]);
    (0..30).for_each(|n| write(&writer, &compacted, 0, n));
    writer.flush(WAIT).expect("written");
    refused(&compacted, "0:0-30", &[], &["3 records have no key", "is compacted"]);

    let missing = unique("missing");
    create_topic(&pair.blue, &missing, 1, &[]);
    let ran = desk.run(&["--range", &format!("{missing}:0:0-1"), "--yes", &missing]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let bad = desk.run(&["--range", "x:1"]);
    assert_eq!(bad.code, Some(2), "{}", bad.err);
    // One cluster by two names.
    let twice = Desk::of(&pair.blue.bootstrap, &pair.blue.bootstrap.replace("127.0.0.1", "localhost"));
    let ran = twice.run(&["--range", &range, "--yes", &topic]);
    assert!(ran.code == Some(1) && ran.err.contains("blue and green are one cluster"), "{}", ran.err);
}

#[test]
fn records_that_land_behind_newer_ones_are_named_first() {
    let pair = pair();
    let (topic, side) = (unique("ordered"), unique("side"));
    create_topic(&pair.blue, &topic, 3, &[]);
    create_topic(&pair.green, &topic, 3, &[]);
    create_topic(&pair.green, &side, 2, &[]);
    let send = |writer: &BaseProducer, p: i32, key: &str, ts: i64| {
        let record = BaseRecord::to(&topic).partition(p).key(key).payload("v").timestamp(ts);
        writer.send(record).map_err(|(e, _)| e).expect("sent");
    };
    let (blue, green) = (producer(&pair.blue, &[]), producer(&pair.green, &[]));
    let now = hour_ago();
    for p in 0..3 {
        send(&blue, p, &format!("a\u{1b}[2J{p}"), now);
        send(&blue, p, &format!("b{p}"), now);
        send(&green, p, &format!("a\u{1b}[2J{p}"), now + 5);
        send(&green, p, &format!("b{p}"), now - 5);
    }
    blue.flush(WAIT).expect("written");
    green.flush(WAIT).expect("written");
    let desk = Desk::new(&pair.blue, &pair.green);
    let ranges: Vec<String> = (0..3).map(|p| format!("{topic}:{p}:0-2")).collect();
    let mut args: Vec<&str> = ranges.iter().flat_map(|r| ["--range", r]).collect();
    args.extend(["--yes", &topic]);
    let held = desk.run(&args);
    assert_eq!(held.code, Some(3), "{}", held.err);
    assert!(held.err.contains("3 keys have newer records there"), "{}", held.err);
    assert!(held.err.contains("a␛[2J1") && !held.err.contains('\u{1b}') && !held.err.contains(": b1"), "{}", held.err);
    assert!(held.err.contains("--into TOPIC"), "{}", held.err);
    let ends = end_offsets(&pair.green, &topic);
    assert!(ends.values().all(|(_, end)| *end == 2), "{ends:?}");

    // A topic of both clusters, or of the broker, is no side topic.
    for (into, why) in [(topic.as_str(), "and no side topic"), ("__consumer_offsets", "is an internal topic")] {
        let live = desk.run(&[&args[..], &["--into", into]].concat());
        assert!(live.code == Some(1) && live.err.contains(why), "{:?} {}", live.code, live.err);
        assert_eq!(end_offsets(&pair.green, &topic), ends);
    }

    // A side topic with fewer partitions: by key, two sources share a slot.
    let (code, done, err) = desk.json(&[&args[..], &["--into", &side]].concat());
    assert_eq!((code, &done["carried"], &done["verified"]), (Some(0), &json!(6), &json!(true)), "{err}");
    assert_eq!((&done["routes"][&topic]["by"], &done["reordered"]), (&json!("key"), &Value::Null));
    let reference = unique("reference");
    create_topic(&pair.green, &reference, 2, &[]);
    let partitioner = producer(&pair.green, &[("partitioner", "murmur2")]);
    let found = read(&pair.green, &side);
    for record in found.values().flatten() {
        let key = record.key.as_deref().expect("a key");
        partitioner
            .send(BaseRecord::<[u8], str>::to(&reference).key(key).payload("v"))
            .map_err(|(e, _)| e)
            .expect("sent");
    }
    partitioner.flush(WAIT).expect("written");
    let keys = |all: &BTreeMap<i32, Vec<Rec>>| -> Vec<Vec<Option<Vec<u8>>>> {
        all.values().map(|records| records.iter().map(|r| r.key.clone()).collect()).collect()
    };
    assert_eq!(keys(&found), keys(&read(&pair.green, &reference)), "librdkafka's murmur2 says otherwise");

    let (code, done, err) = desk.json(&[&args[..], &["--accept-reorder"]].concat());
    assert_eq!((code, &done["carried"], &done["reordered"]["keys"]), (Some(0), &json!(6), &json!(3)), "{err}");
    assert_eq!(read(&pair.green, &topic)[&1].len(), 4);
}

#[test]
fn the_way_back_stops_in_order_and_goes_on() {
    let pair = pair();
    let topic = unique("back");
    create_topic(&pair.blue, &topic, 1, &[]);
    create_topic(&pair.green, &topic, 1, &[]);
    let writer = producer(&pair.green, &[]);
    (0..20_000).for_each(|n| write(&writer, &topic, 0, n));
    writer.flush(WAIT).expect("written");
    let desk = Desk::new(&pair.blue, &pair.green);
    let range = format!("{topic}:0:0-20000");
    let args = ["--from", "green", "--range", &range, "--rate", "40KB/s", "--yes", &topic];
    let (mut child, mut lines) = spawn(&desk, &args);
    let mut said: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("carrying: ")).collect();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    said.extend(lines);
    assert_eq!(child.wait().expect("ended").code(), Some(130), "{}", said.join("\n"));
    assert!(said.iter().any(|line| line.contains("cutover replay --resume ")), "{}", said.join("\n"));
    let half = read(&pair.blue, &topic)[&0].len();
    assert!(half < 20_000, "it was stopped in the middle");
    // A second session can't take what the journal says is unfinished, and can go on with it.
    let other = desk.run(&args);
    assert!(other.code == Some(1) && other.err.contains("is unfinished"), "{}", other.err);
    let (code, done, err) = desk.json(&["--resume"]);
    assert_eq!((code, &done["verified"], &done["found"]), (Some(0), &json!(true), &json!(20_000)), "{err}");
    assert_eq!(done["carried"].as_u64(), Some((20_000 - half) as u64));
    let count = same(&read(&pair.green, &topic), &read(&pair.blue, &topic), &topic, |_, _| true);
    assert_eq!(count, 20_000);
    let journal = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["journal", "show"])
        .current_dir(desk.dir.path())
        .output()
        .expect("the binary runs");
    let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
    println!("{journal}");
    for word in ["carries 20000 records", "stopped after", "goes on", "read back: each record once"] {
        assert!(journal.contains(word), "{word} is not in {journal}");
    }
}

#[test]
fn what_a_group_is_missing_is_measured_and_carried() {
    let pair = pair();
    let (topic, group) = (unique("dual"), unique("readers"));
    for broker in [&pair.blue, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
    }
    let missing = |n: u64| (120..130).contains(&n) || n == 200;
    let (blue, green) = (producer(&pair.blue, &[]), producer(&pair.green, &[]));
    (0..300).for_each(|n| write(&blue, &topic, 0, n));
    (0..300).filter(|n| !missing(*n)).for_each(|n| write(&green, &topic, 0, n));
    blue.flush(WAIT).expect("written");
    green.flush(WAIT).expect("written");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(100)).expect("an offset");
    let commits = consumer(&pair.blue, &group, &[]);
    commit(&commits, &list);
    let desk = Desk::new(&pair.blue, &pair.green);
    let path = desk.dir.path().join("cutover.toml");
    let plan = std::fs::read_to_string(&path).expect("a plan");
    let more = format!(
        "[[topics]]\nname = {topic:?}\narrival_skew = \"1ms\"\n[[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n"
    );
    std::fs::write(&path, plan + &more).expect("a plan");
    let (from, to) = ((hour_ago() + 700).to_string(), (hour_ago() + 1_400).to_string());
    let between = ["--topic", &topic, "--from-time", &from, "--to-time", &to];
    let (code, dry, err) = desk.json(&[&between[..], &["--all", "--dry-run"]].concat());
    assert_eq!((code, &dry["records"]), (Some(0), &json!(100)), "{err}");
    assert_eq!(dry["ranges"], json!([{"topic": topic, "partition": 0, "from": 100, "to": 200}]));
    let (code, done, err) = desk.json(&["--group", &group, "--yes", &topic]);
    assert_eq!((code, &done["carried"], &done["verified"]), (Some(0), &json!(11), &json!(true)), "{err}");
    let wanted = json!([
        {"topic": topic, "partition": 0, "from": 120, "to": 130},
        {"topic": topic, "partition": 0, "from": 200, "to": 201},
    ]);
    assert_eq!(done["ranges"], wanted);
    let content = |broker| {
        let mut all: Vec<String> = read(broker, &topic)[&0].iter().map(|r| format!("{:?}", r.content())).collect();
        all.sort();
        all
    };
    assert_eq!(content(&pair.blue), content(&pair.green));
    let (code, none, err) = desk.json(&["--group", &group, "--yes", &topic]);
    assert_eq!((code, &none["run"], &none["records"]), (Some(0), &Value::Null, &json!(0)), "{err}");
}

#[test]
fn what_a_diff_calls_missing_is_carried_and_the_diff_is_clean() {
    let pair = pair();
    let (blue, green) = (producer(&pair.blue, &[]), producer(&pair.green, &[]));
    for by_time in [false, true] {
        let topic = unique("compared");
        create_topic(&pair.blue, &topic, 2, &[]);
        create_topic(&pair.green, &topic, 2, &[]);
        let missing = |n: u64| (200..230).contains(&n) || n == 300 || n == 331;
        (0..600).for_each(|n| write(&blue, &topic, (n % 2) as i32, n));
        (0..600).filter(|n| !missing(*n)).for_each(|n| write(&green, &topic, (n % 2) as i32, n));
        blue.flush(WAIT).expect("written");
        green.flush(WAIT).expect("written");
        let desk = Desk::new(&pair.blue, &pair.green);
        let path = desk.dir.path().join("cutover.toml");
        let plan = std::fs::read_to_string(&path).expect("a plan");
        let more = format!("[[topics]]\nname = {topic:?}\narrival_skew = \"1ms\"\n");
        std::fs::write(&path, plan + &more).expect("a plan");
        let diff = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
            command.args(["diff", "--topic", &topic, "--json"]).current_dir(desk.dir.path());
            let output = command.stdin(Stdio::null()).output().expect("the binary runs");
            (output.status.code(), String::from_utf8(output.stdout).expect("text"))
        };
        let (code, document) = diff();
        assert_eq!(code, Some(3), "{document}");
        std::fs::write(desk.dir.path().join("diff.json"), &document).expect("a document");
        let from = (hour_ago() - 1_000).to_string();
        let args = match by_time {
            false => vec!["--from-diff", "diff.json", "--yes", &topic],
            true => vec!["--topic", &topic, "--from-time", &from, "--yes", &topic],
        };
        let (code, done, err) = desk.json(&args);
        assert_eq!((code, &done["carried"], &done["verified"]), (Some(0), &json!(32), &json!(true)), "{err}");
        if by_time {
            assert_eq!(done["after"], json!({"verdict": "CLEAN", "missing": 0}));
        }
        let (code, document) = diff();
        assert_eq!(code, Some(0), "{document}");
    }
}

#[test]
fn a_broker_that_dies_and_comes_back_is_waited_for() {
    let (blue, green) = (&pair().blue, throwaway("mortal-target", &[]));
    let topic = unique("waited");
    create_topic(blue, &topic, 2, &[]);
    create_topic(&green, &topic, 2, &[]);
    let writer = producer(blue, &[]);
    (0..8_000).for_each(|n| write(&writer, &topic, (n % 2) as i32, n));
    writer.flush(WAIT).expect("written");
    let desk = Desk::new(blue, &green);
    let ends = end_offsets(blue, &topic);
    let ranges: Vec<_> = ends.iter().map(|(p, (start, end))| (topic.as_str(), *p, *start, *end)).collect();
    let document = desk.document(&ranges);
    let args = ["--from-diff", &document, "--rate", "100KB/s", "--accept-reorder", "--yes", &topic];
    let (mut child, mut lines) = spawn(&desk, &args);
    let mut said: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("carrying: ")).collect();
    green.restart(); // kill -9, and back on the same log
    said.extend(lines);
    let code = child.wait().expect("ended").code();
    println!("{}", said.iter().filter(|l| !l.contains(" left")).cloned().collect::<Vec<_>>().join("\n"));
    if code != Some(0) {
        // On a slow machine it was away for longer than a transaction lasts: that is said, and the rest is carried.
        assert_eq!(code, Some(1), "{}", said.join("\n"));
        assert!(said.iter().any(|line| line.contains("cutover replay --resume ")), "{}", said.join("\n"));
        let ran = desk.run(&["--resume"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    assert_eq!(same(&read(blue, &topic), &read(&green, &topic), &topic, |_, _| true), 8_000);
}

#[test]
fn its_memory_does_not_grow_with_what_it_carries() {
    let pair = pair();
    let topic = unique("large");
    create_topic(&pair.blue, &topic, 12, &[]);
    create_topic(&pair.green, &topic, 12, &[]);
    let writer = producer(&pair.blue, &[]);
    let value = "v".repeat(2_000);
    for n in 0..150_000 {
        let key = format!("{n}");
        let mut record = BaseRecord::to(&topic).partition(n % 12).key(&key).payload(&value).timestamp(hour_ago());
        while let Err((_, back)) = writer.send(record) {
            record = back;
            writer.poll(Duration::from_millis(50));
        }
    }
    writer.flush(WAIT).expect("written");
    let desk = Desk::new(&pair.blue, &pair.green);
    let ends = end_offsets(&pair.blue, &topic);
    let ranges: Vec<_> = ends.iter().map(|(p, (start, end))| (topic.as_str(), *p, *start, *end)).collect();
    let document = desk.document(&ranges);
    let (mut child, lines) = spawn(&desk, &["--from-diff", &document, "--yes", &topic]);
    let words = std::thread::spawn(move || lines.collect::<Vec<_>>());
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        nap(20);
    }
    let said = words.join().expect("no panic");
    assert_eq!(child.wait().expect("ended").code(), Some(0), "{}", said.join("\n"));
    println!("300 MB carried with {peak} KiB at most");
    assert!((1..200_000).contains(&peak), "{peak} KiB");
}

#[test]
fn a_denied_transactional_id_and_a_dead_green_are_clear() {
    let green = throwaway(
        "guarded",
        &[
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("allow.everyone.if.no.acl.found", "true"),
        ],
    );
    let blue = &pair().blue;
    let topic = unique("denied");
    create_topic(blue, &topic, 1, &[]);
    create_topic(&green, &topic, 1, &[]);
    let writer = producer(blue, &[]);
    (0..10).for_each(|n| write(&writer, &topic, 0, n));
    writer.flush(WAIT).expect("written");
    let acl =
        ["--add", "--deny-principal", "User:ANONYMOUS", "--operation", "All", "--resource-pattern-type", "prefixed"];
    let to = ["--bootstrap-server", &green.bootstrap, "--transactional-id", "cutover-replay-", "--force"];
    tool("org.apache.kafka.tools.AclCommand", &[&acl[..], &to[..]].concat());
    let desk = Desk::new(blue, &green);
    let range = format!("{topic}:0:0-10");
    let args = ["--range", &range, "--yes", &topic];
    let ran = desk.run(&args);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(
        ran.err.contains("transactional id cutover-replay-") && ran.err.contains("give this principal WRITE"),
        "{}",
        ran.err
    );
    assert!(kafka::end_offsets(&green, &topic).values().all(|(_, end)| *end == 0));
    green.kill();
    let ran = Desk::new(blue, &green).run(&args);
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains(&green.bootstrap), "{}", ran.err);
    println!("{}", ran.err);
}

#[test]
fn what_an_open_transaction_hides_is_waited_for_before_reading_back() {
    let pair = pair();
    let topic = unique("hidden");
    create_topic(&pair.blue, &topic, 1, &[]);
    create_topic(&pair.green, &topic, 1, &[]);
    let writer = producer(&pair.blue, &[]);
    (0..100).for_each(|n| write(&writer, &topic, 0, n));
    writer.flush(WAIT).expect("written");
    let other = producer(&pair.green, &[("transactional.id", &unique("other"))]);
    other.init_transactions(WAIT).expect("a producer id");
    other.begin_transaction().expect("begun");
    write(&other, &topic, 0, 1_000);
    other.flush(WAIT).expect("written");
    let desk = Desk::new(&pair.blue, &pair.green);
    let range = format!("{topic}:0:0-100");
    let (mut child, mut lines) = spawn(&desk, &["--range", &range, "--accept-reorder", "--yes", &topic]);
    let mut said: Vec<String> =
        lines.by_ref().take_while(|line| !line.starts_with("waiting for open transactions")).collect();
    other.commit_transaction(WAIT).expect("committed");
    said.extend(lines);
    assert_eq!(child.wait().expect("ended").code(), Some(0), "{}", said.join("\n"));
    assert!(said.iter().any(|line| line.starts_with("reading back: ")), "{}", said.join("\n"));
    assert_eq!(read(&pair.green, &topic)[&0].len(), 101);
}

#[test]
fn without_marks_lost_progress_is_never_taken_for_nothing_carried() {
    let pair = pair();
    let topic = unique("unmarked");
    create_topic(&pair.blue, &topic, 1, &[]);
    create_topic(&pair.green, &topic, 1, &[]);
    let writer = producer(&pair.blue, &[]);
    (0..20_000).for_each(|n| write(&writer, &topic, 0, n));
    writer.flush(WAIT).expect("written");
    let desk = Desk::new(&pair.blue, &pair.green);
    let range = format!("{topic}:0:0-20000");
    let (mut child, mut lines) = spawn(&desk, &["--range", &range, "--no-mark", "--rate", "20KB/s", "--yes", &topic]);
    let said: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("carrying: ")).collect();
    let run = said.iter().find_map(|line| line.strip_prefix("replay ")?.split_once(" starts").map(|(run, _)| run));
    let run = run.unwrap_or_else(|| panic!("no run in {}", said.join("\n")));
    while read(&pair.green, &topic)[&0].is_empty() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was killed");
    }
    child.kill().expect("killed");
    child.wait().expect("dead");
    let group = format!("cutover-replay-{run}");
    let deleted = tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--bootstrap-server", &pair.green.bootstrap, "--delete", "--group", &group],
    );
    println!("{deleted}");
    let resumed = desk.run(&["--resume"]);
    assert_eq!(resumed.code, Some(1), "{}", resumed.err);
    assert!(resumed.err.contains("the progress of replay"), "{}", resumed.err);
    let carried = read(&pair.green, &topic)[&0].len();
    let once = same_start(&read(&pair.blue, &topic)[&0], &read(&pair.green, &topic)[&0]);
    assert!(once && carried < 20_000, "{carried}");
}

/// Whether these are the first records of those.
fn same_start(all: &[Rec], first: &[Rec]) -> bool {
    first.len() <= all.len() && all.iter().zip(first).all(|(a, b)| a.content() == b.content())
}

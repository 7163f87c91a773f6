//! The diff on two real clusters: injected faults are found exactly, and nothing else is.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cutover::base::TopicPartition;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::writer::{Outgoing, RecordWriter};
use serde_json::{Value, json};

use crate::support::faulty::{Faulty, Truth};
use crate::support::kafka::{self, Broker, commit, create_topic, pair};
use crate::support::unique;

const WITHIN: Duration = Duration::from_secs(240);

/// A directory with a plan of the pair; `more` is added to it.
fn plan(more: &str) -> tempfile::TempDir {
    let pair = pair();
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "[migration]\nname = \"diff\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n{more}",
        pair.blue.bootstrap, pair.green.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), text).expect("a plan");
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(dir).args(["diff", "--json"]).args(args).stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> (i32, Value, Output) {
    let output = command(dir, args).output().expect("it runs");
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap_or(-1), json, output)
}

/// Offsets of every partition under a path of keys that ends in ranges.
fn offsets(topic: &Value, path: &[&str]) -> BTreeSet<(usize, i64)> {
    let mut found = BTreeSet::new();
    for p in topic["partitions"].as_array().expect("partitions") {
        let ranges = path.iter().fold(p, |at, key| &at[*key]);
        for range in ranges.as_array().expect("ranges") {
            let number = p["partition"].as_u64().expect("a number") as usize;
            let (from, to) = (range[0].as_i64().expect("an offset"), range[1].as_i64().expect("an offset"));
            found.extend((from..to).map(|o| (number, o)));
        }
    }
    found
}

fn check(topic: &Value, truth: &Truth) {
    assert_eq!(offsets(topic, &["missing_ranges"]), truth.missing, "missing");
    assert_eq!(offsets(topic, &["only_target_ranges"]), truth.only_green, "only on green");
    assert_eq!(offsets(topic, &["duplicated", "target", "ranges"]), truth.doubled, "duplicated on green");
    assert!(offsets(topic, &["duplicated", "source", "ranges"]).is_empty());
    let moved = |p: &Value| -> Vec<(usize, i64, i64)> {
        let number = p["partition"].as_u64().expect("a number") as usize;
        let moved = p["reordered"]["moved"].as_array().expect("a list");
        moved.iter().map(|m| (number, m["source"].as_i64().unwrap(), m["target"].as_i64().unwrap())).collect()
    };
    let found: BTreeSet<_> = topic["partitions"].as_array().expect("partitions").iter().flat_map(moved).collect();
    assert_eq!(found, truth.swapped, "reordered");
    assert_eq!(topic["found"]["equal"], json!(truth.equal));
    assert_eq!(topic["found"]["unsettled"], json!(0));
}

/// A topic of one partition with a configuration of its own on each cluster.
fn topic_of_both(name: &str, blue: &[(&str, &str)], green: &[(&str, &str)]) -> String {
    let topic = unique(name);
    create_topic(&pair().blue, &topic, 1, blue);
    create_topic(&pair().green, &topic, 1, green);
    topic
}

fn topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    let topic = unique(name);
    create_topic(&pair().blue, &topic, partitions, config);
    create_topic(&pair().green, &topic, partitions, config);
    topic
}

const SMALL: Faulty = Faulty { partitions: 6, records: 60_000, keys: 500, faults: 60, bytes: 100, seed: 7 };

#[test]
fn injected_faults_are_found_exactly() {
    let topic = topic("faulty", SMALL.partitions as i32, &[]);
    let truth = SMALL.write(&topic, &pair().blue, &pair().green);
    let dir = plan("");
    let (code, report, _) = run(dir.path(), &["--topic", &topic]);
    assert_eq!((code, &report["verdict"]), (3, &json!("differs")));
    check(&report["topics"][0], &truth);
    // A fault of each kind: one record less, two more, two in other places.
    assert_eq!(report["read"], json!(2 * SMALL.records + SMALL.faults));
    // With so little memory that most of it goes through files, and slowly.
    let (code, again, _) = run(dir.path(), &["--topic", &topic, "--memory", "4MiB", "--rate", "8MB/s"]);
    assert_eq!(code, 3);
    assert_eq!(again["topics"], report["topics"]);
    assert!(!dir.path().join(".cutover/diff").exists(), "nothing stays behind");
    // What was missing one way is extra the other way.
    let (code, turned, _) = run(dir.path(), &["--topic", &topic, "--source", "green"]);
    assert_eq!(code, 3);
    assert_eq!(offsets(&turned["topics"][0], &["only_target_ranges"]), truth.missing);
    assert_eq!(offsets(&turned["topics"][0], &["missing_ranges"]), truth.only_green);
    assert_eq!(offsets(&turned["topics"][0], &["duplicated", "source", "ranges"]), truth.doubled);
}

/// Killed again and again, it goes on where it was last saved, and finds the same.
#[test]
fn it_survives_kill_9_and_finds_the_same() {
    let topic = topic("killed", SMALL.partitions as i32, &[]);
    let truth = SMALL.write(&topic, &pair().blue, &pair().green);
    let dir = plan("");
    let args = ["--topic", &topic, "--rate", "400kB/s", "--progress", "json", "--memory", "4MiB"];
    // An interrupt saves; the kill afterwards finds that.
    let mut child = command(dir.path(), &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let _open = wait_for_progress(&mut child);
    signal(&child, "-INT");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    for _ in 0..2 {
        let resume = [&args[..], &["--resume"]].concat();
        let mut child =
            command(dir.path(), &resume).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
        let _open = wait_for_progress(&mut child);
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }
    let (code, report, output) = run(dir.path(), &["--topic", &topic, "--resume"]);
    assert_eq!(code, 3, "{}", String::from_utf8_lossy(&output.stderr));
    check(&report["topics"][0], &truth);
    let (read, all) = (report["read"].as_u64().expect("a number"), 2 * SMALL.records as u64);
    assert!(read >= all, "{read} of {all}");
    let nothing = command(dir.path(), &["--topic", &topic, "--resume"]).output().expect("it runs");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is nothing to resume"));
}

/// Waits for a line of progress that says that something was read.
fn wait_for_progress(child: &mut std::process::Child) -> impl Sized + use<> {
    use std::io::BufRead as _;
    let lines = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let read = lines.lines().map_while(Result::ok).filter_map(|l| serde_json::from_str::<Value>(&l).ok());
    let mut read = read.filter(|p| p["records"].as_u64().is_some_and(|n| n > 0));
    assert!(read.next().is_some(), "it ended before it was interrupted");
    read // its end of the pipe stays open
}

fn signal(child: &std::process::Child, which: &str) {
    let status = Command::new("kill").args([which, &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

/// Records on one side: (partition, key, value, timestamp).
fn write(broker: &Broker, topic: &str, records: &[(i32, Option<&str>, Option<&str>, i64)]) {
    let writer = RecordWriter::open(&ClientProperties::default(), &broker.bootstrap, WITHIN).expect("a writer");
    send(&writer, topic, records);
    writer.flush().expect("written");
}

fn send(writer: &RecordWriter, topic: &str, records: &[(i32, Option<&str>, Option<&str>, i64)]) {
    for (partition, key, value, ts) in records {
        let record = Outgoing {
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            timestamp: Some(*ts),
            headers: &[],
        };
        writer.send(&TopicPartition::new(topic, *partition), &record).expect("sent");
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

#[test]
fn ranges_have_edges_and_logs_have_beginnings() {
    let topic = topic("edges", 1, &[]);
    let t = now() - 7_200_000;
    let at = |value: &'static str, ms: i64| (0, Some("k"), Some(value), t + ms);
    // Before dual writing began, and then a failed send at offset 4.
    let old = [at("old-1", 0), at("old-2", 600_000)];
    let blue = [at("a", 1_200_000), at("b", 1_201_000), at("lost", 1_230_000), at("c", 1_260_000), at("d", 1_300_000)];
    let green = [at("a", 1_200_040), at("b", 1_200_990), at("c", 1_260_001), at("d", 1_300_900)];
    write(&pair().blue, &topic, &old);
    write(&pair().blue, &topic, &blue);
    write(&pair().green, &topic, &green);
    let dir = plan("");
    let ranges = |args: &[&str]| {
        let (code, report, _) = run(dir.path(), &[&["--topic", &topic], args].concat());
        let topic = &report["topics"][0];
        (
            code,
            offsets(topic, &["missing_ranges"]),
            offsets(topic, &["only_target_ranges"]),
            topic["found"]["equal"].clone(),
        )
    };
    let none = BTreeSet::new;
    let lost = BTreeSet::from([(0, 4)]);
    assert_eq!(ranges(&[]), (3, lost.clone(), none(), json!(4)));
    let time = |ms: i64| (t + ms).to_string();
    // `b` lies before this start on green and after it on blue, `d` the other way round at the end.
    let within = ranges(&["--from-time", &time(1_201_000), "--to-time", &time(1_300_500)]);
    assert_eq!(within, (3, lost.clone(), none(), json!(3)));
    assert_eq!(
        ranges(&["--from-time", &time(1_250_000), "--to-time", &time(1_290_000)]),
        (0, none(), none(), json!(1))
    );
    // Asked for, the past counts.
    let all = ranges(&["--from-time", &time(0)]);
    assert_eq!(all, (3, BTreeSet::from([(0, 0), (0, 1), (0, 4)]), none(), json!(4)));
    let of = ["--partition", "0", "--from-offset", "3", "--to-offset", "6"];
    assert_eq!(ranges(&of), (3, lost, none(), json!(2)));
    assert_eq!(ranges(&["--partition", "0", "--from-offset", "5"]), (0, none(), none(), json!(2)));
}

#[test]
fn what_is_young_is_unsettled_and_what_is_absent_is_unknown() {
    let (young, empty, absent) = (topic("young", 1, &[]), topic("empty", 1, &[]), unique("absent"));
    let t = now();
    let both = [(0, None, Some("a"), t - 3_000_000), (0, None, Some("b"), t)];
    write(&pair().blue, &young, &both);
    write(&pair().blue, &young, &[(0, None, Some("still on its way"), t)]);
    write(&pair().green, &young, &both);
    create_topic(&pair().blue, &absent, 1, &[]);
    write(&pair().blue, &empty, &both);
    let dir = plan("");
    let (code, report, _) = run(dir.path(), &["--topic", &young]);
    let found = &report["topics"][0]["found"];
    assert_eq!((code, &found["missing"], &found["unsettled"], &found["equal"]), (4, &json!(0), &json!(1), &json!(2)));
    let (code, report, _) = run(dir.path(), &["--topic", &young, "--topic", &absent, "--topic", &empty]);
    assert_eq!((code, &report["verdict"]), (4, &json!("unknown")));
    let said = report["topics"].to_string();
    assert!(said.contains(&format!("there is no topic {absent} on green")), "{said}");
    assert!(said.contains(&format!("green holds no record of {empty}, blue does")), "{said}");
    // With a plan that says how late a twin may be, it is missing.
    let dir = plan(&format!("[[topics]]\nname = \"{young}\"\narrival_skew = \"1ms\"\n"));
    let (code, report, _) = run(dir.path(), &["--topic", &young]);
    assert_eq!((code, &report["topics"][0]["found"]["missing"]), (3, &json!(1)));
}

/// Aborted records and markers are none; a compacted log, other partitions: what that explains is no difference.
#[test]
fn transactions_compaction_and_other_partitions_are_understood() {
    let (tx, compact) = (topic("tx", 1, &[]), topic("compacted", 1, &[("cleanup.policy", "compact")]));
    let t = now() - 3_600_000;
    let records: Vec<_> =
        (0..20).map(|n| (0, Some(["x", "y"][n % 2]), Some(["1", "2", "3", "4"][n % 4]), t + n as i64)).collect();
    let properties = ClientProperties::default();
    for (broker, batches) in [(&pair().blue, 20), (&pair().green, 3)] {
        let writer =
            RecordWriter::open_transactional(&properties, &broker.bootstrap, &unique("tx"), WITHIN).expect("a writer");
        for batch in records.chunks(records.len().div_ceil(batches)) {
            writer.begin().expect("begun");
            send(&writer, &tx, &[(0, Some("x"), Some("aborted"), t)]);
            writer.flush().expect("written");
            writer.abort().expect("aborted");
            writer.begin().expect("begun");
            send(&writer, &tx, batch);
            writer.commit().expect("committed");
        }
    }
    // Green kept what a cleaner leaves; a key's last record is what matters.
    let state =
        [(0, Some("x"), Some("old"), t), (0, Some("y"), Some("kept"), t + 1), (0, Some("x"), Some("new"), t + 2)];
    write(&pair().blue, &compact, &state);
    write(&pair().green, &compact, &state[1..]);
    let dir = plan("");
    let (code, report, _) = run(dir.path(), &["--topic", &tx, "--topic", &compact]);
    assert_eq!(code, 0, "{report:#}");
    let of = |topic: &str| report["topics"].as_array().unwrap().iter().find(|t| t["topic"] == *topic).unwrap().clone();
    assert_eq!(of(&tx)["found"]["equal"], json!(20));
    assert_eq!(of(&compact)["found"]["superseded"], json!(1));
    write(&pair().blue, &compact, &[(0, Some("y"), Some("newest"), t + 3)]);
    assert_eq!(run(dir.path(), &["--topic", &compact]).0, 3);

    let spread = unique("spread");
    create_topic(&pair().blue, &spread, 2, &[]);
    create_topic(&pair().green, &spread, 3, &[]);
    let values: Vec<String> = (0..60).map(|n| format!("v{n}")).collect();
    let write_to = |broker: &Broker, partitions: usize, leave: Option<usize>| {
        let record = |n: usize| {
            let key = n % 6;
            let name = ["a", "b", "c", "d", "e", "f"][key];
            ((key % partitions) as i32, Some(name), Some(values[n].as_str()), t + n as i64)
        };
        let records: Vec<_> = (0..60).filter(|n| Some(*n) != leave).map(record).collect();
        write(broker, &spread, &records);
    };
    write_to(&pair().blue, 2, None);
    write_to(&pair().green, 3, Some(31));
    let (code, report, _) = run(dir.path(), &["--topic", &spread]);
    let topic = &report["topics"][0];
    // Record 31 is the 16th of blue's partition 1, which holds the odd ones.
    assert_eq!((code, offsets(topic, &["missing_ranges"])), (3, BTreeSet::from([(1, 15)])), "{topic:#}");
    assert_eq!((&topic["found"]["equal"], &topic["found"]["reordered"]), (&json!(59), &json!(0)));
}

#[test]
fn what_an_open_transaction_holds_is_not_missing() {
    let open = topic("open", 1, &[]);
    let t = now() - 3_600_000;
    let records = [(0, Some("k"), Some("a"), t), (0, Some("k"), Some("b"), t + 1), (0, Some("k"), Some("c"), t + 2)];
    write(&pair().blue, &open, &records);
    write(&pair().green, &open, &records[..1]);
    let green = &pair().green.bootstrap;
    let writer =
        RecordWriter::open_transactional(&ClientProperties::default(), green, &unique("tx"), WITHIN).expect("a writer");
    writer.begin().expect("begun");
    send(&writer, &open, &records[1..]);
    writer.flush().expect("written");
    let dir = plan("");
    let (code, report, _) = run(dir.path(), &["--topic", &open]);
    let found = &report["topics"][0]["found"];
    assert_eq!((code, &found["missing"], &found["unsettled"]), (4, &json!(0), &json!(2)), "{report:#}");
    let said = format!("an open transaction on green holds {open}-0 from offset 1 on");
    assert!(report["topics"][0]["remarks"].to_string().contains(&said), "{report:#}");
    // A range that ends inside of it can't be read whole.
    let of = ["--topic", &open, "--from-time", &t.to_string(), "--to-time", &(t + 3).to_string()];
    assert_eq!(run(dir.path(), &of).0, 4);
    writer.commit().expect("committed");
    assert_eq!(run(dir.path(), &["--topic", &open]).0, 0);
}

#[test]
fn what_an_open_transaction_holds_on_both_is_not_equal() {
    let open = topic("hidden", 1, &[]);
    let t = now() - 3_600_000;
    let records = [(0, Some("k"), Some("a"), t), (0, Some("k"), Some("b"), t + 1)];
    write(&pair().blue, &open, &records);
    write(&pair().green, &open, &records);
    let dir = plan("");
    assert_eq!(run(dir.path(), &["--topic", &open]).0, 0);
    let blue = &pair().blue.bootstrap;
    let writer =
        RecordWriter::open_transactional(&ClientProperties::default(), blue, &unique("tx"), WITHIN).expect("a writer");
    writer.begin().expect("begun");
    send(&writer, &open, &records[..1]);
    writer.flush().expect("written");
    let (code, report, _) = run(dir.path(), &["--topic", &open]);
    let (found, unknown) = (&report["topics"][0]["found"], report["topics"][0]["unknown"].to_string());
    assert_eq!((code, &found["missing"], &found["equal"]), (4, &json!(0), &json!(2)), "{report:#}");
    let said = format!("an open transaction on blue holds {open}-0 from offset 2 on, and has not moved");
    assert!(unknown.contains(&said), "{unknown}");
    writer.abort().expect("aborted");
    assert_eq!(run(dir.path(), &["--topic", &open]).0, 0);
}

/// Records that green refuses, as their time lies too far ahead of its clock (KIP-937), come never: they are missing at the
/// first look, whatever stands around them. Where nothing tells, they are not judged, and nothing is clean.
#[test]
fn a_time_that_lies_ahead_hides_no_missing_record() {
    const HOUR: i64 = 3_600_000;
    let ahead = topic_of_both("ahead", &[("message.timestamp.after.max.ms", "9223372036854775807")], &[]);
    let free = topic("free", 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]);
    let t = now();
    let dir = plan("");
    for (topic, name) in [(&ahead, "ahead"), (&free, "free")] {
        let old = [(0, Some("k"), Some("a"), t - HOUR), (0, Some("k"), Some("b"), t - HOUR + 1)];
        let micros = t * 1_000;
        write(&pair().blue, topic, &old);
        write(&pair().green, topic, &old);
        write(&pair().blue, topic, &[(0, Some("k"), Some("c"), t + 2 * HOUR), (0, Some("k"), Some("d"), micros)]);
        let (code, report, _) = run(dir.path(), &["--topic", topic]);
        let found = &report["topics"][0]["found"];
        let told = (code, &found["missing"], &found["unsettled"], &found["equal"]);
        match name {
            "ahead" => assert_eq!(told, (3, &json!(2), &json!(0), &json!(2)), "{report:#}"),
            _ => assert_eq!(told, (4, &json!(0), &json!(2), &json!(2)), "{report:#}"),
        }
    }
    // What came after them is old and on both: so are they.
    let later = [(0, Some("k"), Some("e"), t - HOUR + 2)];
    write(&pair().blue, &free, &later);
    write(&pair().green, &free, &later);
    let (code, report, _) = run(dir.path(), &["--topic", &free]);
    assert_eq!((code, &report["topics"][0]["found"]["missing"]), (3, &json!(2)), "{report:#}");
}

/// The same for a group that has not read them, and for a replay that can't bring them there.
#[test]
fn what_green_refuses_is_missing_for_its_readers_and_no_replay_is_begun() {
    use rdkafka::{Offset, TopicPartitionList};
    const HOUR: i64 = 3_600_000;
    let topic = topic_of_both("refused", &[("message.timestamp.after.max.ms", "9223372036854775807")], &[]);
    let (t, group) = (now(), unique("readers"));
    let old = [(0, Some("k"), Some("a"), t - HOUR), (0, Some("k"), Some("b"), t - HOUR + 1)];
    write(&pair().blue, &topic, &old);
    write(&pair().green, &topic, &old);
    let ahead: Vec<_> = (0..3).map(|n| (0, Some("k"), Some("c"), t + 2 * HOUR + n)).collect();
    write(&pair().blue, &topic, &ahead);
    let consumer = kafka::consumer(&pair().blue, &group, &[]);
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(&topic, 0, Offset::Offset(1)).expect("a partition");
    commit(&consumer, &at);
    let dir =
        plan(&format!("[[groups]]\nname = {group:?}\ntopics = [{topic:?}]\nswitch = {{ provider = \"manual\" }}\n"));
    let cutover = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover")).current_dir(dir.path()).args(args).output().unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = cutover(&["offsets", "plan", "--group", &group, "--json"]);
    let plan: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let p = &plan["partitions"][0];
    assert_eq!((code, &p["missing"], &p["missing_ranges"]), (Some(3), &json!(3), &json!([[2, 5]])), "{plan:#}");
    let (code, out, err) = cutover(&["replay", "--group", &group, "--dry-run"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("message.timestamp.after.max.ms"), "{out}{err}");
    assert_eq!(kafka::end_offsets(&pair().green, &topic)[&0], (0, 2), "nothing was sent");
}

#[test]
fn a_cluster_that_does_not_answer_is_unknown() {
    let green = kafka::take_port();
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"127.0.0.1:{}\"\n",
        pair().blue.bootstrap,
        green.number
    );
    std::fs::write(dir.path().join("cutover.toml"), text).expect("a plan");
    let (code, report, output) = run(dir.path(), &["--topic", "t"]);
    assert_eq!((code, &report["ok"]), (4, &json!(false)));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("green") && said.contains(&green.number.to_string()), "{said}");
}

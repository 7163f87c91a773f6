//! `cutover offsets plan|apply` on two real clusters, from outside: what is refused and what it takes to pass, exit
//! codes, JSON, the journal, and the file that Kafka's own tool reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use cutover::base::Side;
use cutover::kafka::control::{Cluster, SnapshotOptions};
use cutover::kafka::properties::ClientProperties;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::Value;

use crate::support::kafka::admin::{block_on, delete_topic};
use crate::support::kafka::{Broker, Pair, commit_offsets, consumer, create_topic, pair, producer, tool};
use crate::support::unique;

const WAIT: Duration = Duration::from_secs(240);
const GROUPS_TOOL: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const RECORDS: i64 = 100;

/// A topic of two partitions that both clusters hold, under another name on green, but for five records that no group
/// has consumed; and groups at 60 and at the end of it.
struct World {
    pair: &'static Pair,
    dir: tempfile::TempDir,
    topic: String,
    there: String,
    groups: Vec<String>,
}

impl World {
    fn new(groups: &[&str], on_green: bool) -> Self {
        let (pair, topic) = (pair(), unique("loans"));
        let there = format!("psc.{topic}");
        let groups: Vec<String> = groups.iter().map(|g| unique(g)).collect();
        create_topic(&pair.blue, &topic, 2, &[]);
        write(&pair.blue, &topic, |_, _| true);
        if on_green {
            create_topic(&pair.green, &there, 2, &[]);
            write(&pair.green, &there, |p, i| p != 0 || !(70..75).contains(&i));
        }
        for group in &groups {
            commit_offsets(&pair.blue, group, &topic, &[60, RECORDS]);
        }
        let dir = tempfile::tempdir().unwrap();
        let mut plan = format!(
            "[migration]\nname = \"doors\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.green]\nbootstrap = {:?}\n\
             [[topics]]\nname = {topic:?}\ngreen_name = {there:?}\narrival_skew = \"1s\"\n",
            pair.blue.bootstrap, pair.green.bootstrap
        );
        for group in &groups {
            plan += &format!("[[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n");
        }
        std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
        Self { pair, dir, topic, there, groups }
    }

    fn cutover(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(self.dir.path()).env_remove("CUTOVER_PLAN").args(args);
        let output = command.output().unwrap();
        println!("$ cutover {}\n{}{}", args.join(" "), text(&output.stdout), text(&output.stderr));
        output
    }

    /// Runs it, holds the exit code, and gives what stands on both streams.
    fn ends(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.cutover(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    fn json(&self, code: i32, args: &[&str]) -> Value {
        let (out, _) = self.ends(code, &[args, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("JSON alone on standard output ({e}): {out}"))
    }

    fn on_green(&self, group: &str) -> Vec<Option<i64>> {
        committed(&self.pair.green, group, &self.there)
    }

    /// What the tool would set with a file, by topic and partition.
    fn tool_says(&self, groups: &[&str], file: &Path) -> BTreeMap<(String, i64), i64> {
        let mut args = vec!["--bootstrap-server", &self.pair.green.bootstrap, "--reset-offsets", "--dry-run"];
        groups.iter().for_each(|g| args.extend(["--group", g]));
        args.extend(["--from-file", file.to_str().unwrap()]);
        let said = tool(GROUPS_TOOL, &args);
        println!("{said}");
        let row = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().rev().collect();
            let [offset, partition, topic] = words.get(..3)?.try_into().ok()?;
            Some(((String::from(topic), partition.parse().ok()?), offset.parse().ok()?))
        };
        said.lines().filter_map(row).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes the numbered records of both partitions that `which` wants, with timestamps ten minutes old.
fn write(broker: &Broker, topic: &str, which: impl Fn(i32, i64) -> bool) {
    let then = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let then = i64::try_from(then).unwrap() - 600_000;
    let writer = producer(broker, &[]);
    for (p, i) in (0..2).flat_map(|p| (0..RECORDS).map(move |i| (p, i))).filter(|(p, i)| which(*p, *i)) {
        let (key, payload) = (format!("k{i}"), format!("record {p} {i}"));
        let record = BaseRecord::to(topic).partition(p).key(&key).payload(&payload).timestamp(then + i);
        writer.send(record).map_err(|(e, _)| e).unwrap();
    }
    writer.flush(WAIT).unwrap();
}

fn committed(broker: &Broker, group: &str, topic: &str) -> Vec<Option<i64>> {
    let mut list = TopicPartitionList::new();
    (0..2).for_each(|p| {
        list.add_partition(topic, p);
    });
    let found = consumer(broker, group, &[]).committed_offsets(list, WAIT).unwrap();
    found.elements().iter().map(|e| e.offset().to_raw().filter(|o| *o >= 0)).collect()
}

#[test]
fn a_loss_is_set_only_by_name_and_price_and_both_stand_in_the_journal() {
    let world = World::new(&["it's a \"team\", of x"], true);
    let g = world.groups[0].as_str();
    let yes = format!("--yes={g}");

    let plan = world.json(3, &["offsets", "plan", "--group", g]);
    let p = &plan["partitions"][0];
    assert_eq!((p["missing"].as_u64(), &p["missing_ranges"]), (Some(5), &serde_json::json!([[70, 75]])), "{p}");
    let (words, _) = world.ends(3, &["offsets", "plan", "--group", g, "--records"]);
    for wanted in ["MISSING 5", "[70,75)", "cutover replay --group '", "--- committed 60 ---"] {
        assert!(words.contains(wanted), "{wanted:?} is not in:\n{words}");
    }

    assert!(words.contains("key k59") && !words.contains("record 0 59"), "values are hidden:\n{words}");
    let (words, _) = world.ends(3, &["offsets", "plan", "--group", g, "--records", "--show-values"]);
    assert_eq!(words.matches("value record 0 59").count(), 2, "on both sides of the cut:\n{words}");

    let (_, err) = world.ends(3, &["offsets", "apply", "--group", g, &yes]);
    assert!(err.contains("5 records are MISSING") && err.contains("--override missing"), "{err}");
    world.ends(2, &["offsets", "apply", "--group", g, &yes, "--override", "missing"]);
    let over = ["--override", "missing", "--reason", "re-run at night"];
    world.ends(1, &[&["offsets", "apply", "--group", g][..], &over].concat());
    assert_eq!(world.on_green(g), [None, None], "nothing was committed so far");

    let done = world.json(0, &[&["offsets", "apply", "--group", g, &yes, "--export", "plan.csv"][..], &over].concat());
    let rows = done["offsets"]["partitions"].as_array().unwrap();
    let after: Vec<Option<i64>> = rows.iter().map(|r| r["after"].as_i64()).collect();
    assert_eq!(after, [Some(60), Some(RECORDS)]);
    assert!(rows.iter().all(|r| r["before"].is_null() && !r["read"]["source"].is_null()), "{rows:?}");
    assert_eq!(world.on_green(g), after);
    assert_eq!(done["run"]["passed_over"][0]["reason"], "re-run at night", "{done}");

    let file = std::fs::read_to_string(world.dir.path().join("plan.csv")).unwrap();
    assert_eq!(file, format!("{0},0,60\n{0},1,{RECORDS}\n", world.there));
    let (journal, _) = world.ends(0, &["journal", "show"]);
    for wanted in [
        "confirmed with",
        "accepts missing at most 5: re-run at night",
        "5 records are MISSING on green; passed over (gate missing) by",
        &format!("{}-0: none -> 60", world.topic),
        &format!("{}-0: was none, reads 60", world.topic),
    ] {
        assert!(journal.contains(wanted), "{wanted:?} is not in:\n{journal}");
    }
}

#[test]
fn the_file_is_what_the_tool_reads() {
    let world = World::new(&["a,\"b\" c", "plain"], true);
    let (one, two) = (world.groups[0].as_str(), world.groups[1].as_str());
    let offsets = |world: &World| BTreeMap::from([((world.there.clone(), 0), 60), ((world.there.clone(), 1), RECORDS)]);
    let (csv, _) = world.ends(3, &["offsets", "plan", "--group", one, "--csv"]);
    let file = world.dir.path().join("one.csv");
    std::fs::write(&file, csv).unwrap();
    assert_eq!(world.tool_says(&[one], &file), offsets(&world));

    let both = ["offsets", "plan", "--group", one, "--group", two];
    let (_, err) = world.ends(3, &[&both[..], &["--export", "two.csv"]].concat());
    assert!(err.contains("two.csv written"), "{err}");
    assert_eq!(world.tool_says(&[one, two], &world.dir.path().join("two.csv")), offsets(&world));
    world.ends(1, &[&both[..], &["--export", "two.csv"]].concat());
    world.ends(3, &[&both[..], &["--export", "two.csv", "--force"]].concat());
    let all = world.json(3, &both);
    let named: Vec<&Value> = all["groups"].as_array().unwrap().iter().map(|g| &g["group"]).collect();
    assert_eq!(named, [one, two]);
    world.ends(2, &["offsets", "plan", "--group", one, "--csv", "--json"]);
}

#[test]
fn latest_skips_what_it_names_and_takes_a_reason() {
    let world = World::new(&["fresh"], true);
    let g = world.groups[0].as_str();
    let yes = format!("--yes={g}");
    let by = ["offsets", "apply", "--group", g, &yes, "--strategy", "latest"];
    let (_, err) = world.ends(2, &by);
    assert!(err.contains("--reason"), "{err}");
    let because = [&by[..], &["--reason", "start afresh"]].concat();
    let (_, err) = world.ends(3, &because);
    assert!(err.contains("--override missing"), "{err}");
    world.ends(3, &[&because[..], &["--override", "missing"]].concat());
    assert_eq!(world.on_green(g), [None, None]);
    let (out, _) = world.ends(0, &[&because[..], &["--override", "missing", "--override", "guess"]].concat());
    assert!(out.contains("passed over the gate guess") && out.contains("start afresh"), "{out}");
    assert_eq!(world.on_green(g), [Some(RECORDS - 5), Some(RECORDS)]);

    // now the commits on green are this journal's own: a proven plan may set them back
    let back = ["offsets", "apply", "--group", g, &yes, "--override", "missing", "--reason", "known"];
    world.ends(0, &back);
    assert_eq!(world.on_green(g), [Some(60), Some(RECORDS)]);
}

#[test]
fn a_newer_commit_of_somebody_else_is_set_back_only_by_name() {
    let world = World::new(&["foreign"], true);
    let g = world.groups[0].as_str();
    let yes = format!("--yes={g}");
    commit_offsets(&world.pair.green, g, &world.there, &[90, 3]);
    let over = ["offsets", "apply", "--group", g, &yes, "--reason", "a test wrote it", "--override", "missing"];
    let (_, err) = world.ends(3, &over);
    assert!(err.contains("ahead of 60") && err.contains("--override newer-commit"), "{err}");
    assert_eq!(world.on_green(g), [Some(90), Some(3)]);
    let done = world.json(0, &[&over[..], &["--override", "newer-commit"]].concat());
    assert_eq!(done["prepared"]["level"]["typed"], format!("offsets green {g} lose 5 rewind 30"), "{done}");
    assert_eq!(done["offsets"]["partitions"][0]["before"], 90);
    assert_eq!(world.on_green(g), [Some(60), Some(RECORDS)]);
}

#[test]
fn where_there_is_no_offset_nothing_can_be_passed_over() {
    let world = World::new(&["nowhere"], false);
    let g = world.groups[0].as_str();
    let yes = format!("--yes={g}");
    let plan = world.json(1, &["offsets", "plan", "--group", g]);
    assert_eq!(plan["verdict"], "unmappable");
    assert!(plan["totals"]["missing"].is_null(), "unknown is not 0");
    let gates = ["--override", "missing", "--override", "guess", "--override", "unsettled", "--reason", "x"];
    let all = [&["offsets", "apply", "--group", g, &yes][..], &gates].concat();
    let (_, err) = world.ends(1, &all);
    assert!(err.contains("does not exist on green"), "{err}");
}

#[test]
fn a_topic_that_is_created_again_is_another_one() {
    let (pair, topic) = (pair(), unique("again"));
    let id = || {
        let cluster = Cluster::new(Side::Green, &pair.green.bootstrap, &ClientProperties::default());
        let view = block_on(async { cluster.snapshot(&SnapshotOptions::default()).await }).unwrap();
        view.topics.get(&topic).and_then(|t| t.id.clone())
    };
    create_topic(&pair.green, &topic, 1, &[]);
    let first = id().expect("Kafka 4 gives topic ids");
    assert_eq!(id().as_deref(), Some(first.as_str()));
    delete_topic(&pair.green, &topic);
    let gone = std::time::Instant::now();
    while id().is_some() {
        assert!(gone.elapsed() < WAIT, "the topic is still there");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    create_topic(&pair.green, &topic, 1, &[]);
    assert_ne!(id().expect("it is there again"), first);
}

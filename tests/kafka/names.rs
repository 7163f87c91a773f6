//! Group ids that attack whoever reads them, on real Kafka: anybody who may join a group chooses its id. Every output of
//! the program is read byte by byte; the ids stay what they are where they go back to Kafka.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cutover::base::sanitise::{is_clean, visible_name};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::kafka::{commit_offsets, consumer, create_topic, pair};
use crate::support::unique;
use crate::watch::cutover;

/// What each id ends in: titles, clipboards, line breaks, C1, bidi, and what looks like the plain one.
const ENDS: &[&str] = &[
    "",
    " ",
    "\u{1b}]0;x\u{7}\u{1b}]52;c;eA==\u{7}\u{1b}[2J",
    "\r\n12:00:00 group other: complete",
    "\u{9b}31m\u{7f}\u{85}",
    "\u{202e}\u{2066}",
    "\u{200b}",
    "\u{200d}",
    "\\u{200b}",
    "\u{430}",
    "e\u{301}",
];

/// No line of it holds what a terminal obeys or hides.
fn harmless(what: &str, text: &str) {
    for line in text.lines() {
        assert!(is_clean(line), "{what}: {line:?}");
    }
}

/// What a program that goes on says until each of `wanted` was in a line; then it is ended.
fn says(dir: &Path, args: &[&str], wanted: &[String]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(dir).env_remove("CUTOVER_PLAN").args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut left: Vec<&String> = wanted.iter().collect();
    let mut lines = Vec::new();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tx, told) = mpsc::channel();
    std::thread::spawn(move || out.split(b'\n').map_while(Result::ok).try_for_each(|line| tx.send(line)));
    // A bound on silence, not on the whole: a busy machine may take its time.
    while let Ok(line) = told.recv_timeout(Duration::from_secs(60)) {
        let line = String::from_utf8(line).expect("UTF-8");
        left.retain(|wanted| !line.contains(wanted.as_str()));
        lines.push(line);
        if left.is_empty() {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(left.is_empty(), "{args:?} never said {left:#?}: {lines:#?}");
    lines
}

#[test]
fn hostile_group_ids_drive_nothing_and_stay_addressable() {
    let (pair, topic, base) = (pair(), unique("names"), unique("readers"));
    create_topic(&pair.blue, &topic, 1, &[]);
    create_topic(&pair.green, &topic, 1, &[]);
    let ids: Vec<String> = ENDS.iter().map(|end| format!("{base}{end}")).collect();
    ids.iter().for_each(|id| commit_offsets(&pair.blue, id, &topic, &[0]));
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let group = |end: &str| format!("[[groups]]\nname = \"{base}{end}\"\ntopics = [\"{topic}\"]\n");
    let plan = format!(
        "[migration]\nname = \"names\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.green]\nbootstrap = {:?}\n{}{}{}",
        pair.blue.bootstrap,
        pair.green.bootstrap,
        group(" "),
        group("\\u200b"),
        group("\\u001b]0;x\\u0007\\u001b]52;c;eA==\\u0007\\u001b[2J"),
    );
    std::fs::write(dir.join("cutover.toml"), plan).unwrap();

    // each is told, each as a name of its own
    let shown: Vec<String> = ids.iter().map(|id| visible_name(id)).collect();
    let (_, lag, said) = cutover(dir, &["lag"]);
    harmless("lag", &(lag.clone() + &said));
    for name in &shown {
        let rows = lag.lines().filter(|l| l.split("  ").next() == Some(name)).count();
        assert_eq!(rows, 1, "{name} in\n{lag}");
    }
    for args in [&["status"][..], &["plan", "check"], &["offsets", "plan", "--to", "green", "--group", &ids[2]]] {
        let (_, out, said) = cutover(dir, args);
        harmless(&args.join(" "), &(out + &said));
    }
    let (_, json, _) = cutover(dir, &["lag", "--json"]);
    assert!(json.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let told: Vec<&str> = json["groups"].as_array().unwrap().iter().filter_map(|g| g["group"].as_str()).collect();
    assert!(ids.iter().all(|id| told.contains(&id.as_str())), "as Kafka has them: {told:?}");

    // the id of a space at its end is confirmed as it is shown, and the offset lands in that group
    let (code, out, said) = cutover(dir, &["offsets", "apply", "--to", "green", "--group", &ids[1]]);
    assert!(code == Some(1) && said.contains(&format!("--yes='{}'", ids[1])), "{out}{said}");
    for (id, yes) in [(&ids[1], &shown[1]), (&ids[6], &shown[6])] {
        let args = ["offsets", "apply", "--to", "green", "--group", id, "--yes", yes];
        let (code, out, said) = cutover(dir, &args);
        assert_eq!(code, Some(0), "{out}{said}");
        harmless("apply", &(out + &said));
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        let wait = Duration::from_secs(30);
        let there = consumer(&pair.green, id, &[]).committed_offsets(list, wait).unwrap();
        assert_eq!(there.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(0), "{id:?}");
    }
    for args in [&["journal", "show"][..], &["journal", "export"], &["--log", "log", "status"]] {
        let (_, out, said) = cutover(dir, args);
        harmless(&args.join(" "), &(out + &said));
    }
    harmless("the log file", &std::fs::read_to_string(dir.join("log")).unwrap());

    // and what goes on says each on a line of its own
    let rows: Vec<String> = shown.iter().map(|name| format!(" group {name}: ")).collect();
    for args in [&["--plain", "--read-only"][..], &["watch"]] {
        says(dir, args, &rows).iter().for_each(|line| assert!(is_clean(line), "{args:?}: {line:?}"));
    }
    let rows: Vec<String> = ids
        .iter()
        .map(|id| cutover::base::sanitise::ascii_json(&serde_json::json!(id).to_string()).into_owned())
        .collect();
    for line in says(dir, &["watch", "--json"], &rows) {
        assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line:?}");
    }
}

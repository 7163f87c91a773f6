//! Groups that move between topics whose numbers of partitions differ: eight dual writers, live consumers, there and back.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::soak::rig::{PATIENT, SOON, write_plan};
use crate::support::kafka::{create_topic, pair};
use crate::support::workload::{Application, ApplicationOptions, Cluster, Switch, Traffic, TrafficOptions, audit};
use crate::support::{turns, unique};
use crate::watch::cutover;

/// Moves a group to green and back, and holds what its consumers saw to what was promised before each move.
fn there_and_back(blue: i32, green: i32) {
    turns::heavy();
    let (pair, topic, group, producer) = (pair(), unique("counts"), unique("counted"), unique("loan-api"));
    create_topic(&pair.blue, &topic, blue, &[]);
    create_topic(&pair.green, &topic, green, &[]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, state| Switch::file(&dir.path().join(format!("{name}.json")), name, state);
    let (flag, switch) = (file(&producer, "dual"), file(&group, "blue"));
    let bootstrap = [pair.blue.bootstrap.as_str(), pair.green.bootstrap.as_str()];
    let topics = [topic.clone()];
    let traffic = TrafficOptions {
        writers: 8,
        rate: 120,
        partitions: blue,
        green_partitions: Some(green),
        jitter: Duration::from_millis(80),
        flag: Some(flag.clone()),
        ..TrafficOptions::default()
    };
    let traffic = Traffic::start(bootstrap, &topics, &traffic);
    let options = ApplicationOptions {
        instances: 2,
        properties: vec![("session.timeout.ms".into(), "60000".into())],
        ..ApplicationOptions::default()
    };
    let application = Application::start(bootstrap, &group, &topics, &switch, &options);
    application.wait_processed(400, SOON);
    while application.behind(Cluster::Blue).values().any(|(at, _)| *at == 0) {
        application.wait_processed(application.processed() + 50, SOON);
    }
    let mut plan = String::from(PATIENT);
    for (kind, name, how) in [("producers", &producer, "flag"), ("groups", &group, "switch")] {
        let switch = if how == "flag" { flag.toml() } else { switch.toml() };
        let _ = write!(plan, "[[{kind}]]\nname = {name:?}\nteam = \"loans\"\ntopics = [{topic:?}]\n{how} = {switch}\n");
    }
    write_plan(dir.path(), &plan);

    let moves = |verb: &str, from: (&str, i32), to: (&str, i32)| {
        let (code, out, err) = cutover(dir.path(), &["--json", "group", verb, &group, &format!("--yes={group}")]);
        assert_eq!(code, Some(0), "{err}");
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"));
        let asked = said["prepared"]["warnings"].to_string();
        let word = format!("{topic} has {} partitions on {} and {} on {}", from.1, from.0, to.1, to.0);
        assert!(asked.contains(&word) && asked.contains("among other keys"), "{said}");
        let promised = said["run"]["predicted_re_read"].as_u64().unwrap_or_else(|| panic!("{said}"));
        application.wait_processed(application.processed() + 400, SOON);
        promised
    };
    let there = moves("cutover", ("blue", blue), ("green", green));
    let back = moves("rollback", ("green", green), ("blue", blue));
    let truth = traffic.stop();
    application.wait_caught_up(Cluster::Blue, SOON);
    let seen = audit(&truth, &application.stop());
    println!("{blue} to {green} and back: promised {there} and {back}; {seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
    // Each of its instances has a session on every cluster that it ran on; the first on blue reads nothing again.
    let cost = |on: Cluster| {
        let sessions = seen.sessions.iter().filter(|(_, cluster)| **cluster == on);
        sessions.map(|(session, _)| seen.re_read_by_session[session]).sum::<u64>()
    };
    assert_eq!((cost(Cluster::Green), cost(Cluster::Blue)), (there, back), "re-read as promised: {seen}");
}

#[test]
fn from_three_partitions_to_seven_and_back() {
    there_and_back(3, 7);
}

#[test]
fn from_seven_partitions_to_three_and_back() {
    there_and_back(7, 3);
}

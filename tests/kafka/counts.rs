//! Groups that move between topics whose numbers of partitions differ: eight dual writers, live consumers, there and back.

use serde_json::Value;

use crate::soak::rig::{Estate, PATIENT, SOON, write_plan};
use crate::support::turns;
use crate::support::workload::{Cluster, TrafficOptions};
use crate::watch::cutover;

/// Moves a group to green and back, and holds what its consumers saw to what was promised before each move.
fn there_and_back(blue: i32, green: i32) {
    turns::heavy();
    let dir = tempfile::tempdir().expect("a directory");
    let traffic = TrafficOptions {
        writers: 8,
        rate: 120,
        partitions: blue,
        green_partitions: Some(green),
        ..TrafficOptions::default()
    };
    let estate = Estate::start_with(dir.path(), &["counted"], &traffic, 2);
    write_plan(dir.path(), &format!("{PATIENT}{}", estate.toml("")));
    let (topic, group, application) = (&estate.topic, &estate.members[0].group, &estate.members[0].application);

    let moves = |verb: &str, from: (&str, i32), to: (&str, i32)| {
        let (code, out, err) = cutover(dir.path(), &["--json", "group", verb, group, &format!("--yes={group}")]);
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
    let (_, seen) = estate.audits(Cluster::Blue).remove(0);
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

//! `offsets apply` on real clusters: every partition, explicitly, read back; and when it must not commit.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cutover::base::Side;
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::ground::{Ground, PATIENCE, committed, fill};
use super::{commit, group_text, plan_text};
use crate::faults::{Desk, Ran};
use crate::support::kafka::{Broker, consumer, producer};
use crate::support::unique;

/// One line of what was said, for looking into.
fn said(ran: &Ran) -> String {
    ran.err.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A member that stays until it is dropped.
fn member(broker: &Broker, ground: &Ground) -> rdkafka::consumer::BaseConsumer {
    let member = consumer(broker, &ground.group, &[("client.id", "loan-audit-1")]);
    member.subscribe(&[&ground.topic]).expect("subscribed");
    let began = Instant::now();
    while member.assignment().expect("an assignment").count() == 0 {
        let _ = member.poll(Duration::from_millis(100));
        assert!(began.elapsed() < PATIENCE, "it never joined");
    }
    member
}

#[test]
fn every_partition_is_committed_and_reads_back() {
    let ground = Ground::new("applied", 3, 3);
    for broker in [&ground.pair.blue, &ground.pair.green] {
        for p in 0..2 {
            fill(broker, &ground.topic, p, (0..50).map(|n| format!("value {p} {n}").into_bytes()));
        }
    }
    // the last partition has never held anything: an offset of 0 is one too
    commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, 20), (&ground.topic, 1, 50), (&ground.topic, 2, 0)]);
    let ran = ground.apply(&ground.desk(), Side::Green);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let there = committed(&ground.pair.green, &ground.group, &ground.topic);
    assert_eq!(there, [(0, 20), (1, 50), (2, 0)], "{}", ran.err);
    // where it runs its offsets are its own
    let ran = ground.apply(&ground.desk(), Side::Blue);
    assert!(ran.code == Some(1) && said(&ran).contains("runs on blue"), "{}", ran.err);
    let here = committed(&ground.pair.blue, &ground.group, &ground.topic);
    assert_eq!(here, [(0, 20), (1, 50), (2, 0)], "{}", ran.err);
}

#[test]
fn a_group_that_is_active_on_green_is_refused() {
    let ground = Ground::twin("active", 40, 10);
    let member = member(&ground.pair.green, &ground);
    let ran = ground.apply(&ground.desk(), Side::Green);
    println!("{:?} {}", ran.code, said(&ran));
    assert!(matches!(ran.code, Some(1 | 3)), "{}", ran.err);
    assert!(said(&ran).contains("member"), "{}", ran.err);
    assert_eq!(committed(&ground.pair.green, &ground.group, &ground.topic), []);
    drop(member);
}

#[test]
fn a_newer_commit_that_is_not_ours_stands() {
    let ground = Ground::twin("newer", 40, 10);
    commit(&ground.pair.green, &ground.group, &[(&ground.topic, 0, 33)]);
    let ran = ground.apply(&ground.desk(), Side::Green);
    println!("{:?} {}", ran.code, said(&ran));
    assert!(matches!(ran.code, Some(1 | 3)), "{}", ran.err);
    assert!(said(&ran).contains("33") && said(&ran).contains("ahead of 10"), "{}", ran.err);
    assert_eq!(committed(&ground.pair.green, &ground.group, &ground.topic), [(0, 33)]);
    // an older one is in nobody's way
    commit(&ground.pair.green, &ground.group, &[(&ground.topic, 0, 5)]);
    let ran = ground.apply(&ground.desk(), Side::Green);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(committed(&ground.pair.green, &ground.group, &ground.topic), [(0, 10)]);
}

#[test]
fn another_cluster_at_the_address_is_refused() {
    let ground = Ground::twin("mismatch", 40, 10);
    let text = plan_text(&ground.pair.blue, &ground.pair.green, &group_text(&ground.group, &[&ground.topic]));
    let green = format!("bootstrap = \"{}\"\n", ground.pair.green.bootstrap);
    assert!(text.contains(&green));
    let pinned = text.replace(&green, &format!("{green}cluster_id = \"{}\"\n", ground.pair.blue.cluster_id));
    let ran = ground.apply(&Desk::new(&pinned), Side::Green);
    println!("{:?} {}", ran.code, said(&ran));
    assert!(matches!(ran.code, Some(1 | 3 | 4)), "{}", ran.err);
    assert!(said(&ran).contains(&ground.pair.green.cluster_id), "{}", ran.err);
    assert_eq!(committed(&ground.pair.green, &ground.group, &ground.topic), []);
}

/// A transaction with an offset of the group in it.
fn pending(broker: &Broker, ground: &Ground, offset: i64) -> BaseProducer {
    let writer = producer(broker, &[("transactional.id", &unique("pending"))]);
    writer.init_transactions(PATIENCE).expect("a producer id");
    writer.begin_transaction().expect("begun");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&ground.topic, 0, Offset::Offset(offset)).expect("a valid offset");
    let metadata = consumer(broker, &ground.group, &[]).group_metadata().expect("group metadata");
    writer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE).expect("in the transaction");
    writer
}

/// Until the log of a run holds all of these words in a line. It is written by another process: looked at, not slept for.
fn logged(log: &Path, words: &[&str]) {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if text.lines().any(|line| words.iter().all(|w| line.contains(w))) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(240), "not in the log: {words:?}\n{text}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// `offsets apply` while a transaction with offsets of the group is open on a side; it ends once it is waited for.
/// What then stands on green.
fn waited_out(ground: &Ground, side: Side, offset: i64) -> (Ran, Vec<(i32, i64)>) {
    let writer = pending(super::on(ground.pair, side), ground, offset);
    let desk = ground.desk();
    let log = desk.path().join("log");
    let apply = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["offsets", "apply", "--group", &ground.group, &format!("--yes={}", ground.group), "--log"])
        .arg(&log)
        .env("RUST_LOG", "cutover=info")
        .current_dir(desk.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    logged(&log, &["wait for a transaction", &format!("on {side}"), &ground.topic]);
    writer.commit_transaction(PATIENCE).expect("committed");
    let output = apply.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    println!("{side}: {:?} {}", ran.code, said(&ran));
    (ran, committed(&ground.pair.green, &ground.group, &ground.topic))
}

/// UNSTABLE_OFFSET_COMMIT: what is committed on blue is what the transaction leaves there.
#[test]
fn a_pending_offset_on_blue_is_waited_out() {
    let ground = Ground::twin("pending-blue", 40, 10);
    let (ran, stands) = waited_out(&ground, Side::Blue, 25);
    assert_eq!((ran.code, stands), (Some(0), vec![(0, 25)]), "{}", ran.err);
}

/// On green a transaction of somebody else's moves the group: once it has ended, that is a commit that is not ours.
#[test]
fn a_pending_offset_on_green_is_waited_out_and_not_overwritten() {
    let ground = Ground::twin("pending-green", 40, 10);
    let (ran, stands) = waited_out(&ground, Side::Green, 25);
    assert!(matches!(ran.code, Some(1 | 3 | 4)), "{}", ran.err);
    assert_eq!(stands, [(0, 25)], "{}", ran.err);
}

//! The demo's estate: its traffic is real, and its witness tells the truth.

use std::collections::BTreeSet;
use std::time::Duration;

use cutover::base::Side;
use cutover::sim::state::{Commit, IsolationLevel, StoredRecord};
use cutover::sim::traffic::{ID_HEADER, set_flag};
use cutover::sim::{DemoConfig, DemoEstate};

use crate::patience::Patience;

const PATIENCE: Duration = Duration::from_secs(240);

/// Waits for a condition, within a bound.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut patience = Patience::new(PATIENCE);
    while !holds() {
        assert!(patience.left().is_some(), "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn start() -> (tempfile::TempDir, DemoEstate) {
    let dir = tempfile::tempdir().unwrap();
    crate::turns::heavy();
    let estate = DemoEstate::start(DemoConfig::new(dir.path())).unwrap();
    (dir, estate)
}

fn state(estate: &DemoEstate, side: Side, group: &str) -> String {
    estate.cluster(side).with_state(|s| s.groups().get(group).map_or("Dead".to_owned(), |g| g.state.to_string()))
}

fn records(estate: &DemoEstate, side: Side, topic: &str, partition: i32) -> Vec<StoredRecord> {
    estate.cluster(side).with_state(|s| s.log(topic, partition).unwrap().records(0, IsolationLevel::ReadCommitted))
}

fn id(record: &StoredRecord) -> u64 {
    record.header_text(ID_HEADER).unwrap().parse().unwrap()
}

#[test]
fn every_service_runs_and_nothing_is_lost_or_read_twice() {
    let (_dir, estate) = start();
    for group in &estate.estate().groups {
        let name = &group.name;
        until(name, || estate.witness().report_group(name).unwrap().processed > 20);
        let report = estate.witness().report_group(name).unwrap();
        assert_eq!((report.lost, report.re_read), (0, 0), "{report:?}");
    }
    let behind = estate.witness().report_group("audit-archive").unwrap();
    assert!(behind.pending > 15_000, "{behind:?}");
    // dual-written topics grow on both, the others on blue alone
    until("green grows", || {
        estate.cluster(Side::Green).with_state(|s| s.log("payments", 0).unwrap().high_watermark()) > 500
    });
    let fx = estate.cluster(Side::Green).with_state(|s| s.log("fx-rates", 0).unwrap().high_watermark());
    assert_eq!(fx, 0);
    let differs = estate.cluster(Side::Blue).with_state(|s| s.log("payments", 0).unwrap().high_watermark())
        - estate.cluster(Side::Green).with_state(|s| s.log("payments", 0).unwrap().high_watermark());
    assert!(differs > 300, "offsets differ: blue has a past that green never had");
}

/// Stops the group on blue, puts it on green where `choose` says, and gives lost and re-read.
fn move_to_green(
    estate: &DemoEstate,
    group: &str,
    choose: impl Fn(&[StoredRecord], &BTreeSet<u64>) -> i64,
) -> (u64, u64, u64) {
    until("traffic", || estate.witness().report_group(group).unwrap().processed > 50);
    set_flag(estate.flags(), &format!("{group}-consumer"), "off").unwrap();
    until("Empty on blue", || state(estate, Side::Blue, group) == "Empty");
    until("traffic goes on meanwhile", || estate.witness().report_group(group).unwrap().pending >= 10);
    let mut predicted = 0;
    let topics = &estate.estate().groups.iter().find(|g| g.name == group).unwrap().topics.clone();
    for topic in topics {
        for partition in 0..estate.estate().find_topic(topic).unwrap().partitions {
            let committed =
                estate.cluster(Side::Blue).with_state(|s| s.fetch_offset(group, topic, partition, true).offset);
            let blue = records(estate, Side::Blue, topic, partition);
            let consumed: BTreeSet<u64> = blue.iter().filter(|r| r.offset < committed).map(id).collect();
            let unpaired = || {
                let green: BTreeSet<u64> = records(estate, Side::Green, topic, partition).iter().map(id).collect();
                let first = green.first().copied().unwrap_or(u64::MAX);
                consumed.iter().filter(|id| **id > first && !green.contains(id)).count()
            };
            until("every consumed record has its twin", || unpaired() == 0);
            let green = records(estate, Side::Green, topic, partition);
            let offset = choose(&green, &consumed);
            predicted += green.iter().filter(|r| r.offset >= offset && consumed.contains(&id(r))).count() as u64;
            let commit = Commit { offset, leader_epoch: -1, ..Commit::default() };
            estate.cluster(Side::Green).with_state(|s| s.commit_offset(group, topic, partition, commit)).unwrap();
        }
    }
    estate.mark(group);
    set_flag(estate.flags(), &format!("{group}-consumer"), "green").unwrap();
    until("Stable on green", || state(estate, Side::Green, group) == "Stable");
    until("caught up", || {
        let report = estate.witness().report_group(group).unwrap();
        report.processed > 100 && report.pending < 20
    });
    let report = estate.witness().report_group(group).unwrap();
    (report.lost, report.re_read, predicted)
}

#[test]
fn the_witness_sees_a_safe_move_as_lossless_and_counts_what_is_read_twice() {
    let (_dir, estate) = start();
    let first_unseen = |green: &[StoredRecord], consumed: &BTreeSet<u64>| {
        let end = green.last().map_or(0, |r| r.offset + 1);
        green.iter().find(|r| !consumed.contains(&id(r))).map_or(end, |r| r.offset) - 3
    };
    let (lost, re_read, predicted) = move_to_green(&estate, "loan-ledger", first_unseen);
    assert_eq!((lost, re_read), (0, predicted));
    assert!(predicted >= 6, "three earlier than needed on each of six partitions: {predicted}");
}

#[test]
fn the_witness_sees_what_latest_loses() {
    let (_dir, estate) = start();
    let latest = |green: &[StoredRecord], _: &BTreeSet<u64>| green.last().map_or(0, |r| r.offset + 1);
    let (lost, ..) = move_to_green(&estate, "payments-settle", latest);
    assert!(lost > 0, "records arrived while the group was off, and were skipped");
}

#[test]
fn the_plan_of_the_demo_is_a_good_plan() {
    let (dir, estate) = start();
    let path = dir.path().join("cutover.toml");
    std::fs::write(&path, estate.plan_toml()).unwrap();
    let loaded = cutover::plan::Plan::load(&path).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
    assert_eq!(loaded.plan.groups.len(), estate.estate().groups.len());
}

//! Groups that only commit, around an exactly-once producer: where their commits move is where they read.

use super::tests::{NOW, World, reader};
use super::*;
use crate::base::TopicPartition;
use crate::estate::{Committed, Estate, GroupState, GroupView};
use crate::migration::facts::event::DrainProof;

const MOVES: &[(i64, i64)] = &[(60_000, 5), (30_000, 6), (0, 6)];
const YOUNG: &[(i64, i64)] = &[(60_000, 6), (0, 6)];
const OLD: &[(i64, i64)] = &[(700_000, 6), (0, 6)];

/// A world with a group that nobody ever joined, as it was seen so many ms ago at these offsets, oldest first.
fn world(side: Side, id: &str, looks: &[(i64, i64)]) -> World {
    let mut world = World::new();
    for (ago, offset) in looks {
        let committed = Committed { offset: *offset, leader_epoch: -1 };
        let group = GroupView {
            state: GroupState::Empty,
            members: Vec::new(),
            offsets: [("ledger".to_owned(), [(0, committed)].into())].into(),
            ..reader()
        };
        world.on(side).groups.insert(id.to_owned(), group);
        let (view, at) = (world.on(side).clone(), At(NOW.0 - ago));
        let mut estate = Estate::default();
        estate.clusters[side] = Observed::seen_at(view, at);
        world.lag.observe(&estate, at, 3_600_000, &BTreeSet::new());
    }
    world
}

fn row(rows: Vec<HardGateRow>, id: RowId) -> HardGateRow {
    rows.into_iter().find(|r| r.id == id).unwrap()
}

/// The words of the two rows, and why the first of them does not pass.
fn told(world: &World) -> (&'static str, &'static str, String) {
    let (readers, strangers) = (row(world.rows(), RowId::Readers), row(world.rows(), RowId::Strangers));
    let why = readers.gate.why().or(strangers.gate.why()).unwrap_or_default().to_owned();
    (readers.gate.word(), strangers.gate.word(), why)
}

#[test]
fn a_stranger_would_starve_on_blue_while_its_commits_move_and_is_left_over_when_they_have_not_for_long() {
    let (readers, strangers, why) = told(&world(Side::Blue, "flink", MOVES));
    assert_eq!((readers, strangers), ("FAIL", "PASS"));
    assert!(why.starts_with("flink reads its topics on blue and is not in the plan"), "{why}");
    assert_eq!(told(&world(Side::Blue, "flink", OLD)), ("PASS", "PASS", String::new()));
    let young = world(Side::Blue, "flink", YOUNG);
    let (readers, strangers, why) = told(&young);
    assert_eq!((readers, strangers), ("PASS", "UNKNOWN"));
    assert!(why.starts_with("it can't be told whether flink reads its topics"), "{why}");
    assert!(row(young.rows(), RowId::Strangers).advice.starts_with("9m00s more of watching tells"));
    assert!(!combine_hard_rows(&young.rows(), &BTreeSet::new()).passes());
    assert!(combine_hard_rows(&young.rows(), &[RowId::Strangers].into()).passes(), "a person may know better");
    let sure = world(Side::Blue, "flink", MOVES);
    assert!(!combine_hard_rows(&sure.rows(), &[RowId::Strangers].into()).passes(), "what is known nobody passes over");
}

#[test]
fn a_stranger_whose_commits_move_on_green_is_ahead_of_the_producer() {
    let (readers, _, why) = told(&world(Side::Green, "flink", MOVES));
    assert_eq!(readers, "FAIL");
    assert!(why.starts_with("flink reads its topics on green already"), "{why}");
    assert_eq!(told(&world(Side::Green, "flink", YOUNG)).1, "UNKNOWN");
    assert_eq!(told(&world(Side::Green, "flink", OLD)), ("PASS", "PASS", String::new()));
}

#[test]
fn a_group_of_the_plan_that_only_commits_is_a_reader_like_any_other() {
    let mut blue = world(Side::Blue, "enrich", MOVES);
    assert_eq!(row(blue.rows(), RowId::Readers).value, "1 groups");
    blue.settings.groups.get_mut("enrich").unwrap().has_switch = false;
    assert_eq!(told(&blue).0, "FAIL");
    let (readers, _, why) = told(&world(Side::Green, "enrich", MOVES));
    assert_eq!(readers, "FAIL");
    assert!(why.starts_with("enrich only commits, and its commits move on green already"), "{why}");
    let young = world(Side::Green, "enrich", YOUNG);
    let (readers, strangers, why) = told(&young);
    assert_eq!((readers, strangers), ("UNKNOWN", "PASS"), "{why}");
    assert!(!combine_hard_rows(&young.rows(), &[RowId::Strangers].into()).passes(), "it might skip what blue holds");
    assert_eq!(told(&world(Side::Green, "enrich", OLD)).0, "PASS");
}

#[test]
fn what_stands_as_it_was_drained_is_nobodys_work_however_lately_it_moved() {
    let mut green = world(Side::Green, "enrich", MOVES);
    let drained = |offset| DrainProof {
        side: Side::Green,
        switch_off_at: NOW,
        empty_since: NOW,
        still_since: NOW,
        still_needed_ms: 1,
        samples: 2,
        committed: vec![(TopicPartition::new("ledger", 0), offset)],
        alone: true,
    };
    green.state.groups.entry("enrich".into()).or_default().drained = Some(drained(6));
    assert_eq!(told(&green).0, "PASS", "it was rolled back a moment ago");
    green.state.groups.entry("enrich".into()).or_default().drained = Some(drained(5));
    assert_eq!(told(&green).0, "FAIL", "somebody has worked there since");
}

#[test]
fn a_way_back_waits_for_nobody_of_whom_it_cant_be_told() {
    let mut blue = world(Side::Blue, "enrich", YOUNG);
    blue.on(Side::Green).groups.insert("enrich".into(), reader());
    assert!(row(blue.back().0, RowId::Readers).gate.passes());
    let (rows, warnings) = world(Side::Green, "flink", MOVES).back();
    assert!(row(rows, RowId::Readers).gate.passes());
    assert!(warnings.iter().any(|w| w.contains("flink on green may read its topics")), "{warnings:?}");
}

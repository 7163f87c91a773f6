//! Hostile strings in what a command of its own answers with, which is in no snapshot: a translation, a diff, the end of
//! a run, a replay.

use std::collections::{BTreeMap, BTreeSet};

use cutover::base::sanitise::visible_name;
use cutover::base::{Side, TopicPartition, Trouble, TroubleClass};
use cutover::diff::{DiffReport, PartitionDiff, Spans, TopicDiff};
use cutover::migration::eos::{HardGateRow, RowId};
use cutover::migration::facts::overrides::{GateName, PassedOver};
use cutover::migration::facts::stage::{RunOffsets, RunView};
use cutover::migration::rules::gate::Gate;
use cutover::offsets::{GroupTranslation, PartitionPlan};
use cutover::replay::report::After;
use cutover::replay::{By, Piece, ReplayReport, Route};
use cutover::report;
use cutover::snapshot::RunReport;

use crate::fixture::{self, NOW};
use crate::hostile::{POISONS, Poison, TWINS, lines, poisoned, printed};

/// Translations with everything in them that a table, the reasons below it, and the records at a cut can show.
fn plans() -> Vec<GroupTranslation> {
    let measured = [fixture::alarming(), fixture::to_the_end(), fixture::going_back()];
    let mut plans: Vec<GroupTranslation> =
        measured.iter().map(|g| g.estimate.as_ref().and_then(|e| e.value()).expect("measured").clone()).collect();
    for plan in &mut plans {
        for p in &mut plan.partitions {
            for r in p.cut.source.iter_mut().chain(&mut p.cut.target) {
                r.value = Some(format!("{{\"loan\":\"{}\"}}", r.id));
            }
        }
    }
    plans
}

#[test]
fn a_translation_breaks_no_line_and_drives_nothing() {
    for (how, evil) in POISONS {
        for (i, plan) in plans().iter().enumerate() {
            let (hostile, fields) = poisoned(plan, *evil);
            assert!(fields > 6, "only {fields} kinds of fields were hostile");
            let group = evil("loan-audit");
            for to in [Side::Green, Side::Blue] {
                let what = format!("translation {i} to {to} {how}");
                let text = report::offsets::to_text;
                lines(&what, &text("loan-audit", to, plan, NOW), &text(&group, to, &hostile, NOW));
                let records = report::offsets::format_records;
                lines(&format!("records of {what}"), &records(to, plan), &records(to, &hostile));
                printed(&what, &report::offsets::to_json(&group, to, &hostile).to_string());
            }
        }
    }
}

/// A diff of these topics.
fn diff(topics: Vec<TopicDiff>) -> DiffReport {
    DiffReport {
        schema: 1,
        at_ms: NOW.0,
        source: Side::Blue,
        target: Side::Green,
        clusters: [Some("bl-1".into()), Some("gr-1".into())],
        read: 200,
        bytes: 2_000_000,
        ms: 1_000,
        topics,
    }
}

#[test]
fn a_diff_breaks_no_line_and_drives_nothing() {
    let spans = |from: i64, to: i64| Spans { count: to.abs_diff(from), ranges: vec![(from, to)], truncated: false };
    let partition = PartitionDiff {
        partition: 2,
        missing: spans(10, 13),
        duplicated: [Spans::default(), spans(7, 8)],
        ..PartitionDiff::default()
    };
    let (unknown, remark) = ("the end of it is not known".to_owned(), "compared by key only".to_owned());
    let names = ("loan-events".to_owned(), "eu.loan-events".to_owned());
    let differs = TopicDiff::new(names, vec![partition], vec![unknown], vec![remark]);
    let (name, why) = ("loan-archive".to_owned(), "there is no topic loan-archive on green".to_owned());
    let clean = diff(vec![differs, TopicDiff::unknown(name.clone(), name, why)]);
    for (how, evil) in POISONS {
        let (hostile, fields) = poisoned(&clean, *evil);
        assert!(fields > 4, "only {fields} kinds of fields were hostile");
        lines(&format!("diff {how}"), &report::diff::to_text(&clean), &report::diff::to_text(&hostile));
        printed(&format!("diff {how}"), &report::diff::to_json(&hostile).to_string());
    }
}

/// The end of a run that committed this translation, with all that can be told of it.
fn ended(plan: GroupTranslation) -> RunReport {
    let at: Vec<_> = plan.partitions.iter().map(|p| (p.tp.clone(), p.target.offset)).collect();
    let passed = PassedOver {
        gate: GateName::Missing,
        what: "23 records of loan-events-1 are not on green".into(),
        by: "ana@bastion".into(),
        reason: "they are replayed by hand".into(),
    };
    let row = |gate| HardGateRow {
        id: RowId::Transactions,
        what: "no overlong or hanging transaction".into(),
        gate,
        value: "ledger-3, open 2m21s".into(),
        at: Some(NOW),
        advice: "end it".into(),
    };
    let run = RunView {
        because: Some("the move could not go on".into()),
        offsets: Some(RunOffsets { side: Side::Green, plan, before: at.clone(), after: at }),
        passed_over: vec![passed],
        ..fixture::draining().run.expect("it moves")
    };
    RunReport {
        class: None,
        summary: "loan-audit is on green".into(),
        advice: "watch its lag".into(),
        prepared: Some(fixture::prepared()),
        run: Some(run),
        rows: vec![row(Gate::Pass), row(Gate::Fail { why: "ledger-3 is open".into() })],
    }
}

/// The same with every string hostile.
fn hostile_end(of: &RunReport, evil: Poison) -> RunReport {
    RunReport {
        class: of.class,
        summary: evil(&of.summary),
        advice: evil(&of.advice),
        prepared: of.prepared.as_ref().map(|p| poisoned(p, evil).0),
        run: of.run.as_ref().map(|r| poisoned(r, evil).0),
        rows: poisoned(&of.rows, evil).0,
    }
}

#[test]
fn the_end_of_a_run_breaks_no_line_and_drives_nothing() {
    for (how, evil) in POISONS {
        for (i, plan) in plans().into_iter().enumerate() {
            let what = format!("end of run {i} {how}");
            let clean = ended(plan);
            let hostile = hostile_end(&clean, *evil);
            let text = report::outcome::to_text(&clean);
            for told in ["loan-events-1", "passed over the gate missing", "ledger-3 is open", "loan-audit is on green"]
            {
                assert!(text.contains(told), "{told} in\n{text}");
            }
            lines(&what, &text, &report::outcome::to_text(&hostile));
            printed(&what, &report::outcome::to_json(&hostile, 0).to_string());
        }
    }
}

/// A replay of which every string went through `say`.
fn replay(dry_run: bool, say: impl Fn(&str) -> String) -> ReplayReport {
    let route = Route { to: say("eu.loan-events"), partitions: 6, by: By::Key };
    ReplayReport {
        run: Some(say("r-1")),
        from: Side::Blue,
        to: Side::Green,
        dry_run,
        ranges: vec![Piece { tp: TopicPartition::new(say("loan-events"), 1), from: 10, to: 20 }],
        routes: BTreeMap::from([(say("loan-events"), route)]),
        records: 10,
        bytes: 2_310,
        carried: 10,
        carried_bytes: 2_310,
        transactions: 1,
        took_ms: 400,
        reordered: None,
        verified: Some(true),
        found: Some(10),
        after: Some(After { verdict: say("UNKNOWN"), missing: None, why: Some(say("green does not answer")) }),
        warnings: vec![say("the topic on green stamps its records itself")],
        class: Some(TroubleClass::Unknown),
        trouble: Some(Trouble::new(say("green does not answer"), say("look at its brokers"))),
    }
}

#[test]
fn a_script_finds_the_exit_code_of_a_replay_where_it_always_stood() {
    let report = replay(false, str::to_owned);
    let json = serde_json::to_value(report::replay::to_json(&report, 4)).expect("JSON");
    let json = json.as_object().expect("an object");
    let last: Vec<&str> = json.keys().rev().take(3).rev().map(String::as_str).collect();
    assert_eq!(last, ["warnings", "exit_code", "trouble"]);
    assert_eq!((&json["exit_code"], &json["trouble"]["what"]), (&4.into(), &"green does not answer".into()));
    assert!(!json.contains_key("class"), "the class is the program's own word: {json:?}");
}

#[test]
fn a_replay_breaks_no_line_and_drives_nothing() {
    for (how, evil) in POISONS {
        for dry_run in [true, false] {
            let (clean, hostile) = (replay(dry_run, str::to_owned), replay(dry_run, evil));
            let what = format!("replay {how}, dry run {dry_run}");
            lines(&what, &report::replay::to_text(&clean), &report::replay::to_text(&hostile));
            printed(&what, &serde_json::to_string(&report::replay::to_json(&hostile, 4)).expect("JSON"));
        }
    }
}

/// Exactly one row of a table has this name in its first column.
fn once(table: &str, name: &str) {
    let rows = table.lines().filter(|l| l.split("  ").next() == Some(name)).count();
    assert_eq!(rows, 1, "{name} in\n{table}");
}

#[test]
fn names_that_look_alike_are_told_apart_in_each() {
    let why = "there is no such topic";
    let partitions = TWINS.iter().map(|n| PartitionPlan::unmappable(TopicPartition::new(*n, 0), "align", why, NOW));
    let translated = report::offsets::to_text("g", Side::Green, &GroupTranslation::new(partitions.collect()), NOW);
    let topics = TWINS.iter().map(|n| TopicDiff::unknown((*n).to_owned(), (*n).to_owned(), why.to_owned()));
    let compared = report::diff::to_text(&diff(topics.collect()));
    let route = |to: &str| Route { to: to.to_owned(), partitions: 1, by: By::Number };
    let routes = TWINS.iter().map(|n| ((*n).to_owned(), route(n))).collect();
    let replayed = report::replay::to_text(&ReplayReport { routes, ..replay(true, str::to_owned) });

    let mut seen = BTreeSet::new();
    for name in TWINS {
        let (shown, partition) = (visible_name(name), TopicPartition::new(*name, 0).to_string());
        once(&compared, &shown);
        once(&translated, &partition);
        let line = format!("  {shown} into {shown} (1 partitions, by number)");
        assert_eq!(replayed.lines().filter(|l| *l == line).count(), 1, "{line:?} in\n{replayed}");
        assert!(seen.insert(partition), "{name:?} looks like another");
    }
}

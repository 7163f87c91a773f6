//! What Prometheus reads: the page of a whole estate, and what is left out of it because nobody knows it.

use std::collections::{BTreeMap, BTreeSet};

use cutover::base::*;
use cutover::estate::*;
use cutover::migration::eos::{EosView, HardGateRow, RowId};
use cutover::migration::facts::event::RunKind;
use cutover::migration::facts::settings::Criteria;
use cutover::migration::facts::stage::{RunView, Stage, StepState};
use cutover::migration::rules::gate::Gate;
use cutover::migration::soak::criteria::{Criterion, Limit, Metric, MetricReading};
use cutover::migration::soak::trigger::{Arm, Trigger, TriggerComparison, TriggerMode};
use cutover::migration::soak::watch::Watch;
use cutover::report::prometheus::{FAMILIES, FamilyKind, SNAPSHOT_STALE_MS, to_text};
use cutover::snapshot::*;

use crate::fixture::{self, NOW, ago};
use crate::format::{Page, parse};

const GAP: u64 = 60_000;

fn trigger(name: &str, value: f64, arm: Arm) -> Trigger {
    Trigger {
        name: name.into(),
        metric: Metric::Lag,
        comparison: TriggerComparison::Above,
        value,
        for_ms: 900_000,
        mode: TriggerMode::Sustained,
        arm,
        countdown_ms: 60_000,
    }
}

/// Criteria and triggers of a soak of ten minutes, as the machine judges them.
fn watched() -> (Vec<GateRow>, Vec<TriggerRow>) {
    let rule = Criterion::new;
    let criteria = Criteria {
        rules: vec![
            rule(Metric::Lag, Limit::Below(100.0), 3_600_000),
            rule(Metric::TimeLag, Limit::Below(60_000.0), 0),
            rule(Metric::ErrorRate, Limit::Below(0.0001), 3_600_000),
            rule(Metric::P99, Limit::Within(0.10), 300_000),
            Criterion {
                unmeasured: Some("the plan names no dead-letter topic".into()),
                ..rule(Metric::DlqGrowth, Limit::AtMost(0.0), 0)
            },
        ],
        triggers: vec![
            trigger("green-lag", 5.0, Arm::Armed),
            trigger("deep", 10_000.0, Arm::Shadow),
            Trigger { metric: Metric::ErrorRate, ..trigger("errors \"quoted\"", 0.5, Arm::Armed) },
        ],
        ..Criteria::default()
    };
    let mut watch = Watch::new(&criteria, ago(600_000), BTreeMap::new());
    watch.set_baseline(Metric::P99, 84.0);
    for i in 0..60 {
        let at = ago(595_000 - i * 10_000);
        watch.feed(Metric::Lag, &MetricReading::number(at, 12.0), GAP);
        watch.feed(Metric::TimeLag, &MetricReading::number(at, 90_500.0), GAP);
        watch.feed(Metric::P99, &MetricReading::number(at, 88.0), GAP);
        if i < 3 {
            watch.feed(Metric::ErrorRate, &MetricReading::number(at, 0.00002), GAP);
        }
    }
    (watch.rows(NOW, GAP, 15_000), watch.triggers(NOW, GAP, 15_000))
}

/// One criterion that has held for a minute of ten.
fn holding() -> Vec<GateRow> {
    let rule = Criterion::new(Metric::ErrorRate, Limit::Below(0.0001), 600_000);
    let criteria = Criteria { rules: vec![rule], ..Criteria::default() };
    let mut watch = Watch::new(&criteria, ago(70_000), BTreeMap::new());
    for i in 0..=4 {
        watch.feed(Metric::ErrorRate, &MetricReading::number(ago(65_000 - i * 15_000), 0.00005), GAP);
    }
    watch.rows(NOW, GAP, 15_000)
}

fn hard() -> EosView {
    let row = |id, gate| HardGateRow {
        id,
        what: "w".into(),
        gate,
        value: "v".into(),
        at: Some(ago(900)),
        advice: String::new(),
    };
    let hold = Gate::Hold { left_ms: 5_000, why: "opens soon".into() };
    EosView {
        stage: Stage::Soaking { since: ago(3_600_000) },
        on: Side::Green,
        to: Side::Blue,
        live: vec![row(RowId::Flag, Gate::Pass), row(RowId::Window, hold.clone())],
        gate: hold,
        // the same row twice: a series may be there only once
        after: vec![row(RowId::Flag, Gate::Fail { why: "it writes".into() })],
        seam: None,
        fenced: Vec::new(),
        denied: true,
        green_only: Some(48_211),
        kept_until: Some(NOW.plus(72 * 3_600_000)),
        approved_by: None,
        lose: None,
    }
}

/// Everything that is exposed, somewhere.
fn everything() -> Snapshot {
    let mut s = fixture::estate();
    let (gates, triggers) = watched();
    let soaking = s.groups.iter_mut().find(|g| g.group == "loan-ledger").expect("in the fixture");
    (soaking.gates, soaking.triggers) = (gates, triggers);
    let other = s.groups.iter_mut().find(|g| g.group == "cust-360").expect("in the fixture");
    other.gates = holding();
    s.countdowns = vec![Countdown {
        group: "loan-ledger".into(),
        trigger: "green-lag".into(),
        why: "lag 12".into(),
        arm: Arm::Armed,
        acts_at: Some(NOW.plus(41_500)),
        held: None,
    }];
    let ledger = s.producers.iter_mut().find(|p| p.name == "ledger").expect("in the fixture");
    ledger.eos = Some(Box::new(hard()));
    s
}

fn page(s: &Snapshot) -> Page {
    let text = to_text(s, s.now.plus(400));
    parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

#[test]
fn the_page_of_an_estate() {
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    insta::assert_snapshot!("exposition", to_text(&everything(), NOW.plus(400)).replace(&version, "version=\"X\""));
}

#[test]
fn every_family_is_there_by_its_rules() {
    let page = page(&everything());
    let found: BTreeSet<&str> = page.families.keys().map(String::as_str).collect();
    let all: BTreeSet<&str> = FAMILIES.iter().map(|f| f.name).collect();
    assert_eq!(found, all, "each family of the table has a sample in a whole estate");
    for family in FAMILIES {
        let sample = page.samples.iter().find(|s| s.name == family.name).expect("it has one");
        let labels: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
        assert_eq!(labels, family.labels.iter().copied().collect(), "{}", family.name);
        assert_eq!(family.kind == FamilyKind::Counter, family.name.ends_with("_total"), "{}", family.name);
        let no_base_unit = ["_ms", "_milliseconds", "_minutes", "_hours", "_percent", "_kb", "_mb"];
        assert!(!no_base_unit.iter().any(|unit| family.name.ends_with(unit)), "{}", family.name);
        // Prometheus itself sets these, and others use them for where something runs
        assert!(!family.labels.iter().any(|l| ["job", "instance", "cluster", "le"].contains(l)), "{}", family.name);
    }
}

#[test]
fn it_says_what_the_screens_say() {
    let page = page(&everything());
    let of = [("group", "loan-ledger")];
    assert_eq!(page.state("cutover_group_stage", &of, "stage").as_deref(), Some("soaking"));
    assert_eq!(page.state("cutover_group_rests_on", &of, "side").as_deref(), Some("green"));
    assert_eq!(page.value("cutover_group_lag_records", &[of[0], ("side", "green")]), Some(12.0));
    assert_eq!(page.state("cutover_soak_state", &of, "state").as_deref(), Some("fail"), "time_lag is over its limit");
    assert_eq!(page.value("cutover_soak_left_seconds", &of), None, "what fails has no time left");
    let gate = |gate| [of[0], ("gate", gate)];
    assert_eq!(page.state("cutover_gate_state", &gate("lag"), "state").as_deref(), Some("hold"));
    assert_eq!(page.value("cutover_gate_held_seconds", &gate("lag")), Some(590.0));
    assert_eq!(page.value("cutover_gate_left_seconds", &gate("lag")), Some(3_010.0));
    assert_eq!(page.value("cutover_gate_value_records", &gate("lag")), Some(12.0));
    assert_eq!(page.value("cutover_gate_value_seconds", &gate("time_lag")), Some(90.5), "ms become seconds");
    assert_eq!(page.value("cutover_gate_baseline_seconds", &gate("p99")), Some(0.084));
    assert_eq!(page.state("cutover_gate_state", &gate("p99"), "state").as_deref(), Some("pass"));
    // the error rate came for half a minute, ten minutes ago: its value then is no value now
    assert_eq!(page.state("cutover_gate_state", &gate("error_rate"), "state").as_deref(), Some("unknown"));
    assert_eq!(page.value("cutover_gate_value_ratio", &gate("error_rate")), None);
    assert_eq!(page.value("cutover_gate_limit_ratio", &gate("error_rate")), Some(0.0001));
    let other = [("group", "cust-360"), ("gate", "error_rate")];
    assert_eq!(page.value("cutover_gate_value_ratio", &other), Some(0.00005));
    assert_eq!(page.value("cutover_soak_left_seconds", &[other[0]]), Some(540.0));
    assert_eq!(page.value("cutover_gate_age_seconds", &gate("error_rate")), Some(575.0));
    assert_eq!(page.value("cutover_gate_judged", &gate("dlq_growth")), Some(0.0));
    let trigger = |name| [of[0], ("trigger", name)];
    assert_eq!(page.state("cutover_trigger_state", &trigger("green-lag"), "state").as_deref(), Some("rising"));
    assert_eq!(page.value("cutover_trigger_fired", &trigger("green-lag")), Some(1.0));
    assert_eq!(page.value("cutover_trigger_fired", &trigger("deep")), Some(0.0));
    assert_eq!(page.value("cutover_rollback_countdown_seconds", &trigger("green-lag")), Some(41.5));
    assert_eq!(page.state("cutover_trigger_state", &trigger("errors \"quoted\""), "state").as_deref(), Some("unknown"));
    let ledger = [("producer", "ledger")];
    assert_eq!(page.state("cutover_producer_gate_state", &ledger, "state").as_deref(), Some("hold"));
    let row = [ledger[0], ("row", "flag")];
    assert_eq!(page.state("cutover_producer_gate_row_state", &row, "state").as_deref(), Some("fail"), "the worst");
    let doc = [("producer", "doc-store")];
    assert_eq!(page.state("cutover_producer_fidelity", &doc, "verdict").as_deref(), Some("differs"));
    assert_eq!(page.value("cutover_producer_missing_records", &doc), Some(3.0));
    let stale = [("producer", "card-auth")];
    assert_eq!(page.state("cutover_producer_fidelity", &stale, "verdict").as_deref(), Some("stale"));
    assert_eq!(page.value("cutover_producer_fidelity_ratio", &stale), None, "a stale figure is no figure");
    let run = [("subject", "group"), ("name", "loan-ledger")];
    assert_eq!(page.state("cutover_run_state", &run, "state").as_deref(), Some("done"));
    assert_eq!(page.value("cutover_notices", &[("severity", "fail")]), Some(1.0));
    assert_eq!(page.value("cutover_snapshot_age_seconds", &[]), Some(0.4));
    // what the plan does not list is there in sums only
    assert!(!page.samples.iter().any(|s| s.labels.values().any(|v| v == "connect-s3-sink")));
    assert_eq!(page.value("cutover_unlisted_groups", &[("side", "blue")]), Some(3.0));
    assert_eq!(page.value("cutover_unlisted_groups_lag_records", &[("side", "blue")]), Some(9.0));
}

#[test]
fn what_is_not_known_has_no_sample_and_silence_has_an_age() {
    let mut s = everything();
    let group = |s: &mut Snapshot, name: &str, f: &dyn Fn(&mut GroupRow)| {
        f(s.groups.iter_mut().find(|g| g.group == name).expect("in the fixture"));
    };
    // last seen a minute ago: its lag of then is not its lag
    group(&mut s, "loan-report", &|g| g.blue.at = Some(ago(60_000)));
    group(&mut s, "mail-sender", &|g| g.blue.lag = None);
    group(&mut s, "connect-s3-sink", &|g| g.blue.trouble = Some(Trouble::new("broken", "mend it")));
    s.green.link = Observed::Known { value: 3, at: ago(40_000), trouble: Some(Trouble::new("gone", "look")) };
    let silent = s.producers.iter_mut().find(|p| p.name == "audit").expect("in the fixture");
    silent.flag = Some(Observed::seen_at(FlagState::Blue, ago(600_000)));
    silent.observed.green_rate = None;
    let page = page(&s);
    let lag = |group| page.value("cutover_group_lag_records", &[("group", group), ("side", "blue")]);
    assert_eq!((lag("loan-report"), lag("mail-sender"), lag("risk-score")), (None, None, Some(88.0)));
    let age = page.value("cutover_group_age_seconds", &[("group", "loan-report"), ("side", "blue")]);
    assert_eq!(age, Some(60.0));
    assert_eq!(page.value("cutover_group_stuck", &[("group", "loan-report"), ("side", "blue")]), None);
    assert_eq!(page.value("cutover_unlisted_groups_lag_records", &[("side", "blue")]), None, "one can't be read");
    let green = [("side", "green")];
    assert_eq!(page.state("cutover_cluster_state", &green, "state").as_deref(), Some("unreachable"));
    assert_eq!(page.value("cutover_cluster_age_seconds", &green), Some(40.0));
    assert_eq!(page.value("cutover_cluster_lag_records", &green), None);
    let audit = [("producer", "audit")];
    assert_eq!(page.state("cutover_producer_flag", &audit, "flag"), None);
    assert_eq!(page.value("cutover_producer_disagrees", &audit), None, "nobody looked at both sides");
    // before the first look a cluster is neither reachable nor unreachable
    let mut s = everything();
    s.blue.link = Observed::Absent { why: Trouble::new("connecting", "") };
    assert_eq!(self::page(&s).state("cutover_cluster_state", &[("side", "blue")], "state"), None);
    s.blue.link = Observed::Absent { why: Trouble::new("refused", "check it") };
    let state = self::page(&s).state("cutover_cluster_state", &[("side", "blue")], "state");
    assert_eq!(state.as_deref(), Some("unreachable"));
}

#[test]
fn a_picture_that_is_old_is_no_picture_of_now() {
    let s = everything();
    for (now, whole) in [
        (NOW.plus(SNAPSHOT_STALE_MS), true),
        (NOW.plus(SNAPSHOT_STALE_MS + 1), false),
        (At(NOW.0 - 15_001), false), // the clock was set back
    ] {
        let page = parse(&to_text(&s, now)).unwrap();
        assert_eq!(page.families.len() > 3, whole, "{now:?}");
        assert!(page.value("cutover_snapshot_age_seconds", &[]).is_some_and(|age| age >= 15.0));
    }
    let unborn = Snapshot { seq: 0, ..s };
    assert_eq!(parse(&to_text(&unborn, NOW)).unwrap().families.len(), 3);
}

#[test]
fn names_that_try_to_break_the_page() {
    let names = [
        r#"a"} 7 # HELP x"#,
        r"back\slash\",
        "日本語{group=\"x\"}",
        "nul\0nul",
        "line\nfeed",
        "rtl\u{202e}ltr",
        "é\u{301}",
    ];
    let mut s = everything();
    let mut run: RunView = s.groups.iter().find_map(|g| g.run.clone()).expect("one of the fixture moves");
    (run.kind, run.to) = (RunKind::RollBack, Side::Blue);
    s.groups = names.iter().zip(1..).map(|(n, i)| fixture::group(n, n, i, i)).collect();
    run.steps.push(("failed".into(), StepState::Stuck { why: "y".into() }));
    s.groups[0].run = Some(run);
    s.header.migration = names[0].into();
    s.countdowns.clear();
    let page = page(&s);
    for (name, i) in names.iter().zip(1_u32..) {
        let shown = cutover::base::sanitise::visible_name(name);
        let lag = page.value("cutover_group_lag_records", &[("group", &shown), ("side", "blue")]);
        assert_eq!(lag, Some(f64::from(i)), "{name:?}");
    }
    let run = [("name", names[0]), ("kind", "roll_back"), ("to", "blue")];
    assert_eq!(page.state("cutover_run_state", &run, "state").as_deref(), Some("stuck"));
}

#[test]
fn status_and_its_json_tell_of_soaks() {
    let s = everything();
    let json = serde_json::to_value(cutover::report::json::status(&s)).expect("it can be written");
    let group = |name: &str| json["groups"].as_array().unwrap().iter().find(|g| g["group"] == name).unwrap().clone();
    let ledger = group("loan-ledger");
    assert_eq!((&ledger["soak"]["gate"], &ledger["soak"]["since_ms"]), (&"fail".into(), &ago(600_000).0.into()));
    let gate =
        |metric: &str| ledger["gates"].as_array().unwrap().iter().find(|g| g["metric"] == metric).unwrap().clone();
    assert_eq!(gate("lag")["gate"]["gate"], "hold");
    assert_eq!(gate("lag")["held_ms"], 590_000);
    assert_eq!(gate("p99")["baseline"], 84.0);
    assert_eq!(gate("error_rate")["holes"].as_array().unwrap().len(), 1);
    assert_eq!(ledger["triggers"][0]["state"]["state"], "rising");
    assert_eq!(ledger["way_back"]["way_back"], "bounded");
    assert_eq!(json["countdowns"][0]["acts_at"], NOW.plus(41_500).0);
    assert!(group("loan-audit")["soak"].is_null(), "it does not soak");
    let text = cutover::report::text::status(&s);
    for words in [
        "! loan-ledger rolls back to BLUE in 41s: trigger green-lag, lag 12",
        "lag < 100 for 1h00m",
        "9m50s of 1h00m",
        "FAIL",
        "not judged",
        "p99 within 10% of 84ms for 5m00s",
        "lag > 5, sustained 15m00s",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn the_log_says_what_gates_were_and_are() {
    use cutover::report::log::change_lines;
    let lines = |before: Option<&Snapshot>, next: &Snapshot| -> Vec<serde_json::Value> {
        let kinds = ["gate", "trigger", "countdown"];
        let read = change_lines(before, next).into_iter().map(|l| serde_json::from_str(&l).expect("a JSON line"));
        read.filter(|l: &serde_json::Value| kinds.iter().any(|k| l["kind"] == *k)).collect()
    };
    let before = everything();
    assert_eq!(lines(None, &before).len(), 5 + 1 + 3 + 1, "all of them at first");
    assert_eq!(lines(Some(&before), &before), [] as [serde_json::Value; 0], "and then nothing");
    let mut next = everything();
    let ledger = next.groups.iter_mut().find(|g| g.group == "loan-ledger").expect("in the fixture");
    ledger.gates[0].gate = Gate::Fail { why: "lag 120, not below 100".into() };
    ledger.gates[0].value = Some(120.0);
    ledger.gates[1].value = Some(91_000.0); // its number moved, it stands as before
    next.countdowns[0].held = Some(("raj".into(), "look first".into()));
    next.countdowns[0].acts_at = None;
    let said = lines(Some(&before), &next);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((&said[0]["from"], &said[0]["to"], &said[0]["value"]), (&"hold".into(), &"fail".into(), &120.0.into()));
    assert!(said[0]["why"] == "lag 120, not below 100" && said[0]["at_ms"].is_i64(), "{said:?}");
    assert_eq!((&said[1]["state"], &said[1]["held"]["by"]), (&"held".into(), &"raj".into()));
    next.countdowns.clear();
    let over = lines(Some(&before), &next);
    assert_eq!(over.last().map(|l| l["state"].clone()), Some("over".into()), "{over:?}");
}

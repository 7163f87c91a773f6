use std::collections::BTreeSet;

use strum::IntoEnumIterator as _;

use super::*;
use crate::base::Side;
use crate::estate::SwitchState;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::effect::{Effect, IssuedEffect};
use crate::migration::facts::overrides::{GateName, PassedOver};
use crate::migration::facts::stage::WayBack;

fn group() -> Subject {
    Subject::Group("loan-audit".into())
}

fn start(run: RunId, kind: RunKind, subject: &Subject) -> Event {
    let command = match kind {
        RunKind::RollBack => Command::roll_back("loan-audit"),
        _ => Command::cut_over("loan-audit"),
    };
    Event::RunStarted {
        run,
        kind,
        subject: subject.clone(),
        command,
        confirmed: String::new(),
        estimate: None,
        max_re_read: None,
        dry_run: false,
        accepted: Vec::new(),
    }
}

fn dry(event: Event) -> Event {
    match event {
        Event::RunStarted { run, kind, subject, command, confirmed, .. } => Event::RunStarted {
            run,
            kind,
            subject,
            command,
            confirmed,
            estimate: None,
            max_re_read: None,
            dry_run: true,
            accepted: Vec::new(),
        },
        other => other,
    }
}

fn done(run: RunId) -> Event {
    Event::RunEnded { run, end: RunEnd::Done }
}

fn needs(run: RunId) -> Event {
    Event::needs_operator(run, "green is not stable", "continue, or roll back")
}

fn fired(arm: Arm) -> Event {
    let (group, trigger, why) = ("loan-audit".into(), "green-lag".into(), "lag 12000".into());
    let countdown_ms = (arm == Arm::Armed).then_some(60_000);
    Event::TriggerFired { group, trigger, why, arm, way_back: WayBack::Exact, countdown_ms }
}

fn cleared() -> Event {
    Event::TriggerCleared { group: "loan-audit".into(), trigger: "green-lag".into() }
}

fn gate(metric: Option<Metric>, gate: Gate) -> Event {
    Event::GateTurned { group: "loan-audit".into(), metric, gate }
}

/// Entries a minute apart, each by its actor; what came of each: nothing, or event, severity, topics, stage, key.
fn told(entries: &[(&str, Event)]) -> Vec<String> {
    let mut room = Notifications::default();
    let tell = |(i, (actor, event)): (usize, &(&str, Event))| {
        let at = At(i64::try_from(i).unwrap() * 60_000);
        let seq = u64::try_from(i).unwrap() + 1;
        let entry = JournalEntry { seq, at, actor: (*actor).into(), event: event.clone() };
        room.take_entry(&entry, "words").map_or_else(String::new, |n| {
            assert_eq!((n.seq, n.at, n.actor.as_str()), (seq, at, *actor));
            let topics: Vec<String> = n.topics.iter().map(ToString::to_string).collect();
            let stage = n.stage.map(|s| format!(" [{s}]")).unwrap_or_default();
            format!("{} {:?} {}{stage} {}", n.event, n.severity, topics.join("+"), n.key)
        })
    };
    entries.iter().enumerate().map(tell).collect()
}

const ADA: &str = "ada@bastion";
const WE: &str = "controller";

#[test]
fn a_cutover_tells_its_start_its_point_of_no_return_and_its_end() {
    let effect = Effect::SetSwitch { group: "loan-audit".into(), to: SwitchState::Off };
    let found = told(&[
        (ADA, start(1, RunKind::CutOver, &group())),
        (WE, Event::StepStarted { run: 1, step: 0 }),
        (WE, Event::Intent { run: 1, issued: IssuedEffect { key: "1/1/1".into(), effect } }),
        (WE, Event::PointOfNoReturn { run: 1 }),
        (WE, Event::StepDone { run: 1, step: 0 }),
        (WE, done(1)),
        (ADA, Event::Completed { subject: Subject::Group("loan-audit".into()) }),
    ]);
    let expected = [
        "run_started Info run [moving] run/group/loan-audit",
        "",
        "",
        "no_return Info stage [moving] stage/group/loan-audit",
        "",
        "run_done Info run+stage [soaking] run/group/loan-audit",
        "completed Info stage [complete] stage/group/loan-audit",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_person_is_asked_for_while_it_runs_and_after_it() {
    let producer = Subject::Producer("ledger".into());
    let found = told(&[
        (ADA, start(1, RunKind::CutOver, &group())),
        (WE, needs(1)),
        (ADA, Event::Continued { run: 1 }),
        (WE, done(1)),
        (WE, needs(1)),
        (ADA, start(2, RunKind::HardCut, &producer)),
        (WE, done(2)),
        (WE, needs(2)),
        (WE, start(3, RunKind::GiveBack, &group())),
        (WE, Event::RunEnded { run: 3, end: RunEnd::Failed("no".into()) }),
        (WE, needs(99)),
    ]);
    let expected = [
        "run_started Info run [moving] run/group/loan-audit",
        "needs_operator Fail alarm [moving] run/group/loan-audit",
        "continued Info alarm [moving] run/group/loan-audit",
        "run_done Info run+stage [soaking] run/group/loan-audit",
        "alarm Fail alarm [soaking] run/group/loan-audit",
        "run_started Info run [moving] run/producer/ledger",
        "run_done Info run+stage [soaking] run/producer/ledger",
        "alarm Fail alarm [soaking] run/producer/ledger",
        "run_started Warn run [soaking] run/group/loan-audit",
        "run_failed Fail run [soaking] run/group/loan-audit",
        "",
    ];
    assert_eq!(found, expected);
    let mut room = Notifications::default();
    room.take_entry(
        &JournalEntry { seq: 1, at: At(0), actor: ADA.into(), event: start(1, RunKind::CutOver, &group()) },
        "w",
    );
    let asked = room.take_entry(&JournalEntry { seq: 2, at: At(0), actor: WE.into(), event: needs(1) }, "w").unwrap();
    assert_eq!((asked.what.as_str(), asked.advice.as_str()), ("green is not stable", "continue, or roll back"));
}

#[test]
fn a_trigger_tells_that_it_fires_is_held_acts_and_clears() {
    let hold = || Event::Held { subject: group(), why: "look first".into() };
    let resume = || Event::Resumed { subject: group() };
    let found = told(&[
        (ADA, start(1, RunKind::CutOver, &group())),
        (WE, done(1)),
        (ADA, hold()),
        (ADA, resume()),
        (WE, fired(Arm::Armed)),
        (ADA, hold()),
        (ADA, Event::Held { subject: Subject::Migration, why: "all".into() }),
        (ADA, resume()),
        (WE, cleared()),
        (WE, fired(Arm::Armed)),
        ("trigger green-lag", start(2, RunKind::RollBack, &group())),
        (WE, done(2)),
    ]);
    let expected = [
        "run_started Info run [moving] run/group/loan-audit",
        "run_done Info run+stage [soaking] run/group/loan-audit",
        "held Info hold [soaking] hold/group/loan-audit",
        "resumed Info hold [soaking] hold/group/loan-audit",
        "trigger_fired Fail trigger [soaking] trigger/loan-audit/green-lag/60000",
        "held Info hold+trigger [soaking] hold/group/loan-audit",
        "held Info hold+trigger hold/migration",
        "resumed Info hold+trigger [soaking] hold/group/loan-audit",
        "trigger_cleared Info trigger [soaking] trigger/loan-audit/green-lag/60000",
        "trigger_fired Fail trigger [soaking] trigger/loan-audit/green-lag/60000",
        "run_started Fail run+trigger [moving] run/group/loan-audit",
        "run_done Info run+stage [rolled back] run/group/loan-audit",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_shadow_that_flaps_is_told_every_five_minutes_at_most() {
    let flaps: Vec<(&str, Event)> = (0..6).flat_map(|_| [(WE, fired(Arm::Shadow)), (WE, cleared())]).collect();
    let found = told(&flaps);
    let times: Vec<usize> = found.iter().enumerate().filter(|(_, t)| !t.is_empty()).map(|(i, _)| i).collect();
    assert_eq!(times, [0, 6], "minutes: {found:?}");
    assert!(found[0].starts_with("trigger_shadow Warn trigger"), "{found:?}");
}

#[test]
fn gates_phases_and_the_rest() {
    let why = || "lag 130, not below 100".to_owned();
    let phase = |done| Event::PhaseTurned { number: 3, name: "Consumers".into(), done, total: 4 };
    let opened = || Event::Opened { actor: ADA.into(), pid: 1, version: "1".into(), clusters: [None, None] };
    let passed = PassedOver { gate: GateName::ReRead, what: "over".into(), by: ADA.into(), reason: "ok".into() };
    let cases = [
        (WE, gate(Some(Metric::Lag), Gate::Fail { why: why() }), "gate_failed Fail gate gate/loan-audit/lag/0"),
        (
            WE,
            gate(Some(Metric::Lag), Gate::Hold { left_ms: 1, why: why() }),
            "gate_recovered Info gate gate/loan-audit/lag/0",
        ),
        (WE, gate(Some(Metric::P99), Gate::Unknown { why: why() }), "gate_unknown Warn gate gate/loan-audit/p99/0"),
        (WE, gate(None, Gate::Pass), "soak_passed Info gate gate/loan-audit/soak/0"),
        (WE, phase(4), "phase_complete Info phase phase/3"),
        (WE, phase(3), "phase_incomplete Warn phase phase/3"),
        (ADA, opened(), "controller_opened Info controller controller"),
        (ADA, Event::Closed { actor: ADA.into() }, "controller_closed Info controller controller"),
        (ADA, opened(), "controller_opened Info controller controller"),
        (ADA, opened(), "controller_restarted Warn controller controller"),
        (
            WE,
            Event::Noticed { subject: group(), what: "x".into() },
            "noticed Warn note [on blue] note/group/loan-audit",
        ),
        (ADA, start(1, RunKind::CutOver, &group()), "run_started Info run [moving] run/group/loan-audit"),
        (ADA, Event::PassedOver { run: 1, passed }, "passed_over Warn note [moving] note/group/loan-audit"),
        (WE, Event::Pinned { side: Side::Blue, cluster_id: "x".into() }, ""),
    ];
    let entries: Vec<(&str, Event)> = cases.iter().map(|(actor, event, _)| (*actor, event.clone())).collect();
    let found: Vec<String> = told(&entries).into_iter().map(|t| t.replace("gate [on blue]", "gate")).collect();
    let expected: Vec<&str> = cases.iter().map(|(.., t)| *t).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_dry_run_is_no_news() {
    let found = told(&[
        (ADA, dry(start(1, RunKind::CutOver, &group()))),
        (WE, needs(1)),
        (WE, Event::PointOfNoReturn { run: 1 }),
        (WE, done(1)),
    ]);
    assert_eq!(found, ["", "", "", ""]);
}

#[test]
fn an_alarm_after_a_rehearsal_is_news() {
    let ledger = Subject::Producer("ledger".into());
    let passed = PassedOver { gate: GateName::Expired, what: "over".into(), by: ADA.into(), reason: "ok".into() };
    let found = told(&[
        (ADA, start(1, RunKind::CutOver, &group())),
        (WE, done(1)),
        (ADA, dry(start(2, RunKind::RollBack, &group()))),
        (WE, done(2)),
        (WE, needs(2)),
        (ADA, Event::Continued { run: 2 }),
        (ADA, Event::PassedOver { run: 2, passed }),
        (ADA, start(3, RunKind::HardCut, &ledger)),
        (WE, done(3)),
        (ADA, dry(start(4, RunKind::HardBack, &ledger))),
        (WE, done(4)),
        (WE, needs(4)),
    ]);
    let expected = [
        "",
        "",
        "alarm Fail alarm [soaking] run/group/loan-audit",
        "continued Info alarm [soaking] run/group/loan-audit",
        "passed_over Warn note [soaking] note/group/loan-audit",
        "run_started Info run [moving] run/producer/ledger",
        "run_done Info run+stage [soaking] run/producer/ledger",
        "",
        "",
        "alarm Fail alarm [soaking] run/producer/ledger",
    ];
    assert_eq!(found[2..], expected);
}

#[test]
fn every_kind_by_default_is_one_that_exists_and_has_a_name_of_its_own() {
    let names: BTreeSet<String> = NotificationTopic::iter().map(|t| t.to_string()).collect();
    assert_eq!(names.len(), NotificationTopic::iter().count());
    assert!(
        !NotificationTopic::DEFAULT.contains(&NotificationTopic::Controller),
        "each verb of the shell opens and closes the journal"
    );
    let events: BTreeSet<String> = NotificationEvent::iter().map(|t| t.to_string()).collect();
    assert_eq!(events.len(), NotificationEvent::iter().count());
}

#[test]
fn many_are_one_that_says_the_worst() {
    let one = |seq, event, severity| Notification {
        seq,
        event,
        severity,
        what: format!("w{seq}"),
        ..Notification::test(At(1), ADA)
    };
    let many = [
        one(3, NotificationEvent::RunStarted, Severity::Info),
        one(5, NotificationEvent::Alarm, Severity::Fail),
        one(9, NotificationEvent::RunStarted, Severity::Info),
    ];
    let sum = Notification::summary(&many).unwrap();
    assert_eq!((sum.seq, sum.severity), (9, Severity::Fail));
    let what = "3 could not be told in time (entries 3 to 9): 2 run_started, 1 alarm; the worst: w5";
    assert_eq!(sum.what, what);
    assert_eq!(Notification::summary(&[]), None);
}

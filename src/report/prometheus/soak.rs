//! Soaks: criteria with their values and clocks, rollback triggers, countdowns.

use super::families as f;
use super::{Family, Page, count, epoch_seconds, one_if, seconds};
use crate::migration::facts::stage::Stage;
use crate::migration::rules::gate::Gate;
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::trigger::{Arm, TriggerState};
use crate::migration::soak::watch::combine_rows;
use crate::report::words::{self, GATES, gate_word};
use crate::snapshot::{GateRow, GroupRow, Snapshot, TriggerRow};

pub(super) fn write(page: &mut Page, s: &Snapshot) {
    let soaking: Vec<&GroupRow> = s.groups.iter().filter(|g| g.listed && !g.gates.is_empty()).collect();
    let wholes: Vec<(&GroupRow, Gate)> = soaking.iter().map(|g| (*g, combine_rows(&g.gates))).collect();
    page.add_states(&f::SOAK_STATE, GATES, wholes.iter().map(|(g, w)| ([g.group.as_str()], Some(gate_word(w)))));
    let since = |g: &GroupRow| match g.stage {
        Stage::Soaking { since } => Some(epoch_seconds(since)),
        _ => None,
    };
    page.add(&f::SOAK_SINCE, soaking.iter().map(|g| ([&g.group], since(g))));
    page.add(&f::SOAK_LEFT, wholes.iter().map(|(g, w)| ([&g.group], seconds_left(w))));
    write_gates(page, &soaking);
    write_triggers(page, s);
}

/// How long it must still hold, s; `None` while that can't be told.
fn seconds_left(gate: &Gate) -> Option<f64> {
    match gate {
        Gate::Pass => Some(0.0),
        Gate::Hold { left_ms, .. } => Some(seconds(*left_ms)),
        Gate::Fail { .. } | Gate::Unknown { .. } => None,
    }
}

fn write_gates(page: &mut Page, soaking: &[&GroupRow]) {
    let rows: Vec<([&str; 2], &GateRow)> =
        soaking.iter().flat_map(|g| g.gates.iter().map(|r| ([g.group.as_str(), r.metric.into()], r))).collect();
    page.add_states(&f::GATE_STATE, GATES, rows.iter().map(|(l, r)| (*l, Some(gate_word(&r.gate)))));
    let mut add = |family: &Family, of: fn(&GateRow) -> Option<f64>| {
        page.add(family, rows.iter().map(|(l, r)| (*l, of(r))));
    };
    add(&f::GATE_JUDGED, |r| Some(one_if(r.judged)));
    add(&f::GATE_HELD, |r| Some(seconds(r.held_ms)));
    add(&f::GATE_NEEDED, |r| Some(seconds(r.needed_ms)));
    add(&f::GATE_LEFT, |r| seconds_left(&r.gate));
    add(&f::GATE_AGE, |r| r.age_ms.map(seconds));
    add(&f::GATE_HOLES, |r| r.judged.then(|| count(r.holes.len())));
    add(&f::GATE_VALUE_RECORDS, |r| in_records(r, newest_value(r)));
    add(&f::GATE_VALUE_SECONDS, |r| in_seconds(r, newest_value(r)));
    add(&f::GATE_VALUE_RATIO, |r| in_ratio(r, newest_value(r)));
    add(&f::GATE_LIMIT_RECORDS, |r| in_records(r, r.limit));
    add(&f::GATE_LIMIT_SECONDS, |r| in_seconds(r, r.limit));
    add(&f::GATE_LIMIT_RATIO, |r| in_ratio(r, r.limit));
    add(&f::GATE_BASELINE, |r| in_seconds(r, r.baseline));
}

/// The newest value, unless there should be a newer one.
fn newest_value(row: &GateRow) -> Option<f64> {
    row.value.filter(|_| !matches!(row.gate, Gate::Unknown { .. }))
}

fn in_records(row: &GateRow, value: Option<f64>) -> Option<f64> {
    value.filter(|_| matches!(row.metric, Metric::Lag | Metric::DlqGrowth))
}

fn in_seconds(row: &GateRow, value: Option<f64>) -> Option<f64> {
    value.filter(|_| matches!(row.metric, Metric::TimeLag | Metric::P99)).map(|ms| ms / 1_000.0)
}

fn in_ratio(row: &GateRow, value: Option<f64>) -> Option<f64> {
    value.filter(|_| row.metric == Metric::ErrorRate)
}

fn write_triggers(page: &mut Page, s: &Snapshot) {
    let listed = s.groups.iter().filter(|g| g.listed);
    let rows: Vec<([&str; 2], &TriggerRow)> =
        listed.flat_map(|g| g.triggers.iter().map(|t| ([g.group.as_str(), t.trigger.name.as_str()], t))).collect();
    page.add_states(
        &f::TRIGGER_STATE,
        words::TRIGGERS,
        rows.iter().map(|(l, t)| (*l, Some(words::trigger_word(&t.state)))),
    );
    page.add(&f::TRIGGER_ARMED, rows.iter().map(|(l, t)| (*l, Some(one_if(t.trigger.arm == Arm::Armed)))));
    let rising = |t: &TriggerRow| match t.state {
        TriggerState::Rising { left_ms, .. } => Some(seconds(left_ms)),
        _ => None,
    };
    page.add(&f::TRIGGER_LEFT, rows.iter().map(|(l, t)| (*l, rising(t))));
    page.add(&f::TRIGGER_AGE, rows.iter().map(|(l, t)| (*l, t.age_ms.map(seconds))));
    let fired = |l: &[&str; 2]| s.countdowns.iter().find(|c| [c.group.as_str(), c.trigger.as_str()] == *l);
    page.add(&f::TRIGGER_FIRED, rows.iter().map(|(l, _)| (*l, Some(one_if(fired(l).is_some())))));
    let held = |l: &[&str; 2]| fired(l).map(|c| one_if(c.held.is_some()));
    page.add(&f::TRIGGER_HELD, rows.iter().map(|(l, _)| (*l, held(l))));
    let acts = s.countdowns.iter().filter_map(|c| Some(([&c.group, &c.trigger], c.acts_at?)));
    page.add(&f::COUNTDOWN, acts.map(|(l, at)| (l, Some(seconds(at.since(s.now))))));
}

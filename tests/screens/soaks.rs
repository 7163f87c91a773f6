//! Soaks: how long still, can the clock be trusted, and what a trigger is about to do.

use cutover::controller::snapshot::{Countdown, GateRow, TriggerRow};
use cutover::migration::criteria::Metric;
use cutover::migration::estate::At;
use cutover::migration::gate::Gate;
use cutover::migration::samples::{Hole, Mark};
use cutover::migration::stage::Stage;
use cutover::migration::trigger::{Arm, Comparison, Trigger, TriggerMode, TriggerState};
use cutover::tui::model::Model;

use crate::fixture::{self, NOW};
use crate::scenes::{on, press, replaced};

/// A group that soaks, with a hole in its evidence and a trigger that counts down.
pub fn scenes(out: &mut Vec<(&'static str, Model)>) {
    const H: i64 = 3_600_000;
    let since = At(NOW.0 - 31 * H);
    let row = |metric, words: &str, gate, value, needed_ms| GateRow {
        metric,
        words: words.into(),
        gate,
        judged: true,
        value,
        limit: None,
        baseline: None,
        held_ms: 0,
        needed_ms,
        age_ms: Some(900),
        since,
        holes: vec![Hole { from: At(since.0 + 9 * H), to: At(since.0 + 14 * H) }],
        line: vec![(since, At(since.0 + 9 * H), Mark::Good), (At(since.0 + 14 * H), NOW, Mark::Good)],
    };
    let hold = |left_ms| Gate::Hold { left_ms, why: "for 26h of 48h".into() };
    let trigger = Trigger {
        name: "green-lag".into(),
        metric: Metric::Lag,
        comparison: Comparison::Above,
        value: 10_000.0,
        for_ms: 900_000,
        mode: TriggerMode::Sustained,
        arm: Arm::Armed,
        countdown_ms: 60_000,
    };
    let why = "lag 12000, > 10000 for 15m00s";
    let mut group = fixture::group("loan-ledger", "loans", 12, 7);
    group.stage = Stage::Soaking { since };
    group.gates = vec![
        row(Metric::Lag, "lag < 100 for 4h00m", Gate::Pass, Some(12.0), 4 * H as u64),
        row(Metric::ErrorRate, "errors < 0.01% for 48h00m", hold(111_840_000), Some(0.000_02), 48 * H as u64),
        row(Metric::P99, "p99 within 10% of 84ms for 48h00m", Gate::Unknown { why: "prom: no data".into() }, None, 0),
        row(Metric::DlqGrowth, "dead letters at most +0", Gate::Fail { why: "dead letters +3".into() }, Some(3.0), 0),
    ];
    group.triggers = vec![TriggerRow { trigger, state: TriggerState::Met { why: why.into() }, age_ms: Some(900) }];
    let scene = |size| {
        let mut s = replaced(group.clone());
        s.countdowns = vec![Countdown {
            group: "loan-ledger".into(),
            trigger: "green-lag".into(),
            why: why.into(),
            arm: Arm::Armed,
            acts_at: Some(NOW.plus(42_000)),
            held: None,
        }];
        on(s, size, |m| {
            m.group = Some("loan-ledger".into());
            press(m, &["enter"]);
        })
    };
    out.push(("soak_countdown_80x24", scene((80, 24))));
    out.push(("soak_countdown_140x40", scene((140, 40))));
}

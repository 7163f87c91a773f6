//! Soaks: how long still, can the clock be trusted, and what a trigger is about to do.

use cutover::base::At;
use cutover::migration::facts::stage::Stage;
use cutover::migration::rules::gate::Gate;
use cutover::migration::soak::criteria::Metric;
use cutover::migration::soak::samples::{Hole, SampleMark};
use cutover::migration::soak::trigger::{Arm, Trigger, TriggerComparison, TriggerMode, TriggerState};
use cutover::snapshot::{Countdown, GateRow, TriggerRow};
use cutover::tui::model::Model;
use cutover::tui::theme::Glyphs;

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
        line: vec![(since, At(since.0 + 9 * H), SampleMark::Good), (At(since.0 + 14 * H), NOW, SampleMark::Good)],
    };
    let hold = |left_ms| Gate::Hold { left_ms, why: "for 26h of 48h".into() };
    let trigger = Trigger {
        name: "green-lag".into(),
        metric: Metric::Lag,
        comparison: TriggerComparison::Above,
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
    out.push(("soak_countdown_60x16", scene((60, 16))));
    out.push(("soak_countdown_140x40", scene((140, 40))));
    out.push(("soak_80x24", soaking((80, 24), "dark", Glyphs::Utf8)));
    out.push(("soak_140x40", soaking((140, 40), "dark", Glyphs::Utf8)));
    out.push(("soak_ascii_mono", soaking((80, 24), "mono", Glyphs::Ascii)));
}

/// A group an hour before the end of its soak: a hole in one clock, one criterion that fails and one without an answer,
/// a trigger that rises and a shadow.
fn soaking(size: (u16, u16), theme: &str, glyphs: Glyphs) -> Model {
    const M: i64 = 60_000;
    let since = At(NOW.0 - 180 * M);
    let at = |minutes: i64| At(since.0 + minutes * M);
    let base = |metric, words: &str, gate, value, line| GateRow {
        metric,
        words: words.into(),
        gate,
        judged: true,
        value,
        limit: None,
        baseline: None,
        held_ms: 0,
        needed_ms: 4 * 60 * M as u64,
        age_ms: Some(2_000),
        since,
        holes: Vec::new(),
        line,
    };
    let good = vec![(since, NOW, SampleMark::Good)];
    let hold = |left: i64| Gate::Hold { left_ms: (left * M) as u64, why: "held".into() };
    let lag = base(Metric::Lag, "lag < 100 for 4h00m", hold(60), Some(12.0), good.clone());
    let hole = GateRow {
        holes: vec![Hole { from: at(40), to: at(71) }],
        line: vec![(since, at(40), SampleMark::Good), (at(71), NOW, SampleMark::Good)],
        ..base(Metric::TimeLag, "oldest < 1m for 4h00m", hold(131), Some(400.0), Vec::new())
    };
    let failing = GateRow {
        line: vec![(since, at(150), SampleMark::Good), (at(150), NOW, SampleMark::Bad)],
        ..base(
            Metric::ErrorRate,
            "errors < 0.01% for 4h00m",
            Gate::Fail { why: "errors 0.2%, not below 0.01%".into() },
            Some(0.002),
            Vec::new(),
        )
    };
    let silent = GateRow {
        age_ms: Some(600_000),
        holes: vec![Hole { from: at(170), to: NOW }],
        line: vec![(since, at(170), SampleMark::Good)],
        ..base(
            Metric::P99,
            "p99 within 10% of 84ms for 4h00m",
            Gate::Unknown { why: "prom: connection refused by prometheus.psc.example:9090".into() },
            None,
            Vec::new(),
        )
    };
    let trigger = |name: &str, arm, state| TriggerRow {
        trigger: Trigger {
            name: name.into(),
            metric: Metric::Lag,
            comparison: TriggerComparison::Above,
            value: 10_000.0,
            for_ms: 900_000,
            mode: TriggerMode::Sustained,
            arm,
            countdown_ms: 60_000,
        },
        state,
        age_ms: Some(900),
    };
    let mut group = fixture::soaking();
    group.stage = Stage::Soaking { since };
    group.gates = vec![lag, hole, failing, silent];
    let rising = TriggerState::Rising { left_ms: 252_000, why: "lag 12000, > 10000 for 10m48s".into() };
    group.triggers = vec![
        trigger("green-lag", Arm::Armed, rising),
        trigger("green-lag-shadow", Arm::Shadow, TriggerState::Quiet { worst: 1_204.0 }),
    ];
    let mut m = fixture::model_in(replaced(group), size, theme, glyphs);
    m.group = Some("loan-ledger".into());
    press(&mut m, &["enter"]);
    m
}

fn page(m: &Model) -> String {
    crate::looks::text(&crate::pictures::drawn(m))
}

#[test]
fn a_soak_shows_every_clock_with_its_holes_its_age_and_what_keeps_it() {
    let m = soaking((80, 24), "mono", Glyphs::Utf8);
    let said = page(&m);
    let line = |part: &str| said.lines().find(|l| l.contains(part)).unwrap_or_else(|| panic!("{part} in\n{said}"));
    let after = |part: &str| {
        let at = said.lines().position(|l| l.contains(part)).expect("there");
        said.lines().nth(at + 1).unwrap_or_default()
    };
    assert!(line("lag < 100").contains("1h00m left") && line("lag < 100").trim_end().ends_with("3s"), "{said}");
    assert!(line("oldest < 1m").contains("█  █"), "a hole is empty:\n{said}");
    assert!(after("oldest < 1m").contains("hole 11:42-12:13 UTC: does not count"), "{said}");
    assert!(line("errors < 0.01%").contains("FAIL"), "{said}");
    assert!(after("errors < 0.01%").contains("█×"), "bad has a shape of its own:\n{said}");
    assert!(line("p99 within").contains("UNKNOWN") && line("p99 within").trim_end().ends_with("10m01s"), "{said}");
    assert!(after("p99 within").contains("hole since 13:52 UTC"), "{said}");
    assert!(line("trigger green-lag ").contains("armed  fires in 4m12s"), "{said}");
    assert!(line("green-lag-shadow").contains("shadow  quiet, worst 1204"), "{said}");
    assert!(!said.contains("passes in"), "no time tells when what fails will pass:\n{said}");
}

#[test]
fn a_soak_says_when_it_is_over_and_a_countdown_names_its_key_first() {
    let mut all = Vec::new();
    scenes(&mut all);
    let named = |name: &str| page(&all.iter().find(|s| s.0 == name).expect("a scene").1);
    for name in ["soak_countdown_60x16", "soak_countdown_80x24", "soak_countdown_140x40"] {
        let said = named(name);
        let banner = said.lines().nth(2).unwrap_or_default();
        assert!(banner.contains("rolls back to BLUE in 4") && banner.contains("s, w HOLDS IT"), "{said}");
    }
    let mut s = fixture::estate();
    let group = s.groups.iter_mut().find(|g| g.group == "loan-ledger").expect("there");
    let m = soaking((80, 24), "dark", Glyphs::Utf8);
    let gates = &m.current_group().expect("there").gates;
    group.gates = gates[..2].to_vec();
    let mut m = fixture::model(s.clone(), (80, 24));
    m.group = Some("loan-ledger".into());
    press(&mut m, &["enter"]);
    assert!(page(&m).contains("passes in 2h11m"), "the slowest clock:\n{}", page(&m));
    let group = s.groups.iter_mut().find(|g| g.group == "loan-ledger").expect("there");
    group.gates.iter_mut().for_each(|g| g.gate = Gate::Pass);
    let mut m = fixture::model(s, (80, 24));
    m.group = Some("loan-ledger".into());
    press(&mut m, &["enter"]);
    assert!(page(&m).contains("all pass: d"), "{}", page(&m));
}

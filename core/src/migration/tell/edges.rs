//! Which gates of soaks and which phases have turned, as people are told of it. A gate that fails has turned at once; it
//! is good again only after it has not failed for a while, so one that flaps turns twice, however often it flaps.
//!
//! What was told is folded from the journal; how long something has stood lasts as long as the controller.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::At;
use crate::base::sanitise::visible_name;
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::{Event, JournalEntry};
use crate::migration::rules::gate::Gate;
use crate::migration::rules::phase::PhaseView;
use crate::migration::soak::criteria::{GateRow, Metric};
use crate::migration::soak::watch::combine_rows;

/// A gate, and a phase that was complete, are good or bad again when they have stood so for this long, ms.
pub(crate) const QUIET_MS: u64 = 300_000;
/// A gate that can't be told is worth a word after this, ms: a restart and a short outage are not.
pub(crate) const BLIND_MS: u64 = 600_000;
/// A phase is complete, and a soak has passed, when that stood for this long, ms.
pub(crate) const SETTLED_MS: u64 = 30_000;

/// How something stands, in three words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EdgeState {
    Good,
    Bad,
    Blind,
}

/// What is watched for a turn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum EdgeKey {
    Gate(String, Option<Metric>),
    Phase(u8),
}

/// See the module's words.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    /// Criteria that were told as failing or unknown.
    gates: BTreeMap<(String, Metric), EdgeState>,
    /// Groups whose soak was told as passed.
    passed: BTreeSet<String>,
    /// Phases that were told as complete.
    complete: BTreeSet<u8>,
    /// How each stands, and since when.
    standing: BTreeMap<EdgeKey, (EdgeState, At)>,
}

impl Edges {
    /// Takes in what the journal holds, its own entries included.
    pub fn take_entry(&mut self, entry: &JournalEntry) {
        match &entry.event {
            Event::GateTurned { group, metric: Some(metric), gate } => {
                match gate {
                    Gate::Fail { .. } => self.gates.insert((group.clone(), *metric), EdgeState::Bad),
                    Gate::Unknown { .. } => self.gates.insert((group.clone(), *metric), EdgeState::Blind),
                    Gate::Pass | Gate::Hold { .. } => self.gates.remove(&(group.clone(), *metric)),
                };
                // A soak that passed and fails again may pass again, which is news.
                if matches!(gate, Gate::Fail { .. } | Gate::Unknown { .. }) {
                    self.passed.remove(group);
                }
            }
            Event::GateTurned { group, metric: None, .. } => {
                self.passed.insert(group.clone());
            }
            Event::PhaseTurned { number, done, total, .. } if done == total => {
                self.complete.insert(*number);
            }
            Event::PhaseTurned { number, .. } => {
                self.complete.remove(number);
            }
            // The next soak begins with nothing told.
            Event::RunStarted { subject: Subject::Group(group), dry_run: false, .. }
            | Event::Completed { subject: Subject::Group(group) } => {
                self.forget_group(group);
            }
            _ => {}
        }
    }

    fn forget_group(&mut self, group: &str) {
        self.gates.retain(|(g, _), _| g != group);
        self.passed.remove(group);
        self.standing.retain(|key, _| !matches!(key, EdgeKey::Gate(g, _) if g == group));
    }

    /// What turned among a group's criteria; nothing while it does not soak. Each is to be journalled, and folded again.
    pub fn gate_turns(&mut self, group: &str, rows: &[GateRow], now: At) -> Vec<Event> {
        // How long something stood in one soak says nothing of the next.
        if rows.is_empty() {
            self.standing.retain(|key, _| !matches!(key, EdgeKey::Gate(g, _) if g == group));
            return Vec::new();
        }
        let mut turned = Vec::new();
        for row in rows.iter().filter(|r| r.judged) {
            let (metric, is) = (row.metric, edge_state(&row.gate));
            let stood = self.stood_for_ms(EdgeKey::Gate(group.to_owned(), Some(metric)), is, now);
            // What nobody was told of counts as good: a first failure is news, a first pass is none.
            let told = self.gates.get(&(group.to_owned(), metric)).copied().unwrap_or(EdgeState::Good);
            let turns = match (told, is) {
                (EdgeState::Good | EdgeState::Blind, EdgeState::Bad) => true,
                (EdgeState::Good, EdgeState::Blind) => stood >= BLIND_MS,
                (EdgeState::Bad | EdgeState::Blind, EdgeState::Good) => stood >= QUIET_MS,
                // From failing to unknown there is nothing to tell: it is not good again.
                _ => false,
            };
            if turns {
                let (group, gate) = (group.to_owned(), row.gate.clone());
                turned.push(Event::GateTurned { group, metric: Some(metric), gate });
            }
        }
        let all = combine_rows(rows);
        let stood = self.stood_for_ms(EdgeKey::Gate(group.to_owned(), None), edge_state(&all), now);
        let failing = self.gates.keys().any(|(g, _)| g == group);
        if all.passes() && !failing && stood >= SETTLED_MS && !self.passed.contains(group) {
            turned.push(Event::GateTurned { group: group.to_owned(), metric: None, gate: Gate::Pass });
        }
        turned
    }

    /// What turned among the phases. `seen`: both clusters were seen recently; otherwise a phase that looks incomplete
    /// may only be out of sight.
    pub fn phase_turns(&mut self, phases: &[PhaseView], seen: bool, now: At) -> Vec<Event> {
        let mut turned = Vec::new();
        for phase in phases.iter().filter(|p| p.total > 0) {
            // Of what is not looked at, or can't be seen now, there is nothing to tell.
            let Some(done) = phase.done else {
                self.stood_for_ms(EdgeKey::Phase(phase.number), EdgeState::Blind, now);
                continue;
            };
            let is = match (phase.is_complete(), seen && phase.note.is_none()) {
                (true, _) => EdgeState::Good,
                (false, true) => EdgeState::Bad,
                (false, false) => EdgeState::Blind,
            };
            let stood = self.stood_for_ms(EdgeKey::Phase(phase.number), is, now);
            let turns = match (self.complete.contains(&phase.number), is) {
                (false, EdgeState::Good) => stood >= SETTLED_MS,
                (true, EdgeState::Bad) => stood >= QUIET_MS,
                _ => false,
            };
            if turns {
                let PhaseView { number, name, total, .. } = phase.clone();
                turned.push(Event::PhaseTurned { number, name, done, total });
            }
        }
        turned
    }

    /// For how long it has stood as it does, ms.
    fn stood_for_ms(&mut self, key: EdgeKey, is: EdgeState, now: At) -> u64 {
        let standing = self.standing.entry(key).or_insert((is, now));
        // a clock that was set back starts the time anew: it never makes it longer
        if standing.0 != is || standing.1 > now {
            *standing = (is, now);
        }
        now.since(standing.1)
    }
}

fn edge_state(gate: &Gate) -> EdgeState {
    match gate {
        // A hold passes by itself: that is no failure.
        Gate::Pass | Gate::Hold { .. } => EdgeState::Good,
        Gate::Fail { .. } => EdgeState::Bad,
        Gate::Unknown { .. } => EdgeState::Blind,
    }
}

/// A gate that turned, in words.
#[must_use]
pub fn describe_gate_turn(group: &str, metric: Option<Metric>, gate: &Gate) -> String {
    let group = visible_name(group);
    let Some(metric) = metric else { return format!("{group}: every criterion of the soak passes") };
    let label = metric.label();
    match gate {
        Gate::Fail { why } => format!("{group}: the gate {label} FAILS: {why}"),
        Gate::Unknown { why } => format!("{group}: the gate {label} is UNKNOWN for a while: {why}"),
        Gate::Pass => format!("{group}: the gate {label} is good again (PASS)"),
        Gate::Hold { why, .. } => format!("{group}: the gate {label} is good again (HOLD: {why})"),
    }
}

/// A phase that turned, in words.
#[must_use]
pub fn describe_phase_turn(number: u8, name: &str, done: u32, total: u32) -> String {
    match done == total {
        true => format!("phase {number} {name} is complete: {done} of {total}", name = visible_name(name)),
        false => {
            format!("phase {number} {name} is not complete any more: {done} of {total}", name = visible_name(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(metric: Metric, gate: Gate) -> GateRow {
        GateRow {
            metric,
            words: String::new(),
            gate,
            judged: true,
            value: None,
            limit: None,
            baseline: None,
            held_ms: 0,
            needed_ms: 0,
            age_ms: None,
            since: At(0),
            holes: Vec::new(),
            line: Vec::new(),
        }
    }

    fn gate(word: &str) -> Gate {
        let why = || word.to_lowercase();
        match word {
            "PASS" => Gate::Pass,
            "HOLD" => Gate::Hold { left_ms: 1, why: why() },
            "FAIL" => Gate::Fail { why: why() },
            _ => Gate::Unknown { why: why() },
        }
    }

    /// Each line: at which second the lag's gate reads what; what turned. Between lines it stands, looked at each second.
    fn play(script: &[(u64, &str)], until: u64) -> Vec<String> {
        let (mut turns, mut seq, mut out) = (Edges::default(), 0, Vec::new());
        let mut word = "UNKNOWN";
        for s in 0..until {
            word = script.iter().find(|(at, _)| *at == s).map_or(word, |(_, w)| w);
            let now = At(i64::try_from(s * 1_000).unwrap());
            for event in turns.gate_turns("g", &[row(Metric::Lag, gate(word))], now) {
                let Event::GateTurned { metric, gate, .. } = &event else { panic!("{event:?}") };
                let what = if metric.is_some() { gate.word() } else { "passed" };
                out.push(format!("{s} {what}"));
                seq += 1;
                turns.take_entry(&JournalEntry { seq, at: now, actor: "controller".into(), event });
            }
        }
        out
    }

    /// What it shows, the script, until when, what turned.
    type Case<'a> = (&'a str, &'a [(u64, &'a str)], u64, &'a [&'a str]);

    #[test]
    fn each_turn_is_told_once() {
        let cases: &[Case<'_>] = &[
            ("a start without samples says nothing", &[(20, "HOLD")], 700, &[]),
            ("a failure is told at once", &[(1, "HOLD"), (10, "FAIL")], 300, &["10 FAIL"]),
            ("and the recovery later", &[(1, "HOLD"), (10, "FAIL"), (12, "HOLD")], 900, &["10 FAIL", "312 HOLD"]),
            ("a pause in sight is no recovery", &[(1, "FAIL"), (3, "UNKNOWN")], 900, &["1 FAIL"]),
            (
                "the time without failure is one piece",
                &[(1, "FAIL"), (2, "HOLD"), (200, "UNKNOWN"), (210, "HOLD")],
                900,
                &["1 FAIL", "510 HOLD"],
            ),
            ("out of sight for long", &[(1, "HOLD"), (10, "UNKNOWN")], 700, &["610 UNKNOWN"]),
            (
                "then it fails, then it is good",
                &[(1, "HOLD"), (10, "UNKNOWN"), (650, "FAIL"), (651, "PASS")],
                1_000,
                &["610 UNKNOWN", "650 FAIL", "951 PASS", "952 passed"],
            ),
            ("a soak passes once", &[(5, "PASS"), (50, "HOLD"), (60, "PASS")], 500, &["35 passed"]),
            (
                "and once more after a failure",
                &[(5, "PASS"), (50, "FAIL"), (60, "PASS")],
                500,
                &["35 passed", "50 FAIL", "360 PASS", "361 passed"],
            ),
        ];
        for (name, script, until, told) in cases {
            assert_eq!(play(script, *until), *told, "{name}");
        }
    }

    #[test]
    fn a_gate_that_flaps_all_night_is_told_twice() {
        let script: Vec<(u64, &str)> = (0..20_000).step_by(40).flat_map(|s| [(s, "FAIL"), (s + 20, "HOLD")]).collect();
        assert_eq!(play(&script, 30_000), ["0 FAIL", "20280 HOLD"]);
    }

    #[test]
    fn a_restart_remembers_what_was_told() {
        let entry = |event| JournalEntry { seq: 1, at: At(0), actor: "controller".into(), event };
        let failed = |g: &str| Event::GateTurned { group: g.into(), metric: Some(Metric::Lag), gate: gate("FAIL") };
        let mut turns = Edges::default();
        turns.take_entry(&entry(failed("g")));
        let rows = |word| [row(Metric::Lag, gate(word))];
        assert_eq!(turns.gate_turns("g", &rows("FAIL"), At(1)), [], "told before the restart");
        assert_eq!(turns.gate_turns("g", &rows("PASS"), At(2)), []);
        let again = turns.gate_turns("g", &rows("PASS"), At(2 + 300_000));
        assert!(matches!(&again[0], Event::GateTurned { gate: Gate::Pass, metric: Some(_), .. }), "{again:?}");
        // ... and of an earlier soak nothing
        turns.take_entry(&entry(Event::Completed { subject: Subject::Group("g".into()) }));
        assert_eq!(turns.gate_turns("g", &rows("FAIL"), At(3)), [failed("g")]);
        assert_eq!(turns.gate_turns("h", &[], At(3)), [], "no soak");
    }

    #[test]
    fn what_is_not_judged_and_a_clock_that_steps_tell_nothing() {
        let mut turns = Edges::default();
        let mut unmeasured = row(Metric::P99, gate("UNKNOWN"));
        unmeasured.judged = false;
        let rows = [row(Metric::Lag, gate("UNKNOWN")), unmeasured];
        assert_eq!(turns.gate_turns("g", &rows, At(10_000_000)), []);
        assert_eq!(turns.gate_turns("g", &rows, At(0)), [], "back");
        assert_eq!(turns.gate_turns("g", &rows, At(599_999)), [], "it counts from the step");
        assert_eq!(turns.gate_turns("g", &rows, At(600_000)).len(), 1);
    }

    #[test]
    fn a_phase_is_told_when_it_stands_and_never_because_nothing_is_seen() {
        let mut turns = Edges::default();
        let at = |s: i64| At(s * 1_000);
        let of = |done, total| PhaseView {
            number: 2,
            name: "Producers".into(),
            done,
            total,
            checked: None,
            note: None,
            at: None,
        };
        let phase = |done, total| [of(Some(done), total)];
        let unknown = [PhaseView { checked: Some(3), note: Some("not compared".into()), ..of(None, 3) }];
        assert_eq!(turns.phase_turns(&unknown, true, at(0)), []);
        assert_eq!(turns.phase_turns(&unknown, true, at(900)), [], "what is not looked at is never complete");
        let mut turns = Edges::default();
        let entry = |event: &Event| JournalEntry { seq: 1, at: At(0), actor: "".into(), event: event.clone() };
        assert_eq!(turns.phase_turns(&phase(0, 0), true, at(0)), [], "nothing of the plan belongs to it");
        assert_eq!(turns.phase_turns(&phase(3, 3), true, at(0)), []);
        let told = turns.phase_turns(&phase(3, 3), true, at(30));
        assert_eq!(told, [Event::PhaseTurned { number: 2, name: "Producers".into(), done: 3, total: 3 }]);
        turns.take_entry(&entry(&told[0]));
        assert_eq!(turns.phase_turns(&phase(3, 3), true, at(900)), [], "once");
        assert_eq!(turns.phase_turns(&phase(0, 3), false, at(901)), []);
        assert_eq!(turns.phase_turns(&phase(0, 3), false, at(9_000)), [], "out of sight");
        assert_eq!(turns.phase_turns(&phase(2, 3), true, at(9_001)), []);
        let told = turns.phase_turns(&phase(2, 3), true, at(9_301));
        assert_eq!(told.len(), 1);
        turns.take_entry(&entry(&told[0]));
        assert_eq!(turns.phase_turns(&phase(2, 3), true, at(19_301)), []);
    }
}

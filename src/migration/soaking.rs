//! The machine's soaks: which groups are watched, what they are compared with, how they stand, what is kept.

use std::collections::{BTreeMap, VecDeque};

use super::command::Subject;
use super::criteria::{GateRow, Metric, Reading};
use super::estate::{At, Side, Trouble};
use super::event::{Event, RunId, RunKind};
use super::gate::{Gate, span};
use super::machine::{CONTROLLER, Machine};
use super::soak::{Soak, dead_letters};
use super::stage::Stage;
use super::trigger::TriggerRow;
use super::watch::{Kept, Unsaved, Watch, whole, worst};

/// Readings on blue that a baseline is made of, at most: the middle one of the newest.
const BEFORE: usize = 60;
/// A baseline is made of readings of at most this age, ms.
const BEFORE_AGE_MS: u64 = 3_600_000;

/// What the machine knows of soaks besides the journal.
#[derive(Debug, Clone, Default)]
pub(super) struct Soaking {
    soaks: BTreeMap<String, Soak>,
    /// Samples of soaks that an earlier process watched.
    kept: BTreeMap<String, Kept>,
    /// What was measured of groups on blue.
    before: BTreeMap<(String, Metric), VecDeque<(At, f64)>>,
}

impl Soaking {
    /// A person has seen who works on the side that was left.
    pub fn forgive(&mut self, group: &str) {
        if let Some(soak) = self.soaks.get_mut(group) {
            soak.forgive();
        }
    }
}

impl Machine {
    /// What an earlier process kept: after the replay of the journal, before the first observation. Soaks go on
    /// counting from there; the time in between is a hole.
    pub fn restore_samples(&mut self, kept: Vec<Kept>) {
        self.soaking.kept.extend(kept.into_iter().map(|k| (k.group.clone(), k)));
        self.start_watching();
    }

    /// What has to be written so that a restart goes on from here.
    pub fn unsaved_samples(&mut self) -> Vec<Unsaved> {
        self.soaking.soaks.iter_mut().flat_map(|(group, soak)| soak.watch.changes(group)).collect()
    }

    /// Whether samples should be written at once: without a bad one a restart would count over it.
    pub fn urgent_samples(&mut self) -> bool {
        self.soaking.soaks.values_mut().any(|soak| soak.watch.urgent())
    }

    /// What [`Machine::unsaved_samples`] returned could not be written: it returns all again.
    pub fn samples_not_saved(&mut self) {
        self.soaking.soaks.values_mut().for_each(|soak| soak.watch.not_saved());
    }

    /// Takes in what a provider of metrics answered about a group on a side, in the metric's unit, asked for at `at`.
    pub fn handle_metric(&mut self, group: &str, side: Side, metric: Metric, at: At, result: Result<f64, Trouble>) {
        match side {
            Side::Green => {
                let reading = match result {
                    Ok(value) => Reading::number(at, value),
                    Err(why) => Reading::missing(at, why.what),
                };
                let gap = self.settings.sample_gap_ms;
                if let Some(soak) = self.soaking.soaks.get_mut(group) {
                    soak.watch.feed(metric, &reading, gap);
                }
            }
            Side::Blue => {
                let Some(value) = result.ok().filter(|v| v.is_finite() && *v > 0.0) else { return };
                let before = self.soaking.before.entry((group.to_owned(), metric)).or_default();
                if before.len() >= BEFORE {
                    before.pop_front();
                }
                before.push_back((at, value));
            }
        }
    }

    /// What a provider is to be asked about now: groups on green whose soak it judges, and on blue, before a cutover,
    /// what they will be compared with.
    #[must_use]
    pub fn wanted_metrics(&self) -> Vec<(String, Side, Metric)> {
        let mut wanted = Vec::new();
        for (name, group) in &self.settings.groups {
            let rules = group.criteria.rules.iter().filter(|r| r.unmeasured.is_none()).map(|r| r.metric);
            let metrics = rules.chain(group.criteria.triggers.iter().map(|t| t.metric));
            let mut metrics: Vec<Metric> = metrics.filter(|m| m.is_asked_for()).collect();
            metrics.sort_unstable();
            metrics.dedup();
            let side = match self.state.groups.get(name).map(|g| &g.rest) {
                Some(Stage::Soaking { .. }) => Side::Green,
                Some(Stage::Complete { .. }) => continue,
                _ => Side::Blue,
            };
            if side == Side::Blue {
                metrics.retain(|m| *m == Metric::P99 && !group.criteria.baselines.contains_key(m));
            }
            wanted.extend(metrics.into_iter().map(|m| (name.clone(), side, m)));
        }
        wanted
    }

    /// The baseline that a cutover would write down now: what the plan names, or the middle of what was measured on
    /// blue within the last hour.
    #[must_use]
    pub fn baseline(&self, group: &str, metric: Metric, now: At) -> Option<f64> {
        let named = self.settings.groups.get(group).and_then(|g| g.criteria.baselines.get(&metric));
        named.copied().or_else(|| self.measured_before(group, metric, now))
    }

    fn measured_before(&self, group: &str, metric: Metric, now: At) -> Option<f64> {
        let before = self.soaking.before.get(&(group.to_owned(), metric))?;
        let mut young: Vec<f64> =
            before.iter().filter(|(at, _)| now.since(*at) <= BEFORE_AGE_MS).map(|(_, v)| *v).collect();
        young.sort_by(f64::total_cmp);
        young.get(young.len() / 2).copied()
    }

    /// Writes down, before a group moves, what its soak will be compared with.
    pub(super) fn record_baselines(&mut self, run: RunId, now: At) {
        let Some(run) = self.state.runs.get(&run).filter(|r| r.kind == RunKind::CutOver && !r.dry_run) else { return };
        let Some(group) = run.group().map(str::to_owned) else { return };
        let Some(criteria) = self.settings.groups.get(&group).map(|g| g.criteria.clone()) else { return };
        if !criteria.baselines.contains_key(&Metric::P99)
            && let Some(value) = self.measured_before(&group, Metric::P99, now)
        {
            self.emit(CONTROLLER, Event::Baselined { group: group.clone(), metric: Metric::P99, value }, now);
        }
        let green = self.sight(now).fresh(Side::Green).ok();
        let held = criteria.dlq.as_deref().zip(green).and_then(|(topic, view)| dead_letters(view, topic).ok());
        if let Some(value) = held {
            self.emit(CONTROLLER, Event::Baselined { group, metric: Metric::DlqGrowth, value }, now);
        }
    }

    /// Groups that rest on green and soak, since when.
    fn resting(&self) -> BTreeMap<String, At> {
        let resting = self.state.groups.iter().filter_map(|(g, s)| match s.rest {
            Stage::Soaking { since } if self.state.open_run(&Subject::Group(g.clone())).is_none() => {
                Some((g.clone(), since))
            }
            _ => None,
        });
        resting.collect()
    }

    fn start_watching(&mut self) -> BTreeMap<String, At> {
        let resting = self.resting();
        let settings = &self.settings;
        let criteria = |group: &str| settings.groups.get(group).map(|g| &g.criteria);
        self.soaking.soaks.retain(|g, soak| {
            resting.get(g) == Some(&soak.watch.since()) && criteria(g).is_some_and(|c| soak.watch.is_of(c))
        });
        for (group, since) in &resting {
            let Some(criteria) = criteria(group) else { continue };
            let kept = &mut self.soaking.kept;
            let soak = self.soaking.soaks.entry(group.clone()).or_insert_with(|| {
                let kept = kept.remove(group).filter(|k| k.since == *since).map(|k| k.series).unwrap_or_default();
                Soak::new(Watch::new(criteria, *since, kept))
            });
            if let Some(p99) = self.state.groups.get(group).and_then(|g| g.baselines.get(&Metric::P99)) {
                soak.watch.baseline(Metric::P99, *p99);
            }
        }
        resting
    }

    /// Soaks: the criteria, and who still works on the side that was left.
    pub(super) fn watch_soaks(&mut self, now: At) {
        let writes = self.session.read_only.is_none();
        for (group, since) in self.start_watching() {
            let Some(criteria) = self.settings.groups.get(&group).map(|g| g.criteria.clone()) else { continue };
            let Some(mut soak) = self.soaking.soaks.remove(&group) else { continue };
            let dead = soak.feed(&self.sight(now), &group, &criteria);
            let quiet = self.state.groups.get(&group).is_some_and(|g| g.alarm.is_some());
            let intruder = soak.intruder(&self.sight(now), &group, Side::Blue, since).filter(|_| !quiet);
            self.soaking.soaks.insert(group.clone(), soak);
            if !writes {
                continue;
            }
            if let Some(value) = dead {
                self.emit(CONTROLLER, Event::Baselined { group: group.clone(), metric: Metric::DlqGrowth, value }, now);
            }
            let run = self.state.groups.get(&group).and_then(|g| g.run);
            if let (Some(why), Some(run)) = (intruder, run) {
                let advice = "find who still runs on blue and stop it, then continue; or roll back";
                self.emit(CONTROLLER, Event::NeedsOperator { run, why, advice: advice.into() }, now);
            }
        }
    }

    /// Every criterion of a group's soak as it stands; empty while it does not soak.
    #[must_use]
    pub fn gate_rows(&self, group: &str, now: At) -> Vec<GateRow> {
        let (gap, stale) = (self.settings.sample_gap_ms, self.settings.stale_after_ms);
        self.soaking.soaks.get(group).map(|s| s.watch.rows(now, gap, stale)).unwrap_or_default()
    }

    /// Every rollback trigger of a group as it stands; empty while it does not soak.
    #[must_use]
    pub fn trigger_rows(&self, group: &str, now: At) -> Vec<TriggerRow> {
        let (gap, stale) = (self.settings.sample_gap_ms, self.settings.stale_after_ms);
        self.soaking.soaks.get(group).map(|s| s.watch.triggers(now, gap, stale)).unwrap_or_default()
    }

    /// Whether a group's soak may be declared complete.
    #[must_use]
    pub fn soak_gate(&self, group: &str, now: At) -> Gate {
        whole(&self.gate_rows(group, now))
    }

    /// The criterion that keeps a soak from passing, in a few words.
    pub(super) fn soak_words(&self, group: &str, now: At) -> String {
        let rows = self.gate_rows(group, now);
        let Some(row) = worst(&rows) else { return "lag ? not measured yet".into() };
        let label = row.metric.label();
        match &row.gate {
            Gate::Pass => "soak passed".into(),
            Gate::Hold { left_ms, .. } => format!("{label} HOLD {}", span(*left_ms)),
            Gate::Fail { why } => format!("{label} FAIL {why}"),
            Gate::Unknown { why } => format!("{label} ? {why}"),
        }
    }
}

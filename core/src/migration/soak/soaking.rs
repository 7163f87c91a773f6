//! The machine's soaks: which groups are watched, what they are compared with, how they stand, what is kept. They own what
//! was measured; what the plan, the journal and the estate say is handed in.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::criteria::{GateRow, Lack, Limit, Metric, MetricReading};
use super::reading::{GroupSoak, count_dead_letters};
use super::trigger::TriggerRow;
use super::watch::{KeptSamples, UnsavedSeries, Watch, worst_row};
use crate::base::format_duration;
use crate::base::{At, Side, Trouble};
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::{Event, RunId, RunKind};
use crate::migration::facts::settings::Settings;
use crate::migration::facts::stage::Stage;
use crate::migration::facts::state::State;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::gate::Gate;
use crate::migration::run::machine::{CONTROLLER, Machine};

/// Readings on blue that a baseline is made of, at most: the middle one of the newest.
const BEFORE: usize = 360;
/// A baseline is made of readings of at most this age, ms.
const BEFORE_AGE_MS: u64 = 3_600_000;

/// Which part of the past a provider is to be asked for, besides now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastSpan {
    /// None: it is known, or nobody asked then.
    Known,
    /// What was measured on blue within this time, ms, in steps of at least so many ms: a baseline is made of it.
    Back {
        /// How far back, ms.
        ms: u64,
        /// Least distance of two samples, ms.
        step_ms: u64,
    },
    /// What was measured since then, while nobody looked, in steps of at most so many ms.
    Since {
        /// The last sample.
        from: At,
        /// Largest distance of two samples, ms.
        step_ms: u64,
    },
}

/// What a provider is to be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuestion {
    /// Group, by its id on blue.
    pub group: String,
    /// On which side.
    pub side: Side,
    /// For what.
    pub metric: Metric,
    /// And about the past, if the provider knows it.
    pub past: PastSpan,
}

/// What a soak will be compared with, or is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Of what.
    pub metric: Metric,
    /// The number, in the metric's unit.
    pub value: f64,
    /// Where it comes from.
    pub from: BaselineFrom,
}

/// Where a baseline comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum BaselineFrom {
    /// The plan names it.
    Plan,
    /// It was written down when the cutover began.
    Journal,
    /// It is the middle of what was measured on blue: a cutover that begins now would write it down.
    Measured {
        /// Samples.
        samples: u32,
        /// From the oldest to the newest of them, ms.
        over_ms: u64,
    },
}

impl Baseline {
    /// `84ms, the middle of 231 samples on blue over 59m45s`.
    #[must_use]
    pub fn describe_baseline(&self) -> String {
        let value = self.metric.format_value(self.value);
        match self.from {
            BaselineFrom::Plan => format!("{value}, as the plan says"),
            BaselineFrom::Journal => format!("{value}, measured on blue before the cutover"),
            BaselineFrom::Measured { samples: 1, .. } => format!("{value}, from one sample on blue"),
            BaselineFrom::Measured { samples, over_ms } => {
                format!("{value}, the middle of {samples} samples on blue over {}", format_duration(over_ms))
            }
        }
    }
}

/// What the machine knows of soaks besides the journal.
#[derive(Debug, Clone, Default)]
pub(in crate::migration) struct Soaking {
    soaks: BTreeMap<String, GroupSoak>,
    /// Samples of soaks that an earlier process watched.
    kept: BTreeMap<String, KeptSamples>,
    /// What was measured of groups on blue.
    before: BTreeMap<(String, Metric), BlueReadings>,
}

/// What was measured of a group on blue, oldest first.
#[derive(Debug, Clone, Default)]
struct BlueReadings {
    readings: VecDeque<(At, f64)>,
    /// What was measured before this process began is part of it.
    past: bool,
}

/// What a look at a soak found that is to be written down.
pub(in crate::migration) struct SoakFindings {
    /// Records that the dead-letter topic held when they could be counted for the first time.
    dead_letters: Option<f64>,
    /// Who still works on the side that was left, in words.
    intruder: Option<String>,
}

impl Soaking {
    /// A person has seen who works on the side that was left.
    pub(crate) fn forgive_intruder(&mut self, group: &str) {
        if let Some(soak) = self.soaks.get_mut(group) {
            soak.forgive_intruder();
        }
    }

    /// Takes in one answer of a provider; see [`Machine::handle_metric`].
    fn take_metric(
        &mut self,
        settings: &Settings,
        (group, side, metric): (&str, Side, Metric),
        at: At,
        result: Result<f64, Trouble>,
    ) {
        match side {
            Side::Green => {
                let reading = match result {
                    Ok(value) => MetricReading::number(at, value),
                    Err(why) => MetricReading::missing(at, why.what),
                };
                if let Some(soak) = self.soaks.get_mut(group) {
                    soak.watch.feed(metric, &reading, settings.sample_gap_ms);
                }
            }
            Side::Blue => {
                let Some(value) = result.ok().filter(|v| v.is_finite() && *v > 0.0) else { return };
                let before = &mut self.before.entry((group.to_owned(), metric)).or_default().readings;
                if before.len() >= BEFORE {
                    before.pop_front();
                }
                before.push_back((at, value));
            }
        }
    }

    /// Takes in what a provider knows of the past; see [`Machine::handle_past`].
    fn take_past(
        &mut self,
        settings: &Settings,
        state: &State,
        (group, side, metric): (&str, Side, Metric),
        now: At,
        points: &[(At, f64)],
    ) {
        let points = &points[..points.partition_point(|(at, _)| *at <= now)];
        match side {
            Side::Green => {
                if let Some(soak) = self.soaks.get_mut(group) {
                    soak.watch.feed_past(metric, points, settings.sample_gap_ms);
                }
            }
            Side::Blue => {
                let before = self.before.entry((group.to_owned(), metric)).or_default();
                before.past = true;
                // What was measured while it ran on green is no baseline.
                let since = match state.groups.get(group).map(|g| &g.rest) {
                    Some(Stage::RolledBack { at }) => *at,
                    _ => At(i64::MIN),
                };
                let real = |(at, v): &&(At, f64)| v.is_finite() && *v > 0.0 && *at > since;
                for (at, value) in points.iter().rev().filter(real) {
                    let older = before.readings.front().is_none_or(|(first, _)| at < first);
                    if older && before.readings.len() < BEFORE && now.since(*at) <= BEFORE_AGE_MS {
                        before.readings.push_front((*at, *value));
                    }
                }
            }
        }
    }

    /// Which part of a metric's past is asked for.
    fn past_of(&mut self, gap: u64, group: &str, side: Side, metric: Metric, now: At) -> PastSpan {
        match side {
            Side::Blue if self.before.get(&(group.to_owned(), metric)).is_some_and(|b| b.past) => PastSpan::Known,
            Side::Blue => PastSpan::Back { ms: BEFORE_AGE_MS, step_ms: BEFORE_AGE_MS / BEFORE as u64 },
            Side::Green => {
                let soak = self.soaks.get_mut(group);
                let silent = soak.and_then(|s| s.watch.silent_since(metric, now, gap));
                silent.map_or(PastSpan::Known, |from| PastSpan::Since { from, step_ms: gap / 2 })
            }
        }
    }

    /// What a provider is to be asked about now; see [`Machine::wanted_metrics`].
    fn list_questions(&mut self, settings: &Settings, state: &State, now: At) -> Vec<MetricQuestion> {
        let mut wanted: Vec<(String, Side, Metric)> = Vec::new();
        for (name, group) in &settings.groups {
            let rules = group.criteria.rules.iter().filter(|r| r.unmeasured.is_none()).map(|r| r.metric);
            let metrics = rules.chain(group.criteria.triggers.iter().map(|t| t.metric));
            let mut metrics: Vec<Metric> = metrics.filter(|m| m.is_asked_for()).collect();
            metrics.sort_unstable();
            metrics.dedup();
            let side = match state.groups.get(name).map(|g| &g.rest) {
                Some(Stage::Soaking { .. }) => Side::Green,
                Some(Stage::Complete { .. }) => continue,
                _ => Side::Blue,
            };
            if side == Side::Blue {
                metrics.retain(|m| *m == Metric::P99 && !group.criteria.baselines.contains_key(m));
            }
            wanted.extend(metrics.into_iter().map(|m| (name.clone(), side, m)));
        }
        let question = |(group, side, metric): (String, Side, Metric)| {
            let past = self.past_of(settings.sample_gap_ms, &group, side, metric, now);
            MetricQuestion { group, side, metric, past }
        };
        wanted.into_iter().map(question).collect()
    }

    /// The middle of what was measured of a group on blue within the last hour.
    fn measured_before(&self, group: &str, metric: Metric, now: At) -> Option<Baseline> {
        let before = &self.before.get(&(group.to_owned(), metric))?.readings;
        let young = before.iter().filter(|(at, _)| now.is_within(BEFORE_AGE_MS, *at));
        let (first, last) = (young.clone().next()?.0, young.clone().next_back()?.0);
        let mut values: Vec<f64> = young.map(|(_, v)| *v).collect();
        values.sort_by(f64::total_cmp);
        let samples = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let from = BaselineFrom::Measured { samples, over_ms: last.since(first) };
        Some(Baseline { metric, value: *values.get(values.len() / 2)?, from })
    }

    /// Begins with groups that soak since the last call, and ends with those that do no more: who soaks, since when.
    fn start_and_end(&mut self, settings: &Settings, state: &State) -> BTreeMap<String, At> {
        let resting = list_soaking(state);
        let criteria = |group: &str| settings.groups.get(group).map(|g| &g.criteria);
        self.soaks.retain(|g, soak| {
            resting.get(g) == Some(&soak.watch.since()) && criteria(g).is_some_and(|c| soak.watch.matches_criteria(c))
        });
        for (group, since) in &resting {
            let Some(criteria) = criteria(group) else { continue };
            let kept = &mut self.kept;
            let soak = self.soaks.entry(group.clone()).or_insert_with(|| {
                let kept = kept.remove(group).filter(|k| k.since == *since).map(|k| k.series).unwrap_or_default();
                GroupSoak::new(Watch::new(criteria, *since, kept))
            });
            if let Some(p99) = state.groups.get(group).and_then(|g| g.baselines.get(&Metric::P99)) {
                soak.watch.set_baseline(Metric::P99, *p99);
            }
        }
        resting
    }

    /// Looks at a soak: feeds it what the estate says, and finds who still works on blue. `None`: it is not watched.
    fn look_at(&mut self, context: &RuleContext<'_>, group: &str, since: At) -> Option<SoakFindings> {
        let criteria = &context.settings.groups.get(group)?.criteria;
        let soak = self.soaks.get_mut(group)?;
        let dead_letters = soak.feed(context, group, criteria);
        let quiet = context.state.groups.get(group).is_some_and(|g| g.alarm.is_some());
        let intruder = soak.find_intruder(context, group, Side::Blue, since).filter(|_| !quiet);
        Some(SoakFindings { dead_letters, intruder })
    }
}

/// Groups that rest on green and soak, since when.
fn list_soaking(state: &State) -> BTreeMap<String, At> {
    let resting = state.groups.iter().filter_map(|(g, s)| match s.rest {
        Stage::Soaking { since } if state.open_run(&Subject::Group(g.clone())).is_none() => Some((g.clone(), since)),
        _ => None,
    });
    resting.collect()
}

impl Machine {
    /// What an earlier process kept: after the replay of the journal, before the first observation. Soaks go on
    /// counting from there; the time in between is a hole.
    pub fn restore_samples(&mut self, kept: Vec<KeptSamples>) {
        self.soaking.kept.extend(kept.into_iter().map(|k| (k.group.clone(), k)));
        self.soaking.start_and_end(&self.settings, &self.state);
    }

    /// What has to be written so that a restart goes on from here.
    pub fn unsaved_samples(&mut self) -> Vec<UnsavedSeries> {
        self.soaking.soaks.iter_mut().flat_map(|(group, soak)| soak.watch.take_changes(group)).collect()
    }

    /// Whether samples should be written at once: without a bad one a restart would count over it.
    pub fn urgent_samples(&mut self) -> bool {
        self.soaking.soaks.values_mut().any(|soak| soak.watch.urgent())
    }

    /// What [`Machine::unsaved_samples`] returned could not be written: it returns all again.
    pub fn mark_samples_unsaved(&mut self) {
        self.soaking.soaks.values_mut().for_each(|soak| soak.watch.mark_all_unsaved());
    }

    /// Takes in what a provider of metrics answered about a group on a side, in the metric's unit, asked for at `at`.
    pub fn handle_metric(&mut self, group: &str, side: Side, metric: Metric, at: At, result: Result<f64, Trouble>) {
        self.soaking.take_metric(&self.settings, (group, side, metric), at, result);
    }

    /// Takes in what a provider knows of the past of a metric, oldest first, asked for at `now`: on green, before the
    /// reading of `now` is; on blue at any time.
    pub fn handle_past(&mut self, group: &str, side: Side, metric: Metric, now: At, points: &[(At, f64)]) {
        self.soaking.take_past(&self.settings, &self.state, (group, side, metric), now, points);
    }

    /// What a provider is to be asked about now: groups on green whose soak it judges, and on blue, before a cutover,
    /// what they will be compared with.
    #[must_use]
    pub fn wanted_metrics(&mut self, now: At) -> Vec<MetricQuestion> {
        self.soaking.list_questions(&self.settings, &self.state, now)
    }

    /// What a group's soak is compared with while it rests on green, else what a cutover would write down now: what the
    /// plan names, or the middle of what was measured on blue within the last hour.
    #[must_use]
    pub fn baseline(&self, group: &str, metric: Metric, now: At) -> Option<Baseline> {
        let of = |value: &f64, from| Baseline { metric, value: *value, from };
        let named = self.settings.groups.get(group).and_then(|g| g.criteria.baselines.get(&metric));
        if let Some(value) = named {
            return Some(of(value, BaselineFrom::Plan));
        }
        // a group that was never moved has no state yet
        match self.state.groups.get(group) {
            Some(state) if matches!(state.rest, Stage::Soaking { .. } | Stage::Complete { .. }) => {
                state.baselines.get(&metric).map(|value| of(value, BaselineFrom::Journal))
            }
            _ => self.soaking.measured_before(group, metric, now),
        }
    }

    /// The baselines of every metric that a group's soak compares with one.
    #[must_use]
    pub fn baselines(&self, group: &str, now: At) -> Vec<Baseline> {
        let rules = self.settings.groups.get(group).map(|g| g.criteria.rules.as_slice()).unwrap_or_default();
        let within = rules.iter().filter(|r| matches!(r.limit, Limit::Within(_)) && r.unmeasured.is_none());
        within.filter_map(|r| self.baseline(group, r.metric, now)).collect()
    }

    /// Writes down, before a group moves, what its soak will be compared with.
    pub(in crate::migration) fn record_baselines(&mut self, run: RunId, now: At) {
        let Some(run) = self.state.runs.get(&run).filter(|r| r.kind == RunKind::CutOver && !r.dry_run) else { return };
        let Some(group) = run.group().map(str::to_owned) else { return };
        let Some(criteria) = self.settings.groups.get(&group).map(|g| g.criteria.clone()) else { return };
        if !criteria.baselines.contains_key(&Metric::P99)
            && let Some(Baseline { metric, value, from }) = self.soaking.measured_before(&group, Metric::P99, now)
        {
            let samples = if let BaselineFrom::Measured { samples, .. } = from { Some(samples) } else { None };
            self.emit(CONTROLLER, Event::Baselined { group: group.clone(), metric, value, samples }, now);
        }
        let green = self.rule_context(now).fresh_cluster(Side::Green).ok();
        let held = criteria.dlq.as_deref().zip(green).and_then(|(topic, view)| count_dead_letters(view, topic).ok());
        if let Some(value) = held {
            let (metric, samples) = (Metric::DlqGrowth, None);
            self.emit(CONTROLLER, Event::Baselined { group, metric, value, samples }, now);
        }
    }

    /// Soaks: the criteria, and who still works on the side that was left.
    pub(in crate::migration) fn watch_soaks(&mut self, now: At) {
        let writes = self.session.read_only.is_none();
        for (group, since) in self.soaking.start_and_end(&self.settings, &self.state) {
            let context =
                RuleContext { settings: &self.settings, state: &self.state, estate: &self.estate, lag: &self.lag, now };
            let Some(found) = self.soaking.look_at(&context, &group, since).filter(|_| writes) else { continue };
            if let Some(value) = found.dead_letters {
                let (group, metric, samples) = (group.clone(), Metric::DlqGrowth, None);
                self.emit(CONTROLLER, Event::Baselined { group, metric, value, samples }, now);
            }
            let run = self.state.groups.get(&group).and_then(|g| g.run);
            if let (Some(why), Some(run)) = (found.intruder, run) {
                let advice = "find who still runs on blue and stop it, then continue; or roll back";
                self.emit(CONTROLLER, Event::needs_operator(run, why, advice), now);
            }
        }
    }

    /// Every criterion of a group's soak as it stands; empty while it does not soak.
    #[must_use]
    pub fn gate_rows(&self, group: &str, now: At) -> Vec<GateRow> {
        let (gap, stale) = (self.settings.sample_gap_ms, self.settings.stale_after_ms);
        self.soaking.soaks.get(group).map(|s| s.watch.rows(now, gap, stale)).unwrap_or_default()
    }

    /// The criteria of a group's soak that can't be told for a reason of this kind.
    pub(in crate::migration) fn lacking_metrics(&self, group: &str, lack: Lack, now: At) -> Vec<Metric> {
        self.soaking.soaks.get(group).map(|s| s.watch.lacking_metrics(lack, now)).unwrap_or_default()
    }

    /// Every rollback trigger of a group as it stands; empty while it does not soak.
    #[must_use]
    pub fn trigger_rows(&self, group: &str, now: At) -> Vec<TriggerRow> {
        let (gap, stale) = (self.settings.sample_gap_ms, self.settings.stale_after_ms);
        self.soaking.soaks.get(group).map(|s| s.watch.triggers(now, gap, stale)).unwrap_or_default()
    }

    /// The criterion that keeps a soak from passing, in a few words.
    pub(in crate::migration) fn describe_soak(&self, group: &str, now: At) -> String {
        let rows = self.gate_rows(group, now);
        let Some(row) = worst_row(&rows) else { return "lag ? not measured yet".into() };
        let label = row.metric.label();
        match &row.gate {
            Gate::Pass => "soak passed".into(),
            Gate::Hold { left_ms, .. } => format!("{label} HOLD {}", format_duration(*left_ms)),
            Gate::Fail { why } => format!("{label} FAIL {why}"),
            Gate::Unknown { why } => format!("{label} ? {why}"),
        }
    }
}

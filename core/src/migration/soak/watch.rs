//! What is watched of one group on green while it soaks: its criteria and the rollback triggers, fed by one set of
//! readings.

use std::collections::BTreeMap;

use super::criteria::{Criterion, CriterionJudge, GateRow, Lack, Metric, MetricReading, SamplePatience};
use super::samples::{SampleSeries, SampleStretch, SeriesChange};
use super::trigger::{Sentry, TriggerRow};
use crate::base::At;
use crate::migration::facts::settings::Criteria;
use crate::migration::rules::gate::Gate;

/// Prefix of a trigger's series; criteria go by the name of their metric.
const TRIGGER: &str = "trigger:";

/// Samples that outlive a restart: what was kept of a group's watch.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptSamples {
    /// Group, by its id on blue.
    pub group: String,
    /// Since when it was watched: of an earlier soak nothing counts.
    pub since: At,
    /// By the name of the series, oldest first.
    pub series: BTreeMap<String, Vec<SampleStretch>>,
}

/// What changed in one series since it was last asked.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsavedSeries {
    /// Group, by its id on blue.
    pub group: String,
    /// Since when it is watched.
    pub since: At,
    /// The name of the series.
    pub series: String,
    /// What changed.
    pub change: SeriesChange,
}

/// See the module's words.
#[derive(Debug, Clone)]
pub struct Watch {
    since: At,
    judges: Vec<CriterionJudge>,
    sentries: Vec<Sentry>,
    /// Measured before the cutover, or named by the plan.
    baselines: BTreeMap<Metric, f64>,
}

impl Watch {
    /// Starts watching at `since`, with what was kept of it.
    #[must_use]
    pub fn new(criteria: &Criteria, since: At, mut kept: BTreeMap<String, Vec<SampleStretch>>) -> Self {
        // A series that the plan did not have before the restart begins empty.
        let mut of = |name: String| kept.remove(&name).unwrap_or_default();
        let judge = |rule: &Criterion, kept| CriterionJudge::new(rule.clone(), since, kept);
        Self {
            since,
            judges: criteria.rules.iter().map(|r| judge(r, of(r.metric.to_string()))).collect(),
            sentries: criteria
                .triggers
                .iter()
                .map(|t| Sentry::new(t.clone(), since, of(format!("{TRIGGER}{}", t.name))))
                .collect(),
            baselines: criteria.baselines.clone(),
        }
    }

    /// Since when it is watched.
    #[must_use]
    pub fn since(&self) -> At {
        self.since
    }

    /// Whether it watches what these criteria ask for.
    #[must_use]
    pub(crate) fn matches_criteria(&self, criteria: &Criteria) -> bool {
        // Another limit judges the same samples otherwise, so what was marked by the old one can't go on.
        self.judges.iter().map(|j| &j.rule).eq(&criteria.rules)
            && self.sentries.iter().map(|s| &s.trigger).eq(&criteria.triggers)
    }

    /// A baseline that was measured. What the plan names stays.
    pub fn set_baseline(&mut self, metric: Metric, value: f64) {
        self.baselines.entry(metric).or_insert(value);
    }

    /// Takes one look at a metric in.
    pub fn feed(&mut self, metric: Metric, reading: &MetricReading, gap_ms: u64) {
        let baseline = self.baselines.get(&metric).copied();
        for judge in self.judges.iter_mut().filter(|j| j.rule.metric == metric) {
            judge.feed(reading, baseline, gap_ms);
        }
        for sentry in self.sentries.iter_mut().filter(|s| s.trigger.metric == metric) {
            sentry.feed(reading, gap_ms);
        }
    }

    /// Takes in what somebody else measured of a metric while nobody looked, oldest first. Each series takes what is
    /// newer than its own last sample and not older than the watch: nothing is put between samples that are there, so
    /// this has to come before the next look is fed. What is not a number is no sample; what is bad starts the count anew.
    pub fn feed_past(&mut self, metric: Metric, points: &[(At, f64)], gap_ms: u64) {
        let (since, baseline) = (self.since, self.baselines.get(&metric).copied());
        let newer = |at: At, series: &mut SampleSeries| at >= since && series.last_at().is_none_or(|last| at > last);
        for (at, value) in points {
            let reading = MetricReading::number(*at, *value);
            for judge in self.judges.iter_mut().filter(|j| j.rule.metric == metric) {
                if newer(*at, judge.series()) {
                    judge.feed(&reading, baseline, gap_ms);
                }
            }
            for sentry in self.sentries.iter_mut().filter(|s| s.trigger.metric == metric) {
                if newer(*at, sentry.series()) {
                    sentry.feed(&reading, gap_ms);
                }
            }
        }
    }

    /// Since when a metric was not measured, if that is longer than `gap_ms`: what is measured then comes after a hole.
    #[must_use]
    pub fn silent_since(&mut self, metric: Metric, now: At, gap_ms: u64) -> Option<At> {
        let since = self.since;
        let judges = self.judges.iter_mut().filter(|j| j.rule.metric == metric && j.rule.unmeasured.is_none());
        let sentries = self.sentries.iter_mut().filter(|s| s.trigger.metric == metric);
        let last = judges.map(CriterionJudge::series).chain(sentries.map(Sentry::series));
        // The furthest behind decides: what another asked for was not measured for this one.
        let last = last.map(|series| series.last_at().unwrap_or(since)).min()?;
        (now.since(last) > gap_ms).then_some(last)
    }

    /// Every criterion as it stands. `stale_ms` is how old the newest sample of what the clusters say may be; what
    /// providers are asked for comes less often, and may be as old as a gap.
    #[must_use]
    pub fn rows(&self, now: At, gap_ms: u64, stale_ms: u64) -> Vec<GateRow> {
        let baseline = |m: Metric| self.baselines.get(&m).copied();
        let row =
            |j: &CriterionJudge| j.row(now, patience_for(j.rule.metric, gap_ms, stale_ms), baseline(j.rule.metric));
        self.judges.iter().map(row).collect()
    }

    /// The criteria whose gate can't be told because their newest number is missing, for a reason of this kind.
    #[must_use]
    pub(crate) fn lacking_metrics(&self, lack: Lack, now: At) -> Vec<Metric> {
        self.judges.iter().filter(|j| j.lack(now) == Some(lack)).map(|j| j.rule.metric).collect()
    }

    /// Every trigger as it stands.
    #[must_use]
    pub fn triggers(&self, now: At, gap_ms: u64, stale_ms: u64) -> Vec<TriggerRow> {
        self.sentries.iter().map(|s| s.row(now, patience_for(s.trigger.metric, gap_ms, stale_ms))).collect()
    }

    /// Every series with its name.
    fn series(&mut self) -> impl Iterator<Item = (String, &mut SampleSeries)> {
        let judges = self.judges.iter_mut().map(|j| (j.rule.metric.to_string(), j.series()));
        judges.chain(self.sentries.iter_mut().map(|s| (format!("{TRIGGER}{}", s.trigger.name), s.series())))
    }

    /// What has to be written so that a restart goes on from here.
    pub fn take_changes(&mut self, group: &str) -> Vec<UnsavedSeries> {
        let since = self.since;
        let unsaved = |(series, of): (String, &mut SampleSeries)| {
            Some(UnsavedSeries { group: group.to_owned(), since, series, change: of.take_changes()? })
        };
        self.series().filter_map(unsaved).collect()
    }

    /// Whether it should be written at once.
    pub(crate) fn urgent(&mut self) -> bool {
        self.series().any(|(_, of)| of.urgent())
    }

    /// What changed could not be written: all of it is to be written again.
    pub(crate) fn mark_all_unsaved(&mut self) {
        for (_, of) in self.series() {
            of.mark_all_unsaved();
        }
    }
}

fn patience_for(metric: Metric, gap_ms: u64, stale_ms: u64) -> SamplePatience {
    SamplePatience { gap_ms, stale_ms: if metric.is_asked_for() { gap_ms.max(stale_ms) } else { stale_ms } }
}

/// The criterion that speaks for all that are judged: what fails, then what is unknown, then what holds longest.
#[must_use]
pub(crate) fn worst_row(rows: &[GateRow]) -> Option<&GateRow> {
    let rank = |row: &&GateRow| match &row.gate {
        Gate::Fail { .. } => (3, 0),
        Gate::Unknown { .. } => (2, 0),
        Gate::Hold { left_ms, .. } => (1, *left_ms),
        Gate::Pass => (0, 0),
    };
    // of several alike the first speaks
    rows.iter().filter(|r| r.judged).rev().max_by_key(rank)
}

/// All criteria together: each that is judged must pass. Nothing judged is Unknown.
#[must_use]
pub fn combine_rows(rows: &[GateRow]) -> Gate {
    worst_row(rows).map_or_else(|| Gate::Unknown { why: "not measured yet".into() }, |row| row.gate.clone())
}

//! Rollback triggers: a condition on one metric of a group on green, and for how long it must be met.
//!
//! `any`: one sample within the look-back is enough. `sustained`: every sample over that time, without a hole. A
//! metric that can't be read neither fires a trigger nor keeps it quiet: it is Unknown, and says so.

use serde::{Deserialize, Serialize};

use super::criteria::{Metric, MetricReading, SamplePatience};
use super::samples::{CLOCK_SLACK_MS, SampleMark, SampleSeries, SampleStretch};
use crate::base::At;
use crate::base::format_duration;

/// How a trigger compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum TriggerComparison {
    /// `>`
    #[serde(rename = ">")]
    #[strum(serialize = ">")]
    Above,
    /// `>=`
    #[serde(rename = ">=")]
    #[strum(serialize = ">=")]
    AtLeast,
    /// `<`
    #[serde(rename = "<")]
    #[strum(serialize = "<")]
    Below,
    /// `<=`
    #[serde(rename = "<=")]
    #[strum(serialize = "<=")]
    AtMost,
}

impl TriggerComparison {
    /// Whether `value` compares so with `with`.
    #[must_use]
    pub fn holds(self, value: f64, with: f64) -> bool {
        match self {
            TriggerComparison::Above => value > with,
            TriggerComparison::AtLeast => value >= with,
            TriggerComparison::Below => value < with,
            TriggerComparison::AtMost => value <= with,
        }
    }
}

/// Whether one sample in the look-back is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TriggerMode {
    /// Any one sample within `for`.
    Any,
    /// Every sample over `for`, without a hole.
    Sustained,
}

/// What a trigger that fires does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Arm {
    /// Says what it would do.
    Shadow,
    /// Does it.
    Armed,
}

/// One trigger of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Name, unique.
    pub name: String,
    /// What is compared.
    pub metric: Metric,
    /// How.
    pub comparison: TriggerComparison,
    /// With what: records, a share, or ms, as the metric has it.
    pub value: f64,
    /// Look-back (any) or duration (sustained), ms.
    pub for_ms: u64,
    /// Any or sustained.
    pub mode: TriggerMode,
    /// Shadow or armed.
    pub arm: Arm,
    /// How long a person has to hold it before it acts, ms.
    pub countdown_ms: u64,
}

impl Trigger {
    /// `lag > 10000, sustained 15m00s`.
    #[must_use]
    pub fn describe_condition(&self) -> String {
        let (metric, with) = (self.metric.label(), self.metric.format_value(self.value));
        format!("{metric} {} {with}, {} {}", self.comparison, self.mode, format_duration(self.for_ms))
    }
}

/// How a trigger stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TriggerState {
    /// Not met.
    Quiet {
        /// The worst value within the look-back.
        worst: f64,
    },
    /// Met by the newest sample, not yet for long enough.
    Rising {
        /// How long still, ms.
        left_ms: u64,
        /// What was measured.
        why: String,
    },
    /// Met.
    Met {
        /// What was measured.
        why: String,
    },
    /// It can't be told now.
    Unknown {
        /// What is missing.
        why: String,
    },
}

/// A trigger of one group, as screens see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerRow {
    /// The trigger.
    pub trigger: Trigger,
    /// How it stands.
    pub state: TriggerState,
    /// Age of the newest sample, ms.
    pub age_ms: Option<u64>,
}

/// Watches one trigger for one group.
#[derive(Debug, Clone)]
pub(in crate::migration) struct Sentry {
    pub trigger: Trigger,
    /// `Bad` is met.
    series: SampleSeries,
    missing: Option<String>,
}

impl Sentry {
    pub fn new(trigger: Trigger, since: At, kept: impl IntoIterator<Item = SampleStretch>) -> Self {
        let series = SampleSeries::restored(trigger.for_ms, since, kept);
        Self { trigger, series, missing: None }
    }

    pub fn series(&mut self) -> &mut SampleSeries {
        &mut self.series
    }

    pub fn feed(&mut self, reading: &MetricReading, gap_ms: u64) {
        match reading.checked_value(self.trigger.metric) {
            // A number that is missing leaves what was sampled as it is: neither met nor not.
            Err(why) => self.missing = Some(why),
            Ok(value) => {
                let met = self.trigger.comparison.holds(value, self.trigger.value);
                self.series.take_sample(
                    reading.at,
                    value,
                    if met { SampleMark::Bad } else { SampleMark::Good },
                    gap_ms,
                );
                self.missing = None;
            }
        }
    }

    pub fn state(&self, now: At, patience: SamplePatience) -> TriggerState {
        let t = &self.trigger;
        let Some(newest) = self.series.newest() else {
            let why = self.missing.clone().unwrap_or_else(|| "not measured yet".into());
            return TriggerState::Unknown { why };
        };
        // Against a clock that was set back every sample would stay within the look-back.
        if newest.last.since(now) > CLOCK_SLACK_MS {
            return TriggerState::Unknown {
                why: "the newest sample is from the future: the clock was set back".into(),
            };
        }
        // A sample that met the condition is a fact, whatever can or can't be read since.
        if t.mode == TriggerMode::Any
            && let Some(s) = self.recent_stretches(now).find(|s| s.mark == SampleMark::Bad)
        {
            let (value, ago) = (t.metric.format_value(self.worst(s)), format_duration(now.since(s.last)));
            return TriggerState::Met { why: format!("{} {value}, {ago} ago", t.metric.label()) };
        }
        if now.since(newest.last) > patience.stale_ms {
            let why = self.missing.clone().map(|w| format!(": {w}")).unwrap_or_default();
            let (label, age) = (t.metric.label(), format_duration(now.since(newest.last)));
            return TriggerState::Unknown { why: format!("{label} was last measured {age} ago{why}") };
        }
        if let Some(why) = &self.missing {
            return TriggerState::Unknown { why: why.clone() };
        }
        // Counted to the newest sample and not to now: what is after that was not seen.
        match self.series.bad_for_ms(patience.gap_ms) {
            Some(ms) => {
                let (label, value) = (t.metric.label(), t.metric.format_value(newest.value));
                let why = format!(
                    "{label} {value}, {} {} for {}",
                    t.comparison,
                    t.metric.format_value(t.value),
                    format_duration(ms)
                );
                match t.for_ms.saturating_sub(ms) {
                    0 => TriggerState::Met { why },
                    left_ms => TriggerState::Rising { left_ms, why },
                }
            }
            None => TriggerState::Quiet {
                worst: self
                    .recent_stretches(now)
                    .map(|s| self.worst(s))
                    .reduce(|a, b| self.worse(a, b))
                    .unwrap_or(newest.value),
            },
        }
    }

    fn recent_stretches(&self, now: At) -> impl Iterator<Item = &SampleStretch> {
        let for_ms = self.trigger.for_ms;
        self.series.stretches().rev().take_while(move |s| now.since(s.last) <= for_ms)
    }

    fn worst(&self, s: &SampleStretch) -> f64 {
        self.worse(s.min, s.max)
    }

    fn worse(&self, a: f64, b: f64) -> f64 {
        match self.trigger.comparison {
            TriggerComparison::Above | TriggerComparison::AtLeast => a.max(b),
            TriggerComparison::Below | TriggerComparison::AtMost => a.min(b),
        }
    }

    pub fn row(&self, now: At, patience: SamplePatience) -> TriggerRow {
        TriggerRow {
            trigger: self.trigger.clone(),
            state: self.state(now, patience),
            age_ms: self.series.last_at().map(|at| now.since(at)),
        }
    }
}

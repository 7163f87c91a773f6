//! Success criteria of a soak: each a gate of its own, with its value, its limit, the time it has held and its holes.
//!
//! A criterion passes when every sample was within its limit for as long as is needed. A sample that is missing, is
//! not a number, is stale or seems to come from the future is no sample; while the newest one is missing the gate is
//! Unknown, whatever held before.

use serde::{Deserialize, Serialize};

use super::samples::{CLOCK_SLACK_MS, Hole, SampleMark, SampleSeries, SampleStretch};
use crate::base::At;
use crate::base::format_duration;
use crate::migration::rules::gate::Gate;

/// A number that is watched of a group.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Metric {
    /// Sum of the lag over partitions, records.
    Lag,
    /// Age of the oldest record that is not consumed, ms.
    TimeLag,
    /// Share of failed records, 0 to 1.
    ErrorRate,
    /// p99 processing latency, ms.
    P99,
    /// Records that the dead-letter topic gained since the cutover began.
    DlqGrowth,
}

impl Metric {
    /// Whether a provider of `[metrics]` has to be asked for it; the others come from the clusters themselves.
    #[must_use]
    pub fn is_asked_for(self) -> bool {
        matches!(self, Metric::ErrorRate | Metric::P99)
    }

    /// What it is called on screens.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Metric::Lag => "lag",
            Metric::TimeLag => "oldest",
            Metric::ErrorRate => "errors",
            Metric::P99 => "p99",
            Metric::DlqGrowth => "dead letters",
        }
    }

    /// A value of it for people: `12`, `1.4s`, `0.002%`, `88ms`, `+3`.
    #[must_use]
    pub fn format_value(self, value: f64) -> String {
        match self {
            Metric::Lag => format!("{value:.0}"),
            Metric::DlqGrowth => format!("{value:+.0}"),
            Metric::ErrorRate => format!("{}%", trim_zeros(value * 100.0, 4)),
            Metric::TimeLag | Metric::P99 if value < 1000.0 => format!("{}ms", trim_zeros(value, 1)),
            Metric::TimeLag | Metric::P99 if value < 60_000.0 => format!("{}s", trim_zeros(value / 1000.0, 2)),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: finite and not negative
            Metric::TimeLag | Metric::P99 => format_duration(value as u64),
        }
    }
}

/// A number without the zeros at its end.
fn trim_zeros(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    // Without a fraction the zeros are digits of the number.
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.to_owned()
}

/// What a value is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Strictly below.
    Below(f64),
    /// At most.
    AtMost(f64),
    /// At most this share above the baseline (0.10 is 10 %).
    Within(f64),
}

impl Limit {
    /// The number that a value is compared with; `None` while a baseline is needed and not known.
    #[must_use]
    pub fn bound(self, baseline: Option<f64>) -> Option<f64> {
        match self {
            Limit::Below(n) | Limit::AtMost(n) => Some(n),
            Limit::Within(share) => baseline.map(|b| b * (1.0 + share)),
        }
    }

    pub(in crate::migration) fn admits(self, value: f64, bound: f64) -> bool {
        match self {
            Limit::Below(_) => value < bound,
            Limit::AtMost(_) | Limit::Within(_) => value <= bound,
        }
    }
}

/// One criterion of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// What is watched.
    pub metric: Metric,
    /// What it is held against.
    pub limit: Limit,
    /// For how long, ms; 0 means that the newest sample decides.
    pub for_ms: u64,
    /// Why it is not judged, when the plan gives no way to measure it. It is shown and passes nothing.
    pub unmeasured: Option<String>,
}

impl Criterion {
    /// A criterion that is judged.
    #[must_use]
    pub fn new(metric: Metric, limit: Limit, for_ms: u64) -> Self {
        Self { metric, limit, for_ms, unmeasured: None }
    }

    /// `lag < 100`, `p99 within 10% of 84ms`, `dead letters at most +0`.
    #[must_use]
    pub(crate) fn describe_limit(&self, baseline: Option<f64>) -> String {
        let (label, show) = (self.metric.label(), |n| self.metric.format_value(n));
        match self.limit {
            Limit::Below(n) => format!("{label} < {}", show(n)),
            Limit::AtMost(n) => format!("{label} at most {}", show(n)),
            Limit::Within(share) => {
                let of = baseline.map_or("its baseline".to_owned(), show);
                format!("{label} within {}% of {of}", trim_zeros(share * 100.0, 2))
            }
        }
    }
}

/// Why there is no number, where what may be done about it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lack {
    /// Offsets expired before the group read them: what lay there can't be told any more.
    Expired,
    /// Anything else.
    #[default]
    Other,
}

/// One look at a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricReading {
    /// When it was asked for.
    pub at: At,
    /// The number, or why there is none.
    pub value: Result<f64, String>,
    /// Of what kind that is.
    pub lack: Lack,
    /// What is wrong although the number may look good: stuck, nobody consumes.
    pub flaw: Option<String>,
    /// Why the number may be better than what is: within its limit it says nothing then, beyond it it counts.
    pub doubt: Option<String>,
    /// Nothing is written or consumed, and since when: it says nothing.
    pub idle_since: Option<At>,
}

impl MetricReading {
    /// A plain number.
    #[must_use]
    pub fn number(at: At, value: f64) -> Self {
        Self { at, value: Ok(value), lack: Lack::Other, flaw: None, doubt: None, idle_since: None }
    }

    /// No number.
    #[must_use]
    pub fn missing(at: At, why: impl Into<String>) -> Self {
        Self { value: Err(why.into()), ..Self::number(at, 0.0) }
    }

    /// The number if it is one that can be compared: finite, and not negative.
    pub(in crate::migration) fn checked_value(&self, metric: Metric) -> Result<f64, String> {
        let value = self.value.clone()?;
        match value {
            v if v.is_nan() => Err(format!("{metric} is not a number (NaN)")),
            v if v.is_infinite() => Err(format!("{metric} is infinite")),
            // It would lie below every limit, and pass.
            v if v < 0.0 => Err(format!("{metric} is negative ({v}): a counter was reset, or the query is wrong")),
            v => Ok(v),
        }
    }
}

/// How long samples may be apart, and how old the newest may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SamplePatience {
    /// A longer silence is a hole, ms.
    pub gap_ms: u64,
    /// The newest sample may be this old, ms.
    pub stale_ms: u64,
}

/// A criterion as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRow {
    /// What is watched.
    pub metric: Metric,
    /// The criterion in words: `lag < 100 for 4h00m`.
    pub words: String,
    /// How it stands.
    pub gate: Gate,
    /// It is part of the whole gate; `false`: the plan gives no way to measure it.
    pub judged: bool,
    /// The newest value.
    pub value: Option<f64>,
    /// What it is compared with; `None` while its baseline is not known.
    pub limit: Option<f64>,
    /// What was measured on blue before the cutover, or the plan names.
    pub baseline: Option<f64>,
    /// For how long it has held, ms.
    pub held_ms: u64,
    /// For how long it must, ms.
    pub needed_ms: u64,
    /// Age of the newest sample, ms.
    pub age_ms: Option<u64>,
    /// Since when it is watched.
    pub since: At,
    /// Where nothing was measured, oldest first.
    pub holes: Vec<Hole>,
    /// What was measured, oldest first; times between two of them that are no hole belong to the first.
    pub line: Vec<(At, At, SampleMark)>,
}

/// Pieces of a timeline at most: no screen has more columns; the oldest are left out.
const PIECES: usize = 256;

/// Why there is no newer sample.
#[derive(Debug, Clone)]
struct MissingSample {
    why: String,
    lack: Lack,
}

/// Watches one criterion.
#[derive(Debug, Clone)]
pub(in crate::migration) struct CriterionJudge {
    pub rule: Criterion,
    since: At,
    series: SampleSeries,
    /// Why the newest sample is bad.
    flaw: String,
    missing: Option<MissingSample>,
    idle_since: Option<At>,
}

impl CriterionJudge {
    pub fn new(rule: Criterion, since: At, kept: impl IntoIterator<Item = SampleStretch>) -> Self {
        let series = SampleSeries::restored(rule.for_ms, since, kept);
        Self { rule, since, series, flaw: String::new(), missing: None, idle_since: None }
    }

    pub fn series(&mut self) -> &mut SampleSeries {
        &mut self.series
    }

    pub fn feed(&mut self, reading: &MetricReading, baseline: Option<f64>, gap_ms: u64) {
        let metric = self.rule.metric;
        let missing = |why: String| Some(MissingSample { why, lack: Lack::Other });
        let value = match (reading.checked_value(metric), &reading.flaw) {
            (Ok(value), _) => value,
            // Nobody is there who could have a number: that is bad, whatever the number was.
            (Err(_), Some(flaw)) => {
                // The mark is what counts; the line needs some number, so the last one stays.
                let before = self.series.newest().map_or(0.0, |s| s.value);
                (self.missing, self.flaw) = (None, flaw.clone());
                return self.series.take_sample(reading.at, before, SampleMark::Bad, gap_ms);
            }
            (Err(why), None) => return self.missing = Some(MissingSample { why, lack: reading.lack }),
        };
        // A share of a baseline may overflow to infinity, which admits every value.
        let Some(bound) = self.rule.limit.bound(baseline).filter(|b| b.is_finite()) else {
            let why = "no baseline: none was measured on blue before the cutover, and the plan names none";
            return self.missing = missing(why.into());
        };
        // Dead letters never become fewer: if they do, the topic is another one, and what it gained before is unknown.
        if metric == Metric::DlqGrowth && self.series.max().is_some_and(|max| value < max) {
            let why =
                "the dead-letter topic's end went back: it was recreated or truncated, and what it gained is lost";
            return self.missing = missing(why.into());
        }
        let within = self.rule.limit.admits(value, bound);
        if let (true, None, Some(doubt)) = (within, &reading.flaw, &reading.doubt) {
            return self.missing = missing(doubt.clone());
        }
        let mark = match (&reading.flaw, within, reading.idle_since) {
            (Some(_), ..) | (None, false, _) => SampleMark::Bad,
            (None, true, Some(_)) => SampleMark::Idle,
            (None, true, None) => SampleMark::Good,
        };
        if mark == SampleMark::Bad {
            let because = reading.doubt.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let over = || {
                format!(
                    "{} {}, not {}{because}",
                    metric.label(),
                    metric.format_value(value),
                    self.describe_bound(bound)
                )
            };
            self.flaw = reading.flaw.clone().unwrap_or_else(over);
        }
        (self.missing, self.idle_since) = (None, reading.idle_since);
        self.series.take_sample(reading.at, value, mark, gap_ms);
    }

    fn describe_bound(&self, bound: f64) -> String {
        let bound = self.rule.metric.format_value(bound);
        match self.rule.limit {
            Limit::Below(_) => format!("below {bound}"),
            Limit::AtMost(_) | Limit::Within(_) => format!("at most {bound}"),
        }
    }

    fn judge_gate(&self, now: At, patience: SamplePatience, baseline: Option<f64>) -> Gate {
        let unknown = |why: String| Gate::Unknown { why };
        if let Some(why) = &self.rule.unmeasured {
            return unknown(why.clone());
        }
        let Some(newest) = self.series.newest() else {
            return unknown(self.missing.as_ref().map_or("not measured yet".into(), |m| m.why.clone()));
        };
        let because = self.missing.as_ref().map(|m| format!(": {}", m.why)).unwrap_or_default();
        let (age, label) = (now.since(newest.last), self.rule.metric.label());
        // Before any age is asked for: against a clock that was set back each would be 0, and stay fresh.
        if self.ahead_of(now) {
            return unknown("the newest sample is from the future: the clock was set back".into());
        }
        if age > patience.stale_ms {
            return unknown(format!("{label} was last measured {} ago{because}", format_duration(age)));
        }
        if let Some(missing) = &self.missing {
            return unknown(missing.why.clone());
        }
        if newest.mark == SampleMark::Bad {
            return Gate::Fail { why: self.flaw.clone() };
        }
        let (held, needed) = (self.series.held_ms(patience.gap_ms), self.rule.for_ms);
        let left_ms = needed.saturating_sub(held);
        match (newest.mark, left_ms) {
            // Also with nothing left to wait for: while nothing happens, nothing shows that it would still hold.
            (SampleMark::Idle, _) => {
                let idle =
                    self.idle_since.map_or(String::new(), |at| format!(" for {}", format_duration(now.since(at))));
                let why = format!("{label}: nothing was written or consumed{idle}, and idle time does not count");
                Gate::Hold { left_ms, why }
            }
            (_, 0) => Gate::Pass,
            (_, left_ms) => {
                let why = format!(
                    "{} for {} of {}",
                    self.rule.describe_limit(baseline),
                    format_duration(held),
                    format_duration(needed)
                );
                Gate::Hold { left_ms, why }
            }
        }
    }

    /// Whether its newest sample seems to come from the future: the clock was set back.
    fn ahead_of(&self, now: At) -> bool {
        self.series.newest().is_some_and(|newest| newest.last.since(now) > CLOCK_SLACK_MS)
    }

    /// Of what kind the missing number is that makes its gate unknown, if that is what makes it so.
    pub(crate) fn lack(&self, now: At) -> Option<Lack> {
        let missing = self.missing.as_ref().filter(|_| self.rule.unmeasured.is_none() && !self.ahead_of(now))?;
        Some(missing.lack)
    }

    pub fn row(&self, now: At, patience: SamplePatience, baseline: Option<f64>) -> GateRow {
        let newest = self.series.newest();
        let needed_ms = self.rule.for_ms;
        let span_words = if needed_ms == 0 { String::new() } else { format!(" for {}", format_duration(needed_ms)) };
        GateRow {
            metric: self.rule.metric,
            words: format!("{}{span_words}", self.rule.describe_limit(baseline)),
            gate: self.judge_gate(now, patience, baseline),
            judged: self.rule.unmeasured.is_none(),
            value: newest.map(|s| s.value),
            limit: self.rule.limit.bound(baseline),
            // An absolute limit is compared with none, so none is shown as if it were.
            baseline: if matches!(self.rule.limit, Limit::Within(_)) { baseline } else { None },
            held_ms: match newest.map(|s| s.mark) {
                Some(SampleMark::Bad) | None => 0,
                Some(_) => self.series.held_ms(patience.gap_ms),
            },
            needed_ms,
            age_ms: newest.map(|s| now.since(s.last)),
            since: self.since,
            holes: self.holes(now, patience),
            line: self.merge_stretches(patience.gap_ms),
        }
    }

    fn holes(&self, now: At, patience: SamplePatience) -> Vec<Hole> {
        if self.rule.unmeasured.is_some() {
            return Vec::new();
        }
        let mut holes = self.series.holes(self.since, now, patience.gap_ms);
        let more = holes.len().saturating_sub(PIECES);
        holes.drain(..more);
        holes
    }

    /// The stretches, those alike without a hole between them made one.
    fn merge_stretches(&self, gap_ms: u64) -> Vec<(At, At, SampleMark)> {
        let mut line: Vec<(At, At, SampleMark)> = Vec::new();
        for s in self.series.stretches() {
            match line.last_mut() {
                Some((_, to, mark)) if *mark == s.mark && s.first.since(*to) <= gap_ms => *to = s.last,
                _ => line.push((s.first, s.last, s.mark)),
            }
        }
        let more = line.len().saturating_sub(PIECES);
        line.drain(..more);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_gate_from_being_told_is_known_by_its_kind_and_by_no_words() {
        let now = At(60_000);
        let patience = SamplePatience { gap_ms: 60_000, stale_ms: 5_000 };
        let lack = |readings: &[MetricReading]| {
            let mut judge = CriterionJudge::new(Criterion::new(Metric::Lag, Limit::Below(10.0), 1_000), At(0), []);
            readings.iter().for_each(|r| judge.feed(r, None, patience.gap_ms));
            (judge.lack(now), matches!(judge.row(now, patience, None).gate, Gate::Unknown { .. }))
        };
        let words = "3 offsets of t-0 on green expired before they were read";
        let expired = |at| MetricReading { lack: Lack::Expired, ..MetricReading::missing(At(at), words) };
        assert_eq!(lack(&[expired(59_000)]), (Some(Lack::Expired), true));
        assert_eq!(lack(&[MetricReading::number(At(1_000), 3.0), expired(59_000)]), (Some(Lack::Expired), true));
        assert_eq!(
            lack(&[MetricReading::missing(At(59_000), words)]),
            (Some(Lack::Other), true),
            "the words prove nothing"
        );
        assert_eq!(lack(&[expired(58_000), MetricReading::number(At(59_000), 3.0)]), (None, false));
        let ahead = [MetricReading::number(At(90_000), 3.0), expired(59_000)];
        assert_eq!(lack(&ahead), (None, true), "the clock was set back: that is why it can't be told");
        assert_eq!(lack(&[]), (None, true), "not measured yet");
    }
}

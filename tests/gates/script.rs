//! The words of a script, one a line; `#` starts a comment. A line with `gate`, `trigger`, `held`, `holes` or `whole`
//! says what must be so at that moment.
//!
//! ```text
//! rule lag < 100 for 4h            a criterion (also: at most 0, within 0.10); `rule p99 ... unmeasured` for one without a query
//! watch green-lag lag > 10000 sustained 15m
//! gap 60s                          the longest silence that is no hole (60s unless said)
//! stale 15s                        how old the newest sample of the clusters' own numbers may be (15s unless said)
//! baseline p99 84                  what was measured before
//! every 10s lag 12, p99 80 for 4h  samples from now on, for so long
//! lag 12                           one sample now; also: `none: WHY`, `NaN`, `inf`, `-1`, `12 stuck`, `12 idle`, `gone`,
//!                                  `12 held` (an open transaction holds the log)
//! pass 61s                         time passes without a sample
//! restart 30s                      the process is gone for so long; what it kept is there again
//! clock +1h                        the machine's clock steps, no time passes
//! past p99 88 every 30s from 20m to 31m   what a provider knows of a time in which nobody asked, told now
//! silent p99 20m                   since when it was not measured, if that is longer than a gap; `none`
//! gate lag HOLD 2h left            PASS, HOLD, FAIL or UNKNOWN, and words of the reason (or `T left`)
//! whole FAIL                       all criteria together
//! held lag 3h59m                   how long it has held
//! holes lag 20m00s-21m01s          where nothing was measured, since the start; `none`
//! trigger green-lag met lag 12000  quiet, rising, met or unknown, and words of the reason
//! ```

use std::collections::BTreeMap;

use cutover::base::At;
use cutover::base::format_duration;
use cutover::migration::facts::settings::Criteria;
use cutover::migration::rules::gate::Gate;
use cutover::migration::soak::criteria::{Criterion, GateRow, Limit, Metric, MetricReading};
use cutover::migration::soak::samples::SampleStretch;
use cutover::migration::soak::trigger::{Arm, Trigger, TriggerComparison, TriggerMode, TriggerState};
use cutover::migration::soak::watch::{Watch, combine_rows};

type Said = Result<(), String>;

/// Where a clock starts; odd on purpose.
const START: i64 = 1_700_000_123_456;

struct World {
    criteria: Criteria,
    baselines: BTreeMap<Metric, f64>,
    gap_ms: u64,
    stale_ms: u64,
    now: At,
    watch: Option<Watch>,
    kept: BTreeMap<String, BTreeMap<At, SampleStretch>>,
}

pub fn play(script: &str) -> Said {
    let mut world = World {
        criteria: Criteria::default(),
        baselines: BTreeMap::new(),
        gap_ms: 60_000,
        stale_ms: 15_000,
        now: At(START),
        watch: None,
        kept: BTreeMap::new(),
    };
    let mut checks = 0;
    for (n, line) in crate::cases::lines(script) {
        let verb = line.split_whitespace().next().unwrap_or_default();
        checks += u32::from(["gate", "whole", "held", "holes", "trigger", "silent"].contains(&verb));
        world.line(line).map_err(|why| format!("line {n} `{line}`: {why}"))?;
    }
    if checks == 0 { Err("it checks nothing".into()) } else { Ok(()) }
}

/// `61s`, `4h`, `15m`, `500ms`, `1h30m`.
fn ms(text: &str) -> u64 {
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let n: u64 = rest[..digits].parse().unwrap_or_else(|_| panic!("no duration: {text:?}"));
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |e| digits + e);
        total += n * match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            unit => panic!("no unit {unit:?} in {text:?}"),
        };
        rest = &rest[unit_end..];
    }
    total
}

fn number(text: &str) -> f64 {
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

fn metric(text: &str) -> Metric {
    text.parse().unwrap_or_else(|_| panic!("no metric {text:?}"))
}

fn rule(rest: &str) -> Criterion {
    let (rest, unmeasured) = match rest.strip_suffix(" unmeasured") {
        Some(rest) => (rest, Some("not judged: nothing asks for it".to_owned())),
        None => (rest, None),
    };
    let (rest, for_ms) = rest.split_once(" for ").map_or((rest, 0), |(r, f)| (r, ms(f)));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let limit = match words.as_slice() {
        [_, "<", n] => Limit::Below(number(n)),
        [_, "at", "most", n] => Limit::AtMost(number(n)),
        [_, "within", n] => Limit::Within(number(n)),
        _ => panic!("no rule: {rest:?}"),
    };
    Criterion { unmeasured, ..Criterion::new(metric(words[0]), limit, for_ms) }
}

fn trigger(rest: &str) -> Trigger {
    let [name, of, comparison, value, mode, for_] = rest.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("watch NAME METRIC > NUMBER MODE TIME: {rest:?}");
    };
    Trigger {
        name: name.into(),
        metric: metric(of),
        comparison: match comparison {
            ">" => TriggerComparison::Above,
            ">=" => TriggerComparison::AtLeast,
            "<" => TriggerComparison::Below,
            "<=" => TriggerComparison::AtMost,
            other => panic!("no comparison {other:?}"),
        },
        value: number(value),
        for_ms: ms(for_),
        mode: if mode == "any" { TriggerMode::Any } else { TriggerMode::Sustained },
        arm: Arm::Armed,
        countdown_ms: 60_000,
    }
}

fn has(text: &str, words: &str) -> Said {
    if text.contains(words.trim()) { Ok(()) } else { Err(format!("{words:?} is not in {text:?}")) }
}

impl World {
    fn watch(&mut self) -> &mut Watch {
        if self.watch.is_none() {
            let kept = self.kept.iter().map(|(name, s)| (name.clone(), s.values().copied().collect())).collect();
            let mut watch = Watch::new(&self.criteria, At(START), kept);
            for (metric, value) in &self.baselines {
                watch.set_baseline(*metric, *value);
            }
            self.watch = Some(watch);
        }
        self.watch.as_mut().expect("just made")
    }

    /// Keeps what changed, as the store does.
    fn keep(&mut self) {
        for unsaved in self.watch().take_changes("g") {
            let series = self.kept.entry(unsaved.series).or_default();
            series.retain(|first, _| *first >= unsaved.change.keep_from && *first < unsaved.change.replace_from);
            series.extend(unsaved.change.stretches.into_iter().map(|s| (s.first, s)));
        }
    }

    fn feed(&mut self, words: &str) {
        let (at, gap) = (self.now, self.gap_ms);
        for one in words.split(',').map(str::trim) {
            let (of, says) = one.split_once(' ').unwrap_or_else(|| panic!("METRIC VALUE: {one:?}"));
            let of = metric(of);
            let reading = if let Some(why) = says.strip_prefix("none:") {
                MetricReading::missing(at, why.trim())
            } else if says == "gone" {
                MetricReading { flaw: Some("g does not exist on green".into()), ..MetricReading::missing(at, "gone") }
            } else if let Some(n) = says.strip_suffix(" stuck") {
                MetricReading {
                    flaw: Some(format!("stuck: lag {n}, and no commit moves")),
                    ..MetricReading::number(at, number(n))
                }
            } else if let Some(n) = says.strip_suffix(" held") {
                let doubt = "an open transaction of producer 7 holds t-0";
                MetricReading { doubt: Some(doubt.into()), ..MetricReading::number(at, number(n)) }
            } else if let Some(n) = says.strip_suffix(" idle") {
                MetricReading { idle_since: Some(At(START)), ..MetricReading::number(at, number(n)) }
            } else {
                MetricReading::number(at, number(says))
            };
            self.watch().feed(of, &reading, gap);
        }
    }

    /// `p99 88 every 30s from 20m to 31m`; times before the start with a minus.
    fn past(&mut self, rest: &str) {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [of, value, "every", step, "from", from, "to", to] = words[..] else {
            panic!("past METRIC VALUE every TIME from TIME to TIME: {rest:?}");
        };
        let at = |text: &str| match text.strip_prefix('-') {
            Some(before) => At(START - i64::try_from(ms(before)).unwrap()),
            None => At(START).plus(ms(text)),
        };
        let (mut next, end, value, gap) = (at(from), at(to), number(value), self.gap_ms);
        let mut points = Vec::new();
        while next <= end {
            points.push((next, value));
            next = next.plus(ms(step));
        }
        self.watch().feed_past(metric(of), &points, gap);
    }

    fn row(&mut self, of: &str) -> GateRow {
        let (now, gap, stale) = (self.now, self.gap_ms, self.stale_ms);
        let of = metric(of);
        let rows = self.watch().rows(now, gap, stale);
        rows.into_iter().find(|r| r.metric == of).unwrap_or_else(|| panic!("no rule for {of}"))
    }

    fn line(&mut self, line: &str) -> Said {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "rule" => self.criteria.rules.push(rule(rest)),
            "watch" => self.criteria.triggers.push(trigger(rest)),
            "gap" => self.gap_ms = ms(rest),
            "stale" => self.stale_ms = ms(rest),
            "baseline" => {
                let (of, value) = rest.split_once(' ').ok_or("baseline METRIC VALUE")?;
                self.baselines.insert(metric(of), number(value));
            }
            "every" => {
                let (step, rest) = rest.split_once(' ').ok_or("every TIME METRIC VALUE for TIME")?;
                let (what, length) = rest.rsplit_once(" for ").ok_or("every TIME METRIC VALUE for TIME")?;
                let end = self.now.plus(ms(length));
                self.feed(what);
                while self.now < end {
                    self.now = self.now.plus(ms(step).min(end.since(self.now)));
                    self.feed(what);
                }
                self.keep();
            }
            "pass" => self.now = self.now.plus(ms(rest)),
            "restart" => {
                self.keep();
                self.watch = None;
                self.now = self.now.plus(ms(rest));
            }
            "clock" => {
                let step = i64::try_from(ms(&rest[1..])).unwrap_or_default();
                self.now = At(self.now.0 + if rest.starts_with('-') { -step } else { step });
            }
            "gate" => return self.gate(rest),
            "whole" => {
                let (now, gap, stale) = (self.now, self.gap_ms, self.stale_ms);
                let gate = combine_rows(&self.watch().rows(now, gap, stale));
                return if gate.word() == rest { Ok(()) } else { Err(format!("it is {gate:?}")) };
            }
            "held" => {
                let (of, wanted) = rest.split_once(' ').ok_or("held METRIC TIME")?;
                let held = self.row(of).held_ms;
                return if held == ms(wanted) { Ok(()) } else { Err(format!("it has held {}", format_duration(held))) };
            }
            "holes" => {
                let (of, wanted) = rest.split_once(' ').ok_or("holes METRIC FROM-TO, ...")?;
                let from_start = |at: At| format_duration(at.since(At(START)));
                let found = self.row(of).holes;
                let found: Vec<String> =
                    found.iter().map(|h| format!("{}-{}", from_start(h.from), from_start(h.to))).collect();
                let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
                return if found == wanted { Ok(()) } else { Err(format!("they are {found}")) };
            }
            "trigger" => return self.trigger(rest),
            "past" => {
                self.past(rest);
                self.keep();
            }
            "silent" => {
                let (of, wanted) = rest.split_once(' ').ok_or("silent METRIC TIME")?;
                let (now, gap) = (self.now, self.gap_ms);
                let found = self.watch().silent_since(metric(of), now, gap);
                let found = found.map_or("none".to_owned(), |at| format_duration(at.since(At(START))));
                return if found == wanted { Ok(()) } else { Err(format!("it is {found}")) };
            }
            _ => {
                self.feed(line);
                self.keep();
            }
        }
        Ok(())
    }

    fn gate(&mut self, rest: &str) -> Said {
        let mut words = rest.splitn(3, ' ');
        let (of, wanted) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let why = words.next().unwrap_or_default();
        let row = self.row(of);
        if row.gate.word() != wanted {
            return Err(format!("it is {:?}, held {}", row.gate, format_duration(row.held_ms)));
        }
        match (&row.gate, why.strip_suffix(" left")) {
            (Gate::Hold { left_ms, .. }, Some(left)) if *left_ms == ms(left) => Ok(()),
            (Gate::Hold { left_ms, .. }, Some(_)) => Err(format!("{left_ms} ms are left")),
            (gate, _) => has(gate.why().unwrap_or_default(), why),
        }
    }

    fn trigger(&mut self, rest: &str) -> Said {
        let mut words = rest.splitn(3, ' ');
        let (name, wanted) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let why = words.next().unwrap_or_default();
        let (now, gap, stale) = (self.now, self.gap_ms, self.stale_ms);
        let rows = self.watch().triggers(now, gap, stale);
        let row = rows.into_iter().find(|r| r.trigger.name == name).ok_or("no such trigger")?;
        let (word, said) = match &row.state {
            TriggerState::Quiet { worst } => ("quiet", format!("max {}", row.trigger.metric.format_value(*worst))),
            TriggerState::Rising { left_ms, why } => ("rising", format!("{why}; {} left", format_duration(*left_ms))),
            TriggerState::Met { why } => ("met", why.clone()),
            TriggerState::Unknown { why } => ("unknown", why.clone()),
        };
        if word == wanted { has(&said, why) } else { Err(format!("it is {word}: {said}")) }
    }
}

//! The state as Prometheus reads it (text exposition format 0.0.4), from one snapshot.
//!
//! What is not known has no sample: a missing series is unknown, and never 0. What is stale has none either, but its
//! age has: `..._age_seconds` is what an alert on silence looks at. States are one family with a sample of 0 or 1 for
//! each state, so that a series does not vanish when the state changes. Groups that the plan does not list come as sums:
//! their names are anybody's, and their number too.

mod clusters;
mod families;
mod groups;
mod producers;
mod soak;

use std::fmt::Write as _;

pub(crate) use families::Family;
pub use families::{ALL as FAMILIES, FamilyKind};

use crate::base::At;
use crate::base::sanitise::visible_name;
use crate::migration::facts::stage::{RunView, SideState, Stage, StepState};
use crate::snapshot::{Arming, PhaseView, Severity, Snapshot};

/// Content type of [`to_text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A snapshot older than this is no picture of now, ms: only its age is exposed. The controller makes one every second.
pub const SNAPSHOT_STALE_MS: u64 = 15_000;

/// Everything as one page, scraped at `now`.
#[must_use]
pub fn to_text(s: &Snapshot, now: At) -> String {
    // Ages are those of then: how old the snapshot is has a sample of its own.
    let mut page = Page { out: String::with_capacity(16 << 10), now: s.now, stale_ms: s.header.stale_after_ms };
    // One from the future is as wrong as an old one: a clock was set.
    let age = now.since(s.now).max(s.now.since(now));
    page.add(&families::BUILD, [([env!("CARGO_PKG_VERSION")], Some(1.0))]);
    page.add_unlabelled(&families::SNAPSHOT_AGE, Some(seconds(age)));
    page.add_unlabelled(&families::SNAPSHOT_AT, Some(epoch_seconds(s.now)));
    if s.seq == 0 || age > SNAPSHOT_STALE_MS {
        return page.out;
    }
    write_controller(&mut page, s);
    clusters::write(&mut page, s);
    groups::write(&mut page, s);
    soak::write(&mut page, s);
    producers::write(&mut page, s);
    page.out
}

/// What is written, and by which clock.
struct Page {
    out: String,
    now: At,
    stale_ms: u64,
}

impl Page {
    /// A family without labels.
    fn add_unlabelled(&mut self, family: &Family, value: Option<f64>) {
        self.add::<&str, 0>(family, [([], value)]);
    }

    /// A family with those of its samples that have a value; without any it is left out.
    fn add<T: AsRef<str>, const N: usize>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = ([T; N], Option<f64>)>,
    ) {
        let mut first = true;
        for (values, value) in samples {
            // The format has NaN and infinities, and either would be taken for a value.
            let Some(value) = value.filter(|v| v.is_finite()) else { continue };
            if std::mem::take(&mut first) {
                self.write_head(family);
            }
            self.write_sample(family, values.iter().map(AsRef::as_ref), value);
        }
    }

    /// A family of states: each of `all` once, 1 for the one that is. `None`: not known, no sample.
    fn add_states<'a, const N: usize>(
        &mut self,
        family: &Family,
        all: &[&str],
        samples: impl IntoIterator<Item = ([&'a str; N], Option<&'a str>)>,
    ) {
        let mut first = true;
        for (values, is) in samples {
            let Some(is) = is else { continue };
            debug_assert!(is.is_empty() || all.contains(&is), "{} knows {is}", family.name);
            if std::mem::take(&mut first) {
                self.write_head(family);
            }
            for state in all {
                self.write_sample(family, values.iter().chain([state]).copied(), one_if(*state == is));
            }
        }
    }

    fn write_sample<'a>(&mut self, family: &Family, values: impl Iterator<Item = &'a str>, value: f64) {
        self.out.push_str(family.name);
        let mut written = 0;
        for (label, of) in family.labels.iter().zip(values) {
            self.out.push(if written == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{label}=\""); // writing to a String cannot fail
            self.write_escaped(of);
            self.out.push('"');
            written += 1;
        }
        debug_assert_eq!(written, family.labels.len(), "{} has its labels", family.name);
        let _ = writeln!(self.out, "{} {value}", if written == 0 { "" } else { "}" }); // the same
    }

    fn write_head(&mut self, family: &Family) {
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.out, "# HELP {} {help}\n# TYPE {} {}", family.name, family.name, family.kind.word());
    }

    /// A label's value: made visible as a name (a NUL would end the whole page for Prometheus, and two values that become
    /// alike would be one series twice), then escaped.
    fn write_escaped(&mut self, text: &str) {
        for c in visible_name(text).chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                c => self.out.push(c),
            }
        }
    }

    /// Whether something seen at `at` may still be said: neither old nor from the future.
    fn is_fresh(&self, at: At) -> bool {
        self.now.since(at) <= self.stale_ms && at.since(self.now) <= self.stale_ms
    }

    fn age(&self, at: At) -> f64 {
        seconds(self.now.since(at))
    }
}

/// Counts below 2^53 are exact, and there are no more records.
#[allow(clippy::cast_precision_loss, reason = "the format's numbers are doubles")]
fn number(n: u64) -> f64 {
    n as f64
}

fn count(n: usize) -> f64 {
    number(u64::try_from(n).unwrap_or(u64::MAX))
}

fn seconds(ms: u64) -> f64 {
    number(ms) / 1_000.0
}

/// A moment in seconds since the epoch.
fn epoch_seconds(at: At) -> f64 {
    seconds(at.since(At(0)))
}

fn one_if(is: bool) -> f64 {
    f64::from(u8::from(is))
}

const STAGES: &[&str] = &["on_blue", "moving", "soaking", "complete", "rolled_back"];

fn stage_word(stage: &Stage) -> &'static str {
    match stage {
        Stage::OnBlue => "on_blue",
        Stage::Moving { .. } => "moving",
        Stage::Soaking { .. } => "soaking",
        Stage::Complete { .. } => "complete",
        Stage::RolledBack { .. } => "rolled_back",
    }
}

const HINDRANCES: &[&str] = &["held", "blocked", "needs_operator"];

/// The empty word where nothing hinders.
fn hindrance_word(of: Option<&SideState>) -> &'static str {
    match of {
        None => "",
        Some(SideState::Held { .. }) => "held",
        Some(SideState::Blocked { .. }) => "blocked",
        Some(SideState::NeedsOperator { .. }) => "needs_operator",
    }
}

fn write_controller(page: &mut Page, s: &Snapshot) {
    let h = &s.header;
    page.add(&families::MIGRATION, [([&h.migration, &h.controller], Some(1.0))]);
    let arming = match h.arming {
        Arming::Armed => "armed",
        Arming::DryRun => "dry_run",
        Arming::ReadOnly { .. } => "read_only",
    };
    page.add_states(&families::ARMING, &["armed", "dry_run", "read_only"], [([], Some(arming))]);
    page.add_unlabelled(&families::TRUSTED, Some(one_if(s.why_untrusted(s.now).is_none())));
    page.add_unlabelled(&families::STALE_AFTER, Some(seconds(h.stale_after_ms)));
    page.add_unlabelled(&families::JOURNAL, s.journal.last().map(|l| number(l.seq)));
    let severities = [("info", Severity::Info), ("warn", Severity::Warn), ("fail", Severity::Fail)];
    let told = |of| count(s.notices.iter().filter(|n| n.severity == of).count());
    page.add(&families::NOTICES, severities.map(|(word, of)| ([word], Some(told(of)))));
    page.add(&families::PHASE_STEPS, s.phases.iter().map(|p| ([&p.name], Some(f64::from(p.total)))));
    page.add(&families::PHASE_PROVEN, s.phases.iter().map(|p| ([&p.name], proven_steps(p))));
    page.add(&families::PHASE_CHECKED, s.phases.iter().map(|p| ([&p.name], p.checked.map(f64::from))));
    write_runs(page, s);
}

/// Proven steps, while nothing stands in the way of saying so.
fn proven_steps(phase: &PhaseView) -> Option<f64> {
    phase.done.filter(|_| phase.note.is_none()).map(f64::from)
}

/// The last run of each group of the plan and of each producer; one that was walked dry says nothing.
fn write_runs(page: &mut Page, s: &Snapshot) {
    let groups = s.groups.iter().filter(|g| g.listed).filter_map(|g| Some(("group", &g.group, g.run.as_ref()?)));
    let producers = s.producers.iter().filter_map(|p| Some(("producer", &p.name, p.run.as_ref()?)));
    let runs: Vec<([String; 4], &RunView)> = groups
        .chain(producers)
        .filter(|(_, _, r)| !r.dry_run)
        .map(|(subject, name, r)| {
            // the journal's word, which does not change
            let kind =
                serde_json::to_value(r.kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
            ([subject.to_owned(), name.clone(), kind, r.to.name().to_owned()], r)
        })
        .collect();
    let words = |labels: &[String; 4]| labels.clone();
    let states = runs.iter().map(|(labels, r)| (labels.each_ref().map(String::as_str), Some(run_state(r))));
    page.add_states(&families::RUN_STATE, &["waiting", "doing", "stuck", "done"], states);
    page.add(&families::RUN_STEPS, runs.iter().map(|(l, r)| (words(l), Some(count(r.steps.len())))));
    let done = |r: &RunView| r.steps.iter().filter(|(_, s)| matches!(s, StepState::Done { .. })).count();
    page.add(&families::RUN_DONE, runs.iter().map(|(l, r)| (words(l), Some(count(done(r))))));
    page.add(&families::RUN_STARTED, runs.iter().map(|(l, r)| (words(l), Some(epoch_seconds(r.started)))));
    let re_read = |r: &RunView| r.predicted_re_read.map(number);
    page.add(&families::RUN_RE_READ, runs.iter().map(|(l, r)| (words(l), re_read(r))));
}

fn run_state(run: &RunView) -> &'static str {
    let any = |is: fn(&StepState) -> bool| run.steps.iter().any(|(_, s)| is(s));
    // The gravest first: a run that is stuck has steps to do as well.
    match () {
        () if any(|s| matches!(s, StepState::Stuck { .. })) => "stuck",
        () if any(|s| matches!(s, StepState::Doing { .. })) => "doing",
        () if any(|s| matches!(s, StepState::Todo)) => "waiting",
        () => "done",
    }
}

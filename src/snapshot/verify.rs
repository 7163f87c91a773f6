//! What screens see of a diff: how far it is, what it found, and what to do next.

use serde::{Deserialize, Serialize};

use crate::base::sanitise::visible_text;
use crate::base::{At, Person, Side, Trouble};
pub use crate::diff::asked::{DiffProgress, DiffScope as DiffWhat, Span as DiffSpan};
pub use crate::diff::{DiffCounts, DiffVerdict};
use crate::migration::facts::command::Subject;

/// Most rows of a result that a snapshot holds: topics, and their partitions with something to say.
pub(crate) const DIFF_ROWS: usize = 500;
/// Most ranges of one finding that a row writes out; the document beside the journal has them all.
pub(crate) const DIFF_RANGES: usize = 40;

/// The diff that is under way, or the last one of this session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffView {
    /// What is compared.
    pub what: DiffWhat,
    /// Which of its records.
    pub span: DiffSpan,
    /// The side that should hold everything; the other one is the target.
    pub source: Side,
    /// When it began.
    pub began: At,
    /// Who asked for it.
    pub actor: Person,
    /// How far it is.
    pub state: DiffState,
}

/// How far a diff is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DiffState {
    /// It reads both logs.
    Running {
        /// How far; `None` until the first second has passed.
        progress: Option<DiffProgress>,
        /// It was told to stop, and saves what it has.
        stopping: bool,
    },
    /// It was stopped; what was read is kept, and it can go on.
    Stopped {
        /// When it was stopped.
        at: At,
    },
    /// It came to no end.
    Failed {
        /// When it failed.
        at: At,
        /// Why, and what to do.
        trouble: Trouble,
    },
    /// It came to its end.
    Done {
        /// When it was finished.
        at: At,
        /// What it found.
        result: Box<DiffResult>,
    },
}

/// What a diff found, in a bounded form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffResult {
    /// The worst verdict.
    pub verdict: DiffVerdict,
    /// Whether everything could be compared: what differs hides nothing that is unknown beside it.
    pub known: bool,
    /// Both in words, e.g. `DIFFERS+UNKNOWN`.
    pub said: String,
    /// What was found, summed over all topics.
    pub found: DiffCounts,
    /// Records and bytes read from both sides, and the time it took, ms.
    pub read: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Time it took, ms.
    pub ms: u64,
    /// Each topic, followed by its partitions with something to say; at most 500.
    pub rows: Vec<DiffRow>,
    /// Rows that were left out.
    pub left_out: usize,
    /// The whole document, with every range; `None` when it could not be written (the words beside it say why).
    pub file: Option<String>,
    /// What to do next, a line each.
    pub next: Vec<DiffAdvice>,
}

/// What can be done after a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffAdvice {
    /// A command line, which can be copied as it stands.
    Command(String),
    /// In words.
    Words(String),
}

impl DiffAdvice {
    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            DiffAdvice::Command(text) | DiffAdvice::Words(text) => text,
        }
    }
}

/// A topic, or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRow {
    /// Its name on blue.
    pub topic: String,
    /// The partition; `None` for the topic as a whole.
    pub partition: Option<i32>,
    /// What can be said of it; `None` of a partition, which speaks by its findings.
    pub verdict: Option<DiffVerdict>,
    /// Whether everything of it could be compared.
    pub known: bool,
    /// What was found in it, summed.
    pub found: DiffCounts,
    /// Everything it says: findings with their ranges, what is unknown and why, remarks.
    pub lines: Vec<String>,
}

impl DiffView {
    /// What the diff is about, for the journal and for notices.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match &self.what {
            DiffWhat::Group(group) => Subject::Group(group.clone()),
            DiffWhat::Producer(producer) => Subject::Producer(producer.clone()),
            DiffWhat::Topics(_) | DiffWhat::Plan => Subject::Migration,
        }
    }

    /// How it stands, in a sentence, made visible; the same while it reads on.
    #[must_use]
    pub(crate) fn describe_state(&self) -> String {
        let about = format!("diff of {}, {}", self.what.describe(), describe_span(self.span));
        match &self.state {
            DiffState::Running { stopping: false, .. } => format!("{about}: reading"),
            DiffState::Running { .. } => format!("{about}: stopping"),
            DiffState::Stopped { .. } => format!("{about}: stopped"),
            DiffState::Failed { trouble, .. } => {
                let advice = if trouble.advice.is_empty() { "" } else { "; " };
                visible_text(&format!("{about}: failed: {}{advice}{}", trouble.what, trouble.advice))
            }
            DiffState::Done { result, .. } => {
                let f = &result.found;
                let doubled = f.duplicated_source + f.duplicated_target;
                let counts = [
                    (f.missing, "missing"),
                    (f.only_target, "only on the target"),
                    (doubled, "doubled"),
                    (f.reordered, "out of order"),
                    (f.unsettled, "unsettled"),
                ];
                let counts: String =
                    counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}")).collect();
                let next = result.next.first().map_or(String::new(), |next| format!("; next: {}", next.text()));
                visible_text(&format!("{about}: {}, {} equal{counts}{next}", result.said, f.equal))
            }
        }
    }

    /// Whether it reads now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, DiffState::Running { .. })
    }
}

/// Which records are compared, in words.
#[must_use]
pub fn describe_span(span: DiffSpan) -> String {
    match span {
        DiffSpan::Comparable => "everything that both logs hold".to_owned(),
        DiffSpan::Times { from, to: None } => format!("from {} to the ends", format_moment(from)),
        DiffSpan::Times { from, to: Some(to) } => format!("from {} to {}", format_moment(from), format_moment(to)),
        DiffSpan::Offsets { partition, from, to } => {
            let to = to.map_or("the end".to_owned(), |to| to.to_string());
            format!("partition {partition}, offsets {from} to {to}")
        }
    }
}

/// A timestamp as people read it.
pub(crate) fn format_moment(ms: i64) -> String {
    // A record's timestamp is whatever its producer wrote, and may lie beyond every calendar.
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string())
}

/// What is known of a producer that writes to both clusters: does each record arrive on both? Sampled, never all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "fidelity", rename_all = "snake_case")]
pub enum Fidelity {
    /// It does not write to both now.
    #[default]
    NotDual,
    /// Nothing was compared.
    NotSampled {
        /// Why.
        why: String,
    },
    /// Windows were compared.
    Sampled(FidelityFigure),
}

/// What the newest window of each partition says, together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FidelityFigure {
    /// When the newest window was compared, of the topic that was looked at longest ago.
    pub at: At,
    /// Older than this it says nothing any more, ms.
    pub stale_after_ms: u64,
    /// Partitions that were looked at in the last hour, and all of them.
    pub partitions: (u32, u32),
    /// Records that are on both.
    pub found: u64,
    /// Records on blue only.
    pub missing: u64,
    /// Records on green only.
    pub only_green: u64,
    /// Copies too many, on either side.
    pub doubled: u64,
    /// Why something of it is not known.
    pub unknown: Option<String>,
}

/// What a figure comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FidelityVerdict {
    /// Nothing can be said: not sampled, or not dual.
    None,
    /// It is too old.
    Stale,
    /// Some of it could not be compared.
    Unknown,
    /// Nothing was written in the windows.
    Idle,
    /// Every record of the windows is on both, and there are windows of some partitions only.
    Partial,
    /// Every record of the windows is on both, and every partition was looked at.
    Verified,
    /// It is not.
    Differs,
}

impl FidelityFigure {
    /// Share of the windows' records that are on both, 0 to 1.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let all = self.found + self.missing + self.only_green;
        (all > 0).then(|| self.found as f64 / all as f64)
    }
}

impl Fidelity {
    /// What it comes to now. Verified only when everything was compared and is young.
    #[must_use]
    pub fn verdict(&self, now: At) -> FidelityVerdict {
        let Fidelity::Sampled(f) = self else { return FidelityVerdict::None };
        match f {
            _ if !now.is_within(f.stale_after_ms, f.at) => FidelityVerdict::Stale,
            // Before what is unknown: a record that is missing is missing, whatever could not be compared beside it.
            _ if f.missing + f.only_green + f.doubled > 0 => FidelityVerdict::Differs,
            _ if f.unknown.is_some() => FidelityVerdict::Unknown,
            _ if f.found == 0 => FidelityVerdict::Idle,
            _ if f.partitions.0 < f.partitions.1 => FidelityVerdict::Partial,
            _ => FidelityVerdict::Verified,
        }
    }

    /// In words with its age, short enough for a table: `100 % 12s`, `3 missing 8s`, `stale 4m`, `not sampled`.
    #[must_use]
    pub fn describe_briefly(&self, now: At, age: impl Fn(u64) -> String) -> String {
        let f = match self {
            Fidelity::NotDual => return String::new(),
            Fidelity::NotSampled { .. } => return "not sampled".to_owned(),
            Fidelity::Sampled(f) => f,
        };
        let age = age(now.since(f.at));
        match self.verdict(now) {
            // A cell has room for one figure: what green lacks is what a move would lose.
            FidelityVerdict::Differs if f.missing > 0 => format!("{} missing {age}", f.missing),
            FidelityVerdict::Differs if f.only_green > 0 => format!("{} only green {age}", f.only_green),
            FidelityVerdict::Differs => format!("{} doubled {age}", f.doubled),
            FidelityVerdict::Stale => format!("stale {age}"),
            FidelityVerdict::Unknown => format!("unknown {age}"),
            FidelityVerdict::Idle => format!("idle {age}"),
            FidelityVerdict::Partial => format!("{}/{} {age}", f.partitions.0, f.partitions.1),
            FidelityVerdict::Verified => format!("100 % {age}"),
            FidelityVerdict::None => String::new(),
        }
    }

    /// All of it in a sentence.
    #[must_use]
    pub fn describe_fully(&self) -> String {
        let f = match self {
            Fidelity::NotDual => return "it does not write to both now".to_owned(),
            Fidelity::NotSampled { why } => return format!("not sampled: {why}"),
            Fidelity::Sampled(f) => f,
        };
        let parts = [(f.missing, "missing on green"), (f.only_green, "only on green"), (f.doubled, "doubled")];
        let mut words = vec![format!("{} found on both", f.found)];
        words.extend(parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        let (seen, all) = f.partitions;
        let unknown = f.unknown.as_ref().map(|why| format!("; not known: {why}")).unwrap_or_default();
        format!("{}; sampled windows of {seen} of {all} partitions{unknown}", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> FidelityFigure {
        FidelityFigure {
            at: At(100_000),
            stale_after_ms: 120_000,
            partitions: (3, 3),
            found: 500,
            missing: 0,
            only_green: 0,
            doubled: 0,
            unknown: None,
        }
    }

    #[test]
    fn a_sentence_tells_two_names_apart_and_drives_no_terminal() {
        let said = |group: &str, state: DiffState| {
            let what = DiffWhat::Group(group.to_owned());
            let (began, actor) = (At(0), "a@b".into());
            DiffView { what, span: DiffSpan::Comparable, source: Side::Blue, began, actor, state }.describe_state()
        };
        let stopped = |group: &str| said(group, DiffState::Stopped { at: At(0) });
        assert_eq!(stopped("a\u{200b}b "), "diff of group a\\u{200b}b\\u{20}, everything that both logs hold: stopped");
        assert_ne!(stopped("pay"), stopped("p\u{430}y"), "one letter is Cyrillic");
        assert_ne!(stopped("a"), stopped("a "));
        let topics = |of: &[&str]| DiffWhat::Topics(of.iter().map(|t| (*t).to_owned()).collect());
        assert_eq!(topics(&["a\u{1b}[2J"]).describe(), "topic a\\u{1b}[2J");
        assert_eq!(topics(&["a\n", "b"]).describe(), "a\\u{a} and 1 more topics");
        assert_eq!(DiffWhat::Producer("p ".into()).describe(), "producer p\\u{20}");
        assert_eq!(DiffWhat::Producer("p ".into()).describe_raw(), "producer p ", "for who makes it visible himself");
        let failed = DiffState::Failed { at: At(0), trouble: Trouble::new("it said \u{1b}[2J", "") };
        assert!(said("g", failed).ends_with(": failed: it said \u{241b}[2J"));
    }

    #[test]
    fn what_lies_ahead_of_a_clock_that_stepped_back_is_not_verified() {
        let f = Fidelity::Sampled(figure());
        let told = [100_000, 0, -20_000, -20_001, -7_200_000].map(|now| f.verdict(At(now)));
        use FidelityVerdict::{Stale, Verified};
        assert_eq!(told, [Verified, Verified, Verified, Stale, Stale]);
    }

    #[test]
    fn only_what_is_young_and_all_known_is_verified() {
        let told = |f: FidelityFigure, now: i64| {
            let f = Fidelity::Sampled(f);
            (f.verdict(At(now)), f.describe_briefly(At(now), |ms| format!("{}s", ms / 1_000)))
        };
        assert_eq!(told(figure(), 112_000), (FidelityVerdict::Verified, "100 % 12s".into()));
        assert_eq!(told(figure(), 340_000), (FidelityVerdict::Stale, "stale 240s".into()));
        let some = FidelityFigure { partitions: (2, 3), ..figure() };
        assert_eq!(told(some, 112_000), (FidelityVerdict::Partial, "2/3 12s".into()));
        let unknown = FidelityFigure { unknown: Some("an open transaction".into()), ..figure() };
        assert_eq!(told(unknown.clone(), 112_000).0, FidelityVerdict::Unknown);
        let both = FidelityFigure { missing: 3, ..unknown };
        assert_eq!(told(both, 108_000), (FidelityVerdict::Differs, "3 missing 8s".into()));
        assert_eq!(told(FidelityFigure { found: 0, ..figure() }, 100_000).0, FidelityVerdict::Idle);
        assert_eq!(Fidelity::NotDual.verdict(At(0)), FidelityVerdict::None);
        assert_eq!(FidelityFigure { missing: 3, found: 997, ..figure() }.share(), Some(0.997));
    }
}

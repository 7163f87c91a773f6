//! What was observed, with its age.

use serde::{Deserialize, Serialize};

use super::{At, Cause, Trouble};

/// A fact with its age. Missing data is never a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed<T> {
    /// Never seen, or seen to be absent.
    Absent {
        /// Why there is no value.
        why: Trouble,
    },
    /// Seen at `at`. When later attempts failed, `trouble` says why while the value ages.
    Known {
        /// What was seen.
        value: T,
        /// When it was seen.
        at: At,
        /// Why it could not be seen again since, if so.
        trouble: Option<Trouble>,
    },
}

/// How far an observation may be trusted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Seen at most `stale_after` ago.
    Fresh,
    /// Older than that.
    Stale,
    /// No value at all.
    Absent,
}

impl<T> Observed<T> {
    /// A fact seen just now.
    pub fn seen_at(value: T, at: At) -> Self {
        Observed::Known { value, at, trouble: None }
    }

    /// Nothing seen yet.
    pub fn not_yet() -> Self {
        Observed::Absent { why: Trouble::new("not observed yet", "").with_cause(Cause::NotYet) }
    }

    /// The value, whatever its age.
    pub fn value(&self) -> Option<&T> {
        match self {
            Observed::Known { value, .. } => Some(value),
            Observed::Absent { .. } => None,
        }
    }

    /// The value only if it is fresh: what a gate or a decision may use.
    pub fn fresh_value(&self, now: At, stale_after_ms: u64) -> Option<&T> {
        (self.freshness(now, stale_after_ms) == Freshness::Fresh).then(|| self.value()).flatten()
    }

    /// When it was seen, if there is a value.
    pub fn at(&self) -> Option<At> {
        match self {
            Observed::Known { at, .. } => Some(*at),
            Observed::Absent { .. } => None,
        }
    }

    /// Age in milliseconds, if there is a value.
    pub fn age_ms(&self, now: At) -> Option<u64> {
        self.at().map(|at| now.since(at))
    }

    /// Whether the value may be trusted now. A clock that stepped back by more than
    /// `stale_after_ms` makes a fact stale: its age is unknown.
    pub fn freshness(&self, now: At, stale_after_ms: u64) -> Freshness {
        match self {
            Observed::Absent { .. } => Freshness::Absent,
            Observed::Known { at, .. } if now.since(*at) > stale_after_ms || at.since(now) > stale_after_ms => {
                Freshness::Stale
            }
            Observed::Known { .. } => Freshness::Fresh,
        }
    }

    /// Records that a later attempt failed: a value keeps its age and gains the reason.
    pub fn note_failure(&mut self, why: Trouble) {
        match self {
            Observed::Known { trouble, .. } => *trouble = Some(why),
            Observed::Absent { why: w } => *w = why,
        }
    }
}

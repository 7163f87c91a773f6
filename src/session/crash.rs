//! Test-only: dies at an effect boundary, as `kill -9` would, so that tests can show what the next start makes of it; or
//! finds the journal's disk full there.

use std::fmt;
use std::str::FromStr;

/// Where in the life of an effect the process aborts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Before the intent is in the journal.
    Before,
    /// The intent is in the journal, the effect has not started.
    AfterIntent,
    /// The effect is done, its outcome is not in the journal.
    AfterEffect,
    /// The process lives on, and the journal takes no entry from this intent on.
    Full,
}

/// `before:KEY`, `after-intent:KEY`, `after-effect:KEY` or `full:KEY`, KEY as in [`crate::migration::facts::effect::IssuedEffect`]: `7/2/1` is run 7, step 2, attempt 1.
/// Only honoured through a hidden command line option; never in a plan or an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashAt {
    boundary: Boundary,
    key: String,
}

/// Not a crash point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not before:KEY, after-intent:KEY, after-effect:KEY or full:KEY")]
pub struct NotACrashPoint(String);

impl FromStr for CrashAt {
    type Err = NotACrashPoint;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let wrong = || NotACrashPoint(word.to_owned());
        let (boundary, key) = word.split_once(':').ok_or_else(wrong)?;
        let boundary = match boundary {
            "before" => Boundary::Before,
            "after-intent" => Boundary::AfterIntent,
            "after-effect" => Boundary::AfterEffect,
            "full" => Boundary::Full,
            _ => return Err(wrong()),
        };
        if key.is_empty() {
            return Err(wrong());
        }
        Ok(Self { boundary, key: key.to_owned() })
    }
}

impl fmt::Display for CrashAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let boundary = match self.boundary {
            Boundary::Before => "before",
            Boundary::AfterIntent => "after-intent",
            Boundary::AfterEffect => "after-effect",
            Boundary::Full => "full",
        };
        write!(f, "{boundary}:{}", self.key)
    }
}

impl CrashAt {
    /// Whether this is the point.
    #[must_use]
    pub(crate) fn is_at(&self, boundary: Boundary, key: &str) -> bool {
        self.boundary == boundary && self.key == key
    }
}

/// Dies here if this is the point: no destructor, no flush, nothing.
pub(crate) fn abort_if_at(crash_at: Option<&CrashAt>, boundary: Boundary, key: &str) {
    if crash_at.is_some_and(|c| c.is_at(boundary, key)) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_words() {
        for word in ["before:1/0/1", "after-intent:7/2/1", "after-effect:12/4/3", "full:1/4/1"] {
            assert_eq!(word.parse::<CrashAt>().unwrap().to_string(), word);
        }
        for word in ["", "before", "before:", "while:1/0/1", "1/0/1"] {
            assert!(word.parse::<CrashAt>().is_err(), "{word}");
        }
        let at: CrashAt = "after-intent:7/2/1".parse().unwrap();
        assert!(at.is_at(Boundary::AfterIntent, "7/2/1"));
        assert!(!at.is_at(Boundary::AfterEffect, "7/2/1") && !at.is_at(Boundary::AfterIntent, "7/2/2"));
    }
}

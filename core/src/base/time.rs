//! Moments.

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, UTC. The controller's clock is the only source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct At(pub i64);

impl At {
    /// Milliseconds from `earlier` to `self`; 0 when the clock stepped back.
    #[must_use]
    pub fn since(self, earlier: At) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Whether no more than `ms` lie between both, whichever is later: what lies ahead by more was noted before the clock
    /// stepped back, and its age is unknown.
    #[must_use]
    pub fn is_within(self, ms: u64, other: At) -> bool {
        self.since(other) <= ms && other.since(self) <= ms
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> At {
        // A moment that wraps would lie in the past, and whatever it bounds would be over.
        At(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }
}

/// A duration for people: `340ms`, `9s`, `2m05s`, `31h04m`, `3d02h`.
#[must_use]
pub fn format_duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms}ms"),
        1..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..172_800 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

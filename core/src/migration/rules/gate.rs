//! Three-valued gates, and a fourth value for what can't be told: unknown never passes.

use serde::{Deserialize, Serialize};

/// Whether something may happen now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// Proven.
    Pass,
    /// Not yet: it passes by itself when time goes on as it does now.
    Hold {
        /// How long still at the earliest, ms.
        left_ms: u64,
        /// What is waited for.
        why: String,
    },
    /// No: something has to change first.
    Fail {
        /// What.
        why: String,
    },
    /// It can't be told now.
    Unknown {
        /// What is missing.
        why: String,
    },
}

impl Gate {
    /// Whether it is proven. The only question a decision may ask.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Gate::Pass)
    }

    /// Why it does not pass.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Gate::Pass => None,
            Gate::Hold { why, .. } | Gate::Fail { why } | Gate::Unknown { why } => Some(why),
        }
    }

    /// `PASS`, `HOLD`, `FAIL` or `UNKNOWN`, as screens print it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Gate::Pass => "PASS",
            Gate::Hold { .. } => "HOLD",
            Gate::Fail { .. } => "FAIL",
            Gate::Unknown { .. } => "UNKNOWN",
        }
    }

    /// Both must pass. What is worst speaks: Fail, then Unknown, then the longer Hold.
    #[must_use]
    pub fn and(self, other: Gate) -> Gate {
        match (self, other) {
            // The order of these arms is the rule: what has to be changed is never hidden behind what only takes time.
            (Gate::Pass, g) | (g, Gate::Pass) => g,
            (g @ Gate::Fail { .. }, _) | (_, g @ Gate::Fail { .. }) => g,
            (g @ Gate::Unknown { .. }, _) | (_, g @ Gate::Unknown { .. }) => g,
            (Gate::Hold { left_ms: a, why: x }, Gate::Hold { left_ms: b, why: y }) => {
                if a >= b {
                    Gate::Hold { left_ms: a, why: x }
                } else {
                    Gate::Hold { left_ms: b, why: y }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_fail_speak_before_hold() {
        let hold = || Gate::Hold { left_ms: 5, why: "h".into() };
        let unknown = || Gate::Unknown { why: "u".into() };
        let fail = || Gate::Fail { why: "f".into() };
        assert_eq!(Gate::Pass.and(hold()), hold());
        assert_eq!(hold().and(unknown()), unknown());
        assert_eq!(unknown().and(fail()), fail());
        assert_eq!(hold().and(Gate::Hold { left_ms: 9, why: "x".into() }).why(), Some("x"));
        assert!(Gate::Pass.and(Gate::Pass).passes() && !unknown().passes());
    }

    #[test]
    fn spans_read_like_clocks() {
        let words: Vec<String> =
            [340, 9_000, 125_000, 111_840_000, 266_400_000].into_iter().map(crate::base::format_duration).collect();
        assert_eq!(words, ["340ms", "9s", "2m05s", "31h04m", "3d02h"]);
    }
}

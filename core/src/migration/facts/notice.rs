//! What should be read now, and how bad it is.

use serde::{Deserialize, Serialize};

use super::command::Subject;
use crate::base::{At, Trouble};

/// How bad a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something holds.
    Warn,
    /// Something failed.
    Fail,
}

/// Something that should be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub at: At,
    /// How bad.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What, and what to do.
    pub trouble: Trouble,
}

impl Notice {
    /// Whether it says the same of the same: a log is told once of what goes on being so.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        (self.severity, &self.subject, &self.trouble) == (other.severity, &other.subject, &other.trouble)
    }
}

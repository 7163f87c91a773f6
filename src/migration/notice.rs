//! What should be read now, and how bad it is.

use serde::{Deserialize, Serialize};

use super::command::Subject;
use super::estate::{At, Trouble};

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

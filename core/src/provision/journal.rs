//! A provisioning as the journal holds it.

use serde::{Deserialize, Serialize};

use super::ChangeEnd;
use crate::parity::Change;

/// One fact of a provisioning. What is on green decides how far it is, never this: it says who did what, and what may have
/// been done when nobody heard of the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ProvisionStep {
    /// It is to start: on disk before its first change.
    Started {
        /// What was agreed to, in the order of work.
        changes: Vec<Change>,
        /// What was typed to confirm it.
        confirmed: String,
    },
    /// A change is to be made: on disk before it is sent. Without an end after it, it is unknown.
    Sending {
        /// Which of the changes, from 0.
        change: usize,
        /// What is sent: what is left of it.
        sent: Change,
    },
    /// How a change ended. Without a `Sending` before it nothing was sent.
    Ended {
        /// Which of the changes, from 0.
        change: usize,
        /// How.
        end: ChangeEnd,
    },
    /// No more changes are made.
    Finished {
        /// Changes that green has now.
        there: usize,
        /// Changes that were tried and are not there.
        failed: usize,
        /// Why the rest was not tried; `None`: all were.
        why: Option<String>,
    },
}

impl ProvisionStep {
    /// In a line of words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            ProvisionStep::Started { changes, confirmed } => {
                format!("{} changes of green begin, confirmed with \"{confirmed}\"", changes.len())
            }
            ProvisionStep::Sending { change, sent } => format!("change {}: will {sent}", change + 1),
            ProvisionStep::Ended { change, end } => format!("change {}: {}", change + 1, end.describe()),
            ProvisionStep::Finished { there, failed, why } => {
                let why = why.as_ref().map_or_else(String::new, |why| format!("; stopped: {why}"));
                format!("{there} changes are on green, {failed} failed{why}")
            }
        }
    }
}

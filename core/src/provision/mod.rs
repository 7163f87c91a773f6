//! Green set up as blue is, one change after the other: what stands on green right before a change, whether the change is
//! still the one that was agreed to, and what came of it. Pure: looks come as values.
//!
//! Rules of the room:
//! - Before each change what it is about is read again. What somebody else has made or set since the plan was shown is theirs:
//!   it is not written over.
//! - A change says what is to be, so one whose end is not known is looked at, and done again only where it is missing.
//! - What can't be read again is not changed.

mod journal;
mod report;
mod standing;

use serde::{Deserialize, Serialize};

use crate::base::Trouble;
pub use journal::ProvisionStep;
pub use report::{AppliedChange, ProvisionReport};
pub use standing::{Standing, Verdict, judge_change};

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeEnd {
    /// The cluster confirmed it.
    Done,
    /// Green had it already: nothing was sent.
    AlreadyThere,
    /// Something else stands there by now: nothing was sent.
    Overtaken(Trouble),
    /// What it is about could not be read again: nothing was sent.
    Unread(Trouble),
    /// Parts of it did not take effect, each with the cluster's reason. The others did.
    Refused(Vec<(String, Trouble)>),
    /// It was sent, and whether it took effect is not known.
    Unknown(Trouble),
}

impl ChangeEnd {
    /// Whether green has what was to be.
    #[must_use]
    pub fn is_there(&self) -> bool {
        matches!(self, ChangeEnd::Done | ChangeEnd::AlreadyThere)
    }

    /// In a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            ChangeEnd::Done => "done".to_owned(),
            ChangeEnd::AlreadyThere => "there already".to_owned(),
            ChangeEnd::Overtaken(why) => format!("not done: {}", why.what),
            ChangeEnd::Unread(why) => format!("not done, as it could not be read again: {}", why.what),
            ChangeEnd::Refused(parts) => {
                let parts: Vec<String> = parts.iter().map(|(_, why)| why.what.clone()).collect();
                format!("refused: {}", parts.join("; "))
            }
            ChangeEnd::Unknown(why) => format!("not known: {}", why.what),
        }
    }

    /// What a person may do about it; empty where there is nothing.
    #[must_use]
    pub fn advice(&self) -> &str {
        match self {
            ChangeEnd::Done | ChangeEnd::AlreadyThere => "",
            ChangeEnd::Overtaken(why) | ChangeEnd::Unread(why) | ChangeEnd::Unknown(why) => &why.advice,
            ChangeEnd::Refused(parts) => parts.first().map_or("", |(_, why)| &why.advice),
        }
    }
}

//! Why something could not be observed or done: in words for people, and as a cause where a decision rests on it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What kind of thing a trouble is, where a decision rests on that. Whoever makes the trouble says it: nobody reads it
/// out of the words, which repeat names and other people's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nobody has looked yet.
    NotYet,
    /// The cluster knows no such topic or partition (`UNKNOWN_TOPIC_OR_PARTITION`).
    NoSuchTopic,
    /// This principal may not do that (`..._AUTHORIZATION_FAILED`).
    NotAllowed,
    /// No authorizer is configured there, so there are no ACLs (`SECURITY_DISABLED`).
    NoAuthorizer,
    /// Addresses of one side lead to two clusters: it does not go by waiting.
    TwoClusters,
}

/// How what was asked for ended short of being done: what decisions rest on, whether to wait, to accept a gate, or to look
/// again. The numbers that a shell is told follow from it in `cli` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleClass {
    /// Refused by rule, or it failed.
    Refused,
    /// A gate holds.
    Held,
    /// It could not be observed.
    Unknown,
    /// Somebody interrupted it.
    Interrupted,
}

/// Why something could not be observed or done: what happened, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(from = "WrittenTrouble")]
#[error("{what}")]
pub struct Trouble {
    /// One sentence: what happened, with names and addresses.
    pub what: String,
    /// One sentence: what to do about it. Empty when there is nothing to do but wait.
    pub advice: String,
    /// Waiting does not mend it: a password that is refused, a file that is not there. Nobody waits for such a thing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
    /// What kind of thing it is, where a decision rests on that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// As it was written, by an earlier version perhaps, that did not look for secrets in it: see [`Trouble::new`].
#[derive(Deserialize)]
struct WrittenTrouble {
    what: String,
    advice: String,
    #[serde(default)]
    lasting: bool,
    #[serde(default)]
    cause: Option<Cause>,
}

impl From<WrittenTrouble> for Trouble {
    fn from(WrittenTrouble { what, advice, lasting, cause }: WrittenTrouble) -> Self {
        Self { lasting, cause, ..Self::new(what, advice) }
    }
}

impl Trouble {
    /// What happened, and what to do. Others' words may be in there, and may repeat a secret: it is taken out here, so
    /// that none reaches the journal, a screen, JSON or a message, whoever said it.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: redact_text(what.into()), advice: redact_text(advice.into()), lasting: false, cause: None }
    }

    /// The same, of something that waiting does not mend.
    #[must_use]
    pub fn mark_lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// The same, of a kind that decisions rest on.
    #[must_use]
    pub fn with_cause(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn has_cause(&self, cause: Cause) -> bool {
        self.cause == Some(cause)
    }
}

/// The text without secrets, not copied when it holds none.
fn redact_text(text: String) -> String {
    // In two steps: what was borrowed of `text` must end before it is given back uncopied.
    let hidden = match crate::base::redact::hide_cow(&text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(hidden) => Some(hidden),
    };
    hidden.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_outlives_the_journal_and_what_was_written_before_has_none() {
        let two = Trouble::new("blue leads elsewhere", "mend it").with_cause(Cause::TwoClusters).mark_lasting();
        let written = serde_json::to_string(&two).unwrap();
        assert_eq!(serde_json::from_str::<Trouble>(&written).unwrap(), two);
        let plain = serde_json::to_string(&Trouble::new("w", "a")).unwrap();
        assert_eq!(plain, r#"{"what":"w","advice":"a"}"#, "nothing is added where no decision rests on it");
        assert_eq!(serde_json::from_str::<Trouble>(&plain).unwrap(), Trouble::new("w", "a"));
    }
}

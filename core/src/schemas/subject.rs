//! Names of a registry: subjects with their contexts, versions, ids, and how a subject is written into a path.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::sanitise::visible_name;

/// The context that has no name of its own: what `GET /contexts` calls `.`.
pub const DEFAULT_CONTEXT: &str = ".";

/// The context and the rest of `:.context:subject`, as Confluent's registry writes a subject of another context than the
/// default one. `None`: it is a plain name.
#[must_use]
pub fn split_context(subject: &str) -> Option<(&str, &str)> {
    let rest = subject.strip_prefix(':')?;
    let (context, name) = rest.split_once(':')?;
    context.starts_with('.').then_some((context, name))
}

/// A subject as a segment of a path. Everything but unreserved characters is escaped (RFC 3986), a `/` and a space too;
/// a `:` is left as it is: one server takes `%3A` for a letter of a plain subject and finds contexts only behind a raw one.
/// `None`: no path can name it (`.` and `..` are taken out of paths, and an empty segment is another path).
#[must_use]
pub fn encode_subject(subject: &str) -> Option<String> {
    if matches!(subject, "" | "." | "..") {
        return None;
    }
    let mut out = String::with_capacity(subject.len());
    for b in subject.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    Some(out)
}

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubjectVersion {
    /// The subject, with its context where it has one, as the registry writes it.
    pub subject: String,
    /// Number, from 1.
    pub version: u32,
}

impl SubjectVersion {
    /// A version of a subject.
    pub fn new(subject: impl Into<String>, version: u32) -> Self {
        Self { subject: subject.into(), version }
    }
}

impl fmt::Display for SubjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", visible_name(&self.subject), self.version)
    }
}

/// What a record carries in front of its payload: an id, which means a schema only within its context.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaId {
    /// Context: [`DEFAULT_CONTEXT`], or `.name`.
    pub context: String,
    /// The number.
    pub id: u32,
}

impl SchemaId {
    /// An id of the default context.
    #[must_use]
    pub fn of_default(id: u32) -> Self {
        Self { context: DEFAULT_CONTEXT.to_owned(), id }
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {}", self.id)?;
        match self.context.as_str() {
            DEFAULT_CONTEXT => Ok(()),
            context => write!(f, " of context {}", visible_name(context)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule 10.
    #[test]
    fn a_path_escapes_all_but_the_colons_that_name_a_context() {
        let of = |s| encode_subject(s).unwrap();
        assert_eq!(of("p5-a/b"), "p5-a%2Fb");
        assert_eq!(of("p5-a b"), "p5-a%20b");
        assert_eq!(of(":.c1:p3-ctx"), ":.c1:p3-ctx");
        assert_eq!(of("50%?#é"), "50%25%3F%23%C3%A9");
        for no_segment in ["", ".", ".."] {
            assert_eq!(encode_subject(no_segment), None, "{no_segment:?}");
        }
    }

    #[test]
    fn a_context_is_written_between_colons() {
        assert_eq!(split_context(":.c1:p3-ctx"), Some((".c1", "p3-ctx")));
        assert_eq!(split_context(":.c1:"), Some((".c1", "")));
        for plain in ["p3-ctx", ":c1:x", ":.c1", "a:.c1:x", ":*:x"] {
            assert_eq!(split_context(plain), None, "{plain}");
        }
    }

    #[test]
    fn names_are_shown_and_never_act() {
        assert_eq!(SubjectVersion::new("a\n", 2).to_string(), "a\\u{a} version 2");
        assert_eq!(SchemaId { context: ".c\u{202e}".into(), id: 3 }.to_string(), "id 3 of context .c\\u{202e}");
        assert_eq!(SchemaId::of_default(3).to_string(), "id 3");
    }
}

//! What is wrong with a plan: file, line, column, what, and what to write instead.

use std::fmt;

use serde::Serialize;

use crate::base::redact;

/// Whether a plan can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemSeverity {
    /// The plan is refused (exit code 2).
    Error,
    /// The plan is used; a person should know.
    Warning,
}

/// One finding in a plan file. Displays as `cutover.toml:12:5: unknown key "bootsrap" (did you mean "bootstrap"?)`;
/// serialises to JSON with the same parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlanError {
    /// The file as it was given, or the argument (`--blue`) it is about.
    pub file: String,
    /// Line from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// Column from 1, in characters; 0 when it is about the file as a whole.
    pub column: usize,
    /// Error or warning.
    pub severity: ProblemSeverity,
    /// What is wrong, in one sentence, made visible.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl PlanError {
    /// An error about a file or argument as a whole.
    pub(crate) fn without_place(
        file: impl Into<String>,
        message: impl Into<String>,
        suggestion: impl Into<Option<String>>,
    ) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            severity: ProblemSeverity::Error,
            message: redact::hide_secrets(&message.into()),
            suggestion: suggestion.into().map(|s| redact::hide_secrets(&s)),
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if self.severity == ProblemSeverity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(s) => write!(f, " ({s})"),
            None => Ok(()),
        }
    }
}

/// Every finding in a plan that is refused: at least one error, and the warnings, in the order of the file.
/// Displays one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(pub Vec<PlanError>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl From<PlanError> for Problems {
    fn from(one: PlanError) -> Self {
        Problems(vec![one])
    }
}

/// The candidate nearest to a word that is none of them, when it is near enough to be meant.
#[must_use]
pub(crate) fn find_nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // strsim is quadratic: a hostile word of a megabyte is no typo
    if word.chars().count() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        // One letter, or a third of the shorter word: what is further off is another word.
        .filter(|(distance, c)| *distance <= 1.max(c.chars().count().min(lower.chars().count()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `"a", "b" or "c"`.
#[must_use]
pub(crate) fn format_alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("{one:?}"),
        [head @ .., last] => {
            let head: Vec<String> = head.iter().map(|w| format!("{w:?}")).collect();
            format!("{} or {last:?}", head.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typos_and_nothing_far() {
        let words = ["bootstrap", "cluster_id", "name", "registry", "client"];
        assert_eq!(find_nearest("bootsrap", words), Some("bootstrap"));
        assert_eq!(find_nearest("Name", words), Some("name"));
        assert_eq!(find_nearest("zebra", words), None);
        assert_eq!(find_nearest(&"x".repeat(1_000_000), words), None);
    }

    #[test]
    fn an_error_reads_like_a_compilers() {
        let mut e =
            PlanError::without_place("cutover.toml", "unknown key \"x\"", Some("did you mean \"y\"?".to_owned()));
        assert_eq!(e.to_string(), "cutover.toml: unknown key \"x\" (did you mean \"y\"?)");
        (e.line, e.column, e.severity) = (3, 7, ProblemSeverity::Warning);
        assert_eq!(e.to_string(), "cutover.toml:3:7: warning: unknown key \"x\" (did you mean \"y\"?)");
    }
}

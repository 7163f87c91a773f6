//! What is typed after `/`: words that a row must contain.

/// Words that must all be found, case aside.
#[derive(Debug)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    /// The filter of what was typed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Whether every word is in one of the fields.
    #[must_use]
    pub fn matches(&self, fields: &[&str]) -> bool {
        self.0.is_empty() || {
            // By spaces, which no word holds: none is found across two fields.
            let hay = fields.join(" ").to_lowercase();
            self.0.iter().all(|w| hay.contains(w))
        }
    }
}

//! A schema in forms that can be compared: hashes of its canonical texts, each leaving out more than the one before.

use xxhash_rust::xxh3::xxh3_128;

/// Hashes (XXH3, 128 bits: they tell schemas apart, they defend against nobody) of what a schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CanonicalForms {
    /// All that it says, in one form: equal means the same.
    pub whole: u128,
    /// The same without what could be written in two ways that were not told apart: different means another schema.
    pub certain: u128,
    /// What decides on values that are read: the next, with defaults, aliases, logical types.
    pub reading: u128,
    /// What decides how bytes are taken apart.
    pub encoding: u128,
}

impl CanonicalForms {
    /// Of four canonical texts.
    pub(super) fn from_texts(whole: &str, certain: &str, reading: &str, encoding: &str) -> Self {
        let hash = |text: &str| xxh3_128(text.as_bytes());
        Self { whole: hash(whole), certain: hash(certain), reading: hash(reading), encoding: hash(encoding) }
    }
}

//! One comparison as it is handed on: to people, to scripts, to a screen.

use serde::Serialize;

use super::{Parity, ParityArea};
use crate::base::{At, Sides};

/// What a look at both clusters' set-up came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParityReport {
    /// Name of the migration.
    pub migration: String,
    /// When the later of the two looks was taken.
    pub at: At,
    /// The clusters' own ids.
    pub clusters: Sides<Option<String>>,
    /// Topics that the plan leaves out, of either cluster.
    pub excluded: Vec<String>,
    /// The comparison.
    pub parity: Parity,
}

impl ParityReport {
    /// Whether all of it could be compared.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.parity.rows.iter().all(|row| !row.is_unknown())
    }

    /// How much was compared and the same, over all areas.
    #[must_use]
    pub fn count_same(&self) -> usize {
        self.parity.same.values().sum()
    }

    /// The areas in their order, those without anything in them too; what is reached only where it was tried.
    pub fn areas(&self) -> impl Iterator<Item = ParityArea> {
        let tried = |area: &ParityArea| *area != ParityArea::Reach || self.parity.same.contains_key(area);
        <ParityArea as strum::IntoEnumIterator>::iter().filter(tried)
    }
}

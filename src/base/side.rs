//! The two clusters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the two clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The legacy cluster, where everything runs before the migration.
    Blue,
    /// The new cluster.
    Green,
}

impl Side {
    /// Both, blue first: the order in which everything is shown.
    pub const BOTH: [Side; 2] = [Side::Blue, Side::Green];

    /// The other cluster.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Blue => Side::Green,
            Side::Green => Side::Blue,
        }
    }

    /// `blue` or `green`, as in the plan file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Blue => "blue",
            Side::Green => "green",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! What screens see of how green is set up beside blue.

use serde::{Deserialize, Serialize};

use crate::base::Observed;
pub use crate::parity::{ParityClass, ParityLine, ParityTable, ParityVerdict};

/// Most lines of the table that a snapshot holds: the worst are first, and `cutover preflight` has them all.
pub(crate) const PARITY_LINES: usize = 500;

/// A look at both clusters' set-up older than this is old, ms: who changes a topic looks again.
pub const PARITY_OLD_MS: u64 = 600_000;

/// The newest look at how both clusters are set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityView {
    /// Whether a look is under way.
    pub looking: bool,
    /// What the last one came to. A failed one keeps what was seen before, with its age.
    pub seen: Observed<ParityTable>,
}

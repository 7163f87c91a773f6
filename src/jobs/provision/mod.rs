//! Green set up as blue is: what green lacks is shown, confirmed, and made, one change after the other.
//!
//! The order of things: look at both, compare, show, ask; then for each change look again at what it is about, write the intent
//! into the journal, send, write how it ended; in the end look at both once more. What is on green decides what is to be done,
//! never the journal: a process that died anywhere is gone on with by starting again. Nothing is ever deleted, made smaller
//! or set back.

mod apply;
mod run;

pub use run::run_provision;
pub(crate) use run::run_provision_with;

use super::replay::{ReplayAnswer, ReplayQuestion};

/// A provisioning as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvisionRequest {
    /// Whether it is to be done, and not only shown.
    pub apply: bool,
    /// Whether topics may get more partitions: most keys go to another one from then on.
    pub more_partitions: bool,
}

/// The one who asked.
pub struct ProvisionUi<'a> {
    /// A line of words.
    pub say: &'a mut (dyn FnMut(&str) + Send),
    /// Asks for a confirmation.
    pub confirm: &'a mut (dyn FnMut(&ReplayQuestion) -> ReplayAnswer + Send),
}

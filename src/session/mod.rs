//! One process on one plan: what it is given (its clock, pace and options), what it holds (the journal, the lease), and what it
//! reaches with (the clusters' connections, switches and flags).

pub mod clock;
pub mod crash;
pub mod export;
pub(crate) mod lease;
pub(crate) mod ledger;
pub mod names;
pub mod options;
pub mod pace;
pub(crate) mod pins;
pub(crate) mod planes;
pub(crate) mod scribe;
pub mod tools;

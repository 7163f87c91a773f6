//! The machine and its runs: observation, command or outcome in, actions out, in an order that is the contract.

pub mod blank;
mod commits_stand;
mod flag_steps;
pub mod green_unseen;
pub mod machine;
pub(in crate::migration) mod measurements;
pub(in crate::migration) mod offset_steps;
pub(in crate::migration) mod outbox;
pub(in crate::migration) mod planes;
pub(in crate::migration) mod read_back;
pub mod runbook;
pub(in crate::migration) mod started;
pub(in crate::migration) mod steps;
pub mod stranded;

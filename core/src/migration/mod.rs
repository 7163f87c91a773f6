//! PURE. What is true of a migration, and what may happen next: no clock, no I/O, no async, no randomness.
//!
//! Everything here takes observations and time as arguments and returns values. The rule is held by
//! `tests/architecture.rs`.

pub mod eos;
pub mod facts;
pub mod rules;
pub mod run;
pub mod soak;
pub mod tell;

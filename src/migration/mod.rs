//! PURE. What is true of a migration, and what may happen next: no clock, no I/O, no async, no randomness.
//!
//! Everything here takes observations and time as arguments and returns values. The rule is held by
//! `tests/architecture.rs`.

pub mod command;
pub mod effect;
pub mod estate;
pub mod event;
pub mod settings;
pub mod stage;

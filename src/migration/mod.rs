//! PURE. What is true of a migration, and what may happen next: no clock, no I/O, no async, no randomness.
//!
//! Everything here takes observations and time as arguments and returns values. The rule is held by
//! `tests/architecture.rs`.

pub mod acl;
pub mod app;
pub mod blank;
pub mod blind;
pub mod command;
mod cost;
pub mod criteria;
mod drain;
pub mod effect;
pub mod eos;
pub mod estate;
pub mod event;
mod expired;
pub mod firing;
pub mod gate;
pub mod group;
pub mod held;
pub mod lag;
pub mod machine;
pub mod news;
pub mod notice;
mod offset_steps;
pub mod overrides;
pub mod partial;
pub mod phase;
mod planes;
mod prepare;
mod prepare_complete;
pub mod producer;
pub mod reads;
pub mod rollback;
pub mod runbook;
pub mod samples;
pub mod setting;
pub mod settings;
pub mod sight;
mod slot;
mod soak;
pub mod soaking;
pub mod stage;
mod started;
pub mod state;
mod steps;
pub mod stranded;
pub mod transactions;
pub mod trigger;
mod trouble;
pub mod turns;
mod unread;
mod verify;
mod view;
pub mod watch;

//! Observe, decide, journal, act. Joins the rooms; nothing else may.
//!
//! [`run::Controller::start`] gives a [`run::Handle`]: snapshots to look at, asks to send, replies to read. Inside,
//! `core` is the loop around the pure machine; `observe` looks, `jobs::translate` measures, `executor` acts,
//! `session::ledger` remembers, `present` tells. [`headless`] drives one command without a screen; [`link`] lets screens
//! of other processes attach, and [`expose`] lets Prometheus look.

mod blanks;
mod core;
pub mod discover;
pub mod doctor;
pub mod eos;
pub mod executor;
pub mod expose;
pub mod headless;
mod holders;
pub mod link;
pub mod meter;
mod notifier;
pub mod observe;
mod present;
pub mod run;

pub use run::{Controller, Handle};

//! Observe, decide, journal, act. Joins the rooms; nothing else may.
//!
//! [`run::Controller::start`] gives a [`run::Handle`]: snapshots to look at, asks to send, replies to read. Inside,
//! `core` is the loop around the pure machine; `observe` looks, `translate` measures, `executor` acts, `ledger`
//! remembers, `present` tells. [`headless`] drives one command without a screen; [`link`] lets screens of other
//! processes attach, and [`expose`] lets Prometheus look.

mod blanks;
pub mod clock;
mod core;
pub mod crash;
pub mod diff;
pub mod discover;
pub mod doctor;
pub mod eos;
pub mod executor;
pub mod export;
pub mod expose;
pub mod headless;
mod herald;
mod holders;
mod ledger;
pub mod link;
pub mod meter;
pub mod names;
pub mod observe;
pub mod pace;
mod pins;
mod planes;
mod present;
pub mod replay;
pub mod run;
pub mod snapshot;
pub mod tools;
pub mod translate;
pub mod words;

pub use run::{Controller, Handle, Options, Want};

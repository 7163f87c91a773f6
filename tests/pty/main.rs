//! The real program in a pseudo-terminal.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod screen;

//! The real program in a pseudo-terminal.

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod screen;

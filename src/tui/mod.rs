//! The cockpit. It sees snapshots and sends questions; it never talks to Kafka.
//!
//! `model` is what is known and where the person is, `update` takes one message in, `view` draws; all three are pure.
//! `actions` is the one registry of what keys do. `terminal` is the edge: input, drawing, and putting the terminal back.

pub mod actions;
pub mod calendar;
pub mod choose;
pub mod dialog;
pub mod filter;
pub mod hosting;
pub mod model;
pub mod palette;
pub(crate) mod parity;
pub mod partitions;
pub mod picture;
pub mod plain;
pub mod spark;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod update;
pub mod verify;
pub mod view;
pub mod words;

pub use model::ScreenOptions;
pub use terminal::{Cockpit, ExitReason};

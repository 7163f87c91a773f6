//! Observe, decide, journal, act. Joins the rooms; nothing else may.

pub mod snapshot;

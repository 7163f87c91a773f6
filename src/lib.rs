//! `cutover`: a terminal cockpit for moving a Kafka estate from a blue cluster to a green one.
//!
//! The map, one line a module; ARCHITECTURE.md has the data flow and the rules.

/// Pure: what was observed, what is true, and what may happen next.
pub mod migration;

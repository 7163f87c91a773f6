//! Everything that is tried on real Kafka, in one binary, so that its tests share two clusters.

#[path = "../support/mod.rs"]
mod support;

mod control;
mod kit;

//! `cutover`: a terminal cockpit for moving a Kafka estate from a blue cluster to a green one.
//!
//! The map, one line a module; ARCHITECTURE.md has the data flow and the rules.

/// The command line: one file a verb.
pub mod cli;
/// Observe, decide, journal, act: the only room that joins the others.
pub mod controller;
/// Switches of consumer groups and flags of producers: read, set, read back.
pub mod flags;
/// Long work beside the loop: translating offsets, comparing logs, replaying records.
pub mod jobs;
/// SQLite store of facts, hash chain, lease.
pub mod journal;
/// One cluster over the wire: control plane, data plane, and the properties of both.
pub mod kafka;
/// Error rates and latencies of groups, from those who know them: Prometheus, New Relic, a command.
pub mod metrics;
/// What every room that talks to something other than Kafka shares: TLS, HTTP, commands.
pub mod net;
/// Telling people who look at no screen: webhooks, Slack.
pub mod notify;
/// `cutover.toml`: the typed plan, every error in it with its place, secrets, what the machine takes from it.
pub mod plan;
/// Schema registries of both clusters, read over Confluent's API.
pub mod registry;
/// The same state as plain text, JSON, and Prometheus' families.
pub mod report;
/// One process on one plan: its clock, pace, names, tools, journal, lease and options.
pub mod session;
/// A Kafka in memory: the demo's clusters, the deterministic simulation, wire-level tests.
pub mod sim;
/// What a screen sees and may ask.
pub mod snapshot;
/// The cockpit: screens and keys over the controller's snapshots.
pub mod tui;

// The pure rooms are a package of their own (`core/`): a decision can't reach what is not among its dependencies.
pub use cutover_core::{base, diff, estate, migration, offsets, parity, provision, replay, rights, schemas};

//! `cutover`: a terminal cockpit for moving a Kafka estate from a blue cluster to a green one.
//!
//! The map, one line a module; ARCHITECTURE.md has the data flow and the rules.

/// Pure: nouns that know no neighbour, and the gates for what comes from outside.
pub mod base;
/// The command line: one file a verb.
pub mod cli;
/// Observe, decide, journal, act: the only room that joins the others.
pub mod controller;
/// Pure: two logs compared as multisets of records, in bounded memory; what one has and the other has not.
pub mod diff;
/// Pure: what was observed of both clusters, each fact with its age.
pub mod estate;
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
/// Pure: what was observed, what is true, and what may happen next.
pub mod migration;
/// What every room that talks to something other than Kafka shares: TLS, HTTP, commands.
pub mod net;
/// Telling people who look at no screen: webhooks, Slack.
pub mod notify;
/// Pure: where a group must start on the other cluster, and the proof.
pub mod offsets;
/// `cutover.toml`: the typed plan, every error in it with its place, secrets, what the machine takes from it.
pub mod plan;
/// Pure: which records a replay carries, what has been carried, what it does to the order of keys.
pub mod replay;
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

//! `cutover`: a terminal cockpit for moving a Kafka estate from a blue cluster to a green one.
//!
//! The map, one line a module; ARCHITECTURE.md has the data flow and the rules.

/// The command line: one file a verb.
pub mod cli;
/// Observe, decide, journal, act: the only room that joins the others.
pub mod controller;
/// Pure: two logs compared as multisets of records, in bounded memory; what one has and the other has not.
pub mod diff;
/// Switches of consumer groups and flags of producers: read, set, read back.
pub mod flags;
/// HTTP/1.1 requests over the one TLS stack, bounded in time and size.
pub mod http;
/// SQLite store of facts, hash chain, lease.
pub mod journal;
/// One cluster over the wire: control plane, data plane, and the properties of both.
pub mod kafka;
/// Error rates and latencies of groups, from those who know them: Prometheus, New Relic, a command.
pub mod metrics;
/// Pure: what was observed, what is true, and what may happen next.
pub mod migration;
/// Telling people who look at no screen: webhooks, Slack.
pub mod notify;
/// Pure: where a group must start on the other cluster, and the proof.
pub mod offsets;
/// `cutover.toml`: the typed plan, every error in it with its place, secrets, what the machine takes from it.
pub mod plan;
/// Commands without a shell: a timeout that ends the whole process group, bounded output.
pub mod process;
/// A library's panics, caught where they happen without a word on the screen.
mod quiet;
/// Takes secrets out of texts before they go anywhere: the one redactor.
pub mod redact;
/// Pure: which records a replay carries, what has been carried, what it does to the order of keys.
pub mod replay;
/// The same state as plain text and JSON.
pub mod report;
/// Makes strings from outside visible: the one sanitiser.
pub mod sanitise;
/// A Kafka in memory: the demo's clusters, the deterministic simulation, wire-level tests.
pub mod sim;
/// TLS with the one OpenSSL: what is trusted, who the client is, the handshake.
pub mod tls;
/// The cockpit: screens and keys over the controller's snapshots.
pub mod tui;

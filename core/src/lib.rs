//! The pure rooms of `cutover`: observations, time and records come as arguments, decisions leave as values.
//!
//! Nothing here reads a clock, a file or a socket. ARCHITECTURE.md has the map and the rules.

/// Nouns that know no neighbour, and the gates for what comes from outside.
pub mod base;
/// Two logs compared as multisets of records, in bounded memory; what one has and the other has not.
pub mod diff;
/// What was observed of both clusters, each fact with its age.
pub mod estate;
/// What was observed, what is true, and what may happen next.
pub mod migration;
/// Where a group must start on the other cluster, and the proof.
pub mod offsets;
/// How both clusters are set up, side by side, and what would mend green.
pub mod parity;
/// Green set up as blue is, one change after the other: what is still to do, and what came of each.
pub mod provision;
/// Which records a replay carries, what has been carried, what it does to the order of keys.
pub mod replay;
/// What each verb needs of each cluster, which of it is held, and the lines that grant it.
pub mod rights;
/// What two schema registries hold, whether they say the same, what would have to be imported.
pub mod schemas;

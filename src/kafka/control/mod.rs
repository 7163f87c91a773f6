//! The control plane: what a cluster looks like, and the few things that are changed on it.
//!
//! [`Cluster`] is the way in. Below it: `router` and `coordinators` (which broker to ask, and what to do when it is the
//! wrong one), `scatter` (many things at once, each at its broker), `connection` and `wire` (pipelining, versions; `frames`),
//! `transport` (with `trust`), `sasl` (with `scram`; `logins`, `relogin`), `guard` (malformed answers), `failure` (what an error code means), `identity` (whose answers these are),
//! `throttle` (quotas), `formats` (which message sets a log holds). `snapshot`, `rights`, `groups`, `group_requests`,
//! `commits`, `offsets`, `topics`, `transactions`, `producers` and `acls` say what is asked; `inventory`, with `settings`,
//! `scram_users` and `quotas`, how a cluster is set up, which `settings`, `partitions` and `quotas` also change (`entries`).
//! Nothing here waits without a bound, and every failure is a [`crate::base::Trouble`].

mod acls;
mod addresses;
mod commits;
mod connection;
mod coordinators;
mod entries;
mod failure;
mod formats;
mod frames;
mod group_requests;
mod groups;
mod guard;
mod identity;
mod inventory;
mod listing;
mod logins;
mod offsets;
mod partitions;
mod producers;
mod quotas;
mod relogin;
mod rights;
mod router;
mod sasl;
mod scatter;
mod scram;
mod scram_users;
mod settings;
mod snapshot;
mod throttle;
mod topics;
mod transactions;
mod transport;
mod trust;
mod wire;

pub use crate::estate::identity::Unverified;
pub use acls::in_force;
pub use groups::StableOffsets;
pub(crate) use identity::VerifiedCluster;
pub use offsets::OffsetSpec;
pub use router::Cluster;
pub(crate) use scram::ScramHash;
pub(crate) use settings::ConfigValue;
pub use snapshot::{Named, SnapshotOptions, Which};
pub use topics::NewTopic;
pub use transactions::TransactionFilter;

use crate::base::Trouble;

/// What came of one part of a change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeOutcome {
    /// The broker confirmed it.
    Done,
    /// It did not take effect.
    Refused(Trouble),
    /// It was sent, and no answer came, or one that brokers also give after they wrote it: it may have taken effect.
    /// Observe before deciding anything.
    Unknown(Trouble),
}

impl ChangeOutcome {
    /// Whether the broker confirmed it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, ChangeOutcome::Done)
    }

    /// Why it is not done.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            ChangeOutcome::Done => None,
            ChangeOutcome::Refused(trouble) | ChangeOutcome::Unknown(trouble) => Some(trouble),
        }
    }
}

impl From<Result<(), failure::Failure>> for ChangeOutcome {
    fn from(result: Result<(), failure::Failure>) -> Self {
        match result {
            Ok(()) => ChangeOutcome::Done,
            Err(f) if f.is_in_doubt() => ChangeOutcome::Unknown(f.into_doubt()),
            Err(f) => ChangeOutcome::Refused(f.into()),
        }
    }
}

//! A Kafka cluster as a value: brokers, topics, logs, groups, transactions. PURE: time is an argument (ms since the
//! epoch), randomness is none, no I/O. The wire server and the deterministic simulation drive the same methods.
//!
//! Held against real Kafka by `tests/conformance`: where the two differ, this one is wrong.

mod acls;
mod asks;
pub mod batch;
pub mod faults;
pub mod group;
pub mod log;
mod membership;
mod offsets;
mod produce;
mod quotas;
#[cfg(test)]
mod tests;
mod topics;
mod transactions;
mod view;

pub(crate) use view::id_text;

use std::collections::{BTreeMap, BTreeSet};

pub use acls::CLUSTER;
pub use asks::{GroupReply, JoinAsk, SyncAsk};
pub(crate) use asks::{Joined, Synced};
pub(crate) use batch::Marker;
pub use batch::{BatchProducer, NewRecord, StoredRecord};
pub use faults::{ConnectionCut, Faults};
pub use kafka_protocol::ResponseError;
pub(crate) use log::PartitionLog;
pub use log::{Aborted, IsolationLevel};
pub(crate) use offsets::FetchedOffset;
pub use offsets::{Commit, CommitAsk};
pub use produce::Lookup;
pub(crate) use produce::ProduceAsk;
pub(crate) use topics::{SimTopic, legal_topic_name, topic_defaults};
pub use transactions::Transaction;
pub(crate) use transactions::{MarkerAsk, TxnState};

use crate::estate::acl::Acl;
use crate::estate::inventory::{QuotaEntity, ScramCredential};

/// Why a change is refused: the error and the broker's words.
pub(crate) type SimRefusal = (ResponseError, String);

/// Names a waiting request: the wire server matches replies to it.
pub(crate) type Ticket = u64;

/// A simulated broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// Advertised host.
    pub host: String,
    /// Advertised port; 0 until the wire server is bound.
    pub port: u16,
    /// Whether it runs. A dead one leads nothing and refuses connections.
    pub alive: bool,
}

/// Limits that a real broker reads from `server.properties`.
#[derive(Debug, Clone)]
pub struct BrokerLimits {
    /// `group.min.session.timeout.ms`.
    pub min_session_ms: i64,
    /// `group.max.session.timeout.ms`.
    pub max_session_ms: i64,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i64,
    /// `transaction.max.timeout.ms`.
    pub max_transaction_ms: i64,
    /// `transaction.partition.verification.enable`: without it a producer can write what its coordinator knows nothing
    /// of, and leave it hanging, as before KIP-890.
    pub verify_transactions: bool,
    /// `offset.metadata.max.bytes`.
    pub max_metadata_bytes: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: i64,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            min_session_ms: 500,
            max_session_ms: 1_800_000,
            initial_rebalance_delay_ms: 0,
            max_transaction_ms: 900_000,
            verify_transactions: true,
            max_metadata_bytes: 4096,
            retention_check_ms: 300_000,
        }
    }
}

/// A whole cluster.
#[derive(Debug, Clone)]
pub struct SimState {
    /// The cluster's id, as Metadata gives it.
    pub cluster_id: String,
    /// By node id.
    pub brokers: BTreeMap<i32, Broker>,
    /// Limits of the brokers.
    pub limits: BrokerLimits,
    /// What goes wrong, on request.
    pub faults: Faults,
    topics: BTreeMap<String, SimTopic>,
    groups: BTreeMap<String, group::ClassicGroup>,
    transactions: BTreeMap<String, Transaction>,
    /// `None` without an authorizer.
    acls: Option<BTreeSet<Acl>>,
    /// Whether every client is a super user.
    all_super: bool,
    quotas: BTreeMap<QuotaEntity, BTreeMap<String, f64>>,
    scram_users: BTreeMap<String, BTreeSet<ScramCredential>>,
    /// Grows whenever a reader may find something new: what long polls watch.
    version: u64,
    next_producer_id: i64,
    next_member: u64,
    next_topic: u64,
    retention_due: i64,
    ready: Vec<(Ticket, GroupReply)>,
}

impl SimState {
    /// A cluster of `brokers` nodes (ids from 1) with nothing on it. Ports are given by [`SimState::set_port`].
    #[must_use]
    pub fn new(cluster_id: &str, brokers: i32) -> Self {
        let broker = |id| (id, Broker { id, host: "127.0.0.1".to_owned(), port: 0, alive: true });
        Self {
            cluster_id: cluster_id.to_owned(),
            brokers: (1..=brokers.max(1)).map(broker).collect(),
            limits: BrokerLimits::default(),
            faults: Faults::default(),
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            acls: None,
            all_super: false,
            quotas: BTreeMap::new(),
            scram_users: BTreeMap::new(),
            version: 0,
            next_producer_id: 1000,
            next_member: 1,
            next_topic: 1,
            retention_due: i64::MIN,
            ready: Vec::new(),
        }
    }

    /// Says where a broker listens.
    pub fn set_port(&mut self, broker: i32, port: u16) {
        if let Some(b) = self.brokers.get_mut(&broker) {
            b.port = port;
        }
    }

    /// Lets time pass: sessions expire, rebalances end, overlong transactions abort, old records go.
    pub fn tick(&mut self, now: i64) {
        self.tick_groups(now);
        self.tick_transactions(now);
        if now >= self.retention_due {
            self.retention_due = now.saturating_add(self.limits.retention_check_ms);
            self.enforce_retention(now);
        }
    }

    /// Replies to JoinGroup and SyncGroup requests that were waiting.
    pub fn take_ready(&mut self) -> Vec<(Ticket, GroupReply)> {
        std::mem::take(&mut self.ready)
    }

    /// Changes when a reader may find something new.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Stops a broker: it refuses connections, its partitions get another leader where a replica lives.
    pub fn kill_broker(&mut self, id: i32) {
        if let Some(b) = self.brokers.get_mut(&id) {
            b.alive = false;
        }
        self.elect();
    }

    /// Starts a broker again on its port. Leadership returns to preferred leaders.
    pub fn revive_broker(&mut self, id: i32) {
        if let Some(b) = self.brokers.get_mut(&id) {
            b.alive = true;
        }
        self.elect();
    }

    /// The node that answers as controller: the first that lives, -1 when none does.
    #[must_use]
    pub(crate) fn controller_id(&self) -> i32 {
        self.brokers.values().find(|b| b.alive).map_or(-1, |b| b.id)
    }

    /// The node that coordinates a group or a transactional id.
    #[must_use]
    pub(crate) fn find_coordinator(&self, key: &str) -> Option<&Broker> {
        let hash = key.bytes().fold(0usize, |h, b| h.wrapping_mul(31).wrapping_add(usize::from(b)));
        let n = self.brokers.len();
        // The next one that lives takes over, as another replica of the offsets topic would.
        let order = (0..n).filter_map(|i| self.brokers.values().nth((hash + i) % n));
        order.into_iter().find(|b| b.alive)
    }

    /// NOT_COORDINATOR unless `broker` coordinates `key`; INVALID_GROUP_ID is the caller's to say.
    ///
    /// # Errors
    /// NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE.
    pub(crate) fn check_coordinator(&self, broker: i32, key: &str) -> Result<(), ResponseError> {
        match self.find_coordinator(key) {
            Some(b) if b.id == broker => Ok(()),
            Some(_) => Err(ResponseError::NotCoordinator),
            None => Err(ResponseError::CoordinatorNotAvailable),
        }
    }

    fn elect(&mut self) {
        let alive: Vec<i32> = self.brokers.values().filter(|b| b.alive).map(|b| b.id).collect();
        for log in self.topics.values_mut().flat_map(|t| t.partitions.iter_mut()) {
            let leader = log.replicas.iter().copied().find(|r| alive.contains(r)).unwrap_or(-1);
            if leader != log.leader {
                log.change_leader(leader);
            }
        }
        self.version += 1;
    }
}

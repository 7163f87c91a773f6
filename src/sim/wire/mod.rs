//! The simulated cluster on the wire: one TCP server a broker on loopback, speaking the real protocol with
//! kafka-protocol's codecs. Unmodified clients work against it.
//!
//! A connection answers one request at a time, in order, as a broker does; what a client pipelines waits in the
//! socket. Frames are at most [`MAX_FRAME`] bytes, connections at most [`MAX_CONNECTIONS`] a broker.

#![allow(clippy::disallowed_methods, reason = "the simulation's own edge: its brokers live in real time")]

mod acls;
mod admin;
mod data;
mod dispatch;
mod groups;
mod offsets;
mod server;
mod setup;
mod transactions;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{oneshot, watch};

use super::state::{GroupReply, SimState, Ticket};
use crate::base::lock_unpoisoned;
use crate::estate::acl::{Operation, Resource};

pub(super) use server::{bind_listener, run_broker};

/// Largest request, bytes (Kafka: `socket.request.max.bytes`).
pub(crate) const MAX_FRAME: usize = 100 * 1024 * 1024;
/// Most connections a broker serves at once; more are closed on arrival.
pub(crate) const MAX_CONNECTIONS: usize = 2048;

/// What the servers of one cluster share.
#[derive(Debug)]
pub(super) struct SharedCluster {
    state: Mutex<SimState>,
    waiting: Mutex<HashMap<Ticket, oneshot::Sender<GroupReply>>>,
    tickets: AtomicU64,
    version: watch::Sender<u64>,
}

impl SharedCluster {
    pub(super) fn new(state: SimState) -> Self {
        let version = watch::Sender::new(state.version());
        Self { state: Mutex::new(state), waiting: Mutex::default(), tickets: AtomicU64::new(1), version }
    }

    /// Runs `f` on the state at the present time, then hands out the replies that became due and wakes readers.
    pub(super) fn with_state<R>(&self, f: impl FnOnce(&mut SimState, i64) -> R) -> R {
        // Each lock is let go before the next one is taken: they never wait for each other.
        let (result, ready, version) = {
            // What a panic in `f` left behind is still served: the truth of the test that panicked is elsewhere.
            let mut state = lock_unpoisoned(&self.state);
            let result = f(&mut state, now_ms());
            (result, state.take_ready(), state.version())
        };
        if !ready.is_empty() {
            let mut waiting = lock_unpoisoned(&self.waiting);
            for (ticket, reply) in ready {
                if let Some(sender) = waiting.remove(&ticket) {
                    // whoever asked may be gone
                    let _ = sender.send(reply);
                }
            }
        }
        // Readers wake for what they may find anew, and not for each heartbeat.
        self.version.send_if_modified(|v| std::mem::replace(v, version) != version);
        result
    }

    /// A ticket for a request that waits, and where its reply will come.
    fn issue_ticket(&self) -> (Ticket, oneshot::Receiver<GroupReply>) {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock_unpoisoned(&self.waiting);
        // Whose connection closed while it waited leaves its ticket behind.
        waiting.retain(|_, s| !s.is_closed());
        waiting.insert(ticket, sender);
        (ticket, receiver)
    }

    /// Notified when a reader may find something new, or a broker was killed or revived.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// The simulation's own clock at its edge, ms since the epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// One connection's view: the cluster, the broker it is to, and who is on it.
#[derive(Debug)]
pub(super) struct ConnectionContext<'a> {
    shared: &'a SharedCluster,
    broker: i32,
    client_id: String,
    host: String,
}

impl ConnectionContext<'_> {
    /// Runs `f` if this broker coordinates `key`.
    fn run_as_coordinator<R>(
        &self,
        key: &str,
        f: impl FnOnce(&mut SimState, i64) -> Result<R, ResponseError>,
    ) -> Result<R, ResponseError> {
        self.shared.with_state(|s, now| {
            s.check_coordinator(self.broker, key)?;
            f(s, now)
        })
    }

    /// The same for whoever may run transactions of this id.
    fn run_for_transactional_id<R>(
        &self,
        id: &str,
        f: impl FnOnce(&mut SimState, i64) -> Result<R, ResponseError>,
    ) -> Result<R, ResponseError> {
        self.shared.with_state(|s, _| s.check_permission(Operation::Write, Resource::TransactionalId, id))?;
        self.run_as_coordinator(id, f)
    }
}

fn to_str_bytes(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn error_code_of<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

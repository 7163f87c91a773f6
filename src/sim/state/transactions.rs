//! The transaction coordinator: producer ids, epochs and fencing, partitions and groups of a transaction, markers.
//! Rules follow Kafka's `TransactionCoordinator` with `transaction.version` 1 (epochs are bumped by
//! InitProducerId only). Markers are written at once, so Prepare states are never seen from outside.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::SimState;
use super::batch::Marker;
use super::offsets::{Commit, CommitAsk};

/// The epoch of every coordinator: they never change here.
const COORDINATOR_EPOCH: i32 = 0;
/// `offsets.topic.num.partitions`.
const OFFSETS_PARTITIONS: i32 = 50;

/// A marker that somebody writes by hand (WriteTxnMarkers).
#[derive(Debug, Clone, Copy)]
pub(crate) struct MarkerAsk<'a> {
    /// The broker that was asked.
    pub broker: i32,
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Producer id and epoch.
    pub producer: (i64, i16),
    /// Epoch that the coordinator is said to have.
    pub coordinator_epoch: i32,
    /// Commit or abort.
    pub kind: Marker,
}

/// State of a transactional id in Kafka's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum TxnState {
    /// Initialised, nothing begun.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The last one was committed.
    CompleteCommit,
    /// The last one was aborted.
    CompleteAbort,
}

/// What is known of a transactional id.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Producer id.
    pub producer_id: i64,
    /// Current epoch: producers with an older one are fenced.
    pub epoch: i16,
    /// ms after which an open transaction is aborted.
    pub timeout: i64,
    /// State.
    pub state: TxnState,
    /// When the open or last transaction began, -1 before the first.
    pub started: i64,
    /// Partitions of the open transaction.
    pub partitions: BTreeSet<(String, i32)>,
    /// Groups whose offsets are part of it.
    pub groups: BTreeSet<String>,
}

impl SimState {
    /// Transactional ids.
    #[must_use]
    pub fn transactions(&self) -> &BTreeMap<String, Transaction> {
        &self.transactions
    }

    /// InitProducerId: a producer id and epoch; every older epoch of a transactional id is fenced.
    /// `known` is the producer's own id and epoch when it recovers (KIP-360), else (-1, -1).
    ///
    /// # Errors
    /// INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED, INVALID_REQUEST (empty id), and CONCURRENT_TRANSACTIONS while
    /// an open transaction of the id is being aborted: the client asks again.
    pub fn init_producer(
        &mut self,
        now: i64,
        transactional_id: Option<&str>,
        timeout: i64,
        known: (i64, i16),
    ) -> Result<(i64, i16), ResponseError> {
        let Some(id) = transactional_id else { return Ok((self.fresh_producer_id(), 0)) };
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if timeout <= 0 || timeout > self.limits.max_transaction_ms {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let Some(txn) = self.transactions.get(id) else {
            let producer_id = self.fresh_producer_id();
            let txn = Transaction {
                producer_id,
                epoch: 0,
                timeout,
                state: TxnState::Empty,
                started: -1,
                partitions: BTreeSet::new(),
                groups: BTreeSet::new(),
            };
            self.transactions.insert(id.to_owned(), txn);
            return Ok((producer_id, 0));
        };
        if known.0 >= 0 && known != (txn.producer_id, txn.epoch) {
            return Err(ResponseError::ProducerFenced);
        }
        if txn.state == TxnState::Ongoing {
            // Before the abort, so that its markers carry the new epoch and fence the old instance on every partition.
            self.bump_epoch(id);
            self.finish_transaction(now, id, Marker::Abort);
            return Err(ResponseError::ConcurrentTransactions);
        }
        self.bump_epoch(id);
        let txn = self.transactions.get_mut(id).ok_or(ResponseError::TransactionalIdNotFound)?;
        txn.timeout = timeout;
        txn.state = TxnState::Empty;
        Ok((txn.producer_id, txn.epoch))
    }

    fn fresh_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id
    }

    /// The next epoch; a new producer id when epochs are used up.
    fn bump_epoch(&mut self, id: &str) {
        let fresh = self.next_producer_id + 1;
        let Some(txn) = self.transactions.get_mut(id) else { return };
        // Kafka keeps the last epoch for fencing: a producer never gets it.
        if txn.epoch >= i16::MAX - 1 {
            self.next_producer_id = fresh;
            txn.producer_id = fresh;
            txn.epoch = 0;
        } else {
            txn.epoch += 1;
        }
    }

    fn find_transaction(&mut self, id: &str, producer: (i64, i16)) -> Result<&mut Transaction, ResponseError> {
        let txn = self.transactions.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if txn.producer_id != producer.0 {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if txn.epoch != producer.1 {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(txn)
    }

    /// AddPartitionsToTxn: opens the transaction if none is open.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED.
    pub fn add_partitions(
        &mut self,
        now: i64,
        id: &str,
        producer: (i64, i16),
        partitions: &[(String, i32)],
    ) -> Result<(), ResponseError> {
        let txn = self.find_transaction(id, producer)?;
        txn.open(now);
        txn.partitions.extend(partitions.iter().cloned());
        Ok(())
    }

    /// AddOffsetsToTxn: a group's offsets become part of the transaction.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED.
    pub fn add_group(&mut self, now: i64, id: &str, producer: (i64, i16), group: &str) -> Result<(), ResponseError> {
        let txn = self.find_transaction(id, producer)?;
        txn.open(now);
        txn.groups.insert(group.to_owned());
        Ok(())
    }

    /// TxnOffsetCommit, the check of the whole request.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, and those of a commit.
    pub(crate) fn check_txn_commit(
        &mut self,
        now: i64,
        id: &str,
        producer: (i64, i16),
        ask: &CommitAsk,
    ) -> Result<(), ResponseError> {
        let txn = self.find_transaction(id, producer).map_err(|e| match e {
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            other => other,
        })?;
        if txn.state != TxnState::Ongoing || !txn.groups.contains(&ask.group) {
            return Err(ResponseError::InvalidTxnState);
        }
        self.check_commit(now, ask, true)
    }

    /// TxnOffsetCommit of one partition: pending until the transaction ends.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, OFFSET_METADATA_TOO_LARGE.
    pub(crate) fn txn_commit(
        &mut self,
        producer_id: i64,
        group: &str,
        topic: &str,
        partition: i32,
        commit: Commit,
    ) -> Result<(), ResponseError> {
        self.check_commit_target(topic, partition, &commit)?;
        let group = self.groups.entry(group.to_owned()).or_default();
        group.pending.entry(producer_id).or_default().insert((topic.to_owned(), partition), commit);
        Ok(())
    }

    /// EndTxn: markers go to every partition, pending offsets become real or vanish.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, INVALID_TXN_STATE.
    pub(crate) fn end_txn(
        &mut self,
        now: i64,
        id: &str,
        producer: (i64, i16),
        kind: Marker,
    ) -> Result<(), ResponseError> {
        match (self.find_transaction(id, producer)?.state, kind) {
            (TxnState::Ongoing, _) => self.finish_transaction(now, id, kind),
            // the answer to an earlier EndTxn was lost
            (TxnState::CompleteCommit, Marker::Commit) | (TxnState::CompleteAbort, Marker::Abort) => {}
            _ => return Err(ResponseError::InvalidTxnState),
        }
        Ok(())
    }

    fn finish_transaction(&mut self, now: i64, id: &str, kind: Marker) {
        let Some(txn) = self.transactions.get_mut(id) else { return };
        let (producer_id, epoch) = (txn.producer_id, txn.epoch);
        let partitions = std::mem::take(&mut txn.partitions);
        let groups = std::mem::take(&mut txn.groups);
        txn.state = if kind == Marker::Commit { TxnState::CompleteCommit } else { TxnState::CompleteAbort };
        for (topic, partition) in partitions {
            // a topic deleted meanwhile needs no marker
            if let Ok(log) = self.log_mut(&topic, partition) {
                log.end_transaction(kind, producer_id, epoch, COORDINATOR_EPOCH, now);
            }
        }
        for name in groups {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            // A group may be part of a transaction that committed nothing for it.
            let pending = group.pending.remove(&producer_id).unwrap_or_default();
            if kind == Marker::Commit {
                for ((topic, partition), commit) in pending {
                    group.offsets.entry(topic).or_default().insert(partition, commit);
                }
            }
        }
        self.version += 1;
    }

    /// WriteTxnMarkers of one partition: the coordinator is not asked, and does not learn of it.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.
    pub(crate) fn write_marker(&mut self, now: i64, ask: &MarkerAsk<'_>) -> Result<(), ResponseError> {
        self.check_leader(ask.broker, ask.topic, ask.partition, -1)?;
        let (producer_id, epoch) = ask.producer;
        let log = self.log_mut(ask.topic, ask.partition)?;
        log.check_marker(producer_id, epoch, ask.coordinator_epoch)?;
        log.end_transaction(ask.kind, producer_id, epoch, ask.coordinator_epoch, now);
        self.version += 1;
        Ok(())
    }

    /// Aborts what is open for longer than its timeout, and fences its producer.
    pub(super) fn tick_transactions(&mut self, now: i64) {
        let over = |t: &Transaction| t.state == TxnState::Ongoing && now - t.started > t.timeout;
        let overdue: Vec<String> =
            self.transactions.iter().filter(|(_, t)| over(t)).map(|(id, _)| id.clone()).collect();
        for id in overdue {
            // Before the abort, as in `init_producer`: the instance that took too long is fenced by the markers.
            self.bump_epoch(&id);
            self.finish_transaction(now, &id, Marker::Abort);
        }
    }
}

impl Transaction {
    /// Partitions of the open transaction as they are described: a group's offsets are a partition of their topic.
    #[must_use]
    pub(crate) fn described_partitions(&self) -> BTreeSet<(String, i32)> {
        let offsets = self.groups.iter().map(|g| ("__consumer_offsets".to_owned(), offsets_partition(g)));
        self.partitions.iter().cloned().chain(offsets).collect()
    }

    fn open(&mut self, now: i64) {
        if self.state != TxnState::Ongoing {
            self.state = TxnState::Ongoing;
            self.started = now;
        }
    }
}

/// Where a group's offsets live.
fn offsets_partition(group: &str) -> i32 {
    crate::estate::exactly_once::offsets_partition(group, OFFSETS_PARTITIONS).unwrap_or(0)
}

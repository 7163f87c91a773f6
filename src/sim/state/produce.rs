//! Producing to and reading from partitions, with the checks a broker makes.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::batch::{self, BatchProducer, NewRecord, StoredBatch};
use super::log::{Appended, IsolationLevel};
use super::{SimState, TxnState};
use crate::estate::acl::{Operation, Resource};

/// One partition of a produce request.
#[derive(Debug, Clone)]
pub struct ProduceAsk<'a> {
    /// The broker that was asked.
    pub broker: i32,
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// One batch, as the producer sent it.
    pub records: &'a Bytes,
    /// Transactional id of the request.
    pub transactional_id: Option<&'a str>,
}

/// What ListOffsets asks of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// -2 (and -4): the log start.
    Earliest,
    /// -1: the high watermark, or the last stable offset for read_committed.
    Latest,
    /// -3: the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// -5: the end of the tiered part; nothing is tiered here.
    LatestTiered,
    /// First record in log order with at least this timestamp, ms since the epoch.
    At(i64),
}

impl Lookup {
    /// Reads the timestamp field of a ListOffsets request of this version.
    ///
    /// # Errors
    /// UNSUPPORTED_VERSION for a special value that this version doesn't know.
    pub(crate) fn from_timestamp(timestamp: i64, version: i16) -> Result<Self, ResponseError> {
        match timestamp {
            -1 => Ok(Self::Latest),
            -2 => Ok(Self::Earliest),
            -3 if version >= 7 => Ok(Self::MaxTimestamp),
            -4 if version >= 8 => Ok(Self::Earliest),
            -5 if version >= 9 => Ok(Self::LatestTiered),
            t if t >= 0 => Ok(Self::At(t)),
            _ => Err(ResponseError::UnsupportedVersion),
        }
    }
}

impl SimState {
    /// Checks that `broker` leads a partition, and the leader epoch the client believes in (-1: none).
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH.
    pub(crate) fn check_leader(
        &self,
        broker: i32,
        topic: &str,
        partition: i32,
        epoch: i32,
    ) -> Result<(), ResponseError> {
        let log = self.log(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if log.leader != broker {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        match epoch {
            -1 => Ok(()),
            e if e < log.leader_epoch => Err(ResponseError::FencedLeaderEpoch),
            e if e > log.leader_epoch => Err(ResponseError::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Appends what a produce request carries for one partition.
    ///
    /// # Errors
    /// What a broker answers for this partition.
    pub fn produce(&mut self, now: i64, ask: &ProduceAsk<'_>) -> Result<Appended, ResponseError> {
        // A produce request names no leader epoch.
        self.check_leader(ask.broker, ask.topic, ask.partition, -1)?;
        self.check_permission(Operation::Write, Resource::Topic, ask.topic)?;
        if let Some(id) = ask.transactional_id {
            self.check_permission(Operation::Write, Resource::TransactionalId, id)?;
        }
        if let Some(error) = self.faults.take_produce_failure(ask.topic) {
            return Err(error);
        }
        self.append_raw(now, ask.topic, ask.partition, ask.records, ask.transactional_id)
    }

    /// Appends records as a producer would; for the simulation and for prefilling.
    ///
    /// # Errors
    /// What a broker answers for this partition.
    pub fn append_records(
        &mut self,
        now: i64,
        topic: &str,
        partition: i32,
        records: &[NewRecord],
        writer: BatchProducer,
        transactional_id: Option<&str>,
    ) -> Result<Appended, ResponseError> {
        let raw = batch::encode_batch(records, writer);
        self.append_raw(now, topic, partition, &raw, transactional_id)
    }

    fn append_raw(
        &mut self,
        now: i64,
        topic: &str,
        partition: i32,
        raw: &Bytes,
        transactional_id: Option<&str>,
    ) -> Result<Appended, ResponseError> {
        let rules = self.topics().get(topic).ok_or(ResponseError::UnknownTopicOrPartition)?.rules();
        let batch = batch::parse_batch(raw, now, rules)?;
        if batch.transactional && self.limits.verify_transactions {
            self.check_transactional(&batch, transactional_id, topic, partition)?;
        }
        let log = self.log_mut(topic, partition)?;
        if let Some(retry) = log.check_producer(&batch)? {
            // The producer gets the first try's answer; readers have nothing new to see.
            return Ok(retry);
        }
        let appended = log.append(batch, now, rules.log_append_time);
        self.version += 1;
        Ok(appended)
    }

    /// Kafka 4 verifies with the coordinator that the partition is part of the open transaction (KIP-890).
    fn check_transactional(
        &self,
        batch: &StoredBatch,
        transactional_id: Option<&str>,
        topic: &str,
        partition: i32,
    ) -> Result<(), ResponseError> {
        let id = transactional_id.ok_or(ResponseError::InvalidRecord)?;
        let txn = self.transactions.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if txn.producer_id != batch.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if batch.producer_epoch != txn.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let part_of = txn.partitions.contains(&(topic.to_owned(), partition));
        if txn.state == TxnState::Ongoing && part_of { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
    }

    /// ListOffsets of one partition: timestamp (-1 unless looked up by time) and offset (-1 when there is none).
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub fn list_offset(
        &self,
        topic: &str,
        partition: i32,
        lookup: Lookup,
        isolation: IsolationLevel,
    ) -> Result<(i64, i64), ResponseError> {
        let log = self.log(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let end = log.end_for(isolation);
        // A record that this isolation can't read yet is not named either.
        let readable = |found: Option<(i64, i64)>| found.filter(|(_, offset)| *offset < end).unwrap_or((-1, -1));
        Ok(match lookup {
            Lookup::Earliest => (-1, log.start()),
            Lookup::Latest => (-1, end),
            Lookup::LatestTiered => (-1, -1),
            Lookup::MaxTimestamp => readable(log.max_timestamp()),
            Lookup::At(t) => readable(log.at_or_after(t)),
        })
    }
}

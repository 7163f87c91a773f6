//! One partition's log: batches, producers, open and aborted transactions, and what may be read of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;

use super::batch::{self, Marker, StoredBatch, StoredRecord};

/// Batches of one producer that a broker remembers to recognise a retry (Kafka: 5).
const REMEMBERED: usize = 5;

/// What a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Up to the high watermark, open and aborted transactions included.
    ReadUncommitted,
    /// Up to the last stable offset; aborted transactions are listed for the reader to drop.
    ReadCommitted,
}

/// A transaction that was aborted, as fetch responses list it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first: i64,
    /// Offset of its marker.
    pub last: i64,
}

/// What a partition remembers of a producer.
#[derive(Debug, Clone, Default)]
pub struct ProducerEntry {
    /// Newest epoch seen.
    pub epoch: i16,
    /// Last batches: first sequence, last sequence, base offset, timestamp. Newest last.
    recent: VecDeque<(i32, i32, i64, i64)>,
    /// First offset of the transaction that is open here.
    pub txn_first: Option<i64>,
    /// Epoch of the coordinator that wrote its last marker here.
    pub coordinator_epoch: Option<i32>,
    /// When it last wrote here (record or marker), ms since the epoch.
    pub last_timestamp: i64,
}

impl ProducerEntry {
    /// Sequence number of its last record here, -1 when none since its epoch began.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.recent.back().map_or(-1, |r| r.1)
    }
}

/// What an append gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base: i64,
    /// Set for LogAppendTime, else -1.
    pub log_append_time: i64,
    /// The log's start.
    pub log_start: i64,
}

/// What a fetch of one partition gives.
#[derive(Debug, Clone, Default)]
pub struct FetchedBatches {
    /// Whole batches, the first one containing the offset asked for.
    pub bytes: Bytes,
    /// Aborted transactions that overlap what was asked for (read_committed only).
    pub aborted: Vec<Aborted>,
}

/// One partition's log.
#[derive(Debug, Clone, Default)]
pub struct PartitionLog {
    batches: VecDeque<StoredBatch>,
    start: i64,
    end: i64,
    /// Node id of the leader, -1 when every replica is down.
    pub leader: i32,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Nodes that hold a replica, preferred leader first.
    pub replicas: Vec<i32>,
    /// Leader epochs and the offset each began at.
    epochs: Vec<(i32, i64)>,
    producers: BTreeMap<i64, ProducerEntry>,
    aborted: Vec<Aborted>,
}

impl PartitionLog {
    /// An empty log led by the first of `replicas`.
    #[must_use]
    pub fn new(replicas: Vec<i32>) -> Self {
        let leader = replicas.first().copied().unwrap_or(-1);
        Self { leader, replicas, epochs: vec![(0, 0)], ..Self::default() }
    }

    /// Log start offset.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// High watermark: every append is replicated at once, so it is the log's end too.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.end
    }

    /// Last stable offset: the first record of the oldest open transaction, else the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        self.producers.values().filter_map(|p| p.txn_first).min().unwrap_or(self.end)
    }

    /// Where a reader of this isolation stops.
    #[must_use]
    pub(crate) fn end_for(&self, isolation: IsolationLevel) -> i64 {
        match isolation {
            IsolationLevel::ReadUncommitted => self.end,
            IsolationLevel::ReadCommitted => self.last_stable_offset(),
        }
    }

    /// Producers that wrote here, by producer id.
    #[must_use]
    pub fn producers(&self) -> &BTreeMap<i64, ProducerEntry> {
        &self.producers
    }

    /// Checks a batch against what is known of its producer. `Some` is a retry of a batch that is here already.
    ///
    /// # Errors
    /// INVALID_PRODUCER_EPOCH for a fenced producer, OUT_OF_ORDER_SEQUENCE_NUMBER for a gap.
    pub(crate) fn check_producer(&self, batch: &StoredBatch) -> Result<Option<Appended>, ResponseError> {
        // Of a producer that it knows nothing of, as after retention, a broker takes any sequence.
        let (Some(entry), true) = (self.producers.get(&batch.producer_id), batch.producer_id >= 0) else {
            return Ok(None);
        };
        if batch.producer_epoch < entry.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if batch.producer_epoch > entry.epoch {
            // A new epoch counts its batches from 0 again.
            return if batch.base_sequence == 0 { Ok(None) } else { Err(ResponseError::OutOfOrderSequenceNumber) };
        }
        let last = last_sequence(batch);
        // A retry is the whole batch once more; a part of one is a gap.
        if let Some(known) = entry.recent.iter().find(|r| r.0 == batch.base_sequence && r.1 == last) {
            return Ok(Some(Appended { base: known.2, log_append_time: known.3, log_start: self.start }));
        }
        match entry.recent.back() {
            Some(&(_, seen, ..)) if batch.base_sequence != next_sequence(seen) => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            // nothing since the epoch began (a marker can bring the epoch before any record)
            None if batch.base_sequence != 0 => Err(ResponseError::OutOfOrderSequenceNumber),
            _ => Ok(None),
        }
    }

    /// Appends a checked batch.
    pub fn append(&mut self, batch: StoredBatch, now: i64, log_append_time: bool) -> Appended {
        let batch = batch::place_batch(batch, self.end, self.leader_epoch, log_append_time);
        let base = batch.base;
        let stamp = if log_append_time { batch.max_timestamp } else { -1 };
        if batch.producer_id >= 0 {
            let entry = self.producers.entry(batch.producer_id).or_default();
            if batch.producer_epoch > entry.epoch {
                entry.recent.clear();
            }
            entry.epoch = batch.producer_epoch;
            entry.last_timestamp = now;
            // A marker is transactional too, and opens nothing.
            if batch.transactional && batch.marker.is_none() {
                entry.txn_first.get_or_insert(base);
            }
            if batch.base_sequence >= 0 {
                entry.recent.push_back((batch.base_sequence, last_sequence(&batch), base, batch.max_timestamp));
                if entry.recent.len() > REMEMBERED {
                    entry.recent.pop_front();
                }
            }
        }
        self.end = batch.last + 1;
        self.batches.push_back(batch);
        Appended { base, log_append_time: stamp, log_start: self.start }
    }

    /// Checks a marker against what is known of its producer.
    ///
    /// # Errors
    /// INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.
    pub(crate) fn check_marker(&self, producer_id: i64, epoch: i16, coordinator: i32) -> Result<(), ResponseError> {
        let Some(entry) = self.producers.get(&producer_id) else { return Ok(()) };
        if epoch < entry.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        match entry.coordinator_epoch {
            Some(known) if coordinator < known => Err(ResponseError::TransactionCoordinatorFenced),
            _ => Ok(()),
        }
    }

    /// Writes a transaction's marker, which closes the transaction here and takes one offset.
    pub(crate) fn end_transaction(
        &mut self,
        kind: Marker,
        producer_id: i64,
        epoch: i16,
        coordinator: i32,
        now: i64,
    ) -> i64 {
        let first = self.producers.get_mut(&producer_id).and_then(|p| p.txn_first.take());
        let at = self.append(batch::build_marker(kind, producer_id, epoch, coordinator, now), now, false).base;
        if let Some(entry) = self.producers.get_mut(&producer_id) {
            entry.coordinator_epoch = Some(coordinator);
        }
        // A marker may be written where nothing is open (WriteTxnMarkers), and aborts nothing then.
        if let (Marker::Abort, Some(first)) = (kind, first) {
            self.aborted.push(Aborted { producer_id, first, last: at });
        }
        at
    }

    /// Batches from the one that contains `offset`, at most `max_bytes`; the first one in any case when
    /// `at_least_one`, so that a batch larger than the limit can be passed (KIP-74).
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE outside [log start, end].
    pub fn read(
        &self,
        offset: i64,
        max: usize,
        isolation: IsolationLevel,
        at_least_one: bool,
    ) -> Result<FetchedBatches, ResponseError> {
        if offset < self.start || offset > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let until = self.end_for(isolation);
        let first = self.batches.partition_point(|b| b.last < offset);
        let mut out = BytesMut::new();
        let mut upto = offset;
        for batch in self.batches.range(first..).take_while(|b| b.base < until) {
            let fits = out.len() + batch.bytes.len() <= max;
            let forced = at_least_one && out.is_empty();
            if !(fits || forced) {
                break;
            }
            out.extend_from_slice(&batch.bytes);
            upto = batch.last + 1;
        }
        let aborted = match isolation {
            IsolationLevel::ReadUncommitted => Vec::new(),
            IsolationLevel::ReadCommitted => {
                self.aborted.iter().filter(|a| a.last >= offset && a.first < upto).copied().collect()
            }
        };
        Ok(FetchedBatches { bytes: out.freeze(), aborted })
    }

    /// Bytes that a read from `offset` would find, counted no further than `enough`.
    #[must_use]
    pub(crate) fn count_available(&self, offset: i64, isolation: IsolationLevel, enough: usize) -> usize {
        let until = self.end_for(isolation);
        let first = self.batches.partition_point(|b| b.last < offset);
        let mut bytes = 0;
        for batch in self.batches.range(first..).take_while(|b| b.base < until) {
            bytes += batch.bytes.len();
            if bytes >= enough {
                break;
            }
        }
        bytes
    }

    /// The first record in log order with a timestamp of at least `timestamp`: its timestamp and offset.
    /// Markers count, as they do in Kafka (`FileRecords.searchForTimestamp` reads every batch).
    #[must_use]
    pub(crate) fn at_or_after(&self, timestamp: i64) -> Option<(i64, i64)> {
        let candidates = self.batches.iter().filter(|b| b.max_timestamp >= timestamp);
        // A batch may begin before the log start: DeleteRecords cuts within it.
        candidates.flat_map(offsets_with_timestamps).find(|(ts, offset)| *ts >= timestamp && *offset >= self.start)
    }

    /// The first record with the largest timestamp: its timestamp and offset.
    #[must_use]
    pub(crate) fn max_timestamp(&self) -> Option<(i64, i64)> {
        let all = self.batches.iter().flat_map(offsets_with_timestamps).filter(|(_, o)| *o >= self.start);
        all.fold(None, |best: Option<(i64, i64)>, at| match best {
            Some(b) if b.0 >= at.0 => Some(b),
            _ => Some(at),
        })
    }

    /// Moves the log start, dropping batches that lie wholly before it.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE beyond the high watermark.
    pub fn trim(&mut self, before: i64) -> Result<i64, ResponseError> {
        let before = if before == -1 { self.end } else { before };
        if before < 0 || before > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        self.start = self.start.max(before);
        while self.batches.front().is_some_and(|b| b.last < self.start) {
            self.batches.pop_front();
        }
        self.aborted.retain(|a| a.last >= self.start);
        Ok(self.start)
    }

    /// Drops batches whose newest record is older than `keep_from` (ms since the epoch), from the front.
    pub fn expire(&mut self, keep_from: i64) {
        while self.batches.front().is_some_and(|b| b.max_timestamp < keep_from)
            && self.last_stable_offset() > self.start
        {
            let Some(batch) = self.batches.pop_front() else { break };
            self.start = batch.last + 1;
        }
        self.aborted.retain(|a| a.last >= self.start);
    }

    /// Drops batches from the front until the log is no larger than `max_bytes`.
    pub(crate) fn shrink(&mut self, max_bytes: u64) {
        let mut total: u64 = self.batches.iter().map(|b| b.bytes.len() as u64).sum();
        // The last batch stays, as a broker's active segment does.
        while total > max_bytes && self.batches.len() > 1 {
            let Some(batch) = self.batches.pop_front() else { break };
            total -= batch.bytes.len() as u64;
            self.start = batch.last + 1;
        }
        self.aborted.retain(|a| a.last >= self.start);
    }

    /// Every data record from `from` on that a reader of this isolation sees: the truth a test compares with.
    #[must_use]
    pub fn records(&self, from: i64, isolation: IsolationLevel) -> Vec<StoredRecord> {
        self.stream_records(from, isolation).collect()
    }

    /// The same, decoded as it is taken.
    pub fn stream_records(&self, from: i64, isolation: IsolationLevel) -> impl Iterator<Item = StoredRecord> + '_ {
        let until = self.end_for(isolation);
        let dropped = move |r: &StoredRecord| {
            isolation == IsolationLevel::ReadCommitted
                && r.transactional
                && self.aborted.iter().any(|a| a.producer_id == r.producer_id && (a.first..a.last).contains(&r.offset))
        };
        let first = self.batches.partition_point(|b| b.last < from);
        let batches = self.batches.range(first..).take_while(move |b| b.base < until);
        let from = from.max(self.start);
        batches.flat_map(StoredBatch::records).filter(move |r| r.offset >= from && !dropped(r))
    }

    /// A new leader: the next epoch begins at the log's end.
    pub(crate) fn change_leader(&mut self, leader: i32) {
        self.leader = leader;
        self.leader_epoch += 1;
        self.epochs.push((self.leader_epoch, self.end));
    }

    /// The end offset of a leader epoch (OffsetForLeaderEpoch): the largest epoch not above it, and where it ended.
    #[must_use]
    pub(crate) fn epoch_end(&self, epoch: i32) -> (i32, i64) {
        if epoch > self.leader_epoch || epoch == -1 {
            return (-1, -1);
        }
        // Below all that there are (-1 is none): where the first one began.
        if let Some((_, begins)) = self.epochs.first().filter(|(first, _)| epoch < *first) {
            return (epoch, (*begins).max(self.start));
        }
        let i = self.epochs.partition_point(|e| e.0 <= epoch).saturating_sub(1);
        let end = self.epochs.get(i + 1).map_or(self.end, |next| next.1);
        (self.epochs.get(i).map_or(-1, |e| e.0), end)
    }
}

fn offsets_with_timestamps(batch: &StoredBatch) -> impl Iterator<Item = (i64, i64)> + '_ {
    batch.timestamps.iter().copied().zip(batch.base..)
}

fn next_sequence(sequence: i32) -> i32 {
    if sequence == i32::MAX { 0 } else { sequence + 1 }
}

/// Sequence of a batch's last record; sequences wrap from i32::MAX to 0.
fn last_sequence(batch: &StoredBatch) -> i32 {
    let last = i64::from(batch.base_sequence) + batch.count() - 1;
    i32::try_from(last % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

//! The data plane's reading half: windows of records, exactly, from one partition or many at once.
//!
//! Blocking: run it under `spawn_blocking`, and drop the reader there too (a client takes 100-200 ms
//! to go). One reader is one librdkafka client (6-7 threads), so keep one a cluster and reuse it.
//!
//! A window `[from, to)` is read to its end when a record at or past `to` shows up, or when the broker
//! says that its log ends at or past `to`. Neither needs a record right before `to`: transaction
//! markers, aborted records and compaction leave holes anywhere.

mod ends;
mod error;
mod hold;
mod limits;
mod record;
mod wait;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::librdkafka::{self, EventContext};
use super::properties::ClientProperties;
use crate::base::{TopicPartition, Trouble};
pub use error::ReadError;
use error::is_passing;
use hold::ReaderHold;
pub(crate) use hold::Warden;
pub use limits::Portion;
use limits::QueueLimits;
pub use record::RecordRef;
use wait::{ReadPatience, ReadyQueues};

/// Partitions that are read at the same time: a bound of memory. For each at most 4 MiB or 20,000 records wait, and a
/// [`Portion`] more (or one record, when that is larger).
const TOGETHER: usize = 128;

/// Which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Committed ones, up to the last stable offset: what offset proofs are about.
    Committed,
    /// All of them, up to the high watermark.
    Uncommitted,
}

/// A window of one partition: offsets `from <= o < to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRange {
    /// Topic and partition.
    pub partition: TopicPartition,
    /// First offset.
    pub from: i64,
    /// One past the last offset. At most the partition's readable end (LSO or high watermark).
    pub to: i64,
}

/// What one range held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RangeTotals {
    /// Records given to the sink.
    pub records: u64,
    /// Their bytes of keys and values.
    pub bytes: u64,
}

/// What receives the records: the index of the range they belong to, and the record. `Break` stops the read.
pub(crate) type Sink<'a> = dyn FnMut(usize, RecordRef<'_>) -> ControlFlow<()> + 'a;

/// Holds ranges back: what of them has arrived waits, and nothing more is fetched than fits.
pub(crate) trait ReadGate {
    /// Whether the next records of a range may be given to the sink.
    fn may_give(&self, index: usize) -> bool;
    /// A range was read to its end, whatever lay there.
    fn note_closed(&self, index: usize);
    /// Waits until that may have changed, not for long. Asked when nothing else is there to be read.
    fn wait(&self);
}

/// Holds nothing back.
struct OpenGate;

impl ReadGate for OpenGate {
    fn may_give(&self, _: usize) -> bool {
        true
    }

    fn note_closed(&self, _: usize) {}

    fn wait(&self) {}
}

/// Reads windows of records from one cluster.
pub struct RecordReader {
    consumer: Arc<BaseConsumer<EventContext>>,
    bootstrap: String,
    isolation: Isolation,
    patience: Duration,
    turn: usize,
    hold: Option<ReaderHold>,
}

impl std::fmt::Debug for RecordReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordReader")
            .field("bootstrap", &self.bootstrap)
            .field("isolation", &self.isolation)
            .finish_non_exhaustive()
    }
}

impl RecordReader {
    /// Opens a client; nothing is asked of the cluster yet. `patience` bounds every wait in which
    /// nothing arrives (not the whole read). Errors: a property that librdkafka refuses.
    pub fn open(
        properties: &ClientProperties,
        bootstrap: &str,
        isolation: Isolation,
        patience: Duration,
    ) -> Result<RecordReader, Trouble> {
        Self::open_for(Portion::Usual, properties, bootstrap, isolation, patience)
    }

    /// As [`Self::open`], for larger or smaller windows.
    pub fn open_for(
        portion: Portion,
        properties: &ClientProperties,
        bootstrap: &str,
        isolation: Isolation,
        patience: Duration,
    ) -> Result<RecordReader, Trouble> {
        let limits = QueueLimits::of(portion);
        Self::create(properties, bootstrap, isolation, patience, limits)
    }

    /// As [`Self::open`], with at most about `queued_kib` KiB of records, and eight records a KiB, waiting in memory for
    /// each partition that is read at the same time (a fetch more may arrive; one record is always let through,
    /// whatever its size).
    pub(crate) fn open_within(
        properties: &ClientProperties,
        bootstrap: &str,
        isolation: Isolation,
        patience: Duration,
        queued_kib: u32,
    ) -> Result<RecordReader, Trouble> {
        let limits = QueueLimits::within(queued_kib);
        Self::create(properties, bootstrap, isolation, patience, limits)
    }

    fn create(
        properties: &ClientProperties,
        bootstrap: &str,
        isolation: Isolation,
        patience: Duration,
        limits: QueueLimits,
    ) -> Result<RecordReader, Trouble> {
        let (queued, portion) = (limits.queued_kib.to_string(), limits.portion.to_string());
        let records = limits.records.to_string();
        let config = librdkafka::build_config(
            properties,
            bootstrap,
            &[
                // `assign` needs a group id, though no group is joined and nothing is committed.
                ("group.id", properties.get("group.id").unwrap_or("cutover-reader")),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                // Outside the log the read has to end: any jump would leave records out unseen.
                ("auto.offset.reset", "error"),
                ("enable.partition.eof", "true"),
                ("allow.auto.create.topics", "false"),
                // librdkafka's default is off: what a disk or a line damaged would be compared as if it was written so.
                ("check.crcs", "true"),
                (
                    "isolation.level",
                    if isolation == Isolation::Committed { "read_committed" } else { "read_uncommitted" },
                ),
                // A follower's end may be behind the leader's, and would look like the end of the log (KIP-392).
                ("client.rack", ""),
                // At the end of a log the answer comes at once: nobody waits for records yet to be written.
                ("fetch.wait.max.ms", "10"),
                ("fetch.error.backoff.ms", "100"),
                // A full queue is looked at again soon; the default of 1 s would be the speed limit.
                ("fetch.queue.backoff.ms", "10"),
                // Bounds of what waits in memory, per partition: beyond either, nothing more is fetched for it. A
                // record that waits costs about 500 bytes besides itself, so small ones are bounded by their number.
                ("queued.max.messages.kbytes", &queued),
                ("queued.min.messages", &records),
                // An answer of many partitions comes whole before any of its records does: on a slow line 50 MB, the
                // default, would look as if nothing came. (One larger record still comes: KIP-74.)
                ("fetch.max.bytes", limits::ANSWER),
                ("max.partition.fetch.bytes", &portion),
                // Tells fetch positions: progress through records that are not shown (aborted ones).
                ("statistics.interval.ms", "500"),
            ],
        );
        let consumer = config
            .create_with_context::<EventContext, BaseConsumer<EventContext>>(EventContext::for_client(properties)?)
            .map_err(|e| librdkafka::explain_trouble("opening a reader", bootstrap, Some(&e), None))?;
        let (bootstrap, turn) = (bootstrap.to_owned(), limits.turn);
        let reader = RecordReader { consumer: Arc::new(consumer), bootstrap, isolation, patience, turn, hold: None };
        librdkafka::hand_token(reader.consumer.context(), || reader.poll_events())?;
        Ok(reader)
    }

    /// Reads one range. See [`Self::read`].
    pub fn read_range(
        &mut self,
        range: &ReadRange,
        mut sink: impl FnMut(RecordRef<'_>) -> ControlFlow<()>,
    ) -> Result<RangeTotals, ReadError> {
        Ok(self.read(std::slice::from_ref(range), &mut |_, record| sink(record))?[0])
    }

    /// Reads all ranges, many partitions at a time, and gives each range's records to the sink in offset
    /// order (ranges interleave). Returns what each held, in the order of `ranges`. An empty range is no error.
    pub fn read(&mut self, ranges: &[ReadRange], sink: &mut Sink<'_>) -> Result<Vec<RangeTotals>, ReadError> {
        self.read_gated(ranges, &OpenGate, sink)
    }

    /// As [`Self::read`], as far as a gate lets each range.
    pub(crate) fn read_gated(
        &mut self,
        ranges: &[ReadRange],
        gate: &dyn ReadGate,
        sink: &mut Sink<'_>,
    ) -> Result<Vec<RangeTotals>, ReadError> {
        self.check_admitted(ranges)?;
        let mut done = vec![RangeTotals::default(); ranges.len()];
        let mut waiting: Vec<usize> = (0..ranges.len()).filter(|i| ranges[*i].from < ranges[*i].to).collect();
        while !waiting.is_empty() {
            // A partition is assigned once at a time: its second range waits for the next round.
            let mut taken = BTreeSet::new();
            let (batch, rest) =
                waiting.into_iter().partition(|i| taken.len() < TOGETHER && taken.insert(ranges[*i].partition.clone()));
            waiting = rest;
            self.read_together(ranges, &batch, (gate, &mut *sink), &mut done)?;
        }
        // After the last record: the client may have been led elsewhere in the middle.
        self.check_home(Duration::ZERO)?;
        Ok(done)
    }

    fn read_together(
        &mut self,
        ranges: &[ReadRange],
        batch: &[usize],
        (gate, sink): (&dyn ReadGate, &mut Sink<'_>),
        done: &mut [RangeTotals],
    ) -> Result<(), ReadError> {
        let partitions: Vec<_> = batch.iter().map(|i| ranges[*i].partition.clone()).collect();
        // Before anything is assigned: an end that is not there would only be waited for until patience is over.
        for (i, end) in batch.iter().zip(self.list_ends(&partitions)?) {
            let ReadRange { partition, to, .. } = &ranges[*i];
            if *to > end {
                tracing::warn!(bootstrap = %self.bootstrap, %partition, to, end, "asked for beyond the end");
                return Err(ReadError::BeyondEnd { partition: partition.clone(), to: *to, end });
            }
        }
        let ready = Arc::new(ReadyQueues::new(batch.len()));
        let mut assignment = TopicPartitionList::new();
        let mut windows = Vec::with_capacity(batch.len());
        for (slot, i) in batch.iter().enumerate() {
            let range = &ranges[*i];
            assignment
                .add_partition_offset(&range.partition.topic, range.partition.partition, Offset::Offset(range.from))
                .map_err(|e| self.refused_error("reading", &range.partition, &e))?;
            // Before `assign`: then no record ever takes the way through the common queue.
            let mut queue = self
                .consumer
                .split_partition_queue(&range.partition.topic, range.partition.partition)
                .ok_or_else(|| self.refused_error("reading", &range.partition, &KafkaError::NoMessageReceived))?;
            let bell = Arc::clone(&ready);
            queue.set_nonempty_callback(move || bell.ring(slot));
            // What an earlier read left in the queue would keep it from ever *becoming* non-empty.
            ready.ring(slot);
            windows.push(Window { index: *i, range, queue, next: range.from, open: true });
        }
        self.consumer.assign(&assignment).map_err(|e| self.refused_error("reading", &partitions[0], &e))?;
        let read = self.read_until_closed(&mut windows, &ready, (gate, sink), done);
        drop(windows);
        // After a failed read, too: the reader is used again.
        let gone = self.consumer.unassign();
        read?;
        gone.map_err(|e| self.refused_error("closing", &partitions[0], &e))
    }

    /// Reads until every window is closed.
    fn read_until_closed(
        &self,
        windows: &mut [Window<'_>],
        ready: &ReadyQueues,
        (gate, sink): (&dyn ReadGate, &mut Sink<'_>),
        done: &mut [RangeTotals],
    ) -> Result<(), ReadError> {
        self.consumer.context().forget_errors();
        let mut patience = ReadPatience::new(self.patience);
        let mut open = windows.len();
        let mut held = Vec::new();
        while open > 0 {
            self.serve_events();
            self.check_final_error()?;
            let next = match ready.take() {
                // What is held is looked at only when nothing else has anything: a gate slows down its own range alone.
                None if !held.is_empty() => {
                    gate.wait();
                    held.drain(..).for_each(|slot| ready.ring(slot));
                    continue;
                }
                None => ready.wait(),
                some => some,
            };
            let Some(slot) = next else {
                self.spend_patience(&mut patience, windows)?;
                continue;
            };
            let window = &mut windows[slot];
            if !window.open {
                continue;
            }
            if !gate.may_give(window.index) {
                patience.note_progress(); // it is not this cluster that is waited for
                held.push(slot);
                continue;
            }
            let (progress, more) = self.take_turn(window, sink, &mut done[window.index])?;
            if progress {
                patience.note_progress();
            }
            if !window.open {
                gate.note_closed(window.index);
                open -= 1;
                // The last one goes with the `unassign` of all.
                if open > 0 {
                    self.release(&window.range.partition);
                }
            } else if more {
                ready.ring(slot);
            }
        }
        Ok(())
    }

    /// librdkafka goes on trying what is refused for good.
    fn check_final_error(&self) -> Result<(), ReadError> {
        match self.consumer.context().last_error() {
            Some((code, _)) if librdkafka::is_final(code) => Err(self.stalled_error("reading", None)),
            _ => Ok(()),
        }
    }

    /// A tick has passed in which nothing came. Errors: nor has anything got anywhere, for too long.
    fn spend_patience(&self, patience: &mut ReadPatience, windows: &[Window<'_>]) -> Result<(), ReadError> {
        let waited_for = windows.iter().filter(|w| w.open).map(|w| &w.range.partition);
        if let Some(statistics) = self.consumer.context().take_statistics() {
            patience.note_statistics(&statistics, waited_for);
        }
        patience.tick();
        if !patience.is_over() {
            return Ok(());
        }
        let first = windows.iter().find(|w| w.open).map_or((&windows[0], 0), |w| (w, w.next));
        let stands = format!("reading {}: nothing at or after offset {} came", first.0.range.partition, first.1);
        Err(self.stalled_error(&stands, None))
    }

    /// Takes what waits for one window. Returns whether it got anywhere, and whether more waits.
    fn take_turn(
        &self,
        window: &mut Window<'_>,
        sink: &mut Sink<'_>,
        read: &mut RangeTotals,
    ) -> Result<(bool, bool), ReadError> {
        let mut progress = false;
        for _ in 0..self.turn {
            let message = match window.queue.poll(Duration::ZERO) {
                None => return Ok((progress, false)),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    // A new leader's end can be behind for a moment: only an end at or past `to` counts.
                    let end = self.consumer.context().take_end_of_partition();
                    // An end whose words can't be read closes nothing: patience does then.
                    window.open &= end.is_none_or(|end| end < window.range.to);
                    if !window.open {
                        return Ok((true, false));
                    }
                    continue;
                }
                Some(Err(e)) => match self.judge_error(window, &e) {
                    Some(fatal) => return Err(fatal),
                    None => continue,
                },
                Some(Ok(message)) => message,
            };
            progress = true;
            let offset = message.offset();
            if offset >= window.next && offset < window.range.to {
                let unnamed = Cell::new(false);
                let record = RecordRef::of(&message, &unnamed);
                read.records += 1;
                read.bytes += record.size as u64;
                window.next = offset + 1;
                let flow = sink(window.index, record);
                // After the sink: nobody reads headers but who wants them.
                if unnamed.get() {
                    return Err(self.unnamed_header_error(window.range, offset));
                }
                if flow.is_break() {
                    return Err(ReadError::Stopped);
                }
            }
            if offset + 1 >= window.range.to {
                window.open = false;
                return Ok((true, false));
            }
        }
        Ok((progress, true))
    }

    /// Whether an error ends the read; passing ones (a leader moves, a connection breaks) are librdkafka's to retry.
    fn judge_error(&self, window: &Window<'_>, error: &KafkaError) -> Option<ReadError> {
        let partition = &window.range.partition;
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                let one = std::slice::from_ref(partition);
                let start = self.list_starts(one).map_or(-1, |o| o[0]);
                let end = self.list_ends(one).map_or(-1, |o| o[0]);
                tracing::warn!(%partition, from = window.next, start, end, "outside the log");
                Some(ReadError::OutOfRange { partition: partition.clone(), from: window.next, start, end })
            }
            code if is_passing(code) => {
                tracing::debug!(bootstrap = %self.bootstrap, %partition, ?code, "reading goes on");
                None
            }
            _ => Some(self.refused_error("reading", partition, error)),
        }
    }

    /// Stops fetching a partition that has been read. Not by `pause`: that takes effect later, also after the
    /// partition is assigned anew, and would then move the new read to where this one ended.
    fn release(&self, partition: &TopicPartition) {
        let mut one = TopicPartitionList::new();
        one.add_partition(&partition.topic, partition.partition);
        if let Err(e) = self.consumer.incremental_unassign(&one) {
            tracing::debug!("releasing {partition}: {e}");
        }
    }

    /// Serves what is not records: errors, statistics. Records never come this way.
    fn serve_events(&self) {
        librdkafka::serve_waiting(self.consumer.context(), || self.poll_events());
    }

    fn poll_events(&self) {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            if let Err(e) = event {
                tracing::debug!("reader of {}: {e}", self.bootstrap);
            }
        }
    }

    fn refused_error(&self, what: &str, partition: &TopicPartition, error: &KafkaError) -> ReadError {
        let code = error.rdkafka_error_code();
        let why = code.map_or_else(|| error.to_string(), |code| code.to_string());
        let what = format!("{what} {partition} on {}: {}", self.bootstrap, crate::base::sanitise::visible_text(&why));
        tracing::warn!(?code, what = %what, "the data plane refused");
        ReadError::Refused { what, advice: librdkafka::advice_for(code) }
    }

    fn unnamed_header_error(&self, range: &ReadRange, offset: i64) -> ReadError {
        let what = format!(
            "reading {} on {}: the record at offset {offset} has a header whose name is not UTF-8",
            range.partition, self.bootstrap
        );
        ReadError::Refused { what, advice: "leave this record out of the range, or use an identity without headers" }
    }

    fn stalled_error(&self, what: &str, error: Option<&KafkaError>) -> ReadError {
        let context = self.consumer.context();
        if let Some(why) = context.token_trouble() {
            return ReadError::Barred(why);
        }
        let trouble = librdkafka::explain_trouble(what, &self.bootstrap, error, Some(context));
        let code = context.last_error().map(|(code, _)| code).or(error.and_then(KafkaError::rdkafka_error_code));
        // a broker that was killed may have said nothing at all
        let code = code.or(Some(RDKafkaErrorCode::OperationTimedOut));
        ReadError::Stalled { what: trouble.what, advice: librdkafka::advice_for(code) }
    }
}

/// A range while it is read.
struct Window<'a> {
    index: usize,
    range: &'a ReadRange,
    queue: PartitionQueue<EventContext>,
    /// The lowest offset not yet seen.
    next: i64,
    open: bool,
}

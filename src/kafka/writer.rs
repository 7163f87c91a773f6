//! The data plane's writing half: records and transactions. Fencing is the control plane's
//! ([`Cluster::fence`](super::control::Cluster::fence)): it needs no client, and its errors are exact.
//!
//! Blocking, like [`super::records`]: run it under `spawn_blocking`, and drop it there.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;

use super::librdkafka::{self, EventContext};
use super::properties::ClientProperties;
use super::records::RecordRef;
use crate::base::sanitise::visible_name;
use crate::base::{TopicPartition, Trouble};

/// librdkafka's own `transaction.timeout.ms`.
const TRANSACTION: Duration = Duration::from_secs(60);
/// How long a full local queue is waited for, in one step.
const STEP: Duration = Duration::from_millis(100);
/// How often a step of a transaction that librdkafka calls retriable is tried.
const ATTEMPTS: usize = 3;
/// Delivery reports are taken in after so many records.
const REPORTS_EVERY: u32 = 64;
/// librdkafka's own batch size, bytes.
const BATCH_BYTES: u64 = 1_000_000;

/// A record to be written. What is copied from another cluster keeps its partition, key and timestamp.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outgoing<'a> {
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Timestamp in ms since the epoch; `None` takes the moment of sending.
    pub timestamp: Option<i64>,
    /// Headers in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// What a writer that carries records in transactions is opened with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CarryOptions<'a> {
    /// Transactional id: opening fences every other producer with it.
    pub transactional_id: &'a str,
    /// When the coordinator aborts a transaction that is neither committed nor aborted. A process that dies in the
    /// middle of one holds read_committed consumers up for so long.
    pub timeout: Duration,
    /// The largest batch that every target topic takes (`max.message.bytes`), bytes; `None` is librdkafka's own size.
    pub max_batch: Option<u64>,
    /// The bound of what waits in the local queue, bytes. A single record may be larger.
    pub queue: u64,
}

/// A committed offset of a group, with its metadata.
pub(crate) type KeptOffset = (TopicPartition, i64, String);

/// Writes to one cluster, idempotently (`acks=all`, no duplicates from retries, order kept in a partition).
pub struct RecordWriter {
    producer: BaseProducer<EventContext>,
    bootstrap: String,
    /// Bound of each wait: a full queue, a flush, a step of a transaction.
    within: Duration,
    sent: AtomicU32,
    /// The cluster that it is held to.
    home: Option<String>,
}

impl std::fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl RecordWriter {
    /// Opens a writer; nothing is asked of the cluster yet. Errors: a property that librdkafka refuses.
    pub fn open(properties: &ClientProperties, bootstrap: &str, within: Duration) -> Result<RecordWriter, Trouble> {
        Self::create(properties, bootstrap, within, &[])
    }

    /// Opens a transactional writer and initialises it, which **fences** every other producer with this
    /// `transactional.id` and ends its open transaction (InitProducerId).
    pub fn open_transactional(
        properties: &ClientProperties,
        bootstrap: &str,
        transactional_id: &str,
        within: Duration,
    ) -> Result<RecordWriter, Trouble> {
        let longest = longest_request(properties, TRANSACTION);
        let mut more = vec![("transactional.id", transactional_id)];
        more.extend(longest.as_deref().map(|ms| ("socket.timeout.ms", ms)));
        Self::create(properties, bootstrap, within, &more)?.initialise_transactions(transactional_id)
    }

    /// Opens a transactional writer for [`Self::carry`], with bounded batches and a bounded queue, and initialises it as
    /// [`Self::open_transactional`] does. It is held to a cluster's id, if one is given: before it fences anybody, and
    /// before each commit.
    pub(crate) fn open_carrying(
        properties: &ClientProperties,
        bootstrap: &str,
        home: Option<&str>,
        carrying: &CarryOptions<'_>,
        within: Duration,
    ) -> Result<RecordWriter, Trouble> {
        let timeout = carrying.timeout.as_millis().to_string();
        let batch = carrying.max_batch.unwrap_or(BATCH_BYTES).clamp(1, BATCH_BYTES).to_string();
        // librdkafka's own range, in KiB: it makes no client with 0.
        let queue = (carrying.queue / 1024).clamp(1, 2_147_483_647).to_string();
        let mut more = vec![
            ("transactional.id", carrying.transactional_id),
            ("transaction.timeout.ms", timeout.as_str()),
            // librdkafka wants this one not to be longer.
            ("message.timeout.ms", timeout.as_str()),
            // A batch over max.message.bytes is refused, however small its records.
            ("batch.size", batch.as_str()),
            ("queue.buffering.max.kbytes", queue.as_str()),
            // Batches fill, or a commit flushes them. At librdkafka's 5 ms its thread spins for the last one of them.
            ("linger.ms", "100"),
            // Only what failed is of interest, and a report a record costs as much as the record.
            ("delivery.report.only.error", "true"),
        ];
        let longest = longest_request(properties, carrying.timeout);
        more.extend(longest.as_deref().map(|ms| ("socket.timeout.ms", ms)));
        let mut writer = Self::create(properties, bootstrap, within, &more)?;
        writer.home = home.map(str::to_owned);
        // First: initialising fences whoever has the id, at another cluster somebody else's producer.
        writer.check_home(within)?;
        writer.initialise_transactions(carrying.transactional_id)
    }

    /// Makes a transactional producer, and asks the cluster for no more than its id, which has to be `home` if one is given:
    /// nothing is initialised, so nobody is fenced. Errors: a property that librdkafka refuses, nobody answers, or it is
    /// another cluster.
    pub fn try_making(
        properties: &ClientProperties,
        bootstrap: &str,
        home: Option<&str>,
        within: Duration,
    ) -> Result<(), Trouble> {
        let longest = longest_request(properties, TRANSACTION);
        let mut more = vec![("transactional.id", "cutover-doctor")];
        more.extend(longest.as_deref().map(|ms| ("socket.timeout.ms", ms)));
        let writer = Self::create(properties, bootstrap, within, &more)?;
        let told = writer.producer.client().fetch_cluster_id(within);
        librdkafka::serve_waiting(writer.producer.context(), || writer.producer.poll(Duration::ZERO));
        match home {
            Some(home) => librdkafka::check_told_id(bootstrap, home, told.as_deref(), writer.producer.context()),
            None => told.map(drop).ok_or_else(|| librdkafka::untold_cluster_id(bootstrap, writer.producer.context())),
        }
    }

    /// Errors: it is at another cluster than it is held to, or nobody tells.
    fn check_home(&self, within: Duration) -> Result<(), Trouble> {
        let poll = || self.producer.poll(Duration::ZERO);
        librdkafka::check_home(self.producer.client(), &self.bootstrap, self.home.as_deref(), within, poll)
    }

    fn initialise_transactions(self, transactional_id: &str) -> Result<RecordWriter, Trouble> {
        let (writer, within) = (&self, self.within);
        let initialised = writer.producer.init_transactions(within);
        let what = format!("initialising transactional id {}", crate::base::sanitise::visible_name(transactional_id));
        initialised.map_err(|e| writer.explain_trouble(&what, &e))?;
        Ok(self)
    }

    fn create(
        properties: &ClientProperties,
        bootstrap: &str,
        within: Duration,
        more: &[(&str, &str)],
    ) -> Result<RecordWriter, Trouble> {
        // Whatever the plan says: that an acknowledged record is there once, and in order, rests on these.
        let mut must = vec![
            ("acks", "all"),
            ("enable.idempotence", "true"),
            // librdkafka's producers default to true: a deleted topic would come back with the broker's settings.
            ("allow.auto.create.topics", "false"),
            // Broker and topic say how large a record may be, not this client.
            ("message.max.bytes", "1000000000"),
        ];
        must.extend(more);
        let producer = librdkafka::build_config(properties, bootstrap, &must)
            .create_with_context::<EventContext, BaseProducer<EventContext>>(EventContext::for_client(properties)?)
            .map_err(|e| librdkafka::explain_trouble("opening a writer", bootstrap, Some(&e), None))?;
        librdkafka::hand_token(producer.context(), || producer.poll(Duration::ZERO))?;
        Ok(RecordWriter { producer, bootstrap: bootstrap.to_owned(), within, sent: AtomicU32::new(0), home: None })
    }

    /// Hands a record to the client; it is on the cluster once [`Self::flush`] (or a commit) has succeeded.
    /// Waits while the local queue is full. Errors: the queue stays full, or the record is refused here.
    pub fn send(&self, to: &TopicPartition, record: &Outgoing<'_>) -> Result<(), Trouble> {
        let headers =
            record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |all, (key, value)| {
                all.insert(Header { key, value: *value })
            });
        let mut outgoing: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&to.topic).partition(to.partition).headers(headers);
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = record.timestamp;
        self.enqueue_record(outgoing)?;
        // Delivery reports, those of failures too, are taken in by polling and by nothing else.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Hands on a record that was read elsewhere: key, value, timestamp and headers as they are (header names byte for
    /// byte), with one header more if given. A record without a timestamp, or with 0, gets the moment of sending:
    /// librdkafka knows no other. As [`Self::send`] otherwise.
    pub fn carry(
        &self,
        topic: &str,
        partition: i32,
        record: &RecordRef<'_>,
        mark: Option<(&str, &str)>,
    ) -> Result<(), Trouble> {
        let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = record.timestamp.filter(|ts| *ts > 0);
        outgoing.headers = record.detached_headers();
        if let Some((key, value)) = mark {
            let headers = outgoing.headers.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(1));
            outgoing.headers = Some(headers.insert(Header { key, value: Some(value) }));
        }
        self.enqueue_record(outgoing)?;
        if self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(REPORTS_EVERY) {
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn enqueue_record(&self, mut outgoing: BaseRecord<'_, [u8], [u8]>) -> Result<(), Trouble> {
        let (topic, partition) = (outgoing.topic, outgoing.partition.unwrap_or(-1));
        // Counted in polls, each of which takes its whole time: there is no clock in this room (clippy.toml).
        let steps = self.within.as_millis() / STEP.as_millis() + 1;
        for _ in 0..steps {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    // The client hands the record back with the error: it is sent once, however often it is tried.
                    outgoing = back;
                    self.producer.poll(STEP);
                }
                Err((e, _)) => {
                    return Err(self.explain_trouble(&format!("writing to {}-{partition}", visible_name(topic)), &e));
                }
            }
        }
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        Err(self.explain_trouble(&format!("writing to {}-{partition}", visible_name(topic)), &full))
    }

    /// Waits until everything sent is on the cluster. Errors: the first record that was not delivered, or time is up.
    pub fn flush(&self) -> Result<(), Trouble> {
        let flushed = self.producer.flush(self.within);
        // Before what `flush` itself says: why a record failed explains why time was up.
        if let Some(e) = self.producer.context().take_failed_delivery() {
            return Err(self.explain_trouble("writing", &e));
        }
        flushed.map_err(|e| self.explain_trouble("waiting for acknowledgements", &e))
    }

    /// Begins a transaction.
    pub fn begin(&self) -> Result<(), Trouble> {
        self.producer.begin_transaction().map_err(|e| self.explain_trouble("beginning a transaction", &e))
    }

    /// Commits the transaction; everything sent in it is on the cluster then.
    pub fn commit(&self) -> Result<(), Trouble> {
        // A commit flushes too, but of a record that failed it says only that the transaction has to be aborted.
        self.flush()?;
        // The last moment: what is committed at another cluster can't be taken back. No time is given, because the id
        // that librdkafka was told last is at hand without asking.
        self.check_home(Duration::ZERO)?;
        self.retry_step("committing a transaction", || self.producer.commit_transaction(self.within))
    }

    /// Puts offsets of the keeper's group into the transaction: they are committed with its records, or not at all.
    pub(crate) fn keep_offsets(&self, keeper: &Keeper, offsets: &[KeptOffset]) -> Result<(), Trouble> {
        // The keeper never joined: without generation and member the transactional id alone fences (KIP-447).
        let group = keeper.consumer.group_metadata();
        let group =
            group.ok_or_else(|| Trouble::new("a group without an id keeps no offsets", "report this as a bug"))?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (tp, offset, metadata) in offsets {
            let mut entry = list.add_partition(&tp.topic, tp.partition);
            entry.set_offset(Offset::Offset(*offset)).map_err(|e| self.explain_trouble("keeping progress", &e))?;
            entry.set_metadata(metadata.as_str());
        }
        self.retry_step("committing the progress with a transaction", || {
            self.producer.send_offsets_to_transaction(&list, &group, self.within)
        })
    }

    /// A step of a transaction, again while librdkafka calls its failure retriable.
    fn retry_step(&self, what: &str, step: impl Fn() -> KafkaResult<()>) -> Result<(), Trouble> {
        // librdkafka goes on with a commit where a retriable failure (a timeout, too) left it; offsets are sent again
        // as they are, which changes nothing. What still fails the last time is told as it is.
        for attempt in 1..ATTEMPTS {
            match step() {
                Err(KafkaError::Transaction(e)) if e.is_retriable() => {
                    tracing::info!(bootstrap = %self.bootstrap, step = what, attempt, why = %e, "tried again");
                }
                ended => return ended.map_err(|e| self.explain_trouble(what, &e)),
            }
        }
        step().map_err(|e| self.explain_trouble(what, &e))
    }

    /// Aborts the transaction. What was already written stays in the log, as aborted records.
    pub fn abort(&self) -> Result<(), Trouble> {
        let aborted = self.producer.abort_transaction(self.within);
        // Records that were purged with the transaction are no failures.
        drop(self.producer.context().take_failed_delivery());
        aborted.map_err(|e| self.explain_trouble("aborting a transaction", &e))
    }

    fn explain_trouble(&self, what: &str, error: &KafkaError) -> Trouble {
        librdkafka::explain_trouble(what, &self.bootstrap, Some(error), Some(self.producer.context()))
    }
}

/// A plan's `socket.timeout.ms` that is longer than a transaction may take, brought down to it: librdkafka opens no client
/// with it. `None`: there is none, or it fits.
fn longest_request(properties: &ClientProperties, transaction: Duration) -> Option<String> {
    // What is no number is refused by the check of properties, in its own words.
    let asked = properties.get("socket.timeout.ms")?.trim().parse::<u128>().ok()?;
    (asked > transaction.as_millis()).then(|| transaction.as_millis().to_string())
}

/// The group under which a transactional writer keeps its progress: offsets that are committed with the records.
pub struct Keeper {
    consumer: BaseConsumer<EventContext>,
    bootstrap: String,
    within: Duration,
    /// The cluster that it is held to: progress that is another one's would be taken for this one's.
    home: Option<String>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Opens a client of the group, which it never joins, held to a cluster's id, if one is given. Errors: a property that
    /// librdkafka refuses.
    pub fn open(
        properties: &ClientProperties,
        bootstrap: &str,
        home: Option<&str>,
        group: &str,
        within: Duration,
    ) -> Result<Keeper, Trouble> {
        let must = [("group.id", group), ("enable.auto.commit", "false"), ("isolation.level", "read_committed")];
        let consumer = librdkafka::build_config(properties, bootstrap, &must)
            .create_with_context::<EventContext, BaseConsumer<EventContext>>(EventContext::for_client(properties)?)
            .map_err(|e| librdkafka::explain_trouble("opening a group client", bootstrap, Some(&e), None))?;
        // It is assigned nothing: no record can come.
        librdkafka::hand_token(consumer.context(), || drop(consumer.poll(Duration::ZERO)))?;
        Ok(Keeper { consumer, bootstrap: bootstrap.to_owned(), within, home: home.map(str::to_owned) })
    }

    /// What the group has committed of these partitions. A commit whose transaction is not settled yet is waited for
    /// (read_committed asks for stable offsets, KIP-447), so ask after the writer was initialised. Errors: nobody answers,
    /// or who answered is another cluster than it is held to.
    pub fn fetch_kept(&self, partitions: &[TopicPartition]) -> Result<Vec<KeptOffset>, Trouble> {
        let what = "reading the progress that is committed";
        let failed =
            |e: &KafkaError| librdkafka::explain_trouble(what, &self.bootstrap, Some(e), Some(self.consumer.context()));
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for tp in partitions {
            list.add_partition(&tp.topic, tp.partition);
        }
        // One that was left alone may hold a token that is over by now.
        librdkafka::serve_waiting(self.consumer.context(), || drop(self.consumer.poll(Duration::ZERO)));
        // A number of tries, as there is no clock here; an answer that does not come at all ends each by its own limit.
        let mut left = self.within.as_millis() / STEP.as_millis();
        let answer = loop {
            match self.consumer.committed_offsets(list.clone(), self.within) {
                Ok(answer) => break answer,
                // A broker that has just come back reads its groups first.
                Err(e) if left > 0 && e.rdkafka_error_code().is_some_and(coordinator_settles) => {
                    tracing::debug!(bootstrap = %self.bootstrap, left, why = %e, "the coordinator settles");
                    left -= 1;
                    drop(self.consumer.poll(STEP)); // it is assigned nothing: no record can come
                }
                Err(e) => return Err(failed(&e)),
            }
        };
        // After the answer: an id that was right before it says nothing of who gave it.
        self.check_home()?;
        let mut kept = Vec::with_capacity(partitions.len());
        for element in answer.elements() {
            element.error().map_err(|e| failed(&e))?;
            // Anything else is "nothing committed": left out, so that nothing kept is never progress up to 0.
            if let Offset::Offset(offset) = element.offset() {
                let at = TopicPartition::new(element.topic(), element.partition());
                kept.push((at, offset, element.metadata().to_owned()));
            }
        }
        Ok(kept)
    }

    /// Errors: it is at another cluster than it is held to, or nobody tells.
    fn check_home(&self) -> Result<(), Trouble> {
        let poll = || drop(self.consumer.poll(Duration::ZERO)); // it is assigned nothing: no record can come
        librdkafka::check_home(self.consumer.client(), &self.bootstrap, self.home.as_deref(), self.within, poll)
    }
}

/// The group's coordinator moves, or is not ready yet.
fn coordinator_settles(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    // UnstableOffsetCommit is a commit in a transaction that is open still: it passes when that ends (KIP-447).
    matches!(
        code,
        E::NotCoordinator | E::CoordinatorNotAvailable | E::CoordinatorLoadInProgress | E::UnstableOffsetCommit
    )
}

//! The data plane's writing half: records and transactions. Fencing is the control plane's
//! ([`Cluster::fence`](super::control::Cluster::fence)): it needs no client, and its errors are exact.
//!
//! Blocking, like [`super::records`]: run it under `spawn_blocking`, and drop it there.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::librdkafka::{self, Context};
use super::properties::ClientProperties;
use crate::migration::estate::{TopicPartition, Trouble};

/// How long a full local queue is waited for, in one step.
const STEP: Duration = Duration::from_millis(100);

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

/// Writes to one cluster, idempotently (`acks=all`, no duplicates from retries, order kept in a partition).
pub struct Writer {
    producer: BaseProducer<Context>,
    bootstrap: String,
    /// Bound of each wait: a full queue, a flush, a step of a transaction.
    within: Duration,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Writer {
    /// Opens a writer; nothing is asked of the cluster yet. Errors: a property that librdkafka refuses.
    pub fn open(properties: &ClientProperties, bootstrap: &str, within: Duration) -> Result<Writer, Trouble> {
        Self::create(properties, bootstrap, within, &[])
    }

    /// Opens a transactional writer and initialises it, which **fences** every other producer with this
    /// `transactional.id` and ends its open transaction (InitProducerId).
    pub fn open_transactional(
        properties: &ClientProperties,
        bootstrap: &str,
        transactional_id: &str,
        within: Duration,
    ) -> Result<Writer, Trouble> {
        let writer = Self::create(properties, bootstrap, within, &[("transactional.id", transactional_id)])?;
        let initialised = writer.producer.init_transactions(within);
        let what = format!("initialising transactional id {}", crate::sanitise::visible(transactional_id));
        initialised.map_err(|e| writer.trouble(&what, &e))?;
        Ok(writer)
    }

    fn create(
        properties: &ClientProperties,
        bootstrap: &str,
        within: Duration,
        more: &[(&str, &str)],
    ) -> Result<Writer, Trouble> {
        let mut must = vec![
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("allow.auto.create.topics", "false"),
            // Broker and topic say how large a record may be, not this client.
            ("message.max.bytes", "1000000000"),
        ];
        must.extend(more);
        let producer = librdkafka::config(properties, bootstrap, &must)
            .create_with_context(Context::default())
            .map_err(|e| librdkafka::trouble("opening a writer", bootstrap, Some(&e), None))?;
        Ok(Writer { producer, bootstrap: bootstrap.to_owned(), within })
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
        let steps = self.within.as_millis() / STEP.as_millis() + 1;
        for _ in 0..steps {
            match self.producer.send(outgoing) {
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    outgoing = back;
                    self.producer.poll(STEP);
                }
                Err((e, _)) => return Err(self.trouble(&format!("writing to {to}"), &e)),
            }
        }
        Err(self.trouble(&format!("writing to {to}"), &KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)))
    }

    /// Waits until everything sent is on the cluster. Errors: the first record that was not delivered, or time is up.
    pub fn flush(&self) -> Result<(), Trouble> {
        let flushed = self.producer.flush(self.within);
        if let Some(e) = self.producer.context().take_failed_delivery() {
            return Err(self.trouble("writing", &e));
        }
        flushed.map_err(|e| self.trouble("waiting for acknowledgements", &e))
    }

    /// Begins a transaction.
    pub fn begin(&self) -> Result<(), Trouble> {
        self.producer.begin_transaction().map_err(|e| self.trouble("beginning a transaction", &e))
    }

    /// Commits the transaction; everything sent in it is on the cluster then.
    pub fn commit(&self) -> Result<(), Trouble> {
        self.flush()?;
        self.producer.commit_transaction(self.within).map_err(|e| self.trouble("committing a transaction", &e))
    }

    /// Aborts the transaction. What was already written stays in the log, as aborted records.
    pub fn abort(&self) -> Result<(), Trouble> {
        let aborted = self.producer.abort_transaction(self.within);
        // Records that were purged with the transaction are no failures.
        drop(self.producer.context().take_failed_delivery());
        aborted.map_err(|e| self.trouble("aborting a transaction", &e))
    }

    fn trouble(&self, what: &str, error: &KafkaError) -> Trouble {
        librdkafka::trouble(what, &self.bootstrap, Some(error), Some(self.producer.context()))
    }
}

//! One cluster's record windows: a reader that is kept open, used from blocking threads, and hashed as it reads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::tools::client_properties;
use crate::kafka::properties::ClientProperties;
use crate::kafka::records::{Isolation, Range, ReadError, RecordReader};
use crate::migration::estate::{TopicPartition, Trouble};
use crate::offsets::identity::{IdentityRule, NoSchemas, identify, key_hash};
use crate::offsets::window::Rec;
use crate::offsets::{Answer, Batch};
use crate::plan::ClusterPlan;

/// Offsets read in one go, over all partitions: 16 MB of identities. The rest is asked for again.
const AT_ONCE: i64 = 500_000;
/// How long nothing may arrive before a read is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stretch of a log that a translation needs.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The job it is for.
    pub slot: usize,
    /// By its name on this cluster.
    pub tp: TopicPartition,
    /// First offset.
    pub from: i64,
    /// First offset not to be read.
    pub to: i64,
    /// Whether key hashes are wanted.
    pub keys: bool,
}

/// The reader of one cluster.
pub struct Windows {
    properties: ClientProperties,
    bootstrap: String,
    /// One at a time: a second translation waits for the first one's read, which is bounded.
    reader: Arc<Mutex<Option<RecordReader>>>,
    /// Records that came over the wire so far.
    records: Arc<AtomicU64>,
}

/// Stops the blocking read when the one who asked is gone.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Windows {
    /// Nothing is opened before the first read. Errors: secrets that can't be read.
    pub fn new(cluster: &ClusterPlan) -> Result<Self, Trouble> {
        let (properties, bootstrap) = (client_properties(cluster)?, cluster.bootstrap.join(","));
        Ok(Self { properties, bootstrap, reader: Arc::default(), records: Arc::default() })
    }

    /// Reads what is asked for, or a part of it: an answer for each job that got anything.
    pub async fn read(&self, asks: Vec<(Ask, IdentityRule)>) -> Result<Vec<(usize, Answer)>, Trouble> {
        let asks = within(asks);
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let stop = Stop(Arc::default());
        let (reader, stopped) = (Arc::clone(&self.reader), Arc::clone(&stop.0));
        let (properties, bootstrap) = (self.properties.clone(), self.bootstrap.clone());
        let records = Arc::clone(&self.records);
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            if reader.is_none() {
                *reader = Some(RecordReader::open(&properties, &bootstrap, Isolation::Committed, PATIENCE)?);
            }
            let Some(open) = reader.as_mut() else { return Ok(Vec::new()) };
            let answers = read_all(open, &asks, &stopped);
            if let Ok(answers) = &answers {
                let came = answers.iter().map(|(_, a)| if let Answer::Records(b) = a { b.records.len() } else { 0 });
                records.fetch_add(came.sum::<usize>() as u64, Ordering::Relaxed);
            }
            if answers.is_err() {
                *reader = None; // a fresh client next time: whatever this one holds on to is gone with it
            }
            answers
        });
        let answers = read.await.unwrap_or_else(|e| {
            Err(Trouble::new(
                format!("reading records of {} broke: {e}", self.bootstrap),
                "try again; this is a fault of cutover",
            ))
        });
        drop(stop);
        answers
    }

    /// Records that were read from the cluster so far.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Closes the reader. Blocking, 100-200 ms.
    pub fn close(&self) {
        drop(self.reader.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// As much of the asks as fits, in order; at least a part of the first.
fn within(asks: Vec<(Ask, IdentityRule)>) -> Vec<(Ask, IdentityRule)> {
    let mut room = AT_ONCE;
    let mut out = Vec::with_capacity(asks.len());
    for (mut ask, rule) in asks {
        if room <= 0 {
            break;
        }
        ask.to = ask.to.min(ask.from.saturating_add(room));
        room -= ask.to - ask.from;
        out.push((ask, rule));
    }
    out
}

fn read_all(
    reader: &mut RecordReader,
    asks: &[(Ask, IdentityRule)],
    stopped: &AtomicBool,
) -> Result<Vec<(usize, Answer)>, Trouble> {
    let range = |(ask, _): &(Ask, IdentityRule)| Range { partition: ask.tp.clone(), from: ask.from, to: ask.to };
    let ranges: Vec<Range> = asks.iter().map(range).collect();
    let mut batches: Vec<Batch> = asks.iter().map(|(a, _)| Batch { next: a.to, ..Batch::default() }).collect();
    let read = reader.read(&ranges, &mut |index, record| {
        if stopped.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        let (ask, rule) = &asks[index];
        let id = identify(rule, record.key, record.value, record.headers(), &NoSchemas);
        let batch = &mut batches[index];
        batch.records.push(Rec { offset: record.offset, ts: record.timestamp.unwrap_or(-1), id });
        if ask.keys {
            batch.keys.push(key_hash(record.key));
        }
        ControlFlow::Continue(())
    });
    let slot = |index: usize| asks[index].0.slot;
    match read {
        Ok(_) => Ok(batches.into_iter().enumerate().map(|(i, b)| (slot(i), Answer::Records(b))).collect()),
        // A fact about one partition: its translation ends with it, the others ask again.
        Err(ReadError::OutOfRange { ref partition, .. } | ReadError::BeyondEnd { ref partition, .. }) => {
            let index = asks.iter().position(|(a, _)| a.tp == *partition);
            let why = read.map_or_else(Trouble::from, |_| Trouble::new("", ""));
            index.map(|i| vec![(slot(i), Answer::Failed(why.clone()))]).ok_or(why)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(slot: usize, from: i64, to: i64) -> (Ask, IdentityRule) {
        (Ask { slot, tp: TopicPartition::new("t", 0), from, to, keys: false }, IdentityRule::Content)
    }

    #[test]
    fn what_is_read_at_once_is_bounded() {
        let taken = within(vec![ask(0, 10, 20), ask(1, 0, AT_ONCE), ask(2, 5, 6)]);
        let spans: Vec<_> = taken.iter().map(|(a, _)| (a.slot, a.from, a.to)).collect();
        assert_eq!(spans, [(0, 10, 20), (1, 0, AT_ONCE - 10)]);
        assert_eq!(within(vec![ask(0, 7, i64::MAX)])[0].0.to, AT_ONCE + 7);
    }
}

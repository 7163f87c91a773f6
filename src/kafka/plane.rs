//! The data plane of a cluster, held to what its control plane knows: librdkafka's clients are given no bootstrap list
//! but brokers that answered as this cluster a moment ago, they have to tell its id, and what they read was looked at
//! for what they misread. So no answer rests on another cluster than the one that was meant, or on a format that is not
//! understood.
//!
//! Blocking, like [`super::records`] and [`super::writer`]: for threads that may wait. It needs a runtime to be running.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::control::{Cluster, VerifiedCluster};
use super::librdkafka::wait_for;
use super::records::{Isolation, Portion, ReadError, ReadRange, RecordReader, Warden};
use super::writer::{CarryOptions, Keeper, RecordWriter};
use crate::base::{TopicPartition, Trouble};

/// A client that was left alone for longer may have connected anew meanwhile, to wherever its addresses lead now.
const VERIFY_AFTER: Duration = Duration::from_secs(30);

/// One cluster's data plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DataPlane {
    cluster: Cluster,
}

/// What a probe of the data plane found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probed {
    /// The cluster's id, as the data plane's own client was told it.
    pub cluster_id: Option<String>,
    /// Brokers that answer where they are advertised.
    pub entrances: Vec<String>,
    /// A partition of which a record was read; `None` when there was none that could be.
    pub read: Option<TopicPartition>,
    /// Why none could be read where there was one.
    pub unread: Option<Trouble>,
}

impl DataPlane {
    /// The data plane of a cluster. No I/O.
    #[must_use]
    pub fn of_cluster(cluster: &Cluster) -> DataPlane {
        DataPlane { cluster: cluster.clone() }
    }

    /// Opens a reader for larger or smaller windows. `patience` as for [`RecordReader::open`].
    ///
    /// # Errors
    /// The addresses lead to two clusters, or to another one than is pinned; no broker answers where it is advertised; a
    /// property that librdkafka refuses.
    pub fn open_reader_for(
        &self,
        portion: Portion,
        isolation: Isolation,
        patience: Duration,
    ) -> Result<RecordReader, Trouble> {
        self.open_reader(|bootstrap| {
            RecordReader::open_for(portion, &self.cluster.inner_properties(), bootstrap, isolation, patience)
        })
    }

    /// Opens a reader within a bound of memory, KiB for each partition. As [`Self::open_reader_for`] otherwise.
    ///
    /// # Errors
    /// As [`Self::open_reader_for`].
    pub(crate) fn open_reader_within(
        &self,
        isolation: Isolation,
        patience: Duration,
        queued_kib: u32,
    ) -> Result<RecordReader, Trouble> {
        self.open_reader(|bootstrap| {
            RecordReader::open_within(&self.cluster.inner_properties(), bootstrap, isolation, patience, queued_kib)
        })
    }

    fn open_reader(&self, open: impl FnOnce(&str) -> Result<RecordReader, Trouble>) -> Result<RecordReader, Trouble> {
        let (verified, warden) = self.enter_cluster()?;
        Ok(open(&verified.entrances.join(","))?.held_to(verified.cluster_id, Arc::new(warden)))
    }

    /// Opens a writer that carries records in transactions, as [`RecordWriter::open_carrying`].
    ///
    /// # Errors
    /// As [`Self::open_reader_for`], and the writer's own.
    pub(crate) fn open_carrier(&self, carrying: &CarryOptions<'_>, within: Duration) -> Result<RecordWriter, Trouble> {
        // No warden: it reads nothing, and its own id is held against the cluster's before each commit.
        let (verified, _) = self.enter_cluster()?;
        let (properties, bootstrap) = (self.cluster.inner_properties(), verified.entrances.join(","));
        RecordWriter::open_carrying(&properties, &bootstrap, verified.cluster_id.as_deref(), carrying, within)
    }

    /// Opens the group under which a writer keeps its progress, as [`Keeper::open`].
    ///
    /// # Errors
    /// As [`Self::open_reader_for`].
    pub(crate) fn open_keeper(&self, group: &str, within: Duration) -> Result<Keeper, Trouble> {
        let (verified, _) = self.enter_cluster()?;
        let (properties, bootstrap) = (self.cluster.inner_properties(), verified.entrances.join(","));
        Keeper::open(&properties, &bootstrap, verified.cluster_id.as_deref(), group, within)
    }

    /// Tries the data plane without changing anything: a client of it has to tell the cluster's id, to read the last
    /// record of the first of these partitions that has one (in a format that it reads), and a transactional producer has
    /// to be made (it is not initialised: that would fence another one).
    ///
    /// # Errors
    /// Why it can't be used.
    pub(crate) fn probe(&self, some: &[TopicPartition], patience: Duration) -> Result<Probed, Trouble> {
        let (verified, warden) = self.enter_cluster()?;
        let bootstrap = verified.entrances.join(",");
        let properties = self.cluster.inner_properties();
        RecordWriter::try_making(&properties, &bootstrap, verified.cluster_id.as_deref(), patience)?;
        let reader = RecordReader::open_for(Portion::Small, &properties, &bootstrap, Isolation::Committed, patience)?;
        let mut reader = reader.held_to(verified.cluster_id.clone(), Arc::new(warden));
        let cluster_id = reader.tell_cluster_id()?;
        let (starts, ends) = (reader.list_starts(some)?, reader.list_ends(some)?);
        // A log that is empty, or whose records all expired, has no last record: it proves nothing either way.
        let bounds = some.iter().zip(starts.into_iter().zip(ends)).filter(|(_, (start, end))| start < end);
        // The last offset may be a marker's, or an aborted record's: that it is passed is an answer too.
        let mut last = bounds.map(|(tp, (_, end))| ReadRange { partition: tp.clone(), from: end - 1, to: end });
        let (read, unread) =
            first_read(&mut last, |range| reader.read_range(range, |_| std::ops::ControlFlow::Continue(())).map(drop))?;
        Ok(Probed { cluster_id, entrances: verified.entrances, read, unread })
    }

    /// Asks all addresses where they lead, and makes a warden of it.
    fn enter_cluster(&self) -> Result<(VerifiedCluster, PlaneWarden), Trouble> {
        let gone = |_| Trouble::new("no runtime serves the data plane", "this is a fault of cutover");
        let handle = Handle::try_current().map_err(gone)?;
        let held = PlaneWarden { cluster: self.cluster.clone(), handle, fresh: Arc::default() };
        let verified = held.verify()?;
        Ok((verified, held))
    }
}

/// The partition of the first range that can be read, or why there is none: a range of an old format is refused before
/// anything is read of it, which says nothing of the client.
fn first_read(
    ranges: &mut dyn Iterator<Item = ReadRange>,
    mut read: impl FnMut(&ReadRange) -> Result<(), ReadError>,
) -> Result<(Option<TopicPartition>, Option<Trouble>), ReadError> {
    let mut unread = None;
    for range in ranges {
        match read(&range) {
            Ok(()) => return Ok((Some(range.partition), None)),
            Err(ReadError::OldFormat { why, .. }) => unread = unread.or(Some(why)),
            Err(error) => return Err(error),
        }
    }
    Ok((None, unread))
}

/// A reader's warden: the control plane of its cluster, and who does the asking.
struct PlaneWarden {
    cluster: Cluster,
    handle: Handle,
    /// The addresses were asked where they lead not long ago.
    fresh: Arc<AtomicBool>,
}

impl PlaneWarden {
    /// Waits for an answer of the control plane. When everything ends meanwhile, that is the answer.
    fn wait<T: Send + 'static>(
        &self,
        answer: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, Trouble> {
        wait_for(&self.handle, answer).unwrap_or_else(|| Err(Trouble::new("the session ends", "try again")))
    }
}

impl PlaneWarden {
    /// Asks all addresses where they lead; that counts for a while.
    fn verify(&self) -> Result<VerifiedCluster, Trouble> {
        let cluster = self.cluster.clone();
        // An error leaves `fresh` unset: the next read asks again.
        let verified = self.wait(async move { Ok(cluster.verify().await?) })?;
        self.fresh.store(true, Ordering::Relaxed);
        // Weak: the timer outlives a reader that is dropped, and must not keep anything of it. The timer of an earlier
        // look may end the time of a later one: the addresses are then asked once too often, never too seldom.
        let fresh = Arc::downgrade(&self.fresh);
        self.handle.spawn(async move {
            let _ = timeout(VERIFY_AFTER, pending::<()>()).await; // it only passes
            if let Some(fresh) = fresh.upgrade() {
                fresh.store(false, Ordering::Relaxed);
            }
        });
        Ok(verified)
    }
}

impl Warden for PlaneWarden {
    fn admit(&self, ranges: &[ReadRange]) -> Result<(), ReadError> {
        // librdkafka connects anew by itself, to whatever its addresses are then: an old look says nothing of that.
        if !self.fresh.load(Ordering::Relaxed) {
            self.verify().map_err(ReadError::Barred)?;
        }
        let windows: Vec<_> = ranges.iter().map(|r| (r.partition.clone(), r.from, r.to)).collect();
        let cluster = self.cluster.clone();
        let old = self.wait(async move { cluster.find_old_sets(&windows).await }).map_err(ReadError::Barred)?;
        match old.into_iter().next() {
            None => Ok(()),
            Some(old) => {
                tracing::info!(partition = %old.partition, why = %old.why.what, "not read");
                Err(ReadError::OldFormat { partition: old.partition, why: old.why })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_before_it_was_read_does_not_count_as_read() {
        let range = |topic: &str| ReadRange { partition: TopicPartition::new(topic, 0), from: 4, to: 5 };
        let old = |range: &ReadRange| match range.partition.topic.as_str() {
            "new" => Ok(()),
            topic => {
                let (partition, why) = (range.partition.clone(), Trouble::new(format!("{topic} is old"), ""));
                Err(ReadError::OldFormat { partition, why })
            }
        };
        let first = |topics: &[&str]| first_read(&mut topics.iter().map(|t| range(t)), old).unwrap();
        assert_eq!(first(&["old", "new", "older"]), (Some(TopicPartition::new("new", 0)), None));
        assert_eq!(first(&["old", "older"]), (None, Some(Trouble::new("old is old", ""))));
        assert_eq!(first(&[]), (None, None));
        let silent = || ReadError::Stalled { what: "nothing came".into(), advice: "" };
        assert_eq!(first_read(&mut [range("new")].into_iter(), |_| Err(silent())), Err(silent()));
    }
}

//! One cluster's record windows: a reader that is kept open, used from blocking threads, and hashed as it reads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::{Side, TopicPartition, Trouble, lock_unpoisoned};
use crate::jobs::StopOnDrop;
use crate::jobs::identities::{NoIdentity, RecordIdentifier, RecordIdentities};
use crate::kafka::control::Cluster;
use crate::kafka::plane::DataPlane;
use crate::kafka::records::{Isolation, Portion, ReadError, ReadRange, RecordReader, RecordRef};
use crate::offsets::identity::{IdentityRule, key_hash};
use crate::offsets::window::Rec;
use crate::offsets::{Filling, LogWindow};

/// How long nothing may arrive before a read is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Offsets from which on a stretch is read in large portions.
const LARGE: i64 = 20_000;
/// Records between two words about how far a read is.
const WORD_EVERY: u64 = 100_000;

/// The most records that room is set aside for at once; where there are more, it is made as they come.
const ROOM: usize = 10_000_000;

/// A stretch of a log that a translation needs.
#[derive(Debug, Clone)]
pub(crate) struct WindowAsk {
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
    /// What makes an identity.
    pub rule: IdentityRule,
}

/// A stretch of a log that is read, for one translation or for several.
#[derive(Debug, Clone)]
pub(crate) struct WindowRange {
    /// By its name on this cluster.
    pub tp: TopicPartition,
    /// First offset.
    pub from: i64,
    /// First offset not to be read.
    pub to: i64,
    /// What makes an identity.
    pub rule: IdentityRule,
    /// Whether key hashes are wanted.
    pub keys: bool,
}

/// A fact about one partition, for which a read ended: whoever asks for offsets below `start` or beyond `end` of it
/// can't have them.
#[derive(Debug, Clone)]
pub struct Gone {
    tp: TopicPartition,
    start: i64,
    end: i64,
    /// What to tell.
    pub why: Trouble,
}

impl Gone {
    /// Whether an ask fails by it.
    pub(crate) fn hits(&self, ask: &WindowAsk) -> bool {
        self.tp == ask.tp && (ask.from < self.start || ask.to > self.end)
    }
}

type ReaderSlot = Arc<Mutex<Option<RecordReader>>>;

/// The readers of one cluster.
pub struct Windows {
    side: Side,
    plane: DataPlane,
    identities: RecordIdentities,
    /// One for windows and one for backlogs, opened when they are needed. Each reads one thing at a time: a second
    /// translation waits for the first one's read, which is bounded.
    small: ReaderSlot,
    large: ReaderSlot,
    /// Records that came over the wire so far.
    records: Arc<AtomicU64>,
}

/// Says how many records a read has brought so far.
pub(crate) type RecordCountSink = Box<dyn Fn(u64) + Send>;

impl Windows {
    /// Nothing is opened before the first read.
    pub(crate) fn new(cluster: &Cluster, identities: RecordIdentities) -> Self {
        let (side, plane) = (cluster.side(), DataPlane::of_cluster(cluster));
        Self { side, plane, identities, small: Arc::default(), large: Arc::default(), records: Arc::default() }
    }

    /// Reads all stretches: a window each, in their order. Or, when one partition can't be read as asked, what is the
    /// matter with it: the others are to be asked for again.
    pub async fn read(
        &self,
        stretches: Arc<Vec<WindowRange>>,
        told: RecordCountSink,
    ) -> Result<Result<Vec<LogWindow>, Gone>, Trouble> {
        if stretches.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let records = Arc::clone(&self.records);
        let identifier = self.identities.start_reading(self.side)?;
        // Small portions bring little that nobody asked for; in a backlog each next one would be waited for.
        let large = stretches.iter().any(|s| s.to.saturating_sub(s.from) >= LARGE);
        let portion = if large { Portion::Large } else { Portion::Small };
        let read = move |open: &mut RecordReader, stopped: &AtomicBool| {
            let mut came = 0;
            let answer = read_all(open, &identifier, &stretches, stopped, (&mut came, &told));
            records.fetch_add(came, Ordering::Relaxed);
            answer
        };
        self.with_reader(portion, read).await
    }

    /// Reads a few records as they are: what `of` makes of each, with the number of its range. Those count for nothing.
    pub async fn pick<T: Send + 'static>(
        &self,
        ranges: Vec<ReadRange>,
        mut of: impl FnMut(usize, RecordRef<'_>) -> Option<T> + Send + 'static,
    ) -> Result<Vec<(usize, T)>, Trouble> {
        let read = move |open: &mut RecordReader, stopped: &AtomicBool| {
            let mut picked = Vec::new();
            let read = open.read(&ranges, &mut |range, record| {
                if stopped.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                picked.extend(of(range, record).map(|one| (range, one)));
                ControlFlow::Continue(())
            });
            read.map(|_| picked).map_err(Trouble::from)
        };
        self.with_reader(Portion::Small, read).await
    }

    /// Runs a read on a blocking thread. The reader is opened when there is none, and given up after an error: whatever
    /// it holds on to is gone with it. When the one who asked is gone, the read is told to stop.
    async fn with_reader<T: Send + 'static>(
        &self,
        portion: Portion,
        read: impl FnOnce(&mut RecordReader, &AtomicBool) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        // A blocking thread can't be aborted: when this future is dropped, the flag ends its read.
        let stop = StopOnDrop(Arc::default());
        let reader = if portion == Portion::Small { &self.small } else { &self.large };
        let (reader, stopped) = (Arc::clone(reader), Arc::clone(&stop.0));
        let plane = self.plane.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = lock_unpoisoned(&reader);
            // Taken out for the read: one that panics leaves no half-used client to the next.
            let mut open = match reader.take() {
                Some(open) => open,
                None => plane.open_reader_for(portion, Isolation::Committed, PATIENCE)?,
            };
            let answer = read(&mut open, &stopped);
            match &answer {
                Ok(_) => *reader = Some(open),
                Err(why) => tracing::warn!(why = %why.what, "a reader is given up"),
            }
            answer
        });
        // Not in its own words, which may be made of what the client was given.
        let answer = read.await.unwrap_or_else(|_| {
            Err(Trouble::new("reading records broke off", "try again; this is a fault of cutover"))
        });
        drop(stop);
        answer
    }

    /// Records that were read from the cluster so far.
    pub fn records_read(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Closes the readers. Blocking, 100-200 ms each.
    pub fn close(&self) {
        for reader in [&self.small, &self.large] {
            drop(lock_unpoisoned(reader).take());
        }
    }
}

fn read_all(
    reader: &mut RecordReader,
    identifier: &RecordIdentifier,
    stretches: &[WindowRange],
    stopped: &AtomicBool,
    (came, told): (&mut u64, &RecordCountSink),
) -> Result<Result<Vec<LogWindow>, Gone>, Trouble> {
    let range = |s: &WindowRange| ReadRange { partition: s.tp.clone(), from: s.from, to: s.to };
    let ranges: Vec<ReadRange> = stretches.iter().map(range).collect();
    let room = |s: &WindowRange| usize::try_from(s.to - s.from).unwrap_or(0).min(ROOM);
    let mut filling: Vec<Filling> = stretches.iter().map(|s| Filling::new(s.from, room(s))).collect();
    let (mut broken, mut refused) = (None, None);
    let read = reader.read(&ranges, &mut |index, record| {
        *came += 1;
        if came.is_multiple_of(WORD_EVERY) {
            told(*came);
        }
        if stopped.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        let WindowRange { tp, rule, keys, .. } = &stretches[index];
        let id = match identifier.identify(rule, tp, &record) {
            Ok(id) => id,
            Err(why) => {
                refused = Some((tp.clone(), why));
                return ControlFlow::Break(());
            }
        };
        let row = Rec { offset: record.offset, ts: record.timestamp.unwrap_or(-1), id };
        if let Err(why) = filling[index].push(row, keys.then(|| key_hash(record.key))) {
            broken = Some(format!("reading {}: {why}", stretches[index].tp));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    match refused {
        None => {}
        // Of this partition nothing can be said, whatever is asked of it; of the others it can.
        Some((tp, NoIdentity::Doubtful(why))) => return Ok(Err(Gone { tp, start: i64::MAX, end: -1, why })),
        Some((_, NoIdentity::Unasked(why))) => return Err(why),
    }
    match read {
        Ok(_) => Ok(Ok(filling.into_iter().zip(stretches).map(|(f, s)| f.finish(s.to)).collect())),
        Err(error) => match to_gone(error) {
            Ok(gone) => Ok(Err(gone)),
            Err(why) => Err(broken.map_or(why, |what| Trouble::new(what, "this is a fault of cutover: try again"))),
        },
    }
}

/// Errors that are about one partition's log.
fn to_gone(error: ReadError) -> Result<Gone, Trouble> {
    let (tp, start, end) = match &error {
        // What could not be asked bounds nothing, so the offset that was asked for does.
        ReadError::OutOfRange { partition, from, start: -1, end: -1 } => (partition.clone(), from + 1, i64::MAX),
        ReadError::OutOfRange { partition, from, start, end } if from < start => {
            (partition.clone(), *start, if *end < 0 { i64::MAX } else { *end })
        }
        ReadError::OutOfRange { partition, from, .. } => (partition.clone(), 0, *from),
        ReadError::BeyondEnd { partition, end, .. } => (partition.clone(), 0, *end),
        // Whatever is asked of it: the next window may hold old sets as well, and a part of a log proves nothing.
        ReadError::OldFormat { partition, .. } => (partition.clone(), i64::MAX, -1),
        _ => return Err(error.into()),
    };
    Ok(Gone { tp, start, end, why: error.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_what_is_gone_is_told_so_and_nobody_else() {
        let tp = TopicPartition::new("t", 0);
        let hits = |error: ReadError, from: i64, to: i64| {
            let ask = WindowAsk { slot: 0, tp: tp.clone(), from, to, keys: false, rule: IdentityRule::Content };
            to_gone(error).unwrap().hits(&ask)
        };
        let out = |from, start, end| ReadError::OutOfRange { partition: tp.clone(), from, start, end };
        assert!(hits(out(10, 20, 100), 10, 30) && hits(out(10, 20, 100), 15, 30) && !hits(out(10, 20, 100), 20, 100));
        assert!(hits(out(50, 0, 40), 50, 60) && hits(out(50, 0, 40), 10, 60) && !hits(out(50, 0, 40), 10, 40));
        assert!(hits(out(10, -1, -1), 10, 30) && !hits(out(10, -1, -1), 11, 30));
        let beyond = ReadError::BeyondEnd { partition: tp.clone(), to: 90, end: 80 };
        assert!(hits(beyond.clone(), 10, 90) && !hits(beyond, 10, 80));
        let other = ReadError::BeyondEnd { partition: TopicPartition::new("t", 1), to: 90, end: 80 };
        assert!(!hits(other, 10, 90));
        let why = Trouble::new("old", "");
        let old = ReadError::OldFormat { partition: tp.clone(), why };
        assert!(hits(old.clone(), 0, 1) && hits(old, 90, 100));
        assert!(to_gone(ReadError::Stopped).is_err());
    }
}

//! Reading the records of a set of ranges, or of a stretch of the target, a few partitions at a time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::stop::Stop;
use crate::base::{TopicPartition, Trouble};
use crate::kafka::plane::DataPlane;
use crate::kafka::properties::ClientProperties;
use crate::kafka::records::{Isolation, ReadError, ReadRange, RecordReader, RecordRef};
use crate::replay::Ranges;
use crate::replay::ranges::{Cursor, Piece};
use crate::replay::report::ReplayProgress;
use crate::session::clock::{Clock, Stopwatch};

/// Partitions that are read at the same time: what the client has fetched ahead of each (16 MiB) has to fit into memory.
const TOGETHER: usize = 4;
/// Record bytes that may wait for each of them, KiB: what is read soon is still in the processor's cache.
const QUEUED_KIB: u32 = 512;
/// Ranges that lie this close are read in one go: reading across costs less than starting anew.
const GAP: i64 = 20_000;
/// How long nothing may arrive before a read is given up. Below the transaction's timeout: one may be open meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often progress is told, ms.
const TELL_MS: u64 = 200;

/// Told of progress from a blocking thread; it must return at once.
pub(crate) type ReplayProgressSink = Arc<dyn Fn(&ReplayProgress) + Send + Sync>;

/// How to reach one cluster's data plane.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub properties: ClientProperties,
    pub bootstrap: String,
    pub plane: DataPlane,
}

impl Link {
    /// Opens a reader of committed records.
    pub(crate) fn open_reader(&self) -> Result<RecordReader, Trouble> {
        self.open_reader_of(Isolation::Committed)
    }

    /// Opens a reader.
    pub(crate) fn open_reader_of(&self, isolation: Isolation) -> Result<RecordReader, Trouble> {
        self.plane.open_reader_within(isolation, PATIENCE, QUEUED_KIB)
    }
}

/// Tells of progress, not too often.
pub(super) struct ProgressTeller {
    tell: ReplayProgressSink,
    watch: Stopwatch,
    last: Option<u64>,
    now: ReplayProgress,
}

impl ProgressTeller {
    pub fn new(tell: &ReplayProgressSink, what: &'static str, done: u64, total: u64) -> Self {
        let now = ReplayProgress { what, done, total, bytes: 0, ms: 0 };
        Self { tell: Arc::clone(tell), watch: Clock.stopwatch(), last: None, now }
    }

    /// So much more was done.
    pub fn add(&mut self, done: u64, bytes: u64) {
        self.now.done = self.now.done.saturating_add(done).min(self.now.total);
        self.now.bytes += bytes;
        self.now.ms = self.watch.elapsed_ms();
        if self.last.is_none_or(|last| self.now.ms >= last + TELL_MS) {
            self.flush();
        }
    }

    /// So much is done by now.
    pub(crate) fn set_done(&mut self, done: u64) {
        self.add(done.saturating_sub(self.now.done), 0);
    }

    /// Tells how it ended. Holes and markers at the end of a log are passed without a record.
    pub fn end(&mut self, whole: bool) {
        if whole {
            self.now.done = self.now.total;
        }
        self.flush();
    }

    fn flush(&mut self) {
        self.now.ms = self.watch.elapsed_ms();
        self.last = Some(self.now.ms);
        (self.tell)(&self.now);
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordPlace<'a> {
    /// Index of its partition among those that were given to the walk.
    pub index: usize,
    /// Its partition, as given.
    pub tp: &'a TopicPartition,
    /// Offsets passed in its partition since the last record.
    pub passed: u64,
}

/// What is given each record. `Break` stops the walk.
pub(super) type WalkStep<'a> = dyn FnMut(RecordPlace<'_>, &RecordRef<'_>) -> Result<ControlFlow<()>, Trouble> + 'a;

/// How a walk ended.
#[derive(Debug)]
pub(super) enum Walked {
    /// Every record was given.
    Whole,
    /// `step` wanted no more.
    Broken,
    /// Reading failed; every record until then was given.
    Failed(Trouble),
}

impl Walked {
    /// Whether every record was given; a reader's failure is an error.
    pub(crate) fn into_whole(self) -> Result<bool, Trouble> {
        match self {
            Walked::Whole => Ok(true),
            Walked::Broken => Ok(false),
            Walked::Failed(why) => Err(why),
        }
    }
}

/// Gives every committed record of `ranges` to `step`, those of one partition in the order of their offsets. Places are
/// by `partitions`, which must have those of the ranges; `name` is a partition's name on the cluster. Errors are
/// those of `step`.
pub(super) fn walk_ranges(
    reader: &mut RecordReader,
    ranges: &Ranges,
    partitions: &[TopicPartition],
    name: &dyn Fn(&TopicPartition) -> TopicPartition,
    step: &mut WalkStep<'_>,
) -> Result<Walked, Trouble> {
    let index: BTreeMap<&TopicPartition, usize> = partitions.iter().enumerate().map(|(i, tp)| (tp, i)).collect();
    let all: Vec<&TopicPartition> = ranges.partitions().collect();
    let spans = ranges.reading_spans(GAP);
    for some in all.chunks(TOGETHER) {
        let mut parts: Vec<WalkPart<'_>> =
            some.iter().filter_map(|tp| WalkPart::of(ranges, tp, *index.get(tp)?)).collect();
        let mine = |span: &Piece| parts.iter().position(|part| *part.tp == span.tp);
        let (reads, part_of): (Vec<ReadRange>, Vec<usize>) = spans
            .iter()
            .filter_map(|s| Some((ReadRange { partition: name(&s.tp), from: s.from, to: s.to }, mine(s)?)))
            .unzip();
        let mut failed = None;
        let read = reader.read(&reads, &mut |span, record| {
            let part = &mut parts[part_of[span]];
            // Close ranges are read in one go: what lies between two of them was not asked for.
            if !part.cursor.has(record.offset) {
                return ControlFlow::Continue(());
            }
            let passed = record.offset.abs_diff(part.last);
            part.last = record.offset;
            // The reader knows only go on and stop: the error is kept beside it.
            step(RecordPlace { index: part.index, tp: part.tp, passed }, &record).unwrap_or_else(|why| {
                failed = Some(why);
                ControlFlow::Break(())
            })
        });
        // The error of `step` comes first: to the reader it looks as if it had only been told to stop.
        match (failed, read) {
            (Some(why), _) => return Err(why),
            (None, Ok(_)) => {}
            (None, Err(ReadError::Stopped)) => return Ok(Walked::Broken),
            (None, Err(error)) => {
                tracing::warn!(why = %error, "reading for a replay failed");
                return Ok(Walked::Failed(error.into()));
            }
        }
    }
    Ok(Walked::Whole)
}

/// A partition that is being read.
struct WalkPart<'a> {
    tp: &'a TopicPartition,
    index: usize,
    cursor: Cursor,
    last: i64,
}

impl<'a> WalkPart<'a> {
    fn of(ranges: &Ranges, tp: &'a TopicPartition, index: usize) -> Option<WalkPart<'a>> {
        let first = ranges.of_partition(tp).first()?.0;
        // One before the first, so that the first record counts as one offset passed.
        Some(WalkPart { tp, index, cursor: ranges.cursor(tp), last: first - 1 })
    }
}

/// What a stopped walk is to its caller.
pub(super) fn check_stop(stop: &Stop) -> ControlFlow<()> {
    if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

//! Both clusters read at once, a thread each, hashed there, partition by partition in step, so that few records wait for
//! their twins.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::pace::ReadPace;
use crate::base::{TopicPartition, ignore_poison, lock_unpoisoned};
use crate::diff::{DiffRecord, index_of_log};
use crate::jobs::identities::{NoIdentity, RecordIdentifier};
use crate::kafka::records::{ReadError, ReadGate, ReadRange, RecordReader};
use crate::offsets::identity::{IdentityRule, key_hash};
use crate::offsets::translate::Log;

/// Records handed over in one go.
const BATCH: usize = 192;
/// ... or bytes, so that a rate holds with large records too.
const BATCH_BYTES: u64 = 1 << 20;
/// Batches that may wait for the one who compares.
const BATCHES: usize = 96;
/// Offsets by which one side may be ahead of the other, over all partitions: what is ahead waits in memory, and few
/// records stay in the processor's cache.
const LEAD: u64 = 12_000;
/// ... and of each partition at least.
const LEAST_LEAD: u64 = 2 * BATCH as u64;
/// Grain of waiting, so that an interrupt is seen soon.
const STEP: Duration = Duration::from_millis(50);

/// What is read of one log: partition, and offsets.
pub(super) struct LogRanges {
    pub log: Log,
    pub name: String,
    pub parts: Vec<(u32, i64, i64)>,
}

impl LogRanges {
    /// One past its last partition.
    fn partition_end(&self) -> Option<usize> {
        self.parts.iter().map(|(p, ..)| *p as usize + 1).max()
    }
}

/// What comes out of the readers.
pub(super) enum ReadEvent {
    /// Records of a partition, in offset order.
    Batch { log: Log, partition: u32, records: Vec<DiffRecord>, bytes: u64 },
    /// A side has come to its end.
    End(Result<(), ReadBroken>),
}

/// Why a side is not read on.
pub(super) enum ReadBroken {
    Read(ReadError),
    /// A record has no identity.
    Unidentified(NoIdentity),
}

impl ReadBroken {
    fn describe_break(&self) -> String {
        match self {
            ReadBroken::Read(error) => error.to_string(),
            ReadBroken::Unidentified(why) => why.clone().into_trouble().what,
        }
    }
}

impl From<ReadError> for ReadBroken {
    fn from(error: ReadError) -> Self {
        ReadBroken::Read(error)
    }
}

/// What both readers look at.
struct Steps<'a> {
    /// Offsets passed and all of each side, by partition; of all partitions together where their counts differ.
    passed: [Vec<AtomicU64>; 2],
    all: [Vec<u64>; 2],
    over_topic: bool,
    lead: u64,
    ended: [AtomicBool; 2],
    /// How often either side went on.
    moves: (Mutex<u64>, Condvar),
    /// A person wants it to end.
    stop: &'a AtomicBool,
    /// It can't go on.
    halt: &'a AtomicBool,
    pace: &'a ReadPace,
}

impl Steps<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.halt.load(Ordering::Relaxed)
    }

    fn place_of(&self, partition: u32) -> usize {
        if self.over_topic { 0 } else { partition as usize }
    }

    /// Notes that a side went on, and waits where that was too fast for a rate.
    fn note_step(&self, side: usize, partition: u32, offsets: u64, bytes: u64) {
        self.passed[side][self.place_of(partition)].fetch_add(offsets, Ordering::Relaxed);
        // Before it waits for its rate: the other side must not stand at the gate for as long.
        self.note_move();
        self.pace.take_bytes(bytes, &|| self.is_stopped());
    }

    fn note_move(&self) {
        *lock_unpoisoned(&self.moves.0) += 1;
        self.moves.1.notify_all();
    }

    fn note_end(&self, side: usize) {
        self.ended[side].store(true, Ordering::Release);
        self.note_move();
    }
}

/// Holds a side's partitions back where it is too far ahead of the other. Of one partition never both sides are.
struct LockstepGate<'a> {
    steps: &'a Steps<'a>,
    stretch: &'a LogRanges,
    /// How far each of its partitions has been counted.
    counted: &'a [Cell<i64>],
    /// Moves that were looked at.
    seen: Cell<u64>,
}

impl LockstepGate<'_> {
    /// Counts a partition up to an offset. Returns by how many that is further.
    fn count_up_to(&self, index: usize, next: i64) -> u64 {
        let so_far = self.counted[index].get();
        self.counted[index].set(so_far.max(next));
        next.saturating_sub(so_far).max(0).unsigned_abs()
    }
}

impl ReadGate for LockstepGate<'_> {
    fn may_give(&self, index: usize) -> bool {
        let (steps, side) = (self.steps, index_of_log(self.stretch.log));
        let (place, other) = (steps.place_of(self.stretch.parts[index].0), 1 - side);
        let all = steps.all[other].get(place).copied().unwrap_or(0);
        if all == 0 || steps.is_stopped() || steps.ended[other].load(Ordering::Acquire) {
            return true;
        }
        let mine = steps.passed[side][place].load(Ordering::Relaxed);
        let theirs = steps.passed[other][place].load(Ordering::Relaxed);
        // How far this side would be if it were as far as the other one, in its own offsets.
        let abreast = theirs as f64 / all as f64 * steps.all[side][place] as f64;
        mine as f64 <= abreast + steps.lead as f64
    }

    /// What is not handed over yet, and what is no record (markers, what compaction took), counts as passed: else the
    /// other side would wait at a partition that has nothing more to say.
    fn note_closed(&self, index: usize) {
        let (partition, _, to) = self.stretch.parts[index];
        self.steps.note_step(index_of_log(self.stretch.log), partition, self.count_up_to(index, to), 0);
    }

    fn wait(&self) {
        let mut moves = lock_unpoisoned(&self.steps.moves.0);
        // A move since the last look is not slept through.
        if *moves == self.seen.get() {
            moves = ignore_poison(self.steps.moves.1.wait_timeout(moves, STEP)).0;
        }
        self.seen.set(*moves);
    }
}

/// Reads both stretches and gives everything to `take`, in offset order within each partition. `take` ends it by
/// setting `halt`. Gives the first error of a side.
pub(super) fn read_both(
    readers: &mut [RecordReader; 2],
    identifiers: [RecordIdentifier; 2],
    stretches: &[LogRanges; 2],
    rule: &IdentityRule,
    over_topic: bool,
    (pace, stop, halt): (&ReadPace, &AtomicBool, &AtomicBool),
    mut take: impl FnMut(Log, u32, Vec<DiffRecord>, u64),
) -> Result<(), ReadBroken> {
    let places = if over_topic { 1 } else { stretches.iter().flat_map(LogRanges::partition_end).max().unwrap_or(0) };
    let mut all = [vec![0; places], vec![0; places]];
    for stretch in stretches {
        for (p, from, to) in &stretch.parts {
            all[index_of_log(stretch.log)][if over_topic { 0 } else { *p as usize }] += to.abs_diff(*from);
        }
    }
    let steps = Steps {
        passed: all.each_ref().map(|all| all.iter().map(|_| AtomicU64::new(0)).collect()),
        all,
        over_topic,
        lead: (LEAD / (places as u64).max(1)).max(LEAST_LEAD),
        ended: [AtomicBool::new(false), AtomicBool::new(false)],
        moves: (Mutex::new(0), Condvar::new()),
        stop,
        halt,
        pace,
    };
    let (out, batches) = sync_channel(BATCHES);
    std::thread::scope(|scope| {
        for ((reader, identifier), stretch) in readers.iter_mut().zip(identifiers).zip(stretches) {
            let (steps, out) = (&steps, out.clone());
            scope.spawn(move || {
                let read = read_side(reader, &identifier, stretch, rule, steps, &out);
                // Before the send, which may wait for room: the other side would stand at the gate meanwhile.
                steps.note_end(index_of_log(stretch.log));
                let _ = out.send(ReadEvent::End(read)); // nobody listens any more: the other side failed
            });
        }
        // This thread's own sender would keep the receiver waiting for ever.
        drop(out);
        take_batches(&batches, halt, &mut take)
    })
}

fn take_batches(
    batches: &Receiver<ReadEvent>,
    halt: &AtomicBool,
    take: &mut impl FnMut(Log, u32, Vec<DiffRecord>, u64),
) -> Result<(), ReadBroken> {
    let mut failed = None;
    // Ends when both threads have dropped their sender.
    for read in batches {
        match read {
            ReadEvent::Batch { log, partition, records, bytes } => take(log, partition, records, bytes),
            ReadEvent::End(Ok(()) | Err(ReadBroken::Read(ReadError::Stopped))) => {}
            ReadEvent::End(Err(e)) => {
                halt.store(true, Ordering::Relaxed);
                tracing::warn!(why = %e.describe_break(), "a log is not read on");
                failed.get_or_insert(e);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn read_side(
    reader: &mut RecordReader,
    identifier: &RecordIdentifier,
    stretch: &LogRanges,
    rule: &IdentityRule,
    steps: &Steps<'_>,
    out: &SyncSender<ReadEvent>,
) -> Result<(), ReadBroken> {
    let range = |(p, from, to): &(u32, i64, i64)| ReadRange {
        partition: TopicPartition::new(&stretch.name, i32::try_from(*p).unwrap_or(i32::MAX)),
        from: *from,
        to: *to,
    };
    let ranges: Vec<ReadRange> = stretch.parts.iter().map(range).collect();
    let mut waiting: Vec<(Vec<DiffRecord>, u64)> = ranges.iter().map(|_| (Vec::with_capacity(BATCH), 0)).collect();
    let counted: Vec<Cell<i64>> = ranges.iter().map(|r| Cell::new(r.from)).collect();
    let gate = LockstepGate { steps, stretch, counted: &counted, seen: Cell::new(0) };
    let side = index_of_log(stretch.log);
    let send = |index: usize, (records, bytes): (Vec<DiffRecord>, u64)| -> ControlFlow<()> {
        let Some(last) = records.last() else { return ControlFlow::Continue(()) };
        let offsets = gate.count_up_to(index, last.offset + 1);
        let partition = stretch.parts[index].0;
        let sent = out.send(ReadEvent::Batch { log: stretch.log, partition, records, bytes });
        steps.note_step(side, partition, offsets, bytes);
        if sent.is_err() || steps.is_stopped() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let mut unidentified = None;
    let read = reader.read_gated(&ranges, &gate, &mut |index, record| {
        let batch = &mut waiting[index];
        let id = match identifier.identify(rule, &ranges[index].partition, &record) {
            Ok(id) => id,
            Err(why) => {
                unidentified = Some(why);
                return ControlFlow::Break(());
            }
        };
        batch.0.push(DiffRecord {
            offset: record.offset,
            // Kafka's own number for "no timestamp".
            ts: record.timestamp.unwrap_or(-1),
            id,
            key: key_hash(record.key),
            tombstone: record.value.is_none(),
        });
        batch.1 += record.size as u64;
        if batch.0.len() < BATCH && batch.1 < BATCH_BYTES {
            return ControlFlow::Continue(());
        }
        send(index, std::mem::replace(batch, (Vec::with_capacity(BATCH), 0)))
    });
    if let Some(why) = unidentified {
        return Err(ReadBroken::Unidentified(why));
    }
    // What is not handed over is read again after an interrupt; at a proper end it is all there is.
    if read.is_ok() {
        for (index, batch) in waiting.into_iter().enumerate() {
            let _ = send(index, batch); // an interrupt is seen by the caller
        }
    }
    Ok(read.map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_waits_for_the_other_side_and_never_on_both() {
        let (stop, halt, pace) = (AtomicBool::new(false), AtomicBool::new(false), ReadPace::new(None, 500));
        let counters = || [0, 0].map(AtomicU64::new).into();
        let steps = Steps {
            passed: [counters(), counters()],
            all: [vec![100_000, 100_000], vec![50_000, 0]],
            over_topic: false,
            lead: 1_000,
            ended: [AtomicBool::new(false), AtomicBool::new(false)],
            moves: (Mutex::new(0), Condvar::new()),
            stop: &stop,
            halt: &halt,
            pace: &pace,
        };
        let stretch = |log| LogRanges { log, name: "t".into(), parts: vec![(1, 0, 100_000), (0, 0, 100_000)] };
        let stretches = [Log::Source, Log::Target].map(stretch);
        let counted = [0; 2].map(Cell::new);
        let gates = stretches.each_ref().map(|stretch| LockstepGate {
            steps: &steps,
            stretch,
            counted: &counted,
            seen: Cell::new(0),
        });
        let may = || gates.each_ref().map(|gate| gate.may_give(1));
        steps.note_step(0, 0, 1_000, 1);
        assert_eq!(may(), [true, true]);
        steps.note_step(0, 0, 1, 1);
        assert_eq!((may(), gates[0].may_give(0)), ([false, true], true), "nothing of partition 1 is on the other side");
        steps.note_step(1, 0, 1_500, 1); // as far as 3,000 of the source
        assert_eq!(may(), [true, true]);
        steps.note_step(1, 0, 1, 1);
        assert_eq!(may(), [true, false]);
        gates[1].wait(); // returns at once: it was moved since it last looked
        steps.note_end(0);
        assert_eq!(may(), [true, true]);
    }
    #[test]
    fn a_side_that_is_through_with_a_partition_holds_nobody_there() {
        let (stop, halt, pace) = (AtomicBool::new(false), AtomicBool::new(false), ReadPace::new(None, 500));
        let counters = || [0, 0].map(AtomicU64::new).into();
        let steps = Steps {
            passed: [counters(), counters()],
            all: [vec![10_000, 10_000], vec![10_000, 10_000]],
            over_topic: false,
            lead: 400,
            ended: [AtomicBool::new(false), AtomicBool::new(false)],
            moves: (Mutex::new(0), Condvar::new()),
            stop: &stop,
            halt: &halt,
            pace: &pace,
        };
        let stretch = |log| LogRanges { log, name: "t".into(), parts: vec![(0, 0, 10_000), (1, 0, 10_000)] };
        let stretches = [Log::Source, Log::Target].map(stretch);
        let counted = [[0; 2].map(Cell::new), [0; 2].map(Cell::new)];
        let gate = |side: usize| LockstepGate {
            steps: &steps,
            stretch: &stretches[side],
            counted: &counted[side],
            seen: Cell::new(0),
        };
        let (blue, green) = (gate(0), gate(1));
        // Each side ends another partition far before its last offset: the rest was aborted.
        steps.note_step(0, 0, blue.count_up_to(0, 2_000), 1);
        steps.note_step(1, 1, green.count_up_to(1, 2_000), 1);
        assert_eq!((blue.may_give(0), green.may_give(1)), (false, false), "ahead of the other side");
        green.note_closed(0);
        blue.note_closed(1);
        assert_eq!((blue.may_give(0), green.may_give(1)), (true, true));
        let passed = |side: usize, p: usize| steps.passed[side][p].load(Ordering::Relaxed);
        assert_eq!((passed(1, 0), passed(0, 1)), (10_000, 10_000));
        assert_eq!(green.count_up_to(0, 5_000), 0, "what is handed over later was counted");
    }
}

//! Carrying: each transaction holds a batch of records and the progress that they make. Blocking.
//!
//! A process that dies leaves at most one open transaction. The next start's `init_transactions` fences it and ends it,
//! and what is committed for the group says then, and only then, where to go on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::stop::Stop;
use super::walk::{Link, ProgressTeller, RecordPlace, ReplayProgressSink, Walked, walk_ranges};
use crate::base::sanitise::visible_name;
use crate::base::{TopicPartition, Trouble};
use crate::kafka::records::RecordRef;
use crate::kafka::writer::{CarryOptions, Keeper, KeptOffset, RecordWriter};
use crate::replay::progress::SlotError;
use crate::replay::spec::transactional_id;
use crate::replay::{Batch, BatchLimits, ProgressSlot, ProgressSlots, ReplaySpec, Throttle, mark};
use crate::session::clock::{Clock, Stopwatch};
use crate::session::lease::WriteLease;
use crate::session::names::TopicNames;

/// Bound of one step of a transaction.
const WITHIN: Duration = Duration::from_secs(60);
/// When the coordinator ends a transaction that was left open. Read_committed consumers wait for it so long.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that wait in the writer's queue, at least.
const QUEUE: u64 = 32 << 20;
/// A wait for the rate shorter than this is left to the next record, ms.
const SHORTEST_WAIT_MS: u64 = 20;

/// A replay to be carried out.
pub(super) struct Work {
    pub run: String,
    pub spec: ReplaySpec,
    pub from: Link,
    pub to: Link,
    pub names: Arc<TopicNames>,
    pub rate: Option<u64>,
    pub limits: BatchLimits,
    pub stop: Arc<Stop>,
    pub tell: ReplayProgressSink,
}

/// What one go carried.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CarriedTotals {
    pub records: u64,
    pub bytes: u64,
    pub transactions: u64,
    pub ms: u64,
}

impl CarriedTotals {
    /// Adds another go.
    pub fn add(&mut self, other: CarriedTotals) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.transactions += other.transactions;
        self.ms += other.ms;
    }
}

/// How one go ended.
pub(super) enum End {
    /// Everything is on the target.
    Done,
    /// Asked to stop; it did, after a transaction.
    Stopped,
    /// It could not go on; another go can, once that is mended.
    Failed(Trouble),
    /// No go will ever go on with it: what was carried can't be known.
    Over(Trouble),
}

/// What was found when the earlier instance had been fenced.
pub(super) enum FoundProgress {
    /// Nothing is committed: nothing was carried, or the progress is gone.
    Nothing,
    /// The next source offsets.
    At(Vec<i64>),
}

/// A replay whose earlier instances are fenced, ready to go on.
pub(super) struct Carrier<'a> {
    work: &'a Work,
    _lease: &'a WriteLease,
    writer: RecordWriter,
    keeper: Keeper,
    slots: ProgressSlots,
    sources: Vec<TopicPartition>,
    next: Vec<i64>,
    moved: Vec<bool>,
    batch: Batch,
    open: bool,
    throttle: Throttle,
    watch: Stopwatch,
    carried: CarriedTotals,
    mark: String,
}

impl<'a> Carrier<'a> {
    /// Fences earlier instances of the run and reads how far they came.
    pub fn open(work: &'a Work, lease: &'a WriteLease) -> Result<(Self, FoundProgress), End> {
        let over = |error: &SlotError| End::Over(trouble_of_slots(error));
        let slots = ProgressSlots::new(&work.spec.ranges, &work.spec.routes).map_err(|e| over(&e))?;
        let id = transactional_id(&work.run);
        let carrying = CarryOptions {
            transactional_id: &id,
            timeout: TIMEOUT,
            max_batch: work.spec.max_batch,
            queue: QUEUE.max(work.spec.largest.saturating_mul(2)),
        };
        // Before progress is read: `init_transactions` fences the earlier instance and ends what it had open, so
        // nothing can be committed any more behind what is read next.
        let writer = work.to.plane.open_carrier(&carrying, WITHIN).map_err(End::Failed)?;
        let keeper = work.to.plane.open_keeper(&id, WITHIN).map_err(End::Failed)?;
        let places: Vec<TopicPartition> = slots.places().cloned().collect();
        let kept: Vec<ProgressSlot> = keeper
            .fetch_kept(&places)
            .map_err(End::Failed)?
            .into_iter()
            .map(|(at, offset, metadata)| ProgressSlot { at, offset, metadata })
            .collect();
        let standing = match kept.len() {
            0 => FoundProgress::Nothing,
            n if n < places.len() => return Err(End::Over(gone_in_part(&work.run))),
            _ => FoundProgress::At(slots.read_positions(&kept).map_err(|e| over(&e))?),
        };
        let next = match &standing {
            FoundProgress::Nothing => slots.start_offsets(),
            FoundProgress::At(next) => next.clone(),
        };
        let nothing = matches!(standing, FoundProgress::Nothing);
        tracing::info!(id = %visible_name(&id), slots = places.len(), nothing, "carrying opens: what was open is fenced");
        // The first transaction commits every slot, so that one which is missing later is known to be lost.
        let moved = vec![matches!(standing, FoundProgress::Nothing); next.len()];
        let carrier = Self {
            work,
            _lease: lease,
            writer,
            keeper,
            sources: slots.sources().cloned().collect(),
            slots,
            next,
            moved,
            batch: Batch::default(),
            open: false,
            throttle: Throttle::new(work.rate),
            watch: Clock.stopwatch(),
            carried: CarriedTotals::default(),
            mark: String::new(),
        };
        Ok((carrier, standing))
    }

    /// Carries what is left. Whatever happens, no transaction stays open.
    pub fn carry(mut self) -> (CarriedTotals, End) {
        self.watch = Clock.stopwatch();
        let end = self.carry_all().unwrap_or_else(|why| {
            if self.open
                && let Err(e) = self.writer.abort()
            {
                // The next start ends it; until then its timeout does.
                tracing::warn!(why = %e.what, "a transaction stays open");
            }
            End::Failed(why)
        });
        self.carried.ms = self.watch.elapsed_ms();
        (self.carried, end)
    }

    fn carry_all(&mut self) -> Result<End, Trouble> {
        let work = self.work;
        let next: BTreeMap<TopicPartition, i64> = self.sources.iter().cloned().zip(self.next.iter().copied()).collect();
        let left = work.spec.ranges.left_from(&next);
        // Offsets are left and not records, holes among them: what is done already is never told as more than it is.
        let before = work.spec.records.saturating_sub(left.count_offsets()).min(work.spec.records);
        let mut teller = ProgressTeller::new(&work.tell, "carrying", before, work.spec.records);
        let mut reader = work.from.open_reader()?;
        let sources = self.sources.clone();
        let name = |tp: &TopicPartition| work.names.partition_on(work.spec.from, tp);
        let walked = walk_ranges(&mut reader, &left, &sources, &name, &mut |place, record| {
            let flow = self.take_record(place, record)?;
            if flow.is_continue() {
                teller.add(1, record.size as u64);
            }
            Ok(flow)
        });
        // What was read is whole, also when reading on failed: it is committed. What the writer refused is not.
        let end = match walked? {
            Walked::Whole => {
                self.move_to_ends();
                End::Done
            }
            Walked::Broken => End::Stopped,
            Walked::Failed(why) => End::Failed(why),
        };
        self.commit()?;
        teller.end(matches!(end, End::Done));
        Ok(end)
    }

    fn take_record(&mut self, place: RecordPlace<'_>, record: &RecordRef<'_>) -> Result<ControlFlow<()>, Trouble> {
        // Before the record is taken: the progress of this transaction must not count it.
        if self.work.stop.is_set() || self.wait_for_rate()? {
            return Ok(ControlFlow::Break(()));
        }
        if !self.open {
            self.begin()?;
        }
        let spec = &self.work.spec;
        let Some(route) = spec.routes.get(&place.tp.topic) else {
            return Err(Trouble::new(format!("{} has no route", place.tp), "report this as a bug"));
        };
        let header = spec.mark.then(|| {
            mark::write_mark(&mut self.mark, &self.work.run, place.tp, record.offset);
            (mark::HEADER, self.mark.as_str())
        });
        self.writer.carry(&route.to, route.choose_partition(place.tp.partition, record.key), record, header)?;
        self.next[place.index] = record.offset + 1;
        self.moved[place.index] = true;
        self.batch.add(record.size);
        self.throttle.add(record.size);
        if self.batch.is_full(&self.work.limits, self.watch.elapsed_ms()) {
            self.commit()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Waits for the rate; returns whether it was told to stop meanwhile. No transaction is held open over it.
    fn wait_for_rate(&mut self) -> Result<bool, Trouble> {
        if self.work.rate.is_none() {
            return Ok(false);
        }
        let now = self.watch.elapsed_ms();
        let wait = self.throttle.wait_ms(now);
        if wait < SHORTEST_WAIT_MS {
            return Ok(false);
        }
        // One that would grow too old in the wait is committed before
        // it: the target's committed readers stand still behind it.
        if self.open && self.batch.is_full(&self.work.limits, now.saturating_add(wait)) {
            self.commit()?;
        }
        Ok(self.work.stop.wait(wait))
    }

    fn begin(&mut self) -> Result<(), Trouble> {
        self.writer.begin()?;
        self.open = true;
        self.batch = Batch { begun_ms: self.watch.elapsed_ms(), ..Batch::default() };
        Ok(())
    }

    /// Nothing is left: each partition stands at its end, where a hole may be.
    fn move_to_ends(&mut self) {
        for (i, end) in self.slots.end_offsets().into_iter().enumerate() {
            self.moved[i] |= self.next[i] != end;
            self.next[i] = end;
        }
    }

    /// Commits what is open, with the progress.
    fn commit(&mut self) -> Result<(), Trouble> {
        let progress: Vec<KeptOffset> = self
            .slots
            .slots_to_commit(&self.next, &self.moved)
            .into_iter()
            .map(|s| (s.at, s.offset, s.metadata))
            .collect();
        if progress.is_empty() && !self.open {
            return Ok(());
        }
        // The ranges may end without a record: how far they were read is committed all the same.
        if !self.open {
            self.begin()?;
        }
        self.writer.keep_offsets(&self.keeper, &progress)?;
        self.writer.commit()?;
        self.open = false;
        self.moved.fill(false);
        self.carried.records += self.batch.records;
        self.carried.bytes += self.batch.bytes;
        self.carried.transactions += 1;
        self.batch = Batch::default();
        Ok(())
    }
}

/// Whether the progress of a replay can be kept on the target.
///
/// # Errors
/// Too many source partitions share one of its partitions.
pub(super) fn check_progress_fits(spec: &ReplaySpec) -> Result<(), Trouble> {
    ProgressSlots::new(&spec.ranges, &spec.routes).map(drop).map_err(|e| trouble_of_slots(&e))
}

fn trouble_of_slots(error: &SlotError) -> Trouble {
    let advice = match error {
        SlotError::TooMany { .. } => {
            "replay fewer partitions at a time, or into a topic with more partitions".to_owned()
        }
        SlotError::NotOurs { .. } => {
            format!("something else commits for this replay's group: find out what; {BEGIN_ANEW}")
        }
    };
    Trouble::new(error.to_string(), advice)
}

/// What to do where it can't be known what was carried. The journal still knows the ranges of that run: without `--again`
/// they are refused.
pub(super) const BEGIN_ANEW: &str = "compare both clusters (`cutover diff`), and replay what is missing with --again";

fn gone_in_part(run: &str) -> Trouble {
    Trouble::new(
        format!("a part of the progress of replay {run} is gone from group {}", visible_name(&transactional_id(run))),
        format!("it can't be known what was carried: {BEGIN_ANEW}"),
    )
}

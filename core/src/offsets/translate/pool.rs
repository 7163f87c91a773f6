//! Translating a topic whose partition counts differ, sans I/O: all its partitions at once, in the stages of a single
//! partition's translation, each stage asked for all partitions together. The alignment is
//! [`align_pool`](crate::offsets::align::pool).

use super::super::align::pool::{PoolAlignment, PoolPartition, align_pool};
use super::super::align::{Axioms, Unsettled};
use super::super::strategy::Strategy;
use super::super::verdict::PartitionPlan;
use super::super::window::{EndRead, EndSample, LogWindow};
use super::loaded_log::LoadedLog;
use super::place::{NoPlace, find_place};
use super::reach::{count_hidden, wider_delta};
use super::settling::{Settling, count_where, grow_evidence};
use super::{Log, OPEN_FOR_MS, Params, signed_ms};
use crate::base::{At, Trouble};

mod rows;

/// What a pooled translation starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolParams {
    /// As for one partition; the partition of `tp`, `committed` and the samples of ends don't count.
    pub base: Params,
    /// The group's committed offset on each source partition.
    pub committed: Vec<Option<i64>>,
    /// Ends of each source partition seen earlier.
    pub source_seen: Vec<Vec<EndSample>>,
    /// Ends of each target partition seen earlier.
    pub target_seen: Vec<Vec<EndSample>>,
}

/// A lookup by time on one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeAsk {
    /// Which log.
    pub log: Log,
    /// Partition.
    pub partition: usize,
    /// ms since the epoch.
    pub ts: i64,
}

/// A stretch of one partition: `from..to`, to be read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAsk {
    /// Which log.
    pub log: Log,
    /// Partition.
    pub partition: usize,
    /// First offset.
    pub from: i64,
    /// First offset not to be read.
    pub to: i64,
    /// Whether key hashes are wanted.
    pub keys: bool,
}

/// What has to be done before the translation can go on: see [`Need`](super::Need).
#[derive(Debug, Clone, PartialEq)]
pub enum PoolNeed {
    /// The bounds of all partitions of both logs: the target's first.
    Ends,
    /// Lookups by time.
    Times(Vec<TimeAsk>),
    /// Stretches to read.
    Reads(Vec<ReadAsk>),
    /// Wait this long.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// There is nothing more to do: a plan for each partition that either side has.
    Done(Vec<PartitionPlan>),
}

/// The answer to a [`PoolNeed`], in the order of what was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolAnswer {
    /// To `Ends`, by partition.
    Ends {
        /// Asked second.
        source: Vec<EndRead>,
        /// Asked first.
        target: Vec<EndRead>,
    },
    /// To `Times`.
    Offsets(Vec<Option<i64>>),
    /// To `Reads`: one window for each, whole.
    Windows(Vec<LogWindow>),
    /// To `Wait`.
    Waited,
    /// It could not be done: the topic ends UNMAPPABLE with this as its reason.
    Failed(Trouble),
}

/// The state of one topic's translation.
#[derive(Debug, Clone)]
pub struct Pool {
    params: PoolParams,
    source: Vec<LoadedLog>,
    target: Vec<LoadedLog>,
    delta: i64,
    /// How many offsets further back than needed the windows reach.
    evidence: i64,
    opened: bool,
    asked: Option<PoolNeed>,
    /// The ends are by partition.
    settling: Settling<Vec<i64>>,
    now: At,
    axioms: Option<Axioms>,
}

impl Pool {
    /// Nothing was read yet. The numbers of partitions are those of the samples.
    #[must_use]
    pub fn new(params: PoolParams) -> Self {
        let sides = |seen: &[Vec<EndSample>]| -> Vec<LoadedLog> {
            seen.iter().map(|seen| LoadedLog { seen: seen.clone(), ..LoadedLog::default() }).collect()
        };
        Pool {
            source: sides(&params.source_seen),
            target: sides(&params.target_seen),
            delta: signed_ms(params.base.pair_delta_ms),
            evidence: i64::from(params.base.evidence),
            params,
            opened: false,
            asked: None,
            settling: Settling::new(),
            now: At(0),
            axioms: None,
        }
    }

    /// What is needed next. Asking twice gives the same answer; `Done` stays done.
    pub fn next_need(&mut self) -> PoolNeed {
        if self.asked.is_none() {
            self.asked = Some(self.decide_next());
        }
        self.asked.clone().unwrap_or(PoolNeed::Ends)
    }

    /// The answer, and when it was there.
    pub fn supply(&mut self, answer: PoolAnswer, at: At) {
        self.now = at;
        let Some(asked) = self.asked.take() else { return };
        let result = match (asked, answer) {
            (done @ PoolNeed::Done(_), _) => {
                self.asked = Some(done);
                Ok(())
            }
            (_, PoolAnswer::Failed(why)) => Err(why.what),
            (PoolNeed::Ends, PoolAnswer::Ends { source, target }) => self.note_ends(&source, &target),
            (PoolNeed::Times(asks), PoolAnswer::Offsets(found)) if asks.len() == found.len() => {
                for (ask, offset) in asks.into_iter().zip(found) {
                    self.log_mut(ask.log, ask.partition).note_time(ask.ts, offset);
                }
                Ok(())
            }
            (PoolNeed::Reads(asks), PoolAnswer::Windows(windows)) if asks.len() == windows.len() => {
                asks.into_iter().zip(windows).try_for_each(|(ask, window)| self.take_window(ask, window))
            }
            (PoolNeed::Wait { .. }, PoolAnswer::Waited) => {
                self.source.iter_mut().chain(&mut self.target).for_each(|side| side.ends = None);
                Ok(())
            }
            (asked, _) => Err(format!("the answer does not belong to the question {asked:?}")),
        };
        if let Err(why) = result {
            self.asked = Some(PoolNeed::Done(self.plan_unmappable(&why)));
        }
    }

    /// What the alignment was made with, and from where on each partition was loaded, the source's first.
    #[must_use]
    pub fn axioms(&self) -> Option<(&Axioms, Vec<i64>, Vec<i64>)> {
        let from = |sides: &[LoadedLog]| sides.iter().map(|s| s.window.from()).collect();
        self.axioms.as_ref().map(|a| (a, from(&self.source), from(&self.target)))
    }

    fn log_mut(&mut self, log: Log, partition: usize) -> &mut LoadedLog {
        match log {
            Log::Source => &mut self.source[partition],
            Log::Target => &mut self.target[partition],
        }
    }

    fn note_ends(&mut self, source: &[EndRead], target: &[EndRead]) -> Result<(), String> {
        if (source.len(), target.len()) != (self.source.len(), self.target.len()) {
            return Err("the number of partitions changed while they were read".to_owned());
        }
        for (log, sides, ends) in [(Log::Source, &mut self.source, source), (Log::Target, &mut self.target, target)] {
            for (p, (side, ends)) in sides.iter_mut().zip(ends).enumerate() {
                side.note_ends(log, *ends).map_err(|why| format!("partition {p}: {why}"))?;
            }
        }
        Ok(())
    }

    fn take_window(&mut self, ask: ReadAsk, window: LogWindow) -> Result<(), String> {
        if window.to() < ask.to {
            return Err(format!("the {} of partition {} was read to {} only", ask.log, ask.partition, window.to()));
        }
        let piece = window.slice(ask.from, ask.to);
        self.log_mut(ask.log, ask.partition)
            .take_piece(ask.from, piece)
            .map_err(|e| format!("reading the {}: {e}", ask.log))
    }

    fn decide_next(&mut self) -> PoolNeed {
        let (Some(source), Some(target)) = (collect_ends(&self.source), collect_ends(&self.target)) else {
            return PoolNeed::Ends;
        };
        let committed = match self.find_positions(&source) {
            Ok(committed) => committed,
            Err(why) => return PoolNeed::Done(self.plan_unmappable(&why)),
        };
        if !self.opened {
            self.source.iter_mut().zip(&committed).for_each(|(side, at)| side.window = LogWindow::new(*at));
            self.target.iter_mut().zip(&target).for_each(|(side, ends)| side.window = LogWindow::new(ends.end));
            self.opened = true;
        }
        let news: Vec<ReadAsk> = self.list_unread(Log::Source, &source);
        if !news.is_empty() {
            return self.need_reads(news);
        }
        // The earliest moment of all partitions: less counts as settled than could, never more.
        let asked = [first_asked(&source), first_asked(&target)];
        if let Some(need) = self.look_up_tails(asked) {
            return need;
        }
        let open = source.iter().any(EndRead::is_open);
        let complete_from = self.complete_from(asked, &committed, open);
        let query = complete_from.saturating_sub(1); // the time index can tie
        let asks = self.list_lookups(|_, _| Some(query));
        if !asks.is_empty() {
            return PoolNeed::Times(asks);
        }
        let mut asks = self.list_older(Log::Source, &source, &committed, query, asked[1]);
        let latest: Vec<i64> = target.iter().map(|e| e.end).collect();
        asks.extend(self.list_older(Log::Target, &target, &latest, query, asked[0]));
        asks.extend(self.list_unread(Log::Target, &target));
        if !asks.is_empty() {
            return self.need_reads(asks);
        }
        self.conclude_or_wait(&source, &target, &committed, (asked, complete_from))
    }

    /// The group's position on every source partition. One that can't be told spoils all: its records may be anywhere.
    fn find_positions(&self, source: &[EndRead]) -> Result<Vec<i64>, String> {
        if !matches!(self.params.base.strategy, Strategy::Auto | Strategy::Align) {
            let word = self.params.base.strategy;
            return Err(format!(
                "{} partitions on the source, {} on the target: only `align` can map them, not `{word}`",
                self.source.len(),
                self.target.len()
            ));
        }
        if self.params.base.strategy == Strategy::Auto && self.params.base.seam.is_some() {
            return Err(format!(
                "a seam is recorded for this topic, partition by partition, and the source has {} of them, the target {}: \
                 make their numbers equal",
                self.source.len(),
                self.target.len()
            ));
        }
        let position = |(p, (ends, committed)): (usize, (&EndRead, &Option<i64>))| {
            let end = ends.end;
            find_place(*committed, *ends, false).map_err(|none| match none {
                NoPlace::NeverCommitted { held } => format!(
                    "the group never committed on partition {p} of the source, so its auto.offset.reset decides where it \
                     stands, and the log holds {held} offsets: let it commit once"
                ),
                NoPlace::Unstable { at } => format!(
                    "committed {at} on partition {p} is beyond the last stable offset {end}: a transaction is open, wait \
                     for its end"
                ),
                NoPlace::NoOffset { at } | NoPlace::BeyondEnd { at } => format!(
                    "committed {at} on partition {p} is beyond its end {end}: the log was truncated or the topic recreated"
                ),
            })
        };
        source.iter().zip(&self.params.committed).enumerate().map(position).collect()
    }

    /// Reads, unless they are too many.
    fn need_reads(&self, asks: Vec<ReadAsk>) -> PoolNeed {
        let loaded = self.source.iter().chain(&self.target).map(|s| s.window.to().abs_diff(s.window.from()));
        let wanted: u64 = loaded.chain(asks.iter().map(|a| a.to.abs_diff(a.from))).sum();
        // merged, every record is held twice
        let limit = self.params.base.max_records / 2;
        if wanted > limit {
            let why = format!(
                "{wanted} offsets of all partitions would have to be compared, more than {limit}: let the group catch up first"
            );
            return PoolNeed::Done(self.plan_unmappable(&why));
        }
        PoolNeed::Reads(asks)
    }

    /// What was written since the windows were loaded.
    fn list_unread(&self, log: Log, ends: &[EndRead]) -> Vec<ReadAsk> {
        let sides = if log == Log::Source { &self.source } else { &self.target };
        let keys = self.params.base.target_compacted;
        let ask = |(partition, (side, ends)): (usize, (&LoadedLog, &EndRead))| {
            let (from, to) = (side.window.to(), ends.end);
            (from < to).then_some(ReadAsk { log, partition, from, to, keys })
        };
        sides.iter().zip(ends).enumerate().filter_map(ask).collect()
    }

    /// What lies before the windows and is needed too.
    fn list_older(&self, log: Log, ends: &[EndRead], latest: &[i64], query: i64, other: At) -> Vec<ReadAsk> {
        let (sides, base) = (if log == Log::Source { &self.source } else { &self.target }, &self.params.base);
        let ask = |(partition, side): (usize, &LoadedLog)| {
            let settled = side.settled_below(Some(other), base.arrival_skew_ms);
            // Without an answer from the start: that reads more than is needed, never less.
            let at = side.lookups.get(&query).copied().unwrap_or(0).min(latest[partition]).min(settled);
            let from = at.saturating_sub(self.evidence).max(ends[partition].log_start);
            let to = side.window.from();
            (from < to).then_some(ReadAsk { log, partition, from, to, keys: base.target_compacted })
        };
        sides.iter().enumerate().filter_map(ask).collect()
    }

    /// The lookups that `ts` says for each partition, as far as they are not answered.
    fn list_lookups(&self, ts: impl Fn(Log, &LoadedLog) -> Option<i64>) -> Vec<TimeAsk> {
        let of = |log: Log, sides: &[LoadedLog]| -> Vec<TimeAsk> {
            let ask = |(partition, side): (usize, &LoadedLog)| {
                let ts = ts(log, side).filter(|ts| !side.lookups.contains_key(ts))?;
                Some(TimeAsk { log, partition, ts })
            };
            sides.iter().enumerate().filter_map(ask).collect()
        };
        let mut asks = of(Log::Source, &self.source);
        asks.extend(of(Log::Target, &self.target));
        asks
    }

    /// Where arrival can't be told from samples of the ends: by timestamp.
    fn look_up_tails(&mut self, asked: [At; 2]) -> Option<PoolNeed> {
        let (skew_ms, delta_ms) = (self.params.base.arrival_skew_ms, self.params.base.pair_delta_ms);
        let skew = signed_ms(skew_ms).saturating_add(signed_ms(delta_ms));
        for (sides, other) in [(&mut self.source, asked[1]), (&mut self.target, asked[0])] {
            for side in sides.iter_mut() {
                side.tail_ts.get_or_insert(other.0.saturating_sub(skew));
            }
        }
        let asks = self.list_lookups(|log, side| {
            let other = if log == Log::Source { asked[1] } else { asked[0] };
            side.tail_ts.filter(|_| side.settled_by_samples(other, skew_ms).is_none())
        });
        (!asks.is_empty()).then_some(PoolNeed::Times(asks))
    }

    /// All windows must hold everything with this timestamp or a later one.
    fn complete_from(&self, asked: [At; 2], committed: &[i64], open: bool) -> i64 {
        let base = &self.params.base;
        let skew = signed_ms(base.arrival_skew_ms);
        let young = asked[0].0.min(asked[1].0).saturating_sub(skew);
        let oldest_from = |side: &LoadedLog, from: i64| {
            side.window.iter().skip(side.window.index_of(from)).map(|r| r.ts).min().unwrap_or(i64::MAX)
        };
        let unconsumed = self.source.iter().zip(committed).map(|(side, at)| oldest_from(side, *at)).min();
        let slow = self.target.iter().map(|s| oldest_from(s, s.settled_below(Some(asked[0]), base.arrival_skew_ms)));
        // A record may be as old as its send was retried, and no older: one ancient timestamp must not pull
        // in the whole log.
        let slow = slow.min().unwrap_or(i64::MAX).max(young.saturating_sub(skew));
        let flip = base.target_only_since.map_or(i64::MAX, |at| at.0);
        let oldest = unconsumed.unwrap_or(i64::MAX).min(flip).min(young).min(slow);
        let more = signed_ms(base.window_ms).saturating_add(if open { OPEN_FOR_MS } else { 0 });
        oldest.saturating_sub(self.delta.saturating_mul(3)).saturating_sub(more)
    }

    fn conclude_or_wait(
        &mut self,
        source: &[EndRead],
        target: &[EndRead],
        committed: &[i64],
        (asked, complete_from): ([At; 2], i64),
    ) -> PoolNeed {
        let axioms = self.derive_axioms(source, asked, complete_from);
        let skew_ms = self.params.base.arrival_skew_ms;
        let ours = borrow_partitions(&self.source, source, asked[1], skew_ms);
        let theirs = borrow_partitions(&self.target, target, asked[0], skew_ms);
        let mut a = align_pool(&ours, &theirs, committed, &axioms);
        self.axioms = Some(axioms);
        if let Some(wider) = wider_delta(&self.params.base, self.delta, a.pair_distance) {
            self.delta = wider;
            return self.decide_next();
        }
        if a.compared == 0 && self.look_further_back(source, target) {
            return self.decide_next();
        }
        a.unsettled = self.note_look(&a, source, target, committed);
        let open = source.iter().chain(target).any(EndRead::is_open);
        if let Some(ms) = self.settling.next_pause(&self.params.base, &a.unsettled, open) {
            return PoolNeed::Wait { ms };
        }
        PoolNeed::Done(self.conclude_partitions(&a, source, target, committed))
    }

    /// What the alignment takes for granted. All windows hold everything with the timestamp `complete_from` or a later
    /// one.
    fn derive_axioms(&self, source: &[EndRead], asked: [At; 2], complete_from: i64) -> Axioms {
        let base = &self.params.base;
        let whole = self.source.iter().zip(source).all(|(side, ends)| side.window.from() <= ends.log_start)
            && self.target.iter().all(|side| side.window.from() == 0);
        Axioms {
            // What is of single logs has no value here: `align_pool` takes it from the partitions.
            committed: 0,
            pair_delta: self.delta,
            pair_reach: signed_ms(base.pair_delta_ms),
            settled_source: i64::MIN,
            settled_target: i64::MIN,
            complete_from: if whole { i64::MIN } else { complete_from },
            source_log_start: 0,
            target_log_start: 0,
            target_compacted: base.target_compacted,
            target_only_since: base.target_only_since.map(|at| at.0),
            // what only the target has may be in a transaction that is open on the source
            deliver_target_only: base.deliver_target_only || source.iter().any(EndRead::is_open),
            ahead: base.ahead_at(asked[1]),
        }
    }

    /// Notes that the windows are whole now. Returns what was there at the first such look, and waits for its twin still.
    fn note_look(&mut self, a: &PoolAlignment, source: &[EndRead], target: &[EndRead], committed: &[i64]) -> Unsettled {
        let ends = |ends: &[EndRead]| ends.iter().map(|e| e.high_watermark).collect::<Vec<_>>();
        let [ours, theirs] = self.settling.note_look(self.now, [ends(source), ends(target)]);
        let below = |ends: &[i64], (p, at): &(usize, i64)| ends.get(*p).is_some_and(|end| at < end);
        let [here, there] = &a.waiting;
        let unseen =
            source.iter().zip(committed).zip(ours).map(|((s, at), first)| count_hidden(*s, *at, *first)).sum::<u64>();
        Unsettled {
            consumed: count_where(here, |at| below(committed, at)),
            unconsumed: count_where(here, |at| !below(committed, at) && below(ours, at)) + unseen,
            target_only: count_where(there, |at| below(theirs, at)),
        }
    }

    /// Lets the windows grow, where there is more to read: see [`Translation`](super::Translation).
    fn look_further_back(&mut self, source: &[EndRead], target: &[EndRead]) -> bool {
        let more =
            |sides: &[LoadedLog], ends: &[EndRead]| sides.iter().zip(ends).any(|(s, e)| s.window.from() > e.log_start);
        let more = more(&self.source, source) || more(&self.target, target);
        grow_evidence(&mut self.evidence, more)
    }
}

/// All bounds, once all are there.
fn collect_ends(sides: &[LoadedLog]) -> Option<Vec<EndRead>> {
    sides.iter().map(|side| side.ends).collect()
}

/// When the first of them was asked for.
fn first_asked(ends: &[EndRead]) -> At {
    ends.iter().map(|e| e.asked).min().unwrap_or(At(0))
}

/// The partitions of one log as the alignment takes them. `other`: when the other log's ends were asked for.
fn borrow_partitions<'a>(sides: &'a [LoadedLog], ends: &[EndRead], other: At, skew_ms: u64) -> Vec<PoolPartition<'a>> {
    let part = |(side, ends): (&'a LoadedLog, &EndRead)| PoolPartition {
        window: &side.window,
        settled: side.settled_below(Some(other), skew_ms),
        log_start: ends.log_start,
    };
    sides.iter().zip(ends).map(part).collect()
}

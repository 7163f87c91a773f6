//! Translating one partition's position, sans I/O: a state machine that says what has to be read next, is given the
//! answers with the time they came, and ends in a [`PartitionPlan`]. The caller owns the connections, the clock and
//! the parallelism (one `Translation` a partition, as many side by side as it likes).
//!
//! The stages: both logs' ends; everything unconsumed on the source; by timestamp, how far back both windows must
//! reach; the windows; then rounds of "read the target's end, then the source's, and what came in between" until
//! every young record has its twin, or `settle_timeout_ms` is over. The order of the two ends matters: a record below
//! the target's end whose twin is already on the source is then always seen with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::align::{Alignment, Axioms, align};
use super::identity::IdentityRule;
use super::verdict::PartitionPlan;
use super::window::{EndRead, EndSample, LogWindow, Rec};
use crate::migration::estate::{At, TopicPartition, Trouble};

mod conclude;
#[cfg(test)]
mod tests;

/// One of the two logs of a translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Log {
    /// The log the group has been reading: blue in a cutover, green in a rollback.
    Source,
    /// The log it is to read.
    Target,
}

/// What a translation starts from. Times in ms.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Topic and partition, by its name on the source.
    pub tp: TopicPartition,
    /// The group's committed offset on the source; `None` when it never committed there.
    pub committed: Option<i64>,
    /// What the identities were made by (the caller hashes).
    pub rule: IdentityRule,
    /// A1: how far apart the timestamps of one record may be on the two logs.
    pub pair_delta_ms: u64,
    /// How long after its arrival on one log a record may still arrive on the other.
    pub arrival_skew_ms: u64,
    /// How long to wait, from the first complete reading on, for young records to get their twin.
    pub settle_timeout_ms: u64,
    /// How much further back than strictly needed the windows reach, so that chains of identical records end within.
    pub window_ms: u64,
    /// Windows reach back this many offsets more, so that an idle partition shows some evidence too, and that a
    /// record from before the region that matters bears witness that nothing of it has expired.
    pub evidence: u32,
    /// Whether to wait for young records at all: yes for a plan that is to be executed, no for a live estimate.
    pub settle: bool,
    /// Since when a producer writes to the target alone, from the journal.
    pub target_only_since: Option<At>,
    /// Whether records that only the target has are to be delivered, whatever re-reads that costs.
    pub deliver_target_only: bool,
    /// Ends of the source seen earlier (the lag sampler's last few minutes). They prove how old a record's arrival
    /// is. Without one older than `arrival_skew_ms`, timestamps have to stand in for it.
    pub source_seen: Vec<EndSample>,
    /// Ends of the target seen earlier.
    pub target_seen: Vec<EndSample>,
    /// Whether the target topic is compacted (`cleanup.policy` contains `compact`). Key hashes are asked for then.
    pub target_compacted: bool,
    /// Refuse to load more than this many offsets of both logs together: about 40 bytes of memory a record while it is
    /// aligned (24 for the record, up to 16 for the index), 24 before.
    pub max_records: u64,
}

impl Params {
    /// The plan's defaults: content, 5 s, 130 s, 10 s.
    #[must_use]
    pub fn new(tp: TopicPartition, committed: Option<i64>) -> Self {
        Params {
            tp,
            committed,
            rule: IdentityRule::Content,
            pair_delta_ms: 5_000,
            arrival_skew_ms: 130_000,
            settle_timeout_ms: 10_000,
            window_ms: 60_000,
            evidence: 64,
            settle: true,
            target_only_since: None,
            deliver_target_only: false,
            source_seen: Vec::new(),
            target_seen: Vec::new(),
            target_compacted: false,
            max_records: 8_000_000,
        }
    }
}

/// What has to be done before the translation can go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// The bounds of both logs (ListOffsets EARLIEST, and LATEST with read_committed): the target's first, and
    /// the source's only once the target's answer is there. Answer: `Answer::Ends`.
    Ends,
    /// ListOffsets by time with read_committed: the first record with this timestamp (ms) or a later one.
    /// Answer: `Answer::Offset`.
    OffsetForTime {
        /// Which log to ask.
        log: Log,
        /// ms since the epoch.
        ts: i64,
    },
    /// All committed records with an offset in `from..to`. Answer: `Answer::Records`, in as many pieces as the caller
    /// likes: as long as a piece ends before `to`, the rest is asked for again.
    Read {
        /// Which log to read.
        log: Log,
        /// First offset.
        from: i64,
        /// First offset not to be read.
        to: i64,
        /// Whether to send key hashes along (`identity::key_hash`).
        keys: bool,
    },
    /// Wait this long, then answer `Answer::Waited`.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// There is nothing more to do.
    Done(Box<PartitionPlan>),
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Everything below this offset (and from where the request began) was read.
    pub next: i64,
    /// The records, in offset order.
    pub records: Vec<Rec>,
    /// One hash a record when keys were asked for, else empty.
    pub keys: Vec<u64>,
}

/// The answer to a [`Need`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To `Ends`.
    Ends {
        /// Asked second.
        source: EndRead,
        /// Asked first.
        target: EndRead,
    },
    /// To `OffsetForTime`: `None` when no record is that young.
    Offset(Option<i64>),
    /// To `Read`.
    Records(Batch),
    /// To `Read`: the same as `Records`, packed and perhaps shared with others. Begins where the request did.
    Window(LogWindow),
    /// To `Wait`.
    Waited,
    /// It could not be done. The translation ends UNMAPPABLE with this as its reason; a caller that would rather
    /// try again does so before it answers.
    Failed(Trouble),
}

/// The first pause of the settle rounds; each next one is twice as long, up to [`MAX_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 100;
const MAX_PAUSE_MS: u64 = 1_000;
/// On an idle partition whose writers interleaved differently, the last few records of the two logs may be of
/// different writers. So while nothing is found on both, the windows grow, up to this many offsets a log.
const MOST_EVIDENCE: i64 = 8_192;
/// How much they grow at a time.
const MORE_EVIDENCE: i64 = 8;

/// The state of one partition's translation.
#[derive(Debug, Clone)]
pub struct Translation {
    params: Params,
    source: Side,
    target: Side,
    /// A1 as it is applied, ms: `pair_delta_ms`, widened when unique pairs are seen to lie further apart.
    delta: i64,
    /// The oldest timestamp that anything owed or unsettled may have, and how far the windows reached when it was
    /// found. Only ever goes down.
    oldest: Option<(i64, (i64, i64, i64))>,
    asked: Option<Need>,
    /// Whether the windows stand where reading begins.
    opened: bool,
    /// How many offsets further back than needed the windows reach; grows while not one record was found on both logs.
    evidence: i64,
    /// When the windows were complete for the first time.
    complete_at: Option<At>,
    pause_ms: u64,
    now: At,
    /// What the last alignment was made with.
    axioms: Option<Axioms>,
    done: Option<Box<PartitionPlan>>,
}

/// One log: its bounds, what was loaded of it, and what it answered about times.
#[derive(Debug, Clone, Default)]
struct Side {
    ends: Option<EndRead>,
    seen: Vec<EndSample>,
    window: LogWindow,
    /// Pieces of an older stretch that is being read, to be put before `window`.
    older: Option<LogWindow>,
    /// ListOffsets by time: what was asked, and the first offset that may be that young.
    lookups: BTreeMap<i64, i64>,
    /// The timestamp that stands in for arrival when no old enough sample of the end is known.
    tail_ts: Option<i64>,
    read: u64,
}

impl Translation {
    /// A translation that has not read anything yet.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let source = Side { seen: params.source_seen.clone(), ..Side::default() };
        let target = Side { seen: params.target_seen.clone(), ..Side::default() };
        Translation {
            delta: ms(params.pair_delta_ms),
            evidence: i64::from(params.evidence),
            params,
            source,
            target,
            oldest: None,
            asked: None,
            opened: false,
            complete_at: None,
            pause_ms: FIRST_PAUSE_MS,
            now: At(0),
            axioms: None,
            done: None,
        }
    }

    /// What is needed next. Asking twice gives the same answer; `Done` stays done.
    #[allow(clippy::should_implement_trait, reason = "it is not an iterator: it does not advance by itself")]
    pub fn next(&mut self) -> Need {
        if let Some(plan) = &self.done {
            return Need::Done(plan.clone());
        }
        if let Some(asked) = &self.asked {
            return asked.clone();
        }
        let need = self.decide();
        if let Need::Done(plan) = &need {
            self.done = Some(plan.clone());
        } else {
            self.asked = Some(need.clone());
        }
        need
    }

    /// The answer to what `next` asked for, and when it was there. An answer to another question ends the
    /// translation UNMAPPABLE: the caller is broken then, and no offset may come of it.
    pub fn supply(&mut self, answer: Answer, at: At) {
        self.now = at;
        let Some(asked) = self.asked.take() else { return };
        let result = match (asked, answer) {
            (_, Answer::Failed(why)) => Err(why.what),
            (Need::Ends, Answer::Ends { source, target }) => self.note_ends(source, target),
            (Need::OffsetForTime { log, ts }, Answer::Offset(offset)) => {
                let side = self.side(log);
                let end = side.ends.map_or(0, |e| e.end);
                side.lookups.insert(ts, offset.unwrap_or(end).min(end));
                Ok(())
            }
            (Need::Read { log, from, to, .. }, Answer::Records(batch)) => {
                let mut piece = LogWindow::new(from);
                let next = batch.next.clamp(from, to.max(from));
                let packed = piece.append(next, &batch.records, &batch.keys).map_err(|e| e.to_string());
                packed.and_then(|()| self.side(log).take(from, piece)).map_err(|e| format!("reading the {log}: {e}"))
            }
            (Need::Read { log, from, to, .. }, Answer::Window(piece)) => {
                self.side(log).take(from, piece.slice(from, to)).map_err(|e| format!("reading the {log}: {e}"))
            }
            (Need::Wait { .. }, Answer::Waited) => {
                (self.source.ends, self.target.ends) = (None, None);
                Ok(())
            }
            (asked, _) => Err(format!("the answer does not belong to the question {asked:?}")),
        };
        if let Err(why) = result {
            self.done = Some(Box::new(self.unmappable(why)));
        }
    }

    /// What the last alignment was made with, and from which offsets on the source and the target were loaded:
    /// enough to check the answer against the definition.
    #[must_use]
    pub fn axioms(&self) -> Option<(&Axioms, i64, i64)> {
        self.axioms.as_ref().map(|a| (a, self.source.window.from(), self.target.window.from()))
    }

    fn side(&mut self, log: Log) -> &mut Side {
        match log {
            Log::Source => &mut self.source,
            Log::Target => &mut self.target,
        }
    }

    fn note_ends(&mut self, source: EndRead, target: EndRead) -> Result<(), String> {
        for (log, side, ends) in [("source", &mut self.source, source), ("target", &mut self.target, target)] {
            if ends.end < side.window.to() {
                return Err(format!(
                    "the {log} log was cut back from {} to {} while it was read",
                    side.window.to(),
                    ends.end
                ));
            }
            side.seen.push(EndSample { at: ends.answered, end: ends.end });
            side.ends = Some(ends);
        }
        Ok(())
    }

    fn decide(&mut self) -> Need {
        let (Some(source), Some(target)) = (self.source.ends, self.target.ends) else { return Need::Ends };
        let committed = match self.position(source) {
            Ok(committed) => committed,
            Err(why) => return Need::Done(Box::new(self.unmappable(why))),
        };
        if !self.opened {
            self.source.window = LogWindow::new(committed);
            self.target.window = LogWindow::new(target.end);
            self.opened = true;
        }
        // everything unconsumed, to the end
        if self.source.window.to() < source.end {
            return self.read(Log::Source, self.source.window.to(), source.end);
        }
        // where arrival can't be told from samples, by timestamp
        let skew = ms(self.params.arrival_skew_ms).saturating_add(ms(self.params.pair_delta_ms));
        for (log, other) in [(Log::Source, target), (Log::Target, source)] {
            let tail = self.side(log).tail_ts.get_or_insert(other.asked.0.saturating_sub(skew)).to_owned();
            let told = self.settled(log, other, self.params.arrival_skew_ms).is_some();
            if let (false, Some(need)) = (told, self.look_up(log, tail)) {
                return need;
            }
        }
        // how far back, by timestamp
        let complete_from = self.complete_from(source, target, committed);
        let query = complete_from.saturating_sub(1); // the time index can tie
        for log in [Log::Source, Log::Target] {
            if let Some(need) = self.look_up(log, query) {
                return need;
            }
        }
        // the windows
        let evidence = self.evidence;
        for (log, ends, latest) in [(Log::Source, source, committed), (Log::Target, target, target.end)] {
            let settled = self.settled_below(log);
            let side = self.side(log);
            let wanted = side.lookups[&query].min(latest).min(settled).saturating_sub(evidence).max(ends.log_start);
            let (from, to) = (side.window.from(), side.window.to());
            if wanted < from {
                let start = side.older.as_ref().map_or(wanted, LogWindow::to);
                return self.read(log, start, from);
            }
            if to < ends.end {
                return self.read(log, to, ends.end);
            }
        }
        self.conclude_or_wait(source, target, committed, complete_from)
    }

    /// The group's position, or why there is none.
    fn position(&self, source: EndRead) -> Result<i64, String> {
        let EndRead { log_start, end, high_watermark, .. } = source;
        match self.params.committed {
            None if log_start == 0 && end == 0 => Ok(0),
            None => {
                Err("the group never committed an offset here, so its auto.offset.reset decides where it stands".into())
            }
            Some(at) if at < log_start => Err(format!(
                "committed {at} is below the source's log start {log_start}: {} offsets expired before the group read them",
                log_start - at
            )),
            Some(at) if at > end && at <= high_watermark => Err(format!(
                "committed {at} is beyond the last stable offset {end}: a transaction is open, wait for its end"
            )),
            Some(at) if at > end => Err(format!(
                "committed {at} is beyond the source's end {end}: the log was truncated or the topic recreated"
            )),
            Some(at) => Ok(at),
        }
    }

    fn look_up(&mut self, log: Log, ts: i64) -> Option<Need> {
        (!self.side(log).lookups.contains_key(&ts)).then_some(Need::OffsetForTime { log, ts })
    }

    fn read(&mut self, log: Log, from: i64, to: i64) -> Need {
        let loaded: u64 = [&self.source, &self.target].map(|s| s.window.to().abs_diff(s.window.from())).iter().sum();
        let wanted = loaded.saturating_add(to.abs_diff(from));
        if wanted > self.params.max_records {
            let limit = self.params.max_records;
            return Need::Done(Box::new(
                self.unmappable(format!("{wanted} offsets would have to be compared, more than the limit of {limit}")),
            ));
        }
        Need::Read { log, from, to, keys: self.params.target_compacted }
    }

    /// Both windows must hold everything with this timestamp or a later one.
    fn complete_from(&mut self, source: EndRead, target: EndRead, committed: i64) -> i64 {
        let reach = (self.source.window.to(), self.target.window.from(), self.target.window.to());
        // looked through once for each new stretch, not for each piece of an older one
        if self.oldest.is_none_or(|(_, seen)| seen != reach) {
            let before = self.oldest.map_or(i64::MAX, |(ts, _)| ts);
            self.oldest = Some((self.oldest_that_matters(source, target, committed).min(before), reach));
        }
        let oldest = self.oldest.map_or(i64::MAX, |(ts, _)| ts);
        // one delta to the target's copies, one to their twins, one for those to be complete
        oldest.saturating_sub(self.delta.saturating_mul(3)).saturating_sub(ms(self.params.window_ms))
    }

    /// The oldest timestamp of what is unconsumed, young, or was written to the target alone.
    fn oldest_that_matters(&self, source: EndRead, target: EndRead, committed: i64) -> i64 {
        let skew = ms(self.params.arrival_skew_ms);
        let young = source.asked.0.min(target.asked.0).saturating_sub(skew);
        let from = self.source.window.index_of(committed);
        let unconsumed = self.source.window.iter().skip(from).map(|r| r.ts).min().unwrap_or(i64::MAX);
        let flip = self.params.target_only_since.map_or(i64::MAX, |at| at.0);
        // slow arrivals: a young record may be as old as its send was retried
        let tail = self.target.window.index_of(self.settled_below(Log::Target));
        let slow = self.target.window.iter().skip(tail).map(|r| r.ts).min().unwrap_or(i64::MAX);
        unconsumed.min(flip).min(young).min(slow.max(young.saturating_sub(skew)))
    }

    /// By the samples of a log's end: below which offset everything had arrived `skew_ms` before the other log's
    /// end was asked for. `None` when no sample is that old.
    fn settled(&self, log: Log, other: EndRead, skew_ms: u64) -> Option<i64> {
        let side = if log == Log::Source { &self.source } else { &self.target };
        side.seen.iter().filter(|s| s.at.plus(skew_ms) <= other.asked).map(|s| s.end).max()
    }

    /// Records of this log below this offset are settled.
    fn settled_below(&self, log: Log) -> i64 {
        let (side, other) = match log {
            Log::Source => (&self.source, self.target.ends),
            Log::Target => (&self.target, self.source.ends),
        };
        let by_time = side.tail_ts.and_then(|ts| side.lookups.get(&ts)).copied();
        other.and_then(|o| self.settled(log, o, self.params.arrival_skew_ms)).or(by_time).unwrap_or(i64::MIN)
    }

    /// A1 must leave room: unique pairs that lie more than half of `delta` apart void it, so it is doubled at
    /// least (which makes this end) and the windows are looked at again. The largest that makes sense is
    /// `arrival_skew`, which a broker's LogAppendTime can be late by.
    fn wider(&self, alignment: &Alignment) -> Option<i64> {
        let most = ms(self.params.arrival_skew_ms).saturating_add(ms(self.params.pair_delta_ms)).saturating_mul(2);
        let wanted = alignment.pair_distance.saturating_mul(2);
        (wanted > self.delta && self.delta < most).then(|| wanted.max(self.delta.saturating_mul(2)).min(most))
    }

    /// Lets the windows grow, where there is more to read.
    fn look_further_back(&mut self, source: EndRead, target: EndRead) -> bool {
        let more = self.source.window.from() > source.log_start || self.target.window.from() > target.log_start;
        let room = more && self.evidence < MOST_EVIDENCE;
        if room {
            self.evidence = self.evidence.max(1).saturating_mul(MORE_EVIDENCE).min(MOST_EVIDENCE);
        }
        room
    }

    fn conclude_or_wait(&mut self, source: EndRead, target: EndRead, committed: i64, complete_from: i64) -> Need {
        let whole = self.source.window.from() <= source.log_start && self.target.window.from() == 0;
        let axioms = Axioms {
            committed,
            pair_delta: self.delta,
            pair_reach: ms(self.params.pair_delta_ms),
            settled_source: self.settled_below(Log::Source),
            settled_target: self.settled_below(Log::Target),
            complete_from: if whole { i64::MIN } else { complete_from },
            source_log_start: source.log_start,
            target_log_start: target.log_start,
            target_compacted: self.params.target_compacted,
            target_only_since: self.params.target_only_since.map(|at| at.0),
            deliver_target_only: self.params.deliver_target_only,
        };
        let alignment = align(&self.source.window, &self.target.window, &axioms);
        self.axioms = Some(axioms);
        if let Some(wider) = self.wider(&alignment) {
            self.delta = wider;
            return self.decide();
        }
        if alignment.compared == 0 && self.look_further_back(source, target) {
            return self.decide();
        }
        let since = *self.complete_at.get_or_insert(self.now);
        let waited = self.now.since(since);
        if self.params.settle && !alignment.unsettled.is_none() && waited < self.params.settle_timeout_ms {
            let ms = self.pause_ms.min(self.params.settle_timeout_ms - waited);
            self.pause_ms = (self.pause_ms * 2).min(MAX_PAUSE_MS);
            return Need::Wait { ms };
        }
        Need::Done(Box::new(self.conclude(&alignment, source, target, committed)))
    }
}

fn ms(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

impl Side {
    /// Takes in what was read from `from` on: behind the window, or before it once the whole older stretch is there.
    fn take(&mut self, from: i64, piece: LogWindow) -> Result<(), String> {
        if piece.from() != from || piece.to() <= from {
            return Err(format!("nothing was read from {from} on"));
        }
        self.read += piece.len() as u64;
        if from >= self.window.to() {
            return self.window.join(piece).map_err(|e| e.to_string());
        }
        let older = self.older.get_or_insert_with(|| LogWindow::new(from));
        older.join(piece).map_err(|e| e.to_string())?;
        let whole = older.to() == self.window.from();
        if let Some(mut older) = self.older.take_if(|_| whole) {
            older.join(std::mem::take(&mut self.window)).map_err(|e| e.to_string())?;
            self.window = older;
        }
        Ok(())
    }
}

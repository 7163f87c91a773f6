//! Translating one partition's position, sans I/O: a state machine that says what has to be read next, is given the
//! answers with the time they came, and ends in a [`PartitionPlan`]. The caller owns the connections, the clock and
//! the parallelism (one `Translation` a partition, as many side by side as it likes).
//!
//! The stages: both logs' ends; everything unconsumed on the source; by timestamp, how far back both windows must
//! reach; the windows; then rounds of "read the target's end, then the source's, and what came in between" until
//! every young record has its twin, or `settle_timeout_ms` is over. The order of the two ends matters: a record below
//! the target's end whose twin is already on the source is then always seen with it.

use serde::{Deserialize, Serialize};

use super::align::Axioms;
use super::identity::IdentityRule;
use super::strategy::{Claim, SeamOffsets, Strategy};
use super::verdict::PartitionPlan;
use super::window::{EndRead, EndSample, LogWindow, Rec};
use crate::base::{At, TopicPartition, Trouble};

mod asked;
mod conclude;
mod decide;
mod loaded_log;
mod place;
pub mod pool;
mod reach;
mod settling;
mod straight;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_strategies;

use loaded_log::LoadedLog;
use settling::Settling;

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
    /// What that commit carries besides the offset, if anything.
    pub metadata: Option<String>,
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
    /// The target takes records whose timestamps lie at most this far ahead of its clock, ms
    /// (`message.timestamp.after.max.ms`, or the older `difference`); `None`: however far, or it stamps them itself.
    pub target_after_max_ms: Option<u64>,
    /// How: `align`, or another strategy, which is then held against the contents as `align` sees them.
    pub strategy: Strategy,
    /// For `timestamp`: the moment; `None`: that of the oldest unconsumed record.
    pub at: Option<At>,
    /// The recorded seam, when there is one.
    pub seam: Option<SeamOffsets>,
    /// Where MirrorMaker 2 would put the group, when it says so.
    pub mm2: Option<Claim>,
    /// What an asked-for offset costs is counted by reading up to this many offsets of both logs together; beyond it
    /// an upper bound is given.
    pub count_records: u64,
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
            metadata: None,
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
            target_after_max_ms: None,
            strategy: Strategy::Align,
            at: None,
            seam: None,
            mm2: None,
            count_records: 2_000_000,
            max_records: 8_000_000,
        }
    }
}

/// What has to be done before the translation can go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// The bounds of both logs (ListOffsets EARLIEST, and LATEST with read_committed): the target's first, and
    /// the source's only once the target's answer is there. Answer: [`TranslationAnswer::Ends`].
    Ends,
    /// ListOffsets by time with read_committed: the first record with this timestamp (ms) or a later one.
    /// Answer: [`TranslationAnswer::Offset`].
    OffsetForTime {
        /// Which log to ask.
        log: Log,
        /// ms since the epoch.
        ts: i64,
    },
    /// All committed records with an offset in `from..to`. Answer: [`TranslationAnswer::Records`], in as many pieces as
    /// the caller likes: as long as a piece ends before `to`, the rest is asked for again.
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
    /// Wait this long, then answer [`TranslationAnswer::Waited`].
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// There is nothing more to do.
    Done(Box<PartitionPlan>),
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogPiece {
    /// Everything below this offset (and from where the request began) was read.
    pub next: i64,
    /// The records, in offset order.
    pub records: Vec<Rec>,
    /// One hash a record when keys were asked for, else empty.
    pub keys: Vec<u64>,
}

/// The answer to a [`Need`].
#[derive(Debug, Clone, PartialEq)]
pub enum TranslationAnswer {
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
    Records(LogPiece),
    /// To `Read`: the same as `Records`, packed and perhaps shared with others. Begins where the request did.
    Window(LogWindow),
    /// To `Wait`.
    Waited,
    /// It could not be done. The translation ends UNMAPPABLE with this as its reason; a caller that would rather
    /// try again does so before it answers.
    Failed(Trouble),
}

/// While a transaction is open on the source, what only the target has may be in it. So far back the windows show that:
/// a broker's default `transaction.max.timeout.ms`. An older one hangs, and is aborted when it ends (KIP-890).
const OPEN_FOR_MS: i64 = 900_000;

/// The state of one partition's translation.
#[derive(Debug, Clone)]
pub struct Translation {
    params: Params,
    source: LoadedLog,
    target: LoadedLog,
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
    settling: Settling<i64>,
    now: At,
    /// What the last alignment was made with.
    axioms: Option<Axioms>,
    /// For `timestamp`: ms since the epoch, once it is known.
    moment: Option<i64>,
    /// What an asked-for offset costs below the windows is not counted: too much to read.
    uncounted: bool,
    done: Option<Box<PartitionPlan>>,
}

impl Translation {
    /// A translation that has not read anything yet.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let source = LoadedLog { seen: params.source_seen.clone(), ..LoadedLog::default() };
        let target = LoadedLog { seen: params.target_seen.clone(), ..LoadedLog::default() };
        Translation {
            delta: signed_ms(params.pair_delta_ms),
            evidence: i64::from(params.evidence),
            params,
            source,
            target,
            oldest: None,
            asked: None,
            opened: false,
            settling: Settling::new(),
            now: At(0),
            axioms: None,
            moment: None,
            uncounted: false,
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
        let need = self.decide_next();
        if let Need::Done(plan) = &need {
            self.done = Some(plan.clone());
        } else {
            self.asked = Some(need.clone());
        }
        need
    }

    /// The answer to what `next` asked for, and when it was there. An answer to another question ends the
    /// translation UNMAPPABLE: the caller is broken then, and no offset may come of it.
    pub fn supply(&mut self, answer: TranslationAnswer, at: At) {
        self.now = at;
        // Nothing was asked, as after the end: a late answer must not change a plan that was given out.
        let Some(asked) = self.asked.take() else { return };
        let result = match (asked, answer) {
            (_, TranslationAnswer::Failed(why)) => Err(why.what),
            (Need::Ends, TranslationAnswer::Ends { source, target }) => self.note_ends(source, target),
            (Need::OffsetForTime { log, ts }, TranslationAnswer::Offset(offset)) => {
                self.log_mut(log).note_time(ts, offset);
                Ok(())
            }
            (Need::Read { log, from, to, .. }, TranslationAnswer::Records(batch)) => {
                let mut piece = LogWindow::new(from);
                // Whatever the caller claims, no more counts as read than was asked for: a gap taken for read
                // would hide records.
                let next = batch.next.clamp(from, to.max(from));
                let packed = piece.append(next, &batch.records, &batch.keys).map_err(|e| e.to_string());
                packed
                    .and_then(|()| self.log_mut(log).take_piece(from, piece))
                    .map_err(|e| format!("reading the {log}: {e}"))
            }
            (Need::Read { log, from, to, .. }, TranslationAnswer::Window(piece)) => {
                // A shared window may reach further than this group's request.
                self.log_mut(log).take_piece(from, piece.slice(from, to)).map_err(|e| format!("reading the {log}: {e}"))
            }
            (Need::Wait { .. }, TranslationAnswer::Waited) => {
                // Both ends are asked for anew; what is loaded stays, so that a round only reads what came since.
                (self.source.ends, self.target.ends) = (None, None);
                Ok(())
            }
            (asked, _) => Err(format!("the answer does not belong to the question {asked:?}")),
        };
        if let Err(why) = result {
            self.done = Some(Box::new(self.plan_unmappable(why)));
        }
    }

    /// What the last alignment was made with, and from which offsets on the source and the target were loaded:
    /// enough to check the answer against the definition.
    #[must_use]
    pub fn axioms(&self) -> Option<(&Axioms, i64, i64)> {
        self.axioms.as_ref().map(|a| (a, self.source.window.from(), self.target.window.from()))
    }

    fn log_mut(&mut self, log: Log) -> &mut LoadedLog {
        match log {
            Log::Source => &mut self.source,
            Log::Target => &mut self.target,
        }
    }

    fn note_ends(&mut self, source: EndRead, target: EndRead) -> Result<(), String> {
        self.source.note_ends(Log::Source, source)?;
        self.target.note_ends(Log::Target, target)
    }
}

pub(super) fn signed_ms(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

//! From an alignment to a plan: the verdict, and the words that go with it.

use super::super::align::{Alignment, Unsettled};
use super::super::identity::IdentityRule;
use super::super::strategy::Strategy;
use super::super::verdict::{
    CommitMetadata, Cut, CutRecord, PartitionPlan, SourcePosition, TargetPosition, TimeSpan, Times, Verdict,
};
use super::super::window::{EndRead, LogWindow};
use super::{Params, Translation, signed_ms};

/// Records shown on each side of the cut, on each log.
const SHOWN: usize = 2;

/// From how many records on, all alike at the same offsets, two logs look like a mirror.
const MIRRORED: usize = 8;

impl Translation {
    /// What was done.
    fn effective_strategy(&self) -> Strategy {
        match self.params.strategy {
            Strategy::Auto if self.params.seam.is_some() => Strategy::Seam,
            Strategy::Auto => Strategy::Align,
            other => other,
        }
    }

    /// Nothing safe can be said.
    pub(super) fn plan_unmappable(&self, why: impl Into<String>) -> PartitionPlan {
        let mut plan = PartitionPlan::unmappable(self.params.tp.clone(), self.effective_strategy(), why, self.now);
        plan.source.committed = self.params.committed;
        if let Some(ends) = self.source.ends {
            (plan.source.log_start, plan.source.end) = (ends.log_start, ends.end);
        }
        if let Some(ends) = self.target.ends {
            (plan.target.log_start, plan.target.end) = (ends.log_start, ends.end);
        }
        plan.read = (self.source.read, self.target.read);
        plan.metadata = self.params.metadata.clone().map(CommitMetadata::left_behind);
        plan
    }

    pub(super) fn conclude_aligned(
        &self,
        a: &Alignment,
        source: EndRead,
        target: EndRead,
        committed: i64,
    ) -> PartitionPlan {
        let (mut verdict, mut why) = self.judge_alignment(a, source, target);
        let expired = self.count_expired(source);
        if expired > 0 {
            let words = describe_expired(expired, self.params.strategy);
            (verdict, why) = (verdict.max(Verdict::Bounded), Some(join_reasons(words, why)));
        }
        let unconsumed = (self.source.window.len() - self.source.window.index_of(committed)) as u64;
        // What an open transaction on the target holds can't be compared: all of it may have been processed.
        let mut again = a.re_read + a.re_read_pending + target.high_watermark.abs_diff(target.end);
        // An offset that was asked for names this among its costs.
        if self.params.committed.is_none() && unconsumed > 0 && !self.params.strategy.is_asked_for() {
            (verdict, why) =
                (verdict.max(Verdict::Bounded), Some(join_reasons(describe_never_committed(unconsumed), why)));
            // Its auto.offset.reset may have let it read all of them.
            again += unconsumed;
        }
        let carried = self.params.metadata.as_ref().map(|m| m.len());
        let carries = carried.is_some() && self.one_to_one(committed, a.offset);
        if let (Some(bytes), false) = (carried, carries) {
            (verdict, why) =
                (verdict.max(Verdict::Bounded), Some(join_reasons(describe_lost_metadata(bytes, unconsumed), why)));
            again += unconsumed;
        }
        PartitionPlan {
            tp: self.params.tp.clone(),
            strategy: self.effective_strategy().into(),
            source: SourcePosition { committed: self.params.committed, log_start: source.log_start, end: source.end },
            target: TargetPosition { offset: Some(a.offset), log_start: target.log_start, end: target.end },
            verdict,
            re_read: Some(again),
            missing: Some(a.missing + expired),
            missing_ranges: a.missing_ranges.clone(),
            times: Times {
                missing: a.missing_times.map(TimeSpan::from_timestamps),
                re_read: a.re_read_times.map(TimeSpan::from_timestamps),
            },
            target_only: a.target_only,
            unsettled: a.unsettled,
            evidence: self.describe_evidence(a, committed),
            why,
            read: (self.source.read, self.target.read),
            cut: collect_cut(&self.source.window, committed, &self.target.window, a.offset),
            metadata: self.params.metadata.clone().map(|text| CommitMetadata { text, carried: carries }),
            at: self.now,
        }
    }

    /// Whether everything unconsumed lies at the same offsets on both logs, and nothing else: only there can what a commit
    /// says of single offsets mean the same.
    fn one_to_one(&self, committed: i64, offset: i64) -> bool {
        let (source, target) = (&self.source.window, &self.target.window);
        let (ours, theirs) = (source.index_of(committed), target.index_of(offset));
        committed == offset
            && source.len() - ours == target.len() - theirs
            && (ours..source.len()).zip(theirs..target.len()).all(|(a, b)| {
                let (a, b) = (source.get(a), target.get(b));
                (a.offset, a.id) == (b.offset, b.id)
            })
    }

    /// What it rests on, in a few words.
    fn describe_evidence(&self, a: &Alignment, committed: i64) -> String {
        let (source, target) = (&self.source.window, &self.target.window);
        if source.is_empty() && target.is_empty() {
            return "empty".to_owned();
        }
        let seeks = matches!(self.params.strategy, Strategy::Auto | Strategy::Mm2);
        let found = match &self.params.mm2 {
            Some(claim) if seeks => match a.offset - claim.offset {
                0 => format!("{} confirmed, ", claim.evidence),
                n => format!("{} {n:+}, ", claim.evidence),
            },
            None if seeks && a.offset == committed && is_mirrored(source, target) => "same offsets, ".to_owned(),
            _ => String::new(),
        };
        format!("{found}{}, {} records compared", self.params.rule, a.compared)
    }

    /// The verdict, and why it is not PROVEN.
    fn judge_alignment(&self, a: &Alignment, source: EndRead, target: EndRead) -> (Verdict, Option<String>) {
        // With nothing on the target there is nothing to skip or to read twice; and who has never been able to
        // consume anything can't have consumed what the target holds.
        let nothing_there = self.target.window.is_empty() && self.target.window.from() <= target.log_start;
        let never_any = self.source.window.is_empty() && source.log_start == 0 && self.source.window.from() == 0;
        let grounds = VerdictGrounds {
            compared: a.compared,
            plain: nothing_there || never_any,
            pair_distance: a.pair_distance,
            unsettled: a.unsettled,
            re_read_pending: a.re_read_pending,
            limited: a.limited,
            applied: self.delta,
        };
        let (verdict, why) = grounds.verdict(&self.params);
        let open = match (source.is_open(), target.is_open()) {
            (true, _) => format!(
                "a transaction is open on the source from offset {} on: whether the target has the {} offsets behind it \
                 can't be seen, and what only the target has may be in it, and is delivered",
                source.end,
                source.high_watermark.abs_diff(source.end)
            ),
            (false, true) => format!(
                "a transaction is open on the target from offset {} on: what it holds may be read again",
                target.end
            ),
            (false, false) => return (verdict, why),
        };
        (verdict.max(Verdict::Bounded), Some(join_reasons(open, why)))
    }
}

/// What a verdict rests on.
pub(super) struct VerdictGrounds {
    /// Records found on both logs.
    pub compared: u64,
    /// There is nothing that could have been compared.
    pub plain: bool,
    /// The largest distance of two records that look like one pair, ms.
    pub pair_distance: i64,
    pub unsettled: Unsettled,
    pub re_read_pending: u64,
    pub limited: bool,
    /// How far apart two timestamps could be and still be compared, ms.
    pub applied: i64,
}

impl VerdictGrounds {
    /// The verdict, and why it is not PROVEN.
    pub fn verdict(&self, params: &Params) -> (Verdict, Option<String>) {
        if self.compared == 0 && !self.plain {
            let why = "no record of one log was found on the other: is this topic dual-written, by this identity?";
            return (Verdict::Guess, Some(why.to_owned()));
        }
        if self.pair_distance > self.applied {
            let why = format!(
                "records that look like pairs carry timestamps {} ms apart, and no more than {} ms can be compared: is it \
                 event time on one cluster and LogAppendTime on the other?",
                self.pair_distance, self.applied
            );
            return (Verdict::Guess, Some(why));
        }
        let u = self.unsettled;
        // A1 is checked, not believed: seen pairs at more than half of it leave no room for those that were not seen.
        let delta = signed_ms(params.pair_delta_ms);
        let why = if params.rule == IdentityRule::Key {
            Some("identity \"key\" can't tell two records of one key apart".to_owned())
        } else if self.pair_distance > delta / 2 {
            Some(format!(
                "two records that look like one pair carry timestamps {} ms apart, more than half of pair_delta ({delta} ms)",
                self.pair_distance
            ))
        } else if !u.is_none() {
            Some(format!(
                "without a twin so far, which may still come or lie in an open transaction: {} consumed, {} unconsumed, {} on the target only; wait on, or accept the bound",
                u.consumed, u.unconsumed, u.target_only
            ))
        } else if self.re_read_pending > 0 {
            Some("some records after the offset are older than the windows, and may have been processed".to_owned())
        } else if self.limited {
            Some(
                "not all consumed copies of identical records could be counted, so a later offset may be safe too"
                    .to_owned(),
            )
        } else {
            None
        };
        (if why.is_some() { Verdict::Bounded } else { Verdict::Proven }, why)
    }
}

pub(super) fn collect_cut(source: &LogWindow, committed: i64, target: &LogWindow, offset: i64) -> Cut {
    let around = |window: &LogWindow, at: i64| {
        let i = window.index_of(at);
        (i.saturating_sub(SHOWN)..(i + SHOWN).min(window.len()))
            .map(|i| {
                let r = window.get(i);
                CutRecord { offset: r.offset, ts: r.ts, id: r.id.hex_prefix(), ..CutRecord::default() }
            })
            .collect()
    };
    Cut { source: around(source, committed), target: around(target, offset) }
}

/// Whether both logs hold the same records at the same offsets, as far as both windows reach.
fn is_mirrored(source: &LogWindow, target: &LogWindow) -> bool {
    let (from, to) = (source.from().max(target.from()), source.to().min(target.to()));
    let within = |w: &LogWindow| w.index_of(from)..w.index_of(to);
    let (ours, theirs) = (within(source), within(target));
    let same = |(a, b): (usize, usize)| {
        let (a, b) = (source.get(a), target.get(b));
        (a.offset, a.id) == (b.offset, b.id)
    };
    // Records that are all alike would agree when shifted, too.
    let telling = |ours: &std::ops::Range<usize>| ours.clone().any(|i| source.get(i).id != source.get(ours.start).id);
    ours.len() >= MIRRORED && ours.len() == theirs.len() && telling(&ours) && ours.zip(theirs).all(same)
}

/// What expired unread, and what can be done: no strategy makes it count less, because nothing on the source tells
/// which of it the target holds.
pub(super) fn describe_expired(expired: u64, strategy: Strategy) -> String {
    let expired = count_expired_as_missing(expired);
    match strategy {
        Strategy::Earliest | Strategy::Timestamp => format!(
            "{expired} also where `{strategy}` delivers what the target still holds of them; `--override missing` with a \
             reason goes on"
        ),
        _ => format!(
            "{expired} with every strategy; `earliest` or `timestamp` together with `--override missing` and a reason \
             delivers what the target still holds of them"
        ),
    }
}

/// The same where numbers of partitions differ: there `earliest` and `timestamp` are refused, and nobody is sent to them.
pub(super) fn describe_expired_in_pool(expired: u64) -> String {
    format!(
        "{}, whatever the target still holds of them: where numbers of partitions differ only `align` maps offsets; \
         `--override missing` with a reason goes on",
        count_expired_as_missing(expired)
    )
}

fn count_expired_as_missing(expired: u64) -> String {
    format!("{expired} offsets expired on the source before the group read them: they count as missing")
}

/// What can't be known where nothing was ever committed.
pub(super) fn describe_never_committed(unconsumed: u64) -> String {
    format!(
        "the group never committed here, and where its auto.offset.reset put it can't be seen: all {unconsumed} records \
         count as unconsumed, and it may have read them, or skipped them on purpose"
    )
}

/// What becomes of a commit's metadata that can't go along.
pub(super) fn describe_lost_metadata(bytes: usize, unconsumed: u64) -> String {
    format!(
        "its commit carries {bytes} bytes of metadata, which means nothing at other offsets and is not carried: what it \
         says was done beyond the offset is done again, up to {unconsumed} records"
    )
}

/// Two reasons as one.
pub(super) fn join_reasons(first: String, second: Option<String>) -> String {
    second.map_or_else(|| first.clone(), |second| format!("{first}; {second}"))
}

//! How far back both windows must reach, and which records are settled.

use super::super::align::Alignment;
use super::super::arrival::Ahead;
use super::super::window::EndRead;
use super::asked::Floor;
use super::settling::grow_evidence;
use super::{Log, Need, OPEN_FOR_MS, Params, Translation, signed_ms};
use crate::base::At;

impl Translation {
    pub(super) fn look_up(&mut self, log: Log, ts: i64) -> Option<Need> {
        (!self.log_mut(log).lookups.contains_key(&ts)).then_some(Need::OffsetForTime { log, ts })
    }

    /// Both windows must hold everything with this timestamp or a later one.
    pub(super) fn complete_from(&mut self, source: EndRead, target: EndRead, committed: i64) -> i64 {
        let reach = (self.source.window.to(), self.target.window.from(), self.target.window.to());
        // looked through once for each new stretch, not for each piece of an older one
        if self.oldest.is_none_or(|(_, seen)| seen != reach) {
            let before = self.oldest.map_or(i64::MAX, |(ts, _)| ts);
            self.oldest = Some((self.oldest_that_matters(source, target, committed).min(before), reach));
        }
        let oldest = self.oldest.map_or(i64::MAX, |(ts, _)| ts);
        // one delta to the target's copies, one to their twins, one for those to be complete
        let open = if source.is_open() { OPEN_FOR_MS } else { 0 };
        let more = signed_ms(self.params.window_ms).saturating_add(open);
        let needed = oldest.saturating_sub(self.delta.saturating_mul(3)).saturating_sub(more);
        match self.reading_floor() {
            Some(Floor::Time(ts)) => needed.min(ts.saturating_sub(self.delta.saturating_mul(2))),
            _ => needed,
        }
    }

    /// The oldest timestamp of what is unconsumed, young, or was written to the target alone.
    pub(super) fn oldest_that_matters(&self, source: EndRead, target: EndRead, committed: i64) -> i64 {
        let skew = signed_ms(self.params.arrival_skew_ms);
        let young = source.asked.0.min(target.asked.0).saturating_sub(skew);
        let from = self.source.window.index_of(committed);
        let unconsumed = self.source.window.iter().skip(from).map(|r| r.ts).min().unwrap_or(i64::MAX);
        let flip = self.params.target_only_since.map_or(i64::MAX, |at| at.0);
        // slow arrivals: a young record may be as old as its send was retried
        let tail = self.target.window.index_of(self.settled_below(Log::Target));
        let slow = self.target.window.iter().skip(tail).map(|r| r.ts).min().unwrap_or(i64::MAX);
        // At most one more skew back: one record with an ancient timestamp must not pull in the whole log.
        unconsumed.min(flip).min(young).min(slow.max(young.saturating_sub(skew)))
    }

    /// See [`LoadedLog::settled_by_samples`](super::loaded_log::LoadedLog::settled_by_samples).
    pub(super) fn settled_by_samples(&self, log: Log, other: EndRead, skew_ms: u64) -> Option<i64> {
        let side = if log == Log::Source { &self.source } else { &self.target };
        side.settled_by_samples(other.asked, skew_ms)
    }

    /// Records of this log below this offset are settled.
    pub(super) fn settled_below(&self, log: Log) -> i64 {
        let (side, other) = match log {
            Log::Source => (&self.source, self.target.ends),
            Log::Target => (&self.target, self.source.ends),
        };
        side.settled_below(other.map(|o| o.asked), self.params.arrival_skew_ms)
    }

    /// See [`Params::ahead_at`].
    pub(super) fn ahead_at(&self, target: EndRead) -> Ahead {
        self.params.ahead_at(target.asked)
    }

    /// See [`wider_delta`].
    pub(super) fn wider_delta(&self, alignment: &Alignment) -> Option<i64> {
        wider_delta(&self.params, self.delta, alignment.pair_distance)
    }

    /// Lets the windows grow, where there is more to read.
    pub(super) fn look_further_back(&mut self, source: EndRead, target: EndRead) -> bool {
        let more = self.source.window.from() > source.log_start || self.target.window.from() > target.log_start;
        grow_evidence(&mut self.evidence, more)
    }
}

impl Params {
    /// Source records whose timestamps lie ahead, when the target's end was asked for at `asked`.
    pub(super) fn ahead_at(&self, asked: At) -> Ahead {
        Ahead::as_of(asked.0, self.target_after_max_ms, signed_ms(self.arrival_skew_ms), signed_ms(self.pair_delta_ms))
    }
}

/// Offsets of a source partition that were not consumed and that an open transaction still hides of what was there at the
/// first whole look (`first`: its high watermark then): whether the target has them can't be seen.
pub(super) fn count_hidden(source: EndRead, committed: i64, first: i64) -> u64 {
    first.min(source.high_watermark).saturating_sub(source.end.max(committed)).max(0).unsigned_abs()
}

/// A1 must leave room: unique pairs that lie more than half of `delta` apart void it, so it is doubled at
/// least (which makes this end) and the windows are looked at again. The largest that makes sense is
/// `arrival_skew`, which a broker's LogAppendTime can be late by.
pub(super) fn wider_delta(params: &Params, delta: i64, pair_distance: i64) -> Option<i64> {
    let most = signed_ms(params.arrival_skew_ms).saturating_add(signed_ms(params.pair_delta_ms)).saturating_mul(2);
    let wanted = pair_distance.saturating_mul(2);
    (wanted > delta && delta < most).then(|| wanted.max(delta.saturating_mul(2)).min(most))
}

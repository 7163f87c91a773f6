//! Records that carry a time which lies ahead: theirs says nothing of when they arrived, so it can't tell whether their
//! twin may still be on its way (ARCHITECTURE.md, "Settled by arrival"). Other facts can: the other log refuses
//! such a record, or a record behind it in the same log is old and has its twin.

/// What is known of records of one log whose timestamps lie ahead. Times in ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// From here on a timestamp is no time of arrival: it lies after the moment at which the log was read.
    pub from: i64,
    /// The other log refuses records with this timestamp or a later one, and does so for longer than a twin may be late.
    pub refused_from: i64,
    /// A record with an earlier timestamp is old, and so is everything before it in its log.
    pub old_before: i64,
}

impl Ahead {
    /// Nothing lies ahead.
    pub const NONE: Ahead = Ahead { from: i64::MAX, refused_from: i64::MAX, old_before: i64::MIN };

    /// Seen at `now` (ms), when the other log takes records that are at most `limit_ms` ahead of its clock, as long as it
    /// stamps none itself (`message.timestamp.after.max.ms`, KIP-937); `skew_ms`: how late a twin may come; `delta_ms`: how
    /// far apart the timestamps of twins may be.
    #[must_use]
    pub fn as_of(now: i64, limit_ms: Option<u64>, skew_ms: i64, delta_ms: i64) -> Self {
        let refused = |limit: u64| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            // A twin that comes as late as it may is judged by the broker's clock of then.
            now.saturating_add(limit).saturating_add(skew_ms).saturating_add(delta_ms)
        };
        Self {
            // A producer's clock may run ahead of ours by as much as twins may lie apart: that is no time ahead yet.
            from: now.saturating_add(delta_ms),
            refused_from: limit_ms.map_or(i64::MAX, refused),
            old_before: now.saturating_sub(skew_ms).saturating_sub(delta_ms),
        }
    }

    /// Whether a record's own timestamp says nothing of its arrival.
    #[must_use]
    pub(crate) fn is_ahead(&self, ts: i64) -> bool {
        ts >= self.from
    }

    /// Whether no twin of such a record can come any more. `old_to`: one past the last record of its log that is old and has
    /// its twin.
    #[must_use]
    pub fn is_settled(&self, ts: i64, offset: i64, old_to: i64) -> bool {
        // `i64::MAX` says that nothing is refused, and a record may carry that very timestamp.
        let refused = self.refused_from < i64::MAX && ts >= self.refused_from;
        self.is_ahead(ts) && (refused || offset < old_to)
    }
}

impl Default for Ahead {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    #[test]
    fn a_time_that_lies_ahead_is_settled_by_another_fact_or_not_at_all() {
        let hour = 3_600_000;
        let limited = Ahead::as_of(NOW, Some(3_600_000), 130_000, 5_000);
        let (soon, late) = (NOW + 60_000, NOW + 2 * hour);
        assert!(limited.is_settled(late, 100, i64::MIN), "the other log refuses it");
        assert!(!limited.is_settled(soon, 100, i64::MIN), "it may come yet");
        assert!(!limited.is_settled(NOW + hour + 100_000, 100, i64::MIN), "it is taken before it is too late");
        assert!(limited.is_settled(soon, 100, 101), "what came after it is old");
        assert!(!limited.is_settled(NOW - hour, 100, 101), "its own time speaks");
        let free = Ahead::as_of(NOW, None, 130_000, 5_000);
        assert!(!free.is_settled(i64::MAX - 1, 100, 100) && free.is_settled(i64::MAX - 1, 99, 100));
        assert!(!Ahead::NONE.is_settled(i64::MAX - 1, 0, 1));
        assert!(!free.is_settled(i64::MAX, 100, 100), "the greatest time of all");
        let never = Ahead::as_of(NOW, Some(u64::MAX), 130_000, 5_000);
        assert!(!never.is_settled(i64::MAX - 1, 5, i64::MIN), "no limit is none");
    }
}

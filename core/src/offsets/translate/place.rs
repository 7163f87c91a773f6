//! Where a group stands on a partition of the source, by what it has committed there: for one partition's translation
//! and for a pool's alike.

use super::super::window::EndRead;

/// Offsets of a log up to which all of it counts as unconsumed by a group that never committed there: more would hardly
/// be within anybody's limit of what is read again.
const NEVER_COMMITTED: u64 = 200_000;

/// Why a commit, or none, says no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// It never committed, and the log holds too many offsets for all of them to count as unconsumed.
    NeverCommitted {
        /// How many it holds.
        held: u64,
    },
    /// What it committed is negative.
    NoOffset {
        /// What it committed.
        at: i64,
    },
    /// What it committed lies beyond the last stable offset, and not beyond what was written: a transaction is open.
    Unstable {
        /// What it committed.
        at: i64,
    },
    /// What it committed lies beyond what was written.
    BeyondEnd {
        /// What it committed.
        at: i64,
    },
}

/// The group's position within a log. `all_owed`: without a commit the whole log counts as unconsumed, however long it
/// is.
pub(super) fn find_place(committed: Option<i64>, ends: EndRead, all_owed: bool) -> Result<i64, NoPlace> {
    let EndRead { log_start, end, high_watermark, .. } = ends;
    match committed {
        // An empty log: whatever its auto.offset.reset, it would read what comes next. (Or all that ever came has
        // expired: the same.)
        None if log_start == end && high_watermark == end => Ok(end),
        // Where auto.offset.reset put it nobody can see: no earlier than the log's start, so all of it is owed.
        None if all_owed || end.abs_diff(log_start) <= NEVER_COMMITTED => Ok(log_start),
        None => Err(NoPlace::NeverCommitted { held: end.abs_diff(log_start) }),
        Some(at) if at < 0 => Err(NoPlace::NoOffset { at }),
        Some(at) if at > end && at <= high_watermark => Err(NoPlace::Unstable { at }),
        Some(at) if at > end => Err(NoPlace::BeyondEnd { at }),
        // Below the log's start: there. What expired before it was read is counted apart.
        Some(at) => Ok(at.max(log_start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;

    #[test]
    fn a_commit_says_a_position_only_within_what_is_stable() {
        let ends =
            |log_start, end, high_watermark| EndRead { log_start, end, high_watermark, asked: At(1), answered: At(2) };
        let open = ends(10, 100, 120);
        let long = ends(0, 200_001, 200_001);
        for (committed, ends, all_owed, place) in [
            (Some(50), open, false, Ok(50)),
            (Some(100), open, false, Ok(100)),
            (Some(5), open, false, Ok(10)),
            (Some(-1), open, false, Err(NoPlace::NoOffset { at: -1 })),
            (Some(101), open, false, Err(NoPlace::Unstable { at: 101 })),
            (Some(120), open, false, Err(NoPlace::Unstable { at: 120 })),
            (Some(121), open, false, Err(NoPlace::BeyondEnd { at: 121 })),
            (None, open, false, Ok(10)),
            (None, ends(30, 30, 30), false, Ok(30)),
            (None, ends(0, 200_000, 200_000), false, Ok(0)),
            (None, long, false, Err(NoPlace::NeverCommitted { held: 200_001 })),
            (None, long, true, Ok(0)),
            (Some(-1), long, true, Err(NoPlace::NoOffset { at: -1 })),
        ] {
            assert_eq!(find_place(committed, ends, all_owed), place, "{committed:?} in {ends:?}, {all_owed}");
        }
    }
}

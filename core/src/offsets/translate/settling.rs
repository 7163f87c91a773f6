//! Waiting for young records: what is waited for, how long, and how often is looked.

use super::Params;
use crate::base::At;
use crate::offsets::align::Unsettled;

/// The first pause of the settle rounds; each next one is twice as long, up to [`MAX_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 100;
const MAX_PAUSE_MS: u64 = 1_000;
/// Looks further apart than this, because others of the batch had much to read, would leave what came in between unseen.
const LONG_AGO_MS: u64 = 5_000;
/// On an idle partition whose writers interleaved differently, the last few records of the two logs may be of
/// different writers. So while nothing is found on both, the windows grow, up to this many offsets a log.
const MOST_EVIDENCE: i64 = 8_192;
/// How much they grow at a time.
const MORE_EVIDENCE: i64 = 8;

/// Where the source and the target ended, by their high watermarks: `T` is an offset, or one a partition.
pub(super) type BothEnds<T> = [T; 2];

/// What is waited for: only what was there when the windows were complete for the first time. Of a busy topic something
/// younger is always on its way.
#[derive(Debug, Clone)]
pub(super) struct Settling<T> {
    /// The first time, and where both logs ended then. After a longer pause ([`LONG_AGO_MS`]) it is made anew.
    first: Option<(At, BothEnds<T>)>,
    last: Option<At>,
    pause_ms: u64,
}

impl<T> Settling<T> {
    pub(super) fn new() -> Self {
        Self { first: None, last: None, pause_ms: FIRST_PAUSE_MS }
    }

    /// Notes that the windows are complete now, with both logs ending at `ends`. Returns the ends that count.
    pub(super) fn note_look(&mut self, now: At, ends: BothEnds<T>) -> &BothEnds<T> {
        if self.last.is_some_and(|last| now.since(last) > LONG_AGO_MS) {
            self.first = None;
        }
        self.last = Some(now);
        &self.first.get_or_insert((now, ends)).1
    }

    /// How long to wait before the next look, ms; `None` when it is over. `open`: a transaction is open on either log.
    pub(super) fn next_pause(&mut self, params: &Params, unsettled: &Unsettled, open: bool) -> Option<u64> {
        let waited = self.last.zip(self.first.as_ref()).map_or(0, |(last, (first, _))| last.since(*first));
        let left = params.settle_timeout_ms.saturating_sub(waited);
        // An open transaction may end in time, and show what it hides: worth waiting for, even with nothing unsettled.
        if !params.settle || (unsettled.is_none() && !open) || left == 0 {
            return None;
        }
        let ms = self.pause_ms.min(left);
        self.pause_ms = (self.pause_ms * 2).min(MAX_PAUSE_MS);
        Some(ms)
    }
}

/// How many of them are so.
pub(super) fn count_where<T>(of: &[T], so: impl Fn(&T) -> bool) -> u64 {
    of.iter().filter(|one| so(one)).count() as u64
}

/// Lets windows grow that show no evidence yet, if there is `more` to read. Returns whether they do.
pub(super) fn grow_evidence(evidence: &mut i64, more: bool) -> bool {
    let room = more && *evidence < MOST_EVIDENCE;
    if room {
        // A plan may set no evidence at all, and 0 would never grow.
        *evidence = (*evidence).max(1).saturating_mul(MORE_EVIDENCE).min(MOST_EVIDENCE);
    }
    room
}

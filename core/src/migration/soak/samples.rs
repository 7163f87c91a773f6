//! Samples of one number over time, bounded, with honest holes: what a soak's clock is counted from.
//!
//! Samples that follow each other closely and were judged alike lie together in a [`SampleStretch`]. Time counts inside a
//! stretch, and between two of them when no more than the allowed gap lies between; a longer silence is a hole: it is
//! never counted, and it takes nothing away that was counted before it. What was judged bad starts the count anew.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::base::At;

/// Stretches a series holds at most; the oldest go first, and with them the time they counted.
pub const MAX_STRETCHES: usize = 1024;
/// A stretch is at most this part of the time that is needed: one bad sample spoils no more than that.
const GRAINS: u64 = 360;
/// A sample that seems to come from the future by no more than this is no sign of a clock that was set back, ms.
pub(crate) const CLOCK_SLACK_MS: u64 = 1_000;

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SampleMark {
    /// Within the limit.
    Good,
    /// Beyond it: what was counted starts anew.
    Bad,
    /// Nothing happened that could be judged: neither counts nor starts anew.
    Idle,
}

/// Samples that follow each other closely and were judged alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SampleStretch {
    /// When the first of them was taken.
    pub first: At,
    /// When the last of them was taken.
    pub last: At,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The newest value.
    pub value: f64,
    /// How they were judged.
    pub mark: SampleMark,
}

/// Time without a sample, longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The last sample before it, or when watching began.
    pub from: At,
    /// The first sample after it, or now.
    pub to: At,
}

/// What has to be written to keep a series as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesChange {
    /// Stretches that begin before this are not kept any more.
    pub keep_from: At,
    /// Stretches that begin here or later are replaced ...
    pub replace_from: At,
    /// ... by these.
    pub stretches: Vec<SampleStretch>,
}

/// See the module's words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SampleSeries {
    stretches: VecDeque<SampleStretch>,
    /// Longest stretch, ms.
    grain_ms: u64,
    /// Stretches that begin here or later are not saved as they are.
    unsaved: Option<At>,
    /// A bad stretch began that is not saved: without it a restart would count over it.
    urgent: bool,
}

impl SampleSeries {
    /// An empty series for a count of `needed_ms`.
    #[must_use]
    pub fn new(needed_ms: u64) -> Self {
        Self { stretches: VecDeque::new(), grain_ms: needed_ms / GRAINS, unsaved: None, urgent: false }
    }

    /// What was kept of it, oldest first, from `since` on. What is out of order is left out.
    #[must_use]
    pub(crate) fn restored(needed_ms: u64, since: At, kept: impl IntoIterator<Item = SampleStretch>) -> Self {
        let mut series = Self::new(needed_ms);
        for s in kept {
            let sane = s.first >= since && s.first <= s.last && s.value.is_finite();
            if sane && series.stretches.back().is_none_or(|b| b.last < s.first) {
                series.push(s);
            }
        }
        series
    }

    /// Takes a sample in. One that is not newer than the last adds nothing; one that is older by more than
    /// [`CLOCK_SLACK_MS`] shows that the clock was set back: what was counted later than it can't be told from what is
    /// still to come, and is dropped.
    pub(crate) fn take_sample(&mut self, at: At, value: f64, mark: SampleMark, gap_ms: u64) {
        if let Some(last) = self.last_at() {
            // A step back as small as this is how clocks are kept right: it undoes nothing that was counted.
            if at <= last && last.since(at) <= CLOCK_SLACK_MS {
                return;
            }
            if at < last {
                self.forget_from(at);
            }
        }
        if let Some(s) = self.stretches.back_mut()
            && s.mark == mark
            && at.since(s.last) <= gap_ms
            // idle time counts nothing, so it may lie together however long it is
            && (mark == SampleMark::Idle || at.since(s.first) <= self.grain_ms)
        {
            (s.last, s.value) = (at, value);
            (s.min, s.max) = (s.min.min(value), s.max.max(value));
            let first = s.first;
            self.mark_unsaved(first);
            return;
        }
        // A good stretch may wait for the next save: a restart loses its time, and claims nothing.
        self.urgent |= mark == SampleMark::Bad;
        self.push(SampleStretch { first: at, last: at, min: value, max: value, value, mark });
        self.mark_unsaved(at);
    }

    fn push(&mut self, s: SampleStretch) {
        if self.stretches.len() >= MAX_STRETCHES {
            self.stretches.pop_front();
        }
        self.stretches.push_back(s);
    }

    fn mark_unsaved(&mut self, first: At) {
        self.unsaved = Some(self.unsaved.map_or(first, |u| u.min(first)));
    }

    fn forget_from(&mut self, at: At) {
        // Whole stretches: which samples of one lie before that moment is not kept.
        while let Some(s) = self.stretches.back().copied().filter(|s| s.last >= at) {
            self.stretches.pop_back();
            self.mark_unsaved(s.first);
        }
    }

    /// When the newest sample was taken.
    #[must_use]
    pub(crate) fn last_at(&self) -> Option<At> {
        self.stretches.back().map(|s| s.last)
    }

    /// The newest stretch.
    #[must_use]
    pub fn newest(&self) -> Option<&SampleStretch> {
        self.stretches.back()
    }

    /// The largest value of all samples that are held.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.stretches.iter().map(|s| s.max).reduce(f64::max)
    }

    /// All stretches, oldest first.
    pub fn stretches(&self) -> impl DoubleEndedIterator<Item = &SampleStretch> + Clone {
        self.stretches.iter()
    }

    /// For how long samples were good since the last bad one, ms: without holes and without idle time.
    #[must_use]
    pub fn held_ms(&self, gap_ms: u64) -> u64 {
        let mut held = 0u64;
        let mut later: Option<&SampleStretch> = None;
        for s in self.stretches.iter().rev() {
            match s.mark {
                SampleMark::Bad => break,
                SampleMark::Idle => {}
                SampleMark::Good => {
                    // Time between a good stretch and an idle one is neither's.
                    let between = later.filter(|l| l.mark == SampleMark::Good).map_or(0, |l| l.first.since(s.last));
                    held += s.last.since(s.first) + if between <= gap_ms { between } else { 0 };
                }
            }
            later = Some(s);
        }
        held
    }

    /// For how long every sample was bad, up to the newest and without a hole, ms; `None` when the newest is not bad.
    #[must_use]
    pub(crate) fn bad_for_ms(&self, gap_ms: u64) -> Option<u64> {
        let newest = self.newest().filter(|s| s.mark == SampleMark::Bad)?;
        let mut from = newest.first;
        for s in self.stretches.iter().rev().skip(1) {
            // A hole ends it: what was not measured is not known to have been bad, and a trigger must not act on it.
            if s.mark != SampleMark::Bad || from.since(s.last) > gap_ms {
                break;
            }
            from = s.first;
        }
        Some(newest.last.since(from))
    }

    /// Holes between `since` and `now`, oldest first.
    #[must_use]
    pub fn holes(&self, since: At, now: At, gap_ms: u64) -> Vec<Hole> {
        let mut from = since;
        let mut holes = Vec::new();
        // Silence from the newest sample to now is a hole like any other.
        for (first, last) in self.stretches.iter().map(|s| (s.first, s.last)).chain([(now, now)]) {
            if first.since(from) > gap_ms {
                holes.push(Hole { from, to: first });
            }
            from = from.max(last);
        }
        holes
    }

    /// Whether what changed should be saved at once.
    #[must_use]
    pub(crate) fn urgent(&self) -> bool {
        self.urgent
    }

    /// What was asked for could not be saved: all of it is to be saved again.
    pub(crate) fn mark_all_unsaved(&mut self) {
        if let Some(first) = self.stretches.front().map(|s| s.first) {
            self.mark_unsaved(first);
        }
    }

    /// What changed since this was last asked; `None`: nothing.
    pub fn take_changes(&mut self) -> Option<SeriesChange> {
        let replace_from = self.unsaved.take()?;
        self.urgent = false;
        let stretches = self.stretches.iter().filter(|s| s.first >= replace_from).copied().collect();
        // What fell out at the front by the bound is let go where it is kept, too.
        let keep_from = self.stretches.front().map_or(replace_from, |s| s.first);
        Some(SeriesChange { keep_from, replace_from, stretches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: u64 = 60_000;

    /// Samples every 10 s from `from` to `to` (s, both included).
    fn fill(series: &mut SampleSeries, from: i64, to: i64, mark: SampleMark) {
        for s in (from..=to).step_by(10) {
            series.take_sample(At(s * 1000), 1.0, mark, GAP);
        }
    }

    #[test]
    fn holes_count_nothing_and_take_nothing_away() {
        let mut s = SampleSeries::new(4 * 3_600_000);
        fill(&mut s, 0, 3600, SampleMark::Good);
        assert_eq!(s.held_ms(GAP), 3_600_000);
        fill(&mut s, 3660, 7200, SampleMark::Good);
        assert_eq!(s.held_ms(GAP), 7_200_000, "60 s are no hole");
        fill(&mut s, 7261, 7261 + 3600, SampleMark::Good);
        assert_eq!(s.held_ms(GAP), 10_800_000, "61 s are one");
        assert_eq!(s.holes(At(0), At(10_861_000), GAP), [Hole { from: At(7_200_000), to: At(7_261_000) }]);
        assert_eq!(s.holes(At(0), At(10_961_000), GAP).len(), 2, "the silence up to now");
    }

    #[test]
    fn bad_starts_anew_and_idle_does_neither() {
        let mut s = SampleSeries::new(3_600_000);
        fill(&mut s, 0, 100, SampleMark::Good);
        fill(&mut s, 110, 200, SampleMark::Idle);
        fill(&mut s, 210, 300, SampleMark::Good);
        assert_eq!(s.held_ms(GAP), 190_000, "between good and idle nothing counts");
        s.take_sample(At(310_000), 9.0, SampleMark::Bad, GAP);
        assert_eq!(s.held_ms(GAP), 0);
        fill(&mut s, 320, 350, SampleMark::Good);
        assert_eq!(s.held_ms(GAP), 30_000);
        assert_eq!(s.bad_for_ms(GAP), None);
    }

    #[test]
    fn a_clock_that_is_set_back_drops_what_was_counted_after() {
        let mut s = SampleSeries::new(3_600_000);
        fill(&mut s, 0, 3000, SampleMark::Good);
        s.take_sample(At(1_000_000), 1.0, SampleMark::Good, GAP);
        assert!(s.held_ms(GAP) <= 1_000_000, "{}", s.held_ms(GAP));
        assert_eq!(s.last_at(), Some(At(1_000_000)));
        fill(&mut s, 1010, 3000, SampleMark::Good);
        assert!(s.held_ms(GAP) <= 3_000_000, "the same time is never counted twice");
    }

    #[test]
    fn it_is_bounded_and_saves_what_changed() {
        let mut s = SampleSeries::new(3_600_000);
        for i in 0..5000 {
            s.take_sample(At(i * 1000), 1.0, if i % 2 == 0 { SampleMark::Good } else { SampleMark::Bad }, GAP);
        }
        assert_eq!(s.stretches().count(), MAX_STRETCHES);
        let all = s.take_changes().unwrap();
        assert_eq!((all.stretches.len(), all.keep_from), (MAX_STRETCHES, At((5000 - 1024) * 1000)));
        assert_eq!(s.take_changes(), None);
        s.take_sample(At(5_000_000), 1.0, SampleMark::Bad, GAP);
        assert!(!s.urgent(), "it joined the last stretch");
        let one = s.take_changes().unwrap();
        assert_eq!((one.stretches.len(), one.replace_from), (1, At(4_999_000)), "it joined the last stretch");
        let again = SampleSeries::restored(3_600_000, At(0), s.stretches().copied().collect::<Vec<_>>());
        assert_eq!(again.held_ms(GAP), s.held_ms(GAP));
        assert_eq!(again.stretches().count(), s.stretches().count());
    }

    #[test]
    fn bad_for_needs_every_sample_and_no_hole() {
        let mut s = SampleSeries::new(900_000);
        fill(&mut s, 0, 100, SampleMark::Bad);
        assert_eq!(s.bad_for_ms(GAP), Some(100_000));
        fill(&mut s, 200, 250, SampleMark::Bad);
        assert_eq!(s.bad_for_ms(GAP), Some(50_000), "from after the hole");
    }
}

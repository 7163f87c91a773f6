//! The ends of one partition over time: when one passed an offset is how old the record there is.

use std::collections::VecDeque;

use crate::base::At;

/// Ends remembered per partition for time lag, in each of two tiers: all of the newest, and a sparser and sparser rest.
const END_SAMPLES: usize = 32;

/// The ends of one partition over time.
#[derive(Debug, Clone, Default)]
pub(super) struct EndHistory {
    fine: VecDeque<(At, i64)>,
    /// What fell out of `fine`, one in `stride`.
    coarse: Vec<(At, i64)>,
    stride: usize,
    skipped: usize,
    /// Times in which nobody looked, each between the two samples around it.
    holes: VecDeque<(At, At)>,
}

impl EndHistory {
    /// Takes a sample in; one that comes later than `gap` ms after the one before leaves a hole.
    pub(super) fn push(&mut self, at: At, end: i64, gap: u64) {
        // An end that went back is another log (recreated, truncated): what was known of the old one is void. So it is
        // when the clock was set back: how far apart the samples lie is not known then.
        if self.fine.back().is_some_and(|(was, last)| end < *last || at < *was) {
            *self = EndHistory::default();
        }
        if let Some((was, _)) = self.fine.back().filter(|(was, _)| at.since(*was) > gap) {
            // With too many the oldest two become one: that claims less.
            if self.holes.len() >= END_SAMPLES
                && let (Some((from, _)), Some(second)) = (self.holes.pop_front(), self.holes.front_mut())
            {
                second.0 = from;
            }
            self.holes.push_back((*was, at));
        }
        if self.fine.len() >= END_SAMPLES
            && let Some(old) = self.fine.pop_front()
        {
            self.skipped += 1;
            if self.skipped >= self.stride.max(1) {
                self.skipped = 0;
                self.coarse.push(old);
            }
            if self.coarse.len() >= END_SAMPLES {
                let mut i = 0;
                // Every other one goes: the same number of samples then reaches back twice as far.
                self.coarse.retain(|_| {
                    i += 1;
                    i % 2 == 1
                });
                self.stride = self.stride.max(1) * 2;
            }
        }
        self.fine.push_back((at, end));
    }

    /// When the end passed `offset`, interpolated between samples; `seen` when it is not beyond it now, `None` when
    /// that was before the oldest sample or in a hole, or the end is not known now.
    pub(super) fn passed_at(&self, offset: i64, seen: At) -> Option<At> {
        let &(newest, end) = self.fine.back()?;
        if end <= offset {
            return (newest == seen).then_some(seen);
        }
        let mut before: Option<(At, i64)> = None;
        for &(at, end) in self.coarse.iter().chain(&self.fine) {
            if end > offset {
                let (from, had) = before?;
                // An end that moved while nobody looked may have done so at any time of it.
                if self.holes.iter().any(|(begun, over)| *begun < at && *over > from) {
                    return None;
                }
                let ms = at.since(from);
                // The record at `offset` is there once the end lies one beyond it.
                let part = u128::from(ms) * u128::from(offset.abs_diff(had) + 1) / u128::from(end.abs_diff(had)).max(1);
                return Some(from.plus(u64::try_from(part).unwrap_or(ms).min(ms)));
            }
            before = Some((at, end));
        }
        None
    }
    /// Whether it holds no more than it may.
    #[cfg(test)]
    pub(super) fn is_bounded(&self) -> bool {
        [self.fine.len(), self.coarse.len(), self.holes.len()].into_iter().all(|len| len <= END_SAMPLES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_seen_only_now_and_then_tells_no_age_and_keeps_few_holes() {
        let mut flickering = EndHistory::default();
        (0..100).for_each(|i| flickering.push(At(i * 10_000), i, 3_000));
        assert!(flickering.is_bounded(), "{flickering:?}");
        assert_eq!(flickering.passed_at(50, At(990_000)), None);
        assert_eq!(flickering.passed_at(5, At(990_000)), None, "of the oldest holes, too");
    }
}

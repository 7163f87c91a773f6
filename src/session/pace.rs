//! How often something is looked at: never overlapping, slower when a round takes long, backing off while it fails.

/// The longest pause between two attempts at something that fails, ms.
pub(crate) const LONGEST_PAUSE_MS: u64 = 15_000;
/// Failures in a row after which the pause stops growing.
const DOUBLINGS: u32 = 4;

/// The schedule of one poller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    interval_ms: u64,
    failures: u32,
}

impl Pace {
    /// A look every `interval_ms` when all is well.
    #[must_use]
    pub fn every(interval_ms: u64) -> Self {
        Self { interval_ms, failures: 0 }
    }

    /// How long to wait after a round that took `took_ms` and worked, or did not.
    ///
    /// A good round is followed by the rest of the interval, and by at least as long as it took itself: the cluster
    /// is busy with us half of the time at most. Failed ones double the interval, up to [`LONGEST_PAUSE_MS`].
    pub(crate) fn pause_after(&mut self, took_ms: u64, worked: bool) -> u64 {
        if worked {
            if self.failures > 0 {
                tracing::info!(took_ms, "a poller's look worked again");
            }
            self.failures = 0;
            return self.interval_ms.saturating_sub(took_ms).max(took_ms).min(LONGEST_PAUSE_MS);
        }
        self.failures = (self.failures + 1).min(DOUBLINGS);
        // An interval above the longest pause stays what it is: a failure must not make it shorter.
        let ms = (self.interval_ms << self.failures).clamp(self.interval_ms, LONGEST_PAUSE_MS.max(self.interval_ms));
        tracing::debug!(took_ms, ms, "a poller pauses");
        ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_round_keeps_the_interval_and_a_long_one_stretches_it() {
        let mut pace = Pace::every(1_000);
        assert_eq!(pace.pause_after(200, true), 800);
        assert_eq!(pace.pause_after(900, true), 900);
        assert_eq!(pace.pause_after(4_000, true), 4_000);
        assert_eq!(pace.pause_after(60_000, true), LONGEST_PAUSE_MS);
    }

    #[test]
    fn failures_back_off_to_a_bound_and_a_success_starts_over() {
        let mut pace = Pace::every(1_000);
        let pauses: Vec<_> = (0..6).map(|_| pace.pause_after(5, false)).collect();
        assert_eq!(pauses, [2_000, 4_000, 8_000, LONGEST_PAUSE_MS, LONGEST_PAUSE_MS, LONGEST_PAUSE_MS]);
        assert_eq!(pace.pause_after(0, true), 1_000);
        assert_eq!(pace.pause_after(0, false), 2_000);
        assert_eq!(Pace::every(60_000).pause_after(0, false), 60_000);
    }
}

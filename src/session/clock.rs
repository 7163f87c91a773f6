//! The one clock. Everything pure gets time as an argument, and the argument comes from here.
#![allow(clippy::disallowed_methods, reason = "the one place that reads a clock and sleeps")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::At;

/// Reads the machine's clock. Wall-clock time: the journal compares it across restarts, and a step of the
/// clock makes facts stale instead of young ([`crate::base::Observed::freshness`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(self) -> At {
        let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        At(ms)
    }

    /// Starts a stopwatch that no step of the wall clock disturbs.
    #[must_use]
    pub(crate) fn stopwatch(self) -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Sleeps `ms` milliseconds.
    pub async fn sleep(self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// A stopwatch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Milliseconds since it was started.
    #[must_use]
    pub(crate) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Time since it was started.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

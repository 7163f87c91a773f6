//! How fast a diff may read: a rate over both sides, and room for brokers that get slow.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::base::{Side, ignore_poison, lock_unpoisoned};
use crate::plan::size;
use crate::session::clock::{Clock, Stopwatch};

/// Grain of waiting, so that an interrupt is seen soon.
const STEP: Duration = Duration::from_millis(50);
/// However slow a broker is, a diff goes on with this many bytes a second: it must end some day.
const LEAST: f64 = 256_000.0;
/// Bytes that may be taken ahead of time: a tenth of a second's worth, at least a batch.
const BURST: f64 = 64_000.0;

/// Shared by both readers.
pub(super) struct ReadPace {
    state: Mutex<PaceState>,
    bell: Condvar,
    back_off_above_ms: u64,
}

struct PaceState {
    /// Asked for by a person.
    rate: Option<f64>,
    /// 1 while the brokers keep up.
    share: f64,
    /// What was read a second when the brokers got slow.
    measured: f64,
    why: Option<String>,
    credit: f64,
    refilled: Stopwatch,
    taken: f64,
    counted: Stopwatch,
}

impl ReadPace {
    pub fn new(rate: Option<u64>, back_off_above_ms: u64) -> Self {
        let now = Clock.stopwatch();
        let state = PaceState {
            rate: rate.map(|r| r as f64),
            share: 1.0,
            measured: 0.0,
            why: None,
            credit: BURST,
            refilled: now,
            taken: 0.0,
            counted: now,
        };
        Self { state: Mutex::new(state), bell: Condvar::new(), back_off_above_ms }
    }

    /// Takes `bytes` that were read, and waits as long as that was too fast, or until `stopped`.
    pub(crate) fn take_bytes(&self, bytes: u64, stopped: &dyn Fn() -> bool) {
        let mut state = lock_unpoisoned(&self.state);
        state.taken += bytes as f64;
        state.credit -= bytes as f64;
        while !stopped() {
            let Some(limit) = state.limit() else {
                // Without a limit nothing is owed: what was read by now must not be waited for when a limit comes.
                state.credit = 0.0;
                return;
            };
            state.refill(limit);
            if state.credit >= 0.0 {
                return;
            }
            let wait = Duration::from_secs_f64((-state.credit / limit).min(STEP.as_secs_f64()));
            state = ignore_poison(self.bell.wait_timeout(state, wait)).0;
        }
    }

    /// Takes in how long a small request to a side took.
    pub(crate) fn note_answer_time(&self, side: Side, ms: u64) {
        let mut state = lock_unpoisoned(&self.state);
        // Two answers in one moment must not divide by zero.
        let seconds = state.counted.elapsed().as_secs_f64().max(0.001);
        let speed = state.taken / seconds;
        if ms > self.back_off_above_ms {
            // Only at full speed: what is read once it is slowed down says nothing of what the brokers bore.
            if state.share >= 1.0 {
                state.measured = speed.max(LEAST);
            }
            tracing::info!(%side, ms, limit_ms = self.back_off_above_ms, share = state.share / 2.0, "reads slower");
            state.share = (state.share / 2.0).max(1.0 / 256.0);
            let limit = state.limit().unwrap_or(LEAST);
            let shown = size::format_size(limit as u64);
            let allowed = self.back_off_above_ms;
            state.why = Some(format!("{side} takes {ms} ms to answer (limit {allowed} ms): reading {shown}/s"));
        } else if state.share < 1.0 {
            // Down by half and up by a quarter: a broker that has only just recovered is not given all of it again.
            state.share *= 1.25;
            if state.share >= 1.0 {
                state.share = 1.0;
                state.why = None;
                tracing::info!(%side, ms, "reads at full speed again");
            }
        }
        (state.taken, state.counted) = (0.0, Clock.stopwatch());
        // Who waits by the old limit waits by the new one from now on.
        self.bell.notify_all();
    }

    /// Why it reads slower than it could.
    pub(crate) fn describe_slowdown(&self) -> Option<String> {
        let state = lock_unpoisoned(&self.state);
        state.why.clone().or_else(|| Some(format!("limited to {}/s", size::format_size(state.rate? as u64))))
    }
}

impl PaceState {
    fn limit(&self) -> Option<f64> {
        let slowed = (self.share < 1.0).then(|| (self.measured * self.share).max(LEAST));
        match (self.rate, slowed) {
            (Some(rate), Some(slowed)) => Some(rate.min(slowed)),
            (rate, slowed) => rate.or(slowed),
        }
    }

    fn refill(&mut self, limit: f64) {
        let seconds = self.refilled.elapsed().as_secs_f64();
        self.refilled = Clock.stopwatch();
        self.credit = (self.credit + seconds * limit).min(BURST.max(limit / 10.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_broker_is_given_time_and_the_reason_is_said() {
        let pace = ReadPace::new(None, 100);
        pace.take_bytes(1 << 40, &|| false); // without a limit nothing waits
        assert_eq!(pace.describe_slowdown(), None);
        pace.note_answer_time(Side::Green, 101);
        let why = pace.describe_slowdown().expect("it is slowed down");
        assert!(why.starts_with("green takes 101 ms to answer (limit 100 ms): reading "), "{why}");
        let limit = |pace: &ReadPace| pace.state.lock().unwrap().limit();
        let first = limit(&pace).expect("a limit");
        pace.note_answer_time(Side::Green, 5_000);
        assert!(limit(&pace).expect("a limit") < first);
        (0..40).for_each(|_| pace.note_answer_time(Side::Green, 3));
        assert_eq!((limit(&pace), pace.describe_slowdown()), (None, None));
    }

    #[test]
    fn a_rate_holds_and_an_interrupt_ends_the_wait() {
        let pace = ReadPace::new(Some(1_000), 100);
        assert_eq!(pace.describe_slowdown().as_deref(), Some("limited to 1.0 kB/s"));
        pace.take_bytes(1 << 40, &|| true); // would take 35 years
        let slowed = ReadPace::new(Some(1_000_000), 100);
        slowed.note_answer_time(Side::Blue, 200);
        assert_eq!(slowed.state.lock().unwrap().limit(), Some(LEAST));
    }
}

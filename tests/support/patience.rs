//! How long a test waits for what must come.
//!
//! A bound says how long something may take on a machine that has nothing else to do. Where more tasks want to run than
//! there are cores, everybody gets a share only, and a bound lasts as much longer. So a test that fails by a bound fails
//! because something does not come, and not because the machine has other work: compilers, other tests, other people.

use std::time::{Duration, Instant};

/// Longest and shortest between two looks at the machine.
const LOOK: Duration = Duration::from_secs(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// A machine that stood still (suspended, swapped out) counts as this long.
const STOOD_STILL: Duration = Duration::from_secs(5);
/// The most that a bound is stretched.
const MOST: f64 = 10.0;

/// A bound that passes in the machine's own time.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    spent: Duration,
    looked: Instant,
    begun: Instant,
}

impl Patience {
    /// A bound for a machine that has nothing else to do.
    pub fn new(limit: Duration) -> Patience {
        let now = Instant::now();
        Patience { limit, spent: Duration::ZERO, looked: now, begun: now }
    }

    /// How long to wait before the next look; `None` when it is over.
    pub fn left(&mut self) -> Option<Duration> {
        let passed = self.looked.elapsed().min(STOOD_STILL);
        if passed >= SHORTEST_LOOK.min(self.limit) {
            self.looked = Instant::now();
            self.spent += passed.div_f64(crowding());
        }
        let left = self.limit.saturating_sub(self.spent);
        (!left.is_zero()).then(|| left.min(LOOK))
    }

    /// How long it has lasted, for messages.
    pub fn words(&self) -> String {
        format!("within {:.0?}, in {:.0?} on this machine", self.limit, self.begun.elapsed())
    }
}

/// Tasks that want to run for each core, 1 at least. 1 where the system does not say.
pub fn crowding() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = text.split_whitespace();
    // The mean of the last minute, and this moment ("running/all").
    let mean: f64 = fields.next().and_then(|f| f.parse().ok()).unwrap_or(0.0);
    let now: f64 = fields.nth(2).and_then(|f| f.split('/').next()?.parse().ok()).unwrap_or(0.0);
    (mean.max(now) / cores).clamp(1.0, MOST)
}

/// Looks again and again until something holds. Panics when it does not within `limit`.
#[track_caller]
pub fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let mut patience = Patience::new(limit);
    while !holds() {
        assert!(patience.left().is_some(), "waited {} for: {what}", patience.words());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// The value of a future, or `None` when it is not there within `limit`.
pub async fn in_time<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut patience = Patience::new(limit);
    let mut future = std::pin::pin!(future);
    while let Some(left) = patience.left() {
        if let Ok(value) = tokio::time::timeout(left, future.as_mut()).await {
            return Some(value);
        }
    }
    None
}

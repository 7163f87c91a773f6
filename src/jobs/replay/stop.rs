//! A flag that ends a replay after the transaction that is open, and wakes one that waits for its rate.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::base::{ignore_poison, lock_unpoisoned};

/// Set once, by a signal.
#[derive(Debug, Default)]
pub struct Stop {
    set: Mutex<bool>,
    bell: Condvar,
}

impl Stop {
    /// Stops what looks at it.
    pub fn set(&self) {
        *lock_unpoisoned(&self.set) = true;
        self.bell.notify_all();
    }

    /// Whether it was set.
    #[must_use]
    pub(crate) fn is_set(&self) -> bool {
        *lock_unpoisoned(&self.set)
    }

    /// Waits so many ms, or until it is set; returns whether it is.
    pub fn wait(&self, ms: u64) -> bool {
        let set = lock_unpoisoned(&self.set);
        let waited = self.bell.wait_timeout_while(set, Duration::from_millis(ms), |set| !*set);
        *ignore_poison(waited).0
    }
}

//! A flag that ends a replay after the transaction that is open, and wakes one that waits for its rate.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Set once, by a signal.
#[derive(Debug, Default)]
pub struct Stop {
    set: Mutex<bool>,
    bell: Condvar,
}

impl Stop {
    /// Stops what looks at it.
    pub fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    /// Whether it was set.
    #[must_use]
    pub(crate) fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so many ms, or until it is set; returns whether it is.
    pub fn wait(&self, ms: u64) -> bool {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(set, Duration::from_millis(ms), |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

//! Turns: a test with live traffic and whole programs keeps a core busy, so few of them run at the same time, while the
//! small ones go on beside them. (libtest knows only one number of tests for all, `RUST_TEST_THREADS`.)

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::patience::Patience;

/// Tests with live traffic at a time.
const HEAVY: usize = 3;
/// Servers that start at a time: a JVM takes some five seconds of a core.
const STARTING: usize = 2;
/// A turn is a courtesy: whoever has waited this long goes on without.
const LONGEST: Duration = Duration::from_secs(300);

static TESTS: Turns = Turns::new(HEAVY);
static STARTS: Turns = Turns::new(STARTING);

thread_local! {
    static MINE: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Waits until the calling test may be heavy, which it then is to its end (libtest runs each test on a thread of its own).
pub fn heavy() {
    MINE.with_borrow_mut(|mine| {
        mine.get_or_insert_with(|| TESTS.take());
    });
}

/// Waits until one more server may start; hold what is returned until it has.
#[must_use]
pub fn starting() -> Turn {
    STARTS.take()
}

struct Turns {
    free: Mutex<usize>,
    changed: Condvar,
}

/// Given back when dropped.
pub struct Turn {
    of: Option<&'static Turns>,
}

impl Turns {
    const fn new(free: usize) -> Turns {
        Turns { free: Mutex::new(free), changed: Condvar::new() }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&'static self) -> Turn {
        let (mut patience, mut free) = (Patience::new(LONGEST), self.free());
        while *free == 0 {
            let Some(left) = patience.left() else { return Turn { of: None } };
            free = self.changed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Turn { of: Some(self) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.of {
            *turns.free() += 1;
            turns.changed.notify_one();
        }
    }
}

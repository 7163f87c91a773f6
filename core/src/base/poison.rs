//! Locks whose holder panicked.
//!
//! What stands behind a lock in this house is whole wherever its holder may panic: it is changed in one go, or taken out for
//! as long as it is worked on. So a panic, which is told where it happens, is not passed on to everybody who takes the lock
//! after it: a translation that broke must not end the loop that has an effect under way.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks, also where a holder panicked.
pub fn lock_unpoisoned<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    ignore_poison(mutex.lock())
}

/// What a read-write lock or a wait gives, also where a holder panicked. A mutex has [`lock_unpoisoned`].
pub fn ignore_poison<T>(taken: LockResult<T>) -> T {
    taken.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, RwLock};

    use super::*;

    #[test]
    fn what_a_holder_left_when_it_panicked_is_there_for_the_next() {
        let (mutex, lock) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(1)));
        let (held, written) = (Arc::clone(&mutex), Arc::clone(&lock));
        let holder = std::thread::spawn(move || {
            let (mut held, mut written) = (lock_unpoisoned(&held), ignore_poison(written.write()));
            (*held, *written) = (2, 2);
            std::panic::resume_unwind(Box::new("without a word to the hook"));
        });
        assert!(holder.join().is_err() && mutex.is_poisoned() && lock.is_poisoned());
        assert_eq!((*lock_unpoisoned(&mutex), *ignore_poison(lock.read())), (2, 2));
    }
}

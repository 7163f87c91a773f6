//! Panics of a library that are caught where they happen, and are nobody's business: nothing is printed over a screen.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in [`catch_panic`]: what a panic hook that does more than print asks first.
#[must_use]
pub fn is_expected() -> bool {
    EXPECTED.get()
}

/// What `work` gives, `None` when it panics. Nothing is printed then.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOKED: Once = Once::new();
    // Once in a process: each further hook would wrap the one before it, one deeper with every call.
    HOOKED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_expected() {
                before(info);
            }
        }));
    });
    // Calls nest: the end of an inner one must not make the panics of the outer one heard.
    let outer = EXPECTED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    EXPECTED.set(outer);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_is_caught_reaches_no_hook() {
        assert_eq!(catch_panic(|| 1), Some(1));
        let inner = catch_panic(|| {
            assert!(is_expected());
            catch_panic(|| panic!("never seen"))
        });
        assert_eq!((inner, is_expected()), (Some(None::<()>), false));
    }
}

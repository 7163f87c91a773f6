//! How much goes into one transaction, and how fast.

/// Bounds of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// How long it may stay open, ms: far below the transaction's timeout, and short enough that a process that is
    /// killed again and again still gets on.
    pub ms: u64,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { records: 50_000, bytes: 16 << 20, ms: 500 }
    }
}

/// What is in the transaction that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// Records.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// When it was begun, on the caller's stopwatch, ms.
    pub begun_ms: u64,
}

impl Batch {
    /// A record went in.
    pub fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }

    /// Whether it has to be committed now.
    #[must_use]
    pub fn is_full(&self, limits: &BatchLimits, now_ms: u64) -> bool {
        self.records >= limits.records || self.bytes >= limits.bytes || self.is_old(limits, now_ms)
    }

    /// Whether it has been open for as long as it may.
    #[must_use]
    pub fn is_old(&self, limits: &BatchLimits, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.begun_ms) >= limits.ms
    }
}

/// Keeps to a rate of bytes: what was carried may never run ahead of the clock by more than the wait that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    bytes_per_s: Option<u64>,
    carried: u64,
}

impl Throttle {
    /// At most so many bytes a second; `None` is as fast as it goes.
    #[must_use]
    pub fn new(bytes_per_s: Option<u64>) -> Self {
        Self { bytes_per_s, carried: 0 }
    }

    /// Bytes were carried.
    pub fn add(&mut self, bytes: usize) {
        self.carried += bytes as u64;
    }

    /// How long to wait before the next record, ms, `now_ms` after the start.
    #[must_use]
    pub fn wait_ms(&self, now_ms: u64) -> u64 {
        let Some(rate) = self.bytes_per_s else { return 0 };
        // In 128 bits: the product may not fit 64.
        let due = u128::from(self.carried) * 1_000 / u128::from(rate.max(1));
        u64::try_from(due.saturating_sub(u128::from(now_ms))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_fills_a_batch() {
        let limits = BatchLimits { records: 3, bytes: 100, ms: 50 };
        let mut batch = Batch { begun_ms: 1_000, ..Batch::default() };
        batch.add(10);
        assert!(!batch.is_full(&limits, 1_049));
        assert!(batch.is_full(&limits, 1_050));
        batch.add(90);
        assert!(batch.is_full(&limits, 1_000));
        let mut small = Batch { begun_ms: 1_000, ..Batch::default() };
        (0..3).for_each(|_| small.add(0));
        assert!(small.is_full(&limits, 1_000));
    }

    #[test]
    fn a_rate_is_kept_on_average() {
        let mut throttle = Throttle::new(Some(1_000));
        assert_eq!(throttle.wait_ms(0), 0);
        throttle.add(500);
        assert_eq!(throttle.wait_ms(0), 500);
        assert_eq!(throttle.wait_ms(499), 1);
        assert_eq!(throttle.wait_ms(2_000), 0);
        assert_eq!(Throttle::new(None).wait_ms(0), 0);
    }
}

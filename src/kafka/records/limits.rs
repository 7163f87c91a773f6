//! How much is fetched at a time, and how much may wait in memory.

/// What may wait in memory for a partition, KiB, unless a caller says less.
const QUEUED_KIB: u32 = 4_096;
/// ... and records.
const QUEUED: u32 = 20_000;
/// Records that may wait for a partition where a caller says less, for each KiB of them.
const A_KIB: u32 = 8;
/// Bytes of a fetch that are asked for at least.
const LEAST: u64 = 16 << 10;
/// Records of a turn.
const TURN: usize = 2_000;
/// ... where all partitions shall come on side by side.
const SHORT_TURN: usize = 256;

/// Bytes of one answer, over all partitions: [`Portion::Large`].
pub(super) const ANSWER: &str = "4194304";

/// How much is fetched of a partition at a time. More arrives than was asked for where a window ends in the middle of a
/// log, up to this much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// 256 KiB: for windows of some records.
    Small,
    /// 1 MiB, librdkafka's own default: for whatever it may be.
    Usual,
    /// 4 MiB: for whole logs, where waiting for the next portion is what takes time.
    Large,
}

impl Portion {
    const fn bytes(self) -> u64 {
        match self {
            Portion::Small => 256 << 10,
            Portion::Usual => 1 << 20,
            Portion::Large => 4 << 20,
        }
    }
}

/// What may wait in memory for one partition.
#[derive(Clone, Copy)]
pub(super) struct QueueLimits {
    /// KiB of records.
    pub queued_kib: u32,
    /// Bytes of a fetch.
    pub portion: u64,
    /// Records: one that waits costs about 500 bytes besides itself, so small ones are bounded by their number.
    pub records: u32,
    /// Records taken from one partition before the next has its turn.
    pub turn: usize,
}

impl QueueLimits {
    pub fn of(portion: Portion) -> Self {
        QueueLimits { queued_kib: QUEUED_KIB, portion: portion.bytes(), records: QUEUED, turn: TURN }
    }

    pub fn within(queued_kib: u32) -> Self {
        // A record that waits costs some 500 bytes besides itself: eight a KiB keep that below four times the bytes.
        let records = queued_kib.saturating_mul(A_KIB).min(QUEUED);
        // What arrives may be compressed: five times as much and more once it is there.
        let portion = (u64::from(queued_kib) << 9).clamp(LEAST, Portion::Usual.bytes());
        QueueLimits { queued_kib, portion, records, turn: SHORT_TURN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_the_largest_portion() {
        assert_eq!(ANSWER, Portion::Large.bytes().to_string());
        assert_eq!((QueueLimits::within(64).records, QueueLimits::within(u32::MAX).records), (512, 20_000));
        assert_eq!([8, 64, 9_999].map(|kib| QueueLimits::within(kib).portion), [16 << 10, 32 << 10, 1 << 20]);
    }
}

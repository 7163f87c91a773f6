//! How much is fetched at a time, and how much may wait in memory.

/// What may wait in memory for a partition, KiB, unless a caller says less.
const QUEUED_KIB: u32 = 4_096;

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
pub(super) struct Limits {
    /// KiB of records.
    pub queued_kib: u32,
    /// Bytes of a fetch.
    pub portion: u64,
}

impl Limits {
    pub fn of(portion: Portion) -> Self {
        Limits { queued_kib: QUEUED_KIB, portion: portion.bytes() }
    }

    pub fn within(queued_kib: u32) -> Self {
        Limits { queued_kib, portion: (u64::from(queued_kib) << 10).min(Portion::Usual.bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_the_largest_portion() {
        assert_eq!(ANSWER, Portion::Large.bytes().to_string());
        assert_eq!((Limits::within(64).portion, Limits::within(9_999).portion), (65_536, 1 << 20));
    }
}

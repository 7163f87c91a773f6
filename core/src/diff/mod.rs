//! A diff of two logs: what one has and the other has not, exactly, whatever the size. Pure: what was read goes in, a
//! report comes out; no I/O, no clock.
//!
//! Two logs of one topic are compared as multisets of record identities ([`crate::offsets::identity`]), partition by
//! partition, or over the whole topic where the partition counts differ. Every record ends as exactly one of:
//! - **equal**: it has a twin on the other log (copies are counted: three here and two there leave one over),
//! - **missing** (on the source only) or **only on the target**,
//! - **duplicated**: a copy too many of a record that does have a twin. On the target: any surplus copy. On the source
//!   only a copy within `pair_delta` of a paired one; further off it is another send of the same content, and missing,
//! - **unsettled**: without a twin, which may still arrive: it is young, or nothing tells when it came, as its own
//!   timestamp lies ahead ([`crate::offsets::arrival`]). What is unsettled is never clean,
//! - **superseded** (compacted topics): a later record of its key makes it one that the other side may have removed,
//! - **before**: older than the first pair, where the two logs can't be compared yet.
//!
//! **Order** is what a consumer relies on: that of the records of one key in one partition. `reordered` is the smallest
//! number of records that must be taken out for the rest of their key to be in the same order on both logs (a longest
//! increasing subsequence), so writers that interleave differently cost nothing. Records without a key have no order.
//!
//! How it stays small: [`Join`] keeps only what waits for its twin. Every pair leaves a `BucketEntry` of 48 bytes in a
//! bucket (by key), every record that waits too long as well; buckets over the limit go to disk by the caller's hand.
//! At the end [`Resolver`] takes bucket after bucket: all records of one key lie in one, so copies, order and
//! compaction are decided there with a bucket in memory at a time. Pairs of a key come in its order as long as nothing
//! has moved, so order takes memory only for the keys of which something has.

pub mod asked;
mod bucket;
mod document;
mod entry;
mod join;
mod lines;
mod lone;
mod order;
mod report;
mod spans;
#[cfg(test)]
mod tests;
mod waiting;
mod window;

pub use bucket::Resolver;
pub use document::build_document;
pub use join::Join;
pub use join::{JoinState, PartitionCounts};
pub use report::{DiffCounts, DiffReport, DiffVerdict, PartitionDiff, Spans, TopicDiff};
pub use window::compare_window;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use crate::offsets::identity::Identity;
use crate::offsets::translate::Log;

/// One committed record as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffRecord {
    /// Offset.
    pub offset: i64,
    /// Timestamp, ms since the epoch; -1 when the record has none.
    pub ts: i64,
    /// What makes it the same record on the other log.
    pub id: Identity,
    /// [`crate::offsets::identity::key_hash`]: 0 is a null key.
    pub key: u64,
    /// A null value.
    pub tombstone: bool,
}

/// Which records of one partition of one log are judged. Others only serve as twins: they lie within reach of the
/// range's edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedRange {
    /// First offset.
    pub from: i64,
    /// One past the last offset.
    pub to: i64,
    /// First timestamp, ms.
    pub from_ts: i64,
    /// First timestamp that is not judged any more, ms.
    pub to_ts: i64,
    /// What is older than this, without a twin, and before the first pair, is *before*, ms. `i64::MIN` for nothing.
    pub excused_before_ts: i64,
}

impl Default for JudgedRange {
    fn default() -> Self {
        Self { from: 0, to: i64::MAX, from_ts: i64::MIN, to_ts: i64::MAX, excused_before_ts: i64::MIN }
    }
}

impl JudgedRange {
    fn has(&self, seen: &DiffRecord) -> bool {
        // One without a time is in no range of time, and judged where the range is open: it is never left out silently.
        let in_time = seen.ts >= self.from_ts && (seen.ts < self.to_ts || self.to_ts == i64::MAX);
        let timeless = seen.ts < 0 && self.to_ts == i64::MAX && self.from_ts < i64::MAX;
        (self.from..self.to).contains(&seen.offset) && (timeless || in_time)
    }
}

/// What a diff of one topic goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRules {
    /// How far apart the two timestamps of one record may be, ms.
    pub pair_delta_ms: u64,
    /// Partition counts differ: records are compared over the whole topic, order by key all the same.
    pub over_topic: bool,
    /// Either log is compacted.
    pub compacted: bool,
    /// Per partition of the source, and of the target.
    pub judged: [Vec<JudgedRange>; 2],
    /// A pair with an earlier timestamp is old, and so is what lies before it in its log, ms.
    #[serde(default = "never")]
    pub old_before_ts: i64,
    /// Number of buckets, at least 1; see [`DiffRules::buckets_for`].
    pub buckets: usize,
    /// Bytes of memory that may be used before entries must go to disk.
    pub memory: usize,
}

fn never() -> i64 {
    i64::MIN
}

impl DiffRules {
    /// So many buckets that one of `records` records a log fits into a quarter of `memory` several times over.
    #[must_use]
    pub fn buckets_for(records: u64, memory: usize) -> usize {
        let bytes = records.saturating_mul(entry::BYTES as u64 * 16);
        let wanted = bytes / (memory as u64).max(1);
        usize::try_from(wanted.clamp(32, 4096)).unwrap_or(4096).next_power_of_two()
    }

    /// A rule for `partitions` on both logs of which everything is judged, with 64 MiB.
    #[must_use]
    pub fn judging_all(partitions: usize, pair_delta_ms: u64) -> Self {
        let judged = vec![JudgedRange::default(); partitions];
        let (buckets, memory) = (64, 64 << 20);
        let old_before_ts = never();
        Self {
            pair_delta_ms,
            over_topic: false,
            compacted: false,
            judged: [judged.clone(), judged],
            old_before_ts,
            buckets,
            memory,
        }
    }

    fn pair_delta(&self) -> i64 {
        i64::try_from(self.pair_delta_ms).unwrap_or(i64::MAX)
    }

    fn is_near(&self, a: i64, b: i64) -> bool {
        a.abs_diff(b) <= self.pair_delta_ms
    }

    fn is_judged(&self, log: Log, partition: u32, seen: &DiffRecord) -> bool {
        self.judged[index_of_log(log)].get(partition as usize).is_some_and(|j| j.has(seen))
    }
}

/// The place of a log in a pair of things.
#[must_use]
pub fn index_of_log(log: Log) -> usize {
    match log {
        Log::Source => 0,
        Log::Target => 1,
    }
}

/// The other log.
#[must_use]
pub(crate) fn other_log(log: Log) -> Log {
    match log {
        Log::Source => Log::Target,
        Log::Target => Log::Source,
    }
}

/// For maps by what is a hash already, or a small number beside one.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        // The multiplication leaves the low bits weak, and hashbrown finds its slots by those.
        mix_bits(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(26) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

type ByHash<K, V> = HashMap<K, V, BuildHasherDefault<Folded>>;

/// Spreads a number over 64 bits (the finaliser of SplitMix64).
fn mix_bits(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

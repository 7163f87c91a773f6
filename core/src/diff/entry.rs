//! What a bucket holds: a pair, or a record that found no twin while it was waited for. 48 bytes each.

use super::{DiffRecord, DiffRules, Log, mix_bits};

/// Bytes of an entry on disk.
pub(super) const BYTES: usize = 48;

const PAIR: u32 = 1 << 24;
const TARGET: u32 = 1 << 25;
const JUDGED: u32 = 1 << 26;
const TOMBSTONE: u32 = 1 << 27;
const PARTITION: u32 = PAIR - 1;

/// A pair, or a record without a twin so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketEntry {
    /// Hash of the key, 0 for none.
    pub(super) key: u64,
    /// Half of the identity: with the key it tells records apart within a bucket.
    pub(super) id: u64,
    /// A pair's offset on the source; a lone record's offset on its log.
    pub(super) offset: i64,
    /// A pair's offset on the target.
    pub(super) twin: i64,
    /// A pair's timestamp on the source; a lone record's own. ms
    pub(super) ts: i64,
    /// Partition on the source of a pair; a lone record's own.
    pub(super) partition: u32,
    /// Flags in the high bits, and a pair's partition on the target.
    bits: u32,
}

impl BucketEntry {
    pub(super) fn from_pair(source: (u32, &DiffRecord), target: (u32, &DiffRecord), judged: bool) -> Self {
        let (partition, record) = source;
        Self {
            key: record.key,
            id: record.id.0 as u64,
            offset: record.offset,
            twin: target.1.offset,
            ts: record.ts,
            partition,
            // 24 bits are enough: no topic has 16 million partitions.
            bits: PAIR | target.0 & PARTITION | if judged { JUDGED } else { 0 },
        }
    }

    pub(super) fn from_lone(log: Log, partition: u32, seen: &DiffRecord, judged: bool) -> Self {
        let mut bits = if judged { JUDGED } else { 0 };
        if log == Log::Target {
            bits |= TARGET;
        }
        if seen.tombstone {
            bits |= TOMBSTONE;
        }
        let id = seen.id.0 as u64;
        Self { key: seen.key, id, offset: seen.offset, twin: -1, ts: seen.ts, partition, bits }
    }

    pub(super) fn is_pair(&self) -> bool {
        self.bits & PAIR != 0
    }

    pub(super) fn is_judged(&self) -> bool {
        self.bits & JUDGED != 0
    }

    pub(super) fn is_tombstone(&self) -> bool {
        self.bits & TOMBSTONE != 0
    }

    /// The log of a lone record.
    pub(super) fn log(&self) -> Log {
        if self.bits & TARGET != 0 { Log::Target } else { Log::Source }
    }

    /// A pair's partition on the target.
    pub(super) fn twin_partition(&self) -> u32 {
        self.bits & PARTITION
    }

    /// A pair of two lone records.
    pub(super) fn join_lone(source: &BucketEntry, target: &BucketEntry) -> BucketEntry {
        // A pair counts when either of its records was asked about.
        let judged = (source.bits | target.bits) & JUDGED;
        BucketEntry { twin: target.offset, bits: PAIR | target.partition & PARTITION | judged, ..*source }
    }

    /// The bucket: by key (and partition), so that everything of a key is in one; without a key by identity.
    pub(super) fn bucket_index(&self, rules: &DiffRules) -> usize {
        // Records without a key have no order; what brings their copies together is what they are.
        let name = if self.key == 0 { self.id } else { self.key };
        let name = if rules.over_topic { name } else { name ^ u64::from(self.partition).rotate_right(16) };
        (mix_bits(name) >> 32) as usize % rules.buckets
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        for word in [self.key, self.id, self.offset as u64, self.twin as u64, self.ts as u64] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.partition.to_le_bytes());
        out.extend_from_slice(&self.bits.to_le_bytes());
    }

    /// The entries of what was written; a torn one at the end is left out.
    pub(super) fn read_all(bytes: &[u8]) -> impl Iterator<Item = BucketEntry> + '_ {
        bytes.chunks_exact(BYTES).map(|chunk| {
            let word = |i: usize| {
                let mut word = [0; 8];
                word.copy_from_slice(&chunk[i * 8..i * 8 + 8]);
                u64::from_le_bytes(word)
            };
            let last = word(5);
            BucketEntry {
                key: word(0),
                id: word(1),
                offset: word(2) as i64,
                twin: word(3) as i64,
                ts: word(4) as i64,
                partition: last as u32,
                bits: (last >> 32) as u32,
            }
        })
    }
}

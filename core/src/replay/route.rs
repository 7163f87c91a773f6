//! Where on the target a record goes: the same partition number, or the key's partition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::TopicPartition;

/// How a record's partition is chosen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum By {
    /// The same number as on the source.
    Number,
    /// Kafka's default partitioner (murmur2 of the key); a record without key goes to its number modulo the count.
    Key,
}

/// Where a source topic's records go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Topic, by its name on the target.
    pub to: String,
    /// Its partitions there.
    pub partitions: i32,
    /// How the partition is chosen.
    pub by: By,
}

/// Routes by source topic.
pub type Routes = BTreeMap<String, Route>;

impl Route {
    /// The partition on the target of a record from partition `partition` with this key.
    #[must_use]
    pub fn choose_partition(&self, partition: i32, key: Option<&[u8]>) -> i32 {
        match (self.by, key) {
            (By::Number, _) => partition,
            (By::Key, Some(key)) => partition_of_key(key, self.partitions),
            (By::Key, None) => partition % self.partitions.max(1),
        }
    }

    /// The partitions on the target that records of these source partitions can go to.
    #[must_use]
    pub fn reachable_partitions(&self, sources: &[i32]) -> Vec<TopicPartition> {
        let of = |p: i32| TopicPartition::new(&self.to, p);
        match self.by {
            By::Number => sources.iter().map(|p| of(*p)).collect(),
            By::Key => (0..self.partitions).map(of).collect(),
        }
    }
}

/// The partition that Kafka's default partitioner gives a key.
#[must_use]
pub(crate) fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    // Kafka's `toPositive`: masked, because the least integer has no absolute value.
    (murmur2(key).cast_signed() & 0x7fff_ffff) % partitions.max(1)
}

/// Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2).
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let length = u32::try_from(data.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    // Kafka's own seed: with another one, keys would go elsewhere than where producers put them.
    let mut h = 0x9747_b28c ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> R)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Kafka's own UtilsTest.testMurmur2.
    #[test]
    fn murmur2_is_kafkas() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_record_has_one_partition() {
        let route = Route { to: "t".into(), partitions: 3, by: By::Key };
        assert_eq!(route.choose_partition(7, None), 1);
        assert_eq!(route.choose_partition(7, Some(b"abc")), 479_470_107 % 3);
        assert_eq!(route.reachable_partitions(&[9]).len(), 3);
        let route = Route { by: By::Number, ..route };
        assert_eq!(
            (route.choose_partition(2, Some(b"abc")), route.reachable_partitions(&[2])),
            (2, vec![TopicPartition::new("t", 2)])
        );
    }
}

//! What is observed of an exactly-once producer on one cluster, and how long its logs have stood still.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::{At, TopicPartition};
use crate::estate::acl::Acl;
use crate::estate::transactions::{Answer, ProducerView, TransactionView};

/// Both ends of a partition, as one round saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// Last stable offset: where the first open transaction begins, or the high watermark.
    pub stable: i64,
    /// High watermark.
    pub high_watermark: i64,
}

impl Ends {
    /// Whether no transaction is open: nothing lies between the two.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.stable == self.high_watermark
    }
}

/// What one round saw of one exactly-once producer on one cluster. Topics go by their names on blue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EosLook {
    /// What the coordinators say of each of its transactional ids, those of both sides: the others must be unused.
    pub ids: BTreeMap<String, Answer<Option<TransactionView>>>,
    /// Ends of every partition of its topics.
    pub ends: BTreeMap<TopicPartition, Ends>,
    /// The producers that the leaders remember, by partition.
    pub writers: BTreeMap<TopicPartition, Answer<Vec<ProducerView>>>,
    /// Denials that stand on its ids of this side for the principal that the plan names: exactly those that
    /// [`denials_for`](crate::migration::eos::denials_for) would make. `None` when the plan names no principal.
    pub denied: Option<Answer<Vec<Acl>>>,
    /// Number of partitions of `__consumer_offsets`, when it could be read: tells which groups' offsets a
    /// transaction commits.
    pub offsets_partitions: Option<i32>,
    /// Partitions of `__consumer_offsets` to which its ids of this side have written: those of the groups whose offsets
    /// it commits, as long as the leaders remember it (`producer.id.expiration.ms`, a day). `None` where there is no
    /// such topic.
    #[serde(default)]
    pub commits: Option<Answer<BTreeSet<i32>>>,
}

impl EosLook {
    /// Producer ids of these transactional ids, as far as their coordinators told.
    pub fn producer_ids<'a>(&'a self, ids: &'a [String]) -> impl Iterator<Item = (&'a str, i64)> + 'a {
        ids.iter().filter_map(|id| {
            let view = self.ids.get(id)?.as_told()?.as_ref()?;
            Some((id.as_str(), view.producer_id))
        })
    }

    /// The transactional id behind a producer id, among `ids`.
    #[must_use]
    pub fn id_of<'a>(&'a self, producer_id: i64, ids: &'a [String]) -> Option<&'a str> {
        self.producer_ids(ids).find(|(_, pid)| *pid == producer_id).map(|(id, _)| id)
    }

    /// The producer that wrote last to a partition, for an alarm that names it.
    #[must_use]
    pub(crate) fn newest_writer(&self, tp: &TopicPartition) -> Option<&ProducerView> {
        self.writers.get(tp)?.as_told()?.iter().max_by_key(|w| w.last_timestamp)
    }
}

/// How long the logs of a producer have stood still on one side, from looks without a hole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stillness {
    ends: BTreeMap<TopicPartition, i64>,
    /// Since when every end is where it is; and since when no transaction is open besides.
    still_since: Option<At>,
    closed_since: Option<At>,
    last: Option<At>,
    looks: u32,
}

impl Stillness {
    /// Takes a look in. A hole longer than `gap_ms`, or a clock that stepped back, begins anew: what happened
    /// meanwhile was not seen.
    pub(crate) fn note_look(&mut self, look: &EosLook, at: At, gap_ms: u64) {
        // The loop comes by more often than a look is made: the same one must not count twice.
        if self.last == Some(at) {
            return;
        }
        // A first look counts as a hole too: nothing is known of the time before it.
        let hole = self.last.is_none_or(|last| at < last || at.since(last) > gap_ms);
        let ends: BTreeMap<_, _> = look.ends.iter().map(|(tp, e)| (tp.clone(), e.high_watermark)).collect();
        if hole || ends != self.ends || ends.is_empty() {
            // A look that saw no partition at all is no stillness.
            (self.still_since, self.closed_since, self.looks) = (Some(at).filter(|_| !ends.is_empty()), None, 0);
        }
        let closed = !ends.is_empty() && look.ends.values().all(|e| e.is_closed());
        self.closed_since = if closed { self.closed_since.or(Some(at)) } else { None };
        (self.ends, self.last) = (ends, Some(at));
        // The marker that ends a transaction moves the high watermark
        // and begins the count anew, so one count serves both.
        self.looks += 1;
    }

    /// Since when no end moved and no transaction was open, seen in at least two looks.
    #[must_use]
    pub(crate) fn closed_since(&self) -> Option<At> {
        self.closed_since.filter(|_| self.looks >= 2)
    }

    /// Since when no end moved, seen in at least two looks.
    #[must_use]
    pub(crate) fn still_since(&self) -> Option<At> {
        self.still_since.filter(|_| self.looks >= 2)
    }

    /// When it was last looked at.
    #[must_use]
    pub(crate) fn last_look(&self) -> Option<At> {
        self.last
    }
}

/// The partition of `__consumer_offsets` that holds a group (`Utils.abs(groupId.hashCode) % partitions`, as
/// GroupMetadataManager.partitionFor has it). `None` for a number of partitions that can't be.
#[must_use]
pub fn offsets_partition(group: &str, partitions: i32) -> Option<i32> {
    // Java's `String.hashCode`: over UTF-16 units, and it wraps.
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Utils.abs: 0 for Integer.MIN_VALUE
    (partitions > 0).then(|| hash.checked_abs().unwrap_or(0) % partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(ends: &[(i64, i64)]) -> EosLook {
        let ends = (0..).zip(ends).map(|(p, (stable, high_watermark))| {
            (TopicPartition::new("t", p), Ends { stable: *stable, high_watermark: *high_watermark })
        });
        EosLook { ends: ends.collect(), ..EosLook::default() }
    }

    #[test]
    fn stillness_is_what_was_seen_without_a_hole() {
        let mut s = Stillness::default();
        s.note_look(&look(&[(5, 5), (7, 9)]), At(0), 1_000);
        assert_eq!((s.still_since(), s.closed_since()), (None, None), "one look proves nothing");
        s.note_look(&look(&[(5, 5), (7, 9)]), At(500), 1_000);
        assert_eq!((s.still_since(), s.closed_since()), (Some(At(0)), None), "a transaction is open");
        s.note_look(&look(&[(5, 5), (9, 9)]), At(900), 1_000);
        assert_eq!((s.still_since(), s.closed_since()), (Some(At(0)), Some(At(900))));
        s.note_look(&look(&[(5, 5), (9, 9)]), At(2_000), 1_000);
        assert_eq!((s.still_since(), s.closed_since()), (None, None), "a hole");
        s.note_look(&look(&[(5, 5), (9, 9)]), At(2_500), 1_000);
        assert_eq!(s.closed_since(), Some(At(2_000)));
        s.note_look(&look(&[(5, 5), (10, 10)]), At(2_600), 1_000);
        s.note_look(&look(&[(5, 5), (10, 10)]), At(2_700), 1_000);
        assert_eq!((s.still_since(), s.closed_since()), (Some(At(2_600)), Some(At(2_600))), "it moved");
        s.note_look(&look(&[(5, 5), (10, 10)]), At(100), 1_000);
        assert_eq!(s.still_since(), None, "a clock that stepped back");
        s.note_look(&look(&[]), At(200), 1_000);
        s.note_look(&look(&[]), At(300), 1_000);
        assert_eq!((s.still_since(), s.closed_since()), (None, None), "no partition proves nothing");
    }

    #[test]
    fn groups_hash_as_kafka_has_it() {
        // "loan-audit".hashCode() and Integer.MIN_VALUE ("polygenelubricants") as the JVM computes them
        assert_eq!(offsets_partition("polygenelubricants", 50), Some(0));
        assert_eq!(offsets_partition("a", 50), Some(97 % 50));
        assert_eq!(offsets_partition("ab", 50), Some((97 * 31 + 98) % 50));
        assert_eq!(offsets_partition("", 50), Some(0));
        assert_eq!(offsets_partition("a", 0), None);
    }
}

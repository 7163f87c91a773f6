//! What a replay does to the order of keys: a carried record lands behind everything that the target has by then.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Keys that a replay remembers in all its topics: about 50 MB.
pub const MOST_KEYS: usize = 1_000_000;
/// Keys that are named.
const NAMED: usize = 20;
/// Bytes of a key that are shown.
const SHOWN: usize = 48;

/// A record's key and content as hashes, and its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed {
    /// Hash of the key.
    pub key: u64,
    /// Hash of the record's identity.
    pub id: u64,
    /// Timestamp, ms since the epoch; -1 when it has none.
    pub ts: i64,
}

/// The keys among the records to be carried: of each, the oldest record.
#[derive(Debug)]
pub struct KeyBook {
    most: usize,
    oldest: HashMap<u64, (i64, u64)>,
    /// More keys than are remembered.
    overflow: bool,
    from: Option<i64>,
}

/// The keys whose order a replay changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reordered {
    /// Keys that have a newer record on the target.
    pub keys: u64,
    /// The first of them in words (raw bytes as lossy text: made visible where they are shown).
    pub first: Vec<String>,
    /// Whether all keys were compared; if not, `keys` is a lower bound.
    pub complete: bool,
}

impl Reordered {
    /// Adds another topic's.
    pub fn add(&mut self, topic: &str, other: Reordered) {
        self.keys += other.keys;
        self.complete &= other.complete;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(
            other
                .first
                .into_iter()
                .take(room)
                .map(|key| format!("{topic}: {key}", topic = crate::base::sanitise::visible_name(topic))),
        );
    }

    /// Whether order is known to stay as it is.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.keys == 0 && self.complete
    }
}

impl KeyBook {
    /// Remembers at most so many keys.
    #[must_use]
    pub fn with_room(most: usize) -> Self {
        Self { most, oldest: HashMap::new(), overflow: false, from: None }
    }

    /// A record that is to be carried. A record without key has no order to keep.
    pub fn add(&mut self, record: Keyed) {
        self.from = Some(self.from.map_or(record.ts, |from| from.min(record.ts)));
        let full = self.oldest.len() >= self.most;
        match self.oldest.get_mut(&record.key) {
            Some(oldest) if record.ts < oldest.0 => *oldest = (record.ts, record.id),
            Some(_) => {}
            None if full => self.overflow = true,
            None => {
                self.oldest.insert(record.key, (record.ts, record.id));
            }
        }
    }

    /// The timestamp from which on the target has to be looked at; `None`: there is nothing with a key.
    #[must_use]
    pub fn oldest_ts(&self) -> Option<i64> {
        self.from
    }

    /// Starts comparing with the target.
    #[must_use]
    pub fn start_comparison(&self) -> KeyComparison<'_> {
        KeyComparison { book: self, found: BTreeSet::new(), first: Vec::new() }
    }
}

/// A comparison with the target's records that is under way.
#[derive(Debug)]
pub struct KeyComparison<'a> {
    book: &'a KeyBook,
    found: BTreeSet<u64>,
    first: Vec<String>,
}

impl KeyComparison<'_> {
    /// A record of the target: newer than one that is to be carried with the same key, and not its copy?
    pub fn compare_record(&mut self, record: Keyed, key: &[u8]) {
        let Some((ts, id)) = self.book.oldest.get(&record.key) else { return };
        // Within one millisecond nothing tells which came first: another record counts as newer, its own copy does not.
        let newer = record.ts > *ts || (record.ts == *ts && record.id != *id);
        if newer && self.found.insert(record.key) && self.first.len() < NAMED {
            self.first.push(shorten_key(key));
        }
    }

    /// What was found.
    #[must_use]
    pub fn into_reordered(self) -> Reordered {
        Reordered { keys: self.found.len() as u64, first: self.first, complete: !self.book.overflow }
    }
}

fn shorten_key(key: &[u8]) -> String {
    // A letter that is cut in two shows as one that is not known.
    let text = String::from_utf8_lossy(&key[..key.len().min(SHOWN)]).into_owned();
    if key.len() > SHOWN { text + "..." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyed(key: u64, id: u64, ts: i64) -> Keyed {
        Keyed { key, id, ts }
    }

    #[test]
    fn a_newer_record_is_named_and_a_copy_is_not() {
        let mut book = KeyBook::with_room(9);
        book.add(keyed(1, 10, 100));
        book.add(keyed(2, 20, 100));
        book.add(keyed(3, 30, 100));
        let mut seen = book.start_comparison();
        seen.compare_record(keyed(1, 10, 100), b"its own copy");
        seen.compare_record(keyed(1, 11, 99), b"older");
        seen.compare_record(keyed(2, 21, 100), b"same moment, other record");
        seen.compare_record(keyed(3, 31, 101), b"\x1b[2J");
        seen.compare_record(keyed(3, 32, 102), b"again");
        seen.compare_record(keyed(4, 40, 900), b"another key");
        let found = seen.into_reordered();
        assert_eq!((found.keys, found.first.len(), found.complete), (2, 2, true));
        assert!(!found.is_none());
        assert_eq!(book.oldest_ts(), Some(100));
        assert!(KeyBook::with_room(9).start_comparison().into_reordered().is_none());
    }

    #[test]
    fn what_was_not_compared_is_not_none() {
        let mut book = KeyBook::with_room(1);
        (1..3).for_each(|key| book.add(keyed(key, 0, 5)));
        let found = book.start_comparison().into_reordered();
        assert_eq!((found.keys, found.complete, found.is_none()), (0, false, false));
        let mut all = Reordered { complete: true, ..Reordered::default() };
        all.add("t", Reordered { keys: 1, first: vec!["k".into()], complete: true });
        assert_eq!((all.keys, all.first.clone(), all.complete), (1, vec!["t: k".to_owned()], true));
        all.add("u", found);
        assert!(!all.complete);
    }

    proptest! {
        /// Against the definition: a key is reordered if some target record of it is newer than some carried one and no
        /// copy of the oldest.
        #[test]
        fn it_is_the_definition(
            carried in proptest::collection::vec((0..4u64, 0..3u64, 0..6i64), 0..12),
            there in proptest::collection::vec((0..4u64, 0..3u64, 0..6i64), 0..12),
        ) {
            let mut book = KeyBook::with_room(9);
            carried.iter().for_each(|(k, i, t)| book.add(keyed(*k, *i, *t)));
            let mut seen = book.start_comparison();
            there.iter().for_each(|(k, i, t)| seen.compare_record(keyed(*k, *i, *t), b"k"));
            let wanted: BTreeSet<u64> = (0..4).filter(|k| {
                let oldest = carried.iter().filter(|(c, ..)| c == k).min_by_key(|(_, _, t)| *t);
                oldest.is_some_and(|(_, id, ts)| {
                    there.iter().any(|(c, i, t)| c == k && (t > ts || (t == ts && i != id)))
                })
            }).collect();
            prop_assert_eq!(seen.into_reordered().keys, wanted.len() as u64);
        }
    }
}

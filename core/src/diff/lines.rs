//! Whether the pairs of each key come in order, without keeping them.

use std::ops::Range;

use super::ByHash;
use super::entry::BucketEntry;

/// What has an order: a key in one partition of each log.
pub(super) type KeyLine = (u64, u32, u32);

/// The line of a pair.
pub(super) fn key_line(e: &BucketEntry) -> KeyLine {
    (e.key, e.partition, e.twin_partition())
}

/// Whether a pair's order matters.
pub(super) fn has_order(e: &BucketEntry) -> bool {
    e.key != 0 && e.is_judged()
}

/// Where each line stands. A pair is made when the later of its two records comes, so where nothing has moved the pairs
/// of a line come in the order of both logs.
#[derive(Default)]
pub(super) struct KeyLines {
    /// The last pair's offsets; [`BROKEN`] once one came out of order.
    last: ByHash<KeyLine, (i64, i64)>,
    most: usize,
    broken: bool,
    /// There are more lines than fit: nothing is known of them.
    over: bool,
}

const BROKEN: (i64, i64) = (i64::MAX, i64::MAX);

impl KeyLines {
    /// With room for so many lines.
    pub(crate) fn with_room(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Takes the next pair in.
    pub(crate) fn note_pair(&mut self, e: &BucketEntry) {
        if self.over || !has_order(e) {
            return;
        }
        let room = self.last.len() < self.most;
        let last = match self.last.entry(key_line(e)) {
            std::collections::hash_map::Entry::Occupied(last) => last.into_mut(),
            std::collections::hash_map::Entry::Vacant(first) if room => first.insert((i64::MIN, i64::MIN)),
            std::collections::hash_map::Entry::Vacant(_) => {
                // Of the lines that found no room nothing is known: they must not pass for lines in order.
                (self.over, self.last) = (true, ByHash::default());
                return;
            }
        };
        if e.offset > last.0 && e.twin > last.1 {
            *last = (e.offset, e.twin);
        } else {
            *last = BROKEN;
            self.broken = true;
        }
    }

    /// Whether every line is known to be in order.
    pub fn in_order(&self) -> bool {
        !self.over && !self.broken
    }

    /// Whether a pair is of a line in which something may have moved.
    pub(crate) fn may_have_moved(&self, e: &BucketEntry) -> bool {
        has_order(e) && (self.over || self.last.get(&key_line(e)) == Some(&BROKEN))
    }
}

/// Pairs that come out of turn, sorted by line and offset: each is given before the next pair of its line that has a
/// higher offset, so that a line that is in order stays so.
pub(super) struct Late<'a> {
    all: &'a [BucketEntry],
    of: ByHash<KeyLine, Range<usize>>,
}

impl<'a> Late<'a> {
    /// Those of them that are `mine`, which goes by key.
    pub fn new(all: &'a [BucketEntry], mine: impl Fn(&BucketEntry) -> bool) -> Self {
        let mut from = 0;
        let mut of = ByHash::default();
        for some in all.chunk_by(|a, b| key_line(a) == key_line(b)) {
            if mine(&some[0]) {
                of.insert(key_line(&some[0]), from..from + some.len());
            }
            from += some.len();
        }
        Self { all, of }
    }

    /// Gives those whose turn is before this pair's.
    pub(crate) fn give_before(&mut self, e: &BucketEntry, mut take: impl FnMut(&BucketEntry)) {
        // As a rule nothing came late: then no key is hashed.
        let Some(left) = (!self.of.is_empty()).then(|| self.of.get_mut(&key_line(e))).flatten() else { return };
        while let Some(late) = self.all[left.clone()].first().filter(|late| late.offset < e.offset) {
            take(late);
            left.start += 1;
        }
    }

    /// Gives what is left.
    pub(crate) fn give_rest(self, mut take: impl FnMut(&BucketEntry)) {
        self.of.into_values().for_each(|left| self.all[left].iter().for_each(&mut take));
    }
}

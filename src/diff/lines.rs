//! Whether the pairs of each key come in order, without keeping them.

use std::ops::Range;

use super::ByHash;
use super::entry::Entry;

/// What has an order: a key in one partition of each log.
pub(super) type Line = (u64, u32, u32);

/// The line of a pair.
pub(super) fn line(e: &Entry) -> Line {
    (e.key, e.partition, e.twin_partition())
}

/// Whether a pair's order matters.
pub(super) fn has_order(e: &Entry) -> bool {
    e.key != 0 && e.judged()
}

/// Where each line stands. A pair is made when the later of its two records comes, so where nothing has moved the pairs
/// of a line come in the order of both logs.
#[derive(Default)]
pub(super) struct Lines {
    /// The last pair's offsets; [`BROKEN`] once one came out of order.
    last: ByHash<Line, (i64, i64)>,
    most: usize,
    broken: bool,
    /// There are more lines than fit: nothing is known of them.
    over: bool,
}

const BROKEN: (i64, i64) = (i64::MAX, i64::MAX);

impl Lines {
    /// With room for so many lines.
    pub fn with_room(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// The next pair.
    pub fn take(&mut self, e: &Entry) {
        if self.over || !has_order(e) {
            return;
        }
        let room = self.last.len() < self.most;
        let last = match self.last.entry(line(e)) {
            std::collections::hash_map::Entry::Occupied(last) => last.into_mut(),
            std::collections::hash_map::Entry::Vacant(first) if room => first.insert((i64::MIN, i64::MIN)),
            std::collections::hash_map::Entry::Vacant(_) => {
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
    pub fn matters(&self, e: &Entry) -> bool {
        has_order(e) && (self.over || self.last.get(&line(e)) == Some(&BROKEN))
    }
}

/// Pairs that come out of turn, sorted by line and offset: each is given before the next pair of its line that has a
/// higher offset, so that a line that is in order stays so.
pub(super) struct Late<'a> {
    all: &'a [Entry],
    of: ByHash<Line, Range<usize>>,
}

impl<'a> Late<'a> {
    /// Those of them that are `mine`, which goes by key.
    pub fn new(all: &'a [Entry], mine: impl Fn(&Entry) -> bool) -> Self {
        let mut from = 0;
        let mut of = ByHash::default();
        for some in all.chunk_by(|a, b| line(a) == line(b)) {
            if mine(&some[0]) {
                of.insert(line(&some[0]), from..from + some.len());
            }
            from += some.len();
        }
        Self { all, of }
    }

    /// Gives those whose turn is before this pair's.
    pub fn before(&mut self, e: &Entry, mut take: impl FnMut(&Entry)) {
        let Some(left) = (!self.of.is_empty()).then(|| self.of.get_mut(&line(e))).flatten() else { return };
        while let Some(late) = self.all[left.clone()].first().filter(|late| late.offset < e.offset) {
            take(late);
            left.start += 1;
        }
    }

    /// Gives what is left.
    pub fn rest(self, mut take: impl FnMut(&Entry)) {
        self.of.into_values().for_each(|left| self.all[left].iter().for_each(&mut take));
    }
}

//! Sets of source offsets: what is to be carried.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::TopicPartition;
use crate::base::sanitise::visible_name;

/// Pieces that one replay may be made of: a bound of its journal entry (about 60 bytes each).
pub const MAX_PIECES: usize = 100_000;

/// One stretch of a partition: offsets `from <= o < to`. Written `TOPIC:PARTITION:FROM-TO`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Piece {
    /// Topic and partition, by blue's name.
    #[serde(flatten)]
    pub tp: TopicPartition,
    /// First offset.
    pub from: i64,
    /// One past the last offset.
    pub to: i64,
}

impl Piece {
    /// A stretch of a partition.
    #[must_use]
    pub fn new(tp: TopicPartition, from: i64, to: i64) -> Self {
        Self { tp, from, to }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}-{}", self.tp.topic, self.tp.partition, self.from, self.to)
    }
}

/// A word that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not TOPIC:PARTITION:FROM-TO with FROM below TO, such as orders:3:1200-1450 (1450 not included)")]
pub struct NotARange(pub String);

impl FromStr for Piece {
    type Err = NotARange;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (rest, span) = word.rsplit_once(':')?;
            let (topic, partition) = rest.rsplit_once(':')?;
            let (from, to) = span.split_once('-')?;
            let number = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= 0);
            let (from, to) = (number(from)?, number(to)?);
            let partition = partition.parse::<i32>().ok().filter(|p| *p >= 0)?;
            (!topic.is_empty() && from < to).then(|| Piece::new(TopicPartition::new(topic, partition), from, to))
        };
        parse().ok_or_else(|| NotARange(word.to_owned()))
    }
}

/// A set of source offsets, by partition: sorted, disjoint, never touching, none empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Piece>", into = "Vec<Piece>")]
pub struct Ranges {
    by_partition: BTreeMap<TopicPartition, Vec<(i64, i64)>>,
}

impl From<Vec<Piece>> for Ranges {
    fn from(pieces: Vec<Piece>) -> Self {
        Ranges::from_pieces(pieces)
    }
}

impl From<Ranges> for Vec<Piece> {
    fn from(ranges: Ranges) -> Self {
        ranges.pieces().collect()
    }
}

impl Ranges {
    /// The set that these stretches make up, however they overlap.
    #[must_use]
    pub fn from_pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut by_partition: BTreeMap<TopicPartition, Vec<(i64, i64)>> = BTreeMap::new();
        for piece in pieces.into_iter().filter(|p| p.from < p.to) {
            by_partition.entry(piece.tp).or_default().push((piece.from, piece.to));
        }
        for spans in by_partition.values_mut() {
            spans.sort_unstable();
            *spans = join_spans(spans, 0);
        }
        Self { by_partition }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_partition.is_empty()
    }

    /// Its stretches, by partition and offset.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.by_partition.iter().flat_map(|(tp, spans)| spans.iter().map(|(f, t)| Piece::new(tp.clone(), *f, *t)))
    }

    /// Number of stretches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_partition.values().map(Vec::len).sum()
    }

    /// Number of offsets: at least as many as there are records.
    #[must_use]
    pub fn count_offsets(&self) -> u64 {
        self.by_partition.values().flatten().map(|(f, t)| t.abs_diff(*f)).sum()
    }

    /// Its partitions in order.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.by_partition.keys()
    }

    /// The stretches of a partition.
    #[must_use]
    pub fn of_partition(&self, tp: &TopicPartition) -> &[(i64, i64)] {
        self.by_partition.get(tp).map_or(&[], Vec::as_slice)
    }

    /// First offset and end of each partition's part.
    pub fn hulls(&self) -> impl Iterator<Item = Piece> + '_ {
        self.by_partition.iter().filter_map(|(tp, spans)| {
            let (first, last) = (spans.first()?, spans.last()?);
            Some(Piece::new(tp.clone(), first.0, last.1))
        })
    }

    /// What both have.
    #[must_use]
    pub fn common(&self, other: &Ranges) -> Ranges {
        let both = |(tp, ours): (&TopicPartition, &Vec<(i64, i64)>)| {
            let spans = common_spans(ours, other.of_partition(tp));
            (!spans.is_empty()).then(|| (tp.clone(), spans))
        };
        Ranges { by_partition: self.by_partition.iter().filter_map(both).collect() }
    }

    /// What is left of a partition's part from offset `next` on.
    #[must_use]
    pub fn left_from(&self, next: &BTreeMap<TopicPartition, i64>) -> Ranges {
        Ranges::from_pieces(self.pieces().map(|p| {
            let from = next.get(&p.tp).map_or(p.from, |n| p.from.max(*n));
            Piece { from, ..p }
        }))
    }

    /// What lies below the given log starts: expired, it can't be carried any more.
    #[must_use]
    pub fn below(&self, starts: &BTreeMap<TopicPartition, i64>) -> Ranges {
        Ranges::from_pieces(self.pieces().filter_map(|p| {
            let start = *starts.get(&p.tp)?;
            Some(Piece { to: p.to.min(start), ..p })
        }))
    }

    /// What lies at or beyond the given ends: not written yet, or held by an open transaction.
    #[must_use]
    pub fn beyond(&self, ends: &BTreeMap<TopicPartition, i64>) -> Ranges {
        Ranges::from_pieces(self.pieces().filter_map(|p| {
            let end = *ends.get(&p.tp)?;
            Some(Piece { from: p.from.max(end), ..p })
        }))
    }

    /// Stretches to read: those that lie at most `gap` offsets apart are read in one go, and what is between them
    /// is left out by asking [`Cursor::has`].
    #[must_use]
    pub fn reading_spans(&self, gap: i64) -> Vec<Piece> {
        let read = |(tp, spans): (&TopicPartition, &Vec<(i64, i64)>)| {
            let tp = tp.clone();
            join_spans(spans, gap).into_iter().map(move |(f, t)| Piece::new(tp.clone(), f, t)).collect::<Vec<_>>()
        };
        self.by_partition.iter().flat_map(read).collect()
    }

    /// Asks of ascending offsets of a partition whether they are in the set.
    #[must_use]
    pub fn cursor(&self, tp: &TopicPartition) -> Cursor {
        Cursor { spans: self.of_partition(tp).to_vec(), at: 0 }
    }
}

/// Answers for ascending offsets without searching.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    spans: Vec<(i64, i64)>,
    at: usize,
}

impl Cursor {
    /// Whether an offset, at least as high as the one before, is in the set.
    pub fn has(&mut self, offset: i64) -> bool {
        while self.spans.get(self.at).is_some_and(|(_, to)| *to <= offset) {
            self.at += 1;
        }
        self.spans.get(self.at).is_some_and(|(from, _)| *from <= offset)
    }
}

/// What two lists of sorted, disjoint spans have in common, in one walk over both: each may have as many as a replay.
fn common_spans(ours: &[(i64, i64)], theirs: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let (mut out, mut i, mut j) = (Vec::new(), 0, 0);
    while let (Some((from, to)), Some((f, t))) = (ours.get(i), theirs.get(j)) {
        let (first, end) = (*from.max(f), *to.min(t));
        if first < end {
            out.push((first, end));
        }
        // What ends first meets nothing more.
        if to <= t { i += 1 } else { j += 1 }
    }
    out
}

/// Sorted spans with those joined that are at most `gap` apart.
fn join_spans(spans: &[(i64, i64)], gap: i64) -> Vec<(i64, i64)> {
    let mut out: Vec<(i64, i64)> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match out.last_mut() {
            Some(last) if *from <= last.1.saturating_add(gap) => last.1 = last.1.max(*to),
            _ => out.push((*from, *to)),
        }
    }
    out
}

/// Some pieces in words: the first `most` of them, and how many more there are.
#[must_use]
pub fn describe_ranges(ranges: &Ranges, most: usize) -> String {
    let shown: Vec<String> = ranges.pieces().take(most).map(|p| visible_name(&p.to_string())).collect();
    let more = ranges.len().saturating_sub(most);
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("t:x", partition)
    }

    #[test]
    fn pieces_are_words() {
        let piece: Piece = "t:x:3:12-40".parse().unwrap();
        assert_eq!(piece, Piece::new(tp(3), 12, 40));
        assert_eq!(piece.to_string(), "t:x:3:12-40");
        for word in ["", "t:3", "t:3:4", "t:3:9-9", "t:3:9-4", ":3:1-2", "t:-1:1-2", "t:0:-5-2", "t:0:1-", "t:0:1-2x"] {
            assert!(word.parse::<Piece>().is_err(), "{word}");
        }
    }

    #[test]
    fn what_two_sets_of_the_largest_size_have_in_common_takes_one_walk() {
        let n = MAX_PIECES as i64;
        let set = |shift: i64| Ranges::from_pieces((0..n).map(|i| Piece::new(tp(0), 4 * i + shift, 4 * i + shift + 2)));
        let (left, right) = (set(0), set(1));
        let common = left.common(&right);
        // With a walk over all of the other's pieces for each of ours this takes minutes, and gigabytes.
        assert_eq!((common.len(), common.count_offsets()), (MAX_PIECES, n as u64));
    }

    type Set = BTreeSet<(i32, i64)>;

    fn brute(pieces: &[Piece]) -> Set {
        pieces.iter().flat_map(|p| (p.from..p.to).map(|o| (p.tp.partition, o))).collect()
    }

    fn set(ranges: &Ranges) -> Set {
        brute(&ranges.pieces().collect::<Vec<_>>())
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        proptest::collection::vec((0..3, 0..40i64, 0..12i64).prop_map(|(p, f, n)| Piece::new(tp(p), f, f + n)), 0..12)
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_its_offsets(a in pieces(), b in pieces(), at in 0..50i64, gap in 0..6i64) {
            let (left, right) = (Ranges::from_pieces(a.clone()), Ranges::from_pieces(b.clone()));
            let (sa, sb) = (brute(&a), brute(&b));
            prop_assert_eq!(&set(&left), &sa);
            prop_assert_eq!(left.count_offsets(), sa.len() as u64);
            prop_assert_eq!(set(&left.common(&right)), sa.intersection(&sb).copied().collect::<Set>());
            let marks: BTreeMap<_, _> = (0..3).map(|p| (tp(p), at)).collect();
            prop_assert_eq!(set(&left.left_from(&marks)), sa.iter().filter(|(_, o)| *o >= at).copied().collect::<Set>());
            prop_assert_eq!(set(&left.beyond(&marks)), set(&left.left_from(&marks)));
            prop_assert_eq!(set(&left.below(&marks)), sa.iter().filter(|(_, o)| *o < at).copied().collect::<Set>());
            // Read with gaps and asked of each offset: the same set, in order.
            let mut seen = Set::new();
            for p in 0..3 {
                let mut cursor = left.cursor(&tp(p));
                for span in left.reading_spans(gap).into_iter().filter(|s| s.tp == tp(p)) {
                    for o in span.from..span.to {
                        if cursor.has(o) {
                            seen.insert((p, o));
                        }
                    }
                }
            }
            prop_assert_eq!(seen, sa);
            let json = serde_json::to_string(&left).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ranges>(&json).unwrap(), left);
        }
    }
}

//! The mark that a replayed record carries, and what reading the marks back says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::base::TopicPartition;

/// Name of the header. It is never part of a record's identity: identities know key, value or a header of the plan.
pub const HEADER: &str = "cutover-replay";

/// `RUN/TOPIC-PARTITION@OFFSET`, written into `out`.
pub fn write_mark(out: &mut String, run: &str, tp: &TopicPartition, offset: i64) {
    out.clear();
    [run, "/", &tp.topic, "-"].iter().for_each(|piece| out.push_str(piece));
    let _ = write!(out, "{}@{offset}", tp.partition); // writing to a String can't fail
}

/// Source partition and offset, if the mark is of that run.
#[must_use]
pub fn parse_mark<'a>(mark: &'a [u8], run: &str) -> Option<(&'a str, i32, i64)> {
    let text = std::str::from_utf8(mark).ok()?;
    // From the right: a topic's name may hold "-", a partition and an offset don't.
    let (place, offset) = text.strip_prefix(run)?.strip_prefix('/')?.rsplit_once('@')?;
    let (topic, partition) = place.rsplit_once('-')?;
    Some((topic, partition.parse().ok()?, offset.parse().ok()?))
}

/// Counts marks as they are read back from the target. Records of one source partition land in one target partition
/// in the order of their offsets, so a second copy shows as an offset that does not rise: no memory of records needed.
#[derive(Debug, Clone, Default)]
pub struct MarkTally {
    /// The last offset of each source topic, by target partition and source partition.
    last: BTreeMap<(usize, i32), Vec<(String, i64)>>,
    /// Marks seen of each source partition.
    pub seen: u64,
    /// Marks that were there already, or out of order.
    pub again: u64,
}

impl MarkTally {
    /// A mark found in target partition number `target` (any number that tells them apart).
    pub fn note_mark(&mut self, target: usize, (topic, partition, offset): (&str, i32, i64)) {
        self.seen += 1;
        let last = self.last.entry((target, partition)).or_default();
        match last.iter_mut().find(|(of, _)| of == topic) {
            Some((_, last)) if *last >= offset => self.again += 1,
            Some((_, last)) => *last = offset,
            None => last.push((topic.to_owned(), offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_where_it_came_from() {
        let mut text = "left over".to_owned();
        write_mark(&mut text, "r1", &TopicPartition::new("a-b@2", 4), 77);
        assert_eq!(text, "r1/a-b@2-4@77");
        assert_eq!(parse_mark(text.as_bytes(), "r1"), Some(("a-b@2", 4, 77)));
        assert_eq!(parse_mark(text.as_bytes(), "r"), None);
        assert_eq!(parse_mark(b"\xff", "r1"), None);
        assert_eq!(parse_mark(b"r1/a-4@", "r1"), None);
    }

    #[test]
    fn a_second_copy_is_counted() {
        let mut tally = MarkTally::default();
        for offset in [4, 6, 9] {
            tally.note_mark(0, ("t", 1, offset));
        }
        tally.note_mark(0, ("t", 2, 5));
        tally.note_mark(1, ("t", 1, 5)); // by key: another target partition
        assert_eq!((tally.seen, tally.again), (5, 0));
        tally.note_mark(0, ("t", 1, 9));
        assert_eq!((tally.seen, tally.again), (6, 1));
    }
}

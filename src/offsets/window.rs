//! The stretch of one log that was loaded: offset, timestamp and identity of each record, 24 bytes a record.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::migration::estate::At;

/// One committed data record (control records and aborted ones are not records), as the algorithm sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rec {
    /// Offset.
    pub offset: i64,
    /// Timestamp, ms since the epoch; -1 when the record has none.
    pub ts: i64,
    /// What makes it the same record on the other log.
    pub id: Identity,
}

/// A log's bounds as one ListOffsets round saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRead {
    /// Log start offset.
    pub log_start: i64,
    /// Last stable offset: where a read_committed reader stops.
    pub end: i64,
    /// High watermark; beyond `end` while a transaction is open.
    pub high_watermark: i64,
    /// When the request was sent: the end is at least this new.
    pub asked: At,
    /// When the answer was there: the end is at most this new.
    pub answered: At,
}

/// A log end seen earlier, as the lag sampler keeps them: every record below `end` had arrived by `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndSample {
    /// When the answer with that end was there.
    pub at: At,
    /// The end: last stable offset or high watermark.
    pub end: i64,
}

/// A window could not take a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Records came out of offset order or outside of the range that was asked for.
    #[error("record at offset {offset} is outside of the range {from}..{to} that was asked for, or out of order")]
    OutOfOrder {
        /// The record's offset.
        offset: i64,
        /// Start of the range.
        from: i64,
        /// End of the range.
        to: i64,
    },
    /// The window spans more than 2^31 offsets.
    #[error("the window spans more than 2^31 offsets, at offset {0}")]
    TooWide(i64),
}

/// The loaded part of a log: every committed record with an offset in `from()..to()`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogWindow {
    from: i64,
    to: i64,
    base_offset: i64,
    base_ts: i64,
    rows: VecDeque<Row>,
    /// Timestamps further than 24 days from `base_ts`, by offset.
    far: BTreeMap<i64, i64>,
    /// Key hashes, only for compacted topics; then one a row.
    keys: VecDeque<u64>,
}

/// 24 bytes: two 32-bit distances from the window's base, and the identity in two halves (a `u128` would be
/// aligned to 16 bytes and take 32).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    id: [u64; 2],
    offset: i32,
    ts: i32,
}

const FAR: i32 = i32::MIN;

impl LogWindow {
    /// Nothing loaded yet, at offset `at`.
    #[must_use]
    pub fn new(at: i64) -> Self {
        LogWindow { from: at, to: at, base_offset: at, ..LogWindow::default() }
    }

    /// A window of ready-made records, for tests and for callers that hold a whole log.
    ///
    /// # Errors
    /// When the records are out of order or outside of `from..to`.
    pub fn of(from: i64, to: i64, records: &[Rec]) -> Result<Self, WindowError> {
        let mut window = LogWindow::new(from);
        window.append(to, records, &[])?;
        Ok(window)
    }

    /// First offset covered.
    #[must_use]
    pub fn from(&self) -> i64 {
        self.from
    }

    /// First offset beyond what is covered.
    #[must_use]
    pub fn to(&self) -> i64 {
        self.to
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The record at index `i`, counted from the lowest offset.
    ///
    /// # Panics
    /// When `i` is not below `len()`.
    #[must_use]
    pub fn get(&self, i: usize) -> Rec {
        self.unpack(&self.rows[i])
    }

    /// All records by offset.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Rec> + '_ {
        self.rows.iter().map(|row| self.unpack(row))
    }

    /// Key hash of the record at index `i`, if keys were loaded.
    #[must_use]
    pub fn key(&self, i: usize) -> Option<u64> {
        self.keys.get(i).copied()
    }

    /// Index of the first record at or beyond `offset`.
    #[must_use]
    pub fn index_of(&self, offset: i64) -> usize {
        self.rows.partition_point(|row| self.base_offset + i64::from(row.offset) < offset)
    }

    /// Adds what follows: the records of `to()..next`, in offset order. `keys` is empty or has one hash a record.
    ///
    /// # Errors
    /// When a record is out of order or outside of that range; the window is unchanged then.
    pub fn append(&mut self, next: i64, records: &[Rec], keys: &[u64]) -> Result<(), WindowError> {
        check(records, self.to, next)?;
        self.rebase(records);
        let rows = records.iter().map(|r| self.pack(r)).collect::<Result<Vec<_>, _>>()?;
        self.note_far(records);
        self.rows.extend(rows);
        self.keys.extend(keys);
        self.to = self.to.max(next);
        Ok(())
    }

    /// Adds what comes before: all the records of `start..from()`, in offset order.
    ///
    /// # Errors
    /// When a record is out of order or outside of that range; the window is unchanged then.
    pub fn prepend(&mut self, start: i64, records: &[Rec], keys: &[u64]) -> Result<(), WindowError> {
        check(records, start, self.from)?;
        self.rebase(records);
        let rows = records.iter().map(|r| self.pack(r)).collect::<Result<Vec<_>, _>>()?;
        self.note_far(records);
        for row in rows.into_iter().rev() {
            self.rows.push_front(row);
        }
        for key in keys.iter().rev() {
            self.keys.push_front(*key);
        }
        self.from = self.from.min(start);
        Ok(())
    }

    /// The first record sets the base, so that all others are near it.
    fn rebase(&mut self, records: &[Rec]) {
        if let (true, Some(first)) = (self.rows.is_empty(), records.first()) {
            self.base_offset = first.offset;
            self.base_ts = first.ts;
        }
    }

    fn note_far(&mut self, records: &[Rec]) {
        let base = self.base_ts;
        self.far.extend(records.iter().filter(|r| near(base, r.ts) == FAR).map(|r| (r.offset, r.ts)));
    }

    fn pack(&self, r: &Rec) -> Result<Row, WindowError> {
        let offset = i32::try_from(r.offset - self.base_offset).map_err(|_| WindowError::TooWide(r.offset))?;
        Ok(Row { id: [(r.id.0 >> 64) as u64, r.id.0 as u64], offset, ts: near(self.base_ts, r.ts) })
    }

    fn unpack(&self, row: &Row) -> Rec {
        let offset = self.base_offset + i64::from(row.offset);
        let ts = match row.ts {
            FAR => self.far.get(&offset).copied().unwrap_or(-1),
            delta => self.base_ts + i64::from(delta),
        };
        Rec { offset, ts, id: Identity(u128::from(row.id[0]) << 64 | u128::from(row.id[1])) }
    }
}

fn near(base: i64, ts: i64) -> i32 {
    ts.checked_sub(base).and_then(|d| i32::try_from(d).ok()).unwrap_or(FAR)
}

fn check(records: &[Rec], from: i64, to: i64) -> Result<(), WindowError> {
    let mut least = from;
    for r in records {
        if r.offset < least || r.offset >= to {
            return Err(WindowError::OutOfOrder { offset: r.offset, from, to });
        }
        least = r.offset + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rec(offset: i64, ts: i64) -> Rec {
        Rec { offset, ts, id: Identity(u128::from(offset.unsigned_abs()) << 70 | 5) }
    }

    #[test]
    fn a_record_takes_24_bytes() {
        assert_eq!(size_of::<Row>(), 24);
        assert_eq!(size_of::<Rec>(), 32);
    }

    #[test]
    fn holds_what_was_put_in_at_both_ends() {
        let now = 1_790_000_000_000;
        let all = [
            rec(3, -1),
            rec(5, now),
            rec(6, now - 40),
            rec(9, 0),
            rec(10, i64::MAX),
            rec(11, i64::MIN),
            rec(40, now + 9),
        ];
        let mut w = LogWindow::new(6);
        w.append(10, &all[2..4], &[2, 3]).unwrap();
        w.append(41, &all[4..], &[4, 5, 6]).unwrap();
        w.prepend(2, &all[..2], &[0, 1]).unwrap();
        assert_eq!((w.from(), w.to(), w.len()), (2, 41, 7));
        assert_eq!(w.iter().collect::<Vec<_>>(), all);
        assert_eq!((0..7).map(|i| w.key(i).unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((w.index_of(0), w.index_of(6), w.index_of(7), w.index_of(41)), (0, 2, 3, 7));
    }

    #[test]
    fn refuses_what_is_out_of_order_and_stays_as_it_was() {
        let mut w = LogWindow::new(10);
        w.append(20, &[rec(12, 0)], &[]).unwrap();
        let before = w.clone();
        assert!(w.append(30, &[rec(19, 0)], &[]).is_err());
        assert!(w.append(30, &[rec(25, 0), rec(25, 0)], &[]).is_err());
        assert!(w.append(30, &[rec(30, 0)], &[]).is_err());
        assert!(w.prepend(5, &[rec(10, 0)], &[]).is_err());
        assert!(w.append(1 << 40, &[rec(1 << 39, 0)], &[]).is_err());
        assert_eq!(w, before);
    }
}

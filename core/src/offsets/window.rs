//! The stretch of one log that was loaded: offset, timestamp and identity of each record, 24 bytes a record.
//!
//! Windows share what was read once: a [`LogWindow`] is a list of pieces of stretches behind an `Arc`, so that
//! cloning, cutting ([`LogWindow::slice`]) and joining copy no records, and several groups on one partition hold
//! its records once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::base::At;

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

impl EndRead {
    /// Whether a transaction is open: what it holds is there, and can't be read yet.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.end < self.high_watermark
    }
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
    /// Two windows that are to be joined don't touch.
    #[error("what begins at offset {from} does not follow what ends at {to}")]
    Apart {
        /// Where the first one ends.
        to: i64,
        /// Where the second one begins.
        from: i64,
    },
}

/// The loaded part of a log: every committed record with an offset in `from()..to()`. Cloning it copies no records.
#[derive(Debug, Clone, Default)]
pub struct LogWindow {
    from: i64,
    to: i64,
    /// None is empty; in offset order.
    pieces: Vec<BlockSlice>,
    len: usize,
}

/// Some of the rows of a stretch: `lo..hi`.
#[derive(Debug, Clone)]
struct BlockSlice {
    stretch: Arc<RecordBlock>,
    lo: usize,
    hi: usize,
    /// Records of the window before this piece.
    before: usize,
}

/// Records that were read in one go.
#[derive(Debug, Clone, Default)]
struct RecordBlock {
    base_offset: i64,
    base_ts: i64,
    rows: Vec<PackedRecord>,
    /// Timestamps further than 24 days from `base_ts`, by offset.
    far: BTreeMap<i64, i64>,
    /// Key hashes, only for compacted topics; then one a row.
    keys: Vec<u64>,
}

/// 24 bytes: two 32-bit distances from the stretch's base, and the identity in two halves (a `u128` would be
/// aligned to 16 bytes and take 32).
#[derive(Debug, Clone, Copy, PartialEq)]
struct PackedRecord {
    id: [u64; 2],
    offset: i32,
    ts: i32,
}

const FAR: i32 = i32::MIN;
/// Pieces below this many records are copied together when they meet, so that windows which grow by a few records
/// at a time don't become long lists.
const SMALL: usize = 4_096;

impl LogWindow {
    /// Nothing loaded yet, at offset `at`.
    #[must_use]
    pub fn new(at: i64) -> Self {
        LogWindow { from: at, to: at, ..LogWindow::default() }
    }

    /// A window of ready-made records, for tests and for callers that hold a whole log.
    ///
    /// # Errors
    /// When the records are out of order or outside of `from..to`.
    pub fn from_records(from: i64, to: i64, records: &[Rec]) -> Result<Self, WindowError> {
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
        self.len
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record at index `i`, counted from the lowest offset.
    ///
    /// # Panics
    /// When `i` is not below `len()`.
    #[must_use]
    pub fn get(&self, i: usize) -> Rec {
        let piece = self.slice_at(i);
        piece.stretch.get(piece.lo + i - piece.before)
    }

    /// All records by offset.
    pub fn iter(&self) -> impl Iterator<Item = Rec> + '_ {
        self.pieces.iter().flat_map(|p| p.stretch.rows[p.lo..p.hi].iter().map(|row| p.stretch.unpack_record(row)))
    }

    /// Key hash of the record at index `i`, if keys were loaded.
    #[must_use]
    pub(crate) fn key_hash(&self, i: usize) -> Option<u64> {
        let piece = (i < self.len).then(|| self.slice_at(i))?;
        piece.stretch.keys.get(piece.lo + i - piece.before).copied()
    }

    /// Index of the first record at or beyond `offset`.
    #[must_use]
    pub(crate) fn index_of(&self, offset: i64) -> usize {
        // No piece is empty (see `put_slice`), so each has a last row.
        let n = self.pieces.partition_point(|p| p.stretch.offset_at(p.hi - 1) < offset);
        let Some(p) = self.pieces.get(n) else { return self.len };
        p.before + p.stretch.rows[p.lo..p.hi].partition_point(|row| p.stretch.offset_of(row) < offset)
    }

    /// The part of it in `from..to`, as far as it reaches. Copies no records.
    #[must_use]
    pub fn slice(&self, from: i64, to: i64) -> LogWindow {
        let from = from.clamp(self.from, self.to);
        let to = to.clamp(from, self.to);
        let (first, last) = (self.index_of(from), self.index_of(to));
        let mut part = LogWindow { from, to, pieces: Vec::new(), len: 0 };
        for p in &self.pieces {
            let cut = |i: usize| p.lo + i.clamp(p.before, p.before + p.hi - p.lo) - p.before;
            part.put_slice(Arc::clone(&p.stretch), cut(first), cut(last));
        }
        part
    }

    /// Adds what follows: the records of `to()..next`, in offset order. `keys` is empty or has one hash a record.
    ///
    /// # Errors
    /// When a record is out of order or outside of that range; the window is unchanged then.
    pub fn append(&mut self, next: i64, records: &[Rec], keys: &[u64]) -> Result<(), WindowError> {
        check_order(records, self.to, next)?;
        let mut filling = Filling::continue_after(std::mem::take(self));
        for (i, r) in records.iter().enumerate() {
            filling.put_record(*r, keys.get(i).copied());
        }
        *self = filling.finish(next);
        Ok(())
    }

    /// Puts a window behind this one that begins where this one ends.
    ///
    /// # Errors
    /// When it begins elsewhere; this window is unchanged then.
    pub fn join(&mut self, next: LogWindow) -> Result<(), WindowError> {
        if next.from != self.to {
            return Err(WindowError::Apart { to: self.to, from: next.from });
        }
        let small = |p: Option<&BlockSlice>| p.is_none_or(|p| p.hi - p.lo < SMALL);
        if small(self.pieces.last()) && next.len < SMALL {
            let mut filling = Filling::continue_after(std::mem::take(self));
            for (i, r) in next.iter().enumerate() {
                filling.put_record(r, next.key_hash(i));
            }
            *self = filling.finish(next.to);
            return Ok(());
        }
        for p in next.pieces {
            self.put_slice(p.stretch, p.lo, p.hi);
        }
        self.to = next.to;
        Ok(())
    }

    fn slice_at(&self, i: usize) -> &BlockSlice {
        // Most windows are one piece, and alignments fetch single records by the million: no search then.
        match &self.pieces[..] {
            [one] => one,
            some => &some[some.partition_point(|p| p.before <= i) - 1],
        }
    }

    fn put_slice(&mut self, stretch: Arc<RecordBlock>, lo: usize, hi: usize) {
        if lo < hi {
            self.pieces.push(BlockSlice { stretch, lo, hi, before: self.len });
            self.len += hi - lo;
        }
    }
}

impl PartialEq for LogWindow {
    fn eq(&self, other: &Self) -> bool {
        (self.from, self.to, self.len) == (other.from, other.to, other.len)
            && self.iter().eq(other.iter())
            && (0..self.len).all(|i| self.key_hash(i) == other.key_hash(i))
    }
}

/// A window while it is read: takes one record after the other.
#[derive(Debug)]
pub struct Filling {
    /// What is complete.
    window: LogWindow,
    /// What is being filled.
    stretch: RecordBlock,
    /// The rows of it that belong to the window begin here.
    lo: usize,
}

impl Filling {
    /// A window that begins at `from` and will hold about `expected` records (room is set aside for them, which
    /// costs no memory before it is used).
    #[must_use]
    pub fn new(from: i64, expected: usize) -> Self {
        let rows = Vec::with_capacity(expected);
        Filling { window: LogWindow::new(from), stretch: RecordBlock { rows, ..RecordBlock::default() }, lo: 0 }
    }

    /// Goes on behind a window: in its last stretch, when nobody else has that.
    fn continue_after(mut window: LogWindow) -> Self {
        let mut filling = Filling { window: LogWindow::default(), stretch: RecordBlock::default(), lo: 0 };
        if let Some(piece) = window.pieces.pop() {
            let (lo, hi) = (piece.lo, piece.hi);
            match Arc::try_unwrap(piece.stretch) {
                // Behind a piece that ends before its stretch lie rows that are not this window's: it can't
                // be extended.
                Ok(stretch) if hi == stretch.rows.len() => {
                    window.len -= hi - lo;
                    (filling.stretch, filling.lo) = (stretch, lo);
                }
                Ok(stretch) => window.pieces.push(BlockSlice { stretch: Arc::new(stretch), ..piece }),
                Err(stretch) => window.pieces.push(BlockSlice { stretch, ..piece }),
            }
        }
        filling.window = window;
        filling
    }

    /// The next record, with its key's hash where keys are wanted (for all records or for none).
    ///
    /// # Errors
    /// When its offset is not beyond the last one's; nothing is taken in then.
    pub fn push(&mut self, record: Rec, key: Option<u64>) -> Result<(), WindowError> {
        let least = self.stretch.rows.last().map_or(self.window.to, |row| self.stretch.offset_of(row) + 1);
        if record.offset < least {
            return Err(WindowError::OutOfOrder { offset: record.offset, from: least, to: i64::MAX });
        }
        self.put_record(record, key);
        Ok(())
    }

    fn put_record(&mut self, record: Rec, key: Option<u64>) {
        let stretch = &mut self.stretch;
        if stretch.rows.is_empty() {
            (stretch.base_offset, stretch.base_ts) = (record.offset, record.ts);
        }
        // Offsets can be 2^31 apart in a compacted log, or after a gap: a new stretch begins, with a base of its own.
        let Ok(offset) = i32::try_from(record.offset - stretch.base_offset) else {
            self.close_block();
            return self.put_record(record, key);
        };
        let ts = delta_from_base(stretch.base_ts, record.ts);
        if ts == FAR {
            stretch.far.insert(record.offset, record.ts);
        }
        stretch.rows.push(PackedRecord { id: [(record.id.0 >> 64) as u64, record.id.0 as u64], offset, ts });
        stretch.keys.extend(key);
    }

    /// There is nothing more below `to`.
    #[must_use]
    pub fn finish(mut self, to: i64) -> LogWindow {
        self.close_block();
        self.window.to = self.window.to.max(to);
        self.window
    }

    fn close_block(&mut self) {
        let mut stretch = std::mem::take(&mut self.stretch);
        let (lo, hi) = (std::mem::take(&mut self.lo), stretch.rows.len());
        if let Some(row) = stretch.rows.last() {
            self.window.to = self.window.to.max(stretch.offset_of(row) + 1);
            // Room was set aside for what was expected, and windows live as long as their groups' translations.
            stretch.rows.shrink_to_fit();
            stretch.keys.shrink_to_fit();
            self.window.put_slice(Arc::new(stretch), lo, hi);
        }
    }
}

impl RecordBlock {
    fn offset_of(&self, row: &PackedRecord) -> i64 {
        self.base_offset + i64::from(row.offset)
    }

    fn offset_at(&self, i: usize) -> i64 {
        self.offset_of(&self.rows[i])
    }

    fn get(&self, i: usize) -> Rec {
        self.unpack_record(&self.rows[i])
    }

    fn unpack_record(&self, row: &PackedRecord) -> Rec {
        let offset = self.offset_of(row);
        let ts = match row.ts {
            FAR => self.far.get(&offset).copied().unwrap_or(-1),
            delta => self.base_ts + i64::from(delta),
        };
        Rec { offset, ts, id: Identity(u128::from(row.id[0]) << 64 | u128::from(row.id[1])) }
    }
}

fn delta_from_base(base: i64, ts: i64) -> i32 {
    // A distance of exactly `i32::MIN` reads as `FAR`, too: it then is in `far`, like any other that does not fit.
    ts.checked_sub(base).and_then(|d| i32::try_from(d).ok()).unwrap_or(FAR)
}

fn check_order(records: &[Rec], from: i64, to: i64) -> Result<(), WindowError> {
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
        assert_eq!(size_of::<PackedRecord>(), 24);
        assert_eq!(size_of::<Rec>(), 32);
    }

    const NOW: i64 = 1_790_000_000_000;

    fn all() -> [Rec; 7] {
        [rec(3, -1), rec(5, NOW), rec(6, NOW - 40), rec(9, 0), rec(10, i64::MAX), rec(11, i64::MIN), rec(40, NOW + 9)]
    }

    #[test]
    fn holds_what_was_put_in_at_both_ends() {
        let all = all();
        let mut w = LogWindow::new(6);
        w.append(10, &all[2..4], &[2, 3]).unwrap();
        w.append(41, &all[4..], &[4, 5, 6]).unwrap();
        let mut before = LogWindow::new(2);
        before.append(6, &all[..2], &[0, 1]).unwrap();
        before.join(w).unwrap();
        let w = before;
        assert_eq!((w.from(), w.to(), w.len()), (2, 41, 7));
        assert_eq!(w.iter().collect::<Vec<_>>(), all);
        assert_eq!((0..7).map(|i| w.key_hash(i).unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((w.index_of(0), w.index_of(6), w.index_of(7), w.index_of(41)), (0, 2, 3, 7));
    }

    /// Any cut of windows joined from pieces of any size holds the same records as one made in one go.
    #[test]
    fn pieces_that_are_shared_and_cut_hold_the_same_records() {
        let n = 3 * SMALL as i64;
        // holes, and timestamps too far for 32 bits
        let of = |o: i64| rec(o, if o % 7 == 0 { o } else { NOW + o * 3_000_000 });
        let records: Vec<Rec> = (0..n).filter(|o| o % 5 != 2).map(of).collect();
        let whole = LogWindow::from_records(0, n, &records).unwrap();
        let cuts = [0, 1, 2, 3, 700, SMALL as i64, 2 * SMALL as i64 + 2, n - 1, n];
        let mut joined = LogWindow::new(0);
        for pair in cuts.windows(2) {
            joined.join(whole.slice(pair[0], pair[1])).unwrap();
            assert_eq!(joined, whole.slice(0, pair[1]));
        }
        assert!(joined.pieces.len() > 1 && joined.pieces.len() < cuts.len() - 1, "small ones are put together");
        let kept = joined.clone();
        joined.append(n + 10, &[of(n + 4)], &[]).unwrap();
        assert_eq!((kept.len() + 1, kept.to()), (joined.len(), n), "what others hold stays as it is");
        for from in cuts {
            for to in cuts {
                let part = joined.slice(from, to);
                let expected: Vec<Rec> = records.iter().filter(|r| (from..to).contains(&r.offset)).copied().collect();
                assert_eq!(part.iter().collect::<Vec<_>>(), expected, "{from}..{to}");
                assert_eq!((0..part.len()).map(|i| part.get(i)).collect::<Vec<_>>(), expected, "{from}..{to}");
                for o in [from, from + 2, to - 1, to + 1] {
                    let index = expected.partition_point(|r| r.offset < o);
                    assert_eq!(part.index_of(o), index, "{o} in {from}..{to}");
                }
            }
        }
        assert_eq!(whole.slice(-5, 2).from(), 0);
        assert_eq!((whole.slice(n, n + 5).from(), whole.slice(7, 3).len()), (n, 0));
    }

    #[test]
    fn refuses_what_is_out_of_order_and_stays_as_it_was() {
        let mut w = LogWindow::new(10);
        w.append(20, &[rec(12, 0)], &[]).unwrap();
        let before = w.clone();
        assert!(w.append(30, &[rec(19, 0)], &[]).is_err());
        assert!(w.append(30, &[rec(25, 0), rec(25, 0)], &[]).is_err());
        assert!(w.append(30, &[rec(30, 0)], &[]).is_err());
        assert!(w.join(LogWindow::new(21)).is_err() && w.join(LogWindow::new(19)).is_err());
        assert_eq!(w, before);
        let mut filling = Filling::new(10, 4);
        filling.push(rec(12, 0), None).unwrap();
        assert!(filling.push(rec(12, 0), None).is_err() && filling.push(rec(9, 0), None).is_err());
        assert_eq!(filling.finish(20), before);
    }

    #[test]
    fn offsets_may_lie_any_distance_apart() {
        let far = [rec(1, 5), rec(1 << 39, 6), rec((1 << 39) + 1, 7), rec(1 << 50, 8)];
        let w = LogWindow::from_records(0, 1 << 51, &far).unwrap();
        assert_eq!(w.iter().collect::<Vec<_>>(), far);
        assert_eq!((w.index_of(2), w.index_of(1 << 45), w.get(3)), (1, 3, far[3]));
    }
}

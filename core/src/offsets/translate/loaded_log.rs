//! One log of a translation: its bounds, what was loaded of it, and what it answered about times.

use std::collections::BTreeMap;

use super::super::window::{EndRead, EndSample, LogWindow};
use super::Log;
use crate::base::At;

/// One log: its bounds, what was loaded of it, and what it answered about times.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadedLog {
    pub(super) ends: Option<EndRead>,
    pub(super) seen: Vec<EndSample>,
    pub(super) window: LogWindow,
    /// Pieces of an older stretch that is being read, to be put before `window`.
    pub(super) older: Option<LogWindow>,
    /// ListOffsets by time: what was asked, and the first offset that may be that young.
    pub(super) lookups: BTreeMap<i64, i64>,
    /// The timestamp that stands in for arrival when no old enough sample of the end is known.
    pub(super) tail_ts: Option<i64>,
    pub(super) read: u64,
}

impl LoadedLog {
    /// By the samples of its end: below which offset everything had arrived `skew_ms` before the other log's end was
    /// asked for. `None` when no sample is that old.
    pub(super) fn settled_by_samples(&self, other: At, skew_ms: u64) -> Option<i64> {
        self.seen.iter().filter(|s| s.at.plus(skew_ms) <= other).map(|s| s.end).max()
    }

    /// Records below this offset are settled. `other`: when the other log's end was asked for.
    pub(super) fn settled_below(&self, other: Option<At>, skew_ms: u64) -> i64 {
        let by_time = self.tail_ts.and_then(|ts| self.lookups.get(&ts)).copied();
        // Without samples and without a lookup nothing counts as settled.
        other.and_then(|at| self.settled_by_samples(at, skew_ms)).or(by_time).unwrap_or(i64::MIN)
    }

    /// What ListOffsets by time answered.
    pub(super) fn note_time(&mut self, ts: i64, offset: Option<i64>) {
        let end = self.ends.map_or(0, |e| e.end);
        // None is that young: the next one will be, at the end. An offset beyond the known end belongs to the
        // next round.
        self.lookups.insert(ts, offset.unwrap_or(end).min(end));
    }

    /// Takes in new bounds, unless the log was cut back.
    pub(super) fn note_ends(&mut self, log: Log, ends: EndRead) -> Result<(), String> {
        let loaded = self.window.to();
        if ends.end < loaded {
            return Err(format!("the {log} log was cut back from {loaded} to {} while it was read", ends.end));
        }
        // This round's end proves to the next how old the arrivals below it are.
        self.seen.push(EndSample { at: ends.answered, end: ends.end });
        self.ends = Some(ends);
        Ok(())
    }

    /// Takes in what was read from `from` on: behind the window, or before it once the whole older stretch is there.
    pub(super) fn take_piece(&mut self, from: i64, piece: LogWindow) -> Result<(), String> {
        // An empty piece would be asked for again, for ever.
        if piece.from() != from || piece.to() <= from {
            return Err(format!("nothing was read from {from} on"));
        }
        self.read += piece.len() as u64;
        if from >= self.window.to() {
            return self.window.join(piece).map_err(|e| e.to_string());
        }
        let older = self.older.get_or_insert_with(|| LogWindow::new(from));
        older.join(piece).map_err(|e| e.to_string())?;
        let whole = older.to() == self.window.from();
        if let Some(mut older) = self.older.take_if(|_| whole) {
            older.join(std::mem::take(&mut self.window)).map_err(|e| e.to_string())?;
            self.window = older;
        }
        Ok(())
    }
}

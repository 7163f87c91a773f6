//! One log of a translation: its bounds, what was loaded of it, and what it answered about times.

use std::collections::BTreeMap;

use super::super::window::{EndRead, EndSample, LogWindow};

/// One log: its bounds, what was loaded of it, and what it answered about times.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
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

impl Side {
    /// Takes in what was read from `from` on: behind the window, or before it once the whole older stretch is there.
    pub(super) fn take(&mut self, from: i64, piece: LogWindow) -> Result<(), String> {
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

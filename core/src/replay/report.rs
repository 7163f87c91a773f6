//! What a replay tells people and scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::order::Reordered;
use super::ranges::Piece;
use super::route::Routes;
use super::spec::ReplaySpec;
use crate::base::{Side, Trouble, TroubleClass};

/// What came of a replay, or of asking for one.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// Its id; `None` when nothing was started.
    pub run: Option<String>,
    /// The cluster it reads.
    pub from: Side,
    /// The cluster it writes.
    pub to: Side,
    /// Nothing was sent.
    pub dry_run: bool,
    /// Source ranges, topics by blue's names.
    pub ranges: Vec<Piece>,
    /// Where each source topic's records go.
    pub routes: Routes,
    /// Records in the ranges.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Records that this go carried (earlier ones are on the target already).
    pub carried: u64,
    /// Bytes of keys and values that this go carried.
    pub carried_bytes: u64,
    /// Transactions that this go committed.
    pub transactions: u64,
    /// How long carrying took, ms.
    pub took_ms: u64,
    /// Keys whose order it changes; `None` when it was not looked at (a side topic, a resumed run).
    pub reordered: Option<Reordered>,
    /// Marks read back from the target: each record once. `None`: not read back.
    pub verified: Option<bool>,
    /// Marks found on the target of this run.
    pub found: Option<u64>,
    /// The diff made again afterwards, where the ranges came from one of a time range.
    pub after: Option<After>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// How it ended short of being done; `None`: done.
    #[serde(skip)]
    pub class: Option<TroubleClass>,
    /// What stood in the way.
    #[serde(skip)]
    pub trouble: Option<Trouble>,
}

impl ReplayReport {
    /// Nothing was carried yet.
    #[must_use]
    pub fn new(from: Side, dry_run: bool) -> Self {
        Self {
            run: None,
            from,
            to: from.other(),
            dry_run,
            ranges: Vec::new(),
            routes: BTreeMap::new(),
            records: 0,
            bytes: 0,
            carried: 0,
            carried_bytes: 0,
            transactions: 0,
            took_ms: 0,
            reordered: None,
            verified: None,
            found: None,
            after: None,
            warnings: Vec::new(),
            class: None,
            trouble: None,
        }
    }

    /// Takes over what is to be carried.
    pub fn set_spec(&mut self, spec: &ReplaySpec) {
        (self.from, self.to) = (spec.from, spec.target_side());
        self.ranges = spec.ranges.pieces().collect();
        self.routes.clone_from(&spec.routes);
        (self.records, self.bytes) = (spec.records, spec.bytes);
    }

    /// What was written was not read back; `None`: somebody stopped it.
    pub fn warn_unread(&mut self, why: Option<Trouble>) {
        let why = why.map_or_else(|| "it was told to stop".to_owned(), |t| t.what);
        self.warnings.push(format!("what was written was not read back: {why}"));
    }
}

/// What a diff says after a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct After {
    /// CLEAN, DIFFERS (a carried record may have changed the order of its key) or UNKNOWN.
    pub verdict: String,
    /// Records that are still missing; `None` where that is not known.
    pub missing: Option<u64>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How far a replay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayProgress {
    /// What it does now: `counting`, `comparing keys`, `carrying`, `reading back`, `waiting for open transactions`
    /// (there ms of the longest wait).
    pub what: &'static str,
    /// Offsets passed (counting, comparing) or records carried.
    pub done: u64,
    /// How many there are.
    pub total: u64,
    /// Bytes passed in this go.
    pub bytes: u64,
    /// Time spent on it so far, ms.
    pub ms: u64,
}

impl ReplayProgress {
    /// Time left at the rate so far, ms; `None` while there is no rate.
    #[must_use]
    pub fn left_ms(&self, before: u64) -> Option<u64> {
        let done = self.done.checked_sub(before).filter(|d| *d > 0 && self.ms > 0)?;
        let left = u128::from(self.total.saturating_sub(self.done)) * u128::from(self.ms) / u128::from(done);
        u64::try_from(left).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_goes_by_this_goes_rate() {
        let progress = ReplayProgress { what: "carrying", done: 600, total: 1_000, bytes: 0, ms: 2_000 };
        assert_eq!(progress.left_ms(400), Some(4_000));
        assert_eq!(progress.left_ms(600), None);
        assert_eq!(ReplayProgress { ms: 0, ..progress }.left_ms(0), None);
    }
}

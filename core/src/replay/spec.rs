//! A replay as the journal holds it: everything that a later start needs to go on with it, and nothing else.

use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use super::route::Routes;
use crate::base::{Side, TopicPartition};

/// What a replay carries, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaySpec {
    /// The cluster it reads from; it writes to the other one.
    pub from: Side,
    /// How it was asked for, in words: `--group loan-audit`, `--from-diff diff.json`.
    pub asked: String,
    /// Source offsets, topics by blue's names.
    pub ranges: Ranges,
    /// Where each source topic's records go.
    pub routes: Routes,
    /// Whether each record gets a header that says where it came from.
    pub mark: bool,
    /// Records found in the ranges before the start.
    pub records: u64,
    /// Their bytes of keys and values.
    pub bytes: u64,
    /// The largest record as a batch of its own, bytes.
    pub largest: u64,
    /// The largest batch that every target topic takes, bytes; `None` when it could not be asked.
    pub max_batch: Option<u64>,
    /// The target's partitions (by the target's names) and their ends before the start: what the replay writes is
    /// beyond them.
    pub target_ends: Vec<(TopicPartition, i64)>,
}

impl ReplaySpec {
    /// The cluster it writes to.
    #[must_use]
    pub fn target_side(&self) -> Side {
        self.from.other()
    }

    /// The target topics, each once.
    #[must_use]
    pub fn target_topics(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.routes.values().map(|r| r.to.as_str()).collect();
        // Several topics may go into one (`--into`).
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// How a replay, or one go at it, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayEnd {
    /// Every record is on the target.
    Done {
        /// Records that this go carried.
        carried: u64,
        /// Marks read back: as many as records, each once. `None`: they were not read back.
        verified: Option<bool>,
    },
    /// It can be resumed.
    Stopped {
        /// Records that this go carried.
        carried: u64,
        /// Why it stopped.
        why: String,
    },
}

/// The id of a run: its transactional id and its group on the target come from it.
#[must_use]
pub fn transactional_id(run: &str) -> String {
    format!("cutover-replay-{run}")
}

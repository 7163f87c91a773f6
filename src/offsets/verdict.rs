//! What a translation says, per partition and for a group.
//!
//! Provisional shape (the `offsets` helper owns this file): others may rely on these names.

use serde::{Deserialize, Serialize};

use crate::migration::estate::{At, TopicPartition};

/// How far a translated offset may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "UPPERCASE")]
pub enum Verdict {
    /// The maximal safe offset, everything counted exactly.
    Proven,
    /// Safe; at most `re_read` records are read twice.
    Bounded,
    /// No evidence.
    Guess,
    /// No safe statement can be made.
    Unmappable,
}

/// A partition's position on one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The group's committed offset; `None` when it never committed.
    pub committed: Option<i64>,
    /// Log start offset.
    pub log_start: i64,
    /// Last stable offset.
    pub end: i64,
}

/// Where the group would go on the other log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetPosition {
    /// The offset to commit; `None` when unmappable.
    pub offset: Option<i64>,
    /// Log start offset.
    pub log_start: i64,
    /// Last stable offset.
    pub end: i64,
}

/// A record at the cut, for people to look at. Values are never kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutRecord {
    /// Offset.
    pub offset: i64,
    /// Timestamp, ms since the epoch.
    pub ts: i64,
    /// First hex digits of the identity.
    pub id: String,
}

/// The records on both sides of the cut.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cut {
    /// Source records around `committed`, oldest first.
    pub source: Vec<CutRecord>,
    /// Target records around the planned offset, oldest first.
    pub target: Vec<CutRecord>,
}

/// The translation of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPlan {
    /// Topic and partition (the same on both sides).
    #[serde(flatten)]
    pub tp: TopicPartition,
    /// Where the group is.
    pub source: SourcePosition,
    /// Where it would go.
    pub target: TargetPosition,
    /// Strategy word, e.g. `align`.
    pub strategy: String,
    /// How far it may be trusted.
    pub verdict: Verdict,
    /// Records that will be read twice (exact when proven, else at most); `None` when unmappable.
    pub re_read: Option<u64>,
    /// Records owed to the group that the target can't deliver; `None` when it can't be told.
    pub missing: Option<u64>,
    /// Source offsets `[from, to)` of the missing records.
    pub missing_ranges: Vec<(i64, i64)>,
    /// Records passed over that only the target has.
    pub target_only: u64,
    /// Evidence in a few words, e.g. `content, 412 records compared`.
    pub evidence: String,
    /// Why it is not better.
    pub why: Option<String>,
    /// Records around the cut.
    pub cut: Cut,
    /// When it was measured.
    pub at: At,
}

/// Sums over a group's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// `None` when one partition's is unknown: unknown is not 0.
    pub re_read: Option<u64>,
    /// `None` when one partition's is unknown.
    pub missing: Option<u64>,
}

/// The translation of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// By topic and partition.
    pub partitions: Vec<PartitionPlan>,
    /// Sums.
    pub totals: Totals,
}

//! How far a translated offset can be trusted, for one partition and for a whole group.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::align::Unsettled;
use super::strategy::TranslatedBy;
use crate::base::{At, TopicPartition};

/// How far a translated offset can be trusted; from the best to the worst, so that the worst of several is their maximum.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
pub enum Verdict {
    /// The largest safe offset, from record contents; re-read, missing and target-only are counted exactly.
    Proven,
    /// Safe; `re_read` is an upper bound, or the largest safe offset may be a little further.
    Bounded,
    /// No evidence for it (a timestamp, latest, earliest, or logs of which no record agrees).
    Guess,
    /// No safe statement can be made; `why` says the reason.
    Unmappable,
}

impl Verdict {
    /// Whether a plan with it may be acted on with the normal confirmation.
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Verdict::Proven | Verdict::Bounded)
    }
}

/// The log the group has been reading, and where it stands on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The group's committed offset; `None` when it never committed.
    pub committed: Option<i64>,
    /// Log start offset; -1 when it could not be read.
    pub log_start: i64,
    /// Last stable offset; -1 when it could not be read.
    pub end: i64,
}

/// The log the group is to read, and where it would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPosition {
    /// The offset to commit; `None` when unmappable.
    pub offset: Option<i64>,
    /// Log start offset; -1 when it could not be read.
    pub log_start: i64,
    /// Last stable offset; -1 when it could not be read.
    pub end: i64,
}

impl Default for SourcePosition {
    /// Nothing known.
    fn default() -> Self {
        SourcePosition { committed: None, log_start: -1, end: -1 }
    }
}

impl Default for TargetPosition {
    /// Nothing known.
    fn default() -> Self {
        TargetPosition { offset: None, log_start: -1, end: -1 }
    }
}

/// A record at the cut, for people to look at. Values are kept only where they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CutRecord {
    /// Offset.
    pub offset: i64,
    /// Timestamp, ms since the epoch; -1 when the record has none.
    pub ts: i64,
    /// First 8 hexadecimal digits of its identity: equal on both logs for the same record.
    pub id: String,
    /// The beginning of its key, made visible; `None`: a null key, or (when `size` is `None` too) not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Bytes of key and value; `None`: it was not read again, or was gone by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The beginning of its value, made visible, where values were asked for; `None` otherwise, and for a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The records on both sides of the cut, at most two each, so that a person can see that it is right.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cut {
    /// Source records around `committed`, oldest first: those below it were consumed.
    pub source: Vec<CutRecord>,
    /// Target records around the planned offset, oldest first: those below it are skipped.
    pub target: Vec<CutRecord>,
}

/// When the oldest and the newest of some records were written, by their timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpan {
    /// Of the oldest.
    pub first: At,
    /// Of the newest.
    pub last: At,
}

impl TimeSpan {
    /// From timestamps, ms.
    #[must_use]
    pub(crate) fn from_timestamps((first, last): (i64, i64)) -> Self {
        TimeSpan { first: At(first), last: At(last) }
    }
}

/// When what a plan costs was written. `None`: nothing of it, or it was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// What is missing or skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<TimeSpan>,
    /// What is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re_read: Option<TimeSpan>,
}

/// What the commit that is translated carries besides its offset (OffsetCommit's `metadata`), such as which later records
/// were done already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitMetadata {
    /// As committed.
    pub text: String,
    /// Whether it goes along: only where both logs hold the same records at the same offsets.
    pub carried: bool,
}

impl CommitMetadata {
    /// It does not go along.
    #[must_use]
    pub(crate) fn left_behind(text: String) -> Self {
        Self { text, carried: false }
    }
}

/// One partition's translation. In JSON for people, `source` and `target` are printed as `blue` and `green`
/// (or the other way round in a rollback) by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPlan {
    /// Topic and partition, by its name on the source.
    #[serde(flatten)]
    pub tp: TopicPartition,
    /// What made it.
    pub strategy: TranslatedBy,
    /// What the group had on the source.
    pub source: SourcePosition,
    /// What it gets on the target.
    pub target: TargetPosition,
    /// How far it can be trusted.
    pub verdict: Verdict,
    /// Records the group will read a second time: exact when PROVEN, else an upper bound. `None`: unknown.
    pub re_read: Option<u64>,
    /// Unconsumed records that are not on the target at or after the offset: lost unless replayed. `None`: unknown.
    pub missing: Option<u64>,
    /// Source offsets `[from, to)` that a replay would have to carry: every committed data record in a range is missing.
    /// What expired on the source counts as missing and is in no range: nobody can carry it.
    pub missing_ranges: Vec<(i64, i64)>,
    /// When what is missing or read again was written.
    #[serde(default)]
    pub times: Times,
    /// Records that only the target has and that the group would skip, in the window that was compared.
    pub target_only: u64,
    /// Records whose twin may still arrive; all 0 when everything is settled.
    pub unsettled: Unsettled,
    /// A few words for a table: `content, 412 records compared`.
    pub evidence: String,
    /// Why it is not PROVEN, in a sentence.
    pub why: Option<String>,
    /// Records read from the source and from the target to get here.
    pub read: (u64, u64),
    /// The records around the cut.
    pub cut: Cut,
    /// What its commit carries besides the offset; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<CommitMetadata>,
    /// When the last of the facts was read.
    pub at: At,
}

impl PartitionPlan {
    /// A partition of which nothing safe can be said: a topic that the target lacks, another partition count, ...
    #[must_use]
    pub fn unmappable(tp: TopicPartition, strategy: impl Into<TranslatedBy>, why: impl Into<String>, at: At) -> Self {
        PartitionPlan {
            tp,
            strategy: strategy.into(),
            source: SourcePosition::default(),
            target: TargetPosition::default(),
            verdict: Verdict::Unmappable,
            re_read: None,
            missing: None,
            missing_ranges: Vec::new(),
            times: Times::default(),
            target_only: 0,
            unsettled: Unsettled::default(),
            evidence: String::new(),
            why: Some(why.into()),
            read: (0, 0),
            cut: Cut::default(),
            metadata: None,
            at,
        }
    }

    /// Whether the target has no partition of this number: where partition counts differ, a row that only says what is
    /// missing of the source's. There is no offset to commit, and nothing wrong with that.
    #[must_use]
    pub fn is_source_only(&self) -> bool {
        self.verdict != Verdict::Unmappable && self.target == TargetPosition::default()
    }

    /// Whether it stands in the way of a cutover: something would be lost, or nothing can be said.
    #[must_use]
    pub fn blocks_cutover(&self) -> bool {
        // Unknown is not 0: what may be lost without being counted blocks as well.
        self.verdict == Verdict::Unmappable || self.missing != Some(0)
    }
}

/// A group's figures over all its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of `re_read`; `None` as soon as one partition's is unknown: unknown is not 0.
    pub re_read: Option<u64>,
    /// Sum of `missing`; `None` as soon as one partition's is unknown.
    pub missing: Option<u64>,
}

/// A whole group's translation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupTranslation {
    /// By topic and partition.
    pub partitions: Vec<PartitionPlan>,
    /// The sums.
    pub totals: Totals,
    /// Topics that are called otherwise on the target: their names there, by their names here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target_names: BTreeMap<String, String>,
}

impl GroupTranslation {
    /// Sorts the partitions and sums them up.
    #[must_use]
    pub fn new(mut partitions: Vec<PartitionPlan>) -> Self {
        partitions.sort_by(|a, b| a.tp.cmp(&b.tp));
        let totals = Totals {
            re_read: partitions.iter().map(|p| p.re_read).sum(),
            missing: partitions.iter().map(|p| p.missing).sum(),
        };
        GroupTranslation { partitions, totals, target_names: BTreeMap::new() }
    }

    /// The same, with the names that its topics have on the target.
    #[must_use]
    pub fn with_target_names(mut self, name: impl Fn(&str) -> String) -> Self {
        let topics: BTreeSet<&String> = self.partitions.iter().map(|p| &p.tp.topic).collect();
        let named = topics.into_iter().map(|t| (t.clone(), name(t))).filter(|(here, there)| here != there);
        self.target_names = named.collect();
        self
    }

    /// The same without some of its topics.
    #[must_use]
    pub fn without(&self, topics: &BTreeSet<String>) -> Self {
        let partitions = self.partitions.iter().filter(|p| !topics.contains(&p.tp.topic)).cloned().collect();
        GroupTranslation { target_names: self.target_names.clone(), ..GroupTranslation::new(partitions) }
    }

    /// The partitions of the target that it has a row for. Where counts differ, a row that only says what is missing of
    /// the source's partition of that number is none: no offset stands in it.
    pub(crate) fn target_partitions(&self) -> BTreeSet<&TopicPartition> {
        self.partitions.iter().filter(|p| !p.is_source_only()).map(|p| &p.tp).collect()
    }

    /// The partitions of the source that it was made from.
    pub(crate) fn source_partitions(&self) -> BTreeSet<&TopicPartition> {
        self.partitions.iter().filter(|p| p.source != SourcePosition::default()).map(|p| &p.tp).collect()
    }

    /// A topic's name on the target.
    #[must_use]
    pub fn target_name<'a>(&'a self, topic: &'a str) -> &'a str {
        self.target_names.get(topic).map_or(topic, String::as_str)
    }

    /// The worst verdict of its partitions; `None` without partitions.
    #[must_use]
    pub fn worst_verdict(&self) -> Option<Verdict> {
        self.partitions.iter().map(|p| p.verdict).max()
    }

    /// Whether something would be lost or nothing can be said, for any partition.
    #[must_use]
    pub fn blocks_cutover(&self) -> bool {
        self.partitions.iter().any(PartitionPlan::blocks_cutover)
    }

    /// Unconsumed records that are not on the target, and may still come: as long as there are some, `missing` may grow by
    /// so many.
    #[must_use]
    pub fn count_unsettled(&self) -> u64 {
        self.partitions.iter().map(|p| p.unsettled.unconsumed).sum()
    }

    /// When the oldest of its facts was read: the age to show. `None` without partitions.
    #[must_use]
    pub fn oldest_fact_at(&self) -> Option<At> {
        self.partitions.iter().map(|p| p.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(partition: i32, verdict: Verdict, re_read: Option<u64>, missing: Option<u64>) -> PartitionPlan {
        let mut p = PartitionPlan::unmappable(TopicPartition::new("t", partition), "align", "", At(partition.into()));
        (p.verdict, p.re_read, p.missing) = (verdict, re_read, missing);
        p
    }

    #[test]
    fn unknown_is_not_zero() {
        let known = GroupTranslation::new(vec![
            plan(1, Verdict::Bounded, Some(2), Some(0)),
            plan(0, Verdict::Proven, Some(0), Some(0)),
        ]);
        assert_eq!((known.totals.re_read, known.totals.missing), (Some(2), Some(0)));
        assert_eq!(known.worst_verdict(), Some(Verdict::Bounded));
        assert!(!known.blocks_cutover());
        assert_eq!(known.partitions[0].tp.partition, 0);
        let unknown = GroupTranslation::new(vec![
            plan(1, Verdict::Proven, Some(2), Some(0)),
            plan(0, Verdict::Unmappable, None, None),
        ]);
        assert_eq!((unknown.totals.re_read, unknown.totals.missing), (None, None));
        assert_eq!(unknown.worst_verdict(), Some(Verdict::Unmappable));
        assert!(unknown.blocks_cutover());
        assert!(GroupTranslation::new(vec![plan(0, Verdict::Proven, Some(0), Some(1))]).blocks_cutover());
        assert_eq!(GroupTranslation::default().worst_verdict(), None);
    }

    #[test]
    fn the_words_of_the_json() {
        let words: Vec<_> = [Verdict::Proven, Verdict::Bounded, Verdict::Guess, Verdict::Unmappable]
            .iter()
            .map(|v| serde_json::to_string(v).unwrap())
            .collect();
        assert_eq!(words, ["\"proven\"", "\"bounded\"", "\"guess\"", "\"unmappable\""]);
        let p = plan(0, Verdict::Proven, Some(0), Some(0));
        assert_eq!(serde_json::from_str::<PartitionPlan>(&serde_json::to_string(&p).unwrap()).unwrap(), p);
    }
}

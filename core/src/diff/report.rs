//! What a diff found.

use serde::{Deserialize, Serialize};

use super::PartitionCounts;
use super::bucket::Findings;
use super::spans::OffsetSet;
use crate::base::Side;

/// Ranges that are listed for one finding of a partition; `count` is exact beyond that too.
const RANGES_LISTED: usize = 100_000;

/// Offsets: how many records, and their ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spans {
    /// Records.
    pub count: u64,
    /// `[from, to)`, from the lowest; offsets without a record in between part them.
    pub ranges: Vec<(i64, i64)>,
    /// Whether ranges were left out: there are more than 100,000.
    pub truncated: bool,
}

impl Spans {
    /// The first and last offsets of at most `most` ranges, as `10-12, 15`, and how many more there are.
    #[must_use]
    pub fn describe_ranges(&self, most: usize) -> String {
        let word =
            |(from, to): &(i64, i64)| if to - from == 1 { from.to_string() } else { format!("{from}-{}", to - 1) };
        let mut words: Vec<String> = self.ranges.iter().take(most).map(word).collect();
        if self.ranges.len() > most || self.truncated {
            let more = self.ranges.len() - words.len();
            words.push(format!("and {more}{} more ranges (--json)", if self.truncated { "+" } else { "" }));
        }
        words.join(", ")
    }
}

impl From<&OffsetSet> for Spans {
    fn from(set: &OffsetSet) -> Self {
        // One more than is listed tells that there are more.
        let mut ranges: Vec<_> = set.ranges().take(RANGES_LISTED + 1).collect();
        let truncated = ranges.len() > RANGES_LISTED;
        ranges.truncate(RANGES_LISTED);
        Self { count: set.len(), ranges, truncated }
    }
}

/// A record that changed its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Its offset on the source.
    pub source: i64,
    /// Its offset on the target.
    pub target: i64,
    /// By how many records of its key.
    pub by: u64,
}

/// One partition: the source's, and the target's of the same number. Where the topic is compared as a whole, `missing`
/// counts for the partition it is in on the source, `only_target` for the one on the target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionDiff {
    /// Number.
    pub partition: i32,
    /// Records read and judged, and pairs.
    pub counts: PartitionCounts,
    /// On the source only; source offsets.
    pub missing: Spans,
    /// On the target only; target offsets.
    pub only_target: Spans,
    /// Copies too many: on the source, on the target.
    pub duplicated: [Spans; 2],
    /// Records whose order among those of their key differs: their offsets on the source, on the target.
    pub reordered: [Spans; 2],
    /// The furthest any has moved, in records of its key.
    pub furthest: u64,
    /// The first 10,000 of them, one by one, in no particular order.
    pub moved: Vec<Moved>,
    /// Without a twin so far, which may still arrive: on the source, on the target.
    pub unsettled: [Spans; 2],
    /// Without a twin, which compaction explains: on the source, on the target.
    pub superseded: [Spans; 2],
    /// Before the first pair, and older than where both logs can be compared: on the source, on the target.
    pub before: [Spans; 2],
    /// Pairs of one key so many that their order was not measured.
    pub unordered: u64,
    /// Copies of one record so many that they were not decided.
    pub undecided: u64,
    /// Those of `unsettled`, on both logs together, whose twin may be in an open transaction.
    #[serde(default)]
    pub veiled: u64,
    /// Those of `unsettled`, on both logs together, whose timestamps lie ahead: they don't settle by themselves.
    #[serde(default)]
    pub ahead: u64,
}

impl PartitionDiff {
    /// Each kind of finding in words, with where it is.
    #[must_use]
    pub fn describe_findings(&self, source: Side, target: Side) -> Vec<(String, &Spans)> {
        let by = self.furthest;
        let all = [
            (format!("missing on {target} (offsets on {source})"), &self.missing),
            (format!("only on {target} (offsets on {target})"), &self.only_target),
            (format!("duplicated on {source}"), &self.duplicated[0]),
            (format!("duplicated on {target}"), &self.duplicated[1]),
            (format!("reordered, by up to {by} of their key (offsets on {source})"), &self.reordered[0]),
            (format!("unsettled on {source}"), &self.unsettled[0]),
            (format!("unsettled on {target}"), &self.unsettled[1]),
            (format!("before the first pair on {source}"), &self.before[0]),
            (format!("before the first pair on {target}"), &self.before[1]),
        ];
        all.into_iter().filter(|(_, spans)| spans.count > 0).collect()
    }
}

impl Findings {
    pub(super) fn into_report(mut self, partition: i32, counts: &PartitionCounts) -> PartitionDiff {
        let mut before = [OffsetSet::default(), OffsetSet::default()];
        for (log, early) in self.early.iter().enumerate() {
            for offset in early.iter() {
                // Only at the end is the first pair known: what lies behind it could be compared, and is
                // missing after all.
                let is_before = offset < counts.first_pair[log];
                if is_before {
                    before[log].insert(offset)
                } else {
                    self.alone[log].insert(offset)
                };
            }
        }
        let both = |sets: &[OffsetSet; 2]| [Spans::from(&sets[0]), Spans::from(&sets[1])];
        // They came bucket by bucket, in the order of hashes.
        self.list.sort_unstable_by_key(|m| m.source);
        PartitionDiff {
            partition,
            counts: *counts,
            missing: (&self.alone[0]).into(),
            only_target: (&self.alone[1]).into(),
            duplicated: both(&self.duplicated),
            reordered: both(&self.moved),
            furthest: self.furthest,
            moved: self.list,
            unsettled: both(&self.unsettled),
            superseded: both(&self.superseded),
            before: both(&before),
            unordered: self.unordered,
            undecided: self.undecided,
            veiled: self.veiled,
            ahead: self.ahead,
        }
    }
}

/// How many records of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiffCounts {
    /// Records read, on both logs together.
    pub read: u64,
    /// Pairs.
    pub equal: u64,
    /// On the source only.
    pub missing: u64,
    /// On the target only.
    pub only_target: u64,
    /// Copies too many on the source.
    pub duplicated_source: u64,
    /// Copies too many on the target.
    pub duplicated_target: u64,
    /// Records whose order among those of their key differs.
    pub reordered: u64,
    /// The furthest any has moved, in records of its key.
    pub furthest: u64,
    /// Without a twin so far, on both logs together.
    pub unsettled: u64,
    /// Explained by compaction, on both logs together.
    pub superseded: u64,
    /// Before the first pair, on both logs together.
    pub before: u64,
}

impl DiffCounts {
    /// Adds up partitions, or topics.
    #[must_use]
    pub fn merge_with(self, more: DiffCounts) -> DiffCounts {
        DiffCounts {
            read: self.read + more.read,
            equal: self.equal + more.equal,
            missing: self.missing + more.missing,
            only_target: self.only_target + more.only_target,
            duplicated_source: self.duplicated_source + more.duplicated_source,
            duplicated_target: self.duplicated_target + more.duplicated_target,
            reordered: self.reordered + more.reordered,
            furthest: self.furthest.max(more.furthest),
            unsettled: self.unsettled + more.unsettled,
            superseded: self.superseded + more.superseded,
            before: self.before + more.before,
        }
    }

    /// Whether the logs differ in anything that a consumer would notice.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.missing + self.only_target + self.duplicated_source + self.duplicated_target + self.reordered > 0
    }
}

impl From<&PartitionDiff> for DiffCounts {
    fn from(p: &PartitionDiff) -> Self {
        let both = |spans: &[Spans; 2]| spans[0].count + spans[1].count;
        Self {
            read: p.counts.read[0] + p.counts.read[1],
            equal: p.counts.equal,
            missing: p.missing.count,
            only_target: p.only_target.count,
            duplicated_source: p.duplicated[0].count,
            duplicated_target: p.duplicated[1].count,
            reordered: p.reordered[0].count,
            furthest: p.furthest,
            unsettled: both(&p.unsettled),
            superseded: both(&p.superseded),
            before: both(&p.before),
        }
    }
}

/// What can be said of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "UPPERCASE")]
pub enum DiffVerdict {
    /// Everything judged is on both, in the same order by key.
    Clean,
    /// Not known: why stands beside it. Never a pass.
    Unknown,
    /// It is not.
    Differs,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDiff {
    /// Its name on the source ...
    pub topic: String,
    /// ... and on the target.
    pub target_topic: String,
    /// What can be said of it.
    pub verdict: DiffVerdict,
    /// Why something of it is unknown.
    pub unknown: Vec<String>,
    /// What else is good to know about the comparison: by key only, partition counts, from where on.
    pub remarks: Vec<String>,
    /// Sums.
    pub found: DiffCounts,
    /// Each partition.
    pub partitions: Vec<PartitionDiff>,
}

impl TopicDiff {
    /// A topic whose partitions were compared. `unknown`: why something of it could not be.
    #[must_use]
    pub fn new(
        (topic, target_topic): (String, String),
        partitions: Vec<PartitionDiff>,
        mut unknown: Vec<String>,
        mut remarks: Vec<String>,
    ) -> Self {
        let found = partitions.iter().map(DiffCounts::from).fold(DiffCounts::default(), DiffCounts::merge_with);
        let count = |of: fn(&PartitionDiff) -> u64| partitions.iter().map(of).sum::<u64>();
        let (unordered, undecided) = (count(|p| p.unordered), count(|p| p.undecided));
        if unordered > 0 {
            unknown.push(format!(
                "{unordered} records share one key, more than fit in memory: their order was not compared"
            ));
        }
        if undecided > 0 {
            unknown.push(format!(
                "{undecided} equal records lie on one log alone, more than fit in memory: compare a smaller range"
            ));
        }
        let veiled = count(|p| p.veiled);
        if veiled > 0 {
            unknown
                .push(format!("{veiled} records are on one log alone, and an open transaction may hold their twins"));
        }
        let ahead = count(|p| p.ahead);
        if ahead > 0 {
            remarks.push(format!(
                "{ahead} records are on one log alone and carry timestamps that lie ahead: since when they are there can't \
                 be told, so their twins may still come; not judged yet"
            ));
        }
        let young = found.unsettled.saturating_sub(veiled + ahead);
        if young > 0 {
            remarks.push(format!("{young} records are younger than arrival_skew: not judged yet"));
        }
        if found.equal == 0 && !found.differs() && found.unsettled + found.before > 0 {
            unknown.push("no record of it has a twin yet: nothing could be compared".to_owned());
        }
        let far = count(|p| p.counts.far);
        if far > 0 {
            let most = partitions.iter().map(|p| p.counts.distance_ms).max().unwrap_or(0);
            remarks.push(format!("{far} pairs lie further apart in time than pair_delta, up to {most} ms"));
        }
        // What is not judged yet is not clean.
        let verdict = match (found.differs(), unknown.is_empty() && found.unsettled == 0) {
            (true, _) => DiffVerdict::Differs,
            (false, true) => DiffVerdict::Clean,
            (false, false) => DiffVerdict::Unknown,
        };
        Self { topic, target_topic, verdict, unknown, remarks, found, partitions }
    }

    /// What can be said of it in words: what differs hides nothing that is unknown beside it.
    #[must_use]
    pub fn describe_verdict(&self) -> String {
        describe_verdict(self.verdict, self.unknown.is_empty())
    }

    /// A topic of which nothing can be said.
    #[must_use]
    pub fn unknown(topic: String, target_topic: String, why: String) -> Self {
        Self {
            topic,
            target_topic,
            verdict: DiffVerdict::Unknown,
            unknown: vec![why],
            remarks: Vec::new(),
            found: DiffCounts::default(),
            partitions: Vec::new(),
        }
    }
}

/// A whole diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffReport {
    /// Number of this document's schema.
    pub schema: u32,
    /// When it was made, ms since the epoch.
    pub at_ms: i64,
    /// The side that should hold everything ...
    pub source: Side,
    /// ... and the one it is compared with.
    pub target: Side,
    /// Cluster ids, blue first.
    pub clusters: [Option<String>; 2],
    /// Records read, both sides together.
    pub read: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Time it took, without interruptions, ms.
    pub ms: u64,
    /// Each topic.
    pub topics: Vec<TopicDiff>,
}

impl DiffReport {
    /// Whether everything that was asked for could be compared.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.topics.is_empty() && self.topics.iter().all(|t| t.unknown.is_empty())
    }

    /// What can be said of it in words.
    #[must_use]
    pub fn describe_verdict(&self) -> String {
        describe_verdict(self.worst_verdict(), self.is_known())
    }

    /// Sums over all topics.
    #[must_use]
    pub fn total_counts(&self) -> DiffCounts {
        self.topics.iter().map(|t| t.found).fold(DiffCounts::default(), DiffCounts::merge_with)
    }

    /// The worst verdict: what differs, then what is unknown.
    #[must_use]
    pub fn worst_verdict(&self) -> DiffVerdict {
        // Nothing compared is not clean.
        self.topics.iter().map(|t| t.verdict).max().unwrap_or(DiffVerdict::Unknown)
    }
}

fn describe_verdict(verdict: DiffVerdict, known: bool) -> String {
    match (verdict, known) {
        (DiffVerdict::Differs, false) => "DIFFERS+UNKNOWN".to_owned(),
        _ => verdict.to_string(),
    }
}

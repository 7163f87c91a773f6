//! The strategies by name, an operator's choice among them, and those that need no alignment: seam and identity.
//! Each states what it rests on. (`align` is a room of its own; `timestamp`, `latest`, `earliest` and `mm2` name an
//! offset, and the alignment says what it costs.)

pub mod mm2;

pub(crate) use mm2::Claim;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::align::Unsettled;
use super::verdict::{Cut, PartitionPlan, SourcePosition, TargetPosition, Times, Verdict};
use super::window::{EndRead, LogWindow, Rec};
use crate::base::{At, TopicPartition};

/// How offsets of a topic are translated.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Strategy {
    /// The strongest evidence there is.
    #[default]
    Auto,
    /// Dual-written: by record contents.
    Align,
    /// Producers cut hard: by the journalled seam.
    Seam,
    /// Mirrored byte for byte: the same offset.
    Identity,
    /// MirrorMaker 2's checkpoints and offset syncs.
    Mm2,
    /// By timestamp: a guess.
    Timestamp,
    /// The end: skips the backlog.
    Latest,
    /// The start: reads everything again.
    Earliest,
}

impl Strategy {
    /// Whether it rests on what a person says instead of on evidence: such a choice always needs a reason.
    #[must_use]
    pub fn is_asked_for(self) -> bool {
        matches!(self, Strategy::Timestamp | Strategy::Latest | Strategy::Earliest)
    }
}

/// What made the translation of a partition. As text, and so in journals and in JSON: `align`, `seam`, `last-known`, ...
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum TranslatedBy {
    /// A strategy.
    Strategy(Strategy),
    /// What was known last of a side that can't be seen.
    LastKnown,
    /// A word of another version: it is shown, and nothing is concluded from it.
    Other(String),
}

const LAST_KNOWN: &str = "last-known";

impl From<String> for TranslatedBy {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(strategy) => TranslatedBy::Strategy(strategy),
            Err(_) if text == LAST_KNOWN => TranslatedBy::LastKnown,
            Err(_) => TranslatedBy::Other(text),
        }
    }
}

impl From<&str> for TranslatedBy {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Strategy> for TranslatedBy {
    fn from(strategy: Strategy) -> Self {
        TranslatedBy::Strategy(strategy)
    }
}

impl From<TranslatedBy> for String {
    fn from(by: TranslatedBy) -> Self {
        by.to_string()
    }
}

impl fmt::Display for TranslatedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TranslatedBy::Strategy(strategy) => strategy.fmt(f),
            TranslatedBy::LastKnown => f.write_str(LAST_KNOWN),
            TranslatedBy::Other(text) => f.write_str(text),
        }
    }
}

/// An operator's choice of a strategy for one group, over what the topics' rules say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The strategy, for every topic of the group.
    pub strategy: Strategy,
    /// For `timestamp`: start at the first record at or after this moment. `None`: each partition's own moment, that of
    /// the oldest record the group has not consumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// Why, in the operator's words; it is journalled.
    pub reason: String,
}

impl Chosen {
    /// Whether two choices find the same offsets: the reason changes none.
    #[must_use]
    pub fn same_offsets(a: Option<&Chosen>, b: Option<&Chosen>) -> bool {
        a.map(|c| (c.strategy, c.at)) == b.map(|c| (c.strategy, c.at))
    }
}

/// What every strategy starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StrategyFacts {
    /// Topic and partition, by its name on the source.
    pub tp: TopicPartition,
    /// The group's committed offset on the source; `None` when it never committed there.
    pub committed: Option<i64>,
    /// The source's bounds.
    pub source: EndRead,
    /// The target's bounds.
    pub target: EndRead,
}

/// Where the writers of a topic went from one cluster to the other, all at once, as journalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeamOffsets {
    /// The source's end after its last writer was stopped and fenced and its markers had landed.
    pub source: i64,
    /// The target's high watermark before any writer was allowed to write there.
    pub target: i64,
}

impl StrategyFacts {
    fn answered_at(&self) -> At {
        self.source.answered.max(self.target.answered)
    }

    fn build_plan(
        &self,
        strategy: Strategy,
        verdict: Verdict,
        offset: Option<i64>,
        evidence: impl Into<String>,
    ) -> PartitionPlan {
        PartitionPlan {
            tp: self.tp.clone(),
            strategy: strategy.into(),
            source: SourcePosition {
                committed: self.committed,
                log_start: self.source.log_start,
                end: self.source.end,
            },
            target: TargetPosition { offset, log_start: self.target.log_start, end: self.target.end },
            verdict,
            re_read: None,
            missing: None,
            missing_ranges: Vec::new(),
            times: Times::default(),
            target_only: 0,
            unsettled: Unsettled::default(),
            evidence: evidence.into(),
            why: None,
            read: (0, 0),
            cut: Cut::default(),
            metadata: None,
            at: self.answered_at(),
        }
    }

    fn build_unmappable(&self, strategy: Strategy, why: impl Into<String>) -> PartitionPlan {
        PartitionPlan { why: Some(why.into()), ..self.build_plan(strategy, Verdict::Unmappable, None, "") }
    }

    /// The group's position within the source log, or why there is none.
    fn find_position(&self) -> Result<i64, String> {
        match self.committed {
            // Nothing was ever written here, so there is nothing that could have been consumed.
            None if self.source.log_start == 0 && self.source.end == 0 => Ok(0),
            None => Err("the group never committed an offset here".to_owned()),
            Some(at) if at > self.source.end => {
                Err(format!("committed {at} is beyond the source's end {}", self.source.end))
            }
            Some(at) => Ok(at),
        }
    }
}

/// A hard cut of all writers: a group that consumed every record below the seam on the source starts at the seam on
/// the target. `left`: data records between the committed offset and the seam, as counted by reading them (`None`: not
/// counted). Offsets alone do not tell: the last ones may be transaction markers.
#[must_use]
pub(crate) fn plan_seam(facts: &StrategyFacts, seam: SeamOffsets, left: Option<u64>) -> PartitionPlan {
    const BY: Strategy = Strategy::Seam;
    let at = match facts.find_position() {
        Ok(at) => at,
        Err(why) => return facts.build_unmappable(BY, why),
    };
    if let Some(why) = refute_seam(facts, seam, at, left) {
        return facts.build_unmappable(BY, why);
    }
    let expired = facts.target.log_start - seam.target;
    let mut plan = facts.build_plan(BY, Verdict::Proven, Some(seam.target), "journalled seam");
    // No writer was ever on both sides: what the target holds from the seam on was never consumed.
    (plan.re_read, plan.missing) = (Some(0), Some(0));
    if expired > 0 {
        plan.target.offset = Some(facts.target.log_start);
        plan.verdict = Verdict::Bounded;
        plan.missing = Some(expired.unsigned_abs());
        plan.why = Some(format!("up to {expired} records after the seam expired on the target"));
    }
    if facts.source.is_open() {
        // Written to the source after the cut, and nobody can see what.
        let hidden = facts.source.high_watermark - facts.source.end;
        (plan.verdict, plan.unsettled.unconsumed) = (Verdict::Bounded, hidden.unsigned_abs());
        let open = format!("a transaction is open on the source: {hidden} offsets after the seam can't be seen");
        plan.why = Some(plan.why.map_or(open.clone(), |why| format!("{open}; {why}")));
    }
    plan
}

/// Why the seam says nothing of a group at `at`, if so: the first reason that holds.
fn refute_seam(facts: &StrategyFacts, seam: SeamOffsets, at: i64, left: Option<u64>) -> Option<String> {
    let (end, target_end) = (facts.source.end, facts.target.high_watermark);
    if end < seam.source {
        return Some(format!(
            "the source ends at {end}, before the seam {}: a transaction is open there, or it is another log than \
             the one that was cut",
            seam.source
        ));
    }
    match left {
        // One beyond the seam left nothing unread before it; it is refused below, for what it means.
        _ if at >= seam.source => {}
        Some(0) => {}
        Some(n) => {
            return Some(format!("{n} records below the seam {} are not consumed: drain the group first", seam.source));
        }
        None => {
            return Some(format!(
                "committed {at} is below the seam {}, and what lies between was not read",
                seam.source
            ));
        }
    }
    // The seam was taken from the high watermark: the last stable offset may lie below it, and no log was cut for that.
    if seam.target > target_end {
        return Some(format!(
            "the seam {} is beyond the target's end {target_end}: the log was truncated or the topic recreated",
            seam.target
        ));
    }
    (at > seam.source).then(|| {
        format!(
            "committed {at} is beyond the seam {}: something was written to the source after its writers were stopped",
            seam.source
        )
    })
}

/// A byte-for-byte mirror (Cluster Linking, KIP-1279): the same offset. Both windows, read around the committed
/// offset, are compared record by record at equal offsets; one difference refutes it. Records that are all alike
/// would also agree when shifted, so they prove nothing.
#[must_use]
pub(crate) fn plan_identity(facts: &StrategyFacts, source: &LogWindow, target: &LogWindow) -> PartitionPlan {
    const BY: Strategy = Strategy::Identity;
    let at = match facts.find_position() {
        Ok(at) if at < facts.source.log_start => {
            return facts.build_unmappable(
                BY,
                format!("committed {at} is below the source's log start {}", facts.source.log_start),
            );
        }
        Ok(at) => at,
        Err(why) => return facts.build_unmappable(BY, why),
    };
    if at > facts.target.end {
        let behind = facts.source.end.saturating_sub(facts.target.end);
        return facts.build_unmappable(
            BY,
            format!("the mirror is {behind} offsets behind, at {}: wait for it", facts.target.end),
        );
    }
    let (from, to) = (source.from().max(target.from()), source.to().min(target.to()));
    let within = |w: &LogWindow| w.index_of(from)..w.index_of(to);
    let ours: Vec<_> = within(source).map(|i| source.get(i)).collect();
    let theirs: Vec<_> = within(target).map(|i| target.get(i)).collect();
    if let Some(offset) = find_difference(&ours, &theirs) {
        return facts.build_unmappable(
            BY,
            format!("offset {offset} holds different records on both clusters: this is no mirror of it"),
        );
    }
    let mut plan =
        facts.build_plan(BY, Verdict::Proven, Some(at), format!("same offset, {} records compared", ours.len()));
    (plan.re_read, plan.missing) = (Some(0), Some(0));
    plan.read = (source.len() as u64, target.len() as u64);
    // Where nothing is on either side nothing can be shifted, so the lack of evidence costs nothing.
    let empty = facts.source.end == facts.source.log_start && facts.target.end == facts.target.log_start;
    let telling = ours.windows(2).any(|pair| pair[0].id != pair[1].id);
    // Each of these holds whatever the others say: what has expired makes no mirror of a log that shows none.
    let mut why = Vec::new();
    if !telling && !empty {
        plan.verdict = Verdict::Guess;
        // In a shifted log all that lies there may have been processed, and nothing says where what is unconsumed lies.
        plan.re_read = Some(facts.target.high_watermark.abs_diff(at.max(facts.target.log_start)));
        plan.missing = (facts.source.high_watermark <= at).then_some(0);
        why.push("too few different records around the offset to tell a mirror from a shifted log".to_owned());
    }
    if at < facts.target.log_start {
        let expired = facts.target.log_start - at;
        plan.target.offset = Some(facts.target.log_start);
        (plan.verdict, plan.missing) = (plan.verdict.max(Verdict::Bounded), Some(expired.unsigned_abs()));
        why.push(format!("up to {expired} records expired on the target"));
    }
    if facts.target.high_watermark < facts.source.high_watermark {
        plan.verdict = plan.verdict.max(Verdict::Bounded);
        let behind = facts.source.high_watermark - facts.target.high_watermark;
        plan.unsettled.unconsumed = behind.unsigned_abs();
        why.push(format!("the mirror is {behind} offsets behind: what lies there is still to come"));
    }
    plan.why = (!why.is_empty()).then(|| why.join("; "));
    plan
}

/// The offset at which two logs differ first, if they do.
fn find_difference(ours: &[Rec], theirs: &[Rec]) -> Option<i64> {
    let same = |i: usize| ours.get(i).map(|r| (r.offset, r.id)) == theirs.get(i).map(|r| (r.offset, r.id));
    // To the end of the longer one: a record that only one side holds is a difference too.
    let i = (0..ours.len().max(theirs.len())).find(|i| !same(*i))?;
    ours.get(i).into_iter().chain(theirs.get(i)).map(|r| r.offset).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::identity::Identity;

    fn end(log_start: i64, end: i64) -> EndRead {
        EndRead { log_start, end, high_watermark: end, asked: At(1), answered: At(2) }
    }

    fn facts(committed: i64, source: (i64, i64), target: (i64, i64)) -> StrategyFacts {
        StrategyFacts {
            tp: TopicPartition::new("t", 0),
            committed: Some(committed),
            source: end(source.0, source.1),
            target: end(target.0, target.1),
        }
    }

    fn log(from: i64, payloads: &[u128]) -> LogWindow {
        let records: Vec<Rec> =
            (from..).zip(payloads).map(|(offset, id)| Rec { offset, ts: offset, id: Identity(*id) }).collect();
        LogWindow::from_records(from, from + payloads.len() as i64, &records).unwrap()
    }

    #[test]
    fn every_word_of_a_translation_is_written_as_it_was_read() {
        for (word, by) in [
            ("seam", Strategy::Seam.into()),
            ("align", Strategy::Align.into()),
            ("auto", Strategy::Auto.into()),
            ("last-known", TranslatedBy::LastKnown),
            ("Seam", TranslatedBy::Other("Seam".to_owned())),
            ("of a later version", TranslatedBy::Other("of a later version".to_owned())),
        ] {
            let json = serde_json::to_string(word).unwrap();
            assert_eq!(serde_json::from_str::<TranslatedBy>(&json).unwrap(), by);
            assert_eq!((serde_json::to_string(&by).unwrap(), by.to_string()), (json, word.to_owned()));
        }
    }

    #[test]
    fn a_seam_is_taken_only_when_everything_below_it_was_consumed() {
        let cut = SeamOffsets { source: 100, target: 40 };
        let plan = plan_seam(&facts(100, (0, 100), (0, 90)), cut, None);
        assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Proven, Some(40), Some(0)));
        assert_eq!(
            plan_seam(&facts(98, (0, 100), (0, 90)), cut, Some(0)).target.offset,
            Some(40),
            "only markers are left"
        );
        for (committed, left, why) in [(98, Some(2), "drain"), (98, None, "not read"), (101, Some(0), "beyond")] {
            let plan = plan_seam(&facts(committed, (0, 101), (0, 90)), cut, left);
            assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None));
            assert!(plan.why.unwrap().contains(why), "{why}");
        }
        assert_eq!(plan_seam(&facts(100, (0, 100), (0, 30)), cut, None).verdict, Verdict::Unmappable, "truncated");
        let held = plan_seam(&facts(90, (0, 90), (0, 90)), cut, Some(0));
        assert_eq!((held.verdict, held.target.offset), (Verdict::Unmappable, None), "the source ends before the seam");
        let plan = plan_seam(&facts(100, (0, 100), (55, 90)), cut, None);
        assert_eq!((plan.target.offset, plan.missing, plan.blocks_cutover()), (Some(55), Some(15), true));
    }

    #[test]
    fn a_mirror_is_believed_only_record_by_record() {
        let f = facts(12, (0, 15), (0, 15));
        let source = log(10, &[1, 2, 3, 4, 5]);
        let plan = plan_identity(&f, &source, &source);
        assert_eq!((plan.verdict, plan.target.offset, plan.re_read), (Verdict::Proven, Some(12), Some(0)));
        // a shift by one of distinct payloads, either way
        for shifted in [log(11, &[1, 2, 3, 4]), log(9, &[1, 2, 3, 4, 5, 6])] {
            let plan = plan_identity(&f, &source, &shifted);
            assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None));
        }
        // payloads that are all alike agree when shifted, too
        let alike = log(10, &[7, 7, 7, 7, 7]);
        assert_eq!(plan_identity(&f, &alike, &alike).verdict, Verdict::Guess);
        // a record that one side lacks
        let hole =
            LogWindow::from_records(10, 15, &source.iter().filter(|r| r.offset != 13).collect::<Vec<_>>()).unwrap();
        assert!(plan_identity(&f, &source, &hole).why.unwrap().contains("offset 13"));
    }

    #[test]
    fn a_mirror_that_lags_or_expired() {
        let source = log(10, &[1, 2, 3, 4, 5]);
        let plan = plan_identity(&facts(12, (0, 15), (0, 13)), &source, &log(10, &[1, 2, 3]));
        assert_eq!((plan.verdict, plan.unsettled.unconsumed), (Verdict::Bounded, 2));
        assert_eq!(
            plan_identity(&facts(14, (0, 15), (0, 13)), &source, &log(10, &[1, 2, 3])).verdict,
            Verdict::Unmappable
        );
        let plan = plan_identity(&facts(10, (0, 15), (12, 15)), &source, &log(12, &[3, 4, 5]));
        assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Bounded, Some(12), Some(2)));
        // Nothing was compared, or records that are all alike: what has expired is no evidence of a mirror.
        let none = LogWindow::new(100);
        let plan = plan_identity(&facts(50, (0, 100), (100, 100)), &none, &none);
        assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Guess, Some(100), Some(50)));
        let alike = log(12, &[7, 7, 7]);
        let plan = plan_identity(&facts(10, (0, 18), (12, 15)), &alike, &alike);
        assert_eq!((plan.verdict, plan.re_read, plan.missing), (Verdict::Guess, Some(3), Some(2)));
        assert_eq!(plan.unsettled.unconsumed, 3, "it is behind all the same");
        let why = plan.why.unwrap();
        assert!(["too few", "2 records expired", "3 offsets behind"].iter().all(|w| why.contains(w)), "{why}");
        let empty = plan_identity(&facts(0, (0, 0), (0, 0)), &LogWindow::new(0), &LogWindow::new(0));
        assert_eq!((empty.verdict, empty.target.offset), (Verdict::Proven, Some(0)));
    }

    #[test]
    fn without_a_position_a_mirror_says_nothing() {
        let never = StrategyFacts { committed: None, ..facts(80, (0, 100), (20, 90)) };
        assert_eq!(plan_identity(&never, &log(0, &[1]), &log(0, &[1])).verdict, Verdict::Unmappable);
    }
}

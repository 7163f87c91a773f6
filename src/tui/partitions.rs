//! The partitions of a group as they are shown: what needs a person first, and the records at a cut side by side.

use std::collections::BTreeMap;

use super::filter::Filter;
use super::model::{Model, Table};
use super::words;
use crate::base::TopicPartition;
use crate::offsets::verdict::{CutRecord, PartitionPlan, Verdict};
use crate::snapshot::{GroupRow, PartitionRow};

/// One partition: where the group stands, and where it would go.
#[derive(Debug, Clone, Copy)]
pub struct PartitionLine<'a> {
    /// Topic, by its name on blue.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// As seen on both sides; `None` when only the plan knows it.
    pub row: Option<&'a PartitionRow>,
    /// Its translation; `None` when it was not measured.
    pub plan: Option<&'a PartitionPlan>,
}

impl PartitionLine<'_> {
    /// Its name, by which the cursor finds it again.
    #[must_use]
    pub fn key(&self) -> TopicPartition {
        TopicPartition::new(self.topic, self.partition)
    }
}

/// The partitions of a group, in the order of the table.
#[derive(Debug, Default)]
pub struct PartitionTable<'a> {
    /// In order.
    pub lines: Vec<PartitionLine<'a>>,
    /// Where the cursor is; `None` without lines.
    pub at: Option<usize>,
    /// How many the filter hides.
    pub hidden: usize,
}

/// All partitions of a group, by name: those that were seen, and those that only its translation knows.
fn list_all(g: &GroupRow) -> Vec<PartitionLine<'_>> {
    let mut by_name: BTreeMap<(&str, i32), PartitionLine<'_>> = BTreeMap::new();
    for row in &g.partitions {
        let line = PartitionLine { topic: &row.topic, partition: row.partition, row: Some(row), plan: None };
        by_name.insert((&row.topic, row.partition), line);
    }
    for plan in g.estimate.iter().filter_map(|e| e.value()).flat_map(|p| &p.partitions) {
        let name = (plan.tp.topic.as_str(), plan.tp.partition);
        let line = PartitionLine { topic: name.0, partition: name.1, row: None, plan: None };
        by_name.entry(name).or_insert(line).plan = Some(plan);
    }
    by_name.into_values().collect()
}

/// The partitions of a group as shown: filtered, what needs a person first, then by name.
#[must_use]
pub(crate) fn shown_partitions<'a>(m: &'a Model, g: &'a GroupRow) -> PartitionTable<'a> {
    let mut lines = list_all(g);
    let before = lines.len();
    let filter = Filter::new(m.filter(Table::Partitions));
    lines.retain(|l| {
        let name = format!("{}-{}", l.topic, l.partition);
        let (_, verdict) = words::describe_verdict(l.plan);
        let (evidence, why) = l.plan.map_or(("", None), |p| (p.evidence.as_str(), p.why.as_deref()));
        filter.matches(&[&name, &verdict, evidence, why.unwrap_or_default()])
    });
    let measured = g.estimate.as_ref().is_some_and(|e| e.value().is_some());
    if measured {
        lines.sort_by_key(|l| rank_plan(l.plan));
    }
    let chosen = m.partition.as_ref();
    let at = chosen.and_then(|c| lines.iter().position(|l| l.topic == c.topic && l.partition == c.partition));
    let at = if lines.is_empty() { None } else { Some(at.unwrap_or(0)) };
    PartitionTable { hidden: before - lines.len(), lines, at }
}

/// One partition of a group by name, whatever the filter hides.
#[must_use]
pub fn find_partition<'a>(g: &'a GroupRow, tp: &TopicPartition) -> Option<PartitionLine<'a>> {
    list_all(g).into_iter().find(|l| l.topic == tp.topic && l.partition == tp.partition)
}

/// What needs a person first: loss, no statement, no evidence, what is not known; what is well comes last.
fn rank_plan(plan: Option<&PartitionPlan>) -> u8 {
    let Some(p) = plan else { return 3 };
    match (p.missing, p.verdict) {
        (Some(1..), _) => 0,
        (_, Verdict::Unmappable) => 1,
        (_, Verdict::Guess) => 2,
        (None, _) => 3,
        (_, Verdict::Bounded) => 4,
        (_, Verdict::Proven) if p.re_read != Some(0) => 5,
        (_, Verdict::Proven) => 6,
    }
}

/// What is known of a record that has no equal on its side of the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// Equal records on both logs, on the same side of the cut.
    Here,
    /// Its equal lies on the other side of the cut.
    AcrossTheCut,
    /// Its equal is not among the records that are shown.
    NotShown,
}

/// One line of records side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The source's record.
    pub source: Option<&'a CutRecord>,
    /// The target's record.
    pub target: Option<&'a CutRecord>,
    /// Where the other one is.
    pub twin: Twin,
}

/// The records around a cut, side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SideBySide<'a> {
    /// Consumed on the source; skipped on the target.
    pub above: Vec<Pair<'a>>,
    /// To be consumed on the source; read on the target.
    pub below: Vec<Pair<'a>>,
}

/// Puts the records at a partition's cut side by side: equal identities share a line, copies of one payload one by one.
/// The order is the target's; what only the source has stands after the source's record before it.
#[must_use]
pub(crate) fn side_by_side(p: &PartitionPlan) -> SideBySide<'_> {
    // Without a position nothing was consumed and nothing is skipped.
    let split = |records: &'_ [CutRecord], at: Option<i64>| {
        records.iter().position(|r| at.is_none_or(|at| r.offset >= at)).unwrap_or(records.len())
    };
    let (consumed, unread) = p.cut.source.split_at(split(&p.cut.source, p.source.committed));
    let (skipped, read) = p.cut.target.split_at(split(&p.cut.target, p.target.offset));
    let mut out = SideBySide { above: pair_records(consumed, skipped), below: pair_records(unread, read) };
    mark_across_cut(&mut out.above, &mut out.below);
    out
}

/// Pairs equal identities of one section.
fn pair_records<'a>(source: &'a [CutRecord], target: &'a [CutRecord]) -> Vec<Pair<'a>> {
    let lone = |target| Pair { source: None, target: Some(target), twin: Twin::NotShown };
    let mut rows: Vec<Pair<'a>> = target.iter().map(lone).collect();
    let mut after = 0;
    for record in source {
        let twin = rows.iter().position(|r| r.source.is_none() && r.target.is_some_and(|t| t.id == record.id));
        let at = match twin {
            Some(i) => {
                (rows[i].source, rows[i].twin) = (Some(record), Twin::Here);
                i
            }
            None => {
                rows.insert(after, Pair { source: Some(record), target: None, twin: Twin::NotShown });
                after
            }
        };
        after = at + 1;
    }
    rows
}

/// Marks what has its equal on the other side of the cut.
fn mark_across_cut(above: &mut [Pair<'_>], below: &mut [Pair<'_>]) {
    for up in above.iter_mut().filter(|p| p.twin != Twin::Here) {
        let twin = below.iter_mut().filter(|p| p.twin == Twin::NotShown).find(|down| {
            let crossed = [(up.source, down.target), (up.target, down.source)];
            crossed.into_iter().any(|(a, b)| a.zip(b).is_some_and(|(a, b)| a.id == b.id))
        });
        if let Some(down) = twin {
            (up.twin, down.twin) = (Twin::AcrossTheCut, Twin::AcrossTheCut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::offsets::verdict::Cut;

    fn records(from: i64, ids: &str) -> Vec<CutRecord> {
        let record =
            |(offset, id): (i64, char)| CutRecord { offset, ts: offset, id: id.into(), ..CutRecord::default() };
        (from..).zip(ids.chars()).map(record).collect()
    }

    /// `ab|cd`: records around the cut.
    fn plan(source: &str, target: &str) -> PartitionPlan {
        let side = |log: &str| {
            let (before, after) = log.split_once('|').unwrap();
            let records = records(10, &format!("{before}{after}"));
            (records, 10 + i64::try_from(before.len()).unwrap())
        };
        let ((source, committed), (target, offset)) = (side(source), side(target));
        let mut p = PartitionPlan::unmappable(TopicPartition::new("t", 0), "align", "", At(0));
        (p.source.committed, p.target.offset) = (Some(committed), Some(offset));
        p.cut = Cut { source, target };
        p
    }

    fn shown(source: &str, target: &str) -> String {
        let p = plan(source, target);
        let s = side_by_side(&p);
        let id = |r: Option<&CutRecord>| r.map_or("-".to_owned(), |r| r.id.clone());
        let line = |p: &Pair<'_>| {
            let mark = match p.twin {
                Twin::Here => "=",
                Twin::AcrossTheCut => "x",
                Twin::NotShown => "?",
            };
            format!("{}{mark}{}", id(p.source), id(p.target))
        };
        let part = |rows: &[Pair<'_>]| rows.iter().map(line).collect::<Vec<_>>().join(" ");
        format!("{} | {}", part(&s.above), part(&s.below))
    }

    #[test]
    fn equal_records_share_a_line_and_what_crosses_the_cut_says_so() {
        assert_eq!(shown("ab|cd", "ab|cd"), "a=a b=b | c=c d=d");
        assert_eq!(shown("ab|cd", "ba|dc"), "b=b a=a | d=d c=c", "the order is the target's");
        assert_eq!(shown("abc|d", "a|cd"), "a=a b?- cx- | -xc d=d", "c is read again");
        assert_eq!(shown("a|cd", "ac|d"), "a=a -xc | cx- d=d", "c would be skipped: it is seen");
        assert_eq!(shown("aa|aa", "aaa|a"), "a=a a=a -xa | a=a ax-", "copies count one by one");
        assert_eq!(shown("|", "xy|"), "-?x -?y | ");
    }

    #[test]
    fn without_a_position_there_is_nothing_above_the_cut() {
        let mut p = plan("ab|c", "a|b");
        (p.source.committed, p.target.offset) = (None, None);
        assert!(side_by_side(&p).above.is_empty());
    }
}

//! From the alignment of a topic to a plan for each of its partitions.

use super::super::super::align::pool::PoolAlignment;
use super::super::super::strategy::Strategy;
use super::super::super::verdict::{PartitionPlan, SourcePosition, TargetPosition, TimeSpan, Times, Verdict};
use super::super::super::window::{EndRead, LogWindow};
use super::super::conclude::{
    VerdictGrounds, collect_cut, describe_expired_in_pool, describe_lost_metadata, describe_never_committed,
    join_reasons,
};
use super::super::loaded_log::LoadedLog;
use super::Pool;
use crate::base::TopicPartition;

impl Pool {
    fn topic_partition(&self, partition: usize) -> TopicPartition {
        TopicPartition::new(&self.params.base.tp.topic, i32::try_from(partition).unwrap_or(i32::MAX))
    }

    pub(super) fn plan_unmappable(&self, why: &str) -> Vec<PartitionPlan> {
        let plan = |p: usize| {
            let mut plan = PartitionPlan::unmappable(self.topic_partition(p), Strategy::Align, why, self.now);
            plan.source = self.source_position(p);
            (plan.target.log_start, plan.target.end) =
                self.target.get(p).and_then(|s| s.ends).map_or((-1, -1), |e| (e.log_start, e.end));
            plan
        };
        (0..self.source.len().max(self.target.len())).map(plan).collect()
    }

    fn source_position(&self, p: usize) -> SourcePosition {
        let committed = self.params.committed.get(p).copied().flatten();
        match self.source.get(p).and_then(|s| s.ends) {
            Some(ends) => SourcePosition { committed, log_start: ends.log_start, end: ends.end },
            None => SourcePosition { committed, ..SourcePosition::default() },
        }
    }

    /// A row for each partition that either side has: what is missing is of the source's partition of that number,
    /// everything else of the target's.
    pub(super) fn conclude_partitions(
        &self,
        a: &PoolAlignment,
        source: &[EndRead],
        target: &[EndRead],
        committed: &[i64],
    ) -> Vec<PartitionPlan> {
        let common = self.judge_topic(a, source, target, committed);
        let row = |p: usize| self.conclude_row(p, a, (source, target), committed, &common);
        (0..source.len().max(target.len())).map(row).collect()
    }

    /// What holds of all partitions together: where one record went to, none of them can tell alone.
    fn judge_topic(
        &self,
        a: &PoolAlignment,
        source: &[EndRead],
        target: &[EndRead],
        committed: &[i64],
    ) -> TopicFinding {
        let (mut verdict, mut why) = self.judge_alignment(a, source, target);
        let unconsumed: Vec<u64> = self.source.iter().zip(committed).map(unconsumed_of).collect();
        let never = self.params.committed.iter().zip(&unconsumed).filter(|(at, _)| at.is_none()).map(|(_, n)| n).sum();
        if never > 0 {
            (verdict, why) = (verdict.max(Verdict::Bounded), Some(join_reasons(describe_never_committed(never), why)));
        }
        let unconsumed = unconsumed.iter().sum();
        let carried = self.params.base.metadata.as_ref().map(|m| m.len());
        if let Some(bytes) = carried {
            // Records lie elsewhere where partition counts differ.
            (verdict, why) =
                (verdict.max(Verdict::Bounded), Some(join_reasons(describe_lost_metadata(bytes, unconsumed), why)));
        }
        let done_again: u64 = never + carried.map_or(0, |_| unconsumed);
        let counts = format!("{} partitions to {}", source.len(), target.len());
        let evidence = format!("{}, {counts}, {} records compared", self.params.base.rule, a.compared);
        TopicFinding { verdict, why, done_again, evidence }
    }

    /// What the records say, and what open transactions leave open.
    fn judge_alignment(&self, a: &PoolAlignment, source: &[EndRead], target: &[EndRead]) -> (Verdict, Option<String>) {
        let nothing_there =
            self.target.iter().zip(target).all(|(s, e)| s.window.is_empty() && s.window.from() <= e.log_start);
        let never_any = self.source.iter().zip(source).all(|(s, e)| s.window.is_empty() && e.end == 0);
        let grounds = VerdictGrounds {
            compared: a.compared,
            plain: nothing_there || never_any,
            pair_distance: a.pair_distance,
            unsettled: a.unsettled,
            re_read_pending: a.re_read_pending,
            limited: a.limited,
            applied: self.delta,
        };
        let (verdict, why) = grounds.verdict(&self.params.base);
        if !source.iter().chain(target).any(EndRead::is_open) {
            return (verdict, why);
        }
        let what =
            "a transaction is open: what only the target has is delivered, what it holds there may be read again";
        (verdict.max(Verdict::Bounded), Some(join_reasons(what.to_owned(), why)))
    }

    /// The row of one partition.
    fn conclude_row(
        &self,
        p: usize,
        a: &PoolAlignment,
        (source, target): (&[EndRead], &[EndRead]),
        committed: &[i64],
        common: &TopicFinding,
    ) -> PartitionPlan {
        let first = p == 0;
        let expired = self.count_expired(p, source);
        let there = a.targets.get(p).zip(target.get(p));
        let ours = a.sources.get(p).cloned().unwrap_or_default();
        let nothing = LogWindow::default();
        let (left, right) = (self.source.get(p), self.target.get(p));
        PartitionPlan {
            tp: self.topic_partition(p),
            strategy: Strategy::Align.into(),
            source: self.source_position(p),
            target: there.map_or_else(TargetPosition::default, |(t, ends)| TargetPosition {
                offset: Some(t.offset),
                log_start: ends.log_start,
                end: ends.end,
            }),
            verdict: if expired > 0 { common.verdict.max(Verdict::Bounded) } else { common.verdict },
            // what may yet turn out to be read again is no single partition's: it counts once, on the first row
            re_read: Some(
                there.map_or(0, |(t, ends)| t.re_read + ends.high_watermark.abs_diff(ends.end))
                    + if first { a.re_read_pending + common.done_again } else { 0 },
            ),
            missing: Some(ours.missing + expired),
            missing_ranges: ours.ranges,
            times: Times {
                missing: a.missing_times.filter(|_| ours.missing > 0).map(TimeSpan::from_timestamps),
                re_read: a
                    .re_read_times
                    .filter(|_| there.is_some_and(|(t, _)| t.re_read > 0))
                    .map(TimeSpan::from_timestamps),
            },
            target_only: there.map_or(0, |(t, _)| t.target_only),
            unsettled: if first { a.unsettled } else { Default::default() },
            evidence: common.evidence.clone(),
            why: if expired > 0 {
                Some(join_reasons(describe_expired_in_pool(expired), common.why.clone()))
            } else {
                common.why.clone()
            },
            read: (left.map_or(0, |s| s.read), right.map_or(0, |s| s.read)),
            cut: collect_cut(
                left.map_or(&nothing, |s| &s.window),
                committed.get(p).copied().unwrap_or(0),
                right.map_or(&nothing, |s| &s.window),
                there.map_or(0, |(t, _)| t.offset),
            ),
            metadata: None,
            at: self.now,
        }
    }

    /// Offsets of a source partition that expired before the group read them.
    fn count_expired(&self, p: usize, source: &[EndRead]) -> u64 {
        match (source.get(p), self.params.committed.get(p).copied().flatten()) {
            (Some(ends), Some(at)) => u64::try_from(ends.log_start.saturating_sub(at)).unwrap_or(0),
            _ => 0,
        }
    }
}

/// What holds of every partition of a topic.
struct TopicFinding {
    verdict: Verdict,
    /// Why it is not PROVEN.
    why: Option<String>,
    /// Records that may be read again whatever partition they lie in.
    done_again: u64,
    /// What it rests on, in a few words.
    evidence: String,
}

fn unconsumed_of((side, committed): (&LoadedLog, &i64)) -> u64 {
    (side.window.len() - side.window.index_of(*committed)) as u64
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::super::super::Params;
    use super::super::{PoolAnswer, PoolNeed, PoolParams};
    use super::*;
    use crate::base::At;

    /// Two partitions on the source and three on the target, none with a record: what the first one held has expired, and
    /// two offsets of it the group had not read.
    fn translate_by(strategy: Strategy) -> Vec<PartitionPlan> {
        let base = Params { strategy, ..Params::new(TopicPartition::new("t", 0), None) };
        let (source_seen, target_seen) = (vec![Vec::new(); 2], vec![Vec::new(); 3]);
        let mut pool = Pool::new(PoolParams { base, committed: vec![Some(2), Some(0)], source_seen, target_seen });
        for now in (1_000..).map(|n| At(n * 1_000)) {
            let ends = |at: i64| EndRead { log_start: at, end: at, high_watermark: at, asked: now, answered: now };
            let answer = match pool.next_need() {
                PoolNeed::Done(plans) => return plans,
                PoolNeed::Ends => PoolAnswer::Ends { source: vec![ends(4), ends(0)], target: vec![ends(0); 3] },
                PoolNeed::Times(asks) => PoolAnswer::Offsets(vec![None; asks.len()]),
                PoolNeed::Reads(asks) => panic!("there is nothing to read: {asks:?}"),
                PoolNeed::Wait { .. } => PoolAnswer::Waited,
            };
            pool.supply(answer, now);
        }
        unreachable!("it ends")
    }

    #[test]
    fn what_expired_sends_nobody_to_a_strategy_that_is_refused() {
        let plans = translate_by(Strategy::Auto);
        let why = plans[0].why.as_deref().unwrap_or_default();
        assert_eq!((plans[0].verdict, plans[0].missing), (Verdict::Bounded, Some(2)), "{why}");
        assert!(why.contains("2 offsets expired on the source") && why.contains("`--override missing`"), "{why}");
        let refused = |by: &Strategy| translate_by(*by).iter().all(|p| p.verdict == Verdict::Unmappable);
        let refused: Vec<Strategy> = Strategy::iter().filter(refused).collect();
        assert!(refused.contains(&Strategy::Earliest) && refused.contains(&Strategy::Timestamp), "{refused:?}");
        let advised: Vec<_> = refused.iter().filter(|by| why.contains(&format!("`{by}`"))).collect();
        assert!(advised.is_empty(), "{advised:?} in: {why}");
    }
}

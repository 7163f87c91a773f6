//! A topic whose partition counts differ: one translation of all its partitions, whose questions are asked of both
//! clusters for all of them together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::windows::WindowRange;
use super::{Case, PlacedOffsets, TranslatorCore, Ways};
use crate::base::{Side, TopicPartition, Trouble, lock_unpoisoned};
use crate::kafka::control::OffsetSpec;
use crate::offsets::identity::IdentityRule;
use crate::offsets::translate::Log;
use crate::offsets::translate::pool::{Pool, PoolAnswer, PoolNeed, PoolParams, ReadAsk, TimeAsk};
use crate::offsets::window::EndRead;
use crate::offsets::{LogWindow, PartitionPlan};
use crate::session::clock::Clock;

/// A topic with its numbers of partitions on the source and on the target.
pub(super) struct Uneven<'a> {
    pub topic: &'a str,
    pub source: i32,
    pub target: i32,
    /// Whether the target is compacted.
    pub compacted: bool,
    /// How far ahead of its clock the target takes timestamps, ms.
    pub after_max_ms: Option<u64>,
}

impl TranslatorCore {
    /// A plan for each partition that either side has. Errors: something could not be observed.
    pub(super) async fn translate_pooled(
        &self,
        case: Case<'_>,
        uneven: &Uneven<'_>,
        committed: &PlacedOffsets,
    ) -> Result<Vec<PartitionPlan>, Trouble> {
        let turns = &self.turns(case.purpose).pools;
        let _alone = turns.acquire().await.map_err(|_| Trouble::new("the controller is ending", ""))?;
        let mut pool = Pool::new(self.pool_params(case, uneven, committed));
        let rule = self.plan.topic_rule(uneven.topic).identity;
        loop {
            // Aligning takes a part of a second where there are many records.
            let decided = tokio::task::spawn_blocking(move || {
                let need = pool.next_need();
                (pool, need)
            });
            let (back, need) = decided.await.map_err(|e| {
                Trouble::new(format!("aligning records broke: {e}"), "this is a fault of cutover: try again")
            })?;
            pool = back;
            let answer = match need {
                PoolNeed::Done(plans) => return Ok(plans),
                PoolNeed::Ends => {
                    // The target's first, and the source's only once those are there.
                    let target = self.all_ends(case.ways.target, uneven.topic, uneven.target).await?;
                    let source = self.all_ends(case.ways.source, uneven.topic, uneven.source).await?;
                    PoolAnswer::Ends { source, target }
                }
                PoolNeed::Times(asks) => PoolAnswer::Offsets(self.pool_times(case.ways, uneven.topic, &asks).await?),
                PoolNeed::Reads(asks) => self.pool_reads(case.ways, uneven.topic, &rule, &asks).await?,
                PoolNeed::Wait { ms } => {
                    Clock.sleep(ms).await;
                    PoolAnswer::Waited
                }
            };
            pool.supply(answer, Clock.now());
        }
    }

    fn pool_params(&self, case: Case<'_>, uneven: &Uneven<'_>, committed: &PlacedOffsets) -> PoolParams {
        let mut base = self.build_params(case, TopicPartition::new(uneven.topic, 0), None, uneven.compacted);
        let carried =
            committed.get(uneven.topic).into_iter().flatten().filter_map(|(_, placed)| placed.metadata.clone());
        base.metadata = carried.reduce(|all, one| all + &one);
        base.target_after_max_ms = uneven.after_max_ms;
        let history = lock_unpoisoned(&self.history);
        let seen = |side: Side, count: i32| {
            (0..count).map(|p| history.ends(side, &TopicPartition::new(uneven.topic, p))).collect()
        };
        // Of any of its partitions: what was cut by one count can't be told by another.
        let all = (0..uneven.source.max(uneven.target)).map(|p| TopicPartition::new(uneven.topic, p));
        base.seam = all.into_iter().find_map(|tp| self.find_seam(&history, &tp, case.ways));
        let at = |p: i32| committed.get(uneven.topic).and_then(|c| c.get(&p)).map(|placed| placed.offset);
        PoolParams {
            base,
            committed: (0..uneven.source).map(at).collect(),
            source_seen: seen(case.ways.source, uneven.source),
            target_seen: seen(case.ways.target, uneven.target),
        }
    }

    async fn all_ends(&self, side: Side, topic: &str, count: i32) -> Result<Vec<EndRead>, Trouble> {
        let tps: BTreeSet<TopicPartition> = (0..count).map(|p| TopicPartition::new(topic, p)).collect();
        self.list_ends(side, &tps).await.into_values().collect() // sorted by partition
    }

    async fn pool_times(&self, ways: Ways, topic: &str, asks: &[TimeAsk]) -> Result<Vec<Option<i64>>, Trouble> {
        let there = |ask: &TimeAsk| self.names.partition_on(ways.side(ask.log), &partition_of(topic, ask.partition));
        let of = async |log: Log| {
            let wanted: Vec<_> =
                asks.iter().filter(|a| a.log == log).map(|a| (there(a), OffsetSpec::Timestamp(a.ts))).collect();
            self.cluster(ways.side(log)).list_offsets(&wanted).await
        };
        let (source, target) = tokio::join!(of(Log::Source), of(Log::Target));
        let answer = |ask: &TimeAsk| {
            let found = if ask.log == Log::Source { &source } else { &target };
            let tp = there(ask);
            match found.get(&tp) {
                Some(Ok(offset)) => Ok(offset.map(|(offset, _)| offset)),
                Some(Err(trouble)) => Err(trouble.clone()),
                None => Err(Trouble::new(format!("{} left {tp} out of its answer", ways.side(ask.log)), "try again")),
            }
        };
        asks.iter().map(answer).collect()
    }

    async fn pool_reads(
        &self,
        ways: Ways,
        topic: &str,
        rule: &IdentityRule,
        asks: &[ReadAsk],
    ) -> Result<PoolAnswer, Trouble> {
        let of = async |log: Log| {
            let side = ways.side(log);
            let stretch = |ask: &ReadAsk| WindowRange {
                tp: self.names.partition_on(side, &partition_of(topic, ask.partition)),
                from: ask.from,
                to: ask.to,
                rule: rule.clone(),
                keys: ask.keys,
            };
            let stretches: Vec<WindowRange> = asks.iter().filter(|a| a.log == log).map(stretch).collect();
            self.windows[side].read(Arc::new(stretches), Box::new(|_| {})).await
        };
        let (source, target) = tokio::join!(of(Log::Source), of(Log::Target));
        let (mut source, mut target) = match (source?, target?) {
            (Ok(source), Ok(target)) => (source.into_iter(), target.into_iter()),
            (Err(gone), _) | (_, Err(gone)) => return Ok(PoolAnswer::Failed(gone.why)),
        };
        let next = |ask: &ReadAsk| if ask.log == Log::Source { source.next() } else { target.next() };
        let windows: Option<Vec<LogWindow>> = asks.iter().map(next).collect();
        windows.map(PoolAnswer::Windows).ok_or_else(|| Trouble::new("a read brought too little", "try again"))
    }
}

fn partition_of(topic: &str, partition: usize) -> TopicPartition {
    TopicPartition::new(topic, i32::try_from(partition).unwrap_or(i32::MAX))
}

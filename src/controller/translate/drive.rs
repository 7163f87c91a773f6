//! Driving a batch of translations: in each round everything that any of them needs is asked at once.

use std::collections::BTreeMap;

use super::{Inner, Progress, Ways, windows};
use crate::controller::clock::Clock;
use crate::kafka::control::OffsetSpec;
use crate::migration::estate::{Side, TopicPartition, Trouble};
use crate::offsets::identity::IdentityRule;
use crate::offsets::translate::Log;
use crate::offsets::verdict::PartitionPlan;
use crate::offsets::window::EndRead;
use crate::offsets::{Answer, Need, Translation};

/// A translation with the offsets it is expected to load.
pub(super) struct Job {
    pub cost: u64,
    pub translation: Translation,
    /// By blue's topic name.
    pub tp: TopicPartition,
}

/// What ListOffsets says of partitions, by their names there.
type Listed = BTreeMap<TopicPartition, Result<Option<(i64, i64)>, Trouble>>;

impl Inner {
    /// Drives a batch of translations to their ends, in rounds: each round asks everything that is needed at once.
    pub(super) async fn drive(
        &self,
        ways: Ways,
        mut jobs: Vec<Job>,
        progress: &Progress,
        (before, total): (usize, usize),
    ) -> Result<Vec<PartitionPlan>, Trouble> {
        let mut done = Vec::with_capacity(jobs.len());
        while !jobs.is_empty() {
            let mut round = Round::default();
            let mut open = Vec::with_capacity(jobs.len());
            for mut job in jobs {
                match job.translation.next() {
                    Need::Done(plan) => done.push(*plan),
                    need => {
                        round.add(open.len(), &job.tp, need);
                        open.push(job);
                    }
                }
            }
            jobs = open;
            progress(format!("{} of {total} partitions translated", before + done.len()));
            self.answer(ways, round, &mut jobs).await?;
        }
        Ok(done)
    }

    async fn answer(&self, ways: Ways, round: Round, jobs: &mut [Job]) -> Result<(), Trouble> {
        let idle = round.is_waiting_only();
        self.answer_ends(ways, round.ends, jobs).await?;
        for (log, asks) in [(Log::Source, round.source_times), (Log::Target, round.target_times)] {
            self.answer_times(ways.side(log), asks, jobs).await?;
        }
        for (log, asks) in [(Log::Source, round.source_reads), (Log::Target, round.target_reads)] {
            let side = ways.side(log);
            let asks = self.ruled(side, asks);
            for (slot, batch) in self.windows[usize::from(side == Side::Green)].read(asks).await? {
                jobs[slot].translation.supply(batch, Clock.now());
            }
        }
        // Whoever waits has time while others read; when all wait, the shortest wait ends the round.
        if idle && let Some(ms) = round.waits.iter().map(|(_, ms)| *ms).min() {
            Clock.sleep(ms).await;
            for (slot, _) in round.waits {
                jobs[slot].translation.supply(Answer::Waited, Clock.now());
            }
        }
        Ok(())
    }

    /// Reads with the rule of their topic, under the names of a side.
    fn ruled(&self, side: Side, asks: Vec<windows::Ask>) -> Vec<(windows::Ask, IdentityRule)> {
        let ruled = |mut ask: windows::Ask| {
            let rule = self.plan.topic(&ask.tp.topic).identity;
            ask.tp.topic = self.names.on(side, &ask.tp.topic);
            (ask, rule)
        };
        asks.into_iter().map(ruled).collect()
    }

    /// The target's ends first, and the source's only once those are there.
    async fn answer_ends(
        &self,
        ways: Ways,
        asks: Vec<(usize, TopicPartition)>,
        jobs: &mut [Job],
    ) -> Result<(), Trouble> {
        if asks.is_empty() {
            return Ok(());
        }
        let tps: Vec<TopicPartition> = asks.iter().map(|(_, tp)| tp.clone()).collect();
        let target = self.ends(ways.target, &tps).await?;
        let source = self.ends(ways.source, &tps).await?;
        let now = Clock.now();
        for (slot, tp) in asks {
            jobs[slot].translation.supply(Answer::Ends { source: source[&tp], target: target[&tp] }, now);
        }
        Ok(())
    }

    /// Bounds of logs, by blue's names.
    async fn ends(&self, side: Side, tps: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, EndRead>, Trouble> {
        let asked = Clock.now();
        let (starts, stable, ends) = tokio::join!(
            self.list(side, tps, OffsetSpec::Earliest),
            self.list(side, tps, OffsetSpec::LatestStable),
            self.list(side, tps, OffsetSpec::Latest),
        );
        let answered = Clock.now();
        let one = |tp: &TopicPartition| -> Result<(TopicPartition, EndRead), Trouble> {
            let there = self.names.tp_on(side, tp);
            let of = |found: &Listed| match found.get(&there) {
                Some(Ok(Some((offset, _)))) => Ok(*offset),
                Some(Err(trouble)) => Err(trouble.clone()),
                _ => Err(Trouble::new(
                    format!("{side} did not say where the log of {there} begins and ends"),
                    "try again",
                )),
            };
            let (log_start, end, high_watermark) = (of(&starts)?, of(&stable)?, of(&ends)?);
            Ok((tp.clone(), EndRead { log_start, end, high_watermark, asked, answered }))
        };
        tps.iter().map(one).collect()
    }

    async fn list(&self, side: Side, tps: &[TopicPartition], spec: OffsetSpec) -> Listed {
        let asks: Vec<_> = tps.iter().map(|tp| (self.names.tp_on(side, tp), spec)).collect();
        self.cluster(side).list_offsets(&asks).await
    }

    async fn answer_times(
        &self,
        side: Side,
        asks: Vec<(usize, TopicPartition, i64)>,
        jobs: &mut [Job],
    ) -> Result<(), Trouble> {
        if asks.is_empty() {
            return Ok(());
        }
        let there: Vec<_> =
            asks.iter().map(|(_, tp, ts)| (self.names.tp_on(side, tp), OffsetSpec::Timestamp(*ts))).collect();
        let mut found = self.cluster(side).list_offsets(&there).await;
        let now = Clock.now();
        for ((slot, ..), (tp, _)) in asks.into_iter().zip(there) {
            let answer = match found.remove(&tp) {
                Some(Ok(offset)) => Answer::Offset(offset.map(|(offset, _)| offset)),
                Some(Err(trouble)) => return Err(trouble),
                None => return Err(Trouble::new(format!("{side} left {tp} out of its answer"), "try again")),
            };
            jobs[slot].translation.supply(answer, now);
        }
        Ok(())
    }
}

/// What is needed in a round, by kind; the number is the job's.
#[derive(Default)]
struct Round {
    ends: Vec<(usize, TopicPartition)>,
    source_times: Vec<(usize, TopicPartition, i64)>,
    target_times: Vec<(usize, TopicPartition, i64)>,
    source_reads: Vec<windows::Ask>,
    target_reads: Vec<windows::Ask>,
    waits: Vec<(usize, u64)>,
}

impl Round {
    fn add(&mut self, slot: usize, tp: &TopicPartition, need: Need) {
        let tp = tp.clone();
        match need {
            Need::Ends => self.ends.push((slot, tp)),
            Need::OffsetForTime { log: Log::Source, ts } => self.source_times.push((slot, tp, ts)),
            Need::OffsetForTime { log: Log::Target, ts } => self.target_times.push((slot, tp, ts)),
            Need::Read { log, from, to, keys } => {
                let ask = windows::Ask { slot, tp, from, to, keys };
                match log {
                    Log::Source => self.source_reads.push(ask),
                    Log::Target => self.target_reads.push(ask),
                }
            }
            Need::Wait { ms } => self.waits.push((slot, ms)),
            Need::Done(_) => {}
        }
    }

    fn is_waiting_only(&self) -> bool {
        self.ends.is_empty()
            && self.source_times.is_empty()
            && self.target_times.is_empty()
            && self.source_reads.is_empty()
            && self.target_reads.is_empty()
    }
}

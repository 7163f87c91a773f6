//! Driving translations: in each round everything that any of them needs is asked at once, and what several groups
//! need of one partition only once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::many::GroupResults;
use super::window_cache::WindowCache;
use super::{TOGETHER, TranslationProgressSink, TranslatorCore, Ways, windows};
use crate::base::{At, Side, TopicPartition, Trouble};
use crate::kafka::control::OffsetSpec;
use crate::offsets::identity::IdentityRule;
use crate::offsets::translate::Log;
use crate::offsets::verdict::PartitionPlan;
use crate::offsets::window::EndRead;
use crate::offsets::{Need, Translation, TranslationAnswer};
use crate::session::clock::Clock;

/// A translation with the offsets it is expected to load.
pub(super) struct Job {
    /// Whose it is: the number of the group.
    pub owner: usize,
    pub cost: u64,
    pub translation: Translation,
    /// By blue's topic name.
    pub tp: TopicPartition,
}

/// What ListOffsets says of partitions, by their names there.
type RoundListing = BTreeMap<TopicPartition, Result<Option<(i64, i64)>, Trouble>>;
/// Answers by job, with when they were there.
type RoundAnswers = Vec<(usize, At, Result<TranslationAnswer, Trouble>)>;

impl TranslatorCore {
    /// Drives a batch of translations to their ends, in rounds: each round asks everything that is needed at once. What
    /// can't be asked for a job ends its group.
    pub(super) async fn drive_jobs(
        &self,
        ways: Ways,
        mut jobs: Vec<Job>,
        results: &mut GroupResults,
        progress: &TranslationProgressSink,
    ) {
        let mut shelves = [WindowCache::default(), WindowCache::default()];
        loop {
            jobs.retain(|job| !results.has_failed(job.owner));
            let Some(round) = decide_needs(&mut jobs, results).await else { return };
            // Windows of those that are done are let go first: the room
            // that is shared out below is what is left beside the others.
            for (log, shelf) in [Log::Source, Log::Target].into_iter().zip(&mut shelves) {
                let side = ways.side(log);
                let worked_on: BTreeSet<_> = jobs.iter().map(|j| self.names.partition_on(side, &j.tp)).collect();
                shelf.retain_partitions(|tp| worked_on.contains(tp));
            }
            progress(results.describe_progress());
            let answers = self.answer_round(ways, round, &mut shelves, (&results.describe_progress(), progress)).await;
            for (slot, at, answer) in answers {
                match answer {
                    Ok(answer) => jobs[slot].translation.supply(answer, at),
                    Err(why) => results.fail(jobs[slot].owner, why),
                }
            }
        }
    }

    async fn answer_round(
        &self,
        ways: Ways,
        round: Round,
        shelves: &mut [WindowCache; 2],
        words: (&str, &TranslationProgressSink),
    ) -> RoundAnswers {
        let nothing_asked = round.asks_nothing();
        let (source, target) = (ways.source, ways.target);
        let [source_shelf, target_shelf] = shelves;
        let plans = self.plan_reads(ways, round.reads, [source_shelf, target_shelf], round.first.as_ref());
        // Reads that memory has no room for are put off: they keep nobody from waiting on, whose windows hold that room.
        let idle = nothing_asked && plans.iter().all(|plan| plan.asks.is_empty());
        let [source_plan, target_plan] = plans;
        let (ends, source_times, target_times, source_reads, target_reads) = tokio::join!(
            self.answer_ends(ways, round.ends),
            self.answer_times(source, round.source_times),
            self.answer_times(target, round.target_times),
            self.answer_reads(source, source_plan, source_shelf, words),
            self.answer_reads(target, target_plan, target_shelf, words),
        );
        let mut answers = ends;
        for more in [source_times, target_times, source_reads, target_reads] {
            answers.extend(more);
        }
        // Whoever waits has time while others read; when all wait, the shortest wait ends the round.
        if idle && let Some(ms) = round.waits.iter().map(|(_, ms)| *ms).min() {
            Clock.sleep(ms).await;
            answers.extend(round.waits.into_iter().map(|(slot, _)| (slot, Clock.now(), Ok(TranslationAnswer::Waited))));
        }
        answers
    }

    /// What of the reads has to come over the wire, on the source and the target, and for whom. Memory is bounded here:
    /// what [`TOGETHER`] has no room for is put off to a later round, unless it is for the partition that is first in
    /// line. (How much one partition may have is bounded by `Params::max_records`.)
    fn plan_reads(
        &self,
        ways: Ways,
        reads: Vec<(Log, windows::WindowAsk)>,
        shelves: [&WindowCache; 2],
        first: Option<&TopicPartition>,
    ) -> [LogReads; 2] {
        let mut plans = [LogReads::default(), LogReads::default()];
        // What is on the shelves counts too: a window stays until its partition is done.
        let held: u64 = shelves.iter().map(|s| s.record_count()).sum();
        let mut room = TOGETHER.saturating_sub(held);
        for (log, mut ask) in reads {
            let allowed = if first == Some(&ask.tp) { u64::MAX } else { room };
            ask.rule = self.plan.topic_rule(&ask.tp.topic).identity;
            ask.tp = self.names.partition_on(ways.side(log), &ask.tp);
            let which = usize::from(log == Log::Target);
            let LogReads { asks, stretches } = &mut plans[which];
            if let Some(offsets) = shelves[which].plan_reads(&ask, stretches, allowed) {
                room = room.saturating_sub(offsets);
                asks.push(ask);
            }
        }
        plans
    }

    async fn answer_reads(
        &self,
        side: Side,
        LogReads { asks, stretches }: LogReads,
        shelf: &mut WindowCache,
        (words, progress): (&str, &TranslationProgressSink),
    ) -> RoundAnswers {
        let stretches = Arc::new(stretches);
        let (words, progress) = (words.to_owned(), Arc::clone(progress));
        let told = Box::new(move |records| progress(format!("{words}; {records} records of {side} read")));
        let read = self.windows[side].read(Arc::clone(&stretches), told).await;
        let now = Clock.now();
        let gone = match read {
            Err(why) => return asks.into_iter().map(|ask| (ask.slot, now, Err(why.clone()))).collect(),
            Ok(Err(gone)) => {
                tracing::info!(%side, why = %gone.why.what, "a window can't be read");
                Some(gone)
            }
            Ok(Ok(windows)) => {
                stretches.iter().zip(windows).for_each(|(stretch, window)| shelf.put(stretch, window));
                None
            }
        };
        // A fact about one partition: the translations that need what is gone end with it, the others ask again.
        let of = |ask: &windows::WindowAsk| match &gone {
            Some(gone) if gone.hits(ask) => Some(TranslationAnswer::Failed(gone.why.clone())),
            _ => shelf.get(ask).map(TranslationAnswer::Window),
        };
        let mut answers: RoundAnswers = asks.iter().filter_map(|ask| Some((ask.slot, now, Ok(of(ask)?)))).collect();
        if let (Some(gone), true) = (gone, answers.is_empty()) {
            // Nobody would ask for anything else next time.
            answers.extend(asks.iter().map(|ask| (ask.slot, now, Ok(TranslationAnswer::Failed(gone.why.clone())))));
        }
        answers
    }

    /// The target's ends first, and the source's only once those are there.
    async fn answer_ends(&self, ways: Ways, asks: Vec<(usize, TopicPartition)>) -> RoundAnswers {
        if asks.is_empty() {
            return Vec::new();
        }
        let tps: BTreeSet<TopicPartition> = asks.iter().map(|(_, tp)| tp.clone()).collect();
        let target = self.list_ends(ways.target, &tps).await;
        let source = self.list_ends(ways.source, &tps).await;
        let now = Clock.now();
        let of = |tp: &TopicPartition| {
            let (source, target) = (source[tp].clone()?, target[tp].clone()?);
            Ok(TranslationAnswer::Ends { source, target })
        };
        asks.into_iter().map(|(slot, tp)| (slot, now, of(&tp))).collect()
    }

    /// Bounds of logs, by blue's names.
    pub(super) async fn list_ends(
        &self,
        side: Side,
        tps: &BTreeSet<TopicPartition>,
    ) -> BTreeMap<TopicPartition, Result<EndRead, Trouble>> {
        let asked = Clock.now();
        // The high watermark goes first: what is written in between is not taken for an open transaction.
        let (starts, ends, stable) = tokio::join!(
            self.list_offsets(side, tps, OffsetSpec::Earliest),
            self.list_offsets(side, tps, OffsetSpec::Latest),
            self.list_offsets(side, tps, OffsetSpec::LatestStable),
        );
        let answered = Clock.now();
        let one = |tp: &TopicPartition| -> Result<EndRead, Trouble> {
            let there = self.names.partition_on(side, tp);
            let of = |found: &RoundListing| match found.get(&there) {
                Some(Ok(Some((offset, _)))) => Ok(*offset),
                Some(Err(trouble)) => Err(trouble.clone()),
                _ => Err(Trouble::new(
                    format!("{side} did not say where the log of {there} begins and ends"),
                    "try again",
                )),
            };
            let (log_start, end) = (of(&starts)?, of(&stable)?);
            // Never below the last stable offset: the two answers may be of different moments.
            let high_watermark = of(&ends)?.max(end);
            Ok(EndRead { log_start, end, high_watermark, asked, answered })
        };
        tps.iter().map(|tp| (tp.clone(), one(tp))).collect()
    }

    async fn list_offsets(&self, side: Side, tps: &BTreeSet<TopicPartition>, spec: OffsetSpec) -> RoundListing {
        let asks: Vec<_> = tps.iter().map(|tp| (self.names.partition_on(side, tp), spec)).collect();
        self.cluster(side).list_offsets(&asks).await
    }

    /// ListOffsets by time: one time a partition in a request, so that answers can't be mixed up.
    async fn answer_times(&self, side: Side, mut asks: Vec<(usize, TopicPartition, i64)>) -> RoundAnswers {
        let mut answers = Vec::with_capacity(asks.len());
        while !asks.is_empty() {
            let mut times: BTreeMap<TopicPartition, i64> = BTreeMap::new();
            for (_, tp, ts) in &asks {
                times.entry(tp.clone()).or_insert(*ts);
            }
            let there: Vec<_> =
                times.iter().map(|(tp, ts)| (self.names.partition_on(side, tp), OffsetSpec::Timestamp(*ts))).collect();
            let found = self.cluster(side).list_offsets(&there).await;
            let now = Clock.now();
            let (answered, later): (Vec<_>, Vec<_>) = asks.into_iter().partition(|(_, tp, ts)| times[tp] == *ts);
            asks = later;
            answers.extend(answered.into_iter().map(|(slot, tp, _)| {
                let there = self.names.partition_on(side, &tp);
                let answer = match found.get(&there) {
                    Some(Ok(offset)) => Ok(TranslationAnswer::Offset(offset.map(|(offset, _)| offset))),
                    Some(Err(trouble)) => Err(trouble.clone()),
                    None => Err(Trouble::new(format!("{side} left {there} out of its answer"), "try again")),
                };
                (slot, now, answer)
            }));
        }
        answers
    }
}

/// Asks every translation what it needs next, on a blocking thread: aligning a million records takes a part of a
/// second. Those that are done are put to the results. `None` when all are.
async fn decide_needs(jobs: &mut Vec<Job>, results: &mut GroupResults) -> Option<Round> {
    let owners: BTreeSet<usize> = jobs.iter().map(|j| j.owner).collect();
    let taken = std::mem::take(jobs);
    let next = |mut job: Job| match job.translation.next() {
        Need::Done(plan) => Decided::Done(job.owner, plan), // and its records are let go
        need => Decided::Needs(Box::new(job), need),
    };
    let decided = tokio::task::spawn_blocking(move || taken.into_iter().map(next).collect::<Vec<_>>()).await;
    // Whose job it was can't be told: every group of the batch ends with it.
    let decided = decided.unwrap_or_else(|e| {
        let why = Trouble::new(format!("aligning records broke: {e}"), "this is a fault of cutover");
        owners.into_iter().for_each(|owner| results.fail(owner, why.clone()));
        Vec::new()
    });
    let mut round = Round::default();
    for one in decided {
        match one {
            Decided::Done(owner, plan) => results.add(owner, *plan),
            Decided::Needs(job, need) => {
                round.add(jobs.len(), &job.tp, need);
                jobs.push(*job);
            }
        }
    }
    round.first = jobs.first().map(|j| j.tp.clone());
    (!jobs.is_empty()).then_some(round)
}

/// What became of a job in a round.
enum Decided {
    Done(usize, Box<PartitionPlan>),
    Needs(Box<Job>, Need),
}

/// Reads of one log: for whom, and what comes over the wire for them.
#[derive(Default)]
struct LogReads {
    asks: Vec<windows::WindowAsk>,
    stretches: Vec<windows::WindowRange>,
}

/// What is needed in a round, by kind; the number is the job's, partitions go by blue's names.
#[derive(Default)]
struct Round {
    /// The partition whose turn it is, however much it needs.
    first: Option<TopicPartition>,
    ends: Vec<(usize, TopicPartition)>,
    source_times: Vec<(usize, TopicPartition, i64)>,
    target_times: Vec<(usize, TopicPartition, i64)>,
    reads: Vec<(Log, windows::WindowAsk)>,
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
                self.reads.push((log, windows::WindowAsk { slot, tp, from, to, keys, rule: IdentityRule::default() }));
            }
            Need::Wait { ms } => self.waits.push((slot, ms)),
            Need::Done(_) => {}
        }
    }

    /// Whether it asks nothing but reads, of which what memory has room for is decided later.
    fn asks_nothing(&self) -> bool {
        self.ends.is_empty() && self.source_times.is_empty() && self.target_times.is_empty()
    }
}

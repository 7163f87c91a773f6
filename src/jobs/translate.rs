//! Translating a whole group: drives one [`Translation`] a partition, asks both control planes for offsets in batches,
//! and reads the windows through one reader a cluster on a blocking thread.
//!
//! Several groups are translated in one pass: what they need of a partition is read once.
//!
//! Memory is bounded: partitions are taken on in order until their backlogs add up to `TOGETHER` offsets, so many
//! small windows share their requests and a huge one has the memory to itself, up to `Params::max_records`. A record
//! takes 24 bytes, and up to 16 more while its partition is aligned.

mod drive;
mod history;
mod maker;
mod many;
mod peek;
mod pool;
mod window_cache;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use drive::Job;
pub use history::History;
pub use many::WantedGroup;
use pool::Uneven;
use windows::Windows;

use crate::base::sanitise::visible_name;
use crate::base::{At, Side, Sides, TopicPartition, Trouble, lock_unpoisoned};
use crate::estate::ClusterView;
use crate::jobs::identities::RecordIdentities;
use crate::kafka::control::{Cluster, SnapshotOptions, StableOffsets, Which};
use crate::migration::facts::command::shell_word;
use crate::offsets::strategy::SeamOffsets;
use crate::offsets::strategy::mm2::Mm2;
use crate::offsets::translate::Log;
use crate::offsets::verdict::{GroupTranslation, PartitionPlan};
use crate::offsets::{Chosen, Params, Strategy, Translation};
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::tools::too_long;
use crate::session::tools::{after_max_ms, client_properties};

/// Offsets of unconsumed backlog that are worked on at the same time; one partition alone may have more.
const TOGETHER: u64 = 2_000_000;
/// What a partition counts for besides its backlog: the windows reach back some minutes of traffic.
const BASE_COST: u64 = 20_000;
/// Runs that translate at the same time, and measurements beside them.
const AT_ONCE: usize = 2;
/// How long offsets in an open transaction are waited for: a broker's default `transaction.max.timeout.ms` is longer,
/// but a person waits meanwhile and is told whose it is.
const STABLE_RUN_MS: u64 = 60_000;
const STABLE_ESTIMATE_MS: u64 = 5_000;
const STABLE_PAUSE_MS: u64 = 500;
/// How long an estimate waits for records without a twin, ms: on a busy topic some are always on their way.
const ESTIMATE_SETTLE_MS: u64 = 1_500;
/// How long one request for the shape of the topics may take.
const SHAPE: Duration = Duration::from_secs(30);

/// Where a translation says how far it is.
pub type TranslationProgressSink = Arc<dyn Fn(String) + Send + Sync>;

/// What for: an estimate for a dialog, or the plan that a run commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Now, with what is there and what comes within a moment.
    Estimate,
    /// Waits until young records have their twins, and until open transactions with offsets have ended.
    Run,
}

/// Translates groups. Cheap to clone.
#[derive(Clone)]
pub struct Translator {
    inner: Arc<TranslatorCore>,
}

struct TranslatorCore {
    plan: Arc<Plan>,
    names: Arc<TopicNames>,
    clusters: Sides<Cluster>,
    windows: Sides<Windows>,
    identities: RecordIdentities,
    history: Arc<Mutex<History>>,
    runs: TranslationTurns,
    measurements: TranslationTurns,
}

/// How much goes on at the same time, of runs and of measurements each: a stopped group never waits behind estimates.
struct TranslationTurns {
    /// Passes over groups.
    passes: Semaphore,
    /// Topics of uneven partition counts: all partitions of one are in memory at once.
    pools: Semaphore,
}

impl TranslationTurns {
    fn new() -> Self {
        TranslationTurns { passes: Semaphore::new(AT_ONCE), pools: Semaphore::new(1) }
    }
}

/// One of the two logs' owners in a translation.
#[derive(Clone, Copy)]
struct Ways {
    source: Side,
    target: Side,
}

/// One group to translate.
#[derive(Clone, Copy)]
struct Case<'a> {
    /// Its id on blue.
    group: &'a str,
    ways: Ways,
    purpose: Purpose,
    /// What the operator asked for.
    chosen: Option<&'a Chosen>,
    /// The topics that it reads, where the caller knows.
    topics: &'a BTreeSet<String>,
}

impl Ways {
    fn side(self, log: Log) -> Side {
        match log {
            Log::Source => self.source,
            Log::Target => self.target,
        }
    }
}

impl Translator {
    /// For a pair of clusters. No I/O. Errors: client properties whose secrets can't be read.
    pub fn new(
        plan: Arc<Plan>,
        names: Arc<TopicNames>,
        clusters: Sides<Cluster>,
        history: Arc<Mutex<History>>,
    ) -> Result<Self, Trouble> {
        for side in Side::BOTH {
            // Only for its error: a side whose secrets can't be read is never asked for records.
            client_properties(plan.cluster(side))?;
        }
        let identities = RecordIdentities::of_plan(&plan);
        let windows = clusters.as_ref().map(|cluster| Windows::new(cluster, identities.clone()));
        let (runs, measurements) = (TranslationTurns::new(), TranslationTurns::new());
        let core = TranslatorCore { plan, names, clusters, windows, identities, history, runs, measurements };
        Ok(Self { inner: Arc::new(core) })
    }

    /// Translates every partition of a group (its id on blue) to `to`. A partition of which nothing can be said comes
    /// back UNMAPPABLE with its reason; an error means that nothing could be observed. `wanted.chosen`
    /// goes over the plan's choice for the group, and that over the topics' rules.
    pub async fn translate(
        &self,
        wanted: WantedGroup<'_>,
        to: Side,
        purpose: Purpose,
        progress: &TranslationProgressSink,
    ) -> Result<GroupTranslation, Trouble> {
        let mut plans = self.translate_many(&[wanted], to, purpose, progress).await;
        plans.pop().unwrap_or_else(|| Err(Trouble::new("the group was not translated", "this is a fault of cutover")))
    }

    /// Closes the readers, on a blocking thread: a client takes 100-200 ms to go.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        let closed = tokio::task::spawn_blocking(move || inner.windows.iter().for_each(|(_, w)| w.close()));
        let _ = closed.await; // only a panic of librdkafka's could fail it, and everything ends here anyway
    }
}

type PlacedOffsets = BTreeMap<String, BTreeMap<i32, Placed>>;

/// A committed offset, and what its commit carries besides.
#[derive(Debug, Clone, Default)]
struct Placed {
    offset: i64,
    metadata: Option<String>,
}

/// Partitions and ends of the group's topics on both sides.
struct Shapes {
    source: ClusterView,
    target: ClusterView,
}

/// The topics of a group for which the plan lists none.
fn committed_topics(group: &str, committed: &PlacedOffsets) -> Result<BTreeSet<String>, Trouble> {
    if committed.is_empty() {
        return Err(Trouble::new(
            format!(
                "group {group} has no committed offsets, and the plan lists no topics for it",
                group = visible_name(group)
            ),
            "list its topics in the plan, or let it commit once",
        ));
    }
    Ok(committed.keys().cloned().collect())
}

impl TranslatorCore {
    fn cluster(&self, side: Side) -> &Cluster {
        &self.clusters[side]
    }

    /// The group's committed offsets on the source by blue's topic names, none of which an open transaction could change.
    /// `named`: the partitions, as named there, that matter besides those already committed.
    async fn fetch_committed(
        &self,
        group: &str,
        source: Side,
        named: &[TopicPartition],
        purpose: Purpose,
    ) -> Result<PlacedOffsets, Trouble> {
        let id = self.names.group_on(group, source);
        let limit = if purpose == Purpose::Run { STABLE_RUN_MS } else { STABLE_ESTIMATE_MS };
        let watch = Clock.stopwatch();
        loop {
            let (found, mut carried) = self.cluster(source).stable_commits(&id, named).await?;
            let found = match found {
                StableOffsets::Stable(found) => found,
                StableOffsets::Unasked(found, why) => {
                    tracing::warn!("{}: {}", why.what, why.advice);
                    found
                }
                StableOffsets::Pending(partitions) if watch.elapsed_ms() < limit => {
                    tracing::info!(
                        "offsets of {id} on {source} wait for a transaction: {}",
                        describe_partitions(&partitions),
                        id = visible_name(&id)
                    );
                    Clock.sleep(STABLE_PAUSE_MS).await;
                    continue;
                }
                StableOffsets::Pending(partitions) => {
                    return Err(Trouble::new(
                        format!(
                            "a transaction with offsets of group {id} is still open on {source} after {} s, for {}",
                            limit / 1000,
                            describe_partitions(&partitions),
                            id = visible_name(&id)
                        ),
                        "wait for it to end, or end it: kafka-transactions.sh find-hanging names its producer",
                    ));
                }
            };
            let mut placed = PlacedOffsets::new();
            for (topic, offsets) in found {
                let mut carried = carried.remove(&topic).unwrap_or_default();
                let place = |(p, c): (i32, crate::estate::Committed)| {
                    (p, Placed { offset: c.offset, metadata: carried.remove(&p) })
                };
                placed.insert(self.names.topic_on_blue(source, &topic), offsets.into_iter().map(place).collect());
            }
            return Ok(placed);
        }
    }

    /// Every partition of the topics, as named on a side.
    fn partitions_on(&self, side: Side, topics: &BTreeSet<String>, shape: &ClusterView) -> Vec<TopicPartition> {
        let of = |topic: &String| {
            let name = self.names.topic_on(side, topic);
            let count = shape.topics.get(&name).map_or(0, |t| t.partitions.len());
            (0..i32::try_from(count).unwrap_or(i32::MAX)).map(move |p| TopicPartition::new(name.clone(), p))
        };
        topics.iter().flat_map(of).collect()
    }

    /// What is to be translated, and what can't be.
    async fn plan_jobs(
        &self,
        case: Case<'_>,
        topics: &BTreeSet<String>,
        Shapes { source, target }: &Shapes,
        committed: &PlacedOffsets,
    ) -> Result<(Vec<PartitionPlan>, Vec<Job>), Trouble> {
        let ways = case.ways;
        let target_topics: Vec<String> = topics.iter().map(|t| self.names.topic_on(ways.target, t)).collect();
        let configs = self.cluster(ways.target).describe_configs(&target_topics).await;
        let (mut plans, mut jobs) = (Vec::new(), Vec::new());
        let mm2 = self.mm2_for(case, topics).await?;
        for topic in topics {
            let (strategy, _) = self.choose_strategy(case, topic);
            let config = configs.get(&self.names.topic_on(ways.target, topic)).and_then(|c| c.as_ref().ok());
            let policy = config.and_then(|c| c.get("cleanup.policy")).and_then(|c| c.value.as_deref());
            // Where it can't be told, what is safe for a compacted topic is assumed.
            let compacted = policy.is_none_or(|p| p.contains("compact"));
            let after_max_ms = config.and_then(after_max_ms);
            match self.count_partitions(topic, ways, source, target, committed.get(topic)) {
                Err((count, why)) => {
                    tracing::info!(topic = %visible_name(topic), count, %why, "partitions can't be mapped");
                    let gone =
                        |p| PartitionPlan::unmappable(TopicPartition::new(topic, p), strategy, &why, Clock.now());
                    // One row at least: a topic that shows no partitions must not vanish from the answer.
                    plans.extend((0..count.max(1)).map(gone));
                }
                Ok((source, target)) if source != target => {
                    let uneven = Uneven { topic, source, target, compacted, after_max_ms };
                    plans.extend(self.translate_pooled(case, &uneven, committed).await?);
                }
                Ok((count, _)) => {
                    for p in 0..count {
                        let placed = committed.get(topic).and_then(|c| c.get(&p));
                        let at = placed.map(|placed| placed.offset);
                        let mut params = self.build_params(case, TopicPartition::new(topic, p), at, compacted);
                        params.target_after_max_ms = after_max_ms;
                        let (here, there) =
                            (self.names.topic_on(ways.source, topic), self.names.topic_on(ways.target, topic));
                        params.metadata = placed.and_then(|placed| placed.metadata.clone());
                        params.mm2 = mm2.as_ref().zip(at).and_then(|(mm2, at)| mm2.find_claim(&here, &there, p, at));
                        let end = source
                            .topics
                            .get(&self.names.topic_on(ways.source, topic))
                            .and_then(|t| t.partitions.get(p as usize));
                        // Where it never committed, all of the log counts.
                        let from = at.or_else(|| end.and_then(|e| e.log_start));
                        let backlog =
                            end.and_then(|e| e.lso).zip(from).map_or(0, |(end, at)| end.saturating_sub(at).max(0));
                        // Twice, because about as much is read of the other log.
                        let cost = BASE_COST.saturating_add(backlog.unsigned_abs().saturating_mul(2));
                        jobs.push(Job { owner: 0, cost, tp: params.tp.clone(), translation: Translation::new(params) });
                    }
                }
            }
        }
        Ok((plans, jobs))
    }

    /// Partition counts and ends of topics on a side.
    async fn ask_shape(&self, side: Side, topics: &BTreeSet<String>) -> Result<ClusterView, Trouble> {
        let options = SnapshotOptions {
            topics: Which::only(topics.iter().map(|t| self.names.topic_on(side, t))),
            groups: Which::None,
            members: Which::None,
            ..SnapshotOptions::default()
        };
        let cluster = self.cluster(side);
        tokio::time::timeout(SHAPE, cluster.snapshot(&options)).await.unwrap_or_else(|_| {
            let what = format!("asking for the partitions of {} topics", topics.len());
            Err(too_long(cluster, &what, SHAPE))
        })
    }

    /// How a topic is translated, and for `timestamp` the moment: the operator's word, else the plan's for the group,
    /// else the rule of the topic.
    fn choose_strategy(&self, case: Case<'_>, topic: &str) -> (Strategy, Option<At>) {
        let planned = self.plan.group(case.group).and_then(|g| g.chosen.as_ref());
        case.chosen.or(planned).map_or_else(
            || {
                let rule = self.plan.topic_rule(topic);
                (rule.strategy, rule.at)
            },
            |chosen| (chosen.strategy, chosen.at),
        )
    }

    /// The numbers of partitions on the source and on the target, or (how many there are on the source, why nothing can
    /// be said).
    fn count_partitions(
        &self,
        topic: &str,
        ways: Ways,
        source: &ClusterView,
        target: &ClusterView,
        committed: Option<&BTreeMap<i32, Placed>>,
    ) -> Result<(i32, i32), (i32, String)> {
        let count = |side: Side, view: &ClusterView| {
            self.names.count_partitions(topic, side, view).map(|n| i32::try_from(n).unwrap_or(i32::MAX))
        };
        let from = count(ways.source, source).map_err(|why| (0, why))?;
        let onto = count(ways.target, target).map_err(|why| {
            let leave = shell_word(topic);
            (from, format!("{why}: create it there, or leave it out by name (--leave-out {leave} --reason TEXT)"))
        })?;
        // A shape of a broker that is behind, or with a hole: what lies there would count as the target's alone.
        match committed.and_then(|c| c.keys().find(|p| **p >= from)) {
            None => Ok((from, onto)),
            Some(p) => Err((
                from,
                format!("the group has committed on partition {p}, and {} shows {from} partitions", ways.source),
            )),
        }
    }

    /// Whose turns a translation takes.
    fn turns(&self, purpose: Purpose) -> &TranslationTurns {
        if purpose == Purpose::Run { &self.runs } else { &self.measurements }
    }

    /// What MirrorMaker 2 knows of the group, where a topic wants to know. Where it would only add to the evidence and
    /// can't be read, the contents stand alone.
    async fn mm2_for(&self, case: Case<'_>, topics: &BTreeSet<String>) -> Result<Option<Mm2>, Trouble> {
        let wants = |strategy| topics.iter().any(|t| self.choose_strategy(case, t).0 == strategy);
        match (wants(Strategy::Mm2), wants(Strategy::Auto)) {
            (true, _) => self.read_mm2(case).await.map(Some),
            (false, false) => Ok(None),
            (false, true) => Ok(self
                .read_mm2(case)
                .await
                .inspect_err(|why| tracing::debug!("MirrorMaker's topics: {}", why.what))
                .ok()),
        }
    }

    /// Where the writers of a partition went over to the target all at once: as a hard cutover journalled it, else the
    /// plan's word, which is of the way to green.
    fn find_seam(&self, history: &History, tp: &TopicPartition, ways: Ways) -> Option<SeamOffsets> {
        if let Some(seam) = history.seam(ways.target, tp) {
            return Some(SeamOffsets { source: seam.source, target: seam.target });
        }
        let rule = self.plan.topic_rule(&tp.topic);
        let seam = rule.seam.iter().find(|s| s.partition == tp.partition && ways.target == Side::Green)?;
        Some(SeamOffsets { source: seam.blue, target: seam.green })
    }

    fn build_params(
        &self,
        case @ Case { group, ways, purpose, .. }: Case<'_>,
        tp: TopicPartition,
        committed: Option<i64>,
        target_compacted: bool,
    ) -> Params {
        let rule = self.plan.topic_rule(&tp.topic);
        let (strategy, at) = self.choose_strategy(case, &tp.topic);
        let settle_timeout_ms =
            self.plan.group(group).map_or(self.plan.defaults.settle_timeout_ms, |g| g.limits.settle_timeout_ms);
        let history = lock_unpoisoned(&self.history);
        Params {
            rule: rule.identity.clone(),
            pair_delta_ms: rule.pair_delta_ms,
            arrival_skew_ms: rule.arrival_skew_ms,
            settle_timeout_ms: match purpose {
                Purpose::Run => settle_timeout_ms,
                Purpose::Estimate => settle_timeout_ms.min(ESTIMATE_SETTLE_MS),
            },
            settle: true,
            target_only_since: history.target_only_since(&self.plan, group, &tp.topic, ways.target),
            source_seen: history.ends(ways.source, &tp),
            target_seen: history.ends(ways.target, &tp),
            target_compacted,
            strategy,
            at,
            seam: self.find_seam(&history, &tp, ways),
            ..Params::new(tp, committed)
        }
    }
}

pub(crate) fn describe_partitions(partitions: &[TopicPartition]) -> String {
    let mut words: Vec<String> = partitions.iter().take(5).map(ToString::to_string).collect();
    if partitions.len() > 5 {
        words.push(format!("{} more", partitions.len() - 5));
    }
    words.join(", ")
}

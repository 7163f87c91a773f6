//! Which producers write to both clusters, since when, and what the samples say of them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use super::Core;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, Trouble};
use crate::estate::{ClusterView, FlagState};
use crate::jobs::compare::sample::{Missed, SampleCounts, SampleTarget, Sampled};
use crate::migration::facts::command::{Command, Subject, shell_word};
use crate::migration::facts::event::{Event, JournalEntry, RunEnd, RunId};
use crate::plan::{Plan, ProducerPlan};
use crate::session::clock::Clock;
use crate::snapshot::{Fidelity, FidelityFigure, Severity};

/// A window counts for two rounds over the topic's partitions, and at most for so long, ms.
const KEPT_MS: u64 = 3_600_000;
/// The newest window is stale after so many periods, and at least so long, ms.
const STALE_PERIODS: u64 = 4;
const STALE_LEAST_MS: u64 = 60_000;
/// Most partitions whose windows are remembered.
const PARTITIONS: usize = 20_000;

/// What is known of dual writing.
pub(super) struct Fidelities {
    targets: watch::Sender<Vec<SampleTarget>>,
    /// The flag as it was last seen.
    flags: BTreeMap<String, FlagState>,
    /// Since when a producer writes to both, where that is known.
    since: BTreeMap<String, At>,
    /// Routes to dual that have not ended, by their run.
    routes: BTreeMap<RunId, (String, FlagState)>,
    /// The newest window of each partition.
    windows: BTreeMap<(String, u32), (At, Result<SampleCounts, Missed>)>,
    /// Why a topic is not looked at.
    reasons: BTreeMap<String, String>,
}

impl Fidelities {
    pub fn new() -> (Self, watch::Receiver<Vec<SampleTarget>>) {
        let (targets, wanted) = watch::channel(Vec::new());
        let (flags, since, routes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        (Self { targets, flags, since, routes, windows: BTreeMap::new(), reasons: BTreeMap::new() }, wanted)
    }

    /// What an entry of the journal says of when dual writing began.
    pub(crate) fn note_entry(&mut self, entry: &JournalEntry) {
        match &entry.event {
            Event::RunStarted { run, command: Command::Route { producer, to, .. }, dry_run: false, .. } => {
                self.routes.insert(*run, (producer.clone(), *to));
            }
            Event::RunEnded { run, end } => {
                let Some((producer, to)) = self.routes.remove(run) else { return };
                match (to, end) {
                    (FlagState::Dual, RunEnd::Done) => drop(self.since.insert(producer, entry.at)),
                    // A route elsewhere, or one whose end went wrong:
                    // since when it writes to both is not known any more.
                    _ => drop(self.since.remove(&producer)),
                }
            }
            _ => {}
        }
    }

    /// A window was compared, or not.
    pub(crate) fn note_sample(&mut self, sampled: Sampled) {
        let key = (sampled.topic, sampled.partition);
        if self.windows.len() < PARTITIONS || self.windows.contains_key(&key) {
            // What was not looked at takes nothing away from what was.
            match (&sampled.result, self.windows.get_mut(&key)) {
                (Err(Missed::Not(_)), Some((_, Ok(_)))) => {}
                _ => drop(self.windows.insert(key, (sampled.at, sampled.result))),
            }
        }
    }

    fn note_flag(&mut self, producer: &str, flag: Option<FlagState>, now: At) {
        let Some(flag) = flag else { return };
        let before = self.flags.insert(producer.to_owned(), flag);
        if flag != FlagState::Dual {
            self.since.remove(producer);
        // The first look of a session tells no beginning: it may have been dual for months.
        } else if before.is_some_and(|before| before != FlagState::Dual) {
            self.since.insert(producer.to_owned(), now);
        }
    }

    /// What is shown of a producer.
    pub(crate) fn fidelity_of(&self, plan: &Plan, producer: &ProducerPlan, now: At) -> Fidelity {
        let not = |why: &str| Fidelity::NotSampled { why: why.to_owned() };
        match self.flags.get(&producer.name) {
            Some(FlagState::Dual) => {}
            Some(_) => return Fidelity::NotDual,
            None if producer.flag.is_none() => return Fidelity::NotDual,
            None => return not("its flag is not known"),
        }
        let Some(period) = plan.diff.fidelity_ms else { return not("switched off in the plan ([diff] fidelity)") };
        if producer.topics.is_empty() {
            return not("the plan lists no topics of it");
        }
        let mut figure: Option<FidelityFigure> = None;
        let mut why = None;
        for topic in &producer.topics {
            match self.sum_topic(topic, period, now) {
                Ok(one) => figure = Some(figure.map_or_else(|| one.clone(), |sum| add_figures(sum, &one))),
                Err(reason) => why = Some(format!("{topic}: {reason}", topic = visible_name(topic))),
            }
        }
        match (figure, why) {
            (None, why) => not(why.as_deref().unwrap_or("nothing was looked at yet")),
            (Some(mut figure), why) => {
                figure.unknown = figure.unknown.or(why);
                let round = window_life_ms(figure.partitions.1, period);
                figure.stale_after_ms = STALE_LEAST_MS.max(STALE_PERIODS.saturating_mul(period)).max(round);
                Fidelity::Sampled(figure)
            }
        }
    }

    /// What the windows of a topic say, or why there are none.
    fn sum_topic(&self, topic: &str, period: u64, now: At) -> Result<FidelityFigure, String> {
        if let Some(why) = self.reasons.get(topic) {
            return Err(why.clone());
        }
        let wanted = self.targets.borrow();
        let target = wanted.iter().find(|t| t.topic == topic).ok_or("nothing was looked at yet")?;
        let windows = self.windows.range((topic.to_owned(), 0)..=(topic.to_owned(), u32::MAX));
        let young = |(_, (at, _)): &(_, &(At, Result<SampleCounts, Missed>))| {
            // A window from before it wrote to both says nothing of it.
            now.is_within(window_life_ms(target.partitions, period), *at)
                && target.since.is_none_or(|since| *at >= since)
        };
        let mut sum: Option<FidelityFigure> = None;
        let mut not = None;
        // A topic that was made anew may have fewer partitions than there are windows of it.
        for ((_, partition), (at, result)) in windows.filter(young).filter(|((_, p), _)| *p < target.partitions) {
            if let Err(Missed::Not(why)) = result {
                not = Some(why.clone());
                continue;
            }
            let figure = sum.get_or_insert_with(|| empty_figure(*at));
            // As young as the oldest of what it rests on.
            figure.at = figure.at.min(*at);
            match result {
                Ok(counts) => {
                    figure.partitions.0 += 1;
                    figure.found += counts.found;
                    figure.missing += counts.missing;
                    figure.only_green += counts.only_green;
                    figure.doubled += counts.doubled;
                }
                Err(Missed::Unknown(why)) => {
                    figure
                        .unknown
                        .get_or_insert_with(|| format!("{topic}-{partition}: {why}", topic = visible_name(topic)));
                }
                Err(Missed::Not(_)) => {}
            }
        }
        match sum {
            Some(figure) if figure.partitions.0 > 0 || figure.unknown.is_some() => {
                Ok(FidelityFigure { partitions: (figure.partitions.0, target.partitions), ..figure })
            }
            _ => Err(not.unwrap_or_else(|| "nothing was looked at yet".to_owned())),
        }
    }
}

/// How long a window of a topic counts, ms: one partition is looked at in a period.
fn window_life_ms(partitions: u32, period: u64) -> u64 {
    let round = u64::from(partitions).saturating_mul(period);
    round.saturating_mul(2).max(STALE_LEAST_MS).max(STALE_PERIODS.saturating_mul(period)).min(KEPT_MS)
}

fn empty_figure(at: At) -> FidelityFigure {
    FidelityFigure {
        at,
        stale_after_ms: 0,
        partitions: (0, 0),
        found: 0,
        missing: 0,
        only_green: 0,
        doubled: 0,
        unknown: None,
    }
}

/// Two topics of one producer: as young as the older of them.
fn add_figures(a: FidelityFigure, b: &FidelityFigure) -> FidelityFigure {
    FidelityFigure {
        at: a.at.min(b.at),
        stale_after_ms: 0,
        partitions: (a.partitions.0 + b.partitions.0, a.partitions.1 + b.partitions.1),
        found: a.found + b.found,
        missing: a.missing + b.missing,
        only_green: a.only_green + b.only_green,
        doubled: a.doubled + b.doubled,
        unknown: a.unknown.or_else(|| b.unknown.clone()),
    }
}

impl Core {
    /// A window was compared. What it misses stays a notice when the next window is whole again: those records are on
    /// one side only until somebody carries them.
    pub(super) fn take_sample(&mut self, one: Sampled) {
        if let Ok(SampleCounts { missing: missing @ 1.., .. }) = &one.result {
            let (topic, partition) = (&one.topic, one.partition);
            let trouble = Trouble::new(
                format!(
                    "{missing} records of {topic}-{partition} in a sampled window are on blue only",
                    topic = visible_name(topic)
                ),
                format!("see which: cutover diff --topic {} (or v), then cutover replay", shell_word(topic)),
            );
            self.add_notice(Severity::Fail, Subject::Migration, trouble);
        }
        self.fidelities.note_sample(one);
    }

    /// Tells the sampler what is written to both clusters now.
    pub(super) fn aim_sampler(&mut self) {
        let now = Clock.now();
        self.look_behind(now);
        let fresh = |name: &str| self.estate.flags.get(name)?.fresh_value(now, self.plan.stale_after_ms).copied();
        for producer in &self.plan.producers {
            let flag = fresh(&producer.name);
            self.fidelities.note_flag(&producer.name, flag, now);
        }
        let dual = |p: &ProducerPlan| fresh(&p.name) == Some(FlagState::Dual);
        let ids = &self.plan.producers;
        let topics: BTreeSet<&String> = ids.iter().filter(|p| dual(p)).flat_map(|p| &p.topics).collect();
        let (mut targets, mut reasons) = (Vec::new(), BTreeMap::new());
        for topic in topics {
            let writers = || ids.iter().filter(|p| p.topics.contains(topic));
            if let Some(other) = writers().find(|p| !dual(p)) {
                reasons.insert(topic.clone(), format!("{} writes it too, and not to both", visible_name(&other.name)));
                continue;
            }
            match count_partitions(&self.estate.clusters.blue, &self.estate.clusters.green, topic) {
                Err(why) => drop(reasons.insert(topic.clone(), why)),
                Ok(partitions) => {
                    // The last that began: before it not everything was written to both.
                    let since = writers().filter_map(|p| self.fidelities.since.get(&p.name)).max().copied();
                    targets.push(SampleTarget { topic: topic.clone(), partitions, since });
                }
            }
        }
        self.fidelities.reasons = reasons;
        self.fidelities.targets.send_if_modified(|before| {
            let changed = *before != targets;
            *before = targets;
            changed
        });
    }

    /// What is shown of each producer.
    pub(super) fn fidelity_by_producer(&self) -> BTreeMap<String, Fidelity> {
        let now = Clock.now();
        let of = |p: &ProducerPlan| (p.name.clone(), self.fidelities.fidelity_of(&self.plan, p, now));
        self.plan.producers.iter().map(of).collect()
    }
}

/// How many partitions a topic has on both sides, or why it can't be looked at.
fn count_partitions(blue: &Observed<ClusterView>, green: &Observed<ClusterView>, topic: &str) -> Result<u32, String> {
    let (Some(b), Some(g)) = (blue.value(), green.value()) else {
        return Err("a cluster was not observed yet".to_owned());
    };
    if b.cluster_id.is_none() || b.cluster_id == g.cluster_id {
        return Err("blue and green can't be told apart".to_owned());
    }
    let count = |side: Side, n: Option<usize>| n.filter(|n| *n > 0).ok_or_else(|| format!("it is not on {side}"));
    let (b, g) = (
        count(Side::Blue, b.topics.get(topic).map(|t| t.partitions.len()))?,
        count(Side::Green, g.topics.get(topic).map(|t| t.partitions.len()))?,
    );
    if b != g {
        return Err(format!("it has {b} partitions on blue and {g} on green: v compares all of it"));
    }
    Ok(u32::try_from(b).unwrap_or(u32::MAX))
}

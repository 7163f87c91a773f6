//! The pollers: one a cluster for the whole picture, one a cluster for the groups that a run waits for, one a switch
//! or flag. Each on its own schedule, so that a dead cluster never holds up the picture of the other one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::eos::look::WatchedProducer;
use super::eos::watch::{EosFocus, watch_side};
use super::holders::HoldersByPartition;
use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition, Trouble};
use crate::estate::blank::Blank;
use crate::estate::exactly_once::EosLook;
use crate::estate::{ClusterView, FlagState, GroupView, SwitchState};
use crate::kafka::control::{Cluster, SnapshotOptions};
use crate::migration::soak::criteria::Metric;
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::pace::Pace;
use crate::session::planes;
use crate::session::tools::{Tools, too_long};

/// The longest a whole round may take: the control plane's own bounds are far shorter on each request.
const ROUND: Duration = Duration::from_secs(60);
/// The longest a focused look may take: what a run waits for must not wait behind one dead broker for long.
const LOOK: Duration = Duration::from_secs(10);
/// Groups looked at in one focused round; more wait for the next.
const FOCUS_AT_ONCE: usize = 64;

/// Something that was seen, or why it could not be. `At` is always when the question was asked: the answer is at
/// least that new.
#[derive(Debug)]
pub(crate) enum Observation {
    /// A whole round.
    Cluster(Side, Result<ClusterView, Trouble>),
    /// A focused look at one group, by its id on that side.
    Group(Side, String, Result<GroupView, Trouble>),
    /// A consumer switch, by the group's id on blue.
    Switch(String, Result<SwitchState, Trouble>),
    /// A producer's flag.
    Flag(String, Result<FlagState, Trouble>),
    /// An exactly-once producer on a side, by its name in the plan.
    Eos(Side, String, Result<Box<EosLook>, Trouble>),
    /// Whether a side's data plane answers.
    Plane(Side, Result<(), Trouble>),
    /// What a provider of metrics answered about a group (by its id on blue) on a side.
    Metric(String, Side, Metric, Result<f64, Trouble>),
    /// Whose transactions are open on partitions of a side (by blue's names): which were asked for, and what was told.
    Holders(Side, Vec<TopicPartition>, Result<HoldersByPartition, Trouble>),
    /// A stretch of a partition of a side (by blue's name) holds no record.
    Blank(Side, TopicPartition, Blank),
    /// What it knows of the past of that, oldest first; before the answer about now.
    Past(String, Side, Metric, Vec<(At, f64)>),
}

/// An observation with the time its question was asked.
#[derive(Debug)]
pub(crate) struct TimedObservation {
    /// When it was asked.
    pub at: At,
    /// What was seen.
    pub what: Observation,
}

/// Where observations go. Bounded: a poller waits while the controller is busy, and its next look is newer for it.
pub(crate) type ObservationSender = mpsc::Sender<TimedObservation>;

/// What a focused watch looks at: group ids by side.
pub(crate) type GroupFocus = BTreeSet<(Side, String)>;

/// Starts all pollers. They end when the receiver of the observations is gone, or with the set.
/// `poll_ms`, `focus_ms`: pause between two rounds, and between two focused looks. `eos`: the exactly-once producers.
pub(crate) fn watch_all(
    tasks: &mut JoinSet<()>,
    tools: &Arc<Tools>,
    eos: Vec<WatchedProducer>,
    (poll_ms, focus_ms): (u64, u64),
    (focus, eos_focus): (&watch::Receiver<GroupFocus>, &watch::Receiver<EosFocus>),
    to: ObservationSender,
) {
    let eos = Arc::new(eos);
    for side in Side::BOTH {
        match tools.why_unreachable(side).cloned() {
            None => {
                tasks.spawn(poll_cluster(Arc::clone(tools), side, poll_ms, to.clone()));
                tasks.spawn(poll_groups(tools.cluster(side).clone(), focus_ms, focus.clone(), to.clone()));
                watch_side(tasks, tools, side, &eos, (poll_ms, focus_ms), eos_focus, &to);
            }
            Some(why) => {
                let to = to.clone();
                // Said once: a plan whose secrets can't be read does not mend by itself.
                tasks.spawn(async move {
                    let _ =
                        to.send(TimedObservation { at: Clock.now(), what: Observation::Cluster(side, Err(why)) }).await;
                });
            }
        }
    }
    for (group, interval_ms) in tools.readable_switches() {
        tasks.spawn(poll_setting(Arc::clone(tools), PolledSetting::Switch(group.to_owned()), interval_ms, to.clone()));
    }
    for (producer, interval_ms) in tools.readable_flags() {
        tasks.spawn(poll_setting(Arc::clone(tools), PolledSetting::Flag(producer.to_owned()), interval_ms, to.clone()));
    }
}

/// What one poller reads.
enum PolledSetting {
    Switch(String),
    Flag(String),
}

/// Reads one switch or flag again and again. Providers bound their reads themselves.
async fn poll_setting(tools: Arc<Tools>, which: PolledSetting, interval_ms: u64, to: ObservationSender) {
    let mut pace = Pace::every(interval_ms);
    loop {
        let (at, watch) = (Clock.now(), Clock.stopwatch());
        let what = match &which {
            PolledSetting::Switch(group) => Observation::Switch(group.clone(), tools.read_switch(group).await),
            PolledSetting::Flag(producer) => Observation::Flag(producer.clone(), tools.read_flag(producer).await),
        };
        // What could not be read was logged where it was asked.
        let worked = matches!(what, Observation::Switch(_, Ok(_)) | Observation::Flag(_, Ok(_)));
        if to.send(TimedObservation { at, what }).await.is_err() {
            return;
        }
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), worked)).await;
    }
}

/// Tries the data plane of each side until it has answered once: what reads later has checks of its own. For sessions that
/// may start something.
pub(crate) fn watch_planes(
    tasks: &mut JoinSet<()>,
    plan: &Arc<Plan>,
    tools: &Arc<Tools>,
    poll_ms: u64,
    to: &ObservationSender,
) {
    for side in Side::BOTH {
        tasks.spawn(poll_plane(Arc::clone(plan), Arc::clone(tools), side, poll_ms, to.clone()));
    }
}

async fn poll_plane(plan: Arc<Plan>, tools: Arc<Tools>, side: Side, poll_ms: u64, to: ObservationSender) {
    let mut pace = Pace::every(poll_ms);
    loop {
        let (at, watch) = (Clock.now(), Clock.stopwatch());
        let result = planes::try_data_plane(&plan, &tools, side).await.map(drop);
        match &result {
            Ok(()) => tracing::info!(%side, ms = watch.elapsed_ms(), "the data plane answers"),
            Err(why) => {
                tracing::warn!(%side, ms = watch.elapsed_ms(), why = %why.what, "the data plane does not answer")
            }
        }
        let worked = result.is_ok();
        if to.send(TimedObservation { at, what: Observation::Plane(side, result) }).await.is_err() || worked {
            return;
        }
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), false)).await;
    }
}

async fn poll_cluster(tools: Arc<Tools>, side: Side, poll_ms: u64, to: ObservationSender) {
    let mut pace = Pace::every(poll_ms);
    let cluster = tools.cluster(side);
    loop {
        // Made anew each round: which names green has for patterns is learnt from what blue shows.
        let options = SnapshotOptions { named: tools.named_on(side), ..SnapshotOptions::default() };
        let (at, watch) = (Clock.now(), Clock.stopwatch());
        let result = match tokio::time::timeout(ROUND, cluster.snapshot(&options)).await {
            Ok(result) => result.map(|view| ClusterView { took_ms: watch.elapsed_ms(), ..view }),
            Err(_) => Err(too_long(cluster, "looking at the whole cluster", ROUND)),
        };
        if let Err(why) = &result {
            tracing::warn!(side = %cluster.side(), ms = watch.elapsed_ms(), why = %why.what, "no look at the cluster");
        }
        let worked = result.is_ok();
        if to.send(TimedObservation { at, what: Observation::Cluster(cluster.side(), result) }).await.is_err() {
            return;
        }
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), worked)).await;
    }
}

async fn poll_groups(cluster: Cluster, focus_ms: u64, mut focus: watch::Receiver<GroupFocus>, to: ObservationSender) {
    let side = cluster.side();
    let mut pace = Pace::every(focus_ms);
    let mut last: Option<String> = None;
    loop {
        let groups: Vec<String> = {
            let wanted = focus.borrow_and_update();
            let of_side: Vec<&String> = wanted.iter().filter(|(s, _)| *s == side).map(|(_, g)| g).collect();
            choose_next(&of_side, last.as_deref())
        };
        last = groups.last().cloned().or(last);
        if groups.is_empty() {
            if focus.changed().await.is_err() {
                return;
            }
            continue;
        }
        let (at, watch) = (Clock.now(), Clock.stopwatch());
        let seen = join_all(groups.iter().map(|g| look_at_group(&cluster, g))).await;
        // One line for all of them: of a broker that is away each group fails alike.
        if let Some(why) = seen.iter().find_map(|one| one.as_ref().err()) {
            let failed = seen.iter().filter(|one| one.is_err()).count();
            tracing::info!(%side, failed, of = seen.len(), why = %why.what, "no look at a group");
        }
        // One that answers shows that the cluster does: a single bad group must not slow down the looks at the others.
        let worked = seen.iter().any(Result::is_ok);
        for (group, result) in groups.into_iter().zip(seen) {
            if to.send(TimedObservation { at, what: Observation::Group(side, group, result) }).await.is_err() {
                return;
            }
        }
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), worked)).await;
    }
}

/// The groups of the next focused round: those behind the last one that was looked at, and then from the first on, so that
/// each has its turn however many there are. `wanted` is in order.
fn choose_next(wanted: &[&String], last: Option<&str>) -> Vec<String> {
    let first = wanted.partition_point(|group| last.is_some_and(|last| group.as_str() <= last));
    let (before, behind) = wanted.split_at(first);
    behind.iter().chain(before).take(FOCUS_AT_ONCE).map(|group| (*group).clone()).collect()
}

async fn look_at_group(cluster: &Cluster, group: &str) -> Result<GroupView, Trouble> {
    match tokio::time::timeout(LOOK, cluster.fetch_group(group)).await {
        Ok(result) => result,
        Err(_) => Err(too_long(cluster, &format!("looking at group {group}", group = visible_name(group)), LOOK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_focused_group_has_its_turn() {
        let all: Vec<String> = (0..150).map(|n| format!("g{n:03}")).collect();
        let wanted: Vec<&String> = all.iter().collect();
        let (mut last, mut seen) = (None, BTreeSet::new());
        for _ in 0..3 {
            let round = choose_next(&wanted, last.as_deref());
            assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), FOCUS_AT_ONCE, "none twice");
            last = round.last().cloned();
            seen.extend(round);
        }
        assert_eq!(seen.len(), 150);
        let few: Vec<&String> = all.iter().take(3).collect();
        assert_eq!(choose_next(&few, Some("g001")), ["g002", "g000", "g001"], "all of them, each round");
        assert_eq!(choose_next(&few, Some("zzz")).len(), 3);
        assert_eq!(choose_next(&[], Some("zzz")), Vec::<String>::new());
    }
}

//! The pollers: one a cluster for the whole picture, one a cluster for the groups that a run waits for, one a switch
//! or flag. Each on its own schedule, so that a dead cluster never holds up the picture of the other one.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::kafka::control::{Cluster, SnapshotOptions, Which};
use crate::migration::soak::criteria::Metric;
use crate::plan::Plan;
use crate::session::clock::{Clock, Stopwatch};
use crate::session::pace::Pace;
use crate::session::planes;
use crate::session::tools::{Tools, too_long};

/// The longest a whole round may take: the control plane's own bounds are far shorter on each request.
const ROUND: Duration = Duration::from_secs(60);
/// The longest a focused look may take: what a run waits for must not wait behind one dead broker for long.
const LOOK: Duration = Duration::from_secs(10);
/// Groups looked at in one focused round; more wait for the next.
const FOCUS_AT_ONCE: usize = 64;
/// How often the configuration of topics is asked for, ms: it changes rarely, and costs far more than offsets; and how
/// often while some of it did not come.
const CONFIG_MS: u64 = 30_000;
const CONFIG_AGAIN_MS: u64 = 5_000;

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
                // The way back of an exactly-once producer rests on how long green keeps what is written there.
                let topics = eos.iter().flat_map(|p| p.topics.iter().cloned()).filter(|_| side == Side::Green);
                let configs = TopicConfigs::of_topics(topics.collect());
                tasks.spawn(poll_cluster(Arc::clone(tools), side, poll_ms, configs, to.clone()));
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

/// Configuration of some topics: asked for in some rounds, and carried through those in between.
#[derive(Default)]
struct TopicConfigs {
    /// Whose, by blue's names.
    wanted: BTreeSet<String>,
    /// When it was asked for last, and whether all of it came.
    asked: Option<(Stopwatch, bool)>,
    /// What came, by the cluster's own names, with the topic's id: one that is made again is another topic.
    known: BTreeMap<String, (Option<String>, BTreeMap<String, String>)>,
}

impl TopicConfigs {
    fn of_topics(wanted: BTreeSet<String>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// What the next round asks for. `name_of`: a topic's name on the cluster.
    fn due(&self, name_of: impl Fn(&str) -> String) -> Which {
        let due = self
            .asked
            .is_none_or(|(watch, whole)| watch.elapsed_ms() >= if whole { CONFIG_MS } else { CONFIG_AGAIN_MS });
        match due && !self.wanted.is_empty() {
            true => Which::only(self.wanted.iter().map(|t| name_of(t))),
            false => Which::None,
        }
    }

    /// Takes in what a round was told, or puts into it what the last one that asked was told.
    fn carry(&mut self, asked: &Which, began: Stopwatch, view: &mut ClusterView) {
        if let Which::Only(names) = asked {
            let told = names.iter().filter_map(|name| {
                let topic = view.topics.get(name).filter(|t| !t.config.is_empty())?;
                Some((name.clone(), (topic.id.clone(), topic.config.clone())))
            });
            // What did not come this time is not known any more.
            self.known = told.collect();
            self.asked = Some((began, self.known.len() == names.len()));
            return;
        }
        for (name, (id, config)) in &self.known {
            if let Some(topic) = view.topics.get_mut(name).filter(|t| t.id == *id) {
                topic.config.clone_from(config);
            }
        }
    }
}

async fn poll_cluster(tools: Arc<Tools>, side: Side, poll_ms: u64, mut configs: TopicConfigs, to: ObservationSender) {
    let mut pace = Pace::every(poll_ms);
    let cluster = tools.cluster(side);
    loop {
        // Made anew each round: which names green has for patterns is learnt from what blue shows.
        let asked = configs.due(|topic| tools.names.topic_on(side, topic));
        let options = SnapshotOptions { named: tools.named_on(side), configs: asked, ..SnapshotOptions::default() };
        let (at, watch) = (Clock.now(), Clock.stopwatch());
        let mut result = match tokio::time::timeout(ROUND, cluster.snapshot(&options)).await {
            Ok(result) => result.map(|view| ClusterView { took_ms: watch.elapsed_ms(), ..view }),
            Err(_) => Err(too_long(cluster, "looking at the whole cluster", ROUND)),
        };
        if let Ok(view) = &mut result {
            configs.carry(&options.configs, watch, view);
        }
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
    use crate::session::names::TopicNames;
    use crate::sim::{SimCluster, SimConfig};

    #[tokio::test(flavor = "multi_thread")]
    async fn every_round_has_how_long_the_topics_of_exactly_once_producers_are_kept() {
        let start = |side| SimCluster::start(SimConfig::new(side)).unwrap();
        let (blue, green) = (start(Side::Blue), start(Side::Green));
        green.with_state(|s| s.create_topic("postings", 2, 3, &[("retention.ms", "3600000")], false)).unwrap();
        green.with_state(|s| s.create_topic("other", 1, 3, &[], false)).unwrap();
        let plan = Plan::from_bootstraps(&blue.bootstrap(), &green.bootstrap()).unwrap().plan;
        let tools = Arc::new(Tools::new(&plan, Arc::new(TopicNames::new(&plan))));
        let (to, mut seen) = mpsc::channel(8);
        let configs = TopicConfigs::of_topics(["postings".to_owned()].into());
        let poller = tokio::spawn(poll_cluster(tools, Side::Green, 20, configs, to));
        for round in 0..3 {
            let Some(TimedObservation { what: Observation::Cluster(_, Ok(view)), .. }) = seen.recv().await else {
                panic!("no look at green in round {round}")
            };
            assert_eq!(view.topics["postings"].config["retention.ms"], "3600000", "round {round}");
            assert!(view.topics["other"].config.is_empty(), "nobody asked for it");
        }
        poller.abort();
    }

    #[test]
    fn a_configuration_is_carried_only_to_the_same_topic_and_never_past_a_look_that_had_none() {
        use crate::estate::TopicView;
        let view = |id: &str, kept: Option<&str>| {
            let config = kept.map(|ms| ("retention.ms".to_owned(), ms.to_owned())).into_iter().collect();
            let topic = TopicView { id: Some(id.to_owned()), config, ..TopicView::default() };
            ClusterView { topics: [("g-t".to_owned(), topic)].into(), ..ClusterView::default() }
        };
        let mut configs = TopicConfigs::of_topics(["t".to_owned()].into());
        let asked = configs.due(|t| format!("g-{t}"));
        assert_eq!(asked, Which::only(["g-t"]));
        configs.carry(&asked, Clock.stopwatch(), &mut view("1", Some("5")));
        assert_eq!(configs.due(|t| format!("g-{t}")), Which::None, "not in every round");
        let carried = |configs: &mut TopicConfigs, id: &str| {
            let mut round = view(id, None);
            configs.carry(&Which::None, Clock.stopwatch(), &mut round);
            round.topics["g-t"].config.get("retention.ms").cloned()
        };
        assert_eq!(carried(&mut configs, "1").as_deref(), Some("5"));
        assert_eq!(carried(&mut configs, "2"), None, "it was made again");
        configs.carry(&asked, Clock.stopwatch(), &mut view("1", None));
        assert_eq!(carried(&mut configs, "1"), None, "it was refused since");
        assert_eq!(TopicConfigs::default().due(str::to_owned), Which::None, "no exactly-once producer");
    }

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

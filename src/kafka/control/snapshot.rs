//! One picture of a whole cluster: topics with their offsets, groups with what they committed.
//!
//! Everything that does not depend on something else is asked at the same time: log offsets of each leader, and on
//! each broker its groups, then their offsets and members. A part that fails says so in its place.

mod broker_groups;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use broker_groups::{Coordinated, OffsetsAsked};

use super::failure::{Class, Failure, check_code};
use super::group_requests::Fetched;
use super::offsets::{FoundOffset, OffsetSpec, list_offsets};
use super::router::{Cluster, KeyType, Router};
use crate::base::sanitise::visible_name;
use crate::base::{Side, TopicPartition, Trouble, lock_unpoisoned};
use crate::estate::partial::Shown;
use crate::estate::{BrokerView, ClusterView, GroupView, PartitionView, TopicView};

/// How often a part is asked in all while leaders or coordinators move. Few: the next picture comes soon.
const SNAPSHOT_ATTEMPTS: u32 = 3;
/// Where brokers keep groups and what they committed.
const GROUPS_TOPIC: &str = "__consumer_offsets";

/// Which topics or groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Which {
    /// All there are.
    #[default]
    All,
    /// None.
    None,
    /// These, by name.
    Only(BTreeSet<String>),
}

impl Which {
    /// These, by name.
    pub fn only<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Which::Only(names.into_iter().map(Into::into).collect())
    }

    /// Whether `name` is one of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Which::All => true,
            Which::None => false,
            Which::Only(names) => names.contains(name),
        }
    }
}

/// What a snapshot looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Topics whose partitions and offsets are wanted. Internal ones are always left out.
    pub topics: Which,
    /// Groups whose state and committed offsets are wanted.
    pub groups: Which,
    /// Groups whose members are wanted, among `groups`.
    pub members: Which,
    /// Topics whose configuration is wanted, among `topics`. Costs far more than offsets: ask rarely. One that can't be
    /// read is left empty; [`Cluster::describe_configs`] says why.
    pub configs: Which,
    /// Topics and (among `groups`) groups that must not go missing in silence: of those that no list shows it is found out,
    /// by name, whether they may not be seen ([`ClusterView::hidden_topics`]; a group with a trouble) or are not there.
    pub named: Named,
}

/// Names of topics and of groups, as the cluster knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Topics.
    pub topics: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
}

impl Default for SnapshotOptions {
    /// Everything but configuration.
    fn default() -> Self {
        let named = Named::default();
        Self { topics: Which::All, groups: Which::All, members: Which::All, configs: Which::None, named }
    }
}

/// What was found of logs: which offset, and of each partition.
type Logs = Vec<(OffsetSpec, Vec<(TopicPartition, Result<FoundOffset, Failure>)>)>;

impl Cluster {
    /// A picture of the cluster now. Errors only when no broker answers at all; what a part could not be told is in
    /// that part's `trouble`. `took_ms` is left 0: the caller has the clock.
    pub async fn snapshot(&self, options: &SnapshotOptions) -> Result<ClusterView, Trouble> {
        let view = self.inner.snapshot(options).await?;
        self.inner.check_one_cluster()?; // it may have been found out meanwhile
        Ok(view)
    }
}

impl Router {
    async fn snapshot(&self, options: &SnapshotOptions) -> Result<ClusterView, Failure> {
        let named: Vec<String>;
        let topics = match &options.topics {
            Which::All => None,
            Which::None => Some(&[][..]),
            Which::Only(names) => {
                named = names.iter().cloned().collect();
                Some(&named[..])
            }
        };
        // Before Metadata: what it is slowed down by belongs to this look, too.
        *lock_unpoisoned(&self.look_began) = self.throttling.mark();
        let metadata = self.refresh_metadata(topics).await?;
        let mut view = self.build_skeleton(&metadata);
        let nodes: Vec<i32> = view.brokers.keys().copied().collect();
        let wants_groups = options.groups != Which::None;
        let coordinated = async {
            match wants_groups {
                true => join_all(nodes.iter().map(|n| self.groups_on(*n, options))).await,
                false => Vec::new(),
            }
        };
        let wanted: Vec<String> = view.topics.keys().filter(|t| options.configs.has(t)).cloned().collect();
        let configs = self.fetch_configs(&wanted);
        let unseen: Vec<String> =
            options.named.topics.iter().filter(|t| !view.topics.contains_key(*t)).cloned().collect();
        // What is asked for by name alone is answered by name: lists are what may be filtered.
        let shown = async {
            match wants_groups || options.topics == Which::All {
                true => self.ask_shown().await,
                false => Shown::default(),
            }
        };
        let whole = options.topics == Which::All;
        let left_out = async { if whole { self.find_hidden_topics(&metadata).await } else { None } };
        let (logs, coordinated, configs, shown, hidden, left_out) = tokio::join!(
            self.list_log_offsets(&view),
            coordinated,
            configs,
            shown,
            self.hidden_topics(&unseen),
            left_out
        );

        (view.shown, view.hidden_topics, view.left_out) = (shown, hidden, left_out);
        let kept = wants_groups && judge_lists(&mut view, self.side(), &metadata, whole);
        self.place_logs(&mut view, logs);
        self.place_groups(&mut view, coordinated, options).await;
        if kept {
            let named = options.named.groups.iter().filter(|id| options.groups.has(id)).cloned().collect();
            self.place_named(&mut view, &named).await;
        }
        view.throttled = self.throttled();
        for (topic, config) in configs {
            let Some(topic) = view.topics.get_mut(&topic) else { continue };
            match config {
                Ok(entries) => {
                    let pair = |(name, value): (String, super::ConfigValue)| Some((name, value.value?));
                    topic.config = entries.into_iter().filter_map(pair).collect();
                }
                Err(failure) => tracing::trace!(why = %failure.trouble.what, "a topic without its configuration"),
            }
        }
        Ok(view)
    }

    fn build_skeleton(&self, metadata: &MetadataResponse) -> ClusterView {
        let broker = |b: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
            let view = BrokerView {
                host: visible_name(&b.host),
                port: u16::try_from(b.port).unwrap_or(0),
                rack: b.rack.as_ref().map(|r| visible_name(r)),
                answered: None,
            };
            (b.node_id.0, view)
        };
        let topic = |t: &MetadataResponseTopic| {
            let name = t.name.as_ref().filter(|_| !t.is_internal)?.to_string();
            let view = self.topic_view_of(&name, t);
            Some((name, view))
        };
        ClusterView {
            // as it is: it is held against pins
            cluster_id: metadata.cluster_id.as_ref().map(ToString::to_string),
            controller: metadata.controller_id.0,
            brokers: metadata.brokers.iter().map(broker).collect(),
            topics: metadata.topics.iter().filter_map(topic).collect(),
            ..ClusterView::default()
        }
    }

    fn topic_view_of(&self, name: &str, topic: &MetadataResponseTopic) -> TopicView {
        let side = self.side();
        let error =
            check_code(topic.error_code, format_args!("topic {name}", name = visible_name(name)), &format!("{side}"));
        // Nil from brokers that have no topic ids (before KIP-516, Kafka 2.8): none, and not all the same.
        let id = Some(topic.topic_id).filter(|id| !id.is_nil()).map(|id| id.to_string());
        let mut view = TopicView { id, ..TopicView::default() };
        if let Err(failure) = error {
            // Named, and not there (or not to be seen): one place to say so.
            view.partitions.push(PartitionView {
                leader: -1,
                trouble: Some(failure.into()),
                ..PartitionView::default()
            });
            return view;
        }
        let mut sorted: Vec<_> = topic.partitions.iter().collect();
        sorted.sort_unstable_by_key(|p| p.partition_index);
        for p in sorted {
            let index = view.partitions.len();
            if usize::try_from(p.partition_index) != Ok(index) {
                break; // a hole: what comes after it can't be trusted either
            }
            let mut partition = PartitionView {
                leader: p.leader_id.0,
                replicas: u16::try_from(p.replica_nodes.len()).unwrap_or(u16::MAX),
                isr: u16::try_from(p.isr_nodes.len()).unwrap_or(u16::MAX),
                ..PartitionView::default()
            };
            if p.leader_id.0 < 0 {
                let tp = TopicPartition::new(name, p.partition_index);
                partition.trouble = Some(self.no_leader(&tp, Some(-1)).into());
            }
            view.partitions.push(partition);
        }
        view
    }

    /// The three offsets of every partition that has a leader.
    async fn list_log_offsets(&self, view: &ClusterView) -> Logs {
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (name, topic) in &view.topics {
            for (index, partition) in topic.partitions.iter().enumerate().filter(|(_, p)| p.leader >= 0) {
                let tp = TopicPartition::new(name.as_str(), i32::try_from(index).unwrap_or(i32::MAX));
                by_leader.entry(partition.leader).or_default().push(tp);
            }
        }
        // A broker answers one connection in order. The high watermark goes first: a last stable offset that is asked for
        // later and lies below it shows an open transaction, and not a record that was written in between.
        let specs = [OffsetSpec::Earliest, OffsetSpec::Latest, OffsetSpec::LatestStable];
        let asked = by_leader.iter().map(|(node, partitions)| async move {
            match self.connect_node(*node).await {
                Ok(connection) => {
                    let connection = &connection;
                    join_all(specs.map(|s| async move { (s, list_offsets(connection, s, partitions).await) })).await
                }
                Err(f) => {
                    let failed = |tp: &TopicPartition| (tp.clone(), Err(f.clone()));
                    specs.iter().map(|s| (*s, partitions.iter().map(failed).collect())).collect()
                }
            }
        });
        let mut found: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        // What moved in between is asked again, by the way that follows leaders.
        let mut again: HashMap<OffsetSpec, Vec<TopicPartition>> = HashMap::new();
        for (spec, answers) in &mut found {
            // Not of a broker that is away: that would take its whole time limit once more.
            let moved = |r: &Result<FoundOffset, Failure>| r.as_ref().is_err_and(|f| f.class == Class::Retry);
            answers.retain(|(tp, r)| {
                if moved(r) {
                    again.entry(*spec).or_default().push(tp.clone());
                }
                !moved(r)
            });
        }
        for (spec, partitions) in again {
            tracing::debug!(side = %self.side(), ?spec, partitions = partitions.len(), "leaders moved during a look");
            let asks: Vec<_> = partitions.into_iter().map(|tp| (tp, spec)).collect();
            found.push((spec, self.look_up_offsets(&asks, SNAPSHOT_ATTEMPTS).await.into_iter().collect()));
        }
        found
    }

    fn place_logs(&self, view: &mut ClusterView, logs: Logs) {
        for (spec, answers) in logs {
            for (tp, answer) in answers {
                let topic = view.topics.get_mut(&tp.topic);
                let index = usize::try_from(tp.partition).unwrap_or(usize::MAX);
                let Some(partition) = topic.and_then(|t| t.partitions.get_mut(index)) else { continue };
                let broker = view.brokers.get_mut(&partition.leader);
                match answer {
                    Ok(found) => {
                        let offset = found.map(|(offset, _)| offset);
                        match spec {
                            OffsetSpec::Earliest => partition.log_start = offset,
                            OffsetSpec::LatestStable => partition.lso = offset,
                            _ => partition.high_watermark = offset,
                        }
                        if let Some(broker) = broker {
                            // An answer does not undo that another one did not come.
                            broker.answered.get_or_insert(Ok(()));
                        }
                    }
                    Err(failure) => {
                        if let Some(broker) =
                            broker.filter(|_| matches!(failure.class, Class::Unreachable | Class::Lost))
                        {
                            broker.answered = Some(Err(Trouble::clone(&failure.trouble)));
                        }
                        // The first of up to three says it: they mostly have one cause.
                        partition.trouble.get_or_insert(failure.into());
                    }
                }
            }
        }
    }

    async fn place_groups(&self, view: &mut ClusterView, coordinated: Vec<Coordinated>, options: &SnapshotOptions) {
        let mut again = Vec::new();
        let (asked, mut silent) = (coordinated.len(), Vec::new());
        for Coordinated { node, groups } in coordinated {
            let broker = view.brokers.get_mut(&node);
            match groups {
                Ok(groups) => {
                    if let Some(broker) = broker {
                        broker.answered.get_or_insert(Ok(()));
                    }
                    for (id, group, asked) in groups {
                        if matches!(asked, OffsetsAsked::Again) {
                            again.push(id.clone());
                        }
                        view.groups.insert(id, group);
                    }
                }
                Err(failure) => {
                    tracing::warn!(side = %self.side(), node, why = %failure.trouble.what, "its groups are not known");
                    // Its groups must not go missing without a word: the broker itself says why.
                    if let Some(broker) = broker {
                        broker.answered = Some(Err(Trouble::clone(&failure.trouble)));
                    }
                    silent.push(Trouble::clone(&failure.trouble));
                    for id in self.coordinated_by(node).into_iter().filter(|id| options.groups.has(id)) {
                        // It may have moved to a broker that has listed it.
                        view.groups.entry(id).or_insert_with(|| GroupView {
                            coordinator: node,
                            trouble: Some(Trouble::clone(&failure.trouble)),
                            ..GroupView::default()
                        });
                    }
                }
            }
        }
        if let Some(first) = silent.first() {
            let what = format!("the groups of {} of {asked} brokers are not known: {}", silent.len(), first.what);
            view.unlisted = Some(Trouble::new(what, first.advice.clone()));
        }
        if !again.is_empty() {
            again.iter().for_each(|id| self.forget_coordinator(KeyType::Group, id));
            for (id, answer) in self.offsets_of(&again, SNAPSHOT_ATTEMPTS).await {
                if let Some(group) = view.groups.get_mut(&id) {
                    place_offsets(group, answer);
                }
            }
        }
    }
}

/// Judges what lists of groups leave out, by the topic that keeps groups; `whole`: Metadata was asked for all topics.
/// Returns whether there can be a group that no list shows: if not, nobody needs to be asked by name, which would make a
/// cluster that never had a group create that topic.
fn judge_lists(view: &mut ClusterView, side: Side, metadata: &MetadataResponse, whole: bool) -> bool {
    let is_it = |t: &&MetadataResponseTopic| t.name.as_ref().is_some_and(|n| n.as_str() == GROUPS_TOPIC);
    match metadata.topics.iter().find(is_it) {
        Some(kept) => view.unlisted = offline_groups(side, kept),
        None if whole && view.topics_hidden().is_none() => return false,
        // Whether its partitions have leaders can't be seen. Who may not list all groups anyway is told that instead.
        None if whole && view.groups_forbidden(side).is_none() => {
            view.shown = Shown::Unknown(Trouble::new(
                format!(
                    "this principal is not shown {GROUPS_TOPIC}, and a group whose partition there has no leader is in no \
                     list"
                ),
                format!("grant it DESCRIBE on the topic {GROUPS_TOPIC}"),
            ));
        }
        None => {}
    }
    true
}

/// Groups whose coordinator is nobody now, because the partition that keeps them has no leader: no broker lists them.
fn offline_groups(side: Side, kept: &MetadataResponseTopic) -> Option<Trouble> {
    let (offline, all) = (kept.partitions.iter().filter(|p| p.leader_id.0 < 0).count(), kept.partitions.len());
    (offline > 0).then(|| {
        let what = format!(
            "{offline} of {all} partitions of {GROUPS_TOPIC} on {side} have no leader: the groups that they keep are not known"
        );
        Trouble::new(what, "get the brokers that hold them back")
    })
}

fn place_offsets(view: &mut GroupView, answer: Result<Fetched, Failure>) {
    match answer {
        Ok(fetched) => {
            (view.offsets, view.metadata) = (fetched.offsets, fetched.metadata);
            view.trouble = view.trouble.take().or(fetched.trouble);
        }
        // In front of other trouble: without offsets nothing can be said of its lag.
        Err(failure) => view.trouble = Some(failure.into()),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::estate::acl::Operation;
    use crate::estate::partial::Operations;

    /// A topic whose partitions have these leaders.
    fn topic(name: &'static str, leaders: &[i32]) -> MetadataResponseTopic {
        let partition = |leader: &i32| MetadataResponsePartition::default().with_leader_id(BrokerId(*leader));
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(name))))
            .with_partitions(leaders.iter().map(partition).collect())
    }

    /// What is judged of a list: whether planned groups have to be asked for by name, and why the list is not whole.
    fn judged(topics: Vec<MetadataResponseTopic>, may: &[Operation], proven: bool) -> (bool, Option<String>) {
        let bits = may.iter().fold(0, |bits, operation| bits | (1 << *operation as i8));
        let left_out = (!proven).then(|| Trouble::new("some topics may be hidden", ""));
        let mut view = ClusterView { shown: Shown::Operations(Operations(bits)), left_out, ..ClusterView::default() };
        let metadata = MetadataResponse::default().with_topics(topics);
        let kept = judge_lists(&mut view, Side::Blue, &metadata, true);
        (kept, view.groups_hidden(Side::Blue).map(|why| why.what))
    }

    #[test]
    fn a_list_of_groups_is_whole_only_for_who_sees_where_they_are_kept() {
        use Operation::Describe;
        let groups = |leaders: &[i32]| vec![topic(GROUPS_TOPIC, leaders), topic("loans", &[1])];
        assert_eq!(judged(groups(&[1, 2]), &[Describe], true), (true, None));
        let (kept, why) = judged(groups(&[1, -1]), &[Describe], true);
        assert!(
            kept && why.is_some_and(|w| w.contains("1 of 2 partitions of __consumer_offsets on blue have no leader"))
        );
        // who may DESCRIBE the cluster is shown every group that some broker coordinates, and not that one is nobody's
        let (kept, why) = judged(vec![topic("loans", &[1])], &[Describe], false);
        assert!(kept && why.is_some_and(|w| w.contains("not shown __consumer_offsets")), "its groups are out of sight");
        let (kept, why) = judged(vec![topic("loans", &[1])], &[], false);
        assert!(kept && why.is_some_and(|w| w.contains("DESCRIBE on Cluster missing")));
        // a cluster that never had a group, as somebody sees it to whom all topics are shown
        assert_eq!(judged(vec![topic("loans", &[1])], &[Describe], true), (false, None));
    }
}

//! One picture of a whole cluster: topics with their offsets, groups with what they committed.
//!
//! Everything that does not depend on something else is asked at the same time: log offsets of each leader, and on
//! each broker its groups, then their offsets and members. A part that fails says so in its place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::failure::{Class, Failure, check};
use super::group_requests::{Fetched, Listed, describe_classic, describe_consumer, fetch_offsets, list_groups};
use super::guard::has_stray;
use super::offsets::{Found, OffsetSpec, list_offsets};
use super::router::{Cluster, Inner, KeyType, pause};
use crate::migration::estate::{
    BrokerView, ClusterView, GroupKind, GroupState, GroupView, PartitionView, TopicPartition, TopicView, Trouble,
};
use crate::sanitise::visible_name;

/// How often a part is asked in all while leaders or coordinators move. Few: the next picture comes soon.
const SNAPSHOT_ATTEMPTS: u32 = 3;

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
    /// Groups whose state and committed offsets are wanted. One that is named and not there comes back as `Dead`.
    pub groups: Which,
    /// Groups whose members are wanted, among `groups`.
    pub members: Which,
    /// Topics whose configuration is wanted, among `topics`. Costs far more than offsets: ask rarely. One that can't be
    /// read is left empty; [`Cluster::describe_configs`] says why.
    pub configs: Which,
}

impl Default for SnapshotOptions {
    /// Everything but configuration.
    fn default() -> Self {
        Self { topics: Which::All, groups: Which::All, members: Which::All, configs: Which::None }
    }
}

/// What was found of logs: which offset, and of each partition.
type Logs = Vec<(OffsetSpec, Vec<(TopicPartition, Result<Found, Failure>)>)>;

/// What one broker said of the groups it coordinates.
struct Coordinated {
    node: i32,
    groups: Result<Vec<(String, GroupView, Asked)>, Failure>,
}

/// Whether a group's offsets came.
enum Asked {
    Answered,
    /// The coordinator moved: ask again.
    Again,
}

impl Cluster {
    /// A picture of the cluster now. Errors only when no broker answers at all; what a part could not be told is in
    /// that part's `trouble`. `took_ms` is left 0: the caller has the clock.
    pub async fn snapshot(&self, options: &SnapshotOptions) -> Result<ClusterView, Trouble> {
        Ok(self.inner.snapshot(options).await?)
    }
}

impl Inner {
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
        let metadata = self.refresh(topics).await?;
        let mut view = self.skeleton(&metadata);
        let nodes: Vec<i32> = view.brokers.keys().copied().collect();
        let wants_groups = options.groups != Which::None;
        let coordinated = async {
            match wants_groups {
                true => join_all(nodes.iter().map(|n| self.groups_on(*n, options))).await,
                false => Vec::new(),
            }
        };
        let wanted: Vec<String> = view.topics.keys().filter(|t| options.configs.has(t)).cloned().collect();
        let configs = self.configs(&wanted);
        let (logs, coordinated, configs) = tokio::join!(self.logs(&view), coordinated, configs);

        self.place_logs(&mut view, logs);
        self.place_groups(&mut view, coordinated, options).await;
        for (topic, config) in configs {
            let Some(topic) = view.topics.get_mut(&topic) else { continue };
            if let Ok(entries) = config {
                let pair = |(name, value): (String, super::ConfigValue)| Some((name, value.value?));
                topic.config = entries.into_iter().filter_map(pair).collect();
            }
        }
        Ok(view)
    }

    fn skeleton(&self, metadata: &MetadataResponse) -> ClusterView {
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
            let view = self.topic(&name, t);
            Some((name, view))
        };
        ClusterView {
            cluster_id: metadata.cluster_id.as_ref().map(|id| visible_name(id)),
            controller: metadata.controller_id.0,
            brokers: metadata.brokers.iter().map(broker).collect(),
            topics: metadata.topics.iter().filter_map(topic).collect(),
            groups: BTreeMap::new(),
            took_ms: 0,
        }
    }

    fn topic(&self, name: &str, topic: &MetadataResponseTopic) -> TopicView {
        let side = self.side();
        let error = check(topic.error_code, format_args!("topic {name}"), &format!("{side}"));
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
    async fn logs(&self, view: &ClusterView) -> Logs {
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (name, topic) in &view.topics {
            for (index, partition) in topic.partitions.iter().enumerate().filter(|(_, p)| p.leader >= 0) {
                let tp = TopicPartition::new(name.as_str(), i32::try_from(index).unwrap_or(i32::MAX));
                by_leader.entry(partition.leader).or_default().push(tp);
            }
        }
        let specs = [OffsetSpec::Earliest, OffsetSpec::LatestStable, OffsetSpec::Latest];
        let asked = by_leader.iter().map(|(node, partitions)| async move {
            match self.node(*node).await {
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
            let moved = |r: &Result<Found, Failure>| r.as_ref().is_err_and(|f| f.class == Class::Retry);
            answers.retain(|(tp, r)| {
                if moved(r) {
                    again.entry(*spec).or_default().push(tp.clone());
                }
                !moved(r)
            });
        }
        for (spec, partitions) in again {
            let asks: Vec<_> = partitions.into_iter().map(|tp| (tp, spec)).collect();
            found.push((spec, self.offsets(&asks, SNAPSHOT_ATTEMPTS).await.into_iter().collect()));
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
                            broker.answered.get_or_insert(Ok(()));
                        }
                    }
                    Err(failure) => {
                        if let Some(broker) =
                            broker.filter(|_| matches!(failure.class, Class::Unreachable | Class::Lost))
                        {
                            broker.answered = Some(Err(Trouble::clone(&failure.trouble)));
                        }
                        partition.trouble.get_or_insert(failure.into());
                    }
                }
            }
        }
    }

    /// The groups that one broker coordinates, with offsets and members as far as wanted.
    async fn groups_on(&self, node: i32, options: &SnapshotOptions) -> Coordinated {
        Coordinated { node, groups: self.try_groups_on(node, options).await }
    }

    async fn try_groups_on(
        &self,
        node: i32,
        options: &SnapshotOptions,
    ) -> Result<Vec<(String, GroupView, Asked)>, Failure> {
        let connection = self.node(node).await?;
        let mut attempt = 0;
        let listed = loop {
            match list_groups(&connection, &[]).await {
                Err(f) if f.class == Class::Retry && attempt + 1 < SNAPSHOT_ATTEMPTS => {
                    pause(attempt).await;
                    attempt += 1;
                }
                other => break other?,
            }
        };
        let listed: Vec<Listed> = listed.into_iter().filter(|l| options.groups.has(&l.id)).collect();
        let ids = |wanted: &dyn Fn(&Listed) -> bool| {
            listed.iter().filter(|l| wanted(l) && !has_stray(&l.id)).map(|l| l.id.clone()).collect::<Vec<_>>()
        };
        let with_offsets = ids(&|l| l.kind != GroupKind::Share);
        // Who is listed as Empty or Dead has no members: no need to ask.
        let peopled = |l: &Listed| {
            !matches!(l.state, Some(GroupState::Empty | GroupState::Dead))
                && (l.state.is_none() || options.members.has(&l.id))
        };
        let classic = ids(&|l| matches!(l.kind, GroupKind::Classic | GroupKind::Other) && peopled(l));
        let modern = ids(&|l| l.kind == GroupKind::Consumer && peopled(l));
        let (offsets, classic, modern) = tokio::join!(
            fetch_offsets(&connection, &with_offsets, false),
            async {
                if classic.is_empty() { Ok(HashMap::new()) } else { describe_classic(&connection, &classic).await }
            },
            async {
                if modern.is_empty() { Ok(HashMap::new()) } else { describe_consumer(&connection, &modern).await }
            },
        );
        let (mut offsets, mut described) = (offsets?, classic?);
        described.extend(modern?);

        let mut out = Vec::with_capacity(listed.len());
        for l in listed {
            self.learn(KeyType::Group, &l.id, node);
            let mut view = GroupView {
                kind: l.kind,
                state: l.state.unwrap_or_default(),
                protocol_type: if l.kind == GroupKind::Consumer { String::new() } else { l.protocol_type },
                coordinator: node,
                ..GroupView::default()
            };
            if has_stray(&l.id) {
                view.trouble = Some(Trouble::new(
                    "its id is not UTF-8 and can't be sent back: neither its members nor its offsets are known",
                    "give the client a group.id in UTF-8",
                ));
            }
            match described.remove(&l.id) {
                Some(Ok(described)) => view.apply(described),
                Some(Err(failure)) => view.trouble = Some(failure.into()),
                None => {}
            }
            let asked = match offsets.remove(&l.id) {
                Some(Err(f)) if f.class == Class::Retry => Asked::Again,
                Some(answer) => {
                    place_offsets(&mut view, answer);
                    Asked::Answered
                }
                None => Asked::Answered,
            };
            out.push((l.id, view, asked));
        }
        Ok(out)
    }

    async fn place_groups(&self, view: &mut ClusterView, coordinated: Vec<Coordinated>, options: &SnapshotOptions) {
        let mut again = Vec::new();
        for Coordinated { node, groups } in coordinated {
            let broker = view.brokers.get_mut(&node);
            match groups {
                Ok(groups) => {
                    if let Some(broker) = broker {
                        broker.answered.get_or_insert(Ok(()));
                    }
                    for (id, group, asked) in groups {
                        if matches!(asked, Asked::Again) {
                            again.push(id.clone());
                        }
                        view.groups.insert(id, group);
                    }
                }
                Err(failure) => {
                    // Its groups must not go missing without a word: the broker itself says why.
                    if let Some(broker) = broker {
                        broker.answered = Some(Err(Trouble::clone(&failure.trouble)));
                    }
                    for id in self.coordinated_by(node).into_iter().filter(|id| options.groups.has(id)) {
                        view.groups.entry(id).or_insert_with(|| GroupView {
                            coordinator: node,
                            trouble: Some(Trouble::clone(&failure.trouble)),
                            ..GroupView::default()
                        });
                    }
                }
            }
        }
        if !again.is_empty() {
            again.iter().for_each(|id| self.forget(KeyType::Group, id));
            for (id, answer) in self.offsets_of(&again, SNAPSHOT_ATTEMPTS).await {
                if let Some(group) = view.groups.get_mut(&id) {
                    place_offsets(group, answer);
                }
            }
        }
        if let Which::Only(names) = &options.groups {
            self.place_missing(view, names).await;
        }
    }

    /// Groups that were named and that no broker listed: asked for one by one, to tell "Dead" from "could not ask".
    async fn place_missing(&self, view: &mut ClusterView, names: &BTreeSet<String>) {
        let missing: Vec<&String> = names.iter().filter(|n| !view.groups.contains_key(*n)).collect();
        let all_listed = view.brokers.values().all(|b| matches!(b.answered, Some(Ok(()))));
        if all_listed {
            let dead = || GroupView { state: GroupState::Dead, coordinator: -1, ..GroupView::default() };
            view.groups.extend(missing.into_iter().map(|n| (n.clone(), dead())));
            return;
        }
        let asked = join_all(missing.iter().map(|n| self.group(n, true))).await;
        for (name, answer) in missing.into_iter().cloned().zip(asked).collect::<Vec<_>>() {
            let group = answer.unwrap_or_else(|f| GroupView {
                coordinator: -1,
                trouble: Some(f.into()),
                ..GroupView::default()
            });
            view.groups.insert(name, group);
        }
    }
}

fn place_offsets(view: &mut GroupView, answer: Result<Fetched, Failure>) {
    match answer {
        Ok(fetched) => {
            view.offsets = fetched.offsets;
            view.trouble = view.trouble.take().or(fetched.trouble);
        }
        Err(failure) => view.trouble = Some(failure.into()),
    }
}

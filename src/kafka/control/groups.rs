//! Consumer groups: what they are, who is in them, what they committed; and the commits made on their behalf.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::{Buf, Bytes};
use futures_util::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::Assignment;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::{Class, Failure, check, check_message};
use super::guard;
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, Inner, KeyType, pause};
use crate::migration::estate::{Committed, GroupKind, GroupState, GroupView, MemberView, TopicPartition, Trouble};
use crate::sanitise::visible;

/// Groups in one DescribeGroups, ConsumerGroupDescribe or OffsetFetch (v8) request. Brokers answer the requests of one
/// connection one after the other: with pieces of this size we decode one answer while the broker works on the next.
pub(super) const GROUPS_PER_REQUEST: usize = 100;

/// Committed offsets by topic and partition, as in [`GroupView`].
pub(super) type Offsets = BTreeMap<String, BTreeMap<i32, Committed>>;

/// A group's committed offsets when only final ones are wanted (KIP-447).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StableOffsets {
    /// None is part of an open transaction.
    Stable(BTreeMap<String, BTreeMap<i32, Committed>>),
    /// These partitions have offsets in a transaction that is still open: ask again when it has ended.
    Pending(Vec<TopicPartition>),
    /// The broker can't be asked (before Kafka 2.5): offsets in open transactions are invisible.
    Unasked(BTreeMap<String, BTreeMap<i32, Committed>>, Trouble),
}

/// Something about each of several groups, unless the whole failed.
pub(super) type Answers<T> = Result<HashMap<String, Result<T, Failure>>, Failure>;

/// A group as its coordinator lists it.
pub(super) struct Listed {
    pub id: String,
    pub kind: GroupKind,
    /// `None` before ListGroups v4 (Kafka 2.6).
    pub state: Option<GroupState>,
    pub protocol_type: String,
}

/// What OffsetFetch says of one group.
#[derive(Default)]
pub(super) struct Fetched {
    pub offsets: Offsets,
    pub pending: Vec<TopicPartition>,
    /// The first partition's error, if any.
    pub trouble: Option<Trouble>,
}

/// What a describe request says of one group.
pub(super) struct Described {
    pub state: GroupState,
    pub protocol_type: String,
    pub members: Vec<MemberView>,
    /// A member's assignment that can't be read.
    pub trouble: Option<Trouble>,
}

impl Cluster {
    /// One group: kind, state, members and committed offsets. A group that nobody knows is `Dead`, without offsets.
    /// Errors: no coordinator within bounds, no permission.
    pub async fn group(&self, id: &str) -> Result<GroupView, Trouble> {
        Ok(self.inner.group(id, true).await?)
    }

    /// A group's committed offsets, none of which an open transaction could still change. `partitions` are those that
    /// matter besides the ones already committed: brokers say of a first commit that is pending only when asked for it
    /// by name.
    pub async fn stable_offsets(&self, id: &str, partitions: &[TopicPartition]) -> Result<StableOffsets, Trouble> {
        Ok(self.inner.stable_offsets(id, partitions).await?)
    }
}

fn unanswered(id: &str) -> Failure {
    Failure::new(Class::Retry, format!("group `{}`: no answer", visible(id)), "")
}

impl Inner {
    /// State, kind and members of a group from its coordinator, and its offsets if asked for, in one flight.
    pub async fn group(&self, id: &str, offsets: bool) -> Result<GroupView, Failure> {
        let ids = [id.to_owned()];
        let mut attempt = 0;
        loop {
            let coordinator = self.coordinators(KeyType::Group, &ids).await.remove(id);
            let asked = match coordinator.unwrap_or_else(|| Err(unanswered(id))) {
                Ok(node) => self.group_on(node, &ids, offsets).await,
                Err(failure) => return Err(failure),
            };
            let failure = match asked {
                Ok(view) => return Ok(view),
                Err(failure) => failure,
            };
            let most = if failure.class == Class::Retry { ATTEMPTS } else { CONNECT_ATTEMPTS };
            attempt += 1;
            if !failure.passing() || attempt >= most {
                return Err(failure);
            }
            self.forget(KeyType::Group, id);
            pause(attempt).await;
        }
    }

    async fn group_on(&self, node: i32, ids: &[String; 1], offsets: bool) -> Result<GroupView, Failure> {
        let connection = self.node(node).await?;
        let id = &ids[0];
        // The list alone tells share and streams groups apart (v5, KIP-848). Only those are asked for: as a rule, none.
        let typed = connection.version::<ListGroupsRequest>().is_some_and(|v| v >= 5);
        let consumer = connection.version::<ConsumerGroupDescribeRequest>().is_some();
        let (listed, classic, modern, fetched) = tokio::join!(
            maybe(typed, list_groups(&connection, &["share", "streams"])),
            describe_classic(&connection, ids),
            maybe(consumer, describe_consumer(&connection, ids)),
            maybe(offsets, fetch_offsets(&connection, ids, false)),
        );
        let listed = match listed {
            Some(list) => list?.into_iter().find(|l| l.id == *id),
            None => None,
        };
        let only = |answer: Option<Answers<Described>>| {
            answer.map(|a| a.and_then(|mut all| all.remove(id).unwrap_or_else(|| Err(unanswered(id)))))
        };
        let mut view = GroupView { coordinator: node, ..GroupView::default() };
        if let Some(listed) = listed {
            (view.kind, view.protocol_type) = (listed.kind, listed.protocol_type);
            view.state = listed.state.unwrap_or_default();
        }
        let described = match (view.kind, only(Some(classic)), only(modern)) {
            (GroupKind::Share | GroupKind::Streams, _, _) => None,
            // A KIP-848 group: the classic answer is "Dead" or "not found".
            (_, classic, Some(Ok(modern))) if absent(classic.as_ref()) => Some((GroupKind::Consumer, Ok(modern))),
            (kind, classic, _) => classic.map(|c| (kind, c)),
        };
        match described {
            Some((kind, Ok(described))) => {
                view.kind = kind;
                view.apply(described);
            }
            Some((_, Err(f))) if f.trouble.what.contains("GROUP_ID_NOT_FOUND") => view.state = GroupState::Dead,
            Some((_, Err(f))) => return Err(f),
            None => {}
        }
        if let Some(answer) = fetched {
            let fetched = answer?.remove(id).unwrap_or_else(|| Err(unanswered(id)));
            match fetched {
                Ok(fetched) => {
                    view.offsets = fetched.offsets;
                    view.trouble = view.trouble.take().or(fetched.trouble);
                }
                Err(f) if f.class == Class::Retry => return Err(f),
                Err(_) if matches!(view.kind, GroupKind::Share) || view.state == GroupState::Dead => {}
                Err(f) => view.trouble = Some(f.into()),
            }
        }
        Ok(view)
    }

    async fn stable_offsets(&self, id: &str, partitions: &[TopicPartition]) -> Result<StableOffsets, Failure> {
        let ids = [id.to_owned()];
        let mut attempt = 0;
        loop {
            let node =
                self.coordinators(KeyType::Group, &ids).await.remove(id).unwrap_or_else(|| Err(unanswered(id)))?;
            let failure = match self.stable_on(node, &ids, partitions).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            attempt += 1;
            if !failure.passing() || attempt >= if failure.class == Class::Retry { ATTEMPTS } else { CONNECT_ATTEMPTS }
            {
                return Err(failure);
            }
            self.forget(KeyType::Group, id);
            pause(attempt).await;
        }
    }

    async fn stable_on(
        &self,
        node: i32,
        ids: &[String; 1],
        partitions: &[TopicPartition],
    ) -> Result<StableOffsets, Failure> {
        let connection = self.node(node).await?;
        let id = &ids[0];
        let version = connection.need::<OffsetFetchRequest>("0.10.2 or later")?;
        let stable = version >= 7;
        let (all, named) = tokio::join!(
            fetch_offsets(&connection, ids, stable),
            maybe(!partitions.is_empty(), fetch_named(&connection, version, id, partitions, stable)),
        );
        let mut fetched = all?.remove(id).unwrap_or_else(|| Err(unanswered(id)))?;
        if let Some(named) = named {
            let named = named?;
            for (topic, offsets) in named.offsets {
                fetched.offsets.entry(topic).or_default().extend(offsets);
            }
            fetched.pending.extend(named.pending);
            fetched.trouble = fetched.trouble.or(named.trouble);
        }
        if let Some(trouble) = fetched.trouble {
            return Err(Failure::of(Class::Final, trouble));
        }
        fetched.pending.sort_unstable();
        fetched.pending.dedup();
        Ok(match stable {
            _ if !fetched.pending.is_empty() => StableOffsets::Pending(fetched.pending),
            true => StableOffsets::Stable(fetched.offsets),
            false => StableOffsets::Unasked(fetched.offsets, no_stable(connection.label())),
        })
    }

    /// Committed offsets of groups, wherever they are coordinated.
    pub async fn offsets_of(&self, ids: &[String], attempts: u32) -> HashMap<String, Result<Fetched, Failure>> {
        let mut pending = ids.to_vec();
        let mut done = HashMap::new();
        for attempt in 0..attempts {
            let mut again = Vec::new();
            for (id, result) in self.ask_coordinators(&pending).await {
                let retry = match &result {
                    Err(f) if f.class == Class::Retry => attempt + 1 < attempts,
                    Err(f) if f.passing() => attempt + 1 < attempts.min(CONNECT_ATTEMPTS),
                    _ => false,
                };
                if retry {
                    self.forget(KeyType::Group, &id);
                    again.push(id);
                } else {
                    done.insert(id, result);
                }
            }
            if again.is_empty() {
                break;
            }
            pending = again;
            pause(attempt).await;
        }
        done
    }

    async fn ask_coordinators(&self, ids: &[String]) -> Vec<(String, Result<Fetched, Failure>)> {
        let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut out = Vec::new();
        for (id, found) in self.coordinators(KeyType::Group, ids).await {
            match found {
                Ok(node) => by_node.entry(node).or_default().push(id),
                Err(failure) => out.push((id, Err(failure))),
            }
        }
        let asked = by_node.into_iter().map(|(node, ids)| async move {
            let found = match self.node(node).await {
                Ok(connection) => fetch_offsets(&connection, &ids, false).await,
                Err(failure) => Err(failure),
            };
            match found {
                Ok(found) => found.into_iter().collect::<Vec<_>>(),
                Err(failure) => ids.into_iter().map(|id| (id, Err(failure.clone()))).collect(),
            }
        });
        out.extend(join_all(asked).await.into_iter().flatten());
        out
    }
}

fn no_stable(label: &str) -> Trouble {
    Trouble::new(
        format!("{label} can't be asked whether committed offsets are final (before Kafka 2.5)"),
        "if this group's offsets are committed in transactions, make sure that none is open",
    )
}

fn absent(classic: Option<&Result<Described, Failure>>) -> bool {
    match classic {
        Some(Ok(described)) => described.state == GroupState::Dead,
        Some(Err(f)) => f.class == Class::Final,
        None => true,
    }
}

async fn maybe<T>(wanted: bool, asked: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(asked.await) } else { None }
}

/// Every group that a broker coordinates; with `types` (v5) only those.
pub(super) async fn list_groups(connection: &Connection, types: &[&'static str]) -> Result<Vec<Listed>, Failure> {
    let version = connection.need::<ListGroupsRequest>("0.9 or later")?;
    let types = types.iter().map(|t| StrBytes::from_static_str(t)).collect();
    let answer = connection.call(version, &ListGroupsRequest::default().with_types_filter(types)).await?;
    check(answer.error_code, "list of groups", connection.label())?;
    let listed = |g: kafka_protocol::messages::list_groups_response::ListedGroup| Listed {
        kind: kind(&g.group_type, &g.protocol_type),
        state: (version >= 4).then(|| state(&g.group_state)),
        protocol_type: g.protocol_type.to_string(),
        id: g.group_id.to_string(),
    };
    Ok(answer.groups.into_iter().map(listed).collect())
}

/// The kind from ListGroups v5's type, or from the protocol type alone before it.
fn kind(group_type: &str, protocol_type: &str) -> GroupKind {
    match group_type.to_ascii_lowercase().as_str() {
        "consumer" => GroupKind::Consumer,
        "share" => GroupKind::Share,
        "streams" => GroupKind::Streams,
        // Groups that only commit have no protocol type.
        "classic" | "" if matches!(protocol_type, "consumer" | "") => GroupKind::Classic,
        "" if protocol_type == "share" => GroupKind::Share,
        _ => GroupKind::Other,
    }
}

fn state(name: &str) -> GroupState {
    match name {
        "Stable" => GroupState::Stable,
        "PreparingRebalance" | "CompletingRebalance" | "AwaitingSync" | "Assigning" | "Reconciling" | "NotReady" => {
            GroupState::Rebalancing
        }
        "Empty" => GroupState::Empty,
        "Dead" => GroupState::Dead,
        _ => GroupState::Unknown,
    }
}

/// Committed offsets of groups that this broker coordinates: batched (v8, KIP-709, Kafka 3.0), or else one request a
/// group, pipelined. Every group is in the answer unless the whole failed.
pub(super) async fn fetch_offsets(connection: &Connection, ids: &[String], stable: bool) -> Answers<Fetched> {
    let version = connection.need::<OffsetFetchRequest>("0.10.2 or later")?;
    let mut found = HashMap::with_capacity(ids.len());
    if version >= 8 {
        let asked = ids.chunks(GROUPS_PER_REQUEST).map(|some| fetch_batch(connection, version, some, stable));
        for (some, answer) in ids.chunks(GROUPS_PER_REQUEST).zip(join_all(asked).await) {
            match answer {
                Ok(answer) => found.extend(answer),
                Err(f) => found.extend(some.iter().map(|i| (i.clone(), Err(f.clone())))),
            }
        }
    } else {
        let asked = ids.iter().map(|id| fetch_single(connection, version, id, None, stable));
        found.extend(ids.iter().cloned().zip(join_all(asked).await));
    }
    Ok(found)
}

async fn fetch_batch(
    connection: &Connection,
    version: i16,
    ids: &[String],
    stable: bool,
) -> Result<Vec<(String, Result<Fetched, Failure>)>, Failure> {
    let group = |id: &String| OffsetFetchRequestGroup::default().with_group_id(group_id(id)).with_topics(None);
    fetch_groups(connection, version, ids.iter().map(group).collect(), ids, stable).await
}

async fn fetch_groups(
    connection: &Connection,
    version: i16,
    groups: Vec<OffsetFetchRequestGroup>,
    ids: &[String],
    stable: bool,
) -> Result<Vec<(String, Result<Fetched, Failure>)>, Failure> {
    let request = OffsetFetchRequest::default().with_groups(groups).with_require_stable(stable);
    let answer = connection.call(version, &request).await?;
    let mut out = Vec::with_capacity(ids.len());
    for group in answer.groups {
        let id = group.group_id.to_string();
        let checked = check(group.error_code, format_args!("offsets of group `{id}`"), connection.label());
        let fetched = checked.map(|()| {
            let mut fetched = Fetched::default();
            for topic in group.topics {
                let partitions = topic.partitions.into_iter();
                let each =
                    partitions.map(|p| (p.partition_index, p.committed_offset, p.committed_leader_epoch, p.error_code));
                fetched.add(topic.name.as_str(), each, connection.label());
            }
            fetched
        });
        out.push((id, fetched));
    }
    // A group that is left out must not look like one without offsets.
    if out.len() < ids.len() {
        let got: HashSet<_> = out.iter().map(|(id, _)| id.clone()).collect();
        out.extend(ids.iter().filter(|id| !got.contains(*id)).map(|id| (id.clone(), Err(unanswered(id)))));
    }
    Ok(out)
}

/// Committed offsets of some partitions of a group, committed or not.
async fn fetch_named(
    connection: &Connection,
    version: i16,
    id: &String,
    partitions: &[TopicPartition],
    stable: bool,
) -> Result<Fetched, Failure> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for tp in partitions {
        by_topic.entry(&tp.topic).or_default().push(tp.partition);
    }
    let name = |topic: &str| TopicName(StrBytes::from_string(topic.to_owned()));
    if version >= 8 {
        let topic = |(topic, partitions): (&str, Vec<i32>)| {
            OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(partitions)
        };
        let topics = by_topic.into_iter().map(topic).collect();
        let group = OffsetFetchRequestGroup::default().with_group_id(group_id(id)).with_topics(Some(topics));
        let answers = fetch_groups(connection, version, vec![group], std::slice::from_ref(id), stable).await?;
        return answers.into_iter().next().map_or_else(|| Err(unanswered(id)), |(_, fetched)| fetched);
    }
    let topic = |(topic, partitions): (&str, Vec<i32>)| {
        OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(partitions)
    };
    fetch_single(connection, version, id, Some(by_topic.into_iter().map(topic).collect()), stable).await
}

async fn fetch_single(
    connection: &Connection,
    version: i16,
    id: &str,
    topics: Option<Vec<OffsetFetchRequestTopic>>,
    stable: bool,
) -> Result<Fetched, Failure> {
    let request = OffsetFetchRequest::default()
        .with_group_id(group_id(id))
        .with_topics(topics)
        .with_require_stable(stable && version >= 7);
    let answer = connection.call(version, &request).await?;
    check(answer.error_code, format_args!("offsets of group `{id}`"), connection.label())?;
    let mut fetched = Fetched::default();
    for topic in answer.topics {
        let partitions = topic.partitions.into_iter();
        let each = partitions.map(|p| (p.partition_index, p.committed_offset, p.committed_leader_epoch, p.error_code));
        fetched.add(topic.name.as_str(), each, connection.label());
    }
    Ok(fetched)
}

impl Fetched {
    fn add(&mut self, topic: &str, partitions: impl Iterator<Item = (i32, i64, i32, i16)>, label: &str) {
        let mut kept = Vec::with_capacity(partitions.size_hint().0);
        for (partition, offset, leader_epoch, code) in partitions {
            match ResponseError::try_from_code(code) {
                None if offset >= 0 => kept.push((partition, Committed { offset, leader_epoch })),
                None => {}
                Some(ResponseError::UnstableOffsetCommit) => self.pending.push(TopicPartition::new(topic, partition)),
                Some(_) if self.trouble.is_some() => {}
                Some(_) => {
                    let subject = format!("committed offset of {topic}-{partition}");
                    self.trouble = check(code, subject, label).err().map(Trouble::from);
                }
            }
        }
        if !kept.is_empty() {
            self.offsets.insert(topic.to_owned(), kept.into_iter().collect());
        }
    }
}

/// Classic groups by DescribeGroups. Every group is in the answer unless the whole failed.
pub(super) async fn describe_classic(connection: &Connection, ids: &[String]) -> Answers<Described> {
    let version = connection.need::<DescribeGroupsRequest>("0.9 or later")?;
    let asked = ids.chunks(GROUPS_PER_REQUEST).map(|some| async move {
        let request = DescribeGroupsRequest::default().with_groups(some.iter().map(|i| group_id(i)).collect());
        connection.call(version, &request).await
    });
    let mut out = HashMap::with_capacity(ids.len());
    for (some, answer) in ids.chunks(GROUPS_PER_REQUEST).zip(join_all(asked).await) {
        let groups = match answer {
            Ok(answer) => answer.groups,
            Err(f) => {
                out.extend(some.iter().map(|i| (i.clone(), Err(f.clone()))));
                continue;
            }
        };
        for g in groups {
            let id = g.group_id.to_string();
            let subject = format_args!("group `{id}`");
            let checked = check_message(g.error_code, g.error_message.as_deref(), subject, connection.label());
            let described = checked.map(|()| {
                let mut trouble = None;
                let consumer = g.protocol_type.as_str() == "consumer";
                let members = g.members.into_iter().map(|m| MemberView {
                    assigned: match assignment(m.member_assignment) {
                        Some(assigned) if consumer => assigned,
                        None if consumer => {
                            trouble.get_or_insert_with(|| unreadable(&m.member_id));
                            Vec::new()
                        }
                        _ => Vec::new(),
                    },
                    member_id: visible(&m.member_id),
                    instance_id: m.group_instance_id.map(|i| visible(&i)),
                    client_id: visible(&m.client_id),
                    host: visible(m.client_host.trim_start_matches('/')),
                });
                let members = members.collect();
                Described { state: state(&g.group_state), protocol_type: g.protocol_type.to_string(), members, trouble }
            });
            out.insert(id, described);
        }
    }
    Ok(out)
}

fn unreadable(member: &str) -> Trouble {
    Trouble::new(
        format!("the assignment of member {} can't be read", visible(member)),
        "its client uses a form of its own: who reads which partition is unknown",
    )
}

/// The partitions in a classic member's assignment; `None` when it is malformed. Empty while a rebalance is under way.
fn assignment(mut bytes: Bytes) -> Option<Vec<TopicPartition>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    // Fields were only ever added at the end: newer versions read as the newest known.
    let version = bytes.try_get_i16().ok()?.clamp(0, 3);
    let assignment = guard::decode::<ConsumerProtocolAssignment>(&mut bytes, version, false)?;
    let topics = assignment.assigned_partitions.into_iter();
    let mut assigned: Vec<_> = topics
        .flat_map(|t| t.partitions.iter().map(|p| TopicPartition::new(t.topic.as_str(), *p)).collect::<Vec<_>>())
        .collect();
    assigned.sort_unstable();
    Some(assigned)
}

/// KIP-848 groups by ConsumerGroupDescribe. Every group is in the answer unless the whole failed.
pub(super) async fn describe_consumer(connection: &Connection, ids: &[String]) -> Answers<Described> {
    let version = connection.need::<ConsumerGroupDescribeRequest>("3.7 or later")?;
    let asked = ids.chunks(GROUPS_PER_REQUEST).map(|some| async move {
        let request =
            ConsumerGroupDescribeRequest::default().with_group_ids(some.iter().map(|i| group_id(i)).collect());
        connection.call(version, &request).await
    });
    let mut out = HashMap::with_capacity(ids.len());
    for (some, answer) in ids.chunks(GROUPS_PER_REQUEST).zip(join_all(asked).await) {
        let groups = match answer {
            Ok(answer) => answer.groups,
            Err(f) => {
                out.extend(some.iter().map(|i| (i.clone(), Err(f.clone()))));
                continue;
            }
        };
        for g in groups {
            let id = g.group_id.to_string();
            let subject = format_args!("group `{id}`");
            let checked = check_message(g.error_code, g.error_message.as_deref(), subject, connection.label());
            let described = checked.map(|()| {
                let member = |m: kafka_protocol::messages::consumer_group_describe_response::Member| MemberView {
                    assigned: assigned(m.assignment),
                    member_id: visible(&m.member_id),
                    instance_id: m.instance_id.map(|i| visible(&i)),
                    client_id: visible(&m.client_id),
                    host: visible(m.client_host.trim_start_matches('/')),
                };
                let members = g.members.into_iter().map(member).collect();
                Described { state: state(&g.group_state), protocol_type: String::new(), members, trouble: None }
            });
            out.insert(id, described);
        }
    }
    Ok(out)
}

fn assigned(assignment: Assignment) -> Vec<TopicPartition> {
    let mut out = Vec::new();
    for topic in assignment.topic_partitions {
        out.extend(topic.partitions.iter().map(|p| TopicPartition::new(topic.topic_name.as_str(), *p)));
    }
    out.sort_unstable();
    out
}

impl GroupView {
    /// Takes over what a describe request said.
    pub(super) fn apply(&mut self, described: Described) {
        self.state = described.state;
        self.members = described.members;
        if self.kind == GroupKind::Classic {
            self.kind = kind("classic", &described.protocol_type);
        }
        if self.kind != GroupKind::Consumer {
            self.protocol_type = described.protocol_type;
        } else {
            self.protocol_type.clear();
        }
        if described.trouble.is_some() {
            self.trouble = described.trouble;
        }
    }
}

pub(super) fn group_id(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

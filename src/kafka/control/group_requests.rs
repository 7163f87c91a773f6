//! The requests about groups, one function each, to one broker: what they ask and how their answers are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::{Buf, Bytes};
use futures_util::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::Assignment;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, ConsumerProtocolSubscription, DescribeGroupsRequest,
    GroupId, ListGroupsRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::{Class, Failure, check_code, check_message};
use super::guard;
use crate::base::sanitise::visible_name;
use crate::base::{TopicPartition, Trouble};
use crate::estate::{Committed, GroupKind, GroupState, GroupView, MemberView};

/// Groups in one DescribeGroups, ConsumerGroupDescribe or OffsetFetch (v8) request. Brokers answer the requests of one
/// connection one after the other: with pieces of this size we decode one answer while the broker works on the next.
pub(super) const GROUPS_PER_REQUEST: usize = 100;

/// Committed offsets by topic and partition, as in [`GroupView`].
pub(super) type CommitsByTopic = BTreeMap<String, BTreeMap<i32, Committed>>;

/// Something about each of several groups, unless the whole failed.
pub(super) type GroupAnswers<T> = Result<HashMap<String, Result<T, Failure>>, Failure>;

/// A group as its coordinator lists it.
pub(super) struct GroupListing {
    pub id: String,
    pub kind: GroupKind,
    /// `None` before ListGroups v4 (Kafka 2.6).
    pub state: Option<GroupState>,
    pub protocol_type: String,
}

/// What OffsetFetch says of one group.
#[derive(Default)]
pub(super) struct Fetched {
    pub offsets: CommitsByTopic,
    /// What they carry, where that is not empty.
    pub metadata: BTreeMap<String, BTreeMap<i32, String>>,
    pub pending: Vec<TopicPartition>,
    /// The first partition's error, if any.
    pub trouble: Option<Trouble>,
}

/// What a describe request says of one group.
pub(super) struct Described {
    pub state: GroupState,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberView>,
    /// A member's assignment that can't be read.
    pub trouble: Option<Trouble>,
}

pub(super) fn unanswered_group(id: &str) -> Failure {
    Failure::new(Class::Retry, format!("group `{}`: no answer", visible_name(id)), "")
}

/// Every group that a broker coordinates; with `types` (v5) only those.
pub(super) async fn list_groups(connection: &Connection, types: &[&'static str]) -> Result<Vec<GroupListing>, Failure> {
    let version = connection.need_version::<ListGroupsRequest>("0.9 or later")?;
    let types = types.iter().map(|t| StrBytes::from_static_str(t)).collect();
    let answer = connection.call(version, &ListGroupsRequest::default().with_types_filter(types)).await?;
    check_code(answer.error_code, "list of groups", connection.label())?;
    let listed = |g: kafka_protocol::messages::list_groups_response::ListedGroup| GroupListing {
        kind: parse_kind(&g.group_type, &g.protocol_type),
        state: (version >= 4).then(|| parse_state(&g.group_state)),
        protocol_type: g.protocol_type.to_string(),
        id: g.group_id.to_string(),
    };
    Ok(answer.groups.into_iter().map(listed).collect())
}

/// The kind from ListGroups v5's type, or from the protocol type alone before it.
fn parse_kind(group_type: &str, protocol_type: &str) -> GroupKind {
    // Brokers write `Classic` and `Share`.
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

fn parse_state(name: &str) -> GroupState {
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
pub(super) async fn fetch_offsets(connection: &Connection, ids: &[String], stable: bool) -> GroupAnswers<Fetched> {
    let version = connection.need_version::<OffsetFetchRequest>("0.10.2 or later")?;
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
        let subject = format!("offsets of group `{}`", visible_name(&id));
        let checked = check_code(group.error_code, subject, connection.label());
        let fetched = checked.map(|()| {
            let mut fetched = Fetched::default();
            for topic in group.topics {
                let each = topic.partitions.into_iter().map(|p| {
                    let committed = (p.committed_offset, p.committed_leader_epoch);
                    FetchedPartition::from_answer(p.partition_index, committed, p.metadata, p.error_code)
                });
                fetched.add_topic(topic.name.as_str(), each, connection.label());
            }
            fetched
        });
        out.push((id, fetched));
    }
    // A group that is left out must not look like one without offsets.
    if out.len() < ids.len() {
        let got: HashSet<_> = out.iter().map(|(id, _)| id.clone()).collect();
        out.extend(ids.iter().filter(|id| !got.contains(*id)).map(|id| (id.clone(), Err(unanswered_group(id)))));
    }
    Ok(out)
}

/// Committed offsets of some partitions of a group, committed or not.
pub(super) async fn fetch_named(
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
        return answers.into_iter().next().map_or_else(|| Err(unanswered_group(id)), |(_, fetched)| fetched);
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
        // The flag came with v7 (KIP-447).
        .with_require_stable(stable && version >= 7);
    let answer = connection.call(version, &request).await?;
    check_code(answer.error_code, format_args!("offsets of group `{}`", visible_name(id)), connection.label())?;
    let mut fetched = Fetched::default();
    for topic in answer.topics {
        let each = topic.partitions.into_iter().map(|p| {
            let committed = (p.committed_offset, p.committed_leader_epoch);
            FetchedPartition::from_answer(p.partition_index, committed, p.metadata, p.error_code)
        });
        fetched.add_topic(topic.name.as_str(), each, connection.label());
    }
    Ok(fetched)
}

/// One partition of an OffsetFetch answer, of whatever version.
struct FetchedPartition {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    code: i16,
}

impl FetchedPartition {
    /// From what the two forms of the answer have in common; their types differ in name alone.
    fn from_answer(index: i32, (offset, leader_epoch): (i64, i32), metadata: Option<StrBytes>, code: i16) -> Self {
        Self { index, offset, leader_epoch, metadata: metadata.map(|m| m.to_string()).unwrap_or_default(), code }
    }
}

impl Fetched {
    /// Takes over what was told of partitions that were asked for by name: each offset with what it carries, or nothing.
    /// Another commit may have come since this answer, and what an older one carried is none of its.
    pub(super) fn overlay_named(&mut self, named: Fetched) {
        for (topic, offsets) in named.offsets {
            if let Some(carried) = self.metadata.get_mut(&topic) {
                carried.retain(|partition, _| !offsets.contains_key(partition));
            }
            self.offsets.entry(topic).or_default().extend(offsets);
        }
        for (topic, metadata) in named.metadata {
            self.metadata.entry(topic).or_default().extend(metadata);
        }
        self.metadata.retain(|_, carried| !carried.is_empty());
        self.pending.extend(named.pending);
        self.trouble = self.trouble.take().or(named.trouble);
    }

    fn add_topic(&mut self, topic: &str, partitions: impl Iterator<Item = FetchedPartition>, label: &str) {
        let mut kept = Vec::with_capacity(partitions.size_hint().0);
        for FetchedPartition { index: partition, offset, leader_epoch, metadata, code } in partitions {
            match ResponseError::try_from_code(code) {
                // -1 is "nothing committed": left out, as it is no offset.
                None if offset >= 0 => {
                    kept.push((partition, Committed { offset, leader_epoch }));
                    if !metadata.is_empty() {
                        self.metadata.entry(topic.to_owned()).or_default().insert(partition, metadata);
                    }
                }
                None => {}
                Some(ResponseError::UnstableOffsetCommit) => self.pending.push(TopicPartition::new(topic, partition)),
                Some(_) if self.trouble.is_some() => {}
                Some(_) => {
                    let subject = format!("committed offset of {topic}-{partition}", topic = visible_name(topic));
                    self.trouble = check_code(code, subject, label).err().map(Trouble::from);
                }
            }
        }
        if !kept.is_empty() {
            self.offsets.insert(topic.to_owned(), kept.into_iter().collect());
        }
    }
}

/// Classic groups by DescribeGroups. Every group is in the answer unless the whole failed.
pub(super) async fn describe_classic(connection: &Connection, ids: &[String]) -> GroupAnswers<Described> {
    let version = connection.need_version::<DescribeGroupsRequest>("0.9 or later")?;
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
            let subject = format!("group `{}`", visible_name(&id));
            let checked = check_message(g.error_code, g.error_message.as_deref(), subject, connection.label());
            let described = checked.map(|()| {
                let mut trouble = None;
                let consumer = g.protocol_type.as_str() == "consumer";
                let members = g.members.into_iter().map(|m| MemberView {
                    // The bytes are the protocol's own: what a Connect worker or a registry puts there is no partition.
                    assigned: match decode_assignment(m.member_assignment) {
                        Some(assigned) if consumer => assigned,
                        None if consumer => {
                            trouble.get_or_insert_with(|| unreadable_assignment(&m.member_id));
                            Vec::new()
                        }
                        _ => Vec::new(),
                    },
                    subscribed: if consumer { decode_subscription(m.member_metadata) } else { Vec::new() },
                    member_id: visible_name(&m.member_id),
                    instance_id: m.group_instance_id.map(|i| visible_name(&i)),
                    client_id: visible_name(&m.client_id),
                    // Java writes an address without a name as `/10.0.0.7`.
                    host: visible_name(m.client_host.trim_start_matches('/')),
                });
                let members = members.collect();
                Described {
                    state: parse_state(&g.group_state),
                    protocol_type: g.protocol_type.to_string(),
                    protocol: visible_name(&g.protocol_data),
                    members,
                    trouble,
                }
            });
            out.insert(id, described);
        }
    }
    Ok(out)
}

fn unreadable_assignment(member: &str) -> Trouble {
    tracing::debug!(member = %visible_name(member), "malformed assignment");
    Trouble::new(
        format!("the assignment of member {} can't be read", visible_name(member)),
        "its client uses a form of its own: who reads which partition is unknown",
    )
}

/// The partitions in a classic member's assignment; `None` when it is malformed. Empty while a rebalance is under way.
fn decode_assignment(mut bytes: Bytes) -> Option<Vec<TopicPartition>> {
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

/// The topics that a classic member subscribes to. One whose client writes it in a form of its own says nothing here:
/// what it is assigned says it all the same.
fn decode_subscription(mut bytes: Bytes) -> Vec<String> {
    let Ok(version) = bytes.try_get_i16() else { return Vec::new() };
    let read = guard::decode::<ConsumerProtocolSubscription>(&mut bytes, version.clamp(0, 3), false);
    let mut topics: Vec<String> = read.into_iter().flat_map(|s| s.topics).map(|t| t.to_string()).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// KIP-848 groups by ConsumerGroupDescribe. Every group is in the answer unless the whole failed.
pub(super) async fn describe_consumer(connection: &Connection, ids: &[String]) -> GroupAnswers<Described> {
    let version = connection.need_version::<ConsumerGroupDescribeRequest>("3.7 or later")?;
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
            let subject = format!("group `{}`", visible_name(&id));
            let checked = check_message(g.error_code, g.error_message.as_deref(), subject, connection.label());
            let described = checked.map(|()| {
                let member = |m: kafka_protocol::messages::consumer_group_describe_response::Member| MemberView {
                    subscribed: wanted_topics(&m),
                    assigned: assigned_partitions(m.assignment),
                    member_id: visible_name(&m.member_id),
                    instance_id: m.instance_id.map(|i| visible_name(&i)),
                    client_id: visible_name(&m.client_id),
                    host: visible_name(m.client_host.trim_start_matches('/')),
                };
                let members = g.members.into_iter().map(member).collect();
                let (protocol_type, protocol) = (String::new(), visible_name(&g.assignor_name));
                Described { state: parse_state(&g.group_state), protocol_type, protocol, members, trouble: None }
            });
            out.insert(id, described);
        }
    }
    Ok(out)
}

/// What a KIP-848 member subscribes to by name, and what it is about to be assigned (a pattern is resolved there).
fn wanted_topics(member: &kafka_protocol::messages::consumer_group_describe_response::Member) -> Vec<String> {
    let named = member.subscribed_topic_names.iter().map(|t| t.as_str());
    let coming = member.target_assignment.topic_partitions.iter().map(|t| t.topic_name.as_str());
    let topics: std::collections::BTreeSet<&str> = named.chain(coming).collect();
    topics.into_iter().map(str::to_owned).collect()
}

fn assigned_partitions(assignment: Assignment) -> Vec<TopicPartition> {
    let mut out = Vec::new();
    for topic in assignment.topic_partitions {
        out.extend(topic.partitions.iter().map(|p| TopicPartition::new(topic.topic_name.as_str(), *p)));
    }
    out.sort_unstable();
    out
}

/// Takes over what a describe request said.
pub(super) fn apply_description(view: &mut GroupView, described: Described) {
    view.state = described.state;
    view.members = described.members;
    view.protocol = described.protocol;
    // Classic may be for want of a list (before v5): the protocol type tells Connect's groups and the like.
    if view.kind == GroupKind::Classic {
        view.kind = parse_kind("classic", &described.protocol_type);
    }
    if view.kind != GroupKind::Consumer {
        view.protocol_type = described.protocol_type;
    } else {
        view.protocol_type.clear();
    }
    if described.trouble.is_some() {
        view.trouble = described.trouble;
    }
}

pub(super) fn group_id(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn kinds() {
        for (group_type, protocol, expected) in [
            ("classic", "consumer", GroupKind::Classic),
            ("Classic", "", GroupKind::Classic),
            ("classic", "connect", GroupKind::Other),
            ("consumer", "consumer", GroupKind::Consumer),
            ("Share", "share", GroupKind::Share),
            ("Streams", "streams", GroupKind::Streams),
            ("", "consumer", GroupKind::Classic),
            ("", "sr", GroupKind::Other),
            ("something-new", "consumer", GroupKind::Other),
        ] {
            assert_eq!(parse_kind(group_type, protocol), expected, "{group_type} {protocol}");
        }
    }

    /// What OffsetFetch said of partitions of topic `t`: offset, and what it carries.
    fn fetched(partitions: &[(i32, i64, &str)]) -> Fetched {
        let each = partitions.iter().map(|(index, offset, carried)| {
            FetchedPartition::from_answer(*index, (*offset, -1), Some(StrBytes::from_string((*carried).to_owned())), 0)
        });
        let mut fetched = Fetched::default();
        fetched.add_topic("t", each, "blue broker 1");
        fetched
    }

    #[test]
    fn what_an_older_commit_carried_does_not_go_with_a_newer_offset() {
        let mut all = fetched(&[(0, 5, "of 5"), (1, 7, "of 7"), (2, 9, "of 9")]);
        all.overlay_named(fetched(&[(0, 6, ""), (1, 8, "of 8")]));
        let offsets: Vec<_> = all.offsets["t"].iter().map(|(partition, c)| (*partition, c.offset)).collect();
        assert_eq!(offsets, [(0, 6), (1, 8), (2, 9)]);
        let carried: Vec<_> = all.metadata["t"].iter().map(|(partition, m)| (*partition, m.as_str())).collect();
        assert_eq!(carried, [(1, "of 8"), (2, "of 9")]);
        let mut one = fetched(&[(0, 5, "of 5")]);
        one.overlay_named(fetched(&[(0, 6, "")]));
        assert!(one.metadata.is_empty(), "{:?}", one.metadata);
    }

    #[test]
    fn assignments_of_known_and_newer_versions() {
        let topic =
            Assigned::default().with_topic(TopicName(StrBytes::from_static_str("t"))).with_partitions(vec![3, 1]);
        let message = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![topic]);
        for version in [0i16, 3, 9] {
            let mut bytes = bytes::BytesMut::new();
            bytes::BufMut::put_i16(&mut bytes, version);
            message.encode(&mut bytes, version.min(3)).unwrap();
            let expected = vec![TopicPartition::new("t", 1), TopicPartition::new("t", 3)];
            assert_eq!(decode_assignment(bytes.freeze()), Some(expected), "version {version}");
        }
        assert_eq!(decode_assignment(Bytes::new()), Some(Vec::new()));
        assert_eq!(decode_assignment(Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff])), None);
    }
}

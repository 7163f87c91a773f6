//! A cluster as an observer would see it who asked for everything at one moment: what the control plane's snapshot
//! gives, without the wire. The deterministic simulation observes with it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Buf;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Decodable;

use super::SimState;
use super::group::{ClassicGroup, ClassicGroupState as Phase};
use crate::base::TopicPartition;
use crate::estate::partial::{Operations, Shown};
use crate::estate::{
    BrokerView, ClusterView, Committed, GroupKind, GroupState, GroupView, MemberView, PartitionView, TopicView,
};

impl SimState {
    /// The whole cluster now. Configuration is left out, as it is in an ordinary snapshot.
    #[must_use]
    pub fn view_cluster(&self) -> ClusterView {
        let broker = |b: &super::Broker| {
            (b.id, BrokerView { host: b.host.clone(), port: b.port, rack: None, answered: Some(Ok(())) })
        };
        let group = |(id, g): (&String, &ClassicGroup)| (id.clone(), self.view_group(id, g));
        ClusterView {
            cluster_id: Some(self.cluster_id.clone()),
            controller: self.controller_id(),
            brokers: self.brokers.values().filter(|b| b.alive).map(broker).collect(),
            topics: self.topics.iter().map(|(name, t)| (name.clone(), self.view_topic(t))).collect(),
            groups: self.groups.iter().map(group).collect(),
            took_ms: 0,
            shown: Shown::Operations(Operations(self.cluster_operations())),
            ..ClusterView::default()
        }
    }

    fn view_topic(&self, topic: &super::SimTopic) -> TopicView {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let lives = |r: &&i32| self.brokers.get(r).is_some_and(|b| b.alive);
        let partition = |log: &super::PartitionLog| PartitionView {
            leader: log.leader,
            replicas: count(log.replicas.len()),
            isr: count(log.replicas.iter().filter(lives).count()),
            log_start: Some(log.start()),
            lso: Some(log.last_stable_offset()),
            high_watermark: Some(log.high_watermark()),
            trouble: None,
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        TopicView { id: Some(id_text(topic.id)), partitions, ..TopicView::default() }
    }

    fn view_group(&self, id: &str, group: &ClassicGroup) -> GroupView {
        let stable = group.state == Phase::Stable;
        let member = |(id, m): (&String, &super::group::Member)| MemberView {
            member_id: id.clone(),
            instance_id: m.instance.clone(),
            client_id: m.client_id.clone(),
            // Java writes an address as `/127.0.0.1`.
            host: m.host.trim_start_matches('/').to_owned(),
            assigned: if stable { decode_assignment(&m.assignment) } else { Vec::new() },
            subscribed: if stable { decode_subscription(&group.metadata_of(m)) } else { Vec::new() },
        };
        let carried = group.offsets.iter().filter_map(|(topic, partitions)| {
            let text = partitions.iter().filter(|(_, c)| !c.metadata.is_empty());
            let text: BTreeMap<i32, String> = text.map(|(p, c)| (*p, c.metadata.clone())).collect();
            (!text.is_empty()).then(|| (topic.clone(), text))
        });
        let offsets = group.offsets.iter().map(|(topic, partitions)| {
            let commits = partitions.iter().map(|(p, c)| {
                let commit = Committed { offset: c.offset, leader_epoch: c.leader_epoch };
                (*p, commit)
            });
            (topic.clone(), commits.collect())
        });
        let state = match group.state {
            Phase::Stable => GroupState::Stable,
            Phase::Empty => GroupState::Empty,
            Phase::PreparingRebalance | Phase::CompletingRebalance => GroupState::Rebalancing,
            Phase::Dead => GroupState::Dead,
        };
        let kind =
            // A group that only commits has no protocol type.
            if matches!(group.protocol_type.as_str(), "" | "consumer") { GroupKind::Classic } else { GroupKind::Other };
        GroupView {
            kind,
            state,
            protocol_type: group.protocol_type.clone(),
            coordinator: self.find_coordinator(id).map_or(-1, |b| b.id),
            members: group.members.iter().map(member).collect(),
            offsets: offsets.collect(),
            metadata: carried.collect(),
            protocol: group.protocol.clone().filter(|_| stable).unwrap_or_default(),
            trouble: None,
        }
    }
}

/// The topics that a subscription in the consumer protocol's encoding names, sorted; nothing if it is in another.
fn decode_subscription(bytes: &bytes::Bytes) -> Vec<String> {
    let mut bytes = bytes.clone();
    if bytes.remaining() < 2 {
        return Vec::new();
    }
    // Newer versions only add fields at the end, so they read as the newest that is known.
    let version = bytes.get_i16().clamp(0, 3);
    let Ok(subscription) = ConsumerProtocolSubscription::decode(&mut bytes, version) else { return Vec::new() };
    let topics: BTreeSet<String> = subscription.topics.iter().map(ToString::to_string).collect();
    topics.into_iter().collect()
}

/// What an assignment in the consumer protocol's encoding says; nothing if it is in another.
fn decode_assignment(bytes: &bytes::Bytes) -> Vec<TopicPartition> {
    let mut bytes = bytes.clone();
    if bytes.remaining() < 2 {
        return Vec::new();
    }
    let version = bytes.get_i16().clamp(0, 3);
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, version) else { return Vec::new() };
    let each = assignment.assigned_partitions.iter();
    each.flat_map(|t| t.partitions.iter().map(|p| TopicPartition::new(t.topic.to_string(), *p))).collect()
}

/// A topic's id as text: a UUID.
#[must_use]
pub(crate) fn id_text(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

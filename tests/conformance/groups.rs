//! Groups: commits without members, membership, rebalances.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolSubscription, DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::Encodable;

use super::{Case, Wire, text, until, word};

/// A member as the cases write it: id, instance id, generation.
#[derive(Clone, Default)]
pub struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub generation: i32,
}

const NOBODY: Member = Member { id: String::new(), instance: None, generation: -1 };

fn subscription(topic: &str) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    let s = ConsumerProtocolSubscription::default().with_topics(vec![text(topic)]);
    s.encode(&mut out, 1).unwrap();
    out.freeze()
}

/// `topic` is a name of the case: its group's name tells the prefix.
fn join_request(group: &str, member: &Member, topic: &str, protocol: &str, session: i32) -> JoinGroupRequest {
    let full = group.rsplit_once('-').map_or(topic.to_owned(), |(prefix, _)| format!("{prefix}-{topic}"));
    let protocol = JoinGroupRequestProtocol::default().with_name(text(protocol)).with_metadata(subscription(&full));
    JoinGroupRequest::default()
        .with_group_id(text(group).into())
        .with_session_timeout_ms(session)
        .with_rebalance_timeout_ms(5000)
        .with_member_id(text(&member.id))
        .with_group_instance_id(member.instance.as_ref().map(|i| text(i)))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn sync_request(group: &str, member: &Member, assignments: &[(&str, &'static str)]) -> SyncGroupRequest {
    let assignments = assignments
        .iter()
        .map(|(id, a)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(id))
                .with_assignment(Bytes::from_static(a.as_bytes()))
        })
        .collect();
    SyncGroupRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id(member.generation)
        .with_member_id(text(&member.id))
        .with_group_instance_id(member.instance.as_ref().map(|i| text(i)))
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(assignments)
}

fn joined(answer: &JoinGroupResponse) -> String {
    let role = if answer.leader.is_empty() {
        "nobody leads"
    } else if answer.leader == answer.member_id {
        "leads"
    } else {
        "follows"
    };
    let protocol = answer.protocol_name.as_ref().map_or("-", |p| p.as_str());
    let skip = if answer.skip_assignment { " skip" } else { "" };
    let error = word(answer.error_code);
    format!("{error} generation={} {role} of {} {protocol}{skip}", answer.generation_id, answer.members.len())
}

fn synced(answer: &SyncGroupResponse) -> String {
    format!("{} {:?}", word(answer.error_code), String::from_utf8_lossy(&answer.assignment))
}

impl Case {
    pub fn commit(&mut self, group: &str, member: &Member, topic: &str, partition: i32, offset: i64) -> String {
        self.commit_with(group, member, topic, partition, offset, "")
    }

    fn commit_with(
        &mut self,
        group: &str,
        member: &Member,
        topic: &str,
        partition: i32,
        offset: i64,
        metadata: &str,
    ) -> String {
        let p = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text(metadata)));
        let t = OffsetCommitRequestTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![p]);
        let request = OffsetCommitRequest::default()
            .with_group_id(text(group).into())
            .with_generation_id_or_member_epoch(member.generation)
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance.as_ref().map(|i| text(i)))
            .with_topics(vec![t]);
        word(self.wire.call(8, &request).topics[0].partitions[0].error_code)
    }

    /// OffsetFetch v8 of named partitions, or of all.
    pub fn committed(&mut self, group: &str, topics: Option<&[(&str, i32)]>, stable: bool) -> String {
        let topics = topics.map(|ts| {
            ts.iter()
                .map(|(t, p)| {
                    OffsetFetchRequestTopics::default().with_name(self.topic_name(t)).with_partition_indexes(vec![*p])
                })
                .collect()
        });
        let g = OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(topics);
        let request = OffsetFetchRequest::default().with_groups(vec![g]).with_require_stable(stable);
        let g = self.wire.call(8, &request).groups.remove(0);
        let mut lines: Vec<String> = g
            .topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(move |p| (t, p)))
            .map(|(t, p)| {
                let metadata = p.metadata.as_ref().map_or("null", |m| m.as_str());
                let error = word(p.error_code);
                let (index, offset, epoch) = (p.partition_index, p.committed_offset, p.committed_leader_epoch);
                format!("{}-{index}={offset} epoch={epoch} {metadata:?} {error}", t.name.as_str())
            })
            .collect();
        lines.sort();
        format!("{} {}", word(g.error_code), lines.join(", "))
    }

    pub fn describe(&mut self, group: &str, version: i16) -> String {
        let request = DescribeGroupsRequest::default().with_groups(vec![text(group).into()]);
        let g = self.wire.call(version, &request).groups.remove(0);
        let error = word(g.error_code);
        let mut members: Vec<String> = g
            .members
            .iter()
            .map(|m| {
                let instance = m.group_instance_id.as_ref().map_or("-", |i| i.as_str());
                let assignment = String::from_utf8_lossy(&m.member_assignment).into_owned();
                format!("{instance} {} metadata={} {assignment:?}", m.client_id.as_str(), !m.member_metadata.is_empty())
            })
            .collect();
        members.sort();
        let (state, kind, data) = (g.group_state.as_str(), g.protocol_type.as_str(), g.protocol_data.as_str());
        format!("{error} {state} type={kind:?} protocol={data:?} {members:?}")
    }

    fn listed(&mut self, group: &str, states: &[&str], types: &[&str]) -> String {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|s| text(s)).collect())
            .with_types_filter(types.iter().map(|s| text(s)).collect());
        let answer = self.wire.call(5, &request);
        let found = answer.groups.iter().find(|g| g.group_id.as_str() == group);
        found.map_or("not listed".to_owned(), |g| {
            let (state, kind, family) = (g.group_state.as_str(), g.protocol_type.as_str(), g.group_type.as_str());
            format!("{state} type={kind:?} {family}")
        })
    }

    fn forget(&mut self, group: &str, topic: &str, partition: i32) -> String {
        let p = OffsetDeleteRequestPartition::default().with_partition_index(partition);
        let t = OffsetDeleteRequestTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![p]);
        let request = OffsetDeleteRequest::default().with_group_id(text(group).into()).with_topics(vec![t]);
        let answer = self.wire.call(0, &request);
        let inner = answer.topics.first().and_then(|t| t.partitions.first()).map(|p| word(p.error_code));
        format!("{} {}", word(answer.error_code), inner.unwrap_or_default())
    }

    fn delete_group(&mut self, group: &str) -> String {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![text(group).into()]);
        word(self.wire.call(2, &request).results[0].error_code)
    }

    fn heartbeat(&mut self, group: &str, member: &Member) -> String {
        let request = HeartbeatRequest::default()
            .with_group_id(text(group).into())
            .with_generation_id(member.generation)
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance.as_ref().map(|i| text(i)));
        word(self.wire.call(4, &request).error_code)
    }

    fn leave(&mut self, group: &str, member: &Member) -> String {
        let m = MemberIdentity::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance.as_ref().map(|i| text(i)));
        let request = LeaveGroupRequest::default().with_group_id(text(group).into()).with_members(vec![m]);
        let answer = self.wire.call(4, &request);
        let inner = answer.members.first().map(|m| word(m.error_code)).unwrap_or_default();
        format!("{} {inner}", word(answer.error_code))
    }

    /// Joins as a new member, through MEMBER_ID_REQUIRED.
    pub fn join_new(&mut self, group: &str, topic: &str, session: i32) -> Member {
        let mut member = Member::default();
        let first = self.wire.call(7, &join_request(group, &member, topic, "range", session));
        member.id = first.member_id.to_string();
        self.say(format!(
            "join without an id: {} {}",
            joined(&first),
            if member.id.is_empty() { "no id" } else { "an id" }
        ));
        let second = self.wire.call(7, &join_request(group, &member, topic, "range", session));
        self.say(format!("join with it: {}", joined(&second)));
        member.generation = second.generation_id;
        member
    }
}

pub fn commits(case: &mut Case) {
    case.topic("t", 2, &[]);
    case.topic("gone", 1, &[]);
    let group = case.name("g");
    case.coordinator(0, &group);
    until("the group coordinator is loaded", || case.describe(&group, 5).starts_with("ok"));
    let say = |case: &mut Case, what: &str, answer: String| case.say(format!("{what}: {answer}"));
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            say(case, $what, a)
        }};
    }
    say!("describe unknown v5", case.describe(&group, 5));
    say!("describe unknown v6", case.describe(&group, 6));
    say!("offsets of unknown", case.committed(&group, Some(&[("t", 0), ("u", 0)]), true));
    say!("all offsets of unknown", case.committed(&group, None, true));
    say!("delete unknown", case.delete_group(&group));
    say!("forget unknown", case.forget(&group, "t", 0));
    say!("generation 5 of unknown", case.commit(&group, &Member { generation: 5, ..NOBODY }, "t", 0, 1));
    say!("member of unknown", case.commit(&group, &Member { id: "x".into(), ..NOBODY }, "t", 0, 1));
    say!("describe after it", case.describe(&group, 5));
    say!("heartbeat unknown", case.heartbeat(&group, &Member { id: "x".into(), generation: 1, ..NOBODY }));
    say!("leave unknown", case.leave(&group, &Member { id: "x".into(), ..NOBODY }));
    say!("empty group id", case.commit("", &NOBODY, "t", 0, 1));
    say!("commit", case.commit(&group, &NOBODY, "t", 0, 7));
    say!("commit metadata", case.commit_with(&group, &NOBODY, "t", 1, 0, "note"));
    say!("commit other topic", case.commit(&group, &NOBODY, "gone", 0, 3));
    say!("commit unknown partition", case.commit(&group, &NOBODY, "t", 9, 3));
    say!("commit unknown topic", case.commit(&group, &NOBODY, "u", 0, 3));
    say!("commit long metadata", case.commit_with(&group, &NOBODY, "t", 0, 3, &"x".repeat(5000)));
    say!("commit backwards", case.commit(&group, &NOBODY, "t", 0, 2));
    say!("commit beyond the end", case.commit(&group, &NOBODY, "t", 0, 99));
    say!("offsets", case.committed(&group, Some(&[("t", 0), ("t", 1), ("t", 5), ("u", 0)]), true));
    say!("all offsets", case.committed(&group, None, false));
    say!("describe", case.describe(&group, 5));
    say!("describe v6", case.describe(&group, 6));
    say!("listed", case.listed(&group, &[], &[]));
    say!("listed as empty", case.listed(&group, &["Empty"], &["classic"]));
    say!("listed as stable", case.listed(&group, &["Stable"], &[]));
    say!("listed as consumer type", case.listed(&group, &[], &["consumer"]));
    say!("member on an empty group", case.commit(&group, &Member { id: "x".into(), ..NOBODY }, "t", 0, 5));
    say!("generation on an empty group", case.commit(&group, &Member { generation: 3, ..NOBODY }, "t", 0, 5));
    say!("heartbeat on an empty group", case.heartbeat(&group, &Member { id: "x".into(), generation: 0, ..NOBODY }));
    say!("forget unknown topic", case.forget(&group, "u", 0));
    say!("forget", case.forget(&group, "t", 0));
    say!("forget again", case.forget(&group, "t", 0));
    say!("all offsets after it", case.committed(&group, None, false));
    let gone = case.topic_name("gone");
    let request =
        kafka_protocol::messages::DeleteTopicsRequest::default().with_topic_names(vec![gone]).with_timeout_ms(5000);
    case.wire.call(4, &request);
    until("offsets of the deleted topic are gone", || !case.committed(&group, None, false).contains("gone"));
    say!("offsets after a topic was deleted", case.committed(&group, None, false));
    say!("delete", case.delete_group(&group));
    say!("offsets after it", case.committed(&group, None, false));
    say!("describe after it", case.describe(&group, 5));
}

pub fn members(case: &mut Case) {
    case.topic("t", 2, &[]);
    case.topic("other", 1, &[]);
    let group = case.name("g");
    case.coordinator(0, &group);
    until("the group coordinator is loaded", || case.describe(&group, 5).starts_with("ok"));
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let stranger = Member { id: "stranger".into(), generation: 1, instance: None };
    say!("a stranger joins", joined(&case.wire.call(7, &join_request(&group, &stranger, "t", "range", 6000))));
    say!("short session", joined(&case.wire.call(7, &join_request(&group, &NOBODY, "t", "range", 100))));
    say!("no group id", joined(&case.wire.call(7, &join_request("", &NOBODY, "t", "range", 6000))));
    let mut a = case.join_new(&group, "t", 6000);
    say!("describe while it assigns", case.describe(&group, 5));
    say!("heartbeat while it assigns", case.heartbeat(&group, &a));
    say!("commit while it assigns", case.commit(&group, &a, "t", 0, 1));
    let wrong = Member { generation: 9, ..a.clone() };
    say!("sync of another generation", synced(&case.wire.call(5, &sync_request(&group, &wrong, &[]))));
    say!("sync of a stranger", synced(&case.wire.call(5, &sync_request(&group, &stranger, &[]))));
    let odd = sync_request(&group, &a, &[]).with_protocol_name(Some(text("sticky")));
    say!("sync of another protocol", synced(&case.wire.call(5, &odd)));
    say!("sync", synced(&case.wire.call(5, &sync_request(&group, &a, &[(&a.id.clone(), "mine")]))));
    say!("sync again", synced(&case.wire.call(5, &sync_request(&group, &a, &[]))));
    say!("describe", case.describe(&group, 5));
    say!("listed", case.listed(&group, &["Stable"], &["classic"]));
    say!("heartbeat", case.heartbeat(&group, &a));
    say!("heartbeat of another generation", case.heartbeat(&group, &wrong));
    say!("heartbeat of a stranger", case.heartbeat(&group, &stranger));
    say!("commit", case.commit(&group, &a, "t", 0, 4));
    say!("commit of another generation", case.commit(&group, &wrong, "t", 0, 5));
    say!("commit of a stranger", case.commit(&group, &stranger, "t", 0, 5));
    say!("commit by an admin", case.commit(&group, &NOBODY, "t", 0, 5));
    say!("commit on a topic it doesn't read", case.commit(&group, &a, "other", 0, 5));
    say!("offsets", case.committed(&group, None, false));
    say!("delete", case.delete_group(&group));
    say!("forget", case.forget(&group, "t", 0));
    say!("forget what it doesn't read", case.forget(&group, "other", 0));
    let odd = join_request(&group, &NOBODY, "t", "sticky", 6000);
    say!("another assignor", joined(&case.wire.call(7, &odd)));
    let odd = join_request(&group, &NOBODY, "t", "range", 6000).with_protocol_type(text("connect"));
    say!("another protocol type", joined(&case.wire.call(7, &odd)));
    let again = case.wire.call(7, &join_request(&group, &a, "t", "range", 6000));
    say!("the leader joins again", joined(&again));
    a.generation = again.generation_id;
    say!("sync", synced(&case.wire.call(5, &sync_request(&group, &a, &[(&a.id.clone(), "new")]))));
    say!("leave of a stranger", case.leave(&group, &stranger));
    say!("leave", case.leave(&group, &a));
    say!("describe after it", case.describe(&group, 5));
    say!("heartbeat after it", case.heartbeat(&group, &a));
    say!("commit after it", case.commit(&group, &a, "t", 0, 8));
    say!("commit by an admin after it", case.commit(&group, &NOBODY, "t", 1, 8));
    say!("forget after it", case.forget(&group, "t", 0));
    say!("offsets", case.committed(&group, None, false));
    let b = case.join_new(&group, "t", 6000);
    case.leave(&group, &b);
    say!("delete", case.delete_group(&group));
}

pub fn two_members(case: &mut Case) {
    case.topic("t", 2, &[]);
    let group = case.name("g");
    case.coordinator(0, &group);
    until("the group coordinator is loaded", || case.describe(&group, 5).starts_with("ok"));
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let mut a = case.join_new(&group, "t", 6000);
    case.wire.call(5, &sync_request(&group, &a, &[(&a.id.clone(), "all")]));
    // the second one joins on its own connection: its request waits for the first
    let mut other = Wire::connect(&case.address);
    let mut b = Member::default();
    b.id = other.call(7, &join_request(&group, &b, "t", "range", 6000)).member_id.to_string();
    other.send(7, &join_request(&group, &b, "t", "range", 6000));
    until("the group rebalances", || case.heartbeat(&group, &a) != "ok");
    say!("heartbeat in a rebalance", case.heartbeat(&group, &a));
    say!("commit in a rebalance", case.commit(&group, &a, "t", 0, 2));
    say!("sync in a rebalance", synced(&case.wire.call(5, &sync_request(&group, &a, &[]))));
    say!("describe in a rebalance", case.describe(&group, 5));
    say!("commit by an admin in a rebalance", case.commit(&group, &NOBODY, "t", 0, 5));
    say!("forget in a rebalance", case.forget(&group, "t", 0));
    let first = case.wire.call(7, &join_request(&group, &a, "t", "range", 6000));
    say!("the first joins again", joined(&first));
    a.generation = first.generation_id;
    let second = other.receive::<JoinGroupRequest>(7);
    say!("the second", joined(&second));
    b.generation = second.generation_id;
    other.send(5, &sync_request(&group, &b, &[]));
    say!(
        "the leader assigns",
        synced(&case.wire.call(5, &sync_request(&group, &a, &[(&a.id.clone(), "one"), (&b.id.clone(), "two")])))
    );
    say!("the follower", synced(&other.receive::<SyncGroupRequest>(5)));
    say!("members", case.describe(&group, 5).matches("metadata=true").count());
    // a follower that lost its answer asks again: nothing changes
    let again = other.call(7, &join_request(&group, &b, "t", "range", 6000));
    say!("the follower joins again unchanged", joined(&again));
    say!("heartbeat", case.heartbeat(&group, &a));
    say!("leave of the leader", case.leave(&group, &a));
    until("the group rebalances", || case.heartbeat(&group, &b) != "ok");
    say!("heartbeat of the follower", case.heartbeat(&group, &b));
    let alone = other.call(7, &join_request(&group, &b, "t", "range", 6000));
    say!("the follower is alone", joined(&alone));
    b.generation = alone.generation_id;
    say!("leave", case.leave(&group, &b));
}

pub fn static_members(case: &mut Case) {
    case.topic("t", 2, &[]);
    let group = case.name("g");
    case.coordinator(0, &group);
    until("the group coordinator is loaded", || case.describe(&group, 5).starts_with("ok"));
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let pod = Member { instance: Some("pod-1".into()), ..Member::default() };
    let first = case.wire.call(7, &join_request(&group, &pod, "t", "range", 6000));
    say!("join", joined(&first));
    let old = Member { id: first.member_id.to_string(), generation: first.generation_id, ..pod.clone() };
    say!("sync", synced(&case.wire.call(5, &sync_request(&group, &old, &[(&old.id.clone(), "all")]))));
    say!("describe", case.describe(&group, 5));
    let second = case.wire.call(7, &join_request(&group, &pod, "t", "range", 6000));
    say!("comes back", joined(&second));
    say!("another id", second.member_id.as_str() != old.id);
    let new = Member { id: second.member_id.to_string(), generation: second.generation_id, ..pod.clone() };
    say!("the old one's heartbeat", case.heartbeat(&group, &old));
    say!("the old one's commit", case.commit(&group, &old, "t", 0, 1));
    say!("sync", synced(&case.wire.call(5, &sync_request(&group, &new, &[]))));
    say!("the new one's heartbeat", case.heartbeat(&group, &new));
    let third = case.wire.call(9, &join_request(&group, &pod, "t", "range", 6000));
    say!("comes back v9", joined(&third));
    say!("commit by an admin", case.commit(&group, &NOBODY, "t", 0, 5));
    say!("an unknown instance leaves", case.leave(&group, &Member { instance: Some("pod-9".into()), ..NOBODY }));
    say!("an admin removes it", case.leave(&group, &Member { instance: Some("pod-1".into()), ..NOBODY }));
    say!("describe", case.describe(&group, 5));
}

pub fn sessions(case: &mut Case) {
    case.topic("t", 1, &[]);
    let group = case.name("g");
    case.coordinator(0, &group);
    until("the group coordinator is loaded", || case.describe(&group, 5).starts_with("ok"));
    let a = case.join_new(&group, "t", 500);
    let answer = synced(&case.wire.call(5, &sync_request(&group, &a, &[(&a.id.clone(), "all")])));
    case.say(format!("sync: {answer}"));
    let begun = std::time::Instant::now();
    until("the session expires", || case.describe(&group, 5).contains("Empty"));
    let took = begun.elapsed().as_millis();
    case.say(format!("empty after its session, not before: {}", (400..5000).contains(&took)));
    let answer = case.heartbeat(&group, &a);
    case.say(format!("heartbeat: {answer}"));
    let answer = case.commit(&group, &a, "t", 0, 1);
    case.say(format!("commit: {answer}"));
}

//! What kind of application a group belongs to, as far as clusters show it: Kafka Streams, whatever only commits, and the
//! workers of Kafka Connect or a schema registry, which meet in a group without reading any topic through it.

use super::{GroupKind, GroupView};
use crate::base::sanitise::visible_name;

/// The assignor of classic Kafka Streams applications (`StreamsPartitionAssignor.name()`).
const STREAMS_ASSIGNOR: &str = "stream";
/// What Kafka Streams puts between the parts of its consumers' client ids: `APP-UUID-StreamThread-1-consumer`.
const STREAM_THREAD: &str = "-StreamThread-";
/// How the topics end that Kafka Streams makes for itself, behind `APPLICATION.ID-`. Foreign-key joins have two more.
const STREAMS_TOPICS: [&str; 2] = ["-changelog", "-repartition"];
const STREAMS_JOINS: &str = "-KTABLE-FK-JOIN-SUBSCRIPTION-";

/// A group that only commits: nobody ever joined it, so that it is Empty says nothing about whether somebody works
/// with it. Flink, Spark and whatever else uses `assign()`; also a group whose offsets only a tool has set.
#[must_use]
pub fn only_commits(view: &GroupView) -> bool {
    // A coordinator keeps the protocol type of a group whose members have left: only one that nobody ever joined has
    // none.
    view.kind == GroupKind::Classic
        && view.protocol_type.is_empty()
        && view.members.is_empty()
        && !view.offsets.is_empty()
        // A look of which a part is missing may lack the very members that would tell otherwise.
        && view.trouble.is_none()
}

/// Whether a group shows that members join it: one is in it, or one was.
#[must_use]
pub fn was_joined(view: &GroupView) -> bool {
    view.kind != GroupKind::Classic || !view.protocol_type.is_empty() || !view.members.is_empty()
}

fn is_streams_topic(id: &str, topic: &str) -> bool {
    // The id ends at the dash: `pay-x-changelog` is no topic of an application `pa`.
    let Some(rest) = topic.strip_prefix(id).filter(|rest| rest.starts_with('-')) else { return false };
    STREAMS_TOPICS.iter().any(|end| rest.ends_with(end)) || rest.contains(STREAMS_JOINS)
}

/// What shows that a classic group is a Kafka Streams application, whatever its topics are called. `id` is its id there.
#[must_use]
pub fn streams_evidence(id: &str, view: &GroupView) -> Option<String> {
    if view.kind != GroupKind::Classic {
        return None;
    }
    if view.protocol == STREAMS_ASSIGNOR {
        return Some(format!("its assignor is {STREAMS_ASSIGNOR:?}, Kafka Streams' own"));
    }
    // Whatever `client.id` an application sets, Streams only puts it in front of this; of its clients only these join.
    let thread = |client: &&str| client.contains(STREAM_THREAD) && client.ends_with("-consumer");
    if let Some(client) = view.members.iter().map(|m| m.client_id.as_str()).find(thread) {
        return Some(format!("its client ids are Kafka Streams' ({client})", client = visible_name(client)));
    }
    let assigned = view.members.iter().flat_map(|m| m.assigned.iter().map(|a| a.topic.as_str()));
    // Members are gone once it is stopped; its commits on repartition topics stay.
    let own = assigned.chain(view.offsets.keys().map(String::as_str)).find(|t| is_streams_topic(id, t));
    own.map(|topic| {
        format!("it reads {topic}, a topic of its own that Kafka Streams makes", topic = visible_name(topic))
    })
}

/// Topics that look as if Kafka Streams had made them for an application of this id.
#[must_use]
pub fn streams_topics<'a>(id: &str, topics: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    topics.map(String::as_str).filter(|t| is_streams_topic(id, t)).collect()
}

/// Whether a group of another protocol type is known to read no topic through it: workers of Kafka Connect (`connect`)
/// and schema registries (`sr`) only elect a leader and share out work; what connectors read is committed under groups
/// of their own.
#[must_use]
pub fn reads_nothing(view: &GroupView) -> bool {
    view.kind == GroupKind::Other && matches!(view.protocol_type.as_str(), "connect" | "sr")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{Committed, GroupState, MemberView};

    fn group(client: &str, protocol: &str, topic: &str) -> GroupView {
        let members = match client {
            "" => Vec::new(),
            client => vec![MemberView { client_id: client.into(), ..MemberView::default() }],
        };
        GroupView {
            state: if members.is_empty() { GroupState::Empty } else { GroupState::Stable },
            protocol: protocol.into(),
            protocol_type: "consumer".into(),
            members,
            offsets: [(topic.to_owned(), [(0, Committed { offset: 1, leader_epoch: -1 })].into())].into(),
            ..GroupView::default()
        }
    }

    #[test]
    fn kafka_streams_is_known_by_its_assignor_its_threads_and_its_own_topics() {
        for (client, protocol, topic) in [
            ("x", "stream", "in"),
            ("counts-0d2f-StreamThread-1-consumer", "", "in"),
            ("", "", "counts-by-key-repartition"),
            ("", "", "counts-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000009-topic"),
        ] {
            assert!(
                streams_evidence("counts", &group(client, protocol, topic)).is_some(),
                "{client} {protocol} {topic}"
            );
        }
        for (client, protocol, topic) in [
            ("counts-StreamThread-reader", "range", "in"),
            ("", "", "other-by-key-repartition"),
            ("", "", "countsby-repartition"),
            ("", "cooperative-sticky", "counts-changelog-of-mine"),
        ] {
            assert_eq!(
                streams_evidence("counts", &group(client, protocol, topic)),
                None,
                "{client} {protocol} {topic}"
            );
        }
        let topics = ["counts-store-changelog", "counts", "in", "count-store-changelog"];
        let topics = topics.map(str::to_owned);
        assert_eq!(streams_topics("counts", topics.iter()), ["counts-store-changelog"]);
    }

    #[test]
    fn a_group_that_nobody_ever_joined_only_commits() {
        let mut view = group("", "", "in");
        assert!(!only_commits(&view), "it was joined once: its protocol type stays");
        view.protocol_type.clear();
        assert!(only_commits(&view));
        view.offsets.clear();
        assert!(!only_commits(&view));
    }
}

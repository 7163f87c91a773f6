//! Which topic of green stands beside which of blue, and which topics are nobody's business because something makes them for
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rows::TopicPair;
use super::scope::{ParityScope, TopicScope};
use crate::estate::inventory::{Inventory, TopicDefinition};

/// Who makes a topic for itself.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InternalTopic {
    /// The brokers: `__consumer_offsets`, `__transaction_state`, `__share_group_state`.
    Kafka,
    /// A schema registry: `_schemas`. Its content is carried over through its own API.
    Registry,
    /// Kafka Connect's workers: where they keep offsets, configurations and states.
    Connect,
    /// MirrorMaker 2: checkpoints, heartbeats, offset syncs.
    Mirror,
    /// Kafka Streams: the application makes changelogs and repartition topics itself, and wants their partitions so.
    Streams,
    /// Tools and vendors: Cruise Control, Control Center, a managed service.
    Tool,
}

impl InternalTopic {
    /// Who makes this topic for itself; `None`: it is an ordinary one.
    #[must_use]
    pub fn of_topic(name: &str, internal: bool) -> Option<InternalTopic> {
        const KAFKA: [&str; 5] = [
            "__consumer_offsets",
            "__transaction_state",
            "__share_group_state",
            "__cluster_metadata",
            "__remote_log_metadata",
        ];
        const REGISTRY: [&str; 3] = ["_schemas", "__schemas", "_schema_encoders"];
        const TOOLS: [&str; 9] = [
            "_confluent",
            "__confluent",
            "__CruiseControl",
            "__KafkaCruiseControl",
            "__strimzi",
            "strimzi.cruisecontrol.",
            "__amazon_msk",
            "__automq",
            "_redpanda",
        ];
        if internal || KAFKA.contains(&name) {
            return Some(InternalTopic::Kafka);
        }
        if REGISTRY.contains(&name) {
            return Some(InternalTopic::Registry);
        }
        if TOOLS.iter().any(|tool| name.starts_with(tool)) {
            return Some(InternalTopic::Tool);
        }
        if is_of_mirror(name) {
            return Some(InternalTopic::Mirror);
        }
        if is_of_streams(name) {
            return Some(InternalTopic::Streams);
        }
        is_of_connect(name).then_some(InternalTopic::Connect)
    }

    /// Whether only its name speaks for it, by a habit that nothing enforces: a team may call its own topic so.
    #[must_use]
    pub fn is_guess(self) -> bool {
        matches!(self, InternalTopic::Connect | InternalTopic::Mirror | InternalTopic::Streams)
    }
}

/// `mm2-offset-syncs.green.internal`, `blue.checkpoints.internal`, `heartbeats` (MirrorMaker 2's `DefaultReplicationPolicy`).
fn is_of_mirror(name: &str) -> bool {
    let internal = name.ends_with(".internal") && (name.starts_with("mm2-") || name.contains(".checkpoints."));
    internal || name == "heartbeats" || name.ends_with(".heartbeats")
}

/// `APP-STORE-changelog`, `APP-NAME-repartition`, and what foreign-key joins subscribe by (`KTABLE-FK-JOIN-..-topic`).
fn is_of_streams(name: &str) -> bool {
    let join = name.contains("-SUBSCRIPTION-") && name.ends_with("-topic");
    name.ends_with("-changelog") || name.ends_with("-repartition") || join
}

/// `connect-offsets`, `connect-cluster-configs`, `docker-connect-status`: names are free, these are what manuals propose.
fn is_of_connect(name: &str) -> bool {
    let kept = ["offsets", "configs", "config", "status"].iter().find_map(|kept| name.strip_suffix(kept));
    kept.is_some_and(|rest| rest.contains("connect") && rest.ends_with(['-', '_', '.']))
}

/// A topic of blue, and what stands beside it.
#[derive(Debug)]
pub(super) struct TopicCouple<'a> {
    /// Both names.
    pub(super) pair: TopicPair,
    /// As blue has it.
    pub(super) blue: &'a TopicDefinition,
    /// As green has it; `None`: it is not among green's topics.
    pub(super) green: Option<&'a TopicDefinition>,
}

/// All topics in their places.
#[derive(Debug, Default)]
pub(super) struct Coupled<'a> {
    /// Blue's topics that are compared, by blue's name.
    pub(super) couples: Vec<TopicCouple<'a>>,
    /// Topics of the scope that are not among blue's, and whether green has them.
    pub(super) absent: Vec<(TopicPair, bool)>,
    /// Topics of the scope of which several would be one on green, by green's name.
    pub(super) merged: BTreeMap<&'a str, Vec<&'a str>>,
    /// Green's topics that stand beside none of blue's.
    pub(super) beyond: Vec<(&'a str, &'a TopicDefinition)>,
    /// Blue's topics that were left out.
    pub(super) internal: BTreeMap<InternalTopic, BTreeSet<String>>,
}

/// Puts each topic of blue beside green's.
pub(super) fn couple_topics<'a>(blue: &'a Inventory, green: &'a Inventory, scope: &'a ParityScope) -> Coupled<'a> {
    let mut coupled = Coupled::default();
    let listed = matches!(scope.topics, TopicScope::Listed(_));
    let wanted: Vec<&str> = match &scope.topics {
        TopicScope::Listed(topics) => topics.keys().map(String::as_str).collect(),
        TopicScope::All { excluded, .. } => {
            blue.topics.keys().filter(|name| !excluded.contains(*name)).map(String::as_str).collect()
        }
    };
    let mut by_green: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut found: Vec<(&str, Option<&TopicDefinition>)> = Vec::new();
    for name in wanted {
        let definition = blue.topics.get(name);
        let internal = InternalTopic::of_topic(name, definition.is_some_and(|topic| topic.internal));
        if let Some(kind) = internal.filter(|kind| !(listed && kind.is_guess())) {
            coupled.internal.entry(kind).or_default().insert(name.to_owned());
            continue;
        }
        by_green.entry(scope.topics.green_topic(name)).or_default().push(name);
        found.push((name, definition));
    }
    for (name, definition) in found {
        let green_name = scope.topics.green_topic(name);
        let there = green.topics.get(green_name);
        let pair = TopicPair { blue: name.to_owned(), green: green_name.to_owned() };
        match definition {
            _ if by_green[green_name].len() > 1 => {}
            Some(blue) => coupled.couples.push(TopicCouple { pair, blue, green: there }),
            None => coupled.absent.push((pair, there.is_some())),
        }
    }
    // Of the scope's topics alone it is said what green lacks: what else green has is beyond it only if all were meant.
    if !listed {
        let beyond = green.topics.iter().filter(|(name, topic)| {
            !by_green.contains_key(name.as_str())
                && !scope.topics.excludes_topic(name)
                && InternalTopic::of_topic(name, topic.internal).is_none()
        });
        coupled.beyond = beyond.map(|(name, topic)| (name.as_str(), topic)).collect();
    }
    coupled.merged = by_green.into_iter().filter(|(_, blue)| blue.len() > 1).collect();
    coupled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_something_makes_for_itself_are_known() {
        use InternalTopic::{Connect, Kafka, Mirror, Registry, Streams, Tool};
        for (name, kind) in [
            ("__consumer_offsets", Some(Kafka)),
            ("__share_group_state", Some(Kafka)),
            ("_schemas", Some(Registry)),
            ("connect-offsets", Some(Connect)),
            ("docker-connect-status", Some(Connect)),
            ("connect-cluster-configs", Some(Connect)),
            ("mm2-offset-syncs.green.internal", Some(Mirror)),
            ("blue.checkpoints.internal", Some(Mirror)),
            ("blue.heartbeats", Some(Mirror)),
            ("app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog", Some(Streams)),
            ("app-by-key-repartition", Some(Streams)),
            ("app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000004-topic", Some(Streams)),
            ("_confluent-command", Some(Tool)),
            ("__CruiseControlMetrics", Some(Tool)),
            ("orders", None),
            ("order-status", None),
            ("connections", None),
            ("changelog", None),
            ("_private", None),
        ] {
            assert_eq!(InternalTopic::of_topic(name, false), kind, "{name}");
        }
        assert_eq!(InternalTopic::of_topic("anything", true), Some(Kafka), "Kafka says so itself");
    }
}

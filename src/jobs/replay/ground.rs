//! Both clusters as they are before anything is sent: that they are the right ones, what they have, where things go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::source::describe_briefly;
use super::walk::Link;
use super::{Halt, ReplayRequest};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, TopicPartition, Trouble};
use crate::estate::{PartitionView, TopicView};
use crate::jobs::identities::RecordIdentities;
use crate::kafka::control::{Cluster, ConfigValue, OffsetSpec, SnapshotOptions, Which};
use crate::kafka::plane::DataPlane;
use crate::migration::facts::event::JournalEntry;
use crate::plan::Plan;
use crate::replay::ranges::Piece;
use crate::replay::{By, Ranges, Route, Routes, TargetTopic};
use crate::session::names::TopicNames;
use crate::session::pins;
use crate::session::tools::{after_max_ms, client_properties};

/// Both clusters and the names of topics on them.
pub(super) struct ReplayPreconditions {
    clusters: Sides<Cluster>,
    links: Sides<Link>,
    pub names: Arc<TopicNames>,
    pub identities: RecordIdentities,
    plan: Plan,
}

/// What the target takes.
pub(super) struct ReplayTarget {
    pub routes: Routes,
    pub topics: BTreeMap<String, TargetTopic>,
    /// Readable ends of every partition, by the target's names.
    pub ends: Vec<(TopicPartition, i64)>,
}

impl ReplayPreconditions {
    /// No I/O. Errors: secrets that can't be read.
    pub fn new(plan: &Plan) -> Result<Self, Trouble> {
        let link = |side: Side| -> Result<(Link, Cluster), Trouble> {
            let (properties, bootstrap) =
                (client_properties(plan.cluster(side))?, plan.cluster(side).bootstrap.join(","));
            let cluster = Cluster::new(side, &bootstrap, &properties);
            Ok((Link { properties, bootstrap, plane: DataPlane::of_cluster(&cluster) }, cluster))
        };
        let ((blue, b), (green, g)) = (link(Side::Blue)?, link(Side::Green)?);
        let (links, clusters) = (Sides { blue, green }, Sides { blue: b, green: g });
        let (names, identities) = (Arc::new(TopicNames::new(plan)), RecordIdentities::of_plan(plan));
        Ok(Self { clusters, links, names, identities, plan: plan.clone() })
    }

    fn cluster(&self, side: Side) -> &Cluster {
        &self.clusters[side]
    }

    /// A cluster's data plane.
    pub fn link(&self, side: Side) -> Link {
        self.links[side].clone()
    }

    /// Whether these are the plan's and the journal's clusters, and two of them.
    pub(crate) async fn check_pins(&self, entries: &[JournalEntry]) -> Result<(), Halt> {
        pins::check_clusters(&self.clusters, &self.plan, &pins::pins_of(entries)).await?;
        Ok(())
    }

    /// Topics as they are on a side, by that side's names. Errors: nobody answers, or one of them is not there.
    async fn ask_topics(&self, side: Side, names: &BTreeSet<String>) -> Result<BTreeMap<String, TopicView>, Halt> {
        let options = SnapshotOptions {
            topics: Which::Only(names.clone()),
            groups: Which::None,
            members: Which::None,
            ..SnapshotOptions::default()
        };
        let view = self.cluster(side).snapshot(&options).await.map_err(Halt::Unknown)?;
        for name in names {
            let topic = view.topics.get(name).filter(|t| !t.partitions.is_empty());
            let Some(topic) = topic else {
                return Err(Halt::Refused(Trouble::new(
                    format!("{side} at {} has no topic {name}", self.link(side).bootstrap, name = visible_name(name)),
                    "check the name (or this principal's DESCRIBE on it); create a missing topic before the replay",
                )));
            };
            if let [PartitionView { replicas: 0, trouble: Some(why), .. }] = topic.partitions.as_slice() {
                return Err(Halt::Refused(why.clone())); // not there, or not to be seen
            }
            if let Some(why) = topic.partitions.iter().find_map(|p| p.trouble.clone()) {
                return Err(Halt::Unknown(why));
            }
        }
        Ok(view.topics)
    }

    /// The offsets of a topic between two moments (ms), by blue's name.
    pub(crate) async fn ranges_between(
        &self,
        side: Side,
        topic: &str,
        from: i64,
        to: Option<i64>,
    ) -> Result<Ranges, Halt> {
        // It may be a topic that only a pattern of the plan knows.
        self.names.learn_topic(&self.plan, topic);
        let name = self.names.topic_on(side, topic);
        let topics = self.ask_topics(side, &BTreeSet::from([name.clone()])).await?;
        let count = i32::try_from(topics[&name].partitions.len()).unwrap_or(i32::MAX);
        let ends = self.offsets_at(side, &name, count, OffsetSpec::LatestStable).await?;
        let first = self.offsets_at(side, &name, count, OffsetSpec::Timestamp(from)).await?;
        let last = match to {
            Some(to) => self.offsets_at(side, &name, count, OffsetSpec::Timestamp(to)).await?,
            None => vec![None; first.len()],
        };
        let mut pieces = Vec::new();
        for (partition, ((first, last), end)) in (0..count).zip(first.into_iter().zip(last).zip(ends)) {
            let end = end.unwrap_or(0);
            // A lookup by time sees beyond the last stable offset, where nothing can be read yet.
            let (from, to) = (first.unwrap_or(end), last.unwrap_or(end).min(end));
            pieces.push(Piece::new(TopicPartition::new(topic, partition), from, to));
        }
        Ok(Ranges::from_pieces(pieces))
    }

    async fn offsets_at(
        &self,
        side: Side,
        topic: &str,
        count: i32,
        spec: OffsetSpec,
    ) -> Result<Vec<Option<i64>>, Halt> {
        let asks: Vec<_> = (0..count).map(|p| (TopicPartition::new(topic, p), spec)).collect();
        let mut found = self.cluster(side).list_offsets(&asks).await;
        asks.iter()
            .map(|(tp, _)| match found.remove(tp) {
                Some(Ok(offset)) => Ok(offset.map(|(offset, _)| offset)),
                Some(Err(why)) => Err(Halt::Unknown(why)),
                None => Err(Halt::Unknown(Trouble::new(format!("{side} did not say where {tp} is"), "try again"))),
            })
            .collect()
    }

    /// Whether the built-in librdkafka reads these ranges for what they are. Errors: a message set of an old format.
    async fn check_readable(&self, side: Side, ranges: &Ranges) -> Result<(), Halt> {
        let windows: Vec<_> = ranges.hulls().map(|h| (self.names.partition_on(side, &h.tp), h.from, h.to)).collect();
        let old = self.cluster(side).find_old_sets(&windows).await.map_err(Halt::Unknown)?;
        old.into_iter().next().map_or(Ok(()), |old| Err(Halt::Refused(old.why)))
    }

    /// Whether the source still has all of the ranges, and they can be read.
    pub(crate) async fn check_source(&self, side: Side, ranges: &Ranges) -> Result<BTreeMap<String, i32>, Halt> {
        ranges.partitions().for_each(|tp| self.names.learn_topic(&self.plan, &tp.topic));
        let names: BTreeSet<String> = ranges.partitions().map(|tp| self.names.topic_on(side, &tp.topic)).collect();
        let topics = self.ask_topics(side, &names).await?;
        let (mut starts, mut ends, mut counts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for tp in ranges.partitions() {
            let partitions = &topics[&self.names.topic_on(side, &tp.topic)].partitions;
            let view = usize::try_from(tp.partition).ok().and_then(|p| partitions.get(p)).ok_or_else(|| {
                Halt::Refused(Trouble::new(
                    format!("{side} has no partition {tp}: that topic has {} partitions", partitions.len()),
                    "correct the range",
                ))
            })?;
            // To the last stable offset: what lies beyond no reader of committed records is given.
            let (Some(start), Some(end)) = (view.log_start, view.lso) else {
                return Err(Halt::Unknown(Trouble::new(
                    format!("{side} did not say where {tp} begins and ends"),
                    "try again",
                )));
            };
            starts.insert(tp.clone(), start);
            ends.insert(tp.clone(), end);
            counts.insert(tp.topic.clone(), i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        }
        self.check_readable(side, ranges).await?;
        let (expired, beyond) = (ranges.below(&starts), ranges.beyond(&ends));
        if !expired.is_empty() {
            let what = format!("expired on {side}, and can't be carried any more: {}", describe_briefly(&expired));
            let advice = format!("{} offsets; carry the rest by naming it with --range", expired.count_offsets());
            return Err(Halt::Refused(Trouble::new(what, advice)));
        }
        if !beyond.is_empty() {
            let what = format!(
                "not readable on {side} yet (not written, or in an open transaction): {}",
                describe_briefly(&beyond)
            );
            return Err(Halt::Refused(Trouble::new(what, "wait for the transaction to end, or correct the range")));
        }
        Ok(counts)
    }

    /// Where the records go, and what is known of the topics there.
    pub(crate) async fn survey_target(
        &self,
        request: &ReplayRequest,
        counts: &BTreeMap<String, i32>,
    ) -> Result<ReplayTarget, Halt> {
        let side = request.from.other();
        if let Some(into) = &request.into {
            self.check_aside(request.from, into).await?;
        }
        let name = |topic: &str| request.into.clone().unwrap_or_else(|| self.names.topic_on(side, topic));
        let wanted: BTreeSet<String> = counts.keys().map(|topic| name(topic)).collect();
        let views = self.ask_topics(side, &wanted).await?;
        let mut routes = Routes::new();
        for (topic, count) in counts {
            let to = name(topic);
            let partitions = i32::try_from(views[&to].partitions.len()).unwrap_or(i32::MAX);
            let by = request.by.unwrap_or(if partitions == *count { By::Number } else { By::Key });
            if by == By::Number && partitions < *count {
                return Err(Halt::Refused(Trouble::new(
                    format!(
                        "{topic} has {count} partitions and {to} on {side} has {partitions}: a number may not exist there",
                        to = visible_name(&to),
                        topic = visible_name(topic)
                    ),
                    "choose the partition by key with --by key",
                )));
            }
            routes.insert(topic.clone(), Route { to, partitions, by });
        }
        let mut ends = Vec::new();
        for (topic, view) in &views {
            for (partition, p) in (0..).zip(&view.partitions) {
                let tp = TopicPartition::new(topic, partition);
                let end = p.lso.ok_or_else(|| {
                    Halt::Unknown(Trouble::new(format!("{side} did not say where {tp} ends"), "try again"))
                })?;
                ends.push((tp, end));
            }
        }
        let names: Vec<String> = wanted.into_iter().collect();
        // librdkafka knows the property by both names.
        let compressed = self.link(side).properties.get("compression.type").is_some_and(|c| c != "none")
            || self.link(side).properties.get("compression.codec").is_some_and(|c| c != "none");
        let mut topics = BTreeMap::new();
        for (name, config) in self.cluster(side).describe_configs(&names).await {
            let config = config.map_err(Halt::Unknown)?;
            topics.insert(name.clone(), TargetTopic { compressed, ..target_topic_of(name, &config) });
        }
        Ok(ReplayTarget { routes, topics, ends })
    }

    /// Whether a topic of the target (by its name there) is one that nobody but this replay is about. Errors: it is
    /// internal, or a topic that the plan or the source has too: its readers would get all records, out of order.
    async fn check_aside(&self, from: Side, into: &str) -> Result<(), Halt> {
        let refused = |what: String, advice: &str| Err(Halt::Refused(Trouble::new(what, advice)));
        if into.starts_with("__") {
            let what = format!("{} is an internal topic: nothing can be carried into it", visible_name(into));
            return refused(what, "name a topic of its own with --into");
        }
        // A pattern of the plan may give any topic of the source this name: all of them are learnt first.
        let every = SnapshotOptions { groups: Which::None, members: Which::None, ..SnapshotOptions::default() };
        let view = self.cluster(from).snapshot(&every).await.map_err(Halt::Unknown)?;
        for name in view.topics.keys() {
            self.names.learn_topic(&self.plan, &self.names.topic_on_blue(from, name));
        }
        let topic = self.names.topic_on_blue(from.other(), into);
        let listed = self.plan.groups.iter().flat_map(|g| &g.topics);
        let mut listed = listed.chain(self.plan.producers.iter().flat_map(|p| &p.topics));
        if view.topics.contains_key(&self.names.topic_on(from, &topic)) || listed.any(|t| *t == topic) {
            let what = format!(
                "{into} on {} is {topic} of {from}, and no side topic",
                from.other(),
                into = visible_name(into),
                topic = visible_name(&topic)
            );
            let advice = "name a topic that only exists there; without --into every topic's records go to that topic";
            return refused(what, advice);
        }
        Ok(())
    }

    /// The part of the target that may hold newer records of a topic than those to be carried: from the moment `from`
    /// (ms) on, in the partitions that records of `sources` go to. Topics by blue's names.
    pub(crate) async fn find_newer(
        &self,
        side: Side,
        target: &ReplayTarget,
        topic: &str,
        sources: &[i32],
        from: i64,
    ) -> Result<Vec<Piece>, Halt> {
        let Some(route) = target.routes.get(topic) else { return Ok(Vec::new()) };
        let asks: Vec<_> =
            route.reachable_partitions(sources).into_iter().map(|tp| (tp, OffsetSpec::Timestamp(from))).collect();
        let mut pieces = Vec::new();
        for (tp, found) in self.cluster(side).list_offsets(&asks).await {
            let found = found.map_err(Halt::Unknown)?;
            let end = target.ends.iter().find(|(t, _)| *t == tp).map(|(_, end)| *end);
            if let (Some((first, _)), Some(end)) = (found, end) {
                pieces.push(Piece::new(TopicPartition::new(topic, tp.partition), first, end));
            }
        }
        Ok(pieces)
    }

    /// Deletes the group of a replay that is done; what stands in the way is a remark, no failure.
    pub async fn delete_group(&self, side: Side, group: &str) -> Option<String> {
        let outcomes = self.cluster(side).delete_groups(&[group.to_owned()]).await;
        let why = outcomes.values().find_map(|outcome| outcome.trouble())?;
        Some(format!("group {group} stays on {side}: {}", why.what, group = visible_name(group)))
    }
}

fn target_topic_of(name: String, config: &BTreeMap<String, ConfigValue>) -> TargetTopic {
    let value = |key: &str| config.get(key).and_then(|v| v.value.as_deref());
    let number = |key: &str| value(key).and_then(|v| v.parse::<u64>().ok()); // -1 (no limit) is none
    // The broker's default of "no limit" is the greatest number there is.
    let limit = |key: &str| number(key).filter(|n| *n < i64::MAX.unsigned_abs());
    TargetTopic {
        max_message_bytes: number("max.message.bytes"),
        compacted: value("cleanup.policy").is_some_and(|p| p.split(',').any(|p| p.trim() == "compact")),
        stamps_itself: value("message.timestamp.type") == Some("LogAppendTime"),
        before_max_ms: limit("message.timestamp.before.max.ms").or(limit("message.timestamp.difference.max.ms")),
        after_max_ms: after_max_ms(config),
        // Retention by time deletes only where the policy says `delete`.
        retention_ms: value("cleanup.policy").filter(|p| p.contains("delete")).and(number("retention.ms")),
        compressed: false,
        name,
    }
}

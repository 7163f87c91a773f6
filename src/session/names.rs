//! Names of topics and groups on both clusters. Inside, everything goes by blue's names; green's are put in at the
//! edge of the control and data planes, and taken out there.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::base::sanitise::visible_name;
use crate::base::{Cause, Side, TopicPartition};
use crate::estate::{ClusterView, GroupView};
use crate::plan::Plan;

/// Translates names between the clusters.
#[derive(Debug, Default)]
pub struct TopicNames {
    groups: BTreeMap<String, String>,
    /// Topics whose name on green differs: blue's name to green's, and back. Patterns are resolved as topics show up.
    renamed: RwLock<Renamed>,
}

#[derive(Debug, Default)]
struct Renamed {
    to_green: BTreeMap<String, String>,
    to_blue: BTreeMap<String, String>,
}

impl TopicNames {
    /// The plan's names.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let names = Self {
            groups: plan.groups.iter().map(|g| (g.name.clone(), g.green_group.clone())).collect(),
            renamed: RwLock::default(),
        };
        let groups = plan.groups.iter().flat_map(|g| g.topics.iter().chain(&g.dlq));
        let listed = groups.chain(plan.producers.iter().flat_map(|p| &p.topics));
        listed.for_each(|topic| names.learn_topic(plan, topic));
        names
    }

    /// Takes in a topic that blue has: a pattern of the plan may rename it.
    pub fn learn_topic(&self, plan: &Plan, topic: &str) {
        // Nearly every topic keeps its name, and each look at blue brings them all: no write lock for those.
        let green = plan.topic_rule(topic).green_name;
        if green == topic {
            return;
        }
        let mut renamed = self.renamed.write().unwrap_or_else(PoisonError::into_inner);
        renamed.to_blue.insert(green.clone(), topic.to_owned());
        renamed.to_green.insert(topic.to_owned(), green);
    }

    /// A group's id on a side, from its id on blue.
    #[must_use]
    pub(crate) fn group_on(&self, group: &str, side: Side) -> String {
        match side {
            Side::Blue => group.to_owned(),
            Side::Green => self.groups.get(group).cloned().unwrap_or_else(|| group.to_owned()),
        }
    }

    /// A topic's name on a side, from its name on blue.
    #[must_use]
    pub(crate) fn topic_on(&self, side: Side, topic: &str) -> String {
        let renamed = self.renamed.read().unwrap_or_else(PoisonError::into_inner);
        let other = if side == Side::Green { renamed.to_green.get(topic) } else { None };
        other.cloned().unwrap_or_else(|| topic.to_owned())
    }

    /// A topic's name on blue, from its name on a side.
    #[must_use]
    pub(crate) fn topic_on_blue(&self, side: Side, topic: &str) -> String {
        let renamed = self.renamed.read().unwrap_or_else(PoisonError::into_inner);
        let other = if side == Side::Green { renamed.to_blue.get(topic) } else { None };
        other.cloned().unwrap_or_else(|| topic.to_owned())
    }

    /// A partition by its topic's name on a side.
    #[must_use]
    pub(crate) fn partition_on(&self, side: Side, tp: &TopicPartition) -> TopicPartition {
        TopicPartition::new(self.topic_on(side, &tp.topic), tp.partition)
    }

    /// A partition by its topic's name on blue.
    #[must_use]
    pub(crate) fn partition_on_blue(&self, side: Side, tp: &TopicPartition) -> TopicPartition {
        TopicPartition::new(self.topic_on_blue(side, &tp.topic), tp.partition)
    }

    /// What was seen of green, by blue's topic names. What was seen of blue teaches the names.
    pub(crate) fn rename_to_blue(&self, plan: &Plan, side: Side, view: &mut ClusterView) {
        if side == Side::Blue {
            view.topics.keys().for_each(|topic| self.learn_topic(plan, topic));
            return;
        }
        if self.is_same() {
            return;
        }
        view.topics =
            std::mem::take(&mut view.topics).into_iter().map(|(t, v)| (self.topic_on_blue(side, &t), v)).collect();
        let hidden = std::mem::take(&mut view.hidden_topics).into_iter();
        view.hidden_topics = hidden.map(|(t, why)| (self.topic_on_blue(side, &t), why)).collect();
        view.groups.values_mut().for_each(|g| self.rename_group_to_blue(side, g));
    }

    /// The same for one group.
    pub(crate) fn rename_group_to_blue(&self, side: Side, group: &mut GroupView) {
        if side == Side::Blue || self.is_same() {
            return;
        }
        group.offsets =
            std::mem::take(&mut group.offsets).into_iter().map(|(t, o)| (self.topic_on_blue(side, &t), o)).collect();
        let metadata = std::mem::take(&mut group.metadata).into_iter();
        group.metadata = metadata.map(|(t, m)| (self.topic_on_blue(side, &t), m)).collect();
        for member in &mut group.members {
            member.subscribed.iter_mut().for_each(|topic| *topic = self.topic_on_blue(side, topic));
            member.assigned.iter_mut().for_each(|tp| tp.topic = self.topic_on_blue(side, &tp.topic));
        }
    }

    /// How many partitions a topic (by its name on blue) has in a snapshot of a side, as that side names it; or why that
    /// can't be said.
    pub(crate) fn count_partitions(&self, topic: &str, side: Side, view: &ClusterView) -> Result<usize, String> {
        let name = self.topic_on(side, topic);
        let absent = format!("there is no topic {} on {side}", visible_name(&name));
        let partitions = view.topics.get(&name).map_or(&[][..], |t| &t.partitions);
        match partitions {
            [] => Err(absent),
            // One that was asked for by name, and of which the cluster tells only why it tells nothing.
            [one] if one.leader < 0 && one.replicas == 0 => Err(match &one.trouble {
                Some(why) if why.has_cause(Cause::NoSuchTopic) => absent,
                Some(why) => why.what.clone(),
                None => format!("{} can't be read on {side}", visible_name(&name)),
            }),
            some => Ok(some.len()),
        }
    }

    fn is_same(&self) -> bool {
        self.renamed.read().unwrap_or_else(PoisonError::into_inner).to_blue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Trouble;
    use crate::estate::{PartitionView, TopicView};

    #[test]
    fn a_topic_is_absent_by_the_brokers_code_and_not_by_what_it_is_called() {
        let names = TopicNames::default();
        let of = |why: Trouble| {
            let one = PartitionView { leader: -1, trouble: Some(why), ..PartitionView::default() };
            let topic = TopicView { partitions: vec![one], ..TopicView::default() };
            let view = ClusterView { topics: [("t".to_owned(), topic)].into(), ..ClusterView::default() };
            names.count_partitions("t", Side::Blue, &view)
        };
        let absent = Err("there is no topic t on blue".to_owned());
        assert_eq!(of(Trouble::new("topic t: blue does not have it", "").with_cause(Cause::NoSuchTopic)), absent);
        let what = "topic UNKNOWN_TOPIC_OR_PARTITION: blue answered TOPIC_AUTHORIZATION_FAILED";
        assert_eq!(of(Trouble::new(what, "grant it").with_cause(Cause::NotAllowed)), Err(what.to_owned()));
        assert_eq!(names.count_partitions("t", Side::Blue, &ClusterView::default()), absent);
    }
}

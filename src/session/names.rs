//! Names of topics and groups on both clusters. Inside, everything goes by blue's names; green's are put in at the
//! edge of the control and data planes, and taken out there.

use std::collections::BTreeMap;
use std::sync::RwLock;

use crate::base::sanitise::visible_name;
use crate::base::{Cause, Side, TopicPartition, ignore_poison};
use crate::estate::{ClusterView, GroupView};
use crate::plan::Plan;

/// Before the name inside of a topic of green that has the name of one of blue and is another: no topic can be called so.
const GREEN_ONLY: &str = "green:";
/// Before the name on green of a topic of blue whose name there is another's: green can't have a topic of that name.
const BLUE_ONLY: &str = "blue:";

/// Translates names between the clusters. Two topics never become one, in neither direction: a topic that has no
/// counterpart because its name is another's on the other side keeps a name that nobody else has.
#[derive(Debug, Default)]
pub struct TopicNames {
    groups: BTreeMap<String, String>,
    /// Topics whose name on green differs: blue's name to green's, and back. Patterns are resolved as topics show up.
    /// The way back also knows the topics of the plan that keep their name: no pattern takes it from them.
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
        let listed: Vec<&String> = groups.chain(plan.producers.iter().flat_map(|p| &p.topics)).collect();
        let kept = listed.iter().filter(|topic| plan.topic_rule(topic).green_name == ***topic);
        let kept = kept.map(|topic| ((*topic).clone(), (*topic).clone())).collect();
        ignore_poison(names.renamed.write()).to_blue = kept;
        listed.into_iter().for_each(|topic| names.learn_topic(plan, topic));
        names
    }

    /// Takes in a topic that blue has: a pattern of the plan may rename it.
    pub fn learn_topic(&self, plan: &Plan, topic: &str) {
        // Nearly every topic keeps its name, and each look at blue brings them all: no write lock for those.
        let green = plan.topic_rule(topic).green_name;
        if green == topic || topic.starts_with(GREEN_ONLY) {
            return;
        }
        let mut renamed = ignore_poison(self.renamed.write());
        // Whoever was first keeps it: one log on green is not two of blue's, and which of them it is must not turn meanwhile.
        if renamed.to_blue.get(&green).is_some_and(|owner| owner != topic) {
            let none = format!("{BLUE_ONLY}{topic}");
            if renamed.to_green.insert(topic.to_owned(), none).is_none() {
                let (topic, green) = (visible_name(topic), visible_name(&green));
                tracing::warn!(%topic, %green, "another topic of blue has its name on green: it has none there");
            }
            return;
        }
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
        if side == Side::Blue {
            return topic.to_owned();
        }
        if let Some(own) = topic.strip_prefix(GREEN_ONLY) {
            return own.to_owned();
        }
        let renamed = ignore_poison(self.renamed.read());
        match renamed.to_green.get(topic) {
            Some(other) => other.clone(),
            // Green's topic of this name is another one of blue's.
            None if renamed.to_blue.get(topic).is_some_and(|owner| owner != topic) => format!("{BLUE_ONLY}{topic}"),
            None => topic.to_owned(),
        }
    }

    /// A topic's name on blue, from its name on a side.
    #[must_use]
    pub(crate) fn topic_on_blue(&self, side: Side, topic: &str) -> String {
        if side == Side::Blue {
            return topic.to_owned();
        }
        if let Some(own) = topic.strip_prefix(BLUE_ONLY) {
            return own.to_owned();
        }
        let renamed = ignore_poison(self.renamed.read());
        match renamed.to_blue.get(topic) {
            Some(owner) => owner.clone(),
            // Blue's topic of this name is called otherwise here: this is none of blue's.
            None if renamed.to_green.contains_key(topic) => format!("{GREEN_ONLY}{topic}"),
            None => topic.to_owned(),
        }
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
        let absent = match name.strip_prefix(BLUE_ONLY) {
            Some(own) => format!("there is no topic for {} on {side}: its name there is another's", visible_name(own)),
            None => format!("there is no topic {} on {side}", visible_name(&name)),
        };
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
        ignore_poison(self.renamed.read()).to_green.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Trouble;
    use crate::estate::{PartitionView, TopicView};

    /// Names of a plan with one group that reads `listed`, and these rules for topics.
    fn names_of(listed: &str, rules: &str) -> (Plan, TopicNames) {
        let text = format!(
            "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n[[groups]]\nname = \"g\"\ntopics = [{listed}]\n{rules}"
        );
        let plan = Plan::parse(&text, std::path::Path::new("c.toml")).unwrap().plan;
        let names = TopicNames::new(&plan);
        (plan, names)
    }

    fn view_of(topics: &[(&str, i64)]) -> ClusterView {
        let topic = |end: i64| TopicView {
            partitions: vec![PartitionView { high_watermark: Some(end), ..PartitionView::default() }],
            ..TopicView::default()
        };
        let topics = topics.iter().map(|(name, end)| ((*name).to_owned(), topic(*end))).collect();
        ClusterView { topics, ..ClusterView::default() }
    }

    #[test]
    fn a_topic_of_greens_own_never_passes_for_one_of_blues() {
        let rule = "[[topics]]\nname = \"orders\"\ngreen_name = \"dc2.orders\"\n";
        let (plan, names) = names_of("\"orders\"", rule);
        let mut view = view_of(&[("dc2.orders", 7), ("orders", 900)]);
        names.rename_to_blue(&plan, Side::Green, &mut view);
        let ends: Vec<_> = view.topics.iter().map(|(t, v)| (t.as_str(), v.partitions[0].high_watermark)).collect();
        assert_eq!(ends, [("green:orders", Some(900)), ("orders", Some(7))]);
        assert_eq!(names.topic_on(Side::Green, "green:orders"), "orders", "and back again");
        let mut group = GroupView::default();
        group.offsets.insert("dc2.orders".into(), std::collections::BTreeMap::new());
        group.offsets.insert("orders".into(), std::collections::BTreeMap::new());
        names.rename_group_to_blue(Side::Green, &mut group);
        assert_eq!(group.offsets.keys().collect::<Vec<_>>(), ["green:orders", "orders"]);
    }

    #[test]
    fn two_topics_of_blue_are_never_one_on_green() {
        let (plan, names) = names_of("\"a\"", "[[topics]]\nname = \"a\"\ngreen_name = \"b\"\n");
        names.rename_to_blue(&plan, Side::Blue, &mut view_of(&[("a", 1), ("b", 2)]));
        assert_eq!(["a", "b"].map(|t| names.topic_on(Side::Green, t)), ["b", "blue:b"]);
        assert_eq!(["b", "blue:b", "a"].map(|t| names.topic_on_blue(Side::Green, t)), ["a", "b", "green:a"]);
        let why = names.count_partitions("b", Side::Green, &view_of(&[("b", 1)])).unwrap_err();
        assert_eq!(why, "there is no topic for b on green: its name there is another's");
        // A pattern that gives two topics one name, and one that would take the name of a topic of the plan.
        let rule = "[[topics]]\npattern = \"(eu|us)-(.*)\"\ngreen_name = \"$2\"\n";
        let (plan, names) = names_of("\"x\"", rule);
        names.rename_to_blue(&plan, Side::Blue, &mut view_of(&[("eu-x", 1), ("eu-y", 1), ("us-y", 1), ("x", 1)]));
        let green = ["x", "eu-x", "eu-y", "us-y"].map(|t| names.topic_on(Side::Green, t));
        assert_eq!(green, ["x", "blue:eu-x", "y", "blue:us-y"]);
        assert_eq!(["x", "y"].map(|t| names.topic_on_blue(Side::Green, t)), ["x", "eu-y"]);
    }

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

//! Topics whose numbers of partitions differ between the clusters. Offsets are translated all the same (see
//! `offsets::translate::pool`); what changes is which keys share a partition, and so what is handled in order.

use super::context::RuleContext;
use crate::base::Side;
use crate::base::sanitise::visible_name;

/// A topic with its number of partitions on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migration) struct UnevenCounts {
    /// The topic.
    pub topic: String,
    /// How many blue has.
    pub blue: usize,
    /// How many green has.
    pub green: usize,
}

impl UnevenCounts {
    pub(in crate::migration) fn on(&self, side: Side) -> usize {
        match side {
            Side::Blue => self.blue,
            Side::Green => self.green,
        }
    }

    /// "topic t has 3 partitions on blue and 7 on green".
    pub(in crate::migration) fn describe(&self, from: Side) -> String {
        let (topic, to) = (visible_name(&self.topic), from.other());
        format!("topic {topic} has {} partitions on {from} and {} on {to}", self.on(from), self.on(to))
    }
}

/// Those of the topics that both sides were freshly seen to have, with another number of partitions each.
pub(in crate::migration) fn find_uneven<'a>(
    sight: &RuleContext<'_>,
    topics: impl IntoIterator<Item = &'a String>,
) -> Vec<UnevenCounts> {
    let (Ok(blue), Ok(green)) = (sight.fresh_cluster(Side::Blue), sight.fresh_cluster(Side::Green)) else {
        return Vec::new();
    };
    let counts = |topic: &String| {
        let (blue, green) = (blue.topics.get(topic)?.partitions.len(), green.topics.get(topic)?.partitions.len());
        (blue != green).then(|| UnevenCounts { topic: topic.clone(), blue, green })
    };
    topics.into_iter().filter_map(counts).collect()
}

/// What a group that moves to `to` meets there. The default partitioner takes the key's hash modulo the number of
/// partitions (KIP-480), so that every key stays whole on one partition of either side, but among others.
pub(in crate::migration) fn describe_key_order(uneven: &UnevenCounts, to: Side) -> String {
    format!(
        "{}: on {to} each key is on one partition, in its own order, but among other keys: what shared a partition is no \
         longer handled one after the other, and state that a consumer keeps by partition does not fit",
        uneven.describe(to.other())
    )
}

//! Topics whose numbers of partitions differ between the clusters. Offsets are translated all the same (see
//! `offsets::translate::pool`); what changes is which keys share a partition, and so what is handled in order.

use super::context::RuleContext;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides};
use crate::estate::ClusterView;

/// A topic with its number of partitions on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migration) struct UnevenCounts {
    /// The topic.
    pub topic: String,
    /// How many each side has.
    pub counts: Sides<usize>,
}

impl UnevenCounts {
    /// "topic t has 3 partitions on blue and 7 on green".
    pub(in crate::migration) fn describe(&self, from: Side) -> String {
        let (topic, to) = (visible_name(&self.topic), from.other());
        format!("topic {topic} has {} partitions on {from} and {} on {to}", self.counts[from], self.counts[to])
    }
}

/// Those of the topics that both sides were freshly seen to have, with another number of partitions each.
pub(in crate::migration) fn find_uneven<'a>(
    sight: &RuleContext<'_>,
    topics: impl IntoIterator<Item = &'a String>,
) -> Vec<UnevenCounts> {
    // Of a side that was not seen lately no difference is claimed; whoever moves something refuses that by itself.
    let (Ok(blue), Ok(green)) = (sight.fresh_cluster(Side::Blue), sight.fresh_cluster(Side::Green)) else {
        return Vec::new();
    };
    let uneven = |topic: &String| {
        let count = |view: &ClusterView| Some(view.topics.get(topic)?.partitions.len());
        let counts = Sides { blue: count(blue)?, green: count(green)? };
        (counts.blue != counts.green).then(|| UnevenCounts { topic: topic.clone(), counts })
    };
    topics.into_iter().filter_map(uneven).collect()
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

/// The counts as a line of what a dialog rests on; nothing where all are equal.
pub(in crate::migration) fn list_counts(uneven: &[UnevenCounts]) -> String {
    let one = |u: &UnevenCounts| format!("{}:{}->{}", visible_name(&u.topic), u.counts.blue, u.counts.green);
    match uneven {
        [] => String::new(),
        some => format!("\npartitions={}", some.iter().map(one).collect::<Vec<_>>().join(" ")),
    }
}

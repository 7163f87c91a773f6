//! Whether the plan's topics hold, or will hold, records of formats that the built-in librdkafka misreads.

use std::collections::BTreeSet;

use super::{Check, Health, LOOK};
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Side, Sides, TopicPartition};
use crate::estate::ClusterView;
use crate::plan::Plan;
use crate::session::tools::Tools;

/// Formats before record batches (KIP-98, Kafka 0.11).
const OLD: [&str; 3] = ["0.8", "0.9", "0.10"];

/// One row for a side.
pub(super) async fn check_formats(
    wanted: &BTreeSet<String>,
    tools: &Tools,
    side: Side,
    view: Option<&ClusterView>,
) -> Check {
    let what = format!("record formats on {side}");
    let Some(view) = view else { return Check::new(what, Health::Unknown, format!("{side} was not seen")) };
    if wanted.is_empty() {
        return Check::new(
            what,
            Health::Warn,
            "nothing was looked at: neither the plan nor a commit of its groups names a topic",
        );
    }
    match tokio::time::timeout(LOOK, look_for_old_formats(wanted, tools, side, view)).await {
        Ok(check) => Check { what, ..check },
        Err(_) => Check::new(what, Health::Unknown, format!("not told within {} s", LOOK.as_secs())),
    }
}

/// Topics (by blue's names) that the plan is about: those that it names, and those that its groups have committed.
pub(super) fn list_wanted_topics(plan: &Plan, views: &Sides<Option<&ClusterView>>) -> BTreeSet<String> {
    let of_groups = plan.groups.iter().flat_map(|g| g.topics.iter().chain(&g.dlq));
    let named = plan.producers.iter().flat_map(|p| &p.topics).chain(of_groups);
    let committed = plan.groups.iter().flat_map(|g| {
        let of = views
            .iter()
            .filter_map(|(_, view)| *view)
            .filter_map(|view| view.groups.get(&g.name).or(view.groups.get(&g.green_group)));
        of.flat_map(|group| group.offsets.keys())
    });
    named.chain(committed).cloned().collect()
}

async fn look_for_old_formats(wanted: &BTreeSet<String>, tools: &Tools, side: Side, view: &ClusterView) -> Check {
    let topics: Vec<&String> = wanted.iter().filter(|t| view.topics.contains_key(*t)).collect();
    let mut windows = Vec::new();
    let mut unread = BTreeSet::new();
    for topic in &topics {
        for (p, partition) in (0..).zip(&view.topics[*topic].partitions) {
            match (partition.log_start, partition.high_watermark) {
                (Some(start), Some(end)) => {
                    windows.push((TopicPartition::new(tools.names.topic_on(side, topic), p), start, end));
                }
                _ => drop(unread.insert(topic.as_str())),
            }
        }
    }
    let old = match tools.cluster(side).find_old_sets(&windows).await {
        Ok(old) => old,
        Err(why) => return Check::failed("", Health::Unknown, why),
    };
    if let Some(first) = old.first() {
        let holding: BTreeSet<&str> = old.iter().map(|o| o.partition.topic.as_str()).collect();
        let found = format!("{} of {} topics can't be read: {}", holding.len(), topics.len(), first.why.what);
        return Check::new("", Health::Fail, found).advised(first.why.advice.clone());
    }
    if !unread.is_empty() {
        let some: Vec<&str> = unread.iter().take(3).copied().collect();
        let found = format!("the ends of {} topics are not known: {}", unread.len(), visible_names(&some));
        return Check::new("", Health::Unknown, found).advised("allow Describe on them");
    }
    let names: Vec<String> = topics.iter().map(|t| tools.names.topic_on(side, t)).collect();
    let mut will: Vec<String> = Vec::new();
    for (name, config) in tools.cluster(side).describe_configs(&names).await {
        // Kafka 4 has no such setting any more; who may not see it still has the look at the log above.
        let format = config.ok().and_then(|c| c.get("message.format.version")?.value.clone());
        will.extend(
            format
                // A version may go on behind it, as in `0.10.2-IV0`.
                .filter(|f| OLD.iter().any(|old| f.starts_with(old)))
                .map(|f| format!("{name} ({f})", name = visible_name(&name))),
        );
    }
    match will.first() {
        Some(first) => {
            let found = format!("{} topics are written in a format that can't be read here: {first}", will.len());
            Check::new("", Health::Warn, found).advised(
                "raise their message.format.version to 0.11 or later before anything is written; see docs/limits.md",
            )
        }
        None => Check::new("", Health::Ok, format!("{} topics hold nothing that would be misread", topics.len())),
    }
}

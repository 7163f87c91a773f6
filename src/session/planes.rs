//! Whether a side's data plane answers: the clients that will read and write records, tried without changing anything.

use std::time::Duration;

use super::tools::Tools;
use crate::base::{Side, TopicPartition, Trouble};
use crate::kafka::plane::{DataPlane, Probed};
use crate::plan::Plan;

/// How long a client may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Topics of the plan of which one is read from: a record of any of them will do.
const TOPICS: usize = 8;

/// Tries the data plane of a side: its cluster's id, a record of a topic of the plan (if there is one), a transactional
/// producer that is not initialised.
///
/// # Errors
/// Why it can't be used.
pub(crate) async fn try_data_plane(plan: &Plan, tools: &Tools, side: Side) -> Result<Probed, Trouble> {
    // A side whose secrets can't be read has no properties at all: a client of it would go out in plaintext.
    if let Some(why) = tools.why_unreachable(side) {
        return Err(why.clone());
    }
    let some = find_probe_partitions(plan, tools, side).await;
    let plane = DataPlane::of_cluster(tools.cluster(side));
    let tried = tokio::task::spawn_blocking(move || plane.probe(&some, PATIENCE)).await;
    // Not in its own words, which may be made of what the client was given.
    tried.unwrap_or_else(|_| Err(Trouble::new(format!("trying {side}'s data plane broke off"), "try again")))
}

/// First partitions of topics that the plan names, those that this side has.
async fn find_probe_partitions(plan: &Plan, tools: &Tools, side: Side) -> Vec<TopicPartition> {
    let of_groups = plan.groups.iter().flat_map(|g| &g.topics);
    let named = plan.producers.iter().flat_map(|p| &p.topics).chain(of_groups);
    let mut asks: Vec<TopicPartition> = Vec::new();
    for topic in named {
        let tp = TopicPartition::new(tools.names.topic_on(side, topic), 0);
        if !asks.contains(&tp) {
            asks.push(tp);
        }
        if asks.len() == TOPICS {
            break;
        }
    }
    if asks.is_empty() {
        return asks;
    }
    let asked: Vec<_> = asks.into_iter().map(|tp| (tp, crate::kafka::control::OffsetSpec::Latest)).collect();
    let found = tools.cluster(side).list_offsets(&asked).await;
    // A topic of the plan that is not there (yet) says nothing about the data plane.
    found.into_iter().filter(|(_, end)| matches!(end, Ok(Some(_)))).map(|(tp, _)| tp).collect()
}

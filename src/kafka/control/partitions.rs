//! More partitions for topics that exist: CreatePartitions (KIP-195). Kafka takes none away.

use std::collections::BTreeMap;

use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;

use super::ChangeOutcome;
use super::connection::Connection;
use super::failure::{Failure, check_message};
use super::router::Cluster;
use super::scatter::{AtController, BrokerQuestion, Replies};
use super::topics::{CHANGE_TIMEOUT_MS, topic_name};
use crate::base::sanitise::visible_name;

/// Topics in one CreatePartitions request: KRaft takes at most 10,000 partitions in one.
const TOPICS_PER_CHANGE: usize = 100;

impl Cluster {
    /// Gives topics so many partitions in all, and waits (bounded) until the new ones have leaders. `validate_only` changes
    /// nothing. `Refused`: it has as many or more, unless an earlier try of this call may have made them. From then on keys
    /// go to other partitions than before. Needs ALTER on the topic.
    pub async fn create_partitions(
        &self,
        totals: &BTreeMap<String, i32>,
        validate_only: bool,
    ) -> BTreeMap<String, ChangeOutcome> {
        let topics: Vec<AtController<String>> = totals.keys().cloned().map(AtController).collect();
        let found = self.inner.ask_each(&PartitionTotals { totals: totals.clone(), validate_only }, &topics).await;
        let outcomes: BTreeMap<String, ChangeOutcome> =
            found.into_iter().map(|(topic, result)| (topic.0, result.into())).collect();
        if !validate_only {
            let made = totals.iter().filter(|(topic, _)| outcomes.get(*topic).is_some_and(ChangeOutcome::is_done));
            self.inner.await_leaders(&made.map(|(topic, total)| (topic.clone(), *total)).collect()).await;
        }
        outcomes
    }
}

/// How many partitions topics shall have.
struct PartitionTotals {
    totals: BTreeMap<String, i32>,
    validate_only: bool,
}

impl BrokerQuestion<AtController<String>> for PartitionTotals {
    type Told = ();
    const REPEATABLE: bool = false;
    const API: &'static str = "CreatePartitions";
    const MOST: usize = TOPICS_PER_CHANGE;

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[AtController<String>],
    ) -> Replies<AtController<String>, ()> {
        let version = connection.need_version::<CreatePartitionsRequest>("1.0 or later")?;
        let topic = |key: &AtController<String>| {
            CreatePartitionsTopic::default()
                .with_name(topic_name(&key.0))
                .with_count(self.totals.get(&key.0).copied().unwrap_or(0))
                // Where they go is the cluster's choice.
                .with_assignments(None)
        };
        let request = CreatePartitionsRequest::default()
            .with_topics(keys.iter().map(topic).collect())
            .with_timeout_ms(CHANGE_TIMEOUT_MS)
            .with_validate_only(self.validate_only);
        let answer = connection.call(version, &request).await?;
        let results = answer.results.into_iter().map(|r| {
            let subject = format!("partitions of topic {}", visible_name(&r.name));
            let checked = check_message(r.error_code, r.error_message.as_deref(), subject, connection.label())
                .map_err(|failure| failure.naming_right("ALTER on the topic"));
            // A check alone leaves nothing behind, whatever comes of it.
            let checked = if self.validate_only { checked } else { checked.map_err(Failure::of_change) };
            (AtController(r.name.to_string()), checked)
        });
        Ok(results.collect())
    }
}

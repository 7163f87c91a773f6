//! Who writes to a partition, as its leader remembers it: DescribeProducers (KIP-664, Kafka 2.8).

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::{DescribeProducersRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::check_message;
use super::router::Cluster;
use super::scatter::{BrokerQuestion, Replies};
use super::transactions::{offered_version, to_answer};
use crate::base::{At, TopicPartition};
use crate::estate::transactions::{Answer, ProducerView, Since};

impl Cluster {
    /// The producers that each partition's leader remembers (idempotent and transactional ones; others leave no trace, so
    /// an empty answer does not prove that nobody writes). Needs READ on the topic.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
    ) -> BTreeMap<TopicPartition, Answer<Vec<ProducerView>>> {
        let found = self.inner.ask_each(&ProducersQuestion, partitions).await;
        found.into_iter().map(|(tp, r)| (tp, to_answer(r, Since::V2_8))).collect()
    }
}

struct ProducersQuestion;

impl BrokerQuestion<TopicPartition> for ProducersQuestion {
    type Told = Vec<ProducerView>;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeProducers";

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[TopicPartition],
    ) -> Replies<TopicPartition, Self::Told> {
        let version = offered_version::<DescribeProducersRequest>(connection, 0)?;
        let mut topics: Vec<TopicRequest> = Vec::new();
        for tp in keys {
            // Sorted: a request names each topic once.
            match topics.last_mut().filter(|t| t.name.as_str() == tp.topic) {
                Some(topic) => topic.partition_indexes.push(tp.partition),
                None => {
                    let name = TopicName(StrBytes::from_string(tp.topic.clone()));
                    topics.push(TopicRequest::default().with_name(name).with_partition_indexes(vec![tp.partition]));
                }
            }
        }
        let answer = connection.call(version, &DescribeProducersRequest::default().with_topics(topics)).await?;
        let mut out = Vec::with_capacity(keys.len());
        for topic in answer.topics {
            for p in topic.partitions {
                let tp = TopicPartition::new(topic.name.as_str(), p.partition_index);
                let subject = format!("producers of {tp}");
                let checked = check_message(p.error_code, p.error_message.as_deref(), subject, connection.label());
                out.push((tp, checked.map(|()| p.active_producers.into_iter().map(producer_view_of).collect())));
            }
        }
        Ok(out)
    }
}

fn producer_view_of(state: ProducerState) -> ProducerView {
    ProducerView {
        producer_id: state.producer_id.0,
        // Epochs are 16 bits wide everywhere else.
        epoch: i16::try_from(state.producer_epoch).unwrap_or(-1),
        last_sequence: state.last_sequence,
        // -1 is Kafka's word for none in all three, and 0 is a value: the first epoch, the first offset.
        last_timestamp: Some(At(state.last_timestamp)).filter(|at| at.0 >= 0),
        coordinator_epoch: Some(state.coordinator_epoch).filter(|e| *e >= 0),
        open_from: Some(state.current_txn_start_offset).filter(|o| *o >= 0),
    }
}

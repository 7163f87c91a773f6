//! Topics and clients for tests, without a JVM a call.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Broker;
use crate::support::patience::Patience;

const WITHIN: Duration = Duration::from_secs(120);

/// Creates a topic with the given configuration entries and waits until its partitions have leaders.
pub fn create_topic(broker: &Broker, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    create_topic_with(&base(broker), topic, partitions, config);
}

/// `create_topic` with a client configuration of one's own (a secured listener).
pub fn create_topic_with(client: &ClientConfig, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    // A broker of ZooKeeper's times serves a moment before it knows a controller, and CreateTopics waits for one: looked
    // for again each second, not after five minutes.
    let mut client = client.clone();
    client.set("topic.metadata.refresh.interval.ms", "1000");
    let admin: AdminClient<DefaultClientContext> = client.create().expect("an admin client");
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    new.config = config.to_vec();
    let options = AdminOptions::new().operation_timeout(Some(WITHIN)).request_timeout(Some(WITHIN));
    let results = block_on(admin.create_topics([&new], &options)).expect("CreateTopics answers");
    for result in results {
        result.unwrap_or_else(|(name, code)| panic!("creating topic {name}: {code}"));
    }
    // The controller has it; the broker that clients ask takes a moment more.
    let mut patience = Patience::new(WITHIN);
    loop {
        let seen = admin.inner().fetch_metadata(Some(topic), WITHIN).expect("metadata");
        let led = |t: &rdkafka::metadata::MetadataTopic| t.partitions().iter().filter(|p| p.leader() >= 0).count();
        if seen.topics().iter().any(|t| i32::try_from(led(t)) == Ok(partitions)) {
            return;
        }
        assert!(patience.left().is_some(), "topic {topic} has no leaders {}", patience.words());
    }
}

/// Deletes all records of a partition below `before`.
pub fn delete_records(broker: &Broker, topic: &str, partition: i32, before: i64) {
    let admin: AdminClient<DefaultClientContext> = base(broker).create().expect("an admin client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("a valid offset");
    let options = AdminOptions::new().operation_timeout(Some(WITHIN)).request_timeout(Some(WITHIN));
    let answer = block_on(admin.delete_records(&list, &options)).expect("DeleteRecords answers");
    for element in answer.elements() {
        element.error().unwrap_or_else(|e| panic!("deleting records of {topic}-{partition}: {e}"));
    }
}

/// Log start offset and high watermark of every partition of a topic.
pub fn end_offsets(broker: &Broker, topic: &str) -> BTreeMap<i32, (i64, i64)> {
    end_offsets_as_seen(&base(broker).create().expect("a consumer"), topic)
}

/// The same by a client of one's own: whoever looks again and again needs one only.
pub fn end_offsets_as_seen(consumer: &BaseConsumer, topic: &str) -> BTreeMap<i32, (i64, i64)> {
    let metadata = consumer.fetch_metadata(Some(topic), WITHIN).expect("metadata");
    let partitions = metadata.topics()[0].partitions().iter().map(rdkafka::metadata::MetadataPartition::id);
    partitions.map(|partition| (partition, watermarks(consumer, topic, partition))).collect()
}

/// A broker that has just come back leads nothing for a moment, and says so.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let mut patience = Patience::new(WITHIN);
    loop {
        match consumer.fetch_watermarks(topic, partition, WITHIN) {
            Ok(found) => return found,
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable,
            )) => {
                let left = patience.left().unwrap_or_else(|| panic!("nobody leads it {}", patience.words()));
                std::thread::park_timeout(left.min(Duration::from_millis(100)));
            }
            Err(e) => panic!("watermarks of {topic}-{partition}: {e}"),
        }
    }
}

/// A configuration with the bootstrap address, quiet on stderr.
pub fn base(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.bootstrap).set("log_level", "0");
    config
}

/// A producer with `acks=all`, `linger.ms=0`, and the given properties over it.
pub fn producer(broker: &Broker, properties: &[(&str, &str)]) -> BaseProducer {
    let mut config = base(broker);
    config.set("acks", "all").set("linger.ms", "0");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// A consumer of a group that starts at the earliest offset and commits only when told.
pub fn consumer(broker: &Broker, group: &str, properties: &[(&str, &str)]) -> BaseConsumer {
    let mut config = base(broker);
    config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create().expect("a consumer")
}

/// Commits, as a client's application would: a coordinator that has just begun reads its groups first, and takes none before;
/// a broker that was fenced for a moment is none.
pub fn commit<X: ConsumerContext, C: Consumer<X>>(client: &C, offsets: &TopicPartitionList) {
    let mut patience = Patience::new(WITHIN);
    loop {
        match client.commit(offsets, CommitMode::Sync) {
            Ok(()) => return,
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator,
            )) => {
                let left = patience.left().unwrap_or_else(|| panic!("it has no coordinator {}", patience.words()));
                std::thread::park_timeout(left.min(Duration::from_millis(100)));
            }
            Err(e) => panic!("committing: {e}"),
        }
    }
}

/// Commits offsets of a topic's partitions, from 0 on, for a group that nobody is in.
pub fn commit_offsets(broker: &Broker, group: &str, topic: &str, offsets: &[i64]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        list.add_partition_offset(topic, partition, Offset::Offset(*offset)).expect("an offset");
    }
    commit(&consumer(broker, group, &[]), &list);
}

/// Runs a future to its end from a plain or an async test alike: on a thread of its own.
pub fn block_on<F: Future + Send>(future: F) -> F::Output
where
    F::Output: Send,
{
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        scope.spawn(move || runtime.block_on(future)).join().expect("the future does not panic")
    })
}

/// Deletes a topic.
pub fn delete_topic(broker: &Broker, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = base(broker).create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(WITHIN)).request_timeout(Some(WITHIN));
    let results = block_on(admin.delete_topics(&[topic], &options)).expect("DeleteTopics answers");
    for result in results {
        result.unwrap_or_else(|(name, code)| panic!("deleting topic {name}: {code}"));
    }
}

/// Deletes a group in which nobody is.
pub fn delete_group(broker: &Broker, group: &str) {
    let admin: AdminClient<DefaultClientContext> = base(broker).create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(WITHIN)).request_timeout(Some(WITHIN));
    let results = block_on(admin.delete_groups(&[group], &options)).expect("DeleteGroups answers");
    for result in results {
        result.unwrap_or_else(|(name, code)| panic!("deleting group {name}: {code}"));
    }
}

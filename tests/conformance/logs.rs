//! Topics, producing, fetching, offsets by time.

use bytes::{Bytes, BytesMut};
use cutover::sim::state::batch::encode_batch;
use cutover::sim::state::{BatchProducer, NewRecord};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest, FetchRequest, InitProducerIdRequest,
    MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest,
};
use kafka_protocol::records::RecordBatchDecoder;

use super::{Case, text, until, word};

pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

/// Records with these timestamps.
pub fn stamped(timestamps: &[i64]) -> Vec<NewRecord> {
    timestamps.iter().map(|t| NewRecord::new("key", "value", *t)).collect()
}

/// What a fetch of one partition gave.
pub struct Fetched {
    pub error: String,
    pub hw: i64,
    pub lso: i64,
    pub start: i64,
    /// Offsets with `!` on control records.
    pub offsets: Vec<String>,
    /// First offsets of aborted transactions.
    pub aborted: Vec<i64>,
}

impl std::fmt::Display for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { error, hw, lso, start, offsets, aborted } = self;
        write!(f, "{error} hw={hw} lso={lso} start={start} [{}] aborted={aborted:?}", offsets.join(" "))
    }
}

impl Case {
    /// Produces one batch (v9): error, base offset, whether a log append time was given, log start.
    pub fn produce_raw(&mut self, topic: &str, partition: i32, raw: Bytes, id: Option<&str>) -> String {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(raw));
        let topic = TopicProduceData::default().with_name(self.topic_name(topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(id.map(|i| text(i).into()))
            .with_acks(-1)
            .with_timeout_ms(5000)
            .with_topic_data(vec![topic]);
        let p = self.wire.call(9, &request).responses.remove(0).partition_responses.remove(0);
        let stamped = if p.log_append_time_ms >= 0 { " stamped" } else { "" };
        format!("{} base={} start={}{stamped}", word(p.error_code), p.base_offset, p.log_start_offset)
    }

    pub fn produce(&mut self, topic: &str, partition: i32, timestamps: &[i64]) -> String {
        self.produce_raw(topic, partition, encode_batch(&stamped(timestamps), BatchProducer::PLAIN), None)
    }

    /// Fetches one partition (v11).
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64, isolation: i8) -> Fetched {
        self.fetch_most(topic, partition, offset, isolation, 1 << 20)
    }

    pub fn fetch_most(&mut self, topic: &str, partition: i32, offset: i64, isolation: i8, most: i32) -> Fetched {
        let p = FetchPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(offset)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(most);
        let t = FetchTopic::default().with_topic(self.topic_name(topic)).with_partitions(vec![p]);
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(100)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_isolation_level(isolation)
            .with_session_epoch(-1)
            .with_topics(vec![t]);
        let p = self.wire.call(11, &request).responses.remove(0).partitions.remove(0);
        let mut records = p.records.unwrap_or_default();
        let mut offsets = Vec::new();
        while records.len() > 12 {
            // a part of a batch at the end is cut off, as clients do
            let Ok(set) = RecordBatchDecoder::decode(&mut records) else { break };
            let mark = |control: bool| if control { "!" } else { "" };
            offsets.extend(set.records.iter().map(|r| format!("{}{}", r.offset, mark(r.control))));
        }
        let aborted = p.aborted_transactions.unwrap_or_default();
        Fetched {
            error: word(p.error_code),
            hw: p.high_watermark,
            lso: p.last_stable_offset,
            start: p.log_start_offset,
            offsets,
            aborted: aborted.iter().map(|a| a.first_offset).collect(),
        }
    }

    fn metadata(&mut self, full_name: &str) -> String {
        let topic = MetadataRequestTopic::default().with_name(Some(text(full_name).into()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let topic = self.wire.call(9, &request).topics.remove(0);
        format!("{} partitions={}", word(topic.error_code), topic.partitions.len())
    }

    fn delete_before(&mut self, topic: &str, partition: i32, offset: i64) -> String {
        let p = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let t = DeleteRecordsTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![p]);
        let request = DeleteRecordsRequest::default().with_topics(vec![t]).with_timeout_ms(5000);
        let p = self.wire.call(2, &request).topics.remove(0).partitions.remove(0);
        format!("{} low={}", word(p.error_code), p.low_watermark)
    }
}

pub fn topics(case: &mut Case) {
    let name = case.name("t");
    for (what, partitions, replication, config) in [
        ("0 partitions", 0, 1, None),
        ("-5 partitions", -5, 1, None),
        ("replication 7", 1, 7, None),
        ("replication 0", 1, 0, None),
        ("retention soon", 1, 1, Some(("retention.ms", "soon"))),
        ("policy keep", 1, 1, Some(("cleanup.policy", "keep"))),
        ("timestamps Mine", 1, 1, Some(("message.timestamp.type", "Mine"))),
        ("unknown key", 1, 1, Some(("colour", "blue"))),
        ("good", 2, 1, Some(("retention.ms", "1000000"))),
        ("again", 2, 1, None),
    ] {
        let config: Vec<(&str, &str)> = config.into_iter().collect();
        let answer = case.create(&name, partitions, replication, &config);
        case.say(format!("create {what}: {answer}"));
    }
    for bad in ["", ".", "a b", &"x".repeat(250)] {
        let answer = case.create(bad, 1, 1, &[]);
        case.say(format!("create a name of {} bytes: {answer}", bad.len()));
    }
    until("the topic is known", || case.metadata(&name).starts_with("ok"));
    for asked in [name.clone(), case.name("unknown"), "a b".to_owned()] {
        let answer = case.metadata(&asked);
        case.say(format!("metadata {asked}: {answer}"));
    }
    for _ in 0..2 {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![text(&name).into()]).with_timeout_ms(5000);
        let answer = word(case.wire.call(4, &request).responses[0].error_code);
        case.say(format!("delete: {answer}"));
        until("the topic is gone", || case.metadata(&name).starts_with("Unknown"));
    }
}

pub fn produce_and_fetch(case: &mut Case) {
    case.topic("t", 2, &[]);
    let t = now();
    for records in [3, 1, 2] {
        let answer = case.produce("t", 0, &vec![t; records]);
        case.say(format!("produce {records}: {answer}"));
    }
    for (topic, partition) in [("t", 7), ("u", 0)] {
        let answer = case.produce(topic, partition, &[t]);
        case.say(format!("produce to {topic}-{partition}: {answer}"));
        let answer = case.fetch(topic, partition, 0, 0);
        case.say(format!("fetch {topic}-{partition}: {answer}"));
        let answer = case.list(topic, partition, -1, 0);
        case.say(format!("list {topic}-{partition}: {answer:?}"));
    }
    for at in [-1, -2, -3, -4, 0, t + 1] {
        let (error, timestamp, offset) = case.list("t", 0, at, 0);
        let (what, stamp) = (if at > t { "later" } else { "" }, if timestamp == t { "t" } else { "-" });
        case.say(format!("list {what}{}: {error} {stamp} {offset}", at.min(0)));
        let (error, timestamp, offset) = case.list("t", 1, at, 0);
        case.say(format!("list empty {what}{}: {error} {timestamp} {offset}", at.min(0)));
    }
    for offset in [0, 1, 3, 4, 6, 7, -1] {
        let answer = case.fetch("t", 0, offset, 0);
        case.say(format!("fetch {offset}: {answer}"));
    }
    for most in [1, 100, 250] {
        let answer = case.fetch_most("t", 0, 0, 1, most);
        case.say(format!("fetch at most {most} bytes: {answer}"));
    }
    for (current, epoch) in [(-1, 0), (-1, 5), (0, 0), (9, 0)] {
        let p = OffsetForLeaderPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let t = OffsetForLeaderTopic::default().with_topic(case.topic_name("t")).with_partitions(vec![p]);
        let request = OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![t]);
        let p = case.wire.call(4, &request).topics.remove(0).partitions.remove(0);
        let error = word(p.error_code);
        case.say(format!("epoch {epoch} known {current}: {error} {} {}", p.leader_epoch, p.end_offset));
    }
}

pub fn by_time(case: &mut Case) {
    let t = now() - 3_600_000;
    // out of order within a batch and across batches
    let batches: [&[i64]; 4] = [&[t + 100, t + 300, t + 200], &[t + 50], &[t + 300, t + 400], &[t + 150, t + 350]];
    case.topic("t", 1, &[]);
    for batch in batches {
        case.produce("t", 0, batch);
    }
    for at in [0, 50, 51, 100, 101, 200, 250, 300, 301, 350, 400, 401] {
        for isolation in [0, 1] {
            let (error, timestamp, offset) = case.list("t", 0, t + at, isolation);
            let stamp = if timestamp < 0 { timestamp } else { timestamp - t };
            case.say(format!("at {at} isolation {isolation}: {error} {stamp} {offset}"));
        }
    }
    let (error, timestamp, offset) = case.list("t", 0, -3, 0);
    case.say(format!("max: {error} {} {offset}", timestamp - t));
    let answer = case.delete_before("t", 0, 2);
    case.say(format!("delete before 2: {answer}"));
    for at in [0, 100, 300, 301] {
        let (error, timestamp, offset) = case.list("t", 0, t + at, 0);
        case.say(format!("at {at}: {error} {} {offset}", timestamp - t));
    }
}

pub fn log_append_time(case: &mut Case) {
    case.topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let before = now();
    let answer = case.produce("t", 0, &[1000, 2000]);
    case.say(format!("produce: {answer}"));
    let (error, timestamp, offset) = case.list("t", 0, before, 0);
    case.say(format!("at the append: {error} {} {offset}", timestamp >= before));
    let (error, timestamp, offset) = case.list("t", 0, -3, 0);
    case.say(format!("max: {error} {} {offset}", timestamp >= before));
    let answer = case.fetch("t", 0, 0, 0);
    case.say(format!("fetch: {answer}"));
}

pub fn delete_records(case: &mut Case) {
    case.topic("t", 1, &[]);
    let t = now();
    case.produce("t", 0, &[t; 5]);
    case.produce("t", 0, &[t; 5]);
    for before in [2, 1, 7, 11, -2] {
        let answer = case.delete_before("t", 0, before);
        case.say(format!("delete before {before}: {answer}"));
    }
    for offset in [0, 6, 7, 10] {
        let answer = case.fetch("t", 0, offset, 0);
        case.say(format!("fetch {offset}: {answer}"));
    }
    for at in [-2, -1, 0] {
        let (error, _, offset) = case.list("t", 0, at, 0);
        case.say(format!("list {at}: {error} {offset}"));
    }
    let answer = case.delete_before("t", 0, -1);
    case.say(format!("delete all: {answer}"));
    let answer = case.fetch("t", 0, 10, 0);
    case.say(format!("fetch 10: {answer}"));
    let answer = case.produce("t", 0, &[t]);
    case.say(format!("produce: {answer}"));
    let answer = case.delete_before("u", 0, 1);
    case.say(format!("unknown topic: {answer}"));
}

pub fn refused(case: &mut Case) {
    case.topic("small", 1, &[("max.message.bytes", "200")]);
    case.topic("compact", 1, &[("cleanup.policy", "compact")]);
    case.topic("t", 1, &[]);
    let t = now();
    let large = encode_batch(&[NewRecord::new("k", vec![b'x'; 500], t)], BatchProducer::PLAIN);
    let answer = case.produce_raw("small", 0, large, None);
    case.say(format!("too large: {answer}"));
    let no_key = encode_batch(
        &[NewRecord { value: Some("v".into()), timestamp: t, ..Default::default() }],
        BatchProducer::PLAIN,
    );
    let answer = case.produce_raw("compact", 0, no_key, None);
    case.say(format!("no key for a compacted topic: {answer}"));
    let good = encode_batch(&stamped(&[t]), BatchProducer::PLAIN);
    let mut broken = BytesMut::from(&good[..]);
    broken[65] ^= 1;
    let answer = case.produce_raw("t", 0, broken.freeze(), None);
    case.say(format!("broken: {answer}"));
    let answer = case.produce_raw("t", 0, Bytes::from([&good[..], &good[..]].concat()), None);
    case.say(format!("two batches: {answer}"));
    let answer = case.produce("t", 0, &[t + 2 * 3_600_000]);
    case.say(format!("two hours ahead: {answer}"));
    let answer = case.produce("t", 0, &[0]);
    case.say(format!("very old: {answer}"));
}

pub fn idempotent(case: &mut Case) {
    case.topic("t", 1, &[]);
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let mut answer = case.wire.call(4, &request);
    until("producer ids are given out", || {
        answer = case.wire.call(4, &request);
        answer.error_code == 0
    });
    case.say(format!("init: {} epoch={}", word(answer.error_code), answer.producer_epoch));
    let id = answer.producer_id.0;
    let t = now();
    let steps =
        [(0, 0, 2), (0, 2, 3), (0, 0, 2), (0, 2, 3), (0, 2, 2), (0, 9, 1), (1, 3, 1), (1, 0, 1), (0, 5, 1), (1, 1, 1)];
    for (epoch, sequence, count) in steps {
        let writer = BatchProducer { id, epoch, sequence, transactional: false };
        let answer = case.produce_raw("t", 0, encode_batch(&stamped(&vec![t; count]), writer), None);
        case.say(format!("epoch {epoch} sequence {sequence} x{count}: {answer}"));
    }
    // an id that this broker never saw here may begin anywhere
    let writer = BatchProducer { id: id + 1_000_000, epoch: 3, sequence: 40, transactional: false };
    let answer = case.produce_raw("t", 0, encode_batch(&stamped(&[t]), writer), None);
    case.say(format!("unknown id: {answer}"));
    for sequence in [i32::MAX - 1, 1] {
        let writer = BatchProducer { id: id + 2_000_000, epoch: 0, sequence, transactional: false };
        let answer = case.produce_raw("t", 0, encode_batch(&stamped(&[t; 3]), writer), None);
        case.say(format!("sequences wrap, {sequence}: {answer}"));
    }
}

pub fn configuration(case: &mut Case) {
    case.topic("t", 1, &[("retention.ms", "1234567"), ("cleanup.policy", "compact,delete")]);
    let keys = [
        "cleanup.policy",
        "compression.type",
        "delete.retention.ms",
        "max.message.bytes",
        "message.timestamp.after.max.ms",
        "message.timestamp.type",
        "min.insync.replicas",
        "retention.bytes",
        "retention.ms",
        "segment.bytes",
        "segment.ms",
        "nothing.like.it",
    ];
    for topic in ["t", "u"] {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(&case.name(topic)))
            .with_configuration_keys(Some(keys.iter().map(|k| text(k)).collect()));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let result = case.wire.call(4, &request).results.remove(0);
        case.say(format!("{topic}: {}", word(result.error_code)));
        let mut lines: Vec<String> = result
            .configs
            .iter()
            .map(|c| {
                let value = c.value.as_ref().map_or("null", |v| v.as_str());
                let own = if c.config_source == 1 { " (own)" } else { "" };
                format!("  {}={value}{own}", c.name.as_str())
            })
            .collect();
        lines.sort();
        for line in lines {
            case.say(line);
        }
    }
}

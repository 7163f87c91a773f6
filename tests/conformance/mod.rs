//! What Kafka answers, case by case. Each case talks to one broker and writes down every answer; the transcript of
//! real Kafka 4.3.1 is kept in `transcript.txt`, and in `guarded.txt` with an authorizer. `tests/kafka` holds real Kafka to it, `tests/simulation` the
//! simulated one: where the simulation differs from the file, the simulation is wrong.
//!
//! To record anew: `CONFORMANCE_RECORD=1 cargo test --test kafka kafka_answers`, and read the difference.

#![allow(dead_code)]

mod acls;
mod groups;
mod logs;
mod markers;
mod setup;
mod transactions;
mod wire;

use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{CreateTopicsRequest, FindCoordinatorRequest, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

pub use wire::Wire;

/// A case by name.
pub type CaseFn = fn(&mut Case);

/// Every case, in the order of the transcript.
pub const CASES: &[(&str, CaseFn)] = &[
    ("topics", logs::topics),
    ("produce and fetch", logs::produce_and_fetch),
    ("list offsets by time", logs::by_time),
    ("log append time", logs::log_append_time),
    ("delete records", logs::delete_records),
    ("what is refused", logs::refused),
    ("idempotent producers", logs::idempotent),
    ("configuration", logs::configuration),
    ("commits without members", groups::commits),
    ("members", groups::members),
    ("two members", groups::two_members),
    ("static members", groups::static_members),
    ("sessions", groups::sessions),
    ("transactions", transactions::transactions),
    ("fencing", transactions::fencing),
    ("offsets in transactions", transactions::offsets),
    ("lists of transactions", markers::listed),
    ("markers by hand", markers::by_hand),
    ("no authorizer", acls::no_authorizer),
    ("settings of topics", setup::settings),
    ("partitions that are added", setup::partitions),
    ("quotas", setup::quotas),
    ("SCRAM users", setup::scram_users),
];

/// Cases for a broker with an authorizer that allows everybody what no ACL is about, in the order of their transcript.
pub const GUARDED: &[(&str, CaseFn)] =
    &[("ACLs", acls::kept), ("ACLs on topics", acls::topics), ("ACLs on transactional ids", acls::transactional_ids)];

/// What real Kafka answered to [`CASES`].
pub const TRANSCRIPT: &str = "transcript.txt";
/// What real Kafka with an authorizer answered to [`GUARDED`].
pub const GUARDED_TRANSCRIPT: &str = "guarded.txt";

/// One case on one broker.
pub struct Case {
    pub wire: Wire,
    pub address: String,
    prefix: String,
    lines: Vec<String>,
}

/// Runs cases against a broker; `prefix` keeps topics and groups apart from others'.
pub fn transcript(cases: &[(&str, CaseFn)], address: &str, prefix: &str) -> String {
    let mut out = String::new();
    for (i, (name, run)) in cases.iter().enumerate() {
        let wire = Wire::connect(address);
        let mut case = Case { wire, address: address.to_owned(), prefix: format!("{prefix}-{i}"), lines: Vec::new() };
        run(&mut case);
        out.push_str(&format!("# {name}\n{}\n\n", case.lines.join("\n")));
    }
    out
}

/// Where a transcript is kept.
pub fn path(file: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file)
}

/// Compares with what real Kafka answered, line by line.
pub fn compare(file: &str, found: &str) {
    let expected = std::fs::read_to_string(path(file)).unwrap();
    let mut section = "";
    let mut differences = Vec::new();
    let longest = expected.lines().count().max(found.lines().count());
    for i in 0..longest {
        let (e, f) = (expected.lines().nth(i).unwrap_or("(nothing)"), found.lines().nth(i).unwrap_or("(nothing)"));
        if e.starts_with('#') {
            section = e;
        }
        if e != f {
            differences.push(format!("{section}\n  Kafka: {e}\n  here:  {f}"));
        }
    }
    assert!(differences.is_empty(), "{} answers differ:\n{}", differences.len(), differences.join("\n"));
}

/// An error code in Kafka's words.
pub fn word(code: i16) -> String {
    code.err().map_or_else(|| "ok".to_owned(), |e: ResponseError| format!("{e:?}"))
}

pub fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

/// Waits for a condition, at most 20 s.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited 20 s for: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

impl Case {
    /// Writes a line of the transcript. Names of this run are made general.
    pub fn say(&mut self, line: impl Into<String>) {
        let line = line.into().replace(&format!("{}-", self.prefix), "");
        self.lines.push(line.trim_end().to_owned());
    }

    /// A name of this case's own.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub fn topic_name(&self, name: &str) -> TopicName {
        text(&self.name(name)).into()
    }

    /// Creates a topic; the error in words.
    pub fn create(&mut self, full_name: &str, partitions: i32, replication: i16, config: &[(&str, &str)]) -> String {
        let configs = config
            .iter()
            .map(|(k, v)| CreatableTopicConfig::default().with_name(text(k)).with_value(Some(text(v))))
            .collect();
        let topic = CreatableTopic::default()
            .with_name(text(full_name).into())
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
            .with_configs(configs);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let response = self.wire.call(7, &request);
        word(response.topics[0].error_code)
    }

    /// Creates a topic of this case and waits until its partitions can be used.
    pub fn topic(&mut self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let full = self.name(name);
        assert_eq!(self.create(&full, partitions, 1, config), "ok");
        for p in 0..partitions {
            until("the partition has a leader", || self.list(name, p, -1, 0).0 == "ok");
        }
    }

    /// ListOffsets v7: error, timestamp, offset.
    pub fn list(&mut self, topic: &str, partition: i32, timestamp: i64, isolation: i8) -> (String, i64, i64) {
        let p = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let t = ListOffsetsTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![p]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(isolation)
            .with_topics(vec![t]);
        let p = self.wire.call(7, &request).topics.remove(0).partitions.remove(0);
        (word(p.error_code), p.timestamp, p.offset)
    }

    /// Waits until the coordinator of a group (0) or transactional id (1) is there.
    pub fn coordinator(&mut self, kind: i8, full_name: &str) {
        until("the coordinator is there", || {
            let request =
                FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text(full_name)]);
            self.wire.call(4, &request).coordinators[0].error_code == 0
        });
    }
}

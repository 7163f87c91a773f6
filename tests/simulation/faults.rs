//! Faults on request, as clients meet them.

use std::time::{Duration, Instant};

use cutover::base::{Side, TopicPartition};
use cutover::kafka::control::{ChangeOutcome, Cluster};
use cutover::kafka::properties::ClientProperties;
use cutover::sim::state::{BatchProducer, Commit, ConnectionCut, NewRecord, ResponseError};
use cutover::sim::{SimCluster, SimConfig};
use kafka_protocol::messages::ApiKey;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message};

use crate::patience::Patience;

const PATIENCE: Duration = Duration::from_secs(240);

fn cluster() -> SimCluster {
    let cluster = SimCluster::start(SimConfig::new(Side::Green)).unwrap();
    cluster.with_state(|s| s.create_topic("t", 1, 3, &[], false)).unwrap();
    cluster
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut patience = Patience::new(PATIENCE);
    while !holds() {
        assert!(patience.left().is_some(), "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Commits 7 for a group on t-0 through the control plane.
fn commit(cluster: &SimCluster) -> ChangeOutcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let control = Cluster::new(Side::Green, &cluster.bootstrap(), &ClientProperties::default());
    let tp = TopicPartition::new("t", 0);
    runtime.block_on(async { control.commit_offsets("g", &[(tp.clone(), 7)]).await.unwrap()[&tp].clone() })
}

#[test]
fn a_commit_whose_answer_is_cut_off_took_effect_all_the_same() {
    let cluster = cluster();
    // often enough that every attempt is cut
    cluster.with_state(|s| s.faults.cut_next(ApiKey::OffsetCommit as i16, 100, ConnectionCut::BeforeAnswer));
    assert!(matches!(commit(&cluster), ChangeOutcome::Unknown(_)), "nobody can know");
    assert_eq!(cluster.with_state(|s| s.fetch_offset("g", "t", 0, true).offset), 7);
}

#[test]
fn a_commit_that_is_cut_off_before_it_took_effect_is_unknown_too() {
    let cluster = cluster();
    cluster.with_state(|s| s.faults.cut_next(ApiKey::OffsetCommit as i16, 100, ConnectionCut::BeforeEffect));
    assert!(matches!(commit(&cluster), ChangeOutcome::Unknown(_)));
    assert_eq!(cluster.with_state(|s| s.fetch_offset("g", "t", 0, true).offset), -1);
    cluster.with_state(|s| s.faults = Default::default());
    assert!(commit(&cluster).is_done());
}

struct Told(std::sync::mpsc::Sender<Result<i64, KafkaError>>);

impl ClientContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let told = result.as_ref().map(Message::offset).map_err(|(e, _)| e.clone());
        self.0.send(told).unwrap();
    }
}

#[test]
fn produce_requests_fail_as_often_as_asked() {
    let cluster = cluster();
    let (sender, told) = std::sync::mpsc::channel();
    let producer: ThreadedProducer<Told> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap()).create_with_context(Told(sender)).unwrap();
    cluster.with_state(|s| s.faults.fail_next_produces("t", 2, ResponseError::NotEnoughReplicas));
    producer.send(BaseRecord::to("t").key("k").payload("v")).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), 0, "retried until it passed");
    cluster.with_state(|s| s.faults.fail_next_produces("t", 1, ResponseError::PolicyViolation));
    producer.send(BaseRecord::to("t").key("k").payload("v")).unwrap();
    told.recv_timeout(PATIENCE).unwrap().unwrap_err();
    producer.send(BaseRecord::to("t").key("k").payload("v")).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), 1);
}

fn consumer(cluster: &SimCluster) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", "g")
        .set("auto.offset.reset", "earliest")
        .set("heartbeat.interval.ms", "100")
        .set("session.timeout.ms", "6000")
        .create()
        .unwrap();
    consumer.subscribe(&["t"]).unwrap();
    consumer
}

fn next(consumer: &BaseConsumer) -> i64 {
    let start = Instant::now();
    loop {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
            return message.offset();
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for a record");
    }
}

fn put(cluster: &SimCluster, n: i64) {
    cluster.with_state_at(|s, now| {
        for _ in 0..n {
            s.append_records(now, "t", 0, &[NewRecord::new("k", "v", now)], BatchProducer::PLAIN, None).unwrap();
        }
    });
}

#[test]
fn a_log_that_is_trimmed_under_a_reader_resets_it() {
    let cluster = cluster();
    put(&cluster, 10);
    cluster.with_state(|s| {
        s.delete_records("t", 0, 5).unwrap();
        s.commit_offset("g", "t", 0, Commit { offset: 2, leader_epoch: -1, ..Commit::default() }).unwrap();
    });
    assert_eq!(next(&consumer(&cluster)), 5, "its place is gone: it starts where the log does");
}

#[test]
fn a_group_that_vanishes_under_its_member_forms_again() {
    let cluster = cluster();
    let consumer = consumer(&cluster);
    put(&cluster, 1);
    next(&consumer);
    cluster.with_state(|s| s.drop_group("g"));
    until("the member is back", || {
        let _ = consumer.poll(Duration::from_millis(20));
        cluster.with_state(|s| {
            s.groups().get("g").is_some_and(|g| g.members.len() == 1 && g.state.to_string() == "Stable")
        })
    });
}

#[test]
fn a_slow_broker_answers_late_and_a_dead_one_not_at_all() {
    let cluster = cluster();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", cluster.bootstrap()).create().unwrap();
    let look = |within| producer.client().fetch_metadata(Some("t"), within).map(|m| m.topics().len());
    assert_eq!(look(PATIENCE), Ok(1));
    cluster.with_state(|s| (1..=3).for_each(|b| s.faults.delay(b, 300)));
    let begun = Instant::now();
    assert_eq!(look(PATIENCE), Ok(1));
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    cluster.with_state(|s| (1..=3).for_each(|b| s.kill_broker(b)));
    look(Duration::from_millis(500)).unwrap_err();
    for address in cluster.bootstrap().split(',') {
        until("the port refuses", || std::net::TcpStream::connect(address).is_err());
    }
    cluster.with_state(|s| {
        (1..=3).for_each(|b| s.revive_broker(b));
        s.faults = Default::default();
    });
    assert_eq!(look(PATIENCE), Ok(1));
}

/// Before Kafka 3.0 there is no batched OffsetFetch, before 2.6 ListGroups tells no states, before 2.4 no OffsetDelete.
#[test]
fn an_old_cluster_is_seen_whole_all_the_same() {
    use cutover::kafka::control::SnapshotOptions;

    let cluster = cluster();
    cluster.with_state(|s| {
        for (api, version) in [
            (ApiKey::OffsetFetch, 7),
            (ApiKey::FindCoordinator, 3),
            (ApiKey::ListGroups, 3),
            (ApiKey::OffsetDelete, -1),
        ] {
            s.faults.limit_version(api as i16, version);
        }
        for g in 0..30 {
            s.commit_offset(&format!("g{g}"), "t", 0, Commit { offset: g, leader_epoch: -1, ..Commit::default() })
                .unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let control = Cluster::new(Side::Green, &cluster.bootstrap(), &ClientProperties::default());
    let view = runtime.block_on(async { control.snapshot(&SnapshotOptions::default()).await.unwrap() });
    for g in 0..30 {
        let group = &view.groups[&format!("g{g}")];
        assert_eq!((group.committed_offset("t", 0), &group.trouble), (Some(g), &None), "g{g}");
    }
    let tp = [TopicPartition::new("t", 0)];
    let gone = runtime.block_on(async { control.delete_offsets("g1", &tp).await });
    assert!(!gone.is_ok_and(|o| o.values().all(ChangeOutcome::is_done)), "it can't be done, and nobody says it was");
    assert_eq!(cluster.with_state(|s| s.fetch_offset("g1", "t", 0, true).offset), 1);
}

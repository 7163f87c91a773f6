//! Unmodified librdkafka clients against a simulated cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cutover::base::Side;
use cutover::sim::state::{BatchProducer, IsolationLevel, NewRecord};
use cutover::sim::{SimCluster, SimConfig};
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

const PATIENCE: Duration = Duration::from_secs(240);

fn cluster() -> SimCluster {
    let cluster = SimCluster::start(SimConfig::new(Side::Blue)).unwrap();
    cluster.with_state(|s| s.create_topic("t", 6, 3, &[], false)).unwrap();
    cluster
}

fn producer(cluster: &SimCluster, more: &[(&str, &str)]) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap()).set("linger.ms", "1");
    for (k, v) in more {
        config.set(*k, *v);
    }
    config.create().unwrap()
}

fn consumer(cluster: &SimCluster, group: &str, more: &[(&str, &str)]) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200");
    for (k, v) in more {
        config.set(*k, *v);
    }
    config.create().unwrap()
}

/// Reads until `enough` distinct values came, or patience runs out.
fn read(consumers: &[&BaseConsumer], enough: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let start = Instant::now();
    while seen.len() < enough && start.elapsed() < PATIENCE {
        for consumer in consumers {
            // a broker that dies is told as an error of the consumer, which goes on by itself
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) {
                seen.insert(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
            }
        }
    }
    seen
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, values: std::ops::Range<usize>) {
    for i in values {
        let (key, value) = (format!("k{}", i % 17), format!("v{i}"));
        producer.send(BaseRecord::to(topic).key(&key).payload(&value)).map_err(|(e, _)| e).unwrap();
    }
}

#[test]
fn what_is_produced_is_consumed_in_every_codec() {
    let cluster = cluster();
    let mut sent = 0;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = producer(&cluster, &[("compression.type", codec), ("enable.idempotence", "true")]);
        send(&producer, "t", sent..sent + 200);
        producer.flush(PATIENCE).unwrap();
        sent += 200;
    }
    let consumer = consumer(&cluster, "g", &[]);
    consumer.subscribe(&["t"]).unwrap();
    assert_eq!(read(&[&consumer], sent).len(), sent);
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    let committed: i64 = cluster.with_state(|s| s.groups()["g"].offsets["t"].values().map(|c| c.offset).sum());
    assert_eq!(committed, 1000);
}

#[test]
fn members_share_a_group_and_hand_over_when_one_leaves() {
    for assignor in ["range", "cooperative-sticky"] {
        let cluster = cluster();
        let options = [("partition.assignment.strategy", assignor)];
        let (a, b) = (consumer(&cluster, "g", &options), consumer(&cluster, "g", &options));
        a.subscribe(&["t"]).unwrap();
        b.subscribe(&["t"]).unwrap();
        let start = Instant::now();
        let shares =
            |a: &BaseConsumer, b: &BaseConsumer| (a.assignment().unwrap().count(), b.assignment().unwrap().count());
        while shares(&a, &b) != (3, 3) && start.elapsed() < PATIENCE {
            let _ = (a.poll(Duration::from_millis(20)), b.poll(Duration::from_millis(20)));
        }
        assert_eq!(shares(&a, &b), (3, 3), "{assignor}");
        drop(b);
        let start = Instant::now();
        while a.assignment().unwrap().count() != 6 && start.elapsed() < PATIENCE {
            let _ = a.poll(Duration::from_millis(20));
        }
        assert_eq!(a.assignment().unwrap().count(), 6, "{assignor}");
        drop(a);
        assert_eq!(cluster.with_state(|s| s.groups()["g"].state.to_string()), "Empty");
    }
}

#[test]
fn a_large_backlog_streams() {
    let cluster = cluster();
    cluster.with_state_at(|s, now| {
        for batch in 0..400 {
            let records: Vec<NewRecord> =
                (0..100).map(|i| NewRecord::new("k", format!("{}", batch * 100 + i), now)).collect();
            s.append_records(now, "t", batch % 6, &records, BatchProducer::PLAIN, None).unwrap();
        }
    });
    let consumer = consumer(&cluster, "g", &[("fetch.message.max.bytes", "4096")]);
    consumer.subscribe(&["t"]).unwrap();
    assert_eq!(read(&[&consumer], 40_000).len(), 40_000);
}

#[test]
fn transactions_commit_abort_and_carry_offsets() {
    let cluster = cluster();
    let producer = producer(&cluster, &[("transactional.id", "tx")]);
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "t", 0..50);
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "t", 50..100);
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "t", 100..150);
    producer.commit_transaction(PATIENCE).unwrap();

    let reader = consumer(&cluster, "g", &[("isolation.level", "read_committed")]);
    reader.subscribe(&["t"]).unwrap();
    let seen = read(&[&reader], 100);
    let expected: BTreeSet<String> = (0..50).chain(100..150).map(|i| format!("v{i}")).collect();
    assert_eq!(seen, expected);

    producer.begin_transaction().unwrap();
    let metadata = reader.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&reader.position().unwrap(), &metadata, PATIENCE).unwrap();
    assert!(cluster.with_state(|s| s.groups()["g"].offsets.is_empty()), "pending until the commit");
    producer.commit_transaction(PATIENCE).unwrap();
    assert!(!cluster.with_state(|s| s.groups()["g"].offsets.is_empty()));

    let raw = consumer(&cluster, "raw", &[("isolation.level", "read_uncommitted")]);
    raw.subscribe(&["t"]).unwrap();
    assert_eq!(read(&[&raw], 150).len(), 150);
    // the truth agrees with what the client saw
    let truth: usize = cluster
        .with_state(|s| (0..6).map(|p| s.log("t", p).unwrap().records(0, IsolationLevel::ReadCommitted).len()).sum());
    assert_eq!(truth, 100);
}

#[test]
fn a_new_instance_fences_the_old_one() {
    let cluster = cluster();
    let old = producer(&cluster, &[("transactional.id", "tx")]);
    old.init_transactions(PATIENCE).unwrap();
    old.begin_transaction().unwrap();
    send(&old, "t", 0..10);
    old.flush(PATIENCE).unwrap();
    let new = producer(&cluster, &[("transactional.id", "tx")]);
    new.init_transactions(PATIENCE).unwrap();
    let error = old.commit_transaction(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("fenced") || error.to_string().contains("Fenced"), "{error}");
    let lso_is_end = cluster.with_state(|s| {
        (0..6).all(|p| {
            let log = s.log("t", p).unwrap();
            log.last_stable_offset() == log.high_watermark()
        })
    });
    assert!(lso_is_end, "the open transaction was aborted");
}

#[test]
fn clients_survive_the_death_of_a_broker() {
    let cluster = cluster();
    let producer = producer(&cluster, &[("enable.idempotence", "true")]);
    let consumer = consumer(&cluster, "g", &[]);
    consumer.subscribe(&["t"]).unwrap();
    send(&producer, "t", 0..500);
    producer.flush(PATIENCE).unwrap();
    assert_eq!(read(&[&consumer], 500).len(), 500);
    cluster.with_state(|s| s.kill_broker(2));
    send(&producer, "t", 500..1000);
    producer.flush(PATIENCE).unwrap();
    cluster.with_state(|s| s.revive_broker(2));
    send(&producer, "t", 1000..1500);
    producer.flush(PATIENCE).unwrap();
    assert_eq!(read(&[&consumer], 1000).len(), 1000);
    let total: i64 = cluster.with_state(|s| (0..6).map(|p| s.log("t", p).unwrap().high_watermark()).sum());
    assert_eq!(total, 1500, "an idempotent producer writes each record once");
}

#[test]
fn a_malformed_frame_closes_its_connection_only() {
    use std::io::{Read, Write};
    let cluster = cluster();
    let address = cluster.bootstrap().split(',').next().unwrap().to_owned();
    let frames: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 3, 1, 2, 3],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 9, 0, 3, 0, 9, 0, 0, 0, 1, 5],
    ];
    for frame in frames {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(frame).unwrap();
        let mut rest = Vec::new();
        // closed by a FIN or a reset; either way nothing came
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    let producer = producer(&cluster, &[]);
    send(&producer, "t", 0..1);
    producer.flush(PATIENCE).unwrap();
}

//! The data plane's reader beside a bare rdkafka consumer: the same records of the same broker, in one run.
//!
//! `cargo bench --bench read_windows` starts a Kafka 4.3.1 broker of its own (needs `java` and `mvn`).

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::ops::ControlFlow::Continue;
use std::time::{Duration, Instant};

use cutover::base::TopicPartition;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, ReadRange, RecordReader};
use cutover::kafka::writer::{Outgoing, RecordWriter};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use support::kafka;

const WITHIN: Duration = Duration::from_secs(60);
const ROUNDS: usize = 5;

fn main() {
    let broker = kafka::throwaway("read-windows", &[]);
    for (topic, records, bytes) in [("small", 500_000, 100), ("large", 60_000, 4_000)] {
        kafka::create_topic(&broker, topic, 1, &[]);
        let properties = ClientProperties::default();
        let writer = RecordWriter::open(&properties, &broker.bootstrap, WITHIN).expect("a writer");
        let value: Vec<u8> = (0..bytes).map(|n| (n * 31 % 251) as u8).collect();
        for _ in 0..records {
            let record = Outgoing { key: Some(b"key"), value: Some(&value), ..Outgoing::default() };
            writer.send(&TopicPartition::new(topic, 0), &record).expect("sent");
        }
        writer.flush().expect("written");

        let mut best = [0.0_f64; 2];
        for _ in 0..ROUNDS {
            let started = Instant::now();
            assert_eq!(bare(&broker, topic, records), records);
            best[0] = best[0].max(records as f64 / started.elapsed().as_secs_f64());

            let started = Instant::now();
            let mut reader =
                RecordReader::open(&properties, &broker.bootstrap, Isolation::Committed, WITHIN).expect("open");
            let mut sum = 0;
            let range = ReadRange { partition: TopicPartition::new(topic, 0), from: 0, to: records };
            let read = reader.read_range(&range, |record| {
                sum += record.size;
                Continue(())
            });
            assert_eq!(read.expect("read").records, records as u64);
            best[1] = best[1].max(records as f64 / started.elapsed().as_secs_f64());
        }
        println!(
            "{records} records of {bytes} bytes: bare consumer {:.0}/s, reader {:.0}/s ({:.0} %)",
            best[0],
            best[1],
            100.0 * best[1] / best[0]
        );
    }
}

/// Reads all of a partition with an rdkafka consumer, which gets the reader's waits: with its defaults it would be
/// held up by them, and be slower.
fn bare(broker: &kafka::Broker, topic: &str, records: i64) -> i64 {
    let consumer = kafka::consumer(
        broker,
        "bare",
        &[("check.crcs", "true"), ("fetch.queue.backoff.ms", "10"), ("fetch.wait.max.ms", "10")],
    );
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&list).expect("assigned");
    let (mut seen, mut sum) = (0, 0);
    while seen < records {
        if let Some(Ok(message)) = consumer.poll(WITHIN) {
            seen += 1;
            sum += message.payload_len();
        }
    }
    assert!(sum > 0);
    seen
}

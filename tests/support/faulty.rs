//! Two topics that should be equal and are not, and where exactly they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::kafka::{Broker, admin};

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Faulty {
    /// Partitions of both topics.
    pub partitions: usize,
    /// Records on blue.
    pub records: usize,
    /// Keys; each lives in one partition.
    pub keys: usize,
    /// Faults of each kind.
    pub faults: usize,
    /// Bytes of a value.
    pub bytes: usize,
    /// Seed.
    pub seed: u64,
}

/// Where the topics differ: (partition, offset).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// On blue only, by blue's offsets.
    pub missing: BTreeSet<(usize, i64)>,
    /// On green only, by green's offsets.
    pub only_green: BTreeSet<(usize, i64)>,
    /// Second copies, by green's offsets.
    pub doubled: BTreeSet<(usize, i64)>,
    /// Records that were overtaken by the next of their key: offsets on blue and on green.
    pub swapped: BTreeSet<(usize, i64, i64)>,
    /// Records of blue's that are on green too.
    pub equal: u64,
}

/// What is done at a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Drop,
    Double,
    Extra,
    /// Takes the place of this record on green.
    Swap(usize),
}

impl Faulty {
    /// Where record `n` goes.
    fn key(&self, n: usize) -> usize {
        // Every key comes once in `keys` records, so the next of the same key is that much later.
        n % self.keys
    }

    fn partition(&self, n: usize) -> usize {
        self.key(n) % self.partitions
    }

    fn plan(&self) -> BTreeMap<usize, Fault> {
        assert!(self.faults * 8 + self.keys * 2 < self.records, "room for the faults");
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut plan = BTreeMap::new();
        for kind in 0..4 {
            let mut left = self.faults;
            while left > 0 {
                let n = rng.usize(self.keys..self.records - 2 * self.keys);
                // Records of a key that follow each other are left alone, so that each fault stands for itself.
                let near = [n - self.keys, n, n + self.keys, n + 2 * self.keys];
                if near.iter().any(|m| plan.contains_key(m)) {
                    continue;
                }
                left -= 1;
                match kind {
                    0 => plan.insert(n, Fault::Drop),
                    1 => plan.insert(n, Fault::Double),
                    2 => plan.insert(n, Fault::Extra),
                    _ => {
                        plan.insert(n + self.keys, Fault::Swap(n));
                        plan.insert(n, Fault::Swap(n + self.keys))
                    }
                };
            }
        }
        plan
    }

    /// Writes both topics, an hour in the past, and says where they differ. The topics must be new.
    pub fn write(&self, topic: &str, blue: &Broker, green: &Broker) -> Truth {
        let plan = self.plan();
        let fast = [
            ("linger.ms", "20"),
            ("batch.size", "1000000"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
        ];
        let fast = [&fast[..], &[("queue.buffering.max.messages", "200000")]].concat();
        let (blue, green) = (admin::producer(blue, &fast), admin::producer(green, &fast));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
        let start = now - 3_600_000 - self.records as i64 / 10;
        let mut next = [vec![0_i64; self.partitions], vec![0_i64; self.partitions]];
        let mut truth = Truth::default();
        let mut value = vec![b'.'; self.bytes.max(24)];
        for n in 0..self.records {
            let p = self.partition(n);
            let mut put = |side: usize, n: usize, mark: &str, next: &mut [Vec<i64>; 2]| {
                let producer = [&blue, &green][side];
                value.fill(b'.');
                let text = format!("{mark}{n}");
                value[..text.len()].copy_from_slice(text.as_bytes());
                let ts = start + n as i64 / 10 + side as i64 * 3;
                send(producer, topic, p, &format!("key-{}", self.key(n)), &value, ts);
                next[side][p] += 1;
                next[side][p] - 1
            };
            let at = put(0, n, "record-", &mut next);
            match plan.get(&n) {
                None => {
                    put(1, n, "record-", &mut next);
                }
                Some(Fault::Drop) => {
                    truth.missing.insert((p, at));
                    continue;
                }
                Some(Fault::Double) => {
                    put(1, n, "record-", &mut next);
                    truth.doubled.insert((p, put(1, n, "record-", &mut next)));
                }
                Some(Fault::Extra) => {
                    truth.only_green.insert((p, put(1, n, "extra-", &mut next)));
                    put(1, n, "record-", &mut next);
                }
                Some(Fault::Swap(other)) => {
                    let there = put(1, *other, "record-", &mut next);
                    if *other < n {
                        // The earlier one came late on green. On blue it is as many places back as its key has partners.
                        let before = (*other..n).filter(|m| self.partition(*m) == p).count() as i64;
                        truth.swapped.insert((p, at - before, there));
                    }
                }
            }
            truth.equal += 1;
        }
        for producer in [&blue, &green] {
            producer.flush(Duration::from_secs(120)).expect("written");
        }
        truth
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: usize, key: &str, value: &[u8], ts: i64) {
    let mut record = BaseRecord::to(topic).partition(partition as i32).key(key).payload(value).timestamp(ts);
    loop {
        match producer.send(record) {
            Ok(()) => break,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(20));
            }
            Err((e, _)) => panic!("writing to {topic}: {e}"),
        }
    }
    producer.poll(Duration::ZERO);
}

//! Producer services: each decides by its flag where a record goes; while dual it sends twice, asynchronously, so
//! that two writers of one topic interleave differently on each cluster, as they do in the field.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaResult;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::spec::{EstateSpec, ProducerSpec};
use super::witness::{ID_HEADER, Witness};
use super::{SharedTraffic, partition_for};
use crate::base::Side;

/// Longest wait between the two sends of one record, ms.
const JITTER_MS: f64 = 150.0;
/// How often the schedule is looked at.
const STEP: Duration = Duration::from_millis(4);
/// How long a stopping producer waits for its last sends.
const FLUSH: Duration = Duration::from_secs(5);
/// Records that may wait for room in a client's queue; more of them and a producer skips its turn.
const MAX_WAITING: usize = 50_000;

/// Tells the witness where each send arrived.
pub(crate) struct Deliveries {
    witness: Arc<Witness>,
    side: Side,
}

impl Deliveries {
    /// For the sends to one cluster.
    pub fn new(witness: Arc<Witness>, side: Side) -> Self {
        Self { witness, side }
    }
}

impl ClientContext for Deliveries {
    /// librdkafka's log is no business of the screen that stands over the demo.
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "sim", ?level, facility, message);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<u64>) {
        let offset = result.as_ref().ok().map(Message::offset);
        self.witness.note_sent(*id, self.side, offset);
    }
}

/// A client of one cluster that all services share (librdkafka takes 6 threads a client).
pub(crate) fn create_client(bootstrap: &str, context: Deliveries) -> KafkaResult<ThreadedProducer<Deliveries>> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "bank-services")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .create_with_context(context)
}

/// A record on its way to one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct DueSend {
    /// ms on the schedule's clock.
    at: u64,
    /// Keeps a service's own order.
    number: u64,
    side: Side,
    id: u64,
    topic: usize,
    partition: i32,
    key: String,
    value: String,
}

struct Service {
    spec: ProducerSpec,
    flag: String,
    topics: Vec<usize>,
    next: f64,
    turn: usize,
    /// When its last record was due on blue and on green: a service keeps its own order on each.
    last: [f64; 2],
}

/// Runs every producer service of an estate until told to stop.
pub(crate) fn run_producers(shared: &SharedTraffic, estate: &EstateSpec, blue: &str, green: &str) -> KafkaResult<()> {
    let open = |side, bootstrap| create_client(bootstrap, Deliveries::new(shared.witness.clone(), side));
    let clients = [open(Side::Blue, blue)?, open(Side::Green, green)?];
    let topics: Vec<(&str, i32)> = estate.topics.iter().map(|t| (t.name.as_str(), t.partitions)).collect();
    let mut rng = fastrand::Rng::with_seed(shared.seed);
    let index = |name: &String| topics.iter().position(|(t, _)| t == name);
    let mut services: Vec<Service> = estate
        .producers
        .iter()
        .map(|spec| Service {
            flag: spec.flag_key(),
            topics: spec.topics.iter().filter_map(index).collect(),
            spec: spec.clone(),
            next: 0.0,
            turn: 0,
            last: [0.0; 2],
        })
        .filter(|s| !s.topics.is_empty() && s.spec.per_second > 0.0)
        .collect();
    let mut schedule = BinaryHeap::new();
    let mut number = 0;
    let begun = Instant::now();
    while !shared.is_stopping() {
        let now = begun.elapsed().as_secs_f64() * 1000.0;
        for service in &mut services {
            // A thread that was held up makes up for it: on average the rate is kept.
            while service.next <= now {
                service.next += sample_exponential(&mut rng, 1000.0 / service.spec.per_second);
                if schedule.len() < MAX_WAITING {
                    service.schedule_record(shared, &topics, now, &mut number, &mut rng, &mut schedule);
                }
            }
        }
        send_due(&clients, &topics, now, &mut schedule);
        std::thread::sleep(STEP);
    }
    for client in &clients {
        // what doesn't arrive now is in no group's debt: the estate is going away
        let _ = client.flush(FLUSH);
    }
    Ok(())
}

impl Service {
    fn schedule_record(
        &mut self,
        shared: &SharedTraffic,
        topics: &[(&str, i32)],
        now: f64,
        number: &mut u64,
        rng: &mut fastrand::Rng,
        schedule: &mut BinaryHeap<Reverse<DueSend>>,
    ) {
        let sides: Vec<Side> = Side::BOTH.into_iter().filter(|side| shared.flags.includes(&self.flag, *side)).collect();
        if sides.is_empty() {
            return;
        }
        let topic = self.topics[self.turn % self.topics.len()];
        self.turn += 1;
        let (name, partitions) = topics[topic];
        let id = shared.next_id();
        let key = format!("{}-{}", self.spec.team, rng.u64(0..self.spec.keys.max(1)));
        let value = generate_payload(&self.spec.name, name, id, rng);
        let partition = partition_for(&key, partitions);
        // Before any send leaves: no reader may be faster than the witness.
        shared.witness.note_sending(id, name, partition, &sides);
        for side in sides {
            let last = &mut self.last[usize::from(side == Side::Green)];
            *last = last.max(now + rng.f64() * JITTER_MS);
            *number += 1;
            let due = DueSend {
                at: *last as u64,
                number: *number,
                side,
                id,
                topic,
                partition,
                key: key.clone(),
                value: value.clone(),
            };
            schedule.push(Reverse(due));
        }
    }
}

fn send_due(
    clients: &[ThreadedProducer<Deliveries>; 2],
    topics: &[(&str, i32)],
    now: f64,
    schedule: &mut BinaryHeap<Reverse<DueSend>>,
) {
    while let Some(Reverse(due)) = schedule.pop_if_due(now as u64) {
        let id = due.id.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: ID_HEADER, value: Some(&id) });
        let record = BaseRecord::with_opaque_to(topics[due.topic].0, Box::new(due.id))
            .partition(due.partition)
            .key(&due.key)
            .payload(&due.value)
            .headers(headers);
        if clients[usize::from(due.side == Side::Green)].send(record).is_err() {
            // the client's queue is full (its cluster is down): later, in the same order
            schedule.push(Reverse(due));
            return;
        }
    }
}

trait PopIfDue {
    fn pop_if_due(&mut self, now: u64) -> Option<Reverse<DueSend>>;
}

impl PopIfDue for BinaryHeap<Reverse<DueSend>> {
    fn pop_if_due(&mut self, now: u64) -> Option<Reverse<DueSend>> {
        if self.peek()?.0.at <= now { self.pop() } else { None }
    }
}

fn sample_exponential(rng: &mut fastrand::Rng, mean: f64) -> f64 {
    // `f64` can be 0 and never 1, so the logarithm stays finite.
    -mean * (1.0 - rng.f64()).ln()
}

/// An event as the bank's services write it. The number in it makes each one distinct, as an event id does.
pub(crate) fn generate_payload(service: &str, topic: &str, id: u64, rng: &mut fastrand::Rng) -> String {
    let amount = rng.u32(100..500_000);
    let note = "x".repeat(rng.usize(0..60));
    format!(
        r#"{{"event":"{topic}/{id}","from":"{service}","amount":{}.{:02},"note":"{note}"}}"#,
        amount / 100,
        amount % 100
    )
}

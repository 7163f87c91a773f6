//! The exactly-once producer: transactions on blue or on green by its flag, never on both, under another
//! transactional id on each. One transaction in twenty is aborted, as in life.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::producers::generate_payload;
use super::spec::LedgerSpec;
use super::witness::ID_HEADER;
use super::{SharedTraffic, partition_for};
use crate::base::Side;

/// Bound of every call to the coordinator.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between tries when the cluster doesn't answer or the producer was fenced.
const AGAIN: Duration = Duration::from_secs(1);

/// Where each record of the open transaction arrived: id and offset.
struct Arrivals(Sender<(u64, Option<i64>)>);

impl ClientContext for Arrivals {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "sim", ?level, facility, message);
    }
}

impl ProducerContext for Arrivals {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<u64>) {
        // a closed channel is a producer that is going away
        let _ = self.0.send((*id, result.as_ref().ok().map(Message::offset)));
    }
}

struct OpenProducer {
    side: Side,
    producer: ThreadedProducer<Arrivals>,
    arrivals: Receiver<(u64, Option<i64>)>,
}

/// Runs an exactly-once producer until told to stop.
pub(crate) fn run_ledger(shared: &Arc<SharedTraffic>, spec: &LedgerSpec, partitions: i32, bootstraps: [&str; 2]) {
    // The producers draw from the same seed: their numbers must not be the same ones.
    let mut rng = fastrand::Rng::with_seed(shared.seed ^ 0x001e_d9e5);
    let pause = Duration::from_secs_f64(1.0 / spec.per_second.max(0.01));
    let mut open: Option<OpenProducer> = None;
    let mut next = Instant::now();
    while !shared.is_stopping() {
        let wanted = Side::BOTH.into_iter().find(|s| shared.flags.includes(&spec.flag_key(), *s));
        if open.as_ref().map(|o| o.side) != wanted {
            open =
                wanted.and_then(|side| open_producer(spec, side, bootstraps).inspect_err(|_| shared.pause(AGAIN)).ok());
        }
        let Some(current) = &open else {
            shared.pause(Duration::from_millis(100));
            continue;
        };
        if run_transaction(shared, spec, partitions, current, &mut rng).is_err() {
            // fenced, or the cluster is gone: a restarted instance begins anew while its flag says so
            open = None;
            shared.pause(AGAIN);
        }
        next = (next + pause).max(Instant::now());
        shared.pause(next.saturating_duration_since(Instant::now()));
    }
}

fn open_producer(spec: &LedgerSpec, side: Side, bootstraps: [&str; 2]) -> KafkaResult<OpenProducer> {
    let (sender, arrivals) = channel();
    let producer: ThreadedProducer<Arrivals> = ClientConfig::new()
        .set("bootstrap.servers", bootstraps[usize::from(side == Side::Green)])
        .set("client.id", &spec.name)
        .set("transactional.id", spec.transactional_id(side))
        .set("transaction.timeout.ms", "30000")
        .set("linger.ms", "2")
        .create_with_context(Arrivals(sender))?;
    producer.init_transactions(PATIENCE)?;
    Ok(OpenProducer { side, producer, arrivals })
}

fn run_transaction(
    shared: &SharedTraffic,
    spec: &LedgerSpec,
    partitions: i32,
    open: &OpenProducer,
    rng: &mut fastrand::Rng,
) -> Result<(), KafkaError> {
    open.producer.begin_transaction()?;
    let mut ids = Vec::new();
    for _ in 0..spec.records {
        let id = shared.next_id();
        let key = format!("account-{}", rng.u32(0..300));
        let value = generate_payload(&spec.name, &spec.topic, id, rng);
        let text = id.to_string();
        let partition = partition_for(&key, partitions);
        let record = BaseRecord::with_opaque_to(&spec.topic, Box::new(id))
            .partition(partition)
            .key(&key)
            .payload(&value)
            .headers(OwnedHeaders::new().insert(Header { key: ID_HEADER, value: Some(&text) }));
        ids.push((id, partition));
        open.producer.send(record).map_err(|(e, _)| e)?;
    }
    if rng.u8(0..20) == 0 {
        // Sent first, so that the log holds something that is aborted.
        open.producer.flush(PATIENCE)?;
        open.producer.abort_transaction(PATIENCE)?;
        // What was aborted has arrived for nobody: its reports must not be taken for the next transaction's.
        while open.arrivals.try_recv().is_ok() {}
        return Ok(());
    }
    // the debt begins with the commit; said before it, so that no reader is faster than the witness
    for (id, partition) in &ids {
        shared.witness.note_sending(*id, &spec.topic, *partition, &[open.side]);
    }
    let committed = open.producer.commit_transaction(PATIENCE);
    for (id, _) in &ids {
        if committed.is_err() {
            shared.witness.withdraw(*id);
        }
    }
    committed?;
    while let Ok((id, offset)) = open.arrivals.try_recv() {
        shared.witness.note_sent(id, open.side, offset);
    }
    Ok(())
}

//! Consumer groups: real librdkafka consumers that run where their switch says, process at their own pace, commit
//! regularly, and commit what they have processed before they stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::SharedTraffic;
use super::spec::GroupSpec;
use super::witness::ID_HEADER;
use crate::base::Side;

/// How often a stopped group looks at its switch.
const LOOK: Duration = Duration::from_millis(50);
/// Bound of the look at committed offsets when a consumer finds its place.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records a second of a group that an incident slowed down.
const CRAWL: f64 = 1.0;

struct Quiet;

impl ClientContext for Quiet {
    /// librdkafka's log is no business of the screen that stands over the demo.
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "sim", ?level, facility, message);
    }
}

impl ConsumerContext for Quiet {}

struct Running {
    consumer: BaseConsumer<Quiet>,
    /// Partitions whose place is known to the witness.
    placed: BTreeSet<(String, i32)>,
}

/// Runs one group on one cluster until told to stop: reads while its switch includes the cluster.
pub(crate) fn run_group(shared: &Arc<SharedTraffic>, spec: &GroupSpec, side: Side, bootstrap: &str) {
    let switch = spec.switch_key();
    let mut running: Option<Running> = None;
    let mut next = Instant::now();
    while !shared.is_stopping() {
        let wanted = shared.flags.includes(&switch, side);
        match (&mut running, wanted) {
            (None, false) => shared.pause(LOOK),
            (None, true) => match start_consumer(spec, bootstrap) {
                Ok(consumer) => {
                    shared.witness.note_reading(&spec.name, side, true);
                    running = Some(Running { consumer, placed: BTreeSet::new() });
                }
                Err(_) => shared.pause(LOOK),
            },
            (Some(_), false) => {
                stop_consumer(running.take());
                shared.witness.note_reading(&spec.name, side, false);
            }
            (Some(current), true) => {
                if !process_next_record(shared, spec, side, current) {
                    // Nothing was processed, so no time is owed for it.
                    continue;
                }
                let rate = if shared.is_slowed(&spec.name, side) { Some(CRAWL) } else { spec.per_second };
                if let Some(rate) = rate {
                    // What was missed in a pause is not made up for in a burst.
                    next = (next + Duration::from_secs_f64(1.0 / rate.max(0.01))).max(Instant::now());
                    // in short steps: the switch is obeyed at once
                    let wait = next.saturating_duration_since(Instant::now()).min(LOOK);
                    shared.pause(wait);
                    while Instant::now() < next && shared.flags.includes(&switch, side) && !shared.is_stopping() {
                        shared.pause(LOOK);
                    }
                }
            }
        }
    }
    stop_consumer(running.take());
}

fn start_consumer(spec: &GroupSpec, bootstrap: &str) -> KafkaResult<BaseConsumer<Quiet>> {
    let consumer: BaseConsumer<Quiet> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", &spec.name)
        .set("client.id", format!("{}-pod-1", spec.name))
        .set("auto.offset.reset", "earliest")
        // stored after processing, committed by the timer and when the consumer leaves
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", spec.commit_every_ms.to_string())
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "1000")
        // a slow group must not hoard: what waits in the client is read again after a restart
        .set("queued.min.messages", "1000")
        .set("fetch.message.max.bytes", "65536")
        .create_with_context(Quiet)?;
    let topics: Vec<&str> = spec.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics)?;
    Ok(consumer)
}

/// Leaves the group, with everything processed committed.
fn stop_consumer(running: Option<Running>) {
    let Some(Running { consumer, .. }) = running else { return };
    // "no offset stored" is an error too, and means that nothing is left to commit
    let _ = consumer.commit_consumer_state(CommitMode::Sync);
}

/// Takes one record, if there is one within a moment, and processes it.
fn process_next_record(shared: &SharedTraffic, spec: &GroupSpec, side: Side, running: &mut Running) -> bool {
    let message = running.consumer.poll(LOOK);
    // One consumer a cluster: its partitions are never exchanged for as many others.
    if let Ok(assigned) = running.consumer.assignment()
        && assigned.count() != running.placed.len()
    {
        report_start_offsets(shared, spec, side, &running.consumer, &mut running.placed, &assigned);
    }
    let Some(Ok(message)) = message else { return false };
    // the switch may have moved while this waited: what isn't processed isn't stored, and stays for the next owner
    let id = message.headers().and_then(|headers| {
        let header = headers.iter().find(|h| h.key == ID_HEADER)?;
        std::str::from_utf8(header.value?).ok()?.parse().ok()
    });
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    if running.consumer.store_offset(topic, partition, offset).is_err() {
        // the partition was taken away: its new owner processes this
        return false;
    }
    shared.witness.note_processed(&spec.name, side, topic, partition, offset, id);
    true
}

/// Tells the witness where the group starts on partitions that are new to it.
fn report_start_offsets(
    shared: &SharedTraffic,
    spec: &GroupSpec,
    side: Side,
    consumer: &BaseConsumer<Quiet>,
    placed: &mut BTreeSet<(String, i32)>,
    assigned: &TopicPartitionList,
) {
    let Ok(committed) = consumer.committed_offsets(assigned.clone(), PATIENCE) else { return };
    // A rebalance may have taken some away.
    placed.clear();
    for element in committed.elements() {
        // without a commit it starts at the beginning
        let offset = if let Offset::Offset(o) = element.offset() { o } else { 0 };
        shared.witness.note_start_offset(&spec.name, side, element.topic(), element.partition(), offset);
        placed.insert((element.topic().to_owned(), element.partition()));
    }
}

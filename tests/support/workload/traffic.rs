//! Dual-writing producers, and the truth about what they wrote.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::super::patience::Patience;
use super::super::turns;
use super::switch::{State, Switch, Watched};
use super::{Cluster, SEND_ID, lock};

/// Logical producers to a client. Producers of their own on both clusters meet in each partition, and the tests' own
/// load stays small: librdkafka runs some five threads a client, and it is requests that cost a broker, not records.
const CREW: usize = 4;
/// How long a client collects records of a partition for one request, as producers of a busy service do.
const LINGER_MS: &str = "100";
/// A thread of writers looks at most this often whether something is due; what is, goes in the order of its moment.
const TICK: Duration = Duration::from_millis(10);
/// Records that are later than this are not sent any more: the machine was busy, and writers don't catch up.
const LATEST: Duration = Duration::from_millis(100);

/// How long the last sends may take to be acknowledged: a broker may have to start.
const ACKNOWLEDGED: Duration = Duration::from_secs(180);

/// How the producers behave.
#[derive(Debug, Clone)]
pub struct TrafficOptions {
    /// Logical producers, each with an order of its own on either side; a few of them share a client (`CREW`).
    pub writers: usize,
    /// Records a second, of all writers together.
    pub rate: u32,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Partitions of each topic on green, where it has another number.
    pub green_partitions: Option<i32>,
    /// Longest delay before a send, on each side by itself: what makes interleavings differ.
    pub jitter: Duration,
    /// Share of records whose key and value another record has, too.
    pub identical: f64,
    /// Share of records whose send to blue, to green, fails for good.
    pub fails: [f64; 2],
    /// Share of sends that a non-idempotent retry writes twice.
    pub twice: f64,
    /// Bytes of a value.
    pub size: usize,
    /// Of the random numbers.
    pub seed: u64,
    /// Where the producers write; `None` is always to both.
    pub flag: Option<Switch>,
}

impl Default for TrafficOptions {
    fn default() -> Self {
        TrafficOptions {
            writers: 8,
            rate: 400,
            partitions: 4,
            green_partitions: None,
            jitter: Duration::from_millis(15),
            identical: 0.0,
            fails: [0.0; 2],
            twice: 0.0,
            size: 100,
            seed: 1,
            flag: None,
        }
    }
}

/// One logical send: what became of it on each side.
#[derive(Debug, Clone, Default)]
pub struct Send {
    /// Topic, as an index into the topics of the traffic.
    pub topic: usize,
    /// Partition on blue, on green.
    pub partitions: [i32; 2],
    /// Records with the same number have the same key and value.
    pub content: u64,
    /// Offsets acknowledged by blue, by green: more than one when a retry doubled it.
    pub offsets: [Vec<i64>; 2],
    /// Whether blue, green, was meant to get it and did not.
    pub failed: [bool; 2],
}

/// Everything that was sent, by id.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Topics.
    pub topics: Vec<String>,
    /// The index is the id.
    pub sends: Vec<Send>,
}

/// Key and value of a content number, so that a consumer can check what it got.
pub fn content(number: u64, size: usize) -> (String, String) {
    let mut value = format!("v{number}-");
    let mut filler = Rng::with_seed(number);
    while value.len() < size {
        value.push(filler.alphanumeric());
    }
    (format!("k{}", number % 97), value)
}

/// Running producers.
pub struct Traffic {
    truth: Arc<Mutex<Truth>>,
    stop: Arc<AtomicBool>,
    rate: Arc<AtomicU32>,
    crews: Vec<JoinHandle<()>>,
}

struct Acks {
    truth: Arc<Mutex<Truth>>,
    cluster: Cluster,
}

impl ClientContext for Acks {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, id: usize) {
        let send = &mut lock(&self.truth).sends[id];
        match result {
            Ok(message) => send.offsets[self.cluster as usize].push(message.offset()),
            Err(_) => send.failed[self.cluster as usize] = true,
        }
    }
}

type Client = ThreadedProducer<Acks>;

impl Traffic {
    /// Starts the producers: `bootstrap` of blue and green, topics that exist on both.
    /// The calling test is a heavy one from here on.
    pub fn start(bootstrap: [&str; 2], topics: &[String], options: &TrafficOptions) -> Traffic {
        turns::heavy();
        let truth = Arc::new(Mutex::new(Truth { topics: topics.to_vec(), sends: Vec::new() }));
        let stop = Arc::new(AtomicBool::new(false));
        let rate = Arc::new(AtomicU32::new(options.rate));
        let numbers: Vec<usize> = (0..options.writers).collect();
        let crews = numbers.chunks(CREW).map(|writers| {
            let clients = Cluster::BOTH.map(|cluster| {
                let mut config = ClientConfig::new();
                config
                    .set("bootstrap.servers", bootstrap[cluster as usize])
                    .set("client.id", format!("writers-from-{}", writers[0]));
                config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", LINGER_MS);
                // What is sent is never given up: a send that times out may have arrived all the same.
                config.set("message.timeout.ms", "0");
                let acks = Acks { truth: Arc::clone(&truth), cluster };
                config.create_with_context::<Acks, Client>(acks).expect("a producer")
            });
            let now = Instant::now();
            let writer = |n: &usize| Writer {
                random: Rng::with_seed(options.seed.wrapping_mul(1_000).wrapping_add(*n as u64)),
                flag: options.flag.clone().map(Watched::new),
                next: now,
                due: [VecDeque::new(), VecDeque::new()],
            };
            let mut crew = Crew {
                clients,
                topics: topics.to_vec(),
                truth: Arc::clone(&truth),
                options: options.clone(),
                writers: writers.iter().map(writer).collect(),
            };
            let (stop, rate) = (Arc::clone(&stop), Arc::clone(&rate));
            std::thread::spawn(move || crew.run(&stop, &rate))
        });
        let crews = crews.collect();
        Traffic { truth, stop, rate, crews }
    }

    /// Records a second from now on.
    pub fn set_rate(&self, rate: u32) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// Logical sends so far.
    pub fn sent(&self) -> usize {
        lock(&self.truth).sends.len()
    }

    /// The truth so far. Sends in flight have no offset yet.
    pub fn truth(&self) -> Truth {
        lock(&self.truth).clone()
    }

    /// Stops the producers, waits for every acknowledgement, and gives the whole truth.
    pub fn stop(mut self) -> Truth {
        self.halt();
        self.truth()
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for crew in self.crews.drain(..) {
            crew.thread().unpark();
            crew.join().expect("a writer does not panic");
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.halt();
        }
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A send that waits for its moment on one side. A producer's own order is kept there.
struct Due {
    at: Instant,
    id: usize,
    topic: usize,
    partition: i32,
    content: u64,
}

/// One logical producer.
struct Writer {
    random: Rng,
    flag: Option<Watched>,
    /// When it has its next record.
    next: Instant,
    due: [VecDeque<Due>; 2],
}

/// Logical producers that share a thread, and a client a cluster.
struct Crew {
    clients: [Client; 2],
    topics: Vec<String>,
    truth: Arc<Mutex<Truth>>,
    options: TrafficOptions,
    writers: Vec<Writer>,
}

impl Crew {
    fn run(&mut self, stop: &AtomicBool, rate: &AtomicU32) {
        loop {
            let now = Instant::now();
            let stopping = stop.load(Ordering::Relaxed);
            let rate = f64::from(rate.load(Ordering::Relaxed)) / self.options.writers as f64;
            for writer in &mut self.writers {
                if stopping {
                    break;
                }
                // A writer that was held up does not catch up.
                writer.next = writer.next.max(now.checked_sub(LATEST).unwrap_or(now));
                while writer.next <= now {
                    if rate > 0.0 {
                        writer.decide(&self.options, &self.truth);
                    }
                    // Between half and one and a half of the mean distance.
                    let distance = if rate > 0.0 { (0.5 + writer.random.f64()) / rate } else { 0.1 };
                    writer.next += Duration::from_secs_f64(distance);
                }
            }
            self.send_due(now, stopping);
            if stopping {
                break;
            }
            let due =
                self.writers.iter().flat_map(|w| w.due.iter().filter_map(|d| Some(d.front()?.at)).chain([w.next]));
            let soonest = due.min().unwrap_or(now + TICK).max(now + TICK);
            std::thread::park_timeout(soonest.saturating_duration_since(Instant::now()));
        }
        for (client, cluster) in self.clients.iter().zip(Cluster::BOTH) {
            let mut patience = Patience::new(ACKNOWLEDGED);
            while client.flush(Duration::from_secs(1)).is_err() {
                let open = client.in_flight_count();
                assert!(patience.left().is_some(), "{open} sends to {cluster:?} not acknowledged {}", patience.words());
            }
        }
    }

    /// Sends what is due, of all writers in the order in which it became due: as if each were alone.
    fn send_due(&mut self, now: Instant, all: bool) {
        for side in 0..2 {
            let mut due: Vec<(usize, Due)> = Vec::new();
            for (n, writer) in self.writers.iter_mut().enumerate() {
                while writer.due[side].front().is_some_and(|d| all || d.at <= now) {
                    due.extend(writer.due[side].pop_front().map(|d| (n, d)));
                }
            }
            // Stable: a writer's own order stays.
            due.sort_by_key(|(_, due)| due.at);
            for (n, due) in due {
                let twice = self.writers[n].random.f64() < self.options.twice;
                for _ in 0..if twice { 2 } else { 1 } {
                    self.send(side, &due);
                }
            }
        }
    }

    fn send(&self, side: usize, due: &Due) {
        let (key, value) = content(due.content, self.options.size);
        let text = due.id.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: SEND_ID, value: Some(&text) });
        let mut record = BaseRecord::with_opaque_to(&self.topics[due.topic], due.id)
            .partition(due.partition)
            .key(&key)
            .payload(&value)
            .headers(headers);
        while let Err((error, back)) = self.clients[side].send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
            std::thread::park_timeout(Duration::from_millis(20));
            record = back;
        }
    }
}

impl Writer {
    /// Decides on its next record, and when it is sent where.
    fn decide(&mut self, options: &TrafficOptions, truth: &Mutex<Truth>) {
        let state = self.flag.as_mut().map_or(State::Both, Watched::state);
        let to = match state {
            State::Blue => [true, false],
            State::Green => [false, true],
            State::Both => [true, true],
            State::Off => return,
        };
        let fails = options.fails.map(|share| self.random.f64() < share);
        let mut truth = lock(truth);
        let id = truth.sends.len();
        // Shared contents are few; all others are the id's own.
        let shared = self.random.f64() < options.identical;
        let content = if shared { self.random.u64(0..40) } else { 1_000_000 + id as u64 };
        let topic = self.random.usize(0..truth.topics.len());
        // As a partitioner does it: by content, so that equal records meet in one partition.
        let counts = [options.partitions, options.green_partitions.unwrap_or(options.partitions)];
        let partitions = counts.map(|count| (content % u64::from(count.unsigned_abs())) as i32);
        let failed = [to[0] && fails[0], to[1] && fails[1]];
        truth.sends.push(Send { topic, partitions, content, offsets: [vec![], vec![]], failed });
        drop(truth);
        for side in 0..2 {
            if to[side] && !failed[side] {
                let jitter = options.jitter.mul_f64(self.random.f64());
                let after = self.due[side].back().map_or(self.next, |d| d.at);
                let at = (self.next + jitter).max(after);
                self.due[side].push_back(Due { at, id, topic, partition: partitions[side], content });
            }
        }
    }
}

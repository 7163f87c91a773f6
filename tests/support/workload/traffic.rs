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

use super::switch::{State, Switch, Watched};
use super::{Cluster, SEND_ID, lock};

/// How the producers behave.
#[derive(Debug, Clone)]
pub struct TrafficOptions {
    /// Logical producers, each with a client of its own per cluster.
    pub writers: usize,
    /// Records a second, of all writers together.
    pub rate: u32,
    /// Partitions of each topic.
    pub partitions: i32,
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
    /// Partition, on both clusters.
    pub partition: i32,
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
    writers: Vec<JoinHandle<()>>,
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
    pub fn start(bootstrap: [&str; 2], topics: &[String], options: &TrafficOptions) -> Traffic {
        let truth = Arc::new(Mutex::new(Truth { topics: topics.to_vec(), sends: Vec::new() }));
        let stop = Arc::new(AtomicBool::new(false));
        let rate = Arc::new(AtomicU32::new(options.rate));
        let writers = (0..options.writers)
            .map(|n| {
                let clients = Cluster::BOTH.map(|cluster| {
                    let mut config = ClientConfig::new();
                    config
                        .set("bootstrap.servers", bootstrap[cluster as usize])
                        .set("client.id", format!("writer-{n}"));
                    config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "2");
                    let acks = Acks { truth: Arc::clone(&truth), cluster };
                    config.create_with_context::<Acks, Client>(acks).expect("a producer")
                });
                let mut writer = Writer {
                    clients,
                    truth: Arc::clone(&truth),
                    random: Rng::with_seed(options.seed.wrapping_mul(1_000).wrapping_add(n as u64)),
                    options: options.clone(),
                    flag: options.flag.clone().map(Watched::new),
                    due: [VecDeque::new(), VecDeque::new()],
                };
                let (stop, rate) = (Arc::clone(&stop), Arc::clone(&rate));
                std::thread::spawn(move || writer.run(&stop, &rate))
            })
            .collect();
        Traffic { truth, stop, rate, writers }
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
        for writer in self.writers.drain(..) {
            writer.thread().unpark();
            writer.join().expect("a writer does not panic");
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
}

struct Writer {
    clients: [Client; 2],
    truth: Arc<Mutex<Truth>>,
    random: Rng,
    options: TrafficOptions,
    flag: Option<Watched>,
    due: [VecDeque<Due>; 2],
}

impl Writer {
    fn run(&mut self, stop: &AtomicBool, rate: &AtomicU32) {
        let mut next = Instant::now();
        loop {
            let now = Instant::now();
            let stopping = stop.load(Ordering::Relaxed);
            let rate = f64::from(rate.load(Ordering::Relaxed)) / self.options.writers as f64;
            if now >= next && !stopping {
                if rate > 0.0 {
                    self.decide(now);
                }
                // Between half and one and a half of the mean distance; a writer that was held up does not catch up.
                let distance = if rate > 0.0 { (0.5 + self.random.f64()) / rate } else { 0.1 };
                next = (next + Duration::from_secs_f64(distance)).max(now);
            }
            self.send_due(now, stopping);
            if stopping && self.due.iter().all(VecDeque::is_empty) {
                break;
            }
            let soonest = self.due.iter().filter_map(|d| Some(d.front()?.at)).chain([next]).min().unwrap_or(next);
            std::thread::park_timeout(soonest.saturating_duration_since(Instant::now()));
        }
        for client in &self.clients {
            client.flush(Duration::from_secs(180)).expect("every send is acknowledged");
        }
    }

    /// Decides on a record, and when it is sent where.
    fn decide(&mut self, now: Instant) {
        let state = self.flag.as_mut().map_or(State::Both, Watched::state);
        let to = match state {
            State::Blue => [true, false],
            State::Green => [false, true],
            State::Both => [true, true],
            State::Off => return,
        };
        let fails = self.options.fails.map(|share| self.random.f64() < share);
        let mut truth = lock(&self.truth);
        let id = truth.sends.len();
        // Shared contents are few; all others are the id's own.
        let shared = self.random.f64() < self.options.identical;
        let content = if shared { self.random.u64(0..40) } else { 1_000_000 + id as u64 };
        let topic = self.random.usize(0..truth.topics.len());
        // As a partitioner does it: by content, so that equal records meet in one partition.
        let partition = (content % u64::from(self.options.partitions.unsigned_abs())) as i32;
        let failed = [to[0] && fails[0], to[1] && fails[1]];
        truth.sends.push(Send { topic, partition, content, offsets: [vec![], vec![]], failed });
        drop(truth);
        for side in 0..2 {
            if to[side] && !failed[side] {
                let jitter = self.options.jitter.mul_f64(self.random.f64());
                let after = self.due[side].back().map_or(now, |d| d.at);
                self.due[side].push_back(Due { at: (now + jitter).max(after), id });
            }
        }
    }

    fn send_due(&mut self, now: Instant, all: bool) {
        for side in 0..2 {
            while self.due[side].front().is_some_and(|d| all || d.at <= now) {
                let Some(Due { id, .. }) = self.due[side].pop_front() else { break };
                let twice = self.random.f64() < self.options.twice;
                for _ in 0..if twice { 2 } else { 1 } {
                    self.send(side, id);
                }
            }
        }
    }

    fn send(&self, side: usize, id: usize) {
        let (topic, send) = {
            let truth = lock(&self.truth);
            let send = truth.sends[id].clone();
            (truth.topics[send.topic].clone(), send)
        };
        let (key, value) = content(send.content, self.options.size);
        let text = id.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: SEND_ID, value: Some(&text) });
        let mut record =
            BaseRecord::with_opaque_to(&topic, id).partition(send.partition).key(&key).payload(&value).headers(headers);
        while let Err((error, back)) = self.clients[side].send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
            std::thread::park_timeout(Duration::from_millis(20));
            record = back;
        }
    }
}

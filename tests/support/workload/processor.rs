//! A read-process-write application with exactly-once transactions: it reads one topic, writes each record of it to
//! another, and commits its offsets in the same transaction. It runs where its flag says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::super::patience::Patience;
use super::switch::{State, Switch, Watched};
use super::{Cluster, Partition, SEND_ID, lock};

/// Added to a record's id in a transaction that is going to be aborted: nobody may ever see such a record.
pub const ABORTED: u64 = 1 << 40;
/// Longest that a call to a broker may take: one is restarted meanwhile.
const WITHIN: Duration = Duration::from_secs(120);

/// How a processor behaves.
#[derive(Debug, Clone)]
pub struct ProcessorOptions {
    /// Its transactional ids on blue and on green.
    pub ids: [String; 2],
    /// Its consumer group, on both.
    pub group: String,
    /// What it reads.
    pub source: String,
    /// What it writes.
    pub sink: String,
    /// Client properties on blue and on green, `bootstrap.servers` among them.
    pub clients: [Vec<(String, String)>; 2],
    /// Most records of a transaction that is not kept open for longer.
    pub most: usize,
    /// How long a transaction stays open at least; the next begins at once, so that one is always open.
    pub open_for: Duration,
    /// Share of transactions that it aborts and does again.
    pub aborts: f64,
    /// Of the random numbers.
    pub seed: u64,
}

/// What it has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Transactions committed on blue, on green.
    pub committed: [u64; 2],
    /// Transactions aborted on purpose.
    pub aborted: u64,
    /// Where it runs now.
    pub running: Option<Cluster>,
    /// What ended a session otherwise than by its flag.
    pub troubles: Vec<(Cluster, Ended)>,
    /// It has written in its transaction and waits to be let go on.
    pub held: bool,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Its flag said so.
    Stopped,
    /// Another instance took its transactional id.
    Fenced,
    /// It may not use its transactional id.
    Denied,
    /// Anything else: it begins anew from what was committed.
    Trouble(String),
}

#[derive(Default)]
struct Inner {
    done: Done,
    /// To stop between a transaction's last write and its commit.
    hold: bool,
}

type Shared = Arc<(Mutex<Inner>, Condvar)>;

/// A running processor. Dropped, it stops after its transaction.
pub struct Processor {
    shared: Shared,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Processor {
    /// Starts it.
    pub fn start(flag: &Switch, options: &ProcessorOptions) -> Processor {
        let shared: Shared = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            random: Rng::with_seed(options.seed),
            options: options.clone(),
            shared: Arc::clone(&shared),
            stop: Arc::clone(&stop),
        };
        let flag = Watched::new(flag.clone());
        Processor { shared, stop, worker: Some(std::thread::spawn(move || worker.run(flag))) }
    }

    /// What it has done so far.
    pub fn done(&self) -> Done {
        lock(&self.shared.0).done.clone()
    }

    /// Makes it stop with the next transaction open, and waits until it does.
    #[track_caller]
    pub fn hold(&self, within: Duration) {
        lock(&self.shared.0).hold = true;
        self.wait(within, "a transaction held open", |done| done.held);
    }

    /// Lets it go on.
    pub fn let_go(&self) {
        lock(&self.shared.0).hold = false;
        self.shared.1.notify_all();
    }

    /// Waits until what it has done satisfies `reached`. Panics when it does not within `timeout`.
    #[track_caller]
    pub fn wait(&self, timeout: Duration, what: &str, reached: impl Fn(&Done) -> bool) {
        assert!(self.reaches(timeout, &reached), "not within {timeout:?}: {what}; it has {:?}", self.done());
    }

    /// Waits until what it has done satisfies `reached`; false when it does not within `timeout`.
    pub fn reaches(&self, timeout: Duration, reached: &dyn Fn(&Done) -> bool) -> bool {
        let (mut patience, mut inner) = (Patience::new(timeout), lock(&self.shared.0));
        while !reached(&inner.done) {
            let Some(left) = patience.left() else { return false };
            inner = self.shared.1.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Stops it after its transaction, and gives what it did.
    pub fn stop(mut self) -> Done {
        self.halt();
        self.done()
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.let_go();
        if let Some(worker) = self.worker.take() {
            worker.join().expect("the processor does not panic");
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.halt();
        }
        self.stop.store(true, Ordering::Relaxed);
        self.let_go();
    }
}

/// One record of a transaction, as it was read.
struct Record {
    partition: i32,
    offset: i64,
    key: Vec<u8>,
    value: Vec<u8>,
    id: u64,
}

struct Worker {
    options: ProcessorOptions,
    shared: Shared,
    stop: Arc<AtomicBool>,
    random: Rng,
}

impl Worker {
    fn run(mut self, mut flag: Watched) {
        while !self.stop.load(Ordering::Relaxed) {
            let on = match flag.state() {
                State::Blue => Cluster::Blue,
                State::Green => Cluster::Green,
                State::Both | State::Off => {
                    std::thread::park_timeout(Duration::from_millis(50));
                    continue;
                }
            };
            let wanted = if on == Cluster::Blue { State::Blue } else { State::Green };
            let stop = Arc::clone(&self.stop);
            let ended = self.session(on, || !stop.load(Ordering::Relaxed) && flag.state() == wanted);
            self.change(|done| done.running = None);
            if ended != Ended::Stopped {
                self.change(|done| done.troubles.push((on, ended)));
                std::thread::park_timeout(Duration::from_millis(200));
            }
        }
    }

    /// From a start of the application to its stop.
    fn session(&mut self, on: Cluster, go_on: impl FnMut() -> bool) -> Ended {
        let client = |more: &[(&str, &str)]| {
            let mut config = ClientConfig::new();
            config.set("log_level", "0");
            self.options.clients[on as usize].iter().for_each(|(name, value)| {
                config.set(name, value);
            });
            more.iter().for_each(|(name, value)| {
                config.set(*name, *value);
            });
            config
        };
        let id = &self.options.ids[on as usize];
        let producer: BaseProducer =
            client(&[("transactional.id", id), ("linger.ms", "0")]).create().expect("a producer");
        if let Err(e) = again(|| producer.init_transactions(WITHIN)) {
            return e;
        }
        // On green it must find what was committed for it there: to begin anywhere else would lose or double.
        let reset = if on == Cluster::Blue { "earliest" } else { "error" };
        let consumer: BaseConsumer = client(&[
            ("group.id", &self.options.group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", reset),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "500"),
        ])
        .create()
        .expect("a consumer");
        consumer.subscribe(&[&self.options.source]).expect("subscribed");
        self.change(|done| done.running = Some(on));
        match self.transactions(on, &producer, &consumer, go_on) {
            Ok(()) => Ended::Stopped,
            Err(ended) => {
                // What is open would hold up its readers until its timeout; of one that was fenced nothing is open.
                let _ = producer.abort_transaction(WITHIN);
                ended
            }
        }
    }

    fn transactions(
        &mut self,
        on: Cluster,
        producer: &BaseProducer,
        consumer: &BaseConsumer,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<(), Ended> {
        while go_on() {
            let Some(first) = read(consumer, Duration::from_millis(50))? else { continue };
            let aborts = self.random.f64() < self.options.aborts;
            let most = self.random.usize(1..=self.options.most);
            producer.begin_transaction().map_err(ended)?;
            let begun = Instant::now();
            let mut batch = vec![first];
            self.write(producer, &batch[0], aborts)?;
            while batch.len() < most || begun.elapsed() < self.options.open_for {
                match read(consumer, Duration::from_millis(10))? {
                    Some(more) => {
                        self.write(producer, &more, aborts)?;
                        batch.push(more);
                    }
                    None if begun.elapsed() >= self.options.open_for || !go_on() => break,
                    None => {}
                }
            }
            producer.flush(WITHIN).map_err(ended)?;
            self.held_here();
            if aborts {
                again(|| producer.abort_transaction(WITHIN))?;
                self.change(|done| done.aborted += 1);
                producer.begin_transaction().map_err(ended)?;
                batch.iter().try_for_each(|record| self.write(producer, record, false))?;
            }
            self.commit(producer, consumer, &batch)?;
            self.change(|done| done.committed[on as usize] += 1);
        }
        Ok(())
    }

    fn write(&self, producer: &BaseProducer, record: &Record, aborts: bool) -> Result<(), Ended> {
        let id = (record.id + if aborts { ABORTED } else { 0 }).to_string();
        let headers = OwnedHeaders::new().insert(Header { key: SEND_ID, value: Some(&id) });
        let out = BaseRecord::to(&self.options.sink).partition(record.partition).key(&record.key);
        producer.send(out.payload(&record.value).headers(headers)).map_err(|(e, _)| ended(e))?;
        producer.poll(Duration::ZERO);
        Ok(())
    }

    fn commit(&self, producer: &BaseProducer, consumer: &BaseConsumer, batch: &[Record]) -> Result<(), Ended> {
        let mut next: BTreeMap<Partition, i64> = BTreeMap::new();
        for record in batch {
            next.insert((self.options.source.clone(), record.partition), record.offset + 1);
        }
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), offset) in next {
            offsets.add_partition_offset(&topic, partition, Offset::Offset(offset)).expect("an offset");
        }
        let group = consumer.group_metadata().ok_or_else(|| Ended::Trouble("no group".to_owned()))?;
        producer.flush(WITHIN).map_err(ended)?;
        again(|| producer.send_offsets_to_transaction(&offsets, &group, WITHIN))?;
        again(|| producer.commit_transaction(WITHIN))
    }

    /// Stands still with a transaction open, as long as it is told to.
    fn held_here(&self) {
        let mut inner = lock(&self.shared.0);
        if !inner.hold {
            return;
        }
        inner.done.held = true;
        self.shared.1.notify_all();
        let mut inner = self.shared.1.wait_while(inner, |inner| inner.hold).unwrap_or_else(PoisonError::into_inner);
        inner.done.held = false;
    }

    fn change(&self, how: impl FnOnce(&mut Done)) {
        how(&mut lock(&self.shared.0).done);
        self.shared.1.notify_all();
    }
}

fn read(consumer: &BaseConsumer, within: Duration) -> Result<Option<Record>, Ended> {
    let message = match consumer.poll(within) {
        None => return Ok(None),
        Some(Ok(message)) => message,
        // A broker that is away for a moment comes back; a position that is missing does not.
        Some(Err(e)) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => return Err(ended(e)),
        Some(Err(_)) => return Ok(None),
    };
    let header = message.headers().and_then(|headers| headers.iter().find(|h| h.key == SEND_ID)?.value);
    let id = header.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
    Ok(Some(Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().to_vec(),
        id: id.expect("the traffic's own record"),
    }))
}

/// Calls again what may be called again, for two minutes.
fn again(mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), Ended> {
    let start = Instant::now();
    loop {
        match call() {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(e)) if e.is_retriable() && start.elapsed() < WITHIN => {}
            Err(e) => return Err(ended(e)),
        }
    }
}

/// What an error of a transaction's call means.
pub fn ended(error: KafkaError) -> Ended {
    let code = match &error {
        KafkaError::Transaction(e) => Some(e.code()),
        other => other.rdkafka_error_code(),
    };
    match code {
        Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch) => {
            Ended::Fenced
        }
        Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => Ended::Denied,
        _ => Ended::Trouble(error.to_string()),
    }
}

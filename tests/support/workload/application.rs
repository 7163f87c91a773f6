//! The application: a consumer group that runs where its switch says, and remembers what it has processed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::super::patience::Patience;
use super::switch::{State, Switch, Watched};
use super::{Cluster, Partition, SEND_ID, lock};

/// Pauses shorter than this are taken together: each costs a wake-up.
const SHORTEST_PAUSE: Duration = Duration::from_millis(8);
/// How much of its time the application makes up for at once.
const SLACK: Duration = Duration::from_millis(200);

/// How the application behaves.
#[derive(Debug, Clone)]
pub struct ApplicationOptions {
    /// Consumers on each cluster.
    pub instances: usize,
    /// How often it commits what it has processed.
    pub commit_every: Duration,
    /// Time that one record takes: what makes it fall behind.
    pub per_record: Duration,
    /// Whether it commits when it is stopped; without, it leaves what it processed since its last commit to be read again.
    pub commits_at_stop: bool,
    /// It takes its partitions by itself (`assign()`): it commits, and is never a member of its group.
    pub assigns: bool,
    /// Whether it goes on where it runs whatever its switch says.
    pub stubborn: bool,
    /// More consumer properties.
    pub properties: Vec<(String, String)>,
}

impl Default for ApplicationOptions {
    fn default() -> Self {
        ApplicationOptions {
            instances: 1,
            commit_every: Duration::from_millis(300),
            per_record: Duration::ZERO,
            commits_at_stop: true,
            assigns: false,
            stubborn: false,
            properties: Vec::new(),
        }
    }
}

/// One record processed. Events are in the order of processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it was read.
    pub cluster: Cluster,
    /// Which start of the application on that cluster this was, counted over both.
    pub session: u32,
    /// Topic and partition.
    pub partition: Partition,
    /// Offset.
    pub offset: i64,
    /// The hidden id; `None` for a record of someone else.
    pub id: Option<u64>,
}

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    sessions: u32,
    /// Counts commits, starts and stops: what waits for a change looks at it.
    changes: u64,
    running: [usize; 2],
    stopped: bool,
    /// Per-record time, which can be changed while it runs.
    per_record: Duration,
    /// Processed on blue, on green.
    counts: [u64; 2],
    /// It stays in its group on blue, on green, and takes no record.
    stalled: [bool; 2],
}

type Shared = Arc<(Mutex<Log>, Condvar)>;

/// A running application.
pub struct Application {
    group: String,
    bootstrap: [String; 2],
    topics: Vec<String>,
    shared: Shared,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Application {
    /// Starts it: a consumer per cluster and instance that joins and leaves as `switch` says.
    pub fn start(
        bootstrap: [&str; 2],
        group: &str,
        topics: &[String],
        switch: &Switch,
        options: &ApplicationOptions,
    ) -> Application {
        let shared: Shared = Arc::default();
        lock(&shared.0).per_record = options.per_record;
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for cluster in Cluster::BOTH {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", bootstrap[cluster as usize]).set("group.id", group).set("log_level", "0");
            config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
            // A fetch brings what has come meanwhile, instead of one request for each record that comes.
            config.set("fetch.min.bytes", "65536").set("fetch.wait.max.ms", "50");
            // In the new protocol (KIP-848) the broker says how often.
            if !options.properties.iter().any(|(name, value)| name == "group.protocol" && value == "consumer") {
                config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
            }
            for (name, value) in &options.properties {
                config.set(name, value);
            }
            for instance in 0..options.instances {
                if !options.properties.iter().any(|(name, _)| name == "client.id") {
                    config.set("client.id", format!("{group}-{instance}"));
                }
                let worker = Worker {
                    cluster,
                    config: config.clone(),
                    topics: topics.to_vec(),
                    options: options.clone(),
                    shared: Arc::clone(&shared),
                    stop: Arc::clone(&stop),
                };
                let switch = Watched::new(switch.clone());
                workers.push(std::thread::spawn(move || worker.run(switch)));
            }
        }
        let bootstrap = bootstrap.map(str::to_owned);
        Application { group: group.to_owned(), bootstrap, topics: topics.to_vec(), shared, stop, workers }
    }

    /// Records processed so far.
    pub fn processed(&self) -> usize {
        lock(&self.shared.0).events.len()
    }

    /// What was processed so far, in order.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.shared.0).events.clone()
    }

    /// Makes it faster or slower.
    pub fn set_per_record(&self, time: Duration) {
        lock(&self.shared.0).per_record = time;
    }

    /// What it has processed on blue and on green, for whoever looks from another thread.
    pub fn counter(&self) -> impl Fn() -> [u64; 2] + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || lock(&shared.0).counts
    }

    /// Makes it stay in its group on `cluster` and take no record any more, or go on.
    pub fn stall(&self, cluster: Cluster, stalled: bool) {
        lock(&self.shared.0).stalled[cluster as usize] = stalled;
    }

    /// Waits until at least `count` records have been processed. Panics when they are not within `timeout`.
    #[track_caller]
    pub fn wait_processed(&self, count: usize, timeout: Duration) {
        self.wait(timeout, &format!("{count} records processed"), |log| log.events.len() >= count);
    }

    /// Waits until it runs on `cluster` (or not) as far as its own consumers know.
    #[track_caller]
    pub fn wait_running(&self, cluster: Cluster, running: bool, timeout: Duration) {
        self.wait(timeout, &format!("{cluster:?} running: {running}"), |log| {
            (log.running[cluster as usize] > 0) == running
        });
    }

    /// Waits until its commits on `cluster` have reached the end of every partition. The traffic must have stopped,
    /// or this moment may never come. Panics when it does not within `timeout`.
    #[track_caller]
    pub fn wait_caught_up(&self, cluster: Cluster, timeout: Duration) {
        let (mut patience, client) = (Patience::new(timeout), self.looker(cluster));
        loop {
            let changes = lock(&self.shared.0).changes;
            let behind = self.behind_as_seen(&client);
            if behind.is_empty() {
                return;
            }
            let left = patience.left();
            assert!(left.is_some(), "{} on {cluster:?} is behind (committed, end): {behind:?}", self.group);
            let guard = lock(&self.shared.0);
            drop(self.shared.1.wait_timeout_while(guard, left.unwrap_or_default(), |log| log.changes == changes));
        }
    }

    /// Partitions whose committed offset is not at the end: (committed, end).
    pub fn behind(&self, cluster: Cluster) -> BTreeMap<Partition, (i64, i64)> {
        self.behind_as_seen(&self.looker(cluster))
    }

    fn looker(&self, cluster: Cluster) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap[cluster as usize])
            .set("group.id", &self.group)
            .set("log_level", "0");
        config.create().expect("a consumer")
    }

    fn behind_as_seen(&self, client: &BaseConsumer) -> BTreeMap<Partition, (i64, i64)> {
        let within = Duration::from_secs(120);
        let mut list = TopicPartitionList::new();
        for topic in &self.topics {
            let metadata = client.fetch_metadata(Some(topic), within).expect("metadata");
            for partition in metadata.topics()[0].partitions() {
                list.add_partition(topic, partition.id());
            }
        }
        let committed = client.committed_offsets(list, within).expect("committed offsets");
        let mut behind = BTreeMap::new();
        for element in committed.elements() {
            let partition = (element.topic().to_owned(), element.partition());
            let (start, end) = client.fetch_watermarks(&partition.0, partition.1, within).expect("watermarks");
            let at = if let Offset::Offset(at) = element.offset() { at } else { start };
            if at < end {
                behind.insert(partition, (at, end));
            }
        }
        behind
    }

    /// Stops it on both clusters, and gives what it processed, in order.
    pub fn stop(mut self) -> Vec<Event> {
        self.halt();
        self.events()
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            worker.join().expect("the application does not panic");
        }
    }

    #[track_caller]
    fn wait(&self, timeout: Duration, what: &str, done: impl Fn(&Log) -> bool) {
        let (mut patience, mut log) = (Patience::new(timeout), lock(&self.shared.0));
        while !done(&log) {
            let (left, processed) = (patience.left(), log.events.len());
            if left.is_none() {
                drop(log);
                panic!("not {}: {what} ({} has processed {processed})", patience.words(), self.group);
            }
            log = self.shared.1.wait_timeout(log, left.unwrap_or_default()).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.halt();
        }
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Worker {
    cluster: Cluster,
    config: ClientConfig,
    topics: Vec<String>,
    options: ApplicationOptions,
    shared: Shared,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, mut switch: Watched) {
        let wanted = |state| {
            state == State::Both || state == if self.cluster == Cluster::Blue { State::Blue } else { State::Green }
        };
        while !self.stop.load(Ordering::Relaxed) {
            if wanted(switch.state()) {
                self.session(|| {
                    let told = self.options.stubborn || wanted(switch.state());
                    !self.stop.load(Ordering::Relaxed) && told
                });
            } else {
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
    }

    /// From a start of the application to its stop.
    fn session(&self, mut go_on: impl FnMut() -> bool) {
        let context = Uncommitted { next: Mutex::default(), shared: Arc::clone(&self.shared) };
        let consumer: BaseConsumer<Uncommitted> = self.config.create_with_context(context).expect("a consumer");
        match self.options.assigns {
            true => self.assign(&consumer),
            false => {
                let topics: Vec<_> = self.topics.iter().map(String::as_str).collect();
                consumer.subscribe(&topics).expect("subscribed");
            }
        }
        let session = self.change(|log| {
            log.running[self.cluster as usize] += 1;
            log.sessions += 1;
            log.sessions
        });
        let uncommitted = consumer.context();
        let mut committed_at = Instant::now();
        let mut busy_until = Instant::now();
        while go_on() {
            if lock(&self.shared.0).stalled[self.cluster as usize] {
                // The client's own thread keeps it in the group.
                std::thread::park_timeout(Duration::from_millis(50));
            } else if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                let id = message.headers().and_then(|h| {
                    let header = h.iter().find(|h| h.key == SEND_ID)?;
                    std::str::from_utf8(header.value?).ok()?.parse().ok()
                });
                let partition = (message.topic().to_owned(), message.partition());
                lock(&uncommitted.next).insert(partition.clone(), message.offset() + 1);
                let event = Event { cluster: self.cluster, session, partition, offset: message.offset(), id };
                let busy = {
                    let mut log = lock(&self.shared.0);
                    log.events.push(event);
                    log.counts[self.cluster as usize] += 1;
                    log.per_record
                };
                self.shared.1.notify_all();
                // What a busy machine took of a pause is made up for: the mean stays, as on a machine of its own.
                let now = Instant::now();
                busy_until = busy_until.max(now.checked_sub(SLACK).unwrap_or(now)) + busy;
                if busy_until > now + SHORTEST_PAUSE {
                    std::thread::park_timeout(busy_until - now);
                }
            }
            if committed_at.elapsed() >= self.options.commit_every {
                uncommitted.commit(&consumer);
                committed_at = Instant::now();
            }
        }
        match self.options.commits_at_stop {
            true => uncommitted.commit(&consumer),
            // What leaving the group revokes is not committed either.
            false => lock(&uncommitted.next).clear(),
        }
        // Leaves the group.
        drop(consumer);
        self.change(|log| log.running[self.cluster as usize] -= 1);
    }

    /// Takes every partition from where its group has committed, from the beginning where it has not.
    fn assign(&self, consumer: &BaseConsumer<Uncommitted>) {
        let within = Duration::from_secs(20);
        let mut list = TopicPartitionList::new();
        for topic in &self.topics {
            let metadata = consumer.fetch_metadata(Some(topic), within).expect("metadata");
            for partition in metadata.topics()[0].partitions() {
                list.add_partition(topic, partition.id());
            }
        }
        let committed = consumer.committed_offsets(list, within).expect("committed offsets");
        let mut from = TopicPartitionList::new();
        for element in committed.elements() {
            let at = if let Offset::Offset(at) = element.offset() { Offset::Offset(at) } else { Offset::Beginning };
            from.add_partition_offset(element.topic(), element.partition(), at).expect("an offset");
        }
        consumer.assign(&from).expect("assigned");
    }

    fn change<T>(&self, how: impl FnOnce(&mut Log) -> T) -> T {
        change(&self.shared, how)
    }
}

/// What a session has processed and not committed: committed in time, at its stop, and before a partition goes to
/// another instance. (One that leaves begins a rebalance, which refuses the commit that the other one makes as it leaves:
/// what that one processed last would be processed again by whoever comes next, and no tool could know.)
struct Uncommitted {
    next: Mutex<BTreeMap<Partition, i64>>,
    shared: Shared,
}

impl ClientContext for Uncommitted {}

impl ConsumerContext for Uncommitted {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) {
            self.commit(consumer);
            // What was refused is processed again by whoever has the partition then; a commit after that one's is none.
            lock(&self.next).clear();
        }
    }
}

impl Uncommitted {
    fn commit(&self, consumer: &BaseConsumer<Uncommitted>) {
        let mut next = lock(&self.next);
        if next.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in &*next {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("an offset");
        }
        // A commit that a broker refuses is made again by the next one, or by whoever has the partition then.
        if consumer.commit(&list, CommitMode::Sync).is_ok() {
            next.clear();
        }
        drop(next);
        change(&self.shared, |_| ());
    }
}

fn change<T>(shared: &Shared, how: impl FnOnce(&mut Log) -> T) -> T {
    let mut log = lock(&shared.0);
    log.changes += 1;
    let result = how(&mut log);
    drop(log);
    shared.1.notify_all();
    result
}

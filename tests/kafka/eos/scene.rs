//! A transactional pipeline on two clusters, everything around it alive: a source topic that one writer writes to both
//! in the same order, a processor that moves it to a sink exactly once, and a consumer of the sink that remembers all it
//! saw. What became of every record is known from here alone, never from what is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cutover::base::{At, Side};
use cutover::estate::transactions::{Answer, TransactionView};
use cutover::kafka::control::Cluster as Control;
use cutover::kafka::properties::ClientProperties;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::faults::{Desk, Ran};
use crate::support::kafka::admin::block_on;
use crate::support::kafka::{Broker, consumer, create_topic, end_offsets, end_offsets_as_seen, producer};
use crate::support::workload::{
    ABORTED, Application, ApplicationOptions, Cluster, Done, Ended, Event, Processor, ProcessorOptions, SEND_ID, State,
    Switch, Traffic, TrafficOptions, Truth, ended,
};
use crate::support::{patience, unique};

pub const SOON: Duration = Duration::from_secs(180);
pub const PARTITIONS: i32 = 2;
/// Records of somebody else that lie on green's sink before anything begins: to start there at 0 would show.
const FOREIGN: i64 = 3;

/// One cluster, and how the two come to it.
pub struct Ground<'a> {
    pub broker: &'a Broker,
    /// Where `cutover` bootstraps.
    pub cutover: String,
    /// Client properties of the application.
    pub client: Vec<(String, String)>,
}

impl<'a> Ground<'a> {
    pub fn plain(broker: &'a Broker) -> Self {
        let client = vec![("bootstrap.servers".to_owned(), broker.bootstrap.clone())];
        Ground { broker, cutover: broker.bootstrap.clone(), client }
    }
}

/// Windows of which one is always open for hours.
pub const OPEN: &str = "\
[[windows]]\nname = \"by-day\"\ndays = [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\", \"Sun\"]\nfrom = \"00:00\"\nto = \"23:59\"\nzone = \"UTC\"
[[windows]]\nname = \"by-night\"\ndays = [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\", \"Sun\"]\nfrom = \"12:00\"\nto = \"11:59\"\nzone = \"UTC\"
";

/// What differs from case to case.
pub struct Setting {
    /// More keys of the producer in the plan.
    pub producer: String,
    /// The plan's windows.
    pub windows: String,
    /// Records a second.
    pub rate: u32,
    /// How long a transaction stays open at least.
    pub open_for: Duration,
    /// Instances of which no process runs: their ids are in the plan.
    pub spare: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Setting { producer: String::new(), windows: OPEN.to_owned(), rate: 60, open_for: Duration::ZERO, spare: 0 }
    }
}

/// The pipeline and a plan for it.
pub struct Scene<'a> {
    pub sides: [Ground<'a>; 2],
    /// Name of the producer in the plan.
    pub name: String,
    pub source: String,
    pub sink: String,
    /// The processor's group, which moves together with it.
    pub reads: String,
    /// The group that reads the sink.
    pub downstream: String,
    /// Transactional ids on blue and on green; the first of each is the processor's.
    pub ids: [Vec<String>; 2],
    pub flag: Switch,
    pub switch: Switch,
    pub traffic: Traffic,
    pub processor: Processor,
    pub reader: Application,
    /// Last: what runs looks at files in it until it has stopped.
    pub desk: Desk,
}

impl<'a> Scene<'a> {
    /// Starts everything on blue, and returns when all of it is at work and has committed.
    pub fn start(blue: Ground<'a>, green: Ground<'a>, setting: &Setting) -> Scene<'a> {
        let (source, sink) = (unique("payments"), unique("ledger"));
        let (name, reads, downstream) = (unique("ledger-app"), unique("ledger-in"), unique("balances"));
        for (side, on) in [(&blue, Cluster::Blue), (&green, Cluster::Green)] {
            create_topic(side.broker, &source, PARTITIONS, &[]);
            create_topic(side.broker, &sink, PARTITIONS, &[]);
            // No offset is the same on both.
            let before = if on == Cluster::Blue { [7, 0] } else { [0, FOREIGN] };
            for (topic, count) in [(&source, before[0]), (&sink, before[1])] {
                foreign(side.broker, topic, count);
            }
            if on == Cluster::Blue {
                (0..PARTITIONS).for_each(|p| crate::support::kafka::delete_records(side.broker, &source, p, 7));
            }
        }
        let desk = Desk::new("");
        let flag = Switch::file(&desk.path().join("flag.json"), &name, "off");
        let switch = Switch::word(&desk.path().join("switch"), "blue");
        let ids = ["b", "g"].map(|side| (0..=setting.spare).map(|n| format!("{name}-{side}-{n}")).collect::<Vec<_>>());
        let plan = format!(
            "[migration]\nname = \"eos\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.green]\nbootstrap = {:?}\n\
             [defaults]\ndrain_still = \"2s\"\nsettle_timeout = \"20s\"\n\
             [[topics]]\nname = {source:?}\narrival_skew = \"5s\"\n\
             [[producers]]\nname = {name:?}\nteam = \"ledger\"\ntopics = [{sink:?}]\n\
             transactional_ids = {{ blue = {:?}, green = {:?} }}\nreads = [{reads:?}]\nstill = \"2s\"\n{}\nflag = {}\n\
             [[groups]]\nname = {reads:?}\ntopics = [{source:?}]\n\
             [[groups]]\nname = {downstream:?}\nteam = \"books\"\ntopics = [{sink:?}]\nswitch = {}\n{}\n",
            blue.cutover,
            green.cutover,
            ids[0],
            ids[1],
            setting.producer,
            flag.toml(),
            switch.toml(),
            setting.windows,
        );
        std::fs::write(desk.path().join("cutover.toml"), plan).expect("a plan");

        let plain = [blue.broker.bootstrap.as_str(), green.broker.bootstrap.as_str()];
        let in_order = TrafficOptions {
            writers: 1,
            jitter: Duration::ZERO,
            rate: setting.rate,
            partitions: PARTITIONS,
            ..TrafficOptions::default()
        };
        let traffic = Traffic::start(plain, std::slice::from_ref(&source), &in_order);
        let options = ProcessorOptions {
            ids: [ids[0][0].clone(), ids[1][0].clone()],
            group: reads.clone(),
            source: source.clone(),
            sink: sink.clone(),
            clients: [blue.client.clone(), green.client.clone()],
            most: 30,
            open_for: setting.open_for,
            aborts: 0.15,
            seed: u64::from(std::process::id()),
        };
        flag.set("blue");
        let processor = Processor::start(&flag, &options);
        let reader = Application::start(
            plain,
            &downstream,
            std::slice::from_ref(&sink),
            &switch,
            &ApplicationOptions::default(),
        );
        let sides = [blue, green];
        let scene =
            Scene { sides, name, source, sink, reads, downstream, ids, flag, switch, traffic, processor, reader, desk };
        scene.at_work(Cluster::Blue);
        scene
    }

    /// Waits until both groups have committed on every partition: without, where they stand is nobody's decision.
    fn at_work(&self, on: Cluster) {
        for (group, topic) in [(&self.reads, &self.source), (&self.downstream, &self.sink)] {
            let client = consumer(self.broker(on), group, &[]);
            until("both groups have committed", || {
                (0..PARTITIONS).all(|p| committed_as_seen(&client, topic, p).is_some())
            });
        }
        self.processor.wait(SOON, "some transactions", |done| done.committed[on as usize] > 3 && done.aborted > 0);
    }

    pub fn broker(&self, on: Cluster) -> &'a Broker {
        self.sides[on as usize].broker
    }

    /// High watermarks of the sink's partitions.
    pub fn sink_ends(&self, on: Cluster) -> Vec<i64> {
        end_offsets(self.broker(on), &self.sink).into_values().map(|(_, end)| end).collect()
    }

    /// Waits until the processor has committed `more` transactions on a side.
    pub fn processes(&self, on: Cluster, more: u64) {
        let before = self.processor.done().committed[on as usize];
        let what = format!("{more} more transactions on {on:?}");
        let reached = |done: &Done| done.committed[on as usize] >= before + more;
        if !self.processor.reaches(SOON, &reached) {
            let client = consumer(self.broker(on), &self.reads, &[]);
            let ends = end_offsets_as_seen(&client, &self.source);
            let stands: Vec<_> = ends.keys().map(|p| committed_as_seen(&client, &self.source, *p)).collect();
            let (sent, done) = (self.traffic.sent(), self.processor.done());
            panic!("not seen: {what}; it has {done:?}; {sent} sent, {ends:?} there, committed {stands:?}");
        }
    }

    /// Waits until the reader of the sink has seen `more` records.
    pub fn reads(&self, more: usize) {
        self.reader.wait_processed(self.reader.processed() + more, SOON);
    }

    /// Waits until the processor has moved everything that there is, on the side where it runs.
    pub fn idles(&self, on: Cluster) {
        let client = consumer(self.broker(on), &self.reads, &[]);
        until("the processor has moved everything", || {
            let ends = end_offsets_as_seen(&client, &self.source);
            ends.iter().all(|(p, (_, end))| committed_as_seen(&client, &self.source, *p) == Some(*end))
        });
    }

    /// Waits until the reader has seen the last record of a side.
    pub fn drained(&self, on: Cluster) {
        let last = last_records(self.broker(on), &self.sink);
        until("the reader has read it to its end", || {
            let events = self.reader.events();
            let there = |p: &i32, offset: &i64| {
                events.iter().any(|e| e.cluster == on && e.partition.1 == *p && e.offset == *offset)
            };
            last.iter().all(|(p, offset)| there(p, offset))
        });
    }

    /// Ids of the sink's committed records from these offsets on, in order.
    pub fn ids_past(&self, on: Cluster, from: &[i64]) -> Vec<u64> {
        let records = records_of(self.broker(on), &self.sink);
        let past = records.into_iter().filter(|(p, offset, _)| *offset >= from[*p as usize]);
        let ids: BTreeSet<u64> = past.filter_map(|(_, _, id)| id).collect();
        ids.into_iter().collect()
    }

    /// What the cluster says of a transactional id: its producer id.
    pub fn producer_id(&self, on: Cluster, id: &str) -> i64 {
        self.transaction(on, id).producer_id
    }

    /// Waits until a transaction is open for longer than its timeout.
    pub fn is_overlong(&self, on: Cluster, id: &str) {
        until("it is open for too long", || {
            let now = At(rdkafka::Timestamp::now().to_millis().expect("a clock"));
            self.transaction(on, id).is_overlong(now)
        });
    }

    fn transaction(&self, on: Cluster, id: &str) -> TransactionView {
        let cluster = Control::new(Side::Blue, &self.broker(on).bootstrap, &ClientProperties::default());
        let ids = [id.to_owned()];
        match block_on(async { cluster.describe_transactions(&ids).await }).remove(id) {
            Some(Answer::Told(Some(view))) => view,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a verb of the real program, and prints it with what it said.
    pub fn run(&self, args: &[&str]) -> Ran {
        let start = Instant::now();
        let ran = self.desk.run(args);
        println!("$ cutover {} -> {:?} in {:.1?}\n{}{}", args.join(" "), ran.code, start.elapsed(), ran.out, ran.err);
        ran
    }

    /// Runs a verb that must succeed.
    #[track_caller]
    pub fn done(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}{}", ran.out, ran.err);
        ran
    }

    /// `cutover producer VERB NAME --yes=NAME ...`.
    pub fn producer<'b>(&'b self, verb: &'b str, more: &[&'b str]) -> Vec<String> {
        let yes = format!("--yes={}", self.name);
        [&["producer", verb, &self.name, &yes][..], more].concat().into_iter().map(str::to_owned).collect()
    }

    /// Carries a verb of the producer out, which must succeed.
    #[track_caller]
    pub fn produce(&self, verb: &str, more: &[&str]) -> Ran {
        let args = self.producer(verb, more);
        self.done(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Moves the group that reads the sink, which must succeed.
    #[track_caller]
    pub fn move_reader(&self, verb: &str) -> Ran {
        self.done(&["group", verb, &self.downstream, &format!("--yes={}", self.downstream)])
    }

    /// Starts a verb and does not wait for it.
    pub fn begin(&self, args: &[String]) -> Running {
        Running::start(self.desk.path(), args)
    }

    /// Goes on with what was killed, held or given back, until the producer is where it goes.
    #[track_caller]
    pub fn goes_on(&self, verb: &str, more: &[&str], to: State) {
        let run = |args: Vec<String>| self.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..6 {
            let mut ran = run(self.producer("continue", &[]));
            if ran.err.contains("waits to be continued") {
                ran = run(self.producer(verb, more));
            }
            if ran.code == Some(0) && self.flag.state() == to {
                return;
            }
        }
        panic!("it does not come to its end");
    }

    /// Entries of the journal; none before there is one.
    pub fn journal(&self) -> Vec<Value> {
        let ran = self.desk.run(&["journal", "export"]);
        if ran.err.contains("there is no journal") {
            return Vec::new();
        }
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Stops the traffic, waits until the processor on `wrote` has moved all of it and the reader on `read` has seen the
    /// end, and counts.
    pub fn count(self, wrote: Cluster, read: Cluster) -> Seen {
        let Scene { sides, source, sink, reads, traffic, processor, reader, desk, .. } = self;
        let truth = traffic.stop();
        let broker = sides[wrote as usize].broker;
        until("the processor has moved everything", || {
            let ends = end_offsets(broker, &source);
            ends.iter().all(|(p, (_, end))| committed(broker, &reads, &source, *p) == Some(*end))
        });
        println!("the processor: {:?}", processor.stop());
        let last = last_records(sides[read as usize].broker, &sink);
        // At the end of every partition nothing more can come.
        until("the reader is at the end", || {
            let events = reader.events();
            let there = |p: &i32, offset: &i64| {
                events.iter().any(|e| e.cluster == read && e.partition.1 == *p && e.offset == *offset)
            };
            last.iter().all(|(p, offset)| there(p, offset))
        });
        let seen = Seen::of(&truth, &reader.stop());
        drop(desk);
        seen
    }
}

/// What the reader of the sink has seen, held against what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub sent: usize,
    pub lost: Vec<u64>,
    pub doubled: Vec<u64>,
    /// Records of transactions that were aborted.
    pub aborted: Vec<u64>,
    /// Records of somebody else.
    pub foreign: usize,
    /// Partition, and the number that came after a higher one.
    pub out_of_order: Vec<(i32, u64)>,
    /// The same offset of the same cluster again: the reader's own doing.
    pub redelivered: usize,
    /// Sides in the order in which it read them.
    pub path: Vec<Cluster>,
}

impl Seen {
    pub fn of(truth: &Truth, events: &[Event]) -> Seen {
        let mut seen = Seen { sent: truth.sends.len(), ..Seen::default() };
        let (mut places, mut counts) = (BTreeSet::new(), BTreeMap::<u64, u64>::new());
        let mut highest: BTreeMap<i32, u64> = BTreeMap::new();
        for event in events {
            if !places.insert((event.cluster, event.partition.clone(), event.offset)) {
                seen.redelivered += 1;
                continue;
            }
            if seen.path.last() != Some(&event.cluster) {
                seen.path.push(event.cluster);
            }
            let Some(id) = event.id else {
                seen.foreign += 1;
                continue;
            };
            if id >= ABORTED {
                seen.aborted.push(id);
                continue;
            }
            *counts.entry(id).or_default() += 1;
            let top = highest.entry(event.partition.1).or_default();
            if id < *top {
                seen.out_of_order.push((event.partition.1, id));
            }
            *top = id.max(*top);
        }
        let sent = |id: &u64| truth.sends[*id as usize].offsets.iter().all(|o| !o.is_empty());
        seen.lost = (0..truth.sends.len() as u64).filter(|id| sent(id) && !counts.contains_key(id)).collect();
        seen.doubled = counts.into_iter().filter(|(_, n)| *n > 1).map(|(id, _)| id).collect();
        seen
    }

    /// Every record once, in order, and nothing else.
    #[track_caller]
    pub fn is_exact(&self) {
        let nothing = (self.lost.len(), self.doubled.len(), self.aborted.len(), self.foreign, self.out_of_order.len());
        assert_eq!(nothing, (0, 0, 0, 0, 0), "{self:?}");
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sent: {} lost, {} duplicated, {} aborted records seen, {} of somebody else, {} out of order; read on {:?}",
            self.sent,
            self.lost.len(),
            self.doubled.len(),
            self.aborted.len(),
            self.foreign,
            self.out_of_order.len(),
            self.path
        )
    }
}

/// Another instance of the producer, or another team's: a transaction by hand.
pub struct Hand {
    producer: BaseProducer,
    topic: String,
}

impl Hand {
    /// A process that has just started with this transactional id.
    pub fn start(side: &Ground<'_>, id: &str, topic: &str) -> Result<Hand, Ended> {
        Hand::with_timeout(side, id, topic, Duration::from_secs(600))
    }

    /// With a timeout of its own for its transactions.
    pub fn with_timeout(side: &Ground<'_>, id: &str, topic: &str, timeout: Duration) -> Result<Hand, Ended> {
        let timeout = timeout.as_millis().to_string();
        let mut properties: Vec<(&str, &str)> = side.client.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        properties.extend([("transactional.id", id), ("transaction.timeout.ms", timeout.as_str())]);
        let producer = producer(side.broker, &properties);
        producer.init_transactions(SOON).map_err(ended)?;
        Ok(Hand { producer, topic: topic.to_owned() })
    }

    pub fn begin(&self) -> Result<(), Ended> {
        self.producer.begin_transaction().map_err(ended)
    }

    /// Writes a record into the open transaction.
    pub fn write(&self) -> Result<(), Ended> {
        let record = BaseRecord::<str, str>::to(&self.topic).partition(0).payload("by hand");
        self.producer.send(record).map_err(|(e, _)| ended(e))?;
        self.producer.flush(SOON).map_err(ended)
    }

    pub fn commit(&self) -> Result<(), Ended> {
        self.producer.commit_transaction(SOON).map_err(ended)
    }

    pub fn abort(&self) -> Result<(), Ended> {
        self.producer.abort_transaction(SOON).map_err(ended)
    }
}

/// A verb under way, and the lines that it says on both streams.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What it has said so far.
    pub said: Vec<String>,
}

impl Running {
    pub fn start(dir: &Path, args: &[String]) -> Running {
        println!("$ cutover {} ...", args.join(" "));
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let (to, lines) = channel();
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let pass = |to: std::sync::mpsc::Sender<String>, from: Box<dyn std::io::Read + Send>| {
            std::thread::spawn(move || {
                BufReader::new(from).lines().map_while(Result::ok).all(|line| to.send(line).is_ok());
            });
        };
        pass(to.clone(), Box::new(out));
        pass(to, Box::new(err));
        Running { child, lines, said: Vec::new() }
    }

    /// The next line; `None` when it has ended. Panics when nothing is said for ten minutes.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(Duration::from_secs(600)) {
            Ok(line) => {
                println!("  {line}");
                self.said.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing was said for ten minutes after {:?}", self.said),
        }
    }

    /// Waits for a line that has all of it.
    #[track_caller]
    pub fn says(&mut self, words: &[&str]) -> String {
        while let Some(line) = self.line() {
            if words.iter().all(|w| line.contains(w)) {
                return line;
            }
        }
        panic!("it has ended without {words:?}: {:?}", self.said)
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        std::mem::take(&mut self.said)
    }

    /// Reads on to its end: its exit code, and all it said.
    pub fn end(mut self) -> (Option<i32>, Vec<String>) {
        while self.line().is_some() {}
        let code = self.child.wait().expect("it ends").code();
        println!("  -> {code:?}");
        (code, std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Waits for a condition with a generous bound: a JVM may have to start, on a busy machine.
#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    patience::until(Duration::from_secs(120), what, holds);
}

/// A group's committed offset.
pub fn committed(broker: &Broker, group: &str, topic: &str, partition: i32) -> Option<i64> {
    committed_as_seen(&consumer(broker, group, &[]), topic, partition)
}

/// The same by a client of the group: whoever looks again and again needs one only.
fn committed_as_seen(client: &BaseConsumer, topic: &str, partition: i32) -> Option<i64> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let found = client.committed_offsets(list, SOON).ok()?;
    found.elements().first().and_then(|e| if let Offset::Offset(at) = e.offset() { Some(at) } else { None })
}

/// The last record of each partition that a reader of committed ones gets, if there is any.
fn last_records(broker: &Broker, topic: &str) -> BTreeMap<i32, i64> {
    // What lay on green before the first seam nobody is owed.
    let owed = |(_, offset, id): &(i32, i64, Option<u64>)| id.is_some() || *offset >= FOREIGN;
    records_of(broker, topic).into_iter().filter(owed).map(|(p, offset, _)| (p, offset)).collect()
}

/// Number of records that a reader of committed ones gets.
pub fn count_of(broker: &Broker, topic: &str) -> usize {
    records_of(broker, topic).len()
}

/// Every committed record of a topic now, in the order of its partition: partition, offset, id.
fn records_of(broker: &Broker, topic: &str) -> Vec<(i32, i64, Option<u64>)> {
    let ends = end_offsets(broker, topic);
    let reader = consumer(broker, "nobody", &[("enable.partition.eof", "true")]);
    let mut list = TopicPartitionList::new();
    for (p, (start, _)) in &ends {
        list.add_partition_offset(topic, *p, Offset::Offset(*start)).expect("an offset");
    }
    reader.assign(&list).expect("assigned");
    let (mut records, mut ended) = (Vec::new(), BTreeSet::new());
    let mut patience = patience::Patience::new(SOON);
    while ended.len() < ends.len() {
        assert!(patience.left().is_some(), "the log is not read to its end");
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let id = message.headers().and_then(|h| h.iter().find(|h| h.key == SEND_ID)?.value);
                let id = id.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
                records.push((message.partition(), message.offset(), id));
            }
            Some(Err(KafkaError::PartitionEOF(p))) => {
                ended.insert(p);
            }
            _ => {}
        }
    }
    records
}

fn foreign(broker: &Broker, topic: &str, count: i64) {
    let writer = producer(broker, &[]);
    for (p, n) in (0..PARTITIONS).flat_map(|p| (0..count).map(move |n| (p, n))) {
        let payload = format!("foreign {p} {n}");
        let record = BaseRecord::<str, str>::to(topic).partition(p).payload(&payload);
        writer.send(record).map_err(|(e, _)| e).expect("sent");
    }
    writer.flush(SOON).expect("written");
}

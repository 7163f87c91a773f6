//! One name behind which two clusters stand: a virtual address, or a name with two answers of DNS. Each connection is a draw,
//! of either plane. Where the plan pins one of them, what a verb says is that cluster's own, or it refuses: never a verdict
//! from the other one's records, never an offset that rests on them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::faults::Desk;
use crate::support::kafka::{
    Broker, HeldPort, commit_offsets, consumer, create_topic, listen_on_port, old_blue, pair, producer, take_port,
    throwaway,
};
use crate::support::unique;

const WITHIN: Duration = Duration::from_secs(60);
/// Which of the two each connection is led to, over and over: 0 is the one that is meant. The first is how it should be.
const ORDERS: &[&[usize]] = &[&[0], &[0, 1], &[1, 0], &[0, 0, 0, 1], &[1]];
/// What the group has committed there, and what the other cluster says it has.
const COMMITTED: i64 = 1;
const ELSEWHERE: i64 = 3;

/// An address that leads each connection to the next of several brokers.
#[derive(Clone)]
struct Draw {
    address: String,
    turns: Arc<Mutex<Turns>>,
}

#[derive(Default)]
struct Turns {
    to: Vec<String>,
    next: usize,
    led: BTreeSet<String>,
}

impl Draw {
    /// Leads nowhere yet.
    fn at(listener: TcpListener) -> Draw {
        let address = listener.local_addr().expect("an address").to_string();
        let draw = Draw { address, turns: Arc::default() };
        let leading = draw.clone();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|client| leading.lead(client)));
        draw
    }

    /// From here on to these, in this order.
    fn leads(&self, to: Vec<String>) {
        let mut turns = self.turns.lock().unwrap();
        (turns.to, turns.next) = (to, 0);
    }

    /// Where somebody was led to so far.
    fn led(&self) -> BTreeSet<String> {
        self.turns.lock().unwrap().led.clone()
    }

    fn lead(&self, client: TcpStream) {
        let to = {
            let mut turns = self.turns.lock().unwrap();
            let Some(to) = turns.to.get(turns.next % turns.to.len().max(1)).cloned() else { return };
            turns.next += 1;
            turns.led.insert(to.clone());
            to
        };
        let Ok(broker) = TcpStream::connect(to) else { return };
        for (from, to) in [(&client, &broker), (&broker, &client)] {
            let (from, to) = (from.try_clone().expect("a stream"), to.try_clone().expect("a stream"));
            std::thread::spawn(move || pump(from, to));
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both); // it may be closed
}

/// Writes records with these keys, ten minutes ago by one clock for all clusters, so that they are settled and the same.
fn write(broker: &Broker, topic: &str, keys: &[i64], base: i64) {
    let writer = producer(broker, &[]);
    for n in keys {
        let (key, value) = (format!("k{n}"), format!("hello {n}"));
        let record = BaseRecord::to(topic).partition(0).key(&key).payload(&value).timestamp(base + n);
        writer.send(record).map_err(|(e, _)| e).expect("taken");
    }
    writer.flush(WITHIN).expect("written");
}

fn committed(broker: &Broker, group: &str, topic: &str) -> Offset {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = consumer(broker, group, &[]).committed_offsets(list, WITHIN).expect("committed offsets");
    found.find_partition(topic, 0).expect("the partition").offset()
}

/// Two clusters for one name, and green.
struct Ground<'a> {
    /// The one that is meant, and the other.
    brokers: [&'a Broker; 2],
    topic: String,
    /// A group for each order.
    groups: Vec<String>,
}

impl<'a> Ground<'a> {
    /// Blue and green hold the same records. The other cluster has one more before them, and another commit: whatever of it
    /// went into a translation would show. Nothing is led anywhere but to the one that is meant while this is made.
    fn new(brokers: [&'a Broker; 2], orders: usize) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let base = i64::try_from(now.as_millis()).expect("before the end of time") - 600_000;
        let (topic, green) = (unique("one-name"), &pair().green);
        let groups: Vec<String> = (0..orders).map(|_| unique("one-name-group")).collect();
        for broker in [brokers[0], brokers[1], green] {
            create_topic(broker, &topic, 1, &[]);
        }
        write(brokers[0], &topic, &[0, 1, 2], base);
        write(brokers[1], &topic, &[-1, 0, 1, 2], base);
        write(green, &topic, &[0, 1, 2], base);
        for group in &groups {
            commit_offsets(brokers[0], group, &topic, &[COMMITTED]);
            commit_offsets(brokers[1], group, &topic, &[ELSEWHERE]);
        }
        Ground { brokers, topic, groups }
    }

    fn desk(&self, bootstrap: &str, group: &str) -> Desk {
        Desk::new(&format!(
            "[migration]\nname = \"one-name\"\n[clusters.blue]\nbootstrap = \"{bootstrap}\"\ncluster_id = \"{}\"\n\
             [clusters.green]\nbootstrap = \"{}\"\ncluster_id = \"{}\"\n\
             [[groups]]\nname = \"{group}\"\ntopics = [\"{}\"]\nswitch = {{ provider = \"manual\" }}\n",
            self.brokers[0].cluster_id,
            pair().green.bootstrap,
            pair().green.cluster_id,
            self.topic
        ))
    }

    /// What each verb came to behind this name: true for the result of the cluster that is meant, false for a refusal.
    /// Anything else is a failure.
    fn tried(&self, case: &str, bootstrap: &str, group: &str) -> [bool; 3] {
        let desk = self.desk(bootstrap, group);
        let (code, plan) = desk.json(&["offsets", "plan", "--group", group]);
        println!("{case}: offsets plan {code:?}: {plan}");
        let row = &plan["partitions"][0];
        let planned = match (&row["blue"]["committed"], &row["green"]["offset"]) {
            (Value::Null, Value::Null) => false,
            (from, to) => {
                assert_eq!(from, COMMITTED, "{case}: the commit of another cluster: {plan}");
                assert!(
                    *to == COMMITTED || to.is_null(),
                    "{case}: an offset by the records of another cluster: {plan}"
                );
                !to.is_null()
            }
        };
        assert!(matches!(code, Some(0 | 1 | 3 | 4)) && (planned || code != Some(0)), "{case}: {code:?} {plan}");
        let planned = planned && code == Some(0);

        let (code, diff) = desk.json(&["diff", "--topic", &self.topic]);
        println!("{case}: diff {code:?}: {diff}");
        assert!(matches!(code, Some(0 | 1 | 4)), "{case}: the records of another cluster were compared: {diff}");

        let ran = desk.run(&["offsets", "apply", "--group", group, &format!("--yes={group}")]);
        println!("{case}: offsets apply {:?}: {}{}", ran.code, ran.out, ran.err);
        let set = committed(&pair().green, group, &self.topic);
        assert!(set == Offset::Offset(COMMITTED) || set == Offset::Invalid, "{case}: set to {set:?}: {}", ran.err);
        match ran.code {
            Some(0) => assert_eq!(set, Offset::Offset(COMMITTED), "{case}: {}", ran.out),
            Some(1 | 3 | 4) => assert!(!ran.err.is_empty(), "{case}: nobody is told why"),
            other => panic!("{case}: {other:?} {}", ran.err),
        }
        [planned, code == Some(0), ran.code == Some(0)]
    }

    /// Every order behind one address.
    fn every_order(&self, draw: &Draw) {
        let mut refused = 0;
        for (order, group) in ORDERS.iter().zip(&self.groups) {
            draw.leads(order.iter().map(|n| self.brokers[*n].bootstrap.clone()).collect());
            let tried = self.tried(&format!("{order:?}"), &draw.address, group);
            match order {
                [0] => assert_eq!(tried, [true; 3], "where it leads to one cluster all is well"),
                [1] => assert_eq!(tried, [false; 3], "where it leads to the other one alone nothing is said"),
                _ => refused += tried.iter().filter(|right| !**right).count(),
            }
        }
        assert_eq!(draw.led().len(), 2, "both were reached: {:?}", draw.led());
        assert!(refused > 0, "two clusters behind one name were never noticed");
    }
}

/// The name is what people write into the plan; behind it each cluster advertises its own address.
#[test]
fn a_bootstrap_name_that_leads_to_two_clusters() {
    let ground = Ground::new([&pair().blue, old_blue()], ORDERS.len() + 1);
    let draw = Draw::at(TcpListener::bind("127.0.0.1:0").expect("a port"));
    ground.every_order(&draw);

    // The same by two addresses of one name, where this machine has such a name: each of them is asked.
    let Some((port, listeners)) = two_addresses() else {
        println!("localhost has one address here: the orders above are the same situation");
        return;
    };
    let draws = listeners.map(Draw::at);
    for (draw, broker) in draws.iter().zip(ground.brokers) {
        draw.leads(vec![broker.bootstrap.clone()]);
    }
    let group = ground.groups.last().expect("a group more");
    let tried = ground.tried("two addresses", &format!("localhost:{}", port.number), group);
    assert_eq!(tried, [false; 3], "one of its addresses leads elsewhere");
}

/// One port on both addresses of `localhost`, if it has two.
fn two_addresses() -> Option<(HeldPort, [TcpListener; 2])> {
    let port = take_port();
    let found: BTreeSet<_> = ("localhost", port.number).to_socket_addrs().ok()?.map(|at| at.ip()).collect();
    let both = ["127.0.0.1", "::1"].map(|ip| ip.parse::<std::net::IpAddr>().expect("an address"));
    if !both.iter().all(|ip| found.contains(ip)) {
        return None;
    }
    let [four, six] = both.map(|ip| TcpListener::bind((ip, port.number)).ok());
    Some((port, [four?, six?]))
}

/// The name is what the cluster itself advertises: every connection of both planes is a draw, those of readers and writers
/// too.
#[test]
fn an_advertised_name_that_leads_to_two_clusters() {
    let (_port, listener) = listen_on_port();
    let draw = Draw::at(listener);
    let advertised = format!("PLAINTEXT://{}", draw.address);
    let meant = throwaway("draws", &[("advertised.listeners", &advertised)]);
    draw.leads(vec![meant.bootstrap.clone()]);
    let ground = Ground::new([&meant, &pair().blue], ORDERS.len());
    ground.every_order(&draw);
}

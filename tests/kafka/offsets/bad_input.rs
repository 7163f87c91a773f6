//! What can't be translated, or is hard to read, on real clusters: a verdict with its reason or a clear error, never a
//! guess shown as proof, and `offsets apply` commits nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use cutover::base::Side;
use cutover::offsets::Verdict;
use rdkafka::producer::{BaseRecord, Producer};

use super::ground::{Ground, PATIENCE, committed, fill, fill_from, hours_ago, now, send};
use super::{commit, group_text, load, logs, translate_with};
use crate::faults::Desk;
use crate::support::kafka::admin::delete_topic;
use crate::support::kafka::{Broker, create_topic, delete_records, end_offsets, listen_on_port, pair, producer};
use crate::support::{kafka, unique};

#[test]
fn a_topic_that_green_has_not() {
    let ground = Ground::twin("not-there", 20, 10);
    delete_topic(&ground.pair.green, &ground.topic);
    ground.is_unmappable("there is no topic", "on green");
}

/// Keys live elsewhere there. Whatever is said, nothing owed is skipped.
#[test]
fn another_number_of_partitions() {
    let ground = Ground::new("counts", 2, 3);
    let value = |n: i32| format!("value {n}").into_bytes();
    for (broker, count) in [(&ground.pair.blue, 2), (&ground.pair.green, 3)] {
        let producer = producer(broker, &[]);
        for n in 0..300 {
            let (key, value) = (n.to_string(), value(n));
            let at = now() - 6 * 3_600_000 + i64::from(n) * 1_000;
            let record = BaseRecord::to(&ground.topic).partition(n % count).key(&key).payload(&value).timestamp(at);
            producer.send(record).map_err(|(e, _)| e).expect("sent");
        }
        producer.flush(PATIENCE).expect("written");
    }
    // blue-0 holds the even numbers, the group has read 0..200 of them all
    commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, 100), (&ground.topic, 1, 90)]);
    let plan = ground.translate();
    println!("{:?}", plan.partitions.iter().map(|p| (p.verdict, p.target.offset, &p.why)).collect::<Vec<_>>());
    if plan.worst_verdict() == Some(Verdict::Unmappable) {
        assert!(plan.partitions.iter().any(|p| p.why.as_deref().is_some_and(|w| w.contains("partitions"))), "{plan:?}");
        ground.is_refused("partitions");
        return;
    }
    let owed = |n: i32| if n % 2 == 0 { n / 2 >= 100 } else { n / 2 >= 90 };
    for n in (0..300).filter(|n| owed(*n)) {
        let at = ground.partition(&plan, n % 3).target.offset.expect("an offset a green partition");
        assert!(at <= i64::from(n / 3), "{n} is owed, and skipped: green-{} starts at {at}", n % 3);
    }
    assert_eq!(plan.totals.missing, Some(0), "{plan:?}");
}

#[test]
fn a_group_that_never_committed() {
    let ground = Ground::new("never", 1, 1);
    for broker in [&ground.pair.blue, &ground.pair.green] {
        fill(broker, &ground.topic, 0, (0..20).map(|n| format!("value {n}").into_bytes()));
    }
    // Where its auto.offset.reset has put it nobody can see: all that is there is owed, and may be read again.
    let plan = ground.translate();
    let p = ground.partition(&plan, 0);
    assert_eq!((p.verdict, p.target.offset), (Verdict::Bounded, Some(0)), "{p:?}");
    assert_eq!((p.re_read, p.missing), (Some(20), Some(0)), "{p:?}");
    assert!(p.why.as_deref().is_some_and(|w| w.contains("never committed")), "{p:?}");
    ground.is_refused("does not exist on blue");
}

#[test]
fn offsets_beyond_the_log() {
    let ground = Ground::twin("beyond", 20, 500);
    ground.is_unmappable("beyond the source's end 20", "beyond the source's end 20");
    // deleted and made again: the coordinator has dropped its offsets with it, or they are beyond what is there now
    let ground = Ground::twin("made-again", 20, 15);
    delete_topic(&ground.pair.blue, &ground.topic);
    create_topic(&ground.pair.blue, &ground.topic, 1, &[]);
    fill(&ground.pair.blue, &ground.topic, 0, (0..5).map(|n| format!("new {n}").into_bytes()));
    let plan = ground.translate();
    println!("{:?}", plan.partitions);
    assert!(plan.blocks_cutover(), "{plan:?}");
    ground.is_refused("");
}

/// What expired before the group read it can't be compared, and is lost to the group on blue already.
#[test]
fn below_the_log_start() {
    let ground = Ground::twin("expired", 60, 10);
    delete_records(&ground.pair.blue, &ground.topic, 0, 40);
    let plan = ground.translate();
    let p = ground.partition(&plan, 0);
    println!("{} {:?} missing {:?}", p.verdict, p.why, p.missing);
    assert_ne!(p.verdict, Verdict::Proven, "{p:?}");
    assert!(p.why.as_deref().is_some_and(|w| w.contains("expired")), "{p:?}");
    assert!(plan.blocks_cutover() && p.missing.is_none_or(|n| n == 30), "{p:?}");
    assert!(p.target.offset.is_none_or(|o| o <= 40), "what is unconsumed and there is not skipped: {p:?}");
    ground.is_refused("");
}

/// The records of an open transaction are on blue, and nobody can read them: their twins on green are owed.
#[test]
fn an_open_transaction_at_the_offset() {
    let ground = Ground::twin("open", 30, 30);
    let writer = producer(&ground.pair.blue, &[("transactional.id", &unique("open"))]);
    writer.init_transactions(PATIENCE).expect("a producer id");
    writer.begin_transaction().expect("begun");
    let late = || (100..110).map(|n| format!("value {n}").into_bytes());
    send(&writer, &ground.topic, 0, late());
    writer.flush(PATIENCE).expect("in the log");
    fill(&ground.pair.green, &ground.topic, 0, late());
    // a reader of uncommitted records is in the middle of it
    commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, 35)]);
    ground.is_unmappable("transaction is open", "transaction is open");
    // one of committed records is before it
    commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, 30)]);
    let plan = ground.translate();
    let p = ground.partition(&plan, 0);
    assert_eq!((p.verdict, p.target.offset), (Verdict::Bounded, Some(30)), "{p:?}");
    assert!(p.why.as_deref().is_some_and(|w| w.contains("open on the source from offset 30")), "{p:?}");
    writer.commit_transaction(PATIENCE).expect("committed");
    let plan = ground.translate();
    let p = ground.partition(&plan, 0);
    assert_eq!((p.verdict, p.target.offset, p.re_read), (Verdict::Proven, Some(30), Some(0)), "{p:?}");
}

#[test]
fn a_topic_that_vanishes_while_it_is_read() {
    let ground = Ground::twin("vanishes", 2_000, 100);
    let desk = ground.desk();
    let rounds = AtomicU32::new(0);
    let topic = ground.topic.clone();
    let vanish = move |_: String| {
        // ends, times, windows: the third round reads
        if rounds.fetch_add(1, Ordering::SeqCst) == 2 {
            delete_topic(&pair().green, &topic);
        }
    };
    let said = match translate_with(&load(&desk), &ground.group, Side::Green, Arc::new(vanish)) {
        Err(trouble) => trouble.what,
        Ok(plan) => {
            assert_eq!(plan.worst_verdict(), Some(Verdict::Unmappable), "{plan:?}");
            ground.partition(&plan, 0).why.expect("a reason")
        }
    };
    println!("{said}");
    assert!(said.contains(&ground.topic), "{said}");
    ground.is_refused("on green");
}

#[test]
fn records_of_1_and_of_10_mib() {
    let ground = Ground { pair: pair(), topic: unique("huge"), group: unique("huge-group") };
    let begin = hours_ago();
    for broker in [&ground.pair.blue, &ground.pair.green] {
        create_topic(broker, &ground.topic, 1, &[("max.message.bytes", "12000000")]);
        let size = |n: usize| if n == 6 { 10 << 20 } else { (1 << 20) - 200 };
        let values = (0..9).map(|n| vec![u8::try_from(n).unwrap() + 1; size(n)]);
        fill_from(broker, &ground.topic, 0, begin, values);
    }
    for (at, left) in [(6, 3), (7, 2), (9, 0)] {
        commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, at)]);
        let plan = ground.translate();
        let p = ground.partition(&plan, 0);
        assert_eq!((p.verdict, p.target.offset), (Verdict::Proven, Some(at)), "{left} unconsumed: {p:?}");
        assert_eq!((p.re_read, p.missing), (Some(0), Some(0)), "{p:?}");
    }
}

/// A payload in Confluent's frame; every hundredth frame is cut off in its schema id.
fn framed(schema: u8, n: usize) -> Vec<u8> {
    let whole = [&[0, 0, 0, 0, schema][..], format!("record {n}").as_bytes()].concat();
    if n.is_multiple_of(100) { vec![0, 0, u8::try_from(n / 100).unwrap()] } else { whole }
}

#[test]
fn one_in_a_hundred_frames_is_corrupt() {
    let ground = Ground::new("framed", 1, 1);
    for broker in [&ground.pair.blue, &ground.pair.green] {
        fill(broker, &ground.topic, 0, (0..1_000).map(|n| framed(7, n)));
    }
    for at in [500, 501, 1_000] {
        commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, at)]);
        let plan = ground.translate();
        let p = ground.partition(&plan, 0);
        assert_eq!((p.verdict, p.target.offset, p.missing), (Verdict::Proven, Some(at), Some(0)), "{p:?}");
    }
    // Registries that gave the schema other ids: nothing but the corrupt frames agrees. All that is owed is said to
    // be missing, and nothing is committed.
    let ground = Ground::new("framed-otherwise", 1, 1);
    for (broker, schema) in [(&ground.pair.blue, 7), (&ground.pair.green, 9)] {
        fill(broker, &ground.topic, 0, (0..1_000).map(|n| framed(schema, n)));
    }
    commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, 500)]);
    let plan = ground.translate();
    let p = ground.partition(&plan, 0);
    println!("{} {:?} missing {:?}", p.verdict, p.why, p.missing);
    assert!(plan.blocks_cutover() && p.missing.is_none_or(|n| n == 495), "{p:?}");
    ground.is_refused("");
}

/// The latest state of each key is what a group of a compacted topic is owed.
#[test]
fn compacted_topics() {
    let ground = Ground { pair: pair(), topic: unique("compacted"), group: unique("compacted-group") };
    let compact = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("min.compaction.lag.ms", "0"),
        ("max.compaction.lag.ms", "100"),
    ];
    create_topic(&ground.pair.blue, &ground.topic, 1, &[]);
    create_topic(&ground.pair.green, &ground.topic, 1, &compact);
    let begin = now() - 6 * 3_600_000;
    let mut sent = Vec::new();
    for n in 0..600_i64 {
        // identical states come again: (k, v), (k, w), (k, v)
        sent.push((format!("key {}", n % 40), format!("state {}", (n / 40) % 2), begin + n * 200));
    }
    for broker in [&ground.pair.blue, &ground.pair.green] {
        let producer = producer(broker, &[]);
        for (key, value, ts) in &sent {
            let record = BaseRecord::to(&ground.topic).partition(0).key(key).payload(value).timestamp(*ts);
            producer.send(record).map_err(|(e, _)| e).expect("sent");
        }
        producer.flush(PATIENCE).expect("written");
    }
    // a record of another segment makes the ones before it cleanable
    let kept = cleaned(&ground.pair.green, &ground.topic, sent.len());
    println!("{} of {} records are left on green", kept.len(), sent.len());
    for at in [0, 250, 555, 590] {
        commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, at)]);
        let plan = ground.translate();
        let p = ground.partition(&plan, 0);
        let start = p.target.offset.unwrap_or_else(|| panic!("{p:?}"));
        println!("{at} -> {start}: {} re-read {:?} missing {:?} {:?}", p.verdict, p.re_read, p.missing, p.why);
        assert!(p.verdict.is_safe(), "{p:?}");
        // the last state of each key that is unconsumed on blue is at or after the start on green
        for key in 0..40 {
            let last = (at..600).rev().find(|n| n % 40 == key);
            let Some(last) = last else { continue };
            assert!(kept.contains(&last) && start <= last, "key {key}: {last} is owed, and skipped: {p:?}");
        }
        assert_eq!(p.missing, Some(0), "what is superseded is excused: {p:?}");
    }
}

/// Rolls the segment of a compacted topic until its cleaner has been there: the offsets below `first` that are left.
fn cleaned(broker: &Broker, topic: &str, first: usize) -> Vec<i64> {
    let producer = producer(broker, &[]);
    let mut reader = logs::open(broker);
    for round in 0..2_000 {
        // a segment rolls when something is written to it later
        let key = format!("roll {round}");
        producer.send(BaseRecord::to(topic).partition(0).key(&key).payload("x")).map_err(|(e, _)| e).expect("sent");
        producer.flush(PATIENCE).expect("written");
        let end = end_offsets(broker, topic)[&0].1;
        let left = logs::offsets(&mut reader, topic, 0, end);
        let left: Vec<i64> = left.into_iter().filter(|o| *o < first as i64).collect();
        if left.len() <= 80 {
            return left;
        }
    }
    panic!("the cleaner never came");
}

/// Passes bytes on between clients and a broker, and kills the broker once enough of its bytes have gone by.
struct Gate {
    /// Bytes left to pass on; not armed when negative.
    left: AtomicI64,
    broker: OnceLock<Arc<Broker>>,
}

impl Gate {
    fn listen(address: TcpListener) -> Arc<Gate> {
        let gate = Arc::new(Gate { left: AtomicI64::new(-1), broker: OnceLock::new() });
        let shared = Arc::clone(&gate);
        std::thread::spawn(move || {
            for client in address.incoming().map_while(Result::ok) {
                let Some(broker) = shared.broker.get() else { continue };
                let Ok(server) = TcpStream::connect(&broker.bootstrap) else { continue };
                let (gate, there, back) = (Arc::clone(&shared), client.try_clone(), server.try_clone());
                let (Ok(there), Ok(back)) = (there, back) else { continue };
                std::thread::spawn(move || pass(client, server, |_| ()));
                std::thread::spawn(move || pass(back, there, |n| gate.count(n)));
            }
        });
        gate
    }

    fn count(&self, bytes: usize) {
        let before = self.left.fetch_sub(bytes as i64, Ordering::SeqCst);
        if before >= 0 && before < bytes as i64 {
            self.broker.get().expect("it runs").kill();
        }
    }

    fn arm(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, seen: impl Fn(usize)) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        seen(n);
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_broker_that_dies_in_the_middle_of_reading() {
    let (port, listener) = listen_on_port();
    let door = format!("127.0.0.1:{}", port.number);
    let gate = Gate::listen(listener);
    let advertised = format!("PLAINTEXT://{door}");
    let green = Arc::new(kafka::throwaway("dies", &[("advertised.listeners", &advertised)]));
    gate.broker.set(Arc::clone(&green)).expect("set once");
    let blue = &pair().blue;
    let ground = Ground { pair: pair(), topic: unique("dies"), group: unique("dies-group") };
    for broker in [blue, &green] {
        create_topic(broker, &ground.topic, 1, &[]);
        fill(broker, &ground.topic, 0, (0..40_000).map(|n| format!("{n:0100}").into_bytes()));
    }
    commit(blue, &ground.group, &[(&ground.topic, 0, 1_000)]);
    let through = Desk::new(
        &(format!(
            "[migration]\nname = \"dies\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.green]\nbootstrap = {door:?}\n",
            blue.bootstrap
        ) + &group_text(&ground.group, &[&ground.topic])),
    );

    gate.arm(2_000_000);
    let trouble = translate_with(&load(&through), &ground.group, Side::Green, Arc::new(|_| {}));
    println!("{trouble:?}");
    assert_eq!(green.pid(), None, "it was killed in the middle");
    let trouble = trouble.expect_err("what was read of a log is no log");
    assert!(trouble.what.contains(&door) && !trouble.advice.is_empty(), "{trouble:?}");

    green.restart();
    gate.arm(2_000_000);
    let ran = through.run(&["offsets", "apply", "--group", &ground.group, &format!("--yes={}", ground.group)]);
    println!("{:?} {}", ran.code, ran.err);
    assert_eq!(green.pid(), None, "it was killed in the middle");
    assert!(matches!(ran.code, Some(1 | 3 | 4)), "{:?} {}", ran.code, ran.err);
    assert!(ran.err.contains(&door), "{}", ran.err);
    green.restart();
    assert_eq!(committed(&green, &ground.group, &ground.topic), []);
}

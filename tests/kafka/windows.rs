//! How much a translation reads: a caught-up group its windows, several groups what they share once; and lines on which
//! records come slowly.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cutover::base::{Side, TopicPartition, Trouble};
use cutover::jobs::translate::{Purpose, TranslationProgressSink, Translator, WantedGroup};
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, ReadRange, RecordReader};
use cutover::kafka::writer::{Outgoing, RecordWriter};
use cutover::offsets::{GroupTranslation, Verdict};
use cutover::plan::Plan;
use cutover::session::names::TopicNames;
use cutover::session::tools::Tools;

use crate::support::kafka::{self, Pair};
use crate::support::unique;

const WITHIN: Duration = Duration::from_secs(240);
/// Records that a window reaches back for evidence: `Params::evidence`.
const EVIDENCE: u64 = 64;

/// The same records on both clusters: an hour of them, which ended twenty minutes ago.
fn dual_write(pair: &Pair, topic: &str, partitions: i32, records: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let start = now - 80 * 60_000;
    for broker in [&pair.blue, &pair.green] {
        kafka::create_topic(broker, topic, partitions, &[]);
        let writer = RecordWriter::open(&ClientProperties::default(), &broker.bootstrap, WITHIN).expect("a writer");
        for n in 0..records {
            for p in 0..partitions {
                let (key, at) = (format!("{p}-{n}"), start + n * 3_600_000 / records);
                let record = Outgoing {
                    key: Some(key.as_bytes()),
                    value: Some(b"v"),
                    timestamp: Some(at),
                    ..Outgoing::default()
                };
                writer.send(&TopicPartition::new(topic, p), &record).expect("sent");
            }
        }
        writer.flush().expect("written");
    }
}

fn translator(pair: &Pair) -> Translator {
    let plan = Arc::new(Plan::from_bootstraps(&pair.blue.bootstrap, &pair.green.bootstrap).expect("a plan").plan);
    let names = Arc::new(TopicNames::new(&plan));
    let tools = Tools::new(&plan, Arc::clone(&names));
    Translator::new(plan, names, tools.clusters().clone(), Arc::default()).expect("a translator")
}

/// The groups' plans, and how many records were read for all of them.
async fn translate(pair: &Pair, groups: &[&str]) -> (Vec<Result<GroupTranslation, Trouble>>, u64) {
    let translator = translator(pair);
    let quiet: TranslationProgressSink = Arc::new(|_| ());
    let topics = BTreeSet::new();
    let wanted: Vec<_> = groups.iter().map(|group| WantedGroup { group, chosen: None, topics: &topics }).collect();
    let plans = translator.translate_many(&wanted, Side::Green, Purpose::Run, &quiet).await;
    let read = translator.records_read();
    translator.close().await;
    (plans, read)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caught_up_group_on_a_hundred_partitions_reads_only_its_windows() {
    let (topic, group) = (unique("caught-up"), unique("caught-up"));
    let pair = tokio::task::block_in_place(|| {
        let pair = kafka::pair();
        dual_write(pair, &topic, 100, 2_000);
        kafka::commit_offsets(&pair.blue, &group, &topic, &[2_000; 100]);
        pair
    });
    let (plans, read) = translate(pair, &[&group]).await;
    let plan = plans.into_iter().next().expect("one").expect("translated");
    let most = plan.partitions.iter().map(|p| p.read.0.max(p.read.1)).max().expect("partitions");
    println!("caught up on 100 partitions of 2 x 2,000 records: {read} read, {most} at most of one log");
    for p in &plan.partitions {
        assert_eq!((p.verdict, p.target.offset, p.re_read), (Verdict::Proven, Some(2_000), Some(0)), "{p:?}");
        assert!(p.read.0 <= EVIDENCE && p.read.1 <= EVIDENCE, "{p:?}");
    }
    assert_eq!(plan.partitions.len(), 100);
    assert_eq!(read, plan.partitions.iter().map(|p| p.read.0 + p.read.1).sum::<u64>());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_on_one_topic_share_one_pass() {
    const PARTITIONS: i32 = 4;
    let topic = unique("shared");
    let groups: Vec<(String, i64)> = [1_500, 20, 700].map(|at| (unique("sharer"), at)).to_vec();
    let never = unique("never-committed");
    let pair = tokio::task::block_in_place(|| {
        let pair = kafka::pair();
        dual_write(pair, &topic, PARTITIONS, 2_000);
        for (group, at) in &groups {
            kafka::commit_offsets(&pair.blue, group, &topic, &[*at; PARTITIONS as usize]);
        }
        pair
    });
    let mut alone = Vec::new();
    for (group, _) in &groups {
        let (mut plans, read) = translate(pair, &[group]).await;
        alone.push((plans.remove(0).expect("translated"), read));
    }
    let names = [&*groups[0].0, &*never, &*groups[1].0, &*groups[2].0];
    let (mut together, read) = translate(pair, &names).await;
    let nobody = together.remove(1).expect_err("it has no offsets");
    assert!(nobody.what.contains(&never), "{nobody:?}");

    let sum: u64 = alone.iter().map(|(_, read)| read).sum();
    let furthest = alone.iter().map(|(_, read)| *read).max().expect("groups");
    println!(
        "three groups: {read} records read together, {sum} one after the other, {furthest} for the furthest behind"
    );
    assert_eq!(read, furthest, "what they share is read once");
    assert!(sum > 2 * furthest * 7 / 10, "they share most of it: {sum}");
    for ((group, at), (plan, (alone, _))) in groups.iter().zip(together.into_iter().zip(alone)) {
        let plan = plan.expect("translated");
        for (p, alone) in plan.partitions.iter().zip(&alone.partitions) {
            let facts = |p: &cutover::offsets::PartitionPlan| {
                (p.tp.clone(), p.verdict, p.target.offset, p.re_read, p.missing, p.evidence.clone(), p.read)
            };
            assert_eq!(facts(p), facts(alone), "{group}");
            assert_eq!((p.verdict, p.target.offset), (Verdict::Proven, Some(*at)), "{p:?}");
        }
    }
}

/// A line that lets `bytes_per_second` through towards the client; it ends with the test.
fn slow_line(to: &str, listener: TcpListener, bytes_per_second: usize) {
    let to = to.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(broker) = TcpStream::connect(&to) else { continue };
            let (Ok(up_from), Ok(up_to)) = (client.try_clone(), broker.try_clone()) else { continue };
            std::thread::spawn(move || carry(up_from, up_to, usize::MAX));
            std::thread::spawn(move || carry(broker, client, bytes_per_second));
        }
    });
}

fn carry(mut from: TcpStream, mut to: TcpStream, bytes_per_second: usize) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_secs_f64(n as f64 / bytes_per_second as f64));
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)); // whoever is left learns of it
}

#[test]
fn a_slow_line_is_waited_for_and_a_line_that_stops_names_the_partition() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let line = listener.local_addr().expect("an address").to_string();
    let broker = kafka::throwaway("far", &[("advertised.listeners", &format!("PLAINTEXT://{line}"))]);
    // Only what comes back is slow.
    slow_line(&broker.bootstrap, listener, 3 << 20);
    kafka::create_topic(&broker, "t", 4, &[("max.message.bytes", "12000000")]);
    let writer = RecordWriter::open(&ClientProperties::default(), &broker.bootstrap, WITHIN).expect("a writer");
    let value: Vec<u8> = (0..10 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for p in 0..4 {
        let to = TopicPartition::new("t", p);
        for n in 0..2_000 {
            let value = if (p, n) == (2, 1_000) { &value[..] } else { &value[..1_000] };
            writer.send(&to, &Outgoing { value: Some(value), ..Outgoing::default() }).expect("sent");
        }
    }
    writer.flush().expect("written");
    let ranges: Vec<_> =
        (0..4).map(|p| ReadRange { partition: TopicPartition::new("t", p), from: 0, to: 2_000 }).collect();
    let mut reader = RecordReader::open(
        &ClientProperties::default(),
        &broker.bootstrap,
        Isolation::Committed,
        Duration::from_secs(20),
    )
    .expect("a reader");
    let started = Instant::now();
    let done = reader.read(&ranges, &mut |_, _| Continue(())).expect("read");
    println!("18 MB over a line of 3 MB/s: {:?}", started.elapsed());
    assert!(done.iter().all(|d| d.records == 2_000), "{done:?}");
    broker.freeze();
    let mut reader = RecordReader::open(
        &ClientProperties::default(),
        &broker.bootstrap,
        Isolation::Committed,
        Duration::from_secs(2),
    )
    .expect("a reader");
    let trouble = Trouble::from(reader.read(&ranges, &mut |_, _| Continue(())).expect_err("nothing comes"));
    println!("stopped: {trouble:?}");
    assert!(trouble.what.contains("t-0"), "{trouble:?}");
    broker.thaw();
}

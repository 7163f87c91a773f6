//! Reading windows of records: exactly, whatever holes the log has, and never for ever.

use std::ops::ControlFlow::{self, Continue};
use std::time::{Duration, Instant};

use cutover::base::{TopicPartition, Trouble};
use cutover::estate::transactions::Fencing;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, ReadError, ReadRange, RecordReader};
use cutover::kafka::writer::{Outgoing, RecordWriter};
use rdkafka::Message;
use rdkafka::consumer::Consumer;

use crate::support::kafka::{self, Broker};
use crate::support::patience::crowding;
use crate::support::unique;
use crate::{control, control_secure};

const PATIENCE: Duration = Duration::from_secs(20);
/// What a slow disk may take for thousands of records on a hundred partitions: no test waits for it to be over.
const WRITTEN_WITHIN: Duration = Duration::from_secs(120);

/// What takes so many seconds on a machine that has nothing else to do.
fn on_this_machine(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds)).mul_f64(crowding())
}

fn properties() -> ClientProperties {
    ClientProperties::default()
}

fn reader(broker: &Broker, isolation: Isolation) -> RecordReader {
    RecordReader::open(&properties(), &broker.bootstrap, isolation, PATIENCE).expect("a reader")
}

fn writer(broker: &Broker) -> RecordWriter {
    RecordWriter::open(&properties(), &broker.bootstrap, WRITTEN_WITHIN).expect("a writer")
}

fn transactional(broker: &Broker, id: &str) -> RecordWriter {
    RecordWriter::open_transactional(&properties(), &broker.bootstrap, id, PATIENCE).expect("a transactional writer")
}

fn range(topic: &str, partition: i32, from: i64, to: i64) -> ReadRange {
    ReadRange { partition: TopicPartition::new(topic, partition), from, to }
}

/// Writes values as records without key.
fn write(writer: &RecordWriter, topic: &str, values: impl IntoIterator<Item = String>) {
    for value in values {
        send(writer, topic, None, Some(&value));
    }
    writer.flush().expect("written");
}

fn send(writer: &RecordWriter, topic: &str, key: Option<&str>, value: Option<&str>) {
    let record = Outgoing { key: key.map(str::as_bytes), value: value.map(str::as_bytes), ..Outgoing::default() };
    writer.send(&TopicPartition::new(topic, 0), &record).expect("sent");
}

fn numbered(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|n| format!("v{n}"))
}

/// Offsets and values of a range.
fn read(reader: &mut RecordReader, range: &ReadRange) -> Result<Vec<(i64, String)>, ReadError> {
    let mut seen = Vec::new();
    let done = reader.read_range(range, |record| {
        seen.push((record.offset, String::from_utf8_lossy(record.value.unwrap_or(b"(null)")).into_owned()));
        Continue(())
    })?;
    assert_eq!(done.records, seen.len() as u64);
    Ok(seen)
}

fn offsets(reader: &mut RecordReader, range: &ReadRange) -> Vec<i64> {
    read(reader, range).expect("read").into_iter().map(|(offset, _)| offset).collect()
}

#[test]
fn any_window_is_read_exactly() {
    let blue = &kafka::pair().blue;
    let topic = unique("windows");
    kafka::create_topic(blue, &topic, 1, &[]);
    write(&writer(blue), &topic, numbered(0..500));
    let mut reader = reader(blue, Isolation::Committed);
    for (from, to) in [(0, 500), (0, 1), (499, 500), (123, 124), (100, 400), (7, 7), (0, 0), (500, 500), (9, 3)] {
        let expected: Vec<_> = (from..to).map(|o| (o, format!("v{o}"))).collect();
        assert_eq!(read(&mut reader, &range(&topic, 0, from, to)), Ok(expected), "[{from}, {to})");
    }
    // Two windows of one partition, and one of it again, in one call.
    let mut seen = vec![Vec::new(); 3];
    let ranges = [range(&topic, 0, 10, 20), range(&topic, 0, 15, 30), range(&topic, 0, 499, 500)];
    let done = reader.read(&ranges, &mut |i, r| {
        seen[i].push(r.offset);
        Continue(())
    });
    assert_eq!(done.expect("read").iter().map(|d| d.records).collect::<Vec<_>>(), [10, 15, 1]);
    assert_eq!(seen, [(10..20).collect::<Vec<_>>(), (15..30).collect(), vec![499]]);
    assert_eq!(reader.list_ends(&[TopicPartition::new(&topic, 0)]), Ok(vec![500]));
    assert_eq!(reader.list_starts(&[TopicPartition::new(&topic, 0)]), Ok(vec![0]));
}

#[test]
fn keys_values_headers_and_timestamps_arrive_as_written() {
    let blue = &kafka::pair().blue;
    let topic = unique("fields");
    kafka::create_topic(blue, &topic, 1, &[]);
    let writer = writer(blue);
    let to = TopicPartition::new(&topic, 0);
    let headers: &[(&str, Option<&[u8]>)] =
        &[("id", Some(b"first")), ("null", None), ("id", Some(b"\xff\0last")), ("\u{1b}[2J", Some(b""))];
    let full = Outgoing { key: Some(b"\0k"), value: Some(b""), timestamp: Some(1_700_000_000_123), headers };
    writer.send(&to, &full).expect("sent");
    writer.send(&to, &Outgoing::default()).expect("sent");
    writer.flush().expect("written");
    let mut seen = Vec::new();
    let done = reader(blue, Isolation::Committed).read_range(&range(&topic, 0, 0, 2), |r| {
        let headers: Vec<_> = r.headers().map(|(k, v)| (k.to_owned(), v.map(<[u8]>::to_vec))).collect();
        let (id, null) = (r.header("id").map(<[u8]>::to_vec), r.header("null").map(<[u8]>::to_vec));
        seen.push((r.key.map(<[u8]>::to_vec), r.value.map(<[u8]>::to_vec), r.timestamp, headers, id, null, r.size));
        Continue(())
    });
    assert_eq!(done.expect("read").bytes, 2);
    let (key, value, timestamp, found, id, null, size) = &seen[0];
    assert_eq!((key.as_deref(), value.as_deref(), *timestamp), (full.key, full.value, full.timestamp));
    assert_eq!(found.len(), 4);
    for ((name, value), (expected_name, expected)) in found.iter().zip(headers) {
        assert_eq!((name.as_str(), value.as_deref()), (*expected_name, *expected));
    }
    assert_eq!((id.as_deref(), null.as_deref(), *size), (Some(&b"\xff\0last"[..]), None, 2));
    assert_eq!((&seen[1].0, &seen[1].1, seen[1].6), (&None, &None, 0));
    assert!(seen[1].2.is_some_and(|ts| ts > 1_700_000_000_123));
}

/// Offsets: 0-4 committed, 5 marker, 6-8 aborted, 9 marker, 10-11 committed, 12 marker, 13-14 aborted, 15 marker.
#[test]
fn aborted_records_and_markers_are_holes() {
    let blue = &kafka::pair().blue;
    let topic = unique("transactions");
    kafka::create_topic(blue, &topic, 1, &[]);
    let writer = transactional(blue, &unique("tx"));
    for (count, commit) in [(5, true), (3, false), (2, true), (2, false)] {
        writer.begin().expect("begun");
        write(&writer, &topic, numbered(0..count));
        if commit { writer.commit() } else { writer.abort() }.expect("ended");
    }
    let mut committed = reader(blue, Isolation::Committed);
    assert_eq!(committed.list_ends(&[TopicPartition::new(&topic, 0)]), Ok(vec![16]));
    let mut all = reader(blue, Isolation::Uncommitted);
    for (from, to) in (0..=16).flat_map(|from| (from..=16).map(move |to| (from, to))) {
        let inside = |o: &i64| (from..to).contains(o);
        let range = range(&topic, 0, from, to);
        let expected: Vec<_> = [0, 1, 2, 3, 4, 10, 11].into_iter().filter(inside).collect();
        assert_eq!(offsets(&mut committed, &range), expected, "committed [{from}, {to})");
        let expected: Vec<_> = (0..15).filter(|o| ![5, 9, 12].contains(o)).filter(inside).collect();
        assert_eq!(offsets(&mut all, &range), expected, "uncommitted [{from}, {to})");
    }
}

/// The same holes on the oldest cluster that is migrated from: other fetch and offset versions, another cleaner of markers.
#[test]
fn an_old_broker_in_zookeeper_mode_is_read_exactly() {
    let old = kafka::old_blue();
    let topic = unique("old");
    kafka::create_topic(old, &topic, 3, &[("max.message.bytes", "12000000")]);
    let to = TopicPartition::new(&topic, 0);
    let writer = transactional(old, &unique("tx"));
    for (count, commit) in [(5, true), (3, false), (2, true), (2, false)] {
        writer.begin().expect("begun");
        write(&writer, &topic, numbered(0..count));
        if commit { writer.commit() } else { writer.abort() }.expect("ended");
    }
    let mut committed = reader(old, Isolation::Committed);
    assert_eq!(committed.list_ends(std::slice::from_ref(&to)), Ok(vec![16]));
    for (from, to) in (0..=16).flat_map(|from| (from..=16).map(move |to| (from, to))) {
        let expected: Vec<_> = [0, 1, 2, 3, 4, 10, 11].into_iter().filter(|o| (from..to).contains(o)).collect();
        assert_eq!(offsets(&mut committed, &range(&topic, 0, from, to)), expected, "[{from}, {to})");
    }
    let huge = vec![7; 10 << 20];
    let plain = self::writer(old);
    plain.send(&to, &Outgoing { value: Some(&huge), ..Outgoing::default() }).expect("sent");
    plain.flush().expect("written");
    let ranges = [range(&topic, 0, 0, 17), range(&topic, 1, 0, 0), range(&topic, 2, 0, 0)];
    let done = committed.read(&ranges, &mut |_, _| Continue(())).expect("read");
    assert_eq!((done[0].records, done[0].bytes > 10 << 20, done[1].records), (8, true, 0));
    kafka::delete_records(old, &topic, 0, 6);
    assert!(matches!(read(&mut committed, &range(&topic, 0, 5, 17)), Err(ReadError::OutOfRange { start: 6, .. })));
}

#[test]
fn the_data_plane_speaks_sasl_over_tls_and_says_what_is_wrong() {
    let secure = control_secure::secure();
    let bootstrap = format!("127.0.0.1:{}", secure.sasl_ssl);
    let properties = secure.sasl(&[]);
    let topic = unique("secret");
    let client: rdkafka::ClientConfig = properties.to_rdkafka().into_iter().collect();
    let mut client = client;
    client.set("bootstrap.servers", &bootstrap);
    kafka::admin::create_topic_with(&client, &topic, 1, &[]);
    let writer = RecordWriter::open(&properties, &bootstrap, PATIENCE).expect("a writer");
    write(&writer, &topic, numbered(0..10));
    let mut reader = RecordReader::open(&properties, &bootstrap, Isolation::Committed, PATIENCE).expect("a reader");
    assert_eq!(offsets(&mut reader, &range(&topic, 0, 2, 10)), (2..10).collect::<Vec<_>>());

    let other_ca = secure.other_ca.display().to_string();
    for (change, said, advised) in [
        (("ssl.ca.location", other_ca.as_str()), "certificate verify failed", "ssl.ca.location"),
        (("sasl.password", "wrong-hunter2"), "Authentication failed", "sasl.username"),
        (("security.protocol", "SASL_PLAINTEXT"), "", ""),
    ] {
        let properties = secure.sasl(&[change]);
        let patience = Duration::from_secs(3);
        let started = Instant::now();
        let mut reader = RecordReader::open(&properties, &bootstrap, Isolation::Committed, patience).expect("opened");
        let trouble = Trouble::from(read(&mut reader, &range(&topic, 0, 0, 10)).expect_err("refused"));
        println!("{}: {trouble:?} after {:?}", change.0, started.elapsed());
        assert!(trouble.what.contains(said) && trouble.what.contains(&bootstrap), "{trouble:?}");
        assert!(trouble.advice.contains(advised) && !trouble.what.contains("hunter2"), "{trouble:?}");
        assert!(started.elapsed() < on_this_machine(10), "{:?}", started.elapsed());
        let writer = RecordWriter::open(&properties, &bootstrap, patience).expect("opened");
        let record = Outgoing { value: Some(b"x"), ..Outgoing::default() };
        let sent = writer.send(&TopicPartition::new(&topic, 0), &record).and_then(|()| writer.flush());
        let trouble = sent.expect_err("refused");
        println!("{} (writer): {trouble:?}", change.0);
        assert!(trouble.what.contains(said) && trouble.advice.contains(advised), "{trouble:?}");
    }
}

#[test]
fn an_open_transaction_is_the_end_for_committed_readers() {
    let blue = &kafka::pair().blue;
    let (topic, id) = (unique("open"), unique("tx"));
    kafka::create_topic(blue, &topic, 1, &[]);
    write(&writer(blue), &topic, numbered(0..3));
    let open = transactional(blue, &id);
    open.begin().expect("begun");
    write(&open, &topic, numbered(3..5));
    write(&writer(blue), &topic, numbered(5..6));
    let mut committed = reader(blue, Isolation::Committed);
    let partition = TopicPartition::new(&topic, 0);
    assert_eq!(committed.list_ends(std::slice::from_ref(&partition)), Ok(vec![3]));
    assert_eq!(offsets(&mut committed, &range(&topic, 0, 0, 3)), [0, 1, 2]);
    let beyond =
        committed.read_range(&range(&topic, 0, 0, 6), |_| panic!("nothing of a range that can't be read whole"));
    assert_eq!(beyond, Err(ReadError::BeyondEnd { partition, to: 6, end: 3 }));
    assert_eq!(offsets(&mut reader(blue, Isolation::Uncommitted), &range(&topic, 0, 0, 6)), [0, 1, 2, 3, 4, 5]);

    // Fencing ends the transaction (aborts it), and its producer can't commit any more.
    control::on(blue, async |cluster| {
        let fencing = cluster.fence(&id).await;
        assert!(matches!(fencing, Fencing::Done { .. }), "{fencing:?}");
    });
    let refused = open.commit().expect_err("a fenced producer can't commit");
    assert!(refused.what.contains(&blue.bootstrap), "{refused:?}");
    let end = committed.list_ends(&[TopicPartition::new(&topic, 0)]).expect("ends")[0];
    assert_eq!(end, 7);
    assert_eq!(offsets(&mut committed, &range(&topic, 0, 0, end)), [0, 1, 2, 5]);
}

const COMPACTED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("segment.ms", "300"),
    ("min.cleanable.dirty.ratio", "0.001"),
    ("delete.retention.ms", "0"),
];

/// Waits until the cleaner has left exactly these offsets.
fn await_compaction(broker: &Broker, topic: &str, keep: &[i64]) {
    let consumer = kafka::consumer(broker, &unique("compaction"), &[]);
    for _ in 0..150 {
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).expect("an offset");
        consumer.assign(&list).expect("assigned");
        let mut found = Vec::new();
        while let Some(Ok(m)) = consumer.poll(Duration::from_secs(1)) {
            found.push(m.offset());
        }
        if found == keep {
            return;
        }
    }
    panic!("{topic} was not compacted to {keep:?}");
}

#[test]
fn compaction_leaves_holes_anywhere() {
    let blue = &kafka::pair().blue;
    let topic = unique("compacted");
    kafka::create_topic(blue, &topic, 1, COMPACTED);
    let writer = writer(blue);
    for n in 0..40 {
        let value = format!("v{n}");
        send(&writer, &topic, Some(["a", "b"][usize::from(n % 10 != 3)]), Some(&value));
    }
    writer.flush().expect("written");
    // Another segment, whose last record stays.
    await_roll(blue, &writer, &topic);
    let end = kafka::end_offsets(blue, &topic)[&0].1;
    await_compaction(blue, &topic, &[33, 39, end - 1]);
    let mut reader = reader(blue, Isolation::Committed);
    for (from, to) in [(0, end), (0, 33), (0, 34), (5, 30), (34, 39), (34, 40), (33, 34), (0, 1), (38, end)] {
        let expected: Vec<_> = [33, 39, end - 1].into_iter().filter(|o| (from..to).contains(o)).collect();
        assert_eq!(offsets(&mut reader, &range(&topic, 0, from, to)), expected, "[{from}, {to})");
    }
}

/// Writes key `roll` until the first segment is closed, so that the cleaner may touch what is before it.
fn await_roll(broker: &Broker, writer: &RecordWriter, topic: &str) {
    let segments = || {
        let dir = broker.dir.join("log").join(format!("{topic}-0"));
        let names = std::fs::read_dir(dir).expect("the partition's directory").flatten().map(|e| e.file_name());
        names.filter(|n| n.to_string_lossy().ends_with(".log")).count()
    };
    let before = segments();
    let started = Instant::now();
    while segments() == before {
        assert!(started.elapsed() < Duration::from_secs(30), "no new segment");
        send(writer, topic, Some("roll"), Some("x"));
        writer.flush().expect("written");
    }
}

#[test]
fn what_retention_took_is_an_error() {
    let blue = &kafka::pair().blue;
    let topic = unique("trimmed");
    kafka::create_topic(blue, &topic, 1, &[]);
    write(&writer(blue), &topic, numbered(0..100));
    kafka::delete_records(blue, &topic, 0, 60);
    let mut reader = reader(blue, Isolation::Committed);
    let lost = read(&mut reader, &range(&topic, 0, 59, 100));
    let partition = TopicPartition::new(&topic, 0);
    assert_eq!(lost, Err(ReadError::OutOfRange { partition: partition.clone(), from: 59, start: 60, end: 100 }));
    let trouble = Trouble::from(lost.expect_err("out of range"));
    assert_eq!(trouble.what, format!("{partition}: offset 59 is outside the log, which holds [60, 100)"));
    assert_eq!(offsets(&mut reader, &range(&topic, 0, 60, 100)), (60..100).collect::<Vec<_>>());
    // All of it: an empty log that does not start at 0.
    kafka::delete_records(blue, &topic, 0, 100);
    assert_eq!(reader.list_starts(std::slice::from_ref(&partition)), Ok(vec![100]));
    assert_eq!(offsets(&mut reader, &range(&topic, 0, 100, 100)), [] as [i64; 0]);
    assert!(matches!(read(&mut reader, &range(&topic, 0, 99, 100)), Err(ReadError::OutOfRange { start: 100, .. })));
}

#[test]
fn a_record_of_ten_megabytes() {
    let blue = &kafka::pair().blue;
    let topic = unique("huge");
    kafka::create_topic(blue, &topic, 1, &[("max.message.bytes", "20000000")]);
    let writer = writer(blue);
    let huge: Vec<u8> = (0..10 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for value in [&b"small"[..], &huge, &huge, b"small"] {
        writer
            .send(&TopicPartition::new(&topic, 0), &Outgoing { value: Some(value), ..Outgoing::default() })
            .expect("sent");
    }
    writer.flush().expect("written");
    let mut sizes = Vec::new();
    let done = reader(blue, Isolation::Committed).read_range(&range(&topic, 0, 0, 4), |r| {
        assert!(r.size == 5 || r.value == Some(&huge));
        sizes.push(r.size);
        Continue(())
    });
    assert_eq!(done.expect("read").records, 4);
    assert_eq!(sizes, [5, 10 << 20, 10 << 20, 5]);
}

#[test]
fn a_hundred_small_windows_at_once() {
    let blue = &kafka::pair().blue;
    let topic = unique("many");
    kafka::create_topic(blue, &topic, 100, &[]);
    let writer = writer(blue);
    for n in 0..20_000 {
        let value = format!("{n}");
        let record = Outgoing { value: Some(value.as_bytes()), ..Outgoing::default() };
        writer.send(&TopicPartition::new(&topic, n % 100), &record).expect("sent");
    }
    writer.flush().expect("written");
    let mut reader = reader(blue, Isolation::Committed);
    let ranges: Vec<_> = (0..100).map(|p| range(&topic, p, 80, if p % 2 == 0 { 200 } else { 180 })).collect();
    let mut took = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let mut next = vec![80; 100];
        let done = reader.read(&ranges, &mut |i, r| {
            assert_eq!((r.offset, r.value), (next[i], Some(format!("{}", next[i] * 100 + i as i64).as_bytes())));
            next[i] += 1;
            Continue(())
        });
        took.push(started.elapsed());
        let done = done.expect("read");
        let short: Vec<_> = done.iter().zip(&ranges).filter(|(d, r)| d.records as i64 != r.to - r.from).collect();
        assert_eq!(short, [], "{took:?}");
    }
    println!("100 windows of 100 and 120 records: {took:?}");
    assert!(took[1] < on_this_machine(1), "{took:?}");
}

#[test]
fn stopping_in_the_middle_leaves_the_reader_usable() {
    let blue = &kafka::pair().blue;
    let topic = unique("stopped");
    kafka::create_topic(blue, &topic, 1, &[]);
    write(&writer(blue), &topic, numbered(0..1000));
    let mut reader = reader(blue, Isolation::Committed);
    let mut seen = 0;
    let stopped = reader.read_range(&range(&topic, 0, 0, 1000), |_| {
        seen += 1;
        if seen == 10 { ControlFlow::Break(()) } else { Continue(()) }
    });
    assert_eq!((stopped, seen), (Err(ReadError::Stopped), 10));
    assert_eq!(offsets(&mut reader, &range(&topic, 0, 5, 12)), (5..12).collect::<Vec<_>>());
}

#[test]
fn a_missing_topic_and_a_dead_address_say_so() {
    let blue = &kafka::pair().blue;
    let missing = unique("missing");
    let error = read(&mut reader(blue, Isolation::Committed), &range(&missing, 0, 0, 1)).expect_err("no such topic");
    let trouble = Trouble::from(error);
    assert!(trouble.what.contains(&missing) && trouble.what.contains(&blue.bootstrap), "{trouble:?}");
    assert!(trouble.advice.contains("check the topic's name"), "{trouble:?}");

    let port = kafka::take_port();
    let dead = format!("127.0.0.1:{}", port.number);
    let started = Instant::now();
    let mut reader =
        RecordReader::open(&properties(), &dead, Isolation::Committed, Duration::from_secs(2)).expect("opened");
    let trouble = Trouble::from(read(&mut reader, &range("t", 0, 0, 1)).expect_err("nobody there"));
    assert!(started.elapsed() < on_this_machine(6), "{:?}", started.elapsed());
    assert!(trouble.what.contains(&dead) && trouble.what.contains("Connection refused"), "{trouble:?}");
    assert!(trouble.advice.contains("brokers run"), "{trouble:?}");
}

#[test]
fn a_broker_that_hangs_or_dies_does_not_hold_the_reader() {
    let broker = kafka::throwaway("hangs", &[]);
    kafka::create_topic(&broker, "t", 1, &[]);
    write(&writer(&broker), "t", numbered(0..20_000));
    let open = |patience| {
        RecordReader::open(&properties(), &broker.bootstrap, Isolation::Committed, patience).expect("opened")
    };
    // One that gives up soon, and one that lives through all of it.
    let (mut hasty, mut patient) = (open(Duration::from_secs(8)), open(PATIENCE * 6));
    for reader in [&mut hasty, &mut patient] {
        assert_eq!(offsets(reader, &range("t", 0, 0, 10)).len(), 10);
    }
    broker.freeze();
    let error = read(&mut hasty, &range("t", 0, 0, 20_000)).expect_err("it hangs");
    println!("frozen: {error:?}");
    assert!(matches!(error, ReadError::Stalled { .. }), "{error:?}");
    broker.thaw();
    assert_eq!(offsets(&mut patient, &range("t", 0, 0, 20_000)).len(), 20_000);
    broker.kill();
    let error = read(&mut hasty, &range("t", 0, 0, 20_000)).expect_err("it is dead");
    println!("killed: {error:?}");
    assert!(matches!(error, ReadError::Stalled { .. }), "{error:?}");
    broker.restart();
    assert_eq!(offsets(&mut patient, &range("t", 0, 19_000, 20_000)).len(), 1_000);
}

#[test]
fn a_reader_that_is_used_again_and_again_stays_exact() {
    let blue = &kafka::pair().blue;
    let topic = unique("stress");
    kafka::create_topic(blue, &topic, 50, &[]);
    let writer = writer(blue);
    for n in 0..20_000 {
        let value = format!("{n}");
        let record = Outgoing { value: Some(value.as_bytes()), ..Outgoing::default() };
        writer.send(&TopicPartition::new(&topic, n % 50), &record).expect("sent");
    }
    writer.flush().expect("written");
    let mut reader = reader(blue, Isolation::Committed);
    let ranges: Vec<_> = (0..50).map(|p| range(&topic, p, 80, if p % 2 == 0 { 200 } else { 180 })).collect();
    let mut bad = 0;
    for _ in 0..100 {
        let done = reader.read(&ranges, &mut |_, _| Continue(())).expect("read");
        bad += done.iter().zip(&ranges).filter(|(d, r)| d.records as i64 != r.to - r.from).count();
    }
    println!("stress: {bad} of 5000 windows short");
    assert_eq!(bad, 0);
}

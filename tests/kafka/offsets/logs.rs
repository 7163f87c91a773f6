//! Logs read back whole, with the hidden id of each record's send.

use std::collections::HashMap;
use std::ops::ControlFlow::Continue;
use std::time::Duration;

use cutover::base::TopicPartition;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, ReadRange, RecordReader};

use super::truth::Copy;
use crate::support::kafka::Broker;

/// The header with the hidden id: not part of the identity `content`, so nobody but the test sees it.
pub const HIDDEN: &str = "x-hidden-send";

/// One partition as a read_committed reader sees it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub start: i64,
    pub end: i64,
    pub copies: Vec<Copy>,
}

impl Log {
    /// The offset of the record at this share of the log; at 1 the end.
    pub fn at(&self, share: f64) -> i64 {
        let index = (self.copies.len() as f64 * share) as usize;
        self.copies.get(index).map_or(self.end, |c| c.offset)
    }
}

/// Key and value of a record.
type Content = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Numbers for contents, the same on both clusters; no hash of the program's is trusted here.
#[derive(Debug, Default)]
pub struct Contents(HashMap<Content, u64>);

impl Contents {
    fn number(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
        let next = self.0.len() as u64 + 1;
        *self.0.entry((key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))).or_insert(next)
    }
}

/// A reader of committed records.
pub fn open(broker: &Broker) -> RecordReader {
    let patience = Duration::from_secs(240);
    RecordReader::open(&ClientProperties::default(), &broker.bootstrap, Isolation::Committed, patience).unwrap()
}

/// The offsets that hold a record.
pub fn offsets(reader: &mut RecordReader, topic: &str, from: i64, to: i64) -> Vec<i64> {
    let mut found = Vec::new();
    let range = ReadRange { partition: TopicPartition::new(topic, 0), from, to };
    reader
        .read_range(&range, |r| {
            found.push(r.offset);
            Continue(())
        })
        .unwrap();
    found
}

/// Reads partitions `0..count` of a topic whole.
pub fn read(broker: &Broker, topic: &str, count: i32, contents: &mut Contents) -> Vec<Log> {
    let mut reader = open(broker);
    let partitions: Vec<TopicPartition> = (0..count).map(|p| TopicPartition::new(topic, p)).collect();
    let (starts, ends) = (reader.list_starts(&partitions).unwrap(), reader.list_ends(&partitions).unwrap());
    let bounds = starts.into_iter().zip(ends);
    let mut logs: Vec<Log> = bounds.map(|(start, end)| Log { start, end, copies: Vec::new() }).collect();
    let range = |(tp, log): (TopicPartition, &Log)| ReadRange { partition: tp, from: log.start, to: log.end };
    let ranges: Vec<ReadRange> = partitions.into_iter().zip(&logs).map(range).collect();
    reader
        .read(&ranges, &mut |i, r| {
            let hidden = r.header(HIDDEN).expect("every record has its hidden id");
            logs[i].copies.push(Copy {
                offset: r.offset,
                ts: r.timestamp.expect("every record has a timestamp"),
                arrival: 0,
                payload: contents.number(r.key, r.value),
                send: std::str::from_utf8(hidden).unwrap().parse().unwrap(),
            });
            Continue(())
        })
        .unwrap();
    logs
}

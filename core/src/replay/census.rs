//! What the records to be carried amount to, and whether the target's topic takes them: asked before anything is sent.

use serde::{Deserialize, Serialize};

use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, TopicPartition, Trouble};

/// The part of a record batch of its own (message format 2) that does not depend on the record.
const BATCH_HEAD: u64 = 61;

/// One record as it counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Bytes of the key; `None` without one.
    pub key: Option<usize>,
    /// Bytes of the value; `None` for a tombstone.
    pub value: Option<usize>,
    /// Number of headers, the replay's own included.
    pub headers: usize,
    /// Bytes that the headers take, as [`header_size`] counts them.
    pub header_bytes: u64,
    /// Timestamp, ms; `None` or not positive: librdkafka puts in the moment of sending.
    pub ts: Option<i64>,
}

/// The records of one source topic that are to be carried.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Census {
    /// Records.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// The largest, as a batch of its own, uncompressed, and where it is.
    pub largest: Option<(u64, TopicPartition, i64)>,
    /// Records without key, and the first of them.
    pub keyless: u64,
    /// Where the first record without key is.
    pub first_keyless: Option<(TopicPartition, i64)>,
    /// Records without a timestamp that can be kept.
    pub timeless: u64,
    /// The oldest timestamp.
    pub oldest: Option<i64>,
    /// The newest timestamp.
    pub newest: Option<i64>,
}

impl Census {
    /// Counts a record.
    pub fn count_record(&mut self, tp: &TopicPartition, offset: i64, record: &Counted) {
        self.records += 1;
        self.bytes += (record.key.unwrap_or(0) + record.value.unwrap_or(0)) as u64;
        let size = batch_size(record);
        if self.largest.as_ref().is_none_or(|(largest, ..)| size > *largest) {
            self.largest = Some((size, tp.clone(), offset));
        }
        if record.key.is_none() {
            self.keyless += 1;
            self.first_keyless.get_or_insert_with(|| (tp.clone(), offset));
        }
        match record.ts.filter(|ts| *ts > 0) {
            None => self.timeless += 1,
            Some(ts) => {
                self.oldest = Some(self.oldest.map_or(ts, |o| o.min(ts)));
                self.newest = Some(self.newest.map_or(ts, |n| n.max(ts)));
            }
        }
    }
}

/// Bytes that a header takes in a record of message format 2.
#[must_use]
pub fn header_size(name: usize, value: Option<usize>) -> u64 {
    field_size(Some(name)) + field_size(value)
}

/// Bytes of a length-prefixed field.
fn field_size(bytes: Option<usize>) -> u64 {
    let length = bytes.map_or(1, |n| varint_size(n as u64)); // -1 is one byte
    length + bytes.unwrap_or(0) as u64
}

/// Bytes of a zigzag varint that is not negative.
fn varint_size(n: u64) -> u64 {
    u64::from((64 - (n << 1).leading_zeros()).max(1).div_ceil(7))
}

/// The size of a batch that holds this record alone, uncompressed: what `max.message.bytes` is compared with.
fn batch_size(record: &Counted) -> u64 {
    // attributes, timestamp delta 0, offset delta 0
    let body = 3
        + field_size(record.key)
        + field_size(record.value)
        + varint_size(record.headers as u64)
        + record.header_bytes;
    BATCH_HEAD + varint_size(body) + body
}

/// What is known of a topic on the target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetTopic {
    /// Name on the target.
    pub name: String,
    /// `max.message.bytes`.
    pub max_message_bytes: Option<u64>,
    /// `cleanup.policy` has `compact`.
    pub compacted: bool,
    /// `message.timestamp.type` is LogAppendTime.
    pub stamps_itself: bool,
    /// `message.timestamp.before.max.ms` (or the older `difference`): older records are refused.
    pub before_max_ms: Option<u64>,
    /// `message.timestamp.after.max.ms` (or the older `difference`): records that lie further ahead are refused.
    pub after_max_ms: Option<u64>,
    /// `retention.ms`; `None` for ever.
    pub retention_ms: Option<u64>,
    /// Records are compressed on their way there, so sizes are upper bounds.
    pub compressed: bool,
}

impl TargetTopic {
    /// Why this topic would refuse some of the records: nothing may be sent then.
    #[must_use]
    pub fn list_refusals(&self, census: &Census, now: At) -> Vec<Trouble> {
        let mut out = Vec::new();
        if let (Some((size, tp, offset)), Some(max)) = (&census.largest, self.max_message_bytes)
            && *size > max
            && !self.compressed
        {
            let what = format!(
                "the record {tp} at offset {offset} takes {size} bytes, and {} takes at most {max} (max.message.bytes)",
                visible_name(&self.name)
            );
            let advice = "raise max.message.bytes of that topic, leave out the mark with --no-mark if that is too much, \
                          or set compression.type for that cluster's client";
            out.push(Trouble::new(what, advice));
        }
        if let (true, Some((tp, offset))) = (self.compacted, &census.first_keyless) {
            let what = format!(
                "{} records have no key (the first is {tp} at offset {offset}), and {} is compacted: it takes none of them",
                census.keyless, self.name
            );
            out.push(Trouble::new(what, "carry them into a topic that is not compacted, with --into TOPIC"));
        }
        // A topic that stamps records itself does not look at their own time.
        if let (Some(before), Some(oldest)) = (self.before_max_ms, census.oldest)
            && now.since(At(oldest)) > before
            && !self.stamps_itself
        {
            let what = format!(
                "the oldest record is from {} hours ago, and {} takes none older than {} hours (message.timestamp.before.max.ms)",
                now.since(At(oldest)) / 3_600_000,
                visible_name(&self.name),
                before / 3_600_000
            );
            out.push(Trouble::new(what, "raise message.timestamp.before.max.ms of that topic for the replay"));
        }
        if let (Some(after), Some(newest)) = (self.after_max_ms, census.newest)
            && At(newest).since(now) > after
            && !self.stamps_itself
        {
            let what = format!(
                "the newest record lies {} ahead of now, and {} takes none that lies further ahead than {} (message.timestamp.after.max.ms)",
                format_duration(At(newest).since(now)),
                visible_name(&self.name),
                format_duration(after)
            );
            let advice = "raise message.timestamp.after.max.ms of that topic for the replay (before Kafka 3.6: \
                          message.timestamp.difference.max.ms)";
            out.push(Trouble::new(what, advice));
        }
        out
    }

    /// What a person should know before saying yes.
    #[must_use]
    pub fn list_warnings(&self, census: &Census, now: At) -> Vec<String> {
        let mut out = Vec::new();
        if self.stamps_itself {
            out.push(format!(
                "{} stamps records itself (LogAppendTime): their timestamps are not kept",
                visible_name(&self.name)
            ));
        } else if census.timeless > 0 {
            out.push(format!("{} records have no timestamp: they get the moment of sending", census.timeless));
        }
        // What the target stamps itself counts from now: retention has its whole time.
        if let (Some(retention), Some(oldest)) = (self.retention_ms, census.oldest)
            && now.since(At(oldest)) > retention
            && !self.stamps_itself
        {
            out.push(format!(
                "the oldest record is older than {}'s retention.ms ({} hours): it may be deleted again soon",
                visible_name(&self.name),
                retention / 3_600_000
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<usize>, value: Option<usize>) -> Counted {
        Counted { key, value, ts: Some(1_000), ..Counted::default() }
    }

    #[test]
    fn sizes_are_the_formats() {
        assert_eq!([0, 63, 64, 8_191, 8_192].map(varint_size), [1, 1, 2, 2, 3]);
        // 61 + length 1 + attributes, deltas 3 + null key 1 + null value 1 + header count 1
        assert_eq!(batch_size(&record(None, None)), 68);
        assert_eq!(batch_size(&record(Some(2), Some(1_000))), 61 + 2 + 3 + 3 + 1_002 + 1);
        assert_eq!(header_size(3, Some(4)), 9);
        assert_eq!(header_size(3, None), 5);
    }

    #[test]
    fn what_a_topic_would_refuse_is_known_before() {
        let tp = TopicPartition::new("t", 3);
        let mut census = Census::default();
        census.count_record(&tp, 7, &record(Some(1), Some(10)));
        census.count_record(&tp, 8, &record(None, Some(1_000)));
        census.count_record(&tp, 9, &Counted { ts: Some(-1), ..record(None, None) });
        assert_eq!((census.records, census.bytes, census.keyless, census.timeless), (3, 1_011, 2, 1));
        assert_eq!(census.largest.as_ref().map(|l| l.2), Some(8));
        let plain = TargetTopic { name: "u".into(), max_message_bytes: Some(1_070), ..TargetTopic::default() };
        let now = At(1_000 + 10 * 3_600_000);
        assert_eq!(plain.list_refusals(&census, now), [], "{:?}", census.largest);
        assert_eq!(plain.list_warnings(&census, now).len(), 1);
        let small = TargetTopic { max_message_bytes: Some(1_069), ..plain.clone() };
        assert!(small.list_refusals(&census, now)[0].what.contains("t-3 at offset 8 takes 1070 bytes"));
        assert_eq!(TargetTopic { compressed: true, ..small }.list_refusals(&census, now), []);
        let compacted = TargetTopic { compacted: true, ..plain.clone() };
        assert!(compacted.list_refusals(&census, now)[0].what.contains("2 records have no key"));
        let strict = TargetTopic { before_max_ms: Some(3_600_000), ..plain.clone() };
        assert!(strict.list_refusals(&census, now)[0].what.contains("from 10 hours ago"));
        let short = TargetTopic { retention_ms: Some(3_600_000), ..plain.clone() };
        assert_eq!(short.list_warnings(&census, now).len(), 2);
        let ahead = Census { newest: Some(now.0 + 7_200_000), ..census.clone() };
        let usual = TargetTopic { after_max_ms: Some(3_600_000), ..plain.clone() };
        assert!(
            usual.list_refusals(&ahead, now)[0].what.contains("lies 2h00m ahead of now"),
            "{:?}",
            usual.list_refusals(&ahead, now)
        );
        assert_eq!((usual.list_refusals(&census, now), plain.list_refusals(&ahead, now)), (vec![], vec![]));
        assert_eq!(TargetTopic { stamps_itself: true, ..usual }.list_refusals(&ahead, now), []);
        let own = TargetTopic { stamps_itself: true, before_max_ms: Some(1), ..plain };
        assert_eq!((own.list_refusals(&census, now), own.list_warnings(&census, now).len()), (vec![], 1));
    }
}

//! Record batches (magic 2) as they lie in a log: parsed and checked once on append, kept as the producer's own
//! bytes with the base offset rewritten, so that compression, headers and order reach a consumer untouched.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};

/// Bytes before the first record of a batch.
const HEADER: usize = 61;
/// Base offset and length field: what the length does not count.
const FRAME: usize = 12;

/// A record to be appended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecord {
    /// Key, `None` for null.
    pub key: Option<Bytes>,
    /// Value, `None` for a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// CreateTime, ms since the epoch.
    pub timestamp: i64,
}

impl NewRecord {
    /// A record with a key and a value, created at `timestamp` (ms since the epoch).
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>, timestamp: i64) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), headers: Vec::new(), timestamp }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }
}

/// A record as it lies in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Offset in its partition.
    pub offset: i64,
    /// Timestamp, ms since the epoch: CreateTime or LogAppendTime by the topic's configuration.
    pub timestamp: i64,
    /// Key, `None` for null.
    pub key: Option<Bytes>,
    /// Value, `None` for a tombstone.
    pub value: Option<Bytes>,
    /// Headers. A name that repeats is kept once, its last value (a limit of the codec, not of the log).
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Producer id, -1 for a plain producer.
    pub producer_id: i64,
    /// Whether it is part of a transaction.
    pub transactional: bool,
}

impl StoredRecord {
    /// A header's value as text.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// How a transaction ended, as its marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// ABORT, control type 0.
    Abort,
    /// COMMIT, control type 1.
    Commit,
}

/// One batch in a log.
#[derive(Debug, Clone)]
pub struct StoredBatch {
    /// Offset of the first record.
    pub base: i64,
    /// Offset of the last record.
    pub last: i64,
    /// The batch as it goes over the wire, base offset and leader epoch in place.
    pub bytes: Bytes,
    /// Timestamps of the records, by offset.
    pub timestamps: Vec<i64>,
    /// Largest of them.
    pub max_timestamp: i64,
    /// Producer id, -1 for a plain producer.
    pub producer_id: i64,
    /// Producer epoch, -1 for a plain producer.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 for a plain producer.
    pub base_sequence: i32,
    /// Whether the records belong to a transaction.
    pub transactional: bool,
    /// Set on a transaction marker: a control record that takes an offset and is never delivered.
    pub marker: Option<Marker>,
}

impl StoredBatch {
    /// Decodes the data records; none for a control batch.
    #[must_use]
    pub fn records(&self) -> Vec<StoredRecord> {
        if self.marker.is_some() {
            return Vec::new();
        }
        let mut bytes = self.bytes.clone();
        // It was decoded when it was appended.
        let Ok(set) = RecordBatchDecoder::decode(&mut bytes) else { return Vec::new() };
        let stored = |(i, r): (usize, Record)| StoredRecord {
            offset: r.offset,
            // Times that the broker set (LogAppendTime) stand in the batch's head, not with the records: they
            // are kept beside it.
            timestamp: self.timestamps.get(i).copied().unwrap_or(r.timestamp),
            key: r.key,
            value: r.value,
            headers: r.headers.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
            producer_id: r.producer_id,
            transactional: r.transactional,
        };
        set.records.into_iter().enumerate().map(stored).collect()
    }

    /// Number of offsets it takes.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.last - self.base + 1
    }
}

/// What a topic's configuration demands of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchRules {
    /// `message.timestamp.type=LogAppendTime`.
    pub log_append_time: bool,
    /// `max.message.bytes`.
    pub max_bytes: usize,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// `cleanup.policy` contains `compact`: keys must not be null.
    pub compacted: bool,
}

/// Parses and checks what a produce request carries for one partition: exactly one batch of magic 2.
///
/// # Errors
/// What a broker answers: CORRUPT_MESSAGE, INVALID_RECORD, MESSAGE_TOO_LARGE, INVALID_TIMESTAMP,
/// UNSUPPORTED_FOR_MESSAGE_FORMAT.
pub(crate) fn parse_batch(raw: &Bytes, now: i64, rules: BatchRules) -> Result<StoredBatch, ResponseError> {
    if raw.len() < HEADER {
        return Err(ResponseError::CorruptMessage);
    }
    // Places in a batch of magic 2: 8 length, 16 magic, 17 checksum, 21 attributes, 23 last offset delta, 35 largest
    // timestamp, 53 first sequence.
    if raw[16] != 2 {
        return Err(ResponseError::UnsupportedForMessageFormat);
    }
    let length = usize::try_from(read_int32(raw, 8)).map_err(|_| ResponseError::CorruptMessage)?;
    match (length + FRAME).cmp(&raw.len()) {
        std::cmp::Ordering::Greater => return Err(ResponseError::CorruptMessage),
        // Kafka: "Compressed outer record has more than one batch" and the like
        std::cmp::Ordering::Less => return Err(ResponseError::InvalidRecord),
        std::cmp::Ordering::Equal => {}
    }
    if raw.len() > rules.max_bytes {
        return Err(ResponseError::MessageTooLarge);
    }
    let set = RecordBatchDecoder::decode(&mut raw.clone()).map_err(|_| ResponseError::CorruptMessage)?;
    let last_delta = i64::from(read_int32(raw, 23));
    let Some(first) = set.records.first() else { return Err(ResponseError::InvalidRecord) };
    // A producer leaves no gaps (compaction does, and it does not send), so the delta must fit the number of records.
    if first.control || last_delta + 1 != set.records.len() as i64 {
        return Err(ResponseError::InvalidRecord);
    }
    if rules.compacted && set.records.iter().any(|r| r.key.is_none()) {
        return Err(ResponseError::InvalidRecord);
    }
    let timestamps: Vec<i64> = if rules.log_append_time {
        vec![now; set.records.len()]
    } else {
        set.records.iter().map(|r| r.timestamp).collect()
    };
    let max_timestamp = timestamps.iter().copied().max().unwrap_or(-1);
    if max_timestamp.saturating_sub(now) > rules.after_max_ms {
        return Err(ResponseError::InvalidTimestamp);
    }
    Ok(StoredBatch {
        base: 0,
        last: last_delta,
        bytes: raw.clone(),
        timestamps,
        max_timestamp,
        producer_id: first.producer_id,
        producer_epoch: first.producer_epoch,
        base_sequence: read_int32(raw, 53),
        transactional: first.transactional,
        marker: None,
    })
}

/// Puts a parsed batch at `base`: rewrites base offset and leader epoch (outside the checksum), and for
/// LogAppendTime the timestamp type and the maximum timestamp (inside it).
#[must_use]
pub(crate) fn place_batch(mut batch: StoredBatch, base: i64, leader_epoch: i32, log_append_time: bool) -> StoredBatch {
    let mut bytes = BytesMut::from(&batch.bytes[..]);
    bytes[0..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    if log_append_time {
        // Attributes, bit 3: the type of the timestamps. The checksum covers all from the attributes on.
        bytes[22] |= 1 << 3;
        bytes[35..43].copy_from_slice(&batch.max_timestamp.to_be_bytes());
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    batch.last = base + (batch.last - batch.base);
    batch.base = base;
    batch.bytes = bytes.freeze();
    batch
}

/// Who writes a batch: producer id, epoch, first sequence number, inside a transaction or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchProducer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub sequence: i32,
    /// Inside a transaction.
    pub transactional: bool,
}

impl BatchProducer {
    /// A producer that is neither idempotent nor transactional.
    pub const PLAIN: BatchProducer =
        BatchProducer { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH, sequence: -1, transactional: false };
}

/// Encodes records into the bytes of one batch, uncompressed, as a producer sends them.
#[must_use]
pub fn encode_batch(records: &[NewRecord], writer: BatchProducer) -> Bytes {
    let record = |(i, r): (usize, &NewRecord)| {
        let i = i32::try_from(i).unwrap_or(i32::MAX);
        let mut headers = IndexMap::new();
        for (name, value) in &r.headers {
            headers.insert(StrBytes::from_string(name.clone()), value.clone());
        }
        codec_record(writer, false, i, r.timestamp, r.key.clone(), r.value.clone(), headers)
    };
    encode_records(&records.iter().enumerate().map(record).collect::<Vec<_>>())
}

/// A transaction marker: a control batch of one record, which takes one offset.
#[must_use]
pub(crate) fn build_marker(
    kind: Marker,
    producer_id: i64,
    producer_epoch: i16,
    coordinator_epoch: i32,
    now: i64,
) -> StoredBatch {
    let writer = BatchProducer { id: producer_id, epoch: producer_epoch, sequence: -1, transactional: true };
    let mut key = BytesMut::new();
    // Version 0 and the type; in the value, version 0 and the coordinator's epoch (Kafka's `EndTransactionMarker`).
    key.put_i16(0);
    key.put_i16(if kind == Marker::Commit { 1 } else { 0 });
    let mut value = BytesMut::new();
    value.put_i16(0);
    value.put_i32(coordinator_epoch);
    let record = codec_record(writer, true, 0, now, Some(key.freeze()), Some(value.freeze()), IndexMap::new());
    StoredBatch {
        base: 0,
        last: 0,
        bytes: encode_records(&[record]),
        timestamps: vec![now],
        max_timestamp: now,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        transactional: true,
        marker: Some(kind),
    }
}

fn codec_record(
    writer: BatchProducer,
    control: bool,
    index: i32,
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: IndexMap<StrBytes, Option<Bytes>>,
) -> Record {
    Record {
        transactional: writer.transactional,
        control,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: writer.id,
        producer_epoch: writer.epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(index),
        sequence: writer.sequence.wrapping_add(index),
        timestamp,
        key,
        value,
        headers,
    }
}

fn encode_records(records: &[Record]) -> Bytes {
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    // the only errors are lengths beyond i32, which no caller can reach with records it holds in memory; an
    // empty batch is refused by `parse_batch`
    if RecordBatchEncoder::encode(&mut out, records, &options).is_err() {
        out.clear();
    }
    out.freeze()
}

fn read_int32(raw: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

/// CRC-32C (Castagnoli), the checksum of record batches.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !data.iter().fold(!0u32, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BatchRules =
        BatchRules { log_append_time: false, max_bytes: 1 << 20, after_max_ms: i64::MAX, compacted: false };

    #[test]
    fn a_placed_batch_keeps_its_records_and_its_checksum() {
        let raw = encode_batch(
            &[NewRecord::new("k", "v", 100).header("id", "7"), NewRecord { timestamp: 90, ..Default::default() }],
            BatchProducer::PLAIN,
        );
        let batch = place_batch(parse_batch(&raw, 1000, RULES).unwrap(), 41, 3, false);
        assert_eq!((batch.base, batch.last, batch.max_timestamp), (41, 42, 100));
        let records = batch.records();
        assert_eq!(records[0].offset, 41);
        assert_eq!(records[0].header_text("id"), Some("7"));
        assert_eq!((records[1].offset, records[1].timestamp, records[1].key.clone()), (42, 90, None));
    }

    #[test]
    fn log_append_time_rewrites_inside_the_checksum() {
        let raw = encode_batch(&[NewRecord::new("k", "v", 100)], BatchProducer::PLAIN);
        let rules = BatchRules { log_append_time: true, ..RULES };
        let batch = place_batch(parse_batch(&raw, 1000, rules).unwrap(), 5, 0, true);
        assert_eq!(batch.records()[0].timestamp, 1000);
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        let raw = encode_batch(&[NewRecord::new("k", "v", 100)], BatchProducer::PLAIN);
        let mut broken = BytesMut::from(&raw[..]);
        broken[65] ^= 1;
        assert_eq!(parse_batch(&broken.freeze(), 0, RULES).unwrap_err(), ResponseError::CorruptMessage);
        let twice = Bytes::from([&raw[..], &raw[..]].concat());
        assert_eq!(parse_batch(&twice, 0, RULES).unwrap_err(), ResponseError::InvalidRecord);
        assert_eq!(parse_batch(&Bytes::from_static(b"nope"), 0, RULES).unwrap_err(), ResponseError::CorruptMessage);
        let small = BatchRules { max_bytes: 10, ..RULES };
        assert_eq!(parse_batch(&raw, 0, small).unwrap_err(), ResponseError::MessageTooLarge);
    }
}

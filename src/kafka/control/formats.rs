//! Message sets of the formats before Kafka 0.11 (magic 0 and 1), found before anything is read.
//!
//! The librdkafka that is built in takes them for something else where it asks with Fetch v12 or later (brokers from
//! 2.7 on; librdkafka issues 5549 and 5504): keys and values come as null, or nothing comes. So whoever reads records
//! asks here first.
//!
//! What is asked, and why it is enough: a leader keeps the start offsets of its leader epochs. It notes one for each
//! record batch of format v2 with a new epoch, and forgets them all when it appends an old message set
//! (`UnifiedLog.append`, since 2.1.1; Fetch v12 came with 2.7), and when its topic's `message.format.version` goes
//! below 0.11. So whatever lies at or after the first epoch's start was written as v2, in a log that went from old to new, back
//! and forth. OffsetsForLeaderEpoch with an epoch below all others answers with that start (KIP-101: the log's
//! beginning for a follower that knows less). Only what lies before it is looked at: batch after batch with Fetch, which
//! ends at the first old set (usually the first batch of all). Where a window begins with what has expired, from the log's
//! new start on.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, OffsetForLeaderEpochRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::{Class, Failure, check_code};
use super::offsets::OffsetSpec;
use super::router::{ATTEMPTS, Cluster, Router};
use super::scatter::{BrokerQuestion, Replies};
use crate::base::{TopicPartition, Trouble};

/// Fetch versions from here on are those that librdkafka misreads old sets of.
const FLEXIBLE_FETCH: i16 = 12;
/// An epoch below all that there are; -1 stands for none.
const BELOW_ALL: i32 = -2;
/// Bytes of records that are asked for at once; a larger batch comes whole (KIP-74).
const PORTION: i32 = 1 << 20;
/// Bytes of one partition that are looked at before it is given up, where its leader does not say where format v2 begins.
const MOST: usize = 64 << 20;
/// How often a log may begin later than it did while it is looked at; one that loses more meanwhile is left untold.
const MOVES: usize = 8;
/// Where a batch or a message set has its magic byte: after the offset, the size, and 4 bytes that differ.
const MAGIC_AT: usize = 16;
/// Where a batch of format v2 has the distance to its last offset.
const LAST_DELTA_AT: usize = 23;

/// A message set that can't be read rightly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSet {
    /// Its partition.
    pub partition: TopicPartition,
    /// Where it was found, or from where on nothing could be told.
    pub offset: i64,
    /// What it is, and what to do.
    pub why: Trouble,
}

/// The first offset that is known to be of format v2; `None`: the leader does not say.
type Begins = Option<i64>;

/// Asks where format v2 begins.
struct Beginnings;

impl BrokerQuestion<TopicPartition> for Beginnings {
    /// `None` where librdkafka reads old sets rightly.
    type Told = Option<Begins>;
    const REPEATABLE: bool = true;
    const API: &'static str = "ListOffsets";

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[TopicPartition],
    ) -> Replies<TopicPartition, Self::Told> {
        let all = |told: Self::Told| keys.iter().map(|tp| (tp.clone(), Ok(told))).collect();
        // Key 1 is Fetch. The broker's own greatest: librdkafka chooses for itself, whatever is spoken here.
        let greatest = connection.versions().get(&1).map_or(0, |(_, greatest)| *greatest);
        if greatest < FLEXIBLE_FETCH {
            return Ok(all(None));
        }
        let Some(version) = connection.common_version::<OffsetForLeaderEpochRequest>() else {
            return Ok(all(Some(None)));
        };
        let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
        for tp in keys {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(tp.partition)
                // -1: not compared. The epoch that Metadata told may be an old one, and would be fenced (KIP-320).
                .with_current_leader_epoch(-1)
                .with_leader_epoch(BELOW_ALL);
            match topics.last_mut().filter(|t| t.topic.as_str() == tp.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(
                    OffsetForLeaderTopic::default()
                        .with_topic(TopicName(StrBytes::from_string(tp.topic.clone())))
                        .with_partitions(vec![partition]),
                ),
            }
        }
        let mut request = OffsetForLeaderEpochRequest::default().with_topics(topics);
        // Else it would be -2, a replica that debugs. The field came with v3.
        if version >= 3 {
            request.replica_id = BrokerId(-1);
        }
        let answer = connection.call(version, &request).await?;
        let mut told = Vec::with_capacity(keys.len());
        for topic in answer.topics {
            for p in topic.partitions {
                let tp = TopicPartition::new(topic.topic.as_str(), p.partition);
                let checked = check_code(p.error_code, format_args!("leader epochs of {tp}"), connection.label());
                // -1 is no epoch at all: a log that is empty, or whose leader has forgotten them over an old set.
                let begins = (p.end_offset >= 0).then_some(p.end_offset);
                told.push((tp, checked.map(|()| Some(begins))));
            }
        }
        Ok(told)
    }
}

impl Cluster {
    /// The first message set of an old format in windows `[from, to)` of partitions that librdkafka would misread; of each
    /// partition at most one. A window of which nothing can be told counts as one.
    ///
    /// # Errors
    /// A leader does not answer.
    pub async fn find_old_sets(&self, windows: &[(TopicPartition, i64, i64)]) -> Result<Vec<OldSet>, Trouble> {
        let mut wanted: BTreeMap<TopicPartition, Vec<(i64, i64)>> = BTreeMap::new();
        for (tp, from, to) in windows.iter().filter(|(_, from, to)| from < to) {
            wanted.entry(tp.clone()).or_default().push((*from, *to));
        }
        let keys: Vec<TopicPartition> = wanted.keys().cloned().collect();
        let mut found = Vec::new();
        for (tp, told) in self.inner.ask_each(&Beginnings, &keys).await {
            let begins = match told {
                Ok(None) => continue,
                Ok(Some(begins)) => begins,
                // Who may not ask that may still read.
                Err(f) if f.class == Class::Final => {
                    tracing::debug!(partition = %tp, why = %f.trouble.what, "where its old sets end is not known");
                    None
                }
                Err(f) => return Err(f.into()),
            };
            for (from, to) in wanted.remove(&tp).unwrap_or_default() {
                // What lies at or behind the first epoch was written as v2: it needs no look.
                let to = begins.map_or(to, |begins| to.min(begins));
                if from < to
                    && let Some(old) = self.inner.walk_batches(&tp, from, to).await?
                {
                    found.push(old);
                    break;
                }
            }
        }
        Ok(found)
    }
}

impl Router {
    /// Looks at the batches of a window until one is old.
    async fn walk_batches(&self, tp: &TopicPartition, from: i64, to: i64) -> Result<Option<OldSet>, Failure> {
        let (mut next, mut seen, mut moves) = (from, 0, 0);
        while next < to {
            let asked = RecordsQuestion { from: next };
            let answer = self.ask_each(&asked, std::slice::from_ref(tp)).await.remove(tp);
            let said = match answer.unwrap_or_else(|| Err(self.not_told(tp)))? {
                LogReply::Outside { begins } => {
                    let begins = match begins {
                        Some(begins) => begins,
                        None => self.log_start(tp).await?,
                    };
                    moves += 1;
                    LogReply::Outside { begins: Some(begins) }
                }
                records @ LogReply::Records { .. } => records,
            };
            seen += said.size();
            match judge_reply(&said, next, to) {
                FormatVerdict::Old { offset, magic } => {
                    tracing::info!(side = %self.side(), partition = %tp, offset, magic, "an old record format");
                    return Ok(Some(self.old_set_at(tp, offset, magic)));
                }
                FormatVerdict::Over => return Ok(None),
                // The bounds come last: what the last portion shows still counts.
                FormatVerdict::GoOn { from } if seen <= MOST && moves <= MOVES => next = from,
                FormatVerdict::GoOn { from } => return Ok(Some(self.untold_set(tp, from, to))),
                FormatVerdict::Untold => return Ok(Some(self.untold_set(tp, next, to))),
            }
        }
        Ok(None)
    }

    /// Where a log begins now.
    async fn log_start(&self, tp: &TopicPartition) -> Result<i64, Failure> {
        let found = self.look_up_offsets(&[(tp.clone(), OffsetSpec::Earliest)], ATTEMPTS).await.remove(tp);
        let found = found.unwrap_or_else(|| Err(self.not_told(tp)))?;
        found.map(|(offset, _)| offset).ok_or_else(|| self.not_told(tp))
    }

    fn not_told(&self, tp: &TopicPartition) -> Failure {
        let what = format!("{} did not tell of {}", self.side(), tp);
        Failure::new(Class::Retry, what, "try again")
    }

    fn old_set_at(&self, tp: &TopicPartition, offset: i64, magic: i8) -> OldSet {
        let (side, name) = (self.side(), tp.to_string());
        let what = format!(
            "{name} on {side} holds a message set of the old format (magic {magic}) at offset {offset}: this version can't read it"
        );
        let advice = "records of the formats before Kafka 0.11 are misread by the built-in librdkafka 2.12 (librdkafka \
                      issue 5549): leave the topic out, wait until they have expired, or copy them with another tool; \
                      see docs/limits.md";
        OldSet { partition: tp.clone(), offset, why: Trouble::new(what, advice) }
    }

    fn untold_set(&self, tp: &TopicPartition, from: i64, to: i64) -> OldSet {
        let (side, name) = (self.side(), tp.to_string());
        let what = format!(
            "{side} does not say in which format {name} is between offsets {from} and {to}, and old formats can't be read"
        );
        let advice = "begin at a later offset, or wait until older records have expired; see docs/limits.md";
        OldSet { partition: tp.clone(), offset: from, why: Trouble::new(what, advice) }
    }
}

/// Asks for the records from an offset on, as they lie in the log.
struct RecordsQuestion {
    from: i64,
}

/// What a leader says of an offset of a log.
#[derive(Debug)]
enum LogReply {
    /// Batches from there on, and where the log ends for whoever reads it (its high watermark).
    Records { bytes: Bytes, end: i64 },
    /// The log does not hold it (any more). Where it begins, if that was said.
    Outside { begins: Option<i64> },
}

impl LogReply {
    /// Bytes that came.
    fn size(&self) -> usize {
        match self {
            LogReply::Records { bytes, .. } => bytes.len(),
            LogReply::Outside { .. } => 0,
        }
    }
}

impl BrokerQuestion<TopicPartition> for RecordsQuestion {
    type Told = LogReply;
    const REPEATABLE: bool = true;
    const API: &'static str = "Fetch";

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[TopicPartition],
    ) -> Replies<TopicPartition, LogReply> {
        // From v13 on topics go by their ids; v4 is the first that gives batches of format v2.
        let version = connection.need_version::<FetchRequest>("0.11 or later")?.min(FLEXIBLE_FETCH);
        let topic = |tp: &TopicPartition| {
            let partition = FetchPartition::default()
                .with_partition(tp.partition)
                .with_fetch_offset(self.from)
                .with_partition_max_bytes(PORTION);
            FetchTopic::default()
                .with_topic(TopicName(StrBytes::from_string(tp.topic.clone())))
                .with_partitions(vec![partition])
        };
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            // No waiting: the end of a log is an answer here, and not the moment before the next record.
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(PORTION)
            .with_topics(keys.iter().map(topic).collect());
        let answer = connection.call(version, &request).await?;
        check_code(answer.error_code, "Fetch", connection.label())?;
        let mut told = Vec::new();
        for topic in answer.responses {
            for p in topic.partitions {
                let tp = TopicPartition::new(topic.topic.as_str(), p.partition_index);
                let lies = match check_code(p.error_code, format_args!("records of {tp}"), connection.label()) {
                    Ok(()) => Ok(LogReply::Records { bytes: p.records.unwrap_or_default(), end: p.high_watermark }),
                    // Of a log that it does not look into a broker mostly says -1.
                    Err(f) if f.error == Some(ResponseError::OffsetOutOfRange) => {
                        Ok(LogReply::Outside { begins: Some(p.log_start_offset).filter(|start| *start >= 0) })
                    }
                    Err(f) => Err(f),
                };
                told.push((tp, lies));
            }
        }
        Ok(told)
    }
}

/// What follows from what was said of the offset `next` for a window that ends at `to`.
#[derive(Debug, PartialEq, Eq)]
enum FormatVerdict {
    /// A message set of an old format lies in it.
    Old { offset: i64, magic: i8 },
    /// None before this offset.
    GoOn { from: i64 },
    /// Nothing more of it is there. What has expired, or is not there yet, the reader refuses in its own words.
    Over,
    /// There is something, and it was not shown.
    Untold,
}

fn judge_reply(lies: &LogReply, next: i64, to: i64) -> FormatVerdict {
    match lies {
        // What has expired can't be misread; what follows it can.
        // At or before `next` the same would be asked again; at or behind `to` nothing of the window is left.
        LogReply::Outside { begins: Some(begins) } if (next + 1..to).contains(begins) => {
            FormatVerdict::GoOn { from: *begins }
        }
        LogReply::Outside { .. } => FormatVerdict::Over,
        LogReply::Records { bytes, end } => match scan_batches(bytes, next) {
            // By where it begins at the earliest: a set that reaches into the window from before belongs to it.
            BatchScan::Old { begins, .. } if begins >= to => FormatVerdict::Over,
            BatchScan::Old { offset, magic, .. } => FormatVerdict::Old { offset, magic },
            BatchScan::New { next } if next >= to => FormatVerdict::Over,
            BatchScan::New { next } => FormatVerdict::GoOn { from: next },
            BatchScan::Nothing if next < *end => FormatVerdict::Untold,
            BatchScan::Nothing => FormatVerdict::Over,
        },
    }
}

/// What lies in a stretch of a log.
#[derive(Debug, PartialEq, Eq)]
enum BatchScan {
    /// A message set of an old format, at or after the offset that was asked for, and not before `begins`.
    Old { begins: i64, offset: i64, magic: i8 },
    /// Batches of format v2 only, the last of them before this offset.
    New { next: i64 },
    /// Not even one batch.
    Nothing,
}

/// Looks at the heads of the batches in `records`; the last may be cut off. `from`: what was asked for.
fn scan_batches(records: &[u8], from: i64) -> BatchScan {
    let (mut rest, mut next) = (records, None);
    while let (Some(base), Some(size), Some(magic)) =
        (bytes_at::<8>(rest, 0), bytes_at::<4>(rest, 8), rest.get(MAGIC_AT))
    {
        let (base, size) = (i64::from_be_bytes(base), i32::from_be_bytes(size));
        let magic = i8::from_be_bytes([*magic]);
        if magic < 2 {
            // A compressed set of magic 1 has the offset of its last record.
            return BatchScan::Old { begins: next.unwrap_or(from), offset: base.max(from), magic };
        }
        let Some(delta) = bytes_at::<4>(rest, LAST_DELTA_AT) else { break };
        next = Some(base.saturating_add(i64::from(i32::from_be_bytes(delta).max(0))).saturating_add(1));
        // 12: offset and size themselves, which the size does not count.
        let Some(after) = usize::try_from(size).ok().and_then(|size| rest.get(12 + size..)) else { break };
        rest = after;
    }
    match next {
        // Never backwards: an answer that makes no sense must not be asked for for ever.
        Some(next) => BatchScan::New { next: next.max(from.saturating_add(1)) },
        None => BatchScan::Nothing,
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, last: i32, magic: u8) -> Vec<u8> {
        let mut bytes = [&base.to_be_bytes()[..], &49i32.to_be_bytes(), &[0; 4], &[magic], &[0; 6]].concat();
        bytes.extend(last.to_be_bytes());
        bytes.resize(61, 0);
        bytes
    }

    #[test]
    fn the_first_old_set_is_found_wherever_it_lies() {
        let new = [batch(10, 4, 2), batch(15, 0, 2)].concat();
        assert_eq!(scan_batches(&new, 12), BatchScan::New { next: 16 });
        assert_eq!(
            scan_batches(&[new.clone(), batch(16, 0, 1)].concat(), 12),
            BatchScan::Old { begins: 16, offset: 16, magic: 1 }
        );
        assert_eq!(scan_batches(&batch(3, 0, 0), 3), BatchScan::Old { begins: 3, offset: 3, magic: 0 });
        assert_eq!(scan_batches(&[], 3), BatchScan::Nothing);
        assert_eq!(scan_batches(&new[..60], 12), BatchScan::New { next: 15 }, "a batch that is cut off has its head");
        assert_eq!(scan_batches(&new[..20], 12), BatchScan::Nothing);
    }

    #[test]
    fn what_follows_what_has_expired_is_looked_at_too() {
        let outside = |begins| LogReply::Outside { begins };
        assert_eq!(judge_reply(&outside(Some(7)), 3, 9), FormatVerdict::GoOn { from: 7 }, "old sets may lie there");
        assert_eq!(judge_reply(&outside(Some(9)), 3, 9), FormatVerdict::Over, "all of the window has expired");
        assert_eq!(judge_reply(&outside(Some(0)), 3, 9), FormatVerdict::Over, "the log ends before the window");
        let records = |bytes: Vec<u8>, end| LogReply::Records { bytes: bytes.into(), end };
        assert_eq!(judge_reply(&records(Vec::new(), 3), 3, 9), FormatVerdict::Over, "the log ends here");
        assert_eq!(
            judge_reply(&records(Vec::new(), 5), 3, 9),
            FormatVerdict::Untold,
            "two records are there, and none was shown"
        );
        assert_eq!(judge_reply(&records(batch(3, 1, 2), 9), 3, 9), FormatVerdict::GoOn { from: 5 });
        assert_eq!(judge_reply(&records(batch(7, 0, 1), 9), 7, 9), FormatVerdict::Old { offset: 7, magic: 1 });
        let behind = [batch(3, 5, 2), batch(9, 0, 1)].concat();
        assert_eq!(judge_reply(&records(behind, 10), 3, 9), FormatVerdict::Over, "the old one lies behind the window");
    }

    #[test]
    fn nonsense_gets_on_and_ends() {
        let mut bytes = batch(5, i32::MIN, 2);
        bytes[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(scan_batches(&bytes, 9), BatchScan::New { next: 10 });
        let mut bytes = batch(i64::MAX, i32::MAX, 2);
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(scan_batches(&bytes, 9), BatchScan::New { next: i64::MAX });
    }
}

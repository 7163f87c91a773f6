//! Where logs begin and end, and where a moment is in them: ListOffsets, by leader.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::{Class, Failure, RetryLog, check_code};
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, Router, back_off};
use crate::base::{TopicPartition, Trouble};

/// Partitions in one ListOffsets request.
const PARTITIONS_PER_REQUEST: usize = 5_000;

/// Which offset of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffsetSpec {
    /// Log start offset.
    Earliest,
    /// High watermark: where a read_uncommitted reader stops.
    Latest,
    /// Last stable offset: where a read_committed reader stops.
    LatestStable,
    /// The first record with this timestamp or a later one, ms since the epoch.
    Timestamp(i64),
    /// The record with the greatest timestamp (KIP-734, Kafka 3.0).
    MaxTimestamp,
}

impl OffsetSpec {
    /// The timestamp that stands for it on the wire.
    fn to_wire(self) -> i64 {
        match self {
            OffsetSpec::Earliest => -2,
            // The same question: the isolation level makes one the high watermark and the other the last stable offset.
            OffsetSpec::Latest | OffsetSpec::LatestStable => -1,
            // Negative times are words (-1 latest, -2 earliest): a moment before 1970 must not turn into one.
            OffsetSpec::Timestamp(ms) => ms.max(0),
            OffsetSpec::MaxTimestamp => -3,
        }
    }
}

/// An offset and, where a record was looked for, its timestamp (else -1).
pub(super) type FoundOffset = Option<(i64, i64)>;

impl Cluster {
    /// Offsets of partitions: `Some((offset, timestamp))`, or `None` when no record answers to the timestamp. The
    /// timestamp is -1 where no record was looked for. A partition asked for twice counts as asked the last time.
    /// Retries while leaders move (bounded); what can't be had is a [`Trouble`] in its place.
    pub async fn list_offsets(
        &self,
        asks: &[(TopicPartition, OffsetSpec)],
    ) -> BTreeMap<TopicPartition, Result<Option<(i64, i64)>, Trouble>> {
        let found = self.inner.look_up_offsets(asks, ATTEMPTS).await;
        found.into_iter().map(|(tp, r)| (tp, r.map_err(Trouble::from))).collect()
    }
}

impl Router {
    pub(crate) async fn look_up_offsets(
        &self,
        asks: &[(TopicPartition, OffsetSpec)],
        attempts: u32,
    ) -> BTreeMap<TopicPartition, Result<FoundOffset, Failure>> {
        let mut pending: BTreeMap<TopicPartition, OffsetSpec> = asks.iter().cloned().collect();
        let mut done = BTreeMap::new();
        for attempt in 0..attempts {
            let known = self.topology();
            // A leader that is known is tried first, and looked up when it was wrong.
            if attempt > 0 || pending.keys().any(|tp| leader_of(&known.leaders, tp).is_none_or(|l| l < 0)) {
                let topics: std::collections::BTreeSet<_> = pending.keys().map(|tp| tp.topic.clone()).collect();
                let topics: Vec<_> = topics.into_iter().collect();
                if let Err(failure) = self.refresh_metadata(Some(&topics)).await {
                    done.extend(pending.into_keys().map(|tp| (tp, Err(failure.clone()))));
                    return done;
                }
            }
            let (mut again, mut log) = (BTreeMap::new(), RetryLog::new(self.side(), "ListOffsets"));
            for (tp, spec, result) in self.ask_leaders(&pending).await {
                let retry = match &result {
                    Err(f) if f.class == Class::Retry => attempt + 1 < attempts,
                    // Reading may be repeated: a lost answer took nothing with it.
                    Err(f) if f.is_passing() => attempt + 1 < attempts.min(CONNECT_ATTEMPTS),
                    _ => false,
                };
                if retry {
                    log.note(&result);
                    again.insert(tp, spec);
                } else {
                    done.insert(tp, result);
                }
            }
            log.tell(attempt + 1);
            if again.is_empty() {
                break;
            }
            pending = again;
            back_off(attempt).await;
        }
        done
    }

    async fn ask_leaders(
        &self,
        pending: &BTreeMap<TopicPartition, OffsetSpec>,
    ) -> Vec<(TopicPartition, OffsetSpec, Result<FoundOffset, Failure>)> {
        let known = self.topology();
        // By what is asked, too: a request has one isolation level.
        let mut by_leader: BTreeMap<(i32, OffsetSpec), Vec<TopicPartition>> = BTreeMap::new();
        let mut out = Vec::with_capacity(pending.len());
        for (tp, spec) in pending {
            match leader_of(&known.leaders, tp) {
                Some(node) if node >= 0 => by_leader.entry((node, *spec)).or_default().push(tp.clone()),
                known => out.push((tp.clone(), *spec, Err(self.no_leader(tp, known)))),
            }
        }
        let asked = by_leader.into_iter().map(|((node, spec), partitions)| async move {
            let found = match self.connect_node(node).await {
                Ok(connection) => list_offsets(&connection, spec, &partitions).await,
                Err(failure) => partitions.into_iter().map(|tp| (tp, Err(failure.clone()))).collect(),
            };
            (spec, found)
        });
        for (spec, found) in join_all(asked).await {
            out.extend(found.into_iter().map(|(tp, r)| (tp, spec, r)));
        }
        out
    }

    /// Why there is nobody to ask about a partition.
    pub(crate) fn no_leader(&self, tp: &TopicPartition, known: Option<i32>) -> Failure {
        let (side, name) = (self.side(), tp.to_string());
        match known {
            Some(_) => Failure::new(
                Class::Retry,
                format!("partition {name} on {side} has no leader"),
                "the brokers that hold it are down or an election is under way: look at the cluster's brokers",
            ),
            None => Failure::new(
                Class::Retry,
                format!("partition {name} does not exist on {side}"),
                "check the topic's name and its number of partitions; it may have been deleted",
            ),
        }
    }
}

pub(super) fn leader_of(leaders: &HashMap<String, Vec<i32>>, tp: &TopicPartition) -> Option<i32> {
    leaders.get(&tp.topic)?.get(usize::try_from(tp.partition).ok()?).copied()
}

/// Asks one broker about partitions that it leads; every partition is in the answer.
pub(super) async fn list_offsets(
    connection: &Connection,
    spec: OffsetSpec,
    partitions: &[TopicPartition],
) -> Vec<(TopicPartition, Result<FoundOffset, Failure>)> {
    let asked = partitions.chunks(PARTITIONS_PER_REQUEST).map(|some| list_some(connection, spec, some));
    join_all(asked).await.into_iter().flatten().collect()
}

async fn list_some(
    connection: &Connection,
    spec: OffsetSpec,
    partitions: &[TopicPartition],
) -> Vec<(TopicPartition, Result<FoundOffset, Failure>)> {
    match list_call(connection, spec, partitions).await {
        Ok(mut found) => {
            let missing = |tp: &TopicPartition| {
                let what = format!("{} left {} out of its answer", connection.label(), tp);
                Err(Failure::new(Class::Retry, what, ""))
            };
            let take = |tp: &TopicPartition| found.remove(tp).unwrap_or_else(|| missing(tp));
            let mut take = take;
            partitions.iter().map(|tp| (tp.clone(), take(tp))).collect()
        }
        Err(failure) => partitions.iter().map(|tp| (tp.clone(), Err(failure.clone()))).collect(),
    }
}

async fn list_call(
    connection: &Connection,
    spec: OffsetSpec,
    partitions: &[TopicPartition],
) -> Result<HashMap<TopicPartition, Result<FoundOffset, Failure>>, Failure> {
    let version = connection.need_version::<ListOffsetsRequest>("0.10.1 or later")?;
    if spec == OffsetSpec::MaxTimestamp && version < 7 {
        let what = format!("{} can't look up the greatest timestamp", connection.label());
        return Err(Failure::new(Class::Final, what, "that needs Apache Kafka 3.0 or later"));
    }
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for tp in partitions {
        let partition =
            ListOffsetsPartition::default().with_partition_index(tp.partition).with_timestamp(spec.to_wire());
        match topics.last_mut().filter(|t| t.name.as_str() == tp.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let name = TopicName(StrBytes::from_string(tp.topic.clone()));
                topics.push(ListOffsetsTopic::default().with_name(name).with_partitions(vec![partition]));
            }
        }
    }
    let mut request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
    // v0 and v1 have no isolation level: they would answer with the high watermark, and records of open transactions
    // would count as readable.
    if spec == OffsetSpec::LatestStable {
        if version < 2 {
            let what = format!("{} has no last stable offset", connection.label());
            return Err(Failure::new(Class::Final, what, "that needs Apache Kafka 0.11 or later"));
        }
        request.isolation_level = 1;
    }
    let answer = connection.call(version, &request).await?;
    let mut found = HashMap::with_capacity(partitions.len());
    for topic in answer.topics {
        for p in topic.partitions {
            let tp = TopicPartition::new(topic.name.as_str(), p.partition_index);
            let checked = check_code(p.error_code, format_args!("offsets of {tp}"), connection.label());
            // -1 is "no such record": none, and not an offset.
            found.insert(tp, checked.map(|()| (p.offset >= 0).then_some((p.offset, p.timestamp))));
        }
    }
    Ok(found)
}

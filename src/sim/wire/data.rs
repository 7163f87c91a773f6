//! Produce, Fetch, ListOffsets, DeleteRecords, OffsetForLeaderEpoch.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
};
use tokio::time::Instant;

use super::{ConnectionContext, error_code_of};
use crate::estate::acl::{Operation, Resource};
use crate::sim::state::{IsolationLevel, Lookup, ProduceAsk, SimState};

/// Longest that a fetch waits, whatever it asks for, ms.
const MAX_WAIT: u64 = 60_000;
/// Appends within this time wake a long poll once: a reader of many busy partitions isn't woken by each record, ms.
const COALESCE: Duration = Duration::from_millis(3);

pub(super) fn produce_records(
    context: &ConnectionContext<'_>,
    request: ProduceRequest,
    _version: i16,
) -> ProduceResponse {
    let mut response = ProduceResponse::default();
    let transactional_id = request.transactional_id.as_ref().map(|t| t.as_str());
    context.shared.with_state(|s, now| {
        for topic in &request.topic_data {
            let mut results = TopicProduceResponse::default().with_name(topic.name.clone());
            for partition in &topic.partition_data {
                let records = partition.records.clone().unwrap_or_default();
                let ask = ProduceAsk {
                    broker: context.broker,
                    topic: &topic.name,
                    partition: partition.index,
                    records: &records,
                    transactional_id,
                };
                let outcome = check_acks(s, &ask, request.acks).and_then(|()| s.produce(now, &ask));
                let mut result = PartitionProduceResponse::default().with_index(partition.index);
                result.error_code = error_code_of(&outcome);
                result.base_offset = outcome.as_ref().map_or(-1, |a| a.base);
                result.log_append_time_ms = outcome.as_ref().map_or(-1, |a| a.log_append_time);
                result.log_start_offset = match &outcome {
                    Ok(a) => a.log_start,
                    Err(error) if is_refused_by_log(s, &ask, *error) => log_start(s, &ask),
                    Err(_) => -1,
                };
                results.partition_responses.push(result);
            }
            response.responses.push(results);
        }
    });
    response
}

fn log_start(state: &SimState, ask: &ProduceAsk<'_>) -> i64 {
    state.log(ask.topic, ask.partition).map_or(-1, |l| l.start())
}

/// What the log itself refuses, as against what is refused before it comes there: Kafka tells the log's start then.
fn is_refused_by_log(state: &SimState, ask: &ProduceAsk<'_>, error: ResponseError) -> bool {
    match error {
        ResponseError::InvalidTimestamp | ResponseError::OutOfOrderSequenceNumber => true,
        // A transaction's epoch is refused by its verification (KIP-890), before the log is reached.
        ResponseError::InvalidProducerEpoch => ask.transactional_id.is_none(),
        ResponseError::InvalidRecord => state.topics().get(ask.topic).is_some_and(|t| t.rules().compacted),
        _ => false,
    }
}

fn check_acks(state: &SimState, ask: &ProduceAsk<'_>, acks: i16) -> Result<(), ResponseError> {
    if !(-1..=1).contains(&acks) {
        return Err(ResponseError::InvalidRequiredAcks);
    }
    let (Some(topic), Some(log)) = (state.topics().get(ask.topic), state.log(ask.topic, ask.partition)) else {
        return Err(ResponseError::UnknownTopicOrPartition);
    };
    let in_sync = log.replicas.iter().filter(|r| state.brokers.get(r).is_some_and(|b| b.alive)).count();
    let needed = topic.config("min.insync.replicas").and_then(|v| v.parse().ok()).unwrap_or(1);
    // a topic with fewer replicas than the setting asks for all of them
    if acks == -1 && in_sync < needed && log.leader == ask.broker {
        return Err(ResponseError::NotEnoughReplicas);
    }
    Ok(())
}

pub(super) async fn fetch_records(
    context: &ConnectionContext<'_>,
    request: FetchRequest,
    _version: i16,
) -> FetchResponse {
    // No fetch sessions are kept (KIP-227): the client goes back to naming all partitions.
    if request.session_id != 0 && request.session_epoch > 0 {
        return FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let wait = u64::try_from(request.max_wait_ms).unwrap_or(0).min(MAX_WAIT);
    let deadline = Instant::now() + Duration::from_millis(wait);
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut changed = context.shared.watch();
    loop {
        // Before the look: what changes while it lasts must wake this again.
        changed.mark_unchanged();
        let due = Instant::now() >= deadline;
        let ready = context.shared.with_state(|s, _| {
            (due || has_enough(s, context.broker, &request, enough))
                .then(|| read_partitions(s, context.broker, &request))
        });
        if let Some(response) = ready {
            return response;
        }
        if tokio::time::timeout_at(deadline, changed.changed()).await.is_ok() {
            tokio::time::sleep_until((Instant::now() + COALESCE).min(deadline)).await;
        }
    }
}

fn isolation_of(level: i8) -> IsolationLevel {
    if level == 1 { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted }
}

/// Whether the answer needs no more waiting: enough bytes, or an error to tell.
fn has_enough(state: &SimState, broker: i32, request: &FetchRequest, enough: usize) -> bool {
    let isolation = isolation_of(request.isolation_level);
    let mut bytes = 0;
    for topic in &request.topics {
        for p in &topic.partitions {
            let ok = may_read(state, &topic.topic)
                .and_then(|()| state.check_leader(broker, &topic.topic, p.partition, p.current_leader_epoch))
                .is_ok();
            let Some(log) = state.log(&topic.topic, p.partition).filter(|_| ok) else { return true };
            if p.fetch_offset < log.start() || p.fetch_offset > log.high_watermark() {
                return true;
            }
            bytes += log.count_available(p.fetch_offset, isolation, enough.saturating_sub(bytes).max(1));
            if bytes >= enough && bytes > 0 {
                return true;
            }
        }
    }
    enough == 0 || request.topics.is_empty()
}

fn may_read(state: &SimState, topic: &str) -> Result<(), ResponseError> {
    state.check_permission(Operation::Read, Resource::Topic, topic)
}

fn read_partitions(state: &SimState, broker: i32, request: &FetchRequest) -> FetchResponse {
    let isolation = isolation_of(request.isolation_level);
    let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
    let mut nothing_yet = true;
    let mut response = FetchResponse::default();
    for topic in &request.topics {
        let mut results = FetchableTopicResponse::default().with_topic(topic.topic.clone());
        for p in &topic.partitions {
            let mut data = PartitionData::default().with_partition_index(p.partition);
            let max = left.min(usize::try_from(p.partition_max_bytes).unwrap_or(0));
            let outcome = may_read(state, &topic.topic)
                .and_then(|()| state.check_leader(broker, &topic.topic, p.partition, p.current_leader_epoch))
                .and_then(|()| state.log(&topic.topic, p.partition).ok_or(ResponseError::UnknownTopicOrPartition))
                .and_then(|log| log.read(p.fetch_offset, max, isolation, nothing_yet).map(|r| (log, r)));
            data.error_code = error_code_of(&outcome);
            data.high_watermark = -1;
            data.last_stable_offset = -1;
            data.log_start_offset = -1;
            data.records = Some(bytes::Bytes::new());
            if let Ok((log, read)) = outcome {
                data.high_watermark = log.high_watermark();
                data.last_stable_offset = log.last_stable_offset();
                data.log_start_offset = log.start();
                // Of a whole answer only the first batch may be larger than its limit (KIP-74).
                nothing_yet &= read.bytes.is_empty();
                left = left.saturating_sub(read.bytes.len());
                data.records = Some(read.bytes);
                if isolation == IsolationLevel::ReadCommitted {
                    let aborted = read.aborted.iter().map(|a| {
                        AbortedTransaction::default().with_producer_id(a.producer_id.into()).with_first_offset(a.first)
                    });
                    data.aborted_transactions = Some(aborted.collect());
                } else {
                    // Null, as a broker says it to whoever reads everything.
                    data.aborted_transactions = None;
                }
            }
            results.partitions.push(data);
        }
        response.responses.push(results);
    }
    response
}

pub(super) fn list_offsets(
    context: &ConnectionContext<'_>,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let isolation = isolation_of(request.isolation_level);
    let mut response = ListOffsetsResponse::default();
    context.shared.with_state(|s, _| {
        for topic in &request.topics {
            let mut results = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
            for p in &topic.partitions {
                let found = s
                    .check_permission(Operation::Describe, Resource::Topic, &topic.name)
                    .and_then(|()| {
                        s.check_leader(context.broker, &topic.name, p.partition_index, p.current_leader_epoch)
                    })
                    .and_then(|()| {
                        let lookup = Lookup::from_timestamp(p.timestamp, version)?;
                        s.list_offset(&topic.name, p.partition_index, lookup, isolation)
                    });
                let mut result = ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
                result.error_code = error_code_of(&found);
                (result.timestamp, result.offset) = found.unwrap_or((-1, -1));
                if result.offset >= 0 {
                    result.leader_epoch = s.log(&topic.name, p.partition_index).map_or(-1, |l| l.leader_epoch);
                }
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
    });
    response
}

pub(super) fn delete_records(
    context: &ConnectionContext<'_>,
    request: DeleteRecordsRequest,
    _v: i16,
) -> DeleteRecordsResponse {
    let mut response = DeleteRecordsResponse::default();
    context.shared.with_state(|s, _| {
        for topic in &request.topics {
            let mut results = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
            for p in &topic.partitions {
                let outcome = s
                    .check_leader(context.broker, &topic.name, p.partition_index, -1)
                    .and_then(|()| s.delete_records(&topic.name, p.partition_index, p.offset));
                let result = DeleteRecordsPartitionResult::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error_code_of(&outcome))
                    .with_low_watermark(outcome.unwrap_or(-1));
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
    });
    response
}

pub(super) fn offset_for_leader_epoch(
    context: &ConnectionContext<'_>,
    request: OffsetForLeaderEpochRequest,
    _version: i16,
) -> OffsetForLeaderEpochResponse {
    let mut response = OffsetForLeaderEpochResponse::default();
    context.shared.with_state(|s, _| {
        for topic in &request.topics {
            let mut results = OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone());
            for p in &topic.partitions {
                let checked = s.check_leader(context.broker, &topic.topic, p.partition, p.current_leader_epoch);
                let log = s.log(&topic.topic, p.partition).filter(|_| checked.is_ok());
                let (epoch, end) = log.map_or((-1, -1), |l| l.epoch_end(p.leader_epoch));
                let result = EpochEndOffset::default()
                    .with_partition(p.partition)
                    .with_error_code(error_code_of(&checked))
                    .with_leader_epoch(epoch)
                    .with_end_offset(end);
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
    });
    response
}

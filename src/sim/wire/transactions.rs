//! Producer ids and transactions, and what admins ask about them (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listed;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ListTransactionsResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};

use super::{ConnectionContext, error_code_of, to_str_bytes};
use crate::estate::acl::{Operation, Resource};
use crate::estate::transactions::TransactionState;
use crate::sim::state::{CLUSTER, Commit, CommitAsk, Marker, MarkerAsk, SimState, Transaction};

/// Clients before a version know a fenced producer only as INVALID_PRODUCER_EPOCH (KIP-588).
fn fenced_since(version: i16, since: i16, error: ResponseError) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < since => ResponseError::InvalidProducerEpoch,
        other => other,
    }
}

pub(super) fn init_producer_id(
    context: &ConnectionContext<'_>,
    request: InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let id = request.transactional_id.as_ref().map(|t| t.as_str());
    let known = (request.producer_id.0, request.producer_epoch);
    let timeout = request.transaction_timeout_ms.into();
    let outcome = match id {
        None => context.shared.with_state(|s, now| s.init_producer(now, None, timeout, known)),
        Some(id) => context.run_for_transactional_id(id, |s, now| s.init_producer(now, Some(id), timeout, known)),
    };
    let outcome = outcome.map_err(|e| fenced_since(version, 4, e));
    let mut response = InitProducerIdResponse::default().with_error_code(error_code_of(&outcome));
    let (producer, epoch) = outcome.unwrap_or((-1, -1));
    response.producer_id = producer.into();
    response.producer_epoch = epoch;
    response
}

pub(super) fn add_partitions(
    context: &ConnectionContext<'_>,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    let id = &request.v3_and_below_transactional_id;
    let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
    let topics = &request.v3_and_below_topics;
    let wanted: Vec<(String, i32)> =
        topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.to_string(), *p))).collect();
    context.shared.with_state(|s, now| {
        // one unknown partition, and none is added
        let unknown: Vec<_> = wanted.iter().filter(|(t, p)| s.log(t, *p).is_none()).cloned().collect();
        let permitted = s.check_permission(Operation::Write, Resource::TransactionalId, id);
        let checked = permitted.and_then(|()| s.check_coordinator(context.broker, id));
        let outcome = checked.and_then(|()| match unknown.is_empty() {
            true => s.add_partitions(now, id, producer, &wanted),
            false => Err(ResponseError::OperationNotAttempted),
        });
        let outcome = outcome.map_err(|e| fenced_since(version, 2, e));
        let mut response = AddPartitionsToTxnResponse::default();
        for topic in topics {
            let each = |p: &i32| {
                let missing = permitted.is_ok() && unknown.contains(&(topic.name.to_string(), *p));
                let error =
                    if missing { ResponseError::UnknownTopicOrPartition.code() } else { error_code_of(&outcome) };
                AddPartitionsToTxnPartitionResult::default().with_partition_index(*p).with_partition_error_code(error)
            };
            let result = AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(topic.partitions.iter().map(each).collect());
            response.results_by_topic_v3_and_below.push(result);
        }
        response
    })
}

pub(super) fn add_offsets(
    context: &ConnectionContext<'_>,
    request: AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    let producer = (request.producer_id.0, request.producer_epoch);
    let outcome = context.run_for_transactional_id(&request.transactional_id, |s, now| {
        s.add_group(now, &request.transactional_id, producer, &request.group_id)
    });
    AddOffsetsToTxnResponse::default().with_error_code(error_code_of(&outcome.map_err(|e| fenced_since(version, 2, e))))
}

pub(super) fn commit_offsets(
    context: &ConnectionContext<'_>,
    request: TxnOffsetCommitRequest,
    _version: i16,
) -> TxnOffsetCommitResponse {
    let ask = CommitAsk {
        group: request.group_id.to_string(),
        generation: request.generation_id,
        member: request.member_id.to_string(),
        instance: request.group_instance_id.map(|i| i.to_string()),
    };
    let producer = (request.producer_id.0, request.producer_epoch);
    let mut response = TxnOffsetCommitResponse::default();
    // goes to the group's coordinator
    let checked = context.run_as_coordinator(&ask.group, |s, now| {
        s.check_permission(Operation::Write, Resource::TransactionalId, &request.transactional_id)?;
        s.check_txn_commit(now, &request.transactional_id, producer, &ask)
    });
    context.shared.with_state(|s, now| {
        for topic in &request.topics {
            let mut results = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
            for p in &topic.partitions {
                let outcome = checked.and_then(|()| {
                    let commit = Commit {
                        offset: p.committed_offset,
                        leader_epoch: p.committed_leader_epoch,
                        metadata: p.committed_metadata.as_ref().map(|m| m.to_string()).unwrap_or_default(),
                        at: now,
                    };
                    s.txn_commit(producer.0, &ask.group, &topic.name, p.partition_index, commit)
                });
                let result = TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error_code_of(&outcome));
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
    });
    response
}

pub(super) fn end_transaction(context: &ConnectionContext<'_>, request: EndTxnRequest, version: i16) -> EndTxnResponse {
    let producer = (request.producer_id.0, request.producer_epoch);
    let kind = if request.committed { Marker::Commit } else { Marker::Abort };
    let outcome = context.run_for_transactional_id(&request.transactional_id, |s, now| {
        s.end_txn(now, &request.transactional_id, producer, kind)
    });
    EndTxnResponse::default().with_error_code(error_code_of(&outcome.map_err(|e| fenced_since(version, 2, e))))
}

pub(super) fn describe_transactions(
    context: &ConnectionContext<'_>,
    request: DescribeTransactionsRequest,
    _version: i16,
) -> DescribeTransactionsResponse {
    context.shared.with_state(|s, _| {
        let each = |id: &kafka_protocol::messages::TransactionalId| {
            let found = s
                .check_permission(Operation::Describe, Resource::TransactionalId, id)
                .and_then(|()| s.check_coordinator(context.broker, id))
                .and_then(|()| s.transactions().get(id.as_str()).ok_or(ResponseError::TransactionalIdNotFound));
            let described =
                Described::default().with_transactional_id(id.clone()).with_error_code(error_code_of(&found));
            match found {
                Ok(txn) => describe_one(s, described, txn),
                Err(_) => described,
            }
        };
        let states = request.transactional_ids.iter().map(each).collect();
        DescribeTransactionsResponse::default().with_transaction_states(states)
    })
}

fn describe_one(state: &SimState, described: Described, txn: &Transaction) -> Described {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in txn.described_partitions() {
        if state.check_permission(Operation::Describe, Resource::Topic, &topic).is_ok() {
            topics.entry(topic).or_default().push(partition);
        }
    }
    let data =
        |(t, ps): (String, Vec<i32>)| TopicData::default().with_topic(to_str_bytes(&t).into()).with_partitions(ps);
    described
        .with_transaction_state(to_str_bytes(&txn.state.to_string()))
        .with_transaction_timeout_ms(i32::try_from(txn.timeout).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(txn.started)
        .with_producer_id(txn.producer_id.into())
        .with_producer_epoch(txn.epoch)
        .with_topics(topics.into_iter().map(data).collect())
}

pub(super) fn list_transactions(
    context: &ConnectionContext<'_>,
    request: ListTransactionsRequest,
    _version: i16,
) -> ListTransactionsResponse {
    context.shared.with_state(|s, now| {
        let mut response = ListTransactionsResponse::default();
        // by Kafka's own list of words, of which the simulation uses some
        let known = |word: &str| word.parse().is_ok_and(|s: TransactionState| s != TransactionState::Unknown);
        let states = &request.state_filters;
        response.unknown_state_filters = states.iter().filter(|f| !known(f.as_str())).cloned().collect();
        for (id, txn) in s.transactions() {
            let state = txn.state.to_string();
            let wanted = s.check_coordinator(context.broker, id).is_ok()
                && s.check_permission(Operation::Describe, Resource::TransactionalId, id).is_ok()
                && (states.is_empty() || states.iter().any(|f| f.as_str() == state))
                && (request.producer_id_filters.is_empty()
                    || request.producer_id_filters.iter().any(|p| p.0 == txn.producer_id))
                && (request.duration_filter < 0 || now - txn.started > request.duration_filter);
            if wanted {
                let listed = Listed::default()
                    .with_transactional_id(to_str_bytes(id).into())
                    .with_producer_id(txn.producer_id.into())
                    .with_transaction_state(to_str_bytes(&state));
                response.transaction_states.push(listed);
            }
        }
        response
    })
}

pub(super) fn describe_producers(
    context: &ConnectionContext<'_>,
    request: DescribeProducersRequest,
    _version: i16,
) -> DescribeProducersResponse {
    context.shared.with_state(|s, _| {
        let mut response = DescribeProducersResponse::default();
        for topic in &request.topics {
            let mut results = TopicResponse::default().with_name(topic.name.clone());
            for p in &topic.partition_indexes {
                let checked = s
                    .check_permission(Operation::Read, Resource::Topic, &topic.name)
                    .and_then(|()| s.check_leader(context.broker, &topic.name, *p, -1));
                let mut result =
                    PartitionResponse::default().with_partition_index(*p).with_error_code(error_code_of(&checked));
                if let (Ok(()), Some(log)) = (checked, s.log(&topic.name, *p)) {
                    let each = |(id, entry): (&i64, &crate::sim::state::log::ProducerEntry)| {
                        ProducerState::default()
                            .with_producer_id((*id).into())
                            .with_producer_epoch(entry.epoch.into())
                            .with_last_sequence(entry.last_sequence())
                            .with_last_timestamp(entry.last_timestamp)
                            .with_coordinator_epoch(entry.coordinator_epoch.unwrap_or(-1))
                            .with_current_txn_start_offset(entry.txn_first.unwrap_or(-1))
                    };
                    result.active_producers = log.producers().iter().map(each).collect();
                }
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
        response
    })
}

pub(super) fn write_markers(
    context: &ConnectionContext<'_>,
    request: WriteTxnMarkersRequest,
    _version: i16,
) -> WriteTxnMarkersResponse {
    context.shared.with_state(|s, now| {
        let permitted = s
            .check_permission(Operation::ClusterAction, Resource::Cluster, CLUSTER)
            .or_else(|_| s.check_permission(Operation::Alter, Resource::Cluster, CLUSTER));
        let mut response = WriteTxnMarkersResponse::default();
        for marker in &request.markers {
            let mut result = WritableTxnMarkerResult::default().with_producer_id(marker.producer_id);
            for topic in &marker.topics {
                let mut results = WritableTxnMarkerTopicResult::default().with_name(topic.name.clone());
                for p in &topic.partition_indexes {
                    let ask = MarkerAsk {
                        broker: context.broker,
                        topic: &topic.name,
                        partition: *p,
                        producer: (marker.producer_id.0, marker.producer_epoch),
                        coordinator_epoch: marker.coordinator_epoch,
                        kind: if marker.transaction_result { Marker::Commit } else { Marker::Abort },
                    };
                    let outcome = permitted.and_then(|()| s.write_marker(now, &ask));
                    let each = WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(*p)
                        .with_error_code(error_code_of(&outcome));
                    results.partitions.push(each);
                }
                result.topics.push(results);
            }
            response.markers.push(result);
        }
        response
    })
}

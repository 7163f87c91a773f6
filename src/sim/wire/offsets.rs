//! OffsetCommit, OffsetFetch (batched over groups from v8), OffsetDelete.

use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};

use super::{ConnectionContext, error_code_of, to_str_bytes};
use crate::sim::state::{Commit, CommitAsk, FetchedOffset, ResponseError};

pub(super) fn commit_offsets(
    context: &ConnectionContext<'_>,
    request: OffsetCommitRequest,
    _version: i16,
) -> OffsetCommitResponse {
    let ask = CommitAsk {
        group: request.group_id.to_string(),
        generation: request.generation_id_or_member_epoch,
        member: request.member_id.to_string(),
        instance: request.group_instance_id.map(|i| i.to_string()),
    };
    let mut response = OffsetCommitResponse::default();
    let checked = context.run_as_coordinator(&ask.group, |s, now| s.check_commit(now, &ask, false));
    context.shared.with_state(|s, now| {
        let checked = checked.and(s.faults.take_commit_failure().map_or(Ok(()), Err));
        for topic in &request.topics {
            let mut results = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
            for p in &topic.partitions {
                let outcome = checked.and_then(|()| {
                    let commit = Commit {
                        offset: p.committed_offset,
                        leader_epoch: p.committed_leader_epoch,
                        metadata: p.committed_metadata.as_ref().map(|m| m.to_string()).unwrap_or_default(),
                        at: now,
                    };
                    s.commit_offset(&ask.group, &topic.name, p.partition_index, commit)
                });
                let result = OffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error_code_of(&outcome));
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
    });
    response
}

/// Topics with their partitions.
type AskedPartitions = Vec<(String, Vec<i32>)>;
/// Topics with each partition's offset.
type FoundOffsets = Vec<(String, Vec<(i32, FetchedOffset)>)>;

fn look_up_offsets(
    context: &ConnectionContext<'_>,
    group: &str,
    asked: Option<AskedPartitions>,
    require_stable: bool,
) -> Result<FoundOffsets, ResponseError> {
    context.run_as_coordinator(group, |s, _| {
        let asked = asked.unwrap_or_else(|| s.committed_partitions(group));
        let topic = |(topic, partitions): (String, Vec<i32>)| {
            let offsets =
                partitions.into_iter().map(|p| (p, s.fetch_offset(group, &topic, p, require_stable))).collect();
            (topic, offsets)
        };
        Ok(asked.into_iter().map(topic).collect())
    })
}

pub(super) fn fetch_offsets(
    context: &ConnectionContext<'_>,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    if version >= 8 { fetch_of_groups(context, request) } else { fetch_of_group(context, request, version) }
}

/// From v8 on: of several groups at once.
fn fetch_of_groups(context: &ConnectionContext<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let mut response = OffsetFetchResponse::default();
    for group in request.groups {
        let asked = group.topics.map(|ts| ts.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect());
        let found = look_up_offsets(context, &group.group_id, asked, request.require_stable);
        let mut result =
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_error_code(error_code_of(&found));
        for (name, partitions) in found.unwrap_or_default() {
            let each = |(p, f): (i32, FetchedOffset)| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(p)
                    .with_committed_offset(f.offset)
                    .with_committed_leader_epoch(f.leader_epoch)
                    .with_metadata(Some(to_str_bytes(&f.metadata)))
                    .with_error_code(f.error.map_or(0, |e| e.code()))
            };
            let topic = OffsetFetchResponseTopics::default()
                .with_name(to_str_bytes(&name).into())
                .with_partitions(partitions.into_iter().map(each).collect());
            result.topics.push(topic);
        }
        response.groups.push(result);
    }
    response
}

/// Before v8: of one group.
fn fetch_of_group(context: &ConnectionContext<'_>, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let mut response = OffsetFetchResponse::default();
    let asked: Option<AskedPartitions> =
        request.topics.map(|ts| ts.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect());
    // v1 has no place for an error of the group: each partition tells
    let partitions_tell = asked.clone().filter(|_| version < 2);
    let found = look_up_offsets(context, &request.group_id, asked, request.require_stable);
    response.error_code = if version < 2 { 0 } else { error_code_of(&found) };
    let found = match (found, partitions_tell) {
        (Ok(found), _) => found,
        (Err(_), None) => Vec::new(),
        (Err(error), Some(asked)) => {
            let none = FetchedOffset { offset: -1, leader_epoch: -1, metadata: String::new(), error: Some(error) };
            let topic = |(t, ps): (String, Vec<i32>)| (t, ps.into_iter().map(|p| (p, none.clone())).collect());
            asked.into_iter().map(topic).collect()
        }
    };
    for (name, partitions) in found {
        let each = |(p, f): (i32, FetchedOffset)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(p)
                .with_committed_offset(f.offset)
                .with_committed_leader_epoch(f.leader_epoch)
                .with_metadata(Some(to_str_bytes(&f.metadata)))
                .with_error_code(f.error.map_or(0, |e| e.code()))
        };
        let topic = OffsetFetchResponseTopic::default()
            .with_name(to_str_bytes(&name).into())
            .with_partitions(partitions.into_iter().map(each).collect());
        response.topics.push(topic);
    }
    response
}

pub(super) fn delete_offsets(
    context: &ConnectionContext<'_>,
    request: OffsetDeleteRequest,
    _version: i16,
) -> OffsetDeleteResponse {
    let mut response = OffsetDeleteResponse::default();
    let checked = context.run_as_coordinator(&request.group_id, |s, _| {
        s.check_offset_delete(&request.group_id)?;
        for topic in &request.topics {
            let mut results = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
            for p in &topic.partitions {
                let outcome = s.delete_offset(&request.group_id, &topic.name, p.partition_index);
                let result = OffsetDeleteResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error_code_of(&outcome));
                results.partitions.push(result);
            }
            response.topics.push(results);
        }
        Ok(())
    });
    response.with_error_code(error_code_of(&checked))
}

//! From a frame to its answer: the table of what is implemented, headers, and routing.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterClientQuotasRequest, ApiKey, ApiVersionsRequest,
    ApiVersionsResponse, CreateAclsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteAclsRequest,
    DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeClientQuotasRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, DescribeUserScramCredentialsRequest, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, ListTransactionsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest,
    RequestHeader, ResponseHeader, SyncGroupRequest, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::{ConnectionContext, acls, admin, data, groups, offsets, setup, transactions};
use crate::sim::state::ConnectionCut;

/// Every API that is implemented, with its lowest and highest version: what ApiVersions advertises.
/// Fetch stops below topic ids (v13), transactions below `transaction.version` 2.
pub(super) const APIS: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 11),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 4),
    (ApiKey::WriteTxnMarkers, 1, 1),
    (ApiKey::TxnOffsetCommit, 0, 4),
    (ApiKey::DescribeAcls, 1, 3),
    (ApiKey::CreateAcls, 1, 3),
    (ApiKey::DeleteAcls, 1, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeClientQuotas, 0, 1),
    (ApiKey::AlterClientQuotas, 0, 1),
    (ApiKey::DescribeUserScramCredentials, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 1),
];

/// The connection must be closed: what came is not Kafka, or a fault cuts it.
#[derive(Debug)]
pub(super) struct Close;

/// Answers one request. `None` when the protocol wants no answer (acks=0).
pub(super) async fn answer_request(
    context: &mut ConnectionContext<'_>,
    mut frame: Bytes,
) -> Result<Option<Bytes>, Close> {
    // API key, version and correlation id: less is no request.
    if frame.remaining() < 8 {
        return Err(Close);
    }
    let (key, version) = (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]]));
    let correlation = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
    let api = ApiKey::try_from(key).map_err(|()| Close)?;
    let offered = list_offered_apis(context);
    let (_, low, high) = offered.iter().find(|(k, ..)| *k == api).ok_or(Close)?;
    if !(*low..=*high).contains(&version) {
        // a client that is newer than us learns from a v0 answer what we can (KIP-511)
        return if api == ApiKey::ApiVersions {
            reply(api, 0, correlation, &api_versions(&offered, Some(ResponseError::UnsupportedVersion)))
        } else {
            Err(Close)
        };
    }
    let header = RequestHeader::decode(&mut frame, api.request_header_version(version)).map_err(|_| Close)?;
    context.client_id = header.client_id.map(|c| c.to_string()).unwrap_or_default();
    let cut = context.shared.with_state(|s, _| s.faults.take_cut(key));
    if cut == Some(ConnectionCut::BeforeEffect) {
        return Err(Close);
    }
    let answer = route_request(context, api, version, correlation, frame).await;
    if cut == Some(ConnectionCut::BeforeAnswer) { Err(Close) } else { answer }
}

/// Some requests wait for records or for members of a group; the others are answered at once.
async fn route_request(
    context: &ConnectionContext<'_>,
    api: ApiKey,
    version: i16,
    correlation: i32,
    mut body: Bytes,
) -> Result<Option<Bytes>, Close> {
    macro_rules! serve_waiting {
        ($request:ty, $handler:path) => {{
            let request = <$request>::decode(&mut body, version).map_err(|_| Close)?;
            reply(api, version, correlation, &$handler(context, request, version).await)
        }};
    }
    match api {
        ApiKey::Fetch => serve_waiting!(FetchRequest, data::fetch_records),
        ApiKey::JoinGroup => serve_waiting!(JoinGroupRequest, groups::join_group),
        ApiKey::SyncGroup => serve_waiting!(SyncGroupRequest, groups::sync_group),
        _ => answer_at_once(context, api, version, correlation, body),
    }
}

fn answer_at_once(
    context: &ConnectionContext<'_>,
    api: ApiKey,
    version: i16,
    correlation: i32,
    mut body: Bytes,
) -> Result<Option<Bytes>, Close> {
    macro_rules! serve {
        ($request:ty, $handler:path) => {{
            let request = <$request>::decode(&mut body, version).map_err(|_| Close)?;
            reply(api, version, correlation, &$handler(context, request, version))
        }};
    }
    match api {
        ApiKey::ApiVersions => {
            ApiVersionsRequest::decode(&mut body, version).map_err(|_| Close)?;
            reply(api, version, correlation, &api_versions(&list_offered_apis(context), None))
        }
        ApiKey::Produce => {
            let request = ProduceRequest::decode(&mut body, version).map_err(|_| Close)?;
            let silent = request.acks == 0;
            let response = data::produce_records(context, request, version);
            if silent { Ok(None) } else { reply(api, version, correlation, &response) }
        }
        ApiKey::ListOffsets => serve!(ListOffsetsRequest, data::list_offsets),
        ApiKey::DeleteRecords => serve!(DeleteRecordsRequest, data::delete_records),
        ApiKey::OffsetForLeaderEpoch => serve!(OffsetForLeaderEpochRequest, data::offset_for_leader_epoch),
        ApiKey::Metadata => serve!(MetadataRequest, admin::answer_metadata),
        ApiKey::FindCoordinator => serve!(FindCoordinatorRequest, admin::find_coordinator),
        ApiKey::DescribeCluster => serve!(DescribeClusterRequest, admin::describe_cluster),
        ApiKey::DescribeConfigs => serve!(DescribeConfigsRequest, admin::describe_configs),
        ApiKey::CreateTopics => serve!(CreateTopicsRequest, admin::create_topics),
        ApiKey::DeleteTopics => serve!(DeleteTopicsRequest, admin::delete_topics),
        ApiKey::Heartbeat => serve!(HeartbeatRequest, groups::answer_heartbeat),
        ApiKey::LeaveGroup => serve!(LeaveGroupRequest, groups::leave_group),
        ApiKey::DescribeGroups => serve!(DescribeGroupsRequest, groups::describe_groups),
        ApiKey::ListGroups => serve!(ListGroupsRequest, groups::list_groups),
        ApiKey::DeleteGroups => serve!(DeleteGroupsRequest, groups::delete_groups),
        ApiKey::OffsetCommit => serve!(OffsetCommitRequest, offsets::commit_offsets),
        ApiKey::OffsetFetch => serve!(OffsetFetchRequest, offsets::fetch_offsets),
        ApiKey::OffsetDelete => serve!(OffsetDeleteRequest, offsets::delete_offsets),
        ApiKey::InitProducerId => serve!(InitProducerIdRequest, transactions::init_producer_id),
        ApiKey::AddPartitionsToTxn => serve!(AddPartitionsToTxnRequest, transactions::add_partitions),
        ApiKey::AddOffsetsToTxn => serve!(AddOffsetsToTxnRequest, transactions::add_offsets),
        ApiKey::TxnOffsetCommit => serve!(TxnOffsetCommitRequest, transactions::commit_offsets),
        ApiKey::EndTxn => serve!(EndTxnRequest, transactions::end_transaction),
        ApiKey::WriteTxnMarkers => serve!(WriteTxnMarkersRequest, transactions::write_markers),
        ApiKey::IncrementalAlterConfigs => serve!(IncrementalAlterConfigsRequest, setup::alter_configs),
        ApiKey::CreatePartitions => serve!(CreatePartitionsRequest, setup::create_partitions),
        ApiKey::DescribeClientQuotas => serve!(DescribeClientQuotasRequest, setup::describe_quotas),
        ApiKey::AlterClientQuotas => serve!(AlterClientQuotasRequest, setup::alter_quotas),
        ApiKey::DescribeUserScramCredentials => {
            serve!(DescribeUserScramCredentialsRequest, setup::describe_scram_users)
        }
        ApiKey::DescribeAcls => serve!(DescribeAclsRequest, acls::describe_acls),
        ApiKey::CreateAcls => serve!(CreateAclsRequest, acls::create_acls),
        ApiKey::DeleteAcls => serve!(DeleteAclsRequest, acls::delete_acls),
        ApiKey::DescribeTransactions => serve!(DescribeTransactionsRequest, transactions::describe_transactions),
        ApiKey::ListTransactions => serve!(ListTransactionsRequest, transactions::list_transactions),
        ApiKey::DescribeProducers => serve!(DescribeProducersRequest, transactions::describe_producers),
        _ => Err(Close),
    }
}

/// What the brokers offer: everything that is implemented, unless a test made them old.
fn list_offered_apis(context: &ConnectionContext<'_>) -> Vec<(ApiKey, i16, i16)> {
    context.shared.with_state(|s, _| {
        let cap = |(key, low, high): &(ApiKey, i16, i16)| {
            let newest = s.faults.newest.get(&(*key as i16)).copied().unwrap_or(*high);
            (*key, *low, newest.min(*high))
        };
        APIS.iter().map(cap).filter(|(_, low, high)| low <= high).collect()
    })
}

fn api_versions(offered: &[(ApiKey, i16, i16)], error: Option<ResponseError>) -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default();
    response.error_code = error.map_or(0, |e| e.code());
    let each = |(key, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    response.api_keys = offered.iter().map(each).collect();
    response
}

fn reply<R: Encodable>(api: ApiKey, version: i16, correlation: i32, response: &R) -> Result<Option<Bytes>, Close> {
    let mut out = BytesMut::new();
    out.put_i32(0);
    // ApiVersions answers always carry header v0, so that a client can read them before it knows us (KIP-511);
    // the codec's table knows
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut out, api.response_header_version(version)).map_err(|_| Close)?;
    response.encode(&mut out, version).map_err(|e| {
        tracing::error!("the simulated broker can't encode its {api:?} v{version} answer: {e}");
        Close
    })?;
    let length = u32::try_from(out.len() - 4).map_err(|_| Close)?;
    out[0..4].copy_from_slice(&length.to_be_bytes());
    Ok(Some(out.freeze()))
}

//! Groups: membership, and what admins ask.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{ConnectionContext, error_code_of, to_str_bytes};
use crate::sim::state::group::ClassicGroupState;
use crate::sim::state::{GroupReply, JoinAsk, Joined, SimState, SyncAsk, Synced};

fn to_owned_string(s: Option<StrBytes>) -> Option<String> {
    s.map(|s| s.to_string())
}

pub(super) async fn join_group(
    context: &ConnectionContext<'_>,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    // v0 has one timeout for both.
    let rebalance = if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let ask = JoinAsk {
        group: request.group_id.to_string(),
        member: request.member_id.to_string(),
        instance: to_owned_string(request.group_instance_id),
        client_id: context.client_id.clone(),
        host: context.host.clone(),
        session_timeout: request.session_timeout_ms.into(),
        rebalance_timeout: rebalance.into(),
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.into_iter().map(|p| (p.name.to_string(), p.metadata)).collect(),
        member_id_required: version >= 4,
        can_skip_assignment: version >= 9,
    };
    let (ticket, reply) = context.shared.issue_ticket();
    let refused = context.run_as_coordinator(&ask.group, |s, now| {
        s.join_group(now, ticket, &ask);
        Ok(())
    });
    let joined = match refused {
        Err(error) => Joined { error: Some(error), generation: -1, member: ask.member, ..Joined::default() },
        Ok(()) => match reply.await {
            Ok(GroupReply::Join(joined)) => joined,
            _ => Joined { error: Some(ResponseError::UnknownServerError), generation: -1, ..Joined::default() },
        },
    };
    // null names came with v7
    let name = |n: Option<String>| n.map(|n| to_str_bytes(&n)).or_else(|| (version < 7).then(StrBytes::default));
    let mut response = JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |e| e.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(|t| to_str_bytes(&t)))
        .with_protocol_name(name(joined.protocol))
        .with_leader(to_str_bytes(&joined.leader))
        .with_member_id(to_str_bytes(&joined.member));
    response.skip_assignment = joined.skip_assignment && version >= 9;
    for (id, instance, metadata) in joined.members {
        let member = JoinGroupResponseMember::default()
            .with_member_id(to_str_bytes(&id))
            .with_group_instance_id(instance.map(|i| to_str_bytes(&i)))
            .with_metadata(metadata);
        response.members.push(member);
    }
    response
}

pub(super) async fn sync_group(
    context: &ConnectionContext<'_>,
    request: SyncGroupRequest,
    _version: i16,
) -> SyncGroupResponse {
    let ask = SyncAsk {
        group: request.group_id.to_string(),
        generation: request.generation_id,
        member: request.member_id.to_string(),
        instance: to_owned_string(request.group_instance_id),
        protocol: (to_owned_string(request.protocol_type), to_owned_string(request.protocol_name)),
        assignments: request.assignments.into_iter().map(|a| (a.member_id.to_string(), a.assignment)).collect(),
    };
    let (ticket, reply) = context.shared.issue_ticket();
    let refused = context.run_as_coordinator(&ask.group, |s, now| {
        s.sync_group(now, ticket, &ask);
        Ok(())
    });
    let synced = match refused {
        Err(error) => Synced { error: Some(error), ..Synced::default() },
        Ok(()) => match reply.await {
            Ok(GroupReply::Sync(synced)) => synced,
            _ => Synced { error: Some(ResponseError::UnknownServerError), ..Synced::default() },
        },
    };
    SyncGroupResponse::default()
        .with_error_code(synced.error.map_or(0, |e| e.code()))
        .with_protocol_type(synced.protocol_type.map(|t| to_str_bytes(&t)))
        .with_protocol_name(synced.protocol.map(|p| to_str_bytes(&p)))
        .with_assignment(synced.assignment)
}

pub(super) fn answer_heartbeat(
    context: &ConnectionContext<'_>,
    request: HeartbeatRequest,
    _version: i16,
) -> HeartbeatResponse {
    let outcome = context.run_as_coordinator(&request.group_id, |s, now| {
        let instance = request.group_instance_id.as_ref().map(|i| i.as_str());
        s.heartbeat(now, &request.group_id, request.generation_id, &request.member_id, instance)
    });
    HeartbeatResponse::default().with_error_code(error_code_of(&outcome))
}

pub(super) fn leave_group(
    context: &ConnectionContext<'_>,
    request: LeaveGroupRequest,
    version: i16,
) -> LeaveGroupResponse {
    let mut response = LeaveGroupResponse::default();
    if version < 3 {
        let outcome = context.run_as_coordinator(&request.group_id, |s, now| {
            s.leave_group(now, &request.group_id, &request.member_id, None)
        });
        return response.with_error_code(error_code_of(&outcome));
    }
    let outcome = context.run_as_coordinator(&request.group_id, |s, now| {
        for member in &request.members {
            let instance = member.group_instance_id.as_ref().map(|i| i.as_str());
            let left = s.leave_group(now, &request.group_id, &member.member_id, instance);
            let result = MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone())
                .with_error_code(error_code_of(&left));
            response.members.push(result);
        }
        Ok(())
    });
    response.with_error_code(error_code_of(&outcome))
}

pub(super) fn describe_groups(
    context: &ConnectionContext<'_>,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    context.shared.with_state(|s, _| {
        let each = |id: &kafka_protocol::messages::GroupId| {
            let mut result = match s.check_coordinator(context.broker, id) {
                Err(error) => DescribedGroup::default().with_error_code(error.code()),
                Ok(()) => describe_group(s, id, version),
            };
            result.group_id = id.clone();
            // Nobody asked for them (KIP-430).
            result.authorized_operations = i32::MIN;
            result
        };
        DescribeGroupsResponse::default().with_groups(request.groups.iter().map(each).collect())
    })
}

fn describe_group(state: &SimState, id: &str, version: i16) -> DescribedGroup {
    let Some(group) = state.groups().get(id) else {
        let dead = DescribedGroup::default().with_group_state(to_str_bytes("Dead"));
        // v6 says it as an error (KIP-1043)
        return if version >= 6 {
            dead.with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(to_str_bytes(&format!("Group {id} not found."))))
        } else {
            dead
        };
    };
    let stable = group.state == ClassicGroupState::Stable;
    let mut result = DescribedGroup::default()
        .with_group_state(to_str_bytes(&group.state.to_string()))
        .with_protocol_type(to_str_bytes(&group.protocol_type));
    if let Some(protocol) = group.protocol.as_ref().filter(|_| stable) {
        result.protocol_data = to_str_bytes(protocol);
    }
    for (id, member) in &group.members {
        let mut described = DescribedGroupMember::default()
            .with_member_id(to_str_bytes(id))
            .with_group_instance_id(member.instance.as_ref().map(|i| to_str_bytes(i)))
            .with_client_id(to_str_bytes(&member.client_id))
            .with_client_host(to_str_bytes(&member.host))
            .with_member_assignment(member.assignment.clone());
        if stable {
            described.member_metadata = group.metadata_of(member);
        }
        result.members.push(described);
    }
    result
}

pub(super) fn list_groups(
    context: &ConnectionContext<'_>,
    request: ListGroupsRequest,
    _version: i16,
) -> ListGroupsResponse {
    let asked = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|f| f.as_str().eq_ignore_ascii_case(value))
    };
    context.shared.with_state(|s, _| {
        let mut response = ListGroupsResponse::default();
        for (id, group) in s.groups() {
            let state = group.state.to_string();
            let here = s.check_coordinator(context.broker, id).is_ok();
            if here && asked(&request.states_filter, &state) && asked(&request.types_filter, "classic") {
                let listed = ListedGroup::default()
                    .with_group_id(to_str_bytes(id).into())
                    .with_protocol_type(to_str_bytes(&group.protocol_type))
                    .with_group_state(to_str_bytes(&state))
                    .with_group_type(to_str_bytes("classic"));
                response.groups.push(listed);
            }
        }
        response
    })
}

pub(super) fn delete_groups(
    context: &ConnectionContext<'_>,
    request: DeleteGroupsRequest,
    _version: i16,
) -> DeleteGroupsResponse {
    let each = |id: &kafka_protocol::messages::GroupId| {
        let outcome = context.run_as_coordinator(id, |s, _| s.delete_group(id));
        DeletableGroupResult::default().with_group_id(id.clone()).with_error_code(error_code_of(&outcome))
    };
    DeleteGroupsResponse::default().with_results(request.groups_names.iter().map(each).collect())
}

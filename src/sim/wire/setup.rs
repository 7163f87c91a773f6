//! How a cluster is set up: IncrementalAlterConfigs, CreatePartitions, quotas, SCRAM users.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_client_quotas_response::{EntityData as AlteredEntity, EntryData as AlteredEntry};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::acls::check_cluster_permission;
use super::{ConnectionContext, error_code_of, to_str_bytes};
use crate::estate::acl::Operation;
use crate::estate::inventory::QuotaEntity;
use crate::sim::state::{SimRefusal, SimState};

const TOPIC_RESOURCE: i8 = 2;
/// IncrementalAlterConfigs' numbers for what is done.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// DescribeClientQuotas' numbers for how a part is matched; any other is any name.
const EXACT: i8 = 0;
const DEFAULT_NAME: i8 = 1;

/// Code and words of an outcome.
fn code_and_words(outcome: Result<(), SimRefusal>) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(()) => (0, None),
        Err((error, why)) => (error.code(), Some(to_str_bytes(&why))),
    }
}

pub(super) fn alter_configs(
    context: &ConnectionContext<'_>,
    request: IncrementalAlterConfigsRequest,
    _: i16,
) -> IncrementalAlterConfigsResponse {
    context.shared.with_state(|s, _| {
        let result = |resource: &AlterConfigsResource| {
            let (code, words) = code_and_words(alter_resource(s, resource, request.validate_only));
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(words)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
        };
        IncrementalAlterConfigsResponse::default().with_responses(request.resources.iter().map(result).collect())
    })
}

fn alter_resource(
    state: &mut SimState,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), SimRefusal> {
    let refuse = |why: &str| Err((ResponseError::InvalidRequest, why.to_owned()));
    if resource.resource_type != TOPIC_RESOURCE {
        return refuse("settings of topics alone are simulated");
    }
    let mut changes = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        changes.push(match (config.config_operation, &config.value) {
            (SET, Some(value)) => (config.name.as_str(), Some(value.as_str())),
            (DELETE, _) => (config.name.as_str(), None),
            (SET, None) => return refuse("Null value not supported for : SET"),
            _ => return refuse("APPEND and SUBTRACT are not simulated"),
        });
    }
    state.alter_config(&resource.resource_name, &changes, validate_only)
}

pub(super) fn create_partitions(
    context: &ConnectionContext<'_>,
    request: CreatePartitionsRequest,
    _: i16,
) -> CreatePartitionsResponse {
    context.shared.with_state(|s, _| {
        let mut response = CreatePartitionsResponse::default();
        for topic in request.topics {
            let (code, words) = code_and_words(s.create_partitions(&topic.name, topic.count, request.validate_only));
            let result = CreatePartitionsTopicResult::default().with_name(topic.name);
            response.results.push(result.with_error_code(code).with_error_message(words));
        }
        response
    })
}

pub(super) fn describe_quotas(
    context: &ConnectionContext<'_>,
    request: DescribeClientQuotasRequest,
    _: i16,
) -> DescribeClientQuotasResponse {
    context.shared.with_state(|s, _| {
        let allowed = check_cluster_permission(s, Operation::DescribeConfigs);
        let response =
            DescribeClientQuotasResponse::default().with_error_code(error_code_of(&allowed)).with_error_message(None);
        if allowed.is_err() {
            return response.with_entries(None);
        }
        let wanted = |entity: &QuotaEntity| {
            let whole = !request.strict || entity.0.len() == request.components.len();
            whole && request.components.iter().all(|component| takes_in(component, entity))
        };
        let found = s.quotas().iter().filter(|(entity, _)| wanted(entity)).map(|(entity, limits)| {
            let part = |(kind, name): (&String, &Option<String>)| {
                EntityData::default()
                    .with_entity_type(to_str_bytes(kind))
                    .with_entity_name(name.as_deref().map(to_str_bytes))
            };
            let value =
                |(key, value): (&String, &f64)| ValueData::default().with_key(to_str_bytes(key)).with_value(*value);
            EntryData::default()
                .with_entity(entity.0.iter().map(part).collect())
                .with_values(limits.iter().map(value).collect())
        });
        let found = found.collect();
        response.with_entries(Some(found))
    })
}

fn takes_in(component: &ComponentData, entity: &QuotaEntity) -> bool {
    let Some(name) = entity.0.get(component.entity_type.as_str()) else { return false };
    match component.match_type {
        EXACT => name.as_deref() == component._match.as_deref(),
        DEFAULT_NAME => name.is_none(),
        _ => true,
    }
}

pub(super) fn alter_quotas(
    context: &ConnectionContext<'_>,
    request: AlterClientQuotasRequest,
    _: i16,
) -> AlterClientQuotasResponse {
    context.shared.with_state(|s, _| {
        let mut response = AlterClientQuotasResponse::default();
        for entry in request.entries {
            let parts = entry.entity.iter();
            let parts = parts.map(|p| (p.entity_type.to_string(), p.entity_name.as_ref().map(ToString::to_string)));
            let entity = QuotaEntity(parts.collect());
            let changes: Vec<(&str, Option<f64>)> =
                entry.ops.iter().map(|op| (op.key.as_str(), (!op.remove).then_some(op.value))).collect();
            let allowed = check_cluster_permission(s, Operation::AlterConfigs);
            let outcome = allowed
                .map_err(|error| (error, "Cluster authorization failed.".to_owned()))
                .and_then(|()| s.alter_quota(&entity, &changes, request.validate_only));
            let (code, words) = code_and_words(outcome);
            let back = entry.entity.into_iter();
            let back =
                back.map(|p| AlteredEntity::default().with_entity_type(p.entity_type).with_entity_name(p.entity_name));
            let result = AlteredEntry::default().with_entity(back.collect());
            response.entries.push(result.with_error_code(code).with_error_message(words));
        }
        response
    })
}

pub(super) fn describe_scram_users(
    context: &ConnectionContext<'_>,
    request: DescribeUserScramCredentialsRequest,
    _: i16,
) -> DescribeUserScramCredentialsResponse {
    context.shared.with_state(|s, _| {
        let allowed = check_cluster_permission(s, Operation::Describe);
        let mut response = DescribeUserScramCredentialsResponse::default()
            .with_error_code(error_code_of(&allowed))
            .with_error_message(None);
        if allowed.is_err() {
            return response;
        }
        let named: Vec<String> = request.users.into_iter().flatten().map(|user| user.name.to_string()).collect();
        // No names: all of them.
        let asked = if named.is_empty() { s.scram_users().keys().cloned().collect() } else { named };
        for name in asked {
            let result = DescribeUserScramCredentialsResult::default().with_user(to_str_bytes(&name));
            let found = s.scram_users().get(&name);
            let code = if found.is_some() { 0 } else { ResponseError::ResourceNotFound.code() };
            let infos = found
                .into_iter()
                .flatten()
                .map(|c| CredentialInfo::default().with_mechanism(c.mechanism as i8).with_iterations(c.iterations));
            let result = result.with_credential_infos(infos.collect());
            response.results.push(result.with_error_code(code).with_error_message(None));
        }
        response
    })
}

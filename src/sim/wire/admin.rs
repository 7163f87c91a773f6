//! Metadata, coordinators, the cluster, configuration, topics.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse, TopicName,
};

use super::{ConnectionContext, error_code_of, to_str_bytes};
use crate::estate::acl::{Operation, Resource};
use crate::sim::state::{SimState, SimTopic, id_text, legal_topic_name, topic_defaults};

/// "No authorised operations were asked for".
const NO_OPERATIONS: i32 = i32::MIN;

pub(super) fn answer_metadata(
    context: &ConnectionContext<'_>,
    request: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    context.shared.with_state(|s, _| {
        let mut response = MetadataResponse::default();
        // A broker that is down is left out, as in Kafka: who still knows it meets a closed port.
        for b in s.brokers.values().filter(|b| b.alive) {
            let broker = MetadataResponseBroker::default()
                .with_node_id(b.id.into())
                .with_host(to_str_bytes(&b.host))
                .with_port(b.port.into());
            response.brokers.push(broker);
        }
        response.cluster_id = Some(to_str_bytes(&s.cluster_id));
        response.controller_id = s.controller_id().into();
        response.cluster_authorized_operations = NO_OPERATIONS;
        // v0 asks for all topics with an empty list, later versions with null
        let all = request.topics.as_ref().is_none_or(|t| version == 0 && t.is_empty());
        let seen = |name: &str| s.check_permission(Operation::Describe, Resource::Topic, name);
        if all {
            let visible = s.topics().iter().filter(|(name, _)| seen(name).is_ok());
            response.topics = visible.map(|(name, t)| topic_metadata(s, name, t)).collect();
            return response;
        }
        for asked in request.topics.into_iter().flatten() {
            let name = asked.name.map(|n| n.to_string());
            let found = match &name {
                Some(name) => Some(name.as_str()),
                None => s.topic_by_id(asked.topic_id.as_u128()),
            };
            let topic = found.and_then(|n| s.topics().get_key_value(n));
            response.topics.push(match (topic, name) {
                (Some((name, _)), _) if seen(name).is_err() => MetadataResponseTopic::default()
                    .with_error_code(ResponseError::TopicAuthorizationFailed.code())
                    .with_name(Some(to_str_bytes(name).into())),
                (Some((name, topic)), _) => topic_metadata(s, name, topic),
                (None, Some(name)) => {
                    let error = missing_topic(&name);
                    MetadataResponseTopic::default()
                        .with_error_code(error.code())
                        .with_name(Some(to_str_bytes(&name).into()))
                }
                (None, None) => MetadataResponseTopic::default()
                    .with_error_code(ResponseError::UnknownTopicId.code())
                    .with_topic_id(asked.topic_id)
                    // A name may be null only from v12 on.
                    .with_name(if version < 12 { Some(TopicName::default()) } else { None }),
            });
        }
        response
    })
}

fn topic_metadata(state: &SimState, name: &str, topic: &SimTopic) -> MetadataResponseTopic {
    let mut result = MetadataResponseTopic::default()
        .with_name(Some(to_str_bytes(name).into()))
        .with_topic_authorized_operations(NO_OPERATIONS)
        .with_is_internal(name.starts_with("__"));
    result.topic_id = id_text(topic.id).parse().unwrap_or_default();
    for (i, log) in topic.partitions.iter().enumerate() {
        let lives = |r: &&i32| state.brokers.get(r).is_some_and(|b| b.alive);
        let nodes = |only: bool| log.replicas.iter().filter(|r| lives(r) == only).map(|r| BrokerId(*r)).collect();
        let mut partition = MetadataResponsePartition::default()
            .with_partition_index(i32::try_from(i).unwrap_or(i32::MAX))
            .with_leader_id(log.leader.into())
            .with_leader_epoch(log.leader_epoch);
        // Clients take it as a request to ask again.
        if log.leader < 0 {
            partition.error_code = ResponseError::LeaderNotAvailable.code();
        }
        partition.replica_nodes = log.replicas.iter().map(|r| BrokerId(*r)).collect();
        partition.isr_nodes = nodes(true);
        partition.offline_replicas = nodes(false);
        result.partitions.push(partition);
    }
    result
}

pub(super) fn find_coordinator(
    context: &ConnectionContext<'_>,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    // Several keys in one request came with v4 (KIP-699).
    let keys = if version < 4 { vec![request.key] } else { request.coordinator_keys };
    context.shared.with_state(|s, _| {
        let mut response = FindCoordinatorResponse::default();
        for key in keys {
            let mut found = Coordinator::default().with_key(key.clone()).with_node_id(BrokerId(-1)).with_port(-1);
            // 2 asks for the coordinator of share groups (KIP-932), which are not simulated.
            if !(0..=1).contains(&request.key_type) {
                found.error_code = ResponseError::InvalidRequest.code();
            } else if let (1, Err(error)) =
                (request.key_type, s.check_permission(Operation::Describe, Resource::TransactionalId, &key))
            {
                found.error_code = error.code();
            } else if s.faults.take_no_coordinator() {
                found.error_code = ResponseError::CoordinatorNotAvailable.code();
            } else if let Some(b) = s.find_coordinator(&key) {
                found = found.with_node_id(b.id.into()).with_host(to_str_bytes(&b.host)).with_port(b.port.into());
            } else {
                found.error_code = ResponseError::CoordinatorNotAvailable.code();
            }
            if version < 4 {
                response.error_code = found.error_code;
                response.node_id = found.node_id;
                response.host = found.host;
                response.port = found.port;
            } else {
                response.coordinators.push(found);
            }
        }
        response
    })
}

pub(super) fn describe_cluster(
    context: &ConnectionContext<'_>,
    request: DescribeClusterRequest,
    _version: i16,
) -> DescribeClusterResponse {
    context.shared.with_state(|s, _| {
        let broker = |b: &crate::sim::state::Broker| {
            DescribeClusterBroker::default()
                .with_broker_id(b.id.into())
                .with_host(to_str_bytes(&b.host))
                .with_port(b.port.into())
        };
        DescribeClusterResponse::default()
            .with_cluster_id(to_str_bytes(&s.cluster_id))
            .with_controller_id(s.controller_id().into())
            .with_brokers(s.brokers.values().filter(|b| b.alive).map(broker).collect())
            .with_cluster_authorized_operations(match request.include_cluster_authorized_operations {
                true => s.cluster_operations(),
                false => NO_OPERATIONS,
            })
    })
}

const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const DYNAMIC_TOPIC: i8 = 1;
const DEFAULT: i8 = 5;

pub(super) fn describe_configs(
    context: &ConnectionContext<'_>,
    request: DescribeConfigsRequest,
    _version: i16,
) -> DescribeConfigsResponse {
    context.shared.with_state(|s, _| {
        let mut response = DescribeConfigsResponse::default();
        for resource in request.resources {
            let mut result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            let wanted = |key: &str| {
                resource.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|k| k.as_str() == key))
            };
            match (resource.resource_type, s.topics().get(resource.resource_name.as_str())) {
                (TOPIC_RESOURCE, Some(topic)) => {
                    result.configs = list_effective_configs(topic).into_iter().filter(|c| wanted(&c.name)).collect();
                }
                (TOPIC_RESOURCE, None) => {
                    result.error_code = ResponseError::UnknownTopicOrPartition.code();
                    result.error_message = Some(to_str_bytes("This server does not host this topic-partition."));
                }
                // A broker tells its own settings alone.
                (BROKER_RESOURCE, _) if resource.resource_name.as_str() == context.broker.to_string() => {
                    let config = broker_config(s).into_iter().filter(|(k, _)| wanted(k));
                    // 4: from the broker's own file (STATIC_BROKER_CONFIG).
                    result.configs = config.map(|(k, v)| config_entry(k, &v, 4)).collect();
                }
                _ => result.error_code = ResponseError::InvalidRequest.code(),
            }
            response.results.push(result);
        }
        response
    })
}

fn list_effective_configs(topic: &SimTopic) -> Vec<DescribeConfigsResourceResult> {
    let mut all: Vec<_> = topic.config.iter().map(|(k, v)| config_entry(k, v, DYNAMIC_TOPIC)).collect();
    let unset = topic_defaults().into_iter().filter(|(k, _)| !topic.config.contains_key(*k));
    all.extend(unset.map(|(k, v)| config_entry(k, v, DEFAULT)));
    all
}

fn config_entry(key: &str, value: &str, source: i8) -> DescribeConfigsResourceResult {
    // Values are kept as text, so the type is read off them: 1 boolean, 2 string, 5 long, 6 double.
    let config_type = match value {
        "true" | "false" => 1,
        v if v.parse::<i64>().is_ok() => 5,
        v if v.parse::<f64>().is_ok() => 6,
        _ => 2,
    };
    DescribeConfigsResourceResult::default()
        .with_name(to_str_bytes(key))
        .with_value(Some(to_str_bytes(value)))
        .with_config_source(source)
        .with_config_type(config_type)
}

fn broker_config(state: &SimState) -> Vec<(&'static str, String)> {
    let authorizer = state.acls().map(|_| "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
    vec![
        ("authorizer.class.name", authorizer.unwrap_or_default().to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("group.initial.rebalance.delay.ms", state.limits.initial_rebalance_delay_ms.to_string()),
        ("group.max.session.timeout.ms", state.limits.max_session_ms.to_string()),
        ("group.min.session.timeout.ms", state.limits.min_session_ms.to_string()),
        ("offset.metadata.max.bytes", state.limits.max_metadata_bytes.to_string()),
        ("offsets.retention.minutes", "10080".to_owned()),
        ("transaction.max.timeout.ms", state.limits.max_transaction_ms.to_string()),
    ]
}

pub(super) fn create_topics(
    context: &ConnectionContext<'_>,
    request: CreateTopicsRequest,
    _v: i16,
) -> CreateTopicsResponse {
    context.shared.with_state(|s, _| {
        let mut response = CreateTopicsResponse::default();
        for topic in request.topics {
            // An assignment by hand says how many partitions there are; the field for their number is -1 then.
            let given = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
            let partitions = if given > 0 { given } else { topic.num_partitions };
            let config: Vec<(&str, &str)> =
                topic.configs.iter().map(|c| (c.name.as_str(), c.value.as_ref().map_or("", |v| v.as_str()))).collect();
            let outcome =
                s.create_topic(&topic.name, partitions, topic.replication_factor, &config, request.validate_only);
            let mut result =
                CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(error_code_of(&outcome));
            match outcome {
                Err(error) => result.error_message = Some(to_str_bytes(&error.to_string())),
                Ok(()) => describe_created(s, &topic.name, &mut result),
            }
            response.topics.push(result);
        }
        response
    })
}

fn describe_created(state: &SimState, name: &str, result: &mut CreatableTopicResult) {
    let Some(topic) = state.topics().get(name) else { return };
    result.topic_id = id_text(topic.id).parse().unwrap_or_default();
    result.num_partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let replicas = topic.partitions.first().map_or(0, |l| l.replicas.len());
    result.replication_factor = i16::try_from(replicas).unwrap_or(i16::MAX);
    let config = |c: DescribeConfigsResourceResult| {
        CreatableTopicConfigs::default().with_name(c.name).with_value(c.value).with_config_source(c.config_source)
    };
    result.configs = Some(list_effective_configs(topic).into_iter().map(config).collect());
}

pub(super) fn delete_topics(
    context: &ConnectionContext<'_>,
    request: DeleteTopicsRequest,
    _v: i16,
) -> DeleteTopicsResponse {
    context.shared.with_state(|s, _| {
        let mut response = DeleteTopicsResponse::default();
        // Names alone up to v5; from v6 on, names or ids in another field.
        let by_name = request.topic_names.into_iter().map(|n| (Some(n), Default::default()));
        let by_either = request.topics.into_iter().map(|t| (t.name, t.topic_id));
        for (name, id) in by_name.chain(by_either) {
            let (outcome, name) = match name {
                Some(name) => (s.delete_topic(&name), Some(name)),
                None => match s.topic_by_id(id.as_u128()).map(str::to_owned) {
                    None => (Err(ResponseError::UnknownTopicId), None),
                    Some(found) => (s.delete_topic(&found), Some(to_str_bytes(&found).into())),
                },
            };
            let result = DeletableTopicResult::default()
                .with_name(name)
                .with_topic_id(id)
                .with_error_code(error_code_of(&outcome));
            response.responses.push(result);
        }
        response
    })
}

fn missing_topic(name: &str) -> ResponseError {
    if legal_topic_name(name) { ResponseError::UnknownTopicOrPartition } else { ResponseError::InvalidTopicException }
}

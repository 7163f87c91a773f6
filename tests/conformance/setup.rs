//! Settings of topics, partitions that are added, quotas, users.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, CreatePartitionsRequest, DescribeClientQuotasRequest, DescribeConfigsRequest,
    DescribeUserScramCredentialsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};

use super::{Case, text, until, word};

const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;

impl Case {
    /// IncrementalAlterConfigs v1 of one topic.
    fn alter(&mut self, topic: &str, configs: &[(&str, i8, Option<&str>)], validate_only: bool) -> String {
        let config = |(name, operation, value): &(&str, i8, Option<&str>)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(*operation)
                .with_value(value.map(text))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&self.name(topic)))
            .with_configs(configs.iter().map(config).collect());
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
        word(self.wire.call(1, &request).responses[0].error_code)
    }

    /// DescribeConfigs v4 of one entry: value and source.
    fn setting(&mut self, topic: &str, name: &str) -> String {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&self.name(topic)))
            .with_configuration_keys(Some(vec![text(name)]));
        let answer = self.wire.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
        let entry = &answer.results[0].configs[0];
        format!("{} source {}", entry.value.as_ref().map_or("null", |v| v.as_str()), entry.config_source)
    }

    /// CreatePartitions v3 of one topic.
    fn grow(&mut self, topic: &str, total: i32, validate_only: bool) -> String {
        let topic =
            CreatePartitionsTopic::default().with_name(self.topic_name(topic)).with_count(total).with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000)
            .with_validate_only(validate_only);
        word(self.wire.call(3, &request).results[0].error_code)
    }

    fn partitions(&mut self, topic: &str) -> usize {
        let topic = MetadataRequestTopic::default().with_name(Some(self.topic_name(topic)));
        let answer = self.wire.call(12, &MetadataRequest::default().with_topics(Some(vec![topic])));
        answer.topics[0].partitions.len()
    }

    /// AlterClientQuotas v1 of one entity.
    fn limit(&mut self, entity: &[(&str, Option<&str>)], ops: &[(&str, f64, bool)], validate_only: bool) -> String {
        let part = |(kind, name): &(&str, Option<&str>)| {
            EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
        };
        let op = |(key, value, remove): &(&str, f64, bool)| {
            OpData::default().with_key(text(key)).with_value(*value).with_remove(*remove)
        };
        let entry =
            EntryData::default().with_entity(entity.iter().map(part).collect()).with_ops(ops.iter().map(op).collect());
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]).with_validate_only(validate_only);
        word(self.wire.call(1, &request).entries[0].error_code)
    }

    /// DescribeClientQuotas v1 of one client id.
    fn limits(&mut self, client: &str) -> String {
        let component = ComponentData::default()
            .with_entity_type(text("client-id"))
            .with_match_type(0)
            .with_match(Some(text(client)));
        let request = DescribeClientQuotasRequest::default().with_components(vec![component]).with_strict(true);
        let answer = self.wire.call(1, &request);
        let entries = answer.entries.unwrap_or_default();
        let mut all: Vec<String> =
            entries.iter().flat_map(|e| e.values.iter().map(|v| format!("{}={}", v.key.as_str(), v.value))).collect();
        all.sort();
        format!("{} {all:?}", word(answer.error_code))
    }
}

/// A topic, what is changed of it (name, operation, value), and whether it is only tried.
type Alteration<'a> = (&'a str, &'a [(&'a str, i8, Option<&'a str>)], bool);

pub fn settings(case: &mut Case) {
    case.topic("t", 1, &[("segment.ms", "7000")]);
    let alterations: [Alteration<'_>; 8] = [
        ("t", &[("retention.ms", SET, Some("5000"))], true),
        ("t", &[("retention.ms", SET, Some("soon"))], false),
        ("t", &[("no.such.setting", SET, Some("1"))], false),
        ("t", &[("max.message.bytes", SET, Some("9")), ("no.such.setting", SET, Some("1"))], false),
        ("t", &[("retention.ms", SET, None)], false),
        ("u", &[("retention.ms", SET, Some("5000"))], false),
        ("t", &[("retention.ms", SET, Some("6000")), ("segment.ms", DELETE, None)], false),
        ("t", &[], false),
    ];
    for (topic, configs, validate_only) in alterations {
        let names: Vec<String> = configs.iter().map(|(name, op, value)| format!("{name} {op} {value:?}")).collect();
        let answer = case.alter(topic, configs, validate_only);
        case.say(format!("alter {topic} {names:?} check={validate_only}: {answer}"));
    }
    until("the change shows", || case.setting("t", "retention.ms").starts_with("6000"));
    for name in ["retention.ms", "segment.ms", "max.message.bytes"] {
        let found = case.setting("t", name);
        case.say(format!("{name}: {found}"));
    }
}

pub fn partitions(case: &mut Case) {
    case.topic("t", 2, &[]);
    for (topic, total, validate_only) in [
        ("t", 1, false),
        ("t", 2, false),
        ("t", -1, false),
        ("t", 0, false),
        ("t", 3, true),
        ("u", 3, false),
        ("t", 3, false),
    ] {
        let answer = case.grow(topic, total, validate_only);
        case.say(format!("{topic} to {total} check={validate_only}: {answer}"));
    }
    until("the new partition shows", || case.partitions("t") == 3);
    until("it has a leader", || case.list("t", 2, -1, 0).0 == "ok");
}

pub fn quotas(case: &mut Case) {
    let client = case.name("client");
    let user = case.name("user");
    let client_id = ("client-id", Some(client.as_str()));
    let rate = ("producer_byte_rate", 1e9, false);
    type Limits<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)], &'a [(&'a str, f64, bool)], bool);
    let steps: [Limits<'_>; 14] = [
        ("checked", &[client_id], &[("producer_byte_rate", 5.0, false)], true),
        ("default, checked", &[("client-id", None)], &[rate], true),
        ("unknown key", &[client_id], &[("nonsense", 1.0, false)], false),
        ("zero", &[client_id], &[("producer_byte_rate", 0.0, false)], false),
        ("one of two", &[client_id], &[("consumer_byte_rate", 1e9, false), ("nonsense", 1.0, false)], false),
        ("no name", &[("client-id", Some(""))], &[rate], false),
        ("no such kind", &[("planet", Some("mars"))], &[rate], false),
        ("nobody", &[], &[rate], false),
        ("an address", &[("ip", Some("10.9.8.7"))], &[("connection_creation_rate", 9.0, false)], true),
        ("an address's bytes", &[("ip", Some("10.9.8.7"))], &[rate], false),
        ("an address and a user", &[("ip", None), ("user", None)], &[("connection_creation_rate", 9.0, false)], false),
        ("both", &[client_id, ("user", Some(user.as_str()))], &[rate], true),
        ("set", &[client_id], &[rate, ("request_percentage", 500.0, false)], false),
        ("taken away", &[client_id], &[("request_percentage", 0.0, true)], false),
    ];
    for (what, entity, ops, validate_only) in steps {
        let answer = case.limit(entity, ops, validate_only);
        case.say(format!("{what}: {answer}"));
    }
    until("the change shows", || case.limits(&client) == "ok [\"producer_byte_rate=1000000000\"]");
    let answer = case.limit(&[client_id], &[("producer_byte_rate", 0.0, true)], false);
    case.say(format!("the last one: {answer}"));
    until("nothing is left", || case.limits(&client) == "ok []");
}

pub fn scram_users(case: &mut Case) {
    let users = Some(vec![UserName::default().with_name(text(&case.name("nobody")))]);
    let answer = case.wire.call(0, &DescribeUserScramCredentialsRequest::default().with_users(users));
    let of_user: Vec<String> = answer.results.iter().map(|r| word(r.error_code)).collect();
    case.say(format!("a user that is none: {} {of_user:?}", word(answer.error_code)));
}

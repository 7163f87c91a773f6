//! Settings of topics and of brokers: DescribeConfigs (KIP-226), and IncrementalAlterConfigs (KIP-339, Kafka 2.3).

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::ChangeOutcome;
use super::connection::Connection;
use super::entries::{Entries, EntryChange};
use super::failure::{Failure, check_message};
use super::router::{Cluster, Router};
use super::scatter::{Anywhere, BrokerQuestion, Replies};
use super::transactions::offered_version;
use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::estate::inventory::{Setting, SettingSource};

/// The protocol's number for the settings of a topic.
const TOPIC: i8 = 2;
/// The same of a broker.
const BROKER: i8 = 4;
/// IncrementalAlterConfigs' number for giving an entry a value. Others take values away, which is never done here.
const SET: i8 = 0;
/// Topics in one DescribeConfigs request: about 40 entries come back for each.
const TOPICS_PER_REQUEST: usize = 200;
/// Topics in one IncrementalAlterConfigs request: KRaft takes at most 10,000 entries in one.
const TOPICS_PER_CHANGE: usize = 100;

/// Settings in effect by name.
pub(super) type Settings = BTreeMap<String, Setting>;

/// A topic's configuration entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConfigValue {
    /// The value in effect; `None` when the broker hides it (a secret).
    pub value: Option<String>,
    /// Set on the topic itself, not inherited from the broker.
    pub overridden: bool,
}

impl Cluster {
    /// Configuration of topics: every entry in effect, by topic and name.
    pub async fn describe_configs(
        &self,
        topics: &[String],
    ) -> BTreeMap<String, Result<BTreeMap<String, ConfigValue>, Trouble>> {
        let found = self.inner.fetch_configs(topics).await;
        found.into_iter().map(|(name, r)| (name, r.map_err(Trouble::from))).collect()
    }

    /// Gives settings of topics a value, by topic and name; no other setting is touched, and none is taken back. What came
    /// of each is said: where a broker refuses those of a topic as a whole, they are sent one by one. `validate_only`
    /// changes nothing. `Done` is the controller's word: brokers show it a moment later. Needs ALTER_CONFIGS on the topic.
    pub async fn alter_topic_settings(
        &self,
        changes: &BTreeMap<String, BTreeMap<String, String>>,
        validate_only: bool,
    ) -> BTreeMap<String, BTreeMap<String, ChangeOutcome>> {
        self.inner.change_entries(changes, validate_only).await
    }
}

impl Router {
    /// Configuration of topics, asked once: who needs it for a picture asks again with the next one.
    pub(crate) async fn fetch_configs(
        &self,
        topics: &[String],
    ) -> HashMap<String, Result<BTreeMap<String, ConfigValue>, Failure>> {
        if topics.is_empty() {
            return HashMap::new();
        }
        // Any broker knows the settings of topics; only its own settings a broker alone can tell.
        let connection = match self.connect_any().await {
            Ok(connection) => connection,
            Err(f) => return topics.iter().map(|t| (t.clone(), Err(f.clone()))).collect(),
        };
        let asked = topics.chunks(TOPICS_PER_REQUEST).map(|some| describe_settings(&connection, TOPIC, some));
        let mut out = HashMap::with_capacity(topics.len());
        for (some, answer) in topics.chunks(TOPICS_PER_REQUEST).zip(join_all(asked).await) {
            match answer {
                Ok(found) => {
                    let each = found.into_iter().map(|(name, told)| (name, told.map(to_config_values)));
                    out.extend(each);
                }
                Err(f) => out.extend(some.iter().map(|t| (t.clone(), Err(f.clone())))),
            }
        }
        out
    }
}

fn to_config_values(settings: Settings) -> BTreeMap<String, ConfigValue> {
    let value = |s: Setting| ConfigValue { overridden: s.source.is_explicit(), value: s.value };
    settings.into_iter().map(|(name, setting)| (name, value(setting))).collect()
}

/// Which settings are in effect: of topics, which any broker tells, or of the broker itself.
pub(super) struct SettingsQuestion;

impl BrokerQuestion<Anywhere<String>> for SettingsQuestion {
    type Told = Settings;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeConfigs";
    const MOST: usize = TOPICS_PER_REQUEST;

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[Anywhere<String>],
    ) -> Replies<Anywhere<String>, Settings> {
        let names: Vec<String> = keys.iter().map(|topic| topic.0.clone()).collect();
        let found = describe_settings(connection, TOPIC, &names).await?;
        Ok(found.into_iter().map(|(name, told)| (Anywhere(name), told)).collect())
    }
}

impl BrokerQuestion<i32> for SettingsQuestion {
    type Told = Settings;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeConfigs";

    async fn send(&self, connection: &Connection, node: i32, _: &[i32]) -> Replies<i32, Settings> {
        let found = describe_settings(connection, BROKER, &[node.to_string()]).await?;
        Ok(found.into_iter().map(|(_, told)| (node, told)).collect())
    }
}

/// Asks one broker for the settings of these, by name.
async fn describe_settings(
    connection: &Connection,
    kind: i8,
    names: &[String],
) -> Result<Vec<(String, Result<Settings, Failure>)>, Failure> {
    // v0 says of a value only whether it is the default.
    let version = offered_version::<DescribeConfigsRequest>(connection, 1)?;
    let resource = |name: &String| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name.clone()))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default().with_resources(names.iter().map(resource).collect());
    let answer = connection.call(version, &request).await?;
    let (of, right) = match kind {
        TOPIC => ("configuration of topic", "DESCRIBE_CONFIGS on the topic"),
        _ => ("configuration of broker", "DESCRIBE_CONFIGS on the cluster"),
    };
    let result = |r: DescribeConfigsResult| {
        let subject = format!("{of} {}", visible_name(&r.resource_name));
        let checked = check_message(r.error_code, r.error_message.as_deref(), subject, connection.label())
            .map_err(|failure| failure.naming_right(right));
        let settings = checked.map(|()| r.configs.into_iter().map(setting_of).collect());
        (r.resource_name.to_string(), settings)
    };
    Ok(answer.results.into_iter().map(result).collect())
}

/// Which authorizer one broker has; empty: none.
pub(super) async fn describe_authorizer(connection: &Connection, node: i32) -> Result<String, Failure> {
    const CLASS: &str = "authorizer.class.name";
    let version = offered_version::<DescribeConfigsRequest>(connection, 1)?;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(BROKER)
        .with_resource_name(StrBytes::from_string(node.to_string()))
        .with_configuration_keys(Some(vec![StrBytes::from_static_str(CLASS)]));
    let answer = connection.call(version, &DescribeConfigsRequest::default().with_resources(vec![resource])).await?;
    let mut class = String::new();
    for result in answer.results {
        check_message(
            result.error_code,
            result.error_message.as_deref(),
            "configuration of the broker",
            connection.label(),
        )
        .map_err(|failure| failure.naming_right("DESCRIBE_CONFIGS on the cluster"))?;
        let entry = result.configs.into_iter().map(setting_of).find(|(name, _)| name == CLASS);
        class = entry.and_then(|(_, setting)| setting.value).unwrap_or(class);
    }
    Ok(class)
}

fn setting_of(entry: DescribeConfigsResourceResult) -> (String, Setting) {
    let setting = Setting {
        value: entry.value.filter(|_| !entry.is_sensitive).map(|v| v.to_string()),
        source: SettingSource::from_repr(entry.config_source).unwrap_or(SettingSource::Unknown),
        read_only: entry.read_only,
    };
    (entry.name.to_string(), setting)
}

impl BrokerQuestion<Anywhere<String>> for EntryChange<String, String> {
    type Told = ();
    const REPEATABLE: bool = false;
    const API: &'static str = "IncrementalAlterConfigs";
    const MOST: usize = TOPICS_PER_CHANGE;

    async fn send(&self, connection: &Connection, _: i32, keys: &[Anywhere<String>]) -> Replies<Anywhere<String>, ()> {
        let version = connection.need_version::<IncrementalAlterConfigsRequest>("2.3 or later")?;
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(keys.iter().map(|topic| resource_of(&topic.0, &self.entries)).collect())
            .with_validate_only(self.validate_only);
        let answer = connection.call(version, &request).await?;
        let results = answer.responses.into_iter().map(|r| {
            let subject = format!("configuration of topic {}", visible_name(&r.resource_name));
            let checked = check_message(r.error_code, r.error_message.as_deref(), subject, connection.label());
            let checked = checked.map_err(|failure| failure.naming_right("ALTER_CONFIGS on the topic"));
            (Anywhere(r.resource_name.to_string()), self.judge_answer(checked))
        });
        Ok(results.collect())
    }
}

fn resource_of(topic: &str, entries: &Entries<String, String>) -> AlterConfigsResource {
    let entry = |(name, value): (&String, &String)| {
        AlterableConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_config_operation(SET)
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configs(entries.get(topic).into_iter().flatten().map(entry).collect())
}

//! How a cluster is set up: topics with their settings, who may do what, users, quotas. What phase 1 of a migration
//! compares and provisions; records, offsets and members are no part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::acl::Acl;
use super::release::KafkaRelease;
use super::transactions::Answer;
use crate::base::Trouble;
use crate::base::sanitise::visible_name;

/// One whole look at how a cluster is set up. Each part that could not be read says so in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The cluster's own id (Metadata).
    pub cluster_id: Option<String>,
    /// What its brokers run, the oldest of them; `None` where one does not say (ZooKeeper's, other products).
    #[serde(default)]
    pub release: Option<KafkaRelease>,
    /// Topics by name, internal ones too.
    pub topics: BTreeMap<String, TopicDefinition>,
    /// Why more topics may exist than are listed; `None`: these are all.
    pub topics_hidden: Option<Trouble>,
    /// Each broker's settings in effect, by node id: brokers may differ.
    pub brokers: BTreeMap<i32, Answer<BTreeMap<String, Setting>>>,
    /// Every ACL, as all brokers enforce it.
    pub acls: Answer<BTreeSet<Acl>>,
    /// SCRAM users by name, with the mechanisms that a password is stored for (DescribeUserScramCredentials, Kafka 2.7).
    pub scram_users: Answer<BTreeMap<String, BTreeSet<ScramCredential>>>,
    /// Client quotas (DescribeClientQuotas, Kafka 2.6).
    pub quotas: Answer<BTreeMap<QuotaEntity, BTreeMap<String, f64>>>,
}

/// A topic as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDefinition {
    /// Whether Kafka says that it is internal (`__consumer_offsets`).
    pub internal: bool,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each partition; the least and the most are the same but for a reassignment under way.
    pub replicas: (i16, i16),
    /// Settings in effect by name.
    pub settings: Answer<BTreeMap<String, Setting>>,
}

/// One configuration entry in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The value; `None` where the broker hides it (a secret).
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: SettingSource,
    /// Whether the broker refuses to change it.
    pub read_only: bool,
}

/// Where a configuration entry's value comes from. Numbers are those of Kafka's protocol (KIP-226).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::FromRepr,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SettingSource {
    /// One that this build does not know.
    Unknown = 0,
    /// Set on the topic itself.
    Topic = 1,
    /// Set on this broker while it runs.
    DynamicBroker = 2,
    /// Set for all brokers while they run.
    DynamicDefault = 3,
    /// From `server.properties`.
    StaticBroker = 4,
    /// Kafka's own default.
    Default = 5,
}

impl SettingSource {
    /// Whether somebody chose the value for this topic itself.
    #[must_use]
    pub fn is_explicit(self) -> bool {
        self == SettingSource::Topic
    }
}

/// A password that a cluster holds for a user: no cluster tells the password, or what is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScramCredential {
    /// For which mechanism.
    pub mechanism: ScramMechanism,
    /// Rounds of hashing.
    pub iterations: i32,
}

/// Which SCRAM a credential is for. Numbers are those of Kafka's protocol (KIP-554).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::FromRepr,
)]
#[repr(i8)]
pub enum ScramMechanism {
    /// One that this build does not know.
    #[strum(serialize = "an unknown mechanism")]
    Unknown = 0,
    /// SCRAM-SHA-256.
    #[strum(serialize = "SCRAM-SHA-256")]
    Sha256 = 1,
    /// SCRAM-SHA-512.
    #[strum(serialize = "SCRAM-SHA-512")]
    Sha512 = 2,
}

/// Whom a quota is for: one or two of `user`, `client-id`, `ip`, each with a name, or `None` for the default of all who
/// have none of their own (KIP-546). Written as text that holds the map as JSON: it is the key of a map, and JSON has no
/// keys but texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct QuotaEntity(pub BTreeMap<String, Option<String>>);

impl QuotaEntity {
    /// The kinds of part that Kafka knows, in the order in which people say them.
    pub const KINDS: [&str; 3] = ["user", "client-id", "ip"];

    /// Who is meant: each kind with its name, or with `None` for the default.
    #[must_use]
    pub fn named(parts: &[(&str, Option<&str>)]) -> QuotaEntity {
        QuotaEntity(parts.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect())
    }
}

impl fmt::Display for QuotaEntity {
    /// `user app, default client-id`: a name can't be taken for the default, whatever it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = self.0.keys().map(String::as_str).filter(|kind| !Self::KINDS.contains(kind));
        let known = Self::KINDS.into_iter().filter(|kind| self.0.contains_key(*kind));
        for (i, kind) in known.chain(other).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            match self.0.get(kind).and_then(Option::as_deref) {
                Some(name) => write!(f, "{separator}{} {}", visible_name(kind), visible_name(name))?,
                None => write!(f, "{separator}default {}", visible_name(kind))?,
            }
        }
        Ok(())
    }
}

impl From<QuotaEntity> for String {
    fn from(entity: QuotaEntity) -> String {
        // A map of texts always has a JSON form.
        serde_json::to_string(&entity.0).unwrap_or_default()
    }
}

impl TryFrom<String> for QuotaEntity {
    type Error = serde_json::Error;

    fn try_from(text: String) -> Result<QuotaEntity, serde_json::Error> {
        serde_json::from_str(&text).map(QuotaEntity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_can_be_written_down_and_read_again() {
        let entity = QuotaEntity::named(&[("user", Some("a\"b")), ("client-id", None)]);
        let credential = ScramCredential { mechanism: ScramMechanism::Sha512, iterations: 4096 };
        let look = Inventory {
            cluster_id: Some("c".to_owned()),
            release: Some(KafkaRelease::new(3, 9)),
            topics: BTreeMap::new(),
            topics_hidden: Some(Trouble::new("some may be hidden", "")),
            brokers: BTreeMap::from([(1, Answer::Hidden(Trouble::new("not allowed", "")))]),
            acls: Answer::Told(BTreeSet::new()),
            scram_users: Answer::Told([("alice".to_owned(), [credential].into())].into()),
            quotas: Answer::Told([(entity.clone(), [("producer_byte_rate".to_owned(), 1.5)].into())].into()),
        };
        let written = serde_json::to_string(&look).unwrap();
        assert_eq!(serde_json::from_str::<Inventory>(&written).unwrap(), look);
        assert_eq!(entity.to_string(), "user a\"b, default client-id");
    }
}

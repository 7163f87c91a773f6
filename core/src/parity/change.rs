//! What could be done to green so that it is set up as blue is. Nothing here takes anything away: there is no change that
//! deletes, lowers a number of partitions or resets a setting.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Parity;
use super::rows::Mend;
use crate::base::sanitise::visible_name;
use crate::estate::acl::{Acl, Permission};
use crate::estate::inventory::QuotaEntity;

/// One thing to do to green, with green's names. Each says what is to be, and not by how much: done twice it is done once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Makes a topic that is not there.
    CreateTopic {
        /// Its name.
        topic: String,
        /// How many partitions.
        partitions: i32,
        /// How many replicas each has.
        replication_factor: i16,
        /// What is set on the topic itself.
        settings: BTreeMap<String, String>,
    },
    /// Gives a topic more partitions.
    AddPartitions {
        /// Its name.
        topic: String,
        /// How many it had when this was planned.
        from: i32,
        /// How many it has then.
        to: i32,
    },
    /// Sets settings on a topic, all at once (IncrementalAlterConfigs, SET): brokers check them together, and some are only
    /// right together (`min.compaction.lag.ms` and `max.compaction.lag.ms`).
    SetTopicSettings {
        /// Its name.
        topic: String,
        /// Values by name.
        settings: BTreeMap<String, String>,
    },
    /// Adds an ACL.
    CreateAcl {
        /// Which.
        acl: Acl,
    },
    /// Sets quotas of one entity, all at once (a request that names an entity twice is refused).
    SetQuotas {
        /// Whose.
        entity: QuotaEntity,
        /// Limits by name.
        quotas: BTreeMap<String, f64>,
    },
}

impl Change {
    /// What a person has to agree to before it is done, besides the change itself; `None`: nothing.
    #[must_use]
    pub fn needs_consent(&self) -> Option<&'static str> {
        matches!(self, Change::AddPartitions { .. }).then_some(KEY_ORDER)
    }

    /// Where it stands among all: what a later one rests on comes first, and a denial before what it limits.
    fn order_rank(&self) -> u8 {
        match self {
            Change::CreateTopic { .. } => 0,
            Change::AddPartitions { .. } => 1,
            Change::SetTopicSettings { .. } => 2,
            Change::CreateAcl { acl } if acl.permission == Permission::Deny => 3,
            Change::CreateAcl { .. } => 4,
            Change::SetQuotas { .. } => 5,
        }
    }
}

/// What more partitions do to a topic that holds records.
pub(super) const KEY_ORDER: &str = "most keys go to another partition from then on: their later records may be read before \
                                    their earlier ones, and compaction keeps both; add them before producers write to green";

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateTopic { topic, partitions, replication_factor, settings } => {
                let topic = visible_name(topic);
                let replicas = count_things(i32::from(*replication_factor), "replica");
                write!(f, "create topic {topic} with {} of {replicas}", count_things(*partitions, "partition"))?;
                let separator = if settings.is_empty() { "" } else { ": " };
                write!(f, "{separator}{}", join_settings(settings))
            }
            Change::AddPartitions { topic, from, to } => {
                let more = count_things(to - from, "partition");
                write!(f, "add {more} to topic {}: {from} to {to}", visible_name(topic))
            }
            Change::SetTopicSettings { topic, settings } => {
                write!(f, "set on topic {}: {}", visible_name(topic), join_settings(settings))
            }
            Change::CreateAcl { acl } => write!(f, "add ACL: {acl}"),
            Change::SetQuotas { entity, quotas } => {
                let quotas: Vec<_> =
                    quotas.iter().map(|(key, value)| format!("{}={value}", visible_name(key))).collect();
                write!(f, "set quota of {entity}: {}", quotas.join(", "))
            }
        }
    }
}

/// `1 partition`, `12 partitions`.
pub(super) fn count_things(count: i32, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn join_settings(settings: &BTreeMap<String, String>) -> String {
    let pairs = settings.iter().map(|(name, value)| format!("{}={}", visible_name(name), visible_name(value)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// All that could be done by itself, in an order in which each may be done: topics, their partitions, their settings, denials,
/// grants, quotas. What concerns one topic or one quota entity is one change. Ending anywhere between two is safe:
/// what is left is planned again.
#[must_use]
pub fn plan_changes(parity: &Parity) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut settings_of: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut quotas_of: BTreeMap<&QuotaEntity, BTreeMap<String, f64>> = BTreeMap::new();
    for row in &parity.rows {
        match &row.mend {
            Some(Mend::Change(Change::SetTopicSettings { topic, settings })) => {
                settings_of.entry(topic).or_default().extend(settings.clone());
            }
            Some(Mend::Change(Change::SetQuotas { entity, quotas })) => {
                quotas_of.entry(entity).or_default().extend(quotas.clone());
            }
            Some(Mend::Change(change)) => changes.push(change.clone()),
            Some(Mend::Import | Mend::ByHand(_)) | None => {}
        }
    }
    let settings = settings_of.into_iter();
    changes.extend(settings.map(|(topic, settings)| Change::SetTopicSettings { topic: topic.to_owned(), settings }));
    let quotas = quotas_of.into_iter();
    changes.extend(quotas.map(|(entity, quotas)| Change::SetQuotas { entity: entity.clone(), quotas }));
    // Rows come gravest first, a plan in the order of work; within a rank the words are as good an order as any, and stable.
    changes.sort_by_cached_key(|change| (change.order_rank(), change.to_string()));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::acl::Resource;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_says_what_it_does() {
        let entity = QuotaEntity([("user".to_owned(), Some("a".to_owned())), ("client-id".to_owned(), None)].into());
        for (change, said) in [
            (
                Change::CreateTopic {
                    topic: "orders".to_owned(),
                    partitions: 12,
                    replication_factor: 1,
                    settings: pairs(&[("retention.ms", "-1"), ("cleanup.policy", "compact")]),
                },
                "create topic orders with 12 partitions of 1 replica: cleanup.policy=compact, retention.ms=-1",
            ),
            (
                Change::CreateTopic {
                    topic: "a".to_owned(),
                    partitions: 1,
                    replication_factor: 3,
                    settings: BTreeMap::new(),
                },
                "create topic a with 1 partition of 3 replicas",
            ),
            (Change::AddPartitions { topic: "a".to_owned(), from: 3, to: 4 }, "add 1 partition to topic a: 3 to 4"),
            (
                Change::SetTopicSettings { topic: "a".to_owned(), settings: pairs(&[("x", "\u{1b}[2J")]) },
                "set on topic a: x=\\u{1b}[2J",
            ),
            (
                Change::CreateAcl { acl: Acl::deny_write(Resource::Topic, "t", "User:a") },
                "add ACL: deny write on topic t (literal) to User:a from *",
            ),
            (
                Change::SetQuotas { entity, quotas: [("producer_byte_rate".to_owned(), 1_048_576.0)].into() },
                "set quota of user a, default client-id: producer_byte_rate=1048576",
            ),
        ] {
            assert_eq!(change.to_string(), said);
            let written = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&written).unwrap(), change, "{written}");
        }
    }

    #[test]
    fn only_more_partitions_want_a_word() {
        let add = Change::AddPartitions { topic: "a".to_owned(), from: 1, to: 2 };
        assert!(add.needs_consent().unwrap().contains("keys go to another partition"));
        let set = Change::SetTopicSettings { topic: "a".to_owned(), settings: BTreeMap::new() };
        assert_eq!(set.needs_consent(), None);
    }
}

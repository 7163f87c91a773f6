//! Two clusters that are set up the same, for tests to let one of them drift; and what brokers make of a change.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, ParityScope, PrincipalMap, TopicScope};
use crate::base::{Side, Trouble};
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::estate::inventory::{
    Inventory, QuotaEntity, ScramCredential, ScramMechanism, Setting, SettingSource, TopicDefinition,
};
use crate::estate::transactions::Answer;

/// A topic's setting, its value, and the brokers' settings that it falls back to.
pub(super) type DefaultSetting = (&'static str, &'static str, &'static [(&'static str, Option<&'static str>)]);

/// What a topic of Kafka 3.9 has when nothing is set on it, and what its brokers say of the same: written down by hand from
/// the manual, so that the comparison's own table is held to it.
pub(super) const DEFAULTS: &[DefaultSetting] = &[
    ("cleanup.policy", "delete", &[("log.cleanup.policy", Some("delete"))]),
    ("compression.gzip.level", "-1", &[("compression.gzip.level", Some("-1"))]),
    ("compression.lz4.level", "9", &[("compression.lz4.level", Some("9"))]),
    ("compression.type", "producer", &[("compression.type", Some("producer"))]),
    ("compression.zstd.level", "3", &[("compression.zstd.level", Some("3"))]),
    ("delete.retention.ms", "86400000", &[("log.cleaner.delete.retention.ms", Some("86400000"))]),
    ("file.delete.delay.ms", "60000", &[("log.segment.delete.delay.ms", Some("60000"))]),
    ("flush.messages", "9223372036854775807", &[("log.flush.interval.messages", Some("9223372036854775807"))]),
    (
        "flush.ms",
        "9223372036854775807",
        &[("log.flush.interval.ms", None), ("log.flush.scheduler.interval.ms", Some("9223372036854775807"))],
    ),
    ("follower.replication.throttled.replicas", "", &[]),
    ("index.interval.bytes", "4096", &[("log.index.interval.bytes", Some("4096"))]),
    ("leader.replication.throttled.replicas", "", &[]),
    ("local.retention.bytes", "-2", &[("log.local.retention.bytes", Some("-2"))]),
    ("local.retention.ms", "-2", &[("log.local.retention.ms", Some("-2"))]),
    (
        "max.compaction.lag.ms",
        "9223372036854775807",
        &[("log.cleaner.max.compaction.lag.ms", Some("9223372036854775807"))],
    ),
    ("max.message.bytes", "1048588", &[("message.max.bytes", Some("1048588"))]),
    ("message.downconversion.enable", "true", &[("log.message.downconversion.enable", Some("true"))]),
    ("message.format.version", "3.0-IV1", &[("log.message.format.version", Some("3.0-IV1"))]),
    (
        "message.timestamp.after.max.ms",
        "9223372036854775807",
        &[("log.message.timestamp.after.max.ms", Some("9223372036854775807"))],
    ),
    (
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        &[("log.message.timestamp.before.max.ms", Some("9223372036854775807"))],
    ),
    (
        "message.timestamp.difference.max.ms",
        "9223372036854775807",
        &[("log.message.timestamp.difference.max.ms", Some("9223372036854775807"))],
    ),
    ("message.timestamp.type", "CreateTime", &[("log.message.timestamp.type", Some("CreateTime"))]),
    ("min.cleanable.dirty.ratio", "0.5", &[("log.cleaner.min.cleanable.ratio", Some("0.5"))]),
    ("min.compaction.lag.ms", "0", &[("log.cleaner.min.compaction.lag.ms", Some("0"))]),
    ("min.insync.replicas", "1", &[("min.insync.replicas", Some("1"))]),
    ("preallocate", "false", &[("log.preallocate", Some("false"))]),
    ("remote.log.copy.disable", "false", &[]),
    ("remote.log.delete.on.disable", "false", &[]),
    ("remote.storage.enable", "false", &[]),
    ("retention.bytes", "-1", &[("log.retention.bytes", Some("-1"))]),
    (
        "retention.ms",
        "604800000",
        &[("log.retention.ms", None), ("log.retention.minutes", None), ("log.retention.hours", Some("168"))],
    ),
    ("segment.bytes", "1073741824", &[("log.segment.bytes", Some("1073741824"))]),
    ("segment.index.bytes", "10485760", &[("log.index.size.max.bytes", Some("10485760"))]),
    ("segment.jitter.ms", "0", &[("log.roll.jitter.ms", None), ("log.roll.jitter.hours", Some("0"))]),
    ("segment.ms", "604800000", &[("log.roll.ms", None), ("log.roll.hours", Some("168"))]),
    ("unclean.leader.election.enable", "false", &[("unclean.leader.election.enable", Some("false"))]),
];

/// Other settings of brokers that matter.
const BROKER_DEFAULTS: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("default.replication.factor", "3"),
    ("group.max.session.timeout.ms", "1800000"),
    ("group.max.size", "2147483647"),
    ("group.min.session.timeout.ms", "6000"),
    ("num.partitions", "1"),
    ("offset.metadata.max.bytes", "4096"),
    ("offsets.retention.minutes", "10080"),
    ("offsets.topic.replication.factor", "3"),
    ("remote.log.storage.system.enable", "false"),
    ("transaction.max.timeout.ms", "900000"),
    ("transaction.state.log.min.isr", "2"),
    ("transaction.state.log.replication.factor", "3"),
];

pub(super) fn setting(value: &str, source: SettingSource) -> Setting {
    Setting { value: Some(value.to_owned()), source, read_only: false }
}

/// What a broker says of its settings.
pub(super) fn broker() -> BTreeMap<String, Setting> {
    let topic = DEFAULTS.iter().flat_map(|(_, _, brokers)| brokers.iter().copied());
    let other = BROKER_DEFAULTS.iter().map(|(name, value)| (*name, Some(*value)));
    let each = topic.chain(other).map(|(name, value)| {
        let value = value.map(str::to_owned);
        (name.to_owned(), Setting { value, source: SettingSource::Default, read_only: false })
    });
    each.collect()
}

/// A topic with `explicit` set on it, and defaults as above.
pub(super) fn topic(partitions: i32, replicas: i16, explicit: &[(&str, &str)]) -> TopicDefinition {
    let defaults = DEFAULTS.iter().map(|(name, value, _)| (*name, setting(value, SettingSource::Default)));
    let explicit = explicit.iter().map(|(name, value)| (*name, setting(value, SettingSource::Topic)));
    let settings = defaults.chain(explicit).map(|(name, setting)| (name.to_owned(), setting)).collect();
    TopicDefinition { internal: false, partitions, replicas: (replicas, replicas), settings: Answer::Told(settings) }
}

/// Allows an operation on a topic.
pub(super) fn allow(name: &str, principal: &str, operation: Operation) -> Acl {
    Acl { permission: Permission::Allow, operation, ..Acl::deny_write(Resource::Topic, name, principal) }
}

pub(super) fn user_quota(user: Option<&str>) -> QuotaEntity {
    QuotaEntity([("user".to_owned(), user.map(str::to_owned))].into())
}

pub(super) fn credential(mechanism: ScramMechanism, iterations: i32) -> ScramCredential {
    ScramCredential { mechanism, iterations }
}

/// A cluster of three brokers with a bit of everything.
pub(super) fn cluster(side: Side) -> Inventory {
    let internal = TopicDefinition { internal: true, ..topic(50, 3, &[("cleanup.policy", "compact")]) };
    let topics = [
        ("audit", topic(1, 3, &[("cleanup.policy", "compact"), ("min.insync.replicas", "2")])),
        ("orders", topic(6, 3, &[("retention.ms", "259200000"), ("min.insync.replicas", "2")])),
        ("payments", topic(12, 3, &[])),
        ("__consumer_offsets", internal.clone()),
        ("app-store-changelog", topic(6, 3, &[("cleanup.policy", "compact")])),
    ];
    let acls = [
        allow("orders", "User:app", Operation::Write),
        allow("orders", "User:app", Operation::Describe),
        Acl { pattern: AclPattern::Prefixed, ..allow("pay", "User:payer", Operation::All) },
        Acl { resource: Resource::Group, ..allow("ledger", "User:app", Operation::Read) },
        Acl { resource: Resource::TransactionalId, ..allow("tx-1", "User:payer", Operation::Write) },
        Acl { resource: Resource::Cluster, ..allow("kafka-cluster", "User:app", Operation::IdempotentWrite) },
        Acl::deny_write(Resource::Topic, "audit", "User:guest"),
    ];
    let both = [credential(ScramMechanism::Sha256, 4096), credential(ScramMechanism::Sha512, 8192)];
    let client = QuotaEntity([("client-id".to_owned(), Some("batch".to_owned()))].into());
    let limits = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Inventory {
        release: None,
        cluster_id: Some(side.name().to_owned()),
        topics: topics.into_iter().map(|(name, topic)| (name.to_owned(), topic)).collect(),
        topics_hidden: None,
        brokers: (1..=3).map(|id| (id, Answer::Told(broker()))).collect(),
        acls: Answer::Told(acls.into()),
        scram_users: Answer::Told([("app".to_owned(), BTreeSet::from(both)), ("payer".to_owned(), both.into())].into()),
        quotas: Answer::Told(
            [
                (user_quota(Some("app")), limits(&[("producer_byte_rate", 1_048_576.0), ("request_percentage", 12.5)])),
                (user_quota(None), limits(&[("consumer_byte_rate", 2_097_152.0)])),
                (client, limits(&[("producer_byte_rate", 65_536.0)])),
            ]
            .into(),
        ),
    }
}

/// A map of principals.
pub(super) fn principals(rules: &[(&str, &str)]) -> PrincipalMap {
    PrincipalMap::new(rules.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))).unwrap()
}

/// All topics, some of them under other names.
pub(super) fn all_topics(renamed: BTreeMap<String, String>) -> TopicScope {
    TopicScope::All { renamed, excluded: BTreeSet::new() }
}

/// A scope without surprises: all of blue's topics, a migration of five days.
pub(super) fn scope() -> ParityScope {
    ParityScope { planned_ms: Some(5 * 86_400_000), ..ParityScope::default() }
}

pub(super) fn trouble() -> Trouble {
    Trouble::new("the broker hung up", "look at it")
}

pub(super) fn settings_of<'a>(cluster: &'a mut Inventory, topic: &str) -> &'a mut BTreeMap<String, Setting> {
    match &mut cluster.topics.get_mut(topic).unwrap().settings {
        Answer::Told(settings) => settings,
        other => panic!("{topic}: {other:?}"),
    }
}

/// Sets one on the topic itself.
pub(super) fn set(cluster: &mut Inventory, topic: &str, name: &str, value: &str) {
    settings_of(cluster, topic).insert(name.to_owned(), setting(value, SettingSource::Topic));
}

/// Another default for all topics, as brokers and those topics tell it on which nothing is set.
pub(super) fn set_default(cluster: &mut Inventory, name: &str, value: &str) {
    set_brokers(cluster, DEFAULTS.iter().find(|(topic, ..)| *topic == name).unwrap().2[0].0, value);
    for topic in cluster.topics.values_mut() {
        if let Answer::Told(settings) = &mut topic.settings
            && !settings[name].source.is_explicit()
        {
            settings.insert(name.to_owned(), setting(value, SettingSource::StaticBroker));
        }
    }
}

pub(super) fn set_brokers(cluster: &mut Inventory, name: &str, value: &str) {
    for broker in cluster.brokers.values_mut() {
        if let Answer::Told(settings) = broker {
            settings.insert(name.to_owned(), setting(value, SettingSource::StaticBroker));
        }
    }
}

pub(super) fn acls_of(cluster: &mut Inventory) -> &mut BTreeSet<Acl> {
    match &mut cluster.acls {
        Answer::Told(acls) => acls,
        other => panic!("{other:?}"),
    }
}

pub(super) fn quotas_of(cluster: &mut Inventory) -> &mut BTreeMap<QuotaEntity, BTreeMap<String, f64>> {
    match &mut cluster.quotas {
        Answer::Told(quotas) => quotas,
        other => panic!("{other:?}"),
    }
}

pub(super) fn users_of(cluster: &mut Inventory) -> &mut BTreeMap<String, BTreeSet<ScramCredential>> {
    match &mut cluster.scram_users {
        Answer::Told(users) => users,
        other => panic!("{other:?}"),
    }
}

/// What brokers make of a change, and what they refuse. `defaults` is what a topic of theirs has when nothing is set on it.
pub(super) fn apply_change(cluster: &mut Inventory, defaults: &BTreeMap<String, String>, change: &Change) {
    let source = SettingSource::Topic;
    let check = |settings: &BTreeMap<String, String>| {
        for (name, value) in settings {
            assert!(defaults.contains_key(name), "Unknown topic config name: {name}");
            assert!(!name.ends_with(".ms") || value.parse::<i64>().is_ok(), "Invalid value {value} for {name}");
        }
    };
    match change {
        Change::CreateTopic { topic, partitions, replication_factor, settings } => {
            let unified = |name: &str| name.replace('.', "_");
            let other = cluster.topics.keys().find(|other| unified(other) == unified(topic));
            assert_eq!(other, None, "Topic '{topic}' collides with existing topic");
            assert!(*partitions > 0 && *replication_factor > 0, "{change}");
            let brokers = cluster.brokers.len();
            assert!(usize::try_from(*replication_factor).unwrap() <= brokers, "only {brokers} brokers: {change}");
            check(settings);
            let inherited = defaults.iter().map(|(name, value)| (name.clone(), setting(value, SettingSource::Default)));
            let explicit = settings.iter().map(|(name, value)| (name.clone(), setting(value, source)));
            let definition = TopicDefinition {
                internal: false,
                partitions: *partitions,
                replicas: (*replication_factor, *replication_factor),
                settings: Answer::Told(inherited.chain(explicit).collect()),
            };
            cluster.topics.insert(topic.clone(), definition);
        }
        Change::AddPartitions { topic, from, to } => {
            let topic = cluster.topics.get_mut(topic).expect("a topic");
            assert!(topic.partitions == *from && to > from, "{change}");
            topic.partitions = *to;
        }
        Change::SetTopicSettings { topic, settings } => {
            check(settings);
            for (name, value) in settings {
                let known = settings_of(cluster, topic);
                assert!(!known[name].read_only, "{name} is read-only");
                known.insert(name.clone(), setting(value, source));
            }
        }
        Change::CreateAcl { acl } => {
            assert!(acl.is_known(), "{acl}");
            acls_of(cluster).insert(acl.clone());
        }
        Change::SetQuotas { entity, quotas } => {
            assert!(quotas.values().all(|value| *value > 0.0), "{change}");
            quotas_of(cluster).entry(entity.clone()).or_default().extend(quotas.clone());
        }
    }
}

/// What a topic of 3.9 has by itself.
pub(super) fn defaults() -> BTreeMap<String, String> {
    DEFAULTS.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned())).collect()
}

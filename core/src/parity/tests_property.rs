//! Two clusters of any making: whatever is planned is taken by brokers, ends anywhere, takes nothing away, and leaves nothing
//! to plan.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests_kit::*;
use super::*;
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::estate::inventory::{QuotaEntity, SettingSource, TopicDefinition};
use crate::estate::release::KafkaRelease;

/// Settings with values that they may have.
const VALUES: &[(&str, &[&str])] = &[
    ("cleanup.policy", &["delete", "compact", "compact,delete", "delete,compact"]),
    ("compression.type", &["producer", "zstd"]),
    ("leader.replication.throttled.replicas", &["", "0:1"]),
    ("local.retention.ms", &["-2", "1000"]),
    ("max.message.bytes", &["1048588", "2000000"]),
    ("message.format.version", &["3.0-IV1", "2.8-IV1"]),
    ("message.timestamp.after.max.ms", &["9223372036854775807", "3600000", "7200000"]),
    ("message.timestamp.before.max.ms", &["9223372036854775807", "3600000"]),
    ("message.timestamp.difference.max.ms", &["9223372036854775807", "3600000"]),
    ("min.insync.replicas", &["1", "2", "3"]),
    ("remote.storage.enable", &["true", "false"]),
    ("retention.ms", &["-1", "604800000", "86400000"]),
    ("segment.bytes", &["1073741824", "14"]),
    ("unclean.leader.election.enable", &["true", "false"]),
    ("confluent.value.schema.validation", &["true", "false"]),
];

/// What a topic of a cluster has by itself, by name: what its release knows, with what somebody set on the brokers.
type Defaults = BTreeMap<String, String>;

fn values() -> impl Strategy<Value = Vec<(String, String)>> {
    let each = VALUES.iter().map(|(name, values)| {
        let value = prop::sample::select(values.to_vec());
        prop::option::weighted(0.3, value).prop_map(|value| value.map(|value| ((*name).to_owned(), value.to_owned())))
    });
    each.collect::<Vec<_>>().prop_map(|values| values.into_iter().flatten().collect())
}

/// Settings that not every release has.
const NOT_EVERYWHERE: [&str; 6] = [
    "local.retention.ms",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "remote.storage.enable",
];

fn cluster_defaults() -> impl Strategy<Value = Defaults> {
    let unknown = prop::collection::btree_set(prop::sample::select(NOT_EVERYWHERE.to_vec()), 0..4);
    (values(), unknown).prop_map(|(values, unknown)| {
        let mut known = defaults();
        // Brokers have no default for the others.
        let of_brokers = |name: &str| DEFAULTS.iter().any(|(topic, _, brokers)| *topic == name && !brokers.is_empty());
        known.extend(values.into_iter().filter(|(name, _)| of_brokers(name)));
        known.retain(|name, _| !unknown.contains(name.as_str()));
        known
    })
}

fn acl() -> impl Strategy<Value = Acl> {
    let names = prop::sample::select(vec!["a", "a.b", "c", "*"]);
    let principals = prop::sample::select(vec!["User:blue-1", "User:blue-2", "User:x", "User:*"]);
    let operations = prop::sample::select(vec![Operation::Read, Operation::Write, Operation::All, Operation::Unknown]);
    let resources = prop::sample::select(vec![Resource::Topic, Resource::Group, Resource::TransactionalId]);
    (names, principals, operations, resources, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(name, principal, operation, resource, prefixed, denied)| Acl {
            resource,
            pattern: if prefixed { AclPattern::Prefixed } else { AclPattern::Literal },
            permission: if denied { Permission::Deny } else { Permission::Allow },
            ..allow(name, principal, operation)
        },
    )
}

fn quota() -> impl Strategy<Value = (QuotaEntity, (String, f64))> {
    let kind = |kind: &'static str| {
        let name = prop::sample::select(vec![None, Some("blue-1"), Some("blue-2"), Some("x")]);
        prop::option::of(name).prop_map(move |name| name.map(|name| (kind.to_owned(), name.map(str::to_owned))))
    };
    let limit = prop::sample::select(vec!["producer_byte_rate", "consumer_byte_rate"]);
    let value = prop::sample::select(vec![1.0, 2.5, 1e9]);
    (kind("user"), kind("client-id"), limit, value).prop_filter_map("of nobody", |(user, client, limit, value)| {
        let parts: BTreeMap<_, _> = user.into_iter().chain(client).collect();
        (!parts.is_empty()).then(|| (QuotaEntity(parts), (limit.to_owned(), value)))
    })
}

fn random_topic(
    defaults: &Defaults,
    (partitions, replicas): (i32, i16),
    explicit: &[(String, String)],
) -> TopicDefinition {
    let mut settings: BTreeMap<_, _> =
        defaults.iter().map(|(name, value)| (name.clone(), setting(value, SettingSource::Default))).collect();
    for (name, value) in explicit {
        // A cluster lists what it knows, and takes nothing else.
        if let Some(known) = settings.get_mut(name) {
            *known = setting(value, SettingSource::Topic);
        }
    }
    TopicDefinition { internal: false, partitions, replicas: (replicas, replicas), settings: Answer::Told(settings) }
}

fn random_cluster(side: Side) -> impl Strategy<Value = (Inventory, Defaults)> {
    let names = prop::sample::select(vec!["a", "a.b", "a_b", "c", "d", "new-a", "s-changelog"]);
    let topics = prop::collection::btree_map(names, ((1..6), (1_i16..4), values()), 0..6);
    let acls = prop::collection::btree_set(acl(), 0..8);
    let quotas = prop::collection::vec(quota(), 0..6);
    let flags = (prop::bool::weighted(0.9), any::<bool>(), prop::bool::weighted(0.2));
    (cluster_defaults(), topics, acls, quotas, 1..4, flags).prop_map(
        move |(mut defaults, topics, acls, quotas, brokers, (told, tiered, bare))| {
            let mut inventory = cluster(side);
            let topics = topics.into_iter().map(|(name, (partitions, replicas, explicit))| {
                (name.to_owned(), random_topic(&defaults, (partitions, replicas), &explicit))
            });
            let offsets = ("__consumer_offsets".to_owned(), random_topic(&defaults, (50, 1), &[]));
            inventory.topics = topics.chain([offsets]).collect();
            if bare {
                // Nothing lists what it knows: it knows all.
                inventory.topics.clear();
                defaults = super::tests_kit::defaults();
            }
            let mut settings = broker();
            for (topic, _, names) in DEFAULTS {
                let Some((first, others)) = names.split_first() else { continue };
                others.iter().for_each(|(name, _)| drop(settings.remove(*name)));
                match defaults.get(*topic) {
                    Some(value) => settings.insert(first.0.to_owned(), setting(value, SettingSource::StaticBroker)),
                    None => settings.remove(first.0),
                };
            }
            settings.insert(
                "remote.log.storage.system.enable".to_owned(),
                setting(if tiered { "true" } else { "false" }, SettingSource::StaticBroker),
            );
            let answer = if told { Answer::Told(settings) } else { Answer::Hidden(trouble()) };
            inventory.brokers = (0..brokers).map(|id| (id, answer.clone())).collect();
            inventory.acls = Answer::Told(acls);
            let mut limits: BTreeMap<QuotaEntity, BTreeMap<String, f64>> = BTreeMap::new();
            for (entity, (limit, value)) in quotas {
                limits.entry(entity).or_default().insert(limit, value);
            }
            inventory.quotas = Answer::Told(limits);
            (inventory, defaults)
        },
    )
}

/// What is compared, and what green runs.
fn random_scope() -> impl Strategy<Value = (ParityScope, Option<KafkaRelease>)> {
    let rules = prop::sample::subsequence(
        vec![
            ("User:blue-*", "User:green-*"),
            ("User:blue-1", "User:x"),
            ("User:blue-2", "User:x"),
            ("User:*", "Role:*"),
        ],
        0..4,
    );
    let renamed = prop::sample::subsequence(vec![("a", "new-a"), ("c", "new-a"), ("d", "d2")], 0..3);
    let factor = prop::option::weighted(0.3, 1_i16..3);
    let release = prop::option::of(prop::sample::select(vec![KafkaRelease::new(2, 8), KafkaRelease::new(4, 3)]));
    (rules, renamed, factor, release).prop_map(|(rules, renamed, replication_factor, green)| {
        let scope = ParityScope {
            principals: principals(&rules),
            topics: all_topics(renamed.into_iter().map(|(b, g)| (b.to_owned(), g.to_owned())).collect()),
            groups: [("a".to_owned(), "a2".to_owned())].into(),
            replication_factor,
            ..scope()
        };
        (scope, green)
    })
}

/// Whether all that `before` has is in `after`: topics with as many partitions, ACLs, quotas, users.
fn is_within(before: &Inventory, after: &Inventory) -> bool {
    let topics = before.topics.iter().all(|(name, topic)| {
        let settings = |topic: &TopicDefinition| topic.settings.as_told().map_or(0, BTreeMap::len);
        after.topics.get(name).is_some_and(|now| now.partitions >= topic.partitions && settings(now) >= settings(topic))
    });
    let quotas = before.quotas.as_told().zip(after.quotas.as_told()).is_some_and(|(before, after)| {
        before.iter().all(|(entity, limits)| limits.keys().all(|limit| after[entity].contains_key(limit)))
    });
    let acls = before.acls.as_told().zip(after.acls.as_told()).is_some_and(|(before, after)| before.is_subset(after));
    topics && quotas && acls && before.scram_users == after.scram_users
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_done_leaves_nothing_to_do(
        (blue, _) in random_cluster(Side::Blue),
        (mut green, defaults) in random_cluster(Side::Green),
        (scope, release) in random_scope(),
        done in any::<prop::sample::Index>(),
    ) {
        // Of a cluster without a topic its release would have to tell what it knows: that is another test's.
        green.release = release.filter(|_| !green.topics.is_empty());
        let changes = plan_changes(&compare_inventories(&blue, &green, &scope));
        let mut after = green.clone();
        changes.iter().for_each(|change| apply_change(&mut after, &defaults, change));
        prop_assert!(is_within(&green, &after), "something was taken away by {:?}", changes);
        let mut left = plan_changes(&compare_inventories(&blue, &after, &scope));
        let told = green.brokers.values().all(|broker| broker.as_told().is_some());
        if !told {
            // Where green's defaults were hidden, what was made shows them: a second look may have a word to say.
            left.iter().for_each(|change| apply_change(&mut after, &defaults, change));
            left = plan_changes(&compare_inventories(&blue, &after, &scope));
        }
        prop_assert_eq!(left, vec![], "after {:?}", changes);

        // Ended anywhere, the rest is planned again, and the end is the same.
        let mut resumed = green.clone();
        let before = done.index(changes.len() + 1);
        changes[..before].iter().for_each(|change| apply_change(&mut resumed, &defaults, change));
        for _ in 0..2 {
            let rest = plan_changes(&compare_inventories(&blue, &resumed, &scope));
            rest.iter().for_each(|change| apply_change(&mut resumed, &defaults, change));
        }
        prop_assert_eq!(plan_changes(&compare_inventories(&blue, &resumed, &scope)), vec![]);
        if told {
            prop_assert_eq!(resumed, after);
        }
    }

    #[test]
    fn a_cluster_beside_itself_differs_in_nothing((blue, _) in random_cluster(Side::Blue)) {
        let mut green = blue.clone();
        green.cluster_id = Some("green".to_owned());
        let parity = compare_inventories(&blue, &green, &super::tests_kit::scope());
        let differs: Vec<_> = parity.rows.iter().filter(|row| !row.is_unknown() && row.gravity != Gravity::Notes).collect();
        // A grant beside a denial of the same is no difference between the two.
        prop_assert!(differs.is_empty(), "{:#?}", differs);
        prop_assert_eq!(plan_changes(&parity), vec![]);
    }

    #[test]
    fn rows_come_in_one_order_and_each_subject_once_a_reason(
        (blue, _) in random_cluster(Side::Blue),
        (mut green, _) in random_cluster(Side::Green),
        (scope, release) in random_scope(),
    ) {
        green.release = release;
        let parity = compare_inventories(&blue, &green, &scope);
        prop_assert!(parity.rows.is_sorted_by_key(|row| (row.gravity, row.area)), "{:#?}", parity.rows);
        let mut seen = std::collections::BTreeSet::new();
        for row in &parity.rows {
            prop_assert!(seen.insert((row.area, row.subject.clone(), row.why.clone())), "twice: {:?}", row);
        }
    }
}

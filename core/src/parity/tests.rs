//! Topics that green has not, names and releases that differ, and what holds for the whole.

use std::collections::BTreeMap;

use super::defaults::TopicDefaults;
use super::tests_kit::*;
use super::*;
use crate::estate::acl::Operation;
use crate::estate::inventory::{SettingSource, TopicDefinition};
use crate::estate::release::KafkaRelease;

fn renamed(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(blue, green)| ((*blue).to_owned(), (*green).to_owned())).collect()
}

fn planned(blue: &Inventory, green: &Inventory, scope: &ParityScope) -> Vec<String> {
    plan_changes(&compare_inventories(blue, green, scope)).iter().map(ToString::to_string).collect()
}

/// The one row on this subject.
fn row<'a>(parity: &'a Parity, subject: &str) -> &'a ParityRow {
    let found: Vec<_> = parity.rows.iter().filter(|row| row.subject.to_string() == subject).collect();
    let [row] = found.as_slice() else { panic!("{subject}: {:#?}", parity.rows) };
    row
}

fn by_hand(row: &ParityRow) -> &str {
    match &row.mend {
        Some(Mend::ByHand(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_is_made_with_what_is_set_and_with_what_green_has_another_default_for() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    set_default(&mut blue, "retention.ms", "1209600000");
    set_default(&mut green, "compression.type", "lz4");
    blue.topics.insert("new".to_owned(), {
        let mut topic = topic(3, 2, &[("segment.bytes", "2097152"), ("max.message.bytes", "1048588")]);
        let Answer::Told(settings) = &mut topic.settings else { panic!("{topic:?}") };
        settings.insert("retention.ms".to_owned(), setting("1209600000", SettingSource::StaticBroker));
        topic
    });
    green.topics.retain(|name, _| name == "__consumer_offsets");
    blue.topics.retain(|name, _| name == "new");
    assert_eq!(
        planned(&blue, &green, &scope()),
        ["create topic new with 3 partitions of 2 replicas: compression.type=producer, max.message.bytes=1048588, \
             retention.ms=1209600000, segment.bytes=2097152"],
        "what is set on blue, though green has the same by default, and what green would have otherwise"
    );
}

#[test]
fn where_green_s_defaults_are_not_known_what_loses_records_is_said() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.clear();
    green.brokers = (1..=3).map(|id| (id, Answer::Hidden(trouble()))).collect();
    let parity = compare_inventories(&blue, &green, &scope());
    let Some(Mend::Change(Change::CreateTopic { settings, .. })) = &row(&parity, "payments").mend else {
        panic!("{:#?}", parity.rows)
    };
    let names: Vec<_> = settings.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "cleanup.policy",
            "delete.retention.ms",
            "max.message.bytes",
            "message.timestamp.type",
            "min.compaction.lag.ms",
            "min.insync.replicas",
            "retention.bytes",
            "retention.ms",
            "unclean.leader.election.enable"
        ],
        "max.compaction.lag.ms came with 2.3: green may be older"
    );
}

#[test]
fn the_table_of_fallbacks_is_kafka_s() {
    let mut empty = cluster(Side::Green);
    empty.topics.clear();
    let of_brokers = TopicDefaults::of_cluster(&empty, Side::Green);
    for (name, value, brokers) in DEFAULTS {
        let expected = (!brokers.is_empty()).then(|| (*value).to_owned());
        assert_eq!(of_brokers.value_of(name), expected, "{name}");
    }
    set_brokers(&mut empty, "log.retention.hours", "-1");
    assert_eq!(TopicDefaults::of_cluster(&empty, Side::Green).value_of("retention.ms").as_deref(), Some("-1"));
    set_brokers(&mut empty, "log.retention.minutes", "5");
    assert_eq!(TopicDefaults::of_cluster(&empty, Side::Green).value_of("retention.ms").as_deref(), Some("300000"));
    set_brokers(&mut empty, "log.retention.ms", "7");
    assert_eq!(TopicDefaults::of_cluster(&empty, Side::Green).value_of("retention.ms").as_deref(), Some("7"));
    let whole = cluster(Side::Green);
    let of_topics = TopicDefaults::of_cluster(&whole, Side::Green);
    assert_eq!(of_topics.knows_setting("remote.log.copy.disable"), Some(true));
    assert_eq!(of_topics.knows_setting("confluent.tier.enable"), Some(false));
}

#[test]
fn green_has_as_many_replicas_as_it_has_brokers_at_most() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    green.topics.get_mut("payments").unwrap().replicas = (1, 1);
    green.brokers.retain(|id, _| *id == 1);
    let parity = compare_inventories(&blue, &green, &scope());
    assert!(
        by_hand(row(&parity, "orders")).contains("green has 1 broker, so 1 replica is the most"),
        "{:#?}",
        parity.rows
    );
    assert!(by_hand(row(&parity, "payments replicas")).starts_with("green has 1 broker: 1 replica at most"));
    // Meant so, it is no difference; but what needs two replicas in sync can't be written to.
    let scope = ParityScope { replication_factor: Some(1), ..scope() };
    green.topics.get_mut("audit").unwrap().replicas = (1, 1);
    let parity = compare_inventories(&blue, &green, &scope);
    assert_eq!(row(&parity, "audit min.insync.replicas").gravity, Gravity::Blocks);
    assert_eq!(row(&parity, "orders min.insync.replicas").gravity, Gravity::Blocks);
    assert_eq!(
        plan_changes(&parity).iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["create topic orders with 6 partitions of 1 replica: retention.ms=259200000"]
    );
}

#[test]
fn topics_have_other_names_on_green() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    let moved = green.topics.remove("orders").unwrap();
    green.topics.insert("shop.orders".to_owned(), TopicDefinition { partitions: 3, ..moved });
    let scope = ParityScope {
        topics: all_topics(renamed(&[("orders", "shop.orders"), ("payments", "shop.payments")])),
        ..scope()
    };
    let parity = compare_inventories(&blue, &green, &scope);
    let topics: Vec<_> = parity.rows_of(ParityArea::Topics).map(|row| row.subject.to_string()).collect();
    assert_eq!(topics, ["payments (on green shop.payments)", "orders (on green shop.orders) partitions", "payments"]);
    let changes = plan_changes(&parity);
    let topics = changes.iter().filter(|change| !matches!(change, Change::CreateAcl { .. })).map(ToString::to_string);
    assert_eq!(
        topics.collect::<Vec<_>>(),
        [
            "create topic shop.payments with 12 partitions of 3 replicas",
            "add 3 partitions to topic shop.orders: 3 to 6"
        ]
    );
    assert!(changes[1].needs_consent().is_some() && changes[0].needs_consent().is_none());
}

#[test]
fn names_that_kafka_can_t_tell_apart_or_that_become_one_are_for_a_person() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    green.topics.insert("shop_orders".to_owned(), topic(1, 1, &[]));
    let scope = ParityScope { topics: all_topics(renamed(&[("orders", "shop.orders")])), ..scope() };
    let parity = compare_inventories(&blue, &green, &scope);
    assert!(by_hand(row(&parity, "orders (on green shop.orders)")).contains("\"shop_orders\""), "{:#?}", parity.rows);
    let scope = ParityScope {
        topics: all_topics(renamed(&[("orders", "one"), ("payments", "one")])),
        ..super::tests_kit::scope()
    };
    let parity = compare_inventories(&blue, &green, &scope);
    let merged = row(&parity, "orders (on green one)");
    assert!(merged.why.contains("orders, payments of blue would be one topic") && merged.gravity == Gravity::Blocks);
}

#[test]
fn topics_that_nobody_wants_compared_are_left_out() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    green.topics.insert("scratch".to_owned(), topic(1, 3, &[]));
    let topics =
        TopicScope::All { renamed: BTreeMap::new(), excluded: ["orders", "scratch"].map(str::to_owned).into() };
    let parity = compare_inventories(&blue, &green, &ParityScope { topics, ..scope() });
    assert_eq!(parity.rows, []);
    assert_eq!(parity.same[&ParityArea::Topics], 2, "the other two");
    assert_eq!(compare_inventories(&blue, &green, &scope()).rows.len(), 2);
}

#[test]
fn a_red_flag_that_blocks_is_in_the_way_though_nothing_differs() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    set_brokers(&mut green, "auto.create.topics.enable", "true");
    let warned = compare_inventories(&blue, &green, &scope());
    assert_eq!((warned.verdict(), warned.judge_readiness()), (ParityVerdict::Equal, ParityVerdict::Equal));
    set_brokers(&mut green, "offsets.retention.minutes", "60");
    let blocked = compare_inventories(&blue, &green, &scope());
    assert_eq!((blocked.verdict(), blocked.judge_readiness()), (ParityVerdict::Equal, ParityVerdict::Differs));
}

#[test]
fn listed_topics_alone_are_compared() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("payments");
    green.topics.remove("app-store-changelog");
    green.topics.insert("new".to_owned(), topic(1, 1, &[]));
    let listed = |names: &[(&str, &str)]| ParityScope { topics: TopicScope::Listed(renamed(names)), ..scope() };
    let orders = [("orders", "orders"), ("__consumer_offsets", "__consumer_offsets")];
    let parity = compare_inventories(&blue, &green, &listed(&orders));
    assert_eq!((parity.rows.as_slice(), parity.verdict()), ([].as_slice(), ParityVerdict::Equal));
    assert_eq!(parity.internal.keys().copied().collect::<Vec<_>>(), [InternalTopic::Kafka]);
    // Whoever names a topic that looks like Streams' own means it.
    let parity = compare_inventories(&blue, &green, &listed(&[("app-store-changelog", "app-store-changelog")]));
    assert!(matches!(row(&parity, "app-store-changelog").mend, Some(Mend::Change(_))));
    // Nobody has it; only green has it.
    let parity = compare_inventories(&blue, &green, &listed(&[("gone", "gone"), ("new", "new")]));
    assert_eq!((row(&parity, "gone").gravity, &row(&parity, "gone").state), (Gravity::Warns, &ParityState::Missing));
    assert_eq!(row(&parity, "new").state, ParityState::Beyond);
    // What is hidden matters where one of those that are meant is not to be seen.
    (blue.topics_hidden, green.topics_hidden) = (Some(trouble()), Some(trouble()));
    assert_eq!(compare_inventories(&blue, &green, &listed(&orders)).verdict(), ParityVerdict::Equal);
    let parity = compare_inventories(&blue, &green, &listed(&[("gone", "gone"), ("payments", "payments")]));
    assert!(row(&parity, "gone").is_unknown() && row(&parity, "payments").is_unknown());
    assert_eq!(plan_changes(&parity), [], "what may be there is not made");
}

/// As a cluster of another release lists its topics: without some settings, with other values of others.
fn of_release(cluster: &mut Inventory, without: &[&str], values: &[(&str, &str)]) {
    for topic in cluster.topics.values_mut() {
        let Answer::Told(settings) = &mut topic.settings else { panic!("{topic:?}") };
        settings.retain(|name, _| !without.contains(&name.as_str()));
        for (name, value) in values {
            settings.insert((*name).to_owned(), setting(value, SettingSource::Default));
        }
    }
    for broker in cluster.brokers.values_mut() {
        let Answer::Told(settings) = broker else { panic!("{broker:?}") };
        settings.retain(|name, _| !without.iter().any(|gone| name.ends_with(gone)));
        for (name, value) in values {
            settings.insert(format!("log.{name}"), setting(value, SettingSource::Default));
        }
    }
}

#[test]
fn from_2_8_to_4_3() {
    const SINCE: [&str; 10] = [
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.zstd.level",
        "local.retention.bytes",
        "local.retention.ms",
        "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms",
        "remote.log.copy.disable",
        "remote.log.delete.on.disable",
        "remote.storage.enable",
    ];
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    set(&mut blue, "audit", "segment.bytes", "1048575");
    set(&mut blue, "orders", "message.timestamp.difference.max.ms", "86400000");
    set(&mut blue, "orders", "message.format.version", "2.3-IV1");
    of_release(&mut blue, &SINCE, &[]);
    let gone = ["message.downconversion.enable", "message.format.version", "message.timestamp.difference.max.ms"];
    of_release(&mut green, &gone, &[("message.timestamp.after.max.ms", "3600000")]);
    let inherited = defaults_of(&green, "payments");
    green.topics.remove("payments");
    blue.release = Some(KafkaRelease::new(2, 8));
    green.release = Some(KafkaRelease::new(4, 3));
    let parity = compare_inventories(&blue, &green, &scope());
    assert_eq!(
        plan_changes(&parity).iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "create topic payments with 12 partitions of 3 replicas: message.timestamp.after.max.ms=9223372036854775807",
            "set on topic audit: message.timestamp.after.max.ms=9223372036854775807",
            "set on topic orders: message.timestamp.after.max.ms=86400000, message.timestamp.before.max.ms=86400000",
        ],
        "4.0 bounds what lies ahead to an hour, and blue to nothing"
    );
    let notes: Vec<_> = parity.rows.iter().filter(|row| row.gravity == Gravity::Notes).collect();
    let named: Vec<_> = notes.iter().map(|row| row.subject.to_string()).collect();
    assert_eq!(
        named,
        [
            "audit segment.bytes",
            "orders message.format.version",
            "message.downconversion.enable of each topic",
            "message.format.version of each topic"
        ]
    );
    assert!(notes[0].why.contains("1048576"), "{:?}", notes[0]);
    plan_changes(&parity).iter().for_each(|change| apply_change(&mut green, &inherited, change));
    let after = compare_inventories(&blue, &green, &scope());
    assert_eq!((after.verdict(), plan_changes(&after)), (ParityVerdict::Equal, vec![]), "{:#?}", after.rows);
}

/// What a topic has by itself, as one tells on which nothing is set.
fn defaults_of(cluster: &Inventory, topic: &str) -> BTreeMap<String, String> {
    let settings = cluster.topics[topic].settings.as_told().unwrap();
    assert!(settings.values().all(|setting| !setting.source.is_explicit()), "{topic}");
    settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone().unwrap())).collect()
}

#[test]
fn tiered_storage_is_copied_to_a_green_that_has_it() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    for name in ["orders", "payments"] {
        set(&mut blue, name, "remote.storage.enable", "true");
        set(&mut blue, name, "local.retention.ms", "3600000");
    }
    set_brokers(&mut green, "remote.log.storage.system.enable", "true");
    green.topics.remove("payments");
    assert_eq!(
        planned(&blue, &green, &scope()),
        [
            "create topic payments with 12 partitions of 3 replicas: local.retention.ms=3600000, remote.storage.enable=true",
            "set on topic orders: local.retention.ms=3600000, remote.storage.enable=true",
        ]
    );
    set_brokers(&mut green, "remote.log.storage.system.enable", "false");
    let parity = compare_inventories(&blue, &green, &scope());
    assert_eq!(row(&parity, "payments remote.storage.enable").gravity, Gravity::Warns);
    assert_eq!(planned(&blue, &green, &scope()), ["create topic payments with 12 partitions of 3 replicas"]);
}

#[test]
fn a_setting_that_green_may_not_know_is_left_and_told() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.clear();
    set(&mut blue, "orders", "confluent.value.schema.validation", "true");
    set(&mut blue, "orders", "segment.ms", "3600000");
    let parity = compare_inventories(&blue, &green, &scope());
    assert!(row(&parity, "orders confluent.value.schema.validation").is_unknown(), "{:#?}", parity.rows);
    let created = "create topic orders with 6 partitions of 3 replicas: min.insync.replicas=2, retention.ms=259200000, \
                   segment.ms=3600000";
    assert!(
        planned(&blue, &green, &scope()).iter().any(|change| change == created),
        "{:#?}",
        planned(&blue, &green, &scope())
    );
}

#[test]
fn a_topic_whose_settings_on_blue_are_hidden_is_not_made() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    blue.topics.get_mut("orders").unwrap().settings = Answer::Hidden(trouble());
    let parity = compare_inventories(&blue, &green, &scope());
    assert!(by_hand(row(&parity, "orders")).contains("DESCRIBE_CONFIGS"), "{:#?}", parity.rows);
    assert_eq!((plan_changes(&parity), parity.verdict()), (vec![], ParityVerdict::Differs));
}

#[test]
fn changes_come_in_an_order_in_which_each_may_be_done() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    green.topics.get_mut("payments").unwrap().partitions = 1;
    set(&mut green, "audit", "cleanup.policy", "delete");
    set(&mut green, "audit", "min.insync.replicas", "1");
    acls_of(&mut green).clear();
    quotas_of(&mut green).clear();
    let changes = planned(&blue, &green, &scope());
    let kinds: Vec<_> = changes.iter().map(|change| change.split_inclusive(' ').take(3).collect::<String>()).collect();
    assert_eq!(
        kinds,
        [
            "create topic orders ",
            "add 11 partitions ",
            "set on topic ",
            "add ACL: deny ",
            "add ACL: allow ",
            "add ACL: allow ",
            "add ACL: allow ",
            "add ACL: allow ",
            "add ACL: allow ",
            "add ACL: allow ",
            "set quota of ",
            "set quota of ",
            "set quota of "
        ]
    );
    assert_eq!(changes[2], "set on topic audit: cleanup.policy=compact, min.insync.replicas=2");
}

#[test]
fn what_differs_hides_nothing_that_is_unknown() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    blue.quotas = Answer::Unknown(trouble());
    let parity = compare_inventories(&blue, &green, &scope());
    assert_eq!(parity.verdict(), ParityVerdict::Differs);
    assert_eq!(parity.verdict_of(ParityArea::Quotas), ParityVerdict::Unknown);
    assert_eq!(parity.verdict_of(ParityArea::Acls), ParityVerdict::Equal);
    let unknown: Vec<_> =
        parity.list_unknowns().map(|(subject, why)| (subject.to_string(), why.what.clone())).collect();
    assert_eq!(unknown, [("blue".to_owned(), "quotas of blue are not known: the broker hung up".to_owned())]);
    assert_eq!(parity.count_area(ParityArea::Quotas).unknown, 1);
}

#[test]
fn it_is_json_and_the_same_each_time() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    green.topics.remove("orders");
    users_of(&mut green).clear();
    acls_of(&mut green).insert(allow("x", "User:\u{1b}", Operation::Read));
    let write = || serde_json::to_string(&compare_inventories(&blue, &green, &scope())).unwrap();
    let written = write();
    assert_eq!(written, write());
    let json: serde_json::Value = serde_json::from_str(&written).unwrap();
    let first = &json["rows"][0];
    assert_eq!(first["subject"], serde_json::json!({ "topic": { "blue": "orders", "green": "orders" } }));
    assert_eq!((&first["state"], &first["gravity"]), (&"missing".into(), &"blocks".into()));
    assert_eq!(first["mend"]["change"]["create_topic"]["partitions"], 6);
    assert_eq!(json["internal"]["streams"], serde_json::json!(["app-store-changelog"]));
    assert!(json["flags"].as_array().is_some_and(|flags| flags.len() == 13));
}

#[test]
fn a_big_estate_is_compared_whole() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    for i in 0..200 {
        let name = format!("topic-{i:03}");
        blue.topics.insert(name.clone(), topic(6, 3, &[("retention.ms", &(1000 + i).to_string())]));
        green.topics.insert(name, topic(6, 3, &[]));
    }
    for i in 0..300 {
        acls_of(&mut blue).insert(allow(&format!("topic-{i:03}"), "User:blue-app", Operation::Write));
    }
    for i in 0..40 {
        quotas_of(&mut blue)
            .insert(user_quota(Some(&format!("u{i}"))), [("producer_byte_rate".to_owned(), 1.0)].into());
    }
    let scope = ParityScope { principals: principals(&[("User:blue-*", "User:green-*")]), ..scope() };
    let parity = compare_inventories(&blue, &green, &scope);
    assert_eq!(plan_changes(&parity).len(), 200 + 300 + 40);
    plan_changes(&parity).iter().for_each(|change| apply_change(&mut green, &defaults(), change));
    assert_eq!(compare_inventories(&blue, &green, &scope).verdict(), ParityVerdict::Equal);
}

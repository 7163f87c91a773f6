//! Each red flag with what raises it, and with what leaves it open.

use std::collections::BTreeMap;

use strum::IntoEnumIterator as _;

use super::tests_kit::*;
use super::*;
use crate::estate::inventory::{Setting, SettingSource};

fn flags(blue: &Inventory, green: &Inventory) -> BTreeMap<RedFlagKind, RedFlag> {
    let parity = compare_inventories(blue, green, &scope());
    parity.flags.into_iter().map(|flag| (flag.kind, flag)).collect()
}

/// The others are of who works with the clusters (`tests_applications.rs`).
fn is_of_setup(kind: &RedFlagKind) -> bool {
    *kind <= RedFlagKind::BrokersDisagree
}

/// A setting that is there and that brokers don't tell the value of: what Kafka answers for names whose type it does not know.
fn hide(cluster: &mut Inventory, name: &str) {
    for broker in cluster.brokers.values_mut() {
        let Answer::Told(settings) = broker else { panic!("{broker:?}") };
        let hidden = Setting { value: None, source: SettingSource::StaticBroker, read_only: true };
        settings.insert(name.to_owned(), hidden);
    }
}

type Raise = fn(&mut Inventory, &mut Inventory);

/// Which flag, what raises it, how grave it is then, and a word of what was found.
const RAISED: &[(RedFlagKind, Raise, Gravity, &str)] = {
    use Gravity::{Blocks, Notes, Warns};
    use RedFlagKind as Kind;
    &[
        (
            Kind::OffsetsRetention,
            |_, g| set_brokers(g, "offsets.retention.minutes", "1440"),
            Blocks,
            "green keeps offsets",
        ),
        (
            Kind::OffsetsRetention,
            |b, _| set_brokers(b, "offsets.retention.minutes", "1440"),
            Blocks,
            "blue keeps offsets",
        ),
        (Kind::MessageMaxBytes, |b, _| set_brokers(b, "message.max.bytes", "5000000"), Warns, "those of blue 5000000"),
        (
            Kind::RetentionShrinks,
            |_, g| set(g, "orders", "retention.ms", "1"),
            Blocks,
            "1 topic with less retention.ms",
        ),
        (Kind::RetentionShrinks, |_, g| set_default(g, "retention.bytes", "1000"), Blocks, "green's default"),
        (Kind::TimestampTypes, |_, g| set(g, "orders", "message.timestamp.type", "LogAppendTime"), Warns, "orders"),
        (Kind::TimestampBounds, |_, g| set(g, "orders", "message.timestamp.before.max.ms", "1000"), Blocks, "too old"),
        (
            Kind::TimestampBounds,
            |_, g| set(g, "orders", "message.timestamp.after.max.ms", "1000"),
            Warns,
            "that blue takes",
        ),
        (
            Kind::TimestampBounds,
            |_, g| set_default(g, "message.timestamp.after.max.ms", "3600000"),
            Warns,
            "brokers of green",
        ),
        (Kind::AutoCreation, |_, g| set_brokers(g, "auto.create.topics.enable", "true"), Warns, "makes topics"),
        (
            Kind::TieredStorage,
            |b, _| set(b, "orders", "remote.storage.enable", "true"),
            Warns,
            "1 topic with tiered storage",
        ),
        (Kind::Compaction, |b, _| set(b, "orders", "cleanup.policy", "compact,delete"), Notes, "2 topics compacted"),
        (
            Kind::InternalReplicas,
            |_, g| set_brokers(g, "transaction.state.log.replication.factor", "1"),
            Warns,
            "is 1 on green, 3",
        ),
        (Kind::InternalReplicas, |_, g| set_brokers(g, "transaction.state.log.min.isr", "1"), Warns, "min.isr is 1"),
        (
            Kind::InternalReplicas,
            |_, g| g.topics.get_mut("__consumer_offsets").unwrap().replicas = (1, 1),
            Warns,
            "__consumer_offsets",
        ),
        (
            Kind::ClientLimits,
            |_, g| set_brokers(g, "transaction.max.timeout.ms", "60000"),
            Warns,
            "transaction.max.timeout.ms is 60000",
        ),
        (Kind::ClientLimits, |_, g| set_brokers(g, "group.min.session.timeout.ms", "10000"), Warns, "wants more"),
        (Kind::SuperUsers, |b, _| set_brokers(b, "super.users", "User:a;User:CN=x,O=y"), Warns, "none on green"),
        (
            Kind::OpenWithoutAcl,
            |b, _| set_brokers(b, "allow.everyone.if.no.acl.found", "true"),
            Warns,
            "false on green, true on blue",
        ),
        (
            Kind::BrokersDisagree,
            |_, g| {
                let Some(Answer::Told(settings)) = g.brokers.get_mut(&2) else { panic!("no broker 2") };
                settings.insert("log.retention.hours".to_owned(), setting("24", SettingSource::StaticBroker));
            },
            Warns,
            "log.retention.hours",
        ),
    ]
};

#[test]
fn each_is_raised_by_its_fixture_and_clear_without_it() {
    let clear = flags(&cluster(Side::Blue), &cluster(Side::Green));
    for kind in RedFlagKind::iter().filter(is_of_setup) {
        let raised: Vec<_> = RAISED.iter().filter(|(of, ..)| *of == kind).collect();
        assert!(!raised.is_empty(), "{kind} has no fixture that raises it");
        // The kit's clusters hold a compacted topic: that is what compaction's fixture adds one to.
        let expected =
            if kind == RedFlagKind::Compaction { RedFlagState::Raised(Gravity::Notes) } else { RedFlagState::Clear };
        assert_eq!(clear[&kind].state, expected, "{kind}");
        for (_, raise, gravity, found) in raised {
            let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
            raise(&mut blue, &mut green);
            let flag = &flags(&blue, &green)[&kind];
            assert_eq!(flag.state, RedFlagState::Raised(*gravity), "{flag:?}");
            assert!(flag.found.iter().any(|what| what.contains(found)) && !flag.advice.is_empty(), "{found}: {flag:?}");
        }
    }
}

#[test]
fn what_can_not_be_seen_is_unknown_and_never_clear() {
    let brokers = |cluster: &mut Inventory| {
        cluster.brokers.insert(2, Answer::Hidden(trouble()));
    };
    let topic = |cluster: &mut Inventory| {
        cluster.topics.get_mut("orders").unwrap().settings = Answer::Hidden(trouble());
    };
    for kind in RedFlagKind::iter().filter(|kind| is_of_setup(kind) && *kind != RedFlagKind::Compaction) {
        let unseen = [false, true].map(|by_topic| {
            let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
            let hide: &dyn Fn(&mut Inventory) = if by_topic { &topic } else { &brokers };
            [&mut blue, &mut green].into_iter().for_each(hide);
            matches!(flags(&blue, &green)[&kind].state, RedFlagState::Unknown(_))
        });
        // Each rests on topics' settings or on brokers'. Those on brokers' with figures that some have told wait for all.
        assert!(unseen.contains(&true), "{kind}: {unseen:?}");
    }
}

#[test]
fn a_value_that_a_broker_hides_is_not_one_that_is_the_same() {
    for (name, kind) in [
        ("retention.ms", RedFlagKind::RetentionShrinks),
        ("retention.bytes", RedFlagKind::RetentionShrinks),
        ("message.timestamp.type", RedFlagKind::TimestampTypes),
    ] {
        let (mut blue, green) = (cluster(Side::Blue), cluster(Side::Green));
        settings_of(&mut blue, "orders").get_mut(name).unwrap().value = None;
        let state = &flags(&blue, &green)[&kind].state;
        assert!(matches!(state, RedFlagState::Unknown(why) if why.what.contains("orders")), "{name}: {state:?}");
    }
}

#[test]
fn what_was_found_stands_beside_what_was_not_seen() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    set_brokers(&mut green, "offsets.retention.minutes", "60");
    green.brokers.insert(2, Answer::Hidden(trouble()));
    assert!(flags(&blue, &green)[&RedFlagKind::OffsetsRetention].is_raised());
}

#[test]
fn a_migration_of_unknown_length_leaves_the_retention_of_offsets_open() {
    let scope = ParityScope { planned_ms: None, ..scope() };
    let parity = compare_inventories(&cluster(Side::Blue), &cluster(Side::Green), &scope);
    let flag = parity.flags.iter().find(|flag| flag.kind == RedFlagKind::OffsetsRetention).unwrap();
    assert!(matches!(&flag.state, RedFlagState::Unknown(why) if why.what.contains("how long")), "{flag:?}");
}

#[test]
fn brokers_don_t_tell_their_super_users() {
    // StandardAuthorizer's settings have no type in KafkaConfig, so DescribeConfigs names them without their values.
    for name in ["super.users", "allow.everyone.if.no.acl.found"] {
        let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
        hide(&mut blue, name);
        hide(&mut green, name);
        let kind = if name == "super.users" { RedFlagKind::SuperUsers } else { RedFlagKind::OpenWithoutAcl };
        let flag = &flags(&blue, &green)[&kind];
        assert!(matches!(&flag.state, RedFlagState::Unknown(why) if why.what.contains(name)), "{flag:?}");
        // Without an authorizer nobody reads them.
        for cluster in [&mut blue, &mut green] {
            cluster.acls = Answer::Unavailable(Unavailable::NoAuthorizer);
        }
        assert_eq!(flags(&blue, &green)[&kind].state, RedFlagState::Clear);
    }
}

#[test]
fn super_users_go_by_greens_names() {
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    set_brokers(&mut blue, "super.users", "User:admin; User:blue-ops");
    set_brokers(&mut green, "super.users", "User:green-ops;User:admin;User:more");
    let state = |rules: &[(&str, &str)]| {
        let scope = ParityScope { principals: principals(rules), ..scope() };
        let parity = compare_inventories(&blue, &green, &scope);
        parity.flags.into_iter().find(|flag| flag.kind == RedFlagKind::SuperUsers).unwrap().state
    };
    assert_eq!(state(&[("User:blue-*", "User:green-*")]), RedFlagState::Clear);
    assert_eq!(state(&[]), RedFlagState::Raised(Gravity::Warns));
}

//! Kinds of drift, each made by hand on two clusters that are set up the same: each is named by one row, and by no other.

use super::tests_kit::*;
use super::*;
use crate::estate::acl::{Acl, Operation, Resource};
use crate::estate::inventory::{QuotaEntity, ScramMechanism};
use ParityArea::{Acls, Cluster, Quotas, Settings, Topics, Users};

/// How a row is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Change,
    ByHand,
    Nothing,
}

type Drift = fn(&mut Inventory, &mut Inventory);

/// What drifts, how, and the row that names it: area, subject, state, gravity, mend, and a word of its reason.
type Kind = (&'static str, Drift, ParityArea, &'static str, &'static str, Gravity, How, &'static str);

use Gravity::{Blocks, Notes, Warns};
use How::{ByHand, Change as ByChange, Nothing};

#[rustfmt::skip]
const TOPICS: &[Kind] = &[
    ("a topic is missing", |_, g| _ = g.topics.remove("orders"), Topics, "orders", "missing", Blocks, ByChange, "no such topic"),
    ("a topic too many", |_, g| _ = g.topics.insert("x".into(), topic(1, 3, &[])), Topics, "x", "beyond", Notes, Nothing, "blue has not"),
    ("fewer partitions", |_, g| g.topics.get_mut("orders").unwrap().partitions = 3, Topics, "orders partitions", "differs", Warns, ByChange, "most keys go to another partition"),
    ("more partitions", |_, g| g.topics.get_mut("orders").unwrap().partitions = 9, Topics, "orders partitions", "differs", Notes, Nothing, "groups can move all the same"),
    ("fewer replicas", |_, g| g.topics.get_mut("payments").unwrap().replicas = (2, 2), Topics, "payments replicas", "differs", Warns, ByHand, "fewer brokers"),
    ("more replicas", |b, _| b.topics.get_mut("payments").unwrap().replicas = (2, 2), Topics, "payments replicas", "differs", Notes, Nothing, "more copies"),
];

#[rustfmt::skip]
const SETTINGS: &[Kind] = &[
    ("shorter retention", |_, g| set(g, "orders", "retention.ms", "86400000"), Settings, "orders retention.ms", "differs", Blocks, ByChange, "deletes records earlier"),
    ("longer retention", |_, g| set(g, "orders", "retention.ms", "-1"), Settings, "orders retention.ms", "differs", Warns, ByChange, "keeps records longer"),
    ("less retained by size", |_, g| set(g, "orders", "retention.bytes", "1000000"), Settings, "orders retention.bytes", "differs", Blocks, ByChange, "deletes records earlier"),
    ("smaller batches", |b, _| set(b, "orders", "max.message.bytes", "5000000"), Settings, "orders max.message.bytes", "differs", Blocks, ByChange, "refuses batches"),
    ("fewer in sync", |_, g| set(g, "orders", "min.insync.replicas", "1"), Settings, "orders min.insync.replicas", "differs", Blocks, ByChange, "acknowledges records"),
    ("more in sync than there are", |b, _| set(b, "orders", "min.insync.replicas", "4"), Settings, "orders min.insync.replicas", "differs", Blocks, ByHand, "acks=all"),
    ("compacted on green", |_, g| set(g, "orders", "cleanup.policy", "compact,delete"), Settings, "orders cleanup.policy", "differs", Blocks, ByChange, "takes records away (compact)"),
    ("not compacted on green", |_, g| set(g, "audit", "cleanup.policy", "delete"), Settings, "audit cleanup.policy", "differs", Blocks, ByChange, "takes records away (delete)"),
    ("deletions forgotten", |_, g| set(g, "audit", "delete.retention.ms", "1000"), Settings, "audit delete.retention.ms", "differs", Warns, ByChange, "forgets deletions"),
    ("unclean elections", |_, g| set(g, "orders", "unclean.leader.election.enable", "true"), Settings, "orders unclean.leader.election.enable", "differs", Blocks, ByChange, "lost"),
    ("other timestamps", |_, g| set(g, "orders", "message.timestamp.type", "LogAppendTime"), Settings, "orders message.timestamp.type", "differs", Warns, ByChange, "another time"),
    ("future records refused", |_, g| set(g, "orders", "message.timestamp.after.max.ms", "3600000"), Settings, "orders message.timestamp.after.max.ms", "differs", Warns, ByChange, "further ahead"),
    ("old records refused", |_, g| set(g, "orders", "message.timestamp.before.max.ms", "3600000"), Settings, "orders message.timestamp.before.max.ms", "differs", Warns, ByChange, "older"),
    ("another codec", |b, _| set(b, "orders", "compression.type", "zstd"), Settings, "orders compression.type", "differs", Warns, ByChange, "pack records anew"),
    ("another default of one topic", |b, _| set(b, "orders", "segment.ms", "3600000"), Settings, "orders segment.ms", "differs", Warns, ByChange, "otherwise"),
    ("a setting that green has not", |b, _| set(b, "orders", "confluent.value.schema.validation", "true"), Settings, "orders confluent.value.schema.validation", "missing", Notes, Nothing, "Confluent Server"),
    ("a setting that blue has not", |_, g| set(g, "orders", "redpanda.remote.read", "true"), Settings, "orders redpanda.remote.read", "beyond", Notes, Nothing, "Redpanda"),
    ("throttles of a reassignment", |b, _| set(b, "orders", "leader.replication.throttled.replicas", "0:1"), Settings, "orders leader.replication.throttled.replicas", "differs", Notes, Nothing, "names brokers"),
    ("tiered storage", |b, _| set(b, "orders", "remote.storage.enable", "true"), Settings, "orders remote.storage.enable", "differs", Warns, ByHand, "no tiered storage"),
    ("tiered storage on green alone", |_, g| set(g, "orders", "remote.storage.enable", "true"), Settings, "orders remote.storage.enable", "differs", Warns, ByHand, "remote storage"),
    ("how long tiers are kept", |b, _| set(b, "orders", "local.retention.ms", "1000"), Settings, "orders local.retention.ms", "differs", Notes, Nothing, "without tiered storage"),
    ("a setting that is gone", |_, g| for topic in ["audit", "orders", "payments"] { settings_of(g, topic).remove("message.format.version"); }, Settings, "message.format.version of each topic", "missing", Notes, Nothing, "no more since 4.0"),
    ("a value that nobody tells", |b, _| settings_of(b, "orders").get_mut("retention.ms").unwrap().value = None, Settings, "orders retention.ms", "unknown", Notes, Nothing, "does not tell"),
    ("a setting that can't be changed", |b, g| { set(b, "orders", "segment.bytes", "2000000"); settings_of(g, "orders").get_mut("segment.bytes").unwrap().read_only = true; }, Settings, "orders segment.bytes", "differs", Notes, ByHand, "otherwise"),
    ("settings of a topic not told", |b, _| b.topics.get_mut("orders").unwrap().settings = Answer::Hidden(trouble()), Settings, "orders", "unknown", Warns, Nothing, "may not see"),
];

#[rustfmt::skip]
const RIGHTS: &[Kind] = &[
    ("a grant to write is missing", |_, g| _ = acls_of(g).remove(&allow("orders", "User:app", Operation::Write)), Acls, "allow write on topic orders (literal) to User:app from *", "missing", Blocks, ByChange, "User:app is refused"),
    ("a denial is missing", |_, g| _ = acls_of(g).remove(&Acl::deny_write(Resource::Topic, "audit", "User:guest")), Acls, "deny write on topic audit (literal) to User:guest from *", "missing", Blocks, ByChange, "may do on green"),
    ("a grant with a wider one beside it", |b, _| _ = acls_of(b).insert(allow("payments", "User:payer", Operation::Read)), Acls, "allow read on topic payments (literal) to User:payer from *", "missing", Warns, ByChange, "a wider one stands"),
    ("a grant too many", |_, g| _ = acls_of(g).insert(allow("orders", "User:new", Operation::Read)), Acls, "allow read on topic orders (literal) to User:new from *", "beyond", Notes, Nothing, "blue has not"),
    ("a grant to whom blue denies", |_, g| _ = acls_of(g).insert(allow("audit", "User:guest", Operation::Write)), Acls, "allow write on topic audit (literal) to User:guest from *", "beyond", Warns, ByHand, "allows what blue denies"),
    ("a denial too many", |_, g| _ = acls_of(g).insert(Acl::deny_write(Resource::Topic, "orders", "User:*")), Acls, "deny write on topic orders (literal) to User:* from *", "beyond", Blocks, ByHand, "denies what blue allows"),
    ("a denial too many that hits nobody", |_, g| _ = acls_of(g).insert(Acl::deny_write(Resource::Topic, "orders", "User:no")), Acls, "deny write on topic orders (literal) to User:no from *", "beyond", Notes, Nothing, "blue has not"),
    ("an ACL of a kind unknown", |b, _| _ = acls_of(b).insert(Acl { operation: Operation::Unknown, ..allow("orders", "User:app", Operation::Read) }), Acls, "allow unknown on topic orders (literal) to User:app from *", "unknown", Warns, Nothing, "does not know"),
    ("no authorizer on green", |_, g| g.acls = Answer::Unavailable(Unavailable::NoAuthorizer), Acls, "green", "missing", Blocks, ByHand, "green enforces nothing"),
    ("no authorizer on blue", |b, _| b.acls = Answer::Unavailable(Unavailable::NoAuthorizer), Acls, "blue", "beyond", Notes, Nothing, "blue lets everybody"),
    ("ACLs hidden", |b, _| b.acls = Answer::Hidden(trouble()), Acls, "blue", "unknown", Warns, Nothing, "may not see ACLs of blue"),
    ("a user is missing", |_, g| _ = users_of(g).remove("app"), Users, "app", "missing", Blocks, ByHand, "can't log in"),
    ("a mechanism is missing", |_, g| _ = users_of(g).insert("app".into(), [credential(ScramMechanism::Sha256, 4096)].into()), Users, "app", "differs", Blocks, ByHand, "SCRAM-SHA-512 are refused"),
    ("fewer rounds", |b, _| _ = users_of(b).insert("app".into(), [credential(ScramMechanism::Sha256, 9000)].into()), Users, "app", "differs", Notes, Nothing, "fewer rounds"),
    ("a user too many", |_, g| _ = users_of(g).insert("new".into(), [credential(ScramMechanism::Sha256, 9000)].into()), Users, "new", "beyond", Notes, Nothing, "blue has not"),
    ("users not told", |_, g| g.scram_users = Answer::Unknown(trouble()), Users, "green", "unknown", Warns, Nothing, "are not known"),
];

#[rustfmt::skip]
const QUOTAS: &[Kind] = &[
    ("a quota is missing", |_, g| _ = quotas_of(g).remove(&user_quota(None)), Quotas, "default user consumer_byte_rate", "missing", Warns, ByChange, "nothing slows"),
    ("one limit is missing", |_, g| _ = quotas_of(g).get_mut(&user_quota(Some("app"))).unwrap().remove("request_percentage"), Quotas, "user app request_percentage", "missing", Warns, ByChange, "nothing slows"),
    ("a lower quota", |_, g| _ = quotas_of(g).get_mut(&user_quota(Some("app"))).unwrap().insert("producer_byte_rate".into(), 1.0), Quotas, "user app producer_byte_rate", "differs", Warns, ByChange, "earlier than blue"),
    ("a higher quota", |_, g| _ = quotas_of(g).get_mut(&user_quota(Some("app"))).unwrap().insert("producer_byte_rate".into(), 1e9), Quotas, "user app producer_byte_rate", "differs", Warns, ByChange, "later than blue"),
    ("a quota too many", |_, g| _ = quotas_of(g).insert(user_quota(Some("new")), [("producer_byte_rate".to_owned(), 1.0)].into()), Quotas, "user new producer_byte_rate", "beyond", Notes, Nothing, "whom blue does not"),
    ("a quota of a kind unknown", |b, _| _ = quotas_of(b).insert(QuotaEntity([("tenant".to_owned(), None)].into()), [("producer_byte_rate".to_owned(), 1.0)].into()), Quotas, "default tenant producer_byte_rate", "unknown", Warns, Nothing, "tenant"),
    ("quotas not told", |b, _| b.quotas = Answer::Hidden(trouble()), Quotas, "blue", "unknown", Warns, Nothing, "may not see quotas of blue"),
    ("topics hidden on blue", |b, _| b.topics_hidden = Some(trouble()), Topics, "blue", "unknown", Warns, Nothing, "hung up"),
    ("topics hidden on green", |_, g| g.topics_hidden = Some(trouble()), Topics, "green", "unknown", Warns, Nothing, "hung up"),
    ("a broker not told", |_, g| _ = g.brokers.insert(2, Answer::Unknown(trouble())), Cluster, "green", "unknown", Warns, Nothing, "broker 2"),
    ("one cluster under two names", |b, g| g.cluster_id.clone_from(&b.cluster_id), Cluster, "green", "differs", Blocks, Nothing, "one cluster"),
];

fn kinds() -> impl Iterator<Item = &'static Kind> {
    [TOPICS, SETTINGS, RIGHTS, QUOTAS].into_iter().flatten()
}

#[test]
fn clusters_that_are_set_up_the_same_are_equal() {
    let parity = compare_inventories(&cluster(Side::Blue), &cluster(Side::Green), &scope());
    assert_eq!(parity.rows, [], "nothing differs");
    assert_eq!(parity.verdict(), ParityVerdict::Equal);
    assert_eq!(plan_changes(&parity), []);
    let same: Vec<_> = parity.same.iter().map(|(area, count)| (*area, *count)).collect();
    // 36 settings of three topics, three of the 36 as one; two brokers' answers; the rest as in the kit
    assert_eq!(same, [(Cluster, 2), (Topics, 3), (Settings, 102), (Acls, 7), (Users, 2), (Quotas, 4)]);
    let set_apart: Vec<_> = parity.internal.keys().copied().collect();
    assert_eq!(set_apart, [InternalTopic::Kafka, InternalTopic::Streams]);
}

#[test]
fn each_kind_of_drift_is_named_by_one_row() {
    assert!(kinds().count() >= 50, "{}", kinds().count());
    for (kind, drift, area, subject, state, gravity, how, why) in kinds() {
        let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
        drift(&mut blue, &mut green);
        let parity = compare_inventories(&blue, &green, &scope());
        let [row] = parity.rows.as_slice() else { panic!("{kind}: {:#?}", parity.rows) };
        assert_eq!(row.area, *area, "{kind}: {row:?}");
        assert_eq!(row.subject.to_string(), *subject, "{kind}: {row:?}");
        assert_eq!(row.gravity, *gravity, "{kind}: {row:?}");
        assert!(row.why.contains(why), "{kind}: {row:?}");
        let named = match &row.state {
            ParityState::Differs => "differs",
            ParityState::Missing => "missing",
            ParityState::Beyond => "beyond",
            ParityState::Unknown(_) => "unknown",
        };
        assert_eq!(named, *state, "{kind}: {row:?}");
        let mend = match &row.mend {
            Some(Mend::Change(_)) => ByChange,
            // No inventory has schemas.
            Some(Mend::Import | Mend::ByHand(_)) => ByHand,
            None => Nothing,
        };
        assert_eq!(mend, *how, "{kind}: {row:?}");
        let verdict = match (*state, *gravity) {
            ("unknown", _) => ParityVerdict::Unknown,
            (_, Notes) => ParityVerdict::Equal,
            _ => ParityVerdict::Differs,
        };
        assert_eq!(parity.verdict(), verdict, "{kind}");
        assert_eq!(plan_changes(&parity).len(), usize::from(*how == ByChange), "{kind}");
        assert!(*how != ByChange || verdict == ParityVerdict::Differs, "{kind}: what can be mended is not equal");
    }
}

#[test]
fn what_a_change_mends_is_mended() {
    for (kind, drift, .., how, _) in kinds().filter(|kind| kind.6 == ByChange) {
        let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
        drift(&mut blue, &mut green);
        let before = compare_inventories(&blue, &green, &scope());
        plan_changes(&before).iter().for_each(|change| apply_change(&mut green, &defaults(), change));
        let after = compare_inventories(&blue, &green, &scope());
        assert_eq!(after.verdict(), ParityVerdict::Equal, "{kind} ({how:?}): {:#?}", after.rows);
    }
}

#[test]
fn all_kinds_at_once_hide_none() {
    // Those that take a whole part out of sight, or the same place twice, stand alone.
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    let one_each = [
        "smaller batches",
        "unclean elections",
        "a denial is missing",
        "a user is missing",
        "a lower quota",
        "another codec",
    ];
    for (_, drift, ..) in kinds().filter(|kind| one_each.contains(&kind.0)) {
        drift(&mut blue, &mut green);
    }
    let parity = compare_inventories(&blue, &green, &scope());
    let rows: Vec<_> = parity.rows.iter().map(|row| (row.gravity, row.area, row.subject.to_string())).collect();
    assert_eq!(
        rows,
        [
            (Blocks, Settings, "orders max.message.bytes".to_owned()),
            (Blocks, Settings, "orders unclean.leader.election.enable".to_owned()),
            (Blocks, Acls, "deny write on topic audit (literal) to User:guest from *".to_owned()),
            (Blocks, Users, "app".to_owned()),
            (Warns, Settings, "orders compression.type".to_owned()),
            (Warns, Quotas, "user app producer_byte_rate".to_owned()),
        ],
        "the gravest first, then by area and name"
    );
    assert_eq!(
        parity.count_area(Settings),
        ParityCount { same: 99, blocks: 2, warns: 1, mendable: 3, ..ParityCount::default() }
    );
    assert_eq!(plan_changes(&parity).len(), 3, "one change for all settings of a topic");
}

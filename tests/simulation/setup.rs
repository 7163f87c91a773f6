//! How a cluster is set up, read and changed where real Kafka can't be made to go wrong on purpose: three brokers, old ones,
//! answers that are lost.

use std::collections::{BTreeMap, BTreeSet};

use cutover::base::Side;
use cutover::estate::acl::{Acl, Resource};
use cutover::estate::inventory::{
    Inventory, QuotaEntity, ScramCredential, ScramMechanism, Setting, SettingSource, TopicDefinition,
};
use cutover::estate::transactions::{Answer, Since, Unavailable};
use cutover::kafka::control::ChangeOutcome;
use cutover::sim::state::ConnectionCut;
use cutover::sim::{SimCluster, SimConfig};

use crate::rig::Rig;

const DESCRIBE_ACLS: i16 = 29;
const DESCRIBE_CONFIGS: i16 = 32;
const DESCRIBE_CLUSTER: i16 = 60;
const CREATE_PARTITIONS: i16 = 37;
const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
const DESCRIBE_CLIENT_QUOTAS: i16 = 48;
const ALTER_CLIENT_QUOTAS: i16 = 49;
const DESCRIBE_USER_SCRAM_CREDENTIALS: i16 = 50;
const DESCRIBE_TRANSACTIONS: i16 = 65;

fn start() -> Rig {
    let sim = SimCluster::start(SimConfig::new(Side::Green)).unwrap();
    sim.with_state(|s| {
        s.create_topic("orders", 3, 2, &[("retention.ms", "-1")], false).unwrap();
        s.create_topic("__consumer_offsets", 2, 3, &[], false).unwrap();
        s.add_scram_user("alice", ScramCredential { mechanism: ScramMechanism::Sha512, iterations: 4096 });
    });
    Rig::around(Side::Green, sim)
}

impl Rig {
    fn look(&self) -> Inventory {
        self.run(self.cluster.take_inventory()).unwrap()
    }

    fn cut(&self, api: i16, cut: ConnectionCut) {
        self.sim.with_state(|s| s.faults.cut_next(api, 1, cut));
    }

    fn set(&self, topic: &str, entries: &[(&str, &str)]) -> BTreeMap<String, ChangeOutcome> {
        let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let changes = BTreeMap::from([(topic.to_owned(), entries)]);
        self.run(self.cluster.alter_topic_settings(&changes, false)).remove(topic).unwrap()
    }

    fn grow(&self, topic: &str, total: i32) -> ChangeOutcome {
        let totals = BTreeMap::from([(topic.to_owned(), total)]);
        self.run(self.cluster.create_partitions(&totals, false)).remove(topic).unwrap()
    }

    fn limit(&self, entity: &QuotaEntity, limits: &[(&str, f64)]) -> BTreeMap<String, ChangeOutcome> {
        let limits = limits.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        let changes = BTreeMap::from([(entity.clone(), limits)]);
        self.run(self.cluster.alter_quotas(&changes, false)).remove(entity).unwrap()
    }
}

fn setting(topic: &TopicDefinition, name: &str) -> Setting {
    topic.settings.as_told().unwrap_or_else(|| panic!("{topic:?}"))[name].clone()
}

fn own(value: &str) -> Setting {
    Setting { value: Some(value.to_owned()), source: SettingSource::Topic, read_only: false }
}

#[test]
fn one_look_is_whole_and_survives_lost_answers() {
    let rig = start();
    // On no topic: the first ACL on one would hide it from whoever asks here.
    let acl = Acl::deny_write(Resource::TransactionalId, "tx-1", "User:app");
    let app = QuotaEntity::named(&[("client-id", Some("app"))]);
    rig.sim.with_state(|s| s.enable_authorizer());
    assert!(rig.run(rig.cluster.create_acls(&[acl.clone()].into())).values().all(ChangeOutcome::is_done));
    assert!(rig.limit(&app, &[("request_percentage", 50.0)]).values().all(ChangeOutcome::is_done));
    for api in
        [DESCRIBE_ACLS, DESCRIBE_CONFIGS, DESCRIBE_CLIENT_QUOTAS, DESCRIBE_USER_SCRAM_CREDENTIALS, DESCRIBE_CLUSTER]
    {
        // One at a time: each takes along whatever else was asked on its connection.
        rig.cut(api, ConnectionCut::BeforeAnswer);
        is_whole(&rig, &rig.look(), &acl, &app);
    }
}

fn is_whole(rig: &Rig, found: &Inventory, acl: &Acl, app: &QuotaEntity) {
    assert_eq!(found.cluster_id, Some(rig.sim.cluster_id()));
    assert_eq!((found.topics.len(), &found.topics_hidden), (2, &None));
    let orders = &found.topics["orders"];
    assert_eq!((orders.internal, orders.partitions, orders.replicas), (false, 3, (2, 2)));
    assert_eq!(setting(orders, "retention.ms"), own("-1"));
    assert_eq!(setting(orders, "segment.ms").source, SettingSource::Default);
    assert!(found.topics["__consumer_offsets"].internal);
    assert_eq!(found.brokers.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    for (node, settings) in &found.brokers {
        let settings = settings.as_told().unwrap_or_else(|| panic!("broker {node}: {settings:?}"));
        assert_eq!(settings["offsets.retention.minutes"].source, SettingSource::StaticBroker);
    }
    assert_eq!(found.acls, Answer::Told(BTreeSet::from([acl.clone()])));
    let limits = BTreeMap::from([("request_percentage".to_owned(), 50.0)]);
    assert_eq!(found.quotas, Answer::Told(BTreeMap::from([(app.clone(), limits)])));
    let users = found.scram_users.as_told().unwrap();
    assert_eq!(users.keys().collect::<Vec<_>>(), ["alice"]);
}

#[test]
fn a_dead_broker_is_told_in_its_place() {
    let rig = start();
    rig.sim.with_state(|s| s.kill_broker(3));
    let found = rig.look();
    assert_eq!(found.brokers.keys().copied().collect::<Vec<_>>(), [1, 2, 3], "it holds replicas");
    let Answer::Unknown(why) = &found.brokers[&3] else { panic!("{:?}", found.brokers[&3]) };
    assert!(why.what.starts_with("green broker 3 is down"), "{why:?}");
    assert!([1, 2].iter().all(|node| found.brokers[node].as_told().is_some()), "{:?}", found.brokers);
    assert_eq!(found.topics["__consumer_offsets"].replicas, (3, 3), "replicas are counted, dead or alive");
    assert_eq!(setting(&found.topics["orders"], "retention.ms"), own("-1"));
    assert_eq!(found.acls, Answer::Unavailable(Unavailable::NoAuthorizer));
}

#[test]
fn what_an_old_cluster_can_not_say_hides_no_other_part() {
    let rig = start();
    rig.sim.with_state(|s| {
        s.faults.limit_version(DESCRIBE_CLIENT_QUOTAS, -1);
        s.faults.limit_version(DESCRIBE_USER_SCRAM_CREDENTIALS, -1);
    });
    let found = rig.look();
    assert_eq!(found.quotas, Answer::Unavailable(Unavailable::Before(Since::V2_6)));
    assert_eq!(
        found.scram_users,
        Answer::Unavailable(Unavailable::Before(Since::V3_5)),
        "it is newer than ZooKeeper's 2.7"
    );
    assert_eq!(found.acls, Answer::Unavailable(Unavailable::NoAuthorizer));
    assert_eq!(setting(&found.topics["orders"], "retention.ms"), own("-1"));

    let rig = start();
    rig.sim.with_state(|s| {
        s.faults.limit_version(DESCRIBE_TRANSACTIONS, -1);
        s.faults.limit_version(DESCRIBE_USER_SCRAM_CREDENTIALS, -1);
        s.faults.limit_version(INCREMENTAL_ALTER_CONFIGS, -1);
    });
    assert_eq!(rig.look().scram_users, Answer::Unavailable(Unavailable::Before(Since::V2_7)));
    let refused = &rig.set("orders", &[("retention.ms", "5")])["retention.ms"];
    assert!(matches!(refused, ChangeOutcome::Refused(t) if t.advice.contains("2.3 or later")), "{refused:?}");
}

#[test]
fn a_change_whose_answer_is_lost_is_unknown_and_not_sent_again() {
    for cut in [ConnectionCut::BeforeAnswer, ConnectionCut::BeforeEffect] {
        let rig = start();
        let stands = cut == ConnectionCut::BeforeAnswer;
        let app = QuotaEntity::named(&[("user", None)]);
        for api in [INCREMENTAL_ALTER_CONFIGS, CREATE_PARTITIONS, ALTER_CLIENT_QUOTAS] {
            rig.cut(api, cut);
        }
        // With one that would be refused: of what is unknown nothing is sent entry by entry.
        let set = rig.set("orders", &[("retention.ms", "5"), ("segment.ms", "7")]);
        assert!(set.values().all(|o| matches!(o, ChangeOutcome::Unknown(_))) && set.len() == 2, "{set:?}");
        let grown = rig.grow("orders", 5);
        assert!(matches!(grown, ChangeOutcome::Unknown(_)), "{grown:?}");
        let limited = rig.limit(&app, &[("producer_byte_rate", 1e6)]);
        assert!(matches!(limited["producer_byte_rate"], ChangeOutcome::Unknown(_)), "{limited:?}");
        let found = rig.look();
        let orders = &found.topics["orders"];
        assert_eq!(setting(orders, "segment.ms") == own("7"), stands, "{cut:?}");
        assert_eq!(orders.partitions, if stands { 5 } else { 3 }, "{cut:?}");
        assert_eq!(found.quotas.as_told().unwrap().contains_key(&app), stands, "{cut:?}");
    }
}

#[test]
fn one_refused_entry_keeps_no_other_back() {
    let rig = start();
    let set = rig.set("orders", &[("max.message.bytes", "much"), ("no.such", "1"), ("retention.ms", "5")]);
    let refused = |name: &str, word: &str| {
        assert!(matches!(&set[name], ChangeOutcome::Refused(t) if t.what.contains(word)), "{set:?}");
    };
    refused("no.such", "Unknown topic config name: no.such");
    refused("max.message.bytes", "Invalid value much");
    assert_eq!(set["retention.ms"], ChangeOutcome::Done);
    let app = QuotaEntity::named(&[("user", Some("app"))]);
    let limited = rig.limit(&app, &[("nonsense", 1.0), ("producer_byte_rate", 1e6)]);
    assert_eq!(limited["producer_byte_rate"], ChangeOutcome::Done);
    assert!(matches!(&limited["nonsense"], ChangeOutcome::Refused(t) if t.what.contains("nonsense")), "{limited:?}");
    let smaller = rig.grow("orders", 2);
    assert!(
        matches!(&smaller, ChangeOutcome::Refused(t) if t.what.contains("would not be an increase")),
        "{smaller:?}"
    );
    assert_eq!(rig.grow("orders", 4), ChangeOutcome::Done);
    let found = rig.look();
    assert_eq!((found.topics["orders"].partitions, setting(&found.topics["orders"], "retention.ms")), (4, own("5")));
}

#[test]
fn what_is_only_checked_changes_nothing() {
    let rig = start();
    let before = rig.look();
    let settings = BTreeMap::from([("no.such".to_owned(), "1".to_owned()), ("segment.ms".to_owned(), "7".to_owned())]);
    let checked = rig.run(rig.cluster.alter_topic_settings(&BTreeMap::from([("orders".to_owned(), settings)]), true));
    assert_eq!(checked["orders"]["segment.ms"], ChangeOutcome::Done);
    assert!(matches!(checked["orders"]["no.such"], ChangeOutcome::Refused(_)), "{checked:?}");
    let totals = BTreeMap::from([("orders".to_owned(), 9)]);
    assert!(rig.run(rig.cluster.create_partitions(&totals, true)).values().all(ChangeOutcome::is_done));
    let app = QuotaEntity::named(&[("user", Some("app"))]);
    let limits = BTreeMap::from([(app, BTreeMap::from([("producer_byte_rate".to_owned(), 1.0)]))]);
    assert!(
        rig.run(rig.cluster.alter_quotas(&limits, true))
            .values()
            .flat_map(BTreeMap::values)
            .all(ChangeOutcome::is_done)
    );
    assert_eq!(rig.look(), before);
}

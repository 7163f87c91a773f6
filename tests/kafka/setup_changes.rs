//! How a cluster is set up, changed on real Kafka: each kind of change done, done again, only checked, and refused, in the
//! broker's own words. 4.3.1 with KRaft, and 2.8.2 with ZooKeeper.

use std::collections::BTreeMap;

use cutover::estate::acl::{Acl, Resource};
use cutover::estate::inventory::{Inventory, QuotaEntity};
use cutover::estate::transactions::{Answer, Unavailable};
use cutover::kafka::control::{ChangeOutcome, NewTopic};

use crate::inventory::{Parts, explicit, look_until, plainly, run, seeded_acls, seeded_new, settings};
use crate::support::kafka::{Broker, create_topic, old_blue, pair};
use crate::support::unique;

#[test]
fn who_may_not_change_is_refused_and_told_which_right_it_takes() {
    let s = seeded_new();
    look_until(&s.admin(), |found| found.acls.as_told() == Some(&seeded_acls()));
    let reader = s.user("reader");
    let refused = |outcome: &ChangeOutcome, right: &str| {
        let ChangeOutcome::Refused(why) = outcome else { panic!("{outcome:?}") };
        assert!(why.what.contains("AUTHORIZATION_FAILED") && why.advice.contains(right), "{why:?}");
    };
    let set = changes("orders", &[("retention.ms", "5"), ("segment.ms", "7")]);
    let set = run(reader.alter_topic_settings(&set, false)).remove("orders").unwrap();
    assert_eq!(set.len(), 2);
    set.values().for_each(|outcome| refused(outcome, "ALTER_CONFIGS on the topic"));
    let grown = run(reader.create_partitions(&BTreeMap::from([("orders".to_owned(), 9)]), false));
    refused(&grown["orders"], "ALTER on the topic");
    let (entity, limits) = limits(&[("user", Some("reader"))], &[("producer_byte_rate", 1e9)]);
    let limited = run(reader.alter_quotas(&BTreeMap::from([(entity.clone(), limits)]), false));
    refused(&limited[&entity]["producer_byte_rate"], "ALTER_CONFIGS on the cluster");
    let topic = NewTopic::new(unique("setup-denied"), 1, 1);
    let made = run(reader.create_topics(std::slice::from_ref(&topic), false)).unwrap();
    refused(&made[&topic.name], "CREATE on the topic");
    let acl = Acl::deny_write(Resource::Topic, unique("setup-denied"), "User:else");
    let granted = run(reader.create_acls(&[acl.clone()].into()));
    refused(&granted[&acl], "ALTER on the cluster");
    let found = run(s.admin().take_inventory()).unwrap();
    assert!(!found.topics.contains_key(&topic.name) && found.topics["orders"].partitions == 3);
    assert!(!found.acls.as_told().unwrap().contains(&acl));
}

/// On a cluster without an authorizer.
fn topics_are_made_once_and_only_as_asked(broker: &Broker) {
    let cluster = plainly(broker);
    let names = ["made", "checked", "unknown", "wide", "wrong"].map(|name| unique(&format!("setup-{name}")));
    let [made, checked, unknown, wide, wrong] = &names;
    let retention = |name: &String| NewTopic::new(name, 3, 1).with("retention.ms", "1234567");

    let only = run(cluster.create_topics(&[retention(checked)], true)).unwrap();
    assert_eq!(only[checked], ChangeOutcome::Done);
    let asked = [
        retention(made).with("cleanup.policy", "compact"),
        retention(unknown).with("no.such.setting", "1"),
        NewTopic::new(wide, 1, 2),
        NewTopic::new(wrong, 1, 1).with("retention.ms", "soon"),
    ];
    let outcomes = run(cluster.create_topics(&asked, false)).unwrap();
    assert_eq!(outcomes[made], ChangeOutcome::Done, "{outcomes:?}");
    refused_for(&outcomes[unknown], "no.such.setting");
    refused_for(&outcomes[wide], "INVALID_REPLICATION_FACTOR");
    refused_for(&outcomes[wrong], "soon");

    // A second time, and otherwise: what stands stays as it is.
    let again = [NewTopic::new(made, 5, 1).with("retention.ms", "7654321")];
    refused_for(&run(cluster.create_topics(&again, false)).unwrap()[made], "TOPIC_ALREADY_EXISTS");
    refused_for(&run(cluster.create_topics(&again, true)).unwrap()[made], "TOPIC_ALREADY_EXISTS");
    let found = look_until(&cluster, |found| found.topics.contains_key(made));
    assert_eq!((found.topics[made].partitions, found.topics[made].replicas), (3, (1, 1)));
    let set = BTreeMap::from([("cleanup.policy", "compact"), ("retention.ms", "1234567")]);
    assert_eq!(explicit(&found.topics[made]), set);
    assert!([checked, unknown, wide, wrong].iter().all(|name| !found.topics.contains_key(*name)));

    let acl = Acl::deny_write(Resource::Topic, made, "User:app");
    let granted = run(cluster.create_acls(&[acl.clone()].into()));
    refused_for(&granted[&acl], "SECURITY_DISABLED");
}

#[test]
fn topics_are_made_once_and_only_as_asked_on_the_newest_kafka() {
    topics_are_made_once_and_only_as_asked(&pair().blue);
}

#[test]
fn topics_are_made_once_and_only_as_asked_on_kafka_2_8() {
    topics_are_made_once_and_only_as_asked(old_blue());
}

#[test]
fn what_is_there_already_is_done_or_said() {
    let cluster = plainly(&pair().blue);
    let (topic, client) = (unique("setup-twice"), unique("setup-twice-client"));
    let made = run(cluster.create_topics(&[NewTopic::new(&topic, 2, 1)], false)).unwrap();
    assert_eq!(made[&topic], ChangeOutcome::Done);
    let set = changes(&topic, &[("retention.ms", "1234567")]);
    let (entity, rates) = limits(&[("client-id", Some(&client))], &[("producer_byte_rate", 1e9)]);
    let rates = BTreeMap::from([(entity.clone(), rates)]);
    for _ in 0..2 {
        assert_eq!(run(cluster.alter_topic_settings(&set, false))[&topic]["retention.ms"], ChangeOutcome::Done);
        assert_eq!(run(cluster.alter_quotas(&rates, false))[&entity]["producer_byte_rate"], ChangeOutcome::Done);
    }
    let same = run(cluster.create_partitions(&BTreeMap::from([(topic.clone(), 2)]), false));
    refused_for(&same[&topic], "INVALID_PARTITIONS");
    let found = look_until(&cluster, |found| {
        found.quotas.as_told().is_some_and(|quotas| quotas.contains_key(&entity))
            && found.topics.get(&topic).is_some_and(|t| !explicit(t).is_empty())
    });
    assert_eq!(explicit(&found.topics[&topic]), BTreeMap::from([("retention.ms", "1234567")]));
    assert_eq!(found.topics[&topic].partitions, 2);
    assert_eq!(found.quotas.as_told().unwrap()[&entity], rates[&entity]);

    // ACLs want an authorizer; what is seeded there is read exactly by other tests, so nothing is added.
    let admin = seeded_new().admin();
    let known = seeded_acls();
    let before = look_until(&admin, |found| found.acls.as_told() == Some(&known)).acls;
    assert!(run(admin.create_acls(&known)).values().all(ChangeOutcome::is_done));
    assert_eq!(run(admin.take_inventory()).unwrap().acls, before);
}

fn changes(topic: &str, entries: &[(&str, &str)]) -> BTreeMap<String, BTreeMap<String, String>> {
    let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    BTreeMap::from([(topic.to_owned(), entries)])
}

fn limits(parts: Parts<'_>, limits: &[(&str, f64)]) -> (QuotaEntity, BTreeMap<String, f64>) {
    (QuotaEntity::named(parts), limits.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect())
}

fn refused_for(outcome: &ChangeOutcome, words: &str) {
    let ChangeOutcome::Refused(why) = outcome else { panic!("{outcome:?}") };
    assert!(why.what.contains(words), "in the broker's own words: {why:?}");
}

/// On a cluster without an authorizer.
fn changes_are_applied_and_read_back(broker: &Broker) {
    let cluster = plainly(broker);
    let (topic, other, gone) = (unique("setup"), unique("setup-other"), unique("setup-gone"));
    create_topic(broker, &topic, 2, &[("min.compaction.lag.ms", "20000"), ("max.compaction.lag.ms", "30000")]);
    create_topic(broker, &other, 2, &[]);

    // What is only checked, with names that are not touched again below.
    let checked = changes(&topic, &[("segment.ms", "7654321"), ("segment.bytes", "few")]);
    let checked = run(cluster.alter_topic_settings(&checked, true)).remove(&topic).unwrap();
    assert_eq!(checked["segment.ms"], ChangeOutcome::Done);
    refused_for(&checked["segment.bytes"], "few");
    let totals = BTreeMap::from([(other.clone(), 9)]);
    assert_eq!(run(cluster.create_partitions(&totals, true))[&other], ChangeOutcome::Done);

    // The lags can only be lowered in one order, and two entries in none.
    let lags = [("max.compaction.lag.ms", "5000"), ("min.compaction.lag.ms", "1000")];
    let mut wanted = changes(&topic, &[&lags[..], &[("no.such.setting", "1"), ("retention.ms", "soon")]].concat());
    wanted.extend(changes(&other, &[("retention.ms", "1234567")]));
    wanted.extend(changes(&gone, &[("retention.ms", "1234567")]));
    let set = run(cluster.alter_topic_settings(&wanted, false));
    assert_eq!(lags.map(|(name, _)| set[&topic][name].clone()), [ChangeOutcome::Done, ChangeOutcome::Done], "{set:?}");
    refused_for(&set[&topic]["no.such.setting"], "no.such.setting");
    refused_for(&set[&topic]["retention.ms"], "soon");
    assert_eq!(set[&other]["retention.ms"], ChangeOutcome::Done);
    refused_for(&set[&gone]["retention.ms"], "UNKNOWN_TOPIC_OR_PARTITION");

    let totals = BTreeMap::from([(topic.clone(), 5), (other.clone(), 1)]);
    let grown = run(cluster.create_partitions(&totals, false));
    assert_eq!(grown[&topic], ChangeOutcome::Done);
    refused_for(&grown[&other], "INVALID_PARTITIONS");

    let client = unique("setup-client");
    let (app, rates) = limits(&[("client-id", Some(&client))], &[("nonsense", 1.0), ("producer_byte_rate", 1.5e9)]);
    let (both, percent) = limits(&[("client-id", Some(&client)), ("user", None)], &[("request_percentage", 750.5)]);
    let (unchanged, checked) = limits(&[("client-id", Some(&unique("setup-checked")))], &[("producer_byte_rate", 1e9)]);
    let limited = run(cluster.alter_quotas(&BTreeMap::from([(app.clone(), rates), (both.clone(), percent)]), false));
    assert_eq!(limited[&app]["producer_byte_rate"], ChangeOutcome::Done, "{limited:?}");
    refused_for(&limited[&app]["nonsense"], "nonsense");
    assert_eq!(limited[&both]["request_percentage"], ChangeOutcome::Done);
    let only = run(cluster.alter_quotas(&BTreeMap::from([(unchanged.clone(), checked)]), true));
    assert_eq!(only[&unchanged]["producer_byte_rate"], ChangeOutcome::Done);

    let own = |found: &Inventory, topic: &str, name: &str| {
        settings(&found.topics[topic]).get(name).filter(|s| s.source.is_explicit()).and_then(|s| s.value.clone())
    };
    let found = look_until(&cluster, |found| {
        found.topics.get(&topic).is_some_and(|t| t.partitions == 5)
            && lags.iter().all(|(name, value)| own(found, &topic, name).as_deref() == Some(value))
            && own(found, &other, "retention.ms").is_some()
            && found.quotas.as_told().is_some_and(|all| all.contains_key(&app) && all.contains_key(&both))
    });
    assert_eq!((found.topics[&topic].partitions, found.topics[&other].partitions), (5, 2));
    assert_eq!(explicit(&found.topics[&topic]), BTreeMap::from(lags), "and nothing else of it");
    assert_eq!(explicit(&found.topics[&other]), BTreeMap::from([("retention.ms", "1234567")]));
    let quotas = found.quotas.as_told().unwrap();
    assert_eq!(quotas[&app], BTreeMap::from([("producer_byte_rate".to_owned(), 1.5e9)]));
    assert_eq!(quotas[&both], BTreeMap::from([("request_percentage".to_owned(), 750.5)]));
    assert!(!quotas.contains_key(&unchanged), "it was only checked");
    assert_eq!(found.acls, Answer::Unavailable(Unavailable::NoAuthorizer), "an answer, and no empty list");
    assert_eq!((found.topics_hidden, found.scram_users), (None, Answer::Told(BTreeMap::new())));
}

#[test]
fn changes_are_applied_and_read_back_on_the_newest_kafka() {
    changes_are_applied_and_read_back(&pair().blue);
}

#[test]
fn changes_are_applied_and_read_back_on_kafka_2_8() {
    changes_are_applied_and_read_back(old_blue());
}

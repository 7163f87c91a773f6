//! How a cluster is set up, read from real Kafka: 4.3.1 with KRaft, and 2.8.2 with ZooKeeper, with an authorizer and without.
//! What is seeded goes over the bare wire, so that it owes nothing to what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use cutover::base::Side;
use cutover::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use cutover::estate::inventory::{
    Inventory, QuotaEntity, ScramCredential, ScramMechanism, Setting, SettingSource, TopicDefinition,
};
use cutover::estate::transactions::Answer;
use cutover::kafka::control::Cluster;
use cutover::kafka::properties::ClientProperties;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest, IncrementalAlterConfigsRequest,
};

use crate::conformance::{Wire, text};
use crate::support::kafka::{Broker, HeldPort, commit_offsets, connect_as, create_topic, start_guarded};
use crate::support::patience::Patience;

/// How long what was changed may take to show everywhere.
const WITHIN: Duration = Duration::from_secs(60);
/// The protocol's number for settings of a broker.
const BROKER: i8 = 4;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(240), future).await.expect("a bound on everything")
    })
}

/// As nobody in particular, on the plain listener.
pub(crate) fn plainly(broker: &Broker) -> Cluster {
    Cluster::new(Side::Blue, &broker.bootstrap, &ClientProperties::default())
}

/// Looks until what was changed shows: the controller has it before every broker does. What is still missing then is for
/// the caller to say.
pub(crate) fn look_until(cluster: &Cluster, shows: impl Fn(&Inventory) -> bool) -> Inventory {
    let mut patience = Patience::new(WITHIN);
    loop {
        let found = run(cluster.take_inventory()).unwrap();
        if shows(&found) || patience.left().is_none() {
            return found;
        }
    }
}

pub(crate) fn settings(topic: &TopicDefinition) -> &BTreeMap<String, Setting> {
    topic.settings.as_told().unwrap_or_else(|| panic!("{topic:?}"))
}

fn setting(value: &str, source: SettingSource) -> Setting {
    Setting { value: Some(value.to_owned()), source, read_only: false }
}

/// What was set on a topic itself.
pub(crate) fn explicit(topic: &TopicDefinition) -> BTreeMap<&str, &str> {
    let own = settings(topic).iter().filter(|(_, s)| s.source.is_explicit());
    own.map(|(name, s)| (name.as_str(), s.value.as_deref().unwrap_or("hidden"))).collect()
}

pub(crate) type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

/// Whom limits are seeded for, and which: none that slows these tests down.
const QUOTAS: [(Parts<'_>, &str, f64); 7] = [
    (&[("user", Some("alice"))], "producer_byte_rate", 1e9),
    (&[("user", Some("alice"))], "request_percentage", 750.5),
    (&[("user", None)], "consumer_byte_rate", 2e9),
    (&[("client-id", Some("loan api/1"))], "producer_byte_rate", 3e9),
    (&[("client-id", None)], "request_percentage", 900.0),
    (&[("user", Some("alice")), ("client-id", None)], "controller_mutation_rate", 40.0),
    (&[("ip", Some("10.9.8.7"))], "connection_creation_rate", 50.0),
];

fn seeded_quotas() -> BTreeMap<QuotaEntity, BTreeMap<String, f64>> {
    let mut all: BTreeMap<QuotaEntity, BTreeMap<String, f64>> = BTreeMap::new();
    for (parts, name, value) in QUOTAS {
        all.entry(QuotaEntity::named(parts)).or_default().insert(name.to_owned(), value);
    }
    all
}

pub(crate) fn seeded_acls() -> BTreeSet<Acl> {
    use {AclPattern as P, Operation as O, Permission as A, Resource as R};
    let acl = |resource, pattern, name: &str, principal: &str, host: &str, operation, permission| Acl {
        resource,
        name: name.to_owned(),
        pattern,
        principal: principal.to_owned(),
        host: host.to_owned(),
        operation,
        permission,
    };
    BTreeSet::from([
        acl(R::Topic, P::Literal, "orders", "User:app", "*", O::Write, A::Allow),
        acl(R::Topic, P::Literal, "orders", "User:reader", "*", O::Describe, A::Allow),
        acl(R::Topic, P::Prefixed, "or", "User:app", "10.0.0.7", O::Read, A::Allow),
        acl(R::Topic, P::Literal, "*", "User:mallory", "*", O::All, A::Deny),
        acl(R::Group, P::Prefixed, "loan-", "User:app", "*", O::Read, A::Allow),
        acl(R::TransactionalId, P::Literal, "tx-1", "User:app", "*", O::Write, A::Allow),
        acl(R::TransactionalId, P::Prefixed, "tx-", "User:app", "*", O::Describe, A::Allow),
        acl(R::Cluster, P::Literal, "kafka-cluster", "User:app", "*", O::IdempotentWrite, A::Allow),
        acl(R::Cluster, P::Literal, "kafka-cluster", "User:auditor", "*", O::Describe, A::Allow),
        acl(R::DelegationToken, P::Literal, "token-1", "User:app", "*", O::Describe, A::Allow),
    ])
}

fn seeded_users() -> BTreeMap<String, BTreeSet<ScramCredential>> {
    let credential = |mechanism, iterations| ScramCredential { mechanism, iterations };
    BTreeMap::from([
        (
            "alice".to_owned(),
            [credential(ScramMechanism::Sha256, 8192), credential(ScramMechanism::Sha512, 4096)].into(),
        ),
        ("bob \u{fc}".to_owned(), [credential(ScramMechanism::Sha512, 4096)].into()),
    ])
}

/// A cluster with an authorizer that is set up in odd ways. ANONYMOUS, on the plain listener, may do everything; of the
/// users of SASL each may do what the seeded ACLs say.
pub(crate) struct Seeded {
    broker: Broker,
    sasl: HeldPort,
}

impl Seeded {
    fn start(name: &str, old: bool) -> Seeded {
        let (broker, sasl) = start_guarded(name, old, &["nobody", "auditor", "reader"]);
        create_topic(
            &broker,
            "orders",
            3,
            &[("cleanup.policy", "compact"), ("max.message.bytes", "2097152"), ("retention.ms", "-1")],
        );
        create_topic(&broker, "plain", 1, &[]);
        commit_offsets(&broker, "loan-group", "plain", &[0]);
        seed(&broker);
        Seeded { broker, sasl }
    }

    pub(crate) fn admin(&self) -> Cluster {
        plainly(&self.broker)
    }

    pub(crate) fn user(&self, name: &str) -> Cluster {
        connect_as(Side::Blue, &self.sasl, name)
    }
}

/// Makes ACLs without the code that is under test.
pub(crate) fn seed_acls<'a>(wire: &mut Wire, acls: impl IntoIterator<Item = &'a Acl>) {
    let creation = |acl: &Acl| {
        AclCreation::default()
            .with_resource_type(acl.resource as i8)
            .with_resource_name(text(&acl.name))
            .with_resource_pattern_type(acl.pattern as i8)
            .with_principal(text(&acl.principal))
            .with_host(text(&acl.host))
            .with_operation(acl.operation as i8)
            .with_permission_type(acl.permission as i8)
    };
    let acls = acls.into_iter().map(creation).collect();
    let answer = wire.call(2, &CreateAclsRequest::default().with_creations(acls));
    assert!(answer.results.iter().all(|r| r.error_code == 0), "{answer:?}");
}

fn seed(broker: &Broker) {
    let mut wire = Wire::connect(&broker.bootstrap);
    seed_acls(&mut wire, &seeded_acls());

    let part = |(kind, name): (&String, &Option<String>)| {
        EntityData::default().with_entity_type(text(kind)).with_entity_name(name.as_deref().map(text))
    };
    let op = |(key, value): (&String, &f64)| OpData::default().with_key(text(key)).with_value(*value);
    let entries = seeded_quotas().into_iter().map(|(entity, limits)| {
        EntryData::default().with_entity(entity.0.iter().map(part).collect()).with_ops(limits.iter().map(op).collect())
    });
    let answer = wire.call(1, &AlterClientQuotasRequest::default().with_entries(entries.collect()));
    assert!(answer.entries.iter().all(|e| e.error_code == 0), "{answer:?}");

    for (name, credentials) in seeded_users() {
        for c in credentials {
            // Alone: "a user credential cannot be altered twice in the same request".
            let upsertion = ScramCredentialUpsertion::default()
                .with_name(text(&name))
                .with_mechanism(c.mechanism as i8)
                .with_iterations(c.iterations)
                .with_salt(vec![7; 20].into())
                // Nobody comes by it: that it is no password's is all the same.
                .with_salted_password(vec![9; if c.mechanism == ScramMechanism::Sha512 { 64 } else { 32 }].into());
            let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
            let answer = wire.call(0, &request);
            assert!(answer.results.iter().all(|r| r.error_code == 0), "{answer:?}");
        }
    }

    // For all brokers, while they run: it is the default of every topic from then on.
    let retention = AlterableConfig::default().with_name(text("log.retention.ms")).with_value(Some(text("7654321")));
    let resource = AlterConfigsResource::default().with_resource_type(BROKER).with_configs(vec![retention]);
    let answer = wire.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]));
    assert!(answer.responses.iter().all(|r| r.error_code == 0), "{answer:?}");
}

pub(crate) fn seeded_new() -> &'static Seeded {
    static NEW: OnceLock<Seeded> = OnceLock::new();
    NEW.get_or_init(|| Seeded::start("seeded", false))
}

fn seeded_old() -> &'static Seeded {
    static OLD: OnceLock<Seeded> = OnceLock::new();
    OLD.get_or_init(|| Seeded::start("seeded-old", true))
}

fn is_read_exactly(s: &Seeded) {
    let (acls, users, quotas) = (seeded_acls(), seeded_users(), seeded_quotas());
    let retention = setting("7654321", SettingSource::DynamicDefault);
    let found = look_until(&s.admin(), |found| {
        found.acls.as_told() == Some(&acls)
            && found.scram_users.as_told() == Some(&users)
            && found.quotas.as_told() == Some(&quotas)
            && settings(&found.topics["plain"])["retention.ms"] == retention
    });
    assert_eq!(found.acls, Answer::Told(acls));
    assert_eq!(found.scram_users, Answer::Told(users));
    assert_eq!(found.quotas, Answer::Told(quotas));
    assert_eq!(found.topics.keys().collect::<Vec<_>>(), ["__consumer_offsets", "orders", "plain"]);
    assert_eq!(found.topics_hidden, None);

    let shape = |name: &str| {
        let topic = &found.topics[name];
        (topic.internal, topic.partitions, topic.replicas)
    };
    assert_eq!(shape("orders"), (false, 3, (1, 1)));
    assert_eq!(shape("__consumer_offsets"), (true, 4, (1, 1)));
    let orders = [("cleanup.policy", "compact"), ("max.message.bytes", "2097152"), ("retention.ms", "-1")];
    assert_eq!(explicit(&found.topics["orders"]), BTreeMap::from(orders));
    assert_eq!(explicit(&found.topics["plain"]), BTreeMap::new());
    assert_eq!(explicit(&found.topics["__consumer_offsets"])["cleanup.policy"], "compact");
    let plain = settings(&found.topics["plain"]);
    assert_eq!(plain["retention.ms"], retention, "of all brokers, while they run");
    assert_eq!(plain["file.delete.delay.ms"], setting("1000", SettingSource::StaticBroker), "of the broker's file");
    assert_eq!(plain["segment.bytes"], setting("1073741824", SettingSource::Default));

    assert_eq!(found.brokers.keys().collect::<Vec<_>>(), [&1]);
    let broker = found.brokers[&1].as_told().unwrap_or_else(|| panic!("{:?}", found.brokers));
    assert_eq!(broker["num.io.threads"], setting("4", SettingSource::StaticBroker));
    assert_eq!(broker["log.retention.ms"], setting("7654321", SettingSource::DynamicDefault));
    let fixed = Setting { read_only: true, ..setting("4", SettingSource::StaticBroker) };
    assert_eq!(broker["offsets.topic.num.partitions"], fixed);
    let secret = &broker["listener.name.sasl.plain.sasl.jaas.config"];
    assert_eq!((&secret.value, secret.source), (&None, SettingSource::StaticBroker), "a secret stays one");
    let written = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Inventory>(&written).unwrap(), found);
}

#[test]
fn a_seeded_cluster_is_read_exactly() {
    is_read_exactly(seeded_new());
}

#[test]
fn a_seeded_cluster_of_2_8_is_read_exactly() {
    is_read_exactly(seeded_old());
}

/// Why something is hidden.
fn hidden<T: std::fmt::Debug>(answer: &Answer<T>, right: &str) {
    let Answer::Hidden(why) = answer else { panic!("not hidden: {answer:?}") };
    assert!(why.what.contains("AUTHORIZATION_FAILED"), "{why:?}");
    assert!(why.advice.contains(&format!("principal {right} on the ")), "{why:?}");
}

fn who_may_not_see_is_told_so(s: &Seeded) {
    // Only then rights are what they will be.
    let (acls, users) = (seeded_acls(), seeded_users());
    look_until(&s.admin(), |found| found.acls.as_told() == Some(&acls) && found.scram_users.as_told() == Some(&users));

    let nothing = run(s.user("nobody").take_inventory()).unwrap();
    assert_eq!(nothing.topics, BTreeMap::new());
    let why = nothing.topics_hidden.expect("there are topics, and none is shown");
    assert!(why.what.contains("only those topics of blue that it may DESCRIBE"), "{why:?}");
    assert_eq!(nothing.brokers.len(), 1);
    hidden(&nothing.brokers[&1], "DESCRIBE_CONFIGS");
    hidden(&nothing.acls, "DESCRIBE");
    hidden(&nothing.scram_users, "DESCRIBE");
    hidden(&nothing.quotas, "DESCRIBE_CONFIGS");

    let reader = run(s.user("reader").take_inventory()).unwrap();
    assert_eq!(reader.topics.keys().collect::<Vec<_>>(), ["orders"]);
    assert!(reader.topics_hidden.is_some());
    assert_eq!(reader.topics["orders"].partitions, 3);
    hidden(&reader.topics["orders"].settings, "DESCRIBE_CONFIGS");

    let auditor = run(s.user("auditor").take_inventory()).unwrap();
    assert_eq!((auditor.acls, auditor.scram_users), (Answer::Told(acls), Answer::Told(users)));
    hidden(&auditor.quotas, "DESCRIBE_CONFIGS");
    hidden(&auditor.brokers[&1], "DESCRIBE_CONFIGS");
    assert!(auditor.topics.is_empty() && auditor.topics_hidden.is_some());
}

#[test]
fn who_may_not_see_is_told_so_part_by_part() {
    who_may_not_see_is_told_so(seeded_new());
}

#[test]
fn who_may_not_see_is_told_so_part_by_part_by_2_8() {
    who_may_not_see_is_told_so(seeded_old());
}

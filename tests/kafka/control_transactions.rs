//! Transactions, producers and ACLs through the control plane on real Kafka: 4.3.1, and 2.8.2 as far as it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cutover::base::{At, Side, TopicPartition};
use cutover::estate::acl::{Acl, AclFilter, Operation, Resource};
use cutover::estate::transactions::{
    Answer, Fencing, Hanging, ListedTransaction, ProducerView, Since, TransactionState, TransactionView, Unavailable,
};
use cutover::kafka::control::{ChangeOutcome, Cluster, TransactionFilter, in_force};
use cutover::kafka::properties::ClientProperties;
use cutover::sim::state::batch::encode_batch;
use cutover::sim::state::{BatchProducer, NewRecord};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::conformance::{Wire, text, word};
use crate::support::kafka::{
    Broker, HeldPort, consumer, create_topic, end_offsets, old_blue, pair, producer, take_port, throwaway, tool_output,
};
use crate::support::unique;

const WITHIN: Duration = Duration::from_secs(240);

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(240), future).await.expect("a bound") })
}

fn cluster(bootstrap: &str, properties: &[(&str, &str)]) -> Cluster {
    let entries: BTreeMap<String, String> = properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Cluster::new(Side::Blue, bootstrap, &ClientProperties::new(entries))
}

/// Waits for a condition, at most two minutes: a JVM may have to start, on a busy machine.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(240), "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn now() -> At {
    At(rdkafka::Timestamp::now().to_millis().unwrap())
}

/// A topic with one partition, and a transactional producer that has one record of an open transaction in it.
struct Open {
    tp: TopicPartition,
    id: String,
    producer: BaseProducer,
}

impl Open {
    fn on(broker: &Broker, properties: &[(&str, &str)]) -> Open {
        let (topic, id) = (unique("txn"), unique("txn-id"));
        create_topic(broker, &topic, 1, &[]);
        let producer = producer(broker, &[&[("transactional.id", id.as_str())], properties].concat());
        producer.init_transactions(WITHIN).unwrap();
        producer.begin_transaction().unwrap();
        let open = Open { tp: TopicPartition::new(&topic, 0), id, producer };
        open.write();
        open
    }

    fn write(&self) {
        let record = BaseRecord::<str, str>::to(&self.tp.topic).partition(0).payload("x");
        self.producer.send(record).map_err(|(e, _)| e).unwrap();
        self.producer.flush(WITHIN).unwrap();
    }

    fn described(&self, cluster: &Cluster) -> TransactionView {
        let found = run(cluster.describe_transactions(slice::from_ref(&self.id))).remove(&self.id).unwrap();
        let Answer::Told(Some(view)) = found else { panic!("{found:?}") };
        view
    }

    fn written(&self, cluster: &Cluster) -> Vec<ProducerView> {
        let found = run(cluster.describe_producers(slice::from_ref(&self.tp))).remove(&self.tp).unwrap();
        let Answer::Told(view) = found else { panic!("{found:?}") };
        view
    }
}

fn listed(cluster: &Cluster, filter: &TransactionFilter) -> Vec<ListedTransaction> {
    let mut found = run(cluster.list_transactions(filter)).unwrap();
    let Some(Answer::Told(listed)) = found.remove(&1) else { panic!("{found:?}") };
    listed
}

#[test]
fn an_open_transaction_is_described_listed_and_aged() {
    let broker = &pair().blue;
    let cluster = cluster(&broker.bootstrap, &[]);
    let (before, group) = (now(), unique("txn-group"));
    let open = Open::on(broker, &[]);
    let view = open.described(&cluster);
    assert_eq!((view.state, view.timeout_ms, view.coordinator), (TransactionState::Ongoing, 60_000, 1));
    assert_eq!(view.partitions, slice::from_ref(&open.tp));
    let started = view.started.unwrap();
    assert!(before <= started && started <= now(), "{before:?} {started:?}");
    assert_eq!(view.open_for_ms(started.plus(70_000)), Some(70_000));
    assert!(view.is_overlong(started.plus(70_000)) && !view.is_overlong(started));

    let [writer] = &open.written(&cluster)[..] else { panic!("one writer") };
    assert_eq!((writer.producer_id, writer.epoch), (view.producer_id, view.epoch));
    assert_eq!((writer.open_from, writer.last_sequence, writer.coordinator_epoch), (Some(0), 0, None));
    assert!(writer.last_timestamp.is_some_and(|at| before <= at && at <= now()));

    let itself = ListedTransaction { id: open.id.clone(), producer_id: view.producer_id, state: view.state };
    let ongoing = TransactionFilter { states: BTreeSet::from([TransactionState::Ongoing]), ..Default::default() };
    assert!(listed(&cluster, &ongoing).contains(&itself));
    let by_id = TransactionFilter { producer_ids: vec![view.producer_id], ..Default::default() };
    assert_eq!(listed(&cluster, &by_id), slice::from_ref(&itself));
    assert_eq!(listed(&cluster, &TransactionFilter { longer_than_ms: Some(3_600_000), ..by_id.clone() }), []);
    let settled = TransactionFilter { states: BTreeSet::from([TransactionState::Empty]), ..by_id };
    assert_eq!(listed(&cluster, &settled), []);
    assert_eq!(run(cluster.transaction_coordinator(&open.id)), Answer::Told(1));

    // A group's offsets that are part of it show as partitions of their topic.
    let reader = consumer(broker, &group, &[]);
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets.add_partition_offset(&open.tp.topic, 0, rdkafka::Offset::Offset(1)).unwrap();
    open.producer.send_offsets_to_transaction(&offsets, &reader.group_metadata().unwrap(), WITHIN).unwrap();
    let topics: Vec<_> = open.described(&cluster).partitions.into_iter().map(|tp| tp.topic).collect();
    assert_eq!(topics, ["__consumer_offsets", open.tp.topic.as_str()]);

    open.producer.commit_transaction(WITHIN).unwrap();
    until("the markers are written", || open.described(&cluster).state == TransactionState::CompleteCommit);
    assert_eq!(open.described(&cluster).open_for_ms(now()), None);
    let [writer] = &open.written(&cluster)[..] else { panic!("one writer") };
    assert!(writer.open_from.is_none() && writer.coordinator_epoch.is_some(), "{writer:?}");
}

#[test]
fn what_is_not_there_is_told_from_what_is_unknown() {
    let broker = &pair().blue;
    let cluster = cluster(&broker.bootstrap, &[]);
    let nobody = unique("nobody");
    assert_eq!(run(cluster.describe_transactions(slice::from_ref(&nobody)))[&nobody], Answer::Told(None));
    let tp = TopicPartition::new(unique("no-topic"), 0);
    let found = run(cluster.describe_producers(slice::from_ref(&tp)));
    let Answer::Unknown(trouble) = &found[&tp] else { panic!("{found:?}") };
    assert!(trouble.what.contains("does not exist on blue"), "{trouble:?}");
    // A dead port says nothing of anything.
    let port = take_port();
    let dead = self::cluster(&format!("127.0.0.1:{}", port.number), &[]);
    assert!(matches!(run(dead.describe_transactions(slice::from_ref(&nobody)))[&nobody], Answer::Unknown(_)));
    assert!(run(dead.list_transactions(&TransactionFilter::default())).is_err());
    assert!(matches!(run(dead.fence(&nobody)), Fencing::Refused(_)));
}

/// What a paused zombie had open is aborted, and its next write is refused: nothing of it is on the log.
fn a_zombie_is_fenced(broker: &Broker) -> Fencing {
    let cluster = cluster(&broker.bootstrap, &[]);
    let open = Open::on(broker, &[]);
    let before = open.written(&cluster).remove(0);
    let fencing = run(cluster.fence(&open.id));
    let Fencing::Done { producer_id, epoch } = fencing else { panic!("{fencing:?}") };
    assert_eq!(producer_id, before.producer_id);
    assert!(epoch > before.epoch, "{epoch} after {before:?}");
    until("the abort marker is written", || open.written(&cluster)[0].open_from.is_none());
    assert_eq!(end_offsets(broker, &open.tp.topic)[&0], (0, 2));

    let record = BaseRecord::<str, str>::to(&open.tp.topic).partition(0).payload("zombie");
    open.producer.send(record).map_err(|(e, _)| e).unwrap();
    let Err(KafkaError::Transaction(refused)) = open.producer.commit_transaction(WITHIN) else { panic!("committed") };
    println!("the zombie on {}: {refused}", broker.libs.version);
    assert_eq!(refused.code(), RDKafkaErrorCode::Fenced);
    assert_eq!(end_offsets(broker, &open.tp.topic)[&0], (0, 2));
    fencing
}

#[test]
fn a_paused_zombie_is_fenced() {
    a_zombie_is_fenced(&pair().blue);
}

/// Java's producer, whose every transaction has an epoch of its own (KIP-890, `transaction.version` 2).
#[test]
fn a_java_producer_is_fenced_too() {
    let broker = &pair().blue;
    let cluster = cluster(&broker.bootstrap, &[]);
    let (topic, id) = (unique("java"), unique("java-id"));
    create_topic(broker, &topic, 1, &[]);
    let server = format!("bootstrap.servers={}", broker.bootstrap);
    let args = [
        ["--topic", &topic, "--num-records", "1000000"],
        ["--record-size", "10", "--throughput", "20"],
        ["--transactional-id", &id, "--transaction-duration-ms", "300"],
    ];
    let args = [&args.concat()[..], &["--producer-props", &server]].concat();
    std::thread::scope(|scope| {
        let tool = scope.spawn(|| tool_output("org.apache.kafka.tools.ProducerPerformance", &args));
        let epoch = || match run(cluster.describe_transactions(slice::from_ref(&id))).remove(&id) {
            Some(Answer::Told(view)) => view.map_or(-1, |v| v.epoch),
            other => panic!("{other:?}"),
        };
        until("several transactions were committed", || epoch() > 2 || tool.is_finished());
        let fencing = run(cluster.fence(&id));
        let Fencing::Done { epoch: fenced, .. } = fencing else { panic!("{fencing:?}") };
        // A million records at 20 a second: it ends because it is fenced.
        let output = tool.join().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains("ProducerFencedException") || said.contains("InvalidProducerEpochException"), "{said}");
        assert_eq!(epoch(), fenced, "nobody came after the fence");
        let tp = TopicPartition::new(&topic, 0);
        let writers = run(cluster.describe_producers(slice::from_ref(&tp))).remove(&tp);
        assert!(matches!(&writers, Some(Answer::Told(w)) if w.iter().all(|w| w.open_from.is_none())), "{writers:?}");
        println!("Java's producer: {}", said.lines().find(|l| l.contains("Exception")).unwrap_or_default());
    });
}

#[test]
fn an_id_that_nobody_used_is_fenced_at_epoch_0() {
    let cluster = cluster(&pair().blue.bootstrap, &[]);
    let id = unique("fresh");
    let Fencing::Done { epoch, producer_id } = run(cluster.fence(&id)) else { panic!("not fenced") };
    assert_eq!(epoch, 0);
    let again = run(cluster.fence(&id));
    assert_eq!(again, Fencing::Done { producer_id, epoch: 1 });
}

/// Kafka 2.8 can't say what a transactional id is at; it says who writes to a partition, and fences.
#[test]
fn kafka_2_8_answers_what_it_can() {
    let broker = old_blue();
    let cluster = cluster(&broker.bootstrap, &[]);
    a_zombie_is_fenced(broker);
    let open = Open::on(broker, &[]);
    let unavailable = Unavailable::Before(Since::V3_0);
    assert_eq!(unavailable.to_string(), "not available before Kafka 3.0");
    let described = run(cluster.describe_transactions(slice::from_ref(&open.id)));
    assert_eq!(described[&open.id], Answer::Unavailable(unavailable));
    let all = run(cluster.list_transactions(&TransactionFilter::default())).unwrap();
    assert_eq!(all, BTreeMap::from([(1, Answer::Unavailable(unavailable))]));
    assert_eq!(run(cluster.transaction_coordinator(&open.id)), Answer::Told(1));
    let writer = open.written(&cluster).remove(0);
    let hanging = Hanging::from_producer(&open.tp, &writer, Some(&open.id)).unwrap();
    let ChangeOutcome::Refused(trouble) = run(cluster.abort_hanging(&hanging)) else { panic!("a marker was written") };
    assert!(trouble.what.contains("not available before Kafka 3.0"), "{trouble:?}");
    assert_eq!(run(cluster.describe_acls(&AclFilter::default())).unwrap()[&1], NO_AUTHORIZER);
}

const NO_AUTHORIZER: Answer<BTreeSet<Acl>> = Answer::Unavailable(Unavailable::NoAuthorizer);

/// A broker that takes what belongs to no transaction of its coordinator, as all did before KIP-890.
fn trusting() -> &'static Broker {
    static TRUSTING: OnceLock<Broker> = OnceLock::new();
    TRUSTING.get_or_init(|| throwaway("trusting", &[("transaction.partition.verification.enable", "false")]))
}

/// Writes one record of a transaction that the coordinator is never told of.
fn hang(broker: &Broker, id: &str, tp: &TopicPartition, writer: (i64, i16)) -> String {
    let mut wire = Wire::connect(&broker.bootstrap);
    let writer = BatchProducer { id: writer.0, epoch: writer.1, sequence: 0, transactional: true };
    let records = encode_batch(&[NewRecord { timestamp: now().0, ..NewRecord::default() }], writer);
    let partition = PartitionProduceData::default().with_index(tp.partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(text(&tp.topic).into()).with_partition_data(vec![partition]);
    let request = ProduceRequest::default()
        .with_transactional_id(Some(text(id).into()))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    word(wire.call(8, &request).responses[0].partition_responses[0].error_code)
}

#[test]
fn a_hanging_transaction_is_ended_by_hand_and_no_other() {
    let broker = trusting();
    let cluster = cluster(&broker.bootstrap, &[]);
    let (topic, id) = (unique("hanging"), unique("hanging-id"));
    create_topic(broker, &topic, 1, &[]);
    let tp = TopicPartition::new(&topic, 0);
    let Fencing::Done { producer_id, epoch } = run(cluster.fence(&id)) else { panic!("no producer id") };
    assert_eq!(hang(broker, &id, &tp, (producer_id, epoch)), "ok");

    let ids = slice::from_ref(&id);
    let found = run(cluster.describe_transactions(ids)).remove(&id).unwrap();
    assert!(matches!(&found, Answer::Told(Some(v)) if v.state == TransactionState::Empty), "{found:?}");
    let seen = |p: &TopicPartition| match run(cluster.describe_producers(slice::from_ref(p))).remove(p) {
        Some(Answer::Told(mut producers)) => producers.remove(0),
        other => panic!("{other:?}"),
    };
    let hanging = Hanging::from_producer(&tp, &seen(&tp), Some(&id)).unwrap();
    assert_eq!((hanging.open_from, hanging.coordinator_epoch), (0, None));
    // A fence does not end it: its coordinator knows of nothing to end.
    assert_eq!(run(cluster.fence(&id)), Fencing::Done { producer_id, epoch: epoch + 1 });
    assert_eq!(seen(&tp).open_from, Some(0));

    let refused = |hanging: &Hanging, why: &str| match run(cluster.abort_hanging(hanging)) {
        ChangeOutcome::Refused(trouble) => assert!(trouble.what.contains(why), "{trouble:?}"),
        other => panic!("{other:?}, not refused for: {why}"),
    };
    refused(&Hanging { epoch: epoch + 1, ..hanging.clone() }, "is not open (any more) as it was seen");
    refused(&Hanging { open_from: 1, ..hanging.clone() }, "is not open (any more) as it was seen");
    let open = Open::on(broker, &[]);
    refused(&Hanging { transactional_id: Some(open.id.clone()), ..hanging.clone() }, "is not of");
    let ongoing = Hanging::from_producer(&open.tp, &seen(&open.tp), None).unwrap();
    refused(&ongoing, "is not hanging: its coordinator has it as Ongoing");

    assert_eq!(run(cluster.abort_hanging(&hanging)), ChangeOutcome::Done);
    assert_eq!(seen(&tp).open_from, None);
    assert_eq!(end_offsets(broker, &topic)[&0], (0, 2));
    refused(&hanging, "is not open (any more) as it was seen");
    open.producer.commit_transaction(WITHIN).unwrap();

    // Found by its producer id alone, and one that nobody lists.
    let (named, unnamed) = (unique("hanging"), unique("hanging"));
    for topic in [&named, &unnamed] {
        create_topic(broker, topic, 1, &[]);
    }
    let (named, unnamed) = (TopicPartition::new(&named, 0), TopicPartition::new(&unnamed, 0));
    assert_eq!(hang(broker, &id, &named, (producer_id, epoch)), "ok");
    assert_eq!(
        run(cluster.abort_hanging(&Hanging::from_producer(&named, &seen(&named), None).unwrap())),
        ChangeOutcome::Done
    );
    assert_eq!(hang(broker, &id, &unnamed, (producer_id + 4_000_000, 0)), "ok");
    refused(&Hanging::from_producer(&unnamed, &seen(&unnamed), None).unwrap(), "is in no coordinator's list");
}

/// A broker with an authorizer: ANONYMOUS on its plain listener is a super user, `app` and `other` come by SASL and may
/// do whatever no ACL is about.
struct Guarded {
    broker: Broker,
    sasl: String,
    _port: HeldPort,
}

fn guarded() -> &'static Guarded {
    static GUARDED: OnceLock<Guarded> = OnceLock::new();
    GUARDED.get_or_init(|| {
        let port = take_port();
        let listeners = |more: &str| format!("PLAINTEXT://127.0.0.1:{{client}},APP://127.0.0.1:{}{more}", port.number);
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                    user_app=\"app-secret\" user_other=\"other-secret\";";
        let broker = throwaway(
            "guarded",
            &[
                ("listeners", &listeners(",CONTROLLER://127.0.0.1:{controller}")),
                ("advertised.listeners", &listeners("")),
                ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,APP:SASL_PLAINTEXT"),
                ("sasl.enabled.mechanisms", "PLAIN"),
                ("listener.name.app.plain.sasl.jaas.config", jaas),
                ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
                ("super.users", "User:ANONYMOUS"),
                ("allow.everyone.if.no.acl.found", "true"),
            ],
        );
        Guarded { broker, sasl: format!("127.0.0.1:{}", port.number), _port: port }
    })
}

impl Guarded {
    fn admin(&self) -> Cluster {
        cluster(&self.broker.bootstrap, &[])
    }

    fn as_user<'a>(&'a self, user: &'a str, password: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("bootstrap.servers", &self.sasl),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", user),
            ("sasl.password", password),
        ]
    }

    fn user(&self, user: &str, password: &str) -> Cluster {
        cluster(&self.sasl, &self.as_user(user, password)[1..])
    }

    /// Makes or removes one ACL, and waits until the broker enforces that.
    fn set(&self, acl: &Acl, made: bool) {
        let (admin, one) = (self.admin(), BTreeSet::from([acl.clone()]));
        let outcomes = run(async { if made { admin.create_acls(&one).await } else { admin.delete_acls(&one).await } });
        assert_eq!(outcomes, BTreeMap::from([(acl.clone(), ChangeOutcome::Done)]));
        let on = AclFilter::for_resource(acl.resource, &acl.name);
        until("the ACL is in force", || in_force(&run(admin.describe_acls(&on)).unwrap(), acl) == made);
    }

    fn restarted(&self, id: &str) -> Result<BaseProducer, RDKafkaErrorCode> {
        let user = self.as_user("app", "app-secret");
        let again = producer(&self.broker, &[&[("transactional.id", id)], &user[..]].concat());
        match again.init_transactions(WITHIN) {
            Ok(()) => Ok(again),
            Err(KafkaError::Transaction(e)) => Err(e.code()),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn a_denied_transactional_id_keeps_a_restarted_producer_out() {
    let g = guarded();
    let open = Open::on(&g.broker, &g.as_user("app", "app-secret"));
    let (other, both) = (unique("other-id"), AclFilter::for_resource(Resource::TransactionalId, &open.id));
    assert_eq!(run(g.admin().describe_acls(&both)).unwrap(), BTreeMap::from([(1, Answer::Told(BTreeSet::new()))]));
    assert!(matches!(run(g.admin().fence(&open.id)), Fencing::Done { .. }));
    // The fence alone keeps nobody out who starts again.
    assert!(g.restarted(&open.id).is_ok());

    let deny = Acl::deny_write(Resource::TransactionalId, &open.id, "User:app");
    g.set(&deny, true);
    g.set(&deny, true);
    let refused = g.restarted(&open.id).map(drop);
    println!("the restarted producer: {refused:?}");
    assert_eq!(refused, Err(RDKafkaErrorCode::TransactionalIdAuthorizationFailed));
    assert!(g.restarted(&other).is_ok(), "other ids of the same principal go on");
    let fencing = run(g.user("app", "app-secret").fence(&open.id));
    assert!(matches!(&fencing, Fencing::Forbidden(t) if t.what.contains("TRANSACTIONAL_ID_AUTHORIZATION_FAILED")));

    g.set(&deny, false);
    g.set(&deny, false);
    assert!(g.restarted(&open.id).is_ok());
}

#[test]
fn a_denied_topic_stops_writers_and_whoever_has_no_acl_of_his_own() {
    let g = guarded();
    let topic = unique("denied");
    create_topic(&g.broker, &topic, 1, &[]);
    let tp = TopicPartition::new(&topic, 0);
    let others = || run(g.user("other", "other-secret").describe_producers(slice::from_ref(&tp))).remove(&tp).unwrap();
    assert_eq!(others(), Answer::Told(Vec::new()));
    let deny = Acl::deny_write(Resource::Topic, &topic, "User:app");
    g.set(&deny, true);
    let writer = producer(&g.broker, &g.as_user("app", "app-secret"));
    let record = BaseRecord::<str, str>::to(&topic).partition(0).payload("x");
    let _ = writer.send(record); // refused here when the metadata came first
    let _ = writer.flush(WITHIN);
    assert_eq!(end_offsets(&g.broker, &topic)[&0], (0, 0));
    // What `Acl` warns of: the first ACL on a topic takes the rights of those who had none.
    let hidden = others();
    assert!(matches!(&hidden, Answer::Hidden(t) if t.what.contains("TOPIC_AUTHORIZATION_FAILED")), "{hidden:?}");
    g.set(&deny, false);
    assert_eq!(others(), Answer::Told(Vec::new()));
}

#[test]
fn what_may_not_be_seen_is_hidden_and_not_empty() {
    let g = guarded();
    let open = Open::on(&g.broker, &[]);
    let app = g.user("app", "app-secret");
    let deny = |resource, name: &str, operation| Acl { operation, ..Acl::deny_write(resource, name, "User:app") };
    let acls = [
        deny(Resource::TransactionalId, &open.id, Operation::Describe),
        deny(Resource::Topic, &open.tp.topic, Operation::Read),
    ];
    acls.iter().for_each(|acl| g.set(acl, true));
    let described = run(app.describe_transactions(slice::from_ref(&open.id))).remove(&open.id).unwrap();
    assert!(matches!(&described, Answer::Hidden(t) if t.advice.contains("DESCRIBE")), "{described:?}");
    assert!(matches!(run(app.transaction_coordinator(&open.id)), Answer::Hidden(_)));
    let producers = run(app.describe_producers(slice::from_ref(&open.tp))).remove(&open.tp).unwrap();
    assert!(matches!(&producers, Answer::Hidden(_)), "{producers:?}");
    let all = TransactionFilter::default();
    assert!(listed(&g.admin(), &all).iter().any(|t| t.id == open.id));
    assert!(listed(&app, &all).iter().all(|t| t.id != open.id), "a list hides, and does not say so");
    acls.iter().for_each(|acl| g.set(acl, false));

    // Cluster ACLs bear on every other user of this broker: the admin is a super user.
    let nobody = deny(Resource::Cluster, "kafka-cluster", Operation::All);
    g.set(&Acl { principal: "User:nobody".into(), ..nobody }, true);
    let hidden = run(app.describe_acls(&AclFilter::default())).unwrap().remove(&1).unwrap();
    assert!(matches!(&hidden, Answer::Hidden(t) if t.what.contains("CLUSTER_AUTHORIZATION_FAILED")), "{hidden:?}");
    let one = BTreeSet::from([deny(Resource::Topic, &open.tp.topic, Operation::Write)]);
    for outcomes in [run(app.create_acls(&one)), run(app.delete_acls(&one))] {
        let outcome = outcomes.into_values().next().unwrap();
        assert!(matches!(&outcome, ChangeOutcome::Refused(t) if t.what.contains("CLUSTER_AUTHORIZATION_FAILED")));
    }
    open.producer.commit_transaction(WITHIN).unwrap();
}

#[test]
fn a_cluster_without_an_authorizer_says_so() {
    let cluster = cluster(&pair().blue.bootstrap, &[]);
    assert_eq!(run(cluster.describe_acls(&AclFilter::default())).unwrap()[&1], NO_AUTHORIZER);
    let acl = Acl::deny_write(Resource::Topic, "t", "User:app");
    let made = run(cluster.create_acls(&BTreeSet::from([acl.clone()])));
    assert!(matches!(&made[&acl], ChangeOutcome::Refused(t) if t.what.contains("SECURITY_DISABLED")), "{made:?}");
    let odd = Acl { operation: Operation::Unknown, ..acl };
    let made = run(cluster.create_acls(&BTreeSet::from([odd.clone()])));
    assert!(matches!(&made[&odd], ChangeOutcome::Refused(t) if t.what.contains("is not understood")), "{made:?}");
}

//! `cutover preflight` on two secured clusters of real Kafka, looked at by a principal that may see and change nothing: the
//! same, then with drift of many kinds made by hand, then by one that may not see.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cutover::base::Side;
use cutover::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreatePartitionsRequest,
    IncrementalAlterConfigsRequest, TopicName,
};
use serde_json::Value;

use crate::conformance::{Wire, text};
use crate::inventory::seed_acls;
use crate::support::kafka::{Broker, HeldPort, create_topic, old_blue, pair, start_guarded, take_port};
use crate::support::patience::Patience;
use crate::support::unique;

/// How long what was changed may take to show everywhere.
const WITHIN: Duration = Duration::from_secs(60);
/// The protocol's numbers: settings of a topic and of a broker, SCRAM-SHA-256 and SCRAM-SHA-512.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SHA256: i8 = 1;
const SHA512: i8 = 2;

/// A cluster with an authorizer. ANONYMOUS, on the plain listener, may do everything; of the users of SASL, `auditor` may
/// describe everything, and `nobody` nothing.
struct Secured {
    broker: Broker,
    sasl: HeldPort,
}

impl Secured {
    fn start(side: Side) -> Secured {
        let (broker, sasl) = start_guarded(&format!("preflight-{side}"), false, &["auditor", "nobody"]);
        Secured { broker, sasl }
    }

    fn wire(&self) -> Wire {
        Wire::connect(&self.broker.bootstrap)
    }

    fn add_acls(&self, acls: &[Acl]) {
        seed_acls(&mut self.wire(), acls);
    }

    fn set_quotas(&self, quotas: &[Quota<'_>]) {
        let part = |(kind, name): &(&str, Option<&str>)| {
            EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
        };
        let entries = quotas.iter().map(|(entity, limit, value)| {
            let op = OpData::default().with_key(text(limit)).with_value(*value);
            EntryData::default().with_entity(entity.iter().map(part).collect()).with_ops(vec![op])
        });
        let answer = self.wire().call(1, &AlterClientQuotasRequest::default().with_entries(entries.collect()));
        assert!(answer.entries.iter().all(|e| e.error_code == 0), "{answer:?}");
    }

    fn set_users(&self, users: &[(&str, i8, i32)]) {
        let upsertions = users.iter().map(|(name, mechanism, iterations)| {
            ScramCredentialUpsertion::default()
                .with_name(text(name))
                .with_mechanism(*mechanism)
                .with_iterations(*iterations)
                .with_salt(vec![7; 20].into())
                // Nobody comes by it: that it is no password's is all the same.
                .with_salted_password(vec![9; if *mechanism == SHA512 { 64 } else { 32 }].into())
        });
        let request = AlterUserScramCredentialsRequest::default().with_upsertions(upsertions.collect());
        let answer = self.wire().call(0, &request);
        assert!(answer.results.iter().all(|r| r.error_code == 0), "{answer:?}");
    }

    fn set_configs(&self, kind: i8, name: &str, values: &[(&str, &str)]) {
        let entries = values
            .iter()
            .map(|(name, value)| AlterableConfig::default().with_name(text(name)).with_value(Some(text(value))));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(entries.collect());
        let answer = self.wire().call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]));
        assert!(answer.responses.iter().all(|r| r.error_code == 0), "{answer:?}");
    }

    fn grow_topic(&self, name: &str, partitions: i32) {
        let topic = CreatePartitionsTopic::default()
            .with_name(TopicName(text(name)))
            .with_count(partitions)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let answer = self.wire().call(2, &request);
        assert!(answer.results.iter().all(|r| r.error_code == 0), "{answer:?}");
    }
}

fn make_acl(permission: Permission, operation: Operation, (resource, name): (Resource, &str), who: &str) -> Acl {
    Acl { permission, operation, ..Acl::deny_write(resource, name, format!("User:{who}")) }
}

fn allow(operation: Operation, resource: (Resource, &str), who: &str) -> Acl {
    make_acl(Permission::Allow, operation, resource, who)
}

/// A topic with its partitions and settings.
type Topic<'a> = (&'a str, i32, &'a [(&'a str, &'a str)]);
/// Whom a quota is for, its name, its value.
type Quota<'a> = (&'a [(&'a str, Option<&'a str>)], &'a str, f64);

/// What both clusters have in the beginning.
fn seed_alike(cluster: &Secured) {
    use Operation as O;
    use Resource as R;
    let topics: [Topic<'_>; 5] = [
        ("orders", 4, &[("retention.ms", "259200000"), ("max.message.bytes", "2097152")]),
        ("audit", 1, &[("cleanup.policy", "compact")]),
        ("payments", 2, &[]),
        ("ledger", 2, &[]),
        ("app-store-changelog", 2, &[("cleanup.policy", "compact")]),
    ];
    for (name, partitions, config) in topics {
        create_topic(&cluster.broker, name, partitions, config);
    }
    cluster.add_acls(&[
        allow(O::Describe, (R::Cluster, "kafka-cluster"), "auditor"),
        allow(O::DescribeConfigs, (R::Cluster, "kafka-cluster"), "auditor"),
        allow(O::Describe, (R::Topic, "*"), "auditor"),
        allow(O::DescribeConfigs, (R::Topic, "*"), "auditor"),
        allow(O::Write, (R::Topic, "orders"), "app"),
        make_acl(Permission::Deny, O::Read, (R::Topic, "audit"), "guest"),
    ]);
    cluster.set_quotas(&[
        (&[("user", Some("app"))], "producer_byte_rate", 1e9),
        (&[("client-id", Some("batch"))], "consumer_byte_rate", 1e9),
    ]);
    cluster.set_users(&[("app", SHA512, 8192), ("batch", SHA256, 4096)]);
}

/// Settings that drift: of which topic, its name, and what green gets.
const SETTINGS: [(&str, &str, &str); 18] = [
    ("orders", "retention.ms", "86400000"),
    ("orders", "max.message.bytes", "1048576"),
    ("orders", "retention.bytes", "1073741824"),
    ("orders", "compression.type", "zstd"),
    ("orders", "message.timestamp.type", "LogAppendTime"),
    ("orders", "segment.bytes", "536870912"),
    ("orders", "segment.ms", "3600000"),
    ("orders", "preallocate", "true"),
    ("payments", "cleanup.policy", "compact"),
    ("payments", "unclean.leader.election.enable", "true"),
    ("payments", "delete.retention.ms", "1000"),
    ("payments", "min.compaction.lag.ms", "60000"),
    ("payments", "max.compaction.lag.ms", "7200000"),
    ("payments", "min.cleanable.dirty.ratio", "0.9"),
    ("ledger", "message.timestamp.before.max.ms", "86400000"),
    ("ledger", "flush.messages", "1000"),
    ("ledger", "file.delete.delay.ms", "2000"),
    ("ledger", "segment.jitter.ms", "1000"),
];

/// Makes the clusters drift apart, adding to either; and what each drift is called, with its state.
fn make_drift(blue: &Secured, green: &Secured) -> BTreeMap<String, &'static str> {
    use Operation as O;
    use Resource as R;
    let mut named = BTreeMap::new();
    let mut name = |name: &str, state: &'static str| {
        assert_eq!(named.insert(name.to_owned(), state), None, "{name} twice");
    };
    create_topic(&blue.broker, "evil_only-blue", 3, &[("segment.ms", "3600000")]);
    name("evil_only-blue", "missing");
    create_topic(&green.broker, "only-green", 1, &[]);
    name("only-green", "beyond");
    blue.grow_topic("ledger", 6);
    name("ledger partitions", "differs");
    green.grow_topic("audit", 2);
    name("audit partitions", "differs");
    for topic in ["orders", "payments", "ledger"] {
        let own = SETTINGS.iter().filter(|(of, ..)| *of == topic).map(|(_, name, value)| (*name, *value));
        green.set_configs(TOPIC, topic, &own.collect::<Vec<_>>());
    }
    SETTINGS.iter().for_each(|(topic, setting, _)| name(&format!("{topic} {setting}"), "differs"));
    // For all brokers, while they run: the default of every topic.
    green.set_configs(BROKER, "", &[("log.index.interval.bytes", "8192")]);
    ["audit", "ledger", "orders", "payments"]
        .iter()
        .for_each(|topic| name(&format!("{topic} index.interval.bytes"), "differs"));

    let prefixed = |acl: Acl| Acl { pattern: AclPattern::Prefixed, ..acl };
    let only_blue = [
        allow(O::Read, (R::Topic, "orders"), "app"),
        prefixed(allow(O::All, (R::Topic, "pay"), "payer")),
        allow(O::Read, (R::Group, "ledger-group"), "app"),
        allow(O::Write, (R::TransactionalId, "tx-1"), "payer"),
        allow(O::IdempotentWrite, (R::Cluster, "kafka-cluster"), "app"),
        allow(O::Describe, (R::DelegationToken, "token-1"), "app"),
        allow(O::CreateTokens, (R::User, "User:app"), "ops"),
        make_acl(Permission::Deny, O::Write, (R::Topic, "ledger"), "guest"),
        Acl { host: "10.0.0.7".to_owned(), ..allow(O::Alter, (R::Topic, "orders"), "ops") },
    ];
    blue.add_acls(&only_blue);
    only_blue.iter().for_each(|acl| name(&acl.to_string(), "missing"));
    let only_green = [
        allow(O::Delete, (R::Topic, "orders"), "intern"),
        make_acl(Permission::Deny, O::Write, (R::Topic, "orders"), "app"),
        allow(O::Read, (R::Topic, "audit"), "guest"),
    ];
    green.add_acls(&only_green);
    only_green.iter().for_each(|acl| name(&acl.to_string(), "beyond"));

    blue.set_quotas(&[
        (&[("user", None)], "consumer_byte_rate", 2e9),
        (&[("client-id", None)], "request_percentage", 900.0),
        (&[("user", Some("app")), ("client-id", None)], "controller_mutation_rate", 40.0),
        (&[("ip", Some("10.9.8.7"))], "connection_creation_rate", 50.0),
    ]);
    name("default user consumer_byte_rate", "missing");
    name("default client-id request_percentage", "missing");
    name("user app, default client-id controller_mutation_rate", "missing");
    name("ip 10.9.8.7 connection_creation_rate", "missing");
    green.set_quotas(&[
        (&[("user", Some("app"))], "producer_byte_rate", 5e8),
        (&[("client-id", Some("batch"))], "consumer_byte_rate", 2e9),
        (&[("user", Some("new"))], "producer_byte_rate", 1e9),
    ]);
    name("user app producer_byte_rate", "differs");
    name("client-id batch consumer_byte_rate", "differs");
    name("user new producer_byte_rate", "beyond");

    blue.set_users(&[("carol", SHA256, 4096), ("batch", SHA512, 4096)]);
    green.set_users(&[("app", SHA512, 4096), ("dave", SHA256, 4096)]);
    name("carol", "missing");
    name("batch", "differs");
    name("app", "differs");
    name("dave", "beyond");
    named
}

struct Told {
    code: i32,
    out: String,
    err: String,
}

fn run(dir: &Path, args: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .current_dir(dir)
        .arg("preflight")
        .args(args)
        .env_remove("CUTOVER_PLAN")
        .output()
        .expect("it runs");
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Told { code: output.status.code().unwrap_or(-1), out: read(&output.stdout), err: read(&output.stderr) }
}

fn run_json(dir: &Path) -> (i32, Value) {
    let told = run(dir, &["--json"]);
    let json = serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {}{}", told.out, told.err));
    (told.code, json)
}

/// A directory with a plan by which each cluster is looked at by one of these: `root` comes by the plain listener, and may do
/// everything; the others by SASL.
fn make_plan(clusters: [&Secured; 2], users: [&str; 2], more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("pw"), "secret").unwrap();
    let section = |side: &str, cluster: &Secured, user: &str| match user {
        "root" => format!("[clusters.{side}]\nbootstrap = \"{}\"\n", cluster.broker.bootstrap),
        _ => format!(
            "[clusters.{side}]\nbootstrap = \"127.0.0.1:{}\"\n[clusters.{side}.client]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\
             \"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"{user}\"\n\"sasl.password\" = {{ file = \"pw\" }}\n",
            cluster.sasl.number
        ),
    };
    let plan = section("blue", clusters[0], users[0]) + &section("green", clusters[1], users[1]) + more;
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    dir
}

/// Rows by name, with their states: what a second row says of the same subject is told by the first.
fn states(json: &Value) -> BTreeMap<String, String> {
    let rows = json["rows"].as_array().expect("rows").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    rows.map(|row| (word(&row["name"]), word(&row["state"]))).collect()
}

/// Looks until what was changed shows on every broker; what is still missing then is for the caller to say.
fn look_until(dir: &Path, shows: impl Fn(i32, &Value) -> bool) -> (i32, Value) {
    let mut patience = Patience::new(WITHIN);
    loop {
        let (code, json) = run_json(dir);
        if shows(code, &json) || patience.left().is_none() {
            return (code, json);
        }
    }
}

/// The topics that `seed_alike` makes, by name: of those it does not matter which others may be hidden.
const LISTED: &str = "[parity]\ntopics = \"listed\"\n[[topics]]\nname = \"orders\"\n[[topics]]\nname = \"audit\"\n\
                      [[topics]]\nname = \"payments\"\n[[topics]]\nname = \"ledger\"\n";

/// Two clusters that are set up the same are told so, to whoever may see it.
fn alike_is_parity(blue: &Secured, green: &Secured) {
    let root = make_plan([blue, green], ["root"; 2], "");
    let (code, json) = look_until(root.path(), |code, _| code == 0);
    assert_eq!((code, &json["verdict"], &json["known"]), (0, &"equal".into(), &true.into()), "{json:#}");
    assert_eq!(json["left_out"]["internal"]["streams"], serde_json::json!(["app-store-changelog"]));
    let page = run(root.path(), &[]);
    assert_eq!(page.code, 0, "{}", page.err);
    assert!(page.out.starts_with("cutover: PARITY: "), "{}", page.out);
    // Who may describe everything and alter nothing sees all of the topics that are named.
    let listed = make_plan([blue, green], ["auditor"; 2], LISTED);
    let (code, json) = run_json(listed.path());
    assert_eq!((code, &json["known"]), (0, &true.into()), "{json:#}");
    // That no others are hidden from him the ACLs prove, which he may see; a denial is `least.rs`'s.
    let all = make_plan([blue, green], ["auditor"; 2], "");
    let (code, json) = run_json(all.path());
    assert_eq!((code, &json["areas"]["topics"]["unknown"]), (0, &0.into()), "{json:#}");
}

/// Drift of many kinds: each is named, and nothing else.
fn drift_is_named(blue: &Secured, green: &Secured) {
    let named = make_drift(blue, green);
    assert!(named.len() >= 40, "{}", named.len());
    let root = make_plan([blue, green], ["root"; 2], "");
    let (code, json) = look_until(root.path(), |_, json| {
        let found = states(json);
        named.iter().all(|(name, state)| found.get(name).is_some_and(|found| found == state))
    });
    let found = states(&json);
    let expected: BTreeMap<String, String> = named.into_iter().map(|(name, state)| (name, state.to_owned())).collect();
    assert_eq!(found, expected, "{json:#}");
    assert_eq!((code, &json["verdict"], &json["known"]), (3, &"differs".into(), &true.into()));
    let page = run(root.path(), &[]);
    assert_eq!(page.code, 3, "{}", page.err);
    assert!(page.out.lines().all(|line| line.chars().count() <= 80), "{}", page.out);
    assert!(expected.keys().all(|name| name.len() > 60 || page.out.contains(name.as_str())), "{}", page.out);
    // The plan may ask for more replicas than there are brokers, and leave topics out.
    let more = "[parity]\nreplication_factor = 2\nexclude = [\"only-.*\"]\n";
    let (_, json) = run_json(make_plan([blue, green], ["root"; 2], more).path());
    let found = states(&json);
    assert_eq!(found.get("orders replicas").map(String::as_str), Some("differs"), "{json:#}");
    assert!(!found.contains_key("only-green"), "{json:#}");
}

/// Who may not see is not told that there is nothing.
fn what_is_hidden_is_unknown(blue: &Secured, green: &Secured) {
    for (users, sides) in [(["nobody"; 2], 2), (["root", "nobody"], 1)] {
        let (code, json) = run_json(make_plan([blue, green], users, "").path());
        assert_eq!(
            (code, &json["verdict"], &json["known"]),
            (4, &"unknown".into(), &false.into()),
            "{users:?}: {json:#}"
        );
        for area in ["topics", "acls", "users", "quotas", "cluster"] {
            let unknown = json["areas"][area]["unknown"].as_u64().unwrap();
            assert!(unknown >= sides, "{users:?}: {area}: {json:#}");
            assert_ne!(json["areas"][area]["verdict"], "equal", "{users:?}: {area}");
        }
        let mut rights = json["rows"].as_array().unwrap().iter().filter_map(|row| row["advice"].as_str());
        assert!(rights.any(|advice| advice.contains("DESCRIBE")), "{json:#}");
    }
}

/// One after the other on one pair of clusters: each has a broker of its own that takes half a minute to start.
#[test]
fn drift_of_many_kinds_is_named_and_what_may_not_be_seen_is_unknown() {
    let (blue, green) = std::thread::scope(|scope| {
        let other = scope.spawn(|| Secured::start(Side::Green));
        (Secured::start(Side::Blue), other.join().expect("green starts"))
    });
    [&blue, &green].into_iter().for_each(seed_alike);
    alike_is_parity(&blue, &green);
    drift_is_named(&blue, &green);
    what_is_hidden_is_unknown(&blue, &green);
}

#[test]
fn a_cluster_that_does_not_answer_is_unknown_and_no_parity() {
    let (one, other) = (take_port(), take_port());
    let dir = tempfile::tempdir().expect("a directory");
    let plan = format!(
        "clusters.blue.bootstrap = \"127.0.0.1:{}\"\nclusters.green.bootstrap = \"127.0.0.1:{}\"\n",
        one.number, other.number
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    let told = run(dir.path(), &[]);
    assert_eq!((told.code, told.out.as_str()), (4, ""), "{}", told.err);
}

/// Both brokers are other tests' too: only what is said of one topic, and of each topic, is judged.
#[test]
fn what_4_3_has_otherwise_than_2_8_is_told_of_a_topic_that_was_made_alike() {
    let topic = unique("preflight-old");
    for broker in [old_blue(), &pair().green] {
        create_topic(broker, &topic, 1, &[("retention.ms", "259200000")]);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let plan = format!(
        "clusters.blue.bootstrap = \"{}\"\nclusters.green.bootstrap = \"{}\"\n\
         [parity]\ntopics = \"listed\"\n[[topics]]\nname = \"{topic}\"\n",
        old_blue().bootstrap,
        pair().green.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    let (code, json) = run_json(dir.path());
    assert_eq!((code, &json["known"]), (3, &true.into()), "{json:#}");
    let mut found = states(&json);
    found.retain(|name, _| name.contains("each topic") || name.contains(&topic));
    let expected = [
        // KIP-724 took both away; KIP-1030 bounds what lies ahead to an hour, and 2.8 bounds nothing.
        ("message.downconversion.enable of each topic".to_owned(), "missing".to_owned()),
        ("message.format.version of each topic".to_owned(), "missing".to_owned()),
        (format!("{topic} message.timestamp.after.max.ms"), "differs".to_owned()),
    ];
    assert_eq!(found, expected.into(), "{json:#}");
    let row = json["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == format!("{topic} message.timestamp.after.max.ms"));
    let set = format!("set on topic {topic}: message.timestamp.after.max.ms=9223372036854775807");
    assert_eq!(row.unwrap()["do"], set.as_str());
}

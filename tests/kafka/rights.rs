//! What this client may not see, can't reach, or is slowed down for: on a broker with an authorizer, a listener that
//! advertises an address nobody serves, and a quota. None of it is zero, absent, or well.

use std::path::Path;
use std::sync::OnceLock;

use cutover::base::{Side, TopicPartition};
use cutover::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use cutover::kafka::control::Cluster;
use cutover::kafka::properties::ClientProperties;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::kafka::admin::block_on;
use crate::support::kafka::{Broker, HeldPort, commit, consumer, create_topic, pair, take_port, throwaway, tool};
use crate::support::unique;
use crate::watch::cutover;

/// Exit codes.
const DONE: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const UNKNOWN: Option<i32> = Some(4);
/// What the listener FAR advertises: nobody serves it.
const NOWHERE: &str = "127.0.0.1:1";
/// What the listener NAMED advertises: RFC 6761 keeps `.invalid` from resolving anywhere.
const NO_HOST: &str = "broker-1.cutover.invalid:9092";

struct Guarded {
    broker: Broker,
    sasl: HeldPort,
    far: HeldPort,
    named: HeldPort,
}

/// A broker with an authorizer: everything for who comes by PLAINTEXT, nothing for the users of SASL but what a test
/// grants. And FAR and NAMED, which answer and lead nowhere.
fn guarded() -> &'static Guarded {
    static GUARDED: OnceLock<Guarded> = OnceLock::new();
    GUARDED.get_or_init(|| {
        let (sasl, far, named) = (take_port(), take_port(), take_port());
        let listeners = |far: &str, named: &str, controller: &str| {
            let sasl = sasl.number;
            format!("PLAINTEXT://127.0.0.1:{{client}},SASL://127.0.0.1:{sasl},FAR://{far},NAMED://{named}{controller}")
        };
        let here = [&far, &named].map(|port| format!("127.0.0.1:{}", port.number));
        let users = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                     user_nobody=\"secret\" user_describer=\"secret\" user_reader=\"secret\";";
        let broker = throwaway(
            "guarded",
            &[
                ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
                ("super.users", "User:ANONYMOUS"),
                ("listeners", &listeners(&here[0], &here[1], ",CONTROLLER://127.0.0.1:{controller}")),
                ("advertised.listeners", &listeners(NOWHERE, NO_HOST, "")),
                (
                    "listener.security.protocol.map",
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,FAR:PLAINTEXT,NAMED:PLAINTEXT",
                ),
                ("sasl.enabled.mechanisms", "PLAIN"),
                ("listener.name.sasl.plain.sasl.jaas.config", users),
            ],
        );
        Guarded { broker, sasl, far, named }
    })
}

impl Guarded {
    fn grant(&self, user: &str, operation: Operation, resource: Resource, name: &str) {
        let acl = Acl {
            resource,
            name: name.to_owned(),
            pattern: AclPattern::Literal,
            principal: format!("User:{user}"),
            host: "*".to_owned(),
            operation,
            permission: Permission::Allow,
        };
        let cluster = Cluster::new(Side::Blue, &self.broker.bootstrap, &ClientProperties::default());
        let made = block_on(async { cluster.create_acls(&[acl.clone()].into()).await });
        assert!(made[&acl].is_done(), "{made:?}");
        let all = cutover::estate::acl::AclFilter::default();
        loop {
            let found = block_on(async { cluster.describe_acls(&all).await }).unwrap();
            if cutover::kafka::control::in_force(&found, &acl) {
                return;
            }
        }
    }

    /// A topic with a group that has read 5 of it.
    fn estate(&self) -> (String, String) {
        let (topic, group) = (unique("guarded"), unique("guarded-group"));
        create_topic(&self.broker, &topic, 1, &[]);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(0)).unwrap();
        commit(&consumer(&self.broker, &group, &[]), &list);
        (topic, group)
    }

    /// A plan whose blue is this broker as a user sees it.
    fn plan(&self, dir: &Path, user: &str, topic: &str, group: &str) {
        let text = format!(
            "[migration]\nname = \"rights\"\n[clusters.blue]\nbootstrap = \"127.0.0.1:{}\"\n\
             [clusters.blue.client]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
             \"sasl.username\" = {user:?}\n\"sasl.password\" = \"secret\"\n\
             [clusters.green]\nbootstrap = {:?}\n\
             [[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n\
             [[producers]]\nname = \"writer\"\ntopics = [{topic:?}]\n\
             flag = {{ provider = \"file\", path = \"flags.json\", key = \"w\" }}\n",
            self.sasl.number,
            pair().green.bootstrap
        );
        std::fs::write(dir.join("cutover.toml"), text).unwrap();
        let flags = r#"{"flags": {"w": {"state": "ENABLED", "variants": {"blue": "blue", "dual": "dual", "green": "green"},
            "defaultVariant": "blue"}}}"#;
        std::fs::write(dir.join("flags.json"), flags).unwrap();
    }
}

fn check<'a>(checks: &'a Value, what: &str) -> &'a Value {
    let all = checks["checks"].as_array().unwrap();
    all.iter().find(|c| c["what"] == what).unwrap_or_else(|| panic!("no check of {what}: {all:#?}"))
}

fn found(checks: &Value, what: &str, health: &str) -> String {
    let check = check(checks, what);
    assert_eq!(check["health"], health, "{check:#}");
    check["found"].as_str().unwrap().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn an_advertised_address_that_leads_nowhere_is_blamed_and_no_plan_is_written() {
    let g = guarded();
    let (topic, group) = g.estate();
    let dir = tempfile::tempdir().unwrap();
    let (far, green) = (format!("127.0.0.1:{}", g.far.number), pair().green.bootstrap.clone());
    let blame = format!("the cluster advertises {NOWHERE} (advertised.listeners), which does not answer from here");

    let (code, out, err) = cutover(dir.path(), &["init", "--blue", &far, "--green", &green]);
    assert!(code == UNKNOWN && err.contains(&blame), "{out}{err}");
    assert!(!dir.path().join("cutover.toml").exists(), "a plan without blue's groups");
    let named = format!("127.0.0.1:{}", g.named.number);
    let (code, out, err) = cutover(dir.path(), &["init", "--blue", &named, "--green", &green]);
    assert!(code == UNKNOWN && err.contains(&blame.replace(NOWHERE, NO_HOST)), "{out}{err}");
    assert!(err.contains("does not resolve") && !dir.path().join("cutover.toml").exists(), "{err}");

    let plan = format!(
        "[migration]\nname = \"far\"\n[clusters.blue]\nbootstrap = {far:?}\n[clusters.green]\nbootstrap = {green:?}\n\
         [[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n"
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    let (code, out, _) = cutover(dir.path(), &["doctor", "--json"]);
    let doctor = json(&out);
    let blue = found(&doctor, "blue", "fail");
    assert!(code == FAILED && blue.contains(&blame) && blue.contains("groups not known"), "{blue}");
    let advice = check(&doctor, "blue")["advice"].as_str().unwrap();
    assert!(advice.contains("advertised.listeners"), "{advice}");

    let (code, out, _) = cutover(dir.path(), &["lag", "--json"]);
    let lag = json(&out);
    assert_eq!(code, UNKNOWN);
    assert!(lag["clusters"]["blue"]["troubles"].to_string().contains(&blame), "{lag:#}");
    assert_eq!(lag["clusters"]["blue"]["lag"], Value::Null);
    let row = lag["groups"].as_array().unwrap().iter().find(|r| r["group"] == group.as_str()).unwrap();
    assert_eq!((&row["blue"]["exists"], &row["blue"]["members"]), (&Value::Null, &Value::Null), "{row:#}");
    assert!(row["blue"]["trouble"]["what"].as_str().unwrap().contains(&blame), "{row:#}");
    let (code, out, _) = cutover(dir.path(), &["status"]);
    assert!(code == UNKNOWN && !out.contains("EXACT") && !out.contains("does not exist"), "{out}");
}

#[test]
fn who_may_see_nothing_is_told_so_and_not_that_nothing_is_there() {
    let g = guarded();
    let (topic, group) = g.estate();
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (format!("127.0.0.1:{}", g.sasl.number), pair().green.bootstrap.clone());
    let blue_only = |property: &str| ["--blue-property".to_owned(), property.to_owned()];
    let mut args: Vec<String> = ["init", "--blue", &blue, "--green", &green].map(str::to_owned).into();
    for property in
        ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=nobody", "sasl.password=secret"]
    {
        args.extend(blue_only(property));
    }
    let (code, out, err) = cutover(dir.path(), &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(code == UNKNOWN && !dir.path().join("cutover.toml").exists(), "{out}{err}");
    assert!(err.contains("0 topics, 0 groups visible") && err.contains("DESCRIBE on Cluster missing"), "{err}");

    g.plan(dir.path(), "nobody", &topic, &group);
    let (code, out, _) = cutover(dir.path(), &["doctor", "--json"]);
    let doctor = json(&out);
    assert_eq!(code, FAILED);
    let topics = found(&doctor, "topics of the plan on blue", "fail");
    assert!(topics.contains("can't be seen") && topics.contains("TOPIC_AUTHORIZATION_FAILED"), "{topics}");
    let hidden = found(&doctor, &format!("group {group} on blue"), "fail");
    assert!(hidden.contains("GROUP_AUTHORIZATION_FAILED"), "{hidden}");
    let visible = found(&doctor, "rights on blue", "warn");
    assert!(visible.contains("DESCRIBE on Cluster missing"), "{visible}");

    let (code, out, _) = cutover(dir.path(), &["status", "--json"]);
    let status = json(&out);
    assert_eq!(code, UNKNOWN);
    let row = status["groups"].as_array().unwrap().iter().find(|r| r["group"] == group.as_str()).unwrap();
    assert_eq!(row["way_back"]["way_back"], "unknown", "{row:#}");
    let why = row["side_state"]["why"].as_str().unwrap();
    assert!(why.contains("AUTHORIZATION_FAILED") && !why.contains("does not exist"), "{why}");
    assert!(!why.contains("--read-only"), "nobody asked for that: {why}");
    assert_eq!(row["blue"]["exists"], Value::Null, "{row:#}");
    assert_eq!(status["arming"]["why"], "this command only looks");
    assert!(status["clusters"]["blue"]["groups_hidden"]["what"].as_str().unwrap().contains("DESCRIBE on Cluster"));
}

#[test]
fn describe_without_read_is_not_enough_to_read() {
    let g = guarded();
    let (topic, group) = g.estate();
    for user in ["describer", "reader"] {
        g.grant(user, Operation::Describe, Resource::Topic, &topic);
        g.grant(user, Operation::Describe, Resource::Group, &group);
    }
    g.grant("reader", Operation::Read, Resource::Topic, &topic);
    g.grant("reader", Operation::Read, Resource::Group, &group);
    create_topic(&pair().green, &topic, 1, &[]);
    let dir = tempfile::tempdir().unwrap();

    g.plan(dir.path(), "describer", &topic, &group);
    let (code, out, _) = cutover(dir.path(), &["doctor", "--json"]);
    let doctor = json(&out);
    assert_eq!(code, FAILED);
    let topics = found(&doctor, "topics of the plan on blue", "fail");
    assert!(topics.contains("READ is missing") && topics.contains(&topic), "{topics}");
    // Whoever only looks is not to have it.
    let of_group = found(&doctor, &format!("group {group} on blue"), "warn");
    assert!(of_group.contains("Empty") && of_group.contains("READ is missing"), "{of_group}");

    g.plan(dir.path(), "reader", &topic, &group);
    let (_, out, _) = cutover(dir.path(), &["doctor", "--json"]);
    let doctor = json(&out);
    assert!(found(&doctor, "topics of the plan on blue", "ok").contains("can be read"));
    found(&doctor, &format!("group {group} on blue"), "ok");
    assert!(found(&doctor, "blue", "ok").contains("groups visible"), "others may be hidden");

    // What it may see is whole: the numbers are there, and the list says that it is not.
    let (code, out, _) = cutover(dir.path(), &["lag", "--json"]);
    let lag = json(&out);
    assert_eq!(code, DONE, "{lag:#}");
    let row = lag["groups"].as_array().unwrap().iter().find(|r| r["group"] == group.as_str()).unwrap();
    assert_eq!((&row["blue"]["lag"], &row["blue"]["exists"]), (&0.into(), &true.into()), "{row:#}");
    assert!(lag["clusters"]["blue"]["groups_hidden"]["what"].as_str().unwrap().contains("DESCRIBE on Cluster"));
    let ends = block_on(async {
        let cluster = Cluster::new(Side::Blue, &g.broker.bootstrap, &ClientProperties::default());
        cluster.list_offsets(&[(TopicPartition::new(&topic, 0), cutover::kafka::control::OffsetSpec::Latest)]).await
    });
    assert!(ends.values().all(|end| *end == Ok(Some((0, -1)))), "{ends:?}");
}

#[test]
fn a_quota_is_named_and_waited_for_and_nothing_is_called_down() {
    let g = guarded();
    let (topic, group) = g.estate();
    let dir = tempfile::tempdir().unwrap();
    let client = unique("slow-client");
    // Request quotas are per cent of a thread's time: this much is used up by the first requests of any look.
    tool(
        "kafka.admin.ConfigCommand",
        &[
            "--bootstrap-server",
            &g.broker.bootstrap,
            "--alter",
            "--entity-type",
            "clients",
            "--entity-name",
            &client,
            "--add-config",
            "request_percentage=0.01",
        ],
    );
    let plan = format!(
        "[migration]\nname = \"slow\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.blue.client]\n\
         \"client.id\" = {client:?}\n\"socket.timeout.ms\" = \"3000\"\n[clusters.green]\nbootstrap = {:?}\n\
         [[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n",
        g.broker.bootstrap,
        pair().green.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    let named = format!("client-id {client}");

    let (_, out, _) = cutover(dir.path(), &["doctor", "--json"]);
    let quota = found(&json(&out), "quota on blue", "warn");
    assert!(quota.contains("blue throttles this client") && quota.contains("ms a request"), "{quota}");
    assert!(quota.contains(&named), "{quota}");

    let (code, out, _) = cutover(dir.path(), &["lag", "--json"]);
    let lag = json(&out);
    let blue = &lag["clusters"]["blue"];
    assert_eq!((code, &blue["state"]), (DONE, &"reachable".into()), "slow and known why is not down: {blue:#}");
    assert!(blue["throttle_ms"].as_u64().unwrap() > 0, "{blue:#}");
    assert!(blue["troubles"].to_string().contains(&named), "{blue:#}");
    let (_, out, _) = cutover(dir.path(), &["lag"]);
    assert!(out.contains("blue throttles this client") && out.contains("ms a request"), "{out}");
}

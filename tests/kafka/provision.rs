//! `cutover provision` on two clusters of real Kafka with an authorizer; green is reached by a way that is written down, so
//! that what is sent to it is known. Shown, refused, killed at every effect, made, and made again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use cutover::base::Side;
use cutover::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use cutover::estate::inventory::QuotaEntity;
use cutover::kafka::control::{ChangeOutcome, Cluster, NewTopic};
use cutover::kafka::properties::ClientProperties;
use serde_json::Value;

use crate::inventory::{look_until, run};
use crate::support::kafka::{Broker, Recorder, throwaway};

struct Watched {
    broker: Broker,
    recorder: Recorder,
}

fn start_watched(name: &str) -> Watched {
    let recorder = Recorder::start();
    let [binds, advertises] = recorder.listeners();
    let extra = [
        ("listeners", format!("{binds},CONTROLLER://127.0.0.1:{{controller}}")),
        ("advertised.listeners", advertises),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,RECORDED:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
        ("super.users", "User:ANONYMOUS".to_owned()),
    ];
    let extra: Vec<(&str, &str)> = extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Watched { broker: throwaway(name, &extra), recorder }
}

fn plain_cluster(side: Side, broker: &Broker) -> Cluster {
    Cluster::new(side, &broker.bootstrap, &ClientProperties::default())
}

fn all_done<K: std::fmt::Debug>(outcomes: &BTreeMap<K, ChangeOutcome>) {
    assert!(outcomes.values().all(ChangeOutcome::is_done), "{outcomes:?}");
}

/// What blue has: 9 topics of odd settings, 9 ACLs, 4 limits.
fn seed_blue(blue: &Cluster) {
    use {Operation as O, Resource as R};
    let mut topics = vec![
        NewTopic::new("orders", 6, 1).with("retention.ms", "-1").with("cleanup.policy", "compact"),
        NewTopic::new("audit", 1, 1).with("max.message.bytes", "2097152"),
        NewTopic::new("grown", 4, 1),
    ];
    topics.extend(
        (0..6).map(|n| NewTopic::new(format!("odd-{n}"), n + 1, 1).with("segment.ms", format!("{}", 60_000 * (n + 1)))),
    );
    all_done(&run(blue.create_topics(&topics, false)).unwrap());
    let allow = |operation, resource, name: &str| Acl {
        permission: Permission::Allow,
        operation,
        ..Acl::deny_write(resource, name, "User:app")
    };
    let mut acls = BTreeSet::from([
        allow(O::Write, R::Topic, "orders"),
        Acl { pattern: AclPattern::Prefixed, ..allow(O::Read, R::Topic, "odd-") },
        allow(O::Read, R::Group, "app"),
        allow(O::Write, R::TransactionalId, "tx-1"),
        allow(O::IdempotentWrite, R::Cluster, "kafka-cluster"),
        Acl::deny_write(R::Topic, "audit", "User:guest"),
    ]);
    acls.extend((0..3).map(|n| Acl { host: format!("10.0.0.{n}"), ..allow(O::Read, R::Topic, "audit") }));
    all_done(&run(blue.create_acls(&acls)));
    let limit = |parts: &[(&str, Option<&str>)], name: &str, value: f64| {
        (QuotaEntity::named(parts), BTreeMap::from([(name.to_owned(), value)]))
    };
    let quotas = BTreeMap::from([
        limit(&[("user", Some("app"))], "producer_byte_rate", 1e9),
        limit(&[("client-id", None)], "request_percentage", 900.0),
        limit(&[("user", Some("app")), ("client-id", None)], "consumer_byte_rate", 2e9),
        limit(&[("ip", Some("10.9.8.7"))], "connection_creation_rate", 50.0),
    ]);
    run(blue.alter_quotas(&quotas, false)).values().for_each(all_done);
}

/// What green has of it, otherwise: a topic with other settings, one with fewer partitions.
fn seed_green(green: &Cluster) {
    let topics = [NewTopic::new("audit", 1, 1).with("max.message.bytes", "1000000"), NewTopic::new("grown", 2, 1)];
    all_done(&run(green.create_topics(&topics, false)).unwrap());
}

struct Told {
    code: i32,
    out: String,
    err: String,
}

fn provision(dir: &Path, args: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .current_dir(dir)
        .arg("provision")
        .args(args)
        .env_remove("CUTOVER_PLAN")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Told { code: output.status.code().unwrap_or(-1), out: read(&output.stdout), err: read(&output.stderr) }
}

fn provision_json(dir: &Path, args: &[&str]) -> (i32, Value) {
    let told = provision(dir, &[args, &["--json"]].concat());
    let json = serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {}{}", told.out, told.err));
    (told.code, json)
}

#[test]
fn green_is_shown_killed_made_and_not_touched_again() {
    let (blue, green) = (start_watched("provision-blue"), start_watched("provision-green"));
    let (b, g) = (plain_cluster(Side::Blue, &blue.broker), plain_cluster(Side::Green, &green.broker));
    seed_blue(&b);
    seed_green(&g);
    look_until(&b, |found| {
        found.acls.as_told().is_some_and(|acls| acls.len() == 9) && found.quotas.as_told().is_some_and(|q| q.len() == 4)
    });
    let dir = tempfile::tempdir().expect("a directory");
    let plan = format!(
        "migration.name = \"loans\"\nclusters.blue.bootstrap = \"{}\"\nclusters.green.bootstrap = \"{}\"\n",
        blue.recorder.bootstrap, green.recorder.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    let changing = || (blue.recorder.changing(), green.recorder.changing());
    let nothing = (BTreeMap::new(), BTreeMap::new());

    // Shown, and refused: nothing is sent that changes anything.
    let shown = provision(dir.path(), &[]);
    assert_eq!(shown.code, 3, "{}{}", shown.out, shown.err);
    for line in [
        "+ topics orders",
        "+ acls allow write on topic orders",
        "~ settings audit max.message.bytes: ",
        "! add 2 partitions to topic grown",
    ] {
        assert!(shown.out.contains(line), "{line}: {}", shown.out);
    }
    assert!(shown.out.contains("nothing was changed: add --apply"), "{}", shown.out);
    for (args, code) in [
        (&["--apply"][..], 1),
        (&["--apply", "--yes", "another"], 1),
        (&["--apply", "--yes", "loans", "--read-only"], 3),
        (&["--apply", "--yes", "loans", "--dry-run"], 3),
    ] {
        let told = provision(dir.path(), args);
        assert_eq!(told.code, code, "{args:?}: {}{}", told.out, told.err);
    }
    assert_eq!(changing(), nothing);

    // Killed at every boundary of the first changes: each start goes on with what is missing.
    for (number, boundary) in (0..3).flat_map(|n| ["before", "after-intent", "after-effect"].map(|b| (n, b))) {
        let at = format!("{boundary}:provision/{number}");
        let told = provision(dir.path(), &["--apply", "--yes", "loans", "--crash-at", &at]);
        assert_eq!(told.code, -1, "{at}: {}{}", told.out, told.err);
    }
    let (code, json) = provision_json(dir.path(), &["--apply", "--yes", "loans"]);
    assert_eq!((code, &json["after"]), (3, &"differs".into()), "more partitions want a word: {json:#}");
    let held: Vec<_> = json["changes"].as_array().unwrap().iter().filter(|c| !c["held"].is_null()).collect();
    assert_eq!(held.len(), 1, "{json:#}");
    let (code, json) = provision_json(dir.path(), &["--apply", "--yes", "loans", "--add-partitions"]);
    assert_eq!((code, &json["after"]), (0, &"equal".into()), "{json:#}");

    // Again: nothing.
    [&blue, &green].iter().for_each(|side| side.recorder.forget());
    let again = provision(dir.path(), &["--apply", "--yes", "loans", "--add-partitions"]);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    assert!(again.out.contains("nothing to do: PARITY"), "{}", again.out);
    assert_eq!(changing(), nothing);
    assert!(green.recorder.sent().contains_key(&32), "and it was looked at: {:?}", green.recorder.sent());

    // The journal has each change once as it was sent, and blue is as it was.
    let journal = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .current_dir(dir.path())
        .args(["journal", "show", "-n", "500"])
        .output()
        .expect("it runs");
    let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
    assert!(journal.contains("will create topic orders with 6 partitions of 1 replica"), "{journal}");
    assert!(journal.contains("there already") || journal.contains(": done"), "{journal}");
}

/// 200 topics with one or two odd settings each, names of every kind that Kafka allows.
fn list_odd_topics() -> Vec<NewTopic> {
    const SETTINGS: [(&str, &str); 24] = [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("compression.type", "zstd"),
        ("compression.zstd.level", "7"),
        ("compression.gzip.level", "3"),
        ("compression.lz4.level", "12"),
        ("delete.retention.ms", "3600000"),
        ("file.delete.delay.ms", "1000"),
        ("flush.messages", "10000"),
        ("flush.ms", "60000"),
        ("index.interval.bytes", "8192"),
        ("max.compaction.lag.ms", "86400000"),
        ("max.message.bytes", "5242880"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.before.max.ms", "604800000"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.1"),
        ("min.compaction.lag.ms", "60000"),
        ("retention.bytes", "1073741824"),
        ("retention.ms", "-1"),
        ("segment.bytes", "16777216"),
        ("segment.jitter.ms", "30000"),
        ("segment.ms", "7200000"),
        ("unclean.leader.election.enable", "true"),
    ];
    let name = |n: usize| match n % 5 {
        0 => format!("payments.v{n}.events"),
        1 => format!("UPPER-{n}"),
        2 => format!("snake_case_{n}"),
        3 => format!("{n}"),
        _ => format!("{}{n:03}", "l".repeat(246)),
    };
    let topic = |n: usize| {
        let [(first, value), (second, other)] = [SETTINGS[n % 24], SETTINGS[(n * 7 + 3) % 24]];
        let partitions = i32::try_from(n % 3 + 1).expect("few");
        let topic = NewTopic::new(name(n), partitions, 1).with(first, value);
        if first == second { topic } else { topic.with(second, other) }
    };
    (0..200).map(topic).collect()
}

/// 300 ACLs of every kind of resource, pattern, permission and host.
fn list_odd_acls() -> BTreeSet<Acl> {
    use {Operation as O, Resource as R};
    let principal = |n: usize| match n % 3 {
        0 => format!("User:app-{n}"),
        1 => format!("User:CN=app {n},OU=Zahlungen,O=Bank"),
        _ => "User:*".to_owned(),
    };
    let acl = |n: usize| {
        let (resource, name, operation) = match n % 6 {
            0 => (R::Topic, format!("payments.v{n}.events"), O::Write),
            1 => (R::Group, format!("group-{n}"), O::Read),
            2 => (R::TransactionalId, format!("tx-{n}"), O::Describe),
            3 => {
                (R::Cluster, "kafka-cluster".to_owned(), [O::IdempotentWrite, O::Describe, O::AlterConfigs][n / 6 % 3])
            }
            4 => (R::DelegationToken, format!("owner-{n}"), O::Describe),
            _ => (R::Topic, "*".to_owned(), O::DescribeConfigs),
        };
        let prefixed = n % 4 == 1 && resource != R::Cluster && name != "*";
        Acl {
            permission: if n.is_multiple_of(11) { Permission::Deny } else { Permission::Allow },
            operation,
            pattern: if prefixed { AclPattern::Prefixed } else { AclPattern::Literal },
            host: if n.is_multiple_of(5) { "*".to_owned() } else { format!("10.1.{}.{}", n / 250, n % 250) },
            ..Acl::deny_write(resource, &name, principal(n))
        }
    };
    // Some of them come out alike.
    let mut acls = BTreeSet::new();
    for one in (0..).map(acl) {
        if acls.len() == 300 {
            break;
        }
        acls.insert(one);
    }
    acls
}

fn list_odd_quotas() -> BTreeMap<QuotaEntity, BTreeMap<String, f64>> {
    let quota = |n: usize| {
        let (user, client) = (format!("user {n}%=&"), format!("client-{n}"));
        let entity = match n % 4 {
            0 => QuotaEntity::named(&[("user", Some(&user))]),
            1 => QuotaEntity::named(&[("client-id", Some(&client))]),
            2 => QuotaEntity::named(&[("user", Some(&user)), ("client-id", Some(&client))]),
            _ => QuotaEntity::named(&[("user", Some(&user)), ("client-id", None)]),
        };
        let value = 1e8 + f64::from(u8::try_from(n).expect("few"));
        (entity, BTreeMap::from([("producer_byte_rate".to_owned(), value), ("request_percentage".to_owned(), 500.5)]))
    };
    (0..40).map(quota).collect()
}

#[test]
fn an_estate_of_200_topics_is_made_in_one_go_and_once() {
    let (blue, green) = (start_watched("estate-blue"), start_watched("estate-green"));
    let b = plain_cluster(Side::Blue, &blue.broker);
    all_done(&run(b.create_topics(&list_odd_topics(), false)).unwrap());
    all_done(&run(b.create_acls(&list_odd_acls())));
    run(b.alter_quotas(&list_odd_quotas(), false)).values().for_each(all_done);
    look_until(&b, |found| {
        found.acls.as_told().is_some_and(|acls| acls.len() == 300)
            && found.quotas.as_told().is_some_and(|quotas| quotas.len() == 40)
    });
    let dir = tempfile::tempdir().expect("a directory");
    let plan = format!(
        "migration.name = \"loans\"\nclusters.blue.bootstrap = \"{}\"\nclusters.green.bootstrap = \"{}\"\n",
        blue.recorder.bootstrap, green.recorder.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();

    let (_, shown) = provision_json(dir.path(), &[]);
    let planned = shown["changes"].as_array().expect("changes").len();
    // 200 topics with their settings, 300 ACLs, 40 entities with both of their limits.
    assert_eq!(planned, 200 + 300 + 40, "{:#}", shown["changes"]);
    // Once through the middle, so that what is there already and what is not meet in one run.
    let killed = provision(dir.path(), &["--apply", "--yes", "loans", "--crash-at", "after-effect:provision/301"]);
    assert_eq!(killed.code, -1, "{}{}", killed.out, killed.err);
    let (code, made) = provision_json(dir.path(), &["--apply", "--yes", "loans"]);
    assert_eq!((code, &made["after"]), (0, &"equal".into()), "{made:#}");
    let left = made["changes"].as_array().expect("changes").len();
    assert!(left < planned && left > 0, "{left} of {planned} were left");

    let g = plain_cluster(Side::Green, &green.broker);
    let (on_blue, on_green) = (run(b.take_inventory()).unwrap(), run(g.take_inventory()).unwrap());
    assert_eq!(on_blue.acls.as_told(), on_green.acls.as_told());
    assert_eq!(on_blue.quotas.as_told(), on_green.quotas.as_told());
    let topics = |found: &cutover::estate::inventory::Inventory| {
        let chosen = |t: &cutover::estate::inventory::TopicDefinition| {
            let settings = t.settings.as_told().expect("told").iter().filter(|(_, s)| s.source.is_explicit());
            let settings: BTreeMap<String, Option<String>> =
                settings.map(|(name, setting)| (name.clone(), setting.value.clone())).collect();
            (t.partitions, settings)
        };
        found.topics.iter().map(|(name, t)| (name.clone(), chosen(t))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(topics(&on_blue), topics(&on_green));

    [&blue, &green].iter().for_each(|side| side.recorder.forget());
    let again = provision(dir.path(), &["--apply", "--yes", "loans"]);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    let changed = (blue.recorder.changing(), green.recorder.changing());
    assert_eq!(changed, (BTreeMap::new(), BTreeMap::new()), "a second run sends nothing that changes anything");
}

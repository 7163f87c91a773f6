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

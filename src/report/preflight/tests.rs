use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::{WIDTH, to_json, to_text, wrap_words};
use crate::base::{At, Side, Sides, Trouble};
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::estate::inventory::{
    Inventory, QuotaEntity, ScramCredential, ScramMechanism, Setting, SettingSource, TopicDefinition,
};
use crate::estate::transactions::Answer;
use crate::parity::{ParityReport, ParityScope, compare_inventories};

fn make_setting(value: &str, source: SettingSource) -> Setting {
    Setting { value: Some(value.to_owned()), source, read_only: false }
}

fn make_topic(partitions: i32, retention: &str) -> TopicDefinition {
    let settings = [("retention.ms".to_owned(), make_setting(retention, SettingSource::Topic))].into();
    TopicDefinition { internal: false, partitions, replicas: (3, 3), settings: Answer::Told(settings) }
}

fn make_acl(resource: Resource, name: &str) -> Acl {
    Acl {
        resource,
        name: name.to_owned(),
        pattern: AclPattern::Literal,
        principal: "User:app".to_owned(),
        host: "*".to_owned(),
        operation: Operation::Read,
        permission: Permission::Allow,
    }
}

fn make_cluster(side: Side) -> Inventory {
    let brokers = [
        ("auto.create.topics.enable", "false"),
        ("offsets.retention.minutes", "10080"),
        ("message.max.bytes", "1048588"),
        ("log.retention.hours", "168"),
    ];
    let broker: BTreeMap<_, _> =
        brokers.iter().map(|(k, v)| ((*k).to_owned(), make_setting(v, SettingSource::Default))).collect();
    let credential = BTreeSet::from([ScramCredential { mechanism: ScramMechanism::Sha512, iterations: 4096 }]);
    Inventory {
        release: None,
        cluster_id: Some(side.name().to_owned()),
        topics: [("audit".to_owned(), make_topic(1, "-1")), ("orders".to_owned(), make_topic(6, "259200000"))].into(),
        topics_hidden: None,
        brokers: (1..=3).map(|node| (node, Answer::Told(broker.clone()))).collect(),
        acls: Answer::Told([make_acl(Resource::Topic, "orders"), make_acl(Resource::Group, "ledger")].into()),
        scram_users: Answer::Told([("app".to_owned(), credential)].into()),
        quotas: Answer::Told(
            [(QuotaEntity::named(&[("user", Some("app"))]), [("producer_byte_rate".to_owned(), 1024.0)].into())].into(),
        ),
    }
}

fn compare_clusters(blue: &Inventory, green: &Inventory) -> ParityReport {
    let scope = ParityScope { planned_ms: Some(86_400_000), ..ParityScope::default() };
    ParityReport {
        migration: "loans".to_owned(),
        at: At(5),
        clusters: Sides { blue: blue.cluster_id.clone(), green: green.cluster_id.clone() },
        excluded: vec!["scratch".to_owned()],
        parity: compare_inventories(blue, green, &scope),
        schemas: None,
    }
}

fn make_drift() -> ParityReport {
    let (mut blue, mut green) = (make_cluster(Side::Blue), make_cluster(Side::Green));
    green.topics.remove("audit");
    green.topics.insert("orders".to_owned(), make_topic(3, "86400000"));
    green.acls = Answer::Told([make_acl(Resource::Topic, "orders")].into());
    green.scram_users = Answer::Told([("ops".to_owned(), BTreeSet::new())].into());
    green.quotas = Answer::Hidden(Trouble::new(
        "CLUSTER_AUTHORIZATION_FAILED",
        "give the principal DESCRIBE_CONFIGS on the cluster",
    ));
    blue.topics.insert("evil\u{1b}[2J".to_owned(), make_topic(1, "1"));
    compare_clusters(&blue, &green)
}

#[test]
fn the_page_says_what_is_missing_and_what_to_do_in_80_columns() {
    let text = to_text(&make_drift());
    for line in text.lines() {
        assert!(line.width() <= WIDTH && line == line.trim_end(), "{line:?}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    insta::assert_snapshot!("page", text);
}

#[test]
fn parity_is_one_line_and_no_row() {
    let text = to_text(&compare_clusters(&make_cluster(Side::Blue), &make_cluster(Side::Green)));
    assert!(text.starts_with("loans: PARITY: 10 the same\n"), "{text}");
    assert!(!text.contains("BLOCKS") && !text.contains("UNKNOWN") && !text.contains("WARNS"), "{text}");
}

#[test]
fn what_is_hidden_alone_is_unknown_and_never_parity() {
    let (blue, mut green) = (make_cluster(Side::Blue), make_cluster(Side::Green));
    green.acls = Answer::Hidden(Trouble::new("no", "grant DESCRIBE on the cluster"));
    let report = compare_clusters(&blue, &green);
    let text = to_text(&report);
    assert!(text.starts_with("loans: UNKNOWN: 1 unknown, "), "{text}");
    assert!(text.contains("do: grant DESCRIBE on the cluster\n"), "{text}");
    let json = to_json(&report);
    assert_eq!((&json["verdict"], &json["known"]), (&json!("unknown"), &json!(false)));
    assert_eq!(json["areas"]["acls"]["verdict"], "unknown");
    assert_eq!(json["rows"][0]["advice"], "grant DESCRIBE on the cluster");
}

#[test]
fn scripts_get_names_states_and_changes() {
    let json = to_json(&make_drift());
    assert_eq!((&json["schema"], &json["verdict"], &json["known"]), (&json!(1), &json!("differs"), &json!(false)));
    let rows = json["rows"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {rows:#?}"));
    let missing = of("audit");
    assert_eq!((&missing["state"], &missing["gravity"]), (&json!("missing"), &json!("blocks")));
    assert_eq!(missing["change"]["create_topic"]["topic"], "audit");
    assert_eq!(of("orders retention.ms")["do"], "set on topic orders: retention.ms=259200000");
    assert_eq!(of("app")["change"], json!(null), "a password is made by hand");
    assert_eq!(of("green")["state"], "unknown");
    assert_eq!(
        json["areas"]["topics"],
        json!({
            "same": 0, "blocks": 2, "warns": 1, "notes": 0, "unknown": 0, "mendable": 3, "verdict": "differs",
        })
    );
    assert_eq!(json["left_out"]["plan"], json!(["scratch"]));
    let flags: BTreeMap<_, _> =
        json["flags"].as_array().unwrap().iter().map(|flag| (flag["flag"].as_str().unwrap(), flag)).collect();
    assert_eq!(
        (&flags["retention_shrinks"]["state"], &flags["retention_shrinks"]["gravity"]),
        (&json!("raised"), &json!("blocks"))
    );
    assert_eq!(flags["timestamp_types"]["state"], "unknown", "no topic of this kit has that setting");
}

#[test]
fn a_table_has_the_gravest_first_and_says_what_it_leaves_out() {
    use crate::parity::ParityClass::{Blocks, Notes, Unknown, Warns};
    let table = make_drift().to_table(500);
    let classes: Vec<_> = table.lines.iter().map(|line| (line.class, line.kind.as_str())).collect();
    assert_eq!(
        classes,
        [
            (Blocks, "topics"),
            (Blocks, "topics"),
            (Blocks, "settings"),
            (Blocks, "acls"),
            (Blocks, "users"),
            (Blocks, "flag"),
            (Unknown, "quotas"),
            (Warns, "topics"),
            (Notes, "users"),
            (Unknown, "flag"),
            (Unknown, "flag"),
        ],
        "flags that are not known come last"
    );
    assert_eq!(table.counts, [(Blocks, 6), (Unknown, 3), (Warns, 1), (Notes, 1)].into());
    assert_eq!((table.verdict, table.left_out), (crate::parity::ParityVerdict::Differs, 0));
    let short = make_drift().to_table(2);
    assert_eq!(
        (short.lines.len(), short.left_out, short.counts),
        (2, 9, table.counts.clone()),
        "the counts are of all"
    );
    assert!(table.lines.iter().all(|line| !line.name.contains('\u{1b}')), "{table:?}");
}

#[test]
fn words_are_wrapped_and_only_a_longer_one_than_the_page_is_broken() {
    let text = wrap_words(&format!("  a {} {}", "b".repeat(78), "c".repeat(100)), 2);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "  a".to_owned(),
            format!("  {}", "b".repeat(78)),
            format!("  {}", "c".repeat(78)),
            format!("  {}", "c".repeat(22))
        ]
    );
    assert_eq!(wrap_words("a \u{1b}[2J b", 2), "a ␛[2J b\n", "nothing of it acts on a terminal");
    assert_eq!(wrap_words("", 2), "\n");
}

//! A registry read over HTTP and compared: what came back is what it holds, and drift is found.

use std::collections::BTreeSet;

use cutover::base::{Side, Sides};
use cutover::plan::Plan;
use cutover::registry::{RegistryClient, read_both, read_content};
use cutover::schemas::{
    ImportTerms, Keeping, MeaningLayer, RegistryAnswer, RegistryContent, RegistryKind, SchemaFinding, SchemaId,
    SchemaParity, SchemaSeverity, SchemaVerdict, SubjectVersion, compare_contents, identify_schemas, plan_imports,
};
use serde_json::{Value, json};

use super::recorded::earlier;
use crate::fake_registry::{FakeRegistry, Manner, State};

/// A client as a plan makes it; `more` are further lines of its section.
pub async fn open(side: Side, url: &str, more: &str) -> RegistryClient {
    let text = format!(
        "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n[clusters.{side}.registry]\nurl = \"{url}\"\n{more}\n"
    );
    let loaded = Plan::parse(&text, std::path::Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let plan = loaded.plan.clusters[side].registry.as_ref().expect("a registry");
    RegistryClient::open(plan, side).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn read(registry: &FakeRegistry, side: Side) -> RegistryContent {
    read_content(&open(side, &registry.url, "").await).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn compare(blue: &FakeRegistry, green: &FakeRegistry) -> (Sides<RegistryContent>, SchemaParity) {
    let clients = Sides { blue: open(Side::Blue, &blue.url, "").await, green: open(Side::Green, &green.url, "").await };
    let both = read_both(clients.as_ref(), &[]).await.map(|read| read.unwrap_or_else(|e| panic!("{e}")));
    let parity = compare_contents(&both.blue, &both.green);
    (both, parity)
}

pub fn avro(name: &str, field: &str, kind: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","namespace":"n","fields":[{{"name":"{field}","type":"{kind}"}}]}}"#)
}

/// 140 subjects as issues have them: references, soft-deleted versions, three languages, a context, settings of their own.
fn seeded(manner: Manner) -> State {
    seeded_with(manner, 46)
}

/// The same with fewer of them: three subjects for each of `threes`, and two more.
pub fn seeded_with(manner: Manner, threes: u32) -> State {
    let mut state = State::new(manner);
    for n in 0..threes {
        let base = 1_000 + n * 10;
        state.seed_avro(&format!("ref-{n}"), 1, base, &avro(&format!("Ref{n}"), "s", "string"));
        let references = json!([{ "name": format!("n.Ref{n}"), "subject": format!("ref-{n}"), "version": 1 }]);
        let uses = avro(&format!("Use{n}"), "a", &format!("n.Ref{n}"));
        state.seed(&format!("use-{n}-value"), 1, base + 1, "AVRO", &uses, references);
        state.seed_avro(&format!("old-{n}"), 3, base + 2, &avro(&format!("Old{n}"), "x", "int"));
        state.seed_avro(&format!("old-{n}"), 4, base + 3, &avro(&format!("Old{n}"), "x", "long"));
        state.answer(&crate::fake_registry::Asked::new(
            "DELETE",
            &format!("/subjects/old-{n}/versions/3"),
            Value::Null,
        ));
    }
    state.seed(
        "pb/with space",
        1,
        5_000,
        "PROTOBUF",
        "syntax = \"proto3\"; // c\nmessage M { string a = 1; }",
        Value::Null,
    );
    state.seed("js", 1, 5_001, "JSON", r#"{ "type": "object", "title": "t" }"#, Value::Null);
    state
}

fn put(registry: &FakeRegistry, method: &str, target: &str, body: Value) -> Value {
    let (status, answer) = registry.ask(method, target, body);
    assert_eq!(status, 200, "{method} {target}: {answer}");
    answer
}

/// Puts a version there with an id, whatever the mode before.
fn import(registry: &FakeRegistry, subject: &str, id: u32, version: u32, schema: &str) {
    put(registry, "PUT", &format!("/mode/{subject}?force=true"), json!({ "mode": "IMPORT" }));
    put(
        registry,
        "POST",
        &format!("/subjects/{subject}/versions"),
        json!({ "schema": schema, "id": id, "version": version }),
    );
    put(registry, "DELETE", &format!("/mode/{subject}"), Value::Null);
}

#[tokio::test]
async fn a_registry_of_140_subjects_is_read_whole_and_nothing_is_changed() {
    let registry = FakeRegistry::start(seeded(Manner::Confluent));
    let content = read(&registry, Side::Blue).await;
    assert_eq!(
        (content.server.kind, content.subjects.len(), content.unlisted.clone()),
        (RegistryKind::Confluent, 140, None)
    );
    assert_eq!(content.stored_schemas().count(), 186);
    assert_eq!(content.ids.len(), 186);
    assert!(content.ids.values().all(|read| matches!(read, RegistryAnswer::Told(Some(_)))), "also the deleted ones");
    let old = &content.subjects["old-7"];
    assert_eq!((old.deleted_versions(), old.versions.len()), (vec![3], 2));
    assert_eq!(content.subjects["use-7-value"].versions[&1].content.as_told().unwrap().schema.references.len(), 1);
    assert!(content.subjects.contains_key("pb/with space"));
    let asked = registry.asked();
    assert!(asked.iter().all(|a| a.starts_with("GET ")), "{:?}", asked.iter().find(|a| !a.starts_with("GET ")));
    let once: BTreeSet<&String> = asked.iter().collect();
    assert!(
        asked.len() - once.len() <= 2,
        "nothing is asked twice but what also tells kinds apart: {} of {}",
        once.len(),
        asked.len()
    );
    assert_eq!(identify_schemas(&content).len(), 186);
}

#[tokio::test]
async fn each_kind_is_told_by_its_answers() {
    let kinds = [
        (Manner::Confluent, RegistryKind::Confluent),
        (Manner::AxonOps, RegistryKind::AxonOps),
        (Manner::Karapace, RegistryKind::Karapace),
        (Manner::Apicurio, RegistryKind::Apicurio),
    ];
    for (manner, kind) in kinds {
        let content = read(&FakeRegistry::start(seeded(manner)), Side::Green).await;
        assert_eq!((content.server.kind, content.subjects.len()), (kind, 140), "{manner:?}");
        let unread: Vec<_> = content
            .subjects
            .values()
            .flat_map(|s| s.versions.values())
            .filter(|v| v.content.as_told().is_none())
            .collect();
        assert!(unread.is_empty(), "{manner:?}: {unread:?}");
        let deleted = content.subjects.values().map(|s| s.deleted_versions().len()).sum::<usize>();
        assert_eq!(deleted, 46, "{manner:?}");
    }
}

/// Each prints what it was sent in its own way: the same all the same.
#[tokio::test]
async fn kinds_that_print_differently_hold_the_same() {
    let blue = FakeRegistry::start(seeded_with(Manner::Confluent, 9));
    for manner in [Manner::AxonOps, Manner::Karapace, Manner::Apicurio] {
        let (_, parity) = compare(&blue, &FakeRegistry::start(seeded_with(manner, 9))).await;
        let grave = parity.findings.iter().filter(|f| !matches!(f, SchemaFinding::CompatibilityDiffers { .. }));
        assert_eq!(grave.collect::<Vec<_>>(), Vec::<&SchemaFinding>::new(), "{manner:?}");
        assert_eq!(parity.findings.len(), usize::from(manner == Manner::Apicurio), "its default is NONE: {manner:?}");
    }
}

/// Drift by hand, kind by kind, each found by its name.
#[tokio::test]
async fn drift_is_found_and_named() {
    let named = |f: &SchemaFinding| serde_json::to_value(f).unwrap()["finding"].as_str().unwrap().to_owned();
    type Drift = (&'static str, &'static [&'static str], fn(&FakeRegistry));
    let cases: &[Drift] = &[
        ("nothing", &[], |_| ()),
        ("a subject is gone for good", &["id-unreadable", "subject-missing"], |g| {
            put(g, "DELETE", "/subjects/js", Value::Null);
            put(g, "DELETE", "/subjects/js?permanent=true", Value::Null);
        }),
        ("a version is soft-deleted", &["soft-deleted"], |g| {
            drop(put(g, "DELETE", "/subjects/old-7/versions/4", Value::Null))
        }),
        ("a deleted version is gone for good", &["id-unreadable", "version-missing"], |g| {
            put(g, "DELETE", "/subjects/old-7/versions/3?permanent=true", Value::Null);
        }),
        ("a version was bound anew, its old id with it", &["id-reads-other", "other-id", "other-meaning"], |g| {
            import(g, "old-7", 9_999, 4, &avro("Old7", "x", "string"));
        }),
        ("a second id of one schema, in a version that blue has not", &["only-on-green"], |g| {
            import(g, "old-7", 9_999, 5, &avro("Old7", "x", "long"));
        }),
        ("a newer version that nobody copied", &["only-on-green"], |g| {
            put(g, "POST", "/subjects/more/versions", json!({ "schema": avro("More", "x", "int") }));
        }),
        ("compatibility of a subject", &["compatibility-differs"], |g| {
            put(g, "PUT", "/config/js", json!({ "compatibility": "NONE" }));
        }),
        ("compatibility of all", &["compatibility-differs"], |g| {
            drop(put(g, "PUT", "/config", json!({ "compatibility": "FULL" })))
        }),
        ("a group of compatibility", &["config-differs"], |g| {
            put(g, "PUT", "/config/js", json!({ "compatibility": "BACKWARD", "compatibilityGroup": "app.major" }));
        }),
        ("a mode left at IMPORT", &["mode-differs"], |g| {
            drop(put(g, "PUT", "/mode/js?force=true", json!({ "mode": "IMPORT" })))
        }),
        ("the mode of all", &["mode-differs"], |g| drop(put(g, "PUT", "/mode", json!({ "mode": "READONLY" })))),
        ("an alias leads elsewhere", &["config-differs", "not-read"], |g| {
            put(g, "PUT", "/config/old-7", json!({ "alias": "old-8" }));
        }),
    ];
    for (what, wanted, drift) in cases {
        let [blue, green] = [(); 2].map(|()| FakeRegistry::start(seeded_with(Manner::Confluent, 9)));
        drift(&green);
        let (_, parity) = compare(&blue, &green).await;
        let found: BTreeSet<String> = parity.findings.iter().map(named).collect();
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), *wanted, "{what}: {:#?}", parity.findings);
        let only_more = wanted.iter().all(|w| *w == "only-on-green");
        let verdict = if only_more { SchemaVerdict::Same } else { SchemaVerdict::Differs };
        assert_eq!(parity.judge_parity(), verdict, "{what}");
        assert!(parity.findings.windows(2).all(|w| w[0].severity_of() <= w[1].severity_of()), "{what}");
    }
}

/// The state of things after the recorded session: a version that was bound anew took its old id with it.
#[tokio::test]
async fn what_the_recorded_registry_did_is_found() {
    let (blue, green) =
        (FakeRegistry::start(earlier(Manner::Confluent)), FakeRegistry::start(earlier(Manner::Confluent)));
    let x = r#"{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}"#;
    for registry in [&blue, &green] {
        import(registry, "p3-i", 91_000, 7, x);
    }
    import(&green, "p3-i", 91_002, 7, r#"{"type":"record","name":"I","fields":[{"name":"r","type":"long"}]}"#);
    let (both, parity) = compare(&blue, &green).await;
    let used_by = vec![SubjectVersion::new("p3-i", 7)];
    let id = SchemaId::of_default(91_000);
    assert_eq!(parity.findings[0], SchemaFinding::IdReadsOther { id, layer: MeaningLayer::Encoding, used_by });
    assert_eq!(parity.findings[0].severity_of(), SchemaSeverity::Grave);
    let plan = plan_imports(
        &both.blue,
        &both.green,
        &ImportTerms { ids: Keeping::Keeps, ..ImportTerms::before_probe(&both.green) },
    );
    assert_eq!((plan.imports.len(), plan.obstacles.len()), (0, 1), "{plan:#?}");
}

/// Apicurio lists such a subject and reads nothing of it: what id records carry of it is not known, and is said so.
#[tokio::test]
async fn what_a_server_hides_of_deleted_subjects_is_unknown() {
    let [blue, green] = [(); 2].map(|()| FakeRegistry::start(seeded_with(Manner::Apicurio, 1)));
    put(&blue, "DELETE", "/subjects/js", Value::Null);
    put(&green, "DELETE", "/subjects/js", Value::Null);
    let (both, parity) = compare(&blue, &green).await;
    let why = both.blue.subjects["js"].versions[&1].content.why_unknown().expect("it is hidden");
    assert!(why.what.contains("listed and not found") && why.advice.contains("deleted as a whole"), "{why:?}");
    assert_eq!(parity.judge_parity(), SchemaVerdict::Unknown, "{:#?}", parity.findings);
}

#[tokio::test]
async fn contexts_are_read_with_ids_of_their_own() {
    let registry = FakeRegistry::start(earlier(Manner::Confluent));
    registry.with_state(|s| s.seed_avro(":.c1:p3-ctx", 1, 1, &avro("C", "x", "int")));
    put(&registry, "PUT", "/config/:.c1:", json!({ "compatibility": "NONE" }));
    let content = read(&registry, Side::Blue).await;
    let of = |context: &str| {
        content.ids[&SchemaId { context: context.into(), id: 1 }].as_told().cloned().flatten().unwrap().text
    };
    assert!(of(".c1").contains("\"C\"") && of(".").contains("\"Addr\""));
    let own = content.by_context[".c1"].config.as_told().cloned().flatten().unwrap();
    assert_eq!(own.compatibility.as_deref(), Some("NONE"));
    assert!(registry.asked().contains(&"GET /subjects/:.c1:p3-ctx/versions/1?deleted=true".to_owned()), "a raw colon");
    // a server without contexts: the same name is a plain one, its id one of all
    let plain = FakeRegistry::start(earlier(Manner::Karapace));
    plain.with_state(|s| s.seed_avro(":.c1:p3-ctx", 1, 77, &avro("C", "x", "int")));
    let content = read(&plain, Side::Green).await;
    assert_eq!(content.contexts, RegistryAnswer::NotOffered);
    assert!(content.ids.contains_key(&SchemaId::of_default(77)));
}

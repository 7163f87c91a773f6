//! The rules as decisions: two contents in, findings or a plan out. Numbers are those of the recorded servers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::base::{At, Side, Sides, TopicPartition, Trouble};

const X: &str = r#"{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}"#;
const X_REPRINTED: &str = r#"{"fields": [{"type": {"type": "int"}, "name": "x"}], "name": "I", "type": "record"}"#;
const X_DOC: &str = r#"{"type":"record","name":"I","doc":"d","fields":[{"name":"x","type":"int"}]}"#;
const R: &str = r#"{"type":"record","name":"I","fields":[{"name":"r","type":"long"}]}"#;
const USES: &str = r#"{"type":"record","name":"U","namespace":"n","fields":[{"name":"a","type":"n.Ref"}]}"#;
const REF: &str = r#"{"type":"record","name":"Ref","namespace":"n","fields":[{"name":"s","type":"string"}]}"#;

fn avro(text: &str) -> SchemaText {
    SchemaText { format: SchemaFormat::Avro, text: text.into(), references: Vec::new(), metadata: None, rules: None }
}

fn referring(text: &str, subject: &str, version: i32) -> SchemaText {
    let references = vec![SchemaReference { name: "n.Ref".into(), subject: subject.into(), version }];
    SchemaText { references, ..avro(text) }
}

fn trouble() -> Trouble {
    Trouble::new("it hung up", "look at it")
}

fn at(subject: &str, version: u32) -> SubjectVersion {
    SubjectVersion::new(subject, version)
}

/// A registry that is built version by version.
#[derive(Clone)]
struct Built(RegistryContent);

impl Built {
    fn of(kind: RegistryKind) -> Self {
        let config = RegistryConfig { compatibility: Some("BACKWARD".into()), more: BTreeMap::new() };
        Built(RegistryContent {
            server: RegistryServer { kind, grounds: "the test says so".into(), version: None },
            contexts: RegistryAnswer::Told([".".to_owned()].into()),
            global: ScopeSettings {
                config: RegistryAnswer::Told(Some(config)),
                mode: RegistryAnswer::Told(Some(RegistryMode::ReadWrite)),
            },
            by_context: BTreeMap::new(),
            subjects: BTreeMap::new(),
            unlisted: None,
            ids: BTreeMap::new(),
        })
    }

    fn confluent() -> Self {
        Self::of(RegistryKind::Confluent)
    }

    fn subject(&mut self, subject: &str) -> &mut SubjectContent {
        self.0.subjects.entry(subject.to_owned()).or_insert_with(|| SubjectContent {
            versions: BTreeMap::new(),
            unlisted: None,
            own: ScopeSettings::say_nothing(),
        })
    }

    fn with(mut self, subject: &str, version: u32, id: u32, schema: SchemaText) -> Self {
        let key = self.0.id_in_context(subject, id);
        self.0.ids.entry(key).or_insert(RegistryAnswer::Told(Some(schema.clone())));
        let content = RegistryAnswer::Told(StoredSchema { id, schema });
        self.subject(subject).versions.insert(version, ListedVersion { deleted: Some(false), content });
        self
    }

    fn deleted(mut self, subject: &str, version: u32) -> Self {
        self.subject(subject).versions.get_mut(&version).unwrap().deleted = Some(true);
        self
    }

    /// What `GET /schemas/ids/ID` answers, whatever versions say.
    fn reading(mut self, id: u32, schema: Option<SchemaText>) -> Self {
        self.0.ids.insert(SchemaId::of_default(id), RegistryAnswer::Told(schema));
        self
    }

    /// Asked for every id of `blue` that it has not, and without it.
    fn asked_about(mut self, blue: &Built) -> Self {
        for id in list_ids_to_read(&blue.0, &self.0) {
            self.0.ids.insert(id, RegistryAnswer::Told(None));
        }
        self
    }

    fn compared(&self, green: &Built) -> SchemaParity {
        compare_contents(&self.0, &green.clone().asked_about(self).0)
    }

    fn planned(&self, green: &Built, ids: Keeping) -> SchemaImportPlan {
        plan_imports(
            &self.0,
            &green.clone().asked_about(self).0,
            &ImportTerms { ids, records: None, wishes: CopyWishes::default() },
        )
    }
}

#[test]
fn a_registry_stands_in_for_itself_however_it_prints() {
    let blue = Built::confluent().with("a", 7, 91000, avro(X)).with("ref", 1, 92000, avro(REF));
    let blue = blue.with("u", 1, 92001, referring(USES, "ref", 1)).deleted("a", 7);
    let mut green = blue.clone();
    let reprinted = RegistryAnswer::Told(StoredSchema { id: 91000, schema: avro(X_REPRINTED) });
    green.subject("a").versions.get_mut(&7).unwrap().content = reprinted;
    let parity = blue.compared(&green);
    assert_eq!((parity.findings.as_slice(), parity.judge_parity()), (&[][..], SchemaVerdict::Same));
    assert_eq!(parity.counts, ParityCounts { subjects: 3, versions: 3, ids: 3 });
    assert_eq!(blue.planned(&green, Keeping::Keeps), SchemaImportPlan::default(), "and nothing is to do");
}

/// The gravest: consumers see the id alone.
#[test]
fn an_id_that_another_schema_has_on_green_comes_first() {
    let blue = Built::confluent().with("a", 1, 91000, avro(X)).with("b", 1, 91001, avro(X));
    let green = Built::confluent().with("other", 1, 91000, avro(R)).reading(91001, Some(avro(X_DOC)));
    let findings = blue.compared(&green).findings;
    let used_by = vec![at("a", 1)];
    let id = SchemaId::of_default(91000);
    assert_eq!(findings[0], SchemaFinding::IdReadsOther { id, layer: MeaningLayer::Encoding, used_by });
    assert_eq!(findings[0].severity_of(), SchemaSeverity::Grave);
    let doc =
        findings.iter().find(|f| matches!(f, SchemaFinding::IdReadsOther { layer: MeaningLayer::Annotation, .. }));
    assert_eq!(doc.unwrap().severity_of(), SchemaSeverity::Differs, "it decodes the same");
}

/// Rule 6: the version may be right and the id wrong (Confluent binds the old id too), or the other way about.
#[test]
fn versions_and_ids_are_both_looked_at() {
    let blue = Built::confluent().with("a", 7, 91000, avro(X));
    let rebound = blue.clone().reading(91000, Some(avro(R)));
    let kinds = |green: &Built| -> Vec<SchemaSeverity> {
        blue.compared(green).findings.iter().map(SchemaFinding::severity_of).collect()
    };
    assert_eq!(kinds(&rebound), [SchemaSeverity::Grave, SchemaSeverity::Differs], "{:?}", blue.compared(&rebound));
    let renumbered = Built::confluent().with("a", 7, 3, avro(X));
    let found = blue.compared(&renumbered).findings;
    assert!(matches!(&found[0], SchemaFinding::IdUnreadable { id, .. } if id.id == 91000), "{found:?}");
    assert!(found.contains(&SchemaFinding::OtherId { at: at("a", 7), ids: Sides { blue: 91000, green: 3 } }));
}

#[test]
fn what_is_missing_or_deleted_on_one_side_is_named() {
    let blue = Built::confluent().with("a", 1, 1, avro(X)).with("a", 2, 2, avro(X_DOC)).with("b", 1, 1, avro(X));
    let blue = blue.with("u", 1, 4, referring(USES, "ref", 1)).deleted("a", 2);
    let green = Built::confluent().with("a", 1, 1, avro(X)).with("u", 1, 4, referring(USES, "ref", 1));
    let green = green.with("more", 3, 9, avro(R)).deleted("a", 1);
    let found = blue.compared(&green).findings;
    for wanted in [
        SchemaFinding::VersionMissing { at: at("a", 2), id: Some(2), deleted: true },
        SchemaFinding::SubjectMissing { subject: "b".into(), versions: 1 },
        SchemaFinding::SoftDeleted { at: at("a", 1), side: Side::Green },
        SchemaFinding::OnlyOnGreen { subject: "more".into(), versions: vec![3] },
    ] {
        assert!(found.contains(&wanted), "{wanted:?} is not in {found:#?}");
    }
    for side in Side::BOTH {
        let missing = |f: &SchemaFinding| matches!(f, SchemaFinding::ReferenceMissing { side: s, .. } if *s == side);
        assert!(found.iter().any(missing), "{side}: {found:#?}");
    }
    assert!(found.windows(2).all(|w| w[0].severity_of() <= w[1].severity_of()), "the gravest first");
}

/// A schema means what its references mean.
#[test]
fn a_reference_that_differs_makes_what_uses_it_differ() {
    let both = |reference: &str| {
        Built::confluent().with("ref", 1, 92000, avro(reference)).with("u", 1, 92001, referring(USES, "ref", 1))
    };
    let longer = REF.replace("\"string\"", "\"long\"");
    let found = both(REF).compared(&both(&longer)).findings;
    let grave: Vec<u32> = found
        .iter()
        .filter_map(|f| match f {
            SchemaFinding::IdReadsOther { id, .. } => Some(id.id),
            _ => None,
        })
        .collect();
    assert_eq!(grave, [92000, 92001], "{found:#?}");
    let identities = |b: &Built| identify_schemas(&b.0)[&SchemaId::of_default(92001)];
    assert_ne!(identities(&both(REF)), identities(&both(&longer)));
}

/// Unknown never passes: neither what was not read nor what has no form.
#[test]
fn what_is_not_known_is_never_the_same() {
    let odd = SchemaText { format: SchemaFormat::Other("XSD".into()), ..avro("<a/>") };
    let other = SchemaText { text: "<a />".into(), ..odd.clone() };
    assert!(matches!(compare_schemas(&odd, &other), MeaningVerdict::Unknown(_)));
    assert_eq!(compare_schemas(&odd, &odd.clone()), MeaningVerdict::Same, "one text is one schema");
    let blue = Built::confluent().with("a", 1, 1, avro(X));
    type Harm = Box<dyn Fn(&mut RegistryContent)>;
    let mut breaks: Vec<Harm> = vec![
        Box::new(|g| g.unlisted = Some(trouble())),
        Box::new(|g| g.contexts = RegistryAnswer::Unknown(trouble())),
        Box::new(|g| g.global.config = RegistryAnswer::Unknown(trouble())),
        Box::new(|g| g.global.mode = RegistryAnswer::Unknown(trouble())),
        Box::new(|g| g.subjects.get_mut("a").unwrap().unlisted = Some(trouble())),
        Box::new(|g| g.subjects.get_mut("a").unwrap().own.mode = RegistryAnswer::Unknown(trouble())),
        Box::new(|g| g.subjects.get_mut("a").unwrap().versions.get_mut(&1).unwrap().deleted = None),
        Box::new(|g| {
            let version = g.subjects.get_mut("a").unwrap().versions.get_mut(&1).unwrap();
            version.content = RegistryAnswer::Unknown(trouble());
        }),
        Box::new(|g| drop(g.ids.insert(SchemaId::of_default(1), RegistryAnswer::Unknown(trouble())))),
        Box::new(|g| g.ids.clear()),
    ];
    // what was not listed may be there: its absence is not claimed
    breaks.push(Box::new(|g| {
        g.unlisted = Some(trouble());
        g.subjects.clear();
    }));
    for (n, harm) in breaks.iter().enumerate() {
        let mut green = blue.0.clone();
        harm(&mut green);
        assert_eq!(compare_contents(&blue.0, &green).judge_parity(), SchemaVerdict::Unknown, "break {n}");
    }
}

/// Its id is not known either: it may be in records, and was compared with nothing.
#[test]
fn what_blue_could_not_read_is_unknown_where_green_lacks_it_too() {
    let mut blue = Built::confluent().with("a", 1, 1, avro(X)).with("b", 1, 1, avro(X)).with("b", 2, 2, avro(R));
    for (subject, version) in [("a", 1), ("b", 2)] {
        blue.subject(subject).versions.get_mut(&version).unwrap().content = RegistryAnswer::Unknown(trouble());
    }
    let green = Built::confluent().with("b", 1, 1, avro(X));
    let found = blue.compared(&green).findings;
    for version in ["a version 1", "b version 2"] {
        let unread =
            |f: &SchemaFinding| matches!(f, SchemaFinding::NotRead { side: Side::Blue, what, .. } if what == version);
        assert_eq!(found.iter().filter(|f| unread(f)).count(), 1, "{version}: {found:#?}");
    }
}

#[test]
fn settings_are_compared_by_what_applies() {
    let mut blue = Built::confluent().with("a", 1, 1, avro(X)).with("b", 1, 1, avro(X));
    let mut green = blue.clone();
    let config = |word: &str| {
        RegistryAnswer::Told(Some(RegistryConfig { compatibility: Some(word.into()), more: BTreeMap::new() }))
    };
    // Apicurio's default: told once, and not again for each subject that inherits it
    green.0.global.config = config("NONE");
    let found = blue.compared(&green).findings;
    let words = Sides { blue: "BACKWARD".to_owned(), green: "NONE".to_owned() };
    assert_eq!(found, [SchemaFinding::CompatibilityDiffers { scope: SettingScope::Global, words: words.clone() }]);
    blue.subject("a").own.config = config("NONE");
    assert_eq!(blue.compared(&green).findings.len(), 1, "a says what applies on green anyway");
    green.subject("b").own.config = config("BACKWARD");
    assert_eq!(blue.compared(&green).findings.len(), 1);
    green.subject("b").own.config = config("FULL");
    let scope = SettingScope::Subject("b".into());
    let words = Sides { blue: "BACKWARD".to_owned(), green: "FULL".to_owned() };
    assert!(blue.compared(&green).findings.contains(&SchemaFinding::CompatibilityDiffers { scope, words }));
    let mut more = RegistryConfig::default();
    more.more.insert("compatibilityGroup".into(), json!("app.major"));
    blue.subject("b").own.config = RegistryAnswer::Told(Some(more));
    green.subject("a").own.mode = RegistryAnswer::Told(Some(RegistryMode::ReadOnly));
    let found = blue.compared(&green).findings;
    let group =
        |f: &SchemaFinding| matches!(f, SchemaFinding::ConfigDiffers { key, .. } if key == "compatibilityGroup");
    let mode = |f: &SchemaFinding| matches!(f, SchemaFinding::ModeDiffers { words, .. } if words.blue == "READWRITE" && words.green == "READONLY");
    assert!(found.iter().any(group) && found.iter().any(mode), "{found:#?}");
}

/// Ids are numbers within a context; a colon does not make one where the server has none.
#[test]
fn contexts_have_ids_of_their_own() {
    let contexts = |mut b: Built| {
        b.0.contexts = RegistryAnswer::Told([".".to_owned(), ".c1".to_owned()].into());
        b
    };
    let blue = contexts(Built::confluent()).with("a", 1, 1, avro(X)).with(":.c1:a", 1, 1, avro(R));
    assert_eq!(blue.0.ids.len(), 2);
    assert_eq!(blue.compared(&blue).judge_parity(), SchemaVerdict::Same);
    let mut plain = Built::of(RegistryKind::Karapace).with("a", 1, 1, avro(X)).with(":.c1:a", 1, 2, avro(R));
    plain.0.contexts = RegistryAnswer::NotOffered;
    assert_eq!(plain.0.context_of(":.c1:a"), ".");
    let found = blue.compared(&plain).findings;
    assert!(found.contains(&SchemaFinding::ContextMissing { context: ".c1".into() }), "{found:#?}");
    let plan = blue.planned(&Built::of(RegistryKind::Apicurio), Keeping::Keeps);
    assert!(plan.obstacles.contains(&ImportObstacle::ContextNotKept { subject: ":.c1:a".into() }), "{plan:#?}");
    let reference = SchemaReference { name: "n".into(), subject: "a".into(), version: 1 };
    assert_eq!(
        blue.0.resolve_reference(".c1", &reference),
        Some(at(":.c1:a", 1)),
        "a plain name is of the same context"
    );
    let latest = SchemaReference { version: -1, ..reference };
    assert_eq!(blue.0.resolve_reference(".", &latest), Some(at("a", 1)));
}

/// Rule 7: what records carry is what counts.
#[test]
fn ids_of_records_are_read_on_both_sides() {
    let blue = Built::confluent().with("a", 1, 1, avro(X)).with("a", 2, 2, avro(R));
    let green = Built::confluent().with("a", 1, 1, avro(X)).reading(2, None).reading(77, None);
    let blue = blue.reading(77, None);
    let green = green.reading(9, Some(avro(X)));
    let looked = |all: &[(u32, u64)]| {
        let mut ids = RecordIds::default();
        for (id, records) in all {
            (0..*records).for_each(|offset| ids.count_id(*id, &TopicPartition::new("t", 3), 7 + offset.cast_signed()));
        }
        RecordLook::Read(ids)
    };
    let looks = Sides { blue: looked(&[(1, 500), (2, 30), (77, 4), (78, 1)]), green: looked(&[(1, 5), (9, 2)]) };
    assert_eq!(list_record_ids(&looks).len(), 6);
    let found = compare_record_ids(&blue.reading(9, None).0, &green.0, &looks);
    let ids: Vec<(u32, u64, SchemaSeverity)> =
        found.iter().map(|f| (f.id, f.count_records(), f.severity_of())).collect();
    use SchemaSeverity as S;
    assert_eq!(ids, [(2, 30, S::Grave), (78, 1, S::Unknown), (77, 4, S::Note), (9, 2, S::Note), (1, 505, S::Note)]);
    assert_eq!(
        found[0].describe_finding(),
        "id 2 is not found on green; keys and values that carry it: 30 of blue (first at t-3 offset 7)"
    );
    // what records of blue carry and only green knows is no comfort
    let looks = Sides { blue: looked(&[(9, 1)]), green: RecordLook::NotLooked("no topics".into()) };
    let found = compare_record_ids(&Built::confluent().reading(9, None).0, &green.0, &looks);
    assert_eq!(found[0].severity_of(), S::Unknown);
}

/// Rule 12: where a server gives ids of its own nothing is planned, but by its own import into an empty one, or with a word.
#[test]
fn ids_change_only_where_somebody_wants_it_and_never_where_they_can_be_kept() {
    let blue = Built::confluent().with("ref", 2, 92000, avro(REF)).with("u", 1, 5, referring(USES, "ref", 2));
    let blue = blue.with("a", 3, 91001, avro(X)).deleted("a", 3).with("a", 7, 91000, avro(R));
    let blue = blue.with("js", 1, 6, SchemaText { format: SchemaFormat::Json, ..avro("{}") });
    let planned = |green: &Built, native, ids_change| {
        let terms = ImportTerms {
            ids: Keeping::Loses,
            records: Some([(5, 40), (92000, 2), (77, 1)].into()),
            wishes: CopyWishes { native, ids_change },
        };
        plan_imports(&blue.0, &green.clone().asked_about(&blue).0, &terms)
    };
    let imported =
        |plan: &SchemaImportPlan| -> Vec<SubjectVersion> { plan.imports.iter().map(|i| i.at.clone()).collect() };
    let empty = Built::of(RegistryKind::Apicurio);
    let refused = planned(&empty, false, false);
    assert_eq!(refused.obstacles, [ImportObstacle::IdsNotKept { versions: 5, records: Some(42) }]);
    assert_eq!((imported(&refused), refused.settings.len()), (Vec::new(), 0));
    // its own import keeps them, also where somebody would let them change
    for ids_change in [false, true] {
        let native = planned(&empty, true, ids_change);
        assert_eq!(native.manner, ImportManner::Native);
        assert_eq!(imported(&native), [at("a", 7), at("a", 3), at("ref", 2), at("u", 1)], "{native:#?}");
        assert!(native.imports[1].leave_deleted && native.modes.is_empty() && !native.probe_first);
        assert_eq!(native.obstacles, [ImportObstacle::NotFoundById { at: at("js", 1) }], "it would not find it");
    }
    // not where something is there already: live versions that it lacks by meaning, and with a word
    let mut some = Built::of(RegistryKind::Apicurio).with("ref", 1, 3, avro(REF));
    assert_eq!(planned(&some, true, false).imports, []);
    let anew = planned(&some, true, true);
    assert_eq!((anew.manner, anew.records), (ImportManner::NewIds, Some(40)));
    assert_eq!(imported(&anew), [at("u", 1), at("a", 7)]);
    assert_eq!(anew.known, [(at("ref", 2), 1)]);
    // and a second time nothing
    some = some.with("u", 1, 4, referring(USES, "ref", 1)).with("a", 1, 5, avro(R));
    some = some.with("js", 1, 6, SchemaText { format: SchemaFormat::Json, ..avro("{}") });
    assert_eq!(planned(&some, true, true).imports, []);
}

/// Rules 4, 8 and 9: deleted ones too and left so, references first, and the mode that is to be restored.
#[test]
fn a_plan_imports_what_is_missing_in_order() {
    let blue = Built::confluent().with("a", 7, 91000, avro(X)).with("a", 3, 91001, avro(X_DOC)).deleted("a", 3);
    let blue = blue.with("u", 1, 5, referring(USES, "ref", 1)).with("ref", 1, 92000, avro(REF));
    let mut green = Built::confluent().with("a", 7, 91000, avro(X));
    green.subject("a").own.mode = RegistryAnswer::Told(Some(RegistryMode::ReadOnly));
    let plan = blue.planned(&green, Keeping::Unproven);
    assert_eq!(plan.obstacles, []);
    assert!(plan.probe_first, "rule 1");
    let imports: Vec<(SubjectVersion, u32, bool)> =
        plan.imports.iter().map(|i| (i.at.clone(), i.id, i.leave_deleted)).collect();
    assert_eq!(imports, [(at("a", 3), 91001, true), (at("ref", 1), 92000, false), (at("u", 1), 5, false)]);
    let modes: Vec<(&str, Option<RegistryMode>, bool)> =
        plan.modes.iter().map(|m| (m.subject.as_str(), m.before.clone(), m.force)).collect();
    assert_eq!(modes, [("a", Some(RegistryMode::ReadOnly), true), ("ref", None, false), ("u", None, false)]);
    // a second run after the first
    let mut done = green.with("a", 3, 91001, avro(X_DOC)).deleted("a", 3).with("ref", 1, 92000, avro(REF));
    done = done.with("u", 1, 5, referring(USES, "ref", 1));
    assert_eq!(blue.planned(&done, Keeping::Keeps), SchemaImportPlan::default());
}

/// Rule 2: a version or an id that green has is never written over.
#[test]
fn what_green_has_is_not_written_over() {
    let blue = Built::confluent().with("a", 7, 91000, avro(X)).with("b", 1, 91001, avro(R));
    let blue = blue.with("c", 1, 91002, avro(X_DOC)).with("d", 1, 91003, avro(R));
    let green = Built::confluent().with("a", 7, 91000, avro(R)).with("other", 1, 91001, avro(X));
    let green = green.with("c", 1, 3, avro(X_DOC)).with("same", 1, 91003, avro(R));
    let plan = blue.planned(&green, Keeping::Keeps);
    let imports: Vec<&SubjectVersion> = plan.imports.iter().map(|i| &i.at).collect();
    assert_eq!(imports, [&at("d", 1)], "an id of the same schema is no other");
    let taken = |o: &ImportObstacle, s: &str| matches!(o, ImportObstacle::VersionTaken { at, .. } if at.subject == s);
    assert!(plan.obstacles.iter().any(|o| taken(o, "a")) && plan.obstacles.iter().any(|o| taken(o, "c")), "{plan:#?}");
    assert!(plan.obstacles.contains(&ImportObstacle::IdTaken { at: at("b", 1), id: 91001 }), "{plan:#?}");
}

/// Rule 3: IMPORT on a wholly soft-deleted subject hard-deletes it.
#[test]
fn a_subject_with_deleted_versions_on_green_is_left_alone() {
    let blue = Built::confluent().with("s", 1, 95002, avro(X)).with("s", 2, 95003, avro(R));
    let green = Built::confluent().with("s", 1, 95002, avro(X)).deleted("s", 1);
    let plan = blue.planned(&green, Keeping::Keeps);
    assert_eq!((plan.imports.len(), plan.modes.len()), (0, 0), "{plan:#?}");
    assert_eq!(plan.obstacles, [ImportObstacle::SoftDeletedOnGreen { subject: "s".into(), versions: vec![1] }]);
    assert!(plan.obstacles[0].describe_obstacle().contains("destroy"));
    let mut unread = Built::confluent().with("s", 1, 95002, avro(X));
    unread.subject("s").versions.get_mut(&1).unwrap().deleted = None;
    assert_eq!(blue.planned(&unread, Keeping::Keeps).imports, [], "not known is no leave");
}

/// Rule 12.
#[test]
fn a_server_that_gives_ids_of_its_own_gets_nothing() {
    let blue = Built::confluent().with("a", 7, 91000, avro(X)).with("b", 1, 91000, avro(X)).with("c", 1, 2, avro(R));
    let green = Built::of(RegistryKind::Karapace);
    let terms =
        ImportTerms { records: Some([(91000, 40), (2, 2), (3, 9)].into()), ..ImportTerms::before_probe(&green.0) };
    let plan = plan_imports(&blue.0, &green.0, &terms);
    let obstacles = vec![ImportObstacle::IdsNotKept { versions: 3, records: Some(42) }];
    assert_eq!(plan, SchemaImportPlan { obstacles, ..SchemaImportPlan::default() });
    // nothing to copy, nothing to lose
    assert_eq!(plan_imports(&green.0, &green.0, &terms), SchemaImportPlan::default());
    let second = Built::confluent().with("a", 1, 1, avro(X)).with("b", 1, 2, avro(X_REPRINTED));
    let plan = second.planned(&Built::of(RegistryKind::AxonOps), Keeping::Keeps);
    assert_eq!(plan.obstacles, [ImportObstacle::SecondId { at: at("b", 1), id: 2, first: 1 }]);
    assert_eq!(second.planned(&Built::confluent(), Keeping::Keeps).imports.len(), 2, "Confluent keeps both");
}

#[test]
fn what_can_not_be_ordered_or_is_not_known_is_not_planned() {
    let blue = Built::confluent().with("x", 1, 1, referring(USES, "y", 1)).with("y", 1, 2, referring(USES, "x", 1));
    let blue = blue.with("z", 1, 3, referring(USES, "x", 1)).with("gone", 1, 4, referring(USES, "nowhere", 1));
    let plan = blue.planned(&Built::confluent(), Keeping::Keeps);
    assert_eq!(plan.imports, []);
    for wanted in [
        ImportObstacle::Circle { members: vec![at("x", 1), at("y", 1)] },
        ImportObstacle::ReferenceNotPlanned { at: at("z", 1), on: at("x", 1) },
    ] {
        assert!(plan.obstacles.contains(&wanted), "{plan:#?}");
    }
    assert!(
        plan.obstacles.iter().any(|o| matches!(o, ImportObstacle::ReferenceMissing { at, .. } if at.subject == "gone"))
    );
    let blue = Built::confluent().with("a", 1, 1, avro(X));
    let mut hidden = Built::confluent();
    hidden.0.unlisted = Some(trouble());
    let mut override_mode = Built::confluent();
    override_mode.0.global.mode = RegistryAnswer::Told(Some(RegistryMode::ReadOnlyOverride));
    for green in [hidden, override_mode] {
        let plan = blue.planned(&green, Keeping::Keeps);
        assert_eq!((plan.imports.len(), plan.obstacles.len()), (0, 1), "{plan:#?}");
    }
    let not_asked = plan_imports(
        &blue.0,
        &Built::confluent().0,
        &ImportTerms { ids: Keeping::Keeps, records: None, wishes: CopyWishes::default() },
    );
    assert_eq!(not_asked.imports, [], "an id that was not read on green may be another schema's");
}

/// Rule 11, and rule 6 for what was written.
#[test]
fn what_was_written_is_held_against_what_is_read_back() {
    let metadata = Some(json!({"properties": {"owner": "t"}}));
    let schema = SchemaText { metadata: metadata.clone(), ..avro(X) };
    let import = SchemaImport { at: at("a", 7), id: 91000, schema: schema.clone(), leave_deleted: false };
    let told = |id: u32, schema: SchemaText| RegistryAnswer::Told(Some(StoredSchema { id, schema }));
    let good = RegistryAnswer::Told(Some(schema.clone()));
    let extra = SchemaText {
        metadata: Some(json!({"properties": {"owner": "t", "confluent:version": "1"}})),
        ..avro(X_REPRINTED)
    };
    assert_eq!(compare_written(&import, &told(91000, extra), &good), [], "what a server adds of its own is no loss");
    // Karapace: 200, another id, no metadata
    let losses = compare_written(&import, &told(9, avro(X)), &RegistryAnswer::Told(None));
    assert_eq!(losses, [WriteLoss::OtherId(9), WriteLoss::Extras("metadata".into()), WriteLoss::IdUnreadable]);
    let losses = compare_written(
        &import,
        &told(91000, SchemaText { metadata, ..avro(R) }),
        &RegistryAnswer::Told(Some(avro(X_DOC))),
    );
    let other = [WriteLoss::OtherMeaning(MeaningLayer::Encoding), WriteLoss::IdReadsOther(MeaningLayer::Annotation)];
    assert_eq!(losses, other);
    let unread = RegistryAnswer::Unknown(trouble());
    assert_eq!(
        compare_written(&import, &RegistryAnswer::Told(None), &unread),
        [WriteLoss::NotThere, WriteLoss::Unread(trouble())]
    );
    let referring_import = SchemaImport { schema: referring(USES, "ref", 1), ..import };
    let losses = compare_written(
        &referring_import,
        &told(91000, referring(USES, "ref", 2)),
        &RegistryAnswer::Told(Some(avro(USES))),
    );
    assert_eq!(losses, [WriteLoss::References]);
}

/// Rule 13: nothing that a plan can hold removes anything. Whoever adds a part has to come by here.
#[test]
fn no_part_of_a_plan_is_a_deletion() {
    let SchemaImportPlan { probe_first: _, modes, imports, settings, obstacles: _, manner: _, known: _, records: _ } =
        SchemaImportPlan::default();
    assert!(modes.iter().all(|ModeSwitch { subject: _, before: _, force: _ }| true));
    // of `leave_deleted` the document of the room says: the version that this import made, and no other
    assert!(imports.iter().all(|SchemaImport { at: _, id: _, schema: _, leave_deleted: _ }| true));
    assert!(settings.iter().all(|SettingWrite { scope: _, config: _, mode: _ }| true));
    // versions that only green has are nobody's to remove
    let green = Built::confluent().with("a", 1, 1, avro(X)).with("a", 2, 2, avro(R)).with("b", 1, 1, avro(X));
    let blue = Built::confluent().with("a", 1, 1, avro(X)).deleted("a", 1);
    let plan = blue.planned(&green, Keeping::Keeps);
    assert_eq!(plan, SchemaImportPlan::default(), "also where blue has soft-deleted what is live on green");
}

#[test]
fn settings_that_blue_says_for_itself_are_planned() {
    let mut blue = Built::confluent().with("a", 1, 1, avro(X));
    let config = RegistryConfig { compatibility: Some("NONE".into()), more: [("alias".to_owned(), json!("b"))].into() };
    blue.subject("a").own = ScopeSettings {
        config: RegistryAnswer::Told(Some(config.clone())),
        mode: RegistryAnswer::Told(Some(RegistryMode::ReadOnly)),
    };
    let settings = blue.planned(&Built::confluent(), Keeping::Keeps).settings;
    let scope = SettingScope::Subject("a".into());
    assert_eq!(settings, [SettingWrite { scope, config: Some(config), mode: Some(RegistryMode::ReadOnly) }]);
    // what green says and could not be read is not written over, and a server without modes has none to set
    let mut green = blue.clone();
    green.subject("a").own =
        ScopeSettings { config: RegistryAnswer::Unknown(trouble()), mode: RegistryAnswer::NotOffered };
    let plan = blue.planned(&green, Keeping::Keeps);
    assert_eq!((plan.settings.len(), plan.obstacles.len()), (0, 1), "{plan:#?}");
    assert!(plan.obstacles[0].describe_obstacle().contains("compatibility of a is not known"), "{plan:#?}");
}

#[test]
fn a_survey_is_whole_only_where_nothing_is_unknown() {
    let blue = Built::confluent().with("a", 1, 1, avro(X));
    let looks = || Sides::from_fn(|_| RecordLook::NotLooked("no topics".into()));
    let survey = |green: &Built| {
        SchemaSurvey::of_contents(At(5), &blue.0, &green.clone().asked_about(&blue).0, looks(), CopyWishes::default())
    };
    assert!(survey(&blue).is_whole());
    let empty = survey(&Built::confluent());
    assert_eq!((empty.parity.judge_parity(), empty.is_whole()), (SchemaVerdict::Differs, true));
    assert_eq!((empty.plan.imports.len(), empty.plan.probe_first), (1, true), "nothing was tried yet");
    let mut unread = Built::confluent();
    unread.0.global.mode = RegistryAnswer::Unknown(trouble());
    assert!(!survey(&unread).is_whole());
    assert_eq!(survey(&unread).list_findings(SchemaSeverity::Unknown).count(), 1);
}

#[test]
fn every_sentence_shows_names_and_says_what_to_do() {
    let hostile = "a\u{202e}\n";
    let version = at(hostile, 1);
    let id = SchemaId { context: hostile.into(), id: 1 };
    let scope = SettingScope::Subject(hostile.into());
    let words = Sides { blue: hostile.to_owned(), green: hostile.to_owned() };
    let reference = SchemaReference { name: hostile.into(), subject: hostile.into(), version: 1 };
    let findings = [
        SchemaFinding::IdReadsOther {
            id: id.clone(),
            layer: MeaningLayer::Encoding,
            used_by: vec![version.clone(); 9],
        },
        SchemaFinding::IdUnreadable { id, used_by: Vec::new() },
        SchemaFinding::SubjectMissing { subject: hostile.into(), versions: 2 },
        SchemaFinding::VersionMissing { at: version.clone(), id: None, deleted: false },
        SchemaFinding::ReferenceMissing { side: Side::Blue, at: version.clone(), reference: reference.clone() },
        SchemaFinding::CompatibilityDiffers { scope: scope.clone(), words: words.clone() },
        SchemaFinding::ConfigDiffers {
            scope,
            key: hostile.into(),
            values: Sides { blue: Some(json!(hostile)), green: None },
        },
        SchemaFinding::OnlyOnGreen { subject: hostile.into(), versions: (1..9).collect() },
        SchemaFinding::ContextMissing { context: hostile.into() },
    ];
    for finding in &findings {
        let text = finding.describe_finding();
        assert!(!text.contains(['\u{202e}', '\n']), "{text:?}");
        assert!(!finding.describe_advice().is_empty() || finding.severity_of() == SchemaSeverity::Note, "{text}");
        let json = serde_json::to_string(finding).unwrap();
        assert_eq!(&serde_json::from_str::<SchemaFinding>(&json).unwrap(), finding, "{json}");
    }
    let obstacles = [
        ImportObstacle::SoftDeletedOnGreen { subject: hostile.into(), versions: vec![1] },
        ImportObstacle::ReferenceMissing { at: version.clone(), reference },
        ImportObstacle::Circle { members: vec![version] },
        ImportObstacle::ContextNotKept { subject: hostile.into() },
    ];
    for obstacle in obstacles {
        let text = obstacle.describe_obstacle();
        assert!(!text.contains(['\u{202e}', '\n']) && !obstacle.describe_advice().is_empty(), "{text:?}");
    }
    let unused: BTreeSet<SchemaId> = list_ids_to_read(&Built::confluent().0, &Built::confluent().0);
    assert!(unused.is_empty());
}

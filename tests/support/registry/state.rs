//! A schema registry in memory, answer by answer as a recorded Confluent 7.9.10 gave them (tests/registry/recorded), and
//! with the deviations of other kinds.
//!
//! Confluent keeps content by (subject, version), and an id leads to one of them: so a version that is bound anew takes
//! the content of its old id with it. Which versions an id has is found by content, and the last id of a content wins.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::text;

/// How a server deviates from Confluent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Confluent,
    AxonOps,
    Karapace,
    Apicurio,
}

/// A status and a body; a body that is a text is sent as it is.
pub type Reply = (u16, Value);

#[derive(Debug, Clone)]
struct Kept {
    id: u32,
    deleted: bool,
    /// `AVRO` is said by leaving the word out.
    kind: String,
    text: String,
    references: Value,
    metadata: Value,
}

/// What leads from a content back to versions: one id, and one version for each subject.
#[derive(Debug, Clone)]
struct Bound {
    id: u32,
    subjects: BTreeMap<String, u32>,
}

/// The registry.
#[derive(Clone)]
pub struct State {
    pub manner: Manner,
    subjects: BTreeMap<String, BTreeMap<u32, Kept>>,
    ids: BTreeMap<(String, u32), (String, u32)>,
    by_content: BTreeMap<(String, String), Bound>,
    contexts: BTreeSet<String>,
    next: BTreeMap<String, u32>,
    /// By scope: the empty name is everything.
    configs: BTreeMap<String, Map<String, Value>>,
    modes: BTreeMap<String, String>,
}

/// A request, its path taken apart.
pub struct Asked<'a> {
    pub method: &'a str,
    /// Segments as they came, and decoded.
    pub raw: Vec<&'a str>,
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

impl<'a> Asked<'a> {
    pub fn new(method: &'a str, target: &'a str, body: Value) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let raw: Vec<&str> = path.split('/').skip(1).collect();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(k, v)| (text::decode(k), text::decode(v))).collect();
        Self { method, path: raw.iter().map(|s| text::decode(s)).collect(), raw, query, body }
    }

    fn is(&self, flag: &str) -> bool {
        self.query.get(flag).is_some_and(|v| v == "true")
    }
}

fn refusal(status: u16, code: u32, message: impl Into<String>) -> Reply {
    (status, json!({ "error_code": code, "message": message.into() }))
}

fn no_subject(subject: &str) -> Reply {
    refusal(404, 40401, format!("Subject '{subject}' not found."))
}

impl State {
    pub fn new(manner: Manner) -> Self {
        let compatibility = if manner == Manner::Apicurio { "NONE" } else { "BACKWARD" };
        let global = [("compatibilityLevel".to_owned(), json!(compatibility))].into_iter().collect();
        Self {
            manner,
            subjects: BTreeMap::new(),
            ids: BTreeMap::new(),
            by_content: BTreeMap::new(),
            contexts: [".".to_owned()].into(),
            next: BTreeMap::new(),
            configs: [(String::new(), global)].into(),
            modes: [(String::new(), "READWRITE".to_owned())].into(),
        }
    }

    fn context_of(&self, subject: &str) -> String {
        let named = subject.strip_prefix(":.").and_then(|rest| rest.split_once(':'));
        match named.filter(|_| matches!(self.manner, Manner::Confluent | Manner::AxonOps)) {
            Some((context, _)) => format!(".{context}"),
            None => ".".to_owned(),
        }
    }

    /// Ids are given from here on.
    pub fn start_ids_at(&mut self, id: u32) {
        self.next.insert(".".to_owned(), id);
    }

    fn take_id(&mut self, context: &str) -> u32 {
        let next = self.next.entry(context.to_owned()).or_insert(1);
        *next += 1;
        *next - 1
    }

    fn keeps_ids(&self) -> bool {
        matches!(self.manner, Manner::Confluent | Manner::AxonOps)
    }

    /// A version put there whatever the mode, for a test's beginning.
    pub fn seed(&mut self, subject: &str, version: u32, id: u32, kind: &str, schema: &str, references: Value) {
        let stored = self.print(kind, schema).expect("a schema");
        let kept = Kept { id, deleted: false, kind: kind.into(), text: stored, references, metadata: Value::Null };
        self.bind(subject, version, kept);
    }

    /// The same, of a plain Avro schema.
    pub fn seed_avro(&mut self, subject: &str, version: u32, id: u32, schema: &str) {
        self.seed(subject, version, id, "AVRO", schema, Value::Null);
    }

    fn print(&self, kind: &str, schema: &str) -> Option<String> {
        match self.manner {
            Manner::Confluent => text::reprint(kind, schema),
            Manner::Karapace if kind != "PROTOBUF" => text::sort_keys(schema),
            _ => Some(schema.to_owned()),
        }
    }

    fn content_key(&self, subject: &str, kind: &str, stored: &str, references: &Value) -> (String, String) {
        let one = if self.manner == Manner::Apicurio {
            stored.to_owned()
        } else {
            text::reprint(kind, stored).unwrap_or_default()
        };
        (self.context_of(subject), format!("{kind} {references} {one}"))
    }

    fn key_of(&self, subject: &str, kept: &Kept) -> (String, String) {
        self.content_key(subject, &kept.kind, &kept.text, &kept.references)
    }

    fn bind(&mut self, subject: &str, version: u32, kept: Kept) {
        let (context, key) = (self.context_of(subject), self.key_of(subject, &kept));
        let next = self.next.entry(context.clone()).or_insert(1);
        *next = (*next).max(kept.id + 1);
        self.ids.entry((context.clone(), kept.id)).or_insert((subject.to_owned(), version));
        let bound = self.by_content.get(&key).filter(|b| b.id == kept.id).cloned();
        let mut bound = bound.unwrap_or(Bound { id: kept.id, subjects: BTreeMap::new() });
        bound.subjects.insert(subject.to_owned(), version);
        self.by_content.insert(key, bound);
        self.contexts.insert(context);
        self.subjects.entry(subject.to_owned()).or_default().insert(version, kept);
    }

    fn by_id(&self, context: &str, id: u32) -> Option<&Kept> {
        let (subject, version) = self.ids.get(&(context.to_owned(), id))?;
        self.subjects.get(subject)?.get(version)
    }

    fn live(&self, subject: &str) -> Vec<u32> {
        let versions = self.subjects.get(subject).into_iter().flatten();
        versions.filter(|(_, k)| !k.deleted).map(|(n, _)| *n).collect()
    }

    fn mode_of(&self, subject: &str) -> String {
        let global = self.modes[""].clone();
        if global == "READONLY_OVERRIDE" {
            return global;
        }
        let context = format!(":{}:", self.context_of(subject));
        self.modes.get(subject).or_else(|| self.modes.get(&context)).cloned().unwrap_or(global)
    }

    fn compatibility_of(&self, subject: &str) -> String {
        let own = self.configs.get(subject).and_then(|c| c.get("compatibilityLevel"));
        let all = own.or_else(|| self.configs[""].get("compatibilityLevel"));
        all.and_then(Value::as_str).unwrap_or("BACKWARD").to_owned()
    }

    /// Removes for good.
    fn forget(&mut self, subject: &str, version: u32) {
        let Some(kept) = self.subjects.get_mut(subject).and_then(|v| v.remove(&version)) else { return };
        if self.subjects[subject].is_empty() {
            self.subjects.remove(subject);
        }
        let id = (self.context_of(subject), kept.id);
        let key = self.key_of(subject, &kept);
        if self.ids.get(&id).is_some_and(|at| *at == (subject.to_owned(), version)) {
            // another version with this id, if there is one
            let other = self.subjects.iter().find_map(|(s, all)| {
                let n = all.iter().find(|(_, k)| k.id == kept.id && self.context_of(s) == id.0)?.0;
                Some((s.clone(), *n))
            });
            match other {
                Some(at) => drop(self.ids.insert(id, at)),
                None => drop(self.ids.remove(&id)),
            }
        }
        if let Some(bound) = self.by_content.get_mut(&key) {
            bound.subjects.remove(subject);
            if bound.subjects.is_empty() {
                self.by_content.remove(&key);
            }
        }
    }

    /// The answer to a request.
    pub fn answer(&mut self, asked: &Asked<'_>) -> Reply {
        let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        // One server takes an escaped colon for a letter of a plain name.
        let escaped = asked.raw.get(1).is_some_and(|s| s.to_ascii_uppercase().starts_with("%3A"));
        let plain =
            if escaped && self.manner == Manner::AxonOps { path.get(1).map(|s| format!("\u{0}{s}")) } else { None };
        let path: Vec<&str> = match &plain {
            Some(name) if path[0] != "config" && path[0] != "mode" => {
                [&[path[0], name.as_str()], path.get(2..).unwrap_or_default()].concat()
            }
            _ => path,
        };
        match (asked.method, path.as_slice()) {
            ("GET", ["contexts"]) => self.list_contexts(),
            ("GET", ["contexts", context, "subjects"]) if self.manner == Manner::Confluent => {
                (200, json!(self.names(&format!(":{context}:"), false)))
            }
            ("GET", ["subjects"]) => self.list_subjects(asked),
            ("GET", ["schemas"]) => self.list_schemas(asked),
            ("GET", ["schemas", "ids", id, rest @ ..]) => self.read_id(asked, id, rest),
            ("GET", ["subjects", subject, "versions"]) => self.list_versions(asked, subject),
            ("GET", ["subjects", subject, "versions", version]) => self.read_version(asked, subject, version),
            ("POST", ["subjects", subject]) => self.look_up(asked, subject),
            ("POST", ["subjects", subject, "versions"]) => self.register(asked, subject),
            ("POST", ["compatibility", "subjects", subject, "versions"]) => self.check_verbosely(asked, subject),
            ("DELETE", ["subjects", subject]) => self.delete_subject(asked, subject),
            ("DELETE", ["subjects", subject, "versions", version]) => self.delete_version(asked, subject, version),
            (method, ["config", rest @ ..]) => {
                self.answer_config(asked, method, rest.first().copied().unwrap_or_default())
            }
            (method, ["mode", rest @ ..]) => self.answer_mode(asked, method, rest.first().copied().unwrap_or_default()),
            ("GET", ["v1", "metadata", what]) => self.tell_metadata(what),
            _ => self.not_found(),
        }
    }

    /// What is answered to a question that the server has not.
    fn not_found(&self) -> Reply {
        match self.manner {
            Manner::Confluent | Manner::AxonOps => (404, json!({ "error_code": 404, "message": "HTTP 404 Not Found" })),
            Manner::Karapace => (404, json!("Not Found")),
            Manner::Apicurio => (404, json!("")),
        }
    }

    fn tell_metadata(&self, what: &str) -> Reply {
        let clusters = json!({ "kafka-cluster": "BLUEBLUEBLUEBLUEBLUEAA", "schema-registry-cluster": "field-c79" });
        match (self.manner, what) {
            (Manner::Confluent, "id") => (200, json!({ "scope": { "path": [], "clusters": clusters } })),
            (Manner::Confluent, "version") => {
                (200, json!({ "version": "${project.version}", "commitId": "${gitCommitID}" }))
            }
            (Manner::AxonOps, "id") => (200, json!({ "id": "" })),
            (Manner::AxonOps, "version") => (200, json!({ "version": "dev", "commit": "unknown" })),
            _ => self.not_found(),
        }
    }

    fn list_contexts(&self) -> Reply {
        match self.manner {
            Manner::Confluent | Manner::AxonOps => (200, json!(self.contexts)),
            Manner::Karapace => self.not_found(),
            Manner::Apicurio => (200, json!([":.:"])),
        }
    }

    /// Names by a prefix; those of which every version is deleted only where they are asked for.
    fn names(&self, prefix: &str, deleted: bool) -> Vec<String> {
        let shown = |s: &&String| deleted || !self.live(s).is_empty();
        let any = prefix.strip_prefix(":*:");
        let matches = |s: &&String| match any {
            _ if !matches!(self.manner, Manner::Confluent | Manner::AxonOps) => true,
            Some(rest) => s.rsplit(':').next().is_some_and(|name| name.starts_with(rest)),
            None => s.starts_with(prefix),
        };
        self.subjects.keys().filter(shown).filter(matches).map(|s| s.trim_start_matches('\u{0}').to_owned()).collect()
    }

    fn list_subjects(&self, asked: &Asked<'_>) -> Reply {
        let all = ":*:".to_owned();
        (200, json!(self.names(asked.query.get("subjectPrefix").unwrap_or(&all), asked.is("deleted"))))
    }

    fn list_schemas(&self, asked: &Asked<'_>) -> Reply {
        if self.manner == Manner::Apicurio {
            return self.not_found();
        }
        let prefix = asked.query.get("subjectPrefix").cloned().unwrap_or_default();
        let mut all = Vec::new();
        for subject in self.names(&prefix, asked.is("deleted")) {
            let versions = self.live(&subject);
            let from = if asked.is("latestOnly") { versions.len().saturating_sub(1) } else { 0 };
            all.extend(versions[from..].iter().map(|n| self.show_version(&subject, *n)));
        }
        (200, Value::Array(all))
    }

    fn show_schema(&self, kept: &Kept, version: u32) -> Map<String, Value> {
        let mut shown = Map::new();
        let (axonops, apicurio) = (self.manner == Manner::AxonOps, self.manner == Manner::Apicurio);
        if kept.kind != "AVRO" || axonops || apicurio {
            shown.insert("schemaType".into(), json!(kept.kind));
        }
        if kept.references.is_array() {
            shown.insert("references".into(), kept.references.clone());
        } else if apicurio {
            shown.insert("references".into(), json!([]));
        }
        if axonops && version > 0 {
            let mut metadata = if kept.metadata.is_null() { json!({}) } else { kept.metadata.clone() };
            metadata["properties"]["confluent:version"] = json!(version.to_string());
            shown.insert("metadata".into(), metadata);
        } else if !kept.metadata.is_null() {
            shown.insert("metadata".into(), kept.metadata.clone());
        }
        shown.insert("schema".into(), json!(kept.text));
        shown
    }

    fn show_version(&self, subject: &str, version: u32) -> Value {
        let kept = &self.subjects[subject][&version];
        let mut shown = self.show_schema(kept, version);
        shown.insert("subject".into(), json!(subject.trim_start_matches('\u{0}')));
        shown.insert("version".into(), json!(version));
        shown.insert("id".into(), json!(kept.id));
        Value::Object(shown)
    }

    fn read_id(&self, asked: &Asked<'_>, id: &str, rest: &[&str]) -> Reply {
        let number: u32 = id.parse().unwrap_or(0);
        let context = asked.query.get("subject").map_or(".".to_owned(), |s| self.context_of(s));
        let Some(kept) = self.by_id(&context, number) else {
            return refusal(
                404,
                40403,
                match self.manner {
                    Manner::Confluent => format!("Schema {id} not found"),
                    Manner::Apicurio => format!("No content with ID '{id}' was found."),
                    _ => "Schema not found".to_owned(),
                },
            );
        };
        if rest.is_empty() {
            return (200, Value::Object(self.show_schema(kept, 0)));
        }
        let at = &self.ids[&(context, number)];
        let bound = self.by_content.get(&self.key_of(&at.0, kept));
        let all = bound.into_iter().flat_map(|b| &b.subjects);
        let shown = all.filter(|(s, n)| {
            asked.is("deleted") || self.subjects.get(*s).and_then(|v| v.get(n)).is_some_and(|k| !k.deleted)
        });
        match rest {
            ["versions"] => (200, shown.map(|(s, n)| json!({ "subject": s, "version": n })).collect()),
            ["subjects"] => (200, shown.map(|(s, _)| json!(s)).collect()),
            _ => self.not_found(),
        }
    }

    fn through_alias(&self, subject: &str) -> String {
        let alias = self.configs.get(subject).and_then(|c| c.get("alias")).and_then(Value::as_str);
        alias.unwrap_or(subject).to_owned()
    }

    fn list_versions(&self, asked: &Asked<'_>, subject: &str) -> Reply {
        let subject = self.through_alias(subject);
        let versions = self.subjects.get(&subject).into_iter().flatten();
        let wanted = |k: &Kept| match k.deleted {
            true => asked.is("deleted") || asked.is("deletedOnly"),
            false => !asked.is("deletedOnly"),
        };
        let numbers: Vec<u32> = versions.filter(|(_, k)| wanted(k)).map(|(n, _)| *n).collect();
        if numbers.is_empty() { no_subject(&subject) } else { (200, json!(numbers)) }
    }

    fn read_version(&self, asked: &Asked<'_>, subject: &str, version: &str) -> Reply {
        let subject = self.through_alias(subject);
        // one server reads nothing of a subject that is deleted as a whole, and lists it (tried by hand)
        let hidden = self.manner == Manner::Apicurio && self.live(&subject).is_empty();
        if !self.subjects.contains_key(&subject) || hidden {
            return no_subject(&subject);
        }
        let number = match version {
            "latest" => self.live(&subject).last().copied(),
            number => number.parse().ok(),
        };
        let kept = number.and_then(|n| self.subjects[&subject].get(&n)).filter(|k| !k.deleted || asked.is("deleted"));
        match (kept, self.manner) {
            (Some(_), _) => (200, self.show_version(&subject, number.unwrap_or(0))),
            (None, Manner::AxonOps) => refusal(404, 40406, "Schema version is soft deleted"),
            (None, _) => refusal(404, 40402, format!("Version {version} not found.")),
        }
    }

    fn find_content(&self, subject: &str, key: &(String, String), deleted: bool) -> Option<u32> {
        let versions = self.subjects.get(subject)?;
        let same = |(_, k): &(&u32, &Kept)| self.key_of(subject, k) == *key && (deleted || !k.deleted);
        versions.iter().rev().find(same).map(|(n, _)| *n)
    }

    fn look_up(&self, asked: &Asked<'_>, subject: &str) -> Reply {
        let (kind, stored) = self.read_body(asked);
        let key = self.content_key(subject, &kind, &stored, &asked.body["references"]);
        match self.find_content(subject, &key, asked.is("deleted")) {
            Some(version) => (200, self.show_version(subject, version)),
            None => refusal(404, 40403, "Schema not found"),
        }
    }

    fn read_body(&self, asked: &Asked<'_>) -> (String, String) {
        let kind = asked.body["schemaType"].as_str().unwrap_or("AVRO").to_owned();
        let stored = self.print(&kind, asked.body["schema"].as_str().unwrap_or_default()).unwrap_or_default();
        (kind, stored)
    }

    fn register(&mut self, asked: &Asked<'_>, subject: &str) -> Reply {
        if let Some(refused) = self.refuse_references(asked, subject) {
            // this one has taken an id before it looks
            if self.manner == Manner::Apicurio {
                let context = self.context_of(subject);
                self.take_id(&context);
            }
            return refused;
        }
        let (kind, stored) = self.read_body(asked);
        let number = |name: &str| asked.body[name].as_u64().and_then(|n| u32::try_from(n).ok());
        let (id, version) = (number("id"), number("version"));
        let key = self.content_key(subject, &kind, &stored, &asked.body["references"]);
        let existing = self.find_content(subject, &key, false);
        let mode = self.mode_of(subject);
        let keeps_metadata = self.keeps_ids();
        let metadata = if keeps_metadata { asked.body["metadata"].clone() } else { Value::Null };
        let kept =
            Kept { id: 0, deleted: false, kind, text: stored, references: asked.body["references"].clone(), metadata };
        if let (Some(id), true) = (id, self.keeps_ids()) {
            return self.import(subject, (id, version), existing, kept, &mode);
        }
        if mode == "IMPORT" && self.manner == Manner::AxonOps {
            let message =
                "Subject is in import mode. Normal registration (without explicit ID) is not permitted in IMPORT mode.";
            return refusal(422, 42205, message);
        }
        if let Some(existing) = existing {
            return (200, json!({ "id": self.subjects[subject][&existing].id }));
        }
        let last = self.subjects.get(subject).and_then(|v| v.keys().last().copied()).unwrap_or(0);
        match mode.as_str() {
            "READWRITE" => {}
            "IMPORT" => return refusal(422, 42205, format!("Subject {subject} in context  is not in read-write mode")),
            _ => return refusal(422, 42205, format!("Subject {subject} in context  is in read-only mode")),
        }
        if self.manner == Manner::Confluent && version.is_some_and(|v| v != last + 1) {
            return refusal(422, 42201, "Version is not one more than previous version");
        }
        if let Some(details) = self.find_incompatible(subject, asked) {
            let message = format!(
                "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
                details.join(", ")
            );
            return refusal(409, 409, message);
        }
        let context = self.context_of(subject);
        let known = self.by_content.get(&key).map(|b| b.id);
        let id = known.unwrap_or_else(|| self.take_id(&context));
        // a deleted version of the same content gives way to the new one
        if let Some(gone) = self.find_content(subject, &key, true) {
            self.subjects.get_mut(subject).and_then(|v| v.remove(&gone));
        }
        let full = !kept.metadata.is_null() && self.manner == Manner::Confluent;
        let shown = json!({ "id": id, "version": last + 1, "metadata": kept.metadata, "schema": kept.text });
        self.bind(subject, last + 1, Kept { id, ..kept });
        // its id may have led to the version that gave way
        self.ids.insert((context, id), (subject.to_owned(), last + 1));
        (200, if full { shown } else { json!({ "id": id }) })
    }

    fn import(
        &mut self,
        subject: &str,
        (id, version): (u32, Option<u32>),
        existing: Option<u32>,
        kept: Kept,
        mode: &str,
    ) -> Reply {
        let axonops = self.manner == Manner::AxonOps;
        if mode != "IMPORT" {
            let message = match axonops {
                true => format!(
                    "Subject '{subject}' is not in import mode. Registering schemas with explicit IDs requires IMPORT mode."
                ),
                false => format!("Subject {subject} is not in import or forward mode"),
            };
            return refusal(422, 42205, message);
        }
        let context = self.context_of(subject);
        let last = self.subjects.get(subject).and_then(|v| v.keys().last().copied()).unwrap_or(0);
        let version = version.unwrap_or(last + 1);
        let same = existing.filter(|n| *n == version && self.subjects[subject][n].id == id);
        if let Some(n) = same {
            let text = &self.subjects[subject][&n].text;
            return (
                200,
                if axonops { json!({ "id": id }) } else { json!({ "id": id, "version": n, "schema": text }) },
            );
        }
        let key = self.key_of(subject, &kept);
        let taken = self.by_id(&context, id).is_some_and(|k| self.key_of(subject, k) != key);
        if taken {
            let place = if axonops { "" } else { " in context " };
            return refusal(422, 42205, format!("Overwrite new schema with id {id}{place} is not permitted."));
        }
        if axonops {
            // the first id of a content stays, and a version that is there is not bound anew
            if let Some(there) = self.subjects.get(subject).and_then(|v| v.get(&version)) {
                return (200, json!({ "id": there.id }));
            }
            let first = self.by_content.get(&key).map_or(id, |b| b.id);
            self.bind(subject, version, Kept { id: first, ..kept });
            return (200, json!({ "id": first }));
        }
        self.bind(subject, version, Kept { id, ..kept });
        (200, json!({ "id": id }))
    }

    fn refuse_references(&self, asked: &Asked<'_>, subject: &str) -> Option<Reply> {
        let references = asked.body["references"].as_array()?;
        for r in references {
            let (of, version) = (r["subject"].as_str()?, u32::try_from(r["version"].as_u64()?).ok()?);
            if self.subjects.get(of).is_some_and(|v| v.contains_key(&version)) {
                continue;
            }
            let all: Vec<String> = references
                .iter()
                .map(|r| {
                    format!(
                        "{{name='{}', subject='{}', version={}}}",
                        r["name"].as_str().unwrap_or_default(),
                        r["subject"].as_str().unwrap_or_default(),
                        r["version"]
                    )
                })
                .collect();
            let (all, schema) = (all.join(", "), asked.body["schema"].as_str().unwrap_or_default());
            let message = format!(
                "Invalid schema {{subject={subject},version=null,id=null,schemaType=AVRO,references=[{all}],metadata=null,ruleSet=null,schema={schema},schemaTags=null}} with refs [{all}] of type AVRO, details: No schema reference found for subject \"{of}\" and version {version}"
            );
            return Some(refusal(422, 42201, message));
        }
        None
    }

    /// New fields without a default, which is all of compatibility that is needed here.
    fn find_incompatible(&self, subject: &str, asked: &Asked<'_>) -> Option<Vec<String>> {
        let compatibility = self.compatibility_of(subject);
        let old_version = *self.live(subject).last()?;
        if compatibility == "NONE" {
            return None;
        }
        let old = &self.subjects[subject][&old_version].text;
        let field = text::field_without_default(old, asked.body["schema"].as_str()?)?;
        let (name, place) = field;
        Some(vec![
            format!(
                "{{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field '{name}' at path '/fields/{place}' in the new schema has no default value and is missing in the old schema', additionalInfo:'{name}'}}"
            ),
            format!("{{oldSchemaVersion: {old_version}}}"),
            format!("{{oldSchema: '{old}'}}"),
            format!("{{validateFields: 'false', compatibility: '{compatibility}'}}"),
        ])
    }

    fn check_verbosely(&self, asked: &Asked<'_>, subject: &str) -> Reply {
        let details = self.find_incompatible(subject, asked);
        (200, json!({ "is_compatible": details.is_none(), "messages": details.unwrap_or_default() }))
    }

    fn delete_subject(&mut self, asked: &Asked<'_>, subject: &str) -> Reply {
        let numbers: Vec<u32> = match asked.is("permanent") {
            true => self.subjects.get(subject).into_iter().flatten().map(|(n, _)| *n).collect(),
            false => self.live(subject),
        };
        if numbers.is_empty() {
            return no_subject(subject);
        }
        for n in &numbers {
            match asked.is("permanent") {
                true => self.forget(subject, *n),
                false => {
                    self.subjects.get_mut(subject).and_then(|v| v.get_mut(n)).into_iter().for_each(|k| k.deleted = true)
                }
            }
        }
        (200, json!(numbers))
    }

    fn delete_version(&mut self, asked: &Asked<'_>, subject: &str, version: &str) -> Reply {
        let number: u32 = version.parse().unwrap_or(0);
        let Some(kept) = self.subjects.get(subject).and_then(|v| v.get(&number)) else {
            return refusal(404, 40402, format!("Version {version} not found."));
        };
        let refers = |k: &Kept| {
            k.references
                .as_array()
                .is_some_and(|all| all.iter().any(|r| r["subject"] == *subject && r["version"] == number))
        };
        if self.subjects.values().flat_map(BTreeMap::values).any(refers) {
            let key = format!("{{magic=1,keytype=SCHEMA,subject={subject},version={number}}}");
            return refusal(422, 42206, format!("One or more references exist to the schema {key}."));
        }
        match (asked.is("permanent"), kept.deleted) {
            (true, false) => {
                let message = format!(
                    "Subject '{subject}' Version {number} was not deleted first before being permanently deleted"
                );
                return refusal(404, 40407, message);
            }
            (true, true) => self.forget(subject, number),
            (false, _) => {
                self.subjects
                    .get_mut(subject)
                    .and_then(|v| v.get_mut(&number))
                    .into_iter()
                    .for_each(|k| k.deleted = true);
            }
        }
        (200, json!(number))
    }

    fn answer_config(&mut self, asked: &Asked<'_>, method: &str, scope: &str) -> Reply {
        let own = self.configs.get(scope).cloned();
        let other_word = self.manner != Manner::Apicurio;
        let written = |config: &Map<String, Value>| -> Value {
            let renamed = config.iter().map(|(k, v)| {
                let key = if k == "compatibilityLevel" && other_word { "compatibility" } else { k.as_str() };
                (key.to_owned(), v.clone())
            });
            Value::Object(renamed.collect())
        };
        match (method, own) {
            ("GET", Some(own)) => (200, Value::Object(own)),
            ("GET", None) if !self.keeps_ids() && !self.subjects.contains_key(scope) => no_subject(scope),
            ("GET", None) if asked.is("defaultToGlobal") => (200, Value::Object(self.configs[""].clone())),
            ("GET", None) => {
                refusal(404, 40408, format!("Subject '{scope}' does not have subject-level compatibility configured"))
            }
            ("DELETE", Some(own)) => {
                self.configs.remove(scope);
                (200, Value::Object(own))
            }
            ("PUT", own) => {
                if self.mode_of(scope) != "READWRITE" {
                    return refusal(422, 42205, format!("Subject {scope} in context  is in read-only mode"));
                }
                let mut config = own.unwrap_or_default();
                for (key, value) in asked.body.as_object().into_iter().flatten() {
                    let key = if key == "compatibility" { "compatibilityLevel" } else { key };
                    if key == "compatibilityLevel" || self.keeps_ids() {
                        config.insert(key.to_owned(), value.clone());
                    }
                }
                let answer = written(&config);
                self.configs.insert(scope.to_owned(), config);
                (200, answer)
            }
            _ => no_subject(scope),
        }
    }

    fn answer_mode(&mut self, asked: &Asked<'_>, method: &str, scope: &str) -> Reply {
        match (self.manner, method) {
            (Manner::Apicurio, _) if scope.is_empty() => return self.not_found(),
            (Manner::Apicurio, "GET" | "PUT") => return (204, json!("")),
            (Manner::Karapace, "GET") if scope.is_empty() || self.subjects.contains_key(scope) => {
                return (200, json!({ "mode": "READWRITE" }));
            }
            (Manner::Karapace, "GET") => return no_subject(scope),
            (Manner::Karapace | Manner::Apicurio, _) => return (405, json!("Method Not Allowed")),
            _ => {}
        }
        let own = self.modes.get(scope).cloned();
        match (method, own) {
            ("GET", _) if asked.is("defaultToGlobal") => (200, json!({ "mode": self.mode_of(scope) })),
            ("GET", Some(own)) => (200, json!({ "mode": own })),
            ("GET", None) => {
                refusal(404, 40409, format!("Subject '{scope}' does not have subject-level mode configured"))
            }
            ("DELETE", Some(own)) => {
                self.modes.remove(scope);
                (200, json!({ "mode": own }))
            }
            ("PUT", _) => self.set_mode(asked, scope),
            _ => no_subject(scope),
        }
    }

    fn set_mode(&mut self, asked: &Asked<'_>, scope: &str) -> Reply {
        let mode = asked.body["mode"].as_str().unwrap_or_default().to_owned();
        if mode == "IMPORT" && !asked.is("force") {
            let within = |s: &&String| match scope {
                "" => true,
                context if context.ends_with(':') => s.starts_with(context),
                subject => *s == subject,
            };
            let all: Vec<String> = self.subjects.keys().filter(within).cloned().collect();
            if all.iter().any(|s| !self.live(s).is_empty()) {
                return refusal(422, 42205, "Cannot import since found existing subjects");
            }
            // What is left is soft-deleted: Confluent's makes room of it, without a word.
            if self.manner == Manner::Confluent {
                for subject in all {
                    let numbers: Vec<u32> = self.subjects[&subject].keys().copied().collect();
                    numbers.into_iter().for_each(|n| self.forget(&subject, n));
                }
            }
        }
        self.modes.insert(scope.to_owned(), mode.clone());
        (200, json!({ "mode": mode }))
    }
}

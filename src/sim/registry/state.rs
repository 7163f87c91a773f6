//! A schema registry in memory, answer by answer as a recorded Confluent 7.9.10 gave them (tests/registry/recorded), and
//! with the deviations of other kinds.
//!
//! Confluent keeps content by (subject, version), and an id leads to one of them: so a version that is bound anew takes
//! the content of its old id with it. Which versions an id has is found by content, and the last id of a content wins.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::print;

mod changes;
mod reading;

/// How a server deviates from Confluent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Confluent 7.9.10: ids and versions are kept, texts are printed anew.
    Confluent,
    /// AxonOps: ids are kept, the first id of a content stays.
    AxonOps,
    /// Karapace 6.2: no import, ids of its own.
    Karapace,
    /// Apicurio 3.0.9 as ccompat/v7: no import, ids of its own.
    Apicurio,
}

/// A status and a body; a body that is a text is sent as it is.
pub type RegistryReply = (u16, Value);

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
struct BoundContent {
    id: u32,
    subjects: BTreeMap<String, u32>,
}

/// The registry.
#[derive(Debug, Clone)]
pub struct RegistryState {
    /// Which server it plays.
    pub manner: Manner,
    subjects: BTreeMap<String, BTreeMap<u32, Kept>>,
    ids: BTreeMap<(String, u32), (String, u32)>,
    by_content: BTreeMap<(String, String), BoundContent>,
    contexts: BTreeSet<String>,
    next: BTreeMap<String, u32>,
    /// By scope: the empty name is everything.
    configs: BTreeMap<String, Map<String, Value>>,
    modes: BTreeMap<String, String>,
}

/// A request, its path taken apart.
#[derive(Debug)]
pub struct RegistryAsked<'a> {
    /// GET, POST, PUT or DELETE.
    pub method: &'a str,
    /// Segments of the path as they came.
    pub raw: Vec<&'a str>,
    /// The same, decoded.
    pub path: Vec<String>,
    /// What stands behind the question mark, decoded.
    pub query: BTreeMap<String, String>,
    /// JSON; null without one.
    pub body: Value,
}

impl<'a> RegistryAsked<'a> {
    /// A request for a target, as it stands in the first line.
    #[must_use]
    pub fn new(method: &'a str, target: &'a str, body: Value) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let raw: Vec<&str> = path.split('/').skip(1).collect();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(k, v)| (print::decode(k), print::decode(v))).collect();
        Self { method, path: raw.iter().map(|s| print::decode(s)).collect(), raw, query, body }
    }

    fn is(&self, flag: &str) -> bool {
        self.query.get(flag).is_some_and(|v| v == "true")
    }
}

fn refusal(status: u16, code: u32, message: impl Into<String>) -> RegistryReply {
    (status, json!({ "error_code": code, "message": message.into() }))
}

fn no_subject(subject: &str) -> RegistryReply {
    refusal(404, 40401, format!("Subject '{subject}' not found."))
}

impl RegistryState {
    /// An empty one.
    #[must_use]
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

    /// A version put there whatever the mode, as what was there before.
    pub fn seed(&mut self, subject: &str, version: u32, id: u32, kind: &str, schema: &str, references: Value) {
        let stored = self.print(kind, schema).unwrap_or_else(|| schema.to_owned());
        let kept = Kept { id, deleted: false, kind: kind.into(), text: stored, references, metadata: Value::Null };
        self.bind(subject, version, kept);
    }

    /// The same, of a plain Avro schema.
    pub fn seed_avro(&mut self, subject: &str, version: u32, id: u32, schema: &str) {
        self.seed(subject, version, id, "AVRO", schema, Value::Null);
    }

    fn print(&self, kind: &str, schema: &str) -> Option<String> {
        match self.manner {
            Manner::Confluent => print::reprint(kind, schema),
            Manner::Karapace if kind != "PROTOBUF" => print::sort_keys(schema),
            _ => Some(schema.to_owned()),
        }
    }

    fn content_key(&self, subject: &str, kind: &str, stored: &str, references: &Value) -> (String, String) {
        let one = if self.manner == Manner::Apicurio {
            stored.to_owned()
        } else {
            print::reprint(kind, stored).unwrap_or_default()
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
        let mut bound = bound.unwrap_or(BoundContent { id: kept.id, subjects: BTreeMap::new() });
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
    pub fn answer(&mut self, asked: &RegistryAsked<'_>) -> RegistryReply {
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
    fn not_found(&self) -> RegistryReply {
        match self.manner {
            Manner::Confluent | Manner::AxonOps => (404, json!({ "error_code": 404, "message": "HTTP 404 Not Found" })),
            Manner::Karapace => (404, json!("Not Found")),
            Manner::Apicurio => (404, json!("")),
        }
    }
}

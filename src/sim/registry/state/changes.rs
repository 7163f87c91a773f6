//! What is registered, imported and deleted, and how a registry is set.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::print;
use super::{Kept, Manner, RegistryAsked, RegistryState, SimReply, no_subject, refusal};

impl RegistryState {
    pub(super) fn find_content(&self, subject: &str, key: &(String, String), deleted: bool) -> Option<u32> {
        let versions = self.subjects.get(subject)?;
        let same = |(_, k): &(&u32, &Kept)| self.key_of(subject, k) == *key && (deleted || !k.deleted);
        versions.iter().rev().find(same).map(|(n, _)| *n)
    }

    pub(super) fn look_up(&self, asked: &RegistryAsked<'_>, subject: &str) -> SimReply {
        let (kind, stored) = self.read_body(asked);
        let key = self.content_key(subject, &kind, &stored, &asked.body["references"]);
        match self.find_content(subject, &key, asked.is("deleted")) {
            Some(version) => (200, self.show_version(subject, version)),
            None => refusal(404, 40403, "Schema not found"),
        }
    }

    pub(super) fn read_body(&self, asked: &RegistryAsked<'_>) -> (String, String) {
        let kind = asked.body["schemaType"].as_str().unwrap_or("AVRO").to_owned();
        let stored = self.print(&kind, asked.body["schema"].as_str().unwrap_or_default()).unwrap_or_default();
        (kind, stored)
    }

    pub(super) fn register(&mut self, asked: &RegistryAsked<'_>, subject: &str) -> SimReply {
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

    pub(super) fn import(
        &mut self,
        subject: &str,
        (id, version): (u32, Option<u32>),
        existing: Option<u32>,
        kept: Kept,
        mode: &str,
    ) -> SimReply {
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

    pub(super) fn refuse_references(&self, asked: &RegistryAsked<'_>, subject: &str) -> Option<SimReply> {
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
    pub(super) fn find_incompatible(&self, subject: &str, asked: &RegistryAsked<'_>) -> Option<Vec<String>> {
        let compatibility = self.compatibility_of(subject);
        let old_version = *self.live(subject).last()?;
        if compatibility == "NONE" {
            return None;
        }
        let old = &self.subjects[subject][&old_version].text;
        let field = print::field_without_default(old, asked.body["schema"].as_str()?)?;
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

    pub(super) fn check_verbosely(&self, asked: &RegistryAsked<'_>, subject: &str) -> SimReply {
        let details = self.find_incompatible(subject, asked);
        (200, json!({ "is_compatible": details.is_none(), "messages": details.unwrap_or_default() }))
    }

    pub(super) fn delete_subject(&mut self, asked: &RegistryAsked<'_>, subject: &str) -> SimReply {
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

    pub(super) fn delete_version(&mut self, asked: &RegistryAsked<'_>, subject: &str, version: &str) -> SimReply {
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

    pub(super) fn answer_config(&mut self, asked: &RegistryAsked<'_>, method: &str, scope: &str) -> SimReply {
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

    pub(super) fn answer_mode(&mut self, asked: &RegistryAsked<'_>, method: &str, scope: &str) -> SimReply {
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

    pub(super) fn set_mode(&mut self, asked: &RegistryAsked<'_>, scope: &str) -> SimReply {
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

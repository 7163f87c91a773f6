//! What a registry tells of what it holds.

use serde_json::{Map, Value, json};

use super::{Kept, Manner, RegistryAsked, RegistryState, SimReply, no_subject, refusal};

impl RegistryState {
    pub(super) fn tell_metadata(&self, what: &str) -> SimReply {
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

    pub(super) fn list_contexts(&self) -> SimReply {
        match self.manner {
            Manner::Confluent | Manner::AxonOps => (200, json!(self.contexts)),
            Manner::Karapace => self.not_found(),
            Manner::Apicurio => (200, json!([":.:"])),
        }
    }

    /// Names by a prefix; those of which every version is deleted only where they are asked for.
    pub(super) fn names(&self, prefix: &str, deleted: bool) -> Vec<String> {
        let shown = |s: &&String| deleted || !self.live(s).is_empty();
        let any = prefix.strip_prefix(":*:");
        let matches = |s: &&String| match any {
            _ if !matches!(self.manner, Manner::Confluent | Manner::AxonOps) => true,
            Some(rest) => s.rsplit(':').next().is_some_and(|name| name.starts_with(rest)),
            None => s.starts_with(prefix),
        };
        self.subjects.keys().filter(shown).filter(matches).map(|s| s.trim_start_matches('\u{0}').to_owned()).collect()
    }

    pub(super) fn list_subjects(&self, asked: &RegistryAsked<'_>) -> SimReply {
        let all = ":*:".to_owned();
        (200, json!(self.names(asked.query.get("subjectPrefix").unwrap_or(&all), asked.is("deleted"))))
    }

    pub(super) fn list_schemas(&self, asked: &RegistryAsked<'_>) -> SimReply {
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

    pub(super) fn show_schema(&self, kept: &Kept, version: u32) -> Map<String, Value> {
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

    pub(super) fn show_version(&self, subject: &str, version: u32) -> Value {
        let kept = &self.subjects[subject][&version];
        let mut shown = self.show_schema(kept, version);
        shown.insert("subject".into(), json!(subject.trim_start_matches('\u{0}')));
        shown.insert("version".into(), json!(version));
        shown.insert("id".into(), json!(kept.id));
        Value::Object(shown)
    }

    pub(super) fn read_id(&self, asked: &RegistryAsked<'_>, id: &str, rest: &[&str]) -> SimReply {
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

    pub(super) fn through_alias(&self, subject: &str) -> String {
        let alias = self.configs.get(subject).and_then(|c| c.get("alias")).and_then(Value::as_str);
        alias.unwrap_or(subject).to_owned()
    }

    pub(super) fn list_versions(&self, asked: &RegistryAsked<'_>, subject: &str) -> SimReply {
        let subject = self.through_alias(subject);
        let versions = self.subjects.get(&subject).into_iter().flatten();
        let wanted = |k: &Kept| match k.deleted {
            true => asked.is("deleted") || asked.is("deletedOnly"),
            false => !asked.is("deletedOnly"),
        };
        let numbers: Vec<u32> = versions.filter(|(_, k)| wanted(k)).map(|(n, _)| *n).collect();
        if numbers.is_empty() { no_subject(&subject) } else { (200, json!(numbers)) }
    }

    pub(super) fn read_version(&self, asked: &RegistryAsked<'_>, subject: &str, version: &str) -> SimReply {
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
}

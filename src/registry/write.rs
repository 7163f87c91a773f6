//! What changes a registry, a request each. A status proves nothing: three of four servers answer 200 and do something else.
//! Whoever changes has read before, and reads back after.

use serde_json::{Value, json};

use super::client::{ChangeKind, RegistryClient, name_trouble};
use crate::base::Trouble;
use crate::schemas::{
    RegistryConfig, RegistryMode, SchemaImport, SchemaText, SettingScope, SubjectVersion, encode_subject,
};

/// The part that can change a registry. Only made for whoever holds the right to change something.
pub(crate) struct RegistryWriter<'a> {
    client: &'a RegistryClient,
}

impl<'a> RegistryWriter<'a> {
    /// One for this registry.
    pub(crate) fn new(client: &'a RegistryClient) -> Self {
        Self { client }
    }

    /// Sets the mode of a scope. `force`: a subject with live versions takes IMPORT only so.
    pub(crate) async fn set_mode(&self, scope: &SettingScope, mode: &RegistryMode, force: bool) -> Result<(), Trouble> {
        let force = if force { "?force=true" } else { "" };
        let path = format!("/mode{}{force}", self.write_scope(scope)?);
        let body = json!({ "mode": String::from(mode.clone()) });
        self.client.change(ChangeKind::Put, &path, Some(&body)).await.map(drop)
    }

    /// Takes a subject's own mode away: what is around it applies again. None there is no fault.
    pub(crate) async fn drop_mode(&self, subject: &str) -> Result<(), Trouble> {
        let path = format!("/mode{}", self.write_scope(&SettingScope::Subject(subject.to_owned()))?);
        self.client.change(ChangeKind::Delete, &path, None).await.map(drop)
    }

    /// Sets what a scope says of compatibility for itself.
    pub(crate) async fn set_config(&self, scope: &SettingScope, config: &RegistryConfig) -> Result<(), Trouble> {
        let mut body = serde_json::Map::new();
        if let Some(word) = &config.compatibility {
            body.insert("compatibility".to_owned(), json!(word));
        }
        body.extend(config.more.iter().map(|(key, value)| (key.clone(), value.clone())));
        let path = format!("/config{}", self.write_scope(scope)?);
        self.client.change(ChangeKind::Put, &path, Some(&Value::Object(body))).await.map(drop)
    }

    /// Imports a version with its number and id.
    pub(crate) async fn import_version(&self, import: &SchemaImport) -> Result<(), Trouble> {
        let ids = json!({ "id": import.id, "version": import.at.version });
        self.post_schema(&import.at.subject, &import.schema, ids).await
    }

    /// Registers a schema: the server gives its id and its number, those that it has where it has it already.
    pub(crate) async fn register_schema(&self, subject: &str, schema: &SchemaText) -> Result<(), Trouble> {
        self.post_schema(subject, schema, json!({})).await
    }

    async fn post_schema(&self, subject: &str, schema: &SchemaText, mut body: Value) -> Result<(), Trouble> {
        body["schemaType"] = json!(String::from(schema.format.clone()));
        body["schema"] = json!(schema.text);
        if !schema.references.is_empty() {
            body["references"] = json!(schema.references);
        }
        for (key, value) in [("metadata", &schema.metadata), ("ruleSet", &schema.rules)] {
            if let Some(value) = value {
                body[key] = value.clone();
            }
        }
        let path = format!("/subjects/{}/versions", self.write_segment(subject)?);
        self.client.change(ChangeKind::Post, &path, Some(&body)).await.map(drop)
    }

    /// Soft-deletes one version: its id stays readable. None there is no fault.
    pub(crate) async fn soft_delete(&self, at: &SubjectVersion) -> Result<(), Trouble> {
        let path = format!("/subjects/{}/versions/{}", self.write_segment(&at.subject)?, at.version);
        self.client.change(ChangeKind::Delete, &path, None).await.map(drop)
    }

    /// Removes a throw-away version for good. Whoever calls has made it.
    pub(crate) async fn remove_probe(&self, at: &SubjectVersion) -> Result<(), Trouble> {
        self.soft_delete(at).await?;
        let path = format!("/subjects/{}/versions/{}?permanent=true", self.write_segment(&at.subject)?, at.version);
        self.client.change(ChangeKind::Delete, &path, None).await.map(drop)
    }

    fn write_segment(&self, subject: &str) -> Result<String, Trouble> {
        encode_subject(subject).ok_or_else(|| {
            let why = Trouble::new("a subject's name can't be written into a path", "rename it");
            name_trouble(self.client.side(), why)
        })
    }

    fn write_scope(&self, scope: &SettingScope) -> Result<String, Trouble> {
        Ok(match scope {
            SettingScope::Global => String::new(),
            SettingScope::Context(context) => format!("/:{}:", self.write_segment(context)?),
            SettingScope::Subject(subject) => format!("/{}", self.write_segment(subject)?),
        })
    }
}

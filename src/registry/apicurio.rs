//! Apicurio's own import (`POST /apis/registry/v3/admin/import`), which keeps ids where its Confluent API does not.
//!
//! What it takes is what its export gives: a ZIP of JSON files, as a real 3.0.9 wrote it. It takes one into an empty registry
//! only (409 else), and answers 204 whatever became of each entry: so what it made is read back, version by version.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, result::ZipError};

use super::client::name_trouble;
use crate::base::{Side, Trouble};
use crate::net::http::{HttpRequest, RemoteServer, authorize_request};
use crate::plan::RegistryPlan;
use crate::plan::secrets::client_properties;
use crate::schemas::{SchemaFormat, SchemaImport};

/// Where its Confluent API begins, whatever the version of it.
const CCOMPAT: &str = "/apis/ccompat/";
/// How long an import may take at least, ms: it is one request for everything.
const LEAST_MS: u64 = 120_000;

/// Where the server's own API is, by the URL of its Confluent API; `None`: this URL says nothing of it.
#[must_use]
pub fn find_native_root(url: &str) -> Option<&str> {
    url.find(CCOMPAT).map(|at| &url[..at])
}

/// Gives these versions with their ids to an empty registry. That they are there only a look afterwards tells.
///
/// # Errors
/// It can't be reached, refuses, or is not empty; or the URL of the plan is not that of Apicurio's Confluent API.
pub(crate) async fn import_archive(plan: &RegistryPlan, side: Side, imports: &[SchemaImport]) -> Result<(), Trouble> {
    let named = |t: Trouble| name_trouble(side, t);
    let Some(root) = find_native_root(&plan.url) else {
        let advice = "let `url` end in /apis/ccompat/v7: the server's own API is found from there";
        return Err(named(Trouble::new("its own API is not known", advice)));
    };
    let archive = build_archive(imports).map_err(|e| {
        named(Trouble::new(
            format!("the archive could not be built: {e}"),
            "this is a fault of cutover, please report it",
        ))
    })?;
    let headers = authorize_request(&plan.credentials).map_err(named)?;
    let server = RemoteServer::open(root, client_properties(&plan.client).map_err(named)?).await.map_err(named)?;
    let request = HttpRequest {
        path: "/apis/registry/v3/admin/import",
        body: Some(("application/zip", archive)),
        headers,
        timeout_ms: plan.timeout_ms.max(LEAST_MS),
        ..HttpRequest::default()
    };
    let answer = server.send(request).await.map_err(named)?;
    let said = |what: String, advice: &str| Err(named(Trouble::new(what, advice)));
    match answer.status {
        200 | 204 => Ok(()),
        409 => said(
            "it is not empty, and takes its own import only when it is".to_owned(),
            "nothing was imported; empty it by hand, or use another kind of registry on green",
        ),
        401 | 403 => said(
            format!("it answers {} to its own import", answer.status),
            "let this user import (the role sr-admin); nothing was imported",
        ),
        status => said(format!("it answers {status} to its own import: {}", answer.visible_excerpt()), "see its log"),
    }
}

/// The archive: a manifest, then contents by id, artifacts, versions, and the branch that orders each artifact's versions.
fn build_archive(imports: &[SchemaImport]) -> Result<Vec<u8>, ZipError> {
    let mut archive = Archive { zip: ZipWriter::new(Cursor::new(Vec::new())) };
    archive.add_json(
        "manifest-cutover.Manifest.json",
        &json!({ "systemVersion": "3.0.9", "systemName": "cutover", "exportVersion": "3.0", "dbVersion": "101" }),
    )?;
    archive.add_contents(imports)?;
    let mut by_subject: BTreeMap<&str, Vec<&SchemaImport>> = BTreeMap::new();
    imports.iter().for_each(|import| by_subject.entry(&import.at.subject).or_default().push(import));
    // Numbers for folders: names are in the entries, and a subject may hold what a path may not.
    let all: Vec<Artifact<'_>> = by_subject
        .into_iter()
        .enumerate()
        .map(|(n, (subject, mut of))| {
            of.sort_by_key(|import| import.at.version);
            (n, subject, of)
        })
        .collect();
    archive.add_artifacts(&all)?;
    archive.add_versions(&all)?;
    archive.add_branches(&all)?;
    archive.finish()
}

/// A folder's number, the subject, its versions in order.
type Artifact<'a> = (usize, &'a str, Vec<&'a SchemaImport>);

struct Archive {
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl Archive {
    fn add_file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ZipError> {
        self.zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored))?;
        self.zip.write_all(bytes)?;
        Ok(())
    }

    fn add_json(&mut self, name: &str, value: &Value) -> Result<(), ZipError> {
        self.add_file(name, value.to_string().as_bytes())
    }

    /// Each id once. A content's files are found by its hash, over its text and its references as the server writes them: a
    /// producer that registers it again is given the same id only by that hash.
    fn add_contents(&mut self, imports: &[SchemaImport]) -> Result<(), ZipError> {
        let (mut ids, mut hashes) = (BTreeSet::new(), BTreeSet::new());
        for import in imports.iter().filter(|import| ids.insert(import.id)) {
            let schema = &import.schema;
            let references = (!schema.references.is_empty()).then(|| {
                let one = |r: &crate::schemas::SchemaReference| {
                    let (subject, version, name) = (json!(r.subject), json!(r.version.to_string()), json!(r.name));
                    format!("{{\"groupId\":null,\"artifactId\":{subject},\"version\":{version},\"name\":{name}}}")
                };
                format!("[{}]", schema.references.iter().map(one).collect::<Vec<_>>().join(","))
            });
            let digest = |more: &str| {
                let whole = format!("{}{}{more}", schema.text, references.as_deref().unwrap_or_default());
                format!("{:x}", Sha256::digest(whole.as_bytes()))
            };
            // A second id of one content needs a hash of its own: the first one is found by registering it again.
            let mut hash = digest("");
            if !hashes.insert(hash.clone()) {
                hash = digest(&format!("\u{0}{}", import.id));
                hashes.insert(hash.clone());
            }
            let kind =
                if schema.format == SchemaFormat::Protobuf { "application/x-protobuf" } else { "application/json" };
            self.add_json(
                &format!("content/{hash}.Content.json"),
                &json!({
                    "contentId": import.id,
                    "canonicalHash": hash,
                    "contentHash": hash,
                    "artifactType": String::from(schema.format.clone()),
                    "contentType": kind,
                    "serializedReferences": references,
                }),
            )?;
            self.add_file(&format!("content/{hash}.Content.data"), schema.text.as_bytes())?;
        }
        Ok(())
    }

    fn add_artifacts(&mut self, all: &[Artifact<'_>]) -> Result<(), ZipError> {
        for (n, subject, of) in all {
            let kind = of.last().map(|import| String::from(import.schema.format.clone()));
            self.add_json(
                &format!("groups/default/artifacts/{n}/MetaData.Artifact.json"),
                &json!({ "artifactId": subject, "artifactType": kind, "owner": "", "createdOn": 0, "modifiedOn": 0 }),
            )?;
        }
        Ok(())
    }

    fn add_versions(&mut self, all: &[Artifact<'_>]) -> Result<(), ZipError> {
        let mut global = 0;
        for (n, subject, import) in all.iter().flat_map(|(n, subject, of)| of.iter().map(move |i| (n, subject, i))) {
            global += 1;
            let version = import.at.version;
            self.add_json(
                &format!("groups/default/artifacts/{n}/versions/{version}.ArtifactVersion.json"),
                &json!({
                    "globalId": global,
                    "artifactId": subject,
                    "version": version.to_string(),
                    "versionOrder": version,
                    "state": "ENABLED",
                    "owner": "",
                    "createdOn": 0,
                    "modifiedOn": 0,
                    "contentId": import.id,
                }),
            )?;
        }
        Ok(())
    }

    /// What orders an artifact's versions.
    fn add_branches(&mut self, all: &[Artifact<'_>]) -> Result<(), ZipError> {
        for (n, subject, of) in all {
            let versions: Vec<String> = of.iter().map(|import| import.at.version.to_string()).collect();
            self.add_json(
                &format!("groups/default/artifacts/{n}/branches/latest.Branch.json"),
                &json!({
                    "artifactId": subject,
                    "branchId": "latest",
                    "systemDefined": true,
                    "owner": "",
                    "createdOn": 0,
                    "modifiedOn": 0,
                    "versions": versions,
                }),
            )?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, ZipError> {
        Ok(self.zip.finish()?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemas::{SchemaReference, SchemaText, SubjectVersion};

    /// The hash is the one that a real 3.0.9 gave the same content with the same reference.
    #[test]
    fn a_content_is_found_by_the_hash_that_the_server_makes() {
        let text = r#"{"type":"record","name":"Order","namespace":"x","fields":[{"name":"a","type":"x.Addr"}]}"#;
        let references = vec![SchemaReference { name: "x.Addr".into(), subject: "addr-value".into(), version: 1 }];
        let schema =
            SchemaText { format: SchemaFormat::Avro, text: text.into(), references, metadata: None, rules: None };
        let import = |subject: &str, id| SchemaImport {
            at: SubjectVersion::new(subject, 7),
            id,
            schema: schema.clone(),
            leave_deleted: false,
        };
        let archive = build_archive(&[import("order/value", 91_001), import("again", 91_001), import("b", 5)]).unwrap();
        let mut read = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
        let names: Vec<String> = read.file_names().map(|name| name.unwrap().into_owned()).collect();
        let hash = "b7ccb3d32546ad32e7d396f14e97140c4eafec98fd67e3ee32c36c79d4714622";
        assert!(names.contains(&format!("content/{hash}.Content.json")), "{names:#?}");
        assert_eq!(names.iter().filter(|n| n.ends_with(".Content.data")).count(), 2, "each id once: {names:#?}");
        let of: Value =
            serde_json::from_reader(read.by_name(&format!("content/{hash}.Content.json")).unwrap()).unwrap();
        assert_eq!(of["contentId"], 91_001);
        assert_eq!(names.iter().filter(|n| n.ends_with(".ArtifactVersion.json")).count(), 3);
    }

    #[test]
    fn its_own_api_is_beside_the_other() {
        assert_eq!(find_native_root("http://r:1/apis/ccompat/v7"), Some("http://r:1"));
        assert_eq!(find_native_root("https://h/registry/apis/ccompat/v6"), Some("https://h/registry"));
        assert_eq!(find_native_root("http://r:1"), None);
    }
}

//! The whole content of a registry, a few requests at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join3, join4};
use futures_util::stream::{StreamExt as _, iter};
use serde_json::Value;

use super::answer::{read_config, read_contexts, read_mode, read_names, read_numbers, read_schema, read_version};
use super::client::{RegistryClient, RegistryReply, name_trouble};
use crate::base::sanitise::visible_name;
use crate::base::{Sides, Trouble};
use crate::schemas::{
    DEFAULT_CONTEXT, ListedVersion, RegistryAnswer, RegistryConfig, RegistryContent, RegistryEvidence, RegistryMode,
    RegistryServer, SchemaId, SchemaText, ScopeSettings, SettingScope, StoredSchema, SubjectContent, SubjectVersion,
    detect_kind, encode_subject, list_ids_to_read,
};

/// Requests under way at a time.
const AT_A_TIME: usize = 8;
/// Subjects, versions and ids of one registry that are read at most, each: beyond that it is no look any more.
const MOST: usize = 100_000;

/// All that a registry holds, soft-deleted versions too. What can't be read says so in its place.
///
/// # Errors
/// Nothing can be said of it: it can't be reached, refuses, or is no registry.
pub async fn read_content(client: &RegistryClient) -> Result<RegistryContent, Trouble> {
    // First, and alone: where this fails nothing else has to wait for its own time limit.
    let listed = list_all_names(client).await?;
    let evidence = gather_evidence(client).await;
    let contexts = read_context_names(client).await;
    let (subjects, unlisted) = list_subjects(client, listed, &contexts).await;
    let global = read_settings(client, "").await;
    // Owned: a stream that borrows can't be awaited in a task of its own.
    let mut others: Vec<String> = contexts.as_told().into_iter().flatten().cloned().collect();
    others.retain(|context| context != DEFAULT_CONTEXT);
    let by_context: BTreeMap<String, ScopeSettings> = iter(others)
        .map(|context| async move {
            let own = read_settings(client, &format!("/:{}:", encode_part(&context))).await;
            (context, own)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let mut content = RegistryContent {
        server: detect_kind(&evidence),
        contexts,
        global,
        by_context,
        subjects: BTreeMap::new(),
        unlisted,
        ids: BTreeMap::new(),
    };
    content.subjects = iter(subjects)
        .map(|subject| async move {
            let of = read_subject(client, &subject).await;
            (subject, of)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    read_versions(client, &mut content).await;
    let ids = content.versions_by_id().into_keys().collect();
    read_ids(client, &mut content, ids).await;
    tracing::debug!(
        side = %client.side(),
        kind = %content.server.kind,
        subjects = content.subjects.len(),
        ids = content.ids.len(),
        "registry read"
    );
    Ok(content)
}

/// A server as a few questions tell, which change nothing and read no schema.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistrySight {
    /// What kind of server it is.
    pub server: RegistryServer,
    /// How many subjects it lists, soft-deleted ones too.
    pub subjects: usize,
    /// What applies where neither a context nor a subject says otherwise.
    pub global: ScopeSettings,
}

/// What a server is, and what may be read of it.
///
/// # Errors
/// As [`read_content`].
pub async fn look_at_server(client: &RegistryClient) -> Result<RegistrySight, Trouble> {
    let subjects = list_all_names(client).await?.len();
    let (evidence, global) = join(gather_evidence(client), read_settings(client, "")).await;
    Ok(RegistrySight { server: detect_kind(&evidence), subjects, global })
}

/// Names of all subjects, those too of which every version is soft-deleted.
async fn list_all_names(client: &RegistryClient) -> Result<Vec<String>, Trouble> {
    match client.ask("/subjects?deleted=true").await? {
        RegistryReply::Told(names) => read_names(&names).map_err(|t| name_trouble(client.side(), t)),
        RegistryReply::Absent | RegistryReply::NotOffered => {
            let what = "it answers 404 to /subjects";
            let advice = "check that `url` is what stands before /subjects (of Apicurio it ends in /apis/ccompat/v7)";
            Err(name_trouble(client.side(), Trouble::new(what, advice)))
        }
    }
}

/// What `GET /schemas/ids/ID` reads for these ids, into `content`: those of the other registry, or those that occur in
/// records.
pub async fn read_ids(client: &RegistryClient, content: &mut RegistryContent, ids: BTreeSet<SchemaId>) {
    let read: Vec<_> =
        iter(ids.into_iter().take(MOST)).map(|id| read_id(client, id)).buffer_unordered(AT_A_TIME).collect().await;
    content.ids.extend(read);
}

/// Both registries, on green every id of blue, and on both every id of `more`.
pub async fn read_both(clients: Sides<&RegistryClient>, more: &[SchemaId]) -> Sides<Result<RegistryContent, Trouble>> {
    let (mut blue, mut green) = join(read_content(clients.blue), read_content(clients.green)).await;
    if let (Ok(blue), Ok(green)) = (&mut blue, &mut green) {
        let left = |of: &RegistryContent| more.iter().filter(|id| !of.ids.contains_key(*id)).cloned().collect();
        let (of_blue, of_green): (BTreeSet<SchemaId>, BTreeSet<SchemaId>) = (left(blue), left(green));
        read_ids(clients.blue, blue, of_blue).await;
        let ids = list_ids_to_read(blue, green).into_iter().chain(of_green).collect();
        read_ids(clients.green, green, ids).await;
    }
    Sides { blue, green }
}

async fn gather_evidence(client: &RegistryClient) -> RegistryEvidence {
    let asked = join4(
        client.probe("/contexts"),
        client.probe("/v1/metadata/id"),
        client.probe("/v1/metadata/version"),
        client.probe("/mode"),
    );
    let (contexts, metadata_id, metadata_version, mode) = asked.await;
    RegistryEvidence { contexts, metadata_id, metadata_version, mode }
}

/// An answer in the room's words; an absent thing is `None`.
fn take_reply<T>(
    client: &RegistryClient,
    reply: Result<RegistryReply, Trouble>,
    of: impl FnOnce(&Value) -> Result<T, Trouble>,
) -> RegistryAnswer<Option<T>> {
    match reply {
        Ok(RegistryReply::Told(value)) => match of(&value) {
            Ok(told) => RegistryAnswer::Told(Some(told)),
            Err(why) => RegistryAnswer::Unknown(name_trouble(client.side(), why)),
        },
        Ok(RegistryReply::Absent) => RegistryAnswer::Told(None),
        Ok(RegistryReply::NotOffered) => RegistryAnswer::NotOffered,
        Err(why) => RegistryAnswer::Unknown(why),
    }
}

/// The same of what has to be there.
fn expect_told<T>(answer: RegistryAnswer<Option<T>>, absent: impl FnOnce() -> Trouble) -> RegistryAnswer<T> {
    match answer {
        RegistryAnswer::Told(Some(told)) => RegistryAnswer::Told(told),
        RegistryAnswer::Told(None) | RegistryAnswer::NotOffered => RegistryAnswer::Unknown(absent()),
        RegistryAnswer::Unknown(why) => RegistryAnswer::Unknown(why),
    }
}

/// A name within a path or a query. It may hold nothing that would end it there.
fn encode_part(name: &str) -> String {
    encode_subject(name).unwrap_or_default()
}

pub(super) async fn read_context_names(client: &RegistryClient) -> RegistryAnswer<BTreeSet<String>> {
    let answer = take_reply(client, client.ask("/contexts").await, read_contexts);
    match answer {
        RegistryAnswer::Told(Some(names)) => RegistryAnswer::Told(names.into_iter().collect()),
        RegistryAnswer::Told(None) | RegistryAnswer::NotOffered => RegistryAnswer::NotOffered,
        RegistryAnswer::Unknown(why) => RegistryAnswer::Unknown(why),
    }
}

/// Every subject by what is listed without and with each context: whether the first names those of all contexts is the
/// server's affair.
async fn list_subjects(
    client: &RegistryClient,
    listed: Vec<String>,
    contexts: &RegistryAnswer<BTreeSet<String>>,
) -> (BTreeSet<String>, Option<Trouble>) {
    let mut subjects: BTreeSet<String> = listed.into_iter().collect();
    let mut unlisted = None;
    for context in contexts.as_told().into_iter().flatten().filter(|c| *c != DEFAULT_CONTEXT) {
        let path = format!("/subjects?deleted=true&subjectPrefix=:{}:", encode_part(context));
        match expect_told(take_reply(client, client.ask(&path).await, read_names), || {
            Trouble::new(format!("context {} is not there any more", visible_name(context)), "look again")
        }) {
            RegistryAnswer::Told(names) => subjects.extend(names),
            RegistryAnswer::Unknown(why) => unlisted = Some(why),
            RegistryAnswer::NotOffered => {}
        }
    }
    if subjects.len() > MOST {
        let what = format!("it has {} subjects, and {MOST} are read at most", subjects.len());
        unlisted = Some(name_trouble(client.side(), Trouble::new(what, "")));
        subjects = subjects.into_iter().take(MOST).collect();
    }
    (subjects, unlisted)
}

/// Settings of a scope: `path` is empty for everything, else its segment with the slash.
async fn read_settings(client: &RegistryClient, path: &str) -> ScopeSettings {
    let (config_path, mode_path) = (format!("/config{path}"), format!("/mode{path}"));
    let (config, mode) = join(client.ask(&config_path), client.ask(&mode_path)).await;
    let config: RegistryAnswer<Option<RegistryConfig>> = take_reply(client, config, read_config);
    let mode: RegistryAnswer<Option<RegistryMode>> = take_reply(client, mode, read_mode);
    ScopeSettings { config, mode }
}

/// A subject without what its versions hold.
async fn read_subject(client: &RegistryClient, subject: &str) -> SubjectContent {
    let Some(segment) = encode_subject(subject) else {
        let why = Trouble::new("its name can't be written into a path", "rename it");
        let why = name_trouble(client.side(), why);
        let own =
            ScopeSettings { config: RegistryAnswer::Unknown(why.clone()), mode: RegistryAnswer::Unknown(why.clone()) };
        return SubjectContent { versions: BTreeMap::new(), unlisted: Some(why), own };
    };
    let (all_path, live_path) =
        (format!("/subjects/{segment}/versions?deleted=true"), format!("/subjects/{segment}/versions"));
    let settings_path = format!("/{segment}");
    let (all, live, own) =
        join3(client.ask(&all_path), client.ask(&live_path), read_settings(client, &settings_path)).await;
    let gone = || Trouble::new(format!("{} went while it was read", visible_name(subject)), "look again");
    let all = expect_told(take_reply(client, all, read_numbers), gone);
    // Of a subject that is wholly soft-deleted it says: not found.
    let live = take_reply(client, live, read_numbers);
    let (numbers, unlisted) = match all {
        RegistryAnswer::Told(numbers) => (numbers, None),
        RegistryAnswer::Unknown(why) => (live.as_told().cloned().flatten().unwrap_or_default(), Some(why)),
        RegistryAnswer::NotOffered => (Vec::new(), Some(gone())),
    };
    let is_deleted = |number: u32| match &live {
        RegistryAnswer::Told(live) => Some(!live.iter().flatten().any(|n| *n == number)),
        _ => None,
    };
    let not_read = || RegistryAnswer::Unknown(Trouble::new("not read yet", "look again"));
    let listed = |number: u32| (number, ListedVersion { deleted: is_deleted(number), content: not_read() });
    SubjectContent { versions: numbers.into_iter().map(listed).collect(), unlisted, own }
}

async fn read_versions(client: &RegistryClient, content: &mut RegistryContent) {
    let all = content.subjects.iter().flat_map(|(subject, of)| {
        of.versions.keys().map(|version| SubjectVersion::new(subject, *version)).collect::<Vec<_>>()
    });
    let all: Vec<SubjectVersion> = all.take(MOST).collect();
    let read: Vec<(SubjectVersion, RegistryAnswer<StoredSchema>)> = iter(all)
        .map(|at| async move {
            let answer = read_stored(client, &at).await;
            (at, answer)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    for (at, answer) in read {
        let listed = content.subjects.get_mut(&at.subject).and_then(|of| of.versions.get_mut(&at.version));
        if let Some(listed) = listed {
            listed.content = answer;
        }
    }
}

/// What a version holds, a soft-deleted one too; `None`: there is none.
pub(crate) async fn find_stored(client: &RegistryClient, at: &SubjectVersion) -> RegistryAnswer<Option<StoredSchema>> {
    let path = format!("/subjects/{}/versions/{}?deleted=true", encode_part(&at.subject), at.version);
    take_reply(client, client.ask(&path).await, |v| read_version(v, &at.subject, at.version))
}

/// Numbers of a subject's versions; `deleted`: soft-deleted ones too. `None`: there are none.
pub(crate) async fn find_numbers(
    client: &RegistryClient,
    subject: &str,
    deleted: bool,
) -> RegistryAnswer<Option<Vec<u32>>> {
    let deleted = if deleted { "?deleted=true" } else { "" };
    let path = format!("/subjects/{}/versions{deleted}", encode_part(subject));
    take_reply(client, client.ask(&path).await, read_numbers)
}

/// What a scope says for itself.
pub(crate) async fn read_settings_of(client: &RegistryClient, scope: &SettingScope) -> ScopeSettings {
    let path = match scope {
        SettingScope::Global => String::new(),
        SettingScope::Context(context) => format!("/:{}:", encode_part(context)),
        SettingScope::Subject(subject) => format!("/{}", encode_part(subject)),
    };
    read_settings(client, &path).await
}

async fn read_stored(client: &RegistryClient, at: &SubjectVersion) -> RegistryAnswer<StoredSchema> {
    expect_told(find_stored(client, at).await, || {
        // Apicurio does so with every version of a subject that is soft-deleted as a whole: their ids stay readable, and
        // nothing says which they are.
        let advice = "look again; if it stays so, the server hides versions of a subject that is deleted as a whole: \
                      restore it, or find its ids in the records";
        name_trouble(client.side(), Trouble::new(format!("{at} is listed and not found"), advice))
    })
}

async fn read_id(client: &RegistryClient, id: SchemaId) -> (SchemaId, RegistryAnswer<Option<SchemaText>>) {
    let answer = find_schema(client, &id).await;
    (id, answer)
}

/// What an id reads; `None`: it is not found.
pub(crate) async fn find_schema(client: &RegistryClient, id: &SchemaId) -> RegistryAnswer<Option<SchemaText>> {
    // Ids of a context are found beside a name of it; the context alone will do.
    let path = match id.context.as_str() {
        DEFAULT_CONTEXT => format!("/schemas/ids/{}", id.id),
        context => format!("/schemas/ids/{}?subject=:{}:", id.id, encode_part(context)),
    };
    take_reply(client, client.ask(&path).await, read_schema)
}

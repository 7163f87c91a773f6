//! The whole content of one registry, as one look found it. What could not be read says so in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::RegistryServer;
use super::subject::{DEFAULT_CONTEXT, SchemaId, SubjectVersion, split_context};
use crate::base::Trouble;
use crate::base::sanitise::visible_name;

/// What a registry said of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryAnswer<T> {
    /// It said so.
    Told(T),
    /// This kind of server has no such thing (Apicurio has no modes, Karapace no contexts).
    NotOffered,
    /// It could not be read.
    Unknown(Trouble),
}

impl<T> RegistryAnswer<T> {
    /// What it said, if it said something.
    #[must_use]
    pub fn as_told(&self) -> Option<&T> {
        match self {
            RegistryAnswer::Told(value) => Some(value),
            _ => None,
        }
    }

    /// Why it is not known whether there is something; `None` where it was told, or there is no such thing.
    #[must_use]
    pub fn why_unknown(&self) -> Option<&Trouble> {
        match self {
            RegistryAnswer::Unknown(why) => Some(why),
            _ => None,
        }
    }
}

impl<T> RegistryAnswer<Option<T>> {
    /// What was found; a server that has no such thing has none.
    ///
    /// # Errors
    /// It could not be read.
    pub fn into_found(self) -> Result<Option<T>, Trouble> {
        match self {
            RegistryAnswer::Told(found) => Ok(found),
            RegistryAnswer::NotOffered => Ok(None),
            RegistryAnswer::Unknown(why) => Err(why),
        }
    }
}

/// The whole content of one registry.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryContent {
    /// What kind of server it is.
    pub server: RegistryServer,
    /// Contexts as it names them, the default one too.
    pub contexts: RegistryAnswer<BTreeSet<String>>,
    /// What applies where neither a context nor a subject says otherwise.
    pub global: ScopeSettings,
    /// What contexts other than the default one say for themselves.
    pub by_context: BTreeMap<String, ScopeSettings>,
    /// Subjects by name, those too of which every version is soft-deleted.
    pub subjects: BTreeMap<String, SubjectContent>,
    /// Why there may be more subjects than are listed; `None`: these are all.
    pub unlisted: Option<Trouble>,
    /// What `GET /schemas/ids/ID` reads, for every id that was asked for; `None`: there is no such id.
    pub ids: BTreeMap<SchemaId, RegistryAnswer<Option<SchemaText>>>,
}

impl RegistryContent {
    /// The context that a subject is in. A name that looks like one of a context is a plain one where the server has no such
    /// context: one that escaped colons made, or a server without contexts.
    #[must_use]
    pub fn context_of<'a>(&self, subject: &'a str) -> &'a str {
        match (split_context(subject), &self.contexts) {
            (Some((context, _)), RegistryAnswer::Told(all)) if all.contains(context) => context,
            // Not known: the name is all there is to go by.
            (Some((context, _)), RegistryAnswer::Unknown(_)) => context,
            _ => DEFAULT_CONTEXT,
        }
    }

    /// The id that a version has, in its context.
    #[must_use]
    pub fn id_in_context(&self, subject: &str, id: u32) -> SchemaId {
        SchemaId { context: self.context_of(subject).to_owned(), id }
    }

    /// Every version whose content was read, in the order of subjects and versions.
    pub fn stored_schemas(&self) -> impl Iterator<Item = (SubjectVersion, &ListedVersion, &StoredSchema)> {
        self.subjects.iter().flat_map(|(subject, content)| {
            content.versions.iter().filter_map(move |(version, listed)| {
                let stored = listed.content.as_told()?;
                Some((SubjectVersion::new(subject, *version), listed, stored))
            })
        })
    }

    /// Which versions have which id.
    #[must_use]
    pub fn versions_by_id(&self) -> BTreeMap<SchemaId, Vec<SubjectVersion>> {
        let mut all: BTreeMap<SchemaId, Vec<SubjectVersion>> = BTreeMap::new();
        for (at, _, stored) in self.stored_schemas() {
            all.entry(self.id_in_context(&at.subject, stored.id)).or_default().push(at);
        }
        all
    }

    /// A version, if it is listed.
    #[must_use]
    pub fn find_version(&self, at: &SubjectVersion) -> Option<&ListedVersion> {
        self.subjects.get(&at.subject)?.versions.get(&at.version)
    }

    /// Which version a reference of a schema in `context` means: version -1 is the latest. `None`: the registry lists no
    /// such version.
    #[must_use]
    pub fn resolve_reference(&self, context: &str, reference: &SchemaReference) -> Option<SubjectVersion> {
        let subject = reference.name_subject(context);
        let versions = &self.subjects.get(&subject)?.versions;
        let version = match u32::try_from(reference.version) {
            Ok(number) => versions.contains_key(&number).then_some(number)?,
            Err(_) if reference.version == -1 => {
                *versions.iter().rev().find(|(_, listed)| listed.deleted == Some(false))?.0
            }
            Err(_) => return None,
        };
        Some(SubjectVersion { subject, version })
    }
}

/// One subject.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectContent {
    /// Versions by number, soft-deleted ones too.
    pub versions: BTreeMap<u32, ListedVersion>,
    /// Why there may be more versions than are listed; `None`: these are all.
    pub unlisted: Option<Trouble>,
    /// What it says for itself.
    pub own: ScopeSettings,
}

impl SubjectContent {
    /// Numbers of the versions that are soft-deleted.
    #[must_use]
    pub fn deleted_versions(&self) -> Vec<u32> {
        self.versions.iter().filter(|(_, v)| v.deleted == Some(true)).map(|(number, _)| *number).collect()
    }
}

/// A version as its subject lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedVersion {
    /// Whether it is soft-deleted: in no list, and still read by its id. `None`: it could not be told.
    pub deleted: Option<bool>,
    /// What it holds.
    pub content: RegistryAnswer<StoredSchema>,
}

/// What a version holds.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchema {
    /// The id that records carry.
    pub id: u32,
    /// The schema.
    pub schema: SchemaText,
}

/// A schema as the registry writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaText {
    /// Language.
    pub format: SchemaFormat,
    /// Its text, raw.
    pub text: String,
    /// Other schemas that it uses.
    pub references: Vec<SchemaReference>,
    /// Metadata (Confluent 7.4 and later), where there is some.
    pub metadata: Option<Value>,
    /// Rules for its data (Confluent's `ruleSet`), where there are some.
    pub rules: Option<Value>,
}

/// A use of another schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaReference {
    /// What the text calls it: a full name of Avro, a path of an `import`, a `$ref`.
    pub name: String,
    /// Its subject.
    pub subject: String,
    /// Its version; -1 is the latest.
    pub version: i32,
}

impl SchemaReference {
    /// The subject that it means where a schema in `context` uses it: a plain name is one of the same context (Confluent).
    #[must_use]
    pub fn name_subject(&self, context: &str) -> String {
        let plain = split_context(&self.subject).is_none();
        match plain && context != DEFAULT_CONTEXT {
            true => format!(":{context}:{}", self.subject),
            false => self.subject.clone(),
        }
    }
}

impl fmt::Display for SchemaReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (its name here: {}), version {}",
            visible_name(&self.subject),
            visible_name(&self.name),
            self.version
        )
    }
}

/// Language of a schema, by the word of the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SchemaFormat {
    /// `AVRO`, also where no word is said.
    Avro,
    /// `JSON`: JSON Schema.
    Json,
    /// `PROTOBUF`.
    Protobuf,
    /// One that this build does not know.
    Other(String),
}

impl From<String> for SchemaFormat {
    fn from(word: String) -> Self {
        match word.as_str() {
            "AVRO" => SchemaFormat::Avro,
            "JSON" => SchemaFormat::Json,
            "PROTOBUF" => SchemaFormat::Protobuf,
            _ => SchemaFormat::Other(word),
        }
    }
}

impl From<SchemaFormat> for String {
    fn from(format: SchemaFormat) -> Self {
        match format {
            SchemaFormat::Avro => "AVRO".to_owned(),
            SchemaFormat::Json => "JSON".to_owned(),
            SchemaFormat::Protobuf => "PROTOBUF".to_owned(),
            SchemaFormat::Other(word) => word,
        }
    }
}

impl fmt::Display for SchemaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_name(&String::from(self.clone())))
    }
}

/// What a scope (everything, a context, a subject) says for itself; `None` within: it says nothing, and the next wider
/// scope counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeSettings {
    /// Compatibility and what stands beside it.
    pub config: RegistryAnswer<Option<RegistryConfig>>,
    /// What may be registered.
    pub mode: RegistryAnswer<Option<RegistryMode>>,
}

impl ScopeSettings {
    /// A scope that says nothing for itself.
    #[must_use]
    pub fn say_nothing() -> Self {
        Self { config: RegistryAnswer::Told(None), mode: RegistryAnswer::Told(None) }
    }
}

/// Compatibility and what stands beside it (`GET /config`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RegistryConfig {
    /// `BACKWARD`, `NONE`, ...; `None` where a config holds other keys only (an alias).
    pub compatibility: Option<String>,
    /// Everything else by its key: `compatibilityGroup`, `normalize`, `alias`, ...
    pub more: BTreeMap<String, Value>,
}

/// What may be registered in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RegistryMode {
    /// `READWRITE`.
    ReadWrite,
    /// `READONLY`: nothing new.
    ReadOnly,
    /// `READONLY_OVERRIDE`: nothing new anywhere, whatever a subject says.
    ReadOnlyOverride,
    /// `IMPORT`: with ids and versions; producers can register nothing new.
    Import,
    /// One that this build does not know.
    Other(String),
}

impl From<String> for RegistryMode {
    fn from(word: String) -> Self {
        match word.as_str() {
            "READWRITE" => RegistryMode::ReadWrite,
            "READONLY" => RegistryMode::ReadOnly,
            "READONLY_OVERRIDE" => RegistryMode::ReadOnlyOverride,
            "IMPORT" => RegistryMode::Import,
            _ => RegistryMode::Other(word),
        }
    }
}

impl From<RegistryMode> for String {
    fn from(mode: RegistryMode) -> Self {
        match mode {
            RegistryMode::ReadWrite => "READWRITE".to_owned(),
            RegistryMode::ReadOnly => "READONLY".to_owned(),
            RegistryMode::ReadOnlyOverride => "READONLY_OVERRIDE".to_owned(),
            RegistryMode::Import => "IMPORT".to_owned(),
            RegistryMode::Other(word) => word,
        }
    }
}

impl fmt::Display for RegistryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_name(&String::from(self.clone())))
    }
}

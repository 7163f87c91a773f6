//! What a comparison of two registries found, each with its words and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::SchemaReference;
use super::kind::RegistryServer;
use super::meaning::MeaningLayer;
use super::subject::{SchemaId, SubjectVersion};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble};

/// How many subjects a sentence names before it counts the rest.
const NAMED: usize = 3;

/// For whom a setting is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingScope {
    /// Everything that says nothing for itself.
    Global,
    /// A context.
    Context(String),
    /// A subject.
    Subject(String),
}

impl fmt::Display for SettingScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingScope::Global => f.write_str("the registry"),
            SettingScope::Context(context) => write!(f, "context {}", visible_name(context)),
            SettingScope::Subject(subject) => f.write_str(&visible_name(subject)),
        }
    }
}

/// How much a finding weighs; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SchemaSeverity {
    /// A consumer on green would decode with a wrong schema, or with none.
    Grave,
    /// The two are not the same.
    Differs,
    /// It could not be found out.
    Unknown,
    /// Worth knowing; nothing blue has is missing.
    Note,
}

/// Whether green's registry stands in for blue's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SchemaVerdict {
    /// All that blue has was found the same on green.
    Same,
    /// Something is missing or another.
    Differs,
    /// Nothing is known to differ, and not everything is known.
    Unknown,
}

/// One thing that two registries do not have in common, or that could not be found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum SchemaFinding {
    /// An id of blue reads another schema on green: consumers would decode with a wrong one.
    IdReadsOther {
        /// The id.
        id: SchemaId,
        /// In what they differ.
        layer: MeaningLayer,
        /// Blue's versions that have it.
        used_by: Vec<SubjectVersion>,
    },
    /// An id of blue is not found on green: consumers could not decode.
    IdUnreadable {
        /// The id.
        id: SchemaId,
        /// Blue's versions that have it.
        used_by: Vec<SubjectVersion>,
    },
    /// Whether an id reads the same on both is not known.
    IdUnknown {
        /// The id.
        id: SchemaId,
        /// Why.
        why: Trouble,
    },
    /// One registry contradicts itself: a version says an id that reads another schema, or none.
    IdDisagrees {
        /// Whose.
        side: Side,
        /// The version.
        at: SubjectVersion,
        /// The id it says.
        id: u32,
    },
    /// Green lacks a subject.
    SubjectMissing {
        /// The subject.
        subject: String,
        /// How many versions blue has of it, soft-deleted ones too.
        versions: usize,
    },
    /// Green lacks a version.
    VersionMissing {
        /// The version.
        at: SubjectVersion,
        /// Its id on blue, where that is known.
        id: Option<u32>,
        /// Whether it is soft-deleted on blue: in no list there, and in records.
        deleted: bool,
    },
    /// The version has another id on green.
    OtherId {
        /// The version.
        at: SubjectVersion,
        /// Both ids.
        ids: Sides<u32>,
    },
    /// The version is another schema on green.
    OtherMeaning {
        /// The version.
        at: SubjectVersion,
        /// In what they differ.
        layer: MeaningLayer,
    },
    /// Whether the version is the same schema on both is not known.
    MeaningUnknown {
        /// The version.
        at: SubjectVersion,
        /// Why, in words.
        why: String,
    },
    /// The version is soft-deleted on one side only.
    SoftDeleted {
        /// The version.
        at: SubjectVersion,
        /// Where it is soft-deleted.
        side: Side,
    },
    /// A version references one that is not there.
    ReferenceMissing {
        /// Whose.
        side: Side,
        /// The version.
        at: SubjectVersion,
        /// What it references.
        reference: SchemaReference,
    },
    /// The version references other versions on green.
    ReferencesDiffer {
        /// The version.
        at: SubjectVersion,
    },
    /// Metadata or rules of a version differ.
    ExtrasDiffer {
        /// The version.
        at: SubjectVersion,
        /// `metadata` or `rules`.
        what: String,
    },
    /// Another compatibility applies.
    CompatibilityDiffers {
        /// To what.
        scope: SettingScope,
        /// On each side.
        words: Sides<String>,
    },
    /// Another key of a config differs.
    ConfigDiffers {
        /// For what.
        scope: SettingScope,
        /// The key, raw.
        key: String,
        /// On each side; `None`: not set.
        values: Sides<Option<Value>>,
    },
    /// Another mode applies.
    ModeDiffers {
        /// To what.
        scope: SettingScope,
        /// On each side.
        words: Sides<String>,
    },
    /// Green lacks a context.
    ContextMissing {
        /// The context.
        context: String,
    },
    /// Something could not be read, so nothing can be said of it.
    NotRead {
        /// Whose.
        side: Side,
        /// What, in words, names made visible.
        what: String,
        /// Why.
        why: Trouble,
    },
    /// Green has more than blue.
    OnlyOnGreen {
        /// The subject.
        subject: String,
        /// These versions of it.
        versions: Vec<u32>,
    },
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ParityCounts {
    /// Subjects of blue.
    pub subjects: usize,
    /// Versions of blue, soft-deleted ones too.
    pub versions: usize,
    /// Ids of blue.
    pub ids: usize,
}

/// Two registries compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaParity {
    /// What kind of server each is.
    pub servers: Sides<RegistryServer>,
    /// What of blue was looked at.
    pub counts: ParityCounts,
    /// What was found, the gravest first.
    pub findings: Vec<SchemaFinding>,
}

impl SchemaParity {
    /// Whether green stands in for blue. Unknown never passes.
    #[must_use]
    pub fn judge_parity(&self) -> SchemaVerdict {
        match self.findings.iter().map(SchemaFinding::severity_of).min() {
            Some(SchemaSeverity::Grave | SchemaSeverity::Differs) => SchemaVerdict::Differs,
            Some(SchemaSeverity::Unknown) => SchemaVerdict::Unknown,
            Some(SchemaSeverity::Note) | None => SchemaVerdict::Same,
        }
    }
}

impl SchemaFinding {
    /// How much it weighs.
    #[must_use]
    pub fn severity_of(&self) -> SchemaSeverity {
        use SchemaFinding as F;
        match self {
            F::IdReadsOther { layer: MeaningLayer::Encoding | MeaningLayer::Reading, .. } | F::IdUnreadable { .. } => {
                SchemaSeverity::Grave
            }
            F::IdReadsOther { layer: MeaningLayer::Annotation, .. }
            | F::SubjectMissing { .. }
            | F::VersionMissing { .. }
            | F::OtherId { .. }
            | F::OtherMeaning { .. }
            | F::SoftDeleted { .. }
            | F::ReferencesDiffer { .. }
            | F::ExtrasDiffer { .. }
            | F::CompatibilityDiffers { .. }
            | F::ConfigDiffers { .. }
            | F::ModeDiffers { .. }
            | F::ContextMissing { .. }
            | F::IdDisagrees { side: Side::Green, .. }
            | F::ReferenceMissing { side: Side::Green, .. } => SchemaSeverity::Differs,
            F::IdUnknown { .. } | F::MeaningUnknown { .. } | F::NotRead { .. } => SchemaSeverity::Unknown,
            // blue's own, which green can't mend
            F::IdDisagrees { side: Side::Blue, .. }
            | F::ReferenceMissing { side: Side::Blue, .. }
            | F::OnlyOnGreen { .. } => SchemaSeverity::Note,
        }
    }

    /// The subjects that it is about; none: it is about more than subjects.
    #[must_use]
    pub fn list_subjects(&self) -> Vec<&str> {
        use SchemaFinding as F;
        match self {
            F::IdReadsOther { used_by, .. } | F::IdUnreadable { used_by, .. } => {
                used_by.iter().map(|at| at.subject.as_str()).collect()
            }
            F::IdDisagrees { at, .. }
            | F::VersionMissing { at, .. }
            | F::OtherId { at, .. }
            | F::OtherMeaning { at, .. }
            | F::MeaningUnknown { at, .. }
            | F::SoftDeleted { at, .. }
            | F::ReferenceMissing { at, .. }
            | F::ReferencesDiffer { at }
            | F::ExtrasDiffer { at, .. } => vec![&at.subject],
            F::SubjectMissing { subject, .. } | F::OnlyOnGreen { subject, .. } => vec![subject],
            F::CompatibilityDiffers { scope, .. } | F::ConfigDiffers { scope, .. } | F::ModeDiffers { scope, .. } => {
                match scope {
                    SettingScope::Subject(subject) => vec![subject],
                    SettingScope::Global | SettingScope::Context(_) => Vec::new(),
                }
            }
            F::IdUnknown { .. } | F::ContextMissing { .. } | F::NotRead { .. } => Vec::new(),
        }
    }

    /// Whether green lacks something that blue has.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        use SchemaFinding as F;
        let missing = matches!(self, F::SubjectMissing { .. } | F::VersionMissing { .. } | F::IdUnreadable { .. });
        missing || matches!(self, F::ContextMissing { .. })
    }

    /// One sentence with its names made visible.
    #[must_use]
    pub fn describe_finding(&self) -> String {
        use SchemaFinding as F;
        match self {
            F::IdReadsOther { id, layer, used_by } => {
                format!("{id} reads another schema on green ({layer}){}", name_users(used_by))
            }
            F::IdUnreadable { id, used_by } => format!("{id} is not found on green{}", name_users(used_by)),
            F::IdUnknown { id, why } => format!("whether {id} reads the same on both is not known: {why}"),
            F::IdDisagrees { side, at, id } => {
                format!("{side} says id {id} of {at}, and that id reads another schema or none")
            }
            F::SubjectMissing { subject, versions } => {
                let noun = if *versions == 1 { "version" } else { "versions" };
                format!("{} is not on green ({versions} {noun})", visible_name(subject))
            }
            F::VersionMissing { at, id, deleted } => {
                let id = id.map(|id| format!(", id {id}")).unwrap_or_default();
                let deleted = if *deleted { ", soft-deleted on blue" } else { "" };
                format!("{at} is not on green{id}{deleted}")
            }
            F::OtherId { at, ids } => format!("{at} has id {} on blue and {} on green", ids.blue, ids.green),
            F::OtherMeaning { at, layer } => format!("{at} is another schema on green: {layer}"),
            F::MeaningUnknown { at, why } => format!("whether {at} is the same schema is not known: {why}"),
            F::SoftDeleted { at, side } => format!("{at} is soft-deleted on {side} only"),
            F::ReferenceMissing { side, at, reference } => {
                format!("{at} of {side} references {reference}, which is not there")
            }
            F::ReferencesDiffer { at } => format!("{at} references other versions on green"),
            F::ExtrasDiffer { at, what } => format!("{what} of {at} differ"),
            F::CompatibilityDiffers { scope, words } => format!("compatibility of {scope}: {}", show_words(words)),
            F::ModeDiffers { scope, words } => format!("mode of {scope}: {}", show_words(words)),
            F::ConfigDiffers { scope, key, values } => {
                let shown =
                    |v: &Option<Value>| v.as_ref().map_or("not set".to_owned(), |v| visible_name(&v.to_string()));
                let (key, blue, green) = (visible_name(key), shown(&values.blue), shown(&values.green));
                format!("{key} of {scope}: {blue} on blue, {green} on green")
            }
            F::ContextMissing { context } => format!("context {} is not on green", visible_name(context)),
            F::NotRead { side, what, why } => format!("{side}: {what} could not be read: {why}"),
            F::OnlyOnGreen { subject, versions } => {
                let shown: Vec<String> = versions.iter().take(NAMED).map(u32::to_string).collect();
                let more = if versions.len() > NAMED { ", ..." } else { "" };
                format!("{} has versions on green that blue has not: {}{more}", visible_name(subject), shown.join(", "))
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn describe_advice(&self) -> String {
        use SchemaFinding as F;
        match self {
            F::IdReadsOther { .. } => "nothing that writes over an id mends this: import blue into an empty registry, \
                                       or move producers to ids of green's own before consumers"
                .to_owned(),
            F::IdUnreadable { .. } | F::SubjectMissing { .. } | F::VersionMissing { .. } | F::ContextMissing { .. } => {
                "import it with its id".to_owned()
            }
            F::OtherId { .. } | F::OtherMeaning { .. } => {
                "an import would bind the version anew, and its old id with it: compare by hand who registered it"
                    .to_owned()
            }
            F::SoftDeleted { side: Side::Blue, .. } => {
                "soft-delete it on green too, or leave it: it reads the same".to_owned()
            }
            F::SoftDeleted { side: Side::Green, .. } => {
                "register it again on green: its id stays readable meanwhile".to_owned()
            }
            F::ReferenceMissing { .. } => "a schema whose references are gone can't be registered anew".to_owned(),
            F::IdUnknown { why, .. } | F::NotRead { why, .. } => why.advice.clone(),
            F::MeaningUnknown { .. } => "compare the two texts by hand".to_owned(),
            F::CompatibilityDiffers { .. } | F::ConfigDiffers { .. } | F::ModeDiffers { .. } => {
                "set it on green".to_owned()
            }
            F::ReferencesDiffer { .. } | F::ExtrasDiffer { .. } | F::IdDisagrees { .. } => {
                "look at how green came by it: some kinds of registry drop this without a word".to_owned()
            }
            F::OnlyOnGreen { .. } => String::new(),
        }
    }
}

fn show_words(words: &Sides<String>) -> String {
    format!("{} on blue, {} on green", visible_name(&words.blue), visible_name(&words.green))
}

fn name_users(used_by: &[SubjectVersion]) -> String {
    if used_by.is_empty() {
        return String::new();
    }
    let named: Vec<String> = used_by.iter().take(NAMED).map(ToString::to_string).collect();
    let more = used_by.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; blue has it as {}{more}", named.join(", "))
}

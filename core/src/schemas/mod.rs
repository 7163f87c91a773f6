//! What two schema registries hold, whether they say the same, and what would have to be imported. PURE: the room's
//! values come from `registry` (reading) and go to whoever shows or, later, writes.
//!
//! The rules are those that real servers taught (tests/registry/recorded): of four servers that speak this API, three give
//! another id than was asked for and answer 200. So:
//! - a registry is believed by what it reads back, never by a status, and its kind by what it answers ([`detect_kind`]);
//! - schemas are compared by meaning ([`compare_schemas`]), never by text: Confluent's prints Avro, JSON and Protobuf anew,
//!   Karapace sorts keys. What can't be brought into one form and differs in text is UNKNOWN, never the same;
//! - what a consumer decodes with is found by the id in the record: each id of blue must read the same schema on green
//!   ([`compare_contents`], and [`compare_record_ids`] for the ids that really occur in records);
//! - what is imported comes after what it references ([`order_by_references`]), and nothing is planned over what green
//!   already holds ([`plan_imports`]). No value of this room stands for a deletion.

mod avro;
mod compare;
mod content;
mod copying;
mod finding;
mod forms;
mod identity;
mod import;
mod json;
mod json_schema;
mod kind;
mod meaning;
mod obstacle;
mod order;
mod protobuf;
mod records;
mod subject;
mod survey;
mod written;

pub use compare::{compare_contents, list_ids_to_read};
pub use content::{
    ListedVersion, RegistryAnswer, RegistryConfig, RegistryContent, RegistryMode, SchemaFormat, SchemaReference,
    SchemaText, ScopeSettings, StoredSchema, SubjectContent,
};
pub use copying::{NewId, SchemaCopyFact, SchemaCopyReport, UnfinishedCopy};
pub use finding::{ParityCounts, SchemaFinding, SchemaParity, SchemaSeverity, SchemaVerdict, SettingScope};
pub use identity::{IdMeaning, IdPlace, identify_id, identify_schemas, place_id};
pub use import::{
    CopyWishes, ImportManner, ImportTerms, ModeSwitch, SchemaImport, SchemaImportPlan, SettingWrite, plan_imports,
};
pub use kind::{Keeping, ProbeAnswer, RegistryAbilities, RegistryEvidence, RegistryKind, RegistryServer, detect_kind};
pub use meaning::{MeaningLayer, MeaningVerdict, compare_schemas};
pub use obstacle::ImportObstacle;
pub use order::{ImportOrder, order_by_references};
pub use records::{
    IdReading, IdUse, MOST_IDS, RecordIdFinding, RecordIds, RecordLook, RecordShare, compare_record_ids,
    list_record_ids,
};
pub use subject::{DEFAULT_CONTEXT, SchemaId, SubjectVersion, encode_subject, split_context};
pub use survey::SchemaSurvey;
pub use written::{WriteLoss, compare_written};

#[cfg(test)]
mod tests;

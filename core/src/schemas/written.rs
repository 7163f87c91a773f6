//! What was written, held against what is read back. Registries drop what they have no room for, and answer 200.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::{RegistryAnswer, SchemaText, StoredSchema};
use super::import::SchemaImport;
use super::meaning::{MeaningLayer, MeaningVerdict, compare_schemas};
use crate::base::Trouble;

/// What an import did not leave as it was meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteLoss {
    /// The version is not there.
    NotThere,
    /// It has another id than was asked for.
    OtherId(u32),
    /// It is another schema.
    OtherMeaning(MeaningLayer),
    /// It references other versions.
    References,
    /// Its metadata or its rules are not those that were sent: `metadata`, `rules`.
    Extras(String),
    /// The id is not found.
    IdUnreadable,
    /// The id reads another schema.
    IdReadsOther(MeaningLayer),
    /// It could not be found out.
    Unread(Trouble),
}

impl WriteLoss {
    /// One sentence.
    #[must_use]
    pub fn describe_loss(&self) -> String {
        match self {
            WriteLoss::NotThere => "it is not there".to_owned(),
            WriteLoss::OtherId(id) => format!("it has another id: {id}"),
            WriteLoss::OtherMeaning(layer) => format!("it is another schema ({layer})"),
            WriteLoss::References => "it references other versions".to_owned(),
            WriteLoss::Extras(what) => format!("its {what} are not those that were sent"),
            WriteLoss::IdUnreadable => "its id is not found".to_owned(),
            WriteLoss::IdReadsOther(layer) => format!("its id reads another schema ({layer})"),
            WriteLoss::Unread(why) => format!("it could not be read back: {}", why.what),
        }
    }
}

/// What was lost of an import, by the version and by the id as both are read back. Empty: all of it is there.
#[must_use]
pub fn compare_written(
    import: &SchemaImport,
    version: &RegistryAnswer<Option<StoredSchema>>,
    by_id: &RegistryAnswer<Option<SchemaText>>,
) -> Vec<WriteLoss> {
    let sent = &import.schema;
    let mut losses = Vec::new();
    let unclear = |why: String| WriteLoss::Unread(Trouble::new(why, "compare the two texts by hand"));
    match tell_answer(version) {
        Err(why) => losses.push(WriteLoss::Unread(why)),
        Ok(None) => losses.push(WriteLoss::NotThere),
        Ok(Some(stored)) => {
            if stored.id != import.id {
                losses.push(WriteLoss::OtherId(stored.id));
            }
            match compare_schemas(sent, &stored.schema) {
                MeaningVerdict::Same => {}
                MeaningVerdict::Different(layer) => losses.push(WriteLoss::OtherMeaning(layer)),
                MeaningVerdict::Unknown(why) => losses.push(unclear(why)),
            }
            let sorted = |of: &SchemaText| {
                let mut references = of.references.clone();
                references.sort();
                references
            };
            if sorted(sent) != sorted(&stored.schema) {
                losses.push(WriteLoss::References);
            }
            losses.extend(
                list_lost_extras(sent, &stored.schema).into_iter().map(|what| WriteLoss::Extras(what.to_owned())),
            );
        }
    }
    match tell_answer(by_id) {
        Err(why) => losses.push(WriteLoss::Unread(why)),
        Ok(None) => losses.push(WriteLoss::IdUnreadable),
        Ok(Some(read)) => match compare_schemas(sent, read) {
            MeaningVerdict::Same => {}
            MeaningVerdict::Different(layer) => losses.push(WriteLoss::IdReadsOther(layer)),
            MeaningVerdict::Unknown(why) => losses.push(unclear(why)),
        },
    }
    losses
}

fn tell_answer<T>(answer: &RegistryAnswer<Option<T>>) -> Result<Option<&T>, Trouble> {
    match answer {
        RegistryAnswer::Told(told) => Ok(told.as_ref()),
        RegistryAnswer::NotOffered => Err(Trouble::new("this server can't be asked for it", "")),
        RegistryAnswer::Unknown(why) => Err(why.clone()),
    }
}

/// Which of `metadata` and `rules` are others.
pub(super) fn list_lost_extras(one: &SchemaText, other: &SchemaText) -> Vec<&'static str> {
    let parts = [("metadata", &one.metadata, &other.metadata), ("rules", &one.rules, &other.rules)];
    let differ = |a: &Option<Value>, b: &Option<Value>| strip_own(a.as_ref()) != strip_own(b.as_ref());
    parts.into_iter().filter(|(_, a, b)| differ(a, b)).map(|(what, _, _)| what).collect()
}

/// Without what servers add by themselves (`confluent:version` among the properties), and without what is empty.
fn strip_own(extra: Option<&Value>) -> Option<Value> {
    let strip_property = |key: &str, value: &Value| match value {
        Value::Object(properties) if key == "properties" => {
            let kept = properties.iter().filter(|(name, _)| !name.starts_with("confluent:"));
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        other => other.clone(),
    };
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let Value::Object(members) = extra? else { return extra.cloned() };
    let kept = members.iter().map(|(key, value)| (key.clone(), strip_property(key, value)));
    let kept: Map<String, Value> = kept.filter(|(_, value)| !empty(value)).collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

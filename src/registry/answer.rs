//! What answers of the API say, in the pure room's words. Foreign strings stay raw in what is compared; where they go into a
//! message they are made visible.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base::Trouble;
use crate::base::sanitise::{quoted_name, visible_text};
use crate::schemas::{RegistryConfig, RegistryMode, SchemaFormat, SchemaReference, SchemaText, StoredSchema};

/// Most of an answer that an error shows, characters.
const SHOWN: usize = 120;

fn misread(what: &str, answer: &Value) -> Trouble {
    let shown: String = visible_text(&answer.to_string()).chars().take(SHOWN).collect();
    Trouble::new(format!("{what}: {shown}"), "check that `url` is that of a schema registry with Confluent's API")
}

/// A list of names.
pub(super) fn read_names(answer: &Value) -> Result<Vec<String>, Trouble> {
    let names = answer.as_array().and_then(|items| items.iter().map(|i| i.as_str().map(str::to_owned)).collect());
    names.ok_or_else(|| misread("it answers no list of names", answer))
}

/// A list of version numbers.
pub(super) fn read_numbers(answer: &Value) -> Result<Vec<u32>, Trouble> {
    let number = |item: &Value| item.as_u64().and_then(|n| u32::try_from(n).ok());
    let numbers = answer.as_array().and_then(|items| items.iter().map(number).collect());
    numbers.ok_or_else(|| misread("it answers no list of versions", answer))
}

/// Contexts; what is none (`:.:`, Apicurio's word for its one) counts as the default one.
pub(super) fn read_contexts(answer: &Value) -> Result<Vec<String>, Trouble> {
    let plain = |name: String| if name.starts_with('.') { name } else { crate::schemas::DEFAULT_CONTEXT.to_owned() };
    Ok(read_names(answer)?.into_iter().map(plain).collect())
}

/// A version, which must be the one that was asked for: through an alias a registry answers with another subject's.
pub(super) fn read_version(answer: &Value, subject: &str, version: u32) -> Result<StoredSchema, Trouble> {
    let of = answer.get("subject").and_then(Value::as_str);
    if let Some(other) = of.filter(|of| *of != subject) {
        let what = format!("it answers with a version of {}: an alias leads there", quoted_name(other));
        return Err(Trouble::new(what, "look at the alias of its config"));
    }
    let number = answer.get("version").and_then(Value::as_u64);
    if number != Some(u64::from(version)) {
        return Err(misread("it answers with another version", answer));
    }
    let id = answer.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let id = id.ok_or_else(|| misread("it answers no id that a record could carry", answer))?;
    Ok(StoredSchema { id, schema: read_schema(answer)? })
}

/// A schema: what `GET /schemas/ids/ID` answers, and a version has in it.
pub(super) fn read_schema(answer: &Value) -> Result<SchemaText, Trouble> {
    let text = answer.get("schema").and_then(Value::as_str);
    let text = text.ok_or_else(|| misread("it answers no schema", answer))?;
    // Confluent leaves the word out where it is AVRO.
    let format = match present(answer, "schemaType") {
        None => SchemaFormat::Avro,
        Some(word) => SchemaFormat::from(word.as_str().unwrap_or_default().to_owned()),
    };
    let references = match present(answer, "references") {
        None => Vec::new(),
        Some(list) => {
            let all = list.as_array().and_then(|items| items.iter().map(read_reference).collect());
            all.ok_or_else(|| misread("its references can't be read", answer))?
        }
    };
    let extra = |name| present(answer, name).cloned();
    Ok(SchemaText { format, text: text.to_owned(), references, metadata: extra("metadata"), rules: extra("ruleSet") })
}

fn read_reference(item: &Value) -> Option<SchemaReference> {
    let text = |name| item.get(name).and_then(Value::as_str).map(str::to_owned);
    let version = item.get("version").and_then(Value::as_i64).and_then(|v| i32::try_from(v).ok())?;
    Some(SchemaReference { name: text("name")?, subject: text("subject")?, version })
}

fn present<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    answer.get(name).filter(|value| !value.is_null())
}

/// A config. Its compatibility has one name where it is read and another where it is written.
pub(super) fn read_config(answer: &Value) -> Result<RegistryConfig, Trouble> {
    let members: &Map<String, Value> = answer.as_object().ok_or_else(|| misread("it answers no config", answer))?;
    let mut compatibility = None;
    let mut more = BTreeMap::new();
    for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        match (key.as_str(), value) {
            ("compatibilityLevel" | "compatibility", Value::String(word)) => compatibility = Some(word.clone()),
            _ => drop(more.insert(key.clone(), value.clone())),
        }
    }
    Ok(RegistryConfig { compatibility, more })
}

/// A mode.
pub(super) fn read_mode(answer: &Value) -> Result<RegistryMode, Trouble> {
    let word = answer.get("mode").and_then(Value::as_str).ok_or_else(|| misread("it answers no mode", answer))?;
    Ok(RegistryMode::from(word.to_owned()))
}

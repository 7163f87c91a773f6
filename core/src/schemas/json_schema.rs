//! JSON Schemas in one form: the document with its keys sorted, spaces gone and numbers as decimals.
//!
//! JSON Schema says one thing in many ways (`{"type": ["string"]}` and `{"type": "string"}`), and two documents that accept
//! the same values in other words are not found out here: they count as different. Where only the order within lists
//! differs, nothing is claimed: `required` is a set, `prefixItems` is not. What a schema says for people alone
//! (`title`, `description`, `examples`, ...) is told apart from what decides on values, as far as keywords of the drafts 4 to
//! 2020-12 go.

use super::forms::CanonicalForms;
use super::json::ExactJson;

/// Keywords that validate nothing (2020-12, Validation, 9; `$comment`: Core, 8.3).
const FOR_PEOPLE: &[&str] =
    &["title", "description", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly"];
/// Keywords whose value is a schema, or a list of schemas.
const SCHEMAS: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value has schemas by names that are data: a property may be called `title`.
const NAMED_SCHEMAS: &[&str] =
    &["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];

/// A JSON Schema in its forms.
///
/// # Errors
/// In words: it is no JSON.
pub(super) fn canonicalise_json_schema(text: &str) -> Result<CanonicalForms, String> {
    let document = ExactJson::parse_document(text)?;
    let write = |value: &ExactJson| {
        let mut out = String::new();
        value.write_sorted(&mut out);
        out
    };
    let (whole, certain) = (write(&document), write(&sort_lists(&document)));
    // Bytes of JSON are taken apart without a schema.
    Ok(CanonicalForms::from_texts(&whole, &certain, &write(&strip_words(&document)), ""))
}

/// The same with every list in one order.
fn sort_lists(value: &ExactJson) -> ExactJson {
    match value {
        ExactJson::List(items) => {
            let mut sorted: Vec<(String, ExactJson)> = items
                .iter()
                .map(|item| {
                    let item = sort_lists(item);
                    let mut text = String::new();
                    item.write_sorted(&mut text);
                    (text, item)
                })
                .collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            ExactJson::List(sorted.into_iter().map(|(_, item)| item).collect())
        }
        ExactJson::Object(members) => {
            ExactJson::Object(members.iter().map(|(key, value)| (key.clone(), sort_lists(value))).collect())
        }
        other => other.clone(),
    }
}

/// The same without what is for people alone. `schema` stands where a schema does.
fn strip_words(schema: &ExactJson) -> ExactJson {
    match schema {
        // a list of schemas, as `items` of the older drafts
        ExactJson::List(items) => ExactJson::List(items.iter().map(strip_words).collect()),
        ExactJson::Object(members) => {
            let kept = members.iter().filter(|(key, _)| !FOR_PEOPLE.contains(&key.as_str()));
            let stripped = |(key, value): &(String, ExactJson)| {
                let value = match (key.as_str(), value) {
                    (key, value) if SCHEMAS.contains(&key) => strip_words(value),
                    (key, ExactJson::Object(named)) if NAMED_SCHEMAS.contains(&key) => ExactJson::Object(
                        named.iter().map(|(name, inner)| (name.clone(), strip_words(inner))).collect(),
                    ),
                    (_, value) => value.clone(),
                };
                (key.clone(), value)
            };
            ExactJson::Object(kept.map(stripped).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> CanonicalForms {
        canonicalise_json_schema(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn compacted_and_sorted_is_the_same() {
        let sent = r#"{ "type": "object",  "properties":{"a":{"type":"string", "maxLength": 10}} }"#;
        assert_eq!(forms(sent), forms(r#"{"properties":{"a":{"maxLength":10.0,"type":"string"}},"type":"object"}"#));
    }

    #[test]
    fn what_differs_only_in_the_order_of_a_list_is_not_certain_to_differ() {
        let (a, b) = (forms(r#"{"required":["a","b"]}"#), forms(r#"{"required":["b","a"]}"#));
        assert!(a.whole != b.whole && a.certain == b.certain);
        let c = forms(r#"{"required":["a","c"]}"#);
        assert!(a.certain != c.certain);
    }

    #[test]
    fn words_for_people_are_told_from_a_property_of_that_name() {
        let titled = |title: &str, property: &str| {
            forms(&format!(
                r#"{{"title":"{title}","properties":{{"title":{{"type":"{property}","description":"x"}}}}}}"#
            ))
        };
        let plain = titled("a", "string");
        assert!(plain.reading == titled("b", "string").reading && plain.whole != titled("b", "string").whole);
        assert_ne!(plain.reading, titled("a", "integer").reading);
        // within a value that is data, a key is a key
        assert_ne!(forms(r#"{"const":{"title":"a"}}"#).reading, forms(r#"{"const":{"title":"b"}}"#).reading);
        assert_eq!(
            forms(r#"{"items":[{"title":"a"}]}"#).reading,
            forms(r#"{"items":[{"title":"b"}]}"#).reading,
            "a list of schemas"
        );
    }
}

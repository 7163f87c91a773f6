//! Avro schemas in one form.
//!
//! The specification's Parsing Canonical Form keeps what decides how bytes are taken apart (full names, fields in order,
//! types, symbols, items, values, size), and strips the rest. A registry keeps more, and consumers live by it: a `default`
//! and an alias decide what a reader of another schema gets, `logicalType`, `precision` and `scale` what the bytes mean (a
//! decimal with another scale is another amount), `doc` and properties of its own what generated classes look like. So
//! three forms are made: the specification's ([`MeaningLayer::Encoding`]), that with what decides on values
//! ([`MeaningLayer::Reading`]), and one with everything.
//!
//! Made one are: order of keys, spaces, `namespace` with `name` against a full name, names shortened within their namespace
//! (Confluent's registry does that), `{"type": "int"}` against `"int"`, `"order": "ascending"`, empty `aliases` and `doc: null`.
//! Order of fields, of symbols and of the branches of a union is kept: it is on the wire.

use std::collections::BTreeSet;

use super::content::SchemaReference;
use super::forms::CanonicalForms;
use super::json::{ExactJson, write_text};
use super::meaning::MeaningLayer;

const PRIMITIVES: &[&str] = &["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
/// Attributes that decide on the values that a reader gets.
const READING: &[&str] = &["default", "aliases", "logicalType", "precision", "scale", "order"];

/// An Avro schema in its forms. The names of its references are those that its text may use without defining them.
///
/// # Errors
/// In words: why it has none.
pub(super) fn canonicalise_avro(text: &str, references: &[SchemaReference]) -> Result<CanonicalForms, String> {
    let schema = ExactJson::parse_document(text)?;
    let form = |layer| {
        let external = references.iter().map(|r| r.name.as_str()).collect();
        let mut writer = AvroWriter { layer, out: String::new(), defined: BTreeSet::new(), external };
        writer.write_schema(&schema, None)?;
        Ok::<_, String>(writer.out)
    };
    let whole = form(MeaningLayer::Annotation)?;
    let (reading, encoding) = (form(MeaningLayer::Reading)?, form(MeaningLayer::Encoding)?);
    Ok(CanonicalForms::from_texts(&whole, &whole, &reading, &encoding))
}

struct AvroWriter<'a> {
    /// Down to which layer attributes are kept.
    layer: MeaningLayer,
    out: String,
    /// Full names defined so far.
    defined: BTreeSet<String>,
    external: BTreeSet<&'a str>,
}

/// The namespace of a full name; `None` for the null namespace.
fn namespace_of(full: &str) -> Option<&str> {
    full.rsplit_once('.').map(|(namespace, _)| namespace).filter(|n| !n.is_empty())
}

fn join_name(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        // a full name says its own
        _ if name.contains('.') => name.trim_start_matches('.').to_owned(),
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    }
}

fn text_of<'a>(schema: &'a ExactJson, key: &str) -> Result<&'a str, String> {
    schema
        .find_member(key)
        .and_then(ExactJson::as_text)
        .ok_or_else(|| format!("a type has no \"{key}\" that is a text"))
}

fn list_of<'a>(schema: &'a ExactJson, key: &str) -> Result<&'a [ExactJson], String> {
    match schema.find_member(key) {
        Some(ExactJson::List(items)) => Ok(items),
        _ => Err(format!("a type has no \"{key}\" that is a list")),
    }
}

impl AvroWriter<'_> {
    fn write_schema(&mut self, schema: &ExactJson, namespace: Option<&str>) -> Result<(), String> {
        match schema {
            ExactJson::Text(name) => {
                let name = self.resolve_name(name, namespace);
                write_text(&name, &mut self.out);
                Ok(())
            }
            ExactJson::List(branches) => {
                self.out.push('[');
                for (i, branch) in branches.iter().enumerate() {
                    self.push_comma(i > 0);
                    self.write_schema(branch, namespace)?;
                }
                self.out.push(']');
                Ok(())
            }
            ExactJson::Object(members) => match schema.find_member("type") {
                // `{"type": {"type": "int"}}` says no more than what is inside.
                Some(inner @ (ExactJson::Object(_) | ExactJson::List(_))) if members.len() == 1 => {
                    self.write_schema(inner, namespace)
                }
                Some(ExactJson::Text(kind)) => self.write_object(schema, kind, namespace),
                _ => Err("an object has no \"type\" that is a name".to_owned()),
            },
            _ => Err("a schema is neither a name, a list nor an object".to_owned()),
        }
    }

    /// A name that is used. One without a namespace is looked for in that around it, then in the null namespace, as Avro's
    /// Java library does: it prints both without one.
    fn resolve_name(&self, name: &str, namespace: Option<&str>) -> String {
        if PRIMITIVES.contains(&name) {
            return name.to_owned();
        }
        let full = join_name(namespace, name);
        let known = |n: &str| self.defined.contains(n) || self.external.contains(n);
        if !known(&full) && known(name) { name.to_owned() } else { full }
    }

    fn write_object(&mut self, schema: &ExactJson, kind: &str, namespace: Option<&str>) -> Result<(), String> {
        match kind {
            "record" | "error" => {
                let name = self.begin_named(schema, kind, namespace)?;
                self.out.push_str(",\"fields\":[");
                for (i, field) in list_of(schema, "fields")?.iter().enumerate() {
                    self.push_comma(i > 0);
                    self.write_field(field, namespace_of(&name))?;
                }
                self.out.push(']');
                self.write_more(schema, &["type", "name", "namespace", "fields"], namespace_of(&name))?;
            }
            "enum" => {
                let name = self.begin_named(schema, kind, namespace)?;
                self.out.push_str(",\"symbols\":");
                ExactJson::List(list_of(schema, "symbols")?.to_vec()).write_sorted(&mut self.out);
                self.write_more(schema, &["type", "name", "namespace", "symbols"], namespace_of(&name))?;
            }
            "fixed" => {
                let name = self.begin_named(schema, kind, namespace)?;
                let Some(size @ ExactJson::Number(_)) = schema.find_member("size") else {
                    return Err("a fixed has no \"size\" that is a number".to_owned());
                };
                self.out.push_str(",\"size\":");
                size.write_sorted(&mut self.out);
                self.write_more(schema, &["type", "name", "namespace", "size"], namespace_of(&name))?;
            }
            "array" | "map" => {
                let inner = if kind == "array" { "items" } else { "values" };
                let of = schema.find_member(inner).ok_or_else(|| format!("a type {kind} has no \"{inner}\""))?;
                self.out.push_str("{\"type\":");
                write_text(kind, &mut self.out);
                self.out.push_str(&format!(",\"{inner}\":"));
                self.write_schema(of, namespace)?;
                self.write_more(schema, &["type", inner], namespace)?;
            }
            _ => return self.write_used_name(schema, kind, namespace),
        }
        self.out.push('}');
        Ok(())
    }

    /// A primitive, or a name that is used, written as an object: what it says besides may be nothing.
    fn write_used_name(&mut self, schema: &ExactJson, kind: &str, namespace: Option<&str>) -> Result<(), String> {
        let name = self.resolve_name(kind, namespace);
        let at = self.out.len();
        self.out.push_str("{\"type\":");
        write_text(&name, &mut self.out);
        let bare = self.out.len();
        self.write_more(schema, &["type"], namespace)?;
        if self.out.len() == bare {
            self.out.truncate(at);
            write_text(&name, &mut self.out);
            return Ok(());
        }
        self.out.push('}');
        Ok(())
    }

    /// `{"name":FULL,"type":KIND`. Returns the full name, which is known from here on.
    fn begin_named(&mut self, schema: &ExactJson, kind: &str, namespace: Option<&str>) -> Result<String, String> {
        let own = match schema.find_member("namespace") {
            None | Some(ExactJson::Null) => namespace,
            Some(ExactJson::Text(own)) => Some(own.as_str()).filter(|n| !n.is_empty()),
            Some(_) => return Err("a \"namespace\" is no text".to_owned()),
        };
        let full = join_name(own, text_of(schema, "name")?);
        self.out.push_str("{\"name\":");
        write_text(&full, &mut self.out);
        self.out.push_str(",\"type\":");
        write_text(kind, &mut self.out);
        if !self.defined.insert(full.clone()) {
            return Err("it defines a name twice".to_owned());
        }
        Ok(full)
    }

    fn write_field(&mut self, field: &ExactJson, namespace: Option<&str>) -> Result<(), String> {
        self.out.push_str("{\"name\":");
        write_text(text_of(field, "name")?, &mut self.out);
        self.out.push_str(",\"type\":");
        self.write_schema(field.find_member("type").ok_or("a field has no \"type\"")?, namespace)?;
        // The aliases of a field are names within its record.
        self.write_more(field, &["name", "type"], None)?;
        self.out.push('}');
        Ok(())
    }

    /// Everything that an object says besides `structure`, as far as the layer keeps it, sorted by key. `namespace`: where
    /// its aliases are names.
    fn write_more(&mut self, schema: &ExactJson, structure: &[&str], namespace: Option<&str>) -> Result<(), String> {
        let ExactJson::Object(members) = schema else { return Err("a field is no object".to_owned()) };
        let kept = |key: &str| match self.layer {
            MeaningLayer::Encoding => false,
            MeaningLayer::Reading => READING.contains(&key),
            MeaningLayer::Annotation => true,
        };
        let mut more: Vec<&(String, ExactJson)> = members.iter().collect();
        more.retain(|(key, _)| !structure.contains(&key.as_str()) && kept(key));
        more.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, value) in more {
            let written = match (key.as_str(), value) {
                ("doc", ExactJson::Null) => continue,
                ("order", ExactJson::Text(order)) if order.eq_ignore_ascii_case("ascending") => continue,
                ("order", ExactJson::Text(order)) => ExactJson::Text(order.to_ascii_lowercase()),
                ("aliases", ExactJson::List(aliases)) if aliases.is_empty() => continue,
                ("aliases", ExactJson::List(aliases)) => full_aliases(aliases, namespace)?,
                (_, value) => value.clone(),
            };
            self.out.push(',');
            write_text(key, &mut self.out);
            self.out.push(':');
            written.write_sorted(&mut self.out);
        }
        Ok(())
    }

    fn push_comma(&mut self, wanted: bool) {
        if wanted {
            self.out.push(',');
        }
    }
}

/// Aliases as full names, sorted: they are a set.
fn full_aliases(aliases: &[ExactJson], namespace: Option<&str>) -> Result<ExactJson, String> {
    let full = |alias: &ExactJson| alias.as_text().map(|name| join_name(namespace, name));
    let names: Option<BTreeSet<String>> = aliases.iter().map(full).collect();
    let names = names.ok_or("an alias is no text")?;
    Ok(ExactJson::List(names.into_iter().map(ExactJson::Text).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> CanonicalForms {
        canonicalise_avro(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
    }

    #[test]
    fn one_form_of_what_is_the_same() {
        let ours = r#"{"type": "record", "name": "R", "namespace": "n", "fields": [{"name": "a", "type": "n.Ref"}]}"#;
        let shortened = r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"Ref"}]}"#;
        let sorted = r#"{"fields":[{"name":"a","type":"n.Ref"}],"name":"R","namespace":"n","type":"record"}"#;
        let full = r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"n.Ref"}}]}"#;
        for other in [shortened, sorted, full] {
            assert_eq!(forms(ours), forms(other), "{other}");
        }
        let plain = record(r#"{"type":"int","name":"a"}"#);
        let said = record(r#"{"name":"a","type":"int","order":"ascending","aliases":[],"doc":null}"#);
        let (whole, decimal) = (
            plain.replace("\"name\":\"a\"", "\"name\":\"a\",\"default\":1"),
            said.replace("null", "null,\"default\":1.0"),
        );
        let same: [(&str, &str); 5] = [
            (r#""int""#, r#"{"type":"int"}"#),
            (r#"{"type":{"type":"array","items":"int"}}"#, r#"{"type":"array","items":{"type":"int"}}"#),
            (&plain, &said),
            (&whole, &decimal),
            (
                r#"{"type":"fixed","name":"n.F","size":4,"aliases":["B","n.A"]}"#,
                r#"{"type":"fixed","name":"F","namespace":"n","size":4,"aliases":["n.A","n.B"]}"#,
            ),
        ];
        for (a, b) in same {
            assert_eq!(forms(a), forms(b), "{a}");
        }
    }

    /// Java prints a name of the null namespace without one, also within another namespace.
    #[test]
    fn a_name_without_a_namespace_is_looked_for_in_both() {
        let inner =
            r#"{"name":"a","type":{"type":"record","name":"X","namespace":"","fields":[]}},{"name":"b","type":"X"}"#;
        let own = r#"{"name":"a","type":{"type":"record","name":"X","fields":[]}},{"name":"b","type":"X"}"#;
        assert_ne!(forms(&record(inner)), forms(&record(own)), "X and n.X are two");
        let of = |name: &str| [SchemaReference { name: name.into(), subject: "s".into(), version: 1 }];
        let used = record(r#"{"name":"a","type":"Ref"}"#);
        let by = |name: &str| canonicalise_avro(&used, &of(name)).unwrap();
        assert_eq!(by("n.Ref"), forms(&used));
        assert_ne!(by("Ref"), forms(&used), "what is referenced is the Ref of no namespace");
    }

    #[test]
    fn each_difference_is_in_its_layer() {
        let plain = record(r#"{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}"#);
        let differs = |other: &str| {
            let (a, b) = (forms(&plain), forms(other));
            (a.encoding != b.encoding, a.reading != b.reading, a.whole != b.whole)
        };
        let scaled = plain.replace("\"scale\":2", "\"scale\":3");
        assert_eq!(differs(&scaled), (false, true, true), "another amount in the same bytes");
        assert_eq!(differs(&plain.replace("\"name\":\"a\"", "\"name\":\"a\",\"doc\":\"d\"")), (false, false, true));
        assert_eq!(differs(&plain.replace("\"name\":\"a\"", "\"name\":\"a\",\"default\":\"\"")), (false, true, true));
        assert_eq!(
            differs(&plain.replace("\"name\":\"a\"", "\"name\":\"a\",\"aliases\":[\"b\"]")),
            (false, true, true)
        );
        assert_eq!(differs(&plain.replace("\"type\":\"bytes\"", "\"type\":\"string\"")), (true, true, true));
        assert_eq!(differs(&plain.replace("\"namespace\":\"n\"", "\"namespace\":\"m\"")), (true, true, true));
        let (ab, ba) =
            (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, r#"{"type":"enum","name":"E","symbols":["B","A"]}"#);
        assert_ne!(forms(ab).encoding, forms(ba).encoding, "symbols are numbers on the wire");
        assert_ne!(forms(r#"["null","int"]"#).encoding, forms(r#"["int","null"]"#).encoding, "so are branches");
    }

    #[test]
    fn what_is_no_schema_has_no_form() {
        let deep = "{\"type\":\"array\",\"items\":".repeat(300) + "\"int\"" + &"}".repeat(300);
        for bad in [
            "int",
            "17",
            "{}",
            r#"{"type":"record","name":"R"}"#,
            r#"{"type":"record","fields":[]}"#,
            r#"{"type":"fixed","name":"F","size":"4"}"#,
            r#"{"type":"array"}"#,
            r#"{"type":{"type":"int"},"doc":"whose is it?"}"#,
            r#"[{"type":"fixed","name":"F","size":4},{"type":"fixed","name":"F","size":5}]"#,
            &deep,
        ] {
            assert!(canonicalise_avro(bad, &[]).is_err(), "{bad}");
        }
    }
}

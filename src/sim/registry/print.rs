//! How a registry prints what it was sent, written apart from the program's own reading of schemas: one is held against
//! the other.

use serde_json::{Map, Value, json};

/// `%41` as `A`.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// As Confluent's prints it; `None`: it is no schema of that kind.
pub(super) fn reprint(kind: &str, schema: &str) -> Option<String> {
    match kind {
        "PROTOBUF" => Some(reprint_protobuf(schema)),
        "JSON" => serde_json::from_str::<Value>(schema).ok().map(|v| v.to_string()),
        _ => serde_json::from_str::<Value>(schema).ok().map(|v| reprint_avro(&v, "").to_string()),
    }
}

/// As Karapace prints it.
pub(super) fn sort_keys(schema: &str) -> Option<String> {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut all: Vec<_> = members.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
                all.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(all.into_iter().collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    serde_json::from_str(schema).ok().map(|v| sorted(&v).to_string())
}

/// Avro as its Java library prints it: attributes in its order, names without the namespace that they are in.
fn reprint_avro(schema: &Value, namespace: &str) -> Value {
    match schema {
        Value::String(name) => json!(name.strip_prefix(&format!("{namespace}.")).unwrap_or(name)),
        Value::Array(branches) => branches.iter().map(|b| reprint_avro(b, namespace)).collect(),
        Value::Object(members) => {
            let own = members.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
            if members.len() == 1 && members["type"].is_string() {
                return reprint_avro(&members["type"], namespace);
            }
            let order = ["type", "name", "namespace", "doc", "fields", "symbols", "size", "items", "values"];
            let mut out = Map::new();
            let keys = order.into_iter().chain(members.keys().map(String::as_str).filter(|k| !order.contains(k)));
            for key in keys.filter(|k| members.contains_key(*k)) {
                let value = match (key, &members[key]) {
                    ("fields", Value::Array(fields)) => fields.iter().map(|f| reprint_field(f, own)).collect(),
                    ("items" | "values", inner) => reprint_avro(inner, own),
                    (_, value) => value.clone(),
                };
                out.insert(key.to_owned(), value);
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

fn reprint_field(field: &Value, namespace: &str) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), field["name"].clone());
    out.insert("type".to_owned(), reprint_avro(&field["type"], namespace));
    for (key, value) in field.as_object().into_iter().flatten() {
        out.entry(key.clone()).or_insert(value.clone());
    }
    Value::Object(out)
}

/// Protobuf a statement a line, comments gone.
fn reprint_protobuf(schema: &str) -> String {
    let code: String = schema.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut depth = 0;
    let mut statement = String::new();
    for c in code.chars() {
        match c {
            ';' | '{' => {
                let space = if c == '{' { " " } else { "" };
                let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
                let blank = if depth == 0 && words.starts_with("message") { "\n" } else { "" };
                out.push_str(&format!("{blank}{}{words}{space}{c}\n", "  ".repeat(depth)));
                depth += usize::from(c == '{');
                statement.clear();
            }
            '}' => {
                depth -= 1;
                out.push_str(&format!("{}}}\n", "  ".repeat(depth)));
            }
            c => statement.push(c),
        }
    }
    out
}

/// The first field of `new` that `old` has not and that has no default, with its place.
pub(super) fn field_without_default(old: &str, new: &str) -> Option<(String, usize)> {
    let (old, new): (Value, Value) = (serde_json::from_str(old).ok()?, serde_json::from_str(new).ok()?);
    let known = |name: &Value| old["fields"].as_array().is_some_and(|f| f.iter().any(|f| f["name"] == *name));
    let fields = new["fields"].as_array()?;
    let place = fields.iter().position(|f| !known(&f["name"]) && f.get("default").is_none())?;
    Some((fields[place]["name"].as_str()?.to_owned(), place))
}

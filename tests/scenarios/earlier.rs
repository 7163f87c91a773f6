//! Journals of earlier versions still open: one entry of every shape that they wrote is kept, and read here.
//!
//! `CUTOVER_WRITE_ENTRIES=FILE cargo test --test scenarios every_case` writes those that the cases of today make: it is
//! done with the code of a version before it changes what an entry looks like, and the file is checked in.

use std::collections::BTreeMap;

use cutover::migration::facts::event::JournalEntry;
use serde_json::{Value, json};

/// Of 0.1.0 before commands were addressed by subject.
const V0_1: &str = include_str!("entries-0.1.jsonl");

/// What distinguishes an entry: its keys, and the words that say which variant it is.
fn shape_of(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let one = |(key, value): (&String, &Value)| match value {
                Value::String(word)
                    if ["event", "effect", "command", "kind", "outcome", "answer"].contains(&key.as_str()) =>
                {
                    format!("{key}={word}")
                }
                other => format!("{key}:{}", shape_of(other)),
            };
            format!("{{{}}}", map.iter().map(one).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.first().map(shape_of).unwrap_or_default()),
        Value::Null => "null".into(),
        _ => "x".into(),
    }
}

/// Writes one entry of each shape, where a person asks for it.
pub fn write_if_asked(entries: &[JournalEntry]) {
    let Some(file) = std::env::var_os("CUTOVER_WRITE_ENTRIES") else { return };
    let mut shapes: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries {
        let event = serde_json::to_value(&entry.event).expect("an event is JSON");
        let line = json!({"actor": entry.actor, "event": event}).to_string();
        shapes.entry(shape_of(&event)).or_insert(line);
    }
    let mut lines: Vec<String> = shapes.into_values().collect();
    lines.sort();
    std::fs::write(file, lines.join("\n") + "\n").expect("a file that can be written");
}

#[test]
fn entries_of_earlier_versions_are_read() {
    let mut kinds = std::collections::BTreeSet::new();
    for (n, line) in V0_1.lines().enumerate() {
        let mut entry: Value = serde_json::from_str(line).expect("a line of JSON");
        kinds.insert(entry["event"]["event"].as_str().unwrap_or_default().to_owned());
        (entry["seq"], entry["at"]) = (json!(n + 1), json!(1_000 * n));
        let read: JournalEntry =
            serde_json::from_value(entry).unwrap_or_else(|e| panic!("line {}: {e}: {line}", n + 1));
        // What it means today is written in words of today, and means the same when it is read again.
        let again: JournalEntry =
            serde_json::from_value(serde_json::to_value(&read).expect("JSON")).expect("read again");
        assert_eq!(again.event, read.event, "line {}", n + 1);
    }
    assert!(kinds.len() >= 20, "only {} kinds of events: {kinds:?}", kinds.len());
}

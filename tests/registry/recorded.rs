//! The tests' registry answers as real ones did. The files are recordings of real servers, a request a line; where the fake
//! differs from them, the fake is wrong.

use serde_json::{Value, json};

use crate::fake_registry::{Asked, Manner, State};

const CONFLUENT: [&str; 2] =
    [include_str!("recorded/confluent-7.9.10-a.jsonl"), include_str!("recorded/confluent-7.9.10-b.jsonl")];
const AXONOPS: &str = include_str!("recorded/axonops-2026-04.jsonl");
const KARAPACE: &str = include_str!("recorded/karapace-6.2.jsonl");
const APICURIO: &str = include_str!("recorded/apicurio-3.0.9.jsonl");

/// What the servers held before the first line: a few probes had been made.
pub fn earlier(manner: Manner) -> State {
    let mut state = State::new(manner);
    let addr = r#"{"type":"record","name":"Addr","namespace":"x","fields":[{"name":"street","type":"string"}]}"#;
    let order = r#"{"type":"record","name":"Order","namespace":"x","fields":[{"name":"a","type":"x.Addr"}]}"#;
    let imp = r#"{"type":"record","name":"Imp","fields":[{"name":"i","type":"int"}]}"#;
    let references = json!([{ "name": "x.Addr", "subject": "addr-value", "version": 1 }]);
    // Where ids are kept, an import had been tried: version 7 with id 4242.
    let (version, first, next) = match manner {
        Manner::Confluent | Manner::AxonOps => (7, 4242, 4245),
        Manner::Karapace => (1, 3, 6),
        Manner::Apicurio => (1, 4, 7),
    };
    state.seed_avro("addr-value", 1, 1, addr);
    state.seed("order-value", 1, 2, "AVRO", order, references);
    state.seed_avro("imp-value", version, first, imp);
    state.seed_avro("ro-value", 1, 1, addr);
    state.seed(
        "pb-value",
        1,
        first + 1,
        "PROTOBUF",
        "syntax = \"proto3\";\n\nmessage M {\n  string a = 1;\n}\n",
        Value::Null,
    );
    if manner != Manner::Apicurio {
        state.seed("js-value", 1, first + 2, "JSON", r#"{"type":"object"}"#, Value::Null);
    }
    state.start_ids_at(next);
    state.answer(&Asked::new("PUT", "/config", json!({ "compatibility": "FULL" })));
    state
}

/// Runs through a recording: what was tried where the answer was another, in order, with both answers.
fn replay(state: &mut State, recording: &str) -> (usize, Vec<(String, String)>) {
    let (mut same, mut other) = (0, Vec::new());
    for line in recording.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let (method, path) = (line["method"].as_str().expect("a method"), line["path"].as_str().expect("a path"));
        let (status, answer) = state.answer(&Asked::new(method, path, line["body"].clone()));
        let recorded = line["status"].as_u64().expect("a status");
        let shown = |answer: &Value| match state.manner {
            Manner::Confluent => in_order(answer),
            // the words of the others' refusals are their own: what is refused, and by which code, is held
            _ if recorded >= 400 => answer["error_code"].clone(),
            _ => in_order(answer),
        };
        if u64::from(status) == recorded && shown(&answer) == shown(&line["answer"]) {
            same += 1;
            continue;
        }
        let what = line["what"].as_str().expect("a name").to_owned();
        let words = format!(
            "{what}: {method} {path}\n  recorded {} {}\n  answered {status} {answer}",
            line["status"], line["answer"]
        );
        other.push((what, words));
    }
    (same, other)
}

/// Lists of versions come in the order of a hash map.
fn in_order(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Value::Array(items) = &mut answer {
        items.sort_by_key(ToString::to_string);
    }
    answer
}

#[test]
fn confluents_is_held_line_by_line() {
    let mut state = earlier(Manner::Confluent);
    for (recording, lines) in CONFLUENT.into_iter().zip([89, 45]) {
        let (same, other) = replay(&mut state, recording);
        assert!(other.is_empty(), "{}", other.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join("\n"));
        assert_eq!(same, lines, "a recording was cut short");
    }
}

/// Of the others only what reading and importing rest on is held. Left out by name: their words for a refusal, how they list
/// and judge beyond that, and the ids that one takes for requests that it refuses.
const OTHERS: [(Manner, &str, &[&str]); 3] = [
    // a context is not found behind escaped colons; what is in no list; schemas printed anew once they carry metadata
    (
        Manner::AxonOps,
        AXONOPS,
        &[
            "versions of id 91000",
            "subjects in all contexts",
            "id 1 in context by subject",
            "mode of a subject in it, global",
            "/contexts/.c1/subjects",
            "read back",
            "DELETE config",
            "list all incl deleted",
            "list latestOnly",
            "register existing in READONLY",
            "exporters",
            "compat verbose",
        ],
    ),
    // no such questions, and lists of all subjects whatever is asked for
    (
        Manner::Karapace,
        KARAPACE,
        &[
            "versions of id 91000",
            "subjects of id 91000",
            "versions deletedOnly=true",
            "DELETE config",
            "list all incl deleted",
            "list latestOnly",
            "compat verbose",
        ],
    ),
    // the same, and from the context on each id is one more: something before took one
    (
        Manner::Apicurio,
        APICURIO,
        &[
            "lookup in IMPORT",
            "subjects of id 91000",
            "versions deletedOnly=true",
            "hard delete v2 without soft first",
            "register in context .c1",
            "register N",
            "register reordered N",
            "register N2 with other order and normalize",
            "register with metadata and ruleSet",
            "read back",
            "register existing in READONLY",
            "lookup in READONLY",
            "compat verbose",
        ],
    ),
];

#[test]
fn the_others_deviate_as_they_were_recorded() {
    for (manner, recording, left_out) in OTHERS {
        let (same, other) = replay(&mut earlier(manner), recording);
        let names: Vec<&str> = other.iter().map(|(what, _)| what.as_str()).collect();
        let words: Vec<&str> = other.iter().map(|(_, words)| words.as_str()).collect();
        // both ways: what is held now stays held
        assert_eq!(names, left_out, "{manner:?}: {same} as recorded\n{}", words.join("\n"));
        assert_eq!(same + other.len(), 89, "{manner:?}: a recording was cut short");
    }
}

//! `cutover schemas` from outside: what it prints, how it ends, and that it only reads.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::reading::{avro, seeded_with};
use crate::fake_registry::{FakeRegistry, Manner, State, http_answer};

/// Runs it on a plan with these sections of registries.
fn run(registries: &str, more: &[&str]) -> Output {
    run_verb("schemas", registries, more)
}

/// The same of another verb.
pub fn run_verb(verb: &str, registries: &str, more: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cutover.toml");
    let text = format!(
        "[migration]\nname = \"t\"\n[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n{registries}"
    );
    std::fs::write(&path, text).expect("a plan");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.arg("--plan").arg(&path).arg(verb).args(more).env_remove("CUTOVER_PLAN");
    let output = command.output().expect("the binary runs");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a directory").collect();
    assert_eq!(left.len(), 1, "a look leaves nothing behind: {left:?}");
    output
}

pub fn sections(blue: &str, green: &str) -> String {
    format!("[clusters.blue.registry]\nurl = \"{blue}\"\n[clusters.green.registry]\nurl = \"{green}\"\n")
}

fn compare(blue: &FakeRegistry, green: &FakeRegistry, more: &[&str]) -> (i32, String) {
    let output = run(&sections(&blue.url, &green.url), more);
    let (out, err) = (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().unwrap_or_else(|| panic!("it ends by itself: {err}"));
    for registry in [blue, green] {
        let asked = registry.asked();
        assert!(asked.iter().all(|a| a.starts_with("GET ")), "{:?}", asked.iter().find(|a| !a.starts_with("GET ")));
    }
    (code, out)
}

fn confluent() -> FakeRegistry {
    FakeRegistry::start(seeded_with(Manner::Confluent, 9))
}

#[test]
fn the_same_ends_with_0_and_says_so() {
    let (code, text) = compare(&confluent(), &confluent(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("green: Confluent's registry (it names its cluster as Confluent's does)\n"), "{text}");
    assert!(text.contains("SAME: green has all of blue's 29 subjects, 38 versions and 38 ids"), "{text}");
    assert!(text.contains("A copy would change nothing on green.\n"), "{text}");
}

/// What decides comes first, names are shown, and nothing is wider than a terminal.
#[test]
fn drift_ends_with_3_and_the_gravest_stands_first() {
    let (blue, green) = (confluent(), confluent());
    blue.with_state(|s| s.seed_avro("evil\u{1b}[2J-value", 1, 7_000, &avro("Evil", "x", "int")));
    green.with_state(|s| s.seed_avro("stranger", 1, 7_000, &avro("Stranger", "x", "string")));
    green.ask("PUT", "/config/js", json!({ "compatibility": "NONE" }));
    let (code, text) = compare(&blue, &green, &[]);
    assert_eq!(code, 3, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words:?} in\n{text}"));
    let order = [
        "green: ",
        "DIFFERS: green does not stand in for blue (30 subjects, 39 versions and 39 ids\n  compared).\n",
        "GRAVE: consumers on green would decode with a wrong schema, or with none (1)\n",
        "  - id 7000 reads another schema on green (bytes are read in another way); blue\n    has it as evil\\u{1b}[2J-value version 1\n    > nothing that writes",
        "compatibility of js: BACKWARD on blue, NONE on green\n    > set it on green\n",
        "NOTED: nothing of blue is missing for it (1)\n",
        "blue: which ids its records carry was not looked at: the plan names no topics.\n",
        "A copy would change nothing on green.\n",
        "Not copied (1):\n  - id 7000 of evil\\u{1b}[2J-value version 1 is another schema's on green\n",
    ];
    assert!(order.windows(2).all(|w| place(w[0]) < place(w[1])), "{text}");
    let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

/// An empty green: the whole copy in order, as text cut to a screen and as JSON whole.
#[test]
fn the_copy_is_shown_in_the_order_it_would_be_made() {
    let (blue, green) = (confluent(), FakeRegistry::start(State::new(Manner::Confluent)));
    blue.ask("PUT", "/config/js", json!({ "compatibility": "NONE" }));
    let (code, text) = compare(&blue, &green, &[]);
    assert_eq!(code, 3, "{text}");
    for words in [
        "whether it keeps ids and version numbers shows only in a write that is read\n    back",
        "  1. try a throw-away id in a throw-away subject and read it back: does green\n     keep ids?\n",
        "  2. set 29 subjects to IMPORT, and back when all is there:\n",
        "     js (now no mode of its own)\n",
        "  3. import 38 versions, what is referenced first:\n     ref-0 version 1, id 1000, AVRO\n",
        "     old-0 version 3, id 1002, AVRO, soft-deleted again as on blue\n",
        "    ... and 26 more like these (--json has them all)\n",
        "  4. set on green as on blue:\n     js: compatibility NONE\n",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    let (code, text) = compare(&blue, &green, &["--json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON alone on standard output");
    assert_eq!((code, &document["verdict"], &document["known"]), (3, &json!("differs"), &json!(true)));
    assert_eq!(document["compared"], json!({ "subjects": 29, "versions": 38, "ids": 38 }));
    assert_eq!(document["servers"]["green"]["kind"], "confluent");
    assert_eq!(document["servers"]["green"]["keeps"]["ids"], "unproven");
    let copy = &document["copy"];
    assert_eq!((&copy["probe_first"], &copy["obstacles"]), (&json!(true), &json!([])));
    let imports = copy["imports"].as_array().expect("a list");
    assert_eq!(imports.len(), 38);
    let place = |subject: &str| imports.iter().position(|i| i["subject"] == subject).expect("it is imported");
    assert!((0..9).all(|n| place(&format!("ref-{n}")) < place(&format!("use-{n}-value"))), "references first");
    let missing = document["findings"].as_array().expect("a list").iter().find(|f| f["finding"] == "subject-missing");
    let missing = missing.expect("subjects are missing");
    assert_eq!((&missing["severity"], &missing["advice"]), (&json!("differs"), &json!("import it with its id")));
    assert!(missing["words"].as_str().is_some_and(|w| w.contains("is not on green")), "{missing}");
}

/// Rule 12: what a server can't keep is said before anything else, and nothing is planned for it.
#[test]
fn a_server_that_gives_ids_of_its_own_is_told_first() {
    let (blue, green) = (confluent(), FakeRegistry::start(State::new(Manner::Karapace)));
    let (code, text) = compare(&blue, &green, &[]);
    assert_eq!(code, 3, "{text}");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("green: Karapace (it has a mode and no contexts)"));
    assert_eq!(lines.next(), Some("  can't keep ids: it answers 200 and gives another one than was asked for"));
    assert!(text.contains("A copy would change nothing on green.\nNot copied (1):\n  - green's registry gives ids of its own: 38 versions would change theirs;"), "{text}");
}

#[test]
fn what_is_unknown_or_fails_has_a_code_of_its_own() {
    let (blue, green) = (confluent(), confluent());
    green.answer_instead(|asked| (asked == "GET /config").then(|| http_answer(500, "", "{\"message\": \"no way\"}")));
    let (code, text) = compare(&blue, &green, &[]);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("UNKNOWN: nothing is known to differ") && text.contains("no way"), "{text}");
    // both can't be reached: both are told
    let closed = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let output = run(&sections(&format!("http://{}", closed()), &format!("http://{}", closed())), &["--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON alone on standard output");
    let what = document["errors"][0]["what"].as_str().expect("words");
    assert_eq!((output.status.code(), &document["ok"]), (Some(4), &json!(false)), "{document}");
    assert!(what.contains("blue's registry") && what.contains("green's registry"), "{what}");
    // no registry, and a secret that is not there
    let output = run("[clusters.blue.registry]\nurl = \"http://r:1\"\n", &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("no schema registry of green") && told.contains("[clusters.green.registry]"), "{told}");
    let secret = "username = \"u\"\npassword = { env = \"CUTOVER_TEST_NOT_SET\" }\n";
    let output = run(&format!("{}{secret}", sections(&blue.url, &green.url)), &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("CUTOVER_TEST_NOT_SET"), "{told}");
}

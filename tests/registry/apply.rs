//! `cutover schemas --apply`: what it leaves on green, also when it is killed at any of its requests.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use serde_json::{Value, json};

use super::reading::{avro, seeded_with};
use crate::fake_registry::{FakeRegistry, Manner, State, http_answer};

fn start(dir: &Path, blue: &FakeRegistry, green: &FakeRegistry, more: &[&str]) -> Child {
    let path = dir.join("cutover.toml");
    let text = format!(
        "[migration]\nname = \"t\"\n[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.blue.registry]\nurl = \"{}\"\n[clusters.green]\nbootstrap = \"g:1\"\n[clusters.green.registry]\nurl = \"{}\"\n",
        blue.url, green.url
    );
    std::fs::write(&path, text).expect("a plan");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.arg("--plan").arg(&path).args(["schemas", "--apply"]).args(more).env_remove("CUTOVER_PLAN");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

fn run(dir: &Path, blue: &FakeRegistry, green: &FakeRegistry, more: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = start(dir, blue, green, more).wait_with_output().expect("it ends");
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

pub fn changes(of: &FakeRegistry) -> Vec<String> {
    of.asked().into_iter().filter(|a| !a.starts_with("GET ")).collect()
}

/// Blue: languages, references, soft-deleted versions, a mode and a compatibility of its own.
pub fn blue() -> FakeRegistry {
    let blue = FakeRegistry::start(seeded_with(Manner::Confluent, 1));
    for (target, body) in
        [("/config/js", json!({ "compatibility": "NONE" })), ("/mode/old-0", json!({ "mode": "READONLY" }))]
    {
        assert_eq!(blue.ask("PUT", target, body).0, 200);
    }
    blue
}

/// Green: half of a subject with a mode of its own, and what only green has, soft-deleted as a whole.
pub fn green() -> FakeRegistry {
    let mut state = State::new(Manner::Confluent);
    state.seed_avro("old-0", 4, 1_003, &avro("Old0", "x", "long"));
    state.seed_avro("mine", 1, 900, &avro("Mine", "x", "int"));
    let green = FakeRegistry::start(state);
    assert_eq!(green.ask("PUT", "/mode/old-0", json!({ "mode": "READONLY" })).0, 200);
    assert_eq!(green.ask("DELETE", "/subjects/mine", Value::Null).0, 200);
    green
}

/// All that blue has, with its ids; modes as they were; what was green's own still there; no throw-away subject.
pub fn assert_whole(green: &FakeRegistry, what: &str) {
    let get = |target: &str| green.ask("GET", target, Value::Null);
    let subjects = get("/subjects?deleted=true").1;
    let mut names: Vec<&str> = subjects.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["js", "mine", "old-0", "pb/with space", "ref-0", "use-0-value"], "{what}");
    for (subject, version, id) in [
        ("js", 1, 5_001),
        ("old-0", 3, 1_002),
        ("old-0", 4, 1_003),
        ("pb%2Fwith%20space", 1, 5_000),
        ("ref-0", 1, 1_000),
        ("use-0-value", 1, 1_001),
    ] {
        let (status, stored) = get(&format!("/subjects/{subject}/versions/{version}?deleted=true"));
        assert_eq!((status, &stored["id"]), (200, &json!(id)), "{what}: {subject} {version}: {stored}");
        assert_eq!(get(&format!("/schemas/ids/{id}")).0, 200, "{what}: {id}");
    }
    assert_eq!(get("/subjects/old-0/versions").1, json!([4]), "{what}: soft-deleted as on blue");
    assert_eq!(get("/schemas/ids/900").0, 200, "{what}: what was green's own is still read");
    assert_eq!(get("/mode/old-0").1, json!({ "mode": "READONLY" }), "{what}");
    for subject in ["js", "mine", "pb%2Fwith%20space", "ref-0", "use-0-value"] {
        assert_eq!(get(&format!("/mode/{subject}")).0, 404, "{what}: {subject} has a mode of its own");
    }
    assert_eq!(get("/config/js").1, json!({ "compatibilityLevel": "NONE" }), "{what}");
}

#[test]
fn a_copy_makes_parity_and_a_second_one_sends_nothing() {
    let (dir, blue, green) = (tempfile::tempdir().expect("a directory"), blue(), green());
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=t"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Imported 5 versions, soft-deleted 1 of them as on blue;"), "{text}");
    assert!(text.contains("SAME: green has all of blue's 5 subjects, 6 versions and 6 ids"), "{text}");
    assert_whole(&green, "after the copy");
    assert_eq!(changes(&blue), Vec::<String>::new(), "blue is only read");
    // rule 13: of deletions only the throw-away subject's, and the one that blue has
    let sent = changes(&green);
    let deletes: Vec<&String> = sent.iter().filter(|a| a.starts_with("DELETE /subjects/")).collect();
    let own = |a: &&&String| !a.contains("/subjects/cutover-probe-");
    assert_eq!(deletes.iter().filter(own).collect::<Vec<_>>(), [&"DELETE /subjects/old-0/versions/3"], "{sent:#?}");
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=t", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(changes(&green), sent, "a second copy sends nothing");
    let document: Value = serde_json::from_str(&text).expect("JSON alone");
    assert_eq!((&document["imported"], &document["after"]["verdict"]), (&json!([]), &json!("same")));
    // the journal is whole, and says each step in words
    let journal = |verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.arg("--plan").arg(dir.path().join("cutover.toml")).args(["journal", verb]).env_remove("CUTOVER_PLAN");
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    journal("verify");
    let told = journal("show");
    let place = |words: &str| told.find(words).unwrap_or_else(|| panic!("no {words:?} in\n{told}"));
    let order = [
        "schemas: copies 5 versions to http://127.0.0.1:",
        "green keeps ids",
        "schemas: sets js to IMPORT (before: no mode of its own)",
        "schemas: sets old-0 to IMPORT (before: READONLY)",
        "schemas: imports use-0-value version 1 with id 1001",
        "schemas: soft-deletes old-0 version 3 again, as on blue",
        "schemas: old-0 has its own mode back",
        "schemas: sets compatibility and mode of js",
        "schemas: done, 5 versions imported",
    ];
    assert!(order.windows(2).all(|w| place(w[0]) < place(w[1])), "{told}");
}

/// A real `kill -9`, at a few requests: all of them are gone through without one in `killed`.
#[test]
fn killed_for_real_it_is_gone_on_with() {
    let blue = blue();
    for (n, after) in [(2, true), (9, false), (14, true)] {
        let (dir, green) = (tempfile::tempdir().expect("a directory"), green());
        let (left, pid) = (Arc::new(AtomicU32::new(n)), Arc::new(AtomicI32::new(0)));
        let (count, victim) = (Arc::clone(&left), Arc::clone(&pid));
        green.watch(move |asked, done| {
            if asked.starts_with("GET ") || done != after || count.load(Ordering::SeqCst) == 0 {
                return;
            }
            if count.fetch_sub(1, Ordering::SeqCst) == 1 {
                // its number is known by now: it asked
                while victim.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                let pid = rustix::process::Pid::from_raw(victim.load(Ordering::SeqCst)).expect("a process");
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
            }
        });
        let child = start(dir.path(), &blue, &green, &["--yes=t"]);
        pid.store(i32::try_from(child.id()).expect("a number"), Ordering::SeqCst);
        let ended = child.wait_with_output().expect("it ends");
        let what = format!("killed {} request {n}", if after { "after" } else { "before" });
        assert_eq!(ended.status.signal(), Some(9), "{what}");
        let (code, text) = run(dir.path(), &blue, &green, &["--yes=t"]);
        assert_eq!(code, Some(0), "{what}: {text}");
        assert_whole(&green, &what);
    }
}

/// A person stops it: the request under way ends, modes come back, and it is gone on with.
#[test]
fn an_interrupt_puts_every_mode_back() {
    let (dir, blue, green) = (tempfile::tempdir().expect("a directory"), blue(), green());
    let (pid, once) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicU32::new(1)));
    let victim = Arc::clone(&pid);
    let (heard, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    green.watch(move |asked, done| {
        if !done && asked.starts_with("POST /subjects/js/") && once.swap(0, Ordering::SeqCst) == 1 {
            while victim.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let pid = rustix::process::Pid::from_raw(victim.load(Ordering::SeqCst)).expect("a process");
            rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
            // the answer comes when it has said that it heard
            let _ = wait.lock().expect("nobody panics with it").recv();
        }
    });
    let mut child = start(dir.path(), &blue, &green, &["--yes=t"]);
    pid.store(i32::try_from(child.id()).expect("a number"), Ordering::SeqCst);
    let mut told = String::new();
    for line in BufReader::new(child.stderr.take().expect("its words")).lines() {
        told += &format!("{}\n", line.expect("UTF-8"));
        if told.ends_with("modes are put back\n") {
            heard.send(()).expect("the registry waits");
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{told}");
    for subject in ["js", "pb%2Fwith%20space", "ref-0", "use-0-value"] {
        assert_eq!(green.ask("GET", &format!("/mode/{subject}"), Value::Null).0, 404, "{subject}: {told}");
    }
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=t"]);
    assert_eq!(code, Some(0), "{text}");
    assert_whole(&green, "after an interrupt");
}

#[test]
fn what_can_not_be_kept_or_was_not_confirmed_is_not_written() {
    let (dir, blue, green) = (tempfile::tempdir().expect("a directory"), blue(), green());
    let (code, text) = run(dir.path(), &blue, &green, &[]);
    assert_eq!((code, changes(&green).len()), (Some(1), 0), "{text}");
    assert!(text.contains("not confirmed") && text.contains("--yes=t"), "{text}");
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=u"]);
    assert_eq!((code, changes(&green).len()), (Some(1), 0), "{text}");
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=t", "--read-only"]);
    assert_eq!((code, changes(&green).len()), (Some(3), 0), "{text}");
    let karapace = FakeRegistry::start(State::new(Manner::Karapace));
    let (code, text) = run(dir.path(), &blue, &karapace, &["--yes=t"]);
    assert_eq!((code, changes(&karapace).len()), (Some(3), 0), "{text}");
    // one that says it is Confluent's and gives ids of its own: the throw-away id tells
    green.answer_instead(|asked| asked.starts_with("POST ").then(|| http_answer(200, "", "{\"id\": 1}")));
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=t"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("does not keep what is imported"), "{text}");
    assert!(changes(&green).iter().all(|a| a.contains("cutover-probe-")), "{:#?}", changes(&green));
}

/// Rules 2 and 3 once more, at the last moment.
#[test]
fn what_appears_meanwhile_is_not_written_over() {
    let (dir, blue, green) = (tempfile::tempdir().expect("a directory"), blue(), green());
    let state = green.clone();
    green.watch(move |asked, done| {
        if !done && asked.starts_with("PUT /mode/cutover-probe-") {
            state.with_state(|s| s.seed_avro("js", 1, 77, &avro("Js", "x", "int")));
            state.with_state(|s| s.seed_avro("ref-0", 9, 78, &avro("Gone", "x", "int")));
            state.ask("DELETE", "/subjects/ref-0", Value::Null);
        }
    });
    let (code, text) = run(dir.path(), &blue, &green, &["--yes=t"]);
    assert_ne!(code, Some(0), "{text}");
    let get = |target: &str| green.ask("GET", target, Value::Null);
    assert_eq!(get("/subjects/js/versions/1").1["id"], 77, "{text}");
    assert_eq!(get("/schemas/ids/78").0, 200, "what was soft-deleted meanwhile is still read: {text}");
    for subject in ["js", "ref-0", "use-0-value"] {
        assert_eq!(get(&format!("/mode/{subject}")).0, 404, "{subject} has its own mode back: {text}");
    }
}

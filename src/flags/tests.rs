use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::*;
use crate::plan::provider::{SetCommand, SettingKind};

fn names(of: SettingKind) -> PlaceholderValues {
    PlaceholderValues {
        of,
        name: "loan-audit".into(),
        green_group: "loan-audit".into(),
        team: "loans".into(),
        migration: "psc".into(),
        blue: "b:1".into(),
        green: "g:1".into(),
    }
}

fn file(path: &Path, key: &str) -> Provider {
    read_by(path, key, false)
}

/// Something else than flagd reads the file.
fn loose(path: &Path, key: &str) -> Provider {
    read_by(path, key, true)
}

fn read_by(path: &Path, key: &str, comments: bool) -> Provider {
    let plan = ProviderPlan::File { path: path.to_owned(), key: key.into(), states: Default::default(), comments };
    Provider::from_plan(&plan, names(SettingKind::Producer))
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn command(get: &[&str], set: &[&str]) -> Provider {
    command_in(Path::new(""), get, set, 20_000, &[])
}

fn command_in(dir: &Path, get: &[&str], set: &[&str], timeout_ms: u64, states: &[(&str, &str)]) -> Provider {
    let plan = ProviderPlan::Command {
        get: argv(get),
        set: SetCommand::Any(argv(set)),
        key: Some("k".into()),
        states: states.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        timeout_ms,
        dir: dir.to_owned(),
    };
    Provider::from_plan(&plan, names(SettingKind::Group))
}

const FLAGS: &str = "\u{feff}{\r\n  // Überblick: 注文 \"defaultVariant\": \"blue\"\r\n  \"$schema\": \"https://flagd.dev/schema/v0/flags.json\",\r\n\
  \"flags\": {\r\n    \"loan-api\": { \"state\" : \"ENABLED\", /* why */ \"variants\": {\"blue\":\"b:1\",\"dual\":\"x\",\"green\":\"g:1\"},\r\n\
      \"defaultVariant\"  :\t\"bl\\u0075e\" , \"targeting\": {},},\r\n    \"old\": {\"state\": \"DISABLED\", \"variants\": {\"blue\": 1}, \"defaultVariant\": \"blue\"},\r\n\
    \"twice\": {\"state\": \"ENABLED\", \"variants\": {\"blue\": 1}, \"defaultVariant\": \"blue\", \"defaultVariant\": \"blue\"},\r\n\
    \"rules\": {\"state\": \"ENABLED\", \"variants\": {\"blue\": 1}, \"defaultVariant\": \"blue\", \"targeting\": {\"if\": []}},\r\n\
    \"lost\": {\"state\": \"ENABLED\", \"variants\": {\"green\": 1}, \"defaultVariant\": \"blue\"},\r\n\
    \"odd\": {\"state\": \"ENABLED\", \"variants\": {\"on\": 1}, \"defaultVariant\": \"on\"}\r\n  }\r\n}\r\n\r\n";

fn flags() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flags.json");
    std::fs::write(&path, FLAGS).unwrap();
    (dir, path)
}

#[tokio::test]
async fn a_flag_is_set_and_every_other_byte_stays() {
    let (dir, path) = flags();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link.json");
    std::os::unix::fs::symlink("flags.json", &link).unwrap();
    let provider = loose(&link, "loan-api");
    assert_eq!(provider.get().await.unwrap().flag_state(), Some(FlagState::Blue));
    let SetResult::Done(reading) = provider.set("dual").await.unwrap() else { panic!("not done") };
    assert_eq!(reading.flag_state(), Some(FlagState::Dual));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), FLAGS.replace("\"bl\\u0075e\"", "\"dual\""));
    assert!(link.is_symlink());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let inode = std::fs::metadata(&path).unwrap().ino();
    assert!(matches!(provider.set("dual").await.unwrap(), SetResult::Done(_)));
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "nothing to do, nothing written");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file stays");
}

#[tokio::test]
async fn what_a_flag_file_lacks_is_said_with_what_to_write() {
    let (dir, path) = flags();
    for (key, what, advice) in [
        ("none", "has no flag \"none\"", "write \"none\": {"),
        ("old", "\"old\"", "set its \"state\" to \"ENABLED\""),
        ("twice", "\"defaultVariant\" is there twice", "keep one"),
        ("lost", "none of its variants", "green"),
        ("odd", "says \"on\", which is none of blue, dual, green, off", "states = {"),
    ] {
        let e = loose(&path, key).get().await.unwrap_err();
        assert!(e.what.contains(what) && e.what.contains("flags.json"), "{key}: {}", e.what);
        assert!(e.advice.contains(advice), "{key}: {}", e.advice);
        assert!(key == "odd" || loose(&path, key).set("blue").await.is_err(), "{key}");
    }
    let e = loose(&path, "loan-api").set("off").await.unwrap_err();
    assert!(e.what.contains("no variant \"off\"") && e.advice.contains("blue, dual, green"), "{e:?}");
    // which variant an application gets is for its rules to say: not its default
    let e = loose(&path, "rules").get().await.unwrap_err();
    assert!(e.what.contains("has targeting rules") && e.advice.contains("command"), "{e:?}");
    assert!(loose(&path, "rules").set("blue").await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), FLAGS);

    for (text, what) in [("{", "is not JSON"), ("[]", "holds no object"), ("{\"flags\": 1}", "no \"flags\" object")] {
        std::fs::write(&path, text).unwrap();
        let e = file(&path, "k").get().await.unwrap_err();
        assert!(e.what.contains(what), "{}", e.what);
    }
    std::fs::write(&path, "[".repeat(100_000)).unwrap();
    assert!(file(&path, "k").get().await.unwrap_err().what.contains("is not JSON"));
    let e = file(&dir.path().join("gone.json"), "k").set("blue").await.unwrap_err();
    assert!(e.what.contains("gone.json") && e.advice.contains("relative to the plan"), "{e:?}");
    assert!(file(dir.path(), "k").get().await.unwrap_err().what.contains("is not a file"));
}

/// flagd takes a file whole or not at all, and goes on with the old one: what it would not read is no state.
#[tokio::test]
async fn a_file_that_flagd_refuses_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flags.json");
    let flag = r#""k": {"state": "ENABLED", "variants": {"blue": 1, "green": 2}, "defaultVariant": "blue""#;
    let good = format!("{{\"flags\": {{{flag}}}}}}}");
    for (text, what) in [
        (format!("// why\n{good}"), "is not JSON"),
        (format!("{{\"flags\": {{{flag}}},}}}}"), "is not JSON"),
        (format!("{{\"flags\": {{{flag},}}}}}}"), "is not JSON"),
        (format!("\u{feff}{good}"), "byte order mark"),
        (format!("{good} {{}}"), "is not JSON"),
        (good.replace("\"blue\": 1", "\"blue\": 01"), "is not JSON"),
        (good.replace("ENABLED", "ENABLED\n"), "is not JSON"),
        (
            good.replace(
                "{\"k\"",
                "{\"other\": {\"state\": \"ENABLED\", \"variants\": {\"on\": 1}, \"defaultVariant\": \"off\"}, \"k\"",
            ),
            "flag \"other\"",
        ),
        (good.replace("{\"k\"", "{\"k\": {}, \"k\""), "is there twice"),
        (
            good.replace("\"defaultVariant\"", "\"targeting\": {\"if\": [true, \"green\"]}, \"defaultVariant\""),
            "targeting rules",
        ),
        (good.replace("\"defaultVariant\": \"blue\"", "\"defaultVariant\": null"), "no \"defaultVariant\" text"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let e = file(&path, "k").get().await.unwrap_err();
        assert!(e.what.contains(what) && !e.advice.is_empty(), "{text}: {e:?}");
        assert!(file(&path, "k").set("green").await.is_err(), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "nothing was changed");
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(file(&path, "k").get().await.unwrap().flag_state(), Some(FlagState::Blue));
    let off = r#"{"flags": {"x": {"state": "DISABLED", "variants": {"a": 1}}, "k""#;
    std::fs::write(&path, good.replace("{\"flags\": {\"k\"", off)).unwrap();
    assert_eq!(
        file(&path, "k").get().await.unwrap().flag_state(),
        Some(FlagState::Blue),
        "one without a default is taken"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_flags_of_one_file_set_at_once_all_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flags.json");
    let flag = r#"{"state": "ENABLED", "variants": {"blue": 1, "green": 2}, "defaultVariant": "blue"}"#;
    let all: Vec<String> = (0..40).map(|i| format!("\"f{i}\": {flag}")).collect();
    std::fs::write(&path, format!("{{\"flags\": {{{}}}}}", all.join(", "))).unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|i| {
            let provider = file(&path, &format!("f{i}"));
            tokio::spawn(async move { provider.set("green").await })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap().unwrap(), SetResult::Done(_)));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("\"defaultVariant\": \"green\"").count(), 40);
}

#[tokio::test]
async fn a_command_gets_sets_and_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state"), "3\n").unwrap();
    let states = [("blue", "3"), ("off", "0")];
    // relative paths are relative to the plan's directory; no shell sees the arguments of the plan
    let set = ["sh", "-c", "printf ' %s \\n' \"$1\" > state", "sh", "{value}"];
    let provider = command_in(dir.path(), &["cat", "state"], &set, 20_000, &states);
    assert_eq!(provider.get().await.unwrap().switch_state(), Some(SwitchState::Blue));
    let SetResult::Done(reading) = provider.set("off").await.unwrap() else { panic!("not done") };
    assert_eq!(reading.switch_state(), Some(SwitchState::Off));
    assert_eq!(std::fs::read_to_string(dir.path().join("state")).unwrap(), " 0 \n");
    assert!(provider.describe_setting("off").ends_with("sh 0"), "{}", provider.describe_setting("off"));

    let SetResult::Unknown(why) = command(&["echo", "blue"], &["true", "{state}"]).set("green").await.unwrap() else {
        panic!("believed")
    };
    assert_eq!(why.what, "loan-audit was set to green without an error, and reads blue");
    let failing = ["sh", "-c", "echo a >&2; echo 'it \u{1b}[31mhurts' >&2; exit 3", "{state}"];
    let SetResult::Unknown(why) = command(&["echo", "blue"], &failing).set("green").await.unwrap() else {
        panic!("believed")
    };
    assert!(why.what.ends_with("failed (exit code 3): it ␛[31mhurts; it reads blue"), "{}", why.what);
    let SetResult::Done(ProviderReading::Known { detail, .. }) =
        command(&["echo", "green"], &failing).set("green").await.unwrap()
    else {
        panic!("it is green")
    };
    assert!(detail.contains("although"), "{detail}");
}

#[tokio::test]
async fn what_a_command_does_wrong_is_said() {
    let e = command(&["no-such-program-here", "x"], &["true"]).get().await.unwrap_err();
    assert!(e.what.starts_with("can't start no-such-program-here x: ") && e.advice.contains("PATH"), "{e:?}");
    assert!(command(&["echo", "blue"], &["no-such-program-here"]).set("off").await.is_err(), "nothing was changed");
    for (script, what) in [
        ("exit 0", "printed nothing"),
        ("echo blue; echo green", "printed 2 lines, beginning \"blue\""),
        ("echo Blue", "says \"Blue\", which is none of blue, green, both, off"),
        ("kill -TERM $$", "signal 15"),
        ("echo x >&2; exit 1", "(exit code 1): x"),
        ("exit 1", "failed (exit code 1)"),
        ("yes | head -c 9000000", "lines, beginning \"y\""),
    ] {
        let e = command(&["sh", "-c", script], &["true"]).get().await.unwrap_err();
        assert!(e.what.contains(what), "{script}: {}", e.what);
        assert!(!e.advice.is_empty(), "{script}");
    }
}

#[tokio::test]
async fn a_command_that_hangs_ends_with_everything_it_started() {
    let dir = tempfile::tempdir().unwrap();
    // both shells hold the pipe's only writing ends: its end shows that both are gone
    let fifo = dir.path().join("alive");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::read(fifo)
    });
    let script = "exec 3>alive; sh -c 'sleep 600; true' & sleep 600; true";
    let provider = command_in(dir.path(), &["sh", "-c", script], &["true"], 1_000, &[]);
    let e = provider.get().await.unwrap_err();
    assert!(e.what.contains("took longer than 1s and was ended"), "{}", e.what);
    assert_eq!(reader.join().unwrap().unwrap(), b"");
}

#[tokio::test]
async fn what_a_command_leaves_running_does_not_hold_it_up() {
    let provider = command(&["sh", "-c", "sleep 3 & echo blue"], &["true"]);
    let within = tokio::time::timeout(std::time::Duration::from_millis(2_500), provider.get());
    assert_eq!(within.await.expect("in time").unwrap().switch_state(), Some(SwitchState::Blue));
}

#[tokio::test]
async fn a_manual_switch_never_claims() {
    let plan = ProviderPlan::Manual { ask: None };
    let provider = Provider::from_plan(&plan, names(SettingKind::Group));
    assert!(provider.is_manual());
    assert!(matches!(provider.get().await.unwrap(), ProviderReading::CannotRead { .. }));
    let SetResult::Asked { instruction } = provider.set("green").await.unwrap() else { panic!("claimed") };
    assert_eq!(instruction, "by hand: run loan-audit (team loans) on green only");
    assert!(provider.set("dual").await.is_err(), "no state of a switch");
}

/// A `kubectl` that keeps what it is told in files.
const KUBECTL: &str = r#"#!/bin/sh
set -eu
dir=$(dirname "$0")
echo "$*" >> "$dir/calls"
case "$1" in
  get)
    name=${2#*/}
    case "$4" in
      'jsonpath={.spec.replicas}') cat "$dir/$name.replicas" ;;
      'jsonpath={.metadata.annotations.cutover-side}') cat "$dir/$name.side" ;;
      *) echo "unexpected $4" >&2; exit 1 ;;
    esac ;;
  scale) echo "${3#--replicas=}" > "$dir/${2#*/}.replicas" ;;
  annotate) echo "${4#cutover-side=}" > "$dir/${2#*/}.side" ;;
  set) echo "$4" > "$dir/${3#*/}.env" ;;
esac
"#;

#[tokio::test]
async fn the_scripts_of_the_documentation_switch() {
    let docs = include_str!("../../docs/switches.md");
    let scripts: Vec<&str> = docs.split("```sh\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    assert_eq!(scripts.len(), 2);
    for (script, states) in scripts.into_iter().zip([&["off", "green", "blue"][..], &["off", "green", "both", "blue"]])
    {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("kubectl", KUBECTL);
        write("switch", &script.replace("kubectl ", &format!("sh {}/kubectl ", dir.path().display())));
        for (name, replicas) in [("loan-audit", "3"), ("loan-audit-blue", "3"), ("loan-audit-green", "0")] {
            write(&format!("{name}.replicas"), replicas);
            write(&format!("{name}.side"), "blue");
        }
        // through sh: a script that was only just written may not be executable yet while another test forks
        let get = ["sh", "./switch", "get", "{group}"];
        let provider = command_in(dir.path(), &get, &["sh", "./switch", "set", "{group}", "{state}"], 20_000, &[]);
        assert_eq!(provider.get().await.unwrap().state(), Some("blue"));
        for state in states {
            let set = provider.set(state).await.unwrap();
            let SetResult::Done(reading) = set else { panic!("{state}: {set:?}") };
            assert_eq!(reading.state(), Some(*state));
        }
    }
}

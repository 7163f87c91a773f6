//! The binary from outside: exit codes, what stands on which stream, pages that must not drift.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cutover::base::At;
use cutover::journal::{Journal, LeaseHolder, Opened, Reader};
use cutover::migration::facts::command::Subject;
use cutover::migration::facts::event::Event;
use serde_json::Value;

fn cutover(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cutover")).args(args).env_remove("CUTOVER_PLAN").output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn plan(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("cutover.toml");
    std::fs::write(&path, text).expect("a plan");
    path
}

/// A loopback address that nobody listens on.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn two(blue: &str, green: &str) -> String {
    format!(
        "[migration]\nname = \"t\"\n[clusters.blue]\nbootstrap = \"{blue}\"\n[clusters.green]\nbootstrap = \"{green}\"\n"
    )
}

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn the_page_of_commands_is_what_the_arguments_say() {
    let wanted = cutover::cli::pages::markdown();
    let path = page("docs/cli.md");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, &wanted).expect("docs/cli.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "docs/cli.md drifted: run UPDATE_PAGES=1 cargo test --test cli");
}

/// The page of rights with its tables made anew.
#[test]
fn the_page_of_rights_is_what_the_table_says() {
    let path = page("docs/rights.md");
    let found = std::fs::read_to_string(&path).expect("docs/rights.md");
    let (before, rest) = found.split_once("cargo test --test cli -->").expect("the beginning of the table");
    let (_, after) = rest.split_once("<!-- end of table -->").expect("the end of the table");
    let tables = cutover::rights::page::markdown_tables();
    let wanted = format!("{before}cargo test --test cli -->\n{tables}\n<!-- end of table -->{after}");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, &wanted).expect("docs/rights.md can be written");
    }
    let found = std::fs::read_to_string(&path).expect("docs/rights.md");
    assert_eq!(found, wanted, "docs/rights.md drifted: run UPDATE_PAGES=1 cargo test --test cli");
}

/// The lines that grant a role: from the plan alone, and for no one but a principal that is named whole.
#[test]
fn the_lines_of_a_role_need_no_network() {
    let dir = tempfile::tempdir().expect("a directory");
    let groups =
        "[[groups]]\nname = \"loan audit\"\ntopics = [\"loans\"]\n[[groups]]\nname = \"*\"\ntopics = [\"loans\"]\n";
    let path = plan(dir.path(), &(two("b.invalid:1", "g.invalid:2") + groups));
    let run = |args: &[&str]| cutover(&[&["--plan", path.to_str().expect("a path"), "doctor"], args].concat());
    let told = run(&["--acls", "read-only", "--principal", "User:view"]);
    let text = out(&told);
    assert_eq!(told.status.code(), Some(1), "{text}{}", err(&told));
    assert!(text.contains("--bootstrap-server g.invalid:2") && text.contains("--group='loan audit'"), "{text}");
    assert!(text.contains("# NOT GRANTED: group \"*\""), "{text}");
    for args in
        [&["--acls", "read-only"][..], &["--principal", "User:x"], &["--acls", "operator", "--principal", "User:*"]]
    {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

/// The page with the table of metric families made anew, and every name on it looked up.
#[test]
fn the_page_of_metrics_is_what_is_exposed() {
    use cutover::report::prometheus::FAMILIES;
    let path = page("docs/watch.md");
    let found = std::fs::read_to_string(&path).expect("docs/watch.md");
    let mut table = String::from("\n\n| family | labels | |\n|---|---|---|\n");
    for f in FAMILIES {
        let labels: Vec<String> = f.labels.iter().map(|l| format!("`{l}`")).collect();
        table += &format!("| `{}` | {} | {} |\n", f.name, labels.join(", "), f.help);
    }
    let (before, rest) = found.split_once("cargo test --test cli -->").expect("the beginning of the table");
    let (_, after) = rest.split_once("<!-- end of families -->").expect("the end of the table");
    let wanted = format!("{before}cargo test --test cli -->{table}\n<!-- end of families -->{after}");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, &wanted).expect("docs/watch.md can be written");
    }
    let found = std::fs::read_to_string(&path).expect("docs/watch.md");
    assert_eq!(found, wanted, "docs/watch.md drifted: run UPDATE_PAGES=1 cargo test --test cli");
    let word = |c: char| !(c.is_ascii_lowercase() || c == '_');
    let named = wanted.split(word).filter(|w| w.starts_with("cutover_") && w.len() > "cutover_".len());
    let unknown: Vec<&str> = named.filter(|w| !FAMILIES.iter().any(|f| f.name == *w)).collect();
    assert!(unknown.is_empty(), "there is no {unknown:?}");
}

#[test]
fn the_changelog_and_the_readme_name_what_there_is() {
    let readme = std::fs::read_to_string(page("README.md")).expect("a README");
    for word in
        ["cargo run --release -- demo", "cargo test", "ARCHITECTURE.md", "assets/cockpit.svg", "openjdk-17", "maven"]
    {
        assert!(readme.contains(word), "README.md does not name {word}");
    }
    for link in readme.split("](").skip(1).filter_map(|l| l.split(')').next()).filter(|l| !l.starts_with("http")) {
        assert!(page(link).exists(), "README.md links to {link}, which is not there");
    }
}

#[test]
fn a_plan_that_is_missing_says_how_to_get_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("cutover.toml");
    for args in [vec!["plan", "check"], vec!["lag"], vec!["status", "--json"], vec![]] {
        let mut all = vec!["--plan", missing.to_str().expect("a plain path")];
        all.extend(args);
        let output = cutover(&all);
        assert_eq!(output.status.code(), Some(2), "{all:?}: {}", err(&output));
        assert!(err(&output).contains("cutover init --blue"), "{}", err(&output));
    }
}

#[test]
fn a_log_is_kept_for_its_owner_alone_where_one_is_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let run = |args: &[&str], env: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(args).args(["--plan", "none.toml", "status"]).current_dir(dir.path());
        command.env_remove("CUTOVER_LOG").env_remove("RUST_LOG");
        env.map(|path| command.env("CUTOVER_LOG", path));
        command.output().expect("the binary runs")
    };
    run(&[], None);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "off unless it is asked for");
    // The older spelling is in people's scripts.
    for (n, (args, env)) in [(&["--log", "log"][..], None), (&["--log-file", "log"], None), (&[], Some(log.as_path()))]
        .into_iter()
        .enumerate()
    {
        let output = run(args, env);
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        let text = std::fs::read_to_string(&log).expect("a log");
        assert_eq!(text.matches(" started ").count(), n + 1, "it is appended to: {text}");
    }
    let mode = std::fs::metadata(&log).expect("a log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let output = run(&["--log", "none/log"], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("cutover: --log none/log: ") && err(&output).contains("going on"),
        "{}",
        err(&output)
    );
}

#[test]
fn every_error_of_a_plan_has_its_place_and_what_to_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = plan(
        dir.path(),
        "[migration]\nname = \"t\"\n[clusters.blue]\nbootsrap = \"b:9092\"\n[clusters.green]\nbootstrap = \"g:9092\"\n[defaults]\ndrain_still = \"15 parsecs\"\n",
    );
    let output = cutover(&["--plan", path.to_str().expect("plain"), "plan", "check"]);
    assert_eq!(output.status.code(), Some(2));
    let text = err(&output);
    assert!(text.contains("cutover.toml:4:1: unknown key \"bootsrap\""), "{text}");
    assert!(text.contains("did you mean \"bootstrap\"?"), "{text}");
    assert!(text.contains("cutover.toml:8:"), "both errors are told at once: {text}");
    let json = cutover(&["--plan", path.to_str().expect("plain"), "plan", "check", "--json"]);
    let value: Value = serde_json::from_str(&out(&json)).expect("JSON alone on standard output");
    let lines: Vec<_> = value["errors"].as_array().expect("errors").iter().map(|e| e["line"].clone()).collect();
    assert!(lines.contains(&4.into()) && lines.contains(&8.into()), "{lines:?}");
}

#[test]
fn the_example_plan_checks_clean() {
    let dir = tempfile::tempdir().expect("a directory");
    let example = cutover(&["plan", "example"]);
    let path = plan(dir.path(), &out(&example));
    let output = cutover(&["--plan", path.to_str().expect("plain"), "plan", "check", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let value: Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!(value["ok"], true);
}

#[test]
fn dead_brokers_are_unknown_not_zero() {
    let dir = tempfile::tempdir().expect("a directory");
    let (blue, green) = (dead(), dead());
    let path = plan(dir.path(), &two(&blue, &green));
    let output = cutover(&["--plan", path.to_str().expect("plain"), "lag", "--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    let value: Value = serde_json::from_str(&out(&output)).expect("JSON alone on standard output");
    assert!(value["clusters"]["blue"]["lag"].is_null() && value["clusters"]["green"]["brokers"].is_null());
    let trouble = &value["clusters"]["blue"]["troubles"][0];
    assert!(trouble["what"].as_str().expect("words").contains(&blue), "names the address: {trouble}");
    assert!(!trouble["advice"].as_str().expect("words").is_empty(), "says what to do: {trouble}");
    assert!(!dir.path().join(".cutover").exists(), "a look leaves nothing behind");
}

#[test]
fn nothing_is_moved_without_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = plan(dir.path(), &two(&dead(), &dead()));
    for args in [["group", "cutover", "g"], ["group", "rollback", "g"]] {
        let mut all = vec!["--read-only", "--plan", path.to_str().expect("plain")];
        all.extend(args);
        let output = cutover(&all);
        let code = output.status.code().expect("an exit code");
        assert!([1, 4].contains(&code), "{all:?} ended with {code}: {}", err(&output));
    }
}

/// Appends what somebody noticed to a journal that may be new.
fn note(journal: &Path, what: &str) {
    let Ok(Opened::Writer(mut journal)) = Journal::open(journal, &LeaseHolder::this_process(At(0))) else {
        panic!("no journal")
    };
    let event = Event::Noticed { subject: Subject::Migration, what: what.into() };
    journal.append(At(1_700_000_000_000), "ann@bastion", &event).expect("the append");
}

/// The head of a journal's chain, as `journal verify` prints it: the same in words and for scripts.
fn head_of(dir: &Path, entries: u64) -> String {
    let path = plan(dir, &two("127.0.0.1:1", "127.0.0.1:2").replace("\"t\"", "\"t\"\njournal = \"t.journal\""));
    let verify = |more: &[&str]| {
        let output = cutover(&[&["--plan", path.to_str().expect("plain"), "journal", "verify"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        out(&output)
    };
    let said = verify(&[]);
    assert!(said.contains(&format!("t.journal: the chain of {entries} entries holds\n")), "{said}");
    let head = said.lines().find_map(|l| l.strip_prefix("head ")?.strip_suffix(" (note it elsewhere)"));
    let head = head.unwrap_or_else(|| panic!("no head to note down: {said}")).to_owned();
    let json: Value = serde_json::from_str(&verify(&["--json"])).expect("JSON alone on standard output");
    let verified = &json["verified"];
    assert_eq!(
        (&json["ok"], &verified["entries"], &verified["head"]),
        (&true.into(), &entries.into(), &head.as_str().into())
    );
    head
}

/// Who rewrites a journal from its beginning leaves a chain that holds: only a head that was noted elsewhere tells.
#[test]
fn journal_verify_prints_the_head_to_note_down() {
    let (dir, rewritten) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let journal = dir.path().join("t.journal");
    note(&journal, "loan-audit was moved");
    note(&journal, "loan-audit was complete");
    let noted = head_of(dir.path(), 2);
    assert!(noted.len() == 64 && noted.bytes().all(|b| b.is_ascii_hexdigit()), "{noted}");
    assert_eq!(head_of(dir.path(), 2), noted, "nothing was added");
    note(&rewritten.path().join("t.journal"), "loan-audit was moved");
    note(&rewritten.path().join("t.journal"), "loan-audit was held");
    assert_ne!(head_of(rewritten.path(), 2), noted);
    note(&journal, "risk-score was moved");
    let newer = head_of(dir.path(), 3);
    assert_ne!(newer, noted);
    let verified = Reader::open(&journal).and_then(|r| r.verify()).expect("it can be read").expect("the chain holds");
    assert_eq!(verified.head, newer);
}

/// flagd goes on with what it read before: until that is mended, what the file says is not where things run.
#[test]
fn doctor_says_what_flagd_would_refuse_and_what_to_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let flag = r#""k": {"state": "ENABLED", "variants": {"blue": 1, "green": 2}, "defaultVariant": "blue"}"#;
    let whole = format!("{{\"flags\": {{{flag}}}}}");
    let stays = "flagd refuses the whole file then, and goes on with what it read before";
    let (strict, mend) =
        ("write strict JSON, without comments, trailing commas and a byte order mark", "mend that flag");
    let neighbour = flag.replace("\"k\"", "\"other\"").replace("\"blue\"}", "\"nowhere\"}");
    let files = [
        ("mark", format!("\u{feff}{whole}"), Some(("begins with a byte order mark", strict))),
        ("comment", format!("// ours\n{whole}"), Some(("is not JSON", strict))),
        ("comma", whole.replace("}}}", "},}}"), Some(("is not JSON", strict))),
        ("neighbour", whole.replace("}}}", &format!("}}, {neighbour}}}}}")), Some(("flag \"other\" in", mend))),
        ("sound", whole.clone(), None),
    ];
    let mut text = two(&dead(), &dead());
    for (name, content, _) in &files {
        std::fs::write(dir.path().join(format!("{name}.json")), content).expect("a flags file");
        let provider = format!("{{ provider = \"file\", path = \"{name}.json\", key = \"k\" }}");
        text += &format!("[[groups]]\nname = \"{name}\"\nswitch = {provider}\n");
        text += &format!("[[producers]]\nname = \"{name}\"\nflag = {provider}\n");
    }
    // What else than flagd reads a file is for the plan to say: then it is taken.
    let loose = "{ provider = \"file\", path = \"comment.json\", key = \"k\", comments = true }";
    text += &format!("[[groups]]\nname = \"loose\"\nswitch = {loose}\n");
    let path = plan(dir.path(), &text);
    let output = cutover(&["--plan", path.to_str().expect("plain"), "doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let report: Value = serde_json::from_str(&out(&output)).expect("JSON alone on standard output");
    let checks = report["checks"].as_array().expect("checks");
    let check = |what: &str| {
        let found = checks.iter().find(|c| c["what"] == *what).unwrap_or_else(|| panic!("no {what}: {report:#}"));
        ["health", "found", "advice"].map(|key| found[key].as_str().expect("words").to_owned())
    };
    for (name, _, refused) in files {
        for what in [format!("switch of {name}"), format!("flag of {name}")] {
            let [health, found, advice] = check(&what);
            match refused {
                None => {
                    assert_eq!((health.as_str(), found.as_str(), advice.as_str()), ("ok", "reads blue", ""), "{what}")
                }
                Some((why, write)) => {
                    assert_eq!(health, "fail", "{what}: {found}");
                    assert!(found.contains(why) && found.contains(stays) && found.contains(".json"), "{what}: {found}");
                    assert!(advice.starts_with(write), "{what}: {advice}");
                }
            }
        }
    }
    assert_eq!(check("switch of loose")[..2], ["ok", "reads blue"]);
}

#[test]
fn completions_and_the_man_page_come_from_the_arguments() {
    for shell in ["bash", "zsh", "fish"] {
        let output = cutover(&["completions", shell]);
        assert!(output.status.success() && out(&output).contains("rollback"), "{shell}");
    }
    assert!(out(&cutover(&["man"])).contains(".TH cutover"));
}

#[test]
fn what_waiting_does_not_mend_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let client = |more: &str| {
        format!(
            "[clusters.blue.client]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
             \"sasl.username\" = \"u\"\n{more}\n"
        )
    };
    let group = "[[groups]]\nname = \"g\"\ntopics = [\"t\"]\nswitch = { provider = \"manual\" }\n";
    let unset = client("\"sasl.password\" = { env = \"CUTOVER_TEST_NO_SUCH\" }");
    let gone = client("\"sasl.password\" = \"hunter2-inline\"\n\"ssl.ca.location\" = \"no-such.pem\"");
    for (client, words) in [(unset, "CUTOVER_TEST_NO_SUCH is not set"), (gone, "no-such.pem can't be read")] {
        let text = two(&dead(), &dead()).replace("[clusters.green]", &format!("{client}[clusters.green]"));
        let path = plan(dir.path(), &format!("{text}{group}"));
        for verb in [
            &["offsets", "plan", "--group", "g"][..],
            &["offsets", "apply", "--group", "g", "--yes=g"],
            &["group", "cutover", "g", "--yes=g"],
        ] {
            let output = cutover(&[&["--plan", path.to_str().expect("plain"), "--json"], verb].concat());
            assert_eq!(output.status.code(), Some(4), "{verb:?}: {}{}", out(&output), err(&output));
            let said = out(&output) + &err(&output);
            assert!(said.contains(words) && !said.contains("hunter2"), "{verb:?}: {said}");
            // after a minute of waiting it would say so of green, which nobody mends either, and which may only be slow
            assert!(!said.contains("wait until"), "{verb:?}: {said}");
        }
    }
}

/// A password that also stands where it may be shown, and the words of it there.
#[test]
fn no_verb_repeats_a_secret_wherever_else_it_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = "c4nary-pw-of-the-cli";
    let of = |side: &str, lines: &[(&str, &str)]| {
        let lines: String = lines.iter().map(|(name, value)| format!("{name:?} = {value}\n")).collect();
        format!("[clusters.{side}.client]\n{lines}")
    };
    let (literal, env) = (format!("{secret:?}"), "{ env = \"CUTOVER_TEST_CANARY\" }");
    let sasl = [("security.protocol", "\"SASL_SSL\""), ("sasl.mechanism", "\"PLAIN\"")];
    let whole = [("sasl.username", literal.as_str()), ("client.id", literal.as_str()), ("sasl.password", env)];
    // one that is refused, in what stands above the secret; and one that is used
    let refused =
        of("blue", &[("security.protocol", literal.as_str())]) + &of("green", &[sasl[0], ("sasl.password", env)]);
    let used = of("green", &[&sasl[..], &whole[..]].concat());
    for (clients, words, verbs) in [
        (refused, "`security.protocol` is `(hidden)`", &[&["plan", "check"][..], &["lag"]][..]),
        (used, "", &[&["plan", "check"][..], &["status"]][..]),
    ] {
        let path = plan(dir.path(), &(two(&dead(), &dead()) + &clients));
        for verb in verbs {
            for json in [false, true] {
                let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
                command.args(["--plan", path.to_str().expect("plain")]).args(*verb).args(json.then_some("--json"));
                let output = command.env("CUTOVER_TEST_CANARY", secret).output().expect("the binary runs");
                let said = out(&output) + &err(&output);
                assert!(said.contains(words) && !said.contains("c4nary"), "{verb:?}: {said}");
            }
        }
    }
}

#[test]
fn init_refuses_properties_before_it_connects() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("new.toml");
    for (property, words) in [
        ("securty.protocol=SASL_SSL", "did you mean `security.protocol`?"),
        ("sasl.pasword=hunter2", "did you mean `sasl.password`?"),
        ("sasl.jaas.config=password=\"hunter2\"", "`sasl.username` and `sasl.password`"),
        ("hunter2", "NAME=VALUE"),
    ] {
        // nobody listens there, and nobody is asked
        let args =
            ["--plan", path.to_str().expect("plain"), "init", "--blue", &dead(), "--green", &dead(), "-X", property];
        for args in [args.to_vec(), [&args[..], &["--json"]].concat()] {
            let output = cutover(&args);
            assert_eq!(output.status.code(), Some(2), "{}", err(&output));
            let said = out(&output) + &err(&output);
            let plain = said.replace("\\\"", "\"");
            assert!(plain.contains(words) && !said.contains("hunter2"), "{property}: {said}");
        }
    }
    assert!(!path.exists());
}

#[test]
fn init_refuses_a_file_of_properties_before_it_connects() {
    let dir = tempfile::tempdir().expect("a directory");
    let (plan, file) = (dir.path().join("new.toml"), dir.path().join("client.properties"));
    let (plan, file_name) = (plan.to_str().expect("plain"), file.to_str().expect("plain"));
    for (text, words) in [
        ("sasl.pasword=hunter2\n", "client.properties:1:1: `sasl.pasword` is not a client property (did you mean"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI\n", "speaks no Kerberos"),
        ("sasl.jaas.config=x.Y required password=hunter2\n", "sasl.username` and `sasl.password"),
        ("client.id=x\n", "no address of green is given"),
    ] {
        std::fs::write(&file, text).expect("a file");
        // nobody listens there, and nobody is asked
        let mut args = vec!["--plan", plan, "init", "--blue", "127.0.0.1:1", "--green-client-config", file_name];
        args.extend(if words.contains("no address") { [].as_slice() } else { ["--green", "127.0.0.1:2"].as_slice() });
        let output = cutover(&args);
        let said = out(&output) + &err(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && !said.contains("hunter2"), "{text}: {said}");
    }
    let output = cutover(&["--plan", plan, "init", "--blue", &dead(), "--green-client-config", "gone.properties"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("gone.properties can't be read"), "{}", err(&output));
}

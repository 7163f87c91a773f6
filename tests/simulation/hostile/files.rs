//! What people and other programs leave in files, where those lie, and what the environment and a command line hold: plans,
//! journals written by hand, lock files, paths, names of users and of variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cutover::base::{At, Side};
use cutover::journal::{Journal, LeaseHolder, Opened};
use cutover::migration::facts::event::Event;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::estate::{Estate, IDLE, quoted, topic};
use super::line::Manner;
use super::program::{Form, Reader};
use super::{EVIL, PASSES_FOR_A, inert, name, text};

/// A plan that is whole but for what follows.
fn clusters(more: &str) -> String {
    format!("[clusters.blue]\nbootstrap = \"127.0.0.1:1\"\n[clusters.green]\nbootstrap = \"127.0.0.1:2\"\n{more}\n")
}

/// Plans with something wrong in them, each with a tag; whether the tag has to be shown.
fn plans() -> Vec<(&'static str, bool, Vec<u8>)> {
    let evil = |tag: &str| quoted(&name(tag));
    let group = |more: String| clusters(&format!("[[groups]]\nname = \"g\"\n{more}"));
    let plans: Vec<(&str, bool, String)> = vec![
        ("p01", true, clusters(&format!("[migration]\n{} = 1", evil("p01")))),
        ("p02", true, clusters(&format!("[migration]\nname = {}", evil("p02")))),
        ("p03", false, group(format!("switch = {{ provider = {} }}", evil("p03")))),
        (
            "p04",
            false,
            group(format!("switch = {{ provider = \"command\", get = [\"a\", \"{{p04}}\"], set = {} }}", evil("p04"))),
        ),
        ("p05", true, clusters(&format!("[[groups]]\nname = {0}\n[[groups]]\nname = {0}", evil("p05")))),
        ("p06", true, clusters("[[groups]]\nname = \"p06\u{202e}\u{200d}raw\"")),
        ("p07", true, clusters(&format!("[[topics]]\npattern = {}", quoted(&format!("(({}", inert("p07")))))),
        ("p08", true, clusters(&format!("[[topics]]\nname = {}", quoted(&inert("p08"))))),
        ("p09", false, group(format!("window = {}", quoted(&inert("p09"))))),
        ("p10", false, group(format!("date = {}", quoted(&inert("p10"))))),
        ("p11", false, group(format!("drain_still = {}", evil("p11")))),
        (
            "p12",
            false,
            clusters(&format!(
                "[[triggers]]\nname = \"t\"\nfor = \"1m\"\nmode = \"any\"\nwhen = {}",
                quoted(&inert("p12"))
            )),
        ),
        (
            "p13",
            false,
            format!("[clusters.blue]\nbootstrap = {}\n[clusters.green]\nbootstrap = \"g:1\"\n", evil("p13")),
        ),
        ("p14", false, clusters(&format!("[clusters.blue.client]\n{} = \"x\"", evil("p14")))),
        ("p15", false, clusters(&format!("[clusters.blue.client]\n\"ssl.ca.location\" = {}", quoted(&inert("p15"))))),
        ("p16", false, clusters(&format!("[metrics.{}]\nprovider = {}", evil("p16"), evil("p16")))),
        ("p17", false, clusters(&format!("[notify.{}]\nkind = \"webhook\"\nurl = {}", evil("p17"), evil("p17")))),
        ("p18", false, format!("p18 \u{1b}[2J\u{9b}\u{202e}\n[[[{EVIL}\n")),
        ("p19", false, format!("{} = {}\n{} = 1\n", evil("p19"), evil("p19"), evil("p19"))),
        // It reads "name", and is not.
        ("p20", false, clusters(&format!("[migration]\n\"n{PASSES_FOR_A}me\" = \"p20\""))),
    ];
    let mut plans: Vec<_> = plans.into_iter().map(|(tag, shown, text)| (tag, shown, text.into_bytes())).collect();
    plans.push(("p21", false, [&b"# p21 \x1b[2J\n"[..], &[0xff, 0x9b], b"\n"].concat()));
    plans
}

#[test]
fn what_a_plan_holds_drives_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut reader = Reader::of(dir.path(), Form::Text);
    for (tag, shown, plan) in plans() {
        std::fs::write(dir.path().join("cutover.toml"), plan).expect("a plan");
        for args in [&["plan", "check"][..], &["plan", "check", "--json"], &["calendar"]] {
            reader.forget();
            // What is only doubtful is warned of.
            assert!(matches!(reader.run(args), Some(0 | 2)), "{tag}");
            if shown {
                reader.saw(&format!("{tag}, {}", args.join(" ")), &[tag]);
            }
        }
    }
    // What is wrong only when it is used: a secret is in a variable that nobody has set, or in a file that is not there.
    for (tag, secret) in [("p22", "env"), ("p23", "file")] {
        let client = format!(
            "[clusters.blue.client]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
             \"sasl.username\" = \"u\"\n\"sasl.password\" = {{ {secret} = {} }}",
            quoted(&inert(tag))
        );
        std::fs::write(dir.path().join("cutover.toml"), clusters(&client)).expect("a plan");
        for args in [&["lag"][..], &["doctor"], &["doctor", "--json"]] {
            reader.forget();
            assert_ne!(reader.run(args), Some(0), "{tag}");
            reader.saw(&format!("{tag}, {}", args.join(" ")), &[tag]);
        }
    }
    reader.finds_nothing_wrong();
}

#[test]
fn what_is_typed_as_an_argument_forges_no_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut reader = Reader::of(dir.path(), Form::Quoting);
    let evil = text("a01");
    let [lines, strategy, range, plan] =
        ["--lines=", "--strategy=", "--range=", "--plan="].map(|option| format!("{option}{evil}"));
    for args in [
        &["journal", "show", &lines][..],
        &["journal", "show", "--lines", &evil],
        &["offsets", "plan", "--group", "g", &strategy],
        &["replay", &range],
        &[plan.as_str(), &evil],
        &["group", "cutover", "g", &evil],
        &["calendar", "--format", &evil],
    ] {
        for more in [&[][..], &["--json"]] {
            assert_eq!(reader.run(&[args, more].concat()), Some(2), "{more:?}");
        }
    }
    reader.saw("what is said of arguments", &["a01"]);
    reader.finds_nothing_wrong();
}

/// A name of a file that no shell would complete.
fn file_name(tag: &str) -> String {
    format!("{tag}\u{1b}]0;x\u{7}\u{1b}[2J\u{202e}\u{200d}\nFORGED .toml")
}

#[test]
fn where_files_lie_drives_nothing() {
    let estate = Estate::start(Manner::Polite);
    let place = [file_name("d01").as_bytes(), &[0xff, 0x9b]].concat();
    let dir = estate.dir.path().join(OsStr::from_bytes(&place));
    std::fs::create_dir(&dir).expect("a directory");
    // A secret that everybody may read is warned of, by its path.
    std::fs::write(dir.join("secret"), "http://127.0.0.1:1/hook").expect("a secret");
    std::fs::set_permissions(dir.join("secret"), std::fs::Permissions::from_mode(0o644)).expect("for everybody");
    let more = "[[groups]]\nname = \"g\"\nswitch = { provider = \"file\", path = \"none.json\", key = \"k\" }\n\
                [notify.one]\nkind = \"webhook\"\nurl = { file = \"secret\" }\non = [\"hold\"]\n\
                [notify.two]\nkind = \"webhook\"\nurl = { file = \"none\" }\non = [\"hold\"]\n";
    let (plan, other) = (estate.plan("", more), file_name("f01"));
    std::fs::write(dir.join("cutover.toml"), &plan).expect("a plan");
    std::fs::write(dir.join(&other), &plan).expect("a plan");
    let (missing, written) = (file_name("f02"), file_name("f03"));
    let (blue, green) = (estate.bootstrap(Side::Blue), estate.bootstrap(Side::Green));
    let mut reader = Reader::of(&dir, Form::Quoting);
    for args in [
        &["plan", "check"][..],
        &["plan", "check", "--json"],
        &["--plan", &other, "plan", "check"],
        &["--plan", &other, "plan", "check", "--json"],
        &["--plan", &missing, "plan", "check"],
        &["--plan", &missing, "status", "--json"],
        &["--plan", &written, "init", "--blue", &blue, "--green", &green],
        &["--plan", &written, "init", "--blue", &blue, "--green", &green],
        &["doctor"],
        &["doctor", "--json"],
        &["status"],
        &["group", "hold", "g", "--reason", "lunch"],
        &["journal", "show"],
        &["journal", "verify"],
        &["journal", "verify", "--json"],
        &["offsets", "plan", "--group", &name(IDLE), "--export", &missing],
        &["replay", "--from-diff", &written],
        &["replay", "--from-diff", "none.json"],
        &["diff", "--topic", &topic("q02")],
        &["--log", &format!("none/{missing}"), "lag"],
        &["--log", &missing, "lag"],
    ] {
        reader.run(args);
    }
    reader.saw("where files lie", &["d01", "f01", "f02", "f03"]);
    reader.finds_nothing_wrong();
}

/// Facts as somebody may have written them; names, and what people said.
fn events() -> Vec<Value> {
    let (g, p) = (name("e01"), inert("e02"));
    let run = 1;
    let counts = json!({ "equal": 1, "missing": 0, "only_target": 0, "duplicated": 0, "reordered": 0, "unsettled": 0,
        "unknown_topics": 0 });
    vec![
        json!({ "event": "opened", "actor": name("e03"), "pid": 1, "version": text("e04"),
            "clusters": [name("e05"), null] }),
        json!({ "event": "pinned", "side": "green", "cluster_id": name("e06") }),
        json!({ "event": "held", "subject": { "group": g }, "why": text("e07") }),
        json!({ "event": "resumed", "subject": { "group": g } }),
        json!({ "event": "noticed", "subject": { "producer": p }, "what": text("e08") }),
        json!({ "event": "reads", "group": g, "side": "blue", "reads": { "topics": [name("e09")], "streams": text("e10") } }),
        json!({ "event": "run_started", "run": run, "kind": "cut_over", "subject": { "group": g },
            "command": { "do": "cut_over", "group": g }, "confirmed": text("e11"), "estimate": null,
            "max_re_read": null, "dry_run": false }),
        json!({ "event": "reading", "run": run, "reading": { "topics": [name("e12")], "left": [name("e13")] } }),
        json!({ "event": "passed_over", "run": run,
            "passed": { "gate": "window", "what": text("e14"), "by": name("e15"), "reason": text("e16") } }),
        json!({ "event": "needs_operator", "run": run, "why": text("e17"), "advice": text("e18") }),
        json!({ "event": "run_ended", "run": run, "end": { "failed": text("e19") } }),
        json!({ "event": "trigger_fired", "group": g, "trigger": name("e20"), "why": text("e21"), "arm": "shadow",
            "way_back": { "way_back": "closed", "why": text("e22") }, "countdown_ms": null }),
        json!({ "event": "trigger_cleared", "group": g, "trigger": name("e20") }),
        json!({ "event": "gate_turned", "group": g, "metric": null, "gate": { "gate": "fail", "why": text("e23") } }),
        json!({ "event": "phase_turned", "number": 1, "name": text("e24"), "done": 1, "total": 2 }),
        json!({ "event": "approved", "producer": p, "facts": text("e25") }),
        json!({ "event": "compared", "subject": "migration", "what": text("e26"), "verdict": text("e27"), "counts": counts }),
        json!({ "event": "replay_resumed", "replay": name("e28") }),
        json!({ "event": "held", "subject": { "group": g }, "why": text("e29") }),
    ]
}

/// Writes them into a journal, one each.
fn write_journal(path: &Path) {
    let Ok(Opened::Writer(mut journal)) = Journal::open(path, &LeaseHolder::this_process(At(0))) else {
        panic!("no journal")
    };
    for (event, at) in events().into_iter().zip(1_700_000_000_000..) {
        let event: Event = serde_json::from_value(event.clone()).unwrap_or_else(|e| panic!("{e}: {event}"));
        journal.append(At(at), name("e30"), &event).expect("the append");
    }
}

/// Adds an entry of a kind that no version has, along a chain that holds.
fn add_what_nobody_knows(path: &Path) {
    let db = rusqlite::Connection::open(path).expect("the journal");
    let last = "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1";
    let (seq, prev) =
        db.query_row(last, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).expect("an end");
    let (seq, at, actor) = (seq + 1, 1_700_000_100_000_i64, name("e31"));
    let event = json!({ "event": text("e32"), "why": text("e33") }).to_string();
    let mut sha = Sha256::new();
    sha.update(b"cutover journal 1");
    sha.update(&prev);
    sha.update(seq.to_be_bytes());
    sha.update(at.to_be_bytes());
    for part in [&actor, &event] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    let hash = sha.finalize().to_vec();
    let insert = "INSERT INTO entries (seq, at, actor, event, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    db.execute(insert, rusqlite::params![seq, at, actor, event, prev, hash]).expect("an entry");
}

/// The verbs that read a journal, and those that show what follows from it.
const READ_IT: &[&[&str]] = &[
    &["journal", "show"],
    &["journal", "show", "--json"],
    &["journal", "export"],
    &["journal", "verify"],
    &["status"],
    &["status", "--json"],
    &["doctor"],
];

#[test]
fn a_journal_that_was_written_by_hand_drives_nothing() {
    let estate = Estate::start(Manner::Polite);
    let group = format!("[[groups]]\nname = {}\nswitch = {{ provider = \"manual\" }}\n", quoted(&name("e01")));
    let plan = estate.plan("", &group).replace("[migration]\n", "[migration]\njournal = \"by-hand.journal\"\n");
    std::fs::write(estate.dir.path().join("cutover.toml"), plan).expect("a plan");
    let journal = estate.dir.path().join("by-hand.journal");
    write_journal(&journal);
    let mut reader = Reader::of(estate.dir.path(), Form::Text);
    for args in &READ_IT[..4] {
        reader.forget();
        assert_eq!(reader.run(args), Some(0), "{args:?}");
        if args[1] != "verify" {
            let told =
                ["e01", "e02", "e03", "e06", "e07", "e08", "e09", "e13", "e14", "e17", "e19", "e20", "e24", "e26"];
            reader.saw(&args.join(" "), &told);
        }
    }
    for args in &READ_IT[4..] {
        reader.run(args);
    }
    let held = [" group e01".to_owned()];
    reader.follow(&["--plain", "--read-only"], &held, |_, _| {});

    // Somebody holds it, as far as the lock file says.
    let path = estate.dir.path().join("by-hand.journal.lock");
    let lock = std::fs::File::create(&path).expect("the lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let holder = json!({ "user": name("h01"), "host": name("h02"), "pid": 7, "version": text("h03"), "since": 0 });
    std::fs::write(&path, holder.to_string()).expect("the holder");
    for args in [&["doctor"][..], &["doctor", "--json"], &["group", "hold", &name("e01"), "--reason", "lunch"]] {
        reader.forget();
        reader.run(args);
        reader.saw(&args.join(" "), &["h01", "h02", "h03"]);
    }
    drop(lock);

    add_what_nobody_knows(&journal);
    for args in READ_IT {
        reader.forget();
        reader.run(args);
        if matches!(args, ["journal", "show", ..] | ["status", "--json"]) {
            reader.saw(&args.join(" "), &["e32"]);
        }
    }
    reader.finds_nothing_wrong();
}

/// Who acts is who the environment says: anybody may be called anything.
#[test]
fn who_acts_drives_nothing() {
    let estate = Estate::start(Manner::Polite);
    let group = "[[groups]]\nname = \"g\"\nswitch = { provider = \"manual\" }\n";
    estate.write_plan("", group);
    let mut reader = Reader::of(estate.dir.path(), Form::Text).with("USER", name("u01")).with("LOGNAME", name("u02"));
    for args in [
        &["group", "hold", "g", "--reason", "lunch"][..],
        &["journal", "show"],
        &["journal", "show", "--json"],
        &["journal", "export"],
        &["status"],
        &["status", "--json"],
    ] {
        reader.forget();
        let code = reader.run(args);
        match args[0] {
            "group" => assert_eq!(code, Some(0)),
            _ => reader.saw(&args.join(" "), &["u01"]),
        }
    }
    reader.follow(&["watch"], &[" group g: ".to_owned()], |_, _| {});
    reader.finds_nothing_wrong();
}

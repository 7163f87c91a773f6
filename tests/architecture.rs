//! Holds the rules of ARCHITECTURE.md that a look at the text can hold: which room may know which,
//! what the pure core may import, and that files stay readable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where rooms lie: the pure ones are a package of their own.
const HOMES: &[&str] = &["src", "core/src"];

/// Every Rust file of the rooms, with its text.
fn all_rooms() -> Vec<(PathBuf, String)> {
    HOMES.iter().flat_map(|home| sources(home)).collect()
}

/// Every Rust file of one room, with its text.
fn room(name: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = HOMES.iter().find(|home| root.join(home).join(name).is_dir());
    sources(&format!("{}/{name}", home.unwrap_or_else(|| panic!("{name} is a room"))))
}

/// Every Rust file below a folder of the repository, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable source");
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut out);
    assert!(!out.is_empty(), "{folder} holds no Rust file: the rule would hold for nothing");
    out
}

/// The text without the unit tests at its end.
fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// What ships, without comments: a test may use what it likes.
fn code(text: &str) -> String {
    shipped(text).lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Rooms of the package that a file names: `crate::ROOM`, also inside `use crate::{a::b, c}`.
fn rooms(text: &str) -> BTreeSet<String> {
    let text = code(text);
    let mut found = BTreeSet::new();
    for (i, _) in text.match_indices("crate::") {
        let rest = &text[i + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if depth == 0 && start && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ if !word.is_empty() => {
                        found.insert(std::mem::take(&mut word));
                        start = false;
                    }
                    _ => {}
                }
            }
            if !word.is_empty() {
                found.insert(word);
            }
        } else {
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found.remove("");
    found
}

/// A room and the rooms it may name besides itself. A room names only rooms above it in this list: so there is no circle.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("estate", &["base"]),
    ("schemas", &["base"]),
    ("parity", &["base", "estate", "schemas"]),
    ("provision", &["base", "estate", "parity"]),
    ("rights", &["base", "estate"]),
    ("offsets", &["base"]),
    ("diff", &["base", "offsets"]),
    ("replay", &["base"]),
    ("migration", &["base", "estate", "parity", "offsets", "provision", "replay", "schemas"]),
    ("plan", &["base", "estate", "parity", "rights", "offsets", "migration"]),
    ("net", &["base", "plan"]),
    ("kafka", &["base", "estate", "net", "plan"]),
    ("flags", &["base", "estate", "net", "plan"]),
    ("metrics", &["base", "net", "plan", "migration"]),
    ("notify", &["base", "net", "plan", "migration"]),
    ("registry", &["base", "net", "plan", "schemas"]),
    ("journal", &["base", "migration"]),
    ("snapshot", &["base", "estate", "parity", "provision", "offsets", "diff", "replay", "migration", "plan"]),
    ("session", &["base", "estate", "offsets", "migration", "plan", "snapshot", "kafka", "flags", "journal"]),
    (
        "jobs",
        &[
            "base",
            "estate",
            "parity",
            "provision",
            "offsets",
            "diff",
            "replay",
            "schemas",
            "migration",
            "plan",
            "net",
            "registry",
            "metrics",
            "snapshot",
            "kafka",
            "session",
        ],
    ),
    (
        "controller",
        &[
            "base",
            "estate",
            "parity",
            "provision",
            "rights",
            "offsets",
            "diff",
            "replay",
            "schemas",
            "migration",
            "plan",
            "snapshot",
            "kafka",
            "metrics",
            "notify",
            "journal",
            "session",
            "jobs",
        ],
    ),
    ("tui", &["base", "estate", "parity", "offsets", "migration", "snapshot"]),
    (
        "report",
        &["base", "estate", "parity", "provision", "offsets", "diff", "replay", "schemas", "migration", "snapshot"],
    ),
    ("sim", &["base", "estate", "offsets"]),
    (
        "cli",
        &[
            "base",
            "estate",
            "parity",
            "rights",
            "offsets",
            "diff",
            "replay",
            "schemas",
            "migration",
            "plan",
            "registry",
            "journal",
            "snapshot",
            "session",
            "jobs",
            "controller",
            "tui",
            "report",
            "sim",
        ],
    ),
];

#[test]
fn rooms_stand_in_an_order_and_all_are_listed() {
    let order: Vec<&str> = MAY_KNOW.iter().map(|(room, _)| *room).collect();
    for (i, (room, allowed)) in MAY_KNOW.iter().enumerate() {
        for other in *allowed {
            assert!(
                order[..i].contains(other),
                "{room} may know {other}, which stands below it: a circle could be built"
            );
        }
    }
    for home in HOMES {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(home);
        for entry in std::fs::read_dir(src).expect("a readable folder") {
            let name = entry.expect("a readable entry").file_name().into_string().expect("a name");
            let room = name.trim_end_matches(".rs");
            let known = order.contains(&room) || ["main", "lib"].contains(&room);
            assert!(known, "{room} is a room that no wall is said for");
            let pure = PURE.contains(&room) || ["main", "lib"].contains(&room);
            assert!(*home == "src" || pure, "{room} lies in {home} and is not held to be pure");
        }
    }
}

#[test]
fn each_room_knows_only_what_it_may() {
    let mut wrong = Vec::new();
    for (name, allowed) in MAY_KNOW {
        for (path, text) in room(name) {
            for other in rooms(&text) {
                if other != *name && !allowed.contains(&other.as_str()) {
                    wrong.push(format!("{} names crate::{other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A module of tests that fills a file of its own: `tests.rs`, `tests_strategies.rs`.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("tests"))
}

/// The rooms of `core/`: Cargo keeps clients and runtimes out of them, this test what the standard library would let in.
const PURE: &[&str] =
    &["base", "estate", "migration", "offsets", "diff", "parity", "provision", "replay", "rights", "schemas"];

#[test]
fn the_core_is_pure() {
    const FORBIDDEN: &[&str] = &[
        "tokio",
        "std::fs",
        "std::net",
        "std::io",
        "std::process",
        "std::thread",
        "std::env",
        "Instant::now",
        "SystemTime",
        "rand",
        "fastrand",
        "async fn",
        "rdkafka",
        "kafka_protocol",
        "rusqlite",
        "jiff",
        "tracing",
        "println!",
        "eprintln!",
    ];
    let mut wrong = Vec::new();
    for name in PURE {
        // a room's tests may roll dice: only what ships has to be pure
        // and the two gates that belong to the process (its panic hook, what secrets it was told) are no part of a decision
        let gate = |path: &Path| ["base/redact.rs", "base/quiet.rs"].iter().any(|g| path.ends_with(g));
        let ships = |(path, _): &(PathBuf, String)| !is_test(path) && !gate(path);
        for (path, text) in room(name).into_iter().filter(ships) {
            let text = code(&text);
            for word in FORBIDDEN {
                let named = text.match_indices(word).any(|(i, _)| {
                    let before = text[..i].chars().next_back();
                    let after = text[i + word.len()..].chars().next();
                    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    !inside(before) && !inside(after)
                });
                if named {
                    wrong.push(format!("{} uses {word}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_clock_one_sleep() {
    // clippy.toml bans the calls; this holds the list of the places that lift the ban.
    const MAY_LIFT: &[&str] = &[
        "src/controller/",
        "src/jobs/",
        "src/session/",
        "src/sim/",
        "src/tui/terminal.rs",
        "src/kafka/control/router.rs",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (path, text) in all_rooms() {
        let relative = path.strip_prefix(root).expect("a file of the package").display().to_string();
        if code(&text).contains("clippy::disallowed_methods") && !MAY_LIFT.iter().any(|p| relative.starts_with(p)) {
            wrong.push(relative);
        }
    }
    assert!(wrong.is_empty(), "these lift the ban on clocks and sleeps: {}", wrong.join(", "));
}

/// Requests of the control plane that change something, and the methods that send them.
const CHANGES: &[(&str, &[&str])] = &[
    ("AlterClientQuotasRequest", &["alter_quotas"]),
    ("CreateAclsRequest", &["create_acls"]),
    ("CreatePartitionsRequest", &["create_partitions"]),
    ("CreateTopicsRequest", &["create_topics"]),
    ("DeleteAclsRequest", &["delete_acls"]),
    ("DeleteGroupsRequest", &["delete_groups"]),
    ("DeleteTopicsRequest", &["delete_topics"]),
    ("IncrementalAlterConfigsRequest", &["alter_topic_settings"]),
    ("InitProducerIdRequest", &["fence"]),
    ("OffsetCommitRequest", &["commit_offsets", "commit_offsets_with"]),
    ("OffsetDeleteRequest", &["delete_offsets"]),
    ("WriteTxnMarkersRequest", &["abort_hanging"]),
];

/// A session that only looks has no way to what changes a cluster: it is called where a lease is held.
#[test]
fn clusters_are_changed_where_a_lease_is_held() {
    const MAY_CHANGE: &[&str] =
        &["src/controller/eos/", "src/controller/executor/", "src/jobs/provision/", "src/jobs/replay/"];
    // `kafka` makes the requests, `sim` answers them.
    const ITSELF: &[&str] = &["src/kafka/", "src/sim/"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    // The pure rooms can't know `kafka`.
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !is_test(path)) {
        let relative = path.strip_prefix(root).expect("a file of the package").display().to_string();
        if MAY_CHANGE.iter().chain(ITSELF).any(|place| relative.starts_with(place)) {
            continue;
        }
        let text = code(&text);
        let called = CHANGES.iter().flat_map(|(_, methods)| *methods).filter(|m| text.contains(&format!(".{m}(")));
        wrong.extend(called.map(|method| format!("{relative} calls {method}")));
        // A registry is written to by the copy alone.
        if text.contains("RegistryWriter::new(") && !relative.starts_with("src/jobs/schemas/") {
            wrong.push(format!("{relative} writes to a registry"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_request_that_changes_a_cluster_is_listed() {
    // What asks, by the words that Kafka names requests with; `TopicRequest` is a part of one.
    const ASKS: &[&str] = &[
        "ApiVersions",
        "ConsumerGroupDescribe",
        "Describe",
        "Fetch",
        "Find",
        "List",
        "Metadata",
        "OffsetFetch",
        "OffsetForLeaderEpoch",
        "Sasl",
        "TopicRequest",
    ];
    let mut made = BTreeSet::new();
    for (_, text) in room("kafka") {
        let text = code(&text);
        for (end, _) in text.match_indices("::default()") {
            let begin = text[..end].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
            let name = &text[begin..end];
            if name.ends_with("Request") && !ASKS.iter().any(|word| name.starts_with(word)) {
                made.insert(name.to_owned());
            }
        }
    }
    let listed: BTreeSet<String> = CHANGES.iter().map(|(request, _)| (*request).to_owned()).collect();
    assert_eq!(made, listed, "whoever may call what sends it is told by the list");
}

#[test]
fn words_leave_by_one_door() {
    // What brokers say must not drive a terminal: every way out has a gate (core/src/base/sanitise.rs), and these are the ways.
    const DOORS: &[(&str, &[&str])] = &[
        ("println!(", &["src/cli/out.rs"]),
        ("print!(", &["src/cli/out.rs"]),
        // the panic hook writes by itself, through both gates: what it reports may be the door's own fault
        ("stderr().lock()", &["src/cli/out.rs", "core/src/base/redact.rs"]),
        // the simulation serves a test, and no person
        ("stdout().lock()", &["src/cli/out.rs", "src/cli/sim.rs"]),
        ("set_string(", &["src/tui/view/line.rs"]),
        ("set_line(", &["src/tui/view/line.rs"]),
        ("ratatui::text", &["src/tui/view/line.rs", "src/tui/text.rs"]),
        // a log that is written elsewhere passes no redactor
        ("tracing_subscriber", &["src/cli/log.rs"]),
        ("tracing_appender", &["src/cli/log.rs"]),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (path, text) in all_rooms() {
        let relative = path.strip_prefix(root).expect("a file of the package").display().to_string();
        for (word, doors) in DOORS {
            if code(&text).contains(word) && !doors.contains(&relative.as_str()) {
                wrong.push(format!("{relative} has a {word} of its own"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn exit_codes_are_numbers_for_the_shell_alone() {
    // Decisions rest on the class of a trouble: `cli` turns it into a number, `report` prints the number that it is given.
    let mut wrong = Vec::new();
    for (path, text) in all_rooms() {
        let told = ["src/cli/", "src/report/"].iter().any(|room| path.display().to_string().contains(room));
        if !told && code(&text).contains("exit_code") {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "these know exit codes: {}", wrong.join(", "));
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = all_rooms()
        .into_iter()
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            (lines > 620).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "split by meaning: {}", long.join(", "));
}

#[test]
fn no_test_is_skipped_and_nothing_is_left_unfinished() {
    let ignore = format!("#[{}", "ignore");
    let words = [format!("{}!(", "todo"), format!("{}!(", "unimplemented")];
    for folder in ["src", "core/src", "tests"] {
        for (path, text) in sources(folder) {
            assert!(!text.contains(&ignore), "{} skips a test", path.display());
            for word in &words {
                assert!(!text.contains(word.as_str()), "{} holds {word}", path.display());
            }
        }
    }
}

/// How the house is counted: `cargo test --test architecture counted -- --nocapture` prints it.
#[derive(Debug, Default)]
struct HouseCount {
    files: usize,
    lines: usize,
    functions: usize,
    one_word: usize,
    types: usize,
    shared: Vec<String>,
    over_60: usize,
    comments_in_bodies: usize,
    public: usize,
}

/// The word behind the first of `heads` that a line of code begins with, its modifiers left out.
fn defined<'a>(line: &'a str, heads: &[&str]) -> Option<&'a str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(at) = heads.iter().find_map(|head| rest.strip_prefix(head)) {
            let end = at.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(at.len());
            return (end > 0).then(|| &at[..end]);
        }
        let modifier = ["pub ", "const ", "async ", "unsafe "].iter().find_map(|m| rest.strip_prefix(m));
        let within = || rest.strip_prefix("pub(").and_then(|r| r.split_once(") ").map(|(_, r)| r));
        rest = modifier.or_else(within)?;
    }
}

/// What ships: a file without the unit tests at its end.
fn count_house() -> HouseCount {
    let mut house = HouseCount::default();
    let mut names: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for (_, text) in all_rooms().into_iter().filter(|(path, _)| !is_test(path)) {
        let text = shipped(&text);
        house.files += 1;
        house.lines += text.lines().count();
        // A function ends at the brace that stands as far to the right as its `fn`: rustfmt sees to that.
        let mut open: Option<(usize, usize)> = None;
        for (n, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if let Some(name) = defined(line, &["fn "]) {
                house.functions += 1;
                house.one_word += usize::from(!name.trim_matches('_').contains('_'));
                house.public += usize::from(line.trim_start().starts_with("pub "));
                if open.is_none() {
                    open = Some((indent, n));
                }
            } else if let Some(name) = defined(line, &["struct ", "enum ", "trait ", "type "]) {
                // The types of a trait are no nouns of the crate.
                if indent == 0 || !line.trim_start().starts_with("type ") {
                    *names.entry(name.to_owned()).or_default() += 1;
                }
                house.public += usize::from(line.trim_start().starts_with("pub "));
            }
            match open {
                Some((at, from)) if indent == at && line.trim() == "}" => {
                    house.over_60 += usize::from(n - from > 60);
                    open = None;
                }
                Some((at, from)) if n > from && indent > at => {
                    house.comments_in_bodies += usize::from(line.trim_start().starts_with("// "));
                }
                _ => {}
            }
        }
    }
    house.types = names.values().sum();
    house.shared = names.into_iter().filter(|(_, n)| *n > 1).map(|(name, n)| format!("{name} ({n})")).collect();
    house
}

/// The shares of quinn, jj, helix and trippy: 21 to 34 % of functions have names of one word, 4 to 25 % of types share theirs.
#[test]
fn names_are_counted_and_say_what_they_do() {
    let house = count_house();
    println!("{house:#?}");
    let share = 100 * house.one_word / house.functions;
    println!("{share} % of functions have names of one word");
    assert!(share <= 25, "{share} % of {} functions have names of one word: a verb and an object", house.functions);
    assert!(house.shared.len() * 100 <= house.types, "one noun names one thing: {}", house.shared.join(", "));
}

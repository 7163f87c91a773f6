//! The world is hostile: whatever answers (brokers, providers of switches and metrics, commands, targets of notifications,
//! files, the environment) says things that drive terminals, break lines, hide, and pass for something else. The real
//! program is run on it, verb by verb, and everything that it says is read byte by byte. `tests/screens/hostile.rs` does the
//! same to everything that is made of a snapshot; here is the way in, and what is said without one.
//!
//! Each foreign text has a tag of its own: what is not shown at all would prove nothing. All that is wrong is told at once.

mod estate;
mod files;
mod line;
mod program;
mod providers;

use cutover::base::Side;
use cutover::base::sanitise::{ascii_json, visible_name};
use serde_json::Value;

use crate::pty::{self, key};
use crate::receiver::Receiver;
use estate::*;
use line::Manner;
use program::{Form, Reader, SOON};

/// Titles and clipboards of terminals, C0, C1 and DEL, what turns text round, joins and hides it, spaces that are none,
/// piled marks, the end of a line, and one that would look like ours. No NUL: arguments and C strings end there.
const EVIL: &str = "\u{1b}]0;x\u{7}\u{1b}]52;c;eA==\u{7}\u{1b}[2J\u{9b}31m\u{7f}\u{85}\u{202e}\u{2066}\u{200d}\u{200b}\
                    \u{feff}\u{a0}\u{2028}e\u{301}\u{302}\u{303}\u{304}\r\nFORGED ";
/// What begins a line that somebody else made.
const FORGED: &str = "FORGED";
/// A Cyrillic letter that passes for the Latin one: in a name it has to be marked, in a sentence it is its writer's.
const PASSES_FOR_A: char = '\u{430}';

/// A name that attacks, and passes for another one. What we make visible in it is told apart from what it is.
fn name(tag: &str) -> String {
    format!("{tag}{EVIL}p{PASSES_FOR_A}y")
}

/// A sentence that attacks, and does not end.
fn text(tag: &str) -> String {
    format!("{tag}{EVIL}{}", "x".repeat(300))
}

/// A name that a plan takes: nothing acts in it, and it passes for another one all the same.
fn inert(tag: &str) -> String {
    format!("{tag}\u{a0}p{PASSES_FOR_A}y\u{e000}")
}

/// Everything that the program says of both clusters, in words and for machines.
const LOOKS: &[&[&str]] =
    &[&["lag"], &["status"], &["doctor"], &["lag", "--json"], &["status", "--json"], &["doctor", "--json"]];

#[test]
fn names_on_kafka_drive_nothing_and_are_told_apart_in_every_output() {
    let estate = Estate::start(Manner::Polite);
    let told = Receiver::start(200);
    estate.write_plan("", &(estate.named() + &told.section("ops", "on = [\"hold\", \"run\", \"controller\"]")));
    let mut reader = Reader::of(estate.dir.path(), Form::Text);
    looks(&mut reader);
    measures(&mut reader);
    acts(&mut reader);
    goes_on(&mut reader);
    let group = visible_name(&name(IDLE));
    let taken = told.until("the hold is told", |m| m["event"] == "held" && m["group"] == group);
    for text in taken.iter().flat_map(strings) {
        reader.read("a notification", Form::Text, text.as_bytes());
    }
    cockpit(&mut reader);
    writes_a_plan(&estate, &mut reader);
    reader.finds_nothing_wrong();
}

/// The verbs that look.
fn looks(reader: &mut Reader) {
    let twins: Vec<String> = TWINS.iter().map(|end| visible_name(&twin(end))).collect();
    for args in LOOKS {
        reader.forget();
        reader.run(args);
        reader.saw(&args.join(" "), &[IDLE, CARRIES, LIVE, OTHER, WAITS]);
        if !args.contains(&"--json") {
            reader.saw(&args.join(" "), &twins);
        }
    }
    reader.run(&["lag"]);
    reader.saw("lag", &[NUL, STRAY]);
    for args in [&["calendar"][..], &["calendar", "--json"], &["plan", "check"], &["plan", "check", "--json"]] {
        reader.run(args);
    }
    reader.saw("the calendar", &[MIGRATION, WINDOW, TEAM]);
    let ics = reader.take(&["calendar", "--format", "ics"]);
    reader.read("calendar --format ics", Form::Text, ics.replace("\r\n", "\n").as_bytes());
}

/// The verbs that read records.
fn measures(reader: &mut Reader) {
    let (idle, carries, waits) = (name(IDLE), name(CARRIES), name(WAITS));
    reader.forget();
    for group in [&idle, &carries, &waits] {
        let plan = ["offsets", "plan", "--group", group];
        reader.run(&[&plan[..], &["--records", "--show-values"]].concat());
        reader.run(&[&plan[..], &["--json", "--show-values"]].concat());
    }
    reader.saw("offsets plan", &[READ, IDLE, KEY, VALUE]);
    reader.forget();
    let (read, differs) = (topic(READ), topic(DIFFERS));
    let range = format!("{differs}:0:0-1");
    for args in [
        &["diff", "--topic", &read, "--topic", &differs][..],
        &["diff", "--topic", &differs, "--json", "--progress", "json"],
        &["diff", "--group", &idle],
        &["replay", "--range", &range, "--dry-run", "--yes", &differs],
        &["replay", "--group", &idle, "--dry-run"],
        &["replay", "--resume", "q27"],
    ] {
        reader.run(args);
    }
    reader.saw("diff", &[READ, DIFFERS]);
    // For Kafka's own tool names stay what they are: this output alone is no text for people.
    let csv = ["offsets", "plan", "--csv", "--group", &idle];
    let file = reader.take(&csv);
    assert!(file.contains(&read), "the topic as Kafka has it: {file:?}");
    // And nobody's terminal gets it.
    let terminal = pty::cutover(&csv, &[], &reader.place(), (200, 50));
    let exit = terminal.wait_exit(SOON);
    assert!(exit.is_some_and(|exit| exit != pty::Exit::Code(0)), "{}", terminal.screen_text());
    reader.wire("CSV on a terminal", &terminal);
}

/// The verbs that change something, and what the journal says of it.
fn acts(reader: &mut Reader) {
    let (idle, shown, other, producer) = (name(IDLE), visible_name(&name(IDLE)), name(OTHER), inert(PRODUCER));
    let (why, unknown) = (text("q28"), name("q29"));
    reader.forget();
    let apply = ["offsets", "apply", "--group", &idle, "--yes", &shown];
    assert_eq!(reader.run(&apply), Some(0), "by the name as it is shown");
    assert_eq!(reader.run(&["group", "hold", &idle, "--reason", &why]), Some(0));
    assert_eq!(reader.run(&["producer", "hold", &producer, "--reason", &why, "--json"]), Some(0));
    reader.saw("what was done", &[IDLE, READ, PRODUCER]);
    for args in [
        &["offsets", "apply", "--group", &idle][..],
        &["group", "cutover", &other, "--yes", &other],
        &["group", "cutover", &unknown, "--yes", &unknown],
        &["group", "rollback", &idle, "--yes", &idle, "--json"],
        &["group", "resume", &idle],
        &["producer", "resume", &producer],
        &["producer", "cutover", &producer, "--yes", &producer],
    ] {
        reader.run(args);
    }
    reader.saw("what was refused", &[OTHER, "q29"]);
    reader.forget();
    for args in
        [&["journal", "show"][..], &["journal", "show", "--json"], &["journal", "export"], &["journal", "verify"]]
    {
        assert_eq!(reader.run(args), Some(0), "{args:?}");
    }
    reader.saw("the journal", &[IDLE, READ, PRODUCER, "q28"]);
    reader.run(&["--log-file", "log", "status"]);
    reader.file("log", Form::Quoting);
}

/// What goes on until it is ended, and the pages of its server.
fn goes_on(reader: &mut Reader) {
    let ids = || [IDLE, LIVE, WAITS].map(name).into_iter().chain(TWINS.iter().map(|end| twin(end)));
    let words: Vec<String> = ids().map(|id| format!(" group {}: ", visible_name(&id))).collect();
    reader.follow(&["--plain", "--read-only"], &words, |_, _| {});
    let json: Vec<String> = ids().map(|id| ascii_json(&Value::from(id).to_string()).into_owned()).collect();
    reader.follow(&["watch", "--json"], &json, |_, _| {});
    let listens = "metrics for Prometheus at http://";
    let words = [words, vec![listens.to_owned()]].concat();
    reader.follow(&["watch", "--metrics", "127.0.0.1:0"], &words, |reader, lines| {
        let address = lines.iter().find_map(|line| Some(line.split_once(listens)?.1.split_once('/')?.0));
        let address = address.expect("where it listens");
        reader.forget();
        let page = reader.page(address, "/metrics");
        crate::format::parse(&page).unwrap_or_else(|e| panic!("{e}"));
        reader.saw("the page of metrics", &[MIGRATION, IDLE, ALIKE]);
        reader.page(address, "/");
        reader.page(address, "/healthz");
    });
}

/// The cockpit in a terminal: the table of groups, the screen of one that has a member, and every tab.
fn cockpit(reader: &mut Reader) {
    let terminal = pty::cutover(&[], &[], &reader.place(), (120, 40));
    terminal.wait_for_text(SOON, ALIKE);
    reader.wire("the table of groups", &terminal);
    terminal.send("/");
    terminal.send(LIVE);
    terminal.send(key::ENTER);
    terminal.wait_for(SOON, |s| s.contents().lines().any(|l| l.contains('▸') && l.contains(LIVE)).then_some(()));
    terminal.send(key::ENTER);
    terminal.wait_for_text(SOON, "verdict");
    reader.wire("the screen of a group", &terminal);
    for tab in ["2", "3", "4", "5", "1"] {
        let before = terminal.screen_text();
        terminal.send(tab);
        // Ages count on every second: it is painted anew in any case.
        terminal.wait_for(SOON, |s| (s.contents() != before).then_some(()));
    }
    reader.wire("the cockpit", &terminal);
}

/// `init` writes what it found into a file that people read, and that the program reads back.
fn writes_a_plan(estate: &Estate, reader: &mut Reader) {
    let (blue, green) = (estate.bootstrap(Side::Blue), estate.bootstrap(Side::Green));
    let (usable, not) = (inert("q35"), text("q36"));
    reader.forget();
    for (file, name, json) in [("one.toml", &usable, None), ("two.toml", &not, Some("--json"))] {
        let init = ["--plan", file, "init", "--blue", &blue, "--green", &green, "--name", name];
        let args: Vec<&str> = init.into_iter().chain(json).collect();
        assert_eq!(reader.run(&args), Some(0), "{file}");
        reader.file(file, Form::Text);
        assert_eq!(reader.run(&["--plan", file, "plan", "check"]), Some(0), "{file}");
    }
    reader.saw("a plan that was found", &[IDLE, READ, CLIENT, HOST]);
}

/// Every text in a document.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// The words of brokers that refuse, an address that nobody can have, and a topic that may not be seen.
#[test]
fn what_brokers_say_when_they_refuse_drives_nothing() {
    let estate = Estate::start(Manner::Refusing);
    estate.write_plan("", &estate.named());
    let mut reader = Reader::of(estate.dir.path(), Form::Text);
    for args in LOOKS {
        reader.run(args);
    }
    // The broker that is nowhere, and the words about a group that has members.
    reader.saw("what was looked at", &["q41", "q44"]);
    let (live, differs) = (name(LIVE), topic(DIFFERS));
    reader.run(&["offsets", "plan", "--group", &live]);
    reader.run(&["diff", "--topic", &differs]);
    let (blue, green) = (estate.bootstrap(Side::Blue), estate.bootstrap(Side::Green));
    let init = ["--plan", "new.toml", "init", "--blue", &blue, "--green", &green];
    assert_eq!(reader.run(&init), Some(4), "nobody knows what the broker that is nowhere holds");
    let row = format!(" group {}: ", visible_name(&live));
    reader.follow(&["--plain", "--read-only"], &[row], |_, _| {});
    reader.finds_nothing_wrong();
}

/// The words of brokers at the door.
#[test]
fn what_brokers_say_at_the_door_drives_nothing() {
    let client = format!(
        "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = {}\n\
         \"sasl.password\" = {{ env = \"HOSTILE_PASSWORD\" }}\n",
        quoted(&inert("q53"))
    );
    let read = |(manner, tags): (Manner, [&str; 2])| {
        let estate = Estate::start(manner);
        estate.write_plan(&client, &estate.named());
        let mut reader = Reader::of(estate.dir.path(), Form::Text).with("HOSTILE_PASSWORD", "swordfish");
        for args in LOOKS {
            reader.forget();
            assert_ne!(reader.run(args), Some(0), "{args:?}: nobody was let in");
            reader.saw(&format!("{manner:?}: {}", args.join(" ")), &tags);
        }
        reader.follow(&["--plain", "--read-only"], &[tags[0].to_owned()], |_, _| {});
        reader
    };
    let readers = [(Manner::NoMechanism, ["q50", "q51"]), (Manner::NoPassword, ["q52", "q53"])].map(read);
    readers.into_iter().for_each(Reader::finds_nothing_wrong);
}

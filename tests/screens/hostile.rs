//! Hostile strings in every field of what the controller tells, read back from every output that is made of it: screens,
//! plain lines, the log, tables, JSON, metrics, the calendar. A controller that is attached to sends the same snapshot
//! from another process, so nothing of it is trusted here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use cutover::base::Trouble;
use cutover::base::sanitise::{ascii_json, is_clean, visible_name};
use cutover::migration::facts::command::Subject;
use cutover::report;
use cutover::snapshot::{JournalLine, Notice, Snapshot};
use cutover::tui::model::{Model, Overlay, Pane, Screen};
use cutover::tui::plain::list_changes;
use ratatui::buffer::Buffer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::fixture;
use crate::pictures::drawn;

/// What a client that may create a group could do to a terminal, to the order of text, and to whoever reads it.
const EVIL: &str = "\u{1b}]0;x\u{7}\u{1b}]52;c;eA==\u{7}\u{1b}[2J\u{9b}31m\r\n\t\0\u{7f}\u{85}\u{202e}\u{2066}\u{200d}\
                    \u{200b}\u{feff}\u{a0}\u{3000}\u{2028}e\u{301}\u{302}\u{303}\u{304}\u{1f1e9}\u{1f1ea}\u{fffd} ";

/// How a string is made hostile.
pub type Poison = fn(&str) -> String;

pub const POISONS: &[(&str, Poison)] = &[
    ("before", |s| format!("{EVIL}{s}")),
    ("behind", |s| format!("{s}{EVIL}")),
    ("long", |s| format!("{s}{}{EVIL}", "x\u{301}".repeat(300))),
];

/// The strings of a document, by the path that fields of the same kind share (`groups[].blue.members[].host`).
fn kinds(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::String(_) => {
            out.insert(path.to_owned());
        }
        Value::Array(items) => items.iter().for_each(|item| kinds(item, &format!("{path}[]"), out)),
        Value::Object(fields) => fields.iter().for_each(|(key, v)| kinds(v, &format!("{path}.{key}"), out)),
        _ => {}
    }
}

fn replace(value: &mut Value, path: &str, of: &BTreeSet<String>, evil: Poison) {
    match value {
        Value::String(text) if of.contains(path) => *text = evil(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, &format!("{path}[]"), of, evil)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, v)| replace(v, &format!("{path}.{key}"), of, evil)),
        _ => {}
    }
}

/// The same with every string hostile that may be any string: those that name a state of ours can't be, and say so by
/// not being read back. Counts the fields.
pub fn poisoned<T: Serialize + DeserializeOwned>(of: &T, evil: Poison) -> (T, usize) {
    let value = serde_json::to_value(of).expect("it is sent to other processes as JSON");
    let mut paths = BTreeSet::new();
    kinds(&value, "", &mut paths);
    // What a kind of field takes is tried once for all documents.
    static TAKEN: Mutex<BTreeMap<(&'static str, String), bool>> = Mutex::new(BTreeMap::new());
    let mut taken = TAKEN.lock().expect("no test fails in here");
    let read = |paths: &BTreeSet<String>| {
        let mut next = value.clone();
        replace(&mut next, "", paths, evil);
        serde_json::from_value::<T>(next)
    };
    let any: BTreeSet<String> = paths
        .into_iter()
        .filter(|path| {
            let key = (std::any::type_name::<T>(), path.clone());
            *taken.entry(key).or_insert_with(|| read(&BTreeSet::from([path.clone()])).is_ok())
        })
        .collect();
    if let Ok(all) = read(&any) {
        return (all, any.len());
    }
    // In this document one of them names a state of ours after all.
    let any: BTreeSet<String> = any.into_iter().filter(|path| read(&BTreeSet::from([path.clone()])).is_ok()).collect();
    (read(&any).expect("each of them was read"), any.len())
}

/// A scene as it would look if everything it was told were hostile.
fn scene(mut m: Model, evil: Poison, known: &mut BTreeMap<String, (Snapshot, usize)>) -> (Model, usize) {
    let mut count = 0;
    if let Some(s) = &m.snapshot {
        let key = serde_json::to_string(s.as_ref()).expect("JSON");
        let (snapshot, fields) = known.entry(key).or_insert_with(|| poisoned(s.as_ref(), evil)).clone();
        (m.snapshot, count) = (Some(Arc::new(snapshot)), fields);
    }
    m.group = m.group.map(|g| evil(&g));
    m.producer = m.producer.map(|p| evil(&p));
    if let Some(tp) = &mut m.partition {
        tp.topic = evil(&tp.topic);
    }
    m.planned = m.planned.map(|s| match s {
        Subject::Group(g) => Subject::Group(evil(&g)),
        Subject::Producer(p) => Subject::Producer(evil(&p)),
        other => other,
    });
    m.screen = match m.screen {
        Screen::Group(g) => Screen::Group(evil(&g)),
        Screen::Partition(g) => Screen::Partition(evil(&g)),
        Screen::Producer(p) => Screen::Producer(evil(&p)),
        other => other,
    };
    if let Some(flash) = &mut m.flash {
        flash.text = evil(&flash.text);
    }
    m.options.actor = evil(m.options.actor.as_str()).into();
    m.options.migration = evil(&m.options.migration);
    m.options.connecting = m.options.connecting.map(|c| evil(&c));
    m.options.zone = evil(&m.options.zone);
    match &mut m.overlay {
        Some(Overlay::Confirm(d)) => {
            d.prepared = d.prepared.take().map(|p| poisoned(&p, evil).0);
            d.command = poisoned(&d.command, evil).0;
            d.remark = d.remark.take().map(|r| evil(&r));
            d.no_estimate = d.no_estimate.take().map(|r| evil(&r));
            d.input = tui_input(evil("typed"));
        }
        Some(Overlay::Route { producer, .. }) => *producer = evil(producer),
        Some(Overlay::Say { input, remark, .. }) => {
            *remark = remark.take().map(|r| evil(&r));
            *input = tui_input(evil("typed"));
        }
        Some(Overlay::Choose(c)) => c.group = evil(&c.group),
        Some(Overlay::PassOver { command, held, .. }) => {
            *command = poisoned(command, evil).0;
            *held = evil(held);
        }
        _ => {}
    }
    (m, count)
}

fn tui_input(text: String) -> tui_input::Input {
    tui_input::Input::new(text)
}

/// No cell may hold what a terminal obeys, what it draws in no cell, or what it would draw in another number of cells.
fn harmless(name: &str, buf: &Buffer) {
    for y in 0..buf.area.height {
        for x in 0..buf.area.width {
            let symbol = buf[(x, y)].symbol();
            assert!(is_clean(&format!("a{symbol}")) && is_clean(symbol), "{name} at {x},{y}: {symbol:?}");
            assert!((1..=2).contains(&symbol.width()), "{name} at {x},{y}: {symbol:?}");
        }
    }
}

#[test]
fn no_screen_can_be_driven_by_what_it_shows() {
    for (how, evil) in POISONS {
        let mut known = BTreeMap::new();
        let mut most = 0;
        for (name, m) in crate::scenes::all() {
            let (mut m, fields) = scene(m, *evil, &mut known);
            most = most.max(fields);
            harmless(&format!("{name} {how}"), &drawn(&m));
            if *how == "before" {
                m.size = (200, 60);
                harmless(&format!("{name} {how}, wide"), &drawn(&m));
            }
        }
        assert!(most > 60, "only {most} kinds of fields were hostile");
    }
}

/// Every line of a text is clean, and there are as many as of the same text without anything hostile: nobody ends a
/// line but us.
pub fn lines(what: &str, clean: &str, hostile: &str) {
    for line in hostile.split('\n') {
        assert!(is_clean(line), "{what}: {line:?}");
    }
    assert_eq!(hostile.lines().count(), clean.lines().count(), "{what}:\n{clean}\n---\n{hostile}");
}

/// A document as it is printed holds nothing but printable ASCII, and reads back as it was.
pub fn printed(what: &str, json: &str) {
    let shown = ascii_json(json);
    assert!(shown.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)), "{what}");
    let back: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(back, serde_json::from_str::<Value>(json).expect("JSON"), "{what}: names read back raw");
}

#[test]
fn no_line_of_any_output_can_be_broken_or_driven() {
    let mut estate = fixture::estate();
    estate.calendar = fixture::calendar();
    for (how, evil) in POISONS {
        let (hostile, fields) = poisoned(&estate, *evil);
        assert!(fields > 60, "{fields}");
        let mut before = hostile.clone();
        before.groups.truncate(1);
        before.journal.clear();
        for (was, now) in [(None, &hostile), (Some(&before), &hostile)] {
            let told = list_changes(was, now);
            assert!(told.len() > 5, "{told:#?}");
            told.iter().for_each(|l| assert!(is_clean(l), "plain {how}: {l:?}"));
            for line in report::log::change_lines(was, now) {
                assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "log {how}: {line:?}");
                serde_json::from_str::<Value>(&line).expect("JSON");
            }
        }
        for (what, text) in
            [("lag", report::text::lag as fn(&Snapshot) -> String), ("status", report::text::status as fn(&_) -> _)]
        {
            lines(&format!("{what} {how}"), &text(&estate), &text(&hostile));
        }
        let (clean, page) =
            (report::prometheus::to_text(&estate, estate.now), report::prometheus::to_text(&hostile, hostile.now));
        lines(&format!("metrics {how}"), &clean, &page);
        let page = crate::format::parse(&page).unwrap_or_else(|e| panic!("{how}: {e}"));
        assert_eq!(page.samples.len(), crate::format::parse(&clean).expect("a page").samples.len());
        let markdown = report::calendar::markdown;
        lines(&format!("markdown {how}"), &markdown(&estate.calendar), &markdown(&hostile.calendar));
        let ics = |s: &Snapshot| report::calendar::ics(&s.calendar, s.now);
        // Long lines are folded: the lines of the calendar are those after unfolding.
        let unfolded = |text: String| text.replace("\r\n ", "").replace("\r\n", "\n");
        lines(&format!("ics {how}"), &unfolded(ics(&estate)), &unfolded(ics(&hostile)));
        for (what, json) in [
            ("lag", serde_json::to_string_pretty(&report::json::lag(&hostile))),
            ("status", serde_json::to_string_pretty(&report::json::status(&hostile))),
        ] {
            printed(&format!("{what} {how}"), &json.expect("JSON"));
        }
    }
}

/// Names that differ and look alike where nothing is marked.
pub const TWINS: &[&str] = &[
    "loan-audit",
    "loan-audit ",
    " loan-audit",
    "loan\u{200b}-audit",
    "loan\u{200d}-audit",
    "loan\\u{200b}-audit",
    "loan\u{ad}-audit",
    "lo\u{430}n-audit",
    "loan\u{2010}audit",
    "loan-audit\u{a0}",
    "loan-audit\u{fe0f}",
    "loan-audi\u{1d5cd}",
    "loan-audit\n",
    "loan-audit\u{2424}",
    "loan-audit\u{240a}",
    "lo\u{e1}n-audit",
    "loa\u{301}n-audit",
    "loan audit",
    "loan  audit",
    "loan\u{a0}audit",
    "payments-eu-west-1-settlement-ledger-audit-consumer",
    "payments-us-west-1-settlement-ledger-audit-consumer",
];

fn twins() -> Snapshot {
    let mut s = fixture::estate();
    s.groups = TWINS.iter().zip(1..).map(|(name, i)| fixture::group(name, "t", i, i)).collect();
    s.producers.clear();
    s.journal.clear();
    s
}

#[test]
fn two_names_never_look_alike_without_a_mark() {
    let s = twins();
    let cells = |width: u16| {
        let mut m = fixture::model(s.clone(), (width, 60));
        m.pane = Pane::Groups;
        let text = crate::looks::text(&drawn(&m));
        // From the head of the table on: a group a row, its name in its first column.
        let rows: Vec<String> =
            text.lines().skip_while(|l| !l.contains("group  ")).skip(1).take(TWINS.len()).map(str::to_owned).collect();
        let name = match width {
            0..=69 => 13,
            70..=99 => 15,
            100..=117 => 19,
            _ => 20,
        };
        rows.iter().map(|r| r.chars().skip(3).take(name).collect::<String>()).collect::<Vec<_>>()
    };
    for width in [60, 80, 110, 130] {
        let shown = cells(width);
        let distinct: BTreeSet<&String> = shown.iter().collect();
        assert_eq!((shown.len(), distinct.len()), (TWINS.len(), TWINS.len()), "{width}: {shown:#?}");
    }
    let table = report::text::lag(&s);
    let plain = list_changes(None, &s);
    let names: BTreeSet<String> = TWINS.iter().map(|n| visible_name(n)).collect();
    assert_eq!(names.len(), TWINS.len());
    for name in &names {
        let rows = table.lines().filter(|l| l.split("  ").next() == Some(name.as_str())).count();
        assert_eq!(rows, 1, "{name} in\n{table}");
        let told = plain.iter().filter(|l| l.contains(&format!(" group {name}: "))).count();
        assert_eq!(told, 1, "{name} in {plain:#?}");
    }
}

/// Where a column cuts names in their middle, two that differ there stay two.
#[test]
fn what_journal_and_notices_are_about_is_told_apart() {
    let mut s = fixture::estate();
    let of = |name: &str| Subject::Group(name.into());
    let said = [("first said", TWINS[20]), ("second said", TWINS[21])];
    let (line, notice) = (s.journal[0].clone(), s.notices[0].clone());
    for (seq, (text, name)) in (300..).zip(said) {
        s.journal.push(JournalLine { seq, text: text.into(), subject: Some(of(name)), ..line.clone() });
        s.notices.insert(0, Notice { subject: of(name), trouble: Trouble::new(text, ""), ..notice.clone() });
    }
    for (key, from, cells) in [("3", 30, 14), ("4", 16, 16)] {
        let mut m = fixture::model(s.clone(), (80, 24));
        crate::scenes::press(&mut m, &[key]);
        let page = crate::looks::text(&drawn(&m));
        let about = |text: &str| {
            let line = page.lines().find(|l| l.contains(text)).unwrap_or_else(|| panic!("{text} in\n{page}"));
            line.chars().skip(from).take(cells).collect::<String>()
        };
        let [first, second] = said.map(|(text, _)| about(text));
        assert!(first.starts_with("payments-") && second.starts_with("payments-"), "{first} {second}");
        assert_ne!(first, second, "{page}");
    }
}

#[test]
fn the_whole_name_of_the_row_under_the_cursor_is_told() {
    let mut m = fixture::model(twins(), (80, 24));
    m.group = Some(TWINS[20].into());
    let text = crate::looks::text(&drawn(&m));
    assert!(text.contains(TWINS[20]) && !text.contains(TWINS[21]), "{text}");
}

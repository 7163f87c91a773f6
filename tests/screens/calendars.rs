//! The migration calendar on the screen.

use cutover::migration::facts::command::Subject;
use cutover::snapshot::Snapshot;
use cutover::snapshot::calendar::{Calendar, MoveKind};
use cutover::tui::calendar::{count_moves, list_lines};
use cutover::tui::model::{Model, Screen};
use cutover::tui::theme::Glyphs;
use cutover::tui::update::{Msg, update};

use crate::fixture::{self, NOW};
use crate::scenes::press;

/// The estate with this calendar.
fn estate(calendar: Calendar) -> Snapshot {
    Snapshot { calendar, ..fixture::estate() }
}

fn shown(calendar: Calendar, size: (u16, u16)) -> Model {
    let mut m = fixture::model(estate(calendar), size);
    press(&mut m, &["6"]);
    m
}

/// Every picture of the calendar.
pub fn scenes(out: &mut Vec<(&'static str, Model)>) {
    let (small, least, wide) = ((80, 24), (60, 16), (120, 40));
    out.push(("calendar_80x24", shown(fixture::calendar(), small)));
    out.push(("calendar_60x16", shown(fixture::calendar(), least)));
    out.push(("calendar_120x40", shown(fixture::calendar(), wide)));
    let mut conflict = shown(fixture::calendar(), small);
    press(&mut conflict, &["j", "j", "j"]);
    out.push(("calendar_conflict_80x24", conflict));
    out.push(("calendar_undated_80x24", shown(fixture::undated(), small)));
    out.push(("calendar_undated_60x16", shown(fixture::undated(), least)));
    out.push(("calendar_empty_80x24", shown(Calendar::default(), small)));
    let mut ascii = fixture::model_in(estate(fixture::calendar()), small, "mono", Glyphs::Ascii);
    press(&mut ascii, &["6", "end"]);
    out.push(("calendar_ascii_mono", ascii));
    let mut hostile = crate::scenes::hostile();
    hostile.calendar = fixture::calendar();
    for (planned, group) in hostile.calendar.moves.iter_mut().zip(&hostile.groups) {
        (planned.name, planned.kind) = (group.group.clone(), MoveKind::Group);
        planned.team = group.group.clone();
        planned.window = Some(group.group.clone());
    }
    let mut m = fixture::model(hostile, small);
    press(&mut m, &["6"]);
    out.push(("calendar_hostile_80x24", m));
    out.push(("calendar_tab_80x24", fixture::model(estate(fixture::calendar()), small)));
}

fn page(m: &Model) -> String {
    crate::looks::text(&crate::pictures::drawn(m))
}

fn names(m: &Model) -> Vec<&str> {
    list_lines(m).iter().map(|l| l.planned.name.as_str()).collect()
}

#[test]
fn what_needs_somebody_now_is_on_top_and_what_is_done_at_the_foot() {
    let m = shown(fixture::calendar(), (80, 24));
    let order = [
        "doc-index",
        "loan-audit",
        "risk-score",
        "stmt-render",
        "ledger",
        "loan-report",
        "card-fraud",
        "mail-sender",
        "cust-sync",
        "loan-ledger",
    ];
    assert_eq!(names(&m), order);
    let said = page(&m);
    for piece in ["now, 1h57m left", "missed 6d7h ago", "in 1d9h", "in 7d12h", "no day", "moved"] {
        assert!(said.contains(piece), "{piece} in\n{said}");
    }
    let c = count_moves(&list_lines(&m));
    assert_eq!((c.now, c.missed, c.next, c.undated, c.moved), (2, 1, 3, 2, 2));
}

#[test]
fn a_window_that_opens_and_closes_is_told_by_the_clock_alone() {
    let mut m = shown(fixture::calendar(), (80, 24));
    const H: u64 = 3_600_000;
    let due = |m: &Model, name: &str| {
        let said = page(m);
        said.lines().find(|l| l.contains(name) && l.contains("03-0")).unwrap_or_default().to_owned()
    };
    assert!(due(&m, "loan-audit").contains("now, 1h57m left"), "{}", page(&m));
    // Nothing comes from the controller any more: the clock goes on.
    update(&mut m, Msg::Tick(NOW.plus(2 * H)));
    assert!(due(&m, "loan-audit").contains("missed 2m ago"), "{}", page(&m));
    // The moves that have no window have their whole day.
    update(&mut m, Msg::Tick(NOW.plus(40 * H)));
    assert!(due(&m, "stmt-render").contains("now, 17h57m left"), "{}", page(&m));
}

#[test]
fn times_are_told_by_the_clock_of_who_looks_and_by_the_windows_own() {
    let mut m = shown(fixture::calendar(), (80, 24));
    m.planned = Some(Subject::Producer("ledger".into()));
    let said = page(&m);
    for piece in [
        "Mon 03-09 04:00",
        "2026-03-09 04:00-07:00 Europe/Berlin",
        "2026-03-08 23:00 to 2026-03-09 02:00 America/New_York",
        "window sunday-night",
        "exactly-once producer, hard cutover",
    ] {
        assert!(said.contains(piece), "{piece} in\n{said}");
    }
}

#[test]
fn what_moved_while_its_window_was_closed_says_so() {
    let mut m = shown(fixture::calendar(), (120, 40));
    press(&mut m, &["end"]);
    assert!(page(&m).contains("soaking, outside"), "{}", page(&m));
    assert!(page(&m).contains("it moved while its window was closed"), "{}", page(&m));
    let mut s = estate(fixture::calendar());
    let group = s.groups.iter_mut().find(|g| g.group == "loan-ledger").expect("there");
    let opening = s.calendar.moves.iter().find(|p| p.name == "loan-ledger").and_then(|p| p.opening).expect("dated");
    group.stage = cutover::migration::facts::stage::Stage::Soaking { since: opening.from };
    let mut m = fixture::model(s, (120, 40));
    press(&mut m, &["6", "end"]);
    assert!(!page(&m).contains("outside"), "{}", page(&m));
}

#[test]
fn enter_goes_to_the_move_and_escape_comes_back() {
    let mut m = shown(fixture::calendar(), (80, 24));
    press(&mut m, &["j", "enter"]);
    assert_eq!(m.screen, Screen::Group("loan-audit".into()));
    press(&mut m, &["esc"]);
    assert_eq!(m.screen, Screen::Calendar);
    assert_eq!(m.planned, Some(Subject::Group("loan-audit".into())), "the cursor stays");
    m.planned = Some(Subject::Producer("ledger".into()));
    press(&mut m, &["enter"]);
    assert_eq!(m.screen, Screen::Producer("ledger".into()));
    // A number leads away from there for good.
    press(&mut m, &["1", "enter", "esc"]);
    assert_eq!(m.screen, Screen::Cockpit);
    press(&mut m, &[":", "calendar", "enter"]);
    assert_eq!(m.screen, Screen::Calendar);
    press(&mut m, &["esc"]);
    assert_eq!(m.screen, Screen::Cockpit);
    // What neither cluster knows can't be opened.
    let mut s = estate(fixture::calendar());
    s.groups.retain(|g| g.group != "doc-index");
    let mut m = fixture::model(s, (80, 24));
    press(&mut m, &["6"]);
    m.planned = Some(Subject::Group("doc-index".into()));
    press(&mut m, &["enter"]);
    assert_eq!(m.screen, Screen::Calendar);
    assert!(page(&m).contains("not seen"), "{}", page(&m));
}

#[test]
fn an_empty_calendar_says_what_to_write() {
    for size in [(60, 16), (80, 24), (120, 40)] {
        for calendar in [Calendar::default(), fixture::undated()] {
            let said = page(&shown(calendar, size));
            for piece in ["Nothing has a day yet", "[[windows]]", "date = \"2026-12-06\"", "zone ="] {
                assert!(said.contains(piece), "{piece} at {size:?} in\n{said}");
            }
        }
    }
}

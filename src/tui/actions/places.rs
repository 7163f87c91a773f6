//! Moving about: tables, screens, cursors. Nothing here asks anybody anything.

use tui_input::Input;

use super::super::calendar;
use super::super::choose;
use super::super::model::{Model, Overlay, Pane, ROUTES, RecordValues, Screen, ScreenFocus, Table};
use super::super::palette;
use super::super::parity;
use super::super::update::Cmd;
use super::super::verify;
use super::super::view;
use crate::migration::facts::command::Subject;
use crate::migration::facts::stage::Stage;
use crate::snapshot::DiffState;

fn show_pane(m: &mut Model, pane: Pane) -> Vec<Cmd> {
    m.screen = Screen::Cockpit;
    m.pane = pane;
    m.back = 0;
    m.came_from = None;
    Vec::new()
}

pub(super) fn show_groups(m: &mut Model) -> Vec<Cmd> {
    show_pane(m, Pane::Groups)
}

pub(super) fn show_producers(m: &mut Model) -> Vec<Cmd> {
    show_pane(m, Pane::Producers)
}

pub(super) fn show_journal(m: &mut Model) -> Vec<Cmd> {
    show_pane(m, Pane::Journal)
}

pub(super) fn show_notices(m: &mut Model) -> Vec<Cmd> {
    show_pane(m, Pane::Notices)
}

pub(super) fn show_verify(m: &mut Model) -> Vec<Cmd> {
    verify::go_to_diff(m);
    Vec::new()
}

pub(super) fn show_calendar(m: &mut Model) -> Vec<Cmd> {
    calendar::go_to_calendar(m);
    Vec::new()
}

pub(super) fn next_table(m: &mut Model) -> Vec<Cmd> {
    let at = Pane::ALL.iter().position(|p| *p == m.pane).unwrap_or(0);
    show_pane(m, Pane::ALL[(at + 1) % Pane::ALL.len()])
}

pub(super) fn previous_table(m: &mut Model) -> Vec<Cmd> {
    let at = Pane::ALL.iter().position(|p| *p == m.pane).unwrap_or(0);
    show_pane(m, Pane::ALL[(at + Pane::ALL.len() - 1) % Pane::ALL.len()])
}

pub(super) fn notice_subject(m: &Model) -> Option<Subject> {
    let rows = m.notices();
    let at = rows.len().checked_sub(1 + m.back)?;
    match &rows.get(at)?.subject {
        Subject::Migration | Subject::Cluster(_) => None,
        s => Some(s.clone()),
    }
}

/// Opens the screen of a group or producer.
pub(in crate::tui) fn open_subject(m: &mut Model, subject: &Subject) {
    match subject {
        Subject::Group(g) => {
            m.group = Some(g.clone());
            m.pane = Pane::Groups;
            m.partition = None;
            // It was typed for another group's partitions.
            m.filters.remove(&Table::Partitions);
            m.screen = Screen::Group(g.clone());
            // Who opens a group in the middle of its move comes to see the steps.
            let running = m.group_row(g).is_some_and(|r| matches!(r.stage, Stage::Moving { .. }) && r.run.is_some());
            m.focus = if running { ScreenFocus::Run } else { ScreenFocus::Partitions };
            (m.scroll, m.run_from) = (0, None);
        }
        Subject::Producer(p) => {
            m.producer = Some(p.clone());
            m.pane = Pane::Producers;
            m.scroll = 0;
            m.screen = Screen::Producer(p.clone());
        }
        Subject::Migration | Subject::Cluster(_) => {}
    }
}

pub(super) fn open_row(m: &mut Model) -> Vec<Cmd> {
    if let Screen::Group(id) = &m.screen {
        let at = m.partition_rows().at.map(|i| m.partition_rows().lines[i].key());
        if at.is_some() {
            (m.screen, m.partition, m.scroll) = (Screen::Partition(id.clone()), at, 0);
            m.values = RecordValues::Hidden;
        }
        return Vec::new();
    }
    if m.screen == Screen::Calendar {
        if let Some(subject) = calendar::subject_to_open(m) {
            // The calendar's own cursor stays on it, for the way back.
            m.planned = Some(subject.clone());
            open_subject(m, &subject);
            m.came_from = Some(Screen::Calendar);
        }
        return Vec::new();
    }
    let subject = if m.pane == Pane::Notices { notice_subject(m) } else { m.current_subject() };
    if let Some(subject) = subject {
        open_subject(m, &subject);
    }
    Vec::new()
}

/// Gives the detail below a table the place of the table, or the table its own.
pub(super) fn switch_detail(m: &mut Model) -> Vec<Cmd> {
    m.focus = if m.focus == ScreenFocus::Top { ScreenFocus::Partitions } else { ScreenFocus::Top };
    m.scroll = 0;
    Vec::new()
}

pub(super) fn switch_focus(m: &mut Model) -> Vec<Cmd> {
    let run = m.current_group().is_some_and(|g| g.run.is_some());
    m.focus = match m.focus {
        ScreenFocus::Partitions if view::group_folds(m) => ScreenFocus::Top,
        ScreenFocus::Partitions | ScreenFocus::Top if run => ScreenFocus::Run,
        ScreenFocus::Partitions | ScreenFocus::Top | ScreenFocus::Run => ScreenFocus::Partitions,
    };
    (m.scroll, m.run_from) = (0, None);
    Vec::new()
}

pub(super) fn go_back(m: &mut Model) -> Vec<Cmd> {
    match &m.screen {
        Screen::Partition(id) => (m.screen, m.values) = (Screen::Group(id.clone()), RecordValues::Hidden),
        // One step at a time: the filter goes before the screen does.
        _ if m.filters.remove(&m.table()).is_some() => {}
        Screen::Verify | Screen::Calendar | Screen::Parity => m.screen = m.came_from.take().unwrap_or(Screen::Cockpit),
        Screen::Cockpit => m.back = 0,
        // From the calendar one goes back to it.
        Screen::Group(_) | Screen::Producer(_) => {
            let calendar = m.came_from.take().filter(|s| *s == Screen::Calendar);
            m.screen = calendar.unwrap_or(Screen::Cockpit);
        }
    }
    Vec::new()
}

pub(super) fn open_filter(m: &mut Model) -> Vec<Cmd> {
    let input = Input::new(m.filter(m.table()).to_owned());
    m.overlay = Some(Overlay::Filter { input });
    Vec::new()
}

pub(super) fn open_help(m: &mut Model) -> Vec<Cmd> {
    m.overlay = Some(Overlay::Help { scroll: 0, find: Input::default(), finding: false });
    Vec::new()
}

pub(super) fn open_palette(m: &mut Model) -> Vec<Cmd> {
    m.overlay = Some(Overlay::Palette { input: Input::default(), selected: 0, picked: None });
    Vec::new()
}

pub(super) fn redraw(_: &mut Model) -> Vec<Cmd> {
    vec![Cmd::Redraw]
}

/// Rows that a page key moves.
fn rows_per_page(m: &Model) -> i64 {
    i64::from(m.size.1.saturating_sub(14).max(5))
}

fn move_index(at: usize, by: i64, len: usize) -> usize {
    // `first` and `last` move by half of all integers: nothing may overflow.
    let at = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(by).max(0);
    usize::try_from(at).unwrap_or(0).min(len.saturating_sub(1))
}

/// A first line that is moved; `hidden` lines have no room, and so many can be scrolled away. Never beyond that: the key
/// back must do something at once.
fn scroll_first_line(at: usize, by: i64, hidden: usize) -> usize {
    move_index(at.min(hidden), by, hidden + 1)
}

/// Moves the cursor of whatever has the keys. Positive is down.
fn step_cursor(m: &mut Model, by: i64) -> Vec<Cmd> {
    let entries = match &m.overlay {
        Some(Overlay::Palette { input, .. }) => palette::list_entries(m, input.value()),
        _ => Vec::new(),
    };
    let over = view::count_hidden(m);
    match &mut m.overlay {
        Some(Overlay::Help { scroll, .. }) => *scroll = scroll_first_line(*scroll, by, over),
        Some(Overlay::Palette { selected, picked, .. }) => {
            // Whoever moves through the lines has chosen: enter then means that one.
            *selected = move_index(*selected, by, entries.len());
            *picked = entries.get(*selected).map(|e| e.completion.clone());
        }
        Some(Overlay::Route { selected, .. }) => *selected = move_index(*selected, by, ROUTES.len()),
        Some(Overlay::Range { selected, .. }) => *selected = move_index(*selected, by, verify::RANGES.len()),
        Some(Overlay::Choose(c)) => c.selected = move_index(c.selected, by, choose::list_options().len()),
        Some(Overlay::Confirm(d)) => d.scroll = scroll_first_line(d.scroll, by, over),
        Some(_) => {}
        None => step_rows(m, by),
    }
    Vec::new()
}

fn step_rows(m: &mut Model, by: i64) {
    match (&m.screen, m.pane) {
        (Screen::Group(_), _) => match view::group_scrolls(m) {
            Some((ScreenFocus::Top, hidden, at)) => m.scroll = scroll_first_line(at, by, hidden),
            Some((_, hidden, at)) => m.run_from = Some(scroll_first_line(at, by, hidden)),
            None => step_partition(m, by),
        },
        (Screen::Partition(_) | Screen::Producer(_), _) => {
            m.scroll = scroll_first_line(m.scroll, by, view::count_hidden(m))
        }
        (Screen::Verify | Screen::Calendar | Screen::Parity, _) if m.focus == ScreenFocus::Top => {
            m.scroll = scroll_first_line(m.scroll, by, view::count_hidden(m));
        }
        (Screen::Verify, _) => {
            let rows = m.diff().map_or(0, |d| match &d.state {
                DiffState::Done { result, .. } => result.rows.len(),
                _ => 0,
            });
            m.diff_at = move_index(m.diff_at, by, rows);
        }
        (Screen::Parity, _) => {
            let rows = parity::newest_table(m).map_or(0, |table| table.lines.len());
            m.parity_at = move_index(m.parity_at, by, rows);
        }
        (Screen::Calendar, _) => {
            let lines = calendar::list_lines(m);
            let at = move_index(calendar::cursor_index(m, &lines), by, lines.len());
            m.planned = lines.get(at).map(calendar::CalendarLine::subject);
        }
        (Screen::Cockpit, Pane::Groups) => {
            let rows = m.groups();
            let at = move_index(m.group_index(&rows), by, rows.len());
            m.group = rows.get(at).map(|r| r.group.clone());
        }
        (Screen::Cockpit, Pane::Producers) => {
            let rows = m.producers();
            let at = move_index(m.producer_index(&rows), by, rows.len());
            m.producer = rows.get(at).map(|r| r.name.clone());
        }
        // The newest line is at the foot, so down is towards it.
        (Screen::Cockpit, Pane::Journal) => m.back = move_index(m.back, -by, m.journal().len()),
        (Screen::Cockpit, Pane::Notices) => m.back = move_index(m.back, -by, m.notices().len()),
    }
}

/// Puts the cursor on another partition; the screen of one partition shows that one then.
fn step_partition(m: &mut Model, by: i64) {
    let rows = m.partition_rows();
    let Some(at) = rows.at else { return };
    let to = rows.lines[move_index(at, by, rows.lines.len())].key();
    // Values were asked for of one partition, and are shown of no other.
    (m.partition, m.scroll, m.values) = (Some(to), 0, RecordValues::Hidden);
}

pub(super) fn next_partition(m: &mut Model) -> Vec<Cmd> {
    step_partition(m, 1);
    Vec::new()
}

pub(super) fn previous_partition(m: &mut Model) -> Vec<Cmd> {
    step_partition(m, -1);
    Vec::new()
}

pub(super) fn step_down(m: &mut Model) -> Vec<Cmd> {
    step_cursor(m, 1)
}

pub(super) fn step_up(m: &mut Model) -> Vec<Cmd> {
    step_cursor(m, -1)
}

pub(super) fn page_down(m: &mut Model) -> Vec<Cmd> {
    let by = rows_per_page(m);
    step_cursor(m, by)
}

pub(super) fn page_up(m: &mut Model) -> Vec<Cmd> {
    let by = -rows_per_page(m);
    step_cursor(m, by)
}

pub(super) fn step_to_first(m: &mut Model) -> Vec<Cmd> {
    step_cursor(m, i64::MIN / 2)
}

pub(super) fn step_to_last(m: &mut Model) -> Vec<Cmd> {
    step_cursor(m, i64::MAX / 2)
}

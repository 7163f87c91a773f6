//! The screens, from a model to cells; one file a region. Views name roles and glyphs of the theme, never colours or
//! characters (a test holds them to it).

mod calendar;
mod choose;
mod cluster;
mod confirm;
mod eos;
mod footer;
mod gates;
mod group;
mod groups;
mod header;
mod help;
mod journal;
mod line;
mod palette;
mod parity;
mod partition;
mod partitions;
mod producer;
mod producers;
mod prompts;
mod run;
mod table;
mod tabs;
mod verify;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::{MIN_COLUMNS, MIN_ROWS, Model, Overlay, Pane, Screen, ScreenFocus};
use super::theme::Role;
use line::{Row, base_style};

/// Draws everything.
pub fn draw_view(m: &Model, frame: &mut Frame) {
    let area = frame.area();
    draw(m, area, frame.buffer_mut());
}

/// Draws everything into a buffer.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    buf.set_style(area, base_style(m.theme()));
    if area.width < MIN_COLUMNS || area.height < MIN_ROWS {
        return draw_too_small(m, area, buf);
    }
    let banners = header::banner_lines(m, area);
    let (body, over) = split_area(area, banners.len());
    let top = body.y - area.y;
    header::draw(m, &banners, Rect { height: top, ..area }, buf);
    footer::draw(m, Rect { y: area.bottom() - 1, height: 1, ..area }, buf);
    // The message first: it takes its lines from the screen.
    let body = footer::draw_message(m, body, buf);
    match &m.screen {
        Screen::Cockpit => draw_cockpit(m, body, buf),
        Screen::Group(id) => group::draw(m, id, body, buf),
        Screen::Partition(id) => partition::draw(m, id, body, buf),
        Screen::Producer(name) => producer::draw(m, name, body, buf),
        Screen::Verify => verify::draw(m, body, buf),
        Screen::Calendar => calendar::draw(m, body, buf),
        Screen::Parity => parity::draw(m, body, buf),
    }
    match &m.overlay {
        None | Some(Overlay::Filter { .. }) => {}
        Some(Overlay::Help { scroll, find, finding }) => help::draw(m, (*scroll, find, *finding), over, buf),
        Some(Overlay::Palette { input, selected, .. }) => palette::draw(m, input, *selected, over, buf),
        Some(Overlay::Route { producer, selected }) => prompts::draw_route(m, producer, *selected, over, buf),
        Some(Overlay::Range { what, selected }) => verify::draw_range(m, what, *selected, over, buf),
        Some(Overlay::Choose(c)) => choose::draw(m, c, over, buf),
        Some(Overlay::Say { saying, input, remark }) => {
            prompts::draw_word_prompt(m, saying, (input, remark.as_deref()), over, buf)
        }
        Some(Overlay::PassOver { command, gate, held, input }) => {
            prompts::draw_pass_over(m, (command, *gate, held), input, over, buf);
        }
        Some(Overlay::Leave { input }) => prompts::draw_leave(m, input, over, buf),
        Some(Overlay::Confirm(d)) => confirm::draw(m, d, over, buf),
    }
}

/// Where the screen under the header lies, with `banners` of them, and where what lies over it does.
fn split_area(area: Rect, banners: usize) -> (Rect, Rect) {
    let top = header::ROWS + u16::try_from(banners).unwrap_or(0);
    let body = Rect { y: area.y + top, height: area.height - top - 1, ..area };
    (body, Rect { y: area.y + header::ROWS, height: area.height - header::ROWS - 1, ..area })
}

/// How many lines of what scrolls have no room: by so many it can be scrolled.
#[must_use]
pub(crate) fn count_hidden(m: &Model) -> usize {
    if m.too_small() {
        return 0;
    }
    let area = Rect { x: 0, y: 0, width: m.size.0, height: m.size.1 };
    let (body, over) = split_area(area, header::banner_lines(m, area).len());
    match (&m.overlay, &m.screen) {
        (Some(Overlay::Help { find, .. }), _) => help::count_hidden(m, find, over),
        (Some(Overlay::Confirm(d)), _) => confirm::count_hidden(m, d, over),
        (None, Screen::Partition(id)) => partition::count_hidden(m, id, footer::area_above_message(m, body)),
        (None, Screen::Producer(name)) => producer::count_hidden(m, name, footer::area_above_message(m, body)),
        (None, Screen::Verify) => verify::count_hidden(m, footer::area_above_message(m, body)),
        (None, Screen::Calendar) => calendar::count_hidden(m, footer::area_above_message(m, body)),
        (None, Screen::Parity) => parity::count_hidden(m, footer::area_above_message(m, body)),
        _ => 0,
    }
}

/// Where the screen of a group lies.
fn group_area(m: &Model) -> Option<(&str, Rect)> {
    let Screen::Group(id) = &m.screen else { return None };
    let area = Rect { x: 0, y: 0, width: m.size.0, height: m.size.1 };
    let (body, _) = (!m.too_small()).then(|| split_area(area, header::banner_lines(m, area).len()))?;
    Some((id, footer::area_above_message(m, body)))
}

/// What of a group's screen the keys scroll, because it has the screen for itself: which, how many of its lines have no
/// room, and the first shown. `None`: they move through the table.
#[must_use]
pub(crate) fn group_scrolls(m: &Model) -> Option<(ScreenFocus, usize, usize)> {
    group_area(m).and_then(|(id, area)| group::find_scrolled_part(m, id, area))
}

/// Whether a group's screen has lines above the table that it has no room for.
#[must_use]
pub(crate) fn group_folds(m: &Model) -> bool {
    group_area(m).is_some_and(|(id, area)| group::hides_lines(m, id, area))
}

/// Both clusters, the tabs, and the tables there is room for.
fn draw_cockpit(m: &Model, area: Rect, buf: &mut Buffer) {
    let panel = cluster::panel_height(area.height);
    let half = area.width / 2;
    let top = Rect { height: panel, ..area };
    cluster::draw(m, [Rect { width: half, ..top }, Rect { x: area.x + half, width: area.width - half, ..top }], buf);
    tabs::draw(m, Rect { y: area.y + panel, height: 1, ..area }, buf);
    let rest = Rect { y: area.y + panel + 1, height: area.height.saturating_sub(panel + 1), ..area };
    let (table, second, tail) = share_tables(m, rest);
    match m.pane {
        Pane::Groups => groups::draw(m, table, true, buf),
        Pane::Producers => producers::draw(m, table, true, buf),
        Pane::Journal => journal::draw(m, table, buf),
        Pane::Notices => journal::draw_notices(m, table, buf),
    }
    if second.height > 0 {
        let inside = Rect { y: second.y + 1, height: second.height - 1, ..second };
        if m.pane == Pane::Groups {
            line::draw_rule(m.theme(), "producers", second, 0, buf);
            producers::draw(m, inside, false, buf);
        } else {
            line::draw_rule(m.theme(), "groups", second, 0, buf);
            groups::draw(m, inside, false, buf);
        }
    }
    if tail.height > 0 {
        journal::draw_tail(m, tail, buf);
    }
}

/// How a tall screen is shared: the table that was chosen, then the other one, then the end of the journal, each only
/// where it has room to be of use.
fn share_tables(m: &Model, rest: Rect) -> (Rect, Rect, Rect) {
    const TALL: u16 = 16;
    const LEAST: u16 = 4;
    let none = Rect { height: 0, ..rest };
    if rest.height < TALL || matches!(m.pane, Pane::Journal) {
        return (rest, none, none);
    }
    let count = |rows: usize| u16::try_from(rows + 1).unwrap_or(u16::MAX);
    let (mine, other) = match m.pane {
        Pane::Groups => (count(m.groups().len()), count(m.producers().len()).saturating_add(1)),
        Pane::Producers => (count(m.producers().len()), count(m.groups().len()).saturating_add(1)),
        _ => (count(m.notices().len()).saturating_add(6), 0),
    };
    let (reserve, journal) = if rest.height >= 26 { (if other > 0 { 15 } else { 7 }, 7) } else { (0, 0) };
    let table = mine.min(rest.height - reserve);
    let second = other.min(rest.height - table - journal);
    let second = if second < LEAST { 0 } else { second };
    let tail = rest.height - table - second;
    let (table, tail) = if tail < LEAST { (table + tail, 0) } else { (table, tail) };
    (
        Rect { height: table, ..rest },
        Rect { y: rest.y + table, height: second, ..rest },
        Rect { y: rest.y + table + second, height: tail, ..rest },
    )
}

fn draw_too_small(m: &Model, area: Rect, buf: &mut Buffer) {
    let words = format!("{}x{}: too small. cutover needs {MIN_COLUMNS}x{MIN_ROWS}.", area.width, area.height);
    Row::new(m.theme()).put(Role::Hold, words).draw(area, area.height / 2, buf);
    let leaves = match &m.overlay {
        Some(Overlay::Leave { .. }) => "something would stop with it: ctrl-c once more leaves all the same",
        _ => "keys do nothing until then; ctrl-c leaves",
    };
    Row::new(m.theme()).put(Role::Dim, leaves).draw(area, area.height / 2 + 1, buf);
}

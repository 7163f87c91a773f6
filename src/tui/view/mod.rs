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
mod partition;
mod partitions;
mod producer;
mod producers;
mod prompts;
mod run;
mod tabs;
mod verify;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::{Model, Overlay, Pane, Screen};
use super::theme::Role;
use line::{Row, base};

/// Below this many columns nothing useful can be shown.
pub const MIN_COLUMNS: u16 = 60;
/// Below this many rows nothing useful can be shown.
pub const MIN_ROWS: u16 = 16;

/// Draws everything.
pub fn view(m: &Model, frame: &mut Frame) {
    let area = frame.area();
    draw(m, area, frame.buffer_mut());
}

/// Draws everything into a buffer.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    buf.set_style(area, base(m.theme()));
    if area.width < MIN_COLUMNS || area.height < MIN_ROWS {
        return too_small(m, area, buf);
    }
    let banners = header::banners(m, area);
    let top = header::ROWS + u16::try_from(banners.len()).unwrap_or(0);
    header::draw(m, &banners, Rect { height: top, ..area }, buf);
    footer::draw(m, Rect { y: area.bottom() - 1, height: 1, ..area }, buf);
    let body = Rect { y: area.y + top, height: area.height - top - 1, ..area };
    let body = footer::message(m, body, buf);
    match &m.screen {
        Screen::Cockpit => cockpit(m, body, buf),
        Screen::Group(id) => group::draw(m, id, body, buf),
        Screen::Partition(id) => partition::draw(m, id, body, buf),
        Screen::Producer(name) => producer::draw(m, name, body, buf),
        Screen::Verify => verify::draw(m, body, buf),
        Screen::Calendar => calendar::draw(m, body, buf),
    }
    let over = Rect { y: area.y + header::ROWS, height: area.height - header::ROWS - 1, ..area };
    match &m.overlay {
        None | Some(Overlay::Filter { .. }) => {}
        Some(Overlay::Help { scroll }) => help::draw(m, *scroll, over, buf),
        Some(Overlay::Palette { input, selected }) => palette::draw(m, input, *selected, over, buf),
        Some(Overlay::Route { producer, selected }) => prompts::route(m, producer, *selected, over, buf),
        Some(Overlay::Range { what, selected }) => verify::range(m, what, *selected, over, buf),
        Some(Overlay::Choose(c)) => choose::draw(m, c, over, buf),
        Some(Overlay::Why { subject, input }) => prompts::why(m, subject, input, over, buf),
        Some(Overlay::PassOver { command, gate, held, input }) => {
            prompts::pass_over(m, (command, *gate, held), input, over, buf);
        }
        Some(Overlay::Leave { input }) => prompts::leave(m, input, over, buf),
        Some(Overlay::Confirm(d)) => confirm::draw(m, d, over, buf),
    }
}

/// Both clusters, the tabs, and the tables there is room for.
fn cockpit(m: &Model, area: Rect, buf: &mut Buffer) {
    let panel = cluster::height(area.height);
    let half = area.width / 2;
    let top = Rect { height: panel, ..area };
    cluster::draw(m, [Rect { width: half, ..top }, Rect { x: area.x + half, width: area.width - half, ..top }], buf);
    tabs::draw(m, Rect { y: area.y + panel, height: 1, ..area }, buf);
    let rest = Rect { y: area.y + panel + 1, height: area.height.saturating_sub(panel + 1), ..area };
    let (table, second, tail) = shares(m, rest);
    match m.pane {
        Pane::Groups => groups::draw(m, table, true, buf),
        Pane::Producers => producers::draw(m, table, true, buf),
        Pane::Journal => journal::draw(m, table, buf),
        Pane::Notices => journal::notices(m, table, buf),
    }
    if second.height > 0 {
        let inside = Rect { y: second.y + 1, height: second.height - 1, ..second };
        if m.pane == Pane::Groups {
            line::rule(m.theme(), "producers", second, 0, buf);
            producers::draw(m, inside, false, buf);
        } else {
            line::rule(m.theme(), "groups", second, 0, buf);
            groups::draw(m, inside, false, buf);
        }
    }
    if tail.height > 0 {
        journal::tail(m, tail, buf);
    }
}

/// How a tall screen is shared: the table that was chosen, then the other one, then the end of the journal, each only
/// where it has room to be of use.
fn shares(m: &Model, rest: Rect) -> (Rect, Rect, Rect) {
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

fn too_small(m: &Model, area: Rect, buf: &mut Buffer) {
    let words = format!("{}x{}: too small. cutover needs {MIN_COLUMNS}x{MIN_ROWS}.", area.width, area.height);
    Row::new(m.theme()).put(Role::Hold, words).draw(area, area.height / 2, buf);
}

//! The screens, from a model to cells; one file a region. Views name roles and glyphs of the theme, never colours or
//! characters (a test holds them to it).

mod cluster;
mod confirm;
mod footer;
mod group;
mod groups;
mod header;
mod help;
mod journal;
mod line;
mod palette;
mod producer;
mod producers;
mod prompts;
mod run;
mod tabs;

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
    let banners = header::banners(m);
    let top = header::ROWS + u16::try_from(banners.len()).unwrap_or(0);
    header::draw(m, &banners, Rect { height: top, ..area }, buf);
    footer::draw(m, Rect { y: area.bottom() - 1, height: 1, ..area }, buf);
    let body = Rect { y: area.y + top, height: area.height - top - 1, ..area };
    let body = footer::message(m, body, buf);
    match &m.screen {
        Screen::Cockpit => cockpit(m, body, buf),
        Screen::Group(id) => group::draw(m, id, body, buf),
        Screen::Producer(name) => producer::draw(m, name, body, buf),
    }
    let over = Rect { y: area.y + header::ROWS, height: area.height - header::ROWS - 1, ..area };
    match &m.overlay {
        None | Some(Overlay::Filter { .. }) => {}
        Some(Overlay::Help { scroll }) => help::draw(m, *scroll, over, buf),
        Some(Overlay::Palette { input, selected }) => palette::draw(m, input, *selected, over, buf),
        Some(Overlay::Route { producer, selected }) => prompts::route(m, producer, *selected, over, buf),
        Some(Overlay::Why { subject, input }) => prompts::why(m, subject, input, over, buf),
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
    // A tall screen shows the end of the journal under the table as well.
    let tail = if rest.height >= 26 && m.pane != Pane::Journal { (rest.height / 4).min(10) } else { 0 };
    let table = Rect { height: rest.height - tail, ..rest };
    match m.pane {
        Pane::Groups => groups::draw(m, table, buf),
        Pane::Producers => producers::draw(m, table, buf),
        Pane::Journal => journal::draw(m, table, buf),
        Pane::Notices => journal::notices(m, table, buf),
    }
    if tail > 0 {
        journal::tail(m, Rect { y: rest.y + table.height, height: tail, ..rest }, buf);
    }
}

fn too_small(m: &Model, area: Rect, buf: &mut Buffer) {
    let words = format!("{}x{}: too small. cutover needs {MIN_COLUMNS}x{MIN_ROWS}.", area.width, area.height);
    Row::new(m.theme()).put(Role::Hold, words).draw(area, area.height / 2, buf);
}

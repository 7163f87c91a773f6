//! What screens look like, as text; and what no screen ever does.

use cutover::tui::model::Model;
use cutover::tui::view;
use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::pictures::drawn;
use crate::{fixture, scenes};

/// A buffer as lines of text.
pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buf[(x, y)].symbol();
            skip = symbol.width().saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn every_scene() {
    for (name, m) in scenes::all() {
        let mut terminal = Terminal::new(TestBackend::new(m.size.0, m.size.1)).expect("a terminal");
        terminal.draw(|frame| view::draw_view(&m, frame)).expect("drawn");
        assert_snapshot!(name, text(terminal.backend().buffer()));
    }
}

#[test]
fn every_scene_fits_every_size() {
    let sizes =
        [(1, 1), (10, 3), (59, 16), (60, 15), (60, 16), (61, 17), (72, 20), (80, 24), (99, 31), (132, 43), (250, 90)];
    for (name, m) in scenes::all() {
        for (columns, rows) in sizes {
            let mut m: Model = m.clone();
            m.size = (columns, rows);
            let buf = drawn(&m);
            for y in 0..rows {
                for x in 0..columns {
                    let symbol = buf[(x, y)].symbol();
                    assert!(!symbol.chars().any(char::is_control), "{name} {columns}x{rows} at {x},{y}: {symbol:?}");
                    assert!(symbol.chars().count() <= 8, "{name}: a cell is flooded");
                }
            }
        }
    }
}

#[test]
fn nothing_is_drawn_outside_its_area() {
    // The area lies in the middle of a larger buffer; what is around it must stay as it was.
    for (name, m) in scenes::all() {
        let whole = Rect::new(0, 0, m.size.0 + 8, m.size.1 + 4);
        let inside = Rect::new(4, 2, m.size.0, m.size.1);
        let mut buf = Buffer::filled(whole, ratatui::buffer::Cell::new("~"));
        buf.set_style(whole, ratatui::style::Style::new());
        view::draw(&m, inside, &mut buf);
        for y in 0..whole.height {
            for x in 0..whole.width {
                if !inside.contains((x, y).into()) {
                    assert_eq!(buf[(x, y)].symbol(), "~", "{name} at {x},{y}");
                }
            }
        }
    }
}

#[test]
fn ascii_screens_are_ascii() {
    for name in
        ["cockpit_ascii_mono", "confirm_ascii_mono", "partition_ascii_mono", "calendar_ascii_mono", "soak_ascii_mono"]
    {
        let (_, m) = scenes::all().into_iter().find(|s| s.0 == name).expect("a scene");
        let page = text(&drawn(&m));
        assert!(page.is_ascii(), "{name}: {:?}", page.chars().find(|c| !c.is_ascii()));
    }
}

#[test]
fn the_first_frame_is_a_whole_cockpit_that_says_what_it_does() {
    let m = Model::new(fixture::options("dark", cutover::tui::theme::Glyphs::Utf8), (80, 24), fixture::NOW);
    let page = text(&drawn(&m));
    for piece in [
        "loans-psc",
        "BLUE",
        "GREEN",
        "connecting to blue-1.legacy:9092",
        "and green-1.psc.example:9092",
        "? help",
        "q quit",
    ] {
        assert!(page.contains(piece), "{piece} in\n{page}");
    }
}

#[test]
fn views_name_roles_and_glyphs_only() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tui/view");
    for entry in std::fs::read_dir(dir).expect("the views") {
        let path = entry.expect("a file").path();
        let source = std::fs::read_to_string(&path).expect("readable");
        for (n, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let place = format!("{}:{}: {line}", path.display(), n + 1);
            assert!(!code.contains("Color") && !code.contains("Modifier"), "a colour: {place}");
            assert!(code.is_ascii(), "a glyph: {place}");
        }
    }
}

//! The command palette.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::line::{Row, draw_frame, wipe_area};
use super::table::ColumnWidth::{Fixed, Rest, Share};
use super::table::{TableColumn, TableView, in_role};
use crate::base::sanitise::visible_name;
use crate::tui::actions::Readiness;
use crate::tui::model::Model;
use crate::tui::palette::{self, PaletteEntry};
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

type PaletteColumn<'t> = TableColumn<'t, &'t PaletteEntry>;

/// Most lines shown.
const LINES: u16 = 12;

/// Draws the palette at the foot of the body, over it.
pub fn draw(m: &Model, input: &Input, selected: usize, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let entries = palette::list_entries(m, input.value());
    let lines = u16::try_from(entries.len()).unwrap_or(LINES).clamp(1, LINES.min(over.height.saturating_sub(4)));
    let area = Rect { y: over.bottom() - lines - 3, height: lines + 3, ..over };
    wipe_area(theme, area, buf);
    let title = Row::new(theme).gap(1).put(Role::Strong, "Commands").gap(1);
    let inside = draw_frame(theme, area, Role::FrameFocus, title, buf);
    // What enter could not do is said where one looks.
    if let Some(flash) = &m.flash {
        let words = text::cut(&flash.text, usize::from(area.width) - 6, theme.glyph(Glyph::Ellipsis));
        let row = Row::new(theme).gap(1).put(words::tone_role(flash.tone), words).gap(1);
        let cells = u16::try_from(row.width()).unwrap_or(0).min(area.width - 2);
        row.draw(Rect { x: area.x + 2, y: area.bottom() - 1, width: cells, height: 1 }, 0, buf);
    }
    Row::new(theme)
        .gap(1)
        .put(Role::Key, ": ")
        .put(Role::Input, input.value())
        .glyph(Role::Input, Glyph::Caret)
        .draw(inside, 0, buf);
    let list = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    if entries.is_empty() {
        Row::new(theme).gap(3).put(Role::Hold, "no such command, group or producer").draw(list, 0, buf);
        return;
    }
    let at = (selected.min(entries.len() - 1), true);
    TableView::new(theme, list_columns(), usize::from(inside.width)).draw_window(entries.iter(), at, list, buf);
}

fn list_columns<'t>() -> Vec<PaletteColumn<'t>> {
    vec![
        PaletteColumn::new("command", Share { parts: 3, least: 16, most: 40 }, |e, at| {
            in_role(if matches!(e.ready, Readiness::Now) { Role::Strong } else { Role::Dim }, at.name)
        })
        .tell_apart(|e| visible_completion(&e.completion)),
        PaletteColumn::new("key", Fixed(9), |e, _| in_role(Role::Key, e.key)),
        PaletteColumn::new("what it does", Rest { from: 0 }, |e, _| match &e.ready {
            Readiness::Now => in_role(Role::Text, &e.doc),
            Readiness::NotNow(why) => in_role(Role::Hold, why),
            Readiness::No => in_role(Role::Dim, &e.doc),
        }),
    ]
}

/// A line of the palette as it is shown: a word, and a foreign name made visible.
fn visible_completion(completion: &str) -> String {
    match completion.split_once(' ') {
        Some((word, name)) if !name.is_empty() => format!("{word} {}", visible_name(name)),
        _ => completion.trim_end().to_owned(),
    }
}

//! The command palette.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::line::{Row, draw_frame, visible_range, wipe_area};
use crate::base::sanitise::visible_name;
use crate::tui::actions::Readiness;
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role};
use crate::tui::{palette, text, words};

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
    let width = usize::from(inside.width);
    let at = selected.min(entries.len() - 1);
    let range = visible_range(entries.len(), at, usize::from(list.height));
    let cells = (width / 3).clamp(16, 40);
    let whole: Vec<String> = entries[range.clone()].iter().map(|e| visible_completion(&e.completion)).collect();
    let shown = text::shorten_apart(&whole, cells, theme.glyph(Glyph::Ellipsis));
    for ((y, i), shown) in (0u16..).zip(range).zip(&shown) {
        let e = &entries[i];
        let (name, doc, words) = match &e.ready {
            Readiness::Now => (Role::Strong, Role::Text, e.doc.clone()),
            Readiness::NotNow(why) => (Role::Dim, Role::Hold, why.clone()),
            Readiness::No => (Role::Dim, Role::Dim, e.doc.clone()),
        };
        let row = Row::new(theme);
        let row = if i == at { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
        let row = row.gap(1).left(name, shown, cells).gap(1).left(Role::Key, e.key, 9).gap(1);
        let left = width.saturating_sub(row.width() + 1);
        let row = row.put(doc, text::cut(&words, left, theme.glyph(Glyph::Ellipsis)));
        if i == at { row.draw_cursor(list, y, buf) } else { row.draw(list, y, buf) }
    }
}

/// A line of the palette as it is shown: a word, and a foreign name made visible.
fn visible_completion(completion: &str) -> String {
    match completion.split_once(' ') {
        Some((word, name)) if !name.is_empty() => format!("{word} {}", visible_name(name)),
        _ => completion.trim_end().to_owned(),
    }
}

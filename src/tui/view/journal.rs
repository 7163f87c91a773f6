//! The journal, newest at the foot, and the notices with what to do about each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{Row, draw_rule, visible_range};
use crate::base::sanitise::visible_name;
use crate::snapshot::{JournalLine, Severity};
use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

/// Draws the journal.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let lines = m.journal();
    Row::new(theme)
        .gap(1)
        .right(Role::Dim, "no", 6)
        .gap(1)
        .left(Role::Dim, "UTC", 9)
        .left(Role::Dim, "who", who_width(area))
        .gap(1)
        .left(Role::Dim, "about", about_width(area))
        .gap(1)
        .put(Role::Dim, "what")
        .draw(area, 0, buf);
    if lines.is_empty() {
        Row::new(theme).gap(2).put(Role::Dim, "Nothing is journalled yet.").draw(area, 1, buf);
        return;
    }
    let height = usize::from(area.height.saturating_sub(1));
    let at = lines.len() - 1 - m.back.min(lines.len() - 1);
    // The line under the cursor says all of what it says.
    let whole = if m.back > 0 { whole_entry_lines(m, lines[at], area, height.saturating_sub(1)) } else { Vec::new() };
    let mut y = 1;
    let range = visible_range(lines.len(), at, height.saturating_sub(whole.len()).max(1));
    let names = shorten_names(m, lines[range.clone()].iter().copied(), area);
    for (i, names) in range.zip(&names) {
        let row = entry_line(m, lines[i], names, area);
        if i != at || m.back == 0 {
            row.draw(area, y, buf);
            y += 1;
            continue;
        }
        row.draw_cursor(area, y, buf);
        y += 1;
        for line in &whole {
            Row::new(theme).gap(INSET).put(Role::Strong, line).draw(area, y, buf);
            y += 1;
        }
    }
}

/// Cells before a line that goes on below its row.
const INSET: usize = 4;

/// All of an entry's words, in at most `most` lines, where its row has no room for them.
fn whole_entry_lines(m: &Model, l: &JournalLine, area: Rect, most: usize) -> Vec<String> {
    let width = usize::from(area.width);
    let subject = l.subject.as_ref().map_or_else(String::new, |s| s.short_name());
    let actor = visible_name(&l.actor);
    let cut = text::width(&l.text) > text_cells(area)
        || text::width(&subject) > about_width(area)
        || text::width(&actor) > who_width(area);
    if !cut {
        return Vec::new();
    }
    let words =
        [actor.as_str(), &subject, &l.text].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": ");
    text::wrap(&words, width.saturating_sub(INSET + 1), most, m.theme().glyph(Glyph::Ellipsis))
}

/// Cells of an entry's words in its row.
fn text_cells(area: Rect) -> usize {
    usize::from(area.width).saturating_sub(1 + 6 + 1 + 9 + who_width(area) + 1 + about_width(area) + 1 + 1)
}

/// Draws the newest lines under another table.
pub fn draw_tail(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    draw_rule(theme, "journal", area, 0, buf);
    let Some(s) = &m.snapshot else { return };
    let rows = usize::from(area.height - 1);
    let newest = &s.journal[s.journal.len().saturating_sub(rows)..];
    let names = shorten_names(m, newest.iter(), area);
    for ((y, line), names) in (1u16..).zip(newest).zip(&names) {
        entry_line(m, line, names, area).draw(area, y, buf);
    }
}

fn who_width(area: Rect) -> usize {
    if area.width >= 110 { 16 } else { 12 }
}

fn about_width(area: Rect) -> usize {
    if area.width >= 110 { 20 } else { 14 }
}

/// Who, and about what, of entries that stand one below the other.
fn shorten_names<'a>(m: &Model, lines: impl Iterator<Item = &'a JournalLine>, area: Rect) -> Vec<[String; 2]> {
    let ellipsis = m.theme().glyph(Glyph::Ellipsis);
    let about_of = |l: &JournalLine| l.subject.as_ref().map_or_else(String::new, |s| s.short_name());
    let (actors, subjects): (Vec<String>, Vec<String>) = lines.map(|l| (visible_name(&l.actor), about_of(l))).unzip();
    let actors = text::shorten_apart(&actors, who_width(area), ellipsis);
    let subjects = text::shorten_apart(&subjects, about_width(area), ellipsis);
    actors.into_iter().zip(subjects).map(|(actor, subject)| [actor, subject]).collect()
}

fn entry_line<'t>(m: &'t Model, l: &JournalLine, [actor, subject]: &[String; 2], area: Rect) -> Row<'t> {
    let row = Row::new(m.theme())
        .gap(1)
        .right(Role::Dim, l.seq.to_string(), 6)
        .gap(1)
        .left(Role::Dim, text::format_clock(l.at.0), 9)
        .left(Role::Dim, actor, who_width(area))
        .gap(1)
        .left(Role::Text, subject, about_width(area))
        .gap(1);
    let left = usize::from(area.width).saturating_sub(row.width() + 1);
    row.left(Role::Text, &l.text, left)
}

/// Column at which the words of a notice begin.
const ABOUT: usize = 34;
/// Cells of what a notice is about.
const SUBJECT: usize = 16;

/// Draws the notices: a line each, and the advice of the one under the cursor beneath it.
pub fn draw_notices(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let rows = m.notices();
    if rows.is_empty() {
        Row::new(theme).gap(2).put(Role::Dim, "Nothing needs to be read.").draw(area, 1, buf);
        return;
    }
    let at = rows.len() - 1 - m.back.min(rows.len() - 1);
    let width = usize::from(area.width);
    // On a narrow screen it goes on below its own line, in all of the width.
    let narrow = width < 100;
    let inset = if narrow { INSET } else { ABOUT };
    let most = usize::from(area.height).saturating_sub(usize::from(narrow)).max(2);
    let wrapped = |words: &str, most: usize| {
        text::wrap(words, width.saturating_sub(inset + 1), most, theme.glyph(Glyph::Ellipsis))
    };
    let what = wrapped(&rows[at].trouble.what, most - 1);
    let advice = wrapped(&rows[at].trouble.advice, most - what.len());
    let height = usize::from(area.height).saturating_sub(advice.len() + what.len() + usize::from(narrow));
    let range = visible_range(rows.len(), at, height.max(1));
    let subjects: Vec<String> = rows[range.clone()].iter().map(|n| n.subject.short_name()).collect();
    let subjects = text::shorten_apart(&subjects, SUBJECT, theme.glyph(Glyph::Ellipsis));
    let mut y = 0;
    for (i, subject) in range.zip(&subjects) {
        let n = rows[i];
        let (role, word) = match n.severity {
            Severity::Info => (Role::Text, "info"),
            Severity::Warn => (Role::Hold, "warn"),
            Severity::Fail => (Role::Fail, "FAIL"),
        };
        let row = Row::new(theme);
        let row = if i == at { row.glyph(Role::Strong, Glyph::Cursor).gap(1) } else { row.gap(2) };
        let row = row
            .left(role, word, 5)
            .right(Role::Dim, text::format_age(m.clock().since(n.at)), 7)
            .gap(2)
            .left(Role::Strong, subject, SUBJECT)
            .gap(2);
        let column = row.width();
        if i != at {
            row.left(Role::Text, &n.trouble.what, width.saturating_sub(column + 1)).draw(area, y, buf);
            y += 1;
            continue;
        }
        let mut first = Some(row);
        if narrow && let Some(row) = first.take() {
            row.draw(area, y, buf);
            y += 1;
        }
        for line in &what {
            let row = first.take().unwrap_or_else(|| Row::new(theme).gap(inset));
            row.put(Role::Strong, line).draw(area, y, buf);
            y += 1;
        }
        for line in &advice {
            Row::new(theme).gap(inset).put(Role::Hold, line).draw(area, y, buf);
            y += 1;
        }
    }
}

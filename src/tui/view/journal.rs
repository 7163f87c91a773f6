//! The journal, newest at the foot, and the notices with what to do about each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{Row, draw_rule, visible_range};
use super::table::ColumnWidth::{Fixed, Rest, Steps};
use super::table::{TableColumn, TableView, in_role};
use crate::base::sanitise::visible_name;
use crate::snapshot::{JournalLine, Notice, Severity};
use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

type JournalColumn<'t> = TableColumn<'t, &'t JournalLine>;

/// The table of the journal, as wide as an area.
fn journal_table(m: &Model, area: Rect) -> TableView<'_, &JournalLine> {
    let columns = vec![
        JournalColumn::new("no", Fixed(6), |l, _| in_role(Role::Dim, l.seq.to_string())).set_gap(0).align_right(),
        JournalColumn::new("UTC", Fixed(9), |l, _| in_role(Role::Dim, text::format_clock(l.at.0))),
        JournalColumn::new("who", Steps(&[(0, 12), (110, 16)]), |_, at| in_role(Role::Dim, at.name))
            .set_gap(0)
            .tell_apart(|l| visible_name(&l.actor)),
        JournalColumn::new("about", Steps(&[(0, 14), (110, 20)]), |_, at| in_role(Role::Text, at.name))
            .tell_apart(|l| l.about()),
        JournalColumn::new("what", Rest { from: 0 }, |l, _| in_role(Role::Text, &l.text)),
    ];
    TableView::new(m.theme(), columns, usize::from(area.width))
}

/// Draws the journal.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let lines = m.journal();
    let table = journal_table(m, area);
    table.head_line().draw(area, 0, buf);
    if lines.is_empty() {
        Row::new(theme).gap(2).put(Role::Dim, "Nothing is journalled yet.").draw(area, 1, buf);
        return;
    }
    let height = usize::from(area.height.saturating_sub(1));
    let at = lines.len() - 1 - m.back.min(lines.len() - 1);
    // The line under the cursor says all of what it says.
    let whole = if m.back > 0 { whole_entry_lines(m, &table, lines[at], height.saturating_sub(1)) } else { Vec::new() };
    let mut y = 1;
    let range = visible_range(lines.len(), at, height.saturating_sub(whole.len()).max(1));
    for (i, row) in range.clone().zip(table.list_lines(lines[range].iter().copied(), None)) {
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
fn whole_entry_lines(m: &Model, table: &TableView<'_, &JournalLine>, l: &JournalLine, most: usize) -> Vec<String> {
    let (actor, subject) = (visible_name(&l.actor), l.about());
    let cut = [(l.text.as_str(), "what"), (&subject, "about"), (&actor, "who")]
        .into_iter()
        .any(|(words, column)| text::width(words) > table.count_cells(column));
    if !cut {
        return Vec::new();
    }
    let words =
        [actor.as_str(), &subject, &l.text].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": ");
    text::wrap(&words, table.width().saturating_sub(INSET + 1), most, m.theme().glyph(Glyph::Ellipsis))
}

/// Draws the newest lines under another table.
pub(crate) fn draw_tail(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    draw_rule(theme, "journal", area, 0, buf);
    let Some(s) = &m.snapshot else { return };
    let rows = usize::from(area.height - 1);
    let newest = &s.journal[s.journal.len().saturating_sub(rows)..];
    for (y, row) in (1u16..).zip(journal_table(m, area).list_lines(newest, None)) {
        row.draw(area, y, buf);
    }
}

type NoticeColumn<'t> = TableColumn<'t, &'t Notice>;

/// The table of notices; what the one under the cursor says in its row is `first`.
fn notice_table(m: &Model, first: String, area: Rect) -> TableView<'_, &Notice> {
    let columns = vec![
        NoticeColumn::new("how bad", Fixed(5), |n, _| match n.severity {
            Severity::Info => in_role(Role::Text, "info"),
            Severity::Warn => in_role(Role::Hold, "warn"),
            Severity::Fail => in_role(Role::Fail, "FAIL"),
        }),
        NoticeColumn::new("age", Fixed(7), |n, _| in_role(Role::Dim, text::format_age(m.clock().since(n.at))))
            .set_gap(0)
            .align_right(),
        NoticeColumn::new("about", Fixed(16), |_, at| in_role(Role::Strong, at.name))
            .set_gap(2)
            .tell_apart(|n| n.subject.short_name()),
        NoticeColumn::new("what", Rest { from: 0 }, move |n, at| match at.cursor {
            true => in_role(Role::Strong, first.clone()),
            false => in_role(Role::Text, &n.trouble.what),
        })
        .set_gap(2),
    ];
    TableView::new(m.theme(), columns, usize::from(area.width))
}

/// Column at which the words of a notice begin.
const ABOUT: usize = 34;

/// Draws the notices: a line each, and the advice of the one under the cursor beneath it.
pub(crate) fn draw_notices(m: &Model, area: Rect, buf: &mut Buffer) {
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
    // The row under the cursor begins what it says, or has it below.
    let below = if narrow { &what[..] } else { what.get(1..).unwrap_or_default() };
    let first = if narrow { String::new() } else { what.first().cloned().unwrap_or_default() };
    let lines = notice_table(m, first, area).list_lines(rows[range.clone()].iter().copied(), Some(at - range.start));
    let mut y = 0;
    for (i, row) in range.zip(lines) {
        row.draw(area, y, buf);
        y += 1;
        if i == at {
            let more = below.iter().map(|l| (Role::Strong, l)).chain(advice.iter().map(|l| (Role::Hold, l)));
            for (role, line) in more {
                Row::new(theme).gap(inset).put(role, line).draw(area, y, buf);
                y += 1;
            }
        }
    }
}

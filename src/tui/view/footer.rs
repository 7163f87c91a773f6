//! The last line: the keys that work now. And the lines above it: what was just said, or why the row under the cursor
//! is where it is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{Row, wipe_area};
use super::{groups, producers};
use crate::base::sanitise::visible_name;
use crate::snapshot::GroupSide;
use crate::tui::actions::{self, KeyAction};
use crate::tui::hosting;
use crate::tui::model::{Model, Overlay, Pane, Screen};
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};
use crate::tui::words;

/// Most lines of a message.
const MAX_MESSAGE: usize = 3;

/// Draws the footer.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    if let Some(Overlay::Filter { input }) = &m.overlay {
        Row::new(theme)
            .gap(1)
            .put(Role::Key, "/ ")
            .put(Role::Input, input.value())
            .glyph(Role::Input, Glyph::Caret)
            .put_at_end(
                hints_line(m, &actions::list_footer_actions(m), usize::from(area.width) / 2),
                usize::from(area.width) - 1,
            )
            .draw(area, 0, buf);
        return;
    }
    Row::new(theme)
        .gap(1)
        .then(hints_line(m, &actions::list_footer_actions(m), usize::from(area.width) - 2))
        .draw(area, 0, buf);
}

/// Keys with their words, as many as there is room for. The last one (help or leaving) always has its place.
pub(crate) fn hints_line<'t>(m: &'t Model, rows: &[&'static KeyAction], width: usize) -> Row<'t> {
    let hint =
        |a: &KeyAction| Row::new(m.theme()).put(Role::Key, actions::key_label(a)).gap(1).put(Role::KeyWord, a.word);
    // What is always there goes to the right end; the rest is cut where there is no room.
    let (always, first): (Vec<&KeyAction>, Vec<&KeyAction>) = rows.iter().copied().partition(|a| a.footer >= 60);
    let mut end = Row::new(m.theme());
    for a in always {
        end = if end.width() == 0 { hint(a) } else { end.gap(2).then(hint(a)) };
    }
    let room = width.saturating_sub(end.width() + 2);
    let mut row = Row::new(m.theme());
    for a in first {
        let next = hint(a);
        let gap = if row.width() == 0 { 0 } else { 2 };
        if row.width() + gap + next.width() > room {
            break;
        }
        row = row.gap(gap).then(next);
    }
    if row.width() == 0 { end } else { row.gap(2).then(end) }
}

/// Draws the message at the foot of the body; returns what is left of the body. Its place is always kept, so that
/// the table does not jump while one moves through it; a long answer to a key lies over the table for a while.
pub(crate) fn draw_message(m: &Model, body: Rect, buf: &mut Buffer) -> Rect {
    let theme = m.theme();
    let rest = area_above_message(m, body);
    let kept = body.height - rest.height;
    let width = usize::from(body.width) - 2;
    let said = what_to_say(m, usize::from(body.width)).map(|(role, words)| {
        let max = if m.flash.is_some() { MAX_MESSAGE } else { usize::from(kept) };
        (role, text::wrap(&words, width, max, theme.glyph(Glyph::Ellipsis)))
    });
    let said_rows = said.as_ref().map_or(0, |(_, lines)| lines.len());
    if said_rows < usize::from(kept)
        && let Some(remark) = hosting_remark(m, width)
    {
        Row::new(theme).gap(1).put(Role::Dim, remark).draw(Rect { y: body.bottom() - 1, height: 1, ..body }, 0, buf);
    }
    let Some((role, lines)) = said else { return rest };
    let rows = u16::try_from(lines.len()).unwrap_or(1).max(kept).min(body.height);
    let area = Rect { y: body.bottom() - rows, height: rows, ..body };
    wipe_area(theme, Rect { height: u16::try_from(lines.len()).unwrap_or(rows).min(rows), ..area }, buf);
    for (y, line) in (0..).zip(lines) {
        Row::new(theme).gap(1).put(role, line).draw(area, y, buf);
    }
    Rect { height: body.height - rows, ..body }
}

/// What is left of the body above a message of the usual length.
pub(crate) fn area_above_message(m: &Model, body: Rect) -> Rect {
    let kept = if m.screen == Screen::Cockpit && body.height >= 16 { 2 } else { 1 };
    Rect { height: body.height.saturating_sub(kept), ..body }
}

/// What nobody may forget while soaks count in here; `None` when nothing stops with this cockpit.
fn hosting_remark(m: &Model, width: usize) -> Option<&'static str> {
    let soaks = hosting::find_hosted(m).is_some_and(|h| !h.soaks.is_empty() || !h.producers.is_empty());
    let long = "Hosted here: closing this cockpit stops the soak clocks; `cutover watch` keeps them.";
    let short = "Hosted here: closing stops the soak clocks (cutover watch)";
    soaks.then_some(if text::width(long) <= width { long } else { short })
}

/// What was just said; else what is known of the row under the cursor.
fn what_to_say(m: &Model, columns: usize) -> Option<(Role, String)> {
    if let Some(flash) = &m.flash {
        return Some((words::tone_role(flash.tone), flash.text.clone()));
    }
    if m.screen != Screen::Cockpit {
        return None;
    }
    if m.pane == Pane::Journal {
        let lines = m.journal();
        let line = lines.get(lines.len().checked_sub(1 + m.back)?)?;
        return Some((Role::Text, format!("{} {}", line.seq, line.sentence())));
    }
    let named = |name: &str, (role, why): (Role, String)| (role, format!("{}: {why}", visible_name(name)));
    if let Some(g) = m.current_group() {
        // What was seen long ago is not said of now.
        let is_stuck = |v: &GroupSide| v.stuck && v.is_fresh(m.clock(), m.stale_after());
        let stuck =
            |side: &str| (Role::Hold, format!("stuck on {side}: there is something to read and commits do not move."));
        return words::describe_why(&g.side_state)
            .or_else(|| Some((Role::Hold, g.run.as_ref()?.because.clone()?)))
            .or_else(|| is_stuck(&g.blue).then(|| stuck("blue")))
            .or_else(|| is_stuck(&g.green).then(|| stuck("green")))
            .or_else(|| {
                let t = g.blue.trouble.as_ref().or(g.green.trouble.as_ref())?;
                Some((Role::Hold, words::to_sentence(&t.what, &t.advice)))
            })
            .map(|w| named(&g.group, w))
            .or_else(|| whole_name(&g.group, groups::NAME.count_cells(columns, 0)?));
    }
    let p = m.current_producer()?;
    words::describe_why(&p.side_state)
        .or_else(|| p.disagreement.as_ref().map(|d| (Role::Hold, d.clone())))
        .map(|w| named(&p.name, w))
        .or_else(|| whole_name(&p.name, producers::NAME.count_cells(columns, 0)?))
}

/// The whole name of the row under the cursor, where the table cuts it: names may differ only there.
fn whole_name(name: &str, cells: usize) -> Option<(Role, String)> {
    let name = visible_name(name);
    (text::width(&name) > cells).then_some((Role::Dim, name))
}

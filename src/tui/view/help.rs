//! Help: every key, made from the registry; those that work where one came from are bright.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use strum::VariantArray;
use tui_input::Input;

use super::line::{Row, centre_area, draw_frame, wipe_area};
use crate::tui::actions::{self, ACTIONS, Readiness, Scope};
use crate::tui::filter::Filter;
use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

/// Cells of a name with the gap after it.
const NAME: usize = 19;
/// Cells of the keys where there is room for the longest in one line, and where they are wrapped.
const KEYS: (usize, usize) = (16, 13);

/// Draws the help: its first line shown, what is looked for, and whether that is being typed.
pub fn draw(m: &Model, (scroll, find, finding): (usize, &Input, bool), over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let area = centre_area(over, over.width.min(100), over.height);
    wipe_area(theme, area, buf);
    let title = Row::new(theme).gap(1).put(Role::Strong, "Keys");
    let title = match finding || !find.value().is_empty() {
        true => title.gap(1).put(Role::Key, "/ ").put(Role::Input, find.value()),
        false => title,
    };
    let title = if finding { title.glyph(Role::Input, Glyph::Caret).gap(1) } else { title.gap(1) };
    let inside = draw_frame(theme, area, Role::FrameFocus, title, buf);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    let rows = help_lines(m, find.value(), usize::from(inside.width));
    if rows.is_empty() {
        Row::new(theme).gap(1).put(Role::Hold, "no key is called so; esc forgets it").draw(inside, 0, buf);
    }
    let (all, height) = (rows.len(), usize::from(inside.height));
    let skip = scroll.min(all.saturating_sub(height));
    for (y, row) in (0u16..).zip(rows.into_iter().skip(skip).take(height)) {
        row.draw(inside, y, buf);
    }
    let mut end = Row::new(theme);
    if all > height {
        end = end.gap(1).put(Role::Dim, format!("lines {}-{} of {all}", skip + 1, (skip + height).min(all))).gap(1);
        // The footer has the other keys; while a word is typed this one is a letter of it.
        if !finding {
            end = end.gap(1).put(Role::Key, "G").put(Role::KeyWord, " end ");
        }
    }
    let cells = u16::try_from(end.width()).unwrap_or(0).min(area.width);
    end.draw(Rect { x: area.right().saturating_sub(cells + 1), y: area.bottom() - 1, width: cells, height: 1 }, 0, buf);
}

/// How many lines of the help have no room.
pub(crate) fn count_hidden(m: &Model, find: &Input, over: Rect) -> usize {
    let cells = usize::from(over.width.min(100)).saturating_sub(4);
    help_lines(m, find.value(), cells).len().saturating_sub(usize::from(over.height.saturating_sub(2)))
}

/// Where one stands first, then the rest; with words to find, only keys whose row holds all of them.
fn help_lines<'t>(m: &'t Model, find: &str, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let mut under = m.clone();
    under.overlay = None;
    let here = actions::list_scopes(&under);
    let filter = Filter::new(find);
    let keys = if width < 70 { KEYS.1 } else { KEYS.0 };
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let mut rows = if find.trim().is_empty() { legend_lines(m) } else { Vec::new() };
    let order = here.iter().chain(Scope::VARIANTS.iter().filter(|s| !here.contains(s)));
    for scope in order {
        let of_scope: Vec<_> = ACTIONS
            .iter()
            .filter(|a| a.scopes.contains(scope) && filter.matches(&[&actions::keys_label(a), a.id, a.doc]))
            .collect();
        if of_scope.is_empty() {
            continue;
        }
        if !rows.is_empty() {
            rows.push(Row::new(theme));
        }
        rows.push(Row::new(theme).put(Role::TabOn, scope.title()));
        for a in of_scope {
            let now = here.contains(scope) && (a.ready)(&under) == Readiness::Now;
            let (key, doc) = if now { (Role::Key, Role::Text) } else { (Role::Dim, Role::Dim) };
            let docs = text::wrap(a.doc, width.saturating_sub(NAME + keys + 2), 12, ellipsis);
            let labels = text::wrap(&actions::keys_label(a), keys - 1, 4, ellipsis);
            for i in 0..docs.len().max(labels.len()) {
                let of = |lines: &[String]| lines.get(i).cloned().unwrap_or_default();
                let row = Row::new(theme).gap(1).left(key, of(&labels), keys);
                rows.push(row.left(Role::Dim, if i == 0 { a.id } else { "" }, NAME).put(doc, of(&docs)));
            }
        }
    }
    rows
}

/// What the marks and shapes mean.
fn legend_lines<'t>(m: &'t Model) -> Vec<Row<'t>> {
    let marks = [
        (Glyph::Alert, "needs you"),
        (Glyph::Moving, "moving"),
        (Glyph::Soaking, "soaking"),
        (Glyph::Held, "held"),
        (Glyph::Blocked, "blocked"),
        (Glyph::Check, "done"),
    ];
    let mut row = Row::new(m.theme()).gap(1);
    for (glyph, word) in marks {
        row = row.glyph(Role::Strong, glyph).put(Role::Dim, format!(" {word}  "));
    }
    let ctl = "ctl: age of the controller's word; `ctl here`: it ends with this cockpit";
    let line = Row::new(m.theme()).gap(1).glyph(Role::Ok, Glyph::Full).put(Role::Dim, " good  ");
    let line = line.glyph(Role::Fail, Glyph::Blocked).put(Role::Dim, " bad  ").glyph(Role::Dim, Glyph::Rest);
    let line = line.put(Role::Dim, " idle or to come   empty: a hole, does not count");
    vec![row.dots(3).put(Role::Dim, " no data"), line, Row::new(m.theme()).gap(1).put(Role::Dim, ctl)]
}

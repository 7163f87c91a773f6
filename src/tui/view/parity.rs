//! How green is set up beside blue: what is missing, what differs, what is not known, and what to do about the row under
//! the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{self, Row};
use super::table::ColumnWidth::{Fixed, Rest, Steps};
use super::table::{TableColumn, TableView, in_role};
use crate::base::{Cause, Trouble};
use crate::snapshot::{
    PARITY_OLD_MS, ParityClass, ParityLine, ParityTable, ParityVerdict, ProvisionState, ProvisionView,
};
use crate::tui::model::{Model, ScreenFocus};
use crate::tui::parity;
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

type ParityColumn<'t> = TableColumn<'t, &'t ParityLine>;

/// Cells of a label under the table.
const LABEL: usize = 7;
/// Least lines of the table, with its head.
const TABLE: u16 = 6;
/// Most lines of one thing that is said of a row.
const WHOLE: usize = 40;

/// Draws the screen.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    draw_title(m, area, buf);
    let mut y = 1;
    for row in saying_lines(m, area) {
        row.draw(area, y, buf);
        y += 1;
    }
    let body = Rect { y: area.y + y.min(area.height), height: area.height.saturating_sub(y), ..area };
    let (Some(table), Some((at, one))) = (parity::newest_table(m), parity::line_under_cursor(m)) else { return };
    let theme = m.theme();
    let detail = detail_lines(m, one, usize::from(body.width));
    let least = TABLE.min(u16::try_from(table.lines.len() + 1).unwrap_or(TABLE));
    let alone = m.focus == ScreenFocus::Top;
    let (above, below) = line::share_height(body.height, detail.len(), least, alone);
    if above > 0 {
        let view = TableView::new(theme, list_columns(), usize::from(body.width)).set_left_out(table.left_out);
        view.draw_table(table.lines.iter(), (at, true), Rect { height: above, ..body }, buf);
    }
    if below > 0 {
        let rest = Rect { y: body.bottom() - below, height: below, ..body };
        let name = text::cut_middle(&one.name, 40, theme.glyph(Glyph::Ellipsis));
        line::draw_detail(theme, &name, (detail, alone.then_some(m.scroll)), rest, buf);
    }
}

/// How many lines of what the row under the cursor says have no room, when they have the place for themselves.
pub(crate) fn count_hidden(m: &Model, area: Rect) -> usize {
    let Some((_, one)) = parity::line_under_cursor(m) else { return 0 };
    let said = saying_lines(m, area).len();
    let room = usize::from(area.height).saturating_sub(2 + said);
    detail_lines(m, one, usize::from(area.width)).len().saturating_sub(room)
}

/// `parity  4 block  2 unknown  5 warn  3 to know  102 the same ─── DIFFERS 32s ago`.
fn draw_title(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let mut title = Row::new(theme).gap(1).put(Role::Strong, "parity");
    let end = describe_standing(m);
    if let Some(table) = parity::newest_table(m) {
        let of = |class: ParityClass| table.counts.get(&class).copied().unwrap_or(0);
        for (n, word, role) in [
            (of(ParityClass::Blocks), if of(ParityClass::Blocks) == 1 { "blocks" } else { "block" }, Role::Fail),
            (of(ParityClass::Unknown), "unknown", Role::Unknown),
            (of(ParityClass::Warns), if of(ParityClass::Warns) == 1 { "warns" } else { "warn" }, Role::Hold),
            (of(ParityClass::Notes), "to know", Role::Dim),
            (table.same, "the same", Role::Ok),
        ] {
            let piece = format!("{n} {word}");
            if n > 0 && title.width() + piece.len() + end.width() + 6 <= usize::from(area.width) {
                title = title.gap(2).put(role, piece);
            }
        }
    }
    line::draw_titled_rule(theme, title.gap(1), end.gap(1), area, 0, buf);
}

/// The verdict with its age; what is old says so.
fn describe_standing(m: &Model) -> Row<'_> {
    let end = Row::new(m.theme());
    let end = if parity::is_looking(m) { end.put(Role::Strong, "looking").gap(1) } else { end };
    let Some((table, at)) = parity::newest_look(m).and_then(|look| look.seen.value().zip(look.seen.at())) else {
        return if parity::is_looking(m) { end } else { end.put(Role::Unknown, "UNKNOWN") };
    };
    let age = m.clock().since(at);
    let (role, word) = describe_verdict(table);
    let old = age > PARITY_OLD_MS;
    let end = end.put(if old { Role::Hold } else { role }, word);
    let end = end.put(if old { Role::Hold } else { Role::Dim }, format!(" {} ago", text::format_age(age)));
    if old { end.put(Role::Hold, " OLD") } else { end }
}

fn describe_verdict(table: &ParityTable) -> (Role, &'static str) {
    match table.verdict {
        ParityVerdict::Equal => (Role::Ok, "PARITY"),
        ParityVerdict::Unknown => (Role::Unknown, "UNKNOWN"),
        ParityVerdict::Differs => (Role::Fail, "DIFFERS"),
    }
}

/// What is to be said above the table: that nobody has looked, why a look came to nothing, that all is the same.
fn saying_lines(m: &Model, area: Rect) -> Vec<Row<'_>> {
    let theme = m.theme();
    let cells = usize::from(area.width).saturating_sub(2);
    let said = |role: Role, words: &str| {
        let lines = text::wrap(words, cells, 4, theme.glyph(Glyph::Ellipsis));
        lines.into_iter().map(|l| Row::new(theme).gap(1).put(role, l)).collect::<Vec<_>>()
    };
    if m.snapshot.is_none() {
        return said(Role::Dim, "Nothing is known yet: the controller has not answered.");
    }
    let looking = parity::is_looking(m);
    let mut rows = parity::newest_look(m).and_then(|l| l.provision.as_ref()).map_or_else(Vec::new, |one| {
        let (role, words) = describe_provision(m, one);
        said(role, &words)
    });
    rows.extend(match (parity::why_not_seen(m), parity::newest_table(m)) {
        (Some(why), _) if !(looking && why.has_cause(Cause::NotYet)) => said(Role::Fail, &describe_failure(why)),
        (_, Some(table)) if table.lines.is_empty() => {
            said(Role::Ok, "Green is set up as blue is: topics, settings, ACLs, users, quotas. No red flag is up.")
        }
        (_, Some(_)) => Vec::new(),
        (_, None) if looking => said(Role::Text, "Looking at how both clusters are set up."),
        (_, None) => {
            said(Role::Hold, "Nobody has looked yet: g looks at how both clusters are set up, and changes nothing.")
        }
    });
    rows
}

/// How far a provisioning is, or what came of the last one.
fn describe_provision(m: &Model, one: &ProvisionView) -> (Role, String) {
    match &one.state {
        ProvisionState::Running => {
            let line = one.said.last().map_or("looking at what is on green", String::as_str);
            (Role::Strong, format!("Setting green up: {line}"))
        }
        ProvisionState::Ended { at, words, class, trouble } => {
            let ago = text::format_age(m.clock().since(*at));
            let short =
                trouble.as_ref().map_or(String::new(), |t| format!(" {}", words::to_sentence(&t.what, &t.advice)));
            let role = if class.is_some() { Role::Fail } else { Role::Ok };
            (role, format!("Provisioned {ago} ago: {words}.{short}"))
        }
    }
}

fn describe_failure(why: &Trouble) -> String {
    format!("The last look came to nothing: {}", words::to_sentence(&why.what, &why.advice))
}

fn list_columns<'t>() -> Vec<ParityColumn<'t>> {
    vec![
        ParityColumn::new("", Fixed(7), |l, _| in_role(role_of(l.class), word_of(l.class))).set_gap(0),
        ParityColumn::new("kind", Fixed(8), |l, _| in_role(Role::Dim, l.kind.clone())),
        ParityColumn::new("name", Rest { from: 0 }, |l, _| in_role(Role::Text, l.name.clone())).cut_in_middle(),
        ParityColumn::new("blue", Steps(&[(60, 12), (80, 17), (120, 28)]), |l, _| in_role(Role::Dim, l.blue.clone()))
            .cut_in_middle(),
        ParityColumn::new("green", Steps(&[(60, 12), (80, 17), (120, 28)]), |l, _| {
            in_role(role_of(l.class), l.green.clone())
        })
        .cut_in_middle(),
    ]
}

fn role_of(class: ParityClass) -> Role {
    match class {
        ParityClass::Blocks => Role::Fail,
        ParityClass::Unknown => Role::Unknown,
        ParityClass::Warns => Role::Hold,
        ParityClass::Notes => Role::Dim,
    }
}

fn word_of(class: ParityClass) -> &'static str {
    match class {
        ParityClass::Blocks => "BLOCKS",
        ParityClass::Unknown => "UNKNOWN",
        ParityClass::Warns => "warns",
        ParityClass::Notes => "note",
    }
}

/// All that is known of the row under the cursor.
fn detail_lines<'t>(m: &'t Model, one: &ParityLine, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let said = |label: &'static str, role: Role, words: &str| {
        line::wrap_labelled(theme, (label, LABEL), (role, words), width, WHOLE)
    };
    let mut rows = said("what", Role::Text, &format!("{} {}", one.kind, one.name));
    for (label, value) in [("blue", &one.blue), ("green", &one.green)] {
        if !value.is_empty() {
            rows.extend(said(label, Role::Text, value));
        }
    }
    rows.extend(said("why", role_of(one.class), &one.why));
    if !one.todo.is_empty() {
        rows.extend(said("do", Role::Strong, &one.todo));
        if one.makes && !m.read_only() {
            rows.extend(said("", Role::Key, "p makes it, with all else that may be made"));
        }
    }
    rows
}

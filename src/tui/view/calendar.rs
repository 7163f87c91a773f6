//! The migration calendar: who moves next, when by the clock of who looks and by the window's own, and what was missed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{self, Row};
use super::table::ColumnWidth::{Fixed, Rest, Steps};
use super::table::{TableColumn, TableView, in_role, name_cell};
use crate::base::sanitise::visible_name;
use crate::snapshot::calendar::{MoveKind, MoveTiming, Opening, format_short_time, format_time_span};
use crate::tui::calendar::{self, CalendarLine, MoveCounts, MoveStanding};
use crate::tui::model::{Model, ScreenFocus};
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

type MoveColumn<'t> = TableColumn<'t, &'t CalendarLine<'t>>;

/// Cells of a label under the table.
const LABEL: usize = 9;
/// Least lines of the table, with its head.
const TABLE: u16 = 5;

/// What an empty calendar asks for, in two columns of which the second begins with `[[groups]]`.
const EXAMPLE: [&str; 10] = [
    "[[windows]]",
    "name = \"sunday-night\"",
    "days = [\"Sun\"]",
    "from = \"23:00\"",
    "to = \"02:00\"",
    "zone = \"America/New_York\"",
    "[[groups]]",
    "name = \"NAME\"",
    "window = \"sunday-night\"",
    "date = \"2026-12-06\"",
];

/// Lines of the example that are about a window.
const WINDOW_LINES: usize = 6;

/// Most lines of one thing that is said of a move.
const WHOLE: usize = 40;

/// Draws the screen of the calendar.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let lines = calendar::list_lines(m);
    draw_title(m, &calendar::count_moves(&lines), count_conflicts(m), area, buf);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let body = if m.snapshot.is_none() {
        Row::new(theme)
            .gap(1)
            .put(Role::Dim, "Nothing is known yet: the controller has not answered.")
            .draw(body, 0, buf);
        return;
    } else if lines.iter().all(|l| l.planned.opening.is_none()) {
        draw_empty(m, lines.len(), body, buf)
    } else {
        body
    };
    if lines.is_empty() {
        return;
    }
    let at = calendar::cursor_index(m, &lines);
    let detail = detail_lines(m, &lines[at], usize::from(body.width));
    let least = TABLE.min(u16::try_from(lines.len() + 1).unwrap_or(TABLE));
    let alone = m.focus == ScreenFocus::Top;
    let (above, below) = line::share_height(body.height, detail.len(), least, alone);
    if above > 0 {
        let table = TableView::new(theme, list_columns(m), usize::from(body.width));
        table.draw_table(lines.iter(), (at, true), Rect { height: above, ..body }, buf);
    }
    if below > 0 {
        let rest = Rect { y: body.bottom() - below, height: below, ..body };
        let name = text::cut_middle(&visible_name(&lines[at].planned.name), 40, theme.glyph(Glyph::Ellipsis));
        line::draw_detail(theme, &name, (detail, alone.then_some(m.scroll)), rest, buf);
    }
}

/// How many lines of what the move under the cursor says have no room, when they have the place for themselves.
pub(crate) fn count_hidden(m: &Model, area: Rect) -> usize {
    let lines = calendar::list_lines(m);
    let Some(line) = lines.get(calendar::cursor_index(m, &lines)) else { return 0 };
    let room = usize::from(area.height.saturating_sub(2));
    detail_lines(m, line, usize::from(area.width)).len().saturating_sub(room)
}

fn count_conflicts(m: &Model) -> usize {
    m.snapshot.as_ref().map_or(0, |s| s.calendar.conflicts.len())
}

fn draw_title(m: &Model, counts: &MoveCounts, conflicts: usize, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let mut title = Row::new(theme).gap(1).put(Role::Strong, "calendar");
    for (n, word, role) in [
        (counts.now, "now", Role::Strong),
        (counts.missed, "missed", Role::Fail),
        (conflicts, if conflicts == 1 { "conflict" } else { "conflicts" }, Role::Hold),
        (counts.next, "to come", Role::Text),
        (counts.undated, "without a day", Role::Dim),
        (counts.moved, "moved", Role::Ok),
    ] {
        let piece = format!("{n} {word}");
        if n > 0 && title.width() + piece.len() + 6 <= usize::from(area.width) {
            title = title.gap(2).put(role, piece);
        }
    }
    let left = usize::from(area.width).saturating_sub(title.width() + 8);
    let zone = text::cut_middle(&m.options.zone, left, theme.glyph(Glyph::Ellipsis));
    let end = if left > 6 { Row::new(theme).put(Role::Dim, zone).gap(1) } else { Row::new(theme) };
    line::draw_titled_rule(theme, title.gap(1), end, area, 0, buf);
}

/// What to write into the plan; returns what is left of the area.
fn draw_empty(m: &Model, moves: usize, area: Rect, buf: &mut Buffer) -> Rect {
    let theme = m.theme();
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let width = usize::from(area.width) - 2;
    let name = m.snapshot.as_ref().and_then(|s| s.calendar.moves.iter().find(|p| p.kind == MoveKind::Group));
    let name = name.map_or("loan-audit", |p| p.name.as_str());
    let file = m.snapshot.as_ref().map_or("", |s| s.header.plan.as_str());
    let hint = format!(
        "Nothing has a day yet. Write into {} and start the controller again:",
        text::cut_middle(file, width.saturating_sub(2), ellipsis)
    );
    let hint = text::wrap(&hint, width, 2, ellipsis);
    let mut rows: Vec<Row<'_>> = hint.into_iter().map(|l| Row::new(theme).gap(1).put(Role::Hold, l)).collect();
    let (windows, groups) = EXAMPLE.split_at(WINDOW_LINES);
    for (i, left) in windows.iter().enumerate() {
        let row = Row::new(theme).gap(3).left(Role::Text, left, 27);
        rows.push(match groups.get(i) {
            Some(right) => row.left(Role::Text, right.replace("NAME", name), width.saturating_sub(30)),
            None => row,
        });
    }
    let room = if moves == 0 { area.height } else { area.height.saturating_sub(2) };
    let shown = u16::try_from(rows.len()).unwrap_or(u16::MAX).min(room);
    for (y, row) in (0..shown).zip(rows) {
        row.draw(area, y, buf);
    }
    Rect { y: area.y + shown, height: area.height - shown, ..area }
}

fn list_columns(m: &Model) -> Vec<MoveColumn<'_>> {
    let theme = m.theme();
    let plain = |l: &CalendarLine<'_>| if l.standing == MoveStanding::Moved { Role::Dim } else { Role::Text };
    vec![
        MoveColumn::new("", Fixed(1), |l, _| {
            in_role(Role::Hold, if l.conflicts.is_empty() { "" } else { theme.glyph(Glyph::Alert) })
        })
        .set_gap(0),
        // `now, 1h20m left`
        MoveColumn::new("due", Fixed(16), |l, _| {
            let (role, when) = describe_due(l);
            in_role(role, when)
        })
        .set_gap(0),
        // `Sun 12-06 23:00`
        MoveColumn::new("your time", Fixed(15), move |l, _| {
            let moment = l.planned.opening.and_then(|o| format_short_time(o.from, &m.options.zone));
            in_role(plain(l), moment.unwrap_or_default())
        }),
        MoveColumn::new("what", Steps(&[(70, 5)]), |l, _| {
            in_role(
                Role::Dim,
                match (l.planned.kind, l.planned.hard) {
                    (MoveKind::Group, _) => "group",
                    (MoveKind::Producer, true) => "EOS",
                    (MoveKind::Producer, false) => "prod.",
                },
            )
        }),
        MoveColumn::new("name", Steps(&[(0, 14), (70, 16), (100, 22), (140, 32)]), move |l, at| {
            name_cell(plain(l), at)
        })
        .tell_apart(|l| visible_name(&l.planned.name)),
        MoveColumn::new("team", Steps(&[(70, 7), (100, 10), (140, 12)]), |l, _| {
            in_role(Role::Dim, visible_name(&l.planned.team))
        }),
        MoveColumn::new("window", Steps(&[(100, 14), (140, 24)]), |l, _| {
            in_role(Role::Dim, visible_name(l.planned.window.as_deref().unwrap_or_default()))
        })
        .cut_in_middle(),
        MoveColumn::new("state", Rest { from: 0 }, |l, _| match (l.outside, &l.state) {
            (true, (_, state)) => in_role(Role::Hold, format!("{state}, outside")),
            (false, (role, state)) => in_role(*role, state),
        }),
    ]
}

/// When it is due, in words.
fn describe_due(line: &CalendarLine<'_>) -> (Role, String) {
    match (line.standing, line.due) {
        (MoveStanding::Moved, _) => (Role::Ok, "moved".to_owned()),
        (_, MoveTiming::Now { left_ms }) => (Role::Strong, format!("now, {} left", text::format_coarse(left_ms))),
        (MoveStanding::Moving, _) => (Role::Strong, "now".to_owned()),
        (MoveStanding::NotYet, MoveTiming::In { ms }) => (Role::Text, format!("in {}", text::format_coarse(ms))),
        (MoveStanding::NotYet, MoveTiming::Missed { ms }) => {
            (Role::Fail, format!("missed {} ago", text::format_coarse(ms)))
        }
        (MoveStanding::NotYet, MoveTiming::NoDay { .. }) => (Role::Dim, "no day".to_owned()),
    }
}

/// All that is known of the move under the cursor.
fn detail_lines<'t>(m: &'t Model, l: &CalendarLine<'_>, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    // What has no room is scrolled to, so nothing of it is cut.
    let said = |label: &'static str, role: Role, words: &str| {
        line::wrap_labelled(theme, (label, LABEL), (role, words), width, WHOLE)
    };
    let (p, yours) = (l.planned, m.options.zone.as_str());
    let mut rows = Vec::new();
    for c in &l.conflicts {
        rows.extend(said("conflict", Role::Hold, &c.describe()));
    }
    let times = |label: &'static str, o: Opening, zone: &str| {
        said(label, Role::Text, &format!("{} {zone}", format_time_span(o.from, o.to, zone)))
    };
    let whose = p.window.as_ref().map(|w| format!("window {}", visible_name(w)));
    match (p.opening, l.due) {
        (Some(o), _) => {
            rows.extend(times("yours", o, yours));
            if p.zone != yours {
                rows.extend(times("its own", o, &p.zone));
            }
        }
        (None, MoveTiming::NoDay { opens: Some(o) }) => {
            let next = format!("no day yet; its window opens next {} {yours}", format_time_span(o.from, o.to, yours));
            rows.extend(said("yours", Role::Text, &next));
        }
        (None, _) => {
            rows.extend(said("yours", Role::Text, "no day yet: date = \"2026-12-06\" in the plan gives it one"));
        }
    }
    let whose = whose.unwrap_or_else(|| "no window: the whole day".to_owned());
    let team =
        if p.team.is_empty() { "no team in the plan".to_owned() } else { format!("team {}", visible_name(&p.team)) };
    let what = match (p.kind, p.hard) {
        (MoveKind::Group, _) => "group",
        (MoveKind::Producer, true) => "exactly-once producer, hard cutover",
        (MoveKind::Producer, false) => "producer",
    };
    let whose = if p.opening.is_some() || p.window.is_some() { format!("; {whose}") } else { String::new() };
    rows.extend(said("who", Role::Text, &format!("{team}; {what}{whose}")));
    if l.outside {
        rows.extend(said(
            "outside",
            Role::Hold,
            if l.standing == MoveStanding::Moving {
                "its window is closed"
            } else {
                "it moved while its window was closed"
            },
        ));
    }
    if let Some(until) = p.blue_until.and_then(|at| format_short_time(at, yours)) {
        rows.extend(said("blue", Role::Dim, &format!("kept until {until} {yours} as its way back")));
    }
    rows
}

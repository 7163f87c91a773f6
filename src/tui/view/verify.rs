//! The diff: how far it is, what it found where, and what to do next.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{self, Row};
use super::prompts::{box_width, draw_box};
use super::table::ColumnWidth::{self, Between, Fixed, Steps};
use super::table::{TableCell, TableColumn, TableView, in_role};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::snapshot::{
    DiffAdvice, DiffProgress, DiffResult, DiffRow, DiffState, DiffVerdict, DiffView, DiffWhat, describe_span,
};
use crate::tui::model::{Model, ScreenFocus};
use crate::tui::theme::{Glyph, Role};
use crate::tui::verify::RANGES;
use crate::tui::{text, words};

/// Cells of a label.
const LABEL: usize = 10;
/// Most lines of what to do next.
const NEXT: usize = 4;
/// Most lines of anything where all of it is shown.
const WHOLE: usize = 40;
/// Least lines of the table, with its head.
const TABLE: u16 = 5;
/// Cells of a number.
const NUMBER: ColumnWidth = Steps(&[(0, 6), (72, 8)]);

type DiffColumn<'t> = TableColumn<'t, &'t DiffRow>;

/// Draws the screen of the diff.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let Some(d) = m.diff() else {
        let none = "No diff yet: v on a group, a producer or a partition compares both clusters record by record.";
        let lines = text::wrap(none, usize::from(area.width) - 2, 3, theme.glyph(Glyph::Ellipsis));
        for (y, l) in (1..).zip(lines) {
            Row::new(theme).gap(1).put(Role::Hold, l).draw(area, y, buf);
        }
        return;
    };
    draw_title(m, d, area, buf);
    if m.focus == ScreenFocus::Top {
        let (name, rows) = whole_lines(m, d, area);
        let rest = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        return line::draw_detail(theme, &name, (rows, Some(m.scroll)), rest, buf);
    }
    let mut y = 1;
    for row in saying_lines(m, d, area, false) {
        row.draw(area, y, buf);
        y += 1;
    }
    if let DiffState::Done { result, .. } = &d.state {
        let rest = Rect { y: area.y + y.min(area.height), height: area.height.saturating_sub(y), ..area };
        draw_table(m, result, d.source.other(), rest, buf);
    }
}

/// All that there is to read, for a screen of its own: what the row under the cursor says, then what is said of the
/// diff, without the limits that it has above a table; and what the first of it is about.
fn whole_lines<'t>(m: &'t Model, d: &DiffView, area: Rect) -> (String, Vec<Row<'t>>) {
    let said = saying_lines(m, d, area, true);
    let DiffState::Done { result, .. } = &d.state else { return ("diff".into(), said) };
    let Some(at) = row_under_cursor(m, result) else { return ("diff".into(), said) };
    let row = |l| Row::new(m.theme()).gap(1).put(Role::Text, l);
    let mut rows: Vec<_> = detail_lines(m, result, usize::from(area.width)).into_iter().map(row).collect();
    rows.push(line::rule_line(m.theme(), "diff", usize::from(area.width)));
    rows.extend(said);
    (name_of(at), rows)
}

/// The range, and how it stands; `whole`: all of it, however long.
fn saying_lines<'t>(m: &'t Model, d: &DiffView, area: Rect, whole: bool) -> Vec<Row<'t>> {
    let most = |most: usize| if whole { WHOLE } else { most };
    let mut rows = vec![labelled_lines(m, "range", Role::Text, &describe_span(d.span), area, most(2))];
    rows.push(match &d.state {
        DiffState::Running { progress, stopping } => running_lines(m, progress.as_ref(), *stopping, area),
        DiffState::Stopped { .. } => {
            let words = "stopped; what was read is kept: g goes on with it, v begins anew";
            labelled_lines(m, "state", Role::Hold, words, area, 2)
        }
        DiffState::Failed { trouble, .. } => {
            labelled_lines(m, "failed", Role::Fail, &words::to_sentence(&trouble.what, &trouble.advice), area, WHOLE)
        }
        DiffState::Done { result, .. } => result_lines(m, d.source.other(), result, area, whole),
    });
    rows.into_iter().flatten().collect()
}

fn draw_title(m: &Model, d: &DiffView, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let name = text::cut_middle(&d.what.describe(), usize::from(area.width) / 2, theme.glyph(Glyph::Ellipsis));
    let title = Row::new(theme).gap(1).put(Role::Dim, "verify ").put(Role::Strong, name).gap(2);
    let title = title.mark(d.source).gap(1).glyph(Role::Dim, Glyph::Arrow).gap(1).mark(d.source.other()).gap(1);
    let since = |at| text::format_age(m.clock().since(at));
    let end = Row::new(theme);
    let end = match &d.state {
        DiffState::Running { .. } => {
            end.put(Role::Strong, "reading").put(Role::Dim, format!(" for {}", since(d.began)))
        }
        DiffState::Stopped { at } => end.put(Role::Hold, "STOPPED").put(Role::Dim, format!(" {} ago", since(*at))),
        DiffState::Failed { at, .. } => end.put(Role::Fail, "FAILED").put(Role::Dim, format!(" {} ago", since(*at))),
        DiffState::Done { at, result } => {
            let role = verdict_role(result);
            end.put(role, result.said.clone()).put(Role::Dim, format!(" {} ago", since(*at)))
        }
    };
    line::draw_titled_rule(theme, title, end.gap(1), area, 0, buf);
}

/// How a diff's verdict is shown.
pub(super) fn verdict_role(result: &DiffResult) -> Role {
    match result.verdict {
        DiffVerdict::Clean => Role::Ok,
        DiffVerdict::Unknown => Role::Unknown,
        DiffVerdict::Differs => Role::Fail,
    }
}

/// A label and words, wrapped.
fn labelled_lines<'t>(m: &'t Model, label: &str, role: Role, words: &str, area: Rect, most: usize) -> Vec<Row<'t>> {
    line::wrap_labelled(m.theme(), (label, LABEL), (role, words), usize::from(area.width), most)
}

fn running_lines<'t>(m: &'t Model, progress: Option<&DiffProgress>, stopping: bool, area: Rect) -> Vec<Row<'t>> {
    let theme = m.theme();
    if stopping {
        return labelled_lines(m, "state", Role::Hold, "stopping: what was read is being saved", area, 1);
    }
    let Some(p) = progress else {
        return labelled_lines(
            m,
            "reading",
            Role::Text,
            "asking both clusters where their logs begin and end",
            area,
            1,
        );
    };
    let (done, all) = p.topics;
    let mut rows = labelled_lines(
        m,
        "reading",
        Role::Text,
        &format!("{}, {} of {all} topics", visible_name(&p.topic), done + 1),
        area,
        2,
    );
    let width = usize::from(area.width).saturating_sub(LABEL + 10).min(60);
    let full = ((p.share.clamp(0.0, 1.0) * width as f64) as usize).min(width);
    let bar = Row::new(theme).gap(1 + LABEL).put(Role::Ok, theme.glyph(Glyph::HeavyRule).repeat(full));
    let bar = bar.put(Role::Frame, theme.glyph(Glyph::Rule).repeat(width - full));
    rows.push(bar.put(Role::Strong, format!(" {:>3.0} %", p.share * 100.0)));
    let seconds = (p.ms as f64 / 1_000.0).max(0.001);
    let rate = p.bytes as f64 / seconds / 1e6;
    let left = p.left_ms.map_or("time left unknown".to_owned(), |ms| format!("{} left", text::format_duration(ms)));
    let counts = format!("{left}; {} records read, {rate:.1} MB/s, {} wait for a twin", p.records, p.waiting);
    rows.extend(labelled_lines(m, "", Role::Text, &counts, area, 2));
    if let Some(why) = &p.held_back {
        rows.extend(labelled_lines(m, "held back", Role::Hold, why, area, 2));
    }
    rows.extend(labelled_lines(m, "", Role::Dim, "leaving this screen does not stop it; 5 comes back to it", area, 1));
    rows
}

fn result_lines<'t>(m: &'t Model, target: Side, result: &DiffResult, area: Rect, whole: bool) -> Vec<Row<'t>> {
    let theme = m.theme();
    let f = &result.found;
    let parts = [
        (f.missing, format!("missing on {target}")),
        (f.only_target, format!("only on {target}")),
        (f.duplicated_source, format!("doubled on {}", target.other())),
        (f.duplicated_target, format!("doubled on {target}")),
        (f.reordered, format!("out of order (by up to {} of their key)", f.furthest)),
    ];
    let found: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let mut rows = Vec::new();
    let equal = Row::new(theme).gap(1).left(Role::Dim, "found", LABEL).put(Role::Strong, format!("{} equal", f.equal));
    let equal = if f.unsettled > 0 { equal.put(Role::Hold, format!(", {} unsettled", f.unsettled)) } else { equal };
    let excused = f.superseded + f.before;
    let equal = if excused > 0 { equal.put(Role::Dim, format!(", {excused} excused")) } else { equal };
    let took = format!("{} read in {}", text::format_count(result.read), text::format_duration(result.ms));
    rows.push(equal.put_at_end(Row::new(theme).put(Role::Dim, took), usize::from(area.width) - 1));
    if !found.is_empty() {
        rows.extend(labelled_lines(m, "", Role::Fail, &found.join(", "), area, if whole { WHOLE } else { 2 }));
    }
    for (i, next) in result.next.iter().enumerate() {
        let role = if matches!(next, DiffAdvice::Command(_)) { Role::Strong } else { Role::Text };
        let room = if whole { WHOLE } else { NEXT.saturating_sub(i).max(1) };
        rows.extend(labelled_lines(m, if i == 0 { "next" } else { "" }, role, next.text(), area, room));
    }
    rows
}

/// Topics and partitions, and below them all that the one under the cursor says.
fn draw_table(m: &Model, result: &DiffResult, target: Side, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let width = usize::from(area.width);
    if result.rows.is_empty() || area.height < 3 {
        return;
    }
    let at = m.diff_at.min(result.rows.len() - 1);
    let lines = detail_lines(m, result, width);
    let least = TABLE.min(u16::try_from(result.rows.len()).unwrap_or(TABLE).saturating_add(1));
    let (above, below) = line::share_height(area.height, lines.len(), least, false);
    if below > 0 {
        let rows = lines.into_iter().map(|l| Row::new(theme).gap(1).put(Role::Text, l)).collect();
        let rest = Rect { y: area.y + above, height: below, ..area };
        line::draw_detail(theme, &name_of(&result.rows[at]), (rows, None), rest, buf);
    }
    let top = Rect { height: above, ..area };
    let table = TableView::new(theme, list_columns(m, target), width).set_left_out(result.left_out);
    table.draw_table(result.rows.iter(), (at, true), top, buf);
}

/// How many lines of all that there is to read have no room, when they have the place for themselves.
pub(crate) fn count_hidden(m: &Model, area: Rect) -> usize {
    let Some(d) = m.diff() else { return 0 };
    whole_lines(m, d, area).1.len().saturating_sub(usize::from(area.height.saturating_sub(2)))
}

/// The row under the cursor.
fn row_under_cursor<'r>(m: &Model, result: &'r DiffResult) -> Option<&'r DiffRow> {
    result.rows.get(m.diff_at.min(result.rows.len().saturating_sub(1)))
}

/// What the row under the cursor says.
fn detail_lines(m: &Model, result: &DiffResult, width: usize) -> Vec<String> {
    let ellipsis = m.theme().glyph(Glyph::Ellipsis);
    let lines = row_under_cursor(m, result).into_iter().flat_map(|r| &r.lines);
    lines.flat_map(|l| text::wrap(l, width.saturating_sub(2), WHOLE, ellipsis)).collect()
}

fn name_of(row: &DiffRow) -> String {
    let topic = visible_name(&row.topic);
    row.partition.map_or_else(|| topic.clone(), |p| format!("{topic}-{p}"))
}

fn list_columns(m: &Model, target: Side) -> Vec<DiffColumn<'_>> {
    let only = format!("only {}", m.theme().shape(target));
    vec![
        DiffColumn::new("topic", Between(10, 60), |r, at| match r.partition {
            None => in_role(Role::Strong, at.name),
            Some(p) => in_role(Role::Text, format!("  partition {p}")),
        })
        .tell_apart(|r| visible_name(&r.topic)),
        DiffColumn::new("", Fixed(8), |r, _| {
            let (role, said) = describe_said(r);
            in_role(role, said)
        }),
        number_column("equal", NUMBER, Role::Text, |r| r.found.equal),
        number_column("missing", NUMBER, Role::Fail, |r| r.found.missing).add_short_title("miss"),
        number_column(only, NUMBER, Role::Fail, |r| r.found.only_target),
        number_column("doubled", NUMBER, Role::Fail, |r| r.found.duplicated_source + r.found.duplicated_target)
            .add_short_title("double"),
        number_column("moved", NUMBER, Role::Fail, |r| r.found.reordered),
        number_column("unsettl.", Steps(&[(72, 8)]), Role::Hold, |r| r.found.unsettled),
    ]
}

/// What is said of a topic as a whole.
fn describe_said(r: &DiffRow) -> (Role, &'static str) {
    match (r.verdict, r.known) {
        (Some(DiffVerdict::Clean), _) => (Role::Ok, "CLEAN"),
        (Some(DiffVerdict::Unknown), _) => (Role::Unknown, "UNKNOWN"),
        (Some(DiffVerdict::Differs), false) => (Role::Fail, "DIFFERS?"),
        (Some(DiffVerdict::Differs), true) => (Role::Fail, "DIFFERS"),
        (None, _) => (Role::Dim, ""),
    }
}

/// How many records; zero is of no interest. Of a topic that was not read there is none.
fn number_column<'t>(
    title: impl Into<Cow<'t, str>>,
    width: ColumnWidth,
    role: Role,
    count: fn(&DiffRow) -> u64,
) -> DiffColumn<'t> {
    DiffColumn::new(title, width, move |r, _| {
        if r.found.read == 0 && r.verdict == Some(DiffVerdict::Unknown) {
            let words = "nothing of it was compared".into();
            return TableCell::ToTheEnd { gap: 2, role: Role::Unknown, words };
        }
        let n = count(r);
        in_role(if n == 0 { Role::Dim } else { role }, text::format_count(n))
    })
    .align_right()
}

/// Which records are to be compared?
pub(crate) fn draw_range(m: &Model, what: &DiffWhat, selected: usize, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let mut rows: Vec<(Row<'_>, bool)> = RANGES
        .iter()
        .enumerate()
        .map(|(i, (words, _))| {
            let row = Row::new(theme);
            let row = if i == selected { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
            (row.gap(1).put(Role::Text, words), i == selected)
        })
        .collect();
    let notes = "Reads only, both sides in step, as fast as [diff] in the plan allows, slower when a broker gets slow. \
                 Another range: `:verify NAME --from 2h --to 30m`.";
    for l in text::wrap(notes, box_width(over), 3, theme.glyph(Glyph::Ellipsis)) {
        rows.push((Row::new(theme).put(Role::Dim, l), false));
    }
    draw_box(m, &format!("Verify {}", what.describe()), rows, over, buf);
}

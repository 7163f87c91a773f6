//! The partition table of a group: from where to where, how far that can be trusted, and what it costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::groups::draw_more_marks;
use super::line::{Row, draw_rule, visible_range};
use crate::base::Side;
use crate::offsets::verdict::{Cut, CutRecord, PartitionPlan, Verdict};
use crate::snapshot::{GroupRow, GroupSide, PartitionSide};
use crate::tui::model::{Model, Table};
use crate::tui::partitions::PartitionLine;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{text, words};

/// Widths of the columns of the table; 0: not shown.
struct PartitionColumns {
    name: usize,
    offset: usize,
    /// Between the two offsets.
    arrow: bool,
    ends: bool,
    lag: usize,
    evidence: bool,
}

/// Cells of the verdict: `MISSING 99.9k`.
const VERDICT: usize = 13;
/// Cells of the counts.
const COUNT: usize = 7;

impl PartitionColumns {
    /// More room shows evidence first, then the ends of the logs.
    fn for_width(width: usize) -> Self {
        let base = Self { name: 10, offset: 8, arrow: false, ends: false, lag: 0, evidence: false };
        match width {
            0..=71 => base,
            72..=99 => Self { name: 14, offset: 10, arrow: true, evidence: true, ..base },
            100..=119 => Self { name: 22, offset: 12, arrow: true, evidence: true, ..base },
            120..=159 => Self { name: 20, offset: 12, arrow: true, ends: true, evidence: true, ..base },
            _ => Self { name: 36, offset: 15, arrow: true, ends: true, lag: 8, evidence: true },
        }
    }
}

/// Which way a row reads: from the side that is left to `to`.
#[derive(Clone, Copy)]
struct Way {
    to: Side,
    /// What is shown of the side that is left was seen lately.
    live: bool,
}

/// Draws the table, and the records at the cut of the partition under the cursor; returns what is left of the area.
pub fn draw(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) -> Rect {
    let theme = m.theme();
    let columns = PartitionColumns::for_width(usize::from(area.width));
    let shown = m.partition_rows();
    // From which side the plan goes: there its source columns are.
    let to = g.estimate_to.unwrap_or_else(|| words::next_side(g));
    let measured = g.estimate.as_ref().is_some_and(|e| e.value().is_some());
    head_line(m, &columns, to, measured).draw(area, 0, buf);
    let rest = |used: u16| {
        let used = used.min(area.height);
        Rect { y: area.y + used, height: area.height - used, ..area }
    };
    let Some(at) = shown.at else {
        let words = match shown.hidden {
            0 => describe_empty(m, g),
            n => {
                format!(
                    "/{} hides all {}; esc shows them.",
                    m.filter(Table::Partitions),
                    words::format_plural(n, "partition")
                )
            }
        };
        Row::new(theme).gap(2).put(Role::Dim, words).draw(area, 1, buf);
        return rest(2);
    };
    let detail = shown.lines[at].plan;
    let detail_rows = detail.filter(|_| area.height >= 10).map_or(0, detail_height);
    let filtered = u16::from(shown.hidden > 0);
    let needed = u16::try_from(shown.lines.len() + 1).unwrap_or(u16::MAX);
    let table = Rect { height: (area.height.saturating_sub(detail_rows + filtered)).min(needed), ..area };
    let range = visible_range(shown.lines.len(), at, usize::from(table.height.saturating_sub(1)));
    let (above, below) = (range.start, shown.lines.len() - range.end);
    let ids: Vec<String> = shown.lines[range.clone()].iter().map(|l| format!("{}-{}", l.topic, l.partition)).collect();
    let names = text::shorten_names(ids.iter().map(String::as_str), columns.name, theme.glyph(Glyph::Ellipsis));
    let way = Way { to, live: g.on_side(to.other()).is_fresh(m.clock(), m.stale_after()) };
    for ((y, i), name) in (1u16..).zip(range).zip(&names) {
        let line = partition_line(m, (&shown.lines[i], name), &columns, way, i == at, usize::from(area.width));
        if i == at { line.draw_cursor(table, y, buf) } else { line.draw(table, y, buf) }
    }
    draw_more_marks(m, above, below, table, buf);
    let mut used = table.height;
    if filtered > 0 {
        let words = format!("/{}", m.filter(Table::Partitions));
        let row = Row::new(theme).gap(2).put(Role::Hold, words).gap(1);
        row.put(Role::Dim, format!("hides {}", shown.hidden)).draw(area, used, buf);
        used += 1;
    }
    if let (Some(d), 1..) = (detail, detail_rows) {
        draw_cut(m, d, to, Rect { height: detail_rows, ..rest(used) }, buf);
    }
    rest(used + detail_rows)
}

/// Why there is no partition. That nothing was committed is said of what was seen whole, and recently, on both sides.
fn describe_empty(m: &Model, g: &GroupRow) -> String {
    let trouble = [&g.blue, &g.green].into_iter().find_map(|v| v.trouble.as_ref().map(|t| t.what.clone()));
    let stale = |v: &GroupSide| !v.is_fresh(m.clock(), m.stale_after());
    let old = || (stale(&g.blue) || stale(&g.green)).then(|| "it was not seen recently".to_owned());
    match trouble.or_else(|| m.why_untrusted()).or_else(old) {
        None => "No partitions: the group has committed nothing on either side.".to_owned(),
        Some(why) => format!("What the group has committed is not known: {why}."),
    }
}

fn head_line<'t>(m: &'t Model, c: &PartitionColumns, to: Side, measured: bool) -> Row<'t> {
    let theme = m.theme();
    let from = to.other();
    let shape = |side: Side, word: &str| format!("{} {word}", theme.shape(side));
    let end = |row: Row<'t>| if c.ends { row.gap(1).right(Role::Dim, "end", c.offset) } else { row };
    let mut row = Row::new(theme).gap(2).left(Role::Dim, "partition", c.name).gap(1);
    row = end(row.right(side_role(from), shape(from, "at"), c.offset));
    if c.lag > 0 {
        row = row.gap(1).right(Role::Dim, "lag", c.lag);
    }
    let word = if measured { "start" } else { "at" };
    row = end(row.gap(if c.arrow { 3 } else { 1 }).right(side_role(to), shape(to, word), c.offset));
    row = row.gap(2).left(Role::Dim, "verdict", VERDICT).right(Role::Dim, "re-read", COUNT).gap(1);
    row = row.right(Role::Dim, "missing", COUNT);
    if c.evidence { row.gap(2).put(Role::Dim, "evidence") } else { row }
}

/// An offset to the right: its digits are never cut, without room for the gaps they go.
pub fn put_number<'t>(m: &'t Model, row: Row<'t>, role: Role, n: Option<i64>, cells: usize) -> Row<'t> {
    match n {
        None | Some(..0) => row.right(Role::Dim, m.theme().glyph(Glyph::Dash), cells),
        Some(n) => {
            let spaced = text::format_offset(n);
            let s = if text::width(&spaced) <= cells { spaced } else { n.to_string() };
            row.right(role, s, cells)
        }
    }
}

fn partition_line<'t>(
    m: &'t Model,
    (l, name): (&PartitionLine<'_>, &str),
    c: &PartitionColumns,
    way: Way,
    cursor: bool,
    width: usize,
) -> Row<'t> {
    let (theme, to) = (m.theme(), way.to);
    let seen = |side: Side| match (l.row, side) {
        (None, _) => PartitionSide::default(),
        (Some(row), Side::Blue) => row.blue,
        (Some(row), Side::Green) => row.green,
    };
    let (source, target) = (seen(to.other()), seen(to));
    let row = Row::new(theme);
    let row = if cursor { row.glyph(Role::Strong, Glyph::Cursor).gap(1) } else { row.gap(2) };
    let row = row.left(if cursor { Role::Strong } else { Role::Text }, name, c.name);
    // What was measured belongs together: the group may have gone on since.
    let from = l.plan.map_or(source.committed, |p| p.source.committed);
    let start = l.plan.map_or(target.committed, |p| p.target.offset);
    let ends = l.plan.map(|p| (p.source.end, p.target.end)).filter(|e| e.0 >= 0 && e.1 >= 0);
    let end = |row: Row<'t>, end: Option<i64>| {
        if c.ends { put_number(m, row.gap(1), Role::Dim, end, c.offset) } else { row }
    };
    let role = if l.plan.is_some() || way.live { Role::Text } else { Role::Dim };
    let mut row = end(put_number(m, row.gap(1), role, from, c.offset), ends.map(|e| e.0).or(source.end));
    if c.lag > 0 {
        row = match source.lag {
            None => row.gap(1).right(Role::Dim, theme.glyph(Glyph::Dash), c.lag),
            Some(_) if !way.live => row.gap(1).right(Role::Fail, "STALE", c.lag),
            Some(lag) => row.gap(1).right(Role::Text, text::format_count(lag), c.lag),
        };
    }
    row = if c.arrow && l.plan.is_some() {
        row.gap(1).left(Role::Dim, theme.glyph(Glyph::ArrowHead), 1).gap(1)
    } else {
        row.gap(if c.arrow { 3 } else { 1 })
    };
    let role = if l.plan.is_some() { Role::Strong } else { Role::Dim };
    let row = end(put_number(m, row, role, start, c.offset), ends.map(|e| e.1).or(target.end));
    match (l.plan, source.lag.filter(|_| way.live)) {
        (Some(plan), _) => put_verdict(m, row.gap(2), plan, c, width),
        (None, Some(lag)) => row.gap(2).put(Role::Dim, format!("not measured, {} to read", text::format_count(lag))),
        (None, None) => row.gap(2).put(Role::Dim, words::describe_verdict(None).1),
    }
}

/// Verdict, cost and evidence; of what can't be mapped, why.
fn put_verdict<'t>(m: &'t Model, row: Row<'t>, plan: &PartitionPlan, c: &PartitionColumns, width: usize) -> Row<'t> {
    let (role, verdict) = words::describe_verdict(Some(plan));
    let row = row.left(role, verdict, VERDICT);
    if let (Verdict::Unmappable, None, None, Some(why)) = (plan.verdict, plan.re_read, plan.missing, &plan.why) {
        // Neither number is known: the reason says more than two question marks.
        let left = width.saturating_sub(row.width() + 1);
        return row.left(Role::Hold, why, left);
    }
    let count = |row: Row<'t>, n: Option<u64>, bad: Role| match n {
        None => row.right(Role::Unknown, "????", COUNT),
        Some(0) => row.right(Role::Text, "0", COUNT),
        Some(n) => row.right(bad, text::format_count(n), COUNT),
    };
    let bounded = plan.verdict != Verdict::Proven && plan.re_read.is_some_and(|n| n > 0);
    let row = match plan.re_read.filter(|_| bounded) {
        // An upper bound, not a count.
        Some(n) => {
            row.right(Role::Strong, format!("{}{}", m.theme().glyph(Glyph::AtMost), text::format_count(n)), COUNT)
        }
        None => count(row, plan.re_read, Role::Strong),
    };
    let row = count(row.gap(1), plan.missing, Role::Fail);
    if !c.evidence {
        return row;
    }
    let left = width.saturating_sub(row.width() + 3);
    let empty = plan.source.end >= 0 && plan.source.log_start == plan.source.end;
    let words = match &plan.why {
        _ if empty && plan.verdict == Verdict::Proven => "empty",
        // Where there is room for it, what keeps it from being proven.
        Some(why) if left >= 30 && plan.verdict != Verdict::Proven => why,
        // What it rests on stands before the first comma.
        _ if left < 30 => plan.evidence.split(',').next().unwrap_or_default(),
        _ => &plan.evidence,
    };
    row.gap(2).left(Role::Dim, words, left)
}

fn detail_height(p: &PartitionPlan) -> u16 {
    2 + u16::from(p.why.is_some()) + if p.cut == Cut::default() { 0 } else { 2 }
}

/// Evidence, why it is not better, and the records on both sides of the cut.
fn draw_cut(m: &Model, p: &PartitionPlan, to: Side, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    draw_rule(theme, &format!("{} {}", p.tp, words::describe_verdict(Some(p)).1), area, 0, buf);
    let width = usize::from(area.width);
    let mut y = 1;
    let mut evidence = format!("{}: {}", p.strategy, p.evidence);
    if p.target_only > 0 {
        evidence.push_str(&format!("; passes over {} that only {to} has", p.target_only));
    }
    if let Some(n) = p.missing.filter(|n| *n > 0) {
        let ranges = words::format_plural(p.missing_ranges.len(), "range");
        evidence.push_str(&format!("; {n} of {} are not on {to}, in {ranges}: enter", to.other()));
    }
    Row::new(theme).gap(1).left(Role::Text, evidence, width - 2).draw(area, y, buf);
    y += 1;
    if let Some(why) = &p.why {
        Row::new(theme).gap(1).left(Role::Hold, why, width - 2).draw(area, y, buf);
        y += 1;
    }
    if p.cut == Cut::default() {
        return;
    }
    let sides = [(to.other(), &p.cut.source, p.source.committed), (to, &p.cut.target, p.target.offset)];
    for (side, records, at) in sides {
        cut_side_line(m, side, records, at, width).draw(area, y, buf);
        y += 1;
    }
}

/// The record before an offset and the one after it, with a bar between them.
fn cut_side_line<'t>(m: &'t Model, side: Side, records: &[CutRecord], at: Option<i64>, width: usize) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1).mark(side).gap(1);
    let split = records.iter().position(|r| at.is_none_or(|at| r.offset >= at)).unwrap_or(records.len());
    let room = width.saturating_sub(row.width() + 5) / 2;
    let show = |r: &CutRecord| {
        let time = text::format_clock_ms(r.ts).unwrap_or_else(|| "no time".to_owned());
        let words = format!("{} {time} {}", r.offset, r.id);
        // The key where there is room for all of it.
        match &r.key {
            Some(key) if text::width(&words) + 1 + text::width(key) <= room => format!("{words} {key}"),
            _ => words,
        }
    };
    let before = records[..split].last().map(show).unwrap_or_default();
    let after = records.get(split).map(show).unwrap_or_default();
    let row = row.left(Role::Dim, before, room).gap(1).glyph(Role::NoReturn, Glyph::Bar).gap(1);
    row.left(Role::Text, after, room)
}

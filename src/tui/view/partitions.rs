//! The partition table of a group: from where to where, how far that can be trusted, and what it costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{Row, draw_rule};
use super::table::ColumnWidth::{self, Fixed, Rest, Steps};
use super::table::{TableCell, TableColumn, TableView, in_role, name_cell};
use crate::base::sanitise::visible_name;
use crate::base::{Side, format_plural};
use crate::offsets::verdict::{Cut, CutRecord, PartitionPlan, Verdict};
use crate::snapshot::{GroupRow, GroupSide, PartitionSide};
use crate::tui::model::{Model, Table};
use crate::tui::partitions::PartitionLine;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{text, words};

type PartitionColumn<'t> = TableColumn<'t, PartitionLine<'t>>;

/// Cells of a partition's name.
const NAME: ColumnWidth = Steps(&[(0, 10), (72, 14), (100, 22), (120, 20), (160, 36)]);
/// Cells of an offset.
const OFFSET: ColumnWidth = Steps(&[(0, 8), (72, 10), (100, 12), (160, 15)]);
/// Cells of the end of a log.
const END: ColumnWidth = Steps(&[(120, 12), (160, 15)]);
/// Cells of the verdict: `MISSING 99.9k`.
const VERDICT: ColumnWidth = Fixed(13);
/// Cells of the counts.
const COUNT: ColumnWidth = Fixed(7);

/// Which way a row reads: from the side that is left to `to`.
#[derive(Clone, Copy)]
struct Way {
    to: Side,
    /// What is shown of the side that is left was seen lately.
    live: bool,
    /// There is a translation.
    measured: bool,
}

/// Draws the table, and the records at the cut of the partition under the cursor; returns what is left of the area.
pub fn draw(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) -> Rect {
    let theme = m.theme();
    let shown = m.partition_rows();
    // From which side the plan goes: there its source columns are.
    let to = g.estimate_to.unwrap_or_else(|| words::next_side(g));
    let measured = g.estimate.as_ref().is_some_and(|e| e.value().is_some());
    let way = Way { to, live: g.on_side(to.other()).is_fresh(m.clock(), m.stale_after()), measured };
    let table = TableView::new(theme, list_columns(m, way), usize::from(area.width));
    let rest = |used: u16| {
        let used = used.min(area.height);
        Rect { y: area.y + used, height: area.height - used, ..area }
    };
    let Some(at) = shown.at else {
        let words = match shown.hidden {
            0 => describe_empty(m, g),
            n => {
                format!("/{} hides all {}; esc shows them.", m.filter(Table::Partitions), format_plural(n, "partition"))
            }
        };
        table.head_line().draw(area, 0, buf);
        Row::new(theme).gap(2).put(Role::Dim, words).draw(area, 1, buf);
        return rest(2);
    };
    let detail = shown.lines[at].plan;
    let detail_rows = detail.filter(|_| area.height >= 10).map_or(0, detail_height);
    let filtered = u16::from(shown.hidden > 0);
    let needed = u16::try_from(shown.lines.len() + 1).unwrap_or(u16::MAX);
    let upper = Rect { height: (area.height.saturating_sub(detail_rows + filtered)).min(needed), ..area };
    table.draw_table(shown.lines.iter().copied(), (at, true), upper, buf);
    let mut used = upper.height;
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

/// More room shows evidence first, then the ends of the logs.
fn list_columns(m: &Model, way: Way) -> Vec<PartitionColumn<'_>> {
    let theme = m.theme();
    let named = PartitionColumn::new("partition", NAME, |_, at| name_cell(Role::Text, at));
    let mut columns = vec![named.tell_apart(|l| visible_name(&format!("{}-{}", l.topic, l.partition)))];
    columns.extend(source_columns(m, way));
    // Between the two offsets.
    columns.push(PartitionColumn::new("", Steps(&[(72, 1)]), |l, _| {
        in_role(Role::Dim, if l.plan.is_some() { theme.glyph(Glyph::ArrowHead) } else { "" })
    }));
    columns.extend(target_columns(m, way));
    columns.extend(cost_columns(m, way));
    columns
}

/// What was seen of a partition on one side.
fn seen_on(l: PartitionLine<'_>, side: Side) -> PartitionSide {
    match (l.row, side) {
        (None, _) => PartitionSide::default(),
        (Some(row), Side::Blue) => row.blue,
        (Some(row), Side::Green) => row.green,
    }
}

/// The ends of both logs, source first, as they were measured: what was measured belongs together, the group may have gone
/// on since.
fn measured_ends(l: PartitionLine<'_>) -> Option<(i64, i64)> {
    l.plan.map(|p| (p.source.end, p.target.end)).filter(|e| e.0 >= 0 && e.1 >= 0)
}

/// Where the group stands.
fn source_columns(m: &Model, way: Way) -> [PartitionColumn<'_>; 3] {
    let from = way.to.other();
    [
        PartitionColumn::new(format!("{} at", m.theme().shape(from)), OFFSET, move |l, at| {
            let offset = l.plan.map_or(seen_on(l, from).committed, |p| p.source.committed);
            offset_cell(m, if l.plan.is_some() || way.live { Role::Text } else { Role::Dim }, offset, at.cells)
        })
        .align_right()
        .set_title_role(side_role(from)),
        PartitionColumn::new("end", END, move |l, at| {
            offset_cell(m, Role::Dim, measured_ends(l).map(|e| e.0).or(seen_on(l, from).end), at.cells)
        })
        .align_right(),
        PartitionColumn::new("lag", Steps(&[(160, 8)]), move |l, _| match seen_on(l, from).lag {
            None => in_role(Role::Dim, m.theme().glyph(Glyph::Dash)),
            Some(_) if !way.live => in_role(Role::Fail, "STALE"),
            Some(lag) => in_role(Role::Text, text::format_count(lag)),
        })
        .align_right(),
    ]
}

/// Where it would go on.
fn target_columns(m: &Model, way: Way) -> [PartitionColumn<'_>; 2] {
    let word = if way.measured { "start" } else { "at" };
    [
        PartitionColumn::new(format!("{} {word}", m.theme().shape(way.to)), OFFSET, move |l, at| {
            let offset = l.plan.map_or(seen_on(l, way.to).committed, |p| p.target.offset);
            offset_cell(m, if l.plan.is_some() { Role::Strong } else { Role::Dim }, offset, at.cells)
        })
        .align_right()
        .set_title_role(side_role(way.to)),
        PartitionColumn::new("end", END, move |l, at| {
            offset_cell(m, Role::Dim, measured_ends(l).map(|e| e.1).or(seen_on(l, way.to).end), at.cells)
        })
        .align_right(),
    ]
}

/// An offset: its digits are never cut, without room for the gaps they go.
fn offset_cell(m: &Model, role: Role, n: Option<i64>, cells: usize) -> TableCell<'_> {
    match n {
        None | Some(..0) => in_role(Role::Dim, m.theme().glyph(Glyph::Dash)),
        Some(n) => {
            let spaced = text::format_offset(n);
            in_role(role, if text::width(&spaced) <= cells { spaced } else { n.to_string() })
        }
    }
}

/// Verdict, cost and evidence; of what can't be mapped, why.
fn cost_columns(m: &Model, way: Way) -> [PartitionColumn<'_>; 4] {
    // Cells of what was not measured are never drawn: its verdict has their place.
    let blank = || in_role(Role::Dim, "");
    let count = |n: Option<u64>, bad: Role| match n {
        None => in_role(Role::Unknown, "????"),
        Some(0) => in_role(Role::Text, "0"),
        Some(n) => in_role(bad, text::format_count(n)),
    };
    [
        PartitionColumn::new("verdict", VERDICT, move |l, _| {
            let (role, verdict) = words::describe_verdict(l.plan);
            if l.plan.is_some() {
                return in_role(role, verdict);
            }
            let unread = seen_on(l, way.to.other()).lag.filter(|_| way.live);
            let words = unread.map_or(verdict, |lag| format!("not measured, {} to read", text::format_count(lag)));
            TableCell::ToTheEnd { gap: 2, role, words: words.into() }
        })
        .set_gap(2),
        PartitionColumn::new("re-read", COUNT, move |l, _| {
            let Some(plan) = l.plan else { return blank() };
            if let (Verdict::Unmappable, None, None, Some(why)) = (plan.verdict, plan.re_read, plan.missing, &plan.why)
            {
                // Neither number is known: the reason says more than two question marks.
                return TableCell::ToTheEnd { gap: 0, role: Role::Hold, words: why.into() };
            }
            match plan.re_read.filter(|n| *n > 0 && plan.verdict != Verdict::Proven) {
                // An upper bound, not a count.
                Some(n) => {
                    let most = format!("{}{}", m.theme().glyph(Glyph::AtMost), text::format_count(n));
                    in_role(Role::Strong, most)
                }
                None => count(plan.re_read, Role::Strong),
            }
        })
        .set_gap(0)
        .align_right(),
        PartitionColumn::new("missing", COUNT, move |l, _| {
            l.plan.map_or_else(blank, |plan| count(plan.missing, Role::Fail))
        })
        .align_right(),
        PartitionColumn::new("evidence", Rest { from: 72 }, move |l, at| {
            l.plan.map_or_else(blank, |plan| in_role(Role::Dim, describe_evidence(plan, at.cells)))
        })
        .set_gap(2),
    ]
}

/// What a translation rests on, in the words there is room for.
fn describe_evidence(plan: &PartitionPlan, cells: usize) -> &str {
    let empty = plan.source.end >= 0 && plan.source.log_start == plan.source.end;
    match &plan.why {
        _ if empty && plan.verdict == Verdict::Proven => "empty",
        // Where there is room for it, what keeps it from being proven.
        Some(why) if cells >= 30 && plan.verdict != Verdict::Proven => why,
        // What it rests on stands before the first comma.
        _ if cells < 30 => plan.evidence.split(',').next().unwrap_or_default(),
        _ => &plan.evidence,
    }
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
        let ranges = format_plural(p.missing_ranges.len(), "range");
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

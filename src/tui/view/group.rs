//! One group: if I press `c`, what exactly happens to every partition?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::groups::more;
use super::line::{self, Row, rule, window};
use super::run;
use crate::controller::snapshot::{GroupRow, PartitionRow, PartitionSide};
use crate::migration::estate::{Observed, Side};
use crate::migration::stage::Stage;
use crate::offsets::verdict::{Cut, CutRecord, GroupPlan, PartitionPlan, Verdict};
use crate::tui::model::{Focus, Model};
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{spark, text, words};

/// Draws the screen of a group.
pub fn draw(m: &Model, id: &str, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let Some(g) = m.group_row(id) else {
        let words = format!("{id} is on neither cluster any more, and not in the plan. esc goes back.");
        Row::new(theme).gap(1).put(Role::Hold, words).draw(area, 1, buf);
        return;
    };
    let mut y = top(m, g, area, buf);
    let left = |y: u16| area.height.saturating_sub(y);
    if let Some(run_view) = &g.run {
        let wanted = run::height(run_view, g.witnessed.as_ref());
        let moving = matches!(g.stage, Stage::Moving { .. });
        let both = left(y) >= wanted + 6;
        let shown = both || m.focus == Focus::Run;
        if shown {
            let height = if both { wanted } else { left(y).saturating_sub(1) };
            rule(theme, "run", area, y, buf);
            let inside = Rect { y: area.y + y + 1, height: height.min(left(y + 1)), ..area };
            run::draw(m, run_view, g.witnessed.as_ref(), inside, buf);
            y += height + 1;
        } else {
            short_run(m, g, moving).draw(area, y, buf);
            y += 1;
        }
        if !both && shown {
            return;
        }
    }
    partitions(m, g, Rect { y: area.y + y, height: left(y), ..area }, buf);
}

/// What of a run fits into one line.
fn short_run<'t>(m: &'t Model, g: &GroupRow, moving: bool) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1);
    let Some(r) = &g.run else { return row };
    let done = r.steps.iter().filter(|s| matches!(s.1, crate::migration::stage::StepState::Done { .. })).count();
    let row = row.put(
        if moving { Role::Strong } else { Role::Dim },
        format!("{} run {}: {done} of {} steps", r.kind, r.run, r.steps.len()),
    );
    let row = match (r.predicted_re_read, &g.witnessed) {
        (Some(p), Some(w)) => row.put(
            Role::Text,
            format!("; promised 0 lost, {p} re-read; witnessed {} lost, {} re-read", w.lost, w.re_read),
        ),
        (Some(p), None) => row.put(Role::Text, format!("; promised 0 lost, {p} re-read")),
        (None, _) => row,
    };
    row.put(Role::Dim, "  tab shows it")
}

/// Who it is, where it stands, what the translation says. Returns the rows used.
fn top(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = m.theme();
    let width = usize::from(area.width);
    let state = words::group_state(g);
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let mut row = Row::new(theme).gap(1).put(Role::Strong, text::cut_middle(&g.group, width / 3, ellipsis)).gap(2);
    if !g.team.is_empty() {
        row = row.put(Role::Dim, text::cut(&g.team, 16, ellipsis)).gap(2);
    }
    row = row.put(Role::Dim, g.mode.to_string()).gap(2).put(state.role, state.word);
    if let Stage::Soaking { since } = g.stage {
        row = row.put(Role::Dim, format!(" for {}", text::age(m.clock().since(since))));
    }
    let (role, way) = words::way_back_of(g);
    let end = Row::new(theme).put(Role::Dim, if way.is_empty() { "" } else { "way back " }).put(role, &way).gap(1);
    line::titled(theme, row.gap(1), end, area, 0, buf);
    let live: Vec<&[Option<u64>]> =
        Side::BOTH.into_iter().filter(|s| words::lag_counts(g, *s)).map(|s| words::on(g, s).trend.as_slice()).collect();
    let max = spark::shared_max(&live, width / 2);
    let half = width / 2;
    let blue = side(m, Side::Blue, g, half, max);
    let green = side(m, Side::Green, g, width - half, max);
    blue.to(half).then(green).draw(area, 1, buf);
    let mut y = 2;
    if g.green_group != g.group {
        Row::new(theme)
            .gap(1)
            .put(Role::Dim, "on green it is called ")
            .put(Role::Text, &g.green_group)
            .draw(area, y, buf);
        y += 1;
    }
    let closed = words::way_back_why(&g.way_back)
        .filter(|_| !way.is_empty() && role != Role::Dim)
        .map(|why| (role, format!("way back: {why}")));
    let because = g.run.as_ref().and_then(|r| r.because.clone()).map(|why| (Role::Hold, why));
    for (role, why) in because.into_iter().chain(words::why(&g.side_state)).chain(closed) {
        for line in text::wrap(&why, width.saturating_sub(2), 3, theme.glyph(Glyph::Ellipsis)) {
            Row::new(theme).gap(1).put(role, line).draw(area, y, buf);
            y += 1;
        }
    }
    estimate(m, g, width).draw(area, y, buf);
    y + 1
}

/// One side of the group in one half of a line.
fn side<'t>(m: &'t Model, side: Side, g: &GroupRow, cells: usize, max: u64) -> Row<'t> {
    let v = words::on(g, side);
    let (role, state) = match (v.state, v.at) {
        // The cluster was seen, and knows no such group.
        (None, Some(_)) => (Role::Dim, "no such group".to_owned()),
        (state, _) => words::kafka_state(state),
    };
    let mut row = Row::new(m.theme()).gap(1).mark(side).gap(1).put(role, state);
    if !v.members.is_empty() {
        row = row.gap(1).put(Role::Dim, words::plural(v.members.len(), "member"));
    }
    let Some(lag) = v.lag else { return row.gap(1).dots(6) };
    if !words::lag_counts(g, side) {
        return row.put(Role::Dim, format!("  {} unread since it left", text::count(lag)));
    }
    row = row.put(Role::Dim, "  lag ").put(Role::Strong, text::count(lag));
    let left = cells.saturating_sub(row.width() + 2).min(40);
    if left >= 4 { row.gap(1).spark(side_role(side), &v.trend, left, max) } else { row }
}

/// What a dialog would promise now.
fn estimate<'t>(m: &'t Model, g: &GroupRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let row = Row::new(theme).gap(1);
    let to = g.estimate_to.unwrap_or_else(|| words::goes_to(g));
    let row = match &g.estimate {
        None if g.measuring => row.put(Role::Hold, "measuring the translation").glyph(Role::Hold, Glyph::Ellipsis),
        None => row.put(Role::Dim, "not measured yet: m measures what a move would cost"),
        Some(Observed::Absent { why }) => {
            let words = words::sentence(&why.what, &why.advice);
            row.put(Role::Hold, text::cut(&words, width.saturating_sub(2), theme.glyph(Glyph::Ellipsis)))
        }
        Some(Observed::Known { value, .. }) => totals(row.put(Role::Dim, "to ").shape(to).gap(1), value),
    };
    let mut end = Row::new(theme);
    if let Some(Observed::Known { at, .. }) = &g.estimate {
        let old = m.clock().since(*at);
        end = end.put(Role::Dim, format!("estimate {} old", text::age(old)));
        if g.measuring {
            end = end.put(Role::Hold, ", measuring").glyph(Role::Hold, Glyph::Ellipsis);
        }
    }
    row.ending(end, width - 1)
}

/// `0 lost, 31 re-read   PROVEN 23  UNMAPPABLE 1`
pub fn totals<'t>(row: Row<'t>, plan: &GroupPlan) -> Row<'t> {
    let row = match plan.totals.missing {
        Some(0) => row.put(Role::Strong, "0 lost"),
        Some(n) => row.put(Role::Fail, format!("{n} LOST")),
        None => row.put(Role::Unknown, "loss UNKNOWN"),
    };
    let row = row.put(Role::Dim, ", ");
    let mut row = match plan.totals.re_read {
        Some(n) => row.put(Role::Strong, format!("{n} re-read")),
        None => row.put(Role::Unknown, "re-read UNKNOWN"),
    };
    row = row.gap(2);
    for verdict in [Verdict::Proven, Verdict::Bounded, Verdict::Guess, Verdict::Unmappable] {
        let n = plan.partitions.iter().filter(|p| p.verdict == verdict).count();
        if n > 0 {
            row = row.gap(1).put(words::verdict_role(verdict), format!("{verdict} {n}"));
        }
    }
    row
}

fn plan_of<'a>(g: &'a GroupRow, p: &PartitionRow) -> Option<&'a PartitionPlan> {
    let plan = g.estimate.as_ref()?.value()?;
    plan.partitions.iter().find(|x| x.tp.partition == p.partition && x.tp.topic == p.topic)
}

/// Widths of the columns of the partition table.
struct Columns {
    name: usize,
    offset: usize,
    lag: usize,
    evidence: bool,
}

impl Columns {
    fn at(width: usize) -> Self {
        match width {
            0..=71 => Self { name: 14, offset: 9, lag: 0, evidence: false },
            72..=99 => Self { name: 14, offset: 10, lag: 0, evidence: false },
            100..=139 => Self { name: 26, offset: 13, lag: 7, evidence: false },
            _ => Self { name: 36, offset: 15, lag: 8, evidence: true },
        }
    }
}

/// The partition table, and the records at the cut of the one under the cursor.
fn partitions(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let columns = Columns::at(usize::from(area.width));
    // From which side the plan goes: there its source columns are.
    let to = g.estimate_to.unwrap_or_else(|| words::goes_to(g));
    let measured = g.estimate.as_ref().is_some_and(|e| e.value().is_some());
    head(m, &columns, to, measured).draw(area, 0, buf);
    if g.partitions.is_empty() {
        Row::new(theme)
            .gap(3)
            .put(Role::Dim, "No partitions: the group has committed nothing on either side.")
            .draw(area, 1, buf);
        return;
    }
    let at = m.partition.min(g.partitions.len() - 1);
    let detail = g.partitions.get(at).and_then(|p| plan_of(g, p));
    let detail_rows = match detail {
        Some(d) if area.height >= 10 => detail_height(d),
        _ => 0,
    };
    let needed = u16::try_from(g.partitions.len() + 1).unwrap_or(u16::MAX);
    let table = Rect { height: (area.height - detail_rows).min(needed), ..area };
    let range = window(g.partitions.len(), at, usize::from(table.height.saturating_sub(1)));
    let (above, below) = (range.start, g.partitions.len() - range.end);
    for (y, i) in (1u16..).zip(range) {
        let line = row(m, g, &g.partitions[i], &columns, to, i == at, usize::from(area.width));
        if i == at { line.draw_cursor(table, y, buf) } else { line.draw(table, y, buf) }
    }
    more(m, above, below, table, buf);
    if let (Some(d), 1..) = (detail, detail_rows) {
        cut(m, d, to, Rect { y: table.bottom(), height: detail_rows, ..area }, buf);
    }
    let y = table.bottom() + detail_rows;
    members(m, g, Rect { y, height: area.bottom().saturating_sub(y), ..area }, buf);
}

fn head<'t>(m: &'t Model, c: &Columns, to: Side, measured: bool) -> Row<'t> {
    let theme = m.theme();
    let from = to.other();
    let shape = |side: Side, word: &str| format!("{} {word}", theme.shape(side));
    let mut row = Row::new(theme)
        .gap(2)
        .left(Role::Dim, "partition", c.name)
        .gap(1)
        .right(side_role(from), shape(from, "at"), c.offset)
        .gap(1)
        .right(Role::Dim, "end", c.offset);
    if c.lag > 0 {
        row = row.gap(1).right(Role::Dim, "lag", c.lag);
    }
    row = row.gap(1).right(side_role(to), shape(to, if measured { "plan" } else { "at" }), c.offset).gap(1).right(
        Role::Dim,
        "end",
        c.offset,
    );
    row = row.gap(2).left(Role::Dim, "verdict", 10).right(Role::Dim, "re-read", 7);
    if c.evidence { row.gap(2).put(Role::Dim, "evidence") } else { row }
}

fn number<'t>(m: &'t Model, row: Row<'t>, role: Role, n: Option<i64>, cells: usize) -> Row<'t> {
    match n {
        None | Some(..0) => row.right(Role::Dim, m.theme().glyph(Glyph::Dash), cells),
        Some(n) => {
            let spaced = text::offset(n);
            // Digits are never cut: without room for the gaps they go.
            let s = if text::width(&spaced) <= cells { spaced } else { n.to_string() };
            row.right(role, s, cells)
        }
    }
}

fn row<'t>(m: &'t Model, g: &GroupRow, p: &PartitionRow, c: &Columns, to: Side, cursor: bool, width: usize) -> Row<'t> {
    let theme = m.theme();
    let (from_side, to_side): (&PartitionSide, &PartitionSide) =
        if to == Side::Green { (&p.blue, &p.green) } else { (&p.green, &p.blue) };
    let plan = plan_of(g, p);
    let row = Row::new(theme);
    let row = if cursor { row.glyph(Role::Strong, Glyph::Cursor).gap(1) } else { row.gap(2) };
    let row = row.name(if cursor { Role::Strong } else { Role::Text }, format!("{}-{}", p.topic, p.partition), c.name);
    let mut row = number(m, row.gap(1), Role::Text, from_side.committed, c.offset);
    row = number(m, row.gap(1), Role::Dim, from_side.end, c.offset);
    if c.lag > 0 {
        let lag = from_side.lag.map_or_else(|| theme.glyph(Glyph::Dash).to_owned(), text::count);
        row = row.gap(1).right(Role::Text, lag, c.lag);
    }
    let planned = plan.map_or(to_side.committed, |p| p.target.offset);
    row = number(m, row.gap(1), if plan.is_some() { Role::Strong } else { Role::Dim }, planned, c.offset);
    row = number(m, row.gap(1), Role::Dim, to_side.end, c.offset);
    let Some(plan) = plan else { return row.gap(2).put(Role::Dim, "not measured") };
    row = row.gap(2).left(words::verdict_role(plan.verdict), plan.verdict.to_string(), 10);
    row = match (plan.missing, plan.re_read) {
        (Some(n), _) if n > 0 => row.right(Role::Fail, format!("{n} LOST"), 7),
        _ if plan.source.end >= 0 && plan.source.log_start == plan.source.end => row.right(Role::Dim, "empty", 7),
        (_, Some(n)) => row.right(if n > 0 { Role::Strong } else { Role::Text }, text::count(n), 7),
        (_, None) => row.right(Role::Unknown, "????", 7),
    };
    if c.evidence {
        let left = width.saturating_sub(row.width() + 3);
        row = row.gap(2).left(Role::Dim, &plan.evidence, left);
    }
    row
}

/// Who is in the group on each side, where there is room for it: who is still on blue?
fn members(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let all: Vec<_> = [(Side::Blue, &g.blue), (Side::Green, &g.green)]
        .into_iter()
        .flat_map(|(side, v)| v.members.iter().map(move |member| (side, member)))
        .collect();
    if area.height < 3 || all.is_empty() {
        return;
    }
    rule(theme, "members", area, 0, buf);
    let room = usize::from(area.height - 1);
    let width = usize::from(area.width);
    for (y, (side, member)) in (1u16..).zip(all.iter().take(room)) {
        let row = Row::new(theme).gap(1).mark(*side).gap(1).name(Role::Text, &member.client_id, 24.min(width / 3));
        let row = row.gap(1).left(Role::Dim, member.host.trim_start_matches('/'), 22.min(width / 4));
        let row = row.gap(1).put(Role::Dim, words::plural(member.assigned.len(), "partition"));
        let row = match &member.instance_id {
            Some(id) => row.gap(2).put(Role::Hold, "static ").put(Role::Text, id),
            None => row,
        };
        if usize::from(y) == room && all.len() > room {
            let rest = format!("and {} more", all.len() - room + 1);
            Row::new(theme).gap(1).put(Role::Dim, rest).draw(area, y, buf);
        } else {
            row.draw(area, y, buf);
        }
    }
}

fn detail_height(p: &PartitionPlan) -> u16 {
    2 + u16::from(p.why.is_some()) + if p.cut == Cut::default() { 0 } else { 2 }
}

/// Evidence, why it is not better, and the records on both sides of the cut.
fn cut(m: &Model, p: &PartitionPlan, to: Side, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    rule(theme, &format!("{} {}", p.tp, p.verdict), area, 0, buf);
    let width = usize::from(area.width);
    let mut y = 1;
    let mut evidence = format!("{}: {}", p.strategy, p.evidence);
    if p.target_only > 0 {
        evidence.push_str(&format!("; passes over {} that only {to} has", p.target_only));
    }
    if let Some((a, b)) = p.missing_ranges.first() {
        evidence.push_str(&format!("; missing on {to}: {} offsets from {a} to {}", p.missing_ranges.len(), b - 1));
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
        cut_side(m, side, records, at, width).draw(area, y, buf);
        y += 1;
    }
}

/// The records around an offset: what was read before the bar, what comes after it.
fn cut_side<'t>(m: &'t Model, side: Side, records: &[CutRecord], at: Option<i64>, width: usize) -> Row<'t> {
    let theme = m.theme();
    let mut row = Row::new(theme).gap(1).mark(side).gap(1);
    let at = at.unwrap_or(i64::MAX);
    let split = records.iter().position(|r| r.offset >= at).unwrap_or(records.len());
    let show = |r: &CutRecord| format!("{} {} {}", r.offset, text::clock(r.ts), r.id);
    let (before, after) = records.split_at(split);
    let room = width.saturating_sub(row.width() + 6) / 2;
    let fit = |words: Vec<String>| {
        let mut out = String::new();
        for w in words {
            if !out.is_empty() && text::width(&out) + 2 + text::width(&w) > room {
                break;
            }
            if !out.is_empty() {
                out.push_str("  ");
            }
            out.push_str(&w);
        }
        out
    };
    let before = before.last().map(show).unwrap_or_default();
    row = row.left(Role::Dim, before, room.min(32)).gap(1).glyph(Role::NoReturn, Glyph::Bar).gap(1);
    row.put(Role::Text, text::cut(&fit(after.iter().map(show).collect()), room, theme.glyph(Glyph::Ellipsis)))
}

//! The gates of a soak: how long still, and can the clock be trusted. Holes are drawn where they were.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use crate::base::At;
use crate::base::sanitise::visible_name;
use crate::migration::rules::gate::Gate;
use crate::migration::soak::samples::SampleMark;
use crate::migration::soak::trigger::{Arm, TriggerState};
use crate::snapshot::{GateRow, GroupRow, TriggerRow};
use crate::tui::model::{Model, ScreenFocus};
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

/// Cells of a criterion in words.
fn criterion_width(width: usize) -> usize {
    if width < 70 { 23 } else { 34 }
}

/// Cells of its gate and of its value.
const GATE: usize = 8;
const VALUE: usize = 9;

/// Least rows of the terminal where a criterion may take a second line, unless what it stands in is scrolled.
const ROOMY: u16 = 20;

/// Draws a line or two a criterion and one a trigger; returns the rows used.
pub fn draw(m: &Model, g: &GroupRow, area: Rect, top: u16, buf: &mut Buffer) -> u16 {
    let width = usize::from(area.width);
    let roomy = m.size.1 >= ROOMY || m.focus == ScreenFocus::Top;
    let gates = g.gates.iter().flat_map(|row| {
        let below = if roomy { line_below(m, row, width) } else { None };
        std::iter::once(gate_line(m, row, width)).chain(below)
    });
    let triggers = g.triggers.iter().map(|row| trigger_line(m, row, width));
    let mut y = top;
    for row in gates.chain(triggers) {
        row.draw(area, y, buf);
        y += 1;
    }
    y - top
}

/// When a soak can be over at the earliest, in words; `None` while something fails or is unknown: no time tells that.
pub(crate) fn describe_completion(g: &GroupRow) -> Option<(Role, String)> {
    let judged: Vec<&Gate> = g.gates.iter().filter(|row| row.judged).map(|row| &row.gate).collect();
    let left = judged.iter().map(|gate| match gate {
        Gate::Pass => Some(0),
        Gate::Hold { left_ms, .. } => Some(*left_ms),
        Gate::Fail { .. } | Gate::Unknown { .. } => None,
    });
    let left = left.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    Some(match left {
        0 => (Role::Ok, "all pass: d".to_owned()),
        ms => (Role::Hold, format!("passes in {}", crate::base::format_duration(ms))),
    })
}

fn gate_line<'t>(m: &'t Model, row: &GateRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let role = match (&row.gate, row.judged) {
        (_, false) => Role::Dim,
        (Gate::Pass, _) => Role::Ok,
        (Gate::Hold { .. }, _) => Role::Hold,
        (Gate::Fail { .. }, _) => Role::Fail,
        (Gate::Unknown { .. }, _) => Role::Unknown,
    };
    let at = criterion_width(width) + 1;
    let line = Row::new(theme).gap(1).put(Role::Text, text::cut(&row.words, at - 2, ellipsis)).pad_to(at);
    let line = if row.judged { line.put(role, row.gate.word()).pad_to(at + GATE) } else { line };
    // The age that it had, and the time since.
    let age = row.age_ms.filter(|_| row.judged).map(|ms| text::format_age(ms.saturating_add(m.snapshot_age())));
    let age = age.map_or_else(|| Row::new(theme), |age| Row::new(theme).gap(1).put(Role::Dim, age));
    // What can't be told needs its reason more than a picture, which comes below it.
    if let Gate::Unknown { why } | Gate::Fail { why } = &row.gate {
        let left = width.saturating_sub(line.width() + 2 + age.width());
        return line.put(role, text::cut(why, left, ellipsis)).put_at_end(age, width - 1);
    }
    let value = row.value.map(|v| row.metric.format_value(v)).unwrap_or_default();
    let line = line.put(Role::Strong, value).pad_to(at + GATE + VALUE);
    let end = match &row.gate {
        Gate::Hold { left_ms, .. } => format!("{} left", crate::base::format_duration(*left_ms)),
        _ => String::new(),
    };
    let cells = width.saturating_sub(line.width() + end.len() + age.width() + 3);
    let line = if row.needed_ms > 0 && cells >= 6 { put_timeline(line, row, m.clock(), cells) } else { line };
    line.gap(1).put(role, end).put_at_end(age, width - 1)
}

/// What belongs under the line of a criterion: the timeline of one that has no room for it there, and where nothing was
/// measured.
fn line_below<'t>(m: &'t Model, row: &GateRow, width: usize) -> Option<Row<'t>> {
    if !row.judged || row.needed_ms == 0 {
        return None;
    }
    let hole = describe_hole(m, row);
    let line = Row::new(m.theme()).gap(criterion_width(width) + 1 + GATE);
    match &row.gate {
        Gate::Fail { .. } | Gate::Unknown { .. } => {
            let tail = hole.unwrap_or_default();
            let cells = width.saturating_sub(line.width() + tail.len() + 2).min(60);
            let line = if cells >= 6 { put_timeline(line, row, m.clock(), cells) } else { line };
            Some(line.gap(1).put(Role::Dim, tail))
        }
        Gate::Pass | Gate::Hold { .. } => hole.map(|hole| line.put(Role::Dim, format!("{hole}: does not count"))),
    }
}

/// Where nothing was measured, in words: the newest of the holes.
fn describe_hole(m: &Model, row: &GateRow) -> Option<String> {
    let hole = row.holes.last()?;
    let minutes = |at: At| text::format_clock(at.0).chars().take(5).collect::<String>();
    let many = match row.holes.len() {
        1 => "hole".to_owned(),
        n => format!("{n} holes, last"),
    };
    // Open as long as nothing was measured after it.
    let open = row.line.last().is_none_or(|(_, to, _)| *to <= hole.from);
    Some(match open || hole.to > m.clock() {
        true => format!("{many} since {} UTC", minutes(hole.from)),
        false => format!("{many} {}-{} UTC", minutes(hole.from), minutes(hole.to)),
    })
}

/// The time since it is watched, a cell each of its parts: what was good, what was bad, holes left empty. Each has a shape
/// of its own, for who sees no colours; help has the legend.
fn put_timeline<'t>(mut line: Row<'t>, row: &GateRow, now: At, cells: usize) -> Row<'t> {
    // At least as long as what is asked for: what is still to come has its place in the line.
    let whole = now.since(row.since).max(row.needed_ms).max(1);
    let each = (whole / cells as u64).max(1);
    for i in 0..cells as u64 {
        let (from, to) = (row.since.plus(i * each), row.since.plus((i + 1) * each));
        let within = |a: At, b: At| a < to && b >= from;
        let hole = row.holes.iter().any(|h| within(h.from, h.to));
        let mark = row.line.iter().rev().find(|(a, b, _)| within(*a, *b)).map(|(_, _, mark)| *mark);
        line = match (hole, mark) {
            _ if from > now => line.glyph(Role::Frame, Glyph::Rest),
            (_, Some(SampleMark::Bad)) => line.glyph(Role::Fail, Glyph::Blocked),
            // However short a hole is: it is what one must not overlook.
            (true, _) => line.gap(1),
            (_, Some(SampleMark::Idle)) => line.glyph(Role::Dim, Glyph::Rest),
            (false, Some(SampleMark::Good)) => line.glyph(Role::Ok, Glyph::Full),
            (false, None) => line.glyph(Role::Frame, Glyph::Rest),
        };
    }
    line
}

fn trigger_line<'t>(m: &'t Model, row: &TriggerRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let t = &row.trigger;
    // What it waits for and how long still comes first: the end is cut where there is little room.
    let (role, says) = match &row.state {
        TriggerState::Quiet { worst } => {
            (Role::Dim, format!("quiet, worst {} ({})", t.metric.format_value(*worst), t.describe_condition()))
        }
        TriggerState::Rising { left_ms, why } => {
            (Role::Hold, format!("fires in {}: {why}", crate::base::format_duration(*left_ms)))
        }
        TriggerState::Met { why } => (Role::Fail, format!("MET: {why}")),
        TriggerState::Unknown { why } => (Role::Unknown, format!("UNKNOWN: {why}")),
    };
    let armed = if t.arm == Arm::Armed { Role::Strong } else { Role::Dim };
    let line = Row::new(theme).gap(1).put(Role::Dim, "trigger ").put(Role::Text, visible_name(&t.name)).gap(1);
    let line = line.put(armed, t.arm.to_string()).gap(2);
    let left = width.saturating_sub(line.width() + 1);
    line.put(role, text::cut(&says, left, theme.glyph(Glyph::Ellipsis)))
}

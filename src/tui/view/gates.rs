//! The gates of a soak: how long still, and can the clock be trusted. Holes are drawn where they were.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use crate::controller::snapshot::{GateRow, GroupRow, TriggerRow};
use crate::migration::estate::At;
use crate::migration::gate::Gate;
use crate::migration::samples::Mark;
use crate::migration::trigger::TriggerState;
use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

/// Cells of the criterion in words, of its gate and value.
const WORDS: usize = 34;
const GATE: usize = 8;
const VALUE: usize = 9;

/// Draws a line a criterion and one a trigger; returns the rows used.
pub fn draw(m: &Model, g: &GroupRow, area: Rect, top: u16, buf: &mut Buffer) -> u16 {
    let width = usize::from(area.width);
    let gates = g.gates.iter().map(|row| gate(m, row, width));
    let triggers = g.triggers.iter().map(|row| trigger(m, row, width));
    let mut y = top;
    for row in gates.chain(triggers) {
        row.draw(area, y, buf);
        y += 1;
    }
    y - top
}

fn gate<'t>(m: &'t Model, row: &GateRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let role = match (&row.gate, row.judged) {
        (_, false) => Role::Dim,
        (Gate::Pass, _) => Role::Ok,
        (Gate::Hold { .. }, _) => Role::Hold,
        (Gate::Fail { .. }, _) => Role::Fail,
        (Gate::Unknown { .. }, _) => Role::Unknown,
    };
    let word = if row.judged { row.gate.word() } else { "" };
    let line = Row::new(theme).gap(1).put(Role::Text, text::cut(&row.words, WORDS - 1, ellipsis)).to(WORDS + 1);
    let line = line.put(role, word).to(WORDS + 1 + GATE);
    // What can't be told needs its reason more than a picture.
    if let Gate::Unknown { why } | Gate::Fail { why } = &row.gate {
        let left = width.saturating_sub(line.width() + 1);
        return line.put(role, text::cut(why, left, ellipsis));
    }
    let value = row.value.map(|v| row.metric.show(v)).unwrap_or_default();
    let line = line.put(Role::Strong, value).to(WORDS + 1 + GATE + VALUE);
    let end = match &row.gate {
        Gate::Hold { left_ms, .. } => format!("{} left", crate::migration::gate::span(*left_ms)),
        _ => String::new(),
    };
    let cells = width.saturating_sub(line.width() + end.len() + 3);
    let line = if row.needed_ms > 0 && cells >= 6 { bar(line, row, m.clock(), cells) } else { line };
    line.gap(1).put(role, end)
}

/// The time since it is watched, a cell each of its parts: what was good, what was bad, holes left empty.
fn bar<'t>(mut line: Row<'t>, row: &GateRow, now: At, cells: usize) -> Row<'t> {
    let whole = now.since(row.since).max(row.needed_ms).max(1);
    let each = (whole / cells as u64).max(1);
    for i in 0..cells as u64 {
        let (from, to) = (row.since.plus(i * each), row.since.plus((i + 1) * each));
        let within = |a: At, b: At| a < to && b >= from;
        let hole = row.holes.iter().any(|h| within(h.from, h.to));
        let mark = row.line.iter().rev().find(|(a, b, _)| within(*a, *b)).map(|(_, _, mark)| *mark);
        line = match (hole, mark) {
            _ if from > now => line.glyph(Role::Frame, Glyph::Rest),
            (true, None) => line.gap(1),
            (_, Some(Mark::Bad)) => line.glyph(Role::Fail, Glyph::Full),
            (true, Some(_)) | (_, Some(Mark::Idle)) => line.glyph(Role::Dim, Glyph::Rest),
            (false, Some(Mark::Good)) => line.glyph(Role::Ok, Glyph::Full),
            (false, None) => line.glyph(Role::Frame, Glyph::Rest),
        };
    }
    line
}

fn trigger<'t>(m: &'t Model, row: &TriggerRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let t = &row.trigger;
    let (role, says) = match &row.state {
        TriggerState::Quiet { worst } => (Role::Dim, format!("quiet, worst {}", t.metric.show(*worst))),
        TriggerState::Rising { left_ms, why } => {
            (Role::Hold, format!("{why}, fires in {}", crate::migration::gate::span(*left_ms)))
        }
        TriggerState::Met { why } => (Role::Fail, format!("MET: {why}")),
        TriggerState::Unknown { why } => (Role::Unknown, format!("? {why}")),
    };
    let line = Row::new(theme).gap(1).put(Role::Dim, "trigger ").put(Role::Text, &t.name);
    let line = line.put(Role::Dim, format!(" ({}, {})  ", t.arm, t.words()));
    let left = width.saturating_sub(line.width() + 1);
    line.put(role, text::cut(&says, left, theme.glyph(Glyph::Ellipsis)))
}

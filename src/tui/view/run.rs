//! A run: its steps as they happen, what was promised, what was seen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use crate::base::sanitise::visible_name;
use crate::migration::facts::event::RunKind;
use crate::migration::facts::stage::{RunView, StepState};
use crate::snapshot::Witnessed;
use crate::tui::model::{Model, ScreenFocus};
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

/// Rows that a run takes when there is room for all of it.
pub(crate) fn run_height(run: &RunView, witnessed: Option<&Witnessed>) -> u16 {
    let line = u16::from(run.no_return_after.is_some());
    // Half of the most there can be, as more is added to it.
    u16::try_from(run.steps.len()).unwrap_or(u16::MAX / 2) + line + 1 + foot_height(run, witnessed)
}

/// Rows under the steps.
fn foot_height(run: &RunView, witnessed: Option<&Witnessed>) -> u16 {
    1 + u16::from(witnessed.is_some()) + u16::try_from(run.passed_over.len()).unwrap_or(u16::MAX / 4)
}

/// Whether its steps are all done.
pub fn is_done(run: &RunView) -> bool {
    run.steps.iter().all(|s| matches!(s.1, StepState::Done { .. }))
}

/// Draws a run.
pub fn draw(m: &Model, run: &RunView, witnessed: Option<&Witnessed>, area: Rect, buf: &mut Buffer) {
    head_line(m, run, usize::from(area.width)).draw(area, 0, buf);
    let room = usize::from(area.height.saturating_sub(1 + foot_height(run, witnessed)));
    let mut lines = Vec::new();
    for (i, (what, state)) in run.steps.iter().enumerate() {
        if run.no_return_after == Some(i) {
            lines.push(no_return_line(m, usize::from(area.width)));
        }
        lines.push(step_line(m, i + 1, what, state, usize::from(area.width)));
    }
    let (skip, ..) = shown_steps(m, run, witnessed, area.height);
    let drawn = u16::try_from(lines.len().min(room)).unwrap_or(area.height);
    for (y, line) in (1u16..).zip(lines.into_iter().skip(skip).take(room)) {
        line.draw(area, y, buf);
    }
    let y = 1 + drawn;
    promise_line(m, run).draw(area, y, buf);
    let mut y = y + 1;
    for p in &run.passed_over {
        let reason = if p.reason.is_empty() { String::new() } else { format!(": {}", p.reason) };
        let words = format!("{} passed over the gate {} ({}){reason}", visible_name(&p.by), p.gate, p.what);
        let cells = usize::from(area.width).saturating_sub(2);
        Row::new(m.theme()).gap(1).left(Role::Hold, words, cells).draw(area, y, buf);
        y += 1;
    }
    if let Some(w) = witnessed {
        witness_line(m, run, w).draw(area, y, buf);
    }
}

/// Which of a run's steps are shown in so many rows: the first, how many, and of how many. Where it stands is what one wants
/// to see: with little room the steps done long ago give way, unless a person looks at them.
pub(crate) fn shown_steps(
    m: &Model,
    run: &RunView,
    witnessed: Option<&Witnessed>,
    height: u16,
) -> (usize, usize, usize) {
    let room = usize::from(height.saturating_sub(1 + foot_height(run, witnessed)));
    let total = run.steps.len() + usize::from(run.no_return_after.is_some());
    let at = run.steps.iter().position(|s| !matches!(s.1, StepState::Done { .. })).unwrap_or(run.steps.len());
    let first = match m.run_from.filter(|_| m.focus == ScreenFocus::Run) {
        Some(from) => from.min(total.saturating_sub(room)),
        None => super::line::visible_range(total, at, room).start,
    };
    (first, room, total)
}

fn head_line<'t>(m: &'t Model, run: &RunView, width: usize) -> Row<'t> {
    let now = m.clock();
    let mut row = Row::new(m.theme()).gap(1).put(Role::Strong, run.kind.to_string());
    // A flag can go to a state that is no side (dual): its steps say which.
    if run.kind != RunKind::Route {
        row = row.put(Role::Dim, " to ").mark(run.to);
    }
    row = row.put(Role::Dim, format!("  run {}  {}", run.run, visible_name(&run.actor)));
    if run.dry_run {
        row = row.gap(2).put(Role::DryRun, " DRY-RUN ");
    }
    let mut end = Row::new(m.theme());
    if let Some(deadline) = run.deadline.filter(|_| !is_done(run)) {
        let left = deadline.since(now);
        let role = if left < 10_000 { Role::Hold } else { Role::Dim };
        end = end.put(role, format!("timeout in {}", text::format_duration(left / 1000 * 1000)));
    } else {
        end = end.put(Role::Dim, format!("started {} ago", text::format_age(now.since(run.started))));
    }
    row.put_at_end(end, width - 1)
}

/// The line after which nothing is undone silently.
pub(crate) fn no_return_line<'t>(m: &'t Model, width: usize) -> Row<'t> {
    let rule = m.theme().glyph(Glyph::Rule);
    let words = " point of no silent return ";
    let side = width.saturating_sub(words.len() + 2) / 2;
    Row::new(m.theme())
        .gap(1)
        .put(Role::NoReturn, rule.repeat(side))
        .put(Role::NoReturn, words)
        .put(Role::NoReturn, rule.repeat(width.saturating_sub(side + words.len() + 2)))
}

fn step_line<'t>(m: &'t Model, number: usize, what: &str, state: &StepState, width: usize) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1);
    let (mark, role, end) = match state {
        StepState::Todo => (Glyph::Todo, Role::Dim, (Role::Dim, String::new())),
        StepState::Done { at } => (Glyph::Check, Role::Text, (Role::Dim, text::format_clock(at.0))),
        StepState::Doing { since, waiting } => {
            let spent = text::format_age(m.clock().since(*since));
            let words = if waiting.is_empty() { spent } else { format!("{waiting}  {spent}") };
            (Glyph::Cursor, Role::Strong, (Role::Hold, words))
        }
        StepState::Stuck { why } => (Glyph::Alert, Role::Fail, (Role::Fail, why.clone())),
    };
    let row = row.glyph(role, mark).gap(1).put(role, format!("{number} "));
    let ellipsis = m.theme().glyph(Glyph::Ellipsis);
    let room = width.saturating_sub(row.width() + 1);
    // What is waited for matters more than how the step is called.
    let end_words = text::cut(&end.1, room.saturating_sub(16), ellipsis);
    let left = room.saturating_sub(text::width(&end_words) + 2);
    let row = row.put(role, text::cut(what, left, ellipsis));
    row.put_at_end(Row::new(m.theme()).put(end.0, end_words), width - 1)
}

/// Prediction against limit.
fn promise_line<'t>(m: &'t Model, run: &RunView) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1);
    let limit = run.max_re_read.map_or(String::new(), |l| format!(", limit {}", text::format_count(l)));
    match run.predicted_re_read {
        None if run.max_re_read.is_none() => row,
        None => row.put(Role::Dim, format!("predicted re-read: known after the drain{limit}")),
        Some(n) => {
            let role = if run.max_re_read.is_some_and(|l| n > l) { Role::Fail } else { Role::Strong };
            let when = if run.kind == RunKind::ResetOffsets { "as translated: " } else { "promised after the drain: " };
            let (lost, loss) = promised_loss(run);
            row.put(Role::Dim, when)
                .put(lost, format!("{loss}, "))
                .put(role, format!("{n} re-read"))
                .put(Role::Dim, limit)
        }
    }
}

/// What a run's translation loses: 0 unless somebody passed over it, and never 0 when it is not known.
pub(crate) fn promised_loss(run: &RunView) -> (Role, String) {
    match run.offsets.as_ref().and_then(|o| o.plan.totals.missing) {
        Some(0) => (Role::Strong, "0 lost".to_owned()),
        Some(n) => (Role::Fail, format!("MISSING {n}")),
        None => (Role::Unknown, "loss UNKNOWN".to_owned()),
    }
}

/// What consumers that keep count saw.
fn witness_line<'t>(m: &'t Model, run: &RunView, w: &Witnessed) -> Row<'t> {
    let lost = if w.lost > 0 { Role::Fail } else { Role::Strong };
    let kept = run.predicted_re_read;
    let re_read = if kept.is_some_and(|p| w.re_read > p) { Role::Fail } else { Role::Strong };
    let mut row = Row::new(m.theme())
        .gap(1)
        .put(Role::Dim, "witnessed: ")
        .put(lost, format!("{} lost", w.lost))
        .put(Role::Dim, ", ")
        .put(re_read, format!("{} re-read", w.re_read));
    if let Some(p) = kept {
        row = row.put(Role::Dim, format!("; promised {p}"));
    }
    let (role, age) = words::describe_age(m.clock(), w.at, m.stale_after());
    row.put(Role::Dim, format!("; {} processed  ", text::format_count(w.processed))).put(role, age)
}

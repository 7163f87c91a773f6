//! One producer: what its flag says, what its topics show, what a run does to it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{self, Row};
use super::{eos, run};
use crate::base::sanitise::visible_name;
use crate::base::{Observed, Side};
use crate::migration::eos::EosView;
use crate::migration::facts::stage::{SideState, Stage};
use crate::snapshot::{Fidelity, ProducerRow};
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

/// Draws the screen of a producer.
pub fn draw(m: &Model, name: &str, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let Some(p) = m.producer_row(name) else {
        let words = format!("{} is not in the plan any more. esc goes back.", visible_name(name));
        Row::new(theme).gap(1).put(Role::Hold, words).draw(area, 1, buf);
        return;
    };
    let lines = producer_lines(m, p, usize::from(area.width));
    let total = lines.len();
    let rows = usize::from(rows_above_run(p, area));
    let shown = if total > rows { rows.saturating_sub(1) } else { rows };
    let skip = m.scroll.min(total.saturating_sub(shown));
    let mut y = 0;
    for line in lines.into_iter().skip(skip).take(shown) {
        line.draw(area, y, buf);
        y += 1;
    }
    if total > rows {
        line::draw_position(theme, (skip, shown, total), area, y, buf);
        y += 1;
    }
    if let Some(r) = &p.run {
        let height = run::run_height(r, None).min(area.height.saturating_sub(y));
        run::draw(m, r, None, Rect { y: area.y + y, height, ..area }, buf);
    }
}

fn is_moving(p: &ProducerRow) -> bool {
    p.eos.as_deref().is_some_and(|e| matches!(e.stage, Stage::Moving { .. }))
}

/// Rows above the run: what a run does now is what one wants to see, it keeps its room.
fn rows_above_run(p: &ProducerRow, area: Rect) -> u16 {
    let run = p.run.as_ref().filter(|_| is_moving(p) || !p.transactional);
    area.height.saturating_sub(run.map_or(0, |r| run::run_height(r, None).min(10)))
}

/// How many lines of it have no room.
pub(crate) fn count_hidden(m: &Model, name: &str, area: Rect) -> usize {
    let Some(p) = m.producer_row(name) else { return 0 };
    line::count_hidden(producer_lines(m, p, usize::from(area.width)).len(), usize::from(rows_above_run(p, area)))
}

/// Everything that is known of it, a line each.
fn producer_lines<'t>(m: &'t Model, p: &ProducerRow, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let mut lines: Vec<Row<'t>> = vec![title_line(m, p, width)];
    if !p.transactional {
        lines.push(Row::new(theme));
    }
    lines.push(flag_line(m, p.flag.as_ref()));
    lines.push(observed_line(m, p));
    let list = |label: &str, words: &str, role: Role| labelled_lines(m, label, words, role, width);
    lines.extend(list("topics", &words::join_names(&p.topics), Role::Text));
    if !p.observed.shared.is_empty() {
        let words = format!("{} are written by others too: not attributable", words::join_names(&p.observed.shared));
        lines.extend(list("shared", &words, Role::Hold));
    }
    match &p.fidelity {
        Fidelity::NotDual => {}
        not @ Fidelity::NotSampled { .. } => lines.extend(list("on both", &not.describe_fully(), Role::Hold)),
        some @ Fidelity::Sampled(_) => {
            let (role, word) = words::describe_fidelity(some, m.clock());
            lines.push(Row::new(theme).gap(1).left(Role::Dim, "on both", 14).put(role, word));
            lines.extend(list("", &some.describe_fully(), Role::Text));
        }
    }
    if let Some(d) = &p.disagreement {
        lines.extend(list("disagreement", d, Role::Hold));
    }
    if let Some(standing) = p.eos.as_deref() {
        lines.extend(eos::standing_lines(m, standing, p.side_state.as_ref(), width));
    } else if let Some((role, why)) = words::describe_why(&p.side_state) {
        let label = if matches!(p.side_state, Some(SideState::NeedsOperator { .. })) { "needs you" } else { "state" };
        lines.extend(list(label, &why, role));
    }
    lines.extend(list("next", m.next_of(&p.next), Role::Strong));
    if let Some(standing) = p.eos.as_deref() {
        lines.extend(gate_lines(m, standing, is_moving(p), width));
    }
    lines.push(Row::new(theme));
    lines
}

/// Who it is, and how it may be moved.
fn title_line<'t>(m: &'t Model, p: &ProducerRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let row = Row::new(theme)
        .gap(1)
        .put(Role::Strong, text::cut_middle(&visible_name(&p.name), width / 2, theme.glyph(Glyph::Ellipsis)))
        .gap(2)
        .put(Role::Dim, visible_name(&p.team));
    let row = if p.critical { row.gap(2).put(Role::Text, "critical: passes through dual") } else { row };
    if p.transactional { row.gap(2).put(Role::Text, "exactly-once: hard cutover only") } else { row }
}

/// What its topics show, and how long ago.
fn observed_line<'t>(m: &'t Model, p: &ProducerRow) -> Row<'t> {
    let theme = m.theme();
    let rate = |r: Option<f64>| r.map_or_else(|| theme.glyph(Glyph::Dash).to_owned(), text::format_rate);
    let observed = Row::new(theme)
        .gap(1)
        .left(Role::Dim, "as observed", 14)
        .mark(Side::Blue)
        .put(Role::Text, format!(" {}   ", rate(p.observed.blue_rate)))
        .mark(Side::Green)
        .put(Role::Text, format!(" {}", rate(p.observed.green_rate)));
    let Some(at) = p.observed.at else { return observed };
    let (role, age) = words::describe_age(m.clock(), at, m.stale_after());
    observed.gap(3).put(role, age)
}

/// Words behind a label, wrapped.
fn labelled_lines<'t>(m: &'t Model, label: &str, words: &str, role: Role, width: usize) -> Vec<Row<'t>> {
    line::wrap_labelled(m.theme(), (label, 14), (role, words), width, 4)
}

/// The gate of the next move; in the middle of a run that of after the stop.
fn gate_lines<'t>(m: &'t Model, eos: &EosView, moving: bool, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let cells = width.saturating_sub(2);
    let inset = |row: Row<'t>| Row::new(theme).gap(1).then(row);
    if moving {
        let rows = eos::gate_rows(m, &eos.after, cells, false);
        return rows.into_iter().map(inset).collect();
    }
    if matches!(eos.stage, Stage::Complete { .. }) {
        return Vec::new();
    }
    let (role, words) = match eos::describe_locks(&eos.live) {
        Some(words) => (Role::Hold, words),
        None if eos.to == Side::Green => (Role::Ok, "e cuts over: every row passes".to_owned()),
        None => (Role::Ok, "e rolls back: every row passes".to_owned()),
    };
    let mut rows = vec![Row::new(theme).gap(1).put(Role::Dim, "gate before anything stops: ").put(role, words)];
    rows.extend(eos::gate_rows(m, &eos.live, cells, true).into_iter().map(inset));
    rows
}

fn flag_line<'t>(m: &'t Model, flag: Option<&Observed<crate::estate::FlagState>>) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1).left(Role::Dim, "flag", 14);
    match flag {
        None => row.put(Role::Dim, "the plan gives it no flag: it can be watched, not routed"),
        Some(Observed::Absent { why }) => row.put(Role::Unknown, words::to_sentence(&why.what, &why.advice)),
        Some(Observed::Known { value, at, trouble }) => {
            let (role, age) = words::describe_age(m.clock(), *at, m.stale_after());
            let row = row.put(words::flag_role(*value), value.to_string()).gap(3).put(role, age);
            match trouble {
                Some(t) => row.gap(2).put(Role::Hold, words::to_sentence(&t.what, &t.advice)),
                None => row,
            }
        }
    }
}

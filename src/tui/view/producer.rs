//! One producer: what its flag says, what its topics show, what a run does to it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use super::run;
use crate::migration::estate::{Observed, Side};
use crate::migration::stage::SideState;
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

/// Draws the screen of a producer.
pub fn draw(m: &Model, name: &str, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let Some(p) = m.producer_row(name) else {
        let words = format!("{name} is not in the plan any more. esc goes back.");
        Row::new(theme).gap(1).put(Role::Hold, words).draw(area, 1, buf);
        return;
    };
    let width = usize::from(area.width);
    let mut lines: Vec<Row<'_>> = Vec::new();
    let row = Row::new(theme)
        .gap(1)
        .put(Role::Strong, text::cut_middle(&p.name, width / 2, theme.glyph(Glyph::Ellipsis)))
        .gap(2)
        .put(Role::Dim, &p.team);
    let row = if p.critical { row.gap(2).put(Role::Text, "critical: passes through dual") } else { row };
    lines.push(if p.transactional { row.gap(2).put(Role::Text, "exactly-once: hard cutover only") } else { row });
    lines.push(Row::new(theme));
    lines.push(flag(m, p.flag.as_ref()));
    let rate = |r: Option<f64>| r.map_or_else(|| theme.glyph(Glyph::Dash).to_owned(), text::rate);
    let mut observed = Row::new(theme)
        .gap(1)
        .left(Role::Dim, "as observed", 14)
        .mark(Side::Blue)
        .put(Role::Text, format!(" {}   ", rate(p.observed.blue_rate)))
        .mark(Side::Green)
        .put(Role::Text, format!(" {}", rate(p.observed.green_rate)));
    if let Some(at) = p.observed.at {
        let (role, age) = words::aged(m.clock(), at, m.stale_after());
        observed = observed.gap(3).put(role, age);
    }
    lines.push(observed);
    let list = |label: &str, words: &str, role: Role| {
        let mut out = Vec::new();
        for (i, l) in
            text::wrap(words, width.saturating_sub(16), 4, theme.glyph(Glyph::Ellipsis)).into_iter().enumerate()
        {
            out.push(Row::new(theme).gap(1).left(Role::Dim, if i == 0 { label } else { "" }, 14).put(role, l));
        }
        out
    };
    lines.extend(list("topics", &p.topics.join(" "), Role::Text));
    if !p.observed.shared.is_empty() {
        let words = format!("{} are written by others too: not attributable", p.observed.shared.join(" "));
        lines.extend(list("shared", &words, Role::Hold));
    }
    if let Some(d) = &p.disagreement {
        lines.extend(list("disagreement", d, Role::Hold));
    }
    if let Some((role, why)) = words::why(&p.side_state) {
        let label = if matches!(p.side_state, Some(SideState::NeedsOperator { .. })) { "needs you" } else { "state" };
        lines.extend(list(label, &why, role));
    }
    lines.extend(list("next", &p.next, Role::Strong));
    lines.push(Row::new(theme));
    let mut y = 0;
    for line in lines {
        line.draw(area, y, buf);
        y += 1;
    }
    if let Some(r) = &p.run {
        let height = run::height(r, None).min(area.height.saturating_sub(y));
        run::draw(m, r, None, Rect { y: area.y + y, height, ..area }, buf);
    }
}

fn flag<'t>(m: &'t Model, flag: Option<&Observed<crate::migration::estate::FlagState>>) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1).left(Role::Dim, "flag", 14);
    match flag {
        None => row.put(Role::Dim, "the plan gives it no flag: it can be watched, not routed"),
        Some(Observed::Absent { why }) => row.put(Role::Unknown, words::sentence(&why.what, &why.advice)),
        Some(Observed::Known { value, at, trouble }) => {
            let (role, age) = words::aged(m.clock(), *at, m.stale_after());
            let row = row.put(words::flag_role(*value), value.to_string()).gap(3).put(role, age);
            match trouble {
                Some(t) => row.gap(2).put(Role::Hold, words::sentence(&t.what, &t.advice)),
                None => row,
            }
        }
    }
}

//! Choosing how offsets are found: which strategy, at which moment, and why.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use super::prompts::{box_width, draw_box, typed_line};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::offsets::Strategy;
use crate::snapshot::GroupRow;
use crate::tui::choose::{self, ChoiceStep, Choose};
use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::theme::{Glyph, Role};

/// Draws the question.
pub fn draw(m: &Model, c: &Choose, over: Rect, buf: &mut Buffer) {
    let cells = box_width(over);
    let rows = match c.step {
        ChoiceStep::Strategy => strategy_lines(m, c, cells),
        ChoiceStep::Moment => question_lines(
            m,
            c,
            "From which moment? The first record at or after it. RFC 3339 (2026-11-22T02:00:00Z), or so long ago (-2h). \
             Empty: for each partition the time of the oldest record that is not consumed.",
            cells,
        ),
        ChoiceStep::Reason => {
            question_lines(m, c, "Why not the plan's own? It goes into the journal, for the next person.", cells)
        }
    };
    let by =
        c.selected_strategy().filter(|_| c.step != ChoiceStep::Strategy).map_or(String::new(), |s| format!(" by {s}"));
    let title = format!("Set the offsets of {} on {}{by}", visible_name(&c.group), c.to.name().to_uppercase());
    draw_box(m, &title, rows, over, buf);
}

fn strategy_lines<'t>(m: &'t Model, c: &Choose, cells: usize) -> Vec<(Row<'t>, bool)> {
    let theme = m.theme();
    let group = m.group_row(&c.group);
    let mut rows = Vec::new();
    for (i, option) in choose::list_options().into_iter().enumerate() {
        let cursor = i == c.selected;
        let row = Row::new(theme);
        let row = if cursor { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
        let name = option.map_or_else(|| "plan".to_owned(), |s| s.to_string());
        let guess = option.is_some_and(Strategy::is_asked_for);
        let row = row.gap(1).left(if guess { Role::Hold } else { Role::Strong }, name, 10);
        let mut words = choose::describe_option(option).to_owned();
        if let Some(known) = group.and_then(|g| describe_known(m, g, option, c.to)) {
            words = format!("{words}: {known}");
        }
        let (column, left) = (row.width(), cells.saturating_sub(row.width()));
        // The chosen line says all of it.
        let lines = if cursor { text::wrap(&words, left, 3, theme.glyph(Glyph::Ellipsis)) } else { vec![words] };
        let mut row = Some(row);
        for line in lines {
            let start = row.take().unwrap_or_else(|| Row::new(theme).gap(column));
            rows.push((start.left(Role::Text, line, left), cursor));
        }
    }
    rows
}

/// What is known of an option before it is measured; of old figures nothing is said.
fn describe_known(m: &Model, g: &GroupRow, option: Option<Strategy>, to: Side) -> Option<String> {
    let (now, stale_after) = (m.clock(), m.stale_after());
    let Some(option) = option else {
        // By what the plan's own was measured.
        let plan = g.estimate.as_ref().filter(|_| g.estimate_to == Some(to) && g.estimate_chosen.is_none())?.value()?;
        let used: BTreeSet<String> = plan.partitions.iter().map(|p| p.strategy.to_string()).collect();
        return (!used.is_empty()).then(|| used.into_iter().collect::<Vec<_>>().join(", "));
    };
    match option {
        Strategy::Latest => {
            let lag = g.on_side(to.other()).lag_now(now, stale_after);
            lag.map(|n| format!("{} now", text::format_count(n)))
        }
        Strategy::Earliest => {
            let held = |p: &crate::snapshot::PartitionRow| {
                let p = p.on_side(to);
                u64::try_from(p.end?.checked_sub(p.log_start?)?).ok()
            };
            // One partition that was not seen makes the sum unknown.
            let sum: Option<u64> = g.partitions.iter().map(held).sum();
            sum.filter(|_| g.on_side(to).is_fresh(now, stale_after)).map(|n| format!("{} now", text::format_count(n)))
        }
        _ => None,
    }
}

fn question_lines<'t>(m: &'t Model, c: &Choose, question: &str, cells: usize) -> Vec<(Row<'t>, bool)> {
    let theme = m.theme();
    let line = |role: Role, words: &str| {
        let lines = text::wrap(words, cells, 4, theme.glyph(Glyph::Ellipsis));
        lines.into_iter().map(move |l| (Row::new(theme).put(role, l), false)).collect::<Vec<_>>()
    };
    let mut rows = line(Role::Text, question);
    rows.push((typed_line(m, &c.input, cells), false));
    if let Some(remark) = &c.remark {
        rows.extend(line(Role::Hold, remark));
    }
    rows
}

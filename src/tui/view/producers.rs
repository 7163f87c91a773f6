//! The table of producers: the flag as configured, and the writing as observed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use super::table::ColumnWidth::{Fixed, Rest, Steps};
use super::table::{ColumnWidth, TableColumn, TableView, in_role, name_cell};
use crate::base::sanitise::visible_name;
use crate::base::{Observed, Side};
use crate::snapshot::ProducerRow;
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{text, words};

type ProducerColumn<'t> = TableColumn<'t, &'t ProducerRow>;

/// Cells of a producer's name.
pub(super) const NAME: ColumnWidth = Steps(&[(0, 15), (70, 17), (100, 18), (118, 20), (140, 24), (170, 32)]);

/// Draws the table; with the cursor when it has the focus.
pub fn draw(m: &Model, area: Rect, focus: bool, buf: &mut Buffer) {
    let theme = m.theme();
    let rows = m.producers();
    let table = TableView::new(theme, list_columns(m), usize::from(area.width));
    let at = if focus { m.producer_index(&rows) } else { 0 };
    table.draw_table(rows.iter().copied(), (at, focus), area, buf);
    if rows.is_empty() {
        let words = match &m.snapshot {
            None => "Nothing observed yet.",
            Some(s) if s.producers.is_empty() => {
                "The plan lists no producers: [[producers]] in cutover.toml adds them."
            }
            Some(_) => "No producer matches the filter; esc takes it away.",
        };
        Row::new(theme).gap(3).put(Role::Dim, words).draw(area, 1, buf);
    }
}

fn list_columns(m: &Model) -> Vec<ProducerColumn<'_>> {
    let theme = m.theme();
    let mut columns = vec![
        ProducerColumn::new("", Fixed(1), |p, _| {
            let state = words::producer_state(p);
            in_role(state.role, state.mark.map_or("", |mark| theme.glyph(mark)))
        })
        .set_gap(0),
        ProducerColumn::new("producer", NAME, |_, at| name_cell(Role::Text, at)).tell_apart(|p| visible_name(&p.name)),
        ProducerColumn::new("team", Steps(&[(100, 8), (140, 10), (170, 12)]), |p, _| {
            in_role(Role::Dim, visible_name(&p.team))
        }),
        ProducerColumn::new("kind", Steps(&[(70, 4), (100, 8), (118, 4), (140, 8)]), |p, at| {
            in_role(Role::Text, describe_kind(p, at.cells))
        }),
        ProducerColumn::new("flag", Fixed(6), |p, _| match &p.flag {
            None => in_role(Role::Dim, "none"),
            Some(Observed::Absent { .. }) => in_role(Role::Unknown, "????"),
            Some(Observed::Known { value, .. }) => in_role(words::flag_role(*value), value.to_string()),
        }),
        ProducerColumn::new("age", Fixed(4), |p, _| {
            let Some(Observed::Known { at, .. }) = &p.flag else { return in_role(Role::Dim, "") };
            let (role, _) = words::describe_age(m.clock(), *at, m.stale_after());
            let age = m.clock().since(*at);
            in_role(role, if age > m.stale_after() { "OLD".to_owned() } else { text::format_age(age) })
        })
        .set_gap(0)
        .align_right(),
    ];
    columns.extend([rate_column(m, Side::Blue).set_gap(2), rate_column(m, Side::Green).set_gap_after(1)]);
    columns.extend([
        // What samples say of dual writing: `3 missing 8s`.
        ProducerColumn::new("on both", Steps(&[(70, 13)]), |p, _| {
            let (role, word) = words::describe_fidelity(&p.fidelity, m.clock());
            in_role(role, word)
        }),
        ProducerColumn::new("topics", Steps(&[(118, 14), (140, 20), (170, 40)]), |p, _| {
            in_role(Role::Dim, words::join_names(&p.topics))
        })
        .cut_in_middle()
        .set_gap_after(1),
        ProducerColumn::new("next", Rest { from: 0 }, |p, _| {
            let state = words::producer_state(p);
            in_role(state.role, words::join_why(&state.word, "  ", m.next_of(&p.next)))
        }),
    ]);
    columns
}

/// What it writes to one side, as observed.
fn rate_column(m: &Model, side: Side) -> ProducerColumn<'_> {
    let theme = m.theme();
    let old = m.why_unheard().is_some();
    ProducerColumn::new(format!("{} writes", theme.shape(side)), Steps(&[(0, 9), (70, 7), (100, 9)]), move |p, _| {
        let rate = if side == Side::Blue { p.observed.blue_rate } else { p.observed.green_rate };
        match rate {
            // The controller leaves out what it has not seen lately; nobody does while it says nothing.
            Some(_) if old => in_role(Role::Fail, "STALE"),
            Some(r) => in_role(Role::Text, text::format_rate(r)),
            None => in_role(Role::Dim, theme.glyph(Glyph::Nothing).repeat(6)),
        }
    })
    .align_right()
    .add_short_title(format!("{} rate", theme.shape(side)))
    .set_title_role(side_role(side))
}

/// What kind of producer it is, in the words there is room for.
fn describe_kind(p: &ProducerRow, cells: usize) -> &'static str {
    match (p.transactional, p.critical) {
        (true, _) => "EOS",
        (false, true) if cells >= 8 => "critical",
        (false, true) => "crit",
        (false, false) => "",
    }
}

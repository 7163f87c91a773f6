//! The table of producers: the flag as configured, and the writing as observed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::groups::draw_more_marks;
use super::line::{Row, visible_range};
use crate::base::sanitise::visible_name;
use crate::base::{Observed, Side};
use crate::snapshot::ProducerRow;
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{text, words};

pub(super) struct ProducerColumns {
    name: usize,
    team: usize,
    topics: usize,
    kind: usize,
    /// What samples say of dual writing.
    both: usize,
    /// A rate.
    rate: usize,
}

impl ProducerColumns {
    /// Cells of a producer's name.
    pub(super) fn name(&self) -> usize {
        self.name
    }

    pub(super) fn for_width(width: usize) -> Self {
        match width {
            0..=69 => Self { name: 15, team: 0, topics: 0, kind: 0, both: 0, rate: 9 },
            70..=99 => Self { name: 17, team: 0, topics: 0, kind: 4, both: BOTH, rate: 7 },
            100..=117 => Self { name: 18, team: 8, topics: 0, kind: 8, both: BOTH, rate: 9 },
            118..=139 => Self { name: 20, team: 8, topics: 14, kind: 4, both: BOTH, rate: 9 },
            140..=169 => Self { name: 24, team: 10, topics: 20, kind: 8, both: BOTH, rate: 9 },
            _ => Self { name: 32, team: 12, topics: 40, kind: 8, both: BOTH, rate: 9 },
        }
    }
}

/// Cells of what samples say: `3 missing 8s`.
const BOTH: usize = 13;

/// Draws the table; with the cursor when it has the focus.
pub fn draw(m: &Model, area: Rect, focus: bool, buf: &mut Buffer) {
    let theme = m.theme();
    let columns = ProducerColumns::for_width(usize::from(area.width));
    head_line(m, &columns).draw(area, 0, buf);
    let rows = m.producers();
    let at = if focus { m.producer_index(&rows) } else { 0 };
    if rows.is_empty() {
        let words = match &m.snapshot {
            None => "Nothing observed yet.",
            Some(s) if s.producers.is_empty() => {
                "The plan lists no producers: [[producers]] in cutover.toml adds them."
            }
            Some(_) => "No producer matches the filter; esc takes it away.",
        };
        Row::new(theme).gap(3).put(Role::Dim, words).draw(area, 1, buf);
        return;
    }
    let range = visible_range(rows.len(), at, usize::from(area.height.saturating_sub(1)));
    let (above, below) = (range.start, rows.len() - range.end);
    let ids = rows[range.clone()].iter().map(|p| p.name.as_str());
    let names = text::shorten_names(ids, columns.name, theme.glyph(Glyph::Ellipsis));
    for ((y, i), name) in (1u16..).zip(range).zip(&names) {
        let cursor = focus && i == at;
        let line = producer_line(m, (rows[i], name), &columns, cursor, usize::from(area.width));
        if cursor { line.draw_cursor(area, y, buf) } else { line.draw(area, y, buf) }
    }
    draw_more_marks(m, above, below, area, buf);
}

fn head_line<'t>(m: &'t Model, c: &ProducerColumns) -> Row<'t> {
    let theme = m.theme();
    let mut row = Row::new(theme).gap(3).left(Role::Dim, "producer", c.name).gap(1);
    if c.team > 0 {
        row = row.left(Role::Dim, "team", c.team).gap(1);
    }
    if c.kind > 0 {
        row = row.left(Role::Dim, "kind", c.kind).gap(1);
    }
    row = row.left(Role::Dim, "flag", 6).right(Role::Dim, "age", 4).gap(1);
    for side in Side::BOTH {
        let word = if c.rate < 9 { "rate" } else { "writes" };
        row = row.gap(1).right(side_role(side), format!("{} {word}", theme.shape(side)), c.rate);
    }
    row = row.gap(2);
    if c.both > 0 {
        row = row.left(Role::Dim, "on both", c.both).gap(1);
    }
    if c.topics > 0 {
        row = row.left(Role::Dim, "topics", c.topics).gap(2);
    }
    row.put(Role::Dim, "next")
}

fn producer_line<'t>(
    m: &'t Model,
    (p, name): (&ProducerRow, &str),
    c: &ProducerColumns,
    cursor: bool,
    width: usize,
) -> Row<'t> {
    let theme = m.theme();
    let state = words::producer_state(p);
    let row = Row::new(theme);
    let row = if cursor { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
    let row = match state.mark {
        Some(mark) => row.glyph(state.role, mark),
        None => row.gap(1),
    };
    let mut row = row.gap(1).left(if cursor { Role::Strong } else { Role::Text }, name, c.name).gap(1);
    if c.team > 0 {
        row = row.left(Role::Dim, visible_name(&p.team), c.team).gap(1);
    }
    if c.kind > 0 {
        row = row.left(Role::Text, describe_kind(p, c.kind), c.kind).gap(1);
    }
    row = put_flag(m, row, p).gap(1);
    let old = m.why_unheard().is_some();
    for rate in [p.observed.blue_rate, p.observed.green_rate] {
        row = match rate {
            // The controller leaves out what it has not seen lately; nobody does while it says nothing.
            Some(_) if old => row.gap(1).right(Role::Fail, "STALE", c.rate),
            Some(r) => row.gap(1).right(Role::Text, text::format_rate(r), c.rate),
            None => row.gap(1).right(Role::Dim, theme.glyph(Glyph::Nothing).repeat(6), c.rate),
        };
    }
    row = row.gap(2);
    if c.both > 0 {
        let (role, word) = words::describe_fidelity(&p.fidelity, m.clock());
        row = row.left(role, word, c.both).gap(1);
    }
    if c.topics > 0 {
        row = row.middle(Role::Dim, words::join_names(&p.topics), c.topics).gap(2);
    }
    let left = width.saturating_sub(row.width() + 1);
    let next = m.next_of(&p.next);
    let next = words::join_why(&state.word, "  ", next);
    row.left(state.role, next, left)
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

/// The flag as configured, with its age.
fn put_flag<'t>(m: &'t Model, row: Row<'t>, p: &ProducerRow) -> Row<'t> {
    match &p.flag {
        None => row.left(Role::Dim, "none", 6).gap(4),
        Some(Observed::Absent { .. }) => row.left(Role::Unknown, "????", 6).gap(4),
        Some(Observed::Known { value, at, .. }) => {
            let stale = m.clock().since(*at) > m.stale_after();
            let (role, _) = words::describe_age(m.clock(), *at, m.stale_after());
            let age = if stale { "OLD".to_owned() } else { text::format_age(m.clock().since(*at)) };
            row.left(words::flag_role(*value), value.to_string(), 6).right(role, age, 4)
        }
    }
}

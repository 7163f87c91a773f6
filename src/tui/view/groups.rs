//! The table of groups: where each stands, how far behind on both sides, what comes next.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{Row, visible_range};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::snapshot::{GroupRow, SideView};
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{spark, text, words};

/// Widths of the columns at a screen width; 0: not shown.
pub(super) struct GroupColumns {
    name: usize,
    team: usize,
    state: usize,
    spark: usize,
    members: usize,
    time_lag: usize,
    way_back: usize,
    switch: usize,
}

impl GroupColumns {
    /// Cells of a group's name.
    pub(super) fn name(&self) -> usize {
        self.name
    }

    /// More room shows longer trends first, then names, then more facts.
    pub(super) fn for_width(width: usize) -> Self {
        let base = Self { name: 15, team: 6, state: 11, spark: 6, members: 0, time_lag: 0, way_back: 0, switch: 0 };
        match width {
            0..=69 => Self { name: 13, team: 0, spark: 4, ..base },
            70..=99 => base,
            100..=117 => Self { name: 19, team: 8, spark: 10, ..base },
            118..=149 => Self { name: 20, team: 8, spark: 13, way_back: 12, ..base },
            150..=179 => Self { name: 28, team: 10, spark: 18, way_back: 12, members: 4, ..base },
            _ => Self { name: 34, team: 12, spark: 22, way_back: 13, members: 5, time_lag: 7, switch: 7, ..base },
        }
    }
}

/// Draws the table; with the cursor when it has the focus.
pub fn draw(m: &Model, area: Rect, focus: bool, buf: &mut Buffer) {
    let theme = m.theme();
    let columns = GroupColumns::for_width(usize::from(area.width));
    head_line(m, &columns).draw(area, 0, buf);
    let rows = m.groups();
    let at = if focus { m.group_index(&rows) } else { 0 };
    let height = usize::from(area.height.saturating_sub(1));
    if rows.is_empty() {
        let lines = text::wrap(
            &describe_empty(m),
            usize::from(area.width).saturating_sub(4),
            height,
            theme.glyph(Glyph::Ellipsis),
        );
        for (y, line) in (1u16..).zip(lines) {
            Row::new(theme).gap(3).put(Role::Dim, line).draw(area, y, buf);
        }
        return;
    }
    let range = visible_range(rows.len(), at, height);
    let (above, below) = (range.start, rows.len() - range.end);
    let ids = rows[range.clone()].iter().map(|g| g.group.as_str());
    let names = text::shorten_names(ids, columns.name, theme.glyph(Glyph::Ellipsis));
    for ((y, i), name) in (1u16..).zip(range).zip(&names) {
        let cursor = focus && i == at;
        let line = group_line(m, (rows[i], name), &columns, cursor, usize::from(area.width));
        if cursor { line.draw_cursor(area, y, buf) } else { line.draw(area, y, buf) }
    }
    draw_more_marks(m, above, below, area, buf);
}

/// Why the table is empty. That there are no groups is said of whole and fresh lists alone.
fn describe_empty(m: &Model) -> String {
    let Some(s) = &m.snapshot else { return "Nothing observed yet.".into() };
    if !s.groups.is_empty() {
        return "No group matches the filter; esc takes it away.".into();
    }
    if s.blue.link.value().is_none() && s.green.link.value().is_none() {
        return "Nothing observed yet.".into();
    }
    if let Some(why) = m.why_unheard() {
        return format!("Which groups there are is not known: {}", words::to_sentence(&why, ""));
    }
    let (now, stale) = (m.clock(), m.stale_after());
    let [blue, green] = [&s.blue, &s.green].map(|v| v.proves_absence(now, stale));
    let why = |v: &SideView| v.why_untrusted(now, stale).or_else(|| v.groups_hidden.as_ref().map(|t| t.what.clone()));
    let doubt = |v: &SideView| why(v).map_or_else(String::new, |w| format!(" {}", words::to_sentence(&w, "")));
    match (blue, green) {
        (true, true) => "No consumer groups on either cluster.".into(),
        (true, false) => format!("No consumer groups on blue; of green that is not known:{}", doubt(&s.green)),
        (false, true) => format!("No consumer groups on green; of blue that is not known:{}", doubt(&s.blue)),
        (false, false) => format!("Which groups there are is not known:{}", doubt(&s.blue)),
    }
}

/// Marks at the right edge that rows lie above or below what is shown.
pub(super) fn draw_more_marks(m: &Model, above: usize, below: usize, area: Rect, buf: &mut Buffer) {
    if area.height < 2 {
        return;
    }
    let edge = |y: u16| Rect { x: area.right() - 1, y, width: 1, height: 1 };
    if above > 0 {
        Row::new(m.theme()).glyph(Role::Strong, Glyph::Up).draw(edge(area.y + 1), 0, buf);
    }
    if below > 0 {
        Row::new(m.theme()).glyph(Role::Strong, Glyph::Down).draw(edge(area.bottom() - 1), 0, buf);
    }
}

fn head_line<'t>(m: &'t Model, c: &GroupColumns) -> Row<'t> {
    let theme = m.theme();
    let mut row = Row::new(theme).gap(3).left(Role::Dim, "group", c.name).gap(1);
    if c.team > 0 {
        row = row.left(Role::Dim, "team", c.team).gap(1);
    }
    row = row.left(Role::Dim, "state", c.state);
    for side in Side::BOTH {
        if c.members > 0 {
            row = row.gap(1).right(Role::Dim, "mem", c.members);
        }
        row = row.gap(1).right(side_role(side), format!("{} lag", theme.shape(side)), 6).gap(1).left(
            Role::Dim,
            "trend",
            c.spark,
        );
        if c.time_lag > 0 {
            row = row.gap(1).right(Role::Dim, "behind", c.time_lag);
        }
    }
    if c.switch > 0 {
        row = row.gap(2).left(Role::Dim, "switch", c.switch);
    }
    if c.way_back > 0 {
        row = row.gap(2).left(Role::Dim, "way back", c.way_back);
    }
    row.gap(2).put(Role::Dim, "next")
}

fn group_line<'t>(m: &'t Model, (g, name): (&GroupRow, &str), c: &GroupColumns, cursor: bool, width: usize) -> Row<'t> {
    let theme = m.theme();
    let state = words::group_state(g);
    let plain = if g.listed { Role::Text } else { Role::Dim };
    let row = Row::new(theme);
    let row = if cursor { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
    let row =
        state.mark.map_or_else(|| Row::new(theme).gap(1), |g| Row::new(theme).glyph(state.role, g)).put_after(row);
    let mut row = row.gap(1).left(if cursor { Role::Strong } else { plain }, name, c.name).gap(1);
    if c.team > 0 {
        row = row.left(Role::Dim, visible_name(&g.team), c.team).gap(1);
    }
    row = row.left(state.role, &state.word, c.state);
    let live: Vec<&[Option<u64>]> =
        Side::BOTH.into_iter().filter(|s| words::lag_counts(g, *s)).map(|s| g.on_side(s).trend.as_slice()).collect();
    let max = spark::shared_max(&live, c.spark);
    for side in Side::BOTH {
        row = put_side(m, row, side, g, c, max);
    }
    if c.switch > 0 {
        let switch = g.switch.as_ref().map_or_else(
            || theme.glyph(Glyph::Dash).to_owned(),
            |s| s.value().map_or_else(|| "unknown".to_owned(), ToString::to_string),
        );
        row = row.gap(2).left(plain, switch, c.switch);
    }
    if c.way_back > 0 {
        let (role, words) = m.way_back_of(g);
        row = row.gap(2).left(role, words, c.way_back);
    }
    let left = width.saturating_sub(row.width() + 3);
    let next = if words::describe_why(&g.side_state).is_some() { state.role } else { plain };
    row.gap(2).left(next, m.next_of(&g.next), left)
}

impl<'t> Row<'t> {
    /// This line after another.
    fn put_after(self, before: Row<'t>) -> Row<'t> {
        before.then(self)
    }
}

/// Lag and trend of one side. Nothing to measure is a dotted line, never a zero; where nobody reads any more the
/// distance is told, and no trend of it.
fn put_side<'t>(m: &'t Model, row: Row<'t>, side: Side, g: &GroupRow, c: &GroupColumns, max: u64) -> Row<'t> {
    let (v, counts) = (g.on_side(side), words::lag_counts(g, side));
    let (now, stale_after) = (m.clock(), m.stale_after());
    let lag = v.lag_now(now, stale_after);
    let mut row = row;
    if c.members > 0 {
        let (role, members) = match words::members_now(v, now, stale_after) {
            Some(n) => (Role::Dim, n.to_string()),
            // It is there, and who is in it was not told, or not lately.
            None if v.is_there() => (Role::Unknown, "?".to_owned()),
            None => (Role::Dim, String::new()),
        };
        row = row.gap(1).right(role, members, c.members);
    }
    row = row.gap(1);
    row = match (v.lag, lag) {
        (None, _) => row.gap(6),
        (Some(_), None) => row.right(Role::Fail, "STALE", 6),
        (_, Some(lag)) if !counts => row.right(Role::Dim, text::format_count(lag), 6),
        (_, Some(lag)) => row.right(if v.stuck { Role::Hold } else { Role::Text }, text::format_count(lag), 6),
    };
    row = row.gap(1);
    // How it was before stays to be seen.
    let looks = if lag.is_some() { side_role(side) } else { Role::Dim };
    row = match v.lag {
        Some(_) if !counts => row.dots(c.spark),
        None => row.dots(c.spark),
        Some(_) => row.spark(looks, &v.trend, c.spark, max),
    };
    if c.time_lag > 0 {
        let behind = v.time_lag_ms.filter(|_| counts && lag.is_some()).map_or_else(String::new, text::format_duration);
        row = row.gap(1).right(Role::Dim, behind, c.time_lag);
    }
    row
}

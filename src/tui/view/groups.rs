//! The table of groups: where each stands, how far behind on both sides, what comes next.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use super::table::ColumnWidth::{Fixed, Rest, Steps};
use super::table::{ColumnWidth, TableCell, TableColumn, TableView, in_role, name_cell};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::snapshot::{GroupRow, SideView};
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{spark, text, words};

type GroupColumn<'t> = TableColumn<'t, &'t GroupRow>;

/// Cells of a group's name.
pub(super) const NAME: ColumnWidth = Steps(&[(0, 13), (70, 15), (100, 19), (118, 20), (150, 28), (180, 34)]);

/// Draws the table; with the cursor when it has the focus.
pub fn draw(m: &Model, area: Rect, focus: bool, buf: &mut Buffer) {
    let theme = m.theme();
    let rows = m.groups();
    let table = TableView::new(theme, list_columns(m), usize::from(area.width));
    let at = if focus { m.group_index(&rows) } else { 0 };
    table.draw_table(rows.iter().copied(), (at, focus), area, buf);
    if rows.is_empty() {
        let cells = usize::from(area.width).saturating_sub(4);
        let height = usize::from(area.height.saturating_sub(1));
        let lines = text::wrap(&describe_empty(m), cells, height, theme.glyph(Glyph::Ellipsis));
        for (y, line) in (1u16..).zip(lines) {
            Row::new(theme).gap(3).put(Role::Dim, line).draw(area, y, buf);
        }
    }
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

/// More room shows longer trends first, then names, then more facts.
fn list_columns(m: &Model) -> Vec<GroupColumn<'_>> {
    let theme = m.theme();
    let plain = |g: &GroupRow| if g.listed { Role::Text } else { Role::Dim };
    let mut columns = vec![
        GroupColumn::new("", Fixed(1), |g, _| {
            let state = words::group_state(g);
            in_role(state.role, state.mark.map_or("", |mark| theme.glyph(mark)))
        })
        .set_gap(0),
        GroupColumn::new("group", NAME, move |g, at| name_cell(plain(g), at)).tell_apart(|g| visible_name(&g.group)),
        GroupColumn::new("team", Steps(&[(70, 6), (100, 8), (150, 10), (180, 12)]), |g, _| {
            in_role(Role::Dim, visible_name(&g.team))
        }),
        GroupColumn::new("state", Fixed(11), |g, _| {
            let state = words::group_state(g);
            in_role(state.role, state.word)
        }),
    ];
    columns.extend(Side::BOTH.into_iter().flat_map(|side| side_columns(m, side)));
    columns.extend([
        GroupColumn::new("switch", Steps(&[(180, 7)]), move |g, _| match &g.switch {
            None => in_role(plain(g), theme.glyph(Glyph::Dash)),
            Some(s) => in_role(plain(g), s.value().map_or_else(|| "unknown".to_owned(), ToString::to_string)),
        })
        .set_gap(2),
        GroupColumn::new("way back", Steps(&[(118, 12), (180, 13)]), |g, _| {
            let (role, words) = m.way_back_of(g);
            in_role(role, words)
        })
        .set_gap(2),
        GroupColumn::new("next", Rest { from: 0 }, move |g, _| {
            let role = if g.side_state.is_some() { words::group_state(g).role } else { plain(g) };
            in_role(role, m.next_of(&g.next))
        })
        .set_gap(2),
    ]);
    columns
}

/// Lag and trend of one side. Nothing to measure is a dotted line, never a zero; where nobody reads any more the
/// distance is told, and no trend of it.
fn side_columns(m: &Model, side: Side) -> [GroupColumn<'_>; 4] {
    let (now, stale_after) = (m.clock(), m.stale_after());
    let lag_title = format!("{} lag", m.theme().shape(side));
    let trend_cells = Steps(&[(0, 4), (70, 6), (100, 10), (118, 13), (150, 18), (180, 22)]);
    [
        GroupColumn::new("mem", Steps(&[(150, 4), (180, 5)]), move |g, _| {
            match words::members_now(g.on_side(side), now, stale_after) {
                Some(n) => in_role(Role::Dim, n.to_string()),
                // It is there, and who is in it was not told, or not lately.
                None if g.on_side(side).is_there() => in_role(Role::Unknown, "?"),
                None => in_role(Role::Dim, ""),
            }
        })
        .align_right(),
        GroupColumn::new(lag_title, Fixed(6), move |g, _| {
            let v = g.on_side(side);
            match (v.lag, v.lag_now(now, stale_after)) {
                (None, _) => in_role(Role::Dim, ""),
                (Some(_), None) => in_role(Role::Fail, "STALE"),
                (_, Some(lag)) if !words::lag_counts(g, side) => in_role(Role::Dim, text::format_count(lag)),
                (_, Some(lag)) => in_role(if v.stuck { Role::Hold } else { Role::Text }, text::format_count(lag)),
            }
        })
        .align_right()
        .set_title_role(side_role(side)),
        GroupColumn::new("trend", trend_cells, move |g, at| {
            let v = g.on_side(side);
            if v.lag.is_none() || !words::lag_counts(g, side) {
                return TableCell::Dots;
            }
            // Both sides of a group share one scale; beside another, larger group its trend would be a flat line.
            let live = Side::BOTH.into_iter().filter(|s| words::lag_counts(g, *s));
            let max = live.map(|s| spark::shared_max(&[g.on_side(s).trend.as_slice()], at.cells)).max().unwrap_or(0);
            // How it was before stays to be seen.
            let role = if v.lag_now(now, stale_after).is_some() { side_role(side) } else { Role::Dim };
            TableCell::Trend { role, samples: &v.trend, max }
        }),
        GroupColumn::new("behind", Steps(&[(180, 7)]), move |g, _| {
            let v = g.on_side(side);
            let known = words::lag_counts(g, side) && v.lag_now(now, stale_after).is_some();
            in_role(Role::Dim, v.time_lag_ms.filter(|_| known).map_or_else(String::new, text::format_duration))
        })
        .align_right(),
    ]
}

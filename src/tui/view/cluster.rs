//! The two clusters side by side: reachable, healthy, how fast, how far behind.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::header::{side_title, why_unseen};
use super::line::{Row, draw_frame};
use crate::base::sanitise::visible_name;
use crate::base::{Observed, Side};
use crate::snapshot::{SideView, Snapshot};
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{spark, text, words};

/// Rows that a panel takes of a body of this height: more room, taller charts.
pub(crate) fn panel_height(body: u16) -> u16 {
    match body {
        0..=15 => 4,
        16..=25 => 5,
        26..=39 => 8,
        _ => 10,
    }
}

/// Draws both panels on one scale.
pub fn draw(m: &Model, areas: [Rect; 2], buf: &mut Buffer) {
    let Some(s) = &m.snapshot else {
        for (side, area) in Side::BOTH.into_iter().zip(areas) {
            draw_waiting(m, side, area, buf);
        }
        return;
    };
    let max = spark::shared_max(&[&s.blue.trend, &s.green.trend], usize::from(areas[0].width));
    for (view, area) in [&s.blue, &s.green].into_iter().zip(areas) {
        draw_panel(m, s, view, max, area, buf);
    }
}

/// The first frame: nothing is known, and it says what is being done.
fn draw_waiting(m: &Model, side: Side, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let host = &m.options.connecting[side];
    let title = side_title(m, side, "", usize::from(area.width) - 4);
    let inside = draw_frame(theme, area, Role::Frame, title, buf);
    let cells = usize::from(inside.width).saturating_sub(16);
    Row::new(theme)
        .gap(1)
        .put(Role::Hold, "connecting to ")
        .put(Role::Text, text::cut_middle(host, cells, theme.glyph(Glyph::Ellipsis)))
        .draw(inside, 0, buf);
    Row::new(theme).gap(1).put(Role::Dim, "lag ").dots(cells.min(24)).draw(inside, 1, buf);
}

fn draw_panel(m: &Model, s: &Snapshot, v: &SideView, max: u64, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let title = side_title(m, v.side, &v.name, usize::from(area.width) - 4);
    let inside = draw_frame(theme, area, side_frame(v), title, buf);
    let width = usize::from(inside.width);
    let chart_rows = usize::from(inside.height.saturating_sub(if inside.height >= 6 { 3 } else { 2 }));
    let old = is_old(m, v);
    health_line(m, v, old, width).draw(inside, 0, buf);
    let trouble = describe_trouble(m, v);
    // Why it can't be seen matters more than how it looked before.
    let least = if why_unseen(v, m).is_some() || v.identity_trouble.is_some() { 3 } else { 6 };
    let chart_rows = if trouble.is_some() && inside.height < least { 0 } else { chart_rows.max(1) };
    let below = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    draw_chart(m, v, (old, max), below, chart_rows, buf);
    let y = u16::try_from(1 + chart_rows).unwrap_or(2);
    if let Some((role, words)) = trouble {
        let rows = usize::from(inside.height.saturating_sub(y)).max(1);
        let lines = text::wrap(&words, width.saturating_sub(2), rows, theme.glyph(Glyph::Ellipsis));
        for (y, line) in (y..).zip(lines) {
            Row::new(theme).gap(1).put(role, line).draw(inside, y, buf);
        }
        draw_age(m, v, inside, 0, buf);
        return;
    }
    foot_line(m, s, v, (old, max), width).draw(inside, y, buf);
    if inside.height >= 6 {
        identity_line(m, v, old, width).draw(inside, y + 1, buf);
    }
}

/// Whether what is shown of a cluster is no picture of it now: it is old, of another cluster, or nobody says anything.
fn is_old(m: &Model, v: &SideView) -> bool {
    m.why_unheard().is_some() || v.why_untrusted(m.clock(), m.stale_after()).is_some()
}

/// Identity colours the title only: the frame stays plain unless something is wrong.
fn side_frame(v: &SideView) -> Role {
    let absent = matches!(&v.link, Observed::Absent { why } if !why.advice.is_empty());
    if v.identity_trouble.is_some() || absent { Role::Fail } else { Role::Frame }
}

/// What stands in the way of seeing this cluster, the worst first.
fn describe_trouble(m: &Model, v: &SideView) -> Option<(Role, String)> {
    let t = |t: &crate::base::Trouble| words::to_sentence(&t.what, &t.advice);
    // The lines on top say it in full.
    if v.identity_trouble.is_some() {
        return Some((Role::Fail, "wrong cluster: see above".into()));
    }
    match (why_unseen(v, m), &v.link) {
        (None, _) => {}
        (Some(_), Observed::Absent { .. }) => return Some((Role::Fail, "never seen: see above".into())),
        (Some((Role::BannerHold, _)), _) => return Some((Role::Hold, "not seen now: see above".into())),
        (Some(_), _) => return Some((Role::Fail, "numbers are old: see above".into())),
    }
    match &v.link {
        // Without advice there is nothing to do but wait.
        Observed::Absent { why } if why.advice.is_empty() => {
            Some((Role::Hold, format!("{} to {}", why.what.trim_end_matches('.'), v.bootstrap)))
        }
        Observed::Absent { .. } => None,
        Observed::Known { .. } => {
            let slow = v.throttled.as_ref().map(|slow| words::to_sentence(&slow.words, &slow.trouble.advice));
            let first = v.broker_troubles.first().or(v.topics_hidden.as_ref()).map(t).or(slow);
            first.map(|words| (Role::Hold, words))
        }
    }
}

/// How many brokers answer, what is wrong with partitions, and how fast: nothing of it while that is not known now.
fn health_line<'t>(m: &'t Model, v: &SideView, old: bool, width: usize) -> Row<'t> {
    let theme = m.theme();
    let unseen = why_unseen(v, m).is_some();
    let row = Row::new(theme).gap(1).put(Role::Dim, "brokers ");
    let row = match v.brokers {
        (_, 0) => row.glyph(Role::Dim, Glyph::Dash),
        // Nobody knows how many are up while none answers.
        (up, all) if old || (unseen && up > 0) => row.put(Role::Fail, format!("?/{all}")),
        (up, all) => row.put(if up < all { Role::Fail } else { Role::Ok }, format!("{up}/{all}")),
    };
    let row = match (v.leaderless, v.under_replicated) {
        _ if old => row.gap(2).put(Role::Dim, "urp ").glyph(Role::Dim, Glyph::Dash),
        (1.., _) => row.gap(2).put(Role::Fail, format!("leaderless {}", v.leaderless)),
        (0, urp) => {
            let role = match urp {
                _ if unseen => Role::Unknown,
                0 => Role::Ok,
                _ => Role::Hold,
            };
            row.gap(2).put(Role::Dim, "urp ").put(role, urp.to_string())
        }
    };
    let rate = |r: Option<f64>| {
        let now = r.filter(|_| !old);
        now.map_or_else(|| theme.glyph(Glyph::Dash).to_owned(), text::format_rate)
    };
    let mut end = Row::new(theme).put(Role::Dim, "in ").put(Role::Text, rate(v.in_rate));
    if width >= 48 {
        end = end.gap(2).put(Role::Dim, "out ").put(Role::Text, rate(v.out_rate));
    }
    row.put_at_end(end, width - 1)
}

/// The lag of all groups as a number and over time: how it was before stays to be seen, an old number does not.
fn draw_chart(m: &Model, v: &SideView, (old, max): (bool, u64), inside: Rect, rows: usize, buf: &mut Buffer) {
    let theme = m.theme();
    let width = usize::from(inside.width);
    let cells = width.saturating_sub(13);
    let (role, lag) = match v.lag {
        // Another cluster's lag is none of this one.
        Some(_) if old && v.identity_trouble.is_none() => (Role::Fail, "STALE".to_owned()),
        Some(lag) if !old => (Role::Strong, text::format_count(lag)),
        _ => (Role::Strong, theme.glyph(Glyph::Dash).to_owned()),
    };
    let looks = if old { Role::Dim } else { side_role(v.side) };
    for i in 0..rows {
        let from_foot = rows - 1 - i;
        let row = Row::new(theme).gap(1);
        let row = if i == rows / 2 { row.put(Role::Dim, "lag ").right(role, &lag, 6).gap(1) } else { row.gap(11) };
        let (rows, from_foot) = (rows as u64, from_foot as u64);
        let y = u16::try_from(i).unwrap_or(0);
        row.spark_row(looks, &v.trend, cells, max, rows, from_foot).draw(inside, y, buf);
    }
}

fn foot_line<'t>(m: &'t Model, s: &Snapshot, v: &SideView, (old, max): (bool, u64), width: usize) -> Row<'t> {
    let theme = m.theme();
    // Of a group whose time lag is not known it may be longer.
    let more = if v.oldest_unknown > 0 { ">" } else { "" };
    let oldest = v.oldest_ms.filter(|_| !old).map(|ms| format!("{more}{}", text::format_duration(ms)));
    let oldest = oldest.unwrap_or_else(|| theme.glyph(Glyph::Dash).to_owned());
    let row = Row::new(theme).gap(1).put(Role::Dim, "oldest ").put(Role::Text, oldest);
    let scale = format!("0{}{}", theme.glyph(Glyph::Range), text::format_count(max));
    let mut end = Row::new(theme).put(Role::Dim, scale).gap(2);
    if let Observed::Known { at, .. } = &v.link {
        let (role, age) = words::describe_age(m.clock(), *at, s.header.stale_after_ms);
        end = end.put(role, age);
    }
    row.put_at_end(end, width - 1)
}

/// In trouble the age moves to the frame's upper edge: how old is what is still shown?
fn draw_age(m: &Model, v: &SideView, inside: Rect, y: u16, buf: &mut Buffer) {
    let Observed::Known { at, .. } = &v.link else { return };
    let (role, age) = words::describe_age(m.clock(), *at, m.stale_after());
    let row = Row::new(m.theme()).gap(1).put(role, age).gap(1);
    let width = u16::try_from(row.width()).unwrap_or(0).min(inside.width);
    row.draw(Rect { x: inside.right() - width, y: inside.y - 1, width, height: 1 }, y, buf);
}

fn identity_line<'t>(m: &'t Model, v: &SideView, old: bool, width: usize) -> Row<'t> {
    let theme = m.theme();
    let id = visible_name(v.cluster_id.as_deref().unwrap_or("unknown"));
    let topics = if old { theme.glyph(Glyph::Dash).to_owned() } else { v.topics.to_string() };
    let row = Row::new(theme).gap(1).put(Role::Dim, format!("{topics} topics  id "));
    let left = width.saturating_sub(row.width() + 1);
    row.put(Role::Dim, text::cut_middle(&id, left, theme.glyph(Glyph::Ellipsis)))
}

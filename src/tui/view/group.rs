//! One group: if I press `c`, what exactly happens to every partition?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{self, Row, draw_rule};
use super::{partitions, run};
use crate::base::sanitise::visible_name;
use crate::base::{Observed, Side, format_plural};
use crate::migration::facts::stage::Stage;
use crate::offsets::verdict::{GroupTranslation, Verdict};
use crate::snapshot::GroupRow;
use crate::tui::model::{Model, ScreenFocus};
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{spark, text, words};

/// Draws the screen of a group.
pub fn draw(m: &Model, id: &str, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let Some(g) = m.group_row(id) else {
        let id = visible_name(id);
        let words = match describe_doubt(m) {
            None => format!("{id} is on neither cluster any more, and not in the plan. esc goes back."),
            Some(why) => format!("{id} is not shown any more; whether it is gone is not known: {why}. esc goes back."),
        };
        draw_placeholder(m, &words, area, buf);
        return;
    };
    let parts = share_screen(m, g, area);
    let mut y = draw_head(m, &parts, area, buf);
    if parts.alone == Some(ScreenFocus::Top) {
        return;
    }
    let left = |y: u16| area.height.saturating_sub(y);
    if let Some(run_view) = &g.run {
        let wanted = run::run_height(run_view, g.witnessed.as_ref());
        let moving = matches!(g.stage, Stage::Moving { .. });
        if parts.both || parts.alone == Some(ScreenFocus::Run) {
            let height = if parts.both { wanted } else { left(y).saturating_sub(1) };
            draw_rule(theme, "run", area, y, buf);
            let inside = Rect { y: area.y + y + 1, height: height.min(left(y + 1)), ..area };
            run::draw(m, run_view, g.witnessed.as_ref(), inside, buf);
            let (first, room, total) = run::shown_steps(m, run_view, g.witnessed.as_ref(), inside.height);
            if total > room {
                line::draw_position(theme, (first, room, total), area, y, buf);
            }
            y += height + 1;
        } else {
            short_run_line(m, g, moving).draw(area, y, buf);
            y += 1;
        }
        if parts.alone.is_some() {
            return;
        }
    }
    let below = partitions::draw(m, g, Rect { y: area.y + y, height: left(y), ..area }, buf);
    draw_members(m, g, below, buf);
}

/// Draws what is said in the place of a screen that has nothing to show.
pub(super) fn draw_placeholder(m: &Model, words: &str, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let lines = text::wrap(words, usize::from(area.width).saturating_sub(2), 6, theme.glyph(Glyph::Ellipsis));
    for (y, line) in (1..).zip(lines) {
        Row::new(theme).gap(1).put(Role::Hold, line).draw(area, y, buf);
    }
}

/// Why what is not shown may be there all the same; `None`: both lists are whole and fresh.
pub(super) fn describe_doubt(m: &Model) -> Option<String> {
    let s = m.snapshot.as_ref()?;
    let hidden = || [&s.blue, &s.green].into_iter().find_map(|v| v.groups_hidden.as_ref().map(|t| t.what.clone()));
    m.why_untrusted().or_else(hidden)
}

/// Rows that the partition table needs to be of use, with its head and what follows it.
const TABLE: u16 = 3;

/// How the screen is shared.
struct Parts {
    /// What stands above the table, drawn with all the room it wants, and its rows.
    top: (Buffer, u16),
    /// How many of them are shown.
    shown: u16,
    /// There is room for the run beside the table.
    both: bool,
    /// What has the screen for itself, because it has the focus and there is no room for it otherwise.
    alone: Option<ScreenFocus>,
}

fn share_screen(m: &Model, g: &GroupRow, area: Rect) -> Parts {
    // Drawn aside, with more rows than a screen has: so it is known how many it wants.
    let all = Rect { x: 0, y: 0, width: area.width, height: 100 };
    let mut drawn = Buffer::empty(all);
    drawn.set_style(all, line::base_style(m.theme()));
    let rows = draw_top(m, g, all, &mut drawn).min(all.height);
    let table = if m.partition_rows().lines.is_empty() { 0 } else { TABLE };
    let below = u16::from(g.run.is_some()) + table;
    let folded = rows + below > area.height;
    // The title and both sides are shown in any case.
    let shown = if folded { area.height.saturating_sub(below).max(2).min(rows) } else { rows };
    let wanted = g.run.as_ref().map(|r| run::run_height(r, g.witnessed.as_ref()));
    let both = wanted.is_some_and(|wanted| area.height.saturating_sub(shown) >= wanted + 6);
    let alone = match m.focus {
        ScreenFocus::Top if folded => Some(ScreenFocus::Top),
        ScreenFocus::Run if g.run.is_some() && !both => Some(ScreenFocus::Run),
        _ => None,
    };
    // With the run alone below, the title and both sides are enough.
    let shown = if folded && alone == Some(ScreenFocus::Run) { shown.min(2) } else { shown };
    Parts { top: (drawn, rows), shown, both, alone }
}

/// Draws what stands above the table, as much as there is room for; returns the rows used.
fn draw_head(m: &Model, parts: &Parts, area: Rect, buf: &mut Buffer) -> u16 {
    let (drawn, rows) = &parts.top;
    let copy = |from: u16, rows: u16, buf: &mut Buffer| {
        for (y, x) in (0..rows).flat_map(|y| (0..area.width).map(move |x| (y, x))) {
            if let (Some(to), Some(cell)) = (buf.cell_mut((area.x + x, area.y + y)), drawn.cell((x, from + y))) {
                *to = cell.clone();
            }
        }
    };
    if parts.alone == Some(ScreenFocus::Top) {
        let room = area.height.saturating_sub(1);
        let from = u16::try_from(m.scroll).unwrap_or(u16::MAX).min(rows.saturating_sub(room));
        copy(from, room.min(rows - from), buf);
        let place = (usize::from(from), usize::from(room), usize::from(*rows));
        line::draw_position(m.theme(), place, area, area.height - 1, buf);
        return area.height;
    }
    let shown = parts.shown;
    copy(0, shown, buf);
    if shown == *rows || parts.alone.is_some() {
        return shown;
    }
    let more = format!("{} more lines: tab shows them", rows - shown + 1);
    let last = Rect { y: area.y + shown - 1, height: 1, ..area };
    line::wipe_area(m.theme(), last, buf);
    Row::new(m.theme()).gap(1).put(Role::Hold, more).draw(last, 0, buf);
    shown
}

/// What the keys scroll: a part that has the screen for itself, how many of its lines have no room, and the first shown.
pub(crate) fn find_scrolled_part(m: &Model, id: &str, area: Rect) -> Option<(ScreenFocus, usize, usize)> {
    let g = m.group_row(id)?;
    let parts = share_screen(m, g, area);
    match parts.alone? {
        ScreenFocus::Top => {
            Some((ScreenFocus::Top, line::count_hidden(usize::from(parts.top.1), usize::from(area.height)), m.scroll))
        }
        _ => {
            let height = area.height.saturating_sub(parts.shown + 1);
            let (first, room, total) = run::shown_steps(m, g.run.as_ref()?, g.witnessed.as_ref(), height);
            Some((ScreenFocus::Run, total.saturating_sub(room), first))
        }
    }
}

/// Whether what stands above the table has lines that it hides.
pub(crate) fn hides_lines(m: &Model, id: &str, area: Rect) -> bool {
    // With the screen for itself it has more of them.
    let mut whole = m.clone();
    (whole.focus, whole.overlay) = (ScreenFocus::Top, None);
    m.group_row(id).is_some_and(|g| share_screen(m, g, area).shown < share_screen(&whole, g, area).top.1)
}

/// What of a run fits into one line.
fn short_run_line<'t>(m: &'t Model, g: &GroupRow, moving: bool) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1);
    let Some(r) = &g.run else { return row };
    let done = r.steps.iter().filter(|s| matches!(s.1, crate::migration::facts::stage::StepState::Done { .. })).count();
    let row = row.put(
        if moving { Role::Strong } else { Role::Dim },
        format!("{} run {}: {done} of {} steps", r.kind, r.run, r.steps.len()),
    );
    let loss = run::promised_loss(r);
    let row = match (r.predicted_re_read, &g.witnessed) {
        (Some(p), Some(w)) => row.put(
            Role::Text,
            format!("; promised {}, {p} re-read; witnessed {} lost, {} re-read", loss.1, w.lost, w.re_read),
        ),
        (Some(p), None) => row.put(loss.0, format!("; promised {}, {p} re-read", loss.1)),
        (None, _) => row,
    };
    row.put(Role::Dim, "  tab shows it")
}

/// Who it is, where it stands, what the translation says. Returns the rows used.
fn draw_top(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = m.theme();
    let width = usize::from(area.width);
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let name = visible_name(&g.group);
    let (role, way) = m.way_back_of(g);
    draw_title(m, g, (role, &way), area, buf);
    draw_sides(m, g, area, buf);
    let mut y = 2;
    if text::width(&name) > width / 3 {
        // Whole, once: the title cuts it, and names may differ only there.
        for line in text::wrap(&name, width.saturating_sub(2), 5, ellipsis) {
            Row::new(theme).gap(1).put(Role::Text, line).draw(area, y, buf);
            y += 1;
        }
    }
    if g.green_group != g.group {
        Row::new(theme)
            .gap(1)
            .put(Role::Dim, "on green it is called ")
            .put(Role::Text, visible_name(&g.green_group))
            .draw(area, y, buf);
        y += 1;
    }
    let closed = words::way_back_why(&g.way_back)
        .filter(|_| !way.is_empty() && role != Role::Dim)
        .map(|why| (role, format!("way back: {why}")));
    let because = g.run.as_ref().and_then(|r| r.because.clone()).map(|why| (Role::Hold, why));
    for (role, why) in because.into_iter().chain(words::describe_why(&g.side_state)).chain(closed) {
        for line in text::wrap(&why, width.saturating_sub(2), 3, theme.glyph(Glyph::Ellipsis)) {
            Row::new(theme).gap(1).put(role, line).draw(area, y, buf);
            y += 1;
        }
    }
    y += super::gates::draw(m, g, area, y, buf);
    estimate_line(m, g, width).draw(area, y, buf);
    y + 1
}

/// The first line: its name, how it moves, where it stands, and at the end its way back.
fn draw_title(m: &Model, g: &GroupRow, (role, way): (Role, &str), area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let width = usize::from(area.width);
    let state = words::group_state(g);
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let name = text::cut_middle(&visible_name(&g.group), width / 3, ellipsis);
    let mut row = Row::new(theme).gap(1).put(Role::Strong, name).gap(2);
    if !g.team.is_empty() {
        row = row.put(Role::Dim, text::cut(&visible_name(&g.team), 16, ellipsis)).gap(2);
    }
    // How it moved does not matter any more once it soaks.
    if width >= if matches!(g.stage, Stage::Soaking { .. }) { 100 } else { 70 } {
        row = row.put(Role::Dim, g.mode.to_string()).gap(2);
    }
    row = row.put(state.role, state.word);
    if let Stage::Soaking { since } = g.stage {
        row = row.put(Role::Dim, format!(" for {}", text::format_age(m.clock().since(since))));
    }
    let end = Row::new(theme).put(Role::Dim, if way.is_empty() { "" } else { "way back " }).put(role, way).gap(1);
    if matches!(g.stage, Stage::Soaking { .. })
        && let Some((role, words)) = super::gates::describe_completion(g)
        && row.width() + words.len() + end.width() + 5 <= width
    {
        row = row.gap(2).put(role, words);
    }
    line::draw_titled_rule(theme, row.gap(1), end, area, 0, buf);
}

/// The second line: both sides, half of it each, with trends in one scale.
fn draw_sides(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) {
    let width = usize::from(area.width);
    let live: Vec<&[Option<u64>]> =
        Side::BOTH.into_iter().filter(|s| words::lag_counts(g, *s)).map(|s| g.on_side(s).trend.as_slice()).collect();
    let max = spark::shared_max(&live, width / 2);
    let half = width / 2;
    let blue = side_line(m, Side::Blue, g, half, max);
    let green = side_line(m, Side::Green, g, width - half, max);
    blue.pad_to(half).then(green).draw(area, 1, buf);
}

/// One side of the group in one half of a line.
fn side_line<'t>(m: &'t Model, side: Side, g: &GroupRow, cells: usize, max: u64) -> Row<'t> {
    let v = g.on_side(side);
    let (now, stale_after) = (m.clock(), m.stale_after());
    let fresh = v.is_fresh(now, stale_after);
    let (role, state) = match v.state {
        // The cluster was seen, and knows no such group.
        None if fresh && v.is_absent() => (Role::Dim, "no such group".to_owned()),
        state => words::kafka_state(state),
    };
    let role = if fresh { role } else { Role::Unknown };
    let mut row = Row::new(m.theme()).gap(1).mark(side).gap(1).put(role, state);
    if let Some(n @ 1..) = words::members_now(v, now, stale_after) {
        row = row.gap(1).put(Role::Dim, format_plural(n, "member"));
    }
    if v.lag.is_none() {
        return row.gap(1).dots(6);
    }
    let counts = words::lag_counts(g, side);
    let (row, looks) = match v.lag_now(now, stale_after) {
        // How it was before stays to be seen.
        None => (row.put(Role::Dim, "  lag ").put(Role::Fail, "STALE"), Role::Dim),
        Some(lag) if !counts => {
            return row.put(Role::Dim, format!("  {} unread since it left", text::format_count(lag)));
        }
        Some(lag) => {
            let row = row.put(Role::Dim, "  lag ").put(Role::Strong, text::format_count(lag));
            let held = v.lag_stable.filter(|_| v.waits.is_some()).map(|stable| lag.saturating_sub(stable));
            let row = match held {
                Some(held) => row.put(Role::Hold, format!(", {} held", text::format_count(held))),
                None => row,
            };
            (row, side_role(side))
        }
    };
    let left = cells.saturating_sub(row.width() + 2).min(40);
    if counts && left >= 4 { row.gap(1).spark(looks, &v.trend, left, max) } else { row }
}

/// What a dialog would promise now.
fn estimate_line<'t>(m: &'t Model, g: &GroupRow, width: usize) -> Row<'t> {
    let theme = m.theme();
    let row = Row::new(theme).gap(1);
    let to = g.estimate_to.unwrap_or_else(|| words::next_side(g));
    let row = match &g.estimate {
        None if g.measuring => row.put(Role::Hold, "measuring the translation").glyph(Role::Hold, Glyph::Ellipsis),
        None => row.put(Role::Dim, "not measured yet: m measures what a move would cost"),
        Some(Observed::Absent { why }) => {
            let words = words::to_sentence(&why.what, &why.advice);
            row.put(Role::Hold, text::cut(&words, width.saturating_sub(2), theme.glyph(Glyph::Ellipsis)))
        }
        // Its age keeps its place.
        Some(Observed::Known { value, .. }) => {
            let row = row.put(Role::Dim, "to ").shape(to).gap(1);
            let row = match &g.estimate_chosen {
                // What is shown is not what a move would do.
                Some(c) => row.put(Role::Hold, format!("by {}", c.strategy)).gap(1),
                None => row,
            };
            put_totals(row, value, width.saturating_sub(14))
        }
    };
    let end = |long: bool| {
        let mut end = Row::new(theme);
        if let Some(Observed::Known { at, .. }) = &g.estimate {
            let (role, old) = words::describe_measured_age(m.clock(), *at);
            end = end.put(Role::Dim, if long { "measured " } else { "" }).put(role, old).put(Role::Dim, " ago");
            if g.measuring {
                let word = if long { ", measuring" } else { " " };
                end = end.put(Role::Hold, word).glyph(Role::Hold, Glyph::Ellipsis);
            }
        }
        end
    };
    // Its age is always there; what it is called only where there is room.
    let long = row.width() + end(true).width() + 2 <= width;
    row.put_at_end(end(long), width - 1)
}

/// `0 lost, 31 re-read   UNMAPPABLE 1  PROVEN 23`: what would be lost takes the place of a verdict, the worst comes
/// first, and what has no room in `cells` is left out from the end.
pub(crate) fn put_totals<'t>(row: Row<'t>, plan: &GroupTranslation, cells: usize) -> Row<'t> {
    // What is known to be lost is told, also where the rest of it is not known.
    let known: u64 = plan.partitions.iter().filter_map(|p| p.missing).fold(0, u64::saturating_add);
    let row = match plan.totals.missing {
        Some(0) => row.put(Role::Strong, "0 lost"),
        Some(n) => row.put(Role::Fail, format!("MISSING {n}")),
        None if known > 0 => row.put(Role::Fail, format!("MISSING {known} or more")),
        None => row.put(Role::Unknown, "loss UNKNOWN"),
    };
    let row = row.put(Role::Dim, ", ");
    let mut row = match plan.totals.re_read {
        Some(n) => row.put(Role::Strong, format!("{n} re-read")),
        None => row.put(Role::Unknown, "re-read UNKNOWN"),
    };
    row = row.gap(2);
    let losing = plan.partitions.iter().filter(|p| words::loses(p)).count();
    let verdicts = [Verdict::Unmappable, Verdict::Guess, Verdict::Bounded, Verdict::Proven].map(|verdict| {
        let n = plan.partitions.iter().filter(|p| p.verdict == verdict && !words::loses(p)).count();
        (words::verdict_role(verdict), format!("{verdict} {n}"), n)
    });
    for (role, words, n) in [(Role::Fail, format!("MISSING in {losing}"), losing)].into_iter().chain(verdicts) {
        if n > 0 && row.width() + 1 + words.len() <= cells {
            row = row.gap(1).put(role, words);
        }
    }
    row
}

/// Who is in the group on each side, where there is room for it: who is still on blue?
fn draw_members(m: &Model, g: &GroupRow, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    // Who was in it when it was last seen stays to be read, and is no word of now.
    let all: Vec<_> = [(Side::Blue, &g.blue), (Side::Green, &g.green)]
        .into_iter()
        .flat_map(|(side, v)| {
            let old = !v.is_fresh(m.clock(), m.stale_after());
            v.members.iter().map(move |member| (side, old, member))
        })
        .collect();
    if area.height < 3 || all.is_empty() {
        return;
    }
    draw_rule(theme, "members", area, 0, buf);
    let room = usize::from(area.height - 1);
    let width = usize::from(area.width);
    let (ellipsis, column) = (theme.glyph(Glyph::Ellipsis), 24.min(width / 3));
    let clients =
        text::shorten_names(all.iter().take(room).map(|(.., member)| member.client_id.as_str()), column, ellipsis);
    for ((y, (side, old, member)), client) in (1u16..).zip(all.iter().take(room)).zip(&clients) {
        let looks = if *old { Role::Dim } else { Role::Text };
        let row = Row::new(theme).gap(1).mark(*side).gap(1).left(looks, client, column);
        let host = visible_name(member.host.trim_start_matches('/'));
        let row = row.gap(1).left(Role::Dim, host, 22.min(width / 4));
        let row = if *old { row.gap(1).put(Role::Fail, "STALE") } else { row };
        let row = row.gap(1).put(Role::Dim, format_plural(member.assigned.len(), "partition"));
        let row = match &member.instance_id {
            Some(id) => row.gap(2).put(Role::Hold, "static ").put(looks, visible_name(id)),
            None => row,
        };
        if usize::from(y) == room && all.len() > room {
            let rest = format!("and {} more", all.len() - room + 1);
            Row::new(theme).gap(1).put(Role::Dim, rest).draw(area, y, buf);
        } else {
            row.draw(area, y, buf);
        }
    }
}

//! The two lines on top: which migration, how far, may it act, who acted last; and under them what forbids acting at all.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use crate::base::sanitise::{visible_name, visible_text};
use crate::base::{Observed, Side, Sides, Trouble};
use crate::migration::facts::stage::{Stage, WayBack};
use crate::migration::soak::trigger::Arm;
use crate::snapshot::{Arming, PhaseView, SideView, Snapshot};
use crate::tui::hosting;
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

/// Rows without banners.
pub(crate) const ROWS: u16 = 2;

/// Messages across the screen at most, and lines of one: what to do stands at the end of it, and must be read.
const MESSAGES: usize = 3;
const LINES: usize = 3;

/// Lines across a screen of this size that forbid or limit acting, worst first.
pub(crate) fn banner_lines(m: &Model, area: Rect) -> Vec<(Role, String)> {
    let messages = list_messages(m);
    // A quarter of the screen, and a line for each message in any case.
    let room = usize::from(area.height / 4).max(messages.len());
    let each = room.checked_div(messages.len()).unwrap_or_default().min(LINES);
    let (width, ellipsis) = (usize::from(area.width) - 2, m.theme().glyph(Glyph::Ellipsis));
    let lines =
        |(role, words): (Role, String)| text::wrap(&words, width, each, ellipsis).into_iter().map(move |l| (role, l));
    messages.into_iter().flat_map(lines).collect()
}

fn list_messages(m: &Model) -> Vec<(Role, String)> {
    let mut out: Vec<(Role, String)> = Vec::new();
    if m.controller_gone {
        out.push((Role::BannerFail, "The controller has stopped: what is shown is old, and nothing can be done from here. Leave with q and start again.".into()));
    }
    if let Some(s) = &m.snapshot {
        // A trigger that only watches is told where it is the only one; one place stays free for a cluster
        // that can't be seen.
        for c in s.countdowns.iter().filter(|c| c.arm == Arm::Armed || s.countdowns.len() == 1).take(MESSAGES - 1) {
            let role = if c.acts_at.is_some() { Role::BannerFail } else { Role::BannerHold };
            // The key stands beside how long one has: what was measured may wrap.
            let words = match c.describe_parts(m.clock()) {
                Some([what, by]) => format!("{what}, w HOLDS IT: {by}"),
                None => c.describe_countdown(m.clock()),
            };
            out.push((role, words));
        }
        for side in [&s.blue, &s.green] {
            let unseen = why_unseen(side, m);
            let Some(t) = side.identity_trouble.as_ref().or(unseen.map(|(_, t)| t)) else { continue };
            let role = match unseen {
                Some((role, _)) if side.identity_trouble.is_none() => role,
                _ => Role::BannerFail,
            };
            let name = side.side.name();
            let words = words::to_sentence(&t.what, &t.advice);
            let words = match words
                .strip_prefix(name)
                .filter(|rest| rest.starts_with(' '))
                .filter(|_| side.identity_trouble.is_none())
            {
                Some(rest) => format!("{}{rest}", name.to_uppercase()),
                None if side.identity_trouble.is_some() => words,
                None => format!("{}: {words}", name.to_uppercase()),
            };
            // That both are one cluster is one message.
            if out.iter().all(|(_, said)| *said != words) {
                out.push((role, words));
            }
        }
        if let Arming::ReadOnly { why } = &s.header.arming {
            out.push((Role::BannerHold, words::to_sentence(&format!("Read-only: {why}"), "")));
        }
    }
    out.truncate(MESSAGES);
    out
}

/// Why a cluster can't be seen now; worse once what is shown of it is stale.
pub(crate) fn why_unseen<'a>(v: &'a SideView, m: &Model) -> Option<(Role, &'a Trouble)> {
    match &v.link {
        // Without advice there is nothing to do but wait: it is still connecting.
        Observed::Absent { why } => Some((Role::BannerFail, why)).filter(|(_, w)| !w.advice.is_empty()),
        Observed::Known { at, trouble: Some(why), .. } => {
            Some((if m.clock().since(*at) > m.stale_after() { Role::BannerFail } else { Role::BannerHold }, why))
        }
        Observed::Known { trouble: None, .. } => None,
    }
}

/// Draws the header.
pub fn draw(m: &Model, banners: &[(Role, String)], area: Rect, buf: &mut Buffer) {
    let width = usize::from(area.width);
    rail_line(m, width).draw(area, 0, buf);
    status_line(m, width).draw(area, 1, buf);
    for (y, (role, words)) in (ROWS..).zip(banners) {
        Row::new(m.theme())
            .put(*role, " ")
            .left(*role, words, width - 2)
            .put(*role, " ")
            .draw_filled(area, y, *role, buf);
    }
}

impl Row<'_> {
    /// Draws the line on a ground of its role's looks.
    fn draw_filled(self, area: Rect, y: u16, role: Role, buf: &mut Buffer) {
        let style = self.style(role);
        if y < area.height {
            buf.set_style(Rect { y: area.y + y, height: 1, ..area }, style);
        }
        self.draw(area, y, buf);
    }
}

fn arming_line<'t>(m: &'t Model) -> Row<'t> {
    let row = Row::new(m.theme());
    match m.snapshot.as_ref().map(|s| &s.header.arming) {
        _ if m.options.read_only => row.put(Role::ReadOnly, " READ-ONLY "),
        None => row.put(Role::Dim, "connecting"),
        // Moves are refused as long as it is not known what they would do.
        Some(Arming::Armed) if m.why_untrusted().is_some() => row.put(Role::ReadOnly, " NOT READY "),
        Some(Arming::Armed) => row.put(Role::Armed, " ARMED "),
        Some(Arming::DryRun) => row.put(Role::DryRun, " DRY-RUN "),
        Some(Arming::ReadOnly { .. }) => row.put(Role::ReadOnly, " READ-ONLY "),
    }
}

/// How much of a phase's name there is room for.
#[derive(Clone, Copy)]
enum PhaseNames {
    Whole,
    Short,
    None,
}

/// The first line: name, phase rail, arming. Names give way before numbers do.
fn rail_line<'t>(m: &'t Model, width: usize) -> Row<'t> {
    let name = visible_name(m.snapshot.as_ref().map_or(m.options.migration.as_str(), |s| s.header.migration.as_str()));
    let arming = arming_line(m);
    let room = width.saturating_sub(arming.width() + 2);
    let tries = [
        (PhaseNames::Whole, 3, 24),
        (PhaseNames::Whole, 2, 24),
        (PhaseNames::Whole, 1, 16),
        (PhaseNames::Short, 1, 14),
        (PhaseNames::None, 2, 12),
        (PhaseNames::None, 1, 6),
    ];
    let mut best = Row::new(m.theme());
    for (names, joint, name_cells) in tries {
        let cells = text::width(&name).min(name_cells);
        let row =
            Row::new(m.theme()).gap(1).middle(Role::Strong, &name, cells).gap(2).then(phases_line(m, names, joint));
        best = row;
        if best.width() <= room {
            break;
        }
    }
    best.put_at_end(arming, width - 1)
}

fn phases_line<'t>(m: &'t Model, names: PhaseNames, joint: usize) -> Row<'t> {
    let theme = m.theme();
    let mut row = Row::new(theme);
    let Some(s) = &m.snapshot else { return row };
    let now = s.phases.iter().position(|p| !p.is_passed());
    for (i, p) in s.phases.iter().enumerate() {
        if i > 0 {
            row = row.put(Role::Frame, theme.glyph(Glyph::Rule).repeat(joint));
        }
        row = row.then(phase_line(m, p, names, now == Some(i)));
    }
    row
}

fn phase_line<'t>(m: &'t Model, p: &PhaseView, names: PhaseNames, now: bool) -> Row<'t> {
    let role = if now { Role::PhaseNow } else { Role::Dim };
    let row = Row::new(m.theme()).put(role, p.number.to_string()).gap(1);
    let row = match names {
        PhaseNames::Whole => row.put(role, &p.name).gap(1),
        PhaseNames::Short => row.put(role, text::cut(&p.name, 4, "")).gap(1),
        PhaseNames::None => row,
    };
    let role = if now { Role::PhaseNow } else { Role::Text };
    match (p.done, p.checked, p.total) {
        (_, _, 0) => row.glyph(Role::Dim, Glyph::Dash),
        _ if p.is_complete() && m.why_untrusted().is_none() => put_age(m, row.glyph(Role::Ok, Glyph::Check), p, names),
        (Some(done), _, total) => put_age(m, row.put(role, format!("{done}/{total}")), p, names),
        // What is looked at agrees, and that is not all: no tick.
        (None, Some(checked), total) if m.why_untrusted().is_none() => {
            let of = match (names, p.at) {
                (PhaseNames::Whole, None) => " counts",
                (PhaseNames::Whole, Some(_)) => " OLD",
                _ => "?",
            };
            row.put(role, format!("{checked}/{total}{of}"))
        }
        (None, _, total) => row.put(Role::Unknown, format!("?/{total}")),
    }
}

/// The age of the look that it rests on, where it takes one.
fn put_age<'t>(m: &Model, row: Row<'t>, p: &PhaseView, names: PhaseNames) -> Row<'t> {
    match (p.at, names) {
        (None, _) | (_, PhaseNames::None) => row,
        (Some(at), _) => row.gap(1).put(Role::Dim, text::format_age(m.clock().since(at))),
    }
}

/// The second line: is there a way back, does anything move, does anything need a person, how old is all this.
fn status_line<'t>(m: &'t Model, width: usize) -> Row<'t> {
    let theme = m.theme();
    let Some(s) = &m.snapshot else {
        let Sides { blue, green } = &m.options.connecting;
        return Row::new(theme)
            .gap(1)
            .put(Role::Dim, "connecting to ")
            .put(Role::Text, text::cut_middle(blue, width / 3, theme.glyph(Glyph::Ellipsis)))
            .put(Role::Dim, " and ")
            .put(Role::Text, text::cut_middle(green, width / 3, theme.glyph(Glyph::Ellipsis)))
            .put(Role::Dim, theme.glyph(Glyph::Ellipsis));
    };
    let sep = |row: Row<'t>| row.gap(1).glyph(Role::Frame, Glyph::Bar).gap(1);
    let (role, age) = match m.snapshot_age() {
        ms if ms > m.stale_after() => (Role::Fail, format!("STALE {}", text::format_age(ms))),
        ms if ms > m.stale_after() / 2 => (Role::Hold, text::format_age(ms)),
        ms => (Role::Dim, text::format_age(ms)),
    };
    // The controller ends with this cockpit, and takes soak clocks along.
    let here = if hosting::find_hosted(m).is_some() { "ctl here " } else { "ctl " };
    let mut end = Row::new(theme).put(role, here);
    if width >= 120 {
        let controller = visible_name(&s.header.controller);
        let cells = text::width(&controller).min(30);
        end = end.left(Role::Dim, controller, cells).gap(1);
    }
    end = end.put(role, age);
    let room = width.saturating_sub(end.width() + 3);
    let act = find_last_act(m, s);
    // Who acts keeps its place; what else is told has what is left.
    let kept = act.as_ref().map_or(0, |a| a.whole_width().min(ACT) + SEP);
    let mut row = put_way_back_counts(m, Row::new(theme).gap(1), s, width >= 70);
    let moving = s.groups.iter().filter(|g| matches!(g.stage, Stage::Moving { .. })).count();
    let soaking = s.groups.iter().filter(|g| matches!(g.stage, Stage::Soaking { .. })).count();
    let counted = |n: usize, role: Role, word: &str| (n > 0).then(|| Row::new(theme).put(role, format!("{n} {word}")));
    let bar =
        (width >= 110).then(|| put_progress(m, Row::new(theme), s, theme.glyph(Glyph::Full), theme.glyph(Glyph::Rest)));
    let told = [counted(moving, Role::Strong, "moving"), counted(soaking, Role::Text, "soaking"), bar];
    for piece in told.into_iter().flatten() {
        if row.width() + SEP + piece.width() + kept <= room {
            row = sep(row).then(piece);
        }
    }
    if let Some(act) = act {
        let piece = act.fit_within(m, room.saturating_sub(row.width() + SEP));
        row = if piece.width() > 0 { sep(row).then(piece) } else { row };
    }
    row.put_at_end(end, width - 1)
}

/// Cells between two pieces of the status line.
const SEP: usize = 3;
/// Cells of the last act that other pieces give way to.
const ACT: usize = 34;
/// How long an act of somebody else is news, ms.
const NEWS_MS: u64 = 60_000;

/// The last command that somebody gave: who, how long ago, what.
struct LastAct {
    actor: String,
    age: String,
    what: String,
    /// It was another person or a trigger, just now.
    news: bool,
}

/// The newest journal line that carries a command.
fn find_last_act(m: &Model, s: &Snapshot) -> Option<LastAct> {
    let line = s.journal.iter().rev().find(|l| l.act.is_some())?;
    let ms = m.clock().since(line.at);
    Some(LastAct {
        actor: visible_name(&line.actor),
        age: text::format_age(ms),
        what: visible_text(line.act.as_deref().unwrap_or_default()),
        news: ms < NEWS_MS && line.actor != m.options.actor.as_str(),
    })
}

impl LastAct {
    /// Cells of all of it.
    fn whole_width(&self) -> usize {
        text::width(&self.actor) + 1 + text::width(&self.age) + 2 + text::width(&self.what)
    }

    /// What fits: the host goes first, then the end of what was asked for; without room for who it was, nothing.
    fn fit_within<'t>(&self, m: &'t Model, cells: usize) -> Row<'t> {
        const NAME: usize = 18;
        let theme = m.theme();
        let ellipsis = theme.glyph(Glyph::Ellipsis);
        let long = self.whole_width() <= cells;
        let person = self.actor.split('@').next().filter(|p| !p.is_empty()).unwrap_or(&self.actor);
        let name = NAME.min(cells.saturating_sub(text::width(&self.age) + 1));
        if name < 3 {
            return Row::new(theme);
        }
        let actor = if long { self.actor.clone() } else { text::cut(person, name, ellipsis) };
        let role = if self.news { Role::Hold } else { Role::Dim };
        let row = Row::new(theme).put(role, actor).gap(1).put(role, &self.age);
        let left = cells.saturating_sub(row.width() + 2);
        // Fewer cells than a verb has say nothing.
        if left < 6 {
            return row;
        }
        let role = if self.news { Role::Strong } else { Role::Text };
        row.put(Role::Dim, ": ").put(role, text::cut(&self.what, left, ellipsis))
    }
}

/// How many groups could go back, by verdict: of those that the plan lists and that are not complete.
fn put_way_back_counts<'t>(m: &Model, row: Row<'t>, s: &Snapshot, named: bool) -> Row<'t> {
    let mut counts = [0usize; 4];
    let untrusted = m.why_untrusted().is_some();
    for g in s.groups.iter().filter(|g| g.listed && !matches!(g.stage, Stage::Complete { .. })) {
        counts[match g.way_back {
            _ if untrusted => 3,
            WayBack::Exact => 0,
            WayBack::Bounded { .. } => 1,
            WayBack::Closed { .. } => 2,
            WayBack::Unknown { .. } => 3,
        }] += 1;
    }
    let [exact, bounded, closed, unknown] = counts;
    // Before anything is known no verdict is counted, not even as none.
    if untrusted {
        let row = row.put(Role::Dim, if named || unknown == 0 { "way back " } else { "" });
        return match unknown {
            0 => row.glyph(Role::Dim, Glyph::Dash),
            n => row.put(Role::Unknown, format!("UNKNOWN {n}")),
        };
    }
    let row = row.put(Role::Dim, if named { "way back " } else { "" });
    let row = row.put(Role::Text, format!("EXACT {exact} BOUNDED {bounded} "));
    let row = row.put(if closed > 0 { Role::Fail } else { Role::Text }, format!("CLOSED {closed}"));
    if unknown > 0 { row.gap(1).put(Role::Unknown, format!("UNKNOWN {unknown}")) } else { row }
}

/// Proven steps of all steps, as a bar.
fn put_progress<'t>(m: &Model, row: Row<'t>, s: &Snapshot, full: &str, rest: &str) -> Row<'t> {
    // What is not known to be proven is not proven.
    let proven = |p: &PhaseView| p.done.map_or(0, u64::from);
    let (done, total) = s.phases.iter().fold((0u64, 0u64), |(d, t), p| (d + proven(p), t + u64::from(p.total)));
    if total == 0 {
        return row.put(Role::Dim, "no steps planned");
    }
    if m.why_untrusted().is_some() {
        return row.put(Role::Unknown, format!("?/{total} steps proven"));
    }
    let cells = 16;
    let filled = usize::try_from(done.min(total) * cells / total).unwrap_or(0);
    let left = usize::try_from(cells).unwrap_or(0) - filled;
    row.put(Role::Text, full.repeat(filled))
        .put(Role::Frame, rest.repeat(left))
        .put(Role::Text, format!(" {done}/{total} steps proven"))
}

/// What a side is called: its mark, `BLUE`, and its name.
pub(crate) fn side_title<'t>(m: &'t Model, side: Side, name: &str, cells: usize) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1).mark(side).gap(2);
    let row = row.put(crate::tui::theme::side_role(side), side.name().to_uppercase()).gap(1);
    let left = cells.saturating_sub(row.width() + 1);
    let name = text::cut_middle(&visible_name(name), left, m.theme().glyph(Glyph::Ellipsis));
    if name.is_empty() { row } else { row.put(Role::Text, name).gap(1) }
}

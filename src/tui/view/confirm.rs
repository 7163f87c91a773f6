//! The confirm dialog: what will it cost, and how do I undo it?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::eos;
use super::group::put_totals;
use super::line::{Row, centre_area, draw_frame, wipe_area};
use super::run::no_return_line;
use crate::base::{Observed, Side, TroubleClass, format_plural};
use crate::estate::FlagState;
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, StepLine, Subject};
use crate::offsets::verdict::{GroupTranslation, PartitionPlan, Verdict};
use crate::snapshot::GroupRow;
use crate::tui::dialog::{Dialog, Phase, estimate_shown_for, is_measured_for};
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{text, words};

/// Draws the dialog over the body.
pub fn draw(m: &Model, d: &Dialog, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let width = over.width.min(100);
    let cells = usize::from(width) - 4;
    let (top, bottom) = split_parts(m, d, over);
    let height = u16::try_from(top.len() + bottom.len() + 2).unwrap_or(u16::MAX);
    let area = centre_area(over, width, height);
    wipe_area(theme, area, buf);
    let title = d.prepared.as_ref().map_or_else(|| describe_command(&d.command), |p| p.title.clone());
    let title = text::cut_middle(&title, cells.saturating_sub(8), theme.glyph(Glyph::Ellipsis));
    let head = match side_of(&d.command) {
        Some(side) => Row::new(theme).gap(1).mark(side).gap(2),
        None => Row::new(theme).gap(1),
    };
    let inside = draw_frame(theme, area, Role::FrameFocus, head.put(Role::Strong, title).gap(1), buf);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    // What must be read before typing keeps its place; the steps scroll.
    let room = usize::from(inside.height).saturating_sub(bottom.len());
    let skip = d.scroll.min(top.len().saturating_sub(room));
    let hidden = top.len().saturating_sub(skip + room);
    for (y, row) in (0u16..).zip(top.into_iter().skip(skip).take(room)) {
        row.draw(inside, y, buf);
    }
    if hidden > 0 || skip > 0 {
        let row = Row::new(theme).gap(1).put(Role::Hold, format!("{hidden} more lines: up and down scroll")).gap(1);
        let cells = u16::try_from(row.width()).unwrap_or(0).min(area.width);
        row.draw(Rect { x: area.right().saturating_sub(cells + 1), y: area.y, width: cells, height: 1 }, 0, buf);
    }
    let y = u16::try_from(room).unwrap_or(0);
    for (y, row) in (y..).zip(bottom) {
        row.draw(inside, y, buf);
    }
}

/// Least lines of what scrolls, where there is more than has room.
const SCROLLED: usize = 3;
/// Lines of a warning, of why something is refused, of a way back: what is confirmed is read to its end, it scrolls. Longer
/// is no sentence of ours: somebody else's words are in it.
const WHOLE: usize = 40;

/// What scrolls, and below it what keeps its place. What of that has no room scrolls as well, all but the end of it with
/// the line that is typed: a phrase of any length can be read.
fn split_parts<'t>(m: &'t Model, d: &Dialog, over: Rect) -> (Vec<Row<'t>>, Vec<Row<'t>>) {
    let cells = usize::from(over.width.min(100)) - 4;
    let (mut top, mut bottom) = (upper_lines(m, d, cells), lower_lines(m, d, cells));
    let room = usize::from(over.height.saturating_sub(2));
    if top.len() + bottom.len() > room {
        let kept = bottom.len().min(room.saturating_sub(SCROLLED));
        top.extend(bottom.drain(..bottom.len() - kept));
    }
    (top, bottom)
}

/// How many lines of what scrolls have no room.
pub(crate) fn count_hidden(m: &Model, d: &Dialog, over: Rect) -> usize {
    let (top, bottom) = split_parts(m, d, over);
    let room = usize::from(over.height.saturating_sub(2)).saturating_sub(bottom.len());
    top.len().saturating_sub(room)
}

/// Whether it moves an exactly-once producer.
fn moves_exactly_once(c: &Command) -> bool {
    matches!(c, Command::HardCut { .. } | Command::HardBack { .. })
}

/// Where the command leads: its identity is in the title and in the phrase.
fn side_of(c: &Command) -> Option<Side> {
    match c {
        Command::Route { to: FlagState::Blue, .. } => Some(Side::Blue),
        Command::Route { to: FlagState::Green, .. } | Command::HardCut { .. } | Command::Provision => Some(Side::Green),
        Command::HardBack { .. } => Some(Side::Blue),
        c => estimate_shown_for(c).map(|(_, side)| side),
    }
}

/// A title before the controller has given one.
fn describe_command(c: &Command) -> String {
    let subject = c.subject().short_name();
    match c {
        Command::CutOver { .. } => format!("Cut over {subject} to GREEN"),
        Command::RollBack { .. } => format!("Roll back {subject} to BLUE"),
        Command::ResetOffsets { to, .. } => format!("Set the offsets of {subject} on {}", to.name().to_uppercase()),
        Command::Route { to, .. } => format!("Route {subject} to {to}"),
        Command::Continue { .. } => format!("Go on with {subject}"),
        Command::Complete { .. } => format!("Declare the soak of {subject} done"),
        Command::HardCut { .. } => format!("Cut {subject} over to GREEN"),
        Command::HardBack { .. } => format!("Roll {subject} back to BLUE"),
        Command::Provision => "Set GREEN up as blue is".to_owned(),
        Command::Approve { .. } => format!("Agree to the hard cutover of {subject}"),
        _ => subject,
    }
}

/// Steps, warnings, and the same by hand.
fn upper_lines<'t>(m: &'t Model, d: &Dialog, cells: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let Some(p) = &d.prepared else {
        let words = match d.phase {
            Phase::Asking => "asking the controller what this would do",
            _ => "",
        };
        // What holds is seen row by row, also when there is nothing to confirm.
        if let (Subject::Producer(name), Phase::Refused(_)) = (d.command.subject(), &d.phase)
            && let Some(standing) = m.producer_row(&name).and_then(|p| p.eos.as_deref())
            && moves_exactly_once(&d.command)
        {
            return eos::gate_rows(m, &standing.live, cells, false);
        }
        return if words.is_empty() {
            Vec::new()
        } else {
            vec![Row::new(theme).put(Role::Hold, words).glyph(Role::Hold, Glyph::Ellipsis)]
        };
    };
    let mut rows: Vec<Row<'t>> = eos::gate_line(m, &p.rows).into_iter().collect();
    let columns = step_columns(p, cells);
    for (i, step) in p.steps.iter().enumerate() {
        if p.no_return_after == Some(i) {
            rows.push(no_return_line(m, cells));
        }
        rows.push(step_line(m, i + 1, step, columns));
    }
    rows.extend(diff_lines(m, &p.diff, cells));
    // Whoever asked has read the gate on the producer's screen: the steps come first, the values below them.
    rows.extend(eos::gate_rows(m, &p.rows, cells, false));
    for warning in &p.warnings {
        for (i, line) in text::wrap(warning, cells - 2, WHOLE, theme.glyph(Glyph::Ellipsis)).into_iter().enumerate() {
            let mark = if i == 0 { theme.glyph(Glyph::Alert) } else { " " };
            rows.push(Row::new(theme).put(Role::Hold, mark).gap(1).put(Role::Hold, line));
        }
    }
    // A comment does nothing by itself: the first command says more.
    if let Some(first) = p.by_hand.iter().find(|l| !l.starts_with('#')).or(p.by_hand.first()) {
        let more = if p.by_hand.len() > 1 {
            format!("+{}, ctrl-y copies", format_plural(p.by_hand.len() - 1, "line"))
        } else {
            "ctrl-y copies".to_owned()
        };
        let row = Row::new(theme).put(Role::Dim, "by hand: ");
        let left = cells.saturating_sub(row.width() + text::width(&more) + 2);
        rows.push(row.left(Role::Dim, first, left).gap(2).put(Role::Dim, more));
    }
    rows
}

/// What would be changed and what would not, as the verb prints it: nothing of it is cut.
fn diff_lines<'t>(m: &'t Model, diff: &[String], cells: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let mut rows = Vec::new();
    for line in diff {
        let role = match line.chars().next() {
            Some('+') => Role::Ok,
            Some('~') => Role::Hold,
            Some('!') => Role::Fail,
            Some('?') => Role::Unknown,
            Some(' ') => Role::Dim,
            _ => Role::Strong,
        };
        let body = line.trim_start();
        let indent = line.len() - body.len();
        let lines = text::wrap(body, cells.saturating_sub(indent + 2), WHOLE, theme.glyph(Glyph::Ellipsis));
        for (i, line) in lines.into_iter().enumerate() {
            rows.push(Row::new(theme).gap(indent + if i == 0 { 0 } else { 2 }).put(role, line));
        }
    }
    rows
}

/// How long a step may take, and what undoes it.
fn describe_bounds(s: &StepLine) -> [String; 2] {
    let undo = s.undo.as_ref().map_or(String::new(), |u| format!("undo: {u}"));
    [s.timeout_ms.map_or(String::new(), |ms| format!("max {}", text::format_timeout(ms))), undo]
}

/// Widths of the columns of the steps: what happens gets all that the others leave.
fn step_columns(p: &Prepared, cells: usize) -> [usize; 3] {
    let widest = |i: usize| p.steps.iter().map(|s| text::width(&describe_bounds(s)[i])).max().unwrap_or(0);
    let [timeout, undo] = [widest(0).min(9), widest(1).min(cells * 30 / 100).min(30)];
    [cells.saturating_sub(timeout + undo + 5), timeout, undo]
}

fn step_line<'t>(m: &'t Model, number: usize, s: &StepLine, [what, timeout, undo]: [usize; 3]) -> Row<'t> {
    let [lasts, undone] = describe_bounds(s);
    let row = Row::new(m.theme()).put(Role::Dim, format!("{number:>2} ")).left(Role::Text, &s.what, what).gap(1);
    row.left(Role::Dim, lasts, timeout).gap(1).left(Role::Dim, undone, undo)
}

/// Cost, limit, way back, and the line to type: always in sight.
fn lower_lines<'t>(m: &'t Model, d: &Dialog, cells: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let mut rows = Vec::new();
    if let Some(p) = &d.prepared {
        rows.push(Row::new(theme).put(Role::Frame, theme.glyph(Glyph::Rule).repeat(cells)));
        rows.extend(cost_lines(m, d, p, cells));
        if !p.way_back.is_empty() {
            let lines = text::wrap(&p.way_back, cells.saturating_sub(10), WHOLE, theme.glyph(Glyph::Ellipsis));
            for (i, line) in lines.into_iter().enumerate() {
                rows.push(
                    Row::new(theme).left(Role::Dim, if i == 0 { "way back" } else { "" }, 10).put(Role::Text, line),
                );
            }
        }
    }
    if let Some((tone, words)) = &d.exported {
        let lines = text::wrap(words, cells, 2, theme.glyph(Glyph::Ellipsis));
        rows.extend(lines.into_iter().map(|l| Row::new(theme).put(words::tone_role(*tone), l)));
    }
    rows.extend(match &d.phase {
        Phase::Asking => Vec::new(),
        Phase::Shown => phrase_lines(m, d, cells),
        Phase::Sent => vec![
            Row::new(theme)
                .put(Role::Strong, "sent; the controller checks the facts once more")
                .glyph(Role::Strong, Glyph::Ellipsis),
        ],
        Phase::Refused(r) => refusal_lines(m, r, cells),
    });
    rows
}

/// `Estimate 8s old: 0 lost, 37 re-read; limit 500`, or why there is none.
fn cost_lines<'t>(m: &'t Model, d: &Dialog, p: &Prepared, cells: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let limit = p.max_re_read.map(|l| {
        Row::new(theme).put(Role::Dim, "limit ").put(Role::Text, format!("0 lost, {} re-read", text::format_count(l)))
    });
    // Where nothing is read again nothing is estimated.
    let Some((group, _)) = estimate_shown_for(&d.command).filter(|_| p.max_re_read.is_some()) else {
        return limit.into_iter().collect();
    };
    let row = Row::new(theme).left(Role::Dim, "estimate", 10);
    let row = match m.group_row(group).map(|g| (g, estimate_of(g, &d.command))) {
        Some((g, Some(Observed::Known { value, at, .. }))) => {
            let age = format!("  {} old", text::format_age(m.clock().since(*at)));
            let measuring = if g.measuring { ", measuring ".len() } else { 0 };
            let row = put_totals(row, value, cells.saturating_sub(text::width(&age) + measuring)).put(Role::Dim, age);
            if g.measuring { row.put(Role::Hold, ", measuring").glyph(Role::Hold, Glyph::Ellipsis) } else { row }
        }
        Some((g, _)) if g.measuring => row.put(Role::Hold, "measuring").glyph(Role::Hold, Glyph::Ellipsis),
        Some((_, Some(Observed::Absent { why }))) => row.put(Role::Hold, words::to_sentence(&why.what, &why.advice)),
        _ => match &d.no_estimate {
            Some(why) => row.left(Role::Hold, why, cells.saturating_sub(10)),
            None => row.put(Role::Hold, "not measured yet"),
        },
    };
    let mut rows = vec![row];
    let worst = m.group_row(group).and_then(|g| find_worst_partition(g, &d.command));
    if let Some(limit) = limit {
        let row = Row::new(theme).left(Role::Dim, "", 10).then(limit);
        rows.push(match worst {
            Some(p) => {
                let left = cells.saturating_sub(row.width() + 20);
                let name = text::cut_middle(&p.tp.to_string(), left, theme.glyph(Glyph::Ellipsis));
                let row = row.put(Role::Dim, ";  worst ");
                match p.missing.filter(|n| *n > 0) {
                    Some(n) => row.put(Role::Fail, format!("{name} MISSING {n}")),
                    None => match p.re_read {
                        Some(n) => row.put(Role::Text, format!("{name} {n}")),
                        None => row.put(Role::Hold, format!("{name} unknown")),
                    },
                }
            }
            None => row,
        });
    }
    // What was asked for rests on no evidence: what that means is said, in records and in time.
    if let Some(why) = worst.filter(|p| p.verdict == Verdict::Guess).and_then(|p| p.why.as_ref()) {
        let lines = text::wrap(why, cells.saturating_sub(10), WHOLE, theme.glyph(Glyph::Ellipsis));
        rows.extend(lines.into_iter().map(|l| Row::new(theme).gap(10).put(Role::Hold, l)));
    }
    rows
}

fn estimate_of<'a>(g: &'a GroupRow, command: &Command) -> Option<&'a Observed<GroupTranslation>> {
    g.estimate.as_ref().filter(|_| is_measured_for(g, command))
}

/// The partition that costs most: first what is lost, then what is read again.
fn find_worst_partition<'a>(g: &'a GroupRow, command: &Command) -> Option<&'a PartitionPlan> {
    let plan = estimate_of(g, command)?.value()?;
    // A number that is not known ranks below every known one: the totals say UNKNOWN for it.
    let p = plan.partitions.iter().max_by_key(|p| (p.missing, p.re_read))?;
    (p.missing.is_some_and(|n| n > 0) || p.re_read.is_some_and(|n| n > 0)).then_some(p)
}

/// What must be typed, what was typed, and what was wrong with it.
fn phrase_lines<'t>(m: &'t Model, d: &Dialog, cells: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let Some(p) = &d.prepared else { return Vec::new() };
    let mut rows = Vec::new();
    let row = match d.phrase().filter(|_| p.level != Level::None) {
        None => Row::new(theme),
        Some(phrase) => {
            let role = side_of(&d.command).map_or(Role::Key, side_role);
            // Never cut: it says what it costs. Without room on the line it has lines of its own.
            let after = " and enter to go on, esc to leave";
            let head = Row::new(theme).put(Role::Dim, "type ");
            if head.width() + text::width(phrase) + after.len() <= cells {
                rows.push(head.put(role, phrase).put(Role::Dim, after));
            } else {
                rows.push(head.put(Role::Dim, format!("this{after}:")));
                let lines = text::wrap(phrase, cells.saturating_sub(2), usize::MAX, theme.glyph(Glyph::Ellipsis));
                rows.extend(lines.into_iter().map(|l| Row::new(theme).gap(2).put(role, l)));
            }
            let matches = d.input.value().trim() == phrase;
            let role = if matches { Role::Input } else { Role::Strong };
            let typed = end_of_typed(d.input.value(), cells.saturating_sub(4));
            let row = Row::new(theme).put(Role::Key, "> ").put(role, typed).glyph(role, Glyph::Caret);
            if matches { row.gap(1).glyph(Role::Strong, Glyph::Check) } else { row }
        }
    };
    match &d.remark {
        Some(remark) if row.width() + 2 + text::width(remark) <= cells => {
            rows.push(row.gap(2).put(Role::Hold, remark));
        }
        // Without room beside what was typed it stands above it, where it is read first.
        Some(remark) => {
            let lines = text::wrap(remark, cells, 2, theme.glyph(Glyph::Ellipsis));
            rows.extend(lines.into_iter().map(|l| Row::new(theme).put(Role::Hold, l)));
            rows.push(row);
        }
        None => rows.push(row),
    }
    rows
}

/// The end of what was typed, where the cursor is.
fn end_of_typed(s: &str, cells: usize) -> String {
    let skip = s.chars().count().saturating_sub(cells);
    s.chars().skip(skip).collect()
}

fn refusal_lines<'t>(m: &'t Model, r: &Refusal, cells: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let word = match r.class {
        TroubleClass::Held => "a gate holds: ",
        TroubleClass::Unknown => "unknown: ",
        TroubleClass::Refused | TroubleClass::Interrupted => "refused: ",
    };
    let mut rows: Vec<Row<'t>> = text::wrap(&format!("{word}{}", r.why), cells, WHOLE, ellipsis)
        .into_iter()
        .map(|l| Row::new(theme).put(Role::Fail, l))
        .collect();
    rows.extend(text::wrap(&r.advice, cells, WHOLE, ellipsis).into_iter().map(|l| Row::new(theme).put(Role::Text, l)));
    let more = if r.gate.is_some() { "; p passes over it, with a reason" } else { "" };
    rows.push(Row::new(theme).put(Role::Dim, format!("enter asks again with the facts of now{more}")));
    rows
}

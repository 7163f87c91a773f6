//! Small questions: which flag state, hold or resume it, really leave?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::line::{Row, centre_area, draw_frame, wipe_area};
use crate::base::format_plural;
use crate::base::sanitise::visible_name;
use crate::estate::FlagState;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::stage::{RunView, SideState, Stage, StepState};
use crate::migration::soak::trigger::Arm;
use crate::tui::hosting::{self, Hosted};
use crate::tui::model::{Model, ROUTES, Saying};
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

/// A frame in the middle with these lines in it.
pub(super) fn draw_box(m: &Model, title: &str, rows: Vec<(Row<'_>, bool)>, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let height = u16::try_from(rows.len() + 2).unwrap_or(u16::MAX);
    let area = centre_area(over, over.width.min(84), height);
    wipe_area(theme, area, buf);
    let cells = usize::from(area.width) - 6;
    let title =
        Row::new(theme).gap(1).put(Role::Strong, text::cut_middle(title, cells, theme.glyph(Glyph::Ellipsis))).gap(1);
    let inside = draw_frame(theme, area, Role::FrameFocus, title, buf);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    for (y, (row, cursor)) in (0u16..).zip(rows) {
        if cursor { row.draw_cursor(inside, y, buf) } else { row.draw(inside, y, buf) }
    }
}

/// Cells of a line in such a frame.
pub(super) fn box_width(over: Rect) -> usize {
    usize::from(over.width.min(84)) - 4
}

/// Which state should the flag have?
pub(crate) fn draw_route(m: &Model, producer: &str, selected: usize, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let cells = box_width(over);
    let Some(p) = m.producer_row(producer) else {
        // What takes the keys is seen.
        let row = Row::new(theme).put(Role::Hold, "It is not in the plan any more. esc goes back.");
        return draw_box(m, &format!("Route {}", visible_name(producer)), vec![(row, false)], over, buf);
    };
    let now = p.flag.as_ref().and_then(|f| f.value());
    let mut rows = Vec::new();
    for (i, state) in ROUTES.into_iter().enumerate() {
        let offer = p.offers.iter().find(|o| matches!(&o.command, Command::Route { to, .. } if *to == state));
        let (role, words) = match offer.map(|o| &o.refused) {
            _ if now == Some(&state) => (Role::Dim, "it is there now".to_owned()),
            None => (Role::Dim, "not offered".to_owned()),
            Some(None) => (Role::Text, describe_flag(state).to_owned()),
            Some(Some(r)) => (Role::Hold, words::to_sentence(&r.why, &r.advice)),
        };
        let cursor = i == selected;
        let row = Row::new(theme);
        let row = if cursor { row.glyph(Role::Strong, Glyph::Cursor) } else { row.gap(1) };
        let row = row.gap(1).left(words::flag_role(state), state.to_string(), 7);
        let left = cells.saturating_sub(row.width());
        // The chosen line says all of why.
        let lines = if cursor { text::wrap(&words, left, 3, theme.glyph(Glyph::Ellipsis)) } else { vec![words] };
        let column = row.width();
        let mut row = Some(row);
        for line in lines {
            let start = row.take().unwrap_or_else(|| Row::new(theme).gap(column));
            rows.push((start.left(role, line, left), cursor));
        }
    }
    draw_box(m, &format!("Route {}", visible_name(producer)), rows, over, buf);
}

fn describe_flag(state: FlagState) -> &'static str {
    match state {
        FlagState::Blue => "writes to blue only",
        FlagState::Dual => "sends each record to blue and to green",
        FlagState::Green => "writes to green only",
        FlagState::Off => "writes nothing",
    }
}

/// The line that is being typed.
pub(super) fn typed_line<'t>(m: &'t Model, input: &Input, cells: usize) -> Row<'t> {
    let skip = input.value().chars().count().saturating_sub(cells.saturating_sub(4));
    let words: String = input.value().chars().skip(skip).collect();
    Row::new(m.theme()).put(Role::Key, "> ").put(Role::Input, words).glyph(Role::Input, Glyph::Caret)
}

/// The word that does something at once, and what it does.
pub(crate) fn draw_word_prompt(
    m: &Model,
    saying: &Saying,
    (input, remark): (&Input, Option<&str>),
    over: Rect,
    buf: &mut Buffer,
) {
    let theme = m.theme();
    let cells = box_width(over);
    let (title, does, ask) = match saying {
        Saying::Hold(subject) => (
            format!("Hold {}", subject.short_name()),
            "Nothing starts while it is held; a running action stops before its next effect.".to_owned(),
            "Why? It goes into the journal, for the next person. Type hold, then why; enter holds it, esc leaves.",
        ),
        Saying::Resume(subject) => (
            format!("Resume {}", subject.short_name()),
            describe_resume(m, subject),
            "Type resume and enter to go on, esc leaves it held.",
        ),
        Saying::StopDiff => (
            "Stop the diff".to_owned(),
            "What was read is kept: g goes on with it later.".to_owned(),
            "Type stop and enter to stop it, esc lets it read on.",
        ),
    };
    let wrapped = |role: Role, words: &str| {
        let lines = text::wrap(words, cells, 4, theme.glyph(Glyph::Ellipsis));
        lines.into_iter().map(move |l| (Row::new(theme).put(role, l), false)).collect::<Vec<_>>()
    };
    let mut rows = wrapped(Role::Text, &does);
    rows.extend(wrapped(Role::Dim, ask));
    rows.push((typed_line(m, input, cells), false));
    rows.extend(remark.into_iter().flat_map(|r| wrapped(Role::Hold, r)));
    draw_box(m, &title, rows, over, buf);
}

/// What goes on when a hold ends: who held it and why, and the step that comes next.
fn describe_resume(m: &Model, subject: &Subject) -> String {
    let (state, run) = match subject {
        Subject::Group(g) => m.group_row(g).map_or((None, None), |g| (g.side_state.as_ref(), g.run.as_ref())),
        Subject::Producer(p) => m.producer_row(p).map_or((None, None), |p| (p.side_state.as_ref(), p.run.as_ref())),
        Subject::Migration | Subject::Cluster(_) => (None, None),
    };
    let held = match state {
        Some(SideState::Held { by, why, .. }) => format!("Held by {}: {why}. ", visible_name(by)),
        _ => "It is not held any more. ".to_owned(),
    };
    let next = run.and_then(|r| {
        let i = r.steps.iter().position(|s| !matches!(s.1, StepState::Done { .. }))?;
        Some(format!("Run {} goes on at once: step {} of {}, {}.", r.run, i + 1, r.steps.len(), r.steps[i].0))
    });
    held + &next.unwrap_or_else(|| "No run waits for it; triggers and moves may act again.".to_owned())
}

/// Why may a gate be passed over?
pub(crate) fn draw_pass_over(m: &Model, held: (&Command, GateName, &str), input: &Input, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let cells = box_width(over);
    let (command, gate, what) = held;
    let wrapped = |role: Role, words: &str| {
        let lines = text::wrap(words, cells, 4, theme.glyph(Glyph::Ellipsis));
        lines.into_iter().map(move |l| (Row::new(theme).put(role, l), false)).collect::<Vec<_>>()
    };
    let mut rows = wrapped(Role::Fail, what);
    let ask = "Why may it be passed over? It goes into the journal; the phrase to type then names what it costs.";
    rows.extend(wrapped(Role::Text, ask));
    rows.push((typed_line(m, input, cells), false));
    draw_box(m, &format!("Pass over the gate {gate} for {}", command.subject().short_name()), rows, over, buf);
}

/// Leaving although something stops that nobody else carries on.
pub(crate) fn draw_leave(m: &Model, input: &Input, over: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let cells = box_width(over);
    let Some(h) = hosting::find_hosted(m) else {
        let row = Row::new(theme).put(Role::Text, "Nothing stops any more when this cockpit closes.");
        return draw_box(m, "Leave?", vec![(row, false)], over, buf);
    };
    let mut rows = Vec::new();
    let stopping = list_stopping(m, &h);
    let whole: Vec<String> = stopping.iter().map(|(name, ..)| name.clone()).collect();
    let column = 20.min(cells / 3);
    let names = text::shorten_apart(&whole, column, theme.glyph(Glyph::Ellipsis));
    for ((_, role, what), name) in stopping.into_iter().zip(names) {
        let row = Row::new(theme).left(Role::Strong, name, column).gap(2);
        let left = cells.saturating_sub(row.width());
        rows.push((row.left(role, what, left), false));
    }
    let (title, said) = describe_leaving(&h);
    for (role, s) in said {
        for line in text::wrap(s, cells, 3, theme.glyph(Glyph::Ellipsis)) {
            rows.push((Row::new(theme).put(role, line), false));
        }
    }
    // Where y is enough, the line appears once something else was typed.
    if h.is_grave() || !input.value().is_empty() {
        rows.push((typed_line(m, input, cells), false));
    }
    draw_box(m, title, rows, over, buf);
}

/// What is to be known before this cockpit is closed: its title; what stops, what one can do instead, how one leaves.
fn describe_leaving(h: &Hosted<'_>) -> (&'static str, [(Role, &'static str); 3]) {
    if !h.runs.is_empty() {
        (
            "A run is under way",
            [
                (
                    Role::Hold,
                    "Nobody else carries this on: it would stop before its next effect, and wait there for the next start.",
                ),
                (
                    Role::Text,
                    "Instead: wait for its end; b on the group takes it back; h holds it where it is. To keep it running without a terminal, start cutover inside tmux or screen.",
                ),
                (
                    Role::Dim,
                    "Type leave and enter to leave all the same, or press ctrl-c once more. The journal knows where it stood.",
                ),
            ],
        )
    } else if h.provisions {
        (
            "Green is being set up",
            [
                (
                    Role::Hold,
                    "It ends after the change that is under way; what is left can be made when a cockpit runs again.",
                ),
                (Role::Text, "Instead: wait for its end: the parity screen (7) shows it."),
                (Role::Dim, "Type leave and enter to leave all the same, or press ctrl-c once more."),
            ],
        )
    } else if h.sent {
        (
            "A command is on its way",
            [
                (
                    Role::Hold,
                    "It was sent, and what came of it is not shown yet: it may be in the middle of something that nobody else carries on.",
                ),
                (Role::Text, "Instead: wait a moment, until the screen shows what it does."),
                (Role::Dim, "Type leave and enter to leave all the same, or press ctrl-c once more."),
            ],
        )
    } else if !h.countdowns.is_empty() {
        (
            "A trigger is about to roll back",
            [
                (Role::Fail, "Nobody else watches it: without this cockpit nothing is rolled back."),
                (
                    Role::Text,
                    "Instead: wait for it, or hold it (w). The controller that starts next gives the whole countdown again; `cutover watch` needs no terminal.",
                ),
                (Role::Dim, "Type leave and enter to leave all the same, or press ctrl-c once more."),
            ],
        )
    } else {
        (
            "Closing this cockpit stops the soak clocks",
            [
                (
                    Role::Hold,
                    "The controller runs in here. Without one, soak clocks stop counting, armed triggers are not watched, and nothing is rolled back by itself.",
                ),
                (
                    Role::Text,
                    "What was held so far is kept. Close, and run `cutover watch` (docs/watch.md) at once: a gap longer than sample_gap is a hole that does not count.",
                ),
                (Role::Dim, "y leaves, n or esc stays; with other letters before it, y is one of them."),
            ],
        )
    }
}

/// Lines of what stops, the gravest first; the last one counts those left out.
fn list_stopping(m: &Model, h: &Hosted<'_>) -> Vec<(String, Role, String)> {
    const MOST: usize = 4;
    let step = |run: &RunView| {
        let i = run.steps.iter().position(|s| !matches!(s.1, StepState::Done { .. }))?;
        Some(format!("step {} of {}: {}", i + 1, run.steps.len(), run.steps[i].0))
    };
    let mut rows: Vec<_> = h
        .runs
        .iter()
        .map(|(subject, run)| (subject.short_name(), Role::Text, run.and_then(step).unwrap_or_default()))
        .collect();
    rows.extend(h.countdowns.iter().map(|c| {
        let left = c.acts_at.map_or(0, |at| at.since(m.clock()));
        (
            visible_name(&c.group),
            Role::Fail,
            format!("rolls back in {}: trigger {}", text::format_duration(left), visible_name(&c.trigger)),
        )
    }));
    rows.extend(h.soaks.iter().map(|g| {
        let Stage::Soaking { since } = g.stage else { return (visible_name(&g.group), Role::Text, String::new()) };
        let armed = g.triggers.iter().filter(|t| t.trigger.arm == Arm::Armed).count();
        let watched = if armed > 0 { format!(", {}", format_plural(armed, "armed trigger")) } else { String::new() };
        let soaked = text::format_age(m.clock().since(since));
        (visible_name(&g.group), Role::Text, format!("soaking for {soaked}{watched}; {}", g.next.words))
    }));
    rows.extend(h.producers.iter().map(|p| {
        let what = "soaking: writers on the side it left are not watched then";
        (visible_name(&p.name), Role::Text, what.to_owned())
    }));
    if rows.len() > MOST {
        let more = rows.split_off(MOST - 1).len();
        rows.push((format!("and {more} more"), Role::Text, String::new()));
    }
    rows
}

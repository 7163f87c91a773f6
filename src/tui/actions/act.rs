//! What the rows of the table do. Functions of the model only; the outside world gets [`Cmd`]s.

use tui_input::Input;

use super::super::dialog::{self, Dialog, Phase};
use super::super::model::{Focus, Model, Overlay, Pane, ROUTES, Screen, Tone};
use super::super::palette;
use super::super::update::Cmd;
use super::super::words;
use super::Ready;
use crate::controller::snapshot::{Arming, Ask};
use crate::migration::command::{Command, Offer, Subject};
use crate::migration::estate::Side;
use crate::migration::stage::{SideState, Stage};

// ---- when ----

pub(super) fn always(_: &Model) -> Ready {
    Ready::Now
}

/// The offers of what keys act on now.
fn offers(m: &Model) -> &[Offer] {
    m.current_group().map(|g| &g.offers).or_else(|| m.current_producer().map(|p| &p.offers)).map_or(&[], Vec::as_slice)
}

/// Whether one of the offers that `pick` chooses would be taken; else the first reason why not.
fn offered(m: &Model, changes: bool, pick: impl Fn(&Command) -> bool) -> Ready {
    let mut fitting = offers(m).iter().filter(|o| pick(&o.command)).peekable();
    if fitting.peek().is_none() {
        return Ready::No;
    }
    if changes && m.read_only() {
        return Ready::NotNow(read_only_why(m));
    }
    let mut why = None;
    for offer in fitting {
        match &offer.refused {
            None => return Ready::Now,
            Some(r) => why = why.or_else(|| Some(words::sentence(&r.why, &r.advice))),
        }
    }
    why.map_or(Ready::No, Ready::NotNow)
}

fn read_only_why(m: &Model) -> String {
    match m.snapshot.as_ref().map(|s| &s.header.arming) {
        Some(Arming::ReadOnly { why }) => words::sentence(&format!("Read-only: {why}"), ""),
        _ => "Read-only: this screen was started so. Start it again without --read-only to act.".into(),
    }
}

pub(super) fn can_cut_over(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::CutOver { .. }))
}

pub(super) fn can_roll_back(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::RollBack { .. }))
}

pub(super) fn can_reset(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::ResetOffsets { .. }))
}

pub(super) fn can_continue(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::Continue { .. }))
}

pub(super) fn can_complete(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::Complete { .. }))
}

pub(super) fn can_measure(m: &Model) -> Ready {
    offered(m, false, |c| matches!(c, Command::Estimate { .. }))
}

pub(super) fn can_route(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::Route { .. }))
}

fn held(m: &Model) -> bool {
    let state = m
        .current_group()
        .map(|g| g.side_state.as_ref())
        .or_else(|| m.current_producer().map(|p| p.side_state.as_ref()))
        .flatten();
    matches!(state, Some(SideState::Held { .. }))
}

pub(super) fn can_hold(m: &Model) -> Ready {
    if held(m) { Ready::No } else { offered(m, true, |c| matches!(c, Command::Hold { .. })) }
}

pub(super) fn can_resume(m: &Model) -> Ready {
    if held(m) { offered(m, true, |c| matches!(c, Command::Resume { .. })) } else { Ready::No }
}

pub(super) fn can_open(m: &Model) -> Ready {
    let there = match m.pane {
        Pane::Groups => m.current_group().is_some(),
        Pane::Producers => m.current_producer().is_some(),
        Pane::Notices => notice_subject(m).is_some(),
        Pane::Journal => false,
    };
    if there { Ready::Now } else { Ready::No }
}

pub(super) fn can_switch_focus(m: &Model) -> Ready {
    if m.current_group().is_some_and(|g| g.run.is_some()) { Ready::Now } else { Ready::No }
}

pub(super) fn can_go_back(m: &Model) -> Ready {
    if m.screen != Screen::Cockpit || !m.filter(m.pane).is_empty() || m.back > 0 { Ready::Now } else { Ready::No }
}

pub(super) fn can_accept(m: &Model) -> Ready {
    match &m.overlay {
        Some(Overlay::Confirm(d)) if matches!(d.phase, Phase::Asking | Phase::Sent) => Ready::No,
        Some(_) => Ready::Now,
        None => Ready::No,
    }
}

pub(super) fn can_copy(m: &Model) -> Ready {
    match &m.overlay {
        Some(Overlay::Confirm(d))
            if d.input.value().is_empty() && d.prepared.as_ref().is_some_and(|p| !p.by_hand.is_empty()) =>
        {
            Ready::Now
        }
        _ => Ready::No,
    }
}

// ---- moving about ----

fn show(m: &mut Model, pane: Pane) -> Vec<Cmd> {
    m.screen = Screen::Cockpit;
    m.pane = pane;
    m.back = 0;
    Vec::new()
}

pub(super) fn show_groups(m: &mut Model) -> Vec<Cmd> {
    show(m, Pane::Groups)
}

pub(super) fn show_producers(m: &mut Model) -> Vec<Cmd> {
    show(m, Pane::Producers)
}

pub(super) fn show_journal(m: &mut Model) -> Vec<Cmd> {
    show(m, Pane::Journal)
}

pub(super) fn show_notices(m: &mut Model) -> Vec<Cmd> {
    show(m, Pane::Notices)
}

pub(super) fn next_table(m: &mut Model) -> Vec<Cmd> {
    let at = Pane::ALL.iter().position(|p| *p == m.pane).unwrap_or(0);
    show(m, Pane::ALL[(at + 1) % Pane::ALL.len()])
}

pub(super) fn previous_table(m: &mut Model) -> Vec<Cmd> {
    let at = Pane::ALL.iter().position(|p| *p == m.pane).unwrap_or(0);
    show(m, Pane::ALL[(at + Pane::ALL.len() - 1) % Pane::ALL.len()])
}

fn notice_subject(m: &Model) -> Option<Subject> {
    let rows = m.notices();
    let at = rows.len().checked_sub(1 + m.back)?;
    match &rows.get(at)?.subject {
        Subject::Migration | Subject::Cluster(_) => None,
        s => Some(s.clone()),
    }
}

/// Opens the screen of a group or producer.
pub(in crate::tui) fn open_subject(m: &mut Model, subject: &Subject) {
    match subject {
        Subject::Group(g) => {
            m.group = Some(g.clone());
            m.pane = Pane::Groups;
            m.partition = 0;
            m.screen = Screen::Group(g.clone());
            let running = m.group_row(g).is_some_and(|r| matches!(r.stage, Stage::Moving { .. }) && r.run.is_some());
            m.focus = if running { Focus::Run } else { Focus::Partitions };
        }
        Subject::Producer(p) => {
            m.producer = Some(p.clone());
            m.pane = Pane::Producers;
            m.screen = Screen::Producer(p.clone());
        }
        Subject::Migration | Subject::Cluster(_) => {}
    }
}

pub(super) fn open(m: &mut Model) -> Vec<Cmd> {
    let subject = if m.pane == Pane::Notices { notice_subject(m) } else { m.current_subject() };
    if let Some(subject) = subject {
        open_subject(m, &subject);
    }
    Vec::new()
}

pub(super) fn switch_focus(m: &mut Model) -> Vec<Cmd> {
    m.focus = match m.focus {
        Focus::Partitions => Focus::Run,
        Focus::Run => Focus::Partitions,
    };
    Vec::new()
}

pub(super) fn back(m: &mut Model) -> Vec<Cmd> {
    if m.screen != Screen::Cockpit {
        m.screen = Screen::Cockpit;
    } else if m.filters.remove(&m.pane).is_none() {
        m.back = 0;
    }
    Vec::new()
}

pub(super) fn filter(m: &mut Model) -> Vec<Cmd> {
    let input = Input::new(m.filter(m.pane).to_owned());
    m.overlay = Some(Overlay::Filter { input });
    Vec::new()
}

pub(super) fn help(m: &mut Model) -> Vec<Cmd> {
    m.overlay = Some(Overlay::Help { scroll: 0 });
    Vec::new()
}

pub(super) fn palette(m: &mut Model) -> Vec<Cmd> {
    m.overlay = Some(Overlay::Palette { input: Input::default(), selected: 0 });
    Vec::new()
}

pub(super) fn redraw(_: &mut Model) -> Vec<Cmd> {
    vec![Cmd::Redraw]
}

/// Rows that a page key moves.
fn page(m: &Model) -> i64 {
    i64::from(m.size.1.saturating_sub(14).max(5))
}

fn moved(at: usize, by: i64, len: usize) -> usize {
    let at = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(by).max(0);
    usize::try_from(at).unwrap_or(0).min(len.saturating_sub(1))
}

/// Moves the cursor of whatever has the keys. Positive is down.
fn step(m: &mut Model, by: i64) -> Vec<Cmd> {
    let entries = match &m.overlay {
        Some(Overlay::Palette { input, .. }) => palette::entries(m, input.value()).len(),
        _ => 0,
    };
    match &mut m.overlay {
        Some(Overlay::Help { scroll }) => *scroll = moved(*scroll, by, super::ACTIONS.len() * 2),
        Some(Overlay::Palette { selected, .. }) => *selected = moved(*selected, by, entries),
        Some(Overlay::Route { selected, .. }) => *selected = moved(*selected, by, ROUTES.len()),
        Some(Overlay::Confirm(d)) => {
            let lines = d.prepared.as_ref().map_or(0, |p| p.steps.len() + p.warnings.len() + p.by_hand.len() + 4);
            d.scroll = moved(d.scroll, by, lines);
        }
        Some(_) => {}
        None => step_rows(m, by),
    }
    Vec::new()
}

fn step_rows(m: &mut Model, by: i64) {
    match (&m.screen, m.pane) {
        (Screen::Group(_), _) => {
            let len = m.current_group().map_or(0, |g| g.partitions.len());
            m.partition = moved(m.partition, by, len);
        }
        (Screen::Producer(_), _) => {}
        (Screen::Cockpit, Pane::Groups) => {
            let rows = m.groups();
            let at = moved(m.group_index(&rows), by, rows.len());
            m.group = rows.get(at).map(|r| r.group.clone());
        }
        (Screen::Cockpit, Pane::Producers) => {
            let rows = m.producers();
            let at = moved(m.producer_index(&rows), by, rows.len());
            m.producer = rows.get(at).map(|r| r.name.clone());
        }
        // The newest line is at the foot, so down is towards it.
        (Screen::Cockpit, Pane::Journal) => m.back = moved(m.back, -by, m.journal().len()),
        (Screen::Cockpit, Pane::Notices) => m.back = moved(m.back, -by, m.notices().len()),
    }
}

pub(super) fn down(m: &mut Model) -> Vec<Cmd> {
    step(m, 1)
}

pub(super) fn up(m: &mut Model) -> Vec<Cmd> {
    step(m, -1)
}

pub(super) fn page_down(m: &mut Model) -> Vec<Cmd> {
    let by = page(m);
    step(m, by)
}

pub(super) fn page_up(m: &mut Model) -> Vec<Cmd> {
    let by = -page(m);
    step(m, by)
}

pub(super) fn first(m: &mut Model) -> Vec<Cmd> {
    step(m, i64::MIN / 2)
}

pub(super) fn last(m: &mut Model) -> Vec<Cmd> {
    step(m, i64::MAX / 2)
}

// ---- asking ----

/// Sends a command that needs no dialog.
fn send(m: &mut Model, command: Command, about: &str) -> Vec<Cmd> {
    let id = m.ask_id(about);
    let actor = m.options.actor.clone();
    vec![Cmd::Ask(Ask::Execute { id, command, actor, typed: String::new(), facts: None })]
}

/// Opens the confirm dialog of a command: asks what it would do, has its facts kept fresh, and measures anew
/// when the estimate is missing, of the other way, or old.
pub(in crate::tui) fn open_confirm(m: &mut Model, command: Command) -> Vec<Cmd> {
    let question = m.ask_id("what would it do");
    let mut cmds = vec![Cmd::Ask(Ask::Prepare { id: question, command: command.clone() })];
    if let Some(group) = dialog::watched(&command) {
        cmds.push(Cmd::Ask(Ask::Watch { group: Some(group) }));
    }
    // In the middle of a run there is nothing to estimate: going back needs no facts of the other side.
    let resting = |g: &str| m.group_row(g).is_some_and(|g| !matches!(g.stage, Stage::Moving { .. }));
    if let Some((group, to)) = dialog::estimate_for(&command).filter(|(g, _)| resting(g)) {
        let fresh = m.group_row(group).is_some_and(|g| {
            g.measuring && g.estimate_to == Some(to)
                || g.estimate_to == Some(to)
                    && g.estimate.as_ref().is_some_and(|e| e.fresh(m.clock(), dialog::ESTIMATE_FRESH_MS).is_some())
        });
        if !fresh {
            let group = group.to_owned();
            cmds.extend(send(m, Command::Estimate { group, to }, "measuring"));
        }
    }
    m.overlay = Some(Overlay::Confirm(Box::new(Dialog::new(command, question, m.now))));
    cmds
}

/// Opens the dialog of the first offer that `pick` chooses and that would be taken.
fn confirm_offer(m: &mut Model, pick: impl Fn(&Command) -> bool) -> Vec<Cmd> {
    let command = offers(m).iter().find(|o| o.refused.is_none() && pick(&o.command)).map(|o| o.command.clone());
    command.map_or_else(Vec::new, |c| open_confirm(m, c))
}

pub(super) fn cut_over(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::CutOver { .. }))
}

pub(super) fn roll_back(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::RollBack { .. }))
}

/// Where the group does not run is where its offsets are worth setting.
fn other_side(m: &Model) -> Side {
    m.current_group().map_or(Side::Green, words::goes_to)
}

pub(super) fn reset(m: &mut Model) -> Vec<Cmd> {
    let side = other_side(m);
    let cmds = confirm_offer(m, |c| matches!(c, Command::ResetOffsets { to, .. } if *to == side));
    if cmds.is_empty() { confirm_offer(m, |c| matches!(c, Command::ResetOffsets { .. })) } else { cmds }
}

pub(super) fn continue_run(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Continue { .. }))
}

pub(super) fn complete(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Complete { .. }))
}

pub(super) fn measure(m: &mut Model) -> Vec<Cmd> {
    let side = other_side(m);
    let pick = |any: bool| {
        offers(m)
            .iter()
            .filter(|o| o.refused.is_none())
            .find(|o| matches!(&o.command, Command::Estimate { to, .. } if any || *to == side))
            .map(|o| o.command.clone())
    };
    let Some(command) = pick(false).or_else(|| pick(true)) else { return Vec::new() };
    m.say(Tone::Plain, "measuring the translation; this reads only");
    send(m, command, "measuring")
}

pub(super) fn route(m: &mut Model) -> Vec<Cmd> {
    let Some(p) = m.current_producer() else { return Vec::new() };
    let free = |to| {
        p.offers.iter().any(|o| o.refused.is_none() && matches!(&o.command, Command::Route { to: t, .. } if *t == to))
    };
    // The next step of the way is the likely choice: forward from where the flag is.
    let at = p.flag.as_ref().and_then(|f| f.value()).and_then(|f| ROUTES.iter().position(|r| r == f)).unwrap_or(0);
    let selected = (at + 1..ROUTES.len()).chain(0..at).find(|i| free(ROUTES[*i])).unwrap_or(0);
    let producer = p.name.clone();
    m.overlay = Some(Overlay::Route { producer, selected });
    Vec::new()
}

pub(super) fn hold(m: &mut Model) -> Vec<Cmd> {
    if held(m) {
        return resume(m);
    }
    if let Some(subject) = m.current_subject() {
        m.overlay = Some(Overlay::Why { subject, input: Input::default() });
    }
    Vec::new()
}

pub(super) fn resume(m: &mut Model) -> Vec<Cmd> {
    let Some(subject) = m.current_subject() else { return Vec::new() };
    let about = format!("resume {}", words::subject(&subject));
    send(m, Command::Resume { subject }, &about)
}

// ---- overlays ----

/// Closes what lies over the screen.
pub(in crate::tui) fn close_overlay(m: &mut Model) -> Vec<Cmd> {
    match m.overlay.take() {
        Some(Overlay::Confirm(d)) if dialog::watched(&d.command).is_some() => {
            vec![Cmd::Ask(Ask::Watch { group: None })]
        }
        Some(Overlay::Filter { .. }) => {
            m.filters.remove(&m.pane);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

pub(super) fn accept(m: &mut Model) -> Vec<Cmd> {
    match m.overlay.take() {
        Some(Overlay::Filter { input }) => {
            if input.value().trim().is_empty() {
                m.filters.remove(&m.pane);
            } else {
                m.filters.insert(m.pane, input.value().to_owned());
            }
            Vec::new()
        }
        Some(Overlay::Palette { input, selected }) => palette::run(m, input.value(), selected),
        Some(Overlay::Route { producer, selected }) => accept_route(m, producer, selected),
        Some(Overlay::Why { subject, input }) => accept_why(m, subject, input),
        Some(Overlay::Confirm(d)) => accept_confirm(m, d),
        Some(Overlay::Leave { input }) => {
            if input.value().trim() == "leave" {
                return vec![Cmd::Quit];
            }
            m.overlay = Some(Overlay::Leave { input });
            Vec::new()
        }
        other => {
            m.overlay = other;
            Vec::new()
        }
    }
}

fn accept_route(m: &mut Model, producer: String, selected: usize) -> Vec<Cmd> {
    let to = ROUTES[selected.min(ROUTES.len() - 1)];
    let offer = m.producer_row(&producer).and_then(|p| {
        p.offers.iter().find(|o| matches!(&o.command, Command::Route { to: t, .. } if *t == to)).cloned()
    });
    match offer {
        Some(Offer { refused: None, command }) => open_confirm(m, command),
        Some(Offer { refused: Some(r), .. }) => {
            m.say(Tone::Hold, words::sentence(&r.why, &r.advice));
            m.overlay = Some(Overlay::Route { producer, selected });
            Vec::new()
        }
        None => {
            m.say(
                Tone::Hold,
                format!("{producer} can't be set to {to}: it is there already, or the plan has no such way."),
            );
            m.overlay = Some(Overlay::Route { producer, selected });
            Vec::new()
        }
    }
}

fn accept_why(m: &mut Model, subject: Subject, input: Input) -> Vec<Cmd> {
    let why = input.value().trim().to_owned();
    if why.is_empty() {
        m.say(Tone::Hold, "Type why: the next person reads it in the journal.");
        m.overlay = Some(Overlay::Why { subject, input });
        return Vec::new();
    }
    let about = format!("hold {}", words::subject(&subject));
    send(m, Command::Hold { subject, why }, &about)
}

fn accept_confirm(m: &mut Model, mut d: Box<Dialog>) -> Vec<Cmd> {
    if matches!(d.phase, Phase::Refused(_)) {
        // Ask anew: what it rests on may have changed.
        return open_confirm(m, d.command);
    }
    let id = m.ask_id("run");
    let ask = if d.typed_ahead(m.now) { None } else { d.confirm(&m.options.actor, id, m.now) };
    m.overlay = Some(Overlay::Confirm(d));
    ask.map(Cmd::Ask).into_iter().collect()
}

pub(super) fn complete_word(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Palette { input, selected }) = &m.overlay else { return Vec::new() };
    if let Some(text) = palette::entries(m, input.value()).get(*selected).map(|e| e.completion.clone()) {
        m.overlay = Some(Overlay::Palette { input: Input::new(text), selected: 0 });
    }
    Vec::new()
}

pub(super) fn copy_by_hand(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Confirm(d)) = &m.overlay else { return Vec::new() };
    let Some(lines) = d.prepared.as_ref().map(|p| p.by_hand.clone()) else { return Vec::new() };
    m.say(Tone::Plain, format!("copied {} (if your terminal allows OSC 52)", words::plural(lines.len(), "command")));
    vec![Cmd::Copy(lines.join("\n"))]
}

// ---- leaving ----

pub(super) fn leave(m: &mut Model) -> Vec<Cmd> {
    if !m.must_stay() {
        return vec![Cmd::Quit];
    }
    m.overlay = Some(Overlay::Leave { input: Input::default() });
    Vec::new()
}

pub(super) fn leave_anyway(m: &mut Model) -> Vec<Cmd> {
    if matches!(m.overlay, Some(Overlay::Leave { .. })) {
        return vec![Cmd::Quit];
    }
    let mut cmds = close_overlay(m);
    cmds.extend(leave(m));
    cmds
}

//! What lies over the screen: saying yes, closing it, leaving.

use tui_input::Input;

use super::super::choose::Choose;
use super::super::dialog::{self, AskPurpose, Dialog, Phase};
use super::super::hosting;
use super::super::model::{Model, Overlay, ROUTES, Tone};
use super::super::palette;
use super::super::update::Cmd;
use super::super::verify;
use super::super::words;
use super::asks::{carry_out_line, open_confirm};
use super::ready;
use crate::base::format_plural;
use crate::base::sanitise::visible_name;
use crate::migration::facts::command::{Command, Offer};
use crate::snapshot::Ask;

/// Closes what lies over the screen.
pub(in crate::tui) fn close_overlay(m: &mut Model) -> Vec<Cmd> {
    match m.overlay.take() {
        // Nobody reads these facts any more, so they need not be kept fresh.
        Some(Overlay::Confirm(d)) if dialog::watched_group(&d.command).is_some() => {
            vec![Cmd::Ask(Ask::Watch { group: None })]
        }
        Some(Overlay::PassOver { .. }) => vec![Cmd::Ask(Ask::Watch { group: None })],
        Some(Overlay::Filter { .. }) => {
            m.filters.remove(&m.table());
            Vec::new()
        }
        // What was looked for is left first.
        Some(Overlay::Help { finding: true, .. }) => {
            m.overlay = Some(Overlay::Help { scroll: 0, find: Input::default(), finding: false });
            Vec::new()
        }
        _ => Vec::new(),
    }
}

pub(super) fn accept_overlay(m: &mut Model) -> Vec<Cmd> {
    match m.overlay.take() {
        Some(Overlay::Filter { input }) => {
            if input.value().trim().is_empty() {
                m.filters.remove(&m.table());
            } else {
                m.filters.insert(m.table(), input.value().to_owned());
            }
            Vec::new()
        }
        Some(Overlay::Palette { input, selected, picked }) => {
            match palette::run_chosen_entry(m, input.value(), selected, picked.as_deref()) {
                Ok(cmds) => cmds,
                Err(why) => {
                    m.show_message(Tone::Hold, why);
                    m.overlay = Some(Overlay::Palette { input, selected, picked });
                    Vec::new()
                }
            }
        }
        Some(Overlay::Help { scroll, find, .. }) => {
            m.overlay = Some(Overlay::Help { scroll, find, finding: false });
            Vec::new()
        }
        Some(Overlay::Route { producer, selected }) => accept_route(m, producer, selected),
        Some(Overlay::Range { what, selected }) => {
            let span = verify::span_of_range(selected, m.clock());
            verify::start_diff(m, what, span, false)
        }
        Some(Overlay::Say { saying, input, .. }) => match carry_out_line(m, &saying, input.value()) {
            Ok(cmds) => cmds,
            Err(why) => {
                m.overlay = Some(Overlay::Say { saying, input, remark: Some(why) });
                Vec::new()
            }
        },
        Some(Overlay::Choose(c)) => accept_choice(m, c),
        Some(Overlay::PassOver { command, gate, held, input }) => {
            let reason = input.value().trim().to_owned();
            if reason.is_empty() {
                m.show_message(Tone::Hold, "Type why: the next person reads it in the journal.");
                m.overlay = Some(Overlay::PassOver { command, gate, held, input });
                return Vec::new();
            }
            open_confirm(m, command.passing_over(gate, &reason))
        }
        Some(Overlay::Confirm(d)) => accept_confirm(m, d),
        Some(Overlay::Leave { input }) => {
            // What would have stopped may have ended while this was asked.
            if input.value().trim() == "leave" || hosting::find_hosted(m).is_none() {
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
        // The dialog says what holds, and how to pass over it.
        Some(Offer { refused: Some(r), command }) if r.gate.is_some() => open_confirm(m, command),
        Some(Offer { refused: Some(r), .. }) => {
            m.show_message(Tone::Hold, words::to_sentence(&r.why, &r.advice));
            m.overlay = Some(Overlay::Route { producer, selected });
            Vec::new()
        }
        None => {
            m.show_message(
                Tone::Hold,
                format!(
                    "{} can't be set to {to}: it is there already, or the plan has no such way.",
                    visible_name(&producer)
                ),
            );
            m.overlay = Some(Overlay::Route { producer, selected });
            Vec::new()
        }
    }
}

fn accept_choice(m: &mut Model, mut c: Box<Choose>) -> Vec<Cmd> {
    match c.accept_answer(m.clock()) {
        Some(chosen) => {
            let (group, to) = (c.group, c.to);
            open_confirm(m, Command::ResetOffsets { group, to, chosen, overrides: Vec::new() })
        }
        None => {
            m.overlay = Some(Overlay::Choose(c));
            Vec::new()
        }
    }
}

fn accept_confirm(m: &mut Model, mut d: Box<Dialog>) -> Vec<Cmd> {
    if matches!(d.phase, Phase::Refused(_)) {
        // Ask anew: what it rests on may have changed.
        return open_confirm(m, d.command);
    }
    let id = m.ask_id(AskPurpose::Command("run".to_owned()));
    // An enter that was meant for what lay under the dialog confirms nothing.
    let ask = if d.typed_ahead(m.now) { None } else { d.confirm(&m.options.actor, id, m.now) };
    m.overlay = Some(Overlay::Confirm(d));
    ask.map(Cmd::Ask).into_iter().collect()
}

/// From the dialog that a gate refused to the reason for passing over it.
pub(super) fn pass_over(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Confirm(d)) = &m.overlay else { return Vec::new() };
    if let Some((gate, held)) = ready::find_passable_gate(d) {
        let command = d.command.clone();
        m.overlay = Some(Overlay::PassOver { command, gate, held, input: Input::default() });
    }
    Vec::new()
}

pub(super) fn complete_word(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Palette { input, selected, .. }) = &m.overlay else { return Vec::new() };
    if let Some(text) = palette::list_entries(m, input.value()).get(*selected).map(|e| e.completion.clone()) {
        m.overlay = Some(Overlay::Palette { input: Input::new(text), selected: 0, picked: None });
    }
    Vec::new()
}

pub(super) fn copy_by_hand(m: &mut Model) -> Vec<Cmd> {
    let Some(Overlay::Confirm(d)) = &m.overlay else { return Vec::new() };
    let Some(lines) = d.prepared.as_ref().map(|p| p.by_hand.clone()) else { return Vec::new() };
    m.show_message(
        Tone::Plain,
        format!("copied {} (if your terminal allows OSC 52)", format_plural(lines.len(), "command")),
    );
    vec![Cmd::Copy(lines.join("\n"))]
}

pub(super) fn find_in_help(m: &mut Model) -> Vec<Cmd> {
    if let Some(Overlay::Help { scroll, finding, .. }) = &mut m.overlay {
        (*scroll, *finding) = (0, true);
    }
    Vec::new()
}

// ---- leaving ----

/// Gives the terminal back for a while. A process that is stopped stops everything in it: where this cockpit is the
/// controller and something is under way, or was sent and may be, that is refused, and the shell commands that follow the
/// key are no keys.
pub(super) fn suspend(m: &mut Model) -> Vec<Cmd> {
    if hosting::find_hosted(m).is_none() {
        return vec![Cmd::Suspend];
    }
    let why = "ctrl-z would stop the controller, which runs in here, and something is under way: it goes on. \
               `cutover watch` hosts it without a terminal; another shell is another window.";
    m.show_message(Tone::Hold, why);
    m.be_deaf();
    Vec::new()
}

pub(super) fn leave(m: &mut Model) -> Vec<Cmd> {
    if hosting::find_hosted(m).is_none() {
        return vec![Cmd::Quit];
    }
    m.overlay = Some(Overlay::Leave { input: Input::default() });
    Vec::new()
}

pub(super) fn leave_now(_: &mut Model) -> Vec<Cmd> {
    vec![Cmd::Quit]
}

pub(super) fn leave_anyway(m: &mut Model) -> Vec<Cmd> {
    if matches!(m.overlay, Some(Overlay::Leave { .. })) {
        return vec![Cmd::Quit];
    }
    let mut cmds = close_overlay(m);
    cmds.extend(leave(m));
    cmds
}

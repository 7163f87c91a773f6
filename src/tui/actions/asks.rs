//! What is asked of the controller: questions that open dialogs, and commands that need none.

use tui_input::Input;

use super::super::choose::Choose;
use super::super::dialog::{self, Dialog};
use super::super::model::{Model, Overlay, ROUTES, Tone, Values};
use super::super::update::Cmd;
use super::super::verify;
use super::super::words;
use super::ready::{exportable, held, is_hard_move, is_losing, offers};
use crate::controller::snapshot::Ask;
use crate::migration::command::{Command, Offer};
use crate::migration::estate::Side;
use crate::migration::stage::Stage;

/// Sends a command that needs no dialog.
pub(super) fn send(m: &mut Model, command: Command, about: &str) -> Vec<Cmd> {
    let id = m.ask_id(about);
    let actor = m.options.actor.clone();
    vec![Cmd::Ask(Ask::Execute { id, command, actor, typed: String::new(), facts: None, asked: m.now })]
}

/// Opens the confirm dialog of a command: asks what it would do, has its facts kept fresh, and measures anew
/// when the estimate is missing, of the other way, or old.
pub(super) fn open_confirm(m: &mut Model, command: Command) -> Vec<Cmd> {
    let question = m.ask_id("what would it do");
    let mut cmds = vec![Cmd::Ask(Ask::Prepare { id: question, command: command.clone() })];
    cmds.extend(dialog::watch(&command).map(Cmd::Ask));
    // In the middle of a run there is nothing to estimate: going back needs no facts of the other side.
    let resting = |g: &str| m.group_row(g).is_some_and(|g| !matches!(g.stage, Stage::Moving { .. }));
    if let Some((group, to)) = dialog::estimate_for(&command).filter(|(g, _)| resting(g)) {
        let fresh = m.group_row(group).filter(|g| dialog::measures(g, &command)).is_some_and(|g| {
            g.measuring || g.estimate.as_ref().is_some_and(|e| e.fresh(m.clock(), dialog::ESTIMATE_FRESH_MS).is_some())
        });
        if !fresh {
            let measure = Command::Estimate { group: group.to_owned(), to, chosen: command.chosen().cloned() };
            cmds.extend(send(m, measure, "measuring"));
        }
    }
    m.overlay = Some(Overlay::Confirm(Box::new(Dialog::new(command, question, m.now))));
    cmds
}

/// Opens the dialog of the first offer that `pick` chooses and that would be taken.
fn confirm_offer(m: &mut Model, pick: impl Fn(&Command) -> bool) -> Vec<Cmd> {
    let opens = |o: &&Offer| o.refused.as_ref().is_none_or(|r| r.gate.is_some()) && pick(&o.command);
    let command = offers(m).iter().find(opens).map(|o| o.command.clone());
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
    let free = |any: bool| {
        offers(m).iter().filter(|o| o.refused.is_none()).find_map(|o| match &o.command {
            Command::ResetOffsets { group, to, .. } if any || *to == side => Some((group.clone(), *to)),
            _ => None,
        })
    };
    if let Some((group, to)) = free(false).or_else(|| free(true)) {
        m.overlay = Some(Overlay::Choose(Box::new(Choose::new(group, to))));
    }
    Vec::new()
}

pub(super) fn continue_run(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Continue { .. } | Command::ContinueProducer { .. }))
}

pub(super) fn complete(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Complete { .. } | Command::CompleteProducer { .. }))
}

/// Opens the dialog of the next hard move: the one that would be taken, else the first, whose dialog says what holds.
pub(super) fn hard_cut(m: &mut Model) -> Vec<Cmd> {
    let offered: Vec<&Offer> = offers(m).iter().filter(|o| is_hard_move(&o.command)).collect();
    let pick = offered.iter().find(|o| o.refused.is_none()).or(offered.first());
    let command = pick.map(|o| o.command.clone());
    command.map_or_else(Vec::new, |c| open_confirm(m, c))
}

pub(super) fn lose(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, is_losing)
}

pub(super) fn approve(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Approve { .. }))
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

pub(super) fn export(m: &mut Model) -> Vec<Cmd> {
    let Some((group, to, chosen)) = exportable(m) else { return Vec::new() };
    let id = m.ask_id("export");
    vec![Cmd::Ask(Ask::Export { id, group, to, chosen })]
}

pub(super) fn show_values(m: &mut Model) -> Vec<Cmd> {
    if m.values != Values::Hidden {
        m.values = Values::Hidden;
        return Vec::new();
    }
    let (Some((group, to, chosen)), Some(tp)) = (exportable(m), m.partition.clone()) else { return Vec::new() };
    let id = m.ask_id("values");
    m.values = Values::Asked(id);
    vec![Cmd::Ask(Ask::Records { id, group, to, chosen, tp })]
}

pub(super) fn verify(m: &mut Model) -> Vec<Cmd> {
    verify::subject(m).map_or_else(Vec::new, |what| verify::ask_range(m, what))
}

pub(super) fn stop_diff(m: &mut Model) -> Vec<Cmd> {
    verify::stop(m)
}

pub(super) fn continue_diff(m: &mut Model) -> Vec<Cmd> {
    let Some((what, span)) = m.diff().map(|d| (d.what.clone(), d.span)) else { return Vec::new() };
    verify::start(m, what, span, true)
}

pub(super) fn copy_next(m: &mut Model) -> Vec<Cmd> {
    let Some(command) = m.diff().and_then(verify::command).map(ToOwned::to_owned) else { return Vec::new() };
    m.say(Tone::Plain, "copied the command (if your terminal allows OSC 52)");
    vec![Cmd::Copy(command)]
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

pub(super) fn hold_trigger(m: &mut Model) -> Vec<Cmd> {
    if let Some(group) = super::ready::next_rollback(m) {
        m.overlay =
            Some(Overlay::Why { subject: crate::migration::command::Subject::Group(group), input: Input::default() });
    }
    Vec::new()
}

pub(super) fn resume(m: &mut Model) -> Vec<Cmd> {
    let Some(subject) = m.current_subject() else { return Vec::new() };
    let about = format!("resume {}", words::subject(&subject));
    send(m, Command::Resume { subject }, &about)
}

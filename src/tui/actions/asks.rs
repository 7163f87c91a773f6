//! What is asked of the controller: questions that open dialogs, and commands that need none.

use tui_input::Input;

use super::super::choose::Choose;
use super::super::dialog::{self, AskPurpose, Dialog};
use super::super::model::{Model, Overlay, ROUTES, RecordValues, Saying, Tone};
use super::super::parity;
use super::super::update::Cmd;
use super::super::verify;
use super::super::words;
use super::ready::{current_offers, find_exportable, is_hard_move, is_losing};
use crate::base::Side;
use crate::migration::facts::command::{Command, Offer, Subject};
use crate::migration::facts::stage::Stage;
use crate::snapshot::Ask;

/// Sends a command that needs no dialog.
pub(super) fn send_command(m: &mut Model, command: Command, about: AskPurpose) -> Vec<Cmd> {
    let id = m.ask_id(about);
    let actor = m.options.actor.clone();
    vec![Cmd::Ask(Ask::Execute { id, command, actor, typed: String::new(), facts: None, asked: m.now })]
}

/// Opens the confirm dialog of a command: asks what it would do, has its facts kept fresh, and measures anew
/// when the estimate is missing, of the other way, or old.
pub(super) fn open_confirm(m: &mut Model, command: Command) -> Vec<Cmd> {
    let question = m.ask_id(AskPurpose::Seen);
    let mut cmds = vec![Cmd::Ask(Ask::Prepare { id: question, command: command.clone() })];
    cmds.extend(dialog::watch_for(&command).map(Cmd::Ask));
    cmds.extend(measure_anew(m, &command));
    m.overlay = Some(Overlay::Confirm(Box::new(Dialog::new(command, question, m.now))));
    cmds
}

/// Has a command's estimate measured when it is missing, of another way, or old. In the middle of a run there is nothing to
/// estimate: going back needs no facts of the other side.
pub(in crate::tui) fn measure_anew(m: &mut Model, command: &Command) -> Vec<Cmd> {
    let resting = |g: &str| m.group_row(g).is_some_and(|g| !matches!(g.stage, Stage::Moving { .. }));
    let Some((group, to)) = dialog::estimate_shown_for(command).filter(|(g, _)| resting(g)) else { return Vec::new() };
    let fresh = m.group_row(group).filter(|g| dialog::is_measured_for(g, command)).is_some_and(|g| {
        g.measuring
            || g.estimate.as_ref().is_some_and(|e| e.fresh_value(m.clock(), dialog::ESTIMATE_FRESH_MS).is_some())
    });
    if fresh {
        return Vec::new();
    }
    let measure = Command::Estimate { group: group.to_owned(), to, chosen: command.chosen().cloned() };
    send_command(m, measure, AskPurpose::Measurement)
}

/// Opens the dialog of the first offer that `pick` chooses and that would be taken.
fn confirm_offer(m: &mut Model, pick: impl Fn(&Command) -> bool) -> Vec<Cmd> {
    // One that a gate refuses opens, too: its dialog is where the gate is passed over.
    let opens = |o: &&Offer| o.refused.as_ref().is_none_or(|r| r.gate.is_some()) && pick(&o.command);
    let command = current_offers(m).iter().find(opens).map(|o| o.command.clone());
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
    m.current_group().map_or(Side::Green, words::next_side)
}

pub(super) fn reset_offsets(m: &mut Model) -> Vec<Cmd> {
    let side = other_side(m);
    let free = |any: bool| {
        current_offers(m).iter().filter(|o| o.refused.is_none()).find_map(|o| match &o.command {
            Command::ResetOffsets { group, to, .. } if any || *to == side => Some((group.clone(), *to)),
            _ => None,
        })
    };
    // First for the side where it does not run, whose offsets are worth setting.
    if let Some((group, to)) = free(false).or_else(|| free(true)) {
        m.overlay = Some(Overlay::Choose(Box::new(Choose::new(group, to))));
    }
    Vec::new()
}

pub(super) fn continue_run(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Continue { .. }))
}

pub(super) fn complete_soak(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Complete { .. }))
}

/// Opens the dialog of the next hard move: the one that would be taken, else the first, whose dialog says what holds.
pub(super) fn hard_cut(m: &mut Model) -> Vec<Cmd> {
    let offered: Vec<&Offer> = current_offers(m).iter().filter(|o| is_hard_move(&o.command)).collect();
    let pick = offered.iter().find(|o| o.refused.is_none()).or(offered.first());
    let command = pick.map(|o| o.command.clone());
    command.map_or_else(Vec::new, |c| open_confirm(m, c))
}

pub(super) fn roll_back_losing(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, is_losing)
}

pub(super) fn approve(m: &mut Model) -> Vec<Cmd> {
    confirm_offer(m, |c| matches!(c, Command::Approve { .. }))
}

pub(super) fn measure_translation(m: &mut Model) -> Vec<Cmd> {
    let side = other_side(m);
    let pick = |any: bool| {
        current_offers(m)
            .iter()
            .filter(|o| o.refused.is_none())
            .find(|o| matches!(&o.command, Command::Estimate { to, .. } if any || *to == side))
            .map(|o| o.command.clone())
    };
    let Some(command) = pick(false).or_else(|| pick(true)) else { return Vec::new() };
    m.show_message(Tone::Plain, "measuring the translation; this reads only");
    send_command(m, command, AskPurpose::Measurement)
}

pub(super) fn export(m: &mut Model) -> Vec<Cmd> {
    let Some((group, to, chosen)) = find_exportable(m) else { return Vec::new() };
    let id = m.ask_id(AskPurpose::Seen);
    vec![Cmd::Ask(Ask::Export { id, group, to, chosen })]
}

pub(super) fn show_values(m: &mut Model) -> Vec<Cmd> {
    if m.values != RecordValues::Hidden {
        m.values = RecordValues::Hidden;
        return Vec::new();
    }
    let (Some((group, to, chosen)), Some(tp)) = (find_exportable(m), m.partition.clone()) else { return Vec::new() };
    let id = m.ask_id(AskPurpose::Seen);
    m.values = RecordValues::Asked(id);
    vec![Cmd::Ask(Ask::Records { id, group, to, chosen, tp })]
}

pub(super) fn verify_subject(m: &mut Model) -> Vec<Cmd> {
    verify::subject_to_compare(m).map_or_else(Vec::new, |what| verify::ask_range(m, what))
}

pub(super) fn stop_diff(m: &mut Model) -> Vec<Cmd> {
    ask_for_word(m, Saying::StopDiff)
}

pub(super) fn continue_diff(m: &mut Model) -> Vec<Cmd> {
    let Some((what, span)) = m.diff().map(|d| (d.what.clone(), d.span)) else { return Vec::new() };
    verify::start_diff(m, what, span, true)
}

pub(super) fn show_parity(m: &mut Model) -> Vec<Cmd> {
    parity::go_to_parity(m)
}

pub(super) fn look_at_setup(m: &mut Model) -> Vec<Cmd> {
    parity::look_again(m)
}

pub(super) fn provision_green(m: &mut Model) -> Vec<Cmd> {
    open_confirm(m, Command::Provision)
}

pub(super) fn copy_next(m: &mut Model) -> Vec<Cmd> {
    let Some(command) = m.diff().and_then(verify::replay_command).map(ToOwned::to_owned) else { return Vec::new() };
    m.show_message(Tone::Plain, "copied the command (if your terminal allows OSC 52)");
    vec![Cmd::Copy(command)]
}

pub(super) fn choose_route(m: &mut Model) -> Vec<Cmd> {
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

/// Asks for the word that does it.
fn ask_for_word(m: &mut Model, saying: Saying) -> Vec<Cmd> {
    m.overlay = Some(Overlay::Say { saying, input: Input::default(), remark: None });
    Vec::new()
}

pub(super) fn ask_to_hold(m: &mut Model) -> Vec<Cmd> {
    m.current_subject().map_or_else(Vec::new, |subject| ask_for_word(m, Saying::Hold(subject)))
}

pub(super) fn ask_to_hold_trigger(m: &mut Model) -> Vec<Cmd> {
    super::ready::next_rollback(m).map_or_else(Vec::new, |group| ask_for_word(m, Saying::Hold(Subject::Group(group))))
}

pub(super) fn ask_to_resume(m: &mut Model) -> Vec<Cmd> {
    m.current_subject().map_or_else(Vec::new, |subject| ask_for_word(m, Saying::Resume(subject)))
}

/// Does what a typed line says; else what was wrong with the line. A hold is `hold` and why in one line: text that was
/// meant for another window holds nothing.
pub(super) fn carry_out_line(m: &mut Model, saying: &Saying, typed: &str) -> Result<Vec<Cmd>, String> {
    let word = saying.word();
    match saying {
        Saying::Hold(subject) => {
            // `holding` is another word.
            let Some(why) = typed.strip_prefix(word).filter(|rest| rest.is_empty() || rest.starts_with(' ')) else {
                return Err(format!("begin with the word {word}, then say why: `{word} waiting for the vendor`"));
            };
            let why = why.trim().to_owned();
            if why.is_empty() {
                return Err("say why, after the word: the next person reads it in the journal".to_owned());
            }
            let about = AskPurpose::Command(format!("hold {}", subject.short_name()));
            Ok(send_command(m, Command::Hold { subject: subject.clone(), why }, about))
        }
        _ if typed.trim_end() != word => Err(format!("type {word} and enter, or esc")),
        Saying::Resume(subject) => {
            let about = AskPurpose::Command(format!("resume {}", subject.short_name()));
            Ok(send_command(m, Command::Resume { subject: subject.clone() }, about))
        }
        Saying::StopDiff => Ok(verify::stop_diff(m)),
    }
}

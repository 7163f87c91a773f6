//! Whether the rows of the table work now, and why not. Functions of the model only.

use super::super::calendar;
use super::super::dialog::{self, Dialog, Phase};
use super::super::hosting;
use super::super::model::{Model, Overlay, Pane, Screen};
use super::super::parity;
use super::super::verify;
use super::super::view;
use super::super::words;
use super::Readiness;
use super::places::notice_subject;
use crate::base::Side;
use crate::migration::eos::GreenOnly;
use crate::migration::facts::command::{Command, Offer};
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::stage::SideState;
use crate::offsets::Chosen;
use crate::snapshot::{Arming, DiffState, DiffView, GroupRow};

pub(super) fn always_ready(_: &Model) -> Readiness {
    Readiness::Now
}

/// The offers of what keys act on now.
pub(super) fn current_offers(m: &Model) -> &[Offer] {
    m.current_group().map(|g| &g.offers).or_else(|| m.current_producer().map(|p| &p.offers)).map_or(&[], Vec::as_slice)
}

/// Whether one of the offers that `pick` chooses would be taken; else the first reason why not.
fn check_offers(m: &Model, changes: bool, pick: impl Fn(&Command) -> bool) -> Readiness {
    let mut fitting = current_offers(m).iter().filter(|o| pick(&o.command)).peekable();
    if fitting.peek().is_none() {
        return Readiness::No;
    }
    if changes && m.read_only() {
        return Readiness::NotNow(read_only_why(m));
    }
    let mut why = None;
    for offer in fitting {
        match &offer.refused {
            None => return Readiness::Now,
            // The dialog says what holds, and takes the reason for passing over it.
            Some(r) if r.gate.is_some() => return Readiness::Now,
            Some(r) => why = why.or_else(|| Some(words::to_sentence(&r.why, &r.advice))),
        }
    }
    why.map_or(Readiness::No, Readiness::NotNow)
}

fn read_only_why(m: &Model) -> String {
    match m.snapshot.as_ref().map(|s| &s.header.arming) {
        Some(Arming::ReadOnly { why }) => words::to_sentence(&format!("Read-only: {why}"), ""),
        _ => "Read-only: this screen was started so. Start it again without --read-only to act.".into(),
    }
}

pub(super) fn can_cut_over(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::CutOver { .. }))
}

pub(super) fn can_roll_back(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::RollBack { .. }))
}

pub(super) fn can_reset(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::ResetOffsets { .. }))
}

pub(super) fn can_continue(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::Continue { .. }))
}

pub(super) fn can_complete(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::Complete { .. }))
}

/// Cut over, or back with what green alone has: whichever of them is the next move.
pub(super) fn is_hard_move(c: &Command) -> bool {
    matches!(c, Command::HardCut { .. } | Command::HardBack { green_only: GreenOnly::Carry, .. })
}

pub(super) fn is_losing(c: &Command) -> bool {
    matches!(c, Command::HardBack { green_only: GreenOnly::Lose, .. })
}

/// The dialog of a hard move opens also when it is refused: it shows the gate row by row.
pub(super) fn can_hard_cut(m: &Model) -> Readiness {
    match check_offers(m, true, is_hard_move) {
        Readiness::NotNow(why) if m.read_only() => Readiness::NotNow(why),
        Readiness::No => Readiness::No,
        _ => Readiness::Now,
    }
}

pub(super) fn can_lose(m: &Model) -> Readiness {
    check_offers(m, true, is_losing)
}

pub(super) fn can_approve(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::Approve { .. }))
}

pub(super) fn can_measure(m: &Model) -> Readiness {
    check_offers(m, false, |c| matches!(c, Command::Estimate { .. }))
}

pub(super) fn can_route(m: &Model) -> Readiness {
    check_offers(m, true, |c| matches!(c, Command::Route { .. }))
}

pub(super) fn is_held(m: &Model) -> bool {
    let state = m
        .current_group()
        .map(|g| g.side_state.as_ref())
        .or_else(|| m.current_producer().map(|p| p.side_state.as_ref()))
        .flatten();
    matches!(state, Some(SideState::Held { .. }))
}

pub(super) fn can_hold(m: &Model) -> Readiness {
    match is_held(m) {
        true => Readiness::NotNow("It is held already: u resumes it.".into()),
        false => check_offers(m, true, |c| matches!(c, Command::Hold { .. })),
    }
}

/// The group that a trigger rolls back next, by itself.
pub(super) fn next_rollback(m: &Model) -> Option<String> {
    let countdowns = &m.snapshot.as_ref()?.countdowns;
    countdowns.iter().find(|c| c.acts_at.is_some()).map(|c| c.group.clone())
}

pub(super) fn can_hold_trigger(m: &Model) -> Readiness {
    match (next_rollback(m), m.read_only()) {
        (None, _) => Readiness::No,
        (Some(_), true) => Readiness::NotNow(read_only_why(m)),
        (Some(_), false) => Readiness::Now,
    }
}

pub(super) fn can_resume(m: &Model) -> Readiness {
    if is_held(m) { check_offers(m, true, |c| matches!(c, Command::Resume { .. })) } else { Readiness::No }
}

pub(super) fn can_verify(m: &Model) -> Readiness {
    match (verify::subject_to_compare(m), m.diff()) {
        (None, _) => Readiness::No,
        (Some(_), Some(d)) if d.is_running() => {
            Readiness::NotNow(format!("A diff of {} is under way: 5 shows it, s stops it there.", d.what.describe()))
        }
        (Some(_), _) => Readiness::Now,
    }
}

pub(super) fn can_stop_diff(m: &Model) -> Readiness {
    if m.diff().is_some_and(DiffView::is_running) { Readiness::Now } else { Readiness::No }
}

pub(super) fn can_continue_diff(m: &Model) -> Readiness {
    let stopped = m.diff().is_some_and(|d| matches!(d.state, DiffState::Stopped { .. }));
    if stopped { Readiness::Now } else { Readiness::No }
}

pub(super) fn can_look_at_setup(m: &Model) -> Readiness {
    if parity::is_looking(m) { Readiness::NotNow("A look is under way.".to_owned()) } else { Readiness::Now }
}

/// A look comes first: what would be made is what it showed.
pub(super) fn can_provision(m: &Model) -> Readiness {
    let not_now = |why: &str| Readiness::NotNow(why.to_owned());
    match m.snapshot.as_ref().map(|s| &s.header.arming) {
        None => Readiness::No,
        Some(_) if m.read_only() => Readiness::NotNow(read_only_why(m)),
        Some(Arming::DryRun) => not_now("A dry run does not rehearse this: the table shows what would be made."),
        Some(_) if parity::is_provisioning(m) => not_now("Green is being set up: its lines are above the table."),
        Some(_) if parity::is_looking(m) => not_now("A look is under way."),
        Some(_) if parity::newest_table(m).is_none() => not_now("Nobody has looked yet: g looks."),
        Some(_) => Readiness::Now,
    }
}

pub(super) fn can_copy_next(m: &Model) -> Readiness {
    if m.diff().and_then(verify::replay_command).is_some() { Readiness::Now } else { Readiness::No }
}

pub(super) fn can_open(m: &Model) -> Readiness {
    let there = match m.pane {
        _ if matches!(m.screen, Screen::Group(_)) => m.partition_rows().at.is_some(),
        _ if m.screen == Screen::Calendar => calendar::subject_to_open(m).is_some(),
        Pane::Groups => m.current_group().is_some(),
        Pane::Producers => m.current_producer().is_some(),
        Pane::Notices => notice_subject(m).is_some(),
        Pane::Journal => false,
    };
    if there { Readiness::Now } else { Readiness::No }
}

pub(super) fn can_switch_focus(m: &Model) -> Readiness {
    let more = m.current_group().is_some_and(|g| g.run.is_some()) || view::group_folds(m);
    if more { Readiness::Now } else { Readiness::No }
}

/// There is a row under the cursor that says more than its line.
pub(super) fn can_switch_detail(m: &Model) -> Readiness {
    let there = match m.screen {
        Screen::Verify => {
            m.diff().is_some_and(|d| matches!(&d.state, DiffState::Done { result, .. } if !result.rows.is_empty()))
        }
        Screen::Calendar => !calendar::list_lines(m).is_empty(),
        Screen::Parity => parity::line_under_cursor(m).is_some(),
        _ => false,
    };
    if there { Readiness::Now } else { Readiness::No }
}

pub(super) fn can_go_back(m: &Model) -> Readiness {
    if m.screen != Screen::Cockpit || !m.filter(m.table()).is_empty() || m.back > 0 {
        Readiness::Now
    } else {
        Readiness::No
    }
}

/// Nothing is half done: one key leaves.
pub(super) fn can_leave_now(m: &Model) -> Readiness {
    let grave = hosting::find_hosted(m).is_some_and(|h| h.is_grave());
    if matches!(m.overlay, Some(Overlay::Leave { .. })) && !grave { Readiness::Now } else { Readiness::No }
}

/// The same by a letter: one that nothing else was typed before, or it belongs to what was meant for another window.
pub(super) fn can_leave_by_key(m: &Model) -> Readiness {
    match &m.overlay {
        Some(Overlay::Leave { input }) if input.value().is_empty() => can_leave_now(m),
        _ => Readiness::No,
    }
}

pub(super) fn can_accept(m: &Model) -> Readiness {
    match &m.overlay {
        // There y leaves and n stays: an enter would be a yes that nobody has written.
        Some(Overlay::Leave { .. }) if can_leave_now(m) == Readiness::Now => Readiness::No,
        Some(Overlay::Help { finding: false, .. }) => Readiness::No,
        Some(Overlay::Confirm(d)) if matches!(d.phase, Phase::Asking | Phase::Sent) => Readiness::No,
        Some(_) => Readiness::Now,
        None => Readiness::No,
    }
}

/// What an export would carry: the measurement that the dialog or the table shows.
pub(super) fn find_exportable(m: &Model) -> Option<(String, Side, Option<Chosen>)> {
    let known = |g: &&GroupRow| g.estimate.as_ref().is_some_and(|e| e.value().is_some());
    match &m.overlay {
        Some(Overlay::Confirm(d)) => {
            let (group, to) = dialog::estimate_shown_for(&d.command)?;
            m.group_row(group).filter(known).filter(|g| dialog::is_measured_for(g, &d.command))?;
            Some((group.to_owned(), to, d.command.chosen().cloned()))
        }
        Some(_) => None,
        None => {
            let g = m.current_group().filter(known)?;
            Some((g.group.clone(), g.estimate_to?, g.estimate_chosen.clone()))
        }
    }
}

pub(super) fn can_export(m: &Model) -> Readiness {
    if matches!(&m.overlay, Some(Overlay::Confirm(d)) if d.prepared.is_none()) {
        return Readiness::No;
    }
    match (find_exportable(m), &m.overlay, m.current_group()) {
        (Some(_), ..) => Readiness::Now,
        (None, None, Some(_)) => Readiness::NotNow("There is nothing to write yet: m measures it first.".into()),
        _ => Readiness::No,
    }
}

/// The gate that refused a dialog and that a person may pass over, and what holds.
pub(super) fn find_passable_gate(d: &Dialog) -> Option<(GateName, String)> {
    match &d.phase {
        Phase::Refused(r) => r.gate.map(|gate| (gate, r.why.clone())),
        Phase::Asking | Phase::Shown | Phase::Sent => None,
    }
}

pub(super) fn can_pass_over(m: &Model) -> Readiness {
    match &m.overlay {
        Some(Overlay::Confirm(d)) if find_passable_gate(d).is_some() => Readiness::Now,
        _ => Readiness::No,
    }
}

pub(super) fn can_copy(m: &Model) -> Readiness {
    match &m.overlay {
        Some(Overlay::Confirm(d)) if d.prepared.as_ref().is_some_and(|p| !p.by_hand.is_empty()) => Readiness::Now,
        _ => Readiness::No,
    }
}

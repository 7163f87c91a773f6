//! Whether the rows of the table work now, and why not. Functions of the model only.

use super::super::calendar;
use super::super::dialog::{self, Dialog, Phase};
use super::super::hosting;
use super::super::model::{Model, Overlay, Pane, Screen};
use super::super::verify;
use super::super::view;
use super::super::words;
use super::Ready;
use super::places::notice_subject;
use crate::base::Side;
use crate::migration::eos::GreenOnly;
use crate::migration::facts::command::{Command, Offer};
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::stage::SideState;
use crate::offsets::Chosen;
use crate::snapshot::{Arming, DiffState, DiffView, GroupRow};

pub(super) fn always(_: &Model) -> Ready {
    Ready::Now
}

/// The offers of what keys act on now.
pub(super) fn offers(m: &Model) -> &[Offer] {
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
            // The dialog says what holds, and takes the reason for passing over it.
            Some(r) if r.gate.is_some() => return Ready::Now,
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
    offered(m, true, |c| matches!(c, Command::Continue { .. } | Command::ContinueProducer { .. }))
}

pub(super) fn can_complete(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::Complete { .. } | Command::CompleteProducer { .. }))
}

/// Cut over, or back with what green alone has: whichever of them is the next move.
pub(super) fn is_hard_move(c: &Command) -> bool {
    matches!(c, Command::HardCut { .. } | Command::HardBack { green_only: GreenOnly::Carry, .. })
}

pub(super) fn is_losing(c: &Command) -> bool {
    matches!(c, Command::HardBack { green_only: GreenOnly::Lose, .. })
}

/// The dialog of a hard move opens also when it is refused: it shows the gate row by row.
pub(super) fn can_hard_cut(m: &Model) -> Ready {
    match offered(m, true, is_hard_move) {
        Ready::NotNow(why) if m.read_only() => Ready::NotNow(why),
        Ready::No => Ready::No,
        _ => Ready::Now,
    }
}

pub(super) fn can_lose(m: &Model) -> Ready {
    offered(m, true, is_losing)
}

pub(super) fn can_approve(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::Approve { .. }))
}

pub(super) fn can_measure(m: &Model) -> Ready {
    offered(m, false, |c| matches!(c, Command::Estimate { .. }))
}

pub(super) fn can_route(m: &Model) -> Ready {
    offered(m, true, |c| matches!(c, Command::Route { .. }))
}

pub(super) fn held(m: &Model) -> bool {
    let state = m
        .current_group()
        .map(|g| g.side_state.as_ref())
        .or_else(|| m.current_producer().map(|p| p.side_state.as_ref()))
        .flatten();
    matches!(state, Some(SideState::Held { .. }))
}

pub(super) fn can_hold(m: &Model) -> Ready {
    match held(m) {
        true => Ready::NotNow("It is held already: u resumes it.".into()),
        false => offered(m, true, |c| matches!(c, Command::Hold { .. })),
    }
}

/// The group that a trigger rolls back next, by itself.
pub(super) fn next_rollback(m: &Model) -> Option<String> {
    let countdowns = &m.snapshot.as_ref()?.countdowns;
    countdowns.iter().find(|c| c.acts_at.is_some()).map(|c| c.group.clone())
}

pub(super) fn can_hold_trigger(m: &Model) -> Ready {
    match (next_rollback(m), m.options.read_only) {
        (None, _) => Ready::No,
        (Some(_), true) => Ready::NotNow("This session only looks: use one that may act.".into()),
        (Some(_), false) => Ready::Now,
    }
}

pub(super) fn can_resume(m: &Model) -> Ready {
    if held(m) { offered(m, true, |c| matches!(c, Command::Resume { .. })) } else { Ready::No }
}

pub(super) fn can_verify(m: &Model) -> Ready {
    match (verify::subject(m), m.diff()) {
        (None, _) => Ready::No,
        (Some(_), Some(d)) if d.running() => {
            Ready::NotNow(format!("A diff of {} is under way: 5 shows it, s stops it there.", d.what.shown()))
        }
        (Some(_), _) => Ready::Now,
    }
}

pub(super) fn can_stop_diff(m: &Model) -> Ready {
    if m.diff().is_some_and(DiffView::running) { Ready::Now } else { Ready::No }
}

pub(super) fn can_continue_diff(m: &Model) -> Ready {
    let stopped = m.diff().is_some_and(|d| matches!(d.state, DiffState::Stopped { .. }));
    if stopped { Ready::Now } else { Ready::No }
}

pub(super) fn can_copy_next(m: &Model) -> Ready {
    if m.diff().and_then(verify::command).is_some() { Ready::Now } else { Ready::No }
}

pub(super) fn can_open(m: &Model) -> Ready {
    let there = match m.pane {
        _ if matches!(m.screen, Screen::Group(_)) => m.partition_rows().at.is_some(),
        _ if m.screen == Screen::Calendar => calendar::opens(m).is_some(),
        Pane::Groups => m.current_group().is_some(),
        Pane::Producers => m.current_producer().is_some(),
        Pane::Notices => notice_subject(m).is_some(),
        Pane::Journal => false,
    };
    if there { Ready::Now } else { Ready::No }
}

pub(super) fn can_switch_focus(m: &Model) -> Ready {
    let more = m.current_group().is_some_and(|g| g.run.is_some()) || view::group_folds(m);
    if more { Ready::Now } else { Ready::No }
}

/// There is a row under the cursor that says more than its line.
pub(super) fn can_switch_detail(m: &Model) -> Ready {
    let there = match m.screen {
        Screen::Verify => {
            m.diff().is_some_and(|d| matches!(&d.state, DiffState::Done { result, .. } if !result.rows.is_empty()))
        }
        Screen::Calendar => !calendar::lines(m).is_empty(),
        _ => false,
    };
    if there { Ready::Now } else { Ready::No }
}

pub(super) fn can_go_back(m: &Model) -> Ready {
    if m.screen != Screen::Cockpit || !m.filter(m.table()).is_empty() || m.back > 0 { Ready::Now } else { Ready::No }
}

/// Nothing is half done: one key leaves.
pub(super) fn can_leave_now(m: &Model) -> Ready {
    let grave = hosting::hosted(m).is_some_and(|h| h.grave());
    if matches!(m.overlay, Some(Overlay::Leave { .. })) && !grave { Ready::Now } else { Ready::No }
}

/// The same by a letter: one that nothing else was typed before, or it belongs to what was meant for another window.
pub(super) fn can_leave_by_key(m: &Model) -> Ready {
    match &m.overlay {
        Some(Overlay::Leave { input }) if input.value().is_empty() => can_leave_now(m),
        _ => Ready::No,
    }
}

pub(super) fn can_accept(m: &Model) -> Ready {
    match &m.overlay {
        Some(Overlay::Leave { .. }) if can_leave_now(m) == Ready::Now => Ready::No,
        Some(Overlay::Help { finding: false, .. }) => Ready::No,
        Some(Overlay::Confirm(d)) if matches!(d.phase, Phase::Asking | Phase::Sent) => Ready::No,
        Some(_) => Ready::Now,
        None => Ready::No,
    }
}

/// What an export would carry: the measurement that the dialog or the table shows.
pub(super) fn exportable(m: &Model) -> Option<(String, Side, Option<Chosen>)> {
    let known = |g: &&GroupRow| g.estimate.as_ref().is_some_and(|e| e.value().is_some());
    match &m.overlay {
        Some(Overlay::Confirm(d)) => {
            let (group, to) = dialog::estimate_for(&d.command)?;
            m.group_row(group).filter(known).filter(|g| dialog::measures(g, &d.command))?;
            Some((group.to_owned(), to, d.command.chosen().cloned()))
        }
        Some(_) => None,
        None => {
            let g = m.current_group().filter(known)?;
            Some((g.group.clone(), g.estimate_to?, g.estimate_chosen.clone()))
        }
    }
}

pub(super) fn can_export(m: &Model) -> Ready {
    if matches!(&m.overlay, Some(Overlay::Confirm(d)) if d.prepared.is_none()) {
        return Ready::No;
    }
    match (exportable(m), &m.overlay, m.current_group()) {
        (Some(_), ..) => Ready::Now,
        (None, None, Some(_)) => Ready::NotNow("There is nothing to write yet: m measures it first.".into()),
        _ => Ready::No,
    }
}

/// The gate that refused a dialog and that a person may pass over, and what holds.
pub(super) fn passable(d: &Dialog) -> Option<(GateName, String)> {
    match &d.phase {
        Phase::Refused(r) => r.gate.map(|gate| (gate, r.why.clone())),
        Phase::Asking | Phase::Shown | Phase::Sent => None,
    }
}

pub(super) fn can_pass_over(m: &Model) -> Ready {
    match &m.overlay {
        Some(Overlay::Confirm(d)) if passable(d).is_some() => Ready::Now,
        _ => Ready::No,
    }
}

pub(super) fn can_copy(m: &Model) -> Ready {
    match &m.overlay {
        Some(Overlay::Confirm(d)) if d.prepared.as_ref().is_some_and(|p| !p.by_hand.is_empty()) => Ready::Now,
        _ => Ready::No,
    }
}

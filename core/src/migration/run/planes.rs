//! Which commands wait until both clusters' data planes have answered in this session: those that stop something and then
//! rest on the records of both. What stands still already gains nothing by waiting, so none of that is held up.

use super::machine::Machine;
use crate::base::At;
use crate::estate::{FlagState, SwitchState};
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::effect::Effect;
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides::{GateName, Override};
use crate::migration::facts::state::Run;
use crate::migration::rules::group;
use crate::migration::rules::producer;

/// Whether a run rests on the records of both clusters. Undoing a cutover before its switch does not, nor does a flag that
/// is set back to blue.
fn rests_on_records(kind: RunKind) -> bool {
    !matches!(kind, RunKind::GiveBack | RunKind::HardGiveBack)
}

/// Whether it goes without green.
fn goes_without_green(overrides: &[Override]) -> bool {
    overrides.iter().any(|o| o.gate == GateName::Unseen)
}

impl Machine {
    /// Whether a command starts (or goes on with) something that stops a group or a producer first. Marks (complete,
    /// approve) stop nothing.
    pub(in crate::migration) fn needs_planes(&self, command: &Command, now: At) -> bool {
        let open = self.state.open_run(&command.subject());
        let goes_on = || open.is_some_and(|run| self.stops_first(run, now));
        match command {
            Command::CutOver { .. } | Command::ResetOffsets { .. } | Command::HardCut { .. } => true,
            Command::RollBack { group, overrides } => {
                !goes_without_green(overrides)
                    && match self.roll_back_kind(group, overrides) {
                        // It takes over from the run under way, which may have stopped the group.
                        Ok(Some(kind)) => rests_on_records(kind) && open.is_none_or(|run| self.runs_still(run, now)),
                        Ok(None) => goes_on(),
                        // It is refused by its own rule anyway; until then it counts as one that stops something.
                        Err(_) => true,
                    }
            }
            Command::HardBack { producer, green_only, .. } => match self.hard_back_kind(producer, *green_only) {
                Ok(Some(kind)) => rests_on_records(kind),
                Ok(None) => goes_on(),
                Err(_) => true,
            },
            Command::Continue { .. } => goes_on(),
            // Back to blue rests on no record of green, and must not wait for a plane of it.
            Command::Route { to, .. } => matches!(to, FlagState::Dual | FlagState::Green),
            Command::Complete { .. } | Command::Approve { .. } | Command::Provision => false,
            Command::Estimate { .. } | Command::Hold { .. } | Command::Resume { .. } => false,
        }
    }

    /// Whether going on with a run would stop what it moves, and then rest on the records of both clusters.
    pub(in crate::migration) fn stops_first(&self, run: &Run, now: At) -> bool {
        rests_on_records(run.kind)
            && !run.no_return
            && !goes_without_green(run.command.overrides())
            && self.runs_still(run, now)
    }

    /// Whether what a run moves was not stopped yet, by it or by those that it took over from. A stop that nobody knows
    /// the end of counts once it is seen: until then going on with the run may be what stops it.
    fn runs_still(&self, run: &Run, now: At) -> bool {
        match &run.subject {
            Subject::Group(group) => {
                let effects = self.state.run_chain(run.id).flat_map(|r| r.effects.iter().rev());
                // The newest says where it stands: what was stopped and started again runs.
                let switch = effects.filter(|e| e.may_have_changed()).find_map(|e| match &e.issued.effect {
                    Effect::SetSwitch { to, .. } => Some((*to, e.is_done())),
                    _ => None,
                });
                match switch {
                    Some((SwitchState::Off, true)) => false,
                    Some((SwitchState::Off, false)) => !self.is_seen_stopped(run, group, now),
                    _ => true,
                }
            }
            Subject::Producer(name) => {
                let off = producer::current_flag(&self.rule_context(now), name) == Some(FlagState::Off);
                !run.effects.iter().filter(|e| e.may_have_changed()).any(|e| e.is_done() || off)
            }
            Subject::Migration | Subject::Cluster(_) => true,
        }
    }

    /// Whether a group is seen to have been stopped: by its switch, or where nobody can read that by itself.
    fn is_seen_stopped(&self, run: &Run, name: &str, now: At) -> bool {
        let sight = self.rule_context(now);
        match self.estate.switches.get(name) {
            Some(seen) => sight.is_fresh(seen) && seen.value() == Some(&SwitchState::Off),
            None => sight.fresh_group(name, run.to.other()).ok().flatten().is_some_and(group::is_empty),
        }
    }
}

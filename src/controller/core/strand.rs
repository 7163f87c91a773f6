//! When the journal can't be written: nothing new starts, what was stopped is started again where that needs no entry, and
//! where every run stands is said on every output. Before that: no run starts without room for its entries.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use super::Core;
use crate::base::Trouble;
use crate::base::sanitise::visible_path;
use crate::estate::{FlagState, SwitchState};
use crate::migration::facts::command::{Command, Refusal, Subject};
use crate::migration::facts::effect::{Effect, Outcome};
use crate::migration::facts::event::Event;
use crate::migration::facts::state::State;
use crate::migration::run::stranded::Stranded;
use crate::session::clock::Clock;
use crate::session::tools::Tools;
use crate::snapshot::{Arming, Severity};

/// A stranded run, and what came of starting again what it stopped.
type RestartAttempt = (Stranded, Option<Outcome>);

/// Runs that can't go on, and what is done about them.
#[derive(Debug, Default)]
pub(super) struct StrandedRuns {
    /// Effects of runs are still under way: what can be done is known when they are over.
    due: bool,
    /// What is started again.
    pub tried: JoinSet<RestartAttempt>,
}

impl Core {
    /// Nothing can be journalled any more: not one effect starts without its intent on disk.
    pub(super) fn journal_failed(&mut self, trouble: Trouble, unwritten: &Event) {
        tracing::error!(why = %trouble.what, "the journal can't be written: no effect starts any more");
        let why = format!("the journal can't be written: {}", trouble.what);
        self.machine.freeze(&why, unwritten);
        self.arming = Arming::ReadOnly { why };
        self.unwritable = Some(trouble.clone());
        self.stranding.due = true;
        self.add_notice(Severity::Fail, Subject::Migration, trouble);
    }

    /// Starts again what can be started again, once the effects that were under way are over.
    pub(super) fn give_stranded_back(&mut self) {
        if !self.stranding.due || !self.effects.is_empty() {
            return;
        }
        // Once: what can't be started again is told, and is a person's from then on.
        self.stranding.due = false;
        for stranded in self.machine.list_stranded() {
            let key = stranded.start.as_ref().map_or("", |(_, issued)| issued.key.as_str());
            tracing::warn!(key, "a stranded run is given back");
            let (tools, executor) = (Arc::clone(&self.tools), self.executor.clone());
            self.stranding.tried.spawn(async move {
                // Somebody may have set it since it was read last: a command is read every few seconds only.
                let stranded = match set_by_others(&tools, &stranded).await {
                    Some(state) => stranded.found_at(&state),
                    None => stranded,
                };
                // Straight to the executor: `start` does nothing any more without a journal.
                let outcome = match (&stranded.start, executor) {
                    (Some((_, issued)), Some(executor)) => Some(executor.execute(issued.clone()).await),
                    _ => None,
                };
                (stranded, outcome)
            });
        }
    }

    /// Says where a stranded run stands, on every output.
    pub(super) fn tell_stranded(&mut self, tried: Result<RestartAttempt, JoinError>) {
        let Some(why) = self.unwritable.clone() else { return };
        match tried {
            Ok((stranded, outcome)) => self.machine.note_stranded(&stranded, outcome, &why, Clock.now()),
            // Not in its own words, which may be made of what the clients were given.
            Err(_) => {
                let what = "starting again what was stopped broke off";
                let advice = "see for every group that moved whether it runs, and start it by hand where it came from";
                self.add_notice(Severity::Fail, Subject::Migration, Trouble::new(what, advice));
            }
        }
    }

    /// No run starts without room for its entries on the journal's disk.
    pub(super) async fn check_room(&mut self, command: &Command) -> Result<(), Refusal> {
        if !waits_for_room(command, self.machine.state()) || self.arming != Arming::Armed {
            return Ok(());
        }
        match self.ledger.look_for_room().await {
            Ok(Some(room)) if !room.reserved => {
                let at = visible_path(&self.plan.journal);
                let mib = room.free >> 20;
                let why = format!("the disk of the journal {at} is full ({mib} MiB free): no room for a run's entries");
                Err(Refusal::refused(why, "free at least 16 MiB there, then ask again; nothing was stopped"))
            }
            Ok(_) => Ok(()),
            Err(why) => Err(Refusal::refused(why.what, why.advice)),
        }
    }
}

/// Whether a command has to wait until there is room: it starts a run, and none of its subject is under way. To turn back, or
/// to go on with what is stopped already, must not wait for anybody, and the reserve is there for it.
fn waits_for_room(command: &Command, state: &State) -> bool {
    let starts = matches!(
        command,
        Command::CutOver { .. }
            | Command::RollBack { .. }
            | Command::ResetOffsets { .. }
            | Command::Route { .. }
            | Command::HardCut { .. }
            | Command::HardBack { .. }
    );
    starts && state.open_run(&command.subject()).is_none()
}

/// What the switch or flag that is to be set reads now, if that is not off. One that can't be read is not set either.
async fn set_by_others(tools: &Tools, stranded: &Stranded) -> Option<String> {
    match &stranded.start.as_ref()?.1.effect {
        Effect::SetSwitch { group, .. } => {
            tools.read_switch(group).await.ok().filter(|is| *is != SwitchState::Off).map(|is| is.to_string())
        }
        Effect::SetFlag { producer, .. } => {
            tools.read_flag(producer).await.ok().filter(|is| *is != FlagState::Off).map(|is| is.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::migration::eos::GreenOnly;
    use crate::migration::facts::event::{JournalEntry, RunKind};

    fn started(kind: RunKind, command: &Command) -> State {
        let mut state = State::default();
        let event = Event::started(1, kind, command.clone());
        state.apply(&JournalEntry { seq: 1, at: At(1), actor: "ann@bastion".into(), event });
        state
    }

    #[test]
    fn a_full_disk_holds_up_what_starts_and_never_what_turns_back() {
        let rest = State::default();
        let (there, back) = (Command::cut_over("audit"), Command::roll_back("audit"));
        let (hard, hard_back) = (Command::hard_cut("shop"), Command::hard_back("shop", GreenOnly::Carry));
        assert!([&there, &back, &hard, &hard_back].into_iter().all(|command| waits_for_room(command, &rest)));
        let moving = started(RunKind::CutOver, &there);
        assert!(!waits_for_room(&back, &moving), "it is stopped, or about to be");
        assert!(waits_for_room(&Command::cut_over("other"), &moving), "another group has no run under way");
        assert!(!waits_for_room(&hard_back, &started(RunKind::HardCut, &hard)));
        assert!(!waits_for_room(&Command::Continue { subject: Subject::Group("audit".into()) }, &rest));
    }
}

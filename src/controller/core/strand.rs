//! When the journal can't be written: nothing new starts, what was stopped is started again where that needs no entry, and
//! where every run stands is said on every output. Before that: no run starts without room for its entries.

use tokio::task::{JoinError, JoinSet};

use super::Core;
use crate::controller::clock::Clock;
use crate::controller::snapshot::{Arming, Severity};
use crate::migration::command::{Command, Refusal, Subject};
use crate::migration::effect::Outcome;
use crate::migration::estate::Trouble;
use crate::migration::event::Event;
use crate::migration::stranded::Stranded;

/// A stranded run, and what came of starting again what it stopped.
type Tried = (Stranded, Option<Outcome>);

/// Runs that can't go on, and what is done about them.
#[derive(Debug, Default)]
pub(super) struct Stranding {
    /// Effects of runs are still under way: what can be done is known when they are over.
    due: bool,
    /// What is started again.
    pub tried: JoinSet<Tried>,
}

impl Core {
    /// Nothing can be journalled any more: not one effect starts without its intent on disk.
    pub(super) fn journal_failed(&mut self, trouble: Trouble, unwritten: &Event) {
        let why = format!("the journal can't be written: {}", trouble.what);
        self.machine.freeze(&why, unwritten);
        self.arming = Arming::ReadOnly { why };
        self.unwritable = Some(trouble.clone());
        self.stranding.due = true;
        self.notice(Severity::Fail, Subject::Migration, trouble);
    }

    /// Starts again what can be started again, once the effects that were under way are over.
    pub(super) fn give_stranded_back(&mut self) {
        if !self.stranding.due || !self.effects.is_empty() {
            return;
        }
        self.stranding.due = false;
        for stranded in self.machine.stranded() {
            let executor = self.executor.clone();
            self.stranding.tried.spawn(async move {
                let outcome = match (&stranded.start, executor) {
                    (Some((_, issued)), Some(executor)) => Some(executor.execute(issued.clone()).await),
                    _ => None,
                };
                (stranded, outcome)
            });
        }
    }

    /// Says where a stranded run stands, on every output.
    pub(super) fn strand(&mut self, tried: Result<Tried, JoinError>) {
        let Some(why) = self.unwritable.clone() else { return };
        match tried {
            Ok((stranded, outcome)) => self.machine.strand(&stranded, outcome, &why, Clock.now()),
            Err(e) => {
                let what = format!("starting again what was stopped broke off: {e}");
                let advice = "see for every group that moved whether it runs, and start it by hand where it came from";
                self.notice(Severity::Fail, Subject::Migration, Trouble::new(what, advice));
            }
        }
    }

    /// No run starts without room for its entries on the journal's disk.
    pub(super) async fn room_for(&mut self, command: &Command) -> Result<(), Refusal> {
        let starts = matches!(
            command,
            Command::CutOver { .. }
                | Command::RollBack { .. }
                | Command::ResetOffsets { .. }
                | Command::Route { .. }
                | Command::HardCut { .. }
                | Command::HardBack { .. }
        );
        if !starts || self.arming != Arming::Armed {
            return Ok(());
        }
        match self.ledger.room().await {
            Ok(Some(room)) if !room.reserved => {
                let at = self.plan.journal.display();
                let mib = room.free >> 20;
                let why = format!("the disk of the journal {at} is full ({mib} MiB free): no room for a run's entries");
                Err(Refusal::refused(why, "free at least 16 MiB there, then ask again; nothing was stopped"))
            }
            Ok(_) => Ok(()),
            Err(why) => Err(Refusal::refused(why.what, why.advice)),
        }
    }
}

//! What a hard cutover would do: everything a confirm dialog shows, or why it can't be done now.

use super::gate::Cut;
use crate::migration::command::{Command, Prepared, Refusal, Subject};
use crate::migration::estate::{At, Side};
use crate::migration::event::{Event, RunKind};
use crate::migration::machine::Machine;

impl Machine {
    /// What a hard rollback amounts to now; `None`: the run under way goes to blue already and only has to go on.
    pub(in crate::migration) fn hard_back_kind(&self, name: &str) -> Result<Option<RunKind>, Refusal> {
        let Some(run) = self.state.open_run(&Subject::Producer(name.to_owned())) else {
            return match self.state.producer_rests_on(name) {
                Side::Green => Ok(Some(RunKind::HardBack)),
                Side::Blue => Err(Refusal::refused(format!("{name} is on blue"), "there is nothing to roll back")),
            };
        };
        match (run.kind, run.to) {
            (RunKind::HardCut, _) if run.no_return && !run.dry_run => Ok(Some(RunKind::HardBack)),
            (RunKind::HardCut, _) => Ok(Some(RunKind::HardGiveBack)),
            (RunKind::HardBack, _) | (RunKind::HardGiveBack, Side::Blue) if run.needs.is_some() => Ok(None),
            (RunKind::HardBack, _) | (RunKind::HardGiveBack, Side::Blue) => {
                Err(Refusal::refused(format!("{name} is on its way back to blue"), "wait, or hold it"))
            }
            (RunKind::HardGiveBack, Side::Green) if run.needs.is_some() => Ok(Some(RunKind::HardBack)),
            (RunKind::HardGiveBack, Side::Green) => Err(Refusal::refused(
                format!("{name} is being given back to green, where it came from"),
                "let that end, then roll back",
            )),
            _ => Err(Refusal::refused(format!("{name} is not being moved"), "let the run under way end first")),
        }
    }

    /// Journals that somebody agrees, to what is true now.
    pub(in crate::migration) fn approve(&mut self, name: &str, actor: &str, now: At) {
        let Some(plan) = self.settings.producers.get(name) else { return };
        let sight = self.sight(now);
        let facts = Cut { sight: &sight, name, plan, to: Side::Green }.approval_facts();
        self.emit(actor, Event::Approved { producer: name.to_owned(), facts }, now);
    }

    pub(in crate::migration) fn prepare_hard(
        &self,
        _command: &Command,
        _name: &str,
        _now: At,
    ) -> Result<Prepared, Refusal> {
        Err(Refusal::refused("the hard cutover is not in this version", "it comes with the next one"))
    }
}

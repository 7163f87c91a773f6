//! When the journal can't be written any more (a full disk, a filesystem that turned read-only) while runs are under way:
//! no run goes on, because its next effect could not be journalled before it starts. What may not happen is that a group
//! then stands on neither side with nobody told.
//!
//! The one thing that needs no entry is to start what this session stopped: where it came from before the journal knows of
//! the point of no return, where it goes after it. The journal already says that it was stopped and that its run is open,
//! nothing that it relies on changes, and the next start finds the group at work there and asks a person, as after any
//! interruption.

use std::collections::BTreeSet;

use super::blind::is_blind;
use super::command::Subject;
use super::effect::{Answer, Effect, Issued, Outcome};
use super::estate::{At, FlagState, Side, SwitchState, Trouble};
use super::event::{Entry, Event, RunId};
use super::machine::{Action, CONTROLLER, Machine};
use super::state::{Run, State};

/// A run that can't go on because nothing can be journalled any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranded {
    /// The run.
    pub run: RunId,
    /// What it moves.
    pub subject: Subject,
    /// How to start what it stopped, where that is safe without an entry.
    pub start: Option<(Side, Issued)>,
    /// Where it stands, in words.
    pub stands: String,
    /// It stands on neither side.
    pub nowhere: bool,
}

impl Machine {
    /// The journal can't be written any more: nothing that waits is done, and no run goes on. Runs that are under way are
    /// told by [`Machine::stranded`], once the effects that the executor has are over. `unwritten` is the entry that could
    /// not be written.
    pub fn freeze(&mut self, why: &str, unwritten: &Event) {
        self.session.read_only = Some(why.to_owned());
        let mut never = BTreeSet::new();
        let forget = |state: &mut State, event: &Event| {
            if let (Event::PointOfNoReturn { run }, runs) = (event, &mut state.runs)
                && let Some(run) = runs.get_mut(run)
            {
                run.no_return = false;
            }
        };
        forget(&mut self.state, unwritten);
        while let Some(action) = self.poll() {
            match action {
                Action::Journal { event, .. } => forget(&mut self.state, &event),
                Action::Do(issued) => drop(never.insert(issued.key)),
                Action::Measure { .. } => {}
            }
        }
        self.flying.retain(|key, _| !never.contains(key));
        self.never_done.extend(never);
    }

    /// Runs under way after [`Machine::freeze`], and what can be done for each.
    #[must_use]
    pub fn stranded(&self) -> Vec<Stranded> {
        let open = self.state.runs.values().filter(|r| r.open() && !r.dry_run && !self.replaced(r));
        open.map(|run| self.strand_of(run)).collect()
    }

    fn strand_of(&self, run: &Run) -> Stranded {
        // Oldest first, of the run and of those it took over from.
        let mut done: Vec<&Effect> = self
            .state
            .chain(run.id)
            .flat_map(|r| r.effects.iter().rev())
            .filter(|e| !self.never_done.contains(&e.issued.key))
            .filter(|e| !matches!(e.outcome, Some((Outcome::Failed { .. }, _))))
            .map(|e| &e.issued.effect)
            .collect();
        done.reverse();
        let home = if run.kind.gives_back() || run.no_return { run.to } else { run.to.other() };
        let key = |what: &str| format!("{}/unjournalled/{what}", run.id);
        let (start, nowhere, stands) = match &run.subject {
            Subject::Group(group) => {
                let last = done.iter().rev().find_map(|e| match e {
                    Effect::SetSwitch { to, .. } => Some(*to),
                    _ => None,
                });
                match last {
                    None => (None, false, "nothing was stopped or started".to_owned()),
                    Some(SwitchState::Off) if is_blind(run) && !run.no_return => {
                        (None, true, "it was stopped, and stands on neither side".to_owned())
                    }
                    Some(SwitchState::Off) => {
                        let effect = Effect::SetSwitch { group: group.clone(), to: SwitchState::only(home) };
                        let issued = Issued { key: key("start"), effect };
                        (Some((home, issued)), true, "it was stopped, and stands on neither side".to_owned())
                    }
                    Some(on) => (None, false, format!("its switch was set to {on}")),
                }
            }
            Subject::Producer(producer) => {
                let last = done.iter().rev().find_map(|e| match e {
                    Effect::SetFlag { to, .. } => Some(*to),
                    _ => None,
                });
                // Fenced or denied, it may not be able to write there, and what was carried must not be written twice.
                let only_the_flag = done.iter().all(|e| matches!(e, Effect::SetFlag { .. } | Effect::Translate { .. }));
                let to = if home == Side::Blue { FlagState::Blue } else { FlagState::Green };
                match last {
                    None => (None, false, "its flag was not touched".to_owned()),
                    Some(FlagState::Off) if only_the_flag => {
                        let effect = Effect::SetFlag { producer: producer.clone(), to };
                        let issued = Issued { key: key("flag"), effect };
                        (Some((home, issued)), true, "it was stopped, and writes to neither side".to_owned())
                    }
                    Some(FlagState::Off) => {
                        (None, true, "it was stopped and fenced, and writes to neither side".to_owned())
                    }
                    Some(flag) => (None, false, format!("its flag was set to {flag}")),
                }
            }
            Subject::Migration | Subject::Cluster(_) => (None, false, String::new()),
        };
        Stranded { run: run.id, subject: run.subject.clone(), start, stands, nowhere }
    }

    /// Shows on every output where a stranded run stands. Nothing is journalled: nothing can be. `started` is what came
    /// of [`Stranded::start`]; `why` is why the journal can't be written.
    pub fn strand(&mut self, stranded: &Stranded, started: Option<Outcome>, why: &Trouble, now: At) {
        let (what, name) = match &stranded.subject {
            Subject::Group(name) => ("group", name.as_str()),
            Subject::Producer(name) => ("producer", name.as_str()),
            Subject::Migration | Subject::Cluster(_) => ("", ""),
        };
        let home = stranded.start.as_ref().map(|(side, _)| *side);
        let then = format!("{}; then start cutover again and continue, or roll back", why.advice);
        let by_hand = |side: Side| format!("start it on {side} by hand now, then: {then}");
        let (stands, advice) = match (home, started) {
            (Some(side), Some(Outcome::Done { result: Answer::Switch { state } }))
                if state == SwitchState::only(side) =>
            {
                (format!("it was stopped, and is started on {side}, without an entry"), then)
            }
            (Some(side), Some(Outcome::Done { result: Answer::Flag { .. } })) => {
                (format!("it was stopped, and its flag says {side} again, without an entry"), then)
            }
            (Some(side), Some(Outcome::Failed { why } | Outcome::Unknown { why })) => {
                (format!("{}, and could not be started on {side}: {}", stranded.stands, why.what), by_hand(side))
            }
            (Some(side), _) => (stranded.stands.clone(), by_hand(side)),
            (None, _) if stranded.nowhere => {
                (stranded.stands.clone(), format!("start it by hand where it can run, then: {then}"))
            }
            (None, _) => (stranded.stands.clone(), then),
        };
        let why = format!("{}; {what} {name}: {stands}", why.what);
        let event = Event::NeedsOperator { run: stranded.run, why, advice };
        // Only in memory: screens and verbs show it, the next start finds out by itself.
        let entry = Entry { seq: 0, at: now, actor: CONTROLLER.to_owned(), event };
        self.state.apply(&entry);
    }
}

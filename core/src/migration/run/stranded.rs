//! When the journal can't be written any more (a full disk, a filesystem that turned read-only) while runs are under way:
//! no run goes on, because its next effect could not be journalled before it starts. What may not happen is that a group
//! then stands on neither side with nobody told.
//!
//! The one thing that needs no entry is to start what this session stopped: where it came from before the journal knows of
//! the point of no return, where it goes after it. The journal already says that it was stopped and that its run is open,
//! nothing that it relies on changes, and the next start finds the group at work there and asks a person, as after any
//! interruption. What an earlier session stopped, what waits for a person or is held by one, and what somebody has started
//! meanwhile is left alone: there only where it stands is said.

use std::collections::BTreeSet;

use super::green_unseen::is_blind;
use super::machine::{Action, CONTROLLER, Machine};
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, Trouble};
use crate::estate::{FlagState, SwitchState};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{Effect, EffectResult, IssuedEffect, Outcome};
use crate::migration::facts::event::{Event, JournalEntry, RunId};
use crate::migration::facts::state::{JournalledEffect, Run, State};

/// A run that can't go on because nothing can be journalled any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranded {
    /// The run.
    pub run: RunId,
    /// What it moves.
    pub subject: Subject,
    /// How to start what it stopped, where that is safe without an entry.
    pub start: Option<(Side, IssuedEffect)>,
    /// Where it stands, in words.
    pub stands: String,
    /// It stands on neither side.
    pub nowhere: bool,
}

impl Stranded {
    /// The same once its switch or flag was found at `state`, which is not off: somebody has set it since, so nothing is
    /// started.
    #[must_use]
    pub fn found_at(self, state: &str) -> Self {
        let stands = subject_words(&self.subject).describe_found(state);
        Self { start: None, nowhere: false, stands, ..self }
    }
}

/// What a run stops and starts its subject with, in words.
struct SubjectWords {
    knob: &'static str,
    untouched: &'static str,
    nowhere: &'static str,
}

impl SubjectWords {
    fn describe_found(&self, state: &str) -> String {
        format!("its {} reads {state} now", self.knob)
    }
}

fn subject_words(subject: &Subject) -> SubjectWords {
    match subject {
        Subject::Producer(_) => SubjectWords {
            knob: "flag",
            untouched: "its flag was not touched",
            nowhere: "it was stopped, and writes to neither side",
        },
        _ => SubjectWords {
            knob: "switch",
            untouched: "nothing was stopped or started",
            nowhere: "it was stopped, and stands on neither side",
        },
    }
}

/// A state of a switch or of a flag, whichever it is.
enum SwitchOrFlagState {
    Off,
    To(String),
}

impl SwitchOrFlagState {
    /// What an effect sets; `None`: it sets nothing.
    fn from_effect(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::SetSwitch { to, .. } => Some((*to).into()),
            Effect::SetFlag { to, .. } => Some((*to).into()),
            _ => None,
        }
    }
}

impl From<SwitchState> for SwitchOrFlagState {
    fn from(state: SwitchState) -> Self {
        if state == SwitchState::Off { SwitchOrFlagState::Off } else { SwitchOrFlagState::To(state.to_string()) }
    }
}

impl From<FlagState> for SwitchOrFlagState {
    fn from(state: FlagState) -> Self {
        if state == FlagState::Off { SwitchOrFlagState::Off } else { SwitchOrFlagState::To(state.to_string()) }
    }
}

impl Machine {
    /// The journal can't be written any more: nothing that waits is done, and no run goes on. Runs that are under way are
    /// told by [`Machine::list_stranded`], once the effects that the executor has are over. `unwritten` is the entry that could
    /// not be written.
    pub fn freeze(&mut self, why: &str, unwritten: &Event) {
        self.session.read_only = Some(why.to_owned());
        let mut never = BTreeSet::new();
        // It was folded before it was written: left standing, a group would be started on a side that the journal knows
        // nothing of.
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
                // Its intent is not on disk, so it is never begun, and nothing waits for its end.
                Action::Do(issued) => drop(never.insert(issued.key)),
                Action::Measure { .. } => {}
            }
        }
        self.outbox.give_up(never);
    }

    /// Runs under way after [`Machine::freeze`], and what can be done for each.
    #[must_use]
    pub fn list_stranded(&self) -> Vec<Stranded> {
        let open = self.state.runs.values().filter(|r| r.is_open() && !r.dry_run && !self.is_replaced(r));
        open.map(|run| self.strand_of(run)).collect()
    }

    fn strand_of(&self, run: &Run) -> Stranded {
        let (words, done) = (subject_words(&run.subject), self.done_for(run));
        let last = done.iter().rev().find_map(|e| Some((*e, SwitchOrFlagState::from_effect(&e.issued.effect)?)));
        let (start, nowhere, stands) = match last {
            None => (None, false, words.untouched.to_owned()),
            Some((to, SwitchOrFlagState::To(state))) if !to.is_done() => match self.found_since(run, to) {
                Some(SwitchOrFlagState::To(found)) => (None, false, words.describe_found(&found)),
                found => {
                    let unless =
                        found.map_or_else(|| format!(", unless its {} took {state}", words.knob), |_| String::new());
                    let why = self.left_alone(run, to, &done).map_or_else(String::new, |why| format!(": {why}"));
                    (None, true, format!("{}{unless}{why}", words.nowhere))
                }
            },
            Some((_, SwitchOrFlagState::To(state))) => (None, false, format!("its {} was set to {state}", words.knob)),
            Some((off, SwitchOrFlagState::Off)) => match (self.found_since(run, off), self.left_alone(run, off, &done))
            {
                (Some(SwitchOrFlagState::To(state)), _) => (None, false, words.describe_found(&state)),
                (_, Some(why)) => (None, true, format!("{}: {why}", words.nowhere)),
                (_, None) => (start_of(run), true, words.nowhere.to_owned()),
            },
        };
        Stranded { run: run.id, subject: run.subject.clone(), start, stands, nowhere }
    }

    /// What was done for a run and for those it took over from, oldest first, as far as it may have been done.
    fn done_for(&self, run: &Run) -> Vec<&JournalledEffect> {
        let mut done: Vec<&JournalledEffect> = self
            .state
            .run_chain(run.id)
            .flat_map(|r| r.effects.iter().rev())
            .filter(|e| !self.outbox.was_given_up(&e.issued.key))
            .filter(|e| !e.has_failed())
            .collect();
        done.reverse();
        done
    }

    /// What the subject's switch or flag was found at in a look that was asked for after `off` was done.
    fn found_since(&self, run: &Run, off: &JournalledEffect) -> Option<SwitchOrFlagState> {
        // A look from before that is what it found, and not what somebody has set since.
        let since = off.outcome.as_ref().map_or(off.at, |(_, at)| *at);
        match &run.subject {
            Subject::Group(group) => seen_since(self.estate.switches.get(group)?, since).map(SwitchOrFlagState::from),
            Subject::Producer(producer) => {
                seen_since(self.estate.flags.get(producer)?, since).map(SwitchOrFlagState::from)
            }
            Subject::Migration | Subject::Cluster(_) => None,
        }
    }

    /// Why nothing but a person starts what `off` stopped, if anything speaks against it.
    fn left_alone(&self, run: &Run, off: &JournalledEffect, done: &[&JournalledEffect]) -> Option<String> {
        // It may have asked so that nobody starts it before something is put right.
        if let Some((why, _)) = &run.needs {
            return Some(format!("it waits for a person ({why})"));
        }
        if let Some((who, why)) = self.state.holder(&run.subject) {
            return Some(format!("it is held by {} ({why})", visible_name(who)));
        }
        if !self.outbox.has_issued(&off.issued.key) {
            return Some("an earlier session stopped it".to_owned());
        }
        if is_blind(run) && !run.no_return {
            return Some("green, where it came from, can't be seen".to_owned());
        }
        // Fenced or denied, it may not be able to write there, and what was carried must not be written twice.
        let harmless =
            |e: &&JournalledEffect| matches!(e.issued.effect, Effect::SetFlag { .. } | Effect::Translate { .. });
        let fenced = matches!(run.subject, Subject::Producer(_)) && !done.iter().all(harmless);
        fenced.then(|| "it may be fenced".to_owned())
    }

    /// Shows on every output where a stranded run stands. Nothing is journalled: nothing can be. `started` is what came
    /// of [`Stranded::start`]; `why` is why the journal can't be written.
    pub fn note_stranded(&mut self, stranded: &Stranded, started: Option<Outcome>, why: &Trouble, now: At) {
        let home = stranded.start.as_ref().map(|(side, _)| *side);
        let then = format!("{}; then start cutover again and continue, or roll back", why.advice);
        let by_hand = |side: Side| format!("start it on {side} by hand now, then: {then}");
        let (stands, advice) = match (home, started) {
            (Some(side), Some(Outcome::Done { result: EffectResult::Switch { state } }))
                if state == SwitchState::only_on(side) =>
            {
                (format!("it was stopped, and is started on {side}, without an entry"), then)
            }
            (Some(side), Some(Outcome::Done { result: EffectResult::Flag { .. } })) => {
                (format!("it was stopped, and its flag says {side} again, without an entry"), then)
            }
            (Some(side), Some(Outcome::Failed { why } | Outcome::Unknown { why })) => {
                (format!("{}, and could not be started on {side}: {}", stranded.stands, why.what), by_hand(side))
            }
            (Some(side), _) => (stranded.stands.clone(), by_hand(side)),
            (None, _) => (stranded.stands.clone(), self.advice_of(stranded, then)),
        };
        let why = format!("{}; {}: {stands}", why.what, stranded.subject);
        let event = Event::needs_operator(stranded.run, why, advice);
        // Only in memory: screens and verbs show it, the next start finds out by itself.
        let entry = JournalEntry { seq: 0, at: now, actor: CONTROLLER, event };
        self.state.apply(&entry);
    }

    /// What a person does about a run that nothing was started for. What it asked for itself stands: it knows why.
    fn advice_of(&self, stranded: &Stranded, then: String) -> String {
        let asked = self.state.runs.get(&stranded.run).and_then(|run| run.needs.as_ref());
        match asked.filter(|(_, advice)| stranded.nowhere && !advice.is_empty()) {
            Some((_, advice)) => format!("{then}; what it asked for before still stands: {advice}"),
            None if stranded.nowhere => format!("start it by hand where it can run, then: {then}"),
            None => then,
        }
    }
}

/// How to start what a run stopped.
fn start_of(run: &Run) -> Option<(Side, IssuedEffect)> {
    // A give-back is on its way home; past the point of no return offsets, or records, are where the run goes to.
    let home = if run.kind.gives_back() || run.no_return { run.to } else { run.to.other() };
    let (what, effect) = match &run.subject {
        Subject::Group(group) => ("start", Effect::SetSwitch { group: group.clone(), to: SwitchState::only_on(home) }),
        Subject::Producer(producer) => {
            ("flag", Effect::SetFlag { producer: producer.clone(), to: FlagState::only_on(home) })
        }
        Subject::Migration | Subject::Cluster(_) => return None,
    };
    // A key that no run gives: nothing in a journal can be taken for this one's end.
    Some((home, IssuedEffect { key: format!("{}/unjournalled/{what}", run.id), effect }))
}

fn seen_since<T: Copy>(seen: &Observed<T>, since: At) -> Option<T> {
    match seen {
        Observed::Known { value, at, .. } if *at >= since => Some(*value),
        _ => None,
    }
}

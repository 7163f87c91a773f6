//! Runs the machine over a tiny world as a controller would: journal first, then act; observe every second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cutover::base::{Actor, At, Observed, Person, Side, Sides, Trouble};
use cutover::estate::Estate;
use cutover::migration::facts::command::{Command, Level, Refusal, Subject};
use cutover::migration::facts::effect::{Effect, EffectResult, IssuedEffect, Outcome};
use cutover::migration::facts::event::{Event, JournalEntry};
use cutover::migration::facts::settings::Settings;
use cutover::migration::facts::stage::SideState;
use cutover::migration::run::machine::{Action, Machine, SessionMode};
use cutover::migration::soak::samples::SampleStretch;
use cutover::migration::soak::watch::KeptSamples;
use cutover::offsets::verdict::GroupTranslation;

/// What the machine is run over.
pub trait World: Clone {
    fn of(settings: &Settings) -> Self;
    fn now(&self) -> At;
    /// One second passes.
    fn tick(&mut self);
    fn estate(&self, last: &Estate) -> Estate;
    /// Carries an effect out, as the live executor would. `None`: nobody will ever hear of it.
    fn execute(&mut self, issued: &IssuedEffect) -> Option<Outcome>;
    /// What was carried out, in words.
    fn effects(&mut self) -> &mut Vec<String>;
    /// What a measurement finds; `None`: nobody measures here.
    fn measured(&self, to: Side, topics: &BTreeSet<String>) -> Option<GroupTranslation>;
    /// What moves.
    fn subject() -> Subject;
    fn stage(machine: &Machine) -> String;
    /// The next step, as screens say it: of everything here that has one.
    fn next(machine: &Machine, now: At) -> Vec<String>;
    /// What holds at every moment.
    fn sane(_: &Driver<Self>) {}
}

/// How the next effect of a kind goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Fails,
    UnknownTook,
    UnknownNot,
    /// No outcome ever comes, and nothing was done.
    Silent,
}

/// Carries an effect out as its fate has it.
pub fn meet<W>(world: &mut W, fate: Option<Fate>, apply: impl FnOnce(&mut W) -> EffectResult) -> Option<Outcome> {
    let why = Trouble::new("the line went dead", "look at the network");
    match fate {
        None => Some(Outcome::Done { result: apply(world) }),
        Some(Fate::Fails) => Some(Outcome::Failed { why }),
        Some(Fate::UnknownNot) => Some(Outcome::Unknown { why }),
        Some(Fate::Silent) => None,
        Some(Fate::UnknownTook) => {
            apply(world);
            Some(Outcome::Unknown { why })
        }
    }
}

/// An effect in a few words, and its kind.
pub fn name(effect: &Effect) -> (String, &'static str) {
    match effect {
        Effect::SetSwitch { to, .. } => (format!("switch {to}"), "switch"),
        Effect::Translate { to, .. } => (format!("translate {to}"), "translate"),
        Effect::CommitOffsets { side, .. } => (format!("commit {side}"), "commit"),
        Effect::RestoreOffsets { side, offsets, .. } => {
            let deleted = offsets.iter().any(|(_, o)| o.is_none());
            (format!("{} {side}", if deleted { "delete" } else { "restore" }), "restore")
        }
        Effect::SetFlag { to, .. } => (format!("flag {to}"), "flag"),
        Effect::Fence { side, .. } => (format!("fence {side}"), "fence"),
        Effect::Deny { side, acls, .. } => (format!("deny {side} {}", acls.len()), "deny"),
        Effect::Allow { side, acls, .. } => (format!("allow {side} {}", acls.len()), "allow"),
        Effect::Carry { from, .. } => (format!("carry {from}"), "carry"),
    }
}

pub struct Driver<W> {
    pub machine: Machine,
    pub world: W,
    pub journal: Vec<JournalEntry>,
    pub estate: Estate,
    pub settings: Settings,
    pub session: SessionMode,
    /// What is kept of soaks, as the store would: by group, since when, series, and beginning of the stretch.
    pub kept: BTreeMap<(String, At, String), BTreeMap<At, SampleStretch>>,
    /// Outcomes are delivered a second later, like real ones.
    outcomes: VecDeque<(String, Outcome)>,
    /// The process dies once the journal has this many entries.
    pub die_at: Option<usize>,
    /// ... and if the last of them is an intent, its effect happens all the same (unheard).
    pub die_after_effect: bool,
    /// The process dies with the next entry of these words.
    pub die_on: Option<String>,
    pub dead: bool,
    /// Who asks.
    pub actor: String,
}

impl<W: World> Driver<W> {
    pub fn new(settings: Settings, session: SessionMode) -> Self {
        Self {
            machine: Machine::new(settings.clone(), session.clone()),
            world: W::of(&settings),
            journal: Vec::new(),
            estate: Estate::default(),
            settings,
            session,
            kept: BTreeMap::new(),
            outcomes: VecDeque::new(),
            die_at: None,
            die_after_effect: false,
            die_on: None,
            dead: false,
            actor: "ann@bastion".into(),
        }
    }

    pub fn now(&self) -> At {
        self.world.now()
    }

    fn pump(&mut self) {
        while !self.dead {
            let Some(action) = self.machine.poll() else { return };
            match action {
                Action::Journal { actor, event, .. } => self.write(actor, event),
                Action::Do(issued) => self.carry_out(issued),
                Action::Measure { group, to, chosen, topics } => {
                    let now = self.now();
                    if let Some(plan) = self.world.measured(to, &topics) {
                        self.machine.handle_estimate(&group, to, chosen.as_ref(), Ok(plan), now);
                    }
                }
            }
        }
    }

    fn write(&mut self, actor: Actor, event: Event) {
        let seq = self.journal.len() as u64 + 1;
        let intent = matches!(event, Event::Intent { .. });
        self.dead |= self.die_on.as_deref() == Some(crate::script::word(&event).as_str());
        self.journal.push(JournalEntry { seq, at: self.now(), actor, event });
        if self.die_at == Some(self.journal.len()) && !(intent && self.die_after_effect) {
            self.dead = true;
        }
    }

    fn carry_out(&mut self, issued: IssuedEffect) {
        let is_intent = |e: &JournalEntry| matches!(&e.event, Event::Intent { issued: i, .. } if *i == issued);
        assert!(self.journal.iter().any(is_intent), "{} without its intent in the journal", issued.key);
        // The dry executor: reads are real, changes are words.
        let outcome = if self.session.dry_run && issued.effect.changes() {
            let would = format!("would {}", name(&issued.effect).0);
            self.world.effects().push(would);
            Some(Outcome::Done { result: EffectResult::Nothing })
        } else {
            self.world.execute(&issued)
        };
        if self.die_at.is_some_and(|n| self.journal.len() >= n) {
            self.dead = true;
        } else if let Some(outcome) = outcome {
            self.outcomes.push_back((issued.key, outcome));
        }
    }

    /// Seconds pass.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.tick();
            let now = self.now();
            while let Some((key, outcome)) = self.outcomes.pop_front().filter(|_| !self.dead) {
                self.machine.handle_outcome(&key, outcome, now);
                self.pump();
            }
            if self.dead {
                continue;
            }
            self.estate = self.world.estate(&self.estate);
            self.machine.handle_observation(self.estate.clone(), now);
            self.keep();
            self.pump();
            if self.machine.poll_timeout().is_some_and(|t| t <= now) && !self.dead {
                self.machine.handle_timeout(now);
                self.pump();
            }
            W::sane(self);
        }
    }

    /// Asks as a person at the dialog does: reads it, types what it wants, gives its facts back.
    pub fn ask(&mut self, command: &Command) -> Result<Option<u64>, Refusal> {
        self.ask_typing(command, None)
    }

    pub fn ask_typing(&mut self, command: &Command, typed: Option<&str>) -> Result<Option<u64>, Refusal> {
        let prepared = self.machine.prepare(command, self.now())?;
        let phrase = match (&prepared.level, typed) {
            (_, Some(typed)) => typed.to_owned(),
            (Level::Typed(p), None) => p.clone(),
            _ => String::new(),
        };
        self.confirm(command, &phrase, &prepared.facts)
    }

    /// Confirms a dialog that showed these facts.
    pub fn confirm(&mut self, command: &Command, phrase: &str, facts: &str) -> Result<Option<u64>, Refusal> {
        let (actor, now) = (Person::new(self.actor.clone()).into(), self.now());
        let result = self.machine.handle_command(command, &actor, phrase, Some(facts), now);
        self.pump();
        result
    }

    fn keep(&mut self) {
        for unsaved in self.machine.unsaved_samples() {
            let series = self.kept.entry((unsaved.group, unsaved.since, unsaved.series)).or_default();
            series.retain(|first, _| *first >= unsaved.change.keep_from && *first < unsaved.change.replace_from);
            series.extend(unsaved.change.stretches.into_iter().map(|s| (s.first, s)));
        }
    }

    fn restore(&mut self) {
        let mut kept: BTreeMap<(String, At), KeptSamples> = BTreeMap::new();
        for ((group, since, series), stretches) in &self.kept {
            let new = || KeptSamples { group: group.clone(), since: *since, series: BTreeMap::new() };
            let of = kept.entry((group.clone(), *since)).or_insert_with(new);
            of.series.insert(series.clone(), stretches.values().copied().collect());
        }
        self.machine.restore_samples(kept.into_values().collect());
    }

    /// Both data planes answer, and nothing else was looked at yet.
    pub fn hear_planes(&mut self) {
        self.estate.planes = Sides::from_fn(|_| Observed::seen_at((), self.world.now()));
        let now = self.now();
        self.machine.handle_observation(self.estate.clone(), now);
        self.pump();
    }

    /// The process is gone; a new one reads the journal.
    pub fn restart(&mut self) {
        self.outcomes.clear();
        self.estate = Estate::default();
        self.machine = Machine::new(self.settings.clone(), self.session.clone());
        for entry in &self.journal {
            self.machine.fold_entry(entry);
        }
        (self.dead, self.die_at, self.die_on) = (false, None, None);
        self.restore();
        let now = self.now();
        self.machine.interrupt_open_runs(now);
        self.pump();
    }

    pub fn open(&self) -> bool {
        self.machine.state().open_run(&W::subject()).is_some()
    }

    /// Why a person is needed, and what to do.
    pub fn needs(&self, subject: &Subject) -> Option<(String, String)> {
        match self.machine.side_state(subject, self.now()) {
            Some(SideState::NeedsOperator { why, advice }) => Some((why, advice)),
            _ => None,
        }
    }

    pub fn stage(&self) -> String {
        W::stage(&self.machine)
    }

    /// The next step in words.
    pub fn next(&self) -> String {
        W::next(&self.machine, self.now()).join(" / ")
    }
}

//! The machine: observations, commands, outcomes and time go in; journal entries, effects and measurements come out.
//! It does nothing itself (sans-I/O, as quinn-proto and raft-rs). The order of its actions is the contract: each
//! `Journal` is durable before the next action is taken, so an intent is always on disk before its effect starts.

use std::collections::{BTreeMap, BTreeSet};

use super::measurements::Measurements;
use super::outbox::Outbox;
use crate::base::sanitise::visible_name;
use crate::base::{Actor, At, Side, TopicPartition, Trouble};
use crate::estate::Estate;
use crate::estate::exactly_once::Stillness;
use crate::migration::eos::Rogue;
use crate::migration::facts::command::{Command, Refusal, Subject};
use crate::migration::facts::effect::{Effect, IssuedEffect, Outcome};
use crate::migration::facts::event::{Event, JournalEntry, RunEnd, RunId, RunKind};
use crate::migration::facts::overrides::{Accepted, Override};
use crate::migration::facts::settings::Settings;
use crate::migration::facts::stage::Stage;
use crate::migration::facts::state::{Run, State};
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::drain::Drain;
use crate::migration::rules::lag::LagBook;
use crate::migration::soak::firing::Firing;
use crate::migration::soak::soaking::Soaking;
use crate::offsets::strategy::Chosen;
use crate::offsets::verdict::GroupTranslation;

/// Who writes what nobody typed.
pub const CONTROLLER: Actor = Actor::Controller;

/// What a session may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionMode {
    /// Walk every path with an executor that changes nothing.
    pub dry_run: bool,
    /// Take no command that changes anything, and why.
    pub read_only: Option<String>,
}

/// What the controller does next.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a handful wait at a time, and most are entries")]
pub enum Action {
    /// Write this durably before anything that follows.
    Journal {
        /// When it became true for this machine: the entry has this time, or a replay would see another one.
        at: At,
        /// Who caused it.
        actor: Actor,
        /// The fact.
        event: Event,
    },
    /// Carry this out and report with [`Machine::handle_outcome`].
    Do(IssuedEffect),
    /// Translate without a run (reads only) and report with [`Machine::handle_estimate`].
    Measure {
        /// Group id on blue.
        group: String,
        /// The side the offsets are for.
        to: Side,
        /// Another strategy than the plan's.
        chosen: Option<Chosen>,
        /// The topics that it reads, by their names on blue; empty where nothing is known of them.
        topics: BTreeSet<String>,
    },
}

/// A run that is to be started.
pub(in crate::migration) struct RunStart<'a> {
    /// What it does.
    pub kind: RunKind,
    /// As given.
    pub command: &'a Command,
    /// Who asks.
    pub actor: &'a Actor,
    /// What was typed.
    pub typed: &'a str,
    /// Gates that were passed over with it.
    pub accepted: Vec<Accepted>,
}

/// What a step under way waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::migration) enum StepWait {
    /// It was not looked at yet.
    #[default]
    Nothing,
    /// Its effect, which the executor has: the step's own words say more.
    Effect,
    /// What these words say.
    Told(String),
}

impl StepWait {
    /// In words; empty where there is nothing to say.
    pub fn as_str(&self) -> &str {
        match self {
            StepWait::Nothing => "",
            StepWait::Effect => "under way",
            StepWait::Told(words) => words,
        }
    }
}

/// What a run under way knows besides the journal. Lost in a restart, on purpose: evidence must be continuous.
#[derive(Debug, Clone, Default)]
pub(in crate::migration) struct LiveRun {
    /// Since when this attempt at the step runs.
    pub since: At,
    /// What is waited for.
    pub waiting: StepWait,
    /// When a timeout acts.
    pub until: Option<At>,
    /// Held by a person: no clock runs.
    pub paused: bool,
    /// A person said go on: an effect that is seen not to have taken may be tried again.
    pub continued: bool,
    /// Since when an unknown outcome is being looked at.
    pub verifying: Option<At>,
    /// The drain under way.
    pub drain: Drain,
    /// How long the logs of an exactly-once producer have stood, the side that is left first.
    pub still: [Stillness; 2],
    /// Where its logs ended when it was first seen back where it came from.
    pub base: Option<BTreeMap<TopicPartition, i64>>,
    /// What stands on the side that was left and should not: what a person is asked about.
    pub rogues: Vec<Rogue>,
}

/// One migration, as far as it can be decided. Its methods are of six kinds, and are called in this order:
///
/// 1. **Made from the past**, once: [`Machine::new`], then [`Machine::fold_entry`] for each entry of the journal in order,
///    [`Machine::restore_samples`], and at last [`Machine::interrupt_open_runs`].
/// 2. **What comes in** (`handle_…`, each with the time): the newest estate ([`Machine::handle_observation`]), a person's or
///    trigger's command ([`Machine::handle_command`]), an effect's end ([`Machine::handle_outcome`]), a translation that was
///    asked for ([`Machine::handle_estimate`]), a provider's answers ([`Machine::handle_metric`], [`Machine::handle_past`]),
///    time itself ([`Machine::handle_timeout`]).
/// 3. **What goes out**: after each of those, [`Machine::poll`] until it has nothing more, each action carried out before
///    the next is taken; then [`Machine::poll_timeout`] says when to come back at the latest, and
///    [`Machine::focus_groups`] what to look at often.
/// 4. **What a dialog asks**, before a command: [`Machine::prepare`]. Its `facts` go back with the command, which is refused
///    where they have changed.
/// 5. **What screens see**: every other method that takes `&self` (`tell::view`, `tell::notices`, `soak::soaking`,
///    `eos::view`). None changes anything.
/// 6. **The journal fails**: [`Machine::freeze`], then [`Machine::list_stranded`]. Nothing goes on after it.
///
/// What it is made of owns its data and takes the rest as arguments: the outbox, the measurements, the soaks, the triggers
/// that fired. The rules are functions of a [`RuleContext`].
#[derive(Debug)]
pub struct Machine {
    pub(in crate::migration) settings: Settings,
    pub(in crate::migration) session: SessionMode,
    pub(in crate::migration) state: State,
    pub(in crate::migration) estate: Estate,
    pub(in crate::migration) lag: LagBook,
    /// Runs under way, besides what the journal knows of them.
    pub(in crate::migration) live: BTreeMap<RunId, LiveRun>,
    pub(in crate::migration) measurements: Measurements,
    pub(in crate::migration) soaking: Soaking,
    pub(in crate::migration) firing: Firing,
    pub(in crate::migration) outbox: Outbox,
    /// Alarms of exactly-once producers that a person has seen. Lost in a restart: then they are raised once more.
    pub(in crate::migration) forgiven: BTreeMap<String, Vec<Rogue>>,
}

impl Machine {
    /// A machine that knows the plan and nothing else yet.
    #[must_use]
    pub fn new(settings: Settings, session: SessionMode) -> Self {
        Self {
            settings,
            session,
            state: State::default(),
            estate: Estate::default(),
            lag: LagBook::default(),
            live: BTreeMap::new(),
            measurements: Measurements::default(),
            soaking: Soaking::default(),
            firing: Firing::default(),
            outbox: Outbox::default(),
            forgiven: BTreeMap::new(),
        }
    }

    /// Folds one entry of the journal, in order, before anything else. A read-only session goes on folding what the
    /// controller that holds the journal writes.
    pub fn fold_entry(&mut self, entry: &JournalEntry) {
        self.outbox.fold(entry, &mut self.state);
    }

    /// After the replay: whatever was under way is interrupted, and waits for a person. Nothing is tried again by itself,
    /// but a trigger's rollback, after another countdown.
    pub fn interrupt_open_runs(&mut self, now: At) {
        if self.session.read_only.is_some() {
            return;
        }
        self.restart_countdowns(None, now);
        let open: Vec<RunId> = self.state.runs.values().filter(|r| r.is_open()).map(|r| r.id).collect();
        for id in open {
            let Some(run) = self.state.runs.get(&id) else { continue };
            let heir = self.state.last_run_of(&run.subject).map_or(id, |r| r.id);
            if heir != id {
                self.emit(CONTROLLER, Event::RunEnded { run: id, end: RunEnd::ReplacedBy(heir) }, now);
            } else if run.dry_run {
                let end = RunEnd::Failed("interrupted; it was a dry run and changed nothing".into());
                self.emit(CONTROLLER, Event::RunEnded { run: id, end }, now);
            } else if self.session.dry_run {
                // A real run is the next real session's affair.
            } else if run.needs.is_none() && !self.goes_on_by_itself(id, now) {
                let Some(run) = self.state.runs.get(&id) else { continue };
                let steps = self.steps_of(run);
                let step = steps.get(run.step).map_or("the end", |s| s.what.as_str());
                let n = (run.step + 1).min(steps.len());
                let why = format!("interrupted at step {n} of {}: {step}", steps.len());
                let advice = match run.kind {
                    kind if kind.moves() => "continue, or roll back",
                    _ => "continue",
                };
                self.emit(CONTROLLER, Event::needs_operator(id, why, advice), now);
            }
        }
    }

    /// Takes the newest estate in: everything that was observed, with ages.
    pub fn handle_observation(&mut self, estate: Estate, now: At) {
        self.estate = estate;
        let left = crate::migration::rules::group::left_behind(&self.settings, &self.state);
        self.lag.observe(&self.estate, now, self.settings.sample_gap_ms, &left);
        if self.session.read_only.is_none() {
            self.pin_clusters(now);
            self.note_reads(now);
            self.watch_hard(now);
        }
        self.watch_soaks(now);
        self.watch_triggers(now);
        self.advance_all(now);
    }

    /// Takes in how an effect ended. A key that is not under way is ignored.
    pub fn handle_outcome(&mut self, key: &str, outcome: Outcome, now: At) {
        let Some(run) = self.outbox.end_effect(key) else { return };
        self.emit(CONTROLLER, Event::Result { run, key: key.to_string(), outcome }, now);
        self.advance_all(now);
    }

    /// Takes in a measurement that was asked for.
    pub fn handle_estimate(
        &mut self,
        group: &str,
        to: Side,
        chosen: Option<&Chosen>,
        result: Result<GroupTranslation, Trouble>,
        now: At,
    ) {
        self.measurements.record(group, to, chosen, result, now);
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<Action> {
        self.outbox.take()
    }

    /// When [`Machine::handle_timeout`] wants to be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<At> {
        self.live.values().filter(|l| !l.paused).filter_map(|l| l.until).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: At) {
        self.advance_all(now);
    }

    /// Groups that a run under way must see often, on both sides, by their ids there.
    #[must_use]
    pub fn focus_groups(&self, now: At) -> Vec<(Side, String)> {
        let sight = self.rule_context(now);
        let open: Vec<&Run> = self.state.runs.values().filter(|r| r.is_open() && !self.is_replaced(r)).collect();
        let coupled = open.iter().flat_map(|r| self.coupled_groups(&r.subject)).map(String::as_str);
        let groups = open.iter().filter_map(|r| r.group()).chain(coupled);
        groups.flat_map(|g| Side::BOTH.map(|s| (s, sight.id_on(g, s).to_string()))).collect()
    }

    /// Everything a rule may rest on, now.
    #[must_use]
    pub fn rule_context(&self, now: At) -> RuleContext<'_> {
        RuleContext { settings: &self.settings, state: &self.state, estate: &self.estate, lag: &self.lag, now }
    }

    /// Carries a command out: starts a run (its number is returned) or changes a mark. `typed` is what was typed to
    /// confirm it, `facts` is `Prepared::facts` of the dialog that was confirmed.
    pub fn handle_command(
        &mut self,
        command: &Command,
        actor: &Actor,
        typed: &str,
        facts: Option<&str>,
        now: At,
    ) -> Result<Option<RunId>, Refusal> {
        let accepted = self.accept_confirmation(command, typed, facts, now)?;
        self.check_second_person(command, actor)?;
        let start = |kind| RunStart { kind, command, actor, typed, accepted };
        let run = match command {
            Command::Estimate { group, to, chosen } => {
                self.begin_measurement(group, *to, chosen.as_ref(), now);
                None
            }
            Command::Hold { subject, why } => {
                self.emit(actor.clone(), Event::Held { subject: subject.clone(), why: why.clone() }, now);
                None
            }
            Command::Resume { subject } => {
                self.emit(actor.clone(), Event::Resumed { subject: subject.clone() }, now);
                self.restart_countdowns(Some(subject), now);
                None
            }
            Command::Complete { subject: Subject::Group(group), overrides } => {
                self.complete_soak(group, overrides, actor, now);
                None
            }
            Command::Complete { subject, .. } => {
                self.emit(actor.clone(), Event::Completed { subject: subject.clone() }, now);
                None
            }
            Command::Continue { subject } => self.go_on(subject, actor, now),
            Command::HardCut { .. } => Some(self.start_run(start(RunKind::HardCut), now)),
            Command::HardBack { producer, green_only, .. } => match self.hard_back_kind(producer, *green_only)? {
                Some(kind) => Some(self.start_run(start(kind), now)),
                None => self.go_on(&Subject::Producer(producer.clone()), actor, now),
            },
            Command::Approve { producer } => {
                self.record_approval(producer, actor, now);
                None
            }
            // Whoever runs the controller makes it, and journals it.
            Command::Provision => None,
            Command::CutOver { .. } => Some(self.start_run(start(RunKind::CutOver), now)),
            Command::ResetOffsets { .. } => Some(self.start_run(start(RunKind::ResetOffsets), now)),
            Command::Route { producer, .. } => match self.state.open_run(&command.subject()) {
                Some(run) if run.command == *command => self.go_on(&Subject::Producer(producer.clone()), actor, now),
                _ => Some(self.start_run(start(RunKind::Route), now)),
            },
            Command::RollBack { group, overrides } => match self.roll_back_kind(group, overrides)? {
                Some(kind) => Some(self.start_run(start(kind), now)),
                None => self.go_on(&Subject::Group(group.clone()), actor, now),
            },
        };
        self.advance_all(now);
        Ok(run)
    }

    /// Asks for a measurement, unless the same is under way.
    fn begin_measurement(&mut self, group: &str, to: Side, chosen: Option<&Chosen>, now: At) {
        if self.measurements.begin(group, to, chosen) {
            let topics = crate::migration::rules::reads::topics_read(&self.rule_context(now), group, to.other());
            let (group, chosen) = (group.to_owned(), chosen.cloned());
            self.outbox.ask(Action::Measure { group, to, chosen, topics });
        }
    }

    /// What a rollback amounts to now; `None`: the run under way goes to blue already and only has to go on.
    pub(in crate::migration) fn roll_back_kind(
        &self,
        group: &str,
        overrides: &[Override],
    ) -> Result<Option<RunKind>, Refusal> {
        let subject = Subject::Group(group.to_string());
        let Some(run) = self.state.open_run(&subject) else {
            return match self.state.groups.get(group).map(|g| &g.rest) {
                Some(Stage::Soaking { .. } | Stage::Complete { .. }) => Ok(Some(RunKind::RollBack)),
                _ => Err(Refusal::refused(
                    format!("{group} is on blue", group = visible_name(group)),
                    "there is nothing to roll back",
                )),
            };
        };
        match (run.kind, run.to) {
            (RunKind::CutOver, _) if run.no_return && !run.dry_run => Ok(Some(RunKind::RollBack)),
            (RunKind::CutOver, _) => Ok(Some(RunKind::GiveBack)),
            // With other words than it was confirmed with it is another one: with green in sight again, or without it.
            (RunKind::RollBack, _) if run.needs.is_some() && !run.no_return && run.command.overrides() != overrides => {
                Ok(Some(RunKind::RollBack))
            }
            (RunKind::RollBack, _) | (RunKind::GiveBack, Side::Blue)
                if run.needs.is_some() || self.firing.counts_down(run) =>
            {
                Ok(None)
            }
            (RunKind::RollBack, _) | (RunKind::GiveBack, Side::Blue) => Err(Refusal::refused(
                format!("{group} is on its way back to blue", group = visible_name(group)),
                "wait, or hold it",
            )),
            (RunKind::GiveBack, Side::Green) if run.needs.is_some() => Ok(Some(RunKind::RollBack)),
            (RunKind::GiveBack, Side::Green) => Err(Refusal::refused(
                format!("{group} is being given back to green, where it came from", group = visible_name(group)),
                "let that end, then roll back",
            )),
            _ => Err(Refusal::refused(
                format!("{group} is not being moved", group = visible_name(group)),
                "let the run under way end first",
            )),
        }
    }

    /// A person said go on: what is unknown is observed first, what is evidence starts anew.
    pub(in crate::migration) fn go_on(&mut self, subject: &Subject, actor: &Actor, now: At) -> Option<RunId> {
        let id = self.state.last_run_of(subject)?.id;
        if let Subject::Producer(p) = subject {
            self.forgive_alarm(p);
        }
        self.emit(actor.clone(), Event::Continued { run: id }, now);
        self.firing.end_countdown(id);
        if let Subject::Group(g) = subject {
            self.soaking.forgive_intruder(g);
        }
        self.rewind_run(id, now);
        Some(id)
    }

    pub(in crate::migration) fn start_run(&mut self, start: RunStart<'_>, now: At) -> RunId {
        let RunStart { kind, command, actor, typed, accepted } = start;
        let run = self.state.last_run + 1;
        let subject = command.subject();
        let (estimate, max_re_read) = match (&subject, command) {
            (Subject::Group(g), _) => {
                let to = match command {
                    Command::ResetOffsets { to, .. } => *to,
                    _ if kind == RunKind::CutOver => Side::Green,
                    _ => Side::Blue,
                };
                let estimate = self.measured_with_age(g, to, command.chosen(), now).map(|(plan, _)| plan.clone());
                (estimate, self.settings.groups.get(g).map(|g| g.max_re_read))
            }
            _ => (None, None),
        };
        let replaced = self.state.open_run(&subject).map(|r| (r.id, r.dry_run));
        let event = Event::RunStarted {
            run,
            kind,
            subject,
            command: command.clone(),
            confirmed: typed.to_string(),
            estimate,
            max_re_read,
            dry_run: self.session.dry_run || replaced.is_some_and(|(_, dry)| dry),
            accepted,
        };
        self.emit(actor.clone(), event, now);
        self.record_baselines(run, now);
        if let Some((old, _)) = replaced {
            self.emit(CONTROLLER, Event::RunEnded { run: old, end: RunEnd::ReplacedBy(run) }, now);
            self.live.remove(&old);
        }
        self.live.insert(run, LiveRun { since: now, ..LiveRun::default() });
        run
    }

    /// Writes a fact: folded at once, journalled before any action that follows.
    pub(in crate::migration) fn emit(&mut self, actor: Actor, event: Event, now: At) {
        self.outbox.write(&mut self.state, actor, event, now);
    }

    /// Issues an effect of the step under way: the intent first.
    pub(in crate::migration) fn issue(&mut self, id: RunId, effect: Effect, now: At) {
        let Some(run) = self.state.runs.get(&id) else { return };
        let issued = IssuedEffect { key: run.next_key(), effect };
        self.emit(CONTROLLER, Event::Intent { run: id, issued: issued.clone() }, now);
        self.outbox.issue(id, issued);
    }

    /// A run that another one took over.
    pub(in crate::migration) fn is_replaced(&self, run: &Run) -> bool {
        self.state.last_run_of(&run.subject).is_some_and(|r| r.id != run.id)
    }

    /// The first cluster id seen is pinned, unless the plan pins one or something is wrong with it.
    fn pin_clusters(&mut self, now: At) {
        for side in Side::BOTH {
            let sight = self.rule_context(now);
            let both =
                Side::BOTH.into_iter().all(|s| self.estate.side(s).value().is_some_and(|v| v.cluster_id.is_some()));
            if !both || sight.pin(side).is_some() || sight.identity_trouble(side).is_some() {
                continue;
            }
            let id = self.estate.side(side).value().and_then(|v| v.cluster_id.clone());
            if let Some(cluster_id) = id {
                self.emit(CONTROLLER, Event::Pinned { side, cluster_id }, now);
                debug_assert!(self.state.pins[side].is_some());
            }
        }
    }
}

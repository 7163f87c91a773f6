//! What a rollback trigger does once it is met: a shadow says what it would have done; an armed one counts down, so that
//! a person can hold the group, and then rolls the group back as that person would. A group without a way back, one
//! that can't be rolled back without a loss, and one that a trigger has rolled back before ask for a person instead.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::trigger::{Arm, TriggerRow, TriggerState};
use crate::base::sanitise::visible_name;
use crate::base::{Actor, At, format_duration};
use crate::migration::facts::command::{Command, Level, Refusal, Subject};
use crate::migration::facts::event::{Event, RunId, RunKind};
use crate::migration::facts::settings::Settings;
use crate::migration::facts::stage::{Stage, WayBack};
use crate::migration::facts::state::{Run, State};
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::rollback;
use crate::migration::run::machine::{CONTROLLER, Machine, SessionMode};

/// How long the way back may be unknown after a countdown before a person is asked, ms.
const UNKNOWN_MS: u64 = 60_000;
/// How often it is looked whether the data planes answer by now, ms.
const PLANES_MS: u64 = 1_000;
/// How often a trigger's rollback goes on by itself after a restart; then a person is asked. A controller that dies of
/// it must not do so all night.
const GOES_ON: u32 = 3;

/// A trigger that fired, in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// When.
    pub at: At,
    /// What was measured.
    pub why: String,
    /// Shadow or armed.
    pub arm: Arm,
    /// When it acts at the earliest; `None`: it only says so.
    pub acts_at: Option<At>,
}

/// A trigger that fired, as screens show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Countdown {
    /// Group.
    pub group: String,
    /// Name of the trigger.
    pub trigger: String,
    /// What was measured.
    pub why: String,
    /// Shadow or armed.
    pub arm: Arm,
    /// When the rollback starts by itself; `None`: it does not (a shadow, held, or a person was asked).
    pub acts_at: Option<At>,
    /// Who holds the group, and why.
    pub held: Option<(String, String)>,
}

/// What the machine knows of triggers that fired besides the journal.
#[derive(Debug, Clone, Default)]
pub(in crate::migration) struct Firing {
    /// A group is not rolled back before this: after a restart and after a hold people get the whole countdown.
    floors: BTreeMap<String, At>,
    /// Rollbacks that a trigger started and a restart interrupted: nobody is there to say go on, and the group stands
    /// still. They go on after a countdown.
    interrupted: BTreeSet<RunId>,
}

/// What comes next for a trigger of a group.
enum TriggerAction {
    Nothing,
    Write(Box<Event>),
    RollBack,
    Ask(String),
}

impl Firing {
    /// From now the whole countdown of a group's slowest trigger passes again before it is rolled back.
    fn postpone_rollback(&mut self, settings: &Settings, group: &str, now: At) {
        let triggers = settings.groups.get(group).map(|g| g.criteria.triggers.as_slice()).unwrap_or_default();
        let countdown = triggers.iter().map(|t| t.countdown_ms).max().unwrap_or(0);
        self.floors.insert(group.to_owned(), now.plus(countdown));
    }

    /// Before this a group is not rolled back.
    fn floor(&self, group: &str) -> At {
        self.floors.get(group).copied().unwrap_or(At(i64::MIN))
    }

    /// Whether it is an interrupted rollback that waits to go on by itself. A person may say so earlier.
    pub(in crate::migration) fn counts_down(&self, run: &Run) -> bool {
        self.interrupted.contains(&run.id)
    }

    /// It goes on: nothing counts down any more.
    pub(in crate::migration) fn end_countdown(&mut self, id: RunId) {
        self.interrupted.remove(&id);
    }

    /// When an interrupted rollback goes on; `None`: it is none.
    fn goes_on_at(&self, run: &Run) -> Option<At> {
        run.group().filter(|_| self.counts_down(run)).map(|group| self.floor(group))
    }

    /// When a trigger that fired acts: `None` while the group is held, and for a shadow.
    fn acts_at(&self, state: &State, group: &str, fired: &Fired) -> Option<At> {
        if state.holder(&Subject::Group(group.to_owned())).is_some() {
            return None;
        }
        fired.acts_at.map(|at| at.max(self.floor(group)))
    }

    /// What comes next for a trigger as it stands. `way_back` is the group's.
    fn next_action(
        &self,
        context: &RuleContext<'_>,
        way_back: &dyn Fn() -> WayBack,
        group: &str,
        row: &TriggerRow,
    ) -> TriggerAction {
        let name = &row.trigger.name;
        let Some(state) = context.state.groups.get(group) else { return TriggerAction::Nothing };
        let fired = state.fired.get(name);
        let (met, quiet) = match &row.state {
            TriggerState::Met { why } => (Some(why), false),
            TriggerState::Quiet { .. } => (None, true),
            TriggerState::Rising { .. } | TriggerState::Unknown { .. } => (None, false),
        };
        match (fired, met) {
            (None, Some(why)) => fire_action(way_back(), group, row, why),
            (None, None) => TriggerAction::Nothing,
            (Some(_), None) if quiet => {
                TriggerAction::Write(Box::new(Event::TriggerCleared { group: group.to_owned(), trigger: name.clone() }))
            }
            // The plan has armed it since.
            (Some(fired), Some(why)) if fired.arm == Arm::Shadow && row.trigger.arm == Arm::Armed => {
                fire_action(way_back(), group, row, why)
            }
            // The plan has disarmed it since.
            (Some(_), _) if row.trigger.arm == Arm::Shadow => TriggerAction::Nothing,
            // A person was asked already: it is theirs.
            (Some(_), _) if state.alarm.is_some() => TriggerAction::Nothing,
            (Some(fired), _) => self.countdown_action(context, way_back, group, fired),
        }
    }

    /// What a trigger that fired does now.
    fn countdown_action(
        &self,
        context: &RuleContext<'_>,
        way_back: &dyn Fn() -> WayBack,
        group: &str,
        fired: &Fired,
    ) -> TriggerAction {
        let now = context.now;
        let Some(acts_at) = self.acts_at(context.state, group, fired) else { return TriggerAction::Nothing };
        match way_back() {
            WayBack::Closed { why } => TriggerAction::Ask(format!("the way back is CLOSED: {why}")),
            _ if now < acts_at => TriggerAction::Nothing,
            // The way back reads records of both clusters: a group is not stopped before they can be read.
            WayBack::Exact | WayBack::Bounded { .. } => match context.check_planes() {
                Ok(()) => TriggerAction::RollBack,
                Err(_) if now < acts_at.plus(UNKNOWN_MS) => TriggerAction::Nothing,
                Err(refusal) => TriggerAction::Ask(refusal.why),
            },
            WayBack::Unknown { .. } if now < acts_at.plus(UNKNOWN_MS) => TriggerAction::Nothing,
            WayBack::Unknown { why } => TriggerAction::Ask(format!("the way back is not known: {why}")),
        }
    }

    /// Every trigger that fired and every interrupted rollback, by when it acts.
    fn list_countdowns(&self, settings: &Settings, state: &State, session: &SessionMode) -> Vec<Countdown> {
        let mut all = Vec::new();
        for (group, record) in &state.groups {
            let subject = Subject::Group(group.clone());
            let (run, held) = (state.open_run(&subject), state.holder(&subject).cloned());
            if let Some((run, at)) = run.and_then(|r| Some((r, self.goes_on_at(r)?))) {
                all.push(Countdown {
                    group: group.clone(),
                    trigger: match &run.actor {
                        Actor::Trigger(trigger) => trigger.clone(),
                        Actor::Person(_) | Actor::Controller => String::new(),
                    },
                    why: format!("a restart interrupted it at step {}", run.step + 1),
                    arm: Arm::Armed,
                    acts_at: (held.is_none() && session.read_only.is_none()).then_some(at),
                    held: held.clone(),
                });
            }
            if !matches!(record.rest, Stage::Soaking { .. }) || run.is_some() {
                continue;
            }
            let acts = |trigger: &str| record.alarm.is_none() && acts_in_session(settings, session, group, trigger);
            all.extend(record.fired.iter().map(|(trigger, fired)| Countdown {
                group: group.clone(),
                trigger: trigger.clone(),
                why: fired.why.clone(),
                arm: fired.arm,
                acts_at: self.acts_at(state, group, fired).filter(|_| acts(trigger)),
                held: held.clone(),
            }));
        }
        all.sort_by_key(|c| (c.acts_at.is_none(), c.acts_at));
        all
    }
}

fn fire_action(way_back: WayBack, group: &str, row: &TriggerRow, why: &str) -> TriggerAction {
    TriggerAction::Write(Box::new(Event::TriggerFired {
        group: group.to_owned(),
        trigger: row.trigger.name.clone(),
        why: why.to_owned(),
        arm: row.trigger.arm,
        way_back,
        countdown_ms: (row.trigger.arm == Arm::Armed).then_some(row.trigger.countdown_ms),
    }))
}

/// Whether a trigger that fired acts in this session: as the plan has it now, and not where nothing is changed.
fn acts_in_session(settings: &Settings, session: &SessionMode, group: &str, trigger: &str) -> bool {
    let planned = settings.groups.get(group).map(|g| g.criteria.triggers.as_slice()).unwrap_or_default();
    let armed = planned.iter().any(|t| t.name == trigger && t.arm == Arm::Armed);
    armed && session.read_only.is_none() && !session.dry_run
}

impl Machine {
    /// What counts down starts anew: after a restart, from when screens can attach, and of a subject whose hold ends.
    pub fn restart_countdowns(&mut self, subject: Option<&Subject>, now: At) {
        let about = |group: &String| match subject {
            Some(Subject::Group(of)) => group == of,
            None | Some(Subject::Migration) => true,
            Some(_) => false,
        };
        for group in self.state.groups.keys().filter(|g| about(g)) {
            self.firing.postpone_rollback(&self.settings, group, now);
        }
    }

    /// After a restart: whether a run that stands unfinished goes on by itself. It is noted if so.
    pub(in crate::migration) fn goes_on_by_itself(&mut self, id: RunId, now: At) -> bool {
        let Some(run) = self.state.runs.get(&id) else { return false };
        let mine = run.kind == RunKind::RollBack && run.actor.is_trigger() && run.went_on < GOES_ON;
        let Some(group) = run.group().filter(|_| mine && !self.session.dry_run) else { return false };
        self.firing.postpone_rollback(&self.settings, group, now);
        self.firing.interrupted.insert(id)
    }

    /// An interrupted rollback, before its next step: what it waits for, and until when. While it is held no time passes.
    pub(in crate::migration) fn advance_interrupted(&mut self, id: RunId, held: bool, now: At) -> Option<(String, At)> {
        let run = self.state.runs.get(&id)?;
        let (until, subject, actor) = (self.firing.goes_on_at(run)?, run.subject.clone(), run.actor.clone());
        if held {
            if let Subject::Group(group) = &subject {
                self.firing.postpone_rollback(&self.settings, group, now);
            }
            return None;
        }
        if now < until {
            return Some((
                format!("interrupted by a restart; goes on by itself in {}", format_duration(until.since(now))),
                until,
            ));
        }
        let stops = self.state.runs.get(&id).is_some_and(|run| self.stops_first(run, now));
        let planes = self.rule_context(now).check_planes();
        // A group that it has stopped already stands on neither side: it waits for nothing that may never come.
        if let Some(refusal) = planes.err().filter(|_| stops) {
            if now < until.plus(UNKNOWN_MS) {
                return Some((format!("interrupted by a restart; {}", refusal.why), now.plus(PLANES_MS)));
            }
            self.firing.end_countdown(id);
            let advice = format!("{}; then continue, or roll back", refusal.advice);
            self.ask_for_help(id, &refusal.why, &advice, now);
            return None;
        }
        self.go_on(&subject, &actor, now);
        None
    }

    /// Looks at the triggers of every group that soaks.
    pub(in crate::migration) fn watch_triggers(&mut self, now: At) {
        if self.session.read_only.is_some() || self.session.dry_run {
            return;
        }
        let soaking = |g: &crate::migration::facts::state::GroupRecord| matches!(g.rest, Stage::Soaking { .. });
        let groups: Vec<String> =
            self.state.groups.iter().filter(|(_, g)| soaking(g)).map(|(name, _)| name.clone()).collect();
        for group in groups {
            let subject = Subject::Group(group.clone());
            if self.state.open_run(&subject).is_some() {
                continue;
            }
            if self.state.holder(&subject).is_some() {
                self.firing.postpone_rollback(&self.settings, &group, now);
            }
            for row in self.trigger_rows(&group, now) {
                let way_back = || self.way_back(&group, now);
                match self.firing.next_action(&self.rule_context(now), &way_back, &group, &row) {
                    TriggerAction::Nothing => continue,
                    TriggerAction::Write(event) => self.emit(CONTROLLER, *event, now),
                    TriggerAction::Ask(why) => self.ask_a_person(&group, &row.trigger.name, why, now),
                    TriggerAction::RollBack => self.start_rollback(&group, &row, now),
                }
                if self.state.open_run(&subject).is_some() {
                    break;
                }
            }
        }
    }

    /// Rolls back as a person at the dialog would, who accepts no loss.
    fn start_rollback(&mut self, group: &str, row: &TriggerRow, now: At) {
        let trigger = &row.trigger.name;
        if self.state.groups.get(group).is_some_and(|g| g.rolled_back_by_trigger) {
            let why = "a trigger has rolled it back before, and it came back to green".to_owned();
            return self.ask_a_person(group, trigger, why, now);
        }
        let command = Command::roll_back(group);
        let started = self.prepare(&command, now).and_then(|prepared| {
            let typed = match (&prepared.level, prepared.gates.first()) {
                (_, Some(gate)) => return Err(Refusal::holds(gate.why.clone(), "a person has to accept that")),
                (Level::Typed(phrase), None) => phrase.clone(),
                (_, None) => String::new(),
            };
            self.handle_command(&command, &Actor::Trigger(trigger.clone()), &typed, Some(&prepared.facts), now)
        });
        if let Err(refusal) = started {
            self.ask_a_person(group, trigger, format!("the rollback can't start: {}", refusal.why), now);
        }
    }

    fn ask_a_person(&mut self, group: &str, trigger: &str, because: String, now: At) {
        let Some(run) = self.state.groups.get(group).and_then(|g| g.run) else { return };
        let fired = self.state.groups.get(group).and_then(|g| g.fired.get(trigger));
        let measured = fired.map(|f| format!(" ({})", f.why)).unwrap_or_default();
        let why = format!("trigger {trigger} fired{measured}, and {because}", trigger = visible_name(trigger));
        let advice = "decide: roll back by hand, or continue on green";
        self.emit(CONTROLLER, Event::needs_operator(run, why, advice), now);
    }

    /// Every trigger that fired, by when it acts.
    #[must_use]
    pub fn countdowns(&self) -> Vec<Countdown> {
        self.firing.list_countdowns(&self.settings, &self.state, &self.session)
    }
}

impl Countdown {
    /// The line that stands on top of every screen.
    #[must_use]
    pub fn describe_countdown(&self, now: At) -> String {
        self.describe_with(|at| format!("in {}", format_duration(at.since(now))))
    }

    /// The same without a clock that runs, for lists and logs.
    #[must_use]
    pub(crate) fn describe_standing(&self) -> String {
        self.describe_with(|_| "by itself".to_owned())
    }

    /// When it rolls back, and by what: apart, so that a key can stand between. `None` where it does not do so by itself.
    #[must_use]
    pub fn describe_parts(&self, now: At) -> Option<[String; 2]> {
        self.parts_with(|at| format!("in {}", format_duration(at.since(now))))
    }

    fn parts_with(&self, when: impl Fn(At) -> String) -> Option<[String; 2]> {
        let acts_at = self.acts_at.filter(|_| self.held.is_none() && self.arm == Arm::Armed)?;
        let what = format!("{group} rolls back to BLUE {}", when(acts_at), group = visible_name(&self.group));
        Some([what, format!("trigger {trigger}, {why}", trigger = visible_name(&self.trigger), why = self.why)])
    }

    fn describe_with(&self, when: impl Fn(At) -> String) -> String {
        if let Some([what, by]) = self.parts_with(when) {
            return format!("{what}: {by}");
        }
        let Self { trigger, why, .. } = self;
        let group = visible_name(&self.group);
        match (&self.held, self.arm) {
            (_, Arm::Shadow) => {
                format!("shadow trigger {trigger} would roll {group} back: {why}", trigger = visible_name(trigger))
            }
            (Some((by, reason)), _) => format!(
                "trigger {trigger} on {group} HELD by {by}: {reason} ({why})",
                trigger = visible_name(trigger),
                by = visible_name(by)
            ),
            (None, Arm::Armed) => format!(
                "trigger {trigger} fired on {group}: a person has to decide ({why})",
                trigger = visible_name(trigger)
            ),
        }
    }
}

/// What the journal says of a trigger that fired.
#[must_use]
pub fn describe_fired_trigger(trigger: &str, why: &str, way_back: &WayBack, countdown_ms: Option<u64>) -> String {
    let back = rollback::describe_way_back(way_back);
    match countdown_ms {
        Some(ms) => format!(
            "trigger {trigger} fired: {why}; rolls back in {} (way back {back})",
            format_duration(ms),
            trigger = visible_name(trigger)
        ),
        None => format!(
            "shadow trigger {trigger} would have rolled back: {why} (way back {back})",
            trigger = visible_name(trigger)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_in_parts_says_the_same_whatever_names_hold() {
        let counts = Countdown {
            group: "g: trigger x".into(),
            trigger: "t: trigger y".into(),
            why: "lag".into(),
            arm: Arm::Armed,
            acts_at: Some(At(5_000)),
            held: None,
        };
        let [what, by] = counts.describe_parts(At(0)).expect("it counts down");
        assert!(
            what.starts_with("g: trigger x rolls back to BLUE in ") && by == "trigger t: trigger y, lag",
            "{what}: {by}"
        );
        assert_eq!(counts.describe_countdown(At(0)), format!("{what}: {by}"));
        let held = Countdown { held: Some(("ann@bastion".into(), "wait".into())), acts_at: None, ..counts.clone() };
        let shadow = Countdown { arm: Arm::Shadow, ..counts.clone() };
        let asked = Countdown { acts_at: None, ..counts };
        for (still, begins) in [(held, "trigger t: trigger y on "), (shadow, "shadow trigger "), (asked, "trigger t: ")]
        {
            assert_eq!(still.describe_parts(At(0)), None);
            let words = still.describe_countdown(At(0));
            assert!(words.starts_with(begins), "{words}");
        }
    }
}

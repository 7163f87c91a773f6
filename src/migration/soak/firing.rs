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
use crate::migration::facts::stage::{Stage, WayBack};
use crate::migration::facts::state::Run;
use crate::migration::rules::rollback;
use crate::migration::run::machine::{CONTROLLER, Machine};

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

impl Machine {
    /// What counts down starts anew: after a restart, from when screens can attach, and of a subject whose hold ends.
    pub(crate) fn restart_countdowns(&mut self, subject: Option<&Subject>, now: At) {
        let about = |group: &String| match subject {
            Some(Subject::Group(of)) => group == of,
            None | Some(Subject::Migration) => true,
            Some(_) => false,
        };
        let groups: Vec<String> = self.state.groups.keys().filter(|g| about(g)).cloned().collect();
        for group in groups {
            self.postpone_rollback(&group, now);
        }
    }

    fn postpone_rollback(&mut self, group: &str, now: At) {
        let triggers = self.settings.groups.get(group).map(|g| g.criteria.triggers.as_slice()).unwrap_or_default();
        let countdown = triggers.iter().map(|t| t.countdown_ms).max().unwrap_or(0);
        self.firing.floors.insert(group.to_owned(), now.plus(countdown));
    }

    /// After a restart: whether a run that stands unfinished goes on by itself. It is noted if so.
    pub(in crate::migration) fn goes_on_by_itself(&mut self, id: RunId, now: At) -> bool {
        let Some(run) = self.state.runs.get(&id) else { return false };
        let mine = run.kind == RunKind::RollBack && run.actor.is_trigger() && run.went_on < GOES_ON;
        let Some(group) = run.group().filter(|_| mine && !self.session.dry_run).map(str::to_owned) else {
            return false;
        };
        self.postpone_rollback(&group, now);
        self.firing.interrupted.insert(id)
    }

    /// When an interrupted rollback goes on; `None`: it is none.
    fn goes_on_at(&self, run: &Run) -> Option<At> {
        let group = run.group().filter(|_| self.counts_down(run))?;
        Some(self.firing.floors.get(group).copied().unwrap_or(At(i64::MIN)))
    }

    /// Whether it is an interrupted rollback that waits to go on by itself. A person may say so earlier.
    pub(in crate::migration) fn counts_down(&self, run: &Run) -> bool {
        self.firing.interrupted.contains(&run.id)
    }

    /// It goes on: nothing counts down any more.
    pub(in crate::migration) fn end_countdown(&mut self, id: RunId) {
        self.firing.interrupted.remove(&id);
    }

    /// An interrupted rollback, before its next step: what it waits for, and until when. While it is held no time passes.
    pub(in crate::migration) fn advance_interrupted(&mut self, id: RunId, held: bool, now: At) -> Option<(String, At)> {
        let run = self.state.runs.get(&id)?;
        let (until, subject, actor) = (self.goes_on_at(run)?, run.subject.clone(), run.actor.clone());
        if held {
            if let Subject::Group(group) = &subject {
                self.postpone_rollback(group, now);
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
            self.end_countdown(id);
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
                self.postpone_rollback(&group, now);
            }
            for row in self.trigger_rows(&group, now) {
                match self.next_action(&group, &row, now) {
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

    fn next_action(&self, group: &str, row: &TriggerRow, now: At) -> TriggerAction {
        let name = &row.trigger.name;
        let Some(state) = self.state.groups.get(group) else { return TriggerAction::Nothing };
        let fired = state.fired.get(name);
        let (met, quiet) = match &row.state {
            TriggerState::Met { why } => (Some(why), false),
            TriggerState::Quiet { .. } => (None, true),
            TriggerState::Rising { .. } | TriggerState::Unknown { .. } => (None, false),
        };
        match (fired, met) {
            (None, Some(why)) => self.fire_action(group, row, why, now),
            (None, None) => TriggerAction::Nothing,
            (Some(_), None) if quiet => {
                TriggerAction::Write(Box::new(Event::TriggerCleared { group: group.to_owned(), trigger: name.clone() }))
            }
            // The plan has armed it since.
            (Some(fired), Some(why)) if fired.arm == Arm::Shadow && row.trigger.arm == Arm::Armed => {
                self.fire_action(group, row, why, now)
            }
            // The plan has disarmed it since.
            (Some(_), _) if row.trigger.arm == Arm::Shadow => TriggerAction::Nothing,
            (Some(fired), _) => self.countdown_action(group, fired, state.alarm.is_some(), now),
        }
    }

    fn fire_action(&self, group: &str, row: &TriggerRow, why: &str, now: At) -> TriggerAction {
        let countdown_ms = (row.trigger.arm == Arm::Armed).then_some(row.trigger.countdown_ms);
        let way_back = self.way_back(group, now);
        let (group, trigger, arm) = (group.to_owned(), row.trigger.name.clone(), row.trigger.arm);
        TriggerAction::Write(Box::new(Event::TriggerFired {
            group,
            trigger,
            why: why.to_owned(),
            arm,
            way_back,
            countdown_ms,
        }))
    }

    /// What a trigger that fired does now.
    fn countdown_action(&self, group: &str, fired: &Fired, asked: bool, now: At) -> TriggerAction {
        let Some(acts_at) = self.acts_at(group, fired).filter(|_| !asked) else { return TriggerAction::Nothing };
        match self.way_back(group, now) {
            WayBack::Closed { why } => TriggerAction::Ask(format!("the way back is CLOSED: {why}")),
            _ if now < acts_at => TriggerAction::Nothing,
            // The way back reads records of both clusters: a group is not stopped before they can be read.
            WayBack::Exact | WayBack::Bounded { .. } => match self.rule_context(now).check_planes() {
                Ok(()) => TriggerAction::RollBack,
                Err(_) if now < acts_at.plus(UNKNOWN_MS) => TriggerAction::Nothing,
                Err(refusal) => TriggerAction::Ask(refusal.why),
            },
            WayBack::Unknown { .. } if now < acts_at.plus(UNKNOWN_MS) => TriggerAction::Nothing,
            WayBack::Unknown { why } => TriggerAction::Ask(format!("the way back is not known: {why}")),
        }
    }

    /// When a trigger that fired acts: `None` while the group is held, and for a shadow.
    fn acts_at(&self, group: &str, fired: &Fired) -> Option<At> {
        if self.state.holder(&Subject::Group(group.to_owned())).is_some() {
            return None;
        }
        let floor = self.firing.floors.get(group).copied().unwrap_or(At(i64::MIN));
        fired.acts_at.map(|at| at.max(floor))
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

    /// Whether a trigger that fired acts in this session: as the plan has it now, and not where nothing is changed.
    fn acts_in_session(&self, group: &str, trigger: &str) -> bool {
        let planned = self.settings.groups.get(group).map(|g| g.criteria.triggers.as_slice()).unwrap_or_default();
        let armed = planned.iter().any(|t| t.name == trigger && t.arm == Arm::Armed);
        armed && self.session.read_only.is_none() && !self.session.dry_run
    }

    /// Every trigger that fired, by when it acts.
    #[must_use]
    pub fn countdowns(&self) -> Vec<Countdown> {
        let mut all = Vec::new();
        for (group, state) in &self.state.groups {
            let subject = Subject::Group(group.clone());
            let run = self.state.open_run(&subject);
            if let Some((run, at)) = run.and_then(|r| Some((r, self.goes_on_at(r)?))) {
                let held = self.state.holder(&subject).cloned();
                all.push(Countdown {
                    group: group.clone(),
                    trigger: match &run.actor {
                        Actor::Trigger(trigger) => trigger.clone(),
                        Actor::Person(_) | Actor::Controller => String::new(),
                    },
                    why: format!("a restart interrupted it at step {}", run.step + 1),
                    arm: Arm::Armed,
                    acts_at: (held.is_none() && self.session.read_only.is_none()).then_some(at),
                    held,
                });
            }
            if !matches!(state.rest, Stage::Soaking { .. }) || run.is_some() {
                continue;
            }
            all.extend(
                state.fired.iter().map(|(trigger, fired)| Countdown {
                    group: group.clone(),
                    trigger: trigger.clone(),
                    why: fired.why.clone(),
                    arm: fired.arm,
                    acts_at: self
                        .acts_at(group, fired)
                        .filter(|_| state.alarm.is_none() && self.acts_in_session(group, trigger)),
                    held: self.state.holder(&subject).cloned(),
                }),
            );
        }
        all.sort_by_key(|c| (c.acts_at.is_none(), c.acts_at));
        all
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
    pub(crate) fn describe_parts(&self, now: At) -> Option<[String; 2]> {
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
pub(crate) fn describe_fired_trigger(
    trigger: &str,
    why: &str,
    way_back: &WayBack,
    countdown_ms: Option<u64>,
) -> String {
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

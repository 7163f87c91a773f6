//! What declaring a soak complete ends, and what of it can't be undone; and why it may not be declared.

use super::prepare::plain_dialog;
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Actor, At, Side};
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, Subject};
use crate::migration::facts::event::Event;
use crate::migration::facts::overrides::{GateName, HeldGate, Override, PassedOver};
use crate::migration::facts::stage::{Stage, WayBack};
use crate::migration::rules::cost;
use crate::migration::rules::gate::Gate;
use crate::migration::rules::held;
use crate::migration::rules::lag::Astray;
use crate::migration::run::machine::Machine;
use crate::migration::soak::criteria::Lack;
use crate::migration::soak::watch::combine_rows;

impl Machine {
    pub(in crate::migration) fn prepare_complete(
        &self,
        command: &Command,
        group: &str,
        now: At,
    ) -> Result<Prepared, Refusal> {
        self.rule_context(now).plan_entry(group)?;
        self.check_nothing_under_way(group)?;
        if let Some((why, advice)) = self.state.groups.get(group).and_then(|g| g.alarm.clone()) {
            return Err(Refusal::holds(why, advice));
        }
        if !matches!(self.state.groups.get(group).map(|g| &g.rest), Some(Stage::Soaking { .. })) {
            return Err(Refusal::refused(
                format!("{group} is not soaking", group = visible_name(group)),
                "only a soak can be completed",
            ));
        }
        cost::check_only_gate(GateName::Expired, "declaring a soak complete", command)?;
        let passed = self.pass_over_hidden(group, command.overrides(), now)?;
        let (gate, excused) = self.judge_soak(group, passed.as_ref(), now);
        match gate {
            Gate::Pass => Ok(self.completion_dialog(command, group, passed, excused, now)),
            Gate::Hold { left_ms, why } => {
                Err(Refusal::holds(format!("{why}, {} left", format_duration(left_ms)), "wait"))
            }
            Gate::Fail { why } => Err(Refusal::holds(why, "the time counts again from when that is good")),
            Gate::Unknown { why } => Err(Refusal::unknown(why, "wait for fresh samples")),
        }
    }

    /// Whatever the plan's criteria are: what a group has not read, and can't read, is no end of a soak. Returns what of
    /// that is passed over.
    fn pass_over_hidden(&self, group: &str, overrides: &[Override], now: At) -> Result<Option<HeldGate>, Refusal> {
        let (sight, side) = (self.rule_context(now), Side::Green);
        let astray = self.lag.astray(side, sight.id_on(group, side));
        // Nobody may pass over this: in another log none of the group's positions means anything.
        if let Some(astray @ Astray::Beyond { .. }) = astray {
            let advice = "find out what happened to the log, and what of it was read; then let the group commit anew";
            return Err(Refusal::holds(astray.describe_position(side), advice));
        }
        let expired = self.find_expired_gate(group, now);
        let named = |held: &HeldGate| overrides.iter().any(|o| o.gate == held.gate);
        if let Some(held) = expired.as_ref().filter(|held| !named(held)) {
            return Err(Refusal::holds(held.why.clone(), held.advice()).with_gate(held.gate));
        }
        match sight.find_wait(group, side) {
            Some(waits) if waits.held.stands() => Err(Refusal::holds(sight.describe_wait(side, &waits), held::ADVICE)),
            Some(waits) => Err(waits.not_yet(side)),
            None => Ok(expired),
        }
    }

    /// The criteria together. Those of which nothing can be told because of what expired, and is passed over, count from
    /// where the logs begin now: each is named, with the time that it was good before.
    fn judge_soak(&self, group: &str, passed: Option<&HeldGate>, now: At) -> (Gate, Vec<String>) {
        let (mut rows, mut excused) = (self.gate_rows(group, now), Vec::new());
        // Nothing is excused that was not passed over by its name.
        let untold = passed.map(|_| self.lacking_metrics(group, Lack::Expired, now)).unwrap_or_default();
        let rules = self.settings.groups.get(group).map(|g| g.criteria.rules.as_slice()).unwrap_or_default();
        for row in rows.iter_mut().filter(|row| row.judged && untold.contains(&row.metric)) {
            let Some(rule) = rules.iter().find(|rule| rule.metric == row.metric) else { continue };
            row.gate = match self.judge_from_log_start(group, rule, now) {
                Ok(is) => {
                    let (held, needed) = (format_duration(row.held_ms), format_duration(row.needed_ms));
                    excused.push(format!("{is}; before that it was good for {held} of {needed}"));
                    Gate::Pass
                }
                Err(gate) => gate,
            };
        }
        (combine_rows(&rows), excused)
    }

    /// The dialog: over a gate its words are typed.
    fn completion_dialog(
        &self,
        command: &Command,
        group: &str,
        passed: Option<HeldGate>,
        excused: Vec<String>,
        now: At,
    ) -> Prepared {
        let over = passed.as_ref().map(|held| format!("this passes over the gate {}: {}", held.gate, held.why));
        let warnings = over.into_iter().chain(excused).chain(self.describe_completion_costs(group)).collect();
        let level = passed
            .as_ref()
            .map_or(Level::Key, |held| Level::Typed(format!("complete {} {}", visible_name(group), held.phrase())));
        Prepared {
            level,
            warnings,
            way_back: self.describe_after_completion(group, now),
            facts: passed.as_ref().map(HeldGate::phrase).unwrap_or_default(),
            gates: passed.into_iter().collect(),
            ..plain_dialog(command, format!("Declare the soak of {} complete", visible_name(group)))
        }
    }

    /// Writes down that a soak is complete, and what was passed over for it.
    pub(in crate::migration) fn complete_soak(&mut self, group: &str, overrides: &[Override], actor: &Actor, now: At) {
        let run = self.state.groups.get(group).and_then(|g| g.moved);
        // Asked again: what was mended since the dialog was not passed over.
        let held = self.find_expired_gate(group, now);
        let said = held.and_then(|held| Some((overrides.iter().find(|o| o.gate == held.gate)?, held)));
        if let (Some(run), Some((over, held))) = (run, said) {
            let (by, reason) = (actor.to_string(), over.reason.clone());
            let passed = PassedOver { gate: held.gate, what: held.why, by, reason };
            self.emit(actor.clone(), Event::PassedOver { run, passed }, now);
        }
        self.emit(actor.clone(), Event::Completed { subject: Subject::Group(group.to_owned()) }, now);
    }

    /// What ends with a soak that is declared complete.
    fn describe_completion_costs(&self, group: &str) -> Vec<String> {
        let mut costs = vec![
            "ends the soak: its criteria are not judged any more, and the clocks of its evidence stop".to_owned(),
            format!(
                "{} counts as moved for good: whoever waits for that may stop dual writes and take blue away",
                visible_name(group)
            ),
        ];
        let triggers = self.settings.groups.get(group).map_or(&[][..], |g| &g.criteria.triggers);
        let names: Vec<&str> = triggers.iter().map(|t| t.name.as_str()).collect();
        if !names.is_empty() {
            costs.push(format!("nothing rolls it back by itself: not watched any more: {}", visible_names(names)));
        }
        costs
    }

    /// What is left of the way back after that.
    fn describe_after_completion(&self, group: &str, now: At) -> String {
        let left = match self.way_back(group, now) {
            WayBack::Exact => "now EXACT".to_owned(),
            WayBack::Bounded { re_read } => format!("now BOUNDED, {re_read} re-read"),
            WayBack::Closed { why } => format!("now CLOSED: {why}"),
            WayBack::Unknown { why } => format!("now UNKNOWN: {why}"),
        };
        format!(
            "none: there is no undo, a soak is not opened again. A rollback by hand stays as long as blue is kept ({left})"
        )
    }
}

//! What declaring a soak complete ends, and what of it can't be undone; and why it may not be declared.

use super::command::{Command, Level, Prepared, Refusal};
use super::estate::{At, Side};
use super::gate::{Gate, span};
use super::held;
use super::machine::Machine;
use super::prepare::plain;
use super::stage::{Stage, WayBack};
use crate::sanitise::visible_name;

impl Machine {
    pub(super) fn prepare_complete(&self, command: &Command, group: &str, now: At) -> Result<Prepared, Refusal> {
        self.sight(now).listed(group)?;
        self.nothing_under_way(group)?;
        if let Some((why, advice)) = self.state.groups.get(group).and_then(|g| g.alarm.clone()) {
            return Err(Refusal::holds(why, advice));
        }
        if !matches!(self.state.groups.get(group).map(|g| &g.rest), Some(Stage::Soaking { .. })) {
            return Err(Refusal::refused(format!("{group} is not soaking"), "only a soak can be completed"));
        }
        self.nothing_hidden(group, now)?;
        match self.soak_gate(group, now) {
            Gate::Pass => Ok(Prepared {
                level: Level::Key,
                warnings: self.costs_of_completing(group),
                way_back: self.after_completing(group, now),
                ..plain(command, format!("Declare the soak of {} complete", visible_name(group)))
            }),
            Gate::Hold { left_ms, why } => Err(Refusal::holds(format!("{why}, {} left", span(left_ms)), "wait")),
            Gate::Fail { why } => Err(Refusal::holds(why, "the time counts again from when that is good")),
            Gate::Unknown { why } => Err(Refusal::unknown(why, "wait for fresh samples")),
        }
    }

    /// Whatever the plan's criteria are: what a group has not read, and can't read, is no end of a soak.
    fn nothing_hidden(&self, group: &str, now: At) -> Result<(), Refusal> {
        let (sight, side) = (self.sight(now), Side::Green);
        let id = sight.id_on(group, side);
        if let Some(astray) = self.lag.astray(side, id) {
            let advice = "find out what happened to the log, and what of it was read; then let the group commit anew";
            return Err(Refusal::holds(astray.words(side), advice));
        }
        match sight.waits(group, side) {
            Some(waits) if waits.held.stands() => Err(Refusal::holds(sight.waits_words(side, &waits), held::ADVICE)),
            Some(waits) => Err(waits.not_yet(side)),
            None => Ok(()),
        }
    }

    /// What ends with a soak that is declared complete.
    fn costs_of_completing(&self, group: &str) -> Vec<String> {
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
            costs.push(format!("nothing rolls it back by itself: not watched any more: {}", names.join(", ")));
        }
        costs
    }

    /// What is left of the way back after that.
    fn after_completing(&self, group: &str, now: At) -> String {
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

//! What a move would cost, as measured: which gates hold, and which of them its confirmation passes over.

use std::collections::{BTreeMap, BTreeSet};

use super::counts;
use super::drain::committed_offsets;
use super::group;
use super::group::PreflightFacts;
use super::rollback::ESTIMATE_AGE_MS;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Cause, Observed, Side, TopicPartition};
use crate::migration::facts::command::{Command, Refusal};
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::{Accepted, GateName, HeldGate, Override};
use crate::migration::run::machine::Machine;
use crate::offsets::strategy::{Chosen, Strategy};
use crate::offsets::verdict::{GroupTranslation, Verdict};

impl Machine {
    /// The newest measurement by these strategies, and its age in ms.
    pub(in crate::migration) fn measured_with_age(
        &self,
        group: &str,
        to: Side,
        chosen: Option<&Chosen>,
        now: At,
    ) -> Option<(&GroupTranslation, u64)> {
        match self.latest_measurement(group, to, chosen)? {
            Observed::Known { value, at, .. } => Some((value, now.since(*at))),
            Observed::Absent { .. } => None,
        }
    }

    /// What the newest measurement says, as a warning or as its absence.
    pub(in crate::migration) fn add_measured(
        &self,
        command: &Command,
        group: &str,
        to: Side,
        passed: &[HeldGate],
        now: At,
        facts: &mut PreflightFacts,
    ) {
        let Some((plan, age)) = self.measured_with_age(group, to, command.chosen(), now) else {
            facts.warnings.push("not measured yet: the exact numbers come after the drain".into());
            return;
        };
        let limit = self.settings.groups.get(group).map(|g| g.max_re_read);
        let plan = &plan.without(&facts.left);
        let mut held = overrides::list_held_gates(plan, to, limit, false);
        held.retain(|h| !passed.iter().any(|p| p.gate == h.gate)); // those have a line of their own
        let over = |h: &&HeldGate| h.gate == GateName::ReRead;
        let bad =
            overrides::describe_impossible(plan, to).or_else(|| held.iter().find(|h| !over(h)).map(|h| h.why.clone()));
        // By its kind alone: numbers change with every measurement, and the dialog would never be confirmed.
        facts.digest.insert("measured", if bad.is_some() || !held.is_empty() { "bad" } else { "good" }.into());
        let moves = !matches!(command, Command::ResetOffsets { .. });
        match (bad, held.iter().find(over)) {
            (Some(why), _) => facts.warnings.push(format!("measured {} ago: {why}", format_duration(age))),
            (None, Some(h)) if moves => facts.warnings.push(format!(
                "measured {} ago: {}: it would be given back",
                format_duration(age),
                h.why.replace("would be re-read, the", "re-read, over the").replace("limit is", "limit")
            )),
            (None, Some(h)) => facts.warnings.push(format!("measured {} ago: {}", format_duration(age), h.why)),
            _ => {}
        }
    }

    /// The gates that a confirmation of this command passes over. An error names what holds and is not passed over.
    pub(in crate::migration) fn list_passed_gates(
        &self,
        command: &Command,
        group: &str,
        (kind, to): (RunKind, Side),
        facts: &PreflightFacts,
        now: At,
    ) -> Result<Vec<HeldGate>, Refusal> {
        let alone = kind == RunKind::ResetOffsets;
        check_reasons(command, alone)?;
        let mut plain = facts.gates.clone();
        for held in &plain {
            let worded = command.overrides().iter().find(|o| o.gate == held.gate);
            if worded.is_none() {
                return Err(Refusal::holds(held.why.clone(), held.advice()).with_gate(held.gate));
            }
        }
        plain.extend(self.list_passed_measured(command, group, (kind, to), facts, now)?);
        Ok(plain)
    }

    /// Those of a translation.
    fn list_passed_measured(
        &self,
        command: &Command,
        group: &str,
        (kind, to): (RunKind, Side),
        facts: &PreflightFacts,
        now: At,
    ) -> Result<Vec<HeldGate>, Refusal> {
        let alone = kind == RunKind::ResetOffsets;
        let (wanted, chosen) = (command.overrides(), command.chosen());
        // An older number is none that could be accepted: what it counts has grown since.
        let measured = self.measured_with_age(group, to, chosen, now).filter(|(_, age)| *age <= ESTIMATE_AGE_MS);
        let measured = measured.map(|(plan, age)| (plan.without(&facts.left), age));
        let Some((plan, age)) = measured.as_ref().map(|(plan, age)| (plan, *age)) else {
            // Without a measurement nobody knows whether such a gate holds at all, nor what it costs.
            if wanted.iter().any(|o| !o.gate.is_plain()) {
                return Err(self.refuse_unmeasured(group, to, chosen));
            }
            // A strategy that was asked for rests on no evidence, whatever a measurement will say.
            let guess = chosen.filter(|c| c.strategy.is_asked_for()).map(|c| {
                let why = format!("{} is a guess, and what it costs was not measured yet", c.strategy);
                HeldGate::new(GateName::Guess, None, why)
            });
            return Ok(guess.into_iter().collect());
        };
        if let Some(why) = overrides::describe_impossible(plan, to) {
            // A seam is reached by reading on.
            if plan.partitions.iter().any(|p| p.target.offset.is_none() && p.strategy == Strategy::Seam.into()) {
                return Err(Refusal::holds(
                    format!("measured {} ago: {why}", format_duration(age)),
                    "let it read on, then measure",
                ));
            }
            return Err(Refusal::refused(
                format!("measured {} ago: {why}", format_duration(age)),
                self.advise_impossible(plan, alone, now),
            ));
        }
        let limit = self.settings.groups.get(group).map(|g| g.max_re_read);
        let mut held = overrides::list_held_gates(plan, to, limit, false);
        // A move over its re-read limit is not refused here: what is counted after the drain decides, and gives it
        // back.
        held.retain(|h| alone || h.gate.for_moves());
        held.extend(self.find_newer_commit(group, to, plan, now));
        if wanted.iter().any(|o| o.gate == GateName::Unsettled) {
            let why = format!("records that have not arrived on {to} when it is translated may be lost");
            // What is typed is the most that may be; while there are none, nobody can name a number.
            let cost = Some(plan.count_unsettled()).filter(|n| *n > 0);
            held.push(HeldGate::new(GateName::Unsettled, cost, why));
        }
        let passed = |h: &&HeldGate| !alone && !wanted.iter().any(|o| o.gate == h.gate);
        match held.iter().find(passed) {
            None => Ok(held),
            Some(h) => {
                let refusal = Refusal::holds(format!("measured {} ago: {}", format_duration(age), h.why), h.advice());
                Err(if h.gate.for_moves() { refusal.with_gate(h.gate) } else { refusal })
            }
        }
    }

    /// What to do where a plan can't be committed whatever anybody accepts. `alone`: offsets are only set, and by which
    /// strategy is said with the command; a move goes by the plan's.
    pub(in crate::migration) fn advise_impossible(&self, plan: &GroupTranslation, alone: bool, now: At) -> String {
        let none = plan.partitions.iter().filter(|p| p.verdict == Verdict::Unmappable);
        let topics: BTreeSet<String> = none.map(|p| p.tp.topic.clone()).collect();
        let other = match alone {
            // Every other one is refused there: it would be advised in vain.
            _ if !counts::find_uneven(&self.rule_context(now), &topics).is_empty() => {
                ": where numbers of partitions differ only `align` maps offsets"
            }
            true => ", or choose another strategy (cutover offsets apply --strategy)",
            false => ", or give the group another strategy in the plan",
        };
        format!("look at the group's partitions and mend that{other}")
    }

    fn refuse_unmeasured(&self, group: &str, to: Side, chosen: Option<&Chosen>) -> Refusal {
        match self.latest_measurement(group, to, chosen) {
            Some(Observed::Absent { why } | Observed::Known { trouble: Some(why), .. })
                if !why.has_cause(Cause::NotYet) =>
            {
                let advice = if why.advice.is_empty() { "measure it again".to_owned() } else { why.advice.clone() };
                Refusal::unknown(format!("it could not be measured: {why}"), advice).lasting_as(why)
            }
            _ => Refusal::unknown(
                format!(
                    "{group} was not measured yet: what it would cost to pass over that is not known",
                    group = visible_name(group)
                ),
                "measure it first",
            ),
        }
    }

    /// A commit on the side to be set that is ahead of a plan, and that nobody wrote from here.
    fn find_newer_commit(&self, group: &str, to: Side, plan: &GroupTranslation, now: At) -> Option<HeldGate> {
        let sight = self.rule_context(now);
        let has = committed_offsets(sight.latest_look(group, to).and_then(|s| s.view));
        let offsets = plan.partitions.iter().filter_map(|p| Some((p.tp.clone(), p.target.offset?)));
        (!group::owns_offsets(&sight, group, to)).then(|| find_commits_ahead(group, to, &has, offsets)).flatten()
    }
}

/// What stands ahead of what shall be set.
pub(in crate::migration) fn find_commits_ahead(
    group: &str,
    to: Side,
    has: &BTreeMap<TopicPartition, i64>,
    offsets: impl Iterator<Item = (TopicPartition, i64)>,
) -> Option<HeldGate> {
    let newer = |(tp, wanted): (TopicPartition, i64)| {
        has.get(&tp).copied().filter(|has| *has > wanted).map(|has| (tp, has, wanted))
    };
    overrides::newer_commit_gate(group, to, &offsets.filter_map(newer).collect::<Vec<_>>())
}

/// Whether a command passes over this gate at most, and says why. `what` it is, in a word or two.
pub(in crate::migration) fn check_only_gate(gate: GateName, what: &str, command: &Command) -> Result<(), Refusal> {
    match command.overrides().iter().find(|o| o.gate != gate || o.reason.trim().is_empty()) {
        None => Ok(()),
        Some(o) if o.gate == gate => Err(Refusal::refused(
            format!("to pass over the gate {gate} needs a reason"),
            "say why, for the journal (--reason TEXT)",
        )),
        Some(o) => Err(Refusal::refused(
            format!("the gate {} is none of {what}", o.gate),
            format!("only {gate} can be passed over here"),
        )),
    }
}

/// Whoever passes over something, or chooses a strategy, says why.
pub(in crate::migration) fn check_reasons(command: &Command, alone: bool) -> Result<(), Refusal> {
    let silent = |reason: &str| reason.trim().is_empty();
    if let Some(o) = command.overrides().iter().find(|o| silent(&o.reason)) {
        return Err(Refusal::refused(
            format!("to pass over the gate {} needs a reason", o.gate),
            "say why, for the journal (--reason TEXT)",
        ));
    }
    if let Some(c) = command.chosen().filter(|c| alone && silent(&c.reason)) {
        return Err(Refusal::refused(
            format!("strategy {} instead of the plan's needs a reason", c.strategy),
            "say why, for the journal (--reason TEXT)",
        ));
    }
    let unseen = command.overrides().iter().any(|o| o.gate == GateName::Unseen);
    if unseen && !matches!(command, Command::RollBack { .. }) {
        let why = format!("the gate {} is a rollback's: nothing else goes without the other cluster", GateName::Unseen);
        return Err(Refusal::refused(why, "leave it out here"));
    }
    let (cuts, back) = (matches!(command, Command::CutOver { .. }), matches!(command, Command::RollBack { .. }));
    let not_here = |o: &Override| match o.gate {
        GateName::Window if !cuts => Some("is a cutover's: nothing else waits for one"),
        GateName::OpenTransaction if !back => Some("is a rollback's: a cutover waits for its end"),
        GateName::Expired => Some("is passed over when a soak is declared complete"),
        _ => None,
    };
    if let Some((gate, why)) = command.overrides().iter().find_map(|o| Some((o.gate, not_here(o)?))) {
        return Err(Refusal::refused(format!("the gate {gate} {why}"), "leave it out here"));
    }
    let may = |gate: GateName| if alone { gate.of_offsets() } else { gate.for_moves() };
    match command.overrides().iter().find(|o| !may(o.gate)) {
        None => Ok(()),
        Some(o) if !o.gate.of_offsets() => Err(Refusal::refused(
            format!("the gate {} is one of a producer's hard cutover", o.gate),
            "leave it out here",
        )),
        Some(o) => Err(Refusal::refused(
            format!("the gate {} can't be passed over by a move: over its limit it is given back", o.gate),
            "raise max_re_read in the plan, or wait for a quieter time",
        )),
    }
}

/// What a confirmation accepts: each gate with the most it may cost, and why.
pub(in crate::migration) fn list_accepted(command: &Command, gates: &[HeldGate]) -> Vec<Accepted> {
    let reason = |gate: GateName| {
        let of_gate = command.overrides().iter().find(|o| o.gate == gate).map(|o| &o.reason);
        // A reset by another strategy has one reason for both: the choice, and the guess that it is.
        of_gate.or(command.chosen().map(|c| &c.reason)).cloned().unwrap_or_default()
    };
    gates
        .iter()
        .map(|h| Accepted { gate: h.gate, at_most: h.cost, reason: reason(h.gate), names: h.names.clone() })
        .collect()
}

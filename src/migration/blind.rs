//! Going back to blue while green can't be seen: the group starts there where it is known to have been.
//!
//! Nothing of green can be proven now, so nothing of it is claimed. What is certain is that the group had processed, when
//! it left blue, everything below its offsets there; and, where the way back was measured since, everything below the
//! offsets that came out then. The higher of both is where it starts: nothing it has not processed lies below, what it
//! processed since is read again. Blue must hold what was written since, so producers must have written to it.

use std::collections::BTreeMap;

use super::command::{Command, Prepared, Refusal};
use super::cost;
use super::drain::committed;
use super::estate::{At, FlagState, PartitionView, Side, TopicPartition};
use super::event::{RunId, RunKind};
use super::gate::span;
use super::group::{self, Facts};
use super::machine::Machine;
use super::offset_steps::pass_over;
use super::overrides::{self, GateName, Held};
use super::runbook::FRESH_MS;
use super::sight::Sight;
use super::stage::Stage;
use super::state::Run;
use super::steps::{Next, fail};
use crate::offsets::verdict::{GroupPlan, PartitionPlan, SourcePosition, TargetPosition, Verdict};

/// The strategy's word in plans.
const STRATEGY: &str = "last-known";

/// Whether a run goes back without green.
#[must_use]
pub fn is_blind(run: &Run) -> bool {
    run.accepted.iter().any(|a| a.gate == GateName::Unseen)
}

/// Since when a group rests on green.
fn rests_since(sight: &Sight<'_>, group: &str) -> At {
    match sight.state.groups.get(group).map(|g| &g.rest) {
        Some(Stage::Soaking { since }) => *since,
        _ => At(i64::MAX),
    }
}

/// What is certain of one partition: the offset to start at on blue, and how that is known. `None`: nothing is.
fn last_known(on_blue: Option<i64>, measured: Option<(i64, u64)>) -> Option<(i64, String)> {
    match (on_blue, measured) {
        (Some(left), Some((offset, age))) if offset > left => Some((offset, format!("measured {} ago", span(age)))),
        (Some(left), _) => Some((left, "its own commit, from before it left".to_owned())),
        (None, Some((offset, age))) => Some((offset, format!("measured {} ago", span(age)))),
        (None, None) => None,
    }
}

/// One partition's place, from what blue's log says now.
fn place(tp: &TopicPartition, log: &PartitionView, known: Option<(i64, String)>, at: At) -> PartitionPlan {
    let none = |why: &str| PartitionPlan::unmappable(tp.clone(), STRATEGY, why, at);
    let (Some(log_start), Some(end)) = (log.log_start, log.lso) else {
        return none("the ends of its log on blue are not known now");
    };
    // Nothing was ever there: nothing to read again, and nothing to lose.
    let known = known.or_else(|| (log_start == end).then(|| (end, "its log on blue is empty".to_owned())));
    let Some((offset, evidence)) = known else {
        return none("the group has no offset there on blue, and none was measured");
    };
    let start = offset.clamp(log_start, end.max(log_start));
    PartitionPlan {
        source: SourcePosition::default(),
        target: TargetPosition { offset: Some(start), log_start, end },
        verdict: Verdict::Bounded,
        re_read: Some(end.saturating_sub(start).max(0).unsigned_abs()),
        missing: Some(log_start.saturating_sub(offset).max(0).unsigned_abs()),
        evidence,
        why: Some("green can't be seen: how far it came there is not known".to_owned()),
        ..none("")
    }
}

impl Machine {
    /// Whether a rollback of a group goes without green: only where green can't be seen, and only when that was said.
    pub(super) fn goes_blind(&self, command: &Command, group: &str, now: At) -> Result<bool, Refusal> {
        let said = command.overrides().iter().any(|o| o.gate == GateName::Unseen);
        let sight = self.sight(now);
        match (sight.fresh(Side::Green).and_then(|_| sight.fresh_group(group, Side::Green)), said) {
            (Ok(_), false) => Ok(false),
            (Ok(_), true) => Err(Refusal::refused(
                "green can be seen: the way back is translated and proven",
                "leave that override out",
            )),
            (Err(_), true) => Ok(true),
            (Err(r), false) if r.exit_code == 4 => {
                let advice = format!(
                    "{}; or go back without it, to where {group} last stood for certain: --override {} --reason TEXT",
                    r.advice,
                    GateName::Unseen
                );
                Err(Refusal { advice, ..r }.of(GateName::Unseen))
            }
            (Err(r), false) => Err(r),
        }
    }

    /// The newest measurement of the way back that still bounds where the group is: since it rests on green, and since
    /// nobody set its offsets there.
    fn measured_since(&self, group: &str, now: At) -> BTreeMap<TopicPartition, (i64, u64)> {
        let sight = self.sight(now);
        let set = |r: &Run| r.kind == RunKind::ResetOffsets && r.group() == Some(group) && !r.dry_run;
        let since = self.state.runs.values().filter(|r| set(r)).map(|r| r.ended.as_ref().map_or(now, |e| e.1));
        let since = since.chain([rests_since(&sight, group)]).max().unwrap_or(At(i64::MAX));
        let Some((plan, _)) = self.measured(group, Side::Blue, None, now) else { return BTreeMap::new() };
        let sound = |p: &&PartitionPlan| matches!(p.verdict, Verdict::Proven | Verdict::Bounded) && p.at > since;
        let place = |p: &PartitionPlan| Some((p.tp.clone(), (p.target.offset?, now.since(p.at))));
        plan.partitions.iter().filter(sound).filter_map(place).collect()
    }

    /// Where a group starts on blue when nothing of green is known now.
    fn recalled(&self, group: &str, now: At) -> Result<GroupPlan, Refusal> {
        let sight = self.sight(now);
        let blue = sight.fresh(Side::Blue)?;
        let id = sight.id_on(group, Side::Blue);
        let Some(view) = sight.fresh_group(group, Side::Blue)? else {
            return Err(Refusal::refused(
                format!("group {id} does not exist on blue any more, and its offsets with it"),
                "set its offsets there by hand (kafka-consumer-groups --reset-offsets), then start it there",
            ));
        };
        let (stood, measured) = (committed(Some(view)), self.measured_since(group, now));
        let topics = group::topics(&sight, group, Side::Blue);
        let mut partitions = Vec::new();
        for topic in &topics {
            let Some(log) = blue.topics.get(topic) else {
                return Err(Refusal::refused(format!("topic {topic} does not exist on blue"), "create it there"));
            };
            for (n, log) in log.partitions.iter().enumerate() {
                let tp = TopicPartition::new(topic.clone(), i32::try_from(n).unwrap_or(i32::MAX));
                let known = last_known(stood.get(&tp).copied(), measured.get(&tp).copied());
                partitions.push(place(&tp, log, known, now));
            }
        }
        if partitions.is_empty() {
            let why = format!("which topics {group} reads is not known");
            return Err(Refusal::unknown(why, "list its topics in the plan"));
        }
        let plan = GroupPlan::new(partitions);
        match overrides::impossible(&plan, Side::Blue) {
            Some(why) => Err(Refusal::refused(why, "set that offset on blue by hand, then try again")),
            None => Ok(plan),
        }
    }

    /// What a confirmation of it passes over.
    fn blind_gates(&self, group: &str, plan: &GroupPlan) -> Vec<Held> {
        let again = plan.totals.re_read.unwrap_or_default();
        let mut all: Vec<Held> = overrides::held(plan, Side::Blue, None, false)
            .into_iter()
            .filter(|h| h.gate == GateName::Missing)
            .collect();
        let why = format!("green can't be seen: {group} starts where it last stood for certain, {again} records back");
        // No number is typed for it: it grows while the dialog is read.
        all.push(Held { gate: GateName::Unseen, cost: None, why });
        all
    }

    /// The dialog's facts of a rollback without green.
    pub(super) fn prepare_blind(
        &self,
        command: &Command,
        group: &str,
        kind: RunKind,
        now: At,
    ) -> Result<Prepared, Refusal> {
        cost::reasons(command, false)?;
        self.moves_alone(group, kind)?;
        let sight = self.sight(now);
        let mut facts = blind_facts(&sight, group)?;
        let plan = self.recalled(group, now)?;
        let gates = self.blind_gates(group, &plan);
        let named = |h: &&Held| !command.overrides().iter().any(|o| o.gate == h.gate);
        if let Some(h) = gates.iter().find(named) {
            return Err(Refusal::holds(h.why.clone(), h.advice()).of(h.gate));
        }
        let old = |p: &&PartitionPlan| p.evidence.starts_with("measured");
        let measured = plan.partitions.iter().filter(old).count();
        facts.warnings.push(format!(
            "whether it still runs on green can't be seen: its switch is set to off, and then nobody looks; {measured} of {} \
             partitions start where the way back was last measured, the others where the group left blue",
            plan.partitions.len()
        ));
        self.move_as_prepared(command, group, (kind, Side::Blue), gates, facts, now)
    }

    /// The step that takes the last known offsets.
    pub(super) fn recall(&mut self, id: RunId, now: At) -> Next {
        let run = &self.state.runs[&id];
        let Some(group) = run.group().map(str::to_owned) else { return fail("no group", "") };
        let until = self.since(id).plus(FRESH_MS);
        let plan = match self.recalled(&group, now) {
            Ok(plan) => plan,
            Err(r) if r.exit_code == 4 && now < until => return Next::Wait(r.why, Some(until)),
            Err(r) => return Next::Help(r.why, r.advice),
        };
        let mut passed = Vec::new();
        for held in self.blind_gates(&group, &plan) {
            match pass_over(&self.state.runs[&id], held) {
                Ok(one) => passed.push(one),
                Err((why, advice)) => return Next::Help(why, advice),
            }
        }
        self.predicted(id, Side::Blue, plan, passed, now);
        Next::Done
    }
}

/// The facts that must hold, and that can be known without green.
pub(super) fn blind_facts(sight: &Sight<'_>, group: &str) -> Result<Facts, Refusal> {
    let settings = sight.listed(group)?;
    let mut facts = Facts::default();
    sight.identities()?;
    let id = sight.fresh(Side::Blue)?.cluster_id.clone().unwrap_or_default();
    facts.digest.insert("blue cluster", id);
    group::target(sight, group, RunKind::RollBack, Side::Blue, &mut facts)?;
    group::switch(sight, group, settings, Side::Green, &mut facts)?;
    group::producers(sight, group, Side::Blue, &mut facts)?;
    facts.warnings.extend(away(sight, group));
    Ok(facts)
}

/// Producers that wrote to green alone for a while since the group came there: that can't be counted now.
fn away(sight: &Sight<'_>, group: &str) -> Vec<String> {
    let since = rests_since(sight, group);
    let topics = group::topics(sight, group, Side::Blue);
    let routed = sight.state.runs.values().filter(|r| !r.dry_run && r.started >= since);
    let to_green = routed.filter_map(|r| match &r.command {
        Command::Route { producer, to: FlagState::Green } => Some(producer),
        _ => None,
    });
    let of_topics = to_green.filter(|name| {
        sight.settings.producers.get(*name).is_some_and(|p| p.topics.iter().any(|t| topics.contains(t)))
    });
    of_topics.map(|p| format!("{p} wrote to green alone for a while: what it wrote then is not on blue")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_of_what_is_certain_is_where_it_starts() {
        let offset = |blue, measured| last_known(blue, measured).map(|(o, _)| o);
        assert_eq!(offset(Some(7), None), Some(7));
        assert_eq!(offset(Some(7), Some((9, 1000))), Some(9));
        assert_eq!(offset(Some(7), Some((5, 1000))), Some(7), "what it committed itself was processed");
        assert_eq!(offset(None, Some((5, 1000))), Some(5));
        assert_eq!(offset(None, None), None);
    }

    #[test]
    fn what_expired_meanwhile_is_missing_and_an_empty_log_has_one_place() {
        let tp = TopicPartition::new("t", 0);
        let log = |start, end| PartitionView { log_start: Some(start), lso: Some(end), ..PartitionView::default() };
        let at = |log: &PartitionView, offset: Option<i64>| place(&tp, log, offset.map(|o| (o, String::new())), At(0));
        let told = |p: &PartitionPlan| (p.target.offset, p.re_read, p.missing);
        assert_eq!(told(&at(&log(0, 100), Some(40))), (Some(40), Some(60), Some(0)));
        assert_eq!(told(&at(&log(50, 100), Some(40))), (Some(50), Some(50), Some(10)));
        assert_eq!(told(&at(&log(5, 5), None)), (Some(5), Some(0), Some(0)));
        assert_eq!(at(&log(0, 100), None).verdict, Verdict::Unmappable);
        assert_eq!(at(&PartitionView::default(), Some(3)).verdict, Verdict::Unmappable, "unknown is no end");
    }
}

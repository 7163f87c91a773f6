//! Going back to blue while green can't be seen: the group starts there where it stood when it left.
//!
//! Nothing of green can be proven now, so nothing of it is claimed. What is certain is the drain that was proven when the
//! group left blue: everything below it was processed there. What is committed on blue now counts only where it is lower:
//! somebody may have set it ahead meanwhile. What a measurement of the way back once said is left aside: records that only
//! blue holds, or that were missing then, are not in it. All that was processed since is read again, and blue must hold it,
//! so producers must have written to it.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Machine;
use super::offset_steps::pass_over;
use super::runbook::FRESH_MS;
use super::steps::{StepProgress, fail_step};
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{At, Cause, Observed, Side, TopicPartition};
use crate::estate::PartitionView;
use crate::migration::facts::command::{Command, Prepared, Refusal};
use crate::migration::facts::event::{RunId, RunKind};
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::{GateName, HeldGate};
use crate::migration::facts::stage::Stage;
use crate::migration::facts::state::Run;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::cost;
use crate::migration::rules::drain::committed_offsets;
use crate::migration::rules::group;
use crate::migration::rules::group::PreflightFacts;
use crate::migration::rules::writers;
use crate::offsets::strategy::TranslatedBy;
use crate::offsets::verdict::{GroupTranslation, PartitionPlan, SourcePosition, TargetPosition, Verdict};

/// Whether a run goes back without green.
#[must_use]
pub(crate) fn is_blind(run: &Run) -> bool {
    run.accepted.iter().any(|a| a.gate == GateName::Unseen)
}

/// Since when a group soaks on green; as long as anybody knows where it does not.
fn rests_since(sight: &RuleContext<'_>, group: &str) -> At {
    match sight.state.groups.get(group).map(|g| &g.rest) {
        Some(Stage::Soaking { since }) => *since,
        _ => At(i64::MIN),
    }
}

/// One partition's place: `left` is where it stood when it was drained on blue, `has` what is committed there now.
///
/// # Errors
/// What of the log on blue is not known now, without which nothing can be said.
fn plan_partition(
    tp: &TopicPartition,
    log: &PartitionView,
    left: Option<i64>,
    has: Option<i64>,
    at: At,
) -> Result<PartitionPlan, String> {
    let none = |why: &str| PartitionPlan::unmappable(tp.clone(), TranslatedBy::LastKnown, why, at);
    let (Some(log_start), Some(stable)) = (log.log_start, log.lso) else {
        return Err(format!("the ends of {tp} on blue are not known now"));
    };
    let (known, evidence) = match (left, has) {
        (Some(left), Some(has)) => (Some(left.min(has)), "where it stood when it left blue"),
        (None, Some(has)) => (Some(has), "its own commit there"),
        // Without a commit of its own it may be another log by now: nothing lies below the beginning of any.
        (_, None) => (None, "the beginning of its log"),
    };
    // Each end is asked for by itself. Where the log ends is the high watermark's to say: what an open transaction holds
    // lies beyond the last stable offset, and may be read again, too.
    let high = log.high_watermark.map(|high| high.max(stable));
    match (known.filter(|o| *o > high.unwrap_or(stable)), high) {
        (Some(beyond), Some(high)) => {
            let why = format!("it stood at {beyond}, and the log on blue ends at {high}: it is another log by now");
            return Ok(none(&why));
        }
        (Some(beyond), None) => {
            return Err(format!("{tp} stood at {beyond}, and where its log on blue ends is not known now"));
        }
        (None, _) => {}
    }
    // What lies below has expired: it can't be read again, and counts as missing instead.
    let start = known.unwrap_or(log_start).max(log_start);
    Ok(PartitionPlan {
        source: SourcePosition::default(),
        // A start between the last stable offset and the high watermark lies within the log: an end below it would say
        // otherwise.
        target: TargetPosition { offset: Some(start), log_start, end: stable.max(start) },
        verdict: Verdict::Bounded,
        re_read: high.map(|high| high.saturating_sub(start).max(0).unsigned_abs()),
        missing: match known {
            Some(known) => Some(log_start.saturating_sub(known).max(0).unsigned_abs()),
            // What expired of a log whose place in it is not known may have been owed.
            None => (log_start == 0).then_some(0),
        },
        evidence: evidence.to_owned(),
        why: Some("green can't be seen: how far it came there is not known".to_owned()),
        ..none("")
    })
}

impl Machine {
    /// Whether a rollback of a group goes without green: only where green can't be seen, and only when that was said.
    pub(in crate::migration) fn goes_blind(&self, command: &Command, group: &str, now: At) -> Result<bool, Refusal> {
        let said = command.overrides().iter().any(|o| o.gate == GateName::Unseen);
        let sight = self.rule_context(now);
        // Nobody has looked yet: that says nothing of green.
        if matches!(sight.estate.side(Side::Green), Observed::Absent { why } if why.has_cause(Cause::NotYet)) {
            return sight.fresh_cluster(Side::Green).map(|_| false);
        }
        let green = sight
            .fresh_cluster(Side::Green)
            .map(|_| sight.latest_look(group, Side::Green).is_some_and(|s| s.view.is_none()));
        match (green, said) {
            // It was deleted there: nothing of it can be proven either.
            (Ok(gone), _) if gone == said => Ok(said),
            (Ok(_), false) => Ok(false),
            (Ok(_), true) => Err(Refusal::refused(
                "green can be seen: the way back is translated and proven",
                "leave that override out",
            )),
            (Err(_), true) => Ok(true),
            (Err(r), false) if r.is_unknown() => {
                let advice = format!(
                    "{}; or go back without it, to where {group} last stood for certain: --override {} --reason TEXT",
                    r.advice,
                    GateName::Unseen,
                    group = visible_name(group)
                );
                Err(Refusal { advice, ..r }.with_gate(GateName::Unseen))
            }
            (Err(r), false) => Err(r),
        }
    }

    /// Where a group starts on blue when nothing of green is known now.
    fn recall_plan(&self, group: &str, now: At) -> Result<GroupTranslation, Refusal> {
        let sight = self.rule_context(now);
        let blue = sight.fresh_cluster(Side::Blue)?;
        // A drain on green says nothing of where it stood on blue.
        let drained = sight.state.groups.get(group).and_then(|g| g.drained.as_ref()).filter(|p| p.side == Side::Blue);
        let left: BTreeMap<_, _> = drained.iter().flat_map(|p| p.committed.iter().cloned()).collect();
        let Some(view) = sight.fresh_group(group, Side::Blue)? else {
            let id = sight.id_on(group, Side::Blue);
            let stood: Vec<String> = left.iter().map(|(tp, o)| format!("{tp} {o}")).collect();
            return Err(Refusal::refused(
                format!("group {id} does not exist on blue any more, and its offsets with it", id = visible_name(id)),
                format!(
                    "set its offsets there (kafka-consumer-groups --reset-offsets), and try again; when it left it stood at {}",
                    if stood.is_empty() { "a place that the journal does not know".into() } else { stood.join(", ") }
                ),
            ));
        };
        let has = committed_offsets(Some(view));
        let mut partitions = Vec::new();
        for topic in &seen_topics(&sight, group) {
            let Some(log) = blue.topics.get(topic) else {
                return Err(sight.refuse_missing_topic(topic, Side::Blue, "create it there"));
            };
            for (n, log) in log.partitions.iter().enumerate() {
                let tp = TopicPartition::new(topic.clone(), i32::try_from(n).unwrap_or(i32::MAX));
                // A partition without a row would be left to auto.offset.reset, so each that blue has gets one.
                let place = plan_partition(&tp, log, left.get(&tp).copied(), has.get(&tp).copied(), now);
                partitions.push(place.map_err(|why| Refusal::unknown(why, "wait until its leader on blue answers"))?);
            }
        }
        if partitions.is_empty() {
            let why = format!("which topics {group} reads is not known", group = visible_name(group));
            return Err(Refusal::unknown(why, "list its topics in the plan"));
        }
        let plan = GroupTranslation::new(partitions);
        match overrides::describe_impossible(&plan, Side::Blue) {
            Some(why) => Err(Refusal::refused(why, "set that offset on blue by hand, then try again")),
            None => Ok(plan),
        }
    }

    /// What a confirmation of it passes over.
    fn blind_gates(&self, group: &str, plan: &GroupTranslation, now: At) -> Vec<HeldGate> {
        let of_loss = |h: &HeldGate| matches!(h.gate, GateName::Missing | GateName::Guess);
        // Without a limit: all since it left blue is read again, which `unseen` says and no number bounds.
        let mut all: Vec<HeldGate> =
            overrides::list_held_gates(plan, Side::Blue, None, false).into_iter().filter(of_loss).collect();
        let unknown = describe_uncounted(&self.rule_context(now), group);
        if let Some(why) = unknown.filter(|_| all.iter().all(|h| h.gate != GateName::Guess)) {
            all.push(HeldGate::new(GateName::Guess, None, why));
        }
        let back = match plan.totals.re_read {
            Some(again) => format!("{again} records back"),
            None => "and how many records back can't be told: where a log on blue ends is not known now".to_owned(),
        };
        let why = format!(
            "green can't be seen: {group} starts where it stood when it left blue, {back}",
            group = visible_name(group)
        );
        // No number is typed for it: it grows while the dialog is read.
        all.push(HeldGate::new(GateName::Unseen, None, why));
        all
    }

    /// The dialog's facts of a rollback without green.
    pub(in crate::migration) fn prepare_blind(
        &self,
        command: &Command,
        group: &str,
        kind: RunKind,
        now: At,
    ) -> Result<Prepared, Refusal> {
        cost::check_reasons(command, false)?;
        self.check_moves_alone(group, kind)?;
        let sight = self.rule_context(now);
        let mut facts = blind_facts(&sight, group)?;
        let plan = self.recall_plan(group, now)?;
        let gates = self.blind_gates(group, &plan, now);
        let named = |h: &&HeldGate| !command.overrides().iter().any(|o| o.gate == h.gate);
        if let Some(h) = gates.iter().find(named) {
            return Err(Refusal::holds(h.why.clone(), h.advice()).with_gate(h.gate));
        }
        facts.warnings.push(
            "whether it still runs on green can't be seen: its switch is set to off, and nobody can look whether it obeys; \
             what it does there after that is done twice"
                .to_owned(),
        );
        self.move_as_prepared(command, group, (kind, Side::Blue), gates, facts, now)
    }

    /// The step that takes the last known offsets.
    pub(in crate::migration) fn recall_offsets(&mut self, id: RunId, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let Some(group) = run.group().map(str::to_owned) else { return fail_step("no group", "") };
        let until = self.step_since(id).plus(FRESH_MS);
        let plan = match self.recall_plan(&group, now) {
            Ok(plan) => plan,
            Err(r) if r.is_unknown() && now < until => return StepProgress::Wait(r.why, Some(until)),
            Err(r) => return StepProgress::Help(r.why, r.advice),
        };
        let mut passed = Vec::new();
        // Counted anew: more may have expired since the dialog, and what was accepted then is the most that may be
        // lost.
        for held in self.blind_gates(&group, &plan, now) {
            match pass_over(&self.state.runs[&id], held) {
                Ok(one) => passed.push(one),
                Err((why, advice)) => return StepProgress::Help(why, advice),
            }
        }
        self.record_prediction(id, Side::Blue, plan, passed, now);
        StepProgress::Done
    }
}

/// The facts that must hold, and that can be known without green.
pub(in crate::migration) fn blind_facts(sight: &RuleContext<'_>, group: &str) -> Result<PreflightFacts, Refusal> {
    let settings = sight.plan_entry(group)?;
    let mut facts = PreflightFacts::default();
    // Green is held to its pin by what was last seen of it: a wrong cluster is refused, and not passed over as unseen.
    sight.check_identities()?;
    let id = visible_name(sight.fresh_cluster(Side::Blue)?.cluster_id.as_deref().unwrap_or_default());
    facts.digest.insert("blue cluster", id);
    group::check_target(sight, group, RunKind::RollBack, Side::Blue, &mut facts)?;
    group::check_switch(sight, group, settings, Side::Green, &mut facts)?;
    writers::check_producers(sight, group, Side::Blue, &seen_topics(sight, group), &mut facts)?;
    let unseen = unseen_topics(sight, group);
    if !unseen.is_empty() {
        facts.warnings.push(format!(
            "{group} also read {}, which can't be seen on blue now: it starts there where it stood, or by auto.offset.reset",
            visible_names(&unseen), group = visible_name(group)
        ));
    }
    Ok(facts)
}

/// What a group reads as far as anybody knows: a topic that came while it was on green is one of them. What was only
/// remembered, and can't be seen now, shuts no way back: [`unseen_topics`] names it.
pub(in crate::migration) fn seen_topics(sight: &RuleContext<'_>, group: &str) -> BTreeSet<String> {
    let mut all = known_topics(sight, group);
    all.retain(|t| is_seen(sight, group, t));
    all
}

/// Topics that a group was known to read, and that nobody can see now.
fn unseen_topics(sight: &RuleContext<'_>, group: &str) -> Vec<String> {
    known_topics(sight, group).into_iter().filter(|t| !is_seen(sight, group, t)).collect()
}

fn known_topics(sight: &RuleContext<'_>, group: &str) -> BTreeSet<String> {
    let of = |side| group::topics_read(sight, group, side);
    of(Side::Blue).union(&of(Side::Green)).cloned().collect()
}

/// Whether a topic is on blue, or is one that blue would have to have: the plan lists it, or the group read it on green.
fn is_seen(sight: &RuleContext<'_>, group: &str, topic: &str) -> bool {
    let listed = sight.settings.groups.get(group).is_some_and(|g| g.topics.iter().any(|t| t == topic));
    let read = || sight.state.groups.get(group).and_then(|g| g.reads.get(&Side::Green));
    let on_green = match sight.estate.side(Side::Green).value() {
        Some(view) => view.topics.contains_key(topic),
        None => read().is_some_and(|r| r.topics.contains(topic)),
    };
    let on_blue = sight.estate.side(Side::Blue).value().is_some_and(|v| v.topics.contains_key(topic));
    listed || on_green || on_blue
}

/// Why records may be on green alone, or topics be unknown: what can't be counted without it.
fn describe_uncounted(sight: &RuleContext<'_>, group: &str) -> Option<String> {
    let (since, topics) = (rests_since(sight, group), seen_topics(sight, group));
    let alone = |(name, state): (&String, &crate::migration::facts::state::ProducerState)| {
        let writes = sight.settings.producers.get(name).is_some_and(|p| p.topics.iter().any(|t| topics.contains(t)));
        let at = state.green_alone.filter(|at| writes && *at >= since)?;
        let ago = format_duration(sight.now.since(at));
        Some(format!(
            "{name} was set to write to green alone {ago} ago: what it wrote then is not on blue",
            name = visible_name(name)
        ))
    };
    let lists = sight.settings.groups.get(group).is_some_and(|g| !g.topics.is_empty());
    let unlisted = || {
        let seen = sight.latest_look(group, Side::Green).is_some();
        (!lists && !seen).then(|| {
            format!(
                "the plan lists no topics of {group}, and what it read on green is not known",
                group = visible_name(group)
            )
        })
    };
    sight.state.producers.iter().find_map(alone).or_else(unlisted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where it starts, what is read again, and what is missing; or what is not known.
    type Told = Result<(Option<i64>, Option<u64>, Option<u64>), String>;

    fn told(log: &PartitionView, left: Option<i64>, has: Option<i64>) -> Told {
        let p = plan_partition(&TopicPartition::new("t", 0), log, left, has, At(0))?;
        Ok((p.target.offset, p.re_read, p.missing))
    }

    fn log(start: i64, stable: i64, high: Option<i64>) -> PartitionView {
        PartitionView { log_start: Some(start), lso: Some(stable), high_watermark: high, ..PartitionView::default() }
    }

    #[test]
    fn it_starts_where_it_was_drained_and_never_ahead_of_that() {
        let whole = |start, end| log(start, end, Some(end));
        let is = |offset, re_read, missing| Ok((Some(offset), Some(re_read), missing));
        assert_eq!(told(&whole(0, 100), Some(40), Some(40)), is(40, 60, Some(0)));
        assert_eq!(told(&whole(0, 100), Some(40), Some(90)), is(40, 60, Some(0)), "set ahead by hand");
        assert_eq!(told(&whole(0, 100), Some(40), Some(30)), is(30, 70, Some(0)));
        assert_eq!(told(&whole(50, 100), Some(40), Some(40)), is(50, 50, Some(10)), "expired");
        assert_eq!(told(&whole(0, 100), Some(40), None), is(0, 100, Some(0)), "it may be another log");
        assert_eq!(told(&whole(7, 100), None, None), is(7, 93, None), "what expired may have been owed");
        let other = plan_partition(&TopicPartition::new("t", 0), &whole(0, 30), Some(40), Some(40), At(0)).unwrap();
        assert_eq!(other.verdict, Verdict::Unmappable, "it is another log");
        assert!(told(&PartitionView::default(), Some(3), Some(3)).is_err(), "unknown is no end");
    }

    #[test]
    fn how_much_is_read_again_is_not_known_where_the_high_watermark_is_not() {
        assert_eq!(told(&log(0, 60, Some(100)), Some(40), Some(40)), Ok((Some(40), Some(60), Some(0))));
        assert_eq!(told(&log(0, 60, None), Some(40), Some(40)), Ok((Some(40), None, Some(0))), "20 may be too few");
        assert!(told(&log(0, 60, None), Some(70), Some(70)).is_err(), "it may lie behind an open transaction");
        assert_eq!(told(&log(0, 60, Some(100)), Some(70), Some(70)), Ok((Some(70), Some(30), Some(0))));
        let plan = |high| {
            let tp = TopicPartition::new("t", 0);
            GroupTranslation::new(vec![plan_partition(&tp, &log(0, 60, high), Some(40), Some(40), At(0)).unwrap()])
        };
        assert_eq!((plan(Some(100)).totals.re_read, plan(None).totals.re_read), (Some(60), None));
    }
}

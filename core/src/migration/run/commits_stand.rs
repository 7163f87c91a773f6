//! Right before a group is started on a side: what was committed there still stands.

use std::collections::{BTreeMap, BTreeSet};

use super::green_unseen as blind;
use super::green_unseen::is_blind;
use super::machine::Machine;
use super::runbook::FRESH_MS;
use super::steps::{StepProgress, fail_step};
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, TopicPartition};
use crate::estate::{ClusterView, GroupObservation};
use crate::migration::facts::event::RunId;
use crate::migration::rules::drain::committed_offsets;
use crate::migration::rules::group;
use crate::offsets::verdict::{GroupTranslation, PartitionPlan};

/// What a start rests on.
struct StartGrounds<'a> {
    /// The group.
    name: &'a str,
    /// Where it starts.
    side: Side,
    /// What was committed there.
    plan: &'a GroupTranslation,
    /// The same by partition.
    planned: BTreeMap<&'a TopicPartition, &'a PartitionPlan>,
    /// Ids of the topics that it was translated for.
    topic_ids: &'a BTreeMap<String, String>,
    /// The topics that it reads.
    topics: BTreeSet<String>,
    /// The group where it starts, as seen since the step began.
    seen: GroupObservation<'a>,
    /// The side where it starts.
    there: &'a ClusterView,
    /// When that was seen.
    looked: At,
    /// The side that it leaves; `None` where the run goes without it.
    here: Option<&'a ClusterView>,
}

impl Machine {
    /// Right before the group is started on a side: what was committed there stands, lies within the logs, and leaves
    /// no partition to `auto.offset.reset`. Topics and commits may have been changed since the translation, by anybody.
    pub(super) fn check_commits_stand(&self, id: RunId, name: &str, side: Side, now: At) -> Result<(), StepProgress> {
        let grounds = self.gather_start_grounds(id, name, side, now)?;
        grounds.check_no_partition_added()?;
        grounds.check_topics_same()?;
        grounds.check_within_logs()?;
        grounds.check_commits_unmoved()
    }

    /// What the start rests on, freshly seen; or what to do meanwhile.
    fn gather_start_grounds<'a>(
        &'a self,
        id: RunId,
        name: &'a str,
        side: Side,
        now: At,
    ) -> Result<StartGrounds<'a>, StepProgress> {
        let run = &self.state.runs[&id];
        let Some(plan) = &run.predicted else {
            return Err(fail_step("no prediction to start from", ""));
        };
        let (sight, since) = (self.rule_context(now), self.step_since(id));
        let seen =
            sight.latest_look(name, side).filter(|s| s.at >= since && s.view.is_none_or(|v| v.trouble.is_none()));
        // Nothing of the other side is waited for where the run goes without it.
        let blind = is_blind(run);
        let here = match blind {
            true => Ok(None),
            false => sight.fresh_cluster(side.other()).map(Some),
        };
        let (Some(seen), Ok(there), Ok(here)) = (seen, sight.fresh_cluster(side), here) else {
            let until = since.plus(FRESH_MS);
            let words = format!("a fresh look at {name} on {side}", name = visible_name(name));
            return Err(match now < until {
                true => StepProgress::Wait(format!("waiting for {words}"), Some(until)),
                false => fail_step(
                    format!("no {words} for {}", format_duration(FRESH_MS)),
                    "see whether both clusters answer",
                ),
            });
        };
        let topics = match blind {
            true => blind::seen_topics(&sight, name),
            false => self.topics_of_run(id, name, side.other(), now),
        };
        let looked = match self.estate.side(side) {
            Observed::Known { at, .. } => *at,
            Observed::Absent { .. } => At(i64::MIN),
        };
        let planned = plan.partitions.iter().map(|p| (&p.tp, p)).collect();
        let topic_ids = &run.topic_ids;
        Ok(StartGrounds { name, side, plan, planned, topic_ids, topics, seen, there, looked, here })
    }
}

impl StartGrounds<'_> {
    /// Every partition that either side has now was translated.
    fn check_no_partition_added(&self) -> Result<(), StepProgress> {
        // On either side for itself: where counts differ, a row may speak of one of them alone.
        let added = |view: &ClusterView, planned: BTreeSet<&TopicPartition>| {
            group::list_partitions(view, &self.topics).into_iter().find(|tp| !planned.contains(tp))
        };
        let on_source = || added(self.here?, self.plan.source_partitions());
        match added(self.there, self.plan.target_partitions()).or_else(on_source) {
            None => Ok(()),
            Some(tp) => Err(fail_step(
                format!(
                    "{tp} was not there when {name} was translated: it would start there by auto.offset.reset",
                    name = visible_name(self.name)
                ),
                "measure again",
            )),
        }
    }

    /// Each topic is the one that the group was translated for.
    fn check_topics_same(&self) -> Result<(), StepProgress> {
        let id_there = |topic: &String| self.there.topics.get(topic).and_then(|t| t.id.as_ref());
        let recreated = self.topic_ids.iter().find(|(topic, id)| id_there(topic).is_some_and(|seen| seen != *id));
        match recreated {
            None => Ok(()),
            Some((topic, _)) => Err(fail_step(
                format!(
                    "topic {topic} on {side} is another one than {name} was translated for: it was deleted and created again",
                    side = self.side,
                    topic = visible_name(topic),
                    name = visible_name(self.name)
                ),
                "find out who did that; what was committed means nothing in the new log, so measure again",
            )),
        }
    }

    /// Each offset lies within its log, as far as the newest look can tell.
    fn check_within_logs(&self) -> Result<(), StepProgress> {
        let side = self.side;
        for (tp, p) in self.planned.iter().filter(|(_, p)| !p.is_source_only()) {
            let topic = self.there.topics.get(&tp.topic);
            let log = topic.and_then(|t| t.partitions.get(usize::try_from(tp.partition).ok()?));
            let (Some(log), Some(offset)) = (log, p.target.offset) else {
                return Err(fail_step(format!("{tp} is not there any more on {side}"), "find out who removed it"));
            };
            // The start of a log only grows: an old look at it is still true.
            let cut = log.log_start.is_some_and(|start| offset < start);
            // An end that was seen before the translation says nothing of what was translated after it.
            let beyond = self.looked >= p.at && log.high_watermark.is_some_and(|end| offset > end);
            if cut || beyond {
                let why = format!("{tp}: offset {offset} does not lie within the log on {side} any more");
                return Err(fail_step(
                    why,
                    "see whether the topic was recreated, or its records expired; then measure again",
                ));
            }
        }
        Ok(())
    }

    /// What was committed is what the group has there.
    fn check_commits_unmoved(&self) -> Result<(), StepProgress> {
        let has = committed_offsets(self.seen.view);
        let moved = self
            .planned
            .iter()
            .filter(|(_, p)| !p.is_source_only())
            .find(|(tp, p)| has.get(**tp).copied() != p.target.offset);
        // With members in it (started by hand, ahead of us) it moves on from what was committed.
        match moved.filter(|_| self.seen.view.is_none_or(group::is_empty)) {
            None => Ok(()),
            Some((tp, p)) => {
                let word = |o: Option<i64>| o.map_or_else(|| "nothing".to_string(), |o| o.to_string());
                let (is, was) = (word(has.get(*tp).copied()), word(p.target.offset));
                Err(StepProgress::Help(
                    format!(
                        "{name} has {is} at {tp} on {side}, where {was} was committed",
                        side = self.side,
                        name = visible_name(self.name)
                    ),
                    "find out who changed that; continue to translate and commit again, or roll back".into(),
                ))
            }
        }
    }
}

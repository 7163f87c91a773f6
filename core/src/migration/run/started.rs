//! Whether a group that was told to start does: Stable with a member, or (where nobody ever joins it) commits that move.

use std::collections::BTreeMap;

use super::machine::{CONTROLLER, Machine};
use super::runbook::Step;
use super::steps::{StepProgress, fail_step};
use crate::base::sanitise::visible_name;
use crate::base::{At, Side};
use crate::estate::application;
use crate::estate::{GroupState, SwitchState};
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::{Event, RunId};
use crate::migration::rules::app;
use crate::migration::rules::drain::committed_offsets;
use crate::migration::rules::group;

impl Machine {
    pub(in crate::migration) fn wait_for_stable(
        &mut self,
        id: RunId,
        step: &Step,
        side: Side,
        now: At,
    ) -> StepProgress {
        let run = &self.state.runs[&id];
        if run.dry_run {
            return StepProgress::Done;
        }
        let Some(group) = run.group().map(str::to_string) else { return fail_step("no group", "") };
        let since = self.step_since(id);
        let until = since.plus(step.timeout_ms.unwrap_or_default());
        // A look from before the step may still show members of an earlier attempt.
        let seen = self.rule_context(now).latest_look(&group, side).filter(|s| s.at > since);
        let view = seen.and_then(|s| s.view);
        if view.is_some_and(|v| v.state == GroupState::Stable && !v.members.is_empty()) {
            return StepProgress::Done;
        }
        // It ran there before (given back), or on the side that it comes from.
        let ran = if run.kind.gives_back() { side } else { side.other() };
        let alone =
            run.proof.as_ref().is_some_and(|p| p.alone) || app::commits_alone(&self.rule_context(now), &group, ran);
        if alone && !self.has_joined_members(&group, side, since, now) {
            return self.wait_for_commits(id, step, &group, side, now);
        }
        let is = match (seen, view) {
            (None, _) => "not seen yet".to_string(),
            (_, None) => "no such group".to_string(),
            (_, Some(v)) => format!("{}, {} members", v.state, v.members.len()),
        };
        if now >= until {
            let limit = crate::base::format_duration(step.timeout_ms.unwrap_or_default());
            return fail_step(
                format!("not Stable on {side} within {limit}: {is}"),
                format!("see why {group} does not start on {side}", group = visible_name(&group)),
            );
        }
        StepProgress::Wait(
            format!("{}waiting for Stable: {is}", self.describe_hand_switch(id, SwitchState::only_on(side), side)),
            Some(until),
        )
    }

    /// Whether a group is seen on a side to be one that members join, whatever it was elsewhere.
    fn has_joined_members(&self, group: &str, side: Side, since: At, now: At) -> bool {
        let seen = self.rule_context(now).latest_look(group, side).filter(|s| s.at > since);
        seen.and_then(|s| s.view).is_some_and(application::was_joined)
    }

    /// A group that only commits is never Stable: commits that move are what shows that it runs.
    fn wait_for_commits(&mut self, id: RunId, step: &Step, group: &str, side: Side, now: At) -> StepProgress {
        let sight = self.rule_context(now);
        let there = sight.id_on(group, side).to_owned();
        let run = &self.state.runs[&id];
        let settings = self.settings.groups.get(group);
        let known = settings.and_then(|g| group::commit_interval(&sight, group, g, side.other()));
        let every = known.max(run.reading.as_ref().and_then(|r| r.commits_every_ms)).unwrap_or(0);
        // One that commits at checkpoints far apart may need longer than the plan gives members to join.
        let limit = step.timeout_ms.unwrap_or_default().max(every.saturating_mul(3));
        let (since, until) = (self.step_since(id), self.step_since(id).plus(limit));
        let view =
            sight.latest_look(group, side).filter(|s| s.at > since && s.view.is_none_or(|v| v.trouble.is_none()));
        let has = view.map(|s| committed_offsets(s.view));
        // A give-back goes on from where the group stood, and not from what was predicted for the other side.
        let planned = run.predicted.as_ref().filter(|_| !run.kind.gives_back()).map(|plan| {
            plan.partitions.iter().filter_map(|p| Some((p.tp.clone(), p.target.offset?))).collect::<BTreeMap<_, _>>()
        });
        let lag = self.lag.group_lag(side, &there);
        let live = self.live.entry(id).or_default();
        // What was committed from here is known; whatever else it ever committed there stood at the first look.
        let planned = planned.unwrap_or_default();
        let moved = has.is_some_and(|has| {
            let first = live.base.get_or_insert_with(|| has.clone());
            has.iter().any(|(tp, o)| planned.get(tp).or(first.get(tp)) != Some(o))
        });
        if moved {
            return StepProgress::Done;
        }
        let words = format!(
            "waiting until commits of {group} move on {side}: it only commits, so it is never Stable",
            group = visible_name(group)
        );
        if now < until {
            return StepProgress::Wait(
                format!("{}{words}", self.describe_hand_switch(id, SwitchState::only_on(side), side)),
                Some(until),
            );
        }
        self.conclude_without_commits(group, side, lag, limit, now)
    }

    /// No commit moved for as long as it may take. `lag`: how much the group has to read there, as far as is known.
    fn conclude_without_commits(
        &mut self,
        group: &str,
        side: Side,
        lag: Option<u64>,
        limit: u64,
        now: At,
    ) -> StepProgress {
        let span = crate::base::format_duration(limit);
        match lag {
            // With nothing to read no commit can come: to fail would call a person to a group that is well.
            Some(0) => {
                let what = format!(
                    "{group} has nothing to read on {side}, and no commit moved for {span}: nothing proves yet that it runs \
                     there",
                    group = visible_name(group)
                );
                self.emit(CONTROLLER, Event::Noticed { subject: Subject::Group(group.to_owned()), what }, now);
                StepProgress::Done
            }
            lag => {
                let left = lag.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
                fail_step(
                    format!(
                        "no commit of {group} moved on {side} within {span}, with {left} records to read",
                        group = visible_name(group)
                    ),
                    format!("see why {group} does not start on {side}", group = visible_name(group)),
                )
            }
        }
    }
}

//! Whether a group that was told to start does: Stable with a member, or (where nobody ever joins it) commits that move.

use std::collections::BTreeMap;

use super::machine::{CONTROLLER, Machine};
use super::runbook::Step;
use super::steps::{Next, fail};
use crate::base::sanitise::visible_name;
use crate::base::{At, Side};
use crate::estate::{GroupState, SwitchState};
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::{Event, RunId};
use crate::migration::rules::app;
use crate::migration::rules::drain::committed;
use crate::migration::rules::group;

impl Machine {
    pub(in crate::migration) fn stable(&mut self, id: RunId, step: &Step, side: Side, now: At) -> Next {
        let run = &self.state.runs[&id];
        if run.dry_run {
            return Next::Done;
        }
        let Some(group) = run.group().map(str::to_string) else { return fail("no group", "") };
        let since = self.since(id);
        let until = since.plus(step.timeout_ms.unwrap_or_default());
        let seen = self.sight(now).seen(&group, side).filter(|s| s.at > since);
        let view = seen.and_then(|s| s.view);
        if view.is_some_and(|v| v.state == GroupState::Stable && !v.members.is_empty()) {
            return Next::Done;
        }
        // It ran there before (given back), or on the side that it comes from.
        let ran = if run.kind.gives_back() { side } else { side.other() };
        let alone = run.proof.as_ref().is_some_and(|p| p.alone) || app::commits_alone(&self.sight(now), &group, ran);
        if alone && !self.lost_members(&group, side, since, now) {
            return self.commits_move(id, step, &group, side, now);
        }
        let is = match (seen, view) {
            (None, _) => "not seen yet".to_string(),
            (_, None) => "no such group".to_string(),
            (_, Some(v)) => format!("{}, {} members", v.state, v.members.len()),
        };
        if now >= until {
            let limit = crate::base::span(step.timeout_ms.unwrap_or_default());
            return fail(
                format!("not Stable on {side} within {limit}: {is}"),
                format!("see why {group} does not start on {side}", group = visible_name(&group)),
            );
        }
        Next::Wait(
            format!("{}waiting for Stable: {is}", self.hand_words(id, SwitchState::only(side), side)),
            Some(until),
        )
    }

    /// Whether a group is seen on a side to be one that members join, whatever it was elsewhere.
    fn lost_members(&self, group: &str, side: Side, since: At, now: At) -> bool {
        let seen = self.sight(now).seen(group, side).filter(|s| s.at > since);
        seen.and_then(|s| s.view).is_some_and(app::was_joined)
    }

    /// A group that only commits is never Stable: commits that move are what shows that it runs.
    fn commits_move(&mut self, id: RunId, step: &Step, group: &str, side: Side, now: At) -> Next {
        let sight = self.sight(now);
        let there = sight.id_on(group, side).to_owned();
        let run = &self.state.runs[&id];
        let settings = self.settings.groups.get(group);
        let known = settings.and_then(|g| group::commit_interval(&sight, group, g, side.other()));
        let every = known.max(run.reading.as_ref().and_then(|r| r.commits_every_ms)).unwrap_or(0);
        let limit = step.timeout_ms.unwrap_or_default().max(every.saturating_mul(3));
        let (since, until) = (self.since(id), self.since(id).plus(limit));
        let view = sight.seen(group, side).filter(|s| s.at > since && s.view.is_none_or(|v| v.trouble.is_none()));
        let has = view.map(|s| committed(s.view));
        let planned = run.predicted.as_ref().filter(|_| !run.kind.gives_back()).map(|plan| {
            plan.partitions.iter().filter_map(|p| Some((p.tp.clone(), p.target.offset?))).collect::<BTreeMap<_, _>>()
        });
        let lag = self.lag.lag(side, &there);
        let live = self.live.entry(id).or_default();
        // What was committed from here is known; whatever else it ever committed there stood at the first look.
        let planned = planned.unwrap_or_default();
        let moved = has.is_some_and(|has| {
            let first = live.base.get_or_insert_with(|| has.clone());
            has.iter().any(|(tp, o)| planned.get(tp).or(first.get(tp)) != Some(o))
        });
        if moved {
            return Next::Done;
        }
        let words = format!(
            "waiting until commits of {group} move on {side}: it only commits, so it is never Stable",
            group = visible_name(group)
        );
        if now < until {
            return Next::Wait(format!("{}{words}", self.hand_words(id, SwitchState::only(side), side)), Some(until));
        }
        let span = crate::base::span(limit);
        match lag {
            Some(0) => {
                let what = format!(
                    "{group} has nothing to read on {side}, and no commit moved for {span}: nothing proves yet that it runs \
                     there",
                    group = visible_name(group)
                );
                self.emit(CONTROLLER, Event::Noticed { subject: Subject::Group(group.to_owned()), what }, now);
                Next::Done
            }
            lag => {
                let left = lag.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
                fail(
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

//! Groups in a snapshot: those of the plan and every other one found.

use std::collections::{BTreeMap, BTreeSet};

use super::Scene;
use crate::base::sanitise::visible_name;
use crate::base::{Observed, Side, Sides, Trouble};
use crate::estate::{ClusterView, GroupKind, GroupView};
use crate::migration::facts::command::Subject;
use crate::migration::facts::settings::Mode;
use crate::migration::facts::stage::{RunView, SideState, Stage, StepState};
use crate::migration::facts::state::JournalledEffect;
use crate::migration::rules::context::RuleContext;
use crate::snapshot::{GroupRow, GroupSide, PartitionRow, PartitionSide};

/// All rows: what needs a person first, then what is under way, then by name.
pub(super) fn rows(scene: &Scene<'_>, sight: &RuleContext<'_>) -> Vec<GroupRow> {
    let planned = scene.plan.groups.iter().map(|g| (g.name.as_str(), g.green_group.as_str())).collect();
    let found = |side: Side| {
        let groups = scene.estate.side(side).value().into_iter().flat_map(|v| v.groups.keys());
        groups.map(String::as_str).collect::<Vec<_>>()
    };
    let ids = pair_group_ids(&planned, &found(Side::Blue), &found(Side::Green));
    let mut rows: Vec<GroupRow> = ids.into_iter().map(|(group, green)| row(scene, sight, group, green)).collect();
    rows.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.group.cmp(&b.group)));
    rows
}

/// The rows' ids, each with its group's id on green: all groups of the plan (`planned`: id on blue to id on green) and found
/// anywhere. One found on green only goes by its id there. One that has the id of a group of the plan and is another (green
/// has an `A` too while the plan's `A` is `B` there) is on its own side only, under a row of its own: `green:A`, `blue:B`.
fn pair_group_ids(planned: &BTreeMap<&str, &str>, blue: &[&str], green: &[&str]) -> BTreeMap<String, String> {
    let on_green: BTreeSet<&str> = planned.values().copied().collect();
    let mut ids: BTreeMap<String, String> =
        planned.iter().map(|(name, green)| ((*name).to_owned(), (*green).to_owned())).collect();
    for id in blue.iter().filter(|id| !planned.contains_key(**id)) {
        let other = if on_green.contains(id) { format!("blue:{id}") } else { (*id).to_owned() };
        ids.insert((*id).to_owned(), other);
    }
    for id in green.iter().filter(|id| !on_green.contains(**id)) {
        let row = if planned.contains_key(id) { format!("green:{id}") } else { (*id).to_owned() };
        ids.insert(row, (*id).to_owned());
    }
    ids
}

fn rank(row: &GroupRow) -> u8 {
    match (&row.side_state, &row.stage) {
        (Some(SideState::NeedsOperator { .. }), _) => 0,
        (Some(SideState::Blocked { .. }), _) => 1,
        (_, Stage::Moving { .. }) => 2,
        _ if row.listed => 3,
        _ => 4,
    }
}

fn row(scene: &Scene<'_>, sight: &RuleContext<'_>, group: String, green_group: String) -> GroupRow {
    let planned = scene.plan.group(&group);
    let (machine, now) = (scene.machine, scene.now);
    let ids = Sides { blue: &group, green: &green_group };
    let subject = Subject::Group(group.clone());
    let views = Sides::from_fn(|side| find_group_view(scene, sight, side, ids[side]));
    let mut kinds = views.iter().filter_map(|(_, view)| Some(view.as_ref()?.kind));
    // A group that only has commits looks classic whatever it is: the side that knows more counts.
    let kind = kinds.find(|k| *k != GroupKind::Classic).unwrap_or_default();
    let estimate = machine.latest_estimate(&group);
    // Of a group that nobody moves the samples alone tell; of one of the plan, where it should run counts too.
    let stuck = |side: Side| match planned {
        Some(_) => machine.is_stuck(&group, side, now),
        None => sight.lag.is_stuck(side, ids[side]) || waits_for_transaction(sight, side, views[side]),
    };
    let seen = Sides::from_fn(|side| GroupSide {
        stuck: stuck(side),
        ..group_side(scene, sight, side, ids[side], views[side])
    });
    let committed = Sides::from_fn(|side| (views[side], commits_beyond_end(sight, side, ids[side])));
    let partitions = partition_rows(scene, sight, planned.map_or(&[], |g| &g.topics), committed);
    let run = scene.run_view(&subject);
    GroupRow {
        team: planned.map(|g| g.team.clone()).unwrap_or_default(),
        listed: planned.is_some(),
        mode: planned.map_or(Mode::default(), |g| g.limits.mode),
        kind,
        stage: machine.group_stage(&group),
        side_state: machine.side_state(&subject, now),
        switch: planned
            .filter(|g| g.switch.is_some())
            .map(|_| scene.estate.switches.get(&group).cloned().unwrap_or_else(Observed::not_yet)),
        blue: seen.blue,
        green: seen.green,
        partitions,
        run,
        estimate_to: estimate.as_ref().map(|(to, _)| *to),
        estimate: estimate.map(|(_, plan)| plan),
        estimate_chosen: machine.estimate_chosen(&group).cloned(),
        measuring: machine.is_measuring(&group),
        witnessed: scene.options.witness.as_ref().and_then(|witness| witness(&group)),
        way_back: machine.way_back(&group, now),
        next: machine.next_step(&group, now),
        offers: machine.offers(&group, now),
        gates: machine.gate_rows(&group, now),
        triggers: machine.trigger_rows(&group, now),
        baselines: machine.baselines(&group, now),
        green_group,
        group,
    }
}

/// The newest look at a group, if the cluster knows it. What another cluster has under that name is another group.
fn find_group_view<'a>(scene: &Scene<'a>, sight: &RuleContext<'_>, side: Side, id: &str) -> Option<&'a GroupView> {
    scene.estate.group(side, id).filter(|_| sight.identity_trouble(side).is_none()).and_then(|s| s.view)
}

fn group_side(scene: &Scene<'_>, sight: &RuleContext<'_>, side: Side, id: &str, view: Option<&GroupView>) -> GroupSide {
    if let Some(other) = sight.identity_trouble(side) {
        return GroupSide::unseen(Some(other));
    }
    // That a group is absent is known of what was asked for by name, or of a list that leaves none out.
    let by_name = scene.plan.groups.iter().any(|g| g.id_on(side) == id);
    let hidden = || scene.estate.side(side).value().is_some_and(|v| v.groups_hidden(side).is_some());
    if view.is_none() && !by_name && hidden() {
        return GroupSide::unseen(None);
    }
    let looked = scene.estate.group(side, id);
    let lag = sight.lag.group_lag(side, id);
    let unmeasured = || match lag {
        Some(_) => None,
        None => scene.estate.side(side).value().zip(view).and_then(|(cluster, v)| why_unmeasured(cluster, v, side)),
    };
    GroupSide {
        state: view.map(|v| v.state),
        members: view.map(|v| v.members.clone()).unwrap_or_default(),
        lag,
        lag_stable: sight.lag.readable(side, id),
        waits: view.and_then(|v| sight.lag.find_wait(side, v)).map(|w| sight.describe_wait(side, &w)),
        at: looked.map(|l| l.at),
        time_lag_ms: view.filter(|_| lag.is_some()).and_then(|v| sight.lag.time_lag_ms(side, v)),
        trend: sight.lag.group_trend(side, id),
        rate: sight.lag.group_rate(side, id),
        stuck: false,
        trouble: view.and_then(|v| v.trouble.clone()).or_else(unmeasured),
    }
}

/// An open transaction keeps it from reading on.
fn waits_for_transaction(sight: &RuleContext<'_>, side: Side, view: Option<&GroupView>) -> bool {
    view.and_then(|v| sight.lag.find_wait(side, v)).is_some_and(|w| w.held.stands())
}

/// A commit of it beyond the log's end is no race between two answers: no lag can be counted from it.
fn commits_beyond_end(sight: &RuleContext<'_>, side: Side, id: &str) -> bool {
    sight.lag.group_lag(side, id).is_none()
}

/// Why a group that has committed on topics that are there has no lag; `None`: there is nothing to measure.
fn why_unmeasured(cluster: &ClusterView, group: &GroupView, side: Side) -> Option<Trouble> {
    if matches!(group.kind, GroupKind::Share | GroupKind::Streams) {
        return None;
    }
    group.offsets.iter().find_map(|(topic, partitions)| {
        if let Some(why) = cluster.hidden_topics.get(topic) {
            return Some(why.clone());
        }
        let log = cluster.topics.get(topic)?;
        partitions.keys().find_map(|p| {
            let of = usize::try_from(*p).ok().and_then(|p| log.partitions.get(p))?;
            let nothing = || Trouble::new("no answer named it", "look at its leader");
            (of.lso.is_none() || of.high_watermark.is_none()).then(|| {
                let why = of.trouble.clone().unwrap_or_else(nothing);
                Trouble::new(
                    format!("the end of {topic}-{p} on {side} is not known: {}", why.what, topic = visible_name(topic)),
                    why.advice,
                )
            })
        })
    })
}

/// Every partition of the topics that the plan lists or that the group committed on either side.
fn partition_rows(
    scene: &Scene<'_>,
    sight: &RuleContext<'_>,
    listed: &[String],
    groups: Sides<(Option<&GroupView>, bool)>,
) -> Vec<PartitionRow> {
    let committed = |g: Option<&GroupView>| g.into_iter().flat_map(|g| g.offsets.keys().cloned()).collect::<Vec<_>>();
    let committed = groups.iter().flat_map(|(_, (group, _))| committed(*group));
    let topics: BTreeSet<String> = listed.iter().cloned().chain(committed).collect();
    let right = |side: Side| sight.identity_trouble(side).is_none();
    let clusters = Sides::from_fn(|side| scene.estate.side(side).value().filter(|_| right(side)));
    let mut rows = Vec::new();
    for topic in topics {
        let exist = clusters
            .iter()
            .filter_map(|(_, c)| Some(c.as_ref()?.topics.get(&topic)?.partitions.len()))
            .max()
            .unwrap_or(0);
        // A partition with a commit keeps its row also while no broker shows it.
        let named =
            |g: Option<&GroupView>| g.and_then(|g| g.offsets.get(&topic)?.keys().last().copied()).map_or(0, |p| p + 1);
        let count = i32::try_from(exist).unwrap_or(i32::MAX).max(named(groups.blue.0)).max(named(groups.green.0));
        rows.extend((0..count).map(|partition| PartitionRow {
            blue: partition_side(clusters.blue, &topic, partition, groups.blue),
            green: partition_side(clusters.green, &topic, partition, groups.green),
            topic: topic.clone(),
            partition,
        }));
    }
    rows
}

fn partition_side(
    cluster: Option<&ClusterView>,
    topic: &str,
    partition: i32,
    (group, beyond): (Option<&GroupView>, bool),
) -> PartitionSide {
    let log = cluster.and_then(|c| c.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?));
    let committed = group.and_then(|g| g.committed_offset(topic, partition));
    let (end, high_watermark) = (log.and_then(|l| l.lso), log.and_then(|l| l.high_watermark));
    // A commit a little beyond an end that was asked for before
    // it is a race, and its lag 0; one that stays there has none.
    let known = committed.zip(high_watermark).filter(|(at, end)| at <= end || !beyond);
    let past = |end: i64, at: i64| u64::try_from(end.saturating_sub(at)).unwrap_or(0);
    PartitionSide {
        committed,
        log_start: log.and_then(|l| l.log_start),
        end,
        high_watermark,
        lag: known.map(|(at, end)| past(end, at)),
        lag_stable: known.zip(end).map(|((at, _), end)| past(end, at)),
    }
}

/// What an effect under way says of itself stands in place of what its step waits for.
pub(super) fn apply_progress(view: &mut RunView, effects: &[JournalledEffect], progress: &BTreeMap<String, String>) {
    for effect in effects {
        let step = view.steps.get_mut(effect.step);
        if let (Some(words), Some((_, StepState::Doing { waiting, .. }))) = (progress.get(&effect.issued.key), step) {
            waiting.clone_from(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::estate::{Committed, PartitionView, SwitchState, TopicView};
    use crate::migration::facts::effect::{Effect, IssuedEffect};
    use crate::migration::facts::event::RunKind;

    #[test]
    fn a_group_that_only_has_the_id_of_another_has_a_row_of_its_own() {
        let planned = BTreeMap::from([("A", "B"), ("C", "C")]);
        let rows = pair_group_ids(&planned, &["A", "B", "C", "x"], &["A", "B", "x", "y"]);
        let rows: Vec<(&str, &str)> = rows.iter().map(|(row, green)| (row.as_str(), green.as_str())).collect();
        let own = [("B", "blue:B"), ("C", "C"), ("green:A", "A"), ("x", "x"), ("y", "y")];
        assert_eq!(rows, [&[("A", "B")][..], &own].concat());
    }

    #[test]
    fn without_the_high_watermark_a_partition_has_no_lag() {
        let committed = BTreeMap::from([(0, Committed { offset: 40, leader_epoch: -1 })]);
        let group = GroupView { offsets: [("t".to_owned(), committed)].into(), ..GroupView::default() };
        let row = |high_watermark| {
            let trouble = Some(Trouble::new("blue broker 1 did not answer", "look at it"));
            let log = PartitionView { lso: Some(40), high_watermark, trouble, ..PartitionView::default() };
            let topic = TopicView { partitions: vec![log], ..TopicView::default() };
            let view = ClusterView { topics: [("t".to_owned(), topic)].into(), ..ClusterView::default() };
            let side = partition_side(Some(&view), "t", 0, (Some(&group), false));
            let why = why_unmeasured(&view, &group, Side::Blue).map(|why| why.what);
            (side.end, side.high_watermark, side.lag, side.lag_stable, why)
        };
        assert_eq!(row(Some(90)), (Some(40), Some(90), Some(50), Some(0), None));
        let why = "the end of t-0 on blue is not known: blue broker 1 did not answer".to_owned();
        assert_eq!(row(None), (Some(40), None, None, None, Some(why)));
    }

    #[test]
    fn an_effect_under_way_speaks_for_its_own_step_only() {
        let doing = |waiting: &str| StepState::Doing { since: At(0), waiting: waiting.into() };
        let mut view = RunView {
            run: 1,
            kind: RunKind::CutOver,
            to: Side::Green,
            actor: "ada@bastion".into(),
            started: At(0),
            dry_run: false,
            steps: vec![("stop".into(), doing("under way")), ("translate".into(), doing("under way"))],
            no_return_after: None,
            predicted_re_read: None,
            max_re_read: None,
            deadline: None,
            because: None,
            offsets: None,
            passed_over: Vec::new(),
        };
        let effect = |key: &str, step| JournalledEffect {
            issued: IssuedEffect {
                key: key.into(),
                effect: Effect::SetSwitch { group: "g".into(), to: SwitchState::Off },
            },
            step,
            at: At(0),
            outcome: None,
        };
        // The key is whatever the journal has: the step is what the effect says.
        let effects = [effect("1/0/1", 0), effect("of another version", 1)];
        let progress =
            BTreeMap::from([("of another version".to_owned(), "4 of 9".to_owned()), ("2/0/1".into(), "x".into())]);
        apply_progress(&mut view, &effects, &progress);
        let waiting: Vec<&StepState> = view.steps.iter().map(|(_, state)| state).collect();
        assert_eq!(waiting, [&doing("under way"), &doing("4 of 9")]);
    }
}

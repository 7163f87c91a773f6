//! The rules for groups: what a group reads, and which facts must hold before it is moved.

use std::collections::{BTreeMap, BTreeSet};

use super::app;
use super::context::{RuleContext, kind_refusal};
use super::held;
pub(crate) use super::reads::topics_read;
use super::reads::{Leave, LeftOut, match_topics};
use super::writers::check_producers;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{Side, TopicPartition};
use crate::estate::application;
use crate::estate::{ClusterView, GroupState, GroupView, SwitchState};
use crate::migration::facts::command::{Refusal, Subject};
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides::{GateName, HeldGate};
use crate::migration::facts::settings::Mode;
use crate::migration::facts::settings::{GroupSettings, Settings};
use crate::migration::facts::stage::Stage;
use crate::migration::facts::state::State;

/// Kafka's default `session.timeout.ms` since 3.0 (KIP-735): how long a static member that stopped still counts.
const SESSION_MS: u64 = 45_000;

/// The side on which a group rests.
#[must_use]
pub fn rests_on(rest: Option<&Stage>) -> Side {
    match rest {
        Some(Stage::Soaking { .. } | Stage::Complete { .. }) => Side::Green,
        _ => Side::Blue,
    }
}

/// Groups that were moved, by the side they do not rest on and their id there: what they left there is nobody's lag.
#[must_use]
pub fn left_behind(settings: &Settings, state: &State) -> BTreeSet<(Side, String)> {
    let mut left = BTreeSet::new();
    for (group, g) in &state.groups {
        let side = rests_on(Some(&g.rest)).other();
        let green = settings.groups.get(group).map(|s| s.green_group.as_str()).filter(|id| !id.is_empty());
        let id = if side == Side::Green { green.unwrap_or(group) } else { group };
        left.insert((side, id.to_owned()));
    }
    left
}

/// Every partition of the topics, as counted on a cluster.
#[must_use]
pub(crate) fn list_partitions(view: &ClusterView, topics: &BTreeSet<String>) -> Vec<TopicPartition> {
    // Kafka counts partitions in 32 bits, so this loses none.
    let count = |t: &String| view.topics.get(t).map_or(0, |v| i32::try_from(v.partitions.len()).unwrap_or(i32::MAX));
    topics.iter().flat_map(|t| (0..count(t)).map(move |p| TopicPartition::new(t.clone(), p))).collect()
}

/// What a preflight found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PreflightFacts {
    /// Worth a line, no reason to refuse.
    pub warnings: Vec<String>,
    /// What a dialog rests on, by name: execution is refused when one of them changed since.
    pub digest: BTreeMap<&'static str, String>,
    /// Every partition that gets an explicit commit.
    pub partitions: Vec<TopicPartition>,
    /// The topics that go along.
    pub topics: BTreeSet<String>,
    /// Topics of the group that stay behind.
    pub left: BTreeSet<String>,
    /// Those of them that are left out by name.
    pub left_out: Vec<LeftOut>,
    /// Gates that hold whatever was measured.
    pub gates: Vec<HeldGate>,
}

/// All facts that must hold before a group is moved, or its offsets are set, from one side to the other. `leave`: topics
/// that may be left out.
pub(crate) fn check_preflight(
    sight: &RuleContext<'_>,
    group: &str,
    kind: RunKind,
    to: Side,
    leave: &Leave<'_>,
) -> Result<PreflightFacts, Refusal> {
    let settings = sight.plan_entry(group)?;
    let from = to.other();
    let mut facts = PreflightFacts::default();
    sight.check_reachable()?;
    sight.check_identities()?;
    for side in Side::BOTH {
        // An id that was not told was refused above.
        let id = visible_name(sight.fresh_cluster(side)?.cluster_id.as_deref().unwrap_or_default());
        facts.digest.insert(if side == Side::Blue { "blue cluster" } else { "green cluster" }, id);
    }
    let source = check_source(sight, group, kind, from, &mut facts)?;
    check_target(sight, group, kind, to, &mut facts)?;
    match_topics(sight, group, source, from, leave, &mut facts)?;
    if !facts.left_out.is_empty() {
        let words: Vec<String> =
            facts.left_out.iter().map(|l| format!("{} ({})", visible_name(&l.topic), l.why)).collect();
        let why = format!(
            "left out, so that auto.offset.reset decides there if {group} reads them on {to}: {}",
            words.join(", "),
            group = visible_name(group)
        );
        let names = facts.left_out.iter().map(|l| l.topic.clone()).collect();
        facts.gates.push(HeldGate { names, ..HeldGate::new(GateName::LeaveOut, None, why) });
    }
    let carried =
        source.metadata.iter().filter(|(t, _)| facts.topics.contains(*t)).map(|(_, m)| m.len()).sum::<usize>();
    if carried > 0 {
        facts.warnings.push(format!(
            "the commits of {carried} partitions carry metadata (such as what Confluent's Parallel Consumer has done ahead \
             of its offset): it goes along only where both logs hold the same records at the same offsets"
        ));
    }
    // Setting offsets stops and starts nobody: switch, members and writers stay as they are.
    if kind != RunKind::ResetOffsets {
        held::check_may_move(sight, group, kind, to, &mut facts)?;
        check_switch(sight, group, settings, from, &mut facts)?;
        check_members(sight, group, settings, source, from, &mut facts)?;
        let topics = facts.topics.clone();
        check_producers(sight, group, to, &topics, &mut facts)?;
    }
    Ok(facts)
}

fn check_source<'a>(
    sight: &RuleContext<'a>,
    group: &str,
    kind: RunKind,
    from: Side,
    facts: &mut PreflightFacts,
) -> Result<&'a GroupView, Refusal> {
    let id = sight.id_on(group, from);
    let Some(view) = sight.fresh_group(group, from)? else {
        return Err(Refusal::refused(
            format!("group {id} does not exist on {from}", id = visible_name(id)),
            "check its name in the plan, and whether it was deleted",
        ));
    };
    if let Some(refusal) = kind_refusal(id, from, view) {
        return Err(refusal);
    }
    if view.state == GroupState::Unknown {
        return Err(Refusal::unknown(
            format!("the state of {id} on {from} is not known", id = visible_name(id)),
            "wait for a fresh look",
        ));
    }
    match app::streams_refusal(sight, group, from, view) {
        // The way back is never shut by what it turns out to be.
        Some(refusal) if kind == RunKind::RollBack => facts.warnings.push(refusal.why),
        Some(refusal) => return Err(refusal),
        None => {}
    }
    if let Some(why) = app::why_maybe_streams(sight, group, from, view) {
        match kind {
            RunKind::RollBack => facts.warnings.push(why),
            _ => facts.gates.push(HeldGate::new(GateName::Streams, None, why)),
        }
    }
    Ok(view)
}

pub(in crate::migration) fn check_target(
    sight: &RuleContext<'_>,
    group: &str,
    kind: RunKind,
    to: Side,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    let id = sight.id_on(group, to);
    let Some(view) = sight.fresh_group(group, to)? else {
        facts.digest.insert("target group", "none".into());
        return Ok(());
    };
    if let Some(refusal) = kind_refusal(id, to, view) {
        return Err(refusal);
    }
    let empty = is_empty(view);
    facts.digest.insert("target group", if empty { "empty".into() } else { format!("{}", view.state) });
    if view.state == GroupState::Unknown {
        return Err(Refusal::unknown(
            format!("the state of {id} on {to} is not known", id = visible_name(id)),
            "wait for a fresh look",
        ));
    }
    if !empty {
        let who = view
            .members
            .iter()
            .take(3)
            .map(|m| format!("{} at {}", visible_name(&m.client_id), visible_name(&m.host)))
            .collect::<Vec<_>>();
        let what =
            format!("group {id} is {} on {to} with {} members", view.state, view.members.len(), id = visible_name(id));
        let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
        // A way back is not shut by them: its commit waits until the group is Empty, and fails by itself if it never
        // is.
        if kind != RunKind::RollBack {
            return Err(Refusal::holds(
                format!("{what}{who}"),
                format!("stop those members on {to}: offsets can only be set while it is Empty"),
            ));
        }
        facts.warnings.push(format!("{what}{who}: they have to stop before offsets can be set there"));
    }
    let foreign = !view.offsets.is_empty() && to == Side::Green && !owns_offsets(sight, group, to);
    if foreign {
        facts.warnings.push(format!(
            "{id} has offsets on {to} that nobody wrote from here: none of them is set back silently",
            id = visible_name(id)
        ));
    }
    Ok(())
}

/// Whether offsets found on a side are the group's own: it ran there, or this journal wrote them.
#[must_use]
pub(crate) fn owns_offsets(sight: &RuleContext<'_>, group: &str, side: Side) -> bool {
    side == Side::Blue || sight.state.groups.get(group).is_some_and(|g| g.own.contains(&side))
}

/// Nobody is in it: offsets may be committed from outside.
#[must_use]
pub fn is_empty(view: &GroupView) -> bool {
    view.members.is_empty() && matches!(view.state, GroupState::Empty | GroupState::Dead)
}

pub(in crate::migration) fn check_switch(
    sight: &RuleContext<'_>,
    group: &str,
    settings: &GroupSettings,
    from: Side,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    if !settings.has_switch {
        return Err(Refusal::refused(
            format!(
                "{group} has no switch in the plan: nothing here can stop or start it",
                group = visible_name(group)
            ),
            "give its [[groups]] entry a switch (file, command or manual)",
        ));
    }
    if settings.mode == Mode::Overlap {
        return Err(Refusal::refused(
            format!("{group} is in overlap mode, which this version does not carry out", group = visible_name(group)),
            "set mode = \"handover\" for it",
        ));
    }
    match sight.estate.switches.get(group) {
        None => facts.warnings.push("its switch can't be read: only what is observed counts".into()),
        Some(crate::base::Observed::Absent { why }) => {
            return Err(Refusal::unknown(
                format!("the switch of {group} can't be read: {why}", group = visible_name(group)),
                why.advice.clone(),
            ));
        }
        Some(seen) if !sight.is_fresh(seen) => {
            return Err(Refusal::unknown(
                format!("the switch of {group} was not read recently", group = visible_name(group)),
                "wait until it can be read",
            ));
        }
        Some(seen) => {
            // What is fresh has a value, so the default is never taken.
            let at = seen.value().copied().unwrap_or(SwitchState::Off);
            facts.digest.insert("switch", at.to_string());
            if at != SwitchState::only_on(from)
                && at != SwitchState::Off
                && !(from == Side::Green && at == SwitchState::Both)
            {
                return Err(Refusal::refused(
                    format!("the switch of {group} says {at}, not {from}", group = visible_name(group)),
                    "set it by hand to where the group runs, or find out who changed it",
                ));
            }
        }
    }
    Ok(())
}

fn check_members(
    sight: &RuleContext<'_>,
    group: &str,
    settings: &GroupSettings,
    source: &GroupView,
    from: Side,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    if app::is_alone(sight, group, from, source) {
        check_commits_alone(sight, group, settings, from, facts)?;
    } else if source.members.is_empty() {
        facts.warnings.push(format!("no member of {group} runs on {from} now", group = visible_name(group)));
    }
    // A static member sends no LeaveGroup when it stops (KIP-345), so that a restart triggers no rebalance.
    let statics = source.members.iter().filter(|m| m.instance_id.is_some()).count();
    if statics > 0 {
        let trap = format!(
            "{statics} static members do not leave when they stop: Empty only when their session ends (45s by default)"
        );
        // No request tells what session.timeout.ms a member runs with: the default is all there is to hold this
        // against.
        if settings.drain_timeout_ms <= SESSION_MS {
            return Err(Refusal::refused(
                format!("{trap}, and drain_timeout is {}", format_duration(settings.drain_timeout_ms)),
                "raise drain_timeout above the members' session.timeout.ms",
            ));
        }
        facts.warnings.push(trap);
    }
    let still = still_needed(sight, group, settings, from);
    // Equal is too short, too: the proof comes with the first look after that time.
    if still >= settings.drain_timeout_ms {
        return Err(Refusal::refused(
            format!(
                "commits must stand still for {}, and drain_timeout is {}",
                format_duration(still),
                format_duration(settings.drain_timeout_ms)
            ),
            match still > settings.drain_still_ms {
                true => format!(
                    "raise drain_timeout of {group}: it commits only every {}",
                    format_duration(still / 2),
                    group = visible_name(group)
                ),
                false => format!(
                    "raise drain_timeout of {group} above its drain_still, or lower drain_still",
                    group = visible_name(group)
                ),
            },
        ));
    }
    Ok(())
}

/// A group that only commits: how often is what bounds the proof that it has stopped, so it has to be known.
fn check_commits_alone(
    sight: &RuleContext<'_>,
    group: &str,
    settings: &GroupSettings,
    from: Side,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    let id = sight.id_on(group, from);
    let seen = sight.lag.commit_interval_ms(from, id);
    let Some(every) = commit_interval(sight, group, settings, from) else {
        return Err(Refusal::unknown(
            format!(
                "{id} only commits on {from} (assign(), as Flink and Spark do): nobody is in it who could be seen to leave, \
                 and how often it commits was not seen yet",
                id = visible_name(id)
            ),
            format!(
                "wait until two of its commits were seen while it has something to read, or say how often it commits: \
                 commit_interval = \"20s\" in the plan's entry of {group}",
                group = visible_name(group)
            ),
        ));
    };
    facts.warnings.push(format!(
        "nobody is in {group}: it only commits (assign()), every {}{}; that its commits stand still is the proof that it \
         stopped, and that they move on {} the proof that it runs there",
        format_duration(every),
        if seen.is_none() { " as far as is known, and none was seen to move yet" } else { "" },
        from.other(), group = visible_name(group)
    ));
    Ok(())
}

/// How often a group commits at the latest, ms: as observed, as the plan says, or (where nobody is ever in it) as it was
/// when it was drained last, or before the stop of a move that is under way.
#[must_use]
pub fn commit_interval(sight: &RuleContext<'_>, group: &str, settings: &GroupSettings, from: Side) -> Option<u64> {
    // Commits that were made from here say nothing of how often the group makes its own.
    let there = sight.latest_look(group, from).and_then(|s| s.view).filter(|view| application::only_commits(view));
    let ours = there.is_some_and(|view| !app::is_alone(sight, group, from, view));
    let seen = sight.lag.commit_interval_ms(from, sight.id_on(group, from)).filter(|_| !ours);
    let state = sight.state.groups.get(group);
    let drained = state.and_then(|g| g.drained.as_ref()).filter(|p| p.alone).map(|p| p.still_needed_ms / 2);
    let moved = sight.state.open_run(&Subject::Group(group.to_owned()));
    let read = moved.into_iter().flat_map(|run| sight.state.run_chain(run.id)).filter_map(|r| r.reading.as_ref());
    let read = read.filter_map(|reading| reading.commits_every_ms).max();
    // The longest of all that is known: a proof that comes late costs time, one that comes early costs records.
    seen.max(settings.commit_interval_ms).max(drained).max(read)
}

/// How long commits must stand still before a drain is proven, ms: twice the commit interval, as observed or as the plan
/// says, and at least what the plan says for a drain.
#[must_use]
pub(crate) fn still_needed(sight: &RuleContext<'_>, group: &str, settings: &GroupSettings, from: Side) -> u64 {
    let seen = commit_interval(sight, group, settings, from).unwrap_or(0);
    seen.saturating_mul(2).max(settings.drain_still_ms)
}

#[cfg(test)]
mod tests {
    use super::super::lag::LagBook;
    use super::*;
    use crate::base::At;
    use crate::estate::{Estate, MemberView};

    #[test]
    fn what_makes_a_drain_too_long_is_what_the_advice_names() {
        let (mut estate, mut settings) = (Estate::default(), Settings::of_groups(BTreeMap::new()));
        estate.clusters.blue = crate::base::Observed::seen_at(ClusterView::default(), At(0));
        let (state, lag) = (State::default(), LagBook::default());
        settings.stale_after_ms = 5_000;
        let source = GroupView { members: vec![MemberView::default()], ..GroupView::default() };
        let advice = |still: u64, every: u64| {
            let plan = GroupSettings {
                drain_still_ms: still,
                drain_timeout_ms: 60_000,
                commit_interval_ms: Some(every),
                ..GroupSettings::default()
            };
            let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now: At(0) };
            let checked = check_members(&sight, "g", &plan, &source, Side::Blue, &mut PreflightFacts::default());
            checked.map_err(|refusal| refusal.advice)
        };
        assert_eq!(advice(15_000, 5_000), Ok(()));
        assert_eq!(advice(15_000, 40_000).unwrap_err(), "raise drain_timeout of g: it commits only every 40s");
        let own = "raise drain_timeout of g above its drain_still, or lower drain_still";
        assert_eq!(advice(60_000, 5_000).unwrap_err(), own, "its commits come often enough");
    }
}

//! What one cluster shows of itself, and of what the plan names on it: what is there, and what this principal may do with it.

use std::collections::BTreeSet;

use super::rights::Asked;
use super::{Check, Health};
use crate::base::format_duration;
use crate::base::sanitise::{quoted_name, visible_name, visible_names};
use crate::base::{Side, Trouble};
use crate::estate::acl::Operation;
use crate::estate::partial::Operations;
use crate::estate::{ClusterView, GroupView, PartitionView, TopicView};
use crate::plan::{GroupPlan, Plan};
use crate::session::tools::Tools;

/// Groups that are shown: one that was asked for by name and refused is none of them, and has no coordinator.
fn count_visible_groups(view: &ClusterView) -> usize {
    view.groups.values().filter(|g| g.trouble.is_none() || g.coordinator >= 0).count()
}

/// All checks of one cluster.
pub(super) fn check_cluster(plan: &Plan, tools: &Tools, side: Side, view: &ClusterView, rights: &Asked) -> Vec<Check> {
    let mut checks = vec![check_answers(side, view), check_cluster_id(plan, side, view)];
    checks.extend(check_lists_whole(side, view));
    if let Some(slow) = &view.throttled {
        let check = Check::new(format!("quota on {side}"), Health::Warn, slow.describe_throttling(side));
        checks.push(check.advised(slow.to_trouble(side).advice));
    }
    checks.push(check_topics(plan, tools, side, view, rights));
    checks.extend(plan.groups.iter().flat_map(|g| check_group(g, side, view, rights)));
    checks
}

fn check_answers(side: Side, view: &ClusterView) -> Check {
    let silent: Vec<&Trouble> = view.brokers.values().filter_map(|b| b.answered.as_ref()?.as_ref().err()).collect();
    let (all, topics, seen) = (view.brokers.len(), view.topics.len(), count_visible_groups(view));
    // What brokers did not list is not there by that.
    let groups = match (&view.unlisted, view.groups_forbidden(side)) {
        (Some(_), _) => "groups not known".to_owned(),
        (None, Some(_)) => format!("{seen} groups visible"),
        (None, None) => format!("{seen} groups"),
    };
    let visible = if view.topics_hidden().is_some() { " visible" } else { "" };
    let found = format!("{all} brokers, {topics} topics{visible}, {groups}, seen in {}", format_duration(view.took_ms));
    match (silent.first(), &view.unlisted) {
        (Some(first), _) => {
            let found = format!("{found}; {} of {all} brokers are silent: {}", silent.len(), first.what);
            Check::new(side.name(), Health::Fail, found)
                .advised(format!("groups and partitions on them can't be moved: {}", first.advice))
        }
        (None, Some(why)) => {
            Check::new(side.name(), Health::Fail, format!("{found}; {}", why.what)).advised(why.advice.clone())
        }
        (None, None) => Check::new(side.name(), Health::Ok, found),
    }
}

fn check_cluster_id(plan: &Plan, side: Side, view: &ClusterView) -> Check {
    let id = format!("cluster id of {side}");
    match (&view.cluster_id, &plan.cluster(side).cluster_id) {
        (Some(seen), Some(pin)) if seen == pin => {
            Check::new(id, Health::Ok, format!("{}, as the plan pins it", visible_name(seen)))
        }
        (Some(seen), Some(pin)) => {
            Check::new(id, Health::Fail, format!("{}, and the plan pins {}", visible_name(seen), visible_name(pin)))
                .advised("correct bootstrap or cluster_id: it is another cluster")
        }
        (Some(seen), None) => Check::new(id, Health::Warn, format!("{}, not pinned", visible_name(seen)))
            .advised(format!("add cluster_id = {} to [clusters.{side}]", quoted_name(seen))),
        (None, _) => Check::new(id, Health::Unknown, "the cluster did not tell it"),
    }
}

/// Whether lists of this cluster are whole as far as rights go: only then what is not in them is not there.
fn check_lists_whole(side: Side, view: &ClusterView) -> Option<Check> {
    let why = view.groups_forbidden(side)?;
    let found = format!("{} groups are visible; {}", count_visible_groups(view), why.what);
    Some(Check::new(format!("rights on {side}"), Health::Warn, found).advised(why.advice))
}

/// The first names, and how many more.
fn format_some_names(names: &[&str]) -> String {
    const NAMED: usize = 3;
    let first = visible_names(names.iter().take(NAMED));
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A partition whose ends were not told.
fn find_endless_partition(topic: &TopicView) -> Option<&PartitionView> {
    topic.partitions.iter().find(|p| p.lso.is_none() || p.high_watermark.is_none())
}

fn check_topics(plan: &Plan, tools: &Tools, side: Side, view: &ClusterView, rights: &Asked) -> Check {
    let wanted: BTreeSet<&String> = plan
        .groups
        .iter()
        .flat_map(|g| g.topics.iter().chain(&g.dlq))
        .chain(plan.producers.iter().flat_map(|p| &p.topics))
        .collect();
    let of = |is: &dyn Fn(&str) -> bool| wanted.iter().map(|t| t.as_str()).filter(|t| is(t)).collect::<Vec<&str>>();
    let what = format!("topics of the plan on {side}");
    let (count, fail) = (wanted.len(), |found: String| Check::new(what.as_str(), Health::Fail, found));
    // Before those that are missing: a topic that may not be seen must not be called so.
    let hidden = of(&|t| view.hidden_topics.contains_key(t));
    if let Some(why) = hidden.first().and_then(|t| view.hidden_topics.get(*t)) {
        let found = format!("{} of {count} can't be seen: {}: {}", hidden.len(), format_some_names(&hidden), why.what);
        return fail(found).advised(why.advice.clone());
    }
    let missing = of(&|t| !view.topics.contains_key(t));
    if !missing.is_empty() {
        return fail(format!("{} of {count} are missing: {}", missing.len(), format_some_names(&missing)))
            .advised("create them");
    }
    let unread = of(&|t| view.topics.get(t).is_some_and(|v| find_endless_partition(v).is_some()));
    if let Some(first) = unread.first().and_then(|t| find_endless_partition(view.topics.get(*t)?)) {
        let why = first.trouble.clone().unwrap_or_else(|| Trouble::new("it was not told", "see that it has a leader"));
        let found = format!("the ends of {} can't be read: {}: {}", unread.len(), format_some_names(&unread), why.what);
        return fail(found).advised(why.advice);
    }
    let may = |t: &str| rights.look.topics.get(&tools.names.topic_on(side, t));
    let unreadable = of(&|t| matches!(may(t), Some(Ok(o)) if !o.allows_operation(Operation::Read)));
    if !unreadable.is_empty() {
        let found =
            format!("{count} are there; READ is missing on {}: {}", unreadable.len(), format_some_names(&unreadable));
        return fail(found)
            .advised("grant this client's principal READ on them: offsets are translated by their records");
    }
    let untold = of(&|t| !matches!(may(t), Some(Ok(_))));
    if !untold.is_empty() {
        let why = untold.first().and_then(|t| may(t)).and_then(|r| r.as_ref().err());
        let why = why.map_or("no answer", |t| t.what.as_str());
        let found =
            format!("{count} are there; whether {} can be read is not known: {why}", format_some_names(&untold));
        return Check::new(what, Health::Unknown, found);
    }
    Check::new(what, Health::Ok, format!("{count} are there and can be read"))
}

fn check_group(group: &GroupPlan, side: Side, view: &ClusterView, rights: &Asked) -> Option<Check> {
    let id = group.id_on(side);
    let what = format!("group {id} on {side}", id = visible_name(id));
    let seen: Option<&GroupView> = view.groups.get(id);
    if let Some(t) = seen.and_then(|v| v.trouble.as_ref()) {
        return Some(Check::failed(what, Health::Fail, t.clone()));
    }
    let stands = seen.map(|v| format!("{:?}, {} members", v.state, v.members.len()));
    // Asked about a group, such a cluster makes the topic that keeps them.
    let told = match (rights.look.open, rights.never_grouped) {
        (true, _) | (_, true) => Some(&Ok(Operations::ALL)),
        (false, false) => rights.look.groups.get(id),
    };
    match told {
        Some(Ok(may)) if !may.allows_operation(Operation::Read) => {
            let stands = stands.map_or_else(String::new, |s| format!("{s}; "));
            // Whoever only looks is not to have it.
            let found = format!("{stands}READ is missing: with this principal its offsets can't be set on {side}");
            let advice = "to move it grant READ on the group to the principal that moves it";
            Some(Check::new(what, Health::Warn, found).advised(advice))
        }
        Some(Err(why)) => {
            let stands = stands.map_or_else(String::new, |s| format!("{s}; "));
            let found = format!("{stands}what this principal may do with it is not known: {}", why.what);
            Some(Check::new(what, Health::Unknown, found).advised(why.advice.clone()))
        }
        Some(Ok(_)) => match (stands, side) {
            (Some(stands), _) => Some(Check::new(what, Health::Ok, stands)),
            // Before its cutover a group is not on green.
            (None, Side::Green) => None,
            (None, Side::Blue) => Some(
                Check::new(what, Health::Warn, "there is no such group")
                    .advised("check its name; it may have no commits yet"),
            ),
        },
        None => Some(Check::new(what, Health::Unknown, "what this principal may do with it was not told")),
    }
}

//! Which rights this session has on a cluster, verb by verb: asked without changing anything.

use super::{Check, Health, LOOK};
use crate::base::sanitise::visible_text;
use crate::base::{Cause, Side, Trouble};
use crate::estate::ClusterView;
use crate::estate::acl::{AclFilter, Resource};
use crate::estate::transactions::{Answer, Unavailable};
use crate::kafka::control::Cluster;
use crate::plan::Plan;
use crate::rights::held::Held;
use crate::rights::table::{Verb, Weight};
use crate::rights::{RightHeld, RightsLook, RightsScope, Role, judge_rights};
use crate::session::tools::Tools;

/// Where brokers keep groups.
const GROUPS_TOPIC: &str = "__consumer_offsets";
/// A group that a replay might have. Nobody makes one of this name.
const REPLAY_GROUP: &str = "cutover-replay-rights";

/// What was asked of a cluster's rights, and whether it ever had a group.
pub(super) struct Asked {
    pub look: RightsLook,
    /// The cluster has no `__consumer_offsets`, so it has no group: it was not asked about any, because that makes it create
    /// the topic.
    pub never_grouped: bool,
}

/// Asks the brokers what this principal may do (KIP-430). Bounded; what does not come in time is unknown.
pub(super) async fn ask_rights(plan: &Plan, tools: &Tools, side: Side, view: &ClusterView) -> Asked {
    let cluster = tools.cluster(side);
    let late =
        || Trouble::new(format!("{side} did not say in time what this principal may do"), "look at its brokers' load");
    match tokio::time::timeout(LOOK, ask_all(plan, cluster, view)).await {
        Ok(asked) => asked,
        Err(_) => Asked { look: nothing_told(&late(), view), never_grouped: false },
    }
}

fn nothing_told(why: &Trouble, view: &ClusterView) -> RightsLook {
    RightsLook {
        open: false,
        cluster: Err(why.clone()),
        topics: Default::default(),
        groups: Default::default(),
        replay_group: Err(why.clone()),
        topics_hidden: view.topics_hidden().cloned(),
    }
}

async fn ask_all(plan: &Plan, cluster: &Cluster, view: &ClusterView) -> Asked {
    let scope = plan.rights_scope(cluster.side());
    let mut topics: Vec<String> = scope.topics.iter().cloned().collect();
    match &scope.compared {
        Some(names) => topics.extend(names.iter().cloned()),
        None => topics.extend(view.topics.keys().cloned()),
    }
    topics.push(GROUPS_TOPIC.to_owned());
    topics.sort_unstable();
    topics.dedup();
    let filter = AclFilter { resource: Some(Resource::Cluster), ..AclFilter::default() };
    let (open, operations, topics) =
        tokio::join!(cluster.describe_acls(&filter), cluster.cluster_operations(), cluster.topic_operations(&topics));
    let is_open = |answer: &Answer<_>| matches!(answer, Answer::Unavailable(Unavailable::NoAuthorizer));
    let open = open.is_ok_and(|answers| !answers.is_empty() && answers.values().all(is_open));
    let gone = |told: &Result<_, Trouble>| told.as_ref().is_err_and(|why| why.has_cause(Cause::NoSuchTopic));
    let never_grouped = topics.get(GROUPS_TOPIC).is_some_and(gone);
    let none_yet = || Err(no_group_yet(cluster.side()));
    let (groups, replay_group) = match never_grouped {
        true => (scope.groups.iter().map(|g| (g.clone(), none_yet())).collect(), none_yet()),
        false => {
            let mut asked: Vec<String> = scope.groups.iter().cloned().collect();
            asked.push(REPLAY_GROUP.to_owned());
            let mut groups = cluster.group_operations(&asked).await;
            let replay_group = groups.remove(REPLAY_GROUP).unwrap_or_else(none_yet);
            (groups, replay_group)
        }
    };
    let topics_hidden = view.topics_hidden().cloned();
    Asked { look: RightsLook { open, cluster: operations, topics, groups, replay_group, topics_hidden }, never_grouped }
}

/// It reads as a right that is not told: not asked, so that nothing is made by asking.
fn no_group_yet(side: Side) -> Trouble {
    let what =
        format!("{side} never had a group, and would make {GROUPS_TOPIC} when asked about one: it was not asked");
    Trouble::new(what, "").with_cause(Cause::NoSuchTopic)
}

/// The rights of every verb for this plan on a side.
pub(super) fn list_rights(scope: &RightsScope, side: Side, look: &RightsLook) -> Vec<RightHeld> {
    Role::Operator.verbs(scope).flat_map(|verb| judge_rights(verb, side, scope, look)).collect()
}

/// A row for whether the list of topics is whole, and one a verb.
pub(super) fn check_rights(side: Side, view: &ClusterView, look: &RightsLook, rights: &[RightHeld]) -> Vec<Check> {
    let mut checks = Vec::new();
    let what = format!("list of topics of {side}");
    checks.push(match view.topics_hidden() {
        None => Check::new(what, Health::Ok, format!("whole: {} topics, and none can be hidden", view.topics.len())),
        Some(why) => {
            let found = format!("{} topics are visible; {}", view.topics.len(), why.what);
            Check::new(what, Health::Warn, found).advised(why.advice.clone())
        }
    });
    if look.open {
        let found = "no authorizer is configured: everybody may do everything";
        checks.push(Check::new(format!("rights of every verb on {side}"), Health::Ok, found));
        return checks;
    }
    let mut verbs: Vec<Verb> = rights.iter().map(|r| r.verb).collect();
    verbs.dedup();
    checks.extend(verbs.into_iter().map(|verb| {
        let of_verb: Vec<&RightHeld> = rights.iter().filter(|r| r.verb == verb).collect();
        check_verb(verb, side, &of_verb)
    }));
    checks
}

fn check_verb(verb: Verb, side: Side, rights: &[&RightHeld]) -> Check {
    let what = format!("rights of {verb} on {side}");
    let (mut lacking, mut unknown, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    for right in rights {
        match &right.held {
            Held::Yes => {}
            Held::No { .. } => {
                let part = if right.weight == Weight::Part { " for a part" } else { "" };
                lacking.push(format!("{} is missing{part}: {}", right.describe_right(), right.without));
            }
            Held::Unknown { why } => unknown.push((format!("{}: {}", right.describe_right(), why.what), &why.advice)),
            Held::Untold { why } => untold.push((format!("{}: {}", right.describe_right(), why.what), &why.advice)),
        }
    }
    let held = format!("{} of {} are held", rights.len() - lacking.len() - unknown.len() - untold.len(), rights.len());
    let words = |title: &str, of: &[(String, &String)]| {
        of.first().map(|(first, _)| {
            let more = if of.len() > 1 { format!(" (and {} more)", of.len() - 1) } else { String::new() };
            format!("; {title}: {first}{more}")
        })
    };
    let mut found = held;
    for line in &lacking {
        found += &format!("; {line}");
    }
    found += &words("unknown", &unknown).unwrap_or_default();
    found += &words("not told", &untold).unwrap_or_default();
    let role = if verb.changes_cluster() { Role::Operator } else { Role::ReadOnly };
    let grant = format!("`cutover doctor --acls {role} --principal User:NAME` writes the lines that grant it");
    match (lacking.is_empty(), unknown.first(), untold.first()) {
        (false, ..) => Check::new(what, Health::Warn, visible_text(&found)).advised(grant),
        (true, Some((_, advice)), _) => {
            Check::new(what, Health::Unknown, visible_text(&found)).advised((*advice).clone())
        }
        (true, None, Some((_, advice))) => {
            Check::new(what, Health::Warn, visible_text(&found)).advised((*advice).clone())
        }
        (true, None, None) => Check::new(what, Health::Ok, found),
    }
}

//! One cluster in a snapshot.

use super::Scene;
use crate::base::sanitise::visible_names;
use crate::base::{Observed, Side, Trouble};
use crate::estate::{ClusterView, GroupView};
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::group::left_behind;
use crate::snapshot::{SideView, Throttling};

/// A cluster as last seen.
pub(super) fn side_view(scene: &Scene<'_>, sight: &RuleContext<'_>, side: Side) -> SideView {
    let plan = scene.plan.cluster(side);
    let bootstrap = plan.bootstrap.join(",");
    let observed = scene.estate.side(side);
    let identity_trouble = sight.identity_trouble(side);
    // What another cluster shows is nothing of this one.
    let (empty, right) = (ClusterView::default(), identity_trouble.is_none());
    let view = observed.value().filter(|_| right).unwrap_or(&empty);
    let partitions = || view.topics.values().flat_map(|t| &t.partitions);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let answered = view.brokers.values().filter(|b| matches!(b.answered, Some(Ok(())))).count();
    let left = left_behind(sight.settings, sight.state);
    let here = |id: &str, g: &GroupView| !g.offsets.is_empty() && !left.contains(&(side, id.to_owned()));
    let (mut oldest, mut unknown) = (None, 0);
    for (id, g) in view.groups.iter().filter(|(id, g)| here(id, g) || g.trouble.is_some()) {
        match sight.lag.time_lag_ms(side, g) {
            Some(ms) => oldest = oldest.max(Some(ms)),
            // What it reads is older than the samples, or it can't be read: the oldest may be its own.
            None if g.trouble.is_some() || sight.lag.group_lag(side, id).is_none_or(|lag| lag > 0) => unknown += 1,
            None => {}
        }
    }
    SideView {
        side,
        name: plan.name.clone().unwrap_or_else(|| bootstrap.clone()),
        bootstrap,
        link: link_of(observed),
        cluster_id: observed.value().and_then(|v| v.cluster_id.clone()),
        identity_trouble,
        brokers: (count(answered), count(view.brokers.len())),
        broker_troubles: broker_troubles(view),
        under_replicated: count(partitions().filter(|p| p.isr < p.replicas).count()),
        leaderless: count(partitions().filter(|p| p.leader < 0).count()),
        topics: count(view.topics.len()),
        in_rate: sight.lag.in_rate(side).filter(|_| right),
        out_rate: sight.lag.out_rate(side).filter(|_| right),
        // A sum over groups of which some are listed by nobody would be too low.
        lag: sight.lag.total(side).filter(|_| right && view.unlisted.is_none()),
        trend: if right { sight.lag.total_trend(side) } else { Vec::new() },
        oldest_ms: oldest,
        oldest_unknown: unknown,
        groups_hidden: observed.value().and_then(|v| v.groups_hidden(side)),
        topics_hidden: topics_hidden(view, side),
        throttled: view.throttled.as_ref().map(|t| Throttling {
            ms: t.ms,
            words: t.describe_throttling(side),
            trouble: t.to_trouble(side),
        }),
    }
}

fn link_of(observed: &Observed<ClusterView>) -> Observed<u64> {
    match observed {
        Observed::Absent { why } => Observed::Absent { why: why.clone() },
        Observed::Known { value, at, trouble } => {
            Observed::Known { value: value.took_ms, at: *at, trouble: trouble.clone() }
        }
    }
}

/// What brokers did not tell. Groups that nobody lists, because what keeps them has no leader, are among it.
fn broker_troubles(view: &ClusterView) -> Vec<Trouble> {
    let silent = view.brokers.values().filter_map(|b| b.answered.as_ref()?.as_ref().err().cloned());
    let silent: Vec<Trouble> = silent.collect();
    // A silent broker is why its groups are not listed: that is said once.
    if silent.is_empty() { view.unlisted.iter().cloned().collect() } else { silent }
}

/// Topics of the plan that may not be seen, with the first one's reason.
fn topics_hidden(view: &ClusterView, side: Side) -> Option<Trouble> {
    const NAMED: usize = 3;
    let (_, why) = view.hidden_topics.first_key_value()?;
    let some: Vec<&str> = view.hidden_topics.keys().take(NAMED).map(String::as_str).collect();
    let more = view.hidden_topics.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = format!("topics of the plan that can't be seen on {side}: {}{more}: {}", visible_names(&some), why.what);
    Some(Trouble::new(what, why.advice.clone()))
}

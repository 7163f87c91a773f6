//! One cluster in a snapshot.

use super::Scene;
use crate::controller::snapshot::SideView;
use crate::migration::estate::{ClusterView, GroupView, Observed, Side, Trouble};
use crate::migration::group::left_behind;
use crate::migration::sight::Sight;

/// A cluster as last seen.
pub(super) fn side(scene: &Scene<'_>, sight: &Sight<'_>, side: Side) -> SideView {
    let plan = scene.plan.cluster(side);
    let bootstrap = plan.bootstrap.join(",");
    let observed = scene.estate.side(side);
    let empty = ClusterView::default();
    let view = observed.value().unwrap_or(&empty);
    let partitions = || view.topics.values().flat_map(|t| &t.partitions);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let answered = view.brokers.values().filter(|b| matches!(b.answered, Some(Ok(())))).count();
    let left = left_behind(sight.settings, sight.state);
    let here = |id: &str, g: &GroupView| !g.offsets.is_empty() && !left.contains(&(side, id.to_owned()));
    let mut lags = view.groups.iter().filter(|(id, g)| here(id, g)).filter_map(|(_, g)| sight.lag.time_lag_ms(side, g));
    let first = lags.next();
    SideView {
        side,
        name: plan.name.clone().unwrap_or_else(|| bootstrap.clone()),
        bootstrap,
        link: link(observed),
        cluster_id: view.cluster_id.clone(),
        identity_trouble: sight.identity_trouble(side),
        brokers: (count(answered), count(view.brokers.len())),
        broker_troubles: broker_troubles(view),
        under_replicated: count(partitions().filter(|p| p.isr < p.replicas).count()),
        leaderless: count(partitions().filter(|p| p.leader < 0).count()),
        topics: count(view.topics.len()),
        in_rate: sight.lag.in_rate(side),
        out_rate: sight.lag.out_rate(side),
        lag: sight.lag.total(side),
        trend: sight.lag.total_trend(side),
        oldest_ms: lags.fold(first, |worst, ms| worst.max(Some(ms))),
    }
}

fn link(observed: &Observed<ClusterView>) -> Observed<u64> {
    match observed {
        Observed::Absent { why } => Observed::Absent { why: why.clone() },
        Observed::Known { value, at, trouble } => {
            Observed::Known { value: value.took_ms, at: *at, trouble: trouble.clone() }
        }
    }
}

fn broker_troubles(view: &ClusterView) -> Vec<Trouble> {
    view.brokers.values().filter_map(|b| b.answered.as_ref()?.as_ref().err().cloned()).collect()
}

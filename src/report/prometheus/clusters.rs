//! Both clusters, and the groups that the plan does not list.

use super::families as f;
use super::{Page, count, number, seconds};
use crate::base::{Observed, Side, Sides};
use crate::estate::GroupState;
use crate::report::words;
use crate::snapshot::{GroupSide, SideView, Snapshot};

pub(super) fn write(page: &mut Page, s: &Snapshot) {
    let sides = || [&s.blue, &s.green].into_iter().map(|v| ([v.side.name()], v));
    page.add_states(&f::CLUSTER_STATE, words::CLUSTERS, sides().map(|(l, v)| (l, cluster_state(v, s))));
    page.add(&f::CLUSTER_AGE, sides().map(|(l, v)| (l, v.link.age_ms(s.now).map(seconds))));
    // What is stale, or of another cluster, is not said.
    let seen = Sides::from_fn(|side| s.side(side).why_untrusted(page.now, page.stale_ms).is_none());
    let mut add = |family, of: fn(&SideView) -> Option<f64>| {
        page.add(family, sides().map(|(l, v)| (l, of(v).filter(|_| seen[v.side]))));
    };
    add(&f::CLUSTER_BROKERS, |v| Some(f64::from(v.brokers.1)));
    add(&f::CLUSTER_BROKERS_UP, |v| Some(f64::from(v.brokers.0)));
    add(&f::CLUSTER_TOPICS, |v| Some(f64::from(v.topics)));
    add(&f::CLUSTER_UNDER, |v| Some(f64::from(v.under_replicated)));
    add(&f::CLUSTER_LEADERLESS, |v| Some(f64::from(v.leaderless)));
    add(&f::CLUSTER_LAG, |v| v.lag.map(number));
    // Of groups whose time lag is not known one may be further behind.
    add(&f::CLUSTER_OLDEST, |v| v.oldest_ms.filter(|_| v.oldest_unknown == 0).map(seconds));
    add(&f::CLUSTER_THROTTLE, |v| Some(seconds(v.throttled.as_ref().map_or(0, |t| t.ms))));
    add(&f::CLUSTER_WRITTEN, |v| v.in_rate);
    add(&f::CLUSTER_CONSUMED, |v| v.out_rate);
    write_unlisted(page, s, seen);
}

/// `None` before the first look.
fn cluster_state(v: &SideView, s: &Snapshot) -> Option<&'static str> {
    match &v.link {
        // nothing was tried yet: nothing is advised
        Observed::Absent { why } if why.advice.is_empty() && v.identity_trouble.is_none() => None,
        _ => Some(words::cluster_word(v, s)),
    }
}

fn write_unlisted(page: &mut Page, s: &Snapshot, seen: Sides<bool>) {
    let sums = Side::BOTH.into_iter().map(|side| {
        let of = s.groups.iter().filter(|g| !g.listed).map(|g| g.on_side(side));
        // Kafka answers Dead for a group that it does not know.
        let there = |v: &&GroupSide| v.state.is_some_and(|state| state != GroupState::Dead) || v.trouble.is_some();
        let found: Vec<&GroupSide> = of.filter(there).collect();
        // A group without commits has no lag; one that could not be read has one that is not known.
        let told = |v: &&GroupSide| v.trouble.is_none() && v.at.is_some_and(|at| page.is_fresh(at));
        // ... and one with a commit where the end is not known has a lag that is not known either.
        let endless = s.groups.iter().filter(|g| !g.listed).flat_map(|g| &g.partitions).any(|p| {
            let p = p.on_side(side);
            p.committed.is_some() && p.end.is_none()
        });
        let known = seen[side] && !endless && found.iter().all(told);
        let lag: u64 = found.iter().filter_map(|v| v.lag).sum();
        // What may be hidden is not counted.
        let whole = seen[side] && s.side(side).groups_hidden.is_none();
        (side.name(), whole.then(|| count(found.len())), (known && whole).then(|| number(lag)))
    });
    let sums: Vec<_> = sums.collect();
    page.add(&f::UNLISTED, sums.iter().map(|(side, n, _)| ([side], *n)));
    page.add(&f::UNLISTED_LAG, sums.iter().map(|(side, _, lag)| ([side], *lag)));
}

//! Whether a cluster is the one that is meant: one check, and one way to say it.

use crate::base::sanitise::visible_name;
use crate::base::{Cause, Side, Trouble};

/// Who says which cluster a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub(crate) enum PinnedBy {
    /// `cluster_id` in the plan.
    #[strum(serialize = "the plan")]
    Plan,
    /// What an earlier session saw first.
    #[strum(serialize = "the journal")]
    Journal,
}

/// Why a cluster is not the one that a side is pinned to, if so. Every check of an identity says it in these words.
#[must_use]
pub(crate) fn wrong_cluster(side: Side, seen: &str, pin: &str, by: PinnedBy) -> Option<Trouble> {
    (seen != pin).then(|| {
        Trouble::new(
            format!("{side} is cluster {}, but {by} pins {}", visible_name(seen), visible_name(pin)),
            format!("correct bootstrap or cluster_id of {side} in the plan; nothing can be done until they agree"),
        )
    })
}

/// Two addresses of a side (or one, at different times) that lead to different clusters: `(address, cluster id)`.
#[must_use]
pub(crate) fn two_clusters(side: Side, one: (&str, &str), other: (&str, &str)) -> Trouble {
    // In one order: the same trouble must not read as a new one because the addresses answered the other way round.
    let ((a, x), (b, y)) = if one <= other { (one, other) } else { (other, one) };
    let [at, x, bt, y] = [a, x, b, y].map(visible_name);
    let what = match a == b {
        true => format!("the address {at} of {side} leads to two clusters: {x} and {y}"),
        false => format!("the addresses of {side} lead to two clusters: {at} is cluster {x}, {bt} is cluster {y}"),
    };
    let advice = format!(
        "let bootstrap of {side} in the plan, and the names behind it, lead to one cluster; nothing can be done until then"
    );
    Trouble::new(what, advice).with_cause(Cause::TwoClusters)
}

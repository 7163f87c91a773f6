//! Which timestamps a topic takes: three settings of which one is old. Until 3.6 `message.timestamp.difference.max.ms` bounds
//! both directions; from 3.6 on `before` and `after` bound one each and the old one counts where they have no bound; 4.0
//! drops it, and bounds `after` to an hour (KIP-937, KIP-1030; Kafka's `LogConfig.getMessageTimestampBeforeMaxMs`).

use std::collections::BTreeMap;

use crate::estate::inventory::Setting;

/// The one that is old.
pub(super) const OLD_LIMIT: &str = "message.timestamp.difference.max.ms";
pub(super) const BEFORE_LIMIT: &str = "message.timestamp.before.max.ms";
pub(super) const AFTER_LIMIT: &str = "message.timestamp.after.max.ms";

/// Without a bound.
const NONE: i64 = i64::MAX;

/// A number that no setting has: what is there is not known, so that whatever is wanted has to be set.
const NOT_KNOWN: i64 = -1;

/// Whether a setting is one of the three: they are judged together.
pub(super) fn is_timestamp_limit(name: &str) -> bool {
    [OLD_LIMIT, BEFORE_LIMIT, AFTER_LIMIT].contains(&name)
}

/// How old, and how far ahead of a broker's clock, a record may be, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimestampBounds {
    pub(super) before: i64,
    pub(super) after: i64,
}

impl TimestampBounds {
    /// Whether every timestamp is taken.
    pub(super) fn is_unbounded(self) -> bool {
        self.before == NONE && self.after == NONE
    }
}

/// The three settings as they stand; `None`: the cluster does not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TimestampLimits {
    difference: Option<i64>,
    before: Option<i64>,
    after: Option<i64>,
}

impl TimestampLimits {
    /// As `value_of` gives them: `None` where there is no such setting.
    pub(super) fn read_with(mut value_of: impl FnMut(&str) -> Option<String>) -> Self {
        let mut number = |name| value_of(name).and_then(|value| value.trim().parse().ok());
        Self { difference: number(OLD_LIMIT), before: number(BEFORE_LIMIT), after: number(AFTER_LIMIT) }
    }

    /// Those in effect on a topic.
    pub(super) fn of_topic(settings: &BTreeMap<String, Setting>) -> Self {
        Self::read_with(|name| settings.get(name)?.value.clone())
    }

    /// Those of a topic that is not there yet, on a cluster that knows these names: `value_of` where that is known.
    pub(super) fn of_new_topic(knows: impl Fn(&str) -> bool, value_of: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| knows(name).then(|| value_of(name).unwrap_or_else(|| NOT_KNOWN.to_string()));
        Self::read_with(value)
    }

    /// Whether it is known what stands there.
    pub(super) fn is_known(&self) -> bool {
        [self.difference, self.before, self.after].into_iter().flatten().all(|limit| limit != NOT_KNOWN)
    }

    /// What comes of them; `None` where the cluster bounds no timestamps at all.
    pub(super) fn to_bounds(self) -> Option<TimestampBounds> {
        let either = |bound: Option<i64>| match (bound, self.difference) {
            (Some(bound), _) if bound != NONE => Some(bound),
            (_, Some(difference)) => Some(difference),
            (bound, None) => bound,
        };
        Some(TimestampBounds { before: either(self.before)?, after: either(self.after)? })
    }

    /// What to set, so that these bounds come of it; `None` where the cluster can't have them.
    pub(super) fn plan_bounds(&self, wanted: TimestampBounds) -> Option<Vec<(&'static str, i64)>> {
        let mut planned = *self;
        let mut set = Vec::new();
        if self.before.is_none() || self.after.is_none() {
            // An older cluster: one bound for both directions.
            let current = self.difference?;
            planned.difference = Some(wanted.before);
            if planned.to_bounds() != Some(wanted) {
                return None;
            }
            return Some(if current == wanted.before { set } else { vec![(OLD_LIMIT, wanted.before)] });
        }
        // "Without a bound" is only so where the old setting has none either.
        let unbound = wanted.before == NONE || wanted.after == NONE;
        if unbound && self.difference.is_some_and(|difference| difference != NONE) {
            planned.difference = Some(NONE);
            set.push((OLD_LIMIT, NONE));
        }
        for (name, wanted, now) in [
            (BEFORE_LIMIT, wanted.before, planned.to_bounds()?.before),
            (AFTER_LIMIT, wanted.after, planned.to_bounds()?.after),
        ] {
            if now != wanted {
                set.push((name, wanted));
            }
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(difference: Option<i64>, before: Option<i64>, after: Option<i64>) -> TimestampLimits {
        TimestampLimits { difference, before, after }
    }

    fn bounds(before: i64, after: i64) -> Option<TimestampBounds> {
        Some(TimestampBounds { before, after })
    }

    #[test]
    fn the_old_setting_counts_where_the_new_ones_have_no_bound() {
        for (limits, expected) in [
            (limits(Some(7), None, None), bounds(7, 7)),
            (limits(Some(NONE), Some(5), Some(NONE)), bounds(5, NONE)),
            (limits(Some(7), Some(5), Some(NONE)), bounds(5, 7)),
            (limits(None, Some(NONE), Some(3_600_000)), bounds(NONE, 3_600_000)),
            (limits(None, None, None), None),
        ] {
            assert_eq!(limits.to_bounds(), expected, "{limits:?}");
        }
    }

    #[test]
    fn an_older_cluster_has_one_bound_for_both() {
        let old = limits(Some(NONE), None, None);
        let wanted = |before, after| TimestampBounds { before, after };
        assert_eq!(old.plan_bounds(wanted(5, 5)), Some(vec![(OLD_LIMIT, 5)]));
        assert_eq!(old.plan_bounds(wanted(5, 6)), None);
        assert_eq!(old.plan_bounds(wanted(NONE, NONE)), Some(vec![]));
        let new = limits(None, Some(NONE), Some(3_600_000));
        assert_eq!(
            new.plan_bounds(wanted(NONE, NONE)),
            Some(vec![(AFTER_LIMIT, NONE)]),
            "3.x to 4.x: its default is an hour"
        );
    }

    proptest! {
        #[test]
        fn what_is_planned_brings_the_bounds_about(
            difference in prop::option::of(prop::sample::select(vec![NONE, 1, 2])),
            before in prop::sample::select(vec![NONE, 1, 2]),
            after in prop::sample::select(vec![NONE, 1, 2]),
            wanted in prop::sample::select(vec![(NONE, NONE), (1, NONE), (NONE, 2), (1, 2), (2, 2)]),
        ) {
            let wanted = TimestampBounds { before: wanted.0, after: wanted.1 };
            let mut limits = limits(difference, Some(before), Some(after));
            for (name, value) in limits.plan_bounds(wanted).unwrap() {
                let field = match name {
                    OLD_LIMIT => &mut limits.difference,
                    BEFORE_LIMIT => &mut limits.before,
                    _ => &mut limits.after,
                };
                prop_assert!(field.is_some(), "{} is not known there", name);
                *field = Some(value);
            }
            prop_assert_eq!(limits.to_bounds(), Some(wanted));
            prop_assert_eq!(limits.plan_bounds(wanted), Some(vec![]));
        }
    }
}

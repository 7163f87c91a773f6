//! Offsets that lay past a group's position and that its logs have lost since. They may have been records that it never
//! read, or only markers of transactions, which nobody reads: once they are gone nobody can tell. So nothing that rests on
//! them is proven any more, and a person who knows better says so by name.

use super::app;
use super::context::RuleContext;
use super::gate::Gate;
use super::group;
use super::lag::Astray;
use crate::base::{At, Side, TopicPartition};
use crate::estate::GroupView;
use crate::migration::facts::overrides::{GateName, HeldGate};
use crate::migration::run::machine::Machine;
use crate::migration::soak::criteria::{Criterion, Metric};

/// What one log lost before a group read it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ExpiredOffsets {
    /// Where.
    tp: TopicPartition,
    /// What is committed.
    committed: i64,
    /// The same, past what is known to have held no record.
    from: i64,
    /// Where the log starts.
    start: i64,
}

impl ExpiredOffsets {
    /// `orders-0 [100, 101)`: what a person types.
    fn describe_range(&self) -> String {
        format!("{} [{}, {})", self.tp, self.committed, self.start)
    }
}

/// What the logs of a side lost before a group read it, as the newest round shows it.
fn list_expired(sight: &RuleContext<'_>, id: &str, side: Side) -> Vec<ExpiredOffsets> {
    let mut all = Vec::new();
    let Some((view, group)) = sight.estate.side(side).value().and_then(|v| Some((v, v.groups.get(id)?))) else {
        return all;
    };
    // Where a position lies beyond its log, that is another log: what it lost was never this group's to read.
    if !matches!(sight.lag.astray(side, id), Some(Astray::Expired { .. })) {
        return all;
    }
    for (topic, partitions) in &group.offsets {
        let Some(log) = view.topics.get(topic) else { continue };
        for (partition, at) in partitions {
            let log = usize::try_from(*partition).ok().and_then(|p| log.partitions.get(p));
            let Some(start) = log.and_then(|p| p.log_start) else { continue };
            let tp = TopicPartition::new(topic.clone(), *partition);
            // What was looked through belongs to one log: one created again under the name is another.
            let blank = sight.estate.blanks[side].get(&tp).filter(|b| b.is_of(view, topic));
            let from = blank.map_or(at.offset, |b| b.move_past(at.offset));
            if start > from {
                all.push(ExpiredOffsets { tp, committed: at.offset, from, start });
            }
        }
    }
    all
}

/// How many offsets that is.
fn count_offsets(all: &[ExpiredOffsets]) -> u64 {
    all.iter().map(|e| e.start.abs_diff(e.from)).fold(0, u64::saturating_add)
}

/// The group as if it stood where the logs begin: from there on it can read.
fn move_past_expired(view: &GroupView, all: &[ExpiredOffsets]) -> GroupView {
    let mut moved = view.clone();
    for e in all {
        let at = moved.offsets.get_mut(&e.tp.topic).and_then(|ps| ps.get_mut(&e.tp.partition));
        if let Some(at) = at {
            at.offset = at.offset.max(e.start);
        }
    }
    moved
}

impl Machine {
    /// What expired on green before a group read it, as a gate that a person may pass over.
    pub(in crate::migration) fn find_expired_gate(&self, group: &str, now: At) -> Option<HeldGate> {
        let (sight, side) = (self.rule_context(now), Side::Green);
        let all = list_expired(&sight, sight.id_on(group, side), side);
        let names: Vec<String> = all.iter().map(ExpiredOffsets::describe_range).collect();
        let why = format!(
            "{} offsets on {side} expired before they were read, and whether records lay there can't be told any more: {}",
            count_offsets(&all),
            names.join(", ")
        );
        (!all.is_empty())
            .then(|| HeldGate { names, ..HeldGate::new(GateName::Expired, Some(count_offsets(&all)), why) })
    }

    /// How a criterion of a group's soak stands when it counts from where the logs begin now, past what expired: what it
    /// is, in words, or what is wrong with it.
    pub(in crate::migration) fn judge_from_log_start(
        &self,
        name: &str,
        rule: &Criterion,
        now: At,
    ) -> Result<String, Gate> {
        let (sight, side) = (self.rule_context(now), Side::Green);
        let (id, label) = (sight.id_on(name, side), rule.metric.label());
        let gone = list_expired(&sight, id, side);
        let unknown = |why: String| Gate::Unknown { why };
        // What passes here may end a soak, so it rests on fresh looks alone, like any other.
        sight.fresh_cluster(side).map_err(|r| unknown(r.why))?;
        let view = sight.fresh_group(name, side).map_err(|r| unknown(r.why))?;
        let value = match (rule.metric, view) {
            // The lag is counted from the commit on, so what expired is in it, and can't be worked off any more.
            (Metric::Lag, Some(_)) => self.lag.group_lag(side, id).map(|lag| lag.saturating_sub(count_offsets(&gone))),
            (Metric::TimeLag, Some(view)) => self.lag.time_lag_ms(side, &move_past_expired(view, &gone)),
            _ => None,
        };
        // Without a baseline: a limit that is relative to one can't be judged here, and stays Unknown.
        let (Some(view), Some(value), Some(bound)) = (view, value, rule.limit.bound(None)) else {
            return Err(unknown(format!("{label} from where the logs begin now can't be told")));
        };
        // Stuck means nothing where all that is unread is what expired.
        let left = self.lag.readable(side, id).is_some_and(|n| n > count_offsets(&gone));
        #[allow(clippy::cast_precision_loss)] // no lag and no age is beyond 2^52
        let number = value as f64;
        let is = format!("{label} {} from where the logs begin now", rule.metric.format_value(number));
        // One that only commits is Empty while it works: what it is shows from where it ran before.
        if group::is_empty(view) && !app::commits_alone(&sight, name, Side::Blue) {
            return Err(Gate::Fail { why: format!("nobody consumes on {side}") });
        }
        if self.lag.is_stuck(side, id) && left {
            return Err(Gate::Fail { why: format!("stuck: {is}, and no commit moves") });
        }
        match rule.limit.admits(number, bound) {
            true => Ok(is),
            false => Err(Gate::Fail { why: format!("{is}: it has to be {}", rule.describe_limit(None)) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::estate::Committed;

    #[test]
    fn what_expired_is_named_from_the_commit_to_where_the_log_begins() {
        let e = ExpiredOffsets { tp: TopicPartition::new("t", 3), committed: 100, from: 101, start: 104 };
        assert_eq!((e.describe_range().as_str(), count_offsets(&[e.clone(), e.clone()])), ("t-3 [100, 104)", 6));
        let at: BTreeMap<i32, Committed> = [(3, Committed { offset: 100, leader_epoch: -1 })].into();
        let view = GroupView { offsets: [("t".to_owned(), at)].into(), ..GroupView::default() };
        assert_eq!(move_past_expired(&view, &[e]).committed_offset("t", 3), Some(104));
    }
}

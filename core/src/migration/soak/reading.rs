//! A soak as one round on green shows it: readings for its criteria and triggers, and the watch over the side that was
//! left.

use std::collections::BTreeMap;

use super::criteria::{Lack, Metric, MetricReading};
use super::watch::Watch;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, TopicPartition};
use crate::estate::{ClusterView, GroupView};
use crate::migration::facts::settings::Criteria;
use crate::migration::rules::app;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::drain;
use crate::migration::rules::group;
use crate::migration::rules::lag::Astray;

/// Nothing written or consumed for this part of the time that the lag criterion needs says nothing about a group.
const IDLE_SHARE: u64 = 8;

/// One group's soak.
#[derive(Debug, Clone)]
pub(in crate::migration) struct GroupSoak {
    pub watch: Watch,
    /// The newest round on green that was taken in.
    seen: Option<At>,
    /// What was written and consumed when one of them was last seen to move; the sum is `None` until all of it was seen.
    moved: Option<(At, Option<i64>)>,
    /// Commits on the side that was left, for groups whose drain the journal does not have.
    left: Option<BTreeMap<TopicPartition, i64>>,
}

impl GroupSoak {
    pub fn new(watch: Watch) -> Self {
        Self { watch, seen: None, moved: None, left: None }
    }

    /// Takes the newest round on green in, if it is another one. Returns how many records the dead-letter topic holds
    /// when that is not written down yet: what it gains is counted from there.
    pub fn feed(&mut self, sight: &RuleContext<'_>, name: &str, criteria: &Criteria) -> Option<f64> {
        let Observed::Known { at, value, .. } = &sight.estate.clusters.green else { return None };
        let at = *at;
        if self.seen == Some(at) {
            return None;
        }
        self.seen = Some(at);
        let gap = sight.settings.sample_gap_ms;
        let idle_ms = gap.max(criteria.needed_ms(Metric::Lag) / IDLE_SHARE);
        let idle_since = self.idle_since(sight, name, value, at).filter(|since| at.since(*since) > idle_ms);
        for (metric, of) in [(Metric::Lag, read_lag as MetricReader), (Metric::TimeLag, read_time_lag)] {
            let mut reading = match find_measurable_group(sight, name, at) {
                Ok(view) => of(sight, name, view, at),
                Err(Unseen::Bad(flaw)) => {
                    // Bad, and without a number: a criterion fails by that, a trigger compares numbers and can't tell.
                    MetricReading { flaw: Some(flaw.clone()), ..MetricReading::missing(at, flaw) }
                }
                Err(Unseen::Unknown(why)) => MetricReading::missing(at, why),
                Err(Unseen::Expired(why)) => MetricReading { lack: Lack::Expired, ..MetricReading::missing(at, why) },
            };
            reading.idle_since = idle_since;
            self.watch.feed(metric, &reading, gap);
        }
        let topic = criteria.dlq.as_deref()?;
        let base = sight.state.groups.get(name).and_then(|g| g.baselines.get(&Metric::DlqGrowth)).copied();
        let held = count_dead_letters(value, topic);
        let reading = match (&held, base) {
            _ if sight.fresh_cluster(Side::Green).is_err() => MetricReading::missing(at, "green was not seen recently"),
            (Err(why), _) => MetricReading::missing(at, why.clone()),
            (Ok(held), Some(base)) if *held < base => MetricReading::missing(
                at,
                format!(
                    "the end of {topic} on green went back: it was recreated or truncated, and what it gained is lost",
                    topic = visible_name(topic)
                ),
            ),
            // The first count becomes the base, so nothing is gained by then.
            (Ok(held), base) => MetricReading::number(at, held - base.unwrap_or(*held)),
        };
        self.watch.feed(Metric::DlqGrowth, &reading, gap);
        if base.is_none() { held.ok() } else { None }
    }

    /// Since when neither its topics on green were seen to grow nor its commits to move.
    fn idle_since(&mut self, sight: &RuleContext<'_>, name: &str, view: &ClusterView, at: At) -> Option<At> {
        let topics = group::topics_read(sight, name, Side::Green);
        let written = topics.iter().filter_map(|t| view.topics.get(t)).flat_map(|t| &t.partitions);
        // One part that is not known makes the sum none: a leader or coordinator that comes and goes is no movement.
        let written: Option<i64> = written.map(|p| p.high_watermark).sum();
        let group = view.groups.get(sight.id_on(name, Side::Green)).filter(|g| g.trouble.is_none());
        let committed = group.map(|g| g.offsets.values().flat_map(|p| p.values().map(|c| c.offset)).sum::<i64>());
        let sum = written.zip(committed).map(|(written, committed)| written.saturating_add(committed));
        self.idle_by(sum, at)
    }

    /// The same, by what was written and consumed in all: `None` when that is not known.
    fn idle_by(&mut self, sum: Option<i64>, at: At) -> Option<At> {
        match self.moved {
            // From a moment that lies ahead (the clock was set back) nothing can be counted.
            Some((since, before)) if since <= at && (sum.is_none() || before.is_none() || before == sum) => {
                self.moved = Some((since, sum.or(before)));
                Some(since)
            }
            _ => {
                self.moved = Some((at, sum));
                None
            }
        }
    }

    /// Somebody works on the side that was left: who, in words. `None` also while it can't be told.
    pub(crate) fn find_intruder(
        &mut self,
        sight: &RuleContext<'_>,
        name: &str,
        left: Side,
        since: At,
    ) -> Option<String> {
        // What was seen before the soak was its move's to judge.
        let seen = sight.latest_look(name, left).filter(|s| s.at > since)?;
        let view = seen.view.filter(|v| v.trouble.is_none())?;
        if let Some(m) = view.members.first() {
            return Some(format!(
                "{} at {} is a member of {name} on {left}",
                visible_name(&m.client_id),
                visible_name(&m.host),
                name = visible_name(name)
            ));
        }
        let now = drain::committed_offsets(Some(view));
        let proof = sight.state.groups.get(name).and_then(|g| g.drained.as_ref()).filter(|p| p.side == left);
        let before = match proof {
            Some(p) => p.committed.iter().cloned().collect(),
            None => self.left.get_or_insert_with(|| now.clone()).clone(),
        };
        // Offsets that expired or were deleted are gone, not moved.
        let moved = now.iter().find(|(tp, offset)| before.get(tp) != Some(offset))?;
        let was = before.get(moved.0).map_or("nothing".to_string(), ToString::to_string);
        Some(format!(
            "{name} committed {} on {left} at {}, where {was} stood after the drain",
            moved.1,
            moved.0,
            name = visible_name(name)
        ))
    }

    /// A person has seen it: what stands now must stand from here.
    pub(crate) fn forgive_intruder(&mut self) {
        self.left = None;
    }
}

/// Why a group can't be judged by its offsets.
enum Unseen {
    /// It is seen, and bad.
    Bad(String),
    /// It can't be told.
    Unknown(String),
    /// It can't be told any more: offsets expired before the group read them.
    Expired(String),
}

type MetricReader = fn(&RuleContext<'_>, &str, &GroupView, At) -> MetricReading;

/// The group on green, if somebody consumes there and it can be measured.
fn find_measurable_group<'a>(sight: &RuleContext<'a>, name: &str, at: At) -> Result<&'a GroupView, Unseen> {
    let id = sight.id_on(name, Side::Green);
    let view = sight.fresh_group(name, Side::Green).map_err(|r| Unseen::Unknown(r.why))?;
    let Some(view) = view else {
        return Err(Unseen::Bad(format!("{id} does not exist on green", id = visible_name(id))));
    };
    // Against ends that are older than the commits a lag comes out too low.
    if sight.now.since(at) > sight.settings.zero_age_ms {
        let age = format_duration(sight.now.since(at));
        return Err(Unseen::Unknown(format!("the ends on green were sampled {age} ago")));
    }
    if let Some(topic) = find_recreated_topic(sight, name) {
        return Err(Unseen::Bad(format!(
            "topic {topic} on green is another one than {id} was translated for: it was deleted and created again",
            topic = visible_name(topic),
            id = visible_name(id)
        )));
    }
    match sight.lag.astray(Side::Green, id) {
        Some(astray @ Astray::Beyond { .. }) => Err(Unseen::Bad(astray.describe_position(Side::Green))),
        // The last ones may have been transaction markers, which nobody reads.
        Some(astray @ Astray::Expired { .. }) => Err(Unseen::Expired(astray.describe_position(Side::Green))),
        None => Ok(view),
    }
}

/// A topic that is not the one any more that a group was translated for when it came to green.
pub(in crate::migration) fn find_recreated_topic<'a>(sight: &RuleContext<'a>, name: &str) -> Option<&'a str> {
    // Not by its last run: a rehearsal, or offsets that were set on blue, say nothing of what it reads on green.
    let translated = &sight.state.groups.get(name)?.green_ids;
    let topics = &sight.estate.clusters.green.value()?.topics;
    let other = |(topic, id): &(&String, &String)| {
        let seen = topics.get(*topic).and_then(|t| t.id.as_ref());
        seen.is_some_and(|seen| seen != *id)
    };
    translated.iter().find(other).map(|(topic, _)| topic.as_str())
}

fn read_lag(sight: &RuleContext<'_>, name: &str, view: &GroupView, at: At) -> MetricReading {
    let id = sight.id_on(name, Side::Green);
    let Some(lag) = sight.lag.group_lag(Side::Green, id) else {
        return MetricReading::missing(at, format!("the lag of {id} on green is not known", id = visible_name(id)));
    };
    // Lag is also low when nobody consumes: that is no soak.
    // One that only commits is always Empty: whether it is one shows from where it ran before.
    let flaw = if group::is_empty(view) && !app::commits_alone(sight, name, Side::Blue) {
        Some("nobody consumes on green".to_owned())
    } else {
        sight.lag.is_stuck(Side::Green, id).then(|| format!("stuck: lag {lag}, and no commit moves"))
    };
    #[allow(clippy::cast_precision_loss)] // a lag beyond 2^52 records does not occur
    MetricReading { flaw, doubt: describe_doubt(sight, view), ..MetricReading::number(at, lag as f64) }
}

fn read_time_lag(sight: &RuleContext<'_>, name: &str, view: &GroupView, at: At) -> MetricReading {
    let id = sight.id_on(name, Side::Green);
    // The ends that an age rests on outlast a hole in the book: a lag that is known shows that the newest round is
    // whole.
    match (sight.lag.group_lag(Side::Green, id), sight.lag.time_lag_ms(Side::Green, view)) {
        #[allow(clippy::cast_precision_loss)]
        (Some(_), Some(ms)) => {
            MetricReading { doubt: describe_doubt(sight, view), ..MetricReading::number(at, ms as f64) }
        }
        _ => MetricReading::missing(
            at,
            format!("how old the oldest unread record of {id} is can't be told yet", id = visible_name(id)),
        ),
    }
}

/// Why a group's lag on green says nothing good: it can't read on, whatever it would do with what is there.
fn describe_doubt(sight: &RuleContext<'_>, view: &GroupView) -> Option<String> {
    sight.lag.find_wait(Side::Green, view).map(|waits| sight.describe_wait(Side::Green, &waits))
}

/// Records ever written to a dead-letter topic: the sum of its ends.
pub(in crate::migration) fn count_dead_letters(green: &ClusterView, topic: &str) -> Result<f64, String> {
    let Some(view) = green.topics.get(topic) else {
        return Err(format!(
            "the dead-letter topic {topic} does not exist on green, or is hidden from this principal",
            topic = visible_name(topic)
        ));
    };
    // One end that is not known makes the sum none: a smaller one would look like a topic that was recreated.
    let ends: Option<i64> = view.partitions.iter().map(|p| p.high_watermark).sum();
    #[allow(clippy::cast_precision_loss)]
    match ends {
        Some(ends) if !view.partitions.is_empty() => Ok(ends as f64),
        _ => Err(format!("an end of the dead-letter topic {topic} on green is not known", topic = visible_name(topic))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Trouble;
    use crate::estate::{Committed, Estate, PartitionView, TopicView};
    use crate::migration::facts::settings::{GroupSettings, Settings};
    use crate::migration::facts::state::State;
    use crate::migration::rules::lag::LagBook;

    /// Green with two logs of a topic, of which one may have no leader now, and a group that may have no coordinator.
    fn green(ends: [Option<i64>; 2], seen: bool) -> ClusterView {
        let log = |high_watermark| PartitionView { high_watermark, ..PartitionView::default() };
        let topic = TopicView { partitions: ends.map(log).into(), ..TopicView::default() };
        let group = match seen {
            true => GroupView {
                offsets: [("t".to_owned(), [(0, Committed { offset: 5, leader_epoch: -1 })].into())].into(),
                ..GroupView::default()
            },
            false => GroupView { trouble: Some(Trouble::new("no coordinator", "")), ..GroupView::default() },
        };
        ClusterView {
            topics: [("t".to_owned(), topic)].into(),
            groups: [("g".to_owned(), group)].into(),
            ..ClusterView::default()
        }
    }

    #[test]
    fn a_leader_or_coordinator_that_comes_and_goes_is_no_movement() {
        let plan = GroupSettings { topics: vec!["t".into()], ..GroupSettings::default() };
        let settings = Settings::of_groups([("g".to_owned(), plan)].into());
        let (state, estate, lag) = (State::default(), Estate::default(), LagBook::default());
        let mut soak = GroupSoak::new(Watch::new(&Criteria::default(), At(0), BTreeMap::new()));
        let mut idle = |second: i64, ends, seen| {
            let now = At(second * 1_000);
            let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now };
            soak.idle_since(&sight, "g", &green(ends, seen), now)
        };
        assert_eq!(idle(0, [Some(9), Some(4)], true), None);
        assert_eq!(idle(1, [Some(9), None], true), Some(At(0)), "a leader is away");
        assert_eq!(idle(2, [Some(9), Some(4)], true), Some(At(0)), "it is back, and nothing was written");
        assert_eq!(idle(3, [Some(9), Some(4)], false), Some(At(0)), "the coordinator is away");
        assert_eq!(idle(4, [Some(9), Some(5)], true), None, "something was written");
    }

    #[test]
    fn what_is_not_known_is_no_movement() {
        let watch = Watch::new(&Criteria::default(), At(0), BTreeMap::new());
        let mut soak = GroupSoak::new(watch);
        assert_eq!(soak.idle_by(Some(100), At(0)), None);
        assert_eq!(soak.idle_by(None, At(10)), Some(At(0)), "a leader is away");
        assert_eq!(soak.idle_by(Some(100), At(20)), Some(At(0)), "it is back, and nothing was written");
        assert_eq!(soak.idle_by(None, At(30)), Some(At(0)));
        assert_eq!(soak.idle_by(Some(101), At(40)), None, "it moved meanwhile");
        assert_eq!(soak.idle_by(Some(101), At(30)), None, "the clock was set back");
        soak.moved = None;
        assert_eq!(soak.idle_by(None, At(50)), None);
        assert_eq!(soak.idle_by(Some(7), At(60)), Some(At(50)), "seen for the first time");
    }
}

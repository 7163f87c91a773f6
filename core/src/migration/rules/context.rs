//! One look at everything a rule may rest on: settings, journal, observations, lag book, time.

use super::lag::LagBook;
use crate::base::format_duration;
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::{At, Cause, Freshness, Observed, Side, Sides, Trouble};
use crate::estate::identity::{Pin, find_same_cluster};
use crate::estate::{ClusterView, Estate, GroupKind, GroupObservation, GroupView};
use crate::migration::facts::command::Refusal;
use crate::migration::facts::settings::{GroupSettings, Settings};
use crate::migration::facts::state::State;

/// What a rule sees.
#[derive(Clone, Copy)]
pub struct RuleContext<'a> {
    /// The plan.
    pub settings: &'a Settings,
    /// The journal.
    pub state: &'a State,
    /// The newest observations.
    pub estate: &'a Estate,
    /// The samples so far.
    pub lag: &'a LagBook,
    /// The time.
    pub now: At,
}

impl<'a> RuleContext<'a> {
    /// The plan's entry of a group, or why nothing can be done with it.
    pub(crate) fn plan_entry(&self, group: &str) -> Result<&'a GroupSettings, Refusal> {
        self.settings.groups.get(group).ok_or_else(|| {
            Refusal::refused(
                format!("group {group} is not in the plan", group = visible_name(group)),
                "add a [[groups]] entry with its name, topics and switch, and start again",
            )
        })
    }

    /// A group's id on a side.
    #[must_use]
    pub(crate) fn id_on<'b>(&self, group: &'b str, side: Side) -> &'b str
    where
        'a: 'b,
    {
        match (side, self.settings.groups.get(group)) {
            (Side::Green, Some(g)) if !g.green_group.is_empty() => &g.green_group,
            _ => group,
        }
    }

    /// The newest look at a group on a side.
    #[must_use]
    pub(crate) fn latest_look(&self, group: &str, side: Side) -> Option<GroupObservation<'a>> {
        self.estate.group(side, self.id_on(group, side))
    }

    /// A cluster as seen recently enough to decide on.
    pub fn fresh_cluster(&self, side: Side) -> Result<&'a ClusterView, Refusal> {
        let seen = self.estate.side(side);
        seen.fresh_value(self.now, self.settings.stale_after_ms).ok_or_else(|| {
            let (why, trouble) = match seen {
                Observed::Absent { why } => (format!("{side} was never seen"), Some(why)),
                Observed::Known { at, trouble, value } => {
                    // Slow and known why is not down.
                    let slow = value
                        .throttled
                        .as_ref()
                        .map_or_else(String::new, |t| format!(": {}", t.describe_throttling(side)));
                    (
                        format!("{side} was last seen {} ago{slow}", format_duration(self.now.since(*at))),
                        trouble.as_ref(),
                    )
                }
            };
            if let Some(cause) = trouble.filter(|t| t.lasting) {
                // The cause is the news: no wait ends it.
                return Refusal::unknown(format!("{why}: {}", cause.what), cause.advice.clone()).lasting_as(cause);
            }
            let advice = match trouble.filter(|t| !t.advice.is_empty()) {
                Some(t) => format!("wait until {side} answers again, or mend it: {}; {}", t.what, t.advice),
                None => format!("wait until {side} answers"),
            };
            Refusal::unknown(why, advice)
        })
    }

    /// A group on a side as seen recently enough, nothing of it missing. `None`: the cluster has no such group.
    pub(crate) fn fresh_group(&self, group: &str, side: Side) -> Result<Option<&'a GroupView>, Refusal> {
        let id = self.id_on(group, side);
        let seen = self.latest_look(group, side).filter(|s| {
            // A look from the future (the clock was set back) is worth no more than an old one.
            self.now.since(s.at) <= self.settings.stale_after_ms && s.at.since(self.now) <= self.settings.stale_after_ms
        });
        let Some(seen) = seen else {
            // Where the whole side is out of sight that is the cause: a look at the group alone is not what to wait
            // for.
            self.fresh_cluster(side)?;
            return Err(Refusal::unknown(
                format!("group {id} was not seen on {side} recently", id = visible_name(id)),
                "wait for a fresh look",
            ));
        };
        if let Some(t) = seen.view.and_then(|v| v.trouble.as_ref()) {
            let why = format!("group {id} on {side} is only partly known: {t}", id = visible_name(id));
            return Err(Refusal::unknown(why, t.advice.clone()).lasting_as(t));
        }
        // What the plan names was asked for by name; of others a list that may leave some out says nothing.
        if seen.view.is_none()
            && !self.settings.groups.contains_key(group)
            && let Some(why) = self.estate.side(side).value().and_then(|view| view.groups_hidden(side))
        {
            return Err(Refusal::unknown(
                format!("whether group {id} exists on {side} is not known: {why}", id = visible_name(id)),
                why.advice,
            ));
        }
        Ok(seen.view)
    }

    /// The pinned cluster id of a side: the plan's, or the one seen first.
    #[must_use]
    pub(crate) fn pin(&self, side: Side) -> Option<Pin<'a>> {
        Pin::choose(self.settings.cluster_ids[side].as_deref(), self.state.pins[side].as_deref())
    }

    /// A side is not the cluster it should be: nothing may be done. Judged on whatever was last seen.
    #[must_use]
    pub fn identity_trouble(&self, side: Side) -> Option<Trouble> {
        let trouble = match self.estate.side(side) {
            Observed::Absent { why } => Some(why),
            Observed::Known { trouble, .. } => trouble.as_ref(),
        };
        if let Some(two) = trouble.filter(|t| t.has_cause(Cause::TwoClusters)) {
            return Some(two.clone());
        }
        let id = |side: Side| self.estate.side(side).value().and_then(|v| v.cluster_id.as_deref());
        // Before the pins: on a first start there are none, and both sides would get the same one.
        find_same_cluster(Sides { blue: id(Side::Blue), green: id(Side::Green) }).or_else(|| {
            self.estate.side(side).value()?;
            self.pin(side)?.check(side, id(side)).err().map(Trouble::from)
        })
    }

    /// Neither cluster is out of sight for a reason that waiting does not mend: that is said before the other one, which
    /// may only be slow, is waited for.
    pub(crate) fn check_reachable(&self) -> Result<(), Refusal> {
        let unmended = |side: &Side| matches!(self.estate.side(*side), Observed::Absent { why } if why.lasting);
        match Side::BOTH.into_iter().find(unmended) {
            Some(side) => self.fresh_cluster(side).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Both clusters are known to be the right ones, or why not.
    pub(crate) fn check_identities(&self) -> Result<(), Refusal> {
        for side in Side::BOTH {
            if let Some(t) = self.identity_trouble(side) {
                return Err(Refusal::refused(t.what, t.advice));
            }
            if self.estate.side(side).value().is_some_and(|v| v.cluster_id.is_none()) {
                return Err(Refusal::unknown(format!("{side} did not tell its cluster id"), "wait for a fresh look"));
            }
        }
        Ok(())
    }

    /// Both clusters are the right ones and were seen recently, or why nothing may be claimed of both together.
    pub(crate) fn check_trusted(&self) -> Result<(), Refusal> {
        // A wrong cluster is named even when it was not seen lately: no wait makes it the right one.
        if let Some(t) = Side::BOTH.into_iter().find_map(|side| self.identity_trouble(side)) {
            return Err(Refusal::refused(t.what, t.advice));
        }
        for side in Side::BOTH {
            self.fresh_cluster(side)?;
        }
        // A side that answers and does not tell its id passes the first two.
        self.check_identities()
    }

    /// Why a topic is in no list of a side that was seen: it is not there, or this principal may not see it. `absent`
    /// says what to do when it is not there.
    #[must_use]
    pub(crate) fn refuse_missing_topic(&self, topic: &str, side: Side, absent: &str) -> Refusal {
        match self.estate.side(side).value().and_then(|view| view.hidden_topics.get(topic)) {
            Some(why) => Refusal::unknown(
                format!(
                    "whether topic {topic} exists on {side} can't be seen: {}",
                    why.what,
                    topic = visible_name(topic)
                ),
                why.advice.clone(),
            ),
            None => {
                Refusal::refused(format!("topic {topic} does not exist on {side}", topic = visible_name(topic)), absent)
            }
        }
    }

    /// Both clusters' data planes have answered in this session, or why not. Nothing may be stopped before: what comes
    /// after a stop reads records of both.
    pub(crate) fn check_planes(&self) -> Result<(), Refusal> {
        for side in Side::BOTH {
            if let Observed::Absent { why } = &self.estate.planes[side] {
                let advice = match why.advice.is_empty() {
                    true => {
                        format!("see `cutover doctor` for {side}'s data plane; nothing is stopped before it answers")
                    }
                    false => format!("{}; nothing is stopped before it answers (cutover doctor)", why.advice),
                };
                return Err(Refusal::unknown(format!("{side}'s data plane has not answered: {}", why.what), advice));
            }
        }
        Ok(())
    }

    /// Whether an observation may be trusted now.
    #[must_use]
    pub(crate) fn is_fresh<T>(&self, seen: &Observed<T>) -> bool {
        seen.freshness(self.now, self.settings.stale_after_ms) == Freshness::Fresh
    }
}

/// Why offsets of this kind of group can't be moved, if so.
#[must_use]
pub(crate) fn kind_refusal(group: &str, side: Side, view: &GroupView) -> Option<Refusal> {
    let what = match view.kind {
        GroupKind::Share => "a share group (KIP-932): it has no offsets per member that could be moved",
        GroupKind::Streams => "a streams group (KIP-1071): its tasks keep state beyond offsets",
        GroupKind::Other => {
            return Some(Refusal::refused(
                format!(
                    "{group} on {side} is not a consumer group (protocol type {})",
                    quoted_name(&view.protocol_type),
                    group = visible_name(group)
                ),
                "move it with the tool that runs it, e.g. Kafka Connect's own offsets API",
            ));
        }
        GroupKind::Classic | GroupKind::Consumer => return None,
    };
    Some(Refusal::refused(
        format!("{group} on {side} is {what}", group = visible_name(group)),
        "this version moves classic and KIP-848 consumer groups",
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::estate::identity::two_clusters;

    #[test]
    fn two_clusters_are_known_by_the_kind_of_trouble_and_by_no_words() {
        let (settings, state, lag) = (Settings::of_groups(BTreeMap::new()), State::default(), LagBook::default());
        let of = |why: &Trouble| {
            let mut estate = Estate::default();
            estate.clusters.blue = Observed::Absent { why: why.clone() };
            let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now: At(0) };
            sight.identity_trouble(Side::Blue)
        };
        assert_eq!(of(&Trouble::new("topic `to two clusters`: blue answered nothing", "wait")), None);
        let two = two_clusters(Side::Blue, ("a:1", "X"), ("b:1", "Y"));
        assert_eq!(of(&two), Some(two.clone()));
        let otherwise =
            Trouble::new("none of 2 addresses answers; one leads elsewhere", "").with_cause(Cause::TwoClusters);
        assert_eq!(of(&otherwise), Some(otherwise.clone()));
    }

    #[test]
    fn a_cluster_that_does_not_tell_which_it_is_is_not_the_pinned_one() {
        let (mut settings, state, lag) = (Settings::of_groups(BTreeMap::new()), State::default(), LagBook::default());
        let mut estate = Estate::default();
        let mut judge = |pin: Option<&str>, told: Option<&str>| {
            settings.cluster_ids[Side::Blue] = pin.map(str::to_owned);
            let view = ClusterView { cluster_id: told.map(str::to_owned), ..ClusterView::default() };
            estate.clusters.blue = Observed::seen_at(view, At(0));
            let context = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now: At(0) };
            context.identity_trouble(Side::Blue).map(|trouble| trouble.what)
        };
        assert_eq!(judge(None, None), None, "brokers before 0.10.1 have none");
        assert_eq!(judge(Some("X"), Some("X")), None);
        assert_eq!(judge(Some("X"), Some("Y")).as_deref(), Some("blue is cluster Y, but the plan pins X"));
        let untold = judge(Some("X"), None);
        assert_eq!(untold.as_deref(), Some("blue did not tell its cluster id, and the plan pins X"));
    }

    #[test]
    fn what_is_pinned_is_looked_at_where_it_stands() {
        use std::borrow::Cow;
        let (mut settings, mut state) = (Settings::of_groups(BTreeMap::new()), State::default());
        settings.cluster_ids[Side::Blue] = Some("X".to_owned());
        state.pins[Side::Green] = Some("Y".to_owned());
        let (estate, lag) = (Estate::default(), LagBook::default());
        let context = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now: At(0) };
        for (side, by) in [(Side::Blue, "the plan"), (Side::Green, "the journal")] {
            let pin = context.pin(side).expect("pinned");
            assert!(pin.by.to_string() == by && matches!(pin.id, Cow::Borrowed(_)), "{pin:?}");
        }
    }
}

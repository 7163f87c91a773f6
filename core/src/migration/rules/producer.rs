//! What is known of producers: their flags, where they write, and who reads what they write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::context::RuleContext;
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{At, Side};
use crate::estate::application;
use crate::estate::{FlagState, GroupState, GroupView};
use crate::migration::facts::command::Refusal;
use crate::migration::facts::overrides::{GateName, HeldGate};
use crate::migration::facts::settings::ProducerSettings;

/// A group that only commits reads as long as one of its commits moved so recently, ms; and it is known not to once it was
/// watched for as long without one.
const ALIVE_MS: u64 = 600_000;

/// Groups that one sentence names at most.
const NAMED: usize = 5;

/// Writing seen at the ends of a producer's topics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ObservedWriting {
    /// Records a second on blue.
    pub blue_rate: Option<f64>,
    /// Records a second on green.
    pub green_rate: Option<f64>,
    /// Topics that other producers of the plan write too: not attributable.
    pub shared: Vec<String>,
    /// When.
    pub at: Option<At>,
}

/// Whether a rate counts as movement: more than one record in a thousand seconds.
#[must_use]
pub fn is_moving(rate: f64) -> bool {
    rate > 0.001
}

/// What the ends of its topics show.
#[must_use]
pub(crate) fn observe_writing(sight: &RuleContext<'_>, name: &str, p: &ProducerSettings) -> ObservedWriting {
    let rate = |side: Side| {
        let rates = p.topics.iter().map(|t| sight.lag.topic_rate(side, t));
        rates.sum::<Option<f64>>().filter(|_| !p.topics.is_empty() && sight.is_fresh(sight.estate.side(side)))
    };
    ObservedWriting {
        blue_rate: rate(Side::Blue),
        green_rate: rate(Side::Green),
        shared: p.topics.iter().filter(|t| is_shared(sight, name, t)).cloned().collect(),
        at: sight.estate.clusters.blue.at().min(sight.estate.clusters.green.at()),
    }
}

fn is_shared(sight: &RuleContext<'_>, name: &str, topic: &str) -> bool {
    sight.settings.producers.iter().any(|(n, p)| n != name && p.topics.iter().any(|t| t == topic))
}

/// The flag as configured, if it is known now.
#[must_use]
pub(crate) fn current_flag(sight: &RuleContext<'_>, name: &str) -> Option<FlagState> {
    sight.estate.flags.get(name)?.fresh_value(sight.now, sight.settings.stale_after_ms).copied()
}

/// Flag and observation contradict each other, in words. Topics that others write too prove nothing.
#[must_use]
pub(crate) fn find_disagreement(sight: &RuleContext<'_>, name: &str, p: &ProducerSettings) -> Option<String> {
    let flag = current_flag(sight, name)?;
    p.topics.iter().filter(|t| !is_shared(sight, name, t)).find_map(|t| {
        let fresh = Side::BOTH.into_iter().all(|s| sight.is_fresh(sight.estate.side(s)));
        // Rates stand in the book when a cluster is out of sight, and say nothing of now.
        let on = |side| sight.lag.topic_rate(side, t).filter(|_| fresh).map(is_moving);
        describe_contradiction(flag, on(Side::Blue)?, on(Side::Green)?)
            .map(|what| format!("flag says {flag}, but {t} {what}"))
    })
}

fn describe_contradiction(flag: FlagState, blue: bool, green: bool) -> Option<&'static str> {
    match (flag, blue, green) {
        // A side that should be written and is not may just be quiet; one that should not be and is, is no quiet hour.
        (FlagState::Blue, _, true) => Some("is written on green"),
        (FlagState::Green, true, _) => Some("is written on blue"),
        (FlagState::Off, true, _) => Some("is written on blue"),
        (FlagState::Off, _, true) => Some("is written on green"),
        (FlagState::Dual, true, false) => Some("is written on blue only"),
        (FlagState::Dual, false, true) => Some("is written on green only"),
        _ => None,
    }
}

/// Whether the ends show what a flag set to `to` promises: `None` while nothing moves or it can't be told.
#[must_use]
pub(crate) fn shows_writing(sight: &RuleContext<'_>, name: &str, p: &ProducerSettings, to: FlagState) -> Option<bool> {
    let mut any = false;
    for t in p.topics.iter().filter(|t| !is_shared(sight, name, t)) {
        let (b, g) = (sight.lag.topic_rate(Side::Blue, t)?, sight.lag.topic_rate(Side::Green, t)?);
        any |= is_moving(b) || is_moving(g);
        if describe_contradiction(to, is_moving(b), is_moving(g)).is_some() {
            return Some(false);
        }
    }
    // While nothing is written anywhere no flag is shown to be obeyed.
    any.then_some(true)
}

/// Whether a producer is proven to be migrated: dual or green by its flag, and by what is observed.
#[must_use]
pub(crate) fn is_proven(sight: &RuleContext<'_>, name: &str, p: &ProducerSettings) -> bool {
    if p.is_exactly_once() {
        // Its run has seen the first commit on green; its topics are never written on both sides.
        return sight.state.producer_rests_on(name) == Side::Green;
    }
    let flag = current_flag(sight, name).filter(|f| matches!(f, FlagState::Dual | FlagState::Green));
    // Blue has to be seen as well: only there a flag that is not obeyed would show. Rates stand in the book when a cluster
    // is out of sight.
    let fresh = Side::BOTH.into_iter().all(|side| sight.is_fresh(sight.estate.side(side)));
    // By its own topics: of one that others write too the movement may be theirs.
    flag.is_some_and(|flag| fresh && shows_writing(sight, name, p, flag) == Some(true))
}

/// Whether a group reads what a producer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migration) enum ReaderStatus {
    /// It does: its members show it, or commits that move.
    Yes,
    /// It does not, or not any more.
    No,
    /// Nobody is in it, it only commits, and it was not watched for long enough to tell whether its commits move.
    Watched {
        /// How long that takes still, ms.
        left_ms: u64,
    },
    /// It can't be told, however long it is watched: a share group, or one of which a part is missing.
    Hidden,
}

impl ReaderStatus {
    /// Of several topics together: one that it reads is enough, and one of which that can't be told is none that it does
    /// not read.
    pub(in crate::migration) fn or(self, other: ReaderStatus) -> ReaderStatus {
        match (self, other) {
            (ReaderStatus::Yes, _) | (_, ReaderStatus::Yes) => ReaderStatus::Yes,
            (ReaderStatus::Hidden, _) | (_, ReaderStatus::Hidden) => ReaderStatus::Hidden,
            (ReaderStatus::Watched { left_ms: a }, ReaderStatus::Watched { left_ms: b }) => {
                ReaderStatus::Watched { left_ms: a.max(b) }
            }
            (watched @ ReaderStatus::Watched { .. }, ReaderStatus::No) | (ReaderStatus::No, watched) => watched,
        }
    }
}

/// Whether a group, by its id on a side, reads a topic there: one that members join by what they say, one that only
/// commits as long as its commits move.
pub(in crate::migration) fn reads_on(
    sight: &RuleContext<'_>,
    (side, id): (Side, &str),
    seen: &GroupView,
    topic: &str,
) -> ReaderStatus {
    match reads_topic(seen, topic) {
        Some(true) => ReaderStatus::Yes,
        None => ReaderStatus::Hidden,
        // Nobody is in it, and it reads all the same as long as its commits move.
        Some(false) if application::only_commits(seen) => match seen.offsets.contains_key(topic) {
            true => commits_move(sight, side, id),
            false => ReaderStatus::No,
        },
        // Nobody ever joined it, and what it commits can't be seen.
        Some(false) if seen.trouble.is_some() && !application::was_joined(seen) => ReaderStatus::Hidden,
        Some(false) => ReaderStatus::No,
    }
}

/// The first of these names, and how many more there are.
pub(super) fn name_first(names: impl ExactSizeIterator<Item = impl AsRef<str>>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", visible_names(names.take(NAMED)))
}

/// Whether the commits of a group move.
fn commits_move(sight: &RuleContext<'_>, side: Side, id: &str) -> ReaderStatus {
    let for_ms = |at: At| sight.now.since(at);
    // One that commits at checkpoints a quarter of an hour apart is not gone after ten minutes.
    let alive_ms =
        sight.lag.commit_interval_ms(side, id).map_or(ALIVE_MS, |every| ALIVE_MS.max(every.saturating_mul(3)));
    match (sight.lag.commits_moved_at(side, id), sight.lag.watched_since(side, id)) {
        (Some(moved), _) if for_ms(moved) <= alive_ms => ReaderStatus::Yes,
        (Some(_), _) => ReaderStatus::No,
        (None, Some(since)) if for_ms(since) > alive_ms => ReaderStatus::No,
        // A moment more: not before it has been watched for longer.
        (None, since) => ReaderStatus::Watched { left_ms: alive_ms.saturating_sub(since.map_or(0, for_ms)) + 1 },
    }
}

/// Groups of which it can't be told whether they read, each with how long it takes until watching tells, ms; `None`:
/// watching does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::migration) struct UnknownReaders(BTreeMap<String, Option<u64>>);

impl UnknownReaders {
    /// Takes a group in, if it is one of them.
    pub(in crate::migration) fn note_group(&mut self, id: &str, reads: ReaderStatus) {
        let told_in = match reads {
            ReaderStatus::Yes | ReaderStatus::No => return,
            ReaderStatus::Watched { left_ms } => Some(left_ms),
            ReaderStatus::Hidden => None,
        };
        self.0.insert(id.to_owned(), told_in);
    }

    pub(in crate::migration) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::migration) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// In how long watching has told of all of them, ms; `None`: of one of them it never does.
    pub(in crate::migration) fn told_in_ms(&self) -> Option<u64> {
        self.0.values().copied().collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    /// Why they hold, in a sentence that stays the same while they are watched. `what` they may read, and what of it.
    pub(in crate::migration) fn describe_groups(&self, what: &str) -> String {
        let names = name_first(self.0.keys());
        let watched = "; nobody is ever in a group that only commits (assign(), as Flink and Spark do), and whether one \
                       was only left behind shows by whether its commits move";
        let because = if self.told_in_ms().is_some() { watched } else { "" };
        format!("it can't be told whether {names} reads {what}{because}")
    }

    /// What to do about it.
    pub(in crate::migration) fn advice(&self) -> String {
        let held = HeldGate::new(GateName::Readers, None, String::new()).advice();
        match self.told_in_ms() {
            Some(ms) => format!("{} more of watching tells: wait, or {held}", format_duration(ms)),
            None => held,
        }
    }
}

/// Whether a group reads a topic now; `None` when that can't be told.
fn reads_topic(group: &GroupView, topic: &str) -> Option<bool> {
    if group.members.is_empty() && matches!(group.state, GroupState::Empty | GroupState::Dead) {
        return Some(false);
    }
    if application::reads_nothing(group) {
        return Some(group.offsets.contains_key(topic));
    }
    let members = || group.members.iter();
    if group.offsets.contains_key(topic)
        || members().flat_map(|m| &m.assigned).any(|a| a.topic == topic)
        || members().flat_map(|m| &m.subscribed).any(|t| t == topic)
    {
        return Some(true);
    }
    // A member without assignment, in a group without commits: it may be about to read anything.
    let nothing_known = group.offsets.is_empty() && group.members.iter().all(|m| m.assigned.is_empty());
    if nothing_known || group.trouble.is_some() { None } else { Some(false) }
}

/// Every topic that a producer writes exists on these sides.
pub(in crate::migration) fn check_topics_exist(
    sight: &RuleContext<'_>,
    name: &str,
    p: &ProducerSettings,
    sides: &[Side],
) -> Result<(), Refusal> {
    for side in sides {
        let view = sight.fresh_cluster(*side)?;
        if let Some(t) = p.topics.iter().find(|t| !view.topics.contains_key(*t)) {
            return Err(sight.refuse_missing_topic(
                t,
                *side,
                &format!("create it first: {name} writes it", name = visible_name(name)),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::lag::LagBook;
    use super::super::route::check_route;
    use super::*;
    use crate::base::Observed;
    use crate::base::Trouble;
    use crate::estate::{ClusterView, Committed, Estate, PartitionView, TopicView};
    use crate::migration::facts::settings::Settings;
    use crate::migration::facts::state::State;

    /// Blue with a group that nobody ever joined, and its commit on `t`.
    fn blue(offset: i64) -> ClusterView {
        let at = BTreeMap::from([(0, Committed { offset, leader_epoch: -1 })]);
        let loner = GroupView { state: GroupState::Empty, offsets: [("t".into(), at)].into(), ..GroupView::default() };
        ClusterView { groups: [("loner".into(), loner)].into(), ..ClusterView::default() }
    }

    /// What is told of it after these looks, (second, offset): the last of them is now.
    fn told(looks: &[(i64, i64)], topic: &str) -> ReaderStatus {
        let (settings, state, mut lag) = (Settings::of_groups(BTreeMap::new()), State::default(), LagBook::default());
        let (mut estate, mut now) = (Estate::default(), At(0));
        for (second, offset) in looks {
            now = At(second * 1_000);
            estate.clusters.blue = Observed::seen_at(blue(*offset), now);
            lag.observe(&estate, now, 3_600_000, &BTreeSet::new());
        }
        let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now };
        let seen = &estate.clusters.blue.value().unwrap().groups["loner"];
        reads_on(&sight, (Side::Blue, "loner"), seen, topic)
    }

    #[test]
    fn a_group_that_only_commits_reads_while_its_commits_move_and_one_look_tells_nothing() {
        assert_eq!(told(&[(0, 5)], "t"), ReaderStatus::Watched { left_ms: ALIVE_MS + 1 });
        assert_eq!(told(&[(0, 5), (10, 5)], "t"), ReaderStatus::Watched { left_ms: ALIVE_MS - 10_000 + 1 });
        assert_eq!(told(&[(0, 5), (10, 6)], "t"), ReaderStatus::Yes);
        assert_eq!(told(&[(0, 5), (10, 6), (610, 6)], "t"), ReaderStatus::Yes);
        assert_eq!(told(&[(0, 5), (10, 6), (611, 6)], "t"), ReaderStatus::No, "it was left behind");
        assert_eq!(told(&[(0, 5), (601, 5)], "t"), ReaderStatus::No);
        assert_eq!(told(&[(0, 5), (10, 6)], "u"), ReaderStatus::No, "it has no commit there");
        let (settings, state, lag) = (Settings::of_groups(BTreeMap::new()), State::default(), LagBook::default());
        let estate = Estate::default();
        let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now: At(0) };
        let unread = GroupView {
            state: GroupState::Empty,
            trouble: Some(Trouble::new("its coordinator is loading", "")),
            ..GroupView::default()
        };
        assert_eq!(
            reads_on(&sight, (Side::Blue, "loner"), &unread, "t"),
            ReaderStatus::Hidden,
            "its commits can't be seen"
        );
        let left = GroupView { protocol_type: "consumer".into(), ..unread };
        assert_eq!(reads_on(&sight, (Side::Blue, "left"), &left, "t"), ReaderStatus::No, "its members have gone");
    }

    /// A producer of these topics.
    fn writes(topics: &[&str]) -> ProducerSettings {
        let topics = topics.iter().map(|t| (*t).to_owned()).collect();
        ProducerSettings { topics, has_flag: true, ..ProducerSettings::default() }
    }

    fn settings(producers: &[(&str, &[&str])]) -> Settings {
        let producers = producers.iter().map(|(name, topics)| ((*name).to_owned(), writes(topics))).collect();
        Settings { producers, stale_after_ms: 5_000, ..Settings::of_groups(BTreeMap::new()) }
    }

    /// A cluster where these topics end there.
    fn ending(id: &str, ends: &[(&str, i64)]) -> ClusterView {
        let topic = |end: i64| TopicView {
            partitions: vec![PartitionView { high_watermark: Some(end), lso: Some(end), ..PartitionView::default() }],
            ..TopicView::default()
        };
        let topics = ends.iter().map(|(name, end)| ((*name).to_owned(), topic(*end))).collect();
        ClusterView { cluster_id: Some(id.into()), topics, ..ClusterView::default() }
    }

    #[test]
    fn movement_of_topics_that_others_write_too_proves_no_producer() {
        let settings = settings(&[("a", &["t"]), ("b", &["t", "own"])]);
        let (state, mut lag, mut estate) = (State::default(), LagBook::default(), Estate::default());
        for name in ["a", "b"] {
            estate.flags.insert(name.into(), Observed::seen_at(FlagState::Dual, At(1_000)));
        }
        for at in [0, 1_000] {
            estate.clusters.blue = Observed::seen_at(ending("blue", &[("t", at), ("own", at)]), At(at));
            estate.clusters.green = Observed::seen_at(ending("green", &[("t", at), ("own", at)]), At(at));
            lag.observe(&estate, At(at), 3_000, &BTreeSet::new());
        }
        let proven = |now, name: &str| {
            let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now };
            is_proven(&sight, name, &settings.producers[name])
        };
        assert!(proven(At(1_000), "b"), "its own topic moves on both sides");
        assert!(!proven(At(1_000), "a"), "it may be silent: b writes t as well");
        assert!(!proven(At(60_000), "b"), "nobody looked lately");
    }

    #[test]
    fn a_producer_is_routed_only_to_where_its_topics_are() {
        let settings = settings(&[("a", &["t"])]);
        let (state, lag) = (State::default(), LagBook::default());
        let route = |from, to, blue: &[(&str, i64)], green: &[(&str, i64)]| {
            let mut estate = Estate::default();
            estate.clusters.blue = Observed::seen_at(ending("blue", blue), At(0));
            estate.clusters.green = Observed::seen_at(ending("green", green), At(0));
            estate.flags.insert("a".into(), Observed::seen_at(from, At(0)));
            let sight = RuleContext { settings: &settings, state: &state, estate: &estate, lag: &lag, now: At(0) };
            check_route(&sight, "a", to, &[]).map(drop).map_err(|refusal| refusal.why)
        };
        use FlagState::{Blue, Dual, Green};
        for (from, to) in [(Blue, Green), (Dual, Green), (Blue, Dual)] {
            assert_eq!(route(from, to, &[("t", 1)], &[]).unwrap_err(), "topic t does not exist on green");
        }
        for (from, to) in [(Dual, Blue), (Green, Dual)] {
            assert_eq!(route(from, to, &[], &[("t", 1)]).unwrap_err(), "topic t does not exist on blue");
        }
        assert_eq!(route(Dual, Green, &[], &[("t", 1)]), Ok(()), "blue is not written any more");
        assert_eq!(route(Blue, Green, &[("t", 1)], &[("t", 1)]), Ok(()));
    }

    #[test]
    fn what_watching_tells_is_said_with_how_long_and_what_it_does_not_tell_is_not() {
        let mut untold = UnknownReaders::default();
        untold.note_group("gone", ReaderStatus::No);
        untold.note_group("here", ReaderStatus::Yes);
        assert!(untold.is_empty());
        untold.note_group("a", ReaderStatus::Watched { left_ms: 60_000 });
        untold.note_group("b", ReaderStatus::Watched { left_ms: 90_000 });
        assert_eq!((untold.told_in_ms(), untold.names()), (Some(90_000), vec!["a".to_owned(), "b".to_owned()]));
        let (words, advice) = (untold.describe_groups("what shop writes"), untold.advice());
        assert!(
            words.starts_with("it can't be told whether a, b reads what shop writes; nobody is ever in"),
            "{words}"
        );
        assert!(
            advice.starts_with("1m30s more of watching tells") && advice.contains("--override readers"),
            "{advice}"
        );
        untold.note_group("share", ReaderStatus::Hidden);
        assert_eq!(untold.told_in_ms(), None, "watching does not tell what a share group reads");
        assert_eq!(
            untold.describe_groups("what shop writes"),
            "it can't be told whether a, b, share reads what shop writes"
        );
    }

    #[test]
    fn of_several_topics_the_one_that_is_read_counts() {
        let watched = |left_ms| ReaderStatus::Watched { left_ms };
        assert_eq!(ReaderStatus::No.or(watched(1)).or(ReaderStatus::Yes), ReaderStatus::Yes);
        assert_eq!(watched(1).or(ReaderStatus::No).or(watched(3)).or(watched(2)), watched(3));
        assert_eq!(watched(1).or(ReaderStatus::Hidden), ReaderStatus::Hidden, "however long it is watched");
        assert_eq!(ReaderStatus::No.or(ReaderStatus::No), ReaderStatus::No);
    }
}

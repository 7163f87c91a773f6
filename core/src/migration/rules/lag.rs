//! The lag book: bounded series made from whole-cluster rounds, and what they tell (lag, time lag, rates, commit
//! intervals, stuck groups). A hole is `None`, never 0; a number that would be a guess is `None` too.
//!
//! Lag is counted to the high watermark, as Kafka's own tools do: what an open transaction holds back is written and not
//! consumed. What of it can be read now, up to the last stable offset, stands beside it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ends::EndHistory;
use super::held;
use super::held::{HeldPartition, StableOffsetWatch, TransactionWait};
use super::unread;
use super::unread::Commits;
pub(crate) use super::unread::{Astray, Unread};
use crate::base::{At, Side, Sides, TopicPartition};
use crate::estate::application;
use crate::estate::blank::Blanks;
use crate::estate::{ClusterView, Estate, GroupKind, GroupState, GroupView, TopicView};

/// Samples a trend holds at most: the snapshot's trends are cut from these.
pub const TREND_LEN: usize = 120;
/// Samples that a rate is taken over.
const RATE_SAMPLES: usize = 6;
/// Samples without a moving commit after which it is looked whether there is any record to read.
const STILL_SAMPLES: usize = 3;
/// Samples without a moving commit that make a group stuck (Burrow's window is 10).
const STUCK_SAMPLES: usize = 10;
/// ... and they must span at least this, ms: fast sampling alone makes nobody stuck.
const STUCK_SPAN_MS: u64 = 15_000;
/// Commit intervals remembered per group; the longest counts.
const INTERVALS: usize = 8;

/// Everything that was derived from the samples so far.
#[derive(Debug, Clone, Default)]
pub struct LagBook {
    sides: Sides<SideBook>,
}

#[derive(Debug, Clone, Default)]
struct SideBook {
    /// The newest round that was taken in.
    seen: Option<At>,
    /// When the total was last pushed, a hole included.
    pushed: Option<At>,
    total: VecDeque<Option<u64>>,
    groups: BTreeMap<String, GroupBook>,
    topics: BTreeMap<String, TopicBook>,
}

#[derive(Debug, Clone, Default)]
struct GroupBook {
    trend: VecDeque<Option<u64>>,
    /// What of the newest lag can be read.
    readable: Option<u64>,
    /// A position that the log contradicts, in the newest sample.
    astray: Option<Astray>,
    /// Sum of committed offsets at each sample without a hole, newest last.
    commits: VecDeque<(At, i64)>,
    /// Committed offsets of the last whole sample.
    last: Option<Commits>,
    /// When the last whole sample was taken.
    sampled: Option<At>,
    /// When the first whole sample without a hole since was taken.
    watched: Option<At>,
    /// When a commit last moved, as sampled.
    moved: Option<At>,
    /// Since when there is something to read and no commit moved.
    waiting: Option<(At, usize)>,
    /// How long commits took to follow, ms: while there was something to read and members were there, or nobody can be.
    intervals: VecDeque<u64>,
    /// It only commits, as the newest sample shows it.
    alone: bool,
    /// Since when it has run without a break: what it did not commit while nobody was in it says nothing of it.
    running: Option<At>,
}

#[derive(Debug, Clone, Default)]
struct TopicBook {
    /// Its id: one that is created again under the same name is another log.
    id: Option<String>,
    /// Sum of high watermarks at each sample without a hole, newest last.
    written: VecDeque<(At, i64)>,
    /// High watermarks over time, by partition.
    ends: Vec<EndHistory>,
    /// Last stable offsets that lie below them, by partition.
    standing: Vec<StableOffsetWatch>,
}

fn push_bounded<T>(series: &mut VecDeque<T>, value: T, bound: usize) {
    if series.len() >= bound {
        series.pop_front();
    }
    series.push_back(value);
}

impl LagBook {
    /// Takes a whole estate in. A round that was seen before adds nothing; a hole longer than `sample_gap_ms` adds
    /// one `None` each time that long passes. `left` names, by side, groups that have moved away: what they left behind
    /// grows for ever and says nothing of the cluster's health, so totals leave it out.
    pub fn observe(&mut self, estate: &Estate, now: At, sample_gap_ms: u64, left: &BTreeSet<(Side, String)>) {
        for side in Side::BOTH {
            let book = &mut self.sides[side];
            match estate.side(side) {
                crate::base::Observed::Known { value, at, .. } if book.seen != Some(*at) => {
                    let gone = |group: &str| left.contains(&(side, group.to_owned()));
                    book.take_round(value, *at, sample_gap_ms, (&gone, &estate.blanks[side]));
                }
                _ => book.note_hole(now, sample_gap_ms),
            }
        }
    }

    /// Total lag of all groups on a side at the newest sample, records.
    #[must_use]
    pub fn total(&self, side: Side) -> Option<u64> {
        *self.sides[side].total.back()?
    }

    /// Total lag over time, oldest first.
    #[must_use]
    pub fn total_trend(&self, side: Side) -> Vec<Option<u64>> {
        self.sides[side].total.iter().copied().collect()
    }

    /// A group's lag at the newest sample, to the high watermarks, records.
    #[must_use]
    pub fn group_lag(&self, side: Side, group: &str) -> Option<u64> {
        *self.sides[side].groups.get(group)?.trend.back()?
    }

    /// What of a group's lag can be read at the newest sample, to the last stable offsets, records.
    #[must_use]
    pub fn readable(&self, side: Side, group: &str) -> Option<u64> {
        let group = self.sides[side].groups.get(group)?;
        group.readable.filter(|_| matches!(group.trend.back(), Some(Some(_))))
    }

    /// A position of a group that the log contradicts, at the newest sample.
    #[must_use]
    pub(crate) fn astray(&self, side: Side, group: &str) -> Option<&Astray> {
        self.sides[side].groups.get(group)?.astray.as_ref()
    }

    /// The partitions of a group where an open transaction holds the last stable offset, with how it stands.
    pub(crate) fn held_partitions<'a>(
        &'a self,
        side: Side,
        view: &'a GroupView,
    ) -> impl Iterator<Item = (TopicPartition, HeldPartition)> + 'a {
        let topics = &self.sides[side].topics;
        held::held_partitions(view, move |topic, partition| {
            topics.get(topic)?.standing.get(usize::try_from(partition).ok()?)?.held()
        })
    }

    /// What a group waits for behind open transactions that stand, or may stand.
    #[must_use]
    pub fn find_wait(&self, side: Side, view: &GroupView) -> Option<TransactionWait> {
        TransactionWait::from_held(self.held_partitions(side, view))
    }

    /// How the last stable offset of a partition stands below its high watermark, if it does.
    #[must_use]
    pub(crate) fn held_partition(&self, side: Side, tp: &TopicPartition) -> Option<HeldPartition> {
        let topic = self.sides[side].topics.get(&tp.topic)?;
        topic.standing.get(usize::try_from(tp.partition).ok()?)?.held()
    }

    /// A group's lag over time, oldest first.
    #[must_use]
    pub fn group_trend(&self, side: Side, group: &str) -> Vec<Option<u64>> {
        self.sides[side].groups.get(group).map(|g| g.trend.iter().copied().collect()).unwrap_or_default()
    }

    /// Records a second written to a side (growth of the high watermarks).
    #[must_use]
    pub fn in_rate(&self, side: Side) -> Option<f64> {
        sum_rates(self.sides[side].topics.values().map(|t| growth_rate(&t.written)))
    }

    /// Records a second consumed on a side (growth of committed offsets). Groups without commits count nothing.
    #[must_use]
    pub fn out_rate(&self, side: Side) -> Option<f64> {
        let rates: Vec<f64> = self.sides[side].groups.values().filter_map(|g| growth_rate(&g.commits)).collect();
        (!rates.is_empty()).then(|| rates.iter().sum())
    }

    /// Records a second written to a topic.
    #[must_use]
    pub(crate) fn topic_rate(&self, side: Side, topic: &str) -> Option<f64> {
        growth_rate(&self.sides[side].topics.get(topic)?.written)
    }

    /// Records a second consumed by a group.
    #[must_use]
    pub fn group_rate(&self, side: Side, group: &str) -> Option<f64> {
        growth_rate(&self.sides[side].groups.get(group)?.commits)
    }

    /// How long ago the end reached what the group reads now, ms: the largest over its partitions, estimated from the
    /// sampled ends (so no finer than a sample). 0 when there is nothing to read; `None` when what it reads is older
    /// than the book, or the book has a hole there.
    #[must_use]
    pub fn time_lag_ms(&self, side: Side, view: &GroupView) -> Option<u64> {
        let book = &self.sides[side];
        let seen = book.seen?;
        let mut worst = None;
        for (topic, partitions) in &view.offsets {
            let Some(ends) = book.topics.get(topic).map(|t| &t.ends) else { continue };
            for (partition, committed) in partitions {
                let Some(ends) = usize::try_from(*partition).ok().and_then(|p| ends.get(p)) else { continue };
                // One partition of which it can't be told makes the whole unknown: the oldest record may be there.
                worst = worst.max(Some(seen.since(ends.passed_at(committed.offset, seen)?)));
            }
        }
        worst
    }

    /// How often the group's commits move while it has something to read, ms: the longest of the last few.
    #[must_use]
    pub fn commit_interval_ms(&self, side: Side, group: &str) -> Option<u64> {
        self.sides[side].groups.get(group)?.intervals.iter().copied().max()
    }

    /// When a commit of the group last moved, as sampled without a hole since.
    #[must_use]
    pub(crate) fn commits_moved_at(&self, side: Side, group: &str) -> Option<At> {
        self.sides[side].groups.get(group)?.moved
    }

    /// Since when the group's commits are watched without a hole.
    #[must_use]
    pub(crate) fn watched_since(&self, side: Side, group: &str) -> Option<At> {
        self.sides[side].groups.get(group)?.watched
    }

    /// Something may be to read, and no commit has moved over some samples: whether it is any record is worth a look.
    #[must_use]
    pub(crate) fn stands_still(&self, side: Side, group: &str) -> bool {
        let book = self.sides[side].groups.get(group);
        book.and_then(|g| g.waiting).is_some_and(|(_, samples)| samples >= STILL_SAMPLES)
    }

    /// Stuck as Burrow means it: something to read, and no commit moved over the last samples, members or none.
    #[must_use]
    pub fn is_stuck(&self, side: Side, group: &str) -> bool {
        let book = &self.sides[side];
        let (Some(g), Some(seen)) = (book.groups.get(group), book.seen) else { return false };
        // Whose commits come far apart is not stuck before three of them have failed to come.
        let patience = STUCK_SPAN_MS.max(g.intervals.iter().max().copied().unwrap_or(0).saturating_mul(3));
        g.waiting.is_some_and(|(since, samples)| samples >= STUCK_SAMPLES && seen.since(since) >= patience)
    }
}

/// Growth a second over the last samples; `None` with fewer than two, or when the sum went back (a reset, a recreated topic).
fn growth_rate(series: &VecDeque<(At, i64)>) -> Option<f64> {
    let (&(from, a), &(to, b)) = (series.front()?, series.back()?);
    let ms = to.since(from);
    if ms == 0 || b < a || series.iter().zip(series.iter().skip(1)).any(|(x, y)| y.1 < x.1) {
        return None;
    }
    #[allow(clippy::cast_precision_loss)] // a rate for people: 2^52 records a few seconds apart do not occur
    Some((b - a) as f64 * 1000.0 / ms as f64)
}

fn sum_rates(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut all = None;
    for r in rates {
        *all.get_or_insert(0.0) += r?;
    }
    all
}

impl SideBook {
    /// Time passed without a new round: one hole in each series per `gap`.
    fn note_hole(&mut self, now: At, gap: u64) {
        if self.pushed.is_none_or(|at| now.since(at) > gap) {
            self.pushed = Some(now);
            self.break_series();
        }
    }

    fn break_series(&mut self) {
        push_bounded(&mut self.total, None, TREND_LEN);
        for g in self.groups.values_mut() {
            g.note_hole();
        }
        for t in self.topics.values_mut() {
            t.written.clear();
            t.standing.iter_mut().for_each(StableOffsetWatch::miss);
        }
    }

    fn take_round(&mut self, view: &ClusterView, at: At, gap: u64, (gone, blanks): (&dyn Fn(&str) -> bool, &Blanks)) {
        // A round that is older than the last one shows a clock that was set back.
        if self.seen.is_some_and(|seen| at.since(seen) > gap || at < seen) {
            self.break_series();
        }
        // Kept, its ends would be taken for those of a topic that is made under the same name later.
        self.topics.retain(|name, _| view.topics.contains_key(name));
        for (name, topic) in &view.topics {
            self.topics.entry(name.clone()).or_default().take_round(topic, at, gap);
        }
        self.groups.retain(|id, _| view.groups.contains_key(id));
        let mut total = Some(None);
        for (id, group) in &view.groups {
            let book = self.groups.entry(id.clone()).or_default();
            let astray = unread::find_astray(view, group, book.last.as_ref(), blanks);
            let unread = unread::sum_unread(view, group, book.last.as_ref(), blanks);
            let lag = unread.map(|u| u.written);
            // Share and streams groups keep no lag that could be counted like this.
            let counts = !matches!(group.kind, GroupKind::Share | GroupKind::Streams);
            let counts = counts && !(group.offsets.is_empty() && group.trouble.is_none()) && !gone(id);
            if let (Some(t), true) = (&mut total, counts) {
                match lag {
                    Some(lag) => *t.get_or_insert(0) += lag,
                    // A sum that leaves one out would be a number too low: no sum then.
                    None if group_reads_something(view, group) => total = None,
                    None => {}
                }
            }
            (book.readable, book.astray) = (unread.map(|u| u.readable), astray);
            book.take_round(group, unread, at);
        }
        push_bounded(&mut self.total, total.flatten(), TREND_LEN);
        (self.seen, self.pushed) = (Some(at), Some(at));
    }
}

fn group_reads_something(view: &ClusterView, group: &GroupView) -> bool {
    group.trouble.is_some() || group.offsets.keys().any(|t| view.topics.contains_key(t))
}

impl TopicBook {
    fn take_round(&mut self, topic: &TopicView, at: At, gap: u64) {
        if self.id != topic.id {
            *self = TopicBook { id: topic.id.clone(), ..TopicBook::default() };
        }
        match topic.partitions.iter().map(|p| p.high_watermark).sum::<Option<i64>>() {
            Some(written) => push_bounded(&mut self.written, (at, written), RATE_SAMPLES),
            // A sum over fewer partitions would look like a log that was cut back.
            None => self.written.clear(),
        }
        self.ends.resize_with(topic.partitions.len(), EndHistory::default);
        self.standing.resize_with(topic.partitions.len(), StableOffsetWatch::default);
        let books = self.ends.iter_mut().zip(&mut self.standing);
        for ((ends, standing), p) in books.zip(&topic.partitions) {
            // Not the last stable offset in its place: that may lie below it, and an end that goes back voids the samples.
            if let Some(end) = p.high_watermark {
                ends.push(at, end, gap);
            }
            match (p.lso, p.high_watermark) {
                (Some(stable), Some(end)) => standing.feed(at, stable, end),
                _ => standing.miss(),
            }
        }
    }
}

impl GroupBook {
    fn note_hole(&mut self) {
        push_bounded(&mut self.trend, None, TREND_LEN);
        self.commits.clear();
        self.readable = None;
        (self.last, self.moved, self.waiting) = (None, None, None);
        (self.sampled, self.watched, self.running) = (None, None, None);
    }

    fn take_round(&mut self, group: &GroupView, unread: Option<Unread>, at: At) {
        if group.trouble.is_some() || group.offsets.is_empty() {
            return self.note_hole();
        }
        push_bounded(&mut self.trend, unread.map(|u| u.written), TREND_LEN);
        let sum = group.offsets.values().flat_map(|p| p.values().map(|c| c.offset)).sum();
        push_bounded(&mut self.commits, (at, sum), RATE_SAMPLES);
        // By offsets alone: a leader epoch may change where nothing has moved.
        let same = |a: &Commits, b: &Commits| {
            let offsets = |of: &Commits| of.values().flat_map(|p| p.values().map(|c| c.offset)).collect::<Vec<_>>();
            offsets(a) == offsets(b)
        };
        let moved = self.last.as_ref().is_some_and(|last| !same(last, &group.offsets));
        let alone = application::only_commits(group);
        if self.alone && !alone {
            // Members have joined: how often offsets were set there before says nothing of them.
            self.intervals.clear();
        }
        self.alone = alone;
        let runs = group.state == GroupState::Stable && !group.members.is_empty();
        self.running = runs.then(|| self.running.unwrap_or(at));
        // What an open transaction holds nobody can read: that is said of the log, not of the group.
        let to_read = unread.is_some_and(|u| u.readable > 0);
        if moved {
            if let Some((since, _)) = self.waiting {
                // Time in which nobody ran, or that the commit before took, is no time that this one took.
                let from = [self.moved, self.running].into_iter().flatten().fold(since, At::max);
                // One that only commits was seen to do so twice: once may have been whoever set its offsets.
                if runs || (alone && self.moved.is_some()) {
                    push_bounded(&mut self.intervals, at.since(from), INTERVALS);
                }
            }
            (self.moved, self.waiting) = (Some(at), None);
        }
        self.waiting = match self.waiting {
            _ if !to_read => None,
            Some((since, samples)) => Some((since, samples + 1)),
            // It became readable some time after the sample before: count from there, the longer way.
            None => Some((self.sampled.unwrap_or(at), 1)),
        };
        // Cloned only where it changed: most groups of a cluster stand still.
        if self.last.as_ref() != Some(&group.offsets) {
            self.last = Some(group.offsets.clone());
        }
        (self.sampled, self.watched) = (Some(at), self.watched.or(Some(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Observed, Trouble};
    use crate::estate::{Committed, MemberView, PartitionView};

    fn estate(at: i64, end: i64, committed: i64) -> Estate {
        let part =
            PartitionView { lso: Some(end), high_watermark: Some(end), log_start: Some(0), ..Default::default() };
        let group = GroupView {
            state: GroupState::Stable,
            members: vec![MemberView::default()],
            offsets: [("t".into(), [(0, Committed { offset: committed, leader_epoch: -1 })].into())].into(),
            ..Default::default()
        };
        let view = ClusterView {
            topics: [("t".into(), TopicView { partitions: vec![part], ..Default::default() })].into(),
            groups: [("g".into(), group)].into(),
            ..Default::default()
        };
        let mut estate = Estate::default();
        estate.clusters.blue = Observed::seen_at(view, At(at));
        estate
    }

    #[test]
    fn what_a_moved_group_left_behind_is_no_lag_of_its_old_cluster() {
        let mut book = LagBook::default();
        book.observe(&estate(0, 500, 100), At(0), 3000, &BTreeSet::new());
        assert_eq!(book.total(Side::Blue), Some(400));
        let left = [(Side::Blue, "g".to_owned())].into();
        book.observe(&estate(1000, 600, 100), At(1000), 3000, &left);
        assert_eq!((book.total(Side::Blue), book.group_lag(Side::Blue, "g")), (None, Some(500)));
    }

    fn fed(samples: &[(i64, i64, i64)]) -> LagBook {
        let mut book = LagBook::default();
        for &(at, end, committed) in samples {
            book.observe(&estate(at, end, committed), At(at), 3000, &BTreeSet::new());
        }
        book
    }

    #[test]
    fn lag_rates_and_time_lag_come_from_samples() {
        let book = fed(&[(0, 100, 100), (1000, 150, 100), (2000, 200, 150), (3000, 260, 180)]);
        assert_eq!(book.group_lag(Side::Blue, "g"), Some(80));
        assert_eq!(book.total_trend(Side::Blue), [Some(0), Some(50), Some(50), Some(80)]);
        assert!((book.in_rate(Side::Blue).unwrap() - 160.0 / 3.0).abs() < 0.01);
        assert!((book.group_rate(Side::Blue, "g").unwrap() - 80.0 / 3.0).abs() < 0.01);
        let estate = estate(3000, 260, 180);
        let view = &estate.clusters.blue.value().unwrap().groups["g"];
        assert_eq!(book.time_lag_ms(Side::Blue, view), Some(1380), "the end passed 180 at 1.62 s, by interpolation");
        assert_eq!(book.in_rate(Side::Green), None, "green was never seen");
        assert_eq!(book.total(Side::Green), None);
    }

    #[test]
    fn a_hole_is_none_and_breaks_rates() {
        let mut book = fed(&[(0, 100, 100), (1000, 150, 100)]);
        let old = estate(1000, 150, 100);
        for now in [2000, 4001, 5000, 8000] {
            book.observe(&old, At(now), 3000, &BTreeSet::new());
        }
        assert_eq!(book.group_trend(Side::Blue, "g"), [Some(0), Some(50), None, None]);
        book.observe(&estate(9000, 500, 100), At(9000), 3000, &BTreeSet::new());
        assert_eq!(book.in_rate(Side::Blue), None, "one sample after a hole is no rate");
        assert_eq!(book.group_lag(Side::Blue, "g"), Some(400));
    }

    #[test]
    fn when_an_end_moved_in_a_hole_is_not_known() {
        let age = |book: &LagBook, at, end, committed| {
            let estate = estate(at, end, committed);
            book.time_lag_ms(Side::Blue, &estate.clusters.blue.value().unwrap().groups["g"])
        };
        let hour = [(0, 100, 100), (3_600_000, 200, 199)];
        assert_eq!(age(&fed(&hour), 3_600_000, 200, 199), None, "it may have been written at any time of the hour");
        let mut on = hour.to_vec();
        on.extend((1..200).map(|i| (3_600_000 + i * 1000, 200 + i, 199)));
        assert_eq!(age(&fed(&on), 3_799_000, 399, 199), None, "samples that are thinned out leave the hole one");
        assert_eq!(age(&fed(&on), 3_799_000, 399, 398), Some(0), "what was written since was seen");
        let back = [(3_600_000, 100, 100), (1_000, 200, 150)];
        assert_eq!(age(&fed(&back), 1_000, 200, 150), None, "the clock was set back");
    }

    #[test]
    fn trouble_and_missing_ends_are_unknown_not_zero() {
        let mut book = LagBook::default();
        let mut e = estate(0, 10, 10);
        if let Observed::Known { value, .. } = &mut e.clusters.blue {
            value.topics.get_mut("t").unwrap().partitions[0].lso = None;
        }
        book.observe(&e, At(0), 3000, &BTreeSet::new());
        assert_eq!((book.group_lag(Side::Blue, "g"), book.total(Side::Blue)), (None, None));
        let mut e = estate(1000, 10, 10);
        if let Observed::Known { value, .. } = &mut e.clusters.blue {
            value.groups.get_mut("g").unwrap().trouble = Some(Trouble::new("no coordinator", ""));
        }
        book.observe(&e, At(1000), 3000, &BTreeSet::new());
        assert_eq!((book.group_lag(Side::Blue, "g"), book.total(Side::Blue)), (None, None));
    }

    #[test]
    fn a_high_watermark_that_is_not_known_is_no_lag_of_0_and_voids_no_sample() {
        let mut book = fed(&[(0, 100, 100), (1000, 150, 100), (2000, 200, 150)]);
        // An open transaction holds the last stable offset at 150, and how much lies behind it did not come.
        let mut e = estate(3000, 150, 150);
        if let Observed::Known { value, .. } = &mut e.clusters.blue {
            value.topics.get_mut("t").unwrap().partitions[0].high_watermark = None;
        }
        book.observe(&e, At(3000), 3000, &BTreeSet::new());
        assert_eq!((book.group_lag(Side::Blue, "g"), book.total(Side::Blue)), (None, None));
        let e = estate(4000, 250, 200);
        book.observe(&e, At(4000), 3000, &BTreeSet::new());
        let view = &e.clusters.blue.value().unwrap().groups["g"];
        assert_eq!(book.time_lag_ms(Side::Blue, view), Some(1960), "what was sampled before it stands");
    }

    #[test]
    fn stuck_needs_something_to_read_and_time() {
        let still: Vec<_> = (0..30).map(|i| (i * 1000, 100, 40)).collect();
        assert!(!fed(&still[..10]).is_stuck(Side::Blue, "g"), "9 s are not yet stuck");
        assert!(fed(&still).is_stuck(Side::Blue, "g"));
        let idle: Vec<_> = (0..30).map(|i| (i * 1000, 100, 100)).collect();
        assert!(!fed(&idle).is_stuck(Side::Blue, "g"), "nothing to read");
        let slow: Vec<_> = (0..30).map(|i| (i * 1000, 100 + i, 40 + i / 5)).collect();
        assert!(!fed(&slow).is_stuck(Side::Blue, "g"));
    }

    #[test]
    fn the_commit_interval_counts_only_while_there_is_something_to_read() {
        let every_5s: Vec<_> = (0..40).map(|i| (i * 1000, 100 + 10 * i, 100 + 10 * (i / 5 * 5))).collect();
        assert_eq!(fed(&every_5s).commit_interval_ms(Side::Blue, "g"), Some(5000));
        // idle for 20 s, then one record that is seen committed a sample later
        let mut quiet: Vec<_> = (0..20).map(|i| (i * 1000, 100, 100)).collect();
        quiet.extend([(20_000, 101, 100), (21_000, 101, 101)]);
        assert_eq!(fed(&quiet).commit_interval_ms(Side::Blue, "g"), Some(2000), "as sampled, the longer way");
    }

    #[test]
    fn series_are_bounded() {
        let book = fed(&(0..500).map(|i| (i * 1000, i * 3, i * 3 - 5)).collect::<Vec<_>>());
        assert_eq!(book.group_trend(Side::Blue, "g").len(), TREND_LEN);
        assert!(book.sides.blue.topics["t"].ends[0].is_bounded());
        let far = estate(499_000, 1497, 300);
        let ms = book.time_lag_ms(Side::Blue, &far.clusters.blue.value().unwrap().groups["g"]).unwrap();
        assert!((397_000..=400_000).contains(&ms), "coarser further back, but known: {ms}");
    }
}

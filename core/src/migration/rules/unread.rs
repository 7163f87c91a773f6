//! What a group has not consumed, from one round; and positions that the logs contradict, from which nothing can be
//! counted.

use std::collections::BTreeMap;

use crate::base::{Side, TopicPartition};
use crate::estate::blank::Blanks;
use crate::estate::{ClusterView, Committed, GroupView};

/// A group's committed offsets, as a view has them.
pub(in crate::migration) type Commits = BTreeMap<String, BTreeMap<i32, Committed>>;

/// A committed offset that the log contradicts: no lag can be counted from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Astray {
    /// It lies beyond the end, and did in the round before: the log was cut back, or the topic is another one.
    Beyond {
        /// Where.
        tp: TopicPartition,
        /// What is committed.
        committed: i64,
        /// Where the log ends.
        end: i64,
    },
    /// It lies below the log's start: what lay there has expired, or was deleted, before the group read it.
    Expired {
        /// Where.
        tp: TopicPartition,
        /// What is committed.
        committed: i64,
        /// Where the log starts.
        start: i64,
    },
}

impl Astray {
    /// In a sentence.
    #[must_use]
    pub(crate) fn describe_position(&self, side: Side) -> String {
        match self {
            Astray::Beyond { tp, committed, end } => format!(
                "committed {committed} lies beyond the end {end} of {tp} on {side}: the log was cut back, or the topic \
                 was deleted and created again"
            ),
            Astray::Expired { tp, committed, start } => format!(
                "{} offsets of {tp} on {side} expired before they were read: committed {committed}, the log starts at \
                 {start}",
                start.saturating_sub(*committed)
            ),
        }
    }
}

/// What a group has not consumed, offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unread {
    /// All that is written: to the high watermarks.
    pub written: u64,
    /// What of it can be read now: to the last stable offsets.
    pub readable: u64,
}

/// What a group has not read, over the partitions that it committed and that exist. `None` when one of them can't be
/// measured, or there is none. `stood`: the commits of the round before. Commits and ends of one round are read side by
/// side, so one beyond the end may be of a member that read on meanwhile: it is, when it stood within the log before.
/// Else nothing can be counted from it. What holds no record (`blanks`) is nothing to read.
pub(in crate::migration) fn sum_unread(
    view: &ClusterView,
    group: &GroupView,
    stood: Option<&Commits>,
    blanks: &Blanks,
) -> Option<Unread> {
    if group.trouble.is_some() {
        return None;
    }
    // A commit that members made after the end was asked for lies beyond it, and is no debt.
    let past = |end: i64, at: i64| u64::try_from(end.saturating_sub(at)).unwrap_or(0);
    let mut all = None;
    for (topic, partitions) in &group.offsets {
        // A commit on a topic that is gone, or hidden, is no lag that anybody can work off.
        let Some(log) = view.topics.get(topic) else { continue };
        for (partition, committed) in partitions {
            let Some(p) = usize::try_from(*partition).ok().and_then(|p| log.partitions.get(p)) else { continue };
            // Each end is asked for by itself: without one of them nothing is known of what is written, or of what can be read.
            let (stable, end) = (p.lso?, p.high_watermark?);
            let before = || stood.and_then(|s| s.get(topic)?.get(partition)).is_some_and(|c| c.offset <= end);
            if committed.offset > end && !before() {
                return None;
            }
            let tp = || TopicPartition::new(topic, *partition);
            // Mostly there are none: then no name is built for each partition of each group in each round.
            let blank = if blanks.is_empty() { None } else { blanks.get(&tp()) };
            let at = blank.filter(|b| b.is_of(view, topic)).map_or(committed.offset, |b| b.move_past(committed.offset));
            let all: &mut Unread = all.get_or_insert_default();
            all.readable += past(stable, at);
            all.written += past(end, at);
        }
    }
    all
}

/// The first position that the logs contradict. One beyond the end counts only when it was there in the round before
/// too: commits and ends of one round are read side by side.
pub(in crate::migration) fn find_astray(
    view: &ClusterView,
    group: &GroupView,
    stood: Option<&Commits>,
    blanks: &Blanks,
) -> Option<Astray> {
    let mut found = None;
    for (topic, partitions) in &group.offsets {
        let Some(log) = view.topics.get(topic) else { continue };
        let before = stood.and_then(|stood| stood.get(topic));
        for (partition, Committed { offset: committed, .. }) in partitions {
            let Some(p) = usize::try_from(*partition).ok().and_then(|p| log.partitions.get(p)) else { continue };
            let tp = || TopicPartition::new(topic, *partition);
            // The lower of both is what counts: a commit that was set back since lies within the log again.
            let stood = before.and_then(|b| b.get(partition)).map(|c| c.offset);
            if let (Some(end), Some(stood)) = (p.high_watermark, stood)
                && stood.min(*committed) > end
            {
                // This outranks what expired: from a position that is not of this log nothing can be counted.
                return Some(Astray::Beyond { tp: tp(), committed: *committed, end });
            }
            // What held no record expired unread, and nothing is lost by that.
            let blank = if blanks.is_empty() { None } else { blanks.get(&tp()) };
            let at = blank.filter(|b| b.is_of(view, topic)).map_or(*committed, |b| b.move_past(*committed));
            if let Some(start) = p.log_start.filter(|start| *start > at) {
                found.get_or_insert_with(|| Astray::Expired { tp: tp(), committed: *committed, start });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{PartitionView, TopicView};

    fn seen(lso: Option<i64>, high_watermark: Option<i64>, offset: i64) -> (ClusterView, GroupView) {
        let log = PartitionView { log_start: Some(0), lso, high_watermark, ..PartitionView::default() };
        let topic = TopicView { partitions: vec![log], ..TopicView::default() };
        let view = ClusterView { topics: [("t".to_owned(), topic)].into(), ..ClusterView::default() };
        let committed = BTreeMap::from([(0, Committed { offset, leader_epoch: -1 })]);
        (view, GroupView { offsets: [("t".to_owned(), committed)].into(), ..GroupView::default() })
    }

    #[test]
    fn without_one_of_the_ends_no_lag_is_known_and_none_is_0() {
        let lag = |lso, high| {
            let (view, group) = seen(lso, high, 40);
            sum_unread(&view, &group, None, &Blanks::new()).map(|u| (u.written, u.readable))
        };
        assert_eq!(lag(Some(40), Some(90)), Some((50, 0)), "an open transaction holds 50");
        assert_eq!(lag(Some(40), None), None, "the last stable offset is no high watermark");
        assert_eq!(lag(None, Some(90)), None);
    }

    #[test]
    fn a_commit_beyond_the_last_stable_offset_alone_contradicts_nothing() {
        let astray = |high| {
            let (view, group) = seen(Some(30), high, 40);
            find_astray(&view, &group, Some(&group.offsets), &Blanks::new())
        };
        assert_eq!(astray(None), None, "where the log ends is not known");
        assert!(matches!(astray(Some(35)), Some(Astray::Beyond { committed: 40, end: 35, .. })));
        assert_eq!(astray(Some(90)), None);
    }
}

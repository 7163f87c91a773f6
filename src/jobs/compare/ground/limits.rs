//! Which records of two logs are judged, and which offsets are read for them: the span that was asked for, as far as both logs
//! have it.

use std::collections::BTreeMap;

use super::{DiffLogEnds, DiffPreconditions, DiffSurvey, Hit, partition_number};
use crate::base::sanitise::visible_name;
use crate::base::{TopicPartition, Trouble};
use crate::diff::JudgedRange;
use crate::diff::asked::Span;
use crate::kafka::control::OffsetSpec;
use crate::snapshot::format_moment;

const FROM: i64 = i64::MIN;

impl DiffSurvey<'_> {
    /// Limits a topic's ground to what was asked for. `Some`: why nothing of it can be compared.
    pub(super) async fn limit_to_span(
        &self,
        topic: &str,
        ground: &mut DiffPreconditions,
        logs: &[DiffLogEnds; 2],
    ) -> Result<Option<String>, Trouble> {
        let carried = || self.carried.hulls().filter(|hull| hull.tp.topic == topic);
        match self.span {
            _ if !self.carried.is_empty() => {
                Ok(self.limit_to_offsets(ground, logs, carried().map(|h| (h.tp.partition, h.from, Some(h.to)))))
            }
            Span::Comparable => self.limit_to_comparable(ground, logs).await,
            Span::Times { from, to } => self.limit_to_times(ground, logs, from, to).await,
            Span::Offsets { partition, from, to } => {
                Ok(self.limit_to_offsets(ground, logs, std::iter::once((partition, from, to))))
            }
        }
    }

    /// From where both logs can be compared: the younger of their beginnings.
    async fn limit_to_comparable(
        &self,
        ground: &mut DiffPreconditions,
        logs: &[DiffLogEnds; 2],
    ) -> Result<Option<String>, Trouble> {
        let began = match find_beginnings(ground, logs) {
            Ok(Some(began)) => began,
            Ok(None) => return Ok(None),
            Err(why) => return Ok(Some(why)),
        };
        if ground.rules.compacted {
            return Ok(None);
        }
        let mut from_ts = find_common_times(ground, logs, began);
        if ground.rules.over_topic {
            let latest = from_ts.iter().max().copied().unwrap_or(FROM);
            from_ts.fill(latest);
        }
        if let Some(earliest) = from_ts.iter().filter(|ts| **ts > FROM && **ts < i64::MAX).min() {
            ground.remarks.push(format!("compared from {} on, where both logs begin", format_moment(*earliest)));
        }
        self.set_judged_from(ground, logs, &from_ts).await?;
        Ok(None)
    }

    async fn limit_to_times(
        &self,
        ground: &mut DiffPreconditions,
        logs: &[DiffLogEnds; 2],
        from: i64,
        to: Option<i64>,
    ) -> Result<Option<String>, Trouble> {
        let (delta, late) = (ground.rules.pair_delta_ms.cast_signed(), ground.arrival_skew_ms.cast_signed());
        let partitions = logs[0].partition_count().max(logs[1].partition_count());
        let mut from_ts = vec![from; partitions];
        for (p, begin) in from_ts.iter_mut().enumerate() {
            for log in logs.iter().filter(|l| l.is_cut(p)) {
                let expired = log.first[p].map_or(i64::MAX, |first| first.saturating_add(delta));
                if expired > *begin {
                    let since = match log.first[p] {
                        None => "everything".to_owned(),
                        Some(f) if log.is_ahead(f, late) => {
                            "what is older than its first record, whose time lies ahead,".to_owned()
                        }
                        Some(f) => format!("what is older than {}", format_moment(f)),
                    };
                    ground.unknown.push(format!("partition {p}: {since} has expired on {}", log.side));
                    *begin = expired;
                }
            }
        }
        self.set_judged_from(ground, logs, &from_ts).await?;
        if let Some(to) = to {
            ground.to_ends = false;
            ground.rules.judged.iter_mut().flatten().for_each(|j| j.to_ts = to);
            if !ground.rules.compacted {
                let bounded = if self.replayed { 1 } else { 2 };
                for (log, standing) in logs.iter().enumerate().take(bounded) {
                    let reach = to.saturating_add(2 * delta).saturating_add(late);
                    let ends = self.find_by_time(standing, &vec![reach; standing.partition_count()]).await?;
                    // A record whose time lies ahead of now says nothing of those behind it: it does not end the range.
                    let ahead = |end: &Hit| end.ts.is_some_and(|ts| standing.is_ahead(ts, late));
                    if ends.iter().any(ahead) {
                        ground.remarks.push(format!(
                            "timestamps of {} on {} lie ahead: read to its end",
                            standing.name, standing.side
                        ));
                    }
                    for (range, end) in ground.ranges[log].iter_mut().zip(ends).filter(|(_, end)| !ahead(end)) {
                        range.1 = range.1.min(end.offset);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Judges from these timestamps on, and reads from as far before them as a twin may lie.
    async fn set_judged_from(
        &self,
        ground: &mut DiffPreconditions,
        logs: &[DiffLogEnds; 2],
        from_ts: &[i64],
    ) -> Result<(), Trouble> {
        let reach = 2 * ground.rules.pair_delta_ms.cast_signed();
        for (log, standing) in logs.iter().enumerate() {
            for (judged, from) in ground.rules.judged[log].iter_mut().zip(from_ts) {
                judged.from_ts = *from;
            }
            let asks: Vec<i64> = from_ts.iter().map(|ts| ts.saturating_sub(reach)).collect();
            let found = self.find_by_time(standing, &asks).await?;
            for ((range, at), from) in ground.ranges[log].iter_mut().zip(found).zip(from_ts) {
                if *from > FROM {
                    range.0 = range.0.max(at.offset);
                }
            }
        }
        Ok(())
    }

    /// Stretches of the source's partitions: their records alone are judged.
    fn limit_to_offsets(
        &self,
        ground: &mut DiffPreconditions,
        logs: &[DiffLogEnds; 2],
        wanted: impl Iterator<Item = (i32, i64, Option<i64>)>,
    ) -> Option<String> {
        let [source, target] = logs;
        let mut taken = BTreeMap::new();
        for (partition, from, to) in wanted {
            let p = usize::try_from(partition).unwrap_or(usize::MAX);
            if ground.unasked.contains(&p) {
                return Some(ground.unknown.join("; "));
            }
            let Some((start, end)) = ground.ranges[0].get(p).copied() else {
                return Some(format!("{} has no partition {partition} on {}", visible_name(&source.name), source.side));
            };
            let to = to.unwrap_or(end);
            if from < start || to > end || from > to {
                let what =
                    format!("{}-{partition} on {} holds [{start}, {end})", visible_name(&source.name), source.side);
                return Some(format!("{what}: [{from}, {to}) is not in it"));
            }
            taken.insert(p, (from, to));
        }
        ground.to_ends = taken.iter().any(|(p, (_, to))| *to == source.end[*p]);
        for (q, range) in ground.ranges[0].iter_mut().enumerate() {
            let mine = taken.get(&q).copied();
            *range = mine.unwrap_or((range.1, range.1));
            ground.hidden[0][q] = ground.hidden[0][q].filter(|_| mine.is_some());
            if let Some((from, to)) = mine {
                ground.rules.judged[0][q] = JudgedRange { from, to, ..JudgedRange::default() };
            }
        }
        // Without timestamps of its own to go by, all of the target that is left may hold the twins.
        for (q, range) in ground.ranges[1].iter_mut().enumerate() {
            if !taken.contains_key(&q) && !ground.rules.over_topic {
                range.0 = range.1;
                ground.hidden[1][q] = None;
            }
        }
        ground.rules.judged[1].iter_mut().for_each(|j| (j.from, j.to) = (0, 0));
        let alone = format!("what is on {} alone is not looked for", target.side);
        ground.remarks.push(format!("a range of offsets of {}: {alone}", source.side));
        None
    }

    /// The first records with a timestamp or a later one, by partition.
    async fn find_by_time(&self, log: &DiffLogEnds, ts: &[i64]) -> Result<Vec<Hit>, Trouble> {
        let tp = |p: usize| TopicPartition::new(&log.name, partition_number(p));
        let asks: Vec<_> = (0..log.partition_count())
            .filter(|p| log.start[*p] < log.end[*p])
            .map(|p| (tp(p), OffsetSpec::Timestamp(ts.get(p).copied().unwrap_or(0))))
            .collect();
        let mut found = self.tools.cluster(log.side).list_offsets(&asks).await;
        let hit = |p| found.remove(&tp(p)).unwrap_or(Ok(None)).map(|found| log.limit_hit(p, found));
        (0..log.partition_count()).map(hit).collect()
    }
}

/// When each log began, by its oldest record; `None`: both are empty. Errors: why they can't be compared.
fn find_beginnings(ground: &mut DiffPreconditions, logs: &[DiffLogEnds; 2]) -> Result<Option<[i64; 2]>, String> {
    let late = ground.arrival_skew_ms.cast_signed();
    // A time that lies ahead is none at which a log began: all of it is judged then.
    let begins = |log: &DiffLogEnds| log.oldest_timestamp().map(|ts| if log.is_ahead(ts, late) { FROM } else { ts });
    match (begins(&logs[0]), begins(&logs[1])) {
        (None, None) => {
            ground.remarks.push("both are empty".to_owned());
            Ok(None)
        }
        (Some(a), Some(b)) => Ok(Some([a, b])),
        _ if !ground.unasked.is_empty() => Err(ground.unknown.join("; ")),
        (a, _) => {
            let (full, empty) = if a.is_some() { (&logs[0], &logs[1]) } else { (&logs[1], &logs[0]) };
            let why = format!("{} holds no record of {}, {} does", empty.side, visible_name(&empty.name), full.side);
            Err(format!("{why}: nothing can be compared; ask for a time range to list what is missing"))
        }
    }
}

/// From which timestamp on both logs hold the records of each partition. Where that can't be told, nothing of the partition is
/// judged, and the ground says why.
fn find_common_times(ground: &mut DiffPreconditions, logs: &[DiffLogEnds; 2], [b0, b1]: [i64; 2]) -> Vec<i64> {
    let (delta, late) = (ground.rules.pair_delta_ms.cast_signed(), ground.arrival_skew_ms.cast_signed());
    let (young, began) = if b1 >= b0 { (1, b1) } else { (0, b0) };
    let apart = b0.abs_diff(b1) > ground.rules.pair_delta_ms;
    let partitions = logs[0].partition_count().max(logs[1].partition_count());
    let mut from_ts = vec![FROM; partitions];
    for (p, from) in from_ts.iter_mut().enumerate() {
        if apart && !logs[young].is_cut(p) {
            *from = began.saturating_sub(delta);
            // Before the first pair nothing may have been written to both yet.
            if let Some(judged) = ground.rules.judged[1 - young].get_mut(p) {
                judged.excused_before_ts = began.saturating_add(delta);
            }
        }
        for log in logs.iter().filter(|l| l.is_cut(p)) {
            match log.first[p] {
                Some(first) if log.is_ahead(first, late) => {
                    ground.unknown.push(format!(
                        "partition {p}: part of it has expired on {}, and its first record's time lies ahead: from where \
                         on both can be compared can't be told",
                        log.side
                    ));
                    *from = i64::MAX;
                }
                // What expired was written by its first record's time, give or take.
                Some(first) => *from = (*from).max(first.saturating_add(delta)),
                None if logs.iter().all(|l| l.first.get(p).is_none_or(Option::is_none)) => {}
                None => {
                    let side = log.side;
                    ground.unknown.push(format!("partition {p}: everything on {side} has expired"));
                    *from = i64::MAX;
                }
            }
        }
    }
    from_ts
}

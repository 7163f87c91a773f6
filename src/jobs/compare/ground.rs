//! Where two logs can be compared: which offsets are read on each side, and which records of them are judged.

mod limits;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition, Trouble};
use crate::diff::asked::Span;
use crate::diff::{DiffRules, JudgedRange};
use crate::kafka::control::{Cluster, OffsetSpec, SnapshotOptions, Which};
use crate::offsets::identity::IdentityRule;
use crate::plan::Plan;
use crate::replay::Ranges;
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::tools::{Tools, after_max_ms};

/// One topic's ground.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DiffPreconditions {
    /// Its name on blue ...
    pub topic: String,
    /// ... on the source and on the target.
    pub names: [String; 2],
    /// What makes two records the same.
    pub identity: IdentityRule,
    /// How much later a twin may arrive, ms.
    pub arrival_skew_ms: u64,
    /// How far ahead of their clocks the source and the target take timestamps, ms.
    #[serde(default)]
    pub after_max_ms: [Option<u64>; 2],
    /// Which records are judged; buckets and memory are set when the work begins.
    pub rules: DiffRules,
    /// Offsets that are read, by log and partition; nothing where they are equal.
    pub ranges: [Vec<(i64, i64)>; 2],
    /// When the ends of the source and of the target were asked for.
    pub asked: [At; 2],
    /// The range goes up to the ends: what arrived since may hold the twins of the youngest records.
    pub to_ends: bool,
    /// The last stable offset where an open transaction hides what is beyond it, by log and partition.
    pub hidden: HiddenOffsets,
    /// Partitions of which a side could not be asked: nothing of them is compared.
    pub unasked: BTreeSet<usize>,
    /// Why something of it can't be compared.
    pub unknown: Vec<String>,
    /// What else is good to know.
    pub remarks: Vec<String>,
}

/// Where open transactions begin to hide records, by log and partition.
pub(super) type HiddenOffsets = [Vec<Option<i64>>; 2];

impl DiffPreconditions {
    /// Leaves out the partitions of which a side could not be asked: the other side's records would look lost.
    fn leave_out(&mut self) {
        for log in 0..2 {
            for p in &self.unasked {
                if let (Some(range), Some(judged)) = (self.ranges[log].get_mut(*p), self.rules.judged[log].get_mut(*p))
                {
                    *range = (range.1, range.1);
                    judged.from_ts = i64::MAX;
                    self.hidden[log][*p] = None;
                }
            }
        }
    }

    /// What of `hidden` matters when the logs were read up to `ends`: twins do not lie beyond an earlier end.
    pub(crate) fn limit_hidden(&self, mut hidden: HiddenOffsets, ends: &[Vec<i64>; 2]) -> HiddenOffsets {
        for (hidden, ends) in hidden.iter_mut().zip(ends) {
            for (hidden, end) in hidden.iter_mut().zip(ends) {
                *hidden = hidden.filter(|from| end >= from);
            }
        }
        hidden
    }

    /// Says where open transactions hide records; whether a range that ends there is known is another matter.
    pub(crate) fn tell_hidden(
        &self,
        hidden: &HiddenOffsets,
        source: Side,
        unknown: &mut Vec<String>,
        remarks: &mut Vec<String>,
    ) {
        for (log, hidden) in hidden.iter().enumerate() {
            let side = if log == 0 { source } else { source.other() };
            let mut all = (0..).zip(hidden).filter_map(|(p, from)| Some((p, (*from)?)));
            let Some((p, from)) = all.next() else { continue };
            let more = match all.count() {
                0 => String::new(),
                n => format!(" (and {n} more partitions)"),
            };
            let tp = TopicPartition::new(&self.names[log], p);
            let what = format!("an open transaction on {side} holds {tp} from offset {from} on{more}");
            // A range with an end promises all that lies before it, and some of it may be in there.
            if self.rules.judged[log].iter().any(|j| j.to_ts < i64::MAX) {
                unknown.push(format!("{what}: not all of the range can be read"));
            } else {
                // One that stood there from the first look on hides records that are neither equal nor missing.
                if (0..).zip(hidden).any(|(p, from)| from.is_some() && self.hidden_at(log, p) == *from) {
                    unknown.push(format!("{what}, and has not moved: what lies behind it can't be compared yet"));
                }
                remarks.push(format!("{what}: compared up to there"));
            }
        }
    }

    /// Where an open transaction began to hide records of a partition when the range was laid down.
    fn hidden_at(&self, log: usize, p: usize) -> Option<i64> {
        self.hidden[log].get(p).copied().flatten()
    }

    /// Whether any transaction that was open then still holds its log.
    pub(crate) fn still_hides(&self, hidden: &HiddenOffsets) -> bool {
        let same = |log: usize| {
            hidden[log].iter().enumerate().any(|(p, from)| from.is_some() && self.hidden_at(log, p) == *from)
        };
        same(0) || same(1)
    }

    /// Offsets to be read, both logs together.
    pub(crate) fn count_offsets(&self) -> u64 {
        self.ranges.iter().flatten().map(|(from, to)| to.saturating_sub(*from).max(0).unsigned_abs()).sum()
    }
}

/// What the ground of a topic is made from.
pub(super) struct DiffSurvey<'a> {
    pub plan: &'a Plan,
    pub tools: &'a Tools,
    pub names: &'a TopicNames,
    pub source: Side,
    pub span: Span,
    /// What was replayed lies at the target's end, whatever its timestamps say.
    pub replayed: bool,
    /// When it is not empty: each partition from its first of these offsets to its last.
    pub carried: &'a Ranges,
}

/// One log as it stands: by partition.
struct DiffLogEnds {
    side: Side,
    name: String,
    start: Vec<i64>,
    end: Vec<i64>,
    /// The end, where an open transaction hides records from there on.
    hidden: Vec<Option<i64>>,
    /// Timestamp of the first record; `None` when there is none.
    first: Vec<Option<i64>>,
    asked: At,
}

impl DiffLogEnds {
    fn partition_count(&self) -> usize {
        self.start.len()
    }

    /// The oldest record of all partitions.
    fn oldest_timestamp(&self) -> Option<i64> {
        self.first.iter().flatten().min().copied()
    }

    /// Forgets what is known of partitions of which the other side could not be asked.
    fn leave_out(&mut self, unasked: &BTreeSet<usize>) {
        let count = self.partition_count();
        for p in unasked.iter().copied().filter(|p| *p < count) {
            (self.start[p], self.end[p], self.hidden[p], self.first[p]) = (0, 0, None, None);
        }
    }

    /// Whether a timestamp of it is no time of arrival: it lies further ahead than anything that is late lies behind.
    fn is_ahead(&self, ts: i64, late: i64) -> bool {
        ts > self.asked.0.saturating_add(late)
    }

    fn is_cut(&self, p: usize) -> bool {
        self.start.get(p).is_some_and(|start| *start > 0)
    }

    /// What a lookup by time found in a partition, as far as it lies within the log as it stands.
    fn limit_hit(&self, p: usize, found: Option<(i64, i64)>) -> Hit {
        let (start, end) = (self.start[p], self.end[p]);
        match found.filter(|(offset, _)| *offset < end) {
            Some((offset, ts)) => Hit { offset: offset.max(start), ts: Some(ts) },
            None => Hit { offset: end, ts: None },
        }
    }
}

/// The first record with a timestamp or a later one, and its own timestamp; the log's end where there is none.
struct Hit {
    offset: i64,
    ts: Option<i64>,
}

impl DiffSurvey<'_> {
    fn side(&self, log: usize) -> Side {
        if log == 0 { self.source } else { self.source.other() }
    }

    /// The ground of a topic (its name on blue), or why nothing of it can be compared.
    ///
    /// # Errors
    /// A side can't be observed.
    pub(crate) async fn survey_topic(&self, topic: &str) -> Result<Result<DiffPreconditions, String>, Trouble> {
        let mut counts = [0; 2];
        for (log, count) in counts.iter_mut().enumerate() {
            match self.count_partitions(topic, self.side(log)).await? {
                Ok(n) => *count = n,
                Err(why) => return Ok(Err(why)),
            }
        }
        // The target's ends are asked for first: what is on the source by then and not there is late, not only new.
        let (mut unknown, mut unasked) = (Vec::new(), BTreeSet::new());
        let target = self.ask_log_ends(topic, 1, counts[1], (&mut unknown, &mut unasked)).await;
        let source = self.ask_log_ends(topic, 0, counts[0], (&mut unknown, &mut unasked)).await;
        let mut logs = [source, target];
        let compacted = self.any_compacted(&logs).await?;
        let after_max_ms = [self.after_max_ms(&logs[0]).await, self.after_max_ms(&logs[1]).await];
        let rule = self.plan.topic_rule(topic);
        let over_topic = counts[0] != counts[1];
        let all_of_it = over_topic || unasked.len() >= counts[0];
        if !unasked.is_empty() && all_of_it {
            // A twin may be in any partition, or there is no other.
            return Ok(Err(unknown.join("; ")));
        }
        logs.iter_mut().for_each(|log| log.leave_out(&unasked));
        let rules = build_rules(&logs, (rule.arrival_skew_ms, rule.pair_delta_ms), over_topic, compacted);
        let mut ground = DiffPreconditions {
            topic: topic.to_owned(),
            names: logs.each_ref().map(|l| l.name.clone()),
            remarks: list_remarks(&logs, &rules, &rule.identity),
            identity: rule.identity,
            arrival_skew_ms: rule.arrival_skew_ms,
            after_max_ms,
            rules,
            ranges: logs.each_ref().map(|l| l.start.iter().copied().zip(l.end.iter().copied()).collect()),
            asked: logs.each_ref().map(|l| l.asked),
            to_ends: true,
            hidden: logs.each_ref().map(|l| l.hidden.clone()),
            unasked,
            unknown,
        };
        let refused = self.limit_to_span(topic, &mut ground, &logs).await?;
        ground.leave_out();
        if let Some(why) = self.find_misread(&ground).await? {
            return Ok(Err(why));
        }
        Ok(match refused {
            Some(why) => Err(why),
            None => Ok(ground),
        })
    }

    /// Why the built-in librdkafka would misread something of it: then both sides might share the mistake.
    async fn find_misread(&self, ground: &DiffPreconditions) -> Result<Option<String>, Trouble> {
        for (log, ranges) in ground.ranges.iter().enumerate() {
            let tp = |p: usize| TopicPartition::new(&ground.names[log], partition_number(p));
            let windows: Vec<_> = ranges.iter().enumerate().map(|(p, (from, to))| (tp(p), *from, *to)).collect();
            let old = self.tools.cluster(self.side(log)).find_old_sets(&windows).await?;
            if let Some(old) = old.into_iter().next() {
                return Ok(Some(format!("{}; {}", old.why.what, old.why.advice)));
            }
        }
        Ok(None)
    }

    /// How a log stands. A partition that can't be asked is put into `unasked`, and `unknown` says why.
    async fn ask_log_ends(
        &self,
        topic: &str,
        log: usize,
        count: usize,
        (unknown, unasked): (&mut Vec<String>, &mut BTreeSet<usize>),
    ) -> DiffLogEnds {
        let side = self.side(log);
        let name = self.names.topic_on(side, topic);
        let tps: Vec<_> = (0..count).map(|p| TopicPartition::new(&name, partition_number(p))).collect();
        let ask = |spec| {
            let asks: Vec<_> = tps.iter().map(|tp| (tp.clone(), spec)).collect();
            async move { self.tools.cluster(side).list_offsets(&asks).await }
        };
        let asked = Clock.now();
        // Before the last stable offsets: what is written in between is not hidden.
        let highs = ask(OffsetSpec::Latest).await;
        let (starts, ends, firsts) =
            tokio::join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::LatestStable), ask(OffsetSpec::Timestamp(0)));
        let (start, end, hidden, first) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut standing = DiffLogEnds { side, name, start, end, hidden, first, asked };
        for (p, tp) in tps.iter().enumerate() {
            match (answer_for(&starts, tp), answer_for(&ends, tp), answer_for(&firsts, tp), answer_for(&highs, tp)) {
                (Ok(Some((start, _))), Ok(Some((end, _))), Ok(first), Ok(Some((high, _)))) => {
                    standing.start.push(start);
                    standing.end.push(end);
                    standing.hidden.push((end < high).then_some(end));
                    standing.first.push(first.filter(|_| start < end).map(|(_, ts)| ts));
                }
                (start, end, first, high) => {
                    let why = [start.err(), end.err(), first.err(), high.err()].into_iter().flatten().next();
                    let why = why.map_or("it did not answer".to_owned(), |t| t.what);
                    unknown.push(format!("{tp} on {side}: {why}"));
                    unasked.insert(p);
                    standing.start.push(0);
                    standing.end.push(0);
                    standing.hidden.push(None);
                    standing.first.push(None);
                }
            }
        }
        standing
    }

    /// How far ahead a log takes timestamps. Where it does not say, no record is taken for refused.
    async fn after_max_ms(&self, log: &DiffLogEnds) -> Option<u64> {
        let configs = self.tools.cluster(log.side).describe_configs(std::slice::from_ref(&log.name)).await;
        configs.get(&log.name)?.as_ref().ok().and_then(after_max_ms)
    }

    async fn any_compacted(&self, logs: &[DiffLogEnds; 2]) -> Result<bool, Trouble> {
        for log in logs {
            if is_compacted(self.tools.cluster(log.side), &log.name).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many partitions a topic has on a side, or why that can't be said.
    async fn count_partitions(&self, topic: &str, side: Side) -> Result<Result<usize, String>, Trouble> {
        let options = SnapshotOptions {
            topics: Which::only([self.names.topic_on(side, topic)]),
            groups: Which::None,
            members: Which::None,
            ..SnapshotOptions::default()
        };
        let view = self.tools.cluster(side).snapshot(&options).await?;
        Ok(self.names.count_partitions(topic, side, &view))
    }
}

/// Everything up to the ends is judged, until the span says less. The two times: how much later a twin may arrive, and
/// how far apart the timestamps of one record may be, ms.
fn build_rules(
    logs: &[DiffLogEnds; 2],
    (arrival_skew_ms, pair_delta_ms): (u64, u64),
    over_topic: bool,
    compacted: bool,
) -> DiffRules {
    let up_to = |end: &i64| JudgedRange { to: *end, ..JudgedRange::default() };
    let judged = logs.each_ref().map(|log| log.end.iter().map(up_to).collect());
    let first_asked = logs[0].asked.min(logs[1].asked).0;
    let slack = arrival_skew_ms.saturating_add(pair_delta_ms).cast_signed();
    let old_before_ts = first_asked.saturating_sub(slack);
    DiffRules { over_topic, compacted, judged, old_before_ts, ..DiffRules::judging_all(0, pair_delta_ms) }
}

/// What is good to know of how a topic is compared.
fn list_remarks(logs: &[DiffLogEnds; 2], rules: &DiffRules, identity: &IdentityRule) -> Vec<String> {
    let mut remarks = Vec::new();
    if rules.over_topic {
        let [s, t] = logs;
        let counts = format!("{} partitions on {}, {} on {}", s.partition_count(), s.side, t.partition_count(), t.side);
        remarks.push(format!("{counts}: compared over the whole topic"));
    }
    if *identity == IdentityRule::Key {
        remarks.push("compared by key only: a changed value is not seen".to_owned());
    }
    if rules.compacted {
        remarks.push("compacted: records that a later one of their key supersedes are excused".to_owned());
    }
    remarks
}

/// Whether a topic is compacted on a cluster.
///
/// # Errors
/// The cluster does not say: excusing records without knowing would hide losses.
pub(super) async fn is_compacted(cluster: &Cluster, name: &str) -> Result<bool, Trouble> {
    let name = name.to_owned();
    let configs = cluster.describe_configs(std::slice::from_ref(&name)).await;
    let policy = configs.get(&name).and_then(|c| c.as_ref().ok()).and_then(|c| c.get("cleanup.policy"));
    policy.and_then(|p| p.value.as_deref()).map(|policy| policy.contains("compact")).ok_or_else(|| {
        let what = format!("{} does not say whether {name} is compacted", cluster.side(), name = visible_name(&name));
        Trouble::new(what, "give this principal DESCRIBE_CONFIGS on the topic")
    })
}

type SurveyListing = BTreeMap<TopicPartition, Result<Option<(i64, i64)>, Trouble>>;

fn answer_for(listed: &SurveyListing, tp: &TopicPartition) -> Result<Option<(i64, i64)>, Trouble> {
    listed.get(tp).cloned().unwrap_or_else(|| Err(Trouble::new("it was left out of the answer", "try again")))
}

fn partition_number(p: usize) -> i32 {
    i32::try_from(p).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;

//! Small settled windows of what producers write to both clusters, compared now and then: one partition of each topic at
//! a time, in turn. It only reads, little, and leaves brokers alone that take long to answer.
//!
//! A window ends `arrival_skew` ago, so that nothing of it is on its way any more. Its twins are looked for close by
//! first, where they are as a rule; only when one is not there everything is read that may hold it, up to a bound.
//! What lies beyond the bound is unknown, never missing, and never verified.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::ground::is_compacted;
use super::pace::ReadPace;
use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition, Trouble};
use crate::diff::{DiffRecord, PartitionDiff, compare_window};
use crate::jobs::identities::RecordIdentities;
use crate::kafka::control::OffsetSpec;
use crate::kafka::plane::DataPlane;
use crate::kafka::records::{Isolation, ReadRange, RecordReader};
use crate::offsets::identity::{IdentityRule, key_hash};
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::tools::Tools;

/// Records of a window, about.
const RECORDS: u64 = 500;
/// The longest window, ms: on quiet topics it holds fewer records.
const LONGEST_MS: i64 = 3_600_000;
/// A window is this long to begin with, ms.
const FIRST_MS: i64 = 60_000;
/// How far around a window twins are looked for first, ms.
const NEAR_MS: i64 = 500;
/// Most offsets that are read of one side: for twins close by, and for all that may hold one.
const NEAR_OFFSETS: i64 = 5_000;
const FAR_OFFSETS: i64 = 50_000;
/// Most bytes of keys and values that are read of one side for one window.
const BYTES: u64 = 8 << 20;
/// Topics that are looked at in one tick.
const AT_ONCE: usize = 8;
/// The first tick comes this soon, ms.
const SOON_MS: u64 = 2_000;
/// How long nothing may arrive before a read is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Record bytes that may wait in a reader, KiB.
const QUEUED_KIB: u32 = 512;

/// A topic that is written to both clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SampleTarget {
    /// Its name on blue.
    pub topic: String,
    /// Partitions, as many on both sides.
    pub partitions: u32,
    /// Since when it is written to both; `None` for longer than is known.
    pub since: Option<At>,
}

/// What came of looking at one partition.
#[derive(Debug, Clone)]
pub(crate) struct Sampled {
    pub topic: String,
    pub partition: u32,
    pub at: At,
    pub result: Result<SampleCounts, Missed>,
}

/// Records of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SampleCounts {
    pub found: u64,
    pub missing: u64,
    pub only_green: u64,
    pub doubled: u64,
}

/// Why a window says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missed {
    /// It was not looked at.
    Not(String),
    /// It was, and something of it is not known.
    Unknown(String),
}

/// A side could not be asked: nothing was looked at.
impl From<Trouble> for Missed {
    fn from(trouble: Trouble) -> Self {
        Missed::Not(trouble.what)
    }
}

impl From<&PartitionDiff> for SampleCounts {
    fn from(p: &PartitionDiff) -> Self {
        Self {
            found: p.counts.equal,
            missing: p.missing.count,
            only_green: p.only_target.count,
            doubled: p.duplicated[0].count + p.duplicated[1].count,
        }
    }
}

/// Looks at the targets, every `[diff] fidelity`, until nobody listens.
pub(crate) async fn sample_targets(
    plan: Arc<Plan>,
    tools: Arc<Tools>,
    targets: watch::Receiver<Vec<SampleTarget>>,
    to: mpsc::Sender<Sampled>,
) {
    let Some(period) = plan.diff.fidelity_ms else { return };
    let mut sampler = Sampler::new(plan, tools);
    let mut turn: BTreeMap<String, u32> = BTreeMap::new();
    let (mut first, mut begun) = (0, false);
    loop {
        Clock.sleep(if begun { period } else { SOON_MS.min(period) }).await;
        let wanted = targets.borrow().clone();
        turn.retain(|topic, _| wanted.iter().any(|t| t.topic == *topic));
        begun = !wanted.is_empty();
        for n in 0..wanted.len().min(AT_ONCE) {
            let target = &wanted[(first + n) % wanted.len()];
            let next = turn.entry(target.topic.clone()).or_default();
            let partition = *next % target.partitions.max(1);
            *next = partition + 1;
            let result = sampler.sample_partition(target, partition).await;
            let sampled = Sampled { topic: target.topic.clone(), partition, at: Clock.now(), result };
            if to.send(sampled).await.is_err() {
                return;
            }
        }
        first = first.wrapping_add(AT_ONCE);
    }
}

struct Sampler {
    plan: Arc<Plan>,
    tools: Arc<Tools>,
    identities: RecordIdentities,
    pace: Arc<ReadPace>,
    /// Ends a read under way when nobody waits for it any more.
    stop: Arc<AtomicBool>,
    readers: [Option<RecordReader>; 2],
    compacted: BTreeMap<String, bool>,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let readers = std::mem::take(&mut self.readers);
        // A client takes 100-200 ms to go.
        std::thread::spawn(move || drop(readers));
    }
}

/// One partition on both sides, source first.
struct PartitionPair {
    tps: [TopicPartition; 2],
    start: [i64; 2],
    end: [i64; 2],
    /// The end is where an open transaction begins.
    hidden: [bool; 2],
    /// Timestamp of the first record of the target.
    first: Option<i64>,
    asked: [At; 2],
    /// How far ahead of now a timestamp may lie, ms.
    skew: i64,
}

impl PartitionPair {
    /// What a lookup by time found in a log: the end where it found nothing. A window lies between two of these. A record
    /// whose own time lies ahead of now is in no window, and those behind it in the log may not be found: nothing is claimed
    /// then.
    fn hit_offset(&self, log: usize, found: Option<(i64, i64)>) -> Result<i64, Missed> {
        let (start, end) = (self.start[log], self.end[log].max(self.start[log]));
        match found.filter(|(offset, _)| *offset < end) {
            Some((offset, ts)) if ts > self.asked[log].0.saturating_add(self.skew) => Err(Missed::Unknown(format!(
                "{} on {} has timestamps that lie ahead of now (offset {offset}): v compares all of it",
                self.tps[log], SIDES[log]
            ))),
            Some((offset, _)) => Ok(offset.max(start)),
            None => Ok(end),
        }
    }
}

const SIDES: [Side; 2] = [Side::Blue, Side::Green];

impl Sampler {
    fn new(plan: Arc<Plan>, tools: Arc<Tools>) -> Self {
        let pace = Arc::new(ReadPace::new(plan.diff.rate, plan.diff.back_off_above_ms));
        let identities = RecordIdentities::of_plan(&plan);
        Self { plan, tools, identities, pace, stop: Arc::default(), readers: [None, None], compacted: BTreeMap::new() }
    }

    async fn sample_partition(&mut self, target: &SampleTarget, partition: u32) -> Result<SampleCounts, Missed> {
        self.refuse_compacted(&target.topic).await?;
        let rule = self.plan.topic_rule(&target.topic);
        let (delta, skew) = (rule.pair_delta_ms.cast_signed(), rule.arrival_skew_ms.cast_signed());
        let place = self.ask_partition_pair(&target.topic, partition).await?;
        // From the look that came first: by then everything had arrived on both sides.
        let to_ts = place.asked[0].min(place.asked[1]).0.saturating_sub(skew);
        let Some(begins) = target.since.map(|at| at.0).or(place.first) else {
            return Err(Missed::Not(format!("{} has no record yet", place.tps[1])));
        };
        // The two timestamps of a record may be so far apart: of an earlier one only one side may have been written.
        let floor = begins.saturating_add(delta);
        if to_ts <= floor {
            // Rounded up: after the time that is named it is there.
            let wait = (floor - to_ts).max(0) / 1_000 + 1;
            return Err(Missed::Not(format!("written to both for too short a time: the first window in {wait} s")));
        }
        let from_ts = self.find_window_begin(&place, floor, to_ts).await?;
        let near = self
            .compare_window(&place, &rule.identity, (from_ts, to_ts), delta, (NEAR_MS, NEAR_MS), NEAR_OFFSETS)
            .await;
        match near {
            // Each record has its twin close by, and nothing that lies further off takes one away again.
            Ok((p, _)) if p.missing.count + p.only_target.count == 0 => return Ok(SampleCounts::from(&p)),
            Ok(_) | Err(Missed::Unknown(_)) => {}
            Err(not) => return Err(not),
        }
        let reach = (2 * delta, 2 * delta + skew);
        let (p, ranges) =
            self.compare_window(&place, &rule.identity, (from_ts, to_ts), delta, reach, FAR_OFFSETS).await?;
        let counts = SampleCounts::from(&p);
        // A topic may have become compacted since it was asked: what is gone by that would look like a loss.
        if counts.missing + counts.only_green > 0 {
            self.compacted.remove(&target.topic);
            self.refuse_compacted(&target.topic).await?;
        }
        // What is alone on one log may lie where the other one can't be read.
        for (alone, other) in [(counts.missing, 1), (counts.only_green, 0)] {
            let (tp, side, range) = (&place.tps[other], SIDES[other], ranges[other]);
            if alone > 0 && place.hidden[other] && range.1 >= place.end[other] {
                let why = format!("an open transaction on {side} holds {tp} from offset {} on", place.end[other]);
                return Err(Missed::Unknown(why));
            }
            if alone > 0 && place.start[other] > 0 && range.0 <= place.start[other] {
                return Err(Missed::Unknown(format!("the beginning of {tp} has expired on {side}")));
            }
        }
        Ok(counts)
    }

    /// Where the window begins: so that it holds about so many records of the source.
    async fn find_window_begin(&self, place: &PartitionPair, floor: i64, to_ts: i64) -> Result<i64, Missed> {
        let to = self.find_by_time(place, 0, to_ts).await?;
        let mut from_ts = floor.max(to_ts - FIRST_MS);
        // A handful of lookups at most: the window has to be about right, no more.
        for _ in 0..5 {
            let count = to.saturating_sub(self.find_by_time(place, 0, from_ts).await?).max(0).unsigned_abs();
            let span = to_ts - from_ts;
            // Anything from a tenth to twice as many will do: each correction costs a request.
            if count > RECORDS * 2 && span > 1 {
                from_ts = to_ts - (i128::from(span) * i128::from(RECORDS) / i128::from(count)).max(1) as i64;
            } else if count < RECORDS / 10 && from_ts > floor && span < LONGEST_MS {
                from_ts = floor.max(to_ts - (span * 10).min(LONGEST_MS));
            } else {
                break;
            }
        }
        Ok(from_ts)
    }

    /// Reads so far around the window, and compares.
    async fn compare_window(
        &mut self,
        place: &PartitionPair,
        identity: &IdentityRule,
        (from_ts, to_ts): (i64, i64),
        delta: i64,
        (before, after): (i64, i64),
        most: i64,
    ) -> Result<(PartitionDiff, [(i64, i64); 2]), Missed> {
        let mut ranges = [(0, 0); 2];
        for (log, range) in ranges.iter_mut().enumerate() {
            let from = self.find_by_time(place, log, from_ts.saturating_sub(before)).await?;
            let to = self.find_by_time(place, log, to_ts.saturating_add(after)).await?;
            *range = (from, to.max(from));
            if to - from > most {
                let why = format!(
                    "{} offsets on {} may hold twins, more than {most}: v compares all of it",
                    to - from,
                    SIDES[log]
                );
                return Err(Missed::Unknown(why));
            }
        }
        let [source, target] = std::mem::take(&mut self.readers);
        let (source, target) = tokio::join!(
            self.read_log(0, source, place, identity, ranges[0]),
            self.read_log(1, target, place, identity, ranges[1])
        );
        let ((a, source), (b, target)) = (source, target);
        self.readers = [a, b];
        let found = compare_window((from_ts, to_ts), delta.unsigned_abs(), [&source?, &target?]);
        Ok((found, ranges))
    }

    async fn read_log(
        &self,
        log: usize,
        reader: Option<RecordReader>,
        place: &PartitionPair,
        identity: &IdentityRule,
        (from, to): (i64, i64),
    ) -> (Option<RecordReader>, Result<Vec<DiffRecord>, Missed>) {
        if from >= to {
            return (reader, Ok(Vec::new()));
        }
        let (tools, pace, stop) = (Arc::clone(&self.tools), Arc::clone(&self.pace), Arc::clone(&self.stop));
        let identifier = match self.identities.start_reading(SIDES[log]) {
            Ok(identifier) => identifier,
            Err(why) => return (reader, Err(why.into())),
        };
        let (range, rule) = (ReadRange { partition: place.tps[log].clone(), from, to }, identity.clone());
        let work = tokio::task::spawn_blocking(move || {
            let open = || match tools.why_unreachable(SIDES[log]) {
                Some(why) => Err(why.clone()),
                None => DataPlane::of_cluster(tools.cluster(SIDES[log])).open_reader_within(
                    Isolation::Committed,
                    PATIENCE,
                    QUEUED_KIB,
                ),
            };
            let mut reader = match reader.map_or_else(open, Ok) {
                Ok(reader) => reader,
                Err(trouble) => return (None, Err(trouble.into())),
            };
            let (mut records, mut bytes, mut unidentified) = (Vec::new(), 0, None);
            let read = reader.read_range(&range, |record| {
                let id = match identifier.identify(&rule, &range.partition, &record) {
                    Ok(id) => id,
                    Err(why) => {
                        unidentified = Some(why);
                        return ControlFlow::Break(());
                    }
                };
                bytes += record.size as u64;
                pace.take_bytes(record.size as u64, &|| stop.load(Ordering::Relaxed));
                // `-1` is Kafka's own number for "no timestamp".
                records.push(DiffRecord {
                    offset: record.offset,
                    ts: record.timestamp.unwrap_or(-1),
                    id,
                    key: key_hash(record.key),
                    tombstone: record.value.is_none(),
                });
                let over = bytes > BYTES || stop.load(Ordering::Relaxed);
                if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if let Some(why) = unidentified {
                return (Some(reader), Err(Missed::Unknown(why.into_trouble().what)));
            }
            if bytes > BYTES {
                let why =
                    format!("the window has more than {} MiB on {}: v compares all of it", BYTES >> 20, SIDES[log]);
                return (Some(reader), Err(Missed::Unknown(why)));
            }
            match read {
                Ok(_) => (Some(reader), Ok(records)),
                // A client that failed holds on to what failed it.
                Err(e) => {
                    tracing::info!(partition = %range.partition, why = %e, "a sample is missed");
                    (None, Err(Missed::Unknown(e.to_string())))
                }
            }
        });
        // Not in its own words, which may be made of what the client was given.
        work.await.unwrap_or_else(|_| (None, Err(Missed::Unknown("the read broke off".into()))))
    }

    /// How the partition stands on both sides; the target is asked first.
    async fn ask_partition_pair(&self, topic: &str, partition: u32) -> Result<PartitionPair, Missed> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let tps = SIDES.map(|side| TopicPartition::new(self.tools.names.topic_on(side, topic), number));
        let skew = self.plan.topic_rule(topic).arrival_skew_ms.cast_signed();
        let (start, end, hidden, asked) = ([0; 2], [0; 2], [false; 2], [At(0); 2]);
        let mut place = PartitionPair { tps, start, end, hidden, first: None, asked, skew };
        for log in [1, 0] {
            let watch = Clock.stopwatch();
            place.asked[log] = Clock.now();
            let high = self.list_offset(&place, log, OffsetSpec::Latest).await?.map_or(0, |(offset, _)| offset);
            let took = watch.elapsed_ms();
            let allowed = self.plan.diff.back_off_above_ms;
            if took > allowed {
                let side = SIDES[log];
                return Err(Missed::Not(format!("{side} takes {took} ms to answer (limit {allowed} ms): left alone")));
            }
            place.start[log] =
                self.list_offset(&place, log, OffsetSpec::Earliest).await?.map_or(0, |(offset, _)| offset);
            place.end[log] =
                self.list_offset(&place, log, OffsetSpec::LatestStable).await?.map_or(0, |(offset, _)| offset);
            place.hidden[log] = place.end[log] < high;
            if log == 1 {
                let first = self.list_offset(&place, log, OffsetSpec::Timestamp(0)).await?;
                // Only for its refusal: a first record whose time lies ahead of now says nothing of when the log began.
                place.hit_offset(log, first)?;
                place.first = first.map(|(_, ts)| ts);
            }
        }
        Ok(place)
    }

    async fn list_offset(
        &self,
        place: &PartitionPair,
        log: usize,
        spec: OffsetSpec,
    ) -> Result<Option<(i64, i64)>, Missed> {
        let tp = &place.tps[log];
        let mut found = self.tools.cluster(SIDES[log]).list_offsets(&[(tp.clone(), spec)]).await;
        let missed = || Missed::Not(format!("{} left {tp} out of its answer", SIDES[log]));
        Ok(found.remove(tp).ok_or_else(missed)??)
    }

    /// The first offset with this timestamp or a later one.
    async fn find_by_time(&self, place: &PartitionPair, log: usize, ts: i64) -> Result<i64, Missed> {
        // Below 0 a timestamp means something else to ListOffsets: -1 is the end, -2 the beginning.
        place.hit_offset(log, self.list_offset(place, log, OffsetSpec::Timestamp(ts.max(0))).await?)
    }

    /// Of a compacted topic a window says nothing: compaction takes records away on each side as it likes.
    async fn refuse_compacted(&mut self, topic: &str) -> Result<(), Missed> {
        match self.is_compacted(topic).await? {
            true => Err(Missed::Not(format!("{} is compacted: v compares all of it", visible_name(topic)))),
            false => Ok(()),
        }
    }

    async fn is_compacted(&mut self, topic: &str) -> Result<bool, Missed> {
        // What was compacted once is asked again: it may not be any more, and nothing is compared meanwhile.
        if self.compacted.get(topic) == Some(&false) {
            return Ok(false);
        }
        let mut compacted = false;
        for side in SIDES {
            compacted |= is_compacted(self.tools.cluster(side), &self.tools.names.topic_on(side, topic)).await?;
        }
        self.compacted.insert(topic.to_owned(), compacted);
        Ok(compacted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_kit::old;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_window_at_a_time_that_lies_ahead_is_unknown_and_never_without_loss() {
        let old = old();
        let mut sampler = Sampler::new(Arc::clone(&old.plan), Arc::clone(&old.tools));
        let target = SampleTarget { topic: "t".into(), partitions: 1, since: None };
        let looked = sampler.sample_partition(&target, 0).await;
        let Err(Missed::Unknown(why)) = looked else { panic!("{looked:?}") };
        assert_eq!(why, "t-0 on blue has timestamps that lie ahead of now (offset 1): v compares all of it");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_loss_is_told_only_of_a_topic_that_is_not_compacted_by_then() {
        let old = old();
        old.add_topic("u", [&[600, 400, 350], &[600, 350]]);
        let mut sampler = Sampler::new(Arc::clone(&old.plan), Arc::clone(&old.tools));
        let target = SampleTarget { topic: "u".into(), partitions: 1, since: None };
        for (policy, compacted) in [("delete", false), ("compact", true), ("delete", false)] {
            old.clusters[1].with_state(|state| state.set_config("u", "cleanup.policy", policy).unwrap());
            let looked = sampler.sample_partition(&target, 0).await;
            if compacted {
                let why = "u is compacted: v compares all of it".to_owned();
                assert_eq!(looked, Err(Missed::Not(why)));
            } else {
                assert_eq!(looked.as_ref().map(|counts| counts.missing), Ok(1), "{looked:?}");
            }
        }
    }
}

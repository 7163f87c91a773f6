//! One topic's comparison: reading, spilling, saving, deciding.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, block_in_place};

use super::directory::{DiffDirectory, Saved, SavedTopic};
use super::ground::{DiffPreconditions, HiddenOffsets};
use super::pace::ReadPace;
use super::read;
use super::read::{LogRanges, ReadBroken};
use super::{DiffFailure, DiffProgressSink, DiffRequest};
use crate::base::{At, TopicPartition, Trouble};
use crate::diff::asked::DiffProgress;
use crate::diff::{DiffRecord, DiffRules, Join, Resolver, TopicDiff, index_of_log};
use crate::jobs::identities::{NoIdentity, RecordIdentities};
use crate::kafka::control::{Cluster, OffsetSpec};
use crate::kafka::plane::DataPlane;
use crate::kafka::records::{Isolation, ReadError, RecordReader};
use crate::offsets::arrival::Ahead;
use crate::offsets::translate::Log;
use crate::plan::Plan;
use crate::session::clock::{Clock, Stopwatch};
use crate::session::tools::Tools;

/// How long nothing may arrive before a read is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often progress is told, ms.
const TELL_MS: u64 = 1_000;
/// How often what was done is saved, ms: a kill -9 costs at most as much.
const SAVE_MS: u64 = 10_000;
/// How often the brokers are asked how they are, ms, and how long one may take, s.
const PROBE_MS: u64 = 1_000;
const PROBE_WITHIN: Duration = Duration::from_secs(10);
/// How often, and at what distance (ms), it is looked again for twins that are still on their way, and for the end of a
/// transaction that hides records.
const LOOKS: u32 = 10;
const LOOK_MS: u64 = 300;
/// Record bytes that may wait in a reader, for all its partitions together, KiB; at least [`LEAST_KIB`] for each.
/// librdkafka needs about three times that of its own for small records.
const QUEUED_KIB: usize = 2_048;
const LEAST_KIB: usize = 32;

/// What a run keeps from topic to topic.
pub(super) struct DiffSession {
    clusters: [Cluster; 2],
    identities: RecordIdentities,
    /// With the number of partitions they are open for.
    readers: Option<([RecordReader; 2], usize)>,
    pace: Arc<ReadPace>,
    tell: DiffProgressSink,
    stop: Arc<AtomicBool>,
    memory: usize,
    watch: Stopwatch,
    topics: usize,
}

/// Ends the probing of brokers when a topic is done.
struct Probe(JoinHandle<()>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A topic under way.
struct Course<'a> {
    ground: &'a DiffPreconditions,
    join: Join,
    next: [Vec<i64>; 2],
    place: &'a mut DiffDirectory,
    saved: &'a mut Saved,
    records: u64,
    began: Stopwatch,
    began_at: f64,
    told: Stopwatch,
    kept: Stopwatch,
    run: Stopwatch,
    ms_before: u64,
}

impl DiffSession {
    pub fn new(
        plan: &Plan,
        tools: &Tools,
        request: &DiffRequest,
        pace: Arc<ReadPace>,
        tell: DiffProgressSink,
        stop: Arc<AtomicBool>,
        (watch, topics): (Stopwatch, usize),
    ) -> Self {
        let sides = [request.source, request.source.other()];
        let memory = request.memory.unwrap_or(plan.diff.memory);
        Self {
            clusters: sides.map(|s| tools.cluster(s).clone()),
            identities: RecordIdentities::of_plan(plan),
            readers: None,
            pace,
            tell,
            stop,
            memory: usize::try_from(memory).unwrap_or(usize::MAX),
            watch,
            topics,
        }
    }

    /// Compares a topic; `None` when it was interrupted, and saved.
    pub(crate) async fn compare_topic(
        &mut self,
        mut ground: DiffPreconditions,
        resumed: Option<SavedTopic>,
        place: &mut DiffDirectory,
        saved: &mut Saved,
    ) -> Result<Option<TopicDiff>, DiffFailure> {
        // A resumed topic keeps its number of buckets: the files on disk were dealt out by it.
        if resumed.is_none() {
            ground.rules.buckets = DiffRules::buckets_for(ground.count_offsets() / 2, self.memory);
        }
        ground.rules.memory = self.memory;
        // With a name, so that it lives as long as the topic does: `_` would end it right here.
        let _probe = self.probe(&ground);
        let handle = Handle::current();
        // In place and not on another thread: what the reading threads are lent is borrowed.
        block_in_place(|| self.compare_logs(&ground, resumed, place, saved, &handle))
    }

    /// Closes the readers: 100-200 ms each.
    pub async fn close(&mut self) {
        block_in_place(|| drop(self.readers.take()));
    }

    /// Asks a broker of each side a small question once a second, and tells the pace how long it took.
    fn probe(&self, ground: &DiffPreconditions) -> Probe {
        let (clusters, pace) = (self.clusters.clone(), Arc::clone(&self.pace));
        let names = ground.names.clone();
        Probe(tokio::spawn(async move {
            loop {
                for (cluster, name) in clusters.iter().zip(&names) {
                    let watch = Clock.stopwatch();
                    let ask = [(TopicPartition::new(name, 0), OffsetSpec::Latest)];
                    let _ = tokio::time::timeout(PROBE_WITHIN, cluster.list_offsets(&ask)).await; // slow is the answer
                    pace.note_answer_time(cluster.side(), watch.elapsed_ms());
                }
                Clock.sleep(PROBE_MS).await;
            }
        }))
    }

    fn open_readers(&mut self, partitions: usize) -> Result<&mut [RecordReader; 2], Trouble> {
        // A reader's memory is a bound a partition: another number of them needs another bound.
        if self.readers.as_ref().is_none_or(|(_, for_partitions)| *for_partitions < partitions) {
            self.readers = None;
            tracing::debug!(partitions, "readers open for a comparison");
            let kib = u32::try_from((QUEUED_KIB / partitions.max(1)).max(LEAST_KIB)).unwrap_or(u32::MAX);
            let open = |log: usize| {
                DataPlane::of_cluster(&self.clusters[log]).open_reader_within(Isolation::Committed, PATIENCE, kib)
            };
            self.readers = Some(([open(0)?, open(1)?], partitions));
        }
        match &mut self.readers {
            Some((readers, _)) => Ok(readers),
            None => Err(Trouble::new("the readers are closed", "try again")), // opened right above
        }
    }

    fn compare_logs(
        &mut self,
        ground: &DiffPreconditions,
        resumed: Option<SavedTopic>,
        place: &mut DiffDirectory,
        saved: &mut Saved,
        handle: &Handle,
    ) -> Result<Option<TopicDiff>, DiffFailure> {
        let mut course = self.begin_course(ground, resumed, place, saved)?;
        let to = |log: usize| ground.ranges[log].iter().map(|(_, to)| *to).collect();
        let mut tail: Tail = ([to(0), to(1)], ground.asked, ground.hidden.clone());
        let mut passed = self.read_up_to(&mut course, tail.0.clone())?;
        let hides = ground.hidden.iter().flatten().any(Option::is_some);
        // Where nothing waits and nothing is hidden, what came since has nothing to add.
        let more = ground.to_ends && (course.join.count_waiting() > 0 || hides);
        if more && matches!(passed, Passed::Whole) {
            passed = self.read_tail(&mut course, &mut tail, handle)?;
        }
        match passed {
            Passed::Whole => {
                let (ends, asked, hidden) = tail;
                self.resolve_topic(course, asked, ground.limit_hidden(hidden, &ends)).map(Some)
            }
            Passed::Interrupted => Ok(None),
            // Of the tail, too: twins may lie in what can't be read of it, and what waits for them would look lost.
            Passed::Unknown(why) => Ok(Some(TopicDiff::unknown(ground.topic.clone(), ground.names[1].clone(), why))),
        }
    }

    /// Where a topic begins, or goes on.
    fn begin_course<'a>(
        &self,
        ground: &'a DiffPreconditions,
        resumed: Option<SavedTopic>,
        place: &'a mut DiffDirectory,
        saved: &'a mut Saved,
    ) -> Result<Course<'a>, DiffFailure> {
        let now = Clock.stopwatch();
        let (join, next) = match resumed {
            Some(topic) => {
                let waiting = place.read_waiting(&topic)?;
                (Join::resume(ground.rules.clone(), topic.join, &waiting), topic.next)
            }
            None => {
                place.begin_topic(ground.rules.buckets)?;
                let from = |log: usize| ground.ranges[log].iter().map(|(from, _)| *from).collect();
                (Join::new(ground.rules.clone()), [from(0), from(1)])
            }
        };
        let ms_before = saved.ms;
        let mut course = Course {
            ground,
            join,
            next,
            place,
            saved,
            records: 0,
            began: now,
            began_at: 0.0,
            told: now,
            kept: now,
            run: self.watch,
            ms_before,
        };
        // Of a resumed topic a part is read already: how long the rest takes is told from this run alone.
        course.began_at = course.read_share();
        Ok(course)
    }

    /// Reads on, to the ends as they are by now, until most of the twins that are on their way have come and most open
    /// transactions have ended, but not for long. Where the logs ended at the last look is in `tail`.
    fn read_tail(&mut self, course: &mut Course<'_>, tail: &mut Tail, handle: &Handle) -> Result<Passed, DiffFailure> {
        let ground = course.ground;
        let late = ground.arrival_skew_ms.cast_signed();
        for look in 0.. {
            *tail = self.ends_now(ground, handle)?;
            let (ends, asked, hidden) = &*tail;
            match self.read_up_to(course, ends.clone())? {
                Passed::Whole => {}
                broken_off => return Ok(broken_off),
            }
            // Most twins come, and most transactions end, within a moment.
            let young = course.join.count_young(asked[0].min(asked[1]).0.saturating_sub(late)) > 0;
            if look >= LOOKS || !(young || ground.still_hides(hidden)) || self.stop.load(Ordering::Relaxed) {
                break;
            }
            handle.block_on(Clock.sleep(LOOK_MS));
        }
        Ok(Passed::Whole)
    }

    /// Reads on to these offsets.
    fn read_up_to(&mut self, course: &mut Course<'_>, to: [Vec<i64>; 2]) -> Result<Passed, DiffFailure> {
        let stretch = |log: Log| {
            let side = index_of_log(log);
            let parts = (0..).zip(course.next[side].iter().zip(&to[side]));
            let parts = parts.filter(|(_, (from, to))| from < to).map(|(p, (from, to))| (p, *from, *to)).collect();
            LogRanges { log, name: course.ground.names[side].clone(), parts }
        };
        let stretches = [stretch(Log::Source), stretch(Log::Target)];
        let halt = AtomicBool::new(false);
        let mut failed = None;
        let (pace, stop, tell, topics) =
            (Arc::clone(&self.pace), Arc::clone(&self.stop), Arc::clone(&self.tell), self.topics);
        let partitions = to[0].len().max(to[1].len());
        let identify = |log: usize| self.identities.start_reading(self.clusters[log].side());
        let identifiers = [identify(0)?, identify(1)?];
        let readers = self.open_readers(partitions)?;
        let (rule, over_topic) = (&course.ground.identity, course.ground.rules.over_topic);
        let read = read::read_both(
            readers,
            identifiers,
            &stretches,
            rule,
            over_topic,
            (&pace, &stop, &halt),
            |log, partition, records, bytes| {
                if failed.is_some() {
                    return;
                }
                if let Err(e) = course.take_records(log, partition, &records, bytes) {
                    failed = Some(e);
                    halt.store(true, Ordering::Relaxed);
                }
                course.tell_progress(&tell, topics, &pace);
            },
        );
        if let Some(trouble) = failed {
            return Err(trouble);
        }
        let failed: Trouble = match read {
            Ok(()) if stop.load(Ordering::Relaxed) => {
                course.save()?;
                return Ok(Passed::Interrupted);
            }
            Ok(()) => return Ok(Passed::Whole),
            Err(ReadBroken::Read(e @ (ReadError::OutOfRange { .. } | ReadError::BeyondEnd { .. }))) => {
                return Ok(Passed::Unknown(e.to_string()));
            }
            Err(ReadBroken::Unidentified(NoIdentity::Doubtful(why))) => {
                return Ok(Passed::Unknown(format!("{}; {}", why.what, why.advice)));
            }
            Err(ReadBroken::Unidentified(NoIdentity::Unasked(why))) => why,
            Err(ReadBroken::Read(e)) => e.into(),
        };
        tracing::warn!(why = %failed.what, "readers are given up; what was read is saved");
        course.save()?;
        // A client that failed holds on to what failed it.
        self.readers = None;
        Err(failed.into())
    }

    /// The ends now, as far as twins of what was read may lie, when they were asked for, and what is hidden there.
    fn ends_now(&self, ground: &DiffPreconditions, handle: &Handle) -> Result<Tail, Trouble> {
        let reach = ground.rules.pair_delta_ms.saturating_add(ground.arrival_skew_ms).cast_signed();
        let mut asked = ground.asked;
        let mut ends = [Vec::new(), Vec::new()];
        let mut hidden = [Vec::new(), Vec::new()];
        // The target first, as before.
        for log in [1, 0] {
            let tp = |p: usize| TopicPartition::new(&ground.names[log], i32::try_from(p).unwrap_or(i32::MAX));
            let ranges = &ground.ranges[log];
            let ask = |spec: OffsetSpec| {
                let read = (0..ranges.len()).filter(|p| !ground.unasked.contains(p));
                let asks: Vec<_> = read.map(|p| (tp(p), spec)).collect();
                handle.block_on(self.clusters[log].list_offsets(&asks))
            };
            asked[log] = Clock.now();
            // Before the last stable offsets: what is written in between is not hidden.
            let highest = ask(OffsetSpec::Latest);
            let latest = ask(OffsetSpec::LatestStable);
            let last = ground.asked[1 - log].0.saturating_add(reach);
            let far = if asked[log].0 > last { Some(ask(OffsetSpec::Timestamp(last))) } else { None };
            for (p, (_, to)) in ranges.iter().enumerate() {
                let offset = |listed: &TailListing| match listed.get(&tp(p)) {
                    Some(Ok(found)) => Ok(found.map(|(offset, _)| offset)),
                    Some(Err(trouble)) => Err(trouble.clone()),
                    // One that could not be asked before is named as unknown already.
                    None => Ok(None),
                };
                let stable = offset(&latest)?;
                let high = offset(&highest)?;
                hidden[log].push(stable.filter(|stable| high.is_some_and(|high| *stable < high)));
                let end = stable.unwrap_or(*to);
                // A first record that lies ahead of now says nothing of those behind it.
                let ahead = |listed: &TailListing| match listed.get(&tp(p)) {
                    Some(Ok(Some((_, ts)))) => *ts > asked[log].0.saturating_add(reach),
                    _ => false,
                };
                let end = match &far {
                    Some(far) if !ahead(far) => offset(far)?.map_or(end, |at| at.min(end)),
                    _ => end,
                };
                // A lookup by time may find an offset before what was laid down: the range never shrinks.
                ends[log].push(end.max(*to));
            }
        }
        Ok((ends, asked, hidden))
    }

    fn resolve_topic(
        &self,
        course: Course<'_>,
        asked: [At; 2],
        hidden: HiddenOffsets,
    ) -> Result<TopicDiff, DiffFailure> {
        let Course { ground, join, place, .. } = course;
        let late = ground.arrival_skew_ms.cast_signed();
        // A record's twin may still come until the other log's end was read `arrival_skew` after it.
        let settled_to = [asked[1].0.saturating_sub(late), asked[0].0.saturating_sub(late)];
        let hiding = hidden.each_ref().map(|log| log.iter().map(Option::is_some).collect());
        let delta = ground.rules.pair_delta_ms.cast_signed();
        // A lone record of a log would have its twin in the other one: that one's limit counts.
        let ahead = [0, 1].map(|log| Ahead::as_of(asked[1 - log].0, ground.after_max_ms[1 - log], late, delta));
        let mut resolver = Resolver::new(join, settled_to).with_ahead(ahead).with_hidden(hiding);
        for bucket in 0..resolver.bucket_count() {
            resolver.decide_bucket(bucket, place.bucket_bytes(bucket), |take| place.read_bucket(bucket, take))?;
        }
        let partitions = resolver.finish();
        let names = (ground.topic.clone(), ground.names[1].clone());
        let (mut unknown, mut remarks) = (ground.unknown.clone(), ground.remarks.clone());
        let read = [0, 1].map(|log| (self.clusters[log].side(), ground.names[log].as_str()));
        let alone = partitions.iter().any(|p| p.missing.count + p.only_target.count > 0);
        match self.identities.find_mixed(read) {
            Some(why) if alone => unknown.push(why),
            _ => remarks.extend(self.identities.describe_untold(read)),
        }
        ground.tell_hidden(&hidden, self.clusters[0].side(), &mut unknown, &mut remarks);
        Ok(TopicDiff::new(names, partitions, unknown, remarks))
    }
}

/// What ListOffsets says of partitions.
type TailListing = BTreeMap<TopicPartition, Result<Option<(i64, i64)>, Trouble>>;

/// Where logs end now, by log and partition; when they were asked, and what open transactions hide.
type Tail = ([Vec<i64>; 2], [At; 2], HiddenOffsets);

/// How a pass over a stretch ended.
enum Passed {
    Whole,
    Interrupted,
    /// A partition can't be compared any more: it was cut back meanwhile, or an open transaction holds its end.
    Unknown(String),
}

impl Course<'_> {
    fn take_records(
        &mut self,
        log: Log,
        partition: u32,
        records: &[DiffRecord],
        bytes: u64,
    ) -> Result<(), DiffFailure> {
        self.join.push(log, partition, records);
        if let Some(last) = records.last() {
            self.next[index_of_log(log)][partition as usize] = last.offset + 1;
        }
        self.records += records.len() as u64;
        self.saved.records += records.len() as u64;
        self.saved.bytes += bytes;
        if self.join.is_over() {
            self.spill()?;
        }
        if self.kept.elapsed_ms() >= SAVE_MS {
            self.save()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), DiffFailure> {
        self.join.spill(|bucket, bytes| self.place.append(bucket, bytes))
    }

    /// Saves everything from which this topic can go on.
    fn save(&mut self) -> Result<(), DiffFailure> {
        self.spill()?;
        self.saved.ms = self.ms_before + self.run.elapsed_ms();
        let state = self.join.save_state();
        let saved = self.place.save(self.saved, self.ground, &self.next, state);
        // Only what lies on disk holds this run's time: the next save adds all of it again.
        self.saved.ms = self.ms_before;
        self.kept = Clock.stopwatch();
        saved
    }

    /// Share of the topic's offsets that is read.
    fn read_share(&self) -> f64 {
        let all = self.ground.count_offsets();
        if all == 0 {
            return 1.0;
        }
        let mut passed = 0;
        for (next, ranges) in self.next.iter().zip(&self.ground.ranges) {
            for (next, (from, to)) in next.iter().zip(ranges) {
                passed += (next.min(to) - from).max(0).unsigned_abs();
            }
        }
        passed as f64 / all as f64
    }

    fn tell_progress(&mut self, tell: &DiffProgressSink, topics: usize, pace: &ReadPace) {
        if self.told.elapsed_ms() < TELL_MS {
            return;
        }
        self.told = Clock.stopwatch();
        let share = self.read_share();
        let gained = share - self.began_at;
        let left = (gained > 0.001).then(|| (self.began.elapsed_ms() as f64 * (1.0 - share) / gained) as u64);
        tell(&DiffProgress {
            topic: self.ground.topic.clone(),
            topics: (self.saved.done.len(), topics),
            share,
            records: self.records,
            bytes: self.saved.bytes,
            ms: self.ms_before + self.run.elapsed_ms(),
            left_ms: left,
            waiting: self.join.count_waiting() as u64,
            held_back: pace.describe_slowdown(),
        });
    }
}

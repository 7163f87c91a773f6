//! Which schema ids the records of the plan's topics carry, on both clusters. Reads only, and no more than it was told.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, TopicPartition, Trouble};
use crate::estate::identity::Unverified;
use crate::jobs::StopOnDrop;
use crate::kafka::control::{Cluster, SnapshotOptions, Which};
use crate::kafka::plane::DataPlane;
use crate::kafka::records::{Isolation, ReadError, ReadRange, RecordReader, RecordRef};
use crate::offsets::identity::split_frame;
use crate::plan::Plan;
use crate::schemas::{RecordIds, RecordLook, RecordShare};
use crate::session::clock::{Clock, Stopwatch};
use crate::session::names::TopicNames;
use crate::session::pins;
use crate::session::tools::Tools;

/// Records of each cluster that are read where nobody says otherwise.
pub const USUAL_RECORDS: u64 = 200_000;
/// Bytes of keys and values, and ms, after which one cluster is read no further.
const MOST_BYTES: u64 = 1 << 30;
const MOST_MS: u64 = 60_000;
/// Partitions that are read together: what one of them fails with is read again without it.
const TOGETHER: usize = 32;
/// How long nothing may arrive before a read is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Record bytes that may wait in a reader for each partition, KiB.
const QUEUED_KIB: u32 = 256;
/// Reasons that are kept, each of one partition.
const MOST_REASONS: usize = 100;
/// Where newer serialisers of Confluent's put a schema's GUID instead of an id in front.
const ID_HEADERS: [&str; 2] = ["__key_schema_id", "__value_schema_id"];

/// Reads up to `most` records of each cluster: of each partition its oldest and its newest, all of it where that is no more.
pub async fn read_record_ids(plan: &Plan, most: u64) -> Sides<RecordLook> {
    if most == 0 {
        return Sides::from_fn(|_| RecordLook::NotLooked("0 records were asked for".to_owned()));
    }
    let tools = Tools::new(plan, Arc::new(TopicNames::new(plan)));
    if tools.named_on(Side::Blue).topics.is_empty() {
        return Sides::from_fn(|_| RecordLook::NotLooked("the plan names no topics".to_owned()));
    }
    if let Err(Unverified::Wrong(why) | Unverified::Unknown(why)) =
        pins::identify_clusters(&Arc::new(plan.clone()), &tools).await
    {
        return Sides::from_fn(|_| RecordLook::Unknown(why.clone()));
    }
    let stop = StopOnDrop(Arc::default());
    let look = async |side: Side| match read_cluster(&tools, side, most, &stop.0).await {
        Ok(ids) => RecordLook::Read(ids),
        Err(why) => RecordLook::Unknown(why),
    };
    let (blue, green) = tokio::join!(look(Side::Blue), look(Side::Green));
    Sides { blue, green }
}

async fn read_cluster(tools: &Tools, side: Side, most: u64, stop: &Arc<AtomicBool>) -> Result<RecordIds, Trouble> {
    let cluster = tools.cluster(side).clone();
    let (partitions, mut found) = list_partitions(&cluster, tools.named_on(side).topics).await?;
    let stop = Arc::clone(stop);
    let read = tokio::task::spawn_blocking(move || -> Result<RecordIds, Trouble> {
        let plane = DataPlane::of_cluster(&cluster);
        let reader = plane.open_reader_within(Isolation::Committed, PATIENCE, QUEUED_KIB)?;
        let bounds = list_bounds(&reader, &partitions)?;
        found.share.held = bounds.iter().map(|b| b.from.abs_diff(b.to)).sum();
        let ranges = choose_ranges(&bounds, most);
        let mut read = SampleRead { plane, reader: Some(reader), found, bytes: 0, watch: Clock.stopwatch(), stop };
        for some in ranges.chunk_by(|a, b| a.partition == b.partition).collect::<Vec<_>>().chunks(TOGETHER) {
            if !read.has_room() {
                break;
            }
            read.read_partitions(some.concat())?;
        }
        Ok(read.found)
    });
    // Not in its own words, which may be made of what the client was given.
    read.await
        .unwrap_or_else(|_| Err(Trouble::new("reading records broke off", "try again; this is a fault of cutover")))
}

/// Every partition of the topics; what of them is not there or not to be seen is told in what was found so far.
async fn list_partitions(
    cluster: &Cluster,
    topics: BTreeSet<String>,
) -> Result<(Vec<TopicPartition>, RecordIds), Trouble> {
    let options = SnapshotOptions {
        topics: Which::Only(topics.clone()),
        groups: Which::None,
        members: Which::None,
        ..SnapshotOptions::default()
    };
    let view = cluster.snapshot(&options).await?;
    let (mut partitions, mut found) = (Vec::new(), RecordIds::default());
    for topic in &topics {
        let listed = view.topics.get(topic).map(|of| of.partitions.as_slice()).unwrap_or_default();
        let hidden = listed.iter().find_map(|p| p.trouble.as_ref());
        match (listed.len(), hidden) {
            (0, _) => note_left_out(&mut found.share, format!("{}: it is not there", visible_name(topic))),
            (_, Some(why)) => note_left_out(&mut found.share, format!("{}: {}", visible_name(topic), why.what)),
            (count, None) => {
                found.share.topics += 1;
                partitions.extend((0..i32::try_from(count).unwrap_or(i32::MAX)).map(|p| TopicPartition::new(topic, p)));
            }
        }
    }
    Ok((partitions, found))
}

fn note_left_out(share: &mut RecordShare, words: String) {
    if share.left_out.len() < MOST_REASONS {
        share.left_out.push(words);
    }
}

fn list_bounds(reader: &RecordReader, partitions: &[TopicPartition]) -> Result<Vec<ReadRange>, Trouble> {
    let (starts, ends) = (reader.list_starts(partitions)?, reader.list_ends(partitions)?);
    let bounds = partitions.iter().zip(starts.into_iter().zip(ends));
    Ok(bounds.map(|(tp, (from, end))| ReadRange { partition: tp.clone(), from, to: end.max(from) }).collect())
}

/// What is read of logs with these bounds: all of it where that is no more than `most` offsets, else of each partition as
/// many as of any other, half of them its oldest and half its newest. Those of one partition stand together.
fn choose_ranges(bounds: &[ReadRange], most: u64) -> Vec<ReadRange> {
    let mut sizes: Vec<u64> = bounds.iter().map(|b| b.from.abs_diff(b.to)).collect();
    sizes.sort_unstable();
    // What small ones leave over is for the larger ones.
    let (mut left, mut share) = (most, u64::MAX);
    for (n, size) in sizes.iter().enumerate() {
        let each = left / (sizes.len() - n) as u64;
        if *size > each {
            share = each.max(1);
            break;
        }
        left -= size;
    }
    let cut = |b: &ReadRange| -> Vec<ReadRange> {
        let part = |from, to| ReadRange { partition: b.partition.clone(), from, to };
        if b.from.abs_diff(b.to) <= share {
            return vec![part(b.from, b.to)];
        }
        let (newest, oldest) = (share.div_ceil(2).cast_signed(), (share / 2).cast_signed());
        vec![part(b.from, b.from + oldest), part(b.to - newest, b.to)]
    };
    bounds.iter().flat_map(cut).filter(|r| r.from < r.to).collect()
}

/// One cluster's read. Blocking.
struct SampleRead {
    plane: DataPlane,
    reader: Option<RecordReader>,
    found: RecordIds,
    bytes: u64,
    watch: Stopwatch,
    stop: Arc<AtomicBool>,
}

impl SampleRead {
    fn has_room(&self) -> bool {
        self.bytes < MOST_BYTES && self.watch.elapsed_ms() < MOST_MS && !self.stop.load(Ordering::Relaxed)
    }

    /// Reads these ranges; a partition that can't be read is left out and told.
    ///
    /// # Errors
    /// Nothing can be read of the cluster.
    fn read_partitions(&mut self, mut ranges: Vec<ReadRange>) -> Result<(), Trouble> {
        while !ranges.is_empty() {
            let mut reader = match self.reader.take() {
                Some(open) => open,
                None => self.plane.open_reader_within(Isolation::Committed, PATIENCE, QUEUED_KIB)?,
            };
            // Each range's part by itself: what is read again must not count twice.
            let mut parts: Vec<(RecordIds, i64)> = ranges.iter().map(|r| (RecordIds::default(), r.from)).collect();
            let read = reader.read(&ranges, &mut |index, record| {
                let (ids, next) = &mut parts[index];
                count_record(ids, &ranges[index].partition, &record);
                *next = record.offset + 1;
                self.bytes += record.size as u64;
                if self.has_room() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            let failed = match read {
                Ok(_) => {
                    self.reader = Some(reader);
                    parts.iter_mut().zip(&ranges).for_each(|((_, next), range)| *next = range.to);
                    None
                }
                Err(ReadError::Stopped) => None,
                Err(error) => Some(error),
            };
            let Some(error) = failed else {
                for ((ids, next), range) in parts.into_iter().zip(&ranges) {
                    self.found.add(ids);
                    self.found.share.read += range.from.abs_diff(next);
                }
                return Ok(());
            };
            let Some(partition) = error.find_partition().cloned() else { return Err(error.into()) };
            ranges.retain(|range| range.partition != partition);
            note_left_out(&mut self.found.share, error.to_string());
        }
        Ok(())
    }
}

fn count_record(found: &mut RecordIds, tp: &TopicPartition, record: &RecordRef<'_>) {
    found.share.records += 1;
    for field in [record.key, record.value].into_iter().flatten() {
        match split_frame(field) {
            Some((id, _)) => found.count_id(id, tp, record.offset),
            None => found.share.unframed += 1,
        }
    }
    found.share.in_headers += u64::from(ID_HEADERS.iter().any(|name| record.header(name).is_some()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(partition: i32, from: i64, to: i64) -> ReadRange {
        ReadRange { partition: TopicPartition::new("t", partition), from, to }
    }

    #[test]
    fn small_logs_are_read_whole_and_large_ones_at_both_ends() {
        let bounds = [bound(0, 5, 15), bound(1, 100, 100), bound(2, 0, 1_000), bound(3, 50, 5_050)];
        assert_eq!(choose_ranges(&bounds, 10_000), [bound(0, 5, 15), bound(2, 0, 1_000), bound(3, 50, 5_050)]);
        let some = choose_ranges(&bounds, 210);
        assert_eq!(
            some,
            [bound(0, 5, 15), bound(2, 0, 50), bound(2, 950, 1_000), bound(3, 50, 100), bound(3, 5_000, 5_050)]
        );
        // however little: the newest of each
        let least = choose_ranges(&bounds, 0);
        assert_eq!(least, [bound(0, 14, 15), bound(2, 999, 1_000), bound(3, 5_049, 5_050)]);
    }
}

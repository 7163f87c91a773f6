//! What both clusters hold before the demo begins: a past of which blue has more, in another order, at other offsets.

use super::spec::{EstateSpec, GroupSpec, TopicSpec};
use super::witness::{ID_HEADER, Witness};
use super::{partition_for, producers::generate_payload};
use crate::base::{Side, Trouble};
use crate::sim::cluster::SimCluster;
use crate::sim::state::{BatchProducer, Commit, NewRecord, ResponseError, SimState};

/// The past spans this much time before the demo, ms.
const PAST_MS: i64 = 5 * 60_000;
/// Records of the past in one batch.
const BATCH: usize = 100;
/// Longest distance between the two sends of one record, ms: more than the time between two records of a partition, so
/// that two writers interleave differently on each cluster and no offset is exact; under half of `pair_delta`.
const JITTER_MS: i64 = 1_200;

struct PastRecord {
    id: u64,
    partition: i32,
    key: String,
    value: String,
    /// When it was sent to blue and to green, ms since the epoch.
    sent: [i64; 2],
}

/// Creates the topics and writes the past. Gives the next free id.
///
/// # Errors
/// A topic that can't be created.
pub(crate) fn fill_clusters(
    estate: &EstateSpec,
    clusters: [&SimCluster; 2],
    witness: &Witness,
    seed: u64,
    now: i64,
) -> Result<u64, Trouble> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut next = 1;
    for topic in &estate.topics {
        for cluster in clusters {
            let created = cluster.with_state(|s| s.create_topic(&topic.name, topic.partitions, 3, &[], false));
            created.map_err(|e| refusal_trouble(&format!("create topic {}", topic.name), e))?;
        }
        let writers: Vec<&str> =
            estate.producers.iter().filter(|p| p.topics.contains(&topic.name)).map(|p| p.name.as_str()).collect();
        if writers.is_empty() {
            continue;
        }
        let old =
            generate_past(topic, topic.prehistory, &writers, &mut next, &mut rng, (now - 2 * PAST_MS, now - PAST_MS));
        let dual = generate_past(topic, topic.dual_history, &writers, &mut next, &mut rng, (now - PAST_MS, now - 1000));
        let write = |side: Side, records: &[&PastRecord]| {
            let cluster = clusters[usize::from(side == Side::Green)];
            cluster
                .with_state(|s| append_past(s, now, topic, side, records))
                .map_err(|e| refusal_trouble("fill a topic", e))
        };
        let all = old.iter().chain(&dual).collect::<Vec<_>>();
        let on_blue = write(Side::Blue, &all)?;
        let on_green = write(Side::Green, &dual.iter().collect::<Vec<_>>())?;
        clusters[0].with_state(|s| expire_oldest(s, topic)).map_err(|e| refusal_trouble("expire records", e))?;
        for (side, arrived) in [(Side::Blue, &on_blue), (Side::Green, &on_green)] {
            for (id, partition, offset) in arrived {
                if side == Side::Blue {
                    let dual = dual.first().is_some_and(|d| *id >= d.id);
                    witness.note_sending(*id, &topic.name, *partition, if dual { &Side::BOTH } else { &[Side::Blue] });
                }
                witness.note_sent(*id, side, Some(*offset));
            }
        }
        for group in estate.groups.iter().filter(|g| g.topics.contains(&topic.name)) {
            clusters[0]
                .with_state(|s| begin_group(s, group, topic, witness, &on_blue, dual.first().map(|d| d.id), now))
                .map_err(|e| refusal_trouble(&format!("commit for {}", group.name), e))?;
        }
    }
    Ok(next)
}

fn refusal_trouble(what: &str, error: ResponseError) -> Trouble {
    Trouble::new(format!("the simulated cluster refused to {what}: {error}"), "this is a fault of the demo: report it")
}

fn generate_past(
    topic: &TopicSpec,
    count: u32,
    writers: &[&str],
    next: &mut u64,
    rng: &mut fastrand::Rng,
    span: (i64, i64),
) -> Vec<PastRecord> {
    let step = (span.1 - span.0) as f64 / f64::from(count.max(1));
    let mut last = vec![[0i64; 2]; writers.len()];
    let one = |i: u32| {
        let writer = rng.usize(0..writers.len());
        let at = span.0 + (f64::from(i) * step) as i64;
        let key = format!("{}-{}", writers[writer], rng.u32(0..400));
        let id = *next;
        *next += 1;
        let mut sent = [0; 2];
        for (side, sent) in sent.iter_mut().enumerate() {
            // a writer keeps its own order on each cluster
            last[writer][side] = last[writer][side].max(at + rng.i64(0..JITTER_MS));
            *sent = last[writer][side];
        }
        let value = generate_payload(writers[writer], &topic.name, id, rng);
        PastRecord { id, partition: partition_for(&key, topic.partitions), key, value, sent }
    };
    (0..count).map(one).collect()
}

/// Appends in the order of arrival on that cluster; gives id, partition and offset of each.
fn append_past(
    state: &mut SimState,
    now: i64,
    topic: &TopicSpec,
    side: Side,
    records: &[&PastRecord],
) -> Result<Vec<(u64, i32, i64)>, ResponseError> {
    let side = usize::from(side == Side::Green);
    let mut arrived = Vec::with_capacity(records.len());
    for partition in 0..topic.partitions {
        let mut here: Vec<&&PastRecord> = records.iter().filter(|r| r.partition == partition).collect();
        here.sort_by_key(|r| r.sent[side]);
        for chunk in here.chunks(BATCH) {
            let batch: Vec<NewRecord> = chunk
                .iter()
                .map(|r| {
                    let record = NewRecord::new(r.key.clone(), r.value.clone(), r.sent[side]);
                    record.header(ID_HEADER, r.id.to_string())
                })
                .collect();
            let base = state.append_records(now, &topic.name, partition, &batch, BatchProducer::PLAIN, None)?.base;
            arrived.extend(chunk.iter().zip(base..).map(|(r, offset)| (r.id, partition, offset)));
        }
    }
    Ok(arrived)
}

/// Retention has removed the oldest part of blue.
fn expire_oldest(state: &mut SimState, topic: &TopicSpec) -> Result<(), ResponseError> {
    let each = i64::from(topic.expired) / i64::from(topic.partitions.max(1));
    for partition in 0..topic.partitions {
        let end = state.log(&topic.name, partition).map_or(0, |l| l.high_watermark());
        state.delete_records(&topic.name, partition, each.min(end))?;
    }
    Ok(())
}

/// Where a group stands on blue: at the end, or its backlog before it. Never before the last record that only blue has
/// (ids below `first_dual`; `None`: all of them): green could not give it those, and its cutover would be refused.
fn begin_group(
    state: &mut SimState,
    group: &GroupSpec,
    topic: &TopicSpec,
    witness: &Witness,
    arrived: &[(u64, i32, i64)],
    first_dual: Option<u64>,
    now: i64,
) -> Result<(), ResponseError> {
    let each = i64::from(group.backlog) / i64::from(topic.partitions.max(1));
    for partition in 0..topic.partitions {
        let Some(log) = state.log(&topic.name, partition) else { continue };
        let only_blue =
            arrived.iter().filter(|(id, p, _)| *p == partition && first_dual.is_none_or(|first| *id < first));
        let dual_from = only_blue.map(|(_, _, offset)| offset + 1).max().unwrap_or(0);
        let offset = (log.high_watermark() - each).max(dual_from).max(log.start());
        for (id, ..) in arrived.iter().filter(|(_, p, o)| *p == partition && *o < offset) {
            witness.note_consumed_before(&group.name, *id);
        }
        let commit = Commit { offset, leader_epoch: -1, metadata: String::new(), at: now };
        state.commit_offset(&group.name, &topic.name, partition, commit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::SimConfig;
    use crate::sim::state::IsolationLevel;
    use crate::sim::wire::now_ms;

    /// Two writers, two clusters: what makes equal offsets wrong, and what a demo has to show.
    #[test]
    fn the_past_is_interleaved_differently_on_each_cluster() {
        let estate = EstateSpec::bank(1.0);
        let clusters = Side::BOTH.map(|side| SimCluster::start(SimConfig::new(side)).unwrap());
        // the clusters' own clock removes what is older than `retention.ms`, so the past is a past of today
        fill_clusters(&estate, [&clusters[0], &clusters[1]], &Witness::default(), 7, now_ms()).unwrap();
        let ids = |c: &SimCluster| -> Vec<u64> {
            let read =
                |s: &mut SimState| s.topics()["loan-events"].partitions[0].records(0, IsolationLevel::ReadCommitted);
            c.with_state(read).iter().filter_map(|r| r.header_text(ID_HEADER)?.parse().ok()).collect()
        };
        let (blue, green) = (ids(&clusters[0]), ids(&clusters[1]));
        let blue = &blue[blue.len() - green.len()..];
        let elsewhere = blue.iter().zip(&green).filter(|(b, g)| b != g).count();
        assert!(elsewhere * 10 > green.len(), "{elsewhere} of {} records stand elsewhere", green.len());
    }
}

//! Whether what lies between a commit that does not move and the end of a log holds any record: read, for groups that
//! would be called stuck else.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::observe::{Observation, ObservationSender, TimedObservation};
use crate::base::{Observed, Side, TopicPartition};
use crate::estate::Estate;
use crate::estate::blank::{self, Blank, WantedBlanks};
use crate::kafka::plane::DataPlane;
use crate::kafka::records::{Isolation, ReadRange};
use crate::session::clock::Clock;
use crate::session::tools::Tools;

/// How long nothing may arrive before a read is given up.
const PATIENCE: Duration = Duration::from_secs(3);
/// Record bytes that may wait in the reader, KiB.
const QUEUED_KIB: u32 = 64;
/// The same stretch is looked through at most this often, ms.
const AGAIN_MS: u64 = 30_000;
/// Pause between two looks, ms.
const PAUSE_MS: u64 = 1_000;

/// Starts the poller of a side; it rests while nothing is wanted.
pub(super) fn watch_side(
    tasks: &mut JoinSet<()>,
    tools: &Arc<Tools>,
    side: Side,
    wanted: &watch::Receiver<WantedBlanks>,
    to: &ObservationSender,
) {
    tasks.spawn(poll_blanks(Arc::clone(tools), side, wanted.clone(), to.clone()));
}

async fn poll_blanks(tools: Arc<Tools>, side: Side, mut wanted: watch::Receiver<WantedBlanks>, to: ObservationSender) {
    let watch = Clock.stopwatch();
    let mut looked: BTreeMap<TopicPartition, (Blank, u64)> = BTreeMap::new();
    loop {
        let of_side =
            |((s, tp), range): (&(Side, TopicPartition), &Blank)| (*s == side).then(|| (tp.clone(), range.clone()));
        let all: Vec<(TopicPartition, Blank)> = wanted.borrow_and_update().iter().filter_map(of_side).collect();
        if all.is_empty() {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        looked.retain(|tp, _| all.iter().any(|(of, _)| of == tp));
        let due = |(tp, range): &(TopicPartition, Blank)| {
            // A log that grows changes nothing: a record was found behind that place, or it could not be read.
            let same = |last: &Blank| last.from == range.from && last.topic_id == range.topic_id;
            looked.get(tp).is_none_or(|(last, at)| !same(last) || watch.elapsed_ms().saturating_sub(*at) >= AGAIN_MS)
        };
        let due: Vec<_> = all.into_iter().filter(due).collect();
        if !due.is_empty() {
            let at = Clock.now();
            for (tp, range) in &due {
                looked.insert(tp.clone(), (range.clone(), watch.elapsed_ms()));
            }
            for (tp, blank) in find_empty_ranges(&tools, side, due).await {
                if to.send(TimedObservation { at, what: Observation::Blank(side, tp, blank) }).await.is_err() {
                    return;
                }
            }
        }
        Clock.sleep(PAUSE_MS).await;
    }
}

/// Takes in that a stretch of a partition holds no record. It is of the topic that was asked about: by now another one may
/// have its name.
pub(super) fn take_blank(estate: &mut Estate, side: Side, tp: TopicPartition, blank: Blank) {
    let known = estate.blanks[side].remove(&tp);
    estate.blanks[side].insert(tp, known.map_or(blank.clone(), |known| known.merge_newer(blank)));
    drop_untellable(estate, side);
}

/// Forgets what is known of logs that may be others by now, after each look at a side.
pub(super) fn drop_untellable(estate: &mut Estate, side: Side) {
    // Nearly always there is nothing to forget.
    if !estate.blanks[side].is_empty() {
        let Observed::Known { value, trouble, .. } = &estate.clusters[side] else { return };
        blank::drop_untellable(&mut estate.blanks[side], trouble.is_none().then_some(value));
    }
}

/// Those of the stretches that hold no record. What can't be read is not known to be empty.
async fn find_empty_ranges(
    tools: &Arc<Tools>,
    side: Side,
    asked: Vec<(TopicPartition, Blank)>,
) -> Vec<(TopicPartition, Blank)> {
    let tools = Arc::clone(tools);
    let work = tokio::task::spawn_blocking(move || {
        let plane = DataPlane::of_cluster(tools.cluster(side));
        let opened = plane.open_reader_within(Isolation::Committed, PATIENCE, QUEUED_KIB);
        let mut reader =
            opened.inspect_err(|why| tracing::info!(%side, why = %why.what, "no look for empty ranges")).ok()?;
        let blank = |(tp, asked): &(TopicPartition, Blank)| {
            let range = ReadRange { partition: tools.names.partition_on(side, tp), from: asked.from, to: asked.to };
            let mut none = true;
            let read = reader.read_range(&range, |_| {
                none = false;
                ControlFlow::Break(())
            });
            none && read.is_ok()
        };
        Some(asked.into_iter().filter(blank).collect::<Vec<_>>())
    });
    // A look that broke off has found nothing empty.
    work.await.ok().flatten().unwrap_or_default()
}

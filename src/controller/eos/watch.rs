//! The pollers of exactly-once producers: on each side all of them at the pace of a round, and those that a run waits for
//! at the pace of a focused look. The watch after a cut rests on them: a moved end or a new epoch is seen within seconds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::look::{WatchedProducer, look_at_producer};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::controller::observe::{Observation, ObservationSender, TimedObservation};
use crate::session::clock::Clock;
use crate::session::pace::Pace;
use crate::session::tools::Tools;
use crate::session::tools::too_long;

/// The longest a look may take.
const LOOK: Duration = Duration::from_secs(15);
/// Producers looked at at the same time on a side.
const TOGETHER: usize = 8;

/// Producers that are looked at closely.
pub(crate) type EosFocus = BTreeSet<String>;

/// Starts the pollers of a side; none for a plan without exactly-once producers.
pub(in crate::controller) fn watch_side(
    tasks: &mut JoinSet<()>,
    tools: &Arc<Tools>,
    side: Side,
    all: &Arc<Vec<WatchedProducer>>,
    (poll_ms, focus_ms): (u64, u64),
    focus: &watch::Receiver<EosFocus>,
    to: &ObservationSender,
) {
    if !all.is_empty() {
        tasks.spawn(poll_rounds(Arc::clone(tools), side, Arc::clone(all), poll_ms, focus.clone(), to.clone()));
        tasks.spawn(poll_closely(Arc::clone(tools), side, Arc::clone(all), focus_ms, focus.clone(), to.clone()));
    }
}

async fn poll_rounds(
    tools: Arc<Tools>,
    side: Side,
    all: Arc<Vec<WatchedProducer>>,
    poll_ms: u64,
    focus: watch::Receiver<EosFocus>,
    to: ObservationSender,
) {
    let mut pace = Pace::every(poll_ms);
    loop {
        let watch = Clock.stopwatch();
        let focused = focus.borrow().clone();
        // Those under the closer watch are left to it: their brokers need not be asked twice.
        let rest = filter_producers(&all, |name| !focused.contains(name));
        let Some(worked) = look_at_some(&tools, side, rest, &to).await else { return };
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), worked)).await;
    }
}

async fn poll_closely(
    tools: Arc<Tools>,
    side: Side,
    all: Arc<Vec<WatchedProducer>>,
    focus_ms: u64,
    mut focus: watch::Receiver<EosFocus>,
    to: ObservationSender,
) {
    let mut pace = Pace::every(focus_ms);
    loop {
        let focused = focus.borrow_and_update().clone();
        let wanted = filter_producers(&all, |name| focused.contains(name));
        if wanted.is_empty() {
            if focus.changed().await.is_err() {
                return;
            }
            continue;
        }
        let watch = Clock.stopwatch();
        let Some(worked) = look_at_some(&tools, side, wanted, &to).await else { return };
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), worked)).await;
    }
}

fn filter_producers(all: &[WatchedProducer], wanted: impl Fn(&str) -> bool) -> Vec<WatchedProducer> {
    all.iter().filter(|p| wanted(&p.name)).cloned().collect()
}

/// Looks at some; whether any look worked, `None` when nobody takes them any more.
async fn look_at_some(
    tools: &Arc<Tools>,
    side: Side,
    some: Vec<WatchedProducer>,
    to: &ObservationSender,
) -> Option<bool> {
    let mut worked = some.is_empty();
    let looks: Vec<_> = some.into_iter().map(|of| observe_producer(Arc::clone(tools), side, of)).collect();
    let mut looks = stream::iter(looks).buffer_unordered(TOGETHER);
    while let Some(seen) = looks.next().await {
        // One that answers shows that the cluster does: a single
        // bad producer must not slow down the looks at the others.
        worked |= matches!(&seen.what, Observation::Eos(_, _, Ok(_)));
        to.send(seen).await.ok()?;
    }
    Some(worked)
}

async fn observe_producer(tools: Arc<Tools>, side: Side, of: WatchedProducer) -> TimedObservation {
    let at = Clock.now();
    let looked = tokio::time::timeout(LOOK, look_at_producer(tools.cluster(side), &tools.names, &of)).await;
    let result = looked.unwrap_or_else(|_| {
        Err(too_long(tools.cluster(side), &format!("looking at producer {}", visible_name(&of.name)), LOOK))
    });
    if let Err(why) = &result {
        tracing::info!(%side, producer = %visible_name(&of.name), why = %why.what, "no look at a producer");
    }
    TimedObservation { at, what: Observation::Eos(side, of.name, result.map(Box::new)) }
}

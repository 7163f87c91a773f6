//! Whose transactions hold a log: asked of the partitions' leaders, and then of the coordinators, while something waits
//! behind one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::observe::{Observation, ObservationSender, TimedObservation};
use crate::base::{At, Side, TopicPartition, Trouble};
use crate::estate::holder::{TransactionHolder, TransactionHolders};
use crate::kafka::control::{Cluster, TransactionFilter};
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::pace::Pace;
use crate::session::tools::Tools;
use crate::session::tools::too_long;

/// The longest a look may take.
const LOOK: Duration = Duration::from_secs(10);

/// Partitions whose holders are asked for, by blue's names.
pub(super) type HolderFocus = BTreeSet<(Side, TopicPartition)>;

/// What was told of partitions, by blue's names.
pub(crate) type HoldersByPartition = BTreeMap<TopicPartition, TransactionHolders>;

/// Starts the poller of a side; it rests while nothing is wanted.
pub(super) fn watch_side(
    tasks: &mut JoinSet<()>,
    tools: &Arc<Tools>,
    side: Side,
    pause_ms: u64,
    wanted: &watch::Receiver<HolderFocus>,
    to: &ObservationSender,
) {
    tasks.spawn(poll_holders(Arc::clone(tools), side, pause_ms, wanted.clone(), to.clone()));
}

async fn poll_holders(
    tools: Arc<Tools>,
    side: Side,
    pause_ms: u64,
    mut wanted: watch::Receiver<HolderFocus>,
    to: ObservationSender,
) {
    let mut pace = Pace::every(pause_ms);
    loop {
        let of_side = |(s, tp): &(Side, TopicPartition)| (*s == side).then(|| tp.clone());
        let tps: Vec<TopicPartition> = wanted.borrow_and_update().iter().filter_map(of_side).collect();
        if tps.is_empty() {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let (at, watch) = (Clock.now(), Clock.stopwatch());
        let told = tokio::time::timeout(LOOK, ask_holders(tools.cluster(side), &tools.names, &tps)).await;
        let told = told.map_err(|_| too_long(tools.cluster(side), "asking whose transactions are open", LOOK));
        let worked = told.is_ok();
        if to.send(TimedObservation { at, what: Observation::Holders(side, tps, told) }).await.is_err() {
            return;
        }
        Clock.sleep(pace.pause_after(watch.elapsed_ms(), worked)).await;
    }
}

/// Takes what was told in; of what was not told, that it was not.
pub(super) fn take_holders(
    slots: &mut BTreeMap<TopicPartition, crate::base::Observed<TransactionHolders>>,
    asked: Vec<TopicPartition>,
    mut told: Result<HoldersByPartition, Trouble>,
    at: At,
) {
    // What is not asked for any more is forgotten: nobody would see it grow old.
    slots.retain(|tp, _| asked.contains(tp));
    for tp in asked {
        let result = match &mut told {
            Ok(told) => {
                told.remove(&tp).ok_or_else(|| Trouble::new(format!("nothing was told of the producers of {tp}"), ""))
            }
            Err(why) => Err(why.clone()),
        };
        let slot = slots.entry(tp).or_insert_with(crate::base::Observed::not_yet);
        super::present::take_look(slot, result, at);
    }
}

async fn ask_holders(cluster: &Cluster, names: &TopicNames, tps: &[TopicPartition]) -> HoldersByPartition {
    let side = cluster.side();
    let there: Vec<_> = tps.iter().map(|tp| names.partition_on(side, tp)).collect();
    let mut told: HoldersByPartition = BTreeMap::new();
    for (tp, answer) in cluster.describe_producers(&there).await {
        let holders = answer.map(|producers| {
            let open = producers.iter().filter_map(|p| {
                let holder = |open_from| TransactionHolder {
                    producer_id: p.producer_id,
                    transactional_id: None,
                    since: None,
                    open_from,
                };
                p.open_from.map(holder)
            });
            let mut open: Vec<TransactionHolder> = open.collect();
            open.sort_by_key(|h| h.open_from);
            open
        });
        told.insert(names.partition_on_blue(side, &tp), holders);
    }
    let open = || told.values().filter_map(|t| t.as_told()).flatten();
    let pids: BTreeSet<i64> = open().map(|h| h.producer_id).collect();
    let begun = find_begun(cluster, pids).await;
    for holders in told.values_mut() {
        // `map` takes the answer by value, so something has to stand in its place for a moment.
        *holders = std::mem::replace(holders, TransactionHolders::Told(Vec::new())).map(|mut all| {
            for holder in &mut all {
                if let Some((id, since)) = begun.get(&holder.producer_id) {
                    (holder.transactional_id, holder.since) = (Some(id.to_string()), *since);
                }
            }
            all
        });
    }
    told
}

/// The transactional ids of producers, and since when their transactions are open, as far as coordinators say. A list
/// leaves out what may not be seen: those stay without a name.
async fn find_begun(cluster: &Cluster, pids: BTreeSet<i64>) -> BTreeMap<i64, (String, Option<At>)> {
    let mut found = BTreeMap::new();
    if pids.is_empty() {
        return found;
    }
    let filter = TransactionFilter { producer_ids: pids.iter().copied().collect(), ..TransactionFilter::default() };
    let Ok(lists) = cluster.list_transactions(&filter).await else { return found };
    let listed = lists.values().filter_map(|l| l.as_told()).flatten().filter(|l| pids.contains(&l.producer_id));
    let ids: Vec<String> = listed.map(|l| l.id.clone()).collect();
    for (id, told) in cluster.describe_transactions(&ids).await {
        if let Some(Some(view)) = told.as_told() {
            // Of a settled id it is the start of the last transaction, and not of what is open here.
            found.insert(view.producer_id, (id, view.started.filter(|_| !view.state.is_settled())));
        }
    }
    found
}

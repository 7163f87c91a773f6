//! Which clusters a migration is about, and whether these are they: one rule for every verb and session. The plan's
//! `cluster_id` counts; without one, what the journal pinned when it was first seen.

use std::sync::Arc;

use super::tools::Tools;
use crate::base::{Side, Sides, Trouble};
use crate::estate::identity::{Pin, Unverified, find_same_cluster};
use crate::journal::Reader;
use crate::kafka::control::Cluster;
use crate::migration::facts::event::JournalEntry;
use crate::migration::facts::state::State;
use crate::plan::Plan;

/// What the entries of a journal pin, by the fold that the machine goes by.
pub(crate) fn pins_of(entries: &[JournalEntry]) -> Sides<Option<String>> {
    let mut state = State::default();
    entries.iter().for_each(|entry| state.apply(entry));
    state.pins
}

/// What the plan's journal pins, for who does not hold it. A plan without a journal pins nothing. Blocking.
///
/// # Errors
/// There is a journal, and it can't be read.
pub(crate) fn read_pins(plan: &Plan) -> Result<Sides<Option<String>>, Trouble> {
    if !plan.journal.exists() {
        return Ok(Sides::default());
    }
    Ok(pins_of(&Reader::open(&plan.journal)?.entries(1)?))
}

/// Holds a side to the id that counts.
pub(crate) fn hold_to_pin(cluster: &Cluster, plan: &Plan, journalled: Option<&str>) {
    if let Some(pin) = Pin::choose(plan.cluster(cluster.side()).cluster_id.as_deref(), journalled) {
        cluster.hold_to(pin);
    }
}

/// Asks every address of both sides where it leads: to the clusters that are pinned, and to two of them. Their ids.
pub(crate) async fn check_clusters(
    clusters: &Sides<Cluster>,
    plan: &Plan,
    journalled: &Sides<Option<String>>,
) -> Result<Sides<Option<String>>, Unverified> {
    // Before anything is asked: each connection is held against the pin when it opens.
    for (side, cluster) in clusters.iter() {
        hold_to_pin(cluster, plan, journalled[side].as_deref());
    }
    let (blue, green) = tokio::join!(clusters.blue.verify(), clusters.green.verify());
    let ids = Sides { blue: blue?.cluster_id, green: green?.cluster_id };
    match find_same_cluster(Sides { blue: ids.blue.as_deref(), green: ids.green.as_deref() }) {
        Some(same) => {
            tracing::error!(why = %same.what, "refused");
            Err(Unverified::Wrong(same))
        }
        None => Ok(ids),
    }
}

/// The ids of both clusters, when each can be reached and is the one that is meant: for jobs without a controller.
pub(crate) async fn identify_clusters(plan: &Arc<Plan>, tools: &Tools) -> Result<Sides<Option<String>>, Unverified> {
    if let Some(trouble) = Side::BOTH.into_iter().find_map(|side| tools.why_unreachable(side)) {
        return Err(Unverified::Unknown(trouble.clone()));
    }
    let held = Arc::clone(plan);
    let read = tokio::task::spawn_blocking(move || read_pins(&held)).await;
    let read = read.map_err(|e| Trouble::new(format!("the journal was not read: {e}"), "try again"));
    let journalled = read.and_then(|pins| pins).map_err(Unverified::Unknown)?;
    check_clusters(tools.clusters(), plan, &journalled).await
}

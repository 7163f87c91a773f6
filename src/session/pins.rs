//! Which clusters a migration is about, and whether these are they: one rule for every verb and session. The plan's
//! `cluster_id` counts; without one, what the journal pinned when it was first seen.

use crate::base::sanitise::visible_name;
use crate::base::{Sides, Trouble};
use crate::estate::identity::PinnedBy;
use crate::journal::Reader;
use crate::kafka::control::{Cluster, Unverified};
use crate::migration::facts::event::{Event, JournalEntry};
use crate::plan::Plan;

/// What the entries of a journal pin.
pub(crate) fn pins_of(entries: &[JournalEntry]) -> Sides<Option<String>> {
    let mut pins = Sides::default();
    for entry in entries {
        if let Event::Pinned { side, cluster_id } = &entry.event {
            pins[*side] = Some(cluster_id.clone());
        }
    }
    pins
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
    let planned = plan.cluster(cluster.side()).cluster_id.as_deref().map(|id| (id, PinnedBy::Plan));
    if let Some((id, by)) = planned.or(journalled.map(|id| (id, PinnedBy::Journal))) {
        cluster.hold_to(id, by);
    }
}

/// Why these are not the clusters.
pub(crate) enum Mistaken {
    /// They are others.
    Wrong(Trouble),
    /// Nobody can tell.
    Unknown(Trouble),
}

/// Asks every address of both sides where it leads: to the clusters that are pinned, and to two of them. Their ids.
pub(crate) async fn check_clusters(
    clusters: &Sides<Cluster>,
    plan: &Plan,
    journalled: &Sides<Option<String>>,
) -> Result<Sides<Option<String>>, Mistaken> {
    // Before anything is asked: each connection is held against the pin when it opens.
    for (side, cluster) in clusters.iter() {
        hold_to_pin(cluster, plan, journalled[side].as_deref());
    }
    let (blue, green) = tokio::join!(clusters.blue.verify(), clusters.green.verify());
    let ids = Sides { blue: blue?.cluster_id, green: green?.cluster_id };
    match &ids {
        Sides { blue: Some(blue), green: Some(green) } if blue == green => {
            tracing::error!(id = %visible_name(blue), "blue and green are one cluster");
            Err(Mistaken::Wrong(Trouble::new(
                format!("blue and green are one cluster ({})", visible_name(blue)),
                "correct the bootstrap addresses in the plan; nothing can be done until then",
            )))
        }
        _ => Ok(ids),
    }
}

impl From<Unverified> for Mistaken {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Wrong(trouble) => Mistaken::Wrong(trouble),
            Unverified::Unknown(trouble) => Mistaken::Unknown(trouble),
        }
    }
}

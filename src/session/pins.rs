//! Which clusters a migration is about, and whether these are they: one rule for every verb and session. The plan's
//! `cluster_id` counts; without one, what the journal pinned when it was first seen.

use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble};
use crate::estate::identity::PinnedBy;
use crate::journal::Reader;
use crate::kafka::control::{Cluster, Unverified};
use crate::migration::facts::event::{Event, JournalEntry};
use crate::plan::Plan;

/// The ids that a journal pinned, blue first.
pub(crate) type JournalPins = [Option<String>; 2];

/// What the entries of a journal pin.
pub(crate) fn pins_of(entries: &[JournalEntry]) -> JournalPins {
    let mut pins = JournalPins::default();
    for entry in entries {
        if let Event::Pinned { side, cluster_id } = &entry.event {
            pins[usize::from(*side == Side::Green)] = Some(cluster_id.clone());
        }
    }
    pins
}

/// What the plan's journal pins, for who does not hold it. A plan without a journal pins nothing. Blocking.
///
/// # Errors
/// There is a journal, and it can't be read.
pub(crate) fn read_pins(plan: &Plan) -> Result<JournalPins, Trouble> {
    if !plan.journal.exists() {
        return Ok(JournalPins::default());
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

/// Asks every address of both sides where it leads: to the clusters that are pinned, and to two of them. Their ids, blue
/// first.
pub(crate) async fn check_clusters(
    clusters: &[Cluster; 2],
    plan: &Plan,
    journalled: &JournalPins,
) -> Result<[Option<String>; 2], Mistaken> {
    for (cluster, pin) in clusters.iter().zip(journalled) {
        hold_to_pin(cluster, plan, pin.as_deref());
    }
    let (blue, green) = tokio::join!(clusters[0].verify(), clusters[1].verify());
    let ids = [blue?.cluster_id, green?.cluster_id];
    match &ids {
        [Some(blue), Some(green)] if blue == green => Err(Mistaken::Wrong(Trouble::new(
            format!("blue and green are one cluster ({})", visible_name(blue)),
            "correct the bootstrap addresses in the plan; nothing can be done until then",
        ))),
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

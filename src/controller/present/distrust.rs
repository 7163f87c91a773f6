//! What a picture may still claim when the journal is not the whole truth (damaged, cut off, unreadable): what is observed of
//! the clusters stands, and nothing that rests on the journal does.

use crate::base::Trouble;
use crate::migration::facts::stage::{SideState, WayBack};
use crate::migration::rules::gate::Gate;
use crate::snapshot::Snapshot;

/// Takes back every claim that rests on the journal.
pub(super) fn distrust(snapshot: &mut Snapshot, why: &Trouble) {
    let unknown = || format!("the journal can't be trusted: {}", why.what);
    let needs = || SideState::NeedsOperator { why: unknown(), advice: why.advice.clone() };
    // Of groups outside the plan the journal says nothing.
    for group in snapshot.groups.iter_mut().filter(|g| g.listed) {
        group.way_back = WayBack::Unknown { why: unknown() };
        group.side_state = Some(needs());
        group.next = "journal damaged".into();
        group.offers.clear();
        group.run = None;
        group.triggers.clear();
        group.baselines.clear();
        for row in &mut group.gates {
            row.gate = Gate::Unknown { why: unknown() };
        }
    }
    for producer in &mut snapshot.producers {
        producer.side_state = Some(needs());
        producer.next = "journal damaged".into();
        producer.offers.clear();
        (producer.run, producer.eos) = (None, None);
    }
    snapshot.countdowns.clear();
    for phase in &mut snapshot.phases {
        (phase.done, phase.checked) = (None, None);
        phase.note = Some(unknown()).filter(|_| phase.total > 0);
    }
}

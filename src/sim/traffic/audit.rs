//! A second referee, who trusts no bookkeeping of sends: it reads both clusters' logs and asks of every record that a
//! group must have passed whether the group processed it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::witness::{ID_HEADER, Witness};
use crate::base::Side;
use crate::sim::cluster::SimCluster;
use crate::sim::state::{IsolationLevel, SimState};

/// What the logs say of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Records on the logs that the group must have processed by now.
    pub owed: u64,
    /// Of those, how many it did not.
    pub lost: u64,
    /// A few of them.
    pub lost_examples: Vec<u64>,
}

/// Ids of a topic's records by partition and offset, read_committed.
fn list_record_ids(state: &SimState, topic: &str) -> Vec<Vec<(i64, u64)>> {
    let Some(topic) = state.topics().get(topic) else { return Vec::new() };
    let id = |r: &crate::sim::state::StoredRecord| Some((r.offset, r.header_text(ID_HEADER)?.parse().ok()?));
    topic
        .partitions
        .iter()
        .map(|log| log.records(0, IsolationLevel::ReadCommitted).iter().filter_map(id).collect())
        .collect()
}

/// Reads both logs of the group's topics. A record is owed once it lies below the group's committed offset on either
/// cluster: where it reads now, or where it stood when it left. `None` for a group without commits.
pub(crate) fn audit_group(
    group: &str,
    topics: &[String],
    clusters: [&SimCluster; 2],
    witness: &Witness,
) -> Option<Audit> {
    let mut owed = BTreeSet::new();
    let mut committed_any = false;
    for cluster in clusters {
        // `with_state` holds the cluster still while its logs and commits are read together
        cluster.with_state(|state| {
            for topic in topics {
                for (p, records) in list_record_ids(state, topic).into_iter().enumerate() {
                    let number = i32::try_from(p).unwrap_or(i32::MAX);
                    let Some(commit) = state.groups().get(group).and_then(|g| g.find_commit(topic, number)) else {
                        continue;
                    };
                    committed_any = true;
                    owed.extend(records.into_iter().filter(|(offset, _)| *offset < commit.offset).map(|(_, id)| id));
                }
            }
        });
    }
    let lost: Vec<u64> = owed.iter().copied().filter(|id| !witness.has_processed(group, *id)).collect();
    committed_any.then(|| Audit {
        owed: owed.len() as u64,
        lost: lost.len() as u64,
        lost_examples: lost.into_iter().take(5).collect(),
    })
}

impl super::DemoEstate {
    /// What both clusters' logs say of a group (see [`audit_group`]); `None` when it is not of this estate or never committed.
    #[must_use]
    pub(crate) fn audit_group(&self, group: &str) -> Option<Audit> {
        let spec = self.estate().groups.iter().find(|g| g.name == group)?;
        audit_group(group, &spec.topics, [self.cluster(Side::Blue), self.cluster(Side::Green)], self.witness())
    }
}

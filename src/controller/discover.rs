//! One look at both clusters without a controller: what `cutover init` writes a plan from.

use super::doctor::ask_both;
use crate::base::{Side, Sides, Trouble};
use crate::estate::ClusterView;
use crate::kafka::control::{Cluster, SnapshotOptions};
use crate::plan::Plan;
use crate::session::tools::client_properties;

/// Reads both clusters whole, side by side: topics, groups of every kind, members, offsets.
///
/// # Errors
/// Per side: it can't be reached, or refuses us.
pub(crate) async fn discover(plan: &Plan) -> Sides<Result<ClusterView, Trouble>> {
    ask_both(|side| discover_side(plan, side)).await
}

async fn discover_side(plan: &Plan, side: Side) -> Result<ClusterView, Trouble> {
    let properties = client_properties(plan.cluster(side))?;
    let cluster = Cluster::new(side, &plan.cluster(side).bootstrap.join(","), &properties);
    cluster.snapshot(&SnapshotOptions::default()).await
}

//! Both clusters' set-up, looked at once and compared: nothing is changed, and no record is read.

use std::sync::Arc;
use std::time::Duration;

use super::applications::look_at_applications;
use super::connectivity;
use super::schemas::survey_registries;
use crate::base::{Side, Sides, Trouble};
use crate::estate::identity::Unverified;
use crate::estate::inventory::Inventory;
use crate::kafka::control::Cluster;
use crate::parity::{ParityReport, TopicScope, compare_inventories};
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::pins;
use crate::session::tools::{Tools, too_long};

/// How long a look at one cluster may take. Thousands of topics are a few requests of each kind; brokers that slow a client
/// down may hold each for up to 30 s (a quota's window).
const LOOK: Duration = Duration::from_secs(120);

/// Looks at both clusters and compares them, as the plan says what is meant to differ.
///
/// # Errors
/// A cluster is another one than it has to be, or could not be looked at: then nothing is claimed of either. A part that one
/// of them does not tell is no error: it is UNKNOWN in the comparison.
pub async fn run_preflight(plan: &Arc<Plan>) -> Result<ParityReport, Unverified> {
    let tools = Tools::new(plan, Arc::new(TopicNames::new(plan)));
    let clusters = pins::identify_clusters(plan, &tools).await?;
    let (looks, schemas) = tokio::join!(look_at_both(&tools), survey_registries(plan));
    let looks = looks?;
    let scope = plan.parity_scope(&looks.blue, &looks.green);
    let advertised = Sides::from_fn(|side| tools.cluster(side).advertised_addresses());
    let (tries, applications) =
        tokio::join!(connectivity::try_reach(plan, &advertised), look_at_applications(plan, &tools, &looks.green));
    let excluded = match &scope.topics {
        TopicScope::All { excluded, .. } => excluded.iter().cloned().collect(),
        TopicScope::Listed(_) => Vec::new(),
    };
    let parity = compare_inventories(&looks.blue, &looks.green, &scope).with_reach(&tries);
    let mut parity = parity.with_applications(&applications, &looks.blue, &looks.green);
    if let Some(looked) = &schemas {
        parity = parity.with_schemas(looked);
    }
    Ok(ParityReport {
        migration: plan.name.clone(),
        at: Clock.now(),
        clusters,
        excluded,
        parity,
        schemas: schemas.and_then(Result::ok).map(|survey| survey.plan),
    })
}

/// How both clusters are set up. Errors: one of them could not be looked at.
pub(super) async fn look_at_both(tools: &Tools) -> Result<Sides<Inventory>, Unverified> {
    let (blue, green) =
        tokio::join!(look_at_setup(tools.cluster(Side::Blue)), look_at_setup(tools.cluster(Side::Green)));
    Ok(Sides { blue: blue.map_err(Unverified::Unknown)?, green: green.map_err(Unverified::Unknown)? })
}

async fn look_at_setup(cluster: &Cluster) -> Result<Inventory, Trouble> {
    match tokio::time::timeout(LOOK, cluster.take_inventory()).await {
        Ok(look) => look,
        Err(_) => Err(too_long(cluster, "a look at how it is set up", LOOK)),
    }
}

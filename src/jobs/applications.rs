//! Who works with the clusters, looked at once for the red flags of phase 1: groups, transactional ids, and whether anybody
//! measures the consumers. Nothing is changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use crate::base::{Side, Sides, Trouble};
use crate::estate::ClusterView;
use crate::estate::inventory::Inventory;
use crate::estate::release::KafkaRelease;
use crate::estate::transactions::Answer;
use crate::kafka::control::{Cluster, SnapshotOptions, TransactionFilter, Which};
use crate::metrics::{MetricSubject, MetricsProvider, list_providers};
use crate::parity::{ApplicationLook, Measured, PlannedApplications};
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::tools::{Tools, too_long};

/// How long a look at all of a cluster's groups may take.
const LOOK: Duration = Duration::from_secs(60);

/// Looks once; what could not be seen says so in its place.
pub(super) async fn look_at_applications(plan: &Arc<Plan>, tools: &Tools, green: &Inventory) -> ApplicationLook {
    let (blue, transactional_ids, green_takes_consumer_groups, on_blue, on_green) = tokio::join!(
        look_at_groups(tools.cluster(Side::Blue)),
        list_transactional_ids(tools.cluster(Side::Blue)),
        takes_consumer_groups(tools.cluster(Side::Green), green.release),
        ask_measures(plan, Side::Blue),
        ask_measures(plan, Side::Green),
    );
    let ids = plan.producers.iter().flat_map(|producer| &producer.transactional_ids.blue);
    ApplicationLook {
        blue,
        transactional_ids,
        green_takes_consumer_groups,
        measured: Sides { blue: on_blue, green: on_green },
        planned: PlannedApplications {
            groups: plan.groups.iter().map(|group| group.id_on(Side::Blue).to_owned()).collect(),
            transactional_ids: ids.cloned().collect(),
        },
    }
}

async fn look_at_groups(cluster: &Cluster) -> Result<ClusterView, Trouble> {
    let options = SnapshotOptions { topics: Which::None, ..SnapshotOptions::default() };
    match tokio::time::timeout(LOOK, cluster.snapshot(&options)).await {
        Ok(look) => look,
        Err(_) => Err(too_long(cluster, "a look at its groups", LOOK)),
    }
}

/// What all coordinators list together: one that does not answer leaves the whole unknown.
async fn list_transactional_ids(cluster: &Cluster) -> Answer<BTreeSet<String>> {
    let listed = match cluster.list_transactions(&TransactionFilter::default()).await {
        Ok(listed) => listed,
        Err(why) => return Answer::Unknown(why),
    };
    let mut ids = BTreeSet::new();
    for answer in listed.into_values() {
        match answer {
            Answer::Told(some) => ids.extend(some.into_iter().map(|listed| listed.id)),
            other => return other.map(|_| BTreeSet::new()),
        }
    }
    Answer::Told(ids)
}

/// Whether every broker takes groups of KIP-848: the request is there, and from Kafka 4.0 on the cluster has agreed on it too.
async fn takes_consumer_groups(cluster: &Cluster, release: Option<KafkaRelease>) -> Result<bool, Trouble> {
    let featured = release.is_some_and(|release| release >= KafkaRelease::new(4, 0));
    let mut takes = true;
    for speech in cluster.ask_speech().await?.into_values() {
        let speech = speech?;
        let knows = speech.versions.contains_key(&(ApiKey::ConsumerGroupHeartbeat as i16));
        takes &= knows && (!featured || speech.group_level.is_some_and(|level| level >= 1));
    }
    Ok(takes)
}

/// One number of one group is enough: that somebody is there who knows.
async fn ask_measures(plan: &Plan, side: Side) -> Measured {
    let Some(group) = plan.groups.first() else { return Measured::Nobody };
    let about = MetricSubject::of_group(plan, &group.name, side);
    let providers: Vec<MetricsProvider> = list_providers(plan).collect();
    let mut silent = None;
    for provider in &providers {
        for metric in provider.metrics() {
            match provider.ask(metric, &about, Clock.now()).await {
                Ok(_) => return Measured::Answered,
                Err(why) => silent = silent.or(Some(why)),
            }
        }
    }
    match silent {
        Some(why) => Measured::Silent(Trouble::new(
            format!("nobody has measured a consumer on {side}: {}", why.what),
            why.advice,
        )),
        None => Measured::Nobody,
    }
}

//! The pollers of metric providers: one each, so that a slow Prometheus never holds up the picture of a cluster.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clock::Clock;
use super::observe::{Seen, Sighting, Sightings};
use crate::metrics::{About, Provider};
use crate::migration::criteria::Metric;
use crate::migration::estate::Side;
use crate::plan::Plan;

/// Queries of one provider under way at once (New Relic allows 25 a user).
const AT_ONCE: usize = 4;

/// What is to be asked: group by its id on blue, side, metric.
pub type Questions = Vec<(String, Side, Metric)>;

/// Starts one poller a provider of the plan. They end with the set, or when the receiver of the sightings is gone.
pub fn ask_all(tasks: &mut JoinSet<()>, plan: &Arc<Plan>, questions: &watch::Receiver<Questions>, to: &Sightings) {
    for provider in providers(plan) {
        tasks.spawn(turns(provider, Arc::clone(plan), questions.clone(), to.clone()));
    }
}

/// The providers of a plan. No I/O.
pub fn providers(plan: &Plan) -> impl Iterator<Item = Provider> {
    plan.metrics.iter().map(|m| Provider::from_plan(m, &plan.name))
}

/// Whom a question about a group is about.
#[must_use]
pub fn about(plan: &Plan, group: &str, side: Side) -> About {
    let planned = plan.group(group);
    let id = match (side, planned) {
        (Side::Green, Some(g)) => g.green_group.clone(),
        _ => group.to_owned(),
    };
    About { group: id, team: planned.map(|g| g.team.clone()).unwrap_or_default(), side }
}

async fn turns(provider: Provider, plan: Arc<Plan>, mut questions: watch::Receiver<Questions>, to: Sightings) {
    let known: Vec<Metric> = provider.metrics().collect();
    loop {
        let mine: Questions =
            questions.borrow_and_update().iter().filter(|(_, _, metric)| known.contains(metric)).cloned().collect();
        if mine.is_empty() {
            if questions.changed().await.is_err() {
                return;
            }
            continue;
        }
        let watch = Clock.stopwatch();
        let (provider, plan) = (&provider, &plan);
        let ask = |(group, side, metric): (String, Side, Metric)| async move {
            let at = Clock.now();
            let answer = provider.ask(metric, &about(plan, &group, side), at).await;
            Seen { at, what: Sighting::Metric(group, side, metric, answer.map(|a| a.value)) }
        };
        let mut answers = stream::iter(mine.into_iter().map(ask)).buffer_unordered(AT_ONCE);
        while let Some(seen) = answers.next().await {
            if to.send(seen).await.is_err() {
                return;
            }
        }
        // as often as the plan says, and idle for as long as a turn took: nobody is asked without a pause
        Clock.sleep(provider.every_ms().saturating_sub(watch.ms()).max(watch.ms().min(provider.every_ms()))).await;
    }
}

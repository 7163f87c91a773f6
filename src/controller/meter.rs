//! The pollers of metric providers: one each, so that a slow Prometheus never holds up the picture of a cluster.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::observe::{Observation, ObservationSender, TimedObservation};
use crate::base::At;
use crate::base::sanitise::visible_name;
use crate::metrics::{MetricSubject, MetricsProvider, list_providers};
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::soaking::{MetricQuestion, PastSpan};
use crate::plan::Plan;
use crate::session::clock::Clock;

/// Queries of one provider under way at once (New Relic allows 25 a user).
const AT_ONCE: usize = 4;

/// Steps that a hole is filled in, while they are not too far apart for that.
const STEPS: u64 = 5_000;

/// What is to be asked.
pub(crate) type Questions = Vec<MetricQuestion>;

/// Starts one poller a provider of the plan. They end with the set, or when the receiver of the observations is gone.
pub(crate) fn ask_all(
    tasks: &mut JoinSet<()>,
    plan: &Arc<Plan>,
    questions: &watch::Receiver<Questions>,
    to: &ObservationSender,
) {
    for provider in list_providers(plan) {
        tasks.spawn(poll_provider(provider, Arc::clone(plan), questions.clone(), to.clone()));
    }
}

async fn poll_provider(
    provider: MetricsProvider,
    plan: Arc<Plan>,
    mut questions: watch::Receiver<Questions>,
    to: ObservationSender,
) {
    let known: Vec<Metric> = provider.metrics().collect();
    loop {
        let mine: Questions =
            questions.borrow_and_update().iter().filter(|q| known.contains(&q.metric)).cloned().collect();
        if mine.is_empty() {
            if questions.changed().await.is_err() {
                return;
            }
            continue;
        }
        let watch = Clock.stopwatch();
        let (provider, plan) = (&provider, &plan);
        let mut answers =
            stream::iter(mine.into_iter().map(|q| ask_provider(provider, plan, q))).buffer_unordered(AT_ONCE);
        while let Some(seen) = answers.next().await {
            for one in seen {
                if to.send(one).await.is_err() {
                    return;
                }
            }
        }
        // as often as the plan says, and idle for as long as a turn took: nobody is asked without a pause
        Clock
            .sleep(
                provider.every_ms().saturating_sub(watch.elapsed_ms()).max(watch.elapsed_ms().min(provider.every_ms())),
            )
            .await;
    }
}

/// The answer, after what the provider knows of the past where that is asked for. A hole is filled only when there is
/// an answer about now: until then it grows.
async fn ask_provider(provider: &MetricsProvider, plan: &Plan, q: MetricQuestion) -> Vec<TimedObservation> {
    let MetricQuestion { group, side, metric, past } = q;
    let (at, about) = (Clock.now(), MetricSubject::of_group(plan, &group, side));
    let answer = provider.ask(metric, &about, at).await.map(|a| a.value);
    let range = match past {
        _ if !provider.knows_the_past() => None,
        PastSpan::Known => None,
        PastSpan::Back { ms, step_ms } => {
            Some((At(at.0.saturating_sub_unsigned(ms)), step_ms.max(provider.every_ms())))
        }
        PastSpan::Since { .. } if answer.is_err() => None,
        // as dense as it is asked for now, coarser over a long time, and never coarser than what makes a hole
        PastSpan::Since { from, step_ms } => {
            Some((from, (at.since(from) / STEPS).max(provider.every_ms()).min(step_ms)))
        }
    };
    let mut seen = Vec::with_capacity(2);
    if let Some((from, step_ms)) = range {
        match provider.ask_series(metric, &about, (from, at), step_ms).await {
            Ok(points) => {
                seen.push(TimedObservation { at, what: Observation::Past(group.clone(), side, metric, points) })
            }
            // what is not known stays a hole, and a baseline is made of what comes
            Err(trouble) => {
                tracing::warn!("the past of {metric} of {group} on {side}: {trouble}", group = visible_name(&group))
            }
        }
    }
    seen.push(TimedObservation { at, what: Observation::Metric(group, side, metric, answer) });
    seen
}

//! Effects become deeds here, and nowhere else. The live executor can't be made without a `WriteLease`, and only the
//! holder of the journal in an armed session has one; a dry run walks the same path with an executor that changes nothing.

mod eos;
mod offsets;
mod setting;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{mpsc, watch};

use super::core::EffectProgress;
use crate::base::{Side, Trouble};
use crate::jobs::replay::{ReplayProgressSink, Stop};
use crate::jobs::translate::{History, Purpose, TranslationProgressSink, Translator, WantedGroup};
use crate::migration::facts::effect::{Effect, EffectResult, IssuedEffect, Outcome};
use crate::offsets::Chosen;
use crate::plan::Plan;
use crate::session::lease::WriteLease;
use crate::session::tools::Tools;
use crate::snapshot::Arming;

/// Carries effects out.
pub(crate) trait Executor: Send + Sync {
    /// Carries one out and says how it ended. Every wait in it is bounded.
    fn execute(&self, issued: IssuedEffect) -> BoxFuture<'static, Outcome>;

    /// The controller ends: what only reads stops now, what changes something is finished.
    fn wind_up(&self);
}

/// What a live executor works with.
#[derive(Clone)]
pub(super) struct World {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Everything outside.
    pub tools: Arc<Tools>,
    /// What the journal says of the past.
    pub history: Arc<Mutex<History>>,
}

/// The executor of a session; `None` when it may change nothing, not even in a dry run.
pub(super) fn build_executor(
    world: World,
    translator: Option<Translator>,
    lease: Option<WriteLease>,
    arming: &Arming,
    murmurs: mpsc::Sender<EffectProgress>,
) -> Option<Arc<dyn Executor>> {
    let reading = RunTranslator { translator, murmurs, stop: watch::Sender::new(false) };
    match (arming, lease) {
        (Arming::Armed, Some(lease)) => {
            let (lease, stop) = (Arc::new(lease), Arc::new(Stop::default()));
            Some(Arc::new(LiveExecutor { lease, world, reading: Arc::new(reading), stop }))
        }
        // Whatever the lease: a dry run that nobody is in the way
        // of holds the journal, and changes nothing all the same.
        (Arming::DryRun, _) => Some(Arc::new(DryRunExecutor { reading: Arc::new(reading) })),
        _ => None,
    }
}

/// What both executors do alike: translations only read.
struct RunTranslator {
    translator: Option<Translator>,
    murmurs: mpsc::Sender<EffectProgress>,
    stop: watch::Sender<bool>,
}

impl RunTranslator {
    async fn translate(
        self: Arc<Self>,
        key: String,
        group: String,
        to: Side,
        chosen: Option<Chosen>,
        topics: BTreeSet<String>,
    ) -> Outcome {
        let Some(translator) = &self.translator else {
            return failed(Trouble::new("records can't be read", "see the notice about the client properties"));
        };
        let murmurs = self.murmurs.clone();
        let progress: TranslationProgressSink = Arc::new(move |words| {
            let _ = murmurs.try_send(EffectProgress { key: key.clone(), words }); // only words: none is waited for
        });
        let mut stop = self.stop.subscribe();
        let wanted = WantedGroup { group: &group, chosen: chosen.as_ref(), topics: &topics };
        tokio::select! {
            plan = translator.translate(wanted, to, Purpose::Run, &progress) => match plan {
                Ok(plan) => done(EffectResult::Plan { plan }),
                Err(why) => failed(why),
            },
            // Failed and not unknown: it only read, and the next start measures anew.
            _ = stop.wait_for(|stop| *stop) => failed(Trouble::new("the controller ended while it read the logs", "")),
        }
    }
}

/// Changes the world.
struct LiveExecutor {
    lease: Arc<WriteLease>,
    world: World,
    reading: Arc<RunTranslator>,
    /// Ends what carries records after the transaction that is open.
    stop: Arc<Stop>,
}

impl LiveExecutor {
    fn carry_context(&self, key: String) -> eos::CarryContext {
        let World { plan, history, .. } = self.world.clone();
        let murmurs = self.reading.murmurs.clone();
        let tell: ReplayProgressSink = Arc::new(move |p| {
            let words = format!("{}: {} of {} records", p.what, p.done, p.total);
            let _ = murmurs.try_send(EffectProgress { key: key.clone(), words }); // only words: none is waited for
        });
        eos::CarryContext { plan, history, lease: Arc::clone(&self.lease), tell, stop: Arc::clone(&self.stop) }
    }
}

impl Executor for LiveExecutor {
    fn execute(&self, IssuedEffect { key, effect }: IssuedEffect) -> BoxFuture<'static, Outcome> {
        let (tools, reading) = (Arc::clone(&self.world.tools), Arc::clone(&self.reading));
        let carrying = self.carry_context(key.clone());
        async move {
            match effect {
                Effect::Translate { group, to, chosen, topics } => {
                    reading.translate(key, group, to, chosen, topics).await
                }
                Effect::SetSwitch { group, to } => setting::set_switch(tools, group, to).await,
                Effect::SetFlag { producer, to } => setting::set_flag(tools, producer, to).await,
                Effect::CommitOffsets { group, side, offsets, before, metadata, had: _ } => {
                    // A commit sets every partition of the plan; only the undoing of one deletes.
                    let target = offsets.into_iter().map(|(tp, at)| (tp, Some(at))).collect();
                    let change = offsets::GroupOffsetChange::new(&tools, side, &group, target, Some(before));
                    change.with_metadata(metadata).run().await
                }
                Effect::RestoreOffsets { group, side, offsets, metadata } => {
                    let change = offsets::GroupOffsetChange::new(&tools, side, &group, offsets, None);
                    change.with_metadata(metadata).run().await
                }
                Effect::Fence { side, ids, .. } => eos::fence_all(tools, side, ids).await,
                Effect::Deny { side, acls, .. } => eos::deny(tools, side, acls).await,
                Effect::Allow { side, acls, .. } => eos::allow(tools, side, acls).await,
                Effect::Carry { producer, replay, from, ranges } => {
                    eos::carry(carrying, producer, replay, from, ranges).await
                }
            }
        }
        .boxed()
    }

    fn wind_up(&self) {
        self.stop.set();
        self.reading.stop.send_replace(true);
    }
}

/// Changes nothing: reads what a run would read, and answers as if everything had been done.
struct DryRunExecutor {
    reading: Arc<RunTranslator>,
}

impl Executor for DryRunExecutor {
    fn execute(&self, IssuedEffect { key, effect }: IssuedEffect) -> BoxFuture<'static, Outcome> {
        let reading = Arc::clone(&self.reading);
        async move {
            match effect {
                Effect::Translate { group, to, chosen, topics } => {
                    reading.translate(key, group, to, chosen, topics).await
                }
                Effect::SetSwitch { to, .. } => done(EffectResult::Switch { state: to }),
                Effect::SetFlag { to, .. } => done(EffectResult::Flag { state: to }),
                Effect::CommitOffsets { offsets, .. } => done(EffectResult::Offsets {
                    offsets: offsets.into_iter().map(|(tp, at)| (tp, Some(at))).collect(),
                }),
                Effect::RestoreOffsets { offsets, .. } => done(EffectResult::Offsets { offsets }),
                Effect::Fence { .. } => done(EffectResult::Fenced { ids: Vec::new() }),
                Effect::Deny { .. } => done(EffectResult::Denied),
                Effect::Allow { .. } => done(EffectResult::Allowed),
                Effect::Carry { .. } => done(EffectResult::Carried { records: 0, verified: None }),
            }
        }
        .boxed()
    }

    fn wind_up(&self) {
        self.reading.stop.send_replace(true);
    }
}

fn done(result: EffectResult) -> Outcome {
    Outcome::Done { result }
}

fn failed(why: Trouble) -> Outcome {
    Outcome::Failed { why }
}

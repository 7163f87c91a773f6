//! What is done to exactly-once producers: fencing, denials, and carrying back what one side alone has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, StreamExt as _};

use super::{done, failed};
use crate::base::sanitise::visible_name;
use crate::base::{Side, TopicPartition, Trouble, lock_unpoisoned};
use crate::controller::eos::deny::{self, AclsNotSet};
use crate::controller::eos::fence::{NotFenced, fence};
use crate::estate::acl::Acl;
use crate::jobs::replay::{CarryBack, NotCarriedBack, ReplayProgressSink, Stop, carry_back};
use crate::jobs::translate::History;
use crate::migration::eos::FencedId;
use crate::migration::facts::effect::{EffectResult, Outcome};
use crate::plan::Plan;
use crate::replay::Ranges;
use crate::session::lease::WriteLease;
use crate::session::tools::Tools;

/// Ids fenced at the same time.
const TOGETHER: usize = 8;

/// Fences every id. Done only when all are.
pub(super) async fn fence_all(tools: Arc<Tools>, side: Side, ids: Vec<String>) -> Outcome {
    let each: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let tools = Arc::clone(&tools);
            async move {
                let fenced = fence(tools.cluster(side), &id).await;
                (id, fenced)
            }
        })
        .collect();
    let ended: Vec<_> = stream::iter(each).buffered(TOGETHER).collect().await;
    let (mut fenced, mut troubles, mut unknown) = (Vec::new(), Vec::new(), false);
    for (id, end) in ended {
        match end {
            Ok((producer_id, epoch)) => fenced.push(FencedId { id, producer_id, epoch }),
            Err(NotFenced::Failed(why)) => troubles.push(why),
            Err(NotFenced::Unknown(why)) => {
                unknown = true;
                troubles.push(why);
            }
        }
    }
    let Some(first) = troubles.first().cloned() else { return done(EffectResult::Fenced { ids: fenced }) };
    let more = if troubles.len() > 1 { format!("; {} more", troubles.len() - 1) } else { String::new() };
    let why = Trouble::new(format!("{}{more}", first.what), first.advice);
    // `Failed` says that nothing changed: a single fenced id is a change.
    if fenced.is_empty() && !unknown { failed(why) } else { Outcome::Unknown { why } }
}

/// Makes denials, until every broker enforces them.
pub(super) async fn deny(tools: Arc<Tools>, side: Side, acls: Vec<Acl>) -> Outcome {
    let acls: BTreeSet<Acl> = acls.into_iter().collect();
    match deny::deny(tools.cluster(side), &acls).await {
        Ok(()) => done(EffectResult::Denied),
        // A result and no failure: the cut goes on, and says that nothing keeps a restarted instance out.
        Err(AclsNotSet::Forbidden(why)) => done(EffectResult::NotDenied { why }),
        Err(AclsNotSet::Failed(why)) => failed(why),
        Err(AclsNotSet::Unknown(why)) => Outcome::Unknown { why },
    }
}

/// Takes exactly these denials back, until no broker enforces one.
pub(super) async fn allow(tools: Arc<Tools>, side: Side, acls: Vec<Acl>) -> Outcome {
    let acls: BTreeSet<Acl> = acls.into_iter().collect();
    match deny::allow(tools.cluster(side), &acls).await {
        Ok(()) => done(EffectResult::Allowed),
        Err(AclsNotSet::Forbidden(why) | AclsNotSet::Failed(why)) => failed(why),
        Err(AclsNotSet::Unknown(why)) => Outcome::Unknown { why },
    }
}

/// What carrying rests on, besides the effect.
pub(super) struct CarryContext {
    pub plan: Arc<Plan>,
    pub history: Arc<Mutex<History>>,
    pub lease: Arc<WriteLease>,
    pub tell: ReplayProgressSink,
    pub stop: Arc<Stop>,
}

/// Carries what only `from` holds to the other side, or goes on with it.
pub(super) async fn carry(with: CarryContext, producer: String, id: String, from: Side, ranges: Ranges) -> Outcome {
    // The lock ends before the carry begins: translations and rounds need it meanwhile.
    let (target_ends, begun) = {
        let history = lock_unpoisoned(&with.history);
        (ends_when_left(&history, from, &ranges), history.begun().unwrap_or_default())
    };
    // Another journal may have a run of this number for the same producer.
    let id = format!("{id}-{:x}", begun.0);
    let Some(target_ends) = target_ends else {
        let what = format!(
            "no seam to {from} is journalled for every partition of {producer}",
            producer = visible_name(&producer)
        );
        return failed(Trouble::new(what, "nothing was carried: compare both clusters with `cutover diff`"));
    };
    let asked = format!("{producer} goes back to {}", from.other(), producer = visible_name(&producer));
    let back = CarryBack { id, from, ranges, target_ends, asked };
    match carry_back(&with.plan, with.lease, &back, with.tell, with.stop).await {
        Ok(brought) => done(EffectResult::Carried { records: brought.records, verified: brought.verified }),
        Err(NotCarriedBack::Failed(why)) => failed(why),
        Err(NotCarriedBack::Unknown(why)) => Outcome::Unknown { why },
    }
}

/// Where the target of a carry ended when its writers left it for `from`: whatever a carry put there lies beyond. `None`:
/// a partition has no seam.
fn ends_when_left(history: &History, from: Side, ranges: &Ranges) -> Option<Vec<(TopicPartition, i64)>> {
    ranges.partitions().map(|tp| Some((tp.clone(), history.last_seam(from, tp)?.source))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::acl::Resource;
    use crate::migration::facts::effect::Outcome::{Done, Failed};
    use crate::session::names::TopicNames;
    use crate::sim::{SimCluster, SimConfig};

    fn world() -> (SimCluster, SimCluster, Arc<Tools>) {
        let start = |side| SimCluster::start(SimConfig::new(side)).unwrap();
        let (blue, green) = (start(Side::Blue), start(Side::Green));
        let plan = Plan::from_bootstraps(&blue.bootstrap(), &green.bootstrap()).unwrap().plan;
        let tools = Arc::new(Tools::new(&plan, Arc::new(TopicNames::new(&plan))));
        (blue, green, tools)
    }

    fn ids() -> Vec<String> {
        vec!["ledger-1".into(), "ledger-2".into()]
    }

    fn denials() -> Vec<Acl> {
        ids().into_iter().map(|id| Acl::deny_write(Resource::TransactionalId, id, "User:ledger")).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_id_is_fenced_and_a_second_time_does_no_harm() {
        let (_blue, _green, tools) = world();
        for turn in 0..2 {
            let Done { result: EffectResult::Fenced { ids: fenced } } =
                fence_all(Arc::clone(&tools), Side::Blue, ids()).await
            else {
                panic!("not fenced")
            };
            assert_eq!(fenced.iter().map(|f| f.id.clone()).collect::<Vec<_>>(), ids());
            assert!(fenced.iter().all(|f| f.epoch == turn && f.producer_id >= 0), "{fenced:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unreachable_cluster_fences_nothing_and_says_so() {
        let (blue, _green, tools) = world();
        drop(blue);
        let Failed { why } = fence_all(tools, Side::Blue, ids()).await else { panic!("fenced?") };
        assert!(why.what.contains("1 more"), "{why:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn denials_are_made_until_in_force_and_exactly_they_are_taken_back() {
        let (blue, _green, tools) = world();
        let ended = deny(Arc::clone(&tools), Side::Blue, denials()).await;
        let Done { result: EffectResult::NotDenied { why } } = ended else { panic!("{ended:?}") };
        assert!(why.what.contains("no authorizer"), "{why:?}");
        assert_eq!(allow(Arc::clone(&tools), Side::Blue, denials()).await, done(EffectResult::Allowed), "none stands");

        blue.with_state(|s| s.enable_authorizer());
        let other = Acl::deny_write(Resource::TransactionalId, "ledger-1", "User:other");
        assert_eq!(deny(Arc::clone(&tools), Side::Blue, vec![other.clone()]).await, done(EffectResult::Denied));
        for _ in 0..2 {
            assert_eq!(deny(Arc::clone(&tools), Side::Blue, denials()).await, done(EffectResult::Denied));
        }
        let standing = |acls: Vec<Acl>| {
            let tools = Arc::clone(&tools);
            async move {
                let acls = acls.into_iter().collect();
                crate::controller::eos::look::find_enforced(tools.cluster(Side::Blue), &acls)
                    .await
                    .as_told()
                    .map(BTreeSet::len)
            }
        };
        assert_eq!(standing(denials()).await, Some(2));
        assert_eq!(allow(Arc::clone(&tools), Side::Blue, denials()).await, done(EffectResult::Allowed));
        assert_eq!(standing(denials()).await, Some(0));
        assert_eq!(standing(vec![other]).await, Some(1), "another's denial is not ours to take");
    }
}

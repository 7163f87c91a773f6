//! One look at an exactly-once producer on one side.
//!
//! The order makes what is claimed safe: first what the coordinators say of its ids, then who writes to its partitions,
//! then the last stable offsets, and only when those are answered the high watermarks. Where the last two are equal,
//! no transaction was open when the first was told, and nothing was written until the second was.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::sanitise::visible_name;
use crate::base::{Sides, TopicPartition, Trouble};
use crate::estate::acl::{Acl, AclFilter, Operation, Permission, Resource};
use crate::estate::exactly_once::{Ends, EosLook};
use crate::estate::transactions::{Answer, Hanging, ProducerView, TransactionView};
use crate::kafka::control::{Cluster, OffsetSpec, in_force};
use crate::migration::eos::denials_for;
use crate::migration::facts::settings::{ProducerSettings, Settings};
use crate::session::names::TopicNames;

/// Where groups' offsets are kept.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// How often what looks as if it hung is asked again in one look: of a busy producer a transaction is open nearly always,
/// and now and then it has begun between two answers.
const ASKED_AGAIN: usize = 5;

/// What is looked at of one exactly-once producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedProducer {
    /// Its name in the plan.
    pub name: String,
    /// Its topics, by their names on blue.
    pub topics: Vec<String>,
    /// Its transactional ids.
    pub ids: Sides<Vec<String>>,
    /// The denials that would keep its principals out; `None` where the plan names none.
    pub denials: Sides<Option<BTreeSet<Acl>>>,
}

impl WatchedProducer {
    /// Of a producer; `None` for one that is not exactly-once.
    #[must_use]
    pub(crate) fn of_producer(name: &str, producer: &ProducerSettings) -> Option<Self> {
        producer.is_exactly_once().then(|| Self {
            name: name.to_owned(),
            topics: producer.topics.clone(),
            ids: producer.transactional_ids.clone(),
            denials: Sides::from_fn(|side| {
                producer.principal(side).map(|_| denials_for(producer, side).into_iter().collect())
            }),
        })
    }

    /// Every exactly-once producer of a plan.
    #[must_use]
    pub(crate) fn all_of_settings(settings: &Settings) -> Vec<Self> {
        settings.producers.iter().filter_map(|(name, p)| Self::of_producer(name, p)).collect()
    }
}

/// Looks at a producer on the cluster's side. Topics go by their names on blue. Errors: a partition's ends could not be had;
/// a look never lacks one, as a seam must not.
pub async fn look_at_producer(cluster: &Cluster, names: &TopicNames, of: &WatchedProducer) -> Result<EosLook, Trouble> {
    let side = cluster.side();
    let ids: Vec<String> = of.ids.iter().flat_map(|(_, ids)| ids).cloned().collect();
    let mut topics: Vec<String> = of.topics.iter().map(|t| names.topic_on(side, t)).collect();
    topics.push(OFFSETS_TOPIC.to_owned());
    let (described, counts, denied) =
        tokio::join!(cluster.describe_transactions(&ids), cluster.partition_counts(&topics), ask_denials(cluster, of));
    let mut counts = counts?;
    // A cluster on which no group ever committed has no such topic: that is no reason for no look.
    let offsets_partitions = counts.remove(OFFSETS_TOPIC).and_then(Result::ok);
    let mut partitions = Vec::new();
    for (topic, count) in counts {
        partitions.extend((0..count?).map(|p| TopicPartition::new(&topic, p)));
    }
    let (mut described, mut writers) = (described, cluster.describe_producers(&partitions).await);
    ask_again(cluster, &mut described, &mut writers).await;
    let commits = match offsets_partitions {
        Some(count) => Some(find_commit_partitions(cluster, &described, &of.ids[side], count).await),
        None => None,
    };
    let stable = ask_ends(cluster, &partitions, OffsetSpec::LatestStable).await?;
    let high = ask_ends(cluster, &partitions, OffsetSpec::Latest).await?;
    let inward = |tp: &TopicPartition| names.partition_on_blue(side, tp);
    let both = |tp: &TopicPartition| {
        let (stable, high_watermark) = (*stable.get(tp)?, *high.get(tp)?);
        Some((inward(tp), Ends { stable, high_watermark }))
    };
    Ok(EosLook {
        ids: described.into_iter().map(|(id, told)| (id, with_blue_names(told, &inward))).collect(),
        ends: partitions.iter().filter_map(both).collect(),
        writers: writers.into_iter().map(|(tp, told)| (inward(&tp), told)).collect(),
        denied,
        offsets_partitions,
        commits,
    })
}

/// Partitions of the offsets topic to which these ids have written: their transactions commit groups' offsets there.
async fn find_commit_partitions(
    cluster: &Cluster,
    described: &BTreeMap<String, Answer<Option<TransactionView>>>,
    ids: &[String],
    count: i32,
) -> Answer<BTreeSet<i32>> {
    let mut pids = BTreeSet::new();
    for id in ids {
        match described.get(id) {
            Some(Answer::Told(view)) => pids.extend(view.as_ref().map(|v| v.producer_id)),
            Some(untold) => return untold.clone().map(|_| BTreeSet::new()),
            None => {
                return Answer::Unknown(Trouble::new(format!("nothing was told of {id}", id = visible_name(id)), ""));
            }
        }
    }
    // Ids that were never used wrote nowhere: the leaders of the
    // offsets topic (50 partitions by default) are left alone.
    if pids.is_empty() {
        return Answer::Told(BTreeSet::new());
    }
    let stores: Vec<_> = (0..count).map(|p| TopicPartition::new(OFFSETS_TOPIC, p)).collect();
    let mut found = BTreeSet::new();
    for (tp, told) in cluster.describe_producers(&stores).await {
        match told {
            Answer::Told(writers) if writers.iter().any(|w| pids.contains(&w.producer_id)) => {
                found.insert(tp.partition);
            }
            Answer::Told(_) => {}
            // One partition that does not tell may be the one that is looked for.
            untold => return untold.map(|_| BTreeSet::new()),
        }
    }
    Answer::Told(found)
}

/// A transaction that is open on a partition: where, whose, and from which offset.
type SuspectTransaction = (TopicPartition, String, i64, i64);

/// Transactions that are open where their coordinator did not have them when it was asked.
fn find_suspects(
    described: &BTreeMap<String, Answer<Option<TransactionView>>>,
    writers: &BTreeMap<TopicPartition, Answer<Vec<ProducerView>>>,
) -> BTreeSet<SuspectTransaction> {
    let views: Vec<_> = described.iter().filter_map(|(id, told)| Some((id, told.as_told()?.as_ref()?))).collect();
    let mut found = BTreeSet::new();
    for (tp, told) in writers {
        for writer in told.as_told().into_iter().flatten() {
            let Some((id, view)) = views.iter().find(|(_, view)| view.producer_id == writer.producer_id) else {
                continue;
            };
            let Some(open) = Hanging::from_producer(tp, writer, Some(id)) else { continue };
            if open.held_by(view).is_none() {
                found.insert((tp.clone(), (*id).clone(), open.producer_id, open.open_from));
            }
        }
    }
    found
}

/// Tells what hangs from what began after its coordinator was asked: asks the coordinators and then the leaders again.
/// What is open from the same offset on both sides of its coordinator's word hangs; of what changes faster than it can
/// be asked nothing is claimed.
async fn ask_again(
    cluster: &Cluster,
    described: &mut BTreeMap<String, Answer<Option<TransactionView>>>,
    writers: &mut BTreeMap<TopicPartition, Answer<Vec<ProducerView>>>,
) {
    let mut hanging = BTreeSet::new();
    for _ in 0..ASKED_AGAIN {
        let doubted: BTreeSet<SuspectTransaction> =
            find_suspects(described, writers).difference(&hanging).cloned().collect();
        if doubted.is_empty() {
            return;
        }
        let ids: BTreeSet<String> = doubted.iter().map(|(_, id, ..)| id.clone()).collect();
        described.extend(cluster.describe_transactions(&ids.into_iter().collect::<Vec<_>>()).await);
        let partitions: BTreeSet<TopicPartition> = doubted.iter().map(|(tp, ..)| tp.clone()).collect();
        writers.extend(cluster.describe_producers(&partitions.into_iter().collect::<Vec<_>>()).await);
        hanging.extend(find_suspects(described, writers).intersection(&doubted).cloned());
    }
    for (tp, ..) in find_suspects(described, writers).difference(&hanging) {
        let why = format!("{}: transactions on {tp} begin and end faster than they can be asked", cluster.side());
        writers.insert(tp.clone(), Answer::Unknown(Trouble::new(why, "the next look may tell")));
    }
}

/// A coordinator's word with the topics' names on blue.
fn with_blue_names(
    mut told: Answer<Option<TransactionView>>,
    inward: &impl Fn(&TopicPartition) -> TopicPartition,
) -> Answer<Option<TransactionView>> {
    if let Answer::Told(Some(view)) = &mut told {
        view.partitions.iter_mut().for_each(|tp| *tp = inward(tp));
    }
    told
}

async fn ask_ends(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, i64>, Trouble> {
    let asks: Vec<_> = partitions.iter().map(|tp| (tp.clone(), spec)).collect();
    let mut found = cluster.list_offsets(&asks).await;
    let end = |tp: &TopicPartition| {
        let silent = || Trouble::new(format!("{} did not say where {tp} ends", cluster.side()), "");
        let offset = found.remove(tp).ok_or_else(silent)??.ok_or_else(silent)?.0;
        Ok((tp.clone(), offset))
    };
    partitions.iter().map(end).collect()
}

/// The denials that keep its principal from writing with its ids of this side, as every broker enforces them; `None`
/// without a principal.
async fn ask_denials(cluster: &Cluster, of: &WatchedProducer) -> Option<Answer<Vec<Acl>>> {
    let acls = of.denials[cluster.side()].as_ref()?;
    Some(find_enforced(cluster, acls).await.map(|found| found.into_iter().collect()))
}

/// Which of these denials (of one principal) every broker enforces.
pub(in crate::controller) async fn find_enforced(cluster: &Cluster, acls: &BTreeSet<Acl>) -> Answer<BTreeSet<Acl>> {
    let filter = AclFilter {
        resource: Some(Resource::TransactionalId),
        principal: acls.first().map(|acl| acl.principal.clone()),
        operation: Some(Operation::Write),
        permission: Some(Permission::Deny),
        ..AclFilter::default()
    };
    let found = match cluster.describe_acls(&filter).await {
        Ok(found) => found,
        Err(why) => return Answer::Unknown(why),
    };
    // One broker that does not tell leaves all of it untold: enforced means by every one.
    match found.values().find(|a| a.as_told().is_none()) {
        Some(untold) => untold.clone().map(|_| BTreeSet::new()),
        None => Answer::Told(acls.iter().filter(|acl| in_force(&found, acl)).cloned().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;
    use crate::sim::{SimCluster, SimConfig};

    fn watched() -> WatchedProducer {
        WatchedProducer {
            name: "ledger".into(),
            topics: vec!["postings".into()],
            ids: Sides { blue: vec!["ledger-1".into()], green: vec!["ledger-psc-1".into()] },
            denials: Sides::default(),
        }
    }

    use crate::plan::Plan;

    fn plan(blue: &SimCluster, green: &SimCluster) -> Plan {
        Plan::from_bootstraps(&blue.bootstrap(), &green.bootstrap()).unwrap().plan
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_has_every_partition_or_fails() {
        let start = |side| SimCluster::start(SimConfig::new(side)).unwrap();
        let (blue, green) = (start(Side::Blue), start(Side::Green));
        let plan = plan(&blue, &green);
        let names = std::sync::Arc::new(TopicNames::new(&plan));
        let tools = crate::session::tools::Tools::new(&plan, std::sync::Arc::clone(&names));
        let none = look_at_producer(tools.cluster(Side::Blue), &names, &watched()).await.unwrap_err();
        assert!(none.what.contains("postings"), "{none:?}");
        blue.with_state(|s| s.create_topic("postings", 2, 3, &[], false)).unwrap();
        let seen = look_at_producer(tools.cluster(Side::Blue), &names, &watched()).await.unwrap();
        assert_eq!(seen.ends.len(), 2);
        assert!(seen.ends.values().all(|e| e.is_closed()), "{seen:?}");
        assert_eq!(seen.ids["ledger-1"], Answer::Told(None));
        assert_eq!(seen.ids["ledger-psc-1"], Answer::Told(None));
        assert_eq!(seen.denied, None);
        assert!(seen.writers.values().all(|w| w.as_told().is_some_and(Vec::is_empty)), "{seen:?}");
    }
}

//! Several groups at once: what they share is read once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;

use super::drive::Job;
use super::{
    Case, Purpose, Shapes, TOGETHER, TranslationProgressSink, Translator, TranslatorCore, Ways, committed_topics,
};
use crate::base::{Side, TopicPartition, Trouble};
use crate::offsets::Chosen;
use crate::offsets::verdict::{GroupTranslation, PartitionPlan, Verdict};

/// Groups whose offsets and topics are asked for at the same time.
const PREPARING: usize = 8;

/// A group to translate among others.
#[derive(Debug, Clone, Copy)]
pub struct WantedGroup<'a> {
    /// Its id on blue.
    pub group: &'a str,
    /// What the operator asked for; it goes over the plan's choice for the group, and that over the topics' rules.
    pub chosen: Option<&'a Chosen>,
    /// The topics that it reads, by blue's names. Empty: those that the plan lists, else those that it has committed.
    pub topics: &'a BTreeSet<String>,
}

impl Translator {
    /// Translates several groups to `to`, each as [`Self::translate`] does, in the order given. What several of them
    /// need of a partition is read once, and held once. One group's error does not stop the others.
    pub async fn translate_many(
        &self,
        groups: &[WantedGroup<'_>],
        to: Side,
        purpose: Purpose,
        progress: &TranslationProgressSink,
    ) -> Vec<Result<GroupTranslation, Trouble>> {
        let Ok(_place) = self.inner.turns(purpose).passes.acquire().await else {
            return groups.iter().map(|_| Err(Trouble::new("the controller is ending", ""))).collect();
        };
        let ways = Ways { source: to.other(), target: to };
        // A list, and not a lazy map over a borrow: the compiler can't tell that such a future may move threads.
        let mut cases = Vec::with_capacity(groups.len());
        for WantedGroup { group, chosen, topics } in groups {
            cases.push(self.inner.prepare_case(Case { group, ways, purpose, chosen: *chosen, topics }));
        }
        // In the order of the groups, which is that of the answers.
        let prepared: Vec<_> = futures_util::stream::iter(cases).buffered(PREPARING).collect().await;
        let mut results = GroupResults::default();
        let mut jobs = Vec::new();
        for prepared in prepared {
            jobs.extend(results.start_group(prepared));
        }
        for batch in batch_jobs(jobs) {
            self.inner.drive_jobs(ways, batch, &mut results, progress).await;
        }
        for (plans, failed) in &mut results.groups {
            plans.iter_mut().for_each(|plan| self.inner.doubt_unlike(ways, plan));
            // Keys and sizes are for people to look at: a plan is as good without them.
            if failed.is_none()
                && let Err(why) = self.inner.peek_records(ways, plans, false).await
            {
                tracing::debug!("the records at the cut: {}", why.what);
            }
        }
        results
            .groups
            .into_iter()
            .map(|(plans, failed)| {
                failed.map_or_else(
                    || Ok(GroupTranslation::new(plans).with_target_names(|topic| self.inner.names.topic_on(to, topic))),
                    Err,
                )
            })
            .collect()
    }

    /// How many records this translator has read from both clusters so far: what several groups share counts once.
    #[must_use]
    pub fn records_read(&self) -> u64 {
        self.inner.windows.iter().map(|(_, w)| w.records_read()).sum()
    }
}

impl TranslatorCore {
    /// What has to be translated of a group, and what can't be.
    async fn prepare_case(&self, case: Case<'_>) -> Result<(Vec<PartitionPlan>, Vec<Job>), Trouble> {
        let Case { group, ways, purpose, .. } = case;
        let planned = || self.plan.group(group).into_iter().flat_map(|g| g.topics.iter().cloned()).collect();
        let known: BTreeSet<String> = if case.topics.is_empty() { planned() } else { case.topics.clone() };
        let topics = match known.is_empty() {
            false => known,
            true => committed_topics(group, &self.fetch_committed(group, ways.source, &[], purpose).await?)?,
        };
        let (source, target) = tokio::join!(self.ask_shape(ways.source, &topics), self.ask_shape(ways.target, &topics));
        let shapes = Shapes { source: source?, target: target? };
        let named = self.partitions_on(ways.source, &topics, &shapes.source);
        // Asked again with every partition named: on one without a commit the first may lie in an open transaction.
        let committed = self.fetch_committed(group, ways.source, &named, purpose).await?;
        self.plan_jobs(case, &topics, &shapes, &committed).await
    }
}

impl TranslatorCore {
    /// Where records of a partition may be the same and look unlike, no figure about what is missing or read again stands.
    fn doubt_unlike(&self, ways: Ways, plan: &mut PartitionPlan) {
        let alike = plan.missing == Some(0) && plan.re_read == Some(0) && plan.target_only == 0;
        if alike || plan.verdict == Verdict::Unmappable {
            return;
        }
        let on = |side: Side| self.names.topic_on(side, &plan.tp.topic);
        let (source, target) = (on(ways.source), on(ways.target));
        if let Some(why) = self.identities.find_mixed([(ways.source, &source), (ways.target, &target)]) {
            *plan = PartitionPlan::unmappable(plan.tp.clone(), plan.strategy.clone(), why, plan.at);
        }
    }
}

/// What has come of each group so far: its partitions, or why there is nothing to say.
#[derive(Default)]
pub(super) struct GroupResults {
    groups: Vec<(Vec<PartitionPlan>, Option<Trouble>)>,
    total: usize,
}

impl GroupResults {
    /// The next group; its jobs are told whose they are.
    fn start_group(&mut self, prepared: Result<(Vec<PartitionPlan>, Vec<Job>), Trouble>) -> Vec<Job> {
        let owner = self.groups.len();
        match prepared {
            Ok((plans, mut jobs)) => {
                self.total += plans.len() + jobs.len();
                self.groups.push((plans, None));
                jobs.iter_mut().for_each(|job| job.owner = owner);
                jobs
            }
            Err(why) => {
                self.groups.push((Vec::new(), Some(why)));
                Vec::new()
            }
        }
    }

    pub fn add(&mut self, owner: usize, plan: PartitionPlan) {
        self.groups[owner].0.push(plan);
    }

    /// Nothing can be said of a group: the first reason counts.
    pub fn fail(&mut self, owner: usize, why: Trouble) {
        self.groups[owner].1.get_or_insert(why);
    }

    pub(crate) fn has_failed(&self, owner: usize) -> bool {
        self.groups[owner].1.is_some()
    }

    /// How far it is.
    pub(crate) fn describe_progress(&self) -> String {
        let done: usize = self.groups.iter().map(|(plans, _)| plans.len()).sum();
        format!("{done} of {} partitions translated", self.total)
    }
}

/// Jobs in batches whose costs add up to [`TOGETHER`] at most, or of one partition: that of the group which is furthest
/// behind counts for all groups on it.
fn batch_jobs(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut partitions: BTreeMap<TopicPartition, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        partitions.entry(job.tp.clone()).or_default().push(job);
    }
    let cost = |jobs: &[Job]| jobs.iter().map(|j| j.cost).max().unwrap_or(0);
    let mut partitions: Vec<Vec<Job>> = partitions.into_values().collect();
    // The small ones first: they fill batches together, and a huge one comes at the end with the room to itself.
    partitions.sort_by_key(|jobs| cost(jobs));
    let mut out: Vec<Vec<Job>> = Vec::new();
    let mut room = 0;
    for jobs in partitions {
        let cost = cost(&jobs);
        match out.last_mut() {
            Some(batch) if cost <= room => {
                batch.extend(jobs);
                room -= cost;
            }
            _ => {
                out.push(jobs);
                room = TOGETHER.saturating_sub(cost);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::{Params, Translation};

    fn job(partition: i32, cost: u64) -> Job {
        let tp = TopicPartition::new("t", partition);
        Job { owner: 0, cost, tp: tp.clone(), translation: Translation::new(Params::new(tp, None)) }
    }

    #[test]
    fn small_windows_go_together_and_huge_ones_alone() {
        let costs = [10, 20, TOGETHER - 30, 1, TOGETHER * 3, TOGETHER * 4];
        let jobs = (0..).zip(costs).map(|(p, cost)| job(p, cost));
        let sizes: Vec<_> = batch_jobs(jobs.collect()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 1, 1, 1]);
        assert!(batch_jobs(Vec::new()).is_empty());
    }

    #[test]
    fn groups_on_one_partition_go_together() {
        let jobs = vec![job(1, TOGETHER), job(2, 5), job(1, 7), job(1, TOGETHER), job(2, TOGETHER - 5)];
        let found: Vec<Vec<i32>> =
            batch_jobs(jobs).iter().map(|b| b.iter().map(|j| j.tp.partition).collect()).collect();
        assert_eq!(found, [vec![2, 2], vec![1, 1, 1]]);
    }

    #[test]
    fn one_groups_error_is_its_own() {
        let mut results = GroupResults::default();
        assert_eq!(results.start_group(Ok((Vec::new(), vec![job(0, 1)])))[0].owner, 0);
        assert!(results.start_group(Err(Trouble::new("no offsets", ""))).is_empty());
        assert_eq!(results.start_group(Ok((Vec::new(), vec![job(0, 1)])))[0].owner, 2);
        results.fail(0, Trouble::new("first", ""));
        results.fail(0, Trouble::new("second", ""));
        assert_eq!((results.has_failed(0), results.has_failed(1), results.has_failed(2)), (true, true, false));
        assert_eq!(results.groups[0].1.as_ref().map(|t| t.what.as_str()), Some("first"));
        assert_eq!(results.describe_progress(), "0 of 2 partitions translated");
    }
}

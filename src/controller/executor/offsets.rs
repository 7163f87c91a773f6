//! Commits on a group's behalf: only while it is Empty, every partition, leader epoch -1, and read back.

use std::collections::BTreeMap;

use crate::base::sanitise::visible_name;
use crate::base::{Side, TopicPartition, Trouble};
use crate::estate::{GroupState, GroupView};
use crate::jobs::translate::describe_partitions;
use crate::kafka::control::{ChangeOutcome as Sent, Cluster, StableOffsets};
use crate::migration::facts::effect::{EffectResult, Outcome};
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::tools::Tools;

/// How long offsets in an open transaction are waited for before a commit, and when it is read back, ms.
const STABLE_MS: u64 = 60_000;
/// Pause between two looks at them, ms.
const PAUSE_MS: u64 = 500;

/// Offsets by partition, under the names of the cluster they are on. `None` is no committed offset.
type OffsetsByPartition = BTreeMap<TopicPartition, Option<i64>>;

/// What commits carry besides the offset, under the same names, where that is not empty.
type MetadataByPartition = BTreeMap<TopicPartition, String>;

/// A commit, or the undoing of one, on one cluster.
pub(super) struct GroupOffsetChange<'a> {
    /// The cluster.
    cluster: &'a Cluster,
    /// Names of topics there.
    names: &'a TopicNames,
    /// The group's id there.
    group: &'a str,
    /// What shall stand, by blue's topic names; `None` deletes.
    target: Vec<(TopicPartition, Option<i64>)>,
    /// What must stand before, by blue's topic names; `None`: whatever it is.
    before: Option<Vec<(TopicPartition, Option<i64>)>>,
    /// What some of them carry besides the offset, by blue's topic names.
    metadata: Vec<(TopicPartition, String)>,
}

impl<'a> GroupOffsetChange<'a> {
    /// A change of a group's offsets (the group's id on that side; partitions by blue's topic names).
    pub fn new(
        tools: &'a Tools,
        side: Side,
        group: &'a str,
        target: Vec<(TopicPartition, Option<i64>)>,
        before: Option<Vec<(TopicPartition, Option<i64>)>>,
    ) -> Self {
        Self { cluster: tools.cluster(side), names: &tools.names, group, target, before, metadata: Vec::new() }
    }

    /// The same with what some of the commits carry besides their offset.
    pub fn with_metadata(self, metadata: Vec<(TopicPartition, String)>) -> Self {
        Self { metadata, ..self }
    }

    /// Carries it out.
    pub async fn run(&self) -> Outcome {
        let target = self.to_cluster_names(&self.target);
        // Nothing is sent so far: whatever is wrong here has changed nothing.
        if let Err(why) = self.check_before(&target).await {
            return Outcome::Failed { why };
        }
        // Whatever came of this is read back: an answer that was lost may stand for commits that were made.
        let sent = self.send(&target).await;
        let (found, has) = match self.read_stable(target.keys()).await {
            Ok(found) => found,
            Err(why) => return Outcome::Unknown { why: self.trouble_of_unread(&sent, &why) },
        };
        // The same offset may stand with other words: what the plan says is carried stands too, or it was not done.
        let carried = self.metadata_by_partition();
        let stands = |tp: &TopicPartition| carried.get(tp).is_none_or(|text| has.get(tp) == Some(text));
        let wrong: Vec<&TopicPartition> =
            target.iter().filter(|(tp, at)| found.get(*tp) != Some(*at) || !stands(tp)).map(|(tp, _)| tp).collect();
        match (wrong.is_empty(), sent) {
            // Asked again: a member that came meanwhile commits over it as soon as it likes.
            (true, _) => match self.check_empty().await {
                Ok(()) => Outcome::Done { result: EffectResult::Offsets { offsets: self.to_blue_names(&found) } },
                Err(why) => Outcome::Unknown { why },
            },
            (false, Err(SendFailure { why, nothing_sent: true })) => Outcome::Failed { why },
            (false, Err(SendFailure { why, .. })) => Outcome::Unknown { why },
            (false, Ok(())) => Outcome::Unknown {
                why: Trouble::new(
                    format!(
                        "{} offsets of {} on {} read back otherwise than committed: {}",
                        wrong.len(),
                        visible_name(self.group),
                        self.cluster.side(),
                        describe_partitions(&wrong.into_iter().cloned().collect::<Vec<_>>())
                    ),
                    "somebody else commits for this group: find and stop them, then continue",
                ),
            },
        }
    }

    fn to_cluster_names(&self, offsets: &[(TopicPartition, Option<i64>)]) -> OffsetsByPartition {
        let side = self.cluster.side();
        offsets.iter().map(|(tp, at)| (self.names.partition_on(side, tp), *at)).collect()
    }

    fn metadata_by_partition(&self) -> MetadataByPartition {
        let side = self.cluster.side();
        self.metadata.iter().map(|(tp, text)| (self.names.partition_on(side, tp), text.clone())).collect()
    }

    fn to_blue_names(&self, found: &OffsetsByPartition) -> Vec<(TopicPartition, Option<i64>)> {
        let side = self.cluster.side();
        found.iter().map(|(tp, at)| (self.names.partition_on_blue(side, tp), *at)).collect()
    }

    /// The group is Empty, and what stands is what was seen when the plan was made (or already what shall stand).
    async fn check_before(&self, target: &OffsetsByPartition) -> Result<(), Trouble> {
        self.check_empty().await?;
        let Some(before) = &self.before else { return Ok(()) };
        let before = self.to_cluster_names(before);
        let (found, _) = self.read_stable(before.keys()).await?;
        let moved = before.iter().find(|(tp, was)| {
            let now = found.get(*tp).copied().flatten();
            now != **was && Some(&now) != target.get(*tp)
        });
        match moved {
            None => Ok(()),
            Some((tp, was)) => {
                let word = |at: Option<i64>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
                let now = word(found.get(tp).copied().flatten());
                Err(Trouble::new(
                    format!(
                        "the committed offset of {} for {tp} on {} was {} and is {now} now: somebody else moved it",
                        visible_name(self.group),
                        self.cluster.side(),
                        word(*was)
                    ),
                    "find out who commits for this group there, then plan again: nothing was changed",
                ))
            }
        }
    }

    async fn check_empty(&self) -> Result<(), Trouble> {
        let view = self.cluster.fetch_group(self.group).await?;
        if view.members.is_empty() && matches!(view.state, GroupState::Empty | GroupState::Dead) {
            return Ok(());
        }
        Err(Trouble::new(
            format!(
                "group {} on {} is {}{}",
                visible_name(self.group),
                self.cluster.side(),
                view.state,
                describe_members(&view)
            ),
            "stop its members there: offsets can only be set while it is Empty",
        ))
    }

    async fn send(&self, target: &OffsetsByPartition) -> Result<(), SendFailure> {
        let commits: Vec<(TopicPartition, i64)> =
            target.iter().filter_map(|(tp, at)| at.map(|at| (tp.clone(), at))).collect();
        let deletes: Vec<TopicPartition> =
            target.iter().filter(|(_, at)| at.is_none()).map(|(tp, _)| tp.clone()).collect();
        let mut any_sent = false;
        // Before anything is deleted: where commits are refused, nothing is.
        if !commits.is_empty() {
            let answer = self.cluster.commit_offsets_with(self.group, &commits, &self.metadata_by_partition()).await;
            judge_answer(answer, &mut any_sent)?;
        }
        if !deletes.is_empty() {
            let answer = self.cluster.delete_offsets(self.group, &deletes).await;
            judge_answer(answer, &mut any_sent)?;
        }
        Ok(())
    }

    /// Committed offsets that no open transaction could still change, and what those commits carry.
    async fn read_stable<'p>(
        &self,
        partitions: impl Iterator<Item = &'p TopicPartition>,
    ) -> Result<(OffsetsByPartition, MetadataByPartition), Trouble> {
        let watch = Clock.stopwatch();
        let partitions: Vec<TopicPartition> = partitions.cloned().collect();
        let (found, carried) = loop {
            let (offsets, carried) = self.cluster.stable_commits(self.group, &partitions).await?;
            match offsets {
                // A broker before 2.5 can't be asked to leave out what
                // is pending (KIP-447): what it says is all there is.
                StableOffsets::Stable(found) | StableOffsets::Unasked(found, _) => break (found, carried),
                StableOffsets::Pending(open) if watch.elapsed_ms() < STABLE_MS => {
                    let (group, side) = (self.group, self.cluster.side());
                    tracing::info!(
                        "offsets of {group} on {side} wait for a transaction: {}",
                        describe_partitions(&open),
                        group = visible_name(group)
                    );
                    Clock.sleep(PAUSE_MS).await;
                }
                StableOffsets::Pending(open) => {
                    return Err(Trouble::new(
                        format!(
                            "a transaction with offsets of {} on {} is still open after {} s, for {}",
                            visible_name(self.group),
                            self.cluster.side(),
                            STABLE_MS / 1000,
                            describe_partitions(&open)
                        ),
                        "wait for it to end, or end it: kafka-transactions.sh find-hanging names its producer",
                    ));
                }
            }
        };
        let of = |tp: &TopicPartition| found.get(&tp.topic)?.get(&tp.partition).map(|c| c.offset);
        let text = |tp: &TopicPartition| carried.get(&tp.topic)?.get(&tp.partition).cloned();
        let carried = partitions.iter().filter_map(|tp| Some((tp.clone(), text(tp)?))).collect();
        Ok((partitions.into_iter().map(|tp| (tp.clone(), of(&tp))).collect(), carried))
    }

    fn trouble_of_unread(&self, sent: &Result<(), SendFailure>, why: &Trouble) -> Trouble {
        let first = sent.as_ref().err().map(|s| format!("{}; ", s.why.what)).unwrap_or_default();
        Trouble::new(
            format!(
                "{first}the offsets of {} on {} could not be read back: {}",
                visible_name(self.group),
                self.cluster.side(),
                why.what
            ),
            why.advice.clone(),
        )
    }
}

/// Why sending did not work, and whether it is sure that nothing took effect.
struct SendFailure {
    why: Trouble,
    nothing_sent: bool,
}

fn judge_answer(
    answer: Result<BTreeMap<TopicPartition, Sent>, Trouble>,
    any_sent: &mut bool,
) -> Result<(), SendFailure> {
    let outcomes = answer.map_err(|why| {
        tracing::warn!(any_sent = *any_sent, why = %why.what, "offsets were not sent");
        SendFailure { why, nothing_sent: !*any_sent }
    })?;
    let done = outcomes.values().any(Sent::is_done);
    let unknown = outcomes.values().any(|o| matches!(o, Sent::Unknown(_)));
    *any_sent |= done || unknown;
    match outcomes.values().find_map(Sent::trouble) {
        None => Ok(()),
        Some(why) => {
            tracing::warn!(any_sent = *any_sent, unknown, why = %why.what, "offsets were not all taken");
            Err(SendFailure { why: why.clone(), nothing_sent: !*any_sent })
        }
    }
}

/// ` with 2 members (loan-audit-1 at /10.0.0.7)`.
pub(super) fn describe_members(view: &GroupView) -> String {
    match view.members.as_slice() {
        [] => String::new(),
        members => {
            let names: Vec<String> = members
                .iter()
                .take(3)
                .map(|m| format!("{} at {}", visible_name(&m.client_id), visible_name(&m.host)))
                .collect();
            format!(" with {} members ({})", members.len(), names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::sim::state::{Commit, ConnectionCut, Faults};
    use crate::sim::{SimCluster, SimConfig};
    use std::sync::Arc;

    const OFFSET_COMMIT: i16 = 8;

    fn world() -> (SimCluster, SimCluster, Tools) {
        let start = |side| SimCluster::start(SimConfig::new(side)).unwrap();
        let (blue, green) = (start(Side::Blue), start(Side::Green));
        green.with_state(|s| s.create_topic("t", 2, 3, &[], false)).unwrap();
        let plan = Plan::from_bootstraps(&blue.bootstrap(), &green.bootstrap()).unwrap().plan;
        let names = Arc::new(TopicNames::new(&plan));
        (blue, green, Tools::new(&plan, names))
    }

    fn at(offsets: [Option<i64>; 2]) -> Vec<(TopicPartition, Option<i64>)> {
        (0..2).zip(offsets).map(|(p, at)| (TopicPartition::new("t", p), at)).collect()
    }

    async fn change(tools: &Tools, target: [Option<i64>; 2], before: Option<[Option<i64>; 2]>) -> Outcome {
        GroupOffsetChange::new(tools, Side::Green, "g", at(target), before.map(at)).run().await
    }

    fn is_done(outcome: &Outcome, offsets: [Option<i64>; 2]) -> bool {
        *outcome == Outcome::Done { result: EffectResult::Offsets { offsets: at(offsets) } }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_partition_is_committed_read_back_and_put_back() {
        let (_blue, green, tools) = world();
        let none = [None, None];
        let done = change(&tools, [Some(7), Some(0)], Some(none)).await;
        assert!(is_done(&done, [Some(7), Some(0)]), "{done:?}");
        green.with_state(|s| {
            assert_eq!(s.fetch_offset("g", "t", 0, true).offset, 7);
            assert_eq!(s.fetch_offset("g", "t", 0, true).leader_epoch, -1);
        });
        // once more, as after an unknown outcome: what stands already is no stranger's
        let again = change(&tools, [Some(7), Some(0)], Some(none)).await;
        assert!(is_done(&again, [Some(7), Some(0)]), "{again:?}");
        let restored = change(&tools, none, None).await;
        assert!(is_done(&restored, none), "{restored:?}");
        green.with_state(|s| assert_eq!(s.fetch_offset("g", "t", 0, true).offset, -1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_somebody_else_committed_since_is_not_overwritten() {
        let (_blue, green, tools) = world();
        assert!(is_done(&change(&tools, [Some(5), Some(5)], None).await, [Some(5), Some(5)]));
        let Outcome::Failed { why } = change(&tools, [Some(9), Some(9)], Some([Some(5), Some(4)])).await else {
            panic!("it overwrote")
        };
        assert!(why.what.contains("t-1 on green was 4 and is 5 now"), "{why:?}");
        green.with_state(|s| assert_eq!(s.fetch_offset("g", "t", 0, true).offset, 5));
    }

    /// What each commit carries on green.
    fn texts(green: &SimCluster) -> [String; 2] {
        green.with_state(|s| [0, 1].map(|p| s.fetch_offset("g", "t", p, true).metadata))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_same_offset_with_other_words_is_not_what_was_committed() {
        let (_blue, green, tools) = world();
        let commit = || {
            let words = vec![(TopicPartition::new("t", 0), "done: 9, 11".to_owned())];
            let offsets = [Some(7), Some(3)];
            GroupOffsetChange::new(&tools, Side::Green, "g", at(offsets), Some(at(offsets))).with_metadata(words)
        };
        green.with_state(|s| {
            for (p, offset) in [(0, 7), (1, 3)] {
                let other = Commit { offset, leader_epoch: -1, metadata: "another's".into(), at: 0 };
                s.commit_offset("g", "t", p, other).unwrap();
            }
            s.faults.cut_next(OFFSET_COMMIT, 100, ConnectionCut::BeforeEffect);
        });
        let cut = commit().run().await;
        assert!(matches!(cut, Outcome::Unknown { .. }), "the offsets stand, what they carry does not: {cut:?}");
        assert_eq!(texts(&green), ["another's", "another's"]);
        green.with_state(|s| s.faults = Faults::default());
        let done = commit().run().await;
        assert!(is_done(&done, [Some(7), Some(3)]), "{done:?}");
        assert_eq!(texts(&green), ["done: 9, 11", ""]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_coordinators_also_give_after_the_append_is_unknown() {
        use crate::sim::state::ResponseError as E;
        let (_blue, green, tools) = world();
        let fail = |times, error| green.with_state(|s| s.faults.fail_commit = Some((times, error)));
        fail(100, E::CoordinatorNotAvailable);
        let Outcome::Unknown { why } = change(&tools, [Some(9), Some(9)], Some([None, None])).await else {
            panic!("the commit may still appear")
        };
        assert!(why.what.contains("it may have taken effect all the same"), "{why:?}");
        fail(100, E::CoordinatorLoadInProgress);
        let refused = change(&tools, [Some(9), Some(9)], Some([None, None])).await;
        assert!(matches!(refused, Outcome::Failed { .. }), "that comes before the log: {refused:?}");
        fail(1, E::NotCoordinator);
        let done = change(&tools, [Some(9), Some(9)], Some([None, None])).await;
        assert!(is_done(&done, [Some(9), Some(9)]), "a later try settles it: {done:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unreachable_cluster_is_failed_before_and_never_unknown() {
        let (_blue, green, tools) = world();
        drop(green);
        let Outcome::Failed { why } = change(&tools, [Some(9), Some(9)], Some([None, None])).await else { panic!() };
        assert!(!why.advice.is_empty(), "{why:?}");
    }
}

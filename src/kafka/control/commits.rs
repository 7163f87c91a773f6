//! What is changed on a group from outside: offsets committed and deleted, groups deleted.
//!
//! A change that was sent and not answered is never sent again: it comes back as [`ChangeOutcome::Unknown`]. One that was
//! turned away is sent again; where the broker may have written it all the same, no later refusal makes that `Refused`.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{DeleteGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::ChangeOutcome;
use super::connection::Connection;
use super::failure::{Class, Doubts, Failure, RetryLog, check_code};
use super::group_requests::group_id;
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, KeyType, Router, back_off};
use crate::base::sanitise::visible_name;
use crate::base::{TopicPartition, Trouble};
use crate::estate::{GroupKind, GroupState};

/// Partitions in one OffsetCommit: the broker writes them as one batch, which must stay below `message.max.bytes`
/// (1 MB by default) even with the longest names.
const PARTITIONS_PER_COMMIT: usize = 1_000;

impl Cluster {
    /// Commits offsets for a group that has no members (Empty, or not known yet): leader epoch -1, as an administrator.
    /// Looks first, and refuses share, streams and Connect groups and groups with members, before anything is sent; the
    /// broker itself refuses a group that comes alive in between. Each partition has its outcome.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<BTreeMap<TopicPartition, ChangeOutcome>, Trouble> {
        self.commit_offsets_with(group, offsets, &BTreeMap::new()).await
    }

    /// The same with what some of the commits carry besides their offset.
    pub(crate) async fn commit_offsets_with(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
        metadata: &BTreeMap<TopicPartition, String>,
    ) -> Result<BTreeMap<TopicPartition, ChangeOutcome>, Trouble> {
        if let Some((tp, offset)) = offsets.iter().find(|(_, o)| *o < 0) {
            let what = format!("{}: {offset} is not an offset", tp);
            return Err(Trouble::new(what, "this is a fault of cutover: please report it"));
        }
        self.inner.must_be_idle(group).await?;
        Ok(self.inner.commit_on_coordinator(group, offsets, metadata).await)
    }

    /// Deletes committed offsets of a group (OffsetDelete, KIP-496, Kafka 2.4), so that it is as if it had never
    /// committed them. The group must not be subscribed to the topics.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, ChangeOutcome>, Trouble> {
        // Not Empty: members may stay while they read other topics; of these ones the broker refuses it (KIP-496).
        self.inner.must_be_movable(group).await?;
        Ok(self.inner.delete_offsets(group, partitions).await)
    }

    /// Deletes groups with all their offsets. One that has members, or does not exist, is `Refused`.
    pub async fn delete_groups(&self, groups: &[String]) -> BTreeMap<String, ChangeOutcome> {
        self.inner.delete_groups(groups).await
    }
}

/// What is done with offsets. A value and not an async closure: those make futures that are not known to be `Send`.
enum OffsetChange {
    Commit(BTreeMap<TopicPartition, (i64, String)>),
    Delete,
}

impl OffsetChange {
    /// The request, for the log.
    fn api(&self) -> &'static str {
        match self {
            OffsetChange::Commit(_) => "OffsetCommit",
            OffsetChange::Delete => "OffsetDelete",
        }
    }

    async fn send(
        &self,
        connection: &Connection,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Vec<(TopicPartition, Result<(), Failure>)> {
        let OffsetChange::Commit(wanted) = self else { return delete_some(connection, group, partitions).await };
        let some: Vec<_> = partitions.iter().filter_map(|tp| Some((tp.clone(), wanted.get(tp)?.clone()))).collect();
        // Pipelined: a group of some thousand partitions costs one round trip.
        let asked: Vec<_> = some.chunks(PARTITIONS_PER_COMMIT).map(|c| commit_some(connection, group, c)).collect();
        join_all(asked).await.into_iter().flatten().collect()
    }
}

impl Router {
    async fn must_be_movable(&self, id: &str) -> Result<GroupState, Failure> {
        // Without offsets: asked before anything is written, it must not fail over a partition that can't be read.
        let group = self.fetch_group(id, false).await?;
        let refuse = |what: &str, advice: &str| {
            let what = format!("group `{}` on {} {what}", visible_name(id), self.side());
            Err(Failure::new(Class::Final, what, advice))
        };
        match group.kind {
            GroupKind::Classic | GroupKind::Consumer => Ok(group.state),
            GroupKind::Share => {
                refuse("is a share group", "share groups have no committed offsets that could be moved")
            }
            GroupKind::Streams => refuse(
                "is a streams group (KIP-1071)",
                "move it with Kafka Streams' own tools; cutover does not touch it",
            ),
            GroupKind::Other => refuse(
                &format!("is used with protocol `{}`, not by consumers", visible_name(&group.protocol_type)),
                "groups of Kafka Connect workers and the like are not moved by their offsets",
            ),
        }
    }

    async fn must_be_idle(&self, id: &str) -> Result<(), Failure> {
        match self.must_be_movable(id).await? {
            GroupState::Empty | GroupState::Dead => Ok(()),
            state => Err(Failure::new(
                Class::Final,
                format!("group `{}` on {} is {state}, not Empty", visible_name(id), self.side()),
                "stop every member first; static members leave only when their session times out",
            )),
        }
    }

    async fn commit_on_coordinator(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
        metadata: &BTreeMap<TopicPartition, String>,
    ) -> BTreeMap<TopicPartition, ChangeOutcome> {
        let of = |tp: &TopicPartition| metadata.get(tp).cloned().unwrap_or_default();
        // One entry a partition: which of two in one request Kafka keeps is for nobody to guess.
        let wanted: BTreeMap<_, _> = offsets.iter().map(|(tp, at)| (tp.clone(), (*at, of(tp)))).collect();
        self.change_on_coordinator(group, wanted.keys().cloned().collect(), &OffsetChange::Commit(wanted)).await
    }

    async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> BTreeMap<TopicPartition, ChangeOutcome> {
        self.change_on_coordinator(group, partitions.to_vec(), &OffsetChange::Delete).await
    }

    /// Sends a change about partitions of a group to its coordinator, and what was turned away again.
    async fn change_on_coordinator(
        &self,
        group: &str,
        partitions: Vec<TopicPartition>,
        change: &OffsetChange,
    ) -> BTreeMap<TopicPartition, ChangeOutcome> {
        let ids = [group.to_owned()];
        let mut pending = partitions;
        let (mut done, mut doubts) = (BTreeMap::new(), Doubts::new());
        // By topic: a request names each topic once.
        pending.sort_unstable();
        pending.dedup();
        for attempt in 0..ATTEMPTS {
            let missing = || Err(Failure::new(Class::Retry, "no coordinator", ""));
            // Once: this loop asks again, and both together would wait eight times as long.
            let node =
                self.find_coordinators_within(KeyType::Group, &ids, 1).await.remove(group).unwrap_or_else(missing);
            let connection = match node {
                Ok(node) => self.connect_node(node).await,
                Err(failure) => Err(failure),
            }
            .map_err(Failure::before_change);
            let answers = match connection {
                Ok(connection) => change.send(&connection, group, &pending).await,
                Err(failure) => pending.iter().map(|tp| (tp.clone(), Err(failure.clone()))).collect(),
            };
            let (mut again, mut log) = (Vec::new(), RetryLog::new(self.side(), change.api()));
            for (tp, result) in answers {
                let result = doubts.judge(&tp, result);
                let retry = match &result {
                    Err(f) if f.class == Class::Retry => attempt + 1 < ATTEMPTS,
                    // Never when the answer was lost: it may have taken effect, and others may have committed since.
                    Err(f) if f.class == Class::Unreachable => attempt + 1 < CONNECT_ATTEMPTS,
                    _ => false,
                };
                if retry {
                    log.note(&result);
                    again.push(tp);
                } else {
                    done.insert(tp, ChangeOutcome::from(result));
                }
            }
            log.tell(attempt + 1);
            if again.is_empty() {
                break;
            }
            pending = again;
            // Whatever the refusal was: asking who coordinates costs little beside a round at the wrong broker.
            self.forget_coordinator(KeyType::Group, group);
            back_off(attempt).await;
        }
        done
    }

    async fn delete_groups(&self, groups: &[String]) -> BTreeMap<String, ChangeOutcome> {
        let mut pending = groups.to_vec();
        let (mut done, mut doubts) = (BTreeMap::new(), Doubts::new());
        for attempt in 0..ATTEMPTS {
            let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
            let mut answers: Vec<(String, Result<(), Failure>)> = Vec::new();
            // Once: this loop asks again.
            for (id, found) in self.find_coordinators_within(KeyType::Group, &pending, 1).await {
                match found {
                    Ok(node) => by_node.entry(node).or_default().push(id),
                    Err(failure) => answers.push((id, Err(failure.before_change()))),
                }
            }
            let asked = by_node.into_iter().map(|(node, ids)| async move {
                match self.connect_node(node).await {
                    Ok(connection) => delete_groups(&connection, &ids).await,
                    Err(f) => ids.into_iter().map(|id| (id, Err(f.clone().before_change()))).collect(),
                }
            });
            answers.extend(join_all(asked).await.into_iter().flatten());
            let (mut again, mut log) = (Vec::new(), RetryLog::new(self.side(), "DeleteGroups"));
            for (id, result) in answers {
                let result = doubts.judge(&id, result);
                let retry = result.as_ref().is_err_and(|f| match f.class {
                    Class::Retry => attempt + 1 < ATTEMPTS,
                    Class::Unreachable => attempt + 1 < CONNECT_ATTEMPTS,
                    Class::Lost | Class::Final => false,
                });
                // Of a deleted group too: it has no coordinator any more.
                self.forget_coordinator(KeyType::Group, &id);
                if retry {
                    log.note(&result);
                    again.push(id);
                } else {
                    done.insert(id, ChangeOutcome::from(result));
                }
            }
            log.tell(attempt + 1);
            if again.is_empty() {
                break;
            }
            pending = again;
            back_off(attempt).await;
        }
        done
    }
}

async fn commit_some(
    connection: &Connection,
    group: &str,
    offsets: &[(TopicPartition, (i64, String))],
) -> Vec<(TopicPartition, Result<(), Failure>)> {
    let sent = async {
        let version = connection.need_version::<OffsetCommitRequest>("0.9 or later")?;
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for (tp, (offset, metadata)) in offsets {
            // The default leader epoch is -1: none. One from the other cluster would mean nothing here.
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(tp.partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::from_string(metadata.clone())));
            push_partition(
                &mut topics,
                &tp.topic,
                |t| t.name.as_str(),
                |t| t.partitions.push(partition),
                |name| OffsetCommitRequestTopic::default().with_name(name),
            );
        }
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            // -1 without a member: an administrator's commit, which is taken only of a group that has no members.
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics);
        connection.call(version, &request).await
    };
    let partitions: Vec<_> = offsets.iter().map(|(tp, _)| tp.clone()).collect();
    match sent.await {
        Ok(answer) => {
            let codes = answer.topics.into_iter().flat_map(|t| {
                let name = t.name.to_string();
                t.partitions
                    .into_iter()
                    .map(move |p| (TopicPartition::new(name.as_str(), p.partition_index), p.error_code))
            });
            let subject = format!("commit of group `{}` for", visible_name(group));
            pair_results(connection, &subject, &partitions, codes.collect())
        }
        Err(failure) => partitions.into_iter().map(|tp| (tp, Err(failure.clone()))).collect(),
    }
}

async fn delete_some(
    connection: &Connection,
    group: &str,
    partitions: &[TopicPartition],
) -> Vec<(TopicPartition, Result<(), Failure>)> {
    let sent = async {
        let version = connection.need_version::<OffsetDeleteRequest>("2.4 or later")?;
        let mut topics: Vec<OffsetDeleteRequestTopic> = Vec::new();
        for tp in partitions {
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(tp.partition);
            push_partition(
                &mut topics,
                &tp.topic,
                |t| t.name.as_str(),
                |t| t.partitions.push(partition),
                |name| OffsetDeleteRequestTopic::default().with_name(name),
            );
        }
        let request = OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(topics);
        let answer = connection.call(version, &request).await?;
        // A refusal of the group as a whole has no partitions in its answer, which would look as if they were left out.
        check_code(answer.error_code, format_args!("offsets of group `{}`", visible_name(group)), connection.label())
            .map_err(Failure::of_change)?;
        Ok::<_, Failure>(answer)
    };
    match sent.await {
        Ok(answer) => {
            let codes = answer.topics.into_iter().flat_map(|t| {
                let name = t.name.to_string();
                t.partitions
                    .into_iter()
                    .map(move |p| (TopicPartition::new(name.as_str(), p.partition_index), p.error_code))
            });
            let subject = format!("deletion of the offset of group `{}` for", visible_name(group));
            pair_results(connection, &subject, partitions, codes.collect())
        }
        Err(failure) => partitions.iter().map(|tp| (tp.clone(), Err(failure.clone()))).collect(),
    }
}

async fn delete_groups(connection: &Connection, ids: &[String]) -> Vec<(String, Result<(), Failure>)> {
    let sent = async {
        let version = connection.need_version::<DeleteGroupsRequest>("1.1 or later")?;
        let request = DeleteGroupsRequest::default().with_groups_names(ids.iter().map(|i| group_id(i)).collect());
        connection.call(version, &request).await
    };
    match sent.await {
        Ok(answer) => {
            let mut codes: HashMap<String, i16> =
                answer.results.into_iter().map(|r| (r.group_id.to_string(), r.error_code)).collect();
            let mut result = |id: &String| {
                let subject = format!("group `{}`", visible_name(id));
                match codes.remove(id) {
                    Some(code) => check_code(code, subject, connection.label()).map_err(Failure::of_change),
                    None => Err(left_out_failure(connection, &subject)),
                }
            };
            ids.iter().map(|id| (id.clone(), result(id))).collect()
        }
        Err(failure) => ids.iter().map(|id| (id.clone(), Err(failure.clone()))).collect(),
    }
}

/// One result for every partition that was sent, whatever came back. `subject` is fit to be shown.
fn pair_results(
    connection: &Connection,
    subject: &str,
    sent: &[TopicPartition],
    codes: HashMap<TopicPartition, i16>,
) -> Vec<(TopicPartition, Result<(), Failure>)> {
    let result = |tp: &TopicPartition| {
        let subject = format!("{subject} {}", tp);
        match codes.get(tp) {
            Some(code) => check_code(*code, subject, connection.label()).map_err(Failure::of_change),
            None => Err(left_out_failure(connection, &subject)),
        }
    };
    sent.iter().map(|tp| (tp.clone(), result(tp))).collect()
}

fn left_out_failure(connection: &Connection, subject: &str) -> Failure {
    let what = format!("{subject}: {} left it out of its answer", connection.label());
    // Lost, not refused: a partition that is missing from the answer to a change may have been changed.
    Failure::new(Class::Lost, what, "look at what is committed before going on")
}

/// Adds a partition to the last topic if it is the same, else to a new one.
fn push_partition<T>(
    topics: &mut Vec<T>,
    topic: &str,
    name: impl Fn(&T) -> &str,
    add: impl FnOnce(&mut T),
    new: impl FnOnce(TopicName) -> T,
) {
    if topics.last().is_none_or(|t| name(t) != topic) {
        topics.push(new(TopicName(StrBytes::from_string(topic.to_owned()))));
    }
    if let Some(last) = topics.last_mut() {
        add(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;
    use crate::kafka::properties::ClientProperties;
    use crate::sim::state::ConnectionCut;
    use crate::sim::{SimCluster, SimConfig};

    const FIND_COORDINATOR: i16 = 10;

    fn world() -> (SimCluster, Cluster) {
        let sim = SimCluster::start(SimConfig::new(Side::Green)).unwrap();
        let cluster = Cluster::new(Side::Green, &sim.bootstrap(), &ClientProperties::default());
        (sim, cluster)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_coordinator_is_looked_up_as_often_as_the_bound_says() {
        let (sim, cluster) = world();
        let group = ["g".to_owned()];
        sim.with_state(|s| s.faults.no_coordinator = 1_000);
        let partition = [TopicPartition::new("t", 0)];
        let (told, ..) = tokio::join!(
            cluster.delete_groups(&group),
            cluster.inner.delete_offsets("g", &partition),
            cluster.group_operations(&group),
            cluster.fence("id"),
        );
        assert!(matches!(told["g"], ChangeOutcome::Refused(_)), "nothing was sent: {told:?}");
        assert_eq!(1_000 - sim.with_state(|s| s.faults.no_coordinator), 4 * ATTEMPTS);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lookup_whose_answer_is_lost_leaves_the_change_unsent() {
        let (sim, cluster) = world();
        sim.with_state(|s| s.faults.cut_next(FIND_COORDINATOR, 100, ConnectionCut::BeforeEffect));
        let told = cluster.delete_groups(&["g".to_owned()]).await;
        assert!(matches!(told["g"], ChangeOutcome::Refused(_)), "{told:?}");
    }
}

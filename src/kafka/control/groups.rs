//! Consumer groups: what they are, who is in them, what they committed; and the commits made on their behalf.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, ListGroupsRequest, OffsetFetchRequest};

use super::failure::{Class, Failure, RetryLog, log_retry};
use super::group_requests::{
    Described, Fetched, GroupAnswers, apply_description, describe_classic, describe_consumer, fetch_named,
    fetch_offsets, list_groups, unanswered_group,
};
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, KeyType, Router, back_off};
use crate::base::{TopicPartition, Trouble};
use crate::estate::{Committed, GroupKind, GroupState, GroupView};

/// A group's committed offsets when only final ones are wanted (KIP-447).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StableOffsets {
    /// None is part of an open transaction.
    Stable(BTreeMap<String, BTreeMap<i32, Committed>>),
    /// These partitions have offsets in a transaction that is still open: ask again when it has ended.
    Pending(Vec<TopicPartition>),
    /// The broker can't be asked (before Kafka 2.5): offsets in open transactions are invisible.
    Unasked(BTreeMap<String, BTreeMap<i32, Committed>>, Trouble),
}

/// What commits carry besides their offsets, by topic and partition, where that is not empty.
pub(crate) type MetadataByTopic = BTreeMap<String, BTreeMap<i32, String>>;

impl Cluster {
    /// One group: kind, state, members and committed offsets. A group that nobody knows is `Dead`, without offsets.
    /// Errors: no coordinator within bounds, no permission.
    pub async fn fetch_group(&self, id: &str) -> Result<GroupView, Trouble> {
        Ok(self.inner.fetch_group(id, true).await?)
    }

    /// A group's committed offsets, none of which an open transaction could still change. `partitions` are those that
    /// matter besides the ones already committed: brokers say of a first commit that is pending only when asked for it
    /// by name.
    pub async fn stable_offsets(&self, id: &str, partitions: &[TopicPartition]) -> Result<StableOffsets, Trouble> {
        Ok(self.inner.stable_offsets(id, partitions).await?.0)
    }

    /// The same with what those commits carry besides their offsets.
    pub(crate) async fn stable_commits(
        &self,
        id: &str,
        partitions: &[TopicPartition],
    ) -> Result<(StableOffsets, MetadataByTopic), Trouble> {
        Ok(self.inner.stable_offsets(id, partitions).await?)
    }
}

impl Router {
    /// State, kind and members of a group from its coordinator, and its offsets if asked for, in one flight.
    pub async fn fetch_group(&self, id: &str, offsets: bool) -> Result<GroupView, Failure> {
        let ids = [id.to_owned()];
        let mut attempt = 0;
        loop {
            let coordinator = self.find_coordinators(KeyType::Group, &ids).await.remove(id);
            let asked = match coordinator.unwrap_or_else(|| Err(unanswered_group(id))) {
                Ok(node) => self.group_on(node, &ids, offsets).await,
                Err(failure) => return Err(failure),
            };
            let failure = match asked {
                Ok(view) => return Ok(view),
                Err(failure) => failure,
            };
            // A broker that is away takes its connection's whole time limit at each attempt, one that refuses none.
            let most = if failure.class == Class::Retry { ATTEMPTS } else { CONNECT_ATTEMPTS };
            attempt += 1;
            if !failure.is_passing() || attempt >= most {
                return Err(failure);
            }
            log_retry(self.side(), "DescribeGroups", attempt, &failure);
            self.forget_coordinator(KeyType::Group, id);
            back_off(attempt).await;
        }
    }

    async fn group_on(&self, node: i32, ids: &[String; 1], offsets: bool) -> Result<GroupView, Failure> {
        let connection = self.connect_node(node).await?;
        let id = &ids[0];
        // The list alone tells share and streams groups apart (v5, KIP-848). Only those are asked for: as a rule, none.
        let typed = connection.common_version::<ListGroupsRequest>().is_some_and(|v| v >= 5);
        let consumer = connection.common_version::<ConsumerGroupDescribeRequest>().is_some();
        // One flight for what may not all be needed: a look before a commit costs a round trip, whatever the group is.
        let (listed, classic, modern, fetched) = tokio::join!(
            ask_if(typed, list_groups(&connection, &["share", "streams"])),
            describe_classic(&connection, ids),
            ask_if(consumer, describe_consumer(&connection, ids)),
            ask_if(offsets, fetch_offsets(&connection, ids, false)),
        );
        let listed = match listed {
            Some(list) => list?.into_iter().find(|l| l.id == *id),
            None => None,
        };
        let only = |answer: Option<GroupAnswers<Described>>| {
            answer.map(|a| a.and_then(|mut all| all.remove(id).unwrap_or_else(|| Err(unanswered_group(id)))))
        };
        let mut view = GroupView { coordinator: node, ..GroupView::default() };
        if let Some(listed) = listed {
            (view.kind, view.protocol_type) = (listed.kind, listed.protocol_type);
            view.state = listed.state.unwrap_or_default();
        }
        let described = match (view.kind, only(Some(classic)), only(modern)) {
            (GroupKind::Share | GroupKind::Streams, _, _) => None,
            // A KIP-848 group: the classic answer is "Dead" or "not found".
            (_, classic, Some(Ok(modern))) if is_absent(classic.as_ref()) => Some((GroupKind::Consumer, Ok(modern))),
            (kind, classic, _) => classic.map(|c| (kind, c)),
        };
        match described {
            Some((kind, Ok(described))) => {
                view.kind = kind;
                apply_description(&mut view, described);
            }
            // Since DescribeGroups v6 (KIP-1043) a group that is not there is this error, and not described as Dead.
            Some((_, Err(f))) if f.error == Some(ResponseError::GroupIdNotFound) => view.state = GroupState::Dead,
            Some((_, Err(f))) => return Err(f),
            None => {}
        }
        if let Some(answer) = fetched {
            let fetched = answer?.remove(id).unwrap_or_else(|| Err(unanswered_group(id)));
            match fetched {
                Ok(fetched) => {
                    (view.offsets, view.metadata) = (fetched.offsets, fetched.metadata);
                    view.trouble = view.trouble.take().or(fetched.trouble);
                }
                // The coordinator moved between the answers of one flight: all of them are asked of the new one.
                Err(f) if f.class == Class::Retry => return Err(f),
                // A share group commits no offsets, and of one that is gone the refusal says no more than that.
                Err(_) if matches!(view.kind, GroupKind::Share) || view.state == GroupState::Dead => {}
                // State and members are known all the same: only the offsets are not, and that is said.
                Err(f) => view.trouble = Some(f.into()),
            }
        }
        Ok(view)
    }

    async fn stable_offsets(
        &self,
        id: &str,
        partitions: &[TopicPartition],
    ) -> Result<(StableOffsets, MetadataByTopic), Failure> {
        let ids = [id.to_owned()];
        let mut attempt = 0;
        loop {
            let node = self
                .find_coordinators(KeyType::Group, &ids)
                .await
                .remove(id)
                .unwrap_or_else(|| Err(unanswered_group(id)))?;
            let failure = match self.stable_on(node, &ids, partitions).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            attempt += 1;
            if !failure.is_passing()
                || attempt >= if failure.class == Class::Retry { ATTEMPTS } else { CONNECT_ATTEMPTS }
            {
                return Err(failure);
            }
            log_retry(self.side(), "OffsetFetch", attempt, &failure);
            self.forget_coordinator(KeyType::Group, id);
            back_off(attempt).await;
        }
    }

    async fn stable_on(
        &self,
        node: i32,
        ids: &[String; 1],
        partitions: &[TopicPartition],
    ) -> Result<(StableOffsets, MetadataByTopic), Failure> {
        let connection = self.connect_node(node).await?;
        let id = &ids[0];
        let version = connection.need_version::<OffsetFetchRequest>("0.10.2 or later")?;
        let stable = version >= 7;
        // Both: asked for all, brokers leave out a first commit that is pending; by name, what else is committed.
        let (all, named) = tokio::join!(
            fetch_offsets(&connection, ids, stable),
            ask_if(!partitions.is_empty(), fetch_named(&connection, version, id, partitions, stable)),
        );
        let mut fetched = all?.remove(id).unwrap_or_else(|| Err(unanswered_group(id)))?;
        if let Some(named) = named {
            fetched.overlay_named(named?);
        }
        // One partition that can't be read is enough: nobody may commit over a set of offsets that is not whole.
        if let Some(trouble) = fetched.trouble {
            return Err(Failure::with_trouble(Class::Final, trouble));
        }
        // Both answers name a partition that is pending.
        fetched.pending.sort_unstable();
        fetched.pending.dedup();
        let offsets = match stable {
            // First: offsets that may still change are not stable, however many of the others are.
            _ if !fetched.pending.is_empty() => StableOffsets::Pending(fetched.pending),
            true => StableOffsets::Stable(fetched.offsets),
            false => StableOffsets::Unasked(fetched.offsets, no_stable(connection.label())),
        };
        Ok((offsets, fetched.metadata))
    }

    /// Committed offsets of groups, wherever they are coordinated.
    pub(crate) async fn offsets_of(&self, ids: &[String], attempts: u32) -> HashMap<String, Result<Fetched, Failure>> {
        let mut pending = ids.to_vec();
        let mut done = HashMap::new();
        for attempt in 0..attempts {
            let (mut again, mut log) = (Vec::new(), RetryLog::new(self.side(), "OffsetFetch"));
            for (id, result) in self.ask_coordinators(&pending).await {
                let retry = match &result {
                    Err(f) if f.class == Class::Retry => attempt + 1 < attempts,
                    // Reading offsets may be repeated: a lost answer took nothing with it.
                    Err(f) if f.is_passing() => attempt + 1 < attempts.min(CONNECT_ATTEMPTS),
                    _ => false,
                };
                if retry {
                    log.note(&result);
                    self.forget_coordinator(KeyType::Group, &id);
                    again.push(id);
                } else {
                    done.insert(id, result);
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

    async fn ask_coordinators(&self, ids: &[String]) -> Vec<(String, Result<Fetched, Failure>)> {
        let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut out = Vec::new();
        // Once: who asks this asks again, and both together would wait eight times as long.
        for (id, found) in self.find_coordinators_within(KeyType::Group, ids, 1).await {
            match found {
                Ok(node) => by_node.entry(node).or_default().push(id),
                Err(failure) => out.push((id, Err(failure))),
            }
        }
        let asked = by_node.into_iter().map(|(node, ids)| async move {
            let found = match self.connect_node(node).await {
                Ok(connection) => fetch_offsets(&connection, &ids, false).await,
                Err(failure) => Err(failure),
            };
            match found {
                Ok(found) => found.into_iter().collect::<Vec<_>>(),
                Err(failure) => ids.into_iter().map(|id| (id, Err(failure.clone()))).collect(),
            }
        });
        out.extend(join_all(asked).await.into_iter().flatten());
        out
    }
}

fn no_stable(label: &str) -> Trouble {
    Trouble::new(
        format!("{label} can't be asked whether committed offsets are final (before Kafka 2.5)"),
        "if this group's offsets are committed in transactions, make sure that none is open",
    )
}

fn is_absent(classic: Option<&Result<Described, Failure>>) -> bool {
    match classic {
        Some(Ok(described)) => described.state == GroupState::Dead,
        // A refusal that stays leaves the word to the newer request; one that passes says nothing of the kind.
        Some(Err(f)) => f.class == Class::Final,
        None => true,
    }
}

/// What is asked, if it is wanted.
pub(super) async fn ask_if<T>(wanted: bool, asked: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(asked.await) } else { None }
}

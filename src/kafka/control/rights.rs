//! What this principal may do, as brokers say themselves (KIP-430), and what became of names that no list shows: hidden,
//! or not there. Lists are filtered in silence; only what is asked for by name is answered with a refusal.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeClusterRequest, DescribeGroupsRequest, MetadataRequest,
};

use super::connection::Connection;
use super::failure::{Class, Failure, RetryLog, check_code, check_message};
use super::group_requests::{
    Described, GROUPS_PER_REQUEST, GroupAnswers, apply_description, describe_classic, describe_consumer, group_id,
    unanswered_group,
};
use super::groups::ask_if;
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, KeyType, Router, back_off};
use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::estate::partial::{Operations, Shown};
use crate::estate::{ClusterView, GroupKind, GroupState, GroupView};

/// Operations by name, or why they could not be told.
pub(crate) type OperationsOf = BTreeMap<String, Result<Operations, Trouble>>;

/// Groups whose operations brokers tell up to this version also where no such group exists: a later one answers
/// GROUP_ID_NOT_FOUND and nothing else (KIP-1043).
const TELLS_OF_ABSENT: i16 = 5;
/// The first version of DescribeGroups that tells operations (KIP-430, Kafka 2.3).
const TELLS_GROUPS: i16 = 3;
/// The first version of Metadata that does, and the last that tells those on the cluster.
const TELLS_TOPICS: i16 = 8;
const TELLS_CLUSTER: i16 = 10;

impl Cluster {
    /// What this principal may do with the cluster itself.
    pub(crate) async fn cluster_operations(&self) -> Result<Operations, Trouble> {
        self.inner.cluster_operations().await.map_err(Trouble::from)
    }

    /// What this principal may do with topics, by name. An error: it may not even see that one, or there is none.
    pub(crate) async fn topic_operations(&self, topics: &[String]) -> OperationsOf {
        self.inner.topic_operations(topics).await
    }

    /// What this principal may do with groups, by id, whether they exist or not.
    pub(crate) async fn group_operations(&self, groups: &[String]) -> OperationsOf {
        self.inner.group_operations(groups).await
    }
}

/// The broker is too old to say.
fn untold_operations(connection: &Connection) -> Failure {
    Failure::new(
        Class::Final,
        format!("{} can't say what this principal may do", connection.label()),
        "that needs Apache Kafka 2.3 or later",
    )
}

/// What this principal may do with the cluster.
async fn fetch_cluster_operations(connection: &Connection) -> Result<Operations, Failure> {
    // DescribeCluster (KIP-700) took this over from Metadata, which lost it with v11.
    let bits = if let Some(version) = connection.common_version::<DescribeClusterRequest>() {
        let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let answer = connection.call(version, &request).await?;
        check_message(answer.error_code, answer.error_message.as_deref(), "the cluster", connection.label())?;
        answer.cluster_authorized_operations
    } else {
        let version = connection.need_version::<MetadataRequest>("0.10 or later")?.min(TELLS_CLUSTER);
        if version < TELLS_TOPICS {
            return Err(untold_operations(connection));
        }
        let request =
            MetadataRequest::default().with_topics(Some(Vec::new())).with_include_cluster_authorized_operations(true);
        connection.call(version, &request).await?.cluster_authorized_operations
    };
    Operations::from_bits(bits).ok_or_else(|| untold_operations(connection))
}

impl Router {
    /// What of the cluster this principal is shown.
    pub(crate) async fn ask_shown(&self) -> Shown {
        match self.cluster_operations().await {
            Ok(operations) => Shown::Operations(operations),
            Err(failure) => Shown::Unknown(failure.into()),
        }
    }

    async fn cluster_operations(&self) -> Result<Operations, Failure> {
        fetch_cluster_operations(&*self.connect_any().await?).await
    }

    async fn topic_operations(&self, topics: &[String]) -> OperationsOf {
        let asked = async {
            let connection = self.connect_any().await?;
            if connection.common_version::<MetadataRequest>().is_none_or(|v| v < TELLS_TOPICS) {
                return Err(untold_operations(&connection));
            }
            let answer = self.ask_metadata(Some(topics), true).await?;
            let label = connection.label();
            let told = answer.topics.into_iter().filter_map(|t| {
                let name = t.name.as_ref()?.to_string();
                let checked = check_code(t.error_code, format_args!("topic {}", visible_name(&name)), label);
                let told = checked.and_then(|()| {
                    Operations::from_bits(t.topic_authorized_operations).ok_or_else(|| untold_operations(&connection))
                });
                Some((name, told))
            });
            Ok::<Vec<_>, Failure>(told.collect())
        };
        let told = by_name(topics, asked.await).into_iter();
        told.map(|(name, told)| (name, told.map_err(Trouble::from))).collect()
    }

    async fn group_operations(&self, groups: &[String]) -> OperationsOf {
        let (mut pending, mut done) = (groups.to_vec(), OperationsOf::new());
        for attempt in 0..ATTEMPTS {
            let (mut again, mut log) = (Vec::new(), RetryLog::new(self.side(), "DescribeGroups"));
            for (id, told) in self.ask_group_operations(&pending).await {
                match &told {
                    // Asking changes nothing: it may be asked again after its answer was lost, too.
                    Err(f)
                        if f.is_passing()
                            && attempt + 1 < if f.class == Class::Retry { ATTEMPTS } else { CONNECT_ATTEMPTS } =>
                    {
                        log.note(&told);
                        self.forget_coordinator(KeyType::Group, &id);
                        again.push(id);
                    }
                    _ => drop(done.insert(id, told.map_err(Trouble::from))),
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

    async fn ask_group_operations(&self, groups: &[String]) -> Vec<(String, Result<Operations, Failure>)> {
        let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut out = Vec::new();
        // Once: who asks this asks again, and both together would wait eight times as long.
        for (id, node) in self.find_coordinators_within(KeyType::Group, groups, 1).await {
            match node {
                Ok(node) => by_node.entry(node).or_default().push(id),
                Err(failure) => out.push((id, Err(failure))),
            }
        }
        let asked = by_node.into_iter().map(|(node, ids)| async move {
            let told = async {
                let connection = self.connect_node(node).await?;
                let mut told = Vec::new();
                for some in ids.chunks(GROUPS_PER_REQUEST) {
                    told.extend(operations_of(&connection, some).await?);
                }
                Ok::<Vec<_>, Failure>(told)
            };
            by_name(&ids, told.await)
        });
        out.extend(join_all(asked).await.into_iter().flatten());
        out
    }

    /// Topics that were asked for by name and are in no list: those that may not be seen, each with why. What does not
    /// exist is left out.
    pub async fn hidden_topics(&self, missing: &[String]) -> BTreeMap<String, Trouble> {
        if missing.is_empty() {
            return BTreeMap::new();
        }
        let answer = match self.ask_metadata(Some(missing), false).await {
            Ok(answer) => answer,
            Err(failure) => return missing.iter().map(|t| (t.clone(), Trouble::clone(&failure.trouble))).collect(),
        };
        let side = self.side().to_string();
        let hidden = answer.topics.into_iter().filter_map(|t| {
            let name = t.name.as_ref()?.to_string();
            let failure = check_code(t.error_code, format_args!("topic {}", visible_name(&name)), &side).err()?;
            // A name that Kafka does not allow is no topic's, hidden or not.
            let gone = matches!(
                failure.error,
                Some(ResponseError::UnknownTopicOrPartition | ResponseError::InvalidTopicException)
            );
            (!gone).then(|| (name, failure.into()))
        });
        hidden.collect()
    }

    /// Puts in what became of groups that were asked for by name and that no broker listed: those that may not be seen, or
    /// whose coordinator does not answer, with why, and those that a coordinator knows all the same; those that do not
    /// exist stay out. A whole list is no proof of that: while a coordinator moves or loads, its groups are in no list.
    pub(crate) async fn place_named(&self, view: &mut ClusterView, names: &BTreeSet<String>) {
        let missing: Vec<String> = names.iter().filter(|n| !view.groups.contains_key(*n)).cloned().collect();
        let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut found: Vec<(String, Result<Option<GroupView>, Failure>)> = Vec::new();
        // Once: this is part of a picture, and the next one asks again. Until then it is unknown, with the reason.
        for (id, node) in self.find_coordinators_within(KeyType::Group, &missing, 1).await {
            match node {
                Ok(node) => by_node.entry(node).or_default().push(id),
                Err(failure) => found.push((id, Err(failure))),
            }
        }
        let asked = by_node.into_iter().map(|(node, ids)| self.known_to(node, ids));
        found.extend(join_all(asked).await.into_iter().flatten());
        for (id, told) in found {
            match told {
                Ok(None) => {}
                Ok(Some(group)) => drop(view.groups.insert(id, group)),
                Err(failure) => {
                    self.forget_coordinator(KeyType::Group, &id);
                    let trouble = Some(failure.into());
                    let hidden =
                        // Not Dead: what can't be looked at may be alive.
                        GroupView { state: GroupState::Unknown, coordinator: -1, trouble, ..GroupView::default() };
                    view.groups.insert(id, hidden);
                }
            }
        }
    }

    /// What a coordinator knows of groups that no broker listed.
    async fn known_to(&self, node: i32, ids: Vec<String>) -> Vec<(String, Result<Option<GroupView>, Failure>)> {
        let connection = match self.connect_node(node).await {
            Ok(connection) => connection,
            Err(failure) => return ids.into_iter().map(|id| (id, Err(failure.clone()))).collect(),
        };
        let speaks_modern = connection.common_version::<ConsumerGroupDescribeRequest>().is_some();
        let (mut classic, mut modern) = tokio::join!(
            describe_classic(&connection, &ids),
            ask_if(speaks_modern, describe_consumer(&connection, &ids)),
        );
        let one = |of: &mut GroupAnswers<Described>, id: &String| match of {
            Ok(all) => all.remove(id).unwrap_or_else(|| Err(unanswered_group(id))),
            Err(failure) => Err(failure.clone()),
        };
        let each = ids.into_iter().map(|id| {
            let (classic, modern) = (one(&mut classic, &id), modern.as_mut().map(|of| one(of, &id)));
            let known = view_unlisted(node, &id, classic, modern);
            (id, known)
        });
        each.collect()
    }
}

/// A group that no broker listed, as its coordinator knows it; `None`: there is none. A KIP-848 group is dead, or not
/// found, to who asks for a classic one.
fn view_unlisted(
    node: i32,
    id: &str,
    classic: Result<Described, Failure>,
    modern: Option<Result<Described, Failure>>,
) -> Result<Option<GroupView>, Failure> {
    let (kind, described) = match (none_if_absent(classic)?, modern) {
        (Some(described), _) => (GroupKind::Classic, described),
        (None, None) => return Ok(None),
        (None, Some(modern)) => match none_if_absent(modern)? {
            Some(described) => (GroupKind::Consumer, described),
            None => return Ok(None),
        },
    };
    let mut view = GroupView { kind, coordinator: node, ..GroupView::default() };
    apply_description(&mut view, described);
    view.trouble = Some(Trouble::new(
        format!(
            "group `{}` is in no broker's list, and its coordinator knows it: its offsets were not read",
            visible_name(id)
        ),
        "its coordinator was moving or loading: the next look will tell; if this stays, look at the brokers' logs",
    ));
    Ok(Some(view))
}

/// What was told of a group, without the ways to say that there is none. A broker may speak a request and have what it is
/// for turned off (`group.version`): it knows of no such group then.
fn none_if_absent(told: Result<Described, Failure>) -> Result<Option<Described>, Failure> {
    match told {
        Ok(described) => Ok(Some(described).filter(|d| d.state != GroupState::Dead)),
        Err(f) if matches!(f.error, Some(ResponseError::GroupIdNotFound | ResponseError::UnsupportedVersion)) => {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

async fn operations_of(
    connection: &Connection,
    groups: &[String],
) -> Result<Vec<(String, Result<Operations, Failure>)>, Failure> {
    let version = connection.need_version::<DescribeGroupsRequest>("0.9 or later")?.min(TELLS_OF_ABSENT);
    if version < TELLS_GROUPS {
        return Err(untold_operations(connection));
    }
    let request = DescribeGroupsRequest::default()
        .with_groups(groups.iter().map(|id| group_id(id)).collect())
        .with_include_authorized_operations(true);
    let answer = connection.call(version, &request).await?;
    let told = answer.groups.into_iter().map(|g| {
        let id = g.group_id.to_string();
        let checked = check_code(g.error_code, format_args!("group `{}`", visible_name(&id)), connection.label());
        (
            id,
            checked.and_then(|()| {
                Operations::from_bits(g.authorized_operations).ok_or_else(|| untold_operations(connection))
            }),
        )
    });
    Ok(told.collect())
}

/// Names with what was told of each.
type OperationReplies = Vec<(String, Result<Operations, Failure>)>;

/// Every name with what was told of it, or why nothing was.
fn by_name(names: &[String], told: Result<OperationReplies, Failure>) -> OperationReplies {
    let mut told: Result<BTreeMap<_, _>, Failure> = told.map(|told| told.into_iter().collect());
    let one = |name: &String| {
        let nothing = || {
            let what = format!("nothing was told of {}", visible_name(name));
            Err(Failure::new(Class::Final, what, "look at the broker's log"))
        };
        let found = match &mut told {
            Ok(told) => told.remove(name).unwrap_or_else(nothing),
            Err(why) => Err(why.clone()),
        };
        (name.clone(), found)
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(state: GroupState) -> Result<Described, Failure> {
        let (protocol_type, protocol) = ("consumer".to_owned(), "range".to_owned());
        Ok(Described { state, protocol_type, protocol, members: Vec::new(), trouble: None })
    }

    fn refused(error: ResponseError) -> Result<Described, Failure> {
        check_code(error.code(), "group `g`", "blue broker 1").map(|()| unreachable!("{error} is an error"))
    }

    /// Kind, state and whether there is trouble with a group that was not listed; `None`: it is not there.
    fn found(
        classic: Result<Described, Failure>,
        modern: Option<Result<Described, Failure>>,
    ) -> Result<Option<(GroupKind, GroupState)>, Option<ResponseError>> {
        match view_unlisted(1, "g", classic, modern) {
            Ok(Some(view)) => {
                assert!(
                    view.trouble.is_some_and(|t| t.what.contains("its coordinator knows it")),
                    "nothing else is known"
                );
                Ok(Some((view.kind, view.state)))
            }
            Ok(None) => Ok(None),
            Err(failure) => Err(failure.error),
        }
    }

    #[test]
    fn what_no_list_shows_is_gone_only_when_its_coordinator_knows_it_as_neither_kind() {
        use ResponseError::{CoordinatorLoadInProgress, GroupAuthorizationFailed, GroupIdNotFound, UnsupportedVersion};
        let dead = || described(GroupState::Dead);
        for state in [GroupState::Stable, GroupState::Empty, GroupState::Rebalancing, GroupState::Unknown] {
            assert_eq!(found(described(state), Some(refused(GroupIdNotFound))), Ok(Some((GroupKind::Classic, state))));
        }
        for absent in [dead(), refused(GroupIdNotFound)] {
            let modern = Some(described(GroupState::Stable));
            assert_eq!(found(absent, modern), Ok(Some((GroupKind::Consumer, GroupState::Stable))));
        }
        for modern in [None, Some(dead()), Some(refused(GroupIdNotFound)), Some(refused(UnsupportedVersion))] {
            assert_eq!(found(dead(), modern), Ok(None));
        }
        let loads = || refused(CoordinatorLoadInProgress);
        assert_eq!(found(loads(), Some(refused(GroupIdNotFound))), Err(Some(CoordinatorLoadInProgress)));
        assert_eq!(found(dead(), Some(loads())), Err(Some(CoordinatorLoadInProgress)));
        assert_eq!(found(refused(GroupAuthorizationFailed), None), Err(Some(GroupAuthorizationFailed)));
    }
}

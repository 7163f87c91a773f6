//! What this principal may do, as brokers say themselves (KIP-430), and what became of names that no list shows: hidden,
//! or not there. Lists are filtered in silence; only what is asked for by name is answered with a refusal.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeGroupsRequest, MetadataRequest};

use super::connection::Connection;
use super::failure::{Class, Failure, check, check_message};
use super::group_requests::{GROUPS_PER_REQUEST, describe_classic, group_id, unanswered};
use super::router::{ATTEMPTS, Cluster, Inner, KeyType, pause};
use crate::migration::estate::{ClusterView, GroupState, GroupView, Trouble};
use crate::migration::partial::{Operations, Shown};
use crate::sanitise::visible_name;

/// Operations by name, or why they could not be told.
pub type OperationsOf = BTreeMap<String, Result<Operations, Trouble>>;

/// Groups whose operations brokers tell up to this version also where no such group exists: a later one answers
/// GROUP_ID_NOT_FOUND and nothing else (KIP-1043).
const TELLS_OF_ABSENT: i16 = 5;
/// The first version of DescribeGroups that tells operations (KIP-430, Kafka 2.3).
const TELLS_GROUPS: i16 = 3;
/// The first version of Metadata that does, and the last that tells those on the cluster.
const TELLS_TOPICS: i16 = 8;
const TELLS_CLUSTER: i16 = 10;

impl Cluster {
    /// What this principal may do with topics, by name. An error: it may not even see that one, or there is none.
    pub async fn topic_operations(&self, topics: &[String]) -> OperationsOf {
        self.inner.topic_operations(topics).await
    }

    /// What this principal may do with groups, by id, whether they exist or not.
    pub async fn group_operations(&self, groups: &[String]) -> OperationsOf {
        self.inner.group_operations(groups).await
    }
}

/// The broker is too old to say.
fn untold(connection: &Connection) -> Failure {
    Failure::new(
        Class::Final,
        format!("{} can't say what this principal may do", connection.label()),
        "that needs Apache Kafka 2.3 or later",
    )
}

impl Inner {
    /// What of the cluster this principal is shown.
    pub async fn shown(&self) -> Shown {
        match self.cluster_operations().await {
            Ok(operations) => Shown::Operations(operations),
            Err(failure) => Shown::Unknown(failure.into()),
        }
    }

    async fn cluster_operations(&self) -> Result<Operations, Failure> {
        let connection = self.any().await?;
        let bits = if let Some(version) = connection.version::<DescribeClusterRequest>() {
            let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
            let answer = connection.call(version, &request).await?;
            check_message(answer.error_code, answer.error_message.as_deref(), "the cluster", connection.label())?;
            answer.cluster_authorized_operations
        } else {
            let version = connection.need::<MetadataRequest>("0.10 or later")?.min(TELLS_CLUSTER);
            if version < TELLS_TOPICS {
                return Err(untold(&connection));
            }
            let request = MetadataRequest::default()
                .with_topics(Some(Vec::new()))
                .with_include_cluster_authorized_operations(true);
            connection.call(version, &request).await?.cluster_authorized_operations
        };
        Operations::told(bits).ok_or_else(|| untold(&connection))
    }

    async fn topic_operations(&self, topics: &[String]) -> OperationsOf {
        let asked = async {
            let connection = self.any().await?;
            if connection.version::<MetadataRequest>().is_none_or(|v| v < TELLS_TOPICS) {
                return Err(untold(&connection));
            }
            let answer = self.metadata(Some(topics), true).await?;
            let label = connection.label();
            let told = answer.topics.into_iter().filter_map(|t| {
                let name = t.name.as_ref()?.to_string();
                let checked = check(t.error_code, format_args!("topic {}", visible_name(&name)), label);
                let told = checked
                    .and_then(|()| Operations::told(t.topic_authorized_operations).ok_or_else(|| untold(&connection)));
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
            let mut again = Vec::new();
            for (id, told) in self.ask_group_operations(&pending).await {
                match told {
                    Err(f) if f.class == Class::Retry && attempt + 1 < ATTEMPTS => {
                        self.forget(KeyType::Group, &id);
                        again.push(id);
                    }
                    told => drop(done.insert(id, told.map_err(Trouble::from))),
                }
            }
            if again.is_empty() {
                break;
            }
            pending = again;
            pause(attempt).await;
        }
        done
    }

    async fn ask_group_operations(&self, groups: &[String]) -> Vec<(String, Result<Operations, Failure>)> {
        let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut out = Vec::new();
        for (id, node) in self.coordinators(KeyType::Group, groups).await {
            match node {
                Ok(node) => by_node.entry(node).or_default().push(id),
                Err(failure) => out.push((id, Err(failure))),
            }
        }
        let asked = by_node.into_iter().map(|(node, ids)| async move {
            let told = async {
                let connection = self.node(node).await?;
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
        let answer = match self.metadata(Some(missing), false).await {
            Ok(answer) => answer,
            Err(failure) => return missing.iter().map(|t| (t.clone(), Trouble::clone(&failure.trouble))).collect(),
        };
        let side = self.side().to_string();
        let hidden = answer.topics.into_iter().filter_map(|t| {
            let name = t.name.as_ref()?.to_string();
            let failure = check(t.error_code, format_args!("topic {}", visible_name(&name)), &side).err()?;
            let gone = matches!(
                failure.error,
                Some(ResponseError::UnknownTopicOrPartition | ResponseError::InvalidTopicException)
            );
            (!gone).then(|| (name, failure.into()))
        });
        hidden.collect()
    }

    /// Puts in what became of groups that were asked for by name and that no broker listed: those that may not be seen, or
    /// whose coordinator does not answer, with why; those that do not exist stay out.
    pub async fn place_named(&self, view: &mut ClusterView, names: &BTreeSet<String>) {
        let missing: Vec<String> = names.iter().filter(|n| !view.groups.contains_key(*n)).cloned().collect();
        // A whole list proves it already.
        if missing.is_empty() || view.groups_hidden(self.side()).is_none() {
            return;
        }
        let mut by_node: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut hidden: Vec<(String, Failure)> = Vec::new();
        for (id, node) in self.coordinators_within(KeyType::Group, &missing, 1).await {
            match node {
                Ok(node) => by_node.entry(node).or_default().push(id),
                Err(failure) => hidden.push((id, failure)),
            }
        }
        let asked = by_node.into_iter().map(|(node, ids)| async move {
            let described = match self.node(node).await {
                Ok(connection) => describe_classic(&connection, &ids).await,
                Err(failure) => Err(failure),
            };
            match described {
                Ok(mut told) => {
                    let each = ids.into_iter().map(|id| {
                        let told = told.remove(&id).unwrap_or_else(|| Err(unanswered(&id)));
                        (id, told)
                    });
                    each.collect::<Vec<_>>()
                }
                Err(failure) => ids.into_iter().map(|id| (id, Err(failure.clone()))).collect(),
            }
        });
        for (id, told) in join_all(asked).await.into_iter().flatten() {
            match told {
                // Nobody knows it; or it came up since the lists were made: the next round shows it.
                Ok(_) => {}
                Err(f) if f.error == Some(ResponseError::GroupIdNotFound) => {}
                Err(failure) => {
                    self.forget(KeyType::Group, &id);
                    hidden.push((id, failure));
                }
            }
        }
        view.groups.extend(hidden.into_iter().map(|(id, failure)| {
            let trouble = Some(failure.into());
            (id, GroupView { state: GroupState::Unknown, coordinator: -1, trouble, ..GroupView::default() })
        }));
    }
}

async fn operations_of(
    connection: &Connection,
    groups: &[String],
) -> Result<Vec<(String, Result<Operations, Failure>)>, Failure> {
    let version = connection.need::<DescribeGroupsRequest>("0.9 or later")?.min(TELLS_OF_ABSENT);
    if version < TELLS_GROUPS {
        return Err(untold(connection));
    }
    let request = DescribeGroupsRequest::default()
        .with_groups(groups.iter().map(|id| group_id(id)).collect())
        .with_include_authorized_operations(true);
    let answer = connection.call(version, &request).await?;
    let told = answer.groups.into_iter().map(|g| {
        let id = g.group_id.to_string();
        let checked = check(g.error_code, format_args!("group `{}`", visible_name(&id)), connection.label());
        (id, checked.and_then(|()| Operations::told(g.authorized_operations).ok_or_else(|| untold(connection))))
    });
    Ok(told.collect())
}

/// Names with what was told of each.
type Told = Vec<(String, Result<Operations, Failure>)>;

/// Every name with what was told of it, or why nothing was.
fn by_name(names: &[String], told: Result<Told, Failure>) -> Told {
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

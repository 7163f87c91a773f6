//! What is compared with what: which topics, under which names on each side, and what is meant to differ.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::principals::PrincipalMap;
use crate::estate::acl::{Acl, Resource};

/// Which of blue's topics are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicScope {
    /// All of them, but for those that a cluster or a tool makes for itself. Blue's name to green's, where it differs.
    All {
        /// Green's names of topics that are called otherwise there.
        renamed: BTreeMap<String, String>,
        /// Topics of either cluster that nobody wants compared.
        excluded: BTreeSet<String>,
    },
    /// These alone: blue's name to green's, also where it is the same. Whoever names a topic means it, whatever it looks
    /// like: only Kafka's own are left out.
    Listed(BTreeMap<String, String>),
}

impl Default for TopicScope {
    fn default() -> Self {
        TopicScope::All { renamed: BTreeMap::new(), excluded: BTreeSet::new() }
    }
}

impl TopicScope {
    /// Blue's names with green's, where the caller gave one.
    pub(super) fn named_topics(&self) -> &BTreeMap<String, String> {
        match self {
            TopicScope::All { renamed, .. } => renamed,
            TopicScope::Listed(topics) => topics,
        }
    }

    /// Whether nobody wants this topic of one of the clusters compared.
    pub(super) fn excludes_topic(&self, name: &str) -> bool {
        matches!(self, TopicScope::All { excluded, .. } if excluded.contains(name))
    }

    /// A topic's name on green.
    #[must_use]
    pub fn green_topic<'a>(&'a self, blue: &'a str) -> &'a str {
        self.named_topics().get(blue).map_or(blue, String::as_str)
    }
}

/// What is compared, and what is meant to differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ParityScope {
    /// Topics.
    pub topics: TopicScope,
    /// Who stands on green for whom of blue.
    pub principals: PrincipalMap,
    /// Consumer groups that have another id on green: blue's to green's.
    pub groups: BTreeMap<String, String>,
    /// Transactional ids that others take the place of on green: blue's to green's.
    pub transactional_ids: BTreeMap<String, BTreeSet<String>>,
    /// ACLs of blue that the migration itself made (it keeps fenced producers out with denials): on green they would stop
    /// those that have just moved.
    pub fences: BTreeSet<Acl>,
    /// Replicas of each partition on green, where it is meant to differ from blue's.
    pub replication_factor: Option<i16>,
    /// How long the migration is planned to take, from its first group's move to its last, ms.
    pub planned_ms: Option<u64>,
}

impl ParityScope {
    /// The names on green of what has one name on blue: mostly that, several where transactional ids are split up.
    pub(super) fn green_names<'a>(&'a self, resource: Resource, blue: &'a str) -> Vec<Cow<'a, str>> {
        match resource {
            Resource::Topic => vec![self.topics.green_topic(blue).into()],
            Resource::Group => vec![self.groups.get(blue).map_or(blue, String::as_str).into()],
            Resource::TransactionalId => match self.transactional_ids.get(blue) {
                Some(ids) if !ids.is_empty() => ids.iter().map(|id| id.as_str().into()).collect(),
                _ => vec![blue.into()],
            },
            // KIP-373: a resource of this kind is named by its principal.
            Resource::User => vec![self.principals.map_principal(blue)],
            _ => vec![blue.into()],
        }
    }

    /// Names of one kind that begin with `prefix` on blue and with something else on green: an ACL on the prefix does not
    /// reach them there.
    pub(super) fn names_outside_prefix(&self, resource: Resource, prefix: &str) -> BTreeSet<&str> {
        let pairs: Vec<(&str, &str)> = match resource {
            Resource::Topic => {
                self.topics.named_topics().iter().map(|(blue, green)| (blue.as_str(), green.as_str())).collect()
            }
            Resource::Group => self.groups.iter().map(|(blue, green)| (blue.as_str(), green.as_str())).collect(),
            Resource::TransactionalId => {
                let ids = self.transactional_ids.iter();
                ids.flat_map(|(blue, ids)| ids.iter().map(|id| (blue.as_str(), id.as_str()))).collect()
            }
            _ => Vec::new(),
        };
        let leaves = |(blue, green): &(&str, &str)| blue.starts_with(prefix) && !green.starts_with(prefix);
        pairs.into_iter().filter(leaves).map(|(_, green)| green).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_prefix_are_told() {
        let renamed = [("loan-a", "psc-a"), ("loan-b", "loan-b2"), ("x", "y")];
        let scope = ParityScope {
            topics: TopicScope::All {
                renamed: renamed.map(|(b, g)| (b.to_owned(), g.to_owned())).into(),
                excluded: BTreeSet::new(),
            },
            transactional_ids: [("loan-1".to_owned(), ["g-1".to_owned(), "g-2".to_owned()].into())].into(),
            ..ParityScope::default()
        };
        assert_eq!(scope.names_outside_prefix(Resource::Topic, "loan-"), ["psc-a"].into());
        assert_eq!(scope.names_outside_prefix(Resource::TransactionalId, "loan"), ["g-1", "g-2"].into());
        assert_eq!(scope.names_outside_prefix(Resource::Group, "loan"), BTreeSet::new());
        assert_eq!(scope.green_names(Resource::TransactionalId, "loan-1"), ["g-1", "g-2"]);
        assert_eq!(scope.green_names(Resource::Cluster, "kafka-cluster"), ["kafka-cluster"]);
    }
}

//! The rights of a role as ACLs, and as the lines of `kafka-acls.sh` that make them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;

use super::RightsScope;
use super::table::{Need, Subject, Verb, needs_of};
use crate::base::Side;
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::shell_word;
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};

/// What the ids and groups of replays begin with (`crate::replay::spec`).
const REPLAYS: &str = "cutover-replay-";
/// Kafka's own topic in which groups are kept.
const GROUPS_TOPIC: &str = "__consumer_offsets";
/// Kafka's name of the cluster as a resource.
const CLUSTER: &str = "kafka-cluster";

/// Who is to be granted something.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// It looks, measures and compares: lag, status, doctor, preflight, offsets plan, diff.
    ReadOnly,
    /// It moves as well: cutover, rollback, replay to green, provision; producers where the plan has exactly-once ones.
    Operator,
}

impl Role {
    /// The verbs of a role for a plan.
    pub fn verbs(self, scope: &RightsScope) -> impl Iterator<Item = Verb> {
        let hard = !scope.transactional_ids.is_empty();
        Verb::iter().filter(move |verb| match verb {
            Verb::HardCutover | Verb::ReplayBack => self == Role::Operator && hard,
            verb => self == Role::Operator || !verb.changes_cluster(),
        })
    }
}

/// A principal as Kafka writes it: `User:NAME`. It is not checked against a cluster: none tells who its principals are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Principal(String);

impl Principal {
    /// As Kafka writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Principal {
    type Err = String;

    /// # Errors
    /// There is no kind before a colon, no name, the name is everybody's (`*`), or `kafka-acls.sh` would not take it as it
    /// is: it cuts blanks off at both ends.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{} {why}: write User:NAME", quoted_name(text)));
        match text.split_once(':') {
            None => wrong("has no kind"),
            Some((kind, name)) if kind.trim().is_empty() || name.is_empty() => wrong("has no kind or no name"),
            Some((_, "*")) => wrong("is everybody"),
            Some(_) if text.trim() != text || text.contains('\0') => wrong("can't be given to kafka-acls.sh as it is"),
            Some(_) => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_name(&self.0))
    }
}

/// A name that an ACL is on.
type Named = (Resource, AclPattern, String);

/// What is granted on one side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Operations by what they are on; what another one of them implies is left out.
    pub operations: BTreeMap<Named, BTreeSet<Operation>>,
    /// Names that can't be granted alone, with why: nothing is granted on them.
    pub left_out: BTreeMap<(Resource, String), &'static str>,
}

impl Grants {
    /// What these needs take, of what a plan names on a side.
    #[must_use]
    pub fn of_needs<'a>(needs: impl Iterator<Item = &'a Need>, scope: &RightsScope) -> Grants {
        let mut grants = Grants::default();
        for need in needs {
            for named in list_named(need.on, scope) {
                match why_not_alone(&named) {
                    Some(why) => drop(grants.left_out.insert((named.0, named.2), why)),
                    None => drop(grants.operations.entry(named).or_default().insert(need.operation)),
                }
            }
        }
        // What is granted on every topic needs no line for one.
        let every = grants.operations.get(&(Resource::Topic, AclPattern::Literal, "*".to_owned())).cloned();
        for ((resource, _, name), operations) in &mut grants.operations {
            drop_implied(operations);
            if let Some(every) = every.as_ref().filter(|_| *resource == Resource::Topic && name != "*") {
                operations.retain(|o| !every.contains(o) && !every.iter().any(|e| implies(*e, *o)));
            }
        }
        grants.operations.retain(|_, operations| !operations.is_empty());
        grants
    }

    /// What a role takes on a side.
    #[must_use]
    pub fn of_role(role: Role, side: Side, scope: &RightsScope) -> Grants {
        Self::of_needs(role.verbs(scope).flat_map(|verb| needs_of(verb, side)), scope)
    }

    /// The ACLs for a principal, from every host.
    #[must_use]
    pub fn to_acls(&self, principal: &Principal) -> BTreeSet<Acl> {
        let each = self.operations.iter().flat_map(|((resource, pattern, name), operations)| {
            operations.iter().map(|operation| Acl {
                pattern: *pattern,
                operation: *operation,
                permission: Permission::Allow,
                ..Acl::deny_write(*resource, name.as_str(), principal.as_str())
            })
        });
        each.collect()
    }

    /// The arguments of `kafka-acls.sh` for each of its runs, without the cluster's address: one run for all names of a kind
    /// with the same operations.
    #[must_use]
    pub fn list_arguments(&self, principal: &Principal) -> Vec<Vec<String>> {
        let mut alike: BTreeMap<(Resource, AclPattern, &BTreeSet<Operation>), Vec<&str>> = BTreeMap::new();
        for ((resource, pattern, name), operations) in &self.operations {
            alike.entry((*resource, *pattern, operations)).or_default().push(name);
        }
        let run = |((resource, pattern, operations), names): (_, Vec<&str>)| {
            let operations: &BTreeSet<Operation> = operations;
            // With `=`: a name that begins with a dash is a name.
            let mut run = vec!["--add".to_owned(), format!("--allow-principal={}", principal.as_str())];
            run.extend(operations.iter().map(|o| format!("--operation={}", tool_word(*o))));
            let option = match resource {
                Resource::Topic => "topic",
                Resource::Group => "group",
                Resource::TransactionalId => "transactional-id",
                _ => "cluster",
            };
            match resource {
                Resource::Cluster => run.push("--cluster".to_owned()),
                _ => run.extend(names.iter().map(|name| format!("--{option}={name}"))),
            }
            if pattern == AclPattern::Prefixed {
                run.push("--resource-pattern-type=prefixed".to_owned());
            }
            run
        };
        alike.into_iter().map(run).collect()
    }
}

/// The lines of a role for one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleLines {
    /// Which cluster.
    pub side: Side,
    /// What to run, a line each, for a POSIX shell.
    pub lines: Vec<String>,
    /// What no line was written for, with why.
    pub left_out: Vec<String>,
}

impl RoleLines {
    /// The lines for a cluster at `bootstrap`.
    #[must_use]
    pub fn write(side: Side, bootstrap: &str, grants: &Grants, principal: &Principal) -> RoleLines {
        let line = |arguments: Vec<String>| {
            let words = ["--bootstrap-server", bootstrap, "--command-config", "admin.properties"].map(str::to_owned);
            let words = words.iter().chain(&arguments).map(|word| quote_argument(word));
            format!("kafka-acls.sh {}", words.collect::<Vec<_>>().join(" "))
        };
        let left_out = grants.left_out.iter().map(|((resource, name), why)| {
            let kind = resource.to_string().replace('_', " ");
            format!("{kind} {}: {why}", quoted_name(name))
        });
        RoleLines {
            side,
            lines: grants.list_arguments(principal).into_iter().map(line).collect(),
            left_out: left_out.collect(),
        }
    }
}

/// `--option=value` with the value quoted, so that the line reads well.
fn quote_argument(word: &str) -> String {
    match word.split_once('=').filter(|(option, _)| option.starts_with("--")) {
        Some((option, value)) => format!("{option}={}", shell_word(value)),
        None => shell_word(word),
    }
}

/// The names that a subject stands for.
fn list_named(on: Subject, scope: &RightsScope) -> Vec<Named> {
    let literal = |names: &BTreeSet<String>| {
        names.iter().map(|name| (on.resource(), AclPattern::Literal, name.clone())).collect::<Vec<_>>()
    };
    match on {
        Subject::Cluster => vec![(Resource::Cluster, AclPattern::Literal, CLUSTER.to_owned())],
        Subject::Topics => literal(&scope.topics),
        Subject::Compared => match &scope.compared {
            Some(names) => literal(names),
            None => vec![(Resource::Topic, AclPattern::Literal, "*".to_owned())],
        },
        Subject::GroupsTopic => vec![(Resource::Topic, AclPattern::Literal, GROUPS_TOPIC.to_owned())],
        Subject::Groups => literal(&scope.groups),
        Subject::TransactionalIds => literal(&scope.transactional_ids),
        Subject::ReplayGroups | Subject::ReplayIds => vec![(on.resource(), AclPattern::Prefixed, REPLAYS.to_owned())],
    }
}

/// Why a name can't be granted alone, by `kafka-acls.sh` or at all.
fn why_not_alone((resource, pattern, name): &Named) -> Option<&'static str> {
    // Topics can't be called so; groups and transactional ids can.
    if *pattern == AclPattern::Literal && name == "*" && *resource != Resource::Topic {
        return Some(
            "an ACL on `*` is on every name, and there is none for this one alone: grant every one, or rename it",
        );
    }
    if name.is_empty() {
        return Some("Kafka takes no ACL on an empty name");
    }
    (name.trim() != name || name.contains('\0')).then_some(
        "kafka-acls.sh cuts blanks off at both ends, and would grant another name: make this ACL with another tool",
    )
}

/// Whether one operation's grant implies another's (Kafka's `AclEntry`).
#[must_use]
pub fn implies(granted: Operation, other: Operation) -> bool {
    use Operation as O;
    match other {
        O::Describe => matches!(granted, O::All | O::Read | O::Write | O::Delete | O::Alter),
        O::DescribeConfigs => matches!(granted, O::All | O::AlterConfigs),
        _ => granted == O::All,
    }
}

fn drop_implied(operations: &mut BTreeSet<Operation>) {
    let all = operations.clone();
    operations.retain(|o| !all.iter().any(|granted| granted != o && implies(*granted, *o)));
}

/// An operation in `kafka-acls.sh`'s words.
fn tool_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Unknown => "Unknown",
        Operation::All => "All",
        Operation::Read => "Read",
        Operation::Write => "Write",
        Operation::Create => "Create",
        Operation::Delete => "Delete",
        Operation::Alter => "Alter",
        Operation::Describe => "Describe",
        Operation::ClusterAction => "ClusterAction",
        Operation::DescribeConfigs => "DescribeConfigs",
        Operation::AlterConfigs => "AlterConfigs",
        Operation::IdempotentWrite => "IdempotentWrite",
        Operation::CreateTokens => "CreateTokens",
        Operation::DescribeTokens => "DescribeTokens",
        Operation::TwoPhaseCommit => "TwoPhaseCommit",
    }
}

#[cfg(test)]
#[path = "tests_grant.rs"]
mod tests;

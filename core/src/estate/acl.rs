//! Who may do what on a cluster, as far as a migration reads and changes it. Numbers are those of Kafka's protocol.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::sanitise::visible_name;

/// What an ACL is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::FromRepr,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Resource {
    /// A kind that this build does not know.
    Unknown = 0,
    /// A topic.
    Topic = 2,
    /// A consumer group.
    Group = 3,
    /// The cluster, by the name `kafka-cluster`.
    Cluster = 4,
    /// A transactional id.
    TransactionalId = 5,
    /// A delegation token.
    DelegationToken = 6,
    /// A user.
    User = 7,
}

/// How an ACL's name is meant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::FromRepr,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AclPattern {
    /// A way that this build does not know.
    Unknown = 0,
    /// The name itself; `*` is every name.
    Literal = 3,
    /// Every name that begins with it (KIP-290).
    Prefixed = 4,
}

/// What is allowed or denied.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::FromRepr,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// One that this build does not know.
    Unknown = 0,
    /// Everything.
    All = 2,
    /// Read.
    Read = 3,
    /// Write; of a transactional id: initialise it and run transactions.
    Write = 4,
    /// Create.
    Create = 5,
    /// Delete.
    Delete = 6,
    /// Alter.
    Alter = 7,
    /// Describe.
    Describe = 8,
    /// What brokers do among themselves.
    ClusterAction = 9,
    /// Describe configuration.
    DescribeConfigs = 10,
    /// Alter configuration.
    AlterConfigs = 11,
    /// Write idempotently.
    IdempotentWrite = 12,
    /// Create tokens.
    CreateTokens = 13,
    /// Describe tokens.
    DescribeTokens = 14,
    /// Commit in two phases.
    TwoPhaseCommit = 15,
}

/// Whether it is allowed or denied. A denial wins.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::FromRepr,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Permission {
    /// One that this build does not know.
    Unknown = 0,
    /// Denied.
    Deny = 2,
    /// Allowed.
    Allow = 3,
}

/// One access control entry.
///
/// Where `allow.everyone.if.no.acl.found=true`, the **first** ACL on a resource takes everybody's rights on it away who
/// is not allowed by another one: a denial on a topic stops its readers too. One on a transactional id touches that id
/// only, but hides it: whoever is no super user needs an ACL that allows DESCRIBE to go on asking for it. A denial also
/// stops a producer from ending what it has open: fence first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acl {
    /// What it is about.
    pub resource: Resource,
    /// Its name.
    pub name: String,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// `User:NAME`; `User:*` is everybody.
    pub principal: String,
    /// Address the client comes from; `*` is every one.
    pub host: String,
    /// What is allowed or denied.
    pub operation: Operation,
    /// Whether it is allowed or denied.
    pub permission: Permission,
}

impl Acl {
    /// Denies `principal` to write to one resource, from every host: what keeps a fenced producer out when it starts
    /// again.
    #[must_use]
    pub fn deny_write(resource: Resource, name: impl Into<String>, principal: impl Into<String>) -> Acl {
        Acl {
            resource,
            name: name.into(),
            pattern: AclPattern::Literal,
            principal: principal.into(),
            host: "*".to_owned(),
            operation: Operation::Write,
            permission: Permission::Deny,
        }
    }

    /// Whether its pattern takes this name in.
    #[must_use]
    pub fn bears_on(&self, name: &str) -> bool {
        match self.pattern {
            AclPattern::Literal => self.name == name || self.name == "*",
            AclPattern::Prefixed => name.starts_with(&self.name),
            AclPattern::Unknown => false,
        }
    }

    /// Whether every part is one that this build knows: what is not must neither be made nor removed.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.resource != Resource::Unknown
            && self.pattern != AclPattern::Unknown
            && self.operation != Operation::Unknown
            && self.permission != Permission::Unknown
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Acl { resource, name, pattern, principal, host, operation, permission } = self;
        write!(
            f,
            "{permission} {operation} on {resource} {name} ({pattern}) to {principal} from {host}",
            name = visible_name(name),
            principal = visible_name(principal),
            host = visible_name(host)
        )
    }
}

/// Which ACLs are asked for; `None` is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclFilter {
    /// What they are about.
    pub resource: Option<Resource>,
    /// Name of the resource.
    pub name: Option<String>,
    /// Also those whose pattern takes `name` in: prefixes of it, and `*`.
    pub matching: bool,
    /// Principal, exactly.
    pub principal: Option<String>,
    /// Operation, exactly.
    pub operation: Option<Operation>,
    /// Whether allowed or denied.
    pub permission: Option<Permission>,
}

impl AclFilter {
    /// Everything that bears upon one resource, patterns included.
    #[must_use]
    pub fn for_resource(resource: Resource, name: impl Into<String>) -> AclFilter {
        AclFilter { resource: Some(resource), name: Some(name.into()), matching: true, ..AclFilter::default() }
    }
}

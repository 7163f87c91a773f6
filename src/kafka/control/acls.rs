//! ACLs: what keeps a fenced producer out when it starts again, made and taken back.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};
use kafka_protocol::protocol::StrBytes;

use super::ChangeOutcome;
use super::connection::Connection;
use super::failure::{Class, Doubts, Failure, RetryLog, check_message};
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, Router, back_off};
use super::scatter::{BrokerQuestion, Replies};
use super::transactions::{offered_version, to_answer};
use crate::base::Trouble;
use crate::estate::acl::{Acl, AclFilter, AclPattern, Operation, Permission, Resource};
use crate::estate::transactions::{Answer, Since};

/// A filter's number for anything.
const ANY: i8 = 1;
/// A filter's number for patterns that take the name in.
const MATCH: i8 = 2;

impl Cluster {
    /// The ACLs that each broker enforces, by node id: one that was just made is in force when every broker shows it
    /// ([`in_force`]). Needs DESCRIBE on the cluster. Errors: the brokers themselves can't be found.
    pub async fn describe_acls(&self, filter: &AclFilter) -> Result<BTreeMap<i32, Answer<BTreeSet<Acl>>>, Trouble> {
        self.inner.refresh_metadata(Some(&[])).await?;
        let nodes: Vec<i32> = self.inner.topology().brokers.keys().copied().collect();
        let found = self.inner.ask_each(filter, &nodes).await;
        Ok(found.into_iter().map(|(node, r)| (node, to_answer(r, Since::V0_11))).collect())
    }

    /// Makes ACLs; one that exists is `Done`. `Done` is the controller's word: brokers enforce it a moment later
    /// ([`Cluster::describe_acls`]). Needs ALTER on the cluster.
    pub async fn create_acls(&self, acls: &BTreeSet<Acl>) -> BTreeMap<Acl, ChangeOutcome> {
        self.inner.change_acls(acls, true).await
    }

    /// Removes exactly these ACLs, no others that look alike; one that does not exist is `Done`.
    pub async fn delete_acls(&self, acls: &BTreeSet<Acl>) -> BTreeMap<Acl, ChangeOutcome> {
        self.inner.change_acls(acls, false).await
    }
}

/// Whether every broker said that it has this ACL. A broker that did not say is none.
#[must_use]
pub fn in_force(found: &BTreeMap<i32, Answer<BTreeSet<Acl>>>, acl: &Acl) -> bool {
    !found.is_empty() && found.values().all(|answer| answer.as_told().is_some_and(|acls| acls.contains(acl)))
}

impl Router {
    /// Sends a change to any broker (which passes it on to the controller), again while that moves, never after an
    /// answer was lost.
    async fn change_acls(&self, acls: &BTreeSet<Acl>, create: bool) -> BTreeMap<Acl, ChangeOutcome> {
        let (mut done, mut doubts) = (BTreeMap::new(), Doubts::new());
        let mut pending = Vec::new();
        for acl in acls {
            // Numbers of a newer Kafka were read as Unknown: sent back, they would name another ACL, or none.
            if acl.is_known() {
                pending.push(acl.clone());
            } else {
                let what = format!("{} is not understood", acl);
                let trouble = Trouble::new(what, "change it with `kafka-acls.sh`");
                done.insert(acl.clone(), ChangeOutcome::Refused(trouble));
            }
        }
        let mut attempt = 0;
        while !pending.is_empty() {
            let answers = match self.connect_any().await {
                Ok(connection) if create => send_create(&connection, &pending).await,
                Ok(connection) => send_delete(&connection, &pending).await,
                Err(failure) => Err(failure.before_change()),
            };
            attempt += 1;
            // One connection carries all: without an answer each of them is as unknown, or as unsent, as the others.
            let answers = answers.unwrap_or_else(|f| pending.iter().map(|_| Err(f.clone())).collect());
            let api = if create { "CreateAcls" } else { "DeleteAcls" };
            let (mut again, mut log) = (Vec::new(), RetryLog::new(self.side(), api));
            for (acl, result) in pending.into_iter().zip(answers) {
                let result = doubts.judge(&acl, result);
                let most = result.as_ref().err().map_or(0, |f| match f.class {
                    Class::Retry => ATTEMPTS,
                    Class::Unreachable => CONNECT_ATTEMPTS,
                    Class::Lost | Class::Final => 0,
                });
                if attempt < most {
                    log.note(&result);
                    again.push(acl);
                } else {
                    done.insert(acl, ChangeOutcome::from(result));
                }
            }
            log.tell(attempt);
            pending = again;
            if !pending.is_empty() {
                back_off(attempt - 1).await;
            }
        }
        done
    }
}

/// One result for each ACL, in order: answers carry no names.
type AclResults = Result<Vec<Result<(), Failure>>, Failure>;

async fn send_create(connection: &Connection, acls: &[Acl]) -> AclResults {
    let version = connection.need_version::<CreateAclsRequest>("0.11 or later")?;
    let creation = |acl: &Acl| {
        AclCreation::default()
            .with_resource_type(acl.resource as i8)
            .with_resource_name(to_str_bytes(&acl.name))
            .with_resource_pattern_type(acl.pattern as i8)
            .with_principal(to_str_bytes(&acl.principal))
            .with_host(to_str_bytes(&acl.host))
            .with_operation(acl.operation as i8)
            .with_permission_type(acl.permission as i8)
    };
    let request = CreateAclsRequest::default().with_creations(acls.iter().map(creation).collect());
    let answer = connection.call(version, &request).await?;
    let codes = answer.results.into_iter().map(|r| (r.error_code, r.error_message));
    pair_results(connection, "making", acls, codes.collect())
}

async fn send_delete(connection: &Connection, acls: &[Acl]) -> AclResults {
    let version = connection.need_version::<DeleteAclsRequest>("0.11 or later")?;
    let filter = |acl: &Acl| {
        DeleteAclsFilter::default()
            .with_resource_type_filter(acl.resource as i8)
            .with_resource_name_filter(Some(to_str_bytes(&acl.name)))
            .with_pattern_type_filter(acl.pattern as i8)
            .with_principal_filter(Some(to_str_bytes(&acl.principal)))
            .with_host_filter(Some(to_str_bytes(&acl.host)))
            .with_operation(acl.operation as i8)
            .with_permission_type(acl.permission as i8)
    };
    let request = DeleteAclsRequest::default().with_filters(acls.iter().map(filter).collect());
    let answer = connection.call(version, &request).await?;
    let codes = answer.filter_results.into_iter().map(|r| {
        // The filter may be fine and the removal of what it found not.
        let failed = r.matching_acls.into_iter().find(|m| m.error_code != 0);
        match failed {
            Some(m) if r.error_code == 0 => (m.error_code, m.error_message),
            _ => (r.error_code, r.error_message),
        }
    });
    pair_results(connection, "removing", acls, codes.collect())
}

fn pair_results(connection: &Connection, doing: &str, acls: &[Acl], codes: Vec<(i16, Option<StrBytes>)>) -> AclResults {
    // Results carry no names: one too few would put each refusal beside the wrong ACL.
    if codes.len() != acls.len() {
        let what = format!("{} gave {} results for {} ACLs", connection.label(), codes.len(), acls.len());
        return Err(Failure::new(Class::Lost, what, "look at the cluster's ACLs before going on"));
    }
    let result = |(acl, (code, message)): (&Acl, (i16, Option<StrBytes>))| {
        check_message(code, message.as_deref(), format_args!("{doing} an ACL ({acl})"), connection.label())
            .map_err(|failure| failure.naming_right("ALTER on the cluster").of_change())
    };
    Ok(acls.iter().zip(codes).map(result).collect())
}

impl BrokerQuestion<i32> for AclFilter {
    type Told = BTreeSet<Acl>;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeAcls";

    async fn send(&self, connection: &Connection, _: i32, keys: &[i32]) -> Replies<i32, Self::Told> {
        // v0 knows no prefixed patterns (KIP-290, Kafka 2.0) and would show them as none.
        let version = offered_version::<DescribeAclsRequest>(connection, 1)?;
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(self.resource.map_or(ANY, |r| r as i8))
            .with_resource_name_filter(self.name.as_deref().map(to_str_bytes))
            .with_pattern_type_filter(if self.matching { MATCH } else { ANY })
            .with_principal_filter(self.principal.as_deref().map(to_str_bytes))
            // Any host: a denial for one host alone is an ACL that matters, too.
            .with_host_filter(None)
            .with_operation(self.operation.map_or(ANY, |o| o as i8))
            .with_permission_type(self.permission.map_or(ANY, |p| p as i8));
        let answer = connection.call(version, &request).await?;
        check_message(answer.error_code, answer.error_message.as_deref(), "ACLs", connection.label())?;
        let mut acls = BTreeSet::new();
        for resource in answer.resources {
            let (kind, pattern) = (resource.resource_type, resource.pattern_type);
            acls.extend(resource.acls.into_iter().map(|acl| Acl {
                resource: Resource::from_repr(kind).unwrap_or(Resource::Unknown),
                name: resource.resource_name.to_string(),
                pattern: AclPattern::from_repr(pattern).unwrap_or(AclPattern::Unknown),
                principal: acl.principal.to_string(),
                host: acl.host.to_string(),
                operation: Operation::from_repr(acl.operation).unwrap_or(Operation::Unknown),
                permission: Permission::from_repr(acl.permission_type).unwrap_or(Permission::Unknown),
            }));
        }
        // Each broker is asked of itself: there is one key, and the set is what it enforces.
        Ok(keys.iter().map(|node| (*node, Ok(acls.clone()))).collect())
    }
}

fn to_str_bytes(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

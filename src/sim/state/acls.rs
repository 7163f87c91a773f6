//! Who may do what, once an authorizer is on: Kafka's `StandardAuthorizer` with `allow.everyone.if.no.acl.found=true`.
//! Every client is ANONYMOUS. Held to: producing, reading, looking at topics, transactions and producers, markers, ACLs
//! themselves, quotas and users; groups, administration and settings of topics are left free.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::SimState;
use crate::estate::acl::{Acl, Operation, Permission, Resource};

/// Who every client of the simulation is.
const PRINCIPAL: &str = "User:ANONYMOUS";
/// The name of the one cluster resource.
pub const CLUSTER: &str = "kafka-cluster";

impl SimState {
    /// Turns an authorizer on, with no ACL yet: everybody may do everything until there is one.
    pub fn enable_authorizer(&mut self) {
        // Turned on once more it keeps the ACLs that it has.
        self.acls.get_or_insert_default();
    }

    /// Every client is a super user from here on (`super.users=User:ANONYMOUS`): to those no ACL applies
    /// (`StandardAuthorizerData.authorize`).
    pub fn make_everybody_super(&mut self) {
        self.all_super = true;
    }

    /// The ACLs; `None` without an authorizer.
    #[must_use]
    pub fn acls(&self) -> Option<&BTreeSet<Acl>> {
        self.acls.as_ref()
    }

    /// Makes an ACL; one that exists is made again.
    ///
    /// # Errors
    /// SECURITY_DISABLED without an authorizer, INVALID_REQUEST.
    pub(crate) fn create_acl(&mut self, acl: Acl) -> Result<(), ResponseError> {
        let acls = self.acls.as_mut().ok_or(ResponseError::SecurityDisabled)?;
        let cluster = acl.resource != Resource::Cluster || acl.name == CLUSTER;
        if acl.name.is_empty() || !cluster || !acl.is_known() || !acl.principal.contains(':') {
            return Err(ResponseError::InvalidRequest);
        }
        acls.insert(acl);
        self.version += 1;
        Ok(())
    }

    /// Removes the ACLs that `chosen` says yes to, and gives them.
    ///
    /// # Errors
    /// SECURITY_DISABLED without an authorizer.
    pub fn delete_acls(&mut self, chosen: impl Fn(&Acl) -> bool) -> Result<Vec<Acl>, ResponseError> {
        let acls = self.acls.as_mut().ok_or(ResponseError::SecurityDisabled)?;
        let gone: Vec<Acl> = acls.iter().filter(|acl| chosen(acl)).cloned().collect();
        acls.retain(|acl| !chosen(acl));
        self.version += 1;
        Ok(gone)
    }

    /// Whether a client may do this to that. A denial wins; where there is any ACL on a resource, what none allows is
    /// denied.
    ///
    /// # Errors
    /// The resource's AUTHORIZATION_FAILED.
    pub(crate) fn check_permission(
        &self,
        operation: Operation,
        resource: Resource,
        name: &str,
    ) -> Result<(), ResponseError> {
        let Some(acls) = self.acls.as_ref().filter(|_| !self.all_super) else { return Ok(()) };
        let on: Vec<&Acl> = acls.iter().filter(|acl| acl.resource == resource && acl.bears_on(name)).collect();
        let mine = |acl: &&&Acl| {
            matches!(acl.principal.as_str(), PRINCIPAL | "User:*") && matches!(acl.host.as_str(), "*" | "127.0.0.1")
        };
        // Only what is allowed implies more: who may not READ may still DESCRIBE.
        let covers = |acl: &&&Acl| {
            acl.operation == Operation::All
                || acl.operation == operation
                || acl.permission == Permission::Allow && implies_operation(acl.operation, operation)
        };
        let mut said = on.iter().filter(mine).filter(covers).map(|acl| acl.permission).peekable();
        let allowed = match said.peek() {
            None => on.is_empty(),
            Some(_) => said.all(|permission| permission == Permission::Allow),
        };
        if allowed { Ok(()) } else { Err(authorization_error(resource)) }
    }

    /// One bit for each operation on the cluster that is allowed (KIP-430); none without DESCRIBE, as in Kafka.
    #[must_use]
    pub(crate) fn cluster_operations(&self) -> i32 {
        const ON_CLUSTER: [Operation; 7] = [
            Operation::Create,
            Operation::Alter,
            Operation::Describe,
            Operation::ClusterAction,
            Operation::DescribeConfigs,
            Operation::AlterConfigs,
            Operation::IdempotentWrite,
        ];
        let may = |operation: &Operation| self.check_permission(*operation, Resource::Cluster, CLUSTER).is_ok();
        if !may(&Operation::Describe) {
            return 0;
        }
        ON_CLUSTER.iter().filter(|o| may(o)).fold(0, |bits, o| bits | 1 << *o as i8)
    }
}

/// Who may read, write, delete or alter may also describe.
fn implies_operation(allowed: Operation, asked: Operation) -> bool {
    asked == Operation::Describe
        && matches!(allowed, Operation::Read | Operation::Write | Operation::Delete | Operation::Alter)
}

fn authorization_error(resource: Resource) -> ResponseError {
    match resource {
        Resource::Topic => ResponseError::TopicAuthorizationFailed,
        Resource::Group => ResponseError::GroupAuthorizationFailed,
        Resource::TransactionalId => ResponseError::TransactionalIdAuthorizationFailed,
        _ => ResponseError::ClusterAuthorizationFailed,
    }
}

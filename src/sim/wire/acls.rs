//! DescribeAcls, CreateAcls, DeleteAcls.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{ConnectionContext, error_code_of, to_str_bytes};
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::sim::state::{CLUSTER, SimState};

const ANY: i8 = 1;
const MATCH: i8 = 2;

/// What a filter asks for, in the protocol's numbers.
struct RawAclFilter<'a> {
    resource: i8,
    name: Option<&'a str>,
    pattern: i8,
    principal: Option<&'a str>,
    host: Option<&'a str>,
    operation: i8,
    permission: i8,
}

impl RawAclFilter<'_> {
    fn takes(&self, acl: &Acl) -> bool {
        let number = |asked: i8, has: i8| asked == ANY || asked == has;
        let word = |asked: Option<&str>, has: &str| asked.is_none_or(|a| a == has);
        let named = match (self.name, self.pattern) {
            (None, _) => true,
            // MATCH (KIP-290): every pattern that takes the name in.
            (Some(name), MATCH) => acl.bears_on(name),
            (Some(name), _) => acl.name == name,
        };
        named
            && (self.pattern == MATCH || number(self.pattern, acl.pattern as i8))
            && number(self.resource, acl.resource as i8)
            && number(self.operation, acl.operation as i8)
            && number(self.permission, acl.permission as i8)
            && word(self.principal, &acl.principal)
            && word(self.host, &acl.host)
    }
}

pub(super) fn check_cluster_permission(state: &SimState, operation: Operation) -> Result<(), ResponseError> {
    state.check_permission(operation, Resource::Cluster, CLUSTER)
}

pub(super) fn describe_acls(
    context: &ConnectionContext<'_>,
    request: DescribeAclsRequest,
    _: i16,
) -> DescribeAclsResponse {
    let filter = RawAclFilter {
        resource: request.resource_type_filter,
        name: request.resource_name_filter.as_deref(),
        pattern: request.pattern_type_filter,
        principal: request.principal_filter.as_deref(),
        host: request.host_filter.as_deref(),
        operation: request.operation,
        permission: request.permission_type,
    };
    context.shared.with_state(|s, _| {
        let found = check_cluster_permission(s, Operation::Describe)
            .and_then(|()| s.acls().ok_or(ResponseError::SecurityDisabled));
        let mut response =
            DescribeAclsResponse::default().with_error_code(error_code_of(&found)).with_error_message(None);
        for acl in found.into_iter().flatten().filter(|acl| filter.takes(acl)) {
            let description = AclDescription::default()
                .with_principal(to_str_bytes(&acl.principal))
                .with_host(to_str_bytes(&acl.host))
                .with_operation(acl.operation as i8)
                .with_permission_type(acl.permission as i8);
            let resource = DescribeAclsResource::default()
                .with_resource_type(acl.resource as i8)
                .with_resource_name(to_str_bytes(&acl.name))
                .with_pattern_type(acl.pattern as i8)
                .with_acls(vec![description]);
            response.resources.push(resource);
        }
        response
    })
}

pub(super) fn create_acls(context: &ConnectionContext<'_>, request: CreateAclsRequest, _: i16) -> CreateAclsResponse {
    context.shared.with_state(|s, _| {
        let results = request.creations.iter().map(|c| {
            // A number that is not known becomes `Unknown`, which `create_acl` refuses.
            let acl = Acl {
                resource: Resource::from_repr(c.resource_type).unwrap_or(Resource::Unknown),
                name: c.resource_name.to_string(),
                pattern: AclPattern::from_repr(c.resource_pattern_type).unwrap_or(AclPattern::Unknown),
                principal: c.principal.to_string(),
                host: c.host.to_string(),
                operation: Operation::from_repr(c.operation).unwrap_or(Operation::Unknown),
                permission: Permission::from_repr(c.permission_type).unwrap_or(Permission::Unknown),
            };
            let made = check_cluster_permission(s, Operation::Alter).and_then(|()| s.create_acl(acl));
            AclCreationResult::default().with_error_code(error_code_of(&made)).with_error_message(None)
        });
        let results = results.collect();
        CreateAclsResponse::default().with_results(results)
    })
}

pub(super) fn delete_acls(context: &ConnectionContext<'_>, request: DeleteAclsRequest, _: i16) -> DeleteAclsResponse {
    context.shared.with_state(|s, _| {
        let results = request.filters.iter().map(|f| {
            let filter = RawAclFilter {
                resource: f.resource_type_filter,
                name: f.resource_name_filter.as_deref(),
                pattern: f.pattern_type_filter,
                principal: f.principal_filter.as_deref(),
                host: f.host_filter.as_deref(),
                operation: f.operation,
                permission: f.permission_type,
            };
            let gone =
                check_cluster_permission(s, Operation::Alter).and_then(|()| s.delete_acls(|acl| filter.takes(acl)));
            let result =
                DeleteAclsFilterResult::default().with_error_code(error_code_of(&gone)).with_error_message(None);
            result.with_matching_acls(gone.unwrap_or_default().iter().map(to_matching_acl).collect())
        });
        let results = results.collect();
        DeleteAclsResponse::default().with_filter_results(results)
    })
}

fn to_matching_acl(acl: &Acl) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_error_message(None::<StrBytes>)
        .with_resource_type(acl.resource as i8)
        .with_resource_name(to_str_bytes(&acl.name))
        .with_pattern_type(acl.pattern as i8)
        .with_principal(to_str_bytes(&acl.principal))
        .with_host(to_str_bytes(&acl.host))
        .with_operation(acl.operation as i8)
        .with_permission_type(acl.permission as i8)
}

//! ACLs, and what they do to whom they are about. The cases talk as ANONYMOUS to a broker with an authorizer that allows
//! everybody what no ACL is about.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, FindCoordinatorRequest, ListOffsetsRequest,
    MetadataRequest,
};

use super::logs::now;
use super::{Case, text, until, word};

const TOPIC: i8 = 2;
const TRANSACTIONAL_ID: i8 = 5;
const ANY: i8 = 1;
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
const READ: i8 = 3;
const WRITE: i8 = 4;
const ALL: i8 = 2;
const ME: &str = "User:ANONYMOUS";

/// Kind, name (of this case, unless `*`), pattern, principal, operation, permission.
type Acl<'a> = (i8, &'a str, i8, &'a str, i8, i8);

impl Case {
    fn full(&self, name: &str) -> String {
        if name == "*" || name.is_empty() { name.to_owned() } else { self.name(name) }
    }

    /// CreateAcls v3.
    fn make(&mut self, acl: Acl<'_>) -> String {
        let creation = AclCreation::default()
            .with_resource_type(acl.0)
            .with_resource_name(text(&self.full(acl.1)))
            .with_resource_pattern_type(acl.2)
            .with_principal(text(acl.3))
            .with_host(text("*"))
            .with_operation(acl.4)
            .with_permission_type(acl.5);
        let answer = self.wire.call(3, &CreateAclsRequest::default().with_creations(vec![creation]));
        word(answer.results[0].error_code)
    }

    /// DescribeAcls v3 of one name by a pattern filter, any principal, operation and permission.
    fn about(&mut self, kind: i8, name: Option<&str>, pattern: i8) -> String {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(kind)
            .with_resource_name_filter(name.map(|n| text(&self.full(n))))
            .with_pattern_type_filter(pattern)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = self.wire.call(3, &request);
        let mut all: Vec<String> = Vec::new();
        for r in &answer.resources {
            all.extend(r.acls.iter().map(|a| {
                let name = r.resource_name.replace(&self.name(""), "");
                let who = format!("{} {}", a.principal.as_str(), a.host.as_str());
                format!("{} {name} {} {who} {} {}", r.resource_type, r.pattern_type, a.operation, a.permission_type)
            }));
        }
        all.sort();
        format!("{} {all:?}", word(answer.error_code))
    }

    /// DeleteAcls v3; `None` in a place is any.
    fn unmake(&mut self, acl: Acl<'_>, principal: Option<&str>) -> String {
        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(acl.0)
            .with_resource_name_filter(Some(text(&self.full(acl.1))))
            .with_pattern_type_filter(acl.2)
            .with_principal_filter(principal.map(text))
            .with_host_filter(None)
            .with_operation(acl.4)
            .with_permission_type(acl.5);
        let answer = self.wire.call(3, &DeleteAclsRequest::default().with_filters(vec![filter]));
        let r = &answer.filter_results[0];
        format!("{} removed={}", word(r.error_code), r.matching_acls.len())
    }

    /// Waits until the broker enforces what was changed.
    fn enforced(&mut self, kind: i8, name: &str, count: usize) {
        until("the change is enforced", || self.about(kind, Some(name), MATCH).matches("User:").count() == count);
    }

    /// What is left of a topic to somebody without rights on it.
    fn topic_rights(&mut self, topic: &str) -> String {
        let named = MetadataRequestTopic::default().with_name(Some(self.topic_name(topic)));
        let metadata = MetadataRequest::default().with_topics(Some(vec![named]));
        let seen = word(self.wire.call(9, &metadata).topics[0].error_code);
        let all = self.wire.call(9, &MetadataRequest::default().with_topics(None));
        let own = self.name(topic);
        let among = all.topics.iter().any(|t| t.name.as_ref().is_some_and(|n| n.as_str() == own));
        let p = ListOffsetsPartition::default().with_current_leader_epoch(-1).with_timestamp(-1);
        let t = ListOffsetsTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![p]);
        let ask = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![t]);
        let ends = word(self.wire.call(7, &ask).topics[0].partitions[0].error_code);
        let fetched = self.fetch(topic, 0, 0, 0).to_string();
        let fetched = fetched.split(' ').next().unwrap_or_default().to_owned();
        let producers = self.producers(topic, 0);
        format!("metadata={seen} among={among} ends={ends} fetch={fetched} producers={producers}")
    }

    fn finds(&mut self, id: &str) -> String {
        let request =
            FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![text(&self.name(id))]);
        word(self.wire.call(4, &request).coordinators[0].error_code)
    }
}

pub fn no_authorizer(case: &mut Case) {
    let made = case.make((TOPIC, "t", LITERAL, ME, WRITE, DENY));
    case.say(format!("create: {made}"));
    let found = case.about(TOPIC, Some("t"), LITERAL);
    case.say(format!("describe: {found}"));
    let removed = case.unmake((TOPIC, "t", LITERAL, ME, WRITE, DENY), None);
    case.say(format!("delete: {removed}"));
}

pub fn kept(case: &mut Case) {
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    say!("none", case.about(TOPIC, Some("t"), MATCH));
    for (what, acl) in [
        ("an empty name", (TOPIC, "", LITERAL, ME, WRITE, DENY)),
        ("no principal type", (TOPIC, "t", LITERAL, "bob", WRITE, DENY)),
        ("a cluster of another name", (4, "t", LITERAL, ME, WRITE, DENY)),
        ("one", (TOPIC, "t", LITERAL, "User:a", WRITE, DENY)),
        ("the same", (TOPIC, "t", LITERAL, "User:a", WRITE, DENY)),
        ("a prefix", (TOPIC, "t", PREFIXED, "User:b", READ, ALLOW)),
        ("another topic", (TOPIC, "u", LITERAL, "User:a", ALL, ALLOW)),
    ] {
        say!(format!("create {what}"), case.make(acl));
    }
    case.enforced(TOPIC, "t", 2);
    case.enforced(TOPIC, "u", 1);
    say!("literal", case.about(TOPIC, Some("t"), LITERAL));
    say!("prefixed", case.about(TOPIC, Some("t"), PREFIXED));
    say!("any pattern", case.about(TOPIC, Some("t"), ANY));
    say!("matching t", case.about(TOPIC, Some("t"), MATCH));
    say!("matching t2", case.about(TOPIC, Some("t2"), MATCH));
    say!("another kind", case.about(TRANSACTIONAL_ID, Some("t"), ANY));
    say!("any kind", case.about(ANY, Some("t"), ANY));
    say!("delete another's", case.unmake((TOPIC, "t", LITERAL, "", WRITE, DENY), Some("User:z")));
    say!("delete", case.unmake((TOPIC, "t", LITERAL, "", WRITE, DENY), Some("User:a")));
    case.enforced(TOPIC, "t", 1);
    say!("delete again", case.unmake((TOPIC, "t", LITERAL, "", WRITE, DENY), Some("User:a")));
    say!("delete what matches", case.unmake((TOPIC, "t", MATCH, "", ANY, ANY), None));
    say!("delete of any operation", case.unmake((TOPIC, "u", ANY, "", ANY, ANY), None));
    case.enforced(TOPIC, "t", 0);
    case.enforced(TOPIC, "u", 0);
    say!("none", case.about(TOPIC, Some("t"), MATCH));
}

pub fn topics(case: &mut Case) {
    case.topic("t", 1, &[]);
    case.topic("u", 1, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    say!("produce", case.produce("t", 0, &[now()]));
    let other = (TOPIC, "t", LITERAL, "User:other", WRITE, DENY);
    say!("deny somebody else", case.make(other));
    case.enforced(TOPIC, "t", 1);
    say!("produce", case.produce("t", 0, &[now()]));
    say!("rights", case.topic_rights("t"));
    say!("another topic", case.produce("u", 0, &[now()]));
    let allow = (TOPIC, "t", PREFIXED, ME, ALL, ALLOW);
    say!("allow all of the prefix", case.make(allow));
    case.enforced(TOPIC, "t", 2);
    say!("produce", case.produce("t", 0, &[now()]));
    say!("rights", case.topic_rights("t"));
    let deny = (TOPIC, "t", LITERAL, ME, WRITE, DENY);
    say!("deny to write", case.make(deny));
    case.enforced(TOPIC, "t", 3);
    say!("produce", case.produce("t", 0, &[now()]));
    say!("rights", case.topic_rights("t"));
    for acl in [other, allow, deny] {
        say!("delete", case.unmake(acl, Some(acl.3)));
    }
    case.enforced(TOPIC, "t", 0);
    say!("produce", case.produce("t", 0, &[now()]));
}

pub fn transactional_ids(case: &mut Case) {
    case.topic("t", 1, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let p = case.init_when_ready("x");
    case.add_when_ready("x", p, "t", 0);
    say!("write", case.write("x", p, "t", 0, 0, 1));
    let deny = (TRANSACTIONAL_ID, "x", LITERAL, "User:*", WRITE, DENY);
    say!("deny everybody to write", case.make(deny));
    case.enforced(TRANSACTIONAL_ID, "x", 1);
    say!("initialise", case.init("x", (-1, -1), 60_000).0);
    say!("add", case.add("x", p, "t", 0));
    say!("write", case.write("x", p, "t", 0, 1, 1));
    say!("add a group", case.add_group("x", p, "g"));
    say!("commit", case.end("x", p, true));
    say!("describe", case.described("x"));
    say!("find the coordinator", case.finds("x"));
    say!("list", case.transactions_of(p.0, &[], -1));
    let other = case.init_when_ready("y");
    say!("another id", format!("{}", other.0 >= 0));
    say!("delete", case.unmake(deny, Some("User:*")));
    case.enforced(TRANSACTIONAL_ID, "x", 0);
    say!("write", case.write("x", p, "t", 0, 1, 1));
    say!("commit", case.end("x", p, true));
}

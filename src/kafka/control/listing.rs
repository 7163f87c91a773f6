//! Whether a list of all topics is whole for this principal: the questions behind [`crate::estate::listing`].

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::MetadataResponse;

use super::connection::Connection;
use super::failure::{Class, Failure, check_code};
use super::inventory::agree_on_acls;
use super::router::{Router, back_off};
use super::scatter::{BrokerQuestion, Replies};
use super::settings::describe_authorizer;
use super::transactions::to_answer;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble};
use crate::estate::acl::{Acl, AclFilter, Resource};
use crate::estate::listing::{NameShown, check_decides_by_acls, find_hidden_classes, list_probes};
use crate::estate::transactions::{Answer, Since, Unavailable};

/// How often all brokers are asked for their ACLs while they show different ones: an ACL that was just made reaches them
/// one by one, within a second or so. With [`back_off`] that is 1.5 s of waiting.
const LOOKS_AT_ACLS: u32 = 6;
/// Names in one Metadata request.
const NAMES_PER_REQUEST: usize = 1_000;
/// Characters that are made up for a name that nobody has.
const SALT: usize = 16;

/// Which authorizer a broker has (`authorizer.class.name`); empty: none.
struct AuthorizerQuestion;

impl BrokerQuestion<i32> for AuthorizerQuestion {
    type Told = String;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeConfigs";

    async fn send(&self, connection: &Connection, node: i32, _: &[i32]) -> Replies<i32, String> {
        Ok(vec![(node, describe_authorizer(connection, node).await)])
    }
}

impl Router {
    /// Why topics may be missing from `listed`, which Metadata gave when it was asked for all of them; `None`: none can be.
    /// Asks every broker for ACLs and its authorizer, and one for names that nobody has: nothing comes to be by that. An ACL
    /// that changes between the list and this is not seen: both lie within one look.
    pub(super) async fn find_hidden_topics(&self, listed: &MetadataResponse) -> Option<Trouble> {
        let nodes: Vec<i32> = listed.brokers.iter().map(|b| b.node_id.0).collect();
        let filter = AclFilter { resource: Some(Resource::Topic), ..AclFilter::default() };
        let acls = self.fetch_acls(&filter, &nodes).await;
        self.find_hidden_by(listed, &acls).await
    }

    /// The same from ACLs that were just asked for: those of topics have to be among them.
    pub(super) async fn find_hidden_by(
        &self,
        listed: &MetadataResponse,
        acls: &Answer<BTreeSet<Acl>>,
    ) -> Option<Trouble> {
        let side = self.side();
        let acls = match acls {
            Answer::Told(acls) => acls,
            // Where nobody decides, everybody is shown everything.
            Answer::Unavailable(Unavailable::NoAuthorizer) => return None,
            Answer::Hidden(_) => {
                return Some(Trouble::new(
                    format!(
                        "this principal is shown only those topics of {side} that it may DESCRIBE, and may not see the ACLs \
                         that tell whether that is all of them (DESCRIBE on Cluster missing)"
                    ),
                    "grant it DESCRIBE on the cluster; `cutover doctor --acls read-only --principal User:NAME` writes the line",
                ));
            }
            untold => {
                let why = untold.to_trouble().unwrap_or_else(|| Trouble::new("no answer", ""));
                return Some(Trouble::new(
                    format!("whether all topics of {side} are shown can't be told: {why}"),
                    why.advice,
                ));
            }
        };
        let nodes: Vec<i32> = listed.brokers.iter().map(|b| b.node_id.0).collect();
        if let Err(why) = self.check_authorizers(&nodes).await {
            return Some(why);
        }
        let shown: BTreeSet<&str> = listed.topics.iter().filter_map(|t| Some(t.name.as_ref()?.as_str())).collect();
        let salt: String = std::iter::repeat_with(fastrand::alphanumeric).take(SALT).collect();
        let probes = match list_probes(acls, |name| shown.contains(name), &salt) {
            Ok(probes) => probes,
            Err(why) => return Some(why),
        };
        let names: Vec<String> = probes.keys().cloned().collect();
        let mut told = BTreeMap::new();
        for some in names.chunks(NAMES_PER_REQUEST) {
            match self.ask_metadata(Some(some), false).await {
                Ok(answer) => told.extend(answer.topics.iter().filter_map(|t| {
                    let name = t.name.as_ref()?.to_string();
                    let told = told_of_name(side, &name, t.error_code);
                    Some((name, told))
                })),
                Err(failure) => {
                    let why = Trouble::from(failure);
                    told.extend(some.iter().map(|name| (name.clone(), NameShown::Unknown(why.clone()))));
                }
            }
        }
        find_hidden_classes(side, &probes, &told)
    }

    /// Whether ACLs are all that decides on these brokers. Those that can't be reached answer no list either.
    async fn check_authorizers(&self, nodes: &[i32]) -> Result<(), Trouble> {
        let (mut answered, mut silent) = (false, None);
        for found in self.ask_each(&AuthorizerQuestion, nodes).await.into_values() {
            match found {
                Ok(class) => {
                    check_decides_by_acls(self.side(), Some(&class))?;
                    answered = true;
                }
                Err(failure) if matches!(failure.class, Class::Unreachable | Class::Lost | Class::Retry) => {
                    silent = Some(failure);
                }
                Err(failure) => {
                    let what = format!(
                        "which authorizer decides on {} can't be seen, and so not whether topics are hidden: {}",
                        self.side(),
                        failure.trouble.what
                    );
                    return Err(Trouble::new(what, failure.trouble.advice.clone()));
                }
            }
        }
        match silent {
            Some(failure) if !answered => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// The ACLs that all brokers enforce.
    pub(super) async fn fetch_acls(&self, filter: &AclFilter, nodes: &[i32]) -> Answer<BTreeSet<Acl>> {
        let mut look = 0;
        loop {
            let found = self.ask_each(filter, nodes).await;
            let found = found.into_iter().map(|(node, result)| (node, to_answer(result, Since::V0_11))).collect();
            look += 1;
            match agree_on_acls(self.side(), found) {
                Ok(answer) => return answer,
                Err(trouble) if look == LOOKS_AT_ACLS => return Answer::Unknown(trouble),
                Err(trouble) => {
                    tracing::info!(side = %self.side(), look, why = %trouble.what, "asked again");
                    back_off(look - 1).await;
                }
            }
        }
    }
}

/// What Metadata said of one name.
fn told_of_name(side: Side, name: &str, code: i16) -> NameShown {
    let subject = format!("topic {}", visible_name(name));
    match check_code(code, subject, &side.to_string()) {
        Ok(()) => NameShown::Yes,
        Err(Failure { error: Some(ResponseError::TopicAuthorizationFailed), .. }) => NameShown::No,
        // Rights are asked first: only who may describe it is told that there is none, or can be none.
        Err(Failure {
            error: Some(ResponseError::UnknownTopicOrPartition | ResponseError::InvalidTopicException),
            ..
        }) => NameShown::Yes,
        Err(failure) => NameShown::Unknown(failure.into()),
    }
}

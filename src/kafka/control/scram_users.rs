//! Whom a cluster keeps a password for: DescribeUserScramCredentials (KIP-554, Kafka 2.7; KIP-900, 3.5 without ZooKeeper). No
//! cluster tells the passwords.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{DescribeTransactionsRequest, DescribeUserScramCredentialsRequest};

use super::connection::Connection;
use super::failure::check_message;
use super::router::Router;
use super::scatter::{Anywhere, BrokerQuestion, Replies};
use super::transactions::{offered_version, to_answer};
use crate::base::sanitise::visible_name;
use crate::estate::inventory::{ScramCredential, ScramMechanism};
use crate::estate::transactions::{Answer, Since, Unavailable};

/// Users by name, with what is stored for each.
type ScramUsers = BTreeMap<String, BTreeSet<ScramCredential>>;

impl Router {
    /// Every SCRAM user there is.
    pub(super) async fn fetch_scram_users(&self) -> Answer<ScramUsers> {
        match self.ask_anyone(&ScramQuestion).await {
            Ok(answer) => answer,
            Err(failure) => to_answer(Err(failure), Since::V2_7),
        }
    }
}

struct ScramQuestion;

impl BrokerQuestion<Anywhere<()>> for ScramQuestion {
    type Told = Answer<ScramUsers>;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeUserScramCredentials";

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        _: &[Anywhere<()>],
    ) -> Replies<Anywhere<()>, Answer<ScramUsers>> {
        let version = match offered_version::<DescribeUserScramCredentialsRequest>(connection, 0) {
            Ok(version) => version,
            // What is newer than 2.7 and lacks it is a broker of KRaft's first releases.
            Err(_) if connection.common_version::<DescribeTransactionsRequest>().is_some() => {
                return Ok(vec![(Anywhere(()), Ok(Answer::Unavailable(Unavailable::Before(Since::V3_5))))]);
            }
            Err(failure) => return Err(failure),
        };
        // No names: all of them.
        let request = DescribeUserScramCredentialsRequest::default().with_users(None);
        let answer = connection.call(version, &request).await?;
        check_message(answer.error_code, answer.error_message.as_deref(), "SCRAM users", connection.label())
            .map_err(|failure| failure.naming_right("DESCRIBE on the cluster"))?;
        let mut users = ScramUsers::new();
        for user in answer.results {
            let subject = format!("SCRAM user {}", visible_name(&user.user));
            check_message(user.error_code, user.error_message.as_deref(), subject, connection.label())?;
            let credentials = user.credential_infos.into_iter().map(|c| ScramCredential {
                mechanism: ScramMechanism::from_repr(c.mechanism).unwrap_or(ScramMechanism::Unknown),
                iterations: c.iterations,
            });
            users.insert(user.user.to_string(), credentials.collect());
        }
        Ok(vec![(Anywhere(()), Ok(Answer::Told(users)))])
    }
}

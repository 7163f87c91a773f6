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

/// LeaderAndIsr: the controller of a cluster of ZooKeeper sends it, so that brokers of such a cluster alone speak it.
const LEADER_AND_ISR: i16 = 4;

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

/// A user's name. A cluster of ZooKeeper tells it as it is written there, percent-encoded (seen on 2.8.2: `bob%20%C3%BC`), and
/// every other cluster as it is.
fn read_name(told: &str, by_zookeeper: bool) -> String {
    let decoded = by_zookeeper.then(|| decode_percent(told)).flatten();
    decoded.unwrap_or_else(|| told.to_owned())
}

/// Undoes Kafka's `Sanitizer` (RFC 3986's percent-encoding of UTF-8); `None` for what it can't have written.
fn decode_percent(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        bytes.push(u8::from_str_radix(after.get(..2).filter(|hex| !hex.starts_with('+'))?, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).ok()
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
        // No names: all of them. An empty list says the same as null, and over null a broker that has to refuse trips (seen on
        // 2.8.2 and 4.3.1: a NullPointerException in `getErrorResponse`): it never answers, nor what comes behind it on
        // the connection.
        let request = DescribeUserScramCredentialsRequest::default().with_users(Some(Vec::new()));
        let answer = connection.call(version, &request).await?;
        check_message(answer.error_code, answer.error_message.as_deref(), "SCRAM users", connection.label())
            .map_err(|failure| failure.naming_right("DESCRIBE on the cluster"))?;
        let by_zookeeper = connection.versions().contains_key(&LEADER_AND_ISR);
        let mut users = ScramUsers::new();
        for user in answer.results {
            let subject = format!("SCRAM user {}", visible_name(&user.user));
            check_message(user.error_code, user.error_message.as_deref(), subject, connection.label())?;
            let credentials = user.credential_infos.into_iter().map(|c| ScramCredential {
                mechanism: ScramMechanism::from_repr(c.mechanism).unwrap_or(ScramMechanism::Unknown),
                iterations: c.iterations,
            });
            users.insert(read_name(&user.user, by_zookeeper), credentials.collect());
        }
        Ok(vec![(Anywhere(()), Ok(Answer::Told(users)))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_they_are_whoever_keeps_them() {
        for (told, name) in [("bob%20%C3%BC", "bob \u{fc}"), ("a%2520", "a%20"), ("plain", "plain"), ("", "")] {
            assert_eq!(read_name(told, true), name);
            assert_eq!(read_name(told, false), told, "without ZooKeeper nothing is encoded");
        }
        for odd in ["50%", "%+1", "%zz", "%C3", "%e\u{fc}"] {
            assert_eq!(read_name(odd, true), odd, "no encoding of Kafka's");
        }
    }
}

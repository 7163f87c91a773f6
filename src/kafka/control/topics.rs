//! Topics: names, counts, creation, deletion.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::ChangeOutcome;
use super::connection::Connection;
use super::failure::{Class, Doubts, Failure, RetryLog, check_code, check_message, log_retry};
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, Cluster, Router, back_off};
use crate::base::Trouble;
use crate::base::sanitise::visible_name;

/// How long a broker may take to create, grow or delete topics, ms.
pub(super) const CHANGE_TIMEOUT_MS: i32 = 10_000;

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replication factor, -1 for the cluster's default (Kafka 2.4).
    pub replication_factor: i16,
    /// Configuration entries that differ from the cluster's.
    pub config: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the cluster's configuration.
    pub fn new(name: impl Into<String>, partitions: i32, replication_factor: i16) -> Self {
        Self { name: name.into(), partitions, replication_factor, config: BTreeMap::new() }
    }

    /// With a configuration entry.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }
}

impl Cluster {
    /// The names of all topics that may be seen, as they are.
    pub(crate) async fn topic_names(&self) -> Result<BTreeSet<String>, Trouble> {
        let metadata = self.inner.refresh_metadata(None).await?;
        Ok(metadata.topics.iter().filter_map(|t| t.name.as_ref()).map(|name| name.to_string()).collect())
    }

    /// How many partitions each of these topics has, internal ones too. Errors: no broker answers; in a topic's place, that
    /// it does not exist, or may not be seen.
    pub(crate) async fn partition_counts(
        &self,
        topics: &[String],
    ) -> Result<BTreeMap<String, Result<i32, Trouble>>, Trouble> {
        let metadata = self.inner.refresh_metadata(Some(topics)).await?;
        let count = |t: &MetadataResponseTopic| {
            let name = t.name.as_ref()?.to_string();
            let checked =
                check_code(t.error_code, format_args!("topic {}", visible_name(&name)), &self.side().to_string());
            let count = checked.map(|()| i32::try_from(t.partitions.len()).unwrap_or(i32::MAX));
            Some((name, count.map_err(Trouble::from)))
        };
        let found: BTreeMap<_, _> = metadata.topics.iter().filter_map(count).collect();
        let missing = |t: &String| {
            let what = format!("{} did not say how many partitions {} has", self.side(), visible_name(t));
            Err(Trouble::new(what, "look at the brokers' logs"))
        };
        Ok(topics.iter().map(|t| (t.clone(), found.get(t).cloned().unwrap_or_else(|| missing(t)))).collect())
    }

    /// Creates topics and waits (bounded) until their partitions have leaders. `validate_only` changes nothing. One
    /// that exists already is `Refused`, unless an earlier try of this call may have made it. Errors: nothing was sent.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<BTreeMap<String, ChangeOutcome>, Trouble> {
        let names: Vec<String> = topics.iter().map(|t| t.name.clone()).collect();
        let outcomes = self.inner.change_topics(&names, TopicChange::Create { topics, validate_only }).await?;
        if !validate_only {
            let made = topics.iter().filter(|t| outcomes.get(&t.name).is_some_and(ChangeOutcome::is_done));
            self.inner.await_leaders(&made.map(|t| (t.name.clone(), t.partitions)).collect()).await;
        }
        Ok(outcomes)
    }

    /// Deletes topics. One that does not exist is `Refused`, unless an earlier try of this call may have deleted it.
    /// Errors: nothing was sent.
    pub async fn delete_topics(&self, topics: &[String]) -> Result<BTreeMap<String, ChangeOutcome>, Trouble> {
        Ok(self.inner.change_topics(topics, TopicChange::Delete).await?)
    }
}

#[derive(Clone, Copy)]
enum TopicChange<'a> {
    Create { topics: &'a [NewTopic], validate_only: bool },
    Delete,
}

impl TopicChange<'_> {
    /// The request, for the log.
    fn api(&self) -> &'static str {
        match self {
            TopicChange::Create { .. } => "CreateTopics",
            TopicChange::Delete => "DeleteTopics",
        }
    }
}

impl Router {
    /// Sends a change to the controller; again while the controller moves, never after an answer was lost.
    async fn change_topics(
        &self,
        names: &[String],
        change: TopicChange<'_>,
    ) -> Result<BTreeMap<String, ChangeOutcome>, Failure> {
        let (mut done, mut doubts) = (BTreeMap::new(), Doubts::new());
        let mut pending: Vec<&String> = names.iter().collect();
        for attempt in 0..ATTEMPTS {
            // Each round: NOT_CONTROLLER tells that it moved, and not where to.
            let known = self.refresh_metadata(Some(&[])).await;
            let asked = known.is_ok();
            let connection = match known {
                Ok(_) => self.connect_controller().await,
                Err(f) => Err(f),
            };
            let connection = match connection {
                Ok(connection) => connection,
                // Metadata was asked for again by itself.
                Err(f) if asked && f.is_passing() && attempt + 1 < CONNECT_ATTEMPTS => {
                    log_retry(self.side(), change.api(), attempt + 1, &f);
                    back_off(attempt).await;
                    continue;
                }
                Err(f) => return leave_off(f, pending, done, doubts),
            };
            let answers = match send_change(&connection, change, &pending).await {
                Ok(answers) => answers,
                Err(f) if f.class == Class::Retry && attempt + 1 < ATTEMPTS => {
                    log_retry(self.side(), change.api(), attempt + 1, &f);
                    back_off(attempt).await;
                    continue;
                }
                Err(f) => pending.iter().map(|n| ((*n).clone(), Err(f.clone()))).collect(),
            };
            let mut log = RetryLog::new(self.side(), change.api());
            let more = attempt + 1 < ATTEMPTS;
            pending = settle_round(pending, answers, more, (&mut done, &mut doubts), &mut log);
            log.tell(attempt + 1);
            if pending.is_empty() {
                break;
            }
            back_off(attempt).await;
        }
        Ok(done)
    }

    /// Before KRaft only the controller changes topics; since then any broker passes it on.
    async fn connect_controller(&self) -> Result<Arc<Connection>, Failure> {
        match self.topology().controller {
            node if node < 0 => self.connect_any().await,
            node => self.connect_node(node).await,
        }
    }

    /// Waits until these topics have as many partitions (-1: any number), all with leaders; gives up quietly after
    /// [`ATTEMPTS`]: whoever asks for offsets next waits, or is told.
    pub(super) async fn await_leaders(&self, topics: &BTreeMap<String, i32>) {
        let names: Vec<String> = topics.keys().cloned().collect();
        for attempt in 0..ATTEMPTS {
            if names.is_empty() {
                return;
            }
            let ready = match self.refresh_metadata(Some(&names)).await {
                Ok(answer) => answer.topics.iter().all(|t| {
                    let least = t.name.as_ref().and_then(|name| topics.get(name.as_str())).copied().unwrap_or(1);
                    let least = usize::try_from(least).unwrap_or(1).max(1);
                    // A broker that has not heard of the topic yet answers with an error, or with fewer partitions.
                    t.error_code == 0 && t.partitions.len() >= least && t.partitions.iter().all(|p| p.leader_id.0 >= 0)
                }),
                Err(failure) => {
                    tracing::warn!(side = %self.side(), why = %failure.trouble.what, "new leaders are not waited for");
                    return;
                }
            };
            if ready {
                return;
            }
            // Fresh Metadata each time also teaches the router the new leaders, so that the next question finds them.
            back_off(attempt).await;
        }
    }
}

/// Takes in the answers of a round: what is settled goes into `done`. Returns the topics that are asked for again, none unless
/// there is one `more` round.
fn settle_round<'n>(
    pending: Vec<&'n String>,
    mut answers: TopicAnswers,
    more: bool,
    (done, doubts): (&mut BTreeMap<String, ChangeOutcome>, &mut Doubts<String>),
    log: &mut RetryLog,
) -> Vec<&'n String> {
    let mut again = Vec::new();
    for name in pending {
        // Left out of the answer to a change: it may have happened.
        let missing = || Err(Failure::new(Class::Lost, format!("no word on topic {}", visible_name(name)), ""));
        let result = answers.remove(name).unwrap_or_else(missing);
        let retry = result.as_ref().is_err_and(|f| f.class == Class::Retry && more);
        let result = doubts.judge(name, result);
        // Deleting what is not there is an answer, although Kafka counts it among those that may pass.
        let absent = result.as_ref().is_err_and(|f| f.error == Some(ResponseError::UnknownTopicOrPartition));
        if retry && !absent {
            log.note(&result);
            again.push(name)
        } else {
            drop(done.insert(name.clone(), ChangeOutcome::from(result)))
        }
    }
    again
}

/// Nobody can be asked any more. What earlier rounds brought stands; an error is only told where they brought nothing.
fn leave_off(
    failure: Failure,
    pending: Vec<&String>,
    mut done: BTreeMap<String, ChangeOutcome>,
    mut doubts: Doubts<String>,
) -> Result<BTreeMap<String, ChangeOutcome>, Failure> {
    if done.is_empty() && doubts.is_empty() {
        return Err(failure);
    }
    let failure = failure.before_change();
    let left = pending.into_iter().map(|name| (name.clone(), doubts.judge(name, Err(failure.clone())).into()));
    done.extend(left.collect::<Vec<_>>());
    Ok(done)
}

type TopicAnswers = HashMap<String, Result<(), Failure>>;

/// Sends a change of the topics that are still pending.
async fn send_change(
    connection: &Connection,
    change: TopicChange<'_>,
    pending: &[&String],
) -> Result<TopicAnswers, Failure> {
    match change {
        TopicChange::Create { topics, validate_only } => {
            // Without what an earlier round settled: a topic that was just made would be refused as existing.
            let some: Vec<_> = topics.iter().filter(|t| pending.contains(&&t.name)).collect();
            send_create(connection, &some, validate_only).await
        }
        TopicChange::Delete => send_delete(connection, pending).await,
    }
}

async fn send_create(
    connection: &Connection,
    topics: &[&NewTopic],
    validate_only: bool,
) -> Result<TopicAnswers, Failure> {
    let version = connection.need_version::<CreateTopicsRequest>("0.11 or later")?;
    let entry = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    let topic = |t: &&NewTopic| {
        CreatableTopic::default()
            .with_name(topic_name(&t.name))
            .with_num_partitions(t.partitions)
            .with_replication_factor(t.replication_factor)
            .with_configs(t.config.iter().map(entry).collect())
    };
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(CHANGE_TIMEOUT_MS)
        .with_validate_only(validate_only);
    let answer = connection.call(version, &request).await?;
    let result = |t: kafka_protocol::messages::create_topics_response::CreatableTopicResult| {
        let subject = format!("topic {}", visible_name(&t.name));
        let checked = check_message(t.error_code, t.error_message.as_deref(), subject, connection.label())
            .map_err(|failure| failure.naming_right("CREATE on the topic, or on the cluster"));
        // A check alone leaves nothing behind, whatever comes of it.
        (t.name.to_string(), if validate_only { checked } else { checked.map_err(Failure::of_change) })
    };
    Ok(answer.topics.into_iter().map(result).collect())
}

async fn send_delete(connection: &Connection, names: &[&String]) -> Result<TopicAnswers, Failure> {
    let version = connection.need_version::<DeleteTopicsRequest>("0.10.1 or later")?;
    let mut request = DeleteTopicsRequest::default().with_timeout_ms(CHANGE_TIMEOUT_MS);
    // From v6 on topics go by name or id (KIP-516), in another field.
    if version >= 6 {
        let state = |n: &&String| DeleteTopicState::default().with_name(Some(topic_name(n)));
        request.topics = names.iter().map(state).collect();
    } else {
        request.topic_names = names.iter().map(|n| topic_name(n)).collect();
    }
    let answer = connection.call(version, &request).await?;
    let result = |t: kafka_protocol::messages::delete_topics_response::DeletableTopicResult| {
        // Null only where a topic was named by its id, which is not done here.
        let name = t.name.map(|n| n.to_string()).unwrap_or_default();
        let subject = format!("topic {name}", name = visible_name(&name));
        let checked = check_message(t.error_code, t.error_message.as_deref(), subject, connection.label());
        (name, checked.map_err(Failure::of_change))
    };
    Ok(answer.responses.into_iter().map(result).collect())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i16) -> Result<(), Failure> {
        check_code(code, "topic", "green broker 1").map_err(Failure::of_change)
    }

    #[test]
    fn what_earlier_rounds_brought_outlives_the_loss_of_the_cluster() {
        let lost = || Failure::new(Class::Lost, "Metadata: no answer", "");
        let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
        assert!(leave_off(lost(), vec![&a], BTreeMap::new(), Doubts::new()).is_err(), "nothing was sent");
        let mut doubts = Doubts::new();
        drop(doubts.judge(&b, answer(7)));
        let done = BTreeMap::from([(a.clone(), ChangeOutcome::Done)]);
        let told = leave_off(lost(), vec![&b, &c], done, doubts).unwrap();
        assert_eq!(told[&a], ChangeOutcome::Done);
        assert!(matches!(told[&b], ChangeOutcome::Unknown(_)), "REQUEST_TIMED_OUT was said of it: {told:?}");
        assert!(matches!(told[&c], ChangeOutcome::Refused(_)), "turned away before, and not sent since: {told:?}");
    }
}

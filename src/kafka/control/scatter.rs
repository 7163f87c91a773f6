//! Asks about many things at the same time, each at the broker that knows it, and again (bounded) while that moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::connection::Connection;
use super::failure::{Class, Doubts, Failure, RetryLog, check_code};
use super::offsets::leader_of;
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, KeyType, Router, back_off};
use crate::base::TopicPartition;
use crate::base::sanitise::visible_name;

/// Things in one request.
const KEYS_PER_REQUEST: usize = 1_000;
/// In the place of a node id: whichever broker is connected. Kafka's own ids are 0 and above.
const ANY_BROKER: i32 = -1;

/// Something that one broker knows.
pub(super) trait Located: Clone + Ord + Send + Sync {
    /// Which broker that is, for each of `keys`; `again` when what was known of it was wrong.
    fn locate(
        inner: &Router,
        keys: &[Self],
        again: bool,
    ) -> impl Future<Output = Vec<(Self, Result<i32, Failure>)>> + Send;
}

/// A transactional id, which its coordinator knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TransactionalId(pub String);

/// What any broker knows, or passes on to the controller itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Anywhere<T>(pub T);

/// What the controller alone changes, before KRaft; since then any broker passes it on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AtController<T>(pub T);

impl<T: Clone + Ord + Send + Sync> Located for Anywhere<T> {
    async fn locate(_: &Router, keys: &[Self], _: bool) -> Vec<(Self, Result<i32, Failure>)> {
        keys.iter().map(|key| (key.clone(), Ok(ANY_BROKER))).collect()
    }
}

impl<T: Clone + Ord + Send + Sync> Located for AtController<T> {
    async fn locate(inner: &Router, keys: &[Self], _: bool) -> Vec<(Self, Result<i32, Failure>)> {
        // Each time: NOT_CONTROLLER tells that it moved, and not where to.
        if let Err(failure) = inner.refresh_metadata(Some(&[])).await {
            return fail_all(keys, &failure);
        }
        let node = match inner.topology().controller {
            node if node < 0 => ANY_BROKER,
            node => node,
        };
        keys.iter().map(|key| (key.clone(), Ok(node))).collect()
    }
}

/// A broker, which knows itself.
impl Located for i32 {
    async fn locate(_: &Router, keys: &[i32], _: bool) -> Vec<(i32, Result<i32, Failure>)> {
        keys.iter().map(|node| (*node, Ok(*node))).collect()
    }
}

impl Located for TransactionalId {
    async fn locate(inner: &Router, keys: &[Self], again: bool) -> Vec<(Self, Result<i32, Failure>)> {
        // A coordinator is asked for only when it is not remembered: forgetting it is how one asks anew.
        if again {
            keys.iter().for_each(|key| inner.forget_coordinator(KeyType::Transaction, &key.0));
        }
        let names: Vec<String> = keys.iter().map(|key| key.0.clone()).collect();
        // Once: who asks this asks again, and both together would wait eight times as long.
        let found = inner.find_coordinators_within(KeyType::Transaction, &names, 1).await;
        found.into_iter().map(|(name, node)| (TransactionalId(name), node)).collect()
    }
}

/// A partition, which its leader knows.
impl Located for TopicPartition {
    async fn locate(inner: &Router, keys: &[Self], again: bool) -> Vec<(Self, Result<i32, Failure>)> {
        let known = inner.topology();
        let mut barred = HashMap::new();
        if again || keys.iter().any(|tp| leader_of(&known.leaders, tp).is_none_or(|l| l < 0)) {
            let topics: BTreeSet<String> = keys.iter().map(|tp| tp.topic.clone()).collect();
            let topics: Vec<String> = topics.into_iter().collect();
            match inner.refresh_metadata(Some(&topics)).await {
                Ok(answer) => barred = barred_topics(&answer, &inner.side().to_string()),
                Err(failure) => return fail_all(keys, &failure),
            }
        }
        // Looked at again: Metadata may have come since, from here or for somebody else.
        let known = inner.topology();
        let node = |tp: &TopicPartition| match leader_of(&known.leaders, tp) {
            Some(node) if node >= 0 => Ok(node),
            // A topic that may not be seen has no leader either: what stays goes before what would be tried again.
            found => Err(barred.get(&tp.topic).cloned().unwrap_or_else(|| inner.no_leader(tp, found))),
        };
        keys.iter().map(|tp| (tp.clone(), node(tp))).collect()
    }
}

/// Topics that Metadata says nothing of for a reason that stays, as that this principal may not see them.
fn barred_topics(answer: &MetadataResponse, side: &str) -> HashMap<String, Failure> {
    let barred = |t: &MetadataResponseTopic| {
        let name = t.name.as_ref()?.to_string();
        let failure = check_code(t.error_code, format_args!("topic {name}", name = visible_name(&name)), side).err()?;
        // LEADER_NOT_AVAILABLE and the like pass: those are left to the retries.
        (failure.class == Class::Final).then_some((name, failure))
    };
    answer.topics.iter().filter_map(barred).collect()
}

/// What one broker said of each thing, unless the whole request failed.
pub(super) type Replies<K, T> = Result<Vec<(K, Result<T, Failure>)>, Failure>;

/// What is asked about `K`.
pub(super) trait BrokerQuestion<K: Located>: Sync {
    /// What a broker says of each.
    type Told: Send;
    /// Whether it may be asked again when an answer was lost: true of what changes nothing.
    const REPEATABLE: bool;
    /// The request, for the log.
    const API: &'static str;
    /// Things in one request, at most.
    const MOST: usize = KEYS_PER_REQUEST;

    /// Asks one broker (`node`); what it leaves out is a failure afterwards.
    fn send(
        &self,
        connection: &Connection,
        node: i32,
        keys: &[K],
    ) -> impl Future<Output = Replies<K, Self::Told>> + Send;
}

impl Router {
    /// Asks about each of `keys` at its broker. Every key is in the answer.
    pub(crate) async fn ask_each<K: Located, A: BrokerQuestion<K>>(
        &self,
        ask: &A,
        keys: &[K],
    ) -> BTreeMap<K, Result<A::Told, Failure>> {
        // Each once, and sorted: requests name a topic once with all its partitions, by looking at the one before.
        let mut pending: Vec<K> = keys.iter().cloned().collect::<BTreeSet<K>>().into_iter().collect();
        let (mut done, mut doubts) = (BTreeMap::new(), Doubts::new());
        let mut attempt = 0;
        while !pending.is_empty() {
            let mut answers = Vec::with_capacity(pending.len());
            let mut by_node: BTreeMap<i32, Vec<K>> = BTreeMap::new();
            // From the second round on what was known of places is the suspect.
            for (key, node) in K::locate(self, &pending, attempt > 0).await {
                match node {
                    Ok(node) => by_node.entry(node).or_default().push(key),
                    Err(failure) => answers.push((key, Err(failure.before_change()))),
                }
            }
            let asked = by_node.iter().map(|(node, keys)| self.ask_node(ask, *node, keys));
            answers.extend(join_all(asked).await.into_iter().flatten());
            pending.clear();
            attempt += 1;
            let mut log = RetryLog::new(self.side(), A::API);
            for (key, result) in answers {
                let result = doubts.judge(&key, result);
                let most = result.as_ref().err().map_or(0, |f| match f.class {
                    Class::Retry => ATTEMPTS,
                    Class::Unreachable => CONNECT_ATTEMPTS,
                    Class::Lost if A::REPEATABLE => CONNECT_ATTEMPTS,
                    Class::Lost | Class::Final => 0,
                });
                if attempt < most {
                    log.note(&result);
                    pending.push(key);
                } else {
                    done.insert(key, result);
                }
            }
            log.tell(attempt);
            if !pending.is_empty() {
                back_off(attempt - 1).await;
            }
        }
        done
    }

    /// Asks any broker about the cluster as a whole.
    pub(super) async fn ask_anyone<A: BrokerQuestion<Anywhere<()>>>(&self, ask: &A) -> Result<A::Told, Failure> {
        let mut found = self.ask_each(ask, &[Anywhere(())]).await;
        let nothing = || Err(Failure::new(Class::Retry, format!("{} did not answer {}", self.side(), A::API), ""));
        found.remove(&Anywhere(())).unwrap_or_else(nothing)
    }

    async fn ask_node<K: Located, A: BrokerQuestion<K>>(
        &self,
        ask: &A,
        node: i32,
        keys: &[K],
    ) -> Vec<(K, Result<A::Told, Failure>)> {
        let connected = match node {
            ANY_BROKER => self.connect_any().await,
            node => self.connect_node(node).await,
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(failure) => return fail_all(keys, &failure.before_change()),
        };
        let parts: Vec<&[K]> = keys.chunks(A::MOST).collect();
        // At once: a broker answers a connection in order, so it works on the next part while this one is decoded.
        let answers = join_all(parts.iter().map(|some| ask.send(&connection, node, some))).await;
        let mut out = Vec::with_capacity(keys.len());
        for (some, answer) in parts.into_iter().zip(answers) {
            let found = match answer {
                Ok(found) => found,
                Err(failure) => {
                    out.extend(fail_all(some, &failure));
                    continue;
                }
            };
            let mut found: BTreeMap<K, _> = found.into_iter().collect();
            let missing = missing_answer(&connection, A::REPEATABLE);
            out.extend(some.iter().map(|key| (key.clone(), found.remove(key).unwrap_or_else(|| Err(missing.clone())))));
        }
        out
    }
}

fn fail_all<K: Clone, T>(keys: &[K], failure: &Failure) -> Vec<(K, Result<T, Failure>)> {
    keys.iter().map(|key| (key.clone(), Err(failure.clone()))).collect()
}

/// A broker left out what it was asked about. Of a change that is no answer at all.
fn missing_answer(connection: &Connection, repeatable: bool) -> Failure {
    let class = if repeatable { Class::Retry } else { Class::Lost };
    Failure::new(class, format!("{} left a part out of its answer", connection.label()), "look at the broker's log")
}

//! Which broker coordinates a group: FindCoordinator, remembered until it turns out wrong.

use std::collections::HashMap;

use futures_util::future::join_all;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::{Class, Failure, RetryLog, check_message};
use super::router::{ATTEMPTS, CONNECT_ATTEMPTS, KeyType, Router, back_off};
use crate::base::lock_unpoisoned;
use crate::base::sanitise::visible_name;

/// Groups in one FindCoordinator request (v4, KIP-699).
const KEYS_PER_LOOKUP: usize = 500;
/// Coordinators remembered; beyond this all are forgotten.
const MAX_COORDINATORS: usize = 100_000;

impl Router {
    /// The coordinators of these keys. Asks in one request where brokers can (v4, Kafka 3.0), else one by one, pipelined.
    pub(crate) async fn find_coordinators(
        &self,
        kind: KeyType,
        keys: &[String],
    ) -> HashMap<String, Result<i32, Failure>> {
        self.find_coordinators_within(kind, keys, ATTEMPTS).await
    }

    /// The same, asked at most `attempts` times.
    pub(crate) async fn find_coordinators_within(
        &self,
        kind: KeyType,
        keys: &[String],
        attempts: u32,
    ) -> HashMap<String, Result<i32, Failure>> {
        let mut found = HashMap::new();
        let mut missing: Vec<String> = Vec::new();
        // The lock ends before brokers are asked: it can't be held over a wait.
        {
            let known = lock_unpoisoned(&self.coordinators);
            for key in keys {
                match known.get(&(kind, key.clone())) {
                    Some(node) => drop(found.insert(key.clone(), Ok(*node))),
                    None => missing.push(key.clone()),
                }
            }
        }
        for attempt in 0..attempts {
            if missing.is_empty() {
                break;
            }
            let answers = join_all(missing.chunks(KEYS_PER_LOOKUP).map(|some| self.look_up(kind, some))).await;
            missing = Vec::new();
            let mut log = RetryLog::new(self.side(), "FindCoordinator");
            for (key, answer) in answers.into_iter().flatten() {
                let again = match &answer {
                    Err(f) if f.class == Class::Retry => attempt + 1 < attempts,
                    // A lookup changes nothing: it may be asked again after its answer was lost, too.
                    Err(f) if f.class != Class::Final => attempt + 1 < CONNECT_ATTEMPTS.min(attempts),
                    _ => false,
                };
                if again {
                    log.note(&answer);
                    missing.push(key);
                } else {
                    found.insert(key, answer);
                }
            }
            log.tell(attempt + 1);
            if !missing.is_empty() {
                back_off(attempt).await;
            }
        }
        let mut known = lock_unpoisoned(&self.coordinators);
        // All, and not the oldest: each costs one question more, and an order of age would have to be kept for all.
        if known.len() + found.len() > MAX_COORDINATORS {
            tracing::debug!(side = %self.side(), known = known.len(), "too many coordinators: all are forgotten");
            known.clear();
        }
        known.extend(found.iter().filter_map(|(k, r)| Some(((kind, k.clone()), *r.as_ref().ok()?))));
        found
    }

    /// Remembers a coordinator that was learned otherwise (a broker lists the groups it coordinates).
    pub(crate) fn learn_coordinator(&self, kind: KeyType, key: &str, node: i32) {
        let mut known = lock_unpoisoned(&self.coordinators);
        if known.len() >= MAX_COORDINATORS {
            known.clear();
        }
        known.insert((kind, key.to_owned()), node);
    }

    /// The groups that a broker coordinated when last heard of.
    pub(crate) fn coordinated_by(&self, node: i32) -> Vec<String> {
        let known = lock_unpoisoned(&self.coordinators);
        known
            .iter()
            .filter(|((kind, _), n)| *kind == KeyType::Group && **n == node)
            .map(|((_, k), _)| k.clone())
            .collect()
    }

    /// Forgets a coordinator that turned out to be none.
    pub(crate) fn forget_coordinator(&self, kind: KeyType, key: &str) {
        if let Some(node) = lock_unpoisoned(&self.coordinators).remove(&(kind, key.to_owned())) {
            tracing::trace!(side = %self.side(), ?kind, key = %visible_name(key), node, "coordinator forgotten");
        }
    }

    async fn look_up(&self, kind: KeyType, keys: &[String]) -> Vec<(String, Result<i32, Failure>)> {
        let asked = async {
            let connection = self.connect_any().await?;
            let version = connection.need_version::<FindCoordinatorRequest>("0.9 or later")?;
            let found = if version >= 4 {
                find_batch(&connection, version, kind, keys).await?
            } else {
                // Lists came with KIP-699 (Kafka 3.0). Pipelined, single questions cost one round trip as well.
                let each = keys.iter().map(|k| find_one(&connection, version, kind, k));
                keys.iter().cloned().zip(join_all(each).await).collect()
            };
            Ok::<_, Failure>(found)
        };
        let found = match asked.await {
            Ok(found) => found,
            Err(failure) => return keys.iter().map(|k| (k.clone(), Err(failure.clone()))).collect(),
        };
        let known = self.topology();
        if found.iter().any(|(_, r)| r.as_ref().is_ok_and(|n| !known.brokers.contains_key(n))) {
            // A coordinator that joined since: its address comes with the next Metadata. If not, asking it says so.
            tracing::debug!(side = %self.side(), "a coordinator that Metadata did not name");
            // An error is no answer to what was asked, and the coordinators were told: they are worth more.
            let _ = self.refresh_metadata(Some(&[])).await;
        }
        found
    }
}

async fn find_batch(
    connection: &Connection,
    version: i16,
    kind: KeyType,
    keys: &[String],
) -> Result<Vec<(String, Result<i32, Failure>)>, Failure> {
    let request = FindCoordinatorRequest::default()
        .with_key_type(kind as i8)
        .with_coordinator_keys(keys.iter().map(|k| StrBytes::from_string(k.clone())).collect());
    let answer = connection.call(version, &request).await?;
    let mut by_key: HashMap<String, Result<i32, Failure>> = HashMap::with_capacity(keys.len());
    for c in answer.coordinators {
        let checked =
            check_message(c.error_code, c.error_message.as_deref(), describe_coordinator(&c.key), connection.label());
        by_key.insert(c.key.to_string(), checked.map(|()| c.node_id.0));
    }
    // Worth another try, not "there is none": nobody may take silence for a group that does not exist.
    let missing = |key: &str| {
        let what = format!("{}: {} left it out of its answer", describe_coordinator(key), connection.label());
        Err(Failure::new(Class::Retry, what, ""))
    };
    Ok(keys.iter().map(|k| (k.clone(), by_key.remove(k).unwrap_or_else(|| missing(k)))).collect())
}

async fn find_one(connection: &Connection, version: i16, kind: KeyType, key: &str) -> Result<i32, Failure> {
    let mut request = FindCoordinatorRequest::default().with_key(StrBytes::from_string(key.to_owned()));
    // v0 (before 0.11) knows groups alone. Of a transactional id it would tell the group's coordinator, which then
    // lacks every request about transactions.
    if version >= 1 {
        request.key_type = kind as i8;
    }
    let answer = connection.call(version, &request).await?;
    check_message(answer.error_code, answer.error_message.as_deref(), describe_coordinator(key), connection.label())?;
    Ok(answer.node_id.0)
}

fn describe_coordinator(key: &str) -> String {
    format!("coordinator of `{}`", visible_name(key))
}

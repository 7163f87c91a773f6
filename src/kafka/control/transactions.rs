//! Transactional ids: what their coordinators say of them (KIP-664), and the two ways to end what is open: fencing, and
//! markers by hand.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::TransactionState as Described;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, InitProducerIdRequest, ListTransactionsRequest, ProducerId, TopicName,
    WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::ChangeOutcome;
use super::connection::Connection;
use super::failure::{Class, Failure, check_code};
use super::router::{Cluster, KeyType};
use super::scatter::{BrokerQuestion, Replies, TransactionalId};
use crate::base::sanitise::visible_name;
use crate::base::{At, TopicPartition, Trouble};
use crate::estate::transactions::{
    Answer, Fencing, Hanging, ListedTransaction, Since, TransactionState, TransactionView, Unavailable,
};

/// The transaction timeout that a fence sets on its id, until a producer initialises it again, ms. It also bounds how
/// long the coordinator waits for its own log, so it must not be tiny (KAFKA-16047).
const FENCE_TIMEOUT_MS: i32 = 30_000;
/// The same for a cluster whose `transaction.max.timeout.ms` is below that.
const SHORT_FENCE_TIMEOUT_MS: i32 = 1_000;

/// Which transactional ids are listed. Empty parts filter nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// In one of these states.
    pub states: BTreeSet<TransactionState>,
    /// With one of these producer ids.
    pub producer_ids: Vec<i64>,
    /// Begun longer ago than this, ms (KIP-994, Kafka 3.8).
    pub longer_than_ms: Option<u64>,
}

impl Cluster {
    /// The transactional ids that each broker coordinates, by node id. A list leaves out what the principal may not
    /// DESCRIBE, and does not say so: an empty one proves nothing. Ask by name for proof
    /// ([`Cluster::describe_transactions`]). Errors: the brokers themselves can't be found.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<BTreeMap<i32, Answer<Vec<ListedTransaction>>>, Trouble> {
        // A broker that joined since would be missing from the list, and its ids with it.
        self.inner.refresh_metadata(Some(&[])).await?;
        let nodes: Vec<i32> = self.inner.topology().brokers.keys().copied().collect();
        let since = if filter.longer_than_ms.is_some() { Since::V3_8 } else { Since::V3_0 };
        let found = self.inner.ask_each(filter, &nodes).await;
        Ok(found.into_iter().map(|(node, r)| (node, to_answer(r, since))).collect())
    }

    /// What coordinators say of these transactional ids, by name. `Told(None)`: nobody uses the id. A cluster that never
    /// had transactions creates its `__transaction_state` topic when it is asked (as it does for any client).
    pub async fn describe_transactions(&self, ids: &[String]) -> BTreeMap<String, Answer<Option<TransactionView>>> {
        let keys: Vec<_> = ids.iter().cloned().map(TransactionalId).collect();
        let found = self.inner.ask_each(&TransactionsQuestion, &keys).await;
        found.into_iter().map(|(id, r)| (id.0, to_answer(r, Since::V3_0))).collect()
    }

    /// The broker that coordinates a transactional id.
    pub async fn transaction_coordinator(&self, id: &str) -> Answer<i32> {
        let found = self.inner.find_coordinators(KeyType::Transaction, &[id.to_owned()]).await.remove(id);
        let nobody = || Err(Failure::new(Class::Retry, format!("no coordinator of `{}`", visible_name(id)), ""));
        to_answer(found.unwrap_or_else(nobody), Since::V0_11)
    }

    /// Fences every live producer with this transactional id and aborts what it had open (InitProducerId with a producer
    /// id of -1). No lock: an instance that starts later fences back. An id that nobody used is created by it.
    /// CONCURRENT_TRANSACTIONS is waited out, bounded.
    pub async fn fence(&self, transactional_id: &str) -> Fencing {
        let first = self.fence_with(transactional_id, FENCE_TIMEOUT_MS).await;
        let too_long = first.as_ref().is_err_and(|f| f.error == Some(ResponseError::InvalidTransactionTimeout));
        if !too_long {
            return to_fencing(first);
        }
        tracing::debug!(side = %self.side(), ms = SHORT_FENCE_TIMEOUT_MS, "fencing again with a shorter timeout");
        to_fencing(self.fence_with(transactional_id, SHORT_FENCE_TIMEOUT_MS).await)
    }

    async fn fence_with(&self, transactional_id: &str, timeout_ms: i32) -> Result<(i64, i16), Failure> {
        let key = TransactionalId(transactional_id.to_owned());
        let mut found = self.inner.ask_each(&Fence { timeout_ms }, std::slice::from_ref(&key)).await;
        found.remove(&key).unwrap_or_else(|| Err(Failure::new(Class::Retry, "no coordinator", "")))
    }

    /// Ends a hanging transaction with an abort marker of its own (WriteTxnMarkers). Looks first, and refuses unless the
    /// leader shows exactly this transaction open, and coordinators show that they do not hold it: that of the id that is
    /// named, and that of whatever id the lists of all brokers have for this producer id. Needs CLUSTER_ACTION (or,
    /// since 4.0, ALTER) on the cluster.
    pub async fn abort_hanging(&self, hanging: &Hanging) -> ChangeOutcome {
        if let Err(trouble) = self.must_hang(hanging).await {
            tracing::warn!(side = %self.side(), partition = %hanging.partition, why = %trouble.what, "no marker is sent");
            return ChangeOutcome::Refused(trouble);
        }
        let marker = AbortMarker {
            producer_id: hanging.producer_id,
            epoch: hanging.epoch,
            // Nothing was ever ended here: 0 is no newer than any coordinator (as `kafka-transactions abort` does).
            coordinator_epoch: hanging.coordinator_epoch.unwrap_or(0),
        };
        let mut found = self.inner.ask_each(&marker, std::slice::from_ref(&hanging.partition)).await;
        let unsent = || Err(Failure::new(Class::Retry, format!("{} has no leader", hanging.partition), ""));
        ChangeOutcome::from(found.remove(&hanging.partition).unwrap_or_else(unsent))
    }

    async fn must_hang(&self, hanging: &Hanging) -> Result<(), Trouble> {
        let place = &hanging.partition;
        let name = format!(
            "the transaction of producer id {} epoch {} from offset {} of {place} on {}",
            hanging.producer_id,
            hanging.epoch,
            hanging.open_from,
            self.side()
        );
        let refuse = |what: &str, advice: &str| Err(Trouble::new(format!("{name} {what}"), advice));
        // From the leader first: a marker for one that has ended since would abort what was begun after it.
        let mut found = self.describe_producers(std::slice::from_ref(&hanging.partition)).await;
        match found.remove(&hanging.partition) {
            Some(Answer::Told(producers)) => {
                let same = |p: &_| {
                    Hanging::from_producer(&hanging.partition, p, hanging.transactional_id.as_deref()).as_ref()
                        == Some(hanging)
                };
                if !producers.iter().any(same) {
                    return refuse("is not open (any more) as it was seen", "look at the partition's producers again");
                }
            }
            other => return Err(other.and_then(|a| a.to_trouble()).unwrap_or_else(|| Trouble::new(name.clone(), ""))),
        }
        // Not only the id that is named: whoever names the wrong one would have a living transaction cut in two.
        let mut ids = self.ids_of(hanging.producer_id).await?;
        ids.extend(hanging.transactional_id.clone());
        if ids.is_empty() {
            return refuse(
                "is in no coordinator's list, but a list leaves out what may not be seen",
                "name its transactional id, or end it with `kafka-transactions.sh abort` as an administrator",
            );
        }
        for (id, found) in self.describe_transactions(&ids).await {
            let id = visible_name(&id);
            match found {
                // A producer id belongs to one transactional id: the one that was named is another's.
                Answer::Told(Some(view)) if view.producer_id != hanging.producer_id => {
                    let what = format!("is not of {id}, which has producer id {} now", view.producer_id);
                    return refuse(&what, "name the transactional id that it is of");
                }
                Answer::Told(Some(view)) => {
                    if let Some(why) = hanging.held_by(&view) {
                        return refuse(&format!("is not hanging: {why} ({id}, {})", view.state), "wait, or fence it");
                    }
                }
                // Expired, and forgotten by its coordinator.
                Answer::Told(None) => {}
                other => {
                    let why = other.to_trouble().map(|t| t.what).unwrap_or_default();
                    return refuse(
                        &format!("can't be told from one that its coordinator holds ({id}): {why}"),
                        "fence the transactional id, and ask as a principal that may DESCRIBE it, on Kafka 3.0 or later",
                    );
                }
            }
        }
        Ok(())
    }

    /// The transactional ids that have this producer id, of which there is one at most. Errors: a broker did not say.
    async fn ids_of(&self, producer_id: i64) -> Result<Vec<String>, Trouble> {
        let filter = TransactionFilter { producer_ids: vec![producer_id], ..TransactionFilter::default() };
        let mut ids = Vec::new();
        for (_, found) in self.list_transactions(&filter).await? {
            match found {
                Answer::Told(listed) => ids.extend(listed.into_iter().map(|t| t.id)),
                // The id that holds it may be in just this broker's list.
                other => return Err(other.to_trouble().unwrap_or_else(|| Trouble::new("a broker did not say", ""))),
            }
        }
        Ok(ids)
    }
}

/// What an answer or its failure means for whoever asked. `since` is the Kafka that brought the request.
pub(super) fn to_answer<T>(result: Result<T, Failure>, since: Since) -> Answer<T> {
    use ResponseError as E;
    match result {
        Ok(told) => Answer::Told(told),
        Err(f) => match f.error {
            Some(E::UnsupportedVersion) => Answer::Unavailable(Unavailable::Before(since)),
            Some(E::SecurityDisabled) => Answer::Unavailable(Unavailable::NoAuthorizer),
            Some(
                E::TransactionalIdAuthorizationFailed
                | E::TopicAuthorizationFailed
                | E::ClusterAuthorizationFailed
                | E::GroupAuthorizationFailed,
            ) => Answer::Hidden(f.into()),
            _ => Answer::Unknown(f.into()),
        },
    }
}

/// The version to ask in, or a failure that [`to_answer`] turns into `Unavailable`.
pub(super) fn offered_version<R: Request>(connection: &Connection, least: i16) -> Result<i16, Failure> {
    match connection.common_version::<R>().filter(|v| *v >= least) {
        Some(version) => Ok(version),
        None => {
            let why = connection.need_version::<R>("3.0 or later").err();
            let why =
                why.unwrap_or_else(|| Failure::new(Class::Final, format!("{} is too old", connection.label()), ""));
            Err(Failure { error: Some(ResponseError::UnsupportedVersion), ..why })
        }
    }
}

fn to_fencing(result: Result<(i64, i16), Failure>) -> Fencing {
    use ResponseError as E;
    let failure = match result {
        Ok((producer_id, epoch)) => return Fencing::Done { producer_id, epoch },
        Err(failure) => failure,
    };
    match (failure.class, failure.error) {
        // First: whatever was said before it, this one was sent and not answered.
        (Class::Lost, _) => Fencing::Unknown(failure.into_doubt()),
        // After all attempts. The producer of an Ongoing transaction is fenced by then; of one that was in
        // PrepareCommit or PrepareAbort already the epoch is not bumped yet.
        (_, Some(E::ConcurrentTransactions)) => Fencing::Ending(failure.into()),
        // Brokers before KIP-588 (InitProducerId v4) call a fenced producer INVALID_PRODUCER_EPOCH.
        (_, Some(E::ProducerFenced | E::InvalidProducerEpoch)) => Fencing::Overtaken(failure.into()),
        // Whatever refuses it now: the coordinator may have written the new epoch before.
        _ if failure.may_stand => Fencing::Unknown(failure.into_doubt()),
        (_, Some(E::TransactionalIdAuthorizationFailed | E::ClusterAuthorizationFailed)) => {
            Fencing::Forbidden(failure.into())
        }
        _ => Fencing::Refused(failure.into()),
    }
}

impl BrokerQuestion<i32> for TransactionFilter {
    type Told = Vec<ListedTransaction>;
    const REPEATABLE: bool = true;
    const API: &'static str = "ListTransactions";

    async fn send(&self, connection: &Connection, _: i32, keys: &[i32]) -> Replies<i32, Self::Told> {
        // The duration came with v1 (KIP-994): a broker that ignored it would list young ones as old.
        let version = offered_version::<ListTransactionsRequest>(connection, self.longer_than_ms.map_or(0, |_| 1))?;
        let mut request = ListTransactionsRequest::default()
            .with_state_filters(self.states.iter().map(|s| StrBytes::from_string(s.to_string())).collect())
            .with_producer_id_filters(self.producer_ids.iter().map(|id| ProducerId(*id)).collect());
        if let Some(ms) = self.longer_than_ms {
            // A number that does not fit must not turn negative, which would be no filter.
            request.duration_filter = i64::try_from(ms).unwrap_or(i64::MAX);
        }
        let answer = connection.call(version, &request).await?;
        check_code(answer.error_code, "list of transactions", connection.label())?;
        let each = |t: kafka_protocol::messages::list_transactions_response::TransactionState| ListedTransaction {
            id: t.transactional_id.to_string(),
            producer_id: t.producer_id.0,
            state: parse_state(&t.transaction_state),
        };
        let listed: Vec<_> = answer.transaction_states.into_iter().map(each).collect();
        Ok(keys.iter().map(|node| (*node, Ok(listed.clone()))).collect())
    }
}

struct TransactionsQuestion;

impl BrokerQuestion<TransactionalId> for TransactionsQuestion {
    type Told = Option<TransactionView>;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeTransactions";

    async fn send(
        &self,
        connection: &Connection,
        node: i32,
        keys: &[TransactionalId],
    ) -> Replies<TransactionalId, Self::Told> {
        let version = offered_version::<DescribeTransactionsRequest>(connection, 0)?;
        let ids = keys.iter().map(|key| StrBytes::from_string(key.0.clone()).into()).collect();
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        let answer = connection.call(version, &request).await?;
        let each = |t: Described| {
            let id = t.transactional_id.to_string();
            let checked = match ResponseError::try_from_code(t.error_code) {
                // An answer: who may not see the id is told TRANSACTIONAL_ID_AUTHORIZATION_FAILED instead.
                Some(ResponseError::TransactionalIdNotFound) => Ok(None),
                _ => {
                    let subject = format!("transactional id `{}`", visible_name(&id));
                    check_code(t.error_code, subject, connection.label()).map(|()| Some(transaction_view_of(t, node)))
                }
            };
            (TransactionalId(id), checked)
        };
        Ok(answer.transaction_states.into_iter().map(each).collect())
    }
}

fn transaction_view_of(described: Described, coordinator: i32) -> TransactionView {
    let topics = described.topics.into_iter();
    let mut partitions: Vec<_> = topics
        .flat_map(|t| t.partitions.iter().map(|p| TopicPartition::new(t.topic.as_str(), *p)).collect::<Vec<_>>())
        .collect();
    partitions.sort_unstable();
    TransactionView {
        state: parse_state(&described.transaction_state),
        producer_id: described.producer_id.0,
        epoch: described.producer_epoch,
        timeout_ms: described.transaction_timeout_ms.into(),
        started: Some(At(described.transaction_start_time_ms)).filter(|at| at.0 >= 0),
        partitions,
        coordinator,
    }
}

fn parse_state(word: &str) -> TransactionState {
    word.parse().unwrap_or_default()
}

struct Fence {
    timeout_ms: i32,
}

impl BrokerQuestion<TransactionalId> for Fence {
    type Told = (i64, i16);
    const REPEATABLE: bool = false;
    const API: &'static str = "InitProducerId";

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[TransactionalId],
    ) -> Replies<TransactionalId, Self::Told> {
        let version = offered_version::<InitProducerIdRequest>(connection, 0)?;
        let mut out = Vec::with_capacity(keys.len());
        // One id a request, and one after the other: when a connection breaks, no more than one is left in doubt.
        for key in keys {
            // Producer id and epoch stay -1: whoever has the id now, its epoch is bumped (KIP-360).
            let request = InitProducerIdRequest::default()
                .with_transactional_id(Some(StrBytes::from_string(key.0.clone()).into()))
                .with_transaction_timeout_ms(self.timeout_ms);
            let answered = match connection.call(version, &request).await {
                Ok(answer) => {
                    let subject = format!("fencing transactional id `{}`", visible_name(&key.0));
                    check_code(answer.error_code, subject, connection.label())
                        .map(|()| (answer.producer_id.0, answer.producer_epoch))
                        .map_err(of_fence)
                }
                Err(failure) => Err(failure),
            };
            out.push((key.clone(), answered));
        }
        Ok(out)
    }
}

/// A coordinator that says CONCURRENT_TRANSACTIONS may have begun to fence: whatever it says next, that is in doubt.
fn of_fence(failure: Failure) -> Failure {
    let begun = failure.error == Some(ResponseError::ConcurrentTransactions);
    let failure = failure.of_change();
    Failure { may_stand: failure.may_stand || begun, ..failure }
}

/// A marker that may have been written is not sent again: a second one would abort what the same producer began since.
fn of_marker(failure: Failure) -> Failure {
    let failure = failure.of_change();
    if failure.may_stand { Failure { class: Class::Lost, ..failure } } else { failure }
}

struct AbortMarker {
    producer_id: i64,
    epoch: i16,
    coordinator_epoch: i32,
}

impl BrokerQuestion<TopicPartition> for AbortMarker {
    type Told = ();
    const REPEATABLE: bool = false;
    const API: &'static str = "WriteTxnMarkers";

    async fn send(&self, connection: &Connection, _: i32, keys: &[TopicPartition]) -> Replies<TopicPartition, ()> {
        let version = connection.need_version::<WriteTxnMarkersRequest>("2.8 or later")?;
        let topic = |tp: &TopicPartition| {
            WritableTxnMarkerTopic::default()
                .with_name(TopicName(StrBytes::from_string(tp.topic.clone())))
                .with_partition_indexes(vec![tp.partition])
        };
        let marker = WritableTxnMarker::default()
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_coordinator_epoch(self.coordinator_epoch)
            .with_transaction_result(false)
            .with_topics(keys.iter().map(topic).collect());
        let answer = connection.call(version, &WriteTxnMarkersRequest::default().with_markers(vec![marker])).await?;
        let mut out = Vec::with_capacity(keys.len());
        for topic in answer.markers.into_iter().flat_map(|m| m.topics) {
            for p in topic.partitions {
                let tp = TopicPartition::new(topic.name.as_str(), p.partition_index);
                let subject = format!("abort marker of producer id {} on {tp}", self.producer_id);
                out.push((tp, check_code(p.error_code, subject, connection.label()).map_err(of_marker)));
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;
    use crate::estate::acl::AclFilter;
    use crate::kafka::properties::ClientProperties;

    /// The controller spawns them. Nothing is sent: no future is polled.
    #[test]
    fn every_request_can_run_on_any_thread() {
        fn on_any_thread<T: Send>(_: T) {}
        let cluster = Cluster::new(Side::Blue, "127.0.0.1:1", &ClientProperties::default());
        let partition = TopicPartition::new("t", 0);
        let hanging = Hanging {
            partition: partition.clone(),
            transactional_id: None,
            producer_id: 1,
            epoch: 0,
            coordinator_epoch: None,
            open_from: 0,
        };
        on_any_thread(cluster.fence("id"));
        on_any_thread(cluster.abort_hanging(&hanging));
        on_any_thread(cluster.describe_transactions(&[]));
        on_any_thread(cluster.list_transactions(&TransactionFilter::default()));
        on_any_thread(cluster.transaction_coordinator("id"));
        on_any_thread(cluster.describe_producers(&[partition]));
        on_any_thread(cluster.describe_acls(&AclFilter::default()));
        on_any_thread(cluster.create_acls(&BTreeSet::new()));
        on_any_thread(cluster.take_inventory());
        on_any_thread(cluster.alter_topic_settings(&BTreeMap::new(), true));
        on_any_thread(cluster.create_partitions(&BTreeMap::new(), true));
        on_any_thread(cluster.alter_quotas(&BTreeMap::new(), true));
    }

    #[test]
    fn failures_keep_their_kind() {
        let of = |class, error| Failure { error, ..Failure::new(class, "what", "") };
        let kind = |error| to_answer::<()>(Err(of(Class::Final, Some(error))), Since::V2_8);
        assert_eq!(kind(ResponseError::UnsupportedVersion), Answer::Unavailable(Unavailable::Before(Since::V2_8)));
        assert_eq!(kind(ResponseError::SecurityDisabled), Answer::Unavailable(Unavailable::NoAuthorizer));
        assert!(matches!(kind(ResponseError::TopicAuthorizationFailed), Answer::Hidden(_)));
        assert!(matches!(kind(ResponseError::UnknownTopicOrPartition), Answer::Unknown(_)));
        use ResponseError as E;
        assert!(matches!(to_fencing(Err(of(Class::Lost, None))), Fencing::Unknown(_)));
        assert!(matches!(to_fencing(Err(of(Class::Retry, Some(E::ConcurrentTransactions)))), Fencing::Ending(_)));
        assert!(matches!(to_fencing(Err(of(Class::Final, Some(E::ProducerFenced)))), Fencing::Overtaken(_)));
        let after = |code: i16| of_fence(check_code(code, "fencing", "blue broker 1").unwrap_err());
        for code in [15, 16, 7, -1] {
            assert!(matches!(to_fencing(Err(after(code))), Fencing::Unknown(_)), "code {code} settles nothing");
        }
        assert!(matches!(to_fencing(Err(after(14))), Fencing::Refused(_)), "COORDINATOR_LOAD_IN_PROGRESS comes before");
        assert!(after(51).may_stand && matches!(to_fencing(Err(after(51))), Fencing::Ending(_)));
        let marker = |code: i16| of_marker(check_code(code, "abort marker", "blue broker 1").unwrap_err()).class;
        let (moved, after, before) = (marker(6), marker(20), marker(19));
        assert_eq!(
            (moved, after, before),
            (Class::Lost, Class::Lost, Class::Retry),
            "looked at before it is sent again"
        );
        let forbidden = Some(E::TransactionalIdAuthorizationFailed);
        assert!(matches!(to_fencing(Err(of(Class::Final, forbidden))), Fencing::Forbidden(_)));
        assert!(matches!(to_fencing(Err(of(Class::Unreachable, None))), Fencing::Refused(_)));
        assert_eq!(to_fencing(Ok((7, 1))), Fencing::Done { producer_id: 7, epoch: 1 });
    }
}

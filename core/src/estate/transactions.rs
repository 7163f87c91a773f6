//! What a cluster says of its transactions (KIP-664): the coordinator's view of a transactional id, and a partition's
//! view of the producers that write to it. What can't be had says why: it is never an empty answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{At, TopicPartition, Trouble};

/// An answer that not every cluster gives to everybody. What is hidden or can't be asked is not empty, and passes no
/// gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// The broker said so.
    Told(T),
    /// This cluster can't be asked.
    Unavailable(Unavailable),
    /// There may be something, but this client's principal may not see it.
    Hidden(Trouble),
    /// No answer within bounds.
    Unknown(Trouble),
}

impl<T> Answer<T> {
    /// What the broker said, if it said something.
    #[must_use]
    pub fn as_told(&self) -> Option<&T> {
        match self {
            Answer::Told(value) => Some(value),
            _ => None,
        }
    }

    /// The same with another value.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Answer::Told(value) => Answer::Told(f(value)),
            Answer::Unavailable(why) => Answer::Unavailable(why),
            Answer::Hidden(trouble) => Answer::Hidden(trouble),
            Answer::Unknown(trouble) => Answer::Unknown(trouble),
        }
    }

    /// Why there is no answer; `None` when there is one.
    #[must_use]
    pub fn to_trouble(&self) -> Option<Trouble> {
        match self {
            Answer::Told(_) => None,
            Answer::Unavailable(why) => Some(Trouble::new(why.to_string(), why.advice())),
            Answer::Hidden(trouble) | Answer::Unknown(trouble) => Some(trouble.clone()),
        }
    }
}

/// Why a whole cluster (or one broker of it) can't be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unavailable {
    /// The broker is older than the request.
    Before(Since),
    /// No authorizer is configured: there are no ACLs, and everybody may do everything.
    NoAuthorizer,
}

impl Unavailable {
    /// What to do instead.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Unavailable::Before(since) if since.is_of_setup() => {
                "that part can't be compared: look at it with `kafka-configs.sh --describe` on that cluster"
            }
            Unavailable::Before(_) => {
                "stop the producer, fence each of its transactional ids, and see the last stable offset meet the high \
                 watermark"
            }
            Unavailable::NoAuthorizer => "nothing can keep a restarted producer out: watch for it instead",
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Before(since) => write!(f, "not available before Kafka {since}"),
            Unavailable::NoAuthorizer => f.write_str("no authorizer is configured on this cluster"),
        }
    }
}

/// The Apache Kafka release that brought a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
pub enum Since {
    /// 0.11: transactions themselves, ACL requests.
    #[serde(rename = "0.11")]
    #[strum(to_string = "0.11")]
    V0_11,
    /// 1.1: DescribeConfigs with where a value comes from (KIP-226).
    #[serde(rename = "1.1")]
    #[strum(to_string = "1.1")]
    V1_1,
    /// 2.6: client quotas (KIP-546).
    #[serde(rename = "2.6")]
    #[strum(to_string = "2.6")]
    V2_6,
    /// 2.7: SCRAM users (KIP-554).
    #[serde(rename = "2.7")]
    #[strum(to_string = "2.7")]
    V2_7,
    /// 2.8: DescribeProducers.
    #[serde(rename = "2.8")]
    #[strum(to_string = "2.8")]
    V2_8,
    /// 3.0: DescribeTransactions, ListTransactions.
    #[serde(rename = "3.0")]
    #[strum(to_string = "3.0")]
    V3_0,
    /// 3.5: SCRAM users where there is no ZooKeeper (KIP-900).
    #[serde(rename = "3.5")]
    #[strum(to_string = "3.5")]
    V3_5,
    /// 3.8: ListTransactions by how long they run (KIP-994).
    #[serde(rename = "3.8")]
    #[strum(to_string = "3.8")]
    V3_8,
}

impl Since {
    /// Whether it brought what tells how a cluster is set up, and nothing of transactions.
    fn is_of_setup(self) -> bool {
        matches!(self, Since::V1_1 | Since::V2_6 | Since::V2_7 | Since::V3_5)
    }
}

/// State of a transactional id, in Kafka's words.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
)]
pub enum TransactionState {
    /// Initialised, nothing begun since.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// Committed; markers are under way.
    PrepareCommit,
    /// Aborted; markers are under way.
    PrepareAbort,
    /// The last one was committed, its markers are written.
    CompleteCommit,
    /// The last one was aborted, its markers are written.
    CompleteAbort,
    /// The open one's producer is being fenced.
    PrepareEpochFence,
    /// About to be forgotten.
    Dead,
    /// A word that this build does not know: settles nothing.
    #[default]
    Unknown,
}

impl TransactionState {
    /// Whether nothing is open and no marker is under way. An unknown state is not settled.
    #[must_use]
    pub fn is_settled(self) -> bool {
        use TransactionState as S;
        matches!(self, S::Empty | S::CompleteCommit | S::CompleteAbort | S::Dead)
    }

    /// Whether it has been decided and its markers are on their way: they come without anybody's help.
    #[must_use]
    pub(crate) fn is_ending(self) -> bool {
        use TransactionState as S;
        matches!(self, S::PrepareCommit | S::PrepareAbort | S::PrepareEpochFence)
    }
}

/// A transactional id as its coordinator describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionView {
    /// State.
    pub state: TransactionState,
    /// Producer id.
    pub producer_id: i64,
    /// Newest epoch: producers with an older one are fenced.
    pub epoch: i16,
    /// ms after which the coordinator aborts an open transaction by itself.
    pub timeout_ms: i64,
    /// When the open transaction began; of a settled id, when the last one did. `None` before the first.
    pub started: Option<At>,
    /// Partitions of the open transaction, sorted. Those of `__consumer_offsets` tell that it commits a group's
    /// offsets. Brokers leave out topics that the principal may not DESCRIBE, and don't say so.
    pub partitions: Vec<TopicPartition>,
    /// Node id of the coordinator.
    pub coordinator: i32,
}

impl TransactionView {
    /// How long the open transaction has run, ms; `None` when none is open or its start is not known.
    #[must_use]
    pub fn open_for_ms(&self, now: At) -> Option<u64> {
        let open = !self.state.is_settled();
        self.started.filter(|_| open).map(|started| now.since(started))
    }

    /// Whether it has been open for longer than its own timeout: its coordinator should have ended it.
    #[must_use]
    pub fn is_overlong(&self, now: At) -> bool {
        let timeout = u64::try_from(self.timeout_ms).unwrap_or(0);
        // Coordinators look for those every 10 s by default
        // (transaction.abort.timed.out.transaction.cleanup.interval.ms): for so long it may be nobody's fault.
        self.open_for_ms(now).is_some_and(|open| open > timeout)
    }
}

/// A transactional id as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListedTransaction {
    /// Transactional id, as the coordinator has it: make it visible before it is shown.
    pub id: String,
    /// Producer id.
    pub producer_id: i64,
    /// State.
    pub state: TransactionState,
}

/// A producer as a partition's leader remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerView {
    /// Producer id.
    pub producer_id: i64,
    /// Newest epoch that wrote here, -1 when the leader has none.
    pub epoch: i16,
    /// Sequence number of its last record, -1 when none is remembered.
    pub last_sequence: i32,
    /// Timestamp of its last batch, as the batch says.
    pub last_timestamp: Option<At>,
    /// Epoch of the coordinator that wrote its last marker here; `None` before the first.
    pub coordinator_epoch: Option<i32>,
    /// First offset of the transaction that is open here.
    pub open_from: Option<i64>,
}

/// A transaction that is open on a partition although its coordinator does not (or no longer) know of it: it holds the
/// last stable offset for ever. All of it must be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hanging {
    /// Where.
    pub partition: TopicPartition,
    /// Whose, if known. A coordinator answers for a name; a list may hide it.
    pub transactional_id: Option<String>,
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch on the partition.
    pub epoch: i16,
    /// Epoch of its coordinator on the partition, as the leader gives it.
    pub coordinator_epoch: Option<i32>,
    /// First offset of what is open.
    pub open_from: i64,
}

impl Hanging {
    /// What a partition's leader says of `producer`, if something of it is open there.
    #[must_use]
    pub fn from_producer(
        partition: &TopicPartition,
        producer: &ProducerView,
        transactional_id: Option<&str>,
    ) -> Option<Hanging> {
        Some(Hanging {
            partition: partition.clone(),
            transactional_id: transactional_id.map(str::to_owned),
            producer_id: producer.producer_id,
            epoch: producer.epoch,
            coordinator_epoch: producer.coordinator_epoch,
            open_from: producer.open_from?,
        })
    }

    /// Why the coordinator's view forbids to end this by hand; `None` when it does not know it as open. Markers that
    /// are under way come by themselves; an open one is ended by its producer, its timeout or a fence.
    #[must_use]
    pub fn held_by(&self, view: &TransactionView) -> Option<&'static str> {
        // The name has another producer id by now (it expired, or
        // its epochs ran out): the coordinator speaks of that one.
        if view.producer_id != self.producer_id {
            return None;
        }
        // One that is Ongoing with another epoch and does not list the partition is a later transaction: what is open
        // here is none of it, and nobody will end it.
        let here = view.epoch == self.epoch || view.partitions.contains(&self.partition);
        match view.state {
            TransactionState::Unknown => Some("its coordinator gives a state that is not known here"),
            // The epoch may have grown by one with the decision (KIP-890).
            state if state.is_ending() => Some("its coordinator is ending it: its markers come by themselves"),
            TransactionState::Ongoing if here => Some("its coordinator has it as Ongoing: fence its transactional id"),
            _ => None,
        }
    }
}

/// What came of fencing a transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fencing {
    /// Every instance that lived is fenced, and what it had open is aborted. One that starts later fences back.
    Done {
        /// Producer id.
        producer_id: i64,
        /// The new epoch: 0 when the id was not known before (or ran out of epochs).
        epoch: i16,
    },
    /// A transaction's markers are still under way (CONCURRENT_TRANSACTIONS): ask again. Instances of one that was open are
    /// fenced by now; of one that was in PrepareCommit or PrepareAbort already they are not yet.
    Ending(Trouble),
    /// Another instance initialised the id at the same moment (PRODUCER_FENCED): it lives.
    Overtaken(Trouble),
    /// This client's principal may not (TRANSACTIONAL_ID_AUTHORIZATION_FAILED).
    Forbidden(Trouble),
    /// It did not happen, for another reason.
    Refused(Trouble),
    /// No answer came: it may have happened. Fencing again does no harm.
    Unknown(Trouble),
}

impl Fencing {
    /// Why it is not done.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Fencing::Done { .. } => None,
            Fencing::Ending(t)
            | Fencing::Overtaken(t)
            | Fencing::Forbidden(t)
            | Fencing::Refused(t)
            | Fencing::Unknown(t) => Some(t),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: TransactionState, producer_id: i64, epoch: i16) -> TransactionView {
        let started = Some(At(1_000));
        let partitions = vec![TopicPartition::new("t", 1)];
        TransactionView { state, producer_id, epoch, timeout_ms: 60_000, started, partitions, coordinator: 1 }
    }

    #[test]
    fn what_a_coordinator_still_holds_is_not_ended_by_hand() {
        use TransactionState as S;
        let hanging = |partition| Hanging {
            partition: TopicPartition::new("t", partition),
            transactional_id: None,
            producer_id: 7,
            epoch: 3,
            coordinator_epoch: None,
            open_from: 10,
        };
        for (state, id, epoch, partition, held) in [
            (S::Ongoing, 7, 3, 0, true),
            // a newer epoch's transaction on the same partition: whose is open there is not told apart
            (S::Ongoing, 7, 4, 1, true),
            (S::Ongoing, 7, 4, 0, false),
            (S::Ongoing, 8, 3, 1, false),
            (S::PrepareAbort, 7, 4, 0, true),
            (S::PrepareCommit, 7, 3, 0, true),
            (S::PrepareEpochFence, 7, 4, 0, true),
            (S::Unknown, 7, 4, 0, true),
            (S::CompleteAbort, 7, 3, 0, false),
            (S::Empty, 7, 5, 0, false),
        ] {
            let found = hanging(partition).held_by(&view(state, id, epoch));
            assert_eq!(found.is_some(), held, "{state} pid {id} epoch {epoch} partition {partition}");
        }
    }

    #[test]
    fn only_what_is_open_can_be_overlong() {
        use TransactionState as S;
        for (state, now, overlong) in [
            (S::Ongoing, 61_001, true),
            (S::Ongoing, 61_000, false),
            (S::CompleteCommit, 99_999, false),
            (S::Unknown, 61_001, true),
        ] {
            assert_eq!(view(state, 1, 0).is_overlong(At(now)), overlong, "{state} at {now}");
        }
    }

    #[test]
    fn states_are_kafkas_words_and_a_new_one_settles_nothing() {
        for word in ["Empty", "Ongoing", "PrepareCommit", "CompleteAbort", "PrepareEpochFence", "Dead"] {
            assert_eq!(word.parse::<TransactionState>().unwrap().to_string(), word);
        }
        assert!(!TransactionState::default().is_settled());
        assert_eq!(Unavailable::Before(Since::V3_0).to_string(), "not available before Kafka 3.0");
    }

    #[test]
    fn what_an_old_cluster_can_not_tell_of_its_setup_is_no_matter_of_producers() {
        for since in [Since::V1_1, Since::V2_6, Since::V2_7, Since::V3_5] {
            assert!(Unavailable::Before(since).advice().contains("kafka-configs.sh"), "{since}");
        }
        assert!(Unavailable::Before(Since::V2_8).advice().contains("stop the producer"));
    }
}

//! Why a request failed, and whether asking again can help.

use std::collections::BTreeSet;
use std::fmt::Display;

use kafka_protocol::ResponseError;

use crate::base::{Cause, Side, Trouble};

/// What is known of a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// No connection: nothing was sent.
    Unreachable,
    /// Sent, but no answer came: whether it took effect is unknown.
    Lost,
    /// The broker asks to come back later, to this broker or another. Nothing took effect, unless it is the answer to a
    /// change and [`Failure::may_stand`].
    Retry,
    /// Asking again can't help.
    Final,
}

/// A failed request.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub class: Class,
    /// The broker's error, if it gave one.
    pub error: Option<ResponseError>,
    /// Boxed: failures travel in the `Err` of every result.
    pub trouble: Box<Trouble>,
    /// Nobody was there: the name leads nowhere, nobody listens, or who listens says nothing. Not so when somebody
    /// answered and it was wrong (a certificate, a password, another cluster).
    pub nobody: bool,
    /// It answers a change, and the change may stand all the same: see [`Failure::of_change`].
    pub may_stand: bool,
    /// Of what is [`Class::Final`]: not asked again at once, though waiting may mend it.
    pub passes: bool,
}

impl Failure {
    pub fn new(class: Class, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::with_trouble(class, Trouble::new(what, advice))
    }

    pub(crate) fn with_trouble(class: Class, trouble: Trouble) -> Self {
        Self { class, error: None, trouble: Box::new(trouble), nobody: false, may_stand: false, passes: false }
    }

    /// Nobody was there to be connected to.
    pub(crate) fn nobody_there(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { nobody: true, ..Self::new(Class::Unreachable, what, advice) }
    }

    /// Whether another attempt may succeed without a person doing anything. For reads only: a write that is `Lost`
    /// must be looked at first.
    pub(crate) fn is_passing(&self) -> bool {
        self.class != Class::Final
    }

    /// The same as a broker's answer to a change, which some codes leave open.
    pub(super) fn of_change(self) -> Self {
        let may_stand = self.may_stand || self.error.is_some_and(may_stand_after);
        Self { may_stand, ..self }
    }

    /// The same of a question that goes before a change: the change itself was not sent, even where the answer to the
    /// question was lost.
    pub(super) fn before_change(self) -> Self {
        let class = if self.class == Class::Lost { Class::Unreachable } else { self.class };
        Self { class, ..self }
    }

    /// The same where it is a right that is missing: which one, and on what (`DESCRIBE_CONFIGS on the cluster`). Requests
    /// with one error code need different ones.
    pub(super) fn naming_right(mut self, right: &str) -> Self {
        if self.trouble.cause == Some(Cause::NotAllowed) {
            self.trouble.advice = format!("grant this client's principal {right}");
        }
        self
    }

    /// Whether a change that ended so may have taken effect.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.class == Class::Lost || self.may_stand
    }

    /// Of what is in doubt: what was said, that it settles nothing, and to look first.
    pub(super) fn into_doubt(self) -> Trouble {
        if !self.may_stand {
            return self.into();
        }
        let what = format!("{}; it may have taken effect all the same", self.trouble.what);
        let advice = format!("look at what stands there before going on ({})", self.trouble.advice);
        Trouble { cause: self.trouble.cause, ..Trouble::new(what, advice) }
    }
}

/// What earlier answers left open of a change that is sent again. A later refusal does not settle it: it may be refused
/// just because the first one took effect.
pub(super) struct Doubts<K>(BTreeSet<K>);

impl<K: Ord + Clone> Doubts<K> {
    pub fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Takes note of what came of one, and puts an earlier doubt into it.
    pub fn judge<T>(&mut self, key: &K, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| {
            if failure.may_stand {
                self.0.insert(key.clone());
            }
            let may_stand = self.0.contains(key);
            Failure { may_stand, ..failure }
        })
    }

    /// Whether nothing was left open so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        match failure.class {
            Class::Final if !failure.passes => failure.trouble.mark_lasting(),
            Class::Final | Class::Unreachable | Class::Lost | Class::Retry => *failure.trouble,
        }
    }
}

/// Checks a broker's error code. `subject` is what was asked ("offsets of group g"), `broker` who answered.
pub(super) fn check_code(code: i16, subject: impl Display, broker: &str) -> Result<(), Failure> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => Err(refused_failure(error, None, subject, broker)),
    }
}

/// As [`check_code`], with the broker's own words where it has some.
pub(super) fn check_message(
    code: i16,
    message: Option<&str>,
    subject: impl Display,
    broker: &str,
) -> Result<(), Failure> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => Err(refused_failure(error, message, subject, broker)),
    }
}

/// What is asked again, for the log: one line a round, however many things the round is about.
pub(super) struct RetryLog {
    side: Side,
    /// What is asked.
    api: &'static str,
    left: usize,
    /// Why, of the first.
    why: Option<Box<Trouble>>,
}

impl RetryLog {
    pub fn new(side: Side, api: &'static str) -> Self {
        Self { side, api, left: 0, why: None }
    }

    /// This one is asked again, if it failed.
    pub fn note<T>(&mut self, result: &Result<T, Failure>) {
        self.left += 1;
        if let (None, Err(failure)) = (&self.why, result) {
            self.why = Some(failure.trouble.clone());
        }
    }

    /// Tells what was noted, if anything was. `attempt`: how often it was asked so far.
    pub fn tell(&self, attempt: u32) {
        if self.left > 0 {
            let why = self.why.as_ref().map_or("", |trouble| trouble.what.as_str());
            tracing::info!(side = %self.side, api = self.api, attempt, left = self.left, why = %why, "asked again");
        }
    }
}

/// Logs that one thing is asked again.
pub(super) fn log_retry(side: Side, api: &'static str, attempt: u32, why: &Failure) {
    tracing::info!(%side, api, attempt, why = %why.trouble.what, "asked again");
}

fn refused_failure(error: ResponseError, message: Option<&str>, subject: impl Display, broker: &str) -> Failure {
    let said = message.filter(|m| !m.is_empty()).map(crate::base::sanitise::visible_text);
    let subject = crate::base::sanitise::visible_text(&subject.to_string());
    let what = match said {
        Some(said) => format!("{subject}: {broker} answered {} ({said})", protocol_name(error)),
        None => format!("{subject}: {broker} answered {}", protocol_name(error)),
    };
    let class = if is_retriable(error) { Class::Retry } else { Class::Final };
    // Of a hundred thousand groups each may be refused: whoever asks tells the sum.
    tracing::trace!(%broker, error = %protocol_name(error), class = ?class, what = %what, "refused");
    let trouble = Trouble { cause: cause_of(error), ..Trouble::new(what, advice_for(error)) };
    Failure { error: Some(error), ..Failure::with_trouble(class, trouble) }
}

/// What a broker's error is to those who decide by it: its name in the words is for people.
fn cause_of(error: ResponseError) -> Option<Cause> {
    use ResponseError as E;
    match error {
        E::UnknownTopicOrPartition => Some(Cause::NoSuchTopic),
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::DelegationTokenAuthorizationFailed => Some(Cause::NotAllowed),
        E::SecurityDisabled => Some(Cause::NoAuthorizer),
        _ => None,
    }
}

/// Whether asking again (after a fresh look at leaders and coordinators) can help. Kafka's own notion of a retriable
/// error, without what only a person or another program can change.
fn is_retriable(error: ResponseError) -> bool {
    use ResponseError as E;
    match error {
        // Kafka's clients repeat both until they run out of time. The one ends with somebody's transaction, of the
        // other the topic is gone: neither within these attempts.
        E::UnstableOffsetCommit | E::UnknownTopicId => false,
        // Kafka's consumers answer the first by joining again, which nobody does here: both pass by themselves.
        E::RebalanceInProgress | E::ConcurrentTransactions => true,
        other => other.is_retriable(),
    }
}

/// Whether brokers also give this code after they wrote the change. Coordinators make COORDINATOR_NOT_AVAILABLE of
/// NOT_ENOUGH_REPLICAS_AFTER_APPEND and of an append that is not replicated in time (`offsets.commit.timeout.ms`), and
/// NOT_COORDINATOR of a leader that moves meanwhile; a controller that resigns says NOT_CONTROLLER of what it has written;
/// REQUEST_TIMED_OUT says that it was waited for. Only before an append come COORDINATOR_LOAD_IN_PROGRESS,
/// REBALANCE_IN_PROGRESS, NOT_ENOUGH_REPLICAS, THROTTLING_QUOTA_EXCEEDED, and whatever is wrong with the request or its rights.
fn may_stand_after(error: ResponseError) -> bool {
    use ResponseError as E;
    matches!(
        error,
        E::UnknownServerError
            | E::RequestTimedOut
            | E::NetworkException
            | E::CoordinatorNotAvailable
            | E::NotCoordinator
            | E::NotController
            | E::NotLeaderOrFollower
            | E::NotEnoughReplicasAfterAppend
            | E::KafkaStorageError
            | E::Unknown(_)
    )
}

/// The error's name as in Kafka's protocol guide: NOT_LEADER_OR_FOLLOWER.
pub(super) fn protocol_name(error: ResponseError) -> String {
    if let ResponseError::Unknown(code) = error {
        return format!("error code {code}");
    }
    let mut name = String::new();
    for c in error.to_string().chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn advice_for(error: ResponseError) -> &'static str {
    use ResponseError as E;
    match error {
        E::GroupAuthorizationFailed => "grant this client's principal READ and DESCRIBE on the group",
        E::TopicAuthorizationFailed => "grant this client's principal DESCRIBE (and READ to commit) on the topic",
        E::ClusterAuthorizationFailed => {
            "grant this client's principal DESCRIBE on the cluster (ALTER to change ACLs or write markers)"
        }
        E::TransactionalIdAuthorizationFailed => {
            "grant this client's principal DESCRIBE on the transactional id (WRITE to fence it)"
        }
        E::ConcurrentTransactions => "the last transaction's markers are still under way: ask again in a moment",
        E::ProducerFenced | E::InvalidProducerEpoch => "another producer has taken this transactional id over since",
        E::TransactionCoordinatorFenced => "a newer coordinator has written to this partition: look at it again",
        E::InvalidTransactionTimeout => "raise `transaction.max.timeout.ms` of the cluster",
        E::SecurityDisabled => "no authorizer is configured on this cluster: it has no ACLs",
        E::UnknownTopicOrPartition | E::UnknownTopicId => {
            "check that the topic exists; if it was just deleted, nothing more is to be done"
        }
        E::GroupIdNotFound => "check the group's name; a group without members and offsets is forgotten by its broker",
        E::NonEmptyGroup => "stop every member of the group first",
        E::GroupSubscribedToTopic => "stop the members that are subscribed to the topic first",
        E::UnknownMemberId | E::IllegalGeneration | E::FencedMemberEpoch | E::StaleMemberEpoch => {
            "the group has members now: stop them, and try again when it is Empty"
        }
        E::LeaderNotAvailable | E::NotLeaderOrFollower | E::FencedLeaderEpoch | E::UnknownLeaderEpoch => {
            "the partition's leader is moving; if this stays, look at the cluster's brokers"
        }
        E::CoordinatorNotAvailable | E::NotCoordinator | E::CoordinatorLoadInProgress => {
            "the coordinator is moving or loading; if this stays, look at the partitions of __consumer_offsets"
        }
        E::UnstableOffsetCommit => "a transaction with offsets of this group is open: wait for it to end",
        E::InvalidPartitions => "partitions can only be added: look at how many the topic has",
        E::InvalidReplicationFactor => "lower the replication factor, or start more brokers",
        E::TopicAlreadyExists => "use the topic that exists, or choose another name",
        E::InvalidTopicException => "names may have letters, digits, `.`, `_` and `-`, at most 249",
        E::OffsetMetadataTooLarge | E::InvalidCommitOffsetSize => "this is a fault of cutover: please report it",
        E::InvalidRequest | E::UnsupportedVersion => {
            "the broker did not understand: check that it is Apache Kafka 2.1 or later"
        }
        E::UnsupportedForMessageFormat => "the topic's message format is too old to have timestamps",
        E::ThrottlingQuotaExceeded => "the client's quota is used up: wait, or raise it",
        E::SaslAuthenticationFailed => "check `sasl.username` and `sasl.password`",
        E::KafkaStorageError => "look at the broker's disks and log",
        E::PolicyViolation | E::InvalidConfig => "the cluster's policy or the value itself forbids it",
        _ => "look at the broker's log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::control::ChangeOutcome;

    #[test]
    fn names_are_kafkas() {
        assert_eq!(protocol_name(ResponseError::NotLeaderOrFollower), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(protocol_name(ResponseError::Unknown(999)), "error code 999");
    }

    #[test]
    fn what_decisions_rest_on_is_the_code_and_no_word() {
        let cause =
            |code: i16, subject: &str| Trouble::from(check_code(code, subject, "blue broker 1").unwrap_err()).cause;
        assert_eq!(cause(3, "topic t"), Some(Cause::NoSuchTopic));
        assert_eq!((cause(29, "topic t"), cause(53, "id x")), (Some(Cause::NotAllowed), Some(Cause::NotAllowed)));
        assert_eq!(cause(54, "ACLs"), Some(Cause::NoAuthorizer));
        assert_eq!(cause(5, "topic UNKNOWN_TOPIC_OR_PARTITION"), None, "that is what it is called");
    }

    #[test]
    fn a_change_is_refused_only_by_what_comes_before_it_is_written() {
        let of =
            |code: i16| ChangeOutcome::from(check_code(code, "commit", "green broker 1").map_err(Failure::of_change));
        // COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, REQUEST_TIMED_OUT, NOT_CONTROLLER, after append, no code of ours
        for code in [15, 16, 7, 41, 20, -1, 999] {
            let ChangeOutcome::Unknown(why) = of(code) else { panic!("code {code} settles nothing") };
            assert!(why.what.ends_with("it may have taken effect all the same"), "{why:?}");
            assert!(why.advice.starts_with("look at what stands there"), "{why:?}");
        }
        // COORDINATOR_LOAD_IN_PROGRESS, NOT_ENOUGH_REPLICAS, GROUP_AUTHORIZATION_FAILED, UNKNOWN_MEMBER_ID, TOPIC_ALREADY_EXISTS
        for code in [14, 19, 30, 25, 36] {
            assert!(matches!(of(code), ChangeOutcome::Refused(_)), "code {code} comes before the log");
        }
    }

    #[test]
    fn a_refusal_after_a_doubt_settles_nothing() {
        let answer = |code: i16| check_code(code, "topic t", "green broker 1").map_err(Failure::of_change);
        let mut doubts = Doubts::new();
        assert!(!doubts.judge(&"other", answer(36)).unwrap_err().is_in_doubt() && doubts.is_empty());
        assert!(doubts.judge(&"t", answer(7)).unwrap_err().is_in_doubt());
        assert!(doubts.judge(&"t", answer(36)).unwrap_err().is_in_doubt(), "it may be what was made here");
        assert!(!doubts.judge(&"other", answer(36)).unwrap_err().is_in_doubt());
        assert_eq!(ChangeOutcome::from(doubts.judge(&"t", Ok(()))), ChangeOutcome::Done);
    }

    #[test]
    fn a_lost_answer_to_the_question_before_a_change_is_no_doubt_about_the_change() {
        let lost = Failure::new(Class::Lost, "no answer", "").before_change();
        assert!(matches!(ChangeOutcome::from(Err(lost)), ChangeOutcome::Refused(_)));
    }

    #[test]
    fn a_brokers_words_are_sanitised() {
        let failure = check_message(30, Some("no\x1b[2J"), "group g\u{202e}", "blue broker 1").unwrap_err();
        assert!(failure.trouble.what.contains("no␛[2J"), "{failure:?}");
        assert!(!failure.trouble.what.contains('\u{202e}'));
        assert_eq!(failure.class, Class::Final);
        assert!(check_code(0, "x", "y").is_ok());
        assert_eq!(check_code(16, "x", "y").unwrap_err().class, Class::Retry);
    }
}

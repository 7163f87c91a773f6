//! Why reading records can fail.

use rdkafka::types::RDKafkaErrorCode;

use crate::base::{TopicPartition, Trouble};

/// Why a read did not reach its end. What the sink was given until then is a prefix of each range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// `from` is no longer (or not yet) in the log: retention or DeleteRecords moved its start, or it was truncated.
    #[error("{partition}: offset {from} is outside the log, which holds [{start}, {end})")]
    OutOfRange {
        /// Topic and partition.
        partition: TopicPartition,
        /// The offset asked for.
        from: i64,
        /// Log start offset, -1 when it could not be asked.
        start: i64,
        /// Readable end, -1 when it could not be asked.
        end: i64,
    },
    /// `to` is past the readable end of the log (an open transaction holds it, or it was truncated).
    #[error("{partition}: offset {to} asked for, but the log is readable only to {end}")]
    BeyondEnd {
        /// Topic and partition.
        partition: TopicPartition,
        /// The end asked for.
        to: i64,
        /// The readable end: LSO or high watermark.
        end: i64,
    },
    /// Nothing came for as long as the reader was told to wait.
    #[error("{what}")]
    Stalled {
        /// Which partition stands at which offset, and what librdkafka said last.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// The broker or librdkafka refused.
    #[error("{what}")]
    Refused {
        /// Who refused what, and why.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// It holds a message set of a format that librdkafka misreads: nothing was read.
    #[error("{}", why.what)]
    OldFormat {
        /// Topic and partition.
        partition: TopicPartition,
        /// Where, and what to do.
        why: Trouble,
    },
    /// The client is (or may be) at another cluster than it should be, or has no token to be let in with: nothing that came
    /// counts.
    #[error("{}", .0.what)]
    Barred(Trouble),
    /// The sink wanted no more.
    #[error("stopped")]
    Stopped,
}

impl ReadError {
    /// The one partition that it is about: the others can be read without it.
    #[must_use]
    pub(crate) fn find_partition(&self) -> Option<&TopicPartition> {
        match self {
            ReadError::OutOfRange { partition, .. }
            | ReadError::BeyondEnd { partition, .. }
            | ReadError::OldFormat { partition, .. } => Some(partition),
            ReadError::Stalled { .. } | ReadError::Refused { .. } | ReadError::Barred(_) | ReadError::Stopped => None,
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Trouble {
        let advice = match &error {
            ReadError::OldFormat { why, .. } | ReadError::Barred(why) => return why.clone(),
            ReadError::OutOfRange { .. } => {
                "records below the log start have expired and can't be compared: read again from the log start"
            }
            ReadError::BeyondEnd { .. } => "wait until the transaction that holds the last stable offset has ended",
            ReadError::Stalled { advice, .. } | ReadError::Refused { advice, .. } => advice,
            ReadError::Stopped => "",
        };
        Trouble::new(error.to_string(), advice)
    }
}

/// Leadership has moved, or is about to.
pub(super) fn moves_leader(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    // Not only the plain ones: a new leader does not tell offsets before its high watermark is known
    // (OffsetNotAvailable, KIP-207), epochs of client and leader differ for a moment (KIP-320), and who loses a disk
    // gives leadership away.
    matches!(
        code,
        E::NotLeaderForPartition
            | E::LeaderNotAvailable
            | E::ReplicaNotAvailable
            | E::BrokerNotAvailable
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
            | E::OffsetNotAvailable
            | E::PreferredLeaderNotAvailable
            | E::KafkaStorageError
    )
}

/// Errors that librdkafka retries by itself: leadership, connections, and the group that no reader needs.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    moves_leader(code)
        || matches!(
            code,
            E::NetworkException
                | E::RequestTimedOut
                | E::OperationTimedOut
                | E::BrokerTransportFailure
                | E::AllBrokersDown
                | E::Resolve
                | E::GroupAuthorizationFailed
                | E::CoordinatorNotAvailable
                | E::CoordinatorLoadInProgress
                | E::NotCoordinator
        )
}

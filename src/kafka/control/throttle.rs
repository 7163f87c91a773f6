//! Quotas: brokers answer at once, name in `throttle_time_ms` how long the client is to wait, and read nothing more from its
//! connection until then (KIP-219). What is sent meanwhile only looks unanswered, so it is held back here, and that time
//! counts for no limit: a broker that throttles is not down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_protocol::messages as m;
use tokio::sync::watch;

use super::router::wait_out;
use crate::estate::partial::Throttled;

/// The longest that a request is held up by throttling, beyond its own limit. A quota's own window is 1 s, and 11 s for
/// bytes (`quota.window.size.seconds` and `.num`): whatever asks for more is not waited for.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// An answer that can name a time to wait.
pub(super) trait ThrottledAnswer {
    /// How long the client is to wait, ms; 0 where the answer has no such field.
    fn throttle_ms(&self) -> i32;
}

macro_rules! answers {
    ($($response:ident)*) => {
        $(impl ThrottledAnswer for m::$response {
            fn throttle_ms(&self) -> i32 {
                self.throttle_time_ms
            }
        })*
    };
}

answers! {
    AlterClientQuotasResponse ApiVersionsResponse ConsumerGroupDescribeResponse CreateAclsResponse CreatePartitionsResponse
    CreateTopicsResponse DeleteAclsResponse DeleteGroupsResponse DeleteTopicsResponse DescribeAclsResponse
    DescribeClientQuotasResponse DescribeClusterResponse DescribeConfigsResponse DescribeGroupsResponse
    DescribeProducersResponse DescribeTransactionsResponse DescribeUserScramCredentialsResponse FetchResponse
    FindCoordinatorResponse IncrementalAlterConfigsResponse InitProducerIdResponse ListGroupsResponse ListOffsetsResponse
    ListTransactionsResponse MetadataResponse OffsetCommitResponse OffsetDeleteResponse OffsetFetchResponse
    OffsetForLeaderEpochResponse
}

macro_rules! unthrottled {
    ($($response:ident)*) => {
        $(impl ThrottledAnswer for m::$response {
            fn throttle_ms(&self) -> i32 {
                0
            }
        })*
    };
}

// Authentication, and what brokers ask each other.
unthrottled! { SaslAuthenticateResponse SaslHandshakeResponse WriteTxnMarkersResponse }

/// What the brokers of one cluster said of throttling, over all connections.
#[derive(Debug, Default)]
pub(super) struct ThrottleBook {
    answers: AtomicU64,
    throttled: AtomicU64,
    ms: AtomicU64,
}

/// Where a [`ThrottleBook`] stood.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ThrottleMark {
    answers: u64,
    throttled: u64,
    ms: u64,
}

impl ThrottleBook {
    /// Where it stands now.
    pub fn mark(&self) -> ThrottleMark {
        // Relaxed: three figures for people, which may be an answer apart.
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        ThrottleMark { answers: read(&self.answers), throttled: read(&self.throttled), ms: read(&self.ms) }
    }

    /// What was said since; `None` when nothing was slowed down.
    pub fn since(&self, mark: ThrottleMark, who: &str) -> Option<Throttled> {
        let now = self.mark();
        let answers = now.throttled.saturating_sub(mark.throttled);
        // No throttled answer, no mean: dividing by none is the `None` that says so.
        let ms = now.ms.saturating_sub(mark.ms).checked_div(answers)?;
        Some(Throttled { answers, of: now.answers.saturating_sub(mark.answers), ms, who: who.to_owned() })
    }

    fn note_answer(&self, ms: u64) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if ms > 0 {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            self.ms.fetch_add(ms, Ordering::Relaxed);
        }
    }
}

/// Whether one connection is throttled now.
#[derive(Debug)]
pub(super) struct ThrottleGate {
    book: Arc<ThrottleBook>,
    /// Times to wait that are not over.
    waiting: watch::Sender<u32>,
}

impl ThrottleGate {
    /// A gate that is open.
    pub fn new(book: Arc<ThrottleBook>) -> Arc<ThrottleGate> {
        Arc::new(ThrottleGate { book, waiting: watch::Sender::new(0) })
    }

    /// Takes in what an answer named, ms.
    pub(crate) fn note_throttle(self: &Arc<Self>, ms: i32) {
        // A negative time is nonsense, and no reason to wait.
        let ms = u64::try_from(ms).unwrap_or(0);
        self.book.note_answer(ms);
        if ms == 0 {
            return;
        }
        // Counted, as there is no clock here: answers that were on their way each name a time, and the longest counts.
        self.waiting.send_modify(|n| *n += 1);
        let gate = Arc::clone(self);
        tokio::spawn(async move {
            wait_out(Duration::from_millis(ms).min(LONGEST)).await;
            gate.waiting.send_modify(|n| *n -= 1);
        });
    }

    /// Whether the broker makes this connection wait now.
    pub fn is_closed(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    /// Waits until the broker takes requests again; at most [`LONGEST`].
    pub(crate) async fn wait_open(&self) {
        if self.is_closed() {
            // After that it is sent all the same: the request's own limit then says what is wrong.
            let _ = tokio::time::timeout(LONGEST, self.waiting.subscribe().wait_for(|n| *n == 0)).await;
        }
    }

    /// Waits for something for `limit`, not counting the time in which the broker makes this connection wait, and for
    /// [`LONGEST`] beyond that at most. `None`: it did not come.
    pub async fn within<T>(&self, limit: Duration, awaited: impl Future<Output = T>) -> Option<T> {
        let waiting = async {
            let mut waiting = self.waiting.subscribe();
            tokio::pin!(awaited);
            loop {
                // Marked as seen here: a change between this look and the wait below ends that wait at once.
                let limit = if *waiting.borrow_and_update() > 0 { LONGEST } else { limit };
                tokio::select! {
                    // An answer that is there counts, also when the time is up in the same moment.
                    biased;
                    done = &mut awaited => return Some(done),
                    // Once a time to wait is over the broker goes on reading: the limit counts from there.
                    changed = tokio::time::timeout(limit, waiting.changed()) => {
                        if !matches!(changed, Ok(Ok(()))) {
                            return None;
                        }
                    }
                }
            }
        };
        // Each change begins the loop's limit anew: a broker that throttles without end must not hold the caller.
        tokio::time::timeout(limit.saturating_add(LONGEST), waiting).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;

    #[tokio::test]
    async fn the_time_that_a_broker_asks_for_counts_for_no_limit() {
        let book = Arc::new(ThrottleBook::default());
        let gate = ThrottleGate::new(Arc::clone(&book));
        let mark = book.mark();
        gate.note_throttle(0);
        assert_eq!(book.since(mark, "me"), None, "nothing was slowed down");
        gate.note_throttle(300);
        assert!(gate.is_closed());
        // It comes as soon as the broker reads again, far beyond the limit of 20 ms.
        let slow = gate.within(Duration::from_millis(20), gate.wait_open()).await;
        assert!(slow.is_some() && !gate.is_closed());
        let silent = gate.within(Duration::from_millis(20), std::future::pending::<()>()).await;
        assert!(silent.is_none(), "nobody asked for these");
        gate.note_throttle(100);
        let told = book.since(mark, "client-id cutover").unwrap();
        assert_eq!((told.answers, told.of, told.ms), (2, 3, 200));
        assert_eq!(
            told.describe_throttling(Side::Blue),
            "blue throttles this client: 200 ms a request (2 of 3), quota of client-id cutover"
        );
    }
}

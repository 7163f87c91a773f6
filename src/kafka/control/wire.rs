//! What requests go out by and answers come in by: pipelining, version negotiation, and whose turn it is.
//!
//! Requests are numbered; a writer task sends them in order and a reader task hands each answer to whoever waits for
//! its number (`frames`). At most [`MAX_IN_FLIGHT`] requests are under way, each with a time limit. A wire that breaks,
//! lets a request time out or brings nonsense is closed for good, and everyone who waits is told why.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Message, Request, StrBytes};
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use super::failure::{Class, Failure, check_code};
use super::frames::{read_frames, write_frames};
use super::throttle::{ThrottleBook, ThrottleGate, ThrottledAnswer};
use super::transport::{Stream, format_limit};
use super::{guard, sasl};
use crate::base::Trouble;
use crate::kafka::properties::ControlProperties;

/// Requests under way on one connection; more wait for a place.
const MAX_IN_FLIGHT: usize = 256;
/// The versions of each request that a broker speaks: API key to (least, greatest).
pub(crate) type ApiTable = HashMap<i16, (i16, i16)>;

/// What a broker says of itself before anything else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speech {
    /// The requests that it knows.
    pub versions: ApiTable,
    /// Up to which level it knows `metadata.version` (KIP-584): it tells its release.
    pub metadata_level: Option<i16>,
    /// The level of `group.version` that the cluster has agreed on: from 1 on its groups may be of KIP-848.
    pub group_level: Option<i16>,
}

/// What sends requests and waits for answers, also for the task that authenticates again.
pub(super) struct Wire {
    shared: Arc<ConnectionState>,
    frames: mpsc::Sender<Bytes>,
    places: Arc<Semaphore>,
    next: AtomicI32,
    client_id: StrBytes,
    /// How long one request may take.
    pub limit: Duration,
    /// How long a login may take on an open connection, all of its requests.
    login_limit: Duration,
    pub speech: Speech,
    /// Held in common while a request is handed to the writer, and by itself while one authenticates: a broker takes no
    /// other request between the messages of a login (KIP-368).
    turn: RwLock<()>,
    /// The task that reads answers.
    reader: AbortHandle,
}

/// What the tasks and the callers share.
pub(super) struct ConnectionState {
    /// Waiters by correlation id; `Err` once closed, with the reason.
    pub waiting: Mutex<Result<HashMap<i32, Waiter>, Failure>>,
    /// Answers read so far: tells a broker that hangs up at once from one that was lost.
    pub answers: AtomicU64,
    /// A request went unanswered for too long: the broker may be stuck.
    stuck: AtomicBool,
    /// Tells the writer task that it is over.
    pub closed: Notify,
    /// Shut while the broker makes this client wait.
    pub gate: Arc<ThrottleGate>,
    pub label: String,
    secure: bool,
    authenticated: bool,
}

pub(super) struct Waiter {
    pub answer: oneshot::Sender<Result<Bytes, Failure>>,
    /// Kept until the answer is here, even when the caller has gone: the broker is still at work on it.
    _place: OwnedSemaphorePermit,
}

/// Tasks that end when this is dropped.
pub(super) struct TaskSet(pub Vec<JoinHandle<()>>);

impl Drop for TaskSet {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// An answer that is still to come.
type Answered = oneshot::Receiver<Result<Bytes, Failure>>;

impl Wire {
    /// Starts the tasks of a connection over a stream. They end when the second part of what is returned is dropped.
    pub(crate) fn start_tasks(
        stream: Box<dyn Stream>,
        label: &str,
        properties: &ControlProperties,
        book: &Arc<ThrottleBook>,
    ) -> (Wire, TaskSet) {
        let (reader, writer) = tokio::io::split(stream);
        let (frames, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let shared = Arc::new(ConnectionState {
            waiting: Mutex::new(Ok(HashMap::new())),
            answers: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            closed: Notify::new(),
            gate: ThrottleGate::new(Arc::clone(book)),
            label: label.to_owned(),
            secure: properties.protocol.uses_tls(),
            authenticated: properties.protocol.uses_sasl(),
        });
        // Longer than any caller's, so that callers have the first word.
        let orphaned = properties.request_timeout + properties.setup_timeout;
        let reading = tokio::spawn(read_frames(reader, Arc::clone(&shared), orphaned));
        let wire = Wire {
            frames,
            places: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            next: AtomicI32::new(0),
            client_id: StrBytes::from_string(properties.client_id.clone()),
            // Until it is ready, the limit of the whole setup is the only one.
            limit: properties.setup_timeout * 2,
            login_limit: properties.setup_timeout,
            speech: Speech::default(),
            turn: RwLock::new(()),
            reader: reading.abort_handle(),
            shared: Arc::clone(&shared),
        };
        (wire, TaskSet(vec![reading, tokio::spawn(write_frames(writer, queue, shared))]))
    }

    /// Who is at the other end, for messages.
    pub fn label(&self) -> &str {
        &self.shared.label
    }

    pub fn versions(&self) -> &ApiTable {
        &self.speech.versions
    }

    /// What the broker said of itself.
    pub fn speech(&self) -> &Speech {
        &self.speech
    }

    pub fn is_closed(&self) -> bool {
        self.shared.waiting.lock().map_or(true, |w| w.is_err())
    }

    /// Closes it from this side.
    pub(crate) fn hang_up(&self) {
        self.shared.close(Class::Lost, "the connection was dropped", "");
    }

    /// Why, if it was closed because the broker did not answer in time.
    pub(crate) fn was_stuck(&self) -> Option<Trouble> {
        self.shared.stuck.load(Ordering::Relaxed).then(|| *self.shared.reason().trouble)
    }

    /// The greatest version of a request that both sides speak, request and answer alike.
    pub(crate) fn common_version<R: Request>(&self) -> Option<i16> {
        let (least, greatest) = *self.speech.versions.get(&R::KEY)?;
        let answer = <R::Response as Message>::VERSIONS;
        let least = least.max(R::VERSIONS.min).max(answer.min);
        let greatest = greatest.min(R::VERSIONS.max).min(answer.max);
        (least <= greatest).then_some(greatest)
    }

    /// As [`Self::common_version`], or what a person is told when there is none. `since` says which Kafka brought the API.
    pub(crate) fn need_version<R: Request>(&self, since: &str) -> Result<i16, Failure> {
        self.common_version::<R>().ok_or_else(|| {
            let api = api_name(R::KEY);
            Failure::new(
                Class::Final,
                format!("{} has no request {api} that cutover speaks", self.label()),
                format!("{api} needs Apache Kafka {since}"),
            )
        })
    }

    /// Sends a request in a given version and waits for its answer. While the broker throttles this client nothing is
    /// sent, and that time counts for no limit (KIP-219). Nor does the time of a login, which has limits of its own.
    pub async fn call<R: Request<Response: ThrottledAnswer>>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Failure> {
        self.shared.gate.wait_open().await;
        let answered = {
            let _turn = self.turn.read().await;
            self.send_request(version, request).await?
        };
        self.read_answer::<R>(version, answered).await
    }

    /// The same of a login, whose turn it is.
    pub(crate) async fn call_in_login<R: Request<Response: ThrottledAnswer>>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Failure> {
        self.shared.gate.wait_open().await;
        let answered = self.send_request(version, request).await?;
        self.read_answer::<R>(version, answered).await
    }

    /// Authenticates again, while nobody else sends anything; how long that holds. One that is refused, or takes longer than
    /// a whole set-up may, ends the connection.
    pub(crate) async fn renew_session(&self, login: &sasl::Login) -> Result<Option<Duration>, Failure> {
        let mut turn = None;
        let renewed = self.shared.gate.within(self.login_limit, async {
            turn = Some(self.turn.write().await);
            sasl::authenticate(self, login, sasl::Occasion::Renewal).await
        });
        let renewed = renewed.await.unwrap_or_else(|| {
            self.shared.stuck.store(true, Ordering::Relaxed);
            let limit = format_limit(self.login_limit);
            let what = format!("{}: logging in again took longer than {limit}", self.label());
            Err(Failure::new(Class::Lost, what, SLOW))
        });
        // While the turn is still held: nobody's request gets between the messages of a login that broke off.
        let ended = renewed.inspect_err(|failure| self.shut(failure.clone()));
        drop(turn);
        ended
    }

    /// Lets go of a connection whose session is over in a moment, as soon as nothing is under way on it: what is asked next
    /// goes over a new one.
    pub(crate) async fn end_session(&self) {
        let mut turn = None;
        let all = u32::try_from(MAX_IN_FLIGHT).unwrap_or(u32::MAX);
        let idle = self.shared.gate.within(self.limit, async {
            turn = Some(self.turn.write().await);
            // Each request that is unanswered holds a place.
            self.places.acquire_many(all).await
        });
        // What is still unanswered after that time is lost anyway.
        let _all_places = idle.await;
        self.shut(Failure::new(Class::Lost, format!("{}: the session is over", self.label()), "try again"));
        drop(turn);
    }

    /// Closes it, and lets go of the socket though the other end says nothing.
    fn shut(&self, failure: Failure) {
        self.shared.close_for(failure); // the writer is told
        self.reader.abort();
    }

    async fn send_request<R: Request>(&self, version: i16, request: &R) -> Result<Answered, Failure> {
        // After 2^31 requests numbers begin again at 0.
        let id = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let frame = self.encode(id, version, request).map_err(|e| {
            Failure::new(Class::Final, format!("a request can't be encoded: {e}"), "this is a fault of cutover")
        })?;
        self.send_frame(id, frame).await
    }

    async fn read_answer<R: Request<Response: ThrottledAnswer>>(
        &self,
        version: i16,
        answered: Answered,
    ) -> Result<R::Response, Failure> {
        let mut answer = self.await_answer(answered).await?;
        let answer = self.decode::<R>(version, &mut answer).ok_or_else(|| {
            tracing::error!(broker = %self.label(), api = %api_name(R::KEY), version, "malformed answer");
            self.shared.close(Class::Lost, "sent an answer that can't be decoded", NOT_KAFKA);
            let what = format!("{} sent an answer that can't be decoded", self.label());
            Failure::new(Class::Lost, what, NOT_KAFKA)
        })?;
        let ms = answer.throttle_ms();
        if ms > 0 {
            tracing::info!(broker = %self.label(), api = %api_name(R::KEY), ms, "throttled");
        }
        self.shared.gate.note_throttle(ms);
        Ok(answer)
    }

    fn encode<R: Request>(&self, id: i32, version: i16, request: &R) -> Result<Bytes, String> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::with_capacity(512);
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(|e| e.to_string())?;
        request.encode(&mut frame, version).map_err(|e| e.to_string())?;
        let length = i32::try_from(frame.len() - 4).map_err(|e| e.to_string())?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame.freeze())
    }

    fn decode<R: Request>(&self, version: i16, answer: &mut Bytes) -> Option<R::Response> {
        let header_version = R::Response::header_version(version);
        guard::decode::<ResponseHeader>(answer, header_version, header_version >= 1)?;
        // Requests have a flexible header (v2) exactly when request and answer bodies are flexible.
        let flexible = R::header_version(version) >= 2;
        guard::decode::<R::Response>(answer, version, flexible).or_else(|| {
            // texts alone, and those of all clients
            let texts = R::KEY == ApiKey::ListGroups as i16;
            let stray = texts.then(|| guard::decode_stray::<R::Response>(answer, version, flexible)).flatten();
            if stray.is_some() {
                tracing::debug!(broker = %self.label(), api = %api_name(R::KEY), "an answer with bytes that are no UTF-8");
            }
            stray
        })
    }

    /// Hands a request to the writer, as soon as there is a place for it.
    async fn send_frame(&self, id: i32, frame: Bytes) -> Result<Answered, Failure> {
        let place = self.shared.gate.within(self.limit, Arc::clone(&self.places).acquire_owned()).await;
        let Some(Ok(place)) = place else {
            let what =
                format!("{}: {MAX_IN_FLIGHT} requests were unanswered for {}", self.label(), format_limit(self.limit));
            tracing::warn!(broker = %self.label(), ms = self.limit.as_millis(), "no place for a request");
            return Err(Failure::new(Class::Unreachable, what, SLOW));
        };
        let (answer, answered) = oneshot::channel();
        match &mut *self.shared.waiting.lock().map_err(|_| self.shared.closed_failure())? {
            // Before the frame goes out: its answer may be read before `try_send` returns.
            Ok(waiting) => waiting.insert(id, Waiter { answer, _place: place }),
            // Closed before anything of it was sent: it can't have taken effect.
            Err(reason) => return Err(Failure { class: Class::Unreachable, error: None, ..reason.clone() }),
        };
        // Never full: a frame in the queue holds one of as many places. Not awaiting keeps a waiter and its frame together
        // when the caller is dropped.
        if self.frames.try_send(frame).is_err() {
            return Err(self.shared.reason());
        }
        Ok(answered)
    }

    async fn await_answer(&self, answered: Answered) -> Result<Bytes, Failure> {
        match self.shared.gate.within(self.limit, answered).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(self.shared.reason()),
            None => {
                self.shared.give_up(self.limit);
                self.reader.abort(); // the writer has been told
                Err(self.shared.reason())
            }
        }
    }

    /// Asks which versions the broker speaks: v3, or v0 where that is unknown (before Kafka 2.4).
    pub(crate) async fn negotiate(&self) -> Result<Speech, Failure> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("cutover"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let encoding = |e: String| Failure::new(Class::Final, e, "this is a fault of cutover");
        let answered = self.send_frame(id, self.encode(id, 3, &request).map_err(encoding)?).await?;
        let mut answer = self.await_answer(answered).await?;
        // A broker that does not know v3 answers UNSUPPORTED_VERSION in the form of v0 (KIP-511).
        // Of ApiVersions the answer's header is v0 in every version (KIP-511): the error code follows the number.
        let unsupported = answer.len() >= 6 && answer[4..6] == 35i16.to_be_bytes();
        let response = if unsupported {
            tracing::debug!(broker = %self.label(), "ApiVersions v3 is not known there: v0");
            self.call(0, &ApiVersionsRequest::default()).await?
        } else {
            match self.decode::<ApiVersionsRequest>(3, &mut answer) {
                Some(response) => response,
                None => {
                    return Err(Failure::new(Class::Unreachable, format!("{} is not Kafka", self.label()), NOT_KAFKA));
                }
            }
        };
        let ApiVersionsResponse {
            error_code, api_keys, throttle_time_ms, supported_features, finalized_features, ..
        } = response;
        self.shared.gate.note_throttle(throttle_time_ms); // of the second answer, if there were two, 0: v0 has no such field
        check_code(error_code, "ApiVersions", self.label())?;
        let supported = |name: &str| supported_features.iter().find(|f| *f.name == *name).map(|f| f.max_version);
        let agreed = |name: &str| finalized_features.iter().find(|f| *f.name == *name).map(|f| f.max_version_level);
        Ok(Speech {
            versions: api_keys.into_iter().map(|k| (k.api_key, (k.min_version, k.max_version))).collect(),
            metadata_level: supported("metadata.version"),
            group_level: agreed("group.version"),
        })
    }
}

/// The request's name as in Kafka's protocol guide.
fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| key.to_string(), |key| format!("{key:?}"))
}

pub(super) const NOT_KAFKA: &str = "check that the address is a Kafka broker's, and that no proxy changes the traffic";
const SLOW: &str = "the broker is overloaded or stuck, or the line is cut: look at the broker";

impl ConnectionState {
    /// Closes for good; the first reason stays.
    pub(super) fn close(&self, class: Class, what: &str, advice: &str) {
        self.close_for(Failure::new(class, format!("{} {what}", self.label), advice));
    }

    /// As [`Self::close`], for a whole reason.
    pub(super) fn close_for(&self, failure: Failure) {
        let Ok(mut waiting) = self.waiting.lock() else { return };
        if let Ok(waiters) = &mut *waiting {
            // Its own end is no news; who waited for an answer has lost it.
            if !waiters.is_empty() || self.stuck.load(Ordering::Relaxed) {
                let (unanswered, why) = (waiters.len(), &failure.trouble.what);
                tracing::warn!(broker = %self.label, unanswered, why = %why, "connection lost");
            } else {
                tracing::debug!(broker = %self.label, why = %failure.trouble.what, "connection closed");
            }
            // Theirs was sent, and whether it took effect is unknown, whatever it is that ends the connection.
            let lost = Failure { class: Class::Lost, error: None, ..failure.clone() };
            for (_, waiter) in waiters.drain() {
                let _ = waiter.answer.send(Err(lost.clone())); // the caller may have gone
            }
            *waiting = Err(failure);
            self.closed.notify_one();
        }
    }

    /// Answers come in order: whatever waits behind one that does not come is stuck too. Java's client hangs up as well.
    pub(super) fn give_up(&self, limit: Duration) {
        self.stuck.store(true, Ordering::Relaxed);
        self.close(Class::Lost, &format!("did not answer within {}", format_limit(limit)), SLOW);
    }

    /// Some request that is unanswered now.
    pub(super) fn first_owed(&self) -> Option<i32> {
        self.waiting.lock().ok()?.as_ref().ok()?.keys().next().copied()
    }

    pub(super) fn owes_answer(&self, id: i32) -> bool {
        self.waiting.lock().is_ok_and(|w| w.as_ref().is_ok_and(|w| w.contains_key(&id)))
    }

    /// Why there is no answer to what was sent.
    fn reason(&self) -> Failure {
        match self.waiting.lock().as_deref() {
            Ok(Err(reason)) => Failure { class: Class::Lost, error: None, ..reason.clone() },
            _ => self.closed_failure(),
        }
    }

    fn closed_failure(&self) -> Failure {
        Failure::new(Class::Lost, format!("the connection to {} is closed", self.label), "")
    }

    /// The broker hung up. When it does so at once, the usual cause is a listener of another kind.
    pub(super) fn hung_up(&self, why: &str) {
        let answers = self.answers.load(Ordering::Relaxed);
        let (what, advice) = match (answers, self.secure, self.authenticated) {
            (0, false, _) => (
                format!("closed the connection at once{why}"),
                "if this listener is a TLS one, set `security.protocol` to SSL or SASL_SSL; if not, look at the broker's log",
            ),
            // TLS 1.3 refuses a client's certificate only after the handshake.
            (0, true, _) => (
                format!("closed the connection right after the TLS handshake{why}"),
                "if this listener wants a client certificate, set `ssl.certificate.location` and `ssl.key.location`, or \
                 `ssl.keystore.location`, to one that it trusts; if not, look at the broker's log",
            ),
            (1, _, false) => (
                format!("closed the connection after the first answer{why}"),
                "if this listener wants SASL, set `security.protocol` to SASL_SSL or SASL_PLAINTEXT",
            ),
            _ => (format!("closed the connection{why}"), "look at the broker: it stopped, or refused the request"),
        };
        // A refused certificate stays refused, and a listener that wants SASL goes on wanting it.
        let lasting = why.contains("alert") || (answers == 1 && !self.authenticated);
        let trouble = Trouble::new(format!("{} {what}", self.label), advice);
        self.close_for(Failure::with_trouble(Class::Lost, if lasting { trouble.mark_lasting() } else { trouble }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::properties::ClientProperties;

    /// What ends a connection says nothing of what was sent before, which may have taken effect.
    #[tokio::test]
    async fn what_was_sent_is_in_doubt_whatever_ends_the_connection() {
        let (near, _far) = tokio::io::duplex(4 << 10);
        let properties = ClientProperties::default().to_control().unwrap();
        let (wire, _tasks) = Wire::start_tasks(Box::new(near), "blue broker 1", &properties, &Arc::default());
        let sent = wire.send_frame(7, Bytes::from_static(b"a change")).await.unwrap();
        let refused = check_code(58, "SASL PLAIN as `app`", "blue broker 1").unwrap_err();
        assert_eq!(refused.class, Class::Final);
        wire.shut(refused);
        let lost = wire.await_answer(sent).await.unwrap_err();
        assert!(lost.is_in_doubt() && lost.error.is_none(), "{lost:?}");
        assert!(lost.trouble.what.contains("SASL_AUTHENTICATION_FAILED"), "{lost:?}");
        let unsent = wire.send_frame(8, Bytes::from_static(b"another")).await.map(drop).unwrap_err();
        assert_eq!(unsent.class, Class::Unreachable, "nothing of it was sent");
    }
}

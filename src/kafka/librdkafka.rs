//! What the data plane's clients share: configuration, a context that keeps librdkafka's words off
//! the screen, and its errors in words a person can act on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::{RDKafkaConfRes, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::properties::ClientProperties;
use super::token::TokenSource;
use crate::base::redact;
use crate::base::sanitise;
use crate::base::{Trouble, lock_unpoisoned};
use crate::plan::properties::canonical_name;

/// Events that are served in one go at most: librdkafka does not make them as fast as they are served.
const MOST_WAITING: usize = 10_000;

/// The client properties with the bootstrap address and what this client must have, over them. Each property once, under
/// librdkafka's own name: rdkafka sets them in no order, and the last one counts.
pub(super) fn build_config(properties: &ClientProperties, bootstrap: &str, must: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    // A client that is told of a second cluster says so in a warning, and nowhere else.
    config.set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in properties.to_rdkafka() {
        config.set(name, value);
    }
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in must {
        config.set(canonical_name(name), *value);
    }
    config
}

/// Receives what librdkafka has to say besides records: log lines (to `tracing`, never to stderr),
/// errors (the last one, to explain a timeout), statistics.
#[derive(Debug, Default)]
pub(super) struct EventContext {
    heard: Mutex<ClientEvents>,
    /// How many events were served.
    served: AtomicU64,
    /// Of a client that logs in with one.
    tokens: Option<TokenDesk>,
}

/// Where a client's tokens come from, and who does the waiting.
#[derive(Debug)]
struct TokenDesk {
    source: Arc<TokenSource>,
    handle: Handle,
}

#[derive(Debug, Default)]
struct ClientEvents {
    last_error: Option<(RDKafkaErrorCode, String)>,
    end_of_partition: Option<i64>,
    statistics: Option<Vec<u8>>,
    failed_deliveries: Option<KafkaError>,
    second_cluster: Option<String>,
    token_trouble: Option<Trouble>,
}

/// Waits on a thread that may for what a runtime does. `None`: everything ends meanwhile.
pub(super) fn wait_for<T: Send + 'static>(
    handle: &Handle,
    answer: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    // Not `Handle::block_on`: when the runtime ends, a spawned task is dropped with its sender, and `recv` returns.
    let (tell, told) = sync_channel(1);
    handle.spawn(async move {
        let _ = tell.send(answer.await); // who waits may have gone
    });
    told.recv().ok()
}

impl EventContext {
    /// The context of a client with these properties. Errors: it logs in with tokens, and no runtime is there to get them.
    pub(super) fn for_client(properties: &ClientProperties) -> Result<EventContext, Trouble> {
        let gone = |_| Trouble::new("no runtime serves the data plane", "this is a fault of cutover");
        let desk = |source: &Arc<TokenSource>| -> Result<TokenDesk, Trouble> {
            Ok(TokenDesk { source: Arc::clone(source), handle: Handle::try_current().map_err(gone)? })
        };
        let tokens = properties.token_source().map(desk).transpose()?;
        Ok(EventContext { tokens, ..EventContext::default() })
    }

    /// Why there is no token to log in with, if the last one that was asked for did not come.
    pub(super) fn token_trouble(&self) -> Option<Trouble> {
        self.lock_events().token_trouble.clone()
    }

    /// The last error that had a cause of its own ("all brokers are down" only says that there were others).
    pub(crate) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.lock_events().last_error.clone()
    }

    /// What librdkafka said when a broker told another cluster id than those before it. Stays: what that client read since
    /// may be of either.
    pub(crate) fn second_cluster(&self) -> Option<String> {
        self.lock_events().second_cluster.clone()
    }

    /// Forgets earlier errors: they don't explain what happens from now on.
    pub(crate) fn forget_errors(&self) {
        self.lock_events().last_error = None;
    }

    /// The offset at which the end-of-partition event that was just polled happened. Taken.
    pub(crate) fn take_end_of_partition(&self) -> Option<i64> {
        self.lock_events().end_of_partition.take()
    }

    /// The last statistics as JSON, once.
    pub(crate) fn take_statistics(&self) -> Option<Vec<u8>> {
        self.lock_events().statistics.take()
    }

    /// The first failed delivery since the last call. Taken.
    pub(crate) fn take_failed_delivery(&self) -> Option<KafkaError> {
        self.lock_events().failed_deliveries.take()
    }

    fn note_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    fn lock_events(&self) -> std::sync::MutexGuard<'_, ClientEvents> {
        lock_unpoisoned(&self.heard)
    }
}

/// The offset out of librdkafka's "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 42)".
/// The safe API hands on neither topic nor offset of that event, only its words.
fn parse_end_of_partition(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("reached end of partition at offset ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl ClientContext for EventContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.note_served();
        let message = sanitise::visible_text(&redact::hide_secrets(message));
        // librdkafka takes the new id and goes on: a client that was led there and back would tell the right one again.
        if facility == "CLUSTERID" {
            self.lock_events().second_cluster.get_or_insert_with(|| message.clone());
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note_served();
        let code = error.rdkafka_error_code();
        // rdkafka tells this event to the context first, with its words, and then returns it from `poll`, with the
        // partition alone: the offset waits here for whoever polls.
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            self.lock_events().end_of_partition = parse_end_of_partition(reason);
            return;
        }
        let reason = sanitise::visible_text(&redact::hide_secrets(reason));
        tracing::warn!(target: "librdkafka", "{error}: {reason}");
        let mut heard = self.lock_events();
        // It follows each cause and names none: over a refused certificate it would have people look for dead brokers.
        if let Some(code) = code
            && (code != RDKafkaErrorCode::AllBrokersDown || heard.last_error.is_none())
        {
            heard.last_error = Some((code, reason));
        }
    }

    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    /// The control plane's token. Called where this client is polled: at its beginning, and when 80 % of a token's time are
    /// over.
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.note_served();
        let Some(TokenDesk { source, handle }) = &self.tokens else {
            return Err("this client logs in with no token".into());
        };
        let source = Arc::clone(source);
        let over = || Err(Trouble::new("the session ends", "try again"));
        let told = wait_for(handle, async move { source.fetch_token().await }).unwrap_or_else(over);
        self.lock_events().token_trouble = told.as_ref().err().cloned();
        let token = told?;
        Ok(OAuthToken {
            token: token.value().to_owned(),
            // It stands in librdkafka's own log lines alone.
            principal_name: token.subject().unwrap_or_default().to_owned(),
            lifetime_ms: token.usable_until().0,
        })
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.note_served();
        self.lock_events().statistics = Some(statistics.to_vec());
    }
}

impl ConsumerContext for EventContext {}

impl ProducerContext for EventContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        self.note_served();
        // Those after the first mostly fail because of it: a fatal error purges the queue, a transaction is aborted.
        if let Err((error, _)) = result {
            self.lock_events().failed_deliveries.get_or_insert_with(|| {
                tracing::warn!(why = %error, "a record was not taken: the first of its kind is told");
                error.clone()
            });
        }
    }
}

/// Whether an error will not go away by waiting: credentials, certificates, permissions.
pub(super) fn is_final(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    // Not GroupAuthorizationFailed: readers assign their partitions, and need no right on the group they name.
    matches!(
        code,
        E::Authentication
            | E::SSL
            | E::SaslAuthenticationFailed
            | E::UnsupportedSASLMechanism
            | E::TopicAuthorizationFailed
            | E::ClusterAuthorizationFailed
            | E::TransactionalIdAuthorizationFailed
    )
}

/// What to do about an error of librdkafka, in one sentence.
pub(super) fn advice_for(code: Option<RDKafkaErrorCode>) -> &'static str {
    use RDKafkaErrorCode as E;
    match code {
        Some(E::Authentication | E::SaslAuthenticationFailed | E::UnsupportedSASLMechanism) => {
            "check sasl.mechanism of this cluster in the plan, and its sasl.username and password, or its token"
        }
        Some(E::SSL) => "check security.protocol and ssl.ca.location of this cluster in the plan",
        Some(E::TopicAuthorizationFailed) => "give this principal READ and DESCRIBE on the topic (WRITE to replay)",
        Some(E::GroupAuthorizationFailed) => "give this principal READ on the group, or set group.id to one it may use",
        Some(E::ClusterAuthorizationFailed | E::TransactionalIdAuthorizationFailed) => {
            "give this principal WRITE on the transactional id"
        }
        Some(E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition) => {
            "check the topic's name and partition count on this cluster"
        }
        Some(
            E::BrokerTransportFailure | E::AllBrokersDown | E::Resolve | E::OperationTimedOut | E::RequestTimedOut,
        ) => "check that the brokers run and that this machine reaches every address they advertise",
        // A limit refuses again what it refused: it has to go before anybody goes on.
        Some(E::InvalidTimestamp) => {
            "raise message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic"
        }
        Some(E::MessageSizeTooLarge | E::MessageBatchTooLarge) => "raise max.message.bytes of the topic",
        Some(E::InvalidRecord | E::PolicyViolation) => {
            "change the rule of the topic or the cluster that refuses these records (a compacted topic takes none without \
             a key)"
        }
        _ => "",
    }
}

/// Trouble with a client of `bootstrap` while doing `what`, explained by the last thing librdkafka said.
pub(super) fn explain_trouble(
    what: &str,
    bootstrap: &str,
    error: Option<&KafkaError>,
    context: Option<&EventContext>,
) -> Trouble {
    let heard = context.and_then(EventContext::last_error);
    let own = error.and_then(KafkaError::rdkafka_error_code);
    // Without a token nobody is connected to: the rest are symptoms.
    if let Some(why) = context.and_then(EventContext::token_trouble)
        && own.is_none_or(|code| is_symptom(code) || is_final(code))
    {
        return why;
    }
    // A timeout is a symptom; what was heard before it is the cause.
    let (code, why) = match (heard, error) {
        (Some((code, reason)), _) if own.is_none_or(is_symptom) => (Some(code), reason),
        (_, Some(error)) => (own, own.map_or_else(|| describe_error(error), |code| code.to_string())),
        (_, None) => (Some(RDKafkaErrorCode::OperationTimedOut), "no answer in time".to_owned()),
    };
    let what = format!("{what} on {bootstrap}: {}", sanitise::visible_text(&why));
    tracing::warn!(code = ?code, what = %what, "the data plane failed");
    Trouble::new(what, advice_for(code))
}

/// Nobody told a client the cluster's id, for as long as it was waited for.
pub(super) fn untold_cluster_id(bootstrap: &str, context: &EventContext) -> Trouble {
    let silent = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
    explain_trouble("asking for the cluster id", bootstrap, Some(&silent), Some(context))
}

/// Hands a client that was just made its first token, where it logs in with one: it connects to nobody without. `poll`: see
/// [`serve_waiting`]. Errors: there is none.
pub(super) fn hand_token(context: &EventContext, poll: impl Fn()) -> Result<(), Trouble> {
    if context.tokens.is_none() {
        return Ok(());
    }
    serve_waiting(context, poll);
    context.token_trouble().map_or(Ok(()), Err)
}

/// Serves all that waits for a client. `poll` must not wait: then rdkafka serves one event of its own (a log line,
/// statistics) and tells nobody that there was one, so it is polled until nothing more is heard.
pub(super) fn serve_waiting(context: &EventContext, poll: impl Fn()) {
    for _ in 0..MOST_WAITING {
        let before = context.served.load(Ordering::Relaxed);
        poll();
        if context.served.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// Whether a client is at the cluster that it is held to, if it is to any: asked for as long as `within`. `poll`: see
/// [`serve_waiting`].
pub(super) fn check_home(
    client: &Client<EventContext>,
    bootstrap: &str,
    home: Option<&str>,
    within: Duration,
    poll: impl Fn(),
) -> Result<(), Trouble> {
    let Some(held) = home else { return Ok(()) };
    let told = client.fetch_cluster_id(within);
    // After the id, before which librdkafka puts down that it is another one: who was led there and back tells the right id
    // again, and the warning waits to be polled.
    serve_waiting(client.context(), poll);
    check_told_id(bootstrap, held, told.as_deref(), client.context())
}

/// Whether a client is at the cluster with this id. `told`: what it was told last; a client that was told nothing may be
/// anywhere.
pub(super) fn check_told_id(
    bootstrap: &str,
    held: &str,
    told: Option<&str>,
    context: &EventContext,
) -> Result<(), Trouble> {
    let advice = "correct the addresses of this cluster (bootstrap, DNS, advertised.listeners): all must lead to one \
                  cluster; then try again";
    // Before the id: it may be the right one again by now, and what came between is of either cluster.
    if let Some(said) = context.second_cluster() {
        tracing::error!(%bootstrap, %said, "a client was led to a second cluster");
        return Err(Trouble::new(format!("a client of {bootstrap} was led to a second cluster: {said}"), advice));
    }
    match told {
        None => Err(untold_cluster_id(bootstrap, context)),
        Some(told) if told != held => {
            let (told, held) = (sanitise::visible_name(told), sanitise::visible_name(held));
            tracing::error!(%bootstrap, %told, %held, "a client is at another cluster");
            Err(Trouble::new(format!("{bootstrap} led to cluster {told}, and it should be {held}"), advice))
        }
        Some(_) => Ok(()),
    }
}

/// An error's own words. Of a property that is refused only its name: librdkafka's text repeats the value, and so does
/// rdkafka's; what a value must be is said by [`ClientProperties::check`], which has looked at it before.
fn describe_error(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("librdkafka knows no client property `{name}`")
        }
        KafkaError::ClientConfig(_, _, name, _) => format!("librdkafka does not take the value of `{name}`"),
        other => other.to_string(),
    }
}

fn is_symptom(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::OperationTimedOut
            | E::RequestTimedOut
            | E::BrokerTransportFailure
            | E::AllBrokersDown
            | E::LeaderNotAvailable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_partition_is_read_from_librdkafkas_words() {
        let words = "Fetch from broker 1 reached end of partition at offset 4211 (HighwaterMark 4212)";
        assert_eq!(parse_end_of_partition(words), Some(4211));
        assert_eq!(parse_end_of_partition("Fetch from broker 1 failed"), None);
        assert_eq!(parse_end_of_partition("reached end of partition at offset "), None);
    }

    #[test]
    fn a_client_is_at_home_only_where_it_was_told_so() {
        let context = EventContext::default();
        let at = |told| check_told_id("b:1", "X", told, &context).map_err(|t| t.what);
        assert_eq!(at(Some("X")), Ok(()));
        assert_eq!(at(Some("Y")), Err("b:1 led to cluster Y, and it should be X".to_owned()));
        let silent = at(None).unwrap_err();
        assert!(silent.starts_with("asking for the cluster id on b:1: "), "{silent}");
        context.log(RDKafkaLogLevel::Warning, "CLUSTERID", "Broker b:1 ClusterId Y differs");
        assert!(at(Some("X")).unwrap_err().contains("led to a second cluster"));
    }

    #[test]
    fn a_warning_behind_other_events_is_heard() {
        let context = EventContext::default();
        // One event a poll, as rdkafka does it, and none of them told.
        let waiting = std::cell::RefCell::new(vec!["CLUSTERID", "FAIL", "STATS", "FAIL"]);
        let poll = || match waiting.borrow_mut().pop() {
            Some("STATS") => context.stats_raw(b"{}"),
            Some(facility) => context.log(RDKafkaLogLevel::Warning, facility, "Broker b:1 ClusterId Y differs"),
            None => {}
        };
        serve_waiting(&context, poll);
        assert!(check_told_id("b:1", "X", Some("X"), &context).unwrap_err().what.contains("led to a second cluster"));
    }

    #[test]
    fn an_advice_names_only_what_a_plan_may_set() {
        assert_eq!(advice_for(Some(RDKafkaErrorCode::MessageSizeTooLarge)), "raise max.message.bytes of the topic");
    }

    #[test]
    fn all_brokers_down_does_not_hide_the_cause() {
        let context = EventContext::default();
        let error = |code| KafkaError::Global(code);
        context.error(error(RDKafkaErrorCode::SSL), "ssl://10.0.0.1:9093: certificate verify failed\u{1b}[2J");
        context.error(error(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let trouble = explain_trouble(
            "reading orders-0",
            "10.0.0.1:9093",
            Some(&KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut)),
            Some(&context),
        );
        assert!(trouble.what.contains("certificate verify failed"), "{trouble:?}");
        assert!(!trouble.what.contains('\u{1b}'));
        assert!(trouble.advice.contains("ssl.ca.location"));
    }
}

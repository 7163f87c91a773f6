//! Client properties in librdkafka's names: the one source for both planes.
//!
//! The data plane hands them to librdkafka as they are ([`ClientProperties::to_rdkafka`]); the control
//! plane reads what it needs of them ([`ClientProperties::to_control`]), so both trust the same things.

mod login;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::control::ScramHash;
use super::token::{TokenClock, TokenSource};
use crate::base::Trouble;
use crate::base::redact;
use crate::base::redact::HIDDEN;
use crate::base::sanitise::{visible_name, visible_text};
pub(crate) use crate::net::tls::Tls;
pub(crate) use crate::plan::properties::SecurityProtocol;
use crate::plan::properties::{self, SaslMechanism, canonical_name, is_secret, is_used};
pub(crate) use login::Sasl;

/// Whole-connection setup (DNS, TCP, TLS, SASL) when `socket.connection.setup.timeout.ms` is not set.
/// Shorter than librdkafka's 30 s: a dead broker must not hold the cockpit's picture of the others.
const SETUP_TIMEOUT: Duration = Duration::from_secs(5);
/// What sets it.
const SETUP: &str = "socket.connection.setup.timeout.ms";
/// One request when `socket.timeout.ms` is not set (librdkafka: 60 s; same reason).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Client id when `client.id` is not set: seen in the brokers' logs and quotas.
const CLIENT_ID: &str = "cutover";

/// librdkafka properties of one cluster's clients, secrets resolved. `Debug` and `Serialize` never show a secret.
#[derive(Clone, Default)]
pub struct ClientProperties {
    entries: BTreeMap<String, String>,
    /// Where both planes' tokens come from, or why from nowhere. `None`: no login of these properties takes a token, or
    /// nobody said which clock tokens expire by.
    tokens: Option<Result<Arc<TokenSource>, (&'static str, Trouble)>>,
}

/// By what they say: where their tokens come from follows from that.
impl PartialEq for ClientProperties {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for ClientProperties {}

/// The control plane's view of [`ClientProperties`].
#[derive(Clone)]
pub(crate) struct ControlProperties {
    /// `client.id`.
    pub client_id: String,
    /// `security.protocol`.
    pub protocol: SecurityProtocol,
    /// Present when `protocol` uses TLS.
    pub tls: Option<Tls>,
    /// Present when `protocol` uses SASL.
    pub sasl: Option<Sasl>,
    /// Bound of one connection's setup: DNS, TCP, TLS, ApiVersions, SASL.
    pub setup_timeout: Duration,
    /// Bound of one request.
    pub request_timeout: Duration,
}

impl ClientProperties {
    /// Properties as they are meant (an empty value is none: librdkafka refuses most of them, where the Java client takes
    /// them), checked only when used: see [`Self::check`].
    #[must_use]
    pub fn new(entries: BTreeMap<String, String>) -> Self {
        Self { entries: properties::normalise_values(entries), tokens: None }
    }

    /// The same for the cluster at these addresses, which may name the region of an MSK cluster, with the clock that tokens
    /// expire by. Clones share the tokens. No I/O, but AWS' variables for the region are read.
    #[must_use]
    pub fn for_cluster(entries: BTreeMap<String, String>, bootstrap: &str, clock: TokenClock) -> Self {
        let mut properties = Self::new(entries);
        // What is no number is refused by the check, in its own words.
        let limit = properties.millis(SETUP, SETUP_TIMEOUT).unwrap_or(SETUP_TIMEOUT);
        let tokens = TokenSource::from_properties(&properties.entries, bootstrap, limit, clock);
        properties.tokens = tokens.transpose();
        properties
    }

    /// Where the tokens come from that these properties' clients log in with, if they do.
    pub(super) fn token_source(&self) -> Option<&Arc<TokenSource>> {
        self.tokens.as_ref().and_then(|tokens| tokens.as_ref().ok())
    }

    /// A property's value, secrets included.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// Pairs for `rdkafka::ClientConfig`: what is used of them, under librdkafka's own names. rdkafka sets them in no
    /// order: of two names of one property chance would decide. Where TLS is on and no CA is named, librdkafka is told to
    /// probe for the system's, as the control plane does: trust must not differ between the planes.
    #[must_use]
    pub fn to_rdkafka(&self) -> BTreeMap<String, String> {
        // librdkafka opens no client over a name that it does not know, however harmless.
        let used = self.entries.iter().filter(|(name, _)| is_used(name));
        // It is handed the control plane's token: see `token`.
        let used = used.filter(|(name, _)| !properties::is_for_tokens(canonical_name(name)));
        let mut pairs: BTreeMap<_, _> =
            used.map(|(name, value)| (canonical_name(name).to_owned(), value.clone())).collect();
        // A protocol that is no word of librdkafka's is refused by it: no CA has to be found for it here.
        let tls = self.protocol().is_ok_and(SecurityProtocol::uses_tls);
        if tls && !pairs.contains_key("ssl.ca.location") && !pairs.contains_key("ssl.ca.pem") {
            pairs.insert("ssl.ca.location".into(), "probe".into());
        }
        // The control plane and the Java client take a mechanism in any case, librdkafka in capitals alone.
        if let Some(value) = pairs.get_mut("sasl.mechanisms")
            && let Some(mechanism) = SaslMechanism::from_name(value)
        {
            mechanism.wire_name().clone_into(value);
        }
        pairs.entry("client.id".into()).or_insert_with(|| CLIENT_ID.into());
        pairs
    }

    /// Everything that makes the properties unusable, by property name: what the plan's check says, and files that can't
    /// be read now. Empty when both planes can use them. No network; files are opened.
    #[must_use]
    pub fn check(&self) -> Vec<(String, Trouble)> {
        let values = self.entries.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
        let refused = properties::check_properties(&values.collect()).into_iter().filter(|f| f.refused);
        let mut found: Vec<_> = refused.map(|f| (f.name, f.trouble)).collect();
        let unreadable =
            |(name, value): (&String, &String)| Some((name.clone(), properties::file_trouble(name, value)?));
        found.extend(self.entries.iter().filter(|(name, _)| is_used(name)).filter_map(unreadable));
        // It stops at the first fault, which would be one of those above in other words.
        if found.is_empty() {
            found.extend(self.parse_control().err().map(|(name, trouble)| (name.into(), trouble)));
        }
        found
    }

    /// The control plane's view. Errors: a value that can't be used, a SASL mechanism that isn't there yet.
    pub(crate) fn to_control(&self) -> Result<ControlProperties, Trouble> {
        self.parse_control().map_err(|(_, trouble)| trouble)
    }

    /// `security.protocol`.
    fn protocol(&self) -> Result<SecurityProtocol, (&'static str, Trouble)> {
        let Some(text) = self.get("security.protocol") else { return Ok(SecurityProtocol::Plaintext) };
        let all = || format!("one of {}", SecurityProtocol::ALL.map(SecurityProtocol::name).join(", "));
        SecurityProtocol::from_name(text).ok_or_else(|| refuse_value("security.protocol", text, &all()))
    }

    fn parse_control(&self) -> Result<ControlProperties, (&'static str, Trouble)> {
        // librdkafka's texts end with one: it would prove another password than this plane.
        for name in ["sasl.username", "sasl.password", "client.id"] {
            if self.get(name).is_some_and(|value| value.contains('\0')) {
                return Err((name, properties::nul_trouble(name)));
            }
        }
        let protocol = self.protocol()?;
        Ok(ControlProperties {
            client_id: self.get("client.id").unwrap_or(CLIENT_ID).to_owned(),
            protocol,
            tls: protocol.uses_tls().then(|| Tls::from_properties(|name| self.get(name))).transpose()?,
            sasl: protocol.uses_sasl().then(|| self.sasl()).transpose()?,
            setup_timeout: self.millis(SETUP, SETUP_TIMEOUT)?,
            request_timeout: self.millis("socket.timeout.ms", REQUEST_TIMEOUT)?,
        })
    }

    fn sasl(&self) -> Result<Sasl, (&'static str, Trouble)> {
        // librdkafka takes both names for the one property.
        let mechanism = self.get("sasl.mechanism").or_else(|| self.get("sasl.mechanisms"));
        let mechanism = properties::parse_mechanism(mechanism).map_err(|trouble| ("sasl.mechanism", trouble))?;
        let need = |name: &'static str| {
            self.get(name).map(str::to_owned).ok_or_else(|| {
                let what = format!("SASL {} needs `{name}`, and it is not set", mechanism.name());
                (name, Trouble::new(what, format!("set `{name}`")))
            })
        };
        let login = || Ok((need("sasl.username")?, need("sasl.password")?));
        let scram = |hash| login().map(|(username, password)| Sasl::Scram { hash, username, password });
        match mechanism {
            SaslMechanism::Plain => login().map(|(username, password)| Sasl::Plain { username, password }),
            SaslMechanism::ScramSha256 => scram(ScramHash::Sha256),
            SaslMechanism::ScramSha512 => scram(ScramHash::Sha512),
            SaslMechanism::OAuthBearer | SaslMechanism::AwsMskIam => {
                let untimed = || Trouble::new("tokens need a clock, and none was given", "this is a fault of cutover");
                let tokens = self.tokens.clone().unwrap_or_else(|| Err(("sasl.mechanism", untimed())));
                tokens.map(|tokens| Sasl::Bearer { mechanism, tokens })
            }
        }
    }

    fn millis(&self, name: &'static str, default: Duration) -> Result<Duration, (&'static str, Trouble)> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.trim().parse::<u64>() {
            // librdkafka takes no `socket.timeout.ms` above 300 s: what one plane refuses, the other does too.
            Ok(ms) if (1..=300_000).contains(&ms) => Ok(Duration::from_millis(ms)),
            _ => Err(refuse_value(name, text, "milliseconds from 1 to 300000")),
        }
    }
}

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown_entries()).finish()
    }
}

impl Serialize for ClientProperties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown_entries())
    }
}

impl ClientProperties {
    /// Entries as they may be shown: also under the name of one that is no secret, a secret is hidden.
    fn shown_entries(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let value = |k: &str, v| if is_secret(k) { Cow::Borrowed(HIDDEN) } else { redact::hide_cow(v) };
        self.entries.iter().map(move |(k, v)| (k.as_str(), value(k, v)))
    }
}

impl ControlProperties {
    /// A client as quotas know it: `client-id cutover, user app`. A secret may stand where its name should, and these words
    /// become part of no trouble.
    #[must_use]
    pub(crate) fn describe_client(&self) -> String {
        let client = format!("client-id {}", visible_name(&self.client_id));
        let words = match self.sasl.as_ref().and_then(Sasl::username) {
            Some(user) => format!("{client}, user {}", visible_name(user)),
            None => client,
        };
        redact::hide_secrets(&words)
    }
}

fn refuse_value(name: &'static str, value: &str, wanted: &str) -> (&'static str, Trouble) {
    let shown = visible_text(value);
    (name, Trouble::new(format!("`{name}` is `{shown}`, and must be {wanted}"), format!("write {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
        ClientProperties::new(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn secrets_are_never_shown() {
        let secret = [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "sasl.jaas.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.private.key.passphrase",
        ];
        let mut pairs: Vec<_> = secret.iter().map(|n| (*n, "hunter2")).collect();
        pairs.push(("sasl.username", "app"));
        let p = properties(&pairs);
        let shown = format!("{p:?} {p:#?} {}", serde_json::to_string(&p).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("app") && shown.contains(HIDDEN));
        assert_eq!(p.to_rdkafka()["sasl.password"], "hunter2");
    }

    #[test]
    fn a_secret_under_the_name_of_another_property_is_shown_by_nothing() {
        let secret = "c4nary-of-the-properties";
        redact::learn_secret(secret);
        let p = properties(&[
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", secret),
            ("sasl.password", secret),
            ("client.id", secret),
        ]);
        let control = p.to_control().unwrap();
        assert_eq!(control.describe_client(), "client-id (hidden), user (hidden)");
        let shown = format!("{p:?} {}", serde_json::to_string(&p).unwrap());
        assert!(!shown.contains("c4nary") && shown.contains("SASL_PLAINTEXT"), "{shown}");
        assert_eq!(p.to_rdkafka()["sasl.username"], secret, "it is sent all the same");
    }

    #[test]
    fn defaults_are_plaintext() {
        let c = ClientProperties::default().to_control().unwrap();
        assert_eq!((c.protocol, c.client_id.as_str()), (SecurityProtocol::Plaintext, "cutover"));
        assert!(c.tls.is_none() && c.sasl.is_none());
        assert!(ClientProperties::default().check().is_empty());
    }

    #[test]
    fn sasl_ssl_with_plain() {
        let p = properties(&[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "app"),
            ("sasl.password", "pw"),
            ("ssl.ca.location", "probe"),
            ("socket.timeout.ms", "7000"),
        ]);
        assert_eq!(p.check(), vec![]);
        let c = p.to_control().unwrap();
        assert!(matches!(c.sasl, Some(Sasl::Plain { ref username, .. }) if username == "app"));
        let tls = c.tls.unwrap();
        assert!(tls.verify && tls.verify_hostname && tls.ca.is_none());
        assert_eq!(c.request_timeout, Duration::from_secs(7));
    }

    #[test]
    fn without_a_ca_both_planes_use_the_systems() {
        let p = properties(&[("security.protocol", "SSL")]);
        assert_eq!(p.to_rdkafka()["ssl.ca.location"], "probe");
        assert!(p.to_control().unwrap().tls.unwrap().ca.is_none());
        assert!(!properties(&[]).to_rdkafka().contains_key("ssl.ca.location"));
    }

    #[test]
    fn what_java_writes_for_nothing_is_nothing_to_both_planes() {
        let empty = ["ssl.ca.location", "debug", "client.id", "group.id", "ssl.key.password"];
        let mut pairs: Vec<_> = empty.iter().map(|name| (*name, "")).collect();
        pairs.extend([("security.protocol", "SSL"), ("ssl.endpoint.identification.algorithm", "")]);
        let p = properties(&pairs);
        assert_eq!(p.check(), vec![]);
        let mut config = rdkafka::ClientConfig::new();
        for (name, value) in p.to_rdkafka() {
            config.set(name, value);
        }
        assert!(config.create_native_config().is_ok(), "{:?}", p.to_rdkafka());
        let names: Vec<_> = p.to_rdkafka().into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            pair("client.id", "cutover"),
            pair("security.protocol", "SSL"),
            pair("ssl.ca.location", "probe"),
            pair("ssl.endpoint.identification.algorithm", "none"),
        ];
        assert_eq!(names, expected);
        let c = p.to_control().unwrap();
        let tls = c.tls.unwrap();
        assert!(c.client_id == "cutover" && tls.verify && !tls.verify_hostname && tls.ca.is_none());
    }

    #[test]
    fn mechanisms_that_are_not_there_say_what_is() {
        for mechanism in ["GSSAPI", "SCRAM-SHA-1"] {
            let p = properties(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism)]);
            let trouble = p.to_control().err().unwrap();
            assert!(trouble.what.contains(mechanism), "{trouble:?}");
            assert!(
                trouble.advice.contains("PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM work"),
                "{trouble:?}"
            );
        }
    }

    #[test]
    fn both_planes_read_the_same_mechanism_in_whatever_case_it_is_written() {
        for (written, mechanism) in [
            ("plain", SaslMechanism::Plain),
            ("Scram-Sha-256", SaslMechanism::ScramSha256),
            (" SCRAM-SHA-512 ", SaslMechanism::ScramSha512),
        ] {
            for name in ["sasl.mechanism", "sasl.mechanisms"] {
                let p = properties(&[
                    ("security.protocol", "SASL_PLAINTEXT"),
                    (name, written),
                    ("sasl.username", "app"),
                    ("sasl.password", "pw"),
                ]);
                assert_eq!(p.check(), vec![]);
                let sasl = p.to_control().unwrap().sasl.unwrap();
                assert_eq!((sasl.mechanism(), sasl.username()), (mechanism, Some("app")), "{written}");
                assert_eq!(p.to_rdkafka()["sasl.mechanisms"], mechanism.name());
                let config: rdkafka::ClientConfig = p.to_rdkafka().into_iter().collect();
                let made = config.create::<rdkafka::consumer::BaseConsumer>();
                assert!(made.is_ok(), "{written}: {:?}", made.err());
            }
        }
    }

    /// librdkafka takes its words in any case, and so do the plan's check and the control plane.
    #[test]
    fn whatever_case_a_word_is_written_in_both_planes_and_the_check_agree() {
        let base = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "a"),
            ("sasl.password", "b"),
        ];
        let mut tried = 0;
        for (name, words) in properties::list_word_properties() {
            for word in words.iter().flat_map(|w| [w.to_ascii_uppercase(), w.to_ascii_lowercase()]) {
                let mut pairs: BTreeMap<&str, &str> = base.into();
                if name == "security.protocol" && !word.to_ascii_uppercase().starts_with("SASL") {
                    pairs.retain(|name, _| !name.starts_with("sasl."));
                }
                pairs.insert(name, word.as_str());
                let p = properties(&pairs.into_iter().collect::<Vec<_>>());
                let values = p.entries.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
                let refused: Vec<_> =
                    properties::check_properties(&values.collect()).into_iter().filter(|f| f.refused).collect();
                if refused.is_empty() {
                    let control = p.to_control();
                    assert!(control.is_ok(), "{name} = {word}: {:?}", control.err());
                    let config: rdkafka::ClientConfig = p.to_rdkafka().into_iter().collect();
                    assert!(config.create_native_config().is_ok(), "{name} = {word}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 20, "{tried}");
        for (word, compared) in [("HTTPS", true), ("None", false), ("NONE", false)] {
            let p = properties(&[("security.protocol", "SSL"), ("ssl.endpoint.identification.algorithm", word)]);
            assert_eq!(p.check(), vec![], "{word}");
            assert_eq!(p.to_control().unwrap().tls.unwrap().verify_hostname, compared, "{word}");
        }
    }

    #[test]
    fn a_nul_is_refused_in_each_value_that_is_read_and_no_value_is_repeated() {
        for name in
            ["sasl.username", "sasl.password", "client.id", "ssl.key.password", "ssl.keystore.password", "ssl.ca.pem"]
        {
            let mut pairs = vec![("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-256")];
            pairs.extend([("sasl.username", "app"), ("sasl.password", "pw")].into_iter().filter(|(n, _)| *n != name));
            pairs.push((name, "c4na\0ry"));
            let trouble = properties(&pairs).to_control().err().unwrap();
            assert_eq!(trouble.what, format!("`{name}` holds a NUL character"));
        }
    }

    #[test]
    fn what_cutover_sets_itself_and_other_names_never_meet_in_librdkafka() {
        let p = properties(&[
            ("acks", "0"),
            ("max.in.flight", "100"),
            ("message.max.bytes", "100000000"),
            ("receive.message.max.bytes", "1000"),
            ("isolation.level", "read_uncommitted"),
            ("sasl.mechanism", "PLAIN"),
            ("compression.type", "zstd"),
            ("group.id", "allowed"),
        ]);
        let pairs = p.to_rdkafka();
        let names: Vec<&str> = pairs.keys().map(String::as_str).collect();
        assert_eq!(names, ["client.id", "compression.codec", "group.id", "sasl.mechanisms"]);
    }

    #[test]
    fn a_file_that_cant_be_read_is_found_before_anybody_is_connected_to() {
        let p = properties(&[("security.protocol", "SSL"), ("ssl.ca.location", "/no/such/ca.pem")]);
        let found = p.check();
        assert!(found[0].1.what.contains("/no/such/ca.pem can't be read"), "{found:?}");
    }
}

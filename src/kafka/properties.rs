//! Client properties in librdkafka's names: the one source for both planes.
//!
//! The data plane hands them to librdkafka as they are ([`ClientProperties::to_rdkafka`]); the control
//! plane reads what it needs of them ([`ClientProperties::control`]), so both trust the same things.

mod names;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::migration::estate::Trouble;
pub use crate::tls::{Identity, Pem, Tls};

/// What is shown in place of a secret.
pub const REDACTED: &str = "(hidden)";
/// Whole-connection setup (DNS, TCP, TLS, SASL) when `socket.connection.setup.timeout.ms` is not set.
/// Shorter than librdkafka's 30 s: a dead broker must not hold the cockpit's picture of the others.
const SETUP_TIMEOUT: Duration = Duration::from_secs(5);
/// One request when `socket.timeout.ms` is not set (librdkafka: 60 s; same reason).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Client id when `client.id` is not set: seen in the brokers' logs and quotas.
const CLIENT_ID: &str = "cutover";

/// librdkafka properties of one cluster's clients, secrets resolved. `Debug` and `Serialize` never show a secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ClientProperties {
    entries: BTreeMap<String, String>,
}

/// How the connection is protected (`security.protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl Protocol {
    /// Whether TLS is used.
    #[must_use]
    pub fn tls(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }

    /// Whether SASL is used.
    #[must_use]
    pub fn sasl(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }

    /// As written in properties.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Plaintext => "PLAINTEXT",
            Protocol::Ssl => "SSL",
            Protocol::SaslPlaintext => "SASL_PLAINTEXT",
            Protocol::SaslSsl => "SASL_SSL",
        }
    }
}

/// How the client proves who it is. SCRAM, OAUTHBEARER and GSSAPI slot in here.
#[derive(Clone, PartialEq, Eq)]
pub enum Sasl {
    /// RFC 4616: name and password as they are, so only inside TLS.
    Plain {
        /// `sasl.username`.
        username: String,
        /// `sasl.password`.
        password: String,
    },
}

/// The control plane's view of [`ClientProperties`].
#[derive(Clone, PartialEq, Eq)]
pub struct ControlProperties {
    /// `client.id`.
    pub client_id: String,
    /// `security.protocol`.
    pub protocol: Protocol,
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
    /// Properties as written, checked only when used: see [`Self::check`].
    #[must_use]
    pub fn new(entries: BTreeMap<String, String>) -> Self {
        Self { entries }
    }

    /// A property's value, secrets included.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// Pairs for `rdkafka::ClientConfig`, everything as written. Where TLS is on and no CA is named, librdkafka
    /// is told to probe for the system's, as the control plane does: trust must not differ between the planes.
    #[must_use]
    pub fn to_rdkafka(&self) -> BTreeMap<String, String> {
        let mut pairs = self.entries.clone();
        let tls = self.protocol().is_ok_and(Protocol::tls);
        if tls && !pairs.contains_key("ssl.ca.location") && !pairs.contains_key("ssl.ca.pem") {
            pairs.insert("ssl.ca.location".into(), "probe".into());
        }
        pairs.entry("client.id".into()).or_insert_with(|| CLIENT_ID.into());
        pairs
    }

    /// Everything wrong with the properties, by property name. Empty when both planes can use them.
    #[must_use]
    pub fn check(&self) -> Vec<(String, Trouble)> {
        let mut found: Vec<_> = self.entries.keys().filter_map(|name| Some((name.clone(), unknown(name)?))).collect();
        if let Err((name, trouble)) = self.parse() {
            found.push((name.into(), trouble));
        }
        found
    }

    /// The control plane's view. Errors: a value that can't be used, a SASL mechanism that isn't there yet.
    pub fn control(&self) -> Result<ControlProperties, Trouble> {
        self.parse().map_err(|(_, trouble)| trouble)
    }

    /// `security.protocol`.
    fn protocol(&self) -> Result<Protocol, (&'static str, Trouble)> {
        let Some(text) = self.get("security.protocol") else { return Ok(Protocol::Plaintext) };
        let all = [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl];
        all.into_iter().find(|p| p.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let names = all.map(Protocol::name);
            bad("security.protocol", text, &format!("one of {}", names.join(", ")), closest(text, names))
        })
    }

    fn parse(&self) -> Result<ControlProperties, (&'static str, Trouble)> {
        let protocol = self.protocol()?;
        Ok(ControlProperties {
            client_id: self.get("client.id").unwrap_or(CLIENT_ID).to_owned(),
            protocol,
            tls: protocol.tls().then(|| Tls::from_properties(|name| self.get(name))).transpose()?,
            sasl: protocol.sasl().then(|| self.sasl()).transpose()?,
            setup_timeout: self.millis("socket.connection.setup.timeout.ms", SETUP_TIMEOUT)?,
            request_timeout: self.millis("socket.timeout.ms", REQUEST_TIMEOUT)?,
        })
    }

    fn sasl(&self) -> Result<Sasl, (&'static str, Trouble)> {
        let mechanism = self.get("sasl.mechanism").or_else(|| self.get("sasl.mechanisms")).unwrap_or("GSSAPI");
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            let known = ["GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
            let what = match known.iter().find(|k| k.eq_ignore_ascii_case(mechanism)) {
                Some(name) if self.get("sasl.mechanism").or(self.get("sasl.mechanisms")).is_none() => {
                    format!("no `sasl.mechanism` is set, which means {name}; this version speaks PLAIN only")
                }
                Some(name) => format!("SASL mechanism {name} is not supported yet by this version's control plane"),
                None => format!("`{mechanism}` is not a SASL mechanism"),
            };
            let advice = "PLAIN works (`sasl.mechanism = \"PLAIN\"`, over SASL_SSL), and so do SSL with a client \
                          certificate and PLAINTEXT; SCRAM, OAUTHBEARER and GSSAPI (Kerberos) do not yet";
            return Err(("sasl.mechanism", Trouble::new(what, advice)));
        }
        let need = |name: &'static str| {
            self.get(name).map(str::to_owned).ok_or_else(|| {
                (name, Trouble::new(format!("SASL PLAIN needs `{name}`, and it is not set"), format!("set `{name}`")))
            })
        };
        Ok(Sasl::Plain { username: need("sasl.username")?, password: need("sasl.password")? })
    }

    fn millis(&self, name: &'static str, default: Duration) -> Result<Duration, (&'static str, Trouble)> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.trim().parse::<u64>() {
            Ok(ms) if (1..=300_000).contains(&ms) => Ok(Duration::from_millis(ms)),
            _ => Err(bad(name, text, "milliseconds from 1 to 300000", None)),
        }
    }
}

/// Whether a property's value is a secret. Any name with `password`, `secret`, `passphrase` or a private key in it,
/// and all of OAUTHBEARER, whose free-form values carry tokens.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passphrase", "secret", "token"].iter().any(|part| name.contains(part))
        || matches!(name.as_str(), "ssl.key.pem" | "ssl.keystore.key" | "sasl.jaas.config")
        || name.starts_with("sasl.oauthbearer.")
}

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for ClientProperties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

impl ClientProperties {
    /// Entries as they may be shown.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), if is_secret(k) { REDACTED } else { v.as_str() }))
    }
}

/// What is wrong with a property's name, if anything.
fn unknown(name: &str) -> Option<Trouble> {
    if let Some((_, advice)) = names::JAVA.iter().find(|(java, _)| *java == name) {
        return Some(Trouble::new(format!("`{name}` is a property of the Java client"), *advice));
    }
    if matches!(name, "bootstrap.servers" | "metadata.broker.list") {
        return Some(Trouble::new(
            format!("`{name}` is set among the client properties"),
            "write the addresses as `bootstrap` of the cluster",
        ));
    }
    if names::KNOWN.binary_search(&name).is_ok() {
        return None;
    }
    let advice = match closest(name, names::KNOWN.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "librdkafka's CONFIGURATION.md lists the names".into(),
    };
    Some(Trouble::new(format!("`{name}` is not a client property"), advice))
}

/// The candidate most like `text`, if any is like it at all.
fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&text, &c.to_ascii_lowercase()), c))
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

fn bad(name: &'static str, value: &str, wanted: &str, near: Option<&str>) -> (&'static str, Trouble) {
    let shown = crate::sanitise::visible(value);
    let advice = near.map_or_else(|| format!("write {wanted}"), |n| format!("did you mean `{n}`? It must be {wanted}"));
    (name, Trouble::new(format!("`{name}` is `{shown}`, and must be {wanted}"), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
        ClientProperties::new(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn known_names_are_sorted() {
        assert!(names::KNOWN.is_sorted());
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
        assert!(shown.contains("app") && shown.contains(REDACTED));
        assert_eq!(p.to_rdkafka()["sasl.password"], "hunter2");
    }

    #[test]
    fn defaults_are_plaintext() {
        let c = ClientProperties::default().control().unwrap();
        assert_eq!((c.protocol, c.client_id.as_str()), (Protocol::Plaintext, "cutover"));
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
            ("ssl.ca.location", "/ca.pem"),
            ("socket.timeout.ms", "7000"),
        ]);
        assert_eq!(p.check(), vec![]);
        let c = p.control().unwrap();
        assert!(matches!(c.sasl, Some(Sasl::Plain { ref username, .. }) if username == "app"));
        let tls = c.tls.unwrap();
        assert!(tls.verify && tls.verify_hostname && matches!(tls.ca, Some(Pem::File(ref f)) if f == "/ca.pem"));
        assert_eq!(c.request_timeout, Duration::from_secs(7));
    }

    #[test]
    fn without_a_ca_both_planes_use_the_systems() {
        let p = properties(&[("security.protocol", "SSL")]);
        assert_eq!(p.to_rdkafka()["ssl.ca.location"], "probe");
        assert!(p.control().unwrap().tls.unwrap().ca.is_none());
        assert!(!properties(&[]).to_rdkafka().contains_key("ssl.ca.location"));
    }

    #[test]
    fn mechanisms_that_are_not_there_yet_say_what_is() {
        for mechanism in ["SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"] {
            let p = properties(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism)]);
            let trouble = p.control().err().unwrap();
            assert!(trouble.what.contains(mechanism), "{trouble:?}");
            assert!(trouble.advice.contains("PLAIN works"), "{trouble:?}");
        }
    }

    #[test]
    fn mistakes_get_a_suggestion() {
        let p = properties(&[
            ("security.protocl", "SSL"),
            ("ssl.truststore.location", "/x.jks"),
            ("bootstrap.servers", "a:1"),
            ("enable.ssl.certificate.verification", "maybe"),
            ("security.protocol", "TLS_SASL"),
        ]);
        let found = p.check();
        let of = |name: &str| &found.iter().find(|(n, _)| n == name).unwrap().1;
        assert!(of("security.protocl").advice.contains("`security.protocol`"));
        assert!(of("ssl.truststore.location").advice.contains("ssl.ca.location"));
        assert!(of("bootstrap.servers").advice.contains("bootstrap"));
        assert!(of("security.protocol").what.contains("TLS_SASL"));
        let p = properties(&[("security.protocol", "SSL"), ("enable.ssl.certificate.verification", "maybe")]);
        assert!(p.control().is_err());
    }
}

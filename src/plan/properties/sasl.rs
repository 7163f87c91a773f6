//! What can be told of SASL without a network: which mechanisms both planes speak, what each of them needs, and what a
//! person should know of one on a line that others can read.

use super::tls::Impostor;
use super::{PropertyFinding, PropertyValues, SecurityProtocol, ValueOrigin, bearer};
use crate::base::Trouble;
use crate::base::sanitise::visible_name;

/// A SASL mechanism that both planes speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaslMechanism {
    /// RFC 4616: name and password as they are.
    Plain,
    /// RFC 7677: the password is proven, and never sent.
    ScramSha256,
    /// The same with a longer hash, as Kafka names it.
    ScramSha512,
    /// RFC 7628: a token that somebody else vouches for.
    OAuthBearer,
    /// The same with a token that AWS' credentials sign: what the signers of Amazon MSK make.
    AwsMskIam,
}

impl SaslMechanism {
    /// All there are.
    pub const ALL: [SaslMechanism; 5] = [
        SaslMechanism::Plain,
        SaslMechanism::ScramSha256,
        SaslMechanism::ScramSha512,
        SaslMechanism::OAuthBearer,
        SaslMechanism::AwsMskIam,
    ];

    /// As a plan writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            SaslMechanism::OAuthBearer => "OAUTHBEARER",
            SaslMechanism::AwsMskIam => "AWS_MSK_IAM",
        }
    }

    /// As brokers and librdkafka know it: librdkafka takes no other case. What the Java client calls AWS_MSK_IAM is another
    /// exchange, which only its own library speaks; the signers of all other clients make tokens for OAUTHBEARER.
    #[must_use]
    pub(crate) fn wire_name(self) -> &'static str {
        match self {
            SaslMechanism::AwsMskIam => SaslMechanism::OAuthBearer.name(),
            other => other.name(),
        }
    }

    /// Whether a token is shown, and no name and password.
    #[must_use]
    pub(crate) fn takes_token(self) -> bool {
        matches!(self, SaslMechanism::OAuthBearer | SaslMechanism::AwsMskIam)
    }

    /// The one of this name, whatever its case: the same reading for the plan's check and for both planes.
    #[must_use]
    pub(crate) fn from_name(text: &str) -> Option<SaslMechanism> {
        Self::ALL.into_iter().find(|m| m.name().eq_ignore_ascii_case(text.trim()))
    }

    /// All of them, for a sentence.
    #[must_use]
    pub(crate) fn list_all() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

/// Mechanisms that there are and that are not spoken, with why not and what to do instead.
const UNSPOKEN: &[(&str, &str, &str)] = &[(
    "GSSAPI",
    "the control plane speaks no Kerberos",
    "use a listener with SCRAM-SHA-512 or OAUTHBEARER (`sasl.mechanism`), or one that takes a client certificate (SSL)",
)];

/// Whether this is the name of a mechanism, spoken or not.
#[must_use]
pub(super) fn is_mechanism(text: &str) -> bool {
    let unspoken = |(name, ..): &(&str, &str, &str)| name.eq_ignore_ascii_case(text.trim());
    SaslMechanism::from_name(text).is_some() || UNSPOKEN.iter().any(unspoken)
}

/// How to authenticate, or why both planes can't. `None`: no mechanism is set.
///
/// # Errors
/// It is none that both planes speak.
pub(crate) fn parse_mechanism(mechanism: Option<&str>) -> Result<SaslMechanism, Trouble> {
    parse_mechanism_from(mechanism, ValueOrigin::Written)
}

pub(super) fn parse_mechanism_from(mechanism: Option<&str>, from: ValueOrigin) -> Result<SaslMechanism, Trouble> {
    // librdkafka's default, and the Java client's
    let text = mechanism.unwrap_or("GSSAPI").trim();
    if let Some(spoken) = SaslMechanism::from_name(text) {
        return Ok(spoken);
    }
    let others = format!("{} work, and so do SSL with a client certificate and PLAINTEXT", SaslMechanism::list_all());
    let (what, advice) = match UNSPOKEN.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text)) {
        Some((name, why, _)) if mechanism.is_none() => {
            (format!("no `sasl.mechanism` is set, which means {name}: {why}"), "set `sasl.mechanism`")
        }
        Some((name, why, advice)) => (format!("SASL mechanism {name}: {why}"), *advice),
        None if from == ValueOrigin::Elsewhere || text.chars().count() > 60 => {
            ("what `sasl.mechanism` is set to is not a SASL mechanism".to_owned(), "set another `sasl.mechanism`")
        }
        None => (format!("`{}` is not a SASL mechanism", visible_name(text)), "set another `sasl.mechanism`"),
    };
    Err(Trouble::new(what, format!("{advice}; {others}")))
}

/// What does not fit together where SASL is used.
pub(super) fn check_sasl(
    is: SecurityProtocol,
    values: &PropertyValues<'_>,
    origin: &dyn Fn(&str) -> ValueOrigin,
    found: &mut Vec<PropertyFinding>,
) {
    let names = ["sasl.mechanism", "sasl.mechanisms"];
    let (at, mechanism) = match names.into_iter().find_map(|n| Some((n, *values.get(n)?))) {
        Some((_, None)) => return, // it comes from elsewhere, and is looked at when it is known
        Some((name, Some(text))) => (name, Some(text)),
        None => ("security.protocol", None),
    };
    let mechanism = match parse_mechanism_from(mechanism, origin(at)) {
        Ok(mechanism) => mechanism,
        Err(trouble) => {
            found.push(PropertyFinding::new_refusal(at, trouble));
            return;
        }
    };
    bearer::check_tokens(mechanism, at, values, found);
    let own: &[&str] = if mechanism.takes_token() { &[] } else { &["sasl.username", "sasl.password"] };
    for &name in own {
        if values.get(name).is_none_or(|v| *v == Some("")) {
            let what = format!("SASL {} needs `{name}`, and it is not set", mechanism.name());
            found.push(PropertyFinding::new_refusal(at, Trouble::new(what, format!("set `{name}`"))));
        }
    }
    warn_of_listeners(is, mechanism, at, values, found);
}

/// What somebody on the line, or at its other end, could do. It is allowed: the line may be a tunnel.
fn warn_of_listeners(
    is: SecurityProtocol,
    mechanism: SaslMechanism,
    at: &str,
    values: &PropertyValues<'_>,
    found: &mut Vec<PropertyFinding>,
) {
    if !is.uses_tls() {
        let risk = match mechanism {
            SaslMechanism::Plain => "the password crosses the network for everyone to read",
            // RFC 5802, 9: what is sent is enough to try passwords with.
            SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
                "who listens can try passwords against the proof, and reads all that follows"
            }
            // RFC 6750, 5.2: whoever holds it is taken for whom it names.
            SaslMechanism::OAuthBearer | SaslMechanism::AwsMskIam => {
                "who listens can log in with the token until it expires, and reads all that follows"
            }
        };
        let what = format!("SASL {} without TLS: {risk}", mechanism.name());
        found.push(PropertyFinding::new_warning(at, Trouble::new(what, "use a SASL_SSL listener")));
    } else if let Some(impostor) = Impostor::find(values) {
        let risk = match mechanism {
            SaslMechanism::Plain => format!("the password goes to {}", impostor.who_answers()),
            SaslMechanism::OAuthBearer | SaslMechanism::AwsMskIam => {
                format!("the token goes to {}", impostor.who_answers())
            }
            SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
                format!("{} can pass the proof on, and reads all that follows", impostor.who_listens())
            }
        };
        found.push(impostor.warn_of(&risk));
    }
}

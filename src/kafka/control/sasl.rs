//! Proving who we are: SaslHandshake (KIP-43), then SaslAuthenticate (KIP-152). One function a mechanism.

mod bearer;

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::failure::{Class, Failure, check_message};
use super::scram::{ScramClient, ScramFault, ScramHash, draw_nonce};
use super::wire::Wire;
use crate::base::Trouble;
use crate::base::sanitise::{visible_name, visible_names};
use crate::kafka::properties::Sasl;
use crate::kafka::token::Token;
use crate::plan::properties::SaslMechanism;

/// Most of the mechanisms that a broker offers which are named: Kafka knows five.
const SHOWN: usize = 8;

/// When a login is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// On a fresh connection.
    Beginning,
    /// On one whose session is about to end (KIP-368).
    Renewal,
}

/// What a login is made with, all of it at hand: what has to be waited for was waited for before a broker is.
pub(super) struct Login {
    sasl: Sasl,
    /// Of a mechanism that shows one.
    token: Option<Arc<Token>>,
}

/// Gets what a login needs: a token, where it shows one. No broker is asked anything.
pub(super) async fn prepare_login(sasl: &Sasl) -> Result<Login, Failure> {
    let token = match sasl {
        Sasl::Plain { .. } | Sasl::Scram { .. } => None,
        // One reason, and one set of words on both planes: no broker's name stands in it.
        Sasl::Bearer { tokens, .. } => Some(tokens.fetch_token().await.map_err(|why| {
            let passes = !why.lasting;
            Failure { passes, ..Failure::with_trouble(Class::Final, why) }
        })?),
    };
    Ok(Login { sasl: sasl.clone(), token })
}

/// Authenticates a connection. How long it holds; `None`: as long as the connection.
pub(super) async fn authenticate(wire: &Wire, login: &Login, occasion: Occasion) -> Result<Option<Duration>, Failure> {
    let authenticated = exchange_tokens(wire, login, occasion).await;
    if let Err(failure) = &authenticated {
        tracing::warn!(broker = %wire.label(), why = %failure.trouble.what, "SASL failed");
    }
    authenticated
}

async fn exchange_tokens(wire: &Wire, login: &Login, occasion: Occasion) -> Result<Option<Duration>, Failure> {
    let Login { sasl, token } = login;
    let mechanism = sasl.mechanism();
    let who = token.as_ref().and_then(|token| token.subject()).or(sasl.username());
    let login = match who {
        Some(who) => format!("SASL {} as `{}`", mechanism.name(), visible_name(who)),
        None => format!("SASL {}", mechanism.name()),
    };
    greet_broker(wire, mechanism, occasion).await?;
    match sasl {
        Sasl::Plain { username, password } => {
            let answer = send_token(wire, plain_token(username, password)?, &login).await?;
            Ok(answer.lifetime)
        }
        Sasl::Scram { hash, username, password } => prove_password(wire, *hash, (username, password), &login).await,
        Sasl::Bearer { tokens, .. } => bearer::show_token(wire, tokens, token.as_deref(), &login).await,
    }
}

/// RFC 5802, each message of it in a request. A broker tells no more than "invalid credentials", whatever is wrong; at which
/// of the two messages it says so tells the name from the password.
async fn prove_password(
    wire: &Wire,
    hash: ScramHash,
    (username, password): (&str, &str),
    login: &str,
) -> Result<Option<Duration>, Failure> {
    let odd = |fault: ScramFault| Failure::with_trouble(Class::Final, fault.explain_fault(login, wire.label()));
    let client = ScramClient::new(hash, username, password, draw_nonce().map_err(odd)?);
    let sent = send_token(wire, client.first_message().into(), login).await;
    let challenge = sent.map_err(|failure| refused_name(failure, hash, username))?;
    // 4,096 rounds take milliseconds, the most that are worked through a second: not where others wait for their turn.
    let proving = tokio::task::spawn_blocking(move || client.answer_challenge(&challenge.token));
    // Not in its own words: they may be made of the password.
    let broken = |_: tokio::task::JoinError| ScramFault::Unusable("it broke off".into());
    let mut proof = proving.await.map_err(broken).and_then(|proof| proof).map_err(odd)?;
    let sent = send_token(wire, std::mem::take(&mut proof.message).into(), login).await;
    let answer = sent.map_err(refused_proof)?;
    proof.verify_signature(&answer.token).map_err(odd)?;
    Ok(answer.lifetime)
}

/// The broker refused the first message, in which there is nothing but the name. It may have other reasons (an account that
/// is locked), or ask for the proof of a name that it does not have.
fn refused_name(failure: Failure, hash: ScramHash, username: &str) -> Failure {
    let (mechanism, other) = match hash {
        ScramHash::Sha256 => (SaslMechanism::ScramSha256, SaslMechanism::ScramSha512),
        ScramHash::Sha512 => (SaslMechanism::ScramSha512, SaslMechanism::ScramSha256),
    };
    let mut advice = format!(
        "check `sasl.username`, and that this user has a credential for {} (one for {} is another one): \
         `kafka-configs.sh --describe --entity-type users` lists them",
        mechanism.name(),
        other.name()
    );
    if !username.is_ascii() {
        advice += "; Apache Kafka takes no name with other than ASCII characters";
    }
    explain_refusal(failure, "probably the name was refused, before any proof of the password", &advice)
}

/// The broker refused the second message: it probably has a credential of that name.
fn refused_proof(failure: Failure) -> Failure {
    explain_refusal(failure, "probably the name was taken and the password was refused", "check `sasl.password`")
}

/// Puts into a refusal what is known of it here. What failed in another way stays as it is.
fn explain_refusal(failure: Failure, which: &str, advice: &str) -> Failure {
    if failure.error != Some(ResponseError::SaslAuthenticationFailed) {
        return failure;
    }
    let trouble = Trouble::new(format!("{}: {which}", failure.trouble.what), advice);
    Failure { trouble: Box::new(Trouble { cause: failure.trouble.cause, ..trouble }), ..failure }
}

/// Says which mechanism follows.
async fn greet_broker(wire: &Wire, mechanism: SaslMechanism, occasion: Occasion) -> Result<(), Failure> {
    let version = wire.need_version::<SaslHandshakeRequest>("1.0 or later")?;
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism.wire_name()));
    let answer = wire.call_in_login(version, &request).await?;
    // The one refusal with which a broker names what it would take (KIP-43).
    if answer.error_code == ResponseError::UnsupportedSaslMechanism.code() {
        let offered: Vec<&str> = answer.mechanisms.iter().map(|m| m.as_str()).take(SHOWN).collect();
        return Err(Failure::with_trouble(Class::Final, unoffered_trouble(wire.label(), mechanism, &offered)));
    }
    if answer.error_code == ResponseError::IllegalSaslState.code() {
        return Err(illegal_state(wire.label(), occasion));
    }
    check_message(answer.error_code, None, "SASL handshake", wire.label())
}

/// A broker takes no login now. A listener without SASL says so: by Kafka's name for it nobody would think of the wrong
/// port. One that took a login before has SASL.
fn illegal_state(broker: &str, occasion: Occasion) -> Failure {
    let (what, advice) = match occasion {
        Occasion::Beginning => (
            format!("{broker} does not use SASL on this listener"),
            "set `security.protocol` to SSL or PLAINTEXT, or use the port of the SASL listener",
        ),
        Occasion::Renewal => (
            format!("{broker} takes no second login on a connection (ILLEGAL_SASL_STATE), and ends its sessions"),
            "look at the broker's log, and at whatever stands between",
        ),
    };
    Failure::new(Class::Final, what, advice)
}

/// A broker does not take a mechanism.
fn unoffered_trouble(broker: &str, mechanism: SaslMechanism, offered: &[&str]) -> Trouble {
    let names = if offered.is_empty() { "none".to_owned() } else { visible_names(offered) };
    let what = format!("{broker} does not take SASL {}; it offers {names}", mechanism.wire_name());
    let spoken = SaslMechanism::ALL.into_iter().filter(|m| offered.contains(&m.name())).map(SaslMechanism::name);
    let spoken: Vec<&str> = spoken.collect();
    let advice = match spoken.is_empty() {
        true => format!("use a listener with one of those that cutover speaks: {}", SaslMechanism::list_all()),
        false => format!("set `sasl.mechanism` to {}, or use another listener", spoken.join(" or ")),
    };
    Trouble::new(what, advice).mark_lasting()
}

/// What a broker answers to a token.
struct TokenAnswer {
    token: Bytes,
    /// How long the session holds that this began.
    lifetime: Option<Duration>,
}

async fn send_token(wire: &Wire, token: Bytes, subject: &str) -> Result<TokenAnswer, Failure> {
    // Before 1.0 the token goes bare, without a request around it (KIP-152): such a broker is refused here by name.
    let version = wire.need_version::<SaslAuthenticateRequest>("1.0 or later")?;
    let answer = wire.call_in_login(version, &SaslAuthenticateRequest::default().with_auth_bytes(token)).await?;
    check_message(answer.error_code, answer.error_message.as_deref(), subject, wire.label())?;
    // 0, and before v1 nothing, is no end.
    let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
    Ok(TokenAnswer { token: answer.auth_bytes, lifetime })
}

/// RFC 4616: an empty authorization id, the name and the password, separated by NUL.
fn plain_token(username: &str, password: &str) -> Result<Bytes, Failure> {
    // It would move the border between name and password: another user with another password.
    if username.contains('\0') || password.contains('\0') {
        return Err(Failure::new(
            Class::Final,
            "`sasl.username` or `sasl.password` has a NUL character in it",
            "check where the secret comes from",
        ));
    }
    let mut token = BytesMut::with_capacity(username.len() + password.len() + 2);
    for part in [username, password] {
        token.put_u8(0);
        token.put_slice(part.as_bytes());
    }
    Ok(token.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::control::failure::check_message;

    #[test]
    fn who_offers_another_mechanism_is_quoted_with_the_one_to_set() {
        let said = |offered: &[&str]| unoffered_trouble("blue broker 1", SaslMechanism::ScramSha512, offered);
        let other = said(&["GSSAPI", "SCRAM-SHA-256", "q\u{1b}[2J"]);
        assert_eq!(
            other.what,
            "blue broker 1 does not take SASL SCRAM-SHA-512; it offers GSSAPI, SCRAM-SHA-256, q\\u{1b}[2J"
        );
        assert_eq!(other.advice, "set `sasl.mechanism` to SCRAM-SHA-256, or use another listener");
        assert!(other.lasting && said(&[]).what.ends_with("it offers none"));
        assert!(said(&["GSSAPI"]).advice.ends_with("SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM"), "{:?}", said(&[]));
        assert!(said(&["OAUTHBEARER"]).advice.starts_with("set `sasl.mechanism` to OAUTHBEARER, or"));
    }

    #[test]
    fn a_refusal_says_whether_it_is_the_name_or_the_password() {
        let refused =
            || check_message(58, Some("invalid credentials"), "SASL SCRAM-SHA-256 as `app`", "blue").unwrap_err();
        let name = Trouble::from(refused_name(refused(), ScramHash::Sha256, "app"));
        assert!(
            name.what.contains("SASL_AUTHENTICATION_FAILED (invalid credentials): probably the name was refused"),
            "{name:?}"
        );
        assert!(
            name.advice.contains("a credential for SCRAM-SHA-256 (one for SCRAM-SHA-512 is another one)"),
            "{name:?}"
        );
        assert!(name.lasting && !name.advice.contains("ASCII"));
        assert!(refused_name(refused(), ScramHash::Sha512, "\u{e4}pp").trouble.advice.contains("ASCII"));
        let password = Trouble::from(refused_proof(refused()));
        assert!(password.what.ends_with("the password was refused") && password.lasting, "{password:?}");
        assert_eq!(password.advice, "check `sasl.password`");
        let lost = Failure::new(Class::Lost, "closed", "look");
        assert_eq!(refused_proof(lost.clone()).trouble, lost.trouble);
    }

    #[test]
    fn who_takes_no_second_login_is_not_said_to_have_no_sasl() {
        let first = illegal_state("blue broker 1", Occasion::Beginning);
        assert!(first.trouble.advice.contains("PLAINTEXT"), "{first:?}");
        let second = illegal_state("blue broker 1", Occasion::Renewal);
        assert!(!format!("{second:?}").contains("PLAINTEXT"), "{second:?}");
        assert!(second.trouble.what.contains("takes no second login"), "{second:?}");
    }

    #[test]
    fn a_name_with_a_nul_would_move_the_border_to_the_password() {
        assert_eq!(plain_token("app", "p w").unwrap(), Bytes::from_static(b"\0app\0p w"));
        assert!(plain_token("a\0b", "c").is_err() && plain_token("a", "b\0c").is_err());
    }
}

//! Proving who we are: SaslHandshake (KIP-43), then SaslAuthenticate (KIP-152). One function a mechanism.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::failure::{Class, Failure, check_message};
use crate::base::sanitise::visible_name;
use crate::kafka::properties::Sasl;

/// Authenticates a fresh connection. A session that expires later (KIP-368) is closed by the broker, and the next
/// request opens and authenticates a new one.
pub(super) async fn authenticate(connection: &Connection, sasl: &Sasl) -> Result<(), Failure> {
    let authenticated = match sasl {
        Sasl::Plain { username, password } => authenticate_plain(connection, username, password).await,
    };
    if let Err(failure) = &authenticated {
        tracing::warn!(broker = %connection.label(), why = %failure.trouble.what, "SASL failed");
    }
    authenticated
}

async fn authenticate_plain(connection: &Connection, username: &str, password: &str) -> Result<(), Failure> {
    handshake(connection, "PLAIN").await?;
    let token = plain_token(username, password)?;
    send_token(connection, token, &format!("SASL PLAIN as `{}`", visible_name(username))).await?;
    Ok(())
}

async fn handshake(connection: &Connection, mechanism: &'static str) -> Result<(), Failure> {
    let version = connection.need_version::<SaslHandshakeRequest>("1.0 or later")?;
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let answer = connection.call(version, &request).await?;
    // The one refusal with which a broker names what it would take (KIP-43).
    if answer.error_code == ResponseError::UnsupportedSaslMechanism.code() {
        let offered: Vec<_> = answer.mechanisms.iter().map(|m| visible_name(m)).collect();
        return Err(Failure::new(
            Class::Final,
            format!("{} does not take SASL {mechanism}; it offers {}", connection.label(), offered.join(", ")),
            "use a listener with SASL PLAIN: the other mechanisms are not supported yet by this version",
        ));
    }
    // A listener without SASL says so: by Kafka's name for it nobody would think of the wrong port.
    if answer.error_code == ResponseError::IllegalSaslState.code() {
        return Err(Failure::new(
            Class::Final,
            format!("{} does not use SASL on this listener", connection.label()),
            "set `security.protocol` to SSL or PLAINTEXT, or use the port of the SASL listener",
        ));
    }
    check_message(answer.error_code, None, "SASL handshake", connection.label())
}

async fn send_token(connection: &Connection, token: Bytes, subject: &str) -> Result<Bytes, Failure> {
    // Before 1.0 the token goes bare, without a request around it (KIP-152): such a broker is refused here by name.
    let version = connection.need_version::<SaslAuthenticateRequest>("1.0 or later")?;
    let answer = connection.call(version, &SaslAuthenticateRequest::default().with_auth_bytes(token)).await?;
    check_message(answer.error_code, answer.error_message.as_deref(), subject, connection.label())?;
    Ok(answer.auth_bytes)
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

//! OAUTHBEARER (RFC 7628, KIP-255): a token is shown. A broker that refuses it says why in JSON, is answered with one byte,
//! and only then fails the login.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use serde_json::Value;

use super::super::failure::{Class, Failure};
use super::super::wire::Wire;
use super::send_token;
use crate::base::Trouble;
use crate::base::sanitise::visible_text;
use crate::kafka::token::{Token, TokenSource};

/// RFC 7628, 3.1 and 3.2.3: what parts a message, and what answers a refusal.
const SEPARATOR: char = '\u{1}';
/// Most of what a broker says that is shown, characters.
const SHOWN: usize = 200;

/// Shows the token. How long the session holds that it begins.
pub(super) async fn show_token(
    wire: &Wire,
    tokens: &Arc<TokenSource>,
    token: Option<&Token>,
    login: &str,
) -> Result<Option<Duration>, Failure> {
    let Some(token) = token else {
        return Err(Failure::new(Class::Final, format!("{login}: no token is at hand"), "this is a fault of cutover"));
    };
    let answer = send_token(wire, first_message(token.value()).into(), login).await;
    let refusal = match answer {
        Ok(answer) if answer.token.is_empty() => return Ok(answer.lifetime),
        Ok(answer) => {
            let said = explain_status(&answer.token);
            match send_token(wire, Bytes::from_static(&[SEPARATOR as u8]), login).await {
                Err(failure) => explain_refusal(failure, &said, token),
                Ok(_) => {
                    let what =
                        format!("{login}: {} refused the token ({said}), and took its own refusal back", wire.label());
                    Failure::new(Class::Final, what, "look at the broker, and at whatever stands between")
                }
            }
        }
        // Some refuse at once.
        Err(failure) => explain_refusal(failure, "", token),
    };
    // The next login asks for another one: its key, or what it was given for, may have changed.
    if refusal.error == Some(ResponseError::SaslAuthenticationFailed) {
        tokens.discard_token(token);
    }
    Err(refusal)
}

fn first_message(token: &str) -> String {
    format!("n,,{SEPARATOR}auth=Bearer {token}{SEPARATOR}{SEPARATOR}")
}

/// What a broker says of a token that it refuses (RFC 7628, 3.2.2).
fn explain_status(said: &[u8]) -> String {
    let told: Value = serde_json::from_slice(said).unwrap_or(Value::Null);
    let text = |name: &str| told[name].as_str().filter(|text| !text.is_empty()).map(visible_text);
    let status = text("status").unwrap_or_else(|| visible_text(&String::from_utf8_lossy(said)));
    let scope = text("scope").map(|scope| format!(", it wants the scope {scope}"));
    format!("{status}{}", scope.unwrap_or_default()).chars().take(SHOWN).collect()
}

/// Puts into a refusal what the broker said before it, and what the token says of itself. What failed in another way stays
/// as it is.
fn explain_refusal(failure: Failure, said: &str, token: &Token) -> Failure {
    if failure.error != Some(ResponseError::SaslAuthenticationFailed) {
        return failure;
    }
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let described = token.describe();
    let itself = described.as_ref().map(|itself| format!(" (it has {itself})")).unwrap_or_default();
    let advice = match described {
        Some(_) => {
            "hold the token against what the broker asks for: `sasl.oauthbearer.expected.audience`, \
             `sasl.oauthbearer.expected.issuer` and the keys at `sasl.oauthbearer.jwks.endpoint.url`, and both clocks; the \
             broker's log says which"
        }
        None => "look at who the token is for, and at what the broker asks for: its log says why",
    };
    let trouble = Trouble::new(format!("{}: the token was refused{said}{itself}", failure.trouble.what), advice);
    Failure { trouble: Box::new(Trouble { cause: failure.trouble.cause, ..trouble }), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_that_of_the_rfc() {
        assert_eq!(first_message("t.o.k"), "n,,\u{1}auth=Bearer t.o.k\u{1}\u{1}");
    }

    #[test]
    fn what_a_broker_says_of_a_token_is_told_whatever_form_it_has() {
        assert_eq!(explain_status(br#"{"status":"invalid_token"}"#), "invalid_token");
        assert_eq!(
            explain_status(br#"{"status":"insufficient_scope","scope":"kafka\u001b","openid-configuration":""}"#),
            "insufficient_scope, it wants the scope kafka\\u{1b}"
        );
        assert_eq!(explain_status(b"no"), "no");
    }
}

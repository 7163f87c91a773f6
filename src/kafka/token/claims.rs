//! What a token says of itself, where it is a JSON Web Token (RFC 7519). Nothing of it is verified, and nothing rests on it
//! but when the next one is asked for, and words: who verifies it is the broker.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::base::At;
use crate::base::sanitise::{visible_name, visible_names};

/// Audiences that are named: a token for more is for everybody.
const SHOWN: usize = 6;

/// Claims of a token; all empty of one that is opaque.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TokenClaims {
    /// `sub`.
    pub subject: Option<String>,
    /// `exp`.
    pub expires: Option<At>,
    issuer: Option<String>,
    audience: Vec<String>,
}

impl TokenClaims {
    /// Reads the middle one of the three parts of a signed token (RFC 7515).
    pub fn read(token: &str) -> TokenClaims {
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return TokenClaims::default();
        };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
        let claims = payload.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(claims) = claims else { return TokenClaims::default() };
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        // Seconds, with a fraction where somebody likes it (NumericDate).
        let seconds = claims["exp"].as_i64().or_else(|| claims["exp"].as_f64().map(to_whole));
        // One text, or several.
        let audience = match &claims["aud"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).take(SHOWN).collect(),
            _ => Vec::new(),
        };
        TokenClaims {
            subject: text("sub"),
            expires: seconds.map(|s| At(s.saturating_mul(1_000))),
            issuer: text("iss"),
            audience,
        }
    }

    /// For whom it is, who made it and for which audience.
    pub fn describe(&self) -> Option<String> {
        let named =
            |what: &str, value: &Option<String>| value.as_deref().map(|v| format!("{what} {}", visible_name(v)));
        let audience = match self.audience.is_empty() {
            true => Some("no audience".to_owned()),
            false => Some(format!("audience {}", visible_names(&self.audience))),
        };
        let known = [named("subject", &self.subject), named("issuer", &self.issuer), audience];
        // A token that tells neither is opaque: that it has no audience is not known then.
        (self.subject.is_some() || self.issuer.is_some())
            .then(|| known.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "as far as a number of seconds goes it is exact, and `as` saturates"
)]
fn to_whole(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_signed_token_says_whom_it_is_for_and_until_when() {
        let claims =
            TokenClaims::read(&token(r#"{"sub":"app","iss":"https://idp","aud":["kafka","x"],"exp":1700000000.9}"#));
        assert_eq!(claims.expires, Some(At(1_700_000_000_000)));
        assert_eq!(claims.describe().unwrap(), "subject app, issuer https://idp, audience kafka, x");
        let bare = TokenClaims::read(&token(r#"{"sub":"a\u001bpp","aud":"kafka","exp":1}"#));
        assert_eq!(bare.describe().unwrap(), "subject a\\u{1b}pp, audience kafka");
        assert!(TokenClaims::read(&token(r#"{"sub":"app"}"#)).describe().unwrap().ends_with("no audience"));
    }

    #[test]
    fn what_is_no_signed_token_says_nothing() {
        for opaque in ["", "abc", "a.b.c", "e30.!!.x", "a.b", "e30.e30.x.y", &token("[1]"), &token("no json")] {
            let claims = TokenClaims::read(opaque);
            assert_eq!((claims.expires, claims.describe()), (None, None), "{opaque}");
        }
    }
}

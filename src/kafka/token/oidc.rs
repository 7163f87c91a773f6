//! A token by the client's id and secret (RFC 6749, 4.4), as OpenID providers and all of Kafka's clients have it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::origin::ObtainedToken;
use crate::base::Trouble;
use crate::base::redact;
use crate::base::sanitise::visible_text;
use crate::net::form::encode_form;
use crate::net::http::{HttpRequest, HttpResponse, RemoteServer};
use crate::net::tls::NOT_TLS;
use crate::plan::properties::bearer::{CLIENT_ID, CLIENT_SECRET, ENDPOINT, HTTPS_CA_FILE, HTTPS_CA_TEXT, SCOPE};

/// Most of what a server says that is shown, characters.
const SHOWN: usize = 200;

/// A client at a token server.
pub(super) struct OidcClient {
    /// `sasl.oauthbearer.token.endpoint.url`.
    pub url: String,
    /// `sasl.oauthbearer.client.id`.
    pub id: String,
    /// `sasl.oauthbearer.client.secret`.
    pub secret: String,
    /// `sasl.oauthbearer.scope`.
    pub scope: Option<String>,
    /// What the server is trusted by, under the names that TLS has for it.
    pub trust: BTreeMap<String, String>,
}

impl OidcClient {
    /// What the server answers now, within `limit`.
    pub async fn ask(&self, limit: Duration) -> Result<ObtainedToken, Trouble> {
        let (base, query) = match self.url.split_once('?') {
            Some((base, query)) => (base, format!("?{query}")),
            None => (self.url.as_str(), String::new()),
        };
        let server = RemoteServer::open(base, self.trust.clone()).await.map_err(|t| in_own_names(&t))?;
        // HTTP wants a path, and one that is there already goes before it.
        let bare = server.visible_address().find('/').is_none();
        let path = if bare { format!("/{query}") } else { query };
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        // RFC 6749, 2.3.1 would have both escaped; neither librdkafka nor the Java client does, and servers go by them.
        let pair = openssl::base64::encode_block(format!("{}:{}", self.id, self.secret).as_bytes());
        redact::learn_secret(&pair);
        redact::learn_secret(&self.secret);
        let request = HttpRequest {
            body: Some(("application/x-www-form-urlencoded", encode_form(&form).into_bytes())),
            path: &path,
            headers: vec![("authorization", format!("Basic {pair}"))],
            timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            ..HttpRequest::default()
        };
        let answer = server.send(request).await.map_err(|t| in_own_names(&t))?;
        judge_answer(&self.describe(), &answer)
    }

    pub fn describe(&self) -> String {
        let address = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        format!("the token server {}", visible_text(address.split('?').next().unwrap_or_default()))
    }
}

/// The same of a server that is no broker: what it is trusted by has other names.
fn in_own_names(trouble: &Trouble) -> Trouble {
    let advice = trouble.advice.replace("ssl.ca.", "https.ca.");
    // The name in its certificate is always held against its address.
    let advice = advice.split("; `ssl.endpoint.identification").next().unwrap_or_default();
    let advice =
        advice.replace("how long the query takes there", "its load").replace(NOT_TLS, "write http:// if it has none");
    let what = format!("asking for a token: {}", trouble.what.replace("ssl.ca.", "https.ca."));
    Trouble { lasting: trouble.lasting, cause: trouble.cause, ..Trouble::new(what, advice) }
}

/// The token in an answer, or what the server says instead (RFC 6749, 5.1 and 5.2).
fn judge_answer(server: &str, answer: &HttpResponse) -> Result<ObtainedToken, Trouble> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.status == 200 {
        let Some(token) = body["access_token"].as_str() else {
            // What it says instead may be a token under another name.
            let what = format!("{server} answered without an `access_token`");
            return Err(Trouble::new(what, format!("check that `{ENDPOINT}` is the token endpoint")).mark_lasting());
        };
        let told = &body["expires_in"];
        let expires_in_s = told.as_u64().or_else(|| told.as_str().and_then(|text| text.parse().ok()));
        return Ok(ObtainedToken { value: token.to_owned(), expires_in_s, expires: None });
    }
    let code = body["error"].as_str().unwrap_or_default();
    let words = body["error_description"].as_str().unwrap_or_default();
    // Before it is cut: the half of a secret is one too.
    let cut = |text: &str| visible_text(&redact::hide_secrets(text)).chars().take(SHOWN).collect::<String>();
    let said = match (code, words) {
        ("", _) => answer.visible_excerpt(),
        (code, "") => cut(code),
        (code, words) => format!("{} ({})", cut(code), cut(words)),
    };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let trouble = Trouble::new(format!("{server} answered {}{said}", answer.status), advise(answer.status, code));
    // Whoever is overloaded, or just started, answers otherwise later.
    let passes = answer.status >= 500 || matches!(answer.status, 408 | 425 | 429);
    Err(if passes { trouble } else { trouble.mark_lasting() })
}

fn advise(status: u16, code: &str) -> String {
    match (status, code) {
        (_, "invalid_client") | (401, _) => format!("check `{CLIENT_ID}` and `{CLIENT_SECRET}`"),
        (_, "invalid_scope") => format!("check `{SCOPE}`: this client may not have it"),
        (_, "unauthorized_client" | "unsupported_grant_type") => {
            "let the server give this client tokens by client credentials (RFC 6749, 4.4)".to_owned()
        }
        (_, "invalid_request") => format!("check `{SCOPE}`: some servers want one"),
        (300..=399, _) => format!("it sends elsewhere: name the address it sends to as `{ENDPOINT}`"),
        (403, _) => "look at the server's log: this client, or this machine, may not ask".to_owned(),
        (404 | 405, _) => format!("check that `{ENDPOINT}` is the token endpoint"),
        (429, _) => "the server takes no more from this client for now: look at its limits".to_owned(),
        _ => "look at the server's log".to_owned(),
    }
}

/// What the CAs of a token server are called by TLS.
pub(super) fn trust_of(entries: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    [(HTTPS_CA_FILE, "ssl.ca.location"), (HTTPS_CA_TEXT, "ssl.ca.pem")]
        .into_iter()
        .filter_map(|(name, tls)| Some((tls.to_owned(), entries.get(name)?.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<ObtainedToken, Trouble> {
        judge_answer("the token server idp", &HttpResponse { status, body: body.into(), retry_after_s: None })
    }

    #[test]
    fn a_token_comes_with_its_time_however_that_is_written() {
        for (body, expected) in [
            (r#"{"access_token":"t","expires_in":3600}"#, Some(3_600)),
            (r#"{"access_token":"t","expires_in":"3600"}"#, Some(3_600)),
            (r#"{"access_token":"t"}"#, None),
        ] {
            let token = judged(200, body).unwrap();
            assert_eq!((token.value.as_str(), token.expires_in_s), ("t", expected));
        }
        for none in ["", "{}", r#"{"access_token":5}"#, "<html>"] {
            assert!(judged(200, none).unwrap_err().what.ends_with("without an `access_token`"), "{none}");
        }
    }

    #[test]
    fn a_refusal_is_said_in_the_servers_words_and_what_to_do_in_ours() {
        let secret = "c4nary-of-the-client";
        redact::learn_secret(secret);
        let wrong = judged(401, &format!(r#"{{"error":"invalid_client","error_description":"bad secret {secret}"}}"#))
            .unwrap_err();
        assert_eq!(wrong.what, "the token server idp answered 401: invalid_client (bad secret (hidden))");
        assert!(wrong.lasting && wrong.advice.contains("client.secret"), "{wrong:?}");
        let scope = judged(400, r#"{"error":"invalid_scope"}"#).unwrap_err();
        assert!(scope.advice.contains("`sasl.oauthbearer.scope`"), "{scope:?}");
        let busy = judged(503, "try later").unwrap_err();
        assert!(!busy.lasting && busy.what.ends_with("answered 503: try later"), "{busy:?}");
        assert!(judged(302, "").unwrap_err().advice.contains("sends elsewhere"));
    }
}

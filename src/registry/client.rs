//! One registry, and one request to it.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::base::sanitise::visible_text;
use crate::base::{Cause, Side, Trouble, redact};
use crate::net::http::{HttpRequest, HttpResponse, RemoteServer, authorize_request};
use crate::plan::RegistryPlan;
use crate::plan::secrets::client_properties;
use crate::schemas::ProbeAnswer;

/// Requests in a row without any answer, after which nothing more is asked: each takes its whole time limit.
const GIVEN_UP: u32 = 8;
/// Most of a registry's own words that an error shows, characters.
const SHOWN: usize = 200;

/// A schema registry, as the plan names it. Secrets and certificates are read when it is opened.
pub struct RegistryClient {
    side: Side,
    server: RemoteServer,
    headers: Vec<(&'static str, String)>,
    timeout_ms: u64,
    unanswered: AtomicU32,
}

/// What a registry answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RegistryReply {
    /// A value.
    Told(Value),
    /// There is no such subject, version, id, or own setting.
    Absent,
    /// It has no such question.
    NotOffered,
}

/// How something is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

impl RegistryClient {
    /// Reads secrets and certificates; connects to nothing.
    ///
    /// # Errors
    /// A secret or a certificate can't be read, or the URL is none.
    pub async fn open(plan: &RegistryPlan, side: Side) -> Result<Self, Trouble> {
        let named = |t: Trouble| name_trouble(side, t);
        let headers = authorize_request(&plan.credentials).map_err(named)?;
        let properties = client_properties(&plan.client).map_err(named)?;
        let server = RemoteServer::open(&plan.url, properties).await.map_err(named)?;
        Ok(Self { side, server, headers, timeout_ms: plan.timeout_ms, unanswered: AtomicU32::new(0) })
    }

    /// Whose registry it is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// Asks, and says what the answer means.
    ///
    /// # Errors
    /// It can't be reached, refuses, or answers something else than this API: with what to do.
    pub(super) async fn ask(&self, path: &str) -> Result<RegistryReply, Trouble> {
        let answer = self.send(path).await?;
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match (answer.status, json) {
            (200, Some(json)) => Ok(RegistryReply::Told(json)),
            (204 | 405, _) => Ok(RegistryReply::NotOffered),
            (404, Some(json)) if json.get("error_code").is_some_and(says_absent) => Ok(RegistryReply::Absent),
            (404, _) => Ok(RegistryReply::NotOffered),
            (_, json) => Err(name_trouble(self.side, self.explain_refusal(&answer, json.as_ref()))),
        }
    }

    /// Changes something. That it is changed only a look afterwards tells. Where there was nothing to delete, that is told.
    ///
    /// # Errors
    /// It can't be reached, or refuses: with what to do.
    pub(super) async fn change(
        &self,
        kind: ChangeKind,
        path: &str,
        body: Option<&Value>,
    ) -> Result<RegistryReply, Trouble> {
        let body = body.map(|body| ("application/vnd.schemaregistry.v1+json", body.to_string().into_bytes()));
        let (put, delete) = (kind == ChangeKind::Put, kind == ChangeKind::Delete);
        let answer = self.send_request(HttpRequest { path, body, put, delete, ..HttpRequest::default() }).await?;
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match (answer.status, json) {
            (200, Some(json)) => Ok(RegistryReply::Told(json)),
            (204, _) => Ok(RegistryReply::NotOffered),
            (404, Some(json)) if delete && json.get("error_code").is_some_and(says_absent) => Ok(RegistryReply::Absent),
            (status, json) => {
                let why = self.explain_refusal(&answer, json.as_ref());
                let advice = match status {
                    401 | 500.. => why.advice.clone(),
                    403 => "let this user write subjects, modes and compatibility".to_owned(),
                    _ => "the registry refuses this change: see its words".to_owned(),
                };
                Err(name_trouble(self.side, Trouble { advice, ..why }))
            }
        }
    }

    /// An answer as it is, for telling kinds of servers apart; no answer is one too.
    pub(super) async fn probe(&self, path: &str) -> ProbeAnswer {
        let Ok(answer) = self.send(path).await else { return ProbeAnswer::default() };
        let json = serde_json::from_slice(&answer.body).ok();
        let text = String::from_utf8_lossy(&answer.body).trim().chars().take(SHOWN).collect();
        ProbeAnswer { status: answer.status, text: if json.is_some() { String::new() } else { text }, json }
    }

    async fn send(&self, path: &str) -> Result<HttpResponse, Trouble> {
        self.send_request(HttpRequest { path, ..HttpRequest::default() }).await
    }

    async fn send_request(&self, request: HttpRequest<'_>) -> Result<HttpResponse, Trouble> {
        if self.unanswered.load(Ordering::Relaxed) >= GIVEN_UP {
            let what = format!(
                "{} did not answer {GIVEN_UP} requests in a row: nothing more is asked",
                self.server.visible_address()
            );
            return Err(name_trouble(self.side, Trouble::new(what, "see whether it runs, and look again")));
        }
        let request = HttpRequest { headers: self.headers.clone(), timeout_ms: self.timeout_ms, ..request };
        match self.server.send(request).await {
            Ok(answer) => {
                self.unanswered.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Err(why) => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                Err(name_trouble(self.side, why))
            }
        }
    }

    fn explain_refusal(&self, answer: &HttpResponse, json: Option<&Value>) -> Trouble {
        let (at, status) = (self.server.visible_address(), answer.status);
        // What stands before a registry may repeat what it was sent.
        let own = json
            .and_then(|json| json.get("message")?.as_str())
            .map(|words| visible_text(&redact::hide_secrets(words)).chars().take(SHOWN).collect::<String>());
        let said = own.unwrap_or_else(|| answer.visible_excerpt());
        let with_words = |what: String| if said.is_empty() { what } else { format!("{what}: {said}") };
        let trouble = |what, advice: &str| Trouble::new(what, advice);
        match status {
            200 => trouble(
                with_words(format!("{at} answers no JSON")),
                "check that `url` is what stands before /subjects: a page of a proxy or of a console answers there \
                 (of Apicurio it ends in /apis/ccompat/v7)",
            ),
            300..=399 => trouble(
                format!("{at} answers {status}: it sends elsewhere, and that is not followed"),
                "write the address that it sends to as `url`",
            ),
            401 => trouble(format!("{at} answers 401"), "check username and password, or bearer")
                .with_cause(Cause::NotAllowed)
                .mark_lasting(),
            403 => {
                trouble(format!("{at} answers 403"), "let this user read subjects, schemas, compatibility and modes")
                    .with_cause(Cause::NotAllowed)
                    .mark_lasting()
            }
            429 => trouble(
                with_words(format!("{at} answers 429")),
                "it takes fewer requests: raise its limit, or look again later",
            ),
            400..=499 => trouble(
                with_words(format!("{at} answers {status}")),
                "check `url`, and that it speaks http or https as written",
            ),
            _ => trouble(with_words(format!("{at} answers {status}")), "it fails by itself: see its log"),
        }
    }
}

/// Codes that say: not found. 40401 a subject, 40402 a version, 40403 a schema, 40404 to 40407 deleted or not deleted
/// ones, 40408 no compatibility and 40409 no mode of its own.
fn says_absent(code: &Value) -> bool {
    code.as_u64().is_some_and(|code| (40401..=40409).contains(&code))
}

/// The same of this side's registry.
pub(super) fn name_trouble(side: Side, trouble: Trouble) -> Trouble {
    let named = Trouble::new(format!("{side}'s registry: {}", trouble.what), trouble.advice);
    Trouble { lasting: trouble.lasting, cause: trouble.cause, ..named }
}

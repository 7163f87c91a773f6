//! Telling people who look at no screen: one message to one target of the plan. What is worth telling is
//! `migration::tell`'s (`notifications`); when, how often and how far is the controller's (`controller::notifier`).
//!
//! A target's address is a secret: errors show its host and nothing else, and what it answers loses what it repeats of
//! it (`crate::base::redact`). Names are made visible and escaped for where they stand. Each try is bounded in time, and of an
//! answer a few KiB are read.

mod body;
pub mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::base::Trouble;
use crate::base::redact;
use crate::base::sanitise::visible_name;
use crate::migration::facts::command::Subject;
use crate::migration::tell::notifications::Notification;
use crate::net::http::{HttpRequest, HttpResponse, RemoteServer};
use crate::plan::Plan;
use crate::plan::notify::{NotifyPlan, split_url};
use crate::plan::secrets::{client_properties, resolve_all};
use queue::Message;

/// Most of an answer that is read, bytes: its status says what matters.
const ANSWER: usize = 4 << 10;
/// Pauses before a message is tried again, ms; the last one stands for all further ones.
const PAUSES_MS: [u64; 4] = [1_000, 5_000, 25_000, 60_000];
/// The longest pause that a target may ask for with `Retry-After`, ms.
const LONGEST_PAUSE_MS: u64 = 120_000;

/// One target, as the plan names it.
pub(crate) struct NotifyTarget {
    plan: NotifyPlan,
    names: MessageNames,
    /// Made when it is first needed, and again after it was refused: secrets may have been changed meanwhile.
    line: Mutex<Option<Arc<TargetAddress>>>,
}

/// What a message names besides what happened.
struct MessageNames {
    migration: String,
    groups: BTreeMap<String, String>,
    producers: BTreeMap<String, String>,
}

/// Where a target is.
struct TargetAddress {
    server: RemoteServer,
    /// Path and query: the secret.
    path: String,
    headers: BTreeMap<String, String>,
    /// The plan's own words for the template.
    values: BTreeMap<String, String>,
}

/// Why a message was not delivered.
#[derive(Debug, Clone)]
pub(crate) struct NotSent {
    /// What happened, and what to do.
    pub trouble: Trouble,
    /// Whether it makes sense to try again.
    pub again: Retry,
}

/// Whether, and when at the earliest, something may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would be refused again.
    Never,
    /// After the usual pause, or after this many ms where the target says so.
    Later(Option<u64>),
}

impl Retry {
    /// How long to wait before the next try, ms; `tries`: those already made, from 1. `None`: there is none.
    #[must_use]
    pub(crate) fn pause_ms(self, tries: u32) -> Option<u64> {
        let Retry::Later(asked) = self else { return None };
        let usual = PAUSES_MS[(tries.max(1) as usize - 1).min(PAUSES_MS.len() - 1)];
        // Never sooner than usual, whatever it asks: `Retry-After: 0` from a server that fails would be a flood.
        Some(asked.map_or(usual, |ms| ms.clamp(usual, LONGEST_PAUSE_MS)))
    }
}

impl MessageNames {
    fn new(plan: &Plan) -> Self {
        Self {
            migration: plan.name.clone(),
            groups: plan.groups.iter().map(|g| (g.name.clone(), g.team.clone())).collect(),
            producers: plan.producers.iter().map(|p| (p.name.clone(), p.team.clone())).collect(),
        }
    }

    fn team_of(&self, subject: &Subject) -> Option<&str> {
        match subject {
            Subject::Group(g) => self.groups.get(g).map(String::as_str),
            Subject::Producer(p) => self.producers.get(p).map(String::as_str),
            Subject::Migration | Subject::Cluster(_) => None,
        }
    }
}

/// The targets of a plan. No I/O.
#[must_use]
pub(crate) fn list_targets(plan: &Plan) -> Vec<NotifyTarget> {
    plan.notify.iter().map(|n| NotifyTarget::from_plan(n, plan)).collect()
}

impl NotifyTarget {
    /// A target; no I/O.
    #[must_use]
    pub fn from_plan(target: &NotifyPlan, plan: &Plan) -> Self {
        Self { plan: target.clone(), names: MessageNames::new(plan), line: Mutex::new(None) }
    }

    /// What the plan says of it.
    #[must_use]
    pub fn plan(&self) -> &NotifyPlan {
        &self.plan
    }

    /// Whether it is told of this. What is about the whole migration is told to everyone who asked for its kind.
    #[must_use]
    pub fn wants(&self, news: &Notification) -> bool {
        // One message may be of several kinds: one that is asked for is enough.
        let asked = news.topics.iter().any(|t| self.plan.on.contains(t));
        let everyone = self.plan.teams.is_empty() && self.plan.groups.is_empty();
        let ours = || match &news.subject {
            Subject::Migration | Subject::Cluster(_) => true,
            subject => {
                let named = matches!(subject, Subject::Group(g) if self.plan.groups.contains(g));
                named || self.names.team_of(subject).is_some_and(|team| self.plan.teams.iter().any(|t| t == team))
            }
        };
        asked && (everyone || ours())
    }

    /// The body that a message is sent with, for people: without the plan's own values.
    #[must_use]
    pub(crate) fn preview_body(&self, message: &Message) -> String {
        let hidden = |word: &str| self.plan.values.contains_key(word).then(|| "(hidden)".to_owned());
        String::from_utf8_lossy(&body::build_body(&self.plan, &self.names, hidden, message)).into_owned()
    }

    /// Sends a message, once. Returns the status it was taken with.
    ///
    /// # Errors
    /// It can't be reached, or refuses: with its host, what to do, and whether to try again.
    pub async fn send(&self, message: &Message) -> Result<u16, NotSent> {
        let named =
            |t: Trouble| Trouble::new(format!("notify.{}: {}", visible_name(&self.plan.name), t.what), t.advice);
        // A secret that can't be read now may be there in a moment: a file that is being replaced.
        let later = |t: Trouble| NotSent { trouble: named(t), again: Retry::Later(None) };
        let line = self.resolve_address().await.map_err(later)?;
        let own = |word: &str| line.values.get(word).cloned();
        let body = body::build_body(&self.plan, &self.names, own, message);
        let request = HttpRequest {
            body: Some((&self.plan.content_type, body)),
            put: self.plan.put,
            delete: false,
            path: &line.path,
            headers: line.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect(),
            timeout_ms: self.plan.timeout_ms,
            most: Some(ANSWER),
        };
        let answer = line.server.send(request).await.map_err(later)?;
        // Any of them: webhooks answer 200, 202 and 204, and a body that never ends changes nothing.
        if (200..300).contains(&answer.status) {
            tracing::debug!(to = %visible_name(&self.plan.name), seq = message.news.seq, status = answer.status, "told");
            return Ok(answer.status);
        }
        *self.line.lock().await = None;
        let NotSent { trouble, again } = explain_refusal(&line, &answer);
        Err(NotSent { trouble: named(trouble), again })
    }

    /// Connects and sends nothing. Returns its host.
    ///
    /// # Errors
    /// It can't be reached: with its host and what to do.
    pub(crate) async fn try_connect(&self) -> Result<String, Trouble> {
        let line = self.resolve_address().await?;
        line.server.try_connect(self.plan.timeout_ms).await?;
        Ok(line.server.visible_address())
    }

    async fn resolve_address(&self) -> Result<Arc<TargetAddress>, Trouble> {
        // Held until it is made: of several messages one reads the secret, the others wait for it.
        let mut line = self.line.lock().await;
        if let Some(line) = &*line {
            return Ok(Arc::clone(line));
        }
        let url = self.plan.url.resolve("url")?;
        // Before it is taken apart: from here on no error can repeat it.
        redact::learn_address(url.trim());
        let (origin, path) = split_url(url.trim()).ok_or_else(|| {
            Trouble::new("its url is not a URL of HTTP", "it must be https://HOST/PATH, alone in its variable or file")
        })?;
        let (headers, values) = (resolve_all(&self.plan.headers)?, resolve_all(&self.plan.values)?);
        let server = RemoteServer::open(&origin, client_properties(&self.plan.client)?).await?;
        let made = Arc::new(TargetAddress { server, path, headers, values });
        *line = Some(Arc::clone(&made));
        Ok(made)
    }
}

fn explain_refusal(line: &TargetAddress, answer: &HttpResponse) -> NotSent {
    let status = answer.status;
    let again = match status {
        // Come again, say RFC 9110 (408), 8470 (425) and 6585 (429): any other 4xx is about the message itself.
        408 | 425 | 429 | 500..=599 => Retry::Later(answer.retry_after_s.map(|s| s.saturating_mul(1_000))),
        _ => Retry::Never,
    };
    let advice = match status {
        300..=399 => "it sends elsewhere, and that is not followed: write the address itself into url",
        401 | 403 => "it does not know who asks: check url and headers, or make a new webhook",
        404 | 410 => "the webhook is gone, or its url is not right: make a new one",
        429 => "it takes fewer messages: tell it less with on, teams or groups",
        500..=599 => "it fails by itself: look there",
        _ => "look at what it takes: content_type and template make the body",
    };
    let said = answer.visible_excerpt();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    NotSent {
        trouble: Trouble::new(format!("{} answers {status}{said}", line.server.visible_address()), advice),
        again,
    }
}

#[cfg(test)]
mod tests;

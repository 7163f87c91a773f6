//! A message in words: what each placeholder stands for, the payload of a plain webhook, Slack's blocks.

use serde_json::{Value, json};

use super::Names;
use super::queue::Message;
use crate::base::At;
use crate::base::sanitise::{ascii_json, visible, visible_name};
use crate::migration::facts::command::Subject;
use crate::migration::facts::notice::Severity;
use crate::plan::notify::{NotifyKind, NotifyPlan, slack_escape};

/// Layout version of the payload.
const SCHEMA: u32 = 1;
/// Most of one text, characters: an error may carry a page of a broker's words.
const MOST: usize = 1_500;
/// Most of one text in Slack's blocks, characters after escaping (a section takes 3,000).
const SLACK_MOST: usize = 1_400;

/// The body of a message; `own`: what the plan's own words stand for.
pub(super) fn body(
    plan: &NotifyPlan,
    names: &Names,
    own: impl Fn(&str) -> Option<String>,
    message: &Message,
) -> Vec<u8> {
    let value = |word: &str| field(names, message, word).or_else(|| own(word));
    let text = match (plan.fill(value), plan.kind) {
        (Some(filled), _) => filled,
        (None, NotifyKind::Webhook) => ascii_json(&payload(names, message).to_string()).into_owned(),
        (None, NotifyKind::Slack) => ascii_json(&slack(names, message).to_string()).into_owned(),
    };
    text.into_bytes()
}

/// What a placeholder stands for, made visible; empty where there is nothing.
fn field(names: &Names, message: &Message, word: &str) -> Option<String> {
    let news = &message.news;
    let text = match word {
        "event" => news.event.to_string(),
        "migration" => visible_name(&names.migration),
        "subject" => subject(&news.subject),
        "group" => match &news.subject {
            Subject::Group(group) => visible_name(group),
            _ => String::new(),
        },
        "producer" => match &news.subject {
            Subject::Producer(producer) => visible_name(producer),
            _ => String::new(),
        },
        "team" => visible_name(names.team(&news.subject).unwrap_or_default()),
        "severity" => severity(news.severity).to_owned(),
        "action" => if news.resolves() { "resolve" } else { "trigger" }.to_owned(),
        "what" => news.what.clone(),
        "advice" => news.advice.clone(),
        "actor" => visible_name(&news.actor),
        "at" => time(news.at),
        "at_ms" => news.at.0.to_string(),
        "run" => news.run.map(|run| run.to_string()).unwrap_or_default(),
        "stage" => news.stage.clone().unwrap_or_default(),
        "trigger" => visible_name(news.trigger.as_deref().unwrap_or_default()),
        "metric" => news.metric.map(|m| m.to_string()).unwrap_or_default(),
        "key" => visible_name(&format!("{}/{}", names.migration, news.key)),
        "id" => format!("{}#{}", visible_name(&names.migration), news.seq),
        "journal_seq" => news.seq.to_string(),
        "missed" => message.missed.to_string(),
        _ => return None,
    };
    Some(shortened(&visible(&text), MOST))
}

/// The payload of a webhook without a template.
fn payload(names: &Names, message: &Message) -> Value {
    let text = |word: &str| field(names, message, word).filter(|t| !t.is_empty());
    json!({
        "schema": SCHEMA,
        "id": text("id"),
        "event": text("event"),
        "severity": text("severity"),
        "action": text("action"),
        "key": text("key"),
        "migration": text("migration"),
        "subject": text("subject"),
        "group": text("group"),
        "producer": text("producer"),
        "team": text("team"),
        "what": text("what"),
        "advice": text("advice"),
        "actor": text("actor"),
        "at": text("at"),
        "at_ms": message.news.at.0,
        "run": message.news.run,
        "stage": text("stage"),
        "trigger": text("trigger"),
        "metric": text("metric"),
        "journal_seq": message.news.seq,
        "missed": message.missed,
    })
}

/// Slack's shape: `text` for the notification, blocks for the channel. `verbatim` keeps plain names from becoming links
/// or mentions; nothing is unfurled.
fn slack(names: &Names, message: &Message) -> Value {
    let of = |word: &str| {
        let text = field(names, message, word).unwrap_or_default();
        cut(&slack_escape(&text), SLACK_MOST)
    };
    let sign = match message.news.severity {
        Severity::Info => ":large_green_circle:",
        Severity::Warn => ":large_yellow_circle:",
        Severity::Fail => ":red_circle:",
    };
    let event = of("event").replace('_', " ");
    let mut said = format!("{sign} *{event}* · *{}*\n{}", of("subject"), of("what"));
    if !message.news.advice.is_empty() {
        said.push_str(&format!("\n→ {}", of("advice")));
    }
    let mut context = format!("{} · entry {} · {} · {}", of("migration"), of("journal_seq"), of("actor"), of("at"));
    if message.missed > 0 {
        context.push_str(&format!(" · {} before it were not delivered: `cutover journal show`", message.missed));
    }
    json!({
        "text": format!("{}: {event}, {}: {}", of("migration"), of("subject"), of("what")),
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": cut(&said, 2_990), "verbatim": true } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": cut(&context, 1_900), "verbatim": true }] },
        ],
    })
}

/// The first characters of a text that is already escaped: an entity is never cut in two.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    if let Some(start) = short.rfind('&').filter(|start| !short[*start..].contains(';')) {
        short.truncate(start);
    }
    short + "…"
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Migration => "the migration".into(),
        Subject::Cluster(side) => side.name().into(),
        Subject::Group(group) => format!("group {}", visible_name(group)),
        Subject::Producer(producer) => format!("producer {}", visible_name(producer)),
    }
}

/// In PagerDuty's and Alertmanager's words.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warning",
        Severity::Fail => "critical",
    }
}

fn time(at: At) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|t| t.to_string()).unwrap_or_default()
}

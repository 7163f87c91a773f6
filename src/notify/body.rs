//! A message in words: what each placeholder stands for, the payload of a plain webhook, Slack's blocks.

use serde_json::{Value, json};

use super::MessageNames;
use super::queue::Message;
use crate::base::At;
use crate::base::sanitise::{ascii_json, visible_name, visible_text};
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
pub(super) fn build_body(
    plan: &NotifyPlan,
    names: &MessageNames,
    own: impl Fn(&str) -> Option<String>,
    message: &Message,
) -> Vec<u8> {
    // Ours before the plan's own: a value that is named `what` must not hide what happened.
    let value = |word: &str| placeholder_text(names, message, word).or_else(|| own(word));
    let text = match (plan.fill_template(value), plan.kind) {
        (Some(filled), _) => filled,
        (None, NotifyKind::Webhook) => ascii_json(&webhook_payload(names, message).to_string()).into_owned(),
        (None, NotifyKind::Slack) => ascii_json(&slack_payload(names, message).to_string()).into_owned(),
    };
    text.into_bytes()
}

/// What a placeholder stands for, made visible; empty where there is nothing.
fn placeholder_text(names: &MessageNames, message: &Message, word: &str) -> Option<String> {
    let news = &message.news;
    let text = match word {
        "event" => news.event.to_string(),
        "migration" => visible_name(&names.migration),
        "subject" => news.subject.to_string(),
        "group" if matches!(news.subject, Subject::Group(_)) => news.subject.short_name(),
        "producer" if matches!(news.subject, Subject::Producer(_)) => news.subject.short_name(),
        "group" | "producer" => String::new(),
        "team" => visible_name(names.team_of(&news.subject).unwrap_or_default()),
        "severity" => severity_word(news.severity).to_owned(),
        "action" => if news.resolves() { "resolve" } else { "trigger" }.to_owned(),
        "what" => news.what.clone(),
        "advice" => news.advice.clone(),
        "actor" => visible_name(&news.actor),
        "at" => format_time(news.at),
        "at_ms" => news.at.0.to_string(),
        "run" => news.run.map(|run| run.to_string()).unwrap_or_default(),
        "stage" => news.stage.clone().unwrap_or_default(),
        "trigger" => visible_name(news.trigger.as_deref().unwrap_or_default()),
        "metric" => news.metric.map(|m| m.to_string()).unwrap_or_default(),
        "key" => visible_name(&format!("{}/{}", names.migration, news.key)),
        // The entry makes it unique: a receiver that is told twice, after a crash, can know it.
        "id" => format!("{}#{}", visible_name(&names.migration), news.seq),
        "journal_seq" => news.seq.to_string(),
        "missed" => message.missed.to_string(),
        _ => return None,
    };
    // Here for every word: a template may put any of them anywhere.
    Some(shorten_text(&visible_text(&text), MOST))
}

/// The payload of a webhook without a template.
fn webhook_payload(names: &MessageNames, message: &Message) -> Value {
    let text = |word: &str| placeholder_text(names, message, word).filter(|t| !t.is_empty());
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
fn slack_payload(names: &MessageNames, message: &Message) -> Value {
    let of = |word: &str| {
        let text = placeholder_text(names, message, word).unwrap_or_default();
        // Escaped, then cut: escaping makes a text up to five times as long.
        cut_escaped(&slack_escape(&text), SLACK_MOST)
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
            // Slack refuses the whole message over a section that is too long.
            { "type": "section", "text": { "type": "mrkdwn", "text": cut_escaped(&said, 2_990), "verbatim": true } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": cut_escaped(&context, 1_900), "verbatim": true }] },
        ],
    })
}

/// The first characters of a text that is already escaped: an entity is never cut in two.
fn cut_escaped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    if let Some(start) = short.rfind('&').filter(|start| !short[*start..].contains(';')) {
        short.truncate(start);
    }
    short + "…"
}

fn shorten_text(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// In PagerDuty's and Alertmanager's words.
fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warning",
        Severity::Fail => "critical",
    }
}

fn format_time(at: At) -> String {
    // A time that no calendar has stays empty: `at_ms` says it all the same.
    jiff::Timestamp::from_millisecond(at.0).map(|t| t.to_string()).unwrap_or_default()
}

//! Reads `[notify.NAME]`: who is told what happens, where, and in which words.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use strum::IntoEnumIterator as _;

use super::clusters;
use super::metrics::{check_known_placeholders, read_bounded_duration, read_tls_client};
use super::model::Plan;
use super::problem::find_nearest;
use super::provider::expand_placeholders;
use super::reader::{Field, Report, TableReader};
use super::secrets::{ClientValue, Secret};
use crate::base::redact;
use crate::base::sanitise::quoted_name;
use crate::migration::tell::notifications::NotificationTopic;

/// How long one try may take when the plan does not say, ms.
const TIMEOUT_MS: u64 = 10_000;
/// How often a message is tried again when the plan does not say.
const RETRIES: u64 = 4;
/// Largest template, bytes.
const MAX_TEMPLATE: usize = 64 << 10;
/// Headers of one target.
const MAX_HEADERS: usize = 50;
/// Set by cutover itself, or by HTTP.
const OWN_HEADERS: &[&str] =
    &["host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent", "accept"];
/// What templates may name.
pub(crate) const PLACEHOLDERS: &[&str] = &[
    "event",
    "migration",
    "subject",
    "group",
    "producer",
    "team",
    "severity",
    "action",
    "what",
    "advice",
    "actor",
    "at",
    "at_ms",
    "run",
    "stage",
    "trigger",
    "metric",
    "key",
    "id",
    "journal_seq",
    "missed",
];
/// Those that are always a number: they may stand in JSON without quotes.
const NUMBERS: &[&str] = &["at_ms", "journal_seq", "missed"];

/// One `[notify.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotifyPlan {
    /// Its name in the plan.
    pub name: String,
    /// Whom it speaks to.
    pub kind: NotifyKind,
    /// Where. A secret, wherever it stands: who knows it can post there.
    pub url: Secret,
    /// `PUT` instead of `POST`.
    pub put: bool,
    /// Headers, secrets unresolved.
    pub headers: BTreeMap<String, ClientValue>,
    /// Further placeholders of the template, secrets unresolved.
    pub values: BTreeMap<String, ClientValue>,
    /// Type of the body.
    pub content_type: String,
    /// The body with placeholders; `None`: what the kind says by itself.
    pub template: Option<String>,
    /// What it is told.
    pub on: Vec<NotificationTopic>,
    /// Only of these teams' groups and producers, and of `groups`; both empty: of all.
    pub teams: Vec<String>,
    /// Only of these groups, and of `teams`.
    pub groups: Vec<String>,
    /// What is trusted, under librdkafka's names.
    pub client: BTreeMap<String, ClientValue>,
    /// How long one try may take, ms.
    pub timeout_ms: u64,
    /// How often a message is tried again.
    pub retries: u32,
}

/// Whom a target speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyKind {
    /// Anything that takes a request.
    Webhook,
    /// Slack's incoming webhooks, and what takes the same (Mattermost, Rocket.Chat).
    Slack,
}

/// How values are escaped in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    Json,
    /// JSON, and Slack's own: `&`, `<` and `>` mean mentions and links there.
    Slack,
    Form,
    Markup,
    None,
}

impl NotifyPlan {
    /// The template with its placeholders replaced by what `value` gives for them, escaped for where they stand. `None`
    /// without a template.
    #[must_use]
    pub(crate) fn fill_template(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let how = escape_of(self.kind, &self.content_type);
        self.template.as_ref().map(|t| expand_placeholders(t, |word| value(word).map(|v| escape_value(how, &v))))
    }
}

/// `https://host:port` and `/path?query` of a URL; `None` for what is none of HTTP, or holds credentials.
#[must_use]
pub(crate) fn split_url(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    // A fragment is never sent (RFC 3986, 3.5).
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // A backslash counts as a slash to some readers of URLs (WHATWG), and the host would be another one.
    let clean = url.bytes().all(|b| b.is_ascii_graphic()) && !host.is_empty() && !host.contains(['@', '\\']);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    (clean && matches!(scheme.as_str(), "http" | "https")).then(|| (format!("{scheme}://{host}"), path))
}

/// A text for Slack's mrkdwn: what begins a mention, a link or an entity means itself
/// (docs.slack.dev/messaging/formatting-message-text, "Escaping text").
#[must_use]
pub(crate) fn slack_escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn escape_of(kind: NotifyKind, content_type: &str) -> Escape {
    let of = content_type.to_ascii_lowercase();
    match kind {
        NotifyKind::Slack => Escape::Slack,
        NotifyKind::Webhook if of.contains("json") => Escape::Json,
        NotifyKind::Webhook if of.starts_with("application/x-www-form-urlencoded") => Escape::Form,
        NotifyKind::Webhook if of.contains("xml") || of.contains("html") => Escape::Markup,
        NotifyKind::Webhook => Escape::None,
    }
}

fn escape_value(how: Escape, text: &str) -> String {
    let json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    match how {
        Escape::Json => json(text),
        Escape::Slack => json(&slack_escape(text)),
        Escape::Form => {
            let one = |b: u8| match b {
                // As forms are sent (WHATWG URL); `%20` is read back as `+` is.
                b if b.is_ascii_alphanumeric() || b"-._*".contains(&b) => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            };
            text.bytes().map(one).collect()
        }
        Escape::Markup => slack_escape(text).replace('"', "&quot;").replace('\'', "&#39;"),
        Escape::None => text.to_owned(),
    }
}

/// All sections.
pub(super) fn read_notify(root: &mut TableReader<'_>, base: &Path) -> Vec<NotifyPlan> {
    let Some(all) = root.table("notify") else { return Vec::new() };
    let section = |(name, field): (String, Field<'_>)| read_section(field.table()?, &name, base);
    all.all().into_iter().filter_map(section).collect()
}

fn read_section(mut t: TableReader<'_>, name: &str, base: &Path) -> Option<NotifyPlan> {
    let Some(field) = t.get("kind") else {
        t.report_missing("kind", "kind = \"webhook\" or \"slack\"");
        return None;
    };
    let kind = field.word(&[("webhook", NotifyKind::Webhook), ("slack", NotifyKind::Slack)])?;
    let url = match t.get("url") {
        Some(field) => read_url(&field, kind, base),
        None => {
            t.report_missing("url", "url = { env = \"VARIABLE\" }");
            None
        }
    };
    let put = t.get("method").and_then(|f| f.word(&[("POST", false), ("PUT", true)])).unwrap_or(false);
    let headers = t.get("headers").map(|f| read_headers(&f, base)).unwrap_or_default();
    let content_type = match kind {
        NotifyKind::Webhook => t.name("content_type"),
        NotifyKind::Slack => None,
    };
    let content_type = content_type.unwrap_or_else(|| "application/json".to_owned());
    let values = t.get("values").map(|f| read_values(&f, base)).unwrap_or_default();
    let escape = escape_of(kind, &content_type);
    let template = t.get("template").and_then(|f| read_template(&f, escape, values.keys().map(String::as_str)));
    let on = t.get("on").map_or_else(|| NotificationTopic::DEFAULT.to_vec(), |f| read_topics(&f));
    let section = NotifyPlan {
        name: name.to_owned(),
        kind,
        put,
        headers,
        values,
        content_type,
        template,
        on,
        teams: t.names("teams"),
        groups: t.group_ids("groups"),
        client: read_tls_client(&mut t, base),
        timeout_ms: read_bounded_duration(&mut t, "timeout", TIMEOUT_MS, 100..=60_000),
        retries: t.get("retries").and_then(|f| f.integer(0..=10)).unwrap_or(RETRIES).try_into().unwrap_or(0),
        // Last, so that what is wrong with the other keys is told as well.
        url: url?,
    };
    t.report_unknown_keys();
    Some(section)
}

/// Where messages go: who knows the address can post there, so the redactor knows it whole and by what tells it.
fn read_url(field: &Field<'_>, kind: NotifyKind, base: &Path) -> Option<Secret> {
    let secret = read_address(field, kind, base)?;
    if let Some(url) = secret.peek("url") {
        redact::learn_address(url.trim());
    }
    Some(secret)
}

/// A URL that is written into the plan is checked at once and never shown; Slack's must not stand there.
fn read_address(field: &Field<'_>, kind: NotifyKind, base: &Path) -> Option<Secret> {
    let toml::de::DeValue::String(text) = field.value else { return clusters::read_secret(field, base) };
    if split_url(text).is_none() {
        let hint = "write \"https://HOST/PATH\" without credentials: they go into headers".to_owned();
        field.error("\"url\" is not a URL of HTTP", Some(hint));
        return None;
    }
    match kind {
        NotifyKind::Slack => clusters::read_secret(field, base),
        // A webhook's address may stand in the plan without a warning, and is hidden everywhere all the same.
        NotifyKind::Webhook => Some(Secret::inline(text.to_string())),
    }
}

fn read_headers(field: &Field<'_>, base: &Path) -> BTreeMap<String, ClientValue> {
    let mut found = BTreeMap::new();
    let Some(table) = field.table() else { return found };
    for (name, field) in table.all() {
        // A token of RFC 9110 (5.6.2).
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            field.error(format!("{} is no name of a header", quoted_name(&name)), None);
            continue;
        }
        let lower = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&lower.as_str()) {
            let hint = (lower == "content-type").then(|| "write content_type = \"...\"".to_owned());
            field.error(format!("{name} is set by cutover itself"), hint);
            continue;
        }
        // Under such a name a text counts as a secret: it is warned about, and the redactor knows it.
        let secret = ["auth", "token", "key", "secret", "cookie"].iter().any(|w| lower.contains(w));
        let value = match field.value {
            toml::de::DeValue::String(text) if !secret => {
                if text.bytes().any(|b| b.is_ascii_control() || !b.is_ascii()) {
                    field.error(format!("the header {name} holds what no header may hold"), None);
                    continue;
                }
                Some(ClientValue::Plain(text.to_string()))
            }
            _ => clusters::read_secret(&field, base).map(ClientValue::Secret),
        };
        // HTTP knows no case in names (RFC 9110, 5.1): two spellings would be one header sent twice.
        found.extend(value.map(|value| (lower, value)));
    }
    if found.len() > MAX_HEADERS {
        field.error(format!("more than {MAX_HEADERS} headers"), None);
    }
    found
}

/// Words of the plan's own for a template: a key that must not stand in it.
fn read_values(field: &Field<'_>, base: &Path) -> BTreeMap<String, ClientValue> {
    let mut found = BTreeMap::new();
    let Some(table) = field.table() else { return found };
    for (name, field) in table.all() {
        // `end` can't be one: `{end}` is jsonpath's, and stays as it is in every template.
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && name != "end";
        if !word || PLACEHOLDERS.contains(&name.as_str()) {
            let why = if word { "has a meaning already" } else { "must be lower-case letters and underscores" };
            field.error(format!("{} {why}", quoted_name(&name)), None);
            continue;
        }
        found.extend(clusters::read_secret(&field, base).map(|value| (name, ClientValue::Secret(value))));
    }
    found
}

fn read_template<'v>(field: &Field<'_>, how: Escape, values: impl Iterator<Item = &'v str>) -> Option<String> {
    let text = field.string()?;
    if text.len() > MAX_TEMPLATE {
        field.error(format!("\"template\" is longer than {} KiB", MAX_TEMPLATE >> 10), None);
        return None;
    }
    if text.trim().is_empty() {
        field.error("\"template\" must not be empty", Some("leave it out".to_owned()));
        return None;
    }
    let words: Vec<&str> = PLACEHOLDERS.iter().copied().chain(values).collect();
    check_known_placeholders(field, &text, &words);
    if matches!(how, Escape::Json | Escape::Slack) {
        // A placeholder outside of quotes breaks with one of the two, whatever it stands for later.
        for sample in ["x\"}],\\ \n<!channel>", ""] {
            let value = |word: &str| Some(if NUMBERS.contains(&word) { "7" } else { sample }.to_owned());
            let filled = expand_placeholders(&text, |word| value(word).map(|v| escape_value(how, &v)));
            if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(&filled) {
                let hint = "texts stand in quotes, as in {\"text\": \"{what}\"}".to_owned();
                field.error(format!("the template does not become JSON: {e}"), Some(hint));
                return None;
            }
        }
    }
    Some(text)
}

fn read_topics(field: &Field<'_>) -> Vec<NotificationTopic> {
    let words: Vec<(&'static str, NotificationTopic)> = NotificationTopic::iter().map(|t| (t.into(), t)).collect();
    let items = field.items("a list such as [\"alarm\", \"trigger\"]", false).unwrap_or_default();
    let mut found: Vec<NotificationTopic> = items.iter().filter_map(|item| item.word(&words)).collect();
    if items.is_empty() {
        let hint = "leave it out for what a person wants to be woken by".to_owned();
        field.error("\"on\" names nothing: nobody would ever be told", Some(hint));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Names that nothing in the plan has: what is meant for them would be told to nobody.
pub(super) fn check_targets(plan: &Plan, report: &Report) {
    let teams: Vec<&str> =
        plan.groups.iter().map(|g| g.team.as_str()).chain(plan.producers.iter().map(|p| p.team.as_str())).collect();
    let groups: Vec<&str> = plan.groups.iter().map(|g| g.name.as_str()).collect();
    for target in &plan.notify {
        for (key, named, known) in [("teams", &target.teams, &teams), ("groups", &target.groups, &groups)] {
            for (i, name) in named.iter().enumerate().filter(|(_, name)| !known.contains(&name.as_str())) {
                let near =
                    find_nearest(name, known.iter().copied()).map(|n| format!("did you mean {n}?", n = quoted_name(n)));
                let one = &key[..key.len() - 1];
                let path = format!("notify.{}.{key}[{i}]", target.name);
                report.warning(
                    &path,
                    format!("nothing in the plan has the {one} {name}", name = quoted_name(name)),
                    near,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Problems;

    fn load(section: &str) -> Result<(NotifyPlan, Vec<String>), Problems> {
        let text = format!(
            "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n[notify.ops]\n{section}\n"
        );
        let loaded = Plan::parse(&text, Path::new("x.toml"))?;
        let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        Ok((loaded.plan.notify[0].clone(), warnings))
    }

    fn good(section: &str) -> NotifyPlan {
        load(section).unwrap_or_else(|p| panic!("{p}")).0
    }

    fn bad(section: &str) -> String {
        load(section).unwrap_err().to_string()
    }

    const HOOK: &str = "kind = \"webhook\"\nurl = \"https://hooks.example.com/T0/secret-path?x=1\"\n";

    #[test]
    fn what_nobody_says_has_good_defaults() {
        let plan = good(HOOK);
        assert_eq!(plan.on, NotificationTopic::DEFAULT);
        assert_eq!((plan.timeout_ms, plan.retries, plan.put), (10_000, 4, false));
        assert_eq!(plan.content_type, "application/json");
        assert_eq!(plan.fill_template(|_| None), None);
    }

    #[test]
    fn nothing_shows_a_url() {
        let (plan, warnings) = load(HOOK).unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "a webhook's URL may stand in the plan");
        assert!(!format!("{plan:?}{}", serde_json::to_string(&plan).unwrap()).contains("secret-path"));
        let slack = HOOK.replace("webhook", "slack");
        let (plan, warnings) = load(&slack).unwrap();
        assert!(warnings[0].contains("url stands in the plan for everyone to read"), "{warnings:?}");
        assert!(!format!("{plan:?}").contains("secret-path"));
        for url in ["ftp://x/secret-path", "https://user:secret-path@x/", "https:///secret-path", "secret-path\u{1b}"] {
            let said = bad(&format!("kind = \"webhook\"\nurl = {url:?}\n").replace("\\u{1b}", "\\u001b"));
            assert!(said.contains("\"url\" is not a URL of HTTP") && !said.contains("secret-path"), "{said}");
        }
    }

    #[test]
    fn a_url_is_split_where_its_secret_begins() {
        let of = |url| split_url(url).map(|(a, b)| format!("{a} {b}"));
        assert_eq!(of("https://h:8/a/b?c=d#e").as_deref(), Some("https://h:8 /a/b?c=d"));
        assert_eq!(of("HTTP://h").as_deref(), Some("http://h /"));
        assert_eq!(of("http://h?x").as_deref(), Some("http://h /?x"));
        assert_eq!(of("http://[::1]:9/x").as_deref(), Some("http://[::1]:9 /x"));
        for url in ["http://", "h/x", "http://a b/", "http://u@h/", "http://h/\u{e9}", "file:///x", "http://h\\@x/"] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn values_never_leave_the_place_they_were_given() {
        let with = |more: &str| good(&format!("{HOOK}{more}"));
        let hostile = "g\"}],\"x\":\"\\\n<!channel>&'";
        let fill = |plan: &NotifyPlan| plan.fill_template(|_| Some(hostile.to_owned())).unwrap();
        let json = fill(&with("template = '{\"text\": \"{what} {what}\", \"n\": 1}'"));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value, serde_json::json!({ "text": format!("{hostile} {hostile}"), "n": 1 }));
        let form = fill(&with("content_type = \"application/x-www-form-urlencoded\"\ntemplate = 'a={what}&b={at}'"));
        assert_eq!(form.matches('&').count(), 1, "{form}");
        assert!(!form.contains(['\n', '"', '<']), "{form}");
        let xml = fill(&with("content_type = \"text/xml\"\ntemplate = '<a b=\"{what}\"/>'"));
        assert_eq!((xml.matches('"').count(), xml.matches('<').count()), (2, 1), "{xml}");
        let slack = good("kind = \"slack\"\nurl = { env = \"SLACK\" }\ntemplate = '{\"text\": \"<!here> {what}\"}'");
        let value: serde_json::Value = serde_json::from_str(&fill(&slack)).unwrap();
        let text = value["text"].as_str().unwrap();
        assert!(text.starts_with("<!here> ") && !text.contains("<!channel>"), "{text}");
    }

    #[test]
    fn templates_that_would_break_at_night_break_in_the_plan() {
        let with = |more: &str| bad(&format!("{HOOK}{more}"));
        for template in ["{\"text\": {what}}", "{\"text\": \"{what}\"", "[{advice}]", "{what}", "{\"a\": 1,}"] {
            let said = with(&format!("template = '{template}'"));
            assert!(said.contains("x.toml:8:12: the template does not become JSON"), "{template}: {said}");
        }
        good(&format!("{HOOK}template = '{{\"n\": {{journal_seq}}, \"at\": {{at_ms}}, \"missed\": {{missed}}}}'"));
        assert!(with("template = '{\"a\": \"{grup}\"}'").contains("did you mean {group}?"));
        assert!(with("template = ''").contains("must not be empty"));
        good(&format!("{HOOK}content_type = \"text/plain\"\ntemplate = '{{what}}'"));
    }

    #[test]
    fn mistakes_are_named() {
        let with = |more: &str| bad(&format!("{HOOK}{more}"));
        assert!(with("on = [\"alrm\"]").contains("did you mean \"alarm\"?"));
        assert!(with("on = []").contains("nobody would ever be told"));
        assert!(with("retries = 11").contains("from 0 to 10"));
        assert!(with("timeout = \"2m\"").contains("must be from 100ms to 1m"));
        assert!(with("method = \"GET\"").contains("unknown value \"GET\" for \"method\""));
        assert!(with("headers = { Host = \"x\" }").contains("set by cutover itself"));
        assert!(with("headers = { \"a b\" = \"x\" }").contains("no name of a header"));
        assert!(with("headers = { x = \"a\\nb\" }").contains("what no header may hold"));
        assert!(with("client = { \"sasl.username\" = \"x\" }").contains("says nothing to HTTP"));
        assert!(with("values = { what = { env = \"X\" } }").contains("\"what\" has a meaning already"));
        assert!(with("values = { Key = { env = \"X\" } }").contains("lower-case letters and underscores"));
        good(&format!("{HOOK}values = {{ routing = {{ env = \"X\" }} }}\ntemplate = '[\"{{routing}}\"]'"));
        assert!(bad("kind = \"slack\"").contains("has no \"url\""));
        assert!(bad("url = \"http://h\"").contains("has no \"kind\""));
        let (plan, warnings) =
            load(&format!("{HOOK}teams = [\"x\"]\nheaders = {{ authorization = \"Bearer abc\" }}")).unwrap();
        assert!(warnings.iter().any(|w| w.contains("nothing in the plan has the team \"x\"")), "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("authorization stands in the plan")), "{warnings:?}");
        assert!(!format!("{plan:?}").contains("abc"));
    }
}

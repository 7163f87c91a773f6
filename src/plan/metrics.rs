//! Reads `[metrics.NAME]`: who knows error rates and latencies, and what to ask them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::clusters;
use super::model::Metric;
use super::problem::find_nearest;
use super::properties;
use super::provider::{expand_placeholders, find_placeholders};
use super::reader::{Field, TableReader};
use super::secrets::{ClientValue, Secret};
use super::sections::read_positive_duration;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides};

/// How often a query runs when the plan does not say, ms.
const EVERY_MS: u64 = 15_000;
/// How long one may take when the plan does not say, ms.
const TIMEOUT_MS: u64 = 10_000;
/// How old an answer's own time may be when the plan does not say, ms.
const MAX_AGE_MS: u64 = 120_000;
/// What queries may name.
const PLACEHOLDERS: &[&str] = &["group", "cluster", "side", "team", "migration"];

/// One `[metrics.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricsPlan {
    /// Its name in the plan.
    pub name: String,
    /// Whom to ask.
    pub source: MetricsSource,
    /// What to ask, by metric.
    pub queries: BTreeMap<Metric, QueryPlan>,
    /// How often, ms.
    pub every_ms: u64,
    /// How long one query may take, ms.
    pub timeout_ms: u64,
    /// An answer whose own time is older than this is stale, ms.
    pub max_age_ms: u64,
    /// What `{cluster}` stands for.
    pub clusters: Sides<String>,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum MetricsSource {
    /// Prometheus' HTTP API, or what speaks it (Thanos, Mimir, VictoriaMetrics).
    Prometheus {
        /// Base URL.
        url: String,
        /// Who asks.
        credentials: Credentials,
        /// What is trusted, under librdkafka's names.
        client: BTreeMap<String, ClientValue>,
    },
    /// New Relic's NerdGraph.
    NewRelic {
        /// Base URL; `/graphql` is behind it.
        url: String,
        /// Account number.
        account: u64,
        /// User key.
        key: Secret,
        /// What is trusted, under librdkafka's names.
        client: BTreeMap<String, ClientValue>,
    },
    /// A program that prints a number.
    Command {
        /// Where it runs: the plan's directory.
        dir: PathBuf,
    },
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// Nobody in particular.
    None,
    /// Basic authentication.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A bearer token.
    Bearer(Secret),
}

/// What is asked for one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryPlan {
    /// The query as one text, or a program and its arguments; with placeholders.
    pub text: Vec<String>,
    /// What the answer is multiplied with: to a share, or to ms.
    pub scale: f64,
}

impl QueryPlan {
    /// The query with its placeholders replaced by what `value` gives for them.
    #[must_use]
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Vec<String> {
        self.text.iter().map(|t| expand_placeholders(t, &value)).collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum SourceKind {
    Prometheus,
    NewRelic,
    Command,
}

/// All sections. `names` are what the clusters are called.
pub(super) fn read_metrics(root: &mut TableReader<'_>, base: &Path, names: Sides<Option<&str>>) -> Vec<MetricsPlan> {
    let Some(all) = root.table("metrics") else { return Vec::new() };
    let mut sections: Vec<MetricsPlan> = Vec::new();
    for (name, field) in all.all() {
        let Some(table) = field.table() else { continue };
        let Some(section) = read_section(table, &name, base, names) else { continue };
        for metric in section.queries.keys() {
            if let Some(other) = sections.iter().find(|s| s.queries.contains_key(metric)) {
                let text = format!("{metric} is asked for by [metrics.{}] too", visible_name(&other.name));
                field.error(text, Some("leave one of the two out".to_owned()));
            }
        }
        sections.push(section);
    }
    sections
}

fn read_section(mut t: TableReader<'_>, name: &str, base: &Path, names: Sides<Option<&str>>) -> Option<MetricsPlan> {
    let Some(field) = t.get("provider") else {
        t.report_missing("provider", "provider = \"prometheus\", \"newrelic\" or \"command\"");
        return None;
    };
    let kinds =
        [("prometheus", SourceKind::Prometheus), ("newrelic", SourceKind::NewRelic), ("command", SourceKind::Command)];
    let kind = field.word(&kinds)?;
    let source = match kind {
        SourceKind::Prometheus => read_prometheus(&mut t, base),
        SourceKind::NewRelic => read_new_relic(&mut t, base),
        SourceKind::Command => Some(MetricsSource::Command { dir: base.to_owned() }),
    };
    let clusters = t.table("clusters").map(|mut c| {
        let both = Sides::from_fn(|side| c.name(side.name()));
        c.report_unknown_keys();
        both
    });
    let clusters: Sides<Option<String>> = clusters.unwrap_or_default();
    let called = |side: Side| clusters[side].as_deref().or(names[side]).unwrap_or(side.name()).to_owned();
    let queries = match t.get("queries") {
        Some(field) => read_queries(&field, kind),
        None => {
            t.report_missing("queries", "[metrics.NAME.queries] with error_rate = \"...\" or p99 = \"...\"");
            BTreeMap::new()
        }
    };
    let section = MetricsPlan {
        name: name.to_owned(),
        every_ms: read_bounded_duration(&mut t, "every", EVERY_MS, 1_000..=3_600_000),
        timeout_ms: read_bounded_duration(&mut t, "timeout", TIMEOUT_MS, 100..=300_000),
        max_age_ms: read_positive_duration(&mut t, "max_age").unwrap_or(MAX_AGE_MS),
        clusters: Sides::from_fn(called),
        queries,
        // Last, so that what is wrong with the other keys is told as well.
        source: source?,
    };
    t.report_unknown_keys();
    Some(section)
}

/// A duration of a section that must lie in a range, ms.
pub(super) fn read_bounded_duration(
    t: &mut TableReader<'_>,
    key: &'static str,
    otherwise: u64,
    range: std::ops::RangeInclusive<u64>,
) -> u64 {
    let Some(field) = t.get(key) else { return otherwise };
    let Some(ms) = field.duration() else { return otherwise };
    if !range.contains(&ms) {
        let (least, most) =
            (super::duration::format_duration(*range.start()), super::duration::format_duration(*range.end()));
        field.error(format!("\"{key}\" must be from {least} to {most}"), None);
    }
    ms
}

fn read_prometheus(t: &mut TableReader<'_>, base: &Path) -> Option<MetricsSource> {
    let url = match t.get("url") {
        Some(field) => clusters::read_url(&field),
        None => {
            t.report_missing("url", "url = \"https://HOST:9090\"");
            None
        }
    };
    let credentials = read_credentials(t, base);
    let client = read_tls_client(t, base);
    Some(MetricsSource::Prometheus { url: url?, credentials, client })
}

/// Who asks an HTTP server: `username` and `password`, or `bearer`.
pub(super) fn read_credentials(t: &mut TableReader<'_>, base: &Path) -> Credentials {
    let (username, password) = (t.name("username"), t.get("password").and_then(|f| clusters::read_secret(&f, base)));
    let bearer = t.get("bearer").and_then(|f| clusters::read_secret(&f, base));
    match (username, password, bearer) {
        (None, None, None) => Credentials::None,
        (Some(username), Some(password), None) => Credentials::Basic { username, password },
        (None, None, Some(token)) => Credentials::Bearer(token),
        _ => {
            for key in ["bearer", "password", "username"] {
                if let Some(field) = t.get(key) {
                    let hint = "write username and password, or bearer alone".to_owned();
                    field.error("the credentials don't fit together", Some(hint));
                    break;
                }
            }
            Credentials::None
        }
    }
}

fn read_new_relic(t: &mut TableReader<'_>, base: &Path) -> Option<MetricsSource> {
    if !t.has("account") {
        t.report_missing("account", "account = 1234567");
    }
    if !t.has("key") {
        t.report_missing("key", "key = { env = \"NEW_RELIC_API_KEY\" }");
    }
    let account = t.get("account").and_then(|f| f.integer(1..=u64::from(u32::MAX)));
    let key = t.get("key").and_then(|f| clusters::read_secret(&f, base));
    let hosts = [("us", "https://api.newrelic.com"), ("eu", "https://api.eu.newrelic.com")];
    let region = t.get("region").and_then(|f| f.word(&hosts)).unwrap_or(hosts[0].1);
    let url = t.get("url").and_then(|f| clusters::read_url(&f)).unwrap_or_else(|| region.to_owned());
    let client = read_tls_client(t, base);
    Some(MetricsSource::NewRelic { url, account: account?, key: key?, client })
}

/// What HTTP trusts, under librdkafka's names.
pub(super) fn read_tls_client(t: &mut TableReader<'_>, base: &Path) -> BTreeMap<String, ClientValue> {
    let Some(field) = t.get("client") else { return BTreeMap::new() };
    let Some(table) = field.table() else { return BTreeMap::new() };
    let client = clusters::read_client(&table, base);
    for (name, value) in &client {
        let at = format!("{}.{name}", table.path);
        if !properties::TLS_NAMES.contains(&name.as_str()) {
            let near =
                find_nearest(name, properties::TLS_NAMES.iter().copied()).map(|n| format!("did you mean {n:?}?"));
            let all =
                || Some("\"ssl.ca.location\", \"ssl.certificate.location\", \"ssl.key.location\", ...".to_owned());
            let what = format!("{} says nothing to HTTP", crate::base::sanitise::quoted_name(name));
            t.report.error(&at, what, near.or_else(all));
        } else if let ClientValue::Plain(text) = value
            && let Some(trouble) = properties::check_value(name, text)
        {
            t.report.error(&at, trouble.what, Some(trouble.advice));
        }
    }
    let known = client.iter().map(|(name, value)| match value {
        ClientValue::Plain(text) => (name.as_str(), Some(text.as_str())),
        ClientValue::Secret(_) => (name.as_str(), None),
    });
    if let Some(finding) = properties::warn_of_http(&known.collect()) {
        let at = format!("{}.{}", table.path, finding.name);
        t.report.warning(&at, finding.trouble.what, Some(finding.trouble.advice));
    }
    client
}

fn read_queries(field: &Field<'_>, kind: SourceKind) -> BTreeMap<Metric, QueryPlan> {
    let mut found = BTreeMap::new();
    let Some(table) = field.table() else { return found };
    for (name, field) in table.all() {
        let metric = match name.as_str() {
            "error_rate" => Metric::ErrorRate,
            "p99" => Metric::P99,
            "lag" | "time_lag" | "dlq_growth" => {
                let hint = "leave it out".to_owned();
                field.error(format!("{name} is measured on the clusters themselves"), Some(hint));
                continue;
            }
            other => {
                let near = find_nearest(other, ["error_rate", "p99"]).map(|w| format!("did you mean {w:?}?"));
                let shown = crate::base::sanitise::quoted_name(other);
                field.error(format!("{shown} is not a metric (known here: \"error_rate\", \"p99\")"), near);
                continue;
            }
        };
        if let Some(query) = read_query(&field, metric, kind) {
            found.insert(metric, query);
        }
    }
    // Where there were queries, each has been told what is wrong with it.
    if found.is_empty() && table.all().is_empty() {
        field.error("\"queries\" must not be empty", Some("write error_rate = \"...\" or p99 = \"...\"".to_owned()));
    }
    found
}

/// `"..."`, `[argv]`, or `{ query = ..., unit = "s" }`.
fn read_query(field: &Field<'_>, metric: Metric, kind: SourceKind) -> Option<QueryPlan> {
    let units: &[(&str, f64)] = match metric {
        Metric::P99 => &[("ms", 1.0), ("s", 1_000.0), ("us", 0.001), ("ns", 0.000_001)],
        _ => &[("share", 1.0), ("%", 0.01)],
    };
    let toml::de::DeValue::Table(_) = field.value else {
        return read_query_text(field, kind).map(|text| QueryPlan { text, scale: 1.0 });
    };
    let mut t = field.table()?;
    let of = match t.get("query") {
        Some(field) => read_query_text(&field, kind),
        None => {
            t.report_missing("query", "query = \"...\"");
            None
        }
    };
    let scale = t.get("unit").and_then(|f| f.word(units)).unwrap_or(1.0);
    t.report_unknown_keys();
    of.map(|text| QueryPlan { text, scale })
}

fn read_query_text(field: &Field<'_>, kind: SourceKind) -> Option<Vec<String>> {
    if kind == SourceKind::Command {
        let items = field.items("a list of the program and its arguments", false)?;
        let args: Vec<String> = items.iter().filter_map(Field::string).collect();
        for (item, arg) in items.iter().zip(&args) {
            check_known_placeholders(item, arg, PLACEHOLDERS);
        }
        if args.first().is_none_or(|program| program.trim().is_empty()) {
            field.error("a command needs a program", Some("write [\"PROGRAM\", \"ARGUMENT\"]".to_owned()));
            return None;
        }
        return (args.len() == items.len()).then_some(args);
    }
    let text = field.string()?;
    check_known_placeholders(field, &text, PLACEHOLDERS);
    if text.trim().is_empty() {
        field.error("a query must not be empty", None);
        return None;
    }
    // Not within backticks: PromQL knows no escapes there, so a name with
    // a backtick would end the text; NRQL quotes attributes with them.
    let quotes: &[char] = if kind == SourceKind::Prometheus { &['"', '\''] } else { &['\''] };
    if let Some(word) = find_unquoted_placeholder(&text, quotes) {
        let like = if kind == SourceKind::Prometheus { "group=\"{group}\"" } else { "group = '{group}'" };
        field.error(
            format!("{{{word}}} stands outside of a quoted text: a name could become part of the query"),
            Some(format!("write it inside quotes, as in {like}")),
        );
    }
    Some(vec![text])
}

/// An error for each placeholder that is none of these.
pub(super) fn check_known_placeholders(field: &Field<'_>, text: &str, words: &[&str]) {
    for word in find_placeholders(text).into_iter().filter(|w| !words.contains(w)) {
        let near = find_nearest(word, words.iter().copied()).map(|w| format!("did you mean {{{w}}}?"));
        let all: Vec<String> = words.iter().map(|w| format!("{{{w}}}")).collect();
        field.error(
            format!("unknown placeholder {{{word}}}"),
            near.or_else(|| Some(format!("known here: {}", all.join(" ")))),
        );
    }
}

/// The first placeholder that does not stand inside a text in one of these quotes.
fn find_unquoted_placeholder<'a>(text: &'a str, quotes: &[char]) -> Option<&'a str> {
    let mut open: Option<char> = None;
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        // Only a placeholder that begins right here: the first one of the rest may stand further on, in quotes.
        if open.is_none_or(|o| !quotes.contains(&o))
            && c == '{'
            && let Some(word) = find_placeholders(&text[i..]).first().copied()
            && text[i + 1..].starts_with(word)
            && text[i + 1 + word.len()..].starts_with('}')
        {
            return Some(word);
        }
        match open {
            _ if escaped => escaped = false,
            Some(o) if c == '\\' && o != '`' => escaped = true,
            Some(o) if c == o => open = None,
            Some(_) => {}
            None if ['"', '\'', '`'].contains(&c) => open = Some(c),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_outside_of_quotes_is_found() {
        let of = |text| find_unquoted_placeholder(text, &['"', '\'']);
        assert_eq!(of(r#"sum(rate(x{group="{group}",c='{cluster}'}[5m]))"#), None);
        assert_eq!(of(r#"x{group={group}}"#), Some("group"));
        assert_eq!(of(r#"x{a="\"{group}"} + {side}"#), Some("side"));
        assert_eq!(of("x{a=`{group}`}"), Some("group"), "nothing can be escaped in there");
        assert_eq!(find_unquoted_placeholder("WHERE g = '{group}' FACET \"{group}\"", &['\'']), Some("group"));
    }
}

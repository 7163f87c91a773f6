//! New Relic's NerdGraph: NRQL over GraphQL. Errors come in an `errors` array, also with HTTP 200.

use serde_json::{Value, json};

use super::MetricValue;
use crate::base::Trouble;
use crate::base::sanitise::visible_text;
use crate::net::http::{HttpRequest, RemoteServer};
use crate::plan::secrets::Secret;

/// `timeout` is NerdGraph's own bound, seconds.
const QUERY: &str = "query($a:Int!,$q:Nrql!){actor{account(id:$a){nrql(query:$q,timeout:5){results}}}}";

/// A name inside `'...'` of NRQL. Characters that can't be seen have no escape there and match nothing.
pub(super) fn escape_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            // A group may be called `a' OR '1'='1`: unescaped it would answer for every group.
            '\\' | '\'' => out.extend(['\\', c]),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

pub(super) async fn ask_nrql(
    server: &RemoteServer,
    account: u64,
    key: &Secret,
    nrql: &str,
    timeout_ms: u64,
) -> Result<MetricValue, Trouble> {
    let body = json!({ "query": QUERY, "variables": { "a": account, "q": nrql } }).to_string().into_bytes();
    let headers = vec![("api-key", key.resolve("key")?)];
    let body = Some(("application/json", body));
    let answer =
        server.send(HttpRequest { body, path: "/graphql", headers, timeout_ms, ..HttpRequest::default() }).await?;
    let at = server.visible_address();
    // What can't be parsed is told below by its status and beginning: mostly a proxy's page.
    let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok();
    // Before the status: NerdGraph tells refusals with HTTP 200, too.
    let error = parsed.as_ref().and_then(|v| v["errors"].as_array()?.first().cloned());
    if let Some(error) = error {
        return Err(explain_error(&at, answer.status, &error));
    }
    match (answer.status, parsed) {
        (200, Some(value)) => find_number(&value["data"]["actor"]["account"]["nrql"]["results"]),
        (401 | 403, _) => {
            Err(Trouble::new(format!("{at} answers {}", answer.status), "check `key`: it must be a user key"))
        }
        (status, _) => {
            let what = format!("{at} answers {status}: {}", answer.visible_excerpt());
            Err(Trouble::new(what, "check `url` or `region`"))
        }
    }
}

fn explain_error(at: &str, status: u16, error: &Value) -> Trouble {
    let class = error["extensions"]["errorClass"].as_str().unwrap_or_default();
    let message = crate::base::redact::hide_secrets(error["message"].as_str().unwrap_or("no message"));
    let message: String = visible_text(&message).chars().take(300).collect();
    let advice = match class {
        "TOO_MANY_REQUESTS" => "New Relic's limit for this account or user: ask less often (`every`)",
        "TIMEOUT" => "the query takes longer than 5 s there: look at less time, or at fewer events",
        "INVALID_INPUT" => super::WRONG_QUERY,
        "UNAUTHORIZED" | "ACCESS_DENIED" => "check `key` and `account`",
        _ => "try the query in New Relic",
    };
    let class = if class.is_empty() { String::new() } else { format!(" {}", visible_text(class)) };
    Trouble::new(format!("{at} answers {status} with an error{class}: {message}"), advice)
}

/// The one number of the one result: `{"count":1000}`, or a percentile's `{"percentile.duration":{"99":0.4}}`.
fn find_number(results: &Value) -> Result<MetricValue, Trouble> {
    let rows = results
        .as_array()
        .ok_or_else(|| Trouble::new("the answer holds no results", "check `account`: this user may not see it"))?;
    let row = match rows.as_slice() {
        [] => return Err(Trouble::new("the query answers no rows: no data", "try the query in New Relic")),
        [row] => row,
        rows => {
            let what = format!("the query answers {} rows", rows.len());
            return Err(Trouble::new(what, "leave out FACET and TIMESERIES: one number is wanted"));
        }
    };
    let mut found = Vec::new();
    collect_numbers(row, &mut found);
    match found.as_slice() {
        [Some(value)] => Ok(MetricValue { value: *value, at: None }),
        // Null is the answer for no events: it must not count as 0 errors.
        [None] | [] => Err(Trouble::new("the query answers null: no data", "check its WHERE, and since when it looks")),
        many => {
            let what = format!("the query answers {} numbers", many.len());
            Err(Trouble::new(what, "select one: SELECT percentage(...) or percentile(..., 99)"))
        }
    }
}

/// Numbers and nulls, wherever they are; not the times that NRQL adds of itself.
fn collect_numbers(value: &Value, found: &mut Vec<Option<f64>>) {
    match value {
        Value::Number(n) => found.push(n.as_f64()),
        Value::Null => found.push(None),
        Value::Object(map) => {
            let own = |key: &str| matches!(key, "beginTimeSeconds" | "endTimeSeconds" | "inspectedCount" | "timestamp");
            map.iter().filter(|(key, _)| !own(key)).for_each(|(_, v)| collect_numbers(v, found));
        }
        // More than one number is refused anyway: a histogram need not be walked to its end.
        Value::Array(items) => items.iter().take(100).for_each(|v| collect_numbers(v, found)),
        Value::Bool(_) | Value::String(_) => {}
    }
}

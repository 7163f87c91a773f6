//! Prometheus' HTTP API: instant and range queries (<https://prometheus.io/docs/prometheus/latest/querying/api/>).
//!
//! An unknown metric answers success with an empty vector: that is "no data", never 0.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::MetricValue;
use crate::base::sanitise::visible_text;
use crate::base::{At, Trouble};
use crate::net::form::encode_form;
use crate::net::http::{HttpRequest, RemoteServer, authorize_request};
use crate::plan::metrics::Credentials;

/// Steps of a range at most: Prometheus itself refuses more than 11,000.
const MAX_STEPS: u64 = 10_000;

/// From when to when, and how far apart.
pub(super) struct QueryRange {
    from: At,
    to: At,
    step_ms: u64,
}

impl QueryRange {
    /// A longer one than can be answered begins later.
    pub fn new(from: At, to: At, step_ms: u64) -> Self {
        let step_ms = step_ms.max(1);
        // Its end stays: what is nearest to now is worth most.
        let earliest = At(to.0.saturating_sub_unsigned(step_ms.saturating_mul(MAX_STEPS)));
        Self { from: from.max(earliest), to, step_ms }
    }
}

#[derive(Deserialize)]
struct PrometheusReply {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<VectorSample>),
    Scalar(Point),
    Matrix(Vec<MatrixSeries>),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct VectorSample {
    #[serde(default)]
    metric: serde_json::Map<String, serde_json::Value>,
    value: Option<Point>,
}

#[derive(Deserialize)]
struct MatrixSeries {
    #[serde(default)]
    values: Vec<Point>,
}

/// Seconds since the epoch, and the number as text: JSON has no NaN.
#[derive(Deserialize)]
struct Point(f64, String);

impl Point {
    fn at(&self) -> At {
        #[allow(clippy::cast_possible_truncation)] // saturates: a time beyond all years is old or from the future
        At((self.0 * 1000.0) as i64)
    }

    fn parse_number(&self) -> Result<f64, Trouble> {
        // Prometheus writes NaN, +Inf and -Inf, which Rust reads too
        self.1.parse().map_err(|_| Trouble::new(format!("{:?} is no number", visible_text(&self.1)), ""))
    }
}

/// A name inside a quoted text of `PromQL`, whichever quotes: Go's escapes.
pub(super) fn escape_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\\' | '"' | '\'' | '`' | '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Whether a query calls a function or aggregates: a parenthesis after a word, outside of quoted texts and comments. What a
/// label's value holds (a group may be called `loans(eu)`) and what only groups calls nothing.
pub(super) fn calls_function(query: &str) -> bool {
    let (mut quote, mut comment, mut last) = (None, false, ' ');
    let mut chars = query.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            _ if comment => comment = c != '\n',
            // Go's escapes; a text in backquotes has none.
            (Some('"' | '\''), '\\') => drop(chars.next()),
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => (quote, last) = (Some(c), c),
            (None, '#') => comment = true,
            (None, '(') if last.is_alphanumeric() || last == '_' || last == ':' => return true,
            (None, _) if !c.is_whitespace() => last = c,
            (None, _) => {}
        }
    }
    false
}

pub(super) async fn ask_instant(
    server: &RemoteServer,
    credentials: &Credentials,
    query: &str,
    timeout_ms: u64,
) -> Result<MetricValue, Trouble> {
    let form = encode_form(&[("query", query)]);
    let data = send_query(server, credentials, "/api/v1/query", form, timeout_ms).await?;
    let is_series = matches!(data, Data::Vector(_));
    let point = match data {
        Data::Scalar(point) => point,
        // Which of them is meant is nobody's guess: the first is whichever comes first in its index.
        Data::Vector(found) if found.len() > 1 => {
            let labels = |i: &VectorSample| serde_json::to_string(&i.metric).unwrap_or_default();
            let some: Vec<String> = found.iter().take(2).map(labels).collect();
            return Err(Trouble::new(
                format!("the query answers {} series: {} ...", found.len(), visible_text(&some.join(", "))),
                "aggregate them to one: sum(...), or max(...)",
            ));
        }
        Data::Vector(mut found) => match found.pop().and_then(|i| i.value) {
            Some(point) => point,
            None => {
                let advice =
                    "an unknown metric answers so too: try the query in Prometheus, and check names and labels";
                return Err(Trouble::new("the query answers no series: no data", advice));
            }
        },
        Data::Matrix(_) => {
            return Err(Trouble::new("the query answers a range", "leave out the [5m], or put rate(...) around it"));
        }
        Data::String(_) => return Err(Trouble::new("the query answers a text", "ask for a number")),
    };
    // The answer of a function is made at the moment that was asked about, and has no time of its own.
    let at = match is_series && !calls_function(query) {
        true => ask_sample_time(server, credentials, query, timeout_ms).await?.unwrap_or(point.at()),
        false => point.at(),
    };
    Ok(MetricValue { value: point.parse_number()?, at: Some(at) })
}

/// When the sample that a plain selector answers was taken: the answer's own time is the one that was asked about, and
/// for five minutes a series that has stopped without a staleness marker (federation, times of its own, remote write)
/// goes on with its last sample. `None`: it is no selector.
async fn ask_sample_time(
    server: &RemoteServer,
    credentials: &Credentials,
    query: &str,
    timeout_ms: u64,
) -> Result<Option<At>, Trouble> {
    // On a line of its own: a query may end in a `#` comment, which would swallow the parenthesis.
    let form = encode_form(&[("query", &format!("timestamp(\n{query}\n)"))]);
    match send_query(server, credentials, "/api/v1/query", form, timeout_ms).await {
        Ok(Data::Vector(mut found)) => match found.pop().and_then(|i| i.value) {
            Some(point) => Ok(Some(time_of_seconds(point.parse_number()?))),
            None => Err(Trouble::new("the series ended while it was asked for", "the next look tells")),
        },
        // A query that it does not take is no selector, so there is no such time. Any other failure leaves the age
        // unknown, and an answer without an age must not pass.
        Err(why) if why.advice != super::WRONG_QUERY => Err(why),
        _ => Ok(None),
    }
}

/// A time in seconds, as Prometheus has it.
#[allow(clippy::cast_possible_truncation)] // saturates: a time beyond all years is old or from the future
fn time_of_seconds(time: f64) -> At {
    At((time * 1000.0) as i64)
}

/// A range of which every point rests on a scrape within the step before it. An answer alone does not say so: for five
/// minutes Prometheus goes on with the last sample of a series, when it was down itself or a series carries times of its
/// own. So it is asked for these times too: those of the series, where the query is a plain selector, and those of its
/// own newest scrape of anything (`up`), without which nothing can be believed.
pub(super) async fn ask_past(
    server: &RemoteServer,
    credentials: &Credentials,
    query: &str,
    range: &QueryRange,
    timeout_ms: u64,
) -> Result<Vec<(At, f64)>, Trouble> {
    let asked = async |query: &str| self::ask_range(server, credentials, query, range, timeout_ms).await;
    let points = asked(query).await?;
    if points.is_empty() {
        return Ok(points);
    }
    // `up` is written at each scrape: while Prometheus itself was down it has no new samples.
    let scraped = sample_times(&asked("max(timestamp(up))").await?);
    // of a whole expression this is the time that was asked about; of a number it is an error
    let own = match asked(&format!("timestamp(\n{query}\n)")).await {
        Ok(own) => Some(sample_times(&own)),
        Err(refused) if refused.advice == super::WRONG_QUERY => {
            tracing::debug!(why = %refused.what, "the times of its samples are not known");
            None
        }
        Err(why) => return Err(why),
    };
    // A step that rests on a scrape before it is an old value shown again.
    let young = |at: At, seen: Option<&At>| seen.is_some_and(|seen| at.since(*seen) < range.step_ms);
    let real = |at: At| young(at, scraped.get(&at)) && own.as_ref().is_none_or(|own| young(at, own.get(&at)));
    Ok(points.into_iter().filter(|(at, _)| real(*at)).collect())
}

/// Points whose values are times in seconds, by the moment that was asked about.
fn sample_times(points: &[(At, f64)]) -> BTreeMap<At, At> {
    points.iter().map(|(at, time)| (*at, time_of_seconds(*time))).collect()
}

async fn ask_range(
    server: &RemoteServer,
    credentials: &Credentials,
    query: &str,
    range: &QueryRange,
    timeout_ms: u64,
) -> Result<Vec<(At, f64)>, Trouble> {
    #[allow(clippy::cast_precision_loss)]
    // Milliseconds since 1970 are far below 2^53: nothing is lost.
    let seconds = |ms: i64| format!("{:.3}", ms as f64 / 1000.0);
    let (from, to) = (seconds(range.from.0), seconds(range.to.0));
    let step = seconds(i64::try_from(range.step_ms).unwrap_or(i64::MAX));
    let form = encode_form(&[("query", query), ("start", &from), ("end", &to), ("step", &step)]);
    match send_query(server, credentials, "/api/v1/query_range", form, timeout_ms).await? {
        Data::Matrix(found) if found.len() > 1 => {
            let what = format!("the query answers {} series", found.len());
            Err(Trouble::new(what, "aggregate them to one: sum(...), or max(...)"))
        }
        Data::Matrix(mut found) => {
            let points = found.pop().map(|s| s.values).unwrap_or_default();
            points.iter().map(|p| Ok((p.at(), p.parse_number()?))).collect()
        }
        _ => Err(Trouble::new("a range query answers no range", "check that this is Prometheus' API")),
    }
}

async fn send_query(
    server: &RemoteServer,
    credentials: &Credentials,
    path: &str,
    form: String,
    timeout_ms: u64,
) -> Result<Data, Trouble> {
    let headers = authorize_request(credentials)?;
    // POST: a long query does not fit every proxy's URL, and does not stand in its log.
    let body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
    let answer = server.send(HttpRequest { body, path, headers, timeout_ms, ..HttpRequest::default() }).await?;
    let at = server.visible_address();
    let refused = |why: &str, advice: &str| {
        let status = answer.status;
        Err(Trouble::new(
            format!("{at} answers {status}{}{}", if why.is_empty() { "" } else { ": " }, visible_text(why)),
            advice,
        ))
    };
    match (answer.status, serde_json::from_slice::<PrometheusReply>(&answer.body)) {
        (200, Ok(PrometheusReply { status, data: Some(data), .. })) if status == "success" => Ok(data),
        // Its body is left out: a proxy may repeat what it was sent.
        (401, _) => refused("", "check username and password, or bearer"),
        (403, _) => refused("", "this user may not ask: see the proxy before Prometheus"),
        (300..=399, _) => refused("it sends elsewhere", "name the address it sends to as `url`"),
        // 400 can't be parsed, 422 can't be executed: neither changes by being asked again.
        (400 | 422, Ok(reply)) => refused(&reply.error, super::WRONG_QUERY),
        (_, Ok(reply)) if !reply.error.is_empty() => refused(&reply.error, "see the server's log"),
        _ => refused(
            &answer.visible_excerpt(),
            "check that `url` is the base address of Prometheus' API (before /api/v1)",
        ),
    }
}

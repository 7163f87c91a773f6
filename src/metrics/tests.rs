use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use super::*;
use crate::base::Sides;
use crate::net::http::fake as http;
use crate::plan::metrics::{Credentials, QueryPlan};
use crate::plan::secrets::Secret;

const NOW: At = At(1_700_000_000_000);

fn about(group: &str) -> MetricSubject {
    MetricSubject { group: group.into(), team: "loans".into(), side: Side::Green }
}

fn provider(source: MetricsSource, query: &str, scale: f64) -> MetricsProvider {
    let text = match &source {
        MetricsSource::Command { .. } => query.split(' ').map(str::to_owned).collect(),
        _ => vec![query.to_owned()],
    };
    let plan = MetricsPlan {
        name: "m".into(),
        source,
        queries: [(Metric::P99, QueryPlan { text, scale })].into(),
        every_ms: 15_000,
        timeout_ms: 5_000,
        max_age_ms: 60_000,
        clusters: Sides { blue: "legacy".into(), green: "psc".into() },
    };
    MetricsProvider::from_plan(&plan, "mig")
}

/// Answers one request after the other with these statuses and bodies.
async fn fake(answers: Vec<(u16, String)>) -> (String, Arc<Mutex<Vec<String>>>) {
    http::serve_answers(answers.iter().map(|(status, body)| http::fake_answer(*status, "", body)).collect()).await
}

fn prometheus(url: String, credentials: Credentials) -> MetricsSource {
    MetricsSource::Prometheus { url, credentials, client: BTreeMap::new() }
}

fn new_relic(url: String) -> MetricsSource {
    MetricsSource::NewRelic { url, account: 42, key: Secret::inline("NRAK-secret".into()), client: BTreeMap::new() }
}

async fn prometheus_says(body: &str, status: u16) -> Result<MetricValue, Trouble> {
    let (url, _) = fake(vec![(status, body.to_owned())]).await;
    let p = provider(prometheus(url, Credentials::None), "sum(x)", 1000.0);
    p.ask(Metric::P99, &about("g"), NOW).await
}

/// The answer of a plain selector carries the time of the question; when its sample was taken is asked for.
#[tokio::test]
async fn the_sample_of_a_plain_selector_is_as_old_as_it_is() {
    let vector = |value: &str| {
        let result = format!(r#"{{"metric":{{}},"value":[1699999999.5,"{value}"]}}"#);
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#)
    };
    let refused = r#"{"status":"error","errorType":"bad_data","error":"expected type instant vector"}"#;
    let told = [
        (200, vector("1699999990.5"), "Some(At(1699999990500))"),
        (200, vector("1699999000"), "the series has stopped"),
        (400, refused.to_owned(), "Some(At(1699999999500))"),
        (503, String::new(), "503"),
    ];
    for (status, taken, says) in told {
        let (url, seen) = fake(vec![(200, vector("0.084")), (status, taken)]).await;
        let p = provider(prometheus(url, Credentials::None), "x", 1.0);
        let answer = format!("{:?}", p.ask(Metric::P99, &about("g"), NOW).await);
        assert!(answer.contains(says), "{answer}, and not {says}");
        assert!(seen.lock().unwrap()[1].contains("timestamp%28"), "{:?}", seen.lock().unwrap());
    }
}

/// The template is a plain selector, whatever the group is called.
#[tokio::test]
async fn a_parenthesis_in_a_name_does_not_make_a_stopped_series_fresh() {
    let vector = |value: &str| {
        let result = format!(r#"{{"metric":{{}},"value":[1699999999.5,"{value}"]}}"#);
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#)
    };
    let (url, _) = fake(vec![(200, vector("0.084")), (200, vector("1699999000"))]).await;
    let text = ["lag{group=\"".to_owned(), "loans(eu)\"}".to_owned()].concat();
    let p = provider(prometheus(url, Credentials::None), &text, 1.0);
    let answer = format!("{:?}", p.ask(Metric::P99, &about("loans(eu)"), NOW).await);
    assert!(answer.contains("the series has stopped"), "{answer}");
}

#[test]
fn only_a_call_has_no_sample_time_of_its_own() {
    for call in
        ["sum(x)", "max by (job) (x)", "sum without(a)(x)", "a + on (l) b", "rate (x[5m])", "x{a=\"b\"} * abs(y)"]
    {
        assert!(prometheus::calls_function(call), "{call}");
    }
    let plain =
        ["x", "(x)", "x{g=\"loans(eu)\"}", "x{g='a\\'(b'}", "x{g=`a\\`}", "x # sum(x)", "x{g=\"a\\\"f(\"}", "-(x)"];
    for plain in plain {
        assert!(!prometheus::calls_function(plain), "{plain}");
    }
}

#[test]
fn names_never_become_part_of_a_query() {
    let hostile = "a\"} or vector(0) # 'b` \\ \n";
    let p = provider(prometheus("http://h".into(), Credentials::None), "x{g=\"{group}\",c=\"{cluster}\"}", 1.0);
    let asked = p.describe_question(Metric::P99, &about(hostile)).unwrap();
    assert_eq!(asked, r#"x{g="a\x22} or vector(0) # \x27b\x60 \x5c \x0a",c="psc"}"#);
    let p = provider(new_relic("http://h".into()), "SELECT x WHERE g = '{group}'", 1.0);
    let asked = p.describe_question(Metric::P99, &about("a' OR 1=1 -- \\")).unwrap();
    assert_eq!(asked, r"SELECT x WHERE g = 'a\' OR 1=1 -- \\'");
    let p = provider(MetricsSource::Command { dir: PathBuf::new() }, "ask {group} {side}", 1.0);
    let filled = p.fill_query(Metric::P99, &about("$(reboot); x")).unwrap();
    assert_eq!(filled, ["ask", "$(reboot); x", "green"], "one argument, and no shell");
}

#[tokio::test]
async fn prometheus_answers_one_number_or_says_why_not() {
    let vector =
        |result: &str| format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#);
    let one = |value: &str| vector(&format!(r#"{{"metric":{{}},"value":[1699999999.5,"{value}"]}}"#));
    let ok = prometheus_says(&one("0.084"), 200).await.unwrap();
    assert_eq!((ok.value, ok.at), (84.0, Some(At(1_699_999_999_500))));
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1699999999,"2"]}}"#;
    assert!((prometheus_says(scalar, 200).await.unwrap().value - 2000.0).abs() < 1e-9);
    let wrong = [
        (vector(""), 200, "no data"),
        (one("NaN"), 200, "NaN"),
        (one("+Inf"), 200, "inf"),
        (one("-1"), 200, "negative"),
        (one("0.1").replace("1699999999.5", "1699999000"), 200, "the series has stopped"),
        (vector(r#"{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"1"]}"#), 200, "2 series"),
        (
            r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error: \u001b[31m"}"#.to_owned(),
            400,
            "parse error: ␛[31m",
        ),
        ("no".to_owned(), 401, "answers 401"),
        ("<html>".to_owned(), 200, "<html>"),
        (String::new(), 302, "it sends elsewhere"),
        (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned(), 200, "a range"),
    ];
    for (body, status, says) in wrong {
        let why = prometheus_says(&body, status).await.expect_err(&body);
        assert!(why.what.starts_with("m: ") && why.what.contains(says), "{why:?} for {body}");
        assert!(!why.advice.is_empty(), "{why:?}");
    }
}

#[tokio::test]
async fn credentials_go_where_they_should_and_are_shown_nowhere() {
    let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1699999999,"2"]}}"#;
    let secret = || Secret::inline("hunter2".into());
    let basic = Credentials::Basic { username: "u".into(), password: secret() };
    for (credentials, header) in [(basic, "Basic dTpodW50ZXIy"), (Credentials::Bearer(secret()), "Bearer hunter2")] {
        let (url, seen) = fake(vec![(200, body.to_owned()), (401, "x".into())]).await;
        let p = provider(prometheus(url, credentials), "up + 1", 1.0);
        p.ask(Metric::P99, &about("g"), NOW).await.unwrap();
        let why = p.ask(Metric::P99, &about("g"), NOW).await.unwrap_err();
        assert!(!format!("{why:?} {:?}", p.plan).contains("hunter2"));
        let seen = seen.lock().unwrap();
        assert!(seen[0].starts_with("POST /api/v1/query HTTP/1.1"), "{}", seen[0]);
        assert!(seen[0].contains(&format!("authorization: {header}\r\n")), "{}", seen[0]);
        assert!(seen[0].ends_with("query=up%20%2B%201"), "{}", seen[0]);
    }
}

/// A fake of New Relic, by its documented shapes: the real one can't be had.
#[tokio::test]
async fn new_relic_answers_one_number_or_says_why_not() {
    let results = |rows: &str| format!(r#"{{"data":{{"actor":{{"account":{{"nrql":{{"results":[{rows}]}}}}}}}}}}"#);
    let says = async |status: u16, body: String| {
        let (url, seen) = fake(vec![(status, body)]).await;
        let p = provider(new_relic(url), "SELECT 1", 1.0);
        let answer = p.ask(Metric::P99, &about("g"), NOW).await;
        let seen = seen.lock().unwrap().join("");
        assert!(seen.starts_with("POST /graphql HTTP/1.1") && seen.contains("api-key: NRAK-secret\r\n"), "{seen}");
        assert!(seen.contains(r#""variables":{"a":42,"q":"SELECT 1"}"#), "{seen}");
        answer
    };
    assert_eq!(says(200, results(r#"{"count":1000}"#)).await.unwrap().value, 1000.0);
    assert_eq!(says(200, results(r#"{"percentile.duration":{"99":0.4}}"#)).await.unwrap().value, 0.4);
    let error = |class: &str| {
        format!(
            r#"{{"data":{{"actor":null}},"errors":[{{"message":"NRQL Syntax Error","extensions":{{"errorClass":"{class}"}}}}]}}"#
        )
    };
    let wrong = [
        (200, error("INVALID_INPUT"), "INVALID_INPUT: NRQL Syntax Error"),
        (200, error("TOO_MANY_REQUESTS"), "TOO_MANY_REQUESTS"),
        (200, results(""), "no rows"),
        (200, results(r#"{"percentage":null}"#), "null"),
        (200, results(r#"{"a":1,"b":2}"#), "2 numbers"),
        (200, results(r#"{"a":1},{"a":2}"#), "2 rows"),
        (200, r#"{"data":{"actor":{"account":null}}}"#.to_owned(), "no results"),
        (401, "{}".to_owned(), "answers 401"),
        (503, "busy".to_owned(), "answers 503: busy"),
    ];
    for (status, body, part) in wrong {
        let why = says(status, body).await.unwrap_err();
        assert!(why.what.contains(part), "{why:?}");
        assert!(!why.advice.is_empty() && !why.what.contains("NRAK"), "{why:?}");
    }
}

#[tokio::test]
async fn a_command_prints_a_number() {
    let ask = async |line: &str| {
        let p = provider(MetricsSource::Command { dir: PathBuf::from("/") }, line, 1.0);
        p.ask(Metric::P99, &about("g"), NOW).await
    };
    assert_eq!(ask("echo 84.5").await.unwrap().value, 84.5);
    for (line, says) in [("echo many", "no number"), ("true", "printed nothing"), ("false", "m: "), ("echo NaN", "NaN")]
    {
        let why = ask(line).await.unwrap_err();
        assert!(why.what.contains(says), "{why:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_never_answers_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut p = provider(prometheus(url, Credentials::None), "x", 1.0);
    p.plan.timeout_ms = 200;
    let why = p.ask(Metric::P99, &about("g"), NOW).await.unwrap_err();
    assert!(why.what.contains("no answer within"), "{why:?}");
    let p = provider(prometheus("http://127.0.0.1:1".into(), Credentials::None), "x", 1.0);
    assert!(p.ask(Metric::P99, &about("g"), NOW).await.unwrap_err().what.contains("can't connect"));
    let p = provider(prometheus("ftp://h".into(), Credentials::None), "x", 1.0);
    assert!(p.ask(Metric::P99, &about("g"), NOW).await.unwrap_err().what.contains("neither http nor https"));
}

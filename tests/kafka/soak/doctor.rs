//! `cutover doctor` on two real clusters and a real Prometheus.

use serde_json::Value;

use super::rig::write_plan;
use crate::support::kafka::{consumer, create_topic, pair};
use crate::support::prometheus::Prometheus;
use crate::support::unique;
use crate::watch::cutover;

/// The only check whose words begin so.
fn check<'a>(report: &'a Value, what: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("checks");
    let all: Vec<&Value> = checks.iter().filter(|c| c["what"].as_str().is_some_and(|w| w.starts_with(what))).collect();
    assert_eq!(all.len(), 1, "{what}: {report:#}");
    all[0]
}

#[test]
fn it_shows_what_each_query_answers_and_names_the_wrong_one() {
    let (pair, topic, group) = (pair(), unique("asked"), unique("loan-audit"));
    for broker in [&pair.blue, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
    }
    let member = consumer(&pair.blue, &group, &[]);
    rdkafka::consumer::Consumer::subscribe(&member, &[&topic]).unwrap();
    let prometheus = Prometheus::start(None);
    let said = format!(
        "failed{{group=\"{group}\",kafka=\"legacy\"}} 0.00002\nfailed{{group=\"{group}\",kafka=\"psc\"}} 0.00003\n\
         seconds{{group=\"{group}\",kafka=\"legacy\"}} 0.084\n"
    );
    prometheus.export(&said);
    let dir = tempfile::tempdir().unwrap();
    let plan = |p99: &str| {
        let more = format!(
            "[[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n[metrics.prom]\nprovider = \"prometheus\"\nurl = {:?}\n\
             [metrics.prom.queries]\nerror_rate = 'failed{{group=\"{{group}}\",kafka=\"{{cluster}}\"}}'\n\
             p99 = {{ query = '{p99}', unit = \"s\" }}\n",
            prometheus.url
        );
        write_plan(dir.path(), &more);
    };
    let examined = || {
        let (code, out, err) = cutover(dir.path(), &["doctor", "--json"]);
        (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
    };
    // What the exporter says comes with the next scrape, and the member with its join.
    let until = |what: &str, done: &dyn Fn(&Value) -> bool| {
        let until = std::time::Instant::now() + super::rig::SOON;
        loop {
            let _ = rdkafka::consumer::BaseConsumer::poll(&member, std::time::Duration::from_millis(100));
            let (code, report) = examined();
            if done(&report) {
                return (code, report);
            }
            assert!(std::time::Instant::now() < until, "{what}: {report:#}");
        }
    };

    // Before the cutover nobody knows its latency on green: that is not well, and says what was asked.
    let p99 = "seconds{group=\"{group}\",kafka=\"{cluster}\"}";
    plan(p99);
    let on_blue = format!("p99 of {group} on blue");
    let (code, report) = until("an answer, and a member", &|r| {
        check(r, &on_blue)["health"] == "ok" && check(r, &format!("group {group} on blue"))["health"] == "ok"
    });
    assert_eq!((code, &report["ok"]), (Some(4), &Value::Bool(false)));
    assert_eq!(check(&report, &on_blue)["found"], "84ms");
    assert_eq!(check(&report, &format!("error_rate of {group} on blue"))["found"], "0.002%");
    assert_eq!(check(&report, &format!("error_rate of {group} on green"))["found"], "0.003%");
    let green = check(&report, &format!("p99 of {group} on green"));
    assert_eq!(green["health"], "unknown");
    let asked = format!("asked: seconds{{group=\"{group}\",kafka=\"psc\"}}");
    assert!(green["found"].as_str().unwrap().ends_with(&asked), "{green}");

    // Once it answers everywhere, all is well.
    prometheus.export(&format!("{said}seconds{{group=\"{group}\",kafka=\"psc\"}} 0.086\n"));
    let (code, report) = until("every answer", &|r| r["ok"] == true);
    assert_eq!(code, Some(0));
    assert_eq!(check(&report, &format!("p99 of {group} on green"))["found"], "86ms");
    assert_eq!(check(&report, "clock of prom")["health"], "ok");

    // A query that Prometheus does not take is named, with what it says; the other one still answers.
    plan("sum(seconds{group=\"{group}\"}");
    let (code, report) = examined();
    assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    for side in ["blue", "green"] {
        let wrong = check(&report, &format!("p99 of {group} on {side}"));
        let found = wrong["found"].as_str().unwrap();
        assert_eq!(wrong["health"], "fail");
        assert!(found.contains("parse error") && found.contains("asked: sum(seconds"), "{wrong}");
        assert_eq!(check(&report, &format!("error_rate of {group} on {side}"))["health"], "ok");
    }
    let (code, out, _) = cutover(dir.path(), &["doctor"]);
    assert!(code == Some(1) && out.contains("FAIL") && out.contains("parse error"), "{out}");
}

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::base::At;
use crate::migration::facts::notice::Severity;
use crate::migration::soak::criteria::Metric;
use crate::migration::tell::notifications::{NotificationEvent, NotificationTopic};
use crate::net::http::fake::{fake_answer, serve_answers};
use crate::plan::notify::PLACEHOLDERS;

const AT: At = At(1_764_000_000_123);

/// A plan with one target, and two groups of two teams.
fn target(section: &str) -> NotifyTarget {
    let text = format!(
        "[migration]\nname = \"loans\"\n[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n\
         [[groups]]\nname = \"loan-audit\"\nteam = \"loans\"\n[[groups]]\nname = \"card-risk\"\nteam = \"cards\"\n\
         [[producers]]\nname = \"ledger\"\nteam = \"loans\"\ntopics = [\"t\"]\n[notify.ops]\n{section}\n"
    );
    let plan = Plan::parse(&text, Path::new("x.toml")).unwrap_or_else(|p| panic!("{p}\n{text}")).plan;
    list_targets(&plan).remove(0)
}

fn webhook(url: &str, more: &str) -> NotifyTarget {
    target(&format!("kind = \"webhook\"\nurl = \"{url}\"\ntimeout = \"1m\"\n{more}"))
}

fn news(what: &str) -> Notification {
    Notification {
        seq: 41,
        topics: vec![NotificationTopic::Gate],
        event: NotificationEvent::GateFailed,
        severity: Severity::Fail,
        subject: Subject::Group("loan-audit".into()),
        what: what.into(),
        advice: "look at it".into(),
        run: Some(7),
        stage: Some("soaking".into()),
        metric: Some(Metric::Lag),
        key: "gate/loan-audit/lag".into(),
        ..Notification::test(AT, "controller")
    }
}

fn message(what: &str) -> Message {
    Message { news: news(what), missed: 2 }
}

#[test]
fn the_payload_is_what_the_documentation_says() {
    let target = webhook("http://h/x", "");
    let body: Value = serde_json::from_str(&target.preview_body(&message("lag 130\u{202e}\u{1b}[2J"))).unwrap();
    let expected = json!({
        "schema": 1, "id": "loans#41", "event": "gate_failed", "severity": "critical", "action": "trigger",
        "key": "loans/gate/loan-audit/lag", "migration": "loans", "subject": "group loan-audit",
        "group": "loan-audit", "producer": null, "team": "loans", "what": "lag 130\\u{202e}␛[2J",
        "advice": "look at it", "actor": "controller", "at": "2025-11-24T16:00:00.123Z", "at_ms": 1_764_000_000_123_i64,
        "run": 7, "stage": "soaking", "trigger": null, "metric": "lag", "journal_seq": 41, "missed": 2,
    });
    assert_eq!(body, expected);
    let docs = include_str!("../../docs/notify.md");
    for key in body.as_object().unwrap().keys() {
        assert!(docs.contains(&format!("`{key}`")), "docs/notify.md says nothing of {key}");
    }
}

#[test]
fn every_placeholder_stands_for_something_and_the_documentation_names_it() {
    let docs = include_str!("../../docs/notify.md");
    for word in PLACEHOLDERS {
        let target = webhook("http://h/x", &format!("content_type = \"text/plain\"\ntemplate = '<{{{word}}}>'"));
        let body = target.preview_body(&message("w"));
        assert!(!body.contains('{'), "{word}: {body}");
        assert!(docs.contains(&format!("`{word}`")), "docs/notify.md says nothing of {word}");
    }
}

#[test]
fn the_plans_in_the_documentation_load() {
    let docs = include_str!("../../docs/notify.md");
    let mut seen = 0;
    for block in docs.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let text = format!(
            "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n\
             [[groups]]\nname = \"loan-ledger\"\nteam = \"loans\"\nswitch = {{ provider = \"manual\" }}\n{block}"
        );
        let loaded = Plan::parse(&text, Path::new("docs.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(loaded.warnings, [], "{text}");
        for target in list_targets(&loaded.plan) {
            let body = target.preview_body(&message("hostile \"}\\ <!channel>"));
            if target.plan().content_type.contains("json") {
                serde_json::from_str::<Value>(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn slack_pings_nobody_and_takes_any_length() {
    let slack = target("kind = \"slack\"\nurl = { env = \"SLACK\" }");
    let hostile = Message {
        news: Notification { subject: Subject::Group("<!channel>&<@U1>".into()), ..news("<!here>") },
        missed: 1,
    };
    let body = slack.preview_body(&hostile);
    for ping in ["<!", "<@", "<http"] {
        assert!(!body.contains(ping), "{body}");
    }
    let value: Value = serde_json::from_str(&body).unwrap();
    let section = value["blocks"][0]["text"]["text"].as_str().unwrap();
    assert_eq!(
        section,
        ":red_circle: *gate failed* · *group &lt;!channel&gt;&amp;&lt;@U1&gt;*\n&lt;!here&gt;\n→ look at it"
    );
    assert!(value["blocks"][1]["elements"][0]["text"].as_str().unwrap().contains("1 before it were not delivered"));
    assert_eq!(value["blocks"][0]["text"]["verbatim"], true);
    let long = Message { news: Notification { advice: "&".repeat(9_000), ..news(&"<".repeat(9_000)) }, missed: 0 };
    let value: Value = serde_json::from_str(&slack.preview_body(&long)).unwrap();
    let section = value["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(section.chars().count() <= 3_000, "{}", section.chars().count());
    let whole = section.replace("&lt;", "").replace("&amp;", "");
    assert!(!whole.contains('&'), "an entity was cut: {whole}");
}

#[test]
fn who_is_told_is_who_asked() {
    let of = |more: &str| webhook("http://h/x", more);
    let about =
        |subject: Subject, topics: &[NotificationTopic]| Notification { subject, topics: topics.to_vec(), ..news("w") };
    let audit = about(Subject::Group("loan-audit".into()), &[NotificationTopic::Run, NotificationTopic::Stage]);
    let risk = about(Subject::Group("card-risk".into()), &[NotificationTopic::Run]);
    let ledger = about(Subject::Producer("ledger".into()), &[NotificationTopic::Alarm]);
    let all = about(Subject::Migration, &[NotificationTopic::Phase]);
    let opened = about(Subject::Migration, &[NotificationTopic::Controller]);
    let wants = |target: &NotifyTarget| [&audit, &risk, &ledger, &all, &opened].map(|n| target.wants(n));
    assert_eq!(wants(&of("")), [true, true, true, true, false]);
    assert_eq!(wants(&of("on = [\"stage\", \"controller\"]")), [true, false, false, false, true]);
    assert_eq!(wants(&of("teams = [\"loans\"]")), [true, false, true, true, false]);
    assert_eq!(wants(&of("groups = [\"card-risk\"]")), [false, true, false, true, false]);
    assert_eq!(wants(&of("teams = [\"loans\"]\ngroups = [\"card-risk\"]")), [true, true, true, true, false]);
}

#[tokio::test]
async fn what_is_sent_is_what_the_plan_says() {
    let (url, seen) = serve_answers(vec![fake_answer(202, "", ""), fake_answer(200, "", &"x".repeat(100_000))]).await;
    let target = webhook(
        &format!("{url}/hook/abc?t=1"),
        "method = \"PUT\"\ncontent_type = \"text/plain\"\ntemplate = '{what} {missed}'\nheaders = { x-team = \"loans\" }",
    );
    assert_eq!(target.send(&message("w")).await.unwrap(), 202);
    assert_eq!(target.send(&message("w")).await.unwrap(), 200, "a long answer is not read to its end");
    let request = seen.lock().unwrap()[0].clone();
    assert!(request.starts_with("PUT /hook/abc?t=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-team: loans\r\n") && request.contains("content-type: text/plain\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nw 2"), "{request}");
}

#[tokio::test]
async fn what_may_be_tried_again_and_when() {
    let cases = [
        (fake_answer(500, "", "oops"), Retry::Later(None), "answers 500: oops"),
        (fake_answer(429, "retry-after: 30\r\n", ""), Retry::Later(Some(30_000)), "fewer messages"),
        (fake_answer(503, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", ""), Retry::Later(None), "answers 503"),
        (fake_answer(408, "", ""), Retry::Later(None), "answers 408"),
        (fake_answer(400, "", "invalid_payload"), Retry::Never, "answers 400: invalid_payload"),
        (fake_answer(404, "", "no_service"), Retry::Never, "the webhook is gone"),
        (fake_answer(302, "location: http://evil/\r\n", ""), Retry::Never, "is not followed"),
        ("nonsense\r\n\r\n".to_owned(), Retry::Later(None), "the exchange broke off"),
        (String::new(), Retry::Later(None), "the exchange broke off"),
    ];
    for (text, again, said) in cases {
        let (url, _) = serve_answers(vec![text]).await;
        let not_sent = webhook(&format!("{url}/hook"), "").send(&message("w")).await.unwrap_err();
        let all = format!("{} {}", not_sent.trouble.what, not_sent.trouble.advice);
        assert!(all.contains(said) && not_sent.again == again, "{again:?} {said}: {not_sent:?}");
        assert!(all.starts_with("notify.ops: 127.0.0.1:"), "{all}");
    }
    let pauses: Vec<_> = (1..7).map(|tries| Retry::Later(None).pause_ms(tries).unwrap()).collect();
    assert_eq!(pauses, [1_000, 5_000, 25_000, 60_000, 60_000, 60_000]);
    assert_eq!(Retry::Later(Some(30_000)).pause_ms(1), Some(30_000));
    assert_eq!(Retry::Later(Some(u64::MAX)).pause_ms(1), Some(120_000), "bounded");
    assert_eq!(Retry::Later(Some(0)).pause_ms(2), Some(5_000));
    assert_eq!(Retry::Never.pause_ms(1), None);
}

#[tokio::test]
async fn no_error_shows_the_address_or_a_header() {
    let echo = |body: &str| vec![fake_answer(404, "", body)];
    let (url, _) = serve_answers(echo("Cannot POST /services/T0SECRET/B0")).await;
    let target = webhook(&format!("{url}/services/T0SECRET/B0"), "");
    let said = target.send(&message("w")).await.unwrap_err().trouble;
    assert!(said.what.contains("404: Cannot POST (hidden)") && !said.what.contains("T0SECRET"), "{said:?}");
    let (url, _) = serve_answers(echo("bad token: hunter22")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "hunter22\n").unwrap();
    let headers = format!("headers = {{ authorization = {{ file = {file:?} }} }}");
    let said = webhook(&format!("{url}/x"), &headers).send(&message("w")).await.unwrap_err().trouble;
    assert!(!said.what.contains("hunter22"), "{said:?}");
    let (url, seen) = serve_answers(echo("no such key: hunter22")).await;
    let values = format!("values = {{ routing = {{ file = {file:?} }} }}\ntemplate = '[\"{{routing}}\"]'");
    let keyed = webhook(&format!("{url}/x"), &values);
    let said = keyed.send(&message("w")).await.unwrap_err().trouble;
    assert!(!said.what.contains("hunter22"), "{said:?}");
    assert!(seen.lock().unwrap()[0].ends_with("[\"hunter22\"]"), "it is sent");
    assert_eq!(keyed.preview_body(&message("w")), "[\"(hidden)\"]", "and not shown");
    // nobody listens on port 1
    let gone = webhook("http://127.0.0.1:1/services/T0SECRET", "");
    let said = gone.send(&message("w")).await.unwrap_err();
    assert!(said.trouble.what.contains("can't connect") && !format!("{said:?}").contains("T0SECRET"), "{said:?}");
    assert_eq!(said.again, Retry::Later(None));
    assert!(!format!("{:?}", gone.try_connect().await).contains("T0SECRET"));
    let unset = target_of_variable();
    let said = unset.send(&message("w")).await.unwrap_err().trouble.what;
    assert_eq!(said, "notify.ops: url: the environment variable CUTOVER_TEST_NO_SUCH is not set");
}

fn target_of_variable() -> NotifyTarget {
    target("kind = \"slack\"\nurl = { env = \"CUTOVER_TEST_NO_SUCH\" }")
}

#[tokio::test]
async fn a_secret_that_was_changed_is_read_again_after_a_refusal() {
    let (url, seen) = serve_answers(vec![fake_answer(403, "", ""), fake_answer(200, "", "ok")]).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    std::fs::write(&file, format!("{url}/old\n")).unwrap();
    let target = target(&format!("kind = \"slack\"\nurl = {{ file = {file:?} }}"));
    assert_eq!(target.send(&message("w")).await.unwrap_err().again, Retry::Never);
    std::fs::write(&file, format!("{url}/new\n")).unwrap();
    assert_eq!(target.send(&message("w")).await.unwrap(), 200);
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("POST /old ") && seen[1].starts_with("POST /new "), "{seen:?}");
}

#[tokio::test]
async fn one_that_never_answers_costs_no_more_than_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let target = target(&format!("kind = \"webhook\"\nurl = \"{url}\"\ntimeout = \"200ms\""));
    let sent = tokio::time::timeout(Duration::from_secs(60), target.send(&message("w"))).await.unwrap();
    assert!(sent.unwrap_err().trouble.what.contains("no answer within 200ms"));
    let patient = webhook(&url, "");
    assert!(patient.try_connect().await.unwrap().starts_with("127.0.0.1:"), "it can be connected to");
}

#[test]
fn a_hostile_name_drives_nothing_and_is_told_apart() {
    let evil = "g\u{1b}]0;x\u{7}\r\n\u{9b}\u{202e}\u{200d}\u{200b}\u{7f} ";
    let mut keys = std::collections::BTreeSet::new();
    let slack = target("kind = \"slack\"\nurl = \"http://h/x\"\ntimeout = \"1m\"\n");
    for of in [&webhook("http://h/x", ""), &slack] {
        for name in [evil, "g", "g ", "g\u{200b}", "g\\u{200b}", "g\u{430}", "ga"] {
            let mut message = message(evil);
            message.news.subject = Subject::Group(name.to_owned());
            message.news.key = format!("gate/{name}/lag");
            (message.news.advice, message.news.actor) = (evil.to_owned(), evil.to_owned());
            let body = of.preview_body(&message);
            assert!(body.bytes().all(|b| (0x20..0x7f).contains(&b)), "{body:?}");
            let value: Value = serde_json::from_str(&body).unwrap();
            let clean = |text: &str| text.split('\n').all(crate::base::sanitise::is_clean);
            assert!(["text", "group", "what"].iter().all(|k| clean(value[k].as_str().unwrap_or_default())), "{body}");
            keys.insert(value["key"].as_str().map(str::to_owned));
        }
    }
    assert_eq!(keys.len(), 8, "a key each, and none of Slack's: {keys:?}");
}

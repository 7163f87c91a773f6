//! Metric providers against the real Prometheus.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cutover::base::{At, Side, Trouble};
use cutover::controller::Controller;
use cutover::metrics::{MetricSubject, MetricValue, MetricsProvider};
use cutover::migration::soak::criteria::Metric;
use cutover::plan::Plan;
use cutover::session::clock::Clock;
use cutover::session::options::{Options, Want};
use cutover::snapshot::{Baseline, BaselineFrom};

use crate::control_secure::certificate;
use crate::support::prometheus::Prometheus;

/// How long a scrape may take to show; 500 ms apart on a quiet machine.
const WITHIN: Duration = Duration::from_secs(240);
/// A group id that would end a quoted text, and a comment.
const GROUP: &str = "loan\"} or vector(7) # 'x' \\";

fn provider(url: &str, keys: &str, queries: &str) -> MetricsProvider {
    let text = format!(
        "[clusters.blue]\nbootstrap = \"b:1\"\nname = \"legacy\"\n[clusters.green]\nbootstrap = \"g:1\"\n\
         [metrics.prom]\nprovider = \"prometheus\"\nurl = \"{url}\"\n{keys}\n[metrics.prom.queries]\n{queries}\n"
    );
    let loaded = Plan::parse(&text, Path::new("/tmp/cutover.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    MetricsProvider::from_plan(&loaded.plan.metrics[0], "mig")
}

fn about(side: Side) -> MetricSubject {
    MetricSubject { group: GROUP.into(), team: "t".into(), side }
}

async fn ask(p: &MetricsProvider, metric: Metric, side: Side) -> Result<MetricValue, Trouble> {
    p.ask(metric, &about(side), Clock.now()).await
}

/// Asks until the answer is as wanted: what the exporter says comes with the next scrape.
async fn until(
    p: &MetricsProvider,
    side: Side,
    wanted: impl Fn(&Result<MetricValue, Trouble>) -> bool,
) -> Result<MetricValue, Trouble> {
    let begun = Instant::now();
    loop {
        let answer = ask(p, Metric::ErrorRate, side).await;
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < WITHIN, "it stays {answer:?}");
        tokio::task::yield_now().await;
        Clock.sleep(100).await;
    }
}

/// A label value in the exporter's text format.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_asked_and_believed_only_where_it_knows() {
    let prometheus = Prometheus::start(None);
    let p = provider(
        &prometheus.url,
        "",
        r#"error_rate = 'failed{group="{group}",kafka="{cluster}"}'
           p99 = { query = "seconds{group='{group}'}", unit = "s" }"#,
    );
    let name = label(GROUP);
    prometheus.export(&format!(
        "failed{{group=\"{name}\",kafka=\"legacy\"}} 0.25\nfailed{{group=\"{name}\",kafka=\"green\"}} 0.0002\n\
         seconds{{group=\"{name}\",pod=\"1\"}} 0.084\n"
    ));
    let seen = until(&p, Side::Green, Result::is_ok).await.unwrap();
    assert!((seen.value - 0.0002).abs() < 1e-12, "{seen:?}");
    assert!((ask(&p, Metric::ErrorRate, Side::Blue).await.unwrap().value - 0.25).abs() < 1e-12, "another cluster");
    assert!((ask(&p, Metric::P99, Side::Green).await.unwrap().value - 84.0).abs() < 1e-9, "seconds become ms");
    println!(
        "prometheus answers {} for {}",
        seen.value,
        p.describe_question(Metric::ErrorRate, &about(Side::Green)).unwrap()
    );

    // the past
    let now = Clock.now();
    let past = p.ask_series(Metric::ErrorRate, &about(Side::Green), (At(now.0 - 60_000), now), 500).await.unwrap();
    assert!(past.iter().any(|(_, v)| (*v - 0.0002).abs() < 1e-12), "{past:?}");

    // two series are no number
    prometheus.export(&format!(
        "seconds{{group=\"{name}\",pod=\"1\"}} 0.084\nseconds{{group=\"{name}\",pod=\"2\"}} 0.084\nfailed{{group=\"{name}\",kafka=\"green\"}} NaN\n"
    ));
    let nan = until(&p, Side::Green, |a| a.as_ref().is_err_and(|t| t.what.contains("NaN"))).await.unwrap_err();
    println!("{nan}");
    let two = ask(&p, Metric::P99, Side::Green).await.unwrap_err();
    assert!(two.what.contains("2 series"), "{two:?}");
    // a series that is gone is no data at once, not its last value for five minutes
    let gone = until(&p, Side::Blue, Result::is_err).await.unwrap_err();
    assert!(gone.what.contains("no data"), "{gone:?}");
    // a series with times of its own leaves no marker when it stops: its last sample is as old as it is
    let stopped = provider(&prometheus.url, "max_age = \"20s\"", "error_rate = 'federated'");
    prometheus.export(&format!("federated 0.5 {}\n", Clock.now().0 - 60_000));
    let old =
        until(&stopped, Side::Blue, |a| a.as_ref().is_err_and(|t| t.what.contains("has stopped"))).await.unwrap_err();
    println!("{old}");
    // an exporter that is gone
    prometheus.export("");
    let gone = until(&p, Side::Green, |a| a.as_ref().is_err_and(|t| t.what.contains("no data"))).await.unwrap_err();
    println!("{gone}");
    // and what Prometheus refuses
    let wrong = provider(&prometheus.url, "", "error_rate = 'sum(rate(failed)'");
    let refused = ask(&wrong, Metric::ErrorRate, Side::Blue).await.unwrap_err();
    assert!(refused.what.contains("answers 400") && refused.what.contains("parse error"), "{refused:?}");
    println!("{refused}");
    let range = provider(&prometheus.url, "", "error_rate = 'failed[5m]'");
    assert!(ask(&range, Metric::ErrorRate, Side::Blue).await.unwrap_err().what.contains("a range"));
    let lost = provider(&format!("{}/nowhere", prometheus.url), "", "error_rate = 'failed'");
    assert!(ask(&lost, Metric::ErrorRate, Side::Blue).await.unwrap_err().what.contains("answers 404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_behind_tls_and_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: Vec<u8>| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (ca, ca_key) = certificate("cutover test CA", None);
    let (server, key) = certificate("prometheus", Some((&ca, &ca_key)));
    let ca = write("ca.pem", ca.to_pem().unwrap());
    let cert = write("cert.pem", server.to_pem().unwrap());
    let key = write("key.pem", key.private_key_to_pem_pkcs8().unwrap());
    // the password is hunter2
    let hash = "$2b$04$9ZR3SVjAgp//7oXhCPIhOu/EN7o01di8FnFXkhUxCz6x2e6cXoxee";
    let web = format!(
        "tls_server_config: {{ cert_file: {}, key_file: {} }}\nbasic_auth_users: {{ app: '{hash}' }}\n",
        cert.display(),
        key.display()
    );
    let prometheus = Prometheus::start(Some(&web));
    prometheus.export("failed 0.5\n");
    let (good, bad) = (write("good", b"hunter2\n".to_vec()), write("bad", b"hunter3".to_vec()));
    let keys = |password: &Path| {
        let client = format!("client = {{ \"ssl.ca.location\" = {:?} }}", ca.display().to_string());
        format!("username = \"app\"\npassword = {{ file = {:?} }}\n{client}", password.display().to_string())
    };
    let query = "error_rate = 'failed'";
    let p = provider(&prometheus.url, &keys(&good), query);
    let seen = until(&p, Side::Blue, Result::is_ok).await.unwrap();
    assert!((seen.value - 0.5).abs() < 1e-12);
    let refused = ask(&provider(&prometheus.url, &keys(&bad), query), Metric::ErrorRate, Side::Blue).await.unwrap_err();
    assert!(refused.what.contains("answers 401") && !format!("{refused:?}").contains("hunter"), "{refused:?}");
    let untrusted = provider(&prometheus.url, "", query);
    let untrusted = ask(&untrusted, Metric::ErrorRate, Side::Blue).await.unwrap_err();
    assert!(untrusted.what.contains("not signed by a CA that is trusted here"), "{untrusted:?}");
    let plain = provider(&prometheus.url.replace("https", "http"), "", query);
    assert!(ask(&plain, Metric::ErrorRate, Side::Blue).await.is_err());
    println!("over TLS as app: {}; {refused}; {untrusted}", seen.value);
}

/// An hour of scrapes every 15 s up to `now`, 84 ms each; between 30 and 20 minutes ago nothing was scraped at all.
fn an_hour(now: At) -> String {
    let times: Vec<i64> = (0..=240).map(|i| now.0 - 3_600_000 + i * 15_000).collect();
    let scraped = |at: &&i64| !(now.0 - 1_800_000..now.0 - 1_200_000).contains(*at);
    let mut text = String::from("# TYPE up gauge\n");
    for at in times.iter().filter(scraped) {
        text += &format!("up{{job=\"app\",instance=\"a:1\"}} 1 {}.{:03}\n", at / 1_000, at % 1_000);
    }
    text += "# TYPE p99_seconds gauge\n";
    for at in times.iter().filter(scraped) {
        let labels = "job=\"app\",instance=\"a:1\",group=\"ledger\",kafka=\"legacy\"";
        text += &format!("p99_seconds{{{labels}}} 0.084 {}.{:03}\n", at / 1_000, at % 1_000);
    }
    text + "# EOF\n"
}

/// The past, once Prometheus has read its blocks: before that it answers 503.
async fn known(p: &MetricsProvider, about: &MetricSubject, range: (At, At)) -> Vec<(At, f64)> {
    let begun = Instant::now();
    loop {
        match p.ask_series(Metric::P99, about, range, 15_000).await {
            Ok(past) => return past,
            Err(why) => assert!(begun.elapsed() < WITHIN, "it stays {why}"),
        }
        Clock.sleep(100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_what_was_scraped_then_and_a_baseline_is_made_of_it() {
    let begun = Clock.now();
    let prometheus = tokio::task::block_in_place(|| Prometheus::start_with_past(&an_hour(begun)));
    let about = MetricSubject { group: "ledger".into(), team: "t".into(), side: Side::Blue };
    let hole = (begun.0 - 1_800_000, begun.0 - 1_200_000);
    for query in ["p99_seconds{group=\"{group}\"}", "sum(p99_seconds{group=\"{group}\"})"] {
        let p = provider(&prometheus.url, "", &format!("p99 = {{ query = '{query}', unit = \"s\" }}"));
        let past = known(&p, &about, (At(begun.0 - 3_600_000), begun)).await;
        assert!(past.iter().all(|(_, v)| (*v - 84.0).abs() < 1e-9) && past.is_sorted_by_key(|(at, _)| *at), "{past:?}");
        // Prometheus by itself goes on with the last sample for five minutes: 20 points that nobody measured
        let made_up = past.iter().filter(|(at, _)| at.0 >= hole.0 && at.0 < hole.1).count();
        println!("{query}: {} points, {made_up} in the hole", past.len());
        assert!((199..=202).contains(&past.len()) && made_up <= 1, "{} points, {made_up} in the hole", past.len());
    }

    // A controller that has just started knows the hour: it is asked for once, whatever `every` says.
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[migration]\nname = \"past\"\n[clusters.blue]\nbootstrap = \"127.0.0.1:1\"\nname = \"legacy\"\n[clusters.green]\n\
         bootstrap = \"127.0.0.1:2\"\n[defaults]\nsample_gap = \"2h\"\n[[groups]]\nname = \"ledger\"\n[metrics.prom]\nevery = \"15s\"\n\
         provider = \"prometheus\"\nurl = \"{}\"\n[metrics.prom.queries]\n\
         p99 = {{ query = 'p99_seconds{{group=\"{{group}}\",kafka=\"{{cluster}}\"}}', unit = \"s\" }}\n",
        prometheus.url
    );
    std::fs::write(dir.path().join("cutover.toml"), text).unwrap();
    let plan = Plan::load(&dir.path().join("cutover.toml")).unwrap_or_else(|p| panic!("{p}")).plan;
    let mut handle = Controller::start(plan, Options::new(Want::Armed, "ada@bastion"));
    let whole = |b: &Baseline| matches!(b.from, BaselineFrom::Measured { samples, .. } if samples >= 100);
    let known = handle.snapshots.wait_for(|s| s.groups.first().is_some_and(|g| g.baselines.iter().any(whole)));
    let known = tokio::time::timeout(Duration::from_secs(240), known).await.expect("a baseline").unwrap().clone();
    let baseline = &known.groups[0].baselines[0];
    println!("after {} ms: {}", Clock.now().since(begun), baseline.describe_baseline());
    assert!((baseline.value - 84.0).abs() < 1e-9, "{baseline:?}");
    let BaselineFrom::Measured { samples, over_ms } = baseline.from else { panic!("{baseline:?}") };
    // an hour back from when it asked; a machine that is slow loses a few of the oldest
    assert!((100..=202).contains(&samples) && over_ms > 1_800_000, "{baseline:?}");
    handle.shutdown().await;
}

//! The controller's page of metrics, scraped by the real Prometheus: what it answers is what Kafka's own tool says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use cutover::base::{Side, Trouble};
use cutover::metrics::{MetricSubject, MetricsProvider};
use cutover::migration::soak::criteria::Metric;
use cutover::plan::Plan;
use cutover::session::clock::Clock;
use rdkafka::producer::{BaseRecord, Producer as _};
use rustix::process::Signal;

use crate::exposition::{Page, parse};
use crate::support::kafka::admin::block_on;
use crate::support::kafka::{Broker, commit_offsets, create_topic, pair, producer, tool};
use crate::support::prometheus::{Prometheus, lint, lint_rules};
use crate::support::unique;
use crate::watch::{Watch, cutover};

const WITHIN: Duration = Duration::from_secs(120);
const GROUPS_TOOL: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

fn write(broker: &Broker, topic: &str, records: usize) {
    let writer = producer(broker, &[]);
    for i in 0..records {
        let payload = format!("record {i}");
        let record: BaseRecord<'_, (), String> =
            BaseRecord::to(topic).partition(i32::from(i % 2 == 1)).payload(&payload);
        writer.send(record).map_err(|(e, _)| e).unwrap();
    }
    writer.flush(WITHIN).unwrap();
}

/// The lag that Kafka's own tool shows.
fn lag_by_kafka(broker: &Broker, group: &str, topic: &str) -> u64 {
    let said = tool(GROUPS_TOOL, &["--bootstrap-server", &broker.bootstrap, "--describe", "--group", group]);
    println!("{said}");
    // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...; the group's name has blanks in it
    let lag = |line: &str| line.split(topic).nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok();
    said.lines().filter_map(lag).sum()
}

fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The page, once it is as wanted.
fn page(address: &str, what: &str, wanted: impl Fn(&Page) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let (_, text) = get(address, "/metrics");
        let page = parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
        if wanted(&page) {
            return text;
        }
        assert!(begun.elapsed() < WITHIN, "waited for {what}:\n{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What Prometheus answers about a group, once it is as wanted.
fn asked(
    prometheus: &MetricsProvider,
    group: &str,
    wanted: impl Fn(&Result<f64, Trouble>) -> bool,
) -> Result<f64, Trouble> {
    let about = MetricSubject { group: group.to_owned(), team: String::new(), side: Side::Blue };
    let begun = Instant::now();
    loop {
        let answer = block_on(prometheus.ask(Metric::P99, &about, Clock.now())).map(|a| a.value);
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < WITHIN, "Prometheus answers {answer:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn provider(url: &str) -> MetricsProvider {
    let query = r#"cutover_group_lag_records{group="{group}",side="{side}"}"#;
    let text = format!(
        "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n[metrics.prom]\n\
         provider = \"prometheus\"\nurl = \"{url}\"\n[metrics.prom.queries]\np99 = '{query}'\n"
    );
    MetricsProvider::from_plan(&Plan::parse(&text, Path::new("x.toml")).unwrap().plan.metrics[0], "m")
}

#[test]
fn prometheus_reads_from_the_controller_what_kafka_says() {
    let (pair, topic) = (pair(), unique("scraped"));
    // what would end a label, a comment and a line
    let group = unique("loan \"audit\"} 7 # \\");
    create_topic(&pair.blue, &topic, 2, &[]);
    create_topic(&pair.green, &topic, 2, &[]);
    write(&pair.blue, &topic, 100);
    commit_offsets(&pair.blue, &group, &topic, &[20, 43]);
    let dir = tempfile::tempdir().unwrap();
    let plan = format!(
        "[migration]\nname = \"scraped\"\n[controller]\nmetrics = \"127.0.0.1:0\"\n[clusters.blue]\nbootstrap = {:?}\n\
         [clusters.green]\nbootstrap = {:?}\n[[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n",
        pair.blue.bootstrap, pair.green.bootstrap
    );
    std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
    let mut watch = Watch::start_with(dir.path(), &[]);
    let said = watch.line("where it serves", |v| v["kind"] == "metrics");
    let address = said["address"].as_str().unwrap().to_owned();

    let of = [("group", group.as_str()), ("side", "blue")];
    let text = page(&address, "the lag on blue", |p| p.value("cutover_group_lag_records", &of) == Some(37.0));
    assert_eq!(lint(&text), "", "promtool check metrics");
    let docs = include_str!("../../docs/watch.md");
    let rules = docs.split("```yaml\n").nth(1).and_then(|r| r.split("```").next()).expect("the alert rules");
    let said = lint_rules(rules);
    assert!(said.contains("SUCCESS: 3 rules"), "promtool check rules: {said}");
    assert_eq!(lag_by_kafka(&pair.blue, &group, &topic), 37);
    let read = parse(&text).unwrap();
    assert_eq!(read.state("cutover_controller_arming", &[], "arming").as_deref(), Some("armed"));
    assert_eq!(read.state("cutover_group_stage", &of[..1], "stage").as_deref(), Some("on_blue"));
    assert_eq!(read.value("cutover_group_lag_records", &[of[0], ("side", "green")]), None, "it never read there");
    assert!(!text.contains("broken"), "{text}");
    let (health, _) = get(&address, "/healthz");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");

    // The real Prometheus, with the name as a label.
    let prometheus = Prometheus::start_scraping(None, &[&address]);
    let p = provider(&prometheus.url);
    let answer = asked(&p, &group, |a| a.as_ref().is_ok_and(|lag| (lag - 37.0).abs() < 0.1));
    println!("prometheus answers {answer:?}");
    write(&pair.blue, &topic, 8);
    let answer = asked(&p, &group, |a| a.as_ref().is_ok_and(|lag| (lag - 45.0).abs() < 0.1));
    println!("and then {answer:?}");
    assert_eq!(lag_by_kafka(&pair.blue, &group, &topic), 45);

    // Another watch can't take the same address, and says so before it starts anything.
    let other = tempfile::tempdir().unwrap();
    let plan = format!(
        "[migration]\nname = \"other\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.green]\nbootstrap = {:?}\n",
        pair.blue.bootstrap, pair.green.bootstrap
    );
    std::fs::write(other.path().join("cutover.toml"), plan).unwrap();
    let (code, _, err) = cutover(other.path(), &["watch", "--metrics", &address]);
    assert!(code == Some(1) && err.contains("another program has that port") && err.contains("ss -ltnp"), "{err}");
    assert!(!other.path().join(".cutover").exists(), "nothing was started");

    // Without a controller there is no number, and never an old one.
    watch.signal(Signal::TERM);
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
    let gone = asked(&p, &group, Result::is_err).unwrap_err();
    assert!(gone.what.contains("no data"), "{gone:?}");
}

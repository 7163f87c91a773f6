//! Both planes of both clusters: that they are the clusters that were meant, and that what is read is what is there.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::base::{Side, TopicPartition};
use cutover::kafka::control::{Cluster, Unverified};
use cutover::kafka::plane::DataPlane;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, Portion, ReadRange, RecordRef};
use cutover::kafka::writer::{Keeper, RecordWriter};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::Value;

use crate::faults::Desk;
use crate::support::kafka::admin::{base, block_on, delete_records};
use crate::support::kafka::{
    Broker, commit_offsets, create_topic, end_offsets, listen_on_port, old_blue, pair, producer, throwaway,
};
use crate::support::unique;
use crate::support::workload::Switch;

const WITHIN: Duration = Duration::from_secs(60);
const OLD_FORMAT: (&str, &str) = ("message.format.version", "0.10.2");

fn plan(blue: &str, green: &str, more: &str) -> String {
    format!("[migration]\nname = \"planes\"\n[clusters.blue]\n{blue}\n[clusters.green]\n{green}\n{more}\n")
}

fn at(bootstrap: &str) -> String {
    format!("bootstrap = \"{bootstrap}\"")
}

/// A minute ago, so that it is settled.
fn past() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the end of time") - 600_000
}

/// Writes records with these keys, and values of their own.
fn write(broker: &Broker, topic: &str, properties: &[(&str, &str)], keys: std::ops::Range<i64>) {
    let writer = producer(broker, properties);
    for n in keys {
        let (key, value) = (format!("k{n}"), format!("hello {n}"));
        let record = BaseRecord::to(topic).partition(0).key(&key).payload(&value).timestamp(past() + n);
        writer.send(record).map_err(|(e, _)| e).expect("taken");
    }
    writer.flush(WITHIN).expect("written");
}

fn group(name: &str, topic: &str) -> String {
    format!("[[groups]]\nname = \"{name}\"\ntopics = [\"{topic}\"]\nswitch = {{ provider = \"manual\" }}")
}

/// A broker's control plane.
fn control(broker: &Broker) -> Cluster {
    Cluster::new(Side::Blue, &broker.bootstrap, &ClientProperties::default())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(WITHIN * 2, future).await.expect("a bound on everything") })
}

/// A cluster's id, as it tells it.
fn id_of(broker: &Broker) -> String {
    run(control(broker).cluster_id()).expect("it answers").expect("an id")
}

/// The row of a check in `doctor --json`.
fn row<'a>(checks: &'a Value, what: &str) -> &'a Value {
    let all = checks["checks"].as_array().expect("checks");
    all.iter().find(|c| c["what"] == what).unwrap_or_else(|| panic!("no row {what}: {checks}"))
}

/// A bootstrap list that leads to two clusters: whichever of them answers first, nothing is read from either. Before, the
/// data plane read from whoever answered: `PROVEN` with one cluster's offsets or the other's, in turn.
#[test]
fn two_clusters_behind_one_bootstrap_list() {
    let (pair, other) = (pair(), old_blue());
    let (topic, name) = (unique("two"), unique("two-group"));
    for broker in [&pair.blue, other, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
        write(broker, &topic, &[], 0..3);
    }
    commit_offsets(other, &name, &topic, &[1]);
    let list = format!("{},{}", pair.blue.bootstrap, other.bootstrap);
    let other_id = id_of(other);
    let both = [
        format!("{} is cluster {}", pair.blue.bootstrap, pair.blue.cluster_id),
        format!("{} is cluster {other_id}", other.bootstrap),
    ];
    let said = |what: &str, text: &str| {
        println!("{what}: {text}");
        assert!(both.iter().all(|words| text.contains(words)), "{what}: {text}");
        assert!(!text.contains("PROVEN") && !text.contains("CLEAN"), "{what}: {text}");
    };
    for pin in ["".to_owned(), format!("\ncluster_id = \"{other_id}\"")] {
        let blue = format!("{}{pin}", at(&list));
        let desk = Desk::new(&plan(&blue, &at(&pair.green.bootstrap), &group(&name, &topic)));
        let range = format!("{topic}:0:0-1");
        for args in [
            &["offsets", "plan", "--group", &name][..],
            &["diff", "--topic", &topic],
            &["replay", "--range", &range, &format!("--yes={topic}")],
            &["group", "cutover", &name, &format!("--yes={name}")],
        ] {
            let ran = desk.run(args);
            said(args[0], &format!("{}{}", ran.out, ran.err));
            assert_eq!(ran.code, Some(1), "{args:?}");
        }
        let (code, checks) = desk.json(&["doctor"]);
        assert_eq!(code, Some(1), "{checks}");
        said("doctor", row(&checks, "data plane of blue")["found"].as_str().expect("words"));
        assert_eq!(row(&checks, "data plane of green")["health"], "ok", "{checks}");
    }
    assert_eq!(end_offsets(&pair.green, &topic)[&0], (0, 3), "nothing was written");
}

/// A bootstrap that was pointed elsewhere: where the plan pins nothing, what the journal pinned holds every verb.
#[test]
fn a_journalled_pin_holds_every_verb() {
    let (pair, other) = (pair(), old_blue());
    let (topic, name) = (unique("pinned"), unique("pinned-group"));
    for broker in [&pair.blue, other, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
        write(broker, &topic, &[], 0..3);
        commit_offsets(broker, &name, &topic, &[1]);
    }
    let green = at(&pair.green.bootstrap);
    let desk = Desk::new(&plan(&at(&pair.blue.bootstrap), &green, &group(&name, &topic)));
    // The first session that may write pins what it sees. It is not confirmed, so it does nothing else.
    let ran = desk.run(&["group", "cutover", &name]);
    assert_ne!(ran.code, Some(0), "{}", ran.err);
    let moved = plan(&at(&other.bootstrap), &green, &group(&name, &topic));
    std::fs::write(desk.path().join("cutover.toml"), moved).expect("a plan");
    let words = format!("blue is cluster {}, but the journal pins {}", id_of(other), pair.blue.cluster_id);
    for args in [
        &["offsets", "plan", "--group", &name][..],
        &["diff", "--topic", &topic],
        &["replay", "--range", &format!("{topic}:0:0-1"), &format!("--yes={topic}")],
        &["group", "cutover", &name, &format!("--yes={name}")],
    ] {
        let ran = desk.run(args);
        let text = format!("{}{}", ran.out, ran.err);
        println!("{args:?}: {text}");
        assert!(text.contains(&words), "{args:?}: {text}");
        assert_eq!(ran.code, Some(1), "{args:?}");
    }
    assert_eq!(end_offsets(&pair.green, &topic)[&0], (0, 3), "nothing was written");
}

/// An address that leads to one broker now, and to another when it is told.
#[derive(Clone)]
struct Name {
    address: String,
    leads_to: Arc<Mutex<String>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Name {
    fn at(listener: TcpListener, leads_to: &str) -> Name {
        let address = listener.local_addr().expect("an address").to_string();
        let name = Name { address, leads_to: Arc::new(Mutex::new(leads_to.into())), open: Arc::default() };
        let serving = name.clone();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|client| serving.join(client)));
        name
    }

    fn join(&self, client: TcpStream) {
        let to = self.leads_to.lock().unwrap().clone();
        let Ok(broker) = TcpStream::connect(to) else { return };
        let both = [(&client, &broker), (&broker, &client)];
        for (from, to) in both.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap())) {
            self.open.lock().unwrap().push(from.try_clone().unwrap());
            std::thread::spawn(move || pump(from, to));
        }
    }

    /// Leads elsewhere from now on; what is open breaks.
    fn turn(&self, leads_to: &str) {
        *self.leads_to.lock().unwrap() = leads_to.into();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // it may be closed
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A virtual address is pointed to another cluster in the middle of a session: neither plane takes an answer from there.
#[test]
fn an_advertised_address_that_turns_to_another_cluster() {
    let (_port, listener) = listen_on_port();
    let name = Name::at(listener, "127.0.0.1:1");
    let advertised = format!("PLAINTEXT://{}", name.address);
    let first = throwaway("turns", &[("advertised.listeners", &advertised)]);
    name.turn(&first.bootstrap);
    let topic = unique("turned");
    for broker in [&first, &pair().blue] {
        create_topic(broker, &topic, 1, &[]);
        write(broker, &topic, &[], 0..2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = Cluster::new(Side::Blue, &name.address, &ClientProperties::default());
    let verified = runtime.block_on(cluster.verify()).expect("one cluster");
    assert_eq!(verified.entrances, [name.address.as_str()]);
    let _guard = runtime.enter();
    let plane = DataPlane::of_cluster(&cluster);
    let mut reader = plane.open_reader_for(Portion::Small, Isolation::Committed, WITHIN).expect("a reader");
    let range = ReadRange { partition: TopicPartition::new(&topic, 0), from: 0, to: 2 };
    let mut seen = 0;
    let count = |_: RecordRef<'_>| {
        seen += 1;
        ControlFlow::Continue(())
    };
    reader.read_range(&range, count).expect("read");
    assert_eq!(seen, 2);
    name.turn(&pair().blue.bootstrap);
    let read = reader.read_range(&range, |_| ControlFlow::Continue(()));
    let why = read.expect_err("another cluster's records are not given").to_string();
    println!("{why}");
    assert!(why.contains("to two clusters") && why.contains(&pair().blue.cluster_id), "{why}");
    let turned = runtime.block_on(cluster.verify()).expect_err("it is noticed");
    assert!(matches!(turned, Unverified::Wrong(_)), "{turned:?}");
    assert!(plane.open_reader_for(Portion::Small, Isolation::Committed, WITHIN).is_err());
    // And when the name leads home again, all is well again.
    name.turn(&first.bootstrap);
    runtime.block_on(cluster.verify()).expect("home again");
}

/// The other clients of a replay are held to the cluster too: the one that reads how far it came, and the producer that
/// is only made. Before, the first believed whoever answered, and the second dropped the id that it was told.
#[test]
fn every_client_of_a_replay_is_held_to_its_cluster() {
    let (properties, pair) = (ClientProperties::default(), pair());
    let topic = unique("held");
    create_topic(&pair.green, &topic, 1, &[]);
    let (blue, green) = (pair.blue.cluster_id.as_str(), pair.green.cluster_id.as_str());
    let words = format!("led to cluster {green}, and it should be {blue}");
    let made = |home| RecordWriter::try_making(&properties, &pair.green.bootstrap, Some(home), WITHIN);
    assert!(made(blue).expect_err("another cluster").what.contains(&words));
    made(green).expect("its own cluster");
    let group = unique("keeper");
    let kept = |home| {
        let keeper = Keeper::open(&properties, &pair.green.bootstrap, Some(home), &group, WITHIN).expect("opened");
        keeper.fetch_kept(&[TopicPartition::new(&topic, 0)])
    };
    assert!(kept(blue).expect_err("another cluster").what.contains(&words));
    assert_eq!(kept(green), Ok(vec![]));
}

/// Sets a topic's format; the brokers hear of it in their own time.
fn set_format(broker: &Broker, topic: &str, format: &str) {
    let admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext> =
        base(broker).create().expect("an admin client");
    let config = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(OLD_FORMAT.0, format);
    let options = AdminOptions::new().request_timeout(Some(WITHIN));
    for result in block_on(admin.alter_configs([&config], &options)).expect("AlterConfigs answers") {
        result.expect("set");
    }
}

/// Writes record after record until one is stored in the format that is set. The offset of that one.
fn write_until(broker: &Broker, topic: &str, old: bool) -> i64 {
    let cluster = control(broker);
    for _ in 0..300 {
        let n = end_offsets(broker, topic)[&0].1;
        write(broker, topic, &[], n..n + 1);
        let window = [(TopicPartition::new(topic, 0), n, n + 1)];
        if run(cluster.find_old_sets(&window)).expect("answered").is_empty() != old {
            return n;
        }
    }
    panic!("the format of {topic} was never set");
}

/// A log that went from an old format to today's, back, and forth again: what is old in it is found wherever it lies,
/// and only that.
#[test]
fn old_message_sets_are_found_wherever_they_lie() {
    let broker = old_blue();
    let topic = unique("formats");
    create_topic(broker, &topic, 1, &[OLD_FORMAT]);
    write(broker, &topic, &[], 0..3);
    write(broker, &topic, &[("compression.type", "gzip"), ("linger.ms", "50")], 3..8);
    set_format(broker, &topic, "2.8");
    let new = write_until(broker, &topic, false);
    write(broker, &topic, &[], new + 1..new + 3);
    set_format(broker, &topic, OLD_FORMAT.1);
    let old = write_until(broker, &topic, true);
    set_format(broker, &topic, "2.8");
    let newest = write_until(broker, &topic, false);
    write(broker, &topic, &[("compression.type", "gzip")], newest + 1..newest + 4);
    let end = end_offsets(broker, &topic)[&0].1;
    let cluster = control(broker);
    let first = |from: i64, to: i64| {
        let window = [(TopicPartition::new(&topic, 0), from, to)];
        let found = run(cluster.find_old_sets(&window)).expect("answered");
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next().map(|old| (old.offset, old.why.what))
    };
    println!("new from {new}, old at {old}, new from {newest} to {end}");
    let (offset, why) = first(0, end).expect("old ones");
    println!("{why}");
    assert!(offset == 0 && why.contains(&format!("{topic}-0 on blue holds a message set of the old format (magic 1)")));
    assert!(first(5, 6).is_some(), "in the middle of a gzip set");
    assert_eq!(first(new, new + 3), None, "today's, between old ones");
    assert_eq!(first(new + 1, end).map(|(offset, _)| offset <= old), Some(true));
    assert!(first(old, old + 1).is_some());
    assert_eq!(first(newest, end), None);
    // Where a window begins with what has expired, what follows is looked at all the same.
    delete_records(broker, &topic, 0, 1);
    let (offset, why) = first(0, end).expect("old ones behind the new start");
    assert!(offset >= 1 && why.contains("old format"), "{offset}: {why}");
    assert_eq!(first(0, 1), None, "what has expired is nobody's to misread");
    // As today's brokers write, there is nothing to look at.
    let today = unique("today");
    create_topic(&pair().blue, &today, 1, &[]);
    write(&pair().blue, &today, &[], 0..3);
    let window = [(TopicPartition::new(&today, 0), 0, 3)];
    assert_eq!(run(control(&pair().blue).find_old_sets(&window)).expect("answered"), []);
}

/// Records that librdkafka reads as (null, null): nothing is proven, clean, or carried. Before, `replay` wrote a null
/// record to green and called it CLEAN.
#[test]
fn old_message_sets_are_refused_by_name() {
    let (old, green) = (old_blue(), &pair().green);
    let (topic, name) = (unique("old"), unique("old-group"));
    create_topic(old, &topic, 1, &[OLD_FORMAT]);
    create_topic(green, &topic, 1, &[]);
    write(old, &topic, &[], 0..1);
    write(green, &topic, &[], 0..1);
    commit_offsets(old, &name, &topic, &[1]);
    let desk = Desk::new(&plan(&at(&old.bootstrap), &at(&green.bootstrap), &group(&name, &topic)));
    let words = format!("{topic}-0 on blue holds a message set of the old format (magic 1) at offset 0");
    let range = format!("{topic}:0:0-1");
    let yes = format!("--yes={topic}");
    for (args, code) in [
        (&["replay", "--range", &range, &yes][..], 1),
        (&["diff", "--topic", &topic], 4),
        (&["offsets", "plan", "--group", &name], 1),
    ] {
        let ran = desk.run(args);
        let text = format!("{}{}", ran.out, ran.err);
        println!("{args:?} {:?}: {text}", ran.code);
        let prose = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(prose.contains(&words), "{args:?}: {text}");
        assert!(!text.contains("CLEAN") && !text.contains("PROVEN"), "{args:?}: {text}");
        assert_eq!(ran.code, Some(code), "{args:?}");
    }
    assert_eq!(end_offsets(green, &topic)[&0], (0, 1), "nothing was written");
    let (code, checks) = desk.json(&["doctor"]);
    let found = |checks: &Value| {
        let formats = row(checks, "record formats on blue");
        assert_eq!(formats["health"], "fail", "{checks}");
        assert!(formats["found"].as_str().is_some_and(|f| f.contains(&words)), "{formats}");
    };
    assert_eq!(code, Some(1), "{checks}");
    found(&checks);
    assert_eq!(row(&checks, "record formats on green")["health"], "ok");
    let plane = row(&checks, "data plane of blue");
    let said = plane["found"].as_str().expect("words");
    assert!(
        plane["health"] == "ok" && said.contains(&words) && !said.contains("was read"),
        "nothing was read: {plane}"
    );
    // The topics of a group for which the plan lists none are those that it has committed.
    let bare = plan(&at(&old.bootstrap), &at(&green.bootstrap), &format!("[[groups]]\nname = \"{name}\""));
    std::fs::write(desk.path().join("cutover.toml"), bare).expect("a plan");
    found(&desk.json(&["doctor"]).1);
}

/// A data plane that does not come up while the control plane does: nothing is stopped, and both verbs say why. The
/// property is one that librdkafka alone looks at.
#[test]
fn nothing_is_stopped_before_both_data_planes_answer() {
    let pair = pair();
    let (topic, name) = (unique("mute"), unique("mute-group"));
    for broker in [&pair.blue, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
        write(broker, &topic, &[], 0..2);
    }
    commit_offsets(&pair.blue, &name, &topic, &[1]);
    let desk = Desk::new("");
    let switch = Switch::file(&desk.path().join("switch.json"), &name, "blue");
    let before = std::fs::read_to_string(desk.path().join("switch.json")).expect("a switch");
    let more = format!(
        "[[groups]]\nname = \"{name}\"\ntopics = [\"{topic}\"]\ncommit_interval = \"5s\"\nswitch = {}",
        switch.toml()
    );
    let green = format!("{}\nclient = {{ \"broker.address.family\" = \"v6\" }}", at(&pair.green.bootstrap));
    std::fs::write(desk.path().join("cutover.toml"), plan(&at(&pair.blue.bootstrap), &green, &more)).expect("a plan");
    let (code, checks) = desk.json(&["doctor"]);
    println!("{checks}");
    assert_eq!(code, Some(1));
    assert_eq!(row(&checks, "data plane of blue")["health"], "ok");
    assert_eq!(row(&checks, "data plane of green")["health"], "fail");
    assert_eq!(row(&checks, "green")["health"], "ok", "the control plane is well");
    let ran = desk.run(&["group", "cutover", &name, &format!("--yes={name}")]);
    println!("{}", ran.err);
    assert!(ran.code == Some(4) && ran.err.contains("green's data plane has not answered"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(desk.path().join("switch.json")).expect("a switch"), before);
}

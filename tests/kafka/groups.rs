//! What a group is and what it reads, on real clusters: topics that it never committed, commits that carry more than an
//! offset, groups that nobody ever joins, applications whose state no offset moves.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::faults::Desk;
use crate::support::kafka::{Broker, commit, consumer, create_topic, pair, producer};
use crate::support::unique;
use crate::support::workload::{Application, ApplicationOptions, Cluster, Event, Switch};

const SOON: Duration = Duration::from_secs(90);

/// A group, its application and its topics on the shared pair, and a plan that lists none of them.
struct World {
    group: String,
    topics: Vec<String>,
    switch: Switch,
    desk: Desk,
}

impl World {
    fn new(name: &str, topics: usize, more: &str) -> World {
        let (desk, group) = (Desk::new(""), unique(name));
        let topics: Vec<String> = (0..topics).map(|n| unique(&format!("{name}-{n}"))).collect();
        for topic in &topics {
            both(|broker| create_topic(broker, topic, 1, &[]));
        }
        let switch = Switch::word(&desk.path().join("switch"), "off");
        let world = World { group, topics, switch, desk };
        world.plan(more);
        world
    }

    /// Writes the plan. `more`: keys of the group.
    fn plan(&self, more: &str) {
        let (pair, group, switch) = (pair(), &self.group, self.switch.toml());
        let plan = format!(
            "[migration]\nname = \"real\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n\
             [defaults]\ndrain_still = \"2s\"\n[[groups]]\nname = {group:?}\nswitch = {switch}\n{more}\n",
            pair.blue.bootstrap, pair.green.bootstrap
        );
        std::fs::write(self.desk.path().join("cutover.toml"), plan).expect("a plan");
    }

    fn start(&self, options: &ApplicationOptions) -> Application {
        let bootstrap = [pair().blue.bootstrap.as_str(), pair().green.bootstrap.as_str()];
        self.set("blue");
        Application::start(bootstrap, &self.group, &self.topics, &self.switch, options)
    }

    fn set(&self, state: &str) {
        // At once: who reads it may look at any moment.
        let [new, path] = ["switch.set", "switch"].map(|name| self.desk.path().join(name));
        std::fs::write(&new, state).and_then(|()| std::fs::rename(&new, &path)).expect("a switch");
    }

    fn verb(&self, verb: &str, more: &[&str]) -> (Option<i32>, String) {
        let yes = format!("--yes={}", self.group);
        let ran = self.desk.run(&[&["group", verb, &self.group, &yes], more].concat());
        println!("$ cutover group {verb} {} -> {:?}\n{}{}", more.join(" "), ran.code, ran.out, ran.err);
        (ran.code, ran.out + &ran.err)
    }

    /// `offsets plan --json`.
    fn measured(&self) -> Value {
        self.desk.json(&["offsets", "plan", "--group", &self.group]).1
    }
}

fn both(mut each: impl FnMut(&Broker)) {
    [&pair().blue, &pair().green].into_iter().for_each(&mut each);
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Writes the same records to both clusters.
fn dual(topic: &str, values: impl Iterator<Item = String> + Clone) {
    let at = now();
    both(|broker| {
        let producer = producer(broker, &[]);
        for (n, value) in (0..).zip(values.clone()) {
            let key = format!("k{n}");
            let record = BaseRecord::to(topic).partition(0).key(&key).payload(&value).timestamp(at + n);
            producer.send(record).map_err(|(e, _)| e).expect("sent");
        }
        producer.flush(SOON).expect("written");
    });
}

fn numbered(of: &str, from: usize, to: usize) -> impl Iterator<Item = String> + Clone + use<> {
    let of = of.to_owned();
    (from..to).map(move |n| format!("{of} {n}"))
}

/// How often the records of a topic were processed on each cluster.
fn processed(events: &[Event], topic: &str) -> [usize; 2] {
    Cluster::BOTH.map(|c| events.iter().filter(|e| e.cluster == c && e.partition.0 == topic).count())
}

/// A member is assigned a topic that it never committed, and a record is written to it between the stop and the start:
/// with `auto.offset.reset=latest` it would be gone.
#[test]
fn an_assigned_topic_that_was_never_committed_goes_along() {
    let world = World::new("assigned", 2, "");
    let (read, idle) = (world.topics[0].clone(), world.topics[1].clone());
    dual(&read, numbered("a", 0, 20));
    let latest = vec![("auto.offset.reset".to_owned(), "latest".to_owned())];
    let application = world.start(&ApplicationOptions { properties: latest, ..ApplicationOptions::default() });
    application.wait_running(Cluster::Blue, true, SOON);
    // A `latest` reader has its place once it reads what comes: written again until it does.
    for n in (100..).step_by(5) {
        dual(&read, numbered("a", n, n + 5));
        if application.processed() > 0 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(500));
        assert!(n < 1_000, "it reads nothing");
    }
    let plan = world.measured();
    let topics: Vec<&str> = plan["partitions"].as_array().unwrap().iter().filter_map(|p| p["topic"].as_str()).collect();
    assert!(topics.contains(&idle.as_str()), "{plan}");

    let (code, _) = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            application.wait_running(Cluster::Blue, false, SOON);
            dual(&idle, numbered("late", 0, 1));
        });
        let moved = world.verb("cutover", &[]);
        late.join().expect("written");
        moved
    });
    assert_eq!(code, Some(0));
    application.wait_running(Cluster::Green, true, SOON);
    let before = application.processed();
    dual(&read, numbered("after", 0, 3));
    application.wait_processed(before + 1, SOON);
    application.wait_caught_up(Cluster::Green, SOON);
    let events = application.stop();
    assert_eq!(processed(&events, &idle), [0, 1], "the record between stop and start is read, once");
}

/// A plan that lists one of two topics that its members read: the other one is not left to `auto.offset.reset`.
#[test]
fn a_topic_that_the_plan_leaves_out_and_the_members_read_goes_along() {
    let world = World::new("beyond", 2, "");
    world.plan(&format!("topics = [{:?}]", world.topics[0]));
    for topic in &world.topics {
        dual(topic, numbered("a", 0, 10));
    }
    let application = world.start(&ApplicationOptions::default());
    application.wait_processed(20, SOON);
    application.wait_caught_up(Cluster::Blue, SOON);
    let (code, _) = world.verb("cutover", &[]);
    assert_eq!(code, Some(0));
    let second = world.topics[1].clone();
    dual(&second, numbered("b", 0, 4));
    application.wait_processed(24, SOON);
    application.wait_caught_up(Cluster::Green, SOON);
    assert_eq!(processed(&application.stop(), &second), [10, 4], "each once");
}

/// A commit that was left over on a topic which green lacks: refused with advice, left out by name with a reason, journalled.
#[test]
fn a_left_over_commit_is_left_out_by_name() {
    let world = World::new("left-over", 1, "");
    let old = unique("left-over-old");
    create_topic(&pair().blue, &old, 1, &[]);
    dual(&world.topics[0], numbered("a", 0, 10));
    let application = world.start(&ApplicationOptions::default());
    application.wait_processed(10, SOON);
    application.wait_caught_up(Cluster::Blue, SOON);
    world.set("off");
    application.wait_running(Cluster::Blue, false, SOON);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&old, 0, Offset::Offset(0)).unwrap();
    commit(&consumer(&pair().blue, &world.group, &[]), &offsets);
    world.set("blue");
    application.wait_running(Cluster::Blue, true, SOON);
    let (code, said) = world.verb("cutover", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("topic {old} does not exist on green")), "{said}");
    assert!(said.contains(&format!("--leave-out {old} --reason TEXT")), "{said}");
    let (code, said) = world.verb("cutover", &["--leave-out", &old]);
    assert_eq!(code, Some(2), "without a reason: {said}");
    let (code, said) = world.verb("cutover", &["--leave-out", &old, "--reason", "not read since May"]);
    assert_eq!(code, Some(0), "{said}");
    let journal = world.desk.run(&["journal", "show"]).out;
    assert!(journal.contains(&format!("accepts leave-out ({old}): not read since May")), "{journal}");
    drop(application);
}

/// A classic Kafka Streams application, as the cluster sees it: its threads' client ids. Its state does not move.
#[test]
fn a_kafka_streams_application_is_refused() {
    let world = World::new("counts", 1, "");
    create_topic(&pair().blue, &format!("{}-counts-changelog", world.group), 1, &[]);
    dual(&world.topics[0], numbered("a", 0, 5));
    let threads = vec![("client.id".to_owned(), format!("{}-5e1c-StreamThread-1-consumer", world.group))];
    let application = world.start(&ApplicationOptions { properties: threads, ..ApplicationOptions::default() });
    application.wait_processed(5, SOON);
    application.wait_caught_up(Cluster::Blue, SOON);
    let refused = |code: Option<i32>, said: &str| {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is a Kafka Streams application") && said.contains("-counts-changelog"), "{said}");
    };
    let (code, said) = world.verb("cutover", &[]);
    refused(code, &said);
    // Stopped, it can't be asked: what was seen is remembered.
    world.set("off");
    application.wait_running(Cluster::Blue, false, SOON);
    let (code, said) = world.verb("cutover", &[]);
    refused(code, &said);
    drop(application);
}

/// What moves while nobody is in the group: traffic that goes on until this is dropped.
struct Trickle<'scope> {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    _scope: std::marker::PhantomData<&'scope ()>,
}

impl Trickle<'_> {
    fn start<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, topic: &str) -> Trickle<'scope> {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (stopped, topic) = (std::sync::Arc::clone(&stop), topic.to_owned());
        scope.spawn(move || {
            for n in 0.. {
                if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                dual(&topic, numbered(&format!("round {n}"), 0, 5));
                std::thread::park_timeout(Duration::from_millis(300));
            }
        });
        Trickle { stop, _scope: std::marker::PhantomData }
    }
}

impl Drop for Trickle<'_> {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn assigns() -> ApplicationOptions {
    ApplicationOptions { assigns: true, commit_every: Duration::from_secs(2), ..ApplicationOptions::default() }
}

/// A consumer that uses `assign()` is never a member: it moves there and back by its commits.
#[test]
fn a_consumer_that_only_commits_moves_and_comes_back() {
    let world = World::new("assign", 1, "");
    dual(&world.topics[0], numbered("first", 0, 5));
    let application = world.start(&assigns());
    application.wait_processed(5, SOON);
    application.wait_caught_up(Cluster::Blue, SOON);
    std::thread::scope(|scope| {
        let trickle = Trickle::start(scope, &world.topics[0]);
        application.wait_processed(20, SOON);
        let (code, said) = world.verb("cutover", &[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("it only commits (assign()), every"), "{said}");
        let (code, said) = world.verb("rollback", &[]);
        assert_eq!(code, Some(0), "{said}");
        application.wait_running(Cluster::Blue, true, SOON);
        drop(trickle);
    });
    application.wait_caught_up(Cluster::Blue, SOON);
    let events = application.stop();
    let [blue, green] = processed(&events, &world.topics[0]);
    println!("{blue} on blue, {green} on green");
    assert!(green > 0, "it ran on green");
}

/// One that was not stopped goes on committing: no drain, and it is given back.
#[test]
fn a_consumer_that_only_commits_and_was_not_stopped_is_no_drained_one() {
    let world = World::new("stubborn", 1, "drain_timeout = \"20s\"");
    dual(&world.topics[0], numbered("first", 0, 5));
    let application = world.start(&ApplicationOptions { stubborn: true, ..assigns() });
    application.wait_processed(5, SOON);
    application.wait_caught_up(Cluster::Blue, SOON);
    std::thread::scope(|scope| {
        let trickle = Trickle::start(scope, &world.topics[0]);
        application.wait_processed(20, SOON);
        let (code, said) = world.verb("cutover", &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("not drained on blue"), "{said}");
        drop(trickle);
    });
    assert_eq!(processed(&application.stop(), &world.topics[0])[1], 0, "nothing ran on green");
}

/// One of which nobody knows how often it commits is refused before it is stopped.
#[test]
fn a_consumer_that_only_commits_is_not_stopped_before_its_interval_is_known() {
    let world = World::new("quiet", 1, "");
    dual(&world.topics[0], numbered("a", 0, 5));
    let application = world.start(&assigns());
    application.wait_processed(5, SOON);
    application.wait_caught_up(Cluster::Blue, SOON);
    // Nothing is written: no commit moves.
    let (code, said) = world.verb("cutover", &[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("how often it commits was not seen yet") && said.contains("commit_interval"), "{said}");
    application.wait_running(Cluster::Blue, true, SOON);
    world.plan("commit_interval = \"2s\"");
    let (code, said) = world.verb("cutover", &[]);
    assert_eq!(code, Some(0), "{said}");
    application.wait_running(Cluster::Green, true, SOON);
    assert_eq!(processed(&application.stop(), &world.topics[0]), [5, 0], "each once");
}

/// What commits carry besides the offset goes along where both logs are the same; elsewhere nothing is claimed that it
/// would be needed for.
#[test]
fn what_a_commit_carries_goes_along_or_bounds_the_claim() {
    let world = World::new("metadata", 1, "");
    let topic = &world.topics[0];
    dual(topic, numbered("a", 0, 10));
    let commit = |at| {
        let mut offsets = TopicPartitionList::new();
        let mut one = offsets.add_partition(topic, 0);
        one.set_offset(Offset::Offset(at)).unwrap();
        one.set_metadata("bAgAAAAAA");
        commit(&consumer(&pair().blue, &world.group, &[]), &offsets);
    };
    commit(4);
    let apply = || world.desk.run(&["offsets", "apply", "--group", &world.group, &format!("--yes={}", world.group)]);
    let plan = world.measured();
    let p = &plan["partitions"][0];
    assert_eq!((p["verdict"].as_str(), p["re_read"].as_u64()), (Some("proven"), Some(0)), "{plan}");
    assert_eq!((p["metadata"]["bytes"].as_u64(), p["metadata"]["carried"].as_bool()), (Some(9), Some(true)), "{plan}");
    let ran = apply();
    println!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, Some(0));
    assert!(ran.err.contains("carry metadata"), "{}", ran.err);
    assert_eq!(carried(&pair().green, &world.group, topic), "bAgAAAAAA");
    // One record more on green: the same records lie at other offsets.
    let producer = producer(&pair().green, &[]);
    let record = BaseRecord::to(topic).partition(0).key("k").payload("green's own").timestamp(now());
    producer.send(record).map_err(|(e, _)| e).expect("sent");
    producer.flush(SOON).expect("written");
    dual(topic, numbered("b", 0, 6));
    commit(8);
    let plan = world.measured();
    let p = &plan["partitions"][0];
    assert_eq!(p["metadata"]["carried"].as_bool(), Some(false), "{plan}");
    assert_eq!(p["verdict"].as_str(), Some("bounded"), "{plan}");
    assert!(p["re_read"].as_u64().is_some_and(|n| n >= 8), "all that is unconsumed may be done again: {plan}");
    assert!(p["why"].as_str().is_some_and(|w| w.contains("9 bytes of metadata")), "{plan}");
    let ran = apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(carried(&pair().green, &world.group, topic), "", "nothing that would mean something else there");
}

/// What a group's commit carries.
fn carried(broker: &Broker, group: &str, topic: &str) -> String {
    let client = consumer(broker, group, &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let committed = client.committed_offsets(list, SOON).expect("committed offsets");
    committed.elements()[0].metadata().to_owned()
}

//! The traffic, the application and the audit, before anything is proven with them: moves that are known to be wrong
//! must come out as wrong, by exactly as much.

use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::workload::{
    Application, ApplicationOptions, Cluster, Event, Switch, Traffic, TrafficOptions, Truth, audit,
};
use crate::support::{kafka, unique, workload};

const SOON: Duration = Duration::from_secs(120);

struct Scene {
    topics: Vec<String>,
    group: String,
    switch: Switch,
    traffic: Traffic,
    application: Application,
    _dir: tempfile::TempDir,
}

fn scene(traffic: &TrafficOptions, application: &ApplicationOptions) -> Scene {
    let pair = kafka::pair();
    let topics = vec![unique("orders"), unique("payments")];
    for topic in &topics {
        kafka::create_topic(&pair.blue, topic, traffic.partitions, &[]);
        kafka::create_topic(&pair.green, topic, traffic.partitions, &[]);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let group = unique("loan-audit");
    let switch = Switch::file(&dir.path().join("flags.json"), &group, "blue");
    let bootstrap = [pair.blue.bootstrap.as_str(), pair.green.bootstrap.as_str()];
    let traffic = Traffic::start(bootstrap, &topics, traffic);
    let application = Application::start(bootstrap, &group, &topics, &switch, application);
    Scene { topics, group, switch, traffic, application, _dir: dir }
}

impl Scene {
    /// Moves the application to green; `before_start` runs while it is stopped. Returns what it had processed on blue.
    fn move_to_green(&self, before_start: impl FnOnce(&Self)) -> usize {
        self.switch.set("off");
        self.application.wait_running(Cluster::Blue, false, SOON);
        let processed = self.application.processed();
        before_start(self);
        self.switch.set("green");
        self.application.wait_processed(processed + 300, SOON);
        processed
    }

    fn finish(self) -> (Truth, Vec<Event>) {
        let truth = self.traffic.stop();
        self.application.set_per_record(Duration::ZERO);
        self.application.wait_caught_up(Cluster::Green, SOON);
        (truth, self.application.stop())
    }
}

#[test]
fn starting_over_reads_all_of_it_again() {
    let options = TrafficOptions { rate: 600, identical: 0.2, ..TrafficOptions::default() };
    let scene = scene(&options, &ApplicationOptions::default());
    scene.application.wait_processed(1_000, SOON);
    let on_blue = scene.move_to_green(|_| ());
    let (truth, events) = scene.finish();
    let audit = audit(&truth, &events);
    println!("earliest: {audit}");
    assert_eq!((audit.lost.len(), audit.re_read, audit.redelivered), (0, on_blue as u64, 0), "{audit}");
    assert_eq!(audit.processed, truth.sends.len() + on_blue);
    assert_eq!(audit.sessions.values().collect::<Vec<_>>(), [&Cluster::Blue, &Cluster::Green]);
    for send in &truth.sends {
        assert!(send.offsets.iter().all(|o| o.len() == 1), "{send:?}");
    }
    // The two clusters don't hold the records in the same order: what makes equal offsets wrong.
    let differ = truth.sends.iter().filter(|s| s.offsets[0] != s.offsets[1]).count();
    assert!(differ > truth.sends.len() / 10, "{differ} of {}", truth.sends.len());
}

#[test]
fn starting_at_the_end_loses_the_backlog() {
    let slow = ApplicationOptions { per_record: Duration::from_millis(5), ..ApplicationOptions::default() };
    let scene = scene(&TrafficOptions { rate: 600, ..TrafficOptions::default() }, &slow);
    scene.application.wait_processed(200, SOON);
    scene.move_to_green(|scene| {
        let green = &kafka::pair().green;
        let mut list = TopicPartitionList::new();
        for topic in &scene.topics {
            for (partition, (_, end)) in kafka::end_offsets(green, topic) {
                list.add_partition_offset(topic, partition, Offset::Offset(end)).expect("an offset");
            }
        }
        crate::support::kafka::commit(&kafka::consumer(green, &scene.group, &[]), &list);
    });
    let (truth, events) = scene.finish();
    let audit = audit(&truth, &events);
    println!("latest: {audit}");
    let on = |cluster| events.iter().filter(move |e| e.cluster == cluster).filter_map(|e| e.id).collect();
    let (blue, green): (BTreeSet<u64>, BTreeSet<u64>) = (on(Cluster::Blue), on(Cluster::Green));
    let never: Vec<u64> =
        (0..truth.sends.len() as u64).filter(|id| !blue.contains(id) && !green.contains(id)).collect();
    assert!(!never.is_empty(), "the backlog was empty");
    // What a slow machine writes to green after the end of its log was looked at may have been read on blue before.
    assert_eq!((audit.lost, audit.re_read), (never, blue.intersection(&green).count() as u64));
}

#[test]
fn failed_and_doubled_sends_are_told_apart() {
    let options =
        TrafficOptions { rate: 600, fails: [0.05, 0.05], twice: 0.05, identical: 0.1, ..TrafficOptions::default() };
    let scene = scene(&options, &ApplicationOptions { commits_at_stop: false, ..ApplicationOptions::default() });
    scene.application.wait_processed(800, SOON);
    // A restart without a commit: the same records again, on the same cluster.
    scene.switch.set("off");
    scene.application.wait_running(Cluster::Blue, false, SOON);
    scene.switch.set("blue");
    scene.application.wait_processed(scene.application.processed() + 300, SOON);
    scene.move_to_green(|_| ());
    let (truth, events) = scene.finish();
    let audit = audit(&truth, &events);
    println!("failed and doubled: {audit}");
    let failed = |side: usize| truth.sends.iter().filter(|s| s.failed[side]).count();
    assert!(failed(0) > 10 && failed(1) > 10 && truth.sends.iter().any(|s| s.offsets[1].len() == 2));
    // Green is read from its start: only what is on blue alone and was not read there can be lost.
    let blue_alone = |id: &u64| truth.sends[*id as usize].offsets[1].is_empty();
    assert!(audit.lost.iter().all(blue_alone), "{audit}");
    assert_eq!(audit.green_only_skipped, 0);
}

#[test]
fn a_switch_is_read_as_it_is_set() {
    let dir = tempfile::tempdir().expect("a directory");
    for switch in [Switch::file(&dir.path().join("f.json"), "k", "blue"), Switch::word(&dir.path().join("w"), "blue")] {
        for (word, state) in
            [("green", workload::State::Green), ("off", workload::State::Off), ("dual", workload::State::Both)]
        {
            switch.set(word);
            assert_eq!(switch.state(), state, "{switch:?}");
        }
        let plan = format!("[[groups]]\nname = \"g\"\nswitch = {}\n", switch.toml());
        assert!(toml::from_str::<toml::Table>(&plan).is_ok(), "{plan}");
    }
}

//! The whole controller on real Kafka: eight dual-writing producers, a live consumer, to green and back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cutover::controller::{Controller, Handle, headless};
use cutover::migration::facts::command::{Command, Subject};
use cutover::migration::facts::stage::Stage;
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};
use cutover::sim::traffic::{Addresses, EstateSpec, ProducerSpec, TopicSpec, demo_plan_toml, write_flags};
use cutover::sim::{Traffic, Witness, WitnessReport};
use cutover::snapshot::Snapshot;

use crate::kill_support::{carry_out, killed};
use crate::receiver::Receiver;
use crate::support::kafka::{Broker, create_topic, old_blue, pair};
use crate::support::patience::{in_time, until as until_seen};
use crate::support::{turns, unique};

const PATIENCE: Duration = Duration::from_secs(120);

/// A live estate on two real clusters, and its plan.
struct World {
    dir: tempfile::TempDir,
    traffic: Traffic,
    group: String,
}

impl World {
    fn start(blue: &Broker, green: &Broker) -> Self {
        let bank = EstateSpec::bank(1.0);
        let events = unique("events");
        let topic = TopicSpec { name: events.clone(), ..bank.topics[0].clone() };
        let writer = |n| ProducerSpec {
            name: format!("writer-{n}"),
            topics: vec![events.clone()],
            per_second: 20.0,
            initial: "dual".into(),
            ..bank.producers[0].clone()
        };
        let mut reader = bank.groups[0].clone();
        (reader.name, reader.topics) = (unique("reader"), vec![events.clone()]);
        let group = reader.name.clone();
        let estate = EstateSpec {
            topics: vec![topic],
            producers: (0..8).map(writer).collect(),
            ledgers: Vec::new(),
            groups: vec![reader],
            ..EstateSpec::default()
        };
        for broker in [blue, green] {
            create_topic(broker, &events, estate.topics[0].partitions, &[]);
        }
        let dir = tempfile::tempdir().unwrap();
        let flags = dir.path().join("flags.json");
        write_flags(&flags, &estate).unwrap();
        let addresses =
            Addresses { blue: (&blue.bootstrap, &blue.cluster_id), green: (&green.bootstrap, &green.cluster_id) };
        // In ZooKeeper times a broker makes its own id up: without a pin, the first one seen is pinned.
        let plan = demo_plan_toml(&estate, Path::new("flags.json"), &addresses).replace("cluster_id = \"\"\n", "");
        // The demo's limit is for a person who watches; records on their way may take longer on a busy machine.
        let plan = plan.replace("settle_timeout = \"5s\"", "settle_timeout = \"60s\"");
        assert!(plan.contains("settle_timeout = \"60s\""), "{plan}");
        std::fs::write(dir.path().join("cutover.toml"), plan).unwrap();
        let bootstraps = [blue.bootstrap.as_str(), green.bootstrap.as_str()];
        turns::heavy();
        let traffic = Traffic::start(&estate, bootstraps, &flags, Arc::new(Witness::default()), 5, 1).unwrap();
        Self { dir, traffic, group }
    }

    fn plan(&self) -> Plan {
        Plan::load(&self.dir.path().join("cutover.toml")).unwrap_or_else(|p| panic!("{p:?}")).plan
    }

    fn report(&self) -> WitnessReport {
        self.traffic.witness().report_group(&self.group).unwrap()
    }

    fn mark(&self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.traffic.witness().mark(&self.group, i64::try_from(now.as_millis()).unwrap());
    }

    /// Until the group has processed so many more, and is less than a second behind: whatever it would read
    /// again lies further back, and has been read by then.
    fn goes_on(&self, more: u64) {
        let before = self.report().processed;
        until_seen(PATIENCE, "the group reads on", || {
            let report = self.report();
            report.processed >= before + more && report.pending <= 100
        });
    }

    /// Moves the group with a command, and holds what was seen to what was promised.
    async fn moves(&self, handle: &mut Handle, command: Command, what: &str) {
        self.mark();
        let say = &mut |line: &str| println!("{line}");
        let report = headless::execute(handle, command, &"ada@bastion".into(), Some(&self.group), say).await;
        assert_eq!(report.class, None, "{report:?}");
        let run = report.run.unwrap();
        let (promised, limit) = (run.predicted_re_read.unwrap(), run.max_re_read.unwrap());
        tokio::task::block_in_place(|| self.goes_on(1_000));
        let seen = self.report();
        println!("{what}: lost {}, re-read {}, predicted {promised}, limit {limit}", seen.lost, seen.re_read);
        assert_eq!((seen.lost, seen.re_read), (0, promised), "{seen:?}");
        assert!(promised <= limit);
    }
}

async fn until(handle: &mut Handle, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let wait = handle.snapshots.wait_for(|s| holds(s));
    in_time(PATIENCE, wait).await.unwrap_or_else(|| panic!("waited in vain for: {what}")).unwrap();
}

fn stage(handle: &Handle, group: &str) -> Stage {
    handle.snapshot().groups.iter().find(|g| g.group == group).unwrap().stage.clone()
}

async fn there_and_back(blue: &Broker, green: &Broker) {
    let world = tokio::task::block_in_place(|| {
        let world = World::start(blue, green);
        world.goes_on(1_000);
        world
    });
    let told = Receiver::start(200);
    let on = format!("on = [\"run\", \"stage\", \"alarm\"]\ngroups = [{:?}]", world.group);
    let file = world.dir.path().join("cutover.toml");
    let plan = std::fs::read_to_string(&file).unwrap() + &told.section("ops", &on);
    std::fs::write(file, plan).unwrap();
    let mut handle = Controller::start(world.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    let group = world.group.clone();
    world.moves(&mut handle, Command::cut_over(group.clone()), "cutover").await;
    assert!(matches!(stage(&handle, &group), Stage::Soaking { .. }));
    world.moves(&mut handle, Command::roll_back(group.clone()), "rollback").await;
    assert!(matches!(stage(&handle, &group), Stage::RolledBack { .. }));
    let told = tokio::task::block_in_place(|| told.until("back on blue", |m| m["stage"] == "rolled back"));
    let events: Vec<&str> = told.iter().filter_map(|m| m["event"].as_str()).collect();
    let a_move = ["run_started", "no_return", "run_done"];
    assert_eq!(events, [a_move, a_move].concat(), "each once, in order");
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_to_green_and_back() {
    let pair = tokio::task::block_in_place(pair);
    there_and_back(&pair.blue, &pair.green).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_from_zookeeper_times_to_green_and_back() {
    let (old, pair) = tokio::task::block_in_place(|| (old_blue(), pair()));
    there_and_back(old, &pair.green).await;
}

#[test]
fn killed_around_commit_and_start_it_goes_on_or_back_and_nothing_is_lost() {
    let pair = pair();
    let world = World::start(&pair.blue, &pair.green);
    world.goes_on(500);
    let (dir, group) = (world.dir.path(), world.group.clone());
    let cut_over = Command::cut_over(group.clone());
    let roll_back = Command::roll_back(group.clone());
    let go_on = Command::Continue { subject: Subject::Group(group.clone()) };
    let cases = [
        (&cut_over, "after-effect:1/4/1", &go_on),
        (&roll_back, "after-intent:2/1/1", &go_on),
        (&cut_over, "after-effect:3/4/1", &roll_back), // given back
        (&cut_over, "after-effect:5/5/1", &go_on),
        (&roll_back, "before:6/5/1", &go_on),
    ];
    for (command, crash_at, then) in cases {
        world.mark();
        killed(dir, command, crash_at);
        let report = carry_out(dir, then.clone(), None);
        assert_eq!(report.class, None, "killed {crash_at}: {report:?}");
        let predicted = report.run.unwrap().predicted_re_read.unwrap_or(0);
        world.goes_on(300);
        let seen = world.report();
        println!(
            "killed {crash_at}, then {then:?}: lost {}, re-read {}, predicted {predicted}",
            seen.lost, seen.re_read
        );
        assert_eq!((seen.lost, seen.re_read), (0, predicted), "killed {crash_at}: {seen:?}");
    }
}

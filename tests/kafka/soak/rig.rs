//! What the soaks are made of: dual-writing producers, groups whose consumers count, their plan, and a look at the
//! running controller as a screen has it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cutover::controller::Handle;
use cutover::controller::link::attach::attach_to_controller;
use cutover::plan::Plan;
use cutover::session::options::Want;
use cutover::snapshot::{GroupRow, Snapshot};
use serde_json::Value;

use crate::support::kafka::{create_topic, pair};
use crate::support::patience::in_time;
use crate::support::unique;
use crate::support::workload::{
    Application, ApplicationOptions, Audit, Cluster, Switch, Traffic, TrafficOptions, audit,
};

/// How long anything may take on a machine that is many times slower: a translation alone may wait a minute for records
/// that are still on their way.
pub const SOON: Duration = Duration::from_secs(240);
/// Partitions of the topic.
const PARTITIONS: i32 = 2;

/// A group with its consumers.
pub struct Member {
    pub group: String,
    pub application: Application,
    switch: Switch,
}

/// A producer that writes a topic to both clusters, and groups that read it.
pub struct Estate {
    pub topic: String,
    pub flag: Switch,
    pub members: Vec<Member>,
    pub traffic: Traffic,
    producer: String,
}

impl Estate {
    /// Four writers at `rate` records a second, and an application for each of `groups`, all on blue with commits in
    /// every partition. Switches and flags lie in `dir`.
    pub fn start(dir: &Path, groups: &[&str], rate: u32) -> Estate {
        let traffic = TrafficOptions { writers: 4, rate, partitions: PARTITIONS, ..TrafficOptions::default() };
        Estate::start_with(dir, groups, &traffic, 1)
    }

    /// The same with producers of its own kind, over as many partitions on either side as they write to, and `instances`
    /// of each application on every cluster.
    pub fn start_with(dir: &Path, groups: &[&str], traffic: &TrafficOptions, instances: usize) -> Estate {
        let (pair, topic, producer) = (pair(), unique("soaked"), unique("loan-api"));
        create_topic(&pair.blue, &topic, traffic.partitions, &[]);
        create_topic(&pair.green, &topic, traffic.green_partitions.unwrap_or(traffic.partitions), &[]);
        let bootstrap = [pair.blue.bootstrap.as_str(), pair.green.bootstrap.as_str()];
        let topics = [topic.clone()];
        let flag = Switch::file(&dir.join(format!("{producer}.json")), &producer, "dual");
        let options = TrafficOptions {
            // The two logs hold records in orders of their own: moves have something to read again.
            jitter: Duration::from_millis(80),
            flag: Some(flag.clone()),
            ..traffic.clone()
        };
        let traffic = Traffic::start(bootstrap, &topics, &options);
        // A machine that stands still for some seconds throws nobody out of a group.
        let patient = ApplicationOptions {
            instances,
            properties: vec![("session.timeout.ms".into(), "60000".into())],
            ..ApplicationOptions::default()
        };
        let member = |name: &&str| {
            let group = unique(name);
            let switch = Switch::file(&dir.join(format!("{group}.json")), &group, "blue");
            let application = Application::start(bootstrap, &group, &topics, &switch, &patient);
            Member { group, application, switch }
        };
        let members: Vec<Member> = groups.iter().map(member).collect();
        for m in &members {
            m.application.wait_processed(300, SOON);
            // A partition without a commit is at its start, which is further behind than what comes after it.
            while m.application.behind(Cluster::Blue).values().any(|(at, _)| *at == 0) {
                m.application.wait_processed(m.application.processed() + 50, SOON);
            }
        }
        Estate { topic, flag, members, traffic, producer }
    }

    /// Its tables of the plan; `more` goes into each group's.
    pub fn toml(&self, more: &str) -> String {
        let mut text = format!(
            "[[producers]]\nname = {:?}\nteam = \"loans\"\ntopics = [{:?}]\ncritical = true\nflag = {}\n",
            self.producer,
            self.topic,
            self.flag.toml()
        );
        for m in &self.members {
            let (group, switch) = (&m.group, m.switch.toml());
            let topic = &self.topic;
            text += &format!(
                "[[groups]]\nname = {group:?}\nteam = \"loans\"\ntopics = [{topic:?}]\nswitch = {switch}\n{more}\n"
            );
        }
        text
    }

    /// Stops the traffic, lets every application read to the end of where it runs, and audits each.
    pub fn audits(self, on: Cluster) -> Vec<(String, Audit)> {
        let truth = self.traffic.stop();
        let audited = |m: Member| {
            m.application.wait_caught_up(on, SOON);
            (m.group, audit(&truth, &m.application.stop()))
        };
        self.members.into_iter().map(audited).collect()
    }
}

/// Limits under which a machine that is ten times slower moves a group, too.
pub const PATIENT: &str = "[defaults]\ndrain_still = \"1s\"\nsettle_timeout = \"60s\"\nmax_re_read = 50000\n";

/// Writes the plan of the shared pair.
pub fn write_plan(dir: &Path, more: &str) {
    let pair = pair();
    let text = format!(
        "[migration]\nname = \"soaked\"\n[clusters.blue]\nbootstrap = {:?}\nname = \"legacy\"\n[clusters.green]\nbootstrap = {:?}\n\
         name = \"psc\"\n{more}",
        pair.blue.bootstrap, pair.green.bootstrap
    );
    std::fs::write(dir.join("cutover.toml"), &text).unwrap();
    println!("{text}");
}

/// A look at the running controller, as a screen that came through its socket has it.
pub struct Look(pub Handle);

impl Look {
    /// Attaches as soon as a controller serves the plan's socket.
    pub async fn at(dir: &Path) -> Look {
        let plan = Plan::load(&dir.join("cutover.toml")).unwrap_or_else(|p| panic!("{p:?}")).plan;
        let attached = async {
            loop {
                if let Ok(Some(handle)) = attach_to_controller(&plan, Want::Armed).await {
                    return handle;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        Look(in_time(SOON, attached).await.expect("a controller serves its socket"))
    }

    /// Waits for a picture.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let wait = self.0.snapshots.wait_for(|s| holds(s));
        let seen = in_time(SOON, wait).await.map(|s| Arc::clone(&s.expect("the controller lives")));
        seen.unwrap_or_else(|| panic!("waited too long for: {what}; {:#?}", self.0.snapshot().groups))
    }
}

/// The row of a group.
pub fn row<'a>(s: &'a Snapshot, group: &str) -> &'a GroupRow {
    s.groups.iter().find(|g| g.group == group).expect("in the plan")
}

/// Entries of the journal, as `cutover journal export` gives them.
pub fn journal(dir: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["journal", "export"])
        .current_dir(dir)
        .env_remove("CUTOVER_PLAN")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of a kind.
pub fn events<'a>(journal: &'a [Value], kind: &str) -> Vec<&'a Value> {
    journal.iter().filter(|e| e["event"]["event"] == kind).collect()
}

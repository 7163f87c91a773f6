//! MirrorMaker 2 from blue to green, as a child process that goes with the test.

use std::fs;

use super::super::turns;
use super::jars::Libs;
use super::jvm::Jvm;
use super::{Broker, NEW, broker};

/// Small and quick: offset syncs for every batch, checkpoints and group offsets every second.
const PROPERTIES: &str = "\
clusters=blue, green
blue->green.enabled=true
green->blue.enabled=false
replication.policy.class=org.apache.kafka.connect.mirror.IdentityReplicationPolicy
tasks.max=1
replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
config.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
emit.checkpoints.interval.seconds=1
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=1
refresh.topics.interval.seconds=2
refresh.groups.interval.seconds=2
offset.lag.max=0
sync.topic.acls.enabled=false
emit.heartbeats.enabled=false
blue.consumer.auto.offset.reset=earliest
";
const STARTED: &[&str] = &["Kafka MirrorMaker started"];

/// A running MirrorMaker 2. Dropped, it is killed. One at a time on a pair of clusters: its own topics there have
/// fixed names.
#[derive(Debug)]
pub struct Mirror {
    jvm: Jvm,
}

impl Mirror {
    /// Copies `topics` under their own names, and translates the offsets of `groups`; both are regular expressions.
    /// Returns when it has started, long before the first record is there.
    pub fn start(blue: &Broker, green: &Broker, topics: &str, groups: &str) -> Mirror {
        Self::start_with(blue, green, topics, groups, &[])
    }

    /// The same with more lines of properties, which win over the kit's.
    pub fn start_with(blue: &Broker, green: &Broker, topics: &str, groups: &str, more: &[&str]) -> Mirror {
        let libs = Libs::connect(NEW);
        let dir = broker::run_dir("mirror");
        fs::create_dir_all(&dir).expect("a directory for MirrorMaker");
        let path = dir.join("mm2.properties");
        let text = format!(
            "{PROPERTIES}blue.bootstrap.servers={}\ngreen.bootstrap.servers={}\n\
             blue->green.topics={topics}\nblue->green.groups={groups}\n{}\n",
            blue.bootstrap,
            green.bootstrap,
            more.join("\n")
        );
        fs::write(&path, text).expect("mm2.properties");
        let mut args = libs.java("-Xmx512m");
        args.extend([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=info".into(),
            "org.apache.kafka.connect.mirror.MirrorMaker".into(),
            path.display().to_string(),
        ]);
        let _turn = turns::starting();
        let jvm = Jvm::start("mirror", &dir, &args, STARTED);
        jvm.wait_ready();
        Mirror { jvm }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.jvm.pid()
    }
}

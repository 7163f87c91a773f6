//! One broker (its own cluster), as KRaft or with its own ZooKeeper.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use super::jars::{self, Libs};
use super::jvm::Jvm;
use super::ports::{self, Port};

/// What a broker says when it serves: KRaft, then ZooKeeper mode.
pub const STARTED: &[&str] = &["Kafka Server started", "[KafkaServer id=1] started"];
const ZOOKEEPER_STARTED: &[&str] = &["binding to port"];

/// What both modes have in common: small, quick to rebalance, quick to clean.
const COMMON: &str = "\
num.partitions=3
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=200
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
";
const KRAFT: &str = "\
process.roles=broker,controller
node.id=1
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=500
metadata.max.idle.interval.ms=5000
log.initial.task.delay.ms=500
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
";

/// A running (or stopped) single-broker cluster. Dropped, it is killed and its data removed.
#[derive(Debug)]
pub struct Broker {
    /// "blue", "green", ...: for messages.
    pub name: String,
    /// `127.0.0.1:PORT`, PLAINTEXT.
    pub bootstrap: String,
    /// The cluster's id, as Metadata tells it; empty for a ZooKeeper broker, which makes its own.
    pub cluster_id: String,
    /// The jars it runs on.
    pub libs: Libs,
    /// Its directory: properties, logs, `NAME.log`.
    pub dir: PathBuf,
    properties: PathBuf,
    /// Options of its JVM besides the kit's own.
    options: Vec<String>,
    // Fields drop in order: the broker before its ZooKeeper, both before their ports are free again.
    jvm: Mutex<Option<Jvm>>,
    zookeeper: Option<Jvm>,
    _ports: Vec<Port>,
}

/// Writes `server.properties` of a KRaft node into `dir`, which is made. The first port is PLAINTEXT's.
pub fn kraft_properties(dir: &Path, extra: &[(&str, &str)]) -> (PathBuf, Vec<Port>) {
    let ports = vec![ports::take(), ports::take()];
    let (client, controller) = (ports[0].number, ports[1].number);
    let mut text = format!(
        "{COMMON}{KRAFT}log.dirs={}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{client}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
        dir.join("log").display(),
    );
    let fill =
        |value: &str| value.replace("{client}", &client.to_string()).replace("{controller}", &controller.to_string());
    // A later line wins in a Java properties file.
    text.extend(extra.iter().map(|(name, value)| format!("{name}={}\n", fill(value))));
    fs::create_dir_all(dir).expect("a broker directory");
    let path = dir.join("server.properties");
    fs::write(&path, text).expect("server.properties");
    (path, ports)
}

impl Broker {
    /// Starts a KRaft broker; it may not be ready yet (`wait_ready`), so that two can start side by side.
    /// `extra` properties win over the kit's; `{client}` and `{controller}` in a value become its ports.
    pub fn spawn(name: &str, libs: &Libs, extra: &[(&str, &str)]) -> Broker {
        Self::spawn_with_users(name, libs, extra, &[])
    }

    /// The same with SCRAM users, each as `kafka-storage format --add-scram` takes it.
    pub fn spawn_with_users(name: &str, libs: &Libs, extra: &[(&str, &str)], users: &[&str]) -> Broker {
        Self::spawn_whole(name, libs, extra, users, &[])
    }

    /// The same with options of its JVM (`-Dname=value`).
    pub fn spawn_whole(name: &str, libs: &Libs, extra: &[(&str, &str)], users: &[&str], options: &[String]) -> Broker {
        let dir = run_dir(name);
        let (properties, ports) = kraft_properties(&dir, extra);
        let cluster_id = cluster_id(name);
        let log = dir.join("log");
        if users.is_empty() {
            jars::copy_files(&libs.formatted(), &log).expect("the formatted directory is copied");
            let meta = fs::read_to_string(log.join("meta.properties")).expect("meta.properties");
            let meta = meta.lines().filter(|l| !l.starts_with("cluster.id=")).collect::<Vec<_>>().join("\n");
            fs::write(log.join("meta.properties"), format!("{meta}\ncluster.id={cluster_id}\n"))
                .expect("meta.properties");
        } else {
            libs.format(&properties, &cluster_id, users);
        }
        let broker = Broker {
            name: name.to_owned(),
            bootstrap: format!("127.0.0.1:{}", ports[0].number),
            cluster_id,
            libs: libs.clone(),
            dir,
            properties,
            options: options.to_vec(),
            jvm: Mutex::new(None),
            zookeeper: None,
            _ports: ports,
        };
        broker.launch();
        broker
    }

    /// Starts an old broker in ZooKeeper mode, and its ZooKeeper. `extra` as for [`Broker::spawn`].
    pub fn spawn_old(name: &str, libs: &Libs, extra: &[(&str, &str)]) -> Broker {
        let dir = run_dir(name);
        let zk_dir = dir.parent().expect("in the run's directory").join(format!("{name}-zookeeper"));
        fs::create_dir_all(&dir).expect("a broker directory");
        fs::create_dir_all(&zk_dir).expect("a ZooKeeper directory");
        let ports = vec![ports::take(), ports::take()];
        let (client, zk) = (ports[0].number, ports[1].number);
        let zoo = zk_dir.join("zoo.cfg");
        let text = format!(
            "dataDir={}\nclientPort={zk}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\ntickTime=2000\n",
            zk_dir.join("data").display()
        );
        fs::write(&zoo, text).expect("zoo.cfg");
        let mut args = libs.java("-Xmx128m");
        args.push("-Dorg.slf4j.simpleLogger.defaultLogLevel=info".into());
        args.extend([
            "-cp".into(),
            format!("{}/*", libs.dir.display()),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain".into(),
            zoo.display().to_string(),
        ]);
        let zookeeper = Jvm::start("zookeeper", &zk_dir, &args, ZOOKEEPER_STARTED);
        zookeeper.wait_ready();
        let properties = dir.join("server.properties");
        let mut text = format!(
            "{COMMON}broker.id=1\nzookeeper.connect=127.0.0.1:{zk}\nzookeeper.session.timeout.ms=40000\n\
             listeners=PLAINTEXT://127.0.0.1:{client}\nadvertised.listeners=PLAINTEXT://127.0.0.1:{client}\nlog.dirs={}\n",
            dir.join("log").display()
        );
        // A later line wins in a Java properties file.
        let fill = |value: &str| value.replace("{client}", &client.to_string());
        text.extend(extra.iter().map(|(name, value)| format!("{name}={}\n", fill(value))));
        fs::write(&properties, text).expect("server.properties");
        let broker = Broker {
            name: name.to_owned(),
            bootstrap: format!("127.0.0.1:{client}"),
            cluster_id: String::new(),
            libs: libs.clone(),
            dir,
            properties,
            options: Vec::new(),
            jvm: Mutex::new(None),
            zookeeper: Some(zookeeper),
            _ports: ports,
        };
        broker.launch();
        broker
    }

    /// Blocks until it serves.
    pub fn wait_ready(&self) {
        self.jvm.lock().expect("no panic holds it").as_ref().expect("it was started").wait_ready();
    }

    /// `kill -9` of the broker process. The data stays.
    pub fn kill(&self) {
        if let Some(jvm) = self.jvm.lock().expect("no panic holds it").take() {
            jvm.kill();
        }
    }

    /// An orderly shutdown. The data stays.
    pub fn stop(&self) {
        if let Some(jvm) = self.jvm.lock().expect("no panic holds it").take() {
            jvm.stop();
        }
    }

    /// Starts it again on the same port and data, and waits until it serves.
    pub fn restart(&self) {
        self.kill();
        self.launch();
        self.wait_ready();
    }

    /// Stops the process in its tracks (SIGSTOP): connections stay open and nothing answers. Returns when it stands.
    pub fn freeze(&self) {
        if let Some(jvm) = &*self.jvm.lock().expect("no panic holds it") {
            jvm.freeze();
        }
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Process id of the broker's JVM, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.jvm.lock().expect("no panic holds it").as_ref().map(Jvm::pid)
    }

    /// Process id of the watchdog, which ends after the broker does. Panics when the broker does not run.
    pub fn watchdog_pid(&self) -> u32 {
        self.jvm.lock().expect("no panic holds it").as_ref().expect("it runs").watchdog_pid()
    }

    /// Process id of its ZooKeeper's JVM, if it has one.
    pub fn zookeeper_pid(&self) -> Option<i32> {
        self.zookeeper.as_ref().map(Jvm::pid)
    }

    fn signal(&self, signal: Signal) {
        if let Some(jvm) = &*self.jvm.lock().expect("no panic holds it") {
            jvm.signal(signal);
        }
    }

    fn launch(&self) {
        let mut args = self.libs.java("-Xmx512m");
        args.extend(self.options.iter().cloned());
        args.extend([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=info".into(),
            "-Dorg.slf4j.simpleLogger.showDateTime=true".into(),
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS".into(),
            "kafka.Kafka".into(),
            self.properties.display().to_string(),
        ]);
        let jvm = Jvm::start("server", &self.dir, &args, STARTED);
        *self.jvm.lock().expect("no panic holds it") = Some(jvm);
    }
}

/// A directory for one server in this process's own run directory, which the last watchdog removes.
pub(super) fn run_dir(name: &str) -> PathBuf {
    // Process numbers come again. What a process that was killed with its watchdogs (a machine that went down) left behind
    // is a log directory of another cluster, and a broker that finds one refuses to start.
    static BEGAN: LazyLock<u128> =
        LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()));
    let run = std::env::temp_dir().join(format!("cutover-kit-run-{}-{:x}", std::process::id(), *BEGAN));
    run.join(super::super::unique(name))
}

/// A cluster id that shows its cluster's name: 22 characters of unpadded URL-safe base 64, the last of
/// which carries 4 zero bits, as a Kafka `Uuid` wants it.
fn cluster_id(name: &str) -> String {
    let letters: String = super::super::unique(name).to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("{letters:A<21.21}A")
}

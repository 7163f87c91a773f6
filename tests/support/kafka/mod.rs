//! Real Apache Kafka for tests: two clusters shared by a test binary, and extra ones to break.
//!
//! On first use the jars are fetched with `mvn` into `target/kit`. Needs `java` and `mvn`, nothing else.

pub mod admin;
pub mod broker;
mod guarded;
mod jars;
mod jvm;
mod mirror;
mod ports;
mod recorder;

use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::turns;

pub use admin::{
    commit, commit_offsets, consumer, create_topic, delete_records, end_offsets, end_offsets_as_seen, producer,
};
pub use broker::Broker;
pub use guarded::{connect_as, start_guarded};
pub use mirror::Mirror;
pub use ports::{Port as HeldPort, listen as listen_on_port, take as take_port};
pub use recorder::Recorder;

/// The newest Kafka whose broker and tools are on Maven Central.
pub const NEW: &str = "4.3.1";
/// The old one: ZooKeeper, no batched OffsetFetch, no KIP-664.
pub const OLD: &str = "2.8.2";

/// The two clusters that all tests of a binary share. Topics and groups take `unique` names.
#[derive(Debug)]
pub struct Pair {
    /// The cluster to move away from.
    pub blue: Broker,
    /// The cluster to move to.
    pub green: Broker,
}

/// Blue and green, 4.3.1 each, one broker each; started by the first caller.
pub fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let libs = jars::Libs::get(NEW);
        // Nobody kills them: a machine that stands still for some seconds is no reason to fence them.
        let patient = [("broker.session.timeout.ms", "120000")];
        let spawn = |name: &str| Broker::spawn(name, &libs, &patient);
        let pair = Pair { blue: spawn("blue"), green: spawn("green") };
        pair.blue.wait_ready();
        pair.green.wait_ready();
        pair
    })
}

/// A broker of Kafka 2.8.2 in ZooKeeper mode, to move away from; shared like `pair`, started by the first caller.
pub fn old_blue() -> &'static Broker {
    static OLD_BLUE: OnceLock<Broker> = OnceLock::new();
    OLD_BLUE.get_or_init(|| throwaway_old("old-blue", &[]))
}

/// A broker of Kafka 2.8.2 in ZooKeeper mode of one's own, like `throwaway`.
pub fn throwaway_old(name: &str, extra: &[(&str, &str)]) -> Broker {
    let libs = jars::Libs::get(OLD);
    let _turn = turns::starting();
    let broker = Broker::spawn_old(name, &libs, extra);
    broker.wait_ready();
    broker
}

/// A broker of one's own to break: killed, stopped, frozen, restarted. Gone when dropped.
pub fn throwaway(name: &str, extra: &[(&str, &str)]) -> Broker {
    throwaway_with_users(name, extra, &[])
}

/// The same with SCRAM users from its first moment on, each as `kafka-storage format --add-scram` takes it.
pub fn throwaway_with_users(name: &str, extra: &[(&str, &str)], users: &[&str]) -> Broker {
    let libs = jars::Libs::get(NEW);
    let _turn = turns::starting();
    let broker = Broker::spawn_with_users(name, &libs, extra, users);
    broker.wait_ready();
    broker
}

/// Runs one of Kafka's command line tools (4.3.1), for example
/// `org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`, and gives everything it said.
pub fn tool_output(class: &str, args: &[&str]) -> Output {
    let libs = jars::Libs::get(NEW);
    let mut java = libs.java("-Xmx512m");
    java.extend(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error".to_owned(), class.to_owned()]);
    Command::new("java").args(java).args(args).stdin(Stdio::null()).output().expect("java runs")
}

/// Like `tool_output`, for a tool that must succeed: its stdout.
pub fn tool(class: &str, args: &[&str]) -> String {
    let output = tool_output(class, args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{class} {args:?} failed: {out}{err}");
    out.into_owned()
}

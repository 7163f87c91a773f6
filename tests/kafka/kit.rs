//! The kit itself: clusters that start, answer, break on request, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{kafka, unique};

#[test]
fn the_pair_is_two_clusters() {
    let pair = kafka::pair();
    assert_ne!(pair.blue.cluster_id, pair.green.cluster_id);
    let topic = unique("kit-pair");
    kafka::create_topic(&pair.blue, &topic, 2, &[]);
    let list =
        kafka::tool("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", &pair.blue.bootstrap, "--list"]);
    assert!(list.lines().any(|l| l == topic), "{list}");
    assert_eq!(kafka::end_offsets(&pair.blue, &topic).into_iter().collect::<Vec<_>>(), [(0, (0, 0)), (1, (0, 0))]);
    let cluster = kafka::tool(
        "kafka.tools.StorageTool",
        &["info", "-c", &pair.green.dir.join("server.properties").display().to_string()],
    );
    assert!(cluster.contains(&pair.green.cluster_id), "{cluster}");
}

/// `kill -9` of a test process takes its brokers and their data along. The test runs itself as that process.
#[test]
fn a_killed_test_process_leaves_no_broker() {
    if std::env::var_os("CUTOVER_KIT_DOOMED").is_some() {
        let broker = kafka::throwaway("doomed", &[]);
        println!("\ndoomed {} {} {}", broker.pid().expect("it runs"), broker.watchdog_pid(), broker.dir.display());
        loop {
            std::thread::park();
        }
    }
    let mut doomed = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "kit::a_killed_test_process_leaves_no_broker", "--nocapture"])
        .env("CUTOVER_KIT_DOOMED", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test starts itself");
    let output = BufReader::new(doomed.stdout.take().expect("piped"));
    let line = output.lines().map_while(Result::ok).find_map(|l| l.strip_prefix("doomed ").map(str::to_owned));
    let line = line.expect("the broker's process id");
    let [jvm, watchdog, dir] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert!(Path::new(dir).exists() && Path::new("/proc").join(jvm).exists());

    doomed.kill().expect("kill -9");
    doomed.wait().expect("it is gone");
    // Ends when the watchdog does.
    Command::new("tail").args(["-f", "/dev/null", "--pid", watchdog]).status().expect("tail waits");
    assert!(!Path::new("/proc").join(jvm).exists(), "the broker {jvm} outlived its test");
    assert!(!Path::new(dir).exists(), "{dir} was left behind");
}

#[test]
fn a_broker_can_be_killed_stopped_and_restarted_with_its_data() {
    let broker = kafka::throwaway("restarted", &[]);
    kafka::create_topic(&broker, "kept", 3, &[]);
    let before = broker.pid();
    broker.kill();
    broker.restart();
    assert_ne!(broker.pid(), before);
    assert_eq!(kafka::end_offsets(&broker, "kept").len(), 3);
    broker.stop();
    assert!(broker.pid().is_none());
    broker.restart();
    assert_eq!(kafka::end_offsets(&broker, "kept").len(), 3);
}

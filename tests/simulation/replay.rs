//! Replays that are refused, and what their person is told to do: nothing that is refused as well. The real program over
//! simulated clusters.

use std::process::Command;

use cutover::base::Side;
use cutover::sim::state::{BatchProducer, IsolationLevel, NewRecord, ResponseError};
use cutover::sim::{SimCluster, SimConfig};

const RESUME: &str = "cutover replay --resume";

struct Ground {
    dir: tempfile::TempDir,
    blue: SimCluster,
    green: SimCluster,
}

impl Ground {
    fn start() -> Self {
        let start = |side| SimCluster::start(SimConfig { brokers: 1, ..SimConfig::new(side) }).expect("a cluster");
        let ground =
            Self { dir: tempfile::tempdir().expect("a directory"), blue: start(Side::Blue), green: start(Side::Green) };
        let plan = format!(
            "[migration]\nname = \"m\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n",
            ground.blue.bootstrap(),
            ground.green.bootstrap()
        );
        std::fs::write(ground.dir.path().join("cutover.toml"), plan).expect("a plan");
        ground
    }

    /// A topic with so many partitions on blue and on green, and so many records in each of blue's.
    fn topic(&self, name: &str, (blue, green): (i32, i32), records: i64) {
        self.green.with_state(|s| s.create_topic(name, green, 1, &[], false)).expect("a topic");
        self.blue.with_state_at(|s, now| {
            s.create_topic(name, blue, 1, &[], false).expect("a topic");
            for partition in 0..blue {
                let record = |n: i64| NewRecord::new(format!("k{partition}-{n}"), "v", now - 3_600_000 + n);
                let records: Vec<NewRecord> = (0..records).map(record).collect();
                s.append_records(now, name, partition, &records, BatchProducer::PLAIN, None).expect("records");
            }
        });
    }

    /// How a replay ended, and what it said on standard error.
    fn replay(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .arg("replay")
            .args(args)
            .arg("--no-read-back")
            .current_dir(self.dir.path())
            .env_remove("CUTOVER_PLAN")
            .output()
            .expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What a reader of committed records is given of a topic's first partition on green.
    fn arrived(&self, topic: &str) -> usize {
        let read = |s: &mut cutover::sim::state::SimState| {
            s.log(topic, 0).map_or(0, |log| log.records(0, IsolationLevel::ReadCommitted).len())
        };
        self.green.with_state(read)
    }
}

#[test]
fn where_a_limit_refuses_it_is_raised_before_anybody_goes_on() {
    let ground = Ground::start();
    for (topic, refusal, first) in [
        ("large", ResponseError::MessageTooLarge, "raise max.message.bytes of the topic"),
        (
            "old",
            ResponseError::InvalidTimestamp,
            "raise message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic",
        ),
        ("ruled", ResponseError::PolicyViolation, "takes none without a key)"),
    ] {
        ground.topic(topic, (1, 1), 10);
        ground.green.with_state(|s| s.faults.fail_next_produces(topic, 1_000, refusal));
        let (code, err) = ground.replay(&["--range", &format!("{topic}:0:0-10"), "--yes", topic]);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(&format!("{first}; then go on with `{RESUME} ")), "{topic}: {err}");
        let (code, err) = ground.replay(&["--resume"]);
        assert_eq!(code, Some(1), "the limit is still there: {err}");
        assert!(err.contains(&format!("{first}; then go on with `{RESUME} ")), "{topic}: {err}");
        ground.green.with_state(|s| s.faults.fail_produce.clear());
        let (code, err) = ground.replay(&["--resume"]);
        assert_eq!((code, ground.arrived(topic)), (Some(0), 10), "{topic}: {err}");
    }
}

#[test]
fn nobody_is_sent_to_go_on_where_it_cannot_be_known_what_was_carried() {
    let ground = Ground::start();
    ground.topic("t", (1, 1), 10);
    let args = ["--range", "t:0:0-10", "--no-mark", "--yes", "t"];
    ground.green.with_state(|s| s.faults.fail_next_produces("t", 1_000, ResponseError::MessageTooLarge));
    assert_eq!(ground.replay(&args).0, Some(1));
    ground.green.with_state(|s| s.faults.fail_produce.clear());
    // Without marks nobody can tell whether the replay wrote it, and no progress stands.
    ground.green.with_state_at(|s, now| {
        let record = [NewRecord::new("another", "v", now)];
        s.append_records(now, "t", 0, &record, BatchProducer::PLAIN, None).expect("a record");
    });
    let (code, err) = ground.replay(&["--resume"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("the progress of replay") && err.contains("with --again"), "{err}");
    assert!(!err.contains(RESUME), "that is refused again: {err}");
    // What is said instead is taken, and without it is not.
    let (code, err) = ground.replay(&args);
    assert!(code == Some(1) && err.contains("--again"), "{err}");
    let (code, err) = ground.replay(&[&args[..], &["--again"]].concat());
    assert_eq!((code, ground.arrived("t")), (Some(0), 11), "{err}");
}

#[test]
fn what_can_never_keep_its_progress_is_refused_before_it_begins() {
    let ground = Ground::start();
    ground.topic("wide", (151, 1), 1);
    let ranges: Vec<String> = (0..151).map(|p| format!("wide:{p}:0-1")).collect();
    let mut args: Vec<&str> = ranges.iter().flat_map(|range| ["--range", range]).collect();
    args.extend(["--yes", "wide"]);
    let (code, err) = ground.replay(&args);
    assert_eq!((code, ground.arrived("wide")), (Some(1), 0), "{err}");
    assert!(err.contains("151 source partitions share partition wide-0"), "{err}");
    assert!(err.contains("replay fewer partitions at a time") && !err.contains("--resume"), "{err}");
    // As it says: the journal knows of nothing that would carry some of these.
    let (code, err) = ground.replay(&[&args[..300], &["--yes", "wide"]].concat());
    assert_eq!((code, ground.arrived("wide")), (Some(0), 150), "{err}");
}

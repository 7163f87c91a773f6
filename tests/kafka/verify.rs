//! The cockpit's diff and the live figure of dual writing, on two real clusters.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cutover::base::TopicPartition;
use cutover::controller::{Controller, Handle};
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::writer::{Outgoing, RecordWriter};
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};
use cutover::snapshot::{
    Ask, DiffAdvice, DiffSpan, DiffState, DiffWhat, Fidelity, FidelityVerdict, ProducerRow, Reply, Snapshot,
};
use serde_json::Value;

use crate::support::faulty::Faulty;
use crate::support::kafka::{Broker, create_topic, pair};
use crate::support::unique;

const PATIENCE: Duration = Duration::from_secs(120);
const WITHIN: Duration = Duration::from_secs(240);

/// A plan of the pair; `more` is added to it.
fn plan(dir: &Path, more: &str) -> Plan {
    let pair = pair();
    let text = format!(
        "[migration]\nname = \"verify\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n{more}",
        pair.blue.bootstrap, pair.green.bootstrap
    );
    let file = dir.join("cutover.toml");
    std::fs::write(&file, text).expect("a plan");
    Plan::load(&file).unwrap_or_else(|p| panic!("{p:?}")).plan
}

async fn until(handle: &mut Handle, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let wait = handle.snapshots.wait_for(|s| holds(s));
    let found = tokio::time::timeout(PATIENCE, wait).await;
    Arc::clone(&found.unwrap_or_else(|_| panic!("waited too long for: {what}")).expect("the controller lives"))
}

fn both(topic: &str, partitions: i32) {
    create_topic(&pair().blue, topic, partitions, &[]);
    create_topic(&pair().green, topic, partitions, &[]);
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cockpit_finds_what_is_missing_and_its_command_carries_it() {
    let topic = unique("verified");
    let faulty = Faulty { partitions: 3, records: 9_000, keys: 300, faults: 20, bytes: 100, seed: 3 };
    both(&topic, faulty.partitions as i32);
    let truth = faulty.write(&topic, &pair().blue, &pair().green);
    let dir = tempfile::tempdir().expect("a directory");
    let plan = plan(dir.path(), "");
    let mut handle = Controller::start(plan, Options::new(Want::ReadOnly, "ada@bastion"));
    let ask = Ask::StartDiff {
        id: 1,
        what: DiffWhat::Topics(vec![topic.clone()]),
        span: DiffSpan::Comparable,
        resume: false,
        actor: "ada@bastion".into(),
    };
    handle.asks.send(ask).await.expect("sent");
    assert!(matches!(handle.replies.recv().await, Some(Reply::Diff { id: 1, result: Ok(()) })));
    let over = |s: &Snapshot| s.diff.as_ref().is_some_and(|d| !d.is_running());
    let done = until(&mut handle, "the end of the diff", over).await;
    handle.shutdown().await;
    let Some(DiffState::Done { result, .. }) = done.diff.as_ref().map(|d| &d.state) else { panic!("{:?}", done.diff) };
    let found = result.found;
    assert_eq!((found.missing, found.only_target), (truth.missing.len() as u64, truth.only_green.len() as u64));
    assert_eq!((found.duplicated_target, found.reordered), (truth.doubled.len() as u64, truth.swapped.len() as u64));
    assert_eq!(found.equal, truth.equal);
    let file = result.file.as_ref().expect("the document");
    let document: Value = serde_json::from_slice(&std::fs::read(file).expect("written")).expect("JSON");
    let mut ranges = BTreeSet::new();
    for p in document["topics"][0]["partitions"].as_array().expect("partitions") {
        for range in p["missing_ranges"].as_array().expect("ranges") {
            let (from, to) = (range[0].as_i64().expect("an offset"), range[1].as_i64().expect("an offset"));
            ranges.extend((from..to).map(|o| (p["partition"].as_u64().expect("a number") as usize, o)));
        }
    }
    assert_eq!(ranges, truth.missing);

    // The command as it stands there, with the confirmation.
    let command =
        result.next.iter().map(DiffAdvice::text).find(|l| l.starts_with("cutover replay ")).expect("a command");
    println!("{command}");
    let words = command.strip_prefix("cutover ").expect("ours").split(' ').map(ToOwned::to_owned);
    let args: Vec<String> =
        words.chain(["--json", "--accept-reorder", "--yes", topic.as_str()].map(ToOwned::to_owned)).collect();
    let ran =
        Command::new(env!("CARGO_BIN_EXE_cutover")).current_dir(dir.path()).args(&args).output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    println!("carried {}, after {}", report["carried"], report["after"]);
    assert_eq!((ran.status.code(), report["carried"].as_u64()), (Some(0), Some(truth.missing.len() as u64)), "{said}");
    assert_eq!(report["after"]["missing"].as_u64(), Some(0), "{}", report["after"]);
}

/// Sends records to some of the sides, each at the same moment; ends when all are written.
fn send(writers: &[&RecordWriter], topic: &str, records: impl Iterator<Item = (i32, String)>) {
    for (partition, value) in records {
        let (value, at) = (value.as_bytes(), now());
        let record = Outgoing { key: Some(value), value: Some(value), timestamp: Some(at), headers: &[] };
        for writer in writers {
            writer.send(&TopicPartition::new(topic, partition), &record).expect("sent");
        }
    }
    writers.iter().for_each(|w| w.flush().expect("written"));
}

fn row<'a>(s: &'a Snapshot, name: &str) -> &'a ProducerRow {
    s.producers.iter().find(|p| p.name == name).expect("in the plan")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dual_producers_figure_follows_what_arrives_on_both() {
    let (topic, green_only) = (unique("dual"), unique("empty"));
    both(&topic, 2);
    both(&green_only, 1);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(
        dir.path().join("flags.json"),
        r#"{"flags": {"w": {"state": "ENABLED", "variants": {"blue": "blue", "dual": "dual", "green": "green"},
           "defaultVariant": "dual"}}}"#,
    )
    .expect("flags");
    let producer = |name: &str, topic: &str| {
        format!(
            "[[producers]]\nname = \"{name}\"\ntopics = [\"{topic}\"]\n\
             flag = {{ provider = \"file\", path = \"flags.json\", key = \"w\" }}\n"
        )
    };
    let more = format!(
        "{}{}[[topics]]\npattern = \".*\"\narrival_skew = \"10s\"\npair_delta = \"1s\"\n[diff]\nfidelity = \"1s\"\n",
        producer("writer", &topic),
        producer("idle", &green_only)
    );
    let plan = plan(dir.path(), &more);
    let record = |n: usize| ((n % 2) as i32, format!("record-{n}"));
    let open = |broker: &Broker| {
        RecordWriter::open(&ClientProperties::default(), &broker.bootstrap, WITHIN).expect("a writer")
    };
    let (blue, green) = (open(&pair().blue), open(&pair().green));
    send(&[&blue, &green], &topic, (0..200).map(record));
    let mut handle = Controller::start(plan, Options::new(Want::ReadOnly, "ada@bastion"));
    let verdict = |s: &Snapshot| row(s, "writer").fidelity.verdict(s.now);
    // The first records only show where the topic begins on green: what came a second later is judged.
    let mut sent = 200;
    let verified = loop {
        send(&[&blue, &green], &topic, (sent..sent + 20).map(record));
        sent += 20;
        assert!(sent < 200_000, "{:?}", row(&handle.snapshot(), "writer").fidelity);
        let snapshot = handle.snapshot();
        match verdict(&snapshot) {
            FidelityVerdict::Verified => break snapshot,
            other => assert!(
                matches!(other, FidelityVerdict::None | FidelityVerdict::Idle | FidelityVerdict::Partial),
                "{other:?}"
            ),
        }
        handle.snapshots.changed().await.expect("the controller lives");
    };
    let Fidelity::Sampled(figure) = &row(&verified, "writer").fidelity else { panic!("sampled") };
    println!(
        "{}; {}",
        row(&verified, "writer").fidelity.describe_briefly(verified.now, |ms| format!("{ms}ms")),
        figure.found
    );
    assert!(figure.found > 0 && figure.missing == 0, "{figure:?}");
    let Fidelity::NotSampled { why } = &row(&verified, "idle").fidelity else {
        panic!("{:?}", row(&verified, "idle").fidelity)
    };
    assert!(why.contains("no record yet"), "{why}");

    // A send that fails on green alone is seen as soon as it is settled.
    send(&[&blue], &topic, (0..3).map(|n| (0, format!("lost-{n}"))));
    let lost = until(&mut handle, "a missing record", |s| verdict(s) == FidelityVerdict::Differs).await;
    let Fidelity::Sampled(figure) = &row(&lost, "writer").fidelity else { panic!("sampled") };
    println!("{}", row(&lost, "writer").fidelity.describe_fully());
    assert!((1..=3).contains(&figure.missing), "{figure:?}");
    assert_eq!(figure.only_green, 0);
    handle.shutdown().await;
}

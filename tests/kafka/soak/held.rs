//! A transaction that hangs on green while a group soaks there: it starves, and everything says so.

use cutover::migration::rules::gate::Gate;
use cutover::migration::soak::criteria::Metric;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use super::rig::{Estate, Look, PATIENT, SOON, row, write_plan};
use crate::support::kafka::{pair, producer};
use crate::support::unique;
use crate::support::workload::Cluster;
use crate::watch::{Watch, cutover};

/// Opens a transaction with one record in it, and leaves it open.
fn hang(topic: &str, id: &str) -> BaseProducer {
    let properties = [("transactional.id", id), ("transaction.timeout.ms", "800000")];
    let producer = producer(&pair().green, &properties);
    producer.init_transactions(SOON).expect("a producer id");
    producer.begin_transaction().expect("begun");
    producer
        .send(BaseRecord::to(topic).key("hangs").payload("hangs").partition(0))
        .map_err(|(e, _)| e)
        .expect("queued");
    producer.flush(SOON).expect("written");
    producer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_starves_behind_a_hanging_transaction_never_passes_its_soak() {
    let dir = tempfile::tempdir().unwrap();
    let estate = tokio::task::block_in_place(|| Estate::start(dir.path(), &["starves"], 60));
    let (group, topic) = (estate.members[0].group.clone(), estate.topic.clone());
    let criteria = "criteria = { lag_below = 100000, lag_for = \"3s\" }";
    write_plan(dir.path(), &format!("{PATIENT}sample_gap = \"10s\"\n{}", estate.toml(criteria)));
    let watch = Watch::start(dir.path());
    tokio::task::block_in_place(|| watch.line("armed", |v| v["arming"] == "armed"));
    let run = |args: &[&str]| tokio::task::block_in_place(|| cutover(dir.path(), args));
    let (code, _, err) = run(&["group", "cutover", &group, &format!("--yes={group}")]);
    assert_eq!(code, Some(0), "{err}");
    let mut look = Look::at(dir.path()).await;
    let lag = |s: &cutover::snapshot::Snapshot| {
        row(s, &group).gates.iter().find(|g| g.metric == Metric::Lag).map(|g| g.gate.clone())
    };
    look.until("PASS", |s| lag(s) == Some(Gate::Pass)).await;

    // It hangs: what is written behind it nobody reads, however generous the limit is.
    let id = unique("hangs");
    let hanging = tokio::task::block_in_place(|| hang(&topic, &id));
    let named = format!("({id}), open for");
    let starves = |s: &cutover::snapshot::Snapshot| {
        let unknown =
            matches!(lag(s), Some(Gate::Unknown { why }) if why.contains(&named) && why.contains("on green at"));
        let side = &row(s, &group).green;
        unknown && side.stuck && side.lag > side.lag_stable
    };
    let seen = look.until("UNKNOWN, by name", starves).await;
    println!("{:?} {:?}", lag(&seen), row(&seen, &group).green);
    assert!(seen.notices.iter().any(|n| n.trouble.what.contains("stuck on green: an open transaction of producer")));
    let (code, _, err) = run(&["group", "complete", &group, &format!("--yes={group}")]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains(&named), "{err}");
    let (_, out, _) = run(&["lag", "--json"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    let of = said["groups"].as_array().unwrap().iter().find(|g| g["group"] == *group).unwrap();
    let green = &of["green"];
    println!("{green}");
    assert!(green["lag"].as_u64() > green["lag_stable"].as_u64() && green["stuck"] == true, "{green}");
    assert!(green["waits"].as_str().is_some_and(|w| w.contains(&named)), "{green}");

    // It ends: the group reads on, and the soak goes on where it stood.
    tokio::task::block_in_place(|| hanging.abort_transaction(SOON).expect("aborted"));
    look.until("PASS again", |s| lag(s) == Some(Gate::Pass) && row(s, &group).green.waits.is_none()).await;
    let (code, _, err) = run(&["group", "complete", &group, &format!("--yes={group}")]);
    assert_eq!(code, Some(0), "{err}");
    drop(look);
    let (_, audit) = tokio::task::block_in_place(|| estate.audits(Cluster::Green)).remove(0);
    println!("{audit}");
    assert_eq!(audit.lost, Vec::<u64>::new(), "{audit}");
}

//! `init` on two real clusters: what is there is in the plan, and the plan loads.

use std::path::Path;
use std::time::Duration;

use cutover::base::Side;
use cutover::estate::ClusterView;
use cutover::kafka::control::{Cluster, SnapshotOptions};
use cutover::kafka::properties::ClientProperties;
use cutover::plan::Plan;
use cutover::plan::generate::{FoundCluster, generate_plan};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};

use crate::support::kafka::{Broker, consumer, create_topic, pair, producer};
use crate::support::unique;

async fn seen(side: Side, broker: &Broker) -> ClusterView {
    let cluster = Cluster::new(side, &broker.bootstrap, &ClientProperties::default());
    let everything = SnapshotOptions::default();
    let snapshot = cluster.snapshot(&everything);
    tokio::time::timeout(Duration::from_secs(240), snapshot).await.expect("in time").expect("a snapshot")
}

#[test]
fn init_writes_what_is_there_and_it_loads() {
    let pair = pair();
    let (same, differs, missing, group) = (unique("same"), unique("differs"), unique("missing"), unique("readers"));
    for (topic, n) in [(&same, 3), (&differs, 2), (&missing, 1)] {
        create_topic(&pair.blue, topic, n, &[]);
    }
    create_topic(&pair.green, &same, 3, &[]);
    create_topic(&pair.green, &differs, 4, &[]);

    let reader = consumer(&pair.blue, &group, &[("client.id", "readers-7f9c"), ("auto.offset.reset", "earliest")]);
    reader.subscribe(&[&same, &missing]).expect("a subscription");
    let writer = producer(&pair.blue, &[("transactional.id", &unique("tx"))]);
    let wait = Duration::from_secs(240);
    writer.init_transactions(wait).expect("a producer id");
    writer.begin_transaction().expect("a transaction");
    writer.send(BaseRecord::<str, str>::to(&differs).partition(1).payload("open")).map_err(|(e, _)| e).expect("a send");
    writer.flush(wait).expect("the record is written");
    // the reader has joined once it is assigned
    let deadline = std::time::Instant::now() + wait;
    while reader.assignment().expect("an assignment").count() < 4 {
        assert!(std::time::Instant::now() < deadline, "the reader never joined");
        let _ = reader.poll(Duration::from_millis(100));
    }

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (blue, green) =
        runtime.block_on(async { (seen(Side::Blue, &pair.blue).await, seen(Side::Green, &pair.green).await) });
    let plan = Plan::from_bootstraps(&pair.blue.bootstrap, &pair.green.bootstrap).expect("two addresses").plan;
    let text = generate_plan(
        "from-real",
        FoundCluster { plan: &plan.clusters.blue, view: &blue },
        FoundCluster { plan: &plan.clusters.green, view: &green },
    );
    writer.abort_transaction(wait).expect("an abort");

    let loaded = Plan::parse(&text, Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}\n{text}")).plan;
    assert_eq!(loaded.clusters.blue.cluster_id, blue.cluster_id);
    assert_ne!(loaded.clusters.blue.cluster_id, loaded.clusters.green.cluster_id);
    let mut topics = vec![missing.clone(), same.clone()];
    topics.sort();
    assert_eq!(loaded.group(&group).expect("the group").topics, topics);
    let about = |name: &str| {
        let from = text.find(&format!("name = \"{name}\"")).unwrap_or_else(|| panic!("{name} in\n{text}"));
        text[from..].split("\n\n").next().unwrap_or_default().to_owned()
    };
    println!("{}\n\n{}\n\n{}", about(&differs), about(&missing), about(&group));
    assert!(about(&same).contains("# 3 partitions on both"));
    assert!(about(&differs).contains("# PARTITIONS DIFFER: 2 on blue, 4 on green"));
    assert!(about(&differs).contains("# a transaction was open on partition 1"));
    assert!(about(&missing).contains("# 1 partition; MISSING on green"));
    assert!(about(&group).contains("# Stable on blue, 1 member\n#   client id readers-7f9c at 127.0.0.1"));
    assert!(about(&group).contains(&format!("# MISSING on green: {missing}")));
}

//! The control plane against the demo's estate: three brokers a cluster, live traffic, a broker that dies.

use std::time::Duration;

use cutover::base::Side;
use cutover::estate::{ClusterView, GroupKind, GroupState};
use cutover::kafka::control::{Cluster, SnapshotOptions, Which};
use cutover::kafka::properties::ClientProperties;
use cutover::sim::{DemoConfig, DemoEstate, Incident};

const PATIENCE: Duration = Duration::from_secs(240);

/// Looks until the view is as wanted, within a bound.
async fn seen(cluster: &Cluster, what: &str, wanted: impl Fn(&ClusterView) -> bool) -> ClusterView {
    let options = SnapshotOptions { configs: Which::only(["payments"]), ..SnapshotOptions::default() };
    let look = async {
        loop {
            let view = cluster.snapshot(&options).await.unwrap();
            if wanted(&view) {
                return view;
            }
        }
    };
    crate::patience::in_time(PATIENCE, look).await.unwrap_or_else(|| panic!("waited in vain for: {what}"))
}

#[test]
fn a_snapshot_of_the_demo_is_complete_and_survives_a_broker() {
    let dir = tempfile::tempdir().unwrap();
    crate::turns::heavy();
    let estate = DemoEstate::start(DemoConfig::new(dir.path())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let bootstrap = estate.cluster(Side::Blue).bootstrap();
        let cluster = Cluster::new(Side::Blue, &bootstrap, &ClientProperties::default());
        let groups = &estate.estate().groups;
        let all_stable = |view: &ClusterView| {
            groups.iter().all(|g| view.groups.get(&g.name).is_some_and(|v| v.state == GroupState::Stable))
        };
        let view = seen(&cluster, "every group is Stable", all_stable).await;
        assert_eq!(view.cluster_id, Some(estate.cluster(Side::Blue).cluster_id()));
        assert_eq!((view.brokers.len(), view.topics.len(), view.groups.len()), (3, 12, groups.len()));
        for (name, group) in &view.groups {
            assert_eq!((group.kind, &group.trouble), (GroupKind::Classic, &None), "{name}");
            assert_eq!(group.members[0].client_id, format!("{name}-pod-1"));
            assert!(!group.members[0].assigned.is_empty(), "{name}");
        }
        for (name, topic) in &view.topics {
            for p in &topic.partitions {
                assert_eq!((&p.trouble, p.replicas, p.isr), (&None, 3, 3), "{name}");
                assert!(p.log_start <= p.lso && p.lso <= p.high_watermark, "{name}: {p:?}");
            }
        }
        assert_eq!(view.topics["payments"].config["retention.ms"], "604800000");
        let behind: i64 = (0..4)
            .map(|p| {
                let end = view.topics["audit-raw"].partitions[p as usize].lso.unwrap();
                end - view.groups["audit-archive"].committed_offset("audit-raw", p).unwrap()
            })
            .sum();
        assert!((15_000..25_000).contains(&behind), "{behind}");

        estate.start_incident(&Incident::BrokerDown { side: Side::Blue, broker: 2 });
        let whole = |view: &ClusterView| {
            view.brokers.len() == 2
                && all_stable(view)
                && view.topics.values().flat_map(|t| &t.partitions).all(|p| p.trouble.is_none() && p.isr == 2)
        };
        seen(&cluster, "two brokers carry everything", whole).await;
        estate.recover();
        seen(&cluster, "the third is back", |v| v.brokers.len() == 3 && all_stable(v)).await;
    });
}

/// The simulation's own view of itself, which the deterministic runs observe with, is what the control plane sees.
#[test]
fn a_state_sees_itself_as_the_control_plane_does() {
    use cutover::sim::state::{BatchProducer, Commit, NewRecord};
    use cutover::sim::{SimCluster, SimConfig};
    use rdkafka::consumer::{BaseConsumer, Consumer};

    let sim = SimCluster::start(SimConfig::new(Side::Blue)).unwrap();
    sim.with_state_at(|s, now| {
        s.create_topic("t", 3, 3, &[], false).unwrap();
        s.append_records(
            now,
            "t",
            1,
            &[NewRecord::new("k", "v", now), NewRecord::new("k", "v", now)],
            BatchProducer::PLAIN,
            None,
        )
        .unwrap();
        s.delete_records("t", 1, 1).unwrap();
        let x = s.init_producer(now, Some("x"), 60_000, (-1, -1)).unwrap();
        s.add_partitions(now, "x", x, &[("t".to_owned(), 2)]).unwrap();
        let writer = BatchProducer { id: x.0, epoch: x.1, sequence: 0, transactional: true };
        s.append_records(now, "t", 2, &[NewRecord::new("k", "v", now)], writer, Some("x")).unwrap();
        let commit = Commit { offset: 1, leader_epoch: -1, ..Commit::default() };
        s.commit_offset("idle", "t", 1, commit).unwrap();
        s.kill_broker(3);
    });
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", sim.bootstrap())
        .set("group.id", "busy")
        .create()
        .unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let start = std::time::Instant::now();
    while consumer.assignment().unwrap().count() < 3 {
        let _ = consumer.poll(Duration::from_millis(20));
        assert!(start.elapsed() < PATIENCE, "waited in vain for an assignment");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        let control = Cluster::new(Side::Blue, &sim.bootstrap(), &ClientProperties::default());
        seen(&control, "a whole look", |v| {
            v.groups.values().all(|g| g.state == GroupState::Stable || g.members.is_empty())
        })
        .await
    });
    assert_eq!(seen, sim.with_state(|s| s.view_cluster()));
}

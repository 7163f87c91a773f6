//! The control plane against the demo's estate: three brokers a cluster, live traffic, a broker that dies.

use std::time::Duration;

use cutover::kafka::control::{Cluster, SnapshotOptions, Which};
use cutover::kafka::properties::ClientProperties;
use cutover::migration::estate::{ClusterView, GroupKind, GroupState, Side};
use cutover::sim::{DemoConfig, DemoEstate, Incident};

const PATIENCE: Duration = Duration::from_secs(20);

/// Looks until the view is as wanted, at most 20 s.
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
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("waited 20 s for: {what}"))
}

#[test]
fn a_snapshot_of_the_demo_is_complete_and_survives_a_broker() {
    let dir = tempfile::tempdir().unwrap();
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
                end - view.groups["audit-archive"].committed("audit-raw", p).unwrap()
            })
            .sum();
        assert!((15_000..25_000).contains(&behind), "{behind}");

        estate.incident(&Incident::BrokerDown { side: Side::Blue, broker: 2 });
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

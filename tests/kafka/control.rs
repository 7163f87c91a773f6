//! The control plane on real Kafka: 4.3.1, and 2.8.2 in ZooKeeper mode.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::slice;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use cutover::base::{Side, TopicPartition};
use cutover::estate::{GroupKind, GroupState};
use cutover::kafka::control::{
    ChangeOutcome, Cluster, Named, NewTopic, OffsetSpec, SnapshotOptions, StableOffsets, Which,
};
use cutover::kafka::properties::ClientProperties;
use kafka_protocol::messages::{GroupId, RequestHeader, ShareGroupHeartbeatRequest, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};

use crate::support::kafka::{Broker, consumer, old_blue, pair, producer, throwaway};
use crate::support::unique;

fn cluster(broker: &Broker) -> Cluster {
    Cluster::new(Side::Blue, &broker.bootstrap, &ClientProperties::default())
}

pub fn on(broker: &Broker, test: impl AsyncFnOnce(Cluster)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = cluster(broker);
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(240), test(cluster)).await.unwrap() });
}

fn fill(broker: &Broker, topic: &str, partition: i32, records: i64, first_ms: i64) {
    let producer = producer(broker, &[]);
    for n in 0..records {
        let (key, value) = (format!("k{n}"), format!("v{n}"));
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value).timestamp(first_ms + n);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(240)).unwrap();
}

fn done(outcomes: &BTreeMap<TopicPartition, ChangeOutcome>) -> bool {
    !outcomes.is_empty() && outcomes.values().all(ChangeOutcome::is_done)
}

/// Topics, offsets, commits, reading back, deleting: the same on the newest Kafka and on one without batched requests.
async fn round_trip(broker: &Broker, cluster: Cluster) {
    let (topic, group) = (unique("round"), unique("round-group"));
    let made = cluster.create_topics(&[NewTopic::new(&topic, 3, 1).with("retention.ms", "-1")], false).await.unwrap();
    assert_eq!(made[&topic], ChangeOutcome::Done);
    let again = cluster.create_topics(&[NewTopic::new(&topic, 3, 1)], false).await.unwrap();
    assert!(
        matches!(&again[&topic], ChangeOutcome::Refused(t) if t.what.contains("TOPIC_ALREADY_EXISTS")),
        "{again:?}"
    );
    let start = 1_700_000_000_000;
    std::thread::scope(|s| s.spawn(|| fill(broker, &topic, 1, 10, start)).join().unwrap());

    let tp = |p| TopicPartition::new(&topic, p);
    let asks = [
        (tp(0), OffsetSpec::Latest),
        (tp(1), OffsetSpec::Timestamp(start + 7)),
        (tp(2), OffsetSpec::Timestamp(start)),
        (TopicPartition::new("no-such-topic", 0), OffsetSpec::Latest),
    ];
    let found = cluster.list_offsets(&asks).await;
    assert_eq!(found[&tp(0)], Ok(Some((0, -1))));
    assert_eq!(found[&tp(1)], Ok(Some((7, start + 7))));
    assert_eq!(found[&tp(2)], Ok(None));
    let absent = found[&asks[3].0].as_ref().unwrap_err();
    assert!(absent.what.contains("no-such-topic-0 does not exist on blue"), "{absent:?}");

    let configs = cluster.describe_configs(std::slice::from_ref(&topic)).await;
    let retention = &configs[&topic].as_ref().unwrap()["retention.ms"];
    assert_eq!((retention.value.as_deref(), retention.overridden), (Some("-1"), true));

    // Never seen: Dead. Committed: Empty, and read back exactly, offset 0 too.
    assert_eq!(cluster.fetch_group(&group).await.unwrap().state, GroupState::Dead);
    let targets = [(tp(2), 0), (tp(0), 0), (tp(1), 4)];
    let outcomes = cluster.commit_offsets(&group, &targets).await.unwrap();
    assert!(done(&outcomes) && outcomes.len() == 3, "{outcomes:?}");
    let view = cluster.fetch_group(&group).await.unwrap();
    assert_eq!((view.state, view.kind), (GroupState::Empty, GroupKind::Classic));
    for (tp, offset) in &targets {
        assert_eq!(view.committed_offset(&tp.topic, tp.partition), Some(*offset));
        assert_eq!(view.offsets[&tp.topic][&tp.partition].leader_epoch, -1);
    }
    let stable = cluster.stable_offsets(&group, &[tp(1)]).await.unwrap();
    assert_eq!(stable, StableOffsets::Stable(view.offsets.clone()));

    let options = SnapshotOptions {
        topics: Which::only([&topic]),
        groups: Which::only([group.as_str(), "no-such-group"]),
        configs: Which::All,
        named: Named { groups: [group.clone(), "no-such-group".into()].into(), ..Named::default() },
        ..SnapshotOptions::default()
    };
    let snapshot = cluster.snapshot(&options).await.unwrap();
    let seen: Vec<_> =
        snapshot.topics[&topic].partitions.iter().map(|p| (p.log_start, p.lso, p.high_watermark)).collect();
    assert_eq!(seen, [(Some(0), Some(0), Some(0)), (Some(0), Some(10), Some(10)), (Some(0), Some(0), Some(0))]);
    assert!(snapshot.topics[&topic].partitions.iter().all(|p| p.trouble.is_none() && p.replicas == 1 && p.isr == 1));
    assert_eq!(snapshot.topics[&topic].config["retention.ms"], "-1");
    assert_eq!(snapshot.groups[&group], view);
    assert_eq!(snapshot.groups.get("no-such-group"), None, "its coordinator was asked for it by name");
    assert!(snapshot.brokers.values().all(|b| b.answered == Some(Ok(()))));
    if !broker.cluster_id.is_empty() {
        assert_eq!(snapshot.cluster_id.as_ref(), Some(&broker.cluster_id));
    }
    assert_eq!(cluster.cluster_id().await.unwrap(), snapshot.cluster_id);

    let deleted = cluster.delete_offsets(&group, &[tp(0), tp(1)]).await.unwrap();
    assert!(done(&deleted) && deleted.len() == 2, "{deleted:?}");
    let left = cluster.fetch_group(&group).await.unwrap().offsets;
    assert_eq!(left[&topic].keys().copied().collect::<Vec<_>>(), [2]);

    let absent = "p\u{430}y ".to_owned();
    let gone = cluster.delete_groups(&[group.clone(), absent.clone()]).await;
    assert_eq!(gone[&group], ChangeOutcome::Done);
    let shown = "group `p\\u{430}y\\u{20}`: ";
    assert!(matches!(&gone[&absent], ChangeOutcome::Refused(why) if why.what.starts_with(shown)), "{gone:?}");
    assert_eq!(cluster.delete_topics(std::slice::from_ref(&topic)).await.unwrap()[&topic], ChangeOutcome::Done);
    let vanished = cluster.snapshot(&SnapshotOptions { topics: Which::only([&topic]), ..options }).await.unwrap();
    let trouble = vanished.topics[&topic].partitions[0].trouble.as_ref().unwrap();
    assert!(trouble.what.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{trouble:?}");
}

#[test]
fn round_trip_on_the_newest_kafka() {
    let broker = &pair().blue;
    on(broker, async |cluster| round_trip(broker, cluster).await);
}

#[test]
fn round_trip_on_kafka_2_8_with_zookeeper() {
    let broker = old_blue();
    on(broker, async |cluster| round_trip(broker, cluster).await);
}

/// Runs a consumer until it has an assignment, then `check` while it is alive.
fn with_member(broker: &Broker, topic: &str, group: &str, properties: &[(&str, &str)], check: impl FnOnce()) {
    let consumer = consumer(broker, group, properties);
    consumer.subscribe(&[topic]).unwrap();
    let mut polls = 0;
    while consumer.assignment().unwrap().count() == 0 {
        let _ = consumer.poll(Duration::from_millis(100));
        polls += 1;
        assert!(polls < 2_000, "no assignment");
    }
    check();
}

fn members_are_seen(broker: &Broker, kind: GroupKind, extra: &[(&str, &str)]) {
    let (topic, group) = (unique("members"), unique("members-group"));
    on(broker, async |cluster| {
        assert!(cluster.create_topics(&[NewTopic::new(&topic, 2, 1)], false).await.unwrap()[&topic].is_done());
    });
    let mut properties = vec![("client.id", "loan\u{202e}-api"), ("group.instance.id", "pod-1")];
    properties.extend(extra);
    with_member(broker, &topic, &group, &properties, || {
        on(broker, async |cluster| {
            let snapshot = cluster.snapshot(&SnapshotOptions::default()).await.unwrap();
            for view in [&cluster.fetch_group(&group).await.unwrap(), &snapshot.groups[&group]] {
                assert_eq!((view.kind, view.state), (kind, GroupState::Stable), "{view:?}");
                let [member] = &view.members[..] else { panic!("{view:?}") };
                assert_eq!((member.client_id.as_str(), member.host.as_str()), ("loan\\u{202e}-api", "127.0.0.1"));
                assert_eq!(member.instance_id.as_deref(), Some("pod-1"));
                assert_eq!(member.assigned, [TopicPartition::new(&topic, 0), TopicPartition::new(&topic, 1)]);
            }
            let refused = cluster.commit_offsets(&group, &[(TopicPartition::new(&topic, 0), 0)]).await.unwrap_err();
            assert!(refused.what.contains("is Stable, not Empty"), "{refused:?}");
        });
    });
}

#[test]
fn members_of_a_classic_group() {
    members_are_seen(&pair().blue, GroupKind::Classic, &[]);
}

#[test]
fn members_of_a_classic_group_on_kafka_2_8() {
    members_are_seen(old_blue(), GroupKind::Classic, &[]);
}

#[test]
fn members_of_a_kip_848_group() {
    members_are_seen(&pair().blue, GroupKind::Consumer, &[("group.protocol", "consumer")]);
}

/// KIP-447: an offset in an open transaction is not final, and which one is said.
#[test]
fn offsets_in_an_open_transaction_are_pending() {
    let broker = &pair().blue;
    let (topic, group, id) = (unique("pending"), unique("pending-group"), unique("tx"));
    on(broker, async |cluster| {
        assert!(cluster.create_topics(&[NewTopic::new(&topic, 1, 1)], false).await.unwrap()[&topic].is_done());
    });
    let reader = consumer(broker, &group, &[]);
    let writer = producer(broker, &[("transactional.id", &id)]);
    writer.init_transactions(Duration::from_secs(240)).unwrap();
    writer.begin_transaction().unwrap();
    writer.send(BaseRecord::<str, str>::to(&topic).partition(0).payload("x")).map_err(|(e, _)| e).unwrap();
    writer.flush(Duration::from_secs(240)).unwrap();
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(1)).unwrap();
    let metadata = reader.group_metadata().unwrap();
    writer.send_offsets_to_transaction(&offsets, &metadata, Duration::from_secs(240)).unwrap();
    let tp = TopicPartition::new(&topic, 0);
    on(broker, async |cluster| {
        assert_eq!(
            cluster.stable_offsets(&group, slice::from_ref(&tp)).await.unwrap(),
            StableOffsets::Pending(vec![tp.clone()])
        );
        let options = SnapshotOptions { topics: Which::only([&topic]), ..SnapshotOptions::default() };
        let open = &cluster.snapshot(&options).await.unwrap().topics[&topic].partitions[0];
        assert_eq!((open.lso, open.high_watermark), (Some(0), Some(1)));
    });
    writer.commit_transaction(Duration::from_secs(240)).unwrap();
    on(broker, async |cluster| {
        // The commit is acknowledged before its marker lands: until then the offset is still pending.
        let mut asked = 0;
        let offsets = loop {
            match cluster.stable_offsets(&group, slice::from_ref(&tp)).await.unwrap() {
                StableOffsets::Stable(offsets) => break offsets,
                pending => assert_eq!(pending, StableOffsets::Pending(vec![tp.clone()])),
            }
            asked += 1;
            assert!(asked < 10_000, "still pending");
        };
        assert_eq!(offsets[&topic][&0].offset, 1);
    });
}

/// Joins a share group by hand (KIP-932): no client here speaks it. Its coordinator must serve already.
pub fn join_share_group(broker: &Broker, group: &str, topic: &str) {
    let member = "AAAAAAAAAAAAAAAAAAAAAQ".to_owned();
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_member_id(StrBytes::from_string(member))
        .with_subscribed_topic_names(Some(vec![TopicName(StrBytes::from_string(topic.to_owned()))]));
    let header = RequestHeader::default().with_request_api_key(76).with_request_api_version(1).with_correlation_id(1);
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, 2).unwrap();
    request.encode(&mut frame, 1).unwrap();
    let length = i32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let mut stream = TcpStream::connect(&broker.bootstrap).unwrap();
    stream.write_all(&frame).unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::try_from(i32::from_be_bytes(head)).unwrap()];
    stream.read_exact(&mut body).unwrap();
    // Correlation id, tags, throttle time, then the error code.
    assert_eq!(body[9..11], [0, 0], "{body:?}");
}

#[test]
fn a_share_group_is_seen_and_refused() {
    // Of its own: what a share group reads is not told, so it would hold up the hard cutovers of other tests.
    let broker = &throwaway("share", &[]);
    let (topic, group) = (unique("share"), unique("share-group"));
    let tp = TopicPartition::new(&topic, 0);
    on(broker, async |cluster| {
        assert!(cluster.create_topics(&[NewTopic::new(&topic, 1, 1)], false).await.unwrap()[&topic].is_done());
        // Also makes sure that the group's coordinator serves.
        assert_eq!(cluster.fetch_group(&group).await.unwrap().state, GroupState::Dead);
    });
    join_share_group(broker, &group, &topic);
    on(broker, async |cluster| {
        let view = cluster.fetch_group(&group).await.unwrap();
        assert_eq!((view.kind, view.trouble), (GroupKind::Share, None));
        let all = cluster.snapshot(&SnapshotOptions::default()).await.unwrap();
        assert_eq!((all.groups[&group].kind, &all.groups[&group].trouble), (GroupKind::Share, &None));
        let refused = cluster.commit_offsets(&group, &[(tp.clone(), 0)]).await.unwrap_err();
        assert!(refused.what.contains(&group) && refused.what.contains("is a share group"), "{refused:?}");
        assert!(cluster.delete_offsets(&group, &[tp]).await.is_err());
    });
}

//! The rig itself: what it counts when nobody moves anything, and when somebody moves it by hand, well and badly.

use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::ground::guarded;
use super::scene::{Ground, Hand, SOON, Scene, Seen, Setting, committed, count_of, until};
use crate::support::kafka::{commit_offsets, consumer, create_topic, pair};
use crate::support::unique;
use crate::support::workload::{Cluster, Ended};

fn scene(setting: &Setting) -> Scene<'static> {
    Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), setting)
}

/// The hard cutover as a person would do it with nothing but the tools; `shift` is how far the reader is misplaced.
fn by_hand(shift: [i64; 2]) -> Seen {
    let scene = scene(&Setting::default());
    scene.processes(Cluster::Blue, 10);
    scene.flag.set("off");
    scene.processor.wait(SOON, "it stopped", |done| done.running.is_none());
    // Of the source both logs are equal but for the seven records that blue had before.
    let read = |p| committed(scene.broker(Cluster::Blue), &scene.reads, &scene.source, p).expect("it committed");
    commit_offsets(scene.broker(Cluster::Green), &scene.reads, &scene.source, &[read(0) - 7, read(1) - 7]);
    let seam = scene.sink_ends(Cluster::Green);
    scene.flag.set("green");
    until("both partitions have more than is skipped", || {
        scene.sink_ends(Cluster::Green).iter().zip(&seam).all(|(end, seam)| *end > seam + 60)
    });
    let written = count_of(scene.broker(Cluster::Blue), &scene.sink);
    until("the reader has drained blue", || scene.reader.processed() >= written);
    scene.switch.set("off");
    scene.reader.wait_running(Cluster::Blue, false, SOON);
    commit_offsets(
        scene.broker(Cluster::Green),
        &scene.downstream,
        &scene.sink,
        &[seam[0] + shift[0], seam[1] + shift[1]],
    );
    scene.switch.set("green");
    scene.reads(50);
    let seen = scene.count(Cluster::Green, Cluster::Green);
    println!("by hand, {shift:?} off: {seen}");
    assert_eq!(seen.path, [Cluster::Blue, Cluster::Green]);
    seen
}

#[test]
fn a_cut_by_hand_loses_and_doubles_nothing() {
    by_hand([0, 0]).is_exact();
}

#[test]
fn a_reader_that_is_misplaced_is_found_out() {
    let seen = by_hand([-1, 40]);
    assert!(!seen.lost.is_empty() && seen.foreign > 0, "{seen}");
}

#[test]
fn transactions_by_hand_hang_open_and_are_fenced_by_whoever_starts_again() {
    let scene = scene(&Setting { spare: 1, ..Setting::default() });
    let before = scene.sink_ends(Cluster::Blue);
    let id = &scene.ids[0][1];
    let first = Hand::start(&scene.sides[0], id, &scene.sink).expect("started");
    first.begin().and_then(|()| first.write()).expect("open");
    scene.processor.hold(SOON);
    let reader = consumer(scene.broker(Cluster::Blue), "nobody", &[]);
    let (_, stable) = reader.fetch_watermarks(&scene.sink, 0, SOON).expect("watermarks");
    assert!(stable >= before[0], "{stable} {before:?}");
    let second = Hand::start(&scene.sides[0], id, &scene.sink).expect("started");
    assert_eq!(first.commit(), Err(Ended::Fenced));
    scene.processor.let_go();
    second.begin().and_then(|()| second.write()).and_then(|()| second.abort()).expect("aborted");
    scene.count(Cluster::Blue, Cluster::Blue).is_exact();
}

#[test]
fn a_recorder_writes_down_what_is_sent_along_it_alone() {
    let (guarded, _turn) = guarded();
    let there = &guarded[1];
    let topic = unique("recorded");
    create_topic(&there.broker, &topic, 1, &[]);
    let properties = [("bootstrap.servers", there.recorder.bootstrap.as_str())];
    let looks = consumer(&there.broker, &topic, &properties);
    looks.fetch_watermarks(&topic, 0, SOON).expect("watermarks");
    assert!(there.recorder.sent().contains_key(&2), "{:?}", there.recorder.sent());
    let before = there.recorder.sent().get(&8).copied().unwrap_or_default();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(0)).expect("an offset");
    crate::support::kafka::commit(&looks, &list);
    assert!(there.recorder.changing()[&8] > before, "OffsetCommit is seen");
    let commits = there.recorder.changing()[&8];
    crate::support::kafka::commit(&consumer(&there.broker, &topic, &[]), &list);
    assert_eq!(there.recorder.changing()[&8], commits, "the plain listener is not recorded");
}

//! The demo's services and their witness, on real Kafka.

use std::sync::Arc;
use std::time::Duration;

use cutover::sim::traffic::{EstateSpec, LedgerSpec, ProducerSpec, TopicSpec, set_flag, write_flags};
use cutover::sim::{Traffic, Witness};

use crate::support::kafka::{create_topic, pair};
use crate::support::{patience, turns, unique};

fn until(what: &str, holds: impl FnMut() -> bool) {
    patience::until(Duration::from_secs(120), what, holds);
}

/// Eight dual-writing producers on two topics, one exactly-once producer, two groups.
fn estate() -> EstateSpec {
    let bank = EstateSpec::bank(1.0);
    let (events, postings) = (unique("events"), unique("postings"));
    let topic = |name: &String| TopicSpec { name: name.clone(), ..bank.topics[0].clone() };
    let producers = (0..8)
        .map(|n| ProducerSpec {
            name: format!("writer-{n}"),
            topics: vec![events.clone()],
            per_second: 20.0,
            ..bank.producers[0].clone()
        })
        .collect();
    let ledger = LedgerSpec {
        topic: postings.clone(),
        transactional_ids: (unique("ledger"), unique("ledger-psc")),
        ..bank.ledgers[0].clone()
    };
    let group = |name: &str, topic: &String| {
        let mut group = bank.groups[0].clone();
        (group.name, group.topics) = (unique(name), vec![topic.clone()]);
        group
    };
    EstateSpec {
        topics: vec![topic(&events), topic(&postings)],
        producers,
        ledgers: vec![ledger],
        groups: vec![group("reader", &events), group("enrich", &postings)],
        ..EstateSpec::default()
    }
}

#[test]
fn services_and_witness_work_on_real_clusters() {
    let estate = estate();
    let pair = pair();
    for topic in &estate.topics {
        create_topic(&pair.blue, &topic.name, topic.partitions, &[]);
        create_topic(&pair.green, &topic.name, topic.partitions, &[]);
    }
    let dir = tempfile::tempdir().unwrap();
    let flags = dir.path().join("flags.json");
    write_flags(&flags, &estate).unwrap();
    let witness = Arc::new(Witness::default());
    let bootstraps = [pair.blue.bootstrap.as_str(), pair.green.bootstrap.as_str()];
    turns::heavy();
    let traffic = Traffic::start(&estate, bootstraps, &flags, witness.clone(), 5, 1).unwrap();
    for group in &estate.groups {
        until("the group processes", || witness.report_group(&group.name).unwrap().processed > 200);
        let report = witness.report_group(&group.name).unwrap();
        assert_eq!((report.lost, report.re_read), (0, 0), "{report:?}");
    }
    // moved without a commit on green: it begins at the start there, loses nothing and reads everything twice
    let reader = &estate.groups[0];
    let before = witness.report_group(&reader.name).unwrap().processed;
    set_flag(&flags, &reader.switch_key(), "green").unwrap();
    until("it has read green", || {
        let report = witness.report_group(&reader.name).unwrap();
        report.re_read >= before && report.pending < 40
    });
    assert_eq!(witness.report_group(&reader.name).unwrap().lost, 0);
    drop(traffic);
}

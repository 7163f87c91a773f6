//! What is looked at of exactly-once producers, on real Kafka.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cutover::base::{Side, Sides, TopicPartition, Trouble};
use cutover::controller::eos::look::{WatchedProducer, look_at_producer};
use cutover::estate::acl::{Acl, Resource};
use cutover::estate::exactly_once::EosLook;
use cutover::estate::transactions::{Answer, TransactionState, Unavailable};
use cutover::plan::Plan;
use cutover::session::names::TopicNames;
use cutover::session::tools::Tools;
use rdkafka::producer::{BaseRecord, Producer};

use crate::support::kafka::{create_topic, pair, producer};
use crate::support::unique;

const WITHIN: Duration = Duration::from_secs(240);

/// Looks at a producer on a side of the shared pair, whose topic has another name on green.
fn seen(side: Side, of: &WatchedProducer, green_name: &str) -> Result<EosLook, Trouble> {
    let pair = pair();
    let text = format!(
        "[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n\
         [[topics]]\nname = \"{}\"\ngreen_name = \"{green_name}\"\n",
        pair.blue.bootstrap, pair.green.bootstrap, of.topics[0]
    );
    let plan = Plan::parse(&text, std::path::Path::new("/etc/cutover.toml")).unwrap().plan;
    let names = Arc::new(TopicNames::new(&plan));
    names.learn_topic(&plan, &of.topics[0]);
    let tools = Tools::new(&plan, Arc::clone(&names));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(look_at_producer(tools.cluster(side), &names, of))
}

#[test]
fn a_look_tells_ids_writers_and_ends_by_the_names_on_blue() {
    let (topic, green_name) = (unique("eos-look"), unique("eos-look-green"));
    let ids = [unique("eos-id"), unique("eos-id-green")];
    let of = WatchedProducer {
        name: "ledger".into(),
        topics: vec![topic.clone()],
        ids: Sides { blue: vec![ids[0].clone()], green: vec![ids[1].clone()] },
        denials: Sides {
            blue: None,
            green: Some(BTreeSet::from([Acl::deny_write(Resource::TransactionalId, ids[1].as_str(), "User:ledger")])),
        },
    };
    let missing = seen(Side::Green, &of, &green_name).unwrap_err();
    assert!(missing.what.contains(&green_name), "a look without a topic is none: {missing:?}");

    create_topic(&pair().green, &green_name, 2, &[]);
    let writer = producer(&pair().green, &[("transactional.id", ids[1].as_str())]);
    writer.init_transactions(WITHIN).unwrap();
    writer.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&green_name).partition(1).payload("x");
    writer.send(record).map_err(|(e, _)| e).unwrap();
    writer.flush(WITHIN).unwrap();

    let open = seen(Side::Green, &of, &green_name).unwrap();
    let tp = |p| TopicPartition::new(&topic, p);
    let ends = |look: &EosLook, p| (look.ends[&tp(p)].stable, look.ends[&tp(p)].high_watermark);
    assert_eq!((ends(&open, 0), ends(&open, 1)), ((0, 0), (0, 1)));
    assert_eq!(open.ids[&ids[0]], Answer::Told(None));
    let Answer::Told(Some(view)) = &open.ids[&ids[1]] else { panic!("{open:?}") };
    assert_eq!((view.state, &view.partitions), (TransactionState::Ongoing, &vec![tp(1)]));
    let Answer::Told(writers) = &open.writers[&tp(1)] else { panic!("{open:?}") };
    assert_eq!((writers.len(), writers[0].producer_id, writers[0].open_from), (1, view.producer_id, Some(0)));
    assert_eq!(open.denied, Some(Answer::Unavailable(Unavailable::NoAuthorizer)));
    assert!(open.offsets_partitions.is_none_or(|n| n > 0), "{open:?}");

    writer.commit_transaction(WITHIN).unwrap();
    let start = std::time::Instant::now();
    loop {
        let look = seen(Side::Green, &of, &green_name).unwrap();
        if look.ends[&tp(1)].is_closed() && look.ids[&ids[1]].as_told().unwrap().as_ref().unwrap().state.is_settled() {
            assert_eq!(ends(&look, 1), (2, 2), "a record and its marker");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(240), "{look:?}");
    }
}

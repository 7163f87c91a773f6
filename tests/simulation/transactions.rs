//! The control plane's view of transactions where real Kafka can't be made to go wrong on purpose: three brokers, old
//! ones, answers that are lost after the effect.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use cutover::base::{Side, TopicPartition};
use cutover::estate::acl::{Acl, AclFilter, Resource};
use cutover::estate::transactions::{
    Answer, Fencing, Hanging, ProducerView, Since, TransactionState, TransactionView, Unavailable,
};
use cutover::kafka::control::{ChangeOutcome, TransactionFilter, in_force};
use cutover::sim::state::{BatchProducer, BrokerLimits, ConnectionCut, IsolationLevel, NewRecord, SimState};
use cutover::sim::{SimCluster, SimConfig};

use crate::rig::Rig;

const INIT_PRODUCER_ID: i16 = 22;
const WRITE_TXN_MARKERS: i16 = 27;
const CREATE_ACLS: i16 = 30;
const DESCRIBE_PRODUCERS: i16 = 61;
const DESCRIBE_TRANSACTIONS: i16 = 65;
const LIST_TRANSACTIONS: i16 = 66;

fn start() -> Rig {
    let limits = BrokerLimits { verify_transactions: false, ..BrokerLimits::default() };
    let sim = SimCluster::start(SimConfig { limits, ..SimConfig::new(Side::Blue) }).unwrap();
    sim.with_state(|s| s.create_topic("t", 3, 3, &[], false)).unwrap();
    Rig::around(Side::Blue, sim)
}

impl Rig {
    /// A transactional id with a transaction that has one record in partition `p` of `t`; its coordinator is told or not.
    fn open(&self, id: &str, p: i32, told: bool) -> (i64, i16) {
        self.sim.with_state_at(|s, now| {
            let producer = s.init_producer(now, Some(id), 60_000, (-1, -1)).unwrap();
            if told {
                s.add_partitions(now, id, producer, &[("t".to_owned(), p)]).unwrap();
            }
            append(s, now, id, p, producer);
            producer
        })
    }

    fn described(&self, id: &str) -> Answer<Option<TransactionView>> {
        let ids = [id.to_owned()];
        self.run(self.cluster.describe_transactions(&ids)).remove(id).unwrap()
    }

    fn writers(&self, p: i32) -> Vec<ProducerView> {
        let tp = TopicPartition::new("t", p);
        match self.run(self.cluster.describe_producers(slice::from_ref(&tp))).remove(&tp) {
            Some(Answer::Told(writers)) => writers,
            other => panic!("{other:?}"),
        }
    }

    fn hanging(&self, p: i32, id: Option<&str>) -> Hanging {
        let writers = self.writers(p);
        writers
            .iter()
            .find_map(|w| Hanging::from_producer(&TopicPartition::new("t", p), w, id))
            .expect("something is open")
    }

    fn end(&self, p: i32) -> i64 {
        self.sim.with_state(|s| s.log("t", p).unwrap().high_watermark())
    }
}

fn append(state: &mut SimState, now: i64, id: &str, p: i32, producer: (i64, i16)) {
    let writer = BatchProducer { id: producer.0, epoch: producer.1, sequence: 0, transactional: true };
    state.append_records(now, "t", p, &[NewRecord::new("k", "v", now)], writer, Some(id)).unwrap();
}

#[test]
fn ids_are_asked_of_their_coordinators_and_follow_them() {
    let rig = start();
    let ids: Vec<String> = (0..40).map(|n| format!("id-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        rig.open(id, n as i32 % 3, true);
    }
    let check = |live: usize| {
        let found = rig.run(rig.cluster.describe_transactions(&ids));
        assert_eq!(found.len(), 40);
        let coordinators: BTreeSet<i32> = found
            .values()
            .map(|answer| match answer {
                Answer::Told(Some(v)) if v.state == TransactionState::Ongoing && v.partitions.len() == 1 => {
                    v.coordinator
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(coordinators.len(), live);
        let lists = rig.run(rig.cluster.list_transactions(&TransactionFilter::default())).unwrap();
        assert_eq!(lists.len(), live);
        let listed: usize = lists.values().map(|a| a.as_told().expect("every broker says").len()).sum();
        assert_eq!(listed, 40);
    };
    check(3);
    rig.sim.with_state(|s| s.kill_broker(2));
    check(2);
    assert!((0..3).all(|p| !rig.writers(p).is_empty()), "leaders moved");
}

#[test]
fn what_an_old_broker_can_not_say_is_typed() {
    let rig = start();
    rig.sim.with_state(|s| {
        s.faults.limit_version(DESCRIBE_TRANSACTIONS, -1);
        s.faults.limit_version(LIST_TRANSACTIONS, 0);
        s.faults.limit_version(DESCRIBE_PRODUCERS, -1);
    });
    assert_eq!(rig.described("x"), Answer::Unavailable(Unavailable::Before(Since::V3_0)));
    let tp = TopicPartition::new("t", 0);
    let producers = rig.run(rig.cluster.describe_producers(slice::from_ref(&tp)));
    assert_eq!(producers[&tp], Answer::Unavailable(Unavailable::Before(Since::V2_8)));
    let lists = |filter| rig.run(rig.cluster.list_transactions(&filter)).unwrap();
    assert!(lists(TransactionFilter::default()).values().all(|a| *a == Answer::Told(Vec::new())));
    let old = lists(TransactionFilter { longer_than_ms: Some(1), ..TransactionFilter::default() });
    assert!(old.values().all(|a| *a == Answer::Unavailable(Unavailable::Before(Since::V3_8))), "{old:?}");
}

#[test]
fn a_lost_answer_is_asked_again_only_of_what_changes_nothing() {
    let rig = start();
    let cut = |api| rig.sim.with_state(|s| s.faults.cut_next(api, 1, ConnectionCut::BeforeAnswer));
    let (producer_id, epoch) = rig.open("x", 0, true);
    cut(DESCRIBE_TRANSACTIONS);
    assert!(matches!(rig.described("x"), Answer::Told(Some(v)) if v.producer_id == producer_id));

    cut(INIT_PRODUCER_ID);
    let unknown = rig.run(rig.cluster.fence("x"));
    assert!(matches!(unknown, Fencing::Unknown(_)), "{unknown:?}");
    let bumped = rig.sim.with_state(|s| s.transactions()["x"].epoch);
    assert_eq!(bumped, epoch + 1, "once, whatever came of it");
    assert_eq!(rig.run(rig.cluster.fence("x")), Fencing::Done { producer_id, epoch: epoch + 2 });
    assert_eq!(rig.writers(0)[0].open_from, None);

    rig.open("y", 1, false);
    let hanging = rig.hanging(1, Some("y"));
    cut(WRITE_TXN_MARKERS);
    let unknown = rig.run(rig.cluster.abort_hanging(&hanging));
    assert!(matches!(unknown, ChangeOutcome::Unknown(_)), "{unknown:?}");
    assert_eq!(rig.end(1), 2, "one marker");
    let again = rig.run(rig.cluster.abort_hanging(&hanging));
    assert!(matches!(again, ChangeOutcome::Refused(_)), "{again:?}");
    assert_eq!(rig.end(1), 2, "still one marker");

    rig.sim.with_state(|s| s.enable_authorizer());
    let acl = Acl::deny_write(Resource::TransactionalId, "x", "User:*");
    cut(CREATE_ACLS);
    let made = rig.run(rig.cluster.create_acls(&BTreeSet::from([acl.clone()])));
    assert!(matches!(made[&acl], ChangeOutcome::Unknown(_)), "{made:?}");
    let all = rig.run(rig.cluster.describe_acls(&AclFilter::default())).unwrap();
    assert_eq!(all.len(), 3);
    assert!(in_force(&all, &acl) && !in_force(&BTreeMap::new(), &acl));
    assert!(matches!(rig.run(rig.cluster.fence("x")), Fencing::Forbidden(_)));
}

/// An open transaction of the coordinator's own is never ended by hand, and a hanging one only with its whole name.
#[test]
fn only_what_hangs_gets_a_marker() {
    let rig = start();
    rig.open("held", 0, true);
    rig.open("hangs", 1, false);
    let held = rig.run(rig.cluster.abort_hanging(&rig.hanging(0, None)));
    assert!(matches!(&held, ChangeOutcome::Refused(t) if t.what.contains("Ongoing")), "{held:?}");
    let hanging = rig.hanging(1, None);
    for wrong in [
        Hanging { epoch: hanging.epoch + 1, ..hanging.clone() },
        Hanging { producer_id: hanging.producer_id + 1, ..hanging.clone() },
        Hanging { coordinator_epoch: Some(0), ..hanging.clone() },
        Hanging { open_from: 1, ..hanging.clone() },
        Hanging { transactional_id: Some("held".into()), ..hanging.clone() },
    ] {
        let outcome = rig.run(rig.cluster.abort_hanging(&wrong));
        assert!(matches!(outcome, ChangeOutcome::Refused(_)), "{outcome:?} for {wrong:?}");
    }
    assert_eq!((rig.end(0), rig.end(1)), (1, 1), "nothing was written");
    assert_eq!(rig.run(rig.cluster.abort_hanging(&hanging)), ChangeOutcome::Done);
    rig.sim.with_state(|s| {
        let log = s.log("t", 1).unwrap();
        assert_eq!((log.high_watermark(), log.last_stable_offset()), (2, 2));
        assert!(log.records(0, IsolationLevel::ReadCommitted).is_empty(), "what hung is aborted");
    });
}

//! The state machine alone, with a clock of the test's own.

use bytes::Bytes;

use super::group::ClassicGroupState;
use super::*;
use crate::estate::inventory::ScramMechanism;

const T: i64 = 1_700_000_000_000;

fn cluster() -> SimState {
    let mut s = SimState::new("cluster", 3);
    s.create_topic("t", 2, 3, &[], false).unwrap();
    s
}

fn put(s: &mut SimState, now: i64, partition: i32, n: usize) -> i64 {
    let records: Vec<NewRecord> = (0..n).map(|i| NewRecord::new("k", format!("{i}"), now)).collect();
    s.append_records(now, "t", partition, &records, BatchProducer::PLAIN, None).unwrap().base
}

fn ask(member: &str) -> JoinAsk {
    JoinAsk {
        group: "g".to_owned(),
        member: member.to_owned(),
        client_id: "c".to_owned(),
        session_timeout: 6000,
        rebalance_timeout: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"m"))],
        ..JoinAsk::default()
    }
}

fn joined(s: &mut SimState, ticket: Ticket) -> Option<Joined> {
    s.take_ready().into_iter().find_map(|(t, reply)| match reply {
        GroupReply::Join(joined) if t == ticket => Some(joined),
        _ => None,
    })
}

/// A group of one Stable member.
fn stable(s: &mut SimState, now: i64) -> Joined {
    s.join_group(now, 1, &ask(""));
    let me = joined(s, 1).unwrap();
    let sync = SyncAsk {
        group: "g".to_owned(),
        generation: me.generation,
        member: me.member.clone(),
        assignments: vec![(me.member.clone(), Bytes::from_static(b"all"))],
        ..SyncAsk::default()
    };
    s.sync_group(now, 2, &sync);
    assert_eq!(s.groups()["g"].state, ClassicGroupState::Stable);
    me
}

#[test]
fn a_session_ends_when_its_time_is_over_and_not_before() {
    let mut s = cluster();
    let me = stable(&mut s, T);
    s.heartbeat(T + 3000, "g", me.generation, &me.member, None).unwrap();
    s.tick(T + 8999);
    assert_eq!(s.groups()["g"].state, ClassicGroupState::Stable);
    s.tick(T + 9000);
    assert_eq!(s.groups()["g"].state, ClassicGroupState::Empty);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut s = cluster();
    let me = stable(&mut s, T);
    let who = CommitAsk { group: "g".to_owned(), generation: me.generation, member: me.member, instance: None };
    s.check_commit(T + 5000, &who, false).unwrap();
    s.tick(T + 10_000);
    assert_eq!(s.groups()["g"].state, ClassicGroupState::Stable);
}

#[test]
fn a_rebalance_goes_on_without_a_member_that_stays_away() {
    let mut s = cluster();
    let first = stable(&mut s, T);
    s.join_group(T + 100, 3, &ask(""));
    assert_eq!(joined(&mut s, 3), None, "it waits for the first member");
    // the first one lives (its session is fresh) but doesn't join again
    let beat = s.heartbeat(T + 6000, "g", first.generation, &first.member, None);
    assert_eq!(beat, Err(ResponseError::RebalanceInProgress));
    s.tick(T + 10_099);
    assert_eq!(joined(&mut s, 3), None);
    s.heartbeat(T + 10_099, "g", first.generation, &first.member, None).unwrap_err();
    s.tick(T + 10_100);
    let second = joined(&mut s, 3).unwrap();
    assert_eq!((second.generation, second.members.len()), (first.generation + 1, 1));
    let beat = s.heartbeat(T + 10_200, "g", second.generation, &first.member, None);
    assert_eq!(beat, Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_leader_that_never_assigns_is_out_with_its_session() {
    let mut s = cluster();
    s.join_group(T, 1, &ask(""));
    joined(&mut s, 1).unwrap();
    assert_eq!(s.groups()["g"].state, ClassicGroupState::CompletingRebalance);
    s.tick(T + 6000);
    assert_eq!(s.groups()["g"].state, ClassicGroupState::Empty);
}

#[test]
fn an_id_that_was_handed_out_and_never_used_does_not_block_a_rebalance_for_ever() {
    let mut s = cluster();
    s.join_group(T, 1, &JoinAsk { member_id_required: true, ..ask("") });
    assert_eq!(joined(&mut s, 1).unwrap().error, Some(ResponseError::MemberIdRequired));
    s.join_group(T, 2, &ask(""));
    assert_eq!(joined(&mut s, 2), None, "it waits for whoever asked for an id");
    s.tick(T + 6000);
    assert_eq!(joined(&mut s, 2).unwrap().generation, 1);
}

#[test]
fn a_transaction_over_its_time_is_aborted_and_its_producer_fenced() {
    let mut s = cluster();
    let me = s.init_producer(T, Some("x"), 5000, (-1, -1)).unwrap();
    s.add_partitions(T, "x", me, &[("t".to_owned(), 0)]).unwrap();
    let writer = BatchProducer { id: me.0, epoch: me.1, sequence: 0, transactional: true };
    s.append_records(T, "t", 0, &[NewRecord::new("k", "v", T)], writer, Some("x")).unwrap();
    put(&mut s, T, 0, 3);
    s.tick(T + 5000);
    assert_eq!(s.log("t", 0).unwrap().last_stable_offset(), 0, "everything behind an open transaction waits");
    s.tick(T + 5001);
    let log = s.log("t", 0).unwrap();
    assert_eq!((log.last_stable_offset(), log.high_watermark()), (5, 5), "one record, three plain ones, one marker");
    let visible: Vec<i64> = log.records(0, IsolationLevel::ReadCommitted).iter().map(|r| r.offset).collect();
    assert_eq!(visible, [1, 2, 3]);
    assert_eq!(s.end_txn(T + 5002, "x", me, Marker::Commit), Err(ResponseError::ProducerFenced));
}

#[test]
fn retention_removes_what_is_old_or_too_much() {
    let mut s = cluster();
    s.set_config("t", "retention.ms", "1000").unwrap();
    put(&mut s, T, 0, 5);
    put(&mut s, T + 900, 0, 5);
    s.limits.retention_check_ms = 1;
    s.tick(T + 1000);
    assert_eq!(s.log("t", 0).unwrap().start(), 0);
    s.tick(T + 1001);
    assert_eq!(s.log("t", 0).unwrap().start(), 5);
    s.set_config("t", "retention.ms", "-1").unwrap();
    put(&mut s, T + 2000, 0, 5);
    s.set_config("t", "retention.bytes", "1").unwrap();
    s.tick(T + 2001);
    assert_eq!((s.log("t", 0).unwrap().start(), s.log("t", 0).unwrap().high_watermark()), (10, 15));
}

#[test]
fn leaders_move_when_a_broker_dies_and_come_back() {
    let mut s = cluster();
    put(&mut s, T, 0, 4);
    let before = s.log("t", 0).unwrap().leader;
    s.kill_broker(before);
    let log = s.log("t", 0).unwrap();
    assert_ne!(log.leader, before);
    assert_eq!((log.leader_epoch, log.epoch_end(0), log.epoch_end(1)), (1, (0, 4), (1, 4)));
    assert_eq!(s.check_leader(log.leader, "t", 0, 0), Err(ResponseError::FencedLeaderEpoch));
    assert_ne!(s.find_coordinator("g").unwrap().id, before);
    s.revive_broker(before);
    assert_eq!(s.log("t", 0).unwrap().leader, before);
    for id in 1..=3 {
        s.kill_broker(id);
    }
    assert_eq!((s.log("t", 0).unwrap().leader, s.controller_id()), (-1, -1));
    assert_eq!(s.check_coordinator(1, "g"), Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn settings_are_changed_all_or_none_and_a_check_changes_nothing() {
    let mut s = cluster();
    let why = s.alter_config("t", &[("retention.ms", Some("5")), ("no.such", Some("1"))], false).unwrap_err();
    assert_eq!(why, (ResponseError::InvalidConfig, "Unknown topic config name: no.such".to_owned()));
    let why = s.alter_config("t", &[("retention.ms", Some("soon"))], false).unwrap_err();
    assert_eq!(why.1, "Invalid value soon for configuration retention.ms");
    s.alter_config("t", &[("retention.ms", Some("5"))], true).unwrap();
    assert!(s.topics()["t"].config.is_empty());
    let of_none = s.alter_config("u", &[("retention.ms", Some("5"))], false);
    assert_eq!(of_none.unwrap_err().0, ResponseError::UnknownTopicOrPartition);
    s.alter_config("t", &[("retention.ms", Some("5")), ("preallocate", Some("true"))], false).unwrap();
    s.alter_config("t", &[("preallocate", None)], false).unwrap();
    let config = &s.topics()["t"].config;
    assert_eq!(config.iter().collect::<Vec<_>>(), [(&"retention.ms".to_owned(), &"5".to_owned())]);
}

#[test]
fn partitions_are_only_added_and_led_from_the_start() {
    let mut s = cluster();
    put(&mut s, T, 0, 4);
    for total in [-1, 1, 2] {
        let why = s.create_partitions("t", total, false).unwrap_err();
        assert_eq!(why.0, ResponseError::InvalidPartitions, "{total}: {why:?}");
    }
    s.create_partitions("t", 5, true).unwrap();
    assert_eq!(s.topics()["t"].partitions.len(), 2);
    let before = s.version();
    s.create_partitions("t", 5, false).unwrap();
    let logs = &s.topics()["t"].partitions;
    assert_eq!((logs.len(), logs[0].high_watermark()), (5, 4), "what was there stays");
    assert!(logs.iter().all(|log| log.leader > 0 && log.replicas.len() == 3) && s.version() > before);
    s.kill_broker(1);
    assert_eq!(s.create_partitions("t", 6, false).unwrap_err().0, ResponseError::InvalidReplicationFactor);
    assert_eq!(s.create_partitions("u", 6, false).unwrap_err().0, ResponseError::UnknownTopicOrPartition);
}

#[test]
fn quotas_and_users_are_kept_as_kafka_keeps_them() {
    let mut s = cluster();
    let app = QuotaEntity::named(&[("user", Some("app")), ("client-id", None)]);
    s.alter_quota(&app, &[("producer_byte_rate", Some(5.0)), ("request_percentage", Some(50.0))], false).unwrap();
    s.alter_quota(&app, &[("producer_byte_rate", None)], true).unwrap();
    assert_eq!(s.quotas()[&app].len(), 2);
    for (parts, name, value) in [
        (&[("user", Some("app"))][..], "nonsense", 1.0),
        (&[("user", Some("app"))], "producer_byte_rate", 0.0),
        (&[("user", Some(""))], "producer_byte_rate", 1.0),
        (&[("planet", Some("mars"))], "producer_byte_rate", 1.0),
        (&[("ip", Some("10.0.0.1"))], "producer_byte_rate", 1.0),
        (&[("ip", Some("10.0.0.1")), ("user", None)], "connection_creation_rate", 1.0),
        (&[], "producer_byte_rate", 1.0),
    ] {
        let why = s.alter_quota(&QuotaEntity::named(parts), &[(name, Some(value))], false).unwrap_err();
        assert_eq!(why.0, ResponseError::InvalidRequest, "{parts:?} {name}");
    }
    s.alter_quota(&app, &[("producer_byte_rate", None), ("request_percentage", None)], false).unwrap();
    assert!(s.quotas().is_empty(), "an entity without limits is forgotten");

    let credential = |mechanism, iterations| ScramCredential { mechanism, iterations };
    s.add_scram_user("app", credential(ScramMechanism::Sha256, 4096));
    s.add_scram_user("app", credential(ScramMechanism::Sha512, 4096));
    s.add_scram_user("app", credential(ScramMechanism::Sha256, 8192));
    let kept: Vec<_> = s.scram_users()["app"].iter().map(|c| c.iterations).collect();
    assert_eq!(kept, [8192, 4096], "one for each mechanism");
}

/// A seeded walk over everything that changes a log; what must always hold is checked at each step.
#[test]
fn a_log_keeps_its_promises_on_any_walk() {
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut s = cluster();
        let mut now = T;
        let mut producers: Vec<Option<((i64, i16), i32)>> = vec![None; 3];
        // what a read_committed reader must end up with, by offset
        let mut committed: Vec<i64> = Vec::new();
        let mut open: Vec<Vec<i64>> = vec![Vec::new(); 3];
        for _ in 0..200 {
            now += rng.i64(0..50);
            let x = rng.usize(0..3);
            let id = format!("x{x}");
            match (rng.u8(0..10), producers[x]) {
                (0..3, _) => {
                    let n = rng.usize(1..4);
                    let base = put(&mut s, now, 0, n);
                    committed.extend(base..base + n as i64);
                }
                (3..7, Some((me, sequence))) => {
                    s.add_partitions(now, &id, me, &[("t".to_owned(), 0)]).unwrap();
                    let writer = BatchProducer { id: me.0, epoch: me.1, sequence, transactional: true };
                    let record = [NewRecord::new("k", "v", now)];
                    let base = s.append_records(now, "t", 0, &record, writer, Some(&id)).unwrap().base;
                    // a retry is the same record
                    assert_eq!(s.append_records(now, "t", 0, &record, writer, Some(&id)).unwrap().base, base);
                    open[x].push(base);
                    producers[x] = Some((me, sequence + 1));
                }
                (7..9, Some((me, _))) => {
                    let kind = if rng.bool() { Marker::Commit } else { Marker::Abort };
                    let done = s.end_txn(now, &id, me, kind);
                    assert!(done.is_ok() || open[x].is_empty(), "seed {seed}");
                    if done.is_ok() && kind == Marker::Commit {
                        committed.append(&mut open[x]);
                    }
                    if done.is_ok() {
                        open[x].clear();
                    }
                }
                (9, _) | (_, None) => {
                    // a new instance: what the old one had open is aborted
                    let mut got = s.init_producer(now, Some(&id), 60_000, (-1, -1));
                    if got == Err(ResponseError::ConcurrentTransactions) {
                        got = s.init_producer(now, Some(&id), 60_000, (-1, -1));
                    }
                    open[x].clear();
                    producers[x] = Some((got.unwrap(), 0));
                }
                _ => {}
            }
            let log = s.log("t", 0).unwrap();
            let first_open = open.iter().flatten().min().copied().unwrap_or(log.high_watermark());
            assert_eq!(log.last_stable_offset(), first_open, "seed {seed}");
            let mut expected: Vec<i64> = committed.iter().copied().filter(|o| *o < first_open).collect();
            expected.sort_unstable();
            let seen: Vec<i64> = log.records(0, IsolationLevel::ReadCommitted).iter().map(|r| r.offset).collect();
            assert_eq!(seen, expected, "seed {seed}");
        }
    }
}

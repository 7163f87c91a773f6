//! The driver, against two logs in memory whose records arrive at given moments.

use super::*;
use crate::offsets::identity::Identity;
use crate::offsets::verdict::Verdict;

pub(super) const T0: i64 = 1_790_000_000_000;

/// (offset, timestamp, payload, arrival); times after `T0`.
pub(super) type Row = (i64, i64, u128, i64);

#[derive(Default)]
pub(super) struct Fake {
    pub(super) source: Vec<Row>,
    pub(super) target: Vec<Row>,
    pub(super) starts: (i64, i64),
    /// Open transactions: how far the high watermarks are beyond the ends.
    pub(super) open: (i64, i64),
    pub(super) now: i64,
    pub(super) asked: Vec<Need>,
}

impl Fake {
    /// Both logs hold payloads `0..n`, one every second, at the same offsets.
    pub(super) fn twin(n: i64) -> Fake {
        let log: Vec<Row> = (0..n).map(|i| (i, i * 1000, i as u128, i * 1000)).collect();
        Fake { source: log.clone(), target: log, now: n * 1000 + 500_000, ..Fake::default() }
    }

    fn rows(&self, log: Log) -> &[Row] {
        if log == Log::Source { &self.source } else { &self.target }
    }

    fn ends(&mut self, log: Log) -> EndRead {
        let asked = At(T0 + self.now);
        self.now += 1;
        let log_start = if log == Log::Source { self.starts.0 } else { self.starts.1 };
        let arrived = self.rows(log).iter().filter(|r| r.3 <= self.now);
        let end = arrived.map(|r| r.0 + 1).max().unwrap_or(log_start);
        let open = if log == Log::Source { self.open.0 } else { self.open.1 };
        EndRead { log_start, end, high_watermark: end + open, asked, answered: At(T0 + self.now) }
    }

    fn answer(&mut self, need: &Need) -> TranslationAnswer {
        match need {
            Need::Ends => {
                let target = self.ends(Log::Target);
                TranslationAnswer::Ends { target, source: self.ends(Log::Source) }
            }
            Need::OffsetForTime { log, ts } => {
                let now = self.now;
                TranslationAnswer::Offset(self.rows(*log).iter().find(|r| r.3 <= now && r.1 + T0 >= *ts).map(|r| r.0))
            }
            Need::Read { log, from, to, .. } => {
                let next = (*to).min(from + 7);
                let rec = |r: &Row| Rec { offset: r.0, ts: T0 + r.1, id: Identity(r.2) };
                let records = self.rows(*log).iter().filter(|r| (*from..next).contains(&r.0)).map(rec).collect();
                TranslationAnswer::Records(LogPiece { next, records, keys: vec![] })
            }
            Need::Wait { ms } => {
                self.now += *ms as i64;
                TranslationAnswer::Waited
            }
            Need::Done(_) => unreachable!(),
        }
    }

    pub(super) fn run(&mut self, params: Params) -> PartitionPlan {
        let mut translation = Translation::new(params);
        for _ in 0..10_000 {
            let need = translation.next();
            assert_eq!(translation.next(), need, "asking twice changes nothing");
            self.asked.push(need.clone());
            if let Need::Done(plan) = need {
                return *plan;
            }
            let answer = self.answer(&need);
            translation.supply(answer, At(T0 + self.now));
        }
        panic!("it does not end");
    }
}

pub(super) fn at(committed: i64) -> Params {
    Params::new(TopicPartition::new("t", 3), Some(committed))
}

#[test]
fn a_plain_translation() {
    let mut fake = Fake::twin(40);
    let plan = fake.run(at(30));
    assert_eq!(
        (plan.verdict, plan.target.offset, plan.re_read, plan.missing),
        (Verdict::Proven, Some(30), Some(0), Some(0))
    );
    assert_eq!((plan.evidence.as_str(), plan.why.clone()), ("content, 40 records compared", None));
    assert_eq!((plan.source.committed, plan.source.end, plan.target.end), (Some(30), 40, 40));
    assert_eq!(plan.cut.source.iter().map(|r| r.offset).collect::<Vec<_>>(), [28, 29, 30, 31]);
    assert_eq!(plan.cut.source, plan.cut.target);
    assert_eq!(fake.asked[0], Need::Ends);
    assert_eq!(fake.asked[1], Need::Read { log: Log::Source, from: 30, to: 40, keys: false });
}

#[test]
fn a_caught_up_group_reads_its_windows_only() {
    let mut fake = Fake::twin(10_000);
    let plan = fake.run(at(10_000));
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Proven, Some(10_000)));
    assert!(plan.read.0 <= 64 && plan.read.1 <= 64, "{:?}", plan.read);
    fake = Fake::twin(10_000);
    let plan = fake.run(at(9_000));
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Proven, Some(9_000)));
    assert!(plan.read.0 < 1_000 + 64 + 80 && plan.read.1 < 1_000 + 64 + 80, "{:?}", plan.read);
}

#[test]
fn positions_that_say_nothing() {
    let why = |fake: &mut Fake, params: Params| {
        let plan = fake.run(params);
        assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None));
        assert_eq!((plan.re_read, plan.missing), (None, None));
        assert!(plan.blocks_cutover());
        plan.why.unwrap()
    };
    let never = || Params::new(TopicPartition::new("t", 0), None);
    assert!(why(&mut Fake::twin(200_001), never()).contains("auto.offset.reset"), "more than anybody reads again");
    assert!(why(&mut Fake::twin(5), at(6)).contains("truncated"));
    let mut open = Fake { open: (3, 0), ..Fake::twin(5) };
    assert!(why(&mut open, at(6)).contains("transaction is open"));
    let small = Params { max_records: 20, ..at(2) };
    assert!(why(&mut Fake::twin(40), small).contains("more than the limit of 20"));
}

/// Where `auto.offset.reset` has put a group that never committed nobody can see: all of the log is owed, and may have
/// been read.
#[test]
fn what_was_never_committed_is_owed_and_bounded() {
    let never = || Params::new(TopicPartition::new("t", 0), None);
    let plan = Fake::twin(5).run(never());
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Bounded, Some(0)));
    assert_eq!((plan.re_read, plan.missing, plan.source.committed), (Some(5), Some(0), None));
    assert!(plan.why.unwrap().contains("never committed"));
    // what expired of the source was nobody's any more, what green still has of it comes before
    let mut fake = Fake { starts: (3, 0), ..Fake::twin(5) };
    fake.source.drain(..3);
    let plan = fake.run(never());
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Bounded, Some(3)));
    // one that green lacks is missing
    let mut fake = Fake::twin(5);
    fake.target.remove(1);
    let plan = fake.run(never());
    assert_eq!((plan.missing, plan.blocks_cutover()), (Some(1), true));
}

#[test]
fn what_a_commit_carries_goes_along_only_where_the_logs_are_one() {
    let carrying = |committed| Params { metadata: Some("bAgAAAA".into()), ..at(committed) };
    let plan = Fake::twin(40).run(carrying(30));
    assert_eq!((plan.verdict, plan.target.offset, plan.re_read), (Verdict::Proven, Some(30), Some(0)));
    assert!(plan.metadata.is_some_and(|m| m.carried && m.text == "bAgAAAA"));
    // the same records at other offsets; another record among them; one that is missing
    let mut shifted = Fake::twin(40);
    shifted.target.iter_mut().for_each(|r| r.0 += 2);
    let mut swapped = Fake::twin(40);
    let (a, b) = (swapped.target[34].2, swapped.target[35].2);
    (swapped.target[34].2, swapped.target[35].2) = (b, a);
    for (mut fake, what) in [(shifted, "shifted"), (swapped, "swapped")] {
        let plan = fake.run(carrying(30));
        assert_eq!((plan.verdict, plan.re_read), (Verdict::Bounded, Some(10)), "{what}: {plan:?}");
        assert!(plan.metadata.is_some_and(|m| !m.carried), "{what}");
        assert!(plan.why.unwrap().contains("7 bytes of metadata"), "{what}");
    }
    assert_eq!(Fake::twin(40).run(at(30)).metadata, None);
}

#[test]
fn empty_partitions_get_a_position_too() {
    let plan = Fake::default().run(Params::new(TopicPartition::new("t", 0), None));
    assert_eq!((plan.verdict, plan.target.offset, plan.evidence.as_str()), (Verdict::Proven, Some(0), "empty"));
    // expired on both sides
    let plan = Fake { starts: (70, 50), ..Fake::default() }.run(at(70));
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Proven, Some(50)));
    // nothing was ever on the source: what the target has is all new
    let mut fake = Fake { source: vec![], ..Fake::twin(5) };
    let plan = fake.run(at(0));
    assert_eq!((plan.verdict, plan.target.offset, plan.re_read), (Verdict::Proven, Some(0), Some(0)));
}

#[test]
fn without_one_record_on_both_logs_it_is_a_guess() {
    let mut fake = Fake::twin(30);
    fake.target.iter_mut().for_each(|r| r.2 += 1_000);
    let plan = fake.run(at(30));
    assert_eq!(plan.verdict, Verdict::Guess);
    assert!(plan.why.unwrap().contains("dual-written"));
    let mut fake = Fake { source: vec![], starts: (30, 0), ..Fake::twin(30) };
    assert_eq!(fake.run(at(30)).verdict, Verdict::Guess, "all expired on the source, the target holds something");
}

#[test]
fn where_the_last_records_are_of_different_writers_the_windows_grow_until_some_pair() {
    // idle since long; the last 300 records of the target are another writer's than the source's last 300
    let mut fake = Fake::twin(2_000);
    fake.now += 10_000_000;
    fake.target.rotate_right(300);
    fake.target.iter_mut().enumerate().for_each(|(i, r)| r.0 = i as i64);
    let plan = fake.run(at(2_000));
    assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Proven, Some(2_000), Some(0)));
    assert!(plan.read.0 > 300 && plan.read.0 < 1_000, "{:?}", plan.read);
    // not dual-written: it ends, and as a guess
    let mut fake = Fake::twin(50_000);
    fake.now += 10_000_000;
    fake.target.iter_mut().for_each(|r| r.2 += 1_000_000);
    let plan = fake.run(at(50_000));
    assert_eq!(plan.verdict, Verdict::Guess);
    assert!(plan.read.0 < 9_000 && plan.read.1 < 9_000, "{:?}", plan.read);
}

/// A transaction that has been open for longer than `arrival_skew`: the twins of what it holds are on the target, and
/// are no failed sends.
#[test]
fn what_only_the_target_has_is_delivered_while_a_transaction_is_open_on_the_source() {
    let mut fake = Fake { open: (4, 0), ..Fake::twin(40) };
    fake.source.truncate(36);
    let plan = fake.run(at(36));
    assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Bounded, Some(36), Some(0)));
    assert!(plan.why.unwrap().contains("open on the source from offset 36"));
    // the same without a transaction: four sends to the source that failed long ago
    fake.open = (0, 0);
    let plan = fake.run(at(36));
    assert_eq!((plan.verdict, plan.target.offset, plan.target_only), (Verdict::Proven, Some(40), 4));
}

#[test]
fn what_is_in_an_open_transaction_on_the_target_may_be_read_again() {
    let mut fake = Fake { open: (0, 4), ..Fake::twin(40) };
    fake.target.truncate(36);
    let plan = fake.run(at(40));
    assert_eq!((plan.verdict, plan.target.offset, plan.re_read), (Verdict::Bounded, Some(36), Some(4)));
    assert!(plan.why.unwrap().contains("open on the target from offset 36"));
}

/// Of a key's records the source has only the last: nothing that is owed is skipped, whatever was consumed of it.
#[test]
fn a_compacted_source_hides_what_was_consumed() {
    // every record but each fourth is superseded by then, and gone on the source
    let mut fake = Fake::twin(80);
    fake.source.retain(|r| r.0 % 4 == 3);
    let plan = fake.run(at(40));
    assert_eq!((plan.target.offset, plan.missing), (Some(43), Some(0)), "what compaction removed is owed to nobody");
    // (k,v), (k,w), (k,v): the last v alone is left on the source, and it is unconsumed
    let mut fake = Fake::twin(80);
    fake.target[39].2 = 43;
    fake.source.retain(|r| r.0 != 39);
    let plan = fake.run(at(40));
    assert_eq!((plan.target.offset, plan.missing), (Some(39), Some(0)), "{plan:?}");
}

#[test]
fn identity_key_is_never_proof() {
    let plan = Fake::twin(40).run(Params { rule: IdentityRule::Key, ..at(30) });
    assert_eq!(plan.verdict, Verdict::Bounded);
    assert!(plan.why.unwrap().contains("key"));
}

#[test]
fn pairs_that_lie_far_apart_are_never_proof() {
    let mut fake = Fake::twin(400);
    fake.target.iter_mut().for_each(|r| r.1 += 4_000);
    let plan = fake.run(at(300));
    assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Bounded, Some(300), Some(0)));
    assert!(plan.why.unwrap().contains("4000 ms apart"));
    // beyond pair_delta: looked at again with a wider one
    let mut fake = Fake::twin(400);
    fake.target.iter_mut().for_each(|r| r.1 += 20_000);
    let plan = fake.run(at(300));
    assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Bounded, Some(300), Some(0)));
    assert!(plan.why.unwrap().contains("20000 ms apart"));
    // beyond everything: A1 does not hold, and nothing follows
    let mut fake = Fake::twin(400);
    fake.target.iter_mut().skip(350).for_each(|r| r.1 += 400_000);
    fake.now += 400_000;
    let plan = fake.run(at(300));
    assert_eq!(plan.verdict, Verdict::Guess);
    assert!(plan.why.unwrap().contains("400000 ms apart"));
}

/// The last record is on one log only, and its twin comes `late` ms after the translation begins.
fn tail(late: i64, log: Log) -> Fake {
    let mut fake = Fake::twin(40);
    fake.now = 40_000;
    let rows = if log == Log::Source { &mut fake.source } else { &mut fake.target };
    rows.last_mut().unwrap().3 = fake.now + late;
    fake
}

#[test]
fn young_records_are_waited_for() {
    for log in [Log::Source, Log::Target] {
        let plan = tail(700, log).run(at(39));
        assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Proven, Some(39), Some(0)), "{log}");
        assert!(plan.at.0 - T0 >= 40_700 && plan.at.0 - T0 < 42_000, "{:?}", plan.at);
    }
}

/// A twin of 40 records, but that those from `from` to `to` carry times that lie two hours ahead, and never came to the
/// target.
fn ahead(from: i64, to: i64) -> Fake {
    let mut fake = Fake::twin(40);
    let time = fake.now + 2 * 3_600_000;
    fake.source.iter_mut().filter(|r| (from..to).contains(&r.0)).for_each(|r| r.1 = time + r.0);
    fake.target.retain(|r| !(from..to).contains(&r.0));
    (0..).zip(&mut fake.target).for_each(|(offset, r)| r.0 = offset);
    fake
}

#[test]
fn a_time_that_lies_ahead_hides_no_missing_record() {
    let hour = Some(3_600_000);
    let told = |p: &PartitionPlan| (p.verdict, p.target.offset, p.missing, p.unsettled.unconsumed);
    let plan = ahead(35, 40).run(Params { target_after_max_ms: hour, ..at(30) });
    assert_eq!(told(&plan), (Verdict::Proven, Some(30), Some(5), 0), "the target refuses them: {plan:?}");
    assert_eq!(plan.missing_ranges, [(35, 40)]);
    let plan = ahead(20, 25).run(at(10));
    assert_eq!(told(&plan), (Verdict::Proven, Some(10), Some(5), 0), "what came after them is old: {plan:?}");
    let plan = ahead(35, 40).run(at(30));
    assert_eq!(told(&plan), (Verdict::Bounded, Some(30), Some(0), 5), "nothing tells: {plan:?}");
    let seen = vec![EndSample { at: At(T0 + 300_000), end: 40 }];
    let plan = ahead(35, 40).run(Params { source_seen: seen, ..at(30) });
    assert_eq!(told(&plan), (Verdict::Proven, Some(30), Some(5), 0), "they were there minutes ago: {plan:?}");
}

#[test]
fn a_time_that_lies_ahead_is_no_sign_of_a_writer() {
    // A writer went to the target alone, unknown to the journal, after everything that the source has.
    let alone = |mut fake: Fake| {
        let last = fake.target.last().map_or(0, |r| r.0) + 1;
        fake.target.extend((0..5).map(|n| (last + n, 200_000 + n, 900 + n as u128, 200_000 + n)));
        fake.run(Params { target_after_max_ms: Some(3_600_000), ..at(40) })
    };
    let plain = alone(Fake::twin(40));
    assert_eq!((plain.target.offset, plain.target_only), (Some(40), 0), "{plain:?}");
    let plan = alone(ahead(10, 11));
    assert_eq!((plan.target.offset, plan.target_only), (Some(39), 0), "they are delivered all the same: {plan:?}");
}

#[test]
fn what_an_open_transaction_hides_is_not_known() {
    let mut fake = Fake { open: (7, 0), ..Fake::twin(40) };
    let plan = fake.run(at(38));
    assert_eq!((plan.verdict, plan.missing, plan.unsettled.unconsumed), (Verdict::Bounded, Some(0), 7), "{plan:?}");
    assert!(plan.why.unwrap().contains("whether the target has the 7 offsets behind it can't be seen"));
}

#[test]
fn waiting_ends_and_what_is_left_is_said() {
    let plan = tail(60_000, Log::Source).run(at(39));
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Bounded, Some(39)));
    assert_eq!(plan.unsettled.target_only, 1);
    assert!(plan.at.0 - T0 >= 50_000 && plan.at.0 - T0 < 51_000, "{:?}", plan.at);
    let plan = tail(60_000, Log::Target).run(at(39));
    assert_eq!((plan.verdict, plan.missing, plan.unsettled.unconsumed), (Verdict::Bounded, Some(0), 1));
    let plan = tail(60_000, Log::Target).run(at(40));
    assert_eq!((plan.verdict, plan.re_read, plan.unsettled.consumed), (Verdict::Bounded, Some(1), 1));
    assert!(plan.why.unwrap().contains("1 consumed"));
    // an estimate does not wait
    let mut fake = tail(60_000, Log::Source);
    let plan = fake.run(Params { settle: false, ..at(39) });
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Bounded, Some(39)));
    assert!(!fake.asked.iter().any(|n| matches!(n, Need::Wait { .. })));
}

/// Of a busy topic something younger is always on its way: only what was there at the first look is waited for.
#[test]
fn a_topic_that_is_written_all_the_time_is_proven_all_the_same() {
    let mut fake = Fake::twin(40);
    fake.now = 40_000;
    // from here on a record a millisecond: on the source at once, on the target 900 ms later
    let flood = (40..60_000).map(|i| (i, i + 39_960 - 40, i as u128, i + 39_960 - 40));
    fake.source.extend(flood.clone());
    fake.target.extend(flood.map(|(offset, ts, payload, at)| (offset, ts, payload, at + 900)));
    let plan = fake.run(at(39));
    assert_eq!((plan.verdict, plan.missing, plan.re_read), (Verdict::Proven, Some(0), Some(0)), "{:?}", plan.why);
    assert!(plan.unsettled.is_none());
    assert!(plan.at.0 - T0 < 42_500, "it waits for what was there, not for the flood: {:?}", plan.at);
}

/// Among identical payloads a send that failed hides behind the next one's twin: what the matching leaves over is always
/// the youngest, and it must count all the same.
#[test]
fn a_failed_send_among_heartbeats_is_not_passed_over() {
    let mut fake = Fake::twin(40);
    fake.now = 40_000;
    let beat = |i: i64| (i, 38_000 + (i - 40) * 10, 7, 38_000 + (i - 40) * 10);
    fake.source.extend((40..4_000).map(beat));
    // the third heartbeat's send to the target failed
    fake.target
        .extend((40..4_000).map(beat).filter(|r| r.0 != 42).zip(40..).map(|((_, ts, id, at), o)| (o, ts, id, at)));
    let plan = fake.run(at(40));
    assert!(plan.missing != Some(0) || plan.unsettled.unconsumed > 0, "{plan:?}");
    assert_ne!(plan.verdict, Verdict::Proven);
}

#[test]
fn samples_of_the_end_settle_what_timestamps_can_not() {
    // event time: an old timestamp on a record that arrived just now, on the target only
    let mut fake = tail(60_000, Log::Source);
    fake.target.last_mut().unwrap().1 = -3_000_000;
    let samples = |end| vec![EndSample { at: At(T0 - 100_000), end }];
    let seen = Params { settle: false, source_seen: samples(39), target_seen: samples(39), ..at(39) };
    let plan = fake.run(seen);
    assert_eq!((plan.target.offset, plan.unsettled.target_only), (Some(39), 1));
    // and with a sample that shows it arrived long ago: settled, a failed source send
    let mut fake = tail(60_000, Log::Source);
    let seen = Params { source_seen: samples(39), target_seen: samples(40), target_only_since: None, ..at(39) };
    let plan = fake.run(seen);
    assert_eq!(plan.unsettled.target_only, 0);
}

#[test]
fn what_goes_wrong_ends_without_an_offset() {
    let broken = |answer: fn(&Need) -> Option<TranslationAnswer>| {
        let mut fake = Fake::twin(40);
        let mut translation = Translation::new(at(30));
        loop {
            let need = translation.next();
            if let Need::Done(plan) = need {
                assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None));
                return plan.why.unwrap();
            }
            let answer = answer(&need).unwrap_or_else(|| fake.answer(&need));
            translation.supply(answer, At(T0));
        }
    };
    let failed = broken(|n| {
        matches!(n, Need::Read { .. }).then(|| TranslationAnswer::Failed(Trouble::new("broker 2 is gone", "")))
    });
    assert_eq!(failed, "broker 2 is gone");
    assert!(broken(|_| Some(TranslationAnswer::Waited)).contains("does not belong"));
    let empty = |n: &Need| {
        matches!(n, Need::Read { .. })
            .then(|| TranslationAnswer::Records(LogPiece { next: 0, records: vec![], keys: vec![] }))
    };
    assert!(broken(empty).contains("nothing was read"));
    let disorder = |n: &Need| {
        let Need::Read { to, .. } = n else { return None };
        let rec = Rec { offset: 3, ts: 0, id: Identity(0) };
        Some(TranslationAnswer::Records(LogPiece { next: *to, records: vec![rec], keys: vec![] }))
    };
    assert!(broken(disorder).contains("out of order"));
}

#[test]
fn a_log_that_shrinks_while_it_is_read_is_refused() {
    let mut fake = tail(60_000, Log::Source);
    let mut translation = Translation::new(at(39));
    loop {
        let need = translation.next();
        if let Need::Done(plan) = need {
            assert_eq!(plan.verdict, Verdict::Unmappable);
            assert!(plan.why.unwrap().contains("cut back from 40 to 20"));
            return;
        }
        if matches!(need, Need::Wait { .. }) {
            fake.target.truncate(20);
        }
        let answer = fake.answer(&need);
        translation.supply(answer, At(T0 + fake.now));
    }
}

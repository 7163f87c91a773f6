use super::super::tests_kit::old;
use super::*;

fn ground() -> DiffPreconditions {
    DiffPreconditions {
        topic: "t".into(),
        names: ["t".into(), "t".into()],
        identity: IdentityRule::default(),
        arrival_skew_ms: 0,
        after_max_ms: [None; 2],
        rules: DiffRules::judging_all(2, 5_000),
        ranges: [vec![(3, 9), (0, 7)], vec![(0, 8), (0, 0)]],
        asked: [At(0); 2],
        to_ends: true,
        hidden: [vec![None, Some(7)], vec![Some(8), None]],
        unasked: BTreeSet::from([1]),
        unknown: vec!["t-1 on green: its leader is gone".into()],
        remarks: Vec::new(),
    }
}

#[test]
fn of_a_partition_that_one_side_does_not_answer_for_nothing_is_compared() {
    let mut ground = ground();
    ground.leave_out();
    assert_eq!(ground.ranges, [[(3, 9), (7, 7)], [(0, 8), (0, 0)]]);
    assert_eq!([0, 1].map(|p| ground.rules.judged[0][p].from_ts), [i64::MIN, i64::MAX]);
    assert_eq!(ground.hidden, [[None, None], [Some(8), None]]);
    let mut log = DiffLogEnds {
        side: Side::Blue,
        name: "t".into(),
        start: vec![3, 2],
        end: vec![9, 7],
        hidden: vec![None, Some(7)],
        first: vec![Some(50), Some(10)],
        asked: At(0),
    };
    log.leave_out(&ground.unasked);
    assert_eq!(
        (log.oldest_timestamp(), log.is_cut(0), log.is_cut(1)),
        (Some(50), true, false),
        "it says nothing of the others"
    );
}

#[test]
fn what_is_hidden_matters_where_the_range_reaches_it() {
    let mut ground = ground();
    let hidden = || ground.hidden.clone();
    let near = ground.limit_hidden(hidden(), &[vec![9, 7], vec![8, 0]]);
    assert_eq!(near, ground.hidden);
    assert_eq!(ground.limit_hidden(hidden(), &[vec![9, 6], vec![7, 0]]), [[None, None], [None, None]]);
    let (mut unknown, mut remarks) = (Vec::new(), Vec::new());
    ground.tell_hidden(&near, Side::Blue, &mut unknown, &mut remarks);
    let said = "an open transaction on green holds t-0 from offset 8 on: compared up to there";
    assert_eq!((unknown.len(), remarks[1].as_str()), (2, said), "it has not moved: {unknown:?}");
    let moved = near.clone().map(|log| log.into_iter().map(|from| from.map(|at| at + 1)).collect());
    let (mut none, mut others) = (Vec::new(), Vec::new());
    ground.tell_hidden(&moved, Side::Blue, &mut none, &mut others);
    assert_eq!((none.len(), others.len(), ground.still_hides(&near), ground.still_hides(&moved)), (0, 2, true, false));
    ground.rules.judged.iter_mut().flatten().for_each(|j| j.to_ts = 99);
    ground.tell_hidden(&near, Side::Blue, &mut unknown, &mut remarks);
    assert_eq!((unknown.len(), remarks.len()), (4, 2), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_time_that_lies_ahead_the_range_goes_on_on_old_brokers_too() {
    let (old, carried) = (old(), Ranges::default());
    let span = Span::Times { from: old.now - 650_000, to: Some(old.now - 200_000) };
    let (plan, tools, names) = (&*old.plan, &*old.tools, &*old.tools.names);
    let grounds = DiffSurvey { plan, tools, names, source: Side::Blue, span, replayed: false, carried: &carried };
    let ground = grounds.survey_topic("t").await.unwrap().unwrap();
    assert_eq!(ground.ranges, [[(0, 4)], [(0, 3)]], "all that may hold records of the range");
    let said = |side: &str| format!("timestamps of t on {side} lie ahead: read to its end");
    assert!(["blue", "green"].into_iter().all(|side| ground.remarks.contains(&said(side))), "{:?}", ground.remarks);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_before_a_record_of_the_greatest_time_is_unknown() {
    let (old, carried) = (old(), Ranges::default());
    // The second record's time is the greatest there is; the first one is gone on blue.
    old.add_topic("e", [&[600, i64::MIN, 400], &[600, i64::MIN, 400]]);
    old.clusters[0].with_state(|state| state.delete_records("e", 0, 1).unwrap());
    let (plan, tools, names) = (&*old.plan, &*old.tools, &*old.tools.names);
    let span = Span::Times { from: old.now - 650_000, to: None };
    let grounds = DiffSurvey { plan, tools, names, source: Side::Blue, span, replayed: false, carried: &carried };
    let ground = grounds.survey_topic("e").await.unwrap().unwrap();
    let why = "partition 0: what is older than its first record, whose time lies ahead, has expired on blue";
    assert_eq!(ground.unknown, [why]);
    assert_eq!([0, 1].map(|log| ground.rules.judged[log][0].from_ts), [i64::MAX; 2]);
}

#[test]
fn a_hit_at_or_beyond_the_end_is_the_end_whatever_its_time() {
    let log = DiffLogEnds {
        side: Side::Blue,
        name: "t".into(),
        start: vec![2],
        end: vec![9],
        hidden: vec![None],
        first: vec![Some(1)],
        asked: At(100),
    };
    let hit = |found| {
        let hit = log.limit_hit(0, found);
        (hit.offset, hit.ts)
    };
    assert_eq!(hit(Some((5, 7_000))), (5, Some(7_000)));
    assert_eq!(hit(Some((1, 50))), (2, Some(50)));
    // It was written since: nothing of the log as it stands lies behind it.
    assert_eq!(hit(Some((9, 7_000))), (9, None));
    assert_eq!(hit(None), (9, None));
}

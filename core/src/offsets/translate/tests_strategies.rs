//! The driver under every other strategy than `align`, against the two logs in memory of its own tests.

use super::tests::{Fake, T0, at};
use super::*;
use crate::offsets::verdict::Verdict;

fn with(strategy: Strategy, committed: i64) -> Params {
    Params { strategy, ..at(committed) }
}

/// The figures of a plan: verdict, offset, re-read, missing.
type Figures = (Verdict, Option<i64>, Option<u64>, Option<u64>);

fn figures(plan: &PartitionPlan) -> Figures {
    (plan.verdict, plan.target.offset, plan.re_read, plan.missing)
}

fn why(plan: &PartitionPlan) -> &str {
    plan.why.as_deref().unwrap_or("")
}

#[test]
fn latest_says_what_it_skips() {
    let mut fake = Fake::twin(40);
    let plan = fake.run(with(Strategy::Latest, 30));
    assert_eq!(figures(&plan), (Verdict::Guess, Some(40), Some(0), Some(10)));
    assert_eq!((plan.strategy.clone(), plan.missing_ranges.clone()), (Strategy::Latest.into(), vec![(30, 40)]));
    let missing = plan.times.missing.unwrap();
    assert_eq!((missing.first, missing.last), (At(T0 + 30_000), At(T0 + 39_000)));
    assert!(why(&plan).contains("skips 10 unconsumed records, 9 s of them"), "{}", why(&plan));
    assert!(why(&plan).contains("could start at 30") && plan.blocks_cutover());
    // caught up: there it is as good as what the contents say
    let plan = Fake::twin(40).run(with(Strategy::Latest, 40));
    assert_eq!(figures(&plan), (Verdict::Proven, Some(40), Some(0), Some(0)));
    // too much to read: an upper bound, said as such
    let plan = Fake::twin(400).run(Params { max_records: 100, ..with(Strategy::Latest, 30) });
    assert_eq!(figures(&plan), (Verdict::Guess, Some(400), Some(0), Some(370)));
    assert!(why(&plan).contains("up to 370 records") && why(&plan).contains("limit of 100"), "{}", why(&plan));
}

#[test]
fn earliest_says_what_it_reads_again() {
    let mut fake = Fake::twin(400);
    let plan = fake.run(with(Strategy::Earliest, 300));
    assert_eq!(figures(&plan), (Verdict::Bounded, Some(0), Some(300), Some(0)));
    let again = plan.times.re_read.unwrap();
    assert_eq!((again.first, again.last), (At(T0), At(T0 + 299_000)));
    assert!(why(&plan).contains("reads 300 records again, 299 s of them"), "{}", why(&plan));
    assert_eq!(plan.read, (400, 400));
    // more than may be read for a count: an upper bound
    let plan = Fake::twin(4_000).run(Params { count_records: 1_000, ..with(Strategy::Earliest, 3_900) });
    assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Bounded, Some(0), Some(0)));
    assert_eq!(plan.re_read, Some(3_900));
    assert!(why(&plan).contains("were not compared") && plan.read.0 < 1_000, "{} {:?}", why(&plan), plan.read);
    // other records: nothing is known of what is there
    let mut fake = Fake::twin(30);
    fake.target.iter_mut().for_each(|r| r.2 += 1_000);
    assert_eq!(fake.run(with(Strategy::Earliest, 10)).verdict, Verdict::Guess);
}

#[test]
fn a_group_that_never_committed_gets_what_was_asked_for_and_its_price() {
    let never = |strategy| Params { committed: None, ..with(strategy, 0) };
    let plan = Fake::twin(40).run(never(Strategy::Latest));
    assert_eq!(figures(&plan), (Verdict::Guess, Some(40), Some(0), Some(40)));
    let plan = Fake::twin(40).run(never(Strategy::Earliest));
    assert_eq!(figures(&plan), (Verdict::Proven, Some(0), Some(0), Some(0)));
    assert!(why(&plan).contains("never committed"), "{}", why(&plan));
    for strategy in [Strategy::Auto, Strategy::Align, Strategy::Mm2] {
        let plan = Fake::twin(40).run(never(strategy));
        assert_eq!(figures(&plan), (Verdict::Bounded, Some(0), Some(40), Some(0)), "{strategy}");
    }
    assert_eq!(Fake::twin(40).run(never(Strategy::Identity)).verdict, Verdict::Unmappable);
    // all that ever came has expired: whatever its reset, what comes next is what it would read
    let plan = Fake { starts: (70, 50), ..Fake::default() }.run(never(Strategy::Align));
    assert_eq!(figures(&plan), (Verdict::Proven, Some(50), Some(0), Some(0)));
}

#[test]
fn a_moment_is_held_against_the_contents() {
    let moment = |ms: i64| Params { at: Some(At(T0 + ms)), ..with(Strategy::Timestamp, 300) };
    let plan = Fake::twin(400).run(moment(300_000));
    assert_eq!(figures(&plan), (Verdict::Proven, Some(300), Some(0), Some(0)));
    let plan = Fake::twin(400).run(moment(100_000));
    assert_eq!(figures(&plan), (Verdict::Bounded, Some(100), Some(200), Some(0)));
    assert!(why(&plan).contains("reads 200 records again, 199 s of them"), "{}", why(&plan));
    let plan = Fake::twin(400).run(moment(350_000));
    assert_eq!(figures(&plan), (Verdict::Guess, Some(350), Some(0), Some(50)));
    // later than every record: the end
    assert_eq!(Fake::twin(400).run(moment(1 << 40)).target.offset, Some(400));
    // without a moment: that of the oldest unconsumed record, less pair_delta
    let plan = Fake::twin(400).run(with(Strategy::Timestamp, 300));
    assert_eq!(figures(&plan), (Verdict::Bounded, Some(295), Some(5), Some(0)));
}

#[test]
fn what_expired_before_the_group_read_it_is_missing() {
    let mut fake = Fake { starts: (4, 0), ..Fake::twin(40) };
    fake.source.drain(..4);
    let plan = fake.run(at(2));
    assert_eq!((plan.verdict, plan.missing, plan.source.committed), (Verdict::Bounded, Some(2), Some(2)));
    assert!(plan.missing_ranges.is_empty(), "nobody can carry what is gone");
    assert!(why(&plan).contains("2 offsets expired on the source") && plan.blocks_cutover(), "{}", why(&plan));
    assert!(plan.target.offset <= Some(4), "{:?}", plan.target);
}

/// What is advised beside it is taken where it is chosen, and holds nothing but what it says.
#[test]
fn what_is_advised_for_what_expired_is_not_refused() {
    let expired = |strategy: Strategy| {
        let mut fake = Fake { starts: (4, 0), ..Fake::twin(40) };
        fake.source.drain(..4);
        fake.run(with(strategy, 2))
    };
    for strategy in [Strategy::Auto, Strategy::Align, Strategy::Mm2] {
        let plan = expired(strategy);
        let advice = "`earliest` or `timestamp` together with `--override missing` and a reason";
        assert!(why(&plan).contains(advice), "{strategy}: {}", why(&plan));
    }
    for strategy in [Strategy::Earliest, Strategy::Timestamp] {
        let plan = expired(strategy);
        assert_eq!((plan.verdict, plan.missing), (Verdict::Bounded, Some(2)), "{strategy}: {}", why(&plan));
        assert!(plan.target.offset <= Some(2), "{strategy} delivers what is there: {:?}", plan.target);
        let words =
            format!("also where `{strategy}` delivers what the target still holds of them; `--override missing`");
        assert!(why(&plan).contains(&words) && !why(&plan).contains("together with"), "{strategy}: {}", why(&plan));
    }
}

#[test]
fn missing_ranges_hold_data_records_only_and_go_over_holes() {
    // 30, 31, [32 is a marker], 33 are missing on the target; 36 too
    let mut fake = Fake::twin(40);
    fake.source.retain(|r| r.0 != 32);
    fake.target.retain(|r| ![30, 31, 32, 33, 36].contains(&r.0));
    let plan = fake.run(at(20));
    assert_eq!((plan.missing, plan.missing_ranges.clone()), (Some(4), vec![(30, 34), (36, 37)]));
    let times = plan.times.missing.unwrap();
    assert_eq!((times.first, times.last), (At(T0 + 30_000), At(T0 + 36_000)));
}

#[test]
fn a_seam_is_held_against_the_records_around_it() {
    // 0..20 on the source, then all writers went over: 20..40 on the target from 0 on
    let cut_over = || {
        let mut fake = Fake::twin(40);
        fake.source.truncate(20);
        fake.target.drain(..20);
        fake.target.iter_mut().for_each(|r| r.0 -= 20);
        fake
    };
    let seam = Params { seam: Some(SeamOffsets { source: 20, target: 0 }), ..with(Strategy::Seam, 20) };
    let plan = cut_over().run(seam.clone());
    assert_eq!(figures(&plan), (Verdict::Proven, Some(0), Some(0), Some(0)));
    assert_eq!((plan.cut.source.len(), plan.cut.target.len()), (2, 2));
    let auto = cut_over().run(Params { strategy: Strategy::Auto, ..seam.clone() });
    assert_eq!((auto.strategy.clone(), figures(&auto)), (Strategy::Seam.into(), figures(&plan)));
    let behind = cut_over().run(Params { committed: Some(17), ..seam.clone() });
    assert_eq!(behind.verdict, Verdict::Unmappable);
    assert!(why(&behind).contains("3 records below the seam"), "{}", why(&behind));
    // one record was written to both
    let mut both = cut_over();
    both.target.push((20, 19_000, 19, 40_000));
    let plan = both.run(seam.clone());
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None));
    assert!(why(&plan).contains("at 19 on the source is on the target too, at 20"), "{}", why(&plan));
    // two were written to the source after its writers were stopped
    let mut late = cut_over();
    late.source.extend([(20, 50_000, 900, 50_000), (21, 50_000, 901, 50_000)]);
    let plan = late.run(seam.clone());
    assert_eq!(figures(&plan), (Verdict::Bounded, Some(0), Some(0), Some(2)));
    assert_eq!(plan.missing_ranges, [(20, 22)]);
    // and that takes no other reason's place
    (late.open, late.starts) = ((4, 0), (0, 3));
    late.target.drain(..3);
    let plan = late.run(seam.clone());
    assert_eq!(figures(&plan), (Verdict::Bounded, Some(3), Some(0), Some(5)));
    for reason in
        ["2 records were written to the source", "4 offsets after the seam", "3 records after the seam expired"]
    {
        assert!(why(&plan).contains(reason), "{}", why(&plan));
    }
    let none = cut_over().run(Params { seam: None, ..seam });
    assert!(why(&none).contains("no seam is recorded"), "{}", why(&none));
}

#[test]
fn a_mirror_is_compared_around_the_offset() {
    let plan = Fake::twin(400).run(with(Strategy::Identity, 300));
    assert_eq!((figures(&plan), plan.read), ((Verdict::Proven, Some(300), Some(0), Some(0)), (164, 164)));
    assert_eq!(plan.cut.source, plan.cut.target);
    let mut shifted = Fake::twin(400);
    shifted.target.iter_mut().for_each(|r| r.0 += 1);
    let plan = shifted.run(with(Strategy::Identity, 300));
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Unmappable, None));
    assert!(why(&plan).contains("different records"), "{}", why(&plan));
    // a backlog too long to be compared whole
    let plan = Fake::twin(4_000).run(Params { count_records: 2_000, ..with(Strategy::Identity, 300) });
    assert_eq!((plan.verdict, plan.target.offset), (Verdict::Bounded, Some(300)));
    assert!(why(&plan).contains("only the first"), "{}", why(&plan));
    // one that lags, and metadata that is left behind, are told beside it
    let mut lags = Fake::twin(4_000);
    lags.target.truncate(3_990);
    let metadata = Some("done".to_owned());
    let plan = lags.run(Params { count_records: 2_000, metadata, ..with(Strategy::Identity, 300) });
    assert_eq!(plan.verdict, Verdict::Bounded);
    for reason in ["only the first", "10 offsets behind", "4 bytes of metadata"] {
        assert!(why(&plan).contains(reason), "{}", why(&plan));
    }
    let never = Fake::twin(4).run(Params { committed: None, ..with(Strategy::Identity, 3) });
    assert_eq!(never.verdict, Verdict::Unmappable);
}

#[test]
fn auto_names_the_evidence_and_claims_no_more_than_the_contents() {
    let auto = |committed| with(Strategy::Auto, committed);
    let plan = Fake::twin(40).run(auto(30));
    assert_eq!(
        (plan.strategy.to_string().as_str(), plan.evidence.as_str()),
        ("align", "same offsets, content, 40 records compared")
    );
    let mut shifted = Fake::twin(40);
    shifted.target.iter_mut().for_each(|r| r.0 += 5);
    let plan = shifted.run(auto(30));
    assert_eq!(plan.evidence, "content, 40 records compared");
    assert_eq!(figures(&plan), (Verdict::Proven, Some(35), Some(0), Some(0)));
    // what MirrorMaker says is moved to where the contents are
    let claim = |offset: i64| Some(Claim { offset, evidence: format!("mm2 checkpoint {offset}") });
    for strategy in [Strategy::Auto, Strategy::Mm2] {
        for (said, words) in
            [(35, "mm2 checkpoint 35 confirmed, "), (12, "mm2 checkpoint 12 +23, "), (39, "mm2 checkpoint 39 -4, ")]
        {
            let plan = shifted.run(Params { mm2: claim(said), ..with(strategy, 30) });
            assert_eq!(figures(&plan), (Verdict::Proven, Some(35), Some(0), Some(0)), "{strategy} {said}");
            assert!(plan.evidence.starts_with(words), "{}", plan.evidence);
        }
    }
}

#[test]
fn what_mm2_says_without_the_contents_is_a_guess() {
    let claim = Some(Claim { offset: 12, evidence: "mm2 offset sync 12".into() });
    let mm2 = Params { mm2: claim, ..with(Strategy::Mm2, 30) };
    let mut other = Fake::twin(40);
    other.target.iter_mut().for_each(|r| r.2 += 1_000);
    let plan = other.run(mm2.clone());
    assert_eq!(figures(&plan), (Verdict::Guess, Some(12), Some(28), None));
    assert!(plan.blocks_cutover());
    assert_eq!(other.run(Params { mm2: None, ..mm2.clone() }).verdict, Verdict::Unmappable);
    // too much to compare
    let plan = Fake::twin(40).run(Params { max_records: 20, committed: Some(2), ..mm2.clone() });
    assert_eq!((plan.verdict, plan.target.offset, plan.missing), (Verdict::Guess, Some(12), None));
    // what an open transaction holds on the target may be read again as well, compared or not
    other.open.1 = 5;
    assert_eq!(figures(&other.run(mm2.clone())), (Verdict::Guess, Some(12), Some(33), None));
    let mut open = Fake { open: (0, 5), ..Fake::twin(40) };
    let plan = open.run(Params { max_records: 20, committed: Some(2), ..mm2.clone() });
    assert_eq!(figures(&plan), (Verdict::Guess, Some(12), Some(33), None));
    assert!(why(&plan).contains("up to 33 records"), "{}", why(&plan));
    let plan = open.run(Params { max_records: 20, ..with(Strategy::Latest, 2) });
    assert_eq!(figures(&plan), (Verdict::Guess, Some(40), Some(5), Some(38)));
    // with contents and without its word: the contents
    let plan = Fake::twin(40).run(with(Strategy::Mm2, 30));
    assert_eq!(figures(&plan), (Verdict::Proven, Some(30), Some(0), Some(0)));
}

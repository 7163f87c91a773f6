//! MirrorMaker 2 beside the truth: its own answer for a group that was behind when it began, and ours.

use std::time::{Duration, Instant};

use cutover::base::Side;
use cutover::offsets::Verdict;

use super::ground::{committed, fill};
use super::{commit, group_text, load, of, plan_text, translate};
use crate::faults::Desk;
use crate::support::kafka::{Mirror, create_topic, delete_records, end_offsets, pair};
use crate::support::unique;

/// Until `look` gives something.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(240), "waited 240 s for: {what}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Blue's first 500 records had expired when MirrorMaker began, so green's offsets are 500 behind blue's.
#[test]
fn mirror_maker_re_reads_hundreds_where_contents_prove_the_exact_offset() {
    let pair = pair();
    let topic = unique("mirrored");
    let caught_up = unique("mirrored-caught-up");
    // where a group stands on blue; it is 500 less on green
    let mut groups = [1_037, 1_537, 2_111].map(|at| (unique("mirrored-behind"), at)).to_vec();
    create_topic(&pair.blue, &topic, 1, &[]);
    fill(&pair.blue, &topic, 0, (0..3_000).map(|n| format!("value {n}").into_bytes()));
    delete_records(&pair.blue, &topic, 0, 500);
    groups.push((caught_up.clone(), 3_000));
    groups.iter().for_each(|(group, at)| commit(&pair.blue, group, &[(&topic, 0, *at)]));
    let names: Vec<&str> = groups.iter().map(|(group, _)| group.as_str()).collect();
    let mirror = Mirror::start(&pair.blue, &pair.green, &topic, &names.join("|"));
    let told = |group: &str| committed(&pair.green, group, &topic).first().map(|(_, offset)| *offset);
    // its answer for the caught-up group is its last: by then it has seen all syncs
    until("MirrorMaker's offset of the caught-up group", || told(&caught_up).filter(|at| *at == 2_500));
    assert_eq!(end_offsets(&pair.green, &topic)[&0].1, 2_500);
    let mut again = 0;
    for (group, at) in &groups {
        let told = until("MirrorMaker's offsets", || told(group));
        println!("MirrorMaker 2: {told}, the truth: {}", at - 500);
        assert!(told <= at - 500, "it skips: {told}");
        again += at - 500 - told;
    }
    assert!(again > 0, "it re-reads by design");

    let tables: String = names.iter().map(|group| group_text(group, &[&topic])).collect();
    for strategy in ["auto", "align", "mm2"] {
        let rule = format!("[[topics]]\nname = {topic:?}\nstrategy = {strategy:?}\n");
        let plan = load(&Desk::new(&(plan_text(&pair.blue, &pair.green, &rule) + &tables)));
        for (group, at) in &groups {
            let found = translate(&plan, group, Side::Green);
            let p = of(&found, &topic, 0);
            println!("{strategy}: {:?} {} {} {:?}", p.target.offset, p.verdict, p.evidence, p.why);
            assert_eq!((p.verdict, p.target.offset), (Verdict::Proven, Some(at - 500)), "{strategy}: {p:?}");
            assert_eq!((p.re_read, p.missing), (Some(0), Some(0)), "{strategy}: {p:?}");
        }
    }
    drop(mirror);
}

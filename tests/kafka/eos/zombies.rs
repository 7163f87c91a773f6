//! Instances of the old side that come back after the cut: one that was paused, one that is started again.

use std::time::Instant;

use super::ground::{PRINCIPAL, guarded};
use super::scene::{Ground, Hand, Running, Scene, Setting};
use crate::support::kafka::pair;
use crate::support::workload::{Cluster, Ended};

/// With the principal denied, neither writes a record, there and on the way back.
#[test]
fn with_an_acl_neither_a_paused_nor_a_restarted_instance_writes_a_record() {
    let (guarded, _turn) = guarded();
    let principals = format!("principal = {{ blue = \"{PRINCIPAL}\", green = \"{PRINCIPAL}\" }}");
    let setting = Setting { spare: 1, producer: principals, ..Setting::default() };
    let scene = Scene::start(guarded[0].ground(), guarded[1].ground(), &setting);
    for (left, verb, more) in [(Cluster::Blue, "cutover", &[][..]), (Cluster::Green, "rollback", &["--carry-back"][..])]
    {
        let (side, id) = (&scene.sides[left as usize], &scene.ids[left as usize][1]);
        let paused = Hand::start(side, id, &scene.sink).expect("started");
        paused.begin().and_then(|()| paused.write()).and_then(|()| paused.commit()).expect("it works");
        paused.begin().expect("begun");
        scene.produce(verb, more);
        let ends = scene.sink_ends(left);
        let woken = paused.write().and_then(|()| paused.commit());
        let again = Hand::start(side, id, &scene.sink).map(drop);
        println!("left {left:?}: paused {woken:?}, restarted {again:?}, ends {ends:?}");
        assert!(matches!(woken, Err(Ended::Fenced | Ended::Denied)), "{woken:?}");
        assert_eq!(again, Err(Ended::Denied));
        assert_eq!(scene.sink_ends(left), ends, "0 records");
    }
    scene.processes(Cluster::Blue, 3);
    let mut seen = scene.count(Cluster::Blue, Cluster::Blue);
    println!("{seen}");
    // What the paused ones had committed before: one on blue, one on green that was carried back.
    assert_eq!(std::mem::take(&mut seen.foreign), 2);
    seen.is_exact();
}

/// Without one the paused instance is fenced, and who starts again is alarmed by name.
#[test]
fn without_an_acl_a_restarted_instance_is_alarmed_by_name() {
    let setting = Setting { spare: 1, ..Setting::default() };
    let scene = Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), &setting);
    let id = scene.ids[0][1].clone();
    let paused = Hand::start(&scene.sides[0], &id, &scene.sink).expect("started");
    paused.begin().expect("begun");
    let cut = scene.produce("cutover", &[]);
    assert!(format!("{}{}", cut.out, cut.err).contains("current instances only"), "{}{}", cut.out, cut.err);
    let ends = scene.sink_ends(Cluster::Blue);
    assert_eq!(paused.write().and_then(|()| paused.commit()), Err(Ended::Fenced));
    assert_eq!(scene.sink_ends(Cluster::Blue), ends, "0 records");

    let mut watch = Running::start(scene.desk.path(), &["watch".to_owned()]);
    watch.says(&["soak"]);
    let rogue = Hand::start(&scene.sides[0], &id, &scene.sink).expect("nothing keeps it out");
    let start = Instant::now();
    let alarm = watch.says(&[&id]);
    println!("alarmed {:.1?} after the restart: {alarm}", start.elapsed());
    rogue.begin().and_then(|()| rogue.write()).and_then(|()| rogue.commit()).expect("nothing keeps it out");
    drop(watch);
    let mut seen = scene.count(Cluster::Green, Cluster::Blue);
    seen.lost.clear(); // the reader was not moved
    assert_eq!(seen.foreign, 1, "{seen:?}");
}

//! Groups on the seam, a dry run, and the end of it.

use std::time::Duration;

use super::ground::{PRINCIPAL, guarded};
use super::scene::{Ground, SOON, Scene, Setting};
use crate::support::kafka::pair;
use crate::support::workload::{Cluster, State};

/// A reader that has not read blue to its end is held, with the count left, and goes on reading meanwhile; drained, it
/// starts at the seam exactly. The producer's way back is kept for as long as the plan says.
#[test]
fn a_reader_is_held_until_it_has_drained_blue_and_starts_at_the_seam() {
    let scene = Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), &Setting::default());
    let seam = scene.sink_ends(Cluster::Green);
    scene.reader.set_per_record(Duration::from_millis(400));
    scene.processes(Cluster::Blue, 10);
    scene.produce("cutover", &[]);
    let yes = format!("--yes={}", scene.downstream);
    let held = scene.run(&["group", "cutover", &scene.downstream, &yes]);
    assert_eq!(held.code, Some(3), "{}{}", held.out, held.err);
    let words = format!("{}{}", held.out, held.err);
    assert!(words.contains("offsets below the seam on blue still to read"), "{words}");
    assert!(scene.switch.state() == State::Blue, "it was not stopped");
    scene.reader.set_per_record(Duration::ZERO);
    scene.drained(Cluster::Blue);
    let moved = scene.done(&["group", "cutover", &scene.downstream, &yes, "--json"]);
    let moved: serde_json::Value = serde_json::from_str(&moved.out).expect("JSON alone on standard output");
    let rows = moved["offsets"]["partitions"].as_array().expect("partitions").iter();
    let started: Vec<_> = rows.map(|p| (p["after"].as_i64(), p["re_read"].as_u64(), p["missing"].as_u64())).collect();
    let at_seam: Vec<_> = seam.into_iter().map(|offset| (Some(offset), Some(0), Some(0))).collect();
    assert_eq!(started, at_seam, "at the seam");

    let args = scene.producer("complete", &[]);
    let early = scene.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(early.code != Some(0) && format!("{}{}", early.out, early.err).contains("2d23h left"), "{}", early.err);
    scene.count(Cluster::Green, Cluster::Green).is_exact();
}

/// The same steps, and not one request that changes anything; the real one then sends some.
#[test]
fn a_dry_run_shows_the_same_steps_and_sends_nothing_that_changes_anything() {
    let (guarded, _turn) = guarded();
    let principals = format!("principal = {{ blue = \"{PRINCIPAL}\", green = \"{PRINCIPAL}\" }}");
    let setting = Setting { producer: principals, ..Setting::default() };
    let scene = Scene::start(guarded[0].ground(), guarded[1].ground(), &setting);
    let steps = |ran: &crate::faults::Ran| -> Vec<String> {
        let value: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON alone on standard output");
        let steps = value["run"]["steps"].as_array().unwrap_or_else(|| panic!("{value}"));
        steps.iter().map(|s| s["text"].as_str().or(s["what"].as_str()).unwrap_or_default().to_owned()).collect()
    };
    for (verb, more, left) in
        [("cutover", &["--json"][..], Cluster::Blue), ("rollback", &["--json"][..], Cluster::Green)]
    {
        guarded.iter().for_each(|g| g.recorder.forget());
        let dry = scene.produce(verb, &[more, &["--dry-run"]].concat());
        let changing = [guarded[0].recorder.changing(), guarded[1].recorder.changing()];
        println!("{verb}: a dry run sent {:?} and {:?}", guarded[0].recorder.sent(), guarded[1].recorder.sent());
        assert!(changing.iter().all(|c| c.is_empty()), "{changing:?}");
        let on = if left == Cluster::Blue { State::Blue } else { State::Green };
        assert!(scene.flag.state() == on, "the flag is where it was");
        scene.processes(left, 2);
        let real = scene.produce(verb, more);
        let changing = [guarded[0].recorder.changing(), guarded[1].recorder.changing()];
        println!("{verb}: the real one sent {changing:?}");
        // InitProducerId and CreateAcls on the side that is left.
        assert!([22, 30].iter().all(|key| changing[left as usize].contains_key(key)), "{changing:?}");
        assert_eq!(steps(&dry), steps(&real));
    }
    scene.processor.wait(SOON, "it is back", |done| done.running == Some(Cluster::Blue));
    scene.count(Cluster::Blue, Cluster::Blue).is_exact();
}

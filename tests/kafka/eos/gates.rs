//! What keeps the gate shut, by name, and what does not.

use std::time::Duration;

use super::ground::guarded;
use super::scene::{Ground, Hand, SOON, Scene, Setting};
use crate::support::kafka::pair;
use crate::support::workload::{Cluster, State};

fn scene(setting: &Setting) -> Scene<'static> {
    Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), setting)
}

/// A transaction past its timeout keeps the gate shut, and is named; when it has ended the gate is open.
#[test]
fn a_transaction_that_is_open_for_too_long_is_named() {
    let (guarded, _turn) = guarded();
    let scene = Scene::start(guarded[0].ground(), guarded[1].ground(), &Setting { spare: 1, ..Setting::default() });
    let id = scene.ids[0][1].clone();
    let open = Hand::with_timeout(&scene.sides[0], &id, &scene.sink, Duration::from_secs(2)).expect("started");
    open.begin().and_then(|()| open.write()).expect("open");
    let args = scene.producer("cutover", &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let pid = scene.producer_id(Cluster::Blue, &id);
    scene.is_overlong(Cluster::Blue, &id);
    let shut = scene.run(&args);
    assert_eq!(shut.code, Some(3), "{}{}", shut.out, shut.err);
    for wanted in [&id, &format!("pid {pid}"), "open ", "its timeout is 2s"] {
        assert!(format!("{}{}", shut.out, shut.err).contains(wanted), "{wanted:?} is not in {}{}", shut.out, shut.err);
    }
    assert!(scene.flag.state() == State::Blue, "nothing was stopped");
    open.abort().expect("aborted");
    scene.done(&args);
    scene.drained(Cluster::Blue);
    scene.move_reader("cutover");
    scene.count(Cluster::Green, Cluster::Green).is_exact();
}

/// Stopped with a transaction open that does not end: it is named and not killed, and the producer is started again.
#[test]
fn a_transaction_that_does_not_end_after_the_stop_is_waited_for_by_name_and_never_killed() {
    let keys = "drain_timeout = \"12s\"";
    let scene = scene(&Setting { spare: 1, producer: keys.to_owned(), ..Setting::default() });
    let id = scene.ids[0][1].clone();
    let open = Hand::start(&scene.sides[0], &id, &scene.sink).expect("started");
    open.begin().and_then(|()| open.write()).expect("open");
    let args = scene.producer("cutover", &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let held = scene.run(&args);
    assert!(held.code != Some(0), "{}{}", held.out, held.err);
    assert!(format!("{}{}", held.out, held.err).contains(&id), "{}{}", held.out, held.err);
    // It gives back by itself: nothing was fenced, and the open transaction is as it was.
    scene.processes(Cluster::Blue, 3);
    open.abort().expect("it was not killed");
    scene.produce("cutover", &[]);
    scene.processes(Cluster::Green, 3);
    scene.drained(Cluster::Blue);
    scene.move_reader("cutover");
    scene.count(Cluster::Green, Cluster::Green).is_exact();
}

/// A transaction is always open, and another team's on green besides, in the same partition.
#[test]
fn a_busy_producer_can_be_cut_and_another_teams_transaction_on_green_holds_nothing_up() {
    let scene = scene(&Setting { open_for: Duration::from_secs(3), ..Setting::default() });
    let other = Hand::start(&scene.sides[1], &format!("{}-other", scene.name), &scene.sink).expect("started");
    other.begin().and_then(|()| other.write()).expect("open");
    scene.produce("cutover", &[]);
    scene.processes(Cluster::Green, 2);
    other.abort().expect("nobody ended it");
    scene.produce("rollback", &["--carry-back"]);
    scene.processes(Cluster::Blue, 2);
    scene.count(Cluster::Blue, Cluster::Blue).is_exact();
}

/// One look at everything else that keeps it shut, each by its name, and nothing is touched.
#[test]
fn the_gate_names_what_is_not_as_it_must_be() {
    let closed = "[[windows]]\nname = \"never\"\ndays = [\"Sun\"]\nfrom = \"02:00\"\nto = \"02:01\"\nzone = \"America/New_York\"\n";
    let scene = scene(&Setting { windows: closed.to_owned(), ..Setting::default() });
    let args = scene.producer("cutover", &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let refused = |words: &[&str]| {
        let ran = scene.run(&args);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(matches!(ran.code, Some(1 | 3)), "{said}");
        words.iter().for_each(|w| assert!(said.contains(w), "{w:?} is not in {said}"));
        said
    };
    refused(&["never opens in"]);
    let used = Hand::start(&scene.sides[1], &scene.ids[1][0], &scene.sink).expect("started");
    refused(&[&scene.ids[1][0], "in use on green"]);
    drop(used);
    scene.flag.set("dual");
    refused(&["the flag reads dual"]);
    scene.flag.set("blue");
    scene.processor.wait(SOON, "it is at work again", |done| done.running == Some(Cluster::Blue));
    assert!(scene.journal().iter().all(|e| e["event"]["event"] != "intent"), "nothing was begun");
    scene.count(Cluster::Blue, Cluster::Blue).is_exact();
}

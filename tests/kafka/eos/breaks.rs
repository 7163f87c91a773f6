//! Things that break in the middle: the controller is killed at every step, a broker is restarted.

use super::scene::{Ground, Running, Scene, Setting};
use crate::support::kafka::{old_blue, pair, throwaway};
use crate::support::workload::{Cluster, State};

/// The steps at which a run is killed without `EOS_KILLS=all`: those that change something, and the seam.
const CHANGING: [&str; 7] =
    ["set the flag", "fence", "translate", "commit", "carry", "journal the seam", "see its first"];

/// The step that a line is about: `  ok fence its 2 ids on blue`, `  … fence its 2 ids on blue: under way`.
fn step(line: &str) -> Option<String> {
    let rest = line.strip_prefix("  ok ").or_else(|| line.strip_prefix("  … "))?;
    Some(rest.chars().take(24).collect())
}

/// Carries a verb out while its process is killed (`kill -9`) at each step as soon as it is first heard of, and another
/// one goes on; gives the steps.
fn killed_at_every_step(scene: &Scene<'_>, verb: &str, more: &[&str], to: State) -> Vec<String> {
    let all = std::env::var("EOS_KILLS").is_ok_and(|v| v == "all");
    let mut killed_at: Vec<String> = Vec::new();
    let mut args = scene.producer(verb, more);
    // A step is killed at once; and now and then something has to be asked for again.
    for _ in 0..40 {
        let mut running = scene.begin(&args);
        let mut here = None;
        while let (None, Some(line)) = (&here, running.line()) {
            let new = |s: &String| !killed_at.contains(s) && (all || CHANGING.iter().any(|c| s.starts_with(c)));
            here = step(&line).filter(new);
        }
        match here {
            Some(step) => {
                running.kill();
                killed_at.push(step);
                args = scene.producer("continue", &[]);
            }
            None => {
                let (code, said) = running.end();
                if code == Some(0) && scene.flag.state() == to {
                    return killed_at;
                }
                println!("not yet: {code:?} {said:?}");
                // It may have been given back, as what does not come to its end in time is.
                let waits = said.iter().all(|line| !line.contains("waits to be continued"));
                let given_back = code == Some(0) || !waits;
                args = scene.producer(if given_back { verb } else { "continue" }, if given_back { more } else { &[] });
            }
        }
    }
    panic!("it does not come to its end");
}

#[test]
fn killed_at_every_step_there_and_back() {
    let scene = Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), &Setting::default());
    let there = killed_at_every_step(&scene, "cutover", &[], State::Green);
    scene.processes(Cluster::Green, 5);
    let back = killed_at_every_step(&scene, "rollback", &["--carry-back"], State::Blue);
    println!("killed there at {there:?}, back at {back:?}");
    assert!(there.len() > 5 && back.len() > 6);
    scene.processes(Cluster::Blue, 5);
    let seen = scene.count(Cluster::Blue, Cluster::Blue);
    println!("killed {} times: {seen}", there.len() + back.len());
    seen.is_exact();
}

#[test]
fn a_broker_is_restarted_in_the_middle_there_and_back() {
    let (blue, green) = (throwaway("eos-blue", &[]), throwaway("eos-green", &[]));
    let scene = Scene::start(Ground::plain(&blue), Ground::plain(&green), &Setting::default());
    for (verb, more, to, breaks) in [
        ("cutover", &[][..], State::Green, [&blue, &green]),
        ("rollback", &["--carry-back"][..], State::Blue, [&green, &blue]),
    ] {
        let mut running: Running = scene.begin(&scene.producer(verb, more));
        running.says(&["fence"]);
        breaks[0].restart();
        let (code, said) = running.end();
        println!("{verb} with {} restarted: {code:?}", breaks[0].name);
        if code != Some(0) {
            println!("{said:?}");
            scene.goes_on(verb, more, to);
        }
        let on = if to == State::Green { Cluster::Green } else { Cluster::Blue };
        breaks[1].restart();
        scene.processes(on, 3);
    }
    scene.count(Cluster::Blue, Cluster::Blue).is_exact();
}

/// Kafka 2.8 can't describe a transaction: every id is fenced, and the last stable offset says the rest.
#[test]
fn from_2_8_and_back_by_the_fallback() {
    let scene = Scene::start(Ground::plain(old_blue()), Ground::plain(&pair().green), &Setting::default());
    let cut = scene.produce("cutover", &["--json"]);
    assert!(cut.out.contains("not available before 3.0"), "{}", cut.out);
    scene.processes(Cluster::Green, 3);
    scene.drained(Cluster::Blue);
    scene.move_reader("cutover");
    scene.produce("rollback", &["--carry-back"]);
    scene.drained(Cluster::Green);
    scene.move_reader("rollback");
    scene.processes(Cluster::Blue, 3);
    scene.count(Cluster::Blue, Cluster::Blue).is_exact();
}

//! There and back, again and again, at random times.

use fastrand::Rng;

use super::scene::{Ground, Scene, Setting};
use crate::support::kafka::pair;
use crate::support::workload::Cluster;

/// The reader of the sink follows on every other trip; on the others it stays on blue and reads what is carried back.
#[test]
fn there_and_back_nothing_is_lost_doubled_or_seen_that_was_aborted() {
    let trips: usize = std::env::var("EOS_TRIPS").map_or(2, |n| n.parse().expect("a number of round trips"));
    let seed = std::env::var("EOS_SEED").map_or_else(|_| fastrand::u64(..), |n| n.parse().expect("a seed"));
    println!("{trips} round trips, EOS_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let scene = Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), &Setting::default());
    for trip in 0..trips {
        scene.processes(Cluster::Blue, random.u64(1..25));
        scene.produce("cutover", &[]);
        let follows = trip % 2 == 0;
        if follows {
            scene.processes(Cluster::Green, random.u64(1..10));
            scene.drained(Cluster::Blue);
            scene.move_reader("cutover");
        }
        scene.processes(Cluster::Green, random.u64(1..25));
        scene.produce("rollback", &["--carry-back"]);
        if follows {
            scene.processes(Cluster::Blue, random.u64(1..10));
            scene.drained(Cluster::Green);
            scene.move_reader("rollback");
        }
    }
    scene.processes(Cluster::Blue, 5);
    let seen = scene.count(Cluster::Blue, Cluster::Blue);
    println!("{trips} round trips: {seen}");
    seen.is_exact();
    let followed = trips.div_ceil(2);
    assert_eq!(seen.path.len(), 1 + 2 * followed, "{seen}");
}

/// What is written on green stays there when its loss is accepted by name: the reader, which stays on blue, has a hole
/// exactly there.
#[test]
fn the_cost_of_a_way_back_without_carrying_is_exactly_what_green_alone_held() {
    let scene = Scene::start(Ground::plain(&pair().blue), Ground::plain(&pair().green), &Setting::default());
    let seam = scene.sink_ends(Cluster::Green);
    scene.produce("cutover", &[]);
    scene.processes(Cluster::Green, 5);
    // What is accepted as lost is a number: nothing may come on top of it until the stop.
    scene.traffic.set_rate(0);
    scene.idles(Cluster::Green);
    let mut back = scene.begin(&scene.producer("rollback", &["--lose"]));
    back.says(&["ok journal the seam"]);
    scene.traffic.set_rate(60);
    assert_eq!(back.end().0, Some(0));
    let on_green = scene.ids_past(Cluster::Green, &seam);
    scene.processes(Cluster::Blue, 5);
    let seen = scene.count(Cluster::Blue, Cluster::Blue);
    println!("without carrying: {seen}; green alone held {}", on_green.len());
    assert_eq!(seen.lost, on_green);
    assert!(!on_green.is_empty() && seen.doubled.is_empty() && seen.aborted.is_empty(), "{seen:?}");
}

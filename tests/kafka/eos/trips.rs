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

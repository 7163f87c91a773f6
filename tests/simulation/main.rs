//! The simulated Kafka: unmodified clients against it.
// Waits have a bound, and a bound needs a clock.
#![allow(clippy::disallowed_methods)]

#[path = "../conformance/mod.rs"]
mod conformance;

#[path = "../support/kill.rs"]
mod kill_support;

#[path = "../support/receiver.rs"]
mod receiver;

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/exposition.rs"]
mod format;

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/patience.rs"]
mod patience;

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/pty.rs"]
mod pty;

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/turns.rs"]
mod turns;

mod clients;
mod control;
mod controller;
mod damaged;
mod deterministic;
mod estate;
mod faults;
mod hostile;
mod kill;
mod link;
mod notify;
mod provision;
#[cfg(target_os = "linux")]
mod read_only_disk;
mod replay;
mod rig;
mod setup;
mod transactions;
mod verify;

/// What real Kafka 4.3.1 answered (recorded by `tests/kafka`), answer by answer.
#[test]
fn it_answers_as_kafka_does() {
    use cutover::base::Side;
    use cutover::sim::{SimCluster, SimConfig};

    let start = || SimCluster::start(SimConfig { brokers: 1, ..SimConfig::new(Side::Blue) }).unwrap();
    let cluster = start();
    let found = conformance::transcript(conformance::CASES, &cluster.bootstrap(), "sim");
    conformance::compare(conformance::TRANSCRIPT, &found);

    let guarded = start();
    guarded.with_state(|s| s.enable_authorizer());
    let found = conformance::transcript(conformance::GUARDED, &guarded.bootstrap(), "sim");
    conformance::compare(conformance::GUARDED_TRANSCRIPT, &found);
}

//! The simulated Kafka: unmodified clients against it.
// Waits have a bound, and a bound needs a clock.
#![allow(clippy::disallowed_methods)]

#[path = "../conformance/mod.rs"]
mod conformance;

#[path = "../support/kill.rs"]
mod kill_support;

mod clients;
mod control;
mod controller;
mod deterministic;
mod estate;
mod faults;
mod kill;

/// What real Kafka 4.3.1 answered (recorded by `tests/kafka`), answer by answer.
#[test]
fn it_answers_as_kafka_does() {
    use cutover::migration::estate::Side;
    use cutover::sim::{SimCluster, SimConfig};

    let cluster = SimCluster::start(SimConfig { brokers: 1, ..SimConfig::new(Side::Blue) }).unwrap();
    conformance::compare(&conformance::transcript(&cluster.bootstrap(), "sim"));
}

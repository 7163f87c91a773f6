//! Everything that is tried on real Kafka, in one binary, so that its tests share two clusters.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../conformance/mod.rs"]
mod conformance;

#[path = "../support/kill.rs"]
mod kill_support;

mod cockpit;
mod control;
mod control_faults;
mod control_secure;
mod control_transactions;
mod controller;
mod faults;
mod init;
mod kit;
mod offsets;
mod records;
mod traffic;
mod workload;

/// Holds the transcript that the simulated Kafka is tested against to the real one.
#[test]
fn kafka_answers_as_the_transcript_says() {
    let broker = &support::kafka::pair().blue;
    let found = conformance::transcript(&broker.bootstrap, &support::unique("conformance"));
    if std::env::var_os("CONFORMANCE_RECORD").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/transcript.txt");
        std::fs::write(path, &found).unwrap();
    }
    conformance::compare(&found);
}

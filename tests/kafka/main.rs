//! Everything that is tried on real Kafka, in one binary, so that its tests share two clusters.

// Real time against real brokers is what is measured here.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../conformance/mod.rs"]
mod conformance;

#[path = "../support/kill.rs"]
mod kill_support;

#[path = "../support/exposition.rs"]
mod exposition;

#[path = "../support/registry/mod.rs"]
mod fake_registry;
#[path = "../support/token_server.rs"]
mod token_server;

#[path = "../support/receiver.rs"]
#[allow(dead_code, reason = "each binary needs a part of it")]
mod receiver;

mod auth;
mod bearer;
mod cockpit;
mod control;
mod control_faults;
mod control_secure;
mod control_transactions;
mod controller;
mod counts;
mod diff;
mod doors;
mod endpoint;
mod eos;
mod eos_edge;
mod faults;
mod groups;
mod init;
mod inventory;
mod kit;
mod least;
mod metrics;
mod names;
mod offsets;
mod one_name;
mod planes;
mod preflight;
mod provision;
mod reach;
mod records;
mod replay;
mod rights;
mod setup_changes;
mod soak;
mod traffic;
mod verify;
mod watch;
mod windows;
mod workload;

/// Holds the transcripts that the simulated Kafka is tested against to the real one.
#[test]
fn kafka_answers_as_the_transcript_says() {
    answers(&support::kafka::pair().blue, conformance::CASES, conformance::TRANSCRIPT);
}

#[test]
fn kafka_answers_as_the_transcript_says_with_an_authorizer() {
    let authorizer = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:nobody"),
        ("allow.everyone.if.no.acl.found", "true"),
    ];
    let broker = support::kafka::throwaway("authorizer", &authorizer);
    answers(&broker, conformance::GUARDED, conformance::GUARDED_TRANSCRIPT);
}

fn answers(broker: &support::kafka::Broker, cases: &[(&str, conformance::CaseFn)], file: &str) {
    let found = conformance::transcript(cases, &broker.bootstrap, &support::unique("conformance"));
    if std::env::var_os("CONFORMANCE_RECORD").is_some() {
        std::fs::write(conformance::path(file), &found).unwrap();
    }
    conformance::compare(file, &found);
}

//! Test support: real Kafka clusters as child processes, a pseudo-terminal, dual-writing traffic.
//!
//! Include it from a test binary or a benchmark with
//! `#[path = "../support/mod.rs"] mod support;` (a `tests/NAME.rs` file: `mod support;`).
//! Each binary uses a part of it, so unused items are no warning here.
#![allow(dead_code, unused_imports)]
// Tests measure real time against real brokers.
#![allow(clippy::disallowed_methods)]

pub mod faulty;
pub mod kafka;
pub mod patience;
pub mod prometheus;
pub mod pty;
pub mod turns;
pub mod workload;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// `name` with a suffix that no other call in this process, and no other running test process, gets:
/// topics and groups of tests that share a cluster never meet.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Where downloads are kept: `target/kit`, or `CUTOVER_KIT` (a cache that outlives `target`).
pub fn kit_dir() -> PathBuf {
    match std::env::var_os("CUTOVER_KIT") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp has a parent").join("kit"),
    }
}

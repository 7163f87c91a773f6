//! Ports for servers that must know their own port before they start (a broker advertises it).

use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::Mutex;

/// Below 32768: above is Linux's ephemeral range, where an outgoing connection could take the port.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on, held against every other test process while this value lives.
#[derive(Debug)]
pub struct Port {
    /// The number.
    pub number: u16,
    _lock: File,
}

/// Takes a free port: bound once to see that it is free, and locked by a file, so that two test
/// processes never pick the same one between the look and the broker's own bind. The lock goes
/// with the process, however it dies.
pub fn take() -> Port {
    listen().0
}

/// As [`take`], for who listens there at once: a port that is let go for a moment may be held by a program that another
/// thread is just starting (fork, then exec).
pub fn listen() -> (Port, TcpListener) {
    static RANDOM: Mutex<Option<fastrand::Rng>> = Mutex::new(None);
    let dir = std::env::temp_dir().join("cutover-kit-ports");
    fs::create_dir_all(&dir).expect("a directory for port locks");
    for _ in 0..2_000 {
        let number = RANDOM.lock().expect("no panic holds it").get_or_insert_with(fastrand::Rng::new).u16(RANGE);
        let lock = File::create(dir.join(format!("{number}.lock"))).expect("a port lock file");
        if lock.try_lock().is_ok()
            && let Ok(listener) = TcpListener::bind(("127.0.0.1", number))
        {
            return (Port { number, _lock: lock }, listener);
        }
    }
    panic!("no free port between {} and {}", RANGE.start, RANGE.end);
}

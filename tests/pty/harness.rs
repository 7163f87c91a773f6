//! The harness itself: it sees what a person sees, and its waits end when they should.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::pty::{Exit, Terminal, key, spawn};

const SOON: Duration = Duration::from_secs(120);

fn sh(script: &str) -> Terminal {
    spawn("sh", &["-c", script], &[("GREETING", "hello")], &std::env::temp_dir(), (100, 30))
}

#[test]
fn size_environment_and_keys_reach_the_program() {
    let terminal = sh("stty size; echo $TERM $GREETING; read x; echo \"got <$x>\"; exit 7");
    terminal.wait_for_text(SOON, "30 100");
    terminal.wait_for_text(SOON, "xterm-256color hello");
    terminal.send("abc");
    terminal.send(key::ENTER);
    let row = terminal.wait_for(SOON, |s| s.rows(0, 100).position(|r| r == "got <abc>"));
    assert_eq!(row, 3, "{}", terminal.screen_text());
    assert_eq!(terminal.wait_exit(SOON), Some(Exit::Code(7)));
    assert!(terminal.first_byte().is_some());
}

#[test]
fn a_wait_ends_with_the_program_not_with_the_timeout() {
    let terminal = sh("echo bye");
    // Were it to wait for the timeout, it would say that nothing was seen within it.
    let why = terminal.look_for(SOON, |s| s.contents().contains("hello").then_some(()));
    assert!(why.is_err_and(|w| w.contains("Code(0)")));
    assert_eq!(terminal.screen_text().trim(), "bye");
}

#[test]
fn resizing_killing_and_signals() {
    let terminal = sh("trap 'stty size' WINCH; trap 'echo term' TERM; echo up; while :; do read x; done");
    terminal.wait_for_text(SOON, "up");
    terminal.resize((80, 24));
    terminal.wait_for_text(SOON, "24 80");
    terminal.signal(Signal::TERM);
    terminal.wait_for_text(SOON, "term");
    assert_eq!(terminal.wait_exit(Duration::ZERO), None);
    terminal.kill();
    assert_eq!(terminal.wait_exit(Duration::ZERO), Some(Exit::Signal("Killed".into())));
}

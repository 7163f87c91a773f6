//! `cargo bench --bench first_frame`: time from exec to the first whole frame on a pseudo-terminal, beside htop in
//! the same run. Both brokers accept connections and never answer, so the frame can't have waited for them.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::io::Read as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const RUNS: usize = 15;
const LIMIT: Duration = Duration::from_secs(10);

/// Milliseconds until `marker` stands on an 80x24 screen; `None` when the program is missing or never shows it.
fn first_frame(command: CommandBuilder, marker: &str) -> Option<f64> {
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).ok()?;
    let mut reader = pair.master.try_clone_reader().ok()?;
    let started = Instant::now();
    let mut child = pair.slave.spawn_command(command).ok()?;
    drop(pair.slave);
    let mut screen = vt100::Parser::new(24, 80, 0);
    let mut buffer = [0u8; 16 * 1024];
    let mut seen = None;
    while started.elapsed() < LIMIT {
        let n = reader.read(&mut buffer).unwrap_or(0);
        if n == 0 {
            break;
        }
        screen.process(&buffer[..n]);
        if screen.screen().contents().contains(marker) {
            seen = Some(started.elapsed().as_secs_f64() * 1_000.0);
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    seen
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    // the kernel completes the handshake, nobody ever answers
    let silent = [TcpListener::bind("127.0.0.1:0").expect("a port"), TcpListener::bind("127.0.0.1:0").expect("a port")];
    let address = |i: usize| silent[i].local_addr().expect("an address").to_string();
    let dir = tempfile::tempdir().expect("a directory");
    let plan = dir.path().join("cutover.toml");
    let text = format!(
        "[migration]\nname = \"bench\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n",
        address(0),
        address(1)
    );
    std::fs::write(&plan, text).expect("a plan");

    let ours = || {
        let mut c = CommandBuilder::new(env!("CARGO_BIN_EXE_cutover"));
        c.args(["--read-only", "--plan"]);
        c.arg(&plan);
        c.env("TERM", "xterm-256color");
        c
    };
    let htop = || {
        let mut c = CommandBuilder::new("htop");
        c.env("TERM", "xterm-256color");
        c
    };
    let (mut our_times, mut htop_times) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_times.push(first_frame(ours(), "GREEN").expect("cutover shows its cockpit without a broker"));
        htop_times.extend(first_frame(htop(), "Tasks"));
    }
    let ours = median(our_times);
    println!("first frame at 80x24, median of {RUNS}, brokers that never answer");
    println!("  cutover  {ours:8.1} ms");
    if htop_times.len() < RUNS {
        println!("  htop          not measured (apt-get install htop)");
    } else {
        let htop = median(htop_times);
        println!("  htop     {htop:8.1} ms");
        println!("  ratio    {:8.2}  (htop / cutover; above 1 we are faster)", htop / ours);
    }
}

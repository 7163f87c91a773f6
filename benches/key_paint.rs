//! `cargo bench --bench key_paint`: time from a key to its whole frame on a pseudo-terminal, beside htop in the same run,
//! and how many frames a second the data costs meanwhile. Both run on an 80x24 screen with live data: ours is the demo.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::io::{Read as _, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

/// Keys that are measured.
const KEYS: usize = 101;
/// How long the frames without keys are counted.
const QUIET: Duration = Duration::from_secs(10);
/// How long a program may take to show anything.
const LIMIT: Duration = Duration::from_secs(60);
/// The begin of a frame: ours are synchronized updates.
const FRAME: &[u8] = b"\x1b[?2026h";

/// A program on a terminal, read by a thread: each chunk with the moment it came.
struct Program {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    chunks: Receiver<(Instant, Vec<u8>)>,
    screen: vt100::Parser,
}

impl Program {
    fn start(command: CommandBuilder) -> Option<Self> {
        let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).ok()?;
        let mut reader = pair.master.try_clone_reader().ok()?;
        let writer = pair.master.take_writer().ok()?;
        let child = pair.slave.spawn_command(command).ok()?;
        drop(pair.slave);
        let (tx, chunks) = channel();
        std::thread::spawn(move || {
            let _master = pair.master;
            let mut buffer = [0u8; 16 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if tx.send((Instant::now(), buffer[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, writer, chunks, screen: vt100::Parser::new(24, 80, 0) })
    }

    /// When the screen first holds (or no longer holds) `marker`.
    fn shows(&mut self, marker: &str, there: bool) -> Option<Instant> {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (at, chunk) = self.chunks.recv_timeout(left).ok()?;
            self.screen.process(&chunk);
            if self.screen.screen().contents().contains(marker) == there {
                return Some(at);
            }
        }
    }

    /// Frames that come in a while without keys.
    fn frames(&mut self, during: Duration) -> usize {
        let until = Instant::now() + during;
        let mut seen = Vec::new();
        loop {
            match self.chunks.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((_, chunk)) => {
                    self.screen.process(&chunk);
                    seen.extend(chunk);
                }
                Err(RecvTimeoutError::Timeout) => return seen.windows(FRAME.len()).filter(|w| *w == FRAME).count(),
                Err(RecvTimeoutError::Disconnected) => return 0,
            }
        }
    }

    /// Milliseconds from each key to the frame that shows what it did: `open` shows `marker`, `close` takes it away.
    fn keys(&mut self, open: &str, close: &str, marker: &str) -> Option<Vec<f64>> {
        let mut times = Vec::new();
        for i in 0..KEYS {
            // Never in step with anybody's clock.
            std::thread::sleep(Duration::from_micros(fastrand::u64(100_000..400_000)));
            while let Ok((_, chunk)) = self.chunks.try_recv() {
                self.screen.process(&chunk);
            }
            let (key, there) = if i % 2 == 0 { (open, true) } else { (close, false) };
            let pressed = Instant::now();
            self.writer.write_all(key.as_bytes()).and_then(|()| self.writer.flush()).ok()?;
            times.push((self.shows(marker, there)? - pressed).as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        Some(times)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(name: &str, times: &[f64]) -> String {
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("  {name:<8} median {:7.2} ms   90 % {:7.2} ms   longest {:7.2} ms", at(50), at(90), at(100))
}

fn main() {
    let program = |name: &str, args: &[&str]| {
        let mut c = CommandBuilder::new(name);
        c.args(args);
        c.env("TERM", "xterm-256color");
        c.env("LANG", "C.UTF-8");
        c.env_remove("NO_COLOR");
        Program::start(c)
    };
    let mut ours = program(env!("CARGO_BIN_EXE_cutover"), &["demo"]).expect("cutover starts");
    ours.shows("loan-audit", true).expect("the demo shows its groups");
    let frames = ours.frames(QUIET);
    let our_times = ours.keys("?", "q", "ctl: age").expect("help opens and closes");
    drop(ours);
    println!("a key to its frame at 80x24, {KEYS} keys at random moments, live data meanwhile");
    println!("{}", line("cutover", &our_times));
    let htop = program("htop", &[]).and_then(|mut htop| {
        htop.shows("Tasks", true)?;
        htop.keys("h", " ", "set IO priority")
    });
    match htop {
        Some(times) => println!("{}", line("htop", &times)),
        None => println!("  htop     not measured (apt-get install htop)"),
    }
    println!("  frames without keys: {:.1} a second", frames as f64 / QUIET.as_secs_f64());
}

//! A pseudo-terminal with a real program in it: what a person would see, and the keys they would press.
//!
//! A thread reads the program's output into a `vt100` screen and wakes whoever waits for it: nothing polls.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use super::patience::Patience;

/// Keys that are more than one character.
pub mod key {
    pub const ENTER: &str = "\r";
    pub const ESC: &str = "\x1b";
    pub const TAB: &str = "\t";
    pub const BACKSPACE: &str = "\x7f";
    pub const UP: &str = "\x1b[A";
    pub const DOWN: &str = "\x1b[B";
    pub const RIGHT: &str = "\x1b[C";
    pub const LEFT: &str = "\x1b[D";
    pub const PAGE_UP: &str = "\x1b[5~";
    pub const PAGE_DOWN: &str = "\x1b[6~";
    pub const HOME: &str = "\x1b[H";
    pub const END: &str = "\x1b[F";
    pub const CTRL_C: &str = "\x03";
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u32),
    /// By a signal, in the system's words ("Killed", "Hangup").
    Signal(String),
}

/// A program in a terminal. Dropped, it is killed.
pub struct Terminal {
    pid: Pid,
    master: Box<dyn MasterPty + Send>,
    writer: Mutex<Box<dyn Write + Send>>,
    shared: Arc<(Mutex<State>, Condvar)>,
    started: Instant,
}

struct State {
    screen: vt100::Parser,
    /// The end of the raw output: what was on the main screen after the program had left the alternate one.
    raw: VecDeque<u8>,
    first_byte: Option<Instant>,
    output_ended: bool,
    exit: Option<Exit>,
}

/// How much of the raw output is kept.
const RAW: usize = 256 * 1024;

/// Starts the real `cutover` in `dir` in a terminal of `size` (columns, rows). The environment is the test's own
/// without `NO_COLOR` and `CUTOVER_*`, with `TERM=xterm-256color`, and with `envs` over it.
pub fn cutover(args: &[&str], envs: &[(&str, &str)], dir: &Path, size: (u16, u16)) -> Terminal {
    spawn(env!("CARGO_BIN_EXE_cutover"), args, envs, dir, size)
}

/// Starts any program, for comparison or to test this harness.
pub fn spawn(program: &str, args: &[&str], envs: &[(&str, &str)], dir: &Path, (cols, rows): (u16, u16)) -> Terminal {
    let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut command = CommandBuilder::new(program);
    command.args(args);
    command.cwd(dir);
    for (name, _) in std::env::vars_os() {
        if name == "NO_COLOR" || name == "COLORTERM" || name.to_string_lossy().starts_with("CUTOVER_") {
            command.env_remove(name);
        }
    }
    command.env("TERM", "xterm-256color");
    command.env("LANG", "C.UTF-8");
    for (name, value) in envs {
        command.env(name, value);
    }
    let started = Instant::now();
    let mut child = pair.slave.spawn_command(command).unwrap_or_else(|e| panic!("{program} does not start: {e}"));
    // Our own copy of the other side would keep the output from ever ending.
    drop(pair.slave);
    let pid = child.process_id().and_then(|p| Pid::from_raw(i32::try_from(p).ok()?)).expect("a process id");
    let state = State {
        screen: vt100::Parser::new(rows, cols, 0),
        raw: VecDeque::new(),
        first_byte: None,
        output_ended: false,
        exit: None,
    };
    let shared = Arc::new((Mutex::new(state), Condvar::new()));
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let writer = Mutex::new(pair.master.take_writer().expect("a writer"));
    let to = Arc::clone(&shared);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        // EIO is how a terminal without a program ends.
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            change(&to, |state| {
                state.first_byte.get_or_insert_with(Instant::now);
                state.screen.process(&buffer[..n]);
                state.raw.extend(&buffer[..n]);
                let surplus = state.raw.len().saturating_sub(RAW);
                state.raw.drain(..surplus);
            });
        }
        change(&to, |state| state.output_ended = true);
    });
    let to = Arc::clone(&shared);
    std::thread::spawn(move || {
        let status = child.wait().expect("a child can be waited for");
        let exit = status.signal().map_or(Exit::Code(status.exit_code()), |s| Exit::Signal(s.to_owned()));
        change(&to, |state| state.exit = Some(exit));
    });
    Terminal { pid, master: pair.master, writer, shared, started }
}

fn change(shared: &(Mutex<State>, Condvar), how: impl FnOnce(&mut State)) {
    how(&mut shared.0.lock().unwrap_or_else(PoisonError::into_inner));
    shared.1.notify_all();
}

impl Terminal {
    /// Waits until `see` finds what it looks for on the screen. Panics with the screen when it does not within
    /// `timeout`, or when the program has ended without it.
    #[track_caller]
    pub fn wait_for<T>(&self, timeout: Duration, see: impl FnMut(&vt100::Screen) -> Option<T>) -> T {
        match self.look_for(timeout, see) {
            Ok(seen) => seen,
            Err(why) => panic!("{why}; the screen:\n{}", self.framed()),
        }
    }

    /// Waits until the screen holds `text` on one line.
    #[track_caller]
    pub fn wait_for_text(&self, timeout: Duration, text: &str) {
        match self.look_for(timeout, |screen| screen.contents().lines().any(|l| l.contains(text)).then_some(())) {
            Ok(()) => {}
            Err(why) => panic!("no {text:?}: {why}; the screen:\n{}", self.framed()),
        }
    }

    /// As `wait_for`, for what may well not come: why it did not.
    pub fn look_for<T>(
        &self,
        timeout: Duration,
        mut see: impl FnMut(&vt100::Screen) -> Option<T>,
    ) -> Result<T, String> {
        let mut patience = Patience::new(timeout);
        let mut state = self.state();
        loop {
            if let Some(seen) = see(state.screen.screen()) {
                return Ok(seen);
            }
            if state.output_ended {
                drop(state);
                return Err(format!("the program has ended ({:?})", self.wait_exit(Duration::from_secs(60))));
            }
            let Some(left) = patience.left() else { return Err(format!("not seen {}", patience.words())) };
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Presses keys. Wait for what a lone `ESC` did before the next key: together they are another key.
    pub fn send(&self, keys: &str) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A program that has just ended reads nothing; the test notices by the screen.
        let _ = writer.write_all(keys.as_bytes()).and_then(|()| writer.flush());
    }

    /// What is on the screen now, lines without their trailing spaces.
    pub fn screen_text(&self) -> String {
        self.state().screen.screen().contents()
    }

    /// A look at the whole screen: cells, colours, cursor.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.state().screen.screen())
    }

    /// The end of the raw output, escape sequences included.
    pub fn raw(&self) -> String {
        let raw: Vec<u8> = self.state().raw.iter().copied().collect();
        String::from_utf8_lossy(&raw).into_owned()
    }

    /// How long after the start the first byte came, if any has.
    pub fn first_byte(&self) -> Option<Duration> {
        self.state().first_byte.map(|at| at - self.started)
    }

    /// How long ago the program was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Makes the window another size (columns, rows); the program gets SIGWINCH.
    pub fn resize(&self, (cols, rows): (u16, u16)) {
        change(&self.shared, |state| state.screen.screen_mut().set_size(rows, cols));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("a new size");
    }

    /// Process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to the program, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.state().exit.is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.wait_exit(Duration::from_secs(120));
    }

    /// Waits for the program to end by itself: how, or `None` when it still runs after `timeout`.
    pub fn wait_exit(&self, timeout: Duration) -> Option<Exit> {
        let (mut patience, mut state) = (Patience::new(timeout), self.state());
        while state.exit.is_none() {
            let left = patience.left()?;
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.exit.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn framed(&self) -> String {
        self.screen_text().lines().map(|l| format!("  |{l}\n")).collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.kill();
    }
}

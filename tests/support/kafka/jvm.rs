//! A JVM as a child process that can't outlive the test: it is started by a small `sh`, its
//! watchdog, whose stdin is a pipe that the test process holds. When the test process goes, however
//! it goes (`kill -9` included), the pipe ends, and the watchdog kills the JVM and removes its data.
//! (PR_SET_PDEATHSIG is no help: it follows the thread that started the child.)

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::super::patience::{Patience, until};

/// `$1`: directory to remove at the end; the rest: the command. `read` is a builtin: while the shell
/// sits in it, a JVM that died is not reaped, so its pid is not given to anyone else.
const WATCHDOG: &str = r#"
dir=$1; shift
sh -c 'echo "pid $$"; exec "$@"' jvm "$@" </dev/null 2>&1 &
pid=$!
trap '' HUP INT TERM
exec >/dev/null 2>&1
while read -r word; do [ "$word" = keep ] && dir=; done
kill -9 "$pid"
wait "$pid"
[ -n "$dir" ] && rm -rf -- "$dir"
rmdir -- "${dir%/*}"
"#;

/// How long a server may take to say that it is ready: generous, a busy machine is no failure.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long an orderly shutdown may take before it is cut short.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A running JVM.
#[derive(Debug)]
pub struct Jvm {
    name: String,
    watchdog: Child,
    stdin: Option<ChildStdin>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Debug, Default)]
struct Seen {
    pid: Option<i32>,
    ready: bool,
    ended: bool,
    /// The last lines, for the message when something goes wrong.
    tail: VecDeque<String>,
}

impl Jvm {
    /// Starts `java ARGS` with `data` as the directory that goes with it, its output appended to
    /// `data/NAME.log`. It is ready when a line holds one of `ready`.
    pub fn start(name: &str, data: &Path, args: &[String], ready: &'static [&'static str]) -> Jvm {
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(data)
            .arg("java")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C goes to the test process alone; the watchdog then does its work.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let stdin = watchdog.stdin.take();
        let output = watchdog.stdout.take().expect("piped");
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let log = File::options().create(true).append(true).open(data.join(format!("{name}.log"))).expect("a log file");
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || follow(BufReader::new(output), log, ready, &shared));
        Jvm { name: name.to_owned(), watchdog, stdin, seen }
    }

    /// Blocks until the server is ready. Panics with its last lines when it dies or takes too long.
    pub fn wait_ready(&self) {
        let (lock, changed) = &*self.seen;
        let guard = lock.lock().expect("the reader does not panic");
        let (mut patience, mut seen) = (Patience::new(READY_WITHIN), guard);
        let mut over = false;
        while !seen.ready && !seen.ended && !over {
            match patience.left() {
                Some(left) => seen = changed.wait_timeout(seen, left).expect("the reader does not panic").0,
                None => over = true,
            }
        }
        if seen.ended || !seen.ready {
            let how = if seen.ended { "died" } else { "was not ready in time" };
            let tail: Vec<_> = seen.tail.iter().map(String::as_str).collect();
            panic!("{} {how}; its last lines:\n{}", self.name, tail.join("\n"));
        }
    }

    /// Process id of the JVM.
    pub fn pid(&self) -> i32 {
        let (lock, changed) = &*self.seen;
        let guard = lock.lock().expect("the reader does not panic");
        let (seen, _) = changed
            .wait_timeout_while(guard, READY_WITHIN, |s| s.pid.is_none() && !s.ended)
            .expect("the reader does not panic");
        seen.pid.expect("the watchdog says the pid first")
    }

    /// Process id of the watchdog.
    pub fn watchdog_pid(&self) -> u32 {
        self.watchdog.id()
    }

    /// Sends a signal to the JVM.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid()) {
            // It may be gone already; the watchdog has not reaped it, so it is never another process.
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGSTOP, and waits until every thread stands: they go on until the one that takes the signal has its turn, which
    /// on a busy machine is long enough to answer a few requests.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.pid());
        until(READY_WITHIN, "every thread stands", || {
            let Ok(threads) = std::fs::read_dir(&tasks) else { return true };
            // "TID (NAME) STATE ...", and a name may hold anything; a thread that has just ended has none.
            let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            threads
                .flatten()
                .filter_map(|t| std::fs::read_to_string(t.path().join("stat")).ok())
                .all(|stat| matches!(state(stat), Some('T' | 't' | 'Z' | 'X')))
        });
    }

    /// An orderly shutdown (SIGTERM); the data stays. Returns when the process is gone.
    pub fn stop(self) {
        self.signal(Signal::TERM);
        let (lock, changed) = &*self.seen;
        let guard = lock.lock().expect("the reader does not panic");
        drop(changed.wait_timeout_while(guard, STOP_WITHIN, |s| !s.ended).expect("the reader does not panic"));
        self.kill();
    }

    /// `kill -9`; the data stays. Returns when the process is gone and its files are closed.
    pub fn kill(mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.write_all(b"keep\n");
        }
        let _ = self.watchdog.wait();
    }
}

impl Drop for Jvm {
    /// Kills it and removes its data.
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn follow(output: impl BufRead, mut log: File, ready: &[&str], seen: &(Mutex<Seen>, Condvar)) {
    for line in output.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let _ = writeln!(log, "{line}");
        let mut seen_now = seen.0.lock().expect("nobody panics with it");
        if seen_now.pid.is_none()
            && let Some(pid) = line.strip_prefix("pid ").and_then(|p| p.parse().ok())
        {
            seen_now.pid = Some(pid);
            seen.1.notify_all();
            continue;
        }
        if !seen_now.ready && ready.iter().any(|mark| line.contains(mark)) {
            seen_now.ready = true;
            seen.1.notify_all();
        }
        if seen_now.tail.len() == 40 {
            seen_now.tail.pop_front();
        }
        seen_now.tail.push_back(line);
    }
    seen.0.lock().expect("nobody panics with it").ended = true;
    seen.1.notify_all();
}

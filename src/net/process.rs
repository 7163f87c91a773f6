//! Commands: no shell, a timeout that ends the whole process group, bounded output.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::base::redact;
use crate::base::sanitise::visible_text;
use crate::base::{Trouble, lock_unpoisoned};
use crate::plan::provider::command_line;
use crate::plan::secrets::SecretCommand;

/// Commands that run at once, over all groups and producers: a bastion is small, and an API server has limits.
static AT_ONCE: Semaphore = Semaphore::const_new(8);
/// Output kept of each stream, bytes; the rest is read and dropped, so that no command blocks on a full pipe.
const KEPT: usize = 64 * 1024;
/// How long output may still come after the command has ended: a process it left behind may hold the pipe open.
const AFTER_END: Duration = Duration::from_millis(500);
/// How long a killed command may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// Characters of a message that are shown.
const SHOWN: usize = 300;

/// One run of a command.
pub(crate) struct CommandRun<'a> {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub dir: &'a Path,
    /// How long it may take, ms.
    pub timeout_ms: u64,
    /// It prints a secret: nothing that it says is repeated, on standard error neither.
    pub secret: bool,
}

/// What a command that prints a secret printed. It runs on a thread and a runtime of its own: who needs a secret may be in
/// the middle of another one, or have none. Bounded by the command's time limit.
///
/// # Errors
/// It could not be started, took too long, failed, or printed more than is kept: in words without any of its own.
pub(crate) fn run_secret_command(command: &SecretCommand) -> Result<Vec<u8>, Trouble> {
    let SecretCommand { argv, dir, timeout_ms } = command;
    let run = CommandRun { argv: argv.clone(), dir, timeout_ms: *timeout_ms, secret: true };
    let on_its_own = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Trouble::new(format!("no runtime: {e}"), "check the limits of this user"))?;
        runtime.block_on(run.capture_output()).map_err(|failed| failed.why)
    };
    let ended = std::thread::scope(|scope| scope.spawn(on_its_own).join());
    let printed = ended.unwrap_or_else(|_| Err(Trouble::new("the thread that ran it ended early", "")))?;
    match printed.len() < KEPT {
        true => Ok(printed),
        false => {
            let what = format!("{} printed {KEPT} bytes or more, which is no secret", run.visible_command());
            Err(Trouble::new(what, "let it print the secret, and nothing else, on standard output"))
        }
    }
}

/// Why a command failed.
pub(crate) struct CommandFailure {
    /// What happened.
    pub why: Trouble,
    /// Whether it ran at all: if not, nothing was changed.
    pub started: bool,
}

/// Ends the process group when the run is dropped before its end (a cancelled future, too).
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn kill(&mut self) {
        // Taken: once killed, the number may be another process's, which a second kill would end.
        if let Some(pid) = self.0.take() {
            // gone already is as good
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

impl CommandRun<'_> {
    /// The command line for people, made visible.
    pub(crate) fn visible_command(&self) -> String {
        // By characters: a cut between the bytes of one would panic.
        // Before it is cut: the half of a secret is one too.
        let line = visible_text(&redact::hide_secrets(&command_line(&self.argv)));
        if line.chars().count() > SHOWN { line.chars().take(SHOWN).chain("...".chars()).collect() } else { line }
    }

    /// The one word (or phrase on one line) that it prints. `what` it should print, for the error.
    ///
    /// # Errors
    /// It failed, or printed nothing or several lines.
    pub(crate) async fn read_word(&self, what: &str) -> Result<String, Trouble> {
        let output = self.capture_output().await.map_err(|f| f.why)?;
        let text = String::from_utf8_lossy(&output);
        let text = text.trim();
        let advice = format!("let it print {what}, and nothing else, on standard output");
        match text.lines().count() {
            0 => Err(Trouble::new(format!("{} printed nothing", self.visible_command()), advice)),
            1 => Ok(text.to_owned()),
            n => {
                // Before it is cut: the half of a secret is one too.
                let first = redact::hide_secrets(text.lines().next().unwrap_or_default());
                let first: String = visible_text(&first).chars().take(80).collect();
                Err(Trouble::new(format!("{} printed {n} lines, beginning {first:?}", self.visible_command()), advice))
            }
        }
    }

    /// Runs it; its standard output.
    ///
    /// # Errors
    /// It could not be started, took too long, or ended with an error.
    pub(crate) async fn capture_output(&self) -> Result<Vec<u8>, CommandFailure> {
        let output = self.run_in_turn().await;
        output.inspect_err(|failed| {
            let (started, why) = (failed.started, &failed.why.what);
            tracing::warn!(started, ms = self.timeout_ms, why = %why, "a command failed");
        })
    }

    async fn run_in_turn(&self) -> Result<Vec<u8>, CommandFailure> {
        if AT_ONCE.available_permits() == 0 {
            tracing::debug!(command = %self.visible_command(), "waits for its turn");
        }
        // never closed
        let _turn = AT_ONCE.acquire().await.ok();
        // Only now: the time limit is the command's own, and does not run while others have their turn.
        let mut child = self.start().map_err(|why| CommandFailure { why, started: false })?;
        // `process_group(0)` makes it the leader of a group that has its number: killing that reaches its children too.
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut group = ProcessGroup(pid);
        let mut out = Output::from_pipe(child.stdout.take());
        let mut err = Output::from_pipe(child.stderr.take());
        let ended = timeout(Duration::from_millis(self.timeout_ms), child.wait()).await;
        let failed = |what: String, advice: &str| CommandFailure { why: Trouble::new(what, advice), started: true };
        let status = match ended {
            Ok(Ok(status)) => {
                // reaped: its number may be another process's soon. What it left running on purpose goes on.
                group.0 = None;
                status
            }
            Ok(Err(e)) => return Err(failed(format!("can't wait for {}: {e}", self.visible_command()), "")),
            Err(_) => {
                group.kill();
                // Bounded: a process in an uninterruptible wait (a dead NFS mount) does not go, however it is killed.
                let gone = timeout(AFTER_KILL, child.wait()).await.is_ok();
                tracing::info!(
                    pid = pid.map(Pid::as_raw_nonzero).map(|pid| pid.get()),
                    gone,
                    "its process group was killed"
                );
                let how = if gone { "and was ended" } else { "and can't be ended" };
                return Err(failed(
                    format!(
                        "{} took longer than {} {how}",
                        self.visible_command(),
                        crate::plan::duration::format_duration(self.timeout_ms)
                    ),
                    "run it by hand to see why; `timeout` in the plan sets how long it may take",
                ));
            }
        };
        // Side by side, and bounded: what it left running may hold either pipe open.
        let (out, err) = tokio::join!(out.take_rest(), err.take_rest());
        if status.success() {
            return Ok(out);
        }
        let how = match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        };
        let said = if self.secret { String::new() } else { last_line(&err) };
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Err(failed(format!("{} failed ({how}){said}", self.visible_command()), "run it by hand to see all it says"))
    }

    fn start(&self) -> Result<Child, Trouble> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(Trouble::new("an empty command", "name a program in the plan"));
        };
        // a path is relative to the plan, as every path in it; a bare name is looked up in PATH
        let relative = program.contains('/') && !program.starts_with('/');
        let here = self.dir.as_os_str().is_empty();
        let located = if relative && !here { self.dir.join(program) } else { program.into() };
        // Absolute, because std leaves open whether a relative program is looked up before or after `current_dir`.
        let located = if relative { std::path::absolute(&located).unwrap_or(located) } else { located };
        let mut command = Command::new(located);
        // No standard input: a command that asks for a password must fail, not wait at the cockpit's terminal.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own also keeps the terminal's ctrl-c from ending a switch half-way.
        command.process_group(0).kill_on_drop(true);
        if !here {
            command.current_dir(self.dir);
        }
        command.spawn().map_err(|e| {
            let advice = match e.kind() {
                std::io::ErrorKind::NotFound => "check the program's name and PATH",
                std::io::ErrorKind::PermissionDenied => "make the program executable",
                _ => "run it by hand",
            };
            Trouble::new(format!("can't start {}: {e}", self.visible_command()), advice)
        })
    }
}

/// What a stream of a command has brought so far. Reading stops when this is dropped.
struct Output {
    kept: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Output {
    /// Reads a stream to its end and keeps the first bytes and, of a longer text, the last ones too.
    fn from_pipe(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&kept);
        let reading = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = vec![0; 8192];
            while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
                let mut kept = lock_unpoisoned(&into);
                kept.extend_from_slice(&buffer[..n]);
                let len = kept.len();
                // The middle goes: the beginning tells what it is, the last lines why it failed. At twice the size, so
                // that not each read moves all of it.
                if len > 2 * KEPT {
                    kept.drain(KEPT / 2..len - KEPT / 2);
                }
            }
        });
        Self { kept, reading }
    }

    /// What has come, with what still comes within a moment of the command's end.
    async fn take_rest(&mut self) -> Vec<u8> {
        // When the time is up what has come so far counts; the drop ends the reading.
        let _ = timeout(AFTER_END, &mut self.reading).await;
        std::mem::take(&mut *lock_unpoisoned(&self.kept))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    // before it is cut: the half of a secret is one too. A key has several lines, so of the whole text.
    let text = redact::hide_secrets(&text);
    let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    visible_text(line).chars().take(SHOWN).collect()
}

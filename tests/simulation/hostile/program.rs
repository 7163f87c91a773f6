//! The real program, and every byte of what it says.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cutover::base::sanitise::is_clean;
use serde_json::Value;

use super::{FORGED, PASSES_FOR_A};
use crate::patience::Patience;
use crate::pty::Terminal;

pub const SOON: Duration = Duration::from_secs(120);

/// Which words of an output are a machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Words for people: every line is clean, ends where we end it, and marks what passes for something else.
    Text,
    /// The same, quoting what somebody wrote in sentences: a letter of another alphabet is theirs.
    Quoting,
    /// JSON: printable ASCII and line breaks, which read back.
    Json,
}

/// Somebody who reads everything that the program says in a directory, and notes what is wrong with it.
pub struct Reader {
    dir: PathBuf,
    env: Vec<(String, OsString)>,
    form: Form,
    /// Everything that was read.
    said: String,
    wrong: BTreeSet<String>,
}

/// What of a foreign text would act on a terminal, or hide in it: none of it is in any sequence of ours. Without the escape
/// character in front a title's `]0;x` is text, which follows the `\u{1b}` that is shown for it.
const THEIRS: &[&str] = &[
    "\u{1b}]0;x",
    "\u{1b}]52;c",
    "\u{9b}",
    "\u{85}",
    "\u{202e}",
    "\u{2066}",
    "\u{200d}",
    "\u{200b}",
    "\u{feff}",
    "\u{2028}",
];

/// A program that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

impl Reader {
    pub fn of(dir: &Path, form: Form) -> Self {
        Self { dir: dir.to_owned(), env: Vec::new(), form, said: String::new(), wrong: BTreeSet::new() }
    }

    /// With a variable in the program's environment.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// What was said so far is told; what comes is counted anew.
    pub fn forget(&mut self) {
        self.said.clear();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(&self.dir).env_remove("CUTOVER_PLAN").args(args).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb to its end, and reads both of its streams. Its exit code.
    pub fn run(&mut self, args: &[&str]) -> Option<i32> {
        let output = self.command(args).output().expect("the program runs");
        let what = args.join(" ").chars().take(60).collect::<String>();
        let json = args.contains(&"--json") || args == ["journal", "export"];
        self.read(&what, if json { Form::Json } else { self.form }, &output.stdout);
        self.read(&format!("{what} (stderr)"), self.form, &output.stderr);
        let visible = cutover::base::sanitise::visible_text(&what);
        println!("{visible}: {:?}, {} and {} bytes", output.status.code(), output.stdout.len(), output.stderr.len());
        output.status.code()
    }

    /// Runs a verb whose standard output is no text for people, and reads the other stream alone.
    pub fn take(&mut self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the program runs");
        self.read(&format!("{} (stderr)", args.join(" ")), self.form, &output.stderr);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Follows a verb that goes on until each of `wanted` was in a line; then `more` is done, and it is ended.
    pub fn follow(&mut self, args: &[&str], wanted: &[String], more: impl FnOnce(&mut Self, &[String])) {
        let errors = tempfile::NamedTempFile::new().expect("a file");
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(errors.reopen().expect("the same file"));
        let mut child = Running(command.spawn().expect("the program starts"));
        let out = BufReader::new(child.0.stdout.take().expect("piped"));
        let (tx, told) = mpsc::channel::<Vec<u8>>();
        std::thread::spawn(move || out.split(b'\n').map_while(Result::ok).try_for_each(|line| tx.send(line)));
        let what = args.join(" ");
        let form = if args.contains(&"--json") { Form::Json } else { self.form };
        let (mut left, mut lines): (Vec<&String>, Vec<String>) = (wanted.iter().collect(), Vec::new());
        let mut patience = Patience::new(SOON);
        while !left.is_empty() {
            let Some(wait) = patience.left() else { break };
            match told.recv_timeout(wait) {
                Ok(line) => {
                    self.read(&what, form, &line);
                    let line = String::from_utf8_lossy(&line).into_owned();
                    left.retain(|wanted| !line.contains(wanted.as_str()));
                    lines.push(line);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        more(&mut *self, &lines);
        drop(child);
        let said = std::fs::read(errors.path()).expect("what it said on standard error");
        self.read(&format!("{what} (stderr)"), self.form, &said);
        let said = String::from_utf8_lossy(&said);
        assert!(left.is_empty(), "{what} never said {left:#?}: {lines:#?}\n{said}");
    }

    /// Reads a page of a server of the program's.
    pub fn page(&mut self, address: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let ask = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("it is asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let answer = String::from_utf8(answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        self.read(&format!("page {path}"), self.form, body.as_bytes());
        body.to_owned()
    }

    /// Reads a file that the program wrote.
    pub fn file(&mut self, name: &str, form: Form) {
        let bytes = std::fs::read(self.dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.read(name, form, &bytes);
    }

    /// Looks at some bytes.
    pub fn read(&mut self, what: &str, form: Form, bytes: &[u8]) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => return self.note(what, "is no UTF-8", &e.to_string()),
        };
        self.said.push_str(text);
        self.said.push('\n');
        // A name is made visible once: twice doubles the backslash of what was marked (and JSON doubles each). Calendars,
        // metrics and documents inside a sentence escape backslashes by their own rules.
        let escapes = what.starts_with("calendar") || what == "page /metrics";
        let twice = format!("{}u{{{:x}}}", if form == Form::Json { r"\\\\" } else { r"\\" }, u32::from(PASSES_FOR_A));
        for line in text.lines().filter(|line| !escapes && line.contains(&twice) && !line.contains("schema")) {
            self.note(what, "marks a name twice", line);
        }
        if form == Form::Json {
            for line in text.lines().filter(|line| !line.bytes().all(|b| (0x20..0x7f).contains(&b))) {
                self.note(what, "holds more than printable ASCII", line);
            }
            let document = serde_json::from_str::<Value>(text).is_ok();
            if !document && !text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) {
                self.note(what, "is neither a document nor lines of JSON", text);
            }
            return;
        }
        for line in text.split('\n') {
            if !is_clean(line) {
                self.note(what, "drives a terminal, or hides something", line);
            }
            if line.trim_start().starts_with(FORGED) {
                self.note(what, "has a line that somebody else began", line);
            }
            if form == Form::Text && line.contains(PASSES_FOR_A) {
                self.note(what, "shows a name that passes for another one", line);
            }
        }
    }

    fn note(&mut self, what: &str, how: &str, line: &str) {
        let line: String = line.chars().take(240).collect();
        self.wrong.insert(format!("{what:?} {how}: {line:?}"));
    }

    /// What was told since it was last forgotten has to hold each of these: what is not shown proves nothing.
    pub fn saw<T: AsRef<str>>(&mut self, place: &str, tags: &[T]) {
        let missing: Vec<&str> = tags.iter().map(AsRef::as_ref).filter(|tag| !self.said.contains(*tag)).collect();
        if !missing.is_empty() {
            self.wrong.insert(format!("{place} does not show {missing:?} as it should"));
        }
    }

    /// Reads what stands on a terminal's wire: our own sequences may, theirs not.
    pub fn wire(&mut self, what: &str, terminal: &Terminal) {
        let raw = terminal.raw();
        for theirs in THEIRS.iter().filter(|theirs| raw.contains(**theirs)) {
            self.note(what, &format!("sends {theirs:?} to the terminal"), "");
        }
        for line in terminal.screen_text().lines().filter(|line| !is_clean(line)) {
            self.note(what, "hides something on the screen", line);
        }
        if raw.contains(PASSES_FOR_A) {
            let line = terminal.screen_text();
            let line = line.lines().find(|line| line.contains(PASSES_FOR_A)).unwrap_or("(it has gone by)");
            self.note(what, "shows a name that passes for another one", line);
        }
    }

    /// Where the program runs.
    pub fn place(&self) -> PathBuf {
        self.dir.clone()
    }

    /// All that was wrong, at once.
    #[track_caller]
    pub fn finds_nothing_wrong(self) {
        let wrong: Vec<String> = self.wrong.into_iter().collect();
        assert!(wrong.is_empty(), "{} of what was said:\n{}", wrong.len(), wrong.join("\n"));
    }
}

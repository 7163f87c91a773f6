//! `cutover watch` on two real clusters: the controller outlives terminals, and everything else attaches to it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::receiver::Receiver;
use crate::support::kafka::{create_topic, pair};
use crate::support::patience::Patience;
use crate::support::{pty, unique};

const SOON: Duration = Duration::from_secs(120);

/// A running `cutover watch --json`. Dropped, it is killed.
pub struct Watch {
    pub child: Child,
    lines: mpsc::Receiver<String>,
}

impl Watch {
    pub fn start(dir: &std::path::Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// The same with more arguments.
    pub fn start_with(dir: &std::path::Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(dir).env_remove("CUTOVER_PLAN").args(["watch", "--json"]).args(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|l| tx.send(l)));
        Self { child, lines }
    }

    /// The first line from here on that is what is looked for.
    pub fn line(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut patience = Patience::new(SOON);
        loop {
            let Some(left) = patience.left() else { panic!("waited {} for: {what}", patience.words()) };
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Timeout) => continue,
                Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it has ended; waited for: {what}"),
            };
            println!("{line}");
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("a JSON line ({e}): {line}"));
            assert!(value["at_ms"].is_i64(), "{line}");
            if is(&value) {
                return value;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// Runs a verb of the real program in `dir`: exit code, standard output, standard error.
pub fn cutover(dir: &std::path::Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .current_dir(dir)
        .env_remove("CUTOVER_PLAN")
        .args(args)
        .output()
        .unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    println!("$ cutover {}\n{}{}", args.join(" "), text(&output.stdout), text(&output.stderr));
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_outlives_its_terminal_and_the_shell_and_the_cockpit_act_through_it() {
    let (pair, topic, group) = (pair(), unique("loans"), unique("ledger"));
    create_topic(&pair.blue, &topic, 1, &[]);
    create_topic(&pair.green, &topic, 1, &[]);
    let (dir, told) = (tempfile::tempdir().unwrap(), Receiver::start(200));
    let plan = format!(
        "[migration]\nname = \"watched\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.green]\nbootstrap = {:?}\n\
         {}[[groups]]\nname = {group:?}\ntopics = [{topic:?}]\n",
        pair.blue.bootstrap,
        pair.green.bootstrap,
        told.section("ops", "on = [\"hold\", \"controller\"]")
    );
    std::fs::write(dir.path().join("cutover.toml"), &plan).unwrap();
    assert_eq!(cutover(dir.path(), &["attach"]).0, Some(1), "nobody is there");

    let mut watch = Watch::start(dir.path());
    let armed = watch.line("armed", |v| v["kind"] == "controller" && v["arming"] == "armed");
    assert_eq!(armed["pid"], watch.child.id());
    watch.line("green is seen", |v| v["kind"] == "cluster" && v["side"] == "green" && v["state"] == "reachable");

    // The terminal hangs up: it goes on.
    watch.signal(Signal::HUP);
    let (code, _, err) = cutover(dir.path(), &["group", "hold", &group, "--reason", "lunch"]);
    assert_eq!(code, Some(0), "{err}");
    watch.line("the shell's command is carried out", |v| {
        v["kind"] == "journal" && v["text"].as_str().is_some_and(|t| t.contains("lunch"))
    });
    let (code, out, _) = cutover(dir.path(), &["status", "--json"]);
    assert_eq!(code, Some(0));
    let status: Value = serde_json::from_str(&out).unwrap();
    assert!(out.contains("lunch"), "{status}");
    let (code, _, err) = cutover(dir.path(), &["watch"]);
    assert!(code == Some(1) && err.contains("a controller runs already"), "{err}");

    // A cockpit attaches, and leaves without taking it along; another plan can't act.
    let cockpit = pty::cutover(&[], &[], dir.path(), (100, 30));
    cockpit.wait_for_text(SOON, "ARMED");
    cockpit.send("q");
    assert!(cockpit.wait_exit(SOON).is_some(), "it leaves at once");
    std::fs::write(dir.path().join("cutover.toml"), plan.replace("watched", "altered")).unwrap();
    let (code, _, err) = cutover(dir.path(), &["--plan", "cutover.toml", "group", "resume", &group]);
    // Another name is another journal: there nobody is held.
    assert_eq!(code, Some(1), "{err}");
    std::fs::write(dir.path().join("cutover.toml"), plan + "max_re_read = 3\n").unwrap();
    let (code, _, err) = cutover(dir.path(), &["group", "resume", &group]);
    assert!(code == Some(1) && err.contains("plan has changed"), "{err}");

    watch.signal(Signal::TERM);
    let end = watch.child.wait().unwrap();
    assert_eq!(end.code(), Some(0), "an orderly end");
    let ours = |m: &Value| m["migration"] == "watched";
    let told = told.until("the end", |m| ours(m) && m["event"] == "controller_closed");
    let events: Vec<&str> = told.iter().filter(|m| ours(m)).filter_map(|m| m["event"].as_str()).collect();
    assert_eq!(events, ["controller_opened", "held", "controller_closed"], "{told:#?}");
}

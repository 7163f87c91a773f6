//! `kill -9` at an effect boundary: a process of its own runs the controller and dies there, and another one goes on.
//!
//! The process is this test binary again, told by its environment to be the one that dies.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use cutover::controller::Controller;
use cutover::controller::headless::{self, RunReport};
use cutover::migration::facts::command::Command;
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};

const DIR: &str = "CUTOVER_KILL_DIR";
const COMMAND: &str = "CUTOVER_KILL_COMMAND";
const CRASH_AT: &str = "CUTOVER_KILL_AT";
const SIGABRT: i32 = 6;

/// The test that is the process that dies; without its environment it does nothing.
#[test]
fn the_process_that_dies() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let command: Command = serde_json::from_str(&std::env::var(COMMAND).unwrap()).unwrap();
    let crash_at = std::env::var(CRASH_AT).unwrap().parse().unwrap();
    let report = carry_out(Path::new(&dir), command, Some(crash_at));
    panic!("it did not die: {report:?}");
}

/// Carries a command out in the plan of `dir`, with a controller of its own that ends in order.
pub fn carry_out(dir: &Path, command: Command, crash_at: Option<cutover::session::crash::CrashAt>) -> RunReport {
    let plan = Plan::load(&dir.join("cutover.toml")).unwrap_or_else(|p| panic!("{p:?}")).plan;
    let name = match command.subject() {
        cutover::migration::facts::command::Subject::Group(name)
        | cutover::migration::facts::command::Subject::Producer(name) => name,
        other => panic!("{other:?}"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut handle = Controller::start(plan, Options { crash_at, ..Options::new(Want::Armed, "ada@bastion") });
        let say = &mut |line: &str| println!("  {line}");
        let report = headless::execute(&mut handle, command, &"ada@bastion".into(), Some(&name), say).await;
        handle.shutdown().await;
        report
    })
}

/// Runs a command in a process that dies at `crash_at`.
pub fn killed(dir: &Path, command: &Command, crash_at: &str) {
    let test = format!("{}::the_process_that_dies", module_path!().split_once("::").unwrap().1);
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(DIR, dir)
        .env(COMMAND, serde_json::to_string(command).unwrap())
        .env(CRASH_AT, crash_at)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "at {crash_at} it did not die but said: {said}{erred}");
}

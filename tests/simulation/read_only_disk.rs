//! The journal's filesystem turns read-only under the real program, at each of its write points, as the kernel does after an
//! error of the disk: no group is left on neither side without its being said on every output, also by those who look
//! later, while the disk is still read-only; and once it can be written again nothing is lost.
//!
//! A mount can't be made read-only while a file on it is open to write. So a library between the program and its system
//! (`tests/support/read_only_disk.c`, loaded with `LD_PRELOAD`) refuses what writes to the disk, with EROFS. A C compiler
//! built what the program is linked with: it is there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cutover::migration::facts::command::{Command, Subject};
use serde_json::Value;

use crate::kill::World;
use crate::kill_support::carry_out;
use crate::patience::until;
use crate::pty::{self, key};

const SOON: Duration = Duration::from_secs(120);
/// What the first entry of a run begins with, and that of the first outcome: by then the group is stopped.
const RUN: &str = "\"event\":\"run_started\"";
const STOPPED: &str = "\"event\":\"result\"";
/// Programs at a time.
const AT_ONCE: usize = 4;

/// The library, made once.
fn library() -> &'static Path {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read_only_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/read_only_disk.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let made =
            Process::new(compiler).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&path).arg(source).arg("-ldl").output();
        let made = made.expect("a C compiler");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        (dir, path)
    });
    path
}

/// The program on a disk that turns read-only: `disk` is on it.
fn program(plan: &Path, args: &[&str], disk: &Path, from: &str) -> Process {
    let mut program = Process::new(env!("CARGO_BIN_EXE_cutover"));
    program.current_dir(plan).env_remove("CUTOVER_PLAN").args(args).stdin(Stdio::null());
    program.env("LD_PRELOAD", library()).env("READ_ONLY_FROM", from);
    program.env("READ_ONLY_DIR", disk.canonicalize().unwrap());
    program
}

/// Exit code and all that was said.
fn run(mut program: Process) -> (Option<i32>, String) {
    let output = program.output().expect("the program runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    (output.status.code(), said)
}

/// What `status --json` says of a group.
fn status(plan: &Path, group: &str, disk: &Path) -> Value {
    let output = program(plan, &["status", "--json"], disk, "now").output().expect("the program runs");
    let status: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let groups = status["groups"].as_array().expect("groups");
    groups.iter().find(|g| g["group"] == group).unwrap_or_else(|| panic!("{group} in {status:#}")).clone()
}

/// A cutover whose journal can't be written from `point` entries after its start on, and what is said of it. Whether the
/// disk was read-only before its end.
fn cut_over_on_a_disk_that_fails(world: &World, group: &str, point: usize) -> bool {
    let plan = world.plan(&format!("{group}-{point}"));
    world.seen(group);
    world.estate.mark(group);
    let yes = format!("--yes={group}");
    let (code, said) = run(program(&plan, &["group", "cutover", group, &yes], &plan, &format!("{RUN}:{point}")));
    let (case, on) = (format!("{group}, after {point} entries"), world.switch(group));
    println!("{case}: {code:?}, its switch says {on}\n{said}");
    if code != Some(0) {
        assert!(matches!(code, Some(1 | 4)), "{case}: {code:?}");
        assert!(said.contains("can't write to the journal"), "{case}: nobody is told why\n{said}");
    }
    // It was started again where it came from or where it goes, or that it was not is said.
    assert!(on != "off" || said.contains("stands on neither side"), "{case}: it is off, and nobody is told\n{said}");
    assert!(on != "off", "{case}: its switch can be set, and nobody has set it\n{said}");
    // Who looks now, on the disk as it is, sees that a run was begun and not ended.
    if code != Some(0) && point > 0 {
        let row = status(&plan, group, &plan);
        assert!(
            !row["run"].is_null() && row["stage"]["stage"] != "on_blue",
            "{case}: nothing is said of its run: {row:#}"
        );
        let (code, said) = run(program(&plan, &["group", "continue", group], &plan, "now"));
        assert!(code != Some(0) && said.contains("Read-only file system"), "{case}: {code:?} {said}");
    }
    let (lost, _) = world.seen(group);
    assert_eq!(lost, 0, "{case}");
    // The disk can be written again: back to where it was, for the next point.
    let report = carry_out(&plan, Command::roll_back(group), None);
    assert!(report.class.is_none() || report.summary.contains("is on blue"), "{case}: {report:?}");
    until(SOON, "it is back on blue", || world.switch(group) == "blue");
    assert_eq!(world.seen(group).0, 0, "{case}: lost on the way back");
    code != Some(0)
}

#[test]
fn a_disk_that_turns_read_only_at_any_entry_leaves_no_group_on_neither_side() {
    let world = World::start();
    let groups = World::groups();
    // A cutover has some two dozen entries; each group takes two points, one after the other.
    let cases: Vec<(String, [usize; 2])> =
        groups.into_iter().enumerate().map(|(n, group)| (group, [2 * n, 2 * n + 1])).collect();
    let (cases, hit) = (Arc::new(Mutex::new(cases)), Arc::new(Mutex::new(Vec::new())));
    let threads: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (world, cases, hit) = (Arc::clone(&world), Arc::clone(&cases), Arc::clone(&hit));
            std::thread::spawn(move || {
                loop {
                    let Some((group, points)) = cases.lock().unwrap().pop() else { return };
                    for point in points {
                        if cut_over_on_a_disk_that_fails(&world, &group, point) {
                            hit.lock().unwrap().push(point);
                        }
                    }
                }
            })
        })
        .collect();
    let ends: Vec<_> = threads.into_iter().map(std::thread::JoinHandle::join).collect();
    assert!(ends.iter().all(Result::is_ok), "see above");
    let hit = hit.lock().unwrap();
    assert!(hit.len() > 15, "only at {hit:?} the disk was read-only before the end");
}

/// A controller without a screen, with the lines it says. Dropped, it is killed.
struct Watch {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    fn start(mut program: Process) -> Self {
        let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
        let (said, out) = (Arc::<Mutex<Vec<String>>>::default(), BufReader::new(child.stdout.take().unwrap()));
        let lines = Arc::clone(&said);
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line)));
        Self { child, said }
    }

    /// Waits for a line with all of this in it.
    fn says(&self, words: &[&str]) -> String {
        let find = || self.said.lock().unwrap().iter().find(|l| words.iter().all(|w| l.contains(w))).cloned();
        until(SOON, &format!("a line with {words:?}"), || find().is_some());
        find().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// The switch lies on the same disk: what was stopped can't be started either. Then every output says that it stands on
/// neither side, and what to do by hand.
#[test]
fn where_the_switch_is_on_that_disk_too_every_output_says_that_the_group_is_off() {
    let world = World::start();
    let (group, disk) = ("loan-audit", world.dir.path());
    let plan = world.plan("all-on-one-disk");
    world.seen(group);
    world.estate.mark(group);
    let args = ["watch", "--metrics", "127.0.0.1:0"];
    let watch = Watch::start(program(&plan, &args, disk, &format!("{STOPPED}:0")));
    let listens = watch.says(&["metrics for Prometheus at http://"]);
    let address = listens.split_once("http://").unwrap().1.split_once('/').unwrap().0.to_owned();
    let look = |args: &[&str]| {
        let mut program = Process::new(env!("CARGO_BIN_EXE_cutover"));
        program.current_dir(&plan).env_remove("CUTOVER_PLAN").args(args).stdin(Stdio::null());
        run(program)
    };
    let yes = format!("--yes={group}");
    let told = ["stands on neither side", "start it on blue by hand now"];
    let all = |what: &str, said: &str| {
        let prose = said.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(told.iter().all(|words| prose.contains(words)), "{what} does not say it: {said}");
    };
    let (code, said) = look(&["group", "cutover", group, &yes]);
    assert_eq!((code, world.switch(group).as_str()), (Some(4), "off"), "{said}");
    all("the command", &said);
    let row = format!("group {group}: ");
    all("the log", &watch.says(&[&row, "stands on neither side"]));
    // Everybody who attaches to the controller.
    all("status", &look(&["status", "--json"]).1);
    let (code, said) = look(&["group", "continue", group, &yes]);
    assert!(code == Some(1) && said.contains("can't write to the journal"), "nothing more is done: {code:?} {said}");
    assert!(
        look(&["status"]).1.lines().any(|l| l.starts_with(group) && l.contains("NeedsOperator")),
        "status in words"
    );
    let plain = Watch::start({
        let mut program = Process::new(env!("CARGO_BIN_EXE_cutover"));
        program.current_dir(&plan).env_remove("CUTOVER_PLAN").args(["--plain", "--read-only"]).stdin(Stdio::null());
        program
    });
    all("plain lines", &plain.says(&[&row, "stands on neither side"]));
    drop(plain);
    let page = page(&address);
    let sample = format!("cutover_group_hindrance{{group=\"{group}\",hindrance=\"needs_operator\"}} 1");
    assert!(page.lines().any(|l| l == sample), "{page}");
    let cockpit = pty::cutover(&[], &[], &plan, (160, 45));
    cockpit.wait_for_text(SOON, group);
    cockpit.send("/");
    cockpit.send(group);
    cockpit.send(key::ENTER);
    cockpit.wait_for(SOON, |s| s.contents().lines().any(|l| l.contains('▸') && l.contains(group)).then_some(()));
    cockpit.send(key::ENTER);
    let prose = |s: &vt100::Screen| s.contents().split_whitespace().collect::<Vec<_>>().join(" ");
    cockpit.wait_for(SOON, |s| prose(s).contains("neither side").then_some(()));
    drop(cockpit);
    drop(watch);

    // The controller is gone, and the disk is as it was: who looks sees that the switch is off and the run is open, and
    // who would act is told what is in the way.
    let row = status(&plan, group, disk);
    assert!(row["switch"] == "off" && !row["run"].is_null() && row["stage"]["stage"] != "on_blue", "{row:#}");
    for args in [&["group", "continue", group, &yes][..], &["group", "rollback", group, &yes], &["watch"]] {
        let (code, said) = run(program(&plan, args, disk, "now"));
        assert!(code != Some(0) && said.contains("Read-only file system"), "{args:?} {code:?}: {said}");
        assert!(!said.contains("damaged"), "it can be read all the same: {args:?} {said}");
    }
    assert_eq!(world.switch(group), "off", "nothing was set");
    let (_, said) = run(program(&plan, &["doctor"], disk, "now"));
    let fails = |l: &str| l.starts_with("FAIL") && l.contains("journal") && l.contains("Read-only file system");
    assert!(said.lines().any(fails), "{said}");

    // The disk can be written again.
    let report = carry_out(&plan, Command::Continue { subject: Subject::Group(group.into()) }, None);
    assert_eq!(report.class, None, "{report:?}");
    assert_eq!((world.switch(group).as_str(), world.seen(group).0), ("green", 0));
}

/// The page that Prometheus scrapes.
fn page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

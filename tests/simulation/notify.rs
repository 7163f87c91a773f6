//! Notifications of a whole controller: told once, in order, after a crash too, and nobody waits for a receiver.

use std::collections::BTreeSet;
use std::path::Path;

use cutover::controller::Controller;
use cutover::journal::Reader;
use cutover::migration::facts::command::{Command, Subject};
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};
use serde_json::Value;

use crate::controller::{Demo, GROUP, run, until};
use crate::kill_support::{carry_out, killed};
use crate::receiver::{Receiver, SILENT};

const ON: &str = "on = [\"run\", \"stage\", \"trigger\", \"alarm\"]";
/// Fires as soon as the lag of a soaking group is known, and only says so.
const SHADOW: &str =
    "\n[[triggers]]\nname = \"any-lag\"\nwhen = \"lag >= 0\"\nfor = \"10m\"\nmode = \"any\"\narm = \"shadow\"\n";

fn add(dir: &Path, more: &str) {
    let file = dir.join("cutover.toml");
    let plan = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, plan + more).unwrap();
}

fn events(taken: &[Value]) -> Vec<String> {
    taken.iter().map(|m| m["event"].as_str().unwrap_or("?").to_owned()).collect()
}

fn is(event: &'static str) -> impl Fn(&Value) -> bool {
    move |m| m["event"] == event
}

fn told(dir: &Path, target: &str) -> u64 {
    let plan = Plan::load(&dir.join("cutover.toml")).unwrap().plan;
    let told = Reader::open(&plan.journal).unwrap().told().unwrap();
    told.iter().find(|t| t.target == target).unwrap_or_else(|| panic!("{target}: {told:?}")).seq
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_is_told_once_and_a_dead_receiver_delays_nothing() {
    let demo = Demo::start();
    let (good, dead, refuses) = (Receiver::start(200), Receiver::start(SILENT), Receiver::start(403));
    let gates = Receiver::start(200);
    let sections = good.section("good", ON)
        + &dead.section("dead", &format!("{ON}\ntimeout = \"1m\"\nretries = 10"))
        + &refuses.section("refuses", ON)
        + &gates.section("gates", "on = [\"gate\"]")
        + SHADOW;
    add(demo.dir.path(), &sections);
    let file = demo.dir.path().join("cutover.toml");
    let plan = std::fs::read_to_string(&file).unwrap();
    assert!(plan.contains("lag_below = 100"), "{plan}");
    std::fs::write(&file, plan.replace("lag_below = 100", "lag_below = 1")).unwrap();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    let report = run(&mut handle, Command::cut_over(GROUP), GROUP).await;
    assert_eq!(report.class, None, "{report:?}");

    let taken = tokio::task::block_in_place(|| good.until("the trigger", is("trigger_shadow")));
    assert_eq!(events(&taken), ["run_started", "no_return", "run_done", "trigger_shadow"], "each once, in order");
    assert!(dead.connections() > 0, "the run ended while the first message was still on its way there");
    let (first, last) = (&taken[0], &taken[3]);
    assert_eq!((&first["group"], &first["actor"]), (&GROUP.into(), &"ada@bastion".into()));
    assert_eq!((&last["trigger"], &last["stage"]), (&"any-lag".into(), &"soaking".into()));
    let plan = demo.plan();
    for message in &taken {
        let seq = message["journal_seq"].as_u64().unwrap();
        let entry = Reader::open(&plan.journal).unwrap().entries(seq).unwrap().remove(0);
        assert_eq!((entry.seq, entry.at.0), (seq, message["at_ms"].as_i64().unwrap()), "the entry it names");
    }

    // Live traffic is behind at some time, and at the end at others: that is told once.
    tokio::task::block_in_place(|| gates.until("a gate that fails", is("gate_failed")));
    let snapshot = until(&mut handle, "a notice of who refuses", |s| {
        s.notices.iter().any(|n| n.trouble.what.contains("notify.refuses") && n.trouble.what.contains("answers 403"))
    })
    .await;
    assert!(!format!("{:?}", snapshot.notices).contains("very-secret"), "the address is nobody's business");
    handle.shutdown().await;
    let first = taken[0]["journal_seq"].as_u64().unwrap();
    assert!(told(demo.dir.path(), "good") >= last["journal_seq"].as_u64().unwrap());
    assert!(told(demo.dir.path(), "dead") < first, "what it was not told waits for the next controller");
    assert_eq!(good.taken().len(), 4);
    let gates: Vec<Value> = gates.taken().into_iter().filter(|m| m["metric"] == "lag").collect();
    assert_eq!(events(&gates), ["gate_failed"], "{gates:#?}");
    assert!(gates[0]["key"].as_str().is_some_and(|k| k.starts_with(&format!("loans-psc/gate/{GROUP}/lag/"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_nothing_tells_nobody() {
    let demo = Demo::start();
    let good = Receiver::start(200);
    add(demo.dir.path(), &good.section("good", "on = [\"run\", \"alarm\", \"controller\", \"phase\"]"));
    let mut handle = Controller::start(demo.plan(), Options::new(Want::DryRun, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    assert_eq!(run(&mut handle, Command::cut_over(GROUP), GROUP).await.class, None);
    handle.shutdown().await;
    let mut handle = Controller::start(demo.plan(), Options::new(Want::ReadOnly, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    handle.shutdown().await;
    assert_eq!(good.connections(), 0);
    let told = Reader::open(&demo.plan().journal).unwrap().told().unwrap();
    assert_eq!(told, [], "a dry run remembers nothing either");
}

#[test]
fn what_was_written_before_a_crash_is_told_after_it() {
    let demo = Demo::start();
    let dir = demo.dir.path();
    let receiver = Receiver::start(503);
    add(dir, &receiver.section("ops", &format!("{ON}\nretries = 10\ngroups = [\"{GROUP}\"]")));
    // killed before it is started on green: past the point of no silent return
    killed(dir, &Command::cut_over(GROUP), "before:1/5/1");
    assert_eq!(receiver.taken(), Vec::<Value>::new(), "it took nothing while the first one lived");
    receiver.answer(200);
    let report = carry_out(dir, Command::Continue { subject: Subject::Group(GROUP.into()) }, None);
    assert_eq!(report.class, None, "{report:?}");
    // what the end of that one left waiting, a third one tells
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let taken = runtime.block_on(async {
        let handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
        let taken = tokio::task::block_in_place(|| receiver.until("the end of the run", is("run_done")));
        handle.shutdown().await;
        taken
    });
    let mut seen = BTreeSet::new();
    let once: Vec<Value> = taken.into_iter().filter(|m| seen.insert(m["id"].as_str().unwrap().to_owned())).collect();
    assert_eq!(events(&once), ["run_started", "no_return", "needs_operator", "continued", "run_done"]);
    let seqs: Vec<u64> = once.iter().map(|m| m["journal_seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    assert_eq!(once[2]["advice"], "continue, or roll back");
}

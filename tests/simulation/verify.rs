//! The cockpit's diff over simulated clusters.

use std::sync::Arc;
use std::time::Duration;

use cutover::controller::{Controller, Handle};
use cutover::journal::Reader;
use cutover::migration::facts::command::Subject;
use cutover::migration::facts::event::Event;
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};
use cutover::sim::{DemoConfig, DemoEstate};
use cutover::snapshot::{Ask, DiffSpan, DiffState, DiffView, DiffWhat, Reply, Snapshot};

const PATIENCE: Duration = Duration::from_secs(240);

async fn until(handle: &mut Handle, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let wait = handle.snapshots.wait_for(|s| holds(s));
    let found = crate::patience::in_time(PATIENCE, wait).await.unwrap_or_else(|| panic!("waited in vain for: {what}"));
    Arc::clone(&found.unwrap())
}

async fn ask(handle: &mut Handle, ask: Ask) -> Result<(), String> {
    handle.asks.send(ask).await.unwrap();
    loop {
        if let Reply::Diff { result, .. } = handle.replies.recv().await.unwrap() {
            return result.map_err(|r| r.why);
        }
    }
}

fn start(what: DiffWhat, resume: bool) -> Ask {
    Ask::StartDiff { id: 1, what, span: DiffSpan::Comparable, resume, actor: "ada@bastion".into() }
}

fn state(s: &Snapshot) -> Option<&DiffState> {
    s.diff.as_ref().map(|d| &d.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_runs_beside_everything_else_and_is_journalled() {
    let dir = tempfile::tempdir().unwrap();
    crate::turns::heavy();
    let estate = DemoEstate::start(DemoConfig::new(dir.path())).unwrap();
    let file = dir.path().join("cutover.toml");
    std::fs::write(&file, estate.plan_toml() + "\n[diff]\nrate = \"100kB/s\"\n").unwrap();
    let plan = Plan::load(&file).unwrap_or_else(|p| panic!("{p:?}")).plan;
    let journal = plan.journal.clone();
    let mut handle = Controller::start(plan, Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    assert!(ask(&mut handle, Ask::StopDiff { id: 9 }).await.is_err(), "there is nothing to stop");

    let group = DiffWhat::Group("loan-audit".into());
    ask(&mut handle, start(group.clone(), false)).await.unwrap();
    let busy = ask(&mut handle, start(DiffWhat::Plan, false)).await.unwrap_err();
    assert_eq!(busy, "a diff of group loan-audit is under way");
    // So slow that it can be seen, and stopped.
    let seen = |s: &Snapshot| matches!(state(s), Some(DiffState::Running { progress: Some(p), .. }) if p.records > 0);
    let held = until(&mut handle, "progress", seen).await;
    let Some(DiffState::Running { progress: Some(p), .. }) = state(&held) else { panic!("{:?}", held.diff) };
    assert_eq!(p.held_back.as_deref(), Some("limited to 100.0 kB/s"));
    ask(&mut handle, Ask::StopDiff { id: 2 }).await.unwrap();
    until(&mut handle, "stopped", |s| matches!(state(s), Some(DiffState::Stopped { .. }))).await;
    // Stopped by the end of the controller it goes on as well; what it saved is there.
    assert!(journal.with_file_name("diff").exists(), "what was read is kept");
    handle.shutdown().await;

    std::fs::write(&file, estate.plan_toml()).unwrap();
    let plan = Plan::load(&file).unwrap_or_else(|p| panic!("{p:?}")).plan;
    let mut handle = Controller::start(plan, Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    ask(&mut handle, start(group, true)).await.unwrap();
    let over = |s: &Snapshot| s.diff.as_ref().is_some_and(|d| !d.is_running());
    let done = until(&mut handle, "the end", over).await;
    let Some(DiffView { state: DiffState::Done { result, .. }, .. }) = &done.diff else { panic!("{:?}", done.diff) };
    assert!(result.found.equal > 0 && result.rows.iter().any(|r| r.topic == "loan-events"), "{result:?}");
    let file = result.file.as_ref().expect("a document");
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(document["topics"][0]["found"]["equal"].as_u64(), Some(result.found.equal));
    handle.shutdown().await;
    let entries = Reader::open(&journal).unwrap().entries(1).unwrap();
    let compared: Vec<_> = entries.iter().filter(|e| matches!(e.event, Event::Compared { .. })).collect();
    let [entry] = compared[..] else { panic!("{compared:?}") };
    assert_eq!(entry.actor, "ada@bastion".into());
    let Event::Compared { subject, counts, verdict, .. } = &entry.event else { unreachable!() };
    assert_eq!((subject, counts.equal), (&Subject::Group("loan-audit".into()), result.found.equal));
    assert_eq!(verdict.to_string(), result.said);
    let left = std::fs::read_dir(journal.with_file_name("diff")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing but the document stays behind");
}

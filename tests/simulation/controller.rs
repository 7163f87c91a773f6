//! The whole controller over simulated clusters: real wire protocol, real clients, live traffic.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cutover::base::{At, Observed, Side, TroubleClass};
use cutover::controller::{Controller, Handle, headless};
use cutover::estate::FlagState;
use cutover::journal::Reader;
use cutover::migration::facts::command::{Command, Level, Subject};
use cutover::migration::facts::event::{Event, RunKind};
use cutover::migration::facts::stage::{Stage, StepState};
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};
use cutover::sim::traffic::set_flag;
use cutover::sim::{DemoConfig, DemoEstate, Incident};
use cutover::snapshot::{Arming, Ask, Reply, Snapshot};

use crate::patience::{Patience, in_time};

pub const GROUP: &str = "loan-audit";
pub const PATIENCE: Duration = Duration::from_secs(240);

pub struct Demo {
    pub dir: tempfile::TempDir,
    estate: DemoEstate,
}

impl Demo {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        crate::turns::heavy();
        let estate = DemoEstate::start(DemoConfig::new(dir.path())).unwrap();
        std::fs::write(dir.path().join("cutover.toml"), estate.plan_toml()).unwrap();
        Self { dir, estate }
    }

    pub fn plan(&self) -> Plan {
        plan(self.dir.path())
    }
}

fn plan(dir: &Path) -> Plan {
    Plan::load(&dir.join("cutover.toml")).unwrap_or_else(|p| panic!("{p:?}")).plan
}

pub async fn until(handle: &mut Handle, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let wait = handle.snapshots.wait_for(|s| holds(s));
    let found = in_time(PATIENCE, wait).await.unwrap_or_else(|| panic!("waited in vain for: {what}"));
    Arc::clone(&found.unwrap())
}

fn stage(snapshot: &Snapshot, group: &str) -> Stage {
    snapshot.groups.iter().find(|g| g.group == group).unwrap().stage.clone()
}

pub async fn run(handle: &mut Handle, command: Command, name: &str) -> headless::RunReport {
    let report =
        headless::execute(handle, command, &"ada@bastion".into(), Some(name), &mut |line| println!("{line}")).await;
    println!("=> {:?} {}", report.class, report.summary);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_picture_is_there_before_any_network() {
    let demo = Demo::start();
    let handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    let first = handle.snapshot();
    assert_eq!(first.seq, 0);
    assert!(first.groups.iter().any(|g| g.group == GROUP), "the plan's names are there");
    assert!(matches!(&first.header.arming, Arming::ReadOnly { why } if why.contains("being opened")));
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_to_green_and_back_and_what_was_promised_is_what_happens() {
    let demo = Demo::start();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;

    demo.estate.mark(GROUP);
    let report = run(&mut handle, Command::cut_over(GROUP), GROUP).await;
    assert_eq!(report.class, None, "{report:?}");
    assert!(matches!(stage(&handle.snapshot(), GROUP), Stage::Soaking { .. }));
    let predicted = report.run.unwrap().predicted_re_read.unwrap();
    settled(&demo).await;
    let seen = demo.estate.witness().report_group(GROUP).unwrap();
    println!("cutover: lost {}, re-read {} (predicted {predicted})", seen.lost, seen.re_read);
    assert_eq!((seen.lost, seen.re_read), (0, predicted), "{seen:?}");

    demo.estate.mark(GROUP);
    let report = run(&mut handle, Command::roll_back(GROUP), GROUP).await;
    assert_eq!(report.class, None, "{report:?}");
    let predicted = report.run.unwrap().predicted_re_read.unwrap();
    settled(&demo).await;
    let seen = demo.estate.witness().report_group(GROUP).unwrap();
    println!("rollback: lost {}, re-read {} (predicted {predicted})", seen.lost, seen.re_read);
    assert_eq!((seen.lost, seen.re_read), (0, predicted), "{seen:?}");
    handle.shutdown().await;
}

/// The group goes on reading: whatever it would read again, it has read by then.
async fn settled(demo: &Demo) {
    goes_on(demo, GROUP).await;
}

async fn goes_on(demo: &Demo, group: &str) {
    // What is read again lies seconds behind the end: fewer than 40 records ahead of it means that it has been read.
    let report = || demo.estate.witness().report_group(group).unwrap();
    let before = report().processed;
    let mut patience = Patience::new(PATIENCE);
    while report().processed < before + 200 || report().pending > 40 {
        assert!(patience.left().is_some(), "the group stopped reading: {:?}", report());
        tokio::task::yield_now().await;
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_is_routed_and_seen_to_write() {
    let demo = Demo::start();
    let blue = demo.estate.estate().producers.iter().find(|p| p.initial == "blue").unwrap().name.clone();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    let command = Command::route(blue.clone(), FlagState::Dual);
    let report = run(&mut handle, command, &blue).await;
    assert_eq!(report.class, None, "{report:?}");
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_session_only_looks_and_says_who_holds_the_journal() {
    let demo = Demo::start();
    let mut first = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut first, "armed", |s| s.header.arming == Arming::Armed).await;
    let mut second = Controller::start(demo.plan(), Options::new(Want::Armed, "bob@bastion"));
    let held = |s: &Snapshot| matches!(&s.header.arming, Arming::ReadOnly { why } if why.contains("is held by"));
    let snapshot = until(&mut second, "read-only", held).await;
    let Arming::ReadOnly { why } = &snapshot.header.arming else { unreachable!() };
    assert!(why.contains(&format!("pid {}", std::process::id())), "{why}");
    let report = run(&mut second, Command::cut_over(GROUP), GROUP).await;
    assert_eq!(report.class, Some(TroubleClass::Refused), "{report:?}");
    // what the first one does is seen by the second
    let held = Command::Hold {
        subject: cutover::migration::facts::command::Subject::Group(GROUP.into()),
        why: "lunch".into(),
    };
    assert_eq!(run(&mut first, held, GROUP).await.class, None);
    until(&mut second, "the hold is seen", |s| s.journal.iter().any(|l| l.text.contains("lunch"))).await;
    second.shutdown().await;
    first.shutdown().await;
}

/// A read that fails says nothing of what is in the journal, and the next one that does not shows it.
#[tokio::test(flavor = "multi_thread")]
async fn who_looks_on_believes_the_journal_again_once_it_can_be_read() {
    let demo = Demo::start();
    let journal = demo.plan().journal;
    let mut holder = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut holder, "seen", armed_and_seen).await;
    holder.shutdown().await;
    let aside = journal.with_extension("aside");
    std::fs::rename(&journal, &aside).unwrap();
    let mut looking = Controller::start(demo.plan(), Options::new(Want::ReadOnly, "ben@bastion"));
    until(&mut looking, "blue seen", |s| s.blue.cluster_id.is_some() && s.header.journal_trouble.is_none()).await;
    // As it may look while it is made, or while a disk fails.
    std::fs::write(&journal, "this is no journal. ".repeat(500)).unwrap();
    let next = |s: &Snapshot| s.groups.iter().find(|g| g.group == GROUP).unwrap().next.words.clone();
    let doubt = until(&mut looking, "the trouble", |s| s.header.journal_trouble.is_some()).await;
    assert_eq!(next(&doubt), "journal damaged");
    std::fs::rename(&aside, &journal).unwrap();
    let told = |s: &Snapshot| s.header.journal_trouble.is_none() && !s.journal.is_empty();
    let again = until(&mut looking, "it is read, and believed", told).await;
    assert_ne!(next(&again), "journal damaged");
    looking.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_walks_the_path_and_changes_nothing() {
    let demo = Demo::start();
    let flags = std::fs::read(demo.estate.flags()).unwrap();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::DryRun, "ada@bastion"));
    until(&mut handle, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    let report = run(&mut handle, Command::cut_over(GROUP), GROUP).await;
    assert_eq!(report.class, None, "{report:?}");
    assert_eq!(std::fs::read(demo.estate.flags()).unwrap(), flags, "no flag moved");
    assert_eq!(stage(&handle.snapshot(), GROUP), Stage::OnBlue);
    let green = demo.estate.cluster(Side::Green).with_state(|s| s.groups().contains_key(GROUP));
    assert!(!green, "nothing was committed on green");
    handle.shutdown().await;
}

/// One practises beside the cockpit that one practises for: nothing of it is written, and what that one does meanwhile is
/// said.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_walks_beside_the_session_that_holds_the_journal() {
    let demo = Demo::start();
    let mut first = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut first, "it is armed", armed_and_seen).await;
    let flags = std::fs::read(demo.estate.flags()).unwrap();
    let mut dry = Controller::start(demo.plan(), Options::new(Want::DryRun, "ben@bastion"));
    until(&mut dry, "both sides seen", |s| {
        s.header.arming == Arming::DryRun && s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()
    })
    .await;
    let report = run(&mut dry, Command::cut_over(GROUP), GROUP).await;
    assert_eq!(report.class, None, "{report:?}");
    assert!(report.run.is_some_and(|r| r.dry_run));
    assert_eq!(std::fs::read(demo.estate.flags()).unwrap(), flags, "no flag moved");
    let held = Command::Hold {
        subject: cutover::migration::facts::command::Subject::Group(GROUP.into()),
        why: "lunch".into(),
    };
    assert_eq!(run(&mut first, held, GROUP).await.class, None);
    let said = |s: &Snapshot| s.notices.iter().any(|n| n.trouble.what.contains("has gone on since this dry run began"));
    until(&mut dry, "the other one's hold is said", said).await;
    dry.shutdown().await;
    first.shutdown().await;
    let entries = cutover::journal::Reader::open(&demo.plan().journal).unwrap().entries(1).unwrap();
    let of_the_dry_run = |e: &&cutover::migration::facts::event::JournalEntry| {
        e.actor == "ben@bastion".into() || matches!(e.event, cutover::migration::facts::event::Event::RunStarted { .. })
    };
    assert_eq!(entries.iter().find(of_the_dry_run), None, "a dry run beside another session journals nothing");
    assert!(entries.iter().enumerate().all(|(i, e)| e.seq == i as u64 + 1));
}

fn armed_and_seen(s: &Snapshot) -> bool {
    s.header.arming == Arming::Armed && s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()
}

fn doing(s: &Snapshot, what: &str) -> bool {
    let run = s.groups.iter().find(|g| g.group == GROUP).and_then(|g| g.run.as_ref());
    run.is_some_and(|r| r.steps.iter().any(|(words, at)| words.contains(what) && matches!(at, StepState::Doing { .. })))
}

pub fn now() -> At {
    cutover::session::clock::Clock.now()
}

/// Starts a cutover without waiting for its end.
async fn begin(handle: &mut Handle, group: &str, run: u64) {
    // What was not seen yet (a flag, a switch) is unknown and refused: asked again with each new picture.
    let mut patience = Patience::new(PATIENCE);
    let prepared = loop {
        handle.asks.send(Ask::Prepare { id: 1, command: Command::cut_over(group) }).await.unwrap();
        match handle.replies.recv().await {
            Some(Reply::Prepared { result: Ok(prepared), .. }) => break prepared,
            Some(Reply::Prepared { result: Err(why), .. }) if why.is_unknown() => {
                assert!(patience.left().is_some(), "still unknown: {why:?}");
                handle.snapshots.changed().await.unwrap();
            }
            other => panic!("not prepared: {other:?}"),
        }
    };
    let Level::Typed(typed) = prepared.level else { panic!("no phrase") };
    let (command, actor) = (prepared.command, "ada@bastion".into());
    handle
        .asks
        .send(Ask::Execute { id: 2, command, actor, typed, facts: Some(prepared.facts), asked: now() })
        .await
        .unwrap();
    let Some(Reply::Executed { result, .. }) = handle.replies.recv().await else { panic!("no reply") };
    assert_eq!(result, Ok(Some(run)));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_in_the_middle_it_starts_nothing_more_and_goes_on_next_time() {
    let demo = Demo::start();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    demo.estate.mark(GROUP);
    begin(&mut handle, GROUP, 1).await;
    until(&mut handle, "the drain", |s| doing(s, "wait Empty")).await;
    handle.shutdown().await;

    let journal = Reader::open(&demo.plan().journal).unwrap().entries(1).unwrap();
    assert!(matches!(journal.last().unwrap().event, Event::Closed { .. }), "{:?}", journal.last());
    let intents = journal.iter().filter(|e| matches!(e.event, Event::Intent { .. })).count();
    let results = journal.iter().filter(|e| matches!(e.event, Event::Result { .. })).count();
    assert_eq!((intents, results), (1, 1), "what was begun was finished, and nothing else begun");

    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "bob@bastion"));
    let report = run(&mut handle, Command::Continue { subject: Subject::Group(GROUP.into()) }, GROUP).await;
    assert_eq!(report.class, None, "{report:?}");
    settled(&demo).await;
    let seen = demo.estate.witness().report_group(GROUP).unwrap();
    assert_eq!((seen.lost, Some(seen.re_read)), (0, report.run.unwrap().predicted_re_read));
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_journal_nothing_is_done_any_more() {
    let demo = Demo::start();
    let flags = std::fs::read(demo.estate.flags()).unwrap();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    let mut lock = demo.plan().journal.into_os_string();
    lock.push(".lock");
    std::fs::remove_file(lock).unwrap();
    let report = run(&mut handle, Command::cut_over(GROUP), GROUP).await;
    assert_eq!(report.class, Some(TroubleClass::Refused), "{report:?}");
    assert!(report.summary.contains("lock file"), "{report:?}");
    assert!(matches!(&handle.snapshot().header.arming, Arming::ReadOnly { why } if why.contains("can't be written")));
    assert_eq!(std::fs::read(demo.estate.flags()).unwrap(), flags, "no flag moved");
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_cluster_or_the_same_one_twice_is_refused() {
    let demo = Demo::start();
    let toml = demo.estate.plan_toml();
    let green = demo.estate.cluster(Side::Green);
    let wrong_id = toml.replace(&green.cluster_id(), "another-cluster-000001");
    let blue = demo.estate.cluster(Side::Blue);
    let twice = toml.replace(&green.bootstrap(), &blue.bootstrap()).replace(&green.cluster_id(), &blue.cluster_id());
    for (toml, says) in [(wrong_id, "the plan pins another-cluster-000001"), (twice, "are one cluster")] {
        std::fs::write(demo.dir.path().join("cutover.toml"), toml).unwrap();
        let Ok(loaded) = Plan::load(&demo.dir.path().join("cutover.toml")) else { continue }; // refused even earlier
        let mut handle = Controller::start(loaded.plan, Options::new(Want::Armed, "ada@bastion"));
        let seen = until(&mut handle, "the trouble", |s| s.green.identity_trouble.is_some()).await;
        assert!(seen.green.identity_trouble.as_ref().unwrap().what.contains(says), "{:?}", seen.green.identity_trouble);
        let report = run(&mut handle, Command::cut_over(GROUP), GROUP).await;
        assert_eq!(report.class, Some(TroubleClass::Refused), "{report:?}");
        handle.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_cluster_says_so_and_the_other_one_stays_alive() {
    let demo = Demo::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // closed again at once
    let toml = demo.estate.plan_toml().replace(&demo.estate.cluster(Side::Blue).bootstrap(), &nobody.to_string());
    std::fs::write(demo.dir.path().join("cutover.toml"), toml).unwrap();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    let dead =
        |s: &Snapshot| matches!(&s.blue.link, Observed::Absent { why } if why.what.contains(&nobody.to_string()));
    let seen = until(&mut handle, "green seen, blue in trouble", |s| dead(s) && s.green.in_rate.is_some()).await;
    let Observed::Absent { why } = &seen.blue.link else { unreachable!() };
    assert!(!why.advice.is_empty(), "{why:?}");
    assert_eq!(seen.blue.lag, None, "nothing to measure is not 0");
    let group = seen.groups.iter().find(|g| g.group == GROUP).unwrap();
    assert_eq!((group.blue.lag, group.blue.state), (None, None));
    handle.asks.send(Ask::Prepare { id: 9, command: Command::cut_over(GROUP) }).await.unwrap();
    let Some(Reply::Prepared { result: Err(refusal), .. }) = handle.replies.recv().await else { panic!("prepared") };
    assert_eq!(refusal.class, TroubleClass::Unknown, "{refusal:?}");
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_the_switch_and_only_what_is_observed_counts() {
    let demo = Demo::start();
    let key = format!("{GROUP}-consumer");
    let by_file = format!("{{ provider = \"file\", path = \"flags.json\", key = \"{key}\" }}");
    let toml = demo.estate.plan_toml();
    assert!(toml.contains(&by_file));
    std::fs::write(demo.dir.path().join("cutover.toml"), toml.replace(&by_file, "{ provider = \"manual\" }")).unwrap();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    demo.estate.mark(GROUP);
    begin(&mut handle, GROUP, 1).await;
    let asked = |s: &Snapshot, what: &str| {
        let run = s.groups.iter().find(|g| g.group == GROUP).and_then(|g| g.run.as_ref());
        run.is_some_and(|r| {
            r.steps.iter().any(|(_, at)| matches!(at, StepState::Doing { waiting, .. } if waiting.contains(what)))
        })
    };
    until(&mut handle, "the person is asked to stop it", |s| asked(s, "please stop")).await;
    set_flag(demo.estate.flags(), &key, "off").unwrap();
    until(&mut handle, "the person is asked to start it", |s| asked(s, "please start")).await;
    set_flag(demo.estate.flags(), &key, "green").unwrap();
    let soaking = |s: &Snapshot| matches!(stage(s, GROUP), Stage::Soaking { .. });
    let end = until(&mut handle, "soaking", soaking).await;
    settled(&demo).await;
    let seen = demo.estate.witness().report_group(GROUP).unwrap();
    let predicted = end.groups.iter().find(|g| g.group == GROUP).unwrap().run.as_ref().unwrap().predicted_re_read;
    assert_eq!((seen.lost, Some(seen.re_read)), (0, predicted));
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_badly_behind_takes_its_backlog_along() {
    const BEHIND: &str = "audit-archive";
    let demo = Demo::start();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    demo.estate.mark(BEHIND);
    let report = run(&mut handle, Command::cut_over(BEHIND), BEHIND).await;
    assert_eq!(report.class, None, "{report:?}");
    let snapshot = handle.snapshot();
    let row = snapshot.groups.iter().find(|g| g.group == BEHIND).unwrap();
    println!("{:?}", row.estimate.as_ref().unwrap().value().unwrap().totals);
    let before = demo.estate.witness().report_group(BEHIND).unwrap();
    while demo.estate.witness().report_group(BEHIND).unwrap().processed < before.processed + 100 {
        tokio::task::yield_now().await;
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let seen = demo.estate.witness().report_group(BEHIND).unwrap();
    assert_eq!((seen.lost, Some(seen.re_read)), (0, report.run.unwrap().predicted_re_read), "{seen:?}");
    assert!(seen.pending > 15_000, "{seen:?}");
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_move_at_the_same_time() {
    const BOTH: [&str; 2] = [GROUP, "payments-settle"];
    let demo = Demo::start();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    for (run, group) in (1..).zip(BOTH) {
        demo.estate.mark(group);
        begin(&mut handle, group, run).await;
    }
    let soaking = |s: &Snapshot| BOTH.iter().all(|g| matches!(stage(s, g), Stage::Soaking { .. }));
    let end = until(&mut handle, "both soak", soaking).await;
    for group in BOTH {
        goes_on(&demo, group).await;
        let seen = demo.estate.witness().report_group(group).unwrap();
        let row = end.groups.iter().find(|g| g.group == group).unwrap();
        assert_eq!((seen.lost, Some(seen.re_read)), (0, row.run.as_ref().unwrap().predicted_re_read), "{group}");
    }
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_alone_are_set_without_moving_anything() {
    let demo = Demo::start();
    let flags = std::fs::read(demo.estate.flags()).unwrap();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    let report = run(&mut handle, Command::reset_offsets(GROUP, Side::Green), GROUP).await;
    assert_eq!(report.class, None, "{report:?}");
    let set = demo.estate.cluster(Side::Green).with_state(|s| s.groups()[GROUP].offsets["loan-events"].len());
    assert_eq!(set, 4, "every partition");
    assert_eq!(std::fs::read(demo.estate.flags()).unwrap(), flags, "no flag moved");
    assert_eq!(stage(&handle.snapshot(), GROUP), Stage::OnBlue);
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_green_dies_under_a_cutover_the_group_is_given_back_by_itself() {
    let demo = Demo::start();
    let mut handle = Controller::start(demo.plan(), Options::new(Want::Armed, "ada@bastion"));
    until(&mut handle, "seen", armed_and_seen).await;
    demo.estate.mark(GROUP);
    begin(&mut handle, GROUP, 1).await;
    until(&mut handle, "the drain", |s| doing(s, "wait Empty")).await;
    for broker in 1..=3 {
        demo.estate.start_incident(&Incident::BrokerDown { side: Side::Green, broker });
    }
    let given_back = |s: &Snapshot| {
        let run = s.groups.iter().find(|g| g.group == GROUP).and_then(|g| g.run.as_ref());
        stage(s, GROUP) == Stage::OnBlue && run.is_some_and(|r| r.kind == RunKind::GiveBack)
    };
    until(&mut handle, "given back", given_back).await;
    goes_on(&demo, GROUP).await;
    let seen = demo.estate.witness().report_group(GROUP).unwrap();
    assert_eq!((seen.lost, seen.re_read), (0, 0), "{seen:?}");
    handle.shutdown().await;
}

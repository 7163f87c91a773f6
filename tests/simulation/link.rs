//! Several screens, one controller: the socket beside the journal.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use cutover::base::At;
use cutover::controller::link::{attach::attach_to_controller, serve::share_controller, socket_path};
use cutover::controller::{Controller, Handle};
use cutover::migration::facts::command::{Command, Subject};
use cutover::plan::Plan;
use cutover::session::options::{Options, Want};
use cutover::snapshot::{Arming, Ask, Reply};

use super::controller::{Demo, GROUP, PATIENCE, now, run, until};

fn hosted(plan: Plan) -> Handle {
    let (journal, digest) = (plan.journal.clone(), plan.digest());
    let mut handle = Controller::start(plan, Options::new(Want::Armed, "ada@bastion"));
    share_controller(&mut handle, &journal, digest);
    handle
}

async fn attached(plan: &Plan, want: Want) -> Handle {
    let tries = async {
        loop {
            if let Some(handle) = attach_to_controller(plan, want).await.unwrap_or_else(|t| panic!("{}", t.what)) {
                return handle;
            }
            tokio::task::yield_now().await;
        }
    };
    crate::patience::in_time(PATIENCE, tries).await.expect("it is served")
}

fn hold(why: &str) -> Command {
    Command::Hold { subject: Subject::Group(GROUP.into()), why: why.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_sees_the_same_and_acts_through_the_one_controller() {
    let demo = Demo::start();
    let mut first = hosted(demo.plan());
    let (mut second, mut third) =
        (attached(&demo.plan(), Want::Armed).await, attached(&demo.plan(), Want::Armed).await);
    assert_eq!(second.snapshot().header.arming, Arming::Armed);
    let mode = std::fs::metadata(socket_path(&demo.plan().journal)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A command of one screen is carried out once, under its own actor, and the others see it.
    until(&mut second, "both sides seen", |s| s.blue.cluster_id.is_some() && s.green.cluster_id.is_some()).await;
    assert_eq!(run(&mut second, hold("lunch"), GROUP).await.class, None);
    for screen in [&mut first, &mut second, &mut third] {
        until(screen, "the hold is seen", |s| s.journal.iter().any(|l| l.text.contains("lunch"))).await;
    }
    // Two screens ask under the same number at the same time, and each gets its own answer.
    let ask = |command| Ask::Prepare { id: 1, command };
    second.asks.send(ask(Command::cut_over(GROUP))).await.unwrap();
    third.asks.send(ask(Command::cut_over("nobody-knows-it"))).await.unwrap();
    let Some(Reply::Prepared { id: 1, result: Err(held) }) = second.replies.recv().await else { panic!("an answer") };
    assert!(held.why.contains("lunch"), "{held:?}");
    let Some(Reply::Prepared { id: 1, result: Err(none) }) = third.replies.recv().await else { panic!("an answer") };
    assert!(none.why.contains("nobody-knows-it"), "{none:?}");

    // A screen that goes away takes nothing with it; the end of the controller reaches those that are left.
    third.shutdown().await;
    assert_eq!(run(&mut second, Command::Resume { subject: Subject::Group(GROUP.into()) }, GROUP).await.class, None);
    first.shutdown().await;
    let gone = async { while second.snapshots.changed().await.is_ok() {} };
    crate::patience::in_time(PATIENCE, gone).await.expect("the end is heard");
    assert!(!socket_path(&demo.plan().journal).exists(), "an orderly end takes its socket away");
    assert!(attach_to_controller(&demo.plan(), Want::Armed).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_only_looks_changes_nothing_and_another_plan_is_refused() {
    let demo = Demo::start();
    let mut first = hosted(demo.plan());
    let mut looking = attached(&demo.plan(), Want::ReadOnly).await;
    assert!(matches!(looking.snapshot().header.arming, Arming::ReadOnly { .. }));
    let (command, actor) = (hold("no"), "eve@bastion".into());
    let ask = Ask::Execute { id: 9, command, actor, typed: String::new(), facts: None, asked: now() };
    looking.asks.send(ask).await.unwrap();
    let Some(Reply::Executed { id: 9, result: Err(refused) }) = looking.replies.recv().await else {
        panic!("an answer")
    };
    assert!(refused.why.contains("only looks"), "{refused:?}");
    assert!(!first.snapshot().journal.iter().any(|l| l.text.contains("eve")));
    looking.asks.send(Ask::StopDiff { id: 10 }).await.unwrap();
    let Some(Reply::Diff { id: 10, result: Err(refused) }) = looking.replies.recv().await else { panic!("an answer") };
    assert!(refused.why.contains("only looks"), "{refused:?}");

    // What comes late is not carried out, whoever asks.
    let ask = Ask::Execute {
        id: 11,
        command: hold("late"),
        actor: "ada@bastion".into(),
        typed: String::new(),
        facts: None,
        asked: At(now().0 - 60_000),
    };
    first.asks.send(ask).await.unwrap();
    let Some(Reply::Executed { id: 11, result: Err(refused) }) = first.replies.recv().await else {
        panic!("an answer")
    };
    assert!(refused.is_unknown() && refused.why.contains("too late"), "{refused:?}");

    let mut other = demo.plan();
    other.defaults.max_re_read += 1;
    let trouble = attach_to_controller(&other, Want::Armed).await.expect_err("another plan");
    assert!(trouble.what.contains("plan has changed"), "{trouble:?}");
    assert!(attach_to_controller(&other, Want::ReadOnly).await.unwrap().is_some(), "looking is allowed");
    until(&mut first, "it works on", |s| s.seq > 3).await;
    first.shutdown().await;
}

/// A dry run that somebody left open must not turn another person's command into one.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_attaches_to_a_dry_run() {
    let demo = Demo::start();
    let plan = demo.plan();
    let mut dry = Controller::start(plan.clone(), Options::new(Want::DryRun, "ada@bastion"));
    share_controller(&mut dry, &plan.journal, plan.digest());
    until(&mut dry, "it walks", |s| s.header.arming == Arming::DryRun && s.seq > 3).await;
    assert!(attach_to_controller(&plan, Want::Armed).await.unwrap().is_none());
    dry.shutdown().await;
}

/// Whoever hears that a command was taken sees what it changed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_never_overtakes_its_picture() {
    let demo = Demo::start();
    let first = hosted(demo.plan());
    let mut second = attached(&demo.plan(), Want::Armed).await;
    for n in 0..20 {
        let (command, asked) =
            (if n % 2 == 0 { hold("x") } else { Command::Resume { subject: Subject::Group(GROUP.into()) } }, now());
        let ask = Ask::Execute { id: n, command, actor: "a@b".into(), typed: String::new(), facts: None, asked };
        second.asks.send(ask).await.unwrap();
        let Some(Reply::Executed { result, .. }) = second.replies.recv().await else { panic!("an answer") };
        assert_eq!(result, Ok(None));
        let row = second.snapshot().groups.iter().find(|g| g.group == GROUP).cloned().unwrap();
        let held = matches!(row.side_state, Some(cutover::migration::facts::stage::SideState::Held { .. }));
        assert_eq!(held, n % 2 == 0, "answer {n}: {:?}", row.side_state);
    }
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_way_and_what_talks_nonsense_stops_nobody() {
    let demo = Demo::start();
    let path = socket_path(&demo.plan().journal);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // What a killed controller leaves behind.
    drop(UnixListener::bind(&path).unwrap());
    assert!(attach_to_controller(&demo.plan(), Want::Armed).await.unwrap().is_none(), "nobody is behind it");
    let first = hosted(demo.plan());
    let mut second = attached(&demo.plan(), Want::Armed).await;
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0, 0, 0, 2, b'{', b'}'], b""] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(nonsense).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said); // it may be reset
        assert!(said.is_empty(), "nothing is said to who can't say hello");
    }
    let seq = second.snapshot().seq;
    until(&mut second, "the others go on", |s| s.seq > seq).await;
    first.shutdown().await;

    // A file that is no socket is left alone, and the controller works without.
    std::fs::write(&path, "mine").unwrap();
    let mut alone = hosted(demo.plan());
    until(&mut alone, "armed", |s| s.header.arming == Arming::Armed && s.seq > 2).await;
    alone.shutdown().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_is_served_as_well() {
    let demo = Demo::start();
    let mut plan = demo.plan();
    plan.journal = demo.dir.path().join("a".repeat(90)).join("b".repeat(60)).join("loans.journal");
    let first = hosted(plan.clone());
    let second = attached(&plan, Want::Armed).await;
    assert_eq!(second.snapshot().header.arming, Arming::Armed);
    second.shutdown().await;
    first.shutdown().await;
}

//! Green set up from the parity screen: what the demo's green lacks is found, shown, made, and proven by another look.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cutover::base::{Observed, Side};
use cutover::controller::{Controller, Handle};
use cutover::journal::Reader;
use cutover::migration::facts::command::{Command, Level, Prepared, Refusal};
use cutover::migration::facts::event::Event;
use cutover::plan::Plan;
use cutover::session::clock::Clock;
use cutover::session::options::{Options, Want};
use cutover::sim::{DemoConfig, DemoEstate};
use cutover::snapshot::{Ask, ParityVerdict, ProvisionState, Reply, Snapshot};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(240);

struct Rig {
    // the controller leaves first
    handle: Handle,
    estate: DemoEstate,
    plan: Plan,
    asked: u64,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn start(want: Want) -> Self {
        let dir = tempfile::tempdir().unwrap();
        crate::turns::heavy();
        let program = Some(Path::new(env!("CARGO_BIN_EXE_cutover")).to_owned());
        let estate = DemoEstate::start(DemoConfig { program, ..DemoConfig::new(dir.path()) }).unwrap();
        let file = dir.path().join("cutover.toml");
        std::fs::write(&file, estate.plan_toml()).unwrap();
        let plan = Plan::load(&file).unwrap_or_else(|p| panic!("{p:?}")).plan;
        let handle = Controller::start(plan.clone(), Options::new(want, "ada@bastion"));
        let mut rig = Self { handle, estate, plan, asked: 0, _dir: dir };
        let seen = |s: &Snapshot| s.why_untrusted(s.now).is_none();
        rig.until("both clusters seen", seen).await;
        rig
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let wait = self.handle.snapshots.wait_for(|s| holds(s));
        let found = crate::patience::in_time(PATIENCE, wait).await;
        Arc::clone(&found.unwrap_or_else(|| panic!("waited in vain for: {what}")).unwrap())
    }

    /// A look that began now: its verdict, and its lines as `class kind name`.
    async fn look(&mut self) -> (ParityVerdict, Vec<String>) {
        let asked = self.handle.snapshot().now;
        self.handle.asks.send(Ask::LookAtSetup).await.unwrap();
        let newer = |s: &Snapshot| {
            let view = s.parity.as_ref().filter(|p| !p.looking);
            view.is_some_and(|p| p.seen.at().is_some_and(|at| at >= asked))
        };
        let s = self.until("a look", newer).await;
        let Some(Observed::Known { value, trouble: None, .. }) = s.parity.as_ref().map(|p| &p.seen) else {
            panic!("{:?}", s.parity)
        };
        (value.verdict, value.lines.iter().map(|l| format!("{} {} {}", l.class, l.kind, l.name)).collect())
    }

    async fn ask(&mut self, ask: impl FnOnce(u64) -> Ask) -> Reply {
        self.asked += 1;
        let id = self.asked;
        self.handle.asks.send(ask(id)).await.unwrap();
        loop {
            let reply = self.handle.replies.recv().await.unwrap();
            if reply.id() == id {
                return reply;
            }
        }
    }

    async fn prepare(&mut self) -> Result<Box<Prepared>, Refusal> {
        match self.ask(|id| Ask::Prepare { id, command: Command::Provision }).await {
            Reply::Prepared { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    async fn execute(&mut self, typed: &str, facts: Option<String>) -> Result<Option<u64>, Refusal> {
        let (actor, asked) = ("ada@bastion".into(), Clock.now());
        let typed = typed.to_owned();
        let execute = |id| Ask::Execute { id, command: Command::Provision, actor, typed, facts, asked };
        match self.ask(execute).await {
            Reply::Executed { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    async fn ended(&mut self) -> ProvisionState {
        let over = |s: &Snapshot| {
            let view = s.parity.as_ref().filter(|p| !p.looking).and_then(|p| p.provision.as_ref());
            view.is_some_and(|one| one.state != ProvisionState::Running)
        };
        let s = self.until("the end of a provisioning", over).await;
        s.parity.as_ref().and_then(|p| p.provision.clone()).unwrap().state
    }

    fn count_acls(&self, side: Side) -> usize {
        self.estate.cluster(side).with_state(|s| s.acls().map_or(0, |acls| acls.len()))
    }

    fn subjects(&self, side: Side) -> Value {
        self.estate.registry(side).unwrap().ask("GET", "/subjects", Value::Null).1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_green_lacks_is_found_shown_made_and_looked_at_again() {
    let mut rig = Rig::start(Want::Armed).await;
    let unseen = rig.prepare().await.unwrap_err();
    assert!(unseen.is_unknown() && unseen.why.contains("nobody has looked"), "{unseen:?}");
    let rail = |s: &Snapshot| s.phases[0].clone();
    let before = rail(&rig.handle.snapshot());
    assert!(before.done.is_none() && before.note.unwrap().contains("nobody has looked"), "counts prove nothing");

    let (verdict, lines) = rig.look().await;
    assert_eq!(verdict, ParityVerdict::Differs, "{lines:#?}");
    let kind = |kind: &str| lines.iter().filter(|l| l.split(' ').nth(1) == Some(kind)).count();
    assert_eq!(["settings", "acls", "quotas", "schemas", "reach"].map(kind), [1, 2, 1, 3, 3], "{lines:#?}");
    let found = rail(&rig.handle.snapshot());
    assert!(!found.is_complete() && found.done < Some(found.total) && found.note.is_none(), "{found:?}");

    let prepared = rig.prepare().await.unwrap();
    assert_eq!(prepared.level, Level::Typed("provision loans-psc".to_owned()));
    let starts = |sign: char| prepared.diff.iter().filter(|line| line.starts_with(sign)).count();
    assert_eq!(['+', '~', '!'].map(starts), [6, 1, 3], "{:#?}", prepared.diff);
    let facts = Some(prepared.facts.clone());
    assert!(rig.execute("provision loans", facts.clone()).await.unwrap_err().why.contains("not confirmed"));
    assert!(rig.execute("provision loans-psc", None).await.is_err(), "who has not looked confirms nothing");
    assert!(rig.execute("provision loans-psc", Some("look=1".to_owned())).await.is_err(), "it was another look");
    assert_eq!(rig.count_acls(Side::Green), 4, "nothing was sent");

    rig.execute("provision loans-psc", facts).await.unwrap();
    let end = rig.ended().await;
    let ProvisionState::Ended { class: None, words, .. } = &end else { panic!("{end:?}") };
    assert_eq!(words, "4 of 4 changes are on green, 3 schema versions imported");
    // The truth, from inside.
    assert_eq!(rig.count_acls(Side::Green), rig.count_acls(Side::Blue));
    let green = rig.estate.cluster(Side::Green);
    let retention = green.with_state(|s| s.topics()["loan-events"].config("retention.ms").map(str::to_owned));
    assert_eq!(retention.as_deref(), Some("1209600000"));
    assert_eq!(green.with_state(|s| s.quotas().len()), 2);
    assert_eq!(rig.subjects(Side::Green), rig.subjects(Side::Blue));
    let payment = rig.estate.registry(Side::Green).unwrap().ask("GET", "/schemas/ids/104", Value::Null);
    assert_eq!((payment.0, &payment.1["references"][0]["subject"]), (200, &json!("money")));

    // What is left is a person's: the pod.
    let (verdict, lines) = rig.look().await;
    assert_eq!(verdict, ParityVerdict::Differs);
    let left: Vec<&String> = lines.iter().filter(|l| l.starts_with("blocks")).collect();
    assert!(left.len() == 3 && left.iter().all(|l| l.starts_with("blocks reach doc-search-0 to ")), "{lines:#?}");
    let nothing = rig.prepare().await.unwrap_err();
    assert!(nothing.why.contains("nothing that cutover would make"), "{nothing:?}");
    rig.estate.open_egress().unwrap();
    assert_eq!(rig.look().await.0, ParityVerdict::Equal);
    let proven = rail(&rig.handle.snapshot());
    assert!(proven.is_complete() && proven.at.is_some(), "{proven:?}");
    assert_journalled(rig).await;
}

/// One session wrote all of it: intents before what was done.
async fn assert_journalled(rig: Rig) {
    let journal = rig.plan.journal.clone();
    rig.handle.shutdown().await;
    let entries = Reader::open(&journal).unwrap().sound_entries(1).unwrap().0;
    let told: Vec<String> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Opened { .. } => Some("opened".to_owned()),
            Event::Provision { step, .. } => Some(serde_json::to_value(step).unwrap()["step"].as_str()?.to_owned()),
            Event::SchemaCopy { .. } => Some("schemas".to_owned()),
            Event::Closed { .. } => Some("closed".to_owned()),
            _ => None,
        })
        .collect();
    let mut wanted = vec!["opened", "started"];
    (0..4).for_each(|_| wanted.extend(["sending", "ended"]));
    wanted.push("finished");
    assert_eq!(told[..wanted.len()], wanted[..], "{told:#?}");
    assert!(told[wanted.len()..told.len() - 1].iter().all(|t| t == "schemas"), "{told:#?}");
    assert_eq!(told.last().map(String::as_str), Some("closed"));
    assert!(
        entries.iter().any(|e| matches!(&e.event, Event::Provision { .. }) && e.actor.to_string() == "ada@bastion")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_shown_is_not_made() {
    let mut rig = Rig::start(Want::Armed).await;
    rig.look().await;
    let prepared = rig.prepare().await.unwrap();
    // Meanwhile green loses an ACL that it had: the fresh look plans one change more.
    let green = rig.estate.cluster(Side::Green);
    green.with_state(|s| s.delete_acls(|acl| acl.name == "loan-audit").unwrap());
    rig.execute("provision loans-psc", Some(prepared.facts.clone())).await.unwrap();
    let end = rig.ended().await;
    let ProvisionState::Ended { class: Some(_), trouble: Some(why), .. } = &end else { panic!("{end:?}") };
    assert!(why.what.contains("nothing was sent"), "{why:?}");
    assert_eq!(rig.count_acls(Side::Green), 3);
    assert_eq!(rig.subjects(Side::Green).as_array().unwrap().len(), 2, "the schemas were not copied either");
    rig.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_changes_nothing_says_why() {
    for (want, words) in [(Want::DryRun, "this session is a dry run"), (Want::ReadOnly, "this session is read-only")] {
        let mut rig = Rig::start(want).await;
        // Whoever may only look may look.
        assert_eq!(rig.look().await.0, ParityVerdict::Differs);
        let refused = rig.prepare().await.unwrap_err();
        assert!(refused.why.contains(words) && !refused.advice.is_empty(), "{refused:?}");
        let refused = rig.execute("provision loans-psc", Some("look=1".to_owned())).await.unwrap_err();
        assert!(refused.why.contains("this session"), "{refused:?}");
        assert_eq!(rig.count_acls(Side::Green), 4);
        rig.handle.shutdown().await;
    }
}

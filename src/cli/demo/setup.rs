//! The first part of the headless story: what green lacks is found, made, and looked at again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Chapter;
use crate::base::{Observed, Person};
use crate::controller::headless::execute;
use crate::controller::run::Handle;
use crate::migration::facts::command::Command;
use crate::sim::DemoEstate;
use crate::snapshot::{Ask, ParityTable, ParityVerdict, ProvisionState, ProvisionView, Snapshot};

/// How long a look at both clusters, and setting green up, may take.
const BOUND: Duration = Duration::from_secs(120);
/// What the demo's green lacks, by the kinds of rows.
const LACKING: [(&str, usize); 5] = [("settings", 1), ("acls", 2), ("quotas", 1), ("schemas", 3), ("reach", 3)];

/// Plays it. A chapter that fails ends it.
pub(super) async fn play_setup(
    handle: &mut Handle,
    estate: &DemoEstate,
    actor: &Person,
    say: &mut dyn FnMut(&str),
) -> Vec<Chapter> {
    let found = judge_look("look how green is set up", look(handle).await, |table| {
        let lines = |kind: &str| table.lines.iter().filter(|line| line.kind == kind).count();
        table.verdict == ParityVerdict::Differs && LACKING.iter().all(|(kind, n)| lines(kind) == *n)
    });
    let mut chapters = vec![found];
    if chapters.iter().all(|c| c.ok) {
        chapters.push(provision(handle, actor, say).await);
    }
    if chapters.iter().all(|c| c.ok) {
        chapters.push(prove(handle, estate).await);
    }
    chapters
}

/// Looks, and waits for what comes of it.
async fn look(handle: &mut Handle) -> Result<Arc<Snapshot>, String> {
    let asked_at = handle.snapshot().now;
    handle.asks.send(Ask::LookAtSetup).await.map_err(|_| "the controller has ended".to_owned())?;
    let newer = |s: &Snapshot| {
        let seen = s.parity.as_ref().filter(|p| !p.looking).map(|p| &p.seen);
        matches!(seen, Some(Observed::Known { at, trouble: None, .. }) if *at >= asked_at)
            || matches!(seen, Some(Observed::Absent { .. } | Observed::Known { trouble: Some(_), .. }))
    };
    wait_until(handle, newer, "the look").await
}

async fn wait_until(handle: &mut Handle, is: impl Fn(&Snapshot) -> bool, what: &str) -> Result<Arc<Snapshot>, String> {
    match tokio::time::timeout(BOUND, handle.snapshots.wait_for(|s| is(s))).await {
        Ok(Ok(snapshot)) => Ok(Arc::clone(&snapshot)),
        Ok(Err(_)) => Err("the controller has ended".to_owned()),
        Err(_) => Err(format!("{what} did not end within {} s", BOUND.as_secs())),
    }
}

fn judge_look(step: &str, looked: Result<Arc<Snapshot>, String>, is_well: impl Fn(&ParityTable) -> bool) -> Chapter {
    let snapshot = match looked {
        Ok(snapshot) => snapshot,
        Err(why) => return Chapter::plain(step, Some(why), Value::Null),
    };
    let Some(table) = snapshot.parity.as_ref().and_then(|p| p.seen.value()) else {
        return Chapter::plain(step, Some("the look came to nothing".to_owned()), Value::Null);
    };
    let lines: Vec<String> =
        table.lines.iter().map(|l| format!("{} {} {}: {}", l.class, l.kind, l.name, l.why)).collect();
    let phase = snapshot.phases.first().map(|phase| (phase.done, phase.total));
    let report = json!({ "verdict": table.verdict, "same": table.same, "phase": phase, "lines": lines });
    let why = (!is_well(table)).then(|| "what was seen is not what the demo is made of".to_owned());
    Chapter::plain(step, why, report)
}

/// What may be made is made, as with `p` on the parity screen.
async fn provision(handle: &mut Handle, actor: &Person, say: &mut dyn FnMut(&str)) -> Chapter {
    const STEP: &str = "make what green lacks";
    let name = handle.snapshot().header.migration.clone();
    let began = execute(handle, Command::Provision, actor, Some(&name), say).await;
    if began.class.is_some() {
        return Chapter::plain(STEP, Some(began.summary.clone()), super::super::act::outcome_json(&began));
    }
    let ended = |s: &Snapshot| {
        let view = s.parity.as_ref();
        let over = |one: &ProvisionView| matches!(one.state, ProvisionState::Ended { .. });
        view.is_some_and(|p| !p.looking && p.provision.as_ref().is_some_and(over))
    };
    let snapshot = match wait_until(handle, ended, "the provisioning").await {
        Ok(snapshot) => snapshot,
        Err(why) => return Chapter::plain(STEP, Some(why), Value::Null),
    };
    let one = snapshot.parity.as_ref().and_then(|p| p.provision.clone());
    let why = match one.as_ref().map(|one| &one.state) {
        Some(ProvisionState::Ended { class: None, .. }) => None,
        Some(ProvisionState::Ended { words, trouble, .. }) => {
            Some(trouble.as_ref().map_or_else(|| words.clone(), |t| t.what.clone()))
        }
        Some(ProvisionState::Running) | None => Some("it did not end".to_owned()),
    };
    Chapter::plain(STEP, why, json!(one))
}

/// What was left to a person is done (the network policy lets the pod through), and the look proves the first phase.
async fn prove(handle: &mut Handle, estate: &DemoEstate) -> Chapter {
    const STEP: &str = "let the pod through, and look again";
    if let Err(why) = estate.open_egress() {
        return Chapter::plain(STEP, Some(why.what), Value::Null);
    }
    let looked = look(handle).await;
    let proven = looked.as_ref().is_ok_and(|s| s.phases.first().is_some_and(|phase| phase.is_complete()));
    judge_look(STEP, looked, |table| table.verdict == ParityVerdict::Equal && proven)
}

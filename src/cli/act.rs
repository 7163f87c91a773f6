//! The verbs that move something: `offsets`, `group`, `producer`. The cockpit's keys do the same through the same door.

use serde_json::json;

use super::args::{Global, GroupArgs, GroupVerb, OffsetsVerb, ProducerVerb, RouteArg};
use super::{Error, Exit, load, options, print_json, print_text, runtime};
use crate::controller::headless::{self, RunReport, execute};
use crate::controller::run::{Controller, Handle, Want};
use crate::migration::command::{Command, Subject};
use crate::migration::estate::{FlagState, Side, Trouble};
use crate::offsets::verdict::GroupPlan;
use crate::report;
use crate::sanitise::visible;

/// `cutover offsets ...`.
pub fn offsets(global: &Global, verb: OffsetsVerb) -> Result<Exit, Error> {
    match verb {
        OffsetsVerb::Plan { group, to } => measure(global, &group, to.into()),
        OffsetsVerb::Apply { group, to, yes } => {
            carry_out(global, Command::reset_offsets(group, to.into()), yes.as_deref())
        }
    }
}

/// `cutover group ...`.
pub fn group(global: &Global, verb: GroupVerb) -> Result<Exit, Error> {
    let (command, yes) = match verb {
        GroupVerb::Cutover(GroupArgs { group, yes }) => (Command::cut_over(group), yes),
        GroupVerb::Rollback(GroupArgs { group, yes }) => (Command::roll_back(group), yes),
        GroupVerb::Continue(GroupArgs { group, yes }) => (Command::Continue { group }, yes),
        GroupVerb::Complete(GroupArgs { group, yes }) => (Command::Complete { group }, yes),
        GroupVerb::Hold { group, reason } => (Command::Hold { subject: Subject::Group(group), why: reason }, None),
        GroupVerb::Resume { group } => (Command::Resume { subject: Subject::Group(group) }, None),
    };
    carry_out(global, command, yes.as_deref())
}

/// `cutover producer ...`.
pub fn producer(global: &Global, verb: ProducerVerb) -> Result<Exit, Error> {
    let (command, yes) = match verb {
        ProducerVerb::Route { producer, to, yes } => {
            let to = match to {
                RouteArg::Blue => FlagState::Blue,
                RouteArg::Dual => FlagState::Dual,
                RouteArg::Green => FlagState::Green,
                RouteArg::Off => FlagState::Off,
            };
            (Command::Route { producer, to }, yes)
        }
        ProducerVerb::Hold { producer, reason } => {
            (Command::Hold { subject: Subject::Producer(producer), why: reason }, None)
        }
        ProducerVerb::Resume { producer } => (Command::Resume { subject: Subject::Producer(producer) }, None),
    };
    carry_out(global, command, yes.as_deref())
}

/// Carries a command out to its end and prints what came of it. An interrupt ends it in order: the effect under way
/// is finished and journalled, nothing new starts.
fn carry_out(global: &Global, command: Command, yes: Option<&str>) -> Result<Exit, Error> {
    let plan = load(global)?;
    let options = options(global)?;
    let actor = options.actor.clone();
    let report = runtime()?.block_on(async {
        let mut handle = Controller::start(plan, options);
        let mut progress = |line: &str| eprintln!("{line}");
        let report = tokio::select! {
            report = execute(&mut handle, command, &actor, yes, &mut progress) => Some(report),
            () = interrupted() => None,
        };
        handle.shutdown().await;
        report
    });
    let Some(report) = report else {
        eprintln!("cutover: interrupted; the journal says how far it came (`cutover status`)");
        return Ok(Exit::INTERRUPTED);
    };
    say(global, &report)?;
    Ok(Exit(report.exit_code))
}

/// Ctrl-C, a hangup, or the end of the session.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term), Ok(mut hup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
}

fn say(global: &Global, report: &RunReport) -> Result<(), Error> {
    if global.json {
        return print_json(report);
    }
    if report.exit_code == 0 {
        print_text(&format!("{}\n", visible(&report.summary)));
    } else {
        eprintln!("cutover: {}", visible(&report.summary));
    }
    if !report.advice.is_empty() {
        eprintln!("  {}", visible(&report.advice));
    }
    Ok(())
}

/// Measures a translation and prints it; reads only.
fn measure(global: &Global, group: &str, to: Side) -> Result<Exit, Error> {
    let measured = measured(global, group, to)?;
    if global.json {
        print_json(&report::offsets::json(group, to, &measured))?;
    } else {
        print_text(&report::offsets::text(group, to, &measured));
    }
    Ok(if measured.blocks() { Exit::HOLDS } else { Exit::DONE })
}

/// A translation, measured by a controller that only looks.
pub(super) fn measured(global: &Global, group: &str, to: Side) -> Result<GroupPlan, Error> {
    let plan = load(global)?;
    let mut options = options(global)?;
    options.want = Want::ReadOnly;
    let actor = options.actor.clone();
    runtime()?.block_on(async {
        let mut handle = Controller::start(plan, options);
        let measured = estimate(&mut handle, group, to, &actor).await;
        handle.shutdown().await;
        measured
    })
}

async fn estimate(handle: &mut Handle, group: &str, to: Side, actor: &str) -> Result<GroupPlan, Error> {
    let groups = [group.to_owned()];
    let measured = headless::estimate(handle, &groups, to, None, actor, &mut |line| eprintln!("{line}")).await;
    let Some((_, result)) = measured.into_iter().next() else { return Err(ended()) };
    result.map_err(|refusal| {
        let trouble = Trouble::new(refusal.why, refusal.advice);
        if refusal.exit_code == 4 { Error::Unknown(trouble) } else { Error::Failed(trouble) }
    })
}

fn ended() -> Error {
    Error::Failed(Trouble::new("the controller ended", "run with --log-file and look there"))
}

/// The JSON of a report, for the demo.
pub fn report_json(report: &RunReport) -> serde_json::Value {
    json!({"exit_code": report.exit_code, "summary": report.summary, "advice": report.advice, "run": report.run})
}

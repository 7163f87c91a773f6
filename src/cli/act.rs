//! The verbs that move something: `group`, `producer`. The cockpit's keys do the same through the same door.

use super::args::{GlobalArgs, GroupArgs, GroupVerb, HardArgs, MoveArgs, ProducerArgs, ProducerVerb, RouteArg};
use super::{Error, Exit, attach_or_host, build_options, load_plan, print_json, print_text, runtime};
use crate::base::sanitise::visible_text;
use crate::base::{Person, Trouble};
use crate::controller::headless::{RunReport, execute, hold_subject};
use crate::controller::run::Handle;
use crate::estate::FlagState;
use crate::migration::eos::GreenOnly;
use crate::migration::facts::command::{Command, Subject, shell_word};
use crate::report;

/// `cutover group ...`.
pub(crate) fn run_group_verb(global: &GlobalArgs, verb: GroupVerb) -> Result<Exit, Error> {
    let (command, yes) = match verb {
        GroupVerb::Cutover(MoveArgs { group: GroupArgs { group, yes }, overrides, reason }) => {
            (Command::CutOver { group, overrides: overrides.to_overrides(reason.as_deref())? }, yes)
        }
        GroupVerb::Rollback(MoveArgs { group: GroupArgs { group, yes }, overrides, reason }) => {
            (Command::RollBack { group, overrides: overrides.to_overrides(reason.as_deref())? }, yes)
        }
        GroupVerb::Continue(GroupArgs { group, yes }) => (Command::Continue { subject: Subject::Group(group) }, yes),
        GroupVerb::Complete(MoveArgs { group: GroupArgs { group, yes }, overrides, reason }) => (
            Command::Complete { subject: Subject::Group(group), overrides: overrides.to_overrides(reason.as_deref())? },
            yes,
        ),
        GroupVerb::Hold { group, reason } => (Command::Hold { subject: Subject::Group(group), why: reason }, None),
        GroupVerb::Resume { group } => (Command::Resume { subject: Subject::Group(group) }, None),
    };
    carry_out(global, command, yes.as_deref())
}

/// `cutover producer ...`.
pub(crate) fn run_producer_verb(global: &GlobalArgs, verb: ProducerVerb) -> Result<Exit, Error> {
    let (command, yes) = match verb {
        ProducerVerb::Cutover(HardArgs { producer: ProducerArgs { producer, yes }, overrides, reason }) => {
            (Command::HardCut { producer, overrides: overrides.to_overrides(reason.as_deref())? }, yes)
        }
        ProducerVerb::Rollback { what, carry_back: _, lose } => {
            let HardArgs { producer: ProducerArgs { producer, yes }, overrides, reason } = what;
            let green_only = if lose { GreenOnly::Lose } else { GreenOnly::Carry };
            (Command::HardBack { producer, green_only, overrides: overrides.to_overrides(reason.as_deref())? }, yes)
        }
        ProducerVerb::Continue(ProducerArgs { producer, yes }) => {
            (Command::Continue { subject: Subject::Producer(producer) }, yes)
        }
        ProducerVerb::Complete(ProducerArgs { producer, yes }) => (Command::complete(Subject::Producer(producer)), yes),
        ProducerVerb::Approve(ProducerArgs { producer, yes }) => (Command::Approve { producer }, yes),
        ProducerVerb::Route { producer, to, overrides, reason, yes } => {
            let to = match to {
                RouteArg::Blue => FlagState::Blue,
                RouteArg::Dual => FlagState::Dual,
                RouteArg::Green => FlagState::Green,
                RouteArg::Off => FlagState::Off,
            };
            (Command::Route { producer, to, overrides: overrides.to_overrides(reason.as_deref())? }, yes)
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
fn carry_out(global: &GlobalArgs, command: Command, yes: Option<&str>) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let options = build_options(global)?;
    let (actor, subject) = (options.actor.clone(), command.subject());
    let report = runtime()?.block_on(async {
        let (mut handle, attached) = attach_or_host(plan, options, false).await?;
        let mut progress = |line: &str| say!("{}", visible_text(line));
        let report = tokio::select! {
            report = execute(&mut handle, command, &actor, yes, &mut progress) => Some(report),
            // A controller of our own ends with this verb; one of another process has to be told.
            how = wait_for_interrupt() => {
                if attached {
                    hold_or_leave(&mut handle, &subject, how, &actor).await;
                }
                None
            }
        };
        handle.shutdown().await;
        Ok::<_, Error>(report)
    })?;
    let Some(report) = report else { return Ok(say_interrupted(global)) };
    print_report(global, &report)?;
    Ok(Exit::of_end(report.class))
}

/// A command of a controller in another process goes on without the shell that asked for it. Ctrl-C holds it there, as it
/// would end it here; a hangup takes nothing along.
async fn hold_or_leave(handle: &mut Handle, subject: &Subject, how: Interrupt, actor: &Person) {
    let resume = match subject {
        Subject::Producer(name) => format!("cutover producer resume {}", shell_word(name)),
        Subject::Group(name) => format!("cutover group resume {}", shell_word(name)),
        Subject::Migration | Subject::Cluster(_) => return,
    };
    let pid = handle.snapshot().header.pid;
    let words = match how {
        Interrupt::Gone => format!("the controller (pid {pid}) goes on with it"),
        Interrupt::Key => match hold_subject(handle, subject, "interrupted with ctrl-c", actor).await {
            Ok(true) => format!("held in the controller (pid {pid}): nothing further starts; `{resume}` goes on"),
            Ok(false) => return,
            Err(refusal) => format!("the controller (pid {pid}) may go on with it: {}", refusal.why),
        },
    };
    say!("cutover: {}", visible_text(&words));
}

/// What interrupted a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// Ctrl-C.
    Key,
    /// A hangup, or the end of the session.
    Gone,
}

/// Ctrl-C, a hangup, or the end of the session.
pub(super) async fn wait_for_interrupt() -> Interrupt {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term), Ok(mut hup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        // Whoever can't be heard ends nothing: the work goes on to its end.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => Interrupt::Key,
        // The end of a session is nobody's wish to stop what another process does.
        _ = term.recv() => Interrupt::Gone,
        _ = hup.recv() => Interrupt::Gone,
    }
}

/// Says that it was interrupted.
pub(super) fn say_interrupted(global: &GlobalArgs) -> Exit {
    say_stopped(global, "the journal says how far it came (cutover status)")
}

/// The same of what has no journal to look at.
pub(super) fn say_stopped(global: &GlobalArgs, advice: &str) -> Exit {
    let trouble = Trouble::new("interrupted", advice);
    say!("cutover: {}; {}", trouble.what, trouble.advice);
    if global.json {
        super::out::print_json_line(serde_json::json!({"ok": false, "errors": [trouble]}));
    }
    Exit::INTERRUPTED
}

/// Prints what came of a command.
pub(super) fn print_report(global: &GlobalArgs, report: &RunReport) -> Result<(), Error> {
    if global.json {
        return print_json(&outcome_json(report));
    }
    print_report_text(report);
    Ok(())
}

/// Prints what came of the same command for several groups.
pub(super) fn print_reports(global: &GlobalArgs, reports: &[(String, RunReport)]) -> Result<(), Error> {
    if global.json {
        let all: Vec<_> = reports.iter().map(|(_, report)| outcome_json(report)).collect();
        return print_json(&serde_json::json!({ "groups": all }));
    }
    reports.iter().for_each(|(_, report)| print_report_text(report));
    Ok(())
}

pub(super) fn outcome_json(report: &RunReport) -> serde_json::Value {
    report::outcome::to_json(report, Exit::of_end(report.class).0)
}

fn print_report_text(report: &RunReport) {
    print_text(&report::outcome::to_text(report));
    if report.class.is_some() {
        say!("cutover: {}", visible_text(&report.summary));
    }
    if !report.advice.is_empty() {
        say!("  {}", visible_text(&report.advice));
    }
}

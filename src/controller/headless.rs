//! One command without a screen: what the shell verbs and `demo --headless` run.

use std::sync::Arc;
use std::time::Duration;

use super::run::Handle;
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::{Observed, Person, Side, TroubleClass};
use crate::migration::eos::{EosView, GreenOnly, HardGateRow};
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, Subject, shell_word};
use crate::migration::facts::event::RunId;
use crate::migration::facts::overrides::{GateName, HeldGate, Override};
use crate::migration::facts::stage::{RunView, SideState, Stage, StepState};
use crate::migration::rules::gate::Gate;
use crate::offsets::Chosen;
use crate::offsets::verdict::GroupTranslation;
use crate::session::clock::Clock;
pub use crate::snapshot::RunReport;
use crate::snapshot::journal_text as words;
use crate::snapshot::{Ask, GroupRow, Reply, Snapshot};

/// How long a fresh controller may take to see what a command needs, ms.
const READY_MS: u64 = 60_000;
/// How long the rows of a gate that is shut anyway may take to be told, ms.
const GATE_MS: u64 = 15_000;
/// The longest that is waited for what only watching tells, ms: a hole in the looks begins it anew.
const WATCHED_MS: u64 = 900_000;
/// How long the controller may take to answer a question: it answers from memory, after at most one journal write.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a measurement that was asked for may take: a long backlog is read in full.
const MEASUREMENT: Duration = Duration::from_secs(600);
/// How long the estimate may take before the dialog goes without it.
const ESTIMATE: Duration = Duration::from_secs(30);
/// Measurements that are asked for at once; fewer than questions that may wait, and than replies.
const TOGETHER: usize = 60;
/// How often a dialog may be asked for again because its facts moved.
const CONFIRMATIONS: u32 = 20;

/// Prepares a command, confirms it with `yes` (the group's or producer's name, in place of the typed phrase), and
/// follows it to its end. `progress` gets a line for each thing that changes.
pub async fn execute(
    handle: &mut Handle,
    command: Command,
    actor: &Person,
    yes: Option<&str>,
    progress: &mut dyn FnMut(&str),
) -> RunReport {
    if let Command::Estimate { group, to, chosen } = &command {
        let measured =
            estimate_groups(handle, std::slice::from_ref(group), *to, chosen.as_ref(), actor, progress).await;
        return match measured.into_iter().next() {
            Some((_, Ok(plan))) => {
                RunReport::done(format!("{}: {}", visible_name(group), words::describe_budget(&plan)), None)
            }
            Some((_, Err(refusal))) => RunReport::refused(refusal, None),
            None => RunReport::refused(controller_gone(), None),
        };
    }
    let mut driver = CommandDriver { handle, next_id: 1, progress };
    match driver.confirm(&command, actor, yes).await {
        Err((refusal, prepared)) => {
            let rows = driver.gate_rows(&command);
            RunReport { rows, ..RunReport::refused(refusal, prepared) }
        }
        Ok((prepared, None)) => RunReport::done(format!("{}: done", prepared.title), Some(prepared)),
        Ok((prepared, Some(run))) => {
            let mut report = driver.follow(&command.subject(), run).await;
            report.prepared = Some(prepared);
            report
        }
    }
}

/// Measures groups to `to` by the plan's strategies or by a chosen one, all at the same time, and waits for the results,
/// in their order. An error says by its class what it amounts to.
pub(crate) async fn estimate_groups(
    handle: &mut Handle,
    groups: &[String],
    to: Side,
    chosen: Option<&Chosen>,
    actor: &Person,
    progress: &mut dyn FnMut(&str),
) -> Vec<(String, Result<GroupTranslation, Refusal>)> {
    let mut driver = CommandDriver { handle, next_id: 1, progress };
    let command = |group: &String| Command::Estimate { group: group.clone(), to, chosen: chosen.cloned() };
    let mut answers = Vec::new();
    for group in groups {
        answers.push(driver.prepare(&command(group)).await.map(|_| ()));
    }
    // All are asked for before the first answer is read, so that those waiting are taken on together.
    let ready: Vec<usize> = (0..groups.len()).filter(|n| answers[*n].is_ok()).collect();
    for some in ready.chunks(TOGETHER) {
        let mut sent = Vec::new();
        for &n in some {
            match driver.order_measurement(command(&groups[n]), actor).await {
                Ok(id) => sent.push((n, id)),
                Err(refusal) => answers[n] = Err(refusal),
            }
        }
        for (n, id) in sent {
            answers[n] = driver.wait_for_answer(id).await.and_then(|reply| match reply {
                Reply::Executed { result, .. } => result.map(|_| ()),
                Reply::Prepared { .. } | Reply::Exported { .. } | Reply::Records { .. } | Reply::Diff { .. } => {
                    Err(controller_gone())
                }
            });
        }
    }
    let mut measured = Vec::new();
    for (group, answer) in groups.iter().zip(answers) {
        let result = match answer {
            Ok(()) => driver.wait_for_measurement(group, to, chosen).await,
            Err(refusal) => Err(refusal),
        };
        measured.push((group.clone(), result));
    }
    measured
}

/// Reads the records at each cut of a measured plan once more, with their values, and puts them in. Errors: they can't be
/// read now.
pub(crate) async fn show_values(
    handle: &mut Handle,
    group: &str,
    to: Side,
    chosen: Option<&Chosen>,
    plan: &mut GroupTranslation,
) -> Result<(), Refusal> {
    let mut driver = CommandDriver { handle, next_id: 1_000_000, progress: &mut |_| {} };
    for p in &mut plan.partitions {
        let id = driver.next_id();
        let (group, chosen, tp) = (group.to_owned(), chosen.cloned(), p.tp.clone());
        match driver.ask(Ask::Records { id, group, to, chosen, tp }, id).await? {
            Reply::Records { result, .. } => p.cut = result?,
            _ => return Err(controller_gone()),
        }
    }
    Ok(())
}

/// Holds what a command that nobody waits for any more has under way: nothing of it starts from here. Tells whether there
/// was anything.
pub(crate) async fn hold_subject(
    handle: &mut Handle,
    subject: &Subject,
    why: &str,
    actor: &Person,
) -> Result<bool, Refusal> {
    let snapshot = handle.snapshot();
    let runs = match subject {
        Subject::Group(name) => snapshot.groups.iter().find(|g| g.group == *name).and_then(|g| g.run.as_ref()),
        Subject::Producer(name) => snapshot.producers.iter().find(|p| p.name == *name).and_then(|p| p.run.as_ref()),
        Subject::Migration | Subject::Cluster(_) => None,
    };
    let under_way = |run: &RunView| {
        !is_finished(run) && !run.steps.iter().any(|(_, state)| matches!(state, StepState::Stuck { .. }))
    };
    if !runs.is_some_and(under_way) {
        return Ok(false);
    }
    let mut driver = CommandDriver { handle, next_id: 2_000_000, progress: &mut |_| {} };
    let command = Command::Hold { subject: subject.clone(), why: why.to_owned() };
    let prepared = driver.ask_prepared(&command).await?;
    driver.order(&command, actor, String::new(), &prepared).await.map(|_| true)
}

struct CommandDriver<'a> {
    handle: &'a mut Handle,
    next_id: u64,
    progress: &'a mut dyn FnMut(&str),
}

type RefusedCommand = (Refusal, Option<Prepared>);

impl CommandDriver<'_> {
    /// Asks for the dialog and confirms it, again while its facts move under it.
    async fn confirm(
        &mut self,
        command: &Command,
        actor: &Person,
        yes: Option<&str>,
    ) -> Result<(Prepared, Option<RunId>), RefusedCommand> {
        let mut last = None;
        for _ in 0..CONFIRMATIONS {
            match self.prepare(command).await {
                Ok(_) => {}
                // Whether a group has read up to a seam only a measurement can tell: its last offsets may be markers.
                Err(held) if held.class == TroubleClass::Held && matches!(command.subject(), Subject::Group(_)) => {}
                Err(refusal) => return Err((refusal, None)),
            }
            self.measure_for_dialog(command, actor).await;
            let prepared = self.prepare(command).await.map_err(|r| (r, None))?;
            // Its name confirms a command, and never what it costs: each gate needs its own word.
            if let Some(held) = prepared.gates.iter().find(|h| !is_worded(command, h)) {
                let refusal = Refusal::holds(held.why.clone(), held.advice());
                return Err((refusal, Some(prepared)));
            }
            let typed = match &prepared.level {
                Level::None | Level::Key => String::new(),
                Level::Typed(phrase) => match (yes, self.name_of(&command.subject())) {
                    // as it is, or as it is shown
                    (Some(yes), name) if yes == name || yes == visible_name(&name) => phrase.clone(),
                    (given, name) => return Err((refuse_unconfirmed(given, &name, &prepared.title), Some(prepared))),
                },
            };
            if last.is_none() {
                (self.progress)(&prepared.title);
                prepared.warnings.iter().for_each(|w| (self.progress)(&format!("warning: {w}")));
            }
            match self.order(command, actor, typed, &prepared).await {
                Ok(run) => return Ok((prepared, run)),
                // What the dialog rests on moved between the two questions: look again, a bounded number of times.
                Err(refusal) if self.facts_moved(command, &prepared).await => last = Some((refusal, Some(prepared))),
                Err(refusal) => return Err((refusal, Some(prepared))),
            }
        }
        Err(last.unwrap_or_else(|| (Refusal::unknown("the facts did not hold still", "try again"), None)))
    }

    /// What confirms a command about it.
    fn name_of(&self, subject: &Subject) -> String {
        match subject {
            Subject::Migration => self.handle.snapshot().header.migration.clone(),
            other => subject_name(other),
        }
    }

    /// The gate of a hard cutover, as it was seen last.
    fn gate_rows(&self, command: &Command) -> Vec<HardGateRow> {
        let (Command::HardCut { producer, .. } | Command::HardBack { producer, .. }) = command else {
            return Vec::new();
        };
        let snapshot = self.handle.snapshot();
        let row = snapshot.producers.iter().find(|p| p.name == *producer);
        row.and_then(|p| p.eos.as_deref()).map(|eos| eos.live.clone()).unwrap_or_default()
    }

    async fn order(
        &mut self,
        command: &Command,
        actor: &Person,
        typed: String,
        prepared: &Prepared,
    ) -> Result<Option<RunId>, Refusal> {
        let id = self.next_id();
        let (command, actor, facts) = (command.clone(), actor.clone(), Some(prepared.facts.clone()));
        let asked = Clock.now();
        match self.ask(Ask::Execute { id, command, actor, typed, facts, asked }, id).await? {
            Reply::Executed { result, .. } => result,
            Reply::Prepared { .. } | Reply::Exported { .. } | Reply::Records { .. } | Reply::Diff { .. } => {
                Err(controller_gone())
            }
        }
    }

    async fn facts_moved(&mut self, command: &Command, prepared: &Prepared) -> bool {
        matches!(self.ask_prepared(command).await, Ok(now) if now.facts != prepared.facts)
    }

    /// The dialog, once the controller has seen enough to tell.
    async fn prepare(&mut self, command: &Command) -> Result<Prepared, Refusal> {
        // A measurement that is ordered needs no other one beside it.
        if let (Subject::Group(group), false) = (command.subject(), matches!(command, Command::Estimate { .. })) {
            let watch = match command {
                Command::ResetOffsets { to, chosen, .. } => Ask::WatchChoice { group, to: *to, chosen: chosen.clone() },
                _ => Ask::Watch { group: Some(group) },
            };
            let _ = self.handle.asks.send(watch).await; // the next question finds out
        }
        let waited = Clock.stopwatch();
        let mut said = String::new();
        loop {
            let refusal = match self.ask_prepared(command).await {
                Ok(prepared) => return Ok(prepared),
                Err(refusal) => refusal,
            };
            // A gate that is shut by one row is shown with every row told, if that takes only a moment.
            let untold = self.gate_rows(command).iter().any(|row| matches!(row.gate, Gate::Unknown { .. }));
            let left = patience_ms(&refusal, untold).saturating_sub(waited.elapsed_ms());
            if left == 0 {
                return Err(refusal);
            }
            if said != refusal.why {
                tracing::info!(left, why = %refusal.why, "waiting");
                // Who does not want to wait for minutes is told at once what else there is.
                let instead = refusal.told_in_ms.map(|_| format!("; {}", refusal.advice)).unwrap_or_default();
                (self.progress)(&format!("waiting: {}{instead}", refusal.why));
                said.clone_from(&refusal.why);
            }
            let changed = tokio::time::timeout(Duration::from_millis(left), self.handle.snapshots.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                return Err(controller_gone());
            }
        }
    }

    /// Waits for the estimate that the dialog shows, where there is one to be had.
    async fn measure_for_dialog(&mut self, command: &Command, actor: &Person) {
        let (group, to) = match command {
            Command::CutOver { group, .. } => (group, Side::Green),
            // Without green there is nothing to measure.
            Command::RollBack { overrides, .. } if overrides.iter().any(|o| o.gate == GateName::Unseen) => return,
            Command::RollBack { group, .. } => (group, Side::Blue),
            Command::ResetOffsets { group, to, .. } => (group, *to),
            _ => return,
        };
        let chosen = command.chosen().cloned();
        let measured = |s: &Arc<Snapshot>| {
            let row = s.groups.iter().find(|g| g.group == *group);
            // What a run to the other side once promised is no measurement of this way.
            let this = |r: &GroupRow| r.estimate_to == Some(to) && r.estimate_chosen == chosen;
            let there = |r: &GroupRow| r.estimate.is_some() && !r.measuring && this(r);
            row.is_none_or(|r| matches!(r.stage, Stage::Moving { .. }) || there(r))
        };
        // The controller keeps the dialog that was opened last fresh. Several shells and screens may ask at once.
        let seen = self.handle.snapshot();
        if !measured(&seen) {
            let (group, chosen) = (group.clone(), command.chosen().cloned());
            let _ = self.order_measurement(Command::Estimate { group, to, chosen }, actor).await; // see below
        }
        // Without one the dialog says so, and the exact numbers come after the drain all the same.
        let _ = tokio::time::timeout(ESTIMATE, self.handle.snapshots.wait_for(measured)).await;
    }

    /// Orders a measurement; the answer is not waited for.
    async fn order_measurement(&mut self, command: Command, actor: &Person) -> Result<u64, Refusal> {
        let (id, actor) = (self.next_id(), actor.clone());
        let (typed, facts, asked) = (String::new(), None, Clock.now());
        let ask = Ask::Execute { id, command, actor, typed, facts, asked };
        self.handle.asks.send(ask).await.map_err(|_| controller_gone())?;
        Ok(id)
    }

    /// Waits until a measurement that was ordered is there.
    async fn wait_for_measurement(
        &mut self,
        group: &str,
        to: Side,
        chosen: Option<&Chosen>,
    ) -> Result<GroupTranslation, Refusal> {
        let row = |s: &Snapshot| s.groups.iter().find(|g| g.group == group).cloned();
        let over = |s: &Arc<Snapshot>| row(s).is_none_or(|r| !r.measuring);
        let waited = matches!(tokio::time::timeout(MEASUREMENT, self.handle.snapshots.wait_for(over)).await, Ok(Ok(_)));
        if !waited {
            let why =
                format!("the measurement of {} took longer than {} s", visible_name(group), MEASUREMENT.as_secs());
            return Err(Refusal::unknown(why, "look at both clusters' brokers, then try again"));
        }
        let row = row(&self.handle.snapshot());
        let of = row.filter(|r| r.estimate_to == Some(to) && r.estimate_chosen.as_ref() == chosen);
        match of.and_then(|r| r.estimate) {
            Some(Observed::Known { value, trouble: None, .. }) => Ok(value),
            Some(Observed::Known { trouble: Some(why), .. } | Observed::Absent { why }) => {
                Err(Refusal::unknown(why.what, why.advice))
            }
            None => Err(Refusal::unknown(format!("{} was not measured", visible_name(group)), "try again")),
        }
    }

    async fn ask_prepared(&mut self, command: &Command) -> Result<Prepared, Refusal> {
        let id = self.next_id();
        match self.ask(Ask::Prepare { id, command: command.clone() }, id).await? {
            Reply::Prepared { result, .. } => result.map(|p| *p),
            Reply::Executed { .. } | Reply::Exported { .. } | Reply::Records { .. } | Reply::Diff { .. } => {
                Err(controller_gone())
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    async fn ask(&mut self, ask: Ask, id: u64) -> Result<Reply, Refusal> {
        self.handle.asks.send(ask).await.map_err(|_| controller_gone())?;
        self.wait_for_answer(id).await
    }

    /// Waits for the answer to a question; those to earlier ones are passed over.
    async fn wait_for_answer(&mut self, id: u64) -> Result<Reply, Refusal> {
        let answer = async {
            while let Some(reply) = self.handle.replies.recv().await {
                let (Reply::Prepared { id: of, .. }
                | Reply::Executed { id: of, .. }
                | Reply::Exported { id: of, .. }
                | Reply::Records { id: of, .. }
                | Reply::Diff { id: of, .. }) = &reply;
                if *of == id {
                    return Some(reply);
                }
            }
            None
        };
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(controller_gone()),
            Err(_) => Err(Refusal::unknown(
                format!("the controller did not answer within {} s", ANSWER.as_secs()),
                "look at the journal before trying again",
            )),
        }
    }

    /// Follows a run, and the one that takes over from it, to the end.
    async fn follow(&mut self, subject: &Subject, run: RunId) -> RunReport {
        let mut said: Vec<String> = Vec::new();
        loop {
            let snapshot = Arc::clone(&self.handle.snapshots.borrow_and_update());
            if let Some(seen) = SubjectRun::of_subject(&snapshot, subject)
                && seen.run.run >= run
            {
                let lines = seen.step_lines();
                lines.iter().filter(|l| !said.contains(l)).for_each(|l| (self.progress)(l));
                said = lines;
                if let Some(report) = seen.report_if_ended(run) {
                    return report;
                }
            }
            if self.handle.snapshots.changed().await.is_err() {
                return RunReport::refused(controller_gone(), None);
            }
        }
    }
}

/// A subject's run in a snapshot.
struct SubjectRun<'a> {
    run: &'a RunView,
    side_state: Option<&'a SideState>,
    moving: bool,
    at_rest_on: Option<Side>,
}

impl<'a> SubjectRun<'a> {
    fn of_subject(snapshot: &'a Snapshot, subject: &Subject) -> Option<Self> {
        match subject {
            Subject::Group(group) => {
                let row = snapshot.groups.iter().find(|g| g.group == *group)?;
                let at_rest_on = match row.stage {
                    Stage::Moving { .. } => None,
                    Stage::Soaking { .. } | Stage::Complete { .. } => Some(Side::Green),
                    Stage::OnBlue | Stage::RolledBack { .. } => Some(Side::Blue),
                };
                let moving = matches!(row.stage, Stage::Moving { .. });
                Some(Self { run: row.run.as_ref()?, side_state: row.side_state.as_ref(), moving, at_rest_on })
            }
            Subject::Producer(name) => {
                let row = snapshot.producers.iter().find(|p| p.name == *name)?;
                let run = row.run.as_ref()?;
                let stuck = run.steps.iter().any(|(_, s)| matches!(s, StepState::Stuck { .. }));
                let hard = run.kind.moves_hard() || run.kind.gives_back();
                let (moving, at_rest_on) = match row.eos.as_deref().filter(|_| hard) {
                    Some(EosView { stage: Stage::Moving { .. }, .. }) => (true, None),
                    Some(eos) => (false, Some(eos.on)),
                    None => (!is_finished(run) && !stuck, None),
                };
                Some(Self { run, side_state: row.side_state.as_ref(), moving, at_rest_on })
            }
            Subject::Migration | Subject::Cluster(_) => None,
        }
    }

    fn step_lines(&self) -> Vec<String> {
        let words = |(what, state): &(String, StepState)| match state {
            StepState::Todo => None,
            StepState::Doing { waiting, .. } if waiting.is_empty() => Some(format!("  … {what}")),
            StepState::Doing { waiting, .. } => Some(format!("  … {what}: {waiting}")),
            StepState::Done { .. } => Some(format!("  ok {what}")),
            StepState::Stuck { why } => Some(format!("  !! {what}: {why}")),
        };
        let mut lines = vec![format!("run {}: {} to {}", self.run.run, self.run.kind, self.run.to)];
        lines.extend(self.run.steps.iter().filter_map(words));
        lines
    }

    /// The report, if the run has ended; `asked` is the run that the command started.
    fn report_if_ended(&self, asked: RunId) -> Option<RunReport> {
        let report = |class, summary: String, advice: String| {
            Some(RunReport { class, summary, advice, prepared: None, run: Some(self.run.clone()), rows: Vec::new() })
        };
        if !self.moving && self.run.run == asked && is_finished(self.run) {
            let rest = self.at_rest_on.map_or_else(String::new, |side| format!("; it is on {side}"));
            let done = if self.run.dry_run { "a dry run walked to the end" } else { "done" };
            return report(None, format!("{}: {done}{rest}", self.run.kind), String::new());
        }
        if let Some(SideState::NeedsOperator { why, advice }) = self.side_state {
            return report(Some(TroubleClass::Unknown), format!("needs an operator: {why}"), advice.clone());
        }
        if self.moving {
            return None;
        }
        let stuck = self.run.steps.iter().find_map(|(what, state)| match state {
            StepState::Stuck { why } => Some(format!("{what}: {why}")),
            _ => None,
        });
        let rest = self.at_rest_on.map_or_else(String::new, |side| format!("; it is on {side}"));
        let (summary, advice) = match (stuck, &self.run.because) {
            (Some(why), _) => (format!("failed: {why}{rest}"), "the journal says more"),
            (None, Some(why)) => (format!("{why}{rest}"), "the journal says more"),
            (None, None) => (format!("run {asked} was given up{rest}"), "the journal says why"),
        };
        report(Some(TroubleClass::Refused), summary, advice.into())
    }
}

/// How long a refusal is waited over in all, ms. `untold`: a row of its gate is not told yet.
fn patience_ms(refusal: &Refusal, untold: bool) -> u64 {
    match refusal.class {
        // Nobody mends it while this waits.
        TroubleClass::Unknown if refusal.lasting => 0,
        // A controller that stays would be told by watching on: so is this one.
        TroubleClass::Unknown if refusal.told_in_ms.is_some() => WATCHED_MS,
        // A cluster that stays away can be gone without: whoever asks wants to know soon.
        TroubleClass::Unknown if refusal.gate.is_some() => GATE_MS,
        TroubleClass::Unknown => READY_MS,
        _ if untold => GATE_MS,
        _ => 0,
    }
}

/// Whether a command says itself that it passes over a gate.
fn is_worded(command: &Command, held: &HeldGate) -> bool {
    let loses = matches!(command, Command::HardBack { green_only: GreenOnly::Lose, .. });
    // What is left out is named: nobody types a phrase here that would name it.
    let named = |o: &Override| held.gate != GateName::LeaveOut || held.names.iter().all(|n| o.names.contains(n));
    command.overrides().iter().any(|o| o.gate == held.gate && named(o)) || (loses && held.gate == GateName::Missing)
}

fn is_finished(run: &RunView) -> bool {
    run.steps.iter().all(|(_, state)| matches!(state, StepState::Done { .. }))
}

fn subject_name(subject: &Subject) -> String {
    match subject {
        Subject::Group(name) | Subject::Producer(name) => name.clone(),
        Subject::Cluster(side) => side.name().into(),
        Subject::Migration => String::new(),
    }
}

fn refuse_unconfirmed(given: Option<&str>, name: &str, title: &str) -> Refusal {
    let why = match given {
        None => format!("{title}: not confirmed"),
        Some(given) => format!("{title}: confirmed with {}, which is not its name", quoted_name(given)),
    };
    Refusal::refused(why, format!("add --yes={} to confirm it", shell_word(name)))
}

fn controller_gone() -> Refusal {
    Refusal::unknown("the controller has ended", "look at the journal before trying again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_watching_on_tells_is_waited_for_and_what_nothing_tells_is_not() {
        let unknown = || Refusal::unknown("whether loner reads orders", "wait");
        let readers = || unknown().with_gate(GateName::Readers);
        assert_eq!(patience_ms(&unknown(), false), READY_MS);
        assert_eq!(patience_ms(&readers(), false), GATE_MS, "of a share group nothing is told later");
        assert_eq!(patience_ms(&readers().told_in(Some(540_000)), false), WATCHED_MS);
        assert_eq!(patience_ms(&Refusal { lasting: true, ..readers().told_in(Some(1)) }, false), 0);
        let shut = Refusal::holds("a row", "mend it");
        assert_eq!((patience_ms(&shut, true), patience_ms(&shut, false)), (GATE_MS, 0));
    }
}

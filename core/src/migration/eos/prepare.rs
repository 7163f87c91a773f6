//! What a hard cutover would do: everything a confirm dialog shows, or why it can't be done now.

use std::collections::BTreeSet;

use super::gate::{ProducerCut, list_downstream};
use super::runbook::{hard_steps, worst_case_ms};
use super::seam::PartitionSeam;
use super::view::describe_green_only;
use super::{GreenOnly, HardGateRow, RowId};
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Actor, At, Side};
use crate::estate::{BrokerView, FlagState};
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, Subject, shell_word};
use crate::migration::facts::event::{Event, RunId, RunKind};
use crate::migration::facts::overrides::{GateName, HeldGate, PassedOver, phrase_over};
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::facts::stage::Stage;
use crate::migration::run::machine::{CONTROLLER, Machine};
use crate::migration::run::runbook;
use crate::migration::run::runbook::{Step, StepKind};
use crate::migration::run::steps::is_unresolved;
use crate::migration::tell::prepare::{capitals_of, passed_readers, plain_dialog};

impl Machine {
    pub(in crate::migration) fn prepare_hard(
        &self,
        command: &Command,
        name: &str,
        now: At,
    ) -> Result<Prepared, Refusal> {
        let plan = self.exactly_once_plan(name)?;
        match command {
            Command::HardCut { .. } => {
                self.check_no_run(name)?;
                if self.state.producer_rests_on(name) == Side::Green {
                    return Err(Refusal::refused(
                        format!("{name} is on green already", name = visible_name(name)),
                        "nothing to cut over",
                    ));
                }
                self.prepare_move(command, name, plan, RunKind::HardCut, now)
            }
            Command::HardBack { green_only, .. } => match self.hard_back_kind(name, *green_only)? {
                None => self.prepare_go_on(command, name),
                Some(RunKind::HardGiveBack) => Ok(self.prepare_hard_give_back(command, name, plan)),
                Some(kind) => self.prepare_move(command, name, plan, kind, now),
            },
            Command::Continue { .. } => self.prepare_go_on(command, name),
            Command::Complete { .. } => self.prepare_moved(command, name, plan, now),
            Command::Approve { .. } => self.prepare_approve(command, name, plan, now),
            _ => Err(Refusal::refused("it is no command of a hard cutover", "")),
        }
    }

    fn exactly_once_plan(&self, name: &str) -> Result<&ProducerSettings, Refusal> {
        let Some(plan) = self.settings.producers.get(name) else {
            return Err(Refusal::refused(
                format!("producer {name} is not in the plan", name = visible_name(name)),
                "add a [[producers]] entry for it",
            ));
        };
        if !plan.is_exactly_once() {
            return Err(Refusal::refused(
                format!(
                    "{name} is not transactional: it has no transactional_ids in the plan",
                    name = visible_name(name)
                ),
                "route it: blue, dual, green; or give its entry transactional_ids",
            ));
        }
        Ok(plan)
    }

    fn check_no_run(&self, name: &str) -> Result<(), Refusal> {
        match self.state.open_run(&Subject::Producer(name.to_owned())) {
            Some(run) => Err(Refusal::refused(
                format!("{} of {name} is under way (run {})", run.kind, run.id, name = visible_name(name)),
                "let it end, or roll back, hold or continue it",
            )),
            None => Ok(()),
        }
    }

    fn prepare_move(
        &self,
        command: &Command,
        name: &str,
        plan: &ProducerSettings,
        kind: RunKind,
        now: At,
    ) -> Result<Prepared, Refusal> {
        let to = if kind == RunKind::HardCut { Side::Green } else { Side::Blue };
        let overridden = overridden_rows(command)?;
        let rows = self.pass_hard_gate(name, to, &overridden, now)?;
        if matches!(command, Command::HardBack { green_only: GreenOnly::Carry, .. }) {
            self.check_carriable(name)?;
        }
        let gates = self.hard_gates(command, name, plan, &rows, now)?;
        let steps = hard_steps(kind, plan, command, to);
        // What is lost grows while it is read: the number is in the phrase, and holds when the step comes.
        let fixed = gates.iter().filter(|h| h.gate != GateName::Missing).map(HeldGate::phrase).collect::<Vec<_>>();
        let shown = visible_name(name);
        let phrase = phrase_move(to, name, &gates);
        let sight = self.rule_context(now);
        let run = self.state.open_run(&command.subject()).map_or("none".into(), |r| r.id.to_string());
        let facts = ProducerCut { sight: &sight, name, plan, to }.approval_facts();
        let title = match to {
            Side::Green => format!("Cut {shown} over to {} (exactly-once, hard)", capitals_of(to)),
            Side::Blue => format!("Roll {shown} back to {} (exactly-once, hard)", capitals_of(to)),
        };
        Ok(Prepared {
            title,
            no_return_after: runbook::no_return_after(kind, &steps),
            steps: steps.iter().map(Step::line).collect(),
            level: Level::Typed(phrase),
            way_back: match to {
                Side::Green => format!(
                    "roll back within {}: what green alone holds by then is carried to blue exactly once, or its loss is typed",
                    format_duration(plan.keep_blue_ms)
                ),
                Side::Blue => "cut over again".into(),
            },
            warnings: self.hard_warnings(command, name, plan, to, &gates, now),
            facts: format!("{facts}\ngates={}\nrun under way={run}{}", fixed.join(" "), passed_readers(&gates)),
            gates,
            rows,
            by_hand: commands_by_hand(plan, to, self.broker_addresses(to.other())),
            ..plain_dialog(command, String::new())
        })
    }

    /// What this confirmation passes over: rows by name, re-reads of coupled groups, and what only green holds.
    fn hard_gates(
        &self,
        command: &Command,
        name: &str,
        plan: &ProducerSettings,
        rows: &[HardGateRow],
        now: At,
    ) -> Result<Vec<HeldGate>, Refusal> {
        let mut gates = Vec::new();
        for over in command.overrides() {
            let row = rows.iter().find(|r| r.id.gate_name() == Some(over.gate));
            match row.and_then(|r| r.gate.why()) {
                Some(_) if over.gate == GateName::Readers => gates.extend(self.unknown_readers_gate(name, rows, now)),
                Some(why) => gates.push(HeldGate::new(over.gate, None, why.to_owned())),
                None => {}
            }
            if over.gate == GateName::ReRead {
                let limit = |g: &String| self.settings.groups.get(g).map_or(0, |g| g.max_re_read);
                let most = plan.coupled_groups().iter().map(limit).fold(0, u64::saturating_add);
                let why =
                    format!("{} may read up to {most} records again: duplicates", visible_names(plan.coupled_groups()));
                gates.push(HeldGate::new(over.gate, Some(most), why));
            }
        }
        if let Command::HardBack { green_only: GreenOnly::Lose, .. } = command {
            match (self.green_only(name), self.most_lost(name, now)) {
                // Nothing is there now, nor grows until the stop: no word is asked for.
                (Some(0), Some(0)) => {}
                (_, Some(most)) => {
                    let why = format!("at most {most} offsets that only green holds are LOST to whoever reads blue");
                    gates.push(HeldGate::new(GateName::Missing, Some(most), why));
                }
                _ => {
                    return Err(Refusal::unknown(
                        format!(
                            "what only green holds of {name} can't be told now: what would be lost is not known",
                            name = visible_name(name)
                        ),
                        "wait for a fresh look at green, or carry it back",
                    ));
                }
            }
        }
        Ok(gates)
    }

    fn hard_warnings(
        &self,
        command: &Command,
        name: &str,
        plan: &ProducerSettings,
        to: Side,
        gates: &[HeldGate],
        now: At,
    ) -> Vec<String> {
        let sight = self.rule_context(now);
        let mut warnings: Vec<String> = Vec::new();
        for held in gates {
            let over = command.overrides().iter().find(|o| o.gate == held.gate);
            let because = over.map(|o| format!(" ({})", o.reason)).unwrap_or_default();
            warnings.push(format!("this passes over the gate {}: {}{because}", held.gate, held.why));
        }
        let carries = matches!(command, Command::HardBack { green_only: GreenOnly::Carry, .. });
        warnings.push(format!(
            "nobody writes {} for about {}: drain, {} of standing still, the switch; at most {}{}",
            visible_names(&plan.topics),
            format_duration(plan.still_ms + 10_000),
            format_duration(plan.still_ms),
            format_duration(worst_case_ms(plan)),
            // How long that takes nobody has measured.
            if carries { ", and the time that carrying back takes" } else { "" },
        ));
        if plan.principal(to.other()).is_none() {
            warnings.push(format!(
                "the plan names no principal on {}: FENCED (current instances only), a restarted one is watched for and alarmed",
                to.other()
            ));
        }
        let readers = list_downstream(&sight, plan);
        if !readers.is_empty() {
            warnings.push(format!("{} read its topics: each is moved on the seam after this", visible_names(&readers)));
        }
        if let Command::HardBack { green_only, .. } = command {
            warnings.push(describe_green_only(*green_only, self.green_only(name)));
            warnings.extend(self.describe_written_behind(name));
            warnings.extend(ProducerCut { sight: &sight, name, plan, to }.describe_foreign());
        }
        if self.session.dry_run {
            warnings.push("dry run: nothing will be changed".into());
        }
        warnings
    }

    /// Undoing a cut before its switch needs no facts of the other side: it must always be possible.
    fn prepare_hard_give_back(&self, command: &Command, name: &str, plan: &ProducerSettings) -> Prepared {
        let run = self.state.open_run(&command.subject());
        let home = run.map_or(Side::Blue, |r| r.to.other());
        let steps = hard_steps(RunKind::HardGiveBack, plan, command, home);
        let name = visible_name(name);
        Prepared {
            steps: steps.iter().map(Step::line).collect(),
            level: Level::Typed(format!("{home} {name}")),
            facts: format!("run={}", run.map_or(0, |r| r.id)),
            way_back: "cut over again".into(),
            ..plain_dialog(command, format!("Give {name} back to {}", capitals_of(home)))
        }
    }

    fn prepare_go_on(&self, command: &Command, name: &str) -> Result<Prepared, Refusal> {
        let subject = Subject::Producer(name.to_owned());
        if let Some(mended) = self.prepare_mended(command, &subject) {
            return Ok(mended);
        }
        let run = self.state.open_run(&subject).filter(|r| r.needs.is_some());
        let Some(run) = run.filter(|r| r.kind != RunKind::Route) else {
            return Err(Refusal::refused(
                format!("nothing of {name} waits to be continued", name = visible_name(name)),
                "nothing to do",
            ));
        };
        let steps = self.steps_of(run);
        let quiet = steps.iter().position(|s| matches!(s.kind, StepKind::Quiet { .. })).unwrap_or(0);
        // What was proven before is proven again, up to the point of no silent return.
        let from = match self.before_switch(run).filter(|_| !is_unresolved(run)) {
            Some(quiet) => quiet,
            None if run.no_return => run.step,
            None => run.step.min(quiet),
        };
        let name = visible_name(name);
        Ok(Prepared {
            steps: steps.iter().skip(from).map(Step::line).collect(),
            no_return_after: runbook::no_return_after(run.kind, &steps).and_then(|n| n.checked_sub(from)),
            level: match command {
                Command::HardBack { .. } => Level::Typed(format!("blue {name}")),
                _ => Level::Key,
            },
            facts: format!("run={} step={}", run.id, run.step),
            ..plain_dialog(command, format!("Go on with {} of {name} to {}", run.kind, capitals_of(run.to)))
        })
    }

    fn prepare_moved(
        &self,
        command: &Command,
        name: &str,
        plan: &ProducerSettings,
        now: At,
    ) -> Result<Prepared, Refusal> {
        if let Some(over) = command.overrides().first() {
            return Err(Refusal::refused(
                format!("the gate {} is none of declaring a producer complete", over.gate),
                "leave it out here",
            ));
        }
        self.check_no_run(name)?;
        let state = self.state.producers.get(name);
        if let Some((why, advice)) = state.and_then(|p| p.alarm.clone()) {
            return Err(Refusal::holds(why, advice));
        }
        let Some(Stage::Soaking { since }) = state.map(|p| &p.rest) else {
            return Err(Refusal::refused(
                format!("{name} was not cut over, or is complete", name = visible_name(name)),
                "only what was cut over can be completed",
            ));
        };
        let left = since.plus(plan.keep_blue_ms).since(now);
        if left > 0 {
            return Err(Refusal::holds(
                format!(
                    "blue is kept for {} as the way back of {name}, {} left",
                    format_duration(plan.keep_blue_ms),
                    format_duration(left),
                    name = visible_name(name)
                ),
                "wait",
            ));
        }
        let title =
            format!("Declare {name} moved: blue is not kept as its way back any longer", name = visible_name(name));
        Ok(Prepared {
            level: Level::Key,
            warnings: vec![
                "ends the soak: who writes on the side that was left is not watched any more".to_owned(),
                format!("{} counts as moved for good: whoever waits for that may take blue away", visible_name(name)),
            ],
            way_back:
                "none: there is no undo, a soak is not opened again. A rollback by hand stays as long as blue is kept"
                    .to_owned(),
            ..plain_dialog(command, title)
        })
    }

    fn prepare_approve(
        &self,
        command: &Command,
        name: &str,
        plan: &ProducerSettings,
        now: At,
    ) -> Result<Prepared, Refusal> {
        if !plan.needs_approval {
            return Err(Refusal::refused(
                format!("the plan asks for no second person to cut {name} over", name = visible_name(name)),
                "second_person = true in its entry asks for one",
            ));
        }
        self.check_no_run(name)?;
        let sight = self.rule_context(now);
        let cut = ProducerCut { sight: &sight, name, plan, to: Side::Green };
        Ok(Prepared {
            level: Level::Key,
            rows: cut.rows_before_stop(worst_case_ms(plan)),
            facts: cut.approval_facts(),
            ..plain_dialog(
                command,
                format!("Agree to cutting {name} over to GREEN, as it stands now", name = visible_name(name)),
            )
        })
    }

    /// What was typed as the most that may be lost: it grows while a dialog is read, so any number counts that covers
    /// what only green holds now. It holds when the step comes.
    pub(in crate::migration) fn typed_loss(&self, command: &Command, gates: &[HeldGate], typed: &str) -> Option<u64> {
        let Command::HardBack { producer, green_only: GreenOnly::Lose, .. } = command else { return None };
        let lost = gates.iter().position(|h| h.gate == GateName::Missing && h.cost.is_some())?;
        let before = phrase_move(Side::Blue, producer, &gates[..lost]);
        let after = phrase_over(String::new(), &gates[lost + 1..]);
        let most = typed.trim().strip_prefix(&before)?.strip_prefix(" lose ")?.strip_suffix(&after)?.parse().ok()?;
        (self.green_only(producer)? <= most).then_some(most)
    }

    /// The second person is another one than who starts it.
    pub(in crate::migration) fn check_second_person(&self, command: &Command, actor: &Actor) -> Result<(), Refusal> {
        let Command::HardCut { producer, .. } = command else { return Ok(()) };
        let asked = self.settings.producers.get(producer).is_some_and(|p| p.needs_approval);
        let by = self.state.producers.get(producer).and_then(|p| p.approved.as_ref()).map(|a| &a.by);
        match by {
            Some(by) if asked && by.is_same_as(actor) => Err(Refusal::holds(
                format!("{by} agreed to it, and can't be both persons", by = visible_name(&by.text())),
                "another person starts it, or agrees to it",
            )),
            _ => Ok(()),
        }
    }

    /// What a hard rollback amounts to now; `None`: the run under way goes to blue already and only has to go on.
    pub(in crate::migration) fn hard_back_kind(
        &self,
        name: &str,
        green_only: GreenOnly,
    ) -> Result<Option<RunKind>, Refusal> {
        let Some(run) = self.state.open_run(&Subject::Producer(name.to_owned())) else {
            return match self.state.producer_rests_on(name) {
                Side::Green => Ok(Some(RunKind::HardBack)),
                Side::Blue => Err(Refusal::refused(
                    format!("{name} is on blue", name = visible_name(name)),
                    "there is nothing to roll back",
                )),
            };
        };
        match (run.kind, run.to) {
            (RunKind::HardCut, _) if run.no_return && !run.dry_run => Ok(Some(RunKind::HardBack)),
            (RunKind::HardCut, _) => Ok(Some(RunKind::HardGiveBack)),
            // What can't be carried may be said to be lost.
            (RunKind::HardBack, _) if green_only == GreenOnly::Lose && self.carry_waits(run) => {
                Ok(Some(RunKind::HardBack))
            }
            (RunKind::HardBack, _) | (RunKind::HardGiveBack, Side::Blue) if run.needs.is_some() => Ok(None),
            (RunKind::HardBack, _) | (RunKind::HardGiveBack, Side::Blue) => Err(Refusal::refused(
                format!("{name} is on its way back to blue", name = visible_name(name)),
                "wait, or hold it",
            )),
            (RunKind::HardGiveBack, Side::Green) if run.needs.is_some() => Ok(Some(RunKind::HardBack)),
            (RunKind::HardGiveBack, Side::Green) => Err(Refusal::refused(
                format!("{name} is being given back to green, where it came from", name = visible_name(name)),
                "let that end, then roll back",
            )),
            _ => Err(Refusal::refused(
                format!("{name} is not being moved", name = visible_name(name)),
                "let the run under way end first",
            )),
        }
    }

    /// What was written on blue past the seam by which its writers left it: groups that have gone to green never read it,
    /// and the seam back lies behind it. `None` where that is nothing, or can't be told.
    pub(super) fn describe_written_behind(&self, name: &str) -> Option<String> {
        let (_, seams) = self.seam_of(name, Side::Green)?;
        let ends = &self.estate.eos.blue.get(name)?.value()?.ends;
        let past = |s: &PartitionSeam| ends.get(&s.tp).map_or(0, |e| e.high_watermark.saturating_sub(s.source).max(0));
        let moved: Vec<&PartitionSeam> = seams.iter().filter(|s| past(s) > 0).collect();
        let count: i64 = moved.iter().map(|s| past(s)).fold(0, i64::saturating_add);
        let first = moved.first()?;
        Some(format!(
            "{count} offsets were written on blue after its writers had left it, first on {} from {}: groups that were \
             moved to green never read them",
            first.tp, first.source
        ))
    }

    /// Journals that a rollback leaves behind what was written on blue past the seam.
    pub(super) fn pass_over_written(&mut self, id: RunId, name: &str, now: At) {
        let Some(run) = self.state.runs.get(&id).filter(|r| r.kind == RunKind::HardBack) else { return };
        let by = run.actor.to_string();
        let Some(what) = self.describe_written_behind(name) else { return };
        let passed = PassedOver { gate: GateName::Missing, what, by, reason: String::new() };
        self.emit(CONTROLLER, Event::PassedOver { run: id, passed }, now);
    }

    /// Journals that somebody agrees, to what is true now.
    pub(in crate::migration) fn record_approval(&mut self, name: &str, actor: &Actor, now: At) {
        let Some(plan) = self.settings.producers.get(name) else { return };
        let sight = self.rule_context(now);
        let facts = ProducerCut { sight: &sight, name, plan, to: Side::Green }.approval_facts();
        self.emit(actor.clone(), Event::Approved { producer: name.to_owned(), facts }, now);
    }

    fn broker_addresses(&self, side: Side) -> String {
        let seen = self
            .estate
            .side(side)
            .value()
            .map(|v| v.brokers.values().take(3).map(BrokerView::address).collect::<Vec<_>>().join(","));
        shell_word(&seen.filter(|b| !b.is_empty()).unwrap_or_else(|| side.name().to_uppercase()))
    }
}

/// What is typed for a move: where it goes, its name, and a word for each gate that is passed over.
fn phrase_move(to: Side, name: &str, gates: &[HeldGate]) -> String {
    phrase_over(format!("{to} {}", visible_name(name)), gates)
}

/// Rows that are passed over by name, each with its reason.
fn overridden_rows(command: &Command) -> Result<BTreeSet<RowId>, Refusal> {
    for over in command.overrides() {
        if over.reason.trim().is_empty() {
            return Err(Refusal::refused(
                format!("to pass over the gate {} needs a reason", over.gate),
                "say why, for the journal (--reason TEXT)",
            ));
        }
        if !over.gate.for_hard_moves() {
            return Err(Refusal::refused(
                format!("the gate {} can't be passed over by a hard cutover", over.gate),
                "only window, coupled, permissions, readers and re-read can be",
            ));
        }
    }
    Ok(RowId::list_overridden(|gate| command.overrides().iter().any(|o| o.gate == gate)))
}

/// The same by hand, without secrets.
fn commands_by_hand(plan: &ProducerSettings, to: Side, brokers: String) -> Vec<String> {
    let from = to.other();
    let set = |flag: FlagState| match plan.flag_words.words_for(flag) {
        "" => format!("# set its flag to {flag}"),
        words => format!("# set its flag to {flag}: {words}"),
    };
    let mut lines = vec![set(FlagState::Off)];
    for id in plan.ids(from).iter().take(20) {
        let id = shell_word(id);
        lines.push(format!("kafka-transactions --bootstrap-server {brokers} describe --transactional-id {id}"));
        if let Some(principal) = plan.principal(from) {
            lines.push(format!(
                "kafka-acls --bootstrap-server {brokers} --add --deny-principal {} --operation Write --transactional-id {id}",
                shell_word(principal)
            ));
        }
    }
    for topic in plan.topics.iter().take(20) {
        let topic = shell_word(topic);
        lines.push(format!("kafka-get-offsets --bootstrap-server {brokers} --topic {topic}"));
    }
    lines.push("# fencing an id by hand: initialise it once (initTransactions) from anywhere".to_owned());
    lines.push(set(FlagState::only_on(to)));
    lines
}

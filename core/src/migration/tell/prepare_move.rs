//! What a move of a group would do, or why it can't be done now: cutting over, going back, setting offsets ahead.

use std::collections::{BTreeMap, BTreeSet};

use super::prepare::{capitals_of, plain_dialog};
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Side};
use crate::estate::{BrokerView, SwitchState};
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, shell_word};
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides::{Accepted, GateName, HeldGate, phrase_over};
use crate::migration::facts::stage::WayBack;
use crate::migration::rules::cost;
use crate::migration::rules::group;
use crate::migration::rules::group::PreflightFacts;
use crate::migration::rules::reads::Leave;
use crate::migration::rules::rollback;
use crate::migration::rules::slot;
use crate::migration::run::machine::Machine;
use crate::migration::run::runbook;
use crate::migration::soak::criteria::Metric;
use crate::offsets::reset_file;

/// What a move takes besides the time that commits have to stand still, ms: stop, translate, commit, start, join.
pub(in crate::migration) const PAUSE_MS: u64 = 5000;
/// Lines of plan.csv that a dialog carries at most.
const CSV_LINES: usize = 200;

impl Machine {
    pub(super) fn prepare_cut_over(&self, command: &Command, group: &str, now: At) -> Result<Prepared, Refusal> {
        self.check_nothing_under_way(group)?;
        if group::rests_on(self.state.groups.get(group).map(|g| &g.rest)) == Side::Green {
            return Err(Refusal::refused(
                format!("{group} is on green already", group = visible_name(group)),
                "nothing to cut over",
            ));
        }
        self.prepare_group(command, group, RunKind::CutOver, Side::Green, now)
    }

    pub(super) fn prepare_roll_back(&self, command: &Command, group: &str, now: At) -> Result<Prepared, Refusal> {
        self.rule_context(now).plan_entry(group)?;
        let Some(kind) = self.roll_back_kind(group, command.overrides())? else {
            return self.prepare_continue(command, group);
        };
        if kind == RunKind::GiveBack {
            return self.prepare_give_back(command, group, now);
        }
        if self.goes_blind(command, group, now)? {
            return self.prepare_blind(command, group, kind, now);
        }
        let lossy = command.overrides().iter().any(|o| o.gate == GateName::Missing);
        // Closed for loss is passed over like any loss; a group that would starve is refused by its preflight.
        if let (WayBack::Closed { why }, false) = (self.way_back(group, now), lossy) {
            return Err(Refusal::holds(
                format!("the way back is closed: {why}"),
                "replay what blue misses, or stay on green; or pass over it: --override missing --reason TEXT",
            )
            .with_gate(GateName::Missing));
        }
        self.prepare_group(command, group, kind, Side::Blue, now)
    }

    /// Undoing a cutover before its switch needs no facts of the other side: it must always be possible.
    fn prepare_give_back(&self, command: &Command, group: &str, now: At) -> Result<Prepared, Refusal> {
        let settings = self.rule_context(now).plan_entry(group)?;
        let steps = runbook::group_steps(RunKind::GiveBack, settings, Side::Blue, &[]);
        let group = visible_name(group);
        Ok(Prepared {
            title: format!("Give {group} back to BLUE"),
            steps: steps.iter().map(runbook::Step::line).collect(),
            level: Level::Typed(format!("blue {group}")),
            facts: format!("run={}", self.state.last_run_of(&command.subject()).map_or(0, |r| r.id)),
            way_back: "cut over again".into(),
            ..plain_dialog(command, String::new())
        })
    }

    pub(super) fn prepare_group(
        &self,
        command: &Command,
        group: &str,
        kind: RunKind,
        to: Side,
        now: At,
    ) -> Result<Prepared, Refusal> {
        let sight = self.rule_context(now);
        let settings = sight.plan_entry(group)?;
        self.check_moves_alone(group, kind)?;
        let mut names = BTreeSet::new();
        let leave = Leave::from_overrides(command.overrides(), &mut names);
        let mut facts = group::check_preflight(&sight, group, kind, to, &leave)?;
        if kind == RunKind::CutOver {
            slot::note_slot(&sight, group, &mut facts);
        }
        self.check_seam(group, kind, to, now)?;
        let gates = self.list_passed_gates(command, group, (kind, to), &facts, now)?;
        self.add_measured(command, group, to, &gates, now, &mut facts);
        if kind != RunKind::ResetOffsets {
            let still = group::still_needed(&sight, group, settings, to.other());
            facts.warnings.insert(
                0,
                format!(
                    "nobody consumes for about {} (commits must stand still for {})",
                    format_duration(still + PAUSE_MS),
                    format_duration(still)
                ),
            );
        }
        self.move_as_prepared(command, group, (kind, to), gates, facts, now)
    }

    /// The dialog of a run whose facts and gates are known.
    pub(in crate::migration) fn move_as_prepared(
        &self,
        command: &Command,
        group: &str,
        (kind, to): (RunKind, Side),
        gates: Vec<HeldGate>,
        mut facts: PreflightFacts,
        now: At,
    ) -> Result<Prepared, Refusal> {
        let settings = self.rule_context(now).plan_entry(group)?;
        let way_back = self.way_back(group, now);
        let accepted = cost::list_accepted(command, &gates);
        let steps = runbook::group_steps(kind, settings, to, &accepted);
        warn_of_gates(&accepted, &gates, &mut facts);
        self.digest_move(command, group, &gates, &mut facts);
        facts.digest.insert("limit", settings.max_re_read.to_string());
        if kind == RunKind::CutOver {
            let closed = matches!(way_back, WayBack::Closed { .. });
            // By its kind alone: its numbers change while the dialog is read.
            facts.digest.insert("way back", if closed { "closed" } else { "not closed" }.into());
            facts.warnings.extend(self.describe_comparison(group, now));
        }
        if self.session.dry_run {
            facts.warnings.push("dry run: nothing will be changed".into());
        }
        let by_hand = self.commands_for_group(command, group, kind, to, now);
        let (title, phrase) = entitle_move(command, group, kind, to);
        Ok(Prepared {
            title,
            no_return_after: runbook::no_return_after(kind, &steps),
            steps: steps.iter().map(runbook::Step::line).collect(),
            level: Level::Typed(phrase_over(phrase, &gates)),
            max_re_read: Some(settings.max_re_read),
            way_back: match kind {
                RunKind::CutOver => rollback::describe_way_back(&way_back),
                RunKind::RollBack => "cut over again".into(),
                _ => "the old offsets are in the journal".into(),
            },
            warnings: facts.warnings,
            gates,
            by_hand,
            facts: format_digest(&facts.digest),
            ..plain_dialog(command, String::new())
        })
    }

    /// Puts among the facts which gates are passed over, and where the group stands.
    fn digest_move(&self, command: &Command, group: &str, gates: &[HeldGate], facts: &mut PreflightFacts) {
        let phrases: Vec<String> = gates.iter().map(HeldGate::phrase).collect();
        facts.digest.insert("gates", phrases.join(" "));
        facts.digest.insert("stage", self.group_stage(group).word().into());
        let run = self.state.open_run(&command.subject()).map_or("none".into(), |r| r.id.to_string());
        facts.digest.insert("run under way", run);
    }

    /// What a soak's p99 will be compared with: it can be measured only before the group moves.
    fn describe_comparison(&self, group: &str, now: At) -> Option<String> {
        let criteria = &self.settings.groups.get(group)?.criteria;
        criteria.rules.iter().find(|r| r.metric == Metric::P99 && r.unmeasured.is_none())?;
        Some(match self.baseline(group, Metric::P99, now) {
            Some(baseline) => format!("its soak compares p99 with {}", baseline.describe_baseline()),
            None => "p99 was not measured on blue within the last hour: its soak can't pass without a baseline \
                     (see `cutover doctor`, wait for a sample, or name `baseline` in the plan)"
                .into(),
        })
    }

    /// The same by hand, without secrets: client properties are the reader's own.
    fn commands_for_group(&self, command: &Command, group: &str, kind: RunKind, to: Side, now: At) -> Vec<String> {
        let sight = self.rule_context(now);
        let Some(settings) = self.settings.groups.get(group) else { return Vec::new() };
        let brokers = self
            .estate
            .side(to)
            .value()
            .map(|v| v.brokers.values().take(3).map(BrokerView::address).collect::<Vec<_>>().join(","));
        let bootstrap = brokers.filter(|b| !b.is_empty()).unwrap_or_else(|| to.name().to_uppercase());
        let bootstrap = shell_word(&bootstrap);
        let id = shell_word(sight.id_on(group, to));
        let mut lines = Vec::new();
        let stop = settings.switch_words.words_for(SwitchState::Off);
        if kind != RunKind::ResetOffsets && !stop.is_empty() {
            lines.push(format!("# stop on {}: {stop}", to.other()));
        }
        lines.push(format!(
            "kafka-consumer-groups --bootstrap-server {bootstrap} --group {id} --reset-offsets --from-file plan.csv --execute"
        ));
        match self.measured_with_age(group, to, command.chosen(), now) {
            None => lines.push("# plan.csv has lines of topic,partition,offset; measure first to see them here".into()),
            Some((plan, age)) => {
                lines.push(format!("# plan.csv, topic,partition,offset, as measured {} ago:", format_duration(age)));
                let file = reset_file::format_lines(plan);
                let left = file.len().saturating_sub(CSV_LINES);
                lines.extend(file.into_iter().take(CSV_LINES));
                if left > 0 {
                    lines.push(format!("# and {left} more"));
                }
            }
        }
        lines
    }
}

/// Says of each gate that holds that it is passed over, before anything else.
fn warn_of_gates(accepted: &[Accepted], gates: &[HeldGate], facts: &mut PreflightFacts) {
    // Backwards, each put in front: so they stand as the phrase has them.
    for (accepted, held) in accepted.iter().zip(gates).rev() {
        let because = if accepted.reason.is_empty() { String::new() } else { format!(" ({})", accepted.reason) };
        facts.warnings.insert(0, format!("this passes over the gate {}: {}{because}", held.gate, held.why));
    }
}

/// The title of a move, and what is to be typed for it where no gate holds.
fn entitle_move(command: &Command, group: &str, kind: RunKind, to: Side) -> (String, String) {
    // What is to be typed is what is shown: a space at the end of a name can be neither seen nor typed.
    let group = visible_name(group);
    let (title, phrase) = match kind {
        RunKind::ResetOffsets => {
            (format!("Set the offsets of {group} on {}", capitals_of(to)), format!("offsets {to} {group}"))
        }
        RunKind::RollBack => (format!("Roll {group} back to {}", capitals_of(to)), format!("{to} {group}")),
        _ => (format!("Cut over {group} to {}", capitals_of(to)), format!("{to} {group}")),
    };
    match command.chosen() {
        Some(c) => (format!("{title} by {}", c.strategy), phrase),
        None => (title, phrase),
    }
}

/// Facts as text: a line each, so that what changed can be named.
fn format_digest(facts: &BTreeMap<&'static str, String>) -> String {
    facts.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("\n")
}

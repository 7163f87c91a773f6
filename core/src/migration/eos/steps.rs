//! Carrying out the steps of a hard cutover up to the seam: quiet, fenced, denied, still.

use std::collections::BTreeSet;

use super::gate::{ProducerCut, combine_hard_rows};
use super::runbook::{QUIET_MS, REPEATS};
use super::switch::describe_writer;
use super::{FencedId, GreenOnly, HardGateRow, RowId, denials_for};
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side};
use crate::estate::FlagState;
use crate::estate::exactly_once::EosLook;
use crate::migration::facts::command::{Command, Refusal, Subject};
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunId};
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::{GateName, HeldGate, PassedOver};
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::rules::drain::MIN_GAP_MS;
use crate::migration::rules::gate::Gate;
use crate::migration::run::machine::{CONTROLLER, Machine};
use crate::migration::run::runbook::{Step, StepKind};
use crate::migration::run::steps::{StepProgress, fail_step};

impl Machine {
    pub(in crate::migration) fn perform_hard(&mut self, id: RunId, step: &Step, now: At) -> StepProgress {
        let Subject::Producer(name) = self.state.runs[&id].subject.clone() else { return fail_step("no producer", "") };
        let Some(plan) = self.settings.producers.get(&name).cloned() else { return fail_step("not in the plan", "") };
        match step.kind {
            StepKind::Quiet { side } => self.wait_for_quiet(id, &name, &plan, step, side, now),
            StepKind::Fence { side } => self.fence_ids(id, &name, &plan, side, now),
            StepKind::Deny { side } => self.deny_writes(id, &name, &plan, side, now),
            StepKind::Still { side } => self.wait_for_still(id, &name, &plan, step, side, now),
            StepKind::Couple { to } => self.translate_coupled(id, &plan, step, to, now),
            StepKind::CoupleCommit { side } => self.commit_coupled(id, side, now),
            StepKind::Carry { from } => self.carry_records(id, &name, &plan, from, now),
            StepKind::Seam { to } => self.journal_seam(id, &name, &plan, to, now),
            StepKind::Allow { side } => self.allow_writes(id, &name, side, now),
            StepKind::First { side } => self.wait_for_first_commit(id, &name, &plan, step, side, now),
            StepKind::Left { side } => self.wait_for_left_still(id, &name, &plan, step, side, now),
            _ => fail_step("no step of a hard cutover", ""),
        }
    }

    /// The gate before anything stops, but for what was accepted. Returns what is passed over by that, by gate and why.
    pub(in crate::migration) fn pass_hard_gate(
        &self,
        name: &str,
        to: Side,
        overridden: &BTreeSet<RowId>,
        now: At,
    ) -> Result<Vec<HardGateRow>, Refusal> {
        let sight = self.rule_context(now);
        let Some(plan) = sight.settings.producers.get(name) else {
            return Err(Refusal::refused(
                format!("producer {name} is not in the plan", name = visible_name(name)),
                "add a [[producers]] entry for it",
            ));
        };
        sight.check_identities()?;
        let cut = ProducerCut { sight: &sight, name, plan, to };
        let rows = self.hard_rows(&cut);
        let shut = |r: &&HardGateRow| !(r.gate.passes() || (r.id.may_be_overridden() && overridden.contains(&r.id)));
        // What must change first speaks before what can't be told, and that before what only takes time.
        let rank = |r: &&HardGateRow| match r.gate {
            Gate::Fail { .. } => 0,
            Gate::Unknown { .. } => 1,
            _ => 2,
        };
        let Some(row) = rows.iter().filter(shut).min_by_key(rank) else { return Ok(rows) };
        let why = format!("{}: {}", row.what, row.gate.why().unwrap_or_default());
        let refusal = match row.gate {
            Gate::Fail { .. } => Refusal::refused(why, row.advice.clone()),
            Gate::Unknown { .. } => Refusal::unknown(why, row.advice.clone()).told_in(cut.told_in_ms(row.id)),
            _ => Refusal::holds(why, row.advice.clone()),
        };
        Err(match row.id.gate_name() {
            Some(gate) => refusal.with_gate(gate),
            None => refusal,
        })
    }

    /// The gate once more when the run begins, and what it passes over into the journal.
    pub(in crate::migration) fn perform_hard_preflight(
        &mut self,
        id: RunId,
        name: &str,
        now: At,
    ) -> Result<(), Refusal> {
        let run = &self.state.runs[&id];
        let (to, by, accepted) = (run.to, run.actor.to_string(), run.accepted.clone());
        let named = |row: &HardGateRow| accepted.iter().find(|a| Some(a.gate) == row.id.gate_name());
        let overridden = RowId::list_overridden(|gate| accepted.iter().any(|a| a.gate == gate));
        let carries = matches!(self.state.runs[&id].command, Command::HardBack { green_only: GreenOnly::Carry, .. });
        let rows = self.pass_hard_gate(name, to, &overridden, now)?;
        if carries {
            // Before the stop: after it the producer would stand still for records that nobody can carry.
            self.check_carriable(name)?;
        }
        // Who was not there when it was confirmed was passed over by nobody.
        if let Some(held) = self.unknown_readers_gate(name, &rows, now) {
            overrides::check_all_covered(&[held], &accepted)?;
        }
        for row in rows.iter().filter(|r| !r.gate.passes()) {
            let (Some(why), Some(a)) = (row.gate.why(), named(row)) else { continue };
            let what = format!("{}: {why}", row.what);
            let passed = PassedOver { gate: a.gate, what, by: by.clone(), reason: a.reason.clone() };
            self.emit(CONTROLLER, Event::PassedOver { run: id, passed }, now);
        }
        self.pass_over_written(id, name, now);
        Ok(())
    }

    /// The gate of groups outside the plan of which it can't be told whether they read its topics, by their names; `None`
    /// where there is none.
    pub(super) fn unknown_readers_gate(&self, name: &str, rows: &[HardGateRow], now: At) -> Option<HeldGate> {
        let why = rows.iter().find(|r| r.id == RowId::Strangers)?.gate.why()?.to_owned();
        let (sight, plan) = (self.rule_context(now), self.settings.producers.get(name)?);
        let names = ProducerCut { sight: &sight, name, plan, to: Side::Green }.find_unknown_readers().names();
        Some(HeldGate { names, ..HeldGate::new(GateName::Readers, None, why) })
    }

    /// The newest look at a producer on a side that was begun after `since`.
    pub(super) fn look_since(&self, name: &str, side: Side, since: At) -> Option<(&EosLook, At)> {
        match self.estate.eos[side].get(name)? {
            Observed::Known { value, at, .. } if *at > since => Some((value, *at)),
            _ => None,
        }
    }

    /// An effect that may be done again: until it is known to have been done, a bounded number of times.
    pub(super) fn repeat_effect(
        &mut self,
        id: RunId,
        now: At,
        make: impl FnOnce(&Self) -> Effect,
    ) -> Result<EffectResult, StepProgress> {
        let run = &self.state.runs[&id];
        let home = run.kind.gives_back();
        let tries = run.effects[run.fresh_from.min(run.effects.len())..].iter().filter(|e| e.step == run.step).count();
        // Taken: what a person said go on about is this effect, and not the next.
        let continued = std::mem::take(&mut self.live.entry(id).or_default().continued);
        match self.state.runs[&id].current_effect().map(|e| e.outcome.clone()) {
            Some(Some((Outcome::Done { result }, _))) => return Ok(result),
            Some(Some((Outcome::Failed { why }, _))) if !continued => {
                return Err(StepProgress::Fail(why.what, why.advice));
            }
            Some(Some((Outcome::Unknown { why }, _))) if tries >= REPEATS && !continued => {
                let what = format!("tried {tries} times, and nobody knows whether it was done: {}", why.what);
                return Err(StepProgress::Fail(what, why.advice));
            }
            _ => {}
        }
        for side in Side::BOTH {
            // Giving back must not wait for anybody.
            if let Some(t) = self.rule_context(now).identity_trouble(side).filter(|_| !home) {
                return Err(StepProgress::Help(t.what, t.advice));
            }
        }
        let effect = make(self);
        self.issue(id, effect, now);
        Err(StepProgress::EffectUnderWay)
    }

    /// What a person is asked to do whose flag this is.
    pub(super) fn describe_hand_flag(&self, id: RunId, name: &str, to: FlagState) -> String {
        let run = &self.state.runs[&id];
        let last = run.effects.iter().rev().find(|e| matches!(e.issued.effect, Effect::SetFlag { .. }));
        let asked =
            last.is_some_and(|e| matches!(e.outcome, Some((Outcome::Done { result: EffectResult::Nothing }, _))));
        let how = self.settings.producers.get(name).map(|p| p.flag_words.after_by_hand(to)).unwrap_or_default();
        if asked {
            format!("please set the flag of {name} to {to} by hand{how}; ", name = visible_name(name))
        } else {
            String::new()
        }
    }

    fn wait_for_quiet(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        step: &Step,
        side: Side,
        now: At,
    ) -> StepProgress {
        if self.state.runs[&id].dry_run {
            return StepProgress::Done;
        }
        let until = self.step_since(id).plus(step.timeout_ms.unwrap_or_default());
        let please = self.describe_hand_flag(id, name, FlagState::Off);
        self.feed_still(id, name, plan, side);
        // Between two transactions nothing is open either: one that is still stopping must not be fenced in its work.
        let needed = plan.still_ms.min(QUIET_MS);
        let still = &self.live.entry(id).or_default().still[0];
        let held = still.closed_since().zip(still.last_look()).map_or(0, |(since, last)| last.since(since));
        let why = match self.look_since(name, side, self.step_since(id)) {
            None => format!("a fresh look at {name} on {side}", name = visible_name(name)),
            Some((look, _)) => {
                let sight = self.rule_context(now);
                let settled = ProducerCut { sight: &sight, name, plan, to: side.other() }.check_settled();
                match (settled.gate.why(), describe_open_on(look, plan, side)) {
                    (Some(why), _) => why.to_owned(),
                    (None, Some(open)) => open,
                    (None, None) if held >= needed => return StepProgress::Done,
                    (None, None) => {
                        format!("the last of its transactions on {side}: none for {}", format_duration(held))
                    }
                }
            }
        };
        if now >= until {
            let limit = format_duration(step.timeout_ms.unwrap_or_default());
            return fail_step(
                format!("not quiet on {side} within {limit}: {why}"),
                "see why it does not end its transaction, or wait for its timeout; it is never ended silently",
            );
        }
        StepProgress::Wait(format!("{please}waiting for {why}"), Some(until))
    }

    fn fence_ids(&mut self, id: RunId, name: &str, plan: &ProducerSettings, side: Side, now: At) -> StepProgress {
        let (dry, ids) = (self.state.runs[&id].dry_run, plan.ids(side).to_vec());
        let effect = Effect::Fence { producer: name.to_owned(), side, ids: ids.clone() };
        match self.repeat_effect(id, now, |_| effect) {
            Err(next) => next,
            Ok(_) if dry => StepProgress::Done,
            Ok(EffectResult::Fenced { ids: fenced }) => {
                match ids.iter().find(|id| !fenced.iter().any(|f| f.id == **id)) {
                    None => StepProgress::Done,
                    Some(id) => fail_step(
                        format!("{id} was not fenced on {side}", id = visible_name(id)),
                        "see that it may be initialised from here",
                    ),
                }
            }
            Ok(_) => fail_step(format!("the fence on {side} brought no epochs"), ""),
        }
    }

    fn deny_writes(&mut self, id: RunId, name: &str, plan: &ProducerSettings, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let wanted = denials_for(plan, side);
        if wanted.is_empty() {
            return StepProgress::Done;
        }
        let dry = run.dry_run;
        if run.current_effect().is_none() {
            let stand = self.estate.eos[side].get(name).and_then(|o| o.value()?.denied.as_ref()?.as_told());
            // What stood before is not ours: it is not removed on the way back either.
            let new: Vec<_> = wanted.into_iter().filter(|a| stand.is_none_or(|stand| !stand.contains(a))).collect();
            if new.is_empty() {
                return StepProgress::Done;
            }
            let effect = Effect::Deny { producer: name.to_owned(), side, acls: new };
            return match self.repeat_effect(id, now, |_| effect) {
                Err(next) => next,
                Ok(_) => StepProgress::Done,
            };
        }
        // The same denials again, if it has to be repeated: the way back removes what was journalled.
        let Some(effect) = self.state.runs[&id].current_effect().map(|e| e.issued.effect.clone()) else {
            return StepProgress::Again;
        };
        match self.repeat_effect(id, now, |_| effect) {
            Err(next) => next,
            Ok(EffectResult::NotDenied { why }) if !dry => {
                let what =
                    format!("FENCED on {side} (current instances only), a restarted one is only watched for: {why}");
                self.emit(CONTROLLER, Event::Noticed { subject: Subject::Producer(name.to_owned()), what }, now);
                StepProgress::Done
            }
            Ok(_) => StepProgress::Done,
        }
    }

    /// Feeds the looks since the step began, at both sides.
    pub(super) fn feed_still(&mut self, id: RunId, name: &str, plan: &ProducerSettings, left: Side) {
        let since = self.step_since(id);
        // Several looks within the time that has to be still, as for a drain.
        let gap = self.settings.sample_gap_ms.min((plan.still_ms / 2).max(MIN_GAP_MS));
        for (n, side) in [left, left.other()].into_iter().enumerate() {
            let seen = match self.estate.eos[side].get(name) {
                Some(Observed::Known { value, at, .. }) if *at > since => Some((value.clone(), *at)),
                _ => None,
            };
            if let Some((look, at)) = seen {
                self.live.entry(id).or_default().still[n].note_look(&look, at, gap);
            }
        }
    }

    fn wait_for_still(
        &mut self,
        id: RunId,
        name: &str,
        plan: &ProducerSettings,
        step: &Step,
        side: Side,
        now: At,
    ) -> StepProgress {
        if self.state.runs[&id].dry_run {
            return StepProgress::Done;
        }
        let since = self.step_since(id);
        let until = since.plus(step.timeout_ms.unwrap_or_default());
        self.feed_still(id, name, plan, side);
        if Side::BOTH.into_iter().any(|s| self.look_since(name, s, since).is_none()) {
            let words = format!("fresh looks at {name} on both sides", name = visible_name(name));
            return match now < until {
                true => StepProgress::Wait(format!("waiting for {words}"), Some(until)),
                false => fail_step(format!("no {words}"), "see whether both clusters answer"),
            };
        }
        let rows = self.after_rows(name, now);
        // Nothing is passed over after the stop: each of these would lose or double records.
        match combine_hard_rows(&rows, &BTreeSet::new()) {
            Gate::Pass => StepProgress::Done,
            Gate::Fail { why } => fail_step(why, "find who still writes, and stop it"),
            Gate::Hold { why, .. } | Gate::Unknown { why } if now < until => StepProgress::Wait(why, Some(until)),
            Gate::Hold { why, .. } | Gate::Unknown { why } => {
                let open = self.look_since(name, side, since).and_then(|(look, _)| describe_open_on(look, plan, side));
                let shut = |id| rows.iter().any(|r| r.id == id && !r.gate.passes());
                let on =
                    [(RowId::TargetStill, side.other()), (RowId::Closed, side)].into_iter().find(|(id, _)| shut(*id));
                let who =
                    on.and_then(|(_, side)| describe_newest_on(self.look_since(name, side, since)?.0, plan, side));
                let what = open.or(who).unwrap_or(why);
                fail_step(
                    format!("not still within {}: {what}", format_duration(step.timeout_ms.unwrap_or_default())),
                    "find who still writes, and stop it",
                )
            }
        }
    }

    /// The gate after the stop, of a run that is past it.
    pub(super) fn after_rows(&self, name: &str, now: At) -> Vec<HardGateRow> {
        let Some(run) = self.state.open_run(&Subject::Producer(name.to_owned())).filter(|r| r.kind.moves_hard()) else {
            return Vec::new();
        };
        let steps = self.steps_of(run);
        let proves = |s: &Step| {
            use StepKind as K;
            matches!(s.kind, K::Quiet { .. } | K::Fence { .. } | K::Deny { .. } | K::Still { .. })
        };
        let stopped = steps.get(run.step).is_some_and(|s| {
            !matches!(s.kind, StepKind::Preflight) && !matches!(s.kind, StepKind::Flag { to: FlagState::Off })
                // Behind the point of no silent return only while it is proven once more.
                && (!run.no_return || proves(s))
        });
        let (Some(plan), true) = (self.settings.producers.get(name), stopped) else {
            return Vec::new();
        };
        let sight = self.rule_context(now);
        let nothing = Default::default();
        let still = self.live.get(&run.id).map_or(&nothing, |l| &l.still);
        let fenced = fenced_by(run);
        ProducerCut { sight: &sight, name, plan, to: run.to }.rows_after_stop(
            [&still[0], &still[1]],
            &fenced,
            plan.still_ms,
        )
    }
}

/// The ids that a run has fenced, as it was told.
pub(super) fn fenced_by(run: &crate::migration::facts::state::Run) -> Vec<FencedId> {
    let last = run.effects.iter().rev().find_map(|e| match &e.outcome {
        Some((Outcome::Done { result: EffectResult::Fenced { ids } }, _)) => Some(ids.clone()),
        _ => None,
    });
    last.unwrap_or_default()
}

/// Who wrote last on a side, in words.
fn describe_newest_on(look: &EosLook, plan: &ProducerSettings, side: Side) -> Option<String> {
    let newest = |tp| look.newest_writer(tp).map(|w| (w.last_timestamp, tp));
    let (_, tp) = look.ends.keys().filter_map(newest).max()?;
    Some(format!("{tp} is written on {side}{}", describe_writer(look, tp, plan.ids(side))))
}

/// A partition on which something is open, and whose it is, in words.
fn describe_open_on(look: &EosLook, plan: &ProducerSettings, side: Side) -> Option<String> {
    // Of no ends all are closed.
    if look.ends.is_empty() {
        return Some(format!("the ends of its topics on {side}"));
    }
    let (tp, ends) = look.ends.iter().find(|(_, e)| !e.is_closed())?;
    let open = look.writers.get(tp).and_then(|w| w.as_told()?.iter().find(|w| w.open_from.is_some()));
    let who = open.map_or("whose can't be told".to_owned(), |w| {
        let id = look
            .id_of(w.producer_id, plan.ids(side))
            .map(|id| format!("{id}, ", id = visible_name(id)))
            .unwrap_or_default();
        format!("{id}pid {} epoch {}", w.producer_id, w.epoch)
    });
    Some(format!(
        "the end of a transaction on {tp} on {side}, open from offset {} of {} ({who})",
        ends.stable, ends.high_watermark
    ))
}

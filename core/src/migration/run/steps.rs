//! Carrying out a runbook: one step after the other, each until it is proven, failed, or waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use super::green_unseen as blind;
use super::green_unseen::is_blind;
use super::machine::{CONTROLLER, LiveRun, Machine, RunStart, StepWait};
use super::runbook;
use super::runbook::{FRESH_MS, Step, StepKind};
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, Trouble};
use crate::estate::SwitchState;
use crate::migration::eos;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunEnd, RunId, RunKind};
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::state::{JournalledEffect, Run};
use crate::migration::rules::app;
use crate::migration::rules::drain::{DrainBounds, DrainLook, MIN_GAP_MS, committed_offsets};
use crate::migration::rules::group;
use crate::migration::rules::reads::{Leave, RunTopics};
use crate::migration::rules::route;

/// What a step says when asked to go on.
pub(in crate::migration) enum StepProgress {
    /// It is proven.
    Done,
    /// Nothing to do but wait; a timeout acts at `until`.
    Wait(String, Option<At>),
    /// The executor has its effect: nothing to do but wait for the outcome.
    EffectUnderWay,
    /// Look again at once: something was written.
    Again,
    /// It can't be done.
    Fail(String, String),
    /// Neither going on nor going back is safe without a person.
    Help(String, String),
}

pub(in crate::migration) fn fail_step(why: impl Into<String>, advice: impl Into<String>) -> StepProgress {
    StepProgress::Fail(why.into(), advice.into())
}

impl Machine {
    /// The runbook of a run. Settings that are gone from the plan leave no steps: the run can't go on.
    pub(in crate::migration) fn steps_of(&self, run: &Run) -> Vec<Step> {
        match (&run.subject, &run.command) {
            (Subject::Group(g), _) => {
                let steps = |g| runbook::group_steps(run.kind, g, run.to, &run.accepted);
                self.settings.groups.get(g).map(steps).unwrap_or_default()
            }
            (Subject::Producer(p), Command::Route { to, .. }) if run.kind == RunKind::Route => {
                self.settings.producers.get(p).map(|p| runbook::route_steps(p, *to)).unwrap_or_default()
            }
            (Subject::Producer(p), command) => {
                let steps = |p| eos::runbook::hard_steps(run.kind, p, command, run.to);
                self.settings.producers.get(p).map(steps).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    pub(in crate::migration) fn advance_all(&mut self, now: At) {
        if self.session.read_only.is_some() {
            return;
        }
        let open: Vec<RunId> = self.state.runs.values().filter(|r| r.is_open()).map(|r| r.id).collect();
        for id in open {
            self.advance_run(id, now);
        }
    }

    fn advance_run(&mut self, first: RunId, now: At) {
        let mut id = first;
        // Each round writes an entry or leaves; the bound is far above the longest runbook and its give-back.
        for _ in 0..64 {
            match self.advance_once(id, now) {
                Some(next) => id = next,
                None => return,
            }
        }
    }

    /// One round of a run. Returns the run that goes on at once, this one or its heir; `None`: nothing more is to be done
    /// now.
    fn advance_once(&mut self, id: RunId, now: At) -> Option<RunId> {
        let run = self.state.runs.get(&id).filter(|r| r.is_open() && r.needs.is_none())?;
        // A rehearsal that was left open is no real session's to go on with, nor a real run a rehearsal's.
        if self.is_replaced(run) || run.dry_run != self.session.dry_run {
            return None;
        }
        let steps = self.steps_of(run);
        if steps.is_empty() {
            let (why, advice) = ("the plan does not list it any more", "put it back into the plan, then continue");
            self.ask_for_help(id, why, advice, now);
            return None;
        }
        let (begun, held) = (run.begun, self.state.holder(&run.subject).cloned());
        let Some(step) = steps.get(run.step).cloned() else {
            self.finish_run(id, now);
            return None;
        };
        match self.wait_for_effect(id, &step, now) {
            None => {}
            Some(StepProgress::Fail(why, advice)) => return self.handle_failure(id, &why, &advice, now),
            Some(_) => return None,
        }
        let counted = self.state.runs.get(&id).is_some_and(|run| self.firing.counts_down(run));
        if let Some((words, until)) = self.advance_interrupted(id, held.is_some(), now) {
            self.note_wait(id, StepWait::Told(words), Some(until));
            return None;
        }
        // It went on: from an earlier step, if what it had proven is proven anew.
        if counted && held.is_none() {
            return Some(id);
        }
        if let Some((by, why)) = held {
            self.live.entry(id).or_default().paused = true;
            let words = format!("held by {by}: {why}", by = visible_name(&by));
            self.note_wait(id, StepWait::Told(words), None);
            return None;
        }
        if self.end_pause(id, now) {
            return Some(id);
        }
        if begun.is_none() {
            self.begin_step(id, run_step(&self.state.runs[&id]), now);
            return Some(id);
        }
        self.advance_step(id, &step, now)
    }

    /// Nobody holds the run. Returns whether it went back to a step, as it was held until now.
    fn end_pause(&mut self, id: RunId, now: At) -> bool {
        let live = self.live.entry(id).or_insert_with(|| LiveRun { since: now, ..LiveRun::default() });
        if !std::mem::take(&mut live.paused) {
            return false;
        }
        // The time of a hold is none of the step's.
        live.since = now;
        self.prove_again(id, now)
    }

    /// Asks the step to go on, and does what follows from its answer. Returns the run that goes on at once, if one does.
    fn advance_step(&mut self, id: RunId, step: &Step, now: At) -> Option<RunId> {
        match self.perform_step(id, step, now) {
            StepProgress::Again => Some(id),
            StepProgress::Done => {
                let step = run_step(&self.state.runs[&id]);
                self.emit(CONTROLLER, Event::StepDone { run: id, step }, now);
                // What was watched in one step proves nothing in the next.
                self.live.insert(id, LiveRun { since: now, ..LiveRun::default() });
                Some(id)
            }
            StepProgress::Wait(words, until) => {
                self.note_wait(id, StepWait::Told(words), until);
                None
            }
            StepProgress::EffectUnderWay => {
                self.note_wait(id, StepWait::Effect, None);
                None
            }
            StepProgress::Help(why, advice) => {
                self.ask_for_help(id, &why, &advice, now);
                None
            }
            StepProgress::Fail(why, advice) => self.handle_failure(id, &why, &advice, now),
        }
    }

    /// An effect that the executor has is waited for: whoever takes over waits too. Only a translation, which changes
    /// nothing, may be given up: a stopped group waits for it.
    fn wait_for_effect(&mut self, id: RunId, step: &Step, now: At) -> Option<StepProgress> {
        let key = self.outbox.effect_of(id)?.to_owned();
        let until = match step.kind {
            StepKind::Translate { .. } | StepKind::Couple { .. } => {
                step.timeout_ms.map(|ms| self.step_since(id).plus(ms))
            }
            _ => None,
        };
        if until.is_none_or(|until| now < until) {
            self.note_wait(id, StepWait::Effect, until);
            return Some(StepProgress::Again);
        }
        // Its answer, should it come, is then of a key that nobody waits for.
        self.outbox.end_effect(&key);
        let why = format!(
            "the translation took longer than {}",
            crate::base::format_duration(step.timeout_ms.unwrap_or_default())
        );
        let outcome = Outcome::Unknown { why: Trouble::new(why.clone(), "") };
        self.emit(CONTROLLER, Event::Result { run: id, key, outcome }, now);
        Some(fail_step(why, "see whether both clusters answer"))
    }

    fn note_wait(&mut self, id: RunId, waiting: StepWait, until: Option<At>) {
        let live = self.live.entry(id).or_default();
        (live.waiting, live.until) = (waiting, until);
    }

    pub(in crate::migration) fn begin_step(&mut self, id: RunId, step: usize, now: At) {
        self.emit(CONTROLLER, Event::StepStarted { run: id, step }, now);
        self.live.insert(id, LiveRun { since: now, ..LiveRun::default() });
    }

    fn finish_run(&mut self, id: RunId, now: At) {
        self.emit(CONTROLLER, Event::RunEnded { run: id, end: RunEnd::Done }, now);
        self.live.remove(&id);
    }

    pub(in crate::migration) fn ask_for_help(&mut self, id: RunId, why: &str, advice: &str, now: At) {
        let (why, advice) = (why.to_string(), advice.to_string());
        // What was watched so far proves nothing once a person has had time to change it.
        let rogues = self.live.remove(&id).map(|live| live.rogues).unwrap_or_default();
        self.emit(CONTROLLER, Event::NeedsOperator { run: id, why, advice, rogues }, now);
    }

    /// After a person said go on: where the run goes on from.
    pub(in crate::migration) fn rewind_run(&mut self, id: RunId, now: At) {
        let Some(run) = self.state.runs.get(&id).filter(|r| r.is_open()) else { return };
        let (step, begun) = (run.step, run.begun.is_some());
        if is_unresolved(run) {
            self.live.insert(id, LiveRun { since: now, continued: true, ..LiveRun::default() });
        } else if let Some(quiet) = self.before_switch(run) {
            self.begin_step(id, quiet, now);
        } else if !self.prove_again(id, now) && begun {
            self.begin_step(id, step, now);
        }
    }

    /// After a hold or an interruption, however long: what was proven before it proves nothing now. Before the first
    /// effect the facts are checked again; between the drain and the point of no return the group is drained and
    /// translated again. An effect that nobody knows the end of is looked at first. Returns whether the run went back.
    pub(in crate::migration) fn prove_again(&mut self, id: RunId, now: At) -> bool {
        let Some(run) = self.state.runs.get(&id).filter(|r| r.is_open() && !r.no_return) else { return false };
        let evidence =
            |s: &Step| matches!(s.kind, StepKind::Drain { .. } | StepKind::Quiet { .. } | StepKind::Recall { .. });
        let drain = self.steps_of(run).iter().position(evidence);
        let back_to = match drain {
            _ if run.effects.is_empty() => 0,
            Some(drain) => drain,
            None => return false,
        };
        if run.step <= back_to {
            return false;
        }
        if is_unresolved(run) {
            self.live.entry(id).or_default().continued = true;
            return false;
        }
        self.begin_step(id, back_to, now);
        true
    }

    /// What a failed step leads to. Returns the run that goes on, if one does at once.
    fn handle_failure(&mut self, id: RunId, why: &str, advice: &str, now: At) -> Option<RunId> {
        let run = &self.state.runs[&id];
        let touched = run.effects.iter().any(JournalledEffect::may_have_changed);
        let moving = run.kind.moves();
        // A run that took over from another one can't just end: the group is not where it rested before either.
        let elsewhere = run.kind.gives_back() || (moving && run.replaces.is_some());
        let unchanged = !touched && !elsewhere;
        if run.dry_run || unchanged {
            let words = if run.dry_run { format!("dry run: it would stop here: {why}") } else { why.to_string() };
            let subject = run.subject.clone();
            let what = if advice.is_empty() { words.clone() } else { format!("{words}; {advice}") };
            self.emit(CONTROLLER, Event::Noticed { subject, what }, now);
            self.emit(CONTROLLER, Event::RunEnded { run: id, end: RunEnd::Failed(words) }, now);
            self.live.remove(&id);
            return None;
        }
        // Without green there is nothing to give back to.
        if moving && touched && !run.no_return && !is_blind(run) {
            let (subject, home) = (run.subject.clone(), run.to.other());
            let what = format!(
                "given back to {home}: {why}{}",
                if advice.is_empty() { String::new() } else { format!("; {advice}") }
            );
            let (kind, command) = match &subject {
                Subject::Producer(p) => (RunKind::HardGiveBack, Command::hard_back(p, eos::GreenOnly::Carry)),
                _ => (RunKind::GiveBack, Command::roll_back(run.group().unwrap_or_default())),
            };
            self.emit(CONTROLLER, Event::Noticed { subject, what }, now);
            let accepted = Vec::new();
            return Some(
                self.start_run(RunStart { kind, command: &command, actor: &CONTROLLER, typed: "", accepted }, now),
            );
        }
        let advice = match (moving, advice.is_empty()) {
            (true, true) => "continue, or roll back".to_string(),
            (true, false) => format!("{advice}; then continue, or roll back"),
            (false, true) => "continue when that is mended".to_string(),
            (false, false) => format!("{advice}; then continue"),
        };
        self.ask_for_help(id, why, &advice, now);
        None
    }

    fn perform_step(&mut self, id: RunId, step: &Step, now: At) -> StepProgress {
        match step.kind {
            StepKind::Preflight => self.perform_preflight(id, now),
            StepKind::Settle => self.wait_for_settled(id),
            StepKind::Stop => self.set_switch(id, step, now),
            StepKind::Drain { side } => self.wait_for_drain(id, step, side, now),
            StepKind::Translate { to } => self.translate_group(id, step, to, now),
            StepKind::Recall { .. } => self.recall_offsets(id, now),
            StepKind::Commit { side } => self.commit_offsets(id, side, now),
            StepKind::Restore { side } => self.restore_offsets(id, side, now),
            StepKind::Start { side } => match self.ready_to_start(id, side, now) {
                StepProgress::Done => self.set_switch(id, step, now),
                other => other,
            },
            StepKind::Stable { side } => self.wait_for_stable(id, step, side, now),
            StepKind::Flag { to } => self.set_flag(id, to, now),
            StepKind::Writing { to } => self.wait_for_writing(id, step, to, now),
            StepKind::Quiet { .. }
            | StepKind::Fence { .. }
            | StepKind::Deny { .. }
            | StepKind::Still { .. }
            | StepKind::Couple { .. }
            | StepKind::CoupleCommit { .. }
            | StepKind::Carry { .. }
            | StepKind::Seam { .. }
            | StepKind::Allow { .. }
            | StepKind::First { .. }
            | StepKind::Left { .. } => self.perform_hard(id, step, now),
        }
    }

    pub(in crate::migration) fn step_since(&self, id: RunId) -> At {
        // Of a run that is not live no look counts as seen since.
        self.live.get(&id).map_or(At(i64::MAX), |l| l.since)
    }

    fn wait_for_settled(&self, id: RunId) -> StepProgress {
        match self.state.run_chain(id).skip(1).any(|r| self.outbox.effect_of(r.id).is_some()) {
            true => StepProgress::Wait("waiting until the running effect has ended".into(), None),
            false => StepProgress::Done,
        }
    }

    fn perform_preflight(&mut self, id: RunId, now: At) -> StepProgress {
        if let wait @ StepProgress::Wait(..) = self.wait_for_settled(id) {
            return wait;
        }
        let run = &self.state.runs[&id];
        let mut decided = None;
        let checked = match (&run.subject, &run.command) {
            (Subject::Producer(p), Command::Route { to, overrides, .. }) => {
                let routable = route::check_route(&self.rule_context(now), p, *to, overrides);
                routable.and_then(|r| overrides::check_all_covered(&r.gates, &run.accepted))
            }
            (Subject::Producer(p), _) => {
                let p = p.clone();
                self.perform_hard_preflight(id, &p, now)
            }
            (Subject::Group(g), _) if is_blind(run) => blind::blind_facts(&self.rule_context(now), g).map(|_| ()),
            (Subject::Group(g), _) => {
                let accepted = run.accepted.iter().filter(|a| a.gate == GateName::LeaveOut);
                let names: BTreeSet<String> = accepted.flat_map(|a| a.names.iter().cloned()).collect();
                let checked =
                    group::check_preflight(&self.rule_context(now), g, run.kind, run.to, &Leave::Named(&names));
                checked.and_then(|facts| {
                    overrides::check_all_covered(&facts.gates, &run.accepted)?;
                    let settings = self.settings.groups.get(g);
                    let every =
                        settings.and_then(|s| group::commit_interval(&self.rule_context(now), g, s, run.to.other()));
                    let decided_at_first = run.reading.as_ref().and_then(|r| r.commits_every_ms);
                    // A second preflight may follow a restart, which forgets what was observed.
                    let commits_every_ms = every.max(decided_at_first);
                    decided = Some(RunTopics { topics: facts.topics, left: facts.left, commits_every_ms });
                    self.check_seam(g, run.kind, run.to, now)
                })
            }
            _ => return fail_step("a run without a subject", ""),
        };
        let until = self.step_since(id).plus(FRESH_MS);
        match checked {
            Ok(()) => {
                let known = self.state.runs[&id].reading.clone();
                if let Some(reading) = decided.filter(|reading| Some(reading) != known.as_ref()) {
                    self.emit(CONTROLLER, Event::Reading { run: id, reading }, now);
                }
                StepProgress::Done
            }
            Err(r) if r.is_unknown() && now < until => StepProgress::Wait(r.why, Some(until)),
            Err(r) => StepProgress::Fail(r.why, r.advice),
        }
    }

    /// Sets the switch and holds the answer against what was asked.
    fn set_switch(&mut self, id: RunId, step: &Step, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let (Some(group), Some(to)) = (run.group().map(str::to_string), runbook::switch_of(step.kind)) else {
            return fail_step("no switch to set", "");
        };
        let dry = run.dry_run;
        match self.ensure_effect(id, now, |_, _| Ok(Effect::SetSwitch { group: group.clone(), to })) {
            Err(next) => next,
            Ok(EffectResult::Switch { state }) if state == to || dry => StepProgress::Done,
            Ok(EffectResult::Switch { state }) => {
                fail_step(format!("the switch reads {state} after it was set to {to}"), "find out who else sets it")
            }
            // A person was asked: what follows is believed only as it is observed.
            Ok(_) => StepProgress::Done,
        }
    }

    /// Whether the switch of this run is a person, who can't be read back.
    fn is_switched_by_hand(run: &Run) -> bool {
        let last = run.effects.iter().rev().find(|e| matches!(e.issued.effect, Effect::SetSwitch { .. }));
        last.is_some_and(|e| matches!(e.outcome, Some((Outcome::Done { result: EffectResult::Nothing }, _))))
    }

    pub(in crate::migration) fn describe_hand_switch(&self, id: RunId, to: SwitchState, side: Side) -> String {
        let run = &self.state.runs[&id];
        let Some(group) = run.group().filter(|_| Self::is_switched_by_hand(run)) else { return String::new() };
        let doing = if to == SwitchState::Off { "stop" } else { "start" };
        let how = self.settings.groups.get(group).map(|g| g.switch_words.after_by_hand(to)).unwrap_or_default();
        format!("please {doing} {group} on {side} by hand{how}; ", group = visible_name(group))
    }

    fn wait_for_drain(&mut self, id: RunId, step: &Step, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        if run.dry_run {
            return StepProgress::Done;
        }
        let Some(group) = run.group().map(str::to_string) else { return fail_step("no group", "") };
        let Some(settings) = self.settings.groups.get(&group) else { return fail_step("not in the plan", "") };
        let known = run.reading.as_ref().and_then(|r| r.commits_every_ms).unwrap_or(0).saturating_mul(2);
        let needed = group::still_needed(&self.rule_context(now), &group, settings, side).max(known);
        let by_hand = Self::is_switched_by_hand(run);
        let nobody = Observed::not_yet();
        // Without a look yet it has to be waited for: only of a switch by hand there never is one.
        let switch = (!by_hand).then(|| self.estate.switches.get(&group).unwrap_or(&nobody));
        let there = self.rule_context(now).id_on(&group, side).to_string();
        let seen = self.estate.group(side, &there);
        let view = seen.and_then(|s| s.view);
        let alone = view.is_some_and(|view| app::is_alone(&self.rule_context(now), &group, side, view));
        // Several looks within the time that has to be still, however patient the plan is with holes elsewhere.
        let gap = self.settings.sample_gap_ms.min((needed / 2).max(MIN_GAP_MS));
        let bounds = DrainBounds { gap_ms: gap, switch_age_ms: self.settings.stale_after_ms };
        let live = self.live.entry(id).or_default();
        if let Some(seen) = seen {
            if seen.view.is_none() && seen.at >= live.since {
                let stood: Vec<String> = live.drain.stood().iter().map(|(tp, o)| format!("{tp} {o}")).collect();
                return self.handle_deleted_group(&group, &there, side, &stood, now);
            }
            live.drain.feed(&DrainLook { at: seen.at, view: seen.view, alone, switch }, live.since, bounds);
        }
        if let Some(proof) = live.drain.proof(side, needed) {
            self.emit(CONTROLLER, Event::Drained { run: id, proof }, now);
            return StepProgress::Done;
        }
        let words = live.drain.describe_wait(needed);
        let until = live.since.plus(step.timeout_ms.unwrap_or_default());
        if now >= until {
            let limit = crate::base::format_duration(step.timeout_ms.unwrap_or_default());
            return fail_step(format!("not drained on {side} within {limit}: {words}"), "stop what still runs there");
        }
        StepProgress::Wait(format!("{}{words}", self.describe_hand_switch(id, SwitchState::Off, side)), Some(until))
    }

    /// The group was deleted while it drained, and its offsets with it. Where it stood goes into the journal; a start
    /// without offsets would be at its `auto.offset.reset`, so nothing is started by itself.
    fn handle_deleted_group(
        &mut self,
        group: &str,
        there: &str,
        side: Side,
        stood: &[String],
        now: At,
    ) -> StepProgress {
        let there = visible_name(there);
        let why = format!("group {there} was deleted on {side}, and its offsets with it");
        if stood.is_empty() {
            let advice =
                "set its offsets there again before anything starts it, or auto.offset.reset decides where it starts";
            return StepProgress::Help(why, advice.into());
        }
        let what = format!("{there} was deleted on {side}; it stood at {}", stood.join(", "));
        self.emit(CONTROLLER, Event::Noticed { subject: Subject::Group(group.into()), what }, now);
        let advice = format!(
            "set them again before anything starts it, or auto.offset.reset decides where it starts; it stood at {}{}",
            stood[..stood.len().min(3)].join(", "),
            if stood.len() > 3 { ", the rest is in the journal" } else { "" },
        );
        StepProgress::Help(why, advice)
    }

    /// Right before the other side is started: the drained side still stands, and the journal says so before it happens.
    fn ready_to_start(&mut self, id: RunId, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        // Back home nothing is asked; once the switch was told, a group that is found at work is what was wanted.
        if run.dry_run || run.kind == RunKind::GiveBack || run.current_effect().is_some() {
            return StepProgress::Done;
        }
        let Some(group) = run.group().map(str::to_string) else { return fail_step("no group", "") };
        let (passed, from) = (run.no_return, side.other());
        let blind = is_blind(run);
        if let Some(t) = Side::BOTH.into_iter().find_map(|s| self.rule_context(now).identity_trouble(s)) {
            return StepProgress::Help(t.what, t.advice);
        }
        let not_yet = match blind {
            true => self.runs_there(id, &group, from, now),
            false => self.still_stands(id, &group, from, now),
        };
        if let Some(next) = not_yet {
            return next;
        }
        if let Err(next) = self.check_commits_stand(id, &group, side, now) {
            return next;
        }
        if !passed {
            self.emit(CONTROLLER, Event::PointOfNoReturn { run: id }, now);
        }
        StepProgress::Done
    }

    /// A side that came back into sight with the group at work on it; what comes of it.
    fn runs_there(&self, id: RunId, group: &str, from: Side, now: At) -> Option<StepProgress> {
        let sight = self.rule_context(now);
        let view = sight.fresh_group(group, from).ok().flatten().filter(|view| !group::is_empty(view))?;
        let what = format!(
            "{from} can be seen again, and {group} runs there with {} members",
            view.members.len(),
            group = visible_name(group)
        );
        let until = self.step_since(id).plus(FRESH_MS);
        Some(match now < until {
            true => StepProgress::Wait(what, Some(until)),
            false => StepProgress::Help(what, format!("stop it on {from}, then continue: it would run on both sides")),
        })
    }

    /// Whether the drained side stands as it was proven; if not, what comes of it.
    fn still_stands(&self, id: RunId, group: &str, from: Side, now: At) -> Option<StepProgress> {
        let proof = self.state.runs[&id].proof.iter();
        let stood: BTreeMap<_, _> = proof.flat_map(|p| p.committed.iter().cloned()).collect();
        let view = match self.look_for_empty(id, group, from, self.step_since(id), now) {
            Ok(view) => view,
            Err(next) => return Some(next),
        };
        let (tp, o) = committed_offsets(view).into_iter().find(|(tp, o)| stood.get(tp) != Some(o))?;
        let why = format!("{group} committed {o} at {tp} on {from} after the drain", group = visible_name(group));
        Some(fail_step(why, "find who still consumes there"))
    }
}

fn run_step(run: &Run) -> usize {
    run.step
}

/// Whether it is not known how the newest effect of the step under way ended.
pub(in crate::migration) fn is_unresolved(run: &Run) -> bool {
    run.current_effect().is_some_and(|e| e.may_have_changed() && !e.is_done())
}

//! The steps that set a producer's flag, and see it obeyed.

use super::machine::{CONTROLLER, Machine};
use super::runbook::Step;
use super::steps::{StepProgress, fail_step};
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side};
use crate::estate::FlagState;
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunId};
use crate::migration::rules::producer;

impl Machine {
    /// Sets the flag and holds the answer against what was asked.
    pub(super) fn set_flag(&mut self, id: RunId, to: FlagState, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let Subject::Producer(producer) = run.subject.clone() else { return fail_step("no producer", "") };
        let dry = run.dry_run;
        if let Some(not_yet) = self.not_to_switch(id, &producer, to, now) {
            return not_yet;
        }
        match self.ensure_effect(id, now, |_, _| Ok(Effect::SetFlag { producer: producer.clone(), to })) {
            Err(next) => next,
            Ok(EffectResult::Flag { state }) if state == to || dry => StepProgress::Done,
            Ok(EffectResult::Flag { state }) => {
                fail_step(format!("the flag reads {state} after it was set to {to}"), "find out who else sets it")
            }
            Ok(_) => StepProgress::Done,
        }
    }

    /// Waits until the ends of its topics show what the flag says, as far as they can.
    pub(super) fn wait_for_writing(&mut self, id: RunId, step: &Step, to: FlagState, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let Subject::Producer(name) = run.subject.clone() else { return fail_step("no producer", "") };
        let Some(p) = self.settings.producers.get(&name) else { return fail_step("not in the plan", "") };
        let last = run.effects.iter().rev().find(|e| matches!(e.issued.effect, Effect::SetFlag { .. }));
        let by_hand =
            last.is_some_and(|e| matches!(e.outcome, Some((Outcome::Done { result: EffectResult::Nothing }, _))));
        let sight = self.rule_context(now);
        let attributable = producer::observe_writing(&sight, &name, p).shared.len() < p.topics.len();
        // Rates from before the flag was set show what it said before.
        let newer = Side::BOTH
            .into_iter()
            .all(|s| matches!(self.estate.side(s), Observed::Known { at, .. } if *at > self.step_since(id)));
        let seen = producer::shows_writing(&sight, &name, p, to).filter(|_| newer);
        // Whose records these are can't be told: that the flag was read back has to do.
        if run.dry_run || seen == Some(true) || (!attributable && !by_hand) {
            return StepProgress::Done;
        }
        let until = self.step_since(id).plus(step.timeout_ms.unwrap_or_default());
        let words = match seen {
            Some(_) => {
                producer::find_disagreement(&sight, &name, p).unwrap_or_else(|| format!("not yet seen writing as {to}"))
            }
            None => "nothing is seen to move yet".to_string(),
        };
        let please = if by_hand {
            format!(
                "please set the flag of {name} to {to} by hand{}; ",
                p.flag_words.after_by_hand(to),
                name = visible_name(&name)
            )
        } else {
            String::new()
        };
        match seen {
            _ if now < until => StepProgress::Wait(format!("{please}{words}"), Some(until)),
            None if !by_hand => {
                let what = format!(
                    "the flag of {name} is {to}; nothing was seen to be written meanwhile, so nothing proves it yet",
                    name = visible_name(&name)
                );
                self.emit(CONTROLLER, Event::Noticed { subject: Subject::Producer(name), what }, now);
                StepProgress::Done
            }
            _ => fail_step(
                words,
                format!("see where {name} writes, and whether it reads its flag", name = visible_name(&name)),
            ),
        }
    }
}

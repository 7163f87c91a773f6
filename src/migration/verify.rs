//! Effects of a step: issued once, and looked at when nobody knows how they ended. Never tried again blindly.

use super::drain::committed;
use super::effect::{Answer, Effect, Outcome};
use super::estate::{At, Observed, Side, Trouble};
use super::event::{Event, RunId};
use super::machine::{CONTROLLER, Machine};
use super::runbook::VERIFY_MS;
use super::steps::Next;

/// What a fresh look says about an effect that nobody knows the end of.
enum Seen {
    /// It took.
    Took(Answer),
    /// The world is as before, in words. Believed only at the deadline: the effect may still be on its way.
    AsBefore(String),
    /// Neither, in words.
    Other(String),
    /// No fresh look yet.
    Nothing,
    /// Nobody can look, so far: if that stays so, it is a person who was asked.
    Nobody,
}

impl Machine {
    /// Issues the effect of the step under way unless it was issued, and returns its answer once it is known to have
    /// been done. `make` gets the time since which a look counts as fresh.
    pub(super) fn effect(
        &mut self,
        id: RunId,
        now: At,
        make: impl FnOnce(&Self, At) -> Result<Effect, Next>,
    ) -> Result<Answer, Next> {
        let run = &self.state.runs[&id];
        let Some(last) = run.effect().cloned() else {
            // Starting a group again where it came from must not wait for anybody.
            let home = run.kind.gives_back();
            for side in Side::BOTH {
                if let Some(t) = self.sight(now).identity_trouble(side).filter(|_| !home) {
                    self.ask_for_help(id, &t.what, &t.advice, now);
                    return Err(Next::Wait(t.what, None));
                }
            }
            let effect = make(self, self.since(id))?;
            self.issue(id, effect, now);
            return Err(Next::Wait("under way".into(), None));
        };
        match last.outcome {
            Some((Outcome::Done { result }, _)) => Ok(result),
            Some((Outcome::Failed { why }, _)) if self.live.get(&id).is_some_and(|l| l.continued) => {
                // A person said go on, and it is known not to have been done: once more, with a key of its own.
                let _ = why;
                self.rewind(id, now);
                Err(Next::Again)
            }
            Some((Outcome::Failed { why }, _)) => Err(Next::Fail(why.what, why.advice)),
            unknown => {
                let after = match unknown {
                    Some((_, at)) if !self.live.get(&id).is_some_and(|l| l.continued) => at,
                    _ => self.since(id),
                };
                Err(self.verify(id, &last.issued.key, &last.issued.effect, after, now))
            }
        }
    }

    fn verify(&mut self, id: RunId, key: &str, effect: &Effect, after: At, now: At) -> Next {
        let since = *self.live.entry(id).or_default().verifying.get_or_insert(now);
        let until = since.plus(VERIFY_MS);
        let (outcome, words) = match self.look(effect, after, now) {
            Seen::Took(result) => (Some(Outcome::Done { result }), String::new()),
            Seen::AsBefore(why) if now >= until => {
                (Some(Outcome::Failed { why: Trouble::new(format!("it did not take: {why}"), "") }), why)
            }
            // Only what is observed of the group or the topics counts from here; the step that follows waits for that.
            Seen::Nobody if now >= until => (Some(Outcome::Done { result: Answer::Nothing }), String::new()),
            Seen::AsBefore(why) | Seen::Other(why) => (None, why),
            Seen::Nothing | Seen::Nobody => (None, "no fresh look yet".into()),
        };
        if let Some(outcome) = outcome {
            let took = matches!(outcome, Outcome::Done { .. });
            self.emit(CONTROLLER, Event::Result { run: id, key: key.to_string(), outcome }, now);
            // After an interruption the offsets stand, but what they rest on is as old as that.
            if took && self.live.get(&id).is_some_and(|l| l.continued) {
                self.prove_again(id, now);
            }
            return Next::Again;
        }
        if now >= until {
            return Next::Fail(format!("nobody knows whether it was done: {words}"), "look at it by hand".into());
        }
        Next::Wait(format!("looking whether it was done: {words}"), Some(until))
    }

    fn look(&self, effect: &Effect, after: At, now: At) -> Seen {
        match effect {
            Effect::SetSwitch { group, to } => match self.estate.switches.get(group) {
                Some(Observed::Known { value, at, .. }) if *at >= after && value == to => {
                    Seen::Took(Answer::Switch { state: *to })
                }
                Some(Observed::Known { value, at, .. }) if *at >= after => {
                    Seen::AsBefore(format!("the switch reads {value}"))
                }
                Some(Observed::Known { .. }) => Seen::Nothing,
                Some(Observed::Absent { .. }) => Seen::Nothing,
                None => Seen::Nobody,
            },
            Effect::SetFlag { producer, to } => match self.estate.flags.get(producer) {
                Some(Observed::Known { value, at, .. }) if *at >= after && value == to => {
                    Seen::Took(Answer::Flag { state: *to })
                }
                Some(Observed::Known { value, at, .. }) if *at >= after => {
                    Seen::AsBefore(format!("the flag reads {value}"))
                }
                Some(Observed::Known { .. }) => Seen::Nothing,
                Some(Observed::Absent { .. }) | None => Seen::Nobody,
            },
            Effect::CommitOffsets { group, side, offsets, before, .. } => {
                let want: Vec<_> = offsets.iter().map(|(tp, o)| (tp.clone(), Some(*o))).collect();
                self.look_at_offsets(group, *side, &want, Some(before), after, now)
            }
            Effect::RestoreOffsets { group, side, offsets, .. } => {
                self.look_at_offsets(group, *side, offsets, None, after, now)
            }
            Effect::Translate { .. } => Seen::AsBefore("a translation changes nothing".into()),
            // These are done again instead: the second time changes nothing more.
            Effect::Fence { .. } | Effect::Deny { .. } | Effect::Allow { .. } | Effect::Carry { .. } => Seen::Nothing,
        }
    }

    fn look_at_offsets(
        &self,
        group: &str,
        side: Side,
        want: &[(super::estate::TopicPartition, Option<i64>)],
        before: Option<&Vec<(super::estate::TopicPartition, Option<i64>)>>,
        after: At,
        _now: At,
    ) -> Seen {
        let seen = self.estate.group(side, group).filter(|s| s.at >= after);
        let Some(seen) = seen.filter(|s| s.view.is_none_or(|v| v.trouble.is_none())) else { return Seen::Nothing };
        let has = committed(seen.view);
        let equal = |wanted: &[(super::estate::TopicPartition, Option<i64>)]| {
            wanted.iter().all(|(tp, o)| has.get(tp).copied() == *o)
        };
        if equal(want) {
            Seen::Took(Answer::Offsets { offsets: want.to_vec() })
        } else if before.is_some_and(|b| equal(b)) || before.is_none() {
            Seen::AsBefore(format!("the offsets on {side} are as before"))
        } else {
            Seen::Other(format!("the offsets on {side} are neither the old nor the new ones"))
        }
    }
}

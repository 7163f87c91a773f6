//! Effects of a step: issued once, and looked at when nobody knows how they ended. Never tried again blindly.

use super::machine::{CONTROLLER, Machine};
use super::offset_steps::committed_metadata;
use super::runbook::VERIFY_MS;
use super::steps::StepProgress;
use crate::base::{At, Observed, Side, TopicPartition, Trouble};
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunId};
use crate::migration::rules::drain::committed_offsets;

/// What a fresh look says about an effect that nobody knows the end of.
enum EffectObservation {
    /// It took.
    Took(EffectResult),
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
    pub(in crate::migration) fn ensure_effect(
        &mut self,
        id: RunId,
        now: At,
        make: impl FnOnce(&Self, At) -> Result<Effect, StepProgress>,
    ) -> Result<EffectResult, StepProgress> {
        let run = &self.state.runs[&id];
        let Some(last) = run.current_effect().cloned() else {
            // Starting a group again where it came from must not wait for anybody.
            let home = run.kind.gives_back();
            for side in Side::BOTH {
                if let Some(t) = self.rule_context(now).identity_trouble(side).filter(|_| !home) {
                    self.ask_for_help(id, &t.what, &t.advice, now);
                    return Err(StepProgress::Wait(t.what, None));
                }
            }
            let effect = make(self, self.step_since(id))?;
            self.issue(id, effect, now);
            return Err(StepProgress::EffectUnderWay);
        };
        match last.outcome {
            Some((Outcome::Done { result }, _)) => Ok(result),
            Some((Outcome::Failed { why }, _)) if self.live.get(&id).is_some_and(|l| l.continued) => {
                // A person said go on, and it is known not to have been done: once more, with a key of its own.
                let _ = why;
                self.rewind_run(id, now);
                Err(StepProgress::Again)
            }
            Some((Outcome::Failed { why }, _)) => Err(StepProgress::Fail(why.what, why.advice)),
            unknown => {
                let after = match unknown {
                    // Once a person said go on, only looks since then count: what was seen before may be what they have
                    // mended.
                    Some((_, at)) if !self.live.get(&id).is_some_and(|l| l.continued) => at,
                    _ => self.step_since(id),
                };
                Err(self.verify_effect(id, &last.issued.key, &last.issued.effect, after, now))
            }
        }
    }

    fn verify_effect(&mut self, id: RunId, key: &str, effect: &Effect, after: At, now: At) -> StepProgress {
        // From the first look after an interruption, and not from the intent: a restart may come hours after that.
        let since = *self.live.entry(id).or_default().verifying.get_or_insert(now);
        let until = since.plus(VERIFY_MS);
        let (outcome, words) = match self.look_at_effect(effect, after) {
            EffectObservation::Took(result) => (Some(Outcome::Done { result }), String::new()),
            EffectObservation::AsBefore(why) if now >= until => {
                (Some(Outcome::Failed { why: Trouble::new(format!("it did not take: {why}"), "") }), why)
            }
            // Only what is observed of the group or the topics counts from here; the step that follows waits for that.
            EffectObservation::Nobody if now >= until => {
                (Some(Outcome::Done { result: EffectResult::Nothing }), String::new())
            }
            EffectObservation::AsBefore(why) | EffectObservation::Other(why) => (None, why),
            EffectObservation::Nothing | EffectObservation::Nobody => (None, "no fresh look yet".into()),
        };
        if let Some(outcome) = outcome {
            let took = matches!(outcome, Outcome::Done { .. });
            self.emit(CONTROLLER, Event::Result { run: id, key: key.to_string(), outcome }, now);
            // After an interruption the offsets stand, but what they rest on is as old as that.
            if took && self.live.get(&id).is_some_and(|l| l.continued) {
                self.prove_again(id, now);
            }
            return StepProgress::Again;
        }
        // To set it once more blindly might undo what somebody has set by hand meanwhile.
        if now >= until {
            return StepProgress::Fail(
                format!("nobody knows whether it was done: {words}"),
                "look at it by hand".into(),
            );
        }
        StepProgress::Wait(format!("looking whether it was done: {words}"), Some(until))
    }

    fn look_at_effect(&self, effect: &Effect, after: At) -> EffectObservation {
        match effect {
            Effect::SetSwitch { group, to } => match self.estate.switches.get(group) {
                Some(Observed::Known { value, at, .. }) if *at >= after && value == to => {
                    EffectObservation::Took(EffectResult::Switch { state: *to })
                }
                Some(Observed::Known { value, at, .. }) if *at >= after => {
                    EffectObservation::AsBefore(format!("the switch reads {value}"))
                }
                // Of one that a person sets there is never a look; any other may answer yet.
                _ if self.settings.groups.get(group).is_some_and(|g| g.switch_by_hand) => EffectObservation::Nobody,
                _ => EffectObservation::Nothing,
            },
            Effect::SetFlag { producer, to } => match self.estate.flags.get(producer) {
                Some(Observed::Known { value, at, .. }) if *at >= after && value == to => {
                    EffectObservation::Took(EffectResult::Flag { state: *to })
                }
                Some(Observed::Known { value, at, .. }) if *at >= after => {
                    EffectObservation::AsBefore(format!("the flag reads {value}"))
                }
                // What its ends show stands for one that a person sets, while they show anything.
                _ if self.settings.producers.get(producer).is_some_and(|p| p.flag_by_hand) => EffectObservation::Nobody,
                _ => EffectObservation::Nothing,
            },
            Effect::CommitOffsets { group, side, offsets, before, metadata, .. } => {
                let want: Vec<_> = offsets.iter().map(|(tp, o)| (tp.clone(), Some(*o))).collect();
                self.look_at_offsets((group, *side), (&want, metadata), Some(before), after)
            }
            Effect::RestoreOffsets { group, side, offsets, metadata } => {
                // What stood before is not known: whatever reads otherwise counts as that.
                self.look_at_offsets((group, *side), (offsets, metadata), None, after)
            }
            Effect::Translate { .. } => EffectObservation::AsBefore("a translation changes nothing".into()),
            // These are done again instead: the second time changes nothing more.
            Effect::Fence { .. } | Effect::Deny { .. } | Effect::Allow { .. } | Effect::Carry { .. } => {
                EffectObservation::Nothing
            }
        }
    }

    /// Whether a group's commits read as wanted, what they carry included: the same offsets may stand there with other words.
    fn look_at_offsets(
        &self,
        (group, side): (&str, Side),
        (want, metadata): (&CommittedOffsets, &[(TopicPartition, String)]),
        before: Option<&CommittedOffsets>,
        after: At,
    ) -> EffectObservation {
        let seen = self.estate.group(side, group).filter(|s| s.at >= after);
        let Some(seen) = seen.filter(|s| s.view.is_none_or(|v| v.trouble.is_none())) else {
            return EffectObservation::Nothing;
        };
        let has = committed_offsets(seen.view);
        let equal = |wanted: &CommittedOffsets| wanted.iter().all(|(tp, o)| has.get(tp).copied() == *o);
        if equal(want) && committed_metadata(seen.view, metadata.iter().map(|(tp, _)| tp)) == metadata {
            EffectObservation::Took(EffectResult::Offsets { offsets: want.to_vec() })
        } else if before.is_none_or(equal) {
            EffectObservation::AsBefore(format!("the offsets on {side} are as before"))
        } else {
            EffectObservation::Other(format!("the offsets on {side} are neither the old nor the new ones"))
        }
    }
}

/// Offsets by partition; `None`: none is committed.
type CommittedOffsets = [(TopicPartition, Option<i64>)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{ClusterView, Committed, FlagState, GroupState, GroupView, SwitchState};
    use crate::migration::facts::settings::Settings;
    use crate::migration::run::machine::SessionMode;
    use std::collections::BTreeMap;

    /// A machine that sees the group on green, with one commit and what that carries.
    fn sees(offset: i64, text: &str) -> Machine {
        let mut machine = Machine::new(Settings::of_groups(BTreeMap::new()), SessionMode::default());
        let commit = Committed { offset, leader_epoch: -1 };
        let group = GroupView {
            state: GroupState::Empty,
            offsets: [("t".to_owned(), [(0, commit)].into())].into(),
            metadata: [("t".to_owned(), [(0, text.to_owned())].into())].into(),
            ..GroupView::default()
        };
        let view = ClusterView { groups: [("g".to_owned(), group)].into(), ..ClusterView::default() };
        machine.estate.clusters.green = Observed::seen_at(view, At(10));
        machine
    }

    fn word(seen: &EffectObservation) -> &'static str {
        match seen {
            EffectObservation::Took(_) => "took",
            EffectObservation::AsBefore(_) => "as before",
            EffectObservation::Other(_) => "other",
            EffectObservation::Nothing | EffectObservation::Nobody => "nothing",
        }
    }

    #[test]
    fn a_commit_took_only_with_what_it_carries() {
        let (group, side, tp) = ("g".to_owned(), Side::Green, TopicPartition::new("t", 0));
        let commit = |had: i64| Effect::CommitOffsets {
            group: group.clone(),
            side,
            offsets: vec![(tp.clone(), 7)],
            before: vec![(tp.clone(), Some(had))],
            metadata: vec![(tp.clone(), "blue's".to_owned())],
            had: vec![(tp.clone(), "green's".to_owned())],
        };
        let look = |machine: &Machine, effect: &Effect| word(&machine.look_at_effect(effect, At(5)));
        assert_eq!(look(&sees(7, "blue's"), &commit(7)), "took");
        assert_eq!(look(&sees(7, "green's"), &commit(7)), "as before", "the same offset, and nothing was carried");
        assert_eq!(look(&sees(7, "a stranger's"), &commit(3)), "other");
        assert_eq!(look(&sees(3, "green's"), &commit(3)), "as before");
        let restore = Effect::RestoreOffsets {
            group: group.clone(),
            side,
            offsets: vec![(tp.clone(), Some(7))],
            metadata: vec![(tp.clone(), "green's".to_owned())],
        };
        assert_eq!(look(&sees(7, "green's"), &restore), "took");
        assert_eq!(look(&sees(7, "blue's"), &restore), "as before");
    }

    #[test]
    fn a_person_is_asked_only_of_what_a_person_sets() {
        use crate::migration::facts::settings::{GroupSettings, ProducerSettings};
        let name = || "x".to_owned();
        let flag = Effect::SetFlag { producer: name(), to: FlagState::Blue };
        let switch = Effect::SetSwitch { group: name(), to: SwitchState::Blue };
        for by_hand in [false, true] {
            let producer = ProducerSettings { has_flag: true, flag_by_hand: by_hand, ..ProducerSettings::default() };
            let group = GroupSettings { has_switch: true, switch_by_hand: by_hand, ..GroupSettings::default() };
            // Not asked yet, never answered, and silent since.
            let looks = [None, Some(At(0)), Some(At(3))];
            for look in looks {
                let mut machine = sees(7, "");
                machine.settings.producers.insert(name(), producer.clone());
                machine.settings.groups.insert(name(), group.clone());
                if let Some(at) = look {
                    let (off, stopped) = match at {
                        At(0) => (Observed::not_yet(), Observed::not_yet()),
                        at => (Observed::seen_at(FlagState::Off, at), Observed::seen_at(SwitchState::Off, at)),
                    };
                    machine.estate.flags.insert(name(), off);
                    machine.estate.switches.insert(name(), stopped);
                }
                for effect in [&flag, &switch] {
                    let seen = machine.look_at_effect(effect, At(5));
                    assert_eq!(matches!(seen, EffectObservation::Nobody), by_hand, "{effect:?} {look:?}");
                    assert_eq!(matches!(seen, EffectObservation::Nothing), !by_hand, "{effect:?} {look:?}");
                }
            }
        }
    }
}

//! The steps that deal in offsets: translate, hold against the limit, commit, restore.

use std::collections::BTreeMap;

use super::machine::{CONTROLLER, Machine};
use super::runbook::{FRESH_MS, RESTORE_LOOK_MS, Step, TRANSLATE_ATTEMPTS};
use super::steps::{StepProgress, fail_step};
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Side, TopicPartition};
use crate::estate::GroupView;
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{Event, RunId, RunKind};
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::{GateName, HeldGate, PassedOver};
use crate::migration::facts::state::Run;
use crate::migration::rules::cost;
use crate::migration::rules::drain::committed_offsets;
use crate::migration::rules::group;
use crate::offsets::verdict::{GroupTranslation, PartitionPlan};

impl Machine {
    pub(in crate::migration) fn translate_group(&mut self, id: RunId, step: &Step, to: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let Some(group) = run.group().map(str::to_string) else { return fail_step("no group", "") };
        let until = self.step_since(id).plus(step.timeout_ms.unwrap_or_default());
        let attempts = run.effects[run.fresh_from.min(run.effects.len())..].len();
        let plan = match run.current_effect().map(|e| e.outcome.clone()) {
            Some(Some((Outcome::Done { result: EffectResult::Plan { plan } }, _))) => plan,
            Some(Some((Outcome::Failed { why } | Outcome::Unknown { why }, _))) if attempts >= TRANSLATE_ATTEMPTS => {
                return fail_step(format!("the translation failed {attempts} times: {why}"), why.advice);
            }
            Some(Some((Outcome::Done { .. }, _))) => return fail_step("the translation brought no plan", ""),
            // It only reads: trying again is safe, unlike anything that changes something.
            _ => {
                let chosen = run.command.chosen().cloned();
                let topics = self.topics_of_run(id, &group, to.other(), now);
                self.issue(id, Effect::Translate { group, to, chosen, topics }, now);
                return StepProgress::Wait("reading both logs".into(), Some(until));
            }
        };
        match self.accept_prediction(id, &group, to, &plan, now) {
            Err((why, advice)) => fail_step(why, advice),
            Ok(passed) => {
                self.record_prediction(id, to, plan, passed, now);
                StepProgress::Done
            }
        }
    }

    /// Journals a prediction, and what was passed over for it.
    pub(in crate::migration) fn record_prediction(
        &mut self,
        id: RunId,
        to: Side,
        plan: GroupTranslation,
        passed: Vec<PassedOver>,
        now: At,
    ) {
        for passed in passed {
            self.emit(CONTROLLER, Event::PassedOver { run: id, passed }, now);
        }
        let topic_ids = self.topic_ids(&plan, to);
        self.emit(CONTROLLER, Event::Predicted { run: id, plan, topic_ids }, now);
    }

    /// Ids of a plan's topics as last seen on a side.
    fn topic_ids(&self, plan: &GroupTranslation, side: Side) -> BTreeMap<String, String> {
        let topics = self.estate.side(side).value().map(|v| &v.topics);
        let id = |topic: &str| Some((topic.to_owned(), topics?.get(topic)?.id.clone()?));
        plan.partitions.iter().filter_map(|p| id(&p.tp.topic)).collect()
    }

    /// Holds a prediction against the limit: nothing lost, nothing guessed, nothing left out, but for what was accepted
    /// with the confirmation. Returns what is passed over so.
    fn accept_prediction(
        &self,
        id: RunId,
        group: &str,
        to: Side,
        plan: &GroupTranslation,
        now: At,
    ) -> Result<Vec<PassedOver>, (String, String)> {
        let run = &self.state.runs[&id];
        let refuse = |why: String, advice: &str| Err((why, advice.to_string()));
        let planned = plan.target_partitions();
        let topics = self.topics_of_run(id, group, to.other(), now);
        // Of a side that is out of sight now nothing is held against it here: it is looked at again before the start.
        let all = self.estate.side(to).value().map(|v| group::list_partitions(v, &topics)).unwrap_or_default();
        if let Some(tp) = all.iter().find(|tp| !planned.contains(tp)) {
            return refuse(format!("the translation leaves {tp} out"), "measure again");
        }
        if let Some(what) = overrides::describe_impossible(plan, to) {
            return refuse(what, &self.advise_impossible(plan, run.kind == RunKind::ResetOffsets, now));
        }
        for p in &plan.partitions {
            if let Some(o) = p.target.offset.filter(|o| *o < p.target.log_start || *o > p.target.end) {
                return refuse(format!("{}: offset {o} lies outside the log on {to}", p.tp), "measure again");
            }
            // The translation reads commits by itself: one that moved after the drain was proven shows here.
            let stood = run.proof.as_ref().and_then(|proof| proof.committed.iter().find(|(tp, _)| *tp == p.tp));
            if run.proof.is_some() && stood.map(|(_, o)| *o) != p.source.committed {
                return refuse(
                    format!("{} moved on {} after the drain", p.tp, to.other()),
                    "find who still consumes there",
                );
            }
        }
        // The limit as it was shown: a plan that was changed meanwhile raises none that somebody confirmed.
        let held = overrides::list_held_gates(plan, to, run.max_re_read, true);
        held.into_iter().map(|h| pass_over(run, h)).collect()
    }

    pub(in crate::migration) fn commit_offsets(&mut self, id: RunId, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let (Some(group), Some(plan)) = (run.group().map(str::to_string), run.predicted.clone()) else {
            return fail_step("no prediction to commit", "");
        };
        let dry = run.dry_run;
        let offsets: Vec<_> = plan.partitions.iter().filter_map(|p| Some((p.tp.clone(), p.target.offset?))).collect();
        let metadata: Vec<_> = plan.partitions.iter().filter_map(planned_metadata).collect();
        let want = offsets.clone();
        let answer = self.ensure_effect(id, now, |m, since| {
            let view = m.look_for_empty(id, &group, side, since, now)?;
            let own = group::owns_offsets(&m.rule_context(now), &group, side);
            let has = committed_offsets(view);
            let before: Vec<_> = offsets.iter().map(|(tp, _)| (tp.clone(), has.get(tp).copied())).collect();
            let ahead = cost::find_commits_ahead(&group, side, &has, offsets.iter().cloned()).filter(|_| !own);
            if let Some(Err((why, advice))) = ahead.map(|held| pass_over(&m.state.runs[&id], held)) {
                return Err(fail_step(why, advice));
            }
            let id_there = m.rule_context(now).id_on(&group, side).to_string();
            let had = committed_metadata(view, offsets.iter().map(|(tp, _)| tp));
            let (offsets, metadata) = (offsets.clone(), metadata.clone());
            Ok(Effect::CommitOffsets { group: id_there, side, offsets, before, metadata, had })
        });
        match answer {
            Err(next) => next,
            Ok(EffectResult::Offsets { offsets: read }) => {
                let read: BTreeMap<_, _> = read.into_iter().collect();
                match want.iter().find(|(tp, o)| read.get(tp).copied().flatten() != Some(*o)) {
                    Some((tp, o)) if !dry => {
                        let was = read.get(tp).copied().flatten().map_or("nothing".into(), |o| o.to_string());
                        fail_step(
                            format!("{tp} reads {was} on {side} after {o} was committed"),
                            "find who else commits there",
                        )
                    }
                    _ => {
                        self.record_set_back(id, &group, side, now);
                        StepProgress::Done
                    }
                }
            }
            Ok(_) if dry => StepProgress::Done,
            Ok(_) => fail_step(format!("the commit on {side} was not read back"), ""),
        }
    }

    /// Says what a commit has set back, as accepted.
    fn record_set_back(&mut self, id: RunId, group: &str, side: Side, now: At) {
        let run = &self.state.runs[&id];
        let Some(Effect::CommitOffsets { offsets, before, .. }) = run.current_effect().map(|e| &e.issued.effect) else {
            return;
        };
        let had = before.iter().filter_map(|(tp, o)| Some((tp.clone(), (*o)?))).collect();
        let claimed = run.accepted.iter().any(|a| a.gate == GateName::NewerCommit);
        let held = cost::find_commits_ahead(group, side, &had, offsets.iter().cloned()).filter(|_| claimed);
        if let Some(Ok(passed)) = held.map(|h| pass_over(run, h)) {
            self.emit(CONTROLLER, Event::PassedOver { run: id, passed }, now);
        }
    }

    /// A fresh look at a group in which nobody is, since the step began; or what to do meanwhile.
    pub(in crate::migration) fn look_for_empty(
        &self,
        id: RunId,
        name: &str,
        side: Side,
        since: At,
        now: At,
    ) -> Result<Option<&GroupView>, StepProgress> {
        let until = since.plus(FRESH_MS);
        let dry = self.state.runs[&id].dry_run;
        let seen = self.rule_context(now).latest_look(name, side);
        let looked = seen.filter(|s| (dry || s.at >= since) && s.view.is_none_or(|v| v.trouble.is_none()));
        match looked.map(|s| s.view) {
            Some(view) if view.is_none_or(group::is_empty) => Ok(view),
            Some(view) if now >= until => {
                let members = view.map_or(0, |v| v.members.len());
                Err(fail_step(
                    format!(
                        "{name} has {members} members on {side}: offsets can only be set while it is Empty",
                        name = visible_name(name)
                    ),
                    "stop them",
                ))
            }
            None if now >= until => Err(fail_step(
                format!("{name} was not seen on {side} for {}", format_duration(FRESH_MS), name = visible_name(name)),
                "",
            )),
            Some(_) => Err(StepProgress::Wait(
                format!("waiting until nobody is in {name} on {side}", name = visible_name(name)),
                Some(until),
            )),
            None => Err(StepProgress::Wait(
                format!("waiting for a fresh look at {name} on {side}", name = visible_name(name)),
                Some(until),
            )),
        }
    }

    /// What was committed on a side before the run that was taken over, and what that carried: the oldest commit that may
    /// have happened knows.
    fn old_offsets(&self, id: RunId, side: Side) -> Option<OldOffsets> {
        let (mut offsets, mut metadata, mut found) = (BTreeMap::new(), BTreeMap::new(), false);
        for r in self.state.run_chain(id).skip(1) {
            for e in r.effects.iter().rev() {
                if let Effect::CommitOffsets { before, had, side: s, .. } = &e.issued.effect
                    && !e.has_failed()
                    && *s == side
                {
                    // An older commit knows better, and a newer one may have covered what was not there yet.
                    found = true;
                    before.iter().for_each(|(tp, _)| drop(metadata.remove(tp)));
                    offsets.extend(before.iter().cloned());
                    metadata.extend(had.iter().cloned());
                }
            }
            // Behind the first that is no give-back another move began: what it found is not what this one changed.
            if r.kind != RunKind::GiveBack {
                break;
            }
        }
        found.then(|| (offsets.into_iter().collect(), metadata.into_iter().collect()))
    }

    /// Puts the old offsets back. The group stands still meanwhile, so nothing of this may keep it from being started:
    /// what can't be put back is said, and the next cutover overwrites it.
    pub(in crate::migration) fn restore_offsets(&mut self, id: RunId, side: Side, now: At) -> StepProgress {
        let run = &self.state.runs[&id];
        let (Some(group), Some((before, metadata))) = (run.group().map(str::to_string), self.old_offsets(id, side))
        else {
            return StepProgress::Done;
        };
        let (dry, unknown) = (run.dry_run, run.current_effect().and_then(|e| e.outcome.clone()));
        let since = self.step_since(id);
        if let Some(t) = self.rule_context(now).identity_trouble(side) {
            return self.note_not_put_back(&group, side, &t.what, now);
        }
        if let Some((Outcome::Unknown { why }, _)) = unknown {
            return self.note_not_put_back(&group, side, &why.what, now);
        }
        if run.current_effect().is_none() {
            let until = since.plus(RESTORE_LOOK_MS);
            let seen = self.rule_context(now).latest_look(&group, side).filter(|s| s.at >= since);
            match seen.filter(|s| s.view.is_none_or(|v| v.trouble.is_none())) {
                Some(seen) if stands_as_before(seen.view, &before, &metadata) => return StepProgress::Done,
                None if now < until => {
                    return StepProgress::Wait(format!("waiting for a fresh look at {side}"), Some(until));
                }
                _ => {}
            }
        }
        let there = self.rule_context(now).id_on(&group, side).to_string();
        let offsets = before.clone();
        match self.ensure_effect(id, now, |_, _| Ok(Effect::RestoreOffsets { group: there, side, offsets, metadata })) {
            Err(StepProgress::Fail(why, _)) => self.note_not_put_back(&group, side, &why, now),
            Err(next) => next,
            Ok(EffectResult::Offsets { offsets }) => {
                let read: BTreeMap<_, _> = offsets.into_iter().collect();
                match before.iter().find(|(tp, o)| read.get(tp).copied().flatten() != *o) {
                    Some((tp, _)) if !dry => {
                        self.note_not_put_back(&group, side, &format!("{tp} reads otherwise"), now)
                    }
                    _ => StepProgress::Done,
                }
            }
            Ok(_) if dry => StepProgress::Done,
            Ok(_) => self.note_not_put_back(&group, side, "they were not read back", now),
        }
    }

    fn note_not_put_back(&mut self, group: &str, side: Side, why: &str, now: At) -> StepProgress {
        let what = format!(
            "the old offsets of {group} on {side} were not put back: {why}; the next move overwrites them",
            group = visible_name(group)
        );
        self.emit(CONTROLLER, Event::Noticed { subject: Subject::Group(group.into()), what }, now);
        StepProgress::Done
    }
}

/// Offsets as they stood, and what their commits carried.
type OldOffsets = (Vec<(TopicPartition, Option<i64>)>, Vec<(TopicPartition, String)>);

/// Whether old offsets stand as they did, with what their commits carried and nothing else.
fn stands_as_before(
    view: Option<&GroupView>,
    before: &[(TopicPartition, Option<i64>)],
    metadata: &[(TopicPartition, String)],
) -> bool {
    let has = committed_offsets(view);
    let same = before.iter().all(|(tp, o)| has.get(tp).copied() == *o);
    same && committed_metadata(view, before.iter().map(|(tp, _)| tp)) == metadata
}

/// What a planned commit carries.
pub(in crate::migration) fn planned_metadata(p: &PartitionPlan) -> Option<(TopicPartition, String)> {
    let metadata = p.metadata.as_ref().filter(|m| m.carried && p.target.offset.is_some())?;
    Some((p.tp.clone(), metadata.text.clone()))
}

/// What the commits of these partitions carry on a side.
pub(in crate::migration) fn committed_metadata<'a>(
    view: Option<&GroupView>,
    of: impl Iterator<Item = &'a TopicPartition>,
) -> Vec<(TopicPartition, String)> {
    let Some(view) = view else { return Vec::new() };
    let text = |tp: &TopicPartition| Some((tp.clone(), view.metadata.get(&tp.topic)?.get(&tp.partition)?.clone()));
    of.filter_map(text).collect()
}

/// A gate that holds: passed over if that was accepted, at this price.
pub(in crate::migration) fn pass_over(run: &Run, held: HeldGate) -> Result<PassedOver, (String, String)> {
    match overrides::find_acceptance(&held, &run.accepted) {
        Ok(a) => Ok(PassedOver { gate: a.gate, what: held.why, by: run.actor.to_string(), reason: a.reason.clone() }),
        Err(Some(most)) => Err((format!("{}, and at most {most} were accepted", held.why), held.advice())),
        Err(None) => {
            let advice = held.advice();
            Err((held.why, advice))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::{Action, LiveRun, SessionMode};
    use super::*;
    use crate::base::Observed;
    use crate::estate::{ClusterView, Committed, GroupState};
    use crate::migration::facts::command::Command;
    use crate::migration::facts::effect::IssuedEffect;
    use crate::migration::facts::event::JournalEntry;
    use crate::migration::facts::settings::Settings;

    /// A cutover of `g` that may have committed 7 for t-0 on green with words of blue's, where 7 stood with words of its own;
    /// and the run that gives it back.
    fn given_back() -> Machine {
        let mut machine = Machine::new(Settings::of_groups(BTreeMap::new()), SessionMode::default());
        let tp = TopicPartition::new("t", 0);
        let effect = Effect::CommitOffsets {
            group: "g".into(),
            side: Side::Green,
            offsets: vec![(tp.clone(), 7)],
            before: vec![(tp.clone(), Some(7))],
            metadata: vec![(tp.clone(), "blue's".into())],
            had: vec![(tp, "green's".into())],
        };
        let events = [
            Event::started(1, RunKind::CutOver, Command::cut_over("g")),
            Event::Intent { run: 1, issued: IssuedEffect { key: "1/4/1".into(), effect } },
            Event::started(2, RunKind::GiveBack, Command::roll_back("g")),
        ];
        for (seq, event) in (1..).zip(events) {
            machine.fold_entry(&JournalEntry { seq, at: At(1), actor: "ann@bastion".into(), event });
        }
        machine.live.insert(2, LiveRun { since: At(5), ..LiveRun::default() });
        machine
    }

    /// What giving back does with the old offsets when the commit on green carries this.
    fn restored(text: &str) -> (StepProgress, Option<Effect>) {
        let mut machine = given_back();
        let group = GroupView {
            state: GroupState::Empty,
            offsets: [("t".to_owned(), [(0, Committed { offset: 7, leader_epoch: -1 })].into())].into(),
            metadata: [("t".to_owned(), [(0, text.to_owned())].into())].into(),
            ..GroupView::default()
        };
        let view = ClusterView { groups: [("g".to_owned(), group)].into(), ..ClusterView::default() };
        machine.estate.clusters.green = Observed::seen_at(view, At(10));
        let next = machine.restore_offsets(2, Side::Green, At(10));
        let mut issued = std::iter::from_fn(|| machine.poll()).filter_map(|action| match action {
            Action::Do(issued) => Some(issued.effect),
            _ => None,
        });
        (next, issued.next())
    }

    #[test]
    fn what_the_old_commits_carried_is_put_back_also_where_the_offsets_are_the_same() {
        let (next, effect) = restored("blue's");
        assert!(matches!(next, StepProgress::EffectUnderWay));
        let Some(Effect::RestoreOffsets { offsets, metadata, .. }) = effect else { panic!("{effect:?}") };
        let tp = TopicPartition::new("t", 0);
        assert_eq!((offsets, metadata), (vec![(tp.clone(), Some(7))], vec![(tp, "green's".to_owned())]));
        let (next, effect) = restored("green's");
        assert!(matches!(next, StepProgress::Done) && effect.is_none(), "it stands as it did");
    }
}

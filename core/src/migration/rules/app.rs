//! What follows from the kind of application that a group belongs to (`estate::application`): a Kafka Streams application keeps
//! state that no offset moves, and one that only commits (`assign()`) has no members that could be seen to leave.

use super::context::RuleContext;
use super::drain::committed_offsets;
use super::group::rests_on;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Side, TopicPartition};
use crate::estate::GroupView;
use crate::estate::application::{only_commits, streams_evidence, streams_topics, was_joined};
use crate::migration::facts::command::Refusal;
use crate::migration::facts::effect::Effect;
use crate::migration::facts::state::Run;

/// Whether a group only commits because that is how it works. A group of members that was moved to a side and never came
/// up there looks the same: all that it has there was committed from here.
#[must_use]
pub(crate) fn is_alone(sight: &RuleContext<'_>, group: &str, side: Side, view: &GroupView) -> bool {
    only_commits(view) && !is_our_doing(sight, group, side, view)
}

/// Whether what a group has on a side is only what this journal committed there, for a group that members join: as it was
/// when the other side was drained, or as the other side shows it.
fn is_our_doing(sight: &RuleContext<'_>, group: &str, side: Side, view: &GroupView) -> bool {
    let Some(state) = sight.state.groups.get(group).filter(|g| g.own.contains(&side)) else { return false };
    let runs = || state.moved.into_iter().flat_map(|id| sight.state.run_chain(id));
    let proofs = runs().filter_map(|r| r.proof.as_ref());
    let drained = proofs.chain(state.drained.as_ref()).find(|proof| proof.side != side);
    let joined = match drained {
        Some(proof) => !proof.alone,
        None => sight.latest_look(group, side.other()).and_then(|s| s.view).is_some_and(was_joined),
    };
    let moves = match runs().find_map(|run| last_commit(run, side)) {
        Some(ours) => {
            let has = committed_offsets(Some(view));
            // A partition that has no commit any more expired or was deleted: that is nobody's work.
            ours.iter().any(|(tp, offset)| has.get(tp).is_some_and(|is| is != offset))
        }
        // The runs of the chain committed nothing there, so only what was watched can tell.
        None => sight.lag.commits_moved_at(side, sight.id_on(group, side)).is_some(),
    };
    joined && !moves
}

/// Whether what a group that only commits has on a side on which it does not rest is what the journal knows that it was
/// left with there: as it was drained, or as its offsets were set from here. Then nobody has worked with it there since,
/// however lately it moved.
#[must_use]
pub(crate) fn stands_as_left(sight: &RuleContext<'_>, group: &str, side: Side, view: &GroupView) -> bool {
    let Some(state) = sight.state.groups.get(group) else { return false };
    if !only_commits(view) || rests_on(Some(&state.rest)) == side {
        return false;
    }
    let has = committed_offsets(Some(view));
    let runs = || state.moved.into_iter().flat_map(|id| sight.state.run_chain(id));
    let proofs = runs().filter_map(|r| r.proof.as_ref()).chain(state.drained.as_ref()).filter(|p| p.side == side);
    // What expired or was deleted since is gone, not moved.
    let stands = |left: &[(TopicPartition, i64)]| has.iter().all(|at| left.iter().any(|(tp, o)| (tp, o) == at));
    let drained = proofs.map(|p| p.committed.as_slice()).any(stands);
    let set = runs().find_map(|run| last_commit(run, side)).is_some_and(|ours| stands(ours));
    drained || set
}

/// What a run committed last on a side, as far as that may have taken. A rehearsal commits nothing.
fn last_commit(run: &Run, side: Side) -> Option<&Vec<(TopicPartition, i64)>> {
    let effects = run.effects.iter().filter(|_| !run.dry_run);
    effects.rev().filter(|e| !e.has_failed()).find_map(|e| match &e.issued.effect {
        Effect::CommitOffsets { side: on, offsets, .. } if *on == side => Some(offsets),
        _ => None,
    })
}

/// Whether a group only commits where it ran last: on `side`, or (as it was when it was drained) wherever it came from.
#[must_use]
pub(crate) fn commits_alone(sight: &RuleContext<'_>, group: &str, side: Side) -> bool {
    let drained = sight.state.groups.get(group).and_then(|g| g.drained.as_ref());
    let seen = sight.latest_look(group, side).and_then(|s| s.view);
    let alone = seen.is_some_and(|view| is_alone(sight, group, side, view));
    alone || drained.is_some_and(|proof| proof.alone && proof.side == side)
}

/// A group that is known to be a Kafka Streams application is refused like one of KIP-1071: its state stores and what
/// lies in its repartition topics would begin empty on the other side.
pub(in crate::migration) fn streams_refusal(
    sight: &RuleContext<'_>,
    group: &str,
    side: Side,
    view: &GroupView,
) -> Option<Refusal> {
    let id = sight.id_on(group, side);
    let remembered = || sight.state.groups.get(group)?.reads.get(&side)?.streams.clone();
    // Members that run know better than what was remembered of others.
    let known = || (!super::reads::is_whole(view)).then(remembered).flatten();
    let why = streams_evidence(id, view).or_else(known)?;
    // Only the sentence is poorer where the topics can't be seen: the refusal stands.
    let made = sight.estate.side(side).value().map(|v| streams_topics(id, v.topics.keys())).unwrap_or_default();
    let state = match made.as_slice() {
        [] => "the state that it keeps".to_owned(),
        some => format!("what it keeps in {}", format_topics(some)),
    };
    Some(Refusal::refused(
        format!(
            "{id} on {side} is a Kafka Streams application ({why}): {state} does not move with offsets",
            id = visible_name(id)
        ),
        "stop it and begin it anew on the other side, from its input, or mirror its changelog and repartition topics \
         first; this version moves consumer groups",
    ))
}

/// Why a group may be a Kafka Streams application although nobody runs in it who would show it.
pub(in crate::migration) fn why_maybe_streams(
    sight: &RuleContext<'_>,
    group: &str,
    side: Side,
    view: &GroupView,
) -> Option<String> {
    if super::reads::is_whole(view) {
        return None;
    }
    let id = sight.id_on(group, side);
    let made = streams_topics(id, sight.estate.side(side).value()?.topics.keys());
    (!made.is_empty()).then(|| {
        format!(
            "{id} may be a Kafka Streams application: {} look like its own, and what it keeps there would begin empty on {}",
            format_topics(&made),
            side.other(), id = visible_name(id)
        )
    })
}

fn format_topics(topics: &[&str]) -> String {
    let more = topics.len().saturating_sub(3);
    let names = visible_names(topics.iter().take(3));
    if more > 0 { format!("{names} and {more} more") } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rehearsal_would_have_committed_stands_nowhere() {
        use crate::base::At;
        use crate::migration::facts::command::Command;
        use crate::migration::facts::effect::IssuedEffect;
        use crate::migration::facts::event::{Event, JournalEntry, RunKind};
        use crate::migration::facts::state::State;
        let effect = Effect::CommitOffsets {
            group: "g".into(),
            side: Side::Green,
            offsets: vec![(TopicPartition::new("t", 0), 7)],
            before: Vec::new(),
            metadata: Vec::new(),
            had: Vec::new(),
        };
        for rehearsal in [false, true] {
            let mut started = Event::started(1, RunKind::ResetOffsets, Command::reset_offsets("g", Side::Green));
            if let Event::RunStarted { dry_run, .. } = &mut started {
                *dry_run = rehearsal;
            }
            let issued = IssuedEffect { key: "1/1/1".into(), effect: effect.clone() };
            let mut state = State::default();
            for (seq, event) in (1..).zip([started, Event::Intent { run: 1, issued }]) {
                state.apply(&JournalEntry { seq, at: At(1), actor: "ann@bastion".into(), event });
            }
            let ours = last_commit(&state.runs[&1], Side::Green);
            assert_eq!(ours.is_none(), rehearsal, "{ours:?}");
        }
    }
}

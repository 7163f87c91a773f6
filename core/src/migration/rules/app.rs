//! What kind of application a group belongs to, as far as clusters show it: a Kafka Streams application keeps state that
//! no offset moves, one that only commits (`assign()`) has no members that could be seen to leave, and the workers of
//! Kafka Connect or a schema registry meet in a group without reading any topic through it.

use super::context::RuleContext;
use super::drain::committed_offsets;
use super::group::rests_on;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Side, TopicPartition};
use crate::estate::{ClusterView, GroupKind, GroupView};
use crate::migration::facts::command::Refusal;
use crate::migration::facts::effect::Effect;
use crate::migration::facts::state::Run;

/// The assignor of classic Kafka Streams applications (`StreamsPartitionAssignor.name()`).
const STREAMS_ASSIGNOR: &str = "stream";
/// What Kafka Streams puts between the parts of its consumers' client ids: `APP-UUID-StreamThread-1-consumer`.
const STREAM_THREAD: &str = "-StreamThread-";
/// How the topics end that Kafka Streams makes for itself, behind `APPLICATION.ID-`. Foreign-key joins have two more.
const STREAMS_TOPICS: [&str; 2] = ["-changelog", "-repartition"];
const STREAMS_JOINS: &str = "-KTABLE-FK-JOIN-SUBSCRIPTION-";

/// A group that only commits: nobody ever joined it, so that it is Empty says nothing about whether somebody works
/// with it. Flink, Spark and whatever else uses `assign()`; also a group whose offsets only a tool has set.
#[must_use]
pub fn only_commits(view: &GroupView) -> bool {
    // A coordinator keeps the protocol type of a group whose members have left: only one that nobody ever joined has
    // none.
    view.kind == GroupKind::Classic
        && view.protocol_type.is_empty()
        && view.members.is_empty()
        && !view.offsets.is_empty()
        // A look of which a part is missing may lack the very members that would tell otherwise.
        && view.trouble.is_none()
}

/// Whether a group shows that members join it: one is in it, or one was.
#[must_use]
pub(crate) fn was_joined(view: &GroupView) -> bool {
    view.kind != GroupKind::Classic || !view.protocol_type.is_empty() || !view.members.is_empty()
}

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

fn is_streams_topic(id: &str, topic: &str) -> bool {
    // The id ends at the dash: `pay-x-changelog` is no topic of an application `pa`.
    let Some(rest) = topic.strip_prefix(id).filter(|rest| rest.starts_with('-')) else { return false };
    STREAMS_TOPICS.iter().any(|end| rest.ends_with(end)) || rest.contains(STREAMS_JOINS)
}

/// What shows that a classic group is a Kafka Streams application, whatever its topics are called. `id` is its id there.
#[must_use]
pub fn streams_evidence(id: &str, view: &GroupView) -> Option<String> {
    if view.kind != GroupKind::Classic {
        return None;
    }
    if view.protocol == STREAMS_ASSIGNOR {
        return Some(format!("its assignor is {STREAMS_ASSIGNOR:?}, Kafka Streams' own"));
    }
    // Whatever `client.id` an application sets, Streams only puts it in front of this; of its clients only these join.
    let thread = |client: &&str| client.contains(STREAM_THREAD) && client.ends_with("-consumer");
    if let Some(client) = view.members.iter().map(|m| m.client_id.as_str()).find(thread) {
        return Some(format!("its client ids are Kafka Streams' ({client})", client = visible_name(client)));
    }
    let assigned = view.members.iter().flat_map(|m| m.assigned.iter().map(|a| a.topic.as_str()));
    // Members are gone once it is stopped; its commits on repartition topics stay.
    let own = assigned.chain(view.offsets.keys().map(String::as_str)).find(|t| is_streams_topic(id, t));
    own.map(|topic| {
        format!("it reads {topic}, a topic of its own that Kafka Streams makes", topic = visible_name(topic))
    })
}

/// Topics that look as if Kafka Streams had made them for an application of this id.
#[must_use]
pub fn streams_topics<'a>(id: &str, cluster: &'a ClusterView) -> Vec<&'a str> {
    cluster.topics.keys().map(String::as_str).filter(|t| is_streams_topic(id, t)).collect()
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
    let made = sight.estate.side(side).value().map(|v| streams_topics(id, v)).unwrap_or_default();
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
    let made = streams_topics(id, sight.estate.side(side).value()?);
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

/// Whether a group of another protocol type is known to read no topic through it: workers of Kafka Connect (`connect`)
/// and schema registries (`sr`) only elect a leader and share out work; what connectors read is committed under groups
/// of their own.
#[must_use]
pub(crate) fn reads_nothing(view: &GroupView) -> bool {
    view.kind == GroupKind::Other && matches!(view.protocol_type.as_str(), "connect" | "sr")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{Committed, GroupState, MemberView, TopicView};

    fn group(client: &str, protocol: &str, topic: &str) -> GroupView {
        let members = match client {
            "" => Vec::new(),
            client => vec![MemberView { client_id: client.into(), ..MemberView::default() }],
        };
        GroupView {
            state: if members.is_empty() { GroupState::Empty } else { GroupState::Stable },
            protocol: protocol.into(),
            protocol_type: "consumer".into(),
            members,
            offsets: [(topic.to_owned(), [(0, Committed { offset: 1, leader_epoch: -1 })].into())].into(),
            ..GroupView::default()
        }
    }

    #[test]
    fn kafka_streams_is_known_by_its_assignor_its_threads_and_its_own_topics() {
        for (client, protocol, topic) in [
            ("x", "stream", "in"),
            ("counts-0d2f-StreamThread-1-consumer", "", "in"),
            ("", "", "counts-by-key-repartition"),
            ("", "", "counts-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000009-topic"),
        ] {
            assert!(
                streams_evidence("counts", &group(client, protocol, topic)).is_some(),
                "{client} {protocol} {topic}"
            );
        }
        for (client, protocol, topic) in [
            ("counts-StreamThread-reader", "range", "in"),
            ("", "", "other-by-key-repartition"),
            ("", "", "countsby-repartition"),
            ("", "cooperative-sticky", "counts-changelog-of-mine"),
        ] {
            assert_eq!(
                streams_evidence("counts", &group(client, protocol, topic)),
                None,
                "{client} {protocol} {topic}"
            );
        }
        let topics = ["counts-store-changelog", "counts", "in", "count-store-changelog"];
        let cluster = ClusterView {
            topics: topics.into_iter().map(|t| (t.to_owned(), TopicView::default())).collect(),
            ..ClusterView::default()
        };
        assert_eq!(streams_topics("counts", &cluster), ["counts-store-changelog"]);
    }

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

    #[test]
    fn a_group_that_nobody_ever_joined_only_commits() {
        let mut view = group("", "", "in");
        assert!(!only_commits(&view), "it was joined once: its protocol type stays");
        view.protocol_type.clear();
        assert!(only_commits(&view));
        view.offsets.clear();
        assert!(!only_commits(&view));
    }
}

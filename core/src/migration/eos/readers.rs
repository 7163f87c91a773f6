//! Groups that read what an exactly-once producer writes: they follow it over its seam, one by one.

use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, TopicPartition};
use crate::migration::facts::command::Refusal;
use crate::migration::facts::event::RunKind;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::drain::committed_offsets;
use crate::migration::rules::group;
use crate::migration::rules::rollback::ESTIMATE_AGE_MS;
use crate::migration::run::machine::Machine;

/// Offsets of a topic on green past a group's position there, transaction markers included; `None` when that can't be
/// told.
#[must_use]
pub(crate) fn green_past(sight: &RuleContext<'_>, group: &str, topic: &str) -> Option<u64> {
    let view = sight.latest_look(group, Side::Green)?.view?;
    let log = sight.fresh_cluster(Side::Green).ok()?.topics.get(topic)?;
    let has = view.offsets.get(topic)?;
    let past = |(n, p): (usize, &crate::estate::PartitionView)| {
        // Without a commit on a partition nobody knows where it would begin there.
        let at = has.get(&i32::try_from(n).ok()?)?.offset;
        // A position beyond the end is one of another log, or newer than the end: it tells nothing.
        u64::try_from(p.high_watermark?.saturating_sub(at)).ok()
    };
    log.partitions.iter().enumerate().map(past).sum()
}

/// Offsets of a topic that a group has committed on green past the seam by which its writers came there, markers
/// included: blue has none of them, and a producer that goes back carries them there. 0 where no cut is journalled.
#[must_use]
pub(crate) fn read_past_seam(sight: &RuleContext<'_>, group: &str, topic: &str) -> u64 {
    let seams = &sight.state.seams;
    let has = committed_offsets(sight.latest_look(group, Side::Green).and_then(|s| s.view));
    let cut = has.iter().filter(|(tp, _)| tp.topic == topic && seams.topic_went(Side::Green, topic));
    // A partition that came after the cut has no seam: all of it is past it.
    let from = |tp: &TopicPartition| seams.current_to(Side::Green, tp).map_or(0, |(_, seam)| seam.target);
    cut.map(|(tp, at)| at.saturating_sub(from(tp)).max(0).unsigned_abs()).fold(0, u64::saturating_add)
}

/// Whether a group may leave the side on which an exactly-once producer writes one of its topics alone: to green never
/// before its producer; back to blue only while nothing that only green holds lies before it or behind it: what it has
/// read there is carried to blue when its producer goes back, and would be read again. Returns what is worth a line.
pub(crate) fn check_may_leave(
    sight: &RuleContext<'_>,
    group: &str,
    name: &str,
    topic: &str,
    to: Side,
) -> Result<Option<String>, Refusal> {
    let on = to.other();
    if to == Side::Green {
        return Err(Refusal::holds(
            format!(
                "{name} writes {topic} to {on} only: on {to} {group} would starve",
                name = visible_name(name),
                topic = visible_name(topic),
                group = visible_name(group)
            ),
            format!("cut {name} over first: cutover producer cutover {name}", name = visible_name(name)),
        ));
    }
    let read = read_past_seam(sight, group, topic);
    if read > 0 {
        return Err(Refusal::holds(
            format!(
                "{group} has read {read} offsets of {topic} that are on {on} only: on {to} it would read them again",
                group = visible_name(group),
                topic = visible_name(topic)
            ),
            format!("roll back the producer first: cutover producer rollback {name}", name = visible_name(name)),
        ));
    }
    match green_past(sight, group, topic) {
        Some(0) => Ok(Some(format!(
            "{name} writes {topic} on {on}: {group} reads nothing new on {to} until it is back",
            name = visible_name(name),
            topic = visible_name(topic),
            group = visible_name(group)
        ))),
        Some(n) => Err(Refusal::holds(
            format!(
                "{n} offsets of {topic} past the position of {group} are on {on} only: on {to} it would miss them",
                topic = visible_name(topic),
                group = visible_name(group)
            ),
            format!("roll back the producer first: cutover producer rollback {name}", name = visible_name(name)),
        )),
        None => Err(Refusal::unknown(
            format!(
                "what of {topic} is on {on} only past the position of {group} can't be told now",
                topic = visible_name(topic),
                group = visible_name(group)
            ),
            format!(
                "wait for a fresh look, or roll back the producer first: cutover producer rollback {name}",
                name = visible_name(name)
            ),
        )),
    }
}

impl Machine {
    /// A group whose offsets a producer commits in its transactions moves with that producer only.
    pub(in crate::migration) fn check_moves_alone(&self, group: &str, kind: RunKind) -> Result<(), Refusal> {
        // Offsets that are only set take no group away from its producer.
        match self.coupled_with(group).filter(|_| kind != RunKind::ResetOffsets) {
            None => Ok(()),
            Some(name) => Err(Refusal::refused(
                format!(
                    "{group} is what {name} reads as: its offsets are in the transactions of {name}",
                    group = visible_name(group),
                    name = visible_name(name)
                ),
                format!(
                    "it moves together with it: cutover producer cutover {name}, or rollback",
                    name = visible_name(name)
                ),
            )),
        }
    }

    /// A group that has not read the side it leaves up to the seam holds, with the count, before anything is stopped.
    /// Offsets alone do not tell (the last ones may be transaction markers): where they differ a measurement does.
    pub(in crate::migration) fn check_seam(
        &self,
        group: &str,
        kind: RunKind,
        to: Side,
        now: At,
    ) -> Result<(), Refusal> {
        let sight = self.rule_context(now);
        if kind == RunKind::ResetOffsets {
            return Ok(());
        }
        let from = to.other();
        let has = committed_offsets(sight.latest_look(group, from).and_then(|s| s.view));
        let topics = group::topics_read(&sight, group, from);
        let measured = match self.latest_measurement(group, to, None) {
            Some(Observed::Known { value, at, .. }) if now.is_within(ESTIMATE_AGE_MS, *at) => Some(value),
            _ => None,
        };
        let mapped = |tp: &TopicPartition| {
            let found = measured.and_then(|plan| plan.partitions.iter().find(|p| p.tp == *tp));
            found.is_some_and(|p| p.target.offset.is_some())
        };
        // A seam is where a group starts that has never been there.
        let there = committed_offsets(sight.latest_look(group, to).and_then(|s| s.view));
        // On blue it ran before: what it has there is its own.
        let ahead = sight.state.seams.all_to(to).filter(|_| to == Side::Green).find_map(|(_, seam)| {
            let at = there.get(&seam.tp).filter(|at| **at > seam.target && topics.contains(&seam.tp.topic))?;
            Some((&seam.tp, *at, seam.target))
        });
        if let Some((tp, at, seam)) = ahead {
            return Err(Refusal::holds(
                format!(
                    "{group} has {at} at {tp} on {to}, past the seam at {seam}: from the seam it would read again",
                    group = visible_name(group)
                ),
                "find out who read there; then delete those offsets, or set them: cutover offsets apply",
            ));
        }
        let mut left = 0_u64;
        let mut first = None;
        for (_, seam) in sight.state.seams.all_to(to).filter(|(_, s)| topics.contains(&s.tp.topic)) {
            // Where it stands is not known: then all of the log counts as unread, which holds.
            let at = has.get(&seam.tp).copied().or_else(|| log_start(&sight, from, &seam.tp)).unwrap_or(0);
            let behind = seam.source.saturating_sub(at).max(0).unsigned_abs();
            if behind > 0 && !mapped(&seam.tp) {
                left = left.saturating_add(behind);
                first = first.or(Some(&seam.tp));
            }
        }
        let Some(first) = first else { return Ok(()) };
        let what = if measured.is_some() { "" } else { ", transaction markers counted in" };
        Err(Refusal::holds(
            format!(
                "{group} has {left} offsets below the seam on {from} still to read{what}, first on {first}",
                group = visible_name(group)
            ),
            format!("let it read on on {from}; then measure it (m), and try again"),
        ))
    }
}

/// Where a group without a commit begins at the earliest.
fn log_start(sight: &RuleContext<'_>, side: Side, tp: &TopicPartition) -> Option<i64> {
    let topic = sight.estate.side(side).value()?.topics.get(&tp.topic)?;
    topic.partitions.get(usize::try_from(tp.partition).ok()?)?.log_start
}

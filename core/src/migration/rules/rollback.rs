//! The way back: whether a group could go back to blue now without loss, and at which price. Computed at every tick
//! from the flags of those who write its topics, what is observed of them, and a measured reverse translation.

use super::context::RuleContext;
use super::group;
use super::producer;
use crate::base::Side;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::estate::FlagState;
use crate::migration::eos;
use crate::migration::facts::stage::WayBack;
use crate::offsets::verdict::{GroupTranslation, Verdict};

/// A measured reverse translation counts for this long, ms: producers go on writing.
pub const ESTIMATE_AGE_MS: u64 = 300_000;

/// The verdict for a group; `reverse` is a translation to blue with its age in ms, if one was measured.
#[must_use]
pub fn way_back(sight: &RuleContext<'_>, group: &str, reverse: Option<(&GroupTranslation, u64)>) -> WayBack {
    let home = group::rests_on(sight.state.groups.get(group).map(|g| &g.rest));
    // What it reads where it rests is what would go back, whatever it read on blue.
    let mut topics = group::topics_read(sight, group, Side::Blue);
    topics.extend(group::topics_read(sight, group, home));
    if topics.is_empty() {
        return WayBack::Unknown { why: "its topics are not known yet".into() };
    }
    if let Err(r) = sight.check_trusted() {
        return WayBack::Unknown { why: r.why };
    }
    // A group that was deleted where it runs has no position that could be translated; nor has one that can't be seen.
    match sight.fresh_group(group, home) {
        Ok(Some(_)) => {}
        Ok(None) => {
            let any_more = if home == Side::Green { " any more" } else { "" };
            return WayBack::Unknown {
                why: format!("{} does not exist on {home}{any_more}", sight.id_on(group, home)),
            };
        }
        Err(r) => return WayBack::Unknown { why: r.why },
    }
    let unseen = |(topic, side): (&String, Side)| {
        let view = sight.estate.side(side).value()?;
        // Green may lack what nobody provisioned yet; what may be there and is hidden is another matter.
        let unknown = view.hidden_topics.contains_key(topic) || side == Side::Blue && !view.topics.contains_key(topic);
        unknown.then(|| sight.refuse_missing_topic(topic, side, "").why)
    };
    if let Some(why) = topics.iter().flat_map(|t| Side::BOTH.map(|side| (t, side))).find_map(unseen) {
        return WayBack::Unknown { why };
    }
    // What can't be read on either side is neither known to be on blue, nor read there.
    let held = Side::BOTH.into_iter().find_map(|s| Some((s, sight.find_topics_wait(&topics, s)?)));
    let mut unknown = held.map(|(side, waits)| WayBack::Unknown { why: sight.describe_wait(side, &waits) });
    for topic in &topics {
        match topic_way_back(sight, group, topic) {
            WayBack::Exact => {}
            // One topic that is closed shuts the way back for certain, whatever else can't be told.
            closed @ WayBack::Closed { .. } => return closed,
            other => unknown = unknown.or(Some(other)),
        }
    }
    // What was measured says more than what flags promise, in both directions but one: a closed topic stays closed.
    match (reverse.filter(|(_, age)| *age <= ESTIMATE_AGE_MS), unknown) {
        (Some((plan, age)), unknown) => judge_measured(plan, age, unknown),
        (None, Some(unknown)) => unknown,
        (None, None) => WayBack::Exact,
    }
}

fn judge_measured(plan: &GroupTranslation, age: u64, unknown: Option<WayBack>) -> WayBack {
    let bad = |v: Verdict| plan.partitions.iter().find(|p| p.verdict == v);
    if let Some(p) = bad(Verdict::Unmappable).or_else(|| bad(Verdict::Guess)) {
        let why = p.why.clone().unwrap_or_else(|| "no evidence".into());
        return WayBack::Unknown { why: format!("{} can't be mapped to blue: {why}", p.tp) };
    }
    let pending = plan.count_unsettled();
    match (plan.totals.missing, plan.totals.re_read, unknown) {
        // A loss that was counted stands, whatever flags and open transactions leave unknown.
        (Some(n), _, _) if n > 0 => {
            WayBack::Closed { why: format!("{n} records are missing on blue (measured {} ago)", format_duration(age)) }
        }
        (_, _, None) if pending > 0 => WayBack::Unknown {
            why: format!(
                "{pending} records have not arrived on blue, and may never (measured {} ago)",
                format_duration(age)
            ),
        },
        // Verdicts are ordered from the best to the worst: none is worse than PROVEN.
        (Some(_), Some(0), None) if plan.worst_verdict() <= Some(Verdict::Proven) => WayBack::Exact,
        (Some(_), Some(n), None) => WayBack::Bounded { re_read: n },
        (_, _, Some(unknown)) => unknown,
        _ => WayBack::Unknown { why: "the reverse translation could not be counted".into() },
    }
}

fn topic_way_back(sight: &RuleContext<'_>, group: &str, topic: &str) -> WayBack {
    let unknown = |why: String| WayBack::Unknown { why };
    let writers: Vec<_> =
        sight.settings.producers.iter().filter(|(_, p)| p.topics.iter().any(|t| t == topic)).collect();
    if writers.is_empty() {
        return unknown(format!("no producer in the plan writes {topic}", topic = visible_name(topic)));
    }
    let mut dual = false;
    for (name, p) in &writers {
        if !p.has_flag {
            return unknown(format!(
                "producer {name} of {topic} has no flag in the plan",
                name = visible_name(name),
                topic = visible_name(topic)
            ));
        }
        let Some(flag) = sight.estate.flags.get(*name).filter(|f| sight.is_fresh(f)).and_then(|f| f.value()) else {
            return unknown(format!("the flag of producer {name} is not known now", name = visible_name(name)));
        };
        match flag {
            // Nothing that only green holds is left to read, nor was read: blue has the rest.
            FlagState::Green
                if p.is_exactly_once()
                    && eos::green_past(sight, group, topic) == Some(0)
                    && eos::read_past_seam(sight, group, topic) == 0 => {}
            FlagState::Green if p.is_exactly_once() => {
                return WayBack::Closed {
                    why: format!(
                        "{name} writes {topic} to green only: roll {name} back first",
                        name = visible_name(name),
                        topic = visible_name(topic)
                    ),
                };
            }
            FlagState::Green => {
                return WayBack::Closed {
                    why: format!(
                        "{name} writes {topic} to green only: blue has nothing to read",
                        name = visible_name(name),
                        topic = visible_name(topic)
                    ),
                };
            }
            FlagState::Dual => dual = true,
            FlagState::Blue | FlagState::Off => {}
        }
    }
    if !dual {
        return WayBack::Exact;
    }
    match (sight.lag.topic_rate(Side::Blue, topic), sight.lag.topic_rate(Side::Green, topic)) {
        // Both idle is no contradiction; one that moves alone is a producer that does not do what its flag says.
        (Some(b), Some(g)) if producer::is_moving(b) == producer::is_moving(g) => WayBack::Exact,
        (Some(b), Some(_)) => {
            let (on, off) = if producer::is_moving(b) { (Side::Blue, Side::Green) } else { (Side::Green, Side::Blue) };
            unknown(format!("flags say dual, but {topic} moves on {on} and not on {off}", topic = visible_name(topic)))
        }
        _ => unknown(format!("the ends of {topic} were not watched long enough", topic = visible_name(topic))),
    }
}

/// The verdict in words, for dialogs.
#[must_use]
pub fn describe_way_back(way_back: &WayBack) -> String {
    match way_back {
        WayBack::Exact => "EXACT".into(),
        WayBack::Bounded { re_read } => format!("BOUNDED: at most {re_read} re-read"),
        WayBack::Closed { why } => format!("CLOSED: {why}"),
        WayBack::Unknown { why } => format!("UNKNOWN: {why}"),
    }
}

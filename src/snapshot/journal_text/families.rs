//! Families of events in words: what tells of the session, of a run, of a soak, of a replay. Each event is told by one of
//! them; to which it belongs `JournalText::describe_event` alone says.

use std::collections::BTreeSet;

use super::{describe_budget, describe_drain, describe_effect, describe_outcome, describe_seams};
use crate::base::Side;
use crate::base::sanitise::{visible_name, visible_names};
use crate::migration::facts::event::{Event, RunEnd};
use crate::migration::facts::overrides::PassedOver;
use crate::migration::rules::reads::{RememberedReads, RunTopics};
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::firing::describe_fired_trigger;
use crate::migration::tell::edges::describe_gate_turn;
use crate::replay::ReplayEnd;
use crate::replay::ranges::describe_ranges;

/// Who holds the journal, and which clusters it is about.
pub(super) fn describe_session_event(event: &Event) -> String {
    match event {
        Event::Opened { actor, pid, version, clusters: [blue, green] } => {
            let id = |id: &Option<String>| id.as_ref().map_or_else(|| "not seen yet".into(), |id| visible_name(id));
            let (actor, version) = (visible_name(actor), visible_name(version));
            format!("opened by {actor}, pid {pid}, cutover {version}; blue {}, green {}", id(blue), id(green))
        }
        Event::Closed { actor } => format!("closed by {}", visible_name(actor)),
        Event::Pinned { side, cluster_id } => format!("{side} pinned to cluster id {}", visible_name(cluster_id)),
        _ => String::new(),
    }
}

/// What a run did or found, without the run itself.
pub(super) fn describe_run_event(event: &Event) -> String {
    match event {
        Event::StepStarted { step, .. } => format!("step {} begins", step + 1),
        Event::StepDone { step, .. } => format!("step {} done", step + 1),
        Event::Intent { issued, .. } => format!("will {} [{}]", describe_effect(&issued.effect), issued.key),
        Event::Result { key, outcome, .. } => format!("{} [{key}]", describe_outcome(outcome)),
        Event::Reading { reading, .. } => describe_run_topics(reading),
        Event::Drained { proof, .. } => describe_drain(proof),
        Event::Predicted { plan, .. } => format!("predicted exactly after the drain: {}", describe_budget(plan)),
        Event::PassedOver { passed, .. } => describe_passing(passed),
        Event::PointOfNoReturn { .. } => "point of no silent return passed".to_owned(),
        Event::NeedsOperator { why, advice, .. } => format!("needs an operator: {why}; {advice}"),
        Event::Continued { .. } => "continued".to_owned(),
        Event::RunEnded { end, .. } => match end {
            RunEnd::Done => "done".to_owned(),
            RunEnd::ReplacedBy(other) => format!("taken over by run {other}"),
            RunEnd::Failed(why) => format!("failed: {why}"),
        },
        Event::Coupled { group, plan, .. } => {
            format!(
                "{group}, which moves with it, translated after the stop: {}",
                describe_budget(plan),
                group = visible_name(group)
            )
        }
        Event::Seamed { producer, to, seams, .. } => {
            format!("the seam of {producer} to {to}: {}", describe_seams(seams), producer = visible_name(producer))
        }
        _ => String::new(),
    }
}

fn describe_run_topics(reading: &RunTopics) -> String {
    let list = |t: &BTreeSet<String>| t.iter().map(|t| visible_name(t)).collect::<Vec<_>>().join(", ");
    let left = match reading.left.is_empty() {
        true => String::new(),
        false => format!("; left behind: {}", list(&reading.left)),
    };
    format!("its topics are {}{left}", list(&reading.topics))
}

fn describe_passing(passed: &PassedOver) -> String {
    let why = if passed.reason.is_empty() { String::new() } else { format!(": {}", passed.reason) };
    let by = visible_name(&passed.by);
    format!("{}; passed over (gate {}) by {by}{why}", passed.what, passed.gate)
}

/// What the members of a group were seen to read beyond what is committed and listed.
pub(super) fn describe_reads(group: &str, side: Side, reads: &RememberedReads) -> String {
    let topics = reads.topics.iter().map(|t| visible_name(t)).collect::<Vec<_>>().join(", ");
    let topics = if topics.is_empty() { "nothing else".to_owned() } else { topics };
    let streams = reads.streams.as_ref().map(|why| format!("; Kafka Streams: {why}")).unwrap_or_default();
    format!("{} reads on {side}, without having committed there: {topics}{streams}", visible_name(group))
}

/// What a soak is compared with, and what turned in it.
pub(super) fn describe_soak_event(event: &Event) -> String {
    match event {
        Event::TriggerFired { group, trigger, why, way_back, countdown_ms, .. } => {
            format!(
                "{group}: {}",
                describe_fired_trigger(trigger, why, way_back, *countdown_ms),
                group = visible_name(group)
            )
        }
        Event::TriggerCleared { group, trigger } => {
            format!(
                "{group}: trigger {trigger} is not met any more, and nothing was done",
                group = visible_name(group),
                trigger = visible_name(trigger)
            )
        }
        Event::Baselined { group, metric: Metric::DlqGrowth, value, .. } => {
            format!(
                "{group}: its dead-letter topic on green holds {value:.0} records before the soak",
                group = visible_name(group)
            )
        }
        Event::Baselined { group, metric, value, samples } => {
            let of = samples.map(|n| format!(": the middle of {n} samples")).unwrap_or_default();
            format!(
                "{group}: baseline of {} is {}, measured on blue{of}",
                metric.label(),
                metric.format_value(*value),
                group = visible_name(group)
            )
        }
        Event::GateTurned { group, metric, gate } => describe_gate_turn(group, *metric, gate),
        _ => String::new(),
    }
}

/// A replay's entries in words.
pub(super) fn describe_replay(event: &Event) -> String {
    match event {
        Event::ReplayStarted { replay, spec, confirmed, reordered } => {
            let replay = visible_name(replay);
            let order = match reordered {
                Some(0) | None => String::new(),
                Some(keys) => format!(", behind newer records of {keys} keys"),
            };
            format!(
                "replay {replay}: carries {} records ({} bytes) of {} from {} to {}{order}, confirmed with \"{confirmed}\"",
                spec.records,
                spec.bytes,
                describe_ranges(&spec.ranges, 3),
                spec.from,
                visible_names(spec.target_topics())
            )
        }
        Event::ReplayResumed { replay } => format!("replay {}: goes on", visible_name(replay)),
        Event::ReplayEnded { replay, end: ReplayEnd::Done { carried, verified } } => {
            let read = match verified {
                Some(true) => ", read back: each record once",
                Some(false) => ", READ BACK: NOT EACH RECORD ONCE",
                None => "",
            };
            format!("replay {}: done, {carried} records in this go{read}", visible_name(replay))
        }
        Event::ReplayEnded { replay, end: ReplayEnd::Stopped { carried, why } } => {
            format!("replay {}: stopped after {carried} records: {why}", visible_name(replay))
        }
        _ => String::new(),
    }
}

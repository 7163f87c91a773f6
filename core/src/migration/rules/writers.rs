//! Who writes what a group reads, and whether it may go to a side for them.

use std::collections::BTreeSet;

use super::context::RuleContext;
use super::group::PreflightFacts;
use super::producer;
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::estate::FlagState;
use crate::migration::eos;
use crate::migration::facts::command::{Refusal, Subject};
use crate::migration::facts::settings::ProducerSettings;

/// Who writes what the group reads must write on the side it goes to; and nobody of them may be moving.
/// `topics`: what goes along.
pub(in crate::migration) fn check_producers(
    sight: &RuleContext<'_>,
    group: &str,
    to: Side,
    topics: &BTreeSet<String>,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    let mut writers = Vec::new();
    for topic in topics {
        let mut any = false;
        for (name, p) in sight.settings.producers.iter().filter(|(_, p)| p.topics.contains(topic)) {
            any = true;
            if let Some(flag) = find_writing_flag(sight, group, (name, p), topic, to, facts)? {
                writers.push(format!("{name}:{flag}", name = visible_name(name)));
            }
        }
        if !any {
            facts.warnings.push(format!("no producer in the plan writes {topic}", topic = visible_name(topic)));
        }
    }
    // Only neighbours: this is compared with itself, so it need not be shortest, only the same.
    writers.dedup();
    facts.digest.insert("producers", writers.join(" "));
    Ok(())
}

/// By which flag a producer writes a topic that the group reads, if that is known; refused where the group would miss
/// what it writes, or may.
fn find_writing_flag(
    sight: &RuleContext<'_>,
    group: &str,
    (name, p): (&str, &ProducerSettings),
    topic: &str,
    to: Side,
    facts: &mut PreflightFacts,
) -> Result<Option<FlagState>, Refusal> {
    // A rehearsal moves nobody.
    if sight.state.open_run(&Subject::Producer(name.to_owned())).is_some_and(|r| !r.dry_run) {
        return Err(Refusal::holds(
            format!(
                "producer {name} of {topic} is being moved: {group} stays where it is meanwhile",
                name = visible_name(name),
                topic = visible_name(topic),
                group = visible_name(group)
            ),
            format!("wait until {name} rests", name = visible_name(name)),
        ));
    }
    let alone = FlagState::only_on(to.other());
    match producer::current_flag(sight, name) {
        Some(f) if f == alone && p.is_exactly_once() => {
            facts.warnings.extend(eos::check_may_leave(sight, group, name, topic, to)?);
            Ok(Some(f))
        }
        Some(f) if f == alone => Err(Refusal::holds(
            format!(
                "{name} writes {topic} to {f} only: on {to} the group would miss what it writes",
                name = visible_name(name),
                topic = visible_name(topic)
            ),
            format!("route {name} to dual first", name = visible_name(name)),
        )),
        Some(f) => Ok(Some(f)),
        // A person's flag can't be read: where its topics show nothing, waiting would be for ever.
        None if p.has_flag && !p.flag_by_hand => Err(Refusal::unknown(
            format!(
                "where {name} writes {topic} is not known now: its flag can't be read",
                name = visible_name(name),
                topic = visible_name(topic)
            ),
            "wait until its flag can be read",
        )),
        None => {
            facts.warnings.push(format!(
                "where {name} writes {topic} is not known now",
                name = visible_name(name),
                topic = visible_name(topic)
            ));
            Ok(None)
        }
    }
}

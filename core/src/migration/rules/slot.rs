//! When a group is planned to move: its window, and its day. A cutover outside of them holds, and is passed over by name;
//! the way back waits for no window.

use super::context::RuleContext;
use super::group::PreflightFacts;
use crate::base::At;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::migration::facts::overrides::{GateName, HeldGate};
use crate::migration::facts::settings::Slot;
use crate::migration::tell::prepare_move::PAUSE_MS;

/// When a group's time is.
enum SlotTiming {
    /// Now, until then.
    Now(At),
    /// Not now, and why.
    Not(String),
}

/// Puts among the facts what the time that the plan gives a group says of a cutover now: a gate, or a warning.
pub(in crate::migration) fn note_slot(sight: &RuleContext<'_>, group: &str, facts: &mut PreflightFacts) {
    let Some(settings) = sight.settings.groups.get(group) else { return };
    let Some(slot) = &settings.slot else { return };
    match slot_timing(sight, slot) {
        SlotTiming::Not(why) => facts.gates.push(HeldGate::new(
            GateName::Window,
            None,
            format!("{group} {why}", group = visible_name(group)),
        )),
        SlotTiming::Now(until) => {
            let (left, needs) = (until.since(sight.now), settings.drain_timeout_ms.saturating_add(PAUSE_MS));
            if left < needs {
                let name = slot.window.as_deref().unwrap_or("its day");
                facts.warnings.push(format!(
                    "{name} closes in {}, and a drain may take {}",
                    format_duration(left),
                    format_duration(needs),
                    name = visible_name(name)
                ));
            }
        }
    }
}

fn slot_timing(sight: &RuleContext<'_>, slot: &Slot) -> SlotTiming {
    let now = sight.now;
    let name = slot.window.as_deref();
    let when = name.map_or_else(String::new, |name| format!(" in {name}", name = visible_name(name)));
    if let Some((from, until)) = slot.day {
        return match () {
            () if now < from => {
                SlotTiming::Not(format!("is planned{when} in {}, not now", format_duration(from.since(now))))
            }
            () if now < until => SlotTiming::Now(until),
            // A day that is over holds like one that is to come: the plan's word for it is used up.
            () => SlotTiming::Not(format!("was planned{when}, which closed {} ago", format_duration(now.since(until)))),
        };
    }
    let Some(name) = name else {
        return SlotTiming::Not("is planned for a day that can't be told: see its date".into());
    };
    let window = sight.estate.windows.iter().find(|w| w.name == name);
    match window.map(|w| (w.open_until, w.opens)) {
        Some((Some(until), _)) => SlotTiming::Now(until),
        Some((None, Some(opens))) => SlotTiming::Not(format!(
            "moves in {name}, which opens in {}",
            format_duration(opens.since(now)),
            name = visible_name(name)
        )),
        _ => SlotTiming::Not(format!("moves in {name}, and when that opens can't be told", name = visible_name(name))),
    }
}

//! When a group is planned to move: its window, and its day. A cutover outside of them holds, and is passed over by name;
//! the way back waits for no window.

use super::context::Sight;
use super::group::Facts;
use crate::base::At;
use crate::base::sanitise::visible_name;
use crate::base::span;
use crate::migration::facts::overrides::{GateName, Held};
use crate::migration::facts::settings::Slot;
use crate::migration::tell::prepare::PAUSE_MS;

/// When a group's time is.
enum Due {
    /// Now, until then.
    Now(At),
    /// Not now, and why.
    Not(String),
}

/// Holds a cutover of a group against the time that the plan gives it.
pub(in crate::migration) fn check(sight: &Sight<'_>, group: &str, facts: &mut Facts) {
    let Some(settings) = sight.settings.groups.get(group) else { return };
    let Some(slot) = &settings.slot else { return };
    match due(sight, slot) {
        Due::Not(why) => {
            facts.gates.push(Held::new(GateName::Window, None, format!("{group} {why}", group = visible_name(group))))
        }
        Due::Now(until) => {
            let (left, needs) = (until.since(sight.now), settings.drain_timeout_ms.saturating_add(PAUSE_MS));
            if left < needs {
                let name = slot.window.as_deref().unwrap_or("its day");
                facts.warnings.push(format!(
                    "{name} closes in {}, and a drain may take {}",
                    span(left),
                    span(needs),
                    name = visible_name(name)
                ));
            }
        }
    }
}

fn due(sight: &Sight<'_>, slot: &Slot) -> Due {
    let now = sight.now;
    let name = slot.window.as_deref();
    let when = name.map_or_else(String::new, |name| format!(" in {name}", name = visible_name(name)));
    if let Some((from, until)) = slot.day {
        return match () {
            () if now < from => Due::Not(format!("is planned{when} in {}, not now", span(from.since(now)))),
            () if now < until => Due::Now(until),
            () => Due::Not(format!("was planned{when}, which closed {} ago", span(now.since(until)))),
        };
    }
    let Some(name) = name else { return Due::Not("is planned for a day that can't be told: see its date".into()) };
    let window = sight.estate.windows.iter().find(|w| w.name == name);
    match window.map(|w| (w.open_until, w.opens)) {
        Some((Some(until), _)) => Due::Now(until),
        Some((None, Some(opens))) => {
            Due::Not(format!("moves in {name}, which opens in {}", span(opens.since(now)), name = visible_name(name)))
        }
        _ => Due::Not(format!("moves in {name}, and when that opens can't be told", name = visible_name(name))),
    }
}

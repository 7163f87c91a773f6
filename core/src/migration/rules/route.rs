//! Whether a producer may be routed: one step at a time between blue, dual and green, and nobody is starved.

use std::collections::BTreeSet;

use super::context::RuleContext;
use super::group;
use super::producer::{ReaderStatus, UnknownReaders, check_topics_exist, current_flag, name_first, reads_on};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::estate::FlagState;
use crate::migration::facts::command::{Refusal, Subject};
use crate::migration::facts::overrides::{GateName, HeldGate, Override};
use crate::migration::facts::settings::ProducerSettings;

/// A producer that may be routed.
pub(crate) struct Routable<'a> {
    /// The plan's entry.
    pub settings: &'a ProducerSettings,
    /// Its flag as it stands.
    pub from: FlagState,
    /// What can't be told, and is passed over by name.
    pub gates: Vec<HeldGate>,
}

/// A producer that may be routed to `to` now; or why not.
pub(crate) fn check_route<'a>(
    sight: &RuleContext<'a>,
    name: &str,
    to: FlagState,
    overrides: &[Override],
) -> Result<Routable<'a>, Refusal> {
    let p = find_routable(sight, name)?;
    sight.check_reachable()?;
    sight.check_identities()?;
    for side in Side::BOTH {
        sight.fresh_cluster(side)?;
    }
    let Some(from) = current_flag(sight, name) else {
        return Err(Refusal::unknown(
            format!("the flag of {name} is not known now", name = visible_name(name)),
            "wait until its flag can be read",
        ));
    };
    check_one_step(name, p.critical, from, to)?;
    let gates = match side_left(to) {
        Some(side) => {
            let untold = gather_untold_readers(sight, name, p, side)?;
            pass_untold(&untold, name, side, overrides)?
        }
        None => {
            p.topics.iter().try_for_each(|topic| check_nobody_moves(sight, name, topic))?;
            Vec::new()
        }
    };
    // Wherever it will write.
    check_topics_exist(sight, name, p, sides_written(to))?;
    Ok(Routable { settings: p, from, gates })
}

/// The plan's entry of a producer that has a flag to be set, or why it is never routed.
fn find_routable<'a>(sight: &RuleContext<'a>, name: &str) -> Result<&'a ProducerSettings, Refusal> {
    let Some(p) = sight.settings.producers.get(name) else {
        return Err(Refusal::refused(
            format!("producer {name} is not in the plan", name = visible_name(name)),
            "add a [[producers]] entry for it",
        ));
    };
    if p.is_exactly_once() {
        return Err(Refusal::refused(
            format!(
                "{name} is transactional: a transaction can't span clusters, so it is never dual and never just routed",
                name = visible_name(name)
            ),
            format!(
                "cut it over as a whole: `e` in the cockpit, or cutover producer cutover {name}",
                name = visible_name(name)
            ),
        ));
    }
    if !p.has_flag {
        return Err(Refusal::refused(
            format!("{name} has no flag in the plan", name = visible_name(name)),
            "give its [[producers]] entry a flag",
        ));
    }
    Ok(p)
}

/// The side that a producer does not write any more by this flag.
fn side_left(to: FlagState) -> Option<Side> {
    match to {
        FlagState::Green => Some(Side::Blue),
        FlagState::Blue => Some(Side::Green),
        FlagState::Dual | FlagState::Off => None,
    }
}

/// The sides that a producer writes by this flag.
fn sides_written(to: FlagState) -> &'static [Side] {
    match to {
        FlagState::Dual => &Side::BOTH,
        FlagState::Green => &[Side::Green],
        FlagState::Blue => &[Side::Blue],
        FlagState::Off => &[],
    }
}

fn check_one_step(name: &str, critical: bool, from: FlagState, to: FlagState) -> Result<(), Refusal> {
    use FlagState::{Blue, Dual, Green, Off};
    let no = |why: String, advice: &str| Err(Refusal::refused(why, advice));
    match (from, to) {
        _ if from == to => no(format!("{name} is {to} already", name = visible_name(name)), "nothing to do"),
        (_, Off) => no(
            format!("stopping {name} is part of a seam cut, which a later version has", name = visible_name(name)),
            "stop it by hand if you have to",
        ),
        (Off, Dual | Green) => no(
            format!("{name} is off: it starts on blue first", name = visible_name(name)),
            "route it to blue, then to dual",
        ),
        (Blue, Green) if critical => no(
            format!("{name} is critical: it passes through dual", name = visible_name(name)),
            "route it to dual first, and prove parity",
        ),
        (Green, Blue) => {
            no(format!("{name} goes back one step at a time", name = visible_name(name)), "route it to dual first")
        }
        (Blue, Dual | Green) | (Dual, Blue | Green) | (Green, Dual) | (Off, Blue) => Ok(()),
        _ => no(
            format!("{name} can't go from {from} to {to}", name = visible_name(name)),
            "one step at a time: blue, dual, green",
        ),
    }
}

/// Producers and consumers of one topic never move at the same time.
fn check_nobody_moves(sight: &RuleContext<'_>, name: &str, topic: &str) -> Result<(), Refusal> {
    for group in sight.settings.groups.keys() {
        if sight.state.open_run(&Subject::Group(group.clone())).is_some_and(|r| !r.dry_run)
            && group::topics_read(sight, group, Side::Blue).iter().any(|t| t == topic)
        {
            return Err(Refusal::holds(
                format!(
                    "group {group} of {topic} is being moved: {name} stays where it is meanwhile",
                    group = visible_name(group),
                    topic = visible_name(topic),
                    name = visible_name(name)
                ),
                format!("wait until {group} rests", group = visible_name(group)),
            ));
        }
    }
    Ok(())
}

/// The groups of which it can't be told whether they would starve on the side that is left; refused where one of the
/// readers is being moved, or would starve for certain.
fn gather_untold_readers(
    sight: &RuleContext<'_>,
    name: &str,
    p: &ProducerSettings,
    left: Side,
) -> Result<UnknownReaders, Refusal> {
    let mut untold = UnknownReaders::default();
    for topic in &p.topics {
        check_nobody_moves(sight, name, topic)?;
        check_nobody_starves(sight, name, topic, left, &mut untold)?;
    }
    Ok(untold)
}

/// Groups of which it can't be told whether they would starve hold a routing, or are passed over by name.
fn pass_untold(
    untold: &UnknownReaders,
    name: &str,
    left: Side,
    overrides: &[Override],
) -> Result<Vec<HeldGate>, Refusal> {
    if untold.is_empty() {
        return Ok(Vec::new());
    }
    let why = untold.describe_groups(&format!(
        "what {name} writes: on {left} it would read nothing new",
        name = visible_name(name)
    ));
    if !overrides.iter().any(|o| o.gate == GateName::Readers) {
        let refusal = Refusal::unknown(why, untold.advice()).with_gate(GateName::Readers);
        return Err(refusal.told_in(untold.told_in_ms()));
    }
    Ok(vec![HeldGate { names: untold.names(), ..HeldGate::new(GateName::Readers, None, why) }])
}

/// No group may be left reading a topic on a side that nobody writes any more. `untold`: groups of which that can't be
/// told.
fn check_nobody_starves(
    sight: &RuleContext<'_>,
    name: &str,
    topic: &str,
    side: Side,
    untold: &mut UnknownReaders,
) -> Result<(), Refusal> {
    let view = sight.fresh_cluster(side)?;
    // Where these rest the journal says.
    let planned: BTreeSet<&str> = sight.settings.groups.keys().map(|group| sight.id_on(group, side)).collect();
    let mut readers: Vec<&str> = Vec::new();
    for (id, seen) in &view.groups {
        match reads_on(sight, (side, id.as_str()), seen, topic) {
            ReaderStatus::Yes => readers.push(id),
            ReaderStatus::Watched { .. } if planned.contains(id.as_str()) => {}
            reads => untold.note_group(id, reads),
        }
    }
    for group in sight.settings.groups.keys() {
        let id = sight.id_on(group, side);
        let rests_here = group::rests_on(sight.state.groups.get(group).map(|g| &g.rest)) == side;
        if rests_here && !readers.contains(&id) && group::topics_read(sight, group, side).iter().any(|t| t == topic) {
            readers.push(id);
        }
    }
    if readers.is_empty() {
        return Ok(());
    }
    readers.sort_unstable();
    Err(Refusal::holds(
        format!(
            "{names} would starve: {topic} is still read on {side}, and {name} would not write there any more",
            names = name_first(readers.iter()),
            topic = visible_name(topic),
            name = visible_name(name)
        ),
        format!("move the readers to {} first, or keep {name} dual", side.other(), name = visible_name(name)),
    ))
}

//! The rules for producers: one step at a time between blue, dual and green, and nobody is starved.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::app;
use super::command::{Refusal, Subject};
use super::estate::{At, FlagState, GroupState, GroupView, Observed, Side};
use super::group;
use super::overrides::{GateName, Held, Override};
use super::settings::ProducerSettings;
use super::sight::Sight;

/// A group that only commits reads as long as one of its commits moved so recently, ms; and it is known not to once it was
/// watched for as long without one.
const ALIVE_MS: u64 = 600_000;

/// Writing seen at the ends of a producer's topics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ObservedWriting {
    /// Records a second on blue.
    pub blue_rate: Option<f64>,
    /// Records a second on green.
    pub green_rate: Option<f64>,
    /// Topics that other producers of the plan write too: not attributable.
    pub shared: Vec<String>,
    /// When.
    pub at: Option<At>,
}

/// Whether a rate counts as movement: more than one record in a thousand seconds.
#[must_use]
pub fn moves(rate: f64) -> bool {
    rate > 0.001
}

/// What the ends of its topics show.
#[must_use]
pub fn observed(sight: &Sight<'_>, name: &str, p: &ProducerSettings) -> ObservedWriting {
    let rate = |side: Side| {
        let rates = p.topics.iter().map(|t| sight.lag.topic_rate(side, t));
        rates.sum::<Option<f64>>().filter(|_| !p.topics.is_empty() && sight.is_fresh(sight.estate.side(side)))
    };
    let at = |side: Side| match sight.estate.side(side) {
        Observed::Known { at, .. } => Some(*at),
        Observed::Absent { .. } => None,
    };
    ObservedWriting {
        blue_rate: rate(Side::Blue),
        green_rate: rate(Side::Green),
        shared: p.topics.iter().filter(|t| is_shared(sight, name, t)).cloned().collect(),
        at: at(Side::Blue).min(at(Side::Green)),
    }
}

fn is_shared(sight: &Sight<'_>, name: &str, topic: &str) -> bool {
    sight.settings.producers.iter().any(|(n, p)| n != name && p.topics.iter().any(|t| t == topic))
}

/// The flag as configured, if it is known now.
#[must_use]
pub fn flag(sight: &Sight<'_>, name: &str) -> Option<FlagState> {
    sight.estate.flags.get(name)?.fresh(sight.now, sight.settings.stale_after_ms).copied()
}

/// Flag and observation contradict each other, in words. Topics that others write too prove nothing.
#[must_use]
pub fn disagreement(sight: &Sight<'_>, name: &str, p: &ProducerSettings) -> Option<String> {
    let flag = flag(sight, name)?;
    p.topics.iter().filter(|t| !is_shared(sight, name, t)).find_map(|t| {
        let fresh = Side::BOTH.into_iter().all(|s| sight.is_fresh(sight.estate.side(s)));
        let on = |side| sight.lag.topic_rate(side, t).filter(|_| fresh).map(moves);
        contradiction(flag, on(Side::Blue)?, on(Side::Green)?).map(|what| format!("flag says {flag}, but {t} {what}"))
    })
}

fn contradiction(flag: FlagState, blue: bool, green: bool) -> Option<&'static str> {
    match (flag, blue, green) {
        (FlagState::Blue, _, true) => Some("is written on green"),
        (FlagState::Green, true, _) => Some("is written on blue"),
        (FlagState::Off, true, _) => Some("is written on blue"),
        (FlagState::Off, _, true) => Some("is written on green"),
        (FlagState::Dual, true, false) => Some("is written on blue only"),
        (FlagState::Dual, false, true) => Some("is written on green only"),
        _ => None,
    }
}

/// Whether the ends show what a flag set to `to` promises: `None` while nothing moves or it can't be told.
#[must_use]
pub fn seen_writing(sight: &Sight<'_>, name: &str, p: &ProducerSettings, to: FlagState) -> Option<bool> {
    let mut any = false;
    for t in p.topics.iter().filter(|t| !is_shared(sight, name, t)) {
        let (b, g) = (sight.lag.topic_rate(Side::Blue, t)?, sight.lag.topic_rate(Side::Green, t)?);
        any |= moves(b) || moves(g);
        if contradiction(to, moves(b), moves(g)).is_some() {
            return Some(false);
        }
    }
    any.then_some(true)
}

/// Whether a producer is proven to be migrated: dual or green by its flag, and by what is observed.
#[must_use]
pub fn proven(sight: &Sight<'_>, name: &str, p: &ProducerSettings) -> bool {
    if p.is_exactly_once() {
        return sight.state.producer_rests_on(name) == Side::Green;
    }
    let flagged = flag(sight, name).is_some_and(|f| matches!(f, FlagState::Dual | FlagState::Green));
    let seen = observed(sight, name, p);
    let green = seen.green_rate.is_some_and(moves);
    flagged && green && seen.blue_rate.is_some() && disagreement(sight, name, p).is_none()
}

/// A producer that may be routed.
pub struct Routable<'a> {
    /// The plan's entry.
    pub settings: &'a ProducerSettings,
    /// Its flag as it stands.
    pub from: FlagState,
    /// What can't be told, and is passed over by name.
    pub gates: Vec<Held>,
}

/// A producer that may be routed to `to` now; or why not.
pub fn may_route<'a>(
    sight: &Sight<'a>,
    name: &str,
    to: FlagState,
    overrides: &[Override],
) -> Result<Routable<'a>, Refusal> {
    let Some(p) = sight.settings.producers.get(name) else {
        return Err(Refusal::refused(
            format!("producer {name} is not in the plan"),
            "add a [[producers]] entry for it",
        ));
    };
    if p.is_exactly_once() {
        return Err(Refusal::refused(
            format!(
                "{name} is transactional: a transaction can't span clusters, so it is never dual and never just routed"
            ),
            format!("cut it over as a whole: `e` in the cockpit, or cutover producer cutover {name}"),
        ));
    }
    if !p.has_flag {
        return Err(Refusal::refused(format!("{name} has no flag in the plan"), "give its [[producers]] entry a flag"));
    }
    sight.may_be_seen()?;
    sight.identities()?;
    for side in Side::BOTH {
        sight.fresh(side)?;
    }
    let Some(from) = flag(sight, name) else {
        return Err(Refusal::unknown(
            format!("the flag of {name} is not known now"),
            "wait until its flag can be read",
        ));
    };
    one_step(name, p.critical, from, to)?;
    let mut hidden = BTreeSet::new();
    let left = match to {
        FlagState::Green => Some(Side::Blue),
        FlagState::Blue => Some(Side::Green),
        FlagState::Dual | FlagState::Off => None,
    };
    for topic in &p.topics {
        nobody_moves(sight, name, topic)?;
        if let Some(side) = left {
            nobody_starves(sight, name, topic, side, &mut hidden)?;
        }
    }
    let mut gates = Vec::new();
    if let Some(side) = left.filter(|_| !hidden.is_empty()) {
        let some: Vec<&str> = hidden.iter().take(5).map(String::as_str).collect();
        let more = if hidden.len() > 5 { format!(" and {} more", hidden.len() - 5) } else { String::new() };
        let why = format!(
            "it can't be told whether {}{more} reads what {name} writes: on {side} it would read nothing new",
            some.join(", ")
        );
        let held = Held { names: hidden.into_iter().collect(), ..Held::new(GateName::Readers, None, why) };
        if !overrides.iter().any(|o| o.gate == GateName::Readers) {
            return Err(Refusal::unknown(held.why.clone(), held.advice()).of(GateName::Readers));
        }
        gates.push(held);
    }
    if to == FlagState::Dual {
        topics_exist(sight, name, p)?;
    }
    Ok(Routable { settings: p, from, gates })
}

fn one_step(name: &str, critical: bool, from: FlagState, to: FlagState) -> Result<(), Refusal> {
    use FlagState::{Blue, Dual, Green, Off};
    let no = |why: String, advice: &str| Err(Refusal::refused(why, advice));
    match (from, to) {
        _ if from == to => no(format!("{name} is {to} already"), "nothing to do"),
        (_, Off) => no(
            format!("stopping {name} is part of a seam cut, which a later version has"),
            "stop it by hand if you have to",
        ),
        (Off, Dual | Green) => no(format!("{name} is off: it starts on blue first"), "route it to blue, then to dual"),
        (Blue, Green) if critical => {
            no(format!("{name} is critical: it passes through dual"), "route it to dual first, and prove parity")
        }
        (Green, Blue) => no(format!("{name} goes back one step at a time"), "route it to dual first"),
        (Blue, Dual | Green) | (Dual, Blue | Green) | (Green, Dual) | (Off, Blue) => Ok(()),
        _ => no(format!("{name} can't go from {from} to {to}"), "one step at a time: blue, dual, green"),
    }
}

/// Producers and consumers of one topic never move at the same time (01-product, phase 3).
fn nobody_moves(sight: &Sight<'_>, name: &str, topic: &str) -> Result<(), Refusal> {
    for group in sight.settings.groups.keys() {
        if sight.state.open_run(&Subject::Group(group.clone())).is_some_and(|r| !r.dry_run)
            && group::topics(sight, group, Side::Blue).iter().any(|t| t == topic)
        {
            return Err(Refusal::holds(
                format!("group {group} of {topic} is being moved: {name} stays where it is meanwhile"),
                format!("wait until {group} rests"),
            ));
        }
    }
    Ok(())
}

/// No group may be left reading a topic on a side that nobody writes any more. `hidden`: groups of which that can't be
/// told.
fn nobody_starves(
    sight: &Sight<'_>,
    name: &str,
    topic: &str,
    side: Side,
    hidden: &mut BTreeSet<String>,
) -> Result<(), Refusal> {
    let view = sight.fresh(side)?;
    // Where these rest the journal says.
    let planned: BTreeSet<&str> = sight.settings.groups.keys().map(|group| sight.id_on(group, side)).collect();
    let mut readers: Vec<&str> = Vec::new();
    for (id, seen) in &view.groups {
        match reads(seen, topic) {
            Some(true) => readers.push(id),
            // Nobody is in it, and it reads all the same as long as its commits move.
            Some(false) if seen.offsets.contains_key(topic) && app::only_commits(seen) => {
                match commits_move(sight, side, id) {
                    Some(true) => readers.push(id),
                    None if !planned.contains(id.as_str()) => drop(hidden.insert(id.clone())),
                    _ => {}
                }
            }
            Some(false) => {}
            None => drop(hidden.insert(id.clone())),
        }
    }
    for group in sight.settings.groups.keys() {
        let id = sight.id_on(group, side);
        let rests_here = group::rests_on(sight.state.groups.get(group).map(|g| &g.rest)) == side;
        if rests_here && !readers.contains(&id) && group::topics(sight, group, side).iter().any(|t| t == topic) {
            readers.push(id);
        }
    }
    if readers.is_empty() {
        return Ok(());
    }
    readers.sort_unstable();
    let more = if readers.len() > 5 { format!(" and {} more", readers.len() - 5) } else { String::new() };
    let names = readers.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    Err(Refusal::holds(
        format!(
            "{names}{more} would starve: {topic} is still read on {side}, and {name} would not write there any more"
        ),
        format!("move the readers to {} first, or keep {name} dual", side.other()),
    ))
}

/// Whether the commits of a group move; `None` while it was not watched for long enough to tell.
fn commits_move(sight: &Sight<'_>, side: Side, id: &str) -> Option<bool> {
    let lately = |at: At| sight.now.since(at) <= ALIVE_MS;
    match (sight.lag.commits_moved_at(side, id), sight.lag.watched_since(side, id)) {
        (Some(moved), _) => Some(lately(moved)),
        (None, Some(since)) if !lately(since) => Some(false),
        (None, _) => None,
    }
}

/// Whether a group reads a topic now; `None` when that can't be told.
pub(super) fn reads(group: &GroupView, topic: &str) -> Option<bool> {
    if group.members.is_empty() && matches!(group.state, GroupState::Empty | GroupState::Dead) {
        return Some(false);
    }
    if app::reads_nothing(group) {
        return Some(group.offsets.contains_key(topic));
    }
    let members = || group.members.iter();
    if group.offsets.contains_key(topic)
        || members().flat_map(|m| &m.assigned).any(|a| a.topic == topic)
        || members().flat_map(|m| &m.subscribed).any(|t| t == topic)
    {
        return Some(true);
    }
    // A member without assignment, in a group without commits: it may be about to read anything.
    let nothing_known = group.offsets.is_empty() && group.members.iter().all(|m| m.assigned.is_empty());
    if nothing_known || group.trouble.is_some() { None } else { Some(false) }
}

pub(super) fn topics_exist(sight: &Sight<'_>, name: &str, p: &ProducerSettings) -> Result<(), Refusal> {
    let (blue, green) = (sight.fresh(Side::Blue)?, sight.fresh(Side::Green)?);
    for t in &p.topics {
        let (Some(b), Some(g)) = (blue.topics.get(t), green.topics.get(t)) else {
            let side = if blue.topics.contains_key(t) { Side::Green } else { Side::Blue };
            return Err(sight.no_topic(t, side, &format!("create it first: {name} writes it")));
        };
        if b.partitions.len() != g.partitions.len() {
            return Err(Refusal::refused(
                format!("topic {t} has {} partitions on blue and {} on green", b.partitions.len(), g.partitions.len()),
                "make them equal first: keys would land elsewhere",
            ));
        }
    }
    Ok(())
}

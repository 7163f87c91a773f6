//! The side that an exactly-once producer left, while its way back is kept: it must stand where the seam says, and
//! nobody may come back past the fence.

use super::gate::initialised_again;
use super::look::EosLook;
use super::seam::Seam;
use super::switch::{rogue_advice, writer};
use crate::migration::command::Subject;
use crate::migration::estate::{At, Observed, Side};
use crate::migration::event::Event;
use crate::migration::machine::{CONTROLLER, Machine};
use crate::migration::settings::ProducerSettings;
use crate::migration::stage::Stage;

/// Between what one alarm names, and how much that is at most: the rest is named by the next.
const NEXT: &str = "; ";
const AT_ONCE: usize = 5;

/// Something on the side that was left that is not as it was left.
pub(super) struct Rogue {
    /// What, with its value: another value is another thing.
    what: String,
    /// Who, as far as that can be told; leaders forget.
    who: String,
}

impl Rogue {
    pub(super) fn words(self) -> String {
        self.what + &self.who
    }
}

impl Machine {
    /// Exactly-once producers that must be looked at every second or so: those that are being moved, and those whose
    /// left side is watched.
    #[must_use]
    pub fn eos_focus(&self, _now: At) -> Vec<String> {
        let moving = |name: &str| matches!(self.producer_stage(name), Stage::Moving { .. });
        let producers = self.settings.producers.iter().filter(|(_, p)| p.is_exactly_once()).map(|(name, _)| name);
        producers.filter(|name| self.watched_since(name).is_some() || moving(name)).cloned().collect()
    }

    /// Since when the side that a producer left is watched.
    fn watched_since(&self, name: &str) -> Option<At> {
        match self.state.producers.get(name)?.rest {
            Stage::Soaking { since } => Some(since),
            Stage::RolledBack { at } => Some(at),
            _ => None,
        }
    }

    /// Alarms by name: a log that moves on the side that was left, or an id that was initialised past its fence.
    pub(in crate::migration) fn watch_hard(&mut self, now: At) {
        let mut alarms = Vec::new();
        for (name, state) in &self.state.producers {
            let free = self.state.open_run(&Subject::Producer(name.clone())).is_none_or(|r| r.dry_run);
            let (Some(since), Some(run), true) = (self.watched_since(name), state.run, state.alarm.is_none() && free)
            else {
                continue;
            };
            let left = state.rests_on().other();
            let new: Vec<String> = self.rogues(name, left, since).into_iter().map(Rogue::words).collect();
            if !new.is_empty() {
                alarms.push((run, left, new.join(NEXT)));
            }
        }
        for (run, side, why) in alarms {
            self.emit(CONTROLLER, Event::NeedsOperator { run, why, advice: rogue_advice(side) }, now);
        }
    }

    /// Who wrote, or initialised an id, on the side that was left, but for what a person has seen as it is now; empty
    /// also while it can't be told.
    fn rogues(&self, name: &str, left: Side, since: At) -> Vec<Rogue> {
        let Some((plan, state)) = self.settings.producers.get(name).zip(self.state.producers.get(name)) else {
            return Vec::new();
        };
        let look = match self.estate.eos(left, name) {
            Some(Observed::Known { value, at, .. }) if *at > since => value,
            _ => return Vec::new(),
        };
        let Some((_, seams)) = self.seam_of(name, left.other()) else { return Vec::new() };
        let fenced = state.fenced.get(&left).into_iter().flatten();
        let again = fenced.filter_map(|f| initialised_again(look, std::slice::from_ref(f), left));
        let again = again.map(|what| Rogue { what, who: String::new() });
        let seen = self.forgiven.get(name);
        let forgiven = |r: &Rogue| seen.is_some_and(|seen| seen.iter().any(|what| what.starts_with(&r.what)));
        let all = all_moved(look, &seams, true, left, plan).into_iter().chain(again);
        all.filter(|r| !forgiven(r)).take(AT_ONCE).collect()
    }

    /// A person has seen the alarm: what it names is not raised again while it stays as it was.
    pub(in crate::migration) fn forgive(&mut self, name: &str) {
        if let Some((why, _)) = self.state.producers.get(name).and_then(|p| p.alarm.clone()) {
            let seen = self.forgiven.entry(name.to_owned()).or_default();
            seen.extend(why.split(NEXT).map(str::to_owned));
        }
    }
}

/// Every partition that is not where the seam says (`source`: the side that was left), with who wrote there last.
pub(super) fn all_moved(
    look: &EosLook,
    seams: &[Seam],
    source: bool,
    side: Side,
    plan: &ProducerSettings,
) -> Vec<Rogue> {
    let moved = look.ends.iter().filter_map(|(tp, e)| {
        let is = e.high_watermark;
        let seam = seams.iter().find(|s| s.tp == *tp).map(|s| if source { s.source } else { s.target });
        let what = match seam {
            Some(at) if at != is => format!("{tp} ends at {is} on {side}, and the seam is at {at}"),
            None if is > 0 => format!("{tp} was written on {side} up to {is}, and has no seam"),
            _ => return None,
        };
        Some(Rogue { what, who: writer(look, tp, plan.ids(side)) })
    });
    moved.collect()
}

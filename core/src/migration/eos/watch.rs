//! The side that an exactly-once producer left, while its way back is kept: it must stand where the seam says, and
//! nobody may come back past the fence.

use super::gate::list_initialised_again;
use super::rogue::{self, Rogue, SpottedRogue};
use super::seam::PartitionSeam;
use super::switch::{describe_writer, rogue_advice};
use crate::base::{At, Observed, Side};
use crate::estate::exactly_once::EosLook;
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::Event;
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::facts::stage::Stage;
use crate::migration::run::machine::{CONTROLLER, Machine};

/// How many one alarm names at most: the rest is named by the next.
const AT_ONCE: usize = 5;

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
            // One alarm at a time: the next one waits until a person has answered, and names what is left then.
            let (Some(since), Some(run), true) = (self.watched_since(name), state.run, state.alarm.is_none() && free)
            else {
                continue;
            };
            let left = state.rests_on().other();
            let new = self.find_rogues(name, left, since);
            if !new.is_empty() {
                alarms.push((run, left, new));
            }
        }
        for (run, side, new) in alarms {
            let (why, advice) = (rogue::describe_rogues(&new), rogue_advice(side));
            let rogues = new.into_iter().map(|s| s.rogue).collect();
            self.emit(CONTROLLER, Event::NeedsOperator { run, why, advice, rogues }, now);
        }
    }

    /// Who wrote, or initialised an id, on the side that was left, but for what a person has seen as it is now; empty
    /// also while it can't be told.
    fn find_rogues(&self, name: &str, left: Side, since: At) -> Vec<SpottedRogue> {
        let Some((plan, state)) = self.settings.producers.get(name).zip(self.state.producers.get(name)) else {
            return Vec::new();
        };
        // What was seen before it rested was its move's to judge.
        let look = match self.estate.eos[left].get(name) {
            Some(Observed::Known { value, at, .. }) if *at > since => value,
            _ => return Vec::new(),
        };
        let Some((_, seams)) = self.seam_of(name, left.other()) else { return Vec::new() };
        let again = list_initialised_again(look, state.fenced.get(&left).map_or(&[][..], Vec::as_slice), left);
        let seen = self.forgiven.get(name).map_or(&[][..], Vec::as_slice);
        let all = list_moved(look, &seams, true, left, plan).into_iter().chain(again);
        all.filter(|s| !seen.contains(&s.rogue)).take(AT_ONCE).collect()
    }

    /// A person has seen the alarm: what it names is not raised again while it stays as it was.
    pub(in crate::migration) fn forgive_alarm(&mut self, name: &str) {
        let alarmed = self.state.producers.get(name).filter(|p| p.alarm.is_some());
        let rogues: Vec<Rogue> = alarmed.map(|p| p.rogues.clone()).unwrap_or_default();
        self.forgiven.entry(name.to_owned()).or_default().extend(rogues);
    }
}

/// Every partition that is not where the seam says (`source`: the side that was left), with who wrote there last.
pub(super) fn list_moved(
    look: &EosLook,
    seams: &[PartitionSeam],
    source: bool,
    side: Side,
    plan: &ProducerSettings,
) -> Vec<SpottedRogue> {
    let moved = look.ends.iter().filter_map(|(tp, e)| {
        let is = e.high_watermark;
        let seam = seams.iter().find(|s| s.tp == *tp).map(|s| if source { s.source } else { s.target });
        let what = match seam {
            Some(at) if at != is => format!("{tp} ends at {is} on {side}, and the seam is at {at}"),
            None if is > 0 => format!("{tp} was written on {side} up to {is}, and has no seam"),
            _ => return None,
        };
        let words = what + &describe_writer(look, tp, plan.ids(side));
        Some(SpottedRogue { rogue: Rogue::Written { tp: tp.clone(), side, end: is, seam }, words })
    });
    moved.collect()
}

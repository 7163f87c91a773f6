//! The side that an exactly-once producer left, while its way back is kept: it must stand where the seam says, and
//! nobody may come back past the fence.

use super::gate::initialised_again;
use super::switch::{moved, rogue_advice};
use crate::migration::command::Subject;
use crate::migration::estate::{At, Observed, Side};
use crate::migration::event::Event;
use crate::migration::machine::{CONTROLLER, Machine};
use crate::migration::stage::Stage;

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
            let why = self.rogue(name, left, since).filter(|why| self.forgiven.get(name) != Some(why));
            alarms.extend(why.map(|why| (run, left, why)));
        }
        for (run, side, why) in alarms {
            self.emit(CONTROLLER, Event::NeedsOperator { run, why, advice: rogue_advice(side) }, now);
        }
    }

    /// Who wrote, or initialised an id, on the side that was left; `None` also while it can't be told.
    fn rogue(&self, name: &str, left: Side, since: At) -> Option<String> {
        let plan = self.settings.producers.get(name)?;
        let look = match self.estate.eos(left, name)? {
            Observed::Known { value, at, .. } if *at > since => value,
            _ => return None,
        };
        let (_, seams) = self.seam_of(name, left.other())?;
        let fenced = self.state.producers.get(name)?.fenced.get(&left);
        let again = |fenced: &Vec<_>| initialised_again(look, fenced, left);
        moved(look, &seams, true, left, plan).or_else(|| fenced.and_then(again))
    }

    /// A person has seen the alarm: the same one is not raised again.
    pub(in crate::migration) fn forgive(&mut self, name: &str) {
        if let Some((why, _)) = self.state.producers.get(name).and_then(|p| p.alarm.clone()) {
            self.forgiven.insert(name.to_owned(), why);
        }
    }
}

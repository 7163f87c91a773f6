//! The side that an exactly-once producer left, while its way back is kept.

use crate::migration::estate::At;
use crate::migration::machine::Machine;

impl Machine {
    /// Exactly-once producers that must be looked at every second or so: those that are being moved, and those whose
    /// left side is watched.
    #[must_use]
    pub fn eos_focus(&self, _now: At) -> Vec<String> {
        use crate::migration::stage::Stage;
        let resting = |name: &String| {
            let state = self.state.producers.get(name);
            matches!(state.map(|p| &p.rest), Some(Stage::Soaking { .. } | Stage::RolledBack { .. }))
        };
        let moving = |name: &String| matches!(self.producer_stage(name), Stage::Moving { .. });
        let producers = self.settings.producers.iter().filter(|(_, p)| p.is_exactly_once()).map(|(name, _)| name);
        producers.filter(|name| resting(name) || moving(name)).cloned().collect()
    }
}

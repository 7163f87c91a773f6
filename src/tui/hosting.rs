//! What stops when a cockpit that hosts the controller is closed: runs, countdowns, the clocks of soaks. An attached one
//! stops nothing.

use super::model::Model;
use crate::controller::snapshot::{Arming, Countdown, GroupRow, ProducerRow};
use crate::migration::command::Subject;
use crate::migration::stage::{RunView, Stage, StepState};
use crate::migration::trigger::Arm;

/// What this cockpit keeps going.
#[derive(Debug)]
pub struct Hosted<'a> {
    /// Runs under way that change something.
    pub runs: Vec<(Subject, Option<&'a RunView>)>,
    /// Armed triggers that fired and are about to act.
    pub countdowns: Vec<&'a Countdown>,
    /// Groups that soak.
    pub soaks: Vec<&'a GroupRow>,
    /// Exactly-once producers that soak: who writes on the side they left is watched.
    pub producers: Vec<&'a ProducerRow>,
}

impl Hosted<'_> {
    /// Whether to leave has to be typed: something is half done, or about to be done.
    #[must_use]
    pub fn grave(&self) -> bool {
        !self.runs.is_empty() || !self.countdowns.is_empty()
    }

    /// Armed triggers that nobody would watch.
    #[must_use]
    pub fn armed(&self) -> usize {
        let armed = |g: &&GroupRow| g.triggers.iter().filter(|t| t.trigger.arm == Arm::Armed).count();
        self.soaks.iter().map(armed).sum()
    }
}

/// What would stop with this cockpit; `None` when nothing would: another process is the controller, it may not act, or
/// nothing is under way.
#[must_use]
pub fn hosted(m: &Model) -> Option<Hosted<'_>> {
    let s = m.snapshot.as_ref()?;
    if m.options.attached || m.controller_gone || m.read_only() {
        return None;
    }
    let acts = |c: &&Countdown| c.arm == Arm::Armed && c.acts_at.is_some();
    let mut hosted = Hosted {
        runs: running(m),
        countdowns: s.countdowns.iter().filter(acts).collect(),
        soaks: Vec::new(),
        producers: Vec::new(),
    };
    // A dry run keeps no clocks.
    if s.header.arming == Arming::Armed {
        let soaks = |stage: &Stage| matches!(stage, Stage::Soaking { .. });
        hosted.soaks = s.groups.iter().filter(|g| soaks(&g.stage)).collect();
        hosted.producers = s.producers.iter().filter(|p| p.eos.as_ref().is_some_and(|e| soaks(&e.stage))).collect();
    }
    let something = hosted.grave() || !hosted.soaks.is_empty() || !hosted.producers.is_empty();
    something.then_some(hosted)
}

/// Runs that change something and are under way, with what they are about.
fn running(m: &Model) -> Vec<(Subject, Option<&RunView>)> {
    let Some(s) = &m.snapshot else { return Vec::new() };
    let groups = s
        .groups
        .iter()
        .filter(|g| matches!(g.stage, Stage::Moving { .. }) && g.run.as_ref().is_none_or(|r| !r.dry_run))
        .map(|g| (Subject::Group(g.group.clone()), g.run.as_ref()));
    let producers = s
        .producers
        .iter()
        .filter(|p| p.run.as_ref().is_some_and(|r| !r.dry_run && doing(r)))
        .map(|p| (Subject::Producer(p.name.clone()), p.run.as_ref()));
    groups.chain(producers).collect()
}

/// A run whose step is being done right now.
pub(super) fn doing(run: &RunView) -> bool {
    run.steps.iter().any(|s| matches!(s.1, StepState::Doing { .. }))
}

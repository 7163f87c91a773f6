//! What stops when a cockpit that hosts the controller is closed: runs, countdowns, the clocks of soaks; and commands that
//! are on their way. An attached one stops nothing.

use std::collections::BTreeSet;

use super::model::Model;
use super::update::Cmd;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::stage::{RunView, Stage, StepState};
use crate::migration::soak::trigger::Arm;
use crate::snapshot::{Arming, Ask, Countdown, GroupRow, ParityView, ProducerRow};

/// Commands whose effect no picture shows yet. From the moment that one is sent to the first picture after its answer the
/// picture says that nothing is under way, and something may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Numbers of those that are not answered.
    open: BTreeSet<u64>,
    /// One was taken, and no picture has come since.
    taken: bool,
}

impl Sent {
    /// Notes the commands among what goes out. A measurement only reads.
    pub(crate) fn note_commands(&mut self, cmds: &[Cmd]) {
        self.open.extend(cmds.iter().filter_map(|cmd| match cmd {
            Cmd::Ask(Ask::Execute { command: Command::Estimate { .. }, .. }) => None,
            Cmd::Ask(Ask::Execute { id, .. }) => Some(*id),
            _ => None,
        }));
    }

    /// The answer to one of them: whether it was taken.
    pub(crate) fn note_answer(&mut self, id: u64, taken: bool) {
        // It is no longer open in either case, so the removal comes first.
        self.taken |= self.open.remove(&id) && taken;
    }

    /// A newer picture is there: it shows what came of those that were answered, for it was made after them.
    pub(crate) fn note_picture(&mut self) {
        self.taken = false;
    }

    /// Whether something may be under way that the picture does not show.
    #[must_use]
    pub(crate) fn is_under_way(&self) -> bool {
        self.taken || !self.open.is_empty()
    }
}

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
    /// Green is being set up.
    pub provisions: bool,
    /// A command is on its way, and no picture shows yet what came of it.
    pub sent: bool,
}

impl Hosted<'_> {
    /// Whether to leave has to be typed: something is half done, or about to be done.
    #[must_use]
    pub(crate) fn is_grave(&self) -> bool {
        !self.runs.is_empty() || !self.countdowns.is_empty() || self.provisions || self.sent
    }
}

/// What would stop with this cockpit; `None` when nothing would: another process is the controller, it may not act, or
/// nothing is under way.
#[must_use]
pub(crate) fn find_hosted(m: &Model) -> Option<Hosted<'_>> {
    let s = m.snapshot.as_ref()?;
    // Somebody else carries it on, or nobody did.
    if m.options.attached || m.controller_gone || m.read_only() {
        return None;
    }
    let acts = |c: &&Countdown| c.arm == Arm::Armed && c.acts_at.is_some();
    let mut hosted = Hosted {
        runs: list_running(m),
        countdowns: s.countdowns.iter().filter(acts).collect(),
        soaks: Vec::new(),
        producers: Vec::new(),
        provisions: s.parity.as_ref().is_some_and(ParityView::is_provisioning),
        sent: false,
    };
    // A dry run keeps no clocks, and its commands change nothing.
    if s.header.arming == Arming::Armed {
        hosted.sent = m.sent.is_under_way();
        let soaks = |stage: &Stage| matches!(stage, Stage::Soaking { .. });
        hosted.soaks = s.groups.iter().filter(|g| soaks(&g.stage)).collect();
        hosted.producers = s.producers.iter().filter(|p| p.eos.as_ref().is_some_and(|e| soaks(&e.stage))).collect();
    }
    let something = hosted.is_grave() || !hosted.soaks.is_empty() || !hosted.producers.is_empty();
    something.then_some(hosted)
}

/// Runs that change something and are under way, with what they are about.
fn list_running(m: &Model) -> Vec<(Subject, Option<&RunView>)> {
    let Some(s) = &m.snapshot else { return Vec::new() };
    let groups = s
        .groups
        .iter()
        // A move whose run is not told may change something.
        .filter(|g| matches!(g.stage, Stage::Moving { .. }) && g.run.as_ref().is_none_or(|r| !r.dry_run))
        .map(|g| (Subject::Group(g.group.clone()), g.run.as_ref()));
    let producers = s
        .producers
        .iter()
        .filter(|p| p.run.as_ref().is_some_and(|r| !r.dry_run && is_doing(r)))
        .map(|p| (Subject::Producer(p.name.clone()), p.run.as_ref()));
    groups.chain(producers).collect()
}

/// A run whose step is being done right now.
pub(super) fn is_doing(run: &RunView) -> bool {
    run.steps.iter().any(|s| matches!(s.1, StepState::Doing { .. }))
}

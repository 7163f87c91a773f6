//! A look at how both clusters are set up, when a person asks for one: it only reads, and the loop never waits for it.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use super::Core;
use crate::base::{Observed, Trouble};
use crate::estate::identity::Unverified;
use crate::jobs::preflight::run_preflight;
use crate::parity::ParityReport;
use crate::snapshot::{PARITY_LINES, ParityTable, ParityView};

/// What a look came to.
type SetupOutcome = Result<ParityReport, Unverified>;

/// The look under way, and what the last one came to.
pub(super) struct SetupLook {
    seen: Observed<ParityTable>,
    /// The one that runs; never more.
    pub tasks: JoinSet<SetupOutcome>,
}

impl Default for SetupLook {
    fn default() -> Self {
        Self { seen: Observed::not_yet(), tasks: JoinSet::new() }
    }
}

impl Core {
    /// Starts a look, unless one is under way or the controller ends.
    pub(super) fn look_at_setup(&mut self) {
        if self.setup.tasks.is_empty() && !self.stopping {
            let plan = Arc::clone(&self.plan);
            self.setup.tasks.spawn(async move { run_preflight(&plan).await });
        }
    }

    /// What screens see; `None`: nobody has asked.
    pub(super) fn parity_view(&self) -> Option<ParityView> {
        let looking = !self.setup.tasks.is_empty();
        let asked = looking
            || !matches!(&self.setup.seen, Observed::Absent { why } if why.has_cause(crate::base::Cause::NotYet));
        asked.then(|| ParityView { looking, seen: self.setup.seen.clone() })
    }

    /// A look has ended.
    pub(super) fn take_setup(&mut self, came: Result<SetupOutcome, JoinError>) {
        let broke = |e| Trouble::new(format!("the look broke off: {e}"), "this is a fault of cutover");
        match came.map_err(broke).and_then(|came| came.map_err(Trouble::from)) {
            Ok(report) => self.setup.seen = Observed::seen_at(report.to_table(PARITY_LINES), report.at),
            Err(why) => self.setup.seen.note_failure(why),
        }
    }
}

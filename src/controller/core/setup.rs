//! A look at how both clusters are set up, when a person asks for one: it only reads, and the loop never waits for it.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use super::Core;
use crate::base::{At, Cause, Observed, Trouble};
use crate::estate::identity::Unverified;
use crate::jobs::preflight::run_preflight;
use crate::parity::{Change, ParityReport, plan_changes};
use crate::provision::ProvisionReport;
use crate::schemas::SchemaImportPlan;
use crate::snapshot::{PARITY_LINES, ParityTable, ParityView};

/// What a look came to.
type SetupOutcome = Result<ParityReport, Unverified>;

/// The look under way, and what the last one came to.
pub(super) struct SetupLook {
    seen: Observed<ParityTable>,
    /// What could be made by the last look that came to something.
    plan: Option<SetupPlan>,
    /// The one that runs; never more.
    pub tasks: JoinSet<SetupOutcome>,
}

/// What could be made of green by a look.
#[derive(Debug, Clone)]
pub(super) struct SetupPlan {
    /// When the look was taken.
    pub at: At,
    /// Changes of the cluster, in the order of work.
    pub changes: Vec<Change>,
    /// The copy of schemas.
    pub schemas: SchemaImportPlan,
    /// The same in lines, with what is left to a person.
    pub lines: Vec<String>,
}

impl SetupPlan {
    fn of_report(report: &ParityReport) -> Self {
        let mut shown = ProvisionReport::new(report.migration.clone(), true);
        shown.set_plan(&report.parity, plan_changes(&report.parity), false);
        let changes = shown.pending().map(|c| c.change.clone()).collect();
        let schemas = report.schemas.clone().unwrap_or_default();
        let lines = std::iter::once(shown.summarise()).chain(shown.list_lines()).collect();
        Self { at: report.at, changes, schemas, lines }
    }

    /// Whether the copy of schemas would write something.
    pub fn has_schemas(&self) -> bool {
        !(self.schemas.imports.is_empty() && self.schemas.settings.is_empty())
    }
}

impl Default for SetupLook {
    fn default() -> Self {
        Self { seen: Observed::not_yet(), plan: None, tasks: JoinSet::new() }
    }
}

impl SetupLook {
    /// What could be made, by the last look. Errors: there is none, one is under way, or the last one came to nothing.
    pub fn find_plan(&self) -> Result<&SetupPlan, Trouble> {
        const LOOK: &str = "look on the parity screen (7, then g), and ask again";
        if !self.tasks.is_empty() {
            return Err(Trouble::new(
                "a look at how both clusters are set up is under way",
                "ask again when it has ended",
            ));
        }
        if let Observed::Known { trouble: Some(why), .. } = &self.seen {
            return Err(Trouble::new(format!("the last look came to nothing: {}", why.what), LOOK));
        }
        self.plan.as_ref().ok_or_else(|| Trouble::new("nobody has looked how green is set up", LOOK))
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
        let asked = looking || !matches!(&self.setup.seen, Observed::Absent { why } if why.has_cause(Cause::NotYet));
        asked.then(|| ParityView { looking, seen: self.setup.seen.clone(), provision: self.provision_view() })
    }

    /// A look has ended.
    pub(super) fn take_setup(&mut self, came: Result<SetupOutcome, JoinError>) {
        let broke = |e| Trouble::new(format!("the look broke off: {e}"), "this is a fault of cutover");
        match came.map_err(broke).and_then(|came| came.map_err(Trouble::from)) {
            Ok(report) => {
                self.setup.plan = Some(SetupPlan::of_report(&report));
                self.setup.seen = Observed::seen_at(report.to_table(PARITY_LINES), report.at);
            }
            Err(why) => self.setup.seen.note_failure(why),
        }
    }
}

//! What screens see of how green is set up beside blue.

use serde::{Deserialize, Serialize};

use crate::base::{At, Observed, Person, Trouble, TroubleClass};
use crate::migration::rules::phase::SetupSeen;
pub use crate::parity::{PARITY_OLD_MS, ParityClass, ParityLine, ParityTable, ParityVerdict};

/// Most lines of the table that a snapshot holds: the worst are first, and `cutover preflight` has them all.
pub(crate) const PARITY_LINES: usize = 500;

/// The newest look at how both clusters are set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityView {
    /// Whether a look is under way.
    pub looking: bool,
    /// What the last one came to. A failed one keeps what was seen before, with its age.
    pub seen: Observed<ParityTable>,
    /// The provisioning that is under way, or the last one of this session.
    #[serde(default)]
    pub provision: Option<ProvisionView>,
}

/// Green set up from the parity screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionView {
    /// When it was confirmed.
    pub began: At,
    /// Who confirmed it.
    pub actor: Person,
    /// What was said of it, a line a change, newest last; at most [`PROVISION_LINES`].
    pub said: Vec<String>,
    /// How far it is.
    pub state: ProvisionState,
}

/// Most lines of a provisioning that a snapshot holds: the newest. The journal has them all.
pub(crate) const PROVISION_LINES: usize = 100;

/// How far a provisioning is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provision", rename_all = "snake_case")]
pub enum ProvisionState {
    /// It is under way.
    Running,
    /// It has ended.
    Ended {
        /// When.
        at: At,
        /// In a sentence: what was made of what was to be.
        words: String,
        /// How it ended short of being done; `None`: all of it was made.
        class: Option<TroubleClass>,
        /// What stood in the way.
        trouble: Option<Trouble>,
    },
}

impl ParityView {
    /// What the newest look came to, as far as the phase rail rests on it. `view`: `None` when nobody has asked for one.
    #[must_use]
    pub(crate) fn setup_seen(view: Option<&ParityView>) -> SetupSeen {
        match view.map(|view| &view.seen) {
            None => Observed::not_yet(),
            Some(Observed::Absent { why }) => Observed::Absent { why: why.clone() },
            Some(Observed::Known { value, at, trouble }) => {
                Observed::Known { value: value.tally, at: *at, trouble: trouble.clone() }
            }
        }
    }

    /// Whether a provisioning is under way.
    #[must_use]
    pub fn is_provisioning(&self) -> bool {
        self.provision.as_ref().is_some_and(|one| one.state == ProvisionState::Running)
    }
}

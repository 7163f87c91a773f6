//! How a session is started, and what it may do.

use std::sync::Arc;

use super::crash::CrashAt;
use crate::base::{Person, Trouble};
use crate::migration::facts::event::JournalEntry;
use crate::snapshot::{Arming, Witnessed};

/// What a session may do, as asked for. Whether it gets it is in the snapshot ([`crate::snapshot::Arming`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Want {
    /// Carry commands out.
    #[default]
    Armed,
    /// Walk the same path without changing anything.
    DryRun,
    /// Only look.
    ReadOnly,
}

/// What consumers that keep count say of a group.
pub(crate) type WitnessSource = Arc<dyn Fn(&str) -> Option<Witnessed> + Send + Sync>;
/// Called with each entry once it is in the journal, in order, before the next effect starts. It must return at once.
pub(crate) type OnEntry = Arc<dyn Fn(&JournalEntry) + Send + Sync>;

/// Why a session only looks that was started to.
pub(crate) const ASKED_FOR: &str = "asked for with --read-only";

/// How a controller is started.
#[derive(Clone)]
pub struct Options {
    /// May it change anything?
    pub want: Want,
    /// Who starts it.
    pub actor: Person,
    /// Pause between two rounds of looking at a cluster, ms.
    pub poll_ms: u64,
    /// Pause between two looks at a group that a run waits for, ms.
    pub focus_ms: u64,
    /// Counting consumers (the demo's, and tests').
    pub witness: Option<WitnessSource>,
    /// Told of every journal entry (the demo's counting consumers mark where a run begins).
    pub on_entry: Option<OnEntry>,
    /// What its host could not do for it: notices on every screen.
    pub said: Vec<Trouble>,
    /// Test-only: where to die.
    pub crash_at: Option<CrashAt>,
}

impl Options {
    /// Defaults: a round a second, a focused look every 250 ms, no hooks.
    pub fn new(want: Want, actor: impl Into<Person>) -> Self {
        let (said, actor) = (Vec::new(), actor.into());
        Self { want, actor, poll_ms: 1_000, focus_ms: 250, witness: None, on_entry: None, said, crash_at: None }
    }
}

/// What a session may do that was asked to look only.
pub(crate) fn read_only_as_asked() -> Arming {
    Arming::ReadOnly { why: ASKED_FOR.into() }
}

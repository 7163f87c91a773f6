//! States in a word, the same wherever a machine reads them.

use crate::base::{Freshness, Observed};
use crate::migration::rules::gate::Gate;
use crate::migration::soak::trigger::{Arm, TriggerState};
use crate::snapshot::{Countdown, SideView, Snapshot};

/// The words of [`cluster_word`].
pub(crate) const CLUSTERS: &[&str] = &["reachable", "stale", "unreachable", "another_cluster"];

/// How a cluster stands.
#[must_use]
pub(crate) fn cluster_word(v: &SideView, s: &Snapshot) -> &'static str {
    match &v.link {
        _ if v.identity_trouble.is_some() => "another_cluster",
        Observed::Absent { .. } | Observed::Known { trouble: Some(_), .. } => "unreachable",
        link if link.freshness(s.now, s.header.stale_after_ms) == Freshness::Stale => "stale",
        Observed::Known { .. } => "reachable",
    }
}

/// The words of [`gate_word`].
pub(crate) const GATES: &[&str] = &["pass", "hold", "fail", "unknown"];

/// How a gate stands.
#[must_use]
pub(crate) fn gate_word(gate: &Gate) -> &'static str {
    match gate {
        Gate::Pass => "pass",
        Gate::Hold { .. } => "hold",
        Gate::Fail { .. } => "fail",
        Gate::Unknown { .. } => "unknown",
    }
}

/// The words of [`trigger_word`].
pub(crate) const TRIGGERS: &[&str] = &["quiet", "rising", "met", "unknown"];

/// How a trigger stands.
#[must_use]
pub(crate) fn trigger_word(state: &TriggerState) -> &'static str {
    match state {
        TriggerState::Quiet { .. } => "quiet",
        TriggerState::Rising { .. } => "rising",
        TriggerState::Met { .. } => "met",
        TriggerState::Unknown { .. } => "unknown",
    }
}

/// What was measured, or what is missing; `None` while a trigger is quiet.
#[must_use]
pub(crate) fn trigger_why(state: &TriggerState) -> Option<&str> {
    match state {
        TriggerState::Quiet { .. } => None,
        TriggerState::Rising { why, .. } | TriggerState::Met { why } | TriggerState::Unknown { why } => Some(why),
    }
}

/// What a trigger that fired does.
#[must_use]
pub(crate) fn countdown_word(of: &Countdown) -> &'static str {
    match (of.arm, &of.held, of.acts_at) {
        (Arm::Shadow, ..) => "shadow",
        (Arm::Armed, Some(_), _) => "held",
        (Arm::Armed, None, Some(_)) => "counts_down",
        (Arm::Armed, None, None) => "waits_for_a_person",
    }
}

//! Exactly-once producers: the hard cutover.
//!
//! A transaction can't span clusters, so such a producer is never dual. It is stopped on blue, proven quiet, fenced,
//! and started on green with transactional ids that are new there; where its topics end on blue and begin on green is
//! the *seam*, journalled before any writer may target green. Groups that have read blue to the seam start at the
//! seam on green: nothing lost, nothing read again.
//!
//! - [`gate`]: the rows that must pass before it is stopped, and those that must pass before the switch.
//! - [`seam`]: where writers went from one cluster to the other, folded from the journal.
//! - [`runbook`]: the ordered steps of a cut, a rollback, and of undoing either.
//! - `steps`, `couple`, `carry`, `switch`: carrying them out. `watch`: the side that was left, while its way back is kept.
//! - `prepare`: what a dialog shows, and `facts`: what it rests on. [`view`]: what screens and reports are made from.
//! - `fold`: what the journal says of it. `readers`: the groups that move on its seam. `rogue`: who writes besides it.

mod carry;
mod couple;
mod facts;
mod fold;
pub mod gate;
mod prepare;
mod readers;
mod rogue;
pub mod runbook;
pub mod seam;
mod steps;
mod switch;
pub mod view;
mod watch;

use serde::{Deserialize, Serialize};

use super::facts::settings::ProducerSettings;
use crate::base::Side;
use crate::estate::acl::{Acl, Resource};

pub use gate::{HardGateRow, RowId};
pub(crate) use readers::{check_may_leave, green_past, read_past_seam};
pub(crate) use rogue::Rogue;
pub use seam::PartitionSeam;
pub use seam::Seams;
pub use view::EosView;

/// A fenced transactional id: an instance that initialises it later gets a higher epoch, or another producer id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencedId {
    /// Transactional id.
    pub id: String,
    /// Producer id.
    pub producer_id: i64,
    /// The epoch that fenced it.
    pub epoch: i16,
}

/// What becomes of records that only green holds when a producer goes back to blue.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum GreenOnly {
    /// They are carried to blue, exactly once.
    #[default]
    Carry,
    /// They are lost to whoever reads blue; how many is typed.
    Lose,
}

impl ProducerSettings {
    /// Whether it writes in transactions: hard cutover only, never dual.
    #[must_use]
    pub fn is_exactly_once(&self) -> bool {
        self.transactional_ids.iter().any(|(_, ids)| !ids.is_empty())
    }

    /// Groups whose offsets it commits in its transactions, as far as the plan says.
    #[must_use]
    pub(crate) fn coupled_groups(&self) -> &[String] {
        self.reads.as_deref().unwrap_or_default()
    }

    /// Its transactional ids on a side.
    #[must_use]
    pub fn ids(&self, side: Side) -> &[String] {
        &self.transactional_ids[side]
    }

    /// The principal that is kept from writing on a side.
    #[must_use]
    pub fn principal(&self, side: Side) -> Option<&str> {
        self.principals[side].as_deref()
    }
}

/// The denials that keep a producer's restarted instances out of a side: WRITE on each of its transactional ids there
/// (a denial on a topic would stop its readers where `allow.everyone.if.no.acl.found` is set). Empty when the plan
/// names no principal.
#[must_use]
pub fn denials_for(plan: &ProducerSettings, side: Side) -> Vec<Acl> {
    let Some(principal) = plan.principal(side) else { return Vec::new() };
    plan.ids(side).iter().map(|id| Acl::deny_write(Resource::TransactionalId, id, principal)).collect()
}

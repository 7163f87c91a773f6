//! What each verb needs of each cluster, declared once: for the page of rights, for `cutover doctor`, for the lines that grant
//! it. Pure: what a principal holds comes as a value.
//!
//! Rules of the room:
//! - A right is declared once, with the requests that need it and what happens without it ([`table::NEEDS`]).
//! - Whether it is held has three values ([`held::Held`]); what no broker tells is never "no", and never "none".
//! - A grant is never wider than what it is for: where a name can't be granted alone, nothing is written and it is said.

pub mod grant;
pub mod held;
pub mod page;
pub mod table;

pub use grant::{Grants, Principal, Role, RoleLines};
pub use held::{Held, RightHeld, RightsLook, judge_rights};
pub use table::{NEEDS, Need, Subject, Verb};

use std::collections::BTreeSet;

/// What a plan names on one side, by the names there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightsScope {
    /// Topics that are moved: of groups, with their dead-letter topics, and of producers.
    pub topics: BTreeSet<String>,
    /// Topics whose set-up is compared; `None`: all there are.
    pub compared: Option<BTreeSet<String>>,
    /// Consumer groups.
    pub groups: BTreeSet<String>,
    /// Transactional ids of exactly-once producers.
    pub transactional_ids: BTreeSet<String>,
}

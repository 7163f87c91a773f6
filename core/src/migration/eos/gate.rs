//! The two gates of a hard cutover, row by row with the measured value: before anything stops, and before the switch.
//! Named ids and named partitions are asked for; lists hide what a principal may not see, so an empty one proves nothing.

mod after;
mod around;
mod before;
mod reading;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;

pub(super) use after::list_initialised_again;
pub(crate) use after::{initialised_again, not_asked, not_told};

use super::FencedId;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side};
use crate::estate::exactly_once::{EosLook, Stillness};
use crate::migration::facts::overrides::GateName;
use crate::migration::facts::settings::ProducerSettings;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::gate::Gate;
use crate::migration::rules::group;

/// What a row is about; its word is what `--override` takes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RowId {
    /// The side that is left writes alone: no dual-write.
    Flag,
    /// The ids of the side that is gone to are new, unused and nobody else's.
    NewIds,
    /// A cutover window is open, with more time left than the worst case.
    Window,
    /// Every topic exists on both sides with the same partitions, and nobody else writes it.
    Topics,
    /// No transaction of its ids is overlong or hanging.
    Transactions,
    /// Every group that reads its topics can be moved on the seam.
    Readers,
    /// It can be told of every group outside the plan whether it reads its topics.
    Strangers,
    /// Groups whose offsets it commits in its transactions.
    Coupled,
    /// What is asked for is told: nothing is hidden from this principal.
    Permissions,
    /// The way back is there before the way forward is taken.
    WayBack,
    /// Another person agrees.
    Approval,
    /// After the stop: every id is Empty or Complete.
    Settled,
    /// After the stop: the last stable offset is the high watermark, and stays there.
    Closed,
    /// After the stop: every id is fenced.
    Fenced,
    /// After the stop: the side that is gone to is not written yet.
    TargetStill,
}

impl RowId {
    /// Whether an operator may override it with a typed reason. What would lose or double records can't be.
    #[must_use]
    pub(crate) fn may_be_overridden(self) -> bool {
        self.gate_name().is_some()
    }

    /// The gate that `--override` names for it.
    #[must_use]
    pub(crate) fn gate_name(self) -> Option<GateName> {
        match self {
            RowId::Window => Some(GateName::Window),
            RowId::Strangers => Some(GateName::Readers),
            RowId::Coupled => Some(GateName::Coupled),
            RowId::Permissions => Some(GateName::Permissions),
            _ => None,
        }
    }

    /// Those that are overridden where these gates are passed over.
    pub(super) fn list_overridden(passed: impl Fn(GateName) -> bool) -> BTreeSet<RowId> {
        RowId::iter().filter(|id| id.gate_name().is_some_and(&passed)).collect()
    }
}

/// One row of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardGateRow {
    /// Which.
    pub id: RowId,
    /// What must be true, e.g. `no overlong or hanging transaction`.
    pub what: String,
    /// Whether it is, and why not.
    #[serde(flatten)]
    pub gate: Gate,
    /// The measured value in a few words.
    pub value: String,
    /// When it was measured; `None`: not at all.
    pub at: Option<At>,
    /// What would make it pass; empty when it passes.
    pub advice: String,
}

impl HardGateRow {
    fn new(id: RowId, what: impl Into<String>, at: Option<At>) -> Self {
        HardGateRow { id, what: what.into(), gate: Gate::Pass, value: String::new(), at, advice: String::new() }
    }

    fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    fn fail(mut self, why: impl Into<String>, advice: impl Into<String>) -> Self {
        (self.gate, self.advice) = (Gate::Fail { why: why.into() }, advice.into());
        self
    }

    fn hold(mut self, left_ms: u64, why: impl Into<String>, advice: impl Into<String>) -> Self {
        (self.gate, self.advice) = (Gate::Hold { left_ms, why: why.into() }, advice.into());
        self
    }

    fn unknown(mut self, why: impl Into<String>, advice: impl Into<String>) -> Self {
        (self.gate, self.advice) = (Gate::Unknown { why: why.into() }, advice.into());
        self
    }
}

/// A producer that is to be cut from one side to the other.
#[derive(Clone, Copy)]
pub(crate) struct ProducerCut<'a> {
    /// Everything a rule may rest on.
    pub sight: &'a RuleContext<'a>,
    /// Its name.
    pub name: &'a str,
    /// Its entry in the plan.
    pub plan: &'a ProducerSettings,
    /// Where it goes.
    pub to: Side,
}

/// The newest look at a producer on a side, and when it was made.
type EosObservation<'a> = Result<(&'a EosLook, At), String>;

impl<'a> ProducerCut<'a> {
    fn source_side(&self) -> Side {
        self.to.other()
    }

    fn ids(&self, side: Side) -> &'a [String] {
        self.plan.ids(side)
    }

    /// Whether denials that were made from here stand on a side: they hide its ids from whoever is no super user.
    fn denied_from_here(&self, side: Side) -> bool {
        let state = self.sight.state.producers.get(self.name);
        state.and_then(|p| p.denied.get(&side)).is_some_and(|acls| !acls.is_empty())
    }

    fn fresh_look(&self, side: Side) -> EosObservation<'a> {
        match self.sight.estate.eos[side].get(self.name) {
            Some(seen @ Observed::Known { value, at, .. }) if self.sight.is_fresh(seen) => Ok((value, *at)),
            Some(Observed::Known { at, trouble, .. }) => {
                let why = trouble.as_ref().map(|t| format!(": {}", t.what)).unwrap_or_default();
                Err(format!("{side} was last asked {} ago{why}", format_duration(self.sight.now.since(*at))))
            }
            Some(Observed::Absent { why }) => Err(why.what.clone()),
            None => Err(format!("{side} was not asked about {} yet", visible_name(self.name))),
        }
    }

    /// The gate before anything stops.
    #[must_use]
    pub(crate) fn rows_before_stop(&self, worst_case_ms: u64) -> Vec<HardGateRow> {
        vec![
            self.check_flag(),
            self.check_new_ids(),
            self.check_window(worst_case_ms),
            self.check_topics(),
            self.check_transactions(),
            self.check_readers(),
            self.check_strangers(),
            self.check_coupled(),
            self.check_permissions(),
            self.check_way_back(),
            self.check_approval(),
        ]
    }

    /// The gate of a rollback before anything stops: it needs no window and no second person, and must be possible
    /// whenever nothing is lost by it.
    #[must_use]
    pub(crate) fn rows_before_rollback(&self) -> Vec<HardGateRow> {
        vec![
            self.check_flag(),
            self.check_new_ids(),
            self.check_topics(),
            self.check_transactions(),
            self.check_readers(),
            self.check_coupled(),
            self.check_permissions(),
        ]
    }

    /// The gate after the stop, before the switch: `still` is how long the logs of both sides have stood, `fenced` the
    /// ids fenced by this run.
    #[must_use]
    pub(crate) fn rows_after_stop(
        &self,
        still: [&Stillness; 2],
        fenced: &[FencedId],
        needed_ms: u64,
    ) -> Vec<HardGateRow> {
        let [left, target] = still;
        vec![
            self.check_settled(),
            self.check_fenced(fenced),
            self.check_closed(left, needed_ms),
            self.check_target_still(target, needed_ms),
        ]
    }
}

/// All rows as one gate.
#[must_use]
pub(crate) fn combine_hard_rows(rows: &[HardGateRow], overridden: &BTreeSet<RowId>) -> Gate {
    // Asked once more: what would lose or double records passes by no list of names.
    let counted = rows.iter().filter(|r| !(r.id.may_be_overridden() && overridden.contains(&r.id)));
    counted.fold(Gate::Pass, |gate, row| gate.and(row.gate.clone()))
}

/// The first words of a list, and how many more there are.
fn shorten_list(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first, .., last] if words.len() > 3 => format!("{first} .. {last} ({})", words.len()),
        few => few.join(", "),
    }
}

/// Groups that can be moved on a producer's seam, after it: those that read its topics. Those whose offsets it commits
/// move with it.
#[must_use]
pub(crate) fn list_downstream(sight: &RuleContext<'_>, plan: &ProducerSettings) -> Vec<String> {
    let reads = |g: &String| {
        let topics = group::topics_read(sight, g, Side::Blue);
        plan.topics.iter().any(|t| topics.iter().any(|own| own == t))
    };
    sight.settings.groups.keys().filter(|g| reads(g)).cloned().collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_reading;

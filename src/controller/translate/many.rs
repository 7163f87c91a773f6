//! Several groups at once: what they share is read once.

use super::{Progress, Purpose, Translator, Windows};
use crate::migration::estate::{Side, Trouble};
use crate::offsets::Chosen;
use crate::offsets::verdict::GroupPlan;

/// A group to translate among others.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its id on blue.
    pub group: &'a str,
    /// What the operator asked for, over the plan's choice.
    pub chosen: Option<&'a Chosen>,
}

impl Translator {
    /// Translates several groups to `to`: as [`Self::translate`] of each, in the order given. What several
    /// of them read is read once. One group's error does not stop the others.
    pub async fn translate_many(
        &self,
        groups: &[Wanted<'_>],
        to: Side,
        purpose: Purpose,
        progress: &Progress,
    ) -> Vec<Result<GroupPlan, Trouble>> {
        let mut plans = Vec::with_capacity(groups.len());
        for wanted in groups {
            plans.push(self.translate(wanted.group, to, purpose, wanted.chosen, progress).await);
        }
        plans
    }

    /// How many records this translator has read from both clusters so far: what several groups share counts once.
    #[must_use]
    pub fn records_read(&self) -> u64 {
        self.inner.windows.iter().map(Windows::records).sum()
    }
}

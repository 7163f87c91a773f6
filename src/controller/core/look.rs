//! The records at a cut once more, with their values: only when a person asks for them, and kept nowhere.

use tokio::sync::Semaphore;

use super::Core;
use crate::base::{Observed, Side, TopicPartition};
use crate::jobs::translate::Translator;
use crate::migration::facts::command::Refusal;
use crate::offsets::{Chosen, Cut, GroupTranslation};
use crate::snapshot::Reply;

/// One person looks at one partition at a time.
static ONE: Semaphore = Semaphore::const_new(1);

impl Core {
    /// What a screen shows of a group: its newest translation, or that by a chosen strategy.
    pub(super) fn find_shown_plan(&self, group: &str, to: Side, chosen: Option<&Chosen>) -> Option<GroupTranslation> {
        // A run's own prediction is newer than what was measured before it.
        let newest = self.machine.latest_estimate(group).filter(|(side, _)| *side == to).map(|(_, plan)| plan);
        let newest = newest.filter(|_| Chosen::same_offsets(self.machine.estimate_chosen(group), chosen));
        newest
            .as_ref()
            .or_else(|| self.machine.latest_measurement(group, to, chosen))
            .and_then(Observed::value)
            .cloned()
    }

    /// Reads the records at one partition's cut again. The loop does not wait for it; the answer comes when they are
    /// read.
    pub(super) fn look_at_cut(&self, id: u64, group: &str, to: Side, chosen: Option<&Chosen>, tp: &TopicPartition) {
        let replies = self.ends.replies.clone();
        let plan = self.find_shown_plan(group, to, chosen).and_then(|mut plan| {
            plan.partitions.retain(|p| p.tp == *tp);
            (!plan.partitions.is_empty()).then_some(plan)
        });
        let translator = self.translator.clone();
        let missing = Refusal::unknown(format!("{tp} was not measured to {to} yet"), "measure it first");
        tokio::spawn(async move {
            let result = match plan {
                Some(plan) => read_cut(translator, plan, to).await,
                None => Err(missing),
            };
            if replies.try_send(Reply::Records { id, result }).is_err() {
                tracing::warn!("a reply was dropped: nobody reads them");
            }
        });
    }
}

async fn read_cut(translator: Option<Translator>, mut plan: GroupTranslation, to: Side) -> Result<Cut, Refusal> {
    let Some(translator) = translator else {
        return Err(Refusal::refused("records can't be read", "see the notice about the client properties"));
    };
    let Ok(_one) = ONE.try_acquire() else {
        return Err(Refusal::refused("other records are being read", "wait for them"));
    };
    translator.show_records(&mut plan, to, true).await.map_err(|t| Refusal::unknown(t.what, t.advice))?;
    Ok(plan.partitions.pop().map(|p| p.cut).unwrap_or_default())
}

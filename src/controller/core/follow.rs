//! What comes from outside and is remembered here: entries of whoever holds the journal, and where logs ended.

use std::collections::BTreeSet;

use super::Core;
use crate::base::{At, Side, lock_unpoisoned};
use crate::estate::ClusterView;
use crate::migration::facts::command::Subject;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::reads;
use crate::snapshot::{Arming, Severity};

impl Core {
    /// A session that only looks takes in what the holder of the journal has written since.
    pub(super) async fn follow_journal(&mut self) {
        if self.ledger.rehearses() {
            return self.notice_growth().await;
        }
        if !matches!(self.arming, Arming::ReadOnly { .. }) {
            return;
        }
        match self.ledger.read_newer().await {
            Ok(entries) => {
                // A read that failed once says nothing of the file: a chain that is broken breaks the next read too.
                if !self.ledger.is_doubted() {
                    self.unsound = None;
                }
                for entry in &entries {
                    self.machine.fold_entry(entry);
                    self.remember_entry(entry);
                }
            }
            Err(trouble) => {
                self.add_notice(Severity::Fail, Subject::Migration, trouble.clone());
                self.unsound = Some(trouble);
            }
        }
    }

    /// Remembers where the logs of a round ended, of all topics that groups of the plan read.
    pub(super) fn keep_ends(&mut self, side: Side, view: &ClusterView, at: At) {
        let read = list_read_topics(&self.machine.rule_context(at));
        let wanted = |topic: &str| read.as_ref().is_none_or(|read| read.contains(topic));
        let mut history = lock_unpoisoned(&self.history);
        history.note_round(wanted, side, view, at);
    }
}

/// Topics that groups of the plan read on either side, as far as that was seen: what the plan does not list goes along with
/// them, and is translated as well. `None`: any, because a group without a list may commit on another one at any time.
fn list_read_topics(sight: &RuleContext<'_>) -> Option<BTreeSet<String>> {
    let groups = &sight.settings.groups;
    if groups.values().any(|group| group.topics.is_empty()) {
        return None;
    }
    let mut all = BTreeSet::new();
    for (group, side) in groups.keys().flat_map(|group| Side::BOTH.map(|side| (group, side))) {
        all.extend(reads::topics_read(sight, group, side));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Observed, TopicPartition};
    use crate::estate::{Estate, GroupState, GroupView, MemberView};
    use crate::migration::facts::settings::{GroupSettings, Settings};
    use crate::migration::facts::state::State;
    use crate::migration::rules::lag::LagBook;

    fn settings(topics: &[&str]) -> Settings {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let group = GroupSettings { topics, ..GroupSettings::default() };
        Settings::of_groups([("audit".to_owned(), group)].into())
    }

    #[test]
    fn ends_are_kept_of_topics_that_go_along_too() {
        let assigned = vec![TopicPartition::new("refunds", 0)];
        let member = MemberView { assigned, ..MemberView::default() };
        let group = GroupView { state: GroupState::Stable, members: vec![member], ..GroupView::default() };
        let view = ClusterView { groups: [("audit".to_owned(), group)].into(), ..ClusterView::default() };
        let mut estate = Estate::default();
        estate.clusters.blue = Observed::seen_at(view, At(1));
        let (state, lag) = (State::default(), LagBook::default());
        let of = |topics: &[&str]| {
            let settings = settings(topics);
            list_read_topics(&RuleContext {
                settings: &settings,
                state: &state,
                estate: &estate,
                lag: &lag,
                now: At(2),
            })
        };
        assert_eq!(of(&["orders"]), Some(["orders", "refunds"].map(str::to_owned).into()));
        assert_eq!(of(&[]), None, "any");
    }
}

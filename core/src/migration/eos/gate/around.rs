//! Rows about what is around: coupled groups, permissions, the way back, and a second person.

use std::collections::BTreeSet;

use super::{HardGateRow, ProducerCut, RowId};
use crate::base::Side;
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_names};
use crate::estate::exactly_once::{EosLook, offsets_partition};
use crate::estate::transactions::Answer;
use crate::migration::facts::command::shell_word;

impl ProducerCut<'_> {
    pub(in crate::migration::eos) fn check_coupled(&self) -> HardGateRow {
        let row = |at| HardGateRow::new(RowId::Coupled, "groups whose offsets it commits move with it", at);
        let (look, at) = match self.fresh_look(self.source_side()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at));
        let listed = self.plan.coupled_groups();
        let missing = listed.iter().find(|g| !self.sight.settings.groups.contains_key(*g));
        if let Some(group) = missing {
            return row.fail(
                format!("{group}, which it reads as, is not in the plan's groups", group = visible_name(group)),
                "list it under [[groups]]: it moves together with its producer",
            );
        }
        let stores = self.find_offset_stores(look);
        if stores.is_empty() {
            return self.judge_unseen_commits(row, look);
        }
        let Some(count) = look.offsets_partitions else {
            return row
                .unknown("it commits offsets of a group that can't be told", "name the group: reads = [\"...\"]");
        };
        // Which group it was nobody tells: a group's offsets lie where the hash of its id modulo the partitions puts
        // them.
        let lies_in =
            |g: &String, store: i32| offsets_partition(self.sight.id_on(g, self.source_side()), count) == Some(store);
        match stores.into_iter().find(|store| !listed.iter().any(|g| lies_in(g, *store))) {
            None => row.value(visible_names(listed)),
            Some(store) => {
                let settings = self.sight.settings.groups.keys();
                let fits: Vec<&str> = settings.filter(|g| lies_in(g, store)).map(String::as_str).collect();
                let hint = if fits.is_empty() { String::new() } else { format!("; it may be {}", fits.join(" or ")) };
                row.unknown(
                    format!("it commits offsets of a group (in __consumer_offsets-{store}) that the plan does not name{hint}"),
                    "name it in the producer's entry: reads = [\"...\"]",
                )
            }
        }
    }

    /// Partitions of `__consumer_offsets` to which its ids are seen to commit, or are remembered to have committed.
    fn find_offset_stores(&self, look: &EosLook) -> BTreeSet<i32> {
        let views = self.ids(self.source_side()).iter().filter_map(|id| look.ids.get(id)?.as_told()?.as_ref());
        // Offsets that are committed in a transaction are records of this topic (KIP-98), so its partition is one of
        // those in it.
        let open = views.flat_map(|v| &v.partitions).filter(|tp| tp.topic == "__consumer_offsets");
        let remembered = look.commits.as_ref().and_then(Answer::as_told).into_iter().flatten().copied();
        open.map(|tp| tp.partition).chain(remembered).collect()
    }

    /// Nothing shows that it commits offsets: then the plan has the word.
    fn judge_unseen_commits(&self, row: HardGateRow, look: &EosLook) -> HardGateRow {
        // What is in a transaction shows for some milliseconds, and leaders forget who wrote in a day: not to have
        // seen a commit is no word of the plan.
        let unasked = self.ids(self.source_side()).iter().find_map(|id| match look.ids.get(id)? {
            Answer::Unavailable(why) => Some(why.to_string()),
            _ => None,
        });
        let asked = match &look.commits {
            Some(Answer::Told(_)) => "no commit is remembered".to_owned(),
            Some(untold) => {
                format!("it can't be verified: {}", untold.to_trouble().map_or("not told".to_owned(), |t| t.what))
            }
            None => unasked.unwrap_or_else(|| "told only while one is open".to_owned()),
        };
        match &self.plan.reads {
            None => row.unknown(
                format!("whether it commits offsets of a group can't be told from the plan ({asked})"),
                "name the groups: reads = [\"...\"], or reads = [] if there are none; or pass over it: --override coupled",
            ),
            Some(none) if none.is_empty() => row.value(format!("none, as the plan says; {asked}")),
            Some(listed) => row.value(format!("{}, as the plan says; {asked}", visible_names(listed))),
        }
    }

    pub(in crate::migration::eos) fn check_permissions(&self) -> HardGateRow {
        let row = |at| HardGateRow::new(RowId::Permissions, "nothing asked for is hidden", at);
        let mut newest = None;
        for side in [self.source_side(), self.to] {
            let (look, at) = match self.fresh_look(side) {
                Ok(seen) => seen,
                Err(why) => return row(None).unknown(why, "wait for a fresh look"),
            };
            newest = newest.max(Some(at));
            // A denial that was made from here hides the ids it is for.
            let ours = |id: &String| self.denied_from_here(side) && self.ids(side).contains(id);
            let ids = look
                .ids
                .iter()
                .filter(|(id, _)| !ours(id))
                .filter_map(|(id, a)| Some((visible_name(id), hidden_reason(a)?)));
            let writers = look.writers.iter().filter_map(|(tp, a)| Some((tp.to_string(), hidden_reason(a)?)));
            if let Some((what, why)) = ids.chain(writers).next() {
                return row(Some(at)).unknown(
                    format!("{what} on {side}: {why}"),
                    "allow this principal to DESCRIBE its transactional ids and to READ its topics",
                );
            }
        }
        row(newest).value("told")
    }

    pub(in crate::migration::eos) fn check_way_back(&self) -> HardGateRow {
        let row = HardGateRow::new(RowId::WayBack, "way back proven", Some(self.sight.now));
        for side in Side::BOTH {
            if let Err(refusal) = self.sight.fresh_cluster(side) {
                return row.unknown(refusal.why, refusal.advice);
            }
        }
        let kept = self.plan.keep_blue_ms;
        for topic in &self.plan.topics {
            let there = self.sight.estate.side(self.to).value().and_then(|v| v.topics.get(topic));
            let told = there.and_then(|t| t.config.get("retention.ms"));
            let Some(retention) = told.and_then(|v| v.parse::<i64>().ok()) else {
                return row.unknown(
                    format!(
                        "how long {topic} keeps its records on {} is not known (retention.ms)",
                        self.to,
                        topic = visible_name(topic)
                    ),
                    "wait for another look at its configuration; if it does not come, allow this principal to \
                     DESCRIBE_CONFIGS the topic there",
                );
            };
            // -1 keeps everything: it is no u64, and so no limit.
            if let Some(ms) = u64::try_from(retention).ok().filter(|ms| *ms < kept) {
                return row.fail(
                    format!(
                        "{topic} keeps {} on {}, the way back is open for {}",
                        format_duration(ms),
                        self.to,
                        format_duration(kept),
                        topic = visible_name(topic)
                    ),
                    "raise its retention.ms there: what expired can't be carried back",
                );
            }
        }
        row.value(format!("kept {}", format_duration(kept)))
    }

    pub(super) fn check_approval(&self) -> HardGateRow {
        let row = HardGateRow::new(RowId::Approval, "a second person agrees", Some(self.sight.now));
        if !self.plan.needs_approval {
            return row.value("not asked for by the plan");
        }
        let state = self.sight.state.producers.get(self.name);
        match state.and_then(|p| p.approved.as_ref()) {
            Some(approval) if approval.facts == self.approval_facts() => {
                row.value(format!("{} agreed", visible_name(&approval.by.text())))
            }
            Some(approval) => row.hold(
                0,
                format!("the facts changed since {} agreed", visible_name(&approval.by.text())),
                format!("another person looks again: `cutover producer approve {}`", shell_word(self.name)),
            ),
            None => row.hold(
                0,
                "nobody has agreed yet",
                format!(
                    "another person runs `cutover producer approve {}` on a terminal of their own",
                    shell_word(self.name)
                ),
            ),
        }
    }
}

fn hidden_reason<T>(answer: &Answer<T>) -> Option<String> {
    match answer {
        Answer::Hidden(trouble) => Some(trouble.what.clone()),
        _ => None,
    }
}

//! Rows about who is around: readers, coupled groups, permissions, the way back, and a second person.

use std::collections::BTreeSet;

use super::{Cut, Row, RowId, at_of};
use crate::migration::eos::look::offsets_partition;
use crate::migration::estate::{GroupState, GroupView, Side};
use crate::migration::gate::span;
use crate::migration::producer;
use crate::migration::settings::Mode;
use crate::migration::transactions::Answer;

impl Cut<'_> {
    pub(in crate::migration::eos) fn readers(&self) -> Row {
        let at = at_of(self.sight.estate.side(self.from()));
        let row = Row::new(RowId::Readers, "readers ready to move on the seam", at);
        let Ok(view) = self.sight.fresh(self.from()) else {
            return row.unknown(format!("{} was not seen lately", self.from()), "wait for a fresh look");
        };
        let mut ready = 0;
        for (id, seen) in &view.groups {
            let reads = self.plan.topics.iter().map(|t| producer::reads(seen, t)).collect::<Vec<_>>();
            if reads.iter().all(|r| *r == Some(false)) {
                continue;
            }
            if reads.iter().all(Option::is_none) || (reads.contains(&None) && !reads.contains(&Some(true))) {
                return row.unknown(format!("it can't be told whether {id} reads its topics"), "wait for a fresh look");
            }
            let planned = self.sight.settings.groups.iter().find(|(g, _)| self.sight.id_on(g, self.from()) == id);
            match planned {
                None => {
                    return row.fail(
                        format!("{id} reads its topics on {} and is not in the plan: it would starve", self.from()),
                        "list it under [[groups]] with its switch, or stop it",
                    );
                }
                Some((group, settings)) if !settings.has_switch => {
                    return row
                        .fail(format!("{group} has no switch in the plan"), "give its [[groups]] entry a switch");
                }
                Some((group, settings)) if settings.mode == Mode::Overlap => {
                    return row.fail(
                        format!("{group} on a seam: its mode is overlap"),
                        "set its mode to handover: on both sides of a seam it would read twice",
                    );
                }
                Some((group, _)) if self.runs_there(group) => {
                    return row.fail(
                        format!("{group} has members on {} already", self.to),
                        format!("stop it on {} first", self.to),
                    );
                }
                Some(_) => ready += 1,
            }
        }
        match self.ahead() {
            Some(group) => row.fail(
                format!("{group} reads its topics on {} already: it would skip what {} holds", self.to, self.from()),
                format!("roll it back to {} first, or stop it", self.from()),
            ),
            None => row.value(format!("{ready} groups")),
        }
    }

    /// A group that reads the topics on green while their writer is on blue: what blue has written since its own seam
    /// it would never see.
    fn ahead(&self) -> Option<String> {
        let there = self.sight.estate.side(self.to).value().filter(|_| self.to == Side::Green)?;
        let reads = |g: &GroupView| self.plan.topics.iter().any(|t| producer::reads(g, t) == Some(true));
        there.groups.iter().find(|(_, g)| !g.members.is_empty() && reads(g)).map(|(id, _)| id.clone())
    }

    pub(super) fn runs_there(&self, group: &str) -> bool {
        let seen = self.sight.seen(group, self.to).and_then(|s| s.view);
        seen.is_some_and(|v| !v.members.is_empty() && v.state != GroupState::Dead)
    }

    pub(in crate::migration::eos) fn coupled(&self) -> Row {
        let row = |at| Row::new(RowId::Coupled, "groups whose offsets it commits move with it", at);
        let (look, at) = match self.look(self.from()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at));
        let views = self.ids(self.from()).iter().filter_map(|id| look.ids.get(id)?.told()?.as_ref());
        let open = views.flat_map(|v| &v.partitions).filter(|tp| tp.topic == "__consumer_offsets");
        let remembered = look.commits.as_ref().and_then(Answer::told).into_iter().flatten().copied();
        let stores: BTreeSet<i32> = open.map(|tp| tp.partition).chain(remembered).collect();
        let listed = &self.plan.reads;
        let missing = listed.iter().find(|g| !self.sight.settings.groups.contains_key(*g));
        if let Some(group) = missing {
            return row.fail(
                format!("{group}, which it reads as, is not in the plan's groups"),
                "list it under [[groups]]: it moves together with its producer",
            );
        }
        if stores.is_empty() {
            let words = if listed.is_empty() { "none seen".to_owned() } else { listed.join(", ") };
            return match &look.commits {
                Some(Answer::Told(_)) if listed.is_empty() => row.value("none: its ids commit no group's offsets"),
                Some(Answer::Told(_)) => row.value(format!("{words}, as the plan says; no commit is remembered")),
                None => row.value(format!("{words} (told only while one is open)")),
                Some(untold) => {
                    let why = untold.trouble().map_or("not told".to_owned(), |t| t.what);
                    match listed.is_empty() {
                        false => row.value(format!("{words}, as the plan says; it can't be verified: {why}")),
                        true => row.unknown(
                            format!("whether it commits offsets of a group can't be told: {why}"),
                            "name the groups: reads = [\"...\"], or pass over it: --override coupled",
                        ),
                    }
                }
            };
        }
        let Some(count) = look.offsets_partitions else {
            return row
                .unknown("it commits offsets of a group that can't be told", "name the group: reads = [\"...\"]");
        };
        let explained =
            |p: &i32| listed.iter().any(|g| offsets_partition(self.sight.id_on(g, self.from()), count) == Some(*p));
        match stores.iter().find(|p| !explained(p)) {
            None => row.value(listed.join(", ")),
            Some(store) => {
                let settings = self.sight.settings.groups.keys();
                let fits: Vec<&str> = settings
                    .filter(|g| offsets_partition(self.sight.id_on(g, self.from()), count) == Some(*store))
                    .map(String::as_str)
                    .collect();
                let hint = if fits.is_empty() { String::new() } else { format!("; it may be {}", fits.join(" or ")) };
                row.unknown(
                    format!("it commits offsets of a group (in __consumer_offsets-{store}) that the plan does not name{hint}"),
                    "name it in the producer's entry: reads = [\"...\"]",
                )
            }
        }
    }

    pub(in crate::migration::eos) fn permissions(&self) -> Row {
        let row = |at| Row::new(RowId::Permissions, "nothing asked for is hidden", at);
        let mut newest = None;
        for side in [self.from(), self.to] {
            let (look, at) = match self.look(side) {
                Ok(seen) => seen,
                Err(why) => return row(None).unknown(why, "wait for a fresh look"),
            };
            newest = newest.max(Some(at));
            // A denial that was made from here hides the ids it is for.
            let ours = |id: &String| self.denied_from_here(side) && self.ids(side).contains(id);
            let ids = look.ids.iter().filter(|(id, _)| !ours(id)).filter_map(|(id, a)| Some((id.clone(), hidden(a)?)));
            let writers = look.writers.iter().filter_map(|(tp, a)| Some((tp.to_string(), hidden(a)?)));
            if let Some((what, why)) = ids.chain(writers).next() {
                return row(Some(at)).unknown(
                    format!("{what} on {side}: {why}"),
                    "allow this principal to DESCRIBE its transactional ids and to READ its topics",
                );
            }
        }
        row(newest).value("told")
    }

    pub(in crate::migration::eos) fn way_back(&self) -> Row {
        let row = Row::new(RowId::WayBack, "way back proven", Some(self.sight.now));
        for side in Side::BOTH {
            if let Err(refusal) = self.sight.fresh(side) {
                return row.unknown(refusal.why, refusal.advice);
            }
        }
        let kept = self.plan.keep_blue_ms;
        for topic in &self.plan.topics {
            let there = self.sight.estate.side(self.to).value().and_then(|v| v.topics.get(topic));
            let retention = there.and_then(|t| t.config.get("retention.ms")).and_then(|v| v.parse::<i64>().ok());
            if let Some(ms) = retention.and_then(|r| u64::try_from(r).ok()).filter(|ms| *ms < kept) {
                return row.fail(
                    format!("{topic} keeps {} on {}, the way back is open for {}", span(ms), self.to, span(kept)),
                    "raise its retention.ms there: what expired can't be carried back",
                );
            }
        }
        row.value(format!("kept {}", span(kept)))
    }

    pub(super) fn approval(&self) -> Row {
        let row = Row::new(RowId::Approval, "a second person agrees", Some(self.sight.now));
        if !self.plan.needs_approval {
            return row.value("not asked for by the plan");
        }
        let state = self.sight.state.producers.get(self.name);
        match state.and_then(|p| p.approved.as_ref()) {
            Some(approval) if approval.facts == self.approval_facts() => row.value(format!("{} agreed", approval.by)),
            Some(approval) => row.hold(
                0,
                format!("the facts changed since {} agreed", approval.by),
                format!("another person looks again: `cutover producer approve {}`", self.name),
            ),
            None => row.hold(
                0,
                "nobody has agreed yet",
                format!("another person runs `cutover producer approve {}` on a terminal of their own", self.name),
            ),
        }
    }
}

fn hidden<T>(answer: &Answer<T>) -> Option<String> {
    match answer {
        Answer::Hidden(trouble) => Some(trouble.what.clone()),
        _ => None,
    }
}

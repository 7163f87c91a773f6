//! Rows about who is around: readers, coupled groups, permissions, the way back, and a second person.

use std::collections::BTreeSet;

use super::{Cut, Row, RowId, at_of, some};
use crate::migration::command::Subject;
use crate::migration::eos;
use crate::migration::eos::look::offsets_partition;
use crate::migration::estate::{FlagState, GroupState, GroupView, Side};
use crate::migration::gate::span;
use crate::migration::group;
use crate::migration::producer;
use crate::migration::settings::{GroupSettings, Mode};
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
            let reads = self.reads(seen);
            if reads == Some(false) {
                continue;
            }
            let planned = self.planned(id);
            // What a stranger reads on green is no reason to keep a producer there.
            if planned.is_none() && self.to == Side::Blue {
                continue;
            }
            if reads.is_none() {
                return row.unknown(format!("it can't be told whether {id} reads its topics"), "wait for a fresh look");
            }
            match planned {
                None => {
                    return row.fail(
                        format!("{id} reads its topics on {} and is not in the plan: it would starve", self.from()),
                        "list it under [[groups]] with its switch, or stop it",
                    );
                }
                Some((group, settings)) if !settings.has_switch && !self.moves_with_a_producer(group) => {
                    return row
                        .fail(format!("{group} has no switch in the plan"), "give its [[groups]] entry a switch");
                }
                Some((group, settings)) if settings.mode == Mode::Overlap && !self.moves_with_a_producer(group) => {
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
        if let Some((why, advice)) = self.starves() {
            return row.fail(why, advice);
        }
        match self.ahead() {
            Some((why, advice)) => row.fail(why, advice),
            None if self.to == Side::Blue => match self.foreign_readers() {
                strangers if strangers.is_empty() => row.value(format!("{ready} groups")),
                strangers => row.value(format!("{ready} groups; not in the plan: {}", some(&strangers))),
            },
            None => row.value(format!("{ready} groups")),
        }
    }

    /// Whether a group reads its topics; `None` when that can't be told.
    fn reads(&self, seen: &GroupView) -> Option<bool> {
        let reads: Vec<Option<bool>> = self.plan.topics.iter().map(|t| producer::reads(seen, t)).collect();
        match reads.contains(&Some(true)) {
            true => Some(true),
            false if reads.contains(&None) => None,
            false => Some(false),
        }
    }

    fn planned(&self, id: &str) -> Option<(&String, &GroupSettings)> {
        self.sight.settings.groups.iter().find(|(g, _)| self.sight.id_on(g, self.from()) == id)
    }

    /// Whether a group's offsets are in some producer's transactions: it needs no switch of its own.
    fn moves_with_a_producer(&self, group: &str) -> bool {
        self.sight.settings.producers.values().any(|p| p.coupled().iter().any(|g| g == group))
    }

    /// Groups on the side that is left which read its topics, or may, and are not in the plan.
    fn foreign_readers(&self) -> Vec<String> {
        let Ok(view) = self.sight.fresh(self.from()) else { return Vec::new() };
        let strangers = view.groups.iter().filter(|(id, g)| self.planned(id).is_none() && self.reads(g) != Some(false));
        strangers.map(|(id, _)| id.clone()).collect()
    }

    /// What of others is on the side that is left: worth a line, and no reason against a way back.
    #[must_use]
    pub fn foreign(&self) -> Vec<String> {
        let strangers = self.foreign_readers();
        let readers = (!strangers.is_empty()).then(|| {
            format!(
                "{} on {} may read its topics, and is not in the plan: it would starve",
                some(&strangers),
                self.from()
            )
        });
        let looked = self.look(self.from()).map(|(look, _)| self.hanging(look)).unwrap_or_default();
        let open = looked
            .into_iter()
            .filter(|h| h.foreign)
            .map(|h| format!("{} on {}: {}; the last stable offset waits for its end", h.tp, self.from(), h.why));
        readers.into_iter().chain(open).collect()
    }

    /// A group that it reads as, and a topic of that group whose writer stays behind: it would starve, and what is
    /// written behind it is not there when it is moved.
    fn starves(&self) -> Option<(String, String)> {
        let from = self.from();
        for group in self.plan.coupled() {
            for topic in group::topics(self.sight, group, from) {
                let others = self.sight.settings.producers.iter();
                for (name, p) in others.filter(|(n, p)| *n != self.name && p.topics.contains(&topic)) {
                    let run = self.sight.state.open_run(&Subject::Producer(name.clone()));
                    if p.is_exactly_once() && self.to == Side::Green && run.is_some_and(|r| !r.dry_run) {
                        return Some((
                            format!("{name} writes {topic}, which {group} reads, and is being moved"),
                            format!("wait until {name} rests"),
                        ));
                    }
                    let alone = producer::flag(self.sight, name) == Some(FlagState::only(from));
                    let refusal = match p.is_exactly_once() {
                        true if alone => eos::may_leave(self.sight, group, name, &topic, self.to).err(),
                        // On the way back its own translation says what it costs.
                        false if alone && self.to == Side::Green => {
                            return Some((
                                format!("{name} writes {topic} to {from} only: on {} {group} would starve", self.to),
                                format!("route {name} to dual first"),
                            ));
                        }
                        _ => None,
                    };
                    if let Some(refusal) = refusal {
                        return Some((refusal.why, refusal.advice));
                    }
                }
            }
        }
        None
    }

    /// A group that is on green while the writer of its topics is on blue, whether a member runs now or not: what blue
    /// has written since its own seam it would never see.
    fn ahead(&self) -> Option<(String, String)> {
        let (from, to) = (self.from(), self.to);
        let there = self.sight.estate.side(to).value().filter(|_| to == Side::Green)?;
        let reads = |g: &GroupView| !g.members.is_empty() && self.reads(g) == Some(true);
        if let Some((id, _)) = there.groups.iter().find(|(_, g)| reads(g)) {
            return Some((
                format!("{id} reads its topics on {to} already: it would skip what {from} holds"),
                format!("roll it back to {from} first, or stop it"),
            ));
        }
        let rests = |g: &&String| {
            group::rests_on(self.sight.state.groups.get(*g).map(|g| &g.rest)) == to
                && group::topics(self.sight, g, to).iter().any(|t| self.plan.topics.contains(t))
        };
        let group = self.sight.settings.groups.keys().find(rests)?;
        Some((
            format!("{group} rests on {to}, by the journal: it would skip what {from} holds when it runs again"),
            format!("roll it back first: cutover group rollback {group}"),
        ))
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
        let listed = self.plan.coupled();
        let missing = listed.iter().find(|g| !self.sight.settings.groups.contains_key(*g));
        if let Some(group) = missing {
            return row.fail(
                format!("{group}, which it reads as, is not in the plan's groups"),
                "list it under [[groups]]: it moves together with its producer",
            );
        }
        if stores.is_empty() {
            // What is in a transaction shows for some milliseconds, and leaders forget who wrote in a day: not to have
            // seen a commit is no word of the plan.
            let unasked = self.ids(self.from()).iter().find_map(|id| match look.ids.get(id)? {
                Answer::Unavailable(why) => Some(why.to_string()),
                _ => None,
            });
            let asked = match &look.commits {
                Some(Answer::Told(_)) => "no commit is remembered".to_owned(),
                Some(untold) => {
                    format!("it can't be verified: {}", untold.trouble().map_or("not told".to_owned(), |t| t.what))
                }
                None => unasked.unwrap_or_else(|| "told only while one is open".to_owned()),
            };
            return match &self.plan.reads {
                None => row.unknown(
                    format!("whether it commits offsets of a group can't be told from the plan ({asked})"),
                    "name the groups: reads = [\"...\"], or reads = [] if there are none; or pass over it: --override coupled",
                ),
                Some(none) if none.is_empty() => row.value(format!("none, as the plan says; {asked}")),
                Some(_) => row.value(format!("{}, as the plan says; {asked}", listed.join(", "))),
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

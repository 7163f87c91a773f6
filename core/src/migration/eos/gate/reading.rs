//! Rows about who reads what a producer writes: groups of the plan, which are moved on the seam, and everybody else, who
//! would starve. One that only commits (`assign()`) has no members that could be seen: its commits tell where it works.

use super::{HardGateRow, ProducerCut, RowId, shorten_list};
use crate::base::Side;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::estate::application;
use crate::estate::{FlagState, GroupState, GroupView};
use crate::migration::eos;
use crate::migration::facts::command::Subject;
use crate::migration::facts::settings::{GroupSettings, Mode};
use crate::migration::rules::app;
use crate::migration::rules::group;
use crate::migration::rules::producer;
use crate::migration::rules::producer::{ReaderStatus, UnknownReaders};

/// A reason against a cut, and what to do about it.
type Objection = (String, String);

impl ProducerCut<'_> {
    pub(in crate::migration::eos) fn check_readers(&self) -> HardGateRow {
        let at = self.sight.estate.side(self.source_side()).at();
        let row = HardGateRow::new(RowId::Readers, "readers ready to move on the seam", at);
        let Ok(view) = self.sight.fresh_cluster(self.source_side()) else {
            return row.unknown(format!("{} was not seen lately", self.source_side()), "wait for a fresh look");
        };
        let (mut ready, mut untold) = (0, None);
        for (id, seen) in &view.groups {
            let reads = self.reads_topics(self.source_side(), id, seen);
            // Most groups of a cluster: the plan is not searched for them.
            if reads == ReaderStatus::No {
                continue;
            }
            match (self.planned_group(self.source_side(), id), reads) {
                // Left out above.
                (_, ReaderStatus::No) => {}
                // What a stranger reads on green is no reason to keep a producer there.
                (None, _) if self.to == Side::Blue => {}
                (None, ReaderStatus::Yes) => {
                    return row.fail(
                        format!(
                            "{id} reads its topics on {} and is not in the plan: it would starve",
                            self.source_side(),
                            id = visible_name(id)
                        ),
                        "list it under [[groups]] with its switch, or stop it",
                    );
                }
                // Of whom it can't be told there is a row of its own: a person may know better.
                (None, ReaderStatus::Watched { .. } | ReaderStatus::Hidden) => {}
                (Some(_), ReaderStatus::Hidden) => {
                    let why = format!("it can't be told whether {id} reads its topics", id = visible_name(id));
                    untold.get_or_insert((why, "wait for a fresh look".to_owned()));
                }
                (Some((group, settings)), ReaderStatus::Yes | ReaderStatus::Watched { .. }) => {
                    match self.find_unready(group, settings) {
                        Some((why, advice)) => return row.fail(why, advice),
                        None => ready += 1,
                    }
                }
            }
        }
        // What is known to stand against it is told before what can't be told.
        if let Some((why, advice)) = self.find_starving().or_else(|| self.find_ahead()) {
            return row.fail(why, advice);
        }
        if let Some((why, advice)) = untold.or_else(|| self.find_possibly_ahead()) {
            return row.unknown(why, advice);
        }
        let strangers = if self.to == Side::Blue { self.list_foreign_readers() } else { Vec::new() };
        match strangers.is_empty() {
            true => row.value(format!("{ready} groups")),
            false => row.value(format!("{ready} groups; not in the plan: {}", shorten_list(&strangers))),
        }
    }

    /// Groups that are not in the plan, and of which it can't be told whether they read its topics: what they read on the
    /// side that is left would end, and what only commits on green may be ahead of it.
    pub(in crate::migration::eos) fn check_strangers(&self) -> HardGateRow {
        let at = self.sight.estate.side(self.source_side()).at().min(self.sight.estate.side(self.to).at());
        let row = HardGateRow::new(RowId::Strangers, "nobody unknown reads its topics", at);
        for side in [self.source_side(), self.to] {
            if self.sight.fresh_cluster(side).is_err() {
                return row.unknown(format!("{side} was not seen lately"), "wait for a fresh look");
            }
        }
        let untold = self.find_unknown_readers();
        match untold.is_empty() {
            true => row.value("none"),
            false => row.unknown(untold.describe_groups("its topics, and it is not in the plan"), untold.advice()),
        }
    }

    /// Those of [`Self::check_strangers`].
    pub(in crate::migration::eos) fn find_unknown_readers(&self) -> UnknownReaders {
        let mut untold = UnknownReaders::default();
        for side in [self.source_side(), self.to] {
            let Some(view) = self.sight.estate.side(side).value() else { continue };
            for (id, seen) in &view.groups {
                match self.reads_topics(side, id, seen) {
                    ReaderStatus::Yes | ReaderStatus::No => {}
                    // On the other side only one that has been at work with these topics matters; what nobody could look at
                    // may have been.
                    ReaderStatus::Hidden if side == self.to && seen.trouble.is_none() => {}
                    reads if self.planned_group(side, id).is_none() => untold.note_group(id, reads),
                    _ => {}
                }
            }
        }
        untold
    }

    /// In how long watching tells what a row does not know, ms; `None`: it does not.
    pub(in crate::migration::eos) fn told_in_ms(&self, row: RowId) -> Option<u64> {
        match row {
            RowId::Strangers => self.find_unknown_readers().told_in_ms(),
            RowId::Readers => {
                let groups = self.sight.settings.groups.keys();
                let left = groups.filter_map(|g| match self.works_there(g) {
                    ReaderStatus::Watched { left_ms } => Some(left_ms),
                    _ => None,
                });
                left.max()
            }
            _ => None,
        }
    }

    /// Whether a group, by its id on a side, reads its topics there. What of a group of the plan stands as the journal
    /// knows that it was left is nobody's work.
    fn reads_topics(&self, side: Side, id: &str, seen: &GroupView) -> ReaderStatus {
        let left = |(group, _): (&String, _)| app::stands_as_left(self.sight, group, side, seen);
        if application::only_commits(seen) && self.planned_group(side, id).is_some_and(left) {
            return ReaderStatus::No;
        }
        let of = |topic: &String| producer::reads_on(self.sight, (side, id), seen, topic);
        self.plan.topics.iter().map(of).fold(ReaderStatus::No, ReaderStatus::or)
    }

    fn planned_group(&self, side: Side, id: &str) -> Option<(&String, &GroupSettings)> {
        self.sight.settings.groups.iter().find(|(g, _)| self.sight.id_on(g, side) == id)
    }

    /// Whether a group's offsets are in some producer's transactions: it needs no switch of its own.
    fn moves_with_a_producer(&self, group: &str) -> bool {
        self.sight.settings.producers.values().any(|p| p.coupled_groups().iter().any(|g| g == group))
    }

    /// Why a group of the plan that reads its topics can't be moved on the seam, if so.
    fn find_unready(&self, group: &str, settings: &GroupSettings) -> Option<Objection> {
        let alone = !self.moves_with_a_producer(group);
        if alone && !settings.has_switch {
            return Some((
                format!("{group} has no switch in the plan", group = visible_name(group)),
                "give its [[groups]] entry a switch".to_owned(),
            ));
        }
        if alone && settings.mode == Mode::Overlap {
            return Some((
                format!("{group} on a seam: its mode is overlap", group = visible_name(group)),
                "set its mode to handover: on both sides of a seam it would read twice".to_owned(),
            ));
        }
        let to = self.to;
        let how = match self.works_there(group) {
            ReaderStatus::Yes if self.has_members(group) => "has members",
            ReaderStatus::Yes => "only commits, and its commits move",
            _ => return None,
        };
        Some((format!("{group} {how} on {to} already", group = visible_name(group)), format!("stop it on {to} first")))
    }

    fn has_members(&self, group: &str) -> bool {
        let seen = self.sight.latest_look(group, self.to).and_then(|s| s.view);
        seen.is_some_and(|v| !v.members.is_empty() && v.state != GroupState::Dead)
    }

    /// Whether a group of the plan works on the side that is gone to. A way back is not kept shut by what may be.
    fn works_there(&self, group: &str) -> ReaderStatus {
        if self.has_members(group) {
            return ReaderStatus::Yes;
        }
        let seen = self.sight.latest_look(group, self.to).and_then(|s| s.view);
        // Before a cut forward only: a group that is partly seen may be at work there.
        if self.to == Side::Green && seen.is_some_and(|v| v.trouble.is_some()) {
            return ReaderStatus::Hidden;
        }
        let seen = seen.filter(|v| application::only_commits(v));
        match seen.map_or(ReaderStatus::No, |v| self.reads_topics(self.to, self.sight.id_on(group, self.to), v)) {
            ReaderStatus::Watched { .. } if self.to == Side::Blue => ReaderStatus::No,
            reads => reads,
        }
    }

    fn object_to_unseen_work(&self, group: &str, left_ms: u64) -> Objection {
        let to = self.to;
        (
            format!(
                "{group} has offsets of its topics on {to} and only commits: whether it works there can't be told yet",
                group = visible_name(group)
            ),
            format!("{} more of watching tells; if it is stopped there, wait", format_duration(left_ms)),
        )
    }

    /// Groups on the side that is left which read its topics, or may, and are not in the plan.
    fn list_foreign_readers(&self) -> Vec<String> {
        let from = self.source_side();
        let Ok(view) = self.sight.fresh_cluster(from) else { return Vec::new() };
        let readers = view.groups.iter().filter(|(id, g)| self.reads_topics(from, id, g) != ReaderStatus::No);
        readers.filter(|(id, _)| self.planned_group(from, id).is_none()).map(|(id, _)| visible_name(id)).collect()
    }

    /// What of others is on the side that is left: worth a line, and no reason against a way back.
    #[must_use]
    pub(crate) fn describe_foreign(&self) -> Vec<String> {
        let strangers = self.list_foreign_readers();
        let readers = (!strangers.is_empty()).then(|| {
            format!(
                "{} on {} may read its topics, and is not in the plan: it would starve",
                shorten_list(&strangers),
                self.source_side()
            )
        });
        let looked = self.fresh_look(self.source_side()).map(|(look, _)| self.find_hanging(look)).unwrap_or_default();
        let open = looked.into_iter().filter(|h| h.foreign).map(|h| {
            format!("{} on {}: {}; the last stable offset waits for its end", h.tp, self.source_side(), h.why)
        });
        readers.into_iter().chain(open).collect()
    }

    /// A group that it reads as, and a topic of that group whose writer stays behind: it would starve, and what is
    /// written behind it is not there when it is moved.
    fn find_starving(&self) -> Option<Objection> {
        let from = self.source_side();
        for group in self.plan.coupled_groups() {
            for topic in group::topics_read(self.sight, group, from) {
                let others = self.sight.settings.producers.iter();
                for (name, p) in others.filter(|(n, p)| *n != self.name && p.topics.contains(&topic)) {
                    let run = self.sight.state.open_run(&Subject::Producer(name.clone()));
                    if p.is_exactly_once() && self.to == Side::Green && run.is_some_and(|r| !r.dry_run) {
                        return Some((
                            format!(
                                "{name} writes {topic}, which {group} reads, and is being moved",
                                name = visible_name(name),
                                topic = visible_name(&topic),
                                group = visible_name(group)
                            ),
                            format!("wait until {name} rests", name = visible_name(name)),
                        ));
                    }
                    let alone = producer::current_flag(self.sight, name) == Some(FlagState::only_on(from));
                    let refusal = match p.is_exactly_once() {
                        true if alone => eos::check_may_leave(self.sight, group, name, &topic, self.to).err(),
                        // On the way back its own translation says what it costs.
                        false if alone && self.to == Side::Green => {
                            return Some((
                                format!(
                                    "{name} writes {topic} to {from} only: on {} {group} would starve",
                                    self.to,
                                    name = visible_name(name),
                                    topic = visible_name(&topic),
                                    group = visible_name(group)
                                ),
                                format!("route {name} to dual first", name = visible_name(name)),
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

    /// A group that is on green while the writer of its topics is on blue, whether it runs now or not: what blue has
    /// written since its own seam it would never see.
    fn find_ahead(&self) -> Option<Objection> {
        let (from, to) = (self.source_side(), self.to);
        let there = self.sight.estate.side(to).value().filter(|_| to == Side::Green)?;
        if let Some((id, _)) = there.groups.iter().find(|(id, g)| self.reads_topics(to, id, g) == ReaderStatus::Yes) {
            return Some((
                format!(
                    "{id} reads its topics on {to} already: it would skip what {from} holds",
                    id = visible_name(id)
                ),
                format!("roll it back to {from} first, or stop it"),
            ));
        }
        let rests = |g: &&String| {
            group::rests_on(self.sight.state.groups.get(*g).map(|g| &g.rest)) == to
                && group::topics_read(self.sight, g, to).iter().any(|t| self.plan.topics.contains(t))
        };
        let group = self.sight.settings.groups.keys().find(rests)?;
        Some((
            format!(
                "{group} rests on {to}, by the journal: it would skip what {from} holds when it runs again",
                group = visible_name(group)
            ),
            format!("roll it back first: cutover group rollback {group}", group = visible_name(group)),
        ))
    }

    /// A group of the plan of which it can't be told yet whether it is ahead.
    fn find_possibly_ahead(&self) -> Option<Objection> {
        self.sight.settings.groups.keys().find_map(|group| match self.works_there(group) {
            ReaderStatus::Watched { left_ms } => Some(self.object_to_unseen_work(group, left_ms)),
            ReaderStatus::Hidden if self.to == Side::Green => Some((
                format!("{group} can't be looked at on {}", self.to, group = visible_name(group)),
                "wait for a fresh look; without one nobody can tell whether it works there".to_owned(),
            )),
            _ => None,
        })
    }
}

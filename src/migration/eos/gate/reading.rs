//! Rows about who reads what a producer writes: groups of the plan, which are moved on the seam, and everybody else, who
//! would starve. One that only commits (`assign()`) has no members that could be seen: its commits tell where it works.

use super::{Cut, Row, RowId, some};
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::base::span;
use crate::estate::{FlagState, GroupState, GroupView};
use crate::migration::eos;
use crate::migration::facts::command::Subject;
use crate::migration::facts::settings::{GroupSettings, Mode};
use crate::migration::rules::app;
use crate::migration::rules::group;
use crate::migration::rules::producer;
use crate::migration::rules::producer::{Reads, Untold};

/// A reason against a cut, and what to do about it.
type Against = (String, String);

impl Cut<'_> {
    pub(in crate::migration::eos) fn readers(&self) -> Row {
        let at = self.sight.estate.side(self.from()).at();
        let row = Row::new(RowId::Readers, "readers ready to move on the seam", at);
        let Ok(view) = self.sight.fresh(self.from()) else {
            return row.unknown(format!("{} was not seen lately", self.from()), "wait for a fresh look");
        };
        let (mut ready, mut untold) = (0, None);
        for (id, seen) in &view.groups {
            let reads = self.reads(self.from(), id, seen);
            // Most groups of a cluster: the plan is not searched for them.
            if reads == Reads::No {
                continue;
            }
            match (self.planned(self.from(), id), reads) {
                (_, Reads::No) => {}
                // What a stranger reads on green is no reason to keep a producer there.
                (None, _) if self.to == Side::Blue => {}
                (None, Reads::Yes) => {
                    return row.fail(
                        format!(
                            "{id} reads its topics on {} and is not in the plan: it would starve",
                            self.from(),
                            id = visible_name(id)
                        ),
                        "list it under [[groups]] with its switch, or stop it",
                    );
                }
                // Of whom it can't be told there is a row of its own: a person may know better.
                (None, Reads::Watched { .. } | Reads::Hidden) => {}
                (Some(_), Reads::Hidden) => {
                    let why = format!("it can't be told whether {id} reads its topics", id = visible_name(id));
                    untold.get_or_insert((why, "wait for a fresh look".to_owned()));
                }
                (Some((group, settings)), Reads::Yes | Reads::Watched { .. }) => match self.unready(group, settings) {
                    Some((why, advice)) => return row.fail(why, advice),
                    None => ready += 1,
                },
            }
        }
        if let Some((why, advice)) = self.starves().or_else(|| self.ahead()) {
            return row.fail(why, advice);
        }
        if let Some((why, advice)) = untold.or_else(|| self.may_be_ahead()) {
            return row.unknown(why, advice);
        }
        let strangers = if self.to == Side::Blue { self.foreign_readers() } else { Vec::new() };
        match strangers.is_empty() {
            true => row.value(format!("{ready} groups")),
            false => row.value(format!("{ready} groups; not in the plan: {}", some(&strangers))),
        }
    }

    /// Groups that are not in the plan, and of which it can't be told whether they read its topics: what they read on the
    /// side that is left would end, and what only commits on green may be ahead of it.
    pub(in crate::migration::eos) fn strangers(&self) -> Row {
        let at = self.sight.estate.side(self.from()).at().min(self.sight.estate.side(self.to).at());
        let row = Row::new(RowId::Strangers, "nobody unknown reads its topics", at);
        for side in [self.from(), self.to] {
            if self.sight.fresh(side).is_err() {
                return row.unknown(format!("{side} was not seen lately"), "wait for a fresh look");
            }
        }
        let untold = self.unknown_readers();
        match untold.is_empty() {
            true => row.value("none"),
            false => row.unknown(untold.words("its topics, and it is not in the plan"), untold.advice()),
        }
    }

    /// Those of [`Self::strangers`].
    pub(in crate::migration::eos) fn unknown_readers(&self) -> Untold {
        let mut untold = Untold::default();
        for side in [self.from(), self.to] {
            let Some(view) = self.sight.estate.side(side).value() else { continue };
            for (id, seen) in &view.groups {
                match self.reads(side, id, seen) {
                    Reads::Yes | Reads::No => {}
                    // On the other side only one that has been at work with these topics matters; what nobody could look at
                    // may have been.
                    Reads::Hidden if side == self.to && seen.trouble.is_none() => {}
                    reads if self.planned(side, id).is_none() => untold.take(id, reads),
                    _ => {}
                }
            }
        }
        untold
    }

    /// In how long watching tells what a row does not know, ms; `None`: it does not.
    pub(in crate::migration::eos) fn told_in_ms(&self, row: RowId) -> Option<u64> {
        match row {
            RowId::Strangers => self.unknown_readers().told_in_ms(),
            RowId::Readers => {
                let groups = self.sight.settings.groups.keys();
                let left = groups.filter_map(|g| match self.works_there(g) {
                    Reads::Watched { left_ms } => Some(left_ms),
                    _ => None,
                });
                left.max()
            }
            _ => None,
        }
    }

    /// Whether a group, by its id on a side, reads its topics there. What of a group of the plan stands as the journal
    /// knows that it was left is nobody's work.
    fn reads(&self, side: Side, id: &str, seen: &GroupView) -> Reads {
        let left = |(group, _): (&String, _)| app::stands_as_left(self.sight, group, side, seen);
        if app::only_commits(seen) && self.planned(side, id).is_some_and(left) {
            return Reads::No;
        }
        let of = |topic: &String| producer::reads_on(self.sight, (side, id), seen, topic);
        self.plan.topics.iter().map(of).fold(Reads::No, Reads::or)
    }

    fn planned(&self, side: Side, id: &str) -> Option<(&String, &GroupSettings)> {
        self.sight.settings.groups.iter().find(|(g, _)| self.sight.id_on(g, side) == id)
    }

    /// Whether a group's offsets are in some producer's transactions: it needs no switch of its own.
    fn moves_with_a_producer(&self, group: &str) -> bool {
        self.sight.settings.producers.values().any(|p| p.coupled().iter().any(|g| g == group))
    }

    /// Why a group of the plan that reads its topics can't be moved on the seam, if so.
    fn unready(&self, group: &str, settings: &GroupSettings) -> Option<Against> {
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
            Reads::Yes if self.has_members(group) => "has members",
            Reads::Yes => "only commits, and its commits move",
            _ => return None,
        };
        Some((format!("{group} {how} on {to} already", group = visible_name(group)), format!("stop it on {to} first")))
    }

    fn has_members(&self, group: &str) -> bool {
        let seen = self.sight.seen(group, self.to).and_then(|s| s.view);
        seen.is_some_and(|v| !v.members.is_empty() && v.state != GroupState::Dead)
    }

    /// Whether a group of the plan works on the side that is gone to. A way back is not kept shut by what may be.
    fn works_there(&self, group: &str) -> Reads {
        if self.has_members(group) {
            return Reads::Yes;
        }
        let seen = self.sight.seen(group, self.to).and_then(|s| s.view);
        if self.to == Side::Green && seen.is_some_and(|v| v.trouble.is_some()) {
            return Reads::Hidden;
        }
        let seen = seen.filter(|v| app::only_commits(v));
        match seen.map_or(Reads::No, |v| self.reads(self.to, self.sight.id_on(group, self.to), v)) {
            Reads::Watched { .. } if self.to == Side::Blue => Reads::No,
            reads => reads,
        }
    }

    fn may_work_there(&self, group: &str, left_ms: u64) -> Against {
        let to = self.to;
        (
            format!(
                "{group} has offsets of its topics on {to} and only commits: whether it works there can't be told yet",
                group = visible_name(group)
            ),
            format!("{} more of watching tells; if it is stopped there, wait", span(left_ms)),
        )
    }

    /// Groups on the side that is left which read its topics, or may, and are not in the plan.
    fn foreign_readers(&self) -> Vec<String> {
        let from = self.from();
        let Ok(view) = self.sight.fresh(from) else { return Vec::new() };
        let readers = view.groups.iter().filter(|(id, g)| self.reads(from, id, g) != Reads::No);
        readers.filter(|(id, _)| self.planned(from, id).is_none()).map(|(id, _)| visible_name(id)).collect()
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
    fn starves(&self) -> Option<Against> {
        let from = self.from();
        for group in self.plan.coupled() {
            for topic in group::topics(self.sight, group, from) {
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
                    let alone = producer::flag(self.sight, name) == Some(FlagState::only(from));
                    let refusal = match p.is_exactly_once() {
                        true if alone => eos::may_leave(self.sight, group, name, &topic, self.to).err(),
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
    fn ahead(&self) -> Option<Against> {
        let (from, to) = (self.from(), self.to);
        let there = self.sight.estate.side(to).value().filter(|_| to == Side::Green)?;
        if let Some((id, _)) = there.groups.iter().find(|(id, g)| self.reads(to, id, g) == Reads::Yes) {
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
                && group::topics(self.sight, g, to).iter().any(|t| self.plan.topics.contains(t))
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
    fn may_be_ahead(&self) -> Option<Against> {
        self.sight.settings.groups.keys().find_map(|group| match self.works_there(group) {
            Reads::Watched { left_ms } => Some(self.may_work_there(group, left_ms)),
            Reads::Hidden if self.to == Side::Green => Some((
                format!("{group} can't be looked at on {}", self.to, group = visible_name(group)),
                "wait for a fresh look; without one nobody can tell whether it works there".to_owned(),
            )),
            _ => None,
        })
    }
}

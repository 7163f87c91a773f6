//! The two gates of a hard cutover, row by row with the measured value: before anything stops, and before the switch.
//! Named ids and named partitions are asked for; lists hide what a principal may not see, so an empty one proves nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::look::{EosLook, Stillness, offsets_partition};
use crate::migration::estate::{At, FlagState, GroupState, Observed, Side, TopicPartition};
use crate::migration::gate::{Gate, span};
use crate::migration::group;
use crate::migration::producer;
use crate::migration::settings::{Mode, ProducerSettings};
use crate::migration::sight::Sight;
use crate::migration::transactions::{Answer, Hanging, TransactionState, TransactionView, Unavailable};

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
    pub fn may_be_overridden(self) -> bool {
        matches!(self, RowId::Window | RowId::Coupled | RowId::Permissions)
    }
}

/// One row of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
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

impl Row {
    fn new(id: RowId, what: impl Into<String>, at: Option<At>) -> Self {
        Row { id, what: what.into(), gate: Gate::Pass, value: String::new(), at, advice: String::new() }
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
pub struct Cut<'a> {
    /// Everything a rule may rest on.
    pub sight: &'a Sight<'a>,
    /// Its name.
    pub name: &'a str,
    /// Its entry in the plan.
    pub plan: &'a ProducerSettings,
    /// Where it goes.
    pub to: Side,
}

/// The newest look at a producer on a side, and when it was made.
type Seen<'a> = Result<(&'a EosLook, At), String>;

impl<'a> Cut<'a> {
    fn from(&self) -> Side {
        self.to.other()
    }

    fn ids(&self, side: Side) -> &'a [String] {
        match side {
            Side::Blue => &self.plan.transactional_blue,
            Side::Green => &self.plan.transactional_green,
        }
    }

    fn look(&self, side: Side) -> Seen<'a> {
        match self.sight.estate.eos(side, self.name) {
            Some(seen @ Observed::Known { value, at, .. }) if self.sight.is_fresh(seen) => Ok((value, *at)),
            Some(Observed::Known { at, trouble, .. }) => {
                let why = trouble.as_ref().map(|t| format!(": {}", t.what)).unwrap_or_default();
                Err(format!("{side} was last asked {} ago{why}", span(self.sight.now.since(*at))))
            }
            Some(Observed::Absent { why }) => Err(why.what.clone()),
            None => Err(format!("{side} was not asked about {} yet", self.name)),
        }
    }

    /// The gate before anything stops.
    #[must_use]
    pub fn live(&self, worst_case_ms: u64) -> Vec<Row> {
        vec![
            self.flag(),
            self.new_ids(),
            self.window(worst_case_ms),
            self.topics(),
            self.transactions(),
            self.readers(),
            self.coupled(),
            self.permissions(),
            self.way_back(),
            self.approval(),
        ]
    }

    /// The gate after the stop, before the switch: `still` is how long the logs of both sides have stood, `fenced` the
    /// ids fenced by this run.
    #[must_use]
    pub fn after_stop(&self, still: [&Stillness; 2], fenced: &BTreeSet<String>, needed_ms: u64) -> Vec<Row> {
        let [left, target] = still;
        vec![self.settled(), self.fenced(fenced), self.closed(left, needed_ms), self.target_still(target, needed_ms)]
    }

    fn flag(&self) -> Row {
        let want = only(self.from());
        let flag = producer::flag(self.sight, self.name);
        let at = self.sight.estate.flags.get(self.name).and_then(at_of);
        let row = Row::new(RowId::Flag, "dual-write flag off", at);
        match flag {
            _ if !self.plan.has_flag => row.fail("the plan gives it no flag", "give its [[producers]] entry a flag"),
            Some(flag) if flag == want => row.value(flag.to_string()),
            Some(flag) => row.fail(format!("the flag reads {flag}"), format!("set it to {want} first")),
            None => row.unknown("the flag can't be read now", "wait until it can be read"),
        }
    }

    fn new_ids(&self) -> Row {
        let row = |at| Row::new(RowId::NewIds, format!("{} ids new and unused", self.to), at);
        let (new, old) = (self.ids(self.to), self.ids(self.from()));
        if new.is_empty() || old.is_empty() {
            let side = if new.is_empty() { self.to } else { self.from() };
            return row(None).fail(
                format!("the plan names no transactional ids on {side}"),
                "list them: transactional_ids = { blue = [...], green = [...] }",
            );
        }
        if let Some((id, whose)) = new.iter().find_map(|id| Some((id, self.owner_of(id)?))) {
            return row(None).fail(
                format!("{id} is an id of {whose} too"),
                "a transactional id belongs to one producer on one cluster: choose another",
            );
        }
        let (look, at) = match self.look(self.to) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at)).value(some(new));
        let own = self.sight.state.producers.get(self.name).is_some_and(|p| p.ran_on.contains(&self.to));
        for id in new {
            match look.ids.get(id) {
                Some(Answer::Told(None)) => {}
                // It ran there before it was rolled back: then its ids are known, and must only be at rest.
                Some(Answer::Told(Some(view))) if own && view.state.is_settled() => {}
                Some(Answer::Told(Some(view))) => {
                    return row.fail(
                        format!("{id} is in use on {}: {}, pid {}", self.to, view.state, view.producer_id),
                        "stop whoever uses it, or choose new ids in the plan",
                    );
                }
                other => {
                    let why = other.and_then(Answer::trouble).map_or("not told".to_owned(), |t| t.what);
                    return row.unknown(format!("{id} on {}: {why}", self.to), "see that its use there can be asked");
                }
            }
        }
        row
    }

    /// Who else has an id of the side that is gone to.
    fn owner_of(&self, id: &String) -> Option<String> {
        if self.ids(self.from()).contains(id) {
            return Some(format!("{} on {}", self.name, self.from()));
        }
        let other = self.sight.settings.producers.iter().find(|(name, p)| {
            *name != self.name && (p.transactional_blue.contains(id) || p.transactional_green.contains(id))
        });
        other.map(|(name, _)| name.clone())
    }

    fn window(&self, worst_case_ms: u64) -> Row {
        let row = Row::new(RowId::Window, "cutover window open", Some(self.sight.now));
        let windows = &self.sight.estate.windows;
        let open = windows.iter().filter_map(|w| Some((w, w.open_until?))).max_by_key(|(_, until)| *until);
        match open {
            _ if windows.is_empty() => row.fail("the plan has no [[windows]]", "add one, or override `window`"),
            Some((window, until)) => {
                let left = until.since(self.sight.now);
                let row = row.value(format!("{} open, {} left", window.name, span(left)));
                if left > worst_case_ms {
                    row
                } else {
                    row.fail(
                        format!("{} left in {}, the worst case takes {}", span(left), window.name, span(worst_case_ms)),
                        "wait for the next window, or override `window`",
                    )
                }
            }
            None => match windows.iter().filter_map(|w| Some((w, w.opens?))).min_by_key(|(_, opens)| *opens) {
                Some((window, opens)) => {
                    let left = opens.since(self.sight.now);
                    row.hold(left, format!("{} opens in {}", window.name, span(left)), "wait, or override `window`")
                }
                None => row.unknown("it can't be told when a window opens", "see the zones in the plan"),
            },
        }
    }

    fn topics(&self) -> Row {
        let at = at_of(&self.sight.estate.blue).min(at_of(&self.sight.estate.green));
        let row = Row::new(RowId::Topics, "topics on both, written by it alone", at);
        for side in Side::BOTH {
            if let Err(refusal) = self.sight.fresh(side) {
                return row.unknown(refusal.why, refusal.advice);
            }
        }
        if self.plan.topics.is_empty() {
            return row.fail("the plan lists no topics for it", "list every topic that it writes");
        }
        let row = row.value(format!("{} topics", self.plan.topics.len()));
        if let Err(refusal) = producer::topics_exist(self.sight, self.name, self.plan) {
            return row.fail(refusal.why, refusal.advice);
        }
        let shared = self.plan.topics.iter().find_map(|t| {
            let others = self.sight.settings.producers.iter();
            others.filter(|(n, p)| *n != self.name && p.topics.contains(t)).map(|(n, _)| (t, n)).next()
        });
        match shared {
            Some((topic, other)) => row.fail(
                format!("{topic} is written by {other} too: one seam can't serve two writers that move apart"),
                format!(
                    "stop {other} for the cut and take its topic out of its entry, or give them topics of their own"
                ),
            ),
            None => row,
        }
    }

    fn transactions(&self) -> Row {
        let row = |at| Row::new(RowId::Transactions, "no overlong or hanging transaction", at);
        let (look, at) = match self.look(self.from()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let (row, now, ids) = (row(Some(at)), self.sight.now, self.ids(self.from()));
        let mut open = 0;
        for id in ids {
            match look.ids.get(id) {
                Some(Answer::Told(Some(view))) => {
                    open += usize::from(view.state == TransactionState::Ongoing);
                    if view.is_overlong(now) {
                        return row.hold(0, overlong(id, view, now), "wait for it, or end it: fencing aborts it");
                    }
                }
                Some(Answer::Told(None) | Answer::Unavailable(Unavailable::Before(_))) => {}
                other => {
                    let why = other.and_then(Answer::trouble).map_or("not told".to_owned(), |t| t.what);
                    return row.unknown(format!("{id} on {}: {why}", self.from()), "see that it may be described");
                }
            }
        }
        if let Some((tp, why, advice)) = self.hanging(look) {
            return row.fail(format!("{tp}: {why}"), advice);
        }
        let unasked = look.ids.values().any(|a| matches!(a, Answer::Unavailable(_)));
        row.value(if unasked { "not available before 3.0".to_owned() } else { format!("{open} open, all young") })
    }

    /// What is open on a partition and nobody's coordinator holds; or somebody else's transaction that would hold the
    /// last stable offset after the stop.
    fn hanging(&self, look: &EosLook) -> Option<(TopicPartition, String, String)> {
        let ids = self.ids(self.from());
        for (tp, answer) in &look.writers {
            for writer in answer.told().into_iter().flatten().filter(|w| w.open_from.is_some()) {
                let id = look.id_of(writer.producer_id, ids);
                let Some(hanging) = Hanging::of(tp, writer, id) else { continue };
                let open = format!("open from offset {}", hanging.open_from);
                match id.and_then(|id| look.ids.get(id)?.told()?.as_ref()) {
                    Some(view) if hanging.held_by(view).is_none() => {
                        let why = format!(
                            "pid {} epoch {} hangs, {open}: its coordinator has {} as {}",
                            writer.producer_id,
                            writer.epoch,
                            id.unwrap_or_default(),
                            view.state
                        );
                        return Some((tp.clone(), why, "end it: kafka-transactions abort, or `abort` here".to_owned()));
                    }
                    Some(_) => {}
                    None if look.ids.values().any(|a| matches!(a, Answer::Unavailable(_))) => {}
                    None => {
                        let why = format!("pid {}, none of its ids, has a transaction {open}", writer.producer_id);
                        return Some((
                            tp.clone(),
                            why,
                            "find whose it is: nobody else may write its topics".to_owned(),
                        ));
                    }
                }
            }
        }
        None
    }

    fn readers(&self) -> Row {
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
        row.value(format!("{ready} groups"))
    }

    fn runs_there(&self, group: &str) -> bool {
        let seen = self.sight.seen(group, self.to).and_then(|s| s.view);
        seen.is_some_and(|v| !v.members.is_empty() && v.state != GroupState::Dead)
    }

    fn coupled(&self) -> Row {
        let row = |at| Row::new(RowId::Coupled, "groups whose offsets it commits move with it", at);
        let (look, at) = match self.look(self.from()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at));
        let views = self.ids(self.from()).iter().filter_map(|id| look.ids.get(id)?.told()?.as_ref());
        let stores: BTreeSet<i32> = views
            .flat_map(|v| &v.partitions)
            .filter(|tp| tp.topic == "__consumer_offsets")
            .map(|tp| tp.partition)
            .collect();
        let listed = &self.plan.reads;
        let missing = listed.iter().find(|g| !self.sight.settings.groups.contains_key(*g));
        if let Some(group) = missing {
            return row.fail(
                format!("{group}, which it reads as, is not in the plan's groups"),
                "list it under [[groups]]: it moves together with its producer",
            );
        }
        if stores.is_empty() {
            let words = if listed.is_empty() { "none seen" } else { "as the plan says" };
            return row.value(format!("{words} (told only while one is open)"));
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

    fn permissions(&self) -> Row {
        let row = |at| Row::new(RowId::Permissions, "nothing asked for is hidden", at);
        let mut newest = None;
        for side in [self.from(), self.to] {
            let (look, at) = match self.look(side) {
                Ok(seen) => seen,
                Err(why) => return row(None).unknown(why, "wait for a fresh look"),
            };
            newest = newest.max(Some(at));
            let ids = look.ids.iter().filter_map(|(id, a)| Some((id.clone(), hidden(a)?)));
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

    fn way_back(&self) -> Row {
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

    fn approval(&self) -> Row {
        let row = Row::new(RowId::Approval, "a second person agrees", Some(self.sight.now));
        if !self.plan.needs_approval {
            return row.value("not asked for by the plan");
        }
        let state = self.sight.state.producers.get(self.name);
        match state.and_then(|p| p.approved.as_ref()) {
            Some(approval) => row.value(format!("{} agreed", approval.by)),
            None => row.hold(
                0,
                "nobody has agreed yet",
                format!("another person runs `cutover producer approve {}` on a terminal of their own", self.name),
            ),
        }
    }

    fn settled(&self) -> Row {
        let row = |at| Row::new(RowId::Settled, format!("{} ids Empty or Complete", self.from()), at);
        let (look, at) = match self.look(self.from()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at));
        let mut words = Vec::new();
        for id in self.ids(self.from()) {
            match look.ids.get(id) {
                Some(Answer::Told(None)) => words.push(format!("{id} unused")),
                Some(Answer::Told(Some(view))) if view.state.is_settled() => words.push(format!("{id} {}", view.state)),
                Some(Answer::Told(Some(view))) => {
                    let age =
                        view.open_for_ms(self.sight.now).map(|ms| format!(", open {}", span(ms))).unwrap_or_default();
                    let timeout = u64::try_from(view.timeout_ms).unwrap_or(0);
                    let left = timeout.saturating_sub(view.open_for_ms(self.sight.now).unwrap_or(0));
                    let why = format!("{id}, pid {}, is {}{age}", view.producer_id, view.state);
                    return row.hold(left, why, "wait for its end, or fence it: that aborts it");
                }
                Some(Answer::Unavailable(why)) => words.push(format!("{id}: {why}")),
                other => {
                    let why = other.and_then(Answer::trouble).map_or("not told".to_owned(), |t| t.what);
                    return row.unknown(format!("{id}: {why}"), "see that it may be described");
                }
            }
        }
        row.value(some(&words))
    }

    fn fenced(&self, fenced: &BTreeSet<String>) -> Row {
        let denied = self.look(self.from()).ok().and_then(|(look, at)| Some((look.denied.as_ref()?.told()?, at)));
        let row = Row::new(RowId::Fenced, format!("{} ids fenced", self.from()), Some(self.sight.now));
        match self.ids(self.from()).iter().find(|id| !fenced.contains(*id)) {
            Some(id) => row.hold(0, format!("{id} is not fenced yet"), "it is fenced next"),
            None => row.value(match denied {
                Some((true, _)) => "FENCED, and denied by ACL",
                _ => "FENCED (current instances only)",
            }),
        }
    }

    fn closed(&self, still: &Stillness, needed_ms: u64) -> Row {
        let what = format!("LSO = high watermark on {} for {}", self.from(), span(needed_ms));
        held(Row::new(RowId::Closed, what, still.last()), still.closed_since(), self.sight, still.last(), needed_ms)
    }

    fn target_still(&self, still: &Stillness, needed_ms: u64) -> Row {
        let what = format!("nobody writes its topics on {} yet", self.to);
        held(Row::new(RowId::TargetStill, what, still.last()), still.still_since(), self.sight, still.last(), needed_ms)
    }
}

/// A row that passes when something has held for a time, seen lately.
fn held(row: Row, since: Option<At>, sight: &Sight<'_>, last: Option<At>, needed_ms: u64) -> Row {
    let Some(last) = last.filter(|at| sight.now.since(*at) <= sight.settings.stale_after_ms) else {
        return row.unknown("not seen lately", "wait for a fresh look");
    };
    // Counted to the last look: what is after it was not seen.
    let so_far = since.map_or(0, |since| last.since(since));
    if since.is_some() && so_far >= needed_ms {
        return row.value(format!("held {}", span(so_far)));
    }
    let left = needed_ms - so_far.min(needed_ms);
    row.hold(left, format!("held {} of {}", span(so_far), span(needed_ms)), "wait; who writes is named below")
}

/// The flag of a producer that writes to one side alone.
#[must_use]
pub fn only(side: Side) -> FlagState {
    match side {
        Side::Blue => FlagState::Blue,
        Side::Green => FlagState::Green,
    }
}

/// All rows as one gate.
#[must_use]
pub fn all(rows: &[Row], overridden: &BTreeSet<RowId>) -> Gate {
    let counted = rows.iter().filter(|r| !(r.id.may_be_overridden() && overridden.contains(&r.id)));
    counted.fold(Gate::Pass, |gate, row| gate.and(row.gate.clone()))
}

fn overlong(id: &str, view: &TransactionView, now: At) -> String {
    let open = view.open_for_ms(now).map_or("?".to_owned(), span);
    let timeout = u64::try_from(view.timeout_ms).map_or("?".to_owned(), span);
    format!("{id}, pid {}, open {open}, its timeout is {timeout}", view.producer_id)
}

fn hidden<T>(answer: &Answer<T>) -> Option<String> {
    match answer {
        Answer::Hidden(trouble) => Some(trouble.what.clone()),
        _ => None,
    }
}

fn at_of<T>(seen: &Observed<T>) -> Option<At> {
    match seen {
        Observed::Known { at, .. } => Some(*at),
        Observed::Absent { .. } => None,
    }
}

/// The first words of a list, and how many more there are.
fn some(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first, .., last] if words.len() > 3 => format!("{first} .. {last} ({})", words.len()),
        few => few.join(", "),
    }
}

/// Groups that may be moved together with a producer: those that read its topics, and those whose offsets it commits.
#[must_use]
pub fn downstream(sight: &Sight<'_>, plan: &ProducerSettings) -> Vec<String> {
    let reads = |g: &String| {
        let topics = group::topics(sight, g, Side::Blue);
        plan.topics.iter().any(|t| topics.iter().any(|own| own == t))
    };
    sight.settings.groups.keys().filter(|g| reads(g)).cloned().collect()
}

#[cfg(test)]
mod tests;

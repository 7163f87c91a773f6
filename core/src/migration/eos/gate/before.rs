//! Rows about the producer itself: its flag, its ids, its topics, its transactions, and the window.

use super::{HardGateRow, ProducerCut, RowId, shorten_list};
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, TopicPartition};
use crate::estate::FlagState;
use crate::estate::exactly_once::EosLook;
use crate::estate::transactions::{Answer, Hanging, TransactionState, TransactionView, Unavailable};
use crate::migration::facts::command::Subject;
use crate::migration::rules::counts;
use crate::migration::rules::producer;

/// A transaction that is open on a partition and that nobody ends.
pub(super) struct HungTransaction {
    pub(super) tp: TopicPartition,
    pub(super) why: String,
    pub(super) advice: &'static str,
    /// It is none of the producer's own.
    pub(super) foreign: bool,
}

impl ProducerCut<'_> {
    pub(in crate::migration::eos) fn check_flag(&self) -> HardGateRow {
        let want = FlagState::only_on(self.source_side());
        let flag = producer::current_flag(self.sight, self.name);
        let at = self.sight.estate.flags.get(self.name).and_then(Observed::at);
        let row = HardGateRow::new(RowId::Flag, "dual-write flag off", at);
        match flag {
            _ if !self.plan.has_flag => row.fail("the plan gives it no flag", "give its [[producers]] entry a flag"),
            Some(flag) if flag == want => row.value(flag.to_string()),
            // A cut that stopped behind its point of no silent return is taken over with the flag where it left it.
            Some(FlagState::Off) if self.to == Side::Blue && self.is_taking_over() => row.value("off"),
            Some(flag) => row.fail(format!("the flag reads {flag}"), format!("set it to {want} first")),
            None => row.unknown("the flag can't be read now", "wait until it can be read"),
        }
    }

    fn is_taking_over(&self) -> bool {
        let run = self.sight.state.open_run(&Subject::Producer(self.name.to_owned()));
        run.is_some_and(|r| r.kind.moves_hard() && (r.no_return || r.replaces.is_some()))
    }

    pub(in crate::migration::eos) fn check_new_ids(&self) -> HardGateRow {
        let what = if self.to == Side::Blue { "at rest" } else { "new and unused" };
        let row = |at| HardGateRow::new(RowId::NewIds, format!("{} ids {what}", self.to), at);
        let (new, old) = (self.ids(self.to), self.ids(self.source_side()));
        // Exactly-once is whoever has ids on either side; a cut needs them on both.
        if new.is_empty() || old.is_empty() {
            let side = if new.is_empty() { self.to } else { self.source_side() };
            return row(None).fail(
                format!("the plan names no transactional ids on {side}"),
                "list them: transactional_ids = { blue = [...], green = [...] }",
            );
        }
        if let Some((id, whose)) = new.iter().find_map(|id| Some((id, self.find_other_owner(id)?))) {
            return row(None).fail(
                format!("{id} is an id of {whose} too", id = visible_name(id)),
                "a transactional id belongs to one producer on one cluster: choose another",
            );
        }
        let (look, at) = match self.fresh_look(self.to) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at)).value(shorten_list(new));
        let state = self.sight.state.producers.get(self.name);
        // On blue its ids are the ones that it has always had.
        let own = self.to == Side::Blue || state.is_some_and(|p| p.ran_on.contains(&self.to));
        for id in new {
            match look.ids.get(id) {
                Some(Answer::Told(None)) => {}
                // It ran there before it was rolled back: then its ids are known, and must only be at rest.
                Some(Answer::Told(Some(view))) if own && view.state.is_settled() => {}
                // Its own, and kept out since: whether it rests shows in the log.
                Some(Answer::Hidden(_)) if self.denied_from_here(self.to) => {}
                // Nobody can be asked before 3.0 (KIP-664); ids that it never used there stay untold.
                Some(Answer::Unavailable(_)) if own => {}
                Some(Answer::Told(Some(view))) => {
                    return row.fail(
                        format!(
                            "{id} is in use on {}: {}, pid {}",
                            self.to,
                            view.state,
                            view.producer_id,
                            id = visible_name(id)
                        ),
                        "stop whoever uses it, or choose new ids in the plan",
                    );
                }
                other => {
                    let why = other.and_then(Answer::to_trouble).map_or("not told".to_owned(), |t| t.what);
                    return row.unknown(
                        format!("{id} on {}: {why}", self.to, id = visible_name(id)),
                        "see that its use there can be asked",
                    );
                }
            }
        }
        row
    }

    /// Who else has an id of the side that is gone to.
    pub(super) fn find_other_owner(&self, id: &String) -> Option<String> {
        if self.ids(self.source_side()).contains(id) {
            return Some(format!("{} on {}", visible_name(self.name), self.source_side()));
        }
        let other = self
            .sight
            .settings
            .producers
            .iter()
            .find(|(name, p)| *name != self.name && p.transactional_ids.iter().any(|(_, ids)| ids.contains(id)));
        other.map(|(name, _)| visible_name(name))
    }

    pub(super) fn check_window(&self, worst_case_ms: u64) -> HardGateRow {
        let row = HardGateRow::new(RowId::Window, "cutover window open", Some(self.sight.now));
        let windows = &self.sight.estate.windows;
        let open = windows.iter().filter_map(|w| Some((w, w.open_until?))).max_by_key(|(_, until)| *until);
        match open {
            _ if windows.is_empty() => row.fail("the plan has no [[windows]]", "add one, or override `window`"),
            Some((window, until)) => {
                let left = until.since(self.sight.now);
                let row = row.value(format!("{} open, {} left", visible_name(&window.name), format_duration(left)));
                if left > worst_case_ms {
                    row
                } else {
                    row.fail(
                        format!(
                            "{} left in {}, the worst case takes {}",
                            format_duration(left),
                            visible_name(&window.name),
                            format_duration(worst_case_ms)
                        ),
                        "wait for the next window, or override `window`",
                    )
                }
            }
            None => match windows.iter().filter_map(|w| Some((w, w.opens?))).min_by_key(|(_, opens)| *opens) {
                Some((window, opens)) => {
                    let left = opens.since(self.sight.now);
                    row.hold(
                        left,
                        format!("{} opens in {}", visible_name(&window.name), format_duration(left)),
                        "wait, or override `window`",
                    )
                }
                None => row.unknown("it can't be told when a window opens", "see the zones in the plan"),
            },
        }
    }

    pub(in crate::migration::eos) fn check_topics(&self) -> HardGateRow {
        let at = self.sight.estate.clusters.blue.at().min(self.sight.estate.clusters.green.at());
        let row = HardGateRow::new(RowId::Topics, "topics on both, written by it alone", at);
        for side in Side::BOTH {
            if let Err(refusal) = self.sight.fresh_cluster(side) {
                return row.unknown(refusal.why, refusal.advice);
            }
        }
        if self.plan.topics.is_empty() {
            return row.fail("the plan lists no topics for it", "list every topic that it writes");
        }
        let row = row.value(format!("{} topics", self.plan.topics.len()));
        if let Err(refusal) = producer::check_topics_exist(self.sight, self.name, self.plan, &Side::BOTH) {
            return row.fail(refusal.why, refusal.advice);
        }
        // A seam is a pair of offsets for each partition.
        if let Some(uneven) = counts::find_uneven(self.sight, &self.plan.topics).first() {
            return row.fail(
                uneven.describe(Side::Blue),
                "make them equal first: the seam of an exactly-once producer is cut partition by partition",
            );
        }
        let shared = self.plan.topics.iter().find_map(|t| {
            let others = self.sight.settings.producers.iter();
            others.filter(|(n, p)| *n != self.name && p.topics.contains(t)).map(|(n, _)| (t, n)).next()
        });
        match shared {
            Some((topic, other)) => row.fail(
                format!(
                    "{topic} is written by {other} too: one seam can't serve two writers that move apart",
                    topic = visible_name(topic),
                    other = visible_name(other)
                ),
                format!(
                    "stop {other} for the cut and take its topic out of its entry, or give them topics of their own",
                    other = visible_name(other)
                ),
            ),
            None => row,
        }
    }

    pub(super) fn check_transactions(&self) -> HardGateRow {
        let row = |at| HardGateRow::new(RowId::Transactions, "no overlong or hanging transaction", at);
        let (look, at) = match self.fresh_look(self.source_side()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let (row, now, ids) = (row(Some(at)), self.sight.now, self.ids(self.source_side()));
        let mut open = 0;
        for id in ids {
            match look.ids.get(id) {
                Some(Answer::Told(Some(view))) => {
                    open += usize::from(view.state == TransactionState::Ongoing);
                    if view.is_overlong(now) {
                        return row.hold(
                            0,
                            describe_overlong(id, view, now),
                            "wait for it, or end it: fencing aborts it",
                        );
                    }
                }
                Some(Answer::Told(None) | Answer::Unavailable(Unavailable::Before(_))) => {}
                other => {
                    let why = other.and_then(Answer::to_trouble).map_or("not told".to_owned(), |t| t.what);
                    return row.unknown(
                        format!("{id} on {}: {why}", self.source_side(), id = visible_name(id)),
                        "see that it may be described",
                    );
                }
            }
        }
        // Somebody else's on green is no reason to keep a producer there; its end is waited for after the stop.
        let (others, hanging): (Vec<_>, Vec<_>) =
            self.find_hanging(look).into_iter().partition(|h| h.foreign && self.to == Side::Blue);
        if let Some(h) = hanging.into_iter().next() {
            return row.fail(format!("{}: {}", h.tp, h.why), h.advice);
        }
        let unasked = look.ids.values().any(|a| matches!(a, Answer::Unavailable(_)));
        let words = if unasked { "not available before 3.0".to_owned() } else { format!("{open} open, all young") };
        row.value(match others.first() {
            Some(h) => format!("{words}; {}: {}", h.tp, h.why),
            None => words,
        })
    }

    /// What is open on a partition and nobody's coordinator holds; or somebody else's transaction that would hold the
    /// last stable offset after the stop.
    pub(super) fn find_hanging(&self, look: &EosLook) -> Vec<HungTransaction> {
        let mut all = Vec::new();
        let ids = self.ids(self.source_side());
        for (tp, answer) in &look.writers {
            for writer in answer.as_told().into_iter().flatten().filter(|w| w.open_from.is_some()) {
                let id = look.id_of(writer.producer_id, ids);
                let Some(hanging) = Hanging::from_producer(tp, writer, id) else { continue };
                let open = format!("open from offset {}", hanging.open_from);
                match id.and_then(|id| look.ids.get(id)?.as_told()?.as_ref()) {
                    Some(view) if hanging.held_by(view).is_none() => {
                        let why = format!(
                            "pid {} epoch {} hangs, {open}: its coordinator has {} as {}",
                            writer.producer_id,
                            writer.epoch,
                            id.unwrap_or_default(),
                            view.state
                        );
                        all.push(HungTransaction {
                            tp: tp.clone(),
                            why,
                            advice: "end it: kafka-transactions abort",
                            foreign: false,
                        });
                    }
                    Some(_) => {}
                    // Where no id can be asked for its producer id, its own transactions look like anybody's.
                    None if look.ids.values().any(|a| matches!(a, Answer::Unavailable(_))) => {}
                    None => {
                        let why = format!("pid {}, none of its ids, has a transaction {open}", writer.producer_id);
                        let advice = "find whose it is: nobody else may write its topics";
                        all.push(HungTransaction { tp: tp.clone(), why, advice, foreign: true });
                    }
                }
            }
        }
        all
    }
}

fn describe_overlong(id: &str, view: &TransactionView, now: At) -> String {
    let open = view.open_for_ms(now).map_or("?".to_owned(), format_duration);
    let timeout = u64::try_from(view.timeout_ms).map_or("?".to_owned(), format_duration);
    format!("{id}, pid {}, open {open}, its timeout is {timeout}", view.producer_id, id = visible_name(id))
}

//! Rows after the stop, before the switch: settled, fenced, closed, and nobody on the other side yet.

use super::{HardGateRow, ProducerCut, RowId, shorten_list};
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Side};
use crate::estate::exactly_once::{EosLook, Stillness};
use crate::estate::transactions::Answer;
use crate::migration::eos::rogue::{Rogue, SpottedRogue};
use crate::migration::eos::{FencedId, denials_for};
use crate::migration::rules::context::RuleContext;

impl ProducerCut<'_> {
    pub(in crate::migration::eos) fn check_settled(&self) -> HardGateRow {
        let row = |at| HardGateRow::new(RowId::Settled, format!("{} ids Empty or Complete", self.source_side()), at);
        let (look, at) = match self.fresh_look(self.source_side()) {
            Ok(seen) => seen,
            Err(why) => return row(None).unknown(why, "wait for a fresh look"),
        };
        let row = row(Some(at));
        let mut words = Vec::new();
        for id in self.ids(self.source_side()) {
            match look.ids.get(id) {
                Some(Answer::Told(None)) => words.push(format!("{id} unused", id = visible_name(id))),
                Some(Answer::Told(Some(view))) if view.state.is_settled() => {
                    words.push(format!("{id} {}", view.state, id = visible_name(id)))
                }
                Some(Answer::Told(Some(view))) => {
                    let age = view
                        .open_for_ms(self.sight.now)
                        .map(|ms| format!(", open {}", format_duration(ms)))
                        .unwrap_or_default();
                    let timeout = u64::try_from(view.timeout_ms).unwrap_or(0);
                    let left = timeout.saturating_sub(view.open_for_ms(self.sight.now).unwrap_or(0));
                    let why = format!("{id}, pid {}, is {}{age}", view.producer_id, view.state, id = visible_name(id));
                    return row.hold(left, why, "wait for its end, or fence it: that aborts it");
                }
                Some(Answer::Unavailable(why)) => words.push(format!("{id}: {why}", id = visible_name(id))),
                // A denial hides it from whoever is no super user; its log says the rest.
                Some(Answer::Hidden(_)) if self.denied_from_here(self.source_side()) => {
                    words.push(format!("{id}: hidden by the denial", id = visible_name(id)));
                }
                other => {
                    let why = other.and_then(Answer::to_trouble).map_or("not told".to_owned(), |t| t.what);
                    return row.unknown(format!("{id}: {why}", id = visible_name(id)), "see that it may be described");
                }
            }
        }
        row.value(shorten_list(&words))
    }

    pub(super) fn check_fenced(&self, fenced: &[FencedId]) -> HardGateRow {
        let look = self.fresh_look(self.source_side()).ok();
        let wanted = denials_for(self.plan, self.source_side());
        let stand = look.and_then(|(look, _)| look.denied.as_ref()?.as_told());
        // Of no denials at all each one stands: without a principal in the plan nothing is denied.
        let denied = !wanted.is_empty() && stand.is_some_and(|stand| wanted.iter().all(|acl| stand.contains(acl)));
        let row = HardGateRow::new(RowId::Fenced, format!("{} ids fenced", self.source_side()), look.map(|(_, at)| at));
        if let Some(why) = look.and_then(|(look, _)| initialised_again(look, fenced, self.source_side())) {
            return row.fail(why, "stop that instance; a principal in the plan keeps it out by ACL");
        }
        if let Some(why) = look.and_then(|(look, _)| not_told(look, fenced, self.denied_from_here(self.source_side())))
        {
            return row.unknown(why, "see that it may be described");
        }
        let unasked = look.and_then(|(look, _)| not_asked(look, fenced)).map(|why| format!("; {why}"));
        let unasked = unasked.unwrap_or_default();
        match self.ids(self.source_side()).iter().find(|id| !fenced.iter().any(|f| f.id == **id)) {
            Some(id) => row.hold(0, format!("{id} is not fenced yet", id = visible_name(id)), "it is fenced next"),
            None if denied => row.value(format!("FENCED, and denied by ACL{unasked}")),
            None => row.value(format!("FENCED (current instances only){unasked}")),
        }
    }

    pub(super) fn check_closed(&self, still: &Stillness, needed_ms: u64) -> HardGateRow {
        let what = format!("LSO = high watermark on {} for {}", self.source_side(), format_duration(needed_ms));
        check_held_for(
            HardGateRow::new(RowId::Closed, what, still.last_look()),
            still.closed_since(),
            self.sight,
            still.last_look(),
            needed_ms,
        )
    }

    pub(super) fn check_target_still(&self, still: &Stillness, needed_ms: u64) -> HardGateRow {
        let what = format!("nobody writes its topics on {} yet", self.to);
        check_held_for(
            HardGateRow::new(RowId::TargetStill, what, still.last_look()),
            still.still_since(),
            self.sight,
            still.last_look(),
            needed_ms,
        )
    }
}

/// A row that passes when something has held for a time, seen lately.
fn check_held_for(
    row: HardGateRow,
    since: Option<At>,
    sight: &RuleContext<'_>,
    last: Option<At>,
    needed_ms: u64,
) -> HardGateRow {
    let Some(last) = last.filter(|at| sight.now.is_within(sight.settings.stale_after_ms, *at)) else {
        return row.unknown("not seen lately", "wait for a fresh look");
    };
    // Counted to the last look: what is after it was not seen.
    let so_far = since.map_or(0, |since| last.since(since));
    // Without a beginning nothing has held, even where the plan asks for no time.
    if since.is_some() && so_far >= needed_ms {
        return row.value(format!("held {}", format_duration(so_far)));
    }
    let left = needed_ms - so_far.min(needed_ms);
    row.hold(
        left,
        format!("held {} of {}", format_duration(so_far), format_duration(needed_ms)),
        "wait; who writes is named below",
    )
}

/// An id whose coordinator has another producer id, or a higher epoch, than the fence gave it: somebody started again.
#[must_use]
pub(crate) fn initialised_again(look: &EosLook, fenced: &[FencedId], side: Side) -> Option<String> {
    list_initialised_again(look, fenced, side).into_iter().next().map(|s| s.words)
}

/// Every such id.
pub(in crate::migration::eos) fn list_initialised_again(
    look: &EosLook,
    fenced: &[FencedId],
    side: Side,
) -> Vec<SpottedRogue> {
    let again = |f: &FencedId| {
        let view = look.ids.get(&f.id)?.as_told()?.as_ref()?;
        let (id, producer_id, epoch) = (f.id.clone(), view.producer_id, view.epoch);
        // Each InitProducerId raises the epoch, and an exhausted one comes with another producer id: either is a new
        // instance.
        let again = producer_id != f.producer_id || epoch > f.epoch;
        again.then(|| SpottedRogue {
            words: format!(
                "{id} was initialised again on {side}: pid {producer_id} epoch {epoch}, and the fence was pid {} epoch {}",
                f.producer_id, f.epoch, id = visible_name(&id)
            ),
            rogue: Rogue::Initialised { id, side, producer_id, epoch, fence: (f.producer_id, f.epoch) },
        })
    };
    fenced.iter().filter_map(again).collect()
}

/// A fenced id whose coordinator did not answer: whether it was initialised again is unknown, and no pass. `denied`: a
/// denial that was made from here hides it from whoever is no super user, and keeps it out, too.
#[must_use]
pub(crate) fn not_told(look: &EosLook, fenced: &[FencedId], denied: bool) -> Option<String> {
    fenced.iter().find_map(|f| match look.ids.get(&f.id) {
        // Brokers before 3.0 can't be asked (KIP-664): who comes back shows by what it writes.
        Some(Answer::Told(_) | Answer::Unavailable(_)) => None,
        Some(Answer::Hidden(_)) if denied => None,
        other => {
            let why = other.and_then(Answer::to_trouble).map_or("not told".to_owned(), |t| t.what);
            Some(format!("whether {} was initialised again can't be told: {why}", f.id))
        }
    })
}

/// Why nobody can say whether a fenced id was initialised again: what it writes shows, and nothing before that.
#[must_use]
pub(crate) fn not_asked(look: &EosLook, fenced: &[FencedId]) -> Option<String> {
    fenced.iter().find_map(|f| match look.ids.get(&f.id)? {
        Answer::Unavailable(why) => Some(format!("whether one was initialised again shows by what it writes: {why}")),
        Answer::Hidden(_) => Some(format!("whether {} was initialised again is hidden by the denial", f.id)),
        _ => None,
    })
}

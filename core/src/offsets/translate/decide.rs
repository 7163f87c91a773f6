//! What has to be read next, for everything that is held against the contents.

use super::super::align::{Axioms, Unsettled, align_windows};
use super::super::strategy::Strategy;
use super::super::window::{EndRead, LogWindow};
use super::asked::Floor;
use super::place::{NoPlace, find_place};
use super::reach::count_hidden;
use super::settling::count_where;
use super::{Log, Need, Translation, signed_ms};

impl Translation {
    pub(super) fn decide_next(&mut self) -> Need {
        let (Some(source), Some(target)) = (self.source.ends, self.target.ends) else { return Need::Ends };
        match self.params.strategy {
            Strategy::Seam => return self.decide_seam(source, target),
            // A recorded seam is stronger than contents: writers that were cut hard left no twins to align by.
            Strategy::Auto if self.params.seam.is_some() => return self.decide_seam(source, target),
            Strategy::Identity => return self.decide_mirror(source, target),
            _ => {}
        }
        if let Some(need) = self.look_up_moment() {
            return need;
        }
        let committed = match self.find_position(source) {
            Ok(committed) => committed,
            Err(why) => return Need::Done(Box::new(self.plan_unplaced(why))),
        };
        self.open_windows(committed, target.end);
        // everything unconsumed, to the end
        if self.source.window.to() < source.end {
            return self.need_read(Log::Source, self.source.window.to(), source.end);
        }
        self.note_moment(source, committed);
        if let Some(need) = self.look_up_moment() {
            return need;
        }
        if let Some(need) = self.look_up_tails(source, target) {
            return need;
        }
        // how far back, by timestamp
        let complete_from = self.complete_from(source, target, committed);
        let query = complete_from.saturating_sub(1); // the time index can tie
        for log in [Log::Source, Log::Target] {
            if let Some(need) = self.look_up(log, query) {
                return need;
            }
        }
        // the windows
        let wanted = [(Log::Source, source, committed), (Log::Target, target, target.end)]
            .map(|(log, ends, latest)| self.wanted_from(log, ends, latest, query));
        let all = source.end.abs_diff(wanted[0]).saturating_add(target.end.abs_diff(wanted[1]));
        if self.reading_floor().is_some() && all > self.params.count_records {
            // Comes here once: without a floor less is wanted.
            self.uncounted = true;
            return self.decide_next();
        }
        for (log, ends, wanted) in [(Log::Source, source, wanted[0]), (Log::Target, target, wanted[1])] {
            let side = self.log_mut(log);
            let (from, to) = (side.window.from(), side.window.to());
            if wanted < from {
                // A stretch that was begun is read up to the window first, whatever is wanted by now: only
                // whole can it be joined.
                let start = side.older.as_ref().map_or(wanted, LogWindow::to);
                return self.need_read(log, start, from);
            }
            if to < ends.end {
                return self.need_read(log, to, ends.end);
            }
        }
        self.conclude_or_wait(source, target, committed, complete_from)
    }

    /// Where arrival can't be told from samples of the ends: by timestamp.
    fn look_up_tails(&mut self, source: EndRead, target: EndRead) -> Option<Need> {
        let skew = signed_ms(self.params.arrival_skew_ms).saturating_add(signed_ms(self.params.pair_delta_ms));
        for (log, other) in [(Log::Source, target), (Log::Target, source)] {
            // Fixed by the first round, so that later ones need no new lookup. An older limit only settles less.
            let tail = self.log_mut(log).tail_ts.get_or_insert(other.asked.0.saturating_sub(skew)).to_owned();
            let told = self.settled_by_samples(log, other, self.params.arrival_skew_ms).is_some();
            if let (false, Some(need)) = (told, self.look_up(log, tail)) {
                return Some(need);
            }
        }
        None
    }

    /// Both windows stand where reading begins.
    pub(super) fn open_windows(&mut self, source: i64, target: i64) {
        if !self.opened {
            // Both begin empty: the source grows from the commit to its end, the target from its end back.
            self.source.window = LogWindow::new(source);
            self.target.window = LogWindow::new(target);
            self.opened = true;
        }
    }

    /// From which offset on a log is to be loaded.
    fn wanted_from(&mut self, log: Log, ends: EndRead, latest: i64, query: i64) -> i64 {
        if self.reading_floor() == Some(Floor::Start) {
            return ends.log_start;
        }
        let (settled, evidence) = (self.settled_below(log), self.evidence);
        // `query` was answered before anything is loaded. What is unsettled must lie in the window, whatever
        // its timestamp.
        self.log_mut(log).lookups[&query].min(latest).min(settled).saturating_sub(evidence).max(ends.log_start)
    }

    /// The group's position on the source, or why there is none. Below the log start: there (see [`Self::count_expired`]).
    fn find_position(&self, source: EndRead) -> Result<i64, String> {
        // Whoever asks for an offset needs no position, and what was never committed counts as unconsumed.
        let all_owed = self.params.strategy.is_asked_for();
        let end = source.end;
        find_place(self.params.committed, source, all_owed).map_err(|none| match none {
            NoPlace::NeverCommitted { held } => format!(
                "the group never committed an offset here, so its auto.offset.reset decides where it stands, and the log \
                 holds {held} offsets: let it commit once, or choose earliest or latest"
            ),
            NoPlace::NoOffset { at } => format!("committed {at} is no offset"),
            NoPlace::Unstable { at } => format!(
                "committed {at} is beyond the last stable offset {end}: a transaction is open, wait for its end"
            ),
            NoPlace::BeyondEnd { at } => format!(
                "committed {at} is beyond the source's end {end}: the log was truncated or the topic recreated"
            ),
        })
    }

    /// Offsets that expired on the source before the group read them.
    pub(super) fn count_expired(&self, source: EndRead) -> u64 {
        let below = self.params.committed.map_or(0, |at| source.log_start.saturating_sub(at));
        u64::try_from(below).unwrap_or(0)
    }

    pub(super) fn need_read(&mut self, log: Log, from: i64, to: i64) -> Need {
        // Offsets, and not records: how many of them are markers or holes is known only once they are read.
        let loaded: u64 = [&self.source, &self.target].map(|s| s.window.to().abs_diff(s.window.from())).iter().sum();
        let wanted = loaded.saturating_add(to.abs_diff(from));
        if wanted > self.params.max_records {
            let limit = self.params.max_records;
            let why = format!(
                "{wanted} offsets would have to be compared, more than the limit of {limit} that fit in memory: let the group catch up first"
            );
            return Need::Done(Box::new(self.plan_unread(why)));
        }
        Need::Read { log, from, to, keys: self.params.target_compacted }
    }

    fn conclude_or_wait(&mut self, source: EndRead, target: EndRead, committed: i64, complete_from: i64) -> Need {
        // The target is whole only when it never lost a record: without a floor no older record could bear witness that
        // what expired there is too old to matter.
        let whole = self.source.window.from() <= source.log_start && self.target.window.from() == 0;
        let axioms = Axioms {
            committed,
            pair_delta: self.delta,
            pair_reach: signed_ms(self.params.pair_delta_ms),
            settled_source: self.settled_below(Log::Source),
            settled_target: self.settled_below(Log::Target),
            complete_from: if whole { i64::MIN } else { complete_from },
            source_log_start: source.log_start,
            target_log_start: target.log_start,
            target_compacted: self.params.target_compacted,
            target_only_since: self.params.target_only_since.map(|at| at.0),
            // what only the target has may be in a transaction that is open on the source
            deliver_target_only: self.params.deliver_target_only || source.is_open(),
            ahead: self.ahead_at(target),
        };
        let mut alignment = align_windows(&self.source.window, &self.target.window, &axioms);
        self.axioms = Some(axioms);
        if let Some(wider) = self.wider_delta(&alignment) {
            self.delta = wider;
            return self.decide_next();
        }
        if alignment.compared == 0 && self.look_further_back(source, target) {
            return self.decide_next();
        }
        // By high watermarks: what a transaction hides now was there at the first look, too, and is waited for.
        let [ours, theirs] = *self.settling.note_look(self.now, [source.high_watermark, target.high_watermark]);
        let [here, there] = &alignment.waiting;
        alignment.unsettled = Unsettled {
            consumed: count_where(here, |at| *at < committed),
            unconsumed: count_where(here, |at| (committed..ours).contains(at)) + count_hidden(source, committed, ours),
            target_only: count_where(there, |at| *at < theirs),
        };
        let open = source.is_open() || target.is_open();
        if let Some(ms) = self.settling.next_pause(&self.params, &alignment.unsettled, open) {
            return Need::Wait { ms };
        }
        let plan = match self.params.strategy {
            Strategy::Mm2 => self.conclude_mm2(&alignment, source, target, committed),
            _ => match self.find_asked_offset(target) {
                Some(goal) => self.conclude_asked(&alignment, goal, (source, target), committed),
                None => self.conclude_aligned(&alignment, source, target, committed),
            },
        };
        Need::Done(Box::new(plan))
    }
}

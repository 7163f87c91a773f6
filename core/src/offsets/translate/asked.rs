//! Offsets that are not found but asked for, by moment or by end, or said by MirrorMaker 2: what they cost is measured
//! against the contents, as far as those can be read.

use super::super::align::{Alignment, assess_offset};
use super::super::strategy::Strategy;
use super::super::verdict::{PartitionPlan, Verdict};
use super::super::window::EndRead;
use super::{Log, Need, Translation, signed_ms};

/// How far down both logs are read for an asked-for offset, so that what it reads again is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    /// From their starts.
    Start,
    /// From this timestamp on, ms.
    Time(i64),
}

impl Translation {
    /// `None`: no further than an alignment needs.
    pub(super) fn reading_floor(&self) -> Option<Floor> {
        match self.params.strategy {
            _ if self.uncounted => None,
            Strategy::Earliest => Some(Floor::Start),
            Strategy::Timestamp => self.moment.map(Floor::Time),
            _ => None,
        }
    }

    /// For `timestamp` without a moment: that of the oldest unconsumed record, less the room that two timestamps of one
    /// record may lie apart; with nothing unconsumed, of now.
    pub(super) fn note_moment(&mut self, source: EndRead, committed: i64) {
        if self.params.strategy != Strategy::Timestamp || self.moment.is_some() {
            return;
        }
        let from = self.source.window.index_of(committed);
        let oldest = self.source.window.iter().skip(from).map(|r| r.ts).min().unwrap_or(source.asked.0);
        // Records without a time say -1, and negative times are commands to ListOffsets (-1 is the end, -2 the start).
        self.moment = Some(oldest.saturating_sub(signed_ms(self.params.pair_delta_ms)).max(0));
    }

    pub(super) fn look_up_moment(&mut self) -> Option<Need> {
        if self.params.strategy == Strategy::Timestamp && self.moment.is_none() {
            self.moment = self.params.at.map(|at| at.0.max(0)); // negative times are commands to ListOffsets
        }
        self.moment.and_then(|moment| self.look_up(Log::Target, moment))
    }

    /// The offset that was asked for.
    pub(super) fn find_asked_offset(&self, target: EndRead) -> Option<i64> {
        match self.params.strategy {
            Strategy::Latest => Some(target.end),
            Strategy::Earliest => Some(target.log_start),
            Strategy::Timestamp => {
                let found = self.moment.and_then(|moment| self.target.lookups.get(&moment)).copied();
                // Retention may have moved the log's start since that was looked up.
                found.map(|at| at.clamp(target.log_start, target.end))
            }
            _ => None,
        }
    }

    /// The group has no position that means anything: only what is asked for can be said.
    pub(super) fn plan_unplaced(&self, why: String) -> PartitionPlan {
        if self.params.strategy.is_asked_for() { self.plan_unread(why) } else { self.plan_unmappable(why) }
    }

    /// The contents are not to be had: what is asked for, or what MirrorMaker 2 says, with upper bounds for its cost.
    pub(super) fn plan_unread(&self, why: String) -> PartitionPlan {
        let mut plan = self.plan_unmappable(&why);
        let (Some(source), Some(target)) = (self.source.ends, self.target.ends) else { return plan };
        let claimed = match self.params.strategy {
            // What was never committed MirrorMaker can't have translated.
            Strategy::Mm2 | Strategy::Auto => self.params.mm2.as_ref().filter(|_| self.params.committed.is_some()),
            _ => None,
        };
        let goal =
            self.find_asked_offset(target).or_else(|| claimed.map(|c| c.offset.clamp(target.log_start, target.end)));
        let Some(goal) = goal else { return plan };
        (plan.verdict, plan.target.offset) = (Verdict::Guess, Some(goal));
        // To the high watermark: what an open transaction holds there may have been processed as well.
        let held = target.high_watermark.abs_diff(goal);
        plan.re_read = Some(held);
        // A position beyond the log is one of another log: what of this one was consumed is not known.
        let placed = self.params.committed.filter(|at| (0..=source.high_watermark).contains(at));
        // To the high watermark: what an open transaction hides may be owed as well.
        let backlog = placed.map(|at| source.high_watermark.abs_diff(at));
        let unknown = "whether all that is unconsumed is there is not known";
        let words = match self.params.strategy {
            Strategy::Latest => {
                plan.missing = backlog;
                backlog.map_or_else(
                    || "skips everything not consumed, and how much that is is not known".to_owned(),
                    |n| format!("skips everything not consumed: up to {n} records"),
                )
            }
            Strategy::Earliest => format!("reads all that the target holds: up to {held} records; {unknown}"),
            Strategy::Timestamp => format!("reads up to {held} records; {unknown}"),
            _ => format!("where MirrorMaker 2 says, and no content was compared: up to {held} records are read again"),
        };
        plan.evidence = claimed.map_or_else(|| "asked for".to_owned(), |c| c.evidence.clone());
        plan.why = Some(format!("{words} ({why})"));
        plan
    }

    /// What the contents say of the offset that was asked for. `best`: the alignment.
    pub(super) fn conclude_asked(
        &self,
        best: &Alignment,
        goal: i64,
        (source, target): (EndRead, EndRead),
        committed: i64,
    ) -> PartitionPlan {
        let Some(axioms) = &self.axioms else { return self.plan_unmappable("nothing was compared") };
        let a = assess_offset(&self.source.window, &self.target.window, axioms, goal);
        let mut plan = self.conclude_aligned(&a, source, target, committed);
        let below = self.target.window.from().saturating_sub(goal).max(0).unsigned_abs();
        // Below the window nothing was compared: all of it may have been processed.
        plan.re_read = plan.re_read.map(|n| n + below);
        plan.evidence = format!("asked for, {} records compared", a.compared);
        let mut cost = Vec::new();
        let skipped = a.missing.saturating_sub(best.missing);
        // What even the best offset lacks is no fault of the one that was asked for.
        match skipped {
            // Another copy stands in for the skipped one, so the count shows no loss; that it is none can't be shown.
            0 if goal > best.offset => cost.push("may skip an unconsumed copy among identical records".to_owned()),
            0 => {}
            n => cost.push(format!("skips {n} unconsumed records{}", describe_span(a.missing_times))),
        }
        match (a.re_read + a.re_read_pending, below) {
            (0, 0) => {}
            (n, 0) => cost.push(format!("reads {n} records again{}", describe_span(a.re_read_times))),
            (n, below) => {
                cost.push(format!("reads up to {} records again: {below} of them were not compared", n + below))
            }
        }
        if goal != best.offset {
            cost.push(format!("by contents the group could start at {}", best.offset));
        }
        plan.verdict = match plan.verdict {
            _ if goal > best.offset => Verdict::Guess,
            // Safe, and not the largest safe one, which PROVEN says too.
            verdict if goal < best.offset => verdict.max(Verdict::Bounded),
            verdict => verdict,
        };
        if self.params.committed.is_none() {
            cost.push("the group never committed here: all that the source holds counts as unconsumed".to_owned());
        }
        cost.extend(plan.why.take());
        plan.why = (!cost.is_empty()).then(|| cost.join("; "));
        plan
    }

    /// MirrorMaker 2's word is where it starts; the contents have the last one.
    pub(super) fn conclude_mm2(
        &self,
        best: &Alignment,
        source: EndRead,
        target: EndRead,
        committed: i64,
    ) -> PartitionPlan {
        let plan = self.conclude_aligned(best, source, target, committed);
        match &self.params.mm2 {
            _ if plan.verdict != Verdict::Guess => plan,
            None => {
                self.plan_unmappable("MirrorMaker 2 says nothing of this group and partition, and no content agrees")
            }
            Some(claim) => {
                // A checkpoint may name what has expired since, or what was cut off.
                let offset = claim.offset.clamp(target.log_start, target.end);
                let mut plan = self.conclude_asked(best, offset, (source, target), committed);
                plan.evidence.clone_from(&claim.evidence);
                plan.verdict = Verdict::Guess;
                plan.re_read = Some(target.high_watermark.abs_diff(offset));
                plan.missing = None; // no record of one log is on the other: not even what is there is known
                plan.missing_ranges.clear();
                plan
            }
        }
    }
}

/// `, 34 s of them`.
fn describe_span(times: Option<(i64, i64)>) -> String {
    times.map(|(first, last)| format!(", {} s of them", last.abs_diff(first).div_ceil(1_000))).unwrap_or_default()
}

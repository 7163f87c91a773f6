//! Seam and mirror: an offset without an alignment, and the records around it that must bear it out.

use std::collections::BTreeMap;

use super::super::strategy::{StrategyFacts, plan_identity, plan_seam};
use super::super::verdict::{CommitMetadata, PartitionPlan, Verdict};
use super::super::window::{EndRead, LogWindow, Rec};
use super::conclude::{collect_cut, describe_lost_metadata, join_reasons};
use super::{Log, Need, Translation, signed_ms};

/// Records looked at on either side of a seam, and before a mirrored offset.
const SPOT: i64 = 64;
/// Offsets compared after a mirrored one where the whole backlog is too much.
const SPOT_AHEAD: i64 = 1_000;

impl Translation {
    fn gather_facts(&self, source: EndRead, target: EndRead) -> StrategyFacts {
        StrategyFacts { tp: self.params.tp.clone(), committed: self.params.committed, source, target }
    }

    /// Reads what a log lacks up to `to`, if anything.
    fn need_fill(&mut self, log: Log, to: i64) -> Option<Need> {
        let at = self.log_mut(log).window.to();
        (at < to).then(|| self.need_read(log, at, to))
    }

    pub(super) fn decide_seam(&mut self, source: EndRead, target: EndRead) -> Need {
        let Some(at) = self.params.seam else {
            let why = "no seam is recorded for this partition: where its writers went over all at once is not known";
            return Need::Done(Box::new(self.plan_unmappable(why)));
        };
        let committed = match self.params.committed {
            Some(committed) if committed < source.log_start => {
                let expired = source.log_start - committed;
                let why = format!("{expired} offsets expired on the source before the group read them");
                return Need::Done(Box::new(self.plan_unmappable(why)));
            }
            // Without a commit `plan_seam` refuses it, unless the log is empty: nothing need be read for that.
            committed => committed.unwrap_or(source.end),
        };
        let from = at.source.min(committed).saturating_sub(SPOT).clamp(source.log_start, source.end.max(0));
        let start = at.target.clamp(target.log_start, target.end);
        self.open_windows(from, start);
        // To the end, and not only around the seam: what was written behind it is missing on the target.
        if let Some(need) = self.need_fill(Log::Source, source.end) {
            return need;
        }
        if let Some(need) = self.need_fill(Log::Target, target.end.min(start.saturating_add(SPOT))) {
            return need;
        }
        let ours = &self.source.window;
        let between = |from: i64, to: i64| ours.iter().filter(|r| (from..to).contains(&r.offset)).count() as u64;
        let left = between(committed, at.source);
        let plan = plan_seam(&self.gather_facts(source, target), at, Some(left));
        let mut plan = self.refute_seam_plan(plan, at.source, committed);
        // Another log: nothing that is said of offsets of this one means anything there.
        self.add_metadata(&mut plan, committed, false);
        Need::Done(Box::new(plan))
    }

    /// What becomes of the commit's metadata. `same`: the offsets are those of the same records, to the end.
    fn add_metadata(&self, plan: &mut PartitionPlan, committed: i64, same: bool) {
        let Some(text) = self.params.metadata.clone() else { return };
        let carried = same && plan.target.offset == Some(committed) && plan.verdict <= Verdict::Bounded;
        if !carried && plan.target.offset.is_some() {
            let unconsumed = (self.source.window.len() - self.source.window.index_of(committed)) as u64;
            plan.verdict = plan.verdict.max(Verdict::Bounded);
            plan.re_read = plan.re_read.map(|n| n + unconsumed);
            plan.why = Some(join_reasons(describe_lost_metadata(text.len(), unconsumed), plan.why.take()));
        }
        plan.metadata = Some(CommitMetadata { text, carried });
    }

    /// A seam's plan, refuted where the logs overlap, and with what was written to the source after it.
    fn refute_seam_plan(&self, mut plan: PartitionPlan, seam: i64, committed: i64) -> PartitionPlan {
        plan.read = (self.source.read, self.target.read);
        let Some(offset) = plan.target.offset else { return plan };
        if let Some((ours, theirs)) = self.find_twin() {
            return self.plan_unmappable(format!(
                "the record at {ours} on the source is on the target too, at {theirs}: the topic was written to both \
                 across the seam, so the seam says nothing"
            ));
        }
        plan.cut = collect_cut(&self.source.window, committed, &self.target.window, offset);
        let late: Vec<Rec> = self.source.window.iter().filter(|r| r.offset >= seam).collect();
        if let (Some(first), Some(last)) = (late.first(), late.last()) {
            // Nothing else lies behind the seam, so that one range holds exactly these.
            plan.missing_ranges = vec![(first.offset, last.offset + 1)];
            plan.missing = plan.missing.map(|n| n + late.len() as u64);
            plan.verdict = plan.verdict.max(Verdict::Bounded);
            let late = format!("{} records were written to the source after the seam {seam}", late.len());
            plan.why = Some(join_reasons(late, plan.why.take()));
        }
        plan
    }

    /// A record that is on both logs, and only once on each: its offsets.
    fn find_twin(&self) -> Option<(i64, i64)> {
        let once = |window: &LogWindow| {
            let mut seen: BTreeMap<u128, Option<Rec>> = BTreeMap::new();
            for r in window.iter() {
                seen.entry(r.id.0).and_modify(|v| *v = None).or_insert(Some(r));
            }
            seen
        };
        let (ours, theirs) = (once(&self.source.window), once(&self.target.window));
        // The same bytes at another time (a heartbeat, a nightly snapshot) are two sends, and refute nothing.
        let near = |a: &Rec, b: &Rec| a.ts.abs_diff(b.ts) <= signed_ms(self.params.pair_delta_ms).unsigned_abs();
        let mut pairs = ours.iter().filter_map(|(id, r)| Some(((*r)?, (*theirs.get(id)?)?)));
        pairs.find(|(a, b)| near(a, b)).map(|(a, b)| (a.offset, b.offset))
    }

    pub(super) fn decide_mirror(&mut self, source: EndRead, target: EndRead) -> Need {
        let facts = self.gather_facts(source, target);
        let both = source.end.min(target.end);
        let start = source.log_start.max(target.log_start);
        let committed = match self.params.committed {
            Some(at) if at >= source.log_start && at <= both => at,
            _ => {
                // No position that a mirror could share: `plan_identity` names the check that fails, and
                // reads nothing for it.
                let none = LogWindow::new(0);
                return Need::Done(Box::new(plan_identity(&facts, &none, &none)));
            }
        };
        let from = committed.saturating_sub(SPOT).max(start).min(both);
        // Half, because both logs are read.
        let all = both.saturating_sub(from).unsigned_abs() <= self.params.count_records / 2;
        let to = if all { both } else { both.min(committed.max(start).saturating_add(SPOT_AHEAD)) };
        self.open_windows(from, from);
        for log in [Log::Source, Log::Target] {
            if let Some(need) = self.need_fill(log, to) {
                return need;
            }
        }
        let mut plan = plan_identity(&facts, &self.source.window, &self.target.window);
        plan.read = (self.source.read, self.target.read);
        if let Some(offset) = plan.target.offset {
            plan.cut = collect_cut(&self.source.window, committed, &self.target.window, offset);
        }
        // Metadata may name any later offset: it goes along only where every record to the end was compared.
        self.add_metadata(&mut plan, committed, to == both);
        if plan.verdict.is_safe() && to < both {
            plan.verdict = Verdict::Bounded;
            let part = format!("only the first {} of {} offsets compared", to - from, both - from);
            plan.why = Some(join_reasons(part, plan.why.take()));
        }
        Need::Done(Box::new(plan))
    }
}

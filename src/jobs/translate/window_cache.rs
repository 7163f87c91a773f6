//! What a batch of translations has read of each log: whatever several groups need of a partition is read once, and
//! each gets its cut of it without a copy.

use std::collections::BTreeMap;

use super::windows::{WindowAsk, WindowRange};
use crate::base::TopicPartition;
use crate::offsets::LogWindow;

/// Windows of one cluster that were read, by partition (its name there) and whether key hashes came along. Those of
/// one partition are in offset order and don't touch.
#[derive(Debug, Default)]
pub(super) struct WindowCache {
    held: BTreeMap<(TopicPartition, bool), Vec<LogWindow>>,
}

impl WindowCache {
    /// Records that are held.
    pub(crate) fn record_count(&self) -> u64 {
        self.held.values().flatten().map(|w| w.len() as u64).sum()
    }

    /// Forgets the partitions (by their names there) that nobody works on any more.
    pub(crate) fn retain_partitions(&mut self, wanted: impl Fn(&TopicPartition) -> bool) {
        self.held.retain(|(tp, _), _| wanted(tp));
    }

    /// What of an ask is neither held nor in `planned` (which it is added to). Returns how many offsets that is, and
    /// adds nothing when it is more than `room`.
    pub(crate) fn plan_reads(&self, ask: &WindowAsk, planned: &mut Vec<WindowRange>, room: u64) -> Option<u64> {
        let held = self.held.get(&(ask.tp.clone(), ask.keys)).into_iter().flatten().map(|w| (w.from(), w.to()));
        let coming = planned.iter().filter(|s| s.tp == ask.tp && s.keys == ask.keys).map(|s| (s.from, s.to));
        let mut covered: Vec<(i64, i64)> = held.chain(coming).collect();
        covered.sort_unstable();
        let (mut at, mut gaps) = (ask.from, Vec::new());
        // The last pair is no window: beyond the ask everything counts as covered, which closes its last gap.
        for (from, to) in covered.into_iter().chain([(ask.to, i64::MAX)]) {
            if at < from.min(ask.to) {
                gaps.push((at, from.min(ask.to)));
            }
            at = at.max(to);
        }
        let offsets = gaps.iter().map(|(from, to)| from.abs_diff(*to)).sum();
        let (tp, rule, keys) = (&ask.tp, &ask.rule, ask.keys);
        (offsets <= room).then(|| {
            planned.extend(gaps.iter().map(|(from, to)| WindowRange {
                tp: tp.clone(),
                from: *from,
                to: *to,
                rule: rule.clone(),
                keys,
            }));
            offsets
        })
    }

    /// Takes in what was read.
    pub fn put(&mut self, stretch: &WindowRange, window: LogWindow) {
        let held = self.held.entry((stretch.tp.clone(), stretch.keys)).or_default();
        held.push(window);
        held.sort_by_key(LogWindow::from);
        let mut joined: Vec<LogWindow> = Vec::with_capacity(held.len());
        for window in held.drain(..) {
            // Windows that touch become one, so that an ask which spans both gets it in one piece.
            let touching = joined.last_mut().filter(|last| last.to() == window.from());
            if touching.is_none_or(|last| last.join(window.clone()).is_err()) {
                joined.push(window);
            }
        }
        *held = joined;
    }

    /// What an ask asks for, or the first part of it that is held.
    pub fn get(&self, ask: &WindowAsk) -> Option<LogWindow> {
        let held = self.held.get(&(ask.tp.clone(), ask.keys))?;
        let window = held.iter().find(|w| w.from() <= ask.from && ask.from < w.to())?;
        Some(window.slice(ask.from, ask.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::{Identity, IdentityRule, Rec};

    fn ask(from: i64, to: i64) -> WindowAsk {
        let (tp, rule) = (TopicPartition::new("t", 0), IdentityRule::Content);
        WindowAsk { slot: 0, tp, from, to, keys: false, rule }
    }

    fn read(shelf: &mut WindowCache, planned: Vec<WindowRange>) {
        for s in planned {
            let records: Vec<Rec> = (s.from..s.to).map(|offset| Rec { offset, ts: 0, id: Identity(1) }).collect();
            shelf.put(&s, LogWindow::from_records(s.from, s.to, &records).unwrap());
        }
    }

    fn plan(shelf: &WindowCache, asks: &[(i64, i64)], room: u64) -> (Vec<Option<u64>>, Vec<(i64, i64)>) {
        let mut planned = Vec::new();
        let told = asks.iter().map(|(from, to)| shelf.plan_reads(&ask(*from, *to), &mut planned, room)).collect();
        (told, planned.iter().map(|s| (s.from, s.to)).collect())
    }

    #[test]
    fn what_several_ask_for_is_planned_once() {
        let shelf = WindowCache::default();
        let (told, planned) = plan(&shelf, &[(50, 100), (10, 100), (60, 70), (5, 120)], 1_000);
        assert_eq!(told, [Some(50), Some(40), Some(0), Some(25)]);
        assert_eq!(planned, [(50, 100), (10, 50), (5, 10), (100, 120)]);
        assert_eq!(plan(&shelf, &[(0, 9), (0, 2)], 5), (vec![None, Some(2)], vec![(0, 2)]));
    }

    #[test]
    fn what_is_held_is_not_read_again_and_cut_for_each() {
        let mut shelf = WindowCache::default();
        let mut planned = Vec::new();
        shelf.plan_reads(&ask(50, 100), &mut planned, u64::MAX).unwrap();
        shelf.plan_reads(&ask(200, 300), &mut planned, u64::MAX).unwrap();
        read(&mut shelf, planned);
        assert_eq!(plan(&shelf, &[(40, 260)], 1_000).1, [(40, 50), (100, 200)]);
        let got = |shelf: &WindowCache, from, to| shelf.get(&ask(from, to)).map(|w| (w.from(), w.to(), w.len()));
        assert_eq!(got(&shelf, 60, 80), Some((60, 80, 20)));
        assert_eq!(got(&shelf, 60, 250), Some((60, 100, 40)), "the first part");
        assert_eq!(got(&shelf, 40, 60), None);
        assert_eq!(got(&shelf, 100, 200), None);
        let mut planned = Vec::new();
        shelf.plan_reads(&ask(40, 260), &mut planned, u64::MAX).unwrap();
        read(&mut shelf, planned);
        assert_eq!(got(&shelf, 40, 300), Some((40, 300, 260)));
        assert_eq!((shelf.record_count(), shelf.held.values().map(Vec::len).sum::<usize>()), (260, 1));
        assert!(shelf.get(&WindowAsk { keys: true, ..ask(40, 50) }).is_none(), "without its keys");
        shelf.retain_partitions(|_| false);
        assert_eq!(shelf.record_count(), 0);
    }
}

//! Which stretches of a log have to be known to hold no record ([`crate::estate::blank`]).

use super::machine::Machine;
use crate::base::{At, Side, TopicPartition};
use crate::estate::blank::{Blank, WantedBlanks};

/// Offsets of a stretch that is looked through, at most.
const MOST: u64 = 10_000;
/// Stretches that are asked for at once.
const ASKED_AT_ONCE: usize = 16;

impl Machine {
    /// Stretches between a commit that does not move and the end of what can be read, of groups of the plan.
    #[must_use]
    pub fn wanted_blanks(&self, now: At) -> WantedBlanks {
        let sight = self.rule_context(now);
        let mut wanted = WantedBlanks::new();
        for side in Side::BOTH {
            let Some(cluster) = self.estate.side(side).value() else { continue };
            for group in self.settings.groups.keys() {
                let id = sight.id_on(group, side);
                let Some(view) = sight.latest_look(group, side).and_then(|s| s.view) else { continue };
                // While commits move there is something to read, and each look costs a read of the log.
                if !self.lag.stands_still(side, id) {
                    continue;
                }
                for (topic, partitions) in &view.offsets {
                    let Some(log) = cluster.topics.get(topic) else { continue };
                    for (partition, at) in partitions {
                        let stable = usize::try_from(*partition).ok().and_then(|p| log.partitions.get(p)?.lso);
                        let tp = TopicPartition::new(topic, *partition);
                        let known = self.estate.blanks[side].get(&tp).filter(|b| b.is_of(cluster, topic));
                        let from = known.map_or(at.offset, |b| b.move_past(at.offset));
                        let Some(to) = stable.filter(|to| *to > from && to.abs_diff(from) <= MOST) else { continue };
                        if wanted.len() < ASKED_AT_ONCE {
                            let blank = Blank { from, to, topic_id: log.id.clone() };
                            let asked = wanted.entry((side, tp)).or_insert(blank);
                            // Groups that share a log are answered by one look, from the one that is furthest behind.
                            asked.from = asked.from.min(from);
                        }
                    }
                }
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use crate::estate::blank::Blank;

    #[test]
    fn stretches_that_meet_are_one() {
        let blank = |from, to| Blank { from, to, topic_id: None };
        assert_eq!([9, 10, 11, 12].map(|at| blank(10, 12).move_past(at)), [9, 12, 12, 12]);
        assert_eq!(blank(10, 12).merge_newer(blank(12, 13)), blank(10, 13));
        assert_eq!(blank(10, 12).merge_newer(blank(8, 12)), blank(8, 12));
        assert_eq!(blank(10, 12).merge_newer(blank(20, 21)), blank(20, 21));
        let other = Blank { topic_id: Some("2".into()), ..blank(12, 13) };
        assert_eq!(blank(10, 12).merge_newer(other.clone()), other);
    }
}

//! What a translation must know of the past: where the logs ended some minutes ago, which producers wrote to one
//! cluster alone and since when, and when each group left a cluster.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{At, Side, TopicPartition};
use crate::estate::{ClusterView, FlagState};
use crate::migration::eos::{PartitionSeam, Seams};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::Effect;
use crate::migration::facts::event::{Event, JournalEntry, RunId};
use crate::offsets::window::EndSample;
use crate::plan::Plan;

/// One sample of an end is kept per this time, ms ...
const SAMPLE_EVERY_MS: u64 = 10_000;
/// ... and this many of them: beyond the default `arrival_skew` of 130 s by a minute.
const SAMPLES: usize = 20;
/// Changes of a flag that are remembered, per producer.
const FLAG_CHANGES: usize = 1_000;

/// The past, from the journal and from the rounds.
#[derive(Debug, Clone, Default)]
pub struct History {
    ends: BTreeMap<(Side, TopicPartition), VecDeque<EndSample>>,
    /// Ids of the topics that they were seen of: one that is created again under the same name is another log.
    topics: BTreeMap<(Side, String), String>,
    flags: BTreeMap<String, VecDeque<(At, FlagState)>>,
    runs: BTreeMap<RunId, Subject>,
    left: BTreeMap<(String, Side), At>,
    seams: Seams,
    begun: Option<At>,
}

impl History {
    /// Takes in a journal entry. A flag counts from its intent on: it may have been set at once.
    pub(crate) fn note_entry(&mut self, entry: &JournalEntry) {
        self.begun.get_or_insert(entry.at);
        match &entry.event {
            // A dry run sets nothing.
            Event::RunStarted { run, subject, dry_run: false, .. } => {
                self.runs.insert(*run, subject.clone());
            }
            Event::Intent { run, issued } if self.runs.contains_key(run) => {
                if let Effect::SetFlag { producer, to } = &issued.effect {
                    let changes = self.flags.entry(producer.clone()).or_default();
                    changes.push_back((entry.at, *to));
                    if changes.len() > FLAG_CHANGES {
                        changes.pop_front();
                    }
                }
            }
            Event::Drained { run, proof } => {
                if let Some(Subject::Group(group)) = self.runs.get(run) {
                    // Since it was Empty, and not since that was proven: in between it read nothing either.
                    self.left.insert((group.clone(), proof.side), proof.empty_since);
                }
            }
            _ => {}
        }
    }

    /// When the journal began: what tells it from every other one that is about the same clusters.
    #[must_use]
    pub fn begun(&self) -> Option<At> {
        self.begun
    }

    /// Takes in where writers went by hard cutovers, as the journal has it by now.
    pub(crate) fn set_seams(&mut self, seams: &Seams) {
        if self.seams != *seams {
            self.seams = seams.clone();
        }
    }

    /// Where the writers of a partition (by blue's name) went to `to`, if they are there still.
    #[must_use]
    pub fn seam(&self, to: Side, tp: &TopicPartition) -> Option<&PartitionSeam> {
        self.seams.current_to(to, tp).map(|(_, seam)| seam)
    }

    /// The same, also if they have gone back since.
    #[must_use]
    pub(crate) fn last_seam(&self, to: Side, tp: &TopicPartition) -> Option<&PartitionSeam> {
        self.seams.last_to(to, tp)
    }

    /// Takes in a round that was answered at `at`: ends of the topics that are `wanted`.
    pub(crate) fn note_round(&mut self, wanted: impl Fn(&str) -> bool, side: Side, view: &ClusterView, at: At) {
        for (topic, partitions) in view.topics.iter().filter(|(t, _)| wanted(t)) {
            if let Some(id) = &partitions.id
                && self.topics.insert((side, topic.clone()), id.clone()).is_some_and(|before| before != *id)
            {
                self.ends.retain(|(s, tp), _| *s != side || tp.topic != *topic);
            }
            for (number, partition) in (0..).zip(&partitions.partitions) {
                let Some(end) = partition.lso else { continue };
                let samples = self.ends.entry((side, TopicPartition::new(topic, number))).or_default();
                let due = samples.back().is_none_or(|last| at.since(last.at) >= SAMPLE_EVERY_MS);
                // A log that was cut back or recreated: what was seen of it says nothing about what is there now.
                if samples.back().is_some_and(|last| end < last.end) {
                    samples.clear();
                }
                if due || samples.is_empty() {
                    samples.push_back(EndSample { at, end });
                    if samples.len() > SAMPLES {
                        samples.pop_front();
                    }
                }
            }
        }
    }

    /// Ends seen earlier.
    #[must_use]
    pub fn ends(&self, side: Side, tp: &TopicPartition) -> Vec<EndSample> {
        self.ends.get(&(side, tp.clone())).map(|s| s.iter().copied().collect()).unwrap_or_default()
    }

    /// Since when a producer of the topic has written to `target` alone while the group was not there to read it.
    #[must_use]
    pub fn target_only_since(&self, plan: &Plan, group: &str, topic: &str, target: Side) -> Option<At> {
        // A group that was never drained there has missed nothing there: each time alone counts from its beginning.
        let left = self.left.get(&(group.to_owned(), target)).copied().unwrap_or(At(i64::MIN));
        let only = FlagState::only_on(target);
        let writers = plan.producers.iter().filter(|p| p.topics.iter().any(|t| t == topic));
        writers.filter_map(|p| first_alone(self.flags.get(&p.name)?, only, left)).min()
    }
}

/// The first moment from `left` on at which the flag was `only`.
fn first_alone(changes: &VecDeque<(At, FlagState)>, only: FlagState, left: At) -> Option<At> {
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([At(i64::MAX)]);
    let alone = changes.iter().zip(ends).filter(|((_, state), end)| *state == only && *end > left);
    alone.map(|((from, _), _)| (*from).max(left)).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{PartitionView, TopicView};

    #[test]
    fn a_time_alone_counts_from_when_the_group_left() {
        use FlagState::{Blue, Dual, Green};
        let changes = |list: &[(i64, FlagState)]| list.iter().map(|(at, s)| (At(*at), *s)).collect::<VecDeque<_>>();
        let timeline = changes(&[(10, Dual), (20, Green), (30, Dual), (40, Green)]);
        let never = At(i64::MIN);
        assert_eq!(first_alone(&timeline, Green, never), Some(At(20)));
        assert_eq!(first_alone(&timeline, Green, At(25)), Some(At(25)));
        assert_eq!(first_alone(&timeline, Green, At(30)), Some(At(40)));
        assert_eq!(first_alone(&timeline, Green, At(50)), Some(At(50)));
        assert_eq!(first_alone(&timeline, Blue, never), None);
    }

    #[test]
    fn a_dry_run_sets_no_flag() {
        use crate::migration::facts::command::Command;
        use crate::migration::facts::effect::IssuedEffect;
        use crate::migration::facts::event::RunKind;
        let mut history = History::default();
        let mut seq = 0;
        let mut write = |event| {
            seq += 1;
            history.note_entry(&JournalEntry { seq, at: At(10), actor: "ann@bastion".into(), event });
        };
        for (run, dry_run, to) in [(1, false, FlagState::Dual), (2, true, FlagState::Green)] {
            let subject = Subject::Producer("shop".into());
            let command = Command::route("shop", to);
            let (kind, confirmed, estimate, max_re_read) = (RunKind::Route, String::new(), None, None);
            let accepted = Vec::new();
            write(Event::RunStarted {
                run,
                kind,
                subject,
                command,
                confirmed,
                estimate,
                max_re_read,
                dry_run,
                accepted,
            });
            let effect = Effect::SetFlag { producer: "shop".into(), to };
            write(Event::Intent { run, issued: IssuedEffect { key: format!("{run}/1/1"), effect } });
        }
        assert_eq!(history.flags["shop"], [(At(10), FlagState::Dual)]);
    }

    #[test]
    fn ends_are_sampled_and_forgotten_when_a_log_is_cut_back() {
        let view = |end| {
            let partition = PartitionView { lso: Some(end), ..PartitionView::default() };
            let topic = TopicView { partitions: vec![partition], ..TopicView::default() };
            ClusterView {
                topics: BTreeMap::from([("t".into(), topic.clone()), ("u".into(), topic)]),
                ..ClusterView::default()
            }
        };
        let mut history = History::default();
        for (second, end) in (0..300).zip(0..) {
            history.note_round(|t| t == "t", Side::Blue, &view(end), At(second * 1_000));
        }
        let seen = history.ends(Side::Blue, &TopicPartition::new("t", 0));
        assert_eq!(seen.len(), SAMPLES);
        assert_eq!(seen.last().map(|s| (s.at, s.end)), Some((At(290_000), 290)));
        assert!(history.ends(Side::Blue, &TopicPartition::new("u", 0)).is_empty());
        assert!(history.ends(Side::Green, &TopicPartition::new("t", 0)).is_empty());
        let mut renewed = view(290);
        for (name, id) in [("t", "1"), ("t", "2")] {
            renewed.topics.get_mut(name).unwrap().id = Some(id.into());
            history.note_round(|t| t == "t", Side::Blue, &renewed, At(300_400));
        }
        let left = history.ends(Side::Blue, &TopicPartition::new("t", 0));
        assert_eq!(left, [EndSample { at: At(300_400), end: 290 }], "another topic of that name is another log");
        history.note_round(|_| true, Side::Blue, &view(5), At(300_500));
        assert_eq!(history.ends(Side::Blue, &TopicPartition::new("t", 0)), [EndSample { at: At(300_500), end: 5 }]);
    }
}

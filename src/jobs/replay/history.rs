//! What the journal knows of earlier replays.

use std::collections::BTreeMap;

use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::migration::facts::event::{Event, JournalEntry};
use crate::replay::ranges::describe_ranges;
use crate::replay::{ReplayEnd, ReplaySpec};

/// Earlier replays by id, in the order of their ids, which is that of their starts.
#[derive(Debug, Default)]
pub(super) struct EarlierReplays {
    runs: BTreeMap<String, KnownReplay>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct KnownReplay {
    pub spec: ReplaySpec,
    pub done: bool,
    /// Records that ended goes said they carried: at least.
    pub carried: u64,
}

impl EarlierReplays {
    pub(crate) fn from_entries(entries: &[JournalEntry]) -> Self {
        let mut earlier = Self::default();
        for entry in entries {
            match &entry.event {
                Event::ReplayStarted { replay, spec, .. } => {
                    let known = KnownReplay { spec: spec.clone(), done: false, carried: 0 };
                    earlier.runs.insert(replay.clone(), known);
                }
                Event::ReplayEnded { replay, end } => {
                    let Some(known) = earlier.runs.get_mut(replay) else { continue };
                    match end {
                        ReplayEnd::Done { carried, .. } => {
                            known.done = true;
                            known.carried += carried;
                        }
                        ReplayEnd::Stopped { carried, .. } => known.carried += carried,
                    }
                }
                _ => {}
            }
        }
        earlier
    }

    /// The run to go on with: by its id, or the last one that is not done.
    pub(crate) fn to_resume(&self, id: Option<&str>) -> Result<(String, KnownReplay), Trouble> {
        let look = "`cutover journal show` names them";
        let found = match id {
            Some(id) => self.runs.get_key_value(id),
            None => self.runs.iter().rev().find(|(_, known)| !known.done),
        };
        match (found, id) {
            (Some((id, known)), _) if known.done => Err(Trouble::new(
                format!("replay {id} is done: there is nothing to go on with", id = visible_name(id)),
                look,
            )),
            (Some((id, known)), _) => Ok((id.clone(), known.clone())),
            (None, Some(id)) => {
                Err(Trouble::new(format!("this journal knows no replay {id}", id = visible_name(id)), look))
            }
            (None, None) => Err(Trouble::new("no replay of this journal is unfinished", look)),
        }
    }

    /// Why a new replay would carry records a second time: an earlier one has, or may have, carried some of them into
    /// the same topics.
    pub(crate) fn find_repeat(&self, spec: &ReplaySpec) -> Option<Trouble> {
        self.runs.iter().rev().find_map(|(id, known)| {
            let to = |spec: &ReplaySpec, topic: &str| spec.routes.get(topic).map(|route| route.to.clone());
            let same = |topic: &str| to(spec, topic) == to(&known.spec, topic);
            let mut common = known.spec.ranges.common(&spec.ranges);
            common = crate::replay::Ranges::from_pieces(common.pieces().filter(|p| same(&p.tp.topic)));
            // In the other direction the same numbers are offsets of another log.
            if common.is_empty() || known.spec.from != spec.from {
                return None;
            }
            let (state, advice) = match known.done {
                true => ("has carried", "carry them a second time with --again".to_owned()),
                false => {
                    let again = "start another one all the same with --again";
                    (
                        "is unfinished and carries",
                        format!("go on with `cutover replay --resume {id}`, or {again}", id = visible_name(id)),
                    )
                }
            };
            Some(Trouble::new(
                format!("replay {id} {state} some of these: {}", describe_ranges(&common, 5), id = visible_name(id)),
                advice,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{At, Side, TopicPartition};
    use crate::replay::{By, Piece, Ranges, Route};

    fn spec(from: i64, to: i64, target: &str) -> ReplaySpec {
        ReplaySpec {
            from: Side::Blue,
            asked: String::new(),
            ranges: Ranges::from_pieces([Piece::new(TopicPartition::new("t", 0), from, to)]),
            routes: [("t".to_owned(), Route { to: target.to_owned(), partitions: 1, by: By::Number })].into(),
            mark: true,
            records: 1,
            bytes: 1,
            largest: 1,
            max_batch: None,
            target_ends: Vec::new(),
        }
    }

    fn entry(event: Event) -> JournalEntry {
        JournalEntry { seq: 1, at: At(0), actor: "ada".into(), event }
    }

    fn started(id: &str, spec: ReplaySpec) -> JournalEntry {
        entry(Event::ReplayStarted { replay: id.into(), spec, confirmed: String::new(), reordered: None })
    }

    #[test]
    fn the_last_unfinished_one_goes_on() {
        let done = ReplayEnd::Done { carried: 5, verified: None };
        let stopped = ReplayEnd::Stopped { carried: 3, why: "asked".into() };
        let entries = [
            started("1", spec(0, 5, "t")),
            started("2", spec(5, 9, "t")),
            entry(Event::ReplayEnded { replay: "2".into(), end: stopped }),
            started("3", spec(9, 12, "t")),
            entry(Event::ReplayEnded { replay: "3".into(), end: done }),
        ];
        let earlier = EarlierReplays::from_entries(&entries);
        let (id, known) = earlier.to_resume(None).unwrap();
        assert_eq!((id.as_str(), known.carried), ("2", 3));
        assert_eq!(earlier.to_resume(Some("1")).unwrap().0, "1");
        assert!(earlier.to_resume(Some("3")).unwrap_err().what.contains("is done"));
        assert!(earlier.to_resume(Some("4")).is_err() && EarlierReplays::default().to_resume(None).is_err());
        assert!(earlier.find_repeat(&spec(4, 5, "t")).unwrap().advice.contains("--resume 1"));
        assert!(earlier.find_repeat(&spec(11, 20, "t")).unwrap().what.contains("has carried some of these: t:0:11-12"));
        assert_eq!(earlier.find_repeat(&spec(12, 20, "t")), None);
        assert_eq!(earlier.find_repeat(&spec(0, 20, "side")), None);
        assert_eq!(earlier.find_repeat(&ReplaySpec { from: Side::Green, ..spec(0, 20, "t") }), None);
    }
}

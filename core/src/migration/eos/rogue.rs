//! What stands on the side that an exactly-once producer left and should not: told by its kind and its value, so that what
//! a person has seen is known again, and in words for people.

use serde::{Deserialize, Serialize};

use crate::base::{Side, TopicPartition};

/// Something on the side that was left that is not as it was left. Another value is another thing; who did it is no part
/// of it, because leaders forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rogue {
    /// A log does not end where it was left.
    Written {
        /// Where.
        tp: TopicPartition,
        /// On which side.
        side: Side,
        /// Its high watermark.
        end: i64,
        /// Where it was left; `None`: it has no seam.
        seam: Option<i64>,
    },
    /// A fenced transactional id was initialised again.
    Initialised {
        /// Transactional id.
        id: String,
        /// On which side.
        side: Side,
        /// The producer id that it has now.
        producer_id: i64,
        /// Its epoch now.
        epoch: i16,
        /// Producer id and epoch of the fence.
        fence: (i64, i16),
    },
}

/// A rogue as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migration) struct SpottedRogue {
    /// What it is.
    pub rogue: Rogue,
    /// The same in a sentence, with who did it as far as that can be told.
    pub words: String,
}

/// All of them in one sentence.
pub(super) fn describe_rogues(all: &[SpottedRogue]) -> String {
    all.iter().map(|s| s.words.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::At;
    use crate::migration::facts::command::Command;
    use crate::migration::facts::event::{Event, JournalEntry, RunEnd, RunKind};
    use crate::migration::facts::settings::Settings;
    use crate::migration::run::machine::{Machine, SessionMode};

    fn written(end: i64) -> Rogue {
        Rogue::Written { tp: TopicPartition::new("ledger-out", 0), side: Side::Blue, end, seam: Some(10) }
    }

    /// A machine after a hard cutover of `ledger` and these events.
    fn after(events: impl IntoIterator<Item = Event>) -> Machine {
        let mut machine = Machine::new(Settings::of_groups(BTreeMap::new()), SessionMode::default());
        let first = Event::started(1, RunKind::HardCut, Command::hard_cut("ledger"));
        for (seq, event) in (1..).zip(std::iter::once(first).chain(events)) {
            machine.fold_entry(&JournalEntry { seq, at: At(1), actor: "ann@bastion".into(), event });
        }
        machine
    }

    fn asks(rogues: Vec<Rogue>) -> Event {
        let why = "ledger-out-0 ends at 12 on blue; and the seam is elsewhere".to_owned();
        Event::NeedsOperator { run: 1, why, advice: "stop it".into(), rogues }
    }

    #[test]
    fn what_a_person_has_seen_is_what_was_named_and_no_word_of_it() {
        let ended = Event::RunEnded { run: 1, end: RunEnd::Done };
        let mut machine = after([ended.clone(), asks(vec![written(12)])]);
        machine.forgive_alarm("ledger");
        assert_eq!(machine.forgiven["ledger"], [written(12)]);
        assert!(!machine.forgiven["ledger"].contains(&written(1)), "another value is another thing");
        let mut wordy = after([ended, asks(Vec::new())]);
        wordy.forgive_alarm("ledger");
        assert!(wordy.forgiven["ledger"].is_empty(), "words alone forgive nothing");
        let seen = after([Event::PointOfNoReturn { run: 1 }, asks(vec![written(12)]), Event::Continued { run: 1 }]);
        assert_eq!(seen.state().runs[&1].seen, [written(12)]);
        let before = after([asks(vec![written(12)]), Event::Continued { run: 1 }]);
        assert!(before.state().runs[&1].seen.is_empty(), "before that point all is proven anew");
    }

    #[test]
    fn an_entry_of_an_earlier_version_names_nothing() {
        let old = r#"{"event":"needs_operator","run":1,"why":"w","advice":"a"}"#;
        assert_eq!(serde_json::from_str::<Event>(old).unwrap(), Event::needs_operator(1, "w", "a"));
        assert_eq!(serde_json::to_string(&Event::needs_operator(1, "w", "a")).unwrap(), old);
        let new = serde_json::to_string(&asks(vec![written(12)])).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&new).unwrap(), asks(vec![written(12)]));
    }
}

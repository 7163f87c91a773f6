//! What the machine wants done, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::machine::Action;
use crate::base::{Actor, At};
use crate::migration::facts::effect::IssuedEffect;
use crate::migration::facts::event::{Event, JournalEntry, RunId};
use crate::migration::facts::state::State;

/// What waits to be taken by whoever carries it out, and what became of the effects that were taken.
#[derive(Debug, Default)]
pub(in crate::migration) struct Outbox {
    /// Number of the newest entry, whether it was read from the journal or waits to be written.
    seq: u64,
    queue: VecDeque<Action>,
    /// Keys of effects that the executor has, by the run that waits for each.
    under_way: BTreeMap<String, RunId>,
    /// Keys of effects that were issued in this session. Lost in a restart, on purpose: what an earlier one stopped is not
    /// this one's to start.
    issued: BTreeSet<String>,
    /// Keys of effects whose intent could not be journalled: they were never started.
    never_done: BTreeSet<String>,
}

impl Outbox {
    /// Folds an entry that the journal holds already.
    pub fn fold(&mut self, entry: &JournalEntry, state: &mut State) {
        state.apply(entry);
        self.seq = entry.seq;
    }

    /// A fact: folded at once, journalled before anything that is put in after it.
    pub fn write(&mut self, state: &mut State, actor: Actor, event: Event, now: At) {
        self.seq += 1;
        let entry = JournalEntry { seq: self.seq, at: now, actor, event };
        state.apply(&entry);
        self.queue.push_back(Action::Journal { at: now, actor: entry.actor, event: entry.event });
    }

    /// Something to measure: nothing is journalled of it.
    pub fn ask(&mut self, measure: Action) {
        self.queue.push_back(measure);
    }

    /// An effect of a run. Its intent was written before.
    pub fn issue(&mut self, run: RunId, issued: IssuedEffect) {
        self.under_way.insert(issued.key.clone(), run);
        self.issued.insert(issued.key.clone());
        self.queue.push_back(Action::Do(issued));
    }

    /// The next thing to do.
    pub fn take(&mut self) -> Option<Action> {
        self.queue.pop_front()
    }

    /// An effect has ended, or is not waited for any more: the run that waited. `None`: nobody waits for it.
    pub fn end_effect(&mut self, key: &str) -> Option<RunId> {
        self.under_way.remove(key)
    }

    /// The effect that a run waits for.
    pub fn effect_of(&self, run: RunId) -> Option<&str> {
        self.under_way.iter().find(|(_, of)| **of == run).map(|(key, _)| key.as_str())
    }

    /// Effects that will never be started: their intents could not be journalled.
    pub fn give_up(&mut self, keys: BTreeSet<String>) {
        self.under_way.retain(|key, _| !keys.contains(key));
        self.never_done.extend(keys);
    }

    /// Whether an effect's intent could not be journalled.
    pub fn was_given_up(&self, key: &str) -> bool {
        self.never_done.contains(key)
    }

    /// Whether an effect was issued in this session.
    pub fn has_issued(&self, key: &str) -> bool {
        self.issued.contains(key)
    }
}

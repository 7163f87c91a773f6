//! Waiting for records: which partition has some, and for how long nothing may come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::base::{TopicPartition, ignore_poison, lock_unpoisoned};

/// The grain of waiting.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Partition queues that have something, each at most once: librdkafka's threads ring, the reader waits.
pub(super) struct ReadyQueues {
    waiting: Mutex<(VecDeque<usize>, Vec<bool>)>,
    bell: Condvar,
}

impl ReadyQueues {
    pub fn new(slots: usize) -> ReadyQueues {
        ReadyQueues { waiting: Mutex::new((VecDeque::with_capacity(slots), vec![false; slots])), bell: Condvar::new() }
    }

    /// Slot `slot` has something to read.
    pub(crate) fn ring(&self, slot: usize) {
        // librdkafka's thread rings through C: a panic here would end the process, and what is guarded is always whole.
        let mut waiting = lock_unpoisoned(&self.waiting);
        let (queue, queued) = &mut *waiting;
        if !std::mem::replace(&mut queued[slot], true) {
            queue.push_back(slot);
            self.bell.notify_one();
        }
    }

    /// The next slot that has something, if any has now.
    pub fn take(&self) -> Option<usize> {
        let mut waiting = lock_unpoisoned(&self.waiting);
        let slot = waiting.0.pop_front()?;
        // Before the slot is read: what arrives while it is read rings again.
        waiting.1[slot] = false;
        Some(slot)
    }

    /// The next slot that has something, or `None` after a tick in which none had.
    pub fn wait(&self) -> Option<usize> {
        let waiting = lock_unpoisoned(&self.waiting);
        let (mut waiting, _) =
            ignore_poison(self.bell.wait_timeout_while(waiting, TICK, |(queue, _)| queue.is_empty()));
        let slot = waiting.0.pop_front()?;
        waiting.1[slot] = false;
        Some(slot)
    }
}

/// Counts ticks in which nothing happened, so that no clock is needed.
pub(super) struct ReadPatience {
    limit: u32,
    idle: u32,
    positions: BTreeMap<TopicPartition, i64>,
}

impl ReadPatience {
    pub fn new(limit: Duration) -> ReadPatience {
        let ticks = u32::try_from(limit.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX).max(1);
        ReadPatience { limit: ticks, idle: 0, positions: BTreeMap::new() }
    }

    /// Something arrived.
    pub(crate) fn note_progress(&mut self) {
        self.idle = 0;
    }

    /// A tick passed in which nothing did.
    pub fn tick(&mut self) {
        self.idle = self.idle.saturating_add(1);
    }

    /// Whether that has lasted too long.
    pub(crate) fn is_over(&self) -> bool {
        self.idle >= self.limit
    }

    /// Takes in librdkafka's statistics: a fetch position that moved is progress, though no record was
    /// shown (a long stretch of aborted ones).
    pub(crate) fn note_statistics<'a>(&mut self, json: &[u8], open: impl Iterator<Item = &'a TopicPartition>) {
        // They only lengthen patience: without them a long stretch of aborted records is given up earlier.
        let Ok(all) = serde_json::from_slice::<serde_json::Value>(json) else { return };
        for partition in open {
            let told = &all["topics"][&partition.topic]["partitions"][&partition.partition.to_string()];
            let Some(position) = told["next_offset"].as_i64() else { continue };
            // The first figure is no progress: there was nothing to move from.
            if self.positions.insert(partition.clone(), position).is_some_and(|before| position > before) {
                self.idle = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_moves_is_progress() {
        let mut patience = ReadPatience::new(Duration::from_millis(100));
        let partition = TopicPartition::new("t", 3);
        let told = |patience: &mut ReadPatience, offset: i64| {
            let json = format!(r#"{{"topics":{{"t":{{"partitions":{{"3":{{"next_offset":{offset}}}}}}}}}}}"#);
            patience.note_statistics(json.as_bytes(), std::iter::once(&partition));
        };
        told(&mut patience, 10);
        patience.tick();
        patience.tick();
        assert!(patience.is_over());
        told(&mut patience, 10);
        assert!(patience.is_over());
        told(&mut patience, 11);
        assert!(!patience.is_over());
        patience.note_statistics(b"nonsense", std::iter::once(&partition));
    }

    #[test]
    fn a_slot_waits_once_however_often_it_rings() {
        let ready = ReadyQueues::new(2);
        ready.ring(1);
        ready.ring(1);
        ready.ring(0);
        assert_eq!((ready.wait(), ready.wait(), ready.wait()), (Some(1), Some(0), None));
    }
}

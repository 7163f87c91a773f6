//! Who saw what: the demo's referee. Every send carries a hidden id; the witness knows where each id was written and
//! which ids each group processed, so it can say exactly what was lost and what was read twice, whatever the
//! cockpit claims.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;

use crate::base::{Side, Sides, lock_unpoisoned};

/// The header that carries the send id.
pub const ID_HEADER: &str = "demo-id";
/// Sends that are remembered: the comparison window. Older ones are no longer compared.
const WINDOW: usize = 2_000_000;
/// Ids shown as examples in a report.
const EXAMPLES: usize = 5;

/// What a group did since its last mark, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WitnessReport {
    /// Group id.
    pub group: String,
    /// Records processed since the mark.
    pub processed: u64,
    /// Of those, how many it had processed before (each further time counts).
    pub re_read: u64,
    /// Ids written to its topics that it passed by and never processed.
    pub lost: u64,
    /// Ids written to its topics that still lie ahead of it, or are on their way to the cluster it reads.
    pub pending: u64,
    /// When it was marked, ms since the epoch.
    pub since: i64,
    /// A few of the lost ids.
    pub lost_examples: Vec<u64>,
    /// A few of the ids read twice.
    pub re_read_examples: Vec<u64>,
}

/// One send.
#[derive(Debug, Clone)]
struct WitnessedSend {
    topic: u16,
    partition: i32,
    /// Meant for it, and not known to have failed.
    meant: Sides<bool>,
    /// Offset there, -1 while it is on its way.
    offsets: Sides<i64>,
}

#[derive(Debug, Default)]
struct GroupLog {
    topics: Vec<u16>,
    /// One bit an id.
    seen: Vec<u64>,
    processed: u64,
    re_read: u64,
    re_read_examples: Vec<u64>,
    since: i64,
    /// Where it stands: the next offset by side, topic and partition.
    positions: BTreeMap<(Side, u16, i32), i64>,
    /// The clusters it reads now.
    active: Sides<bool>,
    /// The clusters it reads, or read last while it is off.
    reads: Sides<bool>,
}

#[derive(Debug, Default)]
struct WitnessState {
    topics: Vec<String>,
    first: u64,
    sends: VecDeque<Option<WitnessedSend>>,
    groups: BTreeMap<String, GroupLog>,
}

/// The referee.
#[derive(Debug, Default)]
pub struct Witness {
    inner: Mutex<WitnessState>,
}

impl Witness {
    fn lock(&self) -> MutexGuard<'_, WitnessState> {
        lock_unpoisoned(&self.inner)
    }

    /// A group and what it reads.
    pub(crate) fn note_group_topics(&self, group: &str, topics: &[String]) {
        let mut inner = self.lock();
        let topics = topics.iter().map(|t| inner.topic_number(t)).collect();
        inner.groups.entry(group.to_owned()).or_default().topics = topics;
    }

    /// A send that is about to leave for these clusters.
    pub(crate) fn note_sending(&self, id: u64, topic: &str, partition: i32, sides: &[Side]) {
        let mut inner = self.lock();
        let meant = Sides::from_fn(|side| sides.contains(&side));
        let offsets = Sides::from_fn(|_| -1);
        let send = WitnessedSend { topic: inner.topic_number(topic), partition, meant, offsets };
        inner.remember(id, send);
    }

    /// A send arrived, `Some(offset)`, or failed for good.
    pub(crate) fn note_sent(&self, id: u64, side: Side, offset: Option<i64>) {
        let mut inner = self.lock();
        if let Some(send) = inner.send_mut(id) {
            match offset {
                Some(offset) => send.offsets[side] = offset,
                None => send.meant[side] = false,
            }
        }
    }

    /// A send that was never committed: nobody is owed it.
    pub(crate) fn withdraw(&self, id: u64) {
        let mut inner = self.lock();
        if let Some(i) = inner.index_of(id) {
            inner.sends[i] = None;
        }
    }

    /// A group had processed an id before the demo began.
    pub(crate) fn note_consumed_before(&self, group: &str, id: u64) {
        if let Some(log) = self.lock().groups.get_mut(group) {
            log.mark_seen(id);
        }
    }

    /// A group begins or ends reading a cluster. The last one it read stays its place while it is off.
    pub(crate) fn note_reading(&self, group: &str, side: Side, reads: bool) {
        if let Some(log) = self.lock().groups.get_mut(group) {
            log.active[side] = reads;
            if log.active != Sides::default() {
                log.reads = log.active;
            }
            // Where it starts is told anew: a cutover sets it elsewhere than where it left.
            if reads {
                log.positions.retain(|(s, ..), _| *s != side);
            }
        }
    }

    /// Where a group starts on a partition: its committed offset, or the log start.
    pub(crate) fn note_start_offset(&self, group: &str, side: Side, topic: &str, partition: i32, offset: i64) {
        let mut inner = self.lock();
        let topic = inner.topic_number(topic);
        if let Some(log) = inner.groups.get_mut(group) {
            // What was processed meanwhile knows better than the commit.
            log.positions.entry((side, topic, partition)).or_insert(offset);
        }
    }

    /// A group processed a record.
    pub(crate) fn note_processed(
        &self,
        group: &str,
        side: Side,
        topic: &str,
        partition: i32,
        offset: i64,
        id: Option<u64>,
    ) {
        let mut inner = self.lock();
        let topic = inner.topic_number(topic);
        let Some(log) = inner.groups.get_mut(group) else { return };
        log.positions.insert((side, topic, partition), offset + 1);
        log.processed += 1;
        if let Some(id) = id
            && log.mark_seen(id)
        {
            log.re_read += 1;
            if log.re_read_examples.len() < EXAMPLES {
                log.re_read_examples.push(id);
            }
        }
    }

    /// Begins a new count for a group: at the start of a cutover or a rollback. `now` in ms since the epoch.
    pub fn mark(&self, group: &str, now: i64) {
        if let Some(log) = self.lock().groups.get_mut(group) {
            (log.processed, log.re_read, log.since) = (0, 0, now);
            log.re_read_examples.clear();
        }
    }

    /// What a group did since its mark; `None` for a group that is not part of the estate.
    #[must_use]
    pub fn report_group(&self, group: &str) -> Option<WitnessReport> {
        let inner = self.lock();
        let log = inner.groups.get(group)?;
        let mut report = WitnessReport {
            group: group.to_owned(),
            processed: log.processed,
            re_read: log.re_read,
            lost: 0,
            pending: 0,
            since: log.since,
            lost_examples: Vec::new(),
            re_read_examples: log.re_read_examples.clone(),
        };
        for (id, send) in (inner.first..).zip(&inner.sends) {
            let Some(send) = send else { continue };
            // What failed everywhere is owed to nobody.
            if !log.topics.contains(&send.topic) || log.has_seen(id) || send.meant == Sides::default() {
                continue;
            }
            if log.still_comes(send) {
                report.pending += 1;
            } else {
                report.lost += 1;
                if report.lost_examples.len() < EXAMPLES {
                    report.lost_examples.push(id);
                }
            }
        }
        Some(report)
    }

    /// Whether a group ever processed an id, before or after its mark.
    #[must_use]
    pub(crate) fn has_processed(&self, group: &str, id: u64) -> bool {
        self.lock().groups.get(group).is_some_and(|log| log.has_seen(id))
    }
}

impl WitnessState {
    fn topic_number(&mut self, name: &str) -> u16 {
        let i = self.topics.iter().position(|t| t == name).unwrap_or_else(|| {
            self.topics.push(name.to_owned());
            self.topics.len() - 1
        });
        u16::try_from(i).unwrap_or(u16::MAX)
    }

    fn remember(&mut self, id: u64, send: WitnessedSend) {
        if self.sends.is_empty() {
            self.first = id;
        }
        // ids come nearly in order; a gap is a send that was never made
        while self.first + (self.sends.len() as u64) <= id {
            self.sends.push_back(None);
        }
        if let Some(i) = self.index_of(id) {
            self.sends[i] = Some(send);
        }
        while self.sends.len() > WINDOW {
            self.sends.pop_front();
            self.first += 1;
        }
    }

    fn index_of(&self, id: u64) -> Option<usize> {
        let i = usize::try_from(id.checked_sub(self.first)?).ok()?;
        (i < self.sends.len()).then_some(i)
    }

    fn send_mut(&mut self, id: u64) -> Option<&mut WitnessedSend> {
        let i = self.index_of(id)?;
        self.sends[i].as_mut()
    }
}

impl GroupLog {
    /// Notes an id; whether it was seen before.
    fn mark_seen(&mut self, id: u64) -> bool {
        let (word, bit) = (usize::try_from(id / 64).unwrap_or(0), 1u64 << (id % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        before
    }

    fn has_seen(&self, id: u64) -> bool {
        let word = usize::try_from(id / 64).unwrap_or(usize::MAX);
        self.seen.get(word).is_some_and(|w| w & (1u64 << (id % 64)) != 0)
    }

    /// Whether an id that was not processed lies ahead on a cluster that the group reads, or is on its way there.
    fn still_comes(&self, send: &WitnessedSend) -> bool {
        // it has not begun yet: everything lies ahead of it
        if self.reads == Sides::default() {
            return true;
        }
        Side::BOTH.into_iter().filter(|s| self.reads[*s] && send.meant[*s]).any(|side| {
            let offset = send.offsets[side];
            let position = self.positions.get(&(side, send.topic, send.partition));
            // on its way, or the group has not found its place yet
            offset < 0 || position.is_none_or(|p| offset >= *p)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness() -> Witness {
        let w = Witness::default();
        w.note_group_topics("g", &["t".to_owned()]);
        w.note_reading("g", Side::Blue, true);
        for id in 1..=4u64 {
            w.note_sending(id, "t", 0, &Side::BOTH);
            w.note_sent(id, Side::Blue, Some(id as i64 + 10));
            w.note_sent(id, Side::Green, Some(id as i64));
        }
        w
    }

    #[test]
    fn what_is_passed_by_is_lost_and_what_lies_ahead_is_not() {
        let w = witness();
        w.note_start_offset("g", Side::Blue, "t", 0, 11);
        w.note_processed("g", Side::Blue, "t", 0, 11, Some(1));
        assert_eq!((w.report_group("g").unwrap().lost, w.report_group("g").unwrap().pending), (0, 3));
        // to green, past 2 and 3
        w.mark("g", 7);
        w.note_reading("g", Side::Green, true);
        w.note_reading("g", Side::Blue, false);
        w.note_start_offset("g", Side::Green, "t", 0, 4);
        let report = w.report_group("g").unwrap();
        assert_eq!((report.lost, report.pending, report.lost_examples), (2, 1, vec![2, 3]));
    }

    #[test]
    fn before_a_group_has_begun_to_read_nothing_is_lost() {
        let w = Witness::default();
        w.note_group_topics("g", &["t".to_owned()]);
        w.note_sending(1, "t", 0, &[Side::Blue]);
        w.note_sent(1, Side::Blue, Some(11));
        assert_eq!((w.report_group("g").unwrap().lost, w.report_group("g").unwrap().pending), (0, 1));
    }

    #[test]
    fn what_is_processed_again_is_counted_since_the_mark() {
        let w = witness();
        for id in [1, 2, 1] {
            w.note_processed("g", Side::Blue, "t", 0, id + 10, Some(id as u64));
        }
        assert_eq!(w.report_group("g").unwrap().re_read, 1);
        w.mark("g", 7);
        w.note_processed("g", Side::Green, "t", 0, 2, Some(2));
        w.note_processed("g", Side::Green, "t", 0, 3, Some(3));
        let report = w.report_group("g").unwrap();
        assert_eq!((report.processed, report.re_read, report.since), (2, 1, 7));
    }

    #[test]
    fn a_send_that_failed_on_the_cluster_read_is_lost_there() {
        let w = Witness::default();
        w.note_group_topics("g", &["t".to_owned()]);
        w.note_reading("g", Side::Green, true);
        w.note_sending(1, "t", 0, &Side::BOTH);
        w.note_sent(1, Side::Blue, Some(0));
        assert_eq!(w.report_group("g").unwrap().pending, 1, "still on its way to green");
        w.note_sent(1, Side::Green, None);
        assert_eq!(w.report_group("g").unwrap().lost, 1);
    }
}

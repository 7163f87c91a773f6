//! What an application has lost and what it has read again, from the truth alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::application::Event;
use super::traffic::Truth;
use super::{Cluster, Partition};

/// What became of every record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Logical sends.
    pub sent: usize,
    /// Records processed, the same offset of the same cluster once.
    pub processed: usize,
    /// Sends that the application was owed (blue acknowledged them, or green did in the part of its log that the
    /// application reads) and neither processed nor an equal record in their place.
    pub lost: Vec<u64>,
    /// Records processed though all copies of them that were ever to be processed already had been.
    pub re_read: u64,
    /// `re_read` of each session of the application, by its number: which change of cluster cost what.
    pub re_read_by_session: BTreeMap<u32, u64>,
    /// The cluster of each session.
    pub sessions: BTreeMap<u32, Cluster>,
    /// The same offset of the same cluster processed again: the application's own doing (a stop without a commit).
    pub redelivered: u64,
    /// Sends that reached green alone and were passed over: not owed.
    pub green_only_skipped: usize,
}

/// Audits an application that started at the beginning of its topics on blue. It must have caught up
/// (`Application::wait_caught_up`) after the traffic was stopped.
///
/// Equal records (same key and value) can't be told apart by whoever reads them, so they are
/// counted together. A session on one side may bring their number to as many as that side holds up to where the session
/// ended; what is processed beyond the largest such number so far has been read again.
pub fn audit(truth: &Truth, events: &[Event]) -> Audit {
    let mut audit = Audit { sent: truth.sends.len(), ..Audit::default() };
    let content_of = contents(truth);
    let mut seen = BTreeSet::new();
    let mut sessions: BTreeMap<u32, Vec<&Event>> = BTreeMap::new();
    for event in events {
        if !seen.insert((event.cluster, event.partition.clone(), event.offset)) {
            audit.redelivered += 1;
            continue;
        }
        audit.processed += 1;
        audit.sessions.insert(event.session, event.cluster);
        sessions.entry(event.session).or_default().push(event);
    }

    let mut count: HashMap<Content, u64> = HashMap::new();
    let mut to_be: HashMap<Content, u64> = HashMap::new();
    let mut excess: HashMap<Content, u64> = HashMap::new();
    let mut first_green: BTreeMap<Partition, i64> = BTreeMap::new();
    for (session, events) in &sessions {
        let cluster = events[0].cluster;
        let mut ends: BTreeMap<&Partition, i64> = BTreeMap::new();
        for event in events {
            *count.entry(content_of[&(cluster, event.partition.clone(), event.offset)]).or_default() += 1;
            let end = ends.entry(&event.partition).or_default();
            *end = (*end).max(event.offset + 1);
            if cluster == Cluster::Green {
                let first = first_green.entry(event.partition.clone()).or_insert(event.offset);
                *first = (*first).min(event.offset);
            }
        }
        let mut holds: HashMap<&Content, u64> = HashMap::new();
        for ((on, partition, offset), content) in &content_of {
            if *on == cluster && ends.get(partition).is_some_and(|end| offset < end) {
                *holds.entry(content).or_default() += 1;
            }
        }
        for (content, copies) in holds {
            let most = to_be.entry(*content).or_default();
            *most = (*most).max(copies);
        }
        let mut again = 0;
        for (content, processed) in &count {
            let beyond = processed.saturating_sub(to_be.get(content).copied().unwrap_or(0));
            let before = excess.insert(*content, beyond).unwrap_or(0);
            again += beyond.saturating_sub(before);
        }
        audit.re_read += again;
        audit.re_read_by_session.insert(*session, again);
    }
    let ids = events.iter().filter_map(|e| e.id).collect();
    account_for_sends(truth, &count, &ids, &first_green, &mut audit);
    audit
}

/// Records that nobody can tell apart: topic and content. (Equal ones meet in one partition of either cluster.)
type Content = (usize, u64);

/// The content of every acknowledged record.
fn contents(truth: &Truth) -> HashMap<(Cluster, Partition, i64), Content> {
    let mut all = HashMap::new();
    for send in &truth.sends {
        for cluster in Cluster::BOTH {
            let partition = (truth.topics[send.topic].clone(), send.partitions[cluster as usize]);
            for offset in &send.offsets[cluster as usize] {
                all.insert((cluster, partition.clone(), *offset), (send.topic, send.content));
            }
        }
    }
    all
}

/// Sends that were owed against what was processed.
fn account_for_sends(
    truth: &Truth,
    count: &HashMap<Content, u64>,
    seen: &BTreeSet<u64>,
    first_green: &BTreeMap<Partition, i64>,
    audit: &mut Audit,
) {
    let mut owed: HashMap<Content, Vec<u64>> = HashMap::new();
    for (id, send) in truth.sends.iter().enumerate() {
        let content = (send.topic, send.content);
        let [blue, green] = &send.offsets;
        let partition = (truth.topics[send.topic].clone(), send.partitions[Cluster::Green as usize]);
        let green_reads = |offset: &i64| first_green.get(&partition).is_some_and(|first| offset >= first);
        if !blue.is_empty() || green.iter().any(green_reads) {
            owed.entry(content).or_default().push(id as u64);
        } else if !green.is_empty() && !count.contains_key(&content) {
            audit.green_only_skipped += 1;
        }
    }
    for (content, mut ids) in owed {
        // Of equal records, those are named lost that were not seen themselves.
        ids.sort_by_key(|id| !seen.contains(id));
        let processed = usize::try_from(count.get(&content).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        audit.lost.extend(ids.iter().skip(processed.min(ids.len())));
    }
    audit.lost.sort_unstable();
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sent, {} processed: {} lost, {} re-read",
            self.sent,
            self.processed,
            self.lost.len(),
            self.re_read
        )?;
        for (session, cluster) in &self.sessions {
            write!(f, "; session {session} on {cluster:?}: {} re-read", self.re_read_by_session[session])?;
        }
        if self.redelivered > 0 || self.green_only_skipped > 0 {
            write!(f, "; {} redelivered, {} on green alone passed over", self.redelivered, self.green_only_skipped)?;
        }
        Ok(())
    }
}

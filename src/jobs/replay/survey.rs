//! Looking before sending: what the records amount to, whose order changes, and afterwards what has arrived. Blocking.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::stop::Stop;
use super::walk::{Link, ProgressTeller, ReplayProgressSink, Walked, check_stop, walk_ranges};
use crate::base::{Side, TopicPartition, Trouble};
use crate::jobs::identities::{NoIdentity, RecordIdentifier, RecordIdentities};
use crate::kafka::records::{Isolation, RecordRef};
use crate::offsets::identity::{IdentityRule, key_hash};
use crate::replay::census::{Census, Counted, header_size};
use crate::replay::mark::{self, MarkTally};
use crate::replay::order::{Keyed, MOST_KEYS};
use crate::replay::ranges::Piece;
use crate::replay::{KeyBook, Ranges, Reordered};
use crate::session::clock::Clock;
use crate::session::names::TopicNames;

/// How long other producers' open transactions on the target are waited for, ms.
const OPEN_MS: u64 = 30_000;
/// How often it is asked meanwhile how far the target can be read, ms.
const AGAIN_MS: u64 = 250;

/// What a look needs.
pub(super) struct SurveyContext {
    pub link: Link,
    pub side: Side,
    pub names: Arc<TopicNames>,
    pub stop: Arc<Stop>,
    pub tell: ReplayProgressSink,
    /// Identity rules by topic.
    pub rules: BTreeMap<String, IdentityRule>,
    pub identities: RecordIdentities,
}

/// What was found on the source, by topic.
#[derive(Default)]
pub(super) struct SourceCensus {
    pub census: BTreeMap<String, Census>,
    pub books: BTreeMap<String, KeyBook>,
}

/// Counts the records of the ranges. `mark` is how long the replay's own header is at most, if it writes one. `None`:
/// interrupted.
pub(super) fn count_records(
    look: &SurveyContext,
    ranges: &Ranges,
    mark: Option<usize>,
    keys: bool,
) -> Result<Option<SourceCensus>, Trouble> {
    let partitions: Vec<TopicPartition> = ranges.partitions().cloned().collect();
    let mut found = SourceCensus::default();
    for tp in &partitions {
        found.census.entry(tp.topic.clone()).or_default();
    }
    let room = MOST_KEYS / found.census.len().max(1);
    if keys {
        found.books = found.census.keys().map(|topic| (topic.clone(), KeyBook::with_room(room))).collect();
    }
    // Its own header counts as well: it may lift a record over what the target takes.
    let own = mark.map(|value| header_size(mark::HEADER.len(), Some(value)));
    let identifier = look.identities.start_reading(look.side)?;
    let mut teller = ProgressTeller::new(&look.tell, "counting", 0, ranges.count_offsets());
    let name = |tp: &TopicPartition| look.names.partition_on(look.side, tp);
    let walked = walk_ranges(&mut look.link.open_reader()?, ranges, &partitions, &name, &mut |place, record| {
        teller.add(place.passed, record.size as u64);
        if let Some(census) = found.census.get_mut(&place.tp.topic) {
            census.count_record(place.tp, record.offset, &measure_record(record, own));
        }
        // Without a key there is no order among keys that could change.
        if let (Some(book), Some(_)) = (found.books.get_mut(&place.tp.topic), record.key) {
            book.add(look.keyed(&identifier, place.tp, record).map_err(NoIdentity::into_trouble)?);
        }
        Ok(check_stop(&look.stop))
    })?
    .into_whole()?;
    teller.end(walked);
    Ok(walked.then_some(found))
}

fn measure_record(record: &RecordRef<'_>, own: Option<u64>) -> Counted {
    let (mut headers, mut header_bytes) = (usize::from(own.is_some()), own.unwrap_or(0));
    for (name, value) in record.headers() {
        headers += 1;
        header_bytes += header_size(name.len(), value.map(<[u8]>::len));
    }
    let length = |bytes: Option<&[u8]>| bytes.map(<[u8]>::len);
    Counted { key: length(record.key), value: length(record.value), headers, header_bytes, ts: record.timestamp }
}

impl SurveyContext {
    fn keyed(
        &self,
        identifier: &RecordIdentifier,
        tp: &TopicPartition,
        record: &RecordRef<'_>,
    ) -> Result<Keyed, NoIdentity> {
        let rule = self.rules.get(&tp.topic).unwrap_or(&IdentityRule::Content);
        let id = identifier.identify(rule, tp, record)?;
        // Half of the identity is enough to know a record again among those of its key.
        Ok(Keyed { key: key_hash(record.key), id: id.0 as u64, ts: record.timestamp.unwrap_or(-1) })
    }
}

/// Compares the keys with what the target has in `ranges` (topics by blue's names). `None`: interrupted.
pub(super) fn compare_keys(
    look: &SurveyContext,
    ranges: &Ranges,
    books: &BTreeMap<String, KeyBook>,
) -> Result<Option<Reordered>, Trouble> {
    let partitions: Vec<TopicPartition> = ranges.partitions().cloned().collect();
    let mut comparisons: BTreeMap<&str, _> =
        books.iter().map(|(topic, book)| (topic.as_str(), book.start_comparison())).collect();
    let identifier = look.identities.start_reading(look.side)?;
    let mut teller = ProgressTeller::new(&look.tell, "comparing keys", 0, ranges.count_offsets());
    let name = |tp: &TopicPartition| look.names.partition_on(look.side, tp);
    let walked = walk_ranges(&mut look.link.open_reader()?, ranges, &partitions, &name, &mut |place, record| {
        teller.add(place.passed, record.size as u64);
        if let (Some(seen), Some(key)) = (comparisons.get_mut(place.tp.topic.as_str()), record.key) {
            seen.compare_record(look.keyed(&identifier, place.tp, record).map_err(NoIdentity::into_trouble)?, key);
        }
        Ok(check_stop(&look.stop))
    })?
    .into_whole()?;
    teller.end(walked);
    let mut all = Reordered { complete: true, ..Reordered::default() };
    comparisons.into_iter().for_each(|(topic, seen)| all.add(topic, seen.into_reordered()));
    Ok(walked.then_some(all))
}

/// What was written to the target since these ends, all of it: what an open transaction hides is waited for. Topics by
/// the target's names. `None`: interrupted. Errors: such a transaction stays open, or the target does not answer.
pub(super) fn find_written(
    link: &Link,
    ends: &[(TopicPartition, i64)],
    stop: &Stop,
    tell: &ReplayProgressSink,
) -> Result<Option<Ranges>, Trouble> {
    let partitions: Vec<TopicPartition> = ends.iter().map(|(tp, _)| tp.clone()).collect();
    // All that is written by now, open transactions too: what comes later is none of the run's.
    let all = link.open_reader_of(Isolation::Uncommitted)?.list_ends(&partitions)?;
    let committed = link.open_reader()?;
    let watch = Clock.stopwatch();
    let mut teller = None;
    loop {
        let readable = committed.list_ends(&partitions)?;
        let hidden = partitions.iter().zip(readable.iter().zip(&all)).find(|(_, (readable, all))| readable < all);
        let Some((tp, (readable, all))) = hidden else { break };
        if teller.is_none() {
            tracing::info!(partition = %tp, readable, all, "waits for open transactions");
        }
        if watch.elapsed_ms() >= OPEN_MS {
            let what = format!(
                "a transaction is open on {tp} at {} since offset {readable}, and hides records up to {all}",
                link.bootstrap
            );
            return Err(Trouble::new(
                what,
                "find its producer (kafka-transactions.sh find-hanging), or wait for its end",
            ));
        }
        teller
            .get_or_insert_with(|| ProgressTeller::new(tell, "waiting for open transactions", 0, OPEN_MS))
            .set_done(watch.elapsed_ms());
        if stop.wait(AGAIN_MS) {
            return Ok(None);
        }
    }
    let pieces = ends.iter().zip(&all).map(|((tp, from), to)| Piece::new(tp.clone(), *from, *to));
    Ok(Some(Ranges::from_pieces(pieces)))
}

/// Whether the ranges of the target hold a committed record. `None`: interrupted.
pub(super) fn holds_any(link: &Link, ranges: &Ranges, stop: &Stop) -> Result<Option<bool>, Trouble> {
    let partitions: Vec<TopicPartition> = ranges.partitions().cloned().collect();
    let mut any = false;
    let walked = walk_ranges(&mut link.open_reader()?, ranges, &partitions, &TopicPartition::clone, &mut |_, _| {
        any = true;
        Ok::<ControlFlow<()>, Trouble>(ControlFlow::Break(()))
    })?;
    match walked {
        Walked::Failed(why) => Err(why),
        // A walk breaks off for either reason. A record that was found counts also when it was told to stop.
        Walked::Whole | Walked::Broken => Ok((any || !stop.is_set()).then_some(any)),
    }
}

/// Reads the marks of a run back from `ranges` of the target (topics by the target's names). `None`: interrupted.
pub(super) fn read_back(
    link: &Link,
    run: &str,
    ranges: &Ranges,
    stop: &Stop,
    tell: &ReplayProgressSink,
) -> Result<Option<MarkTally>, Trouble> {
    let partitions: Vec<TopicPartition> = ranges.partitions().cloned().collect();
    let mut tally = MarkTally::default();
    let mut teller = ProgressTeller::new(tell, "reading back", 0, ranges.count_offsets());
    let walked =
        walk_ranges(&mut link.open_reader()?, ranges, &partitions, &TopicPartition::clone, &mut |place, record| {
            teller.add(place.passed, record.size as u64);
            if let Some(mark) = record.header(mark::HEADER).and_then(|mark| mark::parse_mark(mark, run)) {
                tally.note_mark(place.index, mark);
            }
            Ok::<ControlFlow<()>, Trouble>(check_stop(stop))
        })?
        .into_whole()?;
    teller.end(walked);
    Ok(walked.then_some(tally))
}

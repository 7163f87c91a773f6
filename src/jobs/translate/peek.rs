//! The records at the cut, once more: their keys, sizes and, where asked for, values. The windows keep hashes only.

use std::collections::BTreeSet;

use super::{Translator, TranslatorCore, Ways};
use crate::base::sanitise::visible_text;
use crate::base::{Side, Trouble};
use crate::kafka::records::{ReadRange, RecordRef};
use crate::offsets::GroupTranslation;
use crate::offsets::translate::Log;
use crate::offsets::verdict::{CutRecord, PartitionPlan};

/// Partitions whose records are looked at again in one translation: those that come first.
const PARTITIONS: usize = 256;
/// Characters of a key and of a value that are kept.
const KEY_CHARS: usize = 32;
const VALUE_CHARS: usize = 64;

/// What is shown of a record.
struct PeekedRecord {
    offset: i64,
    key: Option<String>,
    size: u32,
    value: Option<String>,
}

impl Translator {
    /// Puts keys and sizes, and values where `values` says so, to the records at the cut of a plan made for `to`. They
    /// are read again: what expired meanwhile stays as it is. Errors: a cluster could not be read.
    pub(crate) async fn show_records(
        &self,
        plan: &mut GroupTranslation,
        to: Side,
        values: bool,
    ) -> Result<(), Trouble> {
        self.inner.peek_records(Ways { source: to.other(), target: to }, &mut plan.partitions, values).await
    }
}

impl TranslatorCore {
    pub(super) async fn peek_records(
        &self,
        ways: Ways,
        plans: &mut [PartitionPlan],
        values: bool,
    ) -> Result<(), Trouble> {
        let (source, target) = tokio::join!(
            self.peek_log(ways, Log::Source, plans, values),
            self.peek_log(ways, Log::Target, plans, values),
        );
        for (log, seen) in [(Log::Source, source?), (Log::Target, target?)] {
            for (i, one) in seen {
                let records = if log == Log::Source { &mut plans[i].cut.source } else { &mut plans[i].cut.target };
                if let Some(record) = records.iter_mut().find(|r| r.offset == one.offset) {
                    (record.key, record.size, record.value) = (one.key, Some(one.size), one.value);
                }
            }
        }
        Ok(())
    }

    async fn peek_log(
        &self,
        ways: Ways,
        log: Log,
        plans: &[PartitionPlan],
        values: bool,
    ) -> Result<Vec<(usize, PeekedRecord)>, Trouble> {
        let side = ways.side(log);
        let mut ranges = Vec::new();
        let mut wanted: Vec<BTreeSet<i64>> = Vec::new();
        let mut owner = Vec::new();
        for (i, plan) in plans.iter().enumerate() {
            let records: &[CutRecord] = if log == Log::Source { &plan.cut.source } else { &plan.cut.target };
            let (Some(first), Some(last)) = (records.first(), records.last()) else { continue };
            if ranges.len() == PARTITIONS {
                break;
            }
            let partition = self.names.partition_on(side, &plan.tp);
            ranges.push(ReadRange { partition, from: first.offset, to: last.offset + 1 });
            wanted.push(records.iter().map(|r| r.offset).collect());
            owner.push(i);
        }
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let pick = move |range: usize, record: RecordRef<'_>| {
            wanted[range].contains(&record.offset).then(|| peeked_of(&record, values))
        };
        let found = self.windows[side].pick(ranges, pick).await?;
        Ok(found.into_iter().map(|(range, seen)| (owner[range], seen)).collect())
    }
}

fn peeked_of(record: &RecordRef<'_>, values: bool) -> PeekedRecord {
    PeekedRecord {
        offset: record.offset,
        key: record.key.map(|key| show_bytes(key, KEY_CHARS)),
        size: u32::try_from(record.size).unwrap_or(u32::MAX),
        value: record.value.filter(|_| values).map(|value| show_bytes(value, VALUE_CHARS)),
    }
}

/// The beginning of some bytes, made visible.
fn show_bytes(bytes: &[u8], most: usize) -> String {
    // A character takes four bytes at most, so the cut falls inside of one only behind what is shown.
    let head = &bytes[..bytes.len().min(most * 4)];
    let text = visible_text(&String::from_utf8_lossy(head));
    let more = bytes.len() > head.len() || text.chars().count() > most;
    let mut text: String = text.chars().take(most - usize::from(more)).collect();
    if more {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_record_is_short_and_visible() {
        assert_eq!(show_bytes(b"order-7", KEY_CHARS), "order-7");
        assert_eq!(show_bytes(b"", KEY_CHARS), "");
        assert_eq!(show_bytes(&[b'k'; 32], KEY_CHARS).chars().count(), 32);
        let long = show_bytes(&[b'k'; 33], KEY_CHARS);
        assert!(long.chars().count() == 32 && long.ends_with('…'));
        let hostile = show_bytes("a\u{1b}[2J\u{202e}b\n".as_bytes(), KEY_CHARS);
        assert!(!hostile.contains(['\u{1b}', '\u{202e}', '\n']), "{hostile}");
        assert!(show_bytes(&[0xff; 10 << 20], VALUE_CHARS).chars().count() <= VALUE_CHARS);
        assert!(show_bytes(&[0; 5_000], VALUE_CHARS).chars().count() <= VALUE_CHARS);
    }
}

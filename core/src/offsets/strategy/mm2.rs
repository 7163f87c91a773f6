//! What MirrorMaker 2 knows: its checkpoints (a group's offsets, translated) and its offset syncs (pairs of offsets of
//! one record). Both are claims that lag behind, and the first offset after a pair is all that a pair can say.
//!
//! The formats are Connect's: `Checkpoint` and `OffsetSync` of `org.apache.kafka.connect.mirror`, fixed structs of
//! big-endian integers and strings with a 16-bit length.

use std::collections::BTreeMap;

/// Where MirrorMaker 2 would put a group on a partition of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Target offset.
    pub offset: i64,
    /// What says so, in a few words: `mm2 checkpoint 3773`.
    pub evidence: String,
}

/// The records of one group's checkpoints, and the syncs of some topics. What doesn't parse is counted and left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mm2 {
    group: String,
    /// By the target's topic name: the newest (upstream, downstream).
    checkpoints: BTreeMap<(String, i32), (i64, i64)>,
    /// By the source's topic name: upstream to downstream.
    syncs: BTreeMap<(String, i32), BTreeMap<i64, i64>>,
    /// Records that were no checkpoint or sync.
    pub broken: u64,
}

/// Pairs kept per partition: MirrorMaker itself keeps 64.
const SYNCS: usize = 100_000;

impl Mm2 {
    /// For a group, by its id on the source: MirrorMaker keeps group ids.
    #[must_use]
    pub fn new(group: &str) -> Self {
        Mm2 { group: group.to_owned(), ..Mm2::default() }
    }

    /// A record of `ALIAS.checkpoints.internal` (on the target), in log order. A null value deletes.
    pub fn note_checkpoint(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let parsed = key.and_then(|key| {
            let mut key = Fields(key);
            Some((key.text()?, key.text()?, key.int()?))
        });
        let Some((group, topic, partition)) = parsed else { return self.broken += 1 };
        if group != self.group {
            return;
        }
        let Some(value) = value else {
            self.checkpoints.remove(&(topic, partition));
            return;
        };
        let mut value = Fields(value);
        match (value.short(), value.long(), value.long()) {
            // There is only version 0 of this struct: the fields of another may lie elsewhere.
            (Some(0), Some(upstream), Some(downstream)) => {
                self.checkpoints.insert((topic, partition), (upstream, downstream));
            }
            _ => self.broken += 1,
        }
    }

    /// A record of `mm2-offset-syncs.ALIAS.internal` (on either cluster), in log order.
    pub fn note_sync(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let parsed = key.zip(value).and_then(|(key, value)| {
            let (mut key, mut value) = (Fields(key), Fields(value));
            // Unlike a checkpoint's, a sync's value has no version in front.
            Some(((key.text()?, key.int()?), value.long()?, value.long()?))
        });
        let Some((tp, upstream, downstream)) = parsed else { return self.broken += 1 };
        let pairs = self.syncs.entry(tp).or_default();
        // as OffsetSyncStore has it: when the upstream offset goes back, the older pairs mean nothing any more
        if pairs.last_key_value().is_some_and(|(newest, _)| *newest > upstream) {
            pairs.clear();
        }
        pairs.insert(upstream, downstream);
        if pairs.len() > SYNCS {
            // The lowest goes: groups stand near the end, and one that stands below all pairs gets no claim,
            // not a wrong one.
            pairs.pop_first();
        }
    }

    /// Where a position on the source is on the target: the further of what the checkpoint and the syncs say. `None`
    /// when neither says anything, or only of positions beyond this one.
    #[must_use]
    pub fn find_claim(&self, source_topic: &str, target_topic: &str, partition: i32, committed: i64) -> Option<Claim> {
        let checkpoint = self.checkpoints.get(&(target_topic.to_owned(), partition));
        // A checkpoint beyond the commit would skip records; a negative offset is MirrorMaker's "can't be translated".
        let checkpoint = checkpoint.filter(|(upstream, down)| *upstream <= committed && *down >= 0);
        let pairs = self.syncs.get(&(source_topic.to_owned(), partition));
        let pair = pairs.and_then(|pairs| pairs.range(..=committed).next_back());
        // the record of the pair itself, or the next: how many of those between were written is not known
        let synced = pair.map(|(upstream, down)| down + i64::from(*upstream != committed)).filter(|at| *at >= 0);
        let said = [(checkpoint.map(|(_, down)| *down), "checkpoint"), (synced, "offset sync")];
        let best =
            // Of two that say the same the checkpoint is named.
            said.into_iter().filter_map(|(at, word)| Some((at?, word))).reduce(|a, b| if b.0 > a.0 { b } else { a });
        best.map(|(offset, word)| Claim { offset, evidence: format!("mm2 {word} {offset}") })
    }
}

/// Reads Kafka's struct encoding from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take_bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn short(&mut self) -> Option<i16> {
        self.take_bytes().map(i16::from_be_bytes)
    }

    fn int(&mut self) -> Option<i32> {
        self.take_bytes().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.take_bytes().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<String> {
        // A negative length is Kafka's null, and no topic or group is called that.
        let len = usize::try_from(self.short()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, s: &str) {
        out.extend_from_slice(&(s.len() as u16).to_be_bytes());
        out.extend_from_slice(s.as_bytes());
    }

    fn checkpoint(group: &str, topic: &str, partition: i32, up: i64, down: i64) -> (Vec<u8>, Vec<u8>) {
        let (mut key, mut value) = (Vec::new(), vec![0, 0]);
        text(&mut key, group);
        text(&mut key, topic);
        key.extend_from_slice(&partition.to_be_bytes());
        value.extend_from_slice(&up.to_be_bytes());
        value.extend_from_slice(&down.to_be_bytes());
        text(&mut value, "");
        (key, value)
    }

    fn sync(topic: &str, partition: i32, up: i64, down: i64) -> (Vec<u8>, Vec<u8>) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        text(&mut key, topic);
        key.extend_from_slice(&partition.to_be_bytes());
        value.extend_from_slice(&up.to_be_bytes());
        value.extend_from_slice(&down.to_be_bytes());
        (key, value)
    }

    fn at(mm2: &Mm2, committed: i64) -> Option<(i64, String)> {
        mm2.find_claim("orders", "blue.orders", 2, committed).map(|c| (c.offset, c.evidence))
    }

    #[test]
    fn a_claim_is_never_beyond_what_a_pair_says() {
        let mut mm2 = Mm2::new("g");
        assert_eq!(at(&mm2, 10), None);
        for (up, down) in [(100, 40), (200, 140)] {
            let (k, v) = sync("orders", 2, up, down);
            mm2.note_sync(Some(&k), Some(&v));
        }
        assert_eq!(at(&mm2, 99), None, "older than every pair");
        assert_eq!(at(&mm2, 100), Some((40, "mm2 offset sync 40".into())));
        assert_eq!(at(&mm2, 150).unwrap().0, 41);
        assert_eq!(at(&mm2, 300).unwrap().0, 141);
        for (group, up, down) in [("g", 180, 120), ("other", 190, 500)] {
            let (k, v) = checkpoint(group, "blue.orders", 2, up, down);
            mm2.note_checkpoint(Some(&k), Some(&v));
        }
        assert_eq!(at(&mm2, 185), Some((120, "mm2 checkpoint 120".into())));
        assert_eq!(at(&mm2, 170).unwrap().0, 41, "a checkpoint of a later position says nothing");
        assert_eq!(at(&mm2, 300).unwrap().0, 141);
        // the source was recreated: what came before means nothing
        let (k, v) = sync("orders", 2, 5, 300);
        mm2.note_sync(Some(&k), Some(&v));
        assert_eq!(at(&mm2, 5).unwrap().0, 300);
        let (k, _) = checkpoint("g", "blue.orders", 2, 0, 0);
        mm2.note_checkpoint(Some(&k), None);
        assert_eq!(at(&mm2, 4), None);
        assert_eq!(mm2.broken, 0);
    }

    #[test]
    fn what_is_no_checkpoint_is_counted_and_left_out() {
        let mut mm2 = Mm2::new("g");
        let (key, value) = checkpoint("g", "blue.orders", 2, 1, 2);
        let (sync_key, _) = sync("orders", 2, 1, 2);
        mm2.note_checkpoint(Some(&key[..key.len() - 1]), Some(&value));
        mm2.note_checkpoint(None, Some(&value));
        mm2.note_checkpoint(Some(&key), Some(&[0, 9, 0]));
        mm2.note_checkpoint(Some(&[0x7f, 0xff, 1]), Some(&value));
        mm2.note_checkpoint(Some(&[0xff, 0xff, 1]), Some(&value));
        mm2.note_sync(Some(&sync_key), Some(&[1, 2, 3]));
        mm2.note_sync(Some(&sync_key), None);
        assert_eq!(mm2.broken, 7);
        assert_eq!(at(&mm2, 10), None);
    }
}

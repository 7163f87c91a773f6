//! MirrorMaker 2's own topics: found by their names, and read whole, up to a bound.

use std::collections::BTreeSet;

use super::{Case, TranslatorCore};
use crate::base::{Side, TopicPartition, Trouble};
use crate::kafka::control::OffsetSpec;
use crate::kafka::records::ReadRange;
use crate::offsets::strategy::mm2::Mm2;

/// The newest this many records of each topic are read; both are compacted, so older ones are rarely of use.
const NEWEST: i64 = 200_000;
/// Separators that replication policies put between the parts of a name.
const SEPARATORS: [char; 3] = ['.', '-', '_'];

impl TranslatorCore {
    /// What MirrorMaker 2 knows of a group; nothing where its topics are not there. Errors: they could not be read.
    pub(super) async fn read_mm2(&self, case: Case<'_>) -> Result<Mm2, Trouble> {
        let (source, target) = (case.ways.source, case.ways.target);
        let (there, here) = tokio::join!(self.cluster(target).topic_names(), self.cluster(source).topic_names());
        let (there, here) = (there?, here?);
        let mut mm2 = Mm2::new(&self.names.group_on(case.group, source));
        let checkpoints: Vec<(&String, String)> =
            there.iter().filter_map(|t| Some((t, alias_in(t, &["", "checkpoints", "internal"])?))).collect();
        // Syncs alone say nothing of a group: they are not even read.
        if checkpoints.is_empty() {
            return Ok(mm2);
        }
        for (topic, _) in &checkpoints {
            for (key, value) in self.read_topic(target, topic).await? {
                mm2.note_checkpoint(key.as_deref(), value.as_deref());
            }
        }
        // Syncs are kept on the source under the target's alias, or on the target under the source's. Under two of
        // them nobody can tell which flow is this one.
        let aliases: BTreeSet<&str> = checkpoints.iter().map(|(_, alias)| alias.as_str()).collect();
        let is_sync = |t: &&String| alias_in(t, &["mm2-offset-syncs", "", "internal"]).is_some();
        let ours: Vec<&String> = here.iter().filter(is_sync).collect();
        let theirs: Vec<&String> = there
            .iter()
            .filter(|t| {
                alias_in(t, &["mm2-offset-syncs", "", "internal"]).is_some_and(|a| aliases.contains(a.as_str()))
            })
            .collect();
        let syncs = match (&ours[..], &theirs[..]) {
            ([one], _) => Some((source, *one)),
            ([], [one]) => Some((target, *one)),
            _ => None,
        };
        if let Some((side, topic)) = syncs {
            for (key, value) in self.read_topic(side, topic).await? {
                mm2.note_sync(key.as_deref(), value.as_deref());
            }
        }
        if mm2.broken > 0 {
            tracing::warn!("{} records of MirrorMaker's topics could not be read as such", mm2.broken);
        }
        Ok(mm2)
    }

    /// Keys and values of a topic's first partition: MirrorMaker's topics have no other.
    async fn read_topic(&self, side: Side, topic: &str) -> Result<Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>, Trouble> {
        let tp = TopicPartition::new(topic, 0);
        let bound = async |spec| {
            let mut found = self.cluster(side).list_offsets(&[(tp.clone(), spec)]).await;
            match found.remove(&tp) {
                Some(Ok(Some((offset, _)))) => Ok(offset),
                Some(Err(trouble)) => Err(trouble),
                _ => {
                    Err(Trouble::new(format!("{side} did not say where the log of {tp} begins and ends"), "try again"))
                }
            }
        };
        let (start, end) = (bound(OffsetSpec::Earliest).await?, bound(OffsetSpec::LatestStable).await?);
        let range = ReadRange { partition: tp, from: start.max(end.saturating_sub(NEWEST)), to: end };
        let copy = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let pick =
            move |_: usize, record: crate::kafka::records::RecordRef<'_>| Some((copy(record.key), copy(record.value)));
        let read = self.windows[side].pick(vec![range], pick).await?;
        Ok(read.into_iter().map(|(_, record)| record).collect())
    }
}

/// The part of a topic's name that stands where `parts` has an empty one.
fn alias_in(name: &str, parts: &[&str; 3]) -> Option<String> {
    let of = |sep: char| {
        let rest = match parts {
            ["", second, third] => {
                name.strip_suffix(third)?.strip_suffix(sep)?.strip_suffix(second)?.strip_suffix(sep)?
            }
            [first, _, third] => name.strip_prefix(first)?.strip_prefix(sep)?.strip_suffix(third)?.strip_suffix(sep)?,
        };
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    SEPARATORS.into_iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_mirror_maker_are_known_by_their_names() {
        let checkpoints = |name| alias_in(name, &["", "checkpoints", "internal"]);
        assert_eq!(checkpoints("blue.checkpoints.internal").as_deref(), Some("blue"));
        assert_eq!(checkpoints("eu-1-checkpoints-internal").as_deref(), Some("eu-1"));
        for other in [".checkpoints.internal", "checkpoints.internal", "blue.checkpoints", "blue.checkpoints-internal"]
        {
            assert_eq!(checkpoints(other), None, "{other}");
        }
        let syncs = |name| alias_in(name, &["mm2-offset-syncs", "", "internal"]);
        assert_eq!(syncs("mm2-offset-syncs.green.internal").as_deref(), Some("green"));
        assert_eq!(syncs("mm2-offset-syncs.internal"), None);
        assert_eq!(syncs("mm2-offsets.green.internal"), None);
    }
}
